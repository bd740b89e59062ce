//! `git banger status`: what is left in a guest. It must never say that nothing is where something is.

use std::fs;

use crate::hostile::Hostile;
use crate::jj::World;
use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited, lines, ran};
use crate::support::{fingerprint, guest_test, is_root, set_mode, write_file};

const PULL: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];
const ASK: [&str; 3] = ["status", VM, "--exit-code"];

/// Makes a host that is prepared.
fn prepared(guest: &TestGuest) -> Host {
    let host = Host::new(guest);
    host.prepare();
    host
}

/// Returns what a guest was found to have, without the line that says when it was prepared.
fn told(run: &Ran) -> String {
    run.stdout.lines().skip(1).map(|line| format!("{line}\n")).collect()
}

/// Asks with `--exit-code`, which must touch neither side, and returns the code and what was told.
fn asked(guest: &TestGuest, host: &Host) -> (Option<i32>, String) {
    let kept = || (host.git(&["for-each-ref"]), host.git(&["count-objects", "-v"]));
    let (before, here, standing, own) = (guest.fingerprint(), host.files_but(&[]), host.standing(), kept());
    let run = host.run(&ASK);
    before.assert_same(&guest.fingerprint());
    here.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    assert_eq!(own, kept());
    guest.assert_no_leftovers();
    assert!(!run.stderr.contains("error"), "{run:?}");
    (run.code, told(&run))
}

const NOTHING: &str = "workspace 'repo', on branch 'main'\nnothing is left there\n";

guest_test!(something_is_left_until_it_has_landed_and_again_once_that_is_taken_back, |guest| {
    let host = prepared(guest);
    let first = host.run(&ASK).stdout;
    assert!(first.starts_with("guest 'dev' was prepared at <id> on 20"), "{first}");
    assert_eq!(asked(guest, &host), (Some(0), NOTHING.to_owned()));
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("new", "untracked\n");
    fs::remove_file(guest.file("run")).unwrap();
    let (code, text) = asked(guest, &host);
    let files = "workspace 'repo', on branch 'main', 1 commit past the prepared head\n\
                 not landed, 3 files:\n\tM\ta\n\tA\tnew\n\tD\trun\n";
    assert_eq!((code, text.as_str()), (Some(1), files));
    // Without the option, it tells the same, and that is no failure; what it proposes brings the work.
    let hint = "git banger pull dev --base-commit HEAD@prepare";
    let run = host.run(&["status", VM]);
    assert_eq!(
        (run.code, told(&run), run.stderr),
        (Some(0), text, format!("hint: {hint}\n  brings what has not landed\n"))
    );
    assert_eq!(host.paste(hint).code, Some(0));
    let landed = "workspace 'repo', on branch 'main', 1 commit past the prepared head\nnothing is left there\n";
    assert_eq!(asked(guest, &host), (Some(0), landed.to_owned()));
    assert_eq!(host.run(&["undo"]).code, Some(0));
    assert_eq!(asked(guest, &host), (Some(1), files.to_owned()));
    assert_eq!(host.run(&["undo", "--redo"]).code, Some(0));
    assert_eq!(asked(guest, &host).0, Some(0));
    // A part of it is not all of it.
    guest.write("b", edited("b", 1));
    guest.write("folder/c", edited("c", 1));
    assert_eq!(host.run(&[&PULL[..], &["--", "b"]].concat()).code, Some(0));
    assert!(asked(guest, &host).1.ends_with("not landed, 1 file:\n\tM\tfolder/c\n"));
});

/// Has the guest do this, one command after the other, which may end as it likes: a merge that conflicts fails.
fn does(guest: &TestGuest, script: &str) {
    let mut shell = guest.command("/bin/sh");
    let script = format!("exec >/dev/null 2>&1\n{script}\n:");
    assert!(shell.args(["-c", &script]).status().unwrap().success());
}

/// Makes two branches that disagree on `a`, with a commit between the disagreement and what both have.
const TWO_SIDES: &str = "git checkout -b side; echo side >a; git commit -qam one; echo more >>a; git commit -qam two
    git checkout main; echo main >a; git commit -qam main; git tag -d kept";

