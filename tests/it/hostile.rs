//! A hostile guest gains nothing: whatever it answers, the host writes and runs nothing of its choosing, and says so.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited};
use crate::support::{fingerprint, is_root, require, set_mode, write_program};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Passes an answer on with another header and another pack, as `make.sh` says.
const ANSWER: &str = r#"
import os, subprocess, sys
home, out, whole = os.environ["HOME"], sys.stdout.buffer, sys.stdin.buffer.read()
at = whole.find(b"git-banger 1 ")
if at < 0 or b"\ncommit " not in whole:
    out.write(whole)
    sys.exit()
marker, rest = whole[at:].split(b"\n", 1)
header, rest = rest.split(b"\n\n", 1)
notes, rest = (b"\0", rest[1:]) if rest[:1] == b"\0" else [part + b"\0\0" for part in rest.split(b"\0\0", 1)]
end = b"\ngit-banger end " + marker.split(b" ")[2] + b"\n"
rest = rest[:rest.index(end)]
path = home + "/pack"
with open(path, "wb") as pack:
    pack.write(rest)
lines = [line.decode().split(" ", 1) for line in header.split(b"\n")]
env = dict(os.environ, PACK=path, PYTHONPATH=home, PYTHONDONTWRITEBYTECODE="1", **{"WAS_" + key: value for key, value in lines})
made = subprocess.run(["/bin/sh", home + "/make.sh"], cwd=home + "/repo", env=env, stdout=subprocess.PIPE, check=True)
new = dict(line.split("=", 1) for line in made.stdout.decode().splitlines())
header = "\n".join(key + " " + new.get(key, value) for key, value in lines)
out.write(marker + b"\n" + header.encode() + b"\n\n" + notes + open(path, "rb").read() + end)
"#;

/// What it takes to write a pack by hand.
const MAKE_PACK: &str = r#"
import hashlib, os, struct, subprocess, zlib
def git(*args, **more):
    return subprocess.run(("git",) + args, stdout=subprocess.PIPE, check=True, **more).stdout
def number(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])
def head(kind, size):
    first, size, out = kind << 4 | size & 15, size >> 4, b""
    while size:
        out += bytes([first | 128])
        first, size = size & 127, size >> 7
    return out + bytes([first])
def entry(kind, body, base=b""):
    return head(kind, len(body)) + base + zlib.compress(body, 9)
def write(*entries):
    pack = b"PACK" + struct.pack(">II", 2, len(entries)) + b"".join(entries)
    open(os.environ["PACK"], "wb").write(pack + hashlib.sha1(pack).digest())
"#;

/// Sends a commit of `$tree` on the guest's HEAD or on `$parents`, that tree, what an export has to have beside them, and
/// `$more`.
const SEND: &str = r#"
commit=$(git commit-tree -m work ${parents:--p HEAD} "$tree")
printf '%s\n' "$commit" "$tree" "$WAS_base" $(git rev-parse "$WAS_base^{tree}") $more | sort -u |
	git pack-objects -q --stdout >"$PACK"
printf '%s\n' "commit=$commit" "tree=$tree"
"#;

/// A guest whose answers pass through a program of the test's, and a host that has prepared it.
pub struct Hostile {
    pub guest: TestGuest,
    pub host: Host,
    _shell: TempDir,
}

