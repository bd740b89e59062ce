//! The scripts about sessions alone, without SSH: under every shell, with and without the tools that a guest may lack.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::script::{script, sources};
use crate::support::write_program;

const SHELLS: [&str; 3] = ["dash", "bash", "busybox"];
/// What may set a process apart, or lock; a test takes some of them away.
const OPTIONAL: [&str; 5] = ["setsid", "perl", "python3", "bash", "flock"];

/// A guest without SSH, whose 'sh' is a given shell.
struct Guest {
    root: TempDir,
    shell: &'static str,
}

/// A script that runs.
struct Running {
    child: Child,
    stdin: Option<std::process::ChildStdin>,
    nonce: String,
}

/// What a script said.
#[derive(Debug)]
struct Answer {
    code: i32,
    stderr: String,
    header: BTreeMap<String, String>,
    rest: Vec<u8>,
}

impl Guest {
    fn new(shell: &'static str) -> Guest {
        Guest::without(shell, &[])
    }

    /// A guest that lacks some of [`OPTIONAL`].
    fn without(shell: &'static str, lacks: &[&str]) -> Guest {
        let guest = Guest { root: TempDir::new().unwrap(), shell };
        for folder in ["home", "tmp", "bin"] {
            fs::create_dir(guest.path(folder)).unwrap();
        }
        let link = |name: &str, target: PathBuf| symlink(target, guest.path("bin").join(name)).unwrap();
        let found =
            |name: &str| which::which(name).unwrap_or_else(|_| panic!("'{name}' is missing: apt install {name}"));
        link("sh", found(shell));
        let applets = Command::new("busybox").arg("--list").output().unwrap().stdout;
        let applets = String::from_utf8(applets).unwrap();
        let has_applet = |name| shell == "busybox" && applets.lines().any(|applet| applet == name);
        let basic =
            "cat chmod cksum cut date dd dirname env find grep head kill ln ls mkdir mkfifo mv ps rm sleep tail tr wc";
        for name in basic.split(' ') {
            link(name, if has_applet(name) { found("busybox") } else { found(name) });
        }
        for name in OPTIONAL.iter().filter(|name| !lacks.contains(name)) {
            // The shim that some set-ups put first needs more than a bare guest has.
            let program = if *name == "python3" { PathBuf::from("/usr/bin/python3") } else { found(name) };
            if program.exists() {
                link(name, program);
            }
        }
        guest
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn session(&self, name: &str) -> PathBuf {
        self.path("home/.local/state/banger/sessions").join(name)
    }

    fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.session(name).join("stdout.log")).unwrap_or_default()).into_owned()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", self.path("bin")).env("HOME", self.path("home"));
        command.env("TMPDIR", self.path("tmp")).current_dir(self.path("home"));
        command
    }

    fn begin(&self, verb: &str, args: &[(&str, &str)], words: &[&str]) -> Running {
        let nonce = format!("{:032x}", rand());
        let script = self.path(&format!("script-{nonce}"));
        fs::write(&script, script_text(verb, &nonce, args, words)).unwrap();
        let mut command = self.command(&self.path("bin/sh"));
        // Its own group, as an SSH server gives each command; a script ends the group it is in.
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        Running { stdin: child.stdin.take(), child, nonce }
    }

    /// Runs a script to its end with stdin held open, as the host does.
    fn run(&self, verb: &str, args: &[(&str, &str)]) -> Answer {
        self.begin(verb, args, &[]).end()
    }

    fn stop(&self, name: &str, signal: &str, grace: &str) -> Answer {
        self.run("stop", &[("name", name), ("signal", signal), ("grace", grace)])
    }

    fn wait(&self, name: &str, timeout: &str) -> Answer {
        self.run("wait", &[("name", name), ("timeout", timeout)])
    }

    fn remove(&self, name: &str) -> Answer {
        self.run("remove", &[("name", name)])
    }

    /// Shows logs to their present end.
    fn logs(&self, name: &str, out_from: &str, err_from: &str) -> Answer {
        self.run("logs", &[("name", name), ("out_from", out_from), ("err_from", err_from)])
    }

    fn start(&self, name: &str, command: &[&str]) -> Answer {
        self.start_with(name, &[], &[], command)
    }

    /// Starts a session; options are `closed` and `replace`.
    fn start_with(&self, name: &str, options: &[&str], env: &[&str], command: &[&str]) -> Answer {
        let flag = |name| if options.contains(&name) { "1" } else { "" };
        let piped = if options.contains(&"closed") { "" } else { "1" };
        let args = [
            ("name", name),
            ("workspace", "."),
            ("piped", piped),
            ("replace", flag("replace")),
            ("runner", &runner_text()),
            ("variables", &env.len().to_string()),
        ];
        self.begin("start", &args, &[env, command].concat()).end()
    }

    fn started(&self, name: &str, command: &[&str]) {
        let answer = self.start(name, command);
        assert_eq!(answer.code, 0, "{}: {answer:?}", self.shell);
    }

    /// Sends as the host does, to its end.
    fn send(&self, name: &str, message: &[u8], options: Send) -> Answer {
        self.begin_send(name, message, options).go().end()
    }

    /// Sends all but the word that lets it go.
    fn begin_send(&self, name: &str, message: &[u8], options: Send) -> Running {
        let (length, sum) = (message.len().to_string(), cksum(message));
        let to = if name.starts_with('/') { "fifo_path" } else { "name" };
        let timeout = options.timeout.to_string();
        let eof = if options.eof { "1" } else { "" };
        let args =
            [(to, name), ("length", &length), ("sum", &sum), ("timeout", &timeout), ("eof", eof), ("key", options.key)];
        let mut running = self.begin("send", &args, &[]);
        // A script that refuses does not read it.
        let _ = running.stdin.as_mut().unwrap().write_all(message);
        running
    }

    fn listed(&self) -> Vec<BTreeMap<String, String>> {
        let answer = self.run("list", &[]);
        assert_eq!(answer.code, 0, "{answer:?}");
        let mut sessions = Vec::<BTreeMap<String, String>>::new();
        for field in
            String::from_utf8(answer.rest).unwrap().split_terminator('\0').take_while(|field| !field.is_empty())
        {
            let (key, value) = field.split_once('=').unwrap();
            if key == "name" {
                sessions.push(BTreeMap::new());
            }
            sessions.last_mut().unwrap().insert(key.to_owned(), value.to_owned());
        }
        sessions
    }

    fn no_leftovers(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{} left behind: {left:?}", self.shell);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // What a session started may be in groups of its own; all of it has our home in its environment.
        let home = [b"HOME=", self.path("home").as_os_str().as_encoded_bytes(), b"\0"].concat();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.windows(home.len()).any(|window| window == home) {
                let _ = Command::new("kill").args(["-9", entry.file_name().to_str().unwrap()]).status();
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Send {
    timeout: u32,
    eof: bool,
    key: &'static str,
}

const SEND: Send = Send { timeout: 20, eof: false, key: "" };

impl Running {
    /// Waits until the guest is ready, and lets it go.
    fn go(mut self) -> Running {
        let mut seen = Vec::new();
        let mut byte = [0];
        while self.child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
            seen.push(byte[0]);
            if seen.ends_with(format!("git-banger 1 {}\n", self.nonce).as_bytes()) {
                let _ = self.stdin.as_mut().unwrap().write_all(b"go\n");
                break;
            }
        }
        self
    }

    /// Ends stdin: what an SSH server does when the connection goes.
    fn cut(mut self) -> Running {
        self.stdin = None;
        self
    }

    fn end(self) -> Answer {
        let output = self.child.wait_with_output().unwrap();
        drop(self.stdin);
        Answer::parse(&output, &self.nonce)
    }
}

impl Answer {
    fn parse(output: &Output, nonce: &str) -> Answer {
        let code = output.status.code().unwrap_or(-1);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut answer = Answer { code, stderr, header: BTreeMap::new(), rest: Vec::new() };
        let body = &output.stdout[..];
        let body = body.strip_prefix(format!("git-banger 1 {nonce}\n").as_bytes()).unwrap_or(body);
        let Some(body) = body.strip_suffix(format!("\ngit-banger end {nonce}\n").as_bytes()) else {
            return answer;
        };
        let mut rest = body;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            match line.split_once(' ') {
                Some((key, value)) => answer.header.insert(key.to_owned(), value.to_owned()),
                None => break,
            };
        }
        answer.rest = rest.to_vec();
        answer
    }

    fn value(&self, key: &str) -> &str {
        self.header.get(key).map_or("", String::as_str)
    }

    fn refused(&self, code: i32, said: &str) {
        assert!(self.code == code && self.stderr.contains(said) && self.header.is_empty(), "{self:?}");
    }
}

