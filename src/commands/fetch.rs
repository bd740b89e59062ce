//! `git banger fetch`: the guest's snapshot into `refs/banger/<working copy>/<vm>/snapshot`; nothing lands.

use std::process::ExitCode;

use serde::Serialize;

use super::base::Base;
use super::{App, report, taking};
use crate::cli::Fetch;
use crate::error::{Kind, Result};
use crate::host::Repo;
use crate::text::count;

/// Fetches from each guest in turn; a guest that fails is said at once, and does not keep the others from being fetched.
/// Returns the exit code of the last failure.
///
/// # Errors
/// If there is no repository.
pub fn run(args: &Fetch, app: &App) -> Result<ExitCode> {
    let repo = app.repo()?;
    let mut code = ExitCode::SUCCESS;
    for name in &args.vm {
        if let Err(error) = fetch(name, args, app, &repo) {
            let error = error.with_vm(name);
            code = app.voice.fail(&error);
            if error.kind() == Kind::Interrupted {
                break;
            }
        }
    }
    Ok(code)
}

#[derive(Serialize)]
struct Fetched<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    files: Vec<report::JsonChange>,
}

fn fetch(name: &str, args: &Fetch, app: &App, repo: &Repo) -> Result<()> {
    let records = repo.records(name)?;
    let vm = app.settings.vm(name, records.path.as_deref(), Some(&repo.name()))?;
    let base = Base::choose(args.taking.base_commit.as_deref(), &vm, Some((repo, &records)), app)?;
    let (snapshot, _) = taking::take(app, repo, &vm, &records, &base, &args.taking)?;
    if args.json {
        let files = report::json_changes(&snapshot.changed);
        return report::json(app.ui(), &Fetched { snapshot: report::json_snapshot(&vm.name, &snapshot), files });
    }
    let kept = repo.vm_ref(name, "snapshot")?;
    app.ui().status(&format!(
        "fetched {} from '{name}' into {kept}: {} and {} since {base}",
        snapshot.commit.short(),
        count(snapshot.commits, "commit"),
        count(snapshot.changed.len() as u64, "changed file"),
        base = base.shown(&snapshot),
    ));
    if snapshot.changed.is_empty() {
        return Ok(());
    }
    app.hint(app.git(repo, &["diff", snapshot.base.short(), &kept]), "");
    Ok(())
}
