//! `git banger prepare`, again: the workspace is brought to what the host has now, and nothing is lost in it.

use std::fs;
use std::path::Path;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited, lines, ran};
use crate::support::russh::Faults;
use crate::support::{guest_test, run_git, write_program};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];
const HINT: &str = "hint: git banger pull dev --base-commit HEAD@prepare\n  brings work back later\n";

/// Brings the guest's work here, which must be this.
fn pulls(host: &Host, list: &str) {
    let run = host.run(&SINCE);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), list), "{run:?}");
}

/// Runs git-banger, which must refuse and say this; nothing may change in the guest.
fn refused(host: &Host, guest: &TestGuest, args: &[&str], said: &str) -> Ran {
    let before = guest.fingerprint();
    let run = refused_late(host, guest, args, said);
    before.assert_same(&guest.fingerprint());
    run
}

/// As [`refused`], once what is shipped has arrived: folders of the repository in the guest have held files meanwhile.
fn refused_late(host: &Host, guest: &TestGuest, args: &[&str], said: &str) -> Ran {
    let before = (guest.fingerprint().files_only(), host.files_but(&[]), host.standing());
    let run = host.run(args);
    assert!(run.code == Some(1) && run.stderr.contains(said), "{args:?}: {run:?}");
    before.0.assert_same(&guest.fingerprint().files_only());
    before.1.assert_same(&host.files_but(&[]));
    before.2.assert_same(&host.standing());
    guest.assert_no_leftovers();
    run
}

/// Prepares again, which must succeed; the guest is then as a first prepare would leave it.
fn prepares(host: &Host, guest: &TestGuest, args: &[&str]) -> Ran {
    let before = (host.files_but(&[]), host.standing());
    let run = host.run(&[&["prepare", VM], args].concat());
    assert!(run.code == Some(0) && run.stderr.contains("brought 'dev' to "), "{run:?}");
    before.0.assert_same(&host.files_but(&[]));
    before.1.assert_same(&host.standing());
    assert_as_shipped(host, guest);
    run
}

fn assert_as_shipped(host: &Host, guest: &TestGuest) {
    let baseline = host.git(&["rev-parse", "refs/banger/main/dev/baseline"]);
    assert_eq!(guest.git(&["rev-parse", "refs/banger/baseline"]), baseline);
    assert_eq!(host.git(&["for-each-ref", "refs/banger/main/dev/coming"]), "");
    assert_eq!(guest.git(&["rev-parse", "HEAD"]), host.git(&["rev-parse", "refs/banger/main/dev/prepare"]));
    // The files are the baseline's, and the index the head's.
    let index = guest.home().join("index");
    let with_index = |args: &[&str]| run_git(guest.command("git").env("GIT_INDEX_FILE", &index), args);
    with_index(&["read-tree", &baseline]);
    assert_eq!(with_index(&["diff", "--name-only", "--ignore-submodules=all"]), "");
    fs::remove_file(&index).unwrap();
    let head =
        host.git(&["ls-tree", "-r", "--format=%(objectmode) %(objectname) 0%x09%(path)", &format!("{baseline}^")]);
    assert_eq!(guest.git(&["ls-files", "-s"]), head);
    assert_eq!(guest.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
    guest.assert_no_leftovers();
    assert!(!guest.file(".git/index.lock").exists() && !guest.file(".git/index.banger").exists());
    for entry in fs::read_dir(guest.file(".git/objects")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with("tmp_objdir"), "{name:?}");
    }
}

