//! Reaching a guest: trust, keys, shells, interrupts; as a user of git-banger sees it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran};
use crate::support::russh::Faults;
use crate::support::{guest_test, require, write_program};

/// Writes settings that win over the guest's own.
fn configure(guest: &TestGuest, lines: &str) {
    let config = fs::read_to_string(guest.ssh_config()).unwrap();
    fs::write(guest.ssh_config(), format!("{lines}\n{config}")).unwrap();
}

/// Returns a host with its repository in the guest.
fn prepared(guest: &TestGuest) -> Host {
    let host = Host::new(guest);
    host.prepare();
    host
}

/// Asks the guest for the list of changed files, which is empty.
fn reach(host: &Host) -> Ran {
    host.run(&["export", VM, "--quiet", "--name-only"])
}

fn reached() -> Ran {
    Ran { code: Some(0), stdout: String::new(), stderr: String::new() }
}

/// Lets the host log in with these lines about keys and agents alone.
fn log_in_with(guest: &TestGuest, lines: &str) {
    let config = fs::read_to_string(guest.ssh_config()).unwrap();
    let others: Vec<_> = config.lines().filter(|line| !line.contains("Identit")).collect();
    fs::write(guest.ssh_config(), format!("{lines}\n{}\n", others.join("\n"))).unwrap();
}

fn keygen(key: &Path, args: &[&str]) {
    let keygen = Command::new(require("ssh-keygen")).args(["-q", "-f"]).arg(key).args(args).status();
    assert!(keygen.unwrap().success());
}

/// Makes a key pair beside the guest's own, which the guest lets in; returns the file.
fn new_key(guest: &TestGuest, name: &str, args: &[&str]) -> PathBuf {
    let key = guest.path(name);
    keygen(&key, args);
    let public = fs::read(key.with_extension("pub")).unwrap();
    fs::File::options().append(true).open(guest.path("authorized_keys")).unwrap().write_all(&public).unwrap();
    key
}

