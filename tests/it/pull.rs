//! `git banger pull`: the guest's work lands between the host's own edits, and nothing else changes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines, ran};
use crate::support::{guest_test, run_git, set_mode, write_file, write_program};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

guest_test!(a_pull_that_cannot_print_its_list_says_that_it_landed, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let mut pull = host.command("git-banger");
    let output = pull.args(SINCE).stdout(fs::File::create("/dev/full").unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(8) && said.ends_with("\n  the work has landed all the same\n"), "{said}");
    assert_eq!(host.read("a"), edited("a", 1));
});

guest_test!(pull_lands_between_the_hosts_own_edits, |guest| {
    let host = Host::new(guest);
    host.write("b", edited("b", 5));
    host.git(&["stash", "-q"]);
    host.write("a", edited("a", 10));
    host.prepare();
    // Past the prepare too, staged and not.
    host.write("a", edited("a", 10).replace("a 7\n", "a 7 later\n"));
    host.write("b", edited("b", 9));
    host.git(&["add", "b"]);
    host.write("b", edited("b", 9).replace("b 6\n", ""));
    host.write("mine", "untracked\n");
    guest.write("a", edited("a", 10).replace("a 1\n", "a 1 worker\n"));
    guest.commit("by the worker");
    guest.write("b", edited("b", 2));
    guest.git(&["rm", "-q", "folder/c"]);
    guest.write("new/tool", "#!/bin/sh\n");
    set_mode(&guest.file("new/tool"), 0o755);
    guest.write("x.o", "ignored\n");

    let landed = ["a", "b", "folder", "new"];
    let (files, standing, refs) = (host.files_but(&landed), host.standing(), host.refs());
    let before = guest.fingerprint();
    let told = "landed 4 changed files from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\nM\tb\nD\tfolder/c\nA\tnew/tool\n", told));

    before.assert_same(&guest.fingerprint());
    guest.assert_no_leftovers();
    files.assert_same(&host.files_but(&landed));
    standing.assert_same(&host.standing());
    assert_eq!(host.refs(), refs);
    assert_eq!(host.read("a"), edited("a", 10).replace("a 7\n", "a 7 later\n").replace("a 1\n", "a 1 worker\n"));
    assert_eq!(host.read("b"), edited("b", 9).replace("b 6\n", "").replace("b 2\n", "b 2 edited\n"));
    assert!(!host.file("folder").exists());
    assert_eq!(fs::metadata(host.file("new/tool")).unwrap().permissions().mode() & 0o777, 0o755);
});

