//! `git banger fetch`: the guest's snapshot into the repository; nothing lands.

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, edited, ran};

guest_test!(fetch_brings_the_snapshot_and_lands_nothing, |guest| {
    let host = Host::new(guest);
    host.prepare();
    host.write("b", edited("b", 9));
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("new", "untracked\n");
    let (files, standing, refs, before) = (host.files_but(&[]), host.standing(), host.refs(), guest.fingerprint());
    let told = "fetched <id> from 'dev' into refs/banger/main/dev/snapshot: 1 commit and 2 changed files since @prepare (<id>)\n\
                hint: git diff <id> refs/banger/main/dev/snapshot\n";
    assert_eq!(host.run(&["fetch", VM, "--base-commit", "@prepare"]), ran(0, "", told));
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    before.assert_same(&guest.fingerprint());
    guest.assert_no_leftovers();
    assert_eq!(host.refs(), refs);
    assert_eq!(host.git(&["diff", "--name-status", "HEAD@{0}", "refs/banger/main/dev/snapshot"]), "M\ta\nA\tnew");
    assert_eq!(
        host.git(&["log", "--format=%s", "-2", "refs/banger/main/dev/snapshot"]),
        "git-banger: snapshot\nby the worker"
    );
    assert_eq!(host.git(&["rev-parse", "refs/banger/main/dev/snapshot^"]), guest.git(&["rev-parse", "HEAD"]));

    let json = host.stdout(&["fetch", VM, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["snapshot"], host.git(&["rev-parse", "refs/banger/main/dev/snapshot"]));
    assert_eq!(json["files"].as_array().unwrap().len(), 1);
});

guest_test!(fetch_goes_on_after_a_guest_that_fails, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.git(&["config", "banger.away.url", "ssh://dev/no/such/folder"]);
    let run = host.run(&["fetch", "away", VM, "-q"]);
    let told = "error: guest 'away' has no usable workspace\n  guest: no directory '/no/such/folder'\n\
                \u{20} if the workspace is elsewhere in the guest, name it: banger.away.path in git's configuration\n\
                hint: git banger prepare away\n  ships the repository there\n";
    assert_eq!(run, ran(4, "", told));
    assert_eq!(host.git(&["diff", "--name-only", "HEAD", "refs/banger/main/dev/snapshot"]), "a");
});

guest_test!(a_shallow_history_that_does_not_reach_the_hosts_says_how_to_bring_the_rest, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.git(&["checkout", "-q", "--orphan", "elsewhere"]);
    for name in ["one", "two"] {
        guest.write(name, "committed\n");
        guest.commit(name);
    }
    guest.write(".git/shallow", guest.git(&["rev-parse", "HEAD"]) + "\n");
    let run = host.run(&["fetch", VM, "--base-commit", "HEAD"]);
    let way = "\n  if the guest's history is shallow, make it whole there: git fetch --unshallow\n";
    assert!(run.code == Some(5) && run.stderr.ends_with(way), "{run:?}");
    assert!(!host.git(&["for-each-ref"]).contains("/snapshot"));
});
