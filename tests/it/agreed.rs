//! What has landed is agreed: whatever base and paths a pull asks for, and whatever either side does in between, it
//! brings what is new, once, and takes nothing away that is the host's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited, lines};
use crate::support::run_git;

const PREPARED: &str = "HEAD@prepare";

/// Pulls since a base; with pathspecs only these.
fn pull(host: &Host, base: &str, pathspecs: &[&str]) -> Ran {
    let mut args = vec!["pull", VM, "--base-commit", base];
    if !pathspecs.is_empty() {
        args.push("--");
        args.extend(pathspecs);
    }
    host.run(&args)
}

/// Pulls, and demands that this is the list of what landed.
#[track_caller]
fn lands(host: &Host, base: &str, pathspecs: &[&str], list: &str) {
    let ran = pull(host, base, pathspecs);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), list), "{base} {pathspecs:?}: {}", ran.stderr);
}

/// Pulls, and demands that nothing changes, and that these paths are why.
#[track_caller]
fn refuses(host: &Host, base: &str, reasons: &[&str]) {
    let (files, standing) = (host.files_but(&[]), host.standing());
    let ran = pull(host, base, &[]);
    let told: Vec<_> =
        ran.stderr.lines().skip(1).take_while(|line| !line.starts_with("hint: ")).map(str::trim).collect();
    assert_eq!((ran.code, told.as_slice()), (Some(1), reasons), "{base}: {}{}", ran.stdout, ran.stderr);
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
}

/// Returns every file below a folder, without `.git`.
fn files(top: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            match entry.is_dir() {
                true if name == ".git" => {}
                true => folders.push(entry),
                false => drop(files.insert(name, fs::read_to_string(&entry).unwrap())),
            }
        }
    }
    files
}

/// Demands that the host's files are the guest's.
#[track_caller]
fn same(host: &Host, guest: &TestGuest) {
    assert_eq!(files(&host.repo()), files(&guest.workspace()));
}

fn prepared() -> (TestGuest, Host) {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    (guest, host)
}

/// What a worker does in a round that is numbered: it edits a line of `a` and of `b`, adds a file, and deletes one.
fn round(number: usize, files: &mut BTreeMap<String, String>) {
    for name in ["a", "b"] {
        let line = 1 + 3 * number;
        let text = files.get_mut(name).unwrap();
        *text = text.replace(&format!("{name} {line}\n"), &format!("{name} {line} by round {number}\n"));
    }
    files.insert(format!("new {number}"), format!("by round {number}\n"));
    files.remove(&format!("old {number}"));
}

#[test]
fn alternating_bases_double_nothing_and_lose_nothing() {
    // Each letter is a pull: since the prepared head, since HEAD, since the commit before HEAD.
    for order in ["PHCP", "HCPH", "CHHP", "HPCH", "CPHC", "HHCC"] {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        for number in 0..4 {
            host.write(&format!("old {number}"), format!("{number}\n"));
        }
        host.commit("old");
        host.prepare();
        host.write("mine", "the host's\n");
        let before = files(&host.repo());
        let mut landed = BTreeSet::new();
        let expected = |landed: &BTreeSet<usize>| {
            let mut files = before.clone();
            landed.iter().for_each(|&number| round(number, &mut files));
            files
        };
        for (number, base) in order.chars().enumerate() {
            // What the last round did is committed, and what this one does is not.
            guest.git(&["add", "-A"]);
            guest.git(&["commit", "-q", "--allow-empty", "-m", "by the worker"]);
            let mut work = files(&guest.workspace());
            round(number, &mut work);
            fs::remove_file(guest.file(&format!("old {number}"))).unwrap();
            work.iter().for_each(|(name, text)| guest.write(name, text));
            // Rounds from this one on are not in the base.
            let (base, from) = match base {
                'P' => (PREPARED.to_owned(), 0),
                'C' if number > 1 => (guest.git(&["rev-parse", "HEAD~1"]), number - 1),
                'C' => (guest.git(&["rev-parse", "HEAD"]), number),
                _ => ("HEAD".to_owned(), number),
            };
            landed.extend(from..=number);
            for again in [false, true] {
                let ran = pull(&host, &base, &[]);
                assert_eq!(ran.code, Some(0), "{order} {number}: {}", ran.stderr);
                assert!(!again || ran.stdout.is_empty(), "{order} {number} again: {}", ran.stdout);
                assert_eq!(files(&host.repo()), expected(&landed), "{order} {number}: {}", ran.stdout);
            }
        }
        let ran = pull(&host, PREPARED, &[]);
        assert_eq!(ran.code, Some(0), "{order}: {}", ran.stderr);
        landed.extend(0..4);
        assert_eq!(files(&host.repo()), expected(&landed), "{order}: {}", ran.stdout);
        lands(&host, "HEAD", &[], "");
    }
}

