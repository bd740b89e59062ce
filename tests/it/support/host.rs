//! The host as tests see it: a repository that nothing of the real user's configuration reaches.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::guest::{TestGuest, VM};
use super::{Fingerprint, fingerprint, git_dates, path_with, run_git, write_file};

/// What the host's repository is called, and so the workspace in the guest.
pub const REPO: &str = "repo";

/// A host: a home with a repository in it, which knows one guest as [`VM`].
pub struct Host {
    root: TempDir,
    guest: PathBuf,
    env: BTreeMap<String, String>,
}

/// How a run of git-banger ended; ids of objects read `<id>` in it, and the folders of the test `<host>` and `<guest>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Host {
    /// Makes an empty repository, on the branch main without a commit, that knows the guest as [`VM`].
    pub fn empty(guest: &TestGuest) -> Host {
        Self::with_format(guest, "sha1")
    }

    /// As [`Host::empty`], with the given object format.
    pub fn with_format(guest: &TestGuest, format: &str) -> Host {
        let root = tempfile::Builder::new().prefix("git-banger-host-").tempdir().unwrap();
        for name in ["home", "tmp", REPO] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let mut host = Host { root, guest: guest.path(""), env: BTreeMap::new() };
        host.env = host.environment();
        host.git(&["init", "-q", "-b", "main", "--object-format", format]);
        host.git(&["config", "user.name", "Host"]);
        host.git(&["config", "user.email", "host@example.org"]);
        host.git(&["config", "banger.sshConfig", guest.ssh_config().to_str().unwrap()]);
        host
    }

    /// Makes a repository with one commit: `a`, `b`, `run` (executable), `folder/c`, a `.gitignore` that ignores `*.o`.
    pub fn new(guest: &TestGuest) -> Host {
        let host = Self::empty(guest);
        host.write("a", lines("a"));
        host.write("b", lines("b"));
        host.write("folder/c", lines("c"));
        host.write("run", "#!/bin/sh\n");
        super::set_mode(&host.file("run"), 0o755);
        host.write(".gitignore", "*.o\n");
        host.commit("first");
        host
    }

    /// Returns a folder of the host: `home`, `tmp`, or one that a test makes.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Returns the top of the repository.
    pub fn repo(&self) -> PathBuf {
        self.path(REPO)
    }

    /// Returns a file of the repository.
    pub fn file(&self, name: &str) -> PathBuf {
        self.repo().join(name)
    }

    /// Writes a file of the repository.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write_file(&self.file(name), text.as_ref());
    }

    /// Reads a file of the repository.
    pub fn read(&self, name: &str) -> String {
        let path = self.file(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"))
    }

    /// Runs git in the repository; returns its stdout, without the last newline.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.env_clear().envs(&self.env).current_dir(self.repo());
        run_git(command, args)
    }

    /// Commits everything in the repository.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
    }

    /// Returns git-banger, ready to run in the repository.
    pub fn banger<A: AsRef<OsStr>>(&self, args: &[A]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_git-banger"));
        command.env_clear().envs(&self.env).current_dir(self.repo()).args(args);
        command
    }

    /// Returns a program, ready to run in the repository, for which `git banger` is on PATH.
    pub fn command(&self, program: &str) -> Command {
        let folder = Path::new(env!("CARGO_BIN_EXE_git-banger")).parent().unwrap();
        let path = format!("{}:{}", self.env["PATH"], folder.display());
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).env("PATH", path).current_dir(self.repo());
        command
    }

    /// Runs git-banger in the repository.
    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Ran {
        self.ran(&mut self.banger(args))
    }

    /// Runs git-banger as it was made ready; what it proposes must be commands that can be run.
    pub fn ran(&self, command: &mut assert_cmd::Command) -> Ran {
        let output = command.output().unwrap();
        let dir = command.get_current_dir().map_or_else(|| self.repo(), Path::to_owned);
        super::hints::check(&String::from_utf8_lossy(&output.stderr), &dir, &self.env_list());
        let text = |bytes| self.plain(&String::from_utf8_lossy(bytes));
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs git-banger, and does to its main thread what `inject` says (strace(1), TAMPERING), such as a signal at one of its
    /// system calls.
    pub fn traced<A: AsRef<OsStr>>(&self, args: &[A], inject: &str) -> Ran {
        let calls = inject.split(':').next().unwrap_or_default();
        let mut strace = assert_cmd::Command::new("strace");
        strace.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={inject}")]);
        strace.arg(env!("CARGO_BIN_EXE_git-banger")).args(args);
        strace.env_clear().envs(&self.env).current_dir(self.repo());
        self.ran(&mut strace)
    }

    /// Runs git-banger, which must succeed; returns its stdout as it is.
    pub fn stdout<A: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[A]) -> Vec<u8> {
        let output = self.banger(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git banger {args:?}: {said}");
        super::hints::check(&said, &self.repo(), &self.env_list());
        output.stdout
    }

    /// Prepares the guest, which must succeed.
    pub fn prepare(&self) {
        self.stdout(&["prepare", VM]);
    }

    /// Returns bytes, modes and times of everything in the repository.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.repo())
    }

    /// Returns bytes, modes and times of what git-banger must leave alone below `.git`: everything but objects, its own
    /// refs and folder, and the times of folders, which temporary files change.
    pub fn standing(&self) -> Fingerprint {
        let git = self.file(".git");
        let own = ["objects", "refs/banger", "refs/worktree", "logs/refs/banger", "logs/refs/worktree", "banger"];
        fingerprint(&git).files_only().without(&own.map(|name| git.join(name)))
    }

    /// As [`Host::standing`], and of the files in the work tree, but not of these.
    pub fn standing_but(&self, names: &[&str]) -> Fingerprint {
        let git = self.file(".git");
        let own = ["objects", "refs/banger", "logs/refs/banger", "banger"].map(|name| git.join(name));
        let names = names.iter().map(|name| self.file(name));
        fingerprint(&self.repo()).files_only().without(&own.into_iter().chain(names).collect::<Vec<_>>())
    }

    /// Returns bytes, modes and times of the files in the work tree, but not of these.
    pub fn files_but(&self, names: &[&str]) -> Fingerprint {
        let left_out: Vec<_> = names.iter().chain(&[".git"]).map(|name| self.file(name)).collect();
        fingerprint(&self.repo()).files_only().without(&left_out)
    }

    /// Returns what `git for-each-ref` lists of branches, tags and the like: everything but `refs/banger`.
    pub fn refs(&self) -> String {
        let all = self.git(&["for-each-ref"]);
        all.lines().filter(|line| !line.contains("/banger/")).collect::<Vec<_>>().join("\n")
    }

    /// Runs git-banger, and then what it proposes, one after the other, as a user does who pastes it. `between` runs before
    /// that.
    pub fn follow<A: AsRef<OsStr>>(&self, args: &[A], between: impl FnOnce()) -> (Ran, Vec<Ran>) {
        let output = self.banger(args).output().unwrap();
        let ended = |output: &Output| {
            let text = |bytes| self.plain(&String::from_utf8_lossy(bytes));
            Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        super::hints::check(&said, &self.repo(), &self.env_list());
        between();
        let run = |hint| ended(&super::hints::run(hint, &self.repo(), &self.env_list()));
        (ended(&output), super::hints::hints(&said).into_iter().map(run).collect())
    }

    /// Runs a hint, as a user does who pastes it in the repository.
    pub fn paste(&self, hint: &str) -> Ran {
        let output = super::hints::run(hint, &self.repo(), &self.env_list());
        let text = |bytes| self.plain(&String::from_utf8_lossy(bytes));
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn env_list(&self) -> Vec<(OsString, OsString)> {
        self.env.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Returns the whole environment of what runs on this host.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        let mut env = git_dates();
        env.extend([
            ("PATH".to_owned(), path_with("GIT_BANGER_TEST_HOST_GIT")),
            ("HOME".to_owned(), path("home")),
            ("TMPDIR".to_owned(), path("tmp")),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
        ]);
        env
    }

    /// Sets a variable for everything that runs on this host.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.to_owned(), value.into());
    }

    /// Puts a program before all others of its name on this host; the text is that of a shell script.
    ///
    /// `$REAL` in it is the program that it hides.
    pub fn wrap(&mut self, program: &str, script: &str) {
        let real = which::which_in(program, Some(&self.env["PATH"]), "/").unwrap();
        let folder = self.path("wrappers");
        super::write_program(&folder.join(program), &format!("#!/bin/sh\nREAL={}\n{script}\n", real.display()));
        self.set_env("PATH", format!("{}:{}", folder.display(), self.env["PATH"]));
    }

    /// Replaces what differs from run to run.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(self.root.path().to_str().unwrap(), "<host>");
        let text = text.replace(self.guest.to_str().unwrap().trim_end_matches('/'), "<guest>");
        let mut plain = String::new();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (token, after) = rest.split_at(word.max(first.len_utf8()));
            let is_id = matches!(token.len(), 12 | 40 | 64)
                && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            plain.push_str(if is_id { "<id>" } else { token });
            rest = after;
        }
        plain
    }
}

/// Returns how a run ends that writes this.
pub fn ran(code: i32, stdout: &str, stderr: &str) -> Ran {
    Ran { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

/// Returns ten lines, to edit one of without touching the others.
pub fn lines(name: &str) -> String {
    (1..=10).map(|number| format!("{name} {number}\n")).collect()
}

/// Returns [`lines`] with one of them edited.
pub fn edited(name: &str, line: usize) -> String {
    lines(name).replace(&format!("{name} {line}\n"), &format!("{name} {line} edited\n"))
}
