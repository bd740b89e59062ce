//! What can go wrong on the way, one at a time: its message, its exit code, and nothing changed on either side.

use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran};
use crate::support::russh::Faults;

fn worked_in() -> (TestGuest, Host) {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", "edited\n");
    guest.write("new", (0..2_000).map(|number| format!("line {number}\n")).collect::<String>());
    (guest, host)
}

/// Runs `pull`, which must not change anything unless it succeeds; returns how it ended.
fn pull(guest: &TestGuest, host: &Host, faults: Faults) -> Ran {
    let (in_guest, on_host) = (guest.fingerprint(), host.fingerprint().files_only());
    guest.set_faults(faults);
    let ran = host.run(&["pull", VM, "--quiet"]);
    guest.set_faults(Faults::default());
    in_guest.assert_same(&guest.fingerprint());
    wait_for_clean_up(guest);
    if ran.code != Some(0) {
        // What arrived may be kept.
        let objects = [host.file(".git/objects"), host.file(".git/refs/banger")];
        on_host.without(&objects).assert_same(&host.fingerprint().files_only().without(&objects));
    }
    ran
}

fn wait_for_clean_up(guest: &TestGuest) {
    let waiting = Instant::now();
    while std::fs::read_dir(guest.path("tmp")).unwrap().next().is_some() && waiting.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    guest.assert_no_leftovers();
}

fn unreachable(message: &str) -> Ran {
    Ran { code: Some(3), stdout: String::new(), stderr: format!("error: {message}\n") }
}

#[test]
fn each_fault_has_its_message() {
    let (guest, host) = worked_in();
    let lost = |faults| pull(&guest, &host, faults);
    assert_eq!(
        lost(Faults { refuse_exec: true, ..Faults::default() }).stderr,
        "error: guest 'dev' refuses to run a command\n\
         \x20 its SSH server may allow logins for another purpose only\n"
    );
    assert_eq!(
        lost(Faults { refuse_channel: true, ..Faults::default() }),
        unreachable("guest 'dev' does not run a command: failed to open channel (ConnectFailed)")
    );
    assert_eq!(
        lost(Faults { omit_exit_status: true, ..Faults::default() }),
        unreachable("guest 'dev' ended the command without an exit status")
    );
    let refused = lost(Faults { refuse_auth: true, ..Faults::default() });
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains(" refuses to log in user '"), "{}", refused.stderr);
    assert!(refused.stderr.contains("'\n  offered ED25519 SHA256:"), "{}", refused.stderr);
    assert_eq!(lost(Faults { noise: vec![b'\n'; 200_000], ..Faults::default() }).code, Some(5));
}

#[test]
fn noise_before_the_answer_is_skipped() {
    let (guest, host) = worked_in();
    let noise = b"Welcome!\n\x1b[31mred\r\nno newline".to_vec();
    let ran = pull(&guest, &host, Faults { noise, ..Faults::default() });
    assert_eq!(ran, Ran { code: Some(0), stdout: String::new(), stderr: String::new() });
    assert_eq!((host.read("a"), host.file("new").exists()), ("edited\n".to_owned(), true));
}

#[test]
fn a_connection_cut_anywhere_changes_nothing() {
    let (guest, host) = worked_in();
    let mut failed = 0;
    for (step, way) in [(1_500, true), (3_000, false)] {
        for at in (100..).step_by(step) {
            let cut = Some(at);
            let faults = if way {
                Faults { cut_down: cut, ..Faults::default() }
            } else {
                Faults { cut_up: cut, ..Faults::default() }
            };
            let ran = pull(&guest, &host, faults);
            if ran.code == Some(0) {
                break;
            }
            assert_eq!(ran.code, Some(3), "cut after {at}: {}", ran.stderr);
            failed += 1;
        }
    }
    assert!(failed > 5, "{failed} cuts");
    assert_eq!(host.read("a"), "edited\n");
}

#[test]
fn an_upload_cut_anywhere_leaves_no_workspace() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for at in (3_000..).step_by(4_000) {
        guest.set_faults(Faults { cut_up: Some(at), ..Faults::default() });
        let ran = host.run(&["prepare", VM]);
        if ran.code == Some(0) {
            break;
        }
        assert_eq!(ran.code, Some(3), "cut after {at}: {}", ran.stderr);
        wait_for_clean_up(&guest);
        assert!(!guest.workspace().exists(), "cut after {at}");
    }
    assert!(guest.file("a").exists());
}
