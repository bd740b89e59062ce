//! A landing up to the point where nothing but moving files is left: all that can be refused is refused here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use super::again::Again;
use super::agreed::Ledger;
use super::both::{Fallback, unite};
use super::look::{Asked, Known, Ours, Record};
use super::record::{self, Deed, Landing, LandingKind};
use super::stage::{self, Staged};
use super::steps::{Step, changes, steps};
use super::swap::{self, Lock, SetAside};
use super::{Blocked, Conflict, Driver, How, Left, Obstacle, Why, obstacles};
use crate::error::{Error, Result};
use crate::host::entries::{Entries, Entry};
use crate::host::git::Object;
use crate::host::scratch::Scratch;
use crate::host::{Records, Repo};
use crate::snapshot::{Change, Oid, Snapshot};
use crate::trust::refuse_reserved;

/// A landing that can be done: its merge is clean, or conflicts are welcome, and nothing is in its way.
pub struct Plan<'a> {
    pub(in crate::host) repo: &'a Repo,
    pub(in crate::host) records: Records,
    pub(in crate::host) how: How,
    /// What it is called in the log of the user's own tool.
    pub(in crate::host) why: String,
    /// The tree that the work starts from.
    pub(in crate::host) start: Oid,
    /// The same for messages: a tree or commit that the repository has.
    pub(super) since: Oid,
    /// The agreed tree and the guest's: git finds renames between them.
    pub(super) trees: [Oid; 2],
    /// What lands, as a tree.
    pub(in crate::host) theirs: Oid,
    /// jj's operation that holds the host's files.
    pub(in crate::host) operation: String,
    /// The same as the steps.
    pub(in crate::host) changes: Vec<Change>,
    /// What is in the way of any other landing.
    pub(super) lock: Lock,
    pub(super) scratch: Scratch,
    /// Each file that is written, replaced or taken away.
    pub(super) steps: Vec<Step>,
    pub(super) staged: Option<Staged>,
    /// The commit that records it; `None` where there is nothing to land.
    pub(super) landing: Option<Oid>,
    /// The files of the steps before and after, as trees.
    pub(super) sides: [String; 2],
    /// What is to be said of it.
    pub told: Told,
}

/// What is to be said of a landing.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What changes in the working copy, exact renames as renames.
    pub shown: Vec<Change>,
    /// The files on which the sides disagree, and how.
    pub conflicts: BTreeMap<Vec<u8>, Why>,
    /// Those of them at which the guest has a file.
    pub theirs: BTreeSet<Vec<u8>>,
    /// What does not land, and keeps nothing else from landing.
    pub left: Vec<Left>,
    /// Paths that were not asked for, and land as the other end of a rename.
    pub also: Vec<Vec<u8>>,
    /// New files that the host ignores.
    pub ignored: Vec<Vec<u8>>,
    /// Merge drivers that were not run.
    pub drivers: Vec<Driver>,
    /// How many paths have landed, and are as they were before.
    pub thrown_away: usize,
    /// Paths that have landed, were edited since, and stay as they are.
    pub edited: Vec<Vec<u8>>,
    /// What had to be set aside as a landing that was cut off was taken back first; `None` where there was none.
    pub recovered: Option<Vec<SetAside>>,
}

/// Times of files may be this much behind the clock.
const TICK: Duration = Duration::from_secs(2);

/// What is to become of the host's files.
pub struct Work<'a> {
    /// The tree that it starts from.
    pub start: &'a Oid,
    /// The tree that it leads to.
    pub theirs: &'a Oid,
    /// The difference between the two, without renames.
    pub delta: &'a [Change],
    /// A tree of what both sides have: what the host has beside it is its own.
    pub common: &'a Oid,
    /// What earlier landings wrote.
    pub written: &'a BTreeMap<Vec<u8>, Record>,
    /// Tells which paths both sides have.
    pub known: &'a Known<'a>,
    /// Pointers of Git LFS whose content is here.
    pub at_hand: &'a HashSet<Oid>,
    /// About how many bytes are to be written; `None` where nobody has counted them.
    pub bytes: Option<u64>,
    /// What a conflict may start from in place of that tree.
    pub fallback: Option<Fallback<'a>>,
    /// What has landed, and is to be there again.
    pub again: Option<Again>,
}

