//! Sessions: processes in the guest that stay when the connection goes, and messages to them.
//!
//! Everything the guest says of them is its word alone; nothing here follows it anywhere.

mod answer;
mod message;

use super::Guest;
use super::script;
use super::stream::{Stream, damaged};
use crate::error::{Kind, Result};

use answer::{ended, listed, pieces};
pub use message::{Delivery, Message, Target};

/// What a session is started with.
pub struct Start<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it starts, as seen from the workspace; empty for there.
    pub folder: &'a str,
    /// Variables, as `NAME=value`.
    pub env: &'a [String],
    /// Its stdin is a pipe that others can write to.
    pub piped: bool,
    /// A session of this name that has ended goes.
    pub replace: bool,
    /// The command and its arguments.
    pub command: &'a [String],
}

/// A session that was started.
pub struct Started {
    /// Its process.
    pub pid: u32,
    /// It has a process group of its own, so that `stop` reaches its children too.
    pub grouped: bool,
}

/// How a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its process lives.
    Running,
    /// Its process has ended, with a status.
    Exited,
    /// Neither: the guest was started anew, or the process and what kept its status were killed.
    #[default]
    Gone,
}

/// A session, as it is listed.
#[derive(Debug, Default, serde::Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Its exit status; 128 and the number of the signal that ended it.
    pub status: Option<u8>,
    /// Its process.
    pub pid: Option<u32>,
    /// When it was started, in seconds since the epoch by the guest's clock.
    pub started: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// How much it wrote to stdout.
    pub stdout: u64,
    /// How much it wrote to stderr.
    pub stderr: u64,
    /// `open`, `closed` or `none`.
    pub stdin: String,
    /// Who is attached, and since when.
    pub attached: Option<String>,
    /// Where it was started.
    pub cwd: String,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// How a session ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it is.
    pub state: State,
    /// Its exit status, where it is known.
    pub status: Option<u8>,
}

/// How a session was stopped.
pub struct Stopped {
    /// How it ended.
    pub ended: Ended,
    /// It did not end by itself in time.
    pub killed: bool,
    /// It had ended before.
    pub already: bool,
}

/// Where to begin in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At a byte.
    Offset(u64),
    /// At its end.
    Now,
    /// Leave it out.
    Nowhere,
}

/// Which logs are read, and how.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// The session.
    pub name: &'a str,
    /// Where to begin in its stdout.
    pub out: At,
    /// Where to begin in its stderr.
    pub err: At,
    /// Go on until it ends.
    pub follow: bool,
    /// Attach, under this name.
    pub attach: Option<&'a str>,
    /// Take over from another who is attached.
    pub steal: bool,
}

/// A part of a log.
#[derive(Debug)]
pub enum Piece {
    /// The session is there, and what was asked for begins.
    Open,
    /// From stdout.
    Out(Vec<u8>),
    /// From stderr.
    Err(Vec<u8>),
}

impl Guest {
    /// Starts a session.
    ///
    /// # Errors
    /// When its name is taken, its command cannot start, or the connection is lost.
    pub fn start(&self, start: &Start<'_>) -> Result<Started> {
        let args = script::SESSION_START
            .args()
            .set("name", start.name)
            .set("workspace", &self.vm.path)
            .set("folder", start.folder)
            .flag("piped", start.piped)
            .flag("replace", start.replace)
            .set("runner", script::runner())
            .set("variables", start.env.len().to_string())
            .words(start.env.iter().chain(start.command));
        let answer = self.ask(&args, None)?;
        Ok(Started { pid: answer.number("pid")?, grouped: answer.text("means")? != "nothing" })
    }

    /// Lists the sessions, or tells of one; and says what time it is in the guest.
    ///
    /// # Errors
    /// When the one is not there, or the connection is lost.
    pub fn sessions(&self, name: Option<&str>) -> Result<(Vec<Listed>, u64)> {
        let args = script::SESSION_LIST.args().set("name", name.unwrap_or_default());
        let (running, nonce) = self.exec(&args, None)?;
        self.answer(args.script, running, &nonce, |stream| {
            let now = stream.answer()?.number("now")?;
            let listed = listed(&stream.list()?)?;
            stream.end()?;
            Ok((listed, now))
        })
    }

    /// Waits until a session has ended, or the seconds are over.
    ///
    /// # Errors
    /// When it is not there, or the connection is lost.
    pub fn wait(&self, name: &str, timeout: Option<u32>) -> Result<Ended> {
        let timeout = timeout.map(|timeout| timeout.to_string()).unwrap_or_default();
        ended(&self.ask(&script::SESSION_WAIT.args().set("name", name).set("timeout", timeout), None)?)
    }

    /// Stops a session, gently first.
    ///
    /// # Errors
    /// When it is not there, cannot be stopped, or the connection is lost.
    pub fn stop(&self, name: &str, signal: &str, grace: u32) -> Result<Stopped> {
        let args = script::SESSION_STOP.args().set("name", name).set("signal", signal).set("grace", grace.to_string());
        let answer = self.ask(&args, None)?;
        Ok(Stopped { ended: ended(&answer)?, killed: answer.flag("killed")?, already: answer.text("was")? == "ended" })
    }

    /// Removes a session that has ended.
    ///
    /// # Errors
    /// When it is not there, is running, or the connection is lost.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.ask(&script::SESSION_REMOVE.args().set("name", name), None).map(drop)
    }

    /// Reads logs, and gives `take` each piece as it comes; `None` when `take` wants no more and says false.
    ///
    /// # Errors
    /// When the session is not there, another is attached, or the connection is lost; and those of `take`.
    pub fn watch(&self, watch: &Watch<'_>, mut take: impl FnMut(Piece) -> Result<bool>) -> Result<Option<Ended>> {
        let at = |at| match at {
            At::Offset(offset) => offset.to_string(),
            At::Now => "now".to_owned(),
            At::Nowhere => "none".to_owned(),
        };
        let args = script::SESSION_LOGS
            .args()
            .set("name", watch.name)
            .set("out_from", at(watch.out))
            .set("err_from", at(watch.err))
            .flag("follow", watch.follow)
            .set("who", watch.attach.unwrap_or_default())
            .flag("steal", watch.steal);
        let (running, nonce) = self.exec(&args, None)?;
        let mut stream = Stream::new(running, &nonce);
        let mut enough = false;
        let read = if stream.marker()? { pieces(&mut stream, &mut take, &mut enough) } else { Err(damaged()) };
        let running = stream.into_inner();
        if enough || matches!(&read, Err(error) if error.kind() != Kind::Unverified) {
            running.cancel();
            return read;
        }
        let exit = running.finish()?;
        if exit.status == 0 { read } else { Err(self.verdict(args.script, &exit)) }
    }
}
