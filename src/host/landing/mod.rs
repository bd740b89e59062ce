//! Brings a guest's work into the working copy: planned first, then all or nothing, and recorded.
//!
//! `agreed` tells the guest's new work from what both sides have; `look` asks what stands there; `merge` makes one of three
//! states; `stage` writes what is to come to where nobody looks; `swap` puts it in place; `record` remembers it.

mod agreed;
pub mod look;
pub mod merge;
mod obstacles;
pub mod record;
mod stage;
mod swap;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::time::Duration;

use self::agreed::Ledger;
pub use self::agreed::{Left, tree_of};
use self::look::{Asked, Form, Here, Ours};
pub use self::merge::Driver;
pub use self::obstacles::{Obstacle, Why};
use self::record::{Deed, Landing};
use self::stage::{New, Source, Staged, Step};
pub use self::swap::SetAside;
use self::swap::{Failure, Lock, Swap};
use super::entries::{Entries, Entry};
use super::scratch::Scratch;
use super::{Records, Repo};
use crate::error::{Error, Next, Result};
use crate::interrupt::{self, Shield};
use crate::snapshot::{Change, Oid, Snapshot};
use crate::text;
use crate::trust::refuse_reserved;

/// What to do where both sides changed the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Refuse, and change nothing.
    Abort,
    /// Land with conflict markers in the files; where there can be none, the host's version stays.
    Merge,
    /// Land with the conflict recorded in the change; in a jj workspace.
    Record,
}

/// How work lands.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// What to do where both sides changed the same.
    pub conflict: Conflict,
    /// Land in a new change of jj's.
    pub new_change: bool,
    /// How long to wait for another landing.
    pub patience: Duration,
    /// How many landings stay recorded.
    pub keep: u64,
}

/// Why work does not land; nothing was changed.
#[derive(Debug)]
pub enum Blocked {
    /// These paths cannot land.
    Paths {
        /// The tree from which the guest's work is told apart.
        since: Oid,
        /// Each of them, sorted.
        obstacles: Vec<Obstacle>,
        /// What the guest changes there.
        blocked: Vec<Vec<u8>>,
        /// How many other paths it changes, which could land.
        others: usize,
    },
    /// The disk lacks so many bytes.
    NoRoom {
        /// How many.
        missing: u64,
    },
    /// Something failed; its message says what state that leaves.
    Failed(Error),
}

impl Blocked {
    /// Tells of obstacles to a landing that changes these paths.
    fn paths<'a>(since: &Oid, paths: impl Iterator<Item = &'a [u8]>, obstacles: BTreeSet<Obstacle>) -> Blocked {
        let is_below =
            |path: &[u8], folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        let exact: HashSet<&[u8]> = obstacles.iter().map(|obstacle| obstacle.path.as_slice()).collect();
        // What is in the way may be a folder that the path is in, or in one at its place.
        let is_blocked = |path: &[u8]| {
            exact.contains(path)
                || obstacles.iter().take(MANY).any(|it| is_below(path, &it.path) || is_below(&it.path, path))
        };
        let (blocked, others): (Vec<&[u8]>, Vec<&[u8]>) = paths.partition(|path| is_blocked(path));
        Blocked::Paths {
            since: since.clone(),
            blocked: blocked.into_iter().map(<[u8]>::to_vec).collect(),
            others: others.len(),
            obstacles: obstacles.into_iter().collect(),
        }
    }
}

/// More obstacles than this are named, and no more told apart.
const MANY: usize = 1000;

impl From<Error> for Blocked {
    fn from(error: Error) -> Self {
        Blocked::Failed(error)
    }
}

/// What takes a landing back in jj.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// To undo the last operation.
    Last,
    /// To go back to an operation.
    Restore(String),
}

/// What is known of a landing once it is whole.
#[derive(Debug, Default)]
pub struct Landed {
    /// Something was written.
    pub wrote: bool,
    /// What takes it back in jj.
    pub undo: Option<Undo>,
    /// Paths that jj does not hold as they landed.
    pub unheld: Vec<Vec<u8>>,
    /// jj's commit that holds it.
    pub mark: Option<Oid>,
}

