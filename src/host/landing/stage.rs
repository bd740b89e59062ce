//! All that a landing writes is written first to where nobody looks, on the same file system: a full disk, or a filter that
//! fails, shows here, before any file of the host's is touched.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::look::{Form, Record};
use super::steps::{New, Source, Step};
use super::swap::Lock;
use super::{Obstacle, Why};
use crate::error::{Context, Result};
use crate::host::Repo;
use crate::host::entries::{Entries, Entry, PROGRAM, folders};
use crate::host::folders::{Folders, Identity, owned, remove_all};
use crate::host::git::filters::{Desk, Written, raw_ids};
use crate::host::scratch::Scratch;
use crate::snapshot::Oid;

/// Where files are staged, and where those that they replace are kept.
#[derive(Debug)]
pub struct Place {
    /// Its folder.
    pub path: PathBuf,
    /// The same, by handle.
    pub folders: Folders,
    /// Its file system.
    pub device: u64,
}

/// What is staged.
#[derive(Debug)]
pub struct Staged {
    /// One for each file system that the landing writes to.
    pub places: Vec<Place>,
    /// What is written, by path: how to know it again.
    pub written: BTreeMap<Vec<u8>, Record>,
}

/// Returns the name under which the file of a step is staged.
pub fn new_name(step: usize) -> Vec<u8> {
    format!("new-{step}").into_bytes()
}

/// Returns the name under which the file that a step replaces is kept.
pub fn old_name(step: usize) -> Vec<u8> {
    format!("old-{step}").into_bytes()
}

