//! `git banger pull`: fetch, then land.

use std::process::ExitCode;
use std::thread;

use serde::Serialize;

use super::base::Base;
use super::report::{self, List};
use super::{App, blocked, taking};
use crate::cli::{Conflict, Pull};
use crate::error::{Error, Fault, Kind, Next, Result};
use crate::host::land::{self, How, Plan};
use crate::host::{Landed, Records, Repo, Undo};
use crate::snapshot::Snapshot;
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
    recover(app, &repo)?;
    let vm = app.settings.vm(&args.vm, None, Some(&repo.name()))?;
    let records = repo.records(&vm.name)?;
    let base = Base::choose(args.taking.base_commit.as_deref(), &vm, Some((&repo, &records)), app)?;
    let (snapshot, ours) = thread::scope(|scope| {
        // The host's own files are read while the guest works.
        let ours = scope.spawn(|| repo.files(&vm.name));
        let snapshot = taking::take(app, &repo, &vm, &records, &base, &args.taking)?;
        let ours = ours.join().map_err(|_| Error::bug("reading the host's files failed"))??;
        Ok::<_, Error>((snapshot, ours))
    })?;
    if base.is_open() {
        refuse_open_base(app, &repo, &records, &snapshot)?;
    }

    let pathspecs = repo.pathspecs(&args.pathspecs);
    let how = How { conflict: args.conflict.into(), new_change: args.new_change };
    let blocked = |blocked| blocked::error(blocked, app, &repo, args);
    let plan = land::plan(&repo, &records, ours, &snapshot, &pathspecs, how).map_err(blocked)?;
    let told = Told::of(&plan, args, &vm, &base, &snapshot)?;
    let landing = app.ui().progress("landing");
    let landed = if args.dry_run { Landed::default() } else { plan.land().map_err(blocked)? };
    drop(landing);
    let what = if landed.wrote { "the work has landed all the same" } else { "nothing was changed" };
    told.tell(app, &landed).map_err(|error| error.detail(what))
}

/// Takes back a landing that was cut off, and says so.
fn recover(app: &App, repo: &Repo) -> Result<()> {
    let Some(aside) = land::recover(repo)? else { return Ok(()) };
    app.ui().warn("an earlier landing was cut off half-way; it was taken back first");
    for aside in aside {
        let path = text::path(&aside.path);
        app.ui().warn(&format!("what was at {path} meanwhile is now '{}'", aside.kept.display()));
    }
    Ok(())
}

/// What is said of a pull, all of it known before the first file is written.
struct Told<'a> {
    args: &'a Pull,
    vm: &'a Vm,
    snapshot: &'a Snapshot,
    since: String,
    changes: Vec<crate::snapshot::Change>,
    conflicts: Vec<Vec<u8>>,
    stat: Vec<u8>,
}

#[derive(Serialize)]
struct Pulled<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    landed: bool,
    files: Vec<report::JsonChange>,
    conflicts: Vec<report::JsonPath>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unheld: Vec<report::JsonPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<String>,
}

impl<'a> Told<'a> {
    fn of(plan: &Plan<'_>, args: &'a Pull, vm: &'a Vm, base: &Base, snapshot: &'a Snapshot) -> Result<Told<'a>> {
        Ok(Told {
            args,
            vm,
            snapshot,
            since: format!("from '{}' since {}", vm.name, base.shown(snapshot)),
            changes: plan.shown().to_vec(),
            conflicts: plan.conflicts().to_vec(),
            stat: if args.stat { plan.stat()? } else { Vec::new() },
        })
    }

    fn tell(&self, app: &App, landed: &Landed) -> Result<ExitCode> {
        let conflicted = (!self.conflicts.is_empty() && !self.args.dry_run).then(|| self.conflicted());
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
                files: report::json_changes(&self.changes),
                conflicts: self.conflicts.iter().map(|path| report::JsonPath::new(path)).collect(),
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
            app.ui().data_stream(&mut &*report::list(&self.changes, List { status: true, nul: false }))?;
        }
        self.status(app);
        if let Some(undo) = &undo {
            app.ui().status(&format!("undo: {undo}"));
        }
        Ok(conflicted.map_or(ExitCode::SUCCESS, |error| app.voice.fail(&error)))
    }

    fn status(&self, app: &App) {
        let (ui, since) = (app.ui(), &self.since);
        let files = count(self.changes.len() as u64, "changed file");
        ui.status(&match (self.changes.len(), self.args.dry_run) {
            (0, _) if self.conflicts.is_empty() => format!("nothing new {since}"),
            (_, true) => format!("would land {files} {since}; nothing was changed"),
            (_, false) => format!("landed {files} {since}"),
        });
        if self.args.dry_run {
            for path in &self.conflicts {
                ui.warn(&format!("{} has changed here and in the guest: a conflict to settle", text::path(path)));
            }
        }
    }

    /// Returns the error for a landing that leaves conflicts.
    fn conflicted(&self) -> Error {
        let fault = |path: &Vec<u8>| {
            let why = "has changed here and in the guest: a conflict to settle".to_owned();
            Fault { path: path.clone(), kind: "both-changed", why }
        };
        let files = count(self.conflicts.len() as u64, "file");
        let message = format!("the work of guest '{}' has landed, with conflicts in {files}", self.vm.name);
        let error =
            Error::new(Kind::Conflicted, message).with_vm(&self.vm.name).with_faults(self.conflicts.iter().map(fault));
        match self.args.conflict {
            Conflict::Record => error.next(Next::ResolveInJj("@")),
            _ => error.detail("conflict markers in the files show both versions"),
        }
    }
}

/// Refuses what only jj can do.
fn refuse_for_git(args: &Pull, repo: &Repo) -> Result<()> {
    let flag = match args {
        Pull { conflict: Conflict::Record, .. } => "--conflict=record",
        Pull { new_change: true, .. } => "--new-change",
        _ => return Ok(()),
    };
    if repo.is_jj() { Ok(()) } else { Err(Error::usage(format!("'{flag}' needs a jj workspace, and this is not one"))) }
}

/// Refuses a pull that could mean two things: the guest has commits, and nobody said whether to bring them.
fn refuse_open_base(app: &App, repo: &Repo, records: &Records, snapshot: &Snapshot) -> Result<()> {
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
