//! The whole story in half a minute, on a guest inside this process: `make demo`.
//!
//! Every command is a real one and prints its real output. Nothing is set up, nothing is left behind.

#![allow(clippy::disallowed_methods, reason = "the demo sets up the world that the program runs in")]

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/support/russh.rs"]
mod server;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};

use server::{Account, Server, key_file, known_hosts_line, new_key};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match story() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn story() -> Result<()> {
    // Ctrl-C ends the command that runs, then the story; and everything is cleaned up.
    let interrupted = Arc::<AtomicBool>::default();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let world = World::new(interrupted)?;
    let (host, worker) = (world.host(), world.worker());

    say("A repository on the host, with an edit that is not committed:");
    host.quietly(
        "git init -q -b main && git config user.name You && git config user.email you@example.org
         printf '%s\n' '# Shop' '' 'Sells tea.' '' 'Open on weekdays.' >README.md
         printf '%s\n' 'tea 4' 'coffee 3' >prices
         echo 'old news' >news && echo '*.log' >.gitignore
         git add . && git commit -qm 'Open the shop'
         sed -i 's/on weekdays/every day/' README.md",
    )?;
    host.run("git status --short")?;

    say("Ship it to the guest 'dev', uncommitted edit and all:");
    host.run("git banger prepare dev")?;

    say("In the guest, a worker commits, edits, adds and drops files:");
    worker.run("git status --short")?;
    worker.run("echo 'cake 5' >>prices && git commit -qam 'Sell cake'")?;
    worker.run("sed -i 's/tea/tea and cake/' README.md && git rm -q news")?;
    worker.run("printf '#!/bin/sh\\ncat prices\\n' >menu && chmod +x menu && echo noise >debug.log")?;

    say("What did it do? The guest is only looked at, never touched:");
    host.run("git banger export dev --base-commit HEAD@prepare --stat")?;

    say("Meanwhile the host goes on, in the same files:");
    host.run("sed -i 's/^# Shop/# The Shop/' README.md && git add README.md && echo secret >.env")?;

    say("Bring the work straight in, between the host's own edits:");
    host.run("git banger pull dev --base-commit HEAD@prepare")?;
    host.run("cat README.md && ./menu")?;
    host.run("git status --short")?;

    say("A second pull brings only what is new, and that is nothing:");
    host.run("git banger pull dev --base-commit HEAD@prepare")?;
    say("HEAD, the index and every other file of the host are as they were. The end.");
    Ok(())
}

/// Two homes and a server, in one temporary folder.
struct World {
    // Dropped in this order: the server before its home.
    _server: Server,
    interrupted: Arc<AtomicBool>,
    env: BTreeMap<String, String>,
    root: tempfile::TempDir,
}

/// Somebody who types commands.
struct Typist<'a> {
    prompt: &'static str,
    folder: PathBuf,
    home: PathBuf,
    world: &'a World,
}

impl World {
    fn new(interrupted: Arc<AtomicBool>) -> Result<World> {
        let root = tempfile::Builder::new().prefix("git-banger-demo-").tempdir()?;
        let path = |name: &str| root.path().join(name);
        for folder in ["host/shop", "guest", "tmp"] {
            fs::create_dir_all(path(folder))?;
        }
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), format!("{}:{}", program()?.display(), std::env::var("PATH")?)),
            ("TMPDIR".to_owned(), text(&path("tmp"))),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
        ]);
        // What a terminal needs; nothing else of the real user's environment.
        env.extend(
            ["TERM", "LANG", "NO_COLOR"].iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?))),
        );

        let key = new_key()?;
        fs::write(path("key"), key_file(&key))?;
        fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600))?;
        let mut guest_env = env.clone();
        guest_env.insert("HOME".to_owned(), text(&path("guest")));
        let server = Server::start(Account {
            shell: "/bin/sh".into(),
            home: path("guest"),
            env: guest_env,
            authorized: key.public_key().clone(),
        })?;
        fs::write(path("known_hosts"), known_hosts_line(server.address(), &server.host_key()))?;
        let ssh_config = format!(
            "Host dev\n HostName 127.0.0.1\n Port {}\n User worker\n IdentityFile {}\n IdentitiesOnly yes\n \
             IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n",
            server.address().port(),
            text(&path("key")),
            text(&path("known_hosts")),
        );
        fs::write(path("ssh_config"), ssh_config)?;
        let settings =
            format!("[banger]\n\tsshConfig = {}\n[advice]\n\tstatusHints = false\n", text(&path("ssh_config")));
        fs::write(path("host/.gitconfig"), settings)?;
        Ok(World { _server: server, interrupted, env, root })
    }

    fn host(&self) -> Typist<'_> {
        let home = self.root.path().join("host");
        Typist { prompt: "host", folder: home.join("shop"), home, world: self }
    }

    fn worker(&self) -> Typist<'_> {
        let home = self.root.path().join("guest");
        Typist { prompt: "dev", folder: home.join("shop"), home, world: self }
    }
}

impl Typist<'_> {
    /// Shows a command, and runs it.
    fn run(&self, command: &str) -> Result<()> {
        let (prompt, bold) = (AnsiColor::Green.on_default().bold(), Style::new().bold());
        anstream::println!("{prompt}{}${prompt:#} {bold}{command}{bold:#}", self.prompt);
        self.quietly(command)
    }

    fn quietly(&self, command: &str) -> Result<()> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-e", "-c", command]).current_dir(&self.folder);
        shell.env_clear().envs(&self.world.env).env("HOME", &self.home);
        let status = shell.status()?;
        if self.world.interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        if status.success() { Ok(()) } else { Err(format!("this step failed ({status}): {command}").into()) }
    }
}

/// Builds git-banger where cargo runs us, and returns its folder.
fn program() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(Path::parent).ok_or("where is this demo?")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--bin", "git-banger"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        if !build.status()?.success() {
            return Err("git-banger does not build".into());
        }
    }
    if folder.join("git-banger").exists() {
        Ok(folder.to_owned())
    } else {
        Err(format!("no git-banger in '{}'", folder.display()).into())
    }
}

fn say(text: &str) {
    let style = AnsiColor::Cyan.on_default();
    anstream::println!("\n{style}{text}{style:#}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
