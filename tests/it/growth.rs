//! Pull after pull: what stays in `.git` is what landed, and what git's own gc leaves of it.

use std::fs;
use std::path::Path;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, lines};

/// So many landings stay recorded.
const KEPT: usize = 10;
/// What one pull of a small file may add, in bytes: an index of a pack alone has more than a thousand.
const MOST: u64 = 4096;

/// How many pulls; more by a variable.
fn pulls() -> usize {
    std::env::var("GIT_BANGER_TEST_PULLS").map_or(30, |number| number.parse().unwrap())
}

/// What is in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    objects: u64,
    packs: u64,
    refs: usize,
    bytes: u64,
}

impl Size {
    fn of(host: &Host) -> Size {
        let counts = host.git(&["count-objects", "-v"]);
        let count = |name: &str| -> u64 {
            let line = counts.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap().parse().unwrap()
        };
        assert_eq!(count("garbage"), 0, "{counts}");
        Size {
            objects: count("count") + count("in-pack"),
            packs: count("packs"),
            refs: host.git(&["for-each-ref"]).lines().count(),
            bytes: bytes(&host.file(".git")),
        }
    }
}

/// Returns how many bytes all files below a folder have.
fn bytes(folder: &Path) -> u64 {
    let size = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => bytes(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).sum()
}

fn version(number: usize) -> String {
    format!("{}pull {number}\n", lines("a"))
}

/// Returns some hundred kilobytes, whatever they are packed with.
fn noise(name: &str) -> String {
    let lines = (0..40_000_u64).map(|number| format!("{:x}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    std::iter::once(format!("{name}\n")).chain(lines).collect()
}

#[test]
fn each_pull_adds_what_landed_and_gc_leaves_what_is_recorded() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for number in 0..30 {
        host.write(&format!("many/{number}"), lines("many"));
    }
    host.commit("more");
    host.git(&["config", "banger.keepLandings", &KEPT.to_string()]);
    host.git(&["config", "banger.base", "HEAD@prepare"]);
    host.prepare();
    // The host's own, which no landing touches: an edit, and a file that git does not track.
    host.write("b", noise("edited"));
    host.write("untracked", noise("untracked"));
    host.git(&["gc", "-q", "--prune=now"]);
    let begun = Size::of(&host);

    let mut sizes = Vec::new();
    for number in 0..pulls() {
        guest.write("a", version(number));
        assert_eq!(host.stdout(&["pull", VM]), b"M\ta\n");
        sizes.push(Size::of(&host));
    }
    for (number, pair) in sizes.windows(2).enumerate() {
        let (before, after) = (pair[0], pair[1]);
        let came = (after.objects - before.objects, after.packs - before.packs, after.refs - before.refs);
        // A file and its tree, the snapshot; the landing, its trees, its list; and what the pack's deltas are made against.
        assert_eq!(came, (8, 1, usize::from(number + 1 < KEPT)), "pull {}: {before:?} {after:?}", number + 1);
        assert!(after.bytes - before.bytes < MOST, "pull {}: {before:?} {after:?}", number + 1);
    }
    let left: Vec<_> =
        fs::read_dir(host.file(".git/banger")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.len() == 2 && left.iter().all(|name| name == "own" || name == "landing"), "{left:?}");
    let left: Vec<_> = fs::read_dir(host.file(".git/banger/landing")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(left.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["lock"]);
    assert_eq!(fs::read_dir(host.path("tmp")).unwrap().count(), 0);

    host.git(&["gc", "-q", "--prune=now"]);
    let after = Size::of(&host);
    assert_eq!((after.packs, after.refs), (begun.packs, begun.refs + KEPT + 1));
    // Of each landing that is recorded the same as came with it, and a little more for the first of them.
    assert!(after.objects - begun.objects <= 8 * KEPT as u64 + 8, "{begun:?} {after:?}");
    assert!(after.bytes - begun.bytes < (MOST / 4) * KEPT as u64, "{begun:?} {after:?}");
    let has = |text: &str| {
        let file = host.path("file");
        fs::write(&file, text).unwrap();
        let id = host.git(&["hash-object", "--no-filters", file.to_str().unwrap()]);
        host.command("git").args(["cat-file", "-e", &id]).status().unwrap().success()
    };
    let newest = pulls() - 1;
    assert!(has(&version(newest)) && has(&version(newest - KEPT)) && !has(&version(newest - KEPT - 1)));
    assert!(!has(&host.read("b")) && !has(&host.read("untracked")), "the host's own was stored");

    // What is recorded is whole.
    host.git(&["fsck", "--strict"]);
    assert_eq!(host.run(&["log"]).stdout.lines().count(), KEPT);
    assert!(host.stdout(&["pull", VM]).is_empty());
    // What takes a landing back is recorded too, in the place of the oldest.
    for back in 1..=KEPT / 2 {
        assert_eq!(host.stdout(&["undo"]), b"M\ta\n");
        assert_eq!(host.read("a"), version(newest - back));
    }
}

#[test]
fn what_came_before_is_not_stored_again() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write("b", noise("first"));
    host.commit("large");
    host.git(&["config", "banger.base", "HEAD@prepare"]);
    host.prepare();
    // A guest sends all that it was not given, in each pull: what it committed, edited and made.
    guest.write("committed", noise("committed"));
    guest.commit("by the worker");
    guest.write("b", noise("edited"));
    guest.write("new", noise("new"));
    host.stdout(&["pull", VM]);
    assert!(Size::of(&host).bytes > 3 * MOST);
    for number in 0..3 {
        guest.write("a", version(number));
        if number == 1 {
            guest.git(&["commit", "-qm", "more", "a"]);
        }
        let before = Size::of(&host).bytes;
        assert_eq!(host.stdout(&["pull", VM]), b"M\ta\n");
        let came = Size::of(&host).bytes - before;
        assert!(came < MOST, "{came} bytes for one small file");
    }
    // Nothing that was left out is missing, and another repository gets all of it.
    host.git(&["fsck", "--strict", "--connectivity-only"]);
    host.git(&["gc", "-q", "--prune=now"]);
    host.git(&["fsck", "--strict"]);
    let tree = |name: &str| host.git(&["rev-parse", &format!("refs/banger/main/dev/{name}")]);
    assert_eq!(host.git(&["show", &format!("{}:new", tree("snapshot"))]), noise("new").trim_end());
    host.stdout(&["undo"]);
    assert_eq!(host.read("a"), version(1));
}
