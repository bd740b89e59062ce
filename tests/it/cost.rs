//! What a pull costs the host: processes, files that it opens, memory.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Runs git-banger, which must succeed, below strace; returns what it and all that it starts did of these system calls, one
/// line each.
fn traced(host: &Host, args: &[&str], calls: &str) -> Vec<String> {
    let log = host.path("strace.log");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "-s", "4096", "-e", "signal=none", "-e", &format!("trace={calls}"), "-o"])
        .arg(&log);
    strace.arg(env!("CARGO_BIN_EXE_git-banger")).args(args);
    strace.env_clear().envs(host.env()).current_dir(host.repo());
    let output = strace.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect()
}

/// Prepares a guest with a repository of so many files in folders of 20, one of which has these attributes.
fn many(guest: &TestGuest, files: usize, attributes: Option<&str>) -> Host {
    let host = Host::new(guest);
    for number in 0..files {
        host.write(&name(number), lines(&number.to_string()));
    }
    attributes.iter().for_each(|text| host.write("src/0/.gitattributes", text));
    host.commit("second");
    host.write("untracked", "not looked at\n");
    host.prepare();
    host
}

fn name(number: usize) -> String {
    format!("src/{}/{number}.txt", number / 20)
}

/// Has the guest edit every so many of the files.
fn edit(guest: &TestGuest, files: usize, step: usize) -> Vec<String> {
    let numbers: Vec<usize> = (0..files).step_by(step).collect();
    numbers.iter().for_each(|number| guest.write(&name(*number), edited(&number.to_string(), 1)));
    numbers.into_iter().map(name).collect()
}

#[test]
fn a_pull_of_twenty_files_starts_few_programs() {
    let guest = TestGuest::russh();
    let host = many(&guest, 200, None);
    edit(&guest, 200, 10);
    let started: Vec<_> = traced(&host, &SINCE, "execve").into_iter().filter(|line| line.ends_with(" = 0")).collect();
    // git-banger itself, and ssh, which reads the user's configuration for the connection.
    let own = |line: &&String| !line.contains("/git-banger\", [") && !line.contains("/ssh\", [");
    let shown =
        |line: &String| line.rsplit_once("showSignature=false").map_or(line.clone(), |(_, rest)| rest.to_owned());
    let started: Vec<_> = started.iter().filter(own).map(shown).collect();
    println!("{} programs", started.len());
    assert!(started.len() <= 15, "{}: {started:#?}", started.len());
}

/// Returns the files of the host's work tree that a pull opens, and demands that it prints so many lines.
fn opened(host: &Host, lines: usize) -> BTreeSet<String> {
    let top = format!("{}/", host.repo().display());
    let mut printed = 0;
    let opened = traced(host, &SINCE, "openat,open,readlink,readlinkat");
    let mut paths = BTreeSet::new();
    for line in opened.iter().filter(|line| !line.contains(" = -1 ") && !line.contains("O_DIRECTORY")) {
        // '= 7</the/file>', as strace -y shows it.
        let Some(path) = line.rsplit_once(" = ").and_then(|(_, result)| result.split_once('<')?.1.strip_suffix('>'))
        else {
            continue;
        };
        if let Some(path) = path.strip_prefix(&top).filter(|path| !path.starts_with(".git/") && *path != ".git") {
            paths.insert(path.to_owned());
        }
    }
    for (_, path) in host.git(&["diff", "--name-status"]).lines().filter_map(|line| line.split_once('\t')) {
        printed += usize::from(!path.is_empty());
    }
    assert_eq!(printed, lines);
    paths
}

#[test]
fn a_pull_opens_no_files_but_those_that_it_changes() {
    let guest = TestGuest::russh();
    let host = many(&guest, 200, Some("*.none text\n"));
    let edits = edit(&guest, 200, 70);
    let found = opened(&host, edits.len());
    let git_s_own = |path: &String| path.ends_with(".gitignore") || path.ends_with(".gitattributes");
    let others: Vec<_> = found.iter().filter(|path| !edits.contains(path) && !git_s_own(path)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(edits.iter().all(|path| found.contains(path)), "strace saw nothing: {found:?}");
    // With nothing new it need not look into any.
    assert_eq!(opened(&host, edits.len()), BTreeSet::new());
}

#[test]
fn what_landed_and_was_not_edited_since_is_not_read_however_many_landings_there_were() {
    let guest = TestGuest::russh();
    let host = many(&guest, 1, None);
    for number in 0..12 {
        guest.write(&name(0), lines("0").replace("0 1\n", &format!("edition {number}\n")));
        let found = opened(&host, 1);
        let own: Vec<_> = found.iter().filter(|path| path.ends_with(".txt")).collect();
        assert_eq!(own.len(), usize::from(number == 0), "{number}: {own:?}");
    }
}

#[test]
fn a_landing_costs_the_same_in_a_repository_ten_times_as_large() {
    // Whatever reads or changes a file, a folder or a name.
    const CALLS: &str = "openat,newfstatat,statx,faccessat2,renameat2,linkat,unlinkat,mkdirat,getdents64";
    let [small, large] = [600, 6000].map(|files| {
        let guest = TestGuest::russh();
        let host = many(&guest, files, None);
        // All objects in one pack, in both.
        host.git(&["gc", "-q", "--prune=now"]);
        // In as many folders in both; and so many that git is asked for its whole index.
        assert_eq!(edit(&guest, 600, 2).len(), 300);
        host.stdout(&SINCE);
        host.stdout(&["undo"]);
        traced(&host, &["undo", "--redo"], CALLS).len()
    });
    println!("{small} and {large} system calls");
    assert!(large < small + small / 20, "{small} {large}");
}

/// Returns the most memory, in KiB, that git-banger and each of its children had in a pull, which must land.
fn memory(host: &Host) -> (u64, u64) {
    let mut pull = Command::new(env!("CARGO_BIN_EXE_git-banger"));
    pull.args(SINCE).env_clear().envs(host.env()).current_dir(host.repo()).stdout(Stdio::null());
    let mut pull = pull.spawn().unwrap();
    let peak = |process: &str| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    };
    let (mut own, mut children) = (0, 0);
    let code = loop {
        own = own.max(peak(&pull.id().to_string()));
        let tasks = fs::read_dir(format!("/proc/{}/task", pull.id())).into_iter().flatten().flatten();
        for task in tasks {
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children = list.split_whitespace().map(peak).fold(children, u64::max);
        }
        if let Some(status) = pull.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(code, Some(0));
    (own, children)
}

#[test]
#[ignore = "minutes: make kill"]
fn large_files_need_little_memory() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for number in 0..32 {
        host.write(&format!("big/{number}"), vec![number; 1 << 20]);
    }
    host.commit("second");
    host.prepare();
    for number in 0..32u64 {
        let noise = (0..8 << 20u64).map(|word: u64| (word ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        guest.write(&format!("big/{number}"), noise.flat_map(u64::to_le_bytes).collect::<Vec<_>>());
    }
    let (own, children) = memory(&host);
    println!("2 GiB of changed files: git-banger {own} KiB, its children {children} KiB");
    assert!(own < 64 << 10 && children < 512 << 10, "{own} {children}");
}
