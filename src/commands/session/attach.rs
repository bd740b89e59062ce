//! `git banger session attach`

use std::io::{self, BufRead};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use super::{connect, described};
use crate::cli::{SessionAttach, StartAt};
use crate::commands::App;
use crate::environment::env;
use crate::error::{Context, Error, Kind, Result};
use crate::guest::Guest;
use crate::guest::session::{At, Delivery, Ended, Message, Piece, Target, Watch};
use crate::text::{Keep, sanitise};
use crate::ui::To;

/// Most bytes of queued input to send as one message.
const BATCH: usize = 1 << 20;
/// How many lines of input wait here, and how many pieces of output; the rest waits in stdin, and in the guest.
const LINES: usize = 1024;
const PIECES: usize = 16;
/// How long a session that reads nothing may hold a line up, in seconds.
const PATIENCE: u32 = 30;

enum Event {
    Piece(Piece),
    /// No more output comes.
    Ended(Result<Option<Ended>>),
    /// A line could not be delivered.
    Undelivered(Error),
    /// All input was delivered, and no more comes.
    Left,
}

/// Shows both logs of a session as they grow, and sends it what comes on stdin.
///
/// # Errors
/// When the session is not there, another is attached or takes over, or the connection is lost.
pub fn run(args: &SessionAttach, app: &App) -> Result<ExitCode> {
    // The threads that read and send have it too; they end with the process, for reading a terminal cannot be ended.
    let guest = Arc::new(connect(app, &args.vm, &args.session)?);
    let (events, coming) = mpsc::sync_channel(PIECES);
    watch(args, Arc::clone(&guest), events.clone())?;
    let (mut attached, mut code) = (false, ExitCode::SUCCESS);
    for event in &coming {
        match event {
            Event::Piece(Piece::Open) => {
                attached = true;
                app.ui().status(&format!(
                    "attached to session '{}'; an interrupt or the end of input leaves it",
                    args.session
                ));
                feed(args.session.clone(), Arc::clone(&guest), events.clone())?;
            }
            Event::Piece(Piece::Out(bytes)) => match app.ui().pass_on(&bytes, To::Stdout) {
                Err(error) if error.kind() != Kind::Interrupted => return Err(error),
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            },
            Event::Piece(Piece::Err(bytes)) => match app.ui().pass_on(&bytes, To::Stderr) {
                Err(error) if error.kind() != Kind::Interrupted => return Err(error),
                Ok(_) => {}
                Err(_) => break,
            },
            Event::Undelivered(error) => code = app.voice.fail(&error),
            Event::Ended(Ok(Some(ended))) => {
                app.ui().status(&described(&args.session, ended));
                return Ok(code);
            }
            Event::Ended(Err(error)) if error.kind() != Kind::Interrupted => return Err(error),
            Event::Left | Event::Ended(_) => break,
        }
    }
    if !attached {
        return Err(Error::interrupted());
    }
    // What could not be delivered until now is said, too.
    for event in coming.try_iter() {
        if let Event::Undelivered(error) = event {
            code = app.voice.fail(&error);
        }
    }
    app.ui().status(&format!("left session '{}', which runs on", args.session));
    Ok(code)
}

/// Starts to read the logs.
fn watch(args: &SessionAttach, guest: Arc<Guest>, events: SyncSender<Event>) -> Result<()> {
    let (out, err) = match args.from {
        StartAt::Start => (At::Offset(0), At::Offset(0)),
        StartAt::Now => (At::Now, At::Now),
        StartAt::Offset(offset) => (At::Offset(offset), At::Now),
    };
    let (name, steal) = (args.session.clone(), args.steal);
    let user = env("USER").map(|user| sanitise(user.as_encoded_bytes(), Keep::Nothing));
    spawn("session output", move || {
        let user = user.as_deref().unwrap_or("someone");
        let watch = Watch { name: &name, out, err, follow: true, attach: Some(user), steal };
        let ended = guest.watch(&watch, |piece| Ok(events.send(Event::Piece(piece)).is_ok()));
        let _ = events.send(Event::Ended(ended));
    })
}

/// Starts to send what comes on stdin.
fn feed(name: String, guest: Arc<Guest>, events: SyncSender<Event>) -> Result<()> {
    let (lines, waiting) = mpsc::sync_channel(LINES);
    spawn("session input", move || {
        let mut stdin = io::stdin().lock();
        let mut line = Vec::new();
        while stdin.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if lines.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    })?;
    spawn("session messages", move || {
        while let Some(batch) = next_batch(&waiting) {
            if let Err(error) = deliver(&guest, &name, &batch) {
                let _ = events.send(Event::Undelivered(error));
            }
        }
        let _ = events.send(Event::Left);
    })
}

/// Waits for a line, and takes those that wait behind it; `None` at the end of input.
fn next_batch(waiting: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
    let mut batch = waiting.recv().ok()?;
    while batch.len() < BATCH
        && let Ok(line) = waiting.try_recv()
    {
        batch.extend(line);
    }
    Some(batch)
}

fn deliver(guest: &Guest, name: &str, batch: &[u8]) -> Result<()> {
    let message = Message::build(|to| to.write_all(batch).context(|| "cannot keep a line".to_owned()))?;
    let delivery = Delivery { timeout: PATIENCE, eof: false, key: None };
    guest.send(Target::Session(name), message, delivery).map(drop)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).context(|| "cannot start a thread".to_owned())
}
