//! Failures for scripts: one object on stdout for each failure of a command with `--json`, and the codes of the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::{Command, Stdio};

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
    let cases: [(&[&str], i32, &str); 16] = [
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
        (&["status", VM, "--json"], 4, "incapable"),
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

/// Returns all keys of a value, at every depth.
fn keys(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => object.keys().cloned().chain(object.values().flat_map(keys)).collect(),
        Value::Array(list) => list.iter().flat_map(keys).collect(),
        _ => BTreeSet::new(),
    }
}

/// Tells whether the page tells of a key.
fn on_the_page(key: &str) -> bool {
    let page = include_str!("../../man/git-banger.1");
    let lines = page.lines().filter_map(|line| line.strip_prefix(".It Cm ").or(line.strip_prefix(".Cm ")));
    lines.flat_map(|line| line.split([' ', ','])).any(|word| word == key)
}

#[test]
fn every_verb_that_speaks_json_succeeds_in_json() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let one = |args: &[&str]| {
        let ran = host.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        let value = objects(&ran).remove(0);
        let unknown: Vec<_> = keys(&value).into_iter().filter(|key| !on_the_page(key)).collect();
        assert_eq!(unknown, [""; 0], "{args:?} prints keys that the page does not have");
        value
    };
    let prepared = one(&["prepare", VM, "--json"]);
    assert_eq!(
        (&prepared["shipped"], &prepared["branch"], &prepared["commits"]),
        (&true.into(), &"main".into(), &1.into())
    );
    assert_eq!(one(&["rev", "@prepare", "--json"])["id"], "<id>");
    guest.write("a", edited("a", 1));
    guest.git(&["mv", "b", "moved"]);
    for args in [&["export", VM, "--json"][..], &["fetch", VM, "--json"]] {
        assert_eq!(one(args)["files"][1]["from"]["path"], "b");
    }
    assert_eq!(one(&["pull", VM, "--json"])["landed"], true);
    assert_eq!(one(&["undo", "--json"])["done"], "undo");
    assert_eq!(one(&["undo", "--redo", "--json"])["changed"], true);
    assert_eq!(one(&["log", "--json"])[0]["kind"], "redo");
    assert_eq!(one(&["vm", "list", "--json"])[0]["name"], VM);
    one(&["session", "start", VM, "s", "--json", "--", "cat"]);
    guest.git(&["worktree", "add", "-q", "-b", "linked", "../linked"]);
    guest.git(&["notes", "add", "-m", "x"]);
    let status = one(&["status", VM, "--json"]);
    assert_eq!((&status["sessions"][0]["name"], &status["worktrees"][0]["state"]), (&"s".into(), &"clean".into()));
    assert_eq!((&status["refs"][0]["name"], &status["left"]), (&"refs/notes/commits".into(), &true.into()));
    assert_eq!(one(&["session", "list", VM, "--json"])[0]["state"], "running");
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

/// Returns the kinds of failure, each with its code, out of the source.
fn kinds() -> BTreeSet<(u8, String)> {
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
    kinds
}

#[test]
fn the_page_has_each_kind_with_its_code() {
    let page = include_str!("../../man/git-banger.1");
    let (_, section) = page.split_once("\n.Sh EXIT STATUS\n").unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let item = |line: &str| {
        let (code, kind) = line.strip_prefix(".It ")?.split_once(" Cm ")?;
        Some((code.parse().ok()?, kind.to_owned()))
    };
    assert_eq!(section.lines().filter_map(item).collect::<BTreeSet<_>>(), kinds());
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

#[test]
fn the_page_has_each_kind_of_path() {
    let blocked = include_str!("../../src/commands/blocked.rs");
    let words = blocked.lines().filter_map(|line| line.split_once(" => (\"")?.1.split('"').next());
    // A conflict that has landed names its files too.
    let pull =
        include_str!("../../src/commands/pulled.rs").split("kind: \"").skip(1).filter_map(|at| at.split('"').next());
    let kinds: BTreeSet<_> = words.chain(pull).collect();
    assert!(kinds.len() > 5 && kinds.contains("in-the-way"), "{kinds:?}");
    let page = include_str!("../../man/git-banger.1");
    let (_, list) = page.split_once("\n.Cm kind\nof a path is\n").unwrap();
    let (list, _) = list.split_once("\n.El\n").unwrap();
    let shown = list.lines().filter_map(|line| line.strip_prefix(".Cm ")?.split(' ').next());
    assert_eq!(shown.collect::<BTreeSet<_>>(), kinds);
}

#[test]
fn each_kind_is_seen_in_json_with_its_code() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let mut seen = BTreeSet::new();
    let mut see = |args: &[&str]| {
        let (code, object) = failed(&host, args);
        let kind = object["error"]["kind"].as_str().unwrap().to_owned();
        seen.insert((u8::try_from(code).unwrap(), kind.clone()));
        kind
    };
    let pull = ["pull", VM, "--json", "--base-commit", "@prepare"];
    assert_eq!(see(&["vm", "add", "a", "x:0", "--json"]), "usage");
    assert_eq!(see(&["export", VM, "--json", "--base-commit", "no-such-commit"]), "incapable");
    guest.write("sub/.JJ/repo/config.toml", "steers\n");
    assert_eq!(see(&pull), "unverified");
    fs::remove_dir_all(guest.file("sub")).unwrap();
    guest.write("a", edited("a", 1));
    host.write("a", edited("a", 1).replace("edited", "mine"));
    assert_eq!(see(&pull), "refused");
    assert_eq!(see(&[&pull[..], &["--conflict=merge"]].concat()), "conflicted");
    host.git(&["checkout", "-q", "a"]);

    // A reader that stops after the first part of a message.
    assert_eq!(host.run(&["session", "start", VM, "s", "-q", "--", "sleep", "60"]).code, Some(0));
    host.write("message", vec![b'm'; 200_000]);
    let message = host.file("message");
    let send = ["send", VM, "s", "--json", "--timeout", "1", "--file", message.to_str().unwrap()];
    assert_eq!(see(&send), "unconfirmed");
    guest.set_faults(Faults { refuse_exec: true, ..Faults::default() });
    assert_eq!(see(&["fetch", VM, "--json"]), "unreachable");
    guest.set_faults(Faults::default());
    // Where the landing would keep what it replaces is a file.
    fs::remove_dir_all(host.file(".git/banger")).unwrap();
    fs::write(host.file(".git/banger"), "").unwrap();
    assert_eq!(see(&pull), "failed");

    // An interrupt is among the tests of interrupts, and a bug is not for a test to provoke.
    let mut wanted = kinds();
    wanted.retain(|(_, kind)| kind != "bug" && kind != "interrupted");
    assert_eq!(seen, wanted);
}

