//! What on disk stands in the way of a landing. Everything is looked at before the first byte is written.

use std::collections::{BTreeSet, HashSet};

use super::steps::{Source, Step};
use crate::error::{Context, Result};
use crate::host::Repo;
use crate::host::entries::folders;
use crate::host::folders::Folders;
use crate::host::scratch::Scratch;
use crate::snapshot::Change;

/// A path that cannot land, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// The path, relative to the top of the working copy.
    pub path: Vec<u8>,
    /// The reason.
    pub why: Why,
}

/// Why a path cannot land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It has changed here and in the guest.
    BothChanged,
    /// It is new here and in the guest.
    BothAdded,
    /// It has changed here and in the guest, and is no text.
    Binary,
    /// It was deleted here, and has changed in the guest.
    DeletedHere,
    /// It has changed here, and was deleted in the guest.
    DeletedThere,
    /// It is of one type here, and of another in the guest: a file, a symlink, a folder.
    OtherType,
    /// It was renamed here and in the guest, or renamed on one side and deleted on the other.
    Renamed,
    /// The guest's change rests on commits of its own that have not landed here.
    RestsOnCommits,
    /// It is a submodule, or in one.
    Submodule,
    /// It is in another repository, which git does not look into.
    NestedRepository,
    /// What is there is the host's own, and the guest has a file above or below it.
    InTheWay,
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
    /// What is there cannot be read.
    Unreadable,
    /// A filter failed for it.
    FilterFailed,
    /// It is longer than the system lets a program name.
    TooLong,
    /// Its folder cannot be written.
    FolderNotWritable,
    /// It changed while the landing was being planned.
    ChangedMeanwhile,
}

impl Why {
    /// Tells whether both versions are in the file, with conflict markers, if it lands with the conflict.
    pub fn is_text(self) -> bool {
        matches!(self, Why::BothChanged | Why::BothAdded)
    }

    /// Tells whether the sides disagree; it can land with the conflict, then.
    pub fn is_conflict(self) -> bool {
        self.is_text()
            || matches!(
                self,
                Why::Binary
                    | Why::DeletedHere
                    | Why::DeletedThere
                    | Why::OtherType
                    | Why::Renamed
                    | Why::RestsOnCommits
            )
    }
}

impl Obstacle {
    pub(in crate::host) fn new(path: &[u8], why: Why) -> Obstacle {
        Obstacle { path: path.to_vec(), why }
    }
}

/// The bytes of a path that a program can name, the one at its end included (limits.h).
const PATH_MAX: usize = if cfg!(target_os = "linux") { 4096 } else { 1024 };

