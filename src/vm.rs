//! What a vm is: a name of the user's, and what stands behind it.

use crate::error::{Error, Result};
use crate::ssh::Destination;
use crate::text;

/// A guest, as the user names it: where it is, and where the workspace is in it.
#[derive(Clone, Debug)]
pub struct Vm {
    /// What the user typed.
    pub name: String,
    /// Where SSH finds it.
    pub destination: Destination,
    /// The workspace, as the guest's shell takes it from the home directory.
    pub path: String,
    /// The default for `--base-commit`.
    pub base: Option<String>,
}

/// Refuses what cannot be a guest's name.
///
/// # Errors
/// [`Error::usage`]
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty()
        || name.starts_with('-')
        || name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/')
    {
        return Err(Error::usage(format!("{} cannot be the name of a guest", text::path(name.as_bytes())))
            .detail("a guest is named as it was added, or as [user@]host[:port]"));
    }
    Ok(())
}
