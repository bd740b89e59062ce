//! A jj workspace as the host, with the real jj.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, lines};
use crate::support::{path_with, set_mode, write_file};

/// A guest, and a host with jj.
struct World {
    guest: TestGuest,
    host: Host,
    /// The workspace that is worked in.
    root: PathBuf,
}

impl World {
    /// Makes a workspace beside a git work tree, with one commit: `a`, `b`, `run` (executable), a `.gitignore` for `*.o`.
    fn colocated() -> World {
        Self::with(&["git", "init", "--colocate"])
    }

    /// Makes a workspace that git cannot find.
    fn separate() -> World {
        Self::with(&["git", "init", "--no-colocate"])
    }

    fn with(init: &[&str]) -> World {
        let world = Self::bare(init);
        world.write("a", lines("a"));
        world.write("b", lines("b"));
        world.write("run", "#!/bin/sh\n");
        set_mode(&world.root.join("run"), 0o755);
        world.write(".gitignore", "*.o\n");
        world.jj(&["commit", "-m", "first"]);
        world
    }

    fn bare(init: &[&str]) -> World {
        let guest = TestGuest::russh();
        let host = Host::empty(&guest);
        let root = host.repo();
        fs::remove_dir_all(root.join(".git")).unwrap();
        let world = World { guest, host, root };
        let home = world.host.path("home");
        let config = "user = { name = 'Host', email = 'host@example.org' }\n\
                      aliases.banger = ['util', 'exec', '--', 'git-banger', '--via-jj']\n\
                      ui.paginate = 'never'\n";
        write_file(&home.join(".config/jj/config.toml"), config.as_bytes());
        let ssh_config = world.guest.ssh_config();
        let config = format!("[banger]\n\tsshConfig = {}\n[init]\n\tdefaultBranch = main\n", ssh_config.display());
        write_file(&home.join(".gitconfig"), config.as_bytes());
        world.jj(init);
        world
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write_file(&self.root.join(name), text.as_ref());
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).unwrap_or_else(|error| format!("no {name}: {error}"))
    }

    fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.root.join(name)).is_ok()
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let banger = Path::new(env!("CARGO_BIN_EXE_git-banger")).parent().unwrap();
        let path = format!("{}:{}:{}", jj_folder().display(), banger.display(), path_with("GIT_BANGER_TEST_HOST_GIT"));
        command.env_clear().env("PATH", path).env("HOME", self.host.path("home")).env("TMPDIR", self.host.path("tmp"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").current_dir(&self.root).args(args);
        command
    }

    /// Runs jj, which must succeed; returns its stdout.
    fn jj(&self, args: &[&str]) -> String {
        let output = self.command("jj", args).output().unwrap();
        assert!(output.status.success(), "jj {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Asks jj with a template, without letting it look at the files.
    fn log(&self, revset: &str, template: &str) -> String {
        self.jj(&["--ignore-working-copy", "log", "--no-graph", "-r", revset, "-T", template])
    }

    /// Returns the newest operations: what was asked, one a line, the newest first.
    fn operations(&self, number: usize) -> Vec<String> {
        let template = r#"description ++ " " ++ tags ++ "\n""#;
        let args = ["--ignore-working-copy", "op", "log", "--no-graph", "-n", &number.to_string(), "-T", template];
        self.jj(&args).lines().map(str::to_owned).collect()
    }

    fn operation(&self) -> String {
        self.jj(&["--ignore-working-copy", "op", "log", "--no-graph", "-n1", "-T", "id"])
    }

    /// Runs git in the repository behind the workspace.
    fn git(&self, args: &[&str]) -> String {
        let git_dir = self.jj(&["--ignore-working-copy", "git", "root"]);
        let output = self.command("git", args).env("GIT_DIR", git_dir).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Returns the refs that are the user's.
    fn refs(&self) -> String {
        self.git(&["for-each-ref", "refs/heads", "refs/tags", "refs/remotes"])
    }

    /// Runs git-banger in the workspace.
    fn banger(&self, args: &[&str]) -> Ran {
        self.ran(&mut self.command(env!("CARGO_BIN_EXE_git-banger"), args))
    }

    fn ran(&self, command: &mut Command) -> Ran {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
            let id = |word: &str| word.bytes().take_while(u8::is_ascii_hexdigit).count();
            let plain = |word: &str| match id(word) {
                digits @ (12 | 40) if word.len() <= digits + 1 => format!("<id>{}", &word[digits..]),
                _ => word.to_owned(),
            };
            words.map(plain).collect()
        };
        Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Prepares the guest, which must succeed.
    fn prepare(&self) {
        let ran = self.banger(&["prepare", VM]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// Pulls since the prepared head, with these arguments too.
    fn pull(&self, args: &[&str]) -> Ran {
        self.banger(&[&["pull", VM, "--base-commit", "HEAD@prepare"], args].concat())
    }
}

/// Returns the folder of jj: on PATH, or where 'tests/tools' puts it.
fn jj_folder() -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache"));
    let places = format!("{}:{cache}/git-banger-tests/bin", std::env::var("PATH").unwrap());
    let jj = which::which_in("jj", Some(places), "/").expect("'jj' is missing, and this test needs it: tests/tools");
    jj.parent().unwrap().to_owned()
}

fn ok(stdout: &str, stderr: &str) -> Ran {
    Ran { code: Some(0), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

#[test]
fn a_pull_is_one_labelled_operation_that_jj_undoes_and_redoes() {
    let world = World::colocated();
    world.write("a", lines("a").replace("a 10", "mine"));
    world.write("new of mine", "mine\n");
    world.prepare();
    assert_eq!(world.guest.git(&["status", "--short"]), " M a\n?? \"new of mine\"");
    world.guest.write("a", lines("a").replace("a 10", "mine").replace("a 1\n", "theirs\n"));
    world.guest.write("folder/new", "new\n");
    fs::remove_file(world.guest.file("b")).unwrap();
    set_mode(&world.guest.file("run"), 0o644);
    std::os::unix::fs::symlink("a", world.guest.file("link")).unwrap();
    world.write("a", lines("a").replace("a 10", "mine").replace("a 5\n", "later\n"));
    let refs = world.refs();

    let ran = world.pull(&[]);
    let stdout = "M\ta\nD\tb\nA\tfolder/new\nA\tlink\nM\trun\n";
    assert_eq!(ran, ok(stdout, "landed 5 changed files from 'dev' since HEAD@prepare (<id>)\nundo: jj undo\n"));
    let both = lines("a").replace("a 10", "mine").replace("a 5\n", "later\n").replace("a 1\n", "theirs\n");
    let landed = |world: &World| (world.read("a"), world.exists("b"), world.read("folder/new"), world.exists("link"));
    assert_eq!(landed(&world), (both.clone(), false, "new\n".to_owned(), true));
    let operations = world.operations(2);
    assert!(operations[0].contains("snapshot working copy") && operations[0].contains("banger.op"), "{operations:?}");
    assert!(operations[0].contains("pull dev") && operations[1].contains("before pull dev"), "{operations:?}");
    assert_eq!(world.jj(&["st"]).lines().filter(|line| line.starts_with(['A', 'M', 'D'])).count(), 6);

    world.jj(&["undo"]);
    assert_eq!(world.read("a"), lines("a").replace("a 10", "mine").replace("a 5\n", "later\n"));
    assert!(world.exists("b") && !world.exists("folder") && !world.exists("link"));
    world.jj(&["redo"]);
    assert_eq!(landed(&world), (both, false, "new\n".to_owned(), true));
    assert_eq!(world.refs(), refs);
}