/// Stages the files of a landing, those in `at_hand` with the content that their pointers stand for; returns the paths whose
/// filter failed in its place.
///
/// # Errors
/// When a file cannot be written.
pub fn stage(
    repo: &Repo,
    scratch: &Scratch,
    lock: &Lock,
    steps: &mut [Step],
    at_hand: &HashSet<Oid>,
) -> Result<Result<Staged, Vec<Obstacle>>> {
    let top = Folders::open(repo.top()?)?;
    let places = places(repo, lock, &top, steps)?;
    let main = &places[0];
    let paths: Vec<Vec<u8>> = steps.iter().map(|step| step.path.clone()).collect();
    let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
    let (desk, converts) = repo.vcs.desk(repo, scratch, &main.path.join("desk"), &paths)?;
    if converts {
        write_anew(&desk, steps)?;
    }
    let (bytes, mut checked_out) = by_writer(steps, converts);
    // What a partial clone lacks, git fetches for a checkout.
    checked_out.extend(write_bytes(scratch, &places, steps, &bytes)?);
    let written: Entries = checked_out.into_iter().filter_map(|number| steps[number].file()).collect();
    let (content, others): (Entries, Entries) =
        written.clone().into_iter().partition(|(_, entry)| at_hand.contains(&entry.blob));
    let mut told = if others.is_empty() { Written::default() } else { desk.write(&others, NEW)? };
    if !content.is_empty() {
        let more = desk.with_content().write(&content, NEW)?;
        told.failed.extend(more.failed);
        told.said.extend(more.said);
    }
    if !told.failed.is_empty() {
        let obstacles = told.failed.iter().map(|path| Obstacle::new(path, Why::FilterFailed)).collect();
        return Ok(Err(obstacles));
    }
    let mut raws: BTreeMap<Vec<u8>, Oid> = BTreeMap::new();
    if converts {
        let files: Vec<&[u8]> =
            written.iter().filter(|(_, entry)| entry.is_file()).map(|(path, _)| path.as_slice()).collect();
        raws =
            files.iter().map(|path| path.to_vec()).zip(raw_ids(desk.git(), &desk.place(NEW), &files, false)?).collect();
        let lost = desk.unfiltered(&written, &raws, &told.said)?;
        if !lost.is_empty() {
            return Ok(Err(lost.iter().map(|path| Obstacle::new(path, Why::FilterFailed)).collect()));
        }
    }
    if !told.said.trim_ascii().is_empty() {
        repo.git.reporter().notice(crate::reporter::Notice::Git(told.said));
    }
    let desk_files = Folders::open(&main.path)?;
    let mut records = BTreeMap::new();
    for number in 0..steps.len() {
        let Some(new) = &steps[number].new else { continue };
        let path = steps[number].path.clone();
        let place = &places[steps[number].place];
        let name = new_name(number);
        let context = || format!("cannot write {}", crate::text::path(&path));
        let mut raw = raws.get(&path).cloned().or_else(|| Some(new.entry.blob.clone()));
        match (&new.source, &new.form) {
            (Source::Moved(from), _) => {
                let old = steps[*from].old.as_ref();
                let stood = old.and_then(|old| old.stood);
                raw = old.filter(|old| !has_own_form(&old.form)).and_then(|old| old.raw.clone());
                let new = steps[number].new.as_mut();
                new.into_iter().for_each(|new| new.staged = stood);
                if let (Some(stood), Some(raw)) = (stood, raw) {
                    let entry = steps[number].new.as_ref().map(|new| new.entry.clone());
                    records.extend(entry.map(|entry| (path, record(entry, raw, &stood))));
                }
                continue;
            }
            (Source::Copied(from), _) => {
                let old = &steps[*from];
                let stood = old.old.as_ref().and_then(|old| old.stood);
                raw = old.old.as_ref().filter(|old| !has_own_form(&old.form)).and_then(|old| old.raw.clone());
                let mut file = top.read(&old.path).context(context)?;
                let to = place.path.join(owned(&name));
                std::io::copy(&mut file, &mut File::create(&to).context(context)?).context(context)?;
                if let Some(stood) = stood {
                    let mode = if new.entry.mode == PROGRAM { runnable(stood.mode) } else { stood.mode & !0o111 };
                    fs::set_permissions(&to, Permissions::from_mode(mode & 0o7777)).context(context)?;
                    place.folders.set_time(&name, stood.changed).context(context)?;
                }
            }
            (Source::Written, Form::Bytes { .. }) => raw = None,
            (Source::Written, _) if !written.contains_key(&path) => {}
            (Source::Written, form) => {
                let from = [b"desk.", NEW.as_bytes(), b"/", &path].concat();
                if let Form::LineEnds(ends) = form {
                    let file = main.path.join(owned(&from));
                    let text = fs::read(&file).context(context)?;
                    fs::write(&file, ends.apply(&text)).context(context)?;
                    raw = None;
                }
                if steps[number].place == 0 {
                    desk_files.rename(&from, &place.folders, &name).context(context)?;
                } else {
                    copy(&main.path.join(owned(&from)), &place.path.join(owned(&name))).context(context)?;
                }
            }
        }
        let staged = place.folders.look(&name).context(context)?;
        if let Some(new) = &mut steps[number].new {
            new.staged = staged;
            if let (Some(staged), Some(raw)) = (staged, raw) {
                records.insert(path, record(new.entry.clone(), raw, &staged));
            }
        }
    }
    for folder in [desk.folder(), &desk.place(NEW)] {
        let _ = remove_all(folder);
    }
    Ok(Ok(Staged { places, written: records }))
}

/// Returns the steps whose files are written as the bytes of their content, and those whose files git checks out.
fn by_writer(steps: &[Step], converts: bool) -> (Vec<usize>, Vec<usize>) {
    let written = |number: &usize| steps[*number].new.as_ref().is_some_and(|new| new.source == Source::Written);
    (0..steps.len()).filter(written).partition(|number| match &steps[*number].new {
        Some(New { form: Form::Bytes { .. }, .. }) => true,
        Some(New { form: Form::AsWritten, entry, .. }) => !converts && entry.is_file(),
        _ => false,
    })
}

