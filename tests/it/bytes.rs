//! What stands on the host's disk is not what git stores: line ends, encodings, filters, pointers, names, and attributes
//! that a guest may send. After each pull the host's files are compared byte for byte.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines};
use crate::support::{set_mode, write_file};

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

const FORMS: [Form; 9] = [
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
    let names = ["both", "edit", "gone", "keep", "mode", "move"];
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
        guest.git(&["mv", "move.t", "moved.t"]);
        fs::remove_file(guest.file("gone.t")).unwrap();
        let moved = stood(&host.file("move.t"));
        pulls(&host, "M\tboth.t\nM\tedit.t\nD\tgone.t\nM\tmode.t\nR100\tmove.t\tmoved.t\n");
        form.holds(&host, "edit.t", &edited("edit", 1).replace("edited", "worker"));
        form.holds(&host, "both.t", &lines("both").replace(" 3\n", " 3 worker\n").replace(" 10\n", " 10 host\n"));
        form.holds(&host, "mode.t", &lines("mode"));
        form.holds(&host, "moved.t", &lines("move"));
        assert_eq!(stood(&host.file("moved.t")), moved, "{}: the file was not moved", form.name);
        assert!(stood(&host.file("mode.t")).3 && !host.file("move.t").exists() && !host.file("gone.t").exists());
        form.status(&host, " M both.t\n M edit.t\n D gone.t\n M mode.t\n D move.t\n?? moved.t");
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
