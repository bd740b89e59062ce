//! What is recorded of a landing: one ref, `refs/banger/<working copy>/<vm>/landings/<n>`, to a commit without parents. Its
//! message says from which guest and base, and which trees were agreed on before and after; its files are
//!
//! - `before/`, `after/`: the host's own files at the paths that the landing touched, as it found and as it left them;
//! - `was/`, `is/`: the agreed tree before and after; `baseline/`: what it started from;
//! - `written`: for each file that it wrote, how to know it again.

use std::collections::BTreeMap;

use super::look::Record;
use super::merge::{commit, modify};
use crate::error::{Error, Result};
use crate::host::entries::{Entries, GITLINK};
use crate::host::git::{self, parse_oid};
use crate::host::refs::decode;
use crate::host::scratch::Scratch;
use crate::host::{Records, Repo};
use crate::snapshot::Oid;

/// A landing that is recorded.
#[derive(Clone, Debug)]
pub struct Landing {
    /// Its number, from 1 on: each in a working copy has its own.
    pub number: u64,
    /// The guest that it came from.
    pub vm: String,
    /// Its commit.
    pub commit: Oid,
    /// When it landed, as ISO 8601 has it.
    pub time: String,
    /// The base that the work was relative to.
    pub base: Oid,
    /// The guest's files when the repository was shipped.
    pub baseline: Oid,
    /// What was agreed before.
    pub was: Oid,
    /// What was agreed once it had landed.
    pub agreed: Oid,
    /// What it is.
    pub kind: LandingKind,
    /// The commit of the last prepare before it, if there was one.
    prepared: Option<Oid>,
    /// jj's commit that holds it.
    mark: Option<Oid>,
}

/// What a landing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandingKind {
    /// Work of a guest's.
    Work,
    /// The one of that number, taken back.
    Undo(u64),
    /// The one of that number, landed again after it was taken back.
    Redo(u64),
}

impl Landing {
    /// Reads what `git for-each-ref` says of a ref: its name below the working copy's own, commit, time and message;
    /// `None` where it is no landing of ours.
    pub fn parse(name: &str, commit: &str, time: &str, message: &str) -> Option<Landing> {
        let word = |key: &str| message.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let id = |key| word(key).and_then(|id| id.parse().ok());
        let number = |key| word(key).and_then(|number| number.parse().ok());
        let (vm, name) = name.split_once('/')?;
        let kind = match (number(UNDOES), number(REDOES)) {
            (Some(number), _) => LandingKind::Undo(number),
            (None, Some(number)) => LandingKind::Redo(number),
            (None, None) => LandingKind::Work,
        };
        Some(Landing {
            number: name.strip_prefix("landings/")?.parse().ok()?,
            vm: decode(vm),
            commit: commit.parse().ok()?,
            time: time.to_owned(),
            base: id("base")?,
            baseline: id("baseline")?,
            was: id("was")?,
            agreed: id("agreed")?,
            kind,
            prepared: id("prepared"),
            mark: id(MARK),
        })
    }

    /// Tells whether it came after the same prepare as the records.
    pub fn is_since(&self, records: &Records) -> bool {
        self.prepared == records.baseline
    }
}

/// What a landing changes, for its record.
pub struct Deed<'a> {
    /// The guest's name.
    pub vm: &'a str,
    /// The base that the work is relative to.
    pub base: &'a Oid,
    /// The commit of the last prepare.
    pub prepared: Option<&'a Oid>,
    /// The guest's files when the repository was shipped.
    pub baseline: &'a Oid,
    /// What was agreed before.
    pub was: &'a Oid,
    /// What is agreed after.
    pub is: &'a Oid,
    /// What it is.
    pub kind: LandingKind,
    /// The host's own files before, at the paths that it touches.
    pub before: Entries,
    /// And after.
    pub after: Entries,
    /// What it writes, by path.
    pub written: &'a BTreeMap<Vec<u8>, Record>,
}

/// Returns which landings of guests' work stand, and which could land again, of those that are recorded in a working copy:
/// numbers, the newest last.
pub fn standing_and_undone(landings: &[Landing]) -> (Vec<u64>, Vec<u64>) {
    let mut landings: Vec<&Landing> = landings.iter().collect();
    landings.sort_by_key(|landing| landing.number);
    let (mut standing, mut undone) = (Vec::new(), Vec::new());
    for landing in landings {
        match landing.kind {
            LandingKind::Work => {
                standing.push(landing.number);
                // What came before has been decided otherwise.
                undone.clear();
            }
            LandingKind::Undo(number) => {
                standing.retain(|standing| *standing != number);
                undone.push(number);
            }
            LandingKind::Redo(number) => {
                undone.retain(|undone| *undone != number);
                standing.push(number);
            }
        }
    }
    standing.sort_unstable();
    // The one that was taken back last is the first to go forward.
    undone.sort_unstable_by(|one, other| other.cmp(one));
    (standing, undone)
}

/// What stands before the number of a landing that is taken back, and of one that lands again.
const UNDOES: &str = "undoes";
const REDOES: &str = "redoes";

