//! The guest scripts alone, without SSH: under every shell, on every kind of unlucky repository, cut at any point.
//!
//! Each test compares bytes, modes and times of everything below the workspace before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::script::{script, sources};
use crate::support::{Fingerprint, fingerprint, path_with};

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "ash"]];
const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// A guest without SSH: a workspace, a home, a temporary folder.
struct Place {
    root: TempDir,
}

/// The lines of an answer.
type Header = BTreeMap<String, String>;
/// The kind and the path of each note.
type Notes = Vec<(String, Vec<u8>)>;

/// What an export said, taken apart; list and patch are made of its pack, in a repository that has nothing else.
struct Exported {
    header: Header,
    notes: Notes,
    raw: Vec<u8>,
    patch: Vec<u8>,
    pack: Vec<u8>,
    store: Store,
}

/// A bare repository that knows nothing but what is brought into it.
struct Store {
    folder: TempDir,
}

impl Store {
    fn new(format: &str) -> Store {
        let store = Store { folder: TempDir::new().unwrap() };
        let format = format!("--object-format={format}");
        // A git that is too old for the option knows one format only.
        let args: &[&str] = if format.ends_with("sha1") { &[] } else { &[&format] };
        store.git(&[&["init", "-q", "--bare", "."], args].concat(), b"");
        store
    }

