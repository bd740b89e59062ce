//! How far a long step has come: one line on a terminal, redrawn in place, and gone when the step ends.

use std::any::Any;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::{process, termios};

use crate::environment::env;
use crate::interrupt;
use crate::reporter::Progress;
use crate::text::{Keep, sanitise};

/// A step that takes less is not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two drawings.
const TICK: Duration = Duration::from_millis(200);
/// The rate is that of so many ticks.
const RATED: usize = 10;

/// The line on the screen. Steps may be under way at the same time: the first that has it keeps it to its end.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Whether the line is there; changed with stderr locked.
    drawn: AtomicBool,
    /// Whether a step has it.
    taken: AtomicBool,
}

/// The thread that draws, and what tells it to stop; its line is erased when this is dropped.
struct Drawing(Option<(Sender<()>, JoinHandle<()>)>);

/// Starts a step. Without a terminal to draw on, or when `quiet`, its bytes are counted all the same.
pub(super) fn start(screen: &Arc<Screen>, step: &str, quiet: bool) -> Progress {
    let bytes = Arc::<AtomicU64>::default();
    let step = sanitise(step.as_bytes(), Keep::Nothing);
    let (counted, screen) = (Arc::clone(&bytes), Arc::clone(screen));
    let drawing = (!quiet && shown()).then(|| {
        let (stop, stopped) = mpsc::channel::<()>();
        let draw = move || {
            let (mut wait, mut seen, mut ours) = (PATIENCE, [(Instant::now(), 0); RATED], false);
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) && !interrupt::pending() {
                wait = TICK;
                let now = (Instant::now(), counted.load(Ordering::Relaxed));
                ours = ours || !screen.taken.swap(true, Ordering::Relaxed);
                if ours {
                    screen.draw(&line(&step, now.1, rate(seen[0], now)));
                }
                seen.rotate_left(1);
                seen[RATED - 1] = now;
            }
            if ours {
                screen.erase();
                screen.taken.store(false, Ordering::Relaxed);
            }
        };
        // Without a thread the step is as good, if less entertaining.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(draw).ok();
        Box::new(Drawing(thread.map(|thread| (stop, thread)))) as Box<dyn Any + Send>
    });
    Progress::new(bytes, drawing)
}

impl Drop for Drawing {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Screen {
    /// Takes the line off the screen. It stays off as long as the caller keeps stderr locked.
    pub(super) fn erase(&self) {
        let mut stderr = io::stderr().lock();
        if self.drawn.swap(false, Ordering::Relaxed) {
            let _ = stderr.write_all(b"\r\x1b[K");
        }
    }

    fn draw(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        // A line that wraps could not be erased.
        let width = termios::tcgetwinsize(&stderr).map_or(0, |size| usize::from(size.ws_col));
        let line: String = line.chars().take(if width > 0 { width - 1 } else { 79 }).collect();
        let _ = write!(stderr, "\r{line}\x1b[K");
        self.drawn.store(true, Ordering::Relaxed);
    }
}

fn shown() -> bool {
    let stderr = io::stderr();
    stderr.is_terminal()
        && env("TERM").is_some_and(|term| term != "dumb")
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