/// What jj's commit is called in the message.
const MARK: &str = "jj";

/// Returns the landings since the last prepare that still count, newest first.
///
/// # Errors
/// When jj cannot tell.
pub fn standing(repo: &Repo, records: &Records) -> Result<Vec<Landing>> {
    let mut landings: Vec<_> = records.landings.iter().filter(|landing| landing.is_since(records)).cloned().collect();
    landings.sort_by_key(|landing| std::cmp::Reverse(landing.number));
    if let Some(extras) = repo.vcs.extras()
        && !landings.is_empty()
    {
        let marks: Vec<_> = landings.iter().map(|landing| landing.mark.as_ref()).collect();
        // What came after a landing that was undone is undone too.
        let first = extras.newest_held(&marks)?.unwrap_or(landings.len());
        landings.drain(..first);
    }
    Ok(landings)
}

/// Returns what landings wrote, by path; of several the newest.
///
/// # Errors
/// When a record cannot be read.
pub fn written(scratch: &Scratch, landings: &[Landing]) -> Result<BTreeMap<Vec<u8>, Record>> {
    let mut written = BTreeMap::new();
    if landings.is_empty() {
        return Ok(written);
    }
    let mut landings: Vec<&Landing> = landings.iter().collect();
    landings.sort_by_key(|landing| landing.number);
    let texts = scratch.git().contents(landings.iter().map(|landing| format!("{}:written", landing.commit)))?;
    for (landing, text) in landings.into_iter().zip(texts) {
        let is_undone = matches!(landing.kind, LandingKind::Undo(_));
        let bad = || Error::failed("the record of a landing is damaged");
        let mut fields = text.split(|&byte| byte == 0);
        while let (Some(meta), Some(path)) = (fields.next(), fields.next()) {
            let record = std::str::from_utf8(meta).ok().and_then(parse).ok_or_else(bad)?;
            match record {
                Some(record) => written.insert(path.to_vec(), Record { is_undone, ..record }),
                None => written.remove(path),
            };
        }
    }
    Ok(written)
}

/// Reads `MODE SP BLOB SP RAW SP INODE SP SIZE SP SECONDS . NANOSECONDS`, or `-` for a file that went.
fn parse(meta: &str) -> Option<Option<Record>> {
    if meta == "-" {
        return Some(None);
    }
    let mut words = meta.split(' ');
    Some(Some(Record {
        mode: u32::from_str_radix(words.next()?, 8).ok()?,
        blob: words.next()?.parse().ok()?,
        raw: words.next()?.parse().ok()?,
        inode: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        changed: {
            let (seconds, nanoseconds) = words.next()?.split_once('.')?;
            (seconds.parse().ok()?, nanoseconds.parse().ok()?)
        },
        is_undone: false,
    }))
}

fn line(path: &[u8], record: Option<&Record>) -> Vec<u8> {
    let meta = record.map_or("-".to_owned(), |record| {
        let Record { mode, blob, raw, inode, size, changed: (seconds, nanoseconds), .. } = record;
        format!("{mode:06o} {blob} {raw} {inode} {size} {seconds}.{nanoseconds}")
    });
    [meta.as_bytes(), b"\0", path, b"\0"].concat()
}

/// Makes the commit of a landing in a scratch repository.
///
/// # Errors
/// When git cannot.
pub fn make(scratch: &Scratch, deed: &Deed<'_>) -> Result<Oid> {
    let mut written: BTreeMap<&[u8], Option<&Record>> =
        deed.before.keys().map(|path| (path.as_slice(), None)).collect();
    // What it left as it was is as known as before.
    written.retain(|path, _| deed.before.get(*path) != deed.after.get(*path));
    written.extend(deed.written.iter().map(|(path, record)| (path.as_slice(), Some(record))));
    let text: Vec<u8> = written.into_iter().flat_map(|(path, record)| line(path, record)).collect();
    let Deed { vm, base, baseline, was, is, .. } = deed;
    let prepared = deed.prepared.map_or("-", Oid::as_str);
    let kind = match deed.kind {
        LandingKind::Work => String::new(),
        LandingKind::Undo(number) => format!("{UNDOES}: {number}\n"),
        LandingKind::Redo(number) => format!("{REDOES}: {number}\n"),
    };
    let message = format!(
        "git-banger: landing from '{vm}'\n\nbase: {base}\nprepared: {prepared}\nbaseline: {baseline}\nwas: {was}\nagreed: \
         {is}\n{kind}"
    );
    let mut stream = format!("blob\nmark :2\ndata {}\n", text.len()).into_bytes();
    stream.extend(text);
    stream.extend(b"\n");
    stream.extend(commit("landing", &git::now(), None, &message));
    for (name, tree) in [("was", was), ("is", is), ("baseline", baseline)] {
        stream.extend(format!("M 040000 {tree} {name}\n").bytes());
    }
    for (name, files) in [("before", &deed.before), ("after", &deed.after)] {
        for (path, entry) in files.iter().filter(|(_, entry)| entry.mode != GITLINK) {
            stream.extend(modify(&[name.as_bytes(), b"/", path].concat(), entry));
        }
    }
    stream.extend(b"M 100644 :2 written\n\nget-mark :1\ndone\n");
    parse_oid(scratch.import(stream)?)
}

