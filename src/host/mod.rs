//! The host's repository: what is recorded in it, its own files, and what a guest's work does to them.
//!
//! Knows nothing of guests but what a [`Snapshot`](crate::snapshot::Snapshot) says.

pub mod config;
mod entries;
mod folders;
mod git;
pub mod intake;
mod jj;
pub mod landing;
mod pathspec;
mod refs;
pub mod scratch;
mod sessions;
pub mod ship;
mod working_copy;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

use crate::error::{Context, Error, Result};
use crate::process::Call;
use crate::reporter::Reporter;
use crate::snapshot::{Change, Oid};

pub use git::or_too_old;
use git::{Git, Worktree};
pub use jj::root as jj_root;
use jj::{Checkout, Jj};
pub use refs::Records;
use working_copy::WorkingCopy;

/// The repository that a command works in.
#[derive(Debug)]
pub struct Repo {
    git: Git,
    git_dir: PathBuf,
    /// The git directory that all working trees share.
    common_dir: PathBuf,
    /// Where the objects are.
    objects: PathBuf,
    object_format: String,
    top: Option<PathBuf>,
    /// Where in the work tree the user stands; empty at its top, else with a slash at the end.
    prefix: Vec<u8>,
    vcs: Box<dyn WorkingCopy>,
    /// What of git's own configuration says how files stand in the work tree; it is read once.
    core: std::sync::OnceLock<Vec<(String, Option<String>)>>,
}

/// How the names of temporary files begin.
const TEMPORARY: &str = "tmp-";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where HEAD is.
#[derive(Clone, Debug)]
pub struct Head {
    /// The commit; the empty commit when the branch has none yet.
    pub commit: Oid,
    /// The branch, without `refs/heads/`; `None` when HEAD is detached. It need not be UTF-8.
    pub branch: Option<OsString>,
    /// The branch has no commit yet.
    pub unborn: bool,
}

impl Repo {
    /// Opens the repository of `dir`, or of the current directory: a jj workspace, or as git finds it from there.
    ///
    /// # Errors
    /// When there is none, or git is missing or too old, or jj where there is no way without.
    pub fn open(dir: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Result<Repo> {
        Repo::find(dir, reporter).map_err(|error| git::or_too_old(error, reporter))
    }

    fn find(dir: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Result<Repo> {
        if let Some(jj) = Jj::find(dir, reporter)? {
            return Checkout::open(jj, dir, reporter);
        }
        let mut call = Call::new("git", reporter).fixed(["-c", git::EXPLICIT]).args([
            "rev-parse",
            "--path-format=absolute",
            "--show-object-format",
        ]);
        call = call.args(["--git-dir", "--git-common-dir", "--git-path", "objects", "--git-path", "index"]);
        call = call.args(["--show-toplevel", "--show-prefix"]);
        if let Some(dir) = dir {
            call = call.dir(dir);
        }
        let place = call.run()?;
        if place.code.is_none() {
            return Err(place.failure("git rev-parse"));
        }
        if place.code != Some(0) && place.stdout.is_empty() {
            // git says best why: there is no repository, or it belongs to somebody else.
            let (why, rest) = place.said();
            let way = match why.contains("bareRepository") {
                true => "if it is yours, name it: git --git-dir=DIR banger ...",
                false => "go to the repository, or name it with -C",
            };
            return Err(Error::refused(why).said("git", rest).detail(way));
        }
        let ([format, git_dir, common_dir, objects, index], top, prefix) = if place.code == Some(0) {
            let [format, git_dir, common_dir, objects, index, top, prefix] = lines(&place.stdout)?;
            ([format, git_dir, common_dir, objects, index], Some(as_path(top)), prefix.to_vec())
        } else {
            // A bare repository, or the inside of a '.git': there git stops at the top.
            (lines(&place.stdout)?, None, Vec::new())
        };
        Ok(Repo {
            git: Git::new(as_path(git_dir), top.as_deref(), reporter),
            git_dir: as_path(git_dir),
            common_dir: as_path(common_dir),
            objects: as_path(objects),
            object_format: String::from_utf8_lossy(format).into_owned(),
            top,
            prefix,
            vcs: Box::new(Worktree { index: as_path(index) }),
            core: std::sync::OnceLock::new(),
        })
    }

    /// Returns the same repository, for which git's `core.*` have been read already.
    pub fn with_core(self, core: &[(String, Option<String>)]) -> Repo {
        let _ = self.core.set(core.to_vec());
        self
    }

    /// Returns the name of the repository's directory, which names the workspace where nothing else does.
    pub fn name(&self) -> String {
        let folder = self.top.as_deref().unwrap_or(&self.git_dir);
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match name.strip_suffix(".git") {
            Some(stem) if !stem.is_empty() => stem.to_owned(),
            _ => name,
        }
    }

    /// Returns the top of the work tree.
    ///
    /// # Errors
    /// When the repository has none.
    pub fn top(&self) -> Result<&Path> {
        self.top.as_deref().ok_or_else(|| {
            Error::refused(format!("'{}' has no working files to bring work into", self.git_dir.display()))
                .detail("a worktree has them ('git worktree add'); without one, the work can be fetched")
        })
    }

    /// Tells whether a landing can record a conflict as data, and go into a change of its own, as in jj.
    pub fn records_conflicts(&self) -> bool {
        self.vcs.extras().is_some()
    }

    /// Returns `sha1` or `sha256`.
    pub fn object_format(&self) -> &str {
        &self.object_format
    }

    /// Returns where HEAD is.
    ///
    /// # Errors
    /// When HEAD is damaged.
    pub fn head(&self) -> Result<Head> {
        self.vcs.head(self)
    }

    /// Returns the name and the address that the user commits with; empty where there is none.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn identity(&self) -> Result<[OsString; 2]> {
        self.vcs.identity(self)
    }

    /// Makes the commit that stands for "no commit yet"; the guest makes the same one.
    fn empty_commit(&self) -> Result<Oid> {
        let tree = self.git.oid(["hash-object", "-t", "tree", "-w", "--stdin"])?;
        self.git.commit(&tree, &[], "@0 +0000", "empty")
    }

    /// Returns pathspecs as they read from the top of the work tree.
    pub fn pathspecs(&self, pathspecs: &[OsString]) -> Vec<OsString> {
        pathspecs.iter().map(|pathspec| pathspec::from_top(pathspec, &self.prefix)).collect()
    }

    /// Compares two trees, or commits, file by file; `renames` finds exact ones.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn diff(&self, from: &Oid, to: &Oid, renames: bool, pathspecs: &[OsString]) -> Result<Vec<Change>> {
        self.git.diff(from, to, renames, pathspecs)
    }

