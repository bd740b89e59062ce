//! The host's own files, taken as a tree without touching them or the index.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Repo;
use super::git::Git;
use crate::error::{Context, Error, Result};
use crate::snapshot::Oid;

/// The host's own files.
pub struct Ours {
    /// Their tree: tracked and untracked files, without the ignored ones.
    pub tree: Oid,
    /// Paths in the index that git keeps off the disk (`git sparse-checkout`), or whose changes it does not look at.
    pub(super) absent: HashSet<Vec<u8>>,
    /// Submodules in the index.
    pub(super) submodules: u64,
    /// Files that git does not track and does not ignore; a nested repository counts as one.
    pub(super) untracked: Vec<Vec<u8>>,
}

/// Takes the host's files as they are on disk.
///
/// # Errors
/// When a file cannot be read, or an object not written.
pub fn take(repo: &Repo) -> Result<Ours> {
    scan(repo, true)
}

/// Takes the files, the untracked ones only when asked.
pub(super) fn scan(repo: &Repo, untracked: bool) -> Result<Ours> {
    repo.top()?;
    let folder = repo.temporary_folder()?;
    let index = folder.path().join("index");
    copy_index(&repo.index, &index)?;
    let git = repo.git.with_index(&index);
    let entries = Entries::read(&git, repo.top()?)?;
    entries.show_all(&git)?;

    let others = git.call([SHOW_ALL, &["ls-files", "-z", "-o", "--exclude-standard"]].concat()).stdout()?;
    let others: Vec<_> = others.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect();
    let changed = git.call([SHOW_ALL, &["diff-files", "-z", "--name-only", "--ignore-submodules=dirty"]].concat());
    let mut paths = changed.stdout()?;
    if untracked {
        for path in &others {
            // A nested repository, which ends with a slash, is no file of this one.
            if !path.ends_with(b"/") {
                paths.extend(path);
                paths.push(0);
            }
        }
    }
    let update = ["update-index", "-z", "--add", "--remove", "--replace", "--stdin"];
    git.call([SHOW_ALL, &update].concat()).input(paths).stdout()?;
    let tree = git.oid(["write-tree"])?;
    let (absent, submodules) = (entries.absent, entries.submodules);
    Ok(Ours { tree, absent, submodules, untracked: others })
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
    submodules: u64,
}

impl Entries {
    fn read(git: &Git, top: &Path) -> Result<Entries> {
        let list = git.call(["ls-files", "-z", "-v", "-s"]).stdout()?;
        let mut entries = Entries::default();
        // TAG SP MODE SP ID SP STAGE TAB PATH
        for line in list.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|&byte| byte == b'\t');
            let path = &line[tab.ok_or_else(|| Error::bug("git ls-files printed no path"))? + 1..];
            entries.submodules += u64::from(line[2..].starts_with(b"160000"));
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

impl Ours {
    /// Returns new paths of `tree` that a sparse checkout here would keep off the disk.
    ///
    /// git itself decides: the paths are checked out, empty, into a folder that goes.
    pub(super) fn outside_sparse(&self, repo: &Repo, new: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        let sparse =
            repo.git.call(["config", "--type=bool", "--get", "core.sparseCheckout"]).stdout().unwrap_or_default();
        if new.is_empty() || !sparse.starts_with(b"true") {
            return Ok(Vec::new());
        }
        let folder = repo.temporary_folder()?;
        let git = repo.git.with_index(folder.path().join("index")).with_work_tree(folder.path().join("files"));
        fs::create_dir(folder.path().join("files")).context(|| "cannot make a temporary folder".to_owned())?;
        let empty = git.oid(["hash-object", "-t", "blob", "-w", "--stdin"])?;
        git.enter(new.iter().map(|path| (0o100644, &empty, *path)))?;
        let tree = git.oid(["write-tree"])?;
        git.call(["read-tree", "--empty"]).stdout()?;
        git.call(["read-tree", "-m", "-u", tree.as_str()]).stdout()?;
        let list = git.call(["ls-files", "-z", "-t"]).stdout()?;
        let skipped = list.split(|&byte| byte == 0).filter_map(|line| line.strip_prefix(b"S "));
        Ok(skipped.map(<[u8]>::to_vec).collect())
    }
}
