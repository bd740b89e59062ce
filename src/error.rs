//! The one error type: what kind of failure, what to say, what to type next.
//!
//! Owns the exit codes. Prints nothing and exits nothing; `main` does both.

use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a caller needs to tell it apart; each kind is one exit code.
///
/// The table stands in the man page too (EXIT STATUS); a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Refused, and nothing changed: a conflict, unlanded work, an ambiguous base.
    Refused,
    /// The command line is wrong.
    Usage,
    /// The guest was not reached, not trusted, or did not let us in.
    Unreachable,
    /// The guest cannot do it: no workspace, unknown base, no git.
    Incapable,
    /// What arrived did not verify.
    Unverified,
    /// Sent, but whether it was delivered, or how much of it, is not known.
    Unconfirmed,
    /// A bug of ours.
    Bug,
    /// Interrupted by the user.
    Interrupted,
}

impl Kind {
    /// Returns the process exit code.
    pub fn code(self) -> u8 {
        match self {
            Kind::Refused => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 3,
            Kind::Incapable => 4,
            Kind::Unverified => 5,
            Kind::Unconfirmed => 6,
            Kind::Bug => 70,
            Kind::Interrupted => 130,
        }
    }
}

/// An error for people: a message in git's grammar, a cause, and hints.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    hints: Vec<String>,
}

impl Error {
    /// Makes an error; `message` is lower case, without a full stop, its subject quoted.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None, hints: Vec::new() }
    }

    /// Makes an error of [`Kind::Refused`]: nothing was changed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// Makes an error of [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Makes an error of [`Kind::Unreachable`].
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    /// Makes an error of [`Kind::Incapable`].
    pub fn incapable(message: impl Into<String>) -> Self {
        Self::new(Kind::Incapable, message)
    }

    /// Makes an error of [`Kind::Unverified`].
    pub fn unverified(message: impl Into<String>) -> Self {
        Self::new(Kind::Unverified, message)
    }

    /// Makes an error of [`Kind::Unconfirmed`].
    pub fn unconfirmed(message: impl Into<String>) -> Self {
        Self::new(Kind::Unconfirmed, message)
    }

    /// Makes an error of [`Kind::Bug`].
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Kind::Bug, message)
    }

    /// Makes an error of [`Kind::Interrupted`].
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Adds the cause, which is printed after the message.
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a next step that can be pasted; it must never weaken trust.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the hints, in the order in which they were added.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Turns a failed effect into an [`Error`] that names its subject.
pub trait Context<T> {
    /// Returns an error of [`Kind::Refused`] with `message` in front of the cause.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::refused(message()).source(source))
    }
}
