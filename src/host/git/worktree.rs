//! A git work tree.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::filters::{self, Desk};
use super::lfs::Pointers;
use super::{Git, lfs, look};
use crate::error::{Context, Error, Next, Result};
use crate::host::entries::{from_nul, lines};
use crate::host::landing::look::{Asked, Ours};
use crate::host::landing::{Obstacle, Why};
use crate::host::scratch::Scratch;
use crate::host::working_copy::{Files, Wanted, WorkingCopy};
use crate::host::{Head, Repo, config, on_disk};
use crate::snapshot::{Change, Snapshot};

/// A git work tree, or a repository without one.
#[derive(Debug)]
pub struct Worktree {
    /// The user's index.
    pub index: PathBuf,
}

impl WorkingCopy for Worktree {
    fn name(&self, repo: &Repo) -> Result<String> {
        if repo.git_dir == repo.common_dir {
            return Ok(MAIN.to_owned());
        }
        let id = repo.git_dir.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
        // A linked worktree may be called as the main one is.
        Ok(if id == MAIN { format!("{MAIN}@") } else { id })
    }

    fn top_of(&self, repo: &Repo, name: &str) -> Option<PathBuf> {
        if name == MAIN {
            return Some(repo.common_dir.parent()?.to_owned());
        }
        let id = if name == format!("{MAIN}@") { MAIN } else { name };
        let own = repo.common_dir.join("worktrees").join(id);
        let link = fs::read(own.join("gitdir")).ok()?;
        // It may be relative to where it is written.
        Some(own.join(OsStr::from_bytes(link.trim_ascii_end())).parent()?.to_owned())
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

    fn files(&self, repo: &Repo, wanted: Wanted<'_>, _why: &str) -> Result<Files> {
        repo.top()?;
        let folder = repo.temporary_folder()?;
        let index = folder.path().join("index");
        copy_index(&self.index, &index)?;
        let git = repo.git.with_index(&index);
        let entries = Entries::read(&git, repo.top()?)?;
        entries.show_all(&git)?;
        let hides: HashSet<&[u8]> =
            if is_sparse(repo)? { lines(&entries.assumed).collect() } else { entries.flagged().collect() };

        let others = git.call([SHOW_ALL, &["ls-files", "-z", "-o", "--exclude-standard"]].concat()).stdout()?;
        let others = from_nul(&others);
        let included = self.included(&git, wanted.include)?;
        let changed = [SHOW_ALL, &["diff-files", "-z", "--name-status", "--no-renames", "--ignore-submodules=all"]];
        let changed = git.call(changed.concat()).stdout()?;
        let (mut gone, mut there, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        let mut fields = changed.split_inclusive(|&byte| byte == 0);
        while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
            let name = &path[..path.len() - 1];
            if hides.contains(name) {
                hidden.push(name.to_vec());
            } else if status == b"D\0" {
                gone.extend(path);
            } else {
                there.extend(path);
            }
        }
        // A nested repository, which ends with a slash, is no file of this one.
        let untracked = others.iter().filter(|path| wanted.untracked && !path.ends_with(b"/"));
        for path in untracked.chain(&included) {
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
        Ok(Files { tree, untracked: others, hidden, included })
    }

    fn look(&self, repo: &Repo, scratch: &Scratch, asked: &Asked<'_>) -> Result<Ours> {
        look::look(repo, &self.index, scratch, asked)
    }

    fn attributes(
        &self,
        repo: &Repo,
        scratch: &Scratch,
        paths: &[&[u8]],
        names: &[&str],
    ) -> Result<Vec<(Vec<u8>, String, String)>> {
        let (desk, _) = self.desk(repo, scratch, &scratch.path("attributes"), paths)?;
        desk.attributes(paths, names)
    }

    fn pointers(&self, repo: &Repo, scratch: &Scratch, changes: &[Change], snapshot: &Snapshot) -> Result<Pointers> {
        lfs::pointers(repo, scratch, changes, snapshot)
    }

    fn unfit(&self, repo: &Repo, changes: &[Change], hidden: &HashSet<&[u8]>) -> Result<Vec<Obstacle>> {
        let sparse = |path: &[u8]| Obstacle::new(path, Why::OutsideGitSparse);
        let new: Vec<_> = changes.iter().filter(|change| change.status == 'A').map(|change| &*change.path).collect();
        let absent = changes.iter().filter(|change| hidden.contains(change.path.as_slice()));
        let mut unfit: Vec<_> = absent.map(|change| sparse(&change.path)).collect();
        unfit.extend(outside_sparse(repo, &new)?.iter().map(|path| sparse(path)));
        Ok(unfit)
    }

    fn ignored(&self, repo: &Repo, paths: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        filters::ignored(&repo.git.with_index(&self.index), paths)
    }

    fn tracked(&self, repo: &Repo, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
        if paths.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(filters::indexed(&repo.git.with_index(&self.index), paths)?.into_keys().collect())
    }

    fn untracked(&self) -> Why {
        Why::UntrackedByGit
    }

    fn desk(&self, repo: &Repo, scratch: &Scratch, folder: &Path, paths: &[&[u8]]) -> Result<(Desk, bool)> {
        let desk = Desk::new(&scratch.lend(&repo.git), folder)?;
        let has_attributes = desk.obey(paths)?;
        Ok((desk, has_attributes || filters::may_convert(repo)?))
    }

    fn own_folder(&self, repo: &Repo) -> PathBuf {
        repo.git_dir.join("banger")
    }
}

impl Worktree {
    /// Returns the ignored files that pathspecs choose.
    fn included(&self, git: &Git, pathspecs: &[OsString]) -> Result<Vec<Vec<u8>>> {
        let mut included = Vec::new();
        for pathspec in pathspecs {
            let list = [SHOW_ALL, &["ls-files", "-z", "-o", "-i", "--exclude-standard", "--"]].concat();
            let mut found = from_nul(&git.call(list).args([pathspec.clone()]).stdout()?);
            found.retain(|path| !path.ends_with(b"/"));
            if found.is_empty() {
                let pathspec = crate::text::path(pathspec.as_bytes());
                return Err(Error::refused(format!("--include {pathspec} matches no ignored file")));
            }
            included.extend(found);
        }
        included.sort_unstable();
        included.dedup();
        Ok(included)
    }
}

/// Tells whether a sparse checkout keeps files off the disk here.
fn is_sparse(repo: &Repo) -> Result<bool> {
    let sparse = config::core(repo)?.iter().rfind(|(key, _)| key == "core.sparsecheckout");
    Ok(sparse.is_some_and(|(_, value)| !config::is_no(value.as_deref())))
}

/// What the records of the main worktree are called by.
const MAIN: &str = "main";

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
            if line[0].eq_ignore_ascii_case(&b'S') && fs::symlink_metadata(on_disk(top, path)).is_ok() {
                entries.skipped_but_there.extend([path, b"\0"].concat());
            }
        }
        Ok(entries)
    }

    /// Returns the paths of entries whose flags hide edits.
    fn flagged(&self) -> impl Iterator<Item = &[u8]> {
        lines(&self.assumed).chain(lines(&self.skipped_but_there))
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
    if new.is_empty() || !is_sparse(repo)? {
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
