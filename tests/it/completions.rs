//! The completions, in the real shells, as `make install` puts them in place.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::install::Account;

/// An account with completions, and a repository with something to complete.
fn account() -> Account {
    let account = Account::installed();
    account
        .succeeds("git", &["-c", "user.name=a", "-c", "user.email=a", "commit", "-q", "--allow-empty", "-m", "first"]);
    for (key, value) in [
        ("banger.dev.url", "ssh://worker@192.0.2.7:2222/~/project"),
        ("banger.worker@odd:22.url", "worker@odd:22"),
        ("alias.b", "banger"),
    ] {
        account.succeeds("git", &["config", key, value]);
    }
    account.succeeds("git", &["update-ref", "refs/banger/main/box/prepare", "HEAD"]);
    fs::create_dir_all(account.path("repo/.git/banger")).unwrap();
    fs::write(account.path("repo/.git/banger/sessions"), "box\tshell\ndev\tpi\ndev\tworker-2\n").unwrap();
    account.succeeds("git", &["tag", "v1"]);
    account.succeeds("git", &["init", "-q", "../other"]);
    account.succeeds("git", &["-C", "../other", "config", "banger.elsewhere.url", "elsewhere"]);
    fs::create_dir(account.path("repo/a folder")).unwrap();
    fs::write(account.path("repo/a folder/it's $x"), "").unwrap();
    account
}

/// A shell at a terminal, to type into.
struct Terminal<'a> {
    account: &'a Account,
}

