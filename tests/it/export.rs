//! `git banger export`: the guest's work as a patch, a bundle, a list; and nothing of the guest is touched.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines, ran};
use crate::support::{guest_test, require, run_git, set_mode, write_program};

/// A prepared guest with a commit, and with an edit of each kind beside it.
fn worked_in(guest: &TestGuest) -> Host {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("b", edited("b", 2));
    guest.git(&["mv", "folder/c", "moved"]);
    guest.write("new \"one\"\n", "untracked\n");
    guest.write("x.o", "ignored\n");
    set_mode(&guest.file("run"), 0o644);
    host
}

const COMMITTED: &str = "warning: the guest has 1 commit past the prepared head, not in this export\n\
                         hint: git banger export dev --name-only --base-commit HEAD@prepare\n  exports them too\n\
                         hint: git banger export dev --name-only --base-commit HEAD\n  exports the same without this warning\n";

guest_test!(a_patch_makes_the_snapshot_of_its_base_and_touches_nothing, |guest| {
    let host = worked_in(guest);
    let before = guest.fingerprint();
    for base in ["HEAD@prepare", "HEAD"] {
        let patch = host.stdout(&["export", VM, "--base-commit", base]);
        let json: serde_json::Value =
            serde_json::from_slice(&host.stdout(&["export", VM, "--base-commit", base, "--json"])).unwrap();
        before.assert_same(&guest.fingerprint());
        guest.assert_no_leftovers();

        let clean = host.path(&format!("clean-{}", base.len()));
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(&clean);
            run_git(git, args)
        };
        host.git(&["clone", "-q", "--no-hardlinks", guest.workspace().to_str().unwrap(), clean.to_str().unwrap()]);
        git(&["checkout", "-q", json["base"].as_str().unwrap()]);
        fs::write(clean.join("../patch"), &patch).unwrap();
        git(&["apply", "--index", "../patch"]);
        assert_eq!(git(&["write-tree"]), json["tree"].as_str().unwrap(), "since {base}");
    }
});

guest_test!(the_list_of_changed_files_reads_as_gits_own, |guest| {
    let host = worked_in(guest);
    let before = guest.fingerprint();
    let base = ["export", VM, "--base-commit", "@prepare"];
    let told = "exported 1 commit and 5 changed files from 'dev' since @prepare (<id>)\n";
    let run = |args: &[&str]| host.run(&[&base, args].concat());
    assert_eq!(run(&["--name-only"]), ran(0, "a\nb\nmoved\n\"new \\\"one\\\"\\n\"\nrun\n", told));
    let names = "M\ta\nM\tb\nR100\tfolder/c\tmoved\nA\t\"new \\\"one\\\"\\n\"\nM\trun\n";
    assert_eq!(run(&["--name-status"]), ran(0, names, told));
    let names = "M\0a\0M\0b\0R100\0folder/c\0moved\0A\0new \"one\"\n\0M\0run\0";
    assert_eq!(run(&["--name-status", "-z"]), ran(0, names, told));
    let stat = run(&["--stat"]);
    assert_eq!((stat.code, stat.stderr.as_str()), (Some(0), told));
    assert!(stat.stdout.contains(" 5 files changed, 3 insertions(+), 2 deletions(-)\n"), "{}", stat.stdout);
    assert!(stat.stdout.contains(" mode change 100755 => 100644 run\n"), "{}", stat.stdout);
    let json: serde_json::Value = serde_json::from_slice(&host.stdout(&[&base[..], &["--json"]].concat())).unwrap();
    let head = guest.git(&["rev-parse", "HEAD"]);
    let told: Vec<_> = ["vm", "head", "branch"].iter().map(|key| json[key].as_str().unwrap()).collect();
    assert_eq!(told, ["dev", head.as_str(), "main"]);
    assert_eq!((json["commits"].as_u64(), json["commits_since_prepare"].as_u64()), (Some(1), Some(1)));
    assert_eq!(json["files"][2]["from"]["path"], "folder/c");
    before.assert_same(&guest.fingerprint());
});

