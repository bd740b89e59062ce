//! Every hint that a test provokes is a command that can be run as it stands.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{is_root, tools};

/// What git is asked for in hints and only looks: these are run for real, wherever a hint proposes them.
const LOOKS: [&str; 3] = ["diff", "fsck", "show"];

/// Returns the hints in what a run wrote to stderr.
pub fn hints(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).collect()
}

/// Checks each hint in what a run wrote to stderr: a shell reads it, its program is there, the program's command line
/// takes it; what only looks is run, and what would change something is run on a copy, or as a dry run. `dir` and `env` are those of the run.
pub fn check(stderr: &str, dir: &Path, env: &[(OsString, OsString)]) {
    for hint in hints(stderr) {
        let words = words(hint, dir);
        let blank =
            |word: &&String| word.starts_with('<') || word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase());
        let blanks: Vec<_> = words.iter().filter(blank).filter(|word| *word != "HEAD").collect();
        assert_eq!(blanks, [&""; 0], "a blank to fill in: {hint}");
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["git" | "jj", "banger", ..] => assert_taken(hint, &words[2..], dir, env),
            ["git", ..] if words.iter().any(|word| word == "config") => assert_sets(hint, &words, dir, env),
            ["ssh-copy-id", ..] => assert_copies(hint, dir, env),
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

/// Fails unless git finds the repository that the words before 'config' name, and takes the words after it; what they set
/// is set in a copy of its configuration.
fn assert_sets(hint: &str, words: &[String], dir: &Path, env: &[(OsString, OsString)]) {
    let at = words.iter().position(|word| word == "config").unwrap();
    let (git, set) = (&words[..at], &words[at + 1..]);
    let quoted = |words: &[String]| words.iter().map(|word| format!("'{word}' ")).collect::<String>();
    let ran = |command: &str| {
        let Output { status, stdout, stderr } = run(command, dir, env);
        assert!(status.success(), "{hint}: {command}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap().trim_end().to_owned()
    };
    let found = ran(&format!("{}rev-parse --path-format=absolute --git-path config", quoted(git)));
    let copy = TempDir::new().unwrap();
    let file = copy.path().join("config");
    fs::copy(&found, &file).unwrap_or_else(|error| panic!("{hint}: {found}: {error}"));
    let owner = fs::metadata(dir).unwrap();
    for path in [copy.path(), &file] {
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let config = format!("git config --file '{}' ", file.display());
    ran(&format!("{config}{}", quoted(set)));
    // A key and a value are what every such hint has.
    let [key, value] = set else { panic!("neither a key nor a value: {hint}") };
    assert_eq!(ran(&format!("{config}--get '{key}'")), *value, "{hint}");
}

/// Fails unless ssh-copy-id takes its command line: it is run dry, with a key of its own, which it does not try.
fn assert_copies(hint: &str, dir: &Path, env: &[(OsString, OsString)]) {
    let home = TempDir::new().unwrap();
    let ssh = home.path().join(".ssh");
    fs::create_dir(&ssh).unwrap();
    fs::write(
        ssh.join("id.pub"),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKg90G9+Hnxt2W0oxYv2afKWaw4GT6ALRK4wXAym6lwD x\n",
    )
    .unwrap();
    let owner = fs::metadata(dir).unwrap();
    for path in [home.path(), &ssh] {
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let dry = format!("ssh-copy-id -n -f -i '{}' ", ssh.join("id.pub").display());
    let mut env = env.to_vec();
    env.retain(|(name, _)| name != "HOME");
    env.push(("HOME".into(), home.path().into()));
    let Output { status, stdout, stderr } = run(&hint.replacen("ssh-copy-id ", &dry, 1), dir, &env);
    let said = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(status.success() && said.contains("AAAAC3NzaC1lZDI1NTE5AAAAIKg90G9"), "{hint}: {said}");
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
