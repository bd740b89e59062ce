//! The only writer to stdout and stderr.
//!
//! stdout carries what a pipe would want; everything else is chatter on stderr. Text that came from a guest passes
//! [`sanitise`] first, so that it cannot steer a terminal.

#![expect(clippy::disallowed_methods, reason = "the one place that writes to the terminal")]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use rustix::termios;

use crate::cli::Color;
use crate::error::{Context, Error, Result};
use crate::interrupt;

mod progress;

pub use progress::progress;

/// How much is said, set once from the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Voice {
    /// Leaves out status lines and hints.
    pub quiet: bool,
    /// 1 and above shows each remote script and each git call.
    pub verbosity: u8,
    /// Calls the program 'jj banger' in hints, as it was called.
    pub via_jj: bool,
}

static VOICE: OnceLock<Voice> = OnceLock::new();

/// Sets how much is said; the first call wins.
pub fn init(voice: Voice) {
    let _ = VOICE.set(voice);
}

/// Sets when messages are coloured; the last call wins.
pub fn color(when: Color) {
    let choice = match when {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    choice.write_global();
}

fn voice() -> Voice {
    VOICE.get().copied().unwrap_or_default()
}

fn line(label: &str, style: Style, text: &str) {
    let mut stderr = anstream::stderr().lock();
    progress::erase();
    // A closed stderr must not turn a finished command into a failure.
    let _ =
        if label.is_empty() { writeln!(stderr, "{text}") } else { writeln!(stderr, "{style}{label}:{style:#} {text}") };
}

/// Writes one line of chatter to stderr; gone with `--quiet`.
pub fn status(text: &str) {
    if !voice().quiet {
        line("", Style::new(), text);
    }
}

/// Writes a warning to stderr.
pub fn warn(text: &str) {
    line("warning", AnsiColor::Yellow.on_default().bold(), text);
}

/// Writes a next step to stderr; gone with `--quiet`.
pub fn hint(text: &str) {
    if !voice().quiet {
        hint_lines(text);
    }
}

fn hint_lines(text: &str) {
    let text = if voice().via_jj { text.replace("git banger", "jj banger") } else { text.to_owned() };
    for text in text.lines() {
        line("hint", AnsiColor::Cyan.on_default(), text);
    }
}

/// Tells whether calls are shown (`-v`).
pub fn tracing() -> bool {
    voice().verbosity > 0
}

/// Tells whether calls are shown with what all of them have in common (`-vv`).
pub fn tracing_all() -> bool {
    voice().verbosity > 1
}

/// Writes one line about a call to stderr, with `-v` only.
pub fn trace(text: &str) {
    if tracing() {
        line("", AnsiColor::BrightBlack.on_default(), &format!("+ {text}"));
    }
}

/// Prints the error, its causes and its hints.
pub fn error(error: &Error) {
    line("error", AnsiColor::Red.on_default().bold(), &sanitise(error.to_string().as_bytes(), Keep::Lines));
    for text in error.hints() {
        hint_lines(text);
    }
}

/// Prints what clap has to say: help and version on stdout, a wrong command line on stderr; returns the exit code.
pub fn answer(answer: &clap::Error) -> ExitCode {
    // A closed stdout or stderr must not turn into a panic.
    let _ = answer.print();
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Asks on the terminal and returns the line typed, or `None` when there is no terminal to ask on.
///
/// # Errors
/// When the terminal cannot be read or written, or the user interrupts.
pub fn ask(prompt: &str, hidden: bool) -> Result<Option<String>> {
    let Ok(tty) = std::fs::File::options().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    interrupt::watch();
    let context = || "cannot ask on the terminal".to_owned();
    let saved = termios::tcgetattr(&tty).context(context)?;
    if hidden {
        let mut silent = saved.clone();
        silent.local_modes.remove(termios::LocalModes::ECHO);
        // Before the question: an answer that is typed at once may neither be shown nor thrown away.
        termios::tcsetattr(&tty, termios::OptionalActions::Flush, &silent).context(context)?;
    }
    let answer = (&tty).write_all(prompt.as_bytes()).context(context).and_then(|()| line_from(&tty));
    if hidden {
        termios::tcsetattr(&tty, termios::OptionalActions::Flush, &saved).context(context)?;
        (&tty).write_all(b"\n").context(context)?;
    }
    Ok(Some(answer?))
}

/// Reads a line; ends when the user interrupts, which a plain read of a terminal would sit through.
fn line_from(tty: &std::fs::File) -> Result<String> {
    const GLANCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    loop {
        if interrupt::pending() {
            return Err(Error::interrupted());
        }
        let mut ready = [rustix::event::PollFd::new(tty, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut ready, Some(&GLANCE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // A terminal hands out whole lines.
            _ => break,
        }
    }
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(tty), &mut line)
        .context(|| "cannot read from the terminal".to_owned())?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Writes text to stdout.
///
/// # Errors
/// When stdout is closed or full.
pub fn data(text: &str) -> Result<()> {
    data_bytes(text.as_bytes())
}

/// Writes bytes to stdout: as they are into a pipe or a file, made harmless on a terminal.
///
/// # Errors
/// When stdout is closed or full.
pub fn data_bytes(bytes: &[u8]) -> Result<()> {
    data_stream(&mut &*bytes)
}

/// Copies a stream to stdout: as it is into a pipe or a file, made harmless on a terminal.
///
/// # Errors
/// When the stream cannot be read, or stdout is closed or full.
pub fn data_stream(from: &mut dyn io::Read) -> Result<()> {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let mut stdout = stdout.lock();
    let mut buffer = vec![0; 64 * 1024];
    let mut copy = || -> io::Result<()> {
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                return stdout.flush();
            }
            if terminal {
                stdout.write_all(sanitise(&buffer[..read], Keep::Lines).as_bytes())?;
            } else {
                stdout.write_all(&buffer[..read])?;
            }
        }
    };
    match copy() {
        // The reader has what it wanted (`| head`); git ends quietly there too.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::refused("cannot write to stdout").source(error)),
        Ok(()) => Ok(()),
    }
}

/// Where a part of a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// stdout
    Out,
    /// stderr
    Err,
}

/// Writes a part of a stream at once, as it is or made harmless as [`data_stream`] does; false when nobody reads it any
/// more.
///
/// # Errors
/// When it cannot be written.
pub fn pass_on(bytes: &[u8], to: Port) -> Result<bool> {
    let (out, err) = (io::stdout(), io::stderr());
    let (terminal, mut writer): (bool, Box<dyn Write>) = match to {
        Port::Out => (out.is_terminal(), Box::new(out.lock())),
        Port::Err => (err.is_terminal(), Box::new(err.lock())),
    };
    let text = if terminal { sanitise(bytes, Keep::Lines).into_bytes() } else { bytes.to_vec() };
    match writer.write_all(&text).and_then(|()| writer.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::refused("cannot write what the guest sends").source(error)),
        Ok(()) => Ok(true),
    }
}

/// Which control characters [`sanitise`] lets through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None: for text that belongs on one line.
    Nothing,
    /// Newline and tab.
    Lines,
}

/// Returns the text with control characters, and bytes that are not UTF-8, written as `\xNN`.
///
/// C1 controls and the bidirectional overrides go too: both steer a terminal.
pub fn sanitise(bytes: &[u8], keep: Keep) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' if keep == Keep::Lines => text.push(c),
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => text.extend(c.escape_unicode()),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    for byte in c.encode_utf8(&mut utf8).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Returns a path for a message: in single quotes, made harmless.
pub fn path(bytes: &[u8]) -> String {
    format!("'{}'", sanitise(bytes, Keep::Nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitise_disarms_escape_codes_and_keeps_text() {
        assert_eq!(sanitise("a\x1b[31mé\u{9b}\n".as_bytes(), Keep::Nothing), "a\\x1b[31mé\\xc2\\x9b\\x0a");
        assert_eq!(sanitise(b"a\xff\tb\n", Keep::Lines), "a\\xff\tb\n");
        assert_eq!(sanitise("\u{202e}".as_bytes(), Keep::Lines), "\\u{202e}");
    }
}