impl Work<'_> {
    /// Returns the paths that it changes.
    fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.delta.iter().map(|change| change.path.as_slice())
    }
}

/// What came of the work, for the record.
struct Outcome {
    /// The host's own files before, at the paths that are touched.
    before: Entries,
    /// And after.
    after: Entries,
    written: BTreeMap<Vec<u8>, Record>,
    /// Paths at which the guest's version is nowhere on disk.
    kept: Vec<Vec<u8>>,
}

/// Merges the guest's work into the host's files, in objects only, and looks for everything that would stop it. Of the
/// host's files it looks at those that the work touches, and at no other. `scratch` is a repository beside the host's.
///
/// # Errors
/// Every path that cannot land, and why.
pub fn plan<'a>(
    repo: &'a Repo,
    records: &Records,
    snapshot: &Snapshot,
    scratch: Scratch,
    pathspecs: &[OsString],
    how: How,
) -> Result<Plan<'a>, Blocked> {
    let mut plan = Plan::open(repo, records.clone(), scratch, how, format!("pull {}", records.vm))?;
    let ledger = Ledger::load(repo, &plan.scratch, &plan.records, snapshot)?;
    let pointers = |changes: &[Change]| repo.vcs.pointers(repo, &plan.scratch, changes, snapshot);
    let chosen = ledger.choose(&plan.scratch, snapshot, pathspecs, pointers)?;
    (plan.start, plan.theirs) = (ledger.start.clone(), chosen.theirs.clone());
    (plan.since, plan.trees) = (ledger.since.clone(), [ledger.agreed.clone(), snapshot.tree.clone()]);
    (plan.told.left, plan.told.also) = (chosen.left, chosen.also);
    // jj would have to take in all files for that.
    let looks_back = how.again || (chosen.delta.is_empty() && repo.vcs.extras().is_none());
    let again = if looks_back { Some(Again::of(&ledger, &plan.scratch, pathspecs)?) } else { None };
    let again = match again {
        Some(again) if !how.again => {
            plan.told.thrown_away = again.thrown_away(repo, &plan.scratch, &ledger)?;
            None
        }
        again => again,
    };
    if chosen.delta.is_empty() && again.is_none() {
        return Ok(plan);
    }
    refuse_reserved(chosen.delta.iter().map(|change| change.path.as_slice()))?;
    let known = |paths: &[&[u8]]| ledger.knows(repo, paths);
    let rests_on_commits = plan.records.prepare.as_ref() != Some(&snapshot.base);
    let outcome = plan.draft(&Work {
        start: &ledger.start,
        theirs: &chosen.theirs,
        delta: &chosen.delta,
        common: &ledger.start,
        written: &ledger.written,
        known: &known,
        at_hand: &chosen.at_hand,
        bytes: Some(snapshot.bytes),
        fallback: Some(Fallback { ledger: &ledger, snapshot: &snapshot.tree, rests_on_commits }),
        again,
    })?;
    if chosen.delta.is_empty() && plan.steps.is_empty() {
        // All that has landed is here.
        return Ok(plan);
    }
    let kept: Vec<&[u8]> = outcome.kept.iter().map(Vec::as_slice).collect();
    let is = ledger.after(&plan.scratch, &chosen.theirs, &kept)?;
    let prepared = plan.records.baseline.clone();
    let deed = Deed {
        vm: &records.vm,
        base: &snapshot.base,
        prepared: prepared.as_ref(),
        baseline: &ledger.baseline,
        was: &ledger.agreed,
        is: &is,
        kind: LandingKind::Work,
        before: outcome.before,
        after: outcome.after,
        written: &outcome.written,
    };
    plan.record(&deed)?;
    Ok(plan)
}

