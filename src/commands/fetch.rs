//! `git banger fetch`: the guest's snapshot into `refs/banger/<working copy>/<vm>/snapshot`; nothing lands.

use std::process::ExitCode;

use serde::Serialize;

use super::taking::{self, Work};
use super::{App, report};
use crate::cli::Fetch;
use crate::error::Result;
use crate::host::Repo;
use crate::text::count;

/// Fetches from all guests at the same time, and tells of each in turn; a guest that fails does not keep the others from
/// being fetched. Returns the exit code of the last failure.
///
/// # Errors
/// If there is no repository.
pub fn run(args: &Fetch, app: &App) -> Result<ExitCode> {
    let repo = app.repo()?;
    let mut code = ExitCode::SUCCESS;
    taking::take_each(app, &repo, &args.vm, &args.taking, |name, work| {
        if let Err(error) = work.and_then(|work| tell(args, app, &repo, &work)) {
            code = app.fail(error.with_vm(name));
        }
        Ok(())
    })?;
    Ok(code)
}

#[derive(Serialize)]
struct Fetched<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    files: Vec<report::JsonChange>,
}

fn tell(args: &Fetch, app: &App, repo: &Repo, work: &Work) -> Result<()> {
    let Work { source, snapshot, .. } = work;
    let name = source.vm.name.as_str();
    if args.json {
        let files = report::json_changes(&snapshot.changed);
        return report::json(app.ui(), &Fetched { snapshot: report::json_snapshot(name, snapshot), files });
    }
    let kept = repo.vm_ref(name, "snapshot")?;
    app.ui().status(&format!(
        "fetched {} from '{name}' into {kept}: {} and {} since {base}",
        snapshot.commit.short(),
        count(snapshot.commits, "commit"),
        count(snapshot.changed.len() as u64, "changed file"),
        base = source.base.shown(snapshot),
    ));
    if snapshot.changed.is_empty() {
        return Ok(());
    }
    app.hint(app.git(repo, &["diff", snapshot.base.short(), &kept]), "");
    Ok(())
}
