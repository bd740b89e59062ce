//! Pointers of Git LFS (git-lfs, docs/spec.md): small files that stand for content elsewhere.

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;

use super::filters::Desk;
use crate::error::Result;
use crate::host::folders::Folders;
use crate::host::scratch::Scratch;
use crate::host::{Repo, config};
use crate::snapshot::{Change, NoteKind, Snapshot};

/// A pointer is shorter than this.
const LARGEST: u64 = 1024;

/// What of changes are pointers that the host's own attributes give to git-lfs.
#[derive(Debug, Default)]
pub struct Pointers {
    /// Their content is not here, and they would take the place of content that is.
    pub lost: HashSet<Vec<u8>>,
    /// Their content is here.
    pub at_hand: HashSet<Vec<u8>>,
}

/// Looks at the pointers among changes.
///
/// # Errors
/// When git cannot tell.
pub fn pointers(repo: &Repo, scratch: &Scratch, changes: &[Change], snapshot: &Snapshot) -> Result<Pointers> {
    let mut found = Pointers::default();
    let is_pointer = |note: &&crate::snapshot::Note| note.kind == NoteKind::LfsPointer;
    let known: HashSet<&[u8]> = snapshot.notes.iter().filter(is_pointer).map(|note| note.path.as_slice()).collect();
    let changes: Vec<_> = changes.iter().filter(|change| known.contains(change.path.as_slice())).collect();
    if changes.is_empty() {
        return Ok(found);
    }
    let names: Vec<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
    let desk = Desk::new(&scratch.lend(&repo.git), &scratch.path("lfs"))?;
    desk.obey(&names)?;
    let filtered = desk.attributes(&names, &["filter"])?.into_iter().filter(|(_, _, value)| value == "lfs");
    let filtered: HashSet<Vec<u8>> = filtered.map(|(path, ..)| path).collect();
    let (store, folders) = (store(repo)?, Folders::open(repo.top()?)?);
    for change in changes.into_iter().filter(|change| filtered.contains(&change.path)) {
        let pointer = scratch.git().call(["cat-file", "blob", change.new.as_str()]).stdout()?;
        if content(&pointer).is_some_and(|id| store.join(&id[..2]).join(&id[2..4]).join(&id).exists()) {
            found.at_hand.insert(change.path.clone());
        } else if has_content(&folders, &change.path) {
            found.lost.insert(change.path.clone());
        }
    }
    Ok(found)
}

/// Tells whether a file is there, and is no pointer.
fn has_content(folders: &Folders, path: &[u8]) -> bool {
    let Ok(mut file) = folders.read(path) else { return false };
    let mut start = Vec::new();
    let read = std::io::Read::by_ref(&mut file).take(LARGEST).read_to_end(&mut start);
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
