//! `git banger prepare`: the repository into a guest, and the prepared head into our records.

use std::ffi::OsStr;

use serde_json::json;

use super::{App, report};
use crate::cli::Prepare;
use crate::error::{Error, Result};
use crate::guest::Shipment;
use crate::host::{Head, Repo, ship};
use crate::interrupt::Shield;
use crate::text::{self, count};
use crate::vm::Vm;

/// Ships HEAD's commit with its history and the uncommitted edits.
///
/// # Errors
/// If the host has nothing to ship, the guest cannot take it, or the connection is lost; nothing is left behind then.
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
    let freight = ship::gather(&repo, &vm.name, &vm.path, &head, args.untracked, args.depth)?;
    let told = Told { vm: &vm, head: &head, branch, freight: &freight };
    if args.dry_run {
        return told.tell(app, args, None);
    }
    let guest = app.connect(&vm)?;
    let packing = app.ui().progress("packing");
    let pack = ship::pack(&repo, &head, &freight)?;
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
        pack,
    };
    let path = guest.prepare(shipment)?;
    // The workspace is there: an interrupt waits until that is recorded.
    let recording = Shield::raise();
    guest.close();
    repo.record(&vm.name, &head.commit, &freight.baseline).map_err(|error| {
        let path = text::path(path.as_bytes());
        let error = error.with_vm(&vm.name);
        error.detail(format!("the workspace is in the guest, unrecorded: remove {path} there, then prepare again"))
    })?;
    drop(recording);
    told.tell(app, args, Some(&path))
}

/// What is said of a prepare.
struct Told<'a> {
    vm: &'a Vm,
    head: &'a Head,
    branch: Option<&'a OsStr>,
    freight: &'a ship::Freight,
}

impl Told<'_> {
    /// Says what was shipped to a workspace, or would be.
    fn tell(&self, app: &App, args: &Prepare, workspace: Option<&str>) -> Result<()> {
        let Told { vm, head, branch, freight } = self;
        if args.json {
            return report::json(
                app.ui(),
                &json!({
                    "vm": vm.name,
                    "shipped": workspace.is_some(),
                    "workspace": workspace,
                    "branch": branch.map(OsStr::to_string_lossy),
                    "head": head.commit,
                    "baseline": freight.baseline,
                    "commits": freight.commits,
                    "edited": freight.edited,
                    "untracked_left": freight.left_untracked,
                    "submodules": freight.submodules,
                }),
            );
        }
        let what = if workspace.is_some() { "shipped" } else { "would ship" };
        let at = match freight.commits {
            0 => "no commit yet".to_owned(),
            commits => format!("{} ({})", head.commit.short(), count(commits, "commit")),
        };
        let edits = match freight.edited {
            0 => "no uncommitted edits".to_owned(),
            edited => format!("uncommitted edits in {}", count(edited, "file")),
        };
        let branch = branch
            .map_or("a detached HEAD".to_owned(), |branch| format!("branch {}", text::path(branch.as_encoded_bytes())));
        app.ui().status(&format!("{what} {branch} at {at} to '{}', with {edits}", vm.name));
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
        if let Some(workspace) = workspace {
            app.ui().status(&format!("workspace: {}", text::path(workspace.as_bytes())));
            let pull = app.line().banger(["pull", &vm.name, "--base-commit", "HEAD@prepare"]);
            app.hint(pull, "brings work back later");
        }
        Ok(())
    }
}

fn checked_branch<'a>(repo: &Repo, branch: &'a str) -> Result<&'a OsStr> {
    if !repo.is_branch_name(branch)? {
        return Err(Error::usage(format!("{} cannot be the name of a branch", text::path(branch.as_bytes()))));
    }
    Ok(OsStr::new(branch))
}
