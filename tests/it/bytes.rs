//! What stands on the host's disk is not what git stores: line ends, encodings, filters, pointers, names, and attributes
//! that a guest may send. After each pull the host's files are compared byte for byte.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines};
use crate::support::{set_mode, write_file, write_program};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Pulls, which must land exactly this; returns what was said.
fn pulls(host: &Host, landed: &str) -> String {
    let run = host.run(&SINCE);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), landed), "{}", run.stderr);
    run.stderr
}

/// Pulls, which must be refused for these paths, each with its kind, and change nothing; says so again when asked again.
fn refuses(host: &Host, reasons: &[(&str, &str)]) {
    let (files, standing) = (host.files_but(&[]), host.standing());
    for _ in 0..2 {
        let run = host.run(&[&SINCE[..], &["--json"]].concat());
        let error = &serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap()["error"];
        let told = error["paths"].as_array().into_iter().flatten();
        let told: Vec<_> = told.map(|it| (it["path"].as_str().unwrap(), it["kind"].as_str().unwrap())).collect();
        assert_eq!((run.code, told.as_slice()), (Some(1), reasons), "{}{}", run.stdout, run.stderr);
        files.assert_same(&host.files_but(&[]));
        standing.assert_same(&host.standing());
    }
}

/// Returns what is lost when a file is written anew: its inode and time, and whether it can be run.
fn stood(path: &PathBuf) -> (u64, i64, i64, bool) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.mode() & 0o100 != 0)
}

/// A way in which the bytes on a disk differ from the content that git has.
struct Form {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    attributes: &'static str,
    /// The files are committed before the settings and attributes are there.
    before: bool,
    host: fn(&str) -> Vec<u8>,
    guest: fn(&str) -> Vec<u8>,
    /// git can tell that a file is as it was.
    steady: bool,
}

fn plain(text: &str) -> Vec<u8> {
    text.into()
}

fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn rot13(text: &str) -> Vec<u8> {
    let turn = |byte: u8| if byte.is_ascii_lowercase() { (byte - b'a' + 13) % 26 + b'a' } else { byte };
    text.bytes().map(turn).collect()
}

const CRYPT: &[(&str, &str)] = &[
    ("filter.crypt.clean", "tr a-z n-za-m"),
    ("filter.crypt.smudge", "tr n-za-m a-z"),
    ("filter.crypt.required", "true"),
];
/// No two results of it are the same.
const AGE: &[(&str, &str)] = &[
    ("filter.age.clean", "od -An -N8 -tx8 /dev/urandom; cat"),
    ("filter.age.smudge", "tail -n +2"),
    ("filter.age.required", "true"),
];
/// What `output:` says is lost.
const STRIP: &[(&str, &str)] = &[("filter.strip.clean", "sed '/^output:/d'"), ("filter.strip.smudge", "cat")];

const FORMS: [Form; 10] = [
    Form {
        name: "text=auto",
        settings: &[],
        attributes: "* text=auto\n",
        before: true,
        host: crlf,
        guest: crlf,
        steady: true,
    },
    Form {
        name: "autocrlf",
        settings: &[("core.autocrlf", "true")],
        attributes: "",
        before: false,
        host: crlf,
        guest: plain,
        steady: true,
    },
    Form {
        name: "autocrlf, CRLF stored",
        settings: &[("core.autocrlf", "true")],
        attributes: "",
        before: true,
        host: crlf,
        guest: crlf,
        steady: true,
    },
    Form {
        name: "autocrlf=input, CRLF stored",
        settings: &[("core.autocrlf", "input")],
        attributes: "",
        before: true,
        host: crlf,
        guest: crlf,
        steady: true,
    },
    Form {
        name: "eol",
        settings: &[],
        attributes: "*.t text eol=crlf\n",
        before: false,
        host: crlf,
        guest: crlf,
        steady: true,
    },
    Form {
        name: "encoding",
        settings: &[],
        attributes: "*.t text working-tree-encoding=UTF-16LE\n",
        before: false,
        host: utf16,
        guest: utf16,
        steady: true,
    },
    Form {
        name: "crypt",
        settings: CRYPT,
        attributes: "*.t filter=crypt\n",
        before: false,
        host: plain,
        guest: rot13,
        steady: true,
    },
    Form {
        name: "age",
        settings: AGE,
        attributes: "*.t filter=age\n",
        before: false,
        host: plain,
        guest: plain,
        steady: false,
    },
    Form {
        name: "strip",
        settings: STRIP,
        attributes: "*.t filter=strip\n",
        before: false,
        host: plain,
        guest: plain,
        steady: true,
    },
    Form {
        name: "the user's own attributes",
        settings: &[("core.attributesFile", "~/attributes")],
        attributes: "",
        before: false,
        host: crlf,
        guest: plain,
        steady: true,
    },
];

impl Form {
    /// Makes a host whose files are in this form, as a checkout writes them, and ships them.
    fn host(&self, guest: &TestGuest, names: &[&str]) -> Host {
        let host = self.checked_out(guest, names);
        host.prepare();
        host
    }

    fn checked_out(&self, guest: &TestGuest, names: &[&str]) -> Host {
        let host = Host::empty(guest);
        host.write("../home/attributes", "*.t text eol=crlf\n");
        let put = || {
            for name in names {
                host.write(&format!("{name}.t"), (self.host)(&lines(name)));
            }
            host.commit("files");
        };
        if self.before {
            put();
        }
        for (key, value) in self.settings {
            host.git(&["config", key, value]);
        }
        host.write(".gitattributes", self.attributes);
        host.commit("attributes");
        if !self.before {
            put();
        }
        for name in names {
            fs::remove_file(host.file(&format!("{name}.t"))).unwrap();
        }
        host.git(&["checkout", "-q", "--", "."]);
        for name in names {
            assert_eq!(fs::read(host.file(&format!("{name}.t"))).unwrap(), (self.host)(&lines(name)), "{}", self.name);
        }
        host
    }

    /// Has the worker edit a line.
    fn work(&self, guest: &TestGuest, path: &str, from: &str, to: &str) {
        replace(&guest.file(path), &(self.guest)(from), &(self.guest)(to));
    }

    /// Edits a line here.
    fn edit(&self, host: &Host, path: &str, from: &str, to: &str) {
        replace(&host.file(path), &(self.host)(from), &(self.host)(to));
    }

    fn holds(&self, host: &Host, path: &str, text: &str) {
        let (is, expected) = (fs::read(host.file(path)).unwrap(), (self.host)(text));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(is == expected, "{}, {path}: {:?}\nin place of {:?}", self.name, text(&is), text(&expected));
    }

    fn status(&self, host: &Host, expected: &str) {
        if self.steady {
            assert_eq!(host.git(&["status", "--porcelain", "--no-renames", "-uall"]), expected, "{}", self.name);
        }
    }
}

/// Replaces bytes that are in a file once, as an editor does that knows nothing of what they mean.
fn replace(path: &PathBuf, from: &[u8], to: &[u8]) {
    let bytes = fs::read(path).unwrap();
    let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{path:?} has {:?} at {places:?}", String::from_utf8_lossy(from));
    let rest = &bytes[places[0] + from.len()..];
    write_file(path, &[&bytes[..places[0]], to, rest].concat());
}