#[test]
fn each_kind_of_leftover_alone_is_one() {
    let two = |then: &str| format!("{TWO_SIDES}\n{then}");
    let part = |head: &str, line: &str| format!("{head}:\n\t{line}\n");
    // Each with a part of what is told.
    let cases = [
        ("echo x >>a", part("not landed, 1 file", "M\ta")),
        ("echo x >new", part("not landed, 1 file", "A\tnew")),
        ("echo x >new; git add new", part("not landed, 1 file", "A\tnew")),
        ("rm run", part("not landed, 1 file", "D\trun")),
        ("git mv a moved", part("not landed, 1 file", "R100\ta\tmoved")),
        ("chmod -x run", part("not landed, 1 file", "M\trun")),
        ("echo x >>a; git commit -qam x", part("not landed, 1 file", "M\ta")),
        ("git checkout -b x; echo x >>a; git commit -qam x; git checkout main", part(OTHERS, "'x', 1 commit")),
        ("git commit -qm x --allow-empty; git tag t; git reset --hard HEAD^", part(OTHERS, "'refs/tags/t', 1 commit")),
        (
            "git commit -qm x --allow-empty; git tag -a -m t t; git reset --hard HEAD^",
            part(OTHERS, "'refs/tags/t', 1 commit"),
        ),
        ("git checkout --orphan x; git commit -qm x; git checkout main", part(OTHERS, "'x', 1 commit")),
        ("git notes add -m note", part(OTHERS, "'refs/notes/commits', 1 commit")),
        ("echo x >>a; git stash; echo y >>a; git stash", "stash: 2 changes\n".to_owned()),
        ("echo x >new; git stash -u", "stash: 1 change\n".to_owned()),
        (
            "git stash create >s; echo x >>a; git update-ref refs/stash $(git stash create); rm s; git checkout a",
            "stash: 1 change\n".to_owned(),
        ),
        ("git worktree add ../w -b w; echo x >>../w/a", part(TREES, "'<guest>/home/w', on branch 'w', with changes")),
        ("git worktree add ../w -b w; echo x >../w/new", part(TREES, "'<guest>/home/w', on branch 'w', with changes")),
        ("git worktree add --detach ../w", part(TREES, "'<guest>/home/w', with a detached HEAD, without changes")),
        ("git worktree add ../w; rm -r ../w", part(TREES, "'<guest>/home/w', on branch 'w', whose files are gone")),
        (
            "git worktree add ../w; echo x >../w/.git",
            part(TREES, "'<guest>/home/w', on branch 'w', which cannot be looked at"),
        ),
        (&two("git merge --no-commit side; git checkout --ours a"), part(ONGOING, "merge")),
        (&two("git rebase side"), part(ONGOING, "rebase")),
        (&two("git cherry-pick side~"), part(ONGOING, "cherry-pick")),
        (&two("git cherry-pick side~2..side; git add a; git commit -qm picked"), part(ONGOING, "cherry-pick")),
        (&two("git revert HEAD~0 side; git add a"), part(ONGOING, "revert")),
        (&two("git format-patch -1 side --stdout >../p; git am ../p"), part(ONGOING, "am")),
        ("git bisect start; git bisect good", part(ONGOING, "bisect")),
        (
            "mkdir sub; cd sub; git init; echo x >x; git add x; git commit -qm x",
            part(KEPT, "'sub' is a repository of its own: its files come as ordinary files, its history does not"),
        ),
        (
            "git config --global user.name w; git config --global user.email w@example.org
             git init -q ../up; git -C ../up commit -qm up --allow-empty
             git -c protocol.file.allow=always submodule add ../up up
             git commit -qm added; cd up; git checkout -b x; git commit -qm x --allow-empty; git checkout -",
            part("submodules", "'up', 1 commit"),
        ),
        ("mkfifo pipe", part(KEPT, "'pipe' is a FIFO, a socket or a device, and does not come")),
    ];
    for (script, wanted) in cases {
        let guest = TestGuest::russh();
        let host = prepared(&guest);
        does(&guest, script);
        let linked = guest.home().join("w");
        let stood = || linked.exists().then(|| fingerprint(&linked));
        let before = stood();
        let (code, text) = asked(&guest, &host);
        let text = text.replace(guest.path("").to_str().unwrap().trim_end_matches('/'), "<guest>");
        assert!(code == Some(1) && text.contains(&wanted), "{script}\n{text}");
        assert!(before == stood(), "{script} changed a linked worktree");
        let json: serde_json::Value = serde_json::from_slice(&host.stdout(&["status", VM, "--json"])).unwrap();
        assert_eq!(json["left"], true, "{script}: {json}");
    }
}

const OTHERS: &str = "other branches, tags and refs";
const TREES: &str = "linked worktrees";
const ONGOING: &str = "in progress";
const KEPT: &str = "not in a snapshot as it is";

