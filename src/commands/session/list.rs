//! `git banger session list`

use super::{check_word, see};
use crate::cli::SessionList;
use crate::commands::{App, report};
use crate::error::Result;
use crate::guest::session::{Listed, State};
use crate::text::{Keep, count, sanitise};

/// Lists the sessions of a guest.
///
/// # Errors
/// When the one asked for is not there.
pub fn run(args: &SessionList, app: &App) -> Result<()> {
    let name = args.session.as_deref().map(|name| check_word(name, "the name of a session")).transpose()?;
    let guest = app.connect(&app.vm(&args.vm, Some("."))?)?;
    let (sessions, now) = guest.sessions(name)?;
    guest.close();
    see(app, &args.vm, |seen| {
        if name.is_none() {
            seen.clear();
        }
        // The guest is not trusted with what the user is offered to type.
        let names = sessions.iter().map(|session| session.name.clone());
        seen.extend(names.filter(|name| check_word(name, "the name of a session").is_ok()));
    });
    if args.json {
        return report::json(app.ui(), &sessions);
    }
    for session in &sessions {
        app.ui().data(&format!("{}\n", line(session, now)))?;
    }
    Ok(())
}

fn line(session: &Listed, now: u64) -> String {
    let state = match (session.state, session.status, session.pid) {
        (State::Running, _, Some(pid)) => format!("running, process {pid}"),
        (State::Running, ..) => "running".to_owned(),
        (State::Exited, Some(status), _) => format!("ended with status {status}"),
        _ => "gone".to_owned(),
    };
    let age = session.started.map(|started| age(now.saturating_sub(started))).unwrap_or_default();
    let logs = format!("{} bytes out, {} err", session.stdout, session.stderr);
    let attached = session.attached.as_ref().map(|who| sanitise(who.as_bytes(), Keep::Nothing));
    let attached = attached.map(|who| format!("\tattached by {who}")).unwrap_or_default();
    let command = session.command.join(" ");
    // What a field holds cannot begin another row or column.
    let field = |text: &str| sanitise(text.as_bytes(), Keep::Nothing);
    let (name, command) = (field(&session.name), field(&command));
    format!("{name}\t{state}\tstarted {age} ago\t{logs}{attached}\t{command}")
}

fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => count(seconds, "second"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