/// Returns the two trees whose difference is what a landing of the snapshot would bring; both are in the repository.
///
/// # Errors
/// When what is recorded cannot be read.
pub fn difference(repo: &Repo, records: &Records, snapshot: &Snapshot, scratch: &Scratch) -> Result<[Oid; 2]> {
    let ledger = Ledger::load(repo, scratch, records, snapshot)?;
    if ledger.start != ledger.agreed {
        scratch.hand_over(repo)?;
    }
    Ok([ledger.start, snapshot.tree.clone()])
}

/// Returns the paths that a landing of the snapshot would touch, as far as pathspecs choose them.
///
/// # Errors
/// When what is recorded cannot be read, or git does not take the pathspecs.
pub fn touched(
    repo: &Repo,
    records: &Records,
    snapshot: &Snapshot,
    scratch: &Scratch,
    pathspecs: &[OsString],
) -> Result<Vec<Vec<u8>>> {
    let ledger = Ledger::load(repo, scratch, records, snapshot)?;
    let changes = scratch.git().diff(&ledger.start, &snapshot.tree, false, pathspecs)?;
    Ok(changes.into_iter().map(|change| change.path).collect())
}

/// Plans to take a landing back, or to land it again: its difference, the other way round or not, is merged into the host's
/// files as they are now, so that later edits stay.
///
/// # Errors
/// Every path at which that cannot be done, and why.
pub fn turn<'a>(repo: &'a Repo, landing: &Landing, how: How, kind: LandingKind) -> Result<Plan<'a>, Blocked> {
    let (verb, is_undo) = match kind {
        LandingKind::Undo(_) => ("undo", true),
        _ => ("undo --redo", false),
    };
    let records = repo.records(&landing.vm)?;
    let mut plan = Plan::open(repo, records, Scratch::beside(repo)?, how, format!("{verb} {}", landing.vm))?;
    let state = record::standing(repo, &plan.records)?;
    let git = plan.scratch.git();
    let names = ["before", "after"].map(|name| format!("{}:{name}", landing.commit));
    // Where there was nothing, there is no folder.
    let id = |tree: Option<Object>| tree.map_or_else(|| Oid::empty_tree(repo.object_format()), |tree| tree.id);
    let [before, after] = git.objects(names, id)?.try_into().map_err(|_| Error::bug("git answered too little"))?;
    let (start, theirs, common) =
        if is_undo { (after, before, &landing.agreed) } else { (before, after, &landing.was) };
    let delta = git.diff(&start, &theirs, false, &[])?;
    let written = record::written(&plan.scratch, &plan.records.landings)?;
    // All of them were the host's own.
    let known = |paths: &[&[u8]]| Ok(paths.iter().map(|path| path.to_vec()).collect());
    let (baseline, was) = match state.first() {
        Some(newest) => (newest.baseline.clone(), newest.agreed.clone()),
        None => {
            let baseline = plan.records.baseline_tree.clone().unwrap_or_else(|| landing.baseline.clone());
            (baseline.clone(), baseline)
        }
    };
    // After another prepare what is agreed does not rest on it any more.
    let is = match landing.is_since(&plan.records) {
        true if is_undo => landing.was.clone(),
        true => landing.agreed.clone(),
        false => was.clone(),
    };
    (plan.start, plan.theirs) = (start.clone(), theirs.clone());
    (plan.since, plan.trees) = (start.clone(), [start.clone(), theirs.clone()]);
    let outcome = plan.draft(&Work {
        start: &start,
        theirs: &theirs,
        delta: &delta,
        common,
        written: &written,
        known: &known,
        at_hand: &HashSet::new(),
        bytes: None,
        fallback: None,
        again: None,
    })?;
    let prepared = plan.records.baseline.clone();
    let deed = Deed {
        vm: &landing.vm,
        base: &landing.base,
        prepared: prepared.as_ref(),
        baseline: &baseline,
        was: &was,
        is: &is,
        kind,
        before: outcome.before,
        after: outcome.after,
        written: &outcome.written,
    };
    plan.record(&deed)?;
    Ok(plan)
}