#[test]
fn what_is_no_work_of_the_guests_alone_does_not_count() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.git(&["tag", "-a", "-m", "v1", "v1"]);
    host.write("mine", "shipped\n");
    host.write("a", edited("a", 9));
    host.stdout(&["prepare", VM, "--untracked"]);
    for script in [
        "echo x >built.o",
        "git branch merged; git tag merged",
        "git clone -q --bare . ../upstream
         git -C ../upstream update-ref refs/heads/u $(git -C ../upstream commit-tree -m u HEAD^{tree})
         git remote add origin ../upstream; git fetch",
        "echo x >>b; git stash push b; git stash drop; git checkout -b x; git checkout main; git branch -D x",
        "git commit --allow-empty -qm 'nothing in it'",
        "git checkout -q --detach",
        "git commit -qam 'what was shipped'",
    ] {
        does(&guest, script);
        let (code, text) = asked(&guest, &host);
        assert!(code == Some(0) && text.ends_with("\nnothing is left there\n"), "{script}\n{text}");
    }
    // A HEAD that went back to before the prepared one.
    does(&guest, "git checkout -q main; git checkout -q --orphan fresh; git commit -qm fresh");
    let (code, text) = asked(&guest, &host);
    let moved = "on branch 'fresh', 1 commit past the prepared head, 1 commit missing from the prepared head\n";
    assert!(code == Some(1) && text.contains(moved), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_is_left_there() {
    let told = "'secret' cannot be read in the guest, and does not come";
    if !is_root() {
        let guest = TestGuest::russh();
        let host = prepared(&guest);
        guest.write("secret", "x\n");
        set_mode(&guest.file("secret"), 0);
        let (code, text) = asked(&guest, &host);
        assert!(code == Some(1) && text.contains(told), "{text}");
    }
    // Root can read all, so here the guest only says that it cannot.
    let hostile = Hostile::new();
    assert_eq!(hostile.host.run(&PULL).code, Some(0));
    let hostile = hostile.answers("sed '/^without/,$ { 0,/^\\x00/s//unreadable\\x00secret\\x00\\x00/ }'");
    let run = hostile.host.run(&ASK);
    assert!(run.code == Some(1) && run.stdout.contains(told), "{run:?}");
}

guest_test!(a_session_counts_as_long_as_it_runs, |guest| {
    let host = prepared(guest);
    host.stdout(&["session", "start", VM, "s", "--", "cat"]);
    let run = host.run(&ASK);
    assert_eq!(
        (run.code, told(&run).as_str()),
        (Some(1), "workspace 'repo', on branch 'main'\nsessions that run:\n\t's'\n")
    );
    host.stdout(&["session", "stop", VM, "s"]);
    assert_eq!(host.run(&ASK).code, Some(0));
});

guest_test!(landed_work_that_is_no_longer_here_counts_and_lands_again, |guest| {
    let host = prepared(guest);
    guest.write("a", edited("a", 1));
    guest.write("new", "new\n");
    guest.write("b", edited("b", 1));
    assert_eq!(host.run(&PULL).code, Some(0));
    assert_eq!(asked(guest, &host), (Some(0), NOTHING.to_owned()));
    // What was edited further is here.
    host.write("b", edited("b", 1).replace("b 9\n", "b 9 of the host\n"));
    host.git(&["checkout", "-q", "a"]);
    fs::remove_file(host.file("new")).unwrap();
    let gone = "workspace 'repo', on branch 'main'\nlanded, and no longer here: 2 files\n";
    assert_eq!(asked(guest, &host), (Some(1), gone.to_owned()));
    let hint = "git banger pull dev --base-commit HEAD@prepare --again";
    assert_eq!(host.run(&ASK).stderr, format!("hint: {hint}\n  lands again what is no longer here\n"));
    assert_eq!(host.paste(hint).code, Some(0));
    assert_eq!(asked(guest, &host), (Some(0), NOTHING.to_owned()));
    // Nor is what was edited, if a part of what landed is missing.
    host.write("b", edited("b", 9));
    assert!(asked(guest, &host).1.ends_with("landed, and no longer here: 1 file\n"));
    assert_eq!(host.paste(hint).stdout, "M\tb\n");
    assert_eq!(asked(guest, &host), (Some(0), NOTHING.to_owned()));
    // On another branch it is not, but committed on the first.
    host.commit("landed");
    host.git(&["checkout", "-q", "-b", "before", "HEAD^"]);
    assert_eq!(asked(guest, &host).0, Some(1));
    host.git(&["checkout", "-q", "main"]);
    assert_eq!(asked(guest, &host).0, Some(0));
});

#[test]
fn in_jj_the_same_counts_and_jj_notices_nothing() {
    let world = World::colocated();
    world.prepare();
    let (guest, ask) = (&world.guest, |code| {
        let before = (world.guest.fingerprint(), world.operations(1));
        let run = world.banger(&ASK);
        assert_eq!(run.code, Some(code), "{run:?}");
        before.0.assert_same(&world.guest.fingerprint());
        assert_eq!(world.operations(1), before.1);
        told(&run)
    });
    let nothing = "workspace 'repo', with a detached HEAD\nnothing is left there\n";
    assert_eq!(ask(0), nothing);
    guest.write("a", edited("a", 1));
    guest.write("new", "new\n");
    fs::remove_file(guest.file("b")).unwrap();
    set_mode(&guest.file("run"), 0o644);
    std::os::unix::fs::symlink("a", guest.file("link")).unwrap();
    assert!(ask(1).contains("not landed, 5 files:\n"));
    let before = world.operation();
    assert_eq!(world.pull(&[]).code, Some(0));
    assert_eq!(ask(0), nothing);
    world.write("a", edited("a", 1) + "ours\n");
    assert_eq!(ask(0), nothing);
    world.write("a", lines("a") + "ours\n");
    assert_eq!(ask(1), format!("{}landed, and no longer here: 1 file\n", &nothing[..nothing.len() - 22]));
    world.write("a", edited("a", 1));
    world.jj(&["restore", "--from", "@-", "b", "run", "link", "new"]);
    assert!(ask(1).ends_with("landed, and no longer here: 4 files\n"));
    assert_eq!(world.pull(&["--again"]).code, Some(0));
    assert_eq!(ask(0), nothing);
    world.jj(&["op", "restore", &before]);
    assert!(ask(1).contains("not landed, 5 files:\n"));
}

#[test]
fn in_jj_another_workspace_of_a_repository_that_git_does_not_find_counts() {
    let world = World::separate();
    world.prepare();
    let second = world.host.path("second");
    let there = |args: &[&str]| world.banger(&[&["-C", second.to_str().unwrap()], args].concat());
    world.jj(&["workspace", "add", second.to_str().unwrap()]);
    assert_eq!(there(&["prepare", VM, "--path", "elsewhere"]).code, Some(0));
    assert_eq!((world.banger(&ASK).code, there(&ASK).code), (Some(0), Some(0)));
    write_file(&world.guest.home().join("elsewhere/b"), b"theirs\n");
    let run = world.banger(&ASK);
    assert!(run.code == Some(1) && run.stdout.contains("of working copy 'second':\n\t1 file not landed"), "{run:?}");
    assert_eq!((there(&PULL).code, world.banger(&ASK).code), (Some(0), Some(0)));
}

#[test]
fn what_is_left_for_another_working_copy_is_left_in_the_guest() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    host.git(&["worktree", "add", "-q", "-b", "other", "../second"]);
    let second = host.path("second");
    let there = |args: &[&str]| host.run(&[&["-C", second.to_str().unwrap()], args].concat());
    assert_eq!(there(&["prepare", VM, "--path", "elsewhere"]).code, Some(0));
    let whole = || (host.files_but(&[]), fingerprint(&second), host.git(&["for-each-ref"]));
    assert_eq!((asked(&guest, &host), there(&ASK).code), ((Some(0), NOTHING.to_owned()), Some(0)));
    write_file(&guest.home().join("elsewhere/b"), edited("b", 2).as_bytes());
    host.stdout(&["session", "start", VM, "s", "--", "cat"]);
    let before = whole();
    let run = host.run(&ASK);
    let left = "in the workspace of working copy 'second':\n\t1 file not landed\nsessions that run:\n\t's'\n";
    assert_eq!((run.code, told(&run)), (Some(1), format!("workspace 'repo', on branch 'main'\n{left}")));
    host.stdout(&["session", "stop", VM, "s"]);
    let json: serde_json::Value = serde_json::from_slice(&host.stdout(&["status", VM, "--json"])).unwrap();
    assert_eq!((&json["left"], &json["elsewhere"][0]["working_copy"]), (&true.into(), &"second".into()));
    let (files, other, refs) = whole();
    before.0.assert_same(&files);
    before.1.assert_same(&other);
    assert_eq!(before.2, refs);
    // And the other way round; and once it has landed there, nothing is.
    guest.write("a", edited("a", 1));
    assert_eq!(there(&PULL).code, Some(0));
    assert!(there(&ASK).stdout.ends_with("in the workspace of working copy 'main':\n\t1 file not landed\n"));
    assert_eq!(host.run(&PULL).code, Some(0));
    assert_eq!((asked(&guest, &host), there(&ASK).code), ((Some(0), NOTHING.to_owned()), Some(0)));
    // A workspace that cannot be looked at, and one whose working copy is gone, may hold anything.
    let away = guest.home().join("away");
    fs::rename(guest.home().join("elsewhere"), &away).unwrap();
    let run = host.run(&ASK);
    let about = "this is about its workspace of working copy 'second'";
    assert!(run.code == Some(4) && run.stderr.contains(about), "{run:?}");
    fs::rename(&away, guest.home().join("elsewhere")).unwrap();
    host.git(&["worktree", "remove", "--force", "../second"]);
    let (code, text) = asked(&guest, &host);
    assert!(code == Some(1) && text.contains("working copy 'second':\n\twhatever is there"), "{text}");
}

