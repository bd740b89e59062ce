//! The guest's scripts: the files that each is made of, and the names of its arguments.

const PRELUDE: &str = include_str!("prelude.sh");
const WORKSPACE: &str = include_str!("workspace.sh");
const SNAPSHOT: &str = include_str!("snapshot.sh");
const PLACE: &str = include_str!("place.sh");
const PROCESS: &str = include_str!("session/process.sh");
const COMMON: &str = include_str!("session/common.sh");

/// A guest script: what a verb runs in the guest. The head of its file says what each argument is.
pub struct Script {
    /// The verb, for messages.
    pub name: &'static str,
    parts: &'static [&'static str],
    /// The names of its arguments. Each call gives all of them, so that none comes from the guest's environment.
    pub takes: &'static [&'static str],
    /// It takes a list of words as well.
    pub takes_words: bool,
}

/// Exports the guest's work.
pub const EXPORT: Script = Script {
    name: "export",
    parts: &[PRELUDE, WORKSPACE, SNAPSHOT, include_str!("export.sh")],
    takes: &["workspace", "base", "payload", "ignore_unreadable", "prepared", "baseline", "given"],
    takes_words: false,
};
/// Looks at where a workspace is to be.
pub const LOOK: Script = Script {
    name: "look",
    parts: &[PRELUDE, PLACE, include_str!("look.sh")],
    takes: &["workspace", "known", "given", "replaced"],
    takes_words: false,
};
/// Makes the workspace.
pub const PREPARE: Script = Script {
    name: "prepare",
    parts: &[PRELUDE, PLACE, include_str!("prepare.sh")],
    takes: &[
        "workspace",
        "branch",
        "head",
        "unborn",
        "baseline",
        "object_format",
        "user_name",
        "user_email",
        "shallow",
        "ignores",
    ],
    takes_words: false,
};
/// Brings the workspace to what the host has now.
pub const AGAIN: Script = Script {
    name: "prepare again",
    parts: &[PRELUDE, WORKSPACE, SNAPSHOT, PLACE, include_str!("again.sh")],
    takes: &[
        "workspace",
        "base",
        "ignore_unreadable",
        "prepared",
        "baseline",
        "expected",
        "new_branch",
        "new_head",
        "unborn",
        "new_baseline",
        "user_name",
        "user_email",
        "ends",
        "ignores",
    ],
    takes_words: false,
};
/// Tells what a repository holds beside a snapshot.
pub const STATUS: Script = Script {
    name: "status",
    parts: &[PRELUDE, WORKSPACE, include_str!("status.sh")],
    takes: &["workspace", "given"],
    takes_words: false,
};
/// Tells what the guest has.
pub const CHECK: Script = Script {
    name: "check",
    parts: &[PRELUDE, PROCESS, COMMON, include_str!("check.sh")],
    takes: &["workspace"],
    takes_words: false,
};

macro_rules! session {
    ($name:literal, $takes:expr, $takes_words:expr) => {
        Script {
            name: concat!("session ", $name),
            parts: &[PRELUDE, PROCESS, COMMON, include_str!(concat!("session/", $name, ".sh"))],
            takes: &$takes,
            takes_words: $takes_words,
        }
    };
}

/// Starts a session.
pub const SESSION_START: Script =
    session!("start", ["name", "workspace", "folder", "piped", "replace", "runner", "variables"], true);
/// Lists sessions.
pub const SESSION_LIST: Script = session!("list", ["name"], false);
/// Shows logs.
pub const SESSION_LOGS: Script = session!("logs", ["name", "out_from", "err_from", "follow", "who", "steal"], false);
/// Waits for the end of a session.
pub const SESSION_WAIT: Script = session!("wait", ["name", "timeout"], false);
/// Stops a session.
pub const SESSION_STOP: Script = session!("stop", ["name", "signal", "grace"], false);
/// Removes a session.
pub const SESSION_REMOVE: Script = session!("remove", ["name"], false);
/// Writes a message into a FIFO.
pub const SEND: Script = session!("send", ["name", "fifo_path", "length", "sum", "timeout", "eof", "key"], false);

