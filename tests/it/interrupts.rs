//! An interrupt ends every phase alike: the same message, exit code 130, nothing half done; also when the signal is sent to
//! this process alone, as a supervisor does, and not to its children.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::prepare_again::with_git;
use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, lines};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Starts git-banger with a stdin that stays open and outputs that nobody reads yet, in a process group of its own.
fn start(host: &Host, args: &[&str]) -> Child {
    spawn(host, Command::new(env!("CARGO_BIN_EXE_git-banger")), args)
}

/// As [`start`], of a git that finds git-banger on PATH, as users type it.
fn start_through_git(host: &Host, args: &[&str]) -> Child {
    let mut git = Command::new("git");
    git.arg("banger");
    spawn(host, git, args)
}

fn spawn(host: &Host, mut command: Command, args: &[&str]) -> Child {
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

/// Interrupts a process and reads none of its outputs; returns how it ended, within that time.
fn ended_unread(child: &mut Child, limit: Duration, what: &str) -> ExitStatus {
    let sent = Instant::now();
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(sent.elapsed() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
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
fn several_guests_that_are_asked_at_once_are_left_by_one_interrupt() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.prepare();
    let names: Vec<String> = (0..10).map(|number| format!("guest{number}")).collect();
    for name in &names {
        host.git(&["config", &format!("banger.{name}.url"), "ssh://dev/~/repo"]);
        for kind in ["prepare", "baseline"] {
            let own = format!("refs/banger/main/{name}/{kind}");
            host.git(&["update-ref", &own, &format!("refs/banger/main/dev/{kind}")]);
        }
    }
    let all = host.run(&["status", "--all", "--exit-code"]);
    assert!(all.code == Some(0) && all.stdout.lines().count() == 11, "{all:?}");
    let started = slow(&mut host, "git", " index-pack ");
    for more in [&[][..], &["--json"]] {
        let child = start(&host, &[&["status", "--all"], more].concat());
        wait_for(&started);
        let (code, stderr, stdout) = interrupted(child, "INT", false);
        assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"), "{more:?}");
        assert_eq!(String::from_utf8_lossy(&stdout).lines().count(), more.len(), "{more:?}");
        fs::remove_file(&started).unwrap();
    }
    guest.wait_until_idle();
    guest.assert_no_leftovers();
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
    for args in
        [&["export", VM][..], &["export", VM, "--format=bundle"], &["export", VM, "--stat"], &["export", VM, "--json"]]
    {
        if args.contains(&"--stat") {
            for number in 0..2_000 {
                guest.write(&format!("many/{number}"), format!("{number}\n"));
            }
        }
        let mut child = start(&host, args);
        // The first of it has come, so the rest waits.
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let status = ended_unread(&mut child, Duration::from_secs(5), &format!("{args:?}"));
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
        record_slowly(&mut host, &started, 1);
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

/// Has the host's git take so many seconds to record a landing that has begun.
fn record_slowly(host: &mut Host, started: &Path, seconds: u32) {
    let text = format!(
        "case \" $* \" in *' update-ref '*) test ! -e .git/banger/landing/journal || {{ touch '{}'; sleep {seconds}; }} ;; esac\n\
         exec \"$REAL\" \"$@\"",
        started.display()
    );
    host.wrap("git", &text);
}

/// git passes a signal on to its children when it gets one itself, and the terminal sends one to all of them.
#[test]
fn through_git_a_ctrl_c_comes_twice_and_counts_once() {
    let guest = TestGuest::russh();
    for (signal, args) in [("INT", &SINCE[..]), ("TERM", &["fetch", VM]), ("HUP", &SINCE)] {
        let mut host = Host::new(&guest);
        let _ = fs::remove_dir_all(guest.workspace());
        host.write(".gitattributes", "a filter=slow\n");
        host.commit("attributes");
        host.prepare();
        guest.write("a", edited("a", 1));
        let folder = Path::new(env!("CARGO_BIN_EXE_git-banger")).parent().unwrap();
        host.set_env("PATH", format!("{}:{}", folder.display(), host.env()["PATH"]));
        let started = if args[0] == "pull" {
            // git puts a git of its own before all others on PATH.
            let started = host.path("started");
            let smudge = format!("touch '{}'; sleep 1; cat", started.display());
            host.git(&["config", "filter.slow.smudge", &smudge]);
            started
        } else {
            slow(&mut host, "ssh", " -G ")
        };
        let child = start_through_git(&host, args);
        wait_for(&started);
        let (_, stderr, _) = interrupted(child, signal, true);
        assert_eq!(stderr, "error: interrupted\n", "{signal}");
        assert_eq!(host.read("a"), lines("a"), "{signal}");
    }
}

#[test]
fn an_interrupt_of_several_guests_is_told_once() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.prepare();
    guest.write("a", "theirs\n");
    host.git(&["config", "banger.two.url", "ssh://dev/~/repo"]);
    let started = slow(&mut host, "git", " index-pack ");
    for verb in ["fetch", "pull"] {
        let before = host.files_but(&[]);
        let _ = fs::remove_file(&started);
        let child = start(&host, &[verb, VM, "two"]);
        wait_for(&started);
        let (code, stderr, _) = interrupted(child, "TERM", false);
        assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"), "{verb}");
        before.assert_same(&host.files_but(&[]));
    }
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

#[test]
fn a_fifo_that_nobody_opens_and_a_stderr_that_nobody_reads_do_not_hold_it_up() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let fifo = host.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for args in
        [&["export", VM, "-q", "-o", fifo.to_str().unwrap()][..], &["send", VM, "s", "--file", fifo.to_str().unwrap()]]
    {
        let child = start(&host, args);
        std::thread::sleep(Duration::from_millis(1500));
        let (code, stderr, _) = interrupted(child, "INT", false);
        assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"), "{args:?}");
    }
    // A FIFO that somebody reads is written to whole.
    let reader = Command::new("cat").arg(&fifo).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(host.run(&["export", VM, "-q", "-o", fifo.to_str().unwrap()]).code, Some(0));
    let patch = reader.wait_with_output().unwrap().stdout;
    assert!(patch == host.stdout(&["export", VM]), "{}", String::from_utf8_lossy(&patch));
    // More notes than a pipe holds, and none of them read.
    for number in 0..400 {
        let git = guest.file(&format!("{}{number}/.git", "nested-".repeat(28)));
        for folder in ["objects", "refs"] {
            fs::create_dir_all(git.join(folder)).unwrap();
        }
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(git.join("../file"), "x\n").unwrap();
    }
    let mut child = start(&host, &["export", VM, "--name-only"]);
    child.stderr.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let status = ended_unread(&mut child, Duration::from_secs(8), "it waits for a reader of stderr");
    assert_eq!(status.code(), Some(130));
}

#[test]
fn what_outlives_a_second_signal_is_waited_for_before_it_is_taken_back() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.write("new", "new\n");
    let (files, started) = (host.files_but(&[]), host.path("started"));
    record_slowly(&mut host, &started, 3);
    let child = start(&host, &SINCE);
    wait_for(&started);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    // Sooner it would be the same Ctrl-C once more.
    std::thread::sleep(Duration::from_millis(800));
    let (code, stderr, _) = interrupted(child, "INT", false);
    assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"));
    // The program that writes is still at work.
    host.git(&["config", "banger.lockTimeout", "0"]);
    let busy = host.run(&["pull", VM, "-n", "--base-commit", "@prepare"]);
    assert!(busy.code == Some(1) && busy.stderr.contains("another landing is under way"), "{busy:?}");
    assert!(busy.stderr.contains(&format!("it is 'pull dev' (process {pid})")), "{busy:?}");
    host.git(&["config", "--unset", "banger.lockTimeout"]);
    let taken_back = host.run(&["pull", VM, "-n", "--base-commit", "@prepare"]);
    assert_eq!(taken_back.code, Some(0), "{taken_back:?}");
    assert!(taken_back.stderr.contains("waiting for another landing here"), "{taken_back:?}");
    assert!(taken_back.stderr.contains("it was taken back first"), "{taken_back:?}");
    files.assert_same(&host.files_but(&[]));
}

#[test]
fn what_was_shipped_is_recorded_first() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    let started = host.path("started");
    // The first one says what is coming.
    let text = format!(
        "case \" $* \" in *' update-ref '*) test ! -e '{0}.first' || {{ touch '{0}'; sleep 1; }}\ntouch '{0}.first' ;; \
         esac\nexec \"$REAL\" \"$@\"",
        started.display()
    );
    host.wrap("git", &text);
    let child = start(&host, &["prepare", VM, "-q"]);
    wait_for(&started);
    let (code, stderr, _) = interrupted(child, "INT", true);
    assert!(matches!(code, Some(0 | 130)) && !stderr.contains("unrecorded"), "{code:?} {stderr}");
    assert_eq!(host.git(&["for-each-ref", "--format=%(refname)", "refs/banger"]).lines().count(), 2);
    assert!(host.run(&["vm", "list"]).stdout.starts_with("dev\t-\trepo\tprepared at <id> on "));
}

#[test]
fn a_workspace_that_is_prepared_again_is_as_it_was() {
    let (folder, guest) = with_git("*' index-pack --fix-thin '*) touch \"$HOME/started\"; sleep 2 ;;");
    let host = Host::new(&guest);
    host.prepare();
    // More than is on the way while nobody reads it.
    let noise: Vec<u8> =
        (0..2_000_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    host.write("noise", noise);
    host.commit("noise");
    guest.write("x.o", "built\n");
    let before = guest.fingerprint().files_only();
    fs::write(folder.path().join("on"), "").unwrap();
    let child = start(&host, &["prepare", VM]);
    wait_for(&guest.home().join("started"));
    let (code, stderr, _) = interrupted(child, "INT", true);
    assert!(code == Some(130) && stderr.starts_with("error: interrupted\n"), "{code:?} {stderr}");
    fs::remove_file(folder.path().join("on")).unwrap();
    guest.wait_until_idle();
    before.assert_same(&guest.fingerprint().files_only());
    guest.assert_no_leftovers();
    host.prepare();
    assert!(guest.file("noise").exists() && guest.file("x.o").exists());
}

#[test]
fn whoever_was_not_attached_has_left_nothing() {
    let guest = TestGuest::russh();
    let mut host = Host::new(&guest);
    let started = slow(&mut host, "ssh", " -G ");
    let child = start(&host, &["session", "attach", VM, "s"]);
    wait_for(&started);
    let (code, stderr, _) = interrupted(child, "INT", false);
    assert_eq!((code, stderr.as_str()), (Some(130), "error: interrupted\n"));
}