guest_test!(a_clean_host_gets_the_guests_files_whatever_they_became, |guest| {
    let host = Host::new(guest);
    symlink("a", host.file("link")).unwrap();
    host.write("dir/one", "1\n");
    host.write("dir/two", "2\n");
    host.write("plain", "plain\n");
    host.commit("second");
    host.prepare();
    fs::remove_file(guest.file("link")).unwrap();
    guest.write("link/inside", "a folder now\n");
    fs::remove_dir_all(guest.file("dir")).unwrap();
    guest.write("dir", "a file now\n");
    fs::remove_file(guest.file("plain")).unwrap();
    symlink("nowhere", guest.file("plain")).unwrap();
    set_mode(&guest.file("run"), 0o644);
    guest.git(&["mv", "a", "renamed"]);
    guest.write("empty", "");
    guest.write("binary", [0, 255, 10, 13, 0]);
    guest.write("crlf", "one\r\ntwo\r\n");
    guest.write("-dash", "leading dash\n");
    guest.write("tab\tnewline\n\"quoted\" \\ \u{1b}[31m", "odd\n");
    let run = host.run(&SINCE);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(tree(&host), guest_tree(guest));
    assert!(run.stdout.contains("R100\ta\trenamed\n"), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
});

/// Returns the tree of the host's files.
fn tree(host: &Host) -> String {
    let mut git = host.command("git");
    git.env("GIT_INDEX_FILE", host.path("index"));
    run_git(git, &["add", "-A"]);
    let mut git = host.command("git");
    git.env("GIT_INDEX_FILE", host.path("index"));
    run_git(git, &["write-tree"])
}

/// Returns the tree of the guest's files.
fn guest_tree(guest: &TestGuest) -> String {
    let git = |args: &[&str]| {
        let mut git = guest.command("git");
        git.env("GIT_INDEX_FILE", guest.path("index"));
        run_git(git, args)
    };
    git(&["add", "-A"]);
    git(&["write-tree"])
}

guest_test!(a_rehearsal_tells_the_same_and_changes_nothing, |guest| {
    let host = Host::new(guest);
    host.prepare();
    host.write("a", edited("a", 10));
    guest.write("a", edited("a", 1));
    guest.write("new", "new\n");
    let (files, standing) = (host.files_but(&[]), host.standing());
    let told = "would land 2 changed files from 'dev' since HEAD@prepare (<id>); nothing was changed\n";
    assert_eq!(host.run(&[&SINCE[..], &["-n"]].concat()), ran(0, "M\ta\nA\tnew\n", told));
    let stat = " a   | 2 +-\n new | 1 +\n 2 files changed, 2 insertions(+), 1 deletion(-)\n create mode 100644 new\n";
    assert_eq!(host.run(&[&SINCE[..], &["-n", "--stat"]].concat()), ran(0, stat, told));
    let rehearsed = host.stdout(&[&SINCE[..], &["--dry-run", "--json"]].concat());
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    let landed = host.stdout(&[&SINCE[..], &["--json"]].concat());
    let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let (mut rehearsed, landed) = (json(&rehearsed), json(&landed));
    assert_eq!((&rehearsed["landed"], landed["files"][1]["path"].as_str()), (&false.into(), Some("new")));
    rehearsed["landed"] = true.into();
    assert_eq!(rehearsed, landed);
    assert_eq!(
        (host.read("a"), host.read("new").as_str()),
        (edited("a", 10).replace("a 1\n", "a 1 edited\n"), "new\n")
    );
});

guest_test!(a_pull_of_nothing_says_so, |guest| {
    let host = Host::new(guest);
    host.write("a", edited("a", 1));
    host.prepare();
    let (files, standing) = (host.files_but(&[]), host.standing());
    assert_eq!(host.run(&["pull", VM]), ran(0, "", "nothing new from 'dev' since HEAD (<id>)\n"));
    assert_eq!(host.run(&SINCE), ran(0, "", "nothing new from 'dev' since HEAD@prepare (<id>)\n"));
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
});

guest_test!(a_guest_that_committed_asks_for_a_choice, |guest| {
    let host = Host::new(guest);
    host.prepare();
    for name in ["one", "two"] {
        guest.write(name, "committed\n");
        guest.commit(name);
    }
    guest.write("three", "not committed\n");
    let (files, standing) = (host.files_but(&[]), host.standing());
    let told = "error: guest 'dev' has 2 commits past the prepared head: choose whether to bring its commits\n\
                hint: git banger pull dev --base-commit HEAD@prepare\n  brings its commits too (2 commits, 3 files)\n\
                hint: git banger pull dev --base-commit HEAD\n  brings only what is not committed there (1 file)\n\
                hint: git config banger.base HEAD@prepare\n  takes the prepared head in every pull from now on\n";
    assert_eq!(host.run(&["pull", VM]), ran(1, "", told));
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());

    let told = "landed 1 changed file from 'dev' since HEAD (<id>)\n";
    assert_eq!(host.run(&["pull", VM, "--base-commit", "HEAD"]), ran(0, "A\tthree\n", told));
    host.git(&["config", "banger.base", "HEAD@prepare"]);
    let told = "landed 2 changed files from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&["pull", VM]), ran(0, "A\tone\nA\ttwo\n", told));

    host.git(&["config", "--unset", "banger.base"]);
    guest.git(&["reset", "-q", "--soft", "HEAD~2"]);
    guest.git(&["commit", "-q", "--amend", "-m", "another first"]);
    let told = "error: guest 'dev' has diverged from the prepared head (1 commit missing, 1 commit of its own): \
                choose whether to bring its commits\n";
    let said = host.run(&["pull", VM]).stderr;
    assert!(said.starts_with(told), "{said}");
});

