//! `git banger setup`: the man page and the completions, out of the binary itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::completions::script;
use crate::cli::{Part, Setup, Shell};
use crate::error::{Context, Error, Result};
use crate::process::{self, Call};
use crate::settings::env;
use crate::ui;

const PAGE: &str = include_str!("../../man/git-banger.1");

/// Writes the files, or jj's alias.
///
/// # Errors
/// When a file cannot be written, or jj is not there or refuses.
pub fn run(args: &Setup) -> Result<()> {
    match args.part {
        None => files(&data_home()?),
        Some(Part::Jj) => jj(),
    }
}

fn data_home() -> Result<PathBuf> {
    let data = env("XDG_DATA_HOME").map(PathBuf::from).filter(|data| data.is_absolute());
    let home = || env("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home).ok_or_else(|| Error::refused("HOME is not set: nobody knows where your files belong"))
}

fn files(share: &Path) -> Result<()> {
    let man = share.join("man");
    let zsh = share.join("zsh/site-functions");
    write(&man.join("man1/git-banger.1"), PAGE)?;
    write(&share.join("bash-completion/completions/git-banger"), script(Shell::Bash))?;
    write(&zsh.join("_git-banger"), script(Shell::Zsh))?;
    write(&share.join("fish/vendor_conf.d/git-banger.fish"), script(Shell::Fish))?;
    if process::find("zsh").is_ok() {
        ui::hint(&format!("zsh: before compinit, in ~/.zshrc: fpath=('{}' $fpath)", zsh.display()));
    }
    let found = Call::new("man").args(["-w", "git-banger"]).run();
    if found.is_ok_and(|found| found.code != Some(0)) {
        // The colon at the end stands for the places that man knows by itself.
        ui::hint(&format!("man: in ~/.profile: export MANPATH='{}':", man.display()));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot write '{}'", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).context(context)?;
    fs::write(path, text).context(context)?;
    ui::status(&format!("wrote '{}'", path.display()));
    Ok(())
}

fn jj() -> Result<()> {
    let alias = r#"["util", "exec", "--", "git-banger", "--via-jj"]"#;
    if process::find("jj").is_err() {
        return Err(Error::refused("'jj' is not on PATH").hint("cargo install --locked jj-cli"));
    }
    Call::new("jj").args(["config", "set", "--user", "aliases.banger", alias]).stdout()?;
    ui::status("'jj banger' is 'git banger' from now on");
    ui::hint("for its completion, after jj's own: source <(git banger completions bash), or zsh");
    Ok(())
}
