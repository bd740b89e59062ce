//! A jj workspace as the host, with the real jj.

use std::fs;
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

#[test]
fn a_workspace_that_git_cannot_find_is_a_host_like_any_other() {
    let world = World::separate();
    world.write("a", lines("a").replace("a 10", "mine"));
    let ran = world.banger(&["prepare", VM, "--path", "work"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.git(&["config", "banger.dev.path"]), "work");
    let theirs = world.guest.home().join("work/a");
    write_file(&theirs, lines("a").replace("a 10", "mine").replace("a 1\n", "theirs\n").as_bytes());
    assert_eq!(world.pull(&[]).code, Some(0));
    assert_eq!(world.read("a"), lines("a").replace("a 10", "mine").replace("a 1\n", "theirs\n"));
    // What landed before is no news, and what the user made of it since is no conflict.
    world.write("a", lines("a").replace("a 10", "mine").replace("a 1\n", "theirs, improved\n"));
    world.jj(&["commit", "-m", "second"]);
    write_file(&world.guest.home().join("work/new"), b"new\n");
    let ran = world.pull(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "A\tnew\n"), "{ran:?}");
    assert_eq!(world.log("@", "description"), "");
    assert!(!world.exists(".git") && world.refs().is_empty());
}

#[test]
fn a_landing_that_jj_has_undone_lands_again() {
    let world = World::colocated();
    world.prepare();
    world.guest.write("a", "theirs\n");
    assert_eq!(world.pull(&[]).code, Some(0));
    world.jj(&["undo"]);
    assert_eq!(world.read("a"), lines("a"));
    assert_eq!(
        world.pull(&[]),
        ok("M\ta\n", "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\nundo: jj undo\n")
    );
    assert_eq!(world.pull(&[]), ok("", "nothing new from 'dev' since HEAD@prepare (<id>)\n"));
}