/// Adds a guest behind a name, on a server of its own, to a host; its SSH settings are the host's from then on.
fn also(host: &Host, guests: &[(&str, &TestGuest)]) {
    let mut text = String::new();
    for (name, guest) in guests {
        text += &fs::read_to_string(guest.ssh_config()).unwrap().replace("Host dev", &format!("Host {name}"));
        host.git(&["config", &format!("banger.{name}.url"), &format!("ssh://{name}/~/repo")]);
    }
    let file = host.path("ssh_config");
    fs::write(&file, text).unwrap();
    host.git(&["config", "banger.sshConfig", file.to_str().unwrap()]);
}

#[test]
fn of_several_guests_each_has_a_line_in_order_and_the_worst_code_counts() {
    let guests = ["dev", "two", "away"].map(|name| (name, TestGuest::russh()));
    let host = Host::new(&guests[0].1);
    also(&host, &guests.each_ref().map(|(name, guest)| (*name, guest)));
    for (name, _) in &guests {
        host.stdout(&["prepare", name]);
    }
    let all = |args: &[&str]| host.run(&[&["status", "--exit-code"], args].concat());
    let none = "away\tnothing is left there\ndev\tnothing is left there\ntwo\tnothing is left there\n";
    assert_eq!(all(&[]), ran(0, none, ""));
    guests[1].1.write("a", edited("a", 1));
    guests[1].1.git(&["stash"]);
    guests[1].1.write("b", edited("b", 1));
    let two = "two\t1 file not landed, 1 stashed change\n";
    assert_eq!(all(&["two", "dev"]), ran(1, &format!("{two}dev\tnothing is left there\n"), ""));
    assert_eq!(host.run(&["status", "two", "dev"]).code, Some(0));
    let [(_, _dev), (_, _two), (_, away)] = guests;
    drop(away);
    let run = all(&["two", "away", "dev"]);
    let lines = format!("{two}away\tcannot tell\ndev\tnothing is left there\n");
    assert_eq!((run.code, &run.stdout), (Some(3), &lines), "{run:?}");
    assert!(run.stderr.starts_with("error: cannot tell what is left in guest 'away': cannot reach"), "{run:?}");
    assert_eq!(host.run(&["status", "away", "dev"]).code, Some(3));
    // An object for each, in the same order, of which a failure is one.
    let run = all(&["two", "away", "dev", "--json"]);
    let objects: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let vms: Vec<_> = objects.iter().map(|object| object["vm"].as_str().unwrap()).collect();
    assert_eq!((run.code, vms), (Some(3), vec!["two", "away", "dev"]));
    assert_eq!((&objects[0]["left"], &objects[2]["left"]), (&true.into(), &false.into()));
    assert_eq!((&objects[0]["stashes"], &objects[0]["files"][0]["path"]), (&1.into(), &"b".into()));
    assert_eq!(objects[1]["error"]["kind"], "unreachable");
    // With --all also one that has nothing but a name: nothing is known of it.
    host.git(&["config", "banger.named.url", "ssh://dev/~/elsewhere"]);
    let run = all(&["--all"]);
    assert!(run.code == Some(4) && run.stdout.ends_with(&format!("named\tcannot tell\n{two}")), "{run:?}");
    assert_eq!(all(&[]).code, Some(3));
}