fn script_text(verb: &str, nonce: &str, args: &[(&str, &str)], words: &[&str]) -> String {
    let verb = format!("session/{verb}.sh");
    script(&["prelude.sh", "session/process.sh", "session/common.sh", &verb], nonce, args, words)
}

fn runner_text() -> String {
    format!("{}main \"$@\"", sources(&["session/process.sh", "session/runner.sh"]))
}

fn rand() -> u128 {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    u128::from_le_bytes(bytes)
}

fn cksum(bytes: &[u8]) -> String {
    let mut child = Command::new("cksum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    said.split(' ').next().unwrap().to_owned()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn processes_in_group(group: &str) -> usize {
    let in_group = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect();
        Some(fields[2] == group && fields[0] != "Z")
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(in_group).filter(|is| *is).count()
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args(["-s", name, "--", pid]).status().unwrap().success());
    // A reader that is woken to be stopped may still take what has come meanwhile.
    let stopped = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
    eventually("it is stopped", || name != "STOP" || stopped());
}

/// Tries cases side by side, for they wait more than they work.
fn side_by_side<T: Copy + Sync + std::marker::Send>(cases: &[T], body: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| body(*case));
        }
    });
}

#[test]
fn a_session_outlives_its_connection_and_its_status_is_kept() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("s", &["sh", "-c", "read x; echo \"got $x\"; echo complaint >&2; exit 7"]);
        let listed = &guest.listed()[0];
        assert_eq!((listed["state"].as_str(), listed["stdin"].as_str()), ("running", "open"), "{shell}");
        assert_eq!(guest.send("s", b"word\n", SEND).value("bytes"), "5");
        let ended = guest.wait("s", "20");
        assert_eq!((ended.value("state"), ended.value("status")), ("exited", "7"), "{shell}: {ended:?}");
        assert_eq!(guest.log("s"), "got word\n");
        assert_eq!(fs::read_to_string(guest.session("s").join("stderr.log")).unwrap(), "complaint\n");
        let listed = &guest.listed()[0];
        assert_eq!((listed["state"].as_str(), listed["status"].as_str(), listed["out"].as_str()), ("exited", "7", "9"));
        assert_eq!(guest.remove("s").code, 0);
        assert!(!guest.session("s").exists() && guest.listed().is_empty());
        guest.no_leftovers();
    }
}

