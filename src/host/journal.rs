//! What a landing is about to replace, kept until it is done, so that a landing which fails half-way, or was killed, is
//! taken back: the same files, with their times, not copies of them.
//!
//! The journal is a folder of ours beside the working tree: `trees` names the tree of the files before and after, and
//! the file that is about to be replaced by the n-th change between the two is linked as `n`.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps};

use super::{Repo, on_disk};
use crate::error::{Context, Error, Result};
use crate::snapshot::{Change, Oid};
use crate::text;

/// A file that somebody wrote where a landing had written, and that is kept elsewhere now.
#[derive(Debug)]
pub struct SetAside {
    /// Where it was, relative to the top of the work tree.
    pub path: Vec<u8>,
    /// Where it is now.
    pub kept: PathBuf,
}

/// The journal of one landing. Left without an end, it is for [`recover`] to take the landing back.
pub struct Journal<'a> {
    repo: &'a Repo,
    top: &'a Path,
    folder: PathBuf,
    /// Times of the folders that the landing changes.
    times: BTreeMap<PathBuf, SystemTime>,
    /// Held as long as the landing lives.
    _lock: File,
}

impl<'a> Journal<'a> {
    /// Opens the journal and keeps what the changes between two trees would replace.
    ///
    /// # Errors
    /// When another landing is under way, or a file cannot be kept; nothing was changed then.
    pub fn open(repo: &'a Repo, before: &Oid, after: &Oid, changes: &[Change]) -> Result<Journal<'a>> {
        let (folder, top) = (folder(repo), repo.top()?);
        let mut journal = Journal { repo, top, _lock: lock(&folder)?, folder, times: BTreeMap::new() };
        let kept = journal.keep_all(before, after, changes);
        if kept.is_err() {
            let _ = fs::remove_dir_all(&journal.folder);
        }
        let folder = journal.folder.clone();
        kept.context(|| format!("cannot keep what the landing replaces in '{}'", folder.display()))?;
        Ok(journal)
    }

    fn keep_all(&mut self, before: &Oid, after: &Oid, changes: &[Change]) -> io::Result<()> {
        for (number, change) in changes.iter().enumerate() {
            let path = on_disk(self.top, &change.path);
            self.remember_times(&path);
            if change.old_mode != 0 {
                keep(&path, &self.folder.join(number.to_string()))?;
            }
        }
        // Last, and by renaming: as long as it is not there, nothing has been written.
        let draft = self.folder.join("draft");
        fs::write(&draft, format!("{before} {after}"))?;
        File::open(&draft)?.sync_all()?;
        fs::rename(draft, self.folder.join("trees"))
    }

    fn remember_times(&mut self, path: &Path) {
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(self.top)) {
            if self.times.contains_key(folder) {
                break;
            }
            if let Ok(time) = fs::symlink_metadata(folder).and_then(|metadata| metadata.modified()) {
                self.times.insert(folder.to_owned(), time);
            }
        }
    }

    /// Ends the journal: the landing is whole and recorded, or has written nothing.
    pub fn close(self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Takes the landing back; returns what it had to set aside.
    ///
    /// # Errors
    /// When a file cannot be put back; the journal stays, for the next try.
    pub fn take_back(self) -> Result<Vec<SetAside>> {
        let aside = put_back(self.repo, self.top, &self.folder)?;
        for (folder, time) in &self.times {
            let _ = set_time(folder, *time);
        }
        Ok(aside)
    }
}

/// Takes back a landing that was killed; returns what it had to set aside, or `None` where there was no such landing.
///
/// # Errors
/// When another landing is under way, or a file cannot be put back.
pub fn recover(repo: &Repo) -> Result<Option<Vec<SetAside>>> {
    let folder = folder(repo);
    if !folder.exists() {
        return Ok(None);
    }
    let _lock = lock(&folder)?;
    let begun = folder.join("trees").exists();
    let aside = put_back(repo, repo.top()?, &folder)?;
    Ok(begun.then_some(aside))
}

fn folder(repo: &Repo) -> PathBuf {
    repo.vcs.own_folder(repo).join("landing")
}

fn lock(folder: &Path) -> Result<File> {
    let context = || format!("cannot make '{}'", folder.display());
    fs::create_dir_all(folder).context(context)?;
    let lock = File::create(folder.join("lock")).context(context)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::refused("another landing is under way in this working tree").detail("wait for it, then try again")
    })?;
    // A program that writes for us keeps it: one that outlives us is still at work.
    rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty()).context(context)?;
    Ok(lock)
}

