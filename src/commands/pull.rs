//! `git banger pull`: fetch, then land.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::process::ExitCode;

use super::line::Line;
use super::pulled::Told;
use super::taking::{self, Work};
use super::{App, blocked};
use crate::cli::{Conflict, Pull, Taking};
use crate::error::{Error, Kind, Result};
use crate::host::landing::{self, How, Landed};
use crate::host::{Records, Repo};
use crate::snapshot::Snapshot;
use crate::text::{self, count};

/// Brings the work of guests straight into the working tree, one after the other, each all or nothing; one that fails does
/// not keep the others from landing. Returns the exit code of the last failure.
///
/// # Errors
/// If there is no repository to land in.
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
    let pull = Pulling { args, app, repo: &repo, pathspecs: repo.pathspecs(&args.pathspecs), how };
    let mut arrived = Vec::new();
    taking::take_each(app, &repo, &args.vm, &args.taking, |name, work| {
        arrived.push((name.to_owned(), work.and_then(|work| pull.accept(work))));
        Ok(())
    })?;
    let shared = shared(&arrived);
    for (path, names) in &shared {
        let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        app.ui().warn(&format!("{} has changed in several guests: {}", text::path(path), names.join(", ")));
    }
    let mut code = ExitCode::SUCCESS;
    for (name, work) in arrived {
        match work.and_then(|work| pull.land(work, &shared)) {
            Ok(ExitCode::SUCCESS) => {}
            Ok(other) => code = other,
            Err(error) => {
                let interrupted = error.kind() == Kind::Interrupted;
                code = app.fail(error.with_vm(name));
                if interrupted {
                    break;
                }
            }
        }
    }
    Ok(code)
}

/// What the landings of one pull share.
struct Pulling<'a> {
    args: &'a Pull,
    app: &'a App,
    repo: &'a Repo,
    pathspecs: Vec<OsString>,
    how: How,
}

/// Work that may land.
struct Accepted {
    work: Work,
    /// The pull of this guest alone.
    line: Line,
    /// What it would change; known only if there are other guests.
    touches: Vec<Vec<u8>>,
}

impl Pulling<'_> {
    /// Takes work that is here, unless it is open what is meant to land of it.
    fn accept(&self, work: Work) -> Result<Accepted> {
        let Work { source, snapshot, scratch } = &work;
        let Pulling { args, app, repo, pathspecs, .. } = self;
        let several = args.vm.len() > 1;
        let line = if several { app.line().instead(alone(args, &source.vm.name)) } else { app.line().clone() };
        if source.base.is_open() {
            refuse_open_base(app, repo, &source.records, snapshot, &line)?;
        }
        let touches = match several {
            true => landing::touched(repo, &source.records, snapshot, scratch, pathspecs)?,
            false => Vec::new(),
        };
        Ok(Accepted { work, line, touches })
    }

    /// Lands it, all or nothing.
    fn land(&self, accepted: Accepted, shared: &Shared) -> Result<ExitCode> {
        let Pulling { args, app, repo, pathspecs, how } = self;
        let Accepted { work: Work { source, snapshot, scratch }, line, touches } = accepted;
        let blocked = |blocked| blocked::error(blocked, app, repo, &source.vm.name, &line);
        let plan = landing::plan(repo, &source.records, &snapshot, scratch, pathspecs, *how).map_err(blocked)?;
        tell_recovered(app, plan.told.recovered.as_deref());
        let told = Told {
            args,
            vm: &source.vm.name,
            snapshot: &snapshot,
            line: &line,
            since: format!("from '{}' since {}", source.vm.name, source.base.shown(&snapshot)),
            shared: touches.iter().filter(|path| shared.contains_key(*path)).collect(),
            plan: plan.told.clone(),
            stat: if args.stat { plan.stat()? } else { Vec::new() },
        };
        let landing = app.ui().progress("landing");
        let landed = if args.dry_run { Landed::default() } else { plan.land().map_err(blocked)? };
        drop(landing);
        let what = if landed.wrote { "the work has landed all the same" } else { "nothing was changed" };
        told.tell(app, repo, &landed).map_err(|error| error.detail(what))
    }
}

/// Paths, each with the guests that have changed it.
type Shared = BTreeMap<Vec<u8>, BTreeSet<String>>;

/// Returns the paths that the work of more than one guest touches.
fn shared(arrived: &[(String, Result<Accepted>)]) -> Shared {
    let mut touched = Shared::new();
    for (name, work) in arrived {
        for path in work.iter().flat_map(|work| &work.touches) {
            touched.entry(path.clone()).or_default().insert(name.clone());
        }
    }
    touched.retain(|_, names| names.len() > 1);
    touched
}

/// Returns the words of the same pull of one guest alone.
fn alone(args: &Pull, vm: &str) -> Vec<OsString> {
    let Pull { vm: _, taking, conflict, new_change, again, dry_run, stat, json, pathspecs } = args;
    let Taking { base_commit, ignore_unreadable } = taking;
    let flags = [
        ("--ignore-unreadable", ignore_unreadable),
        ("--new-change", new_change),
        ("--again", again),
        ("--dry-run", dry_run),
        ("--stat", stat),
        ("--json", json),
    ];
    let conflict = match conflict {
        Conflict::Abort => None,
        Conflict::Merge => Some("merge"),
        Conflict::Record => Some("record"),
    };
    let mut words = vec!["pull", vm];
    words.extend(base_commit.iter().flat_map(|base| ["--base-commit", base]));
    words.extend(conflict.iter().flat_map(|how| ["--conflict", how]));
    words.extend(flags.into_iter().filter(|(_, given)| **given).map(|(flag, _)| flag));
    words.extend((!pathspecs.is_empty()).then_some("--"));
    words.into_iter().map(OsString::from).chain(pathspecs.iter().cloned()).collect()
}

/// Takes back a landing that was cut off, and says so.
fn recover(app: &App, repo: &Repo, vms: &[String], how: How) -> Result<()> {
    tell_recovered(app, landing::recover(repo, &format!("pull {}", vms.join(" ")), how.patience)?.as_deref());
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

/// Refuses a pull, of the given line, that could mean two things: the guest has commits, and nobody said whether to bring
/// them.
///
/// # Errors
/// That; both ways are hints.
pub fn refuse_open_base(app: &App, repo: &Repo, records: &Records, snapshot: &Snapshot, line: &Line) -> Result<()> {
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
    let line = line.for_real();
    Err(Error::refused(format!("guest '{}' {moved}", records.vm))
        .with_vm(&records.vm)
        .run(line.with("--base-commit", Some("HEAD@prepare")), with_commits)
        .run(line.with("--base-commit", Some("HEAD")), format!("brings only what is not committed there ({rest})"))
        .run(
            app.git(repo, &["config", "banger.base", "HEAD@prepare"]),
            "takes the prepared head in every pull from now on",
        ))
}