/// A landing that can be done: its merge is clean, or conflicts are welcome, and nothing is in its way.
pub struct Plan<'a> {
    pub(super) repo: &'a Repo,
    pub(super) records: Records,
    /// The landings that are recorded, be it of another working copy of the same name.
    recorded: Vec<Landing>,
    pub(super) how: How,
    /// What is in the way of any other landing.
    lock: Lock,
    scratch: Scratch,
    /// The tree that the guest's work starts from.
    pub(super) start: Oid,
    /// What of the guest's work lands, as a tree.
    pub(super) theirs: Oid,
    /// jj's operation that holds the host's files.
    pub(super) operation: String,
    /// Each file that is written, replaced or taken away.
    steps: Vec<Step>,
    staged: Option<Staged>,
    /// The commit that records it; `None` where there is nothing to land.
    landing: Option<Oid>,
    /// The files of the steps before and after, as trees.
    sides: [String; 2],
    /// The same steps as changes.
    pub(super) changes: Vec<Change>,
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
    /// What does not land, and keeps nothing else from landing.
    pub left: Vec<Left>,
    /// Paths that were not asked for, and land as the other end of a rename.
    pub also: Vec<Vec<u8>>,
    /// New files that the host ignores.
    pub ignored: Vec<Vec<u8>>,
    /// Merge drivers that were not run.
    pub drivers: Vec<Driver>,
    /// What had to be set aside as a landing that was cut off was taken back first; `None` where there was none.
    pub recovered: Option<Vec<SetAside>>,
}

/// Takes back a landing that was killed half-way, and returns what it had to set aside, or `None` where there was no such
/// landing; removes what other killed commands left.
///
/// # Errors
/// When it cannot be taken back, or another landing is under way for longer than `patience`.
pub fn recover(repo: &Repo, what: &str, patience: Duration) -> Result<Option<Vec<SetAside>>> {
    repo.sweep();
    if !swap::is_cut_off(repo) {
        return Ok(None);
    }
    let lock = Lock::take(repo, what, patience)?;
    let _whole = Shield::raise();
    lock.recover(repo)
}

