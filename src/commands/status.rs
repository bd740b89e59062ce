//! `git banger status`: what is left in a guest, and would be lost with it.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;

use super::report::{self, List};
use super::taking::{self, Source};
use super::{App, several};
use crate::cli::{Status, Taking};
use crate::error::{Error, Kind, Next, Result};
use crate::guest::session::{Listed, State};
use crate::guest::status::{Leftovers, Operation, OwnRef, Worktree, WorktreeState};
use crate::host::landing::{self, Unlanded};
use crate::host::{Records, Repo};
use crate::snapshot::{Note, NoteKind, Snapshot};
use crate::text::{self, Keep, count, sanitise};

/// The exit code for a guest in which something is left.
const LEFT: u8 = 1;

/// Says what is left in each guest. With `--exit-code` the code is 1 if anything is, and 0 only if it is sure that
/// nothing is; a failure is neither, and its code counts before these.
///
/// # Errors
/// If there is no repository, or no guest to ask.
pub fn run(args: &Status, app: &App) -> Result<ExitCode> {
    let repo = app.repo()?;
    let vms = chosen(args, app, &repo)?;
    let mut code = 0;
    several::each(
        &vms,
        |vm| look(vm, app, &repo),
        |vm, found| {
            code = code.max(match found {
                Ok(found) => {
                    found.tell(args, app, vms.len() > 1)?;
                    if args.exit_code && !found.left().is_empty() { LEFT } else { 0 }
                }
                Err(error) => {
                    if vms.len() > 1 && !args.json && error.kind() != Kind::Interrupted {
                        app.ui().data(&line(vm, "cannot tell"))?;
                    }
                    let error = cannot_tell(vm, error);
                    let code = error.kind().code();
                    app.fail(error);
                    code
                }
            });
            Ok(())
        },
    )?;
    Ok(ExitCode::from(code))
}

/// Returns the guests that are asked: without a name, those that were prepared from this working copy.
fn chosen(args: &Status, app: &App, repo: &Repo) -> Result<Vec<String>> {
    if !args.vm.is_empty() {
        return Ok(several::once(&args.vm));
    }
    let mut vms: BTreeSet<String> = repo.prepared_vms()?.into_iter().collect();
    if args.all {
        vms.extend(app.settings.vms().into_iter().map(|vm| vm.name));
    }
    if vms.is_empty() {
        return Err(Error::usage("no guest was prepared from this working copy")
            .run(app.line().banger(["vm", "list"]), "lists those that have a name"));
    }
    Ok(vms.into_iter().collect())
}

/// Returns the error for a guest of which it is not known whether anything is left there. That is no refusal, whose
/// exit code would say that something is.
fn cannot_tell(vm: &str, error: Error) -> Error {
    let kind = match error.kind() {
        Kind::Interrupted => return error,
        Kind::Refused => Kind::Incapable,
        kind => kind,
    };
    let error = error.without(&[Next::BaseHead, Next::SkipUnreadable]);
    Error::new(kind, format!("cannot tell what is left in guest '{vm}'")).with_vm(vm).caused_by(error)
}

/// What was found in a guest, in the workspace of one working copy.
struct Found {
    records: Records,
    path: String,
    snapshot: Snapshot,
    unlanded: Unlanded,
    leftovers: Leftovers,
    running: Vec<Listed>,
    /// What is left in the workspaces of other working copies, by their names.
    elsewhere: Vec<(String, Vec<String>)>,
}

/// Asks a guest. Nothing is changed there, and nothing is kept here.
fn look(vm: &str, app: &App, repo: &Repo) -> Result<Found> {
    let mut found = look_at(vm, app, repo)?;
    for (name, other) in repo.others_that_prepared(vm)? {
        let left = match other {
            Some(other) => {
                let mut found = look_at(vm, app, &other).map_err(|error| {
                    error.detail(format!("this is about its workspace of working copy {}", text::path(name.as_bytes())))
                })?;
                // Each of them has the same.
                found.running.clear();
                found.left()
            }
            None => vec!["whatever is there: that working copy is not found".to_owned()],
        };
        if !left.is_empty() {
            found.elsewhere.push((name, left));
        }
    }
    Ok(found)
}

/// Looks at the workspace that was prepared from a working copy.
fn look_at(vm: &str, app: &App, repo: &Repo) -> Result<Found> {
    let taking = Taking { base_commit: Some("HEAD@prepare".to_owned()), ignore_unreadable: true };
    let Source { vm, records, base } = Source::find(vm, &taking, app, repo)?;
    let request = taking::request_history(app, &records, &base, &taking)?;
    let guest = app.connect(&vm)?;
    // What a session does after this may not be in the snapshot, but a session that has ended does nothing.
    let (sessions, _) = guest.sessions(None)?;
    let leftovers = guest.leftovers(&request.given)?;
    let taken = taking::prove(app, repo, &vm, guest, &base, &request)?;
    let unlanded = landing::unlanded(repo, &records, &taken)?;
    let running = sessions.into_iter().filter(|session| session.state == State::Running).collect();
    Ok(Found { records, path: vm.path, snapshot: taken.snapshot, unlanded, leftovers, running, elsewhere: Vec::new() })
}

