//! What both sides agree on: the guest's files as they would be if it had done only what has landed here. The guest's new
//! work is told apart from that.
//!
//! Three trees: the *baseline* is what the guest's files were when the repository was shipped; the *agreed* tree is what
//! they would be with all that has landed; the *start* of a landing is what they would be with that and with the commits
//! that the base holds. For the prepared head as base, start and agreed tree are the same. Every merge here favours a
//! side, and so never fails.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;

use super::look::Record;
use super::merge::{Side, edit, favour};
use super::record;
use crate::error::Result;
use crate::host::entries::{self, Entry};
use crate::host::git::lfs::Pointers;
use crate::host::scratch::Scratch;
use crate::host::{Records, Repo};
use crate::snapshot::{Change, NoteKind, Oid, Snapshot};

/// What is agreed between the host and one guest, in one working copy.
pub struct Ledger {
    /// The guest's files when the repository was shipped; without a prepare, those of the base of the first landing.
    pub baseline: Oid,
    /// What they would be with all that has landed.
    pub agreed: Oid,
    /// What they would be with that, and with the commits that the base holds.
    pub start: Oid,
    /// The same for messages: a tree or commit that the repository has, while the start may be of this landing alone.
    pub since: Oid,
    /// What landings wrote, by path.
    pub written: BTreeMap<Vec<u8>, Record>,
}

/// What of the guest's work is to land.
pub struct Chosen {
    /// The guest's files, as far as they are to land, as a tree.
    pub theirs: Oid,
    /// What differs between the start and these.
    pub delta: Vec<Change>,
    /// What is named, and does not land.
    pub left: Vec<Left>,
    /// Paths that were not asked for, and land since a file was renamed from there or to there.
    pub also: Vec<Vec<u8>>,
    /// Pointers of Git LFS whose content is here.
    pub at_hand: HashSet<Oid>,
}

/// Something that does not land, and keeps nothing else from landing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its path.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: NoteKind,
}

impl Ledger {
    /// Reads what is agreed, for a snapshot.
    ///
    /// # Errors
    /// When what is recorded cannot be read.
    pub fn load(repo: &Repo, scratch: &Scratch, records: &Records, snapshot: &Snapshot) -> Result<Ledger> {
        let base_tree = || tree_of(repo, &snapshot.base);
        let landings = record::standing(repo, records)?;
        let newest = landings.first();
        let baseline = match (&records.baseline_tree, newest) {
            (Some(tree), _) => tree.clone(),
            (None, Some(landing)) => landing.baseline.clone(),
            (None, None) => base_tree()?,
        };
        let agreed = newest.map_or_else(|| baseline.clone(), |landing| landing.agreed.clone());
        let (start, since) = (agreed.clone(), agreed.clone());
        let mut ledger = Ledger { start, since, baseline, agreed, written: BTreeMap::new() };
        if records.prepare.as_ref() != Some(&snapshot.base) {
            ledger.start = ledger.start_from(repo, scratch, records, snapshot)?;
        }
        if ledger.start != ledger.agreed {
            ledger.since = snapshot.base.clone();
        }
        if ledger.start != snapshot.tree || ledger.agreed != ledger.baseline {
            ledger.written = record::written(scratch, &landings)?;
        }
        Ok(ledger)
    }

    /// Returns the start for a base other than the prepared head.
    fn start_from(&self, repo: &Repo, scratch: &Scratch, records: &Records, snapshot: &Snapshot) -> Result<Oid> {
        let mut base = tree_of(repo, &snapshot.base)?;
        if let Some(prepared) = &records.prepare {
            // What the host itself has committed is not the worker's work.
            let fork = repo.git.maybe_oid(["merge-base", prepared.as_str(), snapshot.head.as_str()])?;
            if let Some(fork) = fork {
                let inside = ["merge-base", "--is-ancestor", snapshot.base.as_str(), fork.as_str()];
                if fork == snapshot.base || repo.git.call(inside).run()?.code == Some(0) {
                    if fork == *prepared {
                        return Ok(self.agreed.clone());
                    }
                    base = tree_of(repo, &fork)?;
                }
            }
            // Nor are the uncommitted edits that were shipped.
            let shipped = tree_of(repo, prepared)?;
            base = favour(scratch, &shipped, &base, &self.baseline, Side::Ours)?;
        }
        // Where what has landed and what is committed disagree, the base is what was asked for.
        favour(scratch, &self.baseline, &base, &self.agreed, Side::Ours)
    }

