//! A pull that cannot land names every path, changes nothing, and keeps the work for a look.

use std::fs;
use std::process::Command;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited, lines, ran};
use crate::support::{guest_test, is_root, run_git, set_mode};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Pulls, and demands that it is refused for these reasons, that nothing changed, and that these hints are given.
fn refused(host: &Host, guest: &TestGuest, reasons: &[&str], hints: &[&str]) {
    let (files, standing, refs, before) = (host.files_but(&[]), host.standing(), host.refs(), guest.fingerprint());
    let reasons: String = reasons.iter().map(|reason| format!("  {reason}\n")).collect();
    let hints: String =
        hints.iter().map(|hint| format!("hint: git banger pull dev --base-commit HEAD@prepare {hint}\n")).collect();
    let told = format!(
        "error: the work of guest 'dev' cannot land; nothing was changed\n{reasons}\
         hint: git diff <id> refs/banger/main/dev/snapshot\n  shows what the guest did\n{hints}"
    );
    assert_eq!(host.run(&SINCE), ran(1, "", &told));
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    before.assert_same(&guest.fingerprint());
    guest.assert_no_leftovers();
    assert_eq!(host.refs(), refs);
    assert_eq!(host.git(&["rev-parse", "refs/banger/main/dev/snapshot^"]), guest.git(&["rev-parse", "HEAD"]));
}

/// The hint that lands a conflict.
const MERGE: &str = "--conflict merge\n  lands it with conflict markers in the files";

guest_test!(the_hint_for_a_conflict_asks_for_the_same_work, |guest| {
    let host = Host::new(guest);
    host.prepare();
    host.write("a", edited("a", 1).replace("edited", "host"));
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    let told = host.run(&[&SINCE[..], &["--", "a", "no such"]].concat()).stderr;
    let hint = told.strip_suffix("\n  lands it with conflict markers in the files\n").unwrap().lines().last().unwrap();
    let hint = hint.strip_prefix("hint: ").unwrap();
    assert_eq!(hint, "git banger pull dev --base-commit HEAD@prepare --conflict merge -- a 'no such'");
    let output = host.command("sh").args(["-c", hint]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"M\ta\n"[..]));
    assert_eq!(host.read("b"), lines("b"));
});

guest_test!(edits_of_the_same_lines_are_a_conflict, |guest| {
    let host = Host::new(guest);
    host.prepare();
    for (name, line) in [("a", 1), ("b", 1)] {
        host.write(name, edited(name, line).replace("edited", "host"));
        guest.write(name, edited(name, line));
    }
    guest.write("new", "would land\n");
    fs::remove_file(guest.file("folder/c")).unwrap();
    host.write("folder/c", edited("c", 1));
    let reason = "has changed here and in the guest";
    let gone = "'folder/c' has changed here and was deleted in the guest";
    let rest = "-- ':(top,exclude)a' ':(top,exclude)b' ':(top,exclude)folder/c'\n  lands the rest";
    refused(&host, guest, &[&format!("'a' {reason}"), &format!("'b' {reason}"), gone], &[rest, MERGE]);
});

guest_test!(untracked_and_ignored_files_in_the_way_stay, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("one", "from the guest\n");
    guest.write("two.o", "from the guest\n");
    guest.git(&["add", "-f", "two.o"]);
    guest.write("three.o/inside", "from the guest\n");
    guest.git(&["add", "-f", "three.o/inside"]);
    guest.write("four", "from the guest\n");
    host.write("one", "untracked here\n");
    host.write("two.o", "ignored here\n");
    host.write("three.o", "ignored here\n");
    host.write("four/x.o", "ignored here\n");
    let reason = "is in the way: git does not track it";
    let reasons = ["four/x.o", "one", "three.o", "two.o"].map(|name| format!("'{name}' {reason}"));
    refused(&host, guest, &reasons.each_ref().map(String::as_str), &[]);
});

guest_test!(files_that_git_does_not_track_and_that_are_the_same_are_not_in_the_way, |guest| {
    let host = Host::new(guest);
    host.prepare();
    for name in ["one", "two.o", "three"] {
        guest.write(name, "the same\n");
        host.write(name, "the same\n");
    }
    guest.git(&["add", "-f", "two.o"]);
    guest.write("four", "from the guest\n");
    let before = host.standing_but(&["four"]);
    assert_eq!(host.run(&SINCE).stdout, "A\tfour\n");
    before.assert_same(&host.standing_but(&["four"]));
});

