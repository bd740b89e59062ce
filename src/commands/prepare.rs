//! `git banger prepare`: the repository into a guest, and the prepared head into our records.

use std::ffi::OsStr;

use serde_json::json;

use super::replaced::{self, Rescued};
use super::{App, report};
use crate::cli::Prepare;
use crate::error::{Error, Kind, Next, Result};
use crate::guest::{Before, Guest, Place, Shipment};
use crate::host::ship::{Known, Wanted};
use crate::host::{Head, Records, Repo, ship};
use crate::interrupt::Shield;
use crate::snapshot::{NoteKind, Oid, Snapshot};
use crate::text::{self, count};
use crate::vm::Vm;

/// Ships HEAD's commit with its history and the uncommitted edits; or what the guest lacks of it, where it was prepared
/// before.
///
/// # Errors
/// If the host has nothing to ship, the guest holds work that has not landed, cannot take what is shipped, or the connection
/// is lost. Nothing is left behind then; but a guest that was prepared before may have been brought to its new state.
pub fn run(args: &Prepare, app: &App) -> Result<()> {
    let repo = app.repo()?;
    let records = repo.records(&args.vm)?;
    let path = args.path.as_deref().or(records.path.as_deref());
    let vm = app.settings.vm(&args.vm, path, Some(&repo.name()))?;
    let head = repo.head()?;
    let branch = match &args.branch {
        Some(branch) => Some(checked_branch(&repo, branch)?),
        None => head.branch.as_deref(),
    };
    let include = repo.pathspecs(&args.include);
    let wanted = Wanted { untracked: args.untracked, include: &include };
    let freight = ship::gather(&repo, &vm.name, &vm.path, &head, wanted, args.depth)?;
    let ignores = ship::ignores(&repo)?;
    let guest = app.connect(&vm)?;
    let ground = Ground::find(args, app, &repo, &guest, &vm, records)?;
    let mut told = Told { vm: &vm, head: &head, branch, freight: &freight, ground: &ground, new: freight.commits };
    if ground.snapshot.is_some() {
        told.new = ground.known.count_new(&repo, &head)?;
    }
    if args.dry_run {
        guest.close();
        return told.tell(app, args, &repo, None);
    }
    let packing = app.ui().progress("packing");
    let pack = ship::pack(&repo, &head, &freight, &ground.known).map_err(|error| error.with_vm(&vm.name))?;
    drop(packing);
    let [name, email] = repo.identity()?;
    let shipment = Shipment {
        branch,
        head: &head.commit,
        unborn: head.unborn,
        baseline: &freight.baseline,
        object_format: repo.object_format(),
        identity: (&name, &email),
        shallow: &freight.shallow,
        ignores: &ignores,
        pack,
    };
    repo.announce(&vm.name, &freight.baseline)?;
    let path = match ground.ship(&guest, shipment) {
        Ok(path) => path,
        Err(error) => return Err(ground.failed(&repo, &vm, &freight.baseline, error)),
    };
    // The workspace is there: an interrupt waits until that is recorded.
    let recording = Shield::raise();
    guest.close();
    repo.record(&vm.name, &head.commit, &freight.baseline).map_err(|error| {
        let error = error.with_vm(&vm.name).next(Next::Prepare);
        error.detail("the guest has what was shipped, but that is not recorded here: prepare again")
    })?;
    drop(recording);
    told.tell(app, args, &repo, Some(&path))
}

/// What the guest has where the workspace is to be.
struct Ground {
    records: Records,
    /// The state of a workspace that was prepared before.
    snapshot: Option<Snapshot>,
    /// What that has already.
    known: Known,
    rescued: Option<Rescued>,
}

impl Ground {
    /// Looks at it, and refuses what must not be replaced: there, and in the workspace that was prepared before at another
    /// path, whose record goes.
    fn find(args: &Prepare, app: &App, repo: &Repo, guest: &Guest, vm: &Vm, records: Records) -> Result<Ground> {
        let how = (args.force, args.dry_run);
        let given = records.given();
        let known: Vec<_> = [&records.baseline, &records.coming].into_iter().flatten().collect();
        let place = guest.look(&vm.path, &known, &given, true)?;
        let mut ground = Ground { records, snapshot: None, known: Known::default(), rescued: None };
        if let Place::Known { there, has, ends } = place {
            // The end of a prepare was not seen, but that is what the guest has now.
            if ground.records.coming.as_ref() == Some(&there) {
                repo.adopt(&vm.name, &there)?;
                ground.records = repo.records(&vm.name)?;
            }
            let (snapshot, rescued) = replaced::settle(app, repo, guest, &ground.records, &vm.path, how)?;
            ground.known = Known { commits: has, ends };
            ground.known.add_head(repo, &snapshot.head)?;
            (ground.snapshot, ground.rescued) = (Some(snapshot), rescued);
        } else if let Some(path) = ground.records.path.clone().filter(|path| *path != vm.path) {
            let known: Vec<_> = [&ground.records.baseline, &ground.records.coming].into_iter().flatten().collect();
            if let Place::Known { .. } = guest.look(&path, &known, &[], false)? {
                ground.rescued = replaced::settle(app, repo, guest, &ground.records, &path, how)?.1;
            }
        }
        Ok(ground)
    }

    /// Makes the workspace, or brings it to its new state; returns where it is.
    fn ship(&self, guest: &Guest, shipment: Shipment<'_>) -> Result<String> {
        let Some(snapshot) = &self.snapshot else { return guest.prepare(shipment) };
        let records = &self.records;
        let baseline = records.baseline.as_ref().filter(|_| records.shipped_edits);
        let before = Before { prepared: records.prepare.as_ref(), baseline, snapshot: &snapshot.commit };
        guest.prepare_again(shipment, &before)
    }