/// Finds what stands in the way of these steps, which are the same as the changes.
///
/// # Errors
/// When the disk cannot be looked at.
pub fn find(repo: &Repo, changes: &[Change], steps: &[Step]) -> Result<BTreeSet<Obstacle>> {
    let top = Folders::open(repo.top()?)?;
    let mut found = BTreeSet::new();
    let submodules: HashSet<&[u8]> =
        changes.iter().filter(|change| change.is_submodule()).map(|change| change.path.as_slice()).collect();
    let hidden = steps.iter().filter(|step| step.old.as_ref().is_some_and(|old| old.stood.is_none()));
    let hidden = hidden.map(|step| step.path.as_slice()).collect();
    found.extend(repo.vcs.unfit(repo, changes, &hidden)?);
    found.retain(|obstacle| !submodules.contains(obstacle.path.as_slice()));
    found.extend(submodules.iter().map(|path| Obstacle::new(path, Why::Submodule)));
    let going: HashSet<&[u8]> = steps
        .iter()
        .filter(|step| step.old.as_ref().is_some_and(|old| old.stood.is_some()))
        .map(|step| step.path.as_slice())
        .collect();
    let mut in_the_way = BTreeSet::new();
    for step in steps.iter().filter(|step| step.new.is_some() && !going.contains(step.path.as_slice())) {
        let case = |step: &Step| step.new.as_ref().is_some_and(|new| matches!(new.source, Source::Moved(_)));
        if submodules.contains(step.path.as_slice()) {
            continue;
        }
        for path in find_in_the_way(&top, &step.path, &going, case(step))? {
            // git itself refuses to overwrite an untracked file, but not an ignored one: a '.env'.
            in_the_way.insert(path);
        }
    }
    let tracked = repo.vcs.tracked(repo, &in_the_way.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    found.extend(in_the_way.iter().map(|path| {
        let why = match tracked.contains(path) {
            true => Why::InTheWay,
            false if top.is_repository(path) => Why::NestedRepository,
            false => repo.vcs.untracked(),
        };
        Obstacle::new(path, why)
    }));
    // Written step by step it would be there, and no git could name it.
    let too_long = |step: &&Step| step.new.is_some() && step.path.len() >= PATH_MAX;
    found.extend(steps.iter().filter(too_long).map(|step| Obstacle::new(&step.path, Why::TooLong)));
    let mut writable = std::collections::HashMap::new();
    for step in steps {
        let folder = crate::host::folders::split(&step.path).0;
        if !*writable.entry(folder).or_insert_with(|| top.is_writable(&step.path)) {
            found.insert(Obstacle::new(&step.path, Why::FolderNotWritable));
        }
    }
    Ok(found)
}

/// Returns what exists where a new file would be, and is not going: the file's own place, a file in place of one of its
/// folders, files in a folder in its place, or a repository there.
///
/// With `may_be_going`, what is there may be one of those that go: the disk does not tell `README` from `readme`.
fn find_in_the_way(top: &Folders, path: &[u8], going: &HashSet<&[u8]>, may_be_going: bool) -> Result<Vec<Vec<u8>>> {
    let context = |path: &[u8]| format!("cannot look at {}", crate::text::path(path));
    for folder in folders(path) {
        match top.look(folder).context(|| context(folder))? {
            Some(there) if there.is_folder() => {}
            Some(_) if going.contains(folder) => return Ok(Vec::new()),
            Some(_) => return Ok(vec![folder.to_vec()]),
            None => return Ok(Vec::new()),
        }
    }
    let mut found = Vec::new();
    let mut places = vec![path.to_vec()];
    while let Some(place) = places.pop() {
        let Some(there) = top.look(&place).context(|| context(&place))? else { continue };
        if there.is_folder() && top.is_repository(&place) {
            found.push(place);
        } else if there.is_folder() {
            places.extend(top.list(&place).context(|| context(&place))?);
        } else if !going.contains(place.as_slice()) {
            let same = |other: &&[u8]| matches!(top.look(other), Ok(Some(other)) if (other.device, other.inode) == (there.device, there.inode));
            if !(may_be_going && going.iter().any(same)) {
                found.push(place);
            }
        }
    }
    Ok(found)
}

/// Returns how many bytes are missing on the disk for these changes; 0 when there is room. They are about `bytes`: where
/// there is room for many times that, nobody counts.
///
/// # Errors
/// When the sizes cannot be read.
pub fn missing_space(repo: &Repo, scratch: &Scratch, changes: &[Change], bytes: Option<u64>) -> Result<u64> {
    const AMPLE: u64 = 256 << 20;
    let disk = rustix::fs::statvfs(repo.top()?).context(|| "cannot ask for the room on the disk".to_owned())?;
    let free = disk.f_bavail * disk.f_frsize;
    if bytes.is_some_and(|bytes| free / 4 > bytes.saturating_add(AMPLE)) {
        return Ok(0);
    }
    let new = changes.iter().filter(|change| change.new_mode != 0 && !change.is_submodule());
    let sizes = scratch.git().objects(new.map(|change| &change.new), |object| object.map(|object| object.size))?;
    // What is replaced stays beside the new until all has landed; and a file takes whole blocks.
    let needed: u64 = sizes.iter().flatten().map(|size| size.next_multiple_of(4096)).sum();
    Ok(needed.saturating_sub(free))
}