#[test]
fn arguments_variables_and_the_umask_arrive_as_they_are() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        let odd = "it's $(odd) `x` \\ \"q\"\n\ttab -- é";
        let print = "umask; for a in \"$V\" \"$@\"; do printf '<%s>' \"$a\"; done; printf '%s' \"${LC_ALL-none} ${GIT_DIR-none} $name$variables$nonce$gb_own\"";
        let variable = format!("V={odd}");
        // Those of the script's own may not get in their way, nor they in the script's.
        let variables = [&variable, "name=no/such", "variables=99", "nonce=n", "runner=r", "gb_own=g"];
        let answer = guest.start_with("s", &[], &variables, &["sh", "-c", print, "sh", odd, "", "-n", "*"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        eventually("the session ends", || guest.session("s").join("exit").exists());
        let umask = String::from_utf8(Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout).unwrap();
        assert_eq!(guest.log("s"), format!("{umask}<{odd}><{odd}><><-n><*>none none no/such99ng"), "{shell}");
        let folder = guest.session("s");
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_name_in_use_is_refused_and_one_that_ended_is_replaced_when_told() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        guest.start("s", &["cat"]).refused(95, "session 's' runs already");
        guest.start_with("s", &["replace"], &[], &["cat"]).refused(95, "session 's' runs already");
        guest.remove("s").refused(95, "session 's' is running");
        assert_eq!(guest.send("s", b"still here\n", SEND).code, 0);
        let stopped = guest.stop("s", "TERM", "5");
        assert_eq!((stopped.value("state"), stopped.value("status")), ("exited", "143"), "{shell}: {stopped:?}");
        assert_eq!(guest.stop("s", "TERM", "5").value("was"), "ended");
        guest.start("s", &["cat"]).refused(93, "it has ended");
        assert_eq!(guest.log("s"), "still here\n");
        // What cannot start leaves what was there.
        guest
            .start_with("s", &["replace"], &[], &["no-such-program"])
            .refused(92, "'no-such-program' is not a program");
        assert_eq!(guest.log("s"), "still here\n");
        assert_eq!(guest.start_with("s", &["replace"], &[], &["cat"]).code, 0);
        assert_eq!(guest.log("s"), "");
        guest.logs("nowhere", "0", "0").refused(94, "no session 'nowhere'");
        guest.no_leftovers();
    }
}

