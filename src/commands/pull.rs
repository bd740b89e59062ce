//! `git banger pull`: fetch, then land.

use std::process::ExitCode;

use serde::Serialize;

use super::base::Base;
use super::report::{self, List};
use super::{App, blocked, taking};
use crate::cli::{Conflict, Pull};
use crate::error::{Error, Fault, Kind, Next, Result};
use crate::host::landing::{self, How, Landed, Plan, Undo, Why};
use crate::host::{Records, Repo};
use crate::snapshot::{NoteKind, Snapshot};
use crate::text::{self, count};
use crate::vm::Vm;

/// Brings the guest's work straight into the working tree, all or nothing.
///
/// # Errors
/// As fetch; and if the work cannot land: every path is named, nothing is changed, and the snapshot is kept.
pub fn run(args: &Pull, app: &App) -> Result<ExitCode> {
    let repo = app.repo()?;
    repo.top()?;
    refuse_for_git(args, &repo)?;
    let how = How {
        conflict: args.conflict.into(),
        new_change: args.new_change,
        again: args.again,
        patience: app.settings.lock_timeout()?,
        keep: app.settings.keep_landings()?,
    };
    recover(app, &repo, &args.vm, how)?;
    let records = repo.records(&args.vm)?;
    let vm = app.settings.vm(&args.vm, records.path.as_deref(), Some(&repo.name()))?;
    let base = Base::choose(args.taking.base_commit.as_deref(), &vm, Some((&repo, &records)), app)?;
    let (snapshot, scratch) = taking::take(app, &repo, &vm, &records, &base, &args.taking)?;
    if base.is_open() {
        refuse_open_base(app, &repo, &records, &snapshot)?;
    }

    let pathspecs = repo.pathspecs(&args.pathspecs);
    let blocked = |blocked| blocked::error(blocked, app, &repo, args);
    let plan = landing::plan(&repo, &records, &snapshot, scratch, &pathspecs, how).map_err(blocked)?;
    tell_recovered(app, plan.told.recovered.as_deref());
    let told = Told::of(&plan, args, &vm, &base, &snapshot)?;
    let landing = app.ui().progress("landing");
    let landed = if args.dry_run { Landed::default() } else { plan.land().map_err(blocked)? };
    drop(landing);
    let what = if landed.wrote { "the work has landed all the same" } else { "nothing was changed" };
    told.tell(app, &repo, &landed).map_err(|error| error.detail(what))
}

/// Takes back a landing that was cut off, and says so.
fn recover(app: &App, repo: &Repo, vm: &str, how: How) -> Result<()> {
    tell_recovered(app, landing::recover(repo, &format!("pull {vm}"), how.patience)?.as_deref());
    Ok(())
}

/// Says that a landing was taken back that had been cut off.
pub fn tell_recovered(app: &App, aside: Option<&[landing::SetAside]>) {
    let Some(aside) = aside else { return };
    app.ui().warn("an earlier landing was cut off half-way; it was taken back first");
    for aside in aside {
        let path = text::path(&aside.path);
        app.ui().warn(&format!("what was at {path} meanwhile is now '{}'", aside.kept.display()));
    }
}

/// What is said of a pull, all of it known before the first file is written.
struct Told<'a> {
    args: &'a Pull,
    vm: &'a Vm,
    snapshot: &'a Snapshot,
    since: String,
    plan: landing::Told,
    stat: Vec<u8>,
}

#[derive(Serialize)]
struct Pulled<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    landed: bool,
    files: Vec<report::JsonChange>,
    conflicts: Vec<JsonConflict>,
    thrown_away: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<JsonLeft>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored_here: Vec<report::JsonPath>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unheld: Vec<report::JsonPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<String>,
}

/// A file that landed with a conflict.
#[derive(Serialize)]
struct JsonConflict {
    #[serde(flatten)]
    path: report::JsonPath,
    kind: &'static str,
    /// Which side is on disk: `both`, or `host`.
    on_disk: &'static str,
}

impl JsonConflict {
    fn of((path, why): (&Vec<u8>, &Why)) -> JsonConflict {
        let on_disk = if why.is_text() { "both" } else { "host" };
        JsonConflict { path: report::JsonPath::new(path), kind: blocked::words(*why).0, on_disk }
    }
}

/// Something that did not land, and kept nothing else from landing.
#[derive(Serialize)]
struct JsonLeft {
    #[serde(flatten)]
    path: report::JsonPath,
    kind: NoteKind,
}