/// What is done on the host between two pulls.
const BETWEEN: [(&str, &[&[&str]]); 5] = [
    ("nothing", &[]),
    ("staged", &[&["add", "-A"]]),
    ("committed", &[&["add", "-A"], &["commit", "-qm", "what landed"]]),
    ("renormalized", &[&["add", "-A"], &["add", "--renormalize", "."], &["commit", "-qm", "what landed"]]),
    (
        "checked out anew",
        &[
            &["add", "-A"],
            &["commit", "-qm", "what landed"],
            &["checkout", "-q", "HEAD~1"],
            &["checkout", "-q", "main"],
        ],
    ),
];

#[test]
fn converted_files_land_byte_for_byte_again_and_again() {
    let names = ["both", "edit", "gone", "keep", "mode", "move", "roam", "stray", "taken"];
    for (number, form) in FORMS.iter().enumerate() {
        let guest = TestGuest::russh();
        let host = form.host(&guest, &names);
        let (between, commands) = BETWEEN[number % BETWEEN.len()];
        println!("{}, {between}", form.name);
        let kept = stood(&host.file("keep.t"));

        form.work(&guest, "edit.t", "edit 1\n", "edit 1 worker\n");
        form.work(&guest, "both.t", "both 3\n", "both 3 worker\n");
        form.edit(&host, "both.t", "both 10\n", "both 10 host\n");
        set_mode(&guest.file("mode.t"), 0o755);
        for (from, to) in [("move.t", "moved.t"), ("roam.t", "roamed.t"), ("stray.t", "strayed.t")] {
            guest.git(&["mv", from, to]);
        }
        form.work(&guest, "roamed.t", "roam 3\n", "roam 3 worker\n");
        form.edit(&host, "roam.t", "roam 10\n", "roam 10 host\n");
        form.edit(&host, "stray.t", "stray 10\n", "stray 10 host\n");
        // Renamed here, without a commit, and new on both sides.
        fs::rename(host.file("taken.t"), host.file("aside.t")).unwrap();
        form.work(&guest, "taken.t", "taken 3\n", "taken 3 worker\n");
        fs::remove_file(guest.file("gone.t")).unwrap();
        let moved = stood(&host.file("move.t"));
        let strayed = stood(&host.file("stray.t"));
        pulls(
            &host,
            "M\taside.t\nM\tboth.t\nM\tedit.t\nD\tgone.t\nM\tmode.t\nR100\tmove.t\tmoved.t\nD\troam.t\nA\troamed.t\n\
             R100\tstray.t\tstrayed.t\n",
        );
        form.holds(&host, "roamed.t", &lines("roam").replace(" 3\n", " 3 worker\n").replace(" 10\n", " 10 host\n"));
        form.holds(&host, "aside.t", &lines("taken").replace(" 3\n", " 3 worker\n"));
        form.holds(&host, "strayed.t", &lines("stray").replace(" 10\n", " 10 host\n"));
        assert_eq!(stood(&host.file("strayed.t")), strayed, "{}: the file was not moved", form.name);
        form.holds(&host, "edit.t", &edited("edit", 1).replace("edited", "worker"));
        form.holds(&host, "both.t", &lines("both").replace(" 3\n", " 3 worker\n").replace(" 10\n", " 10 host\n"));
        form.holds(&host, "mode.t", &lines("mode"));
        form.holds(&host, "moved.t", &lines("move"));
        assert_eq!(stood(&host.file("moved.t")), moved, "{}: the file was not moved", form.name);
        assert!(stood(&host.file("mode.t")).3 && !host.file("move.t").exists() && !host.file("gone.t").exists());
        form.status(
            &host,
            " M both.t\n M edit.t\n D gone.t\n M mode.t\n D move.t\n\
             \x20D roam.t\n D stray.t\n D taken.t\n?? aside.t\n?? moved.t\n?? roamed.t\n?? strayed.t",
        );
        pulls(&host, "");

        // Each form with another thing between the pulls.
        for args in commands {
            host.git(args);
        }
        form.work(&guest, "edit.t", "edit 5\n", "edit 5 worker\n");
        form.work(&guest, "both.t", "both 6\n", "both 6 worker\n");
        form.edit(&host, "edit.t", "edit 10\n", "edit 10 host\n");
        set_mode(&guest.file("mode.t"), 0o644);
        guest.git(&["add", "-A"]);
        fs::create_dir(guest.file("deep")).unwrap();
        guest.git(&["mv", "moved.t", "deep/moved.t"]);
        pulls(&host, "M\tboth.t\nR100\tmoved.t\tdeep/moved.t\nM\tedit.t\nM\tmode.t\n");
        let text = lines("edit").replace(" 1\n", " 1 worker\n").replace(" 5\n", " 5 worker\n");
        form.holds(&host, "edit.t", &text.replace(" 10\n", " 10 host\n"));
        let text = lines("both").replace(" 3\n", " 3 worker\n").replace(" 6\n", " 6 worker\n");
        form.holds(&host, "both.t", &text.replace(" 10\n", " 10 host\n"));
        form.holds(&host, "deep/moved.t", &lines("move"));
        if between != "checked out anew" {
            assert_eq!(stood(&host.file("deep/moved.t")), moved, "{}: the file was not moved again", form.name);
        }
        assert!(!stood(&host.file("mode.t")).3, "{}", form.name);

        // All that landed goes.
        for name in ["both.t", "edit.t", "mode.t"] {
            fs::remove_file(guest.file(name)).unwrap();
        }
        refuses(&host, &[("both.t", "deleted-there"), ("edit.t", "deleted-there")]);
        form.edit(&host, "both.t", "both 10 host\n", "both 10\n");
        form.edit(&host, "edit.t", "edit 10 host\n", "edit 10\n");
        pulls(&host, "D\tboth.t\nD\tedit.t\nD\tmode.t\n");
        assert_eq!(stood(&host.file("keep.t")), kept, "{}", form.name);
        form.holds(&host, "keep.t", &lines("keep"));
    }
}