    /// Returns the error for a shipment that failed, with what state that leaves.
    fn failed(&self, repo: &Repo, vm: &Vm, baseline: &Oid, error: Error) -> Error {
        if self.snapshot.is_none() || error.kind() == Kind::Refused {
            return match repo.withdraw(&vm.name, baseline) {
                Ok(()) => error,
                Err(worse) => error.detail(worse.to_string()),
            };
        }
        // The guest said what state that leaves.
        if error.kind() == Kind::Incapable {
            return error;
        }
        error.with_vm(&vm.name).next(Next::Prepare).detail(
            "the workspace is as it was, or as it was to become; its state before is refs/banger/replaced there, then",
        )
    }
}

/// What is said of a prepare.
struct Told<'a> {
    vm: &'a Vm,
    head: &'a Head,
    branch: Option<&'a OsStr>,
    freight: &'a ship::Freight,
    ground: &'a Ground,
    /// How many commits go.
    new: u64,
}

impl Told<'_> {
    /// Says what was shipped to a workspace, or would be.
    fn tell(&self, app: &App, args: &Prepare, repo: &Repo, workspace: Option<&str>) -> Result<()> {
        let Told { vm, head, branch, freight, ground, new } = self;
        let nested = self.nested();
        if args.json {
            let paths = |paths: &[Vec<u8>]| paths.iter().map(|path| report::JsonPath::new(path)).collect::<Vec<_>>();
            return report::json(
                app.ui(),
                &json!({
                    "vm": vm.name,
                    "shipped": workspace.is_some(),
                    "again": ground.snapshot.is_some(),
                    "workspace": workspace,
                    "branch": branch.map(OsStr::to_string_lossy),
                    "head": head.commit,
                    "baseline": freight.baseline,
                    "commits": new,
                    "edited": freight.edited,
                    "untracked_left": freight.left_untracked,
                    "submodules": freight.submodules,
                    "hidden": paths(&freight.hidden),
                    "included": paths(&freight.included),
                    "nested": paths(&nested),
                    "rescued": ground.rescued,
                }),
            );
        }
        if let Some(rescued) = &ground.rescued {
            rescued.tell(app, repo);
        }
        self.tell_shipped(app, workspace.is_some());
        self.tell_left(app, &nested);
        if let Some(workspace) = workspace {
            app.ui().status(&format!("workspace: {}", text::path(workspace.as_bytes())));
            let pull = app.line().banger(["pull", &vm.name, "--base-commit", "HEAD@prepare"]);
            app.hint(pull, "brings work back later");
        }
        Ok(())
    }

    fn tell_shipped(&self, app: &App, done: bool) {
        let Told { vm, head, branch, freight, ground, new } = self;
        let at = match (freight.commits, &ground.snapshot) {
            (0, _) => "no commit yet".to_owned(),
            (_, Some(_)) => format!("{} ({})", head.commit.short(), count(*new, "new commit")),
            (_, None) => format!("{} ({})", head.commit.short(), count(*new, "commit")),
        };
        let edits = match freight.edited {
            0 => "no uncommitted edits".to_owned(),
            edited => format!("uncommitted edits in {}", count(edited, "file")),
        };
        let branch = branch
            .map_or("a detached HEAD".to_owned(), |branch| format!("branch {}", text::path(branch.as_encoded_bytes())));
        app.ui().status(&match (&ground.snapshot, done) {
            (None, true) => format!("shipped {branch} at {at} to '{}', with {edits}", vm.name),
            (None, false) => format!("would ship {branch} at {at} to '{}', with {edits}", vm.name),
            (Some(_), true) => format!("brought '{}' to {branch} at {at}, with {edits}", vm.name),
            (Some(_), false) => format!("would bring '{}' to {branch} at {at}, with {edits}", vm.name),
        });
    }

    /// Says what goes beside the tracked files, and what stays.
    fn tell_left(&self, app: &App, nested: &[Vec<u8>]) {
        let Told { freight, .. } = self;
        for path in &freight.included {
            app.ui().status(&format!("{} is ignored, and included", text::path(path)));
        }
        if freight.left_untracked > 0 {
            let (left, were, them) = match freight.left_untracked {
                1 => ("1 untracked file".to_owned(), "was", "it"),
                left => (count(left, "untracked file"), "were", "them"),
            };
            app.ui().status(&format!("{left} {were} not shipped (--untracked ships {them})"));
        }
        if freight.submodules > 0 {
            app.ui().status(&format!("the files of {} were not shipped", count(freight.submodules, "submodule")));
        }
        for path in &freight.hidden {
            app.ui()
                .warn(&format!("the edits of {} were not shipped: they are hidden from git here", text::path(path)));
        }
        for path in nested {
            app.ui().warn(&format!("{} stays in the guest: it is a repository of its own", text::path(path)));
        }
    }

    /// Returns the nested repositories of a workspace that was prepared before: they stay.
    fn nested(&self) -> Vec<Vec<u8>> {
        let notes = self.ground.snapshot.iter().flat_map(|snapshot| &snapshot.notes);
        notes.filter(|note| note.kind == NoteKind::NestedRepository).map(|note| note.path.clone()).collect()
    }
}

fn checked_branch<'a>(repo: &Repo, branch: &'a str) -> Result<&'a OsStr> {
    if !repo.is_branch_name(branch)? {
        return Err(Error::usage(format!("{} cannot be the name of a branch", text::path(branch.as_bytes()))));
    }
    Ok(OsStr::new(branch))
}
