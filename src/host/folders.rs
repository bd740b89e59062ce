//! Files below a folder, reached by handles of the folders on the way: no symlink is followed, however quickly one is put
//! in a folder's place.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{Access, AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// A handle of a folder, and handles of those below it that were needed last.
#[derive(Debug)]
pub struct Folders {
    top: Rc<OwnedFd>,
    /// Name and handle of each folder on the way to the last path: paths come sorted.
    way: RefCell<Vec<(Vec<u8>, Rc<OwnedFd>)>>,
}

/// So many handles are kept at most: a path may lead through two thousand folders, and on some systems a process has no
/// more than 256 open files.
const KEPT: usize = 32;

/// Removes a folder of ours with all that is in it.
///
/// # Errors
/// As rmdir(2) and unlink(2).
pub fn remove_all(folder: &Path) -> io::Result<()> {
    if std::fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    // That has a handle open for each level, which may be more than a process may have: what is deep comes up first.
    let (mut count, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at)?.collect::<io::Result<Vec<_>>>()? {
            if entry.file_type()?.is_dir() {
                count += 1;
                folders.push(folder.join(format!("up-{count}")));
                std::fs::rename(entry.path(), folder.join(format!("up-{count}")))?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        if at != folder {
            std::fs::remove_dir(at)?;
        }
    }
    std::fs::remove_dir(folder)
}

/// What tells a file from any other, and from itself after an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The file system.
    pub device: u64,
    /// The number of the file there.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content changed: seconds since 1970, and nanoseconds.
    pub changed: (i64, u32),
    /// Type and permissions.
    pub mode: u32,
}

impl Identity {
    #[expect(clippy::unnecessary_cast, reason = "the widths differ from system to system")]
    fn of(stat: &Stat) -> Identity {
        Identity {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            changed: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            mode: stat.st_mode as u32,
        }
    }

    /// Tells whether it is as the other, but for where it is.
    pub fn is_like(&self, other: &Identity) -> bool {
        (self.size, self.changed, self.mode) == (other.size, other.changed, other.mode)
    }

    /// Tells whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.mode & 0o170000 == 0o040000
    }

    /// Tells whether it is a symlink.
    pub fn is_symlink(&self) -> bool {
        self.mode & 0o170000 == 0o120000
    }

    /// Tells whether it is a file with content.
    pub fn is_file(&self) -> bool {
        self.mode & 0o170000 == 0o100000
    }
}