#[test]
fn what_a_filter_would_lose_stays_and_the_edits_land() {
    const LOSSY: &[(&str, &str)] =
        &[("filter.lossy.clean", "sed '/^output:/d' | tr a-z n-za-m"), ("filter.lossy.smudge", "tr n-za-m a-z")];
    let form = |name, settings, attributes, guest| Form {
        name,
        settings,
        attributes,
        before: false,
        host: plain,
        guest,
        steady: true,
    };
    let forms = [
        form("strip", STRIP, "*.t filter=strip\n", plain as fn(&str) -> Vec<u8>),
        form("lossy", LOSSY, "*.t filter=lossy\n", rot13),
    ];
    for form in forms {
        println!("{}", form.name);
        let guest = TestGuest::russh();
        let host = form.host(&guest, &["edit", "gone", "mode", "move"]);
        let shown = |name: &str| lines(name).replace(&format!("{name} 6\n"), &format!("{name} 6\noutput: {name}\n"));
        for name in ["edit", "gone", "mode", "move"] {
            host.write(&format!("{name}.t"), shown(name));
        }
        host.git(&["add", "-A"]);
        form.status(&host, "");
        let moved = stood(&host.file("move.t"));

        form.work(&guest, "edit.t", "edit 2\n", "edit 2 worker\n");
        pulls(&host, "M\tedit.t\n");
        form.holds(&host, "edit.t", &shown("edit").replace("edit 2", "edit 2 worker"));
        form.status(&host, " M edit.t");

        form.work(&guest, "edit.t", "edit 9\n", "edit 9 worker\n");
        set_mode(&guest.file("mode.t"), 0o755);
        guest.git(&["mv", "move.t", "moved.t"]);
        pulls(&host, "M\tedit.t\nM\tmode.t\nR100\tmove.t\tmoved.t\n");
        form.holds(
            &host,
            "edit.t",
            &shown("edit").replace("edit 2", "edit 2 worker").replace("edit 9", "edit 9 worker"),
        );
        form.holds(&host, "mode.t", &shown("mode"));
        form.holds(&host, "moved.t", &shown("move"));
        assert_eq!(stood(&host.file("moved.t")), moved, "{}", form.name);
        form.status(&host, " M edit.t\n M mode.t\n D move.t\n?? moved.t");

        // What was moved, and what got other permissions, is edited as any other.
        form.work(&guest, "moved.t", "move 2\n", "move 2 worker\n");
        form.work(&guest, "mode.t", "mode 2\n", "mode 2 worker\n");
        pulls(&host, "M\tmode.t\nM\tmoved.t\n");
        form.holds(&host, "mode.t", &shown("mode").replace("mode 2", "mode 2 worker"));
        form.holds(&host, "moved.t", &shown("move").replace("move 2", "move 2 worker"));

        // Outputs are bytes that exist nowhere else.
        fs::remove_file(guest.file("gone.t")).unwrap();
        form.edit(&host, "edit.t", "edit 4\n", "edit 4 host\n");
        form.work(&guest, "edit.t", "edit 4\n", "edit 4 worker\n");
        refuses(&host, &[("edit.t", "both-changed"), ("gone.t", "deleted-there")]);
    }
}

#[test]
fn a_filter_that_fails_refuses_by_path_and_nothing_lands() {
    // What fails of it, whether it must not, and which files cannot land: one that was edited here too, or the others.
    let cases: [(&str, &[&str], &str, &[&str]); 6] = [
        ("clean", &["config", "filter.crypt.clean", "cat; exit 3"], "true", &["both.t"]),
        ("smudge", &["config", "filter.crypt.smudge", "cat; exit 3"], "true", &["both.t", "edit.t", "gone.t", "new.t"]),
        ("no smudge", &["config", "--unset", "filter.crypt.smudge"], "true", &["both.t", "edit.t", "gone.t", "new.t"]),
        (
            "smudge, optional",
            &["config", "filter.crypt.smudge", "cat; exit 3"],
            "false",
            &["both.t", "edit.t", "gone.t", "new.t"],
        ),
        ("smudge of one", &["config", "filter.crypt.smudge", "tr n-za-m a-z; test %f != edit.t"], "true", &["edit.t"]),
        (
            "smudge of one, optional",
            &["config", "filter.crypt.smudge", "tr n-za-m a-z; test %f != edit.t"],
            "false",
            &["edit.t"],
        ),
    ];
    let form = &FORMS[6];
    for (name, failure, required, failed) in cases {
        println!("{name}");
        let guest = TestGuest::russh();
        let host = form.host(&guest, &["both", "edit", "gone", "other"]);
        host.git(&["config", "filter.crypt.required", required]);
        host.git(failure);
        form.edit(&host, "both.t", "both 10\n", "both 10 host\n");
        form.work(&guest, "both.t", "both 1\n", "both 1 worker\n");
        form.work(&guest, "edit.t", "edit 1\n", "edit 1 worker\n");
        guest.write("new.t", rot13(&lines("new")));
        guest.write("plain", "no filter\n");
        fs::remove_file(guest.file("gone.t")).unwrap();
        let told: Vec<_> = failed.iter().map(|path| (*path, "filter-failed")).collect();
        refuses(&host, &told);

        for (key, value) in CRYPT {
            host.git(&["config", key, value]);
        }
        pulls(&host, "M\tboth.t\nM\tedit.t\nD\tgone.t\nA\tnew.t\nA\tplain\n");
        form.holds(&host, "both.t", &edited("both", 1).replace("edited", "worker").replace("10\n", "10 host\n"));
        form.holds(&host, "edit.t", &edited("edit", 1).replace("edited", "worker"));
        form.holds(&host, "new.t", &lines("new"));
    }
}

#[test]
fn a_filter_that_is_not_there_or_only_warns_is_no_obstacle() {
    let (guest, form) = (TestGuest::russh(), &FORMS[6]);
    let host = form.host(&guest, &["both", "edit"]);
    host.git(&["config", "filter.crypt.smudge", "echo careful, %f >&2; tr n-za-m a-z"]);
    form.edit(&host, "both.t", "both 10\n", "both 10 host\n");
    form.work(&guest, "both.t", "both 1\n", "both 1 worker\n");
    form.work(&guest, "edit.t", "edit 1\n", "edit 1 worker\n");
    let said = pulls(&host, "M\tboth.t\nM\tedit.t\n");
    for name in ["both.t", "edit.t"] {
        assert_eq!(said.matches(&format!("careful, {name}")).count(), 1, "{said}");
    }
    form.holds(&host, "both.t", &edited("both", 1).replace("edited", "worker").replace("10\n", "10 host\n"));
    form.holds(&host, "edit.t", &edited("edit", 1).replace("edited", "worker"));

    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write(".gitattributes", "a filter=nowhere\nb filter\nfolder/c -filter\n");
    host.commit("attributes");
    host.prepare();
    for (path, name) in [("a", "a"), ("b", "b"), ("folder/c", "c")] {
        host.write(path, edited(name, 10));
        guest.write(path, edited(name, 1));
    }
    pulls(&host, "M\ta\nM\tb\nM\tfolder/c\n");
    for (path, name) in [("a", "a"), ("b", "b"), ("folder/c", "c")] {
        assert_eq!(host.read(path), edited(name, 1).replace("10\n", "10 edited\n"));
    }
}

#[test]
fn folders_and_files_of_any_name_are_converted() {
    // Names that the folders in which files are converted might have too.
    let names = ["agreed", "again/x", "base", "indexed/x", "links", "look/x", "new/x", "desk/new/x", "probe", "theirs"];
    for form in [&FORMS[4], &FORMS[8]] {
        let guest = TestGuest::russh();
        let host = form.checked_out(&guest, &names);
        for name in names {
            fs::rename(host.file(&format!("{name}.t")), host.file(name)).unwrap();
        }
        let attributes = host.read(".gitattributes").replace("*.t", "*");
        host.write(".gitattributes", &attributes);
        host.write("new/.gitattributes", "*.none -text\n");
        host.commit("without an ending");
        for name in names.iter().chain(&[".gitattributes", "new/.gitattributes"]) {
            fs::remove_file(host.file(name)).unwrap();
        }
        host.git(&["checkout", "-q", "--", "."]);
        host.prepare();
        for name in names {
            form.work(&guest, name, &format!("{name} 1\n"), &format!("{name} 1 worker\n"));
            form.edit(&host, name, &format!("{name} 10\n"), &format!("{name} 10 host\noutput: kept\n"));
        }
        form.work(&guest, "new/.gitattributes", "-text\n", "-text -diff\n");
        form.work(&guest, ".gitattributes", "*", "*.other -text\n*");
        pulls(
            &host,
            "M\t.gitattributes\nM\tagain/x\nM\tagreed\nM\tbase\nM\tdesk/new/x\nM\tindexed/x\nM\tlinks\nM\tlook/x\n\
             M\tnew/.gitattributes\nM\tnew/x\nM\tprobe\nM\ttheirs\n",
        );
        for name in names {
            let text = edited(name, 1).replace("edited", "worker");
            form.holds(&host, name, &text.replace("10\n", "10 host\noutput: kept\n"));
        }
        form.holds(&host, ".gitattributes", &format!("*.other -text\n{}", attributes.replace('\r', "")));
        form.holds(&host, "new/.gitattributes", "*.none -text -diff\n");
    }
}

