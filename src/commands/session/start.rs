//! `git banger session start`

use serde_json::json;

use super::{check_word, see};
use crate::cli::{SessionStart, Stdin};
use crate::commands::report;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::guest::session::Start;
use crate::settings::Settings;
use crate::ui;

/// Starts a session.
///
/// # Errors
/// When its name is taken, or its command cannot start.
pub fn run(args: &SessionStart, settings: &Settings) -> Result<()> {
    check_word(&args.session, "the name of a session")?;
    if let Some(bad) = args.env.iter().find(|variable| !is_variable(variable)) {
        return Err(Error::usage(format!("{} is not NAME=VALUE", ui::path(bad.as_bytes()))));
    }
    // A folder that does not depend on the workspace needs none.
    let free = args.cwd.as_deref().is_some_and(|folder| folder.starts_with(['/', '~']));
    let vm = settings.vm(&args.vm, None, free.then_some("."))?;
    let guest = Guest::connect(&vm)?;
    let started = guest.start(&Start {
        name: &args.session,
        folder: args.cwd.as_deref().unwrap_or_default(),
        env: &args.env,
        piped: args.stdin == Stdin::Pipe,
        replace: args.replace,
        command: &args.command,
    })?;
    guest.close();
    see(settings, &vm.name, |seen| {
        seen.insert(args.session.clone());
    });
    if !started.grouped {
        ui::warn(
            "the guest has neither setsid, perl, python3 nor bash: 'stop' reaches only the process itself, not its \
             children",
        );
    }
    if args.json {
        return report::json(&json!({ "name": args.session, "pid": started.pid, "grouped": started.grouped }));
    }
    ui::status(&format!("session '{}' runs in guest '{}' as process {}", args.session, vm.name, started.pid));
    ui::hint(&format!("git banger session logs {} {} --follow", vm.name, args.session));
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
