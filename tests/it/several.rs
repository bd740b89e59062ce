//! Several guests in one command: asked at the same time, told and landed one after the other.

use serde_json::Value;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines, ran};
use crate::support::{Fingerprint, fingerprint, guest_test, run_git, write_file};

/// A second workspace in the same guest, which the host knows as `two`; both are prepared.
fn prepared(guest: &TestGuest) -> Host {
    let host = Host::new(guest);
    host.git(&["config", "banger.two.url", "ssh://dev/~/two"]);
    host.git(&["config", "banger.base", "HEAD@prepare"]);
    host.prepare();
    host.stdout(&["prepare", "two"]);
    host
}

/// Writes a file of the second workspace.
fn write(guest: &TestGuest, name: &str, text: &str) {
    write_file(&guest.home().join("two").join(name), text.as_bytes());
}

fn both(guest: &TestGuest) -> Fingerprint {
    fingerprint(&guest.home())
}

/// Returns each line of stdout as JSON.
fn json(host: &Host, args: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = host.banger(args).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

guest_test!(work_lands_in_the_given_order_and_what_two_have_changed_is_named_first, |guest| {
    let host = prepared(guest);
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    write(guest, "a", &edited("a", 9));
    write(guest, "new", "new\n");
    let (files, standing, before) = (host.files_but(&["a", "b", "new"]), host.standing(), both(guest));
    let dry = "warning: 'a' has changed in several guests: 'dev', 'two'\n\
               would land 2 changed files from 'two' since HEAD@prepare (<id>); nothing was changed\n\
               would land 2 changed files from 'dev' since HEAD@prepare (<id>); nothing was changed\n";
    let all = host.files_but(&[]);
    assert_eq!(host.run(&["pull", "two", VM, "-n"]), ran(0, "M\ta\nA\tnew\nM\ta\nM\tb\n", dry));
    all.assert_same(&host.files_but(&[]));

    let told = "warning: 'a' has changed in several guests: 'dev', 'two'\n\
                landed 2 changed files from 'two' since HEAD@prepare (<id>)\n\
                landed 2 changed files from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&["pull", "two", VM, "two"]), ran(0, "M\ta\nA\tnew\nM\ta\nM\tb\n", told));
    assert_eq!(host.read("a"), edited("a", 9).replace("a 1\n", "a 1 edited\n"));
    files.assert_same(&host.files_but(&["a", "b", "new"]));
    standing.assert_same(&host.standing());
    before.assert_same(&both(guest));
    guest.assert_no_leftovers();
    let log = host.run(&["log"]).stdout;
    let vms: Vec<_> = log.lines().map(|line| line.split('\t').nth(2).unwrap()).collect();
    assert_eq!(vms, [VM, "two"], "the newest first");

    let nothing =
        "nothing new from 'dev' since HEAD@prepare (<id>)\nnothing new from 'two' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&["pull", VM, "two"]), ran(0, "", nothing));
});

guest_test!(one_that_is_refused_or_away_is_told_and_the_others_land, |guest| {
    let host = prepared(guest);
    host.git(&["config", "banger.away.url", "ssh://dev/no/such/folder"]);
    host.git(&["config", "banger.away.base", "HEAD"]);
    guest.write("a", edited("a", 1));
    guest.write("b", edited("b", 1));
    write(guest, "a", &edited("a", 1).replace("edited", "otherwise"));
    write(guest, "new", "new\n");
    let ran = host.run(&["pull", "away", VM, "two"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "M\ta\nM\tb\n"), "{ran:?}");
    let at = |text: &str| ran.stderr.find(text).unwrap_or_else(|| panic!("no {text:?}: {ran:?}"));
    let order = [
        at("warning: 'a' has changed in several guests: 'dev', 'two'\n"),
        at("error: guest 'away' has no usable workspace\n"),
        at("landed 2 changed files from 'dev'"),
        at(
            "error: the work of guest 'two' cannot land; nothing was changed\n  'a' has changed here and in the guest\n",
        ),
        at("hint: git banger pull two -- ':(top,exclude)a'\n"),
        at("hint: git banger pull two --conflict merge\n"),
    ];
    assert!(order.is_sorted(), "{ran:?}");
    // What was refused is untouched, and its hint is about it alone.
    assert_eq!((host.read("a"), host.file("new").exists()), (edited("a", 1), false));
    let rest = host.paste("git banger pull two -- ':(top,exclude)a'");
    assert_eq!((rest.code, rest.stdout.as_str()), (Some(0), "A\tnew\n"), "{rest:?}");
    let ran = host.run(&["pull", VM, "away"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
});

guest_test!(in_json_each_guest_has_a_line_in_the_given_order, |guest| {
    let host = prepared(guest);
    guest.write("a", edited("a", 1));
    write(guest, "a", &edited("a", 1).replace("edited", "otherwise"));
    let vms = |lines: &[Value]| {
        let told = |line: &Value| (line["vm"].as_str().unwrap().to_owned(), line["error"]["kind"].clone());
        lines.iter().map(told).collect::<Vec<_>>()
    };
    let expected =
        |kinds: [Value; 3]| [VM, "nosuch", "two"].map(str::to_owned).into_iter().zip(kinds).collect::<Vec<_>>();
    let missing = Value::from("refused");
    let (code, lines) = json(&host, &["fetch", VM, "nosuch", "two", "--json"]);
    assert_eq!((code, vms(&lines)), (Some(1), expected([Value::Null, missing.clone(), Value::Null])));
    assert_eq!((&lines[0]["files"][0]["path"], &lines[2]["files"][0]["path"]), (&"a".into(), &"a".into()));
    let (code, lines) = json(&host, &["pull", VM, "nosuch", "two", "--json"]);
    assert_eq!((code, vms(&lines)), (Some(1), expected([Value::Null, missing.clone(), missing])));
    assert_eq!((&lines[0]["landed"], &lines[0]["shared"][0]["path"]), (&true.into(), &"a".into()));
    assert_eq!(lines[2]["error"]["paths"][0]["kind"], "both-changed");
    assert_eq!(lines[1]["error"]["hints"][0], "git banger prepare nosuch");
});

guest_test!(pathspecs_and_statistics_hold_for_each, |guest| {
    let host = prepared(guest);
    guest.write("a", edited("a", 1));
    guest.write("folder/c", edited("c", 1));
    write(guest, "a", &edited("a", 9));
    write(guest, "folder/d", "new\n");
    let told = "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\n\
                landed 1 changed file from 'two' since HEAD@prepare (<id>)\n";
    let stat = " folder/c | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n \
                folder/d | 1 +\n 1 file changed, 1 insertion(+)\n create mode 100644 folder/d\n";
    assert_eq!(host.run(&["pull", VM, "two", "--stat", "--", "folder"]), ran(0, stat, told));
    assert_eq!((host.read("a"), host.read("folder/d")), (lines("a"), "new\n".to_owned()));
});

guest_test!(a_base_that_is_open_is_asked_for_by_the_guest_that_it_is_about, |guest| {
    let host = prepared(guest);
    host.git(&["config", "--unset", "banger.base"]);
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    write(guest, "a", &edited("a", 9));
    let (ran, followed) = host.follow(&["pull", VM, "two", "--again"], || {});
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "M\ta\n"), "{ran:?}");
    assert!(ran.stderr.contains("hint: git banger pull dev --again --base-commit HEAD@prepare\n"), "{ran:?}");
    assert_eq!(followed[0].stdout, "M\ta\n");
});

/// Makes what a workspace's script reads wait until the other workspace's is there, too.
fn meet(guest: &TestGuest, workspace: &str, other: &str) {
    let folder = guest.home().join(workspace);
    let git = |args: &[&str]| {
        let mut git = guest.command("git");
        git.current_dir(&folder);
        run_git(git, args)
    };
    let (here, there) =
        (guest.home().join(workspace.to_owned() + ".here"), guest.home().join(other.to_owned() + ".here"));
    let wait = format!(
        "touch {}; n=0; until test -e {} || test $n = 300; do sleep 0.1; n=$((n + 1)); done; test $n != 300; cat",
        here.display(),
        there.display()
    );
    git(&["config", "filter.meet.clean", &wait]);
    git(&["config", "filter.meet.required", "true"]);
    write_file(&folder.join(".git/info/attributes"), b"met filter=meet\n");
    write_file(&folder.join("met"), format!("{workspace}\n").as_bytes());
}

#[test]
fn guests_are_asked_at_the_same_time() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    meet(&guest, "repo", "two");
    meet(&guest, "two", "repo");
    let (code, lines) = json(&host, &["fetch", VM, "two", "--json"]);
    assert_eq!((code, lines.len()), (Some(0), 2), "{lines:?}");
    assert!(guest.home().join("repo.here").exists() && guest.home().join("two.here").exists());
}
