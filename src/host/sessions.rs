//! The sessions that guests were seen to have, so that their names can be completed without asking a guest.
//!
//! They are in one file, a line for each: the vm, a tab, the name. It is a memory, not a record: what it holds may have
//! gone since.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;

use super::Repo;
use crate::error::{Context, Result};

/// The file in our own folder.
const FILE: &str = "sessions";

impl Repo {
    /// Returns the sessions that the guest was seen to have.
    pub fn seen_sessions(&self, vm: &str) -> BTreeSet<String> {
        self.seen().remove(vm).unwrap_or_default()
    }

    /// Changes which sessions the guest was seen to have.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn see_sessions(&self, vm: &str, change: impl FnOnce(&mut BTreeSet<String>)) -> Result<()> {
        let before = self.seen();
        let mut seen = before.clone();
        change(seen.entry(vm.to_owned()).or_default());
        seen.retain(|_, names| !names.is_empty());
        if seen == before {
            return Ok(());
        }
        let line = |vm: &str, name: &str| format!("{vm}\t{name}\n");
        let text: String = seen.iter().flat_map(|(vm, names)| names.iter().map(move |name| line(vm, name))).collect();
        let mut file = self.temporary_file()?;
        let context = || "cannot take note of the sessions".to_owned();
        file.write_all(text.as_bytes()).context(context)?;
        file.persist(self.own_folder()?.join(FILE)).context(context).map(drop)
    }

    fn seen(&self) -> BTreeMap<String, BTreeSet<String>> {
        let text = fs::read_to_string(self.vcs.own_folder(self).join(FILE)).unwrap_or_default();
        let mut seen = BTreeMap::<_, BTreeSet<_>>::new();
        for (vm, name) in text.lines().filter_map(|line| line.split_once('\t')) {
            seen.entry(vm.to_owned()).or_default().insert(name.to_owned());
        }
        seen
    }
}
