//! Stage, then swap: whatever happens in the middle of a landing, it is whole or it is taken back.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines};
use crate::support::{Fingerprint, set_mode};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];
const DRY: [&str; 5] = ["pull", VM, "-n", "--base-commit", "HEAD@prepare"];

/// The system calls that change files. Not every machine has each of them.
const CALLS: [&str; 18] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "ftruncate",
    "pwrite64",
    "fsync",
    "utimensat",
    "fchmod",
    "chmod",
];

/// What of the host's is to be as it was, down to the times of folders.
#[derive(Clone)]
struct State {
    files: Fingerprint,
    top: (i64, i64),
    git: Fingerprint,
    refs: String,
}

impl State {
    fn of(host: &Host) -> State {
        let top = fs::metadata(host.repo()).unwrap();
        let refs = host.git(&["for-each-ref"]);
        State {
            files: host.fingerprint().without(&[host.file(".git")]),
            top: (top.mtime(), top.mtime_nsec()),
            git: host.standing(),
            refs: refs.lines().filter(|line| !line.ends_with("/snapshot")).collect::<Vec<_>>().join("\n"),
        }
    }

    fn assert_same(&self, now: &State, when: &str) {
        println!("{when}");
        self.files.assert_same(&now.files);
        self.git.assert_same(&now.git);
        assert_eq!((self.top, &self.refs), (now.top, &now.refs), "{when}");
    }
}

/// A host with a guest's work to land, and a copy of it to start from again and again.
struct Range {
    _guest: TestGuest,
    host: Host,
    before: State,
    after: Fingerprint,
}

impl Range {
    /// Has the guest do a bit of everything, and more files of the kind up to so many.
    fn new(files: usize) -> Range {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        for name in ["dir/one", "dir/deep/two", "from/moved", "plain", "to-link", "old/old"] {
            host.write(name, lines(name));
        }
        symlink("a", host.file("link")).unwrap();
        let extra = |number: usize| format!("many/{}/{number}", number / 8);
        for number in (0..files).filter(|number| number % 4 != 0) {
            host.write(&extra(number), lines(&number.to_string()));
        }
        host.commit("second");
        host.prepare();
        host.write("b", edited("b", 10));
        set_mode(&host.file("a"), 0o444);
        set_mode(&host.file("folder"), 0o700);
        host.write("untracked", "stays\n");

        guest.write("a", edited("a", 1));
        guest.write("b", edited("b", 1));
        set_mode(&guest.file("run"), 0o644);
        guest.write("new/deep/x", "x\n");
        guest.write("new/y", "y\n");
        guest.write("old/old", edited("old/old", 3));
        for folder in ["folder", "dir"] {
            fs::remove_dir_all(guest.file(folder)).unwrap();
        }
        guest.write("dir", "a file now\n");
        for name in ["plain", "to-link", "link"] {
            fs::remove_file(guest.file(name)).unwrap();
        }
        guest.write("plain/inside", "in a folder now\n");
        guest.write("link", "a file now\n");
        symlink("b", guest.file("to-link")).unwrap();
        fs::create_dir(guest.file("to")).unwrap();
        fs::rename(guest.file("from/moved"), guest.file("to/moved")).unwrap();
        for number in 0..files {
            let name = extra(number);
            match number % 4 {
                0 => guest.write(&name, format!("new {number}\n")),
                1 => guest.write(&name, edited(&number.to_string(), 5)),
                2 => fs::remove_file(guest.file(&name)).unwrap(),
                _ => fs::rename(guest.file(&name), guest.file(&format!("{name}-renamed"))).unwrap(),
            }
        }

        // Times that a file of today does not have; one of them before 1970.
        for (name, time) in [
            ("old/old", "-100"),
            ("old", "-200"),
            ("folder", "1000"),
            ("dir", "2000.5"),
            ("from", "3000"),
            ("", "4000"),
        ] {
            touch(&host.file(name), time);
        }
        copy(&host.repo(), &host.path("saved"));
        let before = State::of(&host);
        let mut range = Range { _guest: guest, host, before: before.clone(), after: before.files };
        range.start();
        let run = range.host.run(&SINCE);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        range.after = State::of(&range.host).files;
        range
    }

