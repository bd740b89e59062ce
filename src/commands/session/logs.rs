//! `git banger session logs`

use serde_json::json;

use super::connect;
use crate::cli::SessionLogs;
use crate::commands::App;
use crate::error::Result;
use crate::guest::session::{At, Piece, Watch};
use crate::text;
use crate::ui::To;

/// Prints a log.
///
/// # Errors
/// When the session is not there, or its log is shorter than the offset.
pub fn run(args: &SessionLogs, app: &App) -> Result<()> {
    let guest = connect(app, &args.vm, &args.session)?;
    let since = At::Offset(args.since);
    let (out, err) = if args.stderr { (At::Nowhere, since) } else { (since, At::Nowhere) };
    let watch = Watch { name: &args.session, out, err, follow: args.follow, attach: None, steal: false };
    let mut lines = Lines { app, offset: args.since, pending: Vec::new() };
    let mut next = args.since;
    let watched = guest.watch(&watch, |piece| match piece {
        Piece::Open => Ok(true),
        Piece::Out(bytes) | Piece::Err(bytes) => {
            let wrote = if args.json { lines.add(&bytes) } else { app.ui().pass_on(&bytes, To::Stdout) }?;
            // Only now: what was not written is to come again.
            next += bytes.len() as u64;
            Ok(wrote)
        }
    });
    watched.map_err(|error| {
        if !args.follow || next == args.since {
            return error;
        }
        error.run(app.line().with("--since", Some(&next.to_string())), "goes on from there")
    })?;
    guest.close();
    if args.json {
        lines.print()?;
    }
    Ok(())
}

/// Cuts a log into lines, and prints each as JSON.
struct Lines<'a> {
    app: &'a App,
    offset: u64,
    pending: Vec<u8>,
}

impl Lines<'_> {
    /// Takes a part of the log; false when nobody reads what is printed any more.
    fn add(&mut self, bytes: &[u8]) -> Result<bool> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.pending.extend(part);
            if part.ends_with(b"\n") && !self.print()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Prints the line that is pending, also when it has no end yet.
    fn print(&mut self) -> Result<bool> {
        let line = std::mem::take(&mut self.pending);
        if line.is_empty() {
            return Ok(true);
        }
        let offset = self.offset;
        self.offset += line.len() as u64;
        let line = json!({ "offset": offset, "next": self.offset, "text": String::from_utf8_lossy(&line) });
        self.app.ui().pass_on(format!("{}\n", text::json(&line.to_string())).as_bytes(), To::Stdout)
    }
}
