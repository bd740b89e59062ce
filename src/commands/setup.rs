//! `git banger setup`: the man page and the completions, out of the binary itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::App;
use super::completions::script;
use crate::cli::{Part, Setup, Shell};
use crate::environment::env;
use crate::error::{Context, Error, Result};
use crate::process::{self, Call};
use crate::text::shell_word;

const PAGE: &str = include_str!("../../man/git-banger.1");

/// Writes the files, or jj's alias.
///
/// # Errors
/// When a file cannot be written, or jj is not there or refuses.
pub fn run(args: &Setup, app: &App) -> Result<()> {
    match args.part {
        None => files(&data_home()?, app),
        Some(Part::Jj) => jj(app),
    }
}

fn data_home() -> Result<PathBuf> {
    let data = env("XDG_DATA_HOME").map(PathBuf::from).filter(|data| data.is_absolute());
    let home = || env("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home).ok_or_else(|| Error::refused("HOME is not set"))
}

fn files(share: &Path, app: &App) -> Result<()> {
    let man = share.join("man");
    let zsh = share.join("zsh/site-functions");
    write(&man.join("man1/git-banger.1"), PAGE, app)?;
    write(&share.join("bash-completion/completions/git-banger"), script(Shell::Bash), app)?;
    write(&zsh.join("_git-banger"), script(Shell::Zsh), app)?;
    write(&share.join("fish/vendor_conf.d/git-banger.fish"), script(Shell::Fish), app)?;
    if process::find("zsh").is_ok() {
        app.ui().status(&format!("for zsh, in ~/.zshrc before compinit: fpath=({} $fpath)", shell_word(&zsh)));
    }
    let found = Call::new("man", &app.reporter()).args(["-w", "git-banger"]).run();
    if found.is_ok_and(|found| found.code != Some(0)) {
        // The colon at the end stands for the places that man knows by itself.
        app.ui().status(&format!("for man, in ~/.profile: export MANPATH={}:", shell_word(&man)));
    }
    Ok(())
}

fn write(path: &Path, text: &str, app: &App) -> Result<()> {
    let context = || format!("cannot write '{}'", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).context(context)?;
    fs::write(path, text).context(context)?;
    app.ui().status(&format!("wrote '{}'", path.display()));
    Ok(())
}

fn jj(app: &App) -> Result<()> {
    let alias = r#"["util", "exec", "--", "git-banger", "--via-jj"]"#;
    if process::find("jj").is_err() {
        return Err(Error::failed("'jj' is not on PATH").run("cargo install --locked jj-cli", "builds and installs it"));
    }
    Call::new("jj", &app.reporter()).args(["config", "set", "--user", "aliases.banger", alias]).stdout()?;
    app.ui().status("'jj banger' is 'git banger' from now on");
    app.ui().status("for its completion, after jj's own: source <(git banger completions bash), or zsh");
    Ok(())
}
