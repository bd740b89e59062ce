//! What a landing asks a working copy about, and what it is told.

use std::collections::{BTreeMap, HashSet};

use super::Obstacle;
use crate::error::Result;
use crate::host::entries::Entry;
use crate::host::folders::Identity;
use crate::snapshot::{Change, Oid};

/// Where a landing is about to write.
pub struct Asked<'a> {
    /// What the guest's new work changes, without renames.
    pub delta: &'a [Change],
    /// A tree of what both sides have: what the host has beside it is its own.
    pub common: &'a Oid,
    /// What earlier landings wrote.
    pub written: &'a BTreeMap<Vec<u8>, Record>,
    /// Tells which paths are in the agreed tree: what the host does not track there is a file of both sides.
    pub known: &'a Known<'a>,
    /// What is said of it in the log of the user's own tool.
    pub why: &'a str,
}

/// Tells which of some paths are known.
pub type Known<'a> = dyn Fn(&[&[u8]]) -> Result<HashSet<Vec<u8>>> + 'a;

/// What stands at a few paths of the host's.
#[derive(Clone, Debug, Default)]
pub struct Ours {
    /// The files there that are the host's own.
    pub files: BTreeMap<Vec<u8>, Here>,
    /// Files elsewhere that may be what became of a path that is gone.
    pub elsewhere: BTreeMap<Vec<u8>, Here>,
    /// Paths that cannot land, as what stands there cannot be told.
    pub obstacles: Vec<Obstacle>,
    /// Paths at which a file stands that is not the host's own in this repository: git does not track it, and nobody has
    /// shipped or landed it.
    pub foreign: HashSet<Vec<u8>>,
    /// jj's operation that holds them; empty in git, which has no such thing.
    pub operation: String,
}

impl Ours {
    /// Returns the same, with other content at some paths.
    pub fn with(&self, files: &BTreeMap<Vec<u8>, Option<Entry>>) -> Ours {
        let mut ours = self.clone();
        for (path, entry) in files {
            match (entry, ours.files.get_mut(path)) {
                (Some(entry), Some(here)) => here.entry = entry.clone(),
                (Some(entry), None) => drop(ours.files.insert(path.clone(), Here::absent(entry.clone()))),
                (None, _) => drop(ours.files.remove(path)),
            }
        }
        ours
    }
}

/// A file of the host's.
#[derive(Clone, Debug)]
pub struct Here {
    /// What of git's it stands for.
    pub entry: Entry,
    /// The file on disk when it was looked at; `None` where it is kept off the disk.
    pub stood: Option<Identity>,
    /// Its bytes, as a blob, where they were read.
    pub raw: Option<Oid>,
    /// How its bytes follow from its content.
    pub form: Form,
}

impl Here {
    /// Returns what is kept off the disk.
    pub fn absent(entry: Entry) -> Here {
        Here { entry, stood: None, raw: None, form: Form::AsWritten }
    }
}

/// How the bytes of a file follow from its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// They are what a checkout writes.
    AsWritten,
    /// They are what a checkout writes, with these line ends.
    LineEnds(LineEnds),
    /// They do not: its filter loses some of them. The entry holds the bytes, and so do these two for what both sides
    /// agreed on and what is to come.
    Bytes {
        /// What both sides agreed on.
        base: Option<Entry>,
        /// What is to come.
        theirs: Option<Entry>,
    },
}

/// The line ends of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnds {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
}

impl LineEnds {
    /// Returns the line ends of a text; `None` where it has none, or both.
    pub fn of(text: &[u8]) -> Option<LineEnds> {
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        let pairs = text.windows(2).filter(|pair| pair == b"\r\n").count();
        match (lines, pairs) {
            (0, _) => None,
            (_, 0) => Some(LineEnds::Lf),
            (lines, pairs) => (lines == pairs).then_some(LineEnds::CrLf),
        }
    }

    /// Returns a text with these line ends.
    pub fn apply(self, text: &[u8]) -> Vec<u8> {
        let mut result = Vec::with_capacity(text.len());
        for (at, &byte) in text.iter().enumerate() {
            match byte {
                b'\r' if text.get(at + 1) == Some(&b'\n') => {}
                b'\n' if self == LineEnds::CrLf => result.extend(b"\r\n"),
                byte => result.push(byte),
            }
        }
        result
    }
}

/// What a landing wrote at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The mode, as git has it.
    pub mode: u32,
    /// The content.
    pub blob: Oid,
    /// The bytes, as a blob that is not converted.
    pub raw: Oid,
    /// The file as it was written.
    pub inode: u64,
    /// Its bytes.
    pub size: u64,
    /// When it was written: seconds since 1970, and nanoseconds.
    pub changed: (i64, u32),
    /// It is what was there before some landing, which was taken back.
    pub is_undone: bool,
}

impl Record {
    /// Tells whether a file is the one that was written, and was not edited since.
    pub fn is(&self, found: &Identity) -> bool {
        (self.inode, self.size, self.changed) == (found.inode, found.size, found.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_told_and_given_back() {
        let cases: [(&[u8], Option<LineEnds>); 6] = [
            (b"a\nb\n", Some(LineEnds::Lf)),
            (b"a\r\nb\r\n", Some(LineEnds::CrLf)),
            (b"a\r\nb", Some(LineEnds::CrLf)),
            (b"a\r\nb\n", None),
            (b"a\rb", None),
            (b"", None),
        ];
        for (text, ends) in cases {
            assert_eq!(LineEnds::of(text), ends, "{text:?}");
            if let Some(ends) = ends {
                let other = if ends == LineEnds::Lf { LineEnds::CrLf } else { LineEnds::Lf };
                assert_eq!(ends.apply(&other.apply(text)), text, "{text:?}");
            }
        }
        assert_eq!(LineEnds::Lf.apply(b"a\rb\r\n"), b"a\rb\n");
    }
}
