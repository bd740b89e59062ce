//! What the rooms below `commands/` are given to report with: progress, questions, and what happens beside the work.
//!
//! They say what happened, never in which words it is told: whoever gave them the reporter does that.

use std::any::Any;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;

/// Takes what a room has to report while it works.
pub trait Reporter: Debug + Send + Sync {
    /// A call that is about to be made, and the same with what all calls of the program have in common.
    fn call(&self, shown: &str, whole: &str);

    /// Something that only a user who looks for a fault wants to know.
    fn trace(&self, what: &str);

    /// A step that may take a while; it ends when what is returned is dropped.
    fn step(&self, step: Step<'_>) -> Progress;

    /// Something that the user must know, and that does not stop the work.
    fn notice(&self, notice: Notice);

    /// Returns a question as a user is asked it; for a program that asks in our place.
    fn prompt(&self, question: Question<'_>) -> String;

    /// Asks the user, and returns the line typed, or `None` where there is no terminal to ask on.
    ///
    /// # Errors
    /// When the terminal cannot be read or written, or the user interrupts.
    fn ask(&self, question: Question<'_>) -> Result<Option<String>>;
}

/// A reporter that tells nobody, and finds nobody to ask.
#[cfg(test)]
#[derive(Debug)]
pub struct Silent;

#[cfg(test)]
impl Reporter for Silent {
    fn call(&self, _shown: &str, _whole: &str) {}

    fn trace(&self, _what: &str) {}

    fn step(&self, _step: Step<'_>) -> Progress {
        Progress::new(Arc::default(), None)
    }

    fn notice(&self, _notice: Notice) {}

    fn prompt(&self, _question: Question<'_>) -> String {
        String::new()
    }

    fn ask(&self, _question: Question<'_>) -> Result<Option<String>> {
        Ok(None)
    }
}

/// A step under way.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The vm's work comes.
    Receiving(&'a str),
    /// The repository goes to the vm.
    Sending(&'a str),
}

/// What happened beside the work.
#[derive(Debug)]
pub enum Notice {
    /// What an SSH server says before the login.
    Banner {
        /// The host, for messages.
        host: String,
        /// The bytes, as they came.
        text: Vec<u8>,
    },
    /// A host key is trusted from now on.
    HostKeyAdded {
        /// The host.
        host: String,
        /// The known_hosts file.
        file: PathBuf,
        /// The key's kind and fingerprint.
        key: String,
    },
    /// A host key is trusted for this run alone.
    HostKeyNotAdded {
        /// The known_hosts file.
        file: PathBuf,
        /// Why it could not be written.
        why: String,
    },
    /// A host shows another key than the one that is known, and ssh_config says not to care.
    HostKeyChanged {
        /// The host.
        host: String,
        /// The key's kind and fingerprint.
        key: String,
        /// The known_hosts file, and the number of the line with the other key.
        known: (PathBuf, usize),
    },
    /// A known_hosts file cannot be read.
    KnownHostsUnreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// ssh_config sets an option that has no effect here.
    OptionIgnored {
        /// The option.
        option: &'static str,
        /// The host that it is set for.
        host: String,
    },
    /// What jj says beside its answer.
    Jj(Vec<u8>),
    /// What git says while it writes files: what filters say.
    Git(Vec<u8>),
    /// Another landing is under way, and this one waits for it.
    Waiting {
        /// What the other is.
        other: String,
    },
}

/// A question to the user.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// Whether to trust a host key: yes, no, or its fingerprint.
    TrustHostKey {
        /// The host, for messages.
        host: &'a str,
        /// The key's kind and fingerprint.
        key: &'a str,
        /// The answer before was none of these.
        again: bool,
    },
    /// The passphrase of a private key; what is typed is not shown.
    Passphrase {
        /// The key's file.
        file: &'a str,
        /// The one before was wrong.
        again: bool,
    },
}

/// A step under way, whose bytes are counted; it ends when this is dropped.
pub struct Progress {
    bytes: Arc<AtomicU64>,
    _shown: Option<Box<dyn Any + Send>>,
}

impl Progress {
    /// Makes one that counts in `bytes`, and is shown as long as `shown` lives.
    pub fn new(bytes: Arc<AtomicU64>, shown: Option<Box<dyn Any + Send>>) -> Progress {
        Progress { bytes, _shown: shown }
    }

    /// Counts what goes through a reader or a writer.
    pub fn count<T>(&self, inner: T) -> Counted<T> {
        Counted { inner, bytes: Arc::clone(&self.bytes) }
    }
}

/// A reader or a writer whose bytes are counted.
pub struct Counted<T> {
    inner: T,
    bytes: Arc<AtomicU64>,
}

impl<T> Counted<T> {
    fn add(&self, length: usize) -> usize {
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        length
    }
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map(|length| self.add(length))
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.inner.write(buffer).map(|length| self.add(length))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
