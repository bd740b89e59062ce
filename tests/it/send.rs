//! `git banger send`: messages whole or not at all, over connections that are cut at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, ran};
use crate::support::russh::Faults;

fn host(guest: &TestGuest) -> Host {
    let host = Host::empty(guest);
    host.git(&["config", &format!("banger.{VM}.path"), "."]);
    host
}

fn start_cat(host: &Host) {
    let started = host.run(&["session", "start", VM, "s", "-q", "--", "cat"]);
    assert_eq!(started, ran(0, "", ""));
}

fn log(guest: &TestGuest) -> Vec<u8> {
    fs::read(guest.home().join(".local/state/banger/sessions/s/stdout.log")).unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends what is on stdin.
fn send(host: &Host, message: &[u8], args: &[&str]) -> (Option<i32>, String) {
    let mut command = host.command(env!("CARGO_BIN_EXE_git-banger"));
    command.args(["send", VM, "s"]).args(args);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

guest_test!(a_message_comes_from_the_command_line_a_file_or_stdin, |guest| {
    let host = host(guest);
    start_cat(&host);
    host.write("file", "{\"a\": 1}\n{\"b\": 2}");
    let file = host.file("file");
    let file = file.to_str().unwrap();
    assert_eq!(host.run(&["send", VM, "s", "-m", "it's \\ \"$x\""]).code, Some(0));
    assert_eq!(host.run(&["send", VM, "s", "-m", "no ", "--no-newline"]).code, Some(0));
    assert_eq!(host.run(&["send", VM, "s", "--file", file, "--jsonl"]), ran(0, "", "delivered 18 bytes\n"));
    assert_eq!(send(&host, b"a\0\xff", &["-q"]), (Some(0), String::new()));
    let wanted = b"it's \\ \"$x\"\nno {\"a\": 1}\n{\"b\": 2}\na\0\xff";
    eventually("output", || log(guest) == wanted);
    let told = "error: line 2 is not JSON: expected ident at column 2\n";
    assert_eq!(send(&host, b"{}\nnot JSON\n", &["--jsonl"]), (Some(1), told.to_owned()));
    assert_eq!(send(&host, b"", &[]), (Some(2), "error: there is nothing to send\n".to_owned()));
    assert_eq!(log(guest), wanted);
    for _ in 0..2 {
        let ran = host.run(&["send", VM, "s", "-m", "once", "--id", "key", "-q"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let again = host.run(&["send", VM, "s", "-m", "once", "--id", "key"]);
    assert_eq!(again, ran(0, "", "already delivered; not sent again\n"));
    let other = host.run(&["send", VM, "s", "-m", "other", "--id", "key"]);
    assert_eq!(
        other,
        ran(
            1,
            "",
            "error: guest 'dev' refused; nothing was written\n  guest: another message was sent with key 'key'\n"
        )
    );
    assert_eq!(host.run(&["send", VM, "s", "--eof", "-m", "", "--no-newline"]).code, Some(0));
    assert_eq!(host.run(&["session", "wait", VM, "s", "-q"]), ran(0, "", ""));
    assert_eq!(log(guest), [wanted, &b"once\n"[..]].concat());
    let ended = host.run(&["send", VM, "s", "-m", "x"]);
    assert_eq!(
        ended,
        ran(1, "", "error: guest 'dev' refused; nothing was written\n  guest: session 's' does not run any more\n")
    );
    guest.assert_no_leftovers();
});

guest_test!(a_fifo_of_another_tool_takes_messages_too, |guest| {
    let host = host(guest);
    let fifo = guest.home().join("theirs");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = thread::spawn(move || fs::read(fifo).unwrap());
    assert_eq!(host.run(&["send", VM, "--fifo", "theirs", "-m", "word"]), ran(0, "", "delivered 5 bytes\n"));
    assert_eq!(reader.join().unwrap(), b"word\n");
    let told = "error: guest 'dev' refused; nothing was written\n  guest: 'nowhere' is not a FIFO\n";
    assert_eq!(host.run(&["send", VM, "--fifo", "nowhere", "-m", "word"]), ran(1, "", told));
    guest.assert_no_leftovers();
});

guest_test!(a_stalled_reader_is_told_apart_by_what_went_in, |guest| {
    let host = host(guest);
    start_cat(&host);
    let listed: serde_json::Value = serde_json::from_slice(&host.stdout(&["session", "list", VM, "--json"])).unwrap();
    let signal = |name: &str| {
        let pid = listed[0]["pid"].to_string();
        assert!(Command::new("kill").args([name, pid.as_str()]).status().unwrap().success());
        let stopped = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
        eventually("it is stopped", || name != "-STOP" || stopped());
    };
    signal("-STOP");
    let big = vec![b'b'; 200_000];
    let (code, told) = send(&host, &big, &["--timeout", "1"]);
    let wanted = "error: guest 'dev' may have written a part of the message\n\
                  \x20 guest: 65536 of 200000 bytes were written in time; the rest follows when the reader goes on\n\
                  \x20 a message with an --id can be sent again, and is delivered once\n";
    assert_eq!((code, told.as_str()), (Some(6), wanted));
    signal("-CONT");
    eventually("output", || log(guest).len() == big.len());
    signal("-STOP");
    assert_eq!(send(&host, &big[..65_536], &["-q"]), (Some(0), String::new()));
    let refused = host.run(&["send", VM, "s", "-m", "x", "--timeout", "1"]);
    assert_eq!(
        refused,
        ran(1, "", "error: guest 'dev' refused; nothing was written\n  guest: session 's' does not read\n")
    );
    signal("-CONT");
    eventually("output", || log(guest).len() == big.len() + 65_536);
    eventually("nothing is left", || fs::read_dir(guest.path("tmp")).unwrap().count() == 0);
});

#[test]
fn a_connection_that_is_cut_anywhere_gives_the_right_verdict() {
    let guest = TestGuest::russh();
    let host = host(&guest);
    start_cat(&host);
    let message = [vec![b'm'; 99_999], b"\n".to_vec()].concat();
    let mut expected = 0;
    let mut seen = BTreeSet::new();
    // The cut comes while connecting, while the script or the message goes up, before or after it is let go.
    let up = (0..=130_000).step_by(9_100).chain((118_000..121_000).step_by(250));
    let faults = up.map(|bytes| Faults { cut_up: Some(bytes), ..Faults::default() });
    let down = (0..6_000).step_by(180).map(|bytes| Faults { cut_down: Some(bytes), ..Faults::default() });
    for fault in faults.chain(down) {
        guest.set_faults(fault.clone());
        let (code, told) = send(&host, &message, &[]);
        guest.set_faults(Faults::default());
        match code {
            // Nothing was written, neither now nor later.
            Some(1 | 3) => {}
            Some(0) => expected += message.len(),
            Some(6) => {
                assert!(
                    told.starts_with("error: whether the message was delivered is not known: connection "),
                    "{told}"
                );
                let settle = Instant::now();
                while settle.elapsed() < Duration::from_millis(1500) && log(&guest).len() == expected {
                    thread::sleep(Duration::from_millis(20));
                }
                eventually("the message is whole", || (log(&guest).len() - expected).is_multiple_of(message.len()));
                expected = log(&guest).len();
            }
            _ => panic!("{fault:?}: {code:?} {told}"),
        }
        seen.insert(code.unwrap());
        assert_eq!(log(&guest).len(), expected, "{fault:?}: {code:?} {told}");
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 3, 6]));
    eventually("nothing is left", || fs::read_dir(guest.path("tmp")).unwrap().count() == 0);
    assert!(log(&guest).chunks(message.len()).all(|chunk| chunk == message));
}

#[test]
fn fifty_senders_beside_one_attach_deliver_each_line_whole_and_once() {
    let guest = TestGuest::russh();
    let host = host(&guest);
    start_cat(&host);
    let mut attach = host.command(env!("CARGO_BIN_EXE_git-banger"));
    attach.args(["session", "attach", VM, "s", "--from", "start", "-q"]);
    let mut attached = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let sizes = [10, 1_000, 4_096, 4_097, 65_537, 300_000, 1_000_000];
    let lines: Vec<Vec<u8>> = (0..50)
        .map(|sender| {
            let mut line = format!("{sender}.").into_bytes();
            line.resize(sizes[sender % if sender < 14 { 7 } else { 5 }] - 1, b'a' + (sender % 26) as u8);
            line.push(b'\n');
            line
        })
        .collect();
    thread::scope(|scope| {
        for line in &lines {
            scope.spawn(|| assert_eq!(send(&host, line, &["-q", "--timeout", "120"]), (Some(0), String::new())));
        }
    });
    let total: usize = lines.iter().map(Vec::len).sum();
    eventually("output", || log(&guest).len() >= total);
    let mut shown = vec![0; total];
    std::io::Read::read_exact(attached.stdout.as_mut().unwrap(), &mut shown).unwrap();
    drop(attached.stdin.take());
    assert_eq!(attached.wait().unwrap().code(), Some(0));
    let got: BTreeSet<_> = shown.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    assert!(shown == log(&guest) && got == lines.into_iter().collect(), "a line was torn, lost or doubled");
    assert_eq!(host.run(&["session", "stop", VM, "s", "-q"]).code, Some(0));
    guest.wait_until_idle();
    guest.assert_no_leftovers();
}
