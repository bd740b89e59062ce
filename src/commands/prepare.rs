//! `git banger prepare`: the repository into a guest, and the prepared head into our records.

use super::report;
use crate::cli::Prepare;
use crate::error::{Error, Result};
use crate::guest::{Guest, Shipment};
use crate::host::{Repo, config, ship};
use crate::settings::{Settings, Vm};
use crate::ui;

/// Ships HEAD's commit with its history and the uncommitted edits.
///
/// # Errors
/// When the host has nothing to ship, the guest cannot take it, or the connection is lost; nothing is left behind then.
pub fn run(args: &Prepare, settings: &Settings) -> Result<()> {
    let repo = Repo::open(settings.global().dir.as_deref())?;
    let vm = settings.vm(&args.vm, args.path.as_deref(), Some(&repo.name()))?;
    let head = repo.head()?;
    let branch = match &args.branch {
        Some(branch) => checked_branch(&repo, branch)?,
        None => head.branch.as_deref(),
    };
    let freight = ship::gather(&repo, &vm.name, &head, args.untracked, args.depth)?;
    if args.dry_run {
        return say("would ship", &repo, &vm, branch, &freight);
    }
    let guest = Guest::connect(&vm)?;
    let packing = ui::progress("packing");
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
    guest.close();
    repo.record(&vm.name, &head.commit, &freight.baseline).map_err(|error| {
        error.hint(format!(
            "the workspace is in the guest, unrecorded: remove {}, then prepare again",
            ui::path(path.as_bytes())
        ))
    })?;
    if !vm.path_is_configured {
        config::set(repo.top().ok(), false, &format!("banger.{}.path", vm.name), &vm.path)?;
    }
    say("shipped", &repo, &vm, branch, &freight)?;
    ui::status(&format!("workspace: {}", ui::path(path.as_bytes())));
    ui::hint(&format!("after some work there: git banger pull {} --base-commit HEAD@prepare", vm.name));
    Ok(())
}

fn say(what: &str, repo: &Repo, vm: &Vm, branch: Option<&str>, freight: &ship::Freight) -> Result<()> {
    let at = match freight.commits {
        0 => "no commit yet".to_owned(),
        commits => format!("{} ({})", repo.head()?.commit.short(), report::count(commits, "commit")),
    };
    let edits = match freight.edited {
        0 => "no".to_owned(),
        edited => format!("{} of", report::count(edited, "file")),
    };
    ui::status(&format!(
        "{what} {} at {at} to '{}', with {edits} uncommitted edits",
        branch.map_or("a detached HEAD".to_owned(), |branch| format!("branch '{branch}'")),
        vm.name,
    ));
    if freight.left_untracked > 0 {
        ui::status(&format!("{} stayed behind", report::count(freight.left_untracked, "untracked file")));
        ui::hint("--untracked ships them too");
    }
    if freight.submodules > 0 {
        ui::status(&format!("the files of {} stayed behind", report::count(freight.submodules, "submodule")));
    }
    Ok(())
}

fn checked_branch<'a>(repo: &Repo, branch: &'a str) -> Result<Option<&'a str>> {
    if !repo.is_branch_name(branch)? {
        return Err(Error::usage(format!("{} cannot be the name of a branch", ui::path(branch.as_bytes()))));
    }
    Ok(Some(branch))
}
