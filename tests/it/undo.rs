//! `undo` and `log`: what has landed goes back, as a merge into the host's files as they are now.

use std::fs;

use crate::jj::World;
use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines, ran};
use crate::support::set_mode;

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Makes a host that is prepared.
fn prepared(guest: &TestGuest) -> Host {
    let host = Host::new(guest);
    host.prepare();
    host
}

/// Pulls, and demands that these files land.
fn pulls(host: &Host, files: &str) {
    let run = host.run(&SINCE);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), files), "{}", run.stderr);
}

#[test]
fn a_landing_goes_back_and_forward_again_and_what_was_edited_since_stays() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    host.write("own", "untracked\n");
    host.write("b", edited("b", 10));
    let (before, standing) = (host.files_but(&[]), host.standing());
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    guest.write("new/deep/file", "new\n");
    fs::rename(guest.file("folder/c"), guest.file("moved")).unwrap();
    set_mode(&guest.file("run"), 0o644);
    pulls(&host, "M\ta\nM\tb\nR100\tfolder/c\tmoved\nA\tnew/deep/file\nM\trun\n");
    let landed = host.files_but(&[]);
    let told = "took back landing 1 from 'dev': 5 changed files\nhint: git banger undo --redo\n  lands it again\n";
    let files = "M\ta\nM\tb\nR100\tmoved\tfolder/c\nD\tnew/deep/file\nM\trun\n";
    assert_eq!(host.run(&["undo"]), ran(0, files, told));
    before.without_times().assert_same(&host.files_but(&[]).without_times());
    assert!(!host.file("new").exists());
    standing.assert_same(&host.standing());
    let told = "landed again landing 1 from 'dev': 5 changed files\n";
    assert_eq!(host.run(&["undo", "--redo", VM]).stderr, told);
    landed.without_times().assert_same(&host.files_but(&[]).without_times());
    // Edits of the host's, in a file that landed and beside it.
    host.write("a", edited("a", 1).replace("a 9\n", "a 9 of the host\n"));
    host.write("own", "still untracked\n");
    assert_eq!(host.run(&["undo", "-n"]).code, Some(0));
    assert_eq!(host.run(&["undo"]).code, Some(0));
    assert_eq!(host.read("a"), lines("a").replace("a 9\n", "a 9 of the host\n"));
    assert_eq!((host.read("b"), host.read("own")), (edited("b", 10), "still untracked\n".to_owned()));
    // What was taken back is new again.
    pulls(&host, "M\ta\nM\tb\nR100\tfolder/c\tmoved\nA\tnew/deep/file\nM\trun\n");
    assert_eq!(host.read("a"), edited("a", 1).replace("a 9\n", "a 9 of the host\n"));
    standing.assert_same(&host.standing());
}

#[test]
fn landings_go_back_one_by_one_and_forward_in_the_same_order() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    let mut states = vec![host.files_but(&[]).without_times()];
    for line in 1..=3 {
        let text: String =
            (1..=10).map(|n| if n <= line { format!("a {n} edited\n") } else { format!("a {n}\n") }).collect();
        guest.write("a", text);
        guest.write(&format!("new {line}"), "new\n");
        assert_eq!(host.run(&SINCE).code, Some(0));
        states.push(host.files_but(&[]).without_times());
    }
    for (number, state) in (1..4usize).zip(&states[..3]).rev() {
        let run = host.run(&["undo"]);
        assert!(run.stderr.starts_with(&format!("took back landing {number} from 'dev'")), "{run:?}");
        state.assert_same(&host.files_but(&[]).without_times());
    }
    let none = "error: no landing stands here\nhint: git banger log\n  lists what has landed\n";
    assert_eq!(host.run(&["undo"]), ran(1, "", none));
    for (number, state) in (1..=3).zip(&states[1..]) {
        let run = host.run(&["undo", "--redo"]);
        assert!(run.stderr.starts_with(&format!("landed again landing {number} from 'dev'")), "{run:?}");
        state.assert_same(&host.files_but(&[]).without_times());
    }
    let none = "error: no landing from guest 'dev' was taken back since the last one\n\
                hint: git banger log\n  lists what has landed\n";
    assert_eq!(host.run(&["undo", "--redo", VM]), ran(1, "", none));
    assert_eq!(host.run(&["undo", "nobody"]).code, Some(1));
    // All of it is here, so none of it is new.
    assert_eq!(host.run(&SINCE).stdout, "");
}