/// A repository with git-lfs, as far as its two filters go; what it would ask a server for it asks in vain, and that leaves
/// a mark.
struct Lfs {
    host: Host,
}

impl Lfs {
    fn new(guest: &TestGuest, names: &[&str]) -> Lfs {
        let lfs = Lfs { host: Host::empty(guest) };
        let host = &lfs.host;
        let program = "#!/bin/sh\nstore=STORE\ntmp=$(mktemp)\ncat >\"$tmp\"\n\
            place() { printf '%s/%.2s/%.2s/%s' \"$store\" \"$1\" \"${1#??}\" \"$1\"; }\n\
            if test \"$(head -c 42 \"$tmp\")\" = 'version https://git-lfs.github.com/spec/v1'\nthen\n\
            oid=$(sed -n 's/^oid sha256://p' \"$tmp\")\n\
            if test \"$1\" = clean || test \"$GIT_LFS_SKIP_SMUDGE\" = 1\nthen cat \"$tmp\"\n\
            elif test -e \"$(place \"$oid\")\"\nthen cat \"$(place \"$oid\")\"\n\
            else echo no server >&2; touch \"$store.asked\"; exit 2\nfi\n\
            elif test \"$1\" = clean\nthen\noid=$(sha256sum <\"$tmp\")\noid=${oid%% *}\n\
            mkdir -p \"$(dirname \"$(place \"$oid\")\")\"\ncp \"$tmp\" \"$(place \"$oid\")\"\n\
            printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' $oid $(($(wc -c <\"$tmp\")))\n\
            else cat \"$tmp\"\nfi\nrm \"$tmp\"\n";
        let store = host.file(".git/lfs/objects");
        write_program(&host.path("git-lfs"), &program.replace("STORE", store.to_str().unwrap()));
        for (key, value) in [("clean", "clean -- %f"), ("smudge", "smudge -- %f")] {
            let command = format!("{} {value}", host.path("git-lfs").display());
            host.git(&["config", &format!("filter.lfs.{key}"), &command]);
        }
        host.git(&["config", "filter.lfs.required", "true"]);
        host.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
        host.write("a", lines("a"));
        for name in names {
            host.write(name, Lfs::content(name));
        }
        host.commit("files");
        host.prepare();
        for name in names {
            assert!(fs::read_to_string(guest.file(name)).unwrap().starts_with("version https://git-lfs"));
        }
        lfs
    }

    fn content(name: &str) -> String {
        format!("content of {name}\n").repeat(100)
    }

    /// Returns the pointer of content, which is put into the store or not.
    fn pointer(&self, content: &str, here: bool) -> String {
        self.host.write("../tmp/content", content);
        let clean = format!("{} clean <../tmp/content", self.host.path("git-lfs").display());
        let output = self.host.command("sh").args(["-c", &clean]).output().unwrap();
        let pointer = String::from_utf8(output.stdout).unwrap();
        if !here {
            fs::remove_file(self.place(&pointer)).unwrap();
        }
        pointer
    }

    fn place(&self, pointer: &str) -> PathBuf {
        let (_, id) = pointer.split_once("sha256:").unwrap();
        self.host.file(".git/lfs/objects").join(&id[..2]).join(&id[2..4]).join(&id[..64])
    }

    fn asked(&self) -> bool {
        self.host.file(".git/lfs/objects.asked").exists()
    }
}

#[test]
fn a_pointer_of_git_lfs_never_takes_the_place_of_content() {
    let guest = TestGuest::russh();
    let names = ["both.bin", "edit.bin", "far.bin", "gone.bin", "keep.bin", "mode.bin", "move.bin"];
    let lfs = Lfs::new(&guest, &names);
    let host = &lfs.host;
    let (kept, moved) = (stood(&host.file("keep.bin")), stood(&host.file("move.bin")));
    let near = lfs.pointer(&Lfs::content("near"), true);
    let far = lfs.pointer(&Lfs::content("far away"), false);
    guest.write("a", edited("a", 1));
    guest.write("edit.bin", &near);
    guest.write("far.bin", &far);
    guest.write("new.bin", lfs.pointer(&Lfs::content("new"), true));
    guest.write("unknown.bin", lfs.pointer(&Lfs::content("unknown"), false));
    fs::remove_file(guest.file("gone.bin")).unwrap();
    set_mode(&guest.file("mode.bin"), 0o755);
    guest.git(&["mv", "move.bin", "moved.bin"]);
    let left = "warning: 'far.bin' does not land: it is a pointer of Git LFS, and its content is not here\n";
    let said = pulls(
        host,
        "M\ta\nM\tedit.bin\nD\tgone.bin\nM\tmode.bin\nR100\tmove.bin\tmoved.bin\nA\tnew.bin\nA\tunknown.bin\n",
    );
    assert_eq!(said.matches(left).count(), 1, "{said}");
    // Where there is no content, the pointer takes nothing's place: 'git lfs pull' gets it.
    assert!(said.contains("'unknown.bin'") && host.read("unknown.bin").starts_with("version "), "{said}");
    assert_eq!(host.read("edit.bin"), Lfs::content("near"));
    assert_eq!(host.read("far.bin"), Lfs::content("far.bin"));
    assert_eq!(host.read("new.bin"), Lfs::content("new"));
    assert_eq!((host.read("moved.bin"), stood(&host.file("moved.bin"))), (Lfs::content("move.bin"), moved));
    assert_eq!((host.read("mode.bin"), stood(&host.file("mode.bin")).3), (Lfs::content("mode.bin"), true));
    assert_eq!(
        host.git(&["status", "--porcelain", "--no-renames"]),
        " M a\n M edit.bin\n D gone.bin\n M mode.bin\n D move.bin\n?? moved.bin\n?? new.bin\n?? unknown.bin"
    );
    assert!(pulls(host, "").contains(left));

    // What the worker takes back is a pointer too; and so is what comes on top of an edit.
    let old = host.git(&["rev-parse", ":edit.bin"]);
    let old = host.git(&["cat-file", "blob", &old]) + "\n";
    fs::remove_file(lfs.place(&old)).unwrap();
    guest.write("edit.bin", &old);
    host.write("both.bin", "edited here\n");
    guest.write("both.bin", lfs.pointer("edited there\n", true));
    guest.write("moved.bin", &near);
    let (files, run) = (host.files_but(&[]), host.run(&SINCE));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("\n  'both.bin' has changed here and in the guest, and is no text\n"),
        "{}",
        run.stderr
    );
    files.assert_same(&host.files_but(&[]));
    let run = host.run(&[&SINCE[..], &["--conflict", "merge"]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(7), "M\tmoved.bin\n"), "{}", run.stderr);
    assert!(run.stderr.contains(left) && run.stderr.contains(&left.replace("far", "edit")), "{}", run.stderr);
    assert_eq!(host.read("both.bin"), "edited here\n");
    assert_eq!(host.read("edit.bin"), Lfs::content("near"));
    assert_eq!(host.read("moved.bin"), Lfs::content("near"));

    // It comes by other ways.
    lfs.pointer(&Lfs::content("far away"), true);
    guest.write("both.bin", lfs.pointer(&Lfs::content("both.bin"), true));
    pulls(host, "M\tfar.bin\n");
    assert_eq!(host.read("far.bin"), Lfs::content("far away"));
    assert_eq!(stood(&host.file("keep.bin")), kept);

    // Renamed here: the pointer finds its content, or stays away.
    for (name, here) in [("keep.bin", false), ("far.bin", true)] {
        let stands = host.read(name);
        fs::rename(host.file(name), host.file("elsewhere.bin")).unwrap();
        let text = Lfs::content(&format!("{here}"));
        guest.write(name, lfs.pointer(&text, here));
        let run = host.run(&SINCE);
        if here {
            assert_eq!((run.code, host.read("elsewhere.bin")), (Some(0), text), "{}", run.stderr);
        } else {
            assert!(run.stderr.contains(&left.replace("far", "keep")), "{}", run.stderr);
            assert_eq!((run.code, host.read("elsewhere.bin")), (Some(0), stands), "{}", run.stderr);
            fs::rename(host.file("elsewhere.bin"), host.file(name)).unwrap();
        }
    }
    assert!(!lfs.asked(), "a server was asked");
}