#[test]
fn what_one_pull_leaves_the_next_one_brings() {
    let (guest, host) = prepared();
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    guest.commit("by the worker");
    guest.git(&["mv", "folder/c", "moved"]);
    guest.write("moved", edited("c", 5));
    guest.write("new", "new\n");
    lands(&host, PREPARED, &["a"], "M\ta\n");
    lands(&host, PREPARED, &["a"], "");
    let ran = pull(&host, PREPARED, &["moved"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "D\tfolder/c\nA\tmoved\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n'folder/c' lands too: it is the other end of a rename\n"), "{}", ran.stderr);
    guest.write("a", edited("a", 1).replace("a 9\n", "a 9 again\n"));
    lands(&host, "HEAD", &["new", "a"], "M\ta\nA\tnew\n");
    lands(&host, PREPARED, &[], "M\tb\n");
    same(&host, &guest);
    // The other end of the rename, asked for by where it was.
    guest.git(&["mv", "moved", "third"]);
    let ran = pull(&host, PREPARED, &["moved"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "R100\tmoved\tthird\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n'third' lands too: it is the other end of a rename\n"), "{}", ran.stderr);
    same(&host, &guest);
}

#[test]
fn a_new_file_that_landed_and_was_renamed_is_neither_doubled_nor_lost() {
    // (base, pathspec) of the pull after the worker has renamed and committed.
    for (base, pathspec, list) in [
        ("HEAD", None, ""),
        (PREPARED, None, "R100\tnew\tother\n"),
        (PREPARED, Some("new"), "R100\tnew\tother\n"),
        (PREPARED, Some("other"), "R100\tnew\tother\n"),
        ("HEAD", Some("new"), ""),
        ("HEAD", Some("other"), ""),
    ] {
        let (guest, host) = prepared();
        guest.write("new", lines("new"));
        guest.commit("new");
        lands(&host, PREPARED, &[], "A\tnew\n");
        host.write("new", edited("new", 9));
        guest.git(&["mv", "new", "other"]);
        guest.commit("renamed");
        lands(&host, base, &pathspec.into_iter().collect::<Vec<_>>(), list);
        let name = if list.is_empty() { "new" } else { "other" };
        let there: Vec<_> = files(&host.repo()).into_iter().filter(|(_, text)| *text == edited("new", 9)).collect();
        assert_eq!(there, [(name.to_owned(), edited("new", 9))], "{base} {pathspec:?}");
        // An edit that rests on the name that is not here lands with the commits alone, between the host's own.
        guest.write("other", edited("new", 1));
        if list.is_empty() {
            refuses(&host, "HEAD", &["'other' has changed here, and rests on commits that are not here"]);
            lands(&host, PREPARED, &[], "D\tnew\nA\tother\n");
        } else {
            lands(&host, "HEAD", &[], "M\tother\n");
        }
        assert_eq!(host.read("other"), edited("new", 9).replace("new 1\n", "new 1 edited\n"));
        assert!(!host.file("new").exists());
    }
}

#[test]
fn what_the_worker_takes_back_goes_here_too() {
    for base in [PREPARED, "HEAD"] {
        for committed in [false, true] {
            let (guest, host) = prepared();
            host.write("b", edited("b", 9));
            guest.write("a", edited("a", 1));
            guest.write("b", edited("b", 1));
            guest.write("new", "new\n");
            lands(&host, PREPARED, &[], "M\ta\nM\tb\nA\tnew\n");
            if committed {
                guest.commit("by the worker");
            }
            guest.write("a", lines("a"));
            guest.write("b", lines("b"));
            fs::remove_file(guest.file("new")).unwrap();
            lands(&host, base, &[], "M\ta\nM\tb\nD\tnew\n");
            assert_eq!((host.read("a"), host.read("b")), (lines("a"), edited("b", 9)), "{base} {committed}");
            assert!(!host.file("new").exists());
            // And does it once more.
            guest.write("a", edited("a", 1));
            guest.write("new", "new\n");
            if committed && base == "HEAD" {
                // It is what the worker's commit has.
                lands(&host, base, &[], "");
            }
            lands(&host, PREPARED, &[], "M\ta\nA\tnew\n");
            assert_eq!((host.read("a"), host.read("new")), (edited("a", 1), "new\n".to_owned()), "{base} {committed}");
            lands(&host, PREPARED, &[], "");
        }
    }
    // The worker takes it back by a commit.
    let (guest, host) = prepared();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    lands(&host, PREPARED, &[], "M\ta\n");
    guest.git(&["revert", "--no-edit", "HEAD"]);
    lands(&host, PREPARED, &[], "M\ta\n");
    same(&host, &guest);
}