    /// Counts the commits that `to` has and `from` has not.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn count(&self, from: &Oid, to: &Oid) -> Result<u64> {
        let count = self.git.line(["rev-list", "--count", &format!("{from}..{to}")])?;
        count.parse().map_err(|error| Error::bug("git counted no number").source(error))
    }

    /// Shows the difference between two trees as the user's own git does, with its configuration, pager and tools; `command` is
    /// `diff` or `difftool`, with its options. Returns git's exit status.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn show(&self, command: &[&str], trees: &[Oid; 2], pathspecs: &[OsString]) -> Result<Option<i32>> {
        self.shown(command, trees, pathspecs).run_attached()
    }

    /// Returns the call that shows a difference.
    fn shown(&self, command: &[&str], trees: &[Oid; 2], pathspecs: &[OsString]) -> Call {
        let call = git::shown(self.git.reporter(), &self.git_dir, command, trees, pathspecs);
        match &self.top {
            Some(top) => call.dir(top),
            None => call,
        }
    }

    /// Returns the refs below a prefix such as `refs/heads`, without their first two components.
    ///
    /// # Errors
    /// If git cannot be run.
    pub fn refs(&self, prefix: &str) -> Result<Vec<String>> {
        let list = self.git.call(["for-each-ref", "--format=%(refname:lstrip=2)", prefix]).stdout()?;
        Ok(String::from_utf8_lossy(&list).lines().map(str::to_owned).collect())
    }

    /// Tells whether the history here is not whole.
    ///
    /// # Errors
    /// If git cannot be run.
    fn is_shallow(&self) -> Result<bool> {
        Ok(self.git.line(["rev-parse", "--is-shallow-repository"])? == "true")
    }

    /// Returns the git directory where git does not find it from the working files: only jj knows it.
    pub fn hidden_git_dir(&self) -> Option<&Path> {
        self.top.as_ref().is_some_and(|top| !top.join(".git").exists()).then_some(&*self.git_dir)
    }

    /// Tells whether `name` can be the name of a branch.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn is_branch_name(&self, name: &str) -> Result<bool> {
        let output = self.git.call(["check-ref-format", &format!("refs/heads/{name}")]).run()?;
        Ok(output.code == Some(0) && !name.starts_with('-'))
    }

    /// Makes a file that goes when it is dropped, where there is as much room as for the repository's objects.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary_file(&self) -> Result<NamedTempFile> {
        NamedTempFile::with_prefix_in(TEMPORARY, self.own_folder()?)
            .context(|| "cannot make a temporary file".to_owned())
    }

    fn temporary_folder(&self) -> Result<TempDir> {
        TempDir::with_prefix_in(TEMPORARY, self.own_folder()?)
            .context(|| "cannot make a temporary directory".to_owned())
    }

    /// Removes temporary files of commands that were killed more than a day ago.
    fn sweep(&self) {
        let old = |metadata: std::fs::Metadata| {
            metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > DAY))
        };
        for entry in self.own_folder().into_iter().flat_map(std::fs::read_dir).flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(TEMPORARY.as_bytes()) && entry.metadata().is_ok_and(old) {
                let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
            }
        }
    }

    /// Returns the directory that is ours; it exists.
    fn own_folder(&self) -> Result<PathBuf> {
        let folder = self.vcs.own_folder(self);
        std::fs::create_dir_all(&folder).context(|| format!("cannot make '{}'", folder.display()))?;
        Ok(folder)
    }
}

/// Splits what git printed into exactly `N` lines.
fn lines<const N: usize>(output: &[u8]) -> Result<[&[u8]; N]> {
    let output = output.strip_suffix(b"\n").unwrap_or(output);
    let lines: Vec<_> = output.split(|&byte| byte == b'\n').collect();
    lines.try_into().map_err(|_| Error::refused("the path of the repository holds a line end"))
}

fn as_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// Returns the file below `top` that a path of git's names.
fn on_disk(top: &Path, path: &[u8]) -> PathBuf {
    top.join(std::ffi::OsStr::from_bytes(path))
}
