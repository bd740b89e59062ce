//! Spawns children on the host; nothing else may.
//!
//! Every child is found on PATH once, runs with the environment it is given here, and fails with its stderr in the
//! error. Which flags a program gets is its caller's business.

#![expect(clippy::disallowed_methods, reason = "the one place that spawns")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::interrupt;
use crate::settings;
use crate::ui::{self, Keep};

/// A child to run: program, arguments, environment, input.
#[derive(Debug)]
pub struct Call {
    program: &'static str,
    fixed: Vec<OsString>,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    set: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    input: Input,
    apart: bool,
}

#[derive(Debug)]
enum Input {
    Null,
    Bytes(Vec<u8>),
    File(File),
}

/// What a child said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of stdout; empty where it went to a file.
    pub stdout: Vec<u8>,
    /// All of stderr.
    pub stderr: Vec<u8>,
}

impl Call {
    /// Starts the description of a call of `program`, which is looked up on PATH.
    pub fn new(program: &'static str) -> Self {
        Call {
            program,
            fixed: Vec::new(),
            args: Vec::new(),
            dir: None,
            set: Vec::new(),
            unset: Vec::new(),
            input: Input::Null,
            apart: false,
        }
    }

    /// Adds arguments that every call of the program has: they come first, and only `-vv` shows them.
    pub fn fixed<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.fixed.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs the child in `dir`.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets a variable for the child.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.set.push((name.into(), value.into()));
        self
    }

    /// Hides a variable from the child.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.unset.push(name.into());
        self
    }

    /// Feeds the child these bytes; without input its stdin is empty.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Feeds the child a file, from where it stands.
    pub fn input_file(mut self, file: File) -> Self {
        self.input = Input::File(file);
        self
    }

    /// Keeps the terminal's Ctrl-C from the child: what it does may not stop half-way.
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Runs the child to its end, whatever its exit status.
    ///
    /// # Errors
    /// When the program is not on PATH or cannot be started.
    pub fn run(self) -> Result<Output> {
        self.spawn(None)
    }

    /// Runs the child to its end with stdout going into `file`, whatever its exit status.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub fn run_into(self, file: File) -> Result<Output> {
        self.spawn(Some(file))
    }

    /// Runs the child and returns its stdout.
    ///
    /// # Errors
    /// As [`Call::run`]; and when the child fails, with its stderr.
    pub fn stdout(self) -> Result<Vec<u8>> {
        let shown = self.shown();
        self.run()?.success(&shown)
    }

    /// Returns the call as a user might type it, for messages.
    pub fn shown(&self) -> String {
        self.shown_with(&[])
    }

    fn shown_with(&self, fixed: &[OsString]) -> String {
        let mut text = self.program.to_owned();
        for arg in fixed.iter().chain(&self.args) {
            text.push(' ');
            text.push_str(&quoted(arg));
        }
        text
    }

    fn spawn(self, stdout: Option<File>) -> Result<Output> {
        ui::trace(&self.shown_with(if ui::tracing_all() { &self.fixed } else { &[] }));
        let program = find(self.program)?;
        let mut call = duct::cmd(program, self.fixed.iter().chain(&self.args)).unchecked().stderr_capture();
        call = match stdout {
            Some(file) => call.stdout_file(file),
            None => call.stdout_capture(),
        };
        call = match self.input {
            Input::Null => call.stdin_null(),
            Input::Bytes(bytes) => call.stdin_bytes(bytes),
            Input::File(file) => call.stdin_file(file),
        };
        if let Some(dir) = self.dir {
            call = call.dir(dir);
        }
        if self.apart {
            call = call.before_spawn(|command| {
                command.process_group(0);
                Ok(())
            });
        }
        // duct applies the last of these first: what is set here wins over what is hidden, and the later over the earlier.
        for (name, value) in self.set.into_iter().rev() {
            call = call.env(name, value);
        }
        for name in self.unset {
            call = call.env_remove(name);
        }
        let output =
            call.run().map_err(|error| Error::refused(format!("cannot run '{}'", self.program)).source(error))?;
        // The terminal sends Ctrl-C to the child as well; that it died of it is no failure of its own.
        if output.status.code().is_none() && interrupt::pending() {
            return Err(Error::interrupted());
        }
        Ok(Output { code: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }
}

impl Output {
    /// Returns stdout.
    ///
    /// # Errors
    /// When the child failed: `what` failed, with its exit status and its stderr.
    pub fn success(self, what: &str) -> Result<Vec<u8>> {
        match self.code {
            Some(0) => Ok(self.stdout),
            _ => Err(self.failure(what)),
        }
    }

    /// Returns the error for a child that failed.
    pub fn failure(&self, what: &str) -> Error {
        let how = match self.code {
            Some(code) => format!("exit {code}"),
            None => "killed by a signal".to_owned(),
        };
        Error::refused(format!("{what} failed ({how}): {}", self.said()))
    }

    /// Returns what the child said on stderr, made harmless, without git's `fatal: `.
    pub fn said(&self) -> String {
        let said = ui::sanitise(self.stderr.trim_ascii(), Keep::Lines);
        said.strip_prefix("fatal: ").or(said.strip_prefix("error: ")).unwrap_or(&said).to_owned()
    }
}

/// A child that talks over one socket, as an SSH ProxyCommand does; ends, with what it started, when this is dropped.
pub struct Peer(std::process::Child);

impl Peer {
    /// Starts a command of the user's shell; its stderr is ours.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &str) -> Result<(Peer, UnixStream)> {
        let shell = settings::env("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let start = || {
            let (ours, theirs) = UnixStream::pair()?;
            let child = std::process::Command::new(shell)
                .arg("-c")
                .arg(format!("exec {command}"))
                .stdin(OwnedFd::from(theirs.try_clone()?))
                .stdout(OwnedFd::from(theirs))
                // Ctrl-C on the terminal is for us: what still is to be said goes through this child.
                .process_group(0)
                .spawn()?;
            Ok::<_, std::io::Error>((Peer(child), ours))
        };
        start().map_err(|error| Error::refused(format!("cannot run '{command}'")).source(error))
    }

    /// Returns how it ended; `None` when it still runs after that time.
    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.0.try_wait() {
                Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(5)),
                ended => return ended.ok().flatten(),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        for (limit, signal) in [(0, rustix::process::Signal::TERM), (500, rustix::process::Signal::KILL)] {
            if self.ended_within(Duration::from_millis(limit)).is_none() {
                let _ = rustix::process::kill_process_group(group, signal);
            }
        }
        let _ = self.0.wait();
    }
}

/// Returns where `program` is on PATH.
///
/// # Errors
/// When it is not there.
pub fn find(program: &str) -> Result<PathBuf> {
    which::which(program).map_err(|_| {
        Error::refused(format!("'{program}' is not on PATH")).hint(format!("install it: apt install {program}"))
    })
}

/// Returns an argument as a shell takes it, made harmless.
pub fn quoted(arg: &OsStr) -> String {
    let text = ui::sanitise(Path::new(arg).as_os_str().as_encoded_bytes(), Keep::Nothing);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%^{}".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
