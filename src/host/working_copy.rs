//! The one seam between git and jj: what the two do each in its own way. All else on the host is the same for both.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::git::filters::Desk;
use super::git::lfs::Pointers;
use super::landing::look::{Asked, Ours};
use super::landing::{Landed, Obstacle, Plan, Why};
use super::scratch::Scratch;
use super::{Head, Repo};
use crate::error::Result;
use crate::snapshot::{Change, Oid, Snapshot};

/// The host's own files, to be shipped.
pub struct Files {
    /// Their tree: tracked files, and untracked ones where these were asked for.
    pub(super) tree: Oid,
    /// Files that are not tracked and not ignored; a nested repository counts as one.
    pub(super) untracked: Vec<Vec<u8>>,
    /// Tracked files whose edits the user hid from git: they are not in the tree.
    pub(super) hidden: Vec<Vec<u8>>,
    /// Ignored files that were asked for: they are in the tree.
    pub(super) included: Vec<Vec<u8>>,
}

/// Which of the host's files are to be shipped beside the tracked ones.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Untracked ones.
    pub untracked: bool,
    /// Ignored ones that one of these pathspecs chooses.
    pub include: &'a [OsString],
}

/// A kind of working copy: a git worktree, or a jj workspace.
pub trait WorkingCopy: Debug + Send + Sync {
    /// Returns what its records are called by: each working copy of a repository has its own.
    fn name(&self, repo: &Repo) -> Result<String>;

    /// Returns the top of the working copy of the same repository that is called so; `None` where it is not known.
    fn top_of(&self, repo: &Repo, name: &str) -> Option<PathBuf>;

    /// Returns where HEAD is.
    fn head(&self, repo: &Repo) -> Result<Head>;

    /// Returns the name and the address that the user commits with; empty where there is none.
    fn identity(&self, repo: &Repo) -> Result<[OsString; 2]>;

    /// Takes the host's files as a tree, without touching them; others than the tracked ones only when asked. `why` is for
    /// the tool's own log.
    fn files(&self, repo: &Repo, wanted: Wanted<'_>, why: &str) -> Result<Files>;

    /// Looks at what stands where changes would land, and at nothing else.
    fn look(&self, repo: &Repo, scratch: &Scratch, asked: &Asked<'_>) -> Result<Ours>;

    /// Returns the attributes of these paths that hold for a merge: path, name, value.
    fn attributes(
        &self,
        repo: &Repo,
        scratch: &Scratch,
        paths: &[&[u8]],
        names: &[&str],
    ) -> Result<Vec<(Vec<u8>, String, String)>>;

    /// Looks at the pointers of Git LFS among these changes.
    fn pointers(&self, repo: &Repo, scratch: &Scratch, changes: &[Change], snapshot: &Snapshot) -> Result<Pointers>;

    /// Returns which of these changes cannot be in this working copy, whatever is on disk; `hidden` are paths that are kept
    /// off the disk.
    fn unfit(&self, repo: &Repo, changes: &[Change], hidden: &HashSet<&[u8]>) -> Result<Vec<Obstacle>>;

    /// Returns which of these new files the host ignores.
    fn ignored(&self, repo: &Repo, paths: &[&[u8]]) -> Result<Vec<Vec<u8>>>;

    /// Returns which of these files on disk are tracked, as far as that is known.
    fn tracked(&self, _repo: &Repo, _paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
        Ok(HashSet::new())
    }

    /// Returns why a file is in the way that is on disk and is not the host's own.
    fn untracked(&self) -> Why;

    /// Returns what writes files as this working copy holds them, in `folder`; and whether their bytes may be others than
    /// those of their content.
    fn desk(&self, repo: &Repo, scratch: &Scratch, folder: &Path, paths: &[&[u8]]) -> Result<(Desk, bool)>;

    /// Returns the folder that is ours, beside the working copy's other metadata.
    fn own_folder(&self, repo: &Repo) -> PathBuf;

    /// Returns what else is to be done for a landing; nothing in git.
    fn extras(&self) -> Option<&dyn Extras> {
        None
    }
}

/// What a landing takes in jj beside the files.
pub trait Extras {
    /// Returns the first of these marks, the newest first, that is part of what the working copy came from: jj may have
    /// undone a landing.
    fn newest_held(&self, marks: &[Option<&Oid>]) -> Result<Option<usize>>;

    /// Makes ready for the files of a landing that can be written.
    fn begin(&self, plan: &Plan<'_>) -> Result<()>;

    /// Takes note of the files of a landing, which are written.
    fn finish(&self, plan: &Plan<'_>) -> Result<Landed>;

    /// Lands with the conflict as data, in place of writing files.
    fn record_conflict(&self, plan: &Plan<'_>) -> Result<Landed>;
}