#[test]
fn whatever_the_host_does_with_what_landed_the_next_pull_brings_the_new() {
    let (guest, host) = prepared();
    let mut text = lines("a");
    let mut line = 0;
    // Each step is done on the host after a landing, and leaves its files as they are.
    let steps: [(&str, &[&[&str]]); 7] = [
        ("commit", &[&["commit", "-qam", "landed"]]),
        ("amend", &[&["commit", "-q", "--amend", "-am", "amended"]]),
        ("stage", &[&["add", "-A"]]),
        ("soft reset", &[&["commit", "-qam", "x"], &["reset", "-q", "--soft", "HEAD~2"]]),
        (
            "rebase",
            &[
                &["commit", "-qam", "landed"],
                &["switch", "-qc", "upstream", "HEAD~1"],
                &["commit", "-q", "--allow-empty", "-m", "upstream"],
                &["switch", "-q", "main"],
                &["rebase", "-q", "upstream"],
            ],
        ),
        (
            "another branch and back",
            &[&["commit", "-qam", "x"], &["checkout", "-q", "HEAD~2"], &["checkout", "-q", "main"]],
        ),
        ("stash and back", &[&["stash", "-q"], &["stash", "pop", "-q"]]),
    ];
    for (name, commands) in steps {
        line += 1;
        text = text.replace(&format!("a {line}\n"), &format!("a {line} by the worker\n"));
        guest.write("a", &text);
        if line % 2 == 0 {
            guest.commit(name);
        }
        lands(&host, PREPARED, &[], "M\ta\n");
        assert_eq!(host.read("a"), text, "{name}");
        commands.iter().for_each(|args| drop(host.git(args)));
        lands(&host, if line % 3 == 0 { "HEAD" } else { PREPARED }, &[], "");
        assert_eq!(host.read("a"), text, "{name}");
    }
}

#[test]
fn what_the_host_threw_away_stays_away_and_the_new_lands() {
    // By a reset, by another branch, by hand.
    let ways: [(&str, &[&[&str]]); 4] = [
        ("reset", &[&["reset", "-q", "--hard"]]),
        ("another branch", &[&["commit", "-qam", "landed"], &["checkout", "-q", "HEAD~1"]]),
        ("a commit that is reset", &[&["commit", "-qam", "landed"], &["reset", "-q", "--hard", "HEAD~1"]]),
        ("a revert", &[&["commit", "-qam", "landed"], &["revert", "--no-edit", "HEAD"]]),
    ];
    for (name, commands) in ways {
        let (guest, host) = prepared();
        guest.write("a", edited("a", 1));
        lands(&host, PREPARED, &[], "M\ta\n");
        commands.iter().for_each(|args| drop(host.git(args)));
        assert_eq!(host.read("a"), lines("a"), "{name}");
        lands(&host, PREPARED, &[], "");
        guest.write("a", edited("a", 1).replace("a 9\n", "a 9 edited\n"));
        lands(&host, PREPARED, &[], "M\ta\n");
        assert_eq!(host.read("a"), edited("a", 9), "{name}");
        // What rests on it cannot.
        guest.write("a", edited("a", 1).replace("a 1 edited\n", "a 1 again\n").replace("a 9\n", "a 9 edited\n"));
        refuses(&host, PREPARED, &["'a' has changed here and in the guest"]);
    }
}

