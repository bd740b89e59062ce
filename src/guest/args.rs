//! What a guest script is given: named arguments, words, and the nonce; and the one call that becomes of it.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use super::script::Script;
use crate::error::{Error, Result};
use crate::ssh::Call;
use crate::text;

/// A script and the arguments that it was given so far.
pub struct Args<'a> {
    /// What it is given to.
    pub script: &'a Script,
    given: Vec<(&'static str, Vec<u8>)>,
    words: Vec<Vec<u8>>,
}

impl Script {
    /// Begins a call.
    pub fn args(&self) -> Args<'_> {
        Args { script: self, given: Vec::new(), words: Vec::new() }
    }
}

impl Args<'_> {
    /// Gives an argument.
    pub fn set(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.given.push((name, value.as_ref().to_vec()));
        self
    }

    /// Gives an argument that is yes or no.
    pub fn flag(self, name: &'static str, on: bool) -> Self {
        self.set(name, if on { "1" } else { "" })
    }

    /// Gives an argument that is a list of words without blanks.
    pub fn list(self, name: &'static str, words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.set(name, words.join(" "))
    }

    /// Gives words of any kind, which the script gets as `$1…`.
    pub fn words(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().as_bytes().to_vec()));
        self
    }

    /// Returns the whole text that the guest's shell evaluates; `nonce` is an argument that every script takes.
    ///
    /// Arguments are part of the script, so that no login shell ever sees them. Everything stands in one pair of
    /// braces, so that a script which was cut anywhere is a syntax error, and runs nothing.
    ///
    /// # Errors
    /// When the arguments are not those that the script takes.
    pub fn text(&self, nonce: &str) -> Result<Vec<u8>> {
        self.check()?;
        let mut text = b"{\n".to_vec();
        text.extend(self.script.lines());
        for (name, value) in [("nonce", nonce.as_bytes())].into_iter().chain(self.values()) {
            text.extend(name.bytes());
            text.push(b'=');
            quote(value, &mut text);
            text.push(b'\n');
        }
        text.extend(b"main");
        for word in &self.words {
            text.push(b' ');
            quote(word, &mut text);
        }
        text.extend(b"\n}");
        Ok(text)
    }

    /// Returns the call that runs the script: its text comes over stdin, and what follows there is the script's own.
    ///
    /// # Errors
    /// As [`Args::text`].
    pub fn call(&self, nonce: &str, payload: Option<Box<dyn Read + Send>>) -> Result<Call> {
        let script = self.text(nonce)?;
        // 'dd bs=1' takes exactly the script and leaves the rest of stdin, which no shell's own reading does. 'head'
        // may take more, and is done at once (1 ms against 27): good where nothing follows but the end. Not every head
        // has '-c', which POSIX does not know. No character here means anything to fish or csh.
        let length = script.len();
        let read = match payload {
            Some(_) => format!("dd bs=1 count={length} 2>/dev/null"),
            None => format!("head -c {length} 2>/dev/null || dd bs=1 count={length} 2>/dev/null"),
        };
        let command = format!("exec sh -c 'eval \"$({read})\"' git-banger");
        Ok(Call { command, script, payload })
    }

    /// Returns the call for a user who looks for a fault.
    pub fn shown(&self) -> String {
        let named = self.values().map(|(name, value)| format!(" {name}={}", text::path(value)));
        let words = self.words.iter().map(|word| format!(" {}", text::path(word)));
        format!("guest script '{}':{}", self.script.name, named.chain(words).collect::<String>())
    }

    fn values(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.given.iter().map(|(name, value)| (*name, value.as_slice()))
    }

    /// Holds what was given to what the script takes.
    fn check(&self) -> Result<()> {
        let script = self.script;
        let given: Vec<_> = self.given.iter().map(|(name, _)| *name).collect();
        if given != script.takes {
            let (name, takes) = (script.name, script.takes);
            return Err(Error::bug(format!("the guest script '{name}' takes {takes:?}, and was given {given:?}")));
        }
        if !self.words.is_empty() && !script.takes_words {
            return Err(Error::bug(format!("the guest script '{}' takes no words", script.name)));
        }
        Ok(())
    }
}

fn quote(value: &[u8], text: &mut Vec<u8>) {
    text.push(b'\'');
    for &byte in value {
        match byte {
            b'\'' => text.extend(br"'\''"),
            byte => text.push(byte),
        }
    }
    text.push(b'\'');
}

#[cfg(test)]
mod tests {
    use crate::guest::script::SESSION_START;
    use crate::guest::script::SESSION_WAIT;

    #[test]
    fn arguments_are_single_quoted_and_words_follow_main() {
        let text = SESSION_WAIT.args().set("name", "it's").set("timeout", "$(x)\n").text("n").unwrap();
        assert!(text.ends_with(b"\n}\nnonce='n'\nname='it'\\''s'\ntimeout='$(x)\n'\nmain\n}"));
        let args = SESSION_START.args().set("name", "").set("workspace", "").set("folder", "").flag("piped", true);
        let args = args.flag("replace", false).list("runner", ["a", "b"]).set("variables", "0");
        let text = args.words(["it's", "", "$(x)\n"]).text("n").unwrap();
        let end = b"\npiped='1'\nreplace=''\nrunner='a b'\nvariables='0'\nmain 'it'\\''s' '' '$(x)\n'\n}";
        assert!(text.ends_with(end));
    }
}
