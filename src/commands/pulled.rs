//! What is said of a pull: the list, the remarks, and the error for conflicts that it left.

use std::process::ExitCode;

use serde::Serialize;

use super::line::Line;
use super::report::{self, List};
use super::{App, blocked};
use crate::cli::{Conflict, Pull};
use crate::error::{Error, Fault, Kind, Next, Result};
use crate::host::Repo;
use crate::host::landing::{self, Landed, Undo, Why};
use crate::snapshot::{NoteKind, Snapshot};
use crate::text::{self, count};

/// What is said of a pull, all of it known before the first file is written.
pub struct Told<'a> {
    /// How it was asked for.
    pub args: &'a Pull,
    /// The guest's name.
    pub vm: &'a str,
    /// Its work.
    pub snapshot: &'a Snapshot,
    /// The pull of this guest alone.
    pub line: &'a Line,
    /// From where, and since what.
    pub since: String,
    /// The paths that another guest has changed, too.
    pub shared: Vec<&'a Vec<u8>>,
    /// What the plan found.
    pub plan: landing::Told,
    /// git's table of changed lines, if it was asked for.
    pub stat: Vec<u8>,
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
    shared: Vec<report::JsonPath>,
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

impl Told<'_> {
    /// Says what landed, or would; returns the exit code.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn tell(&self, app: &App, repo: &Repo, landed: &Landed) -> Result<ExitCode> {
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
                snapshot: report::json_snapshot(self.vm, self.snapshot),
                landed: !self.args.dry_run,
                files: report::json_changes(&self.plan.shown),
                conflicts: self.plan.conflicts.iter().map(JsonConflict::of).collect(),
                thrown_away: self.plan.thrown_away,
                left: self.plan.left.iter().map(JsonLeft::of).collect(),
                ignored_here: self.plan.ignored.iter().map(|path| report::JsonPath::new(path)).collect(),
                shared: self.shared.iter().map(|path| report::JsonPath::new(path)).collect(),
                unheld: landed.unheld.iter().map(|path| report::JsonPath::new(path)).collect(),
                undo: undo.clone(),
            };
            if let Some(error) = &conflicted {
                return Ok(app.voice.fail_with(error, report::object(&pulled)?));
            }
            report::json(app.ui(), &pulled)?;
        } else if self.args.stat {
            app.ui().outcome(&self.stat)?;
        } else {
            app.ui().outcome(&report::list(&self.plan.shown, List { status: true, nul: false }))?;
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
            app.hint(self.line.with("--again", None), "lands it again");
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
        let message = format!("the work of guest '{}' has landed, with conflicts in {files}", self.vm);
        let faults = self.plan.conflicts.iter().map(fault);
        let error = Error::new(Kind::Conflicted, message).with_vm(self.vm).with_faults(faults);
        if self.args.conflict == Conflict::Record {
            return error.next(Next::ResolveInJj("@"));
        }
        let kept: Vec<_> = self.plan.conflicts.iter().filter(|(_, why)| !why.is_text()).collect();
        let error = match kept.len() < self.plan.conflicts.len() {
            true => error.detail("conflict markers in the files show both versions"),
            false => error,
        };
        let snapshot = repo.vm_ref(self.vm, "snapshot").unwrap_or_default();
        let theirs = kept.into_iter().map(|(path, _)| path).filter(|path| self.plan.theirs.contains(*path));
        theirs.take(SHOWN).fold(error, |error, path| {
            let Some(path) = text::harmless(path) else { return error };
            error.run(app.git(repo, &["show", &format!("{snapshot}:{path}")]), "shows the guest's version")
        })
    }
}

/// For so many files there is a hint.
const SHOWN: usize = 3;
