//! What crosses from the guest to the host: plain data, no effects.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::text;

/// A git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Oid(String);

impl Oid {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id that stands for nothing; `format` is `sha1` or `sha256`.
    pub fn zero(format: &str) -> Oid {
        Oid("0".repeat(if format == "sha1" { 40 } else { 64 }))
    }

    /// Returns the id of the tree without files, which git has in every repository.
    pub fn empty_tree(format: &str) -> Oid {
        Oid(match format {
            "sha1" => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
            _ => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
        }
        .to_owned())
    }

    /// Returns the first twelve digits, for messages.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Text that is no object id.
#[derive(Debug)]
pub struct NotAnOid(String);

impl fmt::Display for NotAnOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an object id: {}", text::path(self.0.as_bytes()))
    }
}

impl std::error::Error for NotAnOid {}

/// Where the text is not a guest's, something here has failed.
impl From<NotAnOid> for Error {
    fn from(text: NotAnOid) -> Self {
        Error::failed(text.to_string())
    }
}

impl FromStr for Oid {
    type Err = NotAnOid;

    fn from_str(text: &str) -> Result<Self, NotAnOid> {
        let digits = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if digits && matches!(text.len(), 40 | 64) { Ok(Oid(text.to_owned())) } else { Err(NotAnOid(text.to_owned())) }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a guest says of its full working state. Nothing in it is proven.
#[derive(Clone, Debug)]
pub struct Claim {
    /// `sha1` or `sha256`.
    pub format: String,
    /// The commit that the export is relative to.
    pub base: Oid,
    /// The guest's HEAD; the empty commit when the guest's branch has no commit yet.
    pub head: Oid,
    /// The branch that the guest has checked out, without `refs/heads/`; `None` when detached.
    pub branch: Option<String>,
    /// The tree of the guest's working files.
    pub tree: Oid,
    /// The snapshot commit: `tree` on top of `head`.
    pub commit: Oid,
    /// How many commits the guest's HEAD is past the base.
    pub commits: u64,
    /// How many commits the guest's HEAD is past the prepared head; `None` when that is unknown to the guest.
    pub since_prepare: Option<u64>,
    /// The given commits whose history the payload leaves out.
    pub without: Vec<Oid>,
    /// What the snapshot holds in another form than the guest's files, or not at all.
    pub notes: Vec<Note>,
}

/// The guest's full working state, proven: base, head, tree and commit hang together, and every object that the files
/// which differ are made of is here. What else it holds is the guest's word.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The commit that the export is relative to.
    pub base: Oid,
    /// The guest's HEAD; the empty commit when the guest's branch has no commit yet.
    pub head: Oid,
    /// The branch that the guest has checked out, without `refs/heads/`; `None` when detached.
    pub branch: Option<String>,
    /// The tree of the guest's working files.
    pub tree: Oid,
    /// The snapshot commit: `tree` on top of `head`.
    pub commit: Oid,
    /// How many commits the guest's HEAD is past the base; the guest's word.
    pub commits: u64,
    /// How many commits the guest's HEAD is past the prepared head, in the guest's word; `None` when that is unknown to it.
    pub since_prepare: Option<u64>,
    /// The files that differ between the base and the snapshot.
    pub changed: Vec<Change>,
    /// How many bytes those of them have that are in the snapshot.
    pub bytes: u64,
    /// What the snapshot holds in another form than the guest's files, or not at all.
    pub notes: Vec<Note>,
}

/// One file that differs between two trees, as `git diff-tree --raw` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// git's letter: `A`, `C`, `D`, `M`, `R` or `T`.
    pub status: char,
    /// The mode before, octal; 0 when there was no file.
    pub old_mode: u32,
    /// The mode after, octal; 0 when there is no file.
    pub new_mode: u32,
    /// The blob before.
    pub old: Oid,
    /// The blob after.
    pub new: Oid,
    /// The path, relative to the top of the work tree, as bytes.
    pub path: Vec<u8>,
    /// The path before, for a rename or a copy.
    pub from: Option<Vec<u8>>,
}