impl Script {
    /// Tells whether it ends with an exit code by itself: any other is one that something else in the guest chose.
    pub fn ends_with(&self, code: u32) -> bool {
        let ends = ["die", "failed", "gb_end"].map(|word| format!("{word} {code}"));
        self.parts.iter().any(|part| ends.iter().any(|end| part.contains(end)))
    }

    /// Returns the lines that are sent.
    pub fn lines(&self) -> Vec<u8> {
        lines(self.parts)
    }
}

/// Returns the script that stays in the guest beside a session's process.
pub fn runner() -> Vec<u8> {
    let mut text = lines(&[PROCESS, include_str!("session/runner.sh")]);
    text.extend(b"main \"$@\"");
    text
}

/// Returns the lines of a script, without what only its readers need.
fn lines(parts: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in parts.iter().flat_map(|part| part.lines()) {
        let line = line.trim_start_matches('\t');
        // The guest reads the script byte by byte: comments would be a third of them.
        if !line.is_empty() && !line.starts_with('#') {
            text.extend(line.bytes());
            text.push(b'\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::args::Args;

    const SCRIPTS: [Script; 13] = [
        EXPORT,
        LOOK,
        PREPARE,
        AGAIN,
        STATUS,
        CHECK,
        SESSION_START,
        SESSION_LIST,
        SESSION_LOGS,
        SESSION_WAIT,
        SESSION_STOP,
        SESSION_REMOVE,
        SEND,
    ];

    /// Gives a script every argument that it takes, all of them empty.
    fn filled(script: &Script) -> Args<'_> {
        script.takes.iter().fold(script.args(), |args, name| args.set(name, ""))
    }

    #[test]
    fn a_script_is_given_what_it_takes_and_no_less_or_more() {
        for script in &SCRIPTS {
            assert!(filled(script).text("n").is_ok(), "{}", script.name);
            assert!(script.args().text("n").is_err(), "{}: too few", script.name);
            assert!(filled(script).set("other", "").text("n").is_err(), "{}: too many", script.name);
            assert_eq!(filled(script).words(["word"]).text("n").is_ok(), script.takes_words, "{}", script.name);
        }
    }

    #[test]
    fn the_head_of_a_script_lists_its_arguments() {
        for script in &SCRIPTS {
            let head = script.parts.last().unwrap().lines().take_while(|line| line.starts_with('#'));
            let listed: Vec<_> = head
                .filter_map(|line| line.strip_prefix("# ")?.split_once(" - "))
                .map(|(name, _)| name)
                .filter(|name| !name.contains(' '))
                .collect();
            let mut takes = script.takes.to_vec();
            takes.extend(script.takes_words.then_some("$1…"));
            assert_eq!(listed, takes, "the head of '{}'", script.name);
        }
    }

    #[test]
    fn no_script_gives_a_variable_the_name_of_an_argument() {
        for script in &SCRIPTS {
            let text = String::from_utf8(script.lines()).unwrap();
            for name in script.takes.iter().chain(&["nonce"]) {
                let set = text.match_indices(&format!("{name}=")).any(|(at, _)| text[..at].ends_with([' ', '\n', '(']));
                let read = ["read -r ", "for "].iter().any(|how| {
                    text.lines()
                        .filter_map(|line| Some(line.split_once(how)?.1))
                        .any(|rest| rest.split(['<', ';']).next().unwrap().split(' ').any(|word| word == *name))
                });
                assert!(!set && !read, "'{}' sets '{name}'", script.name);
                assert!(!name.starts_with("gb_"), "'{name}' could be the prelude's");
            }
        }
    }

    #[test]
    fn the_script_is_sent_without_its_comments() {
        let text = String::from_utf8(EXPORT.lines()).unwrap();
        assert!(!text.lines().any(|line| line.starts_with('#')));
        // A '#' elsewhere is no comment.
        assert!(text.contains("${") && text.contains("#*"), "{text}");
        let kept = EXPORT.parts.iter().flat_map(|part| part.lines()).map(str::trim_start);
        let kept: Vec<_> = kept.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), kept);
    }
}
