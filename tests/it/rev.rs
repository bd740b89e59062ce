//! `git banger rev`: ids that other git commands can use.

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, ran};

guest_test!(rev_prints_what_is_recorded, |guest| {
    let host = Host::new(guest);
    let told =
        "error: no guest was prepared from this repository\n  prepare one first: git banger prepare, and its name\n";
    assert_eq!(host.run(&["rev", "HEAD@prepare"]), ran(1, "", told));
    host.prepare();
    let head = host.git(&["rev-parse", "HEAD"]) + "\n";
    for args in [["rev", "HEAD@prepare"].as_slice(), &["rev", "@prepare"], &["rev", "@prepare", VM]] {
        assert_eq!(String::from_utf8(host.stdout(args)).unwrap(), head);
    }
    let told = "error: nothing is recorded here as HEAD@snapshot of guest 'dev'\nhint: git banger fetch dev\n";
    assert_eq!(host.run(&["rev", "@snapshot"]), ran(1, "", told));
    host.stdout(&["fetch", VM]);
    let snapshot = String::from_utf8(host.stdout(&["rev", "@snapshot"])).unwrap();
    assert_eq!(snapshot.trim_end(), host.git(&["rev-parse", "refs/banger/main/dev/snapshot"]));
    let told = "error: 'HEAD~1' is not a record\n  \
                records are HEAD@prepare, HEAD@baseline and HEAD@snapshot, for short @prepare, @baseline and @snapshot\n";
    assert_eq!(host.run(&["rev", "HEAD~1"]), ran(2, "", told));
    host.git(&["update-ref", "refs/banger/main/other/prepare", "HEAD"]);
    let told = "error: several guests were prepared from here: dev, other\nhint: git banger rev @prepare dev\nhint: git banger rev @prepare other\n";
    assert_eq!(host.run(&["rev", "@prepare"]), ran(2, "", told));
});
