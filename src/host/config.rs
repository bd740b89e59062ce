//! Reads and writes git's configuration.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;

use super::git::EXPLICIT;
use super::{Repo, jj};
use crate::error::Result;
use crate::process::Call;
use crate::reporter::Reporter;

/// Returns the value of a key as it holds in the repository; empty when it is not set. It need not be UTF-8.
///
/// # Errors
/// When the configuration cannot be read.
pub(super) fn get(repo: &Repo, key: &str) -> Result<OsString> {
    let output = repo.git.call(["config", "--null", "--get", key]).run()?;
    if output.code == Some(1) {
        return Ok(OsString::new());
    }
    let mut value = output.success("git config")?;
    value.pop();
    Ok(OsString::from_vec(value))
}

/// Returns the keys that match a regular expression, in lower case, with their values, the strongest last; a key without
/// a value has none.
///
/// # Errors
/// When the configuration cannot be read.
pub(super) fn matching(repo: &Repo, pattern: &str) -> Result<Vec<(String, Option<String>)>> {
    let output = repo.git.call(["config", "--null", "--get-regexp", pattern]).run()?;
    if output.code == Some(1) {
        return Ok(Vec::new());
    }
    let list = String::from_utf8_lossy(&output.success("git config")?).into_owned();
    let pair = |entry: &str| match entry.split_once('\n') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (entry.to_owned(), None),
    };
    Ok(list.split_terminator('\0').map(pair).collect())
}

/// Returns what git's configuration says of how files stand in a work tree, as [`matching`].
///
/// # Errors
/// When the configuration cannot be read.
pub(super) fn core(repo: &Repo) -> Result<&[(String, Option<String>)]> {
    if let Some(core) = repo.core.get() {
        return Ok(core);
    }
    let read = matching(repo, "^core\\.(filemode|symlinks|autocrlf|eol|attributesfile|sparsecheckout)$")?;
    Ok(repo.core.get_or_init(|| read))
}

/// Tells whether a value of git's configuration means no.
pub(super) fn is_no(value: Option<&str>) -> bool {
    matches!(value, Some("false" | "no" | "off" | "0" | ""))
}

/// Sets a key in the repository of `dir`, or of the current folder; `global` for the user's own configuration.
///
/// # Errors
/// When the configuration cannot be written.
pub fn set(dir: Option<&Path>, global: bool, key: &str, value: &str, reporter: &Arc<dyn Reporter>) -> Result<()> {
    call(dir, reporter)?.args([scope(global), "--replace-all", key, value]).stdout().map(drop)
}

/// Removes a section from the repository's configuration and the user's; tells whether there was one.
///
/// # Errors
/// When git cannot be run, or a configuration not be written.
pub fn remove_section(dir: Option<&Path>, name: &str, reporter: &Arc<dyn Reporter>) -> Result<bool> {
    let mut found = false;
    for global in [false, true] {
        let output = call(dir, reporter)?.args([scope(global), "--remove-section", name]).run()?;
        match output.code {
            Some(0) => found = true,
            // No such section, or no repository.
            Some(128) => {}
            _ => return Err(output.failure("git config")),
        }
    }
    Ok(found)
}

/// Starts a call of `git config` that reads what holds in `dir`, or in the current folder.
///
/// # Errors
/// When it is a jj workspace that cannot be used.
pub fn call(dir: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Result<Call> {
    let call = Call::new("git", reporter).fixed(["-c", EXPLICIT]).args(["config"]);
    let call = match jj::hidden_git_dir(dir, reporter)? {
        Some(git_dir) => call.env("GIT_DIR", git_dir),
        None => call,
    };
    Ok(match dir {
        Some(dir) => call.dir(dir),
        None => call,
    })
}

fn scope(global: bool) -> &'static str {
    if global { "--global" } else { "--local" }
}
