//! A real coding agent that reads JSON lines, as a session: pi from npm, without a model and without a network.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, ran};

/// Returns pi, which 'tests/tools' installs; `None` where no node runs it, which CI must have.
fn pi() -> Option<PathBuf> {
    let version = Command::new("node").args(["-p", "parseInt(process.versions.node)"]).output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok());
    if version.is_none_or(|version| version < 20) {
        assert!(std::env::var_os("CI").is_none(), "CI must have node 20 or later for this test");
        eprintln!("skipped: no node 20 or later on PATH");
        return None;
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache"));
    let pi = PathBuf::from(cache).join("git-banger/tools/pi/node_modules/.bin/pi");
    assert!(pi.exists(), "'pi' is missing, and this test needs it: tests/tools");
    Some(pi)
}

/// Waits for the answer to a request in the session's log.
fn answer(host: &Host, id: &str) -> serde_json::Value {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(60) {
        let log = host.stdout(&["session", "logs", VM, "pi"]);
        let lines = log.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        if let Some(answer) = lines.into_iter().find(|line: &serde_json::Value| line["id"] == id) {
            return answer;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("no answer to '{id}': {:?}", host.run(&["session", "logs", VM, "pi", "--stderr"]))
}

guest_test!(an_agent_works_in_a_session_and_its_work_is_pulled, |guest| {
    let Some(pi) = pi() else { return };
    let host = Host::new(guest);
    host.prepare();
    let words = ["session", "start", VM, "pi", "-q", "--env", "PI_OFFLINE=1", "--", pi.to_str().unwrap()];
    let started = host.run(&[&words[..], &["--mode", "rpc", "--no-session", "--offline"]].concat());
    assert_eq!(started, ran(0, "", ""));
    let send = |message: &str| host.run(&["send", VM, "pi", "-q", "--jsonl", "-m", message]);
    assert_eq!(send(r#"{"id": "state", "type": "get_state"}"#), ran(0, "", ""));
    assert_eq!(answer(&host, "state")["command"], "get_state");
    let request = r#"{"id": "work", "type": "bash", "command": "echo 'made by pi' >from-pi"}"#;
    assert_eq!(send(request), ran(0, "", ""));
    let answered = answer(&host, "work");
    assert_eq!((&answered["success"], &answered["data"]["exitCode"]), (&true.into(), &0.into()), "{answered}");
    let pulled = host.run(&["pull", VM, "--base-commit", "HEAD@prepare"]);
    assert_eq!((pulled.code, pulled.stdout.as_str()), (Some(0), "A\tfrom-pi\n"), "{pulled:?}");
    assert_eq!(fs::read_to_string(host.file("from-pi")).unwrap(), "made by pi\n");
    assert_eq!(host.run(&["send", VM, "pi", "-q", "--eof", "-m", "", "--no-newline"]), ran(0, "", ""));
    assert_eq!(host.run(&["session", "wait", VM, "pi", "-q", "--timeout", "30"]), ran(0, "", ""));
    guest.assert_no_leftovers();
});
