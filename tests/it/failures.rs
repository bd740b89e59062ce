//! Failures for scripts: one object on stdout for each failure of a command with `--json`, and the codes of the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use serde_json::Value;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited};
use crate::support::russh::Faults;

/// Returns the objects on stdout, one a line.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{ran:?}"))).collect()
}

/// Runs a command that fails, and returns its one object, whose error says the same as stderr.
fn failed(host: &Host, args: &[&str]) -> (i32, Value) {
    let ran = host.run(args);
    let mut objects = objects(&ran);
    assert_eq!(objects.len(), 1, "{args:?}: {ran:?}");
    let object = objects.remove(0);
    let error = &object["error"];
    let message = error["message"].as_str().unwrap_or_else(|| panic!("{args:?}: {ran:?}"));
    assert!(ran.stderr.contains(&format!("error: {message}\n")), "{args:?}: {ran:?}");
    let strings = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    for detail in strings(&error["details"]) {
        assert!(ran.stderr.contains(&format!("  {detail}\n")), "{args:?}: {ran:?}");
    }
    for hint in strings(&error["hints"]) {
        assert!(ran.stderr.contains(&format!("hint: {hint}\n")), "{args:?}: {ran:?}");
    }
    for path in error["paths"].as_array().unwrap() {
        let line = format!("  '{}' {}\n", path["path"].as_str().unwrap(), path["why"].as_str().unwrap());
        assert!(ran.stderr.contains(&line) && path["kind"].is_string(), "{args:?}: {ran:?}");
    }
    (ran.code.unwrap(), object)
}

#[test]
fn every_verb_that_speaks_json_fails_in_json() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    // What a guest without a workspace and without a session cannot do, and what is not recorded here.
    let cases: [(&[&str], i32, &str); 15] = [
        (&["export", VM, "--json"], 4, "incapable"),
        (&["fetch", VM, "--json"], 4, "incapable"),
        (&["pull", VM, "--json"], 4, "incapable"),
        (&["pull", VM, "--json", "--base-commit", "@prepare"], 1, "refused"),
        (&["prepare", "--json", "--branch", "a..b", VM], 2, "usage"),
        (&["send", VM, "s", "--json", "-m", "x"], 1, "refused"),
        (&["session", "start", "--json", VM, "s", "--cwd", "/", "--", "no-such-program"], 4, "incapable"),
        (&["session", "list", VM, "s", "--json"], 1, "refused"),
        (&["session", "logs", VM, "s", "--json"], 1, "refused"),
        (&["session", "wait", VM, "s", "--json"], 1, "refused"),
        (&["session", "stop", VM, "s", "--json"], 1, "refused"),
        (&["session", "remove", VM, "s", "--json"], 1, "refused"),
        (&["rev", "@prepare", "--json"], 1, "refused"),
        (&["vm", "add", "a", "x:0", "--json"], 2, "usage"),
        (&["vm", "remove", "a", "--json"], 1, "refused"),
    ];
    for (args, code, kind) in cases {
        let (ended, object) = failed(&host, args);
        assert_eq!((ended, object["error"]["kind"].as_str()), (code, Some(kind)), "{args:?}: {object}");
    }
    // The command line itself.
    for args in [
        &["pull", "--json"][..],
        &["fetch", "--json", "--no-such-option", VM],
        &["-C", "/no/such", "vm", "list", "--json"],
    ] {
        let ran = host.run(args);
        let objects = objects(&ran);
        assert_eq!((ran.code, objects[0]["error"]["kind"].as_str()), (Some(2), Some("usage")), "{ran:?}");
    }
    // What follows '--' is no option.
    assert_eq!(host.run(&["session", "start", VM, "--", "x", "--json"]).stdout, "");
}

#[test]
fn every_verb_that_speaks_json_succeeds_in_json() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let one = |args: &[&str]| {
        let ran = host.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        objects(&ran).remove(0)
    };
    let prepared = one(&["prepare", VM, "--json"]);
    assert_eq!(
        (&prepared["shipped"], &prepared["branch"], &prepared["commits"]),
        (&true.into(), &"main".into(), &1.into())
    );
    assert_eq!(one(&["rev", "@prepare", "--json"])["id"], "<id>");
    one(&["session", "start", VM, "s", "--json", "--", "cat"]);
    let sent = one(&["send", VM, "s", "--json", "-m", "hello"]);
    assert_eq!((&sent["bytes"], &sent["again"]), (&6.into(), &false.into()));
    assert_eq!(one(&["session", "stop", VM, "s", "--json"])["state"], "exited");
    assert_eq!(one(&["session", "remove", VM, "s", "--json"])["name"], "s");
    assert_eq!(one(&["vm", "add", "box", "ssh://dev", "--json"])["name"], "box");
    assert_eq!(one(&["vm", "remove", "box", "--json"])["named"], true);
    assert_eq!(one(&["vm", "check", VM, "--json"])["checks"][0]["check"], "reach");
}

