//! `git banger diff`: what a pull would bring, as the user's own git shows differences.

use std::process::ExitCode;

use super::taking::{self, Source, Work};
use super::{App, pull};
use crate::cli::Diff;
use crate::error::{Error, Result};
use crate::host::landing;

/// Fetches, and has git show the difference to what has landed already. Nothing lands.
///
/// # Errors
/// As fetch; and if git cannot show it.
pub fn run(args: &Diff, app: &App) -> Result<ExitCode> {
    let repo = app.repo()?;
    let source = Source::find(&args.vm, &args.taking, app, &repo)?;
    let Work { source, snapshot, scratch } = taking::take(app, &repo, source, &args.taking)?;
    let Source { vm, records, base } = source;
    if base.is_open() {
        pull::refuse_open_base(app, &repo, &records, &snapshot, app.line())?;
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