guest_test!(commits_that_an_export_leaves_out_are_told_unless_said_so, |guest| {
    let host = worked_in(guest);
    let told = |base| format!("exported 0 commits and 4 changed files from 'dev' since {base} (<id>)\n");
    let names = "b\nmoved\n\"new \\\"one\\\"\\n\"\nrun\n";
    let run = host.run(&["export", VM, "--name-only"]);
    assert_eq!(run, ran(0, names, &format!("{}{COMMITTED}", told("HEAD"))));
    assert_eq!(host.run(&["export", VM, "--name-only", "--base-commit", "HEAD"]), ran(0, names, &told("HEAD")));

    host.git(&["config", "banger.base", "HEAD@prepare"]);
    let told = "exported 1 commit and 5 changed files from 'dev' since HEAD@prepare (<id>)\n";
    assert_eq!(host.run(&["export", VM, "--name-only"]), ran(0, &format!("a\n{names}"), told));
    host.git(&["config", "banger.dev.base", "HEAD"]);
    assert_eq!(host.run(&["export", VM, "--name-only"]).stdout, names);
});

guest_test!(pathspecs_limit_an_export_and_read_from_where_the_user_stands, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.write("folder/c", edited("c", 1));
    guest.write("folder/a", "another a\n");
    let told = "exported 0 commits and 1 changed file from 'dev' since HEAD (<id>)\n";
    assert_eq!(host.run(&["export", VM, "--name-only", "--", "folder/c"]), ran(0, "folder/c\n", told));
    let mut inside = host.banger(&["export", VM, "--name-only", "--", "a"]);
    assert_eq!(host.ran(inside.current_dir(host.file("folder"))), ran(0, "folder/a\n", told));
    let patch = host.stdout(&["export", VM, "--", ":(top)a"]);
    let patch = String::from_utf8(patch).unwrap();
    assert!(patch.starts_with("diff --git a/a b/a\n") && patch.matches("diff --git").count() == 1, "{patch}");
});

guest_test!(an_output_file_is_written_whole_or_not_at_all, |guest| {
    let host = worked_in(guest);
    let told = "exported 1 commit and 5 changed files from 'dev' since @prepare (<id>)\n";
    let base = ["export", VM, "--base-commit", "@prepare"];
    let patch = String::from_utf8(host.stdout(&base)).unwrap();
    host.write("old.patch", "old\n");
    let listed = host.run(&[&base[..], &["-o", "old.patch", "--name-only", "-q"]].concat());
    assert_eq!(listed, ran(0, "a\nb\nmoved\n\"new \\\"one\\\"\\n\"\nrun\n", ""));
    assert_eq!(host.read("old.patch"), patch);
    assert_eq!(host.run(&[&base[..], &["--output", "new.patch"]].concat()), ran(0, "", told));
    assert_eq!(host.read("new.patch"), patch);

    let failed = host.run(&["export", VM, "--base-commit", "no-such-commit", "-o", "new.patch"]);
    let told = "error: guest 'dev' does not have the base\n  guest: no commit 'no-such-commit' in the guest\n\
                hint: git banger export dev -o new.patch --base-commit HEAD\n  takes what is not committed there\n";
    assert_eq!((failed, host.read("new.patch")), (ran(4, "", told), patch));
    let failed = host.run(&["export", VM, "-o", "no/such/folder"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(8), ""));
    assert!(failed.stderr.starts_with("error: cannot write 'no/such/folder': "), "{}", failed.stderr);
    assert!(!host.file("no").exists());
});

guest_test!(a_bundle_carries_the_workers_commits_and_any_git_fetches_from_it, |guest| {
    let host = worked_in(guest);
    let args = ["export", VM, "--base-commit", "@prepare", "--format", "bundle", "-o", "../work.bundle"];
    host.stdout(&args);
    host.git(&["fetch", "-q", "../work.bundle", "refs/banger/snapshot:refs/heads/work"]);
    assert_eq!(host.git(&["log", "--format=%s", "work"]), "git-banger: snapshot\nby the worker\nfirst");
    assert_eq!(host.git(&["show", "work:b"]), edited("b", 2).trim_end());
    // Also where nothing is known of the guest.
    let clone = host.path("clone");
    host.git(&["clone", "-q", "--no-local", ".", clone.to_str().unwrap()]);
    host.git(&["-C", clone.to_str().unwrap(), "fetch", "-q", "../work.bundle", "refs/banger/snapshot:refs/heads/work"]);
});

