//! The command line: every clap struct, no effect.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::host::landing;
use crate::ui;

mod session;

pub use session::*;

/// Bring work out of a VM, straight into the repository you stand in
#[derive(Debug, Parser)]
#[command(name = "git-banger", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show each remote script and each git call
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colour messages
    #[arg(long, value_name = "WHEN", global = true, value_enum)]
    pub color: Option<Color>,
    /// Read SSH settings from FILE in place of ~/.ssh/config
    #[arg(short = 'F', long, value_name = "FILE", global = true)]
    pub ssh_config: Option<PathBuf>,
    /// Speak as 'jj banger', and work where 'jj -R' says; jj's alias puts it first
    #[arg(long, global = true, hide = true)]
    pub via_jj: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl From<Color> for ui::Color {
    fn from(when: Color) -> Self {
        match when {
            Color::Auto => ui::Color::Auto,
            Color::Always => ui::Color::Always,
            Color::Never => ui::Color::Never,
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    Prepare(Prepare),
    Export(Export),
    Fetch(Fetch),
    Diff(Diff),
    Pull(Pull),
    Status(Status),
    Undo(Undo),
    Log(Log),
    Send(Send),
    #[command(subcommand)]
    Session(Session),
    Rev(Rev),
    #[command(subcommand)]
    Vm(Vm),
    Completions(Completions),
    Setup(Setup),
    #[command(name = "__complete", hide = true)]
    Complete(Complete),
}

impl Command {
    /// Tells whether the result, and a failure, is to be JSON.
    pub fn json(&self) -> bool {
        match self {
            Command::Prepare(args) => args.json,
            Command::Export(args) => args.json,
            Command::Fetch(args) => args.json,
            Command::Pull(args) => args.json,
            Command::Status(args) => args.json,
            Command::Undo(args) => args.json,
            Command::Log(args) => args.json,
            Command::Send(args) => args.json,
            Command::Session(args) => args.json(),
            Command::Rev(args) => args.json,
            Command::Vm(Vm::List(args)) => args.json,
            Command::Vm(Vm::Add(args)) => args.json,
            Command::Vm(Vm::Remove(args)) => args.json,
            Command::Vm(Vm::Check(args)) => args.json,
            Command::Diff(_) | Command::Completions(_) | Command::Setup(_) | Command::Complete(_) => false,
        }
    }
}

/// Ship the repository to a guest and record the prepared head
///
/// Ships HEAD's commit with its history and the uncommitted edits of tracked files; ignored files only when asked. The
/// guest is left on the same branch, at the same commit, with the same files dirty. Run again it brings the workspace to
/// the host's present state, sends what is missing there, and leaves ignored files; it refuses while the guest holds work
/// that has not landed.
#[derive(Args, Debug)]
pub struct Prepare {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// Put the workspace at DIR in the guest (default: the repository's name, in the home directory)
    #[arg(long, value_name = "DIR")]
    pub path: Option<String>,
    /// Ship untracked files too
    #[arg(long)]
    pub untracked: bool,
    /// Ship the ignored files that PATTERN, a pathspec, matches too
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<OsString>,
    /// Ship only the newest N commits
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub depth: Option<u32>,
    /// Name the guest's branch NAME
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Replace work that has not landed, after saving it in refs/banger
    #[arg(long)]
    pub force: bool,
    /// Ask the guest, say what would be shipped, and stop
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Describe the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// What the commands that read a guest share.
#[derive(Args, Debug)]
pub struct Taking {
    /// Take the work since REV: HEAD@prepare, or a revision of the guest (default: the guest's HEAD)
    #[arg(long, value_name = "REV")]
    pub base_commit: Option<String>,
    /// Go on without the files that cannot be read in the guest
    #[arg(long)]
    pub ignore_unreadable: bool,
}

/// Print the guest's work as a patch
///
/// Non-mutating for the guest: its index, refs, objects and files stay as they are, however this ends.
#[derive(Args, Debug)]
pub struct Export {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    #[command(flatten)]
    pub taking: Taking,
    /// Print a patch, or a bundle that carries the guest's commits too
    #[arg(long, value_enum, default_value = "patch")]
    pub format: Format,
    /// Write to FILE, whole or not at all
    #[arg(short, long, value_name = "FILE", conflicts_with = "stat")]
    pub output: Option<PathBuf>,
    /// List the names of the changed files
    #[arg(long, group = "list")]
    pub name_only: bool,
    /// List the names of the changed files, and how each changed
    #[arg(long, group = "list")]
    pub name_status: bool,
    /// Show how many lines changed in each file
    #[arg(long, group = "list")]
    pub stat: bool,
    /// Describe the export as JSON
    #[arg(long, group = "list")]
    pub json: bool,
    /// End names with NUL, and do not quote them
    #[arg(short = 'z')]
    pub nul: bool,
    /// Only these files
    #[arg(last = true, value_name = "PATHSPEC")]
    pub pathspecs: Vec<OsString>,
}

/// What an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Patch,
    Bundle,
}

/// Bring the guest's work into refs/banger, and land nothing
///
/// Non-mutating for the guest: its index, refs, objects and files stay as they are, however this ends.
#[derive(Args, Debug)]
pub struct Fetch {
    /// The guests: names from 'git banger vm list', or [user@]host[:port]
    #[arg(required = true)]
    pub vm: Vec<String>,
    #[command(flatten)]
    pub taking: Taking,
    /// Describe the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Show what a pull would bring, as your own 'git diff' does
///
/// Fetches, and lands nothing. Your settings of 'git diff', its pager and its tools hold.
#[derive(Args, Debug)]
pub struct Diff {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    #[command(flatten)]
    pub taking: Taking,
    /// Show it by 'git difftool'
    #[arg(long)]
    pub tool: bool,
    /// Only these files
    #[arg(last = true, value_name = "PATHSPEC")]
    pub pathspecs: Vec<OsString>,
}

/// Bring the guest's work straight into the working tree
///
/// Non-mutating for the guest: its index, refs, objects and files stay as they are, however this ends. Here, a
/// three-way merge, all or nothing: HEAD, the index and your own edits stay.
#[derive(Args, Debug)]
pub struct Pull {
    /// The guests: names from 'git banger vm list', or [user@]host[:port]; their work lands in this order
    #[arg(required = true)]
    pub vm: Vec<String>,
    #[command(flatten)]
    pub taking: Taking,
    /// What to do where both sides changed the same
    #[arg(long, value_enum, value_name = "HOW", default_value = "abort")]
    pub conflict: Conflict,
    /// Land in a new change; in a jj workspace
    #[arg(long)]
    pub new_change: bool,
    /// Land again, too, what landed before and is no more here
    #[arg(long)]
    pub again: bool,
    /// Say what would change, and stop
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Show how many lines changed in each file
    #[arg(long)]
    pub stat: bool,
    /// Describe the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Only these files
    #[arg(last = true, value_name = "PATHSPEC")]
    pub pathspecs: Vec<OsString>,
}

/// Say what is left in a guest, and would be lost with it
///
/// Non-mutating for the guest, and here: nothing lands, and nothing is kept. Ignored files do not count.
#[derive(Args, Debug)]
pub struct Status {
    /// The guests: names from 'git banger vm list', or [user@]host[:port] (default: those that were prepared from here)
    pub vm: Vec<String>,
    /// Ask each guest that was prepared from here, or has a name
    #[arg(long, conflicts_with = "vm")]
    pub all: bool,
    /// Exit with 1 if anything is left, and with 0 only if it is sure that nothing is
    #[arg(long)]
    pub exit_code: bool,
    /// Describe what is left as JSON
    #[arg(long)]
    pub json: bool,
}

/// Take the newest landing that stands back
///
/// A three-way merge, all or nothing: what you have edited since stays. Called again it takes back the one before; --redo
/// goes forward again. Asks no guest.
#[derive(Args, Debug)]
pub struct Undo {
    /// Only landings from this guest
    pub vm: Option<String>,
    /// Land again what was taken back last
    #[arg(long)]
    pub redo: bool,
    /// Say what would change, and stop
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Describe the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// List what has landed in this working copy, the newest first
#[derive(Args, Debug)]
pub struct Log {
    /// Only landings from this guest
    pub vm: Option<String>,
    /// Show what each changed
    #[arg(short, long)]
    pub patch: bool,
    /// Describe them as JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do where both sides changed the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Conflict {
    /// Refuse, and change nothing
    Abort,
    /// Land with conflict markers in the files
    Merge,
    /// Land with the conflict recorded in the change; in a jj workspace
    Record,
}

impl From<Conflict> for landing::Conflict {
    fn from(how: Conflict) -> Self {
        match how {
            Conflict::Abort => landing::Conflict::Abort,
            Conflict::Merge => landing::Conflict::Merge,
            Conflict::Record => landing::Conflict::Record,
        }
    }
}

/// Print the id that HEAD@prepare and its like stand for
#[derive(Args, Debug)]
pub struct Rev {
    /// HEAD@prepare, HEAD@baseline or HEAD@snapshot; HEAD may be left out
    pub rev: String,
    /// The guest (default: the one that was prepared)
    pub vm: Option<String>,
    /// Describe the record as JSON
    #[arg(long)]
    pub json: bool,
}

/// Name guests
#[derive(Debug, Subcommand)]
pub enum Vm {
    List(VmList),
    Add(VmAdd),
    Remove(VmRemove),
    Check(VmCheck),
}

/// List the guests
#[derive(Args, Debug)]
pub struct VmList {
    /// Describe them as JSON
    #[arg(long)]
    pub json: bool,
}

/// Give a guest a name
#[derive(Args, Debug)]
pub struct VmAdd {
    /// The name
    pub name: String,
    /// Where it is: ssh://[user@]host[:port][/path], or [user@]host[:port]
    pub url: String,
    /// Where the workspace is in the guest
    #[arg(long, value_name = "DIR")]
    pub path: Option<String>,
    /// The default for --base-commit
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Write to the user's configuration, for every repository
    #[arg(long)]
    pub r#global: bool,
    /// Describe what was done as JSON
    #[arg(long)]
    pub json: bool,
}

/// Forget a guest's name, and what was recorded about it here
#[derive(Args, Debug)]
pub struct VmRemove {
    /// The name
    pub name: String,
    /// Describe what was done as JSON
    #[arg(long)]
    pub json: bool,
}

/// Say what will work in a guest, and what cures what will not
#[derive(Args, Debug)]
pub struct VmCheck {
    /// The guest: a name from 'git banger vm list', or [user@]host[:port]
    pub vm: String,
    /// Describe the checks as JSON
    #[arg(long)]
    pub json: bool,
}

/// Print the completion script of a shell
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that has a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Put the man page and the completions where man and the shells look for them
///
/// For a binary that came alone. 'git banger setup jj' makes 'jj banger' of it too, by an alias in jj's configuration.
#[derive(Args, Debug)]
pub struct Setup {
    /// Set up this in place of the page and the completions
    #[arg(value_enum)]
    pub part: Option<Part>,
}

/// What can be set up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Jj,
}

/// What the completion scripts ask; see the head of each for the contract.
#[derive(Args, Debug)]
pub struct Complete {
    /// The shell that asks
    #[arg(value_enum)]
    pub shell: Shell,
    /// Where bash breaks words, apart from blanks
    #[arg(long, value_name = "BREAKS", allow_hyphen_values = true, default_value = "")]
    pub breaks: String,
    /// The words after the command; the last one is to be completed
    #[arg(last = true)]
    pub words: Vec<OsString>,
}

/// Parses the words after the program.
///
/// # Errors
/// clap's own, for a wrong command line, and for help and version too; it knows how to print itself.
pub fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    let via_jj = words.first().is_some_and(|word| word == "--via-jj");
    let command = Cli::command().bin_name(if via_jj { "jj banger" } else { "git banger" });
    let line = [OsString::from("git-banger")].into_iter().chain(words.iter().cloned());
    Cli::from_arg_matches(&command.try_get_matches_from(line)?)
}

#[cfg(test)]
mod tests;
