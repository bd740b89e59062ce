//! The exit codes of the guest's scripts, and the errors that they stand for.
//!
//! [`VERDICTS`] is the one table: the comment in prelude.sh is made from it, and a test holds every `die` to it.

use crate::error::{Error, Kind};
use crate::ui::{self, Keep};

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
    /// What the user can run next.
    pub next: Option<Next>,
    /// A next step that is no command of ours; may be empty.
    pub detail: &'static str,
}

/// What the user can run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ship a workspace, or name the one that is there.
    Prepare,
    /// Leave the base out, or name another.
    BaseHead,
    /// Go on without unreadable files.
    SkipUnreadable,
    /// See which sessions there are.
    ListSessions,
    /// Stop the session first.
    StopSession,
    /// Replace the session that has ended.
    ReplaceSession,
    /// Take over from whoever is attached.
    TakeOver,
}

/// Every exit code that a script of ours ends with by itself.
pub const VERDICTS: &[Verdict] = &[
    Verdict {
        code: 80,
        means: "the session cannot be stopped",
        kind: Kind::Incapable,
        message: "cannot stop the session",
        next: None,
        detail: "",
    },
    Verdict {
        code: 81,
        means: "no git",
        kind: Kind::Incapable,
        message: "has no git",
        next: None,
        detail: "install git 2.25 or later in the guest",
    },
    Verdict {
        code: 82,
        means: "git is too old",
        kind: Kind::Incapable,
        message: "has a git that is too old",
        next: None,
        detail: "install a newer git in the guest",
    },
    Verdict {
        code: 83,
        means: "no workspace",
        kind: Kind::Incapable,
        message: "has no usable workspace",
        next: Some(Next::Prepare),
        detail: "",
    },
    Verdict {
        code: 84,
        means: "unknown base",
        kind: Kind::Incapable,
        message: "does not have the base",
        next: Some(Next::BaseHead),
        detail: "",
    },
    Verdict {
        code: 85,
        means: "unreadable files",
        kind: Kind::Incapable,
        message: "cannot read some files",
        next: Some(Next::SkipUnreadable),
        detail: "",
    },
    Verdict {
        code: 86,
        means: "no room for the files that we need",
        kind: Kind::Incapable,
        message: "has no room to work",
        next: None,
        detail: "make room there, or set TMPDIR for the guest's SSH user",
    },
    Verdict {
        code: 87,
        means: "the path is taken",
        kind: Kind::Refused,
        message: "cannot use the path",
        next: None,
        detail: "choose another folder with --path, or empty that one in the guest",
    },
    Verdict {
        code: 88,
        means: "the upload is damaged",
        kind: Kind::Unreachable,
        message: "did not get the whole upload",
        next: None,
        detail: "nothing was left behind in the guest; try again",
    },
    Verdict {
        code: 89,
        means: "files keep changing",
        kind: Kind::Incapable,
        message: "cannot add some files to the snapshot",
        next: None,
        detail: "try again when the worker pauses",
    },
    Verdict {
        code: 90,
        means: "git failed",
        kind: Kind::Incapable,
        message: "reports that git failed",
        next: None,
        detail: "",
    },
    Verdict {
        code: 91,
        means: "refused, and nothing was written",
        kind: Kind::Refused,
        message: "refuses",
        next: None,
        detail: "",
    },
    Verdict {
        code: 92,
        means: "the command cannot start",
        kind: Kind::Incapable,
        message: "cannot start the command",
        next: None,
        detail: "it runs without a login shell; with one: -- sh -lc 'exec COMMAND'",
    },
    Verdict {
        code: 93,
        means: "the session's name was used",
        kind: Kind::Refused,
        message: "has used the session's name before",
        next: Some(Next::ReplaceSession),
        detail: "",
    },
    Verdict {
        code: 94,
        means: "no such session",
        kind: Kind::Refused,
        message: "has no such session",
        next: Some(Next::ListSessions),
        detail: "",
    },
    Verdict {
        code: 95,
        means: "the session is running",
        kind: Kind::Refused,
        message: "still runs the session",
        next: Some(Next::StopSession),
        detail: "",
    },
    Verdict {
        code: 96,
        means: "another is attached",
        kind: Kind::Refused,
        message: "has somebody else attached",
        next: Some(Next::TakeOver),
        detail: "",
    },
    Verdict {
        code: 97,
        means: "another took over; messages may have been sent",
        // Not refused: what was typed until then went in.
        kind: Kind::Incapable,
        message: "let another take over",
        next: None,
        detail: "",
    },
    Verdict {
        code: 98,
        means: "some of the message may have been written",
        kind: Kind::Unconfirmed,
        message: "may have written a part of the message",
        next: None,
        detail: "--id lets a message be sent again, and be delivered once",
    },
    Verdict {
        code: 99,
        means: "the repository belongs to another user",
        kind: Kind::Incapable,
        message: "has a repository of another user there",
        next: None,
        detail: "log in as its owner; or, if you trust that user, run in the guest: \
                 git config --global --add safe.directory DIR",
    },
];

