//! `git banger session list`

use super::{check_word, see};
use crate::cli::SessionList;
use crate::commands::report;
use crate::error::Result;
use crate::guest::Guest;
use crate::guest::session::{Listed, State};
use crate::settings::Settings;
use crate::ui::{self, Keep};

/// Lists the sessions of a guest.
///
/// # Errors
/// When the one asked for is not there.
pub fn run(args: &SessionList, settings: &Settings) -> Result<()> {
    let name = args.session.as_deref().map(|name| check_word(name, "the name of a session")).transpose()?;
    let guest = Guest::connect(&settings.vm(&args.vm, None, Some("."))?)?;
    let (sessions, now) = guest.sessions(name)?;
    guest.close();
    see(settings, &args.vm, |seen| {
        if name.is_none() {
            seen.clear();
        }
        // The guest is not trusted with what the user is offered to type.
        let names = sessions.iter().map(|session| session.name.clone());
        seen.extend(names.filter(|name| check_word(name, "the name of a session").is_ok()));
    });
    if args.json {
        return report::json(&sessions);
    }
    for session in &sessions {
        ui::data(&format!("{}\n", line(session, now)))?;
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
    let attached = session.attached.as_ref().map(|who| format!("\tattached by {who}")).unwrap_or_default();
    let command = session.command.join(" ");
    let text = format!("{}\t{state}\tstarted {age} ago\t{logs}{attached}\t", session.name);
    format!("{}{}", ui::sanitise(text.as_bytes(), Keep::Lines), ui::sanitise(command.as_bytes(), Keep::Nothing))
}

fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => report::count(seconds, "second"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
