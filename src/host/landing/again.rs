//! Work that has landed, and that is no more in the working copy: thrown away by a checkout, a stash, another branch.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;

use super::agreed::{Ledger, renames};
use super::look::{Asked, Form, Here, Ours};
use super::merge::{Side, edit, favour};
use crate::error::{Context, Result};
use crate::host::Repo;
use crate::host::entries::{self, Entries, Entry};
use crate::host::folders::Folders;
use crate::host::git::{self, filters::raw_ids};
use crate::host::scratch::Scratch;
use crate::snapshot::{Change, Oid};
use crate::text;

/// What has landed, and becomes part of the host's files again before new work is merged into them.
pub struct Again {
    /// From the agreed tree to what was shipped: the other way round than it landed.
    landed: Vec<Change>,
}

/// The host's files with what has landed.
pub struct Restored {
    /// What is to be at each path that was looked at for this; none where nothing is to be.
    pub files: BTreeMap<Vec<u8>, Option<Entry>>,
    /// Paths that were edited since, and stay as they are.
    pub edited: Vec<Vec<u8>>,
    /// So many paths were as they had been shipped.
    pub whole: usize,
    /// So many others were edited, and lack a part of what has landed.
    pub parts: usize,
}

impl Again {
    /// Takes what has landed, as far as pathspecs choose it.
    ///
    /// # Errors
    /// When git cannot tell.
    pub fn of(ledger: &Ledger, scratch: &Scratch, pathspecs: &[OsString]) -> Result<Again> {
        if ledger.agreed == ledger.baseline {
            return Ok(Again { landed: Vec::new() });
        }
        let mut landed = scratch.git().diff(&ledger.agreed, &ledger.baseline, false, pathspecs)?;
        landed.retain(|change| !change.is_submodule());
        Ok(Again { landed })
    }

    /// Returns a difference with the paths of what has landed.
    pub fn with(&self, delta: &[Change]) -> Vec<Change> {
        let known: HashSet<&[u8]> = delta.iter().map(|change| change.path.as_slice()).collect();
        let more = self.landed.iter().filter(|change| !known.contains(change.path.as_slice()));
        let mut all: Vec<Change> = delta.iter().chain(more).cloned().collect();
        all.sort_by(|one, other| one.path.cmp(&other.path));
        all
    }

    /// Counts the paths at which the host lacks what has landed, or a part of it: what would change if it landed again.
    /// A file that is as a landing wrote it is not read.
    ///
    /// # Errors
    /// When a file cannot be looked at.
    pub fn thrown_away(self, repo: &Repo, scratch: &Scratch, ledger: &Ledger) -> Result<usize> {
        let folders = Folders::open(repo.top()?)?;
        let mut changed = Vec::new();
        for change in self.landed {
            let found = folders.look(&change.path).context(|| "cannot look at the working files".to_owned())?;
            let record = ledger.written.get(&change.path);
            let is_as_landed = match (found, record) {
                (Some(found), Some(record)) => record.is(&found) && !record.is_undone,
                (None, _) => change.old_mode == 0,
                (Some(_), None) => false,
            };
            if !is_as_landed {
                changed.push(change);
            }
        }
        if changed.is_empty() {
            return Ok(0);
        }
        // For a look, jj would take in all files.
        let ours = if repo.vcs.extras().is_some() {
            bytes_of(scratch, &folders, &changed)?
        } else {
            let known = |paths: &[&[u8]]| ledger.knows(repo, paths);
            let asked = Asked {
                delta: &changed,
                common: &ledger.agreed,
                written: &ledger.written,
                known: &known,
                why: "before a pull",
            };
            repo.vcs.look(repo, scratch, &asked)?
        };
        let restored = Again { landed: changed }.apply(repo, scratch, &ours)?;
        Ok(restored.whole + restored.parts)
    }