    /// Makes the host's repository as it was before anything landed.
    fn start(&self) {
        fs::remove_dir_all(self.host.repo()).unwrap();
        copy(&self.host.path("saved"), &self.host.repo());
    }

    /// Returns the system calls that change files in a run of git-banger, from the first on that has to do with the landing
    /// to the last: name, and which one of that name it is.
    fn calls(&self, args: &[&str]) -> Vec<(&'static str, usize)> {
        let log = self.host.path("strace.log");
        let mut strace = Command::new("strace");
        strace.args([
            "-qq",
            "-y",
            "-e",
            "signal=none",
            "-e",
            &format!("trace={}", CALLS.map(|call| format!("?{call}")).join(",")),
        ]);
        strace.arg("-o").arg(&log).arg(env!("CARGO_BIN_EXE_git-banger")).args(args);
        let output = strace.env_clear().envs(self.host.env()).current_dir(self.host.repo()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(&log).unwrap();
        let (mut counts, mut calls, mut begun, mut whole) = (HashMap::new(), Vec::new(), false, false);
        for line in log.lines() {
            let Some(name) = CALLS.into_iter().find(|name| line.starts_with(&format!("{name}("))) else { continue };
            let count = counts.entry(name).and_modify(|count| *count += 1).or_insert(1);
            begun |= line.contains("/banger/landing");
            if begun {
                calls.push((name, *count));
            }
            // The journal goes first, the list of places last.
            whole |= line.starts_with("unlink") && line.contains("/banger/landing/journal\"");
            if whole && line.contains("/banger/landing/places\"") {
                break;
            }
        }
        calls
    }

    /// Runs git-banger and kills it at one of its system calls. Tells whether it came to that: folders for objects are made by
    /// their ids, which differ from run to run with the time.
    fn kill(&self, args: &[&str], (name, number): (&str, usize)) -> bool {
        let run = self.host.traced(args, &format!("{name}:signal=KILL:when={number}"));
        let is_killed = run.code.is_none();
        assert!(is_killed || (name == "mkdir" && run.code == Some(0)), "{name} {number}: {}", run.stderr);
        is_killed
    }

    fn is_under_way(&self) -> bool {
        self.host.file(".git/banger/landing/journal").exists()
    }

    /// Has the next pull look, and demands the state before; or, where the landing was whole already, after.
    fn recovers(&self, when: &str) {
        let was_under_way = self.is_under_way();
        let landed = !was_under_way && !self.host.git(&["for-each-ref", "refs/banger/main/dev/landings"]).is_empty();
        let run = self.host.run(&DRY);
        assert_eq!(run.code, Some(0), "{when}: {}", run.stderr);
        assert_eq!(run.stderr.contains("it was taken back first"), was_under_way, "{when}: {}", run.stderr);
        let now = State::of(&self.host);
        if landed {
            println!("{when}, after it had landed");
            self.after.clone().timeless().assert_same(&now.files.timeless());
            assert_eq!(run.stdout, "", "{when}");
        } else {
            self.before.assert_same(&now, when);
        }
        let mut left: Vec<_> = fs::read_dir(self.host.file(".git/banger/landing"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.retain(|name| name != "draft");
        assert_eq!(left, ["lock"], "{when}");
    }

    /// Kills a landing at each of its system calls that change a file.
    fn kill_the_landing(&self) {
        self.start();
        let calls = self.calls(&SINCE);
        assert!(calls.len() > 30, "{calls:?}");
        let mut under_way = 0;
        for call in &calls {
            self.start();
            if !self.kill(&SINCE, *call) {
                continue;
            }
            under_way += usize::from(self.is_under_way());
            self.recovers(&format!("killed at {call:?}"));
        }
        println!("{} system calls, {under_way} of them while the landing was under way", calls.len());
        assert!(under_way > 20, "{under_way} of {}", calls.len());
    }

    /// Kills the recovery from a landing, that was killed at this system call, at each of its own.
    fn kill_the_recovery(&self, call: (&str, usize)) {
        let killed = || {
            self.start();
            assert!(self.kill(&SINCE, call) && self.is_under_way(), "{call:?}");
        };
        killed();
        let calls = self.calls(&DRY);
        assert!(calls.len() > 20, "{calls:?}");
        for again in &calls {
            killed();
            if !self.kill(&DRY, *again) {
                continue;
            }
            let under_way = self.is_under_way();
            let run = self.host.run(&DRY);
            assert_eq!((run.code, run.stderr.contains("taken back first")), (Some(0), under_way), "{}", run.stderr);
            self.before.assert_same(&State::of(&self.host), &format!("killed at {call:?}, and again at {again:?}"));
        }
        println!("{} system calls of the recovery", calls.len());
    }

    /// Returns the last call by which a landing puts a file in its place.
    fn last_move(&self) -> (&'static str, usize) {
        self.start();
        let calls = self.calls(&SINCE);
        *calls.iter().rev().find(|(name, _)| *name == "renameat2").unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Sets when a file changed: seconds since 1970.
fn touch(path: &Path, time: &str) {
    assert!(Command::new("touch").arg("-h").arg("-d").arg(format!("@{time}")).arg(path).status().unwrap().success());
}

#[test]
fn a_landing_killed_anywhere_is_taken_back_or_whole() {
    Range::new(0).kill_the_landing();
}

#[test]
fn a_recovery_killed_anywhere_is_done_again() {
    let range = Range::new(0);
    range.kill_the_recovery(range.last_move());
}

#[test]
#[ignore = "minutes: make kill"]
fn a_landing_of_200_files_killed_anywhere_is_taken_back_or_whole() {
    let range = Range::new(188);
    range.kill_the_landing();
    range.kill_the_recovery(range.last_move());
}

/// Something that is mounted or marked, until this is dropped.
struct Until(Vec<String>);

impl Until {
    /// Runs a program with what `undo` says in the end; `None` where the system does not let us, which CI does.
    fn run(args: &[&str], undo: &[&str]) -> Option<Until> {
        let output = Command::new(args[0]).args(&args[1..]).output().unwrap();
        if output.status.success() {
            return Some(Until(undo.iter().map(|&word| word.to_owned()).collect()));
        }
        assert!(std::env::var_os("CI").is_none(), "CI must let this: {args:?}");
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        None
    }

    /// Mounts a file on itself: it can be written, and not be moved.
    fn bound(path: &Path) -> Option<Until> {
        let path = path.to_str().unwrap();
        Until::run(&["mount", "--bind", path, path], &["umount", path])
    }

    /// Takes every change from a file or a folder, root's too.
    fn immutable(path: &Path) -> Option<Until> {
        let path = path.to_str().unwrap();
        Until::run(&["chattr", "+i", path], &["chattr", "-i", path])
    }

    /// Mounts a small disk on a folder.
    fn disk(path: &Path) -> Option<Until> {
        let path = path.to_str().unwrap();
        Until::run(&["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", path], &["umount", "-l", path])
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        let _ = Command::new(&self.0[0]).args(&self.0[1..]).status();
    }
}

/// A host with an edit of its own, and a guest with edits of the same files.
fn edits() -> (TestGuest, Host) {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    host.write("b", edited("b", 10));
    for (path, name) in [("a", "a"), ("b", "b"), ("folder/c", "c")] {
        guest.write(path, edited(name, 1));
    }
    guest.write("zoo/new", "new\n");
    (guest, host)
}

/// What stands once the edits have landed.
fn assert_landed(host: &Host) {
    let both = edited("b", 10).replace("b 1\n", "b 1 edited\n");
    let found = ["a", "b", "folder/c", "zoo/new"].map(|name| host.read(name));
    assert_eq!(found, [edited("a", 1), both, edited("c", 1), "new\n".to_owned()]);
}

/// Has a shell script run in place of each call of git with this word while files are being moved, or `before` that.
fn meddle(host: &mut Host, word: &str, script: &str) {
    let repo = host.repo();
    let script =
        format!("case \" $* \" in *' {word} '*) cd '{}'; {script} ;; esac\nexec \"$REAL\" \"$@\"", repo.display());
    host.wrap("git", &script);
}

/// The landing is under way.
const JOURNAL: &str = "test -e .git/banger/landing/journal";

#[test]
fn a_file_that_cannot_be_moved_keeps_everything_as_it_was() {
    let (_guest, mut host) = edits();
    let refused = |host: &Host| {
        let before = State::of(host);
        // Twice: the second has nothing of the first to take back.
        for _ in 0..2 {
            let run = host.run(&SINCE);
            assert_eq!((run.code, run.stdout.as_str()), (Some(8), ""), "{}", run.stderr);
            assert!(run.stderr.starts_with("error: cannot ") && run.stderr.contains("folder"), "{}", run.stderr);
            assert!(run.stderr.contains("everything is as it was before"), "{}", run.stderr);
            before.assert_same(&State::of(host), &run.stderr);
        }
    };
    if let Some(_bound) = Until::bound(&host.file("folder/c")) {
        refused(&host);
    }
    if let Some(_immutable) = Until::immutable(&host.file("folder/c")) {
        refused(&host);
    }
    // It could be written when the landing was planned.
    let folder = host.file("folder");
    if let Some(probe) = Until::immutable(&folder) {
        drop(probe);
        meddle(&mut host, "update-ref", &format!("{JOURNAL} && chattr +i folder"));
        let before = State::of(&host);
        let run = host.run(&SINCE);
        drop(Until(vec!["chattr".to_owned(), "-i".to_owned(), folder.to_str().unwrap().to_owned()]));
        assert_eq!(run.code, Some(8), "{}", run.stderr);
        before.assert_same(&State::of(&host), &run.stderr);
    }
    fs::remove_file(host.path("wrappers/git")).unwrap();
    assert_eq!(host.run(&SINCE).code, Some(0));
    assert_landed(&host);
}

#[test]
fn a_recovery_takes_back_what_it_can_and_goes_on_later() {
    let (_guest, host) = edits();
    let before = State::of(&host);
    // All but the new file are in their places: two calls a file.
    let run = host.traced(&SINCE, "renameat2:signal=KILL:when=7");
    assert_eq!(run.code, None, "{}", run.stderr);
    let Some(bound) = Until::bound(&host.file("b")) else { return };
    for _ in 0..2 {
        let run = host.run(&DRY);
        assert_eq!((run.code, run.stdout.as_str()), (Some(8), ""), "{}", run.stderr);
        assert!(run.stderr.contains("\n  'b': ") && !run.stderr.contains("'a'"), "{}", run.stderr);
        assert_eq!([host.read("a"), host.read("folder/c")], [lines("a"), lines("c")]);
        assert!(!host.file("zoo").exists());
    }
    drop(bound);
    // What is back already is the user's again.
    host.write("a", edited("a", 5));
    let run = host.run(&DRY);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("meanwhile"), "{}", run.stderr);
    let left_out = [host.file("a")];
    before.files.without(&left_out).assert_same(&State::of(&host).files.without(&left_out));
    assert_eq!(host.read("a"), edited("a", 5));
}

#[test]
fn what_somebody_wrote_after_a_kill_is_set_aside_and_named() {
    let (guest, host) = edits();
    guest.write("zoo/other", "other\n");
    let before = State::of(&host);
    let run = host.traced(&SINCE, "renameat2:signal=KILL:when=8");
    assert_eq!((run.code, host.read("zoo/new").as_str()), (None, "new\n"), "{}", run.stderr);
    host.write("zoo/new", "mine\n");
    fs::remove_file(host.file("a")).unwrap();
    host.write("a", "mine too\n");
    fs::remove_file(host.file("folder/c")).unwrap();
    host.write("folder/c/d", "and mine\n");
    host.write("zoo/other", "was never there\n");
    let run = host.run(&DRY);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let mut kept = Vec::new();
    for name in ["a", "folder/c", "zoo/new"] {
        let line = format!("warning: what was at '{name}' meanwhile is now '<host>/");
        let rest = run.stderr.split_once(&line).unwrap_or_else(|| panic!("{name}: {}", run.stderr)).1;
        kept.push(host.path(rest.split('\'').next().unwrap()));
    }
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "mine too\n");
    assert_eq!(fs::read_to_string(kept[1].join("d")).unwrap(), "and mine\n");
    assert_eq!(fs::read_to_string(&kept[2]).unwrap(), "mine\n");
    assert_eq!(host.read("zoo/other"), "was never there\n");
    fs::remove_dir_all(host.file("zoo")).unwrap();
    before.files.assert_same(&State::of(&host).files);
}

#[test]
fn other_file_systems_take_part() {
    let assert_clean = |host: &Host| {
        let found = host.command("find").args([".", "-name", ".git-banger-*"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    };
    // git's own folder; a linked worktree; a folder of the work tree.
    for kind in ["git", "worktree", "folder"] {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        let kept = host.path("kept");
        fs::create_dir(host.path("disk")).unwrap();
        let place = match kind {
            "git" => host.file(".git"),
            "worktree" => host.path("disk"),
            _ => host.file("folder"),
        };
        fs::rename(&place, &kept).unwrap();
        fs::create_dir(&place).unwrap();
        let Some(_disk) = Until::disk(&place) else { return };
        copy(&kept.join("."), &place);
        if kind == "worktree" {
            fs::rename(host.repo(), host.path("main")).unwrap();
            let disk = host.path("disk/repo");
            let mut git = Command::new("git");
            git.env_clear()
                .envs(host.env())
                .arg("-C")
                .arg(host.path("main"))
                .args(["worktree", "add", "-q"])
                .arg(&disk);
            assert!(git.status().unwrap().success());
            symlink(&disk, host.repo()).unwrap();
        }
        host.prepare();
        host.write("b", edited("b", 10));
        touch(&host.file("b"), "-1000.25");
        for (path, name) in [("a", "a"), ("b", "b")] {
            guest.write(path, edited(name, 1));
        }
        guest.write("zoo/new", "new\n");
        guest.write("folder/deep/d", "d\n");
        // Across the border of the file systems, with its permissions.
        fs::rename(guest.file("folder/c"), guest.file("moved")).unwrap();
        set_mode(&host.file("folder/c"), 0o640);
        touch(&host.file("folder/c"), "-5");
        let before = host.files_but(&[]);
        let run = host.traced(&SINCE, "unlink:signal=KILL:when=3");
        assert_eq!(run.code, None, "{kind}: {}", run.stderr);
        let run = host.run(&DRY);
        assert!(run.stderr.contains("it was taken back first"), "{kind}: {}", run.stderr);
        before.assert_same(&host.files_but(&[]));
        assert_clean(&host);
        let run = host.run(&SINCE);
        assert_eq!(run.code, Some(0), "{kind}: {}", run.stderr);
        assert_eq!(host.read("b"), edited("b", 10).replace("b 1\n", "b 1 edited\n"), "{kind}");
        assert_eq!([host.read("a"), host.read("moved")], [edited("a", 1), lines("c")], "{kind}");
        let moved = fs::metadata(host.file("moved")).unwrap();
        assert_eq!((moved.permissions().mode() & 0o777, moved.mtime()), (0o640, -5), "{kind}");
        assert_eq!([host.read("folder/deep/d"), host.read("zoo/new")], ["d\n", "new\n"], "{kind}");
        assert!(!host.file("folder/c").exists(), "{kind}");
        assert_clean(&host);
    }
}

#[test]
fn a_folder_that_becomes_a_symlink_again_and_again_leads_nowhere() {
    let (guest, mut host) = edits();
    // The same as here, but for a line that nobody else has.
    let outside = host.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("c"), lines("c") + "a secret\n").unwrap();
    host.write("folder/c", edited("c", 10));
    symlink(&outside, host.path("link")).unwrap();
    let (folder, link) = (host.file("folder"), host.path("link"));
    // Just while git reads files here, if it does.
    let script = "case \" $* \" in *' hash-object '*) mv FOLDER HOST/real; ln -s HOST/outside FOLDER; \"$REAL\" \"$@\"; code=$?\n\
                  rm FOLDER; mv HOST/real FOLDER; exit $code ;; esac\nexec \"$REAL\" \"$@\"";
    let script = script.replace("FOLDER", folder.to_str().unwrap()).replace("HOST", host.path("").to_str().unwrap());
    host.wrap("git", &script);
    guest.write("folder/c", edited("c", 1));
    let run = host.run(&SINCE);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(host.read("folder/c"), edited("c", 10).replace("c 1\n", "c 1 edited\n"));
    fs::remove_file(host.path("wrappers/git")).unwrap();

    let is_over = std::sync::atomic::AtomicBool::new(false);
    let before = crate::support::fingerprint(&outside);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
            if fs::symlink_metadata(&folder).unwrap().is_symlink() {
                fs::rename(&folder, host.path("gone")).unwrap();
                fs::rename(&link, &folder).unwrap();
            }
        });
        let mut codes = Vec::new();
        for round in 0..12 {
            guest.write("folder/c", edited("c", 1 + round % 3));
            guest.write(&format!("folder/deep/{round}"), "new\n");
            codes.push(host.run(&SINCE).code.unwrap());
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("{codes:?}");
        assert!(codes.iter().all(|code| [0, 1, 8].contains(code)), "{codes:?}");
    });
    before.assert_same(&crate::support::fingerprint(&outside));
    let mut secret = Command::new("git");
    secret.env_clear().envs(host.env()).arg("hash-object").arg(outside.join("c"));
    let secret = String::from_utf8(secret.output().unwrap().stdout).unwrap();
    let objects = host.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
    assert!(!objects.contains(secret.trim()), "what is outside was stored");
    assert!(!host.read("folder/c").contains("secret"));
    assert_eq!(host.run(&SINCE).code, Some(0));
}

#[test]
fn what_an_editor_writes_in_the_middle_stays() {
    let in_place = "echo late >>a";
    let renamed = "cp a a~; echo late >>a~; mv a~ a";
    let appears = "mkdir -p zoo; echo mine >zoo/new";
    let goes = "rm a";
    // After the look and before the last one; and while files are about to be moved.
    for (word, when) in [("fast-import", "true"), ("update-ref", JOURNAL)] {
        for script in [in_place, renamed, appears, goes] {
            let (_guest, mut host) = edits();
            let before = host.standing();
            meddle(&mut host, word, &format!("{when} && ! test -e ../done && {{ : >../done; {script}; }}"));
            let run = host.run(&SINCE);
            let path = if script == appears { "zoo/new" } else { "a" };
            // The first merge comes before it is looked what is in the way.
            let why = match script == appears && word == "fast-import" {
                true => "is in the way: git does not track it",
                false => "changed during the pull",
            };
            let said = format!("nothing was changed\n  '{path}' {why}\n");
            assert_eq!(run.code, Some(1), "{word}, {script}: {}", run.stderr);
            assert!(run.stderr.contains(&said), "{word}, {script}: {}", run.stderr);
            before.assert_same(&host.standing());
            let wanted = if script == in_place || script == renamed { Some(lines("a") + "late\n") } else { None };
            match script {
                _ if script == goes => assert!(!host.file("a").exists(), "{word}"),
                _ if script == appears => {
                    assert_eq!((host.read("a"), host.read("zoo/new")), (lines("a"), "mine\n".to_owned()))
                }
                _ => assert_eq!(Some(host.read("a")), wanted, "{word}, {script}"),
            }
            assert_eq!([host.read("b"), host.read("folder/c")], [edited("b", 10), lines("c")], "{word}, {script}");
            assert_eq!(host.git(&["for-each-ref", "refs/banger/main/dev/landings"]), "");
        }
    }
}

#[test]
fn two_landings_take_turns() {
    let (_guest, mut host) = edits();
    let held = host.path("held");
    meddle(
        &mut host,
        "update-ref",
        &format!("{JOURNAL} && {{ : >'{0}'; while test -e '{0}'; do sleep 0.05; done; }}", held.display()),
    );
    let mut first = Command::new(env!("CARGO_BIN_EXE_git-banger"));
    first.args(SINCE).env_clear().envs(host.env()).current_dir(host.repo()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    let start = Instant::now();
    while !held.exists() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    let refused = host
        .banger(&SINCE)
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "banger.lockTimeout")
        .env("GIT_CONFIG_VALUE_0", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("another landing is under way"), "{said}");
    assert!(said.contains(&format!("it is 'pull dev' (process {})", first.id())), "{said}");
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| host.run(&SINCE));
        std::thread::sleep(Duration::from_millis(700));
        assert!(!second.is_finished());
        fs::remove_file(&held).unwrap();
        second.join().unwrap()
    });
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("'pull dev' (process {})", first.id())), "{}", second.stderr);
    assert!(second.stderr.contains("nothing new from 'dev'") && second.stdout.is_empty(), "{}", second.stderr);
    assert_landed(&host);
}