guest_test!(an_export_goes_through_a_link_and_says_what_it_cannot_do, |guest| {
    let host = worked_in(guest);
    let patch = host.stdout(&["export", VM]);
    fs::write(host.path("target"), "longer than nothing\n").unwrap();
    std::os::unix::fs::symlink("target", host.path("link")).unwrap();
    host.stdout(&["export", VM, "-o", "../link"]);
    assert!(host.path("link").is_symlink() && fs::read(host.path("target")).unwrap() == patch);
    // As if started there.
    let mut elsewhere = host.banger(&["-C", "repo/src/..", "-F", "../config", "export", VM, "-o", "../new"]);
    fs::copy(guest.ssh_config(), host.path("config")).unwrap();
    fs::create_dir(host.file("src")).unwrap();
    assert_eq!(host.ran(elsewhere.current_dir(host.path(""))).code, Some(0));
    assert!(fs::read(host.path("new")).unwrap() == patch);
    fs::remove_file(host.path("new")).unwrap();
    let told = "error: cannot go to 'no such': No such file or directory (os error 2)\n";
    assert_eq!(host.run(&["-C", "no such", "vm", "list"]), ran(2, "", told));
    for args in [&["-o", "../new", "--stat"][..], &["--format", "bundle", "--", "b"]] {
        let ran = host.run(&[&["export", VM], args].concat());
        assert!(ran.code == Some(2) && ran.stdout.is_empty(), "{ran:?}");
        assert!(!host.path("new").exists());
    }
});

guest_test!(an_export_needs_no_repository_on_the_host, |guest| {
    let host = worked_in(guest);
    let settings =
        format!("[banger]\n\tsshConfig = {}\n[banger \"dev\"]\n\tpath = repo\n", guest.ssh_config().display());
    fs::write(host.path("home/.gitconfig"), settings).unwrap();
    let mut outside = host.banger(&["export", VM, "--name-only"]);
    let told = "exported 0 commits and 4 changed files from 'dev' since HEAD (<id>)\n";
    let run = host.ran(outside.current_dir(host.path("home")));
    assert_eq!(run, ran(0, "b\nmoved\n\"new \\\"one\\\"\\n\"\nrun\n", told));
});

guest_test!(a_guest_without_a_workspace_says_so, |guest| {
    let host = Host::new(guest);
    let told = "error: guest 'dev' has no usable workspace\n  guest: no directory 'repo'\n\
                \u{20} if the workspace is elsewhere in the guest, name it: banger.dev.path in git's configuration\n\
                hint: git banger prepare dev\n  ships the repository there\n";
    assert_eq!(host.run(&["export", VM]), ran(4, "", told));
    let told = "error: nothing is recorded here as HEAD@prepare of guest 'dev'\nhint: git banger prepare dev\n";
    assert_eq!(host.run(&["export", VM, "--base-commit", "HEAD@prepare"]), ran(1, "", told));
    guest.assert_no_leftovers();
});

guest_test!(what_comes_in_another_form_is_named, |guest| {
    let host = Host::new(guest);
    host.prepare();
    let nested = guest.file("nested");
    fs::create_dir(&nested).unwrap();
    let mut init = guest.command("git");
    init.current_dir(&nested);
    run_git(init, &["init", "-q"]);
    guest.write("nested/file", "nested\n");
    assert!(guest.command("mkfifo").arg("pipe").status().unwrap().success());
    guest.write("big", format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n", "a".repeat(64)));
    let run = host.run(&["export", VM, "--name-only"]);
    let mut told: Vec<_> = run.stderr.lines().collect();
    told.sort_unstable();
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "big\nnested/file\n"));
    let expected = [
        "exported 0 commits and 2 changed files from 'dev' since HEAD (<id>)",
        "warning: 'big' is a Git LFS pointer: its content is not in the repository",
        "warning: 'nested' is a repository of its own: its files come as ordinary files, its history does not",
        "warning: 'pipe' is a FIFO, a socket or a device, and does not come",
    ];
    assert_eq!(told, expected);
});

guest_test!(no_configuration_of_the_guest_changes_an_export, |guest| {
    let host = worked_in(guest);
    guest.write("crlf", "one\r\ntwo\r\n");
    let expected = host.stdout(&["export", VM, "--base-commit", "@prepare"]);
    hell(&guest.home());
    let hooks = guest.path("tmp/ran");
    let before = guest.fingerprint();
    assert!(host.stdout(&["export", VM, "--base-commit", "@prepare"]) == expected, "the patch differs");
    before.assert_same(&guest.fingerprint());
    assert!(!hooks.exists(), "the guest's own programs ran");
});

