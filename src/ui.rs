//! The only reader of the terminal, and the only writer to stdout and stderr.
//!
//! stdout carries what a pipe would want; everything else is chatter on stderr. Knows labels, colours and terminals, and
//! no words: those are `commands/`'s. Text that came from a guest is made harmless on its way to a terminal.

#![expect(clippy::disallowed_methods, reason = "the one place that writes to the terminal")]

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use rustix::event::PollFlags;
use rustix::termios;

use crate::error::{Context, Error, Result, Suggestion};
use crate::interrupt::{self, Reader};
use crate::reporter::Progress;
use crate::text::{self, Keep, sanitise};

mod progress;

/// When messages are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal that can.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The terminal, and how much is said there.
#[derive(Clone, Debug)]
pub struct Ui {
    quiet: bool,
    verbosity: u8,
    color: ColorChoice,
    screen: Arc<progress::Screen>,
    /// Something on stdout was cut short.
    cut: Arc<AtomicBool>,
    /// Nobody reads stderr.
    deaf: Arc<AtomicBool>,
}

impl Ui {
    /// Makes one; `quiet` leaves out status lines and hints, a `verbosity` of 1 shows calls, and of 2 the whole of them.
    pub fn new(quiet: bool, verbosity: u8, color: Color) -> Ui {
        let (screen, cut, deaf) = Default::default();
        Ui { quiet, verbosity, color: ColorChoice::Auto, screen, cut, deaf }.with_color(color)
    }

    /// Returns the same with messages coloured as this says.
    pub fn with_color(self, color: Color) -> Ui {
        let color = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Ui { color, ..self }
    }

    fn line(&self, label: &str, style: Style, text: &str) {
        let stderr = io::stderr().lock();
        let color = match self.color {
            ColorChoice::Auto => AutoStream::choice(&stderr),
            choice => choice,
        };
        let style = if color == ColorChoice::Never { Style::new() } else { style };
        let line = match label {
            "" => format!("{style}{text}{style:#}\n"),
            label => format!("{style}{label}:{style:#} {text}\n"),
        };
        self.screen.erase();
        // A stderr that is closed, or that nobody reads, must not turn a finished command into a failure.
        if !interrupt::pending() {
            drop(interrupt::write(stderr.as_fd(), line.as_bytes()));
        } else if !self.deaf.load(Ordering::Relaxed) && !interrupt::write_last(stderr.as_fd(), line.as_bytes()) {
            self.deaf.store(true, Ordering::Relaxed);
        }
    }

    /// Writes one line of chatter to stderr; not with `--quiet`.
    pub fn status(&self, text: &str) {
        if !self.quiet {
            self.line("", Style::new(), text);
        }
    }

    /// Writes a warning to stderr.
    pub fn warn(&self, text: &str) {
        self.line("warning", AnsiColor::Yellow.on_default().bold(), text);
    }

    /// Writes a next step to stderr; not with `--quiet`.
    pub fn hint(&self, suggestion: &Suggestion) {
        if !self.quiet {
            self.suggest(suggestion);
        }
    }

    fn suggest(&self, Suggestion { command, purpose }: &Suggestion) {
        self.line("hint", AnsiColor::Cyan.on_default(), &sanitise(command.as_bytes(), Keep::Nothing));
        if !purpose.is_empty() {
            self.more(purpose);
        }
    }

    /// Writes a line that belongs to the one before.
    fn more(&self, text: &str) {
        self.line("", Style::new(), &format!("  {}", sanitise(text.as_bytes(), Keep::Nothing)));
    }

    /// Writes one line about a call to stderr, with `-v` only; `whole` with `-vv`.
    pub fn trace(&self, shown: &str, whole: &str) {
        if self.verbosity > 0 {
            let text = if self.verbosity > 1 { whole } else { shown };
            self.line("", AnsiColor::BrightBlack.on_default(), &format!("+ {text}"));
        }
    }

    /// Prints an error in its three voices; `hints` are its own, spelled.
    pub fn error(&self, error: &Error, hints: &[Suggestion]) {
        let message = sanitise(error.to_string().as_bytes(), Keep::Nothing);
        self.line("error", AnsiColor::Red.on_default().bold(), &message);
        for fault in error.faults() {
            self.line("", Style::new(), &format!("  {} {}", text::path(&fault.path), fault.why));
        }
        for detail in error.details() {
            self.more(detail);
        }
        for hint in hints {
            self.suggest(hint);
        }
    }

    /// Shows that a step is under way, from its second second on, if stderr is a terminal that we are in the foreground of;
    /// not with `--quiet`.
    pub fn progress(&self, step: &str) -> Progress {
        progress::start(&self.screen, step, self.quiet)
    }

