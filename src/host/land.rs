//! Writes a guest's work into the working tree: planned first, then all or nothing, then recorded.

use std::ffi::OsString;

use tempfile::TempDir;

use super::git::{self, Git};
use super::journal::{self, Journal, SetAside};
use super::merge::{self, Merged};
use super::obstacles::{self, Obstacle, Why};
use super::vcs::{Landed, Ours};
use super::{Records, Repo};
use crate::error::{Error, Next, Result};
use crate::interrupt::{self, Shield};
use crate::snapshot::{Change, Oid, Snapshot, without_renames};
use crate::text;
use crate::trust::refuse_reserved;

/// What to do where both sides changed the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Refuse, and change nothing.
    Abort,
    /// Land with conflict markers in the files.
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
    },
    /// The disk lacks so many bytes.
    NoRoom {
        /// How many.
        missing: u64,
    },
    /// Something failed; its message says what state that leaves.
    Failed(Error),
}

impl From<Error> for Blocked {
    fn from(error: Error) -> Self {
        Blocked::Failed(error)
    }
}

/// A landing that can be done: its merge is clean, or conflicts are welcome, and nothing is in its way.
pub struct Plan<'a> {
    pub(super) repo: &'a Repo,
    pub(super) records: &'a Records,
    snapshot: &'a Snapshot,
    pub(super) ours: Ours,
    pub(super) how: How,
    /// The tree from which the guest's work is told apart.
    pub(super) base: Oid,
    /// What of the guest's work lands, as a tree; the snapshot's own unless pathspecs chose.
    pub(super) theirs: Oid,
    /// Both sides' changes in one tree.
    pub(super) result: Oid,
    /// The files on which the sides disagree.
    conflicts: Vec<Vec<u8>>,
    pub(super) changes: Vec<Change>,
    shown: Vec<Change>,
}

/// Takes back a landing that was killed half-way, and returns what it had to set aside, or `None` where there was no such
/// landing; removes what other killed commands left.
///
/// # Errors
/// When it cannot be taken back, or another landing is under way.
pub fn recover(repo: &Repo) -> Result<Option<Vec<SetAside>>> {
    let _whole = Shield::raise();
    let taken_back = journal::recover(repo)?;
    repo.sweep();
    Ok(taken_back)
}

/// Merges the guest's work into the host's files, in objects only, and looks for everything that would stop it.
///
/// # Errors
/// Every path that cannot land, and why.
pub fn plan<'a>(
    repo: &'a Repo,
    records: &'a Records,
    mut ours: Ours,
    snapshot: &'a Snapshot,
    pathspecs: &[OsString],
    how: How,
) -> Result<Plan<'a>, Blocked> {
    let base = merge::agreed(repo, records, snapshot)?;
    // jj keeps track of whatever landed, ignored or not.
    if !repo.is_jj() {
        ours.tree = merge::with_ignored(repo, &base, &ours.tree)?;
    }
    let theirs = merge::narrowed(repo, &base, &snapshot.tree, pathspecs)?;
    let (result, conflicts) = match merge::merge(&repo.git, &base, &ours.tree, &theirs)? {
        Merged::Clean(tree) => (tree, Vec::new()),
        Merged::Conflicts { tree, paths } if how.conflict != Conflict::Abort => (tree, paths),
        Merged::Conflicts { paths, .. } => {
            let obstacles = paths.iter().map(|path| Obstacle::new(path, Why::BothChanged)).collect();
            return Err(Blocked::Paths { since: base, obstacles });
        }
    };
    let shown = repo.diff(&ours.tree, &result, true, &[])?;
    let changes = without_renames(&shown);
    // Not only what differs from the base: what was gone and is back again lands too.
    refuse_reserved(changes.iter().filter(|change| change.status != 'D').map(|change| change.path.as_slice()))?;
    let obstacles = obstacles::find(repo, &ours, &changes)?;
    if !obstacles.is_empty() {
        return Err(Blocked::Paths { since: base, obstacles });
    }
    let missing = obstacles::missing_space(repo, &changes)?;
    if missing > 0 {
        return Err(Blocked::NoRoom { missing });
    }
    Ok(Plan { repo, records, snapshot, ours, how, base, theirs, result, conflicts, changes, shown })
}