#[test]
fn an_edit_arrives_in_the_file_that_the_host_renamed() {
    type Way = (&'static str, &'static str, fn(&Host));
    let ways: [Way; 4] = [
        ("git mv", "moved", |host| drop(host.git(&["mv", "a", "moved"]))),
        ("mv", "moved", |host| fs::rename(host.file("a"), host.file("moved")).unwrap()),
        ("mv to a folder, and an edit", "sub/a", |host| {
            fs::remove_file(host.file("a")).unwrap();
            host.write("sub/a", edited("a", 9));
        }),
        ("a commit", "moved", |host| {
            host.git(&["mv", "a", "moved"]);
            host.git(&["commit", "-qam", "renamed"]);
        }),
    ];
    for (name, to, rename) in ways {
        for landed in [false, true] {
            let (guest, host) = prepared();
            if landed && name != "mv to a folder, and an edit" {
                guest.write("a", edited("a", 5));
                lands(&host, PREPARED, &[], "M\ta\n");
            }
            rename(&host);
            let before = host.read(to);
            guest.write("a", fs::read_to_string(guest.file("a")).unwrap().replace("a 1\n", "a 1 edited\n"));
            guest.write("b", edited("b", 1));
            lands(
                &host,
                PREPARED,
                &[],
                &if to < "b" { format!("M\t{to}\nM\tb\n") } else { format!("M\tb\nM\t{to}\n") },
            );
            assert_eq!(host.read(to), before.replace("a 1\n", "a 1 edited\n"), "{name} {landed}");
            assert!(!host.file("a").exists(), "{name} {landed}");
            // And the next one, and it stays one file.
            guest.write("a", fs::read_to_string(guest.file("a")).unwrap().replace("a 3\n", "a 3 edited\n"));
            lands(&host, PREPARED, &[], &format!("M\t{to}\n"));
            let text = before.replace("a 1\n", "a 1 edited\n").replace("a 3\n", "a 3 edited\n");
            assert_eq!(host.read(to), text, "{name} {landed}");
            assert!(!host.file("a").exists(), "{name} {landed}");
        }
    }
}

#[test]
fn both_sides_on_the_same_file_and_neither_loses_a_line() {
    let (guest, host) = prepared();
    // The same fix on both sides is no change, and no conflict later.
    guest.write("a", edited("a", 1));
    guest.write("same", "same\n");
    host.write("a", edited("a", 1));
    host.write("same", "same\n");
    host.git(&["add", "same"]);
    lands(&host, PREPARED, &[], "");
    guest.write("a", edited("a", 1).replace("a 9\n", "a 9 worker\n"));
    guest.write("same", "same\nmore\n");
    lands(&host, PREPARED, &[], "M\ta\nM\tsame\n");
    assert_eq!(
        (host.read("a"), host.read("same").as_str()),
        (edited("a", 1).replace("a 9\n", "a 9 worker\n"), "same\nmore\n")
    );
    // A line of the host's own is not the worker's to change.
    host.write("b", edited("b", 1).replace("edited", "by the host"));
    guest.write("b", edited("b", 9));
    lands(&host, PREPARED, &[], "M\tb\n");
    guest.write("b", edited("b", 9).replace("b 1\n", "b 1 worker\n"));
    refuses(&host, PREPARED, &["'b' has changed here and in the guest"]);
    refuses(&host, "HEAD", &["'b' has changed here and in the guest"]);
    guest.commit("by the worker");
    refuses(&host, PREPARED, &["'b' has changed here and in the guest"]);
    assert_eq!(host.read("b"), edited("b", 9).replace("b 1\n", "b 1 by the host\n"));
    // A landed file that the host deleted stays away, and its edits are named.
    fs::remove_file(host.file("same")).unwrap();
    guest.write("b", edited("b", 9));
    lands(&host, PREPARED, &[], "");
    assert!(!host.file("same").exists());
    guest.write("same", "same\nmore\nand more\n");
    refuses(&host, PREPARED, &["'same' was deleted here and has changed in the guest"]);
}

