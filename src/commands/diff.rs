//! `git banger diff`: what a pull would bring, as the user's own git shows differences.

use std::process::ExitCode;

use super::base::Base;
use super::{App, pull, taking};
use crate::cli::Diff;
use crate::error::{Error, Result};
use crate::host::landing;

/// Fetches, and has git show the difference to what has landed already. Nothing lands.
///
/// # Errors
/// As fetch; and if git cannot show it.
pub fn run(args: &Diff, app: &App) -> Result<ExitCode> {
    let repo = app.repo()?;
    let records = repo.records(&args.vm)?;
    let vm = app.settings.vm(&args.vm, records.path.as_deref(), Some(&repo.name()))?;
    let base = Base::choose(args.taking.base_commit.as_deref(), &vm, Some((&repo, &records)), app)?;
    let (snapshot, scratch) = taking::take(app, &repo, &vm, &records, &base, &args.taking)?;
    if base.is_open() {
        pull::refuse_open_base(app, &repo, &records, &snapshot)?;
    }
    let trees = landing::difference(&repo, &records, &snapshot, &scratch)?;
    if trees[0] == trees[1] {
        app.ui().status(&format!("nothing new from '{}' since {}", vm.name, base.shown(&snapshot)));
        return Ok(ExitCode::SUCCESS);
    }
    let command = if args.tool { "difftool" } else { "diff" };
    match repo.show(command, &trees, &repo.pathspecs(&args.pathspecs))? {
        Some(0) => Ok(ExitCode::SUCCESS),
        // A pager that is left early.
        None => Ok(ExitCode::SUCCESS),
        Some(code) => Err(Error::failed(format!("git {command} failed (exit {code})")).with_vm(&vm.name)),
    }
}
