//! How the program speaks: the words for what the rooms below report and ask, and for a failure, as text and as JSON.

use std::process::ExitCode;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::line::Line;
use super::report::JsonPath;
use crate::error::{Error, Result, Suggestion};
use crate::reporter::{Notice, Progress, Question, Reporter, Step};
use crate::text;
use crate::ui::Ui;

/// What speaks for one run.
#[derive(Debug)]
pub struct Voice {
    /// The terminal.
    pub ui: Ui,
    /// The command line that was typed.
    pub line: Line,
    /// Results and failures go to stdout as JSON.
    pub json: bool,
    /// Held while a question is asked.
    pub asking: Mutex<()>,
}

impl Voice {
    /// Prints a failure, and returns the exit code.
    pub fn fail(&self, error: &Error) -> ExitCode {
        self.fail_with(error, Map::new())
    }

    /// Prints a failure that also has a result, which becomes one object with it in JSON; returns the exit code.
    pub fn fail_with(&self, error: &Error, result: Map<String, Value>) -> ExitCode {
        let hints: Vec<Suggestion> = error.hints().iter().filter_map(|hint| self.line.spell(hint, error)).collect();
        self.ui.error(error, &hints);
        if self.json {
            let object = failure(error, &hints, result).to_string();
            self.ui.last_word(&format!("{}\n", text::json(&object)));
        }
        ExitCode::from(error.kind().code())
    }
}

/// Returns the object that stands for a failure on stdout; the page has its schema (JSON).
pub fn failure(error: &Error, hints: &[Suggestion], mut object: Map<String, Value>) -> Value {
    if let Some(vm) = error.vm() {
        object.entry("vm").or_insert_with(|| vm.into());
    }
    let path = |fault: &crate::error::Fault| {
        let mut path = json!(JsonPath::new(&fault.path));
        path["kind"] = fault.kind.into();
        path["why"] = fault.why.as_str().into();
        path
    };
    let error = json!({
        "kind": error.kind().word(),
        "message": error.to_string(),
        "details": error.details(),
        "paths": error.faults().iter().map(path).collect::<Vec<_>>(),
        "hints": hints.iter().map(|hint| &hint.command).collect::<Vec<_>>(),
    });
    object.insert("error".to_owned(), error);
    object.into()
}

impl Reporter for Voice {
    fn call(&self, shown: &str, whole: &str) {
        self.ui.trace(shown, whole);
    }

    fn trace(&self, what: &str) {
        self.ui.trace(what, what);
    }

    fn step(&self, step: Step<'_>) -> Progress {
        self.ui.progress(&match step {
            Step::Receiving(vm) => format!("receiving from '{vm}'"),
            Step::Sending(vm) => format!("sending to '{vm}'"),
        })
    }

    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Banner { host, text } => {
                for line in text::lines(&text) {
                    self.ui.status(&format!("{host}: {line}"));
                }
            }
            Notice::HostKeyAdded { host, file, key } => {
                self.ui.status(&format!("host key of '{host}' added to {}: {key}", file.display()));
            }
            Notice::HostKeyNotAdded { file, why } => {
                self.ui.warn(&format!("cannot add the host key to '{}': {why}", file.display()));
            }
            Notice::HostKeyChanged { host, key, known: (file, line) } => {
                let known = format!("{}:{line}", file.display());
                self.ui.warn(&format!("the host key of '{host}' is now {key}, not the one in {known}"));
            }
            Notice::KnownHostsUnreadable { file, why } => {
                self.ui.warn(&format!("cannot read '{}': {why}", file.display()));
            }
            Notice::OptionIgnored { option, host } => {
                self.ui.warn(&format!(
                    "ssh_config sets {option} for '{host}', which is not supported yet and has no effect"
                ));
            }
            Notice::Jj(said) => {
                for line in text::lines(&said) {
                    self.ui.warn(&format!("jj: {}", line.strip_prefix("Warning: ").unwrap_or(&line)));
                }
            }
            Notice::Git(said) => {
                for line in text::lines(&said) {
                    self.ui.warn(&format!("git: {}", line.strip_prefix("warning: ").unwrap_or(&line)));
                }
            }
            Notice::Waiting { other } => {
                self.ui.status(&format!("waiting for another landing here: {other}"));
            }
        }
    }

    fn prompt(&self, question: Question<'_>) -> String {
        match question {
            Question::TrustHostKey { again: true, .. } => "please type yes, no or the fingerprint: ".to_owned(),
            Question::TrustHostKey { host, key, again: false } => format!(
                "the host key of {host} is not known\nit shows {key}\n\
                 trust it from now on (yes, no, or the fingerprint)? "
            ),
            Question::Passphrase { file, again } => {
                format!("{}passphrase for key '{file}': ", if again { "wrong passphrase; " } else { "" })
            }
        }
    }

    fn ask(&self, question: Question<'_>) -> Result<Option<String>> {
        // Several guests may have something to ask at the same time.
        let _one = self.asking.lock();
        self.ui.ask(&self.prompt(question), matches!(question, Question::Passphrase { .. }))
    }
}
