//! Ctrl-C, TERM and HUP: the first asks, the second insists; and the reading and writing that an interrupt ends.
//!
//! From [`watch`] on, a first signal only raises a flag: whoever waits looks at it, cleans up and ends with
//! [`Error::interrupted`](crate::error::Error::interrupted). A second one, later than half a second, ends the process at once. What must not stop
//! half-way is done behind a [`Shield`], which hides the flag until it is dropped.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::exit;

use crate::error::{Error, Kind, Result};

/// How often whoever waits looks at the flag.
pub const GLANCE: Duration = Duration::from_millis(50);

/// How soon after the first a signal is still the same one: of a Ctrl-C, which the terminal sends to git and to us, git
/// passes its own on to us as well.
const SAME: Duration = Duration::from_millis(500);

static PENDING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SHIELDS: AtomicUsize = AtomicUsize::new(0);

/// Starts to watch; before, a signal ends the process as it does any other. `insisted` has the last word before a second
/// signal ends it.
pub fn watch(insisted: fn()) {
    let ignored = ignored();
    // 'nohup' and a shell's '&' mean what they say.
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let heard: Vec<_> = heard.collect();
    // None of these can fail for these signals; a process that cannot be interrupted gently can still be killed.
    for &signal in &heard {
        let _ = flag::register(signal, Arc::clone(&PENDING));
    }
    let Ok(mut signals) = Signals::new(&heard) else { return };
    let listen = move || {
        let mut first = None;
        for _ in signals.forever() {
            if first.get_or_insert_with(Instant::now).elapsed() > SAME {
                insisted();
                exit(Kind::Interrupted.code().into());
            }
        }
    };
    let _ = std::thread::Builder::new().spawn(listen);
}

/// Tells whether the user wants to stop, and nothing is under way that must not.
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed) && !shielded()
}

/// Fails when the user wants to stop.
///
/// # Errors
/// [`Error::interrupted`]
pub fn check() -> Result<()> {
    if pending() { Err(Error::interrupted()) } else { Ok(()) }
}

/// Waits until a file can be read or written; a plain read or write would sit through an interrupt.
///
/// # Errors
/// [`Error::interrupted`]
pub fn wait_for(fd: BorrowedFd<'_>, what: PollFlags) -> Result<()> {
    loop {
        check()?;
        if ready(fd, what) {
            return Ok(());
        }
    }
}

/// Tells whether a file can be read or written; waits for that a moment.
fn ready(fd: BorrowedFd<'_>, what: PollFlags) -> bool {
    let glance = Timespec { tv_sec: 0, tv_nsec: GLANCE.subsec_nanos().into() };
    !matches!(poll(&mut [PollFd::from_borrowed_fd(fd, what)], Some(&glance)), Ok(0) | Err(Errno::INTR))
}

/// Writes bytes, and looks for an interrupt while a pipe or a terminal is full; false when nobody reads it any more.
///
/// # Errors
/// If they cannot be written; an interrupt is [`Error::interrupted`] in the error.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<bool> {
    write_while(fd, bytes, || check().map_err(io::Error::other))
}

/// Writes bytes although the user may have interrupted; false if a pipe stays full for a second, or they cannot be written.
pub fn write_last(fd: BorrowedFd<'_>, bytes: &[u8]) -> bool {
    let begun = Instant::now();
    let patient = || match begun.elapsed() > Duration::from_secs(1) {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(()),
    };
    write_while(fd, bytes, patient).unwrap_or(false)
}

fn write_while(fd: BorrowedFd<'_>, bytes: &[u8], mut wanted: impl FnMut() -> io::Result<()>) -> io::Result<bool> {
    // So much fits into a pipe that can be written to at all (PIPE_BUF).
    const PIECE: usize = 4096;
    let plain = rustix::fs::fstat(fd).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    let mut rest = bytes;
    while !rest.is_empty() {
        if !plain {
            wanted()?;
            if !ready(fd, PollFlags::OUT) {
                continue;
            }
        }
        let piece = if plain { rest } else { &rest[..rest.len().min(PIECE)] };
        match rustix::io::write(fd, piece) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::PIPE) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Reads a file until the user interrupts, with [`Error::interrupted`] in its error.
#[derive(Debug)]
pub struct Reader<F>(pub F);

impl<F: AsFd> Read for Reader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait_for(self.0.as_fd(), PollFlags::IN).map_err(io::Error::other)?;
        let read = rustix::io::read(&self.0, buffer)?;
        // The end of input may be a part of the same goodbye, as when a terminal goes.
        check().map_err(io::Error::other)?;
        Ok(read)
    }
}

/// Opens a file for writing; a FIFO that nobody reads is waited for until the user interrupts.
///
/// # Errors
/// If it cannot be opened; an interrupt is [`Error::interrupted`] in the error.
pub fn open_for_writing(path: &Path) -> io::Result<File> {
    loop {
        // Else the open itself would wait, for ever.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::NXIO) => {
                check().map_err(io::Error::other)?;
                std::thread::sleep(GLANCE);
            }
            opened => return opened.map(File::from).map_err(Into::into),
        }
    }
}

/// Opens a file for reading, to be read by a [`Reader`]: a FIFO that nobody writes to would hold the open up.
///
/// # Errors
/// If it cannot be opened.
pub fn open_for_reading(path: &Path) -> io::Result<Reader<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(Reader(File::from(rustix::fs::open(path, flags, Mode::empty())?)))
}

/// Tells whether something is under way that must not stop half-way.
pub fn shielded() -> bool {
    SHIELDS.load(Ordering::Relaxed) > 0
}

/// As long as it lives, an interrupt waits.
pub struct Shield(());

impl Shield {
    /// Raises one.
    pub fn raise() -> Shield {
        SHIELDS.fetch_add(1, Ordering::Relaxed);
        Shield(())
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        SHIELDS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the signals that were ignored when the process started, as a bit set; none where /proc does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}