#[test]
fn a_command_that_cannot_start_is_an_error_at_once() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        let script = guest.path("home/bad");
        write_program(&script, "#!/no/such/interpreter\n");
        let answer = guest.start("s", &["./bad"]);
        answer.refused(92, "the command cannot start: ");
        assert!(answer.stderr.contains("bad: "), "{shell}: {answer:?}");
        assert!(!guest.session("s").exists() && guest.listed().is_empty());
        let args = [
            ("name", "s"),
            ("workspace", "no/such/folder"),
            ("piped", "1"),
            ("runner", &runner_text()),
            ("variables", "0"),
        ];
        guest.begin("start", &args, &["cat"]).end().refused(79, "no directory './no/such/folder' to start in");
        guest.no_leftovers();
    }
}

#[test]
fn a_guest_may_lack_the_tools() {
    // From what each lacks follows what is left to set a process apart.
    let cases: [(&str, &[&str], bool); 5] = [
        ("setsid", &["flock"], true),
        ("perl", &["setsid", "flock"], true),
        ("python3", &["setsid", "perl"], true),
        ("bash", &["setsid", "perl", "python3", "flock"], true),
        ("nothing", &["setsid", "perl", "python3", "bash", "flock"], false),
    ];
    side_by_side(&SHELLS, |shell| {
        for (means, lacks, grouped) in cases {
            let guest = Guest::without(shell, lacks);
            let answer = guest.start("s", &["sh", "-c", "grep SigIgn: /proc/self/status; sleep 1000 & cat; wait"]);
            assert_eq!((answer.code, answer.value("means")), (0, means), "{shell} {answer:?}");
            assert_eq!(guest.send("s", b"word\n", SEND).code, 0, "{shell} {means}");
            eventually("output", || guest.log("s").ends_with("word\n"));
            // INT and QUIT, the signals 2 and 3.
            assert_eq!(!guest.log("s").contains("6\nword\n"), grouped, "{shell} {means}: {}", guest.log("s"));
            let pid = guest.listed()[0]["pid"].clone();
            if grouped {
                assert!(processes_in_group(&pid) >= 3, "{shell} {means}");
            }
            assert_eq!(guest.stop("s", "TERM", "5").value("status"), "143", "{shell} {means}");
            assert_eq!(processes_in_group(&pid), 0, "{shell} {means}");
            guest.no_leftovers();
        }
        let guest = Guest::without(shell, &["perl", "python3", "bash"]);
        fs::remove_file(guest.path("bin/setsid")).unwrap();
        symlink(which::which("busybox").unwrap(), guest.path("bin/setsid")).unwrap();
        assert_eq!(guest.start("s", &["cat"]).value("means"), "plain-setsid", "{shell}");
        assert_eq!(guest.stop("s", "TERM", "5").value("status"), "143", "{shell}");
    });
}

#[test]
fn stop_reaches_what_ignores_it_and_what_is_held_up() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("deaf", &["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]);
        eventually("output", || guest.log("deaf") == "deaf\n");
        let stopped = guest.stop("deaf", "TERM", "1");
        assert_eq!((stopped.value("status"), stopped.value("killed")), ("137", "1"), "{shell}");
        guest.started("held", &["cat"]);
        signal("STOP", &guest.listed()[1]["pid"]);
        let stopped = guest.stop("held", "INT", "5");
        assert_eq!((stopped.value("status"), stopped.value("killed")), ("130", ""), "{shell}");
    }
}