/// Writes a configuration that turns every switch an export could trip over.
fn hell(home: &Path) {
    let trap = home.join("trap");
    write_program(&trap, "#!/bin/sh\ntouch \"$TMPDIR/ran\"\necho trap\n");
    let hooks = home.join("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-index-change", "pre-commit", "post-checkout", "reference-transaction"] {
        fs::hard_link(&trap, hooks.join(hook)).unwrap();
    }
    fs::write(home.join("attributes"), "* diff=trap\n").unwrap();
    let trap = trap.display();
    let settings = format!(
        "[color]\n\tui = always\n[core]\n\tquotePath = false\n\tsafecrlf = true\n\tfsmonitor = {trap}\n\
         \thooksPath = {hooks}\n\tsplitIndex = true\n\tattributesFile = {attributes}\n\tpager = {trap}\n\
         \tcompression = 9\n\tbigFileThreshold = 1\n\tuntrackedCache = true\n[index]\n\tthreads = 1\n\
         [diff]\n\tnoprefix = true\n\texternal = {trap}\n\tmnemonicPrefix = true\n\trenames = copies\n\tcontext = 9\n\
         \talgorithm = patience\n\tsubmodule = log\n\tignoreSubmodules = all\n\tinterHunkContext = 9\n\
         \tsuppressBlankEmpty = true\n\tindentHeuristic = false\n\torderFile = {attributes}\n\twsErrorHighlight = all\n\
         [diff \"trap\"]\n\ttextconv = {trap}\n\tcommand = {trap}\n\txfuncname = trap\n\
         [commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {trap}\n[status]\n\tshowUntrackedFiles = no\n\
         [log]\n\tshowSignature = true\n[pack]\n\tpackSizeLimit = 1m\n[i18n]\n\tcommitEncoding = latin1\n",
        hooks = hooks.display(),
        attributes = home.join("attributes").display(),
    );
    fs::write(home.join(".gitconfig"), settings).unwrap();
}

guest_test!(an_export_of_a_branch_without_a_commit_holds_every_file, |guest| {
    let host = Host::empty(guest);
    host.prepare();
    guest.write("a", lines("a"));
    let told = "exported 0 commits and 1 changed file from 'dev' since HEAD (<id>)\n";
    assert_eq!(host.run(&["export", VM, "--name-status"]), ran(0, "A\ta\n", told));
});

guest_test!(a_patch_applies_in_a_repository_and_in_plain_files_alike, |guest| {
    let host = worked_in(guest);
    guest.write("binary", b"\0\xff\x00binary\r\n");
    let patch = host.stdout(&["export", VM, "--base-commit", "HEAD@prepare"]);
    // Piped straight into git, in the repository itself, and in files that no repository holds.
    let clone = host.path("clone");
    host.git(&["clone", "-q", ".", clone.to_str().unwrap()]);
    let plain = host.path("plain");
    fs::create_dir(&plain).unwrap();
    let mut unpack = host.command("sh");
    unpack.args([
        "-ec",
        "git archive HEAD | tar -x -C ../plain; git banger export dev --base-commit @prepare -q >../same",
    ]);
    assert!(unpack.status().unwrap().success());
    assert!(fs::read(host.path("same")).unwrap() == patch, "the same work gives another patch");
    for folder in [&clone, &plain] {
        let mut apply = host.command("sh");
        apply.env("REPO", host.repo()).env("GIT_CEILING_DIRECTORIES", host.path(""));
        let text = "git banger -C \"$REPO\" export dev --base-commit @prepare -q | git apply";
        let output = apply.current_dir(folder).args(["-ec", text]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        for name in ["a", "b", "moved", "new \"one\"\n", "run", "binary"] {
            assert!(
                fs::read(folder.join(name)).unwrap() == fs::read(guest.file(name)).unwrap(),
                "{folder:?}: {name:?}"
            );
        }
        assert!(!folder.join("folder/c").exists() && !folder.join("x.o").exists());
    }
});

guest_test!(an_export_of_a_base_that_only_the_guest_knows, |guest| {
    let host = worked_in(guest);
    guest.git(&["branch", "theirs"]);
    guest.write("a", edited("a", 3));
    guest.commit("more by the worker");
    let before = host.fingerprint().files_only();
    let ran = host.run(&["export", VM, "--base-commit", "theirs", "--name-status", "--", "a", "b"]);
    let told = "exported 1 commit and 2 changed files from 'dev' since theirs (<id>)\n";
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("M\ta\nM\tb\n", told));
    let patch = String::from_utf8(host.stdout(&["export", VM, "--base-commit", "theirs", "--", "a"])).unwrap();
    assert!(patch.contains("-a 1 edited\n") && patch.contains("+a 3 edited\n"), "{patch}");
    before.assert_same(&host.fingerprint().files_only());
    let names = host.stdout(&["export", VM, "--base-commit", "theirs", "--name-only", "-z", "--", "n*", "moved"]);
    assert_eq!(names, b"moved\0new \"one\"\n\0");
});

