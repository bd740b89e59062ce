//! The one seam between git and jj: what the two do each in its own way. All else on the host is the same for both.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::git::Git;
use super::land::Plan;
use super::obstacles::{Obstacle, Why};
use super::{Head, Repo};
use crate::error::Result;
use crate::snapshot::{Change, Oid};

/// The host's own files, as they were on disk.
pub struct Ours {
    /// Their tree: tracked and untracked files, without the ignored ones.
    pub(super) tree: Oid,
    /// Paths in the index that git keeps off the disk (`git sparse-checkout`), or whose changes it does not look at.
    pub(super) absent: HashSet<Vec<u8>>,
    /// Files that are not tracked and not ignored; a nested repository counts as one.
    pub(super) untracked: Vec<Vec<u8>>,
    /// jj's operation that holds them; empty in git, which has no such thing.
    pub(super) operation: String,
}

/// What takes a landing back in jj.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// To undo the last operation.
    Last,
    /// To go back to an operation.
    Restore(String),
}

/// What is known of a landing once it is whole.
#[derive(Debug, Default)]
pub struct Landed {
    /// Something was written.
    pub wrote: bool,
    /// What takes it back in jj.
    pub undo: Option<Undo>,
    /// Paths that jj does not hold as they landed.
    pub unheld: Vec<Vec<u8>>,
    /// jj's commit that holds it, for [`Vcs::holds`].
    pub(super) mark: Option<Oid>,
}

/// A kind of working tree: a git work tree, or a jj workspace.
pub trait Vcs: Debug + Send + Sync {
    /// Tells whether it is jj's.
    fn is_jj(&self) -> bool;

    /// Returns where HEAD is.
    fn head(&self, repo: &Repo) -> Result<Head>;

    /// Returns the name and the address that the user commits with; empty where there is none.
    fn identity(&self, repo: &Repo) -> Result<[OsString; 2]>;

    /// Takes the host's files as a tree, without touching them; the untracked ones only when asked. `why` is for the
    /// tool's own log.
    fn files(&self, repo: &Repo, untracked: bool, why: &str) -> Result<Ours>;

    /// Returns which of these changes cannot be in this working tree, whatever is on disk.
    fn unfit(&self, repo: &Repo, ours: &Ours, changes: &[Change]) -> Result<Vec<Obstacle>>;

    /// Returns why a file is in the way that is on disk and not among [`Vcs::files`].
    fn untracked(&self) -> Why;

    /// Returns a git that reads and writes files as this working tree holds them, with an empty index in `folder`.
    fn pen(&self, repo: &Repo, folder: &Path) -> Result<Git>;

    /// Returns the folder that is ours, beside the working tree's other metadata.
    fn own_folder(&self, repo: &Repo) -> PathBuf;

    /// Returns the last part of the ref of the newest landing: each working tree has its own.
    fn landing(&self) -> Result<String>;

    /// Tells whether the files still come from a landing, as far as its mark tells: jj can have undone it.
    fn holds(&self, mark: Option<&Oid>) -> Result<bool>;

    /// Makes ready for the files of a landing that can be written.
    fn begin(&self, plan: &Plan<'_>) -> Result<()>;

    /// Takes note of the files of a landing, which are written.
    fn finish(&self, plan: &Plan<'_>) -> Result<Landed>;

    /// Lands with the conflict as data, in place of writing files.
    fn record_conflict(&self, plan: &Plan<'_>) -> Result<Landed>;
}