#[test]
fn a_session_that_cannot_be_stopped_is_said_to_live_and_nothing_is_claimed_to_be_unchanged() {
    side_by_side(&SHELLS, |shell| {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        let runner = fs::read_to_string(guest.session("s").join("runner")).unwrap();
        let runner = runner.split(' ').next().unwrap();
        // It can neither take note of the end nor go away.
        signal("STOP", runner);
        guest.stop("s", "TERM", "1").refused(80, "session 's' is alive after KILL");
        signal("CONT", runner);
        assert_eq!(guest.wait("s", "20").value("status"), "143", "{shell}");
        guest.no_leftovers();
    });
}

#[test]
fn after_a_reboot_a_session_is_gone() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        for file in ["pid", "runner", "holder"] {
            let path = guest.session("s").join(file);
            let mut words: Vec<_> = fs::read_to_string(&path).unwrap().split(' ').map(str::to_owned).collect();
            words[2] = "00000000-1111-2222-3333-444444444444".to_owned();
            fs::write(&path, words.join(" ")).unwrap();
        }
        assert_eq!(guest.listed()[0]["state"], "gone", "{shell}");
        guest.send("s", b"word\n", SEND).refused(91, "session 's' does not run any more");
        assert_eq!(guest.wait("s", "").value("state"), "gone");
        assert_eq!(guest.start_with("s", &["replace"], &[], &["cat"]).code, 0, "{shell}");
    }
}

#[test]
fn a_send_that_cannot_be_says_why() {
    side_by_side(&SHELLS, |shell| {
        let guest = Guest::new(shell);
        guest.send("s", b"x\n", SEND).refused(94, "there is no session 's'");
        assert_eq!(guest.start_with("s", &["closed"], &[], &["sleep", "1000"]).code, 0);
        guest.send("s", b"x\n", SEND).refused(91, "session 's' was started without a stdin");
        guest.started("t", &["cat"]);
        assert_eq!(guest.send("t", b"last\n", Send { eof: true, ..SEND }).code, 0);
        assert_eq!(guest.wait("t", "20").value("status"), "0");
        assert_eq!(guest.log("t"), "last\n");
        guest.send("t", b"x\n", SEND).refused(91, "session 't' does not run any more");
        guest.started("u", &["sh", "-c", "cat; sleep 1000"]);
        assert_eq!(guest.send("u", b"", Send { eof: true, ..SEND }).code, 0);
        guest.send("u", b"x\n", SEND).refused(91, "the stdin of session 'u' is closed");
        assert_eq!(guest.listed()[2]["stdin"], "closed");
        let mut damaged = guest.begin("send", &[("name", "s"), ("length", "2"), ("sum", "1"), ("timeout", "5")], &[]);
        assert!(damaged.stdin.as_mut().unwrap().write_all(b"x\n").is_ok());
        damaged.end().refused(91, "");
        guest.no_leftovers();
    });
}

#[test]
fn a_repeated_message_is_delivered_once() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        let keyed = Send { key: "key.1", ..SEND };
        assert_eq!(guest.send("s", b"once\n", keyed).value("again"), "");
        assert_eq!(guest.send("s", b"once\n", keyed).value("again"), "1", "{shell}");
        guest.send("s", b"other\n", keyed).refused(91, "another message was sent with key 'key.1'");
        // What a guest that lost its power in the midst of it leaves.
        fs::write(guest.session("s").join("sent/key.2.writing"), "1 2\n").unwrap();
        let answer = guest.send("s", b"unsure\n", Send { key: "key.2", ..SEND });
        assert!(answer.code == 98 && answer.stderr.contains("what went in of it is not known"), "{answer:?}");
        eventually("output", || guest.log("s") == "once\n");
        guest.no_leftovers();
    }
}

#[test]
fn a_send_that_is_cut_delivers_nothing_or_all() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        let message = vec![b'x'; 9_000];
        for cut in [0, 1, 4_096, 8_999] {
            let length = message.len().to_string();
            let args = [("name", "s"), ("length", &length), ("sum", &cksum(&message)), ("timeout", "20")];
            let mut running = guest.begin("send", &args, &[]);
            running.stdin.as_mut().unwrap().write_all(&message[..cut]).unwrap();
            running.cut().end().refused(91, "the message did not arrive whole");
        }
        guest.begin_send("s", &message, SEND).cut().end().refused(91, "the host left");
        assert_eq!(guest.log("s"), "", "{shell}");
        let running = guest.begin_send("s", &message, SEND).go().cut();
        let mut child = running.child;
        // Nobody takes the answer either.
        drop((child.stdout.take(), child.stderr.take()));
        child.wait().unwrap();
        eventually("output", || guest.log("s").len() == message.len());
        guest.no_leftovers();
    }
}