impl JsonLeft {
    fn of(left: &landing::Left) -> JsonLeft {
        JsonLeft { path: report::JsonPath::new(&left.path), kind: left.kind }
    }
}

impl<'a> Told<'a> {
    fn of(plan: &Plan<'_>, args: &'a Pull, vm: &'a Vm, base: &Base, snapshot: &'a Snapshot) -> Result<Told<'a>> {
        Ok(Told {
            args,
            vm,
            snapshot,
            since: format!("from '{}' since {}", vm.name, base.shown(snapshot)),
            plan: plan.told.clone(),
            stat: if args.stat { plan.stat()? } else { Vec::new() },
        })
    }

    fn tell(&self, app: &App, repo: &Repo, landed: &Landed) -> Result<ExitCode> {
        let conflicted = (!self.plan.conflicts.is_empty() && !self.args.dry_run).then(|| self.conflicted(app, repo));
        let undo = landed.undo.as_ref().map(|undo| match undo {
            Undo::Last => app.line().jj(&["undo"]),
            Undo::Restore(operation) => app.line().jj(&["op", "restore", operation]),
        });
        for path in &landed.unheld {
            app.ui().warn(&format!("{} has landed, but jj does not hold it as it landed", text::path(path)));
        }
        if self.args.json {
            let pulled = Pulled {
                snapshot: report::json_snapshot(&self.vm.name, self.snapshot),
                landed: !self.args.dry_run,
                files: report::json_changes(&self.plan.shown),
                conflicts: self.plan.conflicts.iter().map(JsonConflict::of).collect(),
                thrown_away: self.plan.thrown_away,
                left: self.plan.left.iter().map(JsonLeft::of).collect(),
                ignored_here: self.plan.ignored.iter().map(|path| report::JsonPath::new(path)).collect(),
                unheld: landed.unheld.iter().map(|path| report::JsonPath::new(path)).collect(),
                undo: undo.clone(),
            };
            if let Some(error) = &conflicted {
                return Ok(app.voice.fail_with(error, report::object(&pulled)?));
            }
            report::json(app.ui(), &pulled)?;
        } else if self.args.stat {
            app.ui().data_stream(&mut &*self.stat)?;
        } else {
            app.ui().data_stream(&mut &*report::list(&self.plan.shown, List { status: true, nul: false }))?;
        }
        self.status(app);
        if let Some(undo) = &undo {
            app.ui().status(&format!("undo: {undo}"));
        }
        Ok(conflicted.map_or(ExitCode::SUCCESS, |error| app.voice.fail(&error)))
    }

    fn status(&self, app: &App) {
        let (ui, since) = (app.ui(), &self.since);
        let files = count(self.plan.shown.len() as u64, "changed file");
        ui.status(&match (self.plan.shown.len(), self.args.dry_run) {
            (0, _) if self.plan.conflicts.is_empty() => match self.plan.thrown_away {
                0 => format!("nothing new {since}"),
                files => {
                    let files = count(files as u64, "file");
                    format!("nothing new {since}, but landed work in {files} is no more here")
                }
            },
            (_, true) => format!("would land {files} {since}; nothing was changed"),
            (_, false) => format!("landed {files} {since}"),
        });
        if self.args.dry_run {
            for (path, why) in &self.plan.conflicts {
                ui.warn(&format!("{} {}: a conflict to settle", text::path(path), blocked::words(*why).1));
            }
        }
        if self.plan.thrown_away > 0 {
            app.hint(app.line().with("--again", None), "lands it again");
        }
        self.remark(app);
    }

    /// Says what landed in another way than it might seem, or not at all.
    fn remark(&self, app: &App) {
        let ui = app.ui();
        for landing::Left { path, kind } in &self.plan.left {
            let path = text::path(path);
            match kind {
                NoteKind::LfsPointer => {
                    ui.warn(&format!("{path} does not land: it is a pointer of Git LFS, and its content is not here"))
                }
                _ => {
                    ui.warn(&format!("{path} does not land: it is a submodule, and its pointer alone is worth nothing"))
                }
            }
        }
        for path in &self.plan.edited {
            ui.warn(&format!("{} stays as it is: it was edited here since it landed", text::path(path)));
        }
        for path in &self.plan.also {
            ui.status(&format!("{} lands too: it is the other end of a rename", text::path(path)));
        }
        for path in &self.plan.ignored {
            ui.warn(&format!("{} is ignored here: 'git add' passes it over", text::path(path)));
        }
        for landing::Driver { path, name } in &self.plan.drivers {
            let name = text::path(name.as_bytes());
            ui.warn(&format!(
                "{} was merged as text: merge driver {name} is a program, and was not run",
                text::path(path)
            ));
        }
    }

    /// Returns the error for a landing that leaves conflicts.
    fn conflicted(&self, app: &App, repo: &Repo) -> Error {
        let fault = |(path, why): (&Vec<u8>, &Why)| {
            let (kind, words) = blocked::words(*why);
            let on_disk = match (self.args.conflict, why.is_text()) {
                (Conflict::Record, _) => "a conflict to settle",
                (_, true) => "both versions are in it",
                (_, false) => "the version of the host stays",
            };
            Fault { path: path.clone(), kind, why: format!("{words}: {on_disk}") }
        };
        let files = count(self.plan.conflicts.len() as u64, "file");
        let message = format!("the work of guest '{}' has landed, with conflicts in {files}", self.vm.name);
        let faults = self.plan.conflicts.iter().map(fault);
        let error = Error::new(Kind::Conflicted, message).with_vm(&self.vm.name).with_faults(faults);
        if self.args.conflict == Conflict::Record {
            return error.next(Next::ResolveInJj("@"));
        }
        let kept: Vec<_> = self.plan.conflicts.iter().filter(|(_, why)| !why.is_text()).collect();
        let error = match kept.len() < self.plan.conflicts.len() {
            true => error.detail("conflict markers in the files show both versions"),
            false => error,
        };
        let snapshot = repo.vm_ref(&self.vm.name, "snapshot").unwrap_or_default();
        let theirs = kept.into_iter().map(|(path, _)| path).filter(|path| self.plan.theirs.contains(*path));
        theirs.take(SHOWN).fold(error, |error, path| {
            let Some(path) = text::harmless(path) else { return error };
            error.run(app.git(repo, &["show", &format!("{snapshot}:{path}")]), "shows the guest's version")
        })
    }
}

