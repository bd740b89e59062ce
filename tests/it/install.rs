//! What `make install` and `git banger setup` put in place, as a fresh user account sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_git-banger");
const FILES: [&str; 4] = [
    "share/bash-completion/completions/git-banger",
    "share/fish/vendor_conf.d/git-banger.fish",
    "share/man/man1/git-banger.1",
    "share/zsh/site-functions/_git-banger",
];

/// The home of a user who has nothing yet, with a repository in it.
pub struct Account {
    home: TempDir,
}

impl Account {
    pub fn fresh() -> Account {
        let account = Account { home: TempDir::with_prefix("account.").unwrap() };
        fs::create_dir_all(account.path(".local/bin")).unwrap();
        account.succeeds("git", &["init", "-q", "-b", "main", "repo"]);
        account
    }

    /// An account that ran `make install PREFIX=$HOME/.local`.
    pub fn installed() -> Account {
        let account = Account::fresh();
        account.make(&["install", &account.prefix()]);
        account
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let own = self.path(".local/bin");
        command.env_clear().env("HOME", self.home.path()).env("TERM", "screen").env("LC_ALL", "C.UTF-8");
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}:{}", own.display(), crate::support::tools().display()));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("TMUX_TMPDIR", self.home.path());
        let repo = self.path("repo");
        command.current_dir(if repo.exists() { &repo } else { self.home.path() });
        command
    }

    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        self.command(program).args(args).output().unwrap_or_else(|error| panic!("cannot run '{program}': {error}"))
    }

    /// Runs a program that must succeed; returns its stdout.
    pub fn succeeds(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args);
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn prefix(&self) -> String {
        format!("PREFIX={}", self.path(".local").display())
    }

    fn make(&self, args: &[&str]) -> String {
        let binary = format!("BINARY={BINARY}");
        self.succeeds("make", &[&["-s", "-C", env!("CARGO_MANIFEST_DIR"), &binary], args].concat())
    }

    /// Every file below `.local`.
    fn files(&self) -> Vec<String> {
        let top = self.path(".local");
        let mut files = Vec::new();
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }

    fn mode(&self, file: &str) -> u32 {
        fs::metadata(self.path(".local").join(file)).unwrap().permissions().mode() & 0o777
    }
}

#[test]
fn make_install_puts_five_files_in_place_and_uninstall_takes_them_away() {
    let account = Account::installed();
    assert_eq!(account.files(), [&["bin/git-banger"], FILES.as_slice()].concat());
    assert_eq!(account.mode("bin/git-banger"), 0o755);
    assert!(FILES.iter().all(|file| account.mode(file) == 0o644));
    account.make(&["uninstall", &account.prefix()]);
    assert_eq!(account.files(), [""; 0]);
}

#[test]
fn make_install_says_what_zsh_needs_to_find_its_completion_elsewhere() {
    let account = Account::fresh();
    let said = account.make(&["install", &account.prefix()]);
    let (_, line) = said.trim_end().split_once("before compinit: ").unwrap();
    let shown = account.succeeds(
        "zsh",
        &["-fc", &format!("{line}; autoload -Uz _git-banger && autoload +X _git-banger && echo found")],
    );
    assert_eq!(shown, "found\n");
}

#[test]
fn make_install_honours_destdir() {
    let account = Account::fresh();
    let said = account.make(&["install", "PREFIX=/usr", &format!("DESTDIR={}", account.path(".local").display())]);
    assert_eq!(said, "");
    assert!(account.files().contains(&"usr/share/man/man1/git-banger.1".to_owned()));
}

#[test]
fn git_finds_the_installed_page() {
    let account = Account::installed();
    for args in [["help", "banger"], ["banger", "--help"]] {
        let page = account.succeeds("git", &args);
        assert!(page.contains("git-banger"), "{page}");
    }
}

#[test]
fn setup_writes_what_make_install_does() {
    let installed = Account::installed();
    let account = Account::fresh();
    std::os::unix::fs::symlink(BINARY, account.path(".local/bin/git-banger")).unwrap();
    let output = account.run("git", &["banger", "setup"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{stderr}");
    assert_eq!(account.files(), installed.files());
    for file in FILES {
        let read = |account: &Account| fs::read_to_string(account.path(".local").join(file)).unwrap();
        assert_eq!(read(&account), read(&installed));
        assert!(stderr.contains(&format!("wrote '{}'", account.path(".local").join(file).display())), "{stderr}");
    }
    let zsh = account.path(".local/share/zsh/site-functions");
    let told = format!("\nfor zsh, in ~/.zshrc before compinit: fpath=({} $fpath)\n", zsh.display());
    assert!(stderr.ends_with(&told), "{stderr}");
    assert!(!stderr.contains("MANPATH"), "man finds the page by itself here: {stderr}");
}

#[test]
fn setup_says_how_man_finds_a_page_elsewhere() {
    let account = Account::fresh();
    let output = account.command(BINARY).arg("setup").env("XDG_DATA_HOME", account.path("elsewhere")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let man = account.path("elsewhere/man");
    let told = format!("\nfor man, in ~/.profile: export MANPATH={}:\n", man.display());
    assert!(stderr.ends_with(&told), "{stderr}");
    let path = account.command("man").args(["-w", "git-banger"]).env("MANPATH", format!("{}:", man.display())).output();
    assert_eq!(Path::new(String::from_utf8(path.unwrap().stdout).unwrap().trim()), man.join("man1/git-banger.1"));
}

#[test]
fn jj_banger_is_git_banger_after_setup_jj() {
    let account = Account::installed();
    account.succeeds("git", &["config", "banger.dev.url", "dev"]);
    account.succeeds("jj", &["git", "init", "--quiet"]);
    let output = account.run("git", &["banger", "setup", "jj"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(account.succeeds("jj", &["banger", "vm", "list"]), account.succeeds("git", &["banger", "vm", "list"]));
    assert_eq!(account.run("jj", &["banger", "rev", "HEAD@prepare"]).status.code(), Some(1));
}
