//! Spawns children on the host; nothing else may.
//!
//! Every child is found on PATH once, runs with the environment it is given here, and fails with its stderr in the
//! error. Which flags a program gets is its caller's business.

#![expect(clippy::disallowed_methods, reason = "the one place that spawns")]

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use duct::unix::HandleExt;
use rustix::process::Signal;

use crate::environment::env;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::reporter::Reporter;
use crate::text::{self, Keep, shell_word};

/// How long a child that is told to stop has to clean up after itself, before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A child to run: program, arguments, environment, input.
#[derive(Debug)]
pub struct Call {
    reporter: Arc<dyn Reporter>,
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
    pub fn new(program: &'static str, reporter: &Arc<dyn Reporter>) -> Self {
        Call {
            reporter: Arc::clone(reporter),
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

    /// Keeps every interrupt from the child: what it does may not stop half-way.
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

    /// Runs the child to its end on the terminal: stdin, stdout and stderr are ours, and Ctrl-C is for it to judge, as a pager
    /// does. Returns its exit status; `None` when a signal ended it.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub fn run_attached(self) -> Result<Option<i32>> {
        self.reporter.call(&self.shown(), &self.shown_with(&self.fixed));
        let mut call = duct::cmd(find(self.program)?, self.fixed.iter().chain(&self.args)).unchecked();
        if let Some(dir) = self.dir {
            call = call.dir(dir);
        }
        for (name, value) in self.set.into_iter().rev() {
            call = call.env(name, value);
        }
        for name in self.unset {
            call = call.env_remove(name);
        }
        let failed = |error| Error::failed(format!("cannot run '{}'", self.program)).source(error);
        Ok(call.run().map_err(failed)?.status.code())
    }

    /// Runs the child and returns its stdout.
    ///
    /// # Errors
    /// As [`Call::run`]; and if the child fails, with its stderr.
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
            text.push_str(&shell_word(arg));
        }
        text
    }

    /// Starts the child for questions, one after the other. No interrupt of the terminal's reaches it.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub fn converse(self) -> Result<Dialogue> {
        let (program, shown) = (self.program, self.shown());
        let failed = |error| Error::failed(format!("cannot run '{program}'")).source(error);
        let (input, questions) = io::pipe().map_err(failed)?;
        let (answers, output) = io::pipe().map_err(failed)?;
        let call = self.apart().expression()?.stdin_file(input).stdout_file(output);
        let child = call.start().map_err(failed)?;
        // The expression holds the child's ends of the pipes.
        drop(call);
        let answers = BufReader::with_capacity(64 << 10, interrupt::Reader(answers));
        Ok(Dialogue { child, shown, questions: Some(questions), answers })
    }

    fn spawn(mut self, stdout: Option<File>) -> Result<Output> {
        let (program, apart) = (self.program, self.apart || interrupt::shielded());
        let input = std::mem::replace(&mut self.input, Input::Null);
        self.apart = apart;
        let mut call = self.expression()?;
        call = match stdout {
            Some(file) => call.stdout_file(file),
            None => call.stdout_capture(),
        };
        call = match input {
            Input::Null => call.stdin_null(),
            Input::Bytes(bytes) => call.stdin_bytes(bytes),
            Input::File(file) => call.stdin_file(file),
        };
        let failed = |error| Error::failed(format!("cannot run '{program}'")).source(error);
        let child = call.start().map_err(failed)?;
        let output = if apart { child.into_output().map_err(failed)? } else { outlast(child).map_err(failed)?? };
        Ok(Output { code: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }

    /// Tells of the call, and returns it but for stdin and stdout.
    fn expression(self) -> Result<duct::Expression> {
        self.reporter.call(&self.shown(), &self.shown_with(&self.fixed));
        let mut call = duct::cmd(find(self.program)?, self.fixed.iter().chain(&self.args)).unchecked().stderr_capture();
        if let Some(dir) = self.dir {
            call = call.dir(dir);
        }
        if self.apart {
            // The terminal sends Ctrl-C to a whole process group.
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
        Ok(call)
    }
}

/// A child that answers questions until this is dropped.
#[derive(Debug)]
pub struct Dialogue {
    child: duct::Handle,
    shown: String,
    questions: Option<PipeWriter>,
    answers: BufReader<interrupt::Reader<PipeReader>>,
}

impl Dialogue {
    /// Writes questions, all of which the child must read before it answers; has `read` read the answers.
    ///
    /// # Errors
    /// When the child has ended, with its stderr; and those of `read`.
    pub fn ask<T>(&mut self, questions: &[u8], read: impl FnOnce(&mut dyn BufRead) -> io::Result<T>) -> Result<T> {
        let pipe = self.questions.as_ref().map(AsFd::as_fd);
        let asked = pipe.map_or(Ok(false), |pipe| interrupt::write(pipe, questions));
        let answer = match asked {
            Ok(true) => read(&mut self.answers),
            Ok(false) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        };
        answer.map_err(|error| {
            interrupt::check().err().unwrap_or_else(|| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.end(),
                _ => Error::failed(format!("cannot read what '{}' prints", self.shown)).source(error),
            })
        })
    }

    /// Returns the error for a child that has ended too early.
    fn end(&mut self) -> Error {
        self.questions = None;
        let output = self.child.wait().cloned();
        let code = output.as_ref().ok().and_then(|output| output.status.code());
        let stderr = output.map(|output| output.stderr).unwrap_or_default();
        Output { code, stdout: Vec::new(), stderr }.failure(&self.shown)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.questions = None;
        // It may be in the middle of an answer that nobody wants.
        let _ = self.child.kill();
    }
}

/// Waits for a child, and stops it if the user interrupts: the signal may have been sent to this process alone.
fn outlast(child: duct::Handle) -> std::io::Result<Result<std::process::Output>> {
    while child.wait_timeout(interrupt::GLANCE)?.is_none() {
        if interrupt::pending() {
            child.send_signal(Signal::TERM.as_raw())?;
            if child.wait_timeout(GRACE)?.is_none() {
                child.kill()?;
            }
            return Ok(Err(Error::interrupted()));
        }
    }
    let output = child.into_output()?;
    // The terminal's Ctrl-C reaches the child as well, maybe first: that it died of it is no failure of its own.
    if output.status.code().is_none() {
        std::thread::sleep(interrupt::GLANCE);
    }
    Ok(interrupt::check().map(|()| output))
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
        let program = what.split(' ').next().unwrap_or(what);
        let (first, rest) = self.said();
        let error = Error::failed(if first.is_empty() {
            format!("{what} failed ({how})")
        } else {
            format!("{what} failed ({how}): {first}")
        });
        error.said(program, rest)
    }

    /// Returns the first line that the child wrote to stderr, made harmless and without git's `fatal: `; and the rest.
    pub fn said(&self) -> (String, &[u8]) {
        let said = self.stderr.trim_ascii();
        let (first, rest) = said.split_at(said.iter().position(|&byte| byte == b'\n').unwrap_or(said.len()));
        let first = text::sanitise(first.trim_ascii_end(), Keep::Nothing);
        let bare = first.strip_prefix("fatal: ").or(first.strip_prefix("error: ")).unwrap_or(&first);
        (bare.to_owned(), rest)
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
        let shell = env("SHELL").unwrap_or_else(|| "/bin/sh".into());
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
        start().map_err(|error| Error::failed(format!("cannot run {}", text::path(command.as_bytes()))).source(error))
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
        for (limit, signal) in [(0, Signal::TERM), (500, Signal::KILL)] {
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
/// [`Kind::Failed`](crate::error::Kind::Failed) if it is not there.
pub fn find(program: &str) -> Result<PathBuf> {
    which::which(program).map_err(|_| Error::failed(format!("'{program}' is not on PATH")))
}
