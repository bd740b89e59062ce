//! Everything that is tested from outside, in one binary.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests set up the world that the program runs in, and tell the test runner"
)]

mod agreed;
mod boundaries;
mod bytes;
mod completions;
mod conflicts;
mod cost;
mod diff;
mod export;
mod failures;
mod faults;
mod fetch;
mod growth;
mod guests;
mod hints;
mod hostile;
mod install;
mod interrupts;
mod jj;
mod makefile;
mod man;
mod pi;
mod prepare;
mod prepare_again;
mod progress;
mod property;
mod pull;
mod pull_again;
mod pull_refused;
mod records;
mod rev;
mod scripts;
mod send;
mod session;
mod sessions;
mod settings;
mod several;
mod ssh;
mod status;
mod support;
mod swap;
mod undo;
mod vm;
