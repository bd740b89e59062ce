//! `git banger session wait`

use std::process::ExitCode;

use serde_json::json;

use super::{connect, described};
use crate::cli::SessionWait;
use crate::commands::{App, report};
use crate::error::{Error, Result};
use crate::guest::session::State;

/// Waits for the end of a session; returns its exit status as ours.
///
/// # Errors
/// When it is not there, runs on after the timeout, or its status is not known.
pub fn run(args: &SessionWait, app: &App) -> Result<ExitCode> {
    let guest = connect(app, &args.vm, &args.session)?;
    let ended = guest.wait(&args.session, args.timeout)?;
    guest.close();
    let described = described(&args.session, ended);
    let failure = match (ended.state, ended.status) {
        (State::Running, _) => Some(Error::refused(format!("session '{}' is still running", args.session))),
        (_, Some(_)) => None,
        _ => Some(Error::incapable(described.clone())),
    };
    let found = json!({ "name": args.session, "state": ended.state, "status": ended.status });
    match failure.map(|error| error.with_vm(&args.vm)) {
        Some(error) if args.json => return Ok(app.voice.fail_with(&error, report::object(&found)?)),
        Some(error) => return Err(error),
        None if args.json => report::json(app.ui(), &found)?,
        None => {}
    }
    app.ui().status(&described);
    Ok(ExitCode::from(ended.status.unwrap_or_default()))
}