guest_test!(paths_outside_a_sparse_checkout_are_refused, |guest| {
    let host = Host::new(guest);
    host.write("kept/x", lines("x"));
    host.commit("second");
    host.prepare();
    host.git(&["sparse-checkout", "set", "kept"]);
    guest.write("kept/x", edited("x", 1));
    guest.write("folder/c", edited("c", 1));
    guest.write("folder/new", "new\n");
    let reason = "is outside the sparse checkout";
    let rest = "-- ':(top,exclude)folder/c' ':(top,exclude)folder/new'\n  lands the rest";
    refused(&host, guest, &[&format!("'folder/c' {reason}"), &format!("'folder/new' {reason}")], &[rest]);
});

guest_test!(a_submodule_pointer_that_moved_is_named_and_the_rest_lands, |guest| {
    let host = Host::new(guest);
    let other = host.path("other");
    fs::create_dir(&other).unwrap();
    let git = |args: &[&str]| {
        let mut git = host.command("git");
        git.current_dir(&other);
        run_git(git, args)
    };
    git(&["init", "-q"]);
    git(&["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "other"]);
    let name = other.to_str().unwrap();
    host.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", name, "sub"]);
    host.git(&["commit", "-qm", "submodule"]);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.git(&["update-index", "--cacheinfo", "160000,0123456789012345678901234567890123456789,sub"]);
    let run = host.run(&SINCE);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "M\ta\n"), "{}", run.stderr);
    let named = "warning: 'sub' does not land: it is a submodule, and its pointer alone is worth nothing\n";
    assert!(run.stderr.contains(named), "{}", run.stderr);
    assert_eq!(host.git(&["status", "--porcelain"]), " M a");
    let again = host.run(&SINCE);
    assert!(again.stdout.is_empty() && again.stderr.contains(named), "{}", again.stderr);
});

guest_test!(a_file_that_changes_during_the_pull_is_refused, |guest| {
    let mut host = Host::new(guest);
    host.prepare();
    host.write("b", edited("b", 10));
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    // The merge comes after the host's files were looked at, and before any is written.
    let edit = "case \" $* \" in *' merge-tree '*) echo late >>\"$GIT_WORK_TREE/a\" ;; esac\nexec \"$REAL\" \"$@\"";
    host.wrap("git", &edit.replace("$GIT_WORK_TREE", host.repo().to_str().unwrap()));
    let standing = host.standing();
    let told = "error: the work of guest 'dev' cannot land; nothing was changed\n  'a' changed during the pull\n\
                hint: git diff <id> refs/banger/main/dev/snapshot\n  shows what the guest did\n\
                hint: git banger pull dev --base-commit HEAD@prepare -- ':(top,exclude)a'\n  lands the rest\n";
    assert_eq!(host.run(&SINCE), ran(1, "", told));
    standing.assert_same(&host.standing());
    assert_eq!((host.read("a"), host.read("b")), (lines("a") + "late\n", edited("b", 10)));
});

guest_test!(a_landing_that_was_killed_half_way_is_taken_back_by_the_next_pull, |guest| {
    let host = Host::new(guest);
    host.prepare();
    host.write("b", edited("b", 10));
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    guest.write("new", "new\n");
    let standing = host.standing();
    // 'a' is replaced, and 'b' is on its way.
    let run = host.traced(&SINCE, "renameat2:signal=KILL:when=3");
    assert_eq!(run.code, None, "{}", run.stderr);
    assert!(host.file(".git/banger/landing/journal").exists());
    let told = "warning: an earlier landing was cut off half-way; it was taken back first\n\
                would land 3 changed files from 'dev' since HEAD (<id>); nothing was changed\n";
    assert_eq!(host.run(&["pull", VM, "-n"]), ran(0, "M\ta\nM\tb\nA\tnew\n", told));
    standing.assert_same(&host.standing());
    assert_eq!((host.read("a"), host.read("b")), (lines("a"), edited("b", 10)));
    assert!(!host.file("new").exists());
});