guest_test!(a_file_that_was_only_touched_gets_what_is_new, |guest| {
    let host = Host::new(guest);
    host.prepare();
    // Edited and put back, which the index of the guest does not know; one of them is to change, and one to go.
    for name in ["a", "b", "folder/c"] {
        guest.write(name, "edited\n");
        guest.write(name, host.read(name));
        let file = fs::File::options().write(true).open(guest.file(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    }
    host.write("a", edited("a", 1));
    fs::remove_file(host.file("b")).unwrap();
    prepares(&host, guest, &[]);
    assert_eq!(fs::read_to_string(guest.file("a")).unwrap(), edited("a", 1));
    assert!(!guest.file("b").exists());
});

guest_test!(the_guest_gets_what_the_host_has_now_and_keeps_what_it_ignores, |guest| {
    let host = Host::new(guest);
    host.write("b", edited("b", 1));
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("new", "new\n");
    guest.write("folder/x.o", "built\n");
    guest.write("deep/y.o", "built\n");
    pulls(&host, "M\ta\nA\tnew\n");
    host.git(&["add", "a"]);
    host.git(&["commit", "-qm", "landed"]);
    fs::remove_file(host.file("run")).unwrap();
    host.commit("and more");
    host.write("folder/c", edited("c", 5));
    let told = "brought 'dev' to branch 'main' at <id> (2 new commits), with uncommitted edits in 1 file\n\
                workspace: '<guest>/home/repo'\n";
    assert_eq!(host.run(&["prepare", VM]), ran(0, "", &format!("{told}{HINT}")));
    assert_as_shipped(&host, guest);
    assert_eq!(guest.git(&["status", "--porcelain"]), " M folder/c");
    assert_eq!(guest.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert!(guest.file("new").exists() && !guest.file("run").exists());
    for name in ["folder/x.o", "deep/y.o"] {
        assert_eq!(fs::read_to_string(guest.file(name)).unwrap(), "built\n");
    }
    let mode = |name| fs::metadata(guest.file(name)).map(|meta| std::os::unix::fs::MetadataExt::mode(&meta)).unwrap();
    assert_eq!((mode("folder/c") & 0o777, mode(".git/index") & 0o777), (0o644, 0o644));
    // What was there is still there, for a worker who looks for it.
    assert_eq!(guest.git(&["log", "--format=%s", "refs/banger/replaced^"]), "by the worker\nfirst");
    assert_eq!(guest.git(&["reflog", "-1", "--format=%gs"]), "git-banger: prepare");
    // Nothing was done there since.
    pulls(&host, "");
    let status = host.run(&["status", VM, "--exit-code"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    guest.write("b", edited("b", 1).replace("b 9\n", "b 9 worker\n"));
    pulls(&host, "M\tb\n");
    assert_eq!(host.read("b"), edited("b", 1).replace("b 9\n", "b 9 worker\n"));
});

#[test]
fn only_what_is_missing_is_sent() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let noise: Vec<u8> = (0..100_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    host.write("big", &noise);
    host.commit("big");
    host.prepare();
    guest.write("made there", [&noise[..], b"more"].concat());
    guest.commit("by the worker");
    pulls(&host, "A\tmade there\n");
    host.commit("landed");
    let bytes = || -> u64 {
        let packs = fs::read_dir(guest.file(".git/objects/pack")).unwrap();
        packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let before = bytes();
    // Neither what it was given nor what it gave comes a second time.
    prepares(&host, &guest, &[]);
    assert!(bytes() - before < 20_000, "{} more bytes", bytes() - before);
    // What it threw away does.
    guest.git(&["update-ref", "-d", "refs/banger/replaced"]);
    guest.git(&["reflog", "expire", "--expire=now", "--all"]);
    host.git(&["reset", "-q", "--hard", "HEAD~"]);
    prepares(&host, &guest, &[]);
    guest.git(&["update-ref", "-d", "refs/banger/replaced"]);
    guest.git(&["reflog", "expire", "--expire=now", "--all"]);
    guest.git(&["gc", "-q", "--prune=now"]);
    host.git(&["reset", "-q", "--hard", "@{1}"]);
    prepares(&host, &guest, &[]);
    assert_eq!(fs::read(guest.file("made there")).unwrap(), [&noise[..], b"more"].concat());
}

guest_test!(work_that_has_not_landed_is_not_replaced, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("b", edited("b", 1));
    pulls(&host, "M\ta\nM\tb\n");
    guest.write("b", edited("b", 2));
    guest.write("new", "new\n");
    fs::remove_file(guest.file("run")).unwrap();
    host.write("a", lines("a"));
    let told = "error: guest 'dev' holds work in 3 files that has not landed; nothing was changed\n\
                \x20 'b' has changed in the guest\n\
                \x20 'new' is new in the guest\n\
                \x20 'run' was deleted in the guest\n\
                \x20 it is in the workspace 'repo'\n\
                hint: git banger pull dev --base-commit HEAD@prepare\n  lands it\n\
                hint: git banger prepare dev --force\n  first saves it in this repository\n";
    let run = refused(&host, guest, &["prepare", VM], "");
    assert_eq!(run, ran(1, "", told));
    let run = refused(&host, guest, &["prepare", VM, "-n"], "holds work in 3 files");
    assert!(run.stderr.contains("hint: git banger prepare dev -n --force\n"), "{run:?}");
    // Once it has landed there is nothing to refuse.
    pulls(&host, "M\tb\nA\tnew\nD\trun\n");
    prepares(&host, guest, &[]);
    assert_eq!(fs::read_to_string(guest.file("a")).unwrap(), lines("a"));
    pulls(&host, "");
});

guest_test!(work_that_is_to_be_replaced_all_the_same_is_saved_first, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("new", "new\n");
    let before = guest.fingerprint();
    let dry = host.run(&["prepare", VM, "--force", "-n"]);
    let told = "would save unlanded work in 2 files first\n\
                would bring 'dev' to branch 'main' at <id> (0 new commits), with no uncommitted edits\n";
    assert_eq!(dry, ran(0, "", told));
    before.assert_same(&guest.fingerprint());
    assert!(!host.git(&["for-each-ref"]).contains("rescued"));
    let run = prepares(&host, guest, &["--force"]);
    let rescued = host.git(&["for-each-ref", "--format=%(refname)", "refs/banger/main/dev/rescued"]);
    assert!(
        run.stderr.starts_with(&format!("saved unlanded work in 2 files as {rescued}\nhint: git diff ")),
        "{run:?}"
    );
    assert_eq!(host.git(&["diff", "--name-status", "refs/banger/main/dev/prepare", &rescued]), "M\ta\nA\tnew");
    assert_eq!(host.git(&["log", "--format=%s", &format!("{rescued}^")]), "by the worker\nfirst");
    assert!(!guest.file("new").exists() && fs::read_to_string(guest.file("a")).unwrap() == lines("a"));
    // What the hint shows is that work.
    guest.write("b", edited("b", 3));
    let (_, shown) = host.follow(&["prepare", VM, "--force"], || {});
    assert!(shown[0].code == Some(0) && shown[0].stdout.contains("\n+b 3 edited\n"), "{shown:?}");
    // Work is not forgotten with the guest that it came from.
    let refs = host.git(&["for-each-ref", "--format=%(refname)", "refs/banger/main/dev/rescued"]);
    assert_eq!(refs.lines().count(), 2);
    let forgotten = host.run(&["vm", "remove", VM]);
    assert!(refs.lines().all(|name| forgotten.stderr.contains(&format!("stays in {name}\n"))), "{forgotten:?}");
    assert_eq!(host.git(&["for-each-ref", "--format=%(refname)", "refs/banger"]), refs);
    // Where nothing is recorded, nothing there is ours.
    refused(&host, guest, &["prepare", VM, "--force"], "'repo' is not empty");
});

guest_test!(other_branches_stashes_and_worktrees_stay, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.git(&["checkout", "-qb", "side"]);
    guest.write("side", "side\n");
    guest.commit("on the side");
    guest.write("a", "stashed\n");
    guest.git(&["stash", "-q"]);
    guest.git(&["worktree", "add", "-q", "-b", "third", "../third"]);
    guest.git(&["checkout", "-q", "main"]);
    guest.write("nested/file", "nested\n");
    guest.git(&["init", "-q", "nested"]);
    let kept = |guest: &TestGuest| {
        let refs = guest.git(&["for-each-ref", "refs/heads/side", "refs/heads/third", "refs/stash", "refs/tags"]);
        (refs, guest.git(&["stash", "list"]), fs::read_to_string(guest.home().join("third/side")).unwrap())
    };
    let before = kept(guest);
    pulls(&host, "A\tnested/file\n");
    host.write("b", edited("b", 1));
    host.git(&["commit", "-qam", "by the host"]);
    let run = prepares(&host, guest, &[]);
    assert!(run.stderr.contains("warning: 'nested' stays in the guest: it is a repository of its own\n"), "{run:?}");
    assert_eq!(kept(guest), before);
    assert!(guest.file("nested/.git/HEAD").exists() && guest.file("nested/file").exists());
    // The workspace may be on another branch by then; what is on the host's is not lost.
    guest.git(&["checkout", "-q", "side"]);
    refused(&host, guest, &["prepare", VM], "holds work in 3 files");
    prepares(&host, guest, &["--force"]);
    assert_eq!(guest.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(kept(guest), before);
    guest.write("a", edited("a", 1));
    guest.git(&["commit", "-qam", "only on main"]);
    guest.git(&["checkout", "-q", "--detach", "HEAD~"]);
    host.git(&["checkout", "-q", "main"]);
    let told = "error: guest 'dev' has something in the way\n  guest: branch 'main' has commits of its own\n";
    refused_late(&host, guest, &["prepare", VM, "--force"], told);
    let told = "guest: another worktree is on branch 'third'\n";
    refused_late(&host, guest, &["prepare", VM, "--force", "--branch", "third"], told);
    let main = guest.git(&["rev-parse", "main"]);
    prepares(&host, guest, &["--branch", "fourth", "--force"]);
    assert_eq!(guest.git(&["rev-parse", "main"]), main);
    assert_eq!(guest.git(&["symbolic-ref", "HEAD"]), "refs/heads/fourth");
});

#[test]
fn what_the_worker_is_in_the_middle_of_is_not_replaced() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.git(&["checkout", "-qb", "side"]);
    guest.write("a", edited("a", 1));
    guest.commit("on the side");
    guest.git(&["checkout", "-q", "main"]);
    guest.write("a", edited("a", 1).replace("edited", "otherwise"));
    guest.commit("on main");
    for (begin, end) in [("merge", "--abort"), ("rebase", "--abort"), ("cherry-pick", "--abort")] {
        assert!(!guest.command("git").args([begin, "side"]).output().unwrap().status.success());
        for force in [&[][..], &["--force"], &["-n"]] {
            let args = [&["prepare", VM], force].concat();
            let run = refused(&host, &guest, &args, "error: guest 'dev' is in the middle of an operation\n  guest: ");
            assert!(!run.stderr.contains("hint:"), "{run:?}");
        }
        guest.git(&[begin, end]);
    }
    // A stash that does not fit leaves no more than the index behind.
    guest.write("a", "stashed\n");
    guest.git(&["stash", "-q"]);
    guest.write("a", "committed\n");
    guest.git(&["commit", "-qam", "otherwise"]);
    assert!(!guest.command("git").args(["stash", "pop"]).output().unwrap().status.success());
    refused(&host, &guest, &["prepare", VM, "--force"], "guest: a merge is not settled in 'repo'\n");
    guest.git(&["checkout", "-qf", "main"]);
    prepares(&host, &guest, &["--force"]);
}

#[test]
fn what_is_written_has_the_modes_that_the_users_own_would() {
    let folder = tempfile::tempdir().unwrap();
    let shell = folder.path().join("shell");
    write_program(&shell, "#!/bin/sh\numask 007\nexec /bin/sh \"$@\"\n");
    let guest = TestGuest::russh_with_shell(&shell);
    let host = Host::new(&guest);
    host.prepare();
    host.write("b", edited("b", 1));
    host.write("new/er", "new\n");
    host.commit("second");
    fs::remove_file(guest.file(".git/info/exclude")).unwrap();
    host.write(".git/info/exclude", "*.tmp\n");
    prepares(&host, &guest, &[]);
    let mode =
        |path: &Path| fs::metadata(path).map(|meta| std::os::unix::fs::MetadataExt::mode(&meta) & 0o777).unwrap();
    let modes = ["b", "new", "new/er", "run", ".git/index", ".git/info/exclude", ".git/refs/banger/replaced"];
    let modes = modes.map(|name| format!("{:o}", mode(&guest.file(name))));
    assert_eq!(modes, ["660", "770", "660", "770", "660", "660", "660"]);
    for pack in fs::read_dir(guest.file(".git/objects/pack")).unwrap() {
        assert_eq!(mode(&pack.unwrap().path()), 0o440);
    }
}

#[test]
fn another_git_at_work_is_waited_for_a_while() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write(".git/index.lock", "");
    let told = "error: guest 'dev' was changed meanwhile\n  guest: another git is at work in 'repo', or has left ";
    refused_late(&host, &guest, &["prepare", VM], told);
    fs::remove_file(guest.file(".git/index.lock")).unwrap();
    prepares(&host, &guest, &[]);
}

guest_test!(a_head_without_commits_or_branch_is_prepared_again_in_sha256_and_in_a_deep_place, |guest| {
    let host = Host::with_format(guest, "sha256");
    host.write("a", lines("a"));
    host.git(&["add", "a"]);
    for key in ["user.name", "user.email"] {
        host.git(&["config", "--unset", key]);
    }
    host.stdout(&["prepare", VM, "--path", "~/deep/er/repo"]);
    fs::create_dir_all(guest.home()).unwrap();
    let link = guest.home().join("repo");
    std::os::unix::fs::symlink(guest.home().join("deep/er/repo"), &link).unwrap();
    // A worker without a name makes the first commit, which lands.
    guest.write("new", "new\n");
    guest.git(&["-c", "user.name=w", "-c", "user.email=w", "add", "-A"]);
    guest.git(&["-c", "user.name=w", "-c", "user.email=w", "commit", "-qm", "the first"]);
    pulls(&host, "A\tnew\n");
    host.write("a", edited("a", 1));
    let run = host.run(&["prepare", VM]);
    assert!(
        run.stderr.contains("brought 'dev' to branch 'main' at no commit yet, with uncommitted edits in 1 file\n"),
        "{run:?}"
    );
    assert_eq!(guest.git(&["status", "--porcelain", "--branch"]), "## No commits yet on main\n?? a");
    assert_eq!(fs::read_to_string(guest.file("a")).unwrap(), edited("a", 1));
    assert!(guest.git(&["show", "refs/banger/replaced:new"]) == "new");
    host.git(&["-c", "user.name=h", "-c", "user.email=h", "commit", "-qam", "by the host"]);
    host.write("a", edited("a", 2));
    prepares(&host, guest, &[]);
    assert_eq!(guest.git(&["status", "--porcelain", "--branch"]), "## main\n M a");
    host.git(&["checkout", "-q", "--detach"]);
    prepares(&host, guest, &[]);
    assert_eq!(guest.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    host.git(&["checkout", "-q", "main"]);
    prepares(&host, guest, &[]);
    assert_eq!(guest.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
});

guest_test!(an_ignored_file_of_the_workers_is_not_overwritten, |guest| {
    let host = Host::new(guest);
    host.write("was-file", "file\n");
    host.commit("more");
    host.prepare();
    guest.write("x.o", "the worker's\n");
    guest.write("same.o", "the same\n");
    guest.write("dir.o/inside", "the worker's\n");
    guest.write("up.o", "a file\n");
    guest.write("folder/z.o", "the worker's\n");
    host.write("x.o", "the host's\n");
    host.write("same.o", "the same\n");
    host.write("dir.o", "the host's\n");
    host.write("up.o/file", "the host's\n");
    fs::remove_dir_all(host.file("folder")).unwrap();
    host.write("folder", "a file by now\n");
    fs::remove_file(host.file("was-file")).unwrap();
    host.write("was-file/is", "a folder by now\n");
    host.git(&["add", "-Af"]);
    host.git(&["commit", "-qm", "all of it"]);
    let told = "error: guest 'dev' has something in the way\n  guest: dir.o\n  guest: folder\n  guest: up.o\n  guest: x.o\n\
                \x20 guest: these are in the way of files of the host's\n";
    refused_late(&host, guest, &["prepare", VM], told);
    for name in ["x.o", "up.o", "folder/z.o"] {
        fs::remove_file(guest.file(name)).unwrap();
    }
    fs::remove_dir_all(guest.file("dir.o")).unwrap();
    prepares(&host, guest, &[]);
    assert_eq!(fs::read_to_string(guest.file("was-file/is")).unwrap(), "a folder by now\n");
    assert_eq!(fs::read_to_string(guest.file("folder")).unwrap(), "a file by now\n");
    pulls(&host, "");
});

/// Makes a guest whose login shell does something before it runs what it is given, from the third call of a prepare on: that
/// is where the workspace is written. The first call is `prepare`'s look.
fn meddling(text: &str) -> (tempfile::TempDir, TestGuest) {
    let folder = tempfile::tempdir().unwrap();
    let (shell, count) = (folder.path().join("shell"), folder.path().join("count"));
    let count = count.display();
    let script = format!(
        "#!/bin/sh\ntest -e {count} || exec /bin/sh \"$@\"\necho x >>{count}\n\
         test $(wc -l <{count}) -ne 3 || {{\n{text}\n}}\nexec /bin/sh \"$@\"\n"
    );
    write_program(&shell, &script);
    (folder, TestGuest::russh_with_shell(&shell))
}

/// From here on the calls count.
fn count_from_now(folder: &Path) {
    fs::write(folder.join("count"), "").unwrap();
}

#[test]
fn what_changes_between_the_look_and_the_act_is_not_replaced() {
    for meddle in [
        "echo late >>a",
        "echo late >late",
        "rm b",
        "chmod +x a",
        "git commit -q --allow-empty -m late",
        "git checkout -q -b late; git commit -q --allow-empty -m late",
    ] {
        let (folder, guest) = meddling(&format!("(cd ~/repo && {{ {meddle}; }}) >/dev/null"));
        let host = Host::new(&guest);
        host.prepare();
        guest.write("x.o", "ignored\n");
        host.write("a", edited("a", 1));
        count_from_now(folder.path());
        let run = host.run(&["prepare", VM]);
        let told = "error: guest 'dev' was changed meanwhile\n  guest: 'repo' is not as it was when the host looked at it\n\
                    \x20 nothing was changed by this; prepare again when the worker pauses\n";
        assert_eq!(run, ran(1, "", told), "{meddle}");
        guest.assert_no_leftovers();
        assert_eq!(guest.git(&["for-each-ref", "refs/banger/replaced"]), "");
        assert_eq!(host.git(&["for-each-ref", "refs/banger/main/dev/coming"]), "");
        assert!(!fs::read_to_string(guest.file("a")).unwrap().contains("edited"), "{meddle}");
        assert!(!guest.file(".git/index.lock").exists());
        prepares(&host, &guest, &["--force"]);
    }
}

/// Puts a program before the guest's git that does as git; once there is a file 'on' in the folder that is returned, but for
/// one call.
pub fn with_git(text: &str) -> (tempfile::TempDir, TestGuest) {
    let folder = tempfile::tempdir().unwrap();
    let git = which::which("git").unwrap();
    let on = folder.path().join("on");
    let script = format!(
        "#!/bin/sh\ntest -e {} || exec {git} \"$@\"\ncase \" $* \" in\n{text}\nesac\nexec {git} \"$@\"\n",
        on.display(),
        git = git.display()
    );
    write_program(&folder.path().join("bin/git"), &script.replace("GIT", git.to_str().unwrap()));
    let shell = folder.path().join("shell");
    let bin = folder.path().join("bin").display().to_string();
    write_program(&shell, &format!("#!/bin/sh\nPATH={bin}:$PATH\nexport PATH\nexec /bin/sh \"$@\"\n"));
    (folder, TestGuest::russh_with_shell(&shell))
}

#[test]
fn what_cannot_be_written_is_taken_back() {
    for fails in [
        // All files were written, or none.
        "*' read-tree -m -u '*) GIT \"$@\"; exit 1 ;;",
        "*' read-tree -m -u '*) exit 1 ;;",
        "*' update-ref '*' refs/heads/main '*) exit 1 ;;",
        "*' symbolic-ref -m '*) exit 1 ;;",
        "*' read-tree -m '*) case \"$*\" in *-u*) ;; *) exit 1 ;; esac ;;",
    ] {
        let (folder, guest) = with_git(fails);
        let host = Host::new(&guest);
        host.write("gone", "gone\n");
        host.commit("more");
        host.prepare();
        guest.write("x.o", "ignored\n");
        guest.write("a", edited("a", 1));
        guest.commit("by the worker");
        guest.write("b", edited("b", 1));
        guest.git(&["add", "b"]);
        pulls(&host, "M\ta\nM\tb\n");
        let state = || {
            let files = guest.fingerprint().files_only().without(&[guest.file(".git")]).without_times();
            (files, guest.git(&["status", "--porcelain", "--branch"]), guest.git(&["for-each-ref", "refs/heads"]))
        };
        let (files, status, refs) = state();
        let index = fs::read(guest.file(".git/index")).unwrap();
        host.git(&["rm", "-q", "gone"]);
        host.write("new/er", "new\n");
        host.commit("by the host");
        fs::write(folder.path().join("on"), "").unwrap();
        let run = host.run(&["prepare", VM]);
        let told = "error: guest 'dev' reports that git failed\n";
        assert!(run.code == Some(4) && run.stderr.starts_with(told), "{fails}: {run:?}");
        assert!(
            run.stderr.contains("guest: cannot write the files to 'repo', which is as it was\n"),
            "{fails}: {run:?}"
        );
        assert!(index == fs::read(guest.file(".git/index")).unwrap(), "{fails}");
        let now = state();
        files.assert_same(&now.0);
        assert_eq!((now.1, now.2), (status, refs), "{fails}");
        guest.assert_no_leftovers();
        fs::remove_file(folder.path().join("on")).unwrap();
        prepares(&host, &guest, &[]);
    }
}

#[test]
fn one_that_is_killed_half_way_is_brought_to_an_end_by_the_next() {
    for dies in [
        "*' read-tree -m -u '*) GIT \"$@\"; kill -9 $PPID; exit 0 ;;",
        "*' read-tree -m -u '*) kill -9 $PPID; exit 0 ;;",
        "*' update-ref refs/banger/prepare '*) kill -9 $(cut -d' ' -f4 /proc/$PPID/stat) $PPID ;;",
        "*' update-ref refs/banger/baseline '*) GIT \"$@\"; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat) $PPID ;;",
    ] {
        let (folder, guest) = with_git(dies);
        let host = Host::new(&guest);
        host.prepare();
        guest.write("a", edited("a", 1));
        guest.commit("by the worker");
        pulls(&host, "M\ta\n");
        host.write("b", edited("b", 2));
        host.write("new", "new\n");
        host.commit("by the host");
        host.write("folder/c", edited("c", 3));
        fs::write(folder.path().join("on"), "").unwrap();
        let run = host.run(&["prepare", VM]);
        assert!(!matches!(run.code, Some(0 | 1)), "{dies}: {run:?}");
        fs::remove_file(folder.path().join("on")).unwrap();
        guest.wait_until_idle();
        // What the worker does then is work all the same.
        guest.write("late", "late\n");
        refused_but_for_temporaries(&host, &guest, "holds work in 1 file that has not landed");
        fs::remove_file(guest.file("late")).unwrap();
        host.write("folder/c", edited("c", 4));
        let run = host.run(&["prepare", VM]);
        assert_eq!(run.code, Some(0), "{dies}: {run:?}");
        for entry in fs::read_dir(guest.path("tmp")).unwrap() {
            // The one that was killed could not clean up.
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        for entry in fs::read_dir(guest.file(".git/objects")).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("tmp_objdir") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        assert_as_shipped(&host, &guest);
        pulls(&host, "");
    }
}

fn refused_but_for_temporaries(host: &Host, guest: &TestGuest, said: &str) {
    let before = guest.fingerprint();
    let run = host.run(&["prepare", VM]);
    assert!(run.code == Some(1) && run.stderr.contains(said), "{run:?}");
    before.assert_same(&guest.fingerprint());
}

#[test]
fn a_prepare_again_that_is_cut_changes_all_or_nothing() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let noise: Vec<u8> = (0..40_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    host.prepare();
    host.write("big", &noise);
    host.commit("big");
    guest.write("x.o", "ignored\n");
    let before = guest.fingerprint();
    for bytes in [45_000, 60_000, 100_000, 150_000] {
        guest.set_faults(Faults { cut_up: Some(bytes), ..Faults::default() });
        let run = host.run(&["prepare", VM]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "cut after {bytes}: {}", run.stderr);
        guest.wait_until_idle();
        before.clone().files_only().assert_same(&guest.fingerprint().files_only());
        guest.assert_no_leftovers();
    }
    // Its answer is lost, and what it did is not: the next one knows.
    guest.set_faults(Faults::default());
    host.write("a", edited("a", 1));
    for bytes in [2_000, 2_600, 2_800, 3_000, 3_200] {
        guest.set_faults(Faults { cut_down: Some(bytes), ..Faults::default() });
        let run = host.run(&["prepare", VM]);
        assert!(matches!(run.code, Some(0 | 3)), "cut after {bytes}: {run:?}");
        guest.wait_until_idle();
    }
    guest.set_faults(Faults::default());
    prepares(&host, &guest, &[]);
}

guest_test!(a_second_workspace_does_not_make_one_forgotten_that_holds_work, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let run = refused(&host, guest, &["prepare", VM, "--path", "second"], "holds work in 1 file that has not landed");
    assert!(run.stderr.contains("\n  it is in the workspace 'repo'\n"), "{run:?}");
    assert!(run.stderr.contains("hint: git banger prepare dev --path second --force\n"), "{run:?}");
    assert!(!guest.home().join("second").exists());
    let before = guest.fingerprint();
    let run = host.run(&["prepare", VM, "--path", "second", "--force"]);
    assert!(run.code == Some(0) && run.stderr.starts_with("saved unlanded work in 1 file as "), "{run:?}");
    before.assert_same(&guest.fingerprint());
    assert!(guest.home().join("second/.git").exists());
    // Without work in it there is nothing to say; nor where it is no more there.
    assert_eq!(host.run(&["prepare", VM, "--path", "third", "-q"]), ran(0, "", ""));
    fs::remove_dir_all(guest.home().join("third")).unwrap();
    assert_eq!(host.run(&["prepare", VM, "--path", "fourth", "-q"]), ran(0, "", ""));
});

guest_test!(what_is_agreed_starts_afresh_and_an_undo_reaches_across, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("one");
    pulls(&host, "M\ta\n");
    host.git(&["commit", "-qam", "landed"]);
    host.write("b", edited("b", 9));
    prepares(&host, guest, &[]);
    guest.write("a", edited("a", 1).replace("a 9\n", "a 9 too\n"));
    guest.write("b", edited("b", 9).replace("b 1\n", "b 1 worker\n"));
    pulls(&host, "M\ta\nM\tb\n");
    assert_eq!(host.read("b"), edited("b", 9).replace("b 1\n", "b 1 worker\n"));
    // Walking back: the second, then the first, which came before the prepare.
    assert_eq!(host.run(&["undo"]).stdout, "M\ta\nM\tb\n");
    assert_eq!((host.read("a"), host.read("b")), (edited("a", 1), edited("b", 9)));
    assert_eq!(host.run(&["undo"]).stdout, "M\ta\n");
    assert_eq!(host.read("a"), lines("a"));
    // The second is work again, the first is not.
    let run = refused(&host, guest, &["prepare", VM], "holds work in 2 files");
    assert!(run.stderr.contains("'a' has changed in the guest"), "{run:?}");
    assert_eq!(host.run(&["undo", "--redo"]).stdout, "M\ta\n");
    pulls(&host, "M\ta\nM\tb\n");
    prepares(&host, guest, &[]);
    pulls(&host, "");
});

guest_test!(edits_that_are_hidden_from_git_stay_here_and_are_named, |guest| {
    let host = Host::new(guest);
    host.git(&["update-index", "--assume-unchanged", "a", "folder/c"]);
    host.git(&["update-index", "--skip-worktree", "b", "run"]);
    host.write("a", edited("a", 1));
    fs::remove_file(host.file("b")).unwrap();
    host.write("run", "secret\n");
    let told = "shipped branch 'main' at <id> (1 commit) to 'dev', with no uncommitted edits\n\
                warning: the edits of 'a' were not shipped: they are hidden from git here\n\
                warning: the edits of 'run' were not shipped: they are hidden from git here\n\
                workspace: '<guest>/home/repo'\n";
    assert_eq!(host.run(&["prepare", VM]), ran(0, "", &format!("{told}{HINT}")));
    assert_eq!(guest.git(&["status", "--porcelain"]), "");
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&host.run(args).stdout).unwrap() };
    let hidden = json(&["prepare", VM, "--json"])["hidden"].clone();
    assert_eq!(hidden, serde_json::json!([{ "path": "a" }, { "path": "run" }]));
    // The worker's edit of such a file comes all the same, beside the hidden one.
    guest.write("a", edited("a", 9));
    pulls(&host, "M\ta\n");
    assert_eq!(host.read("a"), edited("a", 9).replace("a 1\n", "a 1 edited\n"));
});

guest_test!(both_sides_ignore_the_same, |guest| {
    let host = Host::new(guest);
    host.write(".git/info/exclude", "# a comment\n\nlocal/\n!kept.log\n");
    fs::write(host.path("home/ignores"), "*.log\n*.swp\n").unwrap();
    host.git(&["config", "core.excludesFile", "~/ignores"]);
    host.prepare();
    let rules = || fs::read_to_string(guest.file(".git/info/exclude")).unwrap();
    let block = "# git-banger: begin\n*.log\n*.swp\nlocal/\n!kept.log\n# git-banger: end\n";
    assert!(rules().starts_with(block), "{}", rules());
    for name in ["x.log", "kept.log", "local/file", "new"] {
        guest.write(name, "the worker's\n");
    }
    pulls(&host, "A\tkept.log\nA\tnew\n");
    // The worker's own rules stay, and win.
    fs::write(guest.file(".git/info/exclude"), format!("{}!x.log\n", rules())).unwrap();
    pulls(&host, "A\tx.log\n");
    host.git(&["config", "core.excludesFile", "/dev/null"]);
    prepares(&host, guest, &["--untracked"]);
    assert!(rules().starts_with("# git-banger: begin\nlocal/\n!kept.log\n# git-banger: end\n"), "{}", rules());
    assert!(rules().ends_with("!x.log\n") && rules().matches("git-banger").count() == 2, "{}", rules());
    assert_eq!(fs::read_to_string(guest.file("local/file")).unwrap(), "the worker's\n");
    host.write(".git/info/exclude", "");
    prepares(&host, guest, &["--force"]);
    assert!(!rules().contains("git-banger"), "{}", rules());
});

guest_test!(ignored_files_are_shipped_when_they_are_named, |guest| {
    let host = Host::new(guest);
    for name in ["x.o", "deep/y.o", "deep/er/z.o", "new"] {
        host.write(name, name);
    }
    let listed = "'deep/er/z.o' is ignored, and included\n'deep/y.o' is ignored, and included\n\
                  1 untracked file was not shipped (--untracked ships it)\n";
    let told = format!("ship branch 'main' at <id> (1 commit) to 'dev', with uncommitted edits in 2 files\n{listed}");
    assert_eq!(host.run(&["prepare", VM, "--include", "deep", "-n"]), ran(0, "", &format!("would {told}")));
    let told = format!("{}workspace: '<guest>/home/repo'\n", told.replacen("ship", "shipped", 1));
    assert_eq!(host.run(&["prepare", VM, "--include", "deep"]), ran(0, "", &format!("{told}{HINT}")));
    let files = |guest: &TestGuest| ["x.o", "deep/y.o", "deep/er/z.o"].map(|name| guest.file(name).exists());
    assert_eq!(files(guest), [false, true, true]);
    // They are work when the worker changes them, and none else.
    pulls(&host, "");
    guest.write("deep/y.o", "the worker's");
    refused(&host, guest, &["prepare", VM], "'deep/y.o' has changed in the guest");
    pulls(&host, "M\tdeep/y.o\n");
    assert_eq!(host.read("deep/y.o"), "the worker's");
    let include = ["--include", "*.o", "--include", "deep/y.o"];
    let run = prepares(&host, guest, &include);
    assert_eq!(run.stderr.matches(" is ignored, and included\n").count(), 3, "{run:?}");
    assert_eq!(files(guest), [true, true, true]);
    prepares(&host, guest, &[]);
    assert_eq!(files(guest), [false, false, false]);
    let run = host.run(&["prepare", VM, "--include", "no such"]);
    assert_eq!(run, ran(1, "", "error: --include 'no such' matches no ignored file\n"));
    let run = host.run(&["prepare", VM, "--include", "a"]);
    assert_eq!(run, ran(1, "", "error: --include 'a' matches no ignored file\n"));
});

guest_test!(a_dry_run_asks_the_guest_and_changes_nothing, |guest| {
    let host = Host::new(guest);
    let dry = ["prepare", VM, "-n"];
    assert_eq!(host.run(&dry).code, Some(0));
    guest.write("precious", "already here\n");
    refused(&host, guest, &dry, "guest: 'repo' is not empty\n");
    fs::remove_dir_all(guest.workspace()).unwrap();
    host.prepare();
    host.write("a", edited("a", 1));
    host.git(&["commit", "-qam", "second"]);
    let (before, refs) = (guest.fingerprint(), host.git(&["for-each-ref", "refs/banger"]));
    let told = "would bring 'dev' to branch 'main' at <id> (1 new commit), with no uncommitted edits\n";
    assert_eq!(host.run(&dry), ran(0, "", told));
    before.assert_same(&guest.fingerprint());
    let now = host.git(&["for-each-ref", "refs/banger"]);
    let now: Vec<_> = now.lines().filter(|line| !line.ends_with("/snapshot")).collect();
    assert_eq!(now.join("\n"), refs);
    host.git(&["config", "banger.gone.url", "ssh://127.0.0.1:1/~/repo"]);
    let run = host.run(&["prepare", "gone", "-n"]);
    assert_eq!(run.code, Some(3), "{run:?}");
});

guest_test!(all_of_it_is_told_in_json, |guest| {
    let host = Host::new(guest);
    host.write("x.o", "ignored\n");
    let json = |args: &[&str]| -> serde_json::Value {
        let output = host.banger(&[&["prepare", VM, "--json"], args].concat()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let first = json(&["--include", "x.o"]);
    assert_eq!((&first["again"], &first["commits"]), (&false.into(), &1.into()));
    assert_eq!((&first["included"][0]["path"], &first["rescued"]), (&"x.o".into(), &serde_json::Value::Null));
    guest.write("a", edited("a", 1));
    guest.git(&["init", "-q", "nested"]);
    guest.write("nested/file", "nested\n");
    let refusal = json(&[]);
    assert_eq!((&refusal["error"]["kind"], &refusal["vm"]), (&"refused".into(), &VM.into()));
    let paths = refusal["error"]["paths"].as_array().unwrap();
    assert_eq!((paths.len(), &paths[0]["kind"], &paths[0]["path"]), (2, &"unlanded".into(), &"a".into()));
    assert_eq!(refusal["error"]["hints"][1], "git banger prepare dev --json --force");
    let dry = json(&["--force", "-n"]);
    assert_eq!((&dry["rescued"]["ref"], &dry["shipped"]), (&serde_json::Value::Null, &false.into()));
    let done = json(&["--force"]);
    assert_eq!((&done["again"], &done["commits"], &done["shipped"]), (&true.into(), &0.into(), &true.into()));
    assert_eq!((&done["rescued"]["files"], &done["nested"][0]["path"]), (&2.into(), &"nested".into()));
    let name = done["rescued"]["ref"].as_str().unwrap();
    assert_eq!(host.git(&["rev-parse", name]), done["rescued"]["commit"].as_str().unwrap());
});

#[test]
fn a_history_that_is_cut_short_stays_so_and_goes_on() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for line in 1..=4 {
        host.write("a", edited("a", line));
        host.git(&["commit", "-qam", &line.to_string()]);
    }
    let old = host.git(&["rev-parse", "HEAD~3"]);
    host.stdout(&["prepare", VM, "--depth", "1"]);
    let log = |guest: &TestGuest| guest.git(&["log", "--format=%s"]).replace('\n', " ");
    assert_eq!(log(&guest), "4");
    host.write("a", edited("a", 5));
    host.git(&["commit", "-qam", "5"]);
    prepares(&host, &guest, &[]);
    assert_eq!(log(&guest), "5 4");
    prepares(&host, &guest, &["--depth", "1"]);
    assert_eq!(log(&guest), "5 4");
    // From a commit behind the end, and on another line.
    host.git(&["checkout", "-qb", "other", &old]);
    host.write("b", edited("b", 1));
    host.git(&["commit", "-qam", "other"]);
    prepares(&host, &guest, &["--depth", "2"]);
    assert_eq!(log(&guest), "other 1");
    prepares(&host, &guest, &[]);
    host.git(&["checkout", "-q", "main"]);
    prepares(&host, &guest, &[]);
    assert_eq!(log(&guest), "5 4");
    guest.write("b", edited("b", 2));
    pulls(&host, "M\tb\n");
}

#[test]
fn odd_repositories_are_shipped_as_they_are() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for line in 1..=3 {
        host.write("a", edited("a", line));
        host.git(&["commit", "-qam", &line.to_string()]);
    }
    // What replaces a commit, or its parents, is seen here alone.
    host.git(&["replace", "--graft", "HEAD~1"]);
    host.write(".git/info/grafts", host.git(&["rev-parse", "HEAD"]) + "\n");
    assert_eq!(host.git(&["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(host.run(&["prepare", VM]).code, Some(0));
    assert_as_shipped(&host, &guest);
    assert_eq!(guest.git(&["rev-list", "--count", "HEAD"]), "4");
    fs::remove_file(host.file(".git/info/grafts")).unwrap();
    // A submodule is a pointer, and what the worker has checked out there stays.
    let module = host.path("module");
    fs::create_dir(&module).unwrap();
    let module = module.to_str().unwrap();
    host.git(&["init", "-q", module]);
    host.git(&["-C", module, "-c", "user.name=m", "-c", "user.email=m", "commit", "-q", "--allow-empty", "-m", "m"]);
    host.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", module, "sub"]);
    host.git(&["commit", "-qm", "submodule"]);
    let run = prepares(&host, &guest, &[]);
    assert!(run.stderr.contains("the files of 1 submodule were not shipped\n"), "{run:?}");
    guest.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    guest.write("sub/new", "in the submodule\n");
    host.git(&["-C", "sub", "-c", "user.name=m", "-c", "user.email=m", "commit", "-q", "--allow-empty", "-m", "n"]);
    host.git(&["commit", "-qam", "moved"]);
    let moved = host.git(&["rev-parse", "HEAD:sub"]);
    let run = host.run(&["prepare", VM]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(guest.git(&["rev-parse", "HEAD:sub"]), moved);
    assert_eq!(fs::read_to_string(guest.file("sub/new")).unwrap(), "in the submodule\n");
    // A sparse checkout ships what it keeps off the disk.
    host.git(&["sparse-checkout", "set", "folder"]);
    host.git(&["sparse-checkout", "set", "--no-cone", "/folder/"]);
    assert!(!host.file("a").exists());
    host.write("folder/c", edited("c", 1));
    assert_eq!(host.run(&["prepare", VM]).code, Some(0));
    assert_eq!(guest.git(&["status", "--porcelain", "--ignore-submodules=all"]), " M folder/c");
    assert!(guest.file("a").exists());
}

#[test]
fn what_a_partial_clone_lacks_is_fetched_as_the_user_fetches_it() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    for line in 1..=3 {
        host.write("a", edited("a", line));
        host.git(&["commit", "-qam", &line.to_string()]);
    }
    let upstream = host.path("upstream.git");
    let upstream = upstream.to_str().unwrap();
    host.git(&["clone", "-q", "--bare", ".", upstream]);
    host.git(&["-C", upstream, "config", "uploadpack.allowFilter", "true"]);
    host.git(&["-C", upstream, "config", "uploadpack.allowAnySHA1InWant", "true"]);
    let config = fs::read_to_string(host.file(".git/config")).unwrap();
    let banger = &config[config.find("[banger]").unwrap()..];
    fs::remove_dir_all(host.repo()).unwrap();
    // In place of ssh.
    let ssh = host.path("bin/ssh");
    write_program(&ssh, "#!/bin/sh\nfor last in \"$@\"; do :; done\nexec sh -c \"$last\"\n");
    fs::create_dir(host.repo()).unwrap();
    let url = format!("ssh://nowhere.invalid{upstream}");
    host.set_env("GIT_SSH_COMMAND", ssh.to_str().unwrap());
    host.git(&["clone", "-q", "--filter=blob:none", &url, "."]);
    fs::write(host.file(".git/config"), fs::read_to_string(host.file(".git/config")).unwrap() + banger).unwrap();
    host.git(&["config", "user.name", "Host"]);
    host.git(&["config", "user.email", "host@example.org"]);
    let missing = |host: &Host| host.git(&["rev-list", "--objects", "--all", "--missing=print"]).matches('?').count();
    assert_eq!(missing(&host), 3);
    // Without it nothing is sent, and the newest commit can go.
    host.set_env("GIT_SSH_COMMAND", "false");
    let (run, newest) = host.follow(&["prepare", VM], || assert!(!guest.workspace().exists()));
    assert!(run.code == Some(8) && run.stderr.contains("\n  nothing was sent\n"), "{run:?}");
    assert_eq!((newest[0].code, guest.git(&["rev-list", "--count", "HEAD"])), (Some(0), "1".to_owned()), "{newest:?}");
    fs::remove_dir_all(guest.workspace()).unwrap();
    host.set_env("GIT_SSH_COMMAND", ssh.to_str().unwrap());
    assert_eq!(host.run(&["prepare", VM]).code, Some(0));
    assert_eq!(missing(&host), 0);
    assert_as_shipped(&host, &guest);
    assert_eq!(guest.git(&["rev-list", "--count", "HEAD"]), "4");
}
