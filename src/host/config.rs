//! Reads and writes git's configuration.

use std::path::Path;

use super::{Repo, git};
use crate::error::Result;
use crate::process::Call;

/// Returns the value of a key as it holds in the repository; empty when it is not set.
///
/// # Errors
/// When the configuration cannot be read.
pub fn get(repo: &Repo, key: &str) -> Result<String> {
    let output = repo.git.call(["config", "--get", key]).run()?;
    if output.code == Some(1) { Ok(String::new()) } else { git::text(output.success("git config")?) }
}

/// Sets a key in the repository of `dir`, or of the current folder; `global` for the user's own configuration.
///
/// # Errors
/// When the configuration cannot be written.
pub fn set(dir: Option<&Path>, global: bool, key: &str, value: &str) -> Result<()> {
    call(dir, global).args(["--replace-all", key, value]).stdout().map(drop)
}

/// Removes a section from the repository's configuration and the user's; tells whether there was one.
///
/// # Errors
/// When git cannot be run.
pub fn remove_section(dir: Option<&Path>, name: &str) -> Result<bool> {
    let mut found = false;
    for global in [false, true] {
        // git has no exit status of its own for "no such section".
        found |= call(dir, global).args(["--remove-section", name]).run()?.code == Some(0);
    }
    Ok(found)
}

fn call(dir: Option<&Path>, global: bool) -> Call {
    let call = Call::new("git").args(["config", if global { "--global" } else { "--local" }]);
    match dir {
        Some(dir) => call.dir(dir),
        None => call,
    }
}