/// Returns a line of the list of several guests.
fn line(vm: &str, what: &str) -> String {
    format!("{}\t{what}\n", sanitise(vm.as_bytes(), Keep::Nothing))
}

impl Found {
    /// Names each kind of thing that is left, with its number.
    fn left(&self) -> Vec<String> {
        let (unlanded, leftovers) = (&self.unlanded, &self.leftovers);
        let number = |all: usize, more: u32| all as u64 + u64::from(more);
        let counted = [
            (unlanded.files.len() as u64, "file", " not landed"),
            (unlanded.thrown_away as u64, "landed file", " no longer here"),
            (number(leftovers.refs.len(), leftovers.more_refs), "other ref", ""),
            (leftovers.submodules.len() as u64, "submodule", " with commits of its own"),
            (leftovers.stashes.into(), "stashed change", ""),
            (number(leftovers.worktrees.len(), leftovers.more_worktrees), "linked worktree", ""),
            (leftovers.operations.len() as u64, "operation", " in progress"),
            (self.notes().count() as u64, "path", " that a snapshot does not hold as it is"),
            (self.running.len() as u64, "running session", ""),
            (self.elsewhere.len() as u64, "workspace", " of other working copies with more"),
        ];
        let counted = counted.into_iter().filter(|(number, ..)| *number > 0);
        let landing = unlanded.is_landing.then(|| "a landing here that is not complete".to_owned());
        counted.map(|(number, what, more)| count(number, what) + more).chain(landing).collect()
    }

    /// Returns what the snapshot holds in another form, or not at all. A pointer that has landed is none of that.
    fn notes(&self) -> impl Iterator<Item = &Note> {
        let is_left = |note: &&Note| {
            note.kind != NoteKind::LfsPointer || self.unlanded.files.iter().any(|file| file.path == note.path)
        };
        self.snapshot.notes.iter().filter(is_left)
    }

    fn tell(&self, args: &Status, app: &App, is_one_of_several: bool) -> Result<()> {
        let vm = &self.records.vm;
        if args.json {
            return report::json(app.ui(), &JsonStatus::of(self));
        }
        let left = self.left();
        if is_one_of_several {
            let left = if left.is_empty() { NOTHING.to_owned() } else { left.join(", ") };
            return app.ui().data(&line(vm, &left));
        }
        app.ui().data(&self.text())?;
        let pull = |more: &[&str]| app.line().banger([&["pull", vm, "--base-commit", "HEAD@prepare"], more].concat());
        if !self.unlanded.files.is_empty() {
            app.hint(pull(&[]), "brings what has not landed");
        }
        if self.unlanded.thrown_away > 0 {
            app.hint(pull(&["--again"]), "lands again what is no longer here");
        }
        Ok(())
    }

    /// Tells all of it, for a terminal.
    fn text(&self) -> String {
        let Found { records, snapshot, unlanded, leftovers, .. } = self;
        let id = records.prepare.as_ref().map_or("-", |prepare| prepare.short());
        let time = records.prepared_at.as_deref().unwrap_or("-");
        let at = match &snapshot.branch {
            Some(branch) => format!("on branch {}", text::path(branch.as_bytes())),
            None => "with a detached HEAD".to_owned(),
        };
        let moved = [(unlanded.ahead, "past"), (unlanded.behind, "missing from")];
        let moved = moved.into_iter().filter(|(number, _)| *number > 0);
        let moved: Vec<_> =
            moved.map(|(number, how)| format!(", {} {how} the prepared head", count(number, "commit"))).collect();
        let vm = sanitise(records.vm.as_bytes(), Keep::Nothing);
        let mut text = format!("guest '{vm}' was prepared at {id} on {time}\n");
        text += &format!("workspace {}, {at}{}\n", text::path(self.path.as_bytes()), moved.concat());
        let mut part = |head: String, lines: Vec<String>| {
            if !lines.is_empty() {
                text += &format!("{head}:\n{}", lines.iter().map(|line| format!("\t{line}\n")).collect::<String>());
            }
        };
        let files = report::list(&unlanded.files, List { status: true, nul: false });
        let files: Vec<String> = String::from_utf8_lossy(&files).lines().map(str::to_owned).collect();
        part(format!("not landed, {}", count(files.len() as u64, "file")), files);
        part("other branches, tags and refs".to_owned(), others(&leftovers.refs, own_ref, leftovers.more_refs));
        part("submodules".to_owned(), leftovers.submodules.iter().map(own_ref).collect());
        part("linked worktrees".to_owned(), others(&leftovers.worktrees, worktree, leftovers.more_worktrees));
        part("in progress".to_owned(), leftovers.operations.iter().map(|it| it.word().to_owned()).collect());
        part("not in a snapshot as it is".to_owned(), self.notes().map(report::note).collect());
        let session = |it: &Listed| text::path(it.name.as_bytes());
        for (name, left) in &self.elsewhere {
            part(format!("in the workspace of working copy {}", text::path(name.as_bytes())), left.clone());
        }
        part("sessions that run".to_owned(), self.running.iter().map(session).collect());
        if leftovers.stashes > 0 {
            text += &format!("stash: {}\n", count(leftovers.stashes.into(), "change"));
        }
        if unlanded.thrown_away > 0 {
            let files = count(unlanded.thrown_away as u64, "file");
            text += &format!("landed, and no longer here: {files}\n");
        }
        if unlanded.is_landing {
            text += "here: a landing is not complete; the next pull or undo takes it back\n";
        }
        if self.left().is_empty() {
            text += &format!("{NOTHING}\n");
        }
        text
    }
}