#[test]
fn attributes_that_landed_count_for_nothing() {
    let hostile = [
        "* merge=union\n",
        "* merge=ours\n",
        "* -merge\n",
        "* filter=lfs\n",
        "* conflict-marker-size=1073741824\n",
        "* working-tree-encoding=FOO\n",
        "* text eol=crlf\n",
        "[attr]binary filter=lfs merge=ours\n* binary\n",
    ];
    for attributes in hostile {
        println!("{attributes}");
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        let mark = host.path("tmp/ran");
        for key in ["merge.ours.driver", "filter.lfs.clean", "filter.lfs.smudge"] {
            host.git(&["config", key, &format!("touch {}; cat", mark.display())]);
        }
        host.prepare();
        // It can send what it likes, whatever its own git makes of that.
        guest.write(".git/info/attributes", "* !filter !text !eol !working-tree-encoding\n");
        guest.write(".gitattributes", attributes);
        guest.write("folder/.gitattributes", attributes);
        guest.write("new", "new\n");
        pulls(&host, "A\t.gitattributes\nA\tfolder/.gitattributes\nA\tnew\n");
        assert_eq!(host.read(".gitattributes"), attributes);

        // A merge of both edits, a renamed file that was edited here, one that is written anew, one in conflict.
        guest.write("a", edited("a", 1));
        host.write("a", edited("a", 10));
        guest.git(&["mv", "folder/c", "folder/d"]);
        host.write("folder/c", edited("c", 10));
        guest.write("run", "#!/bin/sh\necho\n");
        let listed = host.run(&[&SINCE[..], &["-n"]].concat());
        assert_eq!((listed.code, mark.exists()), (Some(0), false), "{}", listed.stderr);
        pulls(&host, "M\ta\nR100\tfolder/c\tfolder/d\nM\trun\n");
        assert_eq!(host.read("a"), edited("a", 1).replace("10\n", "10 edited\n"));
        assert_eq!(host.read("folder/d"), edited("c", 10));
        assert_eq!(host.read("run"), "#!/bin/sh\necho\n");
        guest.write("b", edited("b", 5));
        host.write("b", edited("b", 5).replace("edited", "host"));
        refuses(&host, &[("b", "both-changed")]);
        let run = host.run(&[&SINCE[..], &["--conflict", "merge"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(7), "M\tb\n"), "{}", run.stderr);
        let conflict = "<<<<<<< host\nb 5 host\n=======\nb 5 edited\n>>>>>>> guest/dev\n";
        assert_eq!(host.read("b"), lines("b").replace("b 5\n", conflict));
        assert!(!mark.exists(), "{attributes}: a program ran");
    }
}

#[test]
fn the_hosts_own_attributes_count_and_its_merge_drivers_do_not_run() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let mark = host.path("tmp/ran");
    for name in ["d", "union", "binary"] {
        let driver = format!("echo owned >%P; echo printed; touch {}", mark.display());
        host.git(&["config", &format!("merge.{name}.driver"), &driver]);
    }
    host.git(&["config", "merge.default", "d"]);
    let names = ["driven", "marked", "plain", "unmerged", "united"];
    for name in names {
        host.write(name, lines(name));
    }
    let attributes = "driven merge=d\nmarked conflict-marker-size=20\nunmerged -merge\nunited merge=union\n";
    host.write(".gitattributes", attributes);
    host.commit("attributes");
    // What is not committed counts for nothing either.
    host.write(".gitattributes", "* merge=union\n");
    host.git(&["update-index", "--assume-unchanged", ".gitattributes"]);
    host.prepare();
    for name in names {
        guest.write(name, edited(name, 1));
        host.write(name, edited(name, 10));
    }
    let told = "warning: 'driven' was merged as text: merge driver 'd' is a program, and was not run\n";
    refuses(&host, &[("unmerged", "binary")]);
    host.write("unmerged", lines("unmerged"));
    let files = host.files_but(&[]);
    let dry = host.run(&[&SINCE[..], &["-n"]].concat());
    assert!(dry.code == Some(0) && dry.stderr.contains(told), "{}", dry.stderr);
    files.assert_same(&host.files_but(&[]));
    assert!(pulls(&host, "M\tdriven\nM\tmarked\nM\tplain\nM\tunited\nM\tunmerged\n").contains(told));
    for name in ["driven", "marked", "plain", "united"] {
        assert_eq!(host.read(name), edited(name, 1).replace("10\n", "10 edited\n"));
    }
    for name in names {
        replace(&guest.file(name), format!("{name} 5\n").as_bytes(), format!("{name} 5 worker\n").as_bytes());
        replace(&host.file(name), format!("{name} 5\n").as_bytes(), format!("{name} 5 host\n").as_bytes());
    }
    let kinds = [("driven", "both-changed"), ("marked", "both-changed"), ("plain", "both-changed")];
    refuses(&host, &[&kinds[..], &[("unmerged", "binary")]].concat());
    let run = host.run(&[&SINCE[..], &["--conflict", "merge"]].concat());
    assert_eq!(run.stdout, "M\tdriven\nM\tmarked\nM\tplain\nM\tunited\n", "{}", run.stderr);
    assert!(run.stderr.contains(told), "{}", run.stderr);
    for (name, size) in [("driven", 7), ("marked", 20), ("plain", 7)] {
        let marks = ["<", "=", ">"].map(|mark| mark.repeat(size));
        let conflict =
            format!("{} host\n{name} 5 host\n{}\n{name} 5 worker\n{} guest/dev\n", marks[0], marks[1], marks[2]);
        let text = edited(name, 1).replace("10\n", "10 edited\n");
        assert_eq!(host.read(name), text.replace(&format!("{name} 5\n"), &conflict));
    }
    let both = edited("united", 1).replace("united 5\n", "united 5 host\nunited 5 worker\n");
    assert_eq!(host.read("united"), both.replace("10\n", "10 edited\n"));
    assert_eq!(host.read("unmerged"), edited("unmerged", 1).replace("unmerged 5\n", "unmerged 5 host\n"));
    assert!(!mark.exists(), "a driver ran");
}