/// For so many files there is a hint.
const SHOWN: usize = 3;

/// Refuses what only jj can do.
fn refuse_for_git(args: &Pull, repo: &Repo) -> Result<()> {
    let flag = match args {
        Pull { conflict: Conflict::Record, .. } => "--conflict=record",
        Pull { new_change: true, .. } => "--new-change",
        _ => return Ok(()),
    };
    if repo.records_conflicts() {
        Ok(())
    } else {
        Err(Error::usage(format!("'{flag}' needs a jj workspace, and this is not one")))
    }
}

/// Refuses a pull that could mean two things: the guest has commits, and nobody said whether to bring them.
///
/// # Errors
/// That; both ways are hints.
pub fn refuse_open_base(app: &App, repo: &Repo, records: &Records, snapshot: &Snapshot) -> Result<()> {
    let Some(prepared) = records.prepare.as_ref().filter(|prepared| **prepared != snapshot.head) else {
        return Ok(());
    };
    let (ahead, behind) = (repo.count(prepared, &snapshot.head)?, repo.count(&snapshot.head, prepared)?);
    let since = |base| Ok::<_, Error>(count(repo.diff(base, &snapshot.commit, true, &[])?.len() as u64, "file"));
    // What was shipped beside the head is no work of the guest's.
    let shipped = records.baseline.as_ref().unwrap_or(prepared);
    let (all, rest) = (since(shipped)?, since(&snapshot.head)?);
    let (commits, missing) = (count(ahead, "commit"), count(behind, "commit"));
    let moved = match (ahead, behind) {
        (_, 0) => format!("has {commits} past the prepared head: choose whether to bring its commits"),
        (0, _) => format!("went back by {missing} from the prepared head: choose what to compare its files with"),
        _ => format!(
            "has diverged from the prepared head ({missing} missing, {commits} of its own): choose whether to bring its \
             commits"
        ),
    };
    let with_commits = match ahead {
        0 => format!("brings all that differs from the prepared head ({all})"),
        _ => format!("brings its commits too ({commits}, {all})"),
    };
    let line = app.line().for_real();
    Err(Error::refused(format!("guest '{}' {moved}", records.vm))
        .with_vm(&records.vm)
        .run(line.with("--base-commit", Some("HEAD@prepare")), with_commits)
        .run(line.with("--base-commit", Some("HEAD")), format!("brings only what is not committed there ({rest})"))
        .run(
            app.git(repo, &["config", "banger.base", "HEAD@prepare"]),
            "takes the prepared head in every pull from now on",
        ))
}