/// Keeps a file: as another link to it, or where the disk has no links, as a copy with its time.
fn keep(path: &Path, kept: &Path) -> io::Result<()> {
    match fs::hard_link(path, kept) {
        Err(error) if error.kind() != ErrorKind::NotFound => copy(path, kept),
        result => result,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else {
        fs::copy(from, to)?;
    }
    set_time(to, metadata.modified()?)
}

fn set_time(path: &Path, time: SystemTime) -> io::Result<()> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    let time = Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Puts everything back, and takes the journal away.
fn put_back(repo: &Repo, top: &Path, folder: &Path) -> Result<Vec<SetAside>> {
    let mut aside = Vec::new();
    if let Ok(trees) = fs::read_to_string(folder.join("trees")) {
        let (before, after) = trees.split_once(' ').unwrap_or_default();
        let changes = repo.diff(&before.parse()?, &after.parse()?, false, &[])?;
        let foreign = foreign(repo, &changes)?;
        let mut clear = |change: &Change| {
            aside.extend(clear(top, &change.path, foreign.contains(&change.path), repo)?);
            Ok::<_, Error>(())
        };
        // New files first: one may be where a folder was, or need the room.
        for change in changes.iter().filter(|change| change.old_mode == 0) {
            clear(change)?;
            remove_empty_folders(top, &change.path);
        }
        for (number, change) in changes.iter().enumerate().filter(|(_, change)| change.old_mode != 0) {
            let (kept, path) = (folder.join(number.to_string()), on_disk(top, &change.path));
            if !same_file(&kept, &path) {
                clear(change)?;
                restore(&kept, &path)?;
            }
        }
    }
    fs::remove_dir_all(folder).context(|| format!("cannot remove '{}'", folder.display()))?;
    Ok(aside)
}

/// Returns the paths whose files are not what the landing writes there: it was stopped inside of one, or somebody has
/// edited it since.
fn foreign(repo: &Repo, changes: &[Change]) -> Result<HashSet<Vec<u8>>> {
    let scratch = repo.temporary_folder()?;
    let git = repo.vcs.pen(repo, scratch.path())?;
    git.enter(changes.iter().filter(|change| change.new_mode != 0).map(Change::after))?;
    let mut foreign: HashSet<_> = git.edited()?.into_iter().collect();
    foreign.extend(changes.iter().filter(|change| change.new_mode == 0).map(|change| change.path.clone()));
    Ok(foreign)
}

/// Makes room for what was at a path: removes what the landing wrote there; sets anything else aside.
fn clear(top: &Path, path: &[u8], foreign: bool, repo: &Repo) -> Result<Option<SetAside>> {
    let place = on_disk(top, path);
    let context = || format!("cannot take {} back", text::path(path));
    match fs::symlink_metadata(&place) {
        // A folder is there only in place of a file that went, and is empty by now unless somebody wrote into it.
        Ok(there) if there.is_dir() && fs::remove_dir(&place).is_ok() => Ok(None),
        Ok(there) if foreign || there.is_dir() => {
            let aside =
                tempfile::Builder::new().prefix("set-aside-").tempdir_in(repo.own_folder()?).context(context)?;
            let aside = aside.keep().join("file");
            fs::rename(&place, &aside).context(context)?;
            Ok(Some(SetAside { path: path.to_vec(), kept: aside }))
        }
        Ok(_) => fs::remove_file(&place).context(context).map(|()| None),
        Err(_) => Ok(None),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let id = |path| fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

fn remove_empty_folders(top: &Path, path: &[u8]) {
    for folder in on_disk(top, path).ancestors().skip(1).take_while(|folder| *folder != top) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

fn restore(kept: &Path, path: &Path) -> Result<()> {
    let context = || format!("cannot put '{}' back; it is kept as '{}'", path.display(), kept.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).context(context)?;
    }
    match fs::rename(kept, path) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => copy(kept, path).context(context),
        result => result.context(context),
    }
}
