//! Hints are followed as a user follows them: pasted, one after the other. That each of them is a command at all is
//! checked wherever a test provokes one (support/hints.rs).

use std::fs;

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, Ran, edited};

/// Runs git-banger, which must end like this; then follows what it proposes. Returns how each command ended.
fn followed(host: &Host, args: &[&str], code: i32) -> Vec<Ran> {
    let (ran, followed) = host.follow(args, || {});
    assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
    assert!(!followed.is_empty(), "{args:?} proposes nothing: {ran:?}");
    followed
}

fn codes(ran: &[Ran]) -> Vec<i32> {
    ran.iter().map(|ran| ran.code.unwrap_or(-1)).collect()
}

guest_test!(a_guest_without_a_workspace_gets_one_and_the_work_comes_back, |guest| {
    let host = Host::new(guest);
    assert_eq!(codes(&followed(&host, &["export", VM], 4)), [0]);
    assert!(guest.file("a").exists());
    guest.write("a", edited("a", 1));
    // Nothing was recorded before; the hint of 'prepare' brings the work back.
    let away = host.path("away");
    fs::rename(guest.workspace(), &away).unwrap();
    let (_, pulled) = host.follow(&["prepare", VM], || {
        fs::remove_dir_all(guest.workspace()).unwrap();
        fs::rename(away, guest.workspace()).unwrap();
    });
    assert_eq!(codes(&pulled), [0]);
    assert_eq!(host.read("a"), edited("a", 1));
});

guest_test!(what_was_never_prepared_or_fetched_is_once_the_hint_was_followed, |guest| {
    let host = Host::new(guest);
    assert_eq!(codes(&followed(&host, &["rev", "HEAD@prepare", VM], 1)), [0]);
    assert_eq!(host.run(&["rev", "HEAD@prepare", VM]).code, Some(0));
    assert_eq!(codes(&followed(&host, &["rev", "HEAD@snapshot", VM], 1)), [0]);
    assert_eq!(host.run(&["rev", "HEAD@snapshot", VM]).code, Some(0));
    guest.write("a", edited("a", 1));
    assert_eq!(codes(&followed(&host, &["fetch", VM], 0)), [0]);
    // With several guests, each is proposed.
    host.git(&["config", "banger.two.url", "ssh://dev/~/two"]);
    assert_eq!(host.run(&["prepare", "two"]).code, Some(0));
    let ids = followed(&host, &["rev", "@prepare"], 2);
    assert_eq!((codes(&ids), &ids[0].stdout), (vec![0, 0], &"<id>\n".to_owned()));
});

guest_test!(a_base_that_the_guest_lacks_is_replaced_whatever_the_configuration_says, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let exported = followed(&host, &["export", VM, "--base-commit=no-such-commit", "--name-only", "--", "a"], 4);
    assert_eq!((codes(&exported), exported[0].stdout.as_str()), (vec![0], "a\n"));
    host.git(&["config", "banger.base", "no-such-commit"]);
    let exported = followed(&host, &["export", VM, "--name-only"], 4);
    assert_eq!((codes(&exported), exported[0].stdout.as_str()), (vec![0], "a\n"));
});

guest_test!(both_meanings_of_a_pull_are_commands_and_so_is_the_one_for_good, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("b", edited("b", 1));
    let pulled = followed(&host, &["pull", VM], 1);
    assert_eq!(codes(&pulled), [0, 0, 0], "{pulled:?}");
    assert_eq!((host.read("a"), host.read("b")), (edited("a", 1), edited("b", 1)));
    assert_eq!(host.git(&["config", "banger.base"]), "HEAD@prepare");
    assert_eq!(host.run(&["pull", VM]).code, Some(0));
    host.git(&["config", "--unset", "banger.base"]);
    let exported = followed(&host, &["export", VM, "--name-only"], 0);
    assert_eq!(exported.iter().map(|ran| ran.stdout.as_str()).collect::<Vec<_>>(), ["a\nb\n", "b\n"]);
    assert!(exported.iter().all(|ran| !ran.stderr.contains("hint")), "{exported:?}");
});