#[test]
fn what_cannot_go_back_is_named_and_nothing_goes_back() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    guest.write("new", "new\n");
    pulls(&host, "M\ta\nM\tb\nA\tnew\n");
    host.write("a", lines("a").replace("a 1\n", "a 1 otherwise\n"));
    host.write("new", "new, and edited here\n");
    let (files, standing) = (host.files_but(&[]), host.standing());
    let told = "error: landing 1 from 'dev' cannot be taken back; nothing was changed\n  \
                'a' has changed here and in the landing\n  'new' has changed here and was deleted in the landing\n";
    assert_eq!(host.run(&["undo"]), ran(1, "", told));
    let json: serde_json::Value = serde_json::from_str(&host.run(&["undo", "--json"]).stdout).unwrap();
    assert_eq!(json["error"]["paths"][0]["kind"], "both-changed");
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    assert_eq!(host.run(&["undo", "--redo"]).code, Some(1));
}

#[test]
fn what_both_sides_did_and_what_the_host_has_committed_stays_the_hosts() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    // The same fix on both sides, and one that only the guest made.
    host.write("a", edited("a", 1));
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    pulls(&host, "M\tb\n");
    host.commit("landed");
    assert_eq!(host.run(&["undo"]).stdout, "M\tb\n");
    assert_eq!((host.read("a"), host.read("b")), (edited("a", 1), lines("b")));
    assert_eq!(host.git(&["status", "--porcelain"]), " M b");
    // Where it is gone already, only what is agreed goes back.
    assert_eq!(host.run(&["undo", "--redo"]).stdout, "M\tb\n");
    host.write("b", lines("b"));
    let run = host.run(&["undo"]);
    assert!(run.stdout.is_empty() && run.stderr.contains("no file has to change"), "{run:?}");
    pulls(&host, "M\tb\n");
}

#[test]
fn after_another_prepare_a_landing_goes_back_and_is_not_new_again() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    guest.write("a", edited("a", 1));
    pulls(&host, "M\ta\n");
    fs::remove_dir_all(guest.workspace()).unwrap();
    host.prepare();
    assert_eq!(host.run(&["undo"]).stdout, "M\ta\n");
    assert_eq!(host.read("a"), lines("a"));
    // The guest was given the edit, and has done nothing since.
    pulls(&host, "");
    guest.write("b", edited("b", 1));
    pulls(&host, "M\tb\n");
    assert_eq!(host.read("a"), lines("a"));
}

#[test]
fn the_log_lists_what_landed_when_from_whom_and_how_much() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    assert_eq!(host.run(&["log"]), ran(0, "", ""));
    guest.write("a", edited("a", 1));
    pulls(&host, "M\ta\n");
    guest.write("new", "one\ntwo\n");
    pulls(&host, "A\tnew\n");
    host.run(&["undo"]);
    let log = host.run(&["log"]).stdout;
    let listed: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
    let without_time: Vec<_> = listed.iter().map(|fields| [&fields[..1], &fields[2..]].concat()).collect();
    assert_eq!(
        without_time,
        [
            vec!["3", "dev", "since <id>", "1 file (+0 -2)", "took back 2"],
            vec!["2", "dev", "since <id>", "1 file (+2 -0)", "taken back"],
            vec!["1", "dev", "since <id>", "1 file (+1 -1)"],
        ]
    );
    let json: serde_json::Value = serde_json::from_slice(&host.stdout(&["log", "--json"])).unwrap();
    assert_eq!((json[0]["kind"].as_str(), json[0]["of"].as_u64()), (Some("undo"), Some(2)));
    assert_eq!((json[1]["stands"].as_bool(), json[2]["stands"].as_bool()), (Some(false), Some(true)));
    assert_eq!((json[2]["files"].as_u64(), json[2]["vm"].as_str()), (Some(1), Some(VM)));
    let patch = host.run(&["log", "-p", VM]).stdout;
    assert!(patch.contains("\n+a 1 edited\n") && patch.contains("\n-a 1\n") && patch.contains("\n+two\n"), "{patch}");
    assert_eq!(host.run(&["log", "nobody"]).stdout, "");
    // Only so many stay.
    host.git(&["config", "banger.keepLandings", "2"]);
    guest.write("b", edited("b", 1));
    guest.write("new", "other\n");
    pulls(&host, "M\tb\nA\tnew\n");
    assert_eq!(
        host.run(&["log"]).stdout.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
        ["4", "3"]
    );
}

