//! `git banger session`: started, watched, attached and stopped over connections that come and go.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, ran};

/// A git-banger that runs on, with its output line by line.
struct Attached {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Attached {
    fn start(host: &Host, args: &[&str]) -> Attached {
        let mut command: Command = host.command(env!("CARGO_BIN_EXE_git-banger"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let read = |from: Box<dyn Read + Send>, mark: &'static str, sender: mpsc::Sender<String>| {
            thread::spawn(move || {
                for line in BufReader::new(from).lines().map_while(Result::ok) {
                    let _ = sender.send(format!("{mark}{line}"));
                }
            });
        };
        read(Box::new(child.stdout.take().unwrap()), "", sender.clone());
        read(Box::new(child.stderr.take().unwrap()), "! ", sender);
        Attached { stdin: child.stdin.take(), child, lines }
    }

    fn expect(&self, line: &str) {
        let got = self.lines.recv_timeout(Duration::from_secs(20));
        assert_eq!(got.as_deref(), Ok(line));
    }

    /// As [`Attached::expect`], in any order: stdout and stderr are read side by side.
    fn expect_all<const N: usize>(&self, mut lines: [&str; N]) {
        let mut got = [(); N].map(|()| self.lines.recv_timeout(Duration::from_secs(20)).unwrap());
        got.sort();
        lines.sort_unstable();
        assert_eq!(got, lines);
    }

    fn type_in(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn code(mut self) -> Option<i32> {
        self.stdin = None;
        self.child.wait().unwrap().code()
    }
}

const ATTACHED: &str = "! attached to session 's'; an interrupt or the end of input leaves it";
const LEFT: &str = "! left session 's', which runs on";

/// A host that knows the guest's home as its workspace.
fn host(guest: &TestGuest) -> Host {
    let host = Host::empty(guest);
    host.git(&["config", &format!("banger.{VM}.path"), "."]);
    host
}

fn start(host: &Host, name: &str, command: &[&str]) {
    let ran = host.run(&[&["session", "start", VM, name, "-q", "--"], command].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn listed(host: &Host) -> serde_json::Value {
    serde_json::from_slice(&host.stdout(&["session", "list", VM, "--json"])).unwrap()
}

guest_test!(a_session_is_started_written_to_read_and_waited_for, |guest| {
    let host = host(guest);
    let started = host.run(&[
        "session",
        "start",
        VM,
        "s",
        "--env",
        "WORD=it's",
        "--",
        "sh",
        "-c",
        "read x; echo \"$WORD $x\"; exit 7",
    ]);
    let pid = listed(&host)[0]["pid"].clone();
    assert!(pid.is_u64(), "{pid}");
    let told =
        format!("session 's' runs in guest '{VM}' as process {pid}\nhint: git banger session logs {VM} s --follow\n");
    assert_eq!(started, ran(0, "", &told));
    let told = "error: guest 'dev' is still running the session\n  guest: session 's' runs already\n\
                hint: git banger session stop dev s\n";
    assert_eq!(host.run(&["session", "start", VM, "s", "--", "cat"]), ran(1, "", told));
    let told = "error: session 's' is still running\n";
    assert_eq!(host.run(&["session", "wait", VM, "s", "--timeout", "0"]), ran(1, "", told));
    assert_eq!(host.run(&["send", VM, "s", "--message", "word"]), ran(0, "", "delivered 5 bytes\n"));
    assert_eq!(host.run(&["session", "wait", VM, "s"]), ran(7, "", "session 's' ended with status 7\n"));
    assert_eq!(host.run(&["session", "logs", VM, "s"]), ran(0, "it's word\n", ""));
    let json = "{\"next\":10,\"offset\":5,\"text\":\"word\\n\"}\n";
    assert_eq!(host.run(&["session", "logs", VM, "s", "--json", "--since", "5"]), ran(0, json, ""));
    let told = "error: guest 'dev' has less output than that\n  guest: the stdout of session 's' has only 10 bytes\n";
    assert_eq!(host.run(&["session", "logs", VM, "s", "--since", "11"]), ran(1, "", told));
    let list = host.run(&["session", "list", VM]);
    assert!(
        list.stdout.starts_with("s\tended with status 7\tstarted ") && list.stdout.ends_with("exit 7\n"),
        "{list:?}"
    );
    let told = "error: guest 'dev' has an ended session of that name\n\
                \x20 guest: there was a session 's' already: it has ended\n\
                hint: git banger session start dev s --replace -- cat\n  takes its place, and removes its logs\n";
    assert_eq!(host.run(&["session", "start", VM, "s", "--", "cat"]), ran(1, "", told));
    assert_eq!(host.run(&["session", "start", VM, "s", "--replace", "-q", "--", "cat"]), ran(0, "", ""));
    assert_eq!(host.run(&["session", "stop", VM, "s"]), ran(0, "", "session 's' ended with status 143\n"));
    assert_eq!(host.run(&["session", "remove", VM, "s"]), ran(0, "", "removed session 's'\n"));
    let told =
        "error: guest 'dev' has no such session\n  guest: there is no session 's'\nhint: git banger session list dev\n";
    assert_eq!(host.run(&["session", "logs", VM, "s"]), ran(1, "", told));
    guest.assert_no_leftovers();
});

guest_test!(a_command_that_cannot_start_is_an_error_with_a_way_out, |guest| {
    let host = host(guest);
    let run = host.run(&["session", "start", VM, "s", "--", "no-such-program"]);
    assert_eq!(run.code, Some(4));
    assert!(
        run.stderr.starts_with(
            "error: guest 'dev' cannot start the command\n  guest: 'no-such-program' is not a program that the guest finds"
        ),
        "{run:?}"
    );
    assert!(
        run.stderr.ends_with(
            "\n  it runs without a login shell: name the program by its whole path, or start a login shell that runs it\n"
        ),
        "{run:?}"
    );
    for name in ["", "..", "-x", "a/b", "a b"] {
        assert_eq!(host.run(&["session", "start", VM, "--", name, "cat"]).code, Some(2), "{name}");
    }
    guest.assert_no_leftovers();
});

guest_test!(one_is_attached_until_its_connection_goes_and_the_session_never_sees_it, |guest| {
    let host = host(guest);
    start(&host, "s", &["sh", "-c", "while read -r x; do echo \"got $x\"; echo \"err $x\" >&2; done; echo end"]);
    let mut first = Attached::start(&host, &["session", "attach", VM, "s"]);
    first.expect(ATTACHED);
    first.type_in("one\n");
    first.expect_all(["! err one", "got one"]);
    let second = host.run(&["session", "attach", VM, "s"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second
            .stderr
            .starts_with("error: guest 'dev' has somebody else attached\n  guest: session 's' is attached by "),
        "{second:?}"
    );
    assert!(second.stderr.ends_with("\nhint: git banger session attach dev s --steal\n  takes over\n"), "{second:?}");
    // A message needs no attach, and does not disturb one.
    assert_eq!(host.run(&["send", VM, "s", "-m", "two", "-q"]), ran(0, "", ""));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let mut again = Attached::start(&host, &["session", "attach", VM, "s", "--from", "8"]);
    again.expect_all([ATTACHED, "got two"]);
    again.type_in("three\nfour\n");
    again.expect_all(["! err four", "! err three", "got four", "got three"]);
    let mut thief = Attached::start(&host, &["session", "attach", VM, "s", "--steal"]);
    again.expect("! error: guest 'dev' reports that somebody else took over the session");
    // Not 1: what was typed until then was sent.
    assert_eq!(again.code(), Some(4));
    thief.expect(ATTACHED);
    thief.stdin = None;
    thief.expect(LEFT);
    assert_eq!(thief.code(), Some(0));
    let session = &listed(&host)[0];
    assert_eq!((&session["state"], &session["stdin"]), (&"running".into(), &"open".into()));
    let mut last = Attached::start(&host, &["session", "attach", VM, "s"]);
    last.expect(ATTACHED);
    assert_eq!(host.run(&["send", VM, "s", "-q", "-m", "five", "--eof"]).code, Some(0));
    last.expect_all(["! err five", "! session 's' ended with status 0", "end", "got five"]);
    last.stdin = None;
    assert_eq!(last.code(), Some(0));
    guest.assert_no_leftovers();
});

guest_test!(an_interrupt_leaves_the_session_and_what_was_followed_can_be_taken_up, |guest| {
    let host = host(guest);
    start(&host, "s", &["sh", "-c", "echo one; read x; echo two"]);
    let interrupt = |attached: &Attached| {
        let pid = attached.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    };
    let attached = Attached::start(&host, &["session", "attach", VM, "s", "--from", "start"]);
    attached.expect_all([ATTACHED, "one"]);
    interrupt(&attached);
    attached.expect(LEFT);
    assert_eq!(attached.code(), Some(0));
    let followed = Attached::start(&host, &["session", "logs", VM, "s", "--follow"]);
    followed.expect("one");
    interrupt(&followed);
    followed.expect("! error: interrupted");
    followed.expect("! hint: git banger session logs dev s --follow --since 4");
    assert_eq!(followed.code(), Some(130));
    let followed = Attached::start(&host, &["session", "logs", VM, "s", "--follow", "--since", "4"]);
    assert_eq!(host.run(&["send", VM, "s", "-q", "-m", ""]).code, Some(0));
    followed.expect("two");
    assert_eq!(followed.code(), Some(0));
    guest.assert_no_leftovers();
});

guest_test!(a_log_is_followed_only_while_somebody_reads, |guest| {
    let host = host(guest);
    start(&host, "s", &["sh", "-c", "while echo line; do sleep 0.02; done"]);
    let mut command = host.command("sh");
    command.args(["-c", &format!("git banger session logs {VM} s --follow | head -n 2")]);
    let since = Instant::now();
    let output = command.output().unwrap();
    assert_eq!(
        (String::from_utf8_lossy(&output.stdout).as_ref(), output.stderr.as_slice()),
        ("line\nline\n", &b""[..])
    );
    assert!(since.elapsed() < Duration::from_secs(15));
    guest.assert_no_leftovers();
});

guest_test!(the_names_of_sessions_are_completed_as_they_were_seen_last, |guest| {
    let host = host(guest);
    let offered = || String::from_utf8(host.stdout(&["__complete", "fish", "--", "send", VM, ""])).unwrap();
    start(&host, "one", &["cat"]);
    start(&host, "two", &["true"]);
    assert_eq!(offered(), "one\t\ntwo\t\n");
    std::fs::write(host.file(".git/banger/sessions"), format!("{VM}\tgone\nother\tthree\n")).unwrap();
    host.stdout(&["session", "list", VM, "two"]);
    assert_eq!(offered(), "gone\t\ntwo\t\n");
    host.stdout(&["session", "list", VM]);
    assert_eq!(offered(), "one\t\ntwo\t\n");
    assert_eq!(host.run(&["session", "wait", VM, "two", "-q"]).code, Some(0));
    assert_eq!(host.run(&["session", "remove", VM, "two", "-q"]).code, Some(0));
    assert_eq!(offered(), "one\t\n");
    let seen = std::fs::read_to_string(host.file(".git/banger/sessions")).unwrap();
    assert_eq!(seen, format!("{VM}\tone\nother\tthree\n"));
    assert_eq!(host.run(&["vm", "remove", VM, "-q"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(host.file(".git/banger/sessions")).unwrap(), "other\tthree\n");
    let offered = String::from_utf8(host.stdout(&["__complete", "fish", "--", "session", "start", VM, ""])).unwrap();
    assert_eq!(offered, "");
});