/// The mode of a submodule entry.
pub const GITLINK: u32 = 0o160000;

impl Change {
    /// Tells whether it is about a submodule's pointer alone, and not about a file in its place.
    pub fn is_pointer(&self) -> bool {
        let pointer = |mode| mode == GITLINK || mode == 0;
        self.is_submodule() && pointer(self.old_mode) && pointer(self.new_mode)
    }

    /// Tells whether either side is a submodule pointer.
    pub fn is_submodule(&self) -> bool {
        self.old_mode == GITLINK || self.new_mode == GITLINK
    }

    /// Parses the output of `git diff-tree -r --raw -z`, with full object ids.
    ///
    /// # Errors
    /// [`Error::unverified`] when it is not of that form.
    pub fn parse_all(raw: &[u8]) -> Result<Vec<Change>> {
        Ok(Change::parse_pairs(raw, &[])?.swap_remove(0))
    }

    /// Reads several of these lists, each of which begins with its line of `heads`; what comes before is a list, too.
    ///
    /// # Errors
    /// As [`Change::parse_all`].
    pub fn parse_pairs(raw: &[u8], heads: &[String]) -> Result<Vec<Vec<Change>>> {
        let bad = || Error::unverified("the list of changed files is damaged");
        let mut fields = raw.split(|&byte| byte == 0);
        let mut heads = heads.iter();
        let (mut changes, mut lists) = (Vec::new(), Vec::new());
        while let Some(mut meta) = fields.next() {
            while !meta.is_empty() && meta[0] != b':' {
                let head = heads.next().ok_or_else(bad)?;
                meta = meta.strip_prefix(head.as_bytes()).ok_or_else(bad)?;
                lists.push(std::mem::take(&mut changes));
            }
            if meta.is_empty() {
                break;
            }
            let meta = std::str::from_utf8(meta).ok().and_then(|meta| meta.strip_prefix(':')).ok_or_else(bad)?;
            let mut words = meta.split(' ');
            let mut word = || words.next().ok_or_else(bad);
            let old_mode = u32::from_str_radix(word()?, 8).map_err(|_| bad())?;
            let new_mode = u32::from_str_radix(word()?, 8).map_err(|_| bad())?;
            let mut oid = || word()?.parse::<Oid>().map_err(|_| bad());
            let (old, new) = (oid()?, oid()?);
            let status = word()?.chars().next().ok_or_else(bad)?;
            let mut path = fields.next().filter(|path| !path.is_empty()).ok_or_else(bad)?.to_vec();
            let mut from = None;
            if matches!(status, 'R' | 'C') {
                let to = fields.next().filter(|path| !path.is_empty()).ok_or_else(bad)?.to_vec();
                from = Some(std::mem::replace(&mut path, to));
            }
            changes.push(Change { status, old_mode, new_mode, old, new, path, from });
        }
        lists.push(changes);
        if heads.next().is_some() {
            return Err(bad());
        }
        Ok(lists)
    }
}

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// A nested repository, whose files came as ordinary files.
    NestedRepository,
    /// A submodule with edits of its own, which did not come.
    DirtySubmodule,
    /// A submodule that was moved to another commit, which only its own repository has.
    MovedSubmodule,
    /// A Git LFS pointer, whose content is not in the repository; the host finds it.
    LfsPointer,
    /// A file or folder that the SSH user cannot read.
    Unreadable,
    /// A FIFO, socket or device, which git cannot hold.
    SpecialFile,
    /// A file whose name git keeps for itself, such as `.GIT` and `git~1`.
    RefusedName,
}

/// Something in the guest that the snapshot holds in another form, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is.
    pub kind: NoteKind,
    /// Its path, relative to the top of the work tree, as bytes.
    pub path: Vec<u8>,
}