#[test]
fn modes_and_links_survive_where_the_disk_has_none() {
    let settings: [&[&str]; 4] = [
        &["core.fileMode"],
        &["core.symlinks"],
        &["core.fileMode", "core.symlinks", "core.ignoreStat"],
        &["core.ignoreStat"],
    ];
    for keys in settings {
        println!("{keys:?}");
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        std::os::unix::fs::symlink("a", host.file("link")).unwrap();
        host.write(".gitattributes", "both text eol=crlf\n");
        host.write("both", lines("both"));
        host.commit("a link");
        let links = !keys.contains(&"core.symlinks");
        for key in keys {
            host.git(&["config", key, if *key == "core.ignoreStat" { "true" } else { "false" }]);
        }
        // As a file system without modes and links has them.
        if !links {
            fs::remove_file(host.file("link")).unwrap();
        }
        fs::remove_file(host.file("both")).unwrap();
        host.git(&["checkout", "-q", "--", "."]);
        if keys.contains(&"core.fileMode") {
            set_mode(&host.file("run"), 0o644);
        }
        host.prepare();
        assert_eq!(guest.git(&["status", "--porcelain"]), "");
        let link = |name: &str, to: &str| {
            let _ = fs::remove_file(guest.file(name));
            std::os::unix::fs::symlink(to, guest.file(name)).unwrap();
        };
        let leads = |name: &str, to: &str| match links {
            true => assert_eq!(fs::read_link(host.file(name)).unwrap().to_str().unwrap(), to),
            false => assert_eq!(host.read(name), to),
        };
        guest.write("tool", "one\n");
        set_mode(&guest.file("tool"), 0o755);
        link("new", "a");
        guest.write("a", edited("a", 1));
        pulls(&host, "M\ta\nA\tnew\nA\ttool\n");
        leads("new", "a");

        guest.write("tool", "one\ntwo\n");
        guest.write("run", "#!/bin/sh\necho\n");
        link("new", "b");
        link("link", "b");
        guest.write("both", crlf(&edited("both", 1)));
        host.write("both", crlf(&edited("both", 10)));
        pulls(&host, "M\tboth\nM\tlink\nM\tnew\nM\trun\nM\ttool\n");
        leads("new", "b");
        leads("link", "b");
        assert_eq!(host.read("both").into_bytes(), crlf(&edited("both", 1).replace("10\n", "10 edited\n")));

        guest.git(&["add", "-A"]);
        guest.git(&["mv", "tool", "tools"]);
        guest.git(&["mv", "new", "newer"]);
        guest.write("run", "#!/bin/sh\necho again\n");
        pulls(&host, "R100\tnew\tnewer\nM\trun\nR100\ttool\ttools\n");
        leads("newer", "b");
        assert_eq!((host.read("tools"), host.read("run")), ("one\ntwo\n".into(), "#!/bin/sh\necho again\n".into()));
        let landed = host.git(&["for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/banger/"]);
        let newest = landed.lines().filter(|name| name.contains("/landings/")).max().unwrap();
        let modes = host.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", &format!("{newest}:after")]);
        assert_eq!(modes, "120000 newer\n100755 run\n100755 tools");
        pulls(&host, "");
    }
}

#[test]
fn files_that_are_hidden_from_git_are_files_and_missing_ones_are_not_deleted() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write("kept/x", lines("x"));
    host.write("far/y", lines("y"));
    host.write("far/z", lines("z"));
    host.commit("folders");
    host.prepare();
    host.git(&["update-index", "--assume-unchanged", "a"]);
    host.git(&["update-index", "--skip-worktree", "b"]);
    for name in ["a", "b"] {
        host.write(name, edited(name, 10));
        guest.write(name, edited(name, 1));
    }
    pulls(&host, "M\ta\nM\tb\n");
    host.write("a", edited("a", 1).replace("10\n", "10 edited again\n"));
    guest.write("a", edited("a", 1).replace("a 2\n", "a 2 worker\n"));
    pulls(&host, "M\ta\n");
    assert_eq!(host.read("a"), edited("a", 1).replace("10\n", "10 edited again\n").replace("a 2\n", "a 2 worker\n"));
    assert_eq!(host.read("b"), edited("b", 1).replace("10\n", "10 edited\n"));
    let flags = host.git(&["ls-files", "-v", "a", "b"]);
    assert_eq!(flags, "h a\nS b");
    host.write("a", edited("a", 1).replace("a 2\n", "a 2 host\n"));
    guest.write("a", edited("a", 1).replace("a 2\n", "a 2 worker again\n"));
    refuses(&host, &[("a", "both-changed")]);
    guest.write("a", edited("a", 1).replace("a 2\n", "a 2 worker\n"));

    host.git(&["update-index", "--no-assume-unchanged", "a"]);
    host.git(&["update-index", "--no-skip-worktree", "b"]);
    host.commit("what landed");
    host.git(&["sparse-checkout", "set", "kept"]);
    assert!(!host.file("far/y").exists());
    // What is on disk outside of the patterns is a file as any other.
    host.write("far/y", edited("y", 10));
    guest.write("far/y", edited("y", 1));
    guest.write("kept/x", edited("x", 1));
    pulls(&host, "M\tfar/y\nM\tkept/x\n");
    assert_eq!(host.read("far/y"), edited("y", 1).replace("10\n", "10 edited\n"));
    assert!(!host.file("far/z").exists() && host.git(&["status", "--porcelain", "far/z"]).is_empty());
    for change in ["edit", "delete", "rename", "chmod"] {
        match change {
            "edit" => guest.write("far/z", edited("z", 1)),
            "delete" => fs::remove_file(guest.file("far/z")).unwrap(),
            "rename" => drop(guest.git(&["mv", "far/z", "kept/z"])),
            _ => set_mode(&guest.file("far/z"), 0o755),
        }
        refuses(&host, &[("far/z", "outside-sparse")]);
        guest.git(&["reset", "-q", "--hard"]);
        guest.write("a", edited("a", 1).replace("a 2\n", "a 2 worker\n"));
        guest.write("b", edited("b", 1));
        guest.write("far/y", edited("y", 1));
        guest.write("kept/x", edited("x", 1));
        pulls(&host, "");
    }
}

