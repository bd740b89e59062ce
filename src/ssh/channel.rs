//! One call in the guest: its stdin fed, both its outputs kept apart, an exit status demanded.
//!
//! A task takes whatever comes as it comes, so that a slow reader never holds up the connection; [`Running`] is the
//! blocking face of it. stdin stays open until the call has ended: that is how the guest knows that it is still wanted.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::{Session, interrupted};
use super::handler::reason;
use super::spool::Spool;
use crate::error::{Error, Result};

/// How long the guest has to clean up after itself, once it is told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long stdout may be silent after the exit status: a process left behind in the guest may hold it open for ever.
const LINGER: Duration = Duration::from_secs(1);
/// Of stderr, in bytes; its end tells most.
const STDERR: usize = 64 << 10;
/// Read from a payload at a time, in bytes.
const PIECE: usize = 128 << 10;

/// One call in the guest.
pub struct Call {
    /// What the login shell is given; one line without backslash, newline, `!` or inner quotes that a shell might rewrite.
    pub command: String,
    /// Sent first on stdin.
    pub script: Vec<u8>,
    /// Sent after the script; stdin stays open after it, until the answer is complete.
    pub payload: Option<Box<dyn Read + Send>>,
}

/// How a call ended.
pub struct Exit {
    /// The exit status.
    pub status: u32,
    /// What it wrote to stderr; the end of it, when that was long.
    pub stderr: Vec<u8>,
}

/// A call that runs; reading it yields its stdout.
///
/// Dropping it ends it, as [`cancel`](Running::cancel) does, but without waiting.
pub struct Running {
    shared: Arc<Shared>,
    piece: Bytes,
    /// Dropped to tell the task to stop.
    wanted: Option<oneshot::Sender<()>>,
}

struct Shared {
    /// The guest's name, for messages.
    name: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stdout: Spool,
    received: u64,
    stderr: Vec<u8>,
    /// No more stdout comes.
    eof: bool,
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    Exit(u32),
    Signal(String),
    NoStatus,
    Refused,
    Lost(String),
    Interrupted,
    Payload(String),
    Spool(String),
}

/// Starts a call.
///
/// # Errors
/// When the guest opens no session, or the connection is lost.
pub async fn start(session: Arc<Session>, runtime: &Handle, call: Call) -> Result<Running> {
    let refused = |error: russh::Error| {
        let why = session.lost().unwrap_or_else(|| reason(&error));
        Error::unreachable(format!("guest '{}' does not run a command: {why}", session.name()))
    };
    let channel = session.handle().channel_open_session().await.map_err(refused)?;
    channel.exec(true, call.command).await.map_err(refused)?;
    let (events, stdin) = channel.split();
    let stdin = Arc::new(stdin);
    let (feeding, fed) = oneshot::channel();
    let (enough, stop) = oneshot::channel();
    let input = Cursor::new(call.script).chain(call.payload.unwrap_or_else(|| Box::new(io::empty())));
    let feeder = Feeder { stdin: Arc::clone(&stdin), stop, runtime: runtime.clone() };
    thread::Builder::new()
        .name("ssh stdin".to_owned())
        .spawn(move || {
            // Nobody listens any more when the call has ended.
            let _ = feeding.send(feeder.feed(input));
        })
        .map_err(|error| Error::failed("cannot start a thread").source(error))?;
    let shared = Arc::new(Shared { name: session.name().to_owned(), state: Mutex::default(), changed: Condvar::new() });
    let (wanted, unwanted) = oneshot::channel();
    let follower = Follower { session, events, stdin, shared: Arc::clone(&shared), status: None, signal: None };
    runtime.spawn(follower.follow(fed, enough, unwanted));
    Ok(Running { shared, piece: Bytes::new(), wanted: Some(wanted) })
}

impl Running {
    /// Ends the call early: the guest sees the end of its input, and has two seconds to clean up.
    pub fn cancel(mut self) {
        self.wanted = None;
        drop(self.shared.wait(|state| state.end.is_some()));
    }

