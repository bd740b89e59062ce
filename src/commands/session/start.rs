//! `git banger session start`

use serde_json::json;

use super::{check_word, see};
use crate::cli::{SessionStart, Stdin};
use crate::commands::{App, report};
use crate::error::{Error, Result};
use crate::guest::session::Start;
use crate::text;

/// Starts a session.
///
/// # Errors
/// When its name is taken, or its command cannot start.
pub fn run(args: &SessionStart, app: &App) -> Result<()> {
    check_word(&args.session, "the name of a session")?;
    if let Some(bad) = args.env.iter().find(|variable| !is_variable(variable)) {
        return Err(Error::usage(format!("{} is not NAME=VALUE", text::path(bad.as_bytes()))));
    }
    if let Some(ours) = args.env.iter().find(|variable| variable.starts_with("gb_")) {
        let error = Error::usage(format!("{} cannot be set for a session", text::path(ours.as_bytes())));
        return Err(error.detail("what begins with gb_ is a variable of the script that starts it"));
    }
    // A directory that does not depend on the workspace needs none.
    let free = args.cwd.as_deref().is_some_and(|folder| folder.starts_with(['/', '~']));
    let vm = app.vm(&args.vm, free.then_some("."))?;
    let guest = app.connect(&vm)?;
    let started = guest.start(&Start {
        name: &args.session,
        folder: args.cwd.as_deref().unwrap_or_default(),
        env: &args.env,
        piped: args.stdin == Stdin::Pipe,
        replace: args.replace,
        command: &args.command,
    });
    let started = started.map_err(|error| error.with_session(&args.session))?;
    guest.close();
    see(app, &vm.name, |seen| {
        seen.insert(args.session.clone());
    });
    if !started.grouped {
        app.ui().warn(
            "the guest has neither setsid, perl, python3 nor bash: 'stop' reaches only the process itself, not its \
             children",
        );
    }
    if args.json {
        return report::json(
            app.ui(),
            &json!({ "name": args.session, "pid": started.pid, "grouped": started.grouped }),
        );
    }
    app.ui().status(&format!("session '{}' runs in guest '{}' as process {}", args.session, vm.name, started.pid));
    app.hint(app.line().banger(["session", "logs", &vm.name, &args.session, "--follow"]), "");
    Ok(())
}

fn is_variable(text: &str) -> bool {
    let Some((name, _)) = text.split_once('=') else {
        return false;
    };
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