/// Writes files as the bytes of their content, one after the other; returns the steps of those whose content is not there.
fn write_bytes(scratch: &Scratch, places: &[Place], steps: &[Step], numbers: &[usize]) -> Result<Vec<usize>> {
    let mut missing = Vec::new();
    let new = |number: usize| steps[number].new.as_ref().map(|new| &new.entry);
    let blobs = numbers.iter().filter_map(|number| new(*number)).map(|entry| &entry.blob);
    scratch.git().each(blobs, |at, content| {
        let Some(content) = content else {
            missing.push(numbers[at]);
            return Ok(());
        };
        let step = &steps[numbers[at]];
        let context = || format!("cannot write {}", crate::text::path(&step.path));
        let mode = if new(numbers[at]).is_some_and(|entry| entry.mode == PROGRAM) { 0o777 } else { 0o666 };
        let to = places[step.place].path.join(owned(&new_name(numbers[at])));
        let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&to).context(context)?;
        std::io::copy(content, &mut file).context(context).map(drop)
    })?;
    Ok(missing)
}

/// Has files written that would move to where they are converted in another way.
fn write_anew(desk: &Desk, steps: &mut [Step]) -> Result<()> {
    let other = |number: usize| {
        let new = steps[number].new.as_ref()?;
        let (Source::Moved(from) | Source::Copied(from)) = new.source else { return None };
        let old = steps[from].old.as_ref().filter(|old| !matches!(old.form, Form::Bytes { .. }))?;
        (from != number && old.entry.is_file()).then_some((number, from))
    };
    let moves: Vec<(usize, usize)> = (0..steps.len()).filter_map(other).collect();
    if moves.is_empty() {
        return Ok(());
    }
    let path = |number: usize| steps[number].path.as_slice();
    let pairs: Vec<_> = moves.iter().map(|(to, from)| (path(*from), path(*to))).collect();
    let differ = desk.differ(&pairs)?;
    for ((number, _), _) in moves.into_iter().zip(differ).filter(|(_, differ)| *differ) {
        if let Some(new) = &mut steps[number].new {
            new.source = Source::Written;
        }
    }
    Ok(())
}

/// Tells whether the bytes of a file are others than a checkout would write, so that the next landing has to look again.
fn has_own_form(form: &Form) -> bool {
    !matches!(form, Form::AsWritten)
}

/// The place beside a desk for what is new.
const NEW: &str = "new";

fn record(entry: Entry, raw: Oid, file: &Identity) -> Record {
    let Identity { inode, size, changed, .. } = *file;
    Record { mode: entry.mode, blob: entry.blob, raw, inode, size, changed, is_undone: false }
}

/// Returns permissions with that to run the file, for all who can read it.
fn runnable(mode: u32) -> u32 {
    mode | ((mode & 0o444) >> 2)
}

/// Copies a file or symlink to another file system, with its times and permissions.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    fs::copy(from, to)?;
    File::options().write(true).open(to)?.set_modified(metadata.modified()?)
}

/// Makes the places, and tells each step which is its own: what it writes is moved, and a file moves within its file
/// system alone.
fn places(repo: &Repo, lock: &Lock, top: &Folders, steps: &mut [Step]) -> Result<Vec<Place>> {
    let context = || "cannot look at the working files".to_owned();
    let device = top.look(b"").context(context)?.map_or(0, |top| top.device);
    let mut places = vec![lock.place(repo, device, b"")?];
    let mut known: BTreeMap<Vec<u8>, (u64, Vec<u8>)> = BTreeMap::new();
    for step in steps {
        // The nearest folder that is there, and the outermost of the same file system.
        let mut found = (device, Vec::new());
        for folder in folders(&step.path) {
            if let Some(seen) = known.get(folder) {
                found = seen.clone();
                continue;
            }
            match top.look(folder).context(context)? {
                Some(there) if there.is_folder() => {
                    if there.device != found.0 {
                        found = (there.device, folder.to_vec());
                    }
                    known.insert(folder.to_vec(), found.clone());
                }
                _ => break,
            }
        }
        let number = match places.iter().position(|place| place.device == found.0) {
            Some(number) => number,
            None => {
                places.push(lock.place(repo, found.0, &found.1)?);
                places.len() - 1
            }
        };
        step.place = number;
    }
    Ok(places)
}
