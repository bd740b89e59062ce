//! Files as git names them: mode, blob and path.

use std::collections::BTreeMap;

use super::git::Git;
use crate::error::{Error, Result};
use crate::snapshot::{Change, Oid};

/// The mode of a submodule.
pub use crate::snapshot::GITLINK;
/// The mode of a symlink.
pub const SYMLINK: u32 = 0o120000;
/// The mode of a plain file.
pub const PLAIN: u32 = 0o100644;
/// The mode of a file that can be run.
pub const PROGRAM: u32 = 0o100755;

/// What git holds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The mode, octal.
    pub mode: u32,
    /// The content.
    pub blob: Oid,
}

/// Files by their paths, relative to the top of the working copy.
pub type Entries = BTreeMap<Vec<u8>, Entry>;

impl Entry {
    /// Returns what was at the path of a change.
    pub fn before(change: &Change) -> Option<Entry> {
        (change.old_mode != 0).then(|| Entry { mode: change.old_mode, blob: change.old.clone() })
    }

    /// Returns what is to be at the path of a change.
    pub fn after(change: &Change) -> Option<Entry> {
        (change.new_mode != 0).then(|| Entry { mode: change.new_mode, blob: change.new.clone() })
    }

    /// Reads mode and id, as git prints them.
    pub fn parse(mode: &str, blob: &str) -> Option<Entry> {
        Some(Entry { mode: u32::from_str_radix(mode, 8).ok()?, blob: blob.parse().ok()? })
    }

    /// Tells whether it is a file with content of its own, and no symlink or submodule.
    pub fn is_file(&self) -> bool {
        self.mode & 0o170000 == 0o100000
    }
}

/// Returns those of these paths that a tree, or a commit, has.
///
/// # Errors
/// When it is not there.
pub fn of_tree(git: &Git, tree: &str, paths: &[&[u8]]) -> Result<Entries> {
    let mut entries = Entries::new();
    let fixed = ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", tree, "--"];
    for paths in lists(paths) {
        let list = git.call(fixed).args(paths).stdout()?;
        entries.extend(parse(&list)?);
    }
    // A folder of that name is no file.
    entries.retain(|_, entry| entry.mode != 0o040000);
    Ok(entries)
}

/// Returns all files of a tree, or of a commit.
///
/// # Errors
/// When it is not there.
pub fn all_of_tree(git: &Git, tree: &Oid) -> Result<Entries> {
    parse(&git.call(["ls-tree", "-r", "-z", "--full-tree", tree.as_str()]).stdout()?)
}

/// Reads lines of `MODE SP TYPE SP BLOB TAB PATH NUL`.
fn parse(list: &[u8]) -> Result<Entries> {
    let entry = |line| {
        let (words, path) = words_and_path(line)?;
        let [mode, _, blob] = words[..] else { return None };
        Some((path.to_vec(), Entry::parse(mode, blob)?))
    };
    lines(list).map(|line| entry(line).ok_or_else(|| Error::failed("git ls-tree printed no entry"))).collect()
}

/// Returns the lines of a list that git ends with NUL.
pub fn lines(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == 0).filter(|line| !line.is_empty())
}

/// Splits a line of git's about a path: words, a tab, the path.
pub fn words_and_path(line: &[u8]) -> Option<(Vec<&str>, &[u8])> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    Some((std::str::from_utf8(&line[..tab]).ok()?.split(' ').collect(), &line[tab + 1..]))
}

/// Splits paths into lists that a command line holds.
pub fn lists<'a>(paths: &'a [&'a [u8]]) -> impl Iterator<Item = Vec<std::ffi::OsString>> + 'a {
    use std::os::unix::ffi::OsStringExt;
    /// Far below what Linux and macOS allow, the environment included.
    const BYTES: usize = 128 << 10;
    let mut rest = paths;
    std::iter::from_fn(move || {
        let (mut bytes, mut count) = (0, 0);
        while count < rest.len() && (count == 0 || bytes + rest[count].len() < BYTES) {
            bytes += rest[count].len() + 16;
            count += 1;
        }
        let (list, after) = rest.split_at(count);
        rest = after;
        (count > 0).then(|| list.iter().map(|path| std::ffi::OsString::from_vec(path.to_vec())).collect())
    })
}

/// Joins paths as git reads lists of them.
pub fn nul<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    paths.into_iter().flat_map(|path| [path, b"\0".as_slice()].concat()).collect()
}

/// Reads a list of paths as git prints it.
pub fn from_nul(list: &[u8]) -> Vec<Vec<u8>> {
    lines(list).map(<[u8]>::to_vec).collect()
}

/// Returns each folder that a path is in, from the outermost on, without its slash.
pub fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

/// Returns a path in double quotes, as git's own files and streams read it.
pub fn quoted(path: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in path {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            byte if byte < 0x20 || byte == 0x7f => text.extend(format!("\\{byte:03o}").bytes()),
            byte => text.push(byte),
        }
    }
    text.push(b'"');
    text
}