guest_test!(pathspecs_choose_what_lands, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.write("folder/c", edited("c", 1));
    guest.write("folder/new", "new\n");
    let inside = host.file("folder");
    let told = "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\n";
    let mut pull = host.banger(&[&SINCE[..], &["--", "c"]].concat());
    assert_eq!(host.ran(pull.current_dir(&inside)), ran(0, "M\tfolder/c\n", told));
    let told = "landed 2 changed files from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\nA\tfolder/new\n", told));
});

guest_test!(pull_works_from_wherever_git_does, |guest| {
    let mut host = Host::new(guest);
    let linked = host.path("linked");
    host.git(&["worktree", "add", "-q", linked.to_str().unwrap()]);
    let mut prepare = host.banger(&["prepare", VM, "--path", "repo"]);
    assert_eq!(host.ran(prepare.current_dir(&linked)).code, Some(0));
    let name = host.path("linked").display().to_string();
    let outside = host.path("home");

    guest.write("new", "one\n");
    let (files, standing) = (host.files_but(&[]), host.standing());
    let mut pull = host.banger(&SINCE);
    let told = "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.ran(pull.current_dir(&linked)), ran(0, "A\tnew\n", told));
    assert_eq!(fs::read_to_string(linked.join("new")).unwrap(), "one\n");
    guest.write("new", "two\n");
    let mut pull = host.banger(&[&SINCE[..], &["-C", &name]].concat());
    assert_eq!(host.ran(pull.current_dir(&outside)), ran(0, "M\tnew\n", told));
    assert_eq!(fs::read_to_string(linked.join("new")).unwrap(), "two\n");
    files.assert_same(&host.files_but(&[]));
    let worktrees = [host.file(".git/worktrees")];
    standing.without(&worktrees).assert_same(&host.standing().without(&worktrees));

    // The main work tree has a workspace of its own.
    host.set_env("GIT_DIR", host.file(".git").to_str().unwrap());
    host.set_env("GIT_WORK_TREE", host.repo().to_str().unwrap());
    let mut prepare = host.banger(&["prepare", VM, "--path", "other"]);
    assert_eq!(host.ran(prepare.current_dir(&outside)).code, Some(0));
    write_file(&guest.home().join("other/new"), b"three\n");
    let mut pull = host.banger(&SINCE);
    assert_eq!(host.ran(pull.current_dir(&outside)), ran(0, "A\tnew\n", told));
    assert_eq!(host.read("new"), "three\n");
});

guest_test!(pull_works_in_a_sha256_repository, |guest| {
    let host = Host::with_format(guest, "sha256");
    host.write("a", lines("a"));
    host.commit("first");
    host.prepare();
    host.write("a", edited("a", 10));
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    let told = "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\n", told));
    assert_eq!(host.read("a"), edited("a", 10).replace("a 1\n", "a 1 edited\n"));
});

guest_test!(a_clone_that_was_never_prepared_lands_too, |guest| {
    let host = Host::new(guest);
    let clone = guest.workspace();
    host.git(&["clone", "-q", "--no-hardlinks", host.repo().to_str().unwrap(), clone.to_str().unwrap()]);
    guest.git(&["config", "user.name", "Worker"]);
    guest.git(&["config", "user.email", "worker@example.org"]);
    guest.write("a", edited("a", 1));
    guest.commit("which the host does not have");
    guest.write("b", edited("b", 1));
    host.write("b", edited("b", 10));
    let told = "landed 1 changed file from 'dev' since HEAD (<id>)\n";
    assert_eq!(host.run(&["pull", VM]), ran(0, "M\tb\n", told));
    assert_eq!(host.read("b"), edited("b", 10).replace("b 1\n", "b 1 edited\n"));
    let told = "landed 1 changed file from 'dev' since HEAD~1 (<id>)\n";
    assert_eq!(host.run(&["pull", VM, "--base-commit", "HEAD~1"]), ran(0, "M\ta\n", told));
});

