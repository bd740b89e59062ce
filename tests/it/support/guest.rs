//! A guest as tests see it: an SSH server, a home, a workspace.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tempfile::TempDir;

use super::russh::{Account, Faults, Server, key_file, known_hosts_line, new_key};
use super::sshd::Sshd;
use super::{Fingerprint, fingerprint, git_dates, path_with, run_git, write_file};

/// What the guest is called in the host's SSH configuration.
pub const VM: &str = "dev";

/// A guest: reached by SSH as [`VM`] with [`TestGuest::ssh_config`]; gone, with all that runs in it, when dropped.
pub struct TestGuest {
    server: Kind,
    root: TempDir,
}

enum Kind {
    Russh(Server),
    Sshd(Sshd),
}

impl TestGuest {
    /// Starts a guest with the SSH server of this process.
    pub fn russh() -> TestGuest {
        Self::russh_with_shell(Path::new("/bin/sh"))
    }

    /// Starts a guest with the SSH server of this process, where the user has another login shell.
    pub fn russh_with_shell(shell: &Path) -> TestGuest {
        let (root, env) = places();
        let key = new_key().unwrap();
        write_secret(&root.path().join("client_key"), &key_file(&key));
        let home = root.path().join("home");
        let authorized = key.public_key().clone();
        let server = Server::start(Account { shell: shell.to_owned(), home, env, authorized }).unwrap();
        let guest = TestGuest { server: Kind::Russh(server), root };
        guest.trust_host_key();
        guest.write_ssh_config();
        guest
    }

    /// Starts a guest with OpenSSH's server.
    pub fn sshd() -> TestGuest {
        Self::sshd_with("")
    }

    /// Starts a guest with OpenSSH's server; `lines` of sshd_config go before the usual ones.
    pub fn sshd_with(lines: &str) -> TestGuest {
        let (root, env) = places();
        let (key, host_key) = (new_key().unwrap(), new_key().unwrap());
        let path = |name| root.path().join(name);
        write_secret(&path("client_key"), &key_file(&key));
        write_secret(&path("host_key"), &key_file(&host_key));
        fs::write(path("authorized_keys"), key.public_key().to_openssh().unwrap() + "\n").unwrap();
        // One SetEnv line: sshd takes the first and passes over the others. It wins over the home of the account.
        let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let config = format!(
            "{lines}\nHostKey {host}\nAuthorizedKeysFile {keys}\nSetEnv {env}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel ERROR\n\
             PidFile none\nPrintMotd no\nPrintLastLog no\n",
            host = path("host_key").display(),
            keys = path("authorized_keys").display(),
            env = env.join(" "),
        );
        fs::write(path("sshd.conf"), config).unwrap();
        let server = Sshd::start(&path("sshd.conf"));
        fs::write(path("known_hosts"), known_hosts_line(server.address(), host_key.public_key())).unwrap();
        let guest = TestGuest { server: Kind::Sshd(server), root };
        guest.write_ssh_config();
        guest
    }

    /// Sets what the server does wrong, for connections from now on. In-process guests only.
    pub fn set_faults(&self, faults: Faults) {
        self.server().set_faults(faults);
    }

    /// Gives the server another host key, which the host does not know. In-process guests only.
    pub fn change_host_key(&self) {
        self.server().change_host_key().unwrap();
    }

    /// Writes the server's host key into the host's known_hosts. In-process guests only.
    pub fn trust_host_key(&self) {
        let server = self.server();
        fs::write(self.path("known_hosts"), known_hosts_line(server.address(), &server.host_key())).unwrap();
    }

    fn server(&self) -> &Server {
        match &self.server {
            Kind::Russh(server) => server,
            Kind::Sshd(_) => panic!("OpenSSH has no faults"),
        }
    }

    /// Returns where the server listens.
    pub fn address(&self) -> SocketAddr {
        match &self.server {
            Kind::Russh(server) => server.address(),
            Kind::Sshd(server) => server.address(),
        }
    }

    /// Returns a file of the guest's scaffolding: `client_key`, `known_hosts`, `ssh_config`, `sshd.log`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Returns the configuration file that makes `ssh -F FILE dev` reach this guest.
    pub fn ssh_config(&self) -> PathBuf {
        self.path("ssh_config")
    }

    /// Returns the home folder of the guest's user.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Returns the workspace, where prepare puts it: named after the host's repository, in the home folder.
    pub fn workspace(&self) -> PathBuf {
        self.home().join(super::host::REPO)
    }

    /// Returns a file of the workspace.
    pub fn file(&self, name: &str) -> PathBuf {
        self.workspace().join(name)
    }

    /// Writes a file of the workspace.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write_file(&self.file(name), text.as_ref());
    }

    /// Returns a command that runs as the guest's user, in the workspace if there is one.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(env(self.root.path())).envs(git_dates());
        command.current_dir(if self.workspace().exists() { self.workspace() } else { self.home() });
        command
    }

    /// Runs git in the workspace, as a worker would; returns its stdout, without the last newline.
    pub fn git(&self, args: &[&str]) -> String {
        run_git(self.command("git"), args)
    }

    /// Commits everything in the workspace.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
    }

    /// Returns bytes, modes and times of everything in the workspace, the repository's own files included.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.workspace())
    }

    /// Waits until nothing runs in the guest any more: it learns at its own pace that a connection has gone.
    pub fn wait_until_idle(&self) {
        let waiting = Instant::now();
        while !processes(&self.home()).is_empty() {
            assert!(waiting.elapsed() < Duration::from_secs(30), "something still runs in the guest");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fails when a script left a temporary file.
    pub fn assert_no_leftovers(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "left behind in the guest: {left:?}");
    }

    fn write_ssh_config(&self) {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let config = format!(
            "Host {VM}\n\tHostName 127.0.0.1\n\tPort {port}\n\tUser {user}\n\tIdentityFile {key}\n\
             \tIdentitiesOnly yes\n\tIdentityAgent none\n\tUserKnownHostsFile {known_hosts}\n\
             \tGlobalKnownHostsFile /dev/null\n\tStrictHostKeyChecking yes\n",
            port = self.address().port(),
            user = String::from_utf8_lossy(&user).trim(),
            key = self.path("client_key").display(),
            known_hosts = self.path("known_hosts").display(),
        );
        fs::write(self.ssh_config(), config).unwrap();
    }
}

impl Drop for TestGuest {
    fn drop(&mut self) {
        end_processes(&self.home());
    }
}

fn places() -> (TempDir, BTreeMap<String, String>) {
    let root = tempfile::Builder::new().prefix("git-banger-guest-").tempdir().unwrap();
    for name in ["home", "tmp"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let env = env(root.path());
    (root, env)
}

/// The environment of everything that runs in the guest.
fn env(root: &Path) -> BTreeMap<String, String> {
    let path = |name| root.join(name).to_str().unwrap().to_owned();
    BTreeMap::from([
        ("PATH".to_owned(), path_with("GIT_BANGER_TEST_GUEST_GIT")),
        ("HOME".to_owned(), path("home")),
        ("TMPDIR".to_owned(), path("tmp")),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
    ])
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Ends what still runs in a guest, which is told by its home folder: a test may have started what outlives its
/// connection.
fn end_processes(home: &Path) {
    for process in processes(home) {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
}

/// Returns what runs as the user whose home this is.
fn processes(home: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mark = format!("HOME={}", home.display()).into_bytes();
    let ours = processes.flatten().filter_map(|process| {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok())?;
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let ours = environment.split(|&byte| byte == 0).any(|variable| variable == mark);
        if ours { Pid::from_raw(pid) } else { None }
    });
    ours.collect()
}
