//! The exit codes of the guest's scripts, and the errors that they stand for.
//!
//! [`VERDICTS`] is the one table: the comment in prelude.sh is made from it, and a test holds every `die` to it.

use super::script::Script;
use crate::error::Kind::{Incapable, Refused, Unconfirmed, Unreachable};
use crate::error::{Error, Kind, Next};

/// What an exit code of a script means.
pub struct Verdict {
    /// The exit code.
    pub code: u32,
    /// What it says, in the comment of prelude.sh.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test makes the comment of it"))]
    pub means: &'static str,
    /// The kind of the error.
    pub kind: Kind,
    /// Our words for people: the rest of a sentence that begins with "guest 'dev'".
    pub message: &'static str,
    /// What helps, where that is no command, with `<vm>` for the vm's name; may be empty.
    pub detail: &'static str,
    /// The command that helps.
    pub next: Option<Next>,
}

/// Every exit code that a script of ours ends with by itself.
pub const VERDICTS: &[Verdict] = &[
    of(75, "something is in the way", Refused, "has something in the way"),
    of(76, "an operation is in progress", Refused, "is in the middle of an operation")
        .detail("end it in the guest, such as by 'git rebase --abort', then prepare again"),
    of(77, "the workspace has changed meanwhile", Refused, "was changed meanwhile")
        .detail("nothing was changed by this; prepare again when the worker pauses"),
    of(78, "the log is shorter", Refused, "has less output than that"),
    of(79, "no directory to start in", Incapable, "has no such directory"),
    of(80, "the session cannot be stopped", Incapable, "cannot stop the session"),
    of(81, "no git", Incapable, "has no git").detail("install git 2.25 or later in the guest"),
    of(82, "git is too old", Incapable, "has a git that is too old").detail("install a newer git in the guest"),
    of(83, "no workspace", Incapable, "has no usable workspace")
        .detail("if the workspace is elsewhere in the guest, name it: banger.<vm>.path in git's configuration")
        .next(Next::Prepare),
    of(84, "unknown base", Incapable, "does not have the base").next(Next::BaseHead),
    of(85, "unreadable files", Incapable, "cannot read some files")
        .detail("make them readable in the guest, or go on without them")
        .next(Next::SkipUnreadable),
    of(86, "no room for the files that we need", Incapable, "has no room to work")
        .detail("make room there, or set TMPDIR for the guest's SSH user"),
    of(87, "the path is taken", Refused, "cannot make the workspace at its path")
        .detail("choose another directory with --path, or empty that one in the guest"),
    of(88, "the upload is damaged", Unreachable, "received only part of the upload")
        .detail("nothing was left behind in the guest; try again"),
    of(89, "files keep changing", Incapable, "cannot add some files to the snapshot")
        .detail("try again when the worker pauses"),
    of(90, "git failed", Incapable, "reports that git failed"),
    of(91, "refused, and nothing was written", Refused, "refused; nothing was written"),
    of(92, "the command cannot start", Incapable, "cannot start the command").detail(
        "it runs without a login shell: name the program by its whole path, or start a login shell that runs it",
    ),
    of(93, "the session's name was used", Refused, "has an ended session of that name").next(Next::ReplaceSession),
    of(94, "no such session", Refused, "has no such session").next(Next::ListSessions),
    of(95, "the session is running", Refused, "is still running the session").next(Next::StopSession),
    of(96, "another is attached", Refused, "has somebody else attached").next(Next::TakeOver),
    // Not refused: what was typed until then went in.
    of(
        97,
        "another took over; messages may have been sent",
        Incapable,
        "reports that somebody else took over the session",
    ),
    of(98, "some of the message may have been written", Unconfirmed, "may have written a part of the message"),
    of(99, "the repository belongs to another user", Incapable, "has a repository of another user there")
        .detail("log in as its owner; or, if you trust that user, name it in safe.directory of the guest's git"),
];

const fn of(code: u32, means: &'static str, kind: Kind, message: &'static str) -> Verdict {
    Verdict { code, means, kind, message, detail: "", next: None }
}

impl Verdict {
    const fn detail(self, detail: &'static str) -> Verdict {
        Verdict { detail, ..self }
    }

    const fn next(self, next: Next) -> Verdict {
        Verdict { next: Some(next), ..self }
    }
}

