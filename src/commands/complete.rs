//! `git-banger __complete`: what the completion scripts ask; the head of each script tells the contract.
//!
//! Candidates come from local state alone, never from a guest: a completion may not wait for a network.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory, ValueHint};
use clap_complete::engine::{self, ArgValueCandidates, CompletionCandidate};

use super::App;
use super::base::Recorded;
use crate::cli::{Cli, Complete, Shell};
use crate::error::Result;
use crate::host::Repo;
use crate::reporter::Reporter;
use crate::settings::{Flags, Settings};

/// Prints the candidates for the last word, one a line.
///
/// # Errors
/// When stdout cannot be written. Where nothing is known, nothing is said.
pub fn run(args: &Complete, app: &App) -> Result<()> {
    let mut words: Vec<_> = args.words.iter().map(|word| Typed::new(args, word)).collect();
    let last = words.pop().unwrap_or_default();
    let mut line = vec![OsString::from("git-banger")];
    line.extend(words.into_iter().chain([last.clone()]).map(|word| OsString::from_vec(word.value)));

    let matches = Cli::command().ignore_errors(true).try_get_matches_from(&line).unwrap_or_default();
    let flags = Flags { dir: dir(&matches, &app.settings), ..app.settings.flags().clone() };
    let state = State { flags, reporter: app.reporter(), vm: vm(&matches) };
    let index = line.len() - 1;
    let here = state.flags.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let mut candidates =
        engine::complete(&mut state.known_to(Cli::command()), line, index, Some(&here)).unwrap_or_default();
    // As in git: options are offered after a dash.
    candidates.retain(|candidate| !last.value.is_empty() || !candidate.get_value().as_bytes().starts_with(b"-"));
    // A value with a control character could not be one line.
    candidates.retain(|candidate| !candidate.get_value().as_bytes().iter().any(u8::is_ascii_control));
    let mut answer = Vec::new();
    for candidate in &candidates {
        let value = candidate.get_value().as_bytes();
        if args.shell == Shell::Bash {
            answer.extend(last.replacement(value, candidates.len() == 1));
        } else {
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            answer.extend([value, b"\t", help.lines().next().unwrap_or_default().as_bytes()].concat());
        }
        answer.push(b'\n');
    }
    app.ui().data_stream(&mut &*answer)
}

/// Returns the directory of `-C`, from the words so far.
fn dir(matches: &ArgMatches, settings: &Settings) -> Option<PathBuf> {
    let outer = settings.dir();
    let inner = matches.try_get_one::<PathBuf>("dir").ok().flatten();
    match (outer, inner) {
        (Some(outer), Some(inner)) => Some(outer.join(inner)),
        (outer, inner) => outer.or(inner.map(PathBuf::as_path)).map(Path::to_owned),
    }
}

/// Returns the vm that the words so far name.
fn vm(matches: &ArgMatches) -> Option<String> {
    match matches.subcommand() {
        Some((_, below)) => vm(below),
        None => matches.try_get_one::<String>("vm").ok().flatten().cloned(),
    }
}

/// What is known here without asking a guest.
#[derive(Clone)]
struct State {
    flags: Flags,
    reporter: Arc<dyn Reporter>,
    vm: Option<String>,
}

impl State {
    /// Teaches the arguments of a command, and of those below it, what they can be.
    fn known_to(&self, command: clap::Command) -> clap::Command {
        let name = command.get_name().to_owned();
        let command = command.mut_args(|arg| match (name.as_str(), arg.get_id().as_str()) {
            ("add", "name") | ("start", "session") => arg,
            (_, "vm" | "name") => arg.add(self.live(State::vms)),
            (_, "session") => arg.add(self.live(State::sessions)),
            (_, "base_commit" | "base") => arg.add(self.live(State::bases)),
            (_, "rev") => arg.add(self.live(State::records)),
            (_, "dir") => arg.value_hint(ValueHint::DirPath),
            (_, "output" | "file" | "ssh_config" | "pathspecs") => arg.value_hint(ValueHint::AnyPath),
            _ => arg,
        });
        command.mut_subcommands(|command| self.known_to(command))
    }

    fn live(&self, what: fn(&State) -> Vec<CompletionCandidate>) -> ArgValueCandidates {
        let state = self.clone();
        ArgValueCandidates::new(move || what(&state))
    }

    fn vms(&self) -> Vec<CompletionCandidate> {
        let named =
            Settings::load(self.flags.clone(), &self.reporter).map(|settings| settings.vms()).unwrap_or_default();
        let prepared = self.repo().and_then(|repo| repo.prepared_vms()).unwrap_or_default();
        let prepared = prepared.iter().filter(|name| named.iter().all(|vm| vm.name != **name));
        let known = named.iter().map(|vm| candidate(&vm.name, &vm.url));
        known.chain(prepared.map(|name| candidate(name, "prepared from here"))).collect()
    }

    fn sessions(&self) -> Vec<CompletionCandidate> {
        let Some(vm) = &self.vm else { return Vec::new() };
        let seen = self.repo().map(|repo| repo.seen_sessions(vm)).unwrap_or_default();
        seen.iter().map(|name| candidate(name, "")).collect()
    }

