//! Turns a guest script into one call: prelude, script and quoted arguments.

use std::io::Read;

use crate::ssh::Call;
use crate::ui::{self, Keep};

const PRELUDE: &str = include_str!("prelude.sh");
const SNAPSHOT: &str = include_str!("snapshot.sh");

/// A guest script: what a verb runs in the guest.
pub struct Script {
    name: &'static str,
    parts: &'static [&'static str],
}

/// Exports the guest's work; see the head of the file for its arguments.
pub const EXPORT: Script = Script { name: "export", parts: &[PRELUDE, SNAPSHOT, include_str!("export.sh")] };
/// Makes the workspace; see the head of the file for its arguments.
pub const PREPARE: Script = Script { name: "prepare", parts: &[PRELUDE, include_str!("prepare.sh")] };

macro_rules! session {
    ($name:literal) => {
        Script {
            name: concat!("session ", $name),
            parts: &[
                PRELUDE,
                include_str!("session/process.sh"),
                include_str!("session/common.sh"),
                include_str!(concat!("session/", $name, ".sh")),
            ],
        }
    };
}

/// Tells what the guest has.
pub const CHECK: Script = Script {
    name: "check",
    parts: &[PRELUDE, include_str!("session/process.sh"), include_str!("session/common.sh"), include_str!("check.sh")],
};
/// Starts a session.
pub const SESSION_START: Script = session!("start");
/// Lists sessions.
pub const SESSION_LIST: Script = session!("list");
/// Shows logs.
pub const SESSION_LOGS: Script = session!("logs");
/// Waits for the end of a session.
pub const SESSION_WAIT: Script = session!("wait");
/// Stops a session.
pub const SESSION_STOP: Script = session!("stop");
/// Removes a session.
pub const SESSION_REMOVE: Script = session!("remove");
/// Writes a message into a FIFO.
pub const SEND: Script = session!("send");

/// Returns the script that stays in the guest beside a session's process.
pub fn runner() -> Vec<u8> {
    let parts = &[include_str!("session/process.sh"), include_str!("session/runner.sh")];
    let mut text = lines(parts);
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

impl Script {
    /// Returns the whole text that the guest's shell evaluates.
    ///
    /// Arguments are words of the script, so that no login shell ever sees them. Everything stands in one pair of
    /// braces, so that a script which was cut anywhere is a syntax error, and runs nothing.
    pub fn text(&self, args: &[&[u8]]) -> Vec<u8> {
        let mut text = b"{\n".to_vec();
        text.extend(lines(self.parts));
        text.extend(b"main");
        for arg in args {
            text.push(b' ');
            quote(arg, &mut text);
        }
        text.extend(b"\n}");
        text
    }

    /// Returns the call that runs the script: its text comes over stdin, and what follows there is the script's own.
    pub fn call(&self, args: &[&[u8]], payload: Option<Box<dyn Read + Send>>) -> Call {
        let script = self.text(args);
        if ui::tracing() {
            let shown = args.iter().map(|arg| format!(" '{}'", ui::sanitise(arg, Keep::Nothing))).collect::<String>();
            ui::trace(&format!("guest script '{}' ({} bytes): main{shown}", self.name, script.len()));
        }
        // 'dd bs=1' takes exactly the script and leaves the rest of stdin, which no shell's own reading does. 'head'
        // may take more, and is done at once (1 ms against 27): good where nothing follows but the end. Not every head
        // has '-c', which POSIX does not know. No character here means anything to fish or csh.
        let length = script.len();
        let read = match payload {
            Some(_) => format!("dd bs=1 count={length} 2>/dev/null"),
            None => format!("head -c {length} 2>/dev/null || dd bs=1 count={length} 2>/dev/null"),
        };
        let command = format!("exec sh -c 'eval \"$({read})\"' git-banger");
        Call { command, script, payload }
    }
}

fn quote(arg: &[u8], text: &mut Vec<u8>) {
    text.push(b'\'');
    for &byte in arg {
        match byte {
            b'\'' => text.extend(br"'\''"),
            byte => text.push(byte),
        }
    }
    text.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_single_quoted_words_of_the_script() {
        let text = PREPARE.text(&[b"it's", b"", b"$(x)\n"]);
        assert!(text.ends_with(b"\nmain 'it'\\''s' '' '$(x)\n'\n}"));
    }

    #[test]
    fn the_script_is_sent_without_its_comments() {
        let text = String::from_utf8(EXPORT.text(&[])).unwrap();
        assert!(!text.lines().any(|line| line.starts_with('#')));
        assert!(text.contains("git bundle"), "the header of a bundle starts with a '#', but is no comment");
    }
}
