//! `git banger pull`: fetch, then land.

use std::thread;

use serde::Serialize;

use super::fetch::{self, Base};
use super::report::{self, List};
use crate::cli::{Conflict, Pull};
use crate::error::{Error, Result};
use crate::host::land::{self, How};
use crate::host::{Landed, Records, Repo};
use crate::process::quoted;
use crate::settings::{Settings, Vm};
use crate::snapshot::{Change, Snapshot};
use crate::ui;

/// Brings the guest's work straight into the working tree, all or nothing.
///
/// # Errors
/// As fetch; and when the work cannot land: every path is named, nothing is changed, and the snapshot is kept.
pub fn run(args: &Pull, settings: &Settings) -> Result<()> {
    let repo = Repo::open(settings.global().dir.as_deref())?;
    repo.top()?;
    refuse_for_git(args, &repo)?;
    land::recover(&repo)?;
    let vm = settings.vm(&args.vm, None, Some(&repo.name()))?;
    let records = repo.records(&vm.name)?;
    let base = Base::choose(&args.taking, &vm, Some(&records))?;
    let (snapshot, ours) = thread::scope(|scope| {
        // The host's own files are read while the guest works.
        let ours = scope.spawn(|| repo.files(&vm.name));
        let (snapshot, _) = fetch::take(&repo, &vm, &records, &base, &args.taking)?;
        let ours = ours.join().map_err(|_| Error::bug("reading the host's files failed"))??;
        Ok::<_, Error>((snapshot, ours))
    })?;
    if base.is_open() {
        refuse_open_base(&repo, &records, &snapshot, args)?;
    }

    let pathspecs = repo.pathspecs(&args.pathspecs);
    let again = again(args, args.taking.base_commit.as_deref());
    let how = How { conflict: args.conflict, new_change: args.new_change, again: &again };
    let plan = land::plan(&repo, &records, ours, &snapshot, &pathspecs, how)?;
    let changes = plan.shown().to_vec();
    let conflicts = plan.conflicts().to_vec();
    let stat = if args.stat { plan.stat()? } else { Vec::new() };
    let landing = ui::progress("landing");
    let landed = if args.dry_run { Landed::default() } else { plan.land()? };
    drop(landing);
    tell(args, &vm, &base, &snapshot, (&changes, &conflicts), &stat).map_err(|error| match args.dry_run {
        true => error,
        false => error.hint("the work has landed all the same: git status"),
    })?;
    if let Some(undo) = landed.undo {
        ui::status(&format!("undo: {undo}"));
    }
    Ok(())
}

#[derive(Serialize)]
struct Pulled<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    landed: bool,
    files: Vec<report::JsonChange>,
    conflicts: Vec<report::JsonPath>,
}

fn tell(
    args: &Pull,
    vm: &Vm,
    base: &Base,
    snapshot: &Snapshot,
    (changes, conflicts): (&[Change], &[Vec<u8>]),
    stat: &[u8],
) -> Result<()> {
    if args.json {
        report::json(&Pulled {
            snapshot: report::json_snapshot(&vm.name, snapshot),
            landed: !args.dry_run,
            files: report::json_changes(changes),
            conflicts: conflicts.iter().map(|path| report::JsonPath::new(path)).collect(),
        })?;
    } else if args.stat {
        ui::data_bytes(stat)?;
    } else {
        ui::data_bytes(&report::list(changes, List { status: true, nul: false }))?;
    }
    let since = format!("from '{}' since {}", vm.name, base.shown(snapshot));
    ui::status(&match (changes.len() as u64, args.dry_run) {
        (0, _) => format!("nothing new {since}"),
        (files, true) => format!("would land {} {since}; nothing was changed", report::count(files, "changed file")),
        (files, false) => format!("landed {} {since}", report::count(files, "changed file")),
    });
    for path in conflicts {
        ui::warn(&format!("{} has changed here and in the guest: a conflict to settle", ui::path(path)));
    }
    Ok(())
}

/// Returns the arguments that ask for the same work again, with this base.
fn again(args: &Pull, base: Option<&str>) -> String {
    let mut words = vec![quoted(args.vm.as_ref())];
    if let Some(base) = base {
        words.extend(["--base-commit".to_owned(), quoted(base.as_ref())]);
    }
    if args.taking.ignore_unreadable {
        words.push("--ignore-unreadable".to_owned());
    }
    if !args.pathspecs.is_empty() {
        words.push("--".to_owned());
        words.extend(args.pathspecs.iter().map(|pathspec| quoted(pathspec)));
    }
    words.join(" ")
}

/// Refuses what only jj can do.
fn refuse_for_git(args: &Pull, repo: &Repo) -> Result<()> {
    let flag = match args {
        Pull { conflict: Conflict::Record, .. } => "--conflict=record",
        Pull { new_change: true, .. } => "--new-change",
        _ => return Ok(()),
    };
    if repo.is_jj() { Ok(()) } else { Err(Error::usage(format!("'{flag}' needs a jj workspace, and this is none"))) }
}

/// Refuses a pull that could mean two things: the guest has commits, and nobody said whether they are to come.
fn refuse_open_base(repo: &Repo, records: &Records, snapshot: &Snapshot, args: &Pull) -> Result<()> {
    let Some(prepared) = records.prepare.as_ref().filter(|prepared| **prepared != snapshot.head) else {
        return Ok(());
    };
    let commits = report::count(repo.count(prepared, &snapshot.head)?, "commit");
    let since =
        |base| Ok::<_, Error>(report::count(repo.diff(base, &snapshot.commit, true, &[])?.len() as u64, "file"));
    // What was shipped beside the head is no work of the guest's.
    let shipped = records.baseline.as_ref().unwrap_or(prepared);
    let (all, rest) = (since(shipped)?, since(&snapshot.head)?);
    let moved = match repo.count(&snapshot.head, prepared)? {
        0 => format!("has {commits} past the prepared head"),
        gone => format!(
            "went back by {} from the prepared head, and has {commits} of its own",
            report::count(gone, "commit")
        ),
    };
    Err(Error::refused(format!("guest '{}' {moved}: say whether they are to come", records.vm))
        .hint(format!("with its commits ({commits}, {all}): git banger pull {}", again(args, Some("HEAD@prepare"))))
        .hint(format!("only what is not committed there ({rest}): git banger pull {}", again(args, Some("HEAD"))))
        .hint("for every pull from now on: git config banger.base HEAD@prepare"))
}
