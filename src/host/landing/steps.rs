//! What a landing does at each path: the difference between what is there and what is to be there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::look::{Form, Here, Ours};
use crate::host::Repo;
use crate::host::entries::{Entries, Entry};
use crate::host::folders::Identity;
use crate::snapshot::{Change, Oid};

/// One file that a landing writes, replaces or takes away.
#[derive(Debug)]
pub struct Step {
    /// Its path.
    pub path: Vec<u8>,
    /// What is there now.
    pub old: Option<Here>,
    /// What is to be there.
    pub new: Option<New>,
    /// The place in which it is staged, and in which what it replaces is kept.
    pub place: usize,
}

impl Step {
    /// Returns path, mode and content of what is to be there.
    pub fn file(&self) -> Option<(Vec<u8>, Entry)> {
        Some((self.path.clone(), self.new.as_ref()?.entry.clone()))
    }
}

/// What is to be at a path.
#[derive(Debug)]
pub struct New {
    /// Mode and content.
    pub entry: Entry,
    /// Where it comes from.
    pub source: Source,
    /// How its bytes follow from its content, where it replaces a file.
    pub form: Form,
    /// The file that is to be moved there; none before it is staged.
    pub staged: Option<Identity>,
}

/// Where what is to be at a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is written as a checkout would write it.
    Written,
    /// It is a copy of the host's own file at the path of that step, with other permissions.
    Copied(usize),
    /// It is the host's own file at the path of that step.
    Moved(usize),
}

/// Returns what is to be done at each path at which the result differs from what is there.
pub fn steps(ours: &Ours, result: &Entries) -> Vec<Step> {
    // A file elsewhere takes part only where it was merged.
    let here: BTreeMap<&Vec<u8>, &Here> =
        ours.files.iter().chain(ours.elsewhere.iter().filter(|(path, _)| result.contains_key(*path))).collect();
    let blocked: HashSet<&[u8]> = ours.obstacles.iter().map(|obstacle| obstacle.path.as_slice()).collect();
    let paths: BTreeSet<&Vec<u8>> = here.keys().copied().chain(result.keys()).collect();
    let mut steps: Vec<Step> = Vec::new();
    for path in paths.into_iter().filter(|path| !blocked.contains(path.as_slice())) {
        let old = here.get(path).copied();
        let entry = result.get(path);
        if old.map(|old| &old.entry) == entry {
            continue;
        }
        let form = old.map_or(Form::AsWritten, |old| old.form.clone());
        let new = entry.map(|entry| New { entry: entry.clone(), source: Source::Written, form, staged: None });
        steps.push(Step { path: path.clone(), old: old.cloned(), new, place: 0 });
    }
    // A rename, or a change of permissions alone, moves the host's own file: its bytes may be others than git would write.
    let mut going: HashMap<Oid, Vec<usize>> = HashMap::new();
    for (number, step) in steps.iter().enumerate() {
        if let (Some(old), None) = (step.old.as_ref().filter(|old| old.stood.is_some()), &step.new) {
            going.entry(old.entry.blob.clone()).or_default().push(number);
        }
    }
    for number in 0..steps.len() {
        let Some(new) = &steps[number].new else { continue };
        let is_own = |old: &Here| old.stood.is_some() && old.entry.blob == new.entry.blob && old.entry.is_file();
        let source = if !new.entry.is_file() {
            continue;
        } else if steps[number].old.as_ref().is_some_and(is_own) {
            Source::Copied(number)
        } else if steps[number].old.is_some() {
            continue;
        } else if let Some(from) = going.get_mut(&new.entry.blob).and_then(Vec::pop) {
            let same = steps[from].old.as_ref().is_some_and(|old| old.entry.mode == new.entry.mode);
            if same { Source::Moved(from) } else { Source::Copied(from) }
        } else {
            continue;
        };
        if let Some(new) = &mut steps[number].new {
            new.source = source;
        }
    }
    steps
}

/// Returns steps as changes.
pub fn changes(repo: &Repo, steps: &[Step]) -> Vec<Change> {
    let none = || Oid::zero(repo.object_format());
    let change = |step: &Step| {
        let (old, new) = (step.old.as_ref().map(|old| &old.entry), step.new.as_ref().map(|new| &new.entry));
        let part = |entry: Option<&Entry>| entry.map_or_else(|| (0, none()), |entry| (entry.mode, entry.blob.clone()));
        let ((old_mode, old), (new_mode, new)) = (part(old), part(new));
        let kind = |mode: u32| mode & 0o170000;
        let status = match (old_mode, new_mode) {
            (0, _) => 'A',
            (_, 0) => 'D',
            (old, new) if kind(old) != kind(new) => 'T',
            _ => 'M',
        };
        Change { status, old_mode, new_mode, old, new, path: step.path.clone(), from: None }
    };
    steps.iter().map(change).collect()
}
