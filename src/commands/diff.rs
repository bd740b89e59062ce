//! `git banger diff`: what a pull would bring, as the user's own git shows differences.

use std::process::ExitCode;

use super::taking::{self, Source, Work};
use super::{App, pull};
use crate::cli::Diff;
use crate::error::{Error, Result};
use crate::host::landing;
use crate::ui::Color;

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
    let options = colour(app);
    let command = if args.tool { vec!["difftool"] } else { [vec!["diff"], options].concat() };
    let code = repo.show(&command, &trees, &repo.pathspecs(&args.pathspecs))?;
    shown(command[0], code).map_err(|error| error.with_vm(&vm.name))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the option of 'git diff' for the colour that was asked for on the command line; its settings it knows itself.
pub fn colour(app: &App) -> Vec<&'static str> {
    match app.settings.flags().color {
        Some(Color::Always) => vec!["--color=always"],
        Some(Color::Never) => vec!["--color=never"],
        Some(Color::Auto) | None => Vec::new(),
    }
}

/// Judges how a git ended that showed a difference.
///
/// # Errors
/// If it failed; a pager that is left early is no failure.
pub fn shown(command: &str, code: Option<i32>) -> Result<()> {
    match code {
        Some(0) | None => Ok(()),
        Some(code) => Err(Error::failed(format!("git {command} failed (exit {code})"))),
    }
}