    fn git(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.try_git(args, input);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn try_git(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", path_with("GIT_BANGER_TEST_HOST_GIT")).env("HOME", self.folder.path());
        command.env("GIT_CONFIG_NOSYSTEM", "1").current_dir(self.folder.path()).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        output
    }

    fn line(&self, args: &[&str]) -> String {
        String::from_utf8(self.git(args, b"")).unwrap().trim_end().to_owned()
    }

    /// Returns the ids of all objects that are here.
    fn objects(&self) -> BTreeSet<String> {
        let list = self.line(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
        list.lines().map(str::to_owned).collect()
    }
}

impl Place {
    fn new() -> Place {
        let place = Place { root: TempDir::new().unwrap() };
        fs::set_permissions(place.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["home", "tmp", "w"] {
            fs::create_dir(place.root.path().join(folder)).unwrap();
        }
        fs::set_permissions(place.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        place.git(&["init", "-q"]);
        // 'init -b' came with git 2.28.
        place.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
        place
    }

    /// A repository with two commits, and one edit of each kind beside them.
    fn worked_in() -> Place {
        let place = Place::new();
        for name in ["edited", "staged", "deleted", "kept", "to-link"] {
            place.write(name, &format!("{name}\n"));
        }
        place.write("folder/file", "in a folder\n");
        place.write(".gitignore", "*.ignored\n");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "first"]);
        place.write("committed", "by the worker\n");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "second"]);
        place.write("edited", "edited, not staged\n");
        place.write("staged", "staged\n");
        place.git(&["add", "staged"]);
        fs::remove_file(place.file("deleted")).unwrap();
        fs::remove_file(place.file("to-link")).unwrap();
        std::os::unix::fs::symlink("edited", place.file("to-link")).unwrap();
        place.write("untracked", "untracked\n");
        place.write("not.ignored", "ignored\n");
        place.write("forced.ignored", "forced\n");
        place.git(&["add", "-f", "forced.ignored"]);
        place.write("new\nline\t\"quoted\" \\ \u{1b}[31m", "odd\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path("w").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", path_with("GIT_BANGER_TEST_GUEST_GIT")).env("HOME", self.path("home"));
        command.env("TMPDIR", self.path("tmp")).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Worker").env(format!("GIT_{who}_EMAIL"), "worker@example.org");
            command.env(format!("GIT_{who}_DATE"), "@1700000000 +0000");
        }
        command.current_dir(self.path("home"));
        command
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_in("w", args)
    }

    fn git_in(&self, folder: &str, args: &[&str]) -> String {
        let output = self.command("git").current_dir(self.path(folder)).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn start(&self, shell: &[&str], wrapper: &[&str], script: &[u8]) -> Child {
        fs::write(self.path("script"), script).unwrap();
        let words = [wrapper, shell].concat();
        let mut command = self.command(words[0]);
        command.args(&words[1..]).arg(self.path("script"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().unwrap_or_else(|error| panic!("cannot start {words:?}: {error}"))
    }

    /// Runs a script to its end with stdin held open, as the host does.
    fn run(&self, shell: &[&str], wrapper: &[&str], script: &[u8], payload: &[u8]) -> Output {
        let mut child = self.start(shell, wrapper, script);
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(payload);
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        output
    }

    fn export(&self, shell: &[&str], base: &str, payload: &str) -> Exported {
        let script = self.export_script(&[("base", base), ("payload", payload)]);
        let output = self.run(shell, &[], &script, b"");
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        Exported::parse(&output.stdout)
    }

    /// An export of this place's workspace.
    fn export_script(&self, args: &[(&str, &str)]) -> Vec<u8> {
        let path = self.path("w");
        export_script(&[&[("workspace", path.to_str().unwrap())], args].concat())
    }

    /// Asks what no snapshot of this place's workspace takes; returns header and records.
    fn status(&self, shell: &[&str], folder: &str, given: &str) -> (Header, Vec<String>) {
        let path = self.path(folder);
        let args = [("workspace", path.to_str().unwrap()), ("given", given)];
        let script = script(&["prelude.sh", "workspace.sh", "status.sh"], NONCE, &args, &[]).into_bytes();
        let output = self.run(shell, &[], &script, b"");
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let rest = output.stdout.strip_prefix(format!("git-banger 1 {NONCE}\n").as_bytes()).unwrap();
        let cut = rest.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let header = std::str::from_utf8(&rest[..cut]).unwrap().lines().map(|line| line.split_once(' ').unwrap());
        let (records, end) = records(&rest[cut + 2..]);
        assert_eq!(end, format!("\ngit-banger end {NONCE}\n").as_bytes());
        let text =
            |record: &Vec<u8>| String::from_utf8_lossy(record).replace(self.root.path().to_str().unwrap(), "<place>");
        (header.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(), records.iter().map(text).collect())
    }

    fn no_leftovers(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    fn untouched_since(&self, before: &Fingerprint) {
        before.assert_same(&self.fingerprint());
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.path("w"))
    }
}

impl Exported {
    fn parse(stdout: &[u8]) -> Exported {
        let (header, notes, pack) = Exported::parts(stdout);
        let store = Store::new(&header["format"]);
        // Not one object of the place's own is there.
        store.git(&["index-pack", "--stdin"], &pack);
        Exported::of(header, notes, pack, store)
    }

    /// Takes an answer apart: header, notes, pack.
    fn parts(stdout: &[u8]) -> (Header, Notes, Vec<u8>) {
        let marker = format!("git-banger 1 {NONCE}\n");
        let rest = stdout.strip_prefix(marker.as_bytes()).expect("the marker comes first");
        let end = format!("\ngit-banger end {NONCE}\n");
        let rest = rest.strip_suffix(end.as_bytes()).expect("the end marker comes last");
        let cut = rest.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let header = String::from_utf8(rest[..cut].to_vec()).unwrap();
        let (notes, pack) = records(&rest[cut + 2..]);
        let header = header.lines().map(|line| line.split_once(' ').unwrap());
        let notes = notes.chunks(2).map(|note| (String::from_utf8(note[0].clone()).unwrap(), note[1].clone()));
        (header.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(), notes.collect(), pack.to_vec())
    }

    /// Makes list and patch of the objects in a repository, as the host does.
    fn of(header: Header, notes: Notes, pack: Vec<u8>, store: Store) -> Exported {
        let (base, commit) = (header["base"].as_str(), header["commit"].as_str());
        assert_eq!(store.line(&["rev-parse", &format!("{commit}^{{tree}}")]), header["tree"]);
        let diff = |how: &[&str]| store.git(&[how, &["--find-renames=100%", base, commit, "--"]].concat(), b"");
        let (raw, rest) = {
            let list = [diff(&["diff-tree", "-r", "--raw", "-z", "--no-abbrev"]), vec![0]].concat();
            let (raw, rest) = records(&list);
            (raw, rest.to_vec())
        };
        assert!(rest.is_empty());
        let patch = diff(&["diff-tree", "-r", "--patch", "--binary", "--full-index"]);
        Exported { raw: raw.join(&b'\n'), header, notes, patch, pack, store }
    }

    fn noted(&self, kind: &str) -> Vec<String> {
        let of_kind = self.notes.iter().filter(|(noted, _)| noted == kind);
        of_kind.map(|(_, path)| String::from_utf8_lossy(path).into_owned()).collect()
    }
}

impl Place {
    fn sh(&self, text: &str) {
        let output = self.command("sh").current_dir(self.path("w")).args(["-ec", text]).output().unwrap();
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The tree of all files as a plain `git add -A` makes it, in a copy.
    fn plain_tree(&self) -> String {
        self.sh("rm -rf ../copy; cp -a . ../copy");
        self.git_in("copy", &["-c", "core.safecrlf=false", "add", "-A"]);
        self.git_in("copy", &["write-tree"])
    }

    /// Applies a patch to a clean checkout of HEAD, without the workspace's configuration; returns the tree.
    fn applied(&self, patch: &[u8]) -> String {
        fs::write(self.path("patch"), patch).unwrap();
        let head = self.git(&["--no-replace-objects", "rev-parse", "HEAD^{tree}"]);
        let source = self.file(".git/objects");
        self.sh("rm -rf ../clean; git init -q ../clean");
        fs::write(self.path("clean/.git/objects/info/alternates"), source.to_str().unwrap()).unwrap();
        self.git_in("clean", &["read-tree", &head]);
        // 'apply --allow-empty' came with git 2.35.
        if !patch.is_empty() {
            self.git_in("clean", &["apply", "--cached", "../patch"]);
        }
        self.git_in("clean", &["write-tree"])
    }
}

/// Splits NUL-ended records off, up to an empty one.
fn records(mut bytes: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let mut records = Vec::new();
    loop {
        let end = bytes.iter().position(|&byte| byte == 0).expect("a record ends with NUL");
        let (record, rest) = (&bytes[..end], &bytes[end + 1..]);
        bytes = rest;
        if record.is_empty() {
            return (records, bytes);
        }
        records.push(record.to_vec());
    }
}

fn export_script(args: &[(&str, &str)]) -> Vec<u8> {
    script(&["prelude.sh", "workspace.sh", "snapshot.sh", "export.sh"], NONCE, args, &[]).into_bytes()
}

#[test]
fn an_export_touches_nothing_and_its_patch_makes_the_snapshot() {
    for shell in SHELLS {
        let place = Place::worked_in();
        let before = place.fingerprint();
        for base in ["HEAD", "HEAD~1"] {
            let exported = place.export(shell, base, "difference");
            place.untouched_since(&before);
            place.no_leftovers();
            let clone = Place::new();
            let source = place.path("w");
            clone.git(&["fetch", "-q", source.to_str().unwrap(), "HEAD"]);
            clone.git(&["read-tree", &place.git(&["rev-parse", base])]);
            fs::write(clone.path("patch"), &exported.patch).unwrap();
            clone.git(&["apply", "--cached", "../patch"]);
            assert_eq!(clone.git(&["write-tree"]), exported.header["tree"], "{shell:?} since {base}");
            assert_eq!(exported.header["commits"], if base == "HEAD" { "0" } else { "1" });
        }
    }
}

#[test]
fn a_difference_is_all_that_differs_and_nothing_else() {
    for shell in SHELLS {
        let place = Place::worked_in();
        place.sh("mkdir same; for i in $(seq 50); do echo $i >same/$i; done; git add same; git commit -qm same
            mkdir -p deep/er; echo x >deep/er/x; echo y >deep/y; git add deep; git commit -qm deep; echo z >deep/er/x");
        let exported = place.export(shell, "HEAD", "difference");
        // What is the same on both sides does not come: no file, no folder, no history.
        let mut expected: BTreeSet<_> = ["commit", "base", "tree"].map(|key| exported.header[key].clone()).into();
        let trees = [exported.header["base"].as_str(), exported.header["commit"].as_str()];
        expected.insert(place.git(&["rev-parse", "HEAD^{tree}"]));
        let list = exported.store.line(&["diff-tree", "-r", "-t", "--raw", "--no-abbrev", trees[0], trees[1]]);
        let ids = list.lines().flat_map(|line| line.split(' ').skip(2).take(2));
        expected.extend(ids.filter(|id| id.bytes().any(|byte| byte != b'0')).map(str::to_owned));
        assert_eq!(exported.store.objects(), expected, "{shell:?}");
    }
}

#[test]
fn a_submodule_is_named_by_a_difference_and_no_object_of_its_is_asked_for() {
    for shell in SHELLS {
        let place = Place::new();
        let id = |digit: &str| digit.repeat(40);
        place.sh("echo a >a; git add a; mkdir stays moves goes comes");
        for (name, digit) in [("stays", "1"), ("moves", "2"), ("goes", "3")] {
            place.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},{name}", id(digit))]);
        }
        place.git(&["commit", "-qm", "first"]);
        place.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},moves", id("4"))]);
        place.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},comes", id("5"))]);
        place.sh("git rm -q --cached goes; rmdir goes 2>/dev/null || :");
        place.git(&["commit", "-qm", "second"]);
        for payload in ["difference", "history"] {
            let raw = String::from_utf8(place.export(shell, "HEAD~1", payload).raw).unwrap();
            let names: Vec<_> = raw.lines().skip(1).step_by(2).collect();
            assert_eq!(names, ["comes", "goes", "moves"], "{shell:?} {payload}: {raw}");
        }
    }
}

#[test]
fn a_history_is_whole_and_leaves_out_what_was_given() {
    for shell in SHELLS {
        let place = Place::worked_in();
        let head = place.git(&["rev-parse", "HEAD"]);
        let parent = place.git(&["rev-parse", "HEAD~1"]);
        let exported = place.export(shell, "HEAD~1", "history");
        let store = &exported.store;
        let commit = exported.header["commit"].as_str();
        assert_eq!(exported.header["without"], "");
        store.git(&["-c", "fetch.fsckObjects=true", "fsck", "--strict", "--no-dangling", commit], b"");
        store.git(&["rev-list", "--objects", commit], b"");
        assert_eq!(store.line(&["rev-parse", &format!("{commit}^")]), head);
        assert_eq!(store.line(&["rev-list", "--count", commit]), "3");

        // What the host knows this guest to have need not come; an id that is no commit there is passed over.
        let blob = place.git(&["rev-parse", "HEAD:kept"]);
        let given = format!("{parent} {} {blob}", "7".repeat(40));
        let script = place.export_script(&[("base", "HEAD~1"), ("payload", "history"), ("given", &given)]);
        let before = place.fingerprint();
        let output = place.run(shell, &[], &script, b"");
        place.untouched_since(&before);
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let (header, notes, pack) = Exported::parts(&output.stdout);
        assert_eq!(header["without"].trim_end(), parent, "{shell:?}");
        assert!(pack.len() < exported.pack.len(), "{shell:?}");
        let store = Store::new("sha1");
        let source = place.file(".git");
        place.git(&["branch", "given", &parent]);
        store.git(&["fetch", "-q", source.to_str().unwrap(), "given:refs/heads/given"], b"");
        let given = store.objects();
        store.git(&["index-pack", "--stdin", "--fix-thin", "--strict"], &pack);
        let thin = Exported::of(header, notes, pack, store);
        assert_eq!(thin.patch, exported.patch, "{shell:?}");
        let all: BTreeSet<_> = exported.store.objects().union(&given).cloned().collect();
        assert_eq!(thin.store.objects(), all, "{shell:?}");
    }
}

#[test]
fn the_same_work_gives_the_same_snapshot() {
    let place = Place::worked_in();
    let ids: Vec<_> = SHELLS.map(|shell| place.export(shell, "HEAD", "difference").header["commit"].clone()).to_vec();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn flags_and_a_split_index_hide_nothing() {
    for shell in SHELLS {
        let place = Place::new();
        for name in ["assumed", "skipped", "absent", "both"] {
            place.write(name, "before\n");
        }
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "first"]);
        place.git(&["config", "core.splitIndex", "true"]);
        place.git(&["update-index", "--split-index"]);
        place.git(&["update-index", "--assume-unchanged", "assumed", "both"]);
        place.git(&["update-index", "--skip-worktree", "skipped", "absent", "both"]);
        for name in ["assumed", "skipped", "both"] {
            place.write(name, "after\n");
        }
        fs::remove_file(place.file("absent")).unwrap();
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        let names = exported.raw.split(|&byte| byte == b'\n').skip(1).step_by(2);
        assert_eq!(names.collect::<Vec<_>>(), [b"assumed".as_slice(), b"both", b"skipped"], "{shell:?}");
    }
}

#[test]
fn nested_repositories_come_as_files_and_are_named() {
    for shell in SHELLS {
        let place = Place::new();
        place.write("a", "a\n");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "first"]);
        for nested in ["w/nested", "w/nested/inner", "w/odd \"name\"", "w/staged"] {
            fs::create_dir(place.path(nested)).unwrap();
            place.git_in(nested, &["init", "-q"]);
            fs::write(place.path(nested).join("file"), "nested\n").unwrap();
            fs::write(place.path(nested).join(".gitignore"), "*.o\n").unwrap();
            fs::write(place.path(nested).join("x.o"), "ignored\n").unwrap();
        }
        place.git_in("w/staged", &["add", "."]);
        place.git_in("w/staged", &["commit", "-qm", "nested"]);
        place.git(&["-c", "advice.addEmbeddedRepo=false", "add", "staged"]);
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        let mut noted = exported.noted("nested-repository");
        noted.sort();
        assert_eq!(noted, ["nested", "odd \"name\"", "staged"], "{shell:?}");
        let names = exported.raw.split(|&byte| byte == b'\n').skip(1).step_by(2);
        let names: Vec<_> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let expected = ["nested", "nested/inner", "odd \"name\"", "staged"];
        let mut expected: Vec<_> =
            expected.iter().flat_map(|folder| [format!("{folder}/.gitignore"), format!("{folder}/file")]).collect();
        expected.sort();
        assert_eq!(names, expected, "{shell:?}");
    }
}

