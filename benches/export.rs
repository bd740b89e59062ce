//! `git banger export` beside the recipe that everybody writes first, on the same guest, in turns: shown, never judged.
//!
//! 20,000 files, 20 edits, a real sshd. The recipe is `ssh guest sh < script` with an index of its own, since one that
//! stages in the worker's index would be no comparison.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own")]
#![allow(dead_code, unused_imports, unused_macros, missing_docs, reason = "the tests use all of it")]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::guest::{TestGuest, VM};
use support::host::{Host, REPO};

const FILES: usize = 20_000;
const EDITS: usize = 20;
/// Lines of 23 bytes in a file, and whose mean size that is.
const SIZES: [(usize, &str); 2] = [(400, "9 kB, as git's own sources"), (700, "16 kB, as the Linux kernel's")];
const ROUNDS: usize = 15;

const RECIPE: &str = "
set -e
cd ~/repo
GIT_INDEX_FILE=$(mktemp -u)
export GIT_INDEX_FILE
git add -A
git diff --cached --binary HEAD
rm -f \"$GIT_INDEX_FILE\"
";

fn main() {
    assert_eq!(REPO, "repo", "the recipe names it");
    for (lines, what) in SIZES {
        compare(lines, what);
    }
}

fn compare(lines: usize, what: &str) {
    let guest = TestGuest::sshd();
    let host = Host::empty(&guest);
    for number in 0..FILES {
        let mut text = String::new();
        for line in 0..lines {
            writeln!(text, "file {number}, line {line}").unwrap();
        }
        host.write(&format!("src/{}/{number}.txt", number / 200), text);
    }
    host.commit("first");
    let start = Instant::now();
    host.prepare();
    println!("{FILES} files of {what}, {EDITS} edits; {}", host.git(&["version"]));
    println!("prepare             {:>6} ms", start.elapsed().as_millis());
    for number in 0..EDITS {
        let number = number * FILES / EDITS;
        guest.write(&format!("src/{}/{number}.txt", number / 200), format!("edited {number}\n"));
    }

    // What was written so far may not be on its way to the disk while the clock runs.
    assert!(Command::new("sync").status().unwrap().success());
    let mut banger = Vec::new();
    let mut recipe = Vec::new();
    for round in 0..=ROUNDS {
        let ours = timed(&mut banger, || host.stdout(&["-q", "export", VM]));
        let theirs = timed(&mut recipe, || plain_recipe(&guest));
        let files = |patch: &[u8]| String::from_utf8_lossy(patch).matches("\ndiff --git ").count() + 1;
        assert_eq!((files(&ours), files(&theirs)), (EDITS, EDITS), "round {round}");
    }
    let (ours, theirs) = (median(banger), median(recipe));
    println!("git banger export   {ours:>6} ms");
    println!("the plain recipe    {theirs:>6} ms");
    println!("ratio               {:>8.1}\n", theirs as f64 / ours as f64);
}

fn plain_recipe(guest: &TestGuest) -> Vec<u8> {
    let script = guest.path("recipe.sh");
    std::fs::write(&script, RECIPE).unwrap();
    let mut ssh = Command::new(support::require("ssh"));
    ssh.arg("-F").arg(guest.ssh_config()).args([VM, "sh"]).stdin(std::fs::File::open(script).unwrap());
    let output = ssh.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the recipe failed");
    output.stdout
}

fn timed<T>(times: &mut Vec<Duration>, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = run();
    times.push(start.elapsed());
    value
}

/// The middle one, without the first, which warms the caches.
fn median(mut times: Vec<Duration>) -> u128 {
    times.remove(0);
    times.sort();
    times[times.len() / 2].as_millis()
}