/// Returns the error for a script that ended with a status other than 0.
pub fn verdict(vm: &str, status: u32, stderr: &[u8]) -> Error {
    let found = VERDICTS.iter().find(|verdict| verdict.code == status);
    let (kind, message) = match (found, status) {
        (Some(verdict), _) => (verdict.kind, verdict.message.to_owned()),
        // The shell's own.
        (None, 126 | 127) => (Kind::Incapable, "lacks a program".to_owned()),
        (None, _) => (Kind::Incapable, format!("ended the script with status {status}")),
    };
    // The guest's own words. It may say anything, and nothing rests on them.
    let said = ui::sanitise(stderr.trim_ascii(), Keep::Lines);
    let message = match (said.as_str(), found) {
        ("", None) => format!("guest '{vm}' {message} and said nothing"),
        ("", Some(_)) => format!("guest '{vm}' {message}"),
        (said, _) => format!("guest '{vm}' {message}: {said}"),
    };
    let error = Error::new(kind, message);
    let next = found.and_then(|verdict| verdict.next).map(|next| next.hint(vm));
    let detail = found.map(|verdict| verdict.detail.to_owned()).filter(|detail| !detail.is_empty());
    next.into_iter().chain(detail).fold(error, Error::hint)
}

impl Next {
    fn hint(self, vm: &str) -> String {
        match self {
            Next::Prepare => {
                format!("name the workspace: git config banger.{vm}.path DIR, or ship one: git banger prepare {vm}")
            }
            Next::BaseHead => {
                "leave out --base-commit for the guest's HEAD, or name a commit that the guest has".to_owned()
            }
            Next::SkipUnreadable => {
                "make them readable in the guest, or go on without them: --ignore-unreadable".to_owned()
            }
            Next::ListSessions => format!("git banger session list {vm}"),
            Next::StopSession => format!("stop it first: git banger session stop {vm} NAME"),
            Next::ReplaceSession => "--replace takes its place, and removes its logs".to_owned(),
            Next::TakeOver => "--steal takes over".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

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
    fn what_a_script_said_follows_our_message_and_cannot_steer_the_terminal() {
        let error = verdict("dev", 99, b"the repository in '\x1b[2Jw' belongs to another user\n").to_string();
        assert!(
            error.starts_with("guest 'dev' has a repository of another user there: the repository in '"),
            "{error}"
        );
        assert!(error.ends_with("belongs to another user") && !error.contains('\x1b'), "{error}");
        assert_eq!(verdict("dev", 97, b"").to_string(), "guest 'dev' let another take over");
        assert!(verdict("dev", 1, b"").to_string().contains("ended the script with status 1 and said nothing"));
        assert_eq!(verdict("dev", 127, b"sh: no dd\n").to_string(), "guest 'dev' lacks a program: sh: no dd");
    }
}