#[test]
fn what_git_cannot_hold_is_named() {
    for shell in SHELLS {
        let place = Place::new();
        place.write("a", "a\n");
        place.write(".gitignore", "ignored\n");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "first"]);
        for name in ["fifo", "ignored"] {
            assert!(place.command("mkfifo").arg(place.file(name)).status().unwrap().success());
        }
        let exported = place.export(shell, "HEAD", "difference");
        assert_eq!(exported.noted("special-file"), ["fifo"], "{shell:?}");
    }
}

#[test]
fn what_has_a_name_that_git_keeps_for_itself_is_named() {
    for shell in SHELLS {
        let place = Place::new();
        place.write("a", "a\n");
        place.write(".gitmodules", "");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "first"]);
        place.sh("mkdir .GIT; echo x >.GIT/x; echo x >'git~1'; echo x >\"$(printf 'o\\nx')\"");
        place.sh("git init -q nested; mkdir -p nested/d/.Git; echo x >nested/d/.Git/x; echo x >nested/x");
        let refused = [".GIT/x", "git~1", "nested/d/.Git/x"];
        // The two ways to add: file by file, and by 'git add'.
        for many in ["", "mkdir many; for f in $(seq 250); do echo $f >many/$f; done"] {
            place.sh(many);
            let before = place.fingerprint();
            let exported = place.export(shell, "HEAD", "difference");
            let mut noted = exported.noted("refused-name");
            noted.sort();
            assert_eq!(noted, refused, "{shell:?} {many}");
            let raw = String::from_utf8_lossy(&exported.raw);
            assert!(raw.contains("\no\nx") && raw.contains("nested/x"), "{shell:?}: {raw}");
            assert_eq!(raw.contains("many/250"), !many.is_empty());
            place.untouched_since(&before);
        }
        place.sh("rm -r nested many .gitmodules; ln -s a .gitmodules");
        let mut noted = place.export(shell, "HEAD", "difference").noted("refused-name");
        noted.sort();
        assert_eq!(noted, [".GIT/x", ".gitmodules", "git~1"], "{shell:?}");
    }
}

#[test]
fn files_in_a_submodule_that_is_not_checked_out_are_not_passed_over() {
    for shell in SHELLS {
        let place = Place::new();
        place.sh("git init -q sub; git -C sub commit -qm first --allow-empty; cp -a sub repo; cp -a sub other");
        place.sh("git -c protocol.file.allow=always submodule --quiet add ./sub sub; git add repo 2>/dev/null; git commit -qm first");
        place.sh("git update-index --add --cacheinfo 160000,$(git -C sub rev-parse HEAD),other");
        place.sh("rm -rf sub/.git repo/.git other/.git");
        let quiet = place.export(shell, "HEAD", "difference");
        assert!(quiet.notes.is_empty(), "{shell:?}: {:?}", quiet.notes);
        place.sh("mkdir sub/d; echo x >sub/d/.x; echo x >repo/x; echo x >other/x");
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        assert_eq!(exported.noted("dirty-submodule"), ["repo", "sub"], "{shell:?}");
        assert_eq!(exported.noted("nested-repository"), ["other"], "{shell:?}");
        assert!(String::from_utf8_lossy(&exported.raw).contains("other/x"), "{shell:?}");
    }
}

#[test]
fn submodules_that_are_dirty_or_moved_are_named() {
    for shell in SHELLS {
        let place = Place::new();
        let source = Place::worked_in();
        let url = source.path("w");
        place.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url.to_str().unwrap(), "sub"]);
        place.git(&["commit", "-qm", "first"]);
        place.write("sub/edited", "dirty\n");
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        assert_eq!(exported.noted("dirty-submodule"), ["sub"], "{shell:?}");
        assert!(exported.noted("moved-submodule").is_empty());
        place.untouched_since(&before);
        place.git_in("w/sub", &["commit", "-qam", "moved"]);
        let exported = place.export(shell, "HEAD", "difference");
        assert_eq!(exported.noted("moved-submodule"), ["sub"], "{shell:?}");
    }
}

#[test]
fn a_branch_without_commits_is_exported_against_the_empty_commit() {
    for shell in SHELLS {
        let place = Place::new();
        place.write("a", "a\n");
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        assert_eq!(exported.header["head"], exported.header["base"]);
        assert!(exported.patch.starts_with(b"diff --git a/a b/a\nnew file mode 100644\n"), "{shell:?}");
    }
}

/// Runs as a user that owns nothing here. As root, that is another one; else the files lose their read bits.
fn unprivileged() -> Vec<&'static str> {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if root { vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { Vec::new() }
}