impl Hostile {
    pub fn new() -> Hostile {
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
    pub fn answers(self, program: &str) -> Hostile {
        fs::write(self.guest.home().join("evil"), program).unwrap();
        self
    }

    /// Has the guest answer something else: `script` runs in its workspace, may write another pack to `$PACK`, and prints
    /// `KEY=VALUE` for each line of the header that it replaces.
    fn answers_instead(self, script: &str) -> Hostile {
        let home = self.guest.home();
        fs::write(home.join("answer.py"), ANSWER).unwrap();
        fs::write(home.join("make_pack.py"), MAKE_PACK).unwrap();
        fs::write(home.join("make.sh"), format!("set -e\n{script}\n")).unwrap();
        self.answers("exec python3 \"$HOME/answer.py\"")
    }

    /// Returns the names in the host's folder of packs, and what git counts of all its objects.
    fn store(&self) -> (Vec<String>, String) {
        let packs = fs::read_dir(self.host.file(".git/objects/pack")).unwrap();
        let mut packs: Vec<_> = packs.map(|pack| pack.unwrap().file_name().to_string_lossy().into_owned()).collect();
        packs.sort();
        (packs, self.host.git(&["count-objects", "-v"]))
    }

    /// Runs pull, fetch and both kinds of export, which must all refuse with exit code 5; returns what they said.
    fn refused_by_all(&self, base: &str) -> Vec<String> {
        let output = self.host.path("out");
        let to = ["-o", output.to_str().unwrap()];
        let (patch, bundle) = (to.to_vec(), [&to[..], &["--format", "bundle"]].concat());
        let verbs = [("pull", vec![]), ("fetch", vec![]), ("export", patch), ("export", bundle)];
        let refused = |(verb, more): (&str, Vec<&str>)| {
            let said = self.refused(&[&[verb, VM, "--base-commit", base], &more[..]].concat(), &[5]);
            assert!(!output.exists(), "{said}");
            said
        };
        verbs.map(refused).to_vec()
    }

    /// Runs a command that must fail and change nothing; returns what it said.
    fn refused(&self, args: &[&str], codes: &[i32]) -> String {
        let files = self.host.fingerprint().files_only().without(&[self.host.file(".git")]);
        // What a conflict leaves behind to look at is the one thing that may come.
        let refs = || {
            let all = self.host.git(&["for-each-ref"]);
            all.lines().filter(|line| !line.ends_with("/snapshot")).map(str::to_owned).collect::<Vec<_>>()
        };
        let (standing, before, store) = (self.host.standing(), refs(), self.store());
        let ran = self.host.run(args);
        assert!(ran.code.is_some_and(|code| codes.contains(&code)), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
        assert!(!ran.stderr.contains('\x1b') && !ran.stdout.contains('\x1b'), "{ran:?}");
        files.assert_same(&self.host.fingerprint().files_only().without(&[self.host.file(".git")]));
        standing.assert_same(&self.host.standing());
        assert_eq!(refs(), before, "{args:?}");
        if ran.code == Some(5) {
            // Whatever came is gone again; a pull stores the host's own files, but no pack.
            let (packs, objects) = self.store();
            assert_eq!(packs, store.0, "{args:?}");
            assert!(args[0] == "pull" || objects == store.1, "{args:?}: {objects} instead of {}", store.1);
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
        "head -c -40",
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
        "LC_ALL=C sed 's/^format .*/format md5/'",
        "LC_ALL=C sed 's/^without .*/without all/'",
        "LC_ALL=C sed '/^without /d'",
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

/// A guest that knows ids of what the host has on a branch which it never shipped: a commit, its tree, a folder, a file.
struct Private {
    hostile: Hostile,
    commit: String,
    parent: String,
    tree: String,
    folder: String,
    file: String,
}

const SECRET: &str = "of the host alone: one line that is long enough for a delta to be worth its while\n";

impl Private {
    fn new() -> Private {
        let hostile = Hostile::new();
        let host = &hostile.host;
        host.git(&["checkout", "-q", "-b", "private"]);
        host.write("secret", SECRET);
        host.write("closed/inner", format!("{SECRET}inner\n"));
        host.commit("private");
        let [commit, parent, tree, folder, file] =
            ["HEAD", "HEAD^", "HEAD^{tree}", "HEAD:closed", "HEAD:secret"].map(|name| host.git(&["rev-parse", name]));
        host.git(&["checkout", "-q", "main"]);
        Private { hostile, commit, parent, tree, folder, file }
    }
}

/// Returns the script of a guest that names something private.
type Way<'a> = &'a dyn Fn(&Private) -> String;

/// Adds an entry to the tree of the guest's HEAD, and sends it without what the entry names.
fn with_entry(entry: &str) -> String {
    format!("tree=$( (git ls-tree HEAD; printf '{entry}\\n') | git mktree --missing)\n{SEND}")
}

#[test]
fn naming_an_object_of_the_hosts_does_not_bring_it() {
    let below = |private: &Private| {
        let raw = "author W <w> 1700000000 +0000\\ncommitter W <w> 1700000000 +0000\\n\\nx\\n";
        format!(
            "tree=$(git rev-parse HEAD^{{tree}})
            more=$(printf \"tree $tree\\nparent {}\\n{raw}\" | git hash-object -w -t commit --literally --stdin)
            parents=\"-p $more\"; echo head=$more\n{SEND}",
            private.commit
        )
    };
    let itself = |private: &Private| {
        let Private { commit, parent, tree, .. } = private;
        let empty = "git pack-objects -q --stdout </dev/null >\"$PACK\"";
        format!("{empty}; printf '%s\\n' commit={commit} tree={tree} head={parent}")
    };
    let beside = |private: &Private| {
        // The commit is not there, and commit-tree wants to see it.
        let raw = "author W <w> 1700000000 +0000\\ncommitter W <w> 1700000000 +0000\\n\\nx\\n";
        format!(
            "tree=$(git rev-parse HEAD^{{tree}}); head=$(git rev-parse HEAD)
            more=$(printf \"tree $tree\\nparent $head\\nparent {}\\n{raw}\" | git hash-object -w -t commit --literally --stdin)
            parents=\"-p $more\"; echo head=$more\n{SEND}",
            private.commit
        )
    };
    let ways: [(&str, Way<'_>); 6] = [
        ("a file", &|private| with_entry(&format!("100644 blob {}\\tleak", private.file))),
        ("a link", &|private| with_entry(&format!("120000 blob {}\\tleak", private.file))),
        ("a folder", &|private| with_entry(&format!("040000 tree {}\\tleak", private.folder))),
        ("a parent", &below),
        ("a parent of a merge", &beside),
        ("the snapshot", &itself),
    ];
    for (what, way) in ways {
        println!("named: {what}");
        let private = Private::new();
        let script = way(&private);
        let hostile = private.hostile.answers_instead(&script);
        for args in [&["fetch", VM, "--base-commit", "HEAD@prepare"][..], &SINCE] {
            let said = hostile.refused(args, &[5]);
            assert!(said.contains("which it neither sent nor was given"), "{what}: {said}");
        }
        // An export knows none of the host's objects to begin with; where only history names one, its patch is whole.
        if !what.contains("parent") {
            hostile.refused_by_all("HEAD@prepare");
        }
        hostile.refused(&["export", VM, "--base-commit", "HEAD@prepare", "--format", "bundle"], &[5]);
    }
}

#[test]
fn what_was_given_may_be_named_without_being_sent() {
    let hostile = Hostile::new();
    fs::remove_dir_all(hostile.guest.workspace()).unwrap();
    // A file of the history that prepare ships, but of no tree that is current.
    hostile.host.write("once", SECRET);
    hostile.host.commit("with it");
    let id = hostile.host.git(&["rev-parse", "HEAD:once"]);
    hostile.host.git(&["rm", "-q", "once"]);
    hostile.host.commit("without it");
    hostile.host.prepare();
    let hostile = hostile.answers_instead(&with_entry(&format!("100644 blob {id}\\tagain")));
    // A patch is made of what was sent alone.
    hostile.refused(&["export", VM, "--base-commit", "HEAD@prepare"], &[5]);
    for args in [&["fetch", VM, "--base-commit", "HEAD@prepare"][..], &SINCE] {
        let ran = hostile.host.run(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    assert_eq!(hostile.host.read("again"), SECRET);
}

#[test]
fn a_thin_pack_is_made_against_what_was_given_alone() {
    // A commit, its tree, and a file in it that is another one with a line more, as a delta against that.
    let make = |base: &str, text: &str| {
        let text = format!("{text:?}");
        format!(
            r#"exec python3 - <<'END'
from make_pack import *
old = {text}.encode()
new = old + b"more\n"
blob = hashlib.sha1(b"blob %d\0" % len(new) + new).hexdigest()
tree = git("mktree", "--missing", input=git("ls-tree", "HEAD") + b"100644 blob %s\tleak\n" % blob.encode())
tree = tree.decode().strip()
commit = git("commit-tree", "-m", "work", "-p", "HEAD", tree).decode().strip()
delta = number(len(old)) + number(len(new)) + bytes([0x90, len(old), 5]) + b"more\n"
commit_body, tree_body = git("cat-file", "commit", commit), git("cat-file", "tree", tree)
write(entry(1, commit_body), entry(2, tree_body), entry(7, delta, bytes.fromhex("{base}")))
print("commit=" + commit)
print("tree=" + tree)
END"#
        )
    };
    let private = Private::new();
    let script = make(&private.file, SECRET);
    let hostile = private.hostile.answers_instead(&script);
    for said in hostile.refused_by_all("HEAD@prepare").iter().take(2) {
        assert!(said.contains("which it neither sent nor was given"), "{said}");
    }

    let hostile = Hostile::new();
    let (id, text) = (hostile.host.git(&["rev-parse", "HEAD:b"]), hostile.host.read("b"));
    let hostile = hostile.answers_instead(&make(&id, &text));
    let ran = hostile.host.run(&SINCE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(hostile.host.read("leak"), text + "more\n");
}

#[test]
fn the_base_is_the_one_that_was_asked_for() {
    const OTHER: &str = "answered another base than the one that was asked for";
    let hostile = Hostile::new();
    hostile.guest.commit("by the worker");
    hostile.guest.write("a", "more\n");
    let hostile = hostile.answers_instead("echo base=$(git rev-parse HEAD)");
    let id = hostile.host.git(&["rev-parse", "refs/banger/main/dev/prepare"]);
    for base in ["HEAD@prepare", id.as_str()] {
        for said in hostile.refused_by_all(base) {
            assert!(said.contains(OTHER), "{said}");
        }
    }
    // Asked for as HEAD, which is the default, it is the head.
    let hostile = hostile.answers_instead("echo base=$(git rev-parse HEAD~1)");
    for base in [&[][..], &["--base-commit", "HEAD"], &["--base-commit", "@"]] {
        let said = hostile.refused(&[&["fetch", VM], base].concat(), &[5]);
        assert!(said.contains(OTHER), "{said}");
    }
    // Asked for by a name of the guest's, it is the guest's word; but a commit it must be, and one that is here.
    for what in ["HEAD^{tree}", "HEAD:b"] {
        hostile.refused_with_base(what);
    }
    let hostile = hostile.answers_instead("echo base=$(git rev-parse HEAD~1)");
    assert_eq!(hostile.host.run(&["fetch", VM, "--base-commit", "main"]).code, Some(0));
}

impl Hostile {
    fn refused_with_base(&self, what: &str) {
        fs::write(self.guest.home().join("make.sh"), format!("echo base=$(git rev-parse '{what}')\n")).unwrap();
        self.refused_by_all("main");
    }
}

#[test]
fn metadata_of_version_control_is_neither_removed_nor_renamed() {
    let works = [
        "git rm -q --cached .jj/repo/config.toml; rm -r .jj",
        "mv .jj/repo/config.toml taken; rm -r .jj",
        "mv b .jj/repo/moved",
        "echo more >>.jj/repo/config.toml",
    ];
    for work in works {
        let hostile = Hostile::new();
        // A commit of its own has it already, so that the base does, too.
        hostile.guest.write(".jj/repo/config.toml", "[aliases]\n");
        hostile.guest.git(&["add", "-f", ".jj"]);
        hostile.guest.commit("planted");
        assert!(hostile.guest.command("sh").args(["-ec", work]).status().unwrap().success());
        for said in hostile.refused_by_all("HEAD") {
            assert!(said.contains("would steer the version control"), "{work}: {said}");
        }
    }
}

#[test]
fn a_rename_into_a_git_directory_is_refused_whatever_the_user_allows() {
    // git itself keeps such trees from being made of files.
    for (name, kind) in [(".git", "tree"), (".GIT", "blob"), ("git~1", "blob")] {
        let hostile = Hostile::new().answers_instead(&format!(
            "blob=$(git rev-parse HEAD:b); inner=$(printf '100644 blob %s\\tb\\n' $blob | git mktree)
            case {kind} in tree) entry=\"040000 tree $inner\" more=$inner ;; *) entry=\"100644 blob $blob\" ;; esac
            tree=$( (git ls-tree HEAD | grep -v 'b$'; printf '%s\\t%s\\n' \"$entry\" '{name}') | git mktree)
            more=\"$more $blob\"\n{SEND}"
        ));
        // No setting of the user's lets that in, not even one that hides in another.
        for (key, value) in [
            ("user.name", "Host"),
            ("fetch.fsck.hasDotgit", "ignore"),
            ("receive.fsck.hasdotgit", "warn"),
            ("fetch.fsck.badDate", "ignore,hasDotgit=ignore"),
        ] {
            hostile.host.git(&["config", key, value]);
            for said in hostile.refused_by_all("HEAD@prepare") {
                assert!(said.contains("asDotgit"), "{name}, {key}={value}: {said}");
            }
        }
    }
}

#[test]
fn a_guest_that_lies_about_what_it_has_is_shipped_no_more_and_no_less() {
    let Private { hostile, commit, .. } = Private::new();
    let prepare = ["prepare", VM, "--force"];
    let refs = hostile.host.git(&["for-each-ref"]);
    for (lie, said) in [
        (format!("s/^there .*/there {commit}/"), "no usable 'there'"),
        ("s/^place .*/place elsewhere/".to_owned(), "no usable 'place'"),
        ("s/^place .*/place taken/".to_owned(), "no usable 'place'"),
        ("s/^ends .*/ends -x/".to_owned(), "no usable 'ends'"),
        ("s/^has .*/has --all/".to_owned(), "no usable 'has'"),
    ] {
        fs::write(hostile.guest.home().join("evil"), format!("LC_ALL=C sed '{lie}'")).unwrap();
        let ran = hostile.host.run(&prepare);
        assert!(ran.code == Some(5) && ran.stderr.contains(said), "{lie}: {ran:?}");
        assert_eq!(hostile.host.git(&["for-each-ref"]), refs, "{lie}");
    }
    // It has what it was given, and what it names beside that does not count.
    let lie = format!("LC_ALL=C sed 's/^has .*/& {commit}/; s/^ends .*/ends {commit}/'");
    let hostile = hostile.answers(&lie);
    hostile.host.write("b", "the host's\n");
    hostile.host.git(&["commit", "-qam", "second"]);
    let ran = hostile.host.run(&prepare);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(hostile.guest.git(&["fsck", "--full", "--no-dangling"]), "");
    let secret = hostile.guest.command("git").args(["cat-file", "-e", &commit]).output().unwrap();
    assert!(!secret.status.success());
    // Nothing that it says of its workspace makes the host save what it did not prove.
    hostile.guest.write("a", "the worker's again\n");
    let hostile = hostile.answers("LC_ALL=C sed 's/^tree .*/tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904/'");
    let refs = hostile.host.git(&["for-each-ref"]);
    let ran = hostile.host.run(&prepare);
    assert_eq!((ran.code, hostile.host.git(&["for-each-ref"])), (Some(5), refs), "{ran:?}");
}

#[test]
fn garbage_and_half_packs_are_refused() {
    let packs = [
        ("garbage", "head -c 5000 /dev/urandom >\"$PACK\""),
        ("nothing", ": >\"$PACK\""),
        ("empty", "git pack-objects -q --stdout </dev/null >\"$PACK\""),
        ("cut", "head -c 100 \"$PACK\" >\"$PACK.new\"; mv \"$PACK.new\" \"$PACK\""),
        ("without its sum", "head -c -20 \"$PACK\" >\"$PACK.new\"; mv \"$PACK.new\" \"$PACK\""),
        ("with junk behind it", "echo junk >>\"$PACK\""),
        ("twice", "cat \"$PACK\" \"$PACK\" >\"$PACK.new\"; mv \"$PACK.new\" \"$PACK\""),
        ("without its files", "printf '%s\\n' $WAS_base | git pack-objects -q --stdout >\"$PACK\""),
    ];
    for (name, script) in packs {
        println!("a pack: {name}");
        Hostile::new().answers_instead(script).refused_by_all("HEAD@prepare");
    }
}

#[test]
fn a_history_leaves_out_only_what_was_given_and_says_so() {
    let private = Private::new();
    let hostile = private.hostile.answers_instead(&format!("echo without={}", private.commit));
    let bundle = ["export", VM, "--base-commit", "HEAD@prepare", "--format", "bundle"];
    for args in [&["fetch", VM, "--base-commit", "HEAD@prepare"][..], &SINCE, &bundle] {
        let said = hostile.refused(args, &[5]);
        assert!(said.contains("which it was not given"), "{said}");
    }
    // Less than what it left out: as a bundle, nobody could use it.
    let hostile = hostile.answers_instead("echo without=");
    for args in [&["fetch", VM, "--base-commit", "HEAD@prepare"][..], &SINCE, &bundle] {
        hostile.refused(args, &[5]);
    }
}

/// Runs git-banger; returns how it ended, and the most memory that it or a child of its had, in KiB.
fn measured(host: &Host, args: &[&str]) -> (i32, String, u64) {
    let text = "import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
print(ended.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.stderr.buffer.write(ended.stderr)";
    let mut command = host.command("python3");
    let output = command.args(["-c", text, env!("CARGO_BIN_EXE_git-banger")]).args(args).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (code, most) = told.trim_end().split_once(' ').unwrap();
    (code.parse().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned(), most.parse().unwrap())
}

/// Packs that stand for far more than they are, and what is said of each.
fn bombs() -> [(&'static str, String); 4] {
    let python = |text: &str| format!("exec python3 - <<'END'\nfrom make_pack import *\n{text}\nEND\n");
    // Ten folders of ten folders of ten folders ..., of one file.
    let folders = "entry=\"100644 blob $(git rev-parse HEAD:b)\"; more=$(git rev-parse HEAD:b)
        for level in 1 2 3 4 5 6 7 8 9
        do
            tree=$(for name in 0 1 2 3 4 5 6 7 8 9; do printf '%s\\t%s\\n' \"$entry\" $name; done | git mktree)
            entry=\"040000 tree $tree\" more=\"$more $tree\"
        done";
    [
        // 64 KiB of zeros, and some hundred bytes that copy them 50,000 times.
        (
            "over limit",
            python(
                r#"old, copies = bytes(0x10000), 50000
blob = hashlib.sha1(b"blob %d\0" % len(old) + old).digest()
write(entry(3, old), entry(7, number(len(old)) + number(len(old) * copies) + b"\x80" * copies, blob))"#,
            ),
        ),
        ("more changed files than can be listed", format!("{folders}\n{SEND}")),
        // A tree, and a commit, of 300 MB.
        ("over limit", python(&huge(2))),
        ("over limit", python(&huge(1))),
    ]
}

fn huge(kind: u8) -> String {
    format!(
        "packer = zlib.compressobj(9)
body = b''.join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
write(head({kind}, 300 << 20) + body)"
    )
}

#[test]
fn a_small_pack_that_stands_for_gigabytes_needs_no_memory() {
    for (why, script) in bombs() {
        let hostile = Hostile::new().answers_instead(&script);
        let said = hostile.refused(&["fetch", VM, "--base-commit", "HEAD@prepare"], &[5]);
        assert!(said.contains(why), "{said}");
        assert!(fs::metadata(hostile.guest.home().join("pack")).unwrap().len() < 400_000);
        for args in [&SINCE[..], &["export", VM, "--base-commit", "HEAD@prepare"]] {
            let (code, said, most) = measured(&hostile.host, args);
            assert_eq!(code, 5, "{said}");
            assert!(said.contains(why), "{said}");
            assert!(most < 512 << 10, "{args:?} took {most} KiB: {said}");
        }
    }
}

#[test]
fn a_guest_that_sends_too_much_is_left_and_nothing_is_kept() {
    let hostile = Hostile::new();
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let noise: Vec<u8> = (0..3 << 17).flat_map(|_| next()).collect();
    hostile.guest.write("big", &noise);
    let verbs: [&[&str]; 4] = [&SINCE, &["fetch", VM], &["export", VM], &["export", VM, "--format", "bundle"]];
    for limit in ["1048576", "1024k", "1M"] {
        hostile.host.git(&["config", "banger.maxBytes", limit]);
        for args in verbs {
            let said = hostile.refused(args, &[1]);
            assert!(said.contains("sends more than 1048576 bytes"), "{said}");
        }
    }
    hostile.host.git(&["config", "banger.maxBytes", "1g"]);
    for args in verbs {
        assert_eq!(hostile.host.banger(args).output().unwrap().status.code(), Some(0), "{args:?}");
    }
    // A guest that never ends is left as soon as it has sent so much.
    let hostile = Hostile::new().answers("cat; exec cat /dev/zero");
    hostile.host.git(&["config", "banger.maxBytes", "1m"]);
    for args in verbs {
        hostile.refused(args, &[1]);
    }
}

#[test]
fn a_patch_is_no_larger_than_what_a_guest_may_send() {
    let hostile = Hostile::new();
    hostile.guest.write("zeros", "0\n".repeat(1 << 20));
    hostile.host.git(&["config", "banger.maxBytes", "1m"]);
    let said = hostile.refused(&["export", VM], &[1]);
    assert!(said.contains("the patch has more than 1048576 bytes"), "{said}");
    assert_eq!(hostile.host.run(&["export", VM, "--name-only"]).stdout, "a\nzeros\n");
    for wrong in ["many", "1x", "-1", "99999999999g"] {
        hostile.host.git(&["config", "banger.maxBytes", wrong]);
        let ran = hostile.host.run(&["fetch", VM]);
        assert!(ran.code == Some(2) && ran.stderr.contains("'banger.maxBytes' is no number"), "{ran:?}");
    }
}

/// The lines of odd commits, as old tools made them; `printf` reads them.
const ODD: [(&str, &str); 6] = [
    ("a time zone", "author W <w@w> 1700000000 +051800\\ncommitter W <w@w> 1700000000 +051800\\n\\nx\\n"),
    ("no email", "author W 1700000000 +0000\\ncommitter W 1700000000 +0000\\n\\nx\\n"),
    ("no name", "author <w@w> 1700000000 +0000\\ncommitter <w@w> 1700000000 +0000\\n\\nx\\n"),
    ("a zero before its date", "author W <w@w> 01700000000 +0000\\ncommitter W <w@w> 01700000000 +0000\\n\\nx\\n"),
    ("no message", "author W <w@w> 1700000000 +0000\\ncommitter W <w@w> 1700000000 +0000\\n\\n"),
    ("no UTF-8", "author W\\377 <w@w> 1700000000 +0000\\ncommitter W <w@w> 1700000000 +0000\\n\\n\\374\\377\\n"),
];

impl Hostile {
    /// Puts a commit of these lines, with a file of its own, on the guest's HEAD; and one more on that unless it is last.
    fn odd_commit(&self, lines: &str, last: bool) {
        let script = format!(
            "echo odd >odd; git add -A; tree=$(git write-tree); head=$(git rev-parse HEAD)
            new=$(printf \"tree $tree\\nparent $head\\n{lines}\" | git hash-object -t commit -w --stdin --literally)
            git update-ref HEAD $new"
        );
        assert!(self.guest.command("sh").args(["-ec", &script]).status().unwrap().success());
        if !last {
            self.guest.write("more", "more\n");
            self.guest.commit("by the worker");
        }
    }
}

#[test]
fn odd_history_is_no_obstacle() {
    for (name, lines) in ODD {
        for last in [false, true] {
            println!("a commit with {name}, last: {last}");
            let hostile = Hostile::new();
            hostile.odd_commit(lines, last);
            let since = ["--base-commit", "HEAD@prepare"];
            for args in [&["fetch", VM][..], &["export", VM], &["export", VM, "--format", "bundle"], &["pull", VM]] {
                let output = hostile.host.banger(&[args, &since].concat()).output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
            }
            assert_eq!(hostile.host.read("odd"), "odd\n");
            // Where the base is the odd one, it is among what is sent.
            let patch = hostile.host.run(&["export", VM, "--base-commit", "HEAD"]);
            assert_eq!(patch.code, Some(0), "{name}: {patch:?}");
        }
    }
}

#[test]
fn trees_of_old_tools_are_no_obstacle() {
    let hostile = Hostile::new();
    let script = "exec python3 - <<'END'
import subprocess
def git(*args, **more):
    return subprocess.run(('git',) + args, stdout=subprocess.PIPE, check=True, **more).stdout
entries = [line.split() for line in git('ls-tree', 'HEAD').decode().splitlines()]
assert any(mode == '040000' for mode, *_ in entries)
body = b''.join(b'%s %s\\0' % (mode.encode(), name.encode()) + bytes.fromhex(oid) for mode, _, oid, name in entries)
tree = git('hash-object', '-t', 'tree', '-w', '--stdin', '--literally', input=body).decode().strip()
git('update-ref', 'HEAD', git('commit-tree', '-m', 'odd', '-p', 'HEAD', tree).decode().strip())
END";
    assert!(hostile.guest.command("sh").args(["-c", script]).status().unwrap().success());
    hostile.guest.commit("by the worker");
    for args in [&["fetch", VM, "--base-commit", "HEAD@prepare"][..], &["export", VM], &SINCE] {
        let ran = hostile.host.run(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    assert_eq!(hostile.host.read("a"), "the worker's\n");
}

#[test]
fn what_the_user_forbids_for_fetching_is_refused() {
    for (key, value) in [
        ("fetch.fsck.missingEmail", "error"),
        ("receive.fsck.missingemail", "error"),
        ("fetch.fsck.missingNameBeforeEmail", "error"),
    ] {
        let hostile = Hostile::new();
        hostile.odd_commit(if key.contains("Name") { ODD[2].1 } else { ODD[1].1 }, false);
        hostile.host.git(&["config", key, value]);
        for args in [&SINCE[..], &["fetch", VM, "--base-commit", "HEAD@prepare"]] {
            let said = hostile.refused(args, &[5]);
            assert!(said.contains("missingEmail") || said.contains("missingNameBeforeEmail"), "{said}");
        }
    }
    // A message that this git does not know is passed over, as git's own fetch does.
    let hostile = Hostile::new();
    hostile.host.git(&["config", "fetch.fsck.noSuchMessage", "error"]);
    hostile.host.git(&["config", "fetch.fsck.another", "ignore"]);
    let ran = hostile.host.run(&SINCE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_fetch_that_brings_nothing_new_keeps_nothing() {
    let hostile = Hostile::new();
    assert_eq!(hostile.host.run(&["fetch", VM]).code, Some(0));
    let before = hostile.store();
    for _ in 0..2 {
        assert_eq!(hostile.host.run(&["fetch", VM]).code, Some(0));
        assert_eq!(hostile.store(), before);
    }
}

/// What only the host has, and no guest may move, see or spoil.
const ENV: &str = "TOKEN=only the host knows this one\n";

impl Hostile {
    /// Runs a script as the worker.
    fn works(&self, script: &str) {
        let ran = self.guest.command("sh").args(["-ec", script]).output().unwrap();
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Runs a pull that may land or refuse, and never fails.
    fn pulled(&self, args: &[&str]) -> Ran {
        let ran = self.host.run(&[&["pull", VM], args].concat());
        assert!(matches!(ran.code, Some(0 | 1 | 5 | 7)), "{args:?}: {ran:?}");
        assert!(![&ran.stdout, &ran.stderr].iter().any(|text| steers(text)), "{ran:?}");
        ran
    }

    /// Fails unless the host's secret is where it was, and nowhere else: not in its objects, nor in what is shipped.
    fn keeps_secret(&self, place: &str, text: &str) {
        let meta = fs::symlink_metadata(self.host.file(place)).unwrap();
        assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o640, "{meta:?}");
        assert_eq!(self.host.read(place), text);
        let id = self.host.git(&["hash-object", place]);
        let has = |mut git: Command| git.args(["cat-file", "-e", &id]).status().unwrap().success();
        assert!(!has(self.host.command("git")), "'{place}' is in the host's objects");
        let _ = fs::remove_dir_all(self.guest.workspace());
        self.host.prepare();
        assert!(!has(self.guest.command("git")), "'{place}' was shipped");
        for (folder, own) in [(self.host.repo(), Some(self.host.file(place))), (self.guest.home(), None)] {
            for file in files_below(&folder).into_iter().filter(|file| Some(file) != own.as_ref()) {
                let bytes = fs::read(&file).unwrap();
                let key = text.lines().last().unwrap().as_bytes();
                assert!(!bytes.windows(key.len()).any(|bytes| bytes == key), "the secret is in {file:?}");
            }
        }
    }
}

/// Tells whether text would steer a terminal.
fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match fs::symlink_metadata(&path).unwrap().file_type() {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    files
}

#[test]
fn what_the_host_alone_has_at_a_path_is_neither_moved_nor_stored_nor_shipped() {
    let works = [
        ("mv $f leak.txt", Some(0)),
        ("rm $f", Some(0)),
        ("git rm -q $f; mkdir -p $f; echo x >$f/inside; git add -f $f/inside", Some(1)),
        ("echo more >>$f", Some(1)),
        ("chmod +x $f", Some(1)),
        ("rm $f; ln -s a $f", Some(1)),
    ];
    for (place, ignored) in [(".env", ".env\n"), (".env", "*.o\n"), ("private/.env", "/private/\n")] {
        for (work, code) in works {
            println!("{place}, {ignored:?}: {work}");
            let hostile = Hostile::new();
            hostile.host.write(".gitignore", ignored);
            hostile.host.write(place, ENV);
            set_mode(&hostile.host.file(place), 0o640);
            hostile.works(&format!(
                "f={place}; mkdir -p private; echo x >$f; git add -f $f; git commit -qm planted; {work}"
            ));
            let id = hostile.guest.git(&["rev-parse", "HEAD"]);
            for base in ["HEAD", &id, "HEAD@prepare"] {
                let ran = hostile.pulled(&["--base-commit", base]);
                let again = hostile.pulled(&["--base-commit", base, "--conflict", "merge"]);
                if base != "HEAD@prepare" {
                    assert_eq!((ran.code, again.code), (code, code), "{base}: {ran:?}");
                }
                assert_eq!(hostile.host.read(place), ENV, "{base}: {ran:?}");
            }
            hostile.keeps_secret(place, ENV);
        }
    }
}

#[test]
fn what_was_never_here_was_not_renamed_here_to_what_the_host_alone_has() {
    // The template of the secret is known to all, so that a guest can make up a file of its own that looks like it; or
    // that has its name or its size at least.
    let template: String = (1..=20).map(|number| format!("SETTING_{number}=\n")).collect();
    let secret = format!("{template}{ENV}");
    let works = [
        // As the worker's own commit has it, which is not here.
        format!("mkdir x; printf '{template}' >x/.env; git add -f x; git commit -qm planted; echo more >>x/.env"),
        format!("printf '{}' >x; git add -f x; git commit -qm planted; echo evil >x", "y".repeat(secret.len())),
        "mkdir x; cp b x/.env; git add -f x; git commit -qm planted; git rm -qf x/.env; echo y >y".to_owned(),
    ];
    for work in &works {
        for ignore in ["*.o\n", ".env\n"] {
            println!("{ignore:?}: {work}");
            let hostile = Hostile::new();
            hostile.host.write(".gitignore", ignore);
            hostile.host.write(".env", &secret);
            set_mode(&hostile.host.file(".env"), 0o640);
            // And has the host not ignore it any more.
            hostile.works("echo '!.env' >.gitignore");
            hostile.pulled(&["--base-commit", "HEAD@prepare", "--", ".gitignore"]);
            hostile.works(work);
            for more in [&[][..], &["--conflict", "merge"]] {
                hostile.pulled(&[&["--base-commit", "HEAD"], more].concat());
                assert_eq!(hostile.host.read(".env"), secret);
            }
            hostile.keeps_secret(".env", &secret);
        }
    }
}

#[test]
fn what_might_have_been_renamed_here_and_was_not_is_not_stored() {
    for (place, name) in [(".env", "b"), ("private/c", "folder/c")] {
        let hostile = Hostile::new();
        // The size, or the name, of a file that the host has deleted and the guest changes.
        let size = fs::metadata(hostile.host.file(name)).unwrap().len();
        let secret = format!("{}{ENV}", "x".repeat(size as usize - ENV.len()));
        hostile.host.write(place, &secret);
        set_mode(&hostile.host.file(place), 0o640);
        fs::remove_file(hostile.host.file(name)).unwrap();
        hostile.works(&format!("echo more >>{name}"));
        let ran = hostile.pulled(&[&SINCE[2..], &["--conflict", "merge"]].concat());
        assert_eq!(ran.code, Some(7), "{ran:?}");
        assert_eq!(hostile.host.read("a"), "the worker's\n");
        hostile.keeps_secret(place, &secret);
    }
}

#[test]
fn landed_files_that_look_like_a_repository_are_none() {
    let hostile = Hostile::new();
    let marker = hostile.host.path("ran");
    let touch = format!("touch {}", marker.display());
    let evil = hostile.host.path("evil_config");
    fs::write(&evil, format!("Match exec \"{touch}\"\nHost *\n\tProxyCommand {touch}; false\n")).unwrap();
    let config = format!(
        "[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n\tfsmonitor = {touch}\n\tsshCommand = {touch}; false\n\
         \tpager = {touch}\n\thooksPath = hooks\n[alias]\n\tbanger = !{touch}\n\tconfig = !{touch}\n\
         [diff]\n\texternal = {touch}\n\
         [banger]\n\tsshConfig = {}\n[banger \"evil\"]\n\turl = ssh://evil\n",
        evil.display()
    );
    for (name, text) in
        [("HEAD", "ref: refs/heads/main\n"), ("config", &config), ("objects/x", "x\n"), ("refs/x", "x\n")]
    {
        hostile.guest.write(&format!("sub/{name}"), text);
    }
    hostile.guest.write("sub/hooks/post-checkout", format!("#!/bin/sh\n{touch}\n"));
    set_mode(&hostile.guest.file("sub/hooks/post-checkout"), 0o755);
    assert_eq!(hostile.pulled(&["--base-commit", "HEAD@prepare"]).code, Some(0));
    let sub = hostile.host.file("sub");
    // It is a trap: a git that is not told otherwise obeys it.
    let obeys = hostile.host.command("git").args(["config", "banger.sshConfig"]).current_dir(&sub).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&obeys.stdout).trim(), evil.to_str().unwrap());
    let files = hostile.host.files_but(&[]);
    let commands: [&[&str]; 8] = [
        &["session", "list", VM],
        &["session", "list", "evil"],
        &["vm", "list"],
        &["vm", "check", VM],
        &["pull", VM, "--base-commit", "HEAD@prepare"],
        &["fetch", VM],
        &["export", VM],
        &["prepare", "-n", VM],
    ];
    for args in commands {
        for folder in [sub.clone(), sub.join("refs")] {
            for (program, first) in [(env!("CARGO_BIN_EXE_git-banger"), &[][..]), ("git", &["banger"])] {
                let ran = hostile.host.command(program).args(first).args(args).current_dir(&folder).output().unwrap();
                let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
                assert!(!marker.exists(), "{args:?}: {said}");
                let is_refused = ran.status.code() != Some(0) && said.starts_with("error: ");
                assert!(is_refused || (args == ["vm", "list"] && said.is_empty()), "{args:?}: {said}");
                assert!(!said.contains("ssh://evil"), "{args:?}: {said}");
            }
        }
    }
    files.assert_same(&hostile.host.files_but(&[]));
    // From the top, all is as it was.
    assert_eq!(hostile.pulled(&["--base-commit", "HEAD@prepare"]).code, Some(0));
    assert!(!marker.exists());
}

#[test]
fn another_users_repository_in_a_parent_folder_is_not_used() {
    if !is_root() {
        eprintln!("skipped: only root can make files of another user's");
        return;
    }
    for kind in ["jj", "git"] {
        let guest = TestGuest::russh();
        let mut host = Host::new(&guest);
        let jj = require("jj");
        host.set_env("PATH", format!("{}:{}", jj.parent().unwrap().display(), host.env()["PATH"]));
        let (marker, parent) = (host.path("ran"), host.path("parent"));
        let below = parent.join("below");
        fs::create_dir_all(&below).unwrap();
        let init: &[&str] = if kind == "jj" { &["git", "init", "--no-colocate"] } else { &["init", "-q"] };
        assert!(host.command(kind).args(init).current_dir(&parent).status().unwrap().success());
        let (metadata, store) = match kind {
            "jj" => (parent.join(".jj"), parent.join(".jj/repo/store/git")),
            _ => (parent.join(".git"), parent.join(".git")),
        };
        let evil = host.path("evil_config");
        fs::write(&evil, format!("Match exec \"touch {}\"\n\tUser nobody\n", marker.display())).unwrap();
        let config = format!("\n[banger]\n\tsshConfig = {}\n[banger \"evil\"]\n\turl = ssh://evil\n", evil.display());
        let file = store.join("config");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &config).unwrap();
        let check = |is_used: bool| {
            for args in [&["vm", "check", VM][..], &["pull", VM], &["vm", "list"], &["prepare", "-n", VM]] {
                let ran = host.ran(host.banger(args).current_dir(&below));
                let connects = args != ["vm", "list"];
                assert_eq!(marker.exists(), is_used && connects, "{kind} {args:?}: {ran:?}");
                assert_eq!(ran.stdout.contains("ssh://evil"), is_used && args == ["vm", "list"], "{kind}: {ran:?}");
                let _ = fs::remove_file(&marker);
            }
        };
        check(true);
        for owned in [&metadata, &parent] {
            let mut chown = Command::new("chown");
            assert!(chown.args(["-R", "65534:65534"]).arg(owned).status().unwrap().success());
            check(false);
        }
        let trust = |folder: &str| {
            let mut git = host.command("git");
            let args = ["config", "--global", "--add", "safe.directory", folder];
            assert!(git.args(args).status().unwrap().success());
        };
        trust(below.to_str().unwrap());
        check(false);
        trust(parent.to_str().unwrap());
        check(true);
        // An empty value takes back all before it.
        trust("");
        check(false);
        trust("*");
        check(true);
    }
}

#[test]
fn landed_attributes_and_their_like_run_nothing_and_change_nothing() {
    let hostile = Hostile::new();
    let marker = hostile.host.path("ran");
    for key in
        ["filter.x.clean", "filter.x.smudge", "filter.x.process", "merge.x.driver", "diff.x.textconv", "diff.x.command"]
    {
        let program = format!("sh -c 'echo {key} >>{}; cat'", marker.display());
        hostile.host.git(&["config", key, &program]);
    }
    hostile.host.git(&["config", "filter.x.required", "true"]);
    let steer = |hostile: &Hostile, value: &str| {
        for folder in ["", "folder/", "moved/"] {
            hostile.guest.write(&format!("{folder}.gitattributes"), format!("* {value}\n"));
        }
    };
    steer(&hostile, "filter=x merge=x diff=x text eol=crlf ident conflict-marker-size=1073741824");
    hostile.guest.write(".gitignore", "*\n");
    hostile.guest.write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n");
    hostile.guest.write(".mailmap", "Evil <evil@example.org> <host@example.org>\n");
    hostile.guest.write("new", "$Id$\nnew\n");
    hostile.guest.git(&["add", "-A", "-f"]);
    // Not what a hint proposes: git's own commands do obey what stands in the work tree.
    let pulled = |hostile: &Hostile, more: &[&str]| {
        let output = hostile.host.banger(&[&SINCE[..], more].concat()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let pull = |hostile: &Hostile, code| {
        let ran = pulled(hostile, &[]);
        assert_eq!(ran.0, Some(code), "{ran:?}");
        assert!(!marker.exists(), "{}: {ran:?}", fs::read_to_string(&marker).unwrap());
    };
    pull(&hostile, 0);
    assert_eq!(hostile.host.read("new"), "$Id$\nnew\n");
    // The next pull merges, renames and refuses beside what has landed.
    hostile.host.write("a", "the host's\n");
    hostile.host.write("b", edited("b", 1));
    hostile.host.write("folder/c", edited("c", 1));
    hostile.guest.write("b", edited("b", 10));
    hostile.guest.git(&["mv", "-f", "folder/c", "moved/c"]);
    pull(&hostile, 0);
    assert_eq!(hostile.host.read("a"), "the host's\n");
    assert_eq!(hostile.host.read("b"), edited("b", 1).replace("b 10\n", "b 10 edited\n"));
    assert_eq!(hostile.host.read("moved/c"), edited("c", 1));
    hostile.guest.write("a", "again the worker's\n");
    let attributes = ["", "folder/", "moved/"].map(|folder| format!("{folder}.gitattributes"));
    let others = || hostile.host.files_but(&attributes.each_ref().map(String::as_str));
    let before = others();
    pull(&hostile, 1);
    before.assert_same(&others());
    for value in ["merge=union", "merge=binary -text", "filter=lfs merge=ours"] {
        steer(&hostile, value);
        let ran = pulled(&hostile, &["--", ":!a"]);
        assert_eq!(ran.0, Some(0), "{ran:?}");
        before.assert_same(&others());
        pull(&hostile, 1);
    }
    let ran = pulled(&hostile, &["--conflict", "merge"]);
    assert_eq!(ran.0, Some(7), "{ran:?}");
    let text = "<<<<<<< host\nthe host's\n=======\nagain the worker's\n>>>>>>> guest/dev\n";
    assert_eq!(hostile.host.read("a"), text);
    assert!(!marker.exists());
}

impl Hostile {
    /// Makes a folder outside of the work tree, and returns what tells that nobody wrote into it, nor into `.git`.
    fn outside(&self) -> (PathBuf, impl Fn()) {
        let outside = self.host.path("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("c"), "outside\n").unwrap();
        let (all, host) = (outside.clone(), &self.host);
        let (before, standing) = (fingerprint(&outside), host.standing());
        let same = move || {
            before.assert_same(&fingerprint(&all));
            standing.assert_same(&host.standing());
        };
        (outside, same)
    }
}

#[test]
fn links_lead_no_landing_out_of_the_work_tree_nor_into_git() {
    for target in ["OUTSIDE", ".git", "../outside", "sub/../.git"] {
        println!("a link to {target}");
        let hostile = Hostile::new();
        let (outside, same) = hostile.outside();
        let target = target.replace("OUTSIDE", outside.to_str().unwrap());
        // The guest's link lands beside what it leads to; then files below it, alone and with all else.
        symlink(&target, hostile.guest.file("d")).unwrap();
        assert_eq!(hostile.pulled(&SINCE[2..]).code, Some(0));
        assert!(hostile.host.file("d").is_symlink());
        fs::remove_file(hostile.guest.file("d")).unwrap();
        for name in ["c", "config", "hooks/pre-commit"] {
            hostile.guest.write(&format!("d/{name}"), "the worker's\n");
        }
        let ran = hostile.pulled(&[&SINCE[2..], &["--", "d/config"]].concat());
        assert!(hostile.host.file("d").is_symlink() || ran.code == Some(0), "{ran:?}");
        same();
        hostile.pulled(&[&SINCE[2..], &["--conflict", "merge", "--", "d/c"]].concat());
        same();
        assert_eq!(hostile.pulled(&SINCE[2..]).code, Some(0));
        assert!(!hostile.host.file("d").is_symlink());
        assert_eq!(hostile.host.read("d/hooks/pre-commit"), "the worker's\n");
        same();
        // And a folder of the host's, with edits in it, becomes a link.
        hostile.host.write("folder/own", "untracked\n");
        fs::remove_dir_all(hostile.guest.file("folder")).unwrap();
        symlink(&target, hostile.guest.file("folder")).unwrap();
        for more in [&[][..], &["--conflict", "merge"]] {
            assert_eq!(hostile.pulled(&[&SINCE[2..], more].concat()).code, Some(1));
            assert_eq!(hostile.host.read("folder/own"), "untracked\n");
            same();
        }
        // The host made the link, and the guest works below it.
        fs::remove_dir_all(hostile.host.file("folder")).unwrap();
        symlink(&target, hostile.host.file("folder")).unwrap();
        fs::remove_file(hostile.guest.file("folder")).unwrap();
        for name in ["c", "new", "hooks/pre-commit"] {
            hostile.guest.write(&format!("folder/{name}"), "below\n");
        }
        for more in
            [&[][..], &["--conflict", "merge"], &["--", "folder/new"], &["--conflict", "merge", "--", "folder/c"]]
        {
            hostile.pulled(&[&SINCE[2..], more].concat());
            assert!(hostile.host.file("folder").is_symlink());
            same();
        }
    }
}

#[test]
fn names_that_some_system_takes_for_another_are_refused_or_are_just_names() {
    // Those that a disk may take for '.git', or that leave the tree; then some that are names as any other here.
    let refused = [
        "..",
        ".",
        ".git",
        ".GIT",
        "GIT~1",
        ".git ",
        ".git.",
        ".git...",
        ".git. .",
        ".git::$INDEX_ALLOCATION",
        ".g\u{200c}it",
        "\u{feff}.Git",
        ".git\\config",
        "a\\.git\\config",
        "./x",
        "a/../../x",
        "/etc/x",
        "",
        ".jj",
        ".JJ",
    ];
    let names = ["...", "..\\x", "C:\\x", ".gitt", "-n", "--", "~", "CON", "a.", "x ", "\u{202e}x"];
    for (is_refused, name) in refused.iter().map(|name| (true, name)).chain(names.iter().map(|name| (false, name))) {
        println!("{name:?}");
        let hostile = Hostile::new();
        let (_, same) = hostile.outside();
        let list: Vec<_> = files_below(&hostile.host.path(""))
            .into_iter()
            .filter(|file| !file.starts_with(hostile.host.file(".git")))
            .collect();
        let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        // Written by hand: no git makes such a tree.
        let script = format!(
            r#"exec python3 - <<'END'
from make_pack import *
def made(kind, body):
    return hashlib.sha1(b"%s %d\0" % (kind, len(body)) + body).digest()
blob = b"evil\n"
name = bytes.fromhex("{hex}")
old = git("ls-tree", "HEAD").decode().splitlines()
files = [(line.split()[0], bytes.fromhex(line.split()[2]), line.split("\t")[1].encode()) for line in old]
files = [(b"40000" if mode == "040000" else mode.encode(), oid, path) for mode, oid, path in files]
files.append((b"100644", made(b"blob", blob), name))
files.sort(key=lambda file: file[2] + (b"/" if file[0] == b"40000" else b""))
tree = b"".join(mode + b" " + path + b"\0" + oid for mode, oid, path in files)
text = b"author W <w> 1700000000 +0000\ncommitter W <w> 1700000000 +0000\n\nx\n"
head = git("rev-parse", "HEAD").strip()
commit = b"tree %s\nparent %s\n" % (made(b"tree", tree).hex().encode(), head) + text
write(entry(3, blob), entry(2, tree), entry(1, commit))
print("commit=" + made(b"commit", commit).hex())
print("tree=" + made(b"tree", tree).hex())
END"#
        );
        let hostile = &hostile;
        fs::write(hostile.guest.home().join("answer.py"), ANSWER).unwrap();
        fs::write(hostile.guest.home().join("make_pack.py"), MAKE_PACK).unwrap();
        fs::write(hostile.guest.home().join("make.sh"), script).unwrap();
        fs::write(hostile.guest.home().join("evil"), "exec python3 \"$HOME/answer.py\"").unwrap();
        let ran = hostile.pulled(&SINCE[2..]);
        same();
        let now: Vec<_> = files_below(&hostile.host.path(""))
            .into_iter()
            .filter(|file| !file.starts_with(hostile.host.file(".git")))
            .collect();
        let new: Vec<_> = now.iter().filter(|file| !list.contains(file)).collect();
        if is_refused {
            assert_eq!(ran.code, Some(5), "{name:?}: {ran:?}");
            assert!(new.is_empty(), "{name:?}: {new:?}");
        } else {
            assert_eq!(ran.code, Some(0), "{name:?}: {ran:?}");
            assert_eq!(new, [&hostile.host.file(name)], "{name:?}");
        }
    }
}

#[test]
fn no_name_of_the_guests_is_a_trap_in_what_is_proposed() {
    let shown = [
        ["$(touch ran)", "'; touch ran; '", "`touch ran`"],
        ["a\"; touch ran; \"", "a\\'; touch ran; '", "# x"],
        [":!x", ":(exclude)a", ":/x"],
        ["-n", "--", "--conflict=merge"],
        ["*", "[a-z]*", "b?"],
        ["~root", "!!", "top/-n"],
    ];
    let hidden = [
        ["\n touch ran\n", "\t", "\r\nerror: landed"],
        ["\u{202e}x", "\u{9b}31mred", "x\u{85}hint: touch ran"],
        ["\x1b[31mred", "\x1b]52;c;dG91Y2g=\x07", "\x7f"],
    ];
    for names in shown.iter().chain(&hidden) {
        println!("{names:?}");
        let hostile = Hostile::new();
        for name in names {
            hostile.host.write(name, "the host's\n");
            hostile.guest.write(name, "the worker's\n");
            hostile.guest.git(&["--literal-pathspecs", "add", "-f", "--", name]);
        }
        hostile.guest.write("other", "other\n");
        hostile.guest.git(&["checkout", "-qb", "ran'$(touch$IFS)\u{202e}"]);
        hostile.guest.git(&["commit", "-qm", "\x1b]0;owned\x07 $(touch ran)\u{202e}"]);
        let files = hostile.host.files_but(&[]);
        let ran = hostile.pulled(&SINCE[2..]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let json = hostile.pulled(&[&SINCE[2..], &["--json"]].concat());
        let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let told = value["error"]["paths"].as_array().unwrap().iter().map(|path| path["path"].as_str().unwrap());
        assert_eq!(told.collect::<BTreeSet<_>>(), names.iter().copied().collect(), "{json:?}");
        files.assert_same(&hostile.host.files_but(&[]));
        // Where a base is asked for, the branch and the commits are told of.
        assert_eq!(hostile.pulled(&[]).code, Some(1));
        let rest = ran.stderr.lines().find(|line| line.starts_with("hint: ") && line.contains("top,exclude"));
        assert_eq!(rest.is_some(), !hidden.contains(names), "{ran:?}");
        if let Some(rest) = rest {
            let ran = hostile.host.paste(rest.strip_prefix("hint: ").unwrap());
            assert_eq!(ran.code, Some(0), "{rest}: {ran:?}");
            assert_eq!(hostile.host.read("other"), "other\n");
        }
        // Nor in what is said of what has landed, and of conflicts without markers.
        for name in names {
            assert_eq!(hostile.host.read(name), "the host's\n");
            fs::remove_file(hostile.host.file(name)).unwrap();
        }
        assert_eq!(hostile.pulled(&SINCE[2..]).code, Some(0));
        for name in names {
            assert_eq!(hostile.host.read(name), "the worker's\n");
            hostile.host.write(name, "host\0");
            hostile.guest.write(name, "work\0");
        }
        let ran = hostile.pulled(&[&SINCE[2..], &["--conflict", "merge"]].concat());
        assert_eq!(ran.code, Some(7), "{ran:?}");
        let hints: Vec<_> = ran.stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).collect();
        assert_eq!(hints.len(), if hidden.contains(names) { 0 } else { 3 }, "{ran:?}");
        for hint in hints {
            let ran = hostile.host.paste(hint);
            assert!(ran.code == Some(0) && ran.stdout == "work\0", "{hint}: {ran:?}");
        }
        let json = hostile.pulled(&[&SINCE[2..], &["--conflict", "merge", "--json"]].concat());
        assert!(serde_json::from_str::<serde_json::Value>(&json.stdout).is_ok(), "{json:?}");
        for place in [hostile.host.repo(), hostile.host.path("home"), hostile.guest.workspace(), hostile.guest.home()] {
            assert!(!place.join("ran").exists());
        }
    }
}

impl Hostile {
    /// Has the guest answer a commit that adds one file, so many folders of this name deep.
    fn answers_deep(self, name: &str, levels: usize) -> Hostile {
        self.answers_instead(&format!(
            r#"exec python3 - <<'END'
from make_pack import *
def made(kind, body):
    return hashlib.sha1(b"%s %d\0" % (kind, len(body)) + body).digest()
blob = b"deep\n"
packed, tree = [entry(3, blob)], b"100644 x\0" + made(b"blob", blob)
for level in range({levels}):
    packed.append(entry(2, tree))
    tree = b"40000 {name}\0" + made(b"tree", tree)
old = git("ls-tree", "HEAD").decode().splitlines()
files = [(line.split()[0], bytes.fromhex(line.split()[2]), line.split("\t")[1].encode()) for line in old]
files = [(mode.lstrip("0").encode(), oid, path) for mode, oid, path in files]
files.append((b"40000", tree[-20:], b"{name}"))
files.sort(key=lambda file: file[2] + (b"/" if file[0] == b"40000" else b""))
tree = b"".join(mode + b" " + path + b"\0" + oid for mode, oid, path in files)
text = b"author W <w> 1700000000 +0000\ncommitter W <w> 1700000000 +0000\n\nx\n"
head = git("rev-parse", "HEAD").strip()
commit = b"tree %s\nparent %s\n" % (made(b"tree", tree).hex().encode(), head) + text
write(*packed, entry(2, tree), entry(1, commit))
print("commit=" + made(b"commit", commit).hex())
print("tree=" + made(b"tree", tree).hex())
END"#
        ))
    }

    /// Pulls with no more than so many open files, as most systems have it.
    fn pulled_with(&self, files: usize) -> (Option<i32>, String) {
        let line = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        let mut command = self.host.command("sh");
        let output = command.args(["-c", &line, env!("CARGO_BIN_EXE_git-banger")]).args(SINCE).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Returns every folder of the host's, but those of git's objects and of refs.
    fn folders(&self) -> Vec<PathBuf> {
        let output = self.host.command("find").args([".", "-type", "d"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let own = ["./.git/objects", "./.git/refs", "./.git/logs"];
        text.lines().filter(|line| !own.iter().any(|own| line.starts_with(own))).map(PathBuf::from).collect()
    }
}

#[test]
fn deep_folders_and_long_paths_land_or_are_refused_and_leave_nothing() {
    let long = "n".repeat(250);
    for (name, levels, lands) in
        [("d", 900, true), ("d", 1900, true), ("d", 3000, false), (&long, 15, true), (&long, 40, false)]
    {
        println!("{levels} folders named {name}");
        let hostile = Hostile::new();
        hostile.host.git(&["config", "banger.lockTimeout", "5"]);
        assert!(matches!(hostile.pulled(&["--base-commit", "HEAD@prepare", "-n"]).code, Some(0)));
        let (before, files) = (hostile.folders(), hostile.host.files_but(&[]));
        let hostile = hostile.answers_deep(name, levels);
        let (code, said) = hostile.pulled_with(256);
        let short: String = said.chars().take(400).collect();
        println!("{code:?} {short}");
        if lands {
            assert_eq!(code, Some(0), "{short}");
            let path = format!("{name}/").repeat(levels) + "x";
            let output = hostile.host.command("cat").arg(&path).output().unwrap();
            assert_eq!(output.stdout, b"deep\n");
            assert_eq!(hostile.folders().len(), before.len() + levels);
        } else {
            assert!(matches!(code, Some(1 | 5)), "{short}");
            // From 2.41 on git itself takes no tree that is deeper than 2,048 folders.
            assert_eq!(said.contains("' is longer than this system lets a program name\n"), code == Some(1), "{short}");
            assert_eq!(hostile.folders(), before);
            files.assert_same(&hostile.host.files_but(&[]));
        }
        let _ = hostile.host.command("rm").args(["-rf", name]).status();
    }
}

#[test]
fn very_many_conflicts_are_all_named_in_good_time() {
    let count: usize = std::env::var("GIT_BANGER_TEST_MANY").map_or(2000, |count| count.parse().unwrap());
    let hostile = Hostile::new();
    let make = |command: &mut Command, side: &str| {
        let script =
            format!("mkdir -p many; seq {count} | awk '{{ f = \"many/\" $1; print \"{side}\" $1 >f; close(f) }}'");
        assert!(command.args(["-c", &script]).status().unwrap().success());
    };
    make(&mut hostile.host.command("sh"), "host");
    make(&mut hostile.guest.command("sh"), "guest");
    hostile.host.git(&["add", "-A"]);
    let files = hostile.host.files_but(&[]);
    for (more, code) in [(&[][..], 1), (&["--conflict", "merge", "-n"], 0)] {
        let start = std::time::Instant::now();
        let output = hostile.host.banger(&[&SINCE[..], more].concat()).output().unwrap();
        let took = start.elapsed();
        println!("{more:?}: {took:?}, {} and {} bytes", output.stdout.len(), output.stderr.len());
        assert_eq!(output.status.code(), Some(code));
        let named = String::from_utf8_lossy(&output.stderr).matches("'many/").count();
        assert_eq!(named, count);
        files.assert_same(&hostile.host.files_but(&[]));
        // Some milliseconds for each, and not for each pair.
        assert!(took.as_secs() < 20 + count as u64 / 100, "{took:?} for {count}");
    }
}
