//! What on disk stands in the way of a landing. Everything is looked at before the first byte is written.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::vcs::Ours;
use super::{Repo, on_disk};
use crate::error::{Context, Result};
use crate::snapshot::Change;

/// A path that cannot land, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// The path, relative to the top of the work tree.
    pub path: Vec<u8>,
    /// The reason.
    pub why: Why,
}

/// Why a path cannot land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It has changed here and in the guest.
    BothChanged,
    /// It is a submodule: its pointer alone would vanish unseen.
    Submodule,
    /// git does not track what is there.
    UntrackedByGit,
    /// jj does not track what is there.
    UntrackedByJj,
    /// It is outside of git's sparse checkout.
    OutsideGitSparse,
    /// It is outside of jj's sparse patterns.
    OutsideJjSparse,
    /// Its name is not UTF-8, and jj holds no such.
    NameNotUtf8,
    /// Its directory cannot be written.
    DirectoryNotWritable,
    /// It changed while the landing was being planned.
    ChangedMeanwhile,
}

impl Obstacle {
    pub(super) fn new(path: &[u8], why: Why) -> Obstacle {
        Obstacle { path: path.to_vec(), why }
    }
}

/// Finds what stands in the way of these changes to `ours`; the list holds no renames.
///
/// # Errors
/// When the disk cannot be looked at.
pub fn find(repo: &Repo, ours: &Ours, changes: &[Change]) -> Result<Vec<Obstacle>> {
    let top = repo.top()?;
    let mut found = BTreeSet::new();
    for change in changes {
        if change.is_submodule() {
            found.insert(Obstacle::new(&change.path, Why::Submodule));
        }
    }
    found.extend(repo.vcs.unfit(repo, ours, changes)?);
    let new: Vec<&[u8]> = changes.iter().filter(|change| change.status == 'A').map(|change| &*change.path).collect();
    let going = changes.iter().filter(|change| change.status == 'D').map(|change| &*change.path).collect();
    for path in new {
        found.extend(in_the_way(top, path, &going)?.into_iter().map(|path| {
            // git itself refuses to overwrite an untracked file, but not an ignored one: a '.env'.
            Obstacle::new(&path, repo.vcs.untracked())
        }));
    }
    for change in changes {
        if !can_write(top, &change.path) {
            found.insert(Obstacle::new(&change.path, Why::DirectoryNotWritable));
        }
    }
    Ok(found.into_iter().collect())
}

/// Returns what exists where a new file would be, and is not going: the file's own place, a file in place of one of its
/// folders, files in a folder in its place.
fn in_the_way(top: &Path, path: &[u8], going: &HashSet<&[u8]>) -> Result<Vec<Vec<u8>>> {
    let folders = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    for folder in folders {
        match fs::symlink_metadata(on_disk(top, folder)) {
            Ok(there) if there.is_dir() => {}
            Ok(_) if going.contains(folder) => return Ok(Vec::new()),
            Ok(_) => return Ok(vec![folder.to_vec()]),
            Err(_) => return Ok(Vec::new()),
        }
    }
    let mut found = Vec::new();
    let mut places = vec![path.to_vec()];
    while let Some(place) = places.pop() {
        let Ok(there) = fs::symlink_metadata(on_disk(top, &place)) else { continue };
        if there.is_dir() {
            let context = || format!("cannot look into {}", crate::text::path(&place));
            for entry in fs::read_dir(on_disk(top, &place)).context(context)? {
                let name = entry.context(context)?.file_name();
                places.push([&place, b"/".as_slice(), name.as_bytes()].concat());
            }
        } else if !going.contains(place.as_slice()) {
            found.push(place);
        }
    }
    Ok(found)
}

/// Tells whether an entry at `path` can be made or replaced: its folder, or the nearest one that exists, is writable.
fn can_write(top: &Path, path: &[u8]) -> bool {
    let mut folder = on_disk(top, path);
    while folder.pop() {
        if folder.is_dir() {
            return rustix::fs::accessat(CWD, &folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok();
        }
        if folder == top {
            break;
        }
    }
    true
}

/// Returns how many bytes are missing on the disk for these changes; 0 when there is room.
///
/// # Errors
/// When the sizes cannot be read.
pub fn missing_space(repo: &Repo, changes: &[Change]) -> Result<u64> {
    let new = changes.iter().filter(|change| change.new_mode != 0 && !change.is_submodule());
    let input: String = new.map(|change| format!("{}\n", change.new)).collect();
    if input.is_empty() {
        return Ok(0);
    }
    let sizes = repo.git.call(["cat-file", "--batch-check=%(objectsize)", "--buffer"]).input(input).stdout()?;
    let sizes = String::from_utf8_lossy(&sizes).lines().filter_map(|line| line.parse::<u64>().ok()).collect::<Vec<_>>();
    // What is replaced stays beside the new until all has landed; and a file takes whole blocks.
    let needed: u64 = sizes.iter().map(|size| size.next_multiple_of(4096)).sum();
    let disk = rustix::fs::statvfs(repo.top()?).context(|| "cannot ask for the room on the disk".to_owned())?;
    Ok(needed.saturating_sub(disk.f_bavail * disk.f_frsize))
}
