//! git-banger: brings work out of a VM, straight into the git repository you stand in.

mod cli;
mod commands;
mod error;
mod guest;
mod host;
mod interrupt;
mod process;
mod settings;
mod snapshot;
mod ssh;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(answer) => return ui::answer(&answer),
    };
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            ui::error(&error);
            ExitCode::from(error.kind().code())
        }
    }
}
