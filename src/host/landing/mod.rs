//! Brings a guest's work into the working copy: planned first, then all or nothing, and recorded.
//!
//! `agreed` tells the guest's new work from what both sides have; `look` asks what stands there; `both` and `merge` make
//! one of three states; `steps` are what is to be done, and `obstacles` what is in the way; `stage` writes what is to come
//! to where nobody looks: that is the `plan`. `swap` puts it in place; `record` remembers it. `unlanded` tells what has
//! not.

mod again;
mod agreed;
mod both;
pub mod log;
pub mod look;
mod merge;
mod obstacles;
mod plan;
pub mod record;
mod replaced;
mod stage;
mod steps;
mod swap;
mod unlanded;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

pub use self::agreed::{Left, tree_of};
pub use self::merge::Driver;
pub use self::obstacles::{Obstacle, Why};
pub use self::plan::{Plan, Told, difference, plan, touched, turn};
pub use self::replaced::{Replaced, replaced};
pub use self::swap::SetAside;
use self::swap::{Failure, Lock, Swap};
pub use self::unlanded::{Unlanded, unlanded};
use super::Repo;
use crate::error::{Error, Next, Result};
use crate::interrupt::{self, Shield};
use crate::snapshot::Oid;
use crate::text;

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
    /// Land what landed before and has since been thrown away, too.
    pub again: bool,
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
        /// The tree or commit from which the guest's work is told apart.
        since: Oid,
        /// Each of them, sorted.
        obstacles: Vec<Obstacle>,
        /// What the guest changes there.
        blocked: Vec<Vec<u8>>,
        /// How many other paths it changes, which could land.
        others: usize,
        /// Some conflict rests on work that landed here, and has been thrown away since.
        thrown_away: bool,
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
    /// Tells of obstacles to a landing that changes these paths. What is at the other end of a rename is blocked with a
    /// path, since pathspecs choose both.
    fn paths<'a>(
        since: &Oid,
        paths: impl Iterator<Item = &'a [u8]>,
        obstacles: BTreeSet<Obstacle>,
        renames: &[(Vec<u8>, Vec<u8>)],
    ) -> Blocked {
        let is_below =
            |path: &[u8], folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        let exact: HashSet<&[u8]> = obstacles.iter().map(|obstacle| obstacle.path.as_slice()).collect();
        // What is in the way may be a folder that the path is in, or in one at its place.
        let is_blocked = |path: &[u8]| {
            exact.contains(path)
                || obstacles.iter().take(MANY).any(|it| is_below(path, &it.path) || is_below(&it.path, path))
        };
        let (mut blocked, mut others): (Vec<&[u8]>, Vec<&[u8]>) = paths.partition(|path| is_blocked(path));
        let ends = renames.iter().flat_map(|(from, to)| [(from, to), (to, from)]);
        let known: HashSet<&[u8]> = blocked.iter().copied().collect();
        let more: HashSet<&[u8]> =
            ends.filter(|(one, _)| known.contains(one.as_slice())).map(|(_, other)| other.as_slice()).collect();
        blocked.extend(others.extract_if(.., |path| more.contains(path)));
        blocked.sort_unstable();
        Blocked::Paths {
            since: since.clone(),
            blocked: blocked.into_iter().map(<[u8]>::to_vec).collect(),
            others: others.len(),
            thrown_away: false,
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

impl Plan<'_> {
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
        let (commands, name) = record::commands(self.repo, &self.records, landing, self.how.keep)?;
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
                self.blocked_by(self.steps.iter().map(|step| step.path.as_slice()), obstacles.into_iter().collect())
            }
            Failure::Failed(error) => Blocked::Failed(error),
        }
    }

    fn blocked_by<'p>(&self, paths: impl Iterator<Item = &'p [u8]>, obstacles: BTreeSet<Obstacle>) -> Blocked {
        let [agreed, tree] = &self.trees;
        match agreed::renames(&self.scratch, agreed, tree) {
            Ok(renames) => Blocked::paths(&self.since, paths, obstacles, &renames),
            Err(error) => Blocked::Failed(error),
        }
    }
}
