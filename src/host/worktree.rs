//! A git work tree.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::git::Git;
use super::land::Plan;
use super::obstacles::{Obstacle, Why};
use super::vcs::{Landed, Ours, Vcs};
use super::{Head, Repo, config};
use crate::error::{Context, Error, Next, Result};
use crate::snapshot::{Change, Oid};

/// A git work tree, or a repository without one.
#[derive(Debug)]
pub struct WorkTree {
    /// The user's index.
    pub index: PathBuf,
}

impl Vcs for WorkTree {
    fn is_jj(&self) -> bool {
        false
    }

    fn head(&self, repo: &Repo) -> Result<Head> {
        let symbolic = repo.git.call(["symbolic-ref", "-q", "HEAD"]).run()?;
        // A branch's name need not be UTF-8.
        let full = (symbolic.code == Some(0)).then(|| symbolic.stdout.trim_ascii_end());
        let branch = full.and_then(|full| full.strip_prefix(b"refs/heads/"));
        let branch = branch.map(|branch| OsStr::from_bytes(branch).to_owned());
        if let Some(commit) = repo.git.maybe_oid(["rev-parse", "-q", "--verify", "HEAD^{commit}"])? {
            return Ok(Head { commit, branch, unborn: false });
        }
        let verify = ["rev-parse", "-q", "--verify"].map(OsStr::new);
        match full {
            Some(full) if repo.git.maybe_oid(verify.into_iter().chain([OsStr::from_bytes(full)]))?.is_none() => {
                Ok(Head { commit: repo.empty_commit()?, branch, unborn: true })
            }
            _ => Err(Error::refused("HEAD names no commit").next(Next::Fsck)),
        }
    }

    fn identity(&self, repo: &Repo) -> Result<[OsString; 2]> {
        Ok([config::get(repo, "user.name")?, config::get(repo, "user.email")?])
    }

    fn files(&self, repo: &Repo, untracked: bool, _why: &str) -> Result<Ours> {
        repo.top()?;
        let folder = repo.temporary_folder()?;
        let index = folder.path().join("index");
        copy_index(&self.index, &index)?;
        let git = repo.git.with_index(&index);
        let entries = Entries::read(&git, repo.top()?)?;
        entries.show_all(&git)?;

        let others = git.call([SHOW_ALL, &["ls-files", "-z", "-o", "--exclude-standard"]].concat()).stdout()?;
        let others: Vec<_> =
            others.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect();
        let changed = [SHOW_ALL, &["diff-files", "-z", "--name-status", "--no-renames", "--ignore-submodules=dirty"]];
        let changed = git.call(changed.concat()).stdout()?;
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        let mut fields = changed.split_inclusive(|&byte| byte == 0);
        while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
            if status == b"D\0" { gone.extend(path) } else { there.extend(path) }
        }
        // A nested repository, which ends with a slash, is no file of this one.
        for path in others.iter().filter(|path| untracked && !path.ends_with(b"/")) {
            there.extend(path);
            there.push(0);
        }
        // What is gone goes first, and unseen: its directory may be a symlink by now.
        if !gone.is_empty() {
            git.call(["update-index", "-z", "--force-remove", "--stdin"]).input(gone).stdout()?;
        }
        if !there.is_empty() {
            let update = [SHOW_ALL, &["update-index", "-z", "--add", "--remove", "--replace", "--stdin"]];
            git.call(update.concat()).input(there).stdout()?;
        }
        let tree = git.oid(["write-tree"])?;
        Ok(Ours { tree, absent: entries.absent, untracked: others, operation: String::new() })
    }

    fn unfit(&self, repo: &Repo, ours: &Ours, changes: &[Change]) -> Result<Vec<Obstacle>> {
        let sparse = |path: &[u8]| Obstacle::new(path, Why::OutsideGitSparse);
        let new: Vec<_> = changes.iter().filter(|change| change.status == 'A').map(|change| &*change.path).collect();
        let absent = changes.iter().filter(|change| ours.absent.contains(&change.path));
        let mut unfit: Vec<_> = absent.map(|change| sparse(&change.path)).collect();
        unfit.extend(outside_sparse(repo, &new)?.iter().map(|path| sparse(path)));
        Ok(unfit)
    }

    fn untracked(&self) -> Why {
        Why::UntrackedByGit
    }

    fn pen(&self, repo: &Repo, folder: &Path) -> Result<Git> {
        Ok(repo.git.with_index(folder.join("index")))
    }

    fn own_folder(&self, repo: &Repo) -> PathBuf {
        repo.git_dir.join("banger")
    }

    /// git itself keeps `refs/worktree` apart.
    fn landing(&self) -> Result<String> {
        Ok("landing".to_owned())
    }

    /// A mark is jj's, and git cannot tell.
    fn holds(&self, mark: Option<&Oid>) -> Result<bool> {
        Ok(mark.is_none())
    }

    fn begin(&self, _plan: &Plan<'_>) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _plan: &Plan<'_>) -> Result<Landed> {
        Ok(Landed { wrote: true, ..Landed::default() })
    }

    fn record_conflict(&self, _plan: &Plan<'_>) -> Result<Landed> {
        Err(Error::bug("git cannot record a conflict in files"))
    }
}