/// Merges the guest's work into the host's files, in objects only, and looks for everything that would stop it. Of the
/// host's files it looks at those that the work touches, and at no other.
///
/// # Errors
/// Every path that cannot land, and why.
pub fn plan<'a>(
    repo: &'a Repo,
    records: &Records,
    snapshot: &Snapshot,
    pathspecs: &[OsString],
    how: How,
) -> Result<Plan<'a>, Blocked> {
    let why = format!("pull {}", records.vm);
    let lock = Lock::take(repo, &why, how.patience)?;
    let recovered = lock.recover(repo)?;
    let scratch = Scratch::beside(repo)?;
    // Another landing may have come in since they were read.
    let mut records = repo.records(&records.vm)?;
    let recorded = records.landings.clone();
    if lock.is_first {
        records.landings.clear();
    }
    let ledger = Ledger::load(repo, &scratch, &records, snapshot)?;
    let pointers = |changes: &[Change]| repo.vcs.pointers(repo, &scratch, changes, snapshot);
    let chosen = ledger.choose(&scratch, snapshot, pathspecs, pointers)?;
    let mut plan = Plan {
        repo,
        records,
        recorded,
        how,
        lock,
        scratch,
        start: ledger.start.clone(),
        theirs: chosen.theirs.clone(),
        operation: String::new(),
        steps: Vec::new(),
        staged: None,
        landing: None,
        sides: Default::default(),
        changes: Vec::new(),
        told: Told { left: chosen.left, also: chosen.also, recovered, ..Told::default() },
    };
    let delta = chosen.delta;
    if delta.is_empty() {
        return Ok(plan);
    }
    refuse_reserved(delta.iter().map(|change| change.path.as_slice()))?;
    let known = |paths: &[&[u8]]| ledger.knows(repo, paths);
    let mut ours = repo.vcs.look(
        repo,
        &plan.scratch,
        &Asked {
            delta: &delta,
            start: &ledger.start,
            written: &ledger.written,
            known: &known,
            why: &format!("before {why}"),
        },
    )?;
    plan.operation = std::mem::take(&mut ours.operation);
    let merged = Merging {
        repo,
        scratch: &plan.scratch,
        ledger: &ledger,
        theirs: &chosen.theirs,
        records: &plan.records,
        base: &snapshot.base,
    }
    .merge(&delta, &ours, &snapshot.tree)?;
    plan.told.drivers = merged.drivers;
    let mut obstacles: BTreeSet<Obstacle> = ours.obstacles.iter().cloned().collect();
    if how.conflict == Conflict::Abort {
        obstacles.extend(merged.conflicts.iter().map(|(path, why)| Obstacle::new(path, *why)));
    }
    let blocked = |obstacles: BTreeSet<Obstacle>| {
        Err(Blocked::paths(&ledger.start, delta.iter().map(|change| change.path.as_slice()), obstacles))
    };
    plan.steps = steps(&ours, &merged.files);
    plan.changes = changes(repo, &plan.steps);
    obstacles.extend(obstacles::find(repo, &plan.changes, &plan.steps)?);
    if !obstacles.is_empty() {
        return blocked(obstacles);
    }
    let missing = obstacles::missing_space(repo, &plan.scratch, &plan.changes)?;
    if missing > 0 {
        return Err(Blocked::NoRoom { missing });
    }
    let records_conflict = how.conflict == Conflict::Record && !merged.conflicts.is_empty();
    let mut written = BTreeMap::new();
    if !plan.steps.is_empty() && !records_conflict {
        match stage::stage(repo, &plan.scratch, &plan.lock, &mut plan.steps, &chosen.at_hand)? {
            Ok(staged) => {
                written.clone_from(&staged.written);
                plan.staged = Some(staged);
            }
            Err(failed) => return blocked(failed.into_iter().collect()),
        }
    }
    let new: Vec<&[u8]> =
        plan.steps.iter().filter(|step| step.old.is_none()).map(|step| step.path.as_slice()).collect();
    plan.told.ignored = repo.vcs.ignored(repo, &new)?;
    // What conflicts without markers is here as it was, and no more agreed than before.
    let kept: Vec<&[u8]> = match how.conflict {
        Conflict::Record => Vec::new(),
        _ => merged.conflicts.iter().filter(|(_, why)| !why.is_text()).map(|(path, _)| path.as_slice()).collect(),
    };
    let is = ledger.after(&plan.scratch, &chosen.theirs, &kept)?;
    let side = |entry: fn(&Step) -> Option<Entry>| -> Entries {
        plan.steps.iter().filter_map(|step| Some((step.path.clone(), entry(step)?))).collect()
    };
    let deed = Deed {
        vm: &plan.records.vm,
        base: &snapshot.base,
        prepared: plan.records.baseline.as_ref(),
        baseline: &ledger.baseline,
        was: &ledger.agreed,
        is: &is,
        before: side(|step| step.old.as_ref().map(|old| old.entry.clone())),
        after: side(|step| step.new.as_ref().map(|new| new.entry.clone())),
        written: &written,
    };
    let landing = record::make(&plan.scratch, &deed)?;
    plan.sides = [("before", &deed.before), ("after", &deed.after)].map(|(name, files)| match files.is_empty() {
        true => Oid::empty_tree(repo.object_format()).to_string(),
        false => format!("{landing}:{name}"),
    });
    let any = |status| plan.changes.iter().any(|change| change.status == status);
    plan.told.shown = match any('A') && any('D') {
        true => plan.scratch.git().diff_trees(&plan.sides)?,
        // Nothing can be renamed.
        false => plan.changes.clone(),
    };
    plan.told.conflicts = merged.conflicts;
    plan.landing = Some(landing);
    Ok(plan)
}

/// What is needed to make one of both sides' changes.
struct Merging<'a> {
    repo: &'a Repo,
    scratch: &'a Scratch,
    ledger: &'a Ledger,
    theirs: &'a Oid,
    records: &'a Records,
    base: &'a Oid,
}

/// Both sides' changes in one.
struct Merged {
    /// What is to be at each path that either side has something at.
    files: Entries,
    conflicts: BTreeMap<Vec<u8>, Why>,
    drivers: Vec<Driver>,
}