#[test]
fn unreadable_files_are_named_and_stop_the_export_unless_told() {
    for shell in SHELLS {
        let place = Place::worked_in();
        fs::write(place.path("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
        place.write("secret", "unreadable\n");
        place.write("closed/inner", "unreadable\n");
        place.write("announced", "unreadable\n");
        place.git(&["add", "-N", "announced"]);
        for name in ["secret", "announced", "closed"] {
            fs::set_permissions(place.file(name), fs::Permissions::from_mode(0o000)).unwrap();
        }
        let run = |ignore| {
            let script =
                place.export_script(&[("base", "HEAD"), ("payload", "difference"), ("ignore_unreadable", ignore)]);
            place.run(shell, &unprivileged(), &script, b"")
        };
        let output = run("");
        assert_eq!(output.status.code(), Some(85), "{shell:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("secret\n") && said.contains("closed\n"), "{shell:?}: {said}");
        let output = run("1");
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let exported = Exported::parse(&output.stdout);
        let mut noted = exported.noted("unreadable");
        noted.sort();
        assert_eq!(noted, ["announced", "closed", "secret"], "{shell:?}");
        let listed = String::from_utf8_lossy(&exported.raw).into_owned();
        assert!(listed.contains("untracked") && !listed.contains("announced"), "{shell:?}: {listed}");
        place.no_leftovers();
        fs::set_permissions(place.file("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn an_unreadable_file_in_a_nested_repository_takes_no_other_with_it() {
    for shell in SHELLS {
        let place = Place::worked_in();
        fs::write(place.path("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
        let run = |ignore| {
            let script =
                place.export_script(&[("base", "HEAD"), ("payload", "difference"), ("ignore_unreadable", ignore)]);
            place.run(shell, &unprivileged(), &script, b"")
        };
        for folder in ["nested", "nested/deep"] {
            place.sh(&format!("git init -q {folder}; cd {folder}; for f in 1 2 3 4; do echo $f >$f; done; chmod 0 2"));
            let output = run("");
            assert_eq!(output.status.code(), Some(85), "{shell:?} {folder}: {output:?}");
            place.sh(&format!("chmod 644 {folder}/2"));
        }
        place.sh("chmod 0 nested/2 nested/deep/2");
        let output = run("1");
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let exported = Exported::parse(&output.stdout);
        assert_eq!(exported.noted("unreadable"), ["nested/2", "nested/deep/2"], "{shell:?}");
        let raw = String::from_utf8_lossy(&exported.raw).into_owned();
        for file in ["nested/1", "nested/3", "nested/4", "nested/deep/1", "nested/deep/3", "nested/deep/4"] {
            assert!(raw.lines().any(|line| line == file), "{shell:?} {file}: {raw}");
        }
        place.no_leftovers();
    }
}

#[test]
fn names_that_look_like_switches_or_end_in_blanks_are_names() {
    for shell in SHELLS {
        let place = Place::worked_in();
        place.sh("git init -q \"./$(printf -- '-n\\tnested')\"; echo x >\"./$(printf -- '-n\\tnested')/x\"");
        place.sh("git init -q 'trail '; git -C 'trail ' commit -qm t --allow-empty; git add 'trail ' 2>/dev/null; echo x >'trail /x'");
        let exported = place.export(shell, "HEAD", "difference");
        assert_eq!(exported.noted("nested-repository"), ["-n\tnested", "trail "], "{shell:?}");
        let raw = String::from_utf8_lossy(&exported.raw).into_owned();
        assert!(raw.contains("-n\tnested/x") && raw.contains("trail /x"), "{shell:?}: {raw}");
        place.sh("rm -rf trail* -- -n*");
    }
}

#[test]
fn a_repository_in_the_place_of_a_file_comes() {
    let replace = "rm kept to-link; git init -q kept; echo f >kept/f; git init -q to-link; echo f >to-link/f
        git -C to-link add f; git -C to-link commit -qm f";
    for shell in SHELLS {
        for more in [
            "",
            "rm -r edited; git init -q edited; echo f >edited/f; mkdir m; for f in $(seq 250); do echo >m/$f; done",
        ] {
            let place = Place::worked_in();
            place.sh(replace);
            place.sh(more);
            let before = place.fingerprint();
            let exported = place.export(shell, "HEAD", "difference");
            place.untouched_since(&before);
            let raw = String::from_utf8_lossy(&exported.raw).into_owned();
            for name in if more.is_empty() { &["kept", "to-link"][..] } else { &["edited", "kept", "to-link"] } {
                assert!(exported.noted("nested-repository").contains(&(*name).to_owned()), "{shell:?} {name}");
                assert!(raw.contains(&format!("{name}/f")), "{shell:?} {name}: {raw}");
            }
        }
    }
}

#[test]
fn line_ends_stay_as_git_keeps_them_however_files_are_added() {
    // Files that the index has with CRLF, though attributes say text: git leaves them so.
    let first = "for f in x y ./-; do printf 'p\\r\\nq\\r\\n' >$f; done; git add .; git commit -qm crlf
        echo '* text=auto' >.gitattributes; git add .gitattributes; git commit -qm attributes; git checkout -qb other
        printf 'other\\r\\n' >y; git commit -qam other; git checkout -q main; printf 'main\\r\\n' >y; git commit -qam main";
    for shell in SHELLS {
        for many in ["", "git init -q nested; echo f >nested/f"] {
            let place = Place::worked_in();
            place.sh(first);
            place.sh(many);
            place
                .sh("git merge -q other >/dev/null 2>&1 || :; printf 'both\\r\\n' >y; printf 'z\\r\\n' >>./-; touch x");
            let exported = place.export(shell, "HEAD", "difference");
            let patch = String::from_utf8_lossy(&exported.patch).into_owned();
            assert!(patch.contains("\n+both\r\n") && patch.contains("\n+z\r\n"), "{shell:?} {many}: {patch}");
            assert!(!patch.contains("diff --git a/x "), "{shell:?} {many}: {patch}");
        }
    }
}

#[test]
fn a_guest_that_cannot_do_it_says_why() {
    let place = Place::worked_in();
    let path = place.path("w");
    let w = path.to_str().unwrap();
    let folder = place.file("folder");
    let cases = [
        ("/nowhere", "HEAD", 83),
        (folder.to_str().unwrap(), "HEAD", 83),
        (place.root.path().to_str().unwrap(), "HEAD", 83),
        (w, "no-such-commit", 84),
        (w, "0123456789012345678901234567890123456789", 84),
    ];
    for shell in SHELLS {
        let before = place.fingerprint();
        for (path, base, code) in cases {
            let output = place.run(
                shell,
                &[],
                &export_script(&[("workspace", path), ("base", base), ("payload", "difference")]),
                b"",
            );
            assert_eq!(output.status.code(), Some(code), "{shell:?} {path} {base}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        }
        place.untouched_since(&before);
        place.no_leftovers();
    }
}

#[test]
fn a_held_lock_and_a_temporary_folder_that_is_missing_change_nothing() {
    for shell in SHELLS {
        let place = Place::worked_in();
        place.write(".git/index.lock", "");
        let before = place.fingerprint();
        place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        fs::remove_dir(place.path("tmp")).unwrap();
        let script = place.export_script(&[("base", "HEAD"), ("payload", "difference")]);
        assert_eq!(place.run(shell, &[], &script, b"").status.code(), Some(86), "{shell:?}");
        place.untouched_since(&before);
    }
}

#[test]
fn a_script_that_is_cut_anywhere_runs_nothing() {
    let place = Place::worked_in();
    let script = place.export_script(&[("base", "HEAD"), ("payload", "difference")]);
    let before = place.fingerprint();
    // Every place in the arguments and the last lines, where a shorter call would still be a call; a sample of the rest.
    let arguments = script.windows(7).rposition(|window| window == b"\nnonce=").unwrap();
    let cuts = (0..script.len()).step_by(257).chain(arguments.min(script.len() - 200)..script.len());
    for cut in cuts {
        let shell = SHELLS[cut % SHELLS.len()];
        let output = place.run(shell, &[], &script[..cut], b"");
        assert!(output.stdout.is_empty(), "{shell:?} cut at {cut}");
    }
    place.untouched_since(&before);
    place.no_leftovers();
}

/// How a connection goes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// stdin ends: what both OpenSSH and dropbear do.
    Stdin,
    Signal(&'static str),
}

#[test]
fn a_connection_that_goes_at_any_moment_leaves_nothing_behind() {
    let place = Place::worked_in();
    let script = place.export_script(&[("base", "HEAD"), ("payload", "history")]);
    let before = place.fingerprint();
    let cuts = [Cut::Stdin, Cut::Signal("TERM"), Cut::Signal("HUP"), Cut::Signal("INT"), Cut::Signal("PIPE")];
    let mut stuck = 0;
    for shell in SHELLS {
        for (round, cut) in cuts.iter().cycle().take(50 * cuts.len()).enumerate() {
            let mut child = place.start(shell, &[], &script);
            std::thread::sleep(Duration::from_micros(1500 * (round as u64 / 5)));
            match cut {
                Cut::Stdin => drop(child.stdin.take()),
                Cut::Signal(name) => {
                    let group = format!("-{}", child.id());
                    let _ = Command::new("kill").args(["-s", name, "--", &group]).stderr(Stdio::null()).status();
                }
            }
            let ended = Instant::now();
            let stdin = child.stdin.take();
            while child.try_wait().unwrap().is_none() && ended.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(1));
            }
            if child.try_wait().unwrap().is_none() {
                stuck += usize::from(end_stuck(child.id()) > 0);
            }
            let output = child.wait_with_output().unwrap();
            drop(stdin);
            assert!(ended.elapsed() < Duration::from_secs(10), "{shell:?} {cut:?} round {round}: {output:?}");
        }
        // A git that was killed with its script may be a moment behind it.
        std::thread::sleep(Duration::from_millis(200));
        place.no_leftovers();
        place.untouched_since(&before);
    }
    assert!(stuck <= 1, "{stuck} times git or bash did not end");
}

/// Kills what is left of git or bash in a process group; returns how many there were.
///
/// A signal that comes while git sets up its handlers, between signal() and the count in sigchain.c, is raised again by
/// its own handler for ever (seen once in some 40,000 cuts, git 2.47). So does bash with SIGINT, by its handler for a wait
/// (seen once, bash 5.2).
fn end_stuck(group: u32) -> usize {
    let mut killed = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // PID (COMM) STATE PPID PGRP
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let is_one = stat.contains("(git)") || stat.contains("(bash)");
        if is_one && fields.next() != Some("Z") && fields.nth(1) == Some(&group.to_string()) {
            let pid = entry.file_name();
            killed += usize::from(Command::new("kill").args(["-s", "KILL"]).arg(pid).status().unwrap().success());
        }
    }
    killed
}

/// What a guest may have set up that must not show in a snapshot; shell text, run in the workspace.
const UNLUCKY: &[&str] = &[
    "for key in noprefix mnemonicPrefix suppressBlankEmpty relative colorMoved; do git config diff.$key true; done
     git config color.ui always; git config color.diff always; git config diff.external false; git config diff.context 0
     git config diff.interHunkContext 9; git config diff.submodule log; git config diff.ignoreSubmodules all
     git config diff.wsErrorHighlight all; git config core.abbrev 4; git config core.pager false",
    "git config diff.renames copies; git config diff.algorithm histogram; git config diff.indentHeuristic true
     printf 'u*\n*\n' >../order; git config diff.orderFile ../order; git config diff.statGraphWidth 1
     git config core.quotePath false; git config i18n.commitEncoding UTF-16; git config i18n.logOutputEncoding UTF-16
     git config log.showSignature true; git config commit.gpgSign true; git config gpg.program false",
    "printf '* diff=x\n' >.git/info/attributes; git config diff.x.textconv 'echo converted'; git config diff.x.command false
     git config diff.x.binary true",
    "mkdir ../hooks; for hook in post-index-change pre-commit reference-transaction fsmonitor-watchman; do
     printf '#!/bin/sh\necho hook >>$0.ran\n' >../hooks/$hook; chmod +x ../hooks/$hook; done
     cp ../hooks/* .git/hooks/; git config core.hooksPath ../hooks; git config core.fsmonitor ../hooks/fsmonitor-watchman",
    "git config core.untrackedCache true; git update-index --untracked-cache; git status >../status",
    "git config core.splitIndex true; git update-index --split-index; git config splitIndex.maxPercentChange 0",
    "git config core.autocrlf true; git config core.safecrlf true; git config core.eol crlf",
    "git config core.bigFileThreshold 1; git config pack.packSizeLimit 1m; git config core.compression 9
     git config gc.auto 1; git config gc.autoDetach false; git config maintenance.auto true; git config core.fsync all",
    "git config feature.manyFiles true; git config index.version 4; git update-index --index-version 4
     git config core.checkStat minimal; git config core.trustctime false",
    "git config core.sharedRepository 0666; git config core.logAllRefUpdates always; git config user.useConfigOnly true",
    "git config extensions.worktreeConfig true; git config --worktree core.sparseCheckout true
     printf '/edited\n' >.git/info/sparse-checkout",
    "git gc -q; git replace HEAD HEAD~1; git repack -adq",
    "git rev-parse HEAD >.git/shallow",
    "mv .git/objects ../elsewhere; mkdir -p .git/objects/info; echo \"$PWD/../elsewhere\" >.git/objects/info/alternates",
    "mkdir '../odd:\"objects\\'; mv .git '../odd:\"objects\\/git'; echo 'gitdir: ../odd:\"objects\\/git' >.git",
    "git gc -q; chmod 444 .git/index; chmod 500 .git/objects",
    "git config submodule.recurse true; git config advice.detachedHead false; git checkout -q --detach",
    "git config filter.lfs.clean 'git-lfs clean -- %f'; git config filter.lfs.required true",
    "git config remote.origin.url /nowhere; git config remote.origin.promisor true
     git config extensions.partialClone origin; git config core.repositoryFormatVersion 1",
    "touch -d '+1 hour' edited untracked kept; touch .git/index",
    "git update-index --force-remove kept; git reset -q -- kept; git add -N untracked",
    "cp kept another; cp kept folder/again; git rm -q --cached kept",
];

#[test]
fn nothing_that_a_guest_has_set_up_shows_in_a_snapshot_or_is_touched() {
    for (index, unlucky) in UNLUCKY.iter().enumerate() {
        let place = Place::worked_in();
        let before = place.plain_tree();
        place.sh(unlucky);
        let expected = if unlucky.contains("another") { place.plain_tree() } else { before };
        let shell = SHELLS[index % SHELLS.len()];
        let before = (place.fingerprint(), fingerprint(place.root.path()).len());
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before.0);
        assert_eq!(fingerprint(place.root.path()).len(), before.1 + 1, "only the script itself is new: {unlucky}");
        assert_eq!(exported.header["tree"], expected, "{shell:?}: {unlucky}");
        place.status(shell, "w", "");
        place.untouched_since(&before.0);
        if !unlucky.contains("shallow") && !unlucky.contains("objects") {
            assert_eq!(place.applied(&exported.patch), expected, "{shell:?}: {unlucky}");
        }
        place.no_leftovers();
    }
}

/// Workspaces in which a snapshot is hard to take right; shell text, run in a workspace with one commit of 'a' to 'c'
/// and 'd/e'. Each must give the tree that plain git makes.
const HARD: &[&str] = &[
    // A file becomes a folder, a symlink, and back.
    r#"rm -r a d; mkdir a; echo x >a/x; echo d >d; ln -sf nowhere b; chmod +x c"#,
    r#"mkdir e; cp d/e e/e; git add e; git commit -qm e; rm -r d; ln -s e d"#,
    r#"ln -s d link; git add link; git commit -qm link; rm link; mkdir link; echo x >link/e"#,
    // A conflict, a half-done staging, an intent to add.
    r#"git checkout -qb other; echo other >a; git rm -q b; git commit -qam other; git checkout -q main; echo main >a
     echo more >>b; git commit -qam main; git merge other >/dev/null || :; git ls-files -u | grep -q ."#,
    r#"echo staged >a; git add a; echo more >>a; git rm -q --cached b; git mv c moved; touch empty; git add -N empty"#,
    // The index has CRLF: git must not turn it into LF on the way.
    r#"printf 'a\r\nb\r\n' >crlf; printf 'a\r\n' >d/crlf; git add .; git commit -qm crlf; git config core.autocrlf true
     printf 'a\r\nb\r\nc\r\n' >crlf; printf 'new\r\n' >lf; rm d/crlf"#,
    r#"printf 'a\r\nb\r\n' >crlf; git add .; git commit -qm crlf; printf '* text=auto\n*.eol text eol=crlf\n' >.gitattributes
     printf 'a\r\nb\r\nc\r\n' >crlf; printf 'new\r\n' >x.eol; for i in $(seq 300); do printf 'x\r\n' >many$i; done"#,
    r#"printf '*.up filter=up\n*.w working-tree-encoding=UTF-16LE\n*.id ident\n' >.gitattributes
     git config filter.up.clean 'tr a-z A-Z'; git config filter.up.required true
     echo up >x.up; printf 'x\0\n\0' >x.w; echo '$Id: x $' >x.id; git add .; git commit -qm filters; echo more >>x.up; echo more >>x.id"#,
    // Many files, new and gone.
    r#"for i in $(seq 1500); do echo $i >new$i; done; mkdir many; for i in $(seq 700); do echo $i >many/$i; done; git add many
     git commit -qm many; rm -r many"#,
    r#"deep=$(printf 'x/%.0s' $(seq 400)); mkdir -p $deep; echo deep >$deep/file"#,
    // Flags, and a sparse index.
    r#"sparse; git sparse-checkout set d; git ls-files --sparse >/dev/null 2>&1 || :; mkdir out; echo out >out/new; echo changed >a; echo more >>d/e"#,
    r#"mkdir s s/t; echo x >s/t/x; echo '*.o' >s/.gitignore; echo '* text eol=crlf' >s/t/.gitattributes; git add .
     git commit -qm s; sparse; git sparse-checkout set d
     mkdir -p s/t; printf 'x\r\n' >s/t/y; echo o >s/x.o"#,
    r#"git update-index --assume-unchanged a; git update-index --skip-worktree b c; echo x >a; echo x >b; rm c"#,
    r#"git config core.fsmonitor true 2>/dev/null; git config --unset core.fsmonitor; git update-index --fsmonitor 2>/dev/null || :
     git update-index --fsmonitor-valid a b 2>/dev/null || :; echo x >a"#,
    // A linked worktree, and what a submodule's checkout looks like.
    r#"git worktree add -q ../linked; mv .git ../main.git; mkdir -p ../moved; rm -r * ; mv ../linked/* ../linked/.git .
     sed -i 's,/w/.git/,/main.git/,' .git; echo $PWD/.git >../main.git/worktrees/linked/gitdir; rmdir ../linked; echo x >a; echo n >n"#,
    r#"mkdir ../modules; mv .git ../modules/sub; echo 'gitdir: ../modules/sub' >.git
     git config core.worktree ../../w; echo x >a; echo n >n"#,
    // Content that the repository has: not one object may be touched.
    r#"cp a copied; git gc -q; cp b copied2; echo x >a; git add a; echo y >a; git add a; git show HEAD:a >a"#,
];

/// 'sparse' makes a sparse checkout, with a sparse index where git knows it.
const SPARSE: &str =
    "sparse() { git sparse-checkout init --cone --sparse-index 2>&1 || git sparse-checkout init --cone; }\n";

#[test]
fn a_snapshot_is_what_plain_git_adds_however_hard_the_workspace_makes_it() {
    for (index, hard) in HARD.iter().enumerate() {
        let place = Place::new();
        place.sh("mkdir d; for f in a b c d/e; do echo $f >$f; done; git add .; git commit -qm first");
        place.sh(&[SPARSE, hard].concat());
        let odd_flags = hard.contains("sparse") || hard.contains("skip-worktree");
        let shell = SHELLS[index % SHELLS.len()];
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        place.no_leftovers();
        if odd_flags {
            // The same in the workspace itself: flags off, but for what is not there.
            place.sh("git() { command git -c core.sparseCheckout=false -c index.sparse=false \"$@\"; }
                git ls-files | git update-index --no-assume-unchanged --stdin
                git ls-files -v | sed -n 's/^S //p' | while read -r f; do ! test -e $f || echo $f; done >../there
                git update-index --no-skip-worktree --stdin <../there; git add -A; git write-tree >../tree");
            let tree = fs::read_to_string(place.path("tree")).unwrap();
            assert_eq!(exported.header["tree"], tree.trim_end(), "{shell:?}: {hard}");
        } else {
            assert_eq!(exported.header["tree"], place.plain_tree(), "{shell:?}: {hard}");
        }
    }
}

/// Names that a shell, git or a line-wise tool could trip over.
fn odd_names() -> Vec<Vec<u8>> {
    let long = [b'l'; 255];
    let names: [&[u8]; 30] = [
        b"-n",
        b"--",
        b" both ends ",
        b"tab\t",
        b"new\nline",
        b"\n",
        b"quote\"",
        b"back\\slash",
        b"\\",
        b"\"",
        b"*",
        b"[a]",
        b"?",
        b":(top)x",
        b"!x",
        b"#x",
        "gr\u{fc}n".as_bytes(),
        b"\xff\xfe",
        b"%s%n",
        b"$(x)",
        b"it's",
        b"x -> y",
        b"\x1b[31m",
        b" ",
        b"C x",
        b"trailing\\n",
        b"\\033",
        b"\r",
        b"\x7f",
        &long,
    ];
    names.map(<[u8]>::to_vec).to_vec()
}

#[test]
fn odd_names_come_through() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    for shell in SHELLS {
        let place = Place::new();
        let write = |folder: &str, skip: usize, text: &str| {
            fs::create_dir_all(place.file(folder)).unwrap();
            for name in odd_names().iter().skip(skip).step_by(2) {
                fs::write(place.file(folder).join(OsStr::from_bytes(name)), text).unwrap();
            }
        };
        for skip in [0, 1] {
            write(".", skip, "before\n");
            write("-d", skip, "before\n");
            write("gone", skip, "before\n");
        }
        place.git(&["add", "-A"]);
        place.git(&["commit", "-qm", "odd"]);
        write(".", 0, "after\n");
        write("-d", 1, "after\r\n");
        write("new \\", 0, "new\n");
        fs::remove_dir_all(place.file("gone")).unwrap();
        let (expected, before) = (place.plain_tree(), place.fingerprint());
        let exported = place.export(shell, "HEAD", "difference");
        assert_eq!(exported.header["tree"], expected, "{shell:?}");
        place.untouched_since(&before);
        assert_eq!(place.applied(&exported.patch), expected, "{shell:?}");

        // The same names as flagged entries, as nested repositories with such files, as FIFOs, as what cannot be read.
        let place = Place::new();
        let write = |folder: &[u8], text: &str| {
            for name in odd_names() {
                let path = [folder, &name].concat();
                fs::write(place.path("w").join(OsStr::from_bytes(&path)), text).unwrap();
            }
        };
        write(b"", "before\n");
        place.git(&["add", "-A"]);
        place.git(&["commit", "-qm", "odd"]);
        place.sh("git ls-files -z | git update-index -z --assume-unchanged --stdin
            git ls-files -z | git update-index -z --skip-worktree --stdin");
        write(b"", "after\n");
        for name in odd_names().iter().filter(|name| name.len() < 100) {
            let folder = [b"nested ".as_slice(), name].concat();
            let folder = place.path("w").join(OsStr::from_bytes(&folder));
            fs::create_dir(&folder).unwrap();
            let init = place.command("git").current_dir(&folder).args(["init", "-q"]).status().unwrap();
            assert!(init.success());
            fs::write(folder.join(OsStr::from_bytes(name)), "nested\n").unwrap();
            let fifo = [b"fifo ".as_slice(), name].concat();
            assert!(
                place.command("mkfifo").arg(place.file(".").join(OsStr::from_bytes(&fifo))).status().unwrap().success()
            );
        }
        let before = place.fingerprint();
        let exported = place.export(shell, "HEAD", "difference");
        place.untouched_since(&before);
        let count = odd_names().len();
        assert_eq!(exported.noted("nested-repository").len(), count - 1, "{shell:?}");
        assert_eq!(exported.noted("special-file").len(), count - 1, "{shell:?}");
        let mut noted: Vec<_> =
            exported.notes.iter().filter(|note| note.0 == "nested-repository").map(|note| note.1.clone()).collect();
        let mut names: Vec<_> = odd_names()
            .iter()
            .filter(|name| name.len() < 100)
            .map(|name| [b"nested ".as_slice(), name].concat())
            .collect();
        noted.sort();
        names.sort();
        assert_eq!(noted, names, "{shell:?}");
        place.sh("for nested in nested*; do rm -rf \"$nested/.git\"; done
            git ls-files -z | git update-index -z --no-assume-unchanged --stdin
            git ls-files -z | git update-index -z --no-skip-worktree --stdin");
        assert_eq!(exported.header["tree"], place.plain_tree(), "{shell:?}");
    }
}

/// What the host would ship from `w`: the arguments of prepare, but for the workspace; and the pack.
struct Shipped {
    args: Vec<(&'static str, String)>,
    pack: Vec<u8>,
}

impl Shipped {
    fn arg(&self, name: &str) -> &str {
        &self.args.iter().find(|(given, _)| *given == name).unwrap().1
    }
}

impl Place {
    /// Takes HEAD and the edits of tracked files, as a commit on top of it.
    fn ship(&self, branch: &str, limits: &[&str]) -> Shipped {
        self.sh("rm -rf ../ship; cp -a . ../ship; cd ../ship; git add -u; git commit -qm baseline");
        let baseline = self.git_in("ship", &["rev-parse", "HEAD"]);
        let unborn = self.git_in("ship", &["rev-list", "--count", "HEAD"]) == "1";
        let head = if unborn {
            let tree = self.git_in("ship", &["hash-object", "-w", "-t", "tree", "/dev/null"]);
            self.git_in("ship", &["commit-tree", "-m", "empty", &tree])
        } else {
            self.git_in("ship", &["rev-parse", "HEAD^"])
        };
        let format = if head.len() == 40 { "sha1" } else { "sha256" };
        let list = format!("printf '%s\\n' {head} {baseline} {} >../revs", limits.join(" "));
        self.sh(&list);
        let text = "git pack-objects -q --revs --shallow --stdout <../revs";
        let shallow = if limits.is_empty() { String::new() } else { head.clone() };
        if !limits.is_empty() {
            fs::write(self.path("ship/.git/shallow"), format!("{head}\n")).unwrap();
        }
        let output = self.command("sh").current_dir(self.path("ship")).args(["-c", text]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let unborn = if unborn { "1" } else { "" };
        let args = [
            ("branch", branch),
            ("head", &head),
            ("unborn", unborn),
            ("baseline", &baseline),
            ("object_format", format),
            ("user_name", "Host User"),
            ("user_email", "host@example.org"),
            ("shallow", &shallow),
        ];
        Shipped { args: args.map(|(name, value)| (name, value.to_owned())).to_vec(), pack: output.stdout }
    }

    fn prepare_script(&self, path: &str, shipped: &Shipped) -> Vec<u8> {
        let mut args = vec![("workspace", path)];
        args.extend(shipped.args.iter().map(|(name, value)| (*name, value.as_str())));
        script(&["prelude.sh", "place.sh", "prepare.sh"], NONCE, &args, &[]).into_bytes()
    }
}

/// Makes a repository of the newer format, or of the older one where git is too old to know it.
const SHA256: &str = "git init -q --object-format=sha256 2>&1 || git init -q";

#[test]
fn a_prepared_workspace_is_what_was_shipped() {
    for (shell, init) in SHELLS.iter().zip(["git init -q", SHA256, "git init -q"]) {
        let place = Place::new();
        place.sh(&format!("rm -rf .git; {init}; git symbolic-ref HEAD refs/heads/main; mkdir d; ln -s d/e link
            printf 'a\\r\\n' >crlf; for f in a b c d/e; do echo $f >$f; done; chmod +x b; git add .; git commit -qm first
            echo x >>a; git commit -qam second; echo y >>a; rm c; chmod +x d/e; ln -sf b link; echo u >untracked"));
        fs::write(place.path("home/.gitconfig"), "[core]\n\tautocrlf = true\n[init]\n\tdefaultObjectFormat = sha256\n")
            .unwrap();
        let shipped = place.ship("refs/heads/work", &[]);
        let script = place.prepare_script("~/deep/er/work space", &shipped);
        let output = place.run(shell, &[], &script, &shipped.pack);
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let at = place.path("home/deep/er/work space");
        let said = String::from_utf8(output.stdout).unwrap();
        let expected = format!("git-banger 1 {NONCE}\npath {}\n\n\ngit-banger end {NONCE}\n", at.to_str().unwrap());
        assert_eq!(said, expected, "{shell:?}");
        let workspace = "home/deep/er/work space";
        assert_eq!(place.git_in(workspace, &["symbolic-ref", "HEAD"]), "refs/heads/work");
        assert_eq!(place.git_in(workspace, &["rev-parse", "HEAD"]), shipped.arg("head"));
        assert_eq!(place.git_in(workspace, &["rev-list", "--count", "HEAD"]), "2");
        let status = place.git_in(workspace, &["status", "--porcelain"]);
        assert_eq!(status, " M a\n D c\n M d/e\n M link", "{shell:?}");
        assert_eq!(place.git_in(workspace, &["config", "user.name"]), "Host User");
        assert_eq!(fs::read(at.join("crlf")).unwrap(), b"a\r\n");
        assert_eq!(fs::read_link(at.join("link")).unwrap(), Path::new("b"));
        for (name, mode) in
            [("a", 0o100644), ("b", 0o100755), ("d/e", 0o100755), ("d", 0o040755), (".git/HEAD", 0o100644)]
        {
            assert_eq!(fs::metadata(at.join(name)).unwrap().mode(), mode, "{shell:?}: {name}");
        }
        place.git_in(workspace, &["fsck", "--strict"]);
        place.no_leftovers();
        // Nothing was done there yet, so the snapshot is the baseline.
        let baseline = format!("{}^{{tree}}", shipped.arg("baseline"));
        let args = [
            ("workspace", at.to_str().unwrap()),
            ("base", "HEAD"),
            ("payload", "difference"),
            ("prepared", shipped.arg("head")),
            ("baseline", shipped.arg("baseline")),
        ];
        let before = fingerprint(&at);
        let exported = Exported::parse(&place.run(shell, &[], &export_script(&args), b"").stdout);
        before.assert_same(&fingerprint(&at));
        assert_eq!(exported.header["tree"], place.git_in("ship", &["rev-parse", &baseline]), "{shell:?}");
        assert_eq!(exported.header["since"], "0");
    }
}

#[test]
fn prepare_takes_a_head_without_commits_or_branch_or_history() {
    for shell in SHELLS {
        let place = Place::new();
        place.sh("echo a >a; git add a; mkdir ../home/empty");
        let shipped = place.ship("refs/heads/main", &[]);
        let output = place.run(shell, &[], &place.prepare_script("empty", &shipped), &shipped.pack);
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.git_in("home/empty", &["status", "--porcelain"]), "?? a", "{shell:?}");
        let place = Place::worked_in();
        let head = place.git(&["rev-parse", "HEAD"]);
        let parent = place.git(&["rev-parse", "HEAD^"]);
        let shipped = place.ship("", &[&format!("^{parent}"), &format!("'--shallow {head}'")]);
        let output = place.run(shell, &[], &place.prepare_script("new", &shipped), &shipped.pack);
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.git_in("home/new", &["rev-parse", "HEAD"]), head);
        assert!(fs::read_to_string(place.path("home/new/.git/HEAD")).unwrap().starts_with(&head));
        assert_eq!(place.git_in("home/new", &["rev-list", "--count", "HEAD"]), "1", "{shell:?}");
        place.git_in("home/new", &["fsck"]);
    }
}

#[test]
fn prepare_refuses_a_path_that_is_taken_and_changes_nothing_there() {
    for shell in SHELLS {
        let place = Place::worked_in();
        let shipped = place.ship("refs/heads/main", &[]);
        place.sh("cd ../home; mkdir dotted; echo x >dotted/.x; echo file >file; ln -s nowhere dangling");
        let before = fingerprint(&place.path("home"));
        for path in [place.path("w").to_str().unwrap(), "~/dotted", "~/file", "dangling"] {
            let output = place.run(shell, &[], &place.prepare_script(path, &shipped), &shipped.pack);
            assert_eq!(output.status.code(), Some(87), "{shell:?} {path}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        }
        before.assert_same(&fingerprint(&place.path("home")));
        place.no_leftovers();
    }
}

#[test]
fn a_workspace_is_prepared_again_if_it_is_as_the_host_believes_and_only_then() {
    for (shell, init) in SHELLS.iter().zip(["git init -q", SHA256, "git init -q"]) {
        let place = Place::new();
        place.sh(&format!(
            "rm -rf .git; {init}; git symbolic-ref HEAD refs/heads/main; mkdir d
            for f in a b c d/e; do echo $f >$f; done; echo '*.o' >.gitignore; git add .; git commit -qm first
            git clone -q . ../host; echo x >>a; git commit -qam work; echo y >>b; rm c; echo new >'new file'
            echo built >x.o"
        ));
        let exported = place.export(shell, "HEAD", "difference");
        place.sh("cd ../host; echo host >>d/e; git rm -q c; echo added >'added file'; git add .
            git -c user.name=h -c user.email=h commit -qm second; echo z >>a; git commit -qam 'baseline'");
        let host = |args: &[&str]| place.git_in("host", args);
        let (head, baseline) = (host(&["rev-parse", "HEAD~"]), host(&["rev-parse", "HEAD"]));
        let work = place.path("host");
        let mut git = place.command("git");
        git.current_dir(&work).args(["pack-objects", "-q", "--revs", "--thin", "--stdout"]);
        let mut pack = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = format!("{baseline}\n^{}\n", host(&["rev-parse", "HEAD~2"]));
        pack.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let pack = pack.wait_with_output().unwrap().stdout;
        let workspace = place.path("w");
        let script = |expected: &str| {
            let args = [
                ("workspace", workspace.to_str().unwrap()),
                ("base", "HEAD"),
                ("ignore_unreadable", "1"),
                ("expected", expected),
                ("new_branch", "refs/heads/main"),
                ("new_head", &head),
                ("new_baseline", &baseline),
                ("ignores", "it's *\n# b"),
            ];
            script(&["prelude.sh", "workspace.sh", "snapshot.sh", "place.sh", "again.sh"], NONCE, &args, &[])
                .into_bytes()
        };
        let before = fingerprint(&workspace).files_only();
        let output = place.run(shell, &[], &script(&head), &pack);
        assert_eq!(output.status.code(), Some(77), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let mut child = place.start(shell, &[], &script(&exported.header["commit"]));
        child.stdin.take().unwrap().write_all(&pack[..pack.len() - 1]).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(88), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        before.assert_same(&fingerprint(&workspace).files_only());
        let output = place.run(shell, &[], &script(&exported.header["commit"]), &pack);
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.git(&["status", "--porcelain"]), " M a", "{shell:?}");
        assert_eq!(place.git(&["rev-parse", "HEAD", "refs/banger/baseline"]), format!("{head}\n{baseline}"));
        assert_eq!(place.git(&["diff", "--name-only", &baseline]), "");
        assert_eq!(place.git(&["show", "refs/banger/replaced:new file"]), "new");
        assert!(fs::read_to_string(workspace.join(".git/info/exclude")).unwrap().contains("\nit's *\n# b\n"));
        assert!(workspace.join("x.o").exists() && !workspace.join("new file").exists(), "{shell:?}");
        place.git(&["fsck", "--strict"]);
        place.no_leftovers();
    }
}

#[test]
fn a_prepare_that_is_cut_leaves_nothing_behind() {
    let place = Place::worked_in();
    place.sh("for i in $(seq 200); do echo $i >many$i; done; git add .");
    let shipped = place.ship("refs/heads/main", &[]);
    fs::create_dir(place.path("home/empty")).unwrap();
    for shell in SHELLS {
        for path in ["new/workspace", "empty"] {
            let script = place.prepare_script(path, &shipped);
            let clean = |case: &str| {
                let at = place.path("home").join(path);
                let left = fs::read_dir(&at).map(Iterator::count);
                assert!(
                    left.as_ref().map_or(path != "empty", |&left| left == 0 && path == "empty"),
                    "{shell:?} {case}: {left:?}"
                );
                place.no_leftovers();
            };
            let length = shipped.pack.len();
            for cut in [0, 1, 11, 12, 13, length / 2, length - 21, length - 20, length - 1] {
                let mut child = place.start(shell, &[], &script);
                child.stdin.take().unwrap().write_all(&shipped.pack[..cut]).unwrap();
                let output = child.wait_with_output().unwrap();
                assert_eq!(output.status.code(), Some(88), "{shell:?} cut at {cut}");
                assert!(output.stdout.is_empty());
                clean(&format!("cut at {cut}"));
            }
            for round in 0..20 {
                let mut child = place.start(shell, &[], &script);
                let mut stdin = child.stdin.take().unwrap();
                let _ = stdin.write_all(&shipped.pack);
                std::thread::sleep(Duration::from_millis(2 * round));
                let group = format!("-{}", child.id());
                let signal = ["TERM", "HUP", "INT", "PIPE"][round as usize % 4];
                let _ = Command::new("kill").args(["-s", signal, "--", &group]).stderr(Stdio::null()).status();
                let output = child.wait_with_output().unwrap();
                if output.status.success() {
                    fs::remove_dir_all(place.path("home").join(path)).unwrap();
                    let _ = path == "empty" && fs::create_dir(place.path("home/empty")).is_ok();
                }
                clean(&format!("{signal} {output:?}"));
            }
        }
    }
}

#[test]
fn a_workspace_of_another_user_needs_that_users_trust_and_then_works_read_only() {
    if unprivileged().is_empty() {
        eprintln!("skipped: only root can run as another user");
        return;
    }
    for shell in SHELLS {
        let place = Place::worked_in();
        let path = place.path("w");
        let script = place.export_script(&[("base", "HEAD"), ("payload", "difference")]);
        let before = place.fingerprint();
        let output = place.run(shell, &unprivileged(), &script, b"");
        assert_eq!(output.status.code(), Some(99), "{shell:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("belongs to another user"));
        fs::write(place.path("home/.gitconfig"), format!("[safe]\n\tdirectory = {}\n", path.display())).unwrap();
        let output = place.run(shell, &unprivileged(), &script, b"");
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        place.untouched_since(&before);
        place.no_leftovers();
        assert_eq!(Exported::parse(&output.stdout).header["tree"], place.plain_tree(), "{shell:?}");
    }
}

#[test]
fn a_guest_without_git_or_with_an_old_one_is_told() {
    for shell in SHELLS {
        let place = Place::worked_in();
        let script = place.export_script(&[("base", "HEAD"), ("payload", "difference")]);
        place.sh(
            "mkdir ../bin; for tool in mkdir rm find sleep kill dd cat; do ln -s $(command -v $tool) ../bin/; done",
        );
        let bin = format!("PATH={}", place.path("bin").display());
        let program = place.command("sh").args(["-c", &format!("command -v {}", shell[0])]).output().unwrap().stdout;
        let program = String::from_utf8(program).unwrap();
        let shell = [&[program.trim_end()], &shell[1..]].concat();
        let run = || place.run(&shell, &["/usr/bin/env", &bin], &script, b"");
        assert_eq!(run().status.code(), Some(81), "{shell:?}");
        for (version, code) in [("2.24.9", 82), ("1.8.3.1", 82), ("2.9.5 (Apple Git-1)", 82), ("nonsense", 82)] {
            place.sh(&format!(
                "printf '#!/bin/sh\necho \"git version %s\"\n' '{version}' >../bin/git; chmod +x ../bin/git"
            ));
            assert_eq!(run().status.code(), Some(code), "{shell:?} {version}");
        }
        place.no_leftovers();
    }
}

#[test]
fn a_full_disk_is_said_to_be_one_and_changes_nothing() {
    let place = Place::worked_in();
    place.sh("dd if=/dev/urandom of=big bs=65536 count=64 2>/dev/null");
    let tmp = place.path("tmp");
    let mounted = place.command("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&tmp).output().unwrap();
    if !mounted.status.success() {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let before = place.fingerprint();
    let script = place.export_script(&[("base", "HEAD"), ("payload", "difference")]);
    let shipped = Shipped { args: vec![("object_format", "sha1".to_owned())], pack: Vec::new() };
    let mut ended = Vec::new();
    for shell in SHELLS {
        ended.push(place.run(shell, &[], &script, b""));
        let workspace = tmp.join("workspace");
        let script = place.prepare_script(workspace.to_str().unwrap(), &shipped);
        let pack = fs::read(place.file("big")).unwrap();
        place.sh("dd if=/dev/zero of=../tmp/filler bs=1024 count=900 2>/dev/null");
        ended.push(place.run(shell, &[], &script, &pack));
        fs::remove_file(tmp.join("filler")).unwrap();
    }
    let left: Vec<_> = fs::read_dir(&tmp).unwrap().collect();
    assert!(place.command("umount").arg(&tmp).status().unwrap().success());
    assert!(left.is_empty(), "{left:?}");
    place.untouched_since(&before);
    for output in ended {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(86 | 88)), "{:?}: {said}", output.status);
    }
}

#[test]
fn files_that_change_while_they_are_read_are_taken_whole() {
    for shell in SHELLS {
        let place = Place::worked_in();
        place.sh("for i in $(seq 400); do echo $i >new$i; done");
        let stop = place.path("stop");
        let mut writer = place.command("sh");
        writer.current_dir(place.path("w")).args([
            "-c",
            "i=0; while test -e ../tmp && test ! -e ../stop; do i=$((i+1)); echo $i >>growing
            echo $i >fleeting$((i % 7)); rm -f fleeting$(((i + 3) % 7)) new$((i % 400)); done",
        ]);
        let mut writer = writer.spawn().unwrap();
        for _ in 0..5 {
            let script = place.export_script(&[("base", "HEAD"), ("payload", "difference")]);
            let output = place.run(shell, &[], &script, b"");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 89)), "{shell:?}: {:?} {said}", output.status);
            if output.status.success() {
                let exported = Exported::parse(&output.stdout);
                assert_eq!(place.applied(&exported.patch), exported.header["tree"]);
            }
        }
        fs::write(stop, "").unwrap();
        writer.wait().unwrap();
        place.no_leftovers();
    }
}

#[test]
fn a_fifo_in_place_of_a_file_is_named_and_the_file_is_gone() {
    for shell in SHELLS {
        let place = Place::worked_in();
        place.sh("rm kept; mkfifo kept; git init -q nested; echo x >nested/x");
        let exported = place.export(shell, "HEAD", "difference");
        assert_eq!(exported.noted("special-file"), ["kept"], "{shell:?}");
        assert!(
            String::from_utf8_lossy(&exported.patch).contains("diff --git a/kept b/kept\ndeleted file"),
            "{shell:?}"
        );
    }
}

#[test]
fn what_no_snapshot_takes_is_told_and_nothing_is_touched() {
    for shell in SHELLS {
        let place = Place::worked_in();
        let main = place.git(&["rev-parse", "HEAD"]);
        let none = [("more-refs", "0"), ("more-worktrees", "0"), ("operations", ""), ("stashes", "0")];
        let none: Header = none.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(place.status(shell, "w", ""), (none, Vec::new()), "{shell:?}");
        place.sh("git stash -q; git stash apply -q; echo more >>edited; git stash -q; git stash apply -q
            git checkout -q -b mine; git commit -qm one --allow-empty; git commit -qm two --allow-empty
            git tag -a -m tag v1; git checkout -q --detach; git commit -qm three --allow-empty; git tag v2
            git checkout -q main; git bisect start >/dev/null");
        // One that is as committed, one in a folder of an odd name, one whose index may not be read.
        place.sh("git worktree add -q ../clean mine; git worktree add -q --detach \"../an odd 'name'\"
            echo x >\"../an odd 'name'/new\"; git worktree add -q -b split ../split
            git -C ../split update-index --split-index; ls .git/worktrees/split/sharedindex.* >/dev/null");
        let stood = || fingerprint(&place.path("")).files_only().without(&[place.path("script"), place.path("tmp")]);
        let before = stood();
        let (header, told) = place.status(shell, "w", &format!("{} {}", "0".repeat(40), main));
        before.assert_same(&stood());
        let wanted = [("more-refs", "0"), ("more-worktrees", "0"), ("operations", " bisect"), ("stashes", "2")];
        assert_eq!(header, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), "{shell:?}");
        let refs = ["ref refs/heads/mine 2", "ref refs/tags/v1 2", "ref refs/tags/v2 3"];
        let worktrees = [
            "worktree <place>/an odd 'name' - changed",
            "worktree <place>/clean refs/heads/mine clean",
            "worktree <place>/split refs/heads/split unknown",
        ];
        let (own, mut trees) = told.split_at(refs.len() * 3);
        assert_eq!(own.chunks(3).map(|record| record.join(" ")).collect::<Vec<_>>(), refs, "{shell:?}");
        let mut linked: Vec<_> = trees.chunks(4).map(|record| record.join(" ")).collect();
        linked.sort();
        assert_eq!(linked, worktrees, "{shell:?}");
        // What was given is not the guest's alone; and a linked worktree sees the main one, and the others.
        let (_, told) = place.status(shell, "w", &place.git(&["rev-parse", "v1^{}", "v2"]).replace('\n', " "));
        assert!(!told.contains(&"ref".to_owned()), "{shell:?}: {told:?}");
        let (header, told) = place.status(shell, "clean", "");
        assert_eq!(header["operations"], "", "{shell:?}");
        trees = &told[told.iter().position(|word| word == "worktree").unwrap()..];
        let first = &trees[..4];
        assert_eq!(first, ["worktree", "<place>/w", "refs/heads/main", "changed"], "{shell:?}: {told:?}");
        before.assert_same(&stood());
        // What git passes over counts.
        place.sh("echo broken >.git/refs/heads/broken; rm .git/worktrees/clean/gitdir");
        let (header, told) = place.status(shell, "w", "");
        assert_eq!(
            (header["more-refs"].as_str(), header["more-worktrees"].as_str()),
            ("1", "1"),
            "{shell:?}: {told:?}"
        );
        place.sh("rm .git/refs/heads/broken");
        // A guest that has very many is still answered.
        place.sh("for i in $(seq 210); do echo \"create refs/heads/many$i v2\"; done | git update-ref --stdin");
        let (header, told) = place.status(shell, "w", "");
        assert_eq!((header["more-refs"].as_str(), told.iter().filter(|word| *word == "ref").count()), ("13", 200));
        place.no_leftovers();
    }
}

#[test]
fn the_scripts_are_clean_under_shellcheck() {
    let place = Place::new();
    for parts in [
        &["prelude.sh", "workspace.sh", "snapshot.sh", "export.sh"][..],
        &["prelude.sh", "workspace.sh", "status.sh"],
        &["prelude.sh", "place.sh", "look.sh"],
        &["prelude.sh", "place.sh", "prepare.sh"],
        &["prelude.sh", "workspace.sh", "snapshot.sh", "place.sh", "again.sh"],
    ] {
        fs::write(place.path("script"), script(parts, NONCE, &[], &[])).unwrap();
        let mut shellcheck = place.command("shellcheck");
        shellcheck.args(["-s", "sh"]).arg(place.path("script"));
        let output = shellcheck.output().expect("shellcheck is installed");
        assert!(output.status.success(), "{parts:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn every_object_of_an_export_is_made_in_the_quarantine() {
    let text = sources(&["workspace.sh", "snapshot.sh", "export.sh"]);
    assert!(text.contains("GIT_INDEX_FILE=$gb_dir/index GIT_OBJECT_DIRECTORY=$gb_dir/objects"));
    let makes = [" add -A", "update-index --add", "hash-object", "index-pack", "unpack-objects", "commit-tree"];
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for (at, _) in makes.iter().flat_map(|make| line.match_indices(make)) {
            let call = line[..at].rfind("blind_git");
            assert!(call.is_some_and(|call| !line[call..at].contains('|')), "not by blind_git: {line}");
        }
    }
    assert!(!text.contains("git add ."), "what is not seen here cannot be judged");
    let prelude = sources(&["prelude.sh"]);
    assert!(prelude.contains("trap 'gb_end $?' EXIT") && prelude.contains("rm -rf -- \"$gb_dir\""));
}