impl Folders {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(top: &Path) -> Result<Folders> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let top = rustix::fs::openat(CWD, top, flags, Mode::empty())
            .context(|| format!("cannot open '{}'", top.display()))?;
        Ok(Folders { top: Rc::new(top), way: RefCell::default() })
    }

    /// Returns the folder that a path is in, and the path's last name.
    fn parent<'a>(&self, path: &'a [u8]) -> io::Result<(Rc<OwnedFd>, &'a Path)> {
        let (folder, name) = split(path);
        let folder = match folder {
            Some(folder) => self.folder(folder, None)?,
            None => Rc::clone(&self.top),
        };
        Ok((folder, as_path(name)))
    }

    /// Returns the handle of a folder; makes what is missing where `made` is there to be told of it.
    fn folder(&self, path: &[u8], mut made: Option<&mut Vec<Vec<u8>>>) -> io::Result<Rc<OwnedFd>> {
        let mut way = self.way.borrow_mut();
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let known = way.iter().zip(&names).take_while(|((known, _), name)| known == *name).count();
        way.truncate(known);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let mut at: usize = names[..known].iter().map(|name| name.len() + 1).sum();
        // Below those that are kept.
        let mut deep: Option<Rc<OwnedFd>> = None;
        for name in &names[known..] {
            at += name.len();
            let above = deep.as_ref().or(way.last().map(|(_, handle)| handle)).unwrap_or(&self.top);
            let open = || rustix::fs::openat(above, as_path(name), flags, Mode::empty());
            let handle = match (open(), &mut made) {
                (Err(Errno::NOENT), Some(made)) => {
                    rustix::fs::mkdirat(above, as_path(name), Mode::from_raw_mode(0o777))?;
                    made.push(path[..at].to_vec());
                    open()?
                }
                (handle, _) => handle?,
            };
            if deep.is_none() && way.len() < KEPT {
                way.push((name.to_vec(), Rc::new(handle)));
            } else {
                deep = Some(Rc::new(handle));
            }
            at += 1;
        }
        if let Some(deep) = deep {
            return Ok(deep);
        }
        Ok(way.last().map_or_else(|| Rc::clone(&self.top), |(_, handle)| Rc::clone(handle)))
    }

    /// Forgets the handles: a folder may be another one by now.
    pub fn forget(&self) {
        self.way.borrow_mut().clear();
    }

    /// Makes the folders that a path is in, and adds those that it made to `made`, outermost first.
    ///
    /// # Errors
    /// As mkdir(2); what was made by then is in `made`.
    pub fn make_parent(&self, path: &[u8], made: &mut Vec<Vec<u8>>) -> io::Result<()> {
        split(path).0.map_or(Ok(()), |folder| self.folder(folder, Some(made)).map(drop))
    }

    /// Returns what is at a path; `None` where nothing is, or the path leads through what is no folder. The empty path is
    /// the top.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn look(&self, path: &[u8]) -> io::Result<Option<Identity>> {
        if path.is_empty() {
            return Ok(Some(Identity::of(&rustix::fs::fstat(&self.top)?)));
        }
        let look = || {
            let (folder, name) = self.parent(path)?;
            Ok::<_, io::Error>(Identity::of(&rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
        };
        match look() {
            Err(error) if is_absence(&error) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Tells whether a folder holds a repository of its own, or what stands for one.
    pub fn is_repository(&self, folder: &[u8]) -> bool {
        matches!(self.look(&[folder, b"/.git"].concat()), Ok(Some(_)))
    }

    /// Tells whether the file at a path can be read.
    pub fn is_readable(&self, path: &[u8]) -> bool {
        self.parent(path)
            .is_ok_and(|(folder, name)| rustix::fs::accessat(folder, name, Access::READ_OK, AtFlags::EACCESS).is_ok())
    }

    /// Tells whether entries can be made in the folder that a path is in, or in the nearest above it that is there.
    pub fn is_writable(&self, path: &[u8]) -> bool {
        let mut path = path;
        loop {
            match self.parent(path) {
                Ok((folder, _)) => {
                    let wanted = Access::WRITE_OK | Access::EXEC_OK;
                    return rustix::fs::accessat(folder, ".", wanted, AtFlags::EACCESS).is_ok();
                }
                Err(error) if is_absence(&error) => match split(path).0 {
                    Some(folder) => path = folder,
                    None => return false,
                },
                Err(_) => return false,
            }
        }
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    /// As open(2); a symlink is none.
    pub fn read(&self, path: &[u8]) -> io::Result<File> {
        let (folder, name) = self.parent(path)?;
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?))
    }

    /// Returns the id that git gives to the bytes of a file, as a blob that is not converted.
    ///
    /// # Errors
    /// As [`Folders::read`], and where the file becomes shorter or longer meanwhile.
    pub fn blob_id(&self, path: &[u8], object_format: &str) -> io::Result<String> {
        let file = self.read(path)?;
        let size = file.metadata()?.len();
        match object_format {
            "sha1" => blob_id::<sha1::Sha1>(file, size),
            _ => blob_id::<sha2::Sha256>(file, size),
        }
    }

    /// Returns where a symlink leads.
    ///
    /// # Errors
    /// As readlink(2).
    pub fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes())
    }

    /// Returns the paths of what is in a folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut paths = Vec::new();
        for entry in Dir::read_from(self.folder(path, None)?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                paths.push([path, b"/", name].concat());
            }
        }
        Ok(paths)
    }

    /// Moves what is at a path to where nothing is yet, here or in other folders.
    ///
    /// # Errors
    /// As rename(2); [`ErrorKind::AlreadyExists`] where something is.
    pub fn rename(&self, from: &[u8], to: &Folders, path: &[u8]) -> io::Result<()> {
        let (from, name) = self.parent(from)?;
        let (to, new) = to.parent(path)?;
        match rustix::fs::renameat_with(&from, name, &to, new, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match rustix::fs::statat(&to, new, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(ErrorKind::AlreadyExists.into()),
                    Err(_) => Ok(rustix::fs::renameat(&from, name, &to, new)?),
                }
            }
            renamed => Ok(renamed?),
        }
    }

    /// Makes the file at a path another name of one in other folders, where nothing is yet.
    ///
    /// # Errors
    /// As link(2).
    pub fn link(&self, from: &[u8], to: &Folders, path: &[u8]) -> io::Result<()> {
        let (from, name) = self.parent(from)?;
        let (to, new) = to.parent(path)?;
        Ok(rustix::fs::linkat(from, name, to, new, AtFlags::empty())?)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove(&self, path: &[u8]) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As rmdir(2).
    pub fn remove_folder(&self, path: &[u8]) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?;
        // Its handle is of no use any more.
        self.forget();
        Ok(())
    }

    /// Sets when the content of what is at a path changed.
    ///
    /// # Errors
    /// As utimensat(2).
    pub fn set_time(&self, path: &[u8], time: (i64, u32)) -> io::Result<()> {
        let time = rustix::fs::Timespec { tv_sec: time.0 as _, tv_nsec: time.1 as _ };
        let kept = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let times = rustix::fs::Timestamps { last_access: kept, last_modification: time };
        if path.is_empty() {
            return Ok(rustix::fs::futimens(&*self.top, &times)?);
        }
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives the folder at a path these permissions.
    ///
    /// # Errors
    /// As chmod(2).
    pub fn set_mode(&self, path: &[u8], mode: u32) -> io::Result<()> {
        let folder = self.folder(path, None)?;
        Ok(rustix::fs::fchmod(folder, Mode::from_raw_mode((mode & 0o7777) as _))?)
    }
}

fn blob_id<D: sha1::Digest>(file: File, size: u64) -> io::Result<String> {
    let mut digest = D::new();
    digest.update(format!("blob {size}\0"));
    let mut file = file.take(size + 1);
    let (mut buffer, mut read) = (vec![0; 64 << 10], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                digest.update(&buffer[..count]);
                read += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if read != size {
        return Err(io::Error::other("it was written meanwhile"));
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Tells whether an error says that nothing is there.
pub fn is_absence(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG))
}

/// Splits a path into the folder that it is in, if it is in one, and its last name.
pub fn split(path: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (Some(&path[..slash]), &path[slash + 1..]),
        None => (None, path),
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name))
}

/// Turns a path of git's into one for the system.
pub fn owned(path: &[u8]) -> std::ffi::OsString {
    std::ffi::OsString::from_vec(path.to_vec())
}
