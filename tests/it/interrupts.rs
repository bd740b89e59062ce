//! An interrupt ends every phase alike: the same message, exit code 130, nothing half done; also when the signal is sent to
//! this process alone, as a supervisor does, and not to its children.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Starts git-banger with a stdin that stays open and outputs that nobody reads yet, in a process group of its own.
fn start(host: &Host, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_git-banger"));
    command.args(args).current_dir(host.repo()).env_clear().envs(host.env());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for(what: &Path) {
    let waiting = Instant::now();
    while !what.exists() {
        assert!(waiting.elapsed() < Duration::from_secs(20), "{} never came", what.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal, to the process or to its whole group; returns how the process ended, soon after.
fn interrupted(child: Child, signal: &str, group: bool) -> (Option<i32>, String, Vec<u8>) {
    let sent = Instant::now();
    let to = if group { format!("-{}", child.id()) } else { child.id().to_string() };
    assert!(Command::new("kill").args(["-s", signal, "--", &to]).status().unwrap().success());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(5), "{signal}: {:?}", sent.elapsed());
    (status.code(), String::from_utf8_lossy(&stderr).into_owned(), stdout)
}

/// A program on the host that says when it is asked for `verb`, and then takes its time.
fn slow(host: &mut Host, program: &str, verb: &str) -> std::path::PathBuf {
    let started = host.path("started");
    let text =
        format!("case \" $* \" in *'{verb}'*) touch '{}'; sleep 30 ;; esac\nexec \"$REAL\" \"$@\"", started.display());
    host.wrap(program, &text);
    started
}

#[test]
fn a_program_on_the_host_is_told_to_end_whoever_the_signal_was_sent_to() {
    let guest = TestGuest::russh();
    for (program, verb, signal, group) in [
        ("git", " merge-tree ", "INT", false),
        ("git", " index-pack ", "TERM", false),
        ("git", " ls-files ", "HUP", true),
        ("git", " config ", "INT", true),
        ("ssh", " -G ", "INT", false),
    ] {
        let mut host = Host::new(&guest);
        let _ = fs::remove_dir_all(guest.workspace());
        host.prepare();
        host.write("b", edited("b", 1));
        host.write("a", lines("a") + "mine\n");
        guest.write("a", edited("a", 1));
        let (files, standing) = (host.files_but(&[]), host.standing());
        let started = slow(&mut host, program, verb);
        let child = start(&host, &SINCE);
        wait_for(&started);
        let (code, stderr, stdout) = interrupted(child, signal, group);
        assert_eq!((code, stderr.as_str(), stdout.as_slice()), (Some(130), "error: interrupted\n", &b""[..]), "{verb}");
        files.assert_same(&host.files_but(&[]));
        standing.assert_same(&host.standing());
        guest.wait_until_idle();
        guest.assert_no_leftovers();
    }
}

#[test]
fn a_message_that_is_still_being_typed_is_not_sent() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for signal in ["INT", "TERM", "HUP"] {
        let child = start(&host, &["send", VM, "s"]);
        // It reads before it connects.
        std::thread::sleep(Duration::from_millis(500));
        let (code, stderr, _) = interrupted(child, signal, false);
        assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"), "{signal}");
    }
}

#[test]
fn an_output_that_nobody_reads_does_not_hold_it_up() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let noise: Vec<u8> = (0..200_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    guest.write("new", noise);
    for args in [&["export", VM][..], &["export", VM, "--format=bundle"], &["export", VM, "--stat"]] {
        if args.contains(&"--stat") {
            for number in 0..2_000 {
                guest.write(&format!("many/{number}"), format!("{number}\n"));
            }
        }
        let mut child = start(&host, args);
        // The first of it has come, so the rest waits.
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let sent = Instant::now();
        assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
            assert!(sent.elapsed() < Duration::from_secs(5), "{args:?}");
        };
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((status.code(), stderr.as_str()), (Some(130), "error: interrupted\n"), "{args:?}");
    }
}

#[test]
fn a_program_that_asks_for_a_passphrase_is_no_key_that_fails() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-p", "-P", "", "-N", "secret", "-f"]).arg(guest.path("client_key"));
    assert!(keygen.status().unwrap().success());
    let started = host.path("started");
    let ask = host.path("ask");
    crate::support::write_program(&ask, &format!("#!/bin/sh\ntouch '{}'\nsleep 30\n", started.display()));
    host.set_env("SSH_ASKPASS", ask.to_str().unwrap());
    host.set_env("SSH_ASKPASS_REQUIRE", "force");
    let child = start(&host, &["prepare", VM]);
    wait_for(&started);
    let (code, stderr, _) = interrupted(child, "INT", false);
    assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"));
}

#[test]
fn a_landing_that_has_begun_is_ended_first() {
    let guest = TestGuest::russh();
    for group in [false, true] {
        let mut host = Host::new(&guest);
        let _ = fs::remove_dir_all(guest.workspace());
        host.prepare();
        guest.write("a", edited("a", 1));
        guest.write("new", "new\n");
        let started = host.path("started");
        // The dry run before it has '-n'.
        let text = format!(
            "case \" $* \" in *' -n '*) ;; *' read-tree '*' -u '*) touch '{}'; sleep 1 ;; esac\nexec \"$REAL\" \"$@\"",
            started.display()
        );
        host.wrap("git", &text);
        let child = start(&host, &SINCE);
        wait_for(&started);
        let (code, stderr, _) = interrupted(child, "INT", group);
        let told = "error: interrupted\n  the work has landed all the same\n";
        assert_eq!((code, stderr.as_str()), (Some(130), told), "to the group: {group}");
        assert_eq!((host.read("a"), host.read("new")), (edited("a", 1), "new\n".to_owned()));
        let again = host.run(&SINCE);
        assert!(again.code == Some(0) && again.stderr.starts_with("nothing new"), "{again:?}");
    }
}

#[test]
fn an_interrupt_of_several_guests_is_told_once() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.prepare();
    let started = slow(&mut host, "git", " index-pack ");
    let child = start(&host, &["fetch", VM, VM, VM]);
    wait_for(&started);
    let (code, stderr, _) = interrupted(child, "TERM", false);
    assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"));
}

#[test]
fn in_json_an_interrupt_is_an_error_like_any_other() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.prepare();
    let started = slow(&mut host, "git", " index-pack ");
    let child = start(&host, &["pull", VM, "--json", "--base-commit", "@prepare"]);
    wait_for(&started);
    let (code, stderr, stdout) = interrupted(child, "INT", false);
    assert_eq!(stderr, "error: interrupted\n");
    let object: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((code, &object["error"]["kind"]), (Some(130), &"interrupted".into()));
}