    /// Tells which of these paths are in the agreed tree.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn knows(&self, repo: &Repo, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
        Ok(entries::of_tree(&repo.git, self.agreed.as_str(), paths)?.into_keys().collect())
    }

    /// Returns what pathspecs choose of the guest's work; with none all of it.
    ///
    /// # Errors
    /// When git cannot tell.
    pub fn choose(
        &self,
        scratch: &Scratch,
        snapshot: &Snapshot,
        pathspecs: &[OsString],
        pointers: impl FnOnce(&[Change]) -> Result<Pointers>,
    ) -> Result<Chosen> {
        let theirs = snapshot.tree.clone();
        let mut chosen =
            Chosen { theirs, delta: Vec::new(), left: Vec::new(), also: Vec::new(), at_hand: HashSet::new() };
        if self.start == snapshot.tree {
            return Ok(chosen);
        }
        let git = scratch.git();
        let mut whole = git.diff(&self.start, &snapshot.tree, false, &[])?;
        let count = whole.len();
        if self.start != self.agreed && whole.iter().any(|change| change.new_mode == 0) {
            self.spare_renamed(scratch, snapshot, &mut whole)?;
        }
        if !pathspecs.is_empty() {
            let mut delta = git.diff(&self.start, &snapshot.tree, false, pathspecs)?;
            delta.retain(|change| whole.contains(change));
            (whole, chosen.also) = self.with_partners(scratch, snapshot, whole, delta)?;
        }
        let pointers = pointers(&whole)?;
        for change in whole {
            if change.is_pointer() {
                chosen.left.push(Left { path: change.path, kind: NoteKind::MovedSubmodule });
            } else if pointers.lost.contains(&change.path) {
                chosen.left.push(Left { path: change.path, kind: NoteKind::LfsPointer });
            } else {
                chosen.delta.push(change);
            }
        }
        chosen.at_hand = pointers.at_hand;
        if chosen.delta.len() < count {
            let edits = chosen.delta.iter().map(|change| (change.path.clone(), Entry::after(change))).collect();
            chosen.theirs = edit(scratch, &self.start, &edits)?;
        }
        Ok(chosen)
    }

    /// Returns the chosen changes with those at the other end of a rename, and the paths of these: half a rename would
    /// double a file, or lose it.
    fn with_partners(
        &self,
        scratch: &Scratch,
        snapshot: &Snapshot,
        whole: Vec<Change>,
        delta: Vec<Change>,
    ) -> Result<(Vec<Change>, Vec<Vec<u8>>)> {
        if !delta.iter().any(|change| change.old_mode == 0 || change.new_mode == 0) {
            return Ok((delta, Vec::new()));
        }
        let mut paths: HashSet<Vec<u8>> = delta.into_iter().map(|change| change.path).collect();
        let changed: HashSet<&[u8]> = whole.iter().map(|change| change.path.as_slice()).collect();
        let mut also = Vec::new();
        for (from, to) in renames(scratch, &self.agreed, &snapshot.tree)? {
            for (one, other) in [(&from, &to), (&to, &from)] {
                if paths.contains(one) && !paths.contains(other) && changed.contains(other.as_slice()) {
                    paths.insert(other.clone());
                    also.push(other.clone());
                }
            }
        }
        Ok((whole.into_iter().filter(|change| paths.contains(&change.path)).collect(), also))
    }

    /// Takes out the deletion of each file that landed as new and lives on in the guest under a name that the base has
    /// already, so that the rename is not among the work that lands; an edit of it may be.
    fn spare_renamed(&self, scratch: &Scratch, snapshot: &Snapshot, delta: &mut Vec<Change>) -> Result<()> {
        let changed: HashMap<&[u8], (u32, u32)> =
            delta.iter().map(|change| (change.path.as_slice(), (change.old_mode, change.new_mode))).collect();
        let mut renamed: HashSet<Vec<u8>> = HashSet::new();
        for (from, to) in renames(scratch, &self.agreed, &snapshot.tree)? {
            if changed.get(from.as_slice()).is_some_and(|(_, new)| *new == 0)
                && changed.get(to.as_slice()).is_none_or(|(old, _)| *old != 0)
            {
                renamed.insert(from);
            }
        }
        let paths: Vec<&[u8]> = renamed.iter().map(Vec::as_slice).collect();
        let shipped = entries::of_tree(scratch.git(), self.baseline.as_str(), &paths)?;
        delta.retain(|change| !renamed.contains(&change.path) || shipped.contains_key(&change.path));
        Ok(())
    }

    /// Returns the agreed tree after a landing of `theirs`; `kept` are the paths at which the guest's version is nowhere on
    /// disk, so that they are agreed no more than before.
    ///
    /// # Errors
    /// When git cannot merge.
    pub fn after(&self, scratch: &Scratch, theirs: &Oid, kept: &[&[u8]]) -> Result<Oid> {
        let next = favour(scratch, &self.start, &self.agreed, theirs, Side::Theirs)?;
        if kept.is_empty() {
            return Ok(next);
        }
        let before = entries::of_tree(scratch.git(), self.agreed.as_str(), kept)?;
        let edits = kept.iter().map(|path| (path.to_vec(), before.get(*path).cloned())).collect();
        edit(scratch, &next, &edits)
    }
}

/// Returns the tree of a commit.
///
/// # Errors
/// When it is not there.
pub fn tree_of(repo: &Repo, commit: &Oid) -> Result<Oid> {
    repo.git.oid(["rev-parse", "-q", "--verify", &format!("{commit}^{{tree}}")])
}

/// Returns the renames between two trees, as git finds them.
///
/// # Errors
/// When git cannot be run.
pub fn renames(scratch: &Scratch, from: &Oid, to: &Oid) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let fixed = ["diff-tree", "-r", "-z", "--name-status", "--find-renames", "-l7000", "--diff-filter=R"];
    let list = scratch.git().call(fixed).args([from.as_str(), to.as_str()]).stdout()?;
    let mut fields = entries::from_nul(&list).into_iter();
    let mut renames = Vec::new();
    // R NUMBER NUL FROM NUL TO NUL
    while let (Some(_), Some(from), Some(to)) = (fields.next(), fields.next(), fields.next()) {
        renames.push((from, to));
    }
    Ok(renames)
}
