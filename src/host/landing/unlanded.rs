//! What of a guest's work is not here, so that it would be lost with the guest. Nothing here changes anything.

use super::again::Again;
use super::agreed::Ledger;
use super::swap;
use crate::error::{Error, Result};
use crate::host::intake::Taken;
use crate::host::{Records, Repo};
use crate::snapshot::Change;

/// Work that is not here.
#[derive(Debug)]
pub struct Unlanded {
    /// The difference between what has landed and the guest's files, exact renames as renames.
    pub files: Vec<Change>,
    /// How many paths have landed, and are as they were before.
    pub thrown_away: usize,
    /// A landing is under way or was cut off, and what it brings may go again.
    pub is_landing: bool,
    /// How many commits the guest's HEAD is past the prepared head.
    pub ahead: u64,
    /// How many commits of the prepared head the guest's HEAD does not have.
    pub behind: u64,
}

/// Compares a snapshot that was taken since the prepared head with what has landed, and that with the working copy.
///
/// # Errors
/// When what is recorded, or a file here, cannot be read.
pub fn unlanded(repo: &Repo, records: &Records, taken: &Taken) -> Result<Unlanded> {
    let (scratch, snapshot) = (taken.scratch(), &taken.snapshot);
    let ledger = Ledger::load(repo, scratch, records, snapshot)?;
    let ends = format!("{}...{}", snapshot.base, snapshot.head);
    let counted = scratch.git().line(["rev-list", "--left-right", "--count", &ends])?;
    let mut counts = counted.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(behind)), Some(Ok(ahead))) = (counts.next(), counts.next()) else {
        return Err(Error::bug("git counted no number"));
    };
    Ok(Unlanded {
        files: scratch.git().diff(&ledger.start, &snapshot.tree, true, &[])?,
        thrown_away: Again::of(&ledger, scratch, &[])?.thrown_away(repo, scratch, &ledger)?,
        is_landing: swap::is_cut_off(repo),
        ahead,
        behind,
    })
}
