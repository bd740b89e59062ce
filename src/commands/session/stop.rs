//! `git banger session stop` and `remove`

use serde_json::json;

use super::{connect, described, see};
use crate::cli::{SessionRemove, SessionStop};
use crate::commands::{App, report};
use crate::error::{Error, Result};
use crate::text;

/// Stops a session.
///
/// # Errors
/// When it is not there, or cannot be stopped.
pub fn run(args: &SessionStop, app: &App) -> Result<()> {
    let signal = args.signal.strip_prefix("SIG").unwrap_or(&args.signal);
    if signal.is_empty() || !signal.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return Err(Error::usage(format!("{} is not a signal", text::path(args.signal.as_bytes())))
            .detail("a signal is TERM, INT, HUP, or another name that kill(1) takes"));
    }
    let guest = connect(app, &args.vm, &args.session)?;
    let stopped = guest.stop(&args.session, signal, args.grace)?;
    guest.close();
    if args.json {
        return report::json(
            app.ui(),
            &json!({
                "name": args.session,
                "state": stopped.ended.state,
                "status": stopped.ended.status,
                "killed": stopped.killed,
                "already": stopped.already,
            }),
        );
    }
    let how = described(&args.session, stopped.ended);
    app.ui().status(&match (stopped.already, stopped.killed) {
        (true, _) => format!("already over: {how}"),
        (false, true) => format!("{how}: it was killed after {} seconds", args.grace),
        (false, false) => how,
    });
    Ok(())
}

/// Removes a session that has ended.
///
/// # Errors
/// When it is not there, or is running.
pub fn remove(args: &SessionRemove, app: &App) -> Result<()> {
    let guest = connect(app, &args.vm, &args.session)?;
    guest.remove(&args.session).map_err(|error| error.with_session(&args.session))?;
    guest.close();
    see(app, &args.vm, |seen| {
        seen.remove(&args.session);
    });
    if args.json {
        return report::json(app.ui(), &json!({ "name": args.session }));
    }
    app.ui().status(&format!("removed session '{}'", args.session));
    Ok(())
}
