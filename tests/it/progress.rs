//! The line that shows how far a slow step has come: on a terminal, and nowhere else.

use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::Host;
use crate::support::russh::Faults;

const SINCE: &str = "pull dev --base-commit HEAD@prepare";

/// A host with a terminal, and a guest whose work does not compress.
fn worked_in() -> (TestGuest, Host) {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.set_env("TERM", "xterm");
    host.set_env("TMUX_TMPDIR", host.path("tmp").to_str().unwrap());
    host.prepare();
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(400_000)
    .collect();
    guest.write("noise", noise);
    (guest, host)
}

/// A terminal that runs a command of git-banger, and then says how it ended.
struct Terminal<'a> {
    host: &'a Host,
}

impl<'a> Terminal<'a> {
    fn run(host: &'a Host, command: &str) -> Terminal<'a> {
        let command = format!("trap : INT; git-banger {command}; echo ended with $?; exec sleep 60");
        let terminal = Terminal { host };
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "20", "sh", "-c", &command]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = self.host.command("tmux").args(args).output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the screen is as it should be, and returns it.
    fn waits(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]).trim_end().to_owned();
            if is_there(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "waited for {what}, got:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.host.command("tmux").arg("kill-server").output();
    }
}

/// Makes what the guest's script reads slow: three seconds for the first file that passes a filter there.
fn slow_down(guest: &TestGuest) {
    guest.git(&["config", "filter.slow.clean", "sleep 3; cat"]);
    guest.write(".git/info/attributes", "noise filter=slow\n");
}

#[test]
fn a_slow_step_is_shown_on_a_terminal_and_gone_at_its_end() {
    let (guest, host) = worked_in();
    slow_down(&guest);
    let terminal = Terminal::run(&host, SINCE);
    terminal.waits("the step", |screen| screen == "receiving from 'dev'");
    let screen = terminal.waits("the end", |screen| screen.contains("ended with"));
    let lines: Vec<_> = screen.lines().collect();
    assert!(lines[1].starts_with("landed 1 changed file from 'dev'"), "{screen}");
    assert_eq!((lines.len(), lines[0], lines[2]), (3, "A       noise", "ended with 0"), "{screen}");
}

#[test]
fn a_pipe_and_quiet_see_no_progress() {
    let (guest, host) = worked_in();
    slow_down(&guest);
    let fetched = host.run(&["fetch", VM]);
    assert!(fetched.stderr.starts_with("fetched <id> from 'dev'"), "{}", fetched.stderr);
    assert!(!fetched.stderr.contains(['\r', '\x1b']), "{}", fetched.stderr);
    let terminal = Terminal::run(&host, "fetch --quiet dev");
    terminal.waits("the end alone", |screen| {
        assert!(screen.is_empty() || screen == "ended with 0", "{screen}");
        !screen.is_empty()
    });
}

#[test]
fn bytes_and_rate_are_shown_and_gone_when_the_user_interrupts() {
    let (guest, host) = worked_in();
    guest.set_faults(Faults { stall_down: Some(200_000), ..Faults::default() });
    let terminal = Terminal::run(&host, SINCE);
    terminal.waits("bytes and rate", |screen| {
        screen.starts_with("receiving from 'dev': 1") && screen.contains(" KiB | ") && screen.ends_with("/s")
    });
    terminal.tmux(&["send-keys", "C-c"]);
    let screen = terminal.waits("the end", |screen| screen.contains("ended with"));
    assert_eq!(screen.trim_start_matches("^C"), "error: interrupted\nended with 130");
}

#[test]
fn an_upload_is_shown_with_its_bytes() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.set_env("TERM", "xterm");
    host.set_env("TMUX_TMPDIR", host.path("tmp").to_str().unwrap());
    let noise: Vec<u8> = (0..50_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    host.write("noise", noise);
    host.commit("noise");
    guest.set_faults(Faults { stall_up: Some(100_000), ..Faults::default() });
    let terminal = Terminal::run(&host, "prepare dev");
    terminal.waits("bytes", |screen| screen.starts_with("sending to 'dev': ") && screen.ends_with("/s"));
}