guest_test!(branches_without_a_commit_work_on_either_side, |guest| {
    let host = Host::empty(guest);
    host.write("mine", "on the host\n");
    host.prepare();
    guest.write("new", "in the guest\n");
    let standing = host.standing();
    let told = "landed 1 changed file from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&SINCE), ran(0, "A\tnew\n", told));
    standing.assert_same(&host.standing());
    guest.write("later", "committed\n");
    guest.commit("the first commit");
    assert_eq!(host.run(&SINCE), ran(0, "A\tlater\n", told));
    assert_eq!((host.read("mine").as_str(), host.read("new").as_str()), ("on the host\n", "in the guest\n"));
    assert_eq!(host.git(&["for-each-ref", "refs/heads"]), "");
});

guest_test!(no_configuration_of_the_host_changes_what_lands, |guest| {
    let host = Host::new(guest);
    host.prepare();
    host.write("a", edited("a", 10));
    guest.write("a", edited("a", 1).replace("a 2\n", "a 2  \t \n"));
    guest.write("crlf", "one\r\ntwo\r\n");
    guest.git(&["mv", "b", "renamed"]);
    guest.write("renamed", edited("b", 1));
    host.write("b", edited("b", 9));

    let trap = host.path("trap");
    write_program(&trap, &format!("#!/bin/sh\necho trap >>{}\n", host.path("sprung").display()));
    let hooks = host.path("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-index-change", "reference-transaction", "post-checkout", "post-merge", "pre-auto-gc"] {
        fs::hard_link(&trap, hooks.join(hook)).unwrap();
        fs::hard_link(&trap, host.file(".git/hooks").join(hook)).unwrap();
    }
    let settings = format!(
        "[apply]\n\twhitespace = fix\n\tignoreWhitespace = change\n[core]\n\thooksPath = {hooks}\n\tfsmonitor = {trap}\n\
         \tquotePath = false\n\tsafecrlf = true\n\tsplitIndex = true\n\tpager = {trap}\n[merge]\n\tconflictStyle = diff3\n\
         \trenames = false\n\tdirectoryRenames = true\n\ttool = trap\n[diff]\n\trenames = false\n\texternal = {trap}\n\
         \tnoprefix = true\n\tignoreSubmodules = all\n[color]\n\tui = always\n[commit]\n\tgpgSign = true\n\
         [gpg]\n\tprogram = {trap}\n[fetch]\n\tprune = true\n\twriteCommitGraph = true\n[transfer]\n\
         \thideRefs = refs/banger\n[protocol \"file\"]\n\tallow = never\n[log]\n\tshowSignature = true\n\
         [i18n]\n\tcommitEncoding = latin1\n[user]\n\tuseConfigOnly = true\n[index]\n\tversion = 4\n",
        hooks = hooks.display(),
        trap = trap.display(),
    );
    fs::write(host.path("home/.gitconfig"), settings).unwrap();
    let standing = host.standing();
    let told = "landed 4 changed files from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\nD\tb\nA\tcrlf\nA\trenamed\n", told));
    standing.assert_same(&host.standing());
    assert!(!host.path("sprung").exists(), "programs of the configuration ran");
    let merged = edited("a", 10).replace("a 1\n", "a 1 edited\n").replace("a 2\n", "a 2  \t \n");
    assert_eq!((host.read("a"), host.read("crlf").as_str()), (merged, "one\r\ntwo\r\n"));
    // The host's edit follows the file that the guest renamed.
    assert_eq!(host.read("renamed"), edited("b", 9).replace("b 1\n", "b 1 edited\n"));
});
