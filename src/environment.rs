//! The only reader of the process's environment.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]

use std::ffi::OsString;

/// Returns the value of a variable; empty counts as unset.
pub fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns the variables that git reads, `GIT_*`, as they were set for us.
pub fn git_environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")).collect()
}