#[test]
fn a_program_that_is_missing_is_a_failure_in_json() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let none = host.path("none");
    fs::create_dir(&none).unwrap();
    let ran = |kind: &str| {
        let ran = host.ran(host.banger(&["fetch", VM, "--json"]).env("PATH", &none));
        let error = objects(&ran).remove(0)["error"].take();
        (ran.code, error["kind"] == kind, error["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(ran("failed"), (Some(8), true, "'git' is not on PATH".to_owned()));
    let git = which::which_in("git", Some(&host.env()["PATH"]), "/").unwrap();
    std::os::unix::fs::symlink(git, none.join("git")).unwrap();
    let (code, _, message) = ran("failed");
    assert!(code.is_some_and(|code| code != 0) && message.contains("'ssh' is not on PATH"), "{code:?}: {message}");
}

#[test]
fn neither_few_words_nor_many_nor_a_stdout_that_is_gone_break_it() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.write("a", edited("a", 1).replace("edited", "mine"));
    let pull = ["pull", VM, "--json", "--base-commit", "@prepare"];
    let (code, plain) = failed(&host, &pull);
    let hints = |object: &Value| object["error"]["hints"].as_array().unwrap().len();
    assert_eq!((code, plain["error"]["paths"].as_array().unwrap().len(), hints(&plain)), (1, 1, 2));
    for flag in ["-q", "-v"] {
        let (code, object) = failed(&host, &[&pull[..], &[flag]].concat());
        assert_eq!((code, &object["error"]["paths"], hints(&object)), (1, &plain["error"]["paths"], 2), "{flag}");
    }
    let told = host.run(&pull).stderr;
    for away in [">&-", ">/dev/full", "| true"] {
        // The code is that of git-banger, however its reader ends.
        let text = format!("{{ \"$0\" \"$@\"; echo $? >code; }} {away}");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &text, env!("CARGO_BIN_EXE_git-banger")]).args(pull);
        command.current_dir(host.repo()).env_clear().envs(host.env()).stdout(Stdio::null());
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(host.read("code"), "1\n", "{away}: {stderr}");
        fs::remove_file(host.file("code")).unwrap();
        let first = |text: &str| text.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((first(&stderr), stderr.lines().count()), (first(&told), told.lines().count()), "{away}: {stderr}");
    }
}

#[test]
fn a_git_that_is_too_old_is_named_in_place_of_what_it_fails_at() {
    let guest = TestGuest::russh();
    // What the git of that version does not know yet.
    for (version, unknown, args) in [
        ("2.30.9", "--path-format", vec!["prepare", VM]),
        ("2.35.8", "--batch-command", vec!["pull", VM, "--base-commit", "HEAD@prepare"]),
    ] {
        let mut host = Host::new(&guest);
        if args[0] == "pull" {
            host.prepare();
            guest.write("new", "theirs\n");
        }
        let script = format!(
            "case \" $* \" in\n*' version '*) echo git version {version} ;;\n*{unknown}*) exit 129 ;;\n*) exec \
             \"$REAL\" \"$@\" ;;\nesac"
        );
        host.wrap("git", &script);
        let before = host.standing();
        let ran = host.run(&args);
        let said = format!("error: git version {version} is too old\n");
        assert!(ran.code == Some(8) && ran.stderr.contains(&said), "{ran:?}");
        assert!(ran.stderr.contains("git 2.38 or later is needed on this machine"), "{ran:?}");
        before.assert_same(&host.standing());
    }
}
