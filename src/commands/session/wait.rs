//! `git banger session wait`

use std::process::ExitCode;

use serde_json::json;

use super::{connect, described};
use crate::cli::SessionWait;
use crate::commands::report;
use crate::error::{Error, Result};
use crate::guest::session::State;
use crate::settings::Settings;
use crate::ui;

/// Waits for the end of a session; returns its exit status as ours.
///
/// # Errors
/// When it is not there, runs on after the time-out, or its status is not known.
pub fn run(args: &SessionWait, settings: &Settings) -> Result<ExitCode> {
    let guest = connect(settings, &args.vm, &args.session)?;
    let ended = guest.wait(&args.session, args.timeout)?;
    guest.close();
    if args.json {
        report::json(&json!({ "name": args.session, "state": ended.state, "status": ended.status }))?;
    }
    let described = described(&args.session, ended);
    match (ended.state, ended.status) {
        (State::Running, _) => Err(Error::refused(format!("{described} still"))),
        (_, Some(status)) => {
            ui::status(&described);
            Ok(ExitCode::from(status))
        }
        _ => Err(Error::incapable(described)),
    }
}