/// Returns the commands for `git update-ref` that record a landing, and forget those before the newest `keep`; and the ref.
///
/// # Errors
/// When jj cannot tell which workspace this is.
pub fn commands(repo: &Repo, records: &Records, landing: &Oid, keep: u64) -> Result<(String, String)> {
    let prefix = repo.prefix_of(&records.vm)?;
    let name = format!("{prefix}landings/{}", 1 + records.highest);
    let mut commands = format!("create {name} {landing}\n");
    let mut landings: Vec<&Landing> = records.landings.iter().collect();
    landings.sort_by_key(|landing| std::cmp::Reverse(landing.number));
    for old in landings.into_iter().skip(usize::try_from(keep).unwrap_or(usize::MAX).saturating_sub(1)) {
        commands.push_str(&format!("delete {prefix}landings/{} {}\n", old.number, old.commit));
    }
    Ok((commands, name))
}

/// Returns a landing's commit with the mark by which jj knows it.
///
/// # Errors
/// When git cannot make it.
pub fn marked(repo: &Repo, landing: &Oid, mark: &Oid) -> Result<Oid> {
    let (_, message) = repo.commit_parts(landing)?;
    let tree = super::agreed::tree_of(repo, landing)?;
    repo.git.commit(&tree, &[], &git::now(), &format!("{}\n{MARK}: {mark}\n", message.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let id = |digit: &str| digit.repeat(40).parse().unwrap();
        let record = Record {
            mode: 0o100755,
            blob: id("a"),
            raw: id("b"),
            inode: u64::MAX,
            size: 7,
            changed: (-3, 999_999_999),
            is_undone: false,
        };
        for record in [Some(record), None] {
            let line = line(b"a \xff\n", record.as_ref());
            let (meta, path) = line.split_at(line.iter().position(|&byte| byte == 0).unwrap());
            assert_eq!(parse(std::str::from_utf8(meta).unwrap()), Some(record));
            assert_eq!(path, b"\0a \xff\n\0");
        }
        assert_eq!(parse("100644 nothing"), None);
    }

    #[test]
    fn a_landing_is_read_from_its_ref() {
        let id = |digit: &str| digit.repeat(40).parse::<Oid>().unwrap();
        let (commit, tree, prepared, base) = (id("1"), id("2"), id("3"), id("4"));
        let message = format!(
            "git-banger: landing from 'dev'\n\nbase: {base}\nprepared: {prepared}\nbaseline: {tree}\nwas: {tree}\n\
             agreed: {tree}\nundoes: 7\n"
        );
        let landing = Landing::parse("me%3A2/landings/12", commit.as_str(), "2026", &message).unwrap();
        assert_eq!((landing.vm.as_str(), landing.kind, &landing.base), ("me:2", LandingKind::Undo(7), &base));
        assert_eq!((landing.number, &landing.prepared, &landing.mark), (12, &Some(prepared), &None));
        assert_eq!((&landing.commit, &landing.baseline, &landing.agreed), (&commit, &tree, &tree));
        for name in ["dev/prepare", "dev/landings/x", "dev/landings/", "landings/1"] {
            assert!(Landing::parse(name, commit.as_str(), "2026", &message).is_none(), "{name}");
        }
        assert!(Landing::parse("dev/landings/1", commit.as_str(), "2026", "by somebody else\n").is_none());
    }

    #[test]
    fn landings_are_taken_back_and_landed_again_one_by_one() {
        let id = "1".repeat(40).parse::<Oid>().unwrap();
        let landing = |number, kind| Landing {
            number,
            vm: "dev".to_owned(),
            commit: id.clone(),
            time: String::new(),
            base: id.clone(),
            baseline: id.clone(),
            was: id.clone(),
            agreed: id.clone(),
            kind,
            prepared: None,
            mark: None,
        };
        use LandingKind::{Redo, Undo, Work};
        let cases: [(&[LandingKind], &[u64], &[u64]); 6] = [
            (&[], &[], &[]),
            (&[Work, Work], &[1, 2], &[]),
            (&[Work, Work, Undo(2)], &[1], &[2]),
            (&[Work, Work, Undo(2), Undo(1)], &[], &[2, 1]),
            (&[Work, Work, Undo(2), Undo(1), Redo(1)], &[1], &[2]),
            (&[Work, Work, Undo(2), Work], &[1, 4], &[]),
        ];
        for (kinds, standing, undone) in cases {
            let mut landings: Vec<_> = (1..).zip(kinds).map(|(number, kind)| landing(number, *kind)).collect();
            landings.reverse();
            let expected = (standing.to_vec(), undone.to_vec());
            assert_eq!(standing_and_undone(&landings), expected, "{kinds:?}");
        }
    }
}
