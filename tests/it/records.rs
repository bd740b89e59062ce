//! What is recorded is each working copy's own.

use std::fs;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines, ran};
use crate::support::write_file;

/// Runs git-banger in another worktree of the host's.
fn run_in(host: &Host, folder: &str, args: &[&str]) -> crate::support::host::Ran {
    let folder = host.path(folder);
    host.run(&[&["-C", folder.to_str().unwrap()], args].concat())
}

fn since(args: &[&'static str]) -> Vec<&'static str> {
    [&["pull", VM, "--base-commit", "HEAD@prepare"], args].concat()
}

#[test]
fn two_worktrees_have_a_workspace_each_and_neither_sees_the_others() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.git(&["worktree", "add", "-q", "-b", "other", "../second"]);
    host.prepare();
    let prepared = run_in(&host, "second", &["prepare", VM, "--path", "elsewhere"]);
    assert_eq!(prepared.code, Some(0), "{prepared:?}");
    assert!(host.run(&["vm", "list"]).stdout.starts_with("dev\t-\trepo\t"));
    assert!(run_in(&host, "second", &["vm", "list"]).stdout.starts_with("dev\t-\telsewhere\t"));
    // Each worker does other work, deletions among it.
    guest.write("a", edited("a", 1));
    write_file(&guest.home().join("elsewhere/b"), edited("b", 2).as_bytes());
    fs::remove_file(guest.home().join("elsewhere/run")).unwrap();
    assert_eq!(host.run(&since(&[])).stdout, "M\ta\n");
    assert_eq!(run_in(&host, "second", &since(&[])).stdout, "M\tb\nD\trun\n");
    assert_eq!((host.read("a"), host.read("b")), (edited("a", 1), lines("b")));
    // What has landed in one is no news there, and what was taken back there stands here.
    assert_eq!(run_in(&host, "second", &["undo"]).code, Some(0));
    assert!(host.file("run").exists() && host.path("second/run").exists());
    assert_eq!(host.run(&["log"]).stdout.lines().count(), 1);
    assert_eq!(run_in(&host, "second", &["log"]).stdout.lines().count(), 2);
    // A session starts where the worktree's own workspace is.
    let started = run_in(&host, "second", &["session", "start", VM, "s", "--", "pwd"]);
    assert_eq!(started.code, Some(0), "{started:?}");
    assert_eq!(host.run(&["session", "wait", VM, "s"]).code, Some(0));
    assert!(host.run(&["session", "logs", VM, "s"]).stdout.ends_with("/elsewhere\n"));
    // Forgotten, it is forgotten in all of them.
    assert_eq!(host.run(&["vm", "remove", VM]).code, Some(0));
    assert_eq!(host.git(&["for-each-ref", "refs/banger"]), "");
}

#[test]
fn a_new_worktree_of_the_name_of_one_that_is_gone_starts_without_records() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let add = || host.git(&["worktree", "add", "-q", "--detach", "../second"]);
    add();
    assert_eq!(run_in(&host, "second", &["prepare", VM, "--path", "repo"]).code, Some(0));
    guest.write("a", edited("a", 1));
    assert_eq!(run_in(&host, "second", &since(&[])).stdout, "M\ta\n");
    host.git(&["worktree", "remove", "--force", "../second"]);
    assert!(host.git(&["for-each-ref"]).contains("refs/banger/second/dev/landings/1"));
    add();
    let run = run_in(&host, "second", &since(&[]));
    assert!(run.code == Some(1) && run.stderr.contains("nothing is recorded here as HEAD@prepare"), "{run:?}");
    assert!(!host.git(&["for-each-ref"]).contains("refs/banger/second"));
    // Its own records stay.
    assert_eq!(run_in(&host, "second", &["prepare", VM, "--path", "other"]).code, Some(0));
    assert_eq!(run_in(&host, "second", &since(&[])).code, Some(0));
    // A worktree may be called as the main one is.
    host.git(&["worktree", "add", "-q", "--detach", "../main"]);
    assert_eq!(run_in(&host, "main", &["prepare", VM, "--path", "third"]).code, Some(0));
    assert_eq!(host.run(&["rev", "@prepare"]).code, Some(1));
}

#[test]
fn records_of_the_layout_before_are_moved_once_and_go_on() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write("b", edited("b", 10));
    host.prepare();
    for kind in ["prepare", "baseline"] {
        let id = host.git(&["rev-parse", &format!("refs/banger/main/dev/{kind}")]);
        host.git(&["update-ref", &format!("refs/banger/dev/{kind}"), &id]);
        host.git(&["update-ref", "-d", &format!("refs/banger/main/dev/{kind}")]);
    }
    guest.write("a", edited("a", 1));
    assert!(host.run(&["vm", "list"]).stdout.starts_with("dev\t"));
    assert_eq!(host.run(&since(&[])), ran(0, "M\ta\n", "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\n"));
    assert_eq!(host.run(&since(&[])).stdout, "");
    let refs = host.git(&["for-each-ref", "--format=%(refname)", "refs/banger"]);
    let expected = ["baseline", "landings/1", "prepare", "snapshot"].map(|kind| format!("refs/banger/main/dev/{kind}"));
    assert_eq!(refs.lines().collect::<Vec<_>>(), expected);
}