guest_test!(a_bundle_needs_just_the_head_that_was_prepared, |guest| {
    let host = worked_in(guest);
    let clone = |name: &str| {
        let path = host.path(name);
        host.git(&["clone", "-q", "--no-local", ".", path.to_str().unwrap()]);
        path.to_str().unwrap().to_owned()
    };
    let with = clone("with");
    host.stdout(&["export", VM, "--base-commit", "@prepare", "--format", "bundle", "-o", "../work.bundle"]);
    let fetch =
        ["fetch", "-q", "../work.bundle", "refs/banger/snapshot:refs/heads/work", "refs/banger/base:refs/heads/base"];
    host.git(&[&["-C", &with], &fetch[..]].concat());
    let told = |at: &str| host.git(&["-C", &with, "rev-parse", at]);
    assert_eq!((told("base"), told("work^")), (told("HEAD"), guest.git(&["rev-parse", "HEAD"])));
    host.git(&["-C", &with, "fsck", "--strict"]);
    // Who has not that head is told so by git.
    let without = host.path("without");
    host.git(&["init", "-q", without.to_str().unwrap()]);
    let mut command = host.command("git");
    let output = command.current_dir(&without).args(fetch).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("prerequisite"), "{said}");
    // Outside of a repository nothing was prepared, and the bundle holds all.
    let settings =
        format!("[banger]\n\tsshConfig = {}\n[banger \"dev\"]\n\tpath = repo\n", guest.ssh_config().display());
    fs::write(host.path("home/.gitconfig"), settings).unwrap();
    let mut outside = host.banger(&["export", VM, "--format", "bundle", "-o", "../work.bundle"]);
    assert_eq!(host.ran(outside.current_dir(host.path("home"))).code, Some(0));
    let mut command = host.command("git");
    assert!(command.current_dir(&without).args(fetch).status().unwrap().success());
});

guest_test!(a_bundle_is_whole_or_refused_where_nothing_was_prepared, |guest| {
    let host = worked_in(guest);
    guest.write(".git/shallow", guest.git(&["rev-parse", "HEAD"]) + "\n");
    let settings =
        format!("[banger]\n\tsshConfig = {}\n[banger \"dev\"]\n\tpath = repo\n", guest.ssh_config().display());
    fs::write(host.path("home/.gitconfig"), settings).unwrap();
    let mut outside = host.banger(&["export", VM, "--format", "bundle", "-o", "../work.bundle"]);
    let ran = host.ran(outside.current_dir(host.path("home")));
    assert!(ran.code == Some(5) && !host.path("work.bundle").exists(), "{ran:?}");
    let mut outside = host.banger(&["export", VM, "--name-only"]);
    assert_eq!(host.ran(outside.current_dir(host.path("home"))).code, Some(0));
});

guest_test!(large_text_is_text, |guest| {
    let host = Host::new(guest);
    let text: String = (0..400_000).map(|number| format!("{number}\n")).collect();
    host.write("large", &text);
    host.commit("large");
    host.prepare();
    guest.write("large", text.replace("\n77777\n", "\n77777 edited\n") + "more\n");
    let stat = host.run(&["export", VM, "--stat"]);
    assert!(stat.stdout.contains(" large | 3 ++-\n"), "{}", stat.stdout);
    let patch = String::from_utf8(host.stdout(&["export", VM])).unwrap();
    assert!(patch.contains("\n-77777\n+77777 edited\n") && !patch.contains("GIT binary patch"), "{}", patch.len());
});