#[test]
fn a_reader_that_does_not_read_gets_nothing_and_one_that_stops_gets_the_rest_later() {
    side_by_side(&SHELLS, |shell| {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        let pid = guest.listed()[0]["pid"].clone();
        signal("STOP", &pid);
        let (big, small) = (vec![b'b'; 200_000], b"small\n");
        let quick = Send { timeout: 1, key: "big", ..SEND };
        let answer = guest.send("s", &big, quick);
        assert!(
            answer.code == 98 && answer.stderr.contains("65536 of 200000 bytes were written in time"),
            "{answer:?}"
        );
        // The pipe is full, and the first message is not yet through.
        guest.send("s", small, Send { timeout: 1, ..SEND }).refused(91, "other messages are being written");
        let again = guest.send("s", &big, quick);
        assert!(again.code == 98 && again.stderr.contains("a message with key 'big' is being written"), "{again:?}");
        signal("CONT", &pid);
        eventually("output", || guest.log("s").len() == big.len());
        eventually("the copier cleans up", || fs::read_dir(guest.path("tmp")).unwrap().count() == 0);
        assert_eq!(guest.send("s", &big, quick).value("again"), "1", "{shell}");
        signal("STOP", &pid);
        assert_eq!(guest.send("s", &big[..65_536], SEND).code, 0, "{shell}: as much as a pipe holds");
        guest.send("s", small, Send { timeout: 1, ..SEND }).refused(91, "session 's' does not read");
        signal("CONT", &pid);
        assert_eq!(guest.send("s", small, SEND).code, 0);
        eventually("output", || guest.log("s").len() == big.len() + 65_536 + small.len());
        guest.no_leftovers();
    });
}

#[test]
fn a_reader_that_goes_away_is_told_with_what_went_in() {
    side_by_side(&SHELLS, |shell| {
        let guest = Guest::new(shell);
        let big = vec![b'b'; 300_000];
        guest.started("s", &["sh", "-c", "dd bs=4096 count=10 2>/dev/null; sleep 0.3; exec 0</dev/null; sleep 1000"]);
        let answer = guest.send("s", &big, SEND);
        let count: u32 = answer.stderr.split(' ').next().unwrap().parse().unwrap_or(0);
        assert!(answer.code == 98 && (65_536..=122_880).contains(&count), "{shell}: {answer:?}");
        // Its stdin has no reader any more, though it lives.
        guest.send("s", b"x\n", Send { timeout: 1, ..SEND }).refused(91, "session 's' does not read");
        guest.started("t", &["sleep", "1000"]);
        let running = guest.begin_send("t", &big, SEND).go();
        let copier = guest.path(&format!("tmp/git-banger.{}/dd", running.nonce));
        eventually("the pipe is full", || {
            let pid = fs::read_to_string(&copier).unwrap_or_default();
            let io = fs::read_to_string(format!("/proc/{}/io", pid.trim())).unwrap_or_default();
            io.contains("wchar: 65536\n")
        });
        signal("KILL", &guest.listed().last().unwrap()["pid"]);
        let answer = running.end();
        assert!(answer.code == 98 && answer.stderr.starts_with("65536 of 300000 "), "{shell}: {answer:?}");
        guest.no_leftovers();
    });
}

fn lines_of_all_sizes(sender: usize) -> Vec<Vec<u8>> {
    let sizes = [10, 100, 4_095, 4_096, 5_000, 70_000, 1_000_000];
    let sizes = if sender.is_multiple_of(10) { &sizes[..] } else { &sizes[..5] };
    let line = |(number, size): (usize, &usize)| {
        let mut line = format!("{sender}.{number}.").into_bytes();
        line.resize(*size - 1, b'a' + (sender % 26) as u8);
        line.push(b'\n');
        line
    };
    sizes.iter().enumerate().map(line).collect()
}

