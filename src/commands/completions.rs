//! `git banger completions`: the script of a shell.

use super::App;
use crate::cli::{Completions, Shell};
use crate::error::Result;

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Completions, app: &App) -> Result<()> {
    app.ui().data(script(args.shell))
}

/// Returns the text of the script.
pub fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../completions/git-banger.bash"),
        Shell::Zsh => include_str!("../../completions/_git-banger"),
        Shell::Fish => include_str!("../../completions/git-banger.fish"),
    }
}