/// Returns the error for a script that ended with a status other than 0.
pub fn verdict(script: &Script, vm: &str, status: u32, stderr: &[u8]) -> Error {
    let found = VERDICTS.iter().find(|verdict| verdict.code == status && script.ends_with(status));
    let (kind, message) = match (found, status) {
        (Some(verdict), _) => (verdict.kind, verdict.message.to_owned()),
        // The shell's own.
        (None, 126 | 127) => (Incapable, "lacks a program".to_owned()),
        (None, _) if stderr.trim_ascii().is_empty() => {
            (Incapable, format!("ended the script with status {status}, and said nothing"))
        }
        (None, _) => (Incapable, format!("ended the script with status {status}")),
    };
    // The guest may say anything, and nothing rests on it.
    let error = Error::new(kind, format!("guest '{vm}' {message}")).with_vm(vm).said("guest", stderr);
    let error = match found.map_or("", |verdict| verdict.detail) {
        "" => error,
        detail => error.detail(detail.replace("<vm>", vm)),
    };
    found.and_then(|verdict| verdict.next).into_iter().fold(error, Error::next)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::guest::script::{CHECK, EXPORT, PREPARE, SEND, SESSION_LOGS};

    /// Returns the text of every script, by its name.
    fn scripts() -> Vec<(String, String)> {
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guest");
        let mut found = Vec::new();
        let mut folders = vec![guest];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "sh") {
                    found.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
                }
            }
        }
        found
    }

    #[test]
    fn the_comment_in_the_prelude_is_the_table() {
        let lines = VERDICTS.iter().map(|verdict| format!("#   {} {}\n", verdict.code, verdict.means));
        let wanted = format!("# Exit codes; the table is in verdict.rs:\n{}\n", lines.collect::<String>());
        assert!(include_str!("prelude.sh").contains(&wanted), "wanted in prelude.sh:\n{wanted}");
    }

    #[test]
    fn every_code_that_a_script_dies_with_is_in_the_table_and_every_one_there_is_used() {
        let mut used = BTreeSet::new();
        for (name, text) in scripts() {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let words: Vec<_> = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || c == '\'')).collect();
            for pair in words.windows(2) {
                if !["die", "failed", "gb_end"].contains(&pair[0]) {
                    continue;
                }
                match pair[1].parse::<u32>() {
                    // 128 and the number of a signal.
                    Ok(code) if code > 128 && pair[0] == "gb_end" => {}
                    Ok(code) => {
                        assert!(VERDICTS.iter().any(|verdict| verdict.code == code), "{name}: {} {code}", pair[0]);
                        used.insert(code);
                    }
                    // 'failed' passes on what it was given; in awk it is a variable.
                    Err(_) => assert!(pair[0] != "die" || pair[1] == "\"$1\"", "{name}: {pair:?}"),
                }
            }
        }
        assert_eq!(used.into_iter().collect::<Vec<_>>(), VERDICTS.iter().map(|v| v.code).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_script_said_stands_behind_the_guests_name_and_cannot_steer_the_terminal() {
        let error = verdict(&EXPORT, "dev", 99, b"the repository in '\x1b[2Jw' belongs to another user\nhint: sudo\n");
        assert_eq!(error.to_string(), "guest 'dev' has a repository of another user there");
        let said = ["guest: the repository in '\\x1b[2Jw' belongs to another user", "guest: hint: sudo"];
        assert_eq!(error.details()[..2], said);
        assert_eq!(
            verdict(&SESSION_LOGS, "dev", 97, b"").to_string(),
            "guest 'dev' reports that somebody else took over the session"
        );
        assert!(
            verdict(&EXPORT, "dev", 1, b"").to_string().ends_with("ended the script with status 1, and said nothing")
        );
        let lacking = verdict(&EXPORT, "dev", 127, b"sh: no dd\n");
        assert_eq!(
            (lacking.to_string().as_str(), lacking.details()),
            ("guest 'dev' lacks a program", &["guest: sh: no dd".to_owned()][..])
        );
    }

    #[test]
    fn a_code_that_the_script_never_ends_with_is_the_choice_of_the_guest() {
        for (script, status) in [(&EXPORT, 93), (&SEND, 84), (&CHECK, 85), (&PREPARE, 98), (&EXPORT, 96), (&SEND, 95)] {
            let error = verdict(script, "dev", status, b"");
            let told = format!("guest 'dev' ended the script with status {status}, and said nothing");
            assert_eq!((error.to_string(), error.kind(), error.hints()), (told, Incapable, &[][..]));
        }
    }
}
