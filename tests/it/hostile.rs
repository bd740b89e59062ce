//! A hostile guest gains nothing: whatever it answers, the host writes and runs nothing of its choosing, and says so.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::Host;
use crate::support::write_program;

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// A guest whose answers pass through a program of the test's, and a host that has prepared it.
struct Hostile {
    guest: TestGuest,
    host: Host,
    _shell: TempDir,
}

impl Hostile {
    fn new() -> Hostile {
        let folder = TempDir::new().unwrap();
        let shell: PathBuf = folder.path().join("shell");
        let text =
            "#!/bin/sh\ntest -e \"$HOME/evil\" || exec /bin/sh \"$@\"\n/bin/sh \"$@\" | /bin/sh \"$HOME/evil\"\n";
        write_program(&shell, text);
        let guest = TestGuest::russh_with_shell(&shell);
        let host = Host::new(&guest);
        host.prepare();
        guest.write("a", "the worker's\n");
        Hostile { guest, host, _shell: folder }
    }

    /// Sets the program that every later answer passes through.
    fn answers(self, program: &str) -> Hostile {
        fs::write(self.guest.home().join("evil"), program).unwrap();
        self
    }

    /// Runs a command that must fail and change nothing; returns what it said.
    fn refused(&self, args: &[&str], codes: &[i32]) -> String {
        let files = self.host.fingerprint().files_only().without(&[self.host.file(".git")]);
        // What a conflict leaves behind to look at is the one thing that may come.
        let refs = || {
            let all = self.host.git(&["for-each-ref"]);
            all.lines().filter(|line| !line.ends_with("/snapshot")).map(str::to_owned).collect::<Vec<_>>()
        };
        let (standing, before) = (self.host.standing(), refs());
        let ran = self.host.run(args);
        assert!(ran.code.is_some_and(|code| codes.contains(&code)), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
        assert!(!ran.stderr.contains('\x1b') && !ran.stdout.contains('\x1b'), "{ran:?}");
        files.assert_same(&self.host.fingerprint().files_only().without(&[self.host.file(".git")]));
        standing.assert_same(&self.host.standing());
        assert_eq!(refs(), before, "{args:?}");
        if ran.code == Some(5) {
            assert!(!self.host.git(&["for-each-ref"]).contains("/snapshot"), "{ran:?}");
        }
        ran.stderr
    }
}

#[test]
fn a_tree_or_head_that_was_not_sent_is_found_out() {
    for line in ["tree", "head", "commit", "base"] {
        let hostile = Hostile::new();
        // An id that the host has, so that nothing but the proof can tell.
        let id = hostile.host.git(&["rev-parse", if line == "tree" { "HEAD^{tree}" } else { "HEAD@{0}" }]);
        hostile.guest.commit("by the worker");
        let hostile = hostile.answers(&format!("LC_ALL=C sed 's/^{line} [0-9a-f]*$/{line} {id}/'"));
        if line == "base" {
            // The base that was asked for is the only one that is taken.
            let hostile = hostile.answers("LC_ALL=C sed \"s/^base .*/base $(printf '%040d' 7)/\"");
            hostile.refused(&SINCE, &[5]);
        } else {
            let said = hostile.refused(&SINCE, &[5]);
            assert!(said.contains("announced"), "{line}: {said}");
        }
    }
}

#[test]
fn an_answer_that_is_cut_doubled_or_noise_is_no_answer() {
    let programs = [
        "head -c 400",
        "head -c 700",
        "head -c -1",
        "cat; echo more",
        "cat >/dev/null",
        "cat >/dev/null; yes | head -c 10000000",
        "LC_ALL=C sed 's/^commits .*/commits many/'",
        "LC_ALL=C sed 's/^commits .*/commits 99999999999/'",
        "LC_ALL=C sed 's/^since .*/since 18446744073709551616/'",
        "LC_ALL=C sed 's/^\\(head .*\\)/\\1\\n\\1/'",
        "LC_ALL=C sed '/^branch /d'",
        "head -n 1; yes 'more and more' | awk '{ print \"k\" NR, $0 }'",
        "LC_ALL=C sed 's/# v2 git bundle/# v9 git bundle/'",
        "LC_ALL=C sed 's/PACK/KCAP/'",
        "LC_ALL=C sed '/^$/q'",
    ];
    for program in programs {
        println!("answers through: {program}");
        let hostile = Hostile::new().answers(program);
        hostile.refused(&SINCE, &[5]);
        hostile.refused(&["fetch", VM, "--base-commit", "HEAD@prepare"], &[5]);
    }
}

#[test]
fn metadata_of_version_control_is_never_written() {
    for name in [".jj/repo/config.toml", "folder/.JJ/x", "a/b/.jj"] {
        let hostile = Hostile::new();
        let _ = fs::remove_file(hostile.guest.file("a"));
        hostile.guest.write(name, "[aliases]\n");
        for args in [&SINCE[..], &["fetch", VM], &["export", VM]] {
            let said = hostile.refused(args, &[5]);
            assert!(said.contains("would steer the version control"), "{name}: {said}");
        }
    }
}

#[test]
fn a_tree_that_holds_a_git_directory_is_refused_even_in_history() {
    let hostile = Hostile::new();
    let blob = hostile.guest.git(&["hash-object", "-w", "a"]);
    let tree = |entry: String| {
        let script = format!("printf '{entry}\\n' | git mktree");
        let output = hostile.guest.command("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let hooks = tree(format!("100755 blob {blob}\\tpost-checkout"));
    let planted = tree(format!("040000 tree {hooks}\\t.git"));
    let commit = hostile.guest.git(&["commit-tree", "-m", "planted", "-p", "HEAD", &planted]);
    hostile.guest.git(&["update-ref", "HEAD", &commit]);
    let said = hostile.refused(&SINCE, &[5]);
    assert!(said.contains("hasDotgit"), "{said}");
}

#[test]
fn names_and_words_of_the_guest_cannot_steer_a_terminal() {
    let hostile = Hostile::new();
    hostile.guest.write("x\x1b]0;owned\x07", "odd\n");
    let ran = hostile.host.run(&SINCE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'), "{ran:?}");
    hostile.host.write("x\x1b]0;owned\x07", "other\n");
    hostile.guest.write("x\x1b]0;owned\x07", "again\n");
    hostile.refused(&SINCE, &[1]);
    let hostile = hostile.answers("cat >/dev/null; printf '\\033[31m' >&2; exit 85");
    hostile.refused(&SINCE, &[4]);
}

#[test]
fn a_patch_of_other_files_than_those_listed_is_refused() {
    let programs = [
        (
            "sed 's,^\\(diff --git\\|---\\|+++\\) .*a$,\\1 b/.jj/x,; s,^diff .*,& b/.jj/x,'",
            "a patch of '.jj/x', which it does not list",
        ),
        (
            "sed 's,^diff --git a/a b/a$,diff --git a/b b/a\\nsimilarity index 50%\\nrename from b\\nrename to a,
                s,^--- a/a$,--- a/b,'",
            "a patch of 'b', which it does not list",
        ),
        ("sed 's/^@@ .*/@@ -1,99 +1,99 @@/'", "does not take what the guest sent for a patch"),
    ];
    for (program, why) in programs {
        let hostile = Hostile::new().answers(&format!("LC_ALL=C {program}"));
        let patch = hostile.host.path("patch");
        let said = hostile.refused(&["export", VM, "-o", patch.to_str().unwrap()], &[5]);
        assert!(said.contains(why) && !patch.exists(), "{said}");
    }
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let hostile = Hostile::new();
    let outside = hostile.host.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("c"), "outside\n").unwrap();
    // The guest's own link, which lands as a link, and then has a file below it.
    fs::remove_dir_all(hostile.guest.file("folder")).unwrap();
    symlink(&outside, hostile.guest.file("folder")).unwrap();
    let ran = hostile.host.run(&SINCE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(hostile.host.file("folder").is_symlink());
    fs::remove_file(hostile.guest.file("folder")).unwrap();
    hostile.guest.write("folder/c", "inside\n");
    let ran = hostile.host.run(&SINCE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(hostile.host.read("folder/c"), "inside\n");
    // The host's own link, which git does not track.
    symlink(&outside, hostile.host.file("link.o")).unwrap();
    hostile.guest.write("link.o/c", "through\n");
    hostile.guest.git(&["add", "-f", "link.o/c"]);
    let said = hostile.host.run(&SINCE);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(fs::read_to_string(outside.join("c")).unwrap(), "outside\n");
}
