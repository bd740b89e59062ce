//! `git banger pull` beside `rsync -a` and beside the plain recipe, on the same guest, in turns: shown, never judged.
//!
//! 20, 2,000 and 20,000 changed files in repositories of 20,000 and 100,000. rsync reads the guest's files from the same
//! disk, and so pays no connection; the recipe is `git diff --binary | git apply`. A pull asks the guest first; what of it
//! is the landing alone shows `undo --redo`, which lands the same work again.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own")]
#![allow(dead_code, unused_imports, unused_macros, missing_docs, reason = "the tests use all of it")]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::guest::{TestGuest, VM};
use support::host::Host;

const FILES: [usize; 2] = [20_000, 100_000];
const CHANGED: [usize; 3] = [20, 2_000, 20_000];
const ROUNDS: usize = 3;
/// Among so many files those that change are spread, so that they are in as many folders in each repository.
const SPREAD: usize = 20_000;

fn main() {
    let chosen = |name: &str, all: &[usize]| match std::env::var(name) {
        Ok(number) => vec![number.parse().unwrap()],
        Err(_) => all.to_vec(),
    };
    for files in chosen("FILES", &FILES) {
        let guest = TestGuest::sshd();
        let host = Host::empty(&guest);
        for number in 0..files {
            host.write(&name(number), text(number, 0));
        }
        // A repack in the background would count, and change what is copied.
        host.git(&["config", "gc.auto", "0"]);
        host.commit("first");
        host.prepare();
        println!("{files} files; {}", host.git(&["version"]));
        for tree in ["rsync", "recipe"] {
            run(Command::new("cp").arg("-a").arg(host.repo()).arg(host.path(tree)));
        }
        let mut edition = 0;
        for changed in chosen("CHANGED", &CHANGED) {
            compare(&host, &guest, changed, &mut edition);
        }
        println!();
    }
}

fn name(number: usize) -> String {
    format!("src/{}/{number}.txt", number / 200)
}

fn text(number: usize, edition: usize) -> String {
    (0..40)
        .map(|line| format!("file {number}, line {line}, edition {}\n", if line == 20 { edition } else { 0 }))
        .collect()
}

fn compare(host: &Host, guest: &TestGuest, changed: usize, edition: &mut usize) {
    let [mut banger, mut landing, mut rsync, mut recipe] = [const { Vec::new() }; 4];
    let has_rsync = which::which("rsync").is_ok();
    for _ in 0..ROUNDS {
        *edition += 1;
        // What the recipe compares with is what it brought last.
        guest.git(&["add", "-A"]);
        let before = guest.git(&["write-tree"]);
        for number in 0..changed {
            let number = number * SPREAD / changed;
            guest.write(&name(number), text(number, *edition));
        }
        // What was written so far may not be on its way to the disk while the clock runs.
        run(&mut Command::new("sync"));
        let pull = ["pull", VM, "--base-commit", "HEAD@prepare"];
        let list = timed(&mut banger, || host.stdout(&pull));
        assert_eq!(list.iter().filter(|byte| **byte == b'\n').count(), changed);
        host.stdout(&["undo", "-q"]);
        let again = timed(&mut landing, || host.stdout(&["undo", "--redo"]));
        assert_eq!(again, list);
        if has_rsync {
            let from = format!("{}/", guest.workspace().display());
            timed(&mut rsync, || {
                run(Command::new("rsync").args(["-a", "--exclude=/.git", &from]).arg(host.path("rsync")))
            });
        }
        timed(&mut recipe, || {
            let mut diff =
                guest.command("git").args(["diff", "--binary", &before]).stdout(Stdio::piped()).spawn().unwrap();
            let patch = diff.stdout.take().unwrap();
            run(Command::new("git").arg("-C").arg(host.path("recipe")).arg("apply").stdin(patch));
            assert!(diff.wait().unwrap().success());
        });
    }
    let (pull, landing) = (median(banger), median(landing));
    let shown = |what: &str, times: Vec<Duration>| {
        if !times.is_empty() {
            let theirs = median(times);
            let ratio = |ours: u128| ours as f64 / theirs.max(1) as f64;
            println!("  {what:<18}{theirs:>7} ms   pull {:>5.2}   landing {:>5.2}", ratio(pull), ratio(landing));
        }
    };
    println!(
        "{changed} changed files: pull {pull} ms, of that the landing {landing} ms; how many times as long as others:"
    );
    shown("rsync -a", rsync);
    shown("the plain recipe", recipe);
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn timed<T>(times: &mut Vec<Duration>, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = run();
    times.push(start.elapsed());
    value
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort();
    times[times.len() / 2].as_millis()
}
