//! What a landing is about to replace, kept until it is done, so that a landing which fails half-way, or was killed, is
//! taken back: the same files, with their times, not copies of them.
//!
//! The journal is a folder in the git directory: `paths` lists each path that the landing writes, NUL-ended, behind a
//! letter for whether a file was there; the file that was there is linked as its number in the list.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps};

use super::on_disk;
use crate::error::{Context, Error, Result};
use crate::snapshot::Change;

/// The journal of one landing; dropped before [`Journal::done`], it takes the landing back.
pub struct Journal {
    folder: PathBuf,
    top: PathBuf,
    /// Times of the folders that the landing changes.
    times: BTreeMap<PathBuf, SystemTime>,
    /// Held as long as the landing lives.
    _lock: File,
    done: bool,
}

impl Journal {
    /// Opens the journal and keeps what these changes would replace; the list holds no renames.
    ///
    /// # Errors
    /// When another landing is under way, or a file cannot be kept; nothing was changed then.
    pub fn open(folder: &Path, top: &Path, changes: &[Change]) -> Result<Journal> {
        let lock = lock(folder)?;
        let kept = || format!("cannot keep what the landing replaces in '{}'", folder.display());
        let mut journal = Journal {
            folder: folder.to_owned(),
            top: top.to_owned(),
            times: BTreeMap::new(),
            _lock: lock,
            done: false,
        };
        let mut paths = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            let path = on_disk(top, &change.path);
            journal.remember_times(&path);
            let there = change.old_mode != 0;
            paths.push(if there { b'-' } else { b'+' });
            paths.extend(&change.path);
            paths.push(0);
            if there {
                keep(&path, &folder.join(number.to_string())).context(kept)?;
            }
        }
        // Last, and by renaming: without a whole list nothing has been written yet.
        let draft = folder.join("draft");
        File::create(&draft)
            .and_then(|mut file| file.write_all(&paths).and_then(|()| file.sync_all()))
            .context(kept)?;
        fs::rename(draft, folder.join("paths")).context(kept)?;
        Ok(journal)
    }

    /// Ends the journal: the landing is whole, and recorded.
    pub fn done(mut self) {
        self.done = true;
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Takes the landing back.
    ///
    /// # Errors
    /// When a file cannot be put back; the journal stays, for the next try.
    pub fn take_back(mut self) -> Result<()> {
        self.done = true;
        put_back(&self.folder, &self.top)?;
        for (folder, time) in &self.times {
            let _ = set_time(folder, *time);
        }
        Ok(())
    }

    fn remember_times(&mut self, path: &Path) {
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.top)) {
            if self.times.contains_key(folder) {
                break;
            }
            if let Ok(time) = fs::symlink_metadata(folder).and_then(|metadata| metadata.modified()) {
                self.times.insert(folder.to_owned(), time);
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.done {
            // Only on the way out of another failure, which is the one to report; the journal stays if this fails.
            let _ = put_back(&self.folder, &self.top);
        }
    }
}

/// Takes back a landing that was killed; tells whether there was one.
///
/// # Errors
/// When another landing is under way, or a file cannot be put back.
pub fn recover(folder: &Path, top: &Path) -> Result<bool> {
    if !folder.exists() {
        return Ok(false);
    }
    let lock = lock(folder)?;
    let begun = folder.join("paths").exists();
    put_back(folder, top)?;
    drop(lock);
    Ok(begun)
}

fn lock(folder: &Path) -> Result<File> {
    let context = || format!("cannot make '{}'", folder.display());
    fs::create_dir_all(folder).context(context)?;
    let lock = File::create(folder.join("lock")).context(context)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::refused("another landing is under way in this working tree").hint("wait for it, then try again")
    })?;
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
fn put_back(folder: &Path, top: &Path) -> Result<()> {
    let paths = match fs::read(folder.join("paths")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        paths => paths.context(|| "cannot read the journal of a landing".to_owned())?,
    };
    let entries: Vec<&[u8]> = paths.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()).collect();
    // New files first: one may be where a folder was, or need the room.
    for entry in &entries {
        if let [b'+', path @ ..] = entry {
            remove_new(top, path)?;
        }
    }
    for (number, entry) in entries.iter().enumerate() {
        if let [b'-', path @ ..] = entry {
            restore(&folder.join(number.to_string()), &on_disk(top, path))?;
        }
    }
    fs::remove_dir_all(folder).context(|| format!("cannot remove '{}'", folder.display()))
}

fn remove_new(top: &Path, path: &[u8]) -> Result<()> {
    let path = on_disk(top, path);
    match fs::remove_file(&path) {
        Err(error)
            if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory) =>
        {
            return Err(error).context(|| format!("cannot remove '{}'", path.display()));
        }
        _ => {}
    }
    // Folders that came with it; what was there before is not empty, or was of no use to git.
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != top) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

fn restore(kept: &Path, path: &Path) -> Result<()> {
    let context = || format!("cannot put '{}' back; it is kept as '{}'", path.display(), kept.display());
    if !kept.exists() && !kept.is_symlink() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).context(context)?;
    }
    match fs::rename(kept, path) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let _ = fs::remove_file(path);
            copy(kept, path).context(context)
        }
        result => result.context(context),
    }
}