#[test]
fn a_second_prepare_starts_from_what_it_ships() {
    for (committed, untracked) in [(true, false), (false, false), (false, true)] {
        let (guest, host) = prepared();
        guest.write("a", edited("a", 1));
        guest.write("new", "new\n");
        guest.commit("by the worker");
        guest.write("b", edited("b", 1));
        lands(&host, PREPARED, &[], "M\ta\nM\tb\nA\tnew\n");
        if committed {
            host.commit("landed");
        }
        fs::remove_dir_all(guest.workspace()).unwrap();
        host.stdout(&["prepare", VM].into_iter().chain(untracked.then_some("--untracked")).collect::<Vec<_>>());
        for base in [PREPARED, "HEAD"] {
            lands(&host, base, &[], "");
        }
        assert_eq!(guest.file("new").exists(), committed || untracked);
        guest.write("a", edited("a", 1).replace("a 9\n", "a 9 edited\n"));
        guest.write("other", "other\n");
        lands(&host, "HEAD", &[], "M\ta\nA\tother\n");
        guest.commit("by the worker");
        guest.write("b", lines("b"));
        lands(&host, PREPARED, &[], "M\tb\n");
        let expected = [
            ("a", edited("a", 1).replace("a 9\n", "a 9 edited\n")),
            ("b", lines("b")),
            ("new", "new\n".to_owned()),
            ("other", "other\n".to_owned()),
        ];
        expected.iter().for_each(|(name, text)| assert_eq!(host.read(name), *text, "{name} {committed} {untracked}"));
    }
}

/// Runs git-banger in another folder of the host.
fn lands_in(host: &Host, folder: &Path, list: &str) {
    let ran = host.ran(host.banger(&["pull", VM, "--base-commit", PREPARED]).current_dir(folder));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), list), "{folder:?}: {}", ran.stderr);
}

#[test]
fn each_working_copy_has_landings_of_its_own() {
    let (guest, host) = prepared();
    let linked = |name: &str| -> PathBuf {
        host.git(&["worktree", "add", "-q", "--detach", host.path(name).to_str().unwrap()]);
        let prepared = host.ran(host.banger(&["prepare", VM, "--path", name]).current_dir(host.path(name)));
        assert_eq!(prepared.code, Some(0), "{prepared:?}");
        host.path(name)
    };
    let (one, two) = (linked("one"), linked("two"));
    let write = |text: &str| {
        ["repo", "one", "two"].iter().for_each(|name| fs::write(guest.home().join(name).join("a"), text).unwrap());
    };
    write(&edited("a", 1));
    for folder in [&one, &host.repo(), &two] {
        lands_in(&host, folder, "M\ta\n");
        lands_in(&host, folder, "");
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), edited("a", 1));
    }
    // A gc in one of them leaves what the others have.
    write(&edited("a", 1).replace("a 5\n", "a 5 edited\n"));
    lands_in(&host, &one, "M\ta\n");
    let mut gc = host.command("git");
    gc.current_dir(&two);
    run_git(gc, &["gc", "-q", "--prune=now"]);
    host.git(&["fsck", "--full", "--strict"]);
    write(&edited("a", 1).replace("a 5\n", "a 5 edited\n").replace("a 9\n", "a 9 edited\n"));
    for folder in [&one, &host.repo(), &two] {
        lands_in(&host, folder, "M\ta\n");
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), fs::read_to_string(guest.file("a")).unwrap());
    }
}

#[test]
fn so_many_landings_stay_recorded_as_are_asked_for() {
    let (guest, host) = prepared();
    host.git(&["config", "banger.keepLandings", "2"]);
    let mut text = lines("a");
    for line in 1..6 {
        text = text.replace(&format!("a {line}\n"), &format!("a {line} edited\n"));
        guest.write("a", &text);
        guest.write(&format!("new {line}"), "new\n");
        lands(&host, PREPARED, &[], &format!("M\ta\nA\tnew {line}\n"));
        let refs = host.git(&["for-each-ref", "--format=%(refname)", "refs/banger/main/dev/landings"]);
        let kept = (line.max(2) - 1..=line).map(|number| format!("refs/banger/main/dev/landings/{number}"));
        assert_eq!(refs.lines().collect::<Vec<_>>(), kept.collect::<Vec<_>>());
    }
    host.git(&["gc", "-q", "--prune=now"]);
    lands(&host, PREPARED, &[], "");
    guest.write("new 1", "new\nmore\n");
    lands(&host, PREPARED, &[], "M\tnew 1\n");
    same(&host, &guest);
}

