//! `git banger session`: processes in the guest that stay when the connection goes.

mod attach;
mod list;
mod logs;
mod start;
mod stop;
mod wait;

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::App;
use crate::cli::Session;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::guest::session::{Ended, State};
use crate::text;

/// Runs the command about sessions that was typed.
///
/// # Errors
/// Whatever the command cannot do.
pub fn run(args: &Session, app: &App) -> Result<ExitCode> {
    match args {
        Session::Wait(args) => return wait::run(args, app),
        Session::Attach(args) => return attach::run(args, app),
        Session::Start(args) => start::run(args, app),
        Session::List(args) => list::run(args, app),
        Session::Logs(args) => logs::run(args, app),
        Session::Stop(args) => stop::run(args, app),
        Session::Remove(args) => stop::remove(args, app),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses what cannot be the name of a file in the guest, in every shell.
///
/// # Errors
/// [`Error::usage`]
pub fn check_word<'a>(word: &'a str, what: &str) -> Result<&'a str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if word.is_empty() || word.len() > 100 || word.starts_with(['.', '-']) || !word.chars().all(plain) {
        return Err(Error::usage(format!("{} cannot be {what}", text::path(word.as_bytes())))
            .detail("it has letters, digits, '.', '_' and '-', at most 100, and begins with neither '.' nor '-'"));
    }
    Ok(word)
}

/// Connects to the guest that a session is in; where the workspace is there does not matter.
fn connect(app: &App, vm: &str, name: &str) -> Result<Guest> {
    check_word(name, "the name of a session")?;
    app.connect(&app.vm(vm, Some("."))?)
}

/// Takes note of which sessions the guest has, for completion; outside of a repository nothing is noted, and a note that
/// fails is no failure of the command.
fn see(app: &App, vm: &str, change: impl FnOnce(&mut BTreeSet<String>)) {
    if let Ok(repo) = app.repo() {
        let _ = repo.see_sessions(vm, change);
    }
}

/// Says how a session ended.
fn described(name: &str, ended: Ended) -> String {
    match (ended.state, ended.status) {
        (State::Running, _) => format!("session '{name}' is running"),
        (State::Exited, Some(status)) => format!("session '{name}' ended with status {status}"),
        _ => format!("session '{name}' no longer exists; its exit status is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_no_shell_and_no_path_takes_apart() {
        for good in ["a", "pi", "a.b_c-9", "A"] {
            assert!(check_word(good, "a name").is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", ".a", "a/b", "a b", "a\n", "é", "a'b", "$a", &"a".repeat(101)] {
            assert!(check_word(bad, "a name").is_err(), "{bad}");
        }
    }
}
