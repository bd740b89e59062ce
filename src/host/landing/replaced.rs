//! What a prepare would replace that has not landed, by the guest's files alone: on whichever commits they are.

use std::collections::HashSet;

use super::record;
use crate::error::Result;
use crate::host::{Records, Repo};
use crate::snapshot::{Change, Oid};

/// Work that has not landed, and would be replaced.
pub struct Replaced {
    /// What both sides agree on: the work is what differs from it.
    pub since: Oid,
    /// Each file that differs.
    pub files: Vec<Change>,
}

/// Returns what differs between the agreed tree and the guest's files, whose tree this is.
///
/// # Errors
/// When what is recorded cannot be read.
pub fn replaced(repo: &Repo, records: &Records, tree: &Oid) -> Result<Replaced> {
    let newest = record::standing(repo, records)?.into_iter().next().map(|landing| landing.agreed);
    let since = newest.or_else(|| records.baseline_tree.clone());
    let since = since.unwrap_or_else(|| Oid::empty_tree(repo.object_format()));
    let mut files = repo.diff(&since, tree, false, &[])?;
    // They never land; and what is in a submodule is left alone.
    files.retain(|change| !change.is_pointer());
    if let Some(coming) = records.coming.as_ref().filter(|_| !files.is_empty()) {
        // A prepare may have been cut while it wrote: what is as it was to become is no work.
        let differs = repo.diff(coming, tree, false, &[])?;
        let differs: HashSet<&[u8]> = differs.iter().map(|change| change.path.as_slice()).collect();
        files.retain(|change| differs.contains(change.path.as_slice()));
    }
    Ok(Replaced { since, files })
}
