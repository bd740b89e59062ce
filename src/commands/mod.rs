//! The match from verb to function, and nothing else.

mod complete;
mod completions;
mod export;
mod fetch;
mod prepare;
mod pull;
mod report;
mod rev;
mod send;
mod session;
mod setup;
mod vm;

use std::process::ExitCode;

use crate::cli::{Cli, Command, Global};
use crate::error::Result;
use crate::settings::{self, Settings};
use crate::ui::{self, Voice};

/// Runs the command that was typed.
///
/// # Errors
/// Whatever the command cannot do.
pub fn run(mut cli: Cli) -> Result<ExitCode> {
    let Global { quiet, verbose, via_jj, color, .. } = cli.global;
    ui::init(Voice { quiet, verbosity: verbose, via_jj });
    // Reading the settings may have something to say, too.
    ui::color(color.unwrap_or_default());
    settings::go_to_folder(&mut cli.global)?;
    let settings = Settings::load(cli.global)?;
    ui::color(settings.color());
    if !matches!(cli.command, Command::Complete(_)) {
        settings.warn_of_unknown_keys();
    }
    match cli.command {
        Command::Session(args) => return session::run(&args, &settings),
        Command::Prepare(args) => prepare::run(&args, &settings),
        Command::Export(args) => export::run(&args, &settings),
        Command::Fetch(args) => fetch::run(&args, &settings),
        Command::Pull(args) => pull::run(&args, &settings),
        Command::Send(args) => send::run(&args, &settings),
        Command::Rev(args) => rev::run(&args, &settings),
        Command::Vm(args) => vm::run(&args, &settings),
        Command::Completions(args) => completions::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Complete(args) => complete::run(&args, &settings),
    }?;
    Ok(ExitCode::SUCCESS)
}