    /// Waits for the end of the call; what it still writes to stdout is lost.
    ///
    /// # Errors
    /// When the connection is lost, the user interrupts, or the call ends without an exit status.
    pub fn finish(self) -> Result<Exit> {
        let mut state = self.shared.wait(|state| state.end.is_some());
        match &state.end {
            Some(End::Exit(status)) => Ok(Exit { status: *status, stderr: std::mem::take(&mut state.stderr) }),
            Some(end) => Err(self.shared.error(end, &state)),
            None => Err(Error::bug("a call has not ended")),
        }
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let mut state = self.shared.state();
            match state.stdout.pop() {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => match &state.end {
                    Some(End::Exit(_)) => return Ok(0),
                    Some(end) => return Err(io::Error::other(self.shared.error(end, &state))),
                    None if state.eof => return Ok(0),
                    None => drop(self.shared.changed.wait(state)),
                },
                Err(error) => return Err(io::Error::other(kept(error.to_string()))),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// Gives back the error that a read of [`Running`] carried.
pub fn into_error(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::failed("cannot read the guest's answer").source(error),
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make bytes wrong that are already here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| !until(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn error(&self, end: &End, state: &State) -> Error {
        let name = &self.name;
        match end {
            End::Exit(status) => Error::bug(format!("exit status {status} is no error")),
            End::Signal(signal) => {
                Error::incapable(format!("the command in guest '{name}' was killed by signal {signal}"))
            }
            End::NoStatus => Error::unreachable(format!("guest '{name}' ended the command without an exit status")),
            End::Refused => Error::unreachable(format!("guest '{name}' refuses to run a command"))
                .detail("its SSH server may allow logins for another purpose only"),
            End::Lost(why) => {
                Error::unreachable(format!("connection to '{name}' lost after {} bytes: {why}", state.received))
            }
            End::Interrupted => Error::interrupted(),
            End::Payload(why) => Error::failed(format!("cannot read what is to be sent: {why}")),
            End::Spool(why) => kept(why.clone()),
        }
    }
}

fn kept(why: String) -> Error {
    Error::failed("cannot keep what the guest sends").source(why)
}

/// Sends a call's input from a thread of its own, for reading it may block.
struct Feeder {
    stdin: Arc<ChannelWriteHalf<Msg>>,
    stop: oneshot::Receiver<()>,
    runtime: Handle,
}

impl Feeder {
    /// Sends all of it, or until the call has ended; leaves stdin open.
    fn feed(mut self, mut input: impl Read) -> io::Result<()> {
        loop {
            let mut piece = vec![0; PIECE];
            let length = match input.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            piece.truncate(length);
            let sent = self.runtime.block_on(async {
                // russh waits for the window, and does not notice that the connection went meanwhile.
                tokio::select! {
                    biased;
                    _ = &mut self.stop => false,
                    sent = self.stdin.data_bytes(piece) => sent.is_ok(),
                }
            });
            if !sent {
                return Ok(());
            }
        }
    }
}

/// Takes what comes on a channel.
struct Follower {
    session: Arc<Session>,
    events: ChannelReadHalf,
    stdin: Arc<ChannelWriteHalf<Msg>>,
    shared: Arc<Shared>,
    status: Option<u32>,
    signal: Option<String>,
}

impl Follower {
    async fn follow(
        mut self,
        fed: oneshot::Receiver<io::Result<()>>,
        enough: oneshot::Sender<()>,
        unwanted: oneshot::Receiver<()>,
    ) {
        let failed = async {
            match fed.await {
                Ok(Err(error)) => error.to_string(),
                _ => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            end = self.listen() => {
                drop(enough);
                end
            }
            why = failed => self.stop(enough, End::Payload(why)).await,
            _ = unwanted => self.stop(enough, End::Interrupted).await,
            () = interrupted() => self.stop(enough, End::Interrupted).await,
        };
        // The connection may be gone, or stay behind for another call.
        let _ = timeout(GRACE, self.stdin.close()).await;
        self.shared.update(|state| state.end = Some(end));
    }

    /// Takes events up to the end of the call.
    async fn listen(&mut self) -> End {
        loop {
            let event = match self.status {
                Some(_) if !self.shared.state().eof => match timeout(LINGER, self.events.wait()).await {
                    Ok(event) => event,
                    Err(_) => {
                        // Nothing is under way any more when a question, asked now, is answered before anything else
                        // comes.
                        self.session.ping().await;
                        match timeout(Duration::ZERO, self.events.wait()).await {
                            Ok(event) => event,
                            Err(_) => break,
                        }
                    }
                },
                _ => self.events.wait().await,
            };
            if let Some(end) = self.take(event) {
                return end;
            }
            if self.status.is_some() && self.shared.state().eof {
                break;
            }
        }
        self.status.map_or(End::NoStatus, End::Exit)
    }

    /// Takes one event; returns the end when it is one.
    fn take(&mut self, event: Option<ChannelMsg>) -> Option<End> {
        match event {
            Some(ChannelMsg::Data { data }) => {
                let mut kept = Ok(());
                self.shared.update(|state| {
                    state.received += data.len() as u64;
                    kept = state.stdout.push(data);
                });
                return kept.err().map(|error| End::Spool(error.to_string()));
            }
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => self.shared.update(|state| {
                state.stderr.extend(&data);
                let excess = state.stderr.len().saturating_sub(STDERR);
                state.stderr.drain(..excess);
            }),
            Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.signal = Some(format!("{signal_name:?}"));
            }
            Some(ChannelMsg::Eof) => self.shared.update(|state| state.eof = true),
            Some(ChannelMsg::Failure) => return Some(End::Refused),
            Some(ChannelMsg::Close) => {
                return Some(match (self.status, self.signal.take()) {
                    (Some(status), _) => End::Exit(status),
                    (None, Some(signal)) => End::Signal(signal),
                    (None, None) => End::NoStatus,
                });
            }
            // A status that has come is no proof that all of stdout has, too.
            None => return Some(End::Lost(self.session.lost().unwrap_or_else(|| "it has ended".to_owned()))),
            Some(_) => {}
        }
        None
    }

    /// Ends the call from this side: end of input, then a while to clean up.
    async fn stop(&mut self, enough: oneshot::Sender<()>, end: End) -> End {
        drop(enough);
        let clean_up = async {
            if self.stdin.eof().await.is_ok() {
                while !matches!(self.events.wait().await, Some(ChannelMsg::Close) | None) {}
            }
        };
        let _ = timeout(GRACE, clean_up).await;
        end
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // The runtime is gone, and this task with it: whoever waits must know.
        self.shared.update(|state| {
            state.end.get_or_insert_with(|| End::Lost("the connection was closed here".to_owned()));
        });
    }
}