#[test]
fn each_workspace_of_a_repository_has_its_own_head_files_and_landings() {
    let mut world = World::colocated();
    world.jj(&["workspace", "add", "../second"]);
    let first = std::mem::replace(&mut world.root, world.host.path("second"));
    world.write("only here", "x\n");
    world.jj(&["commit", "-m", "of the second"]);
    world.write("c", "c\n");
    let ran = world.banger(&["prepare", VM, "--path", "repo"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.banger(&["rev", "@prepare"]).code, Some(0));
    assert_eq!(world.guest.git(&["rev-parse", "HEAD"]), world.log("@-", "commit_id"));
    assert_eq!(world.guest.git(&["status", "--short"]), "?? c");
    world.guest.write("a", "theirs\n");
    assert_eq!(world.pull(&[]).code, Some(0));
    assert_eq!(world.read("a"), "theirs\n");
    assert_eq!(fs::read_to_string(first.join("a")).unwrap(), lines("a"));
    assert!(world.git(&["for-each-ref"]).contains("refs/worktree/banger/dev/landing@second"));
    // In the other workspace, which is on another commit, the same work lands for the first time.
    world.root = first;
    let ran = world.pull(&["--", "a"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\ta\n"), "{ran:?}");
}

#[test]
fn the_innermost_folder_decides() {
    let mut world = World::colocated();
    let outer = world.root.clone();
    fs::create_dir(outer.join("inner")).unwrap();
    world.root = outer.join("inner");
    world.jj(&["git", "init", "--no-colocate"]);
    world.write("x", "x\n");
    fs::create_dir(world.root.join("deep")).unwrap();
    let ran = world.banger(&["-C", "deep", "prepare", VM, "-n"]);
    assert!(ran.stderr.contains("with 1 file of uncommitted edits"), "{ran:?}");
    assert!(ran.stderr.contains("branch 'main' at no commit yet"), "{ran:?}");
    fs::remove_dir_all(world.root.join(".jj")).unwrap();
    assert!(world.command("git", &["init", "-q", "-b", "topic"]).status().unwrap().success());
    let ran = world.banger(&["prepare", VM, "-n"]);
    assert!(ran.stderr.contains("branch 'topic' at no commit yet"), "{ran:?}");
}

#[test]
fn jj_banger_goes_where_jj_goes_and_speaks_of_itself() {
    let world = World::separate();
    world.prepare();
    world.guest.write("folder/new", "new\n");
    let elsewhere = world.host.path("home");
    let mut jj = world.command("jj", &["-R", "../repo", "banger", "pull", VM, "--base-commit", "@prepare"]);
    let ran = world.ran(jj.current_dir(&elsewhere));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "A\tfolder/new\n"), "{ran:?}");
    // In a folder of the workspace, pathspecs are read from there.
    world.guest.write("folder/new", "newer\n");
    world.guest.write("a", "newer\n");
    let mut jj = world.command("jj", &["banger", "pull", VM, "--base-commit", "@prepare", "--", "new"]);
    let ran = world.ran(jj.current_dir(world.root.join("folder")));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\tfolder/new\n"), "{ran:?}");
    // A shell that jj started inherits the variable: only 'jj banger' believes it.
    let ran = world.ran(world.command("git-banger", &["rev", "@prepare"]).env("JJ_WORKSPACE_ROOT", &elsewhere));
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let ran = world.ran(&mut world.command("jj", &["banger", "rev", "@prepare", "other"]));
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "error: nothing is recorded here as HEAD@prepare of guest 'other'\nhint: jj banger prepare other\n"
    );
    let ran = world.ran(&mut world.command("jj", &["banger", "pull"]));
    assert!(ran.code == Some(2) && ran.stderr.contains("Usage: jj banger pull"), "{ran:?}");
    let ran = world.banger(&["pull"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("Usage: git banger pull"), "{ran:?}");
}

#[test]
fn files_outside_of_the_sparse_patterns_are_there_and_cannot_land() {
    let world = World::colocated();
    world.write("out/o", "o\n");
    world.jj(&["commit", "-m", "more"]);
    world.jj(&["sparse", "set", "--clear", "--add", "a", "--add", "in"]);
    assert!(!world.exists("out"));
    world.prepare();
    assert_eq!(world.guest.git(&["status", "--short"]), "");
    world.guest.write("in/new", "new\n");
    assert_eq!(world.pull(&[]).code, Some(0));
    world.guest.write("out/o", "edited\n");
    world.guest.write("inner", "new\n");
    let ran = world.pull(&[]);
    assert_eq!(ran.code, Some(1));
    let said = "error: the work of guest 'dev' cannot land; nothing was changed\n\
                \x20 'inner' is outside of 'jj sparse list'\n\
                \x20 'out/o' is outside of 'jj sparse list'\n";
    assert!(ran.stderr.starts_with(said), "{ran:?}");
    assert!(!world.exists("out") && !world.exists("inner"));
}

#[test]
fn a_landing_is_tracked_whole_and_what_the_user_keeps_untracked_is_not() {
    let world = World::colocated();
    world.jj(&["config", "set", "--repo", "snapshot.auto-track", "none()"]);
    world.write("mine", "untracked\n");
    world.prepare();
    assert!(!world.guest.file("mine").exists());
    let names = ["big", "d x/b", "quote\" and \\", "tab\there", "bell\u{7}", "*", "a|b", "é"];
    for name in names {
        world.guest.write(name, vec![b'x'; if name == "big" { 2 << 20 } else { 10 }]);
    }
    let ran = world.pull(&[]);
    assert!(ran.code == Some(0) && ran.stderr.ends_with("\nundo: jj undo\n"), "{ran:?}");
    let tracked = world.jj(&["--ignore-working-copy", "diff", "-r", "@", "-T", r#"path ++ "\n""#]);
    assert_eq!(tracked.lines().count(), names.len(), "{tracked}");
    assert!(!tracked.contains("mine"), "{tracked}");
    world.jj(&["undo"]);
    assert!(world.exists("mine") && names.iter().all(|name| !world.exists(name)));
    // What the user keeps untracked is not written over.
    world.guest.write("mine", "theirs\n");
    let ran = world.pull(&[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("\n  'mine' is in the way: jj does not track it\n"), "{ran:?}");
    assert_eq!(world.read("mine"), "untracked\n");
}

#[test]
fn a_file_that_is_ignored_here_and_tracked_in_the_guest_lands() {
    let world = World::colocated();
    world.prepare();
    let before = world.operation();
    world.guest.write("kept.o", "kept\n");
    world.guest.git(&["add", "-f", "kept.o"]);
    let ran = world.pull(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "A\tkept.o\n"), "{ran:?}");
    assert!(ran.stderr.ends_with("\nundo: jj op restore <id>\n"), "{ran:?}");
    assert_eq!(world.jj(&["--ignore-working-copy", "file", "list", "-r", "@", "kept.o"]), "kept.o");
    world.jj(&["op", "restore", &before]);
    assert!(!world.exists("kept.o"));
}

#[test]
fn thousands_of_new_files_land_in_one_operation() {
    let world = World::colocated();
    world.prepare();
    for number in 0..4000 {
        world.guest.write(&format!("new/{number}"), "x\n");
    }
    let ran = world.pull(&["--stat"]);
    assert!(ran.code == Some(0) && ran.stderr.ends_with("\nundo: jj undo\n"), "{}", ran.stderr);
    assert_eq!(world.log("@", "self.diff().files().len()"), "4000");
}
