//! The test guests themselves, as the real `ssh` sees them: what they say of git-banger is worth no more than this.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::russh::Faults;
use crate::support::{guest_test, require};

fn ssh(guest: &TestGuest, command: &str) -> Command {
    let mut ssh = Command::new(require("ssh"));
    ssh.arg("-F").arg(guest.ssh_config()).args(["-o", "BatchMode=yes", VM, command]);
    ssh.stdin(Stdio::null());
    ssh
}

fn run(guest: &TestGuest, command: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = ssh(guest, command).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

fn wait_for(path: &Path) {
    let waiting = Instant::now();
    while !path.exists() {
        assert!(waiting.elapsed() < Duration::from_secs(10), "no {path:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

guest_test!(a_command_runs_at_home_in_a_session_of_its_own, |guest| {
    let home = guest.home().display().to_string();
    let (code, stdout, stderr) = run(guest, "cd && pwd && ps -o pid= -o pgid= -o sid= -p $$; echo said >&2; exit 7");
    let mut lines = stdout.lines();
    assert_eq!((code, lines.next(), stderr.as_str()), (Some(7), Some(home.as_str()), "said\n"));
    let ids: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
});

guest_test!(input_and_output_arrive_whole, |guest| {
    let megabytes: Vec<u8> = (0..3_000_000u32).flat_map(|number| number.to_le_bytes()).collect();
    let mut child = ssh(guest, "cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = megabytes.clone();
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &sent).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.stdout == megabytes, "{} bytes of {}", output.stdout.len(), megabytes.len());
});

guest_test!(a_client_that_goes_ends_the_input_and_signals_nobody, |guest| {
    let mut child = ssh(guest, "cd; cat >ended; sleep 0.2; echo still here >after");
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    wait_for(&guest.home().join("ended"));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(&guest.home().join("after"));
});

#[test]
fn faults_are_what_they_say() {
    let guest = TestGuest::russh();
    let case = |faults: Faults| {
        guest.set_faults(faults);
        run(&guest, "echo said")
    };
    let refused = case(Faults { refuse_auth: true, ..Faults::default() });
    assert!(refused.0 == Some(255) && refused.2.contains("Permission denied"), "{refused:?}");
    let refused = case(Faults { refuse_channel: true, ..Faults::default() });
    assert!(refused.0 == Some(255) && refused.2.contains("open failed"), "{refused:?}");
    let refused = case(Faults { refuse_exec: true, ..Faults::default() });
    assert!(refused.0 == Some(255) && refused.2.contains("exec request failed"), "{refused:?}");
    let silent = case(Faults { omit_exit_status: true, ..Faults::default() });
    assert_eq!((silent.0, silent.1.as_str()), (Some(255), "said\n"));
    let noisy = case(Faults { noise: b"noise\n".to_vec(), banner: Some("be good\n".into()), ..Faults::default() });
    assert_eq!((noisy.0, noisy.1.as_str()), (Some(0), "noise\nsaid\n"));
    assert!(noisy.2.contains("be good"), "{noisy:?}");
    for bytes in [0, 10, 500, 1000] {
        let cut = case(Faults { cut_down: Some(bytes), ..Faults::default() });
        assert_eq!((cut.0, cut.1.as_str()), (Some(255), ""), "down {bytes}");
        let cut = case(Faults { cut_up: Some(bytes), ..Faults::default() });
        assert_eq!((cut.0, cut.1.as_str()), (Some(255), ""), "up {bytes}");
    }
    guest.set_faults(Faults { rekey_after: Some(64 * 1024), ..Faults::default() });
    assert_eq!(run(&guest, "head -c 1000000 /dev/zero | wc -c").1.trim(), "1000000");
    guest.change_host_key();
    let changed = run(&guest, "echo said");
    assert!(changed.0 == Some(255) && changed.2.contains("HOST IDENTIFICATION HAS CHANGED"), "{changed:?}");
    guest.trust_host_key();
    assert_eq!(run(&guest, "echo said").0, Some(0));
}
