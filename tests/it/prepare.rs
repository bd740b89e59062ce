//! `git banger prepare`: the guest gets what the host has, as the host has it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, edited, lines, ran};
use crate::support::russh::Faults;

const HINT: &str = "hint: git banger pull dev --base-commit HEAD@prepare\n  brings work back later\n";

guest_test!(prepare_leaves_the_guest_as_the_host_is, |guest| {
    let host = Host::new(guest);
    host.write("a", edited("a", 1));
    host.git(&["add", "a"]);
    host.write("b", edited("b", 2));
    fs::remove_file(host.file("folder/c")).unwrap();
    host.write("new", "staged\n");
    host.git(&["add", "new"]);
    host.write("untracked", "stays\n");
    host.write("x.o", "ignored\n");
    let (files, standing, refs) = (host.files_but(&[]), host.standing(), host.refs());
    let told = "shipped branch 'main' at <id> (1 commit) to 'dev', with uncommitted edits in 4 files\n\
                1 untracked file was not shipped (--untracked ships it)\n\
                workspace: '<guest>/home/repo'\n";
    assert_eq!(host.run(&["prepare", VM]), ran(0, "", &format!("{told}{HINT}")));

    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    assert_eq!(host.refs(), refs);
    let head = host.git(&["rev-parse", "HEAD"]);
    assert_eq!(host.git(&["rev-parse", "refs/banger/main/dev/prepare"]), head);
    assert_eq!(host.git(&["rev-parse", "refs/banger/main/dev/baseline^"]), head);

    assert_eq!(guest.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(guest.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(guest.git(&["status", "--porcelain"]), " M a\n M b\n D folder/c\n?? new");
    assert_eq!(fs::read_to_string(guest.file("a")).unwrap(), edited("a", 1));
    assert!(!guest.file("untracked").exists() && !guest.file("x.o").exists());
    let mode = |name| fs::metadata(guest.file(name)).map(|meta| std::os::unix::fs::MetadataExt::mode(&meta)).unwrap();
    assert_eq!((mode("run") & 0o777, mode("b") & 0o777), (0o755, 0o644));
    assert_eq!(guest.git(&["config", "user.email"]), "host@example.org");
    // Nothing but the edits is read again: the first export is fast.
    assert_eq!(guest.git(&["diff-files", "--name-only"]), "a\nb\nfolder/c");
    guest.assert_no_leftovers();
});

guest_test!(prepare_ships_untracked_files_when_asked_and_ignored_ones_never, |guest| {
    let host = Host::new(guest);
    host.write("untracked", "comes\n");
    host.write("x.o", "ignored\n");
    let told = "shipped branch 'main' at <id> (1 commit) to 'dev', with uncommitted edits in 1 file\n\
                workspace: '<guest>/home/repo'\n";
    assert_eq!(host.run(&["prepare", VM, "--untracked"]), ran(0, "", &format!("{told}{HINT}")));
    assert_eq!(guest.git(&["status", "--porcelain", "--ignored"]), "?? untracked");
});

guest_test!(a_dry_run_of_prepare_makes_nothing, |guest| {
    let host = Host::new(guest);
    host.write("a", edited("a", 1));
    let standing = host.standing();
    let told = "would ship branch 'main' at <id> (1 commit) to 'dev', with uncommitted edits in 1 file\n";
    assert_eq!(host.run(&["prepare", VM, "-n"]), ran(0, "", told));
    standing.assert_same(&host.standing());
    assert!(!guest.workspace().exists());
});

guest_test!(prepare_refuses_a_folder_that_holds_something, |guest| {
    let host = Host::new(guest);
    guest.write("precious", "already here\n");
    let before = guest.fingerprint();
    let told = "error: guest 'dev' cannot make the workspace at its path\n  guest: 'repo' is not empty\n\
                \x20 choose another directory with --path, or empty that one in the guest\n";
    assert_eq!(host.run(&["prepare", VM]), ran(1, "", told));
    before.assert_same(&guest.fingerprint());
    assert_eq!(host.git(&["for-each-ref", "refs/banger"]), "");
    assert_eq!(host.run(&["prepare", VM, "--path", "other", "-q"]), ran(0, "", ""));
    assert!(guest.home().join("other/.git").exists());
    guest.assert_no_leftovers();
});

guest_test!(prepare_can_ship_part_of_the_history_on_another_branch, |guest| {
    let host = Host::new(guest);
    for round in ["second", "third"] {
        host.write("a", round);
        host.commit(round);
    }
    let told = "shipped branch 'agent/one' at <id> (2 commits) to 'dev', with no uncommitted edits\n\
                workspace: '<guest>/home/repo'\n";
    let args = ["prepare", VM, "--depth", "2", "--branch", "agent/one"];
    assert_eq!(host.run(&args), ran(0, "", &format!("{told}{HINT}")));
    assert_eq!(guest.git(&["log", "--format=%s"]), "third\nsecond");
    assert_eq!(guest.git(&["symbolic-ref", "HEAD"]), "refs/heads/agent/one");
    assert_eq!(guest.git(&["fsck", "--full"]), "");
});

guest_test!(prepare_ships_no_more_history_than_there_is, |guest| {
    let host = Host::new(guest);
    for round in ["second", "third", "fourth"] {
        host.write("a", round);
        host.commit(round);
    }
    let end = host.git(&["rev-parse", "HEAD~1"]);
    host.write(".git/shallow", format!("{end}\n"));
    for (depth, log) in [("1", "fourth"), ("2", "fourth\nthird"), ("5", "fourth\nthird")] {
        host.stdout(&["prepare", VM, "--depth", depth]);
        assert_eq!(
            (guest.git(&["log", "--format=%s"]), guest.git(&["fsck", "--full"])),
            (log.to_owned(), String::new())
        );
        fs::remove_dir_all(guest.file("")).unwrap();
    }
    // A lock that somebody holds keeps the record from being written, when the workspace is there already.
    host.write(".git/refs/banger/main/dev/prepare.lock", "");
    let ran = host.run(&["prepare", VM]);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    let state = "\n  the guest has what was shipped, but that is not recorded here: prepare again\n\
                 hint: git banger prepare dev\n  ships the repository there\n";
    assert!(ran.stderr.ends_with(state), "{}", ran.stderr);
    fs::remove_file(host.file(".git/refs/banger/main/dev/prepare.lock")).unwrap();
    let ran = host.run(&["prepare", VM]);
    assert!(
        ran.code == Some(0) && ran.stderr.starts_with("brought 'dev' to branch 'main' at <id> (0 new commits)"),
        "{ran:?}"
    );
});

guest_test!(prepare_ships_a_branch_without_a_commit, |guest| {
    let host = Host::empty(guest);
    host.write("a", lines("a"));
    host.git(&["add", "a"]);
    let told = "shipped branch 'main' at no commit yet to 'dev', with uncommitted edits in 1 file\n\
                workspace: '<guest>/home/repo'\n";
    assert_eq!(host.run(&["prepare", VM]), ran(0, "", &format!("{told}{HINT}")));
    assert_eq!(guest.git(&["status", "--porcelain", "--branch"]), "## No commits yet on main\n?? a");
});

guest_test!(prepare_ships_a_detached_head_from_a_linked_worktree_in_sha256, |guest| {
    let host = Host::with_format(guest, "sha256");
    host.write("a", lines("a"));
    host.commit("first");
    let linked = host.path("linked");
    host.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]);
    fs::write(linked.join("a"), edited("a", 3)).unwrap();
    let told = "shipped a detached HEAD at <id> (1 commit) to 'dev', with uncommitted edits in 1 file\n\
                workspace: '<guest>/home/repo'\n";
    let args = ["prepare", VM, "--path", "repo", "-C", linked.to_str().unwrap()];
    let hint = HINT.replace("banger pull", "banger -C <host>/linked pull");
    assert_eq!(host.run(&args), ran(0, "", &format!("{told}{hint}")));
    assert_eq!(guest.git(&["rev-parse", "--show-object-format", "--abbrev-ref", "HEAD"]), "sha256\nHEAD");
    assert_eq!(guest.git(&["status", "--porcelain"]), " M a");
});

