//! What cannot land is named by kind, in text and in JSON, and the rest lands by the hint; with `--conflict merge` it
//! lands all the same, and what the guest has and the host has not comes again.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::pull_refused::unprivileged;
use crate::support::guest::{TestGuest, VM};
use crate::support::hints::hints;
use crate::support::host::{Host, edited, lines};
use crate::support::{run_git, set_mode};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// A disagreement, and how it is told.
struct Case {
    name: &'static str,
    before: fn(&Host),
    here: fn(&Host),
    there: fn(&TestGuest),
    /// Path and kind.
    told: &'static [(&'static str, &'static str)],
    /// With `--conflict merge`: the host's files that become others, and their text.
    merged: &'static [(&'static str, &'static str)],
    /// The guest's version is on disk then.
    agreed: bool,
}

/// The other lines of `a` follow.
const MERGED: &str = "<<<<<<< host\na 1 host\n=======\na 1 edited\n>>>>>>> guest/dev\n";

/// git names a side's path too, where the sides differ in it.
const MERGED_ELSEWHERE: &str = "<<<<<<< host:a\na 1 host\n=======\na 1 edited\n>>>>>>> guest/dev:there\n";

fn nothing(_: &Host) {}

fn edit_here(host: &Host) {
    host.write("a", edited("a", 1).replace("edited", "host"));
}

fn edit_there(guest: &TestGuest) {
    guest.write("a", edited("a", 1));
}

fn link(path: &Path, to: &str) {
    let _ = fs::remove_file(path);
    symlink(to, path).unwrap();
}