impl Plan<'_> {
    /// Returns what changes in the working tree, exact renames as renames.
    pub fn shown(&self) -> &[Change] {
        &self.shown
    }

    /// Returns the files on which the sides disagree.
    pub fn conflicts(&self) -> &[Vec<u8>] {
        &self.conflicts
    }

    /// Returns git's table of changed lines.
    ///
    /// # Errors
    /// When git fails.
    pub fn stat(&self) -> Result<Vec<u8>> {
        let fixed =
            ["diff-tree", "-r", "--stat=100", "--summary", "--find-renames=100%", "--no-ext-diff", "--no-color"];
        self.repo.git.call(fixed).args([self.ours.tree.as_str(), self.result.as_str()]).stdout()
    }

    /// Writes the changes, and records the landing.
    ///
    /// # Errors
    /// When a file changed meanwhile, or cannot be written; everything is as it was before, then.
    pub fn land(self) -> Result<Landed, Blocked> {
        // Nothing of the guest's is new since both sides agreed.
        if self.theirs == self.base {
            return Ok(Landed::default());
        }
        // From here on it is all or nothing, and quick.
        interrupt::check()?;
        let _whole = Shield::raise();
        if !self.conflicts.is_empty() && self.how.conflict == Conflict::Record {
            let landed = self.repo.vcs.record_conflict(&self)?;
            let recorded = self.record(landed);
            return Ok(recorded.map_err(|error| error.detail("jj holds the landing all the same"))?);
        }
        if self.changes.is_empty() {
            return Ok(self.record(Landed::default())?);
        }
        let journal = Journal::open(self.repo, &self.ours.tree, &self.result, &self.changes)?;
        let pen = match self.pen() {
            Ok(pen) => pen,
            Err(error) => {
                journal.close();
                return Err(error);
            }
        };
        let landed = pen.write(&[]).and_then(|()| self.repo.vcs.finish(&self)).and_then(|landed| self.record(landed));
        match landed {
            Ok(landed) => {
                journal.close();
                Ok(landed)
            }
            Err(error) => {
                let aside = journal.take_back().map_err(|worse| {
                    let worse = worse.detail(format!("the landing was being taken back, for it had failed: {error}"));
                    worse.detail("some files may be as they were to be; the next pull takes that back")
                })?;
                let error = aside.iter().fold(error, |error, aside| {
                    let path = text::path(&aside.path);
                    error.detail(format!("what was at {path} meanwhile is now '{}'", aside.kept.display()))
                });
                let error = error.detail("everything is as it was before");
                Err(if self.how.new_change { error.next(Next::AbandonNewChange) } else { error }.into())
            }
        }
    }

    /// Returns what writes the changes; refuses when a file is no longer as it was when the plan was made.
    fn pen(&self) -> Result<Pen, Blocked> {
        let pen = Pen::new(self.repo, &self.changes)?;
        let moved = pen.git.edited()?;
        if !moved.is_empty() {
            let obstacles = moved.iter().map(|path| Obstacle::new(path, Why::ChangedMeanwhile)).collect();
            return Err(Blocked::Paths { since: self.ours.tree.clone(), obstacles });
        }
        pen.write(&["-n"])?;
        self.repo.vcs.begin(self)?;
        Ok(pen)
    }

    /// Returns what the landing is called in the log of the user's own tool.
    pub(super) fn why(&self) -> String {
        format!("pull {}", self.records.vm)
    }

    /// Records the landing as a commit: before, the snapshot, the landing before it; the tree is what came of it.
    fn record(&self, landed: Landed) -> Result<Landed> {
        let git = &self.repo.git;
        let name = self.repo.landing_ref(&self.records.vm)?;
        let now = git::now();
        let before = git.commit(&self.ours.tree, &[], &now, "git-banger: before a landing")?;
        let theirs = if self.theirs == self.snapshot.tree {
            self.snapshot.commit.clone()
        } else {
            git.commit(&self.theirs, &[&self.snapshot.commit], &now, "git-banger: the part that landed")?
        };
        let previous = git.maybe_oid(["rev-parse", "-q", "--verify", &name])?;
        let mut message = format!(
            "git-banger: landing from '{}'\n\nbase: {}\nbaseline: {}\n",
            self.records.vm,
            self.snapshot.base,
            self.records.baseline.as_ref().map_or("-", Oid::as_str)
        );
        if let Some(mark) = &landed.mark {
            message.push_str(&format!("{MARK}{mark}\n"));
        }
        let mut parents = vec![&before, &theirs];
        parents.extend(&previous);
        let landing = git.commit(&self.result, &parents, &now, &message)?;
        let old = previous.map_or_else(|| "0".repeat(landing.as_str().len()), |previous| previous.to_string());
        self.repo.update(format!("update {name} {landing} {old}\n"))?;
        Ok(landed)
    }
}

/// Writes changes to files: git, with an index of just these.
///
/// It knows no times of the files, so git looks at the content of each before it replaces one.
struct Pen {
    git: Git,
    /// Just the files that change, as they are now, and as they will be.
    before: Oid,
    after: Oid,
    _folder: TempDir,
}

impl Pen {
    fn new(repo: &Repo, changes: &[Change]) -> Result<Pen> {
        let folder = repo.temporary_folder()?;
        let git = repo.vcs.pen(repo, folder.path())?;
        git.enter(changes.iter().filter(|change| change.new_mode != 0).map(Change::after))?;
        let after = git.oid(["write-tree"])?;
        git.call(["read-tree", "--empty"]).stdout()?;
        git.enter(changes.iter().filter(|change| change.old_mode != 0).map(Change::before))?;
        let before = git.oid(["write-tree"])?;
        Ok(Pen { git, before, after, _folder: folder })
    }

    fn write(&self, how: &[&str]) -> Result<()> {
        let call = self.git.call(["read-tree", "-m", "-u", "--no-recurse-submodules"]).args(how.iter().copied());
        let output = call.args([self.before.as_str(), self.after.as_str()]).apart().run()?;
        if output.code == Some(0) {
            return Ok(());
        }
        Err(Error::failed("the files cannot be written").caused_by(output.failure("git read-tree")))
    }
}

/// Returns the newest commit that landed in this work tree since `base` and after the last prepare.
///
/// # Errors
/// When what is recorded cannot be read.
pub fn newest(repo: &Repo, records: &Records, base: &Oid) -> Result<Option<Oid>> {
    let mut next = repo.git.maybe_oid(["rev-parse", "-q", "--verify", &repo.landing_ref(&records.vm)?])?;
    let baseline = format!("baseline: {}", records.baseline.as_ref().map_or("-", Oid::as_str));
    let base = format!("base: {base}");
    while let Some(landing) = next {
        let (parents, message) = repo.commit_parts(&landing)?;
        if !message.lines().any(|line| line == baseline) {
            break;
        }
        let mark = message.lines().find_map(|line| line.strip_prefix(MARK)).map(str::parse).transpose()?;
        if message.lines().any(|line| line == base) && repo.vcs.holds(mark.as_ref())? {
            return Ok(parents.into_iter().nth(1));
        }
        next = parents.into_iter().nth(2);
    }
    Ok(None)
}

const MARK: &str = "jj: ";