    /// Writes text to stdout.
    ///
    /// # Errors
    /// If stdout is full, or the user interrupts; a reader that has gone is none.
    pub fn data(&self, text: &str) -> Result<()> {
        self.data_stream(&mut text.as_bytes())
    }

    /// Tells whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes to stdout what a command has done that was not run for this text; not with `--quiet`.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn outcome(&self, mut text: &[u8]) -> Result<()> {
        if self.quiet { Ok(()) } else { self.data_stream(&mut text) }
    }

    /// Copies a stream to stdout: as it is into a pipe or a file, made harmless on a terminal.
    ///
    /// # Errors
    /// As [`Ui::data`], and if the stream cannot be read.
    pub fn data_stream(&self, from: &mut dyn Read) -> Result<()> {
        let stdout = io::stdout();
        let (terminal, mut buffer, mut held) = (stdout.is_terminal(), vec![0; 64 * 1024], 0);
        loop {
            let read = from.read(&mut buffer[held..]).context(|| "cannot read what is to be printed".to_owned())?;
            let ready = &buffer[..held + read];
            // A character may be cut at the end of what was read.
            let whole = if terminal && read > 0 { text::whole_characters(ready) } else { ready.len() };
            let wrote = if terminal {
                interrupt::write(stdout.as_fd(), sanitise(&ready[..whole], Keep::Lines).as_bytes())
            } else {
                interrupt::write(stdout.as_fd(), &ready[..whole])
            };
            if wrote.is_err() {
                self.cut.store(true, Ordering::Relaxed);
            }
            // The reader has what it wanted (`| head`); git ends quietly there too.
            if !wrote.context(|| "cannot write to stdout".to_owned())? || read == 0 {
                return Ok(());
            }
            let all = held + read;
            buffer.copy_within(whole..all, 0);
            held = all - whole;
        }
    }

    /// Writes text to stdout although the user may have interrupted, unless something before it was cut short there.
    pub fn last_word(&self, text: &str) {
        if !self.cut.load(Ordering::Relaxed) {
            interrupt::write_last(io::stdout().as_fd(), text.as_bytes());
        }
    }

    /// Says, when a second signal ends the process at once, that it does.
    pub fn insisted() {
        // Not through the locks of this module, which somebody may hold.
        let stderr = rustix::stdio::stderr();
        interrupt::write_last(stderr, b"error: interrupted\n");
    }

    /// Writes a part of a stream at once, as it is or made harmless as [`Ui::data_stream`] does; false when nobody reads it
    /// any more.
    ///
    /// # Errors
    /// If it cannot be written, or the user interrupts.
    pub fn pass_on(&self, bytes: &[u8], to: To) -> Result<bool> {
        let (out, err) = (io::stdout(), io::stderr());
        let (fd, terminal) = match to {
            To::Stdout => (out.as_fd(), out.is_terminal()),
            To::Stderr => (err.as_fd(), err.is_terminal()),
        };
        let wrote = if terminal {
            interrupt::write(fd, sanitise(bytes, Keep::Lines).as_bytes())
        } else {
            interrupt::write(fd, bytes)
        };
        wrote.context(|| "cannot write what the guest sends".to_owned())
    }

    /// Prints what clap has to say: help and version on stdout, a wrong command line on stderr; returns the exit code.
    pub fn answer(answer: &clap::Error) -> ExitCode {
        if answer.use_stderr() {
            // How to pass an option that does not exist as a value helps nobody.
            let text = answer.render().ansi().to_string();
            let text = text.split_inclusive('\n').filter(|line| !line.contains("to pass '")).collect::<String>();
            let _ = anstream::stderr().write_all(text.as_bytes());
        } else {
            // A closed stdout must not turn into a panic.
            let _ = answer.print();
        }
        u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    }

    /// Asks on the terminal and returns the line typed, or `None` when there is no terminal to ask on.
    ///
    /// # Errors
    /// If the terminal cannot be read or written, or the user interrupts.
    pub fn ask(&self, prompt: &str, hidden: bool) -> Result<Option<String>> {
        let Ok(tty) = std::fs::File::options().read(true).write(true).open("/dev/tty") else {
            return Ok(None);
        };
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

    /// Returns stdin, to be read until the user interrupts.
    pub fn input(&self) -> Reader<io::Stdin> {
        Reader(io::stdin())
    }
}

/// Where a part of a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// stdout
    Stdout,
    /// stderr
    Stderr,
}

/// Reads a line; ends when the user interrupts.
fn line_from(tty: &std::fs::File) -> Result<String> {
    // A terminal hands out whole lines.
    interrupt::wait_for(tty.as_fd(), PollFlags::IN)?;
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(tty), &mut line)
        .context(|| "cannot read from the terminal".to_owned())?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