    fn bases(&self) -> Vec<CompletionCandidate> {
        let mut bases = vec![
            candidate("HEAD@prepare", "the head that was prepared"),
            candidate("@prepare", "the head that was prepared").hide(true),
            candidate("HEAD", "the guest's HEAD: only what is not committed there"),
        ];
        if let Ok(repo) = self.repo() {
            let refs = ["refs/heads", "refs/tags"].into_iter().flat_map(|kind| repo.refs(kind).unwrap_or_default());
            bases.extend(refs.map(|name| candidate(&name, "")));
        }
        bases
    }

    fn records(&self) -> Vec<CompletionCandidate> {
        let both = Recorded::ALL.map(|(_, kind, help)| {
            [candidate(&format!("HEAD@{kind}"), help), candidate(&format!("@{kind}"), help).hide(true)]
        });
        both.into_iter().flatten().collect()
    }

    fn repo(&self) -> Result<Repo> {
        Repo::open(self.flags.dir.as_deref(), &self.reporter)
    }
}

fn candidate(value: &str, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.to_owned().into()))
}

/// A word as it was typed: bash hands over its quotes, and replaces only a part of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Typed {
    /// Without quotes and backslashes.
    value: Vec<u8>,
    /// How much of the value stands before the part that bash replaces.
    kept: usize,
    /// The quote that is still open at its end.
    quote: Option<u8>,
}

impl Typed {
    fn new(args: &Complete, word: &OsStr) -> Typed {
        match args.shell {
            Shell::Bash => Typed::parse(word.as_bytes(), args.breaks.as_bytes()),
            Shell::Zsh | Shell::Fish => Typed { value: word.as_bytes().to_vec(), ..Typed::default() },
        }
    }

    fn parse(word: &[u8], breaks: &[u8]) -> Typed {
        let mut typed = Typed::default();
        let mut bytes = word.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match (typed.quote, byte) {
                (Some(quote), _) if byte == quote => typed.quote = None,
                (Some(b'"'), b'\\') if bytes.peek().is_some_and(|next| !b"$`\"\\".contains(next)) => {
                    typed.value.push(byte);
                }
                (None | Some(b'"'), b'\\') => typed.value.extend(bytes.next()),
                (None, b'\'' | b'"') => {
                    typed.quote = Some(byte);
                    typed.kept = typed.value.len();
                }
                (None, b'=' | b':') if breaks.contains(&byte) => {
                    typed.value.push(byte);
                    typed.kept = typed.value.len();
                }
                // Unlike the other two, it begins the part that is replaced.
                (None, b'@') if breaks.contains(&byte) => {
                    typed.kept = typed.value.len();
                    typed.value.push(byte);
                }
                _ => typed.value.push(byte),
            }
        }
        typed
    }

    /// Returns what is to stand in the place of the part that bash replaces.
    fn replacement(&self, candidate: &[u8], only: bool) -> Vec<u8> {
        let mut text = Vec::new();
        for &byte in candidate.get(self.kept..).unwrap_or_default() {
            let plain = byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_-./:=@%+,^~".contains(&byte);
            match self.quote {
                Some(b'\'') if byte == b'\'' => text.extend(b"'\\''"),
                Some(b'"') if b"$`\"\\".contains(&byte) => text.extend([b'\\', byte]),
                None if !plain => text.extend([b'\\', byte]),
                _ => text.push(byte),
            }
        }
        // The script registers with 'nospace', as git's own does. Behind an open quote readline closes it by itself.
        if only && self.quote.is_none() && !matches!(candidate.last(), Some(b'=' | b'/' | b':')) {
            text.push(b' ');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_replaces_what_follows_the_last_break() {
        let typed = |word: &str| {
            let typed = Typed::parse(word.as_bytes(), b" \"'@><=;|&(:");
            (String::from_utf8(typed.value).unwrap(), typed.kept, typed.quote.map(char::from))
        };
        assert_eq!(typed("--base-commit=HEAD@pre"), ("--base-commit=HEAD@pre".to_owned(), 18, None));
        assert_eq!(typed(r"a\ b='c d'"), ("a b=c d".to_owned(), 4, None));
        assert_eq!(typed(r#"--output="a \"b"#), ("--output=a \"b".to_owned(), 9, Some('"')));
        assert_eq!(typed("host:22"), ("host:22".to_owned(), 5, None));
    }

    #[test]
    fn a_replacement_is_quoted_as_the_word_was() {
        let replacement = |word: &str, candidate: &str, only| {
            let typed = Typed::parse(word.as_bytes(), b"=:");
            String::from_utf8(typed.replacement(candidate.as_bytes(), only)).unwrap()
        };
        assert_eq!(replacement("a", "a b", true), r"a\ b ");
        assert_eq!(replacement("'a", "a b's", true), r"a b'\''s");
        assert_eq!(replacement("\"a", "a b's $x", true), r"a b's \$x");
        assert_eq!(replacement("--output=", "--output=a$b/", true), r"a\$b/");
        assert_eq!(replacement("v", "vm", false), "vm");
    }
}