fn assert_each_once(log: &[u8], mut sent: Vec<Vec<u8>>) {
    let mut got: Vec<_> = log.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    got.sort();
    sent.sort();
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "a line was torn, lost or doubled");
}

#[test]
fn many_senders_at_once_deliver_each_line_whole_and_once() {
    for (shell, lacks, senders) in [("dash", &[][..], 50), ("busybox", &[], 12), ("bash", &["flock"], 12)] {
        let guest = Guest::without(shell, lacks);
        guest.started("s", &["cat"]);
        let lines: Vec<_> = (0..senders).map(|sender| lines_of_all_sizes(sender).swap_remove(sender % 5)).collect();
        let big = lines_of_all_sizes(0);
        let all: Vec<_> = lines.into_iter().chain(big.into_iter().skip(5)).collect();
        thread::scope(|scope| {
            for line in &all {
                scope.spawn(|| {
                    let answer = guest.send("s", line, Send { timeout: 120, ..SEND });
                    assert_eq!(answer.code, 0, "{shell}: {answer:?}");
                });
            }
        });
        let total: usize = all.iter().map(Vec::len).sum();
        eventually("output", || guest.log("s").len() >= total);
        assert_each_once(guest.log("s").as_bytes(), all);
        guest.no_leftovers();
    }
}

#[test]
fn foreign_writers_tear_nothing_up_to_what_a_pipe_keeps_whole() {
    let guest = Guest::new("dash");
    guest.started("s", &["cat"]);
    let fifo = guest.session("s").join("stdin");
    let ours: Vec<_> = (0..10).map(|sender| lines_of_all_sizes(sender).swap_remove(sender % 4)).collect();
    let theirs: Vec<Vec<u8>> = (100..104).flat_map(|writer| lines_of_all_sizes(writer)[..4].to_vec()).collect();
    thread::scope(|scope| {
        for line in &ours {
            scope.spawn(|| assert_eq!(guest.send("s", line, SEND).code, 0));
        }
        for line in &theirs {
            scope.spawn(|| File::options().write(true).open(&fifo).unwrap().write_all(line).unwrap());
        }
    });
    let all: Vec<_> = ours.into_iter().chain(theirs).collect();
    let total: usize = all.iter().map(Vec::len).sum();
    eventually("output", || guest.log("s").len() >= total);
    assert_each_once(guest.log("s").as_bytes(), all);
}

#[test]
fn a_fifo_of_another_tool_is_written_to() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        let fifo = guest.path("home/their fifo");
        let path = fifo.to_str().unwrap();
        guest.send(path, b"x\n", SEND).refused(91, "is not a FIFO");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        guest.send(path, b"x\n", Send { timeout: 1, ..SEND }).refused(91, "does not read");
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        assert_eq!(guest.send(path, b"theirs\n", Send { key: "k", ..SEND }).code, 0, "{shell}");
        assert_eq!(reader.join().unwrap(), b"theirs\n");
        assert_eq!(guest.send(path, b"theirs\n", Send { key: "k", ..SEND }).value("again"), "1", "{shell}");
        guest.no_leftovers();
    }
}

/// Takes the chunks of `logs` apart.
fn chunks(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        let line = String::from_utf8(bytes[..end].to_vec()).unwrap();
        bytes = &bytes[end + 1..];
        let (key, value) = line.split_once(' ').unwrap();
        let log = match key {
            "out" => &mut out,
            "err" => &mut err,
            _ => return (out, err, value.to_owned()),
        };
        let length: usize = value.parse().unwrap();
        log.extend(&bytes[..length]);
        bytes = &bytes[length..];
    }
}