impl Merging<'_> {
    /// Makes one of the guest's changes and the host's files. A path that only the guest has changed takes its entry.
    fn merge(&self, delta: &[Change], ours: &Ours, snapshot: &Oid) -> Result<Merged> {
        let blocked: HashSet<&[u8]> = ours.obstacles.iter().map(|obstacle| obstacle.path.as_slice()).collect();
        let delta: Vec<&Change> = delta.iter().filter(|change| !blocked.contains(change.path.as_slice())).collect();
        let both = self.both_changed(&delta, ours)?;
        let mut merged = Merged { files: Entries::new(), conflicts: BTreeMap::new(), drivers: Vec::new() };
        for change in delta.iter().filter(|change| !both.contains(&change.path)) {
            merged.files.extend(Entry::after(change).map(|entry| (change.path.clone(), entry)));
        }
        if both.is_empty() {
            return Ok(merged);
        }
        let chosen = || delta.iter().filter(|change| both.contains(&change.path));
        let form = |path: &[u8]| ours.files.get(path).map(|here| &here.form);
        let mut base = Entries::new();
        let mut theirs = Entries::new();
        for change in chosen() {
            let (was, comes) = match form(&change.path) {
                Some(Form::Bytes { base, theirs }) => (base.clone(), theirs.clone()),
                _ => (Entry::before(change), Entry::after(change)),
            };
            base.extend(was.map(|entry| (change.path.clone(), entry)));
            theirs.extend(comes.map(|entry| (change.path.clone(), entry)));
        }
        let mut here: Entries = ours
            .files
            .iter()
            .filter(|(path, _)| both.contains(*path))
            .map(|(path, here)| (path.clone(), here.entry.clone()))
            .collect();
        here.extend(ours.elsewhere.iter().map(|(path, here)| (path.clone(), here.entry.clone())));
        let guest = super::refs::encode(&self.records.vm);
        let merge =
            |base: &Entries, theirs: &Entries| merge::merge(self.repo, self.scratch, &guest, [base, &here, theirs]);
        let (mut result, mut drivers) = merge(&base, &theirs)?;
        if !result.conflicts.is_empty() && self.ledger.start != self.ledger.agreed {
            let paths: Vec<&[u8]> = result.conflicts.keys().map(Vec::as_slice).collect();
            let rests = self.rest_on_landed(&paths, snapshot, &mut base, &mut theirs)?;
            if rests.any {
                (result, drivers) = merge(&base, &theirs)?;
            }
            for (path, why) in &mut result.conflicts {
                if rests.on_commits.contains(path) {
                    *why = Why::RestsOnCommits;
                }
            }
        }
        merged.files.extend(result.files);
        merged.conflicts = result.conflicts;
        merged.drivers = drivers;
        Ok(merged)
    }

    /// Returns the paths that must be merged, since both sides changed them.
    ///
    /// With them come those that git must see to find the same renames as in the whole trees: their partners in a rename of
    /// the guest's, and, where a file was added or deleted on either side, all that the guest adds and deletes. Of 6,000
    /// random merges 5 came out otherwise than with whole trees.
    fn both_changed(&self, delta: &[&Change], ours: &Ours) -> Result<HashSet<Vec<u8>>> {
        let here = |change: &Change| ours.files.get(&change.path).map(|here| here.entry.clone());
        let bytes =
            |change: &Change| matches!(ours.files.get(&change.path), Some(Here { form: Form::Bytes { .. }, .. }));
        let differs = |change: &&&Change| {
            let here = here(change);
            bytes(change) || (here != Entry::before(change) && here != Entry::after(change))
        };
        let mut both: HashSet<Vec<u8>> = delta.iter().filter(differs).map(|change| change.path.clone()).collect();
        // A file that is gone on both sides may have gone to two places.
        let gone =
            |change: &&&Change| change.new_mode == 0 && here(change).is_none() && !ours.foreign.contains(&change.path);
        let gone: HashSet<&[u8]> = delta.iter().filter(gone).map(|change| change.path.as_slice()).collect();
        if both.is_empty() && gone.is_empty() {
            return Ok(both);
        }
        let (comes, goes) =
            (delta.iter().any(|change| change.old_mode == 0), delta.iter().any(|change| change.new_mode == 0));
        if comes && goes {
            let renames = agreed::renames(self.scratch, &self.ledger.start, self.theirs)?;
            for (from, to) in &renames {
                if gone.contains(from.as_slice()) {
                    both.extend([from.clone(), to.clone()]);
                }
            }
            while let Some((from, to)) = renames.iter().find(|(from, to)| both.contains(from) != both.contains(to)) {
                both.extend([from.clone(), to.clone()]);
            }
        }
        let moves = |change: &Change| change.old_mode == 0 || change.new_mode == 0;
        let comes_or_goes =
            |change: &Change| moves(change) || here(change).is_none() != Entry::before(change).is_none();
        if delta.iter().any(|change| both.contains(&change.path) && comes_or_goes(change)) {
            both.extend(delta.iter().filter(|change| moves(change)).map(|change| change.path.clone()));
        }
        let known: HashSet<&[u8]> = delta.iter().map(|change| change.path.as_slice()).collect();
        both.retain(|path| known.contains(path.as_slice()));
        Ok(both)
    }

    /// Has conflicts that rest on what has landed here start from what is agreed; tells which others rest on commits that
    /// are not here.
    fn rest_on_landed(
        &self,
        paths: &[&[u8]],
        snapshot: &Oid,
        base: &mut Entries,
        theirs: &mut Entries,
    ) -> Result<Rests> {
        let git = self.scratch.git();
        let next = self.ledger.after(self.scratch, self.theirs, &[])?;
        let of = |tree: &Oid| super::entries::of_tree(git, tree.as_str(), paths);
        let (shipped, agreed, next) = (of(&self.ledger.baseline)?, of(&self.ledger.agreed)?, of(&next)?);
        let (snapshot, start) = (of(snapshot)?, of(&self.ledger.start)?);
        let mut rests = Rests { any: false, on_commits: HashSet::new() };
        for path in paths {
            let there = |entries: &Entries| entries.get(*path).cloned();
            let has_landed = there(&agreed) != there(&shipped);
            if has_landed || (there(&agreed).is_some() && there(&snapshot) == there(&agreed)) {
                rests.any = true;
                for (side, entry) in [(&mut *base, there(&agreed)), (&mut *theirs, there(&next))] {
                    side.remove(*path);
                    side.extend(entry.map(|entry| (path.to_vec(), entry)));
                }
            } else if there(&start) != there(&agreed) && self.records.prepare.as_ref() != Some(self.base) {
                rests.on_commits.insert(path.to_vec());
            }
        }
        Ok(rests)
    }
}