#[test]
fn an_upload_that_is_cut_leaves_nothing_on_either_side() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let noise: Vec<u8> = (0..40_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    host.write("big", noise);
    host.commit("big");
    for bytes in [20_000, 60_000, 100_000, 150_000] {
        guest.set_faults(Faults { cut_up: Some(bytes), ..Faults::default() });
        let run = host.run(&["prepare", VM]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "cut after {bytes}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: connection to "), "cut after {bytes}: {}", run.stderr);
        guest.wait_until_idle();
        let left: Vec<_> = fs::read_dir(guest.home()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "cut after {bytes}: {left:?}");
        guest.assert_no_leftovers();
        assert_eq!(host.git(&["for-each-ref", "refs/banger"]), "");
    }
    guest.set_faults(Faults::default());
    host.prepare();
}

#[test]
fn names_that_are_not_utf_8_are_shipped_as_they_are() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let name = OsStr::from_bytes(b"caf\xe9");
    let git = |args: &[&OsStr]| assert!(host.command("git").args(args).status().unwrap().success());
    git(&["checkout".as_ref(), "-qb".as_ref(), name]);
    git(&["config".as_ref(), "user.name".as_ref(), name]);
    let ran = host.run(&["prepare", VM]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("shipped branch 'caf\\xe9' at "), "{ran:?}");
    let of = |args: &[&str]| guest.command("git").args(args).output().unwrap().stdout;
    assert_eq!(of(&["symbolic-ref", "--short", "HEAD"]), b"caf\xe9\n");
    assert_eq!(of(&["config", "user.name"]), b"caf\xe9\n");
    guest.write("new", "new\n");
    guest.commit("by the worker");
    let ran = host.run(&["pull", VM, "--base-commit", "HEAD@prepare"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "A\tnew\n"), "{ran:?}");
    // On such a branch without a commit, too.
    let empty = Host::empty(&guest);
    assert!(empty.command("git").args(["checkout", "-q", "--orphan"]).arg(name).status().unwrap().success());
    let ran = empty.run(&["prepare", VM, "-n", "--path", "other"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("no commit yet"), "{ran:?}");
}