/// What is said where nothing is left.
const NOTHING: &str = "nothing is left there";

/// Describes each of a list, and says how many were not looked at.
fn others<T>(all: &[T], describe: impl Fn(&T) -> String, more: u32) -> Vec<String> {
    let more = (more > 0).then(|| format!("and {more} more"));
    all.iter().map(describe).chain(more).collect()
}

fn own_ref(own: &OwnRef) -> String {
    let name = text::path(own.name.strip_prefix(b"refs/heads/").unwrap_or(&own.name));
    match own.commits {
        Some(commits) => format!("{name}, {}", count(commits.into(), "commit")),
        None => format!("{name}, whose commits cannot be read"),
    }
}

fn worktree(worktree: &Worktree) -> String {
    let at = match &worktree.branch {
        Some(branch) => format!("on branch {}", text::path(branch.strip_prefix(b"refs/heads/").unwrap_or(branch))),
        None => "with a detached HEAD".to_owned(),
    };
    let state = match worktree.state {
        WorktreeState::Clean => "without changes",
        WorktreeState::Changed => "with changes",
        WorktreeState::Unknown => "which cannot be looked at",
        WorktreeState::Gone => "whose files are gone",
    };
    format!("{}, {at}, {state}", text::path(&worktree.path))
}

/// What was found, for JSON.
#[derive(Serialize)]
struct JsonStatus<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    left: bool,
    prepared_at: Option<&'a str>,
    path: &'a str,
    behind: u64,
    files: Vec<report::JsonChange>,
    thrown_away: usize,
    landing: bool,
    refs: Vec<JsonRef>,
    more_refs: u32,
    submodules: Vec<JsonRef>,
    stashes: u32,
    worktrees: Vec<JsonWorktree>,
    more_worktrees: u32,
    operations: &'a [Operation],
    sessions: &'a [Listed],
    elsewhere: Vec<JsonElsewhere<'a>>,
}

/// What is left in the workspace of another working copy.
#[derive(Serialize)]
struct JsonElsewhere<'a> {
    working_copy: &'a str,
    left: &'a [String],
}

#[derive(Serialize)]
struct JsonRef {
    name: String,
    commits: Option<u32>,
}

#[derive(Serialize)]
struct JsonWorktree {
    #[serde(flatten)]
    path: report::JsonPath,
    branch: Option<String>,
    state: WorktreeState,
}

impl JsonStatus<'_> {
    fn of(found: &Found) -> JsonStatus<'_> {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let Found { records, path, snapshot, unlanded, leftovers, running, elsewhere } = found;
        let own = |own: &OwnRef| JsonRef { name: name(&own.name), commits: own.commits };
        let worktrees = leftovers.worktrees.iter().map(|it| JsonWorktree {
            path: report::JsonPath::new(&it.path),
            branch: it.branch.as_deref().map(name),
            state: it.state,
        });
        JsonStatus {
            snapshot: report::json_snapshot(&records.vm, snapshot),
            left: !found.left().is_empty(),
            prepared_at: records.prepared_at.as_deref(),
            path,
            behind: unlanded.behind,
            files: report::json_changes(&unlanded.files),
            thrown_away: unlanded.thrown_away,
            landing: unlanded.is_landing,
            refs: leftovers.refs.iter().map(own).collect(),
            more_refs: leftovers.more_refs,
            submodules: leftovers.submodules.iter().map(own).collect(),
            stashes: leftovers.stashes,
            worktrees: worktrees.collect(),
            more_worktrees: leftovers.more_worktrees,
            operations: &leftovers.operations,
            sessions: running,
            elsewhere: elsewhere.iter().map(|(name, left)| JsonElsewhere { working_copy: name, left }).collect(),
        }
    }
}