guest_test!(where_it_cannot_tell_it_never_says_that_nothing_is_left, |guest| {
    let host = Host::new(guest);
    let named = "error: no guest was prepared from this working copy\nhint: git banger vm list\n  \
                 lists those that have a name\n";
    assert_eq!(host.run(&["status", "--exit-code"]), ran(2, "", named));
    let never = "error: cannot tell what is left in guest 'dev': \
                 nothing is recorded here as HEAD@prepare of guest 'dev'\n\
                 hint: git banger prepare dev\n";
    assert_eq!(host.run(&ASK), ran(4, "", never));
    host.prepare();
    let away = host.path("away");
    fs::rename(guest.workspace(), &away).unwrap();
    let run = host.run(&ASK);
    let gone = "error: cannot tell what is left in guest 'dev': guest 'dev' has no usable workspace\n";
    assert!(run.code == Some(4) && run.stderr.starts_with(gone) && run.stdout.is_empty(), "{run:?}");
    let json: serde_json::Value = serde_json::from_str(&host.run(&[&ASK[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!((&json["vm"], &json["error"]["kind"]), (&"dev".into(), &"incapable".into()));
    // A repository in its place that has nothing of what was shipped.
    fs::create_dir(guest.workspace()).unwrap();
    guest.git(&["init", "-q"]);
    let run = host.run(&ASK);
    assert!(run.code.is_some_and(|code| code > 1), "{run:?}");
    fs::remove_dir_all(guest.workspace()).unwrap();
    fs::rename(&away, guest.workspace()).unwrap();
    assert_eq!(host.run(&ASK).code, Some(0));
    // More than it may send is more than nothing.
    guest.write("a", edited("a", 1));
    host.git(&["config", "banger.maxBytes", "10"]);
    assert_eq!(host.run(&ASK).code, Some(4));
    host.git(&["config", "--unset", "banger.maxBytes"]);
    // A landing here that was cut off may be taken back.
    assert_eq!(host.run(&PULL).code, Some(0));
    fs::create_dir_all(host.file(".git/banger/landing")).unwrap();
    host.write(".git/banger/landing/places", "");
    let run = host.run(&ASK);
    assert!(run.code == Some(1) && run.stdout.contains("a landing is not complete"), "{run:?}");
});

#[test]
fn an_answer_that_lies_or_is_none_is_neither_nothing_nor_steers_a_terminal() {
    // What the answer of that script alone passes through.
    let with = |program: &str| {
        let hostile = Hostile::new();
        assert_eq!(hostile.host.run(&PULL).code, Some(0));
        assert_eq!(hostile.host.run(&ASK).code, Some(0));
        let program = format!(
            "cat >\"$TMPDIR/it\"\nif grep -aq '^more-refs ' \"$TMPDIR/it\"\nthen\n\t{program} \
                               <\"$TMPDIR/it\"\nelse\n\tcat \"$TMPDIR/it\"\nfi\nrm \"$TMPDIR/it\""
        );
        hostile.answers(&program)
    };
    for (program, code) in [
        ("sed 's/^stashes 0/stashes -1/'", 5),
        ("sed 's/^stashes 0/stashes 99999999999/'", 5),
        ("sed 's/^stashes 0/stashes 4294967295/'", 1),
        ("sed 's/^stashes.*//'", 5),
        ("sed 's/^operations.*/operations sleep/'", 5),
        ("sed 's/^more-refs 0/more-refs 7/'", 1),
        ("sed '/^git-banger end/d'", 5),
        ("sed 's/^\\x00/ref\\x00x/'", 5),
        ("head -c 60", 5),
        ("true", 5),
        ("sed 's/^\\x00/ref\\x00refs\\/heads\\/\\x1b[2J\\nnothing is left there\\x001\\x00\\x00/'", 1),
        ("sed 's/^\\x00/worktree\\x00\\x1b]0;x\\x07\\x00\\x9b\\x00changed\\x00\\x00/'", 1),
    ] {
        let hostile = with(program);
        for more in [&[][..], &["--json"]] {
            let run = hostile.host.run(&[&ASK[..], more].concat());
            assert_eq!(run.code, Some(code), "{program}: {run:?}");
            let shown = run.stdout.clone() + &run.stderr;
            assert!(!shown.contains(['\x1b', '\x07', '\u{9b}']), "{program}: {run:?}");
            assert!(!shown.lines().any(|line| line == "nothing is left there"), "{program}: {run:?}");
        }
    }
}
