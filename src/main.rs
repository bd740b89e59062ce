//! git-banger: brings work out of a VM, straight into the git repository you stand in.

mod cli;
mod commands;
mod environment;
mod error;
mod guest;
mod host;
mod interrupt;
mod process;
mod reporter;
mod settings;
mod snapshot;
mod ssh;
mod text;
mod trust;
mod ui;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    interrupt::watch(ui::Ui::insisted);
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    match cli::parse(&words) {
        Ok(cli) => commands::run(cli, words),
        Err(answer) => commands::usage(&answer, &words),
    }
}