/// What conflicts rest on.
struct Rests {
    /// Some rest on what has landed here.
    any: bool,
    /// These rest on commits that are not here.
    on_commits: HashSet<Vec<u8>>,
}

/// Returns what is to be done at each path at which the result differs from what is there.
fn steps(ours: &Ours, result: &Entries) -> Vec<Step> {
    // A file elsewhere takes part only where it was merged.
    let here: BTreeMap<&Vec<u8>, &Here> =
        ours.files.iter().chain(ours.elsewhere.iter().filter(|(path, _)| result.contains_key(*path))).collect();
    let blocked: HashSet<&[u8]> = ours.obstacles.iter().map(|obstacle| obstacle.path.as_slice()).collect();
    let paths: BTreeSet<&Vec<u8>> = here.keys().copied().chain(result.keys()).collect();
    let mut steps: Vec<Step> = Vec::new();
    for path in paths.into_iter().filter(|path| !blocked.contains(path.as_slice())) {
        let old = here.get(path).copied();
        let entry = result.get(path);
        if old.map(|old| &old.entry) == entry {
            continue;
        }
        let form = old.map_or(Form::AsWritten, |old| old.form.clone());
        let new = entry.map(|entry| New { entry: entry.clone(), source: Source::Written, form, staged: None });
        steps.push(Step { path: path.clone(), old: old.cloned(), new, place: 0 });
    }
    // A rename, or a change of permissions alone, moves the host's own file: its bytes may be others than git would write.
    let mut going: HashMap<Oid, Vec<usize>> = HashMap::new();
    for (number, step) in steps.iter().enumerate() {
        if let (Some(old), None) = (step.old.as_ref().filter(|old| old.stood.is_some()), &step.new) {
            going.entry(old.entry.blob.clone()).or_default().push(number);
        }
    }
    for number in 0..steps.len() {
        let Some(new) = &steps[number].new else { continue };
        let is_own = |old: &Here| old.stood.is_some() && old.entry.blob == new.entry.blob && old.entry.is_file();
        let source = if !new.entry.is_file() {
            continue;
        } else if steps[number].old.as_ref().is_some_and(is_own) {
            Source::Copied(number)
        } else if steps[number].old.is_some() {
            continue;
        } else if let Some(from) = going.get_mut(&new.entry.blob).and_then(Vec::pop) {
            let same = steps[from].old.as_ref().is_some_and(|old| old.entry.mode == new.entry.mode);
            if same { Source::Moved(from) } else { Source::Copied(from) }
        } else {
            continue;
        };
        if let Some(new) = &mut steps[number].new {
            new.source = source;
        }
    }
    steps
}

/// Returns steps as changes.
fn changes(repo: &Repo, steps: &[Step]) -> Vec<Change> {
    let none = || Oid::zero(repo.object_format());
    let change = |step: &Step| {
        let (old, new) = (step.old.as_ref().map(|old| &old.entry), step.new.as_ref().map(|new| &new.entry));
        let part = |entry: Option<&Entry>| entry.map_or_else(|| (0, none()), |entry| (entry.mode, entry.blob.clone()));
        let ((old_mode, old), (new_mode, new)) = (part(old), part(new));
        let kind = |mode: u32| mode & 0o170000;
        let status = match (old_mode, new_mode) {
            (0, _) => 'A',
            (_, 0) => 'D',
            (old, new) if kind(old) != kind(new) => 'T',
            _ => 'M',
        };
        Change { status, old_mode, new_mode, old, new, path: step.path.clone(), from: None }
    };
    steps.iter().map(change).collect()
}