guest_test!(what_would_steer_the_hosts_version_control_is_refused, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("folder/.JJ/repo/config.toml", "[ui]\neditor = 'trap'\n");
    let (files, standing) = (host.files_but(&[]), host.standing());
    let run = host.run(&SINCE);
    let told = "error: the guest sent 'folder/.JJ/repo/config.toml', which would steer the version control of the host\n\
                \x20 nothing was written; inspect the guest before taking anything from it\n";
    assert_eq!(run, ran(5, "", told));
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    assert_eq!(host.git(&["for-each-ref", "refs/banger/main/dev/snapshot"]), "");
    assert_eq!(host.run(&["export", VM]), ran(5, "", told));
});

/// Runs git-banger as a user who is not root, whom folders without write permission bind.
pub fn unprivileged(host: &Host, guest: &TestGuest, args: &[&str]) -> Ran {
    if !is_root() {
        return host.run(args);
    }
    let own = |args: &[&str], path| {
        assert!(Command::new("chown").args(args).arg("65534:65534").arg(path).status().unwrap().success());
    };
    own(&["-R"], host.path(""));
    own(&[], guest.path("client_key"));
    set_mode(&guest.path(""), 0o755);
    let mut run = assert_cmd::Command::new("setpriv");
    run.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_git-banger")]).args(args);
    run.env_clear().current_dir(host.repo());
    for (name, value) in host.env() {
        run.env(name, value);
    }
    host.ran(&mut run)
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.write("folder/c", edited("c", 1));
    guest.write("folder/deeper/new", "new\n");
    set_mode(&host.file("folder"), 0o555);
    let files = host.files_but(&[]);
    let reason = "is in a directory that cannot be written";
    let told = format!(
        "error: the work of guest 'dev' cannot land; nothing was changed\n  'folder/c' {reason}\n  'folder/deeper/new' {reason}\n\
         hint: git diff <id> refs/banger/main/dev/snapshot\n  shows what the guest did\n\
         hint: git banger pull dev --base-commit HEAD@prepare -- ':(top,exclude)folder/c' ':(top,exclude)folder/deeper/new'\n\
         \x20 lands the rest\n"
    );
    assert_eq!(unprivileged(&host, &guest, &SINCE), ran(1, "", &told));
    files.assert_same(&host.files_but(&[]));
    set_mode(&host.file("folder"), 0o755);
}

/// A small disk on a folder, for as long as this lives.
struct Disk<'a>(&'a std::path::Path);

impl Disk<'_> {
    /// Mounts one; `None` where the system does not let us, as in a container, even as root.
    fn mount<'a>(folder: &'a std::path::Path, size: &str) -> Option<Disk<'a>> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder);
        let output = mount.output().ok()?;
        output.status.success().then_some(Disk(folder))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_without_room_is_refused() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let noise: Vec<u8> = (0..500_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (kept, small) = (host.path("kept"), host.path("small"));
    fs::rename(host.repo(), &kept).unwrap();
    fs::create_dir(&small).unwrap();
    let Some(_disk) = Disk::mount(&small, "2m") else {
        assert!(std::env::var_os("CI").is_none(), "CI must mount a small disk for this test");
        eprintln!("skipped: no permission to mount a small disk");
        fs::rename(&kept, host.repo()).unwrap();
        return;
    };
    assert!(Command::new("cp").arg("-a").arg(&kept).arg(small.join("repo")).status().unwrap().success());
    std::os::unix::fs::symlink(small.join("repo"), host.repo()).unwrap();
    host.git(&["update-index", "-q", "--refresh"]);
    // Room for the objects, but not for the files; then not for the objects either.
    let cases = [
        ("zeros", vec![0; 3_000_000], 8, "error: the disk is full: "),
        ("noise", noise, 8, "error: cannot keep what the guest sends: No space left on device"),
    ];
    for (name, bytes, code, said) in cases {
        guest.write(name, bytes);
        let (files, standing) = (host.files_but(&[]), host.standing());
        let run = host.run(&SINCE);
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{name}: {}", run.stderr);
        assert!(run.stderr.starts_with(said), "{name}: {}", run.stderr);
        files.assert_same(&host.files_but(&[]));
        standing.assert_same(&host.standing());
    }
}
