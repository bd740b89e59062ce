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
    /// Returns mode, blob and path before; mode 0 where there was no file. Not for renames.
    pub fn before(&self) -> (u32, &Oid, &[u8]) {
        (self.old_mode, &self.old, &self.path)
    }

    /// Returns mode, blob and path after; mode 0 where there is no file.
    pub fn after(&self) -> (u32, &Oid, &[u8]) {
        (self.new_mode, &self.new, &self.path)
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
        let bad = || Error::unverified("the list of changed files is damaged");
        let mut fields = raw.split(|&byte| byte == 0);
        let mut changes = Vec::new();
        while let Some(meta) = fields.next() {
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
        Ok(changes)
    }
}

/// Returns the same changes, sorted by path, with each rename as a file that is gone and one that is new.
pub fn without_renames(changes: &[Change]) -> Vec<Change> {
    let mut apart = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(from) = &change.from else {
            apart.push(change.clone());
            continue;
        };
        let none = || Oid("0".repeat(change.old.0.len()));
        let gone = Change { status: 'D', new_mode: 0, new: none(), path: from.clone(), from: None, ..change.clone() };
        let come = Change { status: 'A', old_mode: 0, old: none(), from: None, ..change.clone() };
        apart.extend([gone, come]);
    }
    apart.sort_by(|one, other| one.path.cmp(&other.path));
    apart
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::path::Path;
    use std::process::Stdio;

    use super::*;

    /// Runs git in a repository of the test's; returns its stdout.
    #[expect(clippy::disallowed_methods, reason = "the reference to compare with")]
    fn git(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(dir).args(args).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", dir);
        command.env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").env_remove("GIT_WORK_TREE");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        output.stdout
    }

    fn line(dir: &Path, args: &[&str], input: &[u8]) -> String {
        String::from_utf8(git(dir, args, input)).unwrap().trim_end().to_owned()
    }

    /// The same numbers in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % limit
        }
    }

    /// Names that sort one way as files and another as folders, and each of them may be either.
    const NAMES: [&str; 9] = ["a", "a-b", "a.b", "a0", "b", "a b", "z", "é", "\u{1}"];

    /// Makes a tree of few blobs, so that many a file of one tree is a rename in the other.
    fn tree(dir: &Path, dice: &mut Dice, blobs: &[String]) -> String {
        let mut files = BTreeMap::new();
        for _ in 0..dice.below(14) {
            let depth = 1 + dice.below(3);
            let path = (0..depth).map(|_| NAMES[dice.below(NAMES.len())]).collect::<Vec<_>>().join("/");
            let clash = |other: &String| {
                path.starts_with(&format!("{other}/")) || other.starts_with(&format!("{path}/")) || *other == path
            };
            if !files.keys().any(clash) {
                let mode = ["100644", "100644", "100755", "120000", "160000"][dice.below(5)];
                files.insert(path, format!("{mode} {}", blobs[dice.below(blobs.len())]));
            }
        }
        let list: String = files.iter().map(|(path, entry)| format!("{entry}\t{path}\0")).collect();
        git(dir, &["read-tree", "--empty"], b"");
        git(dir, &["update-index", "-z", "--index-info"], list.as_bytes());
        line(dir, &["write-tree"], b"")
    }

    #[test]
    fn changes_without_renames_are_those_of_git_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        git(dir, &["init", "-q"], b"");
        let blobs = ["", "one\n", "two\n"].map(|text| line(dir, &["hash-object", "-w", "--stdin"], text.as_bytes()));
        let (mut dice, mut renames, mut swaps) = (Dice(1), 0, 0);
        let mut before = tree(dir, &mut dice, &blobs);
        for _ in 0..80 {
            let after = tree(dir, &mut dice, &blobs);
            let diff = |how| {
                let fixed = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--ignore-submodules=none"];
                let args = [&fixed[..], &[how, &before, &after, "--"]].concat();
                Change::parse_all(&git(dir, &args, b"")).unwrap()
            };
            let (with, without) = (diff("--find-renames=100%"), diff("--no-renames"));
            assert_eq!(without_renames(&with), without, "{before} {after}");
            renames += with.iter().filter(|change| change.from.is_some()).count();
            let below = |one: &Change, other: &Change| one.path.starts_with(&[&other.path[..], b"/"].concat());
            swaps += without.iter().filter(|one| without.iter().any(|other| below(one, other))).count();
            before = after;
        }
        assert!(renames > 50 && swaps > 20, "{renames} renames, {swaps} swaps of a file and a folder");
    }
}
