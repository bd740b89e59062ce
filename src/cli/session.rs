//! The command line of sessions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Write a message into a session's stdin
///
/// The message is uploaded and checked whole before the first byte of it is written. Needs no attach, and disturbs none.
/// Exits with 0 when it was delivered, 1 when nothing was written, and 6 when it is not known or only a part went in.
#[derive(Args, Debug)]
pub struct Send {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// The session
    #[arg(required_unless_present = "fifo", conflicts_with = "fifo")]
    pub session: Option<String>,
    /// Send TEXT and a newline (default: what comes on stdin, as it is)
    #[arg(short, long, value_name = "TEXT", group = "source")]
    pub message: Option<String>,
    /// Send what FILE holds, as it is
    #[arg(long, value_name = "FILE", group = "source")]
    pub file: Option<PathBuf>,
    /// Add no newline to TEXT
    #[arg(long, requires = "message")]
    pub no_newline: bool,
    /// Check that each line is JSON, and add a missing last newline
    #[arg(long)]
    pub jsonl: bool,
    /// Close the session's stdin after the message
    #[arg(long, conflicts_with = "fifo")]
    pub eof: bool,
    /// Deliver messages with the same KEY once
    #[arg(long, value_name = "KEY")]
    pub id: Option<String>,
    /// Give up after SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub timeout: u32,
    /// Write into the FIFO at PATH in the guest, which another tool made
    #[arg(long, value_name = "PATH")]
    pub fifo: Option<String>,
    /// Describe the delivery as JSON
    #[arg(long)]
    pub json: bool,
}

/// Run processes in a guest that stay when the connection goes
#[derive(Debug, Subcommand)]
pub enum Session {
    Start(SessionStart),
    #[command(visible_alias = "status")]
    List(SessionList),
    Attach(SessionAttach),
    Logs(SessionLogs),
    Wait(SessionWait),
    Stop(SessionStop),
    Remove(SessionRemove),
}

/// Start a session
///
/// The command runs without a shell, in the workspace, with the environment of an SSH command; its output goes to logs
/// in the guest.
#[derive(Args, Debug)]
pub struct SessionStart {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// A name for the session: letters, digits, '.', '_' and '-'
    pub session: String,
    /// Start in DIR, as seen from the workspace
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Set a variable for the command; may be given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// What the command reads: a pipe that 'send' and 'attach' write to, or nothing
    #[arg(long, value_name = "KIND", value_enum, default_value = "pipe")]
    pub stdin: Stdin,
    /// Take the place of a session of this name that has ended
    #[arg(long)]
    pub replace: bool,
    /// Describe the session as JSON
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// What a session's process has as its stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stdin {
    Pipe,
    Closed,
}

/// List sessions, and how they are
#[derive(Args, Debug)]
pub struct SessionList {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// Only this session
    pub session: Option<String>,
    /// Describe them as JSON
    #[arg(long)]
    pub json: bool,
}

/// Watch a session and write to it, alone
///
/// Shows both logs as they grow, and sends what comes on stdin, line by line. An interrupt or the end of input leaves;
/// the session runs on.
#[derive(Args, Debug)]
pub struct SessionAttach {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// The session
    pub session: String,
    /// Begin at 'start', 'now', or an offset in its stdout
    #[arg(long, value_name = "WHERE", default_value = "now", value_parser = StartAt::parse)]
    pub from: StartAt,
    /// Take over from another who is attached
    #[arg(long)]
    pub steal: bool,
}

/// Where to begin in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    Start,
    Now,
    Offset(u64),
}

impl StartAt {
    fn parse(text: &str) -> Result<StartAt, String> {
        match text {
            "start" => Ok(StartAt::Start),
            "now" => Ok(StartAt::Now),
            offset => {
                offset.parse().map(StartAt::Offset).map_err(|_| "neither 'start', 'now' nor an offset".to_owned())
            }
        }
    }
}

/// Print a session's stdout
#[derive(Args, Debug)]
pub struct SessionLogs {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// The session
    pub session: String,
    /// Go on as the log grows, until the session ends
    #[arg(short, long)]
    pub follow: bool,
    /// Its stderr instead
    #[arg(long)]
    pub stderr: bool,
    /// Begin at this byte
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    pub since: u64,
    /// Print each line as JSON, with the offset after it
    #[arg(long)]
    pub json: bool,
}

/// Wait for the end of a session, and exit with its status
#[derive(Args, Debug)]
pub struct SessionWait {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// The session
    pub session: String,
    /// Give up after SECONDS
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Describe the end as JSON
    #[arg(long)]
    pub json: bool,
}

/// End a session, with all processes of its group
#[derive(Args, Debug)]
pub struct SessionStop {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// The session
    pub session: String,
    /// Send this signal first
    #[arg(long, value_name = "NAME", default_value = "TERM")]
    pub signal: String,
    /// Kill what has not ended after SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=86400))]
    pub grace: u32,
    /// Describe the end as JSON
    #[arg(long)]
    pub json: bool,
}

/// Remove a session that has ended: its logs and its status
#[derive(Args, Debug)]
pub struct SessionRemove {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// The session
    pub session: String,
    /// Describe what was done as JSON
    #[arg(long)]
    pub json: bool,
}

impl Session {
    /// Tells whether the result, and a failure, is to be JSON.
    pub fn json(&self) -> bool {
        match self {
            Session::Start(args) => args.json,
            Session::List(args) => args.json,
            Session::Attach(_) => false,
            Session::Logs(args) => args.json,
            Session::Wait(args) => args.json,
            Session::Stop(args) => args.json,
            Session::Remove(args) => args.json,
        }
    }
}
