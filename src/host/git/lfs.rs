//! Pointers of Git LFS (git-lfs, docs/spec.md): small files that stand for content elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::PathBuf;

use super::Object;
use super::filters::Desk;
use crate::error::Result;
use crate::host::entries::Entry;
use crate::host::folders::Folders;
use crate::host::scratch::Scratch;
use crate::host::{Repo, config};
use crate::snapshot::{Change, NoteKind, Oid, Snapshot};

/// A pointer is shorter than this.
const LARGEST: u64 = 1024;

/// What of changes are pointers that the host's own attributes give to git-lfs.
#[derive(Debug, Default)]
pub struct Pointers {
    /// The paths of those whose content is not here, and which would take the place of content that is.
    pub lost: HashSet<Vec<u8>>,
    /// Those whose content is here.
    pub at_hand: HashSet<Oid>,
}

/// Looks at the pointers among changes.
///
/// # Errors
/// When git cannot tell.
pub fn pointers(repo: &Repo, scratch: &Scratch, changes: &[Change], snapshot: &Snapshot) -> Result<Pointers> {
    let mut found = Pointers::default();
    let is_pointer = |note: &&crate::snapshot::Note| note.kind == NoteKind::LfsPointer;
    let known: HashSet<&[u8]> = snapshot.notes.iter().filter(is_pointer).map(|note| note.path.as_slice()).collect();
    // What the guest takes back is no change since the base, so that nobody has looked at it yet.
    let seen: HashSet<&[u8]> = snapshot.changed.iter().map(|change| change.path.as_slice()).collect();
    let is_file = |change: &&Change| Entry::after(change).is_some_and(|entry| entry.is_file());
    let may_be = |change: &&Change| known.contains(change.path.as_slice()) || !seen.contains(change.path.as_slice());
    let changes: Vec<_> = changes.iter().filter(is_file).filter(may_be).collect();
    if changes.is_empty() {
        return Ok(found);
    }
    let names: Vec<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
    let desk = Desk::new(&scratch.lend(&repo.git), &scratch.path("lfs"))?;
    desk.obey(&names)?;
    let files = changes.iter().map(|change| (change.path.clone(), change.new.clone())).collect();
    let pointers = among(&desk, &files)?;
    let (store, folders) = (store(repo)?, Folders::open(repo.top()?)?);
    for change in changes {
        let Some(pointer) = pointers.get(&change.path) else { continue };
        if content(pointer).is_some_and(|id| store.join(&id[..2]).join(&id[2..4]).join(&id).exists()) {
            found.at_hand.insert(change.new.clone());
        } else if has_content(&folders, &change.path, change.old_mode != 0) {
            found.lost.insert(change.path.clone());
        }
    }
    Ok(found)
}

/// Returns the text of each of these files, paths and blobs, that is a pointer and that the attributes give to git-lfs.
///
/// # Errors
/// When git cannot tell.
pub fn among(desk: &Desk, files: &BTreeMap<Vec<u8>, Oid>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut pointers = BTreeMap::new();
    if files.is_empty() {
        return Ok(pointers);
    }
    let paths: Vec<&[u8]> = files.keys().map(Vec::as_slice).collect();
    let filtered = desk.attributes(&paths, &["filter"])?.into_iter().filter(|(_, _, value)| value == "lfs");
    let filtered: Vec<Vec<u8>> = filtered.map(|(path, ..)| path).collect();
    let is_small = |object: Option<Object>| object.is_some_and(|object| object.size < LARGEST);
    let small = desk.git().objects(filtered.iter().map(|path| &files[path]), is_small)?;
    let small: Vec<_> =
        filtered.into_iter().zip(small).filter(|(_, is_small)| *is_small).map(|(path, _)| path).collect();
    let texts = desk.git().contents(small.iter().map(|path| &files[path]))?;
    pointers.extend(small.into_iter().zip(texts).filter(|(_, text)| text.starts_with(FIRST)));
    Ok(pointers)
}

/// Tells whether a file is there, and is no pointer. One that `was` there may be elsewhere by now.
fn has_content(folders: &Folders, path: &[u8], was: bool) -> bool {
    let Ok(mut file) = folders.read(path) else { return was };
    let mut start = Vec::new();
    let read = file.by_ref().take(LARGEST).read_to_end(&mut start);
    read.is_ok() && !start.starts_with(FIRST)
}

/// The first line of a pointer begins so.
const FIRST: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Returns where git-lfs keeps content.
fn store(repo: &Repo) -> Result<PathBuf> {
    let configured = PathBuf::from(config::get(repo, "lfs.storage")?);
    let folder = if configured.as_os_str().is_empty() { PathBuf::from("lfs") } else { configured };
    Ok(repo.common_dir.join(folder).join("objects"))
}

/// Returns the id of the content that a pointer stands for: 64 hexadecimal digits.
fn content(pointer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pointer).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("oid sha256:"))?;
    (id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then(|| id.to_owned())
}