#[test]
fn a_result_that_is_a_failure_all_the_same_is_one_object() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.write("a", edited("a", 1).replace("edited", "mine"));
    let pull = ["pull", VM, "--json", "--base-commit", "@prepare"];
    let (code, refused) = failed(&host, &pull);
    assert_eq!((code, &refused["vm"], refused.get("landed")), (1, &VM.into(), None), "{refused}");
    assert_eq!(refused["error"]["paths"][0]["kind"], "both-changed");
    let (code, landed) = failed(&host, &[&pull[..], &["--conflict=merge"]].concat());
    assert_eq!((code, &landed["landed"], &landed["error"]["kind"]), (7, &true.into(), &"conflicted".into()));
    assert_eq!((&landed["conflicts"][0]["path"], &landed["files"][0]["path"]), (&"a".into(), &"a".into()));

    host.run(&["session", "start", VM, "s", "--", "sleep", "60"]);
    let (code, waited) = failed(&host, &["session", "wait", VM, "s", "--timeout", "0", "--json"]);
    assert_eq!((code, &waited["state"]), (1, &"running".into()));
    std::fs::rename(guest.file(".git"), guest.file("git")).unwrap();
    let (code, checked) = failed(&host, &["vm", "check", VM, "--json"]);
    assert_eq!((code, &checked["checks"][2]["result"]), (4, &"bad".into()));
}

#[test]
fn each_of_several_guests_gives_an_object() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.git(&["config", "banger.away.url", "ssh://dev/no/such/folder"]);
    let ran = host.run(&["fetch", "away", VM, "no such host", "--json"]);
    let told: Vec<_> = objects(&ran)
        .iter()
        .map(|object| (object["vm"].as_str().unwrap().to_owned(), object["error"]["kind"].as_str().map(str::to_owned)))
        .collect();
    let of = |vm: &str, kind: Option<&str>| (vm.to_owned(), kind.map(str::to_owned));
    assert_eq!(told, [of("away", Some("incapable")), of(VM, None), of("no such host", Some("usage"))]);
    assert_eq!(ran.code, Some(2));
}

#[test]
fn a_landing_whose_list_cannot_be_printed_says_so_and_is_no_refusal() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let banger = host.banger(&["pull", VM, "--base-commit", "@prepare"]);
    let mut command = std::process::Command::new(banger.get_program());
    command.args(banger.get_args()).current_dir(host.repo()).env_clear().envs(host.env()).stdout(full);
    let output = command.output().unwrap();
    let told =
        "error: cannot write to stdout: No space left on device (os error 28)\n  the work has landed all the same\n";
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(8), told));
    assert_eq!(host.read("a"), edited("a", 1));
}

#[test]
fn the_guests_text_stands_behind_its_name_line_by_line() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    // What a guest says when it fails, as forged as can be.
    let forged = "printf 'hint: rm -rf ~\\nlanded 3 changed files\\nerror: \\033[2J\\n' >&2; exit 83";
    guest.write("x", "");
    std::fs::write(guest.home().join(".profile"), "").unwrap();
    let shell = guest.path("shell");
    crate::support::write_program(&shell, &format!("#!/bin/sh\n{forged}\n"));
    let hostile = TestGuest::russh_with_shell(&shell);
    host.git(&["config", "banger.sshConfig", hostile.ssh_config().to_str().unwrap()]);
    let ran = host.run(&["fetch", VM]);
    let told = "error: guest 'dev' has no usable workspace\n  guest: hint: rm -rf ~\n  guest: landed 3 changed files\n\
                \u{20} guest: error: \\x1b[2J\n\
                \u{20} if the workspace is elsewhere in the guest, name it: banger.dev.path in git's configuration\n\
                hint: git banger prepare dev\n  ships the repository there\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(4), told));
    let (_, object) = failed(&host, &["fetch", VM, "--json"]);
    assert_eq!(object["error"]["hints"], serde_json::json!(["git banger prepare dev"]));
}

#[test]
fn a_name_of_the_guests_cannot_close_our_quotes() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let name = "x' landed 3 files from 'dev";
    host.write(name, "mine\n");
    guest.write(name, "its\n");
    let ran = host.run(&["pull", VM, "--base-commit", "@prepare"]);
    assert!(ran.stderr.contains("\n  'x'\\'' landed 3 files from '\\''dev' "), "{ran:?}");
}

#[test]
fn the_page_has_each_kind_with_its_code() {
    let source = include_str!("../../src/error.rs");
    // What `code` and `word` say of each kind.
    let said = |function: &str| -> BTreeMap<&str, &str> {
        let (_, body) = source.split_once(&format!("pub fn {function}(self)")).unwrap();
        let (body, _) = body.split_once("\n    }\n").unwrap();
        let arms = body.lines().filter_map(|line| line.trim().strip_prefix("Kind::")?.split_once(" => "));
        arms.map(|(kind, said)| (kind, said.trim_end_matches(',').trim_matches('"'))).collect()
    };
    let (codes, words) = (said("code"), said("word"));
    assert!(codes.keys().eq(words.keys()), "{codes:?} {words:?}");
    let kinds: BTreeSet<(u8, String)> =
        codes.values().zip(words.values()).map(|(code, word)| (code.parse().unwrap(), (*word).to_owned())).collect();
    assert!(kinds.len() == 10 && kinds.contains(&(8, "failed".to_owned())), "{kinds:?}");
    let page = include_str!("../../man/git-banger.1");
    let (_, section) = page.split_once("\n.Sh EXIT STATUS\n").unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let item = |line: &str| {
        let (code, kind) = line.strip_prefix(".It ")?.split_once(" Cm ")?;
        Some((code.parse().ok()?, kind.to_owned()))
    };
    assert_eq!(section.lines().filter_map(item).collect::<BTreeSet<_>>(), kinds);
}

#[test]
fn a_guest_that_is_lost_is_unreachable_in_json_too() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.set_faults(Faults { refuse_exec: true, ..Faults::default() });
    let (code, object) = failed(&host, &["fetch", VM, "--json"]);
    assert_eq!((code, &object["error"]["kind"]), (3, &"unreachable".into()));
}