guest_test!(a_conflict_is_looked_at_and_lands_in_the_files, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.write("a", edited("a", 1).replace("edited", "mine"));
    let settled = followed(&host, &["pull", VM, "--base-commit", "@prepare"], 1);
    assert_eq!(codes(&settled), [0, 7], "{settled:?}");
    assert!(settled[0].stdout.contains("+a 1 edited") && host.read("a").contains("<<<<<<<"), "{settled:?}");
});

guest_test!(a_host_key_is_trusted_or_forgotten_by_the_command_that_is_shown, |guest| {
    let host = Host::new(guest);
    let known = fs::read_to_string(guest.path("known_hosts")).unwrap();
    fs::write(guest.path("known_hosts"), "").unwrap();
    assert_eq!(codes(&followed(&host, &["prepare", VM, "-q"], 3)), [0]);
    assert_eq!(fs::read_to_string(guest.path("known_hosts")).unwrap(), known);
    assert_eq!(host.run(&["prepare", VM, "-q"]).code, Some(0));
    let (name, _) = known.split_once(' ').unwrap();
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKg90G9+Hnxt2W0oxYv2afKWaw4GT6ALRK4wXAym6lwD";
    fs::write(guest.path("known_hosts"), format!("{name} {other}\n")).unwrap();
    assert_eq!(codes(&followed(&host, &["fetch", VM, "-q"], 3)), [0]);
    assert_eq!(codes(&followed(&host, &["fetch", VM, "-q"], 3)), [0]);
    assert_eq!(host.run(&["fetch", VM, "-q"]).code, Some(0));
});

guest_test!(sessions_are_listed_stopped_replaced_and_read_on, |guest| {
    let host = Host::new(guest);
    let started = followed(&host, &["session", "start", VM, "s", "--cwd", "/", "--", "sh", "-c", "echo out"], 0);
    assert_eq!((codes(&started), started[0].stdout.as_str()), (vec![0], "out\n"));
    let replaced = followed(&host, &["session", "start", VM, "s", "--cwd", "/", "--", "sleep", "60"], 1);
    assert_eq!(codes(&replaced), [0], "{replaced:?}");
    let listed = followed(&host, &["session", "logs", VM, "t"], 1);
    assert!(listed[0].stdout.starts_with("s\trunning"), "{listed:?}");
    assert_eq!(codes(&followed(&host, &["session", "remove", VM, "s"], 1)), [0]);
    assert_eq!(host.run(&["session", "remove", VM, "s"]).code, Some(0));
});

#[test]
fn names_are_listed_and_forgotten() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    assert_eq!(codes(&followed(&host, &["vm", "remove", "box"], 1)), [0]);
    assert_eq!(host.run(&["vm", "add", "box", "ssh://dev"]).code, Some(0));
    assert_eq!(codes(&followed(&host, &["vm", "add", "box", "ssh://dev"], 1)), [0]);
    assert_eq!(host.run(&["vm", "list"]).stdout, "");
}

#[test]
fn a_hint_works_from_where_the_user_stands() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let config = host.path("home/ssh config");
    fs::copy(guest.ssh_config(), &config).unwrap();
    host.git(&["config", "--unset", "banger.sshConfig"]);
    let elsewhere = host.path("tmp");
    let args = ["-C", "../repo", "-F", config.to_str().unwrap(), "export", VM];
    let ran = host.ran(host.banger(&args).current_dir(&elsewhere));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let hint = "hint: git banger -C ../repo -F '<host>/home/ssh config' prepare dev\n";
    assert!(ran.stderr.contains(hint), "{ran:?}");
}

#[test]
fn a_damaged_head_is_looked_for_with_git() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write(".git/refs/heads/main", "0123456789012345678901234567890123456789\n");
    assert_eq!(codes(&followed(&host, &["prepare", VM, "-n"], 1)), [2], "git fsck finds it");
}

#[test]
fn a_guest_that_is_misspelt_is_not_shipped_to() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let ran = host.run(&["pull", "devv", "--base-commit", "HEAD@prepare"]);
    let told = "error: nothing is recorded here as HEAD@prepare of guest 'devv'\n  did you mean guest 'dev'?\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), told));
    let ran = host.run(&["pull", VM, "--base-commit", "HEAD@prepar"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.starts_with("error: 'HEAD@prepar' is not a record\n  records are HEAD@prepare, "), "{ran:?}");
}