const CASES: [Case; 16] = [
    Case {
        name: "both changed",
        before: nothing,
        here: edit_here,
        there: edit_there,
        told: &[("a", "both-changed")],
        merged: &[("a", MERGED)],
        agreed: true,
    },
    Case {
        name: "both added",
        before: nothing,
        here: |host| {
            host.write("new", "host\n");
            host.git(&["add", "new"]);
        },
        there: |guest| guest.write("new", "guest\n"),
        told: &[("new", "both-added")],
        merged: &[("new", "<<<<<<< host\nhost\n=======\nguest\n>>>>>>> guest/dev\n")],
        agreed: true,
    },
    Case {
        name: "binary",
        before: |host| host.write("bin", [0, 1, 2]),
        here: |host| host.write("bin", [0, 1, 3]),
        there: |guest| guest.write("bin", [0, 1, 4]),
        told: &[("bin", "binary")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "binary, both added",
        before: nothing,
        here: |host| {
            host.write("bin", [0, 1, 3]);
            host.git(&["add", "bin"]);
        },
        there: |guest| guest.write("bin", [0, 1, 4]),
        told: &[("bin", "binary")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "deleted here",
        before: nothing,
        here: |host| fs::remove_file(host.file("a")).unwrap(),
        there: edit_there,
        told: &[("a", "deleted-here")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "deleted there",
        before: nothing,
        here: edit_here,
        there: |guest| fs::remove_file(guest.file("a")).unwrap(),
        told: &[("a", "deleted-there")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "two symlinks",
        before: |host| link(&host.file("link"), "base"),
        here: |host| link(&host.file("link"), "host"),
        there: |guest| link(&guest.file("link"), "guest"),
        told: &[("link", "other-type")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "a file here, a symlink there",
        before: nothing,
        here: edit_here,
        there: |guest| link(&guest.file("a"), "guest"),
        told: &[("a", "other-type")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "a symlink here, a file there",
        before: nothing,
        here: |host| link(&host.file("a"), "host"),
        there: edit_there,
        told: &[("a", "other-type")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "a file here, a folder there",
        before: nothing,
        here: edit_here,
        there: |guest| {
            fs::remove_file(guest.file("a")).unwrap();
            guest.write("a/inside", "guest\n");
        },
        told: &[("a", "other-type"), ("a/inside", "other-type")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "a folder here, a file there",
        before: nothing,
        here: |host| {
            fs::remove_file(host.file("a")).unwrap();
            host.write("a/inside", "host\n");
            host.git(&["add", "-A", "a"]);
        },
        there: edit_there,
        told: &[("a", "other-type")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "a folder with an edit here, a file in its place there",
        before: nothing,
        here: |host| host.write("folder/c", edited("c", 1)),
        there: |guest| {
            fs::remove_dir_all(guest.file("folder")).unwrap();
            guest.write("folder", "guest\n");
        },
        told: &[("folder", "other-type"), ("folder/c", "deleted-there")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "renamed to two places",
        before: nothing,
        here: |host| drop(host.git(&["mv", "a", "here"])),
        there: |guest| drop(guest.git(&["mv", "a", "there"])),
        told: &[("a", "renamed"), ("here", "renamed"), ("there", "renamed")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "renamed here, deleted there",
        before: nothing,
        here: |host| drop(host.git(&["mv", "a", "here"])),
        there: |guest| fs::remove_file(guest.file("a")).unwrap(),
        told: &[("a", "renamed"), ("here", "renamed")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "deleted here, renamed there",
        before: nothing,
        here: |host| fs::remove_file(host.file("a")).unwrap(),
        there: |guest| drop(guest.git(&["mv", "a", "there"])),
        told: &[("a", "renamed"), ("there", "renamed")],
        merged: &[],
        agreed: false,
    },
    Case {
        name: "edited here, renamed and edited there",
        before: nothing,
        here: edit_here,
        there: |guest| {
            guest.git(&["mv", "a", "there"]);
            guest.write("there", edited("a", 1));
        },
        told: &[("there", "both-changed")],
        merged: &[("there", MERGED_ELSEWHERE)],
        agreed: true,
    },
];

impl Case {
    /// Returns both sides as the case has them, with an edit of `b` that could land.
    fn sides(&self) -> (TestGuest, Host) {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        (self.before)(&host);
        host.git(&["add", "-A"]);
        host.git(&["commit", "-q", "--allow-empty", "-m", "before"]);
        host.prepare();
        (self.here)(&host);
        (self.there)(&guest);
        guest.write("b", edited("b", 1));
        (guest, host)
    }

    fn told(&self) -> Vec<(String, String)> {
        self.told.iter().map(|(path, kind)| ((*path).to_owned(), (*kind).to_owned())).collect()
    }
}

/// Returns path and kind of each of these.
fn kinds(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|item| (text(&item["path"]), text(&item["kind"]))).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Pulls, and demands that these are refused, in text and in JSON, and that nothing changes. Returns what was said.
#[track_caller]
fn refused(host: &Host, args: &[&str], told: &[(String, String)], name: &str) -> String {
    let (files, standing) = (host.files_but(&[]), host.standing());
    let object = host.run(&[&args[..2], &["--json"], &args[2..]].concat());
    assert_eq!(object.code, Some(1), "{name}: {}{}", object.stdout, object.stderr);
    let error = &json(&object.stdout)["error"];
    assert_eq!((error["kind"].as_str(), kinds(&error["paths"]).as_slice()), (Some("refused"), told), "{name}");
    let ran = host.run(args);
    let faults: String = error["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| format!("  '{}' {}\n", path["path"].as_str().unwrap(), path["why"].as_str().unwrap()))
        .collect();
    let message = format!("error: the work of guest 'dev' cannot land; nothing was changed\n{faults}hint: git diff ");
    assert!(ran.code == Some(1) && ran.stdout.is_empty() && ran.stderr.starts_with(&message), "{name}: {}", ran.stderr);
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    ran.stderr
}

/// Follows the hint that lands the rest, which is this list.
#[track_caller]
fn lands_the_rest(host: &Host, said: &str, list: &str, name: &str) {
    let hint = said.split("\n  lands the rest").next().unwrap();
    let ran = host.paste(hints(hint).last().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), list), "{name}: {said}{}", ran.stderr);
}

#[test]
fn each_kind_of_conflict_is_refused_by_its_name_and_the_rest_lands() {
    for case in &CASES {
        let (guest, host) = case.sides();
        let before = host.files_but(&["b"]);
        let said = refused(&host, &SINCE, &case.told(), case.name);
        let names: BTreeSet<_> = case.told.iter().map(|(path, _)| *path).collect();
        for name in names {
            let exists = |top: &Path| fs::symlink_metadata(top.join(name)).is_ok();
            assert!(exists(&host.repo()) || exists(&guest.workspace()) || name == "a", "{}: {name}", case.name);
        }
        lands_the_rest(&host, &said, "M\tb\n", case.name);
        before.assert_same(&host.files_but(&["b"]));
        assert_eq!(host.read("b"), edited("b", 1));
        refused(&host, &SINCE, &case.told(), case.name);
    }
}

#[test]
fn a_conflict_that_lands_says_which_side_is_on_disk_and_comes_again_where_it_is_not() {
    for case in &CASES {
        let (guest, host) = case.sides();
        let changed: Vec<_> = case.merged.iter().map(|(path, _)| *path).chain(["b", "a"]).collect();
        let before = host.files_but(&changed);
        let (a, standing) = (fs::read(host.file("a")).ok(), host.standing());
        let ran = host.run(&[&SINCE[..], &["--conflict", "merge"]].concat());
        let name = case.name;
        assert_eq!(ran.code, Some(7), "{name}: {}", ran.stderr);
        before.assert_same(&host.files_but(&changed));
        standing.assert_same(&host.standing());
        assert_eq!(host.read("b"), edited("b", 1), "{name}");
        for (path, text) in case.merged {
            let rest = lines("a").split_once('\n').unwrap().1.to_owned();
            let rest = if *path == "new" { "" } else { rest.as_str() };
            assert_eq!(host.read(path), format!("{text}{rest}"), "{name}: {path}");
        }
        if case.merged.is_empty() {
            let a_now = fs::symlink_metadata(host.file("a")).ok().filter(|there| !there.is_dir());
            assert_eq!(a_now.and_then(|_| fs::read(host.file("a")).ok()), a, "{name}");
        }
        let words = if case.agreed { "both versions are in it" } else { "the version of the host stays" };
        for (path, _) in case.told {
            let line = |line: &str| line.starts_with(&format!("  '{path}' ")) && line.ends_with(words);
            assert!(ran.stderr.lines().any(line), "{name}: {}", ran.stderr);
        }
        let shows: Vec<_> = hints(&ran.stderr).into_iter().filter(|hint| hint.starts_with("git show ")).collect();
        for hint in &shows {
            let path = hint.rsplit(':').next().unwrap();
            let path = path.trim_matches('\'');
            let theirs = match fs::read_link(guest.file(path)) {
                Ok(target) => target.to_str().unwrap().to_owned(),
                Err(_) => String::from_utf8_lossy(&fs::read(guest.file(path)).unwrap()).into_owned(),
            };
            assert_eq!(host.paste(hint).stdout, theirs, "{name}: {hint}");
        }
        let there = |path: &&(&str, &str)| fs::symlink_metadata(guest.file(path.0)).is_ok_and(|there| !there.is_dir());
        let kept = if case.agreed { 0 } else { case.told.iter().filter(there).count() };
        assert_eq!(shows.len(), kept, "{name}: {}", ran.stderr);
        // What is nowhere on disk comes again; nothing else does.
        if case.agreed {
            let again = host.run(&SINCE);
            assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{name}: {}", again.stderr);
        } else {
            refused(&host, &SINCE, &case.told(), name);
        }
        guest.write("b", edited("b", 1).replace("b 9\n", "b 9 edited\n"));
        let object = host.run(&[&SINCE[..], &["--json", "--conflict", "merge"]].concat());
        let object_json = json(&object.stdout);
        let (code, told) = if case.agreed { (0, Vec::new()) } else { (7, case.told()) };
        assert_eq!((object.code, kinds(&object_json["conflicts"])), (Some(code), told), "{name}");
        for conflict in object_json["conflicts"].as_array().unwrap() {
            assert_eq!(conflict["on_disk"], "host", "{name}");
        }
        assert_eq!(object_json["files"].as_array().unwrap().len(), 1, "{name}: {}", object.stdout);
    }
}

#[test]
fn what_rests_on_commits_names_them_and_comes_again_where_it_is_nowhere_on_disk() {
    // The worker's commit edits 'a' and adds 'new'; both are edited once more.
    let work = || {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.prepare();
        edit_there(&guest);
        guest.write("new", "one\n");
        guest.commit("by the worker");
        guest.write("a", edited("a", 1).replace("edited", "twice"));
        guest.write("new", "one\ntwo\n");
        guest.write("b", edited("b", 1));
        (guest, host)
    };
    let since_head = ["pull", VM, "--base-commit", "HEAD"];
    let told = [("a", "rests-on-commits"), ("new", "rests-on-commits")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let (guest, host) = work();
    let said = refused(&host, &since_head, &told, "rests on commits");
    assert!(
        said.ends_with("hint: git banger pull dev --base-commit HEAD@prepare\n  lands those commits too\n"),
        "{said}"
    );
    lands_the_rest(&host, &said, "M\tb\n", "rests on commits");
    let ran = host.paste(hints(&said).last().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\ta\nA\tnew\n"), "{}", ran.stderr);
    for name in ["a", "b", "new"] {
        assert_eq!(host.read(name), fs::read_to_string(guest.file(name)).unwrap());
    }

    let (guest, host) = work();
    let ran = host.run(&[&since_head[..], &["--conflict", "merge"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "M\ta\nM\tb\n"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("\n  'new' was deleted here and has changed in the guest: the version of the host stays\n")
    );
    let markers = MERGED.replace("a 1 host", "a 1").replace("edited", "twice");
    let markers = lines("a").replace("a 1\n", &markers);
    assert_eq!((host.read("a"), host.read("b"), host.file("new").exists()), (markers, edited("b", 1), false));
    refused(&host, &since_head, &told[1..], "rests on commits");
    host.write("a", edited("a", 1).replace("edited", "settled"));
    let ran = host.run(&SINCE);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "A\tnew\n"), "{}", ran.stderr);
    assert_eq!(host.read("new"), fs::read_to_string(guest.file("new")).unwrap());
}

/// Makes a repository with one commit, of a file, in a folder of the host.
fn repository(host: &Host, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("inside"), "of another repository\n").unwrap();
    let git = |args: &[&str]| {
        let mut git = host.command("git");
        git.current_dir(folder);
        run_git(git, args)
    };
    git(&["init", "-q"]);
    git(&["add", "inside"]);
    git(&["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "other"]);
}

/// Adds a submodule to the host, and commits it.
fn submodule(host: &Host, name: &str) {
    let other = host.path(&format!("origin of {name}"));
    repository(host, &other);
    host.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.to_str().unwrap(), name]);
    host.git(&["commit", "-qm", name]);
}

#[test]
fn nothing_lands_in_another_repository_of_the_hosts() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for name in ["replaced", "here", "away", "gone", "file"] {
        submodule(&host, name);
    }
    host.prepare();
    submodule(&host, "later");
    repository(&host, &host.file("nested"));
    repository(&host, &host.file("deep/nested"));
    repository(&host, &host.file("place"));
    host.git(&["submodule", "--quiet", "deinit", "-f", "away"]);
    fs::remove_dir_all(host.file("gone")).unwrap();
    guest.git(&["rm", "-q", "--cached", "replaced", "file"]);
    fs::remove_dir(guest.file("file")).unwrap();
    let names =
        ["away/new", "deep/nested/sub/new", "gone/new", "here/new", "later/new", "nested/inside", "replaced/new"];
    for name in names {
        guest.write(name, "guest\n");
        // A worker's git would not add it below what it knows as a submodule.
        let blob = guest.git(&["hash-object", "-w", name]);
        guest.git(&["update-index", "--add", "--replace", "--cacheinfo", &format!("100644,{blob},{name}")]);
    }
    guest.write("file", "guest\n");
    guest.write("place", "guest\n");
    guest.write("b", edited("b", 1));
    let kind = |name: &str| if name.contains("nested") { "nested-repository" } else { "submodule" };
    let mut told: Vec<_> = names.map(|name| (name.to_owned(), kind(name).to_owned())).into();
    told.extend([("file".to_owned(), "submodule".to_owned()), ("place".to_owned(), "nested-repository".to_owned())]);
    told.sort();
    let said = refused(&host, &SINCE, &told, "other repositories");
    let before = host.files_but(&["b"]);
    let exclude: Vec<_> = told.iter().map(|(path, _)| format!(":(top,exclude){path}")).collect();
    let args: Vec<_> = SINCE.into_iter().chain(["--"]).chain(exclude.iter().map(String::as_str)).collect();
    let ran = host.run(&args);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\tb\n"), "{said}{}", ran.stderr);
    before.assert_same(&host.files_but(&["b"]));
}

#[test]
fn what_stands_in_the_way_is_named_and_stays() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let fifo = |name: &str| assert!(Command::new("mkfifo").arg(host.file(name)).status().unwrap().success());
    fs::remove_file(host.file("a")).unwrap();
    fifo("a");
    fifo("new");
    host.write("here", "host\n");
    host.write("sub", "host\n");
    link(&host.file("link"), "folder");
    host.write("place/x.o", "ignored\n");
    host.write("place/y", "untracked\n");
    edit_there(&guest);
    for name in ["new", "here", "sub/new", "link/new", "place"] {
        guest.write(name, "guest\n");
    }
    guest.write("b", edited("b", 1));
    let way = ["here", "link", "new", "place/x.o", "place/y", "sub"];
    let told = [("a", "other-type")].into_iter().chain(way.map(|name| (name, "in-the-way")));
    let told: Vec<_> = told.map(|(path, kind)| (path.to_owned(), kind.to_owned())).collect();
    let before = host.files_but(&["b"]);
    let said = refused(&host, &SINCE, &told, "in the way");
    lands_the_rest(&host, &said, "M\tb\n", "in the way");
    before.assert_same(&host.files_but(&["b"]));
    assert_eq!(host.read("b"), edited("b", 1));
}

#[test]
fn what_cannot_be_read_is_named_where_the_work_touches_it_and_nowhere_else() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    host.write("secret/key", "untracked\n");
    for (name, mode) in [("a", 0), ("folder/c", 0), ("secret", 0)] {
        set_mode(&host.file(name), mode);
    }
    edit_there(&guest);
    guest.write("b", edited("b", 1));
    let ran = unprivileged(&host, &guest, &[&SINCE[..], &["--json"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(kinds(&json(&ran.stdout)["error"]["paths"]), [("a".to_owned(), "unreadable".to_owned())]);
    let ran = unprivileged(&host, &guest, &[&SINCE[..], &["--", ":(top,exclude)a"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\tb\n"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(host.file("b")).unwrap(), edited("b", 1));
    for name in ["a", "folder/c", "secret"] {
        set_mode(&host.file(name), 0o700);
    }
}

#[test]
fn submodule_pointers_are_named_and_keep_nothing_else_from_landing() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for name in ["moved", "removed", "ours", "kept"] {
        submodule(&host, name);
    }
    // Moved here, and not committed.
    let ours = host.file("ours");
    let mut commit = host.command("git");
    commit.current_dir(&ours);
    run_git(commit, &["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "second"]);
    host.prepare();
    guest.git(&["update-index", "--cacheinfo", "160000,0123456789012345678901234567890123456789,moved"]);
    guest.git(&["rm", "-q", "--cached", "removed"]);
    fs::remove_dir(guest.file("removed")).unwrap();
    guest.git(&["init", "-q", "added"]);
    guest.git(&["-C", "added", "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"]);
    guest.git(&["config", "-f", ".gitmodules", "submodule.added.path", "added"]);
    guest.git(&["add", ".gitmodules", "added"]);
    guest.git(&["commit", "-qm", "pointers"]);
    let mut text = lines("b");
    for (line, base) in [(1, "HEAD@prepare"), (3, "HEAD"), (5, "HEAD@prepare")] {
        text = text.replace(&format!("b {line}\n"), &format!("b {line} edited\n"));
        guest.write("b", &text);
        let before = host.files_but(&["b", ".gitmodules"]);
        let ran = host.run(&["pull", VM, "--base-commit", base]);
        let list = if line == 1 { "M\t.gitmodules\nM\tb\n" } else { "M\tb\n" };
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), list), "{base}: {}", ran.stderr);
        assert_eq!(host.read("b"), text);
        before.assert_same(&host.files_but(&["b", ".gitmodules"]));
        let warnings = ran.stderr.lines().filter_map(|line| line.strip_prefix("warning: "));
        let warnings: Vec<_> = warnings.filter(|line| line.contains(" does not land: ")).collect();
        let warning =
            |name| format!("'{name}' does not land: it is a submodule, and its pointer alone is worth nothing");
        let told = if base == "HEAD" { Vec::new() } else { ["added", "moved", "removed"].map(warning).to_vec() };
        assert_eq!(warnings, told, "{base}: {}", ran.stderr);
        // The host takes one out, and moves another.
        if line == 1 {
            host.git(&["update-index", "--force-remove", "kept"]);
            host.git(&["add", "ours"]);
        }
    }
}

#[test]
fn what_is_odd_elsewhere_on_the_host_does_not_matter() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let first = host.git(&["rev-parse", "HEAD"]);
    host.write(".git/refs/heads/main 2", format!("{first}\n"));
    host.write(".git/refs/heads/empty", "");
    let odd = std::os::unix::ffi::OsStringExt::from_vec(b"refs/heads/caf\xe9".to_vec());
    let odd: std::ffi::OsString = odd;
    assert!(host.command("git").arg("update-ref").arg(&odd).arg(&first).status().unwrap().success());
    assert!(host.command("git").args(["symbolic-ref", "HEAD"]).arg(&odd).status().unwrap().success());
    host.write("same.o", "the same\n");
    guest.write("same.o", "the same\n");
    guest.write("hidden.o", "guest\n");
    guest.git(&["add", "-f", "same.o", "hidden.o"]);
    edit_there(&guest);
    let before = host.standing_but(&["a", "hidden.o"]);
    let ran = host.run(&[&SINCE[..], &["--json", "-n"]].concat());
    assert_eq!(json(&ran.stdout)["ignored_here"][0]["path"], "hidden.o", "{}{}", ran.stdout, ran.stderr);
    let ran = host.run(&SINCE);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\ta\nA\thidden.o\n"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("warning: 'hidden.o' is ignored here: 'git add' passes it over\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("warning: ").count(), 1, "{}", ran.stderr);
    before.assert_same(&host.standing_but(&["a", "hidden.o"]));
    let ran = host.run(&SINCE);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
}

/// Returns how many KiB of objects the host's repository has.
fn stored(host: &Host) -> u64 {
    let told = host.git(&["count-objects", "-v"]);
    let number = |key: &str| told.lines().find_map(|line| line.strip_prefix(key)?.parse::<u64>().ok()).unwrap();
    number("size: ") + number("size-pack: ")
}

#[test]
fn nothing_is_stored_of_what_the_work_does_not_touch() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    // A work tree that holds far more than the repository: a home with a repository beside it.
    for dotfiles in [false, true] {
        if dotfiles {
            fs::remove_dir_all(guest.workspace()).unwrap();
            fs::rename(host.file(".git"), host.path("dotfiles")).unwrap();
            host.set_env("GIT_DIR", host.path("dotfiles").to_str().unwrap());
            host.set_env("GIT_WORK_TREE", host.repo().to_str().unwrap());
        }
        host.prepare();
        let noise: Vec<u8> =
            (0..12_500_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        host.write("untracked", noise);
        host.write("secret/key", "a secret\n");
        assert!(Command::new("mkfifo").arg(host.file(&format!("fifo {dotfiles}"))).status().unwrap().success());
        let blobs = ["untracked", "secret/key"].map(|name| host.git(&["hash-object", name]));
        let before = stored(&host);
        guest.write("a", edited("a", if dotfiles { 5 } else { 1 }));
        guest.write("new", format!("{dotfiles}\n"));
        let ran = host.run(&SINCE);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(host.read("new"), format!("{dotfiles}\n"));
        assert!(stored(&host) < before + 200, "{before} KiB, then {} KiB", stored(&host));
        for blob in blobs {
            let there = host.command("git").args(["cat-file", "-e", &blob]).output().unwrap();
            assert!(!there.status.success(), "{blob} is stored");
        }
        host.git(&["add", "a", "new"]);
        host.git(&["commit", "-qm", "landed"]);
        fs::remove_file(host.file("untracked")).unwrap();
    }
}

#[test]
fn tracked_files_that_would_be_below_or_above_the_guests_are_named_as_what_they_are() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write("both/c", lines("c"));
    host.commit("second");
    host.prepare();
    for name in ["new/x", "folder/mine", "other"] {
        host.write(name, "host\n");
    }
    host.git(&["add", "new", "folder", "other"]);
    host.git(&["commit", "-qm", "by the host"]);
    host.write("both/mine", "untracked\n");
    for name in ["folder", "both"] {
        fs::remove_dir_all(guest.file(name)).unwrap();
    }
    for name in ["new", "folder", "other/x", "both", "free"] {
        guest.write(name, "guest\n");
    }
    guest.write("b", edited("b", 1));
    let told = ["both/mine", "folder/mine", "new/x", "other"].map(|name| (name.to_owned(), "in-the-way".to_owned()));
    let said = refused(&host, &SINCE, &told, "tracked");
    let untracked: Vec<_> = said.lines().filter(|line| line.ends_with(": git does not track it")).collect();
    assert_eq!(untracked, ["  'both/mine' is in the way: git does not track it"], "{said}");
    let before = host.files_but(&["b", "free"]);
    lands_the_rest(&host, &said, "M\tb\nA\tfree\n", "tracked");
    before.assert_same(&host.files_but(&["b", "free"]));
}

#[test]
fn a_file_that_the_host_does_not_have_merged_keeps_its_version() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write(".gitattributes", "a -merge\nb binary\nfolder/* merge=union\n");
    host.commit("attributes");
    host.prepare();
    for (name, path) in [("a", "a"), ("b", "b"), ("c", "folder/c")] {
        host.write(path, edited(name, 1).replace("edited", "host"));
        guest.write(path, edited(name, 1));
    }
    let told = [("a", "binary"), ("b", "binary")].map(|(path, kind)| (path.to_owned(), kind.to_owned()));
    let said = refused(&host, &SINCE, &told, "-merge");
    lands_the_rest(&host, &said, "M\tfolder/c\n", "-merge");
    assert_eq!(host.read("folder/c"), lines("c").replace("c 1\n", "c 1 host\nc 1 edited\n"));
    let before = host.files_but(&[]);
    let ran = host.run(&[&SINCE[..], &["--conflict", "merge"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), ""), "{}", ran.stderr);
    before.assert_same(&host.files_but(&[]));
    refused(&host, &SINCE, &told, "-merge");
}

#[test]
fn whatever_the_hosts_index_says_its_files_are_merged_as_they_stand() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    // Two branches that conflict in 'a', and are half merged.
    host.git(&["switch", "-qc", "other"]);
    host.write("a", edited("a", 1).replace("edited", "other"));
    host.git(&["commit", "-qam", "other"]);
    host.git(&["switch", "-q", "main"]);
    edit_here(&host);
    host.git(&["commit", "-qam", "main"]);
    let merge = host.command("git").args(["merge", "-q", "other"]).output().unwrap();
    assert_eq!(merge.status.code(), Some(1));
    for (name, text) in [("added", "host\n"), ("same", "same\n")] {
        host.write(name, text);
        host.git(&["add", "-N", name]);
    }
    host.write("untracked", "host\n");
    let a = host.read("a");
    guest.write("a", edited("a", 9));
    guest.write("added", "guest\n");
    guest.write("same", "same\n");
    guest.git(&["mv", "folder/c", "untracked"]);
    guest.write("b", edited("b", 1));
    let told = [("added", "both-added"), ("untracked", "in-the-way")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let said = refused(&host, &SINCE, &told, "index");
    lands_the_rest(&host, &said, "M\ta\nM\tb\n", "index");
    assert_eq!(host.read("a"), a.replace("a 9\n", "a 9 edited\n"));
    assert_eq!(host.git(&["diff", "--name-only", "--diff-filter=U"]), "a");
    // Once it is settled here, what follows lands between it.
    fs::remove_file(host.file("untracked")).unwrap();
    let ran = host.run(&[&SINCE[..], &["--conflict", "merge"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "M\tadded\nR100\tfolder/c\tuntracked\n"), "{}", ran.stderr);
    host.write("added", "host\nguest\n");
    guest.write("added", "guest\nmore\n");
    let ran = host.run(&SINCE);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\tadded\n"), "{}", ran.stderr);
    assert_eq!(host.read("added"), "host\nguest\nmore\n");
    assert_eq!(host.read("untracked"), lines("c"));
}
