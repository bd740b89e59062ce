//! What cannot land is named by kind, in text and in JSON, and the rest lands by the hint; with `--conflict merge` it lands
//! all the same, and what the guest has and the host has not comes again.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::support::guest::{TestGuest, VM};
use crate::support::hints::hints;
use crate::support::host::{Host, edited};

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

const MERGED: &str =
    "<<<<<<< host\na 1 host\n=======\na 1 edited\n>>>>>>> guest/dev\na 2\na 3\na 4\na 5\na 6\na 7\na 8\na 9\na 10\n";

/// git names a side's path too, where the sides differ in it.
const MERGED_ELSEWHERE: &str = "<<<<<<< host:a\na 1 host\n=======\na 1 edited\n>>>>>>> guest/dev:there\na 2\na 3\na 4\na 5\na 6\na 7\na 8\na 9\na 10\n";

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
            assert_eq!(host.read(path), *text, "{name}: {path}");
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
