//! The command line as it was typed, and every command that is proposed: each can be run as it stands.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::cli::Global;
use crate::error::{Error, Hint, Next, Suggestion};
use crate::text::shell_word;

/// The command line of this run.
#[derive(Clone, Debug)]
pub struct Line {
    /// `git banger` or `jj banger`.
    program: &'static str,
    /// Where the command works, if not in the current directory, and the SSH settings that it reads, if not the user's.
    global: Vec<OsString>,
    /// git, where the command works.
    git: Vec<OsString>,
    /// jj, where the command works.
    jj: Vec<OsString>,
    /// The words after the program.
    words: Vec<OsString>,
}

impl Line {
    /// Takes the words after the program, and what was read from them.
    pub fn new(words: Vec<OsString>, global: &Global) -> Line {
        let program = if global.via_jj { "jj banger" } else { "git banger" };
        let words = words.into_iter().filter(|word| word != "--via-jj").collect();
        let mut line = Line { program, global: Vec::new(), git: vec!["git".into()], jj: vec!["jj".into()], words };
        if let Some(dir) = &global.dir {
            line = line.in_directory(dir);
        }
        if let Some(file) = &global.ssh_config {
            line.global.extend(["-F".into(), file.into()]);
        }
        line
    }

    /// Returns the line of a command that works where 'jj -R' says.
    pub fn chosen(self, dir: &Path) -> Line {
        let mut line = self.in_directory(dir);
        line.words.splice(0..0, ["-C".into(), dir.into()]);
        line
    }

    /// Returns the line for commands that work in another directory than the current one.
    fn in_directory(mut self, dir: &Path) -> Line {
        self.global.extend(["-C".into(), dir.into()]);
        self.git.extend(["-C".into(), dir.into()]);
        self.jj.extend(["-R".into(), dir.into()]);
        self
    }

    /// Returns a command of ours: these words after the program.
    pub fn banger<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> String {
        let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.joined(self.global.iter().chain(&words))
    }

    /// Returns a command of git's on the repository.
    pub fn git<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> String {
        let words = words.into_iter().map(|word| shell_word(word.as_ref()));
        self.git.iter().map(shell_word).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Returns a command of jj's on the workspace.
    pub fn jj(&self, words: &[&str]) -> String {
        self.jj.iter().map(shell_word).chain(words.iter().map(shell_word)).collect::<Vec<_>>().join(" ")
    }

    /// Returns the line of another command of ours, in the same place: these words after the program.
    pub fn instead(&self, words: Vec<OsString>) -> Line {
        Line { words: self.global.iter().cloned().chain(words).collect(), ..self.clone() }
    }

    /// Returns the line without what makes it a dry run.
    pub fn for_real(&self) -> Line {
        let mut line = self.clone();
        let end = line.words.iter().position(|word| word == "--").unwrap_or(line.words.len());
        let rest = line.words.split_off(end);
        line.words.retain(|word| word != "-n" && word != "--dry-run");
        for word in &mut line.words {
            // Among others, as in '-qn'.
            let text = word.to_string_lossy();
            if let Some(letters) = text.strip_prefix('-').filter(|rest| rest.bytes().all(|b| b.is_ascii_lowercase())) {
                *word = format!("-{}", letters.replace('n', "")).into();
            }
        }
        line.words.extend(rest);
        line
    }

    /// Returns the command that was typed, with an option added, or in place of the same option.
    pub fn with(&self, option: &str, value: Option<&str>) -> String {
        let end = self.words.iter().position(|word| word == "--").unwrap_or(self.words.len());
        let (mut words, rest) = (Vec::new(), &self.words[end..]);
        let mut given = self.words[..end].iter();
        while let Some(word) = given.next() {
            let bytes = word.as_encoded_bytes();
            if word == option {
                // Its value is the next word.
                if value.is_some() {
                    given.next();
                }
            } else if !bytes.strip_prefix(option.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")) {
                words.push(word.clone());
            }
        }
        words.extend([Some(option), value].into_iter().flatten().map(OsString::from));
        self.joined(words.iter().chain(rest))
    }

    /// Returns the command that was typed, with more pathspecs.
    pub fn with_pathspecs(&self, pathspecs: &[String]) -> String {
        let dashes = (!self.words.iter().any(|word| word == "--")).then(|| OsString::from("--"));
        let more: Vec<OsString> = dashes.into_iter().chain(pathspecs.iter().map(OsString::from)).collect();
        self.joined(self.words.iter().chain(&more))
    }

    fn joined<'a>(&self, words: impl Iterator<Item = &'a OsString>) -> String {
        words.fold(self.program.to_owned(), |line, word| line + " " + &shell_word(word))
    }

