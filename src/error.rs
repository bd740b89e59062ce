//! The one error type: what kind of failure, what to say, what may help.
//!
//! An error has three voices: a message of one line, details that explain it, and hints, each a command that can be run
//! as it stands. Owns the exit codes. Prints nothing and exits nothing: `commands/voice.rs` prints, `main` returns
//! the code. How a command is spelled is known in `commands/` alone: rooms below it say what would help.

use std::{fmt, io};

use crate::text;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a caller needs to distinguish it; each kind is one exit code and one word in JSON.
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
    /// Landed, with conflicts left in the files.
    Conflicted,
    /// Something failed on this machine: a disk, a permission, a program. The message says what state that leaves.
    Failed,
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
            Kind::Conflicted => 7,
            Kind::Failed => 8,
            Kind::Bug => 70,
            Kind::Interrupted => 130,
        }
    }

    /// Returns the word that stands for the kind in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Refused => "refused",
            Kind::Usage => "usage",
            Kind::Unreachable => "unreachable",
            Kind::Incapable => "incapable",
            Kind::Unverified => "unverified",
            Kind::Unconfirmed => "unconfirmed",
            Kind::Conflicted => "conflicted",
            Kind::Failed => "failed",
            Kind::Bug => "bug",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// A next step, as a room below `commands/` knows it: what helps, not how it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ship the repository to the vm.
    Prepare,
    /// Bring the work of the vm into the records.
    Fetch,
    /// Take the work since the guest's own HEAD.
    BaseHead,
    /// Go on without the files that cannot be read.
    SkipUnreadable,
    /// Stop the session first.
    StopSession,
    /// List the sessions of the vm.
    ListSessions,
    /// Take the place of a session that has ended.
    ReplaceSession,
    /// Take over from another who is attached.
    TakeOver,
    /// Ship the newest commit alone.
    ShipNewest,
    /// Bring the whole history here.
    Unshallow,
    /// Look for damage in the host's repository.
    Fsck,
    /// Settle the conflicts of a revision in jj.
    ResolveInJj(&'static str),
    /// Let jj look at working files that another workspace's command has left behind.
    UpdateStaleInJj,
    /// Remove the change of jj's that a landing was to go into.
    AbandonNewChange,
}

/// A next step of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// One that `commands/` has yet to spell.
    Next(Next),
    /// A command.
    Run(Suggestion),
}

/// A command to type, and what it does where that is not plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The whole command, as a shell takes it.
    pub command: String,
    /// What it does, as the rest of a sentence; may be empty.
    pub purpose: String,
}

/// A path that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path, relative to the top of the work tree.
    pub path: Vec<u8>,
    /// What is wrong with it, as a word for scripts.
    pub kind: &'static str,
    /// The same for people, as the rest of a sentence about the path.
    pub why: String,
}

/// An error for people: a message in git's grammar, a cause, details, paths, and hints.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    vm: Option<String>,
    session: Option<String>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    details: Vec<String>,
    faults: Vec<Fault>,
    hints: Vec<Hint>,
}

impl Error {
    /// Makes an error; `message` is one line, lower case, without a full stop, its subject quoted.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let (details, faults, hints) = (Vec::new(), Vec::new(), Vec::new());
        Error(Box::new(Parts {
            kind,
            vm: None,
            session: None,
            message: message.into(),
            source: None,
            details,
            faults,
            hints,
        }))
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

    /// Makes an error of [`Kind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
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
        self.0.source = Some(source.into());
        self
    }

    /// Adds another error of ours as the cause, and takes its details, paths and hints over.
    pub fn caused_by(mut self, mut cause: Error) -> Self {
        self.0.details.append(&mut cause.0.details);
        self.0.faults.append(&mut cause.0.faults);
        self.0.hints.append(&mut cause.0.hints);
        let vm = cause.0.vm.take();
        self.0.vm = self.0.vm.or(vm);
        self.source(cause)
    }

    /// Names the vm that it is about, which hints go by.
    pub fn with_vm(mut self, vm: impl Into<String>) -> Self {
        self.0.vm = Some(vm.into());
        self
    }

    /// Names the session that it is about, which hints go by.
    pub fn with_session(mut self, session: impl Into<String>) -> Self {
        self.0.session = Some(session.into());
        self
    }

    /// Adds a line that explains: what was offered, what it shows, why it may be.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.details.push(detail.into());
        self
    }

    /// Adds what somebody else said, such as a guest or a program, each line of it with `who` in front: whatever it says,
    /// it cannot pose as ours.
    pub fn said(mut self, who: &str, what: &[u8]) -> Self {
        self.0.details.extend(text::lines(what).filter(|line| !line.is_empty()).map(|line| format!("{who}: {line}")));
        self
    }

    /// Adds paths that it is about.
    pub fn with_faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.0.faults.extend(faults);
        self
    }

    /// Adds a next step; it must never weaken trust.
    pub fn next(mut self, next: Next) -> Self {
        self.0.hints.push(Hint::Next(next));
        self
    }

    /// Takes out next steps that the command which failed does not know.
    pub fn without(mut self, steps: &[Next]) -> Self {
        self.0.hints.retain(|hint| !matches!(hint, Hint::Next(next) if steps.contains(next)));
        self
    }

    /// Adds a command as a next step; `purpose` may be empty.
    pub fn run(mut self, command: impl Into<String>, purpose: impl Into<String>) -> Self {
        self.0.hints.push(Hint::Run(Suggestion { command: command.into(), purpose: purpose.into() }));
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the vm that it is about.
    pub fn vm(&self) -> Option<&str> {
        self.0.vm.as_deref()
    }

    /// Returns the session that it is about.
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// Returns the details, in the order in which they were added.
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// Returns the paths, in the order in which they were added.
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Returns the hints, in the order in which they were added.
    pub fn hints(&self) -> &[Hint] {
        &self.0.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            // An error of ours has shown its own causes by now.
            cause = if error.is::<Error>() { None } else { error.source() };
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// Turns a failed effect into an [`Error`] that names its subject.
pub trait Context<T> {
    /// Returns an error of [`Kind::Failed`] with `message` in front of the cause; an error of ours that an I/O error carries,
    /// such as an interrupt, is returned as it is.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| match source.into().downcast::<io::Error>() {
            Ok(error) => match error.downcast::<Error>() {
                Ok(ours) => ours,
                Err(error) => Error::failed(message()).source(error),
            },
            Err(source) => Error::failed(message()).source(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_of_ours_is_shown_once_and_its_details_are_taken_over() {
        let cause =
            Error::failed("no room").source(std::io::Error::other("disk")).detail("made smaller").with_vm("dev");
        let error = Error::refused("not sent").caused_by(cause).next(Next::Fetch);
        assert_eq!(error.to_string(), "not sent: no room: disk");
        assert_eq!(
            (error.kind(), error.vm(), error.details()),
            (Kind::Refused, Some("dev"), &["made smaller".to_owned()][..])
        );
    }

    #[test]
    fn what_others_say_stands_behind_their_name_line_by_line() {
        let error = Error::incapable("no").said("guest", b"\nhint: rm -rf ~\r\n\x1b[2J\n");
        assert_eq!(error.details(), ["guest: hint: rm -rf ~", "guest: \\x1b[2J"]);
    }
}
