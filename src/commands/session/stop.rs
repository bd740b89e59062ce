//! `git banger session stop` and `remove`

use super::{connect, described, see};
use crate::cli::{SessionRemove, SessionStop};
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::ui;

/// Stops a session.
///
/// # Errors
/// When it is not there, or cannot be stopped.
pub fn run(args: &SessionStop, settings: &Settings) -> Result<()> {
    let signal = args.signal.strip_prefix("SIG").unwrap_or(&args.signal);
    if signal.is_empty() || !signal.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return Err(
            Error::usage(format!("{} is not a signal", ui::path(args.signal.as_bytes()))).hint("TERM, INT, HUP")
        );
    }
    let guest = connect(settings, &args.vm, &args.session)?;
    let stopped = guest.stop(&args.session, signal, args.grace)?;
    guest.close();
    let how = described(&args.session, stopped.ended);
    ui::status(&match (stopped.already, stopped.killed) {
        (true, _) => format!("{how}, before"),
        (false, true) => format!("{how}: it was killed after {} seconds", args.grace),
        (false, false) => how,
    });
    Ok(())
}

/// Removes a session that has ended.
///
/// # Errors
/// When it is not there, or is running.
pub fn remove(args: &SessionRemove, settings: &Settings) -> Result<()> {
    let guest = connect(settings, &args.vm, &args.session)?;
    guest.remove(&args.session)?;
    guest.close();
    see(settings, &args.vm, |seen| {
        seen.remove(&args.session);
    });
    ui::status(&format!("removed session '{}'", args.session));
    Ok(())
}