    /// Returns a next step of an error as a command; `None` where it needs a vm or a session and there is none.
    pub fn spell(&self, hint: &Hint, error: &Error) -> Option<Suggestion> {
        let vm = error.vm();
        let step = |command, purpose: &str| Some(Suggestion { command, purpose: purpose.to_owned() });
        let next = match hint {
            Hint::Next(next) => next,
            Hint::Run(suggestion) => return Some(suggestion.clone()),
        };
        match next {
            Next::Prepare => step(self.banger(["prepare", vm?]), "ships the repository there"),
            Next::Fetch => step(self.banger(["fetch", vm?]), ""),
            Next::BaseHead => step(self.with("--base-commit", Some("HEAD")), "takes what is not committed there"),
            Next::SkipUnreadable => step(self.with("--ignore-unreadable", None), "goes on without them"),
            Next::ListSessions => step(self.banger(["session", "list", vm?]), ""),
            Next::StopSession => step(self.banger(["session", "stop", vm?, error.session()?]), ""),
            Next::ReplaceSession => step(self.with("--replace", None), "takes its place, and removes its logs"),
            Next::TakeOver => step(self.with("--steal", None), "takes over"),
            Next::UpdateStaleInJj => step(self.jj(&["workspace", "update-stale"]), ""),
            Next::ShipNewest => step(self.with("--depth", Some("1")), "ships the newest commit without its history"),
            Next::Unshallow => step(self.git(["fetch", "--unshallow"]), ""),
            Next::Fsck => step(self.git(["fsck"]), ""),
            Next::ResolveInJj(revision) => step(self.jj(&["resolve", "-r", revision]), ""),
            Next::AbandonNewChange => step(self.jj(&["abandon", "@"]), "removes the new change, which is empty"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Line {
        let global = Global { ssh_config: Some("my config".into()), ..Global::default() };
        Line::new(words.split(' ').map(OsString::from).collect(), &global)
    }

    #[test]
    fn an_option_is_added_before_what_is_no_option_and_replaces_itself() {
        let with = |words: &str, option, value| line(words).with(option, value);
        assert_eq!(with("pull dev", "--base-commit", Some("HEAD")), "git banger pull dev --base-commit HEAD");
        assert_eq!(
            with("pull --base-commit x dev -- a", "--base-commit", Some("HEAD")),
            "git banger pull dev --base-commit HEAD -- a"
        );
        assert_eq!(with("pull --base-commit=x dev", "--base-commit", Some("@")), "git banger pull dev --base-commit @");
        assert_eq!(
            with("session start dev s -- a --replace", "--replace", None),
            "git banger session start dev s --replace -- a --replace"
        );
        let error = Error::refused("x").with_vm("dev").with_session("remove");
        let spelled = line("session remove dev remove").spell(&Hint::Next(Next::StopSession), &error);
        assert_eq!(spelled.unwrap().command, "git banger -F 'my config' session stop dev remove");
    }

    #[test]
    fn another_command_works_in_the_same_place() {
        assert_eq!(line("pull dev").banger(["prepare", "dev"]), "git banger -F 'my config' prepare dev");
        let line = line("pull dev").in_directory(Path::new("/x y"));
        assert_eq!(line.git(["fsck"]), "git -C '/x y' fsck");
        assert_eq!(line.spell(&Hint::Next(Next::Prepare), &Error::refused("x")), None);
        let chosen = self::line("pull dev -qn").chosen(Path::new("/x"));
        assert_eq!(chosen.for_real().with("--stat", None), "git banger -C /x pull dev -q --stat");
    }
}
