//! `git banger undo`: the newest landing that stands is taken back, or landed again.

use serde::Serialize;

use super::report::{self, List};
use super::{App, blocked, pull};
use crate::cli::Undo;
use crate::error::{Error, Result};
use crate::host::Repo;
use crate::host::landing::record::{Landing, LandingKind, standing_and_undone};
use crate::host::landing::{self, Conflict, How, Landed};
use crate::text::count;

/// Takes a landing back, as a merge into the host's files as they are now.
///
/// # Errors
/// If there is none, or it cannot be taken back: every path is named, and nothing is changed.
pub fn run(args: &Undo, app: &App) -> Result<()> {
    let repo = app.repo()?;
    repo.top()?;
    if repo.records_conflicts() {
        return Err(Error::refused("in a jj workspace a landing is an operation, which jj takes back")
            .run(app.line().jj(&["op", "log"]), "shows it"));
    }
    let how = How {
        conflict: Conflict::Abort,
        new_change: false,
        again: false,
        patience: app.settings.lock_timeout()?,
        keep: app.settings.keep_landings()?,
    };
    let verb = if args.redo { "undo --redo" } else { "undo" };
    pull::tell_recovered(app, landing::recover(&repo, verb, how.patience)?.as_deref());
    let landing = chosen(args, app, &repo)?;
    let kind = if args.redo { LandingKind::Redo(landing.number) } else { LandingKind::Undo(landing.number) };
    let blocked = |blocked| blocked::turned(blocked, &landing, args.redo);
    let plan = landing::turn(&repo, &landing, how, kind).map_err(blocked)?;
    let shown = plan.told.shown.clone();
    let landed = if args.dry_run { Landed::default() } else { plan.land().map_err(blocked)? };
    let what = if landed.wrote { "it was done all the same" } else { "nothing was changed" };
    tell(args, app, &landing, &shown).map_err(|error| error.detail(what))
}

/// Returns the landing that is meant.
fn chosen(args: &Undo, app: &App, repo: &Repo) -> Result<Landing> {
    let mut landings = repo.landings()?;
    landings.retain(|landing| args.vm.as_ref().is_none_or(|vm| *vm == landing.vm));
    let (standing, undone) = standing_and_undone(&landings);
    let number = if args.redo { undone.last() } else { standing.last() };
    let found = number.and_then(|number| landings.iter().find(|landing| landing.number == *number));
    found.cloned().ok_or_else(|| {
        let from = args.vm.as_ref().map(|vm| format!(" from guest '{vm}'")).unwrap_or_default();
        let error = match args.redo {
            true => Error::refused(format!("no landing{from} was taken back since the last one")),
            false => Error::refused(format!("no landing{from} stands here")),
        };
        error.run(app.line().banger(["log"]), "lists what has landed")
    })
}

#[derive(Serialize)]
struct Turned<'a> {
    number: u64,
    vm: &'a str,
    done: &'static str,
    changed: bool,
    files: Vec<report::JsonChange>,
}

fn tell(args: &Undo, app: &App, landing: &Landing, shown: &[crate::snapshot::Change]) -> Result<()> {
    let Landing { number, vm, .. } = landing;
    if args.json {
        let done = if args.redo { "redo" } else { "undo" };
        let files = report::json_changes(shown);
        return report::json(app.ui(), &Turned { number: *number, vm, done, changed: !args.dry_run, files });
    }
    app.ui().outcome(&report::list(shown, List { status: true, nul: false }))?;
    let what = format!("landing {number} from '{vm}'");
    let files = match shown.len() {
        0 => "no file has to change for that".to_owned(),
        files => count(files as u64, "changed file"),
    };
    app.ui().status(&match (args.redo, args.dry_run) {
        (false, false) => format!("took back {what}: {files}"),
        (true, false) => format!("landed again {what}: {files}"),
        (false, true) => format!("would take back {what}: {files}; nothing was changed"),
        (true, true) => format!("would land again {what}: {files}; nothing was changed"),
    });
    if !args.redo && !args.dry_run {
        app.hint(app.line().banger(["undo", "--redo"]), "lands it again");
    }
    Ok(())
}
