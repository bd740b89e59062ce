//! The test kit: guests of two kinds, a hermetic host, fingerprints.

pub mod guest;
pub mod hints;
pub mod host;
pub mod russh;
pub mod script;
pub mod sshd;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a test once for each kind of guest: `name::russh` and `name::sshd`.
macro_rules! guest_test {
    ($name:ident, |$guest:ident| $body:block) => {
        mod $name {
            use super::*;

            fn body($guest: &TestGuest) $body

            #[test]
            fn russh() {
                body(&TestGuest::russh());
            }

            #[test]
            fn sshd() {
                body(&TestGuest::sshd());
            }
        }
    };
}
pub(crate) use guest_test;

/// Returns where a program is.
///
/// A test that is skipped where a program is missing would be green and empty, so this panics.
pub fn require(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = format!("{path}:{}:/usr/local/sbin:/usr/sbin:/sbin", tools().display());
    which::which_in(program, Some(places), "/").unwrap_or_else(|_| {
        let package = match program {
            "jj" => panic!("'jj' is missing, and this test needs it: tests/tools"),
            "sshd" => "openssh-server",
            "ssh" | "ssh-keygen" | "ssh-agent" | "ssh-add" => "openssh-client",
            "dropbear" => "dropbear-bin",
            other => other,
        };
        panic!("'{program}' is missing, and this test needs it: apt install {package}")
    })
}

/// Returns the folder where `tests/tools` puts what no package has.
pub fn tools() -> PathBuf {
    let cache = std::env::var("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|_| Path::new(&std::env::var("HOME").unwrap()).join(".cache"));
    cache.join("git-banger/tools/bin")
}

/// Tells whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns PATH, with the folder in front that a variable names: so the suite runs with another git on one side.
pub fn path_with(variable: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    match std::env::var(variable) {
        Ok(folder) if !folder.is_empty() => format!("{folder}:{path}"),
        _ => path,
    }
}

/// Returns the variables that pin who commits, and when.
pub fn git_dates() -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for who in ["AUTHOR", "COMMITTER"] {
        env.insert(format!("GIT_{who}_DATE"), "@1700000000 +0000".to_owned());
    }
    env
}

/// Runs git, which must succeed; returns its stdout, without the last newline.
pub fn run_git(mut command: impl std::borrow::BorrowMut<Command>, args: &[&str]) -> String {
    let output = command.borrow_mut().args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// Writes a file, and the folders above it.
pub fn write_file(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes a program's text, and the folders above it.
///
/// Another process writes it: a child that another thread forks meanwhile would hold a file of ours open for writing until
/// its exec, and who runs the program then gets ETXTBSY.
pub fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let write = "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"";
    let mut command = Command::new("/bin/sh");
    assert!(command.args(["-c", write, "sh"]).arg(path).arg(text).status().unwrap().success());
}

/// Sets a file's permissions.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Type, mode, time and bytes of every file below a folder.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, String>);

impl Fingerprint {
    /// Leaves out folders: their times change with every temporary file.
    pub fn files_only(mut self) -> Fingerprint {
        self.0.retain(|_, line| !line.starts_with("40"));
        self
    }

    /// Leaves the times out.
    pub fn without_times(mut self) -> Fingerprint {
        for line in self.0.values_mut() {
            let mut words = line.splitn(3, ' ');
            let (mode, content) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
            *line = format!("{mode} {content}");
        }
        self
    }

    /// Leaves these files and folders out, with all that is below them.
    pub fn without(mut self, paths: &[PathBuf]) -> Fingerprint {
        self.0.retain(|path, _| !paths.iter().any(|left_out| path.starts_with(left_out)));
        self
    }

    /// Leaves out when anything changed.
    pub fn timeless(mut self) -> Fingerprint {
        for line in self.0.values_mut() {
            let words: Vec<_> = line.splitn(3, ' ').collect();
            *line = format!("{} {}", words[0], words[2]);
        }
        self
    }

    /// Returns how many files and folders it is of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Fails when something differs now, and says what.
    pub fn assert_same(&self, now: &Fingerprint) {
        let lines = |this: &Fingerprint, other: &Fingerprint| {
            let differs = |(path, line): &(&PathBuf, &String)| other.0.get(*path) != Some(line);
            this.0.iter().filter(differs).map(|(path, line)| format!("{path:?} {line}")).collect::<Vec<_>>()
        };
        let (gone, come) = (lines(self, now), lines(now, self));
        assert!(gone.is_empty() && come.is_empty(), "it changed\nbefore: {gone:#?}\nafter: {come:#?}");
    }
}

/// Takes the fingerprint of everything below a folder.
pub fn fingerprint(folder: &Path) -> Fingerprint {
    let mut lines = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = match meta.file_type() {
                kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
                kind if kind.is_file() => format!("{:x}", digest(&fs::read(&path).unwrap())),
                kind => {
                    if kind.is_dir() {
                        folders.push(path.clone());
                    }
                    String::new()
                }
            };
            lines.insert(path, format!("{:o} {}.{} {content}", meta.mode(), meta.mtime(), meta.mtime_nsec()));
        }
    }
    Fingerprint(lines)
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
