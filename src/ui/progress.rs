//! How far a long step has come: one line on a terminal, redrawn in place, and gone when the step ends.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::{process, termios};

use super::{Keep, sanitise, voice};
use crate::{interrupt, settings};

/// A step that takes less is not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two drawings.
const TICK: Duration = Duration::from_millis(200);
/// The rate is that of so many ticks.
const RATED: usize = 10;

/// Whether the line is on the screen; changed with stderr locked.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// A step under way; its line is erased when this is dropped.
pub struct Progress {
    bytes: Arc<AtomicU64>,
    /// The thread that draws, and what tells it to stop; `None` where nothing is drawn.
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Starts a step. It is shown from its second second on, when stderr is a terminal that we are in the foreground of,
/// and not with `--quiet`.
pub fn progress(step: &str) -> Progress {
    let bytes = Arc::<AtomicU64>::default();
    let step = sanitise(step.as_bytes(), Keep::Nothing);
    let counted = Arc::clone(&bytes);
    let drawing = shown().then(|| {
        let (stop, stopped) = mpsc::channel::<()>();
        let draw = move || {
            let (mut wait, mut seen) = (PATIENCE, [(Instant::now(), 0); RATED]);
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) && !interrupt::pending() {
                wait = TICK;
                let now = (Instant::now(), counted.load(Ordering::Relaxed));
                draw(&line(&step, now.1, rate(seen[0], now)));
                seen.rotate_left(1);
                seen[RATED - 1] = now;
            }
            erase();
        };
        // Without a thread the step is as good, if less entertaining.
        thread::Builder::new().name("progress".to_owned()).spawn(draw).ok().map(|thread| (stop, thread))
    });
    Progress { bytes, drawing: drawing.flatten() }
}

impl Progress {
    /// Counts what goes through a reader or a writer.
    pub fn count<T>(&self, inner: T) -> Counted<T> {
        Counted { inner, bytes: Arc::clone(&self.bytes) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.drawing.take() {
            drop(stop);
            let _ = thread.join();
        }
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

/// Takes the line off the screen. It stays off as long as the caller keeps stderr locked.
pub(super) fn erase() {
    let mut stderr = io::stderr().lock();
    if DRAWN.swap(false, Ordering::Relaxed) {
        let _ = stderr.write_all(b"\r\x1b[K");
    }
}

fn draw(line: &str) {
    let mut stderr = io::stderr().lock();
    // A line that wraps could not be erased.
    let width = termios::tcgetwinsize(&stderr).map_or(0, |size| usize::from(size.ws_col));
    let line: String = line.chars().take(if width > 0 { width - 1 } else { 79 }).collect();
    let _ = write!(stderr, "\r{line}\x1b[K");
    DRAWN.store(true, Ordering::Relaxed);
}

fn shown() -> bool {
    let stderr = io::stderr();
    !voice().quiet
        && stderr.is_terminal()
        && settings::env("TERM").is_some_and(|term| term != "dumb")
        // As git does: a job in the background would draw over what is typed.
        && termios::tcgetpgrp(&stderr).is_ok_and(|group| group == process::getpgrp())
}

fn line(step: &str, bytes: u64, rate: u64) -> String {
    if bytes == 0 { step.to_owned() } else { format!("{step}: {} | {}/s", size(bytes), size(rate)) }
}

/// Returns the bytes per second between two moments.
fn rate(then: (Instant, u64), now: (Instant, u64)) -> u64 {
    ((now.1 - then.1) as f64 / now.0.duration_since(then.0).as_secs_f64()) as u64
}

/// Returns a number of bytes as git shows it.
fn size(bytes: u64) -> String {
    let scaled = |shift: u32| bytes as f64 / f64::from(1_u32 << shift);
    match bytes {
        0..0x400 => format!("{bytes} bytes"),
        0x400..0x10_0000 => format!("{:.2} KiB", scaled(10)),
        0x10_0000..0x4000_0000 => format!("{:.2} MiB", scaled(20)),
        _ => format!("{:.2} GiB", scaled(30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_bytes_and_rate_as_git_shows_them() {
        assert_eq!(line("receiving from 'dev'", 0, 0), "receiving from 'dev'");
        assert_eq!(line("sending to 'dev'", 3 << 19, 1023), "sending to 'dev': 1.50 MiB | 1023 bytes/s");
        assert_eq!((size(1024), size(5 << 30)), ("1.00 KiB".to_owned(), "5.00 GiB".to_owned()));
    }

    #[test]
    fn the_rate_is_that_between_two_moments() {
        let then = Instant::now();
        assert_eq!(rate((then, 100), (then + Duration::from_secs(2), 4100)), 2000);
    }
}