#[test]
fn a_repository_that_nobody_prepared_agrees_on_what_landed() {
    for unrelated in [false, true] {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        if unrelated {
            fs::create_dir(guest.workspace()).unwrap();
            guest.git(&["init", "-q", "-b", "main"]);
            files(&host.repo()).iter().for_each(|(name, text)| guest.write(name, text));
        } else {
            host.git(&["clone", "-q", host.repo().to_str().unwrap(), guest.workspace().to_str().unwrap()]);
        }
        guest.git(&["config", "user.name", "Worker"]);
        guest.git(&["config", "user.email", "worker@example.org"]);
        if unrelated {
            guest.commit("unrelated");
        }
        let first = guest.git(&["rev-parse", "HEAD"]);
        guest.write("a", edited("a", 1));
        lands(&host, "HEAD", &[], "M\ta\n");
        guest.commit("by the worker");
        guest.write("a", edited("a", 1).replace("a 9\n", "a 9 edited\n"));
        guest.write("new", "new\n");
        lands(&host, "HEAD", &[], "M\ta\nA\tnew\n");
        lands(&host, &first, &[], "");
        guest.commit("by the worker");
        guest.write("b", edited("b", 1));
        lands(&host, &first, &[], "M\tb\n");
        lands(&host, "HEAD", &[], "");
        for name in ["a", "b", "new"] {
            assert_eq!(host.read(name), fs::read_to_string(guest.file(name)).unwrap(), "{unrelated}");
        }
    }
}

#[test]
fn it_is_the_same_in_repositories_of_other_kinds() {
    let guest = TestGuest::russh();
    for kind in ["sha256", "shallow", "empty"] {
        let host = Host::with_format(&guest, if kind == "sha256" { "sha256" } else { "sha1" });
        host.write("a", lines("a"));
        host.write("b", lines("b"));
        if kind != "empty" {
            host.commit("first");
            host.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
        } else {
            host.git(&["add", "a", "b"]);
        }
        if kind == "shallow" {
            host.write(".git/shallow", host.git(&["rev-parse", "HEAD"]) + "\n");
        }
        host.prepare();
        guest.write("a", edited("a", 1));
        guest.commit("by the worker");
        guest.write("new", "new\n");
        lands(&host, "HEAD", &[], "A\tnew\n");
        guest.write("b", edited("b", 9));
        host.write("b", edited("b", 1));
        lands(&host, PREPARED, &[], "M\ta\nM\tb\n");
        guest.commit("by the worker");
        fs::remove_file(guest.file("new")).unwrap();
        lands(&host, "HEAD", &[], "D\tnew\n");
        lands(&host, PREPARED, &[], "");
        assert_eq!(host.read("a"), edited("a", 1), "{kind}");
        assert_eq!(host.read("b"), edited("b", 1).replace("b 9\n", "b 9 edited\n"), "{kind}");
        host.commit("landed");
        guest.write("a", lines("a"));
        lands(&host, "HEAD", &[], "M\ta\n");
        assert_eq!(host.read("a"), lines("a"), "{kind}");
        fs::remove_dir_all(guest.workspace()).unwrap();
    }
}

#[test]
fn a_landed_file_that_the_host_moves_or_takes_out_of_its_index_is_followed() {
    let (guest, host) = prepared();
    guest.write("new", lines("new"));
    lands(&host, PREPARED, &[], "A\tnew\n");
    fs::rename(host.file("new"), host.file("moved")).unwrap();
    guest.write("new", edited("new", 1));
    lands(&host, PREPARED, &[], "M\tmoved\n");
    host.git(&["add", "moved"]);
    guest.write("new", edited("new", 1).replace("new 5\n", "new 5 edited\n"));
    lands(&host, PREPARED, &[], "M\tmoved\n");
    assert_eq!(host.read("moved"), edited("new", 1).replace("new 5\n", "new 5 edited\n"));
    assert!(!host.file("new").exists());
    host.git(&["rm", "-q", "--cached", "a"]);
    host.write("a", edited("a", 9));
    guest.write("a", edited("a", 1));
    lands(&host, PREPARED, &[], "M\ta\n");
    assert_eq!(host.read("a"), edited("a", 1).replace("a 9\n", "a 9 edited\n"));
}

#[test]
fn other_records_are_bases_too() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write("b", edited("b", 5));
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("new", "new\n");
    guest.write("b", edited("b", 5).replace("b 9\n", "b 9 edited\n"));
    lands(&host, "HEAD", &[], "M\tb\nA\tnew\n");
    lands(&host, "HEAD@baseline", &[], "M\ta\n");
    lands(&host, PREPARED, &[], "");
    assert_eq!(host.read("b"), fs::read_to_string(guest.file("b")).unwrap());
    same(&host, &guest);
}