#[test]
fn names_of_every_kind_land_and_merge() {
    const NAMES: [&[u8]; 16] = [
        b":!x",
        b":(top)y",
        b"\"q",
        b"a\nb",
        b"*",
        b"[x]",
        b" lead",
        b"trail ",
        b"\xff\xfe",
        b"a\\b",
        b"\ttab",
        b"-rf",
        b"#h",
        b"!neg",
        b"a\rb",
        b"q\"\\\n\x01",
    ];
    let path = |folder: &str, name: &[u8]| [folder.as_bytes(), b"/", name].concat();
    let on = |top: PathBuf, path: &[u8]| top.join(OsStr::from_bytes(path));
    for attributes in ["", "* text eol=crlf\nboth/* merge=union\n"] {
        let form = if attributes.is_empty() { plain } else { crlf };
        let guest = TestGuest::russh();
        let host = Host::empty(&guest);
        host.write(".gitattributes", attributes);
        for name in NAMES {
            for folder in ["both", "edit", "from", "gone", "mode"] {
                write_file(&on(host.repo(), &path(folder, name)), &form(&lines(folder)));
            }
        }
        host.commit("files");
        host.prepare();
        fs::create_dir(guest.file("to")).unwrap();
        for name in NAMES {
            write_file(&on(guest.workspace(), &path("both", name)), &form(&edited("both", 1)));
            write_file(&on(guest.workspace(), &path("edit", name)), &form(&edited("edit", 1)));
            fs::rename(on(guest.workspace(), &path("from", name)), on(guest.workspace(), &path("to", name))).unwrap();
            fs::remove_file(on(guest.workspace(), &path("gone", name))).unwrap();
            set_mode(&on(guest.workspace(), &path("mode", name)), 0o755);
            write_file(&on(host.repo(), &path("both", name)), &form(&edited("both", 10)));
        }
        write_file(&on(host.repo(), &path("from", NAMES[3])), &form(&edited("from", 10)));
        let run = host.run(&SINCE);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for name in NAMES {
            let read = |folder| fs::read(on(host.repo(), &path(folder, name))).ok();
            let to = if name == NAMES[3] { edited("from", 10) } else { lines("from") };
            assert_eq!(read("both"), Some(form(&edited("both", 1).replace("10\n", "10 edited\n"))), "{name:?}");
            assert_eq!(read("edit"), Some(form(&edited("edit", 1))), "{name:?}");
            assert_eq!((read("from"), read("gone")), (None, None), "{name:?}");
            assert_eq!(read("to"), Some(form(&to)), "{name:?}");
            assert_eq!(read("mode"), Some(form(&lines("mode"))), "{name:?}");
            assert!(stood(&on(host.repo(), &path("mode", name))).3, "{name:?}");
        }

        for name in NAMES {
            write_file(
                &on(guest.workspace(), &path("both", name)),
                &form(&edited("both", 1).replace("both 5", "worker 5")),
            );
            let here = edited("both", 1).replace("10\n", "10 edited\n").replace("both 5", "host 5");
            write_file(&on(host.repo(), &path("both", name)), &form(&here));
        }
        let (files, run) = (host.files_but(&[]), host.run(&[&SINCE[..], &["--json"]].concat()));
        if attributes.is_empty() {
            let error: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
            assert_eq!(error["error"]["paths"].as_array().unwrap().len(), NAMES.len(), "{}", run.stdout);
            files.assert_same(&host.files_but(&[]));
        } else {
            // The host's own 'union'.
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            let text = edited("both", 1).replace("10\n", "10 edited\n").replace("both 5\n", "host 5\nworker 5\n");
            for name in NAMES {
                assert_eq!(fs::read(on(host.repo(), &path("both", name))).unwrap(), form(&text), "{name:?}");
            }
        }
    }
}

#[test]
fn attributes_that_both_sides_edit_are_merged_and_count_once_they_are_committed() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write(".gitattributes", lines("*.none").replace(' ', "") + "b text eol=crlf\n");
    fs::remove_file(host.file("b")).unwrap();
    host.git(&["add", "-A"]);
    host.write("b", lines("b"));
    host.commit("attributes");
    fs::remove_file(host.file("b")).unwrap();
    host.git(&["checkout", "-q", "--", "."]);
    host.prepare();
    let attributes = host.read(".gitattributes");
    host.write(".gitattributes", attributes.clone() + "a text eol=crlf\n");
    guest.write(".gitattributes", "folder/* text eol=crlf\n".to_owned() + &attributes);
    guest.write("a", edited("a", 1));
    guest.write("b", crlf(&edited("b", 1)));
    pulls(&host, "M\t.gitattributes\nM\ta\nM\tb\n");
    let merged = "folder/* text eol=crlf\n".to_owned() + &attributes + "a text eol=crlf\n";
    assert_eq!(host.read(".gitattributes"), merged);
    assert_eq!((host.read("a"), host.read("b").into_bytes()), (edited("a", 1), crlf(&edited("b", 1))));

    host.commit("what landed");
    guest.write("folder/c", crlf(&edited("c", 1)));
    guest.write("a", edited("a", 1).replace("a 5\n", "a 5 worker\n"));
    pulls(&host, "M\ta\nM\tfolder/c\n");
    assert_eq!(host.read("folder/c").into_bytes(), crlf(&edited("c", 1)));
    assert_eq!(host.read("a").into_bytes(), crlf(&edited("a", 1).replace("a 5\n", "a 5 worker\n")));
}

#[test]
fn an_id_is_expanded_and_line_ends_are_those_of_the_file() {
    let guest = TestGuest::russh();
    let host = Host::empty(&guest);
    let ident = |name: &str| lines(name) + "$Id$\n";
    host.write(".gitattributes", "*.id ident\n");
    for name in ["both", "edit", "mode", "move"] {
        host.write(&format!("{name}.id"), ident(name));
    }
    for name in ["crlf", "mixed", "renamed"] {
        host.write(name, lines(name));
    }
    host.commit("files");
    for name in ["both.id", "edit.id", "mode.id", "move.id"] {
        fs::remove_file(host.file(name)).unwrap();
    }
    host.git(&["checkout", "-q", "--", "."]);
    host.git(&["config", "core.autocrlf", "input"]);
    host.prepare();
    let id = |text: &str| {
        host.write("../tmp/text", text);
        host.git(&["hash-object", "--no-filters", "../tmp/text"])
    };
    let expanded = |text: &str| text.replace("$Id$", &format!("$Id: {} $", id(text)));
    assert_eq!(host.read("edit.id"), expanded(&ident("edit")));
    let (mode, moved) = (host.read("mode.id"), stood(&host.file("move.id")));

    let work = |path: &str, from: &str, to: &str| replace(&guest.file(path), from.as_bytes(), to.as_bytes());
    work("edit.id", "edit 1\n", "edit 1 edited\n");
    work("both.id", "both 1\n", "both 1 edited\n");
    set_mode(&guest.file("mode.id"), 0o755);
    guest.git(&["mv", "move.id", "moved.id"]);
    work("crlf", "crlf 1\n", "crlf 1 edited\n");
    work("mixed", "mixed 1\n", "mixed 1 edited\n");
    guest.git(&["mv", "renamed", "new"]);
    // The host edits, and an editor writes other line ends: in all lines, or in the one.
    replace(&host.file("both.id"), b"both 10\n", b"both 10 edited\n");
    host.write("crlf", crlf(&edited("crlf", 10)));
    host.write("mixed", edited("mixed", 10).replace("10 edited\n", "10 edited\r\n"));
    host.write("renamed", crlf(&edited("renamed", 10)));
    pulls(
        &host,
        "M\tboth.id\nM\tcrlf\nM\tedit.id\nM\tmixed\nM\tmode.id\nR100\tmove.id\tmoved.id\nR100\trenamed\tnew\n",
    );
    assert_eq!(host.read("edit.id"), expanded(&(edited("edit", 1) + "$Id$\n")));
    let (text, rest) =
        host.read("both.id").split_once("$Id: ").map(|(text, rest)| (text.to_owned(), rest.to_owned())).unwrap();
    assert_eq!((text, rest.len()), (edited("both", 1).replace("10\n", "10 edited\n"), " $\n".len() + 40));
    assert_eq!(host.read("mode.id"), mode);
    assert_eq!(stood(&host.file("moved.id")), moved);
    assert_eq!(host.read("crlf").into_bytes(), crlf(&edited("crlf", 1).replace("10\n", "10 edited\n")));
    assert_eq!(host.read("mixed"), edited("mixed", 1).replace("10\n", "10 edited\r\n"));
    assert_eq!(host.read("new").into_bytes(), crlf(&edited("renamed", 10)));
    host.git(&["add", "-A"]);
    assert_eq!(host.git(&["show", ":crlf"]) + "\n", edited("crlf", 1).replace("10\n", "10 edited\n"));

    for name in ["both.id", "edit.id"] {
        let line = name.replace(".id", " 5\n");
        work(name, &line, &line.replace("5", "5 worker"));
    }
    work("crlf", "crlf 5\n", "crlf 5 worker\n");
    work("mixed", "mixed 5\n", "mixed 5 worker\n");
    work("new", "renamed 5\n", "renamed 5 worker\n");
    pulls(&host, "M\tboth.id\nM\tcrlf\nM\tedit.id\nM\tmixed\nM\tnew\n");
    assert_eq!(host.read("edit.id"), expanded(&(edited("edit", 1).replace("5\n", "5 worker\n") + "$Id$\n")));
    assert_eq!(host.read("mixed"), edited("mixed", 1).replace("5\n", "5 worker\n").replace("10\n", "10 edited\r\n"));
    let text = |name: &str| edited(name, 10).replace("5\n", "5 worker\n");
    assert_eq!(host.read("new").into_bytes(), crlf(&text("renamed")));
    assert_eq!(host.read("crlf").into_bytes(), crlf(&text("crlf").replace("crlf 1\n", "crlf 1 edited\n")));
}