/// Files outside a sparse checkout that are on disk all the same are files as any other.
const SHOW_ALL: &[&str] = &["-c", "core.sparseCheckout=false"];

/// Copies the index with its time: git takes a file for unchanged by comparing its time with the index's. Without, 2 of
/// 200 same-size edits made right after the index was written were missed (git 2.47).
fn copy_index(from: &Path, to: &PathBuf) -> Result<()> {
    let context = || format!("cannot copy the index '{}'", from.display());
    let mut source = match File::open(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        source => source.context(context)?,
    };
    let time = source.metadata().and_then(|metadata| metadata.modified()).context(context)?;
    let mut copy = File::create(to).context(context)?;
    std::io::copy(&mut source, &mut copy).context(context)?;
    copy.set_modified(time).context(context)
}

/// What the index says about its entries, beside their content.
#[derive(Default)]
struct Entries {
    assumed: Vec<u8>,
    skipped_but_there: Vec<u8>,
    absent: HashSet<Vec<u8>>,
}

impl Entries {
    fn read(git: &Git, top: &Path) -> Result<Entries> {
        let list = git.call(["ls-files", "-z", "-v"]).stdout()?;
        let mut entries = Entries::default();
        // TAG SP PATH
        for line in list.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
            let path = line.get(2..).ok_or_else(|| Error::bug("git ls-files printed no path"))?;
            if line[0].is_ascii_lowercase() {
                entries.assumed.extend([path, b"\0"].concat());
            }
            if line[0].eq_ignore_ascii_case(&b'S') {
                if fs::symlink_metadata(super::on_disk(top, path)).is_ok() {
                    entries.skipped_but_there.extend([path, b"\0"].concat());
                } else {
                    entries.absent.insert(path.to_vec());
                }
            }
        }
        Ok(entries)
    }

    /// Clears the flags that would hide edits.
    fn show_all(&self, git: &Git) -> Result<()> {
        for (flag, paths) in [("--no-assume-unchanged", &self.assumed), ("--no-skip-worktree", &self.skipped_but_there)]
        {
            if !paths.is_empty() {
                git.call(["update-index", flag, "-z", "--stdin"]).input(paths.clone()).stdout()?;
            }
        }
        Ok(())
    }
}

/// Returns new paths of `tree` that a sparse checkout here would keep off the disk.
///
/// git itself decides: the paths are checked out, empty, into a directory that goes.
fn outside_sparse(repo: &Repo, new: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let sparse = repo.git.call(["config", "--type=bool", "--get", "core.sparseCheckout"]).stdout().unwrap_or_default();
    if new.is_empty() || !sparse.starts_with(b"true") {
        return Ok(Vec::new());
    }
    let folder = repo.temporary_folder()?;
    let git = repo.git.with_index(folder.path().join("index")).with_work_tree(folder.path().join("files"));
    fs::create_dir(folder.path().join("files")).context(|| "cannot make a temporary directory".to_owned())?;
    let empty = git.oid(["hash-object", "-t", "blob", "-w", "--stdin"])?;
    git.enter(new.iter().map(|path| (0o100644, &empty, *path)))?;
    let tree = git.oid(["write-tree"])?;
    git.call(["read-tree", "--empty"]).stdout()?;
    git.call(["read-tree", "-m", "-u", tree.as_str()]).stdout()?;
    let list = git.call(["ls-files", "-z", "-t"]).stdout()?;
    let skipped = list.split(|&byte| byte == 0).filter_map(|line| line.strip_prefix(b"S "));
    Ok(skipped.map(<[u8]>::to_vec).collect())
}
