//! Why there is no connection, in values: `commands/` says it.

use std::path::PathBuf;

use crate::error::Error;

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused {
    /// The host's key is not trusted.
    Untrusted(Box<Untrusted>),
    /// The host does not let us in.
    Denied(Box<Denied>),
    /// Something else failed.
    Failed(Error),
}

/// A host whose key is not trusted.
#[derive(Debug)]
pub struct Untrusted {
    /// The host, for messages.
    pub host: String,
    /// The kind and fingerprint of the key that it shows.
    pub shows: String,
    /// Why that is not trusted.
    pub why: Distrust,
}

/// Why a host key is not trusted.
#[derive(Debug)]
pub enum Distrust {
    /// It is revoked, in this line of this file.
    Revoked(PathBuf, usize),
    /// Another is known.
    Changed {
        /// The file, and the number of the line, that has the other.
        known: (PathBuf, usize),
        /// The kind and fingerprint of the other.
        key: String,
        /// The host, as known_hosts names it.
        name: String,
    },
    /// None is known.
    Unknown {
        /// The known_hosts file that a key would be added to, and the line that would be; `None` where there is no file.
        add: Option<(PathBuf, String)>,
    },
}

/// A host that does not let us in.
#[derive(Debug)]
pub struct Denied {
    /// The host, for messages.
    pub host: String,
    /// The arguments for a program of OpenSSH's that name it as the user did.
    pub destination: Vec<String>,
    /// Who tried to log in.
    pub user: String,
    /// Why the connection ended, where that is why.
    pub lost: Option<String>,
    /// The keys that were offered: kind, fingerprint, where each comes from.
    pub offered: Vec<String>,
    /// The keys that were not: where each comes from, and why not.
    pub skipped: Vec<(String, String)>,
    /// The methods that the host takes.
    pub takes: Vec<String>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

impl Refused {
    /// Returns the reason for a message about something else.
    pub(super) fn brief(&self) -> String {
        match self {
            Refused::Untrusted(_) => "the host key is not trusted".to_owned(),
            Refused::Denied(_) => "the login is refused".to_owned(),
            Refused::Failed(error) => error.to_string(),
        }
    }
}