fn fingerprint(public: &Path) -> String {
    let output = Command::new(require("ssh-keygen")).arg("-lf").arg(public).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

/// Runs git-banger on a terminal, where `typed` is typed; returns the exit code and what is seen.
fn on_a_terminal(host: &Host, typed: &[(&str, &str)]) -> (Option<i32>, String) {
    let banger = host.banger(&["export", VM, "--quiet", "--name-only"]);
    let line = format!("'{}' export {VM} --quiet --name-only", banger.get_program().display());
    let mut command = Command::new(require("script"));
    command.args(["-qefc", &line, "/dev/null"]).env_clear();
    command.envs(banger.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(host.repo());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    for (prompt, answer) in typed {
        let mark = seen.len();
        while !String::from_utf8_lossy(&seen[mark..]).ends_with(prompt) {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "no '{prompt}' in {}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        stdin.write_all(answer.as_bytes()).unwrap();
    }
    stdout.read_to_end(&mut seen).unwrap();
    (child.wait().unwrap().code(), String::from_utf8(seen).unwrap())
}

guest_test!(a_host_key_that_is_not_known_is_refused_with_the_way_to_trust_it, |guest| {
    let host = prepared(guest);
    let known = fs::read_to_string(guest.path("known_hosts")).unwrap();
    fs::write(guest.path("known_hosts"), "").unwrap();
    let port = guest.address().port();
    let key = guest.path("shown.pub");
    fs::write(&key, known.split_once(' ').unwrap().1).unwrap();
    let ran = reach(&host);
    let known = known.trim();
    let expected = format!(
        "error: cannot trust guest 'dev' (127.0.0.1 port {port}): its host key is not known\n\
         \x20 it shows ED25519 {}\n\
         \x20 if the guest's own console shows the same fingerprint: echo '{known}' >><guest>/known_hosts\n",
        fingerprint(&key),
    );
    assert_eq!(ran, Ran { code: Some(3), stdout: String::new(), stderr: expected });

    let (_, advice) = ran.stderr.split_once("same fingerprint: ").unwrap();
    let advice = advice.lines().next().unwrap();
    let advice = advice.replace("<guest>", guest.path("").to_str().unwrap());
    assert!(Command::new("sh").arg("-c").arg(advice).status().unwrap().success());
    assert_eq!(reach(&host), reached());
});

#[test]
fn a_host_key_that_has_changed_is_refused_with_both_fingerprints() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    let port = guest.address().port();
    guest.change_host_key();
    for strict in ["yes", "accept-new", "ask"] {
        configure(&guest, &format!("StrictHostKeyChecking {strict}"));
        let ran = reach(&host);
        assert_eq!(ran.code, Some(3));
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(
            lines[0],
            format!("error: cannot trust guest 'dev' (127.0.0.1 port {port}): its host key has changed")
        );
        assert!(lines[1].starts_with("  it shows ED25519 SHA256:"), "{}", ran.stderr);
        assert!(lines[2].starts_with("  known in <guest>/known_hosts:1 is ED25519 SHA256:"), "{}", ran.stderr);
        assert_eq!(
            lines[3..],
            [
                "  the guest was rebuilt, or another machine is answering in its place",
                &format!(
                    "  if the guest was rebuilt, and its own console shows the new fingerprint: \
                     ssh-keygen -f <guest>/known_hosts -R '[127.0.0.1]:{port}'"
                ),
            ]
        );
    }
    configure(&guest, "StrictHostKeyChecking no");
    let ran = reach(&host);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.starts_with("warning: the host key of 'dev' is now ED25519 SHA256:"), "{}", ran.stderr);
}

guest_test!(a_revoked_host_key_is_refused_whatever_else_is_set, |guest| {
    let host = prepared(guest);
    let known = fs::read_to_string(guest.path("known_hosts")).unwrap();
    let revoked = format!("{known}@revoked *\t{}", known.split_once(' ').unwrap().1);
    fs::write(guest.path("known_hosts"), revoked).unwrap();
    for strict in ["yes", "accept-new", "no", "ask"] {
        configure(guest, &format!("StrictHostKeyChecking {strict}"));
        let ran = reach(&host);
        assert_eq!(ran.code, Some(3));
        assert!(ran.stderr.contains("): its host key is revoked\n  it shows "), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("known_hosts:2\n"), "{}", ran.stderr);
    }
});

guest_test!(a_new_host_key_is_remembered_where_ssh_looks_for_it, |guest| {
    let host = prepared(guest);
    let file = guest.path("sub folder/known_hosts");
    for hash in ["yes", "no"] {
        configure(guest, &format!("UserKnownHostsFile \"{}\"\nHashKnownHosts {hash}", file.display()));
        configure(guest, "StrictHostKeyChecking accept-new");
        let ran = host.run(&["export", VM, "--name-only"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.starts_with("host key of 'dev' added to "), "{}", ran.stderr);
        let line = fs::read_to_string(&file).unwrap();
        assert_eq!(line.starts_with("|1|"), hash == "yes", "{line}");
        configure(guest, "StrictHostKeyChecking yes");
        assert_eq!(reach(&host), reached());
        // What was written is what the real ssh reads.
        let ssh = Command::new(require("ssh")).arg("-F").arg(guest.ssh_config()).args([VM, "true"]).status();
        assert!(ssh.unwrap().success());
        fs::remove_file(&file).unwrap();
    }
});

guest_test!(trust_in_a_host_key_is_asked_for_on_a_terminal, |guest| {
    let host = prepared(guest);
    fs::write(guest.path("known_hosts"), "").unwrap();
    configure(guest, "StrictHostKeyChecking ask");
    let (code, seen) = on_a_terminal(&host, &[("fingerprint)? ", "no\n")]);
    assert_eq!(code, Some(3), "{seen}");
    assert_eq!(fs::read_to_string(guest.path("known_hosts")).unwrap(), "");
    let (code, seen) = on_a_terminal(&host, &[("fingerprint)? ", "perhaps\n"), ("fingerprint: ", "yes\n")]);
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(reach(&host), reached());
});

#[test]
fn keys_of_every_kind_let_us_in() {
    let guest = TestGuest::sshd();
    let host = prepared(&guest);
    let kinds: [(&str, &[&str]); 7] = [
        ("rsa", &["-N", "", "-t", "rsa", "-b", "2048"]),
        ("ecdsa", &["-N", "", "-t", "ecdsa"]),
        ("ed25519", &["-N", "", "-t", "ed25519"]),
        ("rsa-pem", &["-N", "", "-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa-pem", &["-N", "", "-t", "ecdsa", "-m", "PEM"]),
        ("rsa-pkcs8", &["-N", "", "-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa-pkcs8", &["-N", "", "-t", "ecdsa", "-m", "PKCS8"]),
    ];
    for (name, args) in kinds {
        let key = new_key(&guest, name, args);
        log_in_with(&guest, &format!("IdentityFile {}\nIdentityAgent none", key.display()));
        assert_eq!(reach(&host), reached(), "{name}");
    }
}

#[test]
fn a_passphrase_is_asked_for_when_the_guest_wants_the_key() {
    let guest = TestGuest::sshd();
    let host = prepared(&guest);
    let openssh = new_key(&guest, "openssh", &["-N", "secret", "-t", "ed25519"]);
    let pem = new_key(&guest, "pem", &["-N", "secret", "-t", "rsa", "-b", "2048", "-m", "PEM"]);
    let pkcs8 = new_key(&guest, "pkcs8", &["-N", "secret", "-t", "ecdsa", "-m", "PKCS8"]);
    // The public half is in the file for one of them only.
    fs::remove_file(pem.with_extension("pub")).unwrap();
    let askpass = guest.path("askpass");
    write_program(&askpass, "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$0.log\"\necho secret\n");
    for key in [&openssh, &pem, &pkcs8] {
        log_in_with(&guest, &format!("IdentityFile {}\nIdentityAgent none", key.display()));
        let key = key.display();
        let ran = reach(&host);
        assert_eq!(ran.code, Some(3));
        assert!(ran.stderr.contains("': it needs a passphrase, and there is no terminal to ask on"), "{}", ran.stderr);
        let prompt = format!("passphrase for key '{key}': ");
        let (code, seen) = on_a_terminal(&host, &[(&prompt, "wrong\n"), (&prompt, "secret\n")]);
        assert_eq!(code, Some(0), "{seen}");
        assert!(!seen.contains("secret"), "{seen}");
        let mut banger = host.banger(&["export", VM, "--quiet", "--name-only"]);
        banger.env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
        assert_eq!(host.ran(&mut banger), reached());
        assert_eq!(fs::read_to_string(guest.path("askpass.log")).unwrap(), format!("{prompt}\n"));
        fs::remove_file(guest.path("askpass.log")).unwrap();
    }
}

/// An agent with the socket in a folder; ends with this.
struct Agent(std::process::Child, PathBuf);

impl Agent {
    fn start(guest: &TestGuest) -> Agent {
        let socket = guest.path("agent");
        let child = Command::new(require("ssh-agent")).arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let agent = Agent(child.unwrap(), socket);
        let waiting = Instant::now();
        while !agent.1.exists() {
            assert!(waiting.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    fn add(&self, key: &Path) {
        let add = Command::new(require("ssh-add")).arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.1).status();
        assert!(add.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_signs_with_the_key_that_is_named_first() {
    let guest = TestGuest::sshd_with("MaxAuthTries 3");
    let host = prepared(&guest);
    let agent = Agent::start(&guest);
    for number in 0..4 {
        let stranger = guest.path(&format!("stranger{number}"));
        keygen(&stranger, &["-N", "", "-C", "stranger"]);
        agent.add(&stranger);
    }
    let rsa = new_key(&guest, "rsa", &["-N", "", "-t", "rsa", "-b", "2048"]);
    agent.add(&rsa);
    fs::remove_file(&rsa).unwrap();
    // The public half alone names it.
    log_in_with(&guest, &format!("IdentityAgent {}\nIdentityFile {}", agent.1.display(), rsa.display()));
    assert_eq!(reach(&host), reached());

    // Without it the strangers come first, and the guest hangs up.
    log_in_with(&guest, &format!("IdentityFile {}", guest.path("client_key").display()));
    let mut banger = host.banger(&["export", VM, "--quiet", "--name-only"]);
    let ran = host.ran(banger.env("SSH_AUTH_SOCK", &agent.1));
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("the server says 'Too many authentication failures'\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("('stranger' in the agent)").count(), 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("with 'IdentitiesOnly yes'"), "{}", ran.stderr);

    configure(&guest, "IdentitiesOnly yes");
    let mut banger = host.banger(&["export", VM, "--quiet", "--name-only"]);
    assert_eq!(host.ran(banger.env("SSH_AUTH_SOCK", &agent.1)), reached());
}

guest_test!(a_key_that_is_not_let_in_is_named, |guest| {
    let host = prepared(guest);
    let stranger = guest.path("stranger");
    keygen(&stranger, &["-N", "", "-t", "ed25519"]);
    log_in_with(guest, &format!("IdentityFile {}\nIdentityAgent none", stranger.display()));
    let ran = reach(&host);
    assert_eq!(ran.code, Some(3));
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert!(lines[0].starts_with("error: guest 'dev' (127.0.0.1 port "), "{}", ran.stderr);
    assert!(lines[0].contains(") refuses to log in user '") && lines[0].ends_with('\''), "{}", ran.stderr);
    let shown = format!("  offered ED25519 {} ('<guest>/stranger')", fingerprint(&stranger));
    let lets_in = [
        "hint: ssh-copy-id -F <guest>/ssh_config dev",
        "  installs your key, if you can log in another way (such as a password)",
    ];
    assert_eq!(lines[1..], [&[shown.as_str()], lets_in.as_slice()].concat());

    crate::support::set_mode(&stranger, 0o644);
    let ran = reach(&host);
    assert!(ran.stderr.contains("others can read it: chmod 600 '<guest>/stranger'\n"), "{}", ran.stderr);
});

#[test]
fn login_shells_of_every_kind_run_the_scripts() {
    for shell in ["dash", "bash", "zsh", "fish"] {
        let guest = TestGuest::russh_with_shell(&require(shell));
        let host = prepared(&guest);
        guest.write("new", "text\n");
        assert_eq!(host.run(&["export", VM, "--quiet", "--name-only"]).stdout, "new\n", "{shell}");
    }
}

guest_test!(an_interrupt_ends_the_call_and_leaves_nothing_in_the_guest, |guest| {
    let host = prepared(guest);
    let started = guest.path("started");
    guest.write(".gitattributes", "slow filter=slow\n");
    guest.write("slow", "text\n");
    guest.git(&["config", "filter.slow.clean", &format!("touch '{}'; sleep 30; cat", started.display())]);
    for signal in ["INT", "TERM", "HUP"] {
        let banger = host.banger(&["export", VM]);
        let mut command = Command::new(banger.get_program());
        command.args(banger.get_args()).current_dir(host.repo()).env_clear();
        command.envs(banger.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let waiting = Instant::now();
        while !started.exists() {
            assert!(waiting.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        let interrupted = Instant::now();
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(interrupted.elapsed() < Duration::from_secs(4), "{signal}: {:?}", interrupted.elapsed());
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "error: interrupted\n");
        assert!(output.stdout.is_empty());
        guest.assert_no_leftovers();
        fs::remove_file(&started).unwrap();
    }
});

#[test]
fn a_server_that_is_busy_is_tried_again() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = guest.address();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            match number {
                0 => drop(stream),
                1 => drop((&stream).write_all(b"Exceeded MaxStartups\r\n")),
                _ => forward(stream, server),
            }
        }
    });
    configure(&guest, &format!("Port {port}\nHostKeyAlias [127.0.0.1]:{}", server.port()));
    assert_eq!(reach(&host), reached());
}

/// Copies between a connection and a new one to `server`, until both are closed.
fn forward(client: TcpStream, server: std::net::SocketAddr) {
    let server = TcpStream::connect(server).unwrap();
    for (mut from, mut to) in [
        (client.try_clone().unwrap(), server.try_clone().unwrap()),
        (server.try_clone().unwrap(), client.try_clone().unwrap()),
    ] {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

#[test]
fn what_does_not_answer_as_ssh_is_named() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let web_port = web.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let _ = stream.unwrap().write_all(&[b'x'; 4000]);
        }
    });
    for (port, why) in [(closed, "connection refused"), (web_port, "what answers there does not speak SSH")] {
        configure(&guest, &format!("Port {port}"));
        let stderr = format!("error: cannot reach guest 'dev' (127.0.0.1 port {port}): {why}\n");
        assert_eq!(reach(&host), Ran { code: Some(3), stdout: String::new(), stderr });
    }
    configure(&guest, "HostName no-such-host.invalid");
    let ran = reach(&host);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.starts_with("error: cannot reach guest 'dev' (no-such-host.invalid port "), "{}", ran.stderr);
}

#[test]
fn a_wrong_ssh_config_is_an_error_as_it_is_for_ssh() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    configure(&guest, "NoSuchOption yes");
    let ran = reach(&host);
    let stderr = "error: cannot look up 'dev': ssh -G failed (exit 255): \
                  <guest>/ssh_config: line 1: Bad configuration option: nosuchoption\n\
                  \x20 ssh: <guest>/ssh_config: terminating, 1 bad configuration options\n";
    assert_eq!(ran, Ran { code: Some(3), stdout: String::new(), stderr: stderr.to_owned() });
}

#[test]
fn what_the_guest_says_before_the_login_cannot_steer_the_terminal() {
    let guest = TestGuest::russh();
    let host = prepared(&guest);
    let banner = Some(format!("welcome\x1b]0;title\x07\n{}", "x".repeat(20_000)));
    guest.set_faults(Faults { banner, ..Faults::default() });
    let ran = host.run(&["export", VM, "--name-only"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.starts_with("dev: welcome\\x1b]0;title\\x07\ndev: xxx"), "{}", ran.stderr);
    assert!(ran.stderr.len() < 9_000, "{} bytes", ran.stderr.len());
    assert_eq!(reach(&host), reached());
}

/// Writes one SSH configuration for a guest and the hosts that lead to it, each under a name.
fn with_jump_hosts(guest: &TestGuest, jumps: &[(&str, &TestGuest)]) {
    let mut config = fs::read_to_string(guest.ssh_config()).unwrap();
    for (name, jump) in jumps {
        config.push_str(&fs::read_to_string(jump.ssh_config()).unwrap().replace("Host dev", &format!("Host {name}")));
    }
    fs::write(guest.ssh_config(), config).unwrap();
}

guest_test!(a_guest_behind_jump_hosts_is_reached, |guest| {
    let host = prepared(guest);
    let (first, second) = (TestGuest::sshd(), TestGuest::sshd());
    with_jump_hosts(guest, &[("first", &first), ("second", &second)]);
    guest.write("new", "x".repeat(3_000_000));
    let direct = host.run(&["export", VM, "--quiet"]);
    assert_eq!(direct.code, Some(0));
    configure(guest, "Host dev\nProxyJump first,second\nHost *");
    assert!(host.run(&["export", VM, "--quiet"]) == direct);
    // The jump host's own configuration counts for the first of the way.
    configure(guest, "Host dev\nProxyJump second\nHost second\nProxyJump first\nHost *");
    assert!(host.run(&["export", VM, "--quiet"]) == direct);

    let port = second.address().port();
    fs::write(second.path("known_hosts"), "").unwrap();
    let ran = reach(&host);
    assert_eq!(ran.code, Some(3));
    let expected =
        format!("error: cannot trust jump host 'second' (127.0.0.1 port {port}): its host key is not known\n");
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);

    configure(guest, "Host first\nProxyJump first\nHost *");
    let ran = reach(&host);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.ends_with(": there are too many jump hosts on the way\n"), "{}", ran.stderr);
});

#[test]
fn a_jump_host_that_cannot_reach_the_guest_is_named() {
    let (guest, jump) = (TestGuest::sshd(), TestGuest::sshd());
    let host = prepared(&guest);
    with_jump_hosts(&guest, &[("jump", &jump)]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    configure(&guest, &format!("Host dev\nProxyJump jump\nPort {closed}\nHost *"));
    let why = format!(
        "error: cannot reach guest 'dev' (127.0.0.1 port {closed}) through 'jump': \
         failed to open channel (ConnectFailed)\n"
    );
    assert_eq!(reach(&host), Ran { code: Some(3), stdout: String::new(), stderr: why });
}

guest_test!(a_guest_is_reached_through_a_command, |guest| {
    let host = prepared(guest);
    let pid = guest.path("pid");
    let command = format!("sh -c 'echo $$ >{}; exec busybox nc %h %p'", pid.display());
    configure(guest, &format!("ProxyCommand {command}"));
    require("busybox");
    assert_eq!(reach(&host), reached());
    let ended = fs::read_to_string(&pid).unwrap();
    assert!(!Path::new("/proc").join(ended.trim()).exists(), "the command runs on");

    // It dies while the guest is at work.
    guest.write(".gitattributes", "new filter=deadly\n");
    guest.write("new", "text\n");
    guest.git(&["config", "filter.deadly.clean", &format!("kill $(cat {}); sleep 10; cat", pid.display())]);
    let why = "error: connection to 'dev' lost after 0 bytes: its ProxyCommand has ended (signal: 15 (SIGTERM))\n";
    assert_eq!(reach(&host), Ran { code: Some(3), stdout: String::new(), stderr: why.to_owned() });

    let port = guest.address().port();
    configure(guest, "ProxyCommand sh -c 'exit 7'");
    let why = format!(
        "error: cannot reach guest 'dev' (127.0.0.1 port {port}): its ProxyCommand has ended (exit status: 7)\n"
    );
    assert_eq!(reach(&host), Ran { code: Some(3), stdout: String::new(), stderr: why });
});
