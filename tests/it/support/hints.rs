//! Every hint that a test provokes is a command that can be run as it stands.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use super::{is_root, tools};

/// What git is asked for in hints and only looks: these are run for real, wherever a hint proposes them.
const LOOKS: [&str; 3] = ["diff", "fsck", "show"];

/// Returns the hints in what a run wrote to stderr.
pub fn hints(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).collect()
}

/// Checks each hint in what a run wrote to stderr: a shell reads it, its program is there, the program's command line
/// takes it; and what only looks is run. `dir` and `env` are those of the run.
pub fn check(stderr: &str, dir: &Path, env: &[(OsString, OsString)]) {
    for hint in hints(stderr) {
        let words = words(hint, dir);
        let blank =
            |word: &&String| word.starts_with('<') || word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase());
        let blanks: Vec<_> = words.iter().filter(blank).filter(|word| *word != "HEAD").collect();
        assert_eq!(blanks, [&""; 0], "a blank to fill in: {hint}");
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["git" | "jj", "banger", ..] => assert_taken(hint, &words[2..], dir, env),
            ["git", ..] if words.iter().any(|word| LOOKS.contains(&word.as_str())) => {
                let Output { status, stderr, .. } = run(hint, dir, env);
                // What 'git fsck' finds is its exit status.
                let said = String::from_utf8_lossy(&stderr);
                assert!(status.success() || words.iter().any(|word| word == "fsck"), "{hint}: {said}");
            }
            [program, ..] => assert!(which(program), "no '{program}', which a hint proposes: {hint}"),
            [] => panic!("an empty hint"),
        }
    }
}

/// Runs a hint as a user does who pastes it: whoever owns the directory.
pub fn run(hint: &str, dir: &Path, env: &[(OsString, OsString)]) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_git-banger")).parent().unwrap();
    let owner = fs::metadata(dir).unwrap().uid();
    let mut command = match is_root() && owner != 0 {
        true => Command::new("setpriv"),
        false => Command::new("/bin/sh"),
    };
    if command.get_program() == "setpriv" {
        command.args([format!("--reuid={owner}"), format!("--regid={owner}"), "--clear-groups".to_owned()]);
        command.arg("/bin/sh");
    }
    command.args(["-c", hint]).current_dir(dir).env_clear();
    for (name, value) in env {
        command.env(name, value);
    }
    let path =
        env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.to_str().unwrap()).unwrap_or_default();
    command.env("PATH", format!("{path}:{}", folder.display())).output().unwrap()
}

/// Returns the words of a hint, as a shell splits them. None of it is run, and what it would write to is left alone.
fn words(hint: &str, dir: &Path) -> Vec<String> {
    let (command, _) = hint.split_once(" >>").unwrap_or((hint, ""));
    let print = format!("set -f; printf '%s\\0' {command}");
    let output = Command::new("/bin/sh").args(["-c", &print]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "no shell reads '{hint}': {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
}

/// Fails unless the command line of git-banger takes these words. It stops at a directory that is not there, which it goes
/// to right after it has read them.
fn assert_taken(hint: &str, words: &[String], dir: &Path, env: &[(OsString, OsString)]) {
    let mut words = words.to_vec();
    match words.iter().position(|word| word == "-C") {
        Some(at) => words[at + 1] = "/no/such/directory".to_owned(),
        None => drop(words.splice(0..0, ["-C".to_owned(), "/no/such/directory".to_owned()])),
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_git-banger"));
    command.args(words).current_dir(dir).env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    command.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    let stderr = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(stderr.starts_with("error: cannot go to '/no/such/directory'"), "{hint}: {stderr}");
}

fn which(program: &str) -> bool {
    let path = format!("{}:{}", std::env::var("PATH").unwrap(), tools().display());
    // A shell's own.
    program == "echo" || which::which_in(program, Some(path), "/").is_ok()
}