#[test]
fn in_jj_a_landing_is_an_operation_that_jj_takes_back() {
    let world = World::colocated();
    world.prepare();
    world.guest.write("a", "theirs\n");
    assert_eq!(world.pull(&[]).code, Some(0));
    let run = world.banger(&["undo"]);
    let told = "error: in a jj workspace a landing is an operation, which jj takes back\nhint: jj op log\n  shows it\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), told));
    assert!(world.banger(&["log"]).stdout.contains("\tdev\tsince <id>\t1 file"));
    assert_eq!(world.read("a"), "theirs\n");
}

#[test]
fn landed_work_that_was_thrown_away_is_told_and_lands_again() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    guest.write("folder/c", edited("c", 1));
    guest.write("new", "new\n");
    guest.write("kept", "kept\n");
    fs::remove_file(guest.file("run")).unwrap();
    let files = "M\ta\nM\tb\nM\tfolder/c\nA\tkept\nA\tnew\nD\trun\n";
    pulls(&host, files);
    assert!(host.run(&SINCE).stderr.starts_with("nothing new from 'dev' since HEAD@prepare (<id>)\n"));
    // All that git tracks is as it was; one of the new files has another name; one file is edited, too.
    host.git(&["checkout", "-q", "."]);
    host.write("b", edited("b", 10));
    host.write("folder/c", lines("c").replace("c 1\n", "c 1 of the host\n"));
    fs::rename(host.file("kept"), host.file("renamed")).unwrap();
    fs::remove_file(host.file("new")).unwrap();
    let run = host.run(&SINCE);
    let told = "nothing new from 'dev' since HEAD@prepare (<id>), but landed work in 4 files is no more here\n\
                hint: git banger pull dev --base-commit HEAD@prepare --again\n  lands it again\n";
    assert_eq!(run, ran(0, "", told));
    let run = host.run(&[&SINCE[..], &["--again"]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "M\ta\nM\tb\nA\tnew\nD\trun\n"), "{}", run.stderr);
    assert!(run.stderr.contains("warning: 'folder/c' stays as it is: it was edited here since it landed\n"), "{run:?}");
    assert_eq!((host.read("a"), host.read("new")), (edited("a", 1), "new\n".to_owned()));
    assert_eq!(host.read("b"), edited("b", 1).replace("b 10\n", "b 10 edited\n"));
    assert_eq!(host.read("folder/c"), lines("c").replace("c 1\n", "c 1 of the host\n"));
    assert!(!host.file("run").exists() && !host.file("kept").exists() && host.file("renamed").exists());
    assert_eq!(host.run(&SINCE).stdout, "");
    // Taking that back leaves the files as a command of ours wrote them, and without what has landed.
    assert_eq!(host.run(&["undo"]).stdout, "M\ta\nM\tb\nD\tnew\nA\trun\n");
    assert_eq!(host.run(&SINCE), ran(0, "", told));
}

#[test]
fn a_conflict_over_what_was_thrown_away_names_the_way_and_that_lands_both() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    pulls(&host, "M\ta\nM\tb\n");
    host.git(&["checkout", "-q", "."]);
    guest.write("a", edited("a", 1).replace("a 1 edited\n", "a 1 edited twice\n"));
    let (run, hints) = host.follow(&SINCE, || ());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stderr.contains("--again\n  first lands again what has landed before and is no more here\n"),
        "{run:?}"
    );
    assert!(hints.iter().any(|hint| hint.code == Some(0) && hint.stdout == "M\ta\nM\tb\n"), "{hints:?}");
    assert_eq!((host.read("a").lines().next(), host.read("b")), (Some("a 1 edited twice"), edited("b", 1)));
    // With pathspecs only what they choose is looked for.
    host.git(&["checkout", "-q", "."]);
    assert_eq!(host.run(&[&SINCE[..], &["--again", "--", "b"]].concat()).stdout, "M\tb\n");
    // Where all of it is here, there is nothing to land, and nothing to record.
    let log = host.run(&["log"]).stdout;
    assert_eq!(host.run(&[&SINCE[..], &["--again", "--", "b"]].concat()).stdout, "");
    assert_eq!(host.run(&["log"]).stdout, log);
}