impl<'a> Plan<'a> {
    /// Begins a plan that does nothing: takes the lock, and takes back a landing that was cut off.
    fn open(repo: &'a Repo, records: Records, scratch: Scratch, how: How, why: String) -> Result<Plan<'a>> {
        let lock = Lock::take(repo, &why, how.patience)?;
        let recovered = lock.recover(repo)?;
        // Another landing may have come in since they were read.
        let is_known = |read: SystemTime| lock.taken.is_none_or(|taken| taken + TICK < read);
        let is_known = recovered.is_none() && records.read.is_some_and(is_known);
        let records = if is_known { records } else { repo.records(&records.vm)? };
        let none = Oid::empty_tree(repo.object_format());
        Ok(Plan {
            repo,
            records,
            how,
            why,
            start: none.clone(),
            since: none.clone(),
            trees: [none.clone(), none.clone()],
            theirs: none,
            operation: String::new(),
            changes: Vec::new(),
            lock,
            scratch,
            steps: Vec::new(),
            staged: None,
            landing: None,
            sides: Default::default(),
            told: Told { recovered, ..Told::default() },
        })
    }

    /// Looks at the host's files, merges, and stages what is to be written.
    fn draft(&mut self, work: &Work<'_>) -> Result<Outcome, Blocked> {
        let repo = self.repo;
        let delta = work.again.as_ref().map(|again| again.with(work.delta));
        let asked = Asked {
            delta: delta.as_deref().unwrap_or(work.delta),
            common: work.common,
            written: work.written,
            known: work.known,
            why: &format!("before {}", self.why),
        };
        let mut ours = repo.vcs.look(repo, &self.scratch, &asked)?;
        self.operation = std::mem::take(&mut ours.operation);
        let mut restored = None;
        let mut united = match &work.again {
            None => unite(repo, &self.scratch, &self.records.vm, work, &ours)?,
            Some(again) => {
                let files = again.apply(repo, &self.scratch, &ours)?;
                let mut united = unite(repo, &self.scratch, &self.records.vm, work, &ours.with(&files.files))?;
                let known: HashSet<&[u8]> = work.delta.iter().map(|change| change.path.as_slice()).collect();
                let more = files.files.iter().filter(|(path, _)| !known.contains(path.as_slice()));
                united.files.extend(more.filter_map(|(path, entry)| Some((path.clone(), entry.clone()?))));
                restored = Some(files);
                united
            }
        };
        self.told.edited = restored.map(|restored| restored.edited).unwrap_or_default();
        self.told.drivers = std::mem::take(&mut united.drivers);
        united.see_types(repo)?;
        if self.how.conflict == Conflict::Abort {
            united.see_commits();
        }
        let mut obstacles: BTreeSet<Obstacle> = ours.obstacles.iter().cloned().collect();
        if self.how.conflict == Conflict::Abort {
            obstacles.extend(united.conflicts.iter().map(|(path, why)| Obstacle::new(path, *why)));
        }
        self.steps = steps(&ours, &united.files);
        self.forget(&ours);
        self.changes = changes(repo, &self.steps);
        obstacles.extend(obstacles::find(repo, &self.changes, &self.steps)?);
        if obstacles.iter().any(|obstacle| obstacle.why == Why::FilterFailed) {
            // A filter that fails for what is here may fail for what is new, too.
            if let Err(failed) = stage::stage(repo, &self.scratch, &self.lock, &mut self.steps, work.at_hand)? {
                obstacles.extend(failed);
            }
        }
        if !obstacles.is_empty() {
            let mut blocked = self.blocked_by(work.paths(), obstacles);
            if let (Blocked::Paths { thrown_away, .. }, Some(fallback)) = (&mut blocked, &work.fallback) {
                let paths: Vec<&[u8]> = united.conflicts.keys().map(Vec::as_slice).collect();
                *thrown_away = fallback.is_thrown_away(&self.scratch, &ours, &paths)?;
            }
            return Err(blocked);
        }
        let missing = obstacles::missing_space(repo, &self.scratch, &self.changes, work.bytes)?;
        if missing > 0 {
            return Err(Blocked::NoRoom { missing });
        }
        let records_conflict = self.how.conflict == Conflict::Record && !united.conflicts.is_empty();
        let mut written = BTreeMap::new();
        if !self.steps.is_empty() && !records_conflict {
            match stage::stage(repo, &self.scratch, &self.lock, &mut self.steps, work.at_hand)? {
                Ok(staged) => {
                    written.clone_from(&staged.written);
                    self.staged = Some(staged);
                }
                Err(failed) => return Err(self.blocked_by(work.paths(), failed.into_iter().collect())),
            }
        }
        let new = self.steps.iter().filter(|step| step.old.is_none()).map(|step| step.path.as_slice());
        self.told.ignored = repo.vcs.ignored(repo, &new.collect::<Vec<_>>())?;
        // What conflicts without markers is here as it was, and no more agreed than before.
        let is_kept = |why: &Why| self.how.conflict != Conflict::Record && !why.is_text();
        let kept = united.conflicts.iter().filter(|(_, why)| is_kept(why)).map(|(path, _)| path.clone()).collect();
        let side = |entry: fn(&Step) -> Option<Entry>| -> Entries {
            self.steps.iter().filter_map(|step| Some((step.path.clone(), entry(step)?))).collect()
        };
        let outcome = Outcome {
            before: side(|step| step.old.as_ref().map(|old| old.entry.clone())),
            after: side(|step| step.new.as_ref().map(|new| new.entry.clone())),
            written,
            kept,
        };
        let comes = |change: &&Change| change.new_mode != 0 && united.conflicts.contains_key(&change.path);
        self.told.theirs = work.delta.iter().filter(comes).map(|change| change.path.clone()).collect();
        self.told.conflicts = united.conflicts;
        Ok(outcome)
    }

    /// Removes the content of files elsewhere that the landing does not touch: it is the host's, and is not to be stored.
    fn forget(&self, ours: &Ours) {
        let entries = |step: &Step| {
            [step.old.as_ref().map(|old| old.entry.blob.clone()), step.new.as_ref().map(|new| new.entry.blob.clone())]
        };
        let needed: HashSet<Oid> = self.steps.iter().flat_map(entries).flatten().collect();
        for here in ours.elsewhere.values().filter(|here| !needed.contains(&here.entry.blob)) {
            let (folder, name) = here.entry.blob.as_str().split_at(2);
            let _ = std::fs::remove_file(self.scratch.path(&format!("objects/{folder}/{name}")));
        }
    }

    /// Makes the commit that records it, and with that what is shown.
    fn record(&mut self, deed: &Deed<'_>) -> Result<()> {
        let landing = record::make(&self.scratch, deed)?;
        self.sides = [("before", &deed.before), ("after", &deed.after)].map(|(name, files)| match files.is_empty() {
            true => Oid::empty_tree(self.repo.object_format()).to_string(),
            false => format!("{landing}:{name}"),
        });
        let any = |status| self.changes.iter().any(|change| change.status == status);
        self.told.shown = match any('A') && any('D') {
            true => self.scratch.git().diff_trees(&self.sides)?,
            // Nothing can be renamed.
            false => self.changes.clone(),
        };
        self.landing = Some(landing);
        Ok(())
    }

    /// Returns git's table of changed lines.
    ///
    /// # Errors
    /// When git fails.
    pub fn stat(&self) -> Result<Vec<u8>> {
        if self.landing.is_none() { Ok(Vec::new()) } else { self.scratch.git().stat(&self.sides) }
    }
}

impl Drop for Plan<'_> {
    fn drop(&mut self) {
        // What was staged and did not land.
        if !swap::is_under_way(self.repo) {
            self.lock.clear();
        }
    }
}