impl<'a> Terminal<'a> {
    fn start(account: &'a Account, shell: &str) -> Terminal<'a> {
        account.succeeds("tmux", &["-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "40", shell]);
        let terminal = Terminal { account };
        terminal.shows("$");
        terminal
    }

    /// Types a line anew and presses Tab; the line must become `whole`.
    fn completes(&self, typed: &str, whole: &str) {
        self.clear();
        self.keys(&["-l", typed]);
        self.keys(&["Tab"]);
        self.shows(&format!("$ {whole}"));
    }

    /// Types a line anew and asks for what it can become; all of `values` must be listed.
    fn lists(&self, typed: &str, values: &[&str]) {
        self.clear();
        self.keys(&["-l", typed]);
        self.keys(&["Tab", "Tab"]);
        self.waits(&format!("{values:?} after '{typed}'"), |screen| {
            let words: Vec<_> = screen.split_whitespace().collect();
            values.iter().all(|value| words.contains(value))
        });
    }

    /// Takes back the line, and all that the screen shows.
    fn clear(&self) {
        self.keys(&["C-u"]);
        self.keys(&["C-l"]);
        self.waits("an empty screen", |screen| screen.trim() == "$");
    }

    fn keys(&self, keys: &[&str]) {
        self.account.succeeds("tmux", &[&["send-keys"], keys].concat());
    }

    fn shows(&self, line: &str) {
        self.waits(&format!("'{line}'"), |screen| screen.trim_end() == line);
    }

    fn waits(&self, what: &str, is_there: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let screen = self.account.succeeds("tmux", &["capture-pane", "-p"]);
            if is_there(&screen) {
                return;
            }
            assert!(Instant::now() < deadline, "waited for {what}, got:\n{}", screen.trim_end());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.account.run("tmux", &["kill-server"]);
    }
}

/// Starts bash with these lines in its start-up file.
fn bash<'a>(account: &'a Account, lines: &str) -> Terminal<'a> {
    let rc = account.path("bashrc");
    fs::write(&rc, format!("PS1='$ '\n{lines}\n")).unwrap();
    Terminal::start(account, &format!("bash --rcfile {}", rc.display()))
}

/// What holds in bash and zsh alike, after any spelling of the command.
fn complete_each(terminal: &Terminal, command: &str) {
    let cases = [
        ("pul", "pull"),
        ("pull de", "pull dev"),
        ("pull dev --base-commit HEAD@", "pull dev --base-commit HEAD@prepare"),
        ("pull dev --base-commit=HEAD@pr", "pull dev --base-commit=HEAD@prepare"),
        ("pull dev --base-commit=@p", "pull dev --base-commit=@prepare"),
        ("pull dev --base-commit v", "pull dev --base-commit v1"),
        ("session attach dev p", "session attach dev pi"),
        ("session logs box --follow ", "session logs box --follow shell"),
        ("send dev wo", "send dev worker-2"),
        ("export --form", "export --format"),
        ("export --format=b", "export --format=bundle"),
        ("export dev -- a", r"export dev -- a\ folder/"),
        (r"export dev -- a\ folder/i", r"export dev -- a\ folder/it\'s\ \$x"),
    ];
    for (typed, whole) in cases {
        terminal.completes(&format!("{command} {typed}"), &format!("{command} {whole}"));
    }
    terminal.lists(&format!("{command} pull "), &["dev", "box"]);
    terminal.lists(&format!("{command} send dev "), &["pi", "worker-2"]);
}

#[test]
fn bash_completes_every_spelling() {
    let account = account();
    let terminal = bash(&account, ". /usr/share/bash-completion/bash_completion");
    complete_each(&terminal, "git-banger");
    complete_each(&terminal, "git banger");
    complete_each(&terminal, "git b");
    terminal.completes("git ban", "git banger");
    terminal.completes("git -C .. banger -C other pull e", "git -C .. banger -C other pull elsewhere");
    terminal.completes("git -C ../other banger pull e", "git -C ../other banger pull elsewhere");
    terminal.completes("git banger pull worker@odd:", "git banger pull worker@odd:22");
    terminal.completes("git banger export dev -- 'a folder/i", "git banger export dev -- 'a folder/it'\\''s $x'");
}

#[test]
fn bash_completes_where_it_breaks_words_at_an_at_sign() {
    let account = account();
    let script = account.path(".local/share/bash-completion/completions/git-banger");
    let terminal = bash(&account, &format!("shopt -s hostcomplete\n. {}", script.display()));
    complete_each(&terminal, "git-banger");
}

#[test]
fn zsh_completes_every_spelling() {
    let account = account();
    fs::write(
        account.path(".zshrc"),
        "PS1='$ '\nfpath=(~/.local/share/zsh/site-functions $fpath)\nautoload -U compinit\ncompinit -u -D\n",
    )
    .unwrap();
    let terminal = Terminal::start(&account, "zsh");
    complete_each(&terminal, "git-banger");
    complete_each(&terminal, "git banger");
    complete_each(&terminal, "git b");
    terminal.completes("git ban", "git banger");
    terminal.completes("git -C .. banger -C other pull e", "git -C .. banger -C other pull elsewhere");
    terminal.completes("git -C ../other banger pull e", "git -C ../other banger pull elsewhere");
    terminal.completes("git banger pull worker@odd:", "git banger pull worker@odd:22");
    terminal.lists("git banger pull ", &["ssh://worker@192.0.2.7:2222/~/project"]);
}

#[test]
fn fish_completes_every_spelling() {
    let account = account();
    let candidates = |line: &str| {
        let listed = account.succeeds("fish", &["-c", &format!("complete -C \"{line}\"")]);
        listed.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for command in ["git-banger", "git banger"] {
        for (typed, values) in [
            ("pul", ["pull"].as_slice()),
            ("pull de", &["dev"]),
            ("pull dev --base-commit HEAD@", &["HEAD@prepare"]),
            ("pull dev --base-commit=HEAD@pr", &["--base-commit=HEAD@prepare"]),
            ("session attach dev ", &["pi", "worker-2"]),
            ("send dev p", &["pi"]),
            ("export --format=b", &["--format=bundle"]),
            ("export dev -- a", &["a folder/"]),
            (r"export dev -- a\\ folder/i", &["a folder/it's $x"]),
            ("pull ", &["box", "dev", "worker@odd:22"]),
        ] {
            let mut listed = candidates(&format!("{command} {typed}"));
            listed.sort();
            listed.dedup();
            assert_eq!(listed, values, "{command} {typed}");
        }
    }
    assert!(candidates("git ban").contains(&"banger".to_owned()));
    assert_eq!(candidates("git -C ../other banger pull e"), ["elsewhere"]);
    assert_eq!(candidates("git -C .. banger -C other pull e"), ["elsewhere"]);
    assert_eq!(candidates("git banger -C 'a folder' pull b"), ["box"]);
}

#[test]
fn bash_completes_jj_banger_beside_jj() {
    let account = account();
    account.succeeds("git", &["banger", "setup", "jj"]);
    complete_beside_jj(&bash(&account, "source <(COMPLETE=bash jj)\nsource <(git banger completions bash)"));
}

#[test]
fn zsh_completes_jj_banger_beside_jj() {
    let account = account();
    account.succeeds("git", &["banger", "setup", "jj"]);
    let lines = "PS1='$ '\nautoload -U compinit\ncompinit -u -D\n\
                 source <(COMPLETE=zsh jj)\nsource <(git banger completions zsh)\n";
    fs::write(account.path(".zshrc"), lines).unwrap();
    complete_beside_jj(&Terminal::start(&account, "zsh"));
}

fn complete_beside_jj(terminal: &Terminal) {
    complete_each(terminal, "jj banger");
    terminal.completes("jj --no-pager banger pull de", "jj --no-pager banger pull dev");
    terminal.completes("jj ban", "jj banger");
    terminal.completes("jj bookmark cre", "jj bookmark create");
}

#[test]
fn fish_completes_jj_banger_beside_jj() {
    let account = account();
    account.succeeds("git", &["banger", "setup", "jj"]);
    let candidates = |line: &str| {
        let listed = account.succeeds("fish", &["-c", &format!("COMPLETE=fish jj | source; complete -C '{line}'")]);
        listed.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(candidates("jj banger pull de").contains(&"dev".to_owned()));
    assert!(candidates("jj banger pull --base-commit=HEAD@").contains(&"--base-commit=HEAD@prepare".to_owned()));
    assert_eq!(candidates("jj bookmark cre"), ["create"]);
}

#[test]
fn each_shell_takes_its_script_without_a_word() {
    let account = account();
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = account.path(shell);
        fs::write(&script, account.succeeds("git", &["banger", "completions", shell])).unwrap();
        let output = account.command(shell).args(check).arg(&script).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    let mut shellcheck: Command = account.command("shellcheck");
    let output = shellcheck.args(["-s", "bash"]).arg(account.path("bash")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