#[test]
fn a_file_that_moves_to_where_it_is_converted_otherwise_is_written_anew() {
    let guest = TestGuest::russh();
    let host = Host::empty(&guest);
    for (key, value) in CRYPT {
        host.git(&["config", key, value]);
    }
    host.write(".gitattributes", "*.crlf text eol=crlf\n*.bin -text\n*.crypt filter=crypt\n");
    host.write("a.crlf", crlf(&lines("a")));
    host.write("b.bin", lines("b"));
    host.write("c.crypt", lines("c"));
    host.write("d.bin", lines("d"));
    host.write("e.crlf", crlf(&lines("e")));
    host.commit("files");
    host.prepare();
    let e = stood(&host.file("e.crlf"));
    let moves =
        [("a.crlf", "a.bin"), ("b.bin", "b.crlf"), ("c.crypt", "c.bin"), ("d.bin", "d.crypt"), ("e.crlf", "f.crlf")];
    for (from, to) in moves {
        guest.git(&["mv", from, to]);
        fs::remove_file(guest.file(to)).unwrap();
    }
    guest.git(&["checkout", "-q", "--", "."]);
    let run = host.run(&SINCE);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // As a checkout of the same would write them.
    assert_eq!(host.read("a.bin"), lines("a"));
    assert_eq!(host.read("b.crlf").into_bytes(), crlf(&lines("b")));
    assert_eq!(host.read("c.bin").into_bytes(), rot13(&lines("c")));
    assert_eq!(host.read("d.crypt").into_bytes(), rot13(&lines("d")));
    assert_eq!((host.read("f.crlf").into_bytes(), stood(&host.file("f.crlf"))), (crlf(&lines("e")), e));
    host.git(&["add", "-A"]);
    assert_eq!(host.git(&["write-tree"]), guest.git(&["write-tree"]));
}

#[test]
fn files_of_the_same_content_are_not_in_the_way_however_they_are_converted() {
    for form in [&FORMS[4], &FORMS[5], &FORMS[6]] {
        let guest = TestGuest::russh();
        let host = form.host(&guest, &["keep"]);
        for name in ["one.t", "two.t", "three.t"] {
            guest.write(name, (form.guest)(&lines("new")));
            host.write(name, (form.host)(&lines("new")));
        }
        host.write(".git/info/exclude", "two.t\n");
        host.git(&["add", "three.t"]);
        let files = host.files_but(&["four.t"]);
        guest.write("four.t", (form.guest)(&lines("four")));
        pulls(&host, "A\tfour.t\n");
        files.assert_same(&host.files_but(&["four.t"]));
        form.holds(&host, "four.t", &lines("four"));
        form.work(&guest, "one.t", "new 1\n", "new 1 worker\n");
        form.edit(&host, "one.t", "new 10\n", "new 10 host\n");
        pulls(&host, "M\tone.t\n");
        form.holds(&host, "one.t", &lines("new").replace(" 1\n", " 1 worker\n").replace(" 10\n", " 10 host\n"));
        guest.write("five.t", (form.guest)(&lines("five")));
        host.write("five.t", (form.host)(&lines("other")));
        refuses(&host, &[("five.t", "in-the-way")]);
    }
}

#[test]
fn attributes_are_converted_themselves() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write(".gitattributes", lines("*.none").replace(' ', ""));
    host.write("folder/.gitattributes", lines("*.some").replace(' ', ""));
    host.commit("attributes");
    host.git(&["config", "core.autocrlf", "true"]);
    let paths = [".gitattributes", "folder/.gitattributes"];
    for path in paths {
        fs::remove_file(host.file(path)).unwrap();
    }
    host.git(&["checkout", "-q", "--", "."]);
    host.prepare();
    for path in paths {
        let text = host.read(path).replace('\r', "");
        guest.write(path, format!("top\n{text}"));
        host.write(path, crlf(&format!("{text}end\n")));
    }
    pulls(&host, "M\t.gitattributes\nM\tfolder/.gitattributes\n");
    for (path, name) in paths.into_iter().zip(["*.none", "*.some"]) {
        assert_eq!(host.read(path).into_bytes(), crlf(&format!("top\n{}end\n", lines(name).replace(' ', ""))));
    }
    for path in paths {
        guest.write(path, "other\n".to_owned() + &fs::read_to_string(guest.file(path)).unwrap());
    }
    pulls(&host, "M\t.gitattributes\nM\tfolder/.gitattributes\n");
    for (path, name) in paths.into_iter().zip(["*.none", "*.some"]) {
        assert_eq!(host.read(path).into_bytes(), crlf(&format!("other\ntop\n{}end\n", lines(name).replace(' ', ""))));
    }

    // A filter that fails for them refuses them as any other.
    host.write(".gitattributes", "* filter=crypt\n");
    host.commit("a filter");
    host.git(&["config", "filter.crypt.smudge", "cat; exit 3"]);
    host.git(&["config", "filter.crypt.clean", "cat"]);
    host.git(&["config", "filter.crypt.required", "true"]);
    replace(&guest.file("folder/.gitattributes"), b"other\n", b"newer\n");
    guest.write("plain", "new\n");
    refuses(&host, &[("folder/.gitattributes", "filter-failed"), ("plain", "filter-failed")]);
}