#[test]
fn logs_are_followed_to_the_end_and_resumed_at_any_byte() {
    for shell in SHELLS {
        let guest = Guest::new(shell);
        let program =
            "for i in 1 2 3 4; do printf '%s\\0\\377\\n' $i; echo e$i >&2; sleep 0.1; done; yes x | head -n 400000";
        symlink(which::which("yes").unwrap(), guest.path("bin/yes")).unwrap();
        guest.started("s", &["sh", "-c", program]);
        let answer = guest.run("logs", &[("name", "s"), ("out_from", "0"), ("err_from", "0"), ("follow", "1")]);
        let (out, err, state) = chunks(&answer.rest);
        assert_eq!((out.len(), &err[..], state.as_str()), (800_016, &b"e1\ne2\ne3\ne4\n"[..], "exited"), "{shell}");
        assert!(out.starts_with(b"1\0\xff\n2\0\xff\n") && out.ends_with(b"x\nx\n"));
        for from in [0, 1, 65_535, 65_536, 700_001, 800_016] {
            let answer = guest.logs("s", &from.to_string(), "none");
            assert_eq!(answer.value("out"), from.to_string());
            assert!(chunks(&answer.rest).0 == out[from..] && chunks(&answer.rest).1.is_empty(), "{shell} from {from}");
        }
        assert!(chunks(&guest.logs("s", "now", "now").rest).0.is_empty());
        guest.logs("s", "800017", "0").refused(78, "has only 800016 bytes");
        guest.no_leftovers();
    }
}

#[test]
fn one_is_attached_at_a_time_until_the_connection_goes() {
    side_by_side(&[("dash", &[][..]), ("bash", &[]), ("busybox", &[]), ("dash", &["flock"])], |(shell, lacks)| {
        let guest = Guest::without(shell, lacks);
        guest.started("s", &["cat"]);
        let attach = |who, steal| {
            let from = [("name", "s"), ("out_from", "now"), ("err_from", "now"), ("follow", "1")];
            guest.begin("logs", &[&from[..], &[("who", who), ("steal", steal)]].concat(), &[])
        };
        let is_attached = |who: &str| {
            let listed = guest.listed().remove(0);
            listed.get("attached").is_some_and(|attached| attached.starts_with(&format!("{who} since ")))
        };
        for round in 0..2 {
            let first = attach("first", "");
            eventually("attached", || is_attached("first"));
            attach("second", "").end().refused(96, "session 's' is attached by first since ");
            // At once, without a wait for the other to be gone.
            let cut = first.cut();
            let second = attach("second", "");
            assert_eq!(cut.end().code, 143, "{shell} round {round}");
            eventually("attached", || is_attached("second"));
            assert_eq!(guest.send("s", b"word\n", SEND).code, 0);
            second.cut().end();
        }
        // A connection that is stalled, with more to show than it takes.
        let stalled = attach("stalled", "");
        eventually("attached", || is_attached("stalled"));
        let flood = vec![b'x'; 1_000_000];
        assert_eq!(guest.send("s", &flood, SEND).code, 0);
        let robbed = attach("robbed", "1");
        eventually("attached", || is_attached("robbed"));
        drop(stalled);
        eventually("attached", || is_attached("robbed"));
        let thief = attach("thief", "1");
        assert_eq!(robbed.end().code, 97, "{shell}");
        eventually("attached", || is_attached("thief"));
        thief.cut().end();
        // The session never saw the end of its input.
        assert_eq!(guest.listed()[0]["state"], "running");
        eventually("output", || guest.log("s").len() == 10 + 1_000_000);
        guest.no_leftovers();
    });
}

#[test]
fn a_full_disk_in_the_guest_refuses_and_writes_nothing() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can mount a small disk; CI runs as root.
    }
    for shell in SHELLS {
        let guest = Guest::new(shell);
        guest.started("s", &["cat"]);
        let tmp = guest.path("tmp");
        let mount = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp.to_str().unwrap()];
        assert!(Command::new("mount").args(mount).status().unwrap().success());
        let answer = guest.send("s", &vec![b'x'; 100_000], SEND);
        assert!(Command::new("umount").arg(&tmp).status().unwrap().success());
        answer.refused(91, "no room for the message in ");
        assert_eq!(guest.send("s", b"word\n", SEND).code, 0);
        eventually("output", || guest.log("s") == "word\n");
    }
}

#[test]
fn the_scripts_are_clean_under_shellcheck() {
    let folder = TempDir::new().unwrap();
    let verbs = ["../check", "start", "list", "logs", "wait", "stop", "remove", "send"];
    let texts = verbs.map(|verb| script_text(verb, "n", &[], &[])).into_iter().chain([runner_text()]);
    for (number, text) in texts.enumerate() {
        let path = folder.path().join(format!("{number}.sh"));
        fs::write(&path, format!("# shellcheck disable=SC2034,SC2119,SC2120\n{text}\n")).unwrap();
        let output = Command::new("shellcheck").args(["-s", "sh"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