impl Plan<'_> {
    /// Returns git's table of changed lines.
    ///
    /// # Errors
    /// When git fails.
    pub fn stat(&self) -> Result<Vec<u8>> {
        if self.landing.is_none() { Ok(Vec::new()) } else { self.scratch.git().stat(&self.sides) }
    }

    /// Writes the changes, and records the landing.
    ///
    /// # Errors
    /// When a file changed meanwhile, or cannot be written; everything is as it was before, then.
    pub fn land(self) -> Result<Landed, Blocked> {
        // Nothing of the guest's is new since both sides agreed.
        let Some(landing) = &self.landing else { return Ok(Landed::default()) };
        // From here on it is all or nothing, and quick.
        interrupt::check()?;
        let _whole = Shield::raise();
        let (commands, name) = record::commands(self.repo, &self.records, &self.recorded, landing, self.how.keep)?;
        if !self.told.conflicts.is_empty() && self.how.conflict == Conflict::Record {
            let Some(extras) = self.repo.vcs.extras() else {
                return Err(Error::bug("a conflict is to be recorded where it cannot be").into());
            };
            self.scratch.hand_over(self.repo)?;
            let landed = extras.record_conflict(&self)?;
            let recorded = self.repo.update(commands).and_then(|()| self.mark(landing, &name, &landed));
            recorded.map_err(|error| error.detail("jj holds the landing all the same"))?;
            return Ok(landed);
        }
        let Some(staged) = self.staged.as_ref().filter(|_| !self.steps.is_empty()) else {
            self.scratch.hand_over(self.repo)?;
            self.repo.update(commands)?;
            return Ok(Landed::default());
        };
        let swap = match Swap::begin(self.repo, &self.lock, staged, &self.steps, name.clone()) {
            Ok(swap) => swap,
            Err(failure) => return Err(self.blocked(failure)),
        };
        let done = || {
            if let Some(extras) = self.repo.vcs.extras() {
                extras.begin(&self)?;
            }
            self.scratch.hand_over(self.repo)?;
            self.repo.update(commands)?;
            swap.run()?;
            let mut landed = Landed { wrote: true, ..Landed::default() };
            if let Some(extras) = self.repo.vcs.extras() {
                landed = extras.finish(&self)?;
                self.mark(landing, &name, &landed)?;
            }
            Ok::<_, Failure>(landed)
        };
        match done() {
            Ok(landed) => {
                swap.close()?;
                Ok(landed)
            }
            Err(failure) => {
                let failed = match &failure {
                    Failure::Failed(error) => error.to_string(),
                    Failure::Changed(_) => "a file changed meanwhile".to_owned(),
                };
                let aside = swap.take_back().map_err(|worse| {
                    worse.detail(format!("the landing was being taken back, for it had failed: {failed}"))
                })?;
                Err(match self.blocked(failure) {
                    Blocked::Failed(error) => {
                        let error = aside.iter().fold(error, |error, aside| {
                            let path = text::path(&aside.path);
                            error.detail(format!("what was at {path} meanwhile is now '{}'", aside.kept.display()))
                        });
                        let error = error.detail("everything is as it was before");
                        let error = if self.how.new_change { error.next(Next::AbandonNewChange) } else { error };
                        Blocked::Failed(error)
                    }
                    blocked => blocked,
                })
            }
        }
    }

    /// Has the record name jj's commit that holds the landing.
    fn mark(&self, landing: &Oid, name: &str, landed: &Landed) -> Result<()> {
        let Some(mark) = &landed.mark else { return Ok(()) };
        let marked = record::marked(self.repo, landing, mark)?;
        self.repo.update(format!("update {name} {marked} {landing}\n"))
    }

    fn blocked(&self, failure: Failure) -> Blocked {
        match failure {
            Failure::Changed(obstacles) => {
                let paths = self.steps.iter().map(|step| step.path.as_slice());
                Blocked::paths(&self.start, paths, obstacles.into_iter().collect())
            }
            Failure::Failed(error) => Blocked::Failed(error),
        }
    }

    /// Returns what the landing is called in the log of the user's own tool.
    pub(super) fn why(&self) -> String {
        format!("pull {}", self.records.vm)
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