#[test]
fn a_program_of_ours_that_fails_in_the_middle_changes_nothing() {
    let fails = ["exit 1", "kill -9 $$", "\"$REAL\" \"$@\"; exit 1", "\"$REAL\" \"$@\"; kill -9 $$"];
    for script in fails {
        let (_guest, mut host) = edits();
        let before = State::of(&host);
        meddle(&mut host, "update-ref", &format!("{JOURNAL} && {{ {script}; }}"));
        let run = host.run(&SINCE);
        assert_eq!((run.code, run.stdout.as_str()), (Some(8), ""), "{script}: {}", run.stderr);
        fs::remove_file(host.path("wrappers/git")).unwrap();
        let again = host.run(&DRY);
        assert_eq!(again.code, Some(0), "{script}: {}", again.stderr);
        before.assert_same(&State::of(&host), &format!("{script}: {}{}", run.stderr, again.stderr));
        assert_eq!(host.run(&SINCE).code, Some(0));
        assert_landed(&host);
    }
    // A filter that ends in the middle, and one whose result has no room.
    for (smudge, code) in [("kill -9 $$", 1), ("head -c 40000000 /dev/zero", 8)] {
        let (_guest, host) = edits();
        let disk = if code == 8 { Until::disk(&host.file("folder")) } else { None };
        if code == 8 && disk.is_none() {
            return;
        }
        host.write("folder/c", lines("c"));
        host.write(".git/info/attributes", "folder/c filter=f\n");
        host.git(&["config", "filter.f.clean", "cat"]);
        host.git(&["config", "filter.f.smudge", smudge]);
        host.git(&["config", "filter.f.required", "true"]);
        let (files, standing) = (host.files_but(&[]), host.standing());
        let run = host.run(&SINCE);
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{smudge}: {}", run.stderr);
        assert!(run.stderr.contains("folder/c"), "{smudge}: {}", run.stderr);
        files.assert_same(&host.files_but(&[]));
        standing.assert_same(&host.standing());
        assert_eq!(fs::read_dir(host.file("folder")).unwrap().count(), 1, "{smudge}");
    }
}

#[test]
fn a_path_longer_than_the_system_takes_leaves_nothing() {
    for length in [20, 15] {
        let (guest, host) = edits();
        let path = (0..length).map(|_| "d".repeat(250)).collect::<Vec<_>>().join("/");
        let blob = guest.git(&["hash-object", "-w", "a"]);
        guest.git(&["commit", "-qam", "edits"]);
        guest.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
        guest.git(&["commit", "-qm", "long"]);
        guest.git(&["update-index", "--skip-worktree", &path]);
        let before = State::of(&host);
        let run = host.run(&SINCE);
        println!("{length}: {:?} {}", run.code, run.stderr.chars().take(300).collect::<String>());
        if run.code != Some(0) {
            before.assert_same(&State::of(&host), &run.stderr);
        }
    }
}