guest_test!(submodules_that_moved_are_named_though_the_guest_does_not, |guest| {
    let host = Host::new(guest);
    host.prepare();
    let id = |digit: &str| format!("160000,{},sub", digit.repeat(40));
    fs::create_dir(guest.file("sub")).unwrap();
    guest.git(&["update-index", "--add", "--cacheinfo", &id("1")]);
    guest.git(&["commit", "-qm", "one"]);
    guest.git(&["update-index", "--add", "--cacheinfo", &id("2")]);
    guest.git(&["commit", "-qm", "two"]);
    let run = host.run(&["export", VM, "--name-status", "--base-commit", "HEAD~1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "M\tsub\n"));
    assert!(run.stderr.contains("'sub'"), "{}", run.stderr);
});

/// Runs git-banger on a terminal, in a folder of the host; returns the exit code, and what the terminal got.
fn on_terminal(host: &Host, folder: &Path, words: &str) -> (Option<i32>, String) {
    let mut script = host.command(require("script").to_str().unwrap());
    script.args(["-qec", &format!("git-banger {words}"), "/dev/null"]).env("TERM", "xterm");
    let output = script.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n"))
}

guest_test!(on_a_terminal_a_patch_is_shown_as_the_users_own_git_shows_it, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.write("folder/new", "new\n");
    let (repo, paged) = (host.repo(), host.path("paged"));
    let pager = format!("tee {}", paged.display());
    host.git(&["config", "core.pager", &pager]);
    let before = host.standing();
    let (code, shown) = on_terminal(&host, &repo, "export dev");
    let coloured = "\x1b[32m+\x1b[m\x1b[32ma 1 edited\x1b[m\n";
    assert!(code == Some(0) && shown.contains(coloured), "{shown}");
    let end = "exported 0 commits and 2 changed files from 'dev' since HEAD (";
    assert!(shown.lines().last().unwrap().starts_with(end), "{shown}");
    let text = fs::read_to_string(&paged).unwrap();
    assert!(text.contains(coloured) && text.contains("folder/new"), "{text}");

    // From a folder, with pathspecs; other settings of the user's; what was typed goes first.
    let (code, shown) = on_terminal(&host, &host.file("folder"), "export dev -- new");
    assert!(code == Some(0) && shown.contains("+++ b/folder/new") && !shown.contains("a 1"), "{shown}");
    host.git(&["config", "diff.noprefix", "true"]);
    host.git(&["config", "pager.diff", "false"]);
    fs::remove_file(&paged).unwrap();
    let (code, shown) = on_terminal(&host, &repo, "export dev --color=never");
    assert!(code == Some(0) && shown.contains("\n+++ a\n") && shown.contains("\n+a 1 edited\n"), "{shown}");
    assert!(!paged.exists() && !shown.contains('\x1b'), "{shown}");
    host.git(&["config", "diff.external", "false"]);
    let (code, shown) = on_terminal(&host, &repo, "export dev");
    assert!(code == Some(8) && shown.contains("git diff failed (exit 128)"), "{shown}");

    // A list is a list there, too, and a file a file.
    assert_eq!(on_terminal(&host, &repo, "export dev --name-only -q").1, "a\nfolder/new\n");
    host.stdout(&["export", VM, "-o", "../plain"]);
    assert_eq!(on_terminal(&host, &repo, "export dev -q -o ../file"), (Some(0), String::new()));
    assert!(fs::read(host.path("file")).unwrap() == fs::read(host.path("plain")).unwrap());
    assert!(host.stdout(&["export", VM]) == fs::read(host.path("plain")).unwrap(), "a pipe gets what git apply takes");
    fs::remove_file(host.path("file")).unwrap();
    // It was all done beside the repository.
    let settings = [host.file(".git/config")];
    before.without(&settings).assert_same(&host.standing().without(&settings));
    assert!(!host.git(&["for-each-ref"]).contains("/snapshot"));
});

guest_test!(on_a_terminal_a_patch_is_shown_outside_of_a_repository_too, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let config = format!(
        "[banger]\n\tsshConfig = {}\n[banger \"dev\"]\n\tpath = repo\n[core]\n\tpager = sed s/edited/paged/\n",
        guest.ssh_config().display()
    );
    fs::write(host.path("home/.gitconfig"), config).unwrap();
    let (code, shown) = on_terminal(&host, &host.path("home"), "export dev -- a");
    assert!(code == Some(0) && shown.contains("a 1 paged\x1b[m\n"), "{shown}");
});
