//! Calls over a real connection, to the server of the test kit.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Call, Connection, Destination, Exit, Refused, into_error};
use crate::error::{Error, Kind, Result};
use crate::reporter::{Reporter, Silent};

#[allow(dead_code, missing_docs, clippy::disallowed_methods, reason = "the server is shared with the other tests")]
#[path = "../../tests/it/support/russh.rs"]
mod server;

use server::{Account, Faults, Server};

/// A script that ends when its input does, as every guest script must.
const LEASED: &str = "exec 3<&0 </dev/null; (read -r x <&3; kill -s TERM 0) >/dev/null 2>&1 & exec 3<&-; ";

struct Guest {
    server: Server,
    folder: TempDir,
}

impl Guest {
    fn start() -> Guest {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let key = server::new_key().unwrap();
        fs::write(path("key"), server::key_file(&key)).unwrap();
        fs::set_permissions(path("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let home = folder.path().to_owned();
        let authorized = key.public_key().clone();
        let server = Server::start(Account { shell: "/bin/sh".into(), home, env, authorized }).unwrap();
        fs::write(path("known"), server::known_hosts_line(server.address(), &server.host_key())).unwrap();
        Guest { server, folder }
    }

    fn connect_with(&self, lines: &str) -> Result<Connection> {
        let path = |name| self.folder.path().join(name);
        let text = format!(
            "{lines}\nHostName 127.0.0.1\nPort {}\nUser worker\nIdentityFile {}\nIdentityAgent none\n\
             UserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n",
            self.server.address().port(),
            path("key").display(),
            path("known").display(),
        );
        fs::write(path("config"), text).unwrap();
        let (mut to, _) = Destination::parse_url("guest").unwrap();
        to.ssh_config = Some(path("config"));
        let reporter: Arc<dyn Reporter> = Arc::new(Silent);
        Connection::open(&to, &reporter).map_err(|refused| match refused {
            Refused::Failed(error) => error,
            Refused::Denied(denied) if denied.lost.is_some() => Error::unreachable(denied.host),
            other => panic!("{other:?}"),
        })
    }

    fn connect(&self) -> Connection {
        self.connect_with("").unwrap()
    }

    fn with(self, faults: Faults) -> Guest {
        self.server.set_faults(faults);
        self
    }
}

fn call(command: &str) -> Call {
    Call { command: command.to_owned(), script: Vec::new(), payload: None }
}

fn run(connection: &Connection, call: Call) -> Result<(Vec<u8>, Exit)> {
    let mut running = connection.exec(call)?;
    let mut stdout = Vec::new();
    running.read_to_end(&mut stdout).map_err(into_error)?;
    Ok((stdout, running.finish()?))
}

fn failure(result: Result<(Vec<u8>, Exit)>) -> Error {
    match result {
        Ok((stdout, exit)) => panic!("status {}, {} bytes", exit.status, stdout.len()),
        Err(error) => error,
    }
}

#[test]
fn outputs_are_kept_apart_and_the_status_arrives() {
    let guest = Guest::start();
    let connection = guest.connect();
    for _ in 0..3 {
        let (stdout, exit) = run(&connection, call("echo out; echo err >&2; exit 7")).unwrap();
        assert_eq!((stdout.as_slice(), exit.stderr.as_slice(), exit.status), (&b"out\n"[..], &b"err\n"[..], 7));
    }
    connection.close();
}

#[test]
fn script_and_payload_arrive_whole_while_as_much_comes_back() {
    let guest = Guest::start();
    let connection = guest.connect();
    let payload: Vec<u8> = (0..40_000_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
    let command = format!("head -c {}", payload.len() + 6);
    let sent = Box::new(io::Cursor::new(payload.clone()));
    let (stdout, exit) = run(&connection, Call { command, script: b"script".to_vec(), payload: Some(sent) }).unwrap();
    assert_eq!(exit.status, 0);
    assert!(stdout.strip_prefix(b"script") == Some(&payload), "{} bytes came back", stdout.len());
}

#[test]
fn keys_change_in_the_middle_of_it_all() {
    let guest = Guest::start().with(Faults { rekey_after: Some(256 << 10), ..Faults::default() });
    let connection = guest.connect_with("RekeyLimit 300K").unwrap();
    let payload = vec![7; 8_000_000];
    let sent = Box::new(io::Cursor::new(payload.clone()));
    let called = Call { command: "head -c 8000000".to_owned(), script: Vec::new(), payload: Some(sent) };
    let (stdout, exit) = run(&connection, called).unwrap();
    assert_eq!(exit.status, 0);
    assert!(stdout == payload);
}

#[test]
fn a_reader_that_sleeps_holds_up_nobody() {
    let guest = Guest::start();
    let connection = guest.connect();
    let mut slow = connection.exec(call("head -c 50000000 /dev/zero")).unwrap();
    assert_eq!(slow.read(&mut [0; 10]).unwrap(), 10);
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    let (stdout, _) = run(&connection, call("head -c 5000000 /dev/zero")).unwrap();
    assert_eq!(stdout.len(), 5_000_000);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(io::copy(&mut slow, &mut io::sink()).unwrap(), 50_000_000 - 10);
    assert_eq!(slow.finish().unwrap().status, 0);
}

#[test]
fn the_end_of_stderr_is_kept() {
    let guest = Guest::start();
    let command = "head -c 1000000 /dev/zero >&2; echo the end >&2; exit 1";
    let (_, exit) = run(&guest.connect(), call(command)).unwrap();
    assert_eq!(exit.stderr.len(), 64 << 10);
    assert!(exit.stderr.ends_with(b"\0the end\n"));
}

#[test]
fn a_call_that_is_cancelled_leaves_nothing_behind() {
    let guest = Guest::start();
    let connection = guest.connect();
    let left = guest.folder.path().join("left");
    let command = format!("touch {0}; trap 'rm {0}; exit 1' TERM; {LEASED} echo; sleep 60", left.display());
    let mut running = connection.exec(call(&command)).unwrap();
    assert_eq!(running.read(&mut [0; 10]).unwrap(), 1);
    assert!(left.exists());
    // A shell that gets a signal just before it starts a command looks at it when that has ended.
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    running.cancel();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(!left.exists());
    // The connection serves on.
    assert_eq!(run(&connection, call("exit 3")).unwrap().1.status, 3);
}

#[test]
fn a_guest_that_does_not_stop_is_left_after_two_seconds() {
    let guest = Guest::start();
    let connection = guest.connect();
    let running = connection.exec(call("echo; sleep 20")).unwrap();
    let start = Instant::now();
    running.cancel();
    assert!((2..4).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[test]
fn a_background_process_that_holds_stdout_is_not_waited_for() {
    let guest = Guest::start();
    let start = Instant::now();
    let (stdout, exit) = run(&guest.connect(), call("echo out; sleep 20 & exit 4")).unwrap();
    assert_eq!((stdout.as_slice(), exit.status), (&b"out\n"[..], 4));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn what_arrives_late_is_waited_for() {
    let guest = Guest::start();
    let (stdout, exit) = run(&guest.connect(), call("(sleep 0.7; echo late) & exit 4")).unwrap();
    assert_eq!((stdout.as_slice(), exit.status), (&b"late\n"[..], 4));
}

#[test]
fn a_payload_that_cannot_be_read_ends_the_call() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no such luck"))
        }
    }
    let guest = Guest::start();
    let called = Call { command: "cat".to_owned(), script: Vec::new(), payload: Some(Box::new(Broken)) };
    let error = failure(run(&guest.connect(), called));
    assert_eq!(error.to_string(), "cannot read what is to be sent: no such luck");
}

#[test]
fn a_command_without_a_status_is_an_error() {
    let guest = Guest::start().with(Faults { omit_exit_status: true, ..Faults::default() });
    let error = failure(run(&guest.connect(), call("echo fine")));
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(error.to_string(), "guest 'guest' ended the command without an exit status");
}

#[test]
fn a_command_that_is_killed_is_an_error() {
    let guest = Guest::start();
    let error = failure(run(&guest.connect(), call("kill -9 $$")));
    assert_eq!(error.kind(), Kind::Incapable);
    assert_eq!(error.to_string(), "the command in guest 'guest' was killed by signal KILL");
}

#[test]
fn a_command_that_is_refused_is_an_error() {
    let guest = Guest::start().with(Faults { refuse_exec: true, ..Faults::default() });
    let error = failure(run(&guest.connect(), call("true")));
    assert_eq!(error.to_string(), "guest 'guest' refuses to run a command");
    let guest = Guest::start().with(Faults { refuse_channel: true, ..Faults::default() });
    let error = failure(run(&guest.connect(), call("true")));
    assert_eq!(error.to_string(), "guest 'guest' does not run a command: failed to open channel (ConnectFailed)");
}

#[test]
fn a_connection_cut_anywhere_is_an_error() {
    let guest = Guest::start();
    let bytes = |stdout: &[u8]| stdout.len();
    let command = "head -c 20000 /dev/zero; exit 0";
    assert_eq!(bytes(&run(&guest.connect(), call(command)).unwrap().0), 20_000);
    let cut = |faults: Faults| {
        guest.server.set_faults(faults);
        let result = guest.connect_with("").and_then(|connection| run(&connection, call(command)));
        result.map(|(stdout, _)| stdout.len())
    };
    let mut lost = 0;
    for at in (0..24_000).step_by(977) {
        match cut(Faults { cut_down: Some(at), ..Faults::default() }) {
            Ok(length) => assert_eq!(length, 20_000, "cut after {at}"),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unreachable, "cut after {at}: {error}");
                lost += u32::from(error.to_string().starts_with("connection to 'guest' lost after "));
            }
        }
    }
    assert!(lost > 10, "{lost} cuts came during the call");
    for at in (0..4_000).step_by(177) {
        if let Err(error) = cut(Faults { cut_up: Some(at), ..Faults::default() }) {
            assert_eq!(error.kind(), Kind::Unreachable, "cut after {at}: {error}");
        }
    }
}

#[test]
fn a_connection_that_freezes_is_given_up() {
    let guest = Guest::start().with(Faults { stall_down: Some(20_000), ..Faults::default() });
    let start = Instant::now();
    let connection = guest.connect_with("ServerAliveInterval 1\nServerAliveCountMax 2").unwrap();
    let error = failure(run(&connection, call("head -c 1000000 /dev/zero")));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let error = error.to_string();
    assert!(error.starts_with("connection to 'guest' lost after "), "{error}");
    assert!(error.ends_with("bytes: the server does not answer any more"), "{error}");
}

#[test]
fn a_server_that_freezes_during_the_login_is_given_up() {
    for stall in [0, 100, 1500] {
        let guest = Guest::start().with(Faults { stall_down: Some(stall), ..Faults::default() });
        let error = guest.connect_with("ConnectTimeout 1").err().unwrap();
        assert!(error.to_string().ends_with(": no answer within 1 s"), "after {stall} bytes: {error}");
        assert_eq!(error.kind(), Kind::Unreachable);
    }
}

#[test]
fn a_call_that_outlives_its_connection_ends_with_it() {
    let guest = Guest::start();
    let connection = guest.connect();
    let mut running = connection.exec(call("sleep 20")).unwrap();
    drop(connection);
    let error = into_error(running.read(&mut [0]).unwrap_err());
    assert_eq!(error.to_string(), "connection to 'guest' lost after 0 bytes: the connection was closed here");
}