    /// Returns the host's files with what has landed, where they are as they were shipped; where they were edited too, with
    /// that of it which does not touch the edits.
    ///
    /// # Errors
    /// When git cannot merge.
    pub fn apply(&self, repo: &Repo, scratch: &Scratch, ours: &Ours) -> Result<Restored> {
        let mut found = Restored { files: BTreeMap::new(), edited: Vec::new(), whole: 0, parts: 0 };
        let moved = self.moved(repo, scratch, ours)?;
        let mut both: [Entries; 3] = Default::default();
        for change in &self.landed {
            let path = &change.path;
            let (landed, shipped) = (Entry::before(change), Entry::after(change));
            let here = ours.files.get(path);
            let entry = here.map(|here| here.entry.clone());
            let is_bytes = here.is_some_and(|here| matches!(here.form, Form::Bytes { .. }));
            let to_be = if entry == shipped && !moved.contains(path) && !ours.foreign.contains(path) {
                found.whole += 1;
                landed
            } else {
                if entry != landed && !moved.contains(path) && !is_bytes {
                    for (side, entry) in both.iter_mut().zip([&shipped, &entry, &landed]) {
                        side.extend(entry.clone().map(|entry| (path.clone(), entry)));
                    }
                }
                entry
            };
            found.files.insert(path.clone(), to_be);
        }
        let [shipped, here, landed] = &both;
        let [base, own, theirs] =
            [tree(repo, scratch, shipped)?, tree(repo, scratch, here)?, tree(repo, scratch, landed)?];
        let merged = entries::all_of_tree(scratch.git(), &favour(scratch, &base, &own, &theirs, Side::Ours)?)?;
        let paths: HashSet<&Vec<u8>> = both.iter().flat_map(Entries::keys).collect();
        for path in paths {
            if merged.get(path) == here.get(path) {
                found.edited.push(path.clone());
            } else {
                found.parts += 1;
            }
            found.files.insert(path.clone(), merged.get(path).cloned());
        }
        found.edited.sort();
        Ok(found)
    }

    /// Returns the paths of landed files that are here under another name.
    fn moved(&self, repo: &Repo, scratch: &Scratch, ours: &Ours) -> Result<HashSet<Vec<u8>>> {
        let gone = self.landed.iter().filter(|change| !ours.files.contains_key(&change.path));
        let gone: Entries = gone.filter_map(|change| Some((change.path.clone(), Entry::before(change)?))).collect();
        if gone.is_empty() || ours.elsewhere.is_empty() {
            return Ok(HashSet::new());
        }
        let there = ours.elsewhere.iter().map(|(path, here)| (path.clone(), here.entry.clone())).collect();
        let renames = renames(scratch, &tree(repo, scratch, &gone)?, &tree(repo, scratch, &there)?)?;
        Ok(renames.into_iter().map(|(from, _)| from).collect())
    }
}

/// Returns the files at the paths of changes as their bytes are, where no tool converts them.
fn bytes_of(scratch: &Scratch, folders: &Folders, changes: &[Change]) -> Result<Ours> {
    let mut ours = Ours::default();
    let mut here = |path: &[u8], mode, blob| {
        ours.files.insert(path.to_vec(), Here::absent(Entry { mode, blob }));
    };
    let (copies, mut files) = (scratch.path("copies"), Vec::new());
    for change in changes {
        let context = || format!("cannot look at {}", text::path(&change.path));
        match folders.look(&change.path).context(context)? {
            Some(found) if found.is_file() => {
                let mode = if found.mode & 0o100 == 0 { entries::PLAIN } else { entries::PROGRAM };
                // git would go where a symlink leads that somebody puts in a folder's place.
                let copy = copies.join(files.len().to_string());
                let mut file = folders.read(&change.path).context(context)?;
                fs::create_dir_all(&copies)
                    .and_then(|()| io::copy(&mut file, &mut File::create(copy)?))
                    .context(|| "cannot write a temporary file".to_owned())?;
                files.push((change.path.as_slice(), mode));
            }
            Some(found) if found.is_symlink() => {
                let target = folders.read_link(&change.path).context(context)?;
                let call = scratch.git().call(["hash-object", "-w", "--stdin"]).input(target);
                here(&change.path, entries::SYMLINK, git::parse_oid(call.stdout()?)?);
            }
            _ => {}
        }
    }
    let names: Vec<String> = (0..files.len()).map(|number| number.to_string()).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    for ((path, mode), blob) in files.into_iter().zip(raw_ids(scratch.git(), &copies, &names, true)?) {
        here(path, mode, blob);
    }
    Ok(ours)
}

/// Makes a tree of a few files.
fn tree(repo: &Repo, scratch: &Scratch, files: &Entries) -> Result<Oid> {
    let edits = files.iter().map(|(path, entry)| (path.clone(), Some(entry.clone()))).collect();
    edit(scratch, &Oid::empty_tree(repo.object_format()), &edits)
}
