//! A jj workspace as the host, with the real jj.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, lines};
use crate::support::{hints, path_with, require, set_mode, write_file, write_program};

/// A guest, and a host with jj.
pub struct World {
    pub guest: TestGuest,
    pub host: Host,
    /// The workspace that is worked in.
    pub root: PathBuf,
}

impl World {
    /// Makes a workspace beside a git work tree, with one commit: `a`, `b`, `run` (executable), a `.gitignore` for `*.o`.
    pub fn colocated() -> World {
        Self::with(&["git", "init", "--colocate"])
    }

    /// Makes a workspace that git cannot find.
    pub fn separate() -> World {
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

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write_file(&self.root.join(name), text.as_ref());
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).unwrap_or_else(|error| format!("no {name}: {error}"))
    }

    fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.root.join(name)).is_ok()
    }

    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let banger = Path::new(env!("CARGO_BIN_EXE_git-banger")).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            require("jj").parent().unwrap().display(),
            banger.display(),
            path_with("GIT_BANGER_TEST_HOST_GIT")
        );
        command.env_clear().env("PATH", path).env("HOME", self.host.path("home")).env("TMPDIR", self.host.path("tmp"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").current_dir(&self.root).args(args);
        command
    }

    /// Runs jj, which must succeed; returns its stdout.
    pub fn jj(&self, args: &[&str]) -> String {
        let output = self.command("jj", args).output().unwrap();
        assert!(output.status.success(), "jj {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Asks jj with a template, without letting it look at the files.
    pub fn log(&self, revset: &str, template: &str) -> String {
        self.jj(&["--ignore-working-copy", "log", "--no-graph", "-r", revset, "-T", template])
    }

    /// Returns the newest operations: what was asked, one a line, the newest first.
    pub fn operations(&self, number: usize) -> Vec<String> {
        let template = r#"description ++ " " ++ tags ++ "\n""#;
        let args = ["--ignore-working-copy", "op", "log", "--no-graph", "-n", &number.to_string(), "-T", template];
        self.jj(&args).lines().map(str::to_owned).collect()
    }

    pub fn operation(&self) -> String {
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
    pub fn banger(&self, args: &[&str]) -> Ran {
        self.ran(&mut self.command(env!("CARGO_BIN_EXE_git-banger"), args))
    }

    pub fn ran(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let dir = command.get_current_dir().unwrap();
        hints::check(&String::from_utf8_lossy(&output.stderr), dir, &Self::env(command));
        Self::plain(output)
    }

    /// Runs a hint, as a user does who pastes it in the workspace.
    pub fn paste(&self, hint: &str) -> Ran {
        Self::plain(hints::run(hint, &self.root, &Self::env(&self.command("jj", &[]))))
    }

    fn env(command: &Command) -> Vec<(OsString, OsString)> {
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
    }

    fn plain(Output { status, stdout, stderr }: Output) -> Ran {
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
    pub fn prepare(&self) {
        let ran = self.banger(&["prepare", VM]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// Pulls since the prepared head, with these arguments too.
    pub fn pull(&self, args: &[&str]) -> Ran {
        self.banger(&[&["pull", VM, "--base-commit", "HEAD@prepare"], args].concat())
    }
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
    assert_eq!(world.guest.git(&["config", "user.email"]), "host@example.org");
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
fn the_work_of_each_of_several_guests_is_an_operation_of_its_own() {
    let world = World::separate();
    world.prepare();
    let config = world.host.path("home/.gitconfig");
    let known = fs::read_to_string(&config).unwrap();
    fs::write(&config, known + "[banger \"two\"]\n\turl = ssh://dev/~/two\n").unwrap();
    assert_eq!(world.banger(&["prepare", "two"]).code, Some(0));
    world.guest.write("a", lines("a").replace("a 1\n", "theirs\n"));
    write_file(&world.guest.home().join("two/a"), lines("a").replace("a 9\n", "theirs\n").as_bytes());
    write_file(&world.guest.home().join("two/b"), b"theirs\n");
    let told = "warning: 'a' has changed in several guests: 'dev', 'two'\n\
                landed 2 changed files from 'two' since @prepare (<id>)\nundo: jj undo\n\
                landed 1 changed file from 'dev' since @prepare (<id>)\nundo: jj undo\n";
    let ran = world.banger(&["pull", "two", VM, "--base-commit", "@prepare"]);
    assert_eq!(ran, ok("M\ta\nM\tb\nM\ta\n", told));
    assert_eq!(world.read("a"), lines("a").replace("a 1\n", "theirs\n").replace("a 9\n", "theirs\n"));
    world.jj(&["undo"]);
    let of_two = (lines("a").replace("a 9\n", "theirs\n"), "theirs\n".to_owned());
    assert_eq!((world.read("a"), world.read("b")), of_two);
    let ran = world.banger(&["pull", "two", VM, "--base-commit", "@prepare"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\ta\n"), "{ran:?}");
}

#[test]
fn a_workspace_that_git_cannot_find_is_a_host_like_any_other() {
    let world = World::separate();
    world.write("a", lines("a").replace("a 10", "mine"));
    let ran = world.banger(&["prepare", VM, "--path", "work"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(world.banger(&["vm", "list"]).stdout.starts_with("dev\t-\twork\tprepared at <id> on "));
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
    assert!(world.git(&["for-each-ref"]).contains("refs/banger/second/dev/landings/1"));
    // The other workspace has nothing to do with it until it prepares a place of its own.
    world.root = first;
    let ran = world.pull(&[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("nothing is recorded here as HEAD@prepare"), "{ran:?}");
    assert_eq!(world.banger(&["prepare", VM, "--path", "other"]).code, Some(0));
    write_file(&world.guest.home().join("other/a"), b"theirs too\n");
    assert_eq!(world.pull(&[]).stdout, "M\ta\n");
    assert_eq!(world.read("a"), "theirs too\n");
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
    assert!(ran.stderr.contains("with uncommitted edits in 1 file"), "{ran:?}");
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
fn a_thousand_new_files_land_in_one_operation() {
    let world = World::colocated();
    world.prepare();
    for number in 0..1000 {
        world.guest.write(&format!("new/{number}"), "x\n");
    }
    let ran = world.pull(&["--stat"]);
    assert!(ran.code == Some(0) && ran.stderr.ends_with("\nundo: jj undo\n"), "{}", ran.stderr);
    assert_eq!(world.log("@", "self.diff().files().len()"), "1000");
}

/// What is said when only `a` has a conflict, after all else.
const CONFLICTED: &str = "error: the work of guest 'dev' has landed, with conflicts in 1 file\n  \
                          'a' has changed here and in the guest: a conflict to settle\n";
const RESOLVE: &str = "hint: jj resolve -r @\n";
const MARKERS: &str = "  conflict markers in the files show both versions\n";

/// Makes both sides change the same line of `a`, and the guest `b` too.
pub fn with_conflict(world: &World) {
    world.prepare();
    world.write("a", lines("a").replace("a 5\n", "mine\n"));
    world.guest.write("a", lines("a").replace("a 5\n", "theirs\n"));
    world.guest.write("b", lines("b").replace("b 1\n", "theirs\n"));
}

#[test]
fn what_a_pull_takes_from_now_on_is_set_where_git_cannot_find_the_repository_too() {
    for world in [World::colocated(), World::separate()] {
        world.prepare();
        world.guest.write("a", "theirs\n");
        world.guest.commit("by the worker");
        let ran = world.banger(&["pull", VM]);
        assert_eq!((ran.code, world.read("a")), (Some(1), lines("a")), "{ran:?}");
        let (_, set) = ran.stderr.rsplit_once("\nhint: ").unwrap();
        let (set, purpose) = set.split_once('\n').unwrap();
        assert_eq!(purpose, "  takes the prepared head in every pull from now on\n");
        let output = world.command("sh", &["-c", set]).output().unwrap();
        assert!(output.status.success(), "{set}: {}", String::from_utf8_lossy(&output.stderr));
        let ran = world.banger(&["pull", VM]);
        assert_eq!((ran.code, ran.stdout.as_str(), world.read("a").as_str()), (Some(0), "M\ta\n", "theirs\n"));
    }
}

#[test]
fn a_conflict_changes_nothing_unless_it_is_asked_for() {
    let world = World::colocated();
    with_conflict(&world);
    let ran = world.pull(&[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("\n  'a' has changed here and in the guest\n"), "{ran:?}");
    assert!(
        ran.stderr.ends_with(
            "\nhint: git banger pull dev --base-commit HEAD@prepare --conflict record\n\
             \x20 lands it with the conflict recorded in the change\n"
        ),
        "{ran:?}"
    );
    assert_eq!((world.read("a"), world.read("b")), (lines("a").replace("a 5\n", "mine\n"), lines("b")));
    assert!(world.operations(1)[0].contains("before pull dev"));
}

#[test]
fn a_conflict_is_recorded_as_data_of_jj() {
    for world in [World::colocated(), World::separate()] {
        with_conflict(&world);
        world.jj(&["describe", "-m", "my work"]);
        let (refs, before) = (world.refs(), world.operation());
        let ran = world.pull(&["--conflict=record"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "M\ta\nM\tb\n"), "{ran:?}");
        let said = format!(
            "landed 2 changed files from 'dev' since HEAD@prepare (<id>)\nundo: jj op restore <id>\n{CONFLICTED}{RESOLVE}"
        );
        assert_eq!(ran.stderr, said);
        let template = r#"separate(" ", conflict, divergent, description.first_line())"#;
        assert_eq!(world.log("@", template), "true false my work");
        assert_eq!(world.log("@-", "description.first_line()"), "first");
        assert!(world.read("a").contains("\ntheirs\n") && world.read("a").contains("pull dev"), "{}", world.read("a"));
        assert_eq!(world.read("b"), lines("b").replace("b 1\n", "theirs\n"));
        assert_eq!((world.refs(), world.jj(&["bookmark", "list", "--all"])), (refs, String::new()));
        assert_eq!(world.log("visible_heads()", r#"if(current_working_copy, "@", "other")"#), "@");
        // Settled in the file, it is no conflict, and the guest's further work lands on it.
        world.write("a", lines("a").replace("a 5\n", "both\n"));
        world.guest.write("a", lines("a").replace("a 5\n", "theirs\n").replace("a 9\n", "more\n"));
        let ran = world.pull(&[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\ta\n"), "{ran:?}");
        assert_eq!(world.read("a"), lines("a").replace("a 5\n", "both\n").replace("a 9\n", "more\n"));
        world.jj(&["op", "restore", &before]);
        assert_eq!(world.read("b"), lines("b"));
    }
}

#[test]
fn a_file_that_one_side_deleted_and_the_other_changed_is_a_conflict_too() {
    let world = World::colocated();
    world.prepare();
    world.write("a", "mine\n");
    fs::remove_file(world.guest.file("a")).unwrap();
    let ran = world.pull(&["--conflict=record"]);
    let said = format!(
        "landed 0 changed files from 'dev' since HEAD@prepare (<id>)\nundo: jj op restore <id>\n{}{RESOLVE}",
        CONFLICTED.replace("and in the guest", "and was deleted in the guest")
    );
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(7), "", said.as_str()));
    assert_eq!(world.log("@", "conflict"), "true");
}

#[test]
fn a_merge_is_shipped_on_its_first_parent() {
    let world = World::colocated();
    world.jj(&["new", "-m", "left"]);
    world.write("left", "x\n");
    world.jj(&["new", "-m", "right", "@-"]);
    world.write("right", "x\n");
    world.jj(&["new", r#"description("left\n")"#, r#"description("right\n")"#]);
    world.prepare();
    assert_eq!(world.guest.git(&["log", "-1", "--format=%s"]), "left");
    assert_eq!(world.guest.git(&["status", "--short"]), "?? right");
    world.guest.write("left", "theirs\n");
    world.guest.commit("work");
    assert_eq!(world.pull(&[]).stdout, "M\tleft\n");
    assert_eq!(world.log("@", "parents.len()"), "2");
}

#[test]
fn markers_are_written_where_they_are_asked_for() {
    let world = World::colocated();
    with_conflict(&world);
    let ran = world.pull(&["--conflict=merge"]);
    let told = CONFLICTED.replace("a conflict to settle", "both versions are in it");
    let told = format!("\nundo: jj undo\n{told}{MARKERS}");
    assert!(ran.code == Some(7) && ran.stderr.ends_with(&told), "{ran:?}");
    let middle = |text: &str| text.split_once("a 4\n").unwrap().1.split_once("a 6\n").unwrap().0.to_owned();
    let conflict = middle(&world.read("a"));
    let marker = |kind: &str, side: &str| conflict.lines().any(|line| line == format!("{kind} {side}"));
    assert!(marker("<<<<<<<", "host") && marker(">>>>>>>", "guest/dev") && conflict.contains("\nmine\n"), "{conflict}");
    assert_eq!(world.log("@", "conflict"), "false");
}

#[test]
fn work_lands_in_a_change_of_its_own() {
    for how in ["abort", "record"] {
        let world = World::colocated();
        with_conflict(&world);
        if how == "abort" {
            world.write("a", lines("a"));
        }
        world.jj(&["describe", "-m", "my work"]);
        let before = world.operation();
        let ran = world.pull(&["--new-change", "--conflict", how]);
        let (code, conflicted) = if how == "record" { (7, [CONFLICTED, RESOLVE].concat()) } else { (0, String::new()) };
        let said = format!("\nundo: jj op restore <id>\n{conflicted}");
        assert!(ran.code == Some(code) && ran.stderr.ends_with(&said), "{ran:?}");
        let template = r#"separate(" ", conflict, author.name(), description.first_line())"#;
        assert_eq!(world.log("@", template), format!("{} Host pull dev", how == "record"));
        assert_eq!(world.log("@-", template), "false Host my work");
        assert_eq!(world.read("b"), lines("b").replace("b 1\n", "theirs\n"));
        world.jj(&["op", "restore", &before]);
        assert_eq!((world.log("@", "description.first_line()").as_str(), world.read("b")), ("my work", lines("b")));
    }
}

#[test]
fn what_only_jj_can_do_is_refused_in_git() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for flag in ["--conflict=record", "--new-change"] {
        let ran = host.run(&["pull", VM, flag]);
        let said = format!("error: '{flag}' needs a jj workspace, and this is not one\n");
        assert_eq!((ran.code, ran.stderr), (Some(2), said));
    }
}

#[test]
fn a_conflicted_working_copy_is_neither_shipped_nor_landed_on() {
    let world = World::colocated();
    world.prepare();
    world.jj(&["new", "-m", "left", "@-"]);
    world.write("a", "left\n");
    world.jj(&["new", "-m", "right", "@-"]);
    world.write("a", "right\n");
    world.jj(&["new", r#"description("left\n")"#, r#"description("right\n")"#]);
    // Without anything new nothing is looked at.
    assert_eq!(world.banger(&["pull", VM]).code, Some(0));
    world.guest.write("b", "theirs\n");
    let refused = |args: &[&str]| {
        let ran = world.banger(args);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.stderr
    };
    let said = "error: the working copy has conflicts, which only jj can hold\nhint: jj resolve -r @\n";
    assert_eq!(refused(&["prepare", VM, "-n"]), said);
    assert_eq!(refused(&["pull", VM]), said);
    world.jj(&["new"]);
    assert!(refused(&["prepare", VM, "-n"]).contains("has conflicts, which only jj can hold\nhint: jj resolve"));
}

#[test]
fn a_base_that_was_rewritten_since_is_no_trouble() {
    let world = World::colocated();
    with_conflict(&world);
    world.jj(&["describe", "-r", "@-", "-m", "first, rewritten"]);
    for (args, code) in [(["--dry-run", "--conflict=record"], 0), (["--conflict=record", "--stat"], 7)] {
        assert_eq!(world.pull(&args).code, Some(code));
    }
    let all = world.log("all()", r#"separate(" ", divergent, description.first_line()) ++ "\n""#);
    assert_eq!(all.trim_end(), "false\nfalse first, rewritten\nfalse");
}

#[test]
fn nothing_lands_below_a_folder_of_jj() {
    let world = World::colocated();
    world.prepare();
    world.guest.write("sub/.JJ/repo/config.toml", "x\n");
    let ran = world.pull(&[]);
    assert!(ran.code == Some(5) && ran.stderr.contains("'sub/.JJ/repo/config.toml'"), "{ran:?}");
    assert!(!world.exists("sub"));
}

#[test]
fn files_land_as_jj_holds_them_and_not_as_git_attributes_say() {
    let world = World::colocated();
    world.write(".gitattributes", "* text=auto eol=crlf ident\n*.bin filter=gone\n");
    world.write("crlf", "one\r\ntwo\r\n");
    world.jj(&["commit", "-m", "attributes"]);
    world.prepare();
    world.guest.git(&["config", "core.attributesFile", "/dev/null"]);
    assert_eq!(fs::read(world.guest.file("crlf")).unwrap(), b"one\r\ntwo\r\n");
    world.guest.git(&["rm", "-q", ".gitattributes"]);
    world.guest.write("lf", "one\n$Id$\n");
    world.guest.write("crlf", "one\r\nthree\r\n");
    let ran = world.pull(&["--", "lf", "crlf"]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{ran:?}");
    assert_eq!((world.read("lf").as_str(), world.read("crlf").as_str()), ("one\n$Id$\n", "one\r\nthree\r\n"));
    // Unless jj itself converts.
    world.jj(&["config", "set", "--repo", "working-copy.eol-conversion", "input-output"]);
    world.guest.write("lf", "two\n");
    world.guest.write("more", "two\n");
    let ran = world.pull(&["--", "lf", "more"]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{ran:?}");
    assert_eq!((world.read("lf").as_str(), world.read("more").as_str()), ("two\r\n", "two\r\n"));
}

#[test]
fn a_name_that_is_not_utf8_cannot_land_in_jj() {
    let world = World::colocated();
    world.prepare();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(world.guest.workspace().join(name), "x\n").unwrap();
    let ran = world.pull(&[]);
    assert!(ran.code == Some(1), "{ran:?}");
    assert!(ran.stderr.contains("'caf\\xe9' has a name that is not UTF-8, which jj cannot hold\n"), "{ran:?}");
}

#[test]
fn a_workspace_without_a_commit_and_a_bookmark_on_head_are_shipped_as_git_would() {
    let world = World::bare(&["git", "init"]);
    world.write("a", "a\n");
    world.prepare();
    assert_eq!(world.guest.git(&["status", "--short", "--branch"]), "## No commits yet on main\n?? a");
    world.guest.write("b", "b\n");
    let ran = world.pull(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "A\tb\n"), "{ran:?}");
    world.jj(&["commit", "-m", "first"]);
    world.jj(&["bookmark", "create", "topic/one", "-r", "@-"]);
    let ran = world.banger(&["prepare", VM, "--path", "other"]);
    assert!(ran.code == Some(0) && ran.stderr.starts_with("shipped branch 'topic/one' at <id> (1 commit)"), "{ran:?}");
    world.jj(&["bookmark", "create", "two", "-r", "@-"]);
    let ran = world.banger(&["prepare", VM, "-n"]);
    assert!(ran.stderr.starts_with("would bring 'dev' to a detached HEAD"), "{ran:?}");
}

#[test]
fn a_jj_workspace_is_shipped_again_once_the_work_has_landed() {
    let world = World::separate();
    world.prepare();
    world.guest.write("a", "theirs\n");
    world.guest.commit("by the worker");
    let ran = world.banger(&["prepare", VM]);
    assert!(ran.code == Some(1) && ran.stderr.contains("holds work in 1 file that has not landed"), "{ran:?}");
    assert_eq!(world.pull(&[]).code, Some(0));
    world.write("b", "mine\n");
    let ran = world.banger(&["prepare", VM]);
    assert!(ran.code == Some(0) && ran.stderr.starts_with("brought 'dev' to "), "{ran:?}");
    assert_eq!(world.guest.git(&["status", "--porcelain"]), " M a\n M b");
    let ran = world.pull(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    world.jj(&["new"]);
    world.guest.write("new", "new\n");
    assert_eq!(world.pull(&[]).stdout, "A\tnew\n");
    let ran = world.banger(&["prepare", VM]);
    assert_eq!((ran.code, world.guest.git(&["status", "--porcelain"])), (Some(0), "?? new".to_owned()), "{ran:?}");
    let ran = world.banger(&["prepare", VM, "--include", "x"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("does not work in a jj workspace"), "{ran:?}");
}

#[test]
fn a_stale_working_copy_is_for_jj_to_settle() {
    let mut world = World::colocated();
    world.prepare();
    world.jj(&["workspace", "add", "../second"]);
    let first = std::mem::replace(&mut world.root, world.host.path("second"));
    world.jj(&["restore", "--from", "root()", "--to", "default@"]);
    world.root = first;
    world.write("a", "x\n");
    world.guest.write("b", "theirs\n");
    let ran = world.pull(&[]);
    assert!(ran.code == Some(8) && ran.stderr.contains("working copy is stale"), "{ran:?}");
    assert!(ran.stderr.contains("\n  jj: Hint: Run `jj workspace update-stale`"), "{ran:?}");
    assert_eq!((ran.stdout.as_str(), world.read("a").as_str()), ("", "x\n"));
}

#[test]
fn a_jj_that_is_too_old_leaves_git_and_no_jj_leaves_what_git_can_see() {
    for (world, works) in [(World::colocated(), true), (World::separate(), false)] {
        let folder = world.host.path("old");
        write_program(&folder.join("jj"), "#!/bin/sh\necho jj 0.38.0\n");
        let git = which::which_in("git", Some(path_with("GIT_BANGER_TEST_HOST_GIT")), "/").unwrap();
        fs::create_dir(world.host.path("none")).unwrap();
        std::os::unix::fs::symlink(git, world.host.path("none/git")).unwrap();
        std::os::unix::fs::symlink(world.host.path("none/git"), folder.join("git")).unwrap();
        for folder in [&folder, &world.host.path("none")] {
            std::os::unix::fs::symlink(require("ssh"), folder.join("ssh")).unwrap();
        }
        for (folder, said) in [("old", "jj 0.38.0 is too old\n"), ("none", "'jj' is not on PATH\n")] {
            let mut command = world.command(env!("CARGO_BIN_EXE_git-banger"), &["prepare", VM, "-n"]);
            let ran = world.ran(command.env("PATH", world.host.path(folder)));
            if works {
                assert!(ran.code == Some(0) && ran.stderr.starts_with("would ship a detached HEAD at"), "{ran:?}");
                continue;
            }
            let root = world.root.display();
            let needed = "jj 0.39 or later is needed on this machine";
            let said = format!("error: '{root}' is a jj workspace: {said}  {needed}\n");
            assert_eq!((ran.code, ran.stderr), (Some(8), said));
        }
    }
}

#[test]
fn variables_of_git_do_not_reach_jj() {
    let world = World::colocated();
    world.prepare();
    world.guest.write("a", "theirs\n");
    let mut command = world.command("git-banger", &["pull", VM, "--base-commit", "@prepare"]);
    let ran = world.ran(command.env("GIT_INDEX_FILE", world.host.path("tmp/index")).env("GIT_EXEC_PATH", ""));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!world.host.path("tmp/index").exists());
    assert_eq!(world.git(&["--work-tree", world.root.to_str().unwrap(), "status", "--short"]), " M a");
}

#[test]
fn a_landing_that_jj_does_not_take_is_taken_back() {
    let world = World::colocated();
    world.prepare();
    world.write("b", "mine\n");
    world.guest.write("a", "theirs\n");
    world.guest.write("folder/new", "new\n");
    // The real jj, but for the snapshot of the landing.
    let pull_with = |last: &str| {
        let jj = world.host.path("bin/jj");
        let script = format!("#!/bin/sh\ncase \"$*\" in *--config-file*) {last} ;; esac\n{} \"$@\"\n", "exec \"$JJ\"");
        write_program(&jj, &script);
        let mut command = world.command("git-banger", &["pull", VM, "--base-commit", "@prepare"]);
        let path =
            command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_str().unwrap().to_owned();
        let path = format!("{}:{path}", jj.parent().unwrap().display());
        world.ran(command.env("PATH", path).env("JJ", require("jj")))
    };
    let ran = pull_with("echo 'Error: the disk is full' >&2; exit 1");
    assert!(ran.code == Some(8) && ran.stderr.contains("(exit 1): the disk is full"), "{ran:?}");
    assert_eq!((world.read("a"), world.read("b"), world.exists("folder")), (lines("a"), "mine\n".to_owned(), false));
    assert_eq!(pull_with("kill -9 $PPID; exit 1").code, None);
    assert_eq!(world.read("a"), "theirs\n");
    let ran = world.pull(&[]);
    let taken_back = "warning: an earlier landing was cut off half-way; it was taken back first\n";
    assert!(ran.code == Some(0) && ran.stderr.starts_with(taken_back) && ran.stderr.ends_with("jj undo\n"), "{ran:?}");
    assert_eq!(ran.stdout, "M\ta\nA\tfolder/new\n");
    world.jj(&["undo"]);
    assert_eq!((world.read("a"), world.read("b"), world.exists("folder")), (lines("a"), "mine\n".to_owned(), false));
}
