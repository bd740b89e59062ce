//! What the user configured: flag over environment over git config `banger.*`. The only reader of the environment.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::{Color, Global};
use crate::error::{Error, Result};
use crate::host::{self, config};
use crate::ssh::Destination;
use crate::ui;

/// What can be set for a guest; from [`OF_ALL`] on also for all of them.
const KEYS: [&str; 4] = ["url", "path", "base", "sshConfig"];
const OF_ALL: usize = 2;

/// Returns the value of an environment variable; empty counts as unset.
pub fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns the variables that git reads, `GIT_*`, as they were set for us.
pub fn git_environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")).collect()
}

/// A guest, as the user names it: where it is, and where the workspace is in it.
#[derive(Clone, Debug)]
pub struct Vm {
    /// What the user typed.
    pub name: String,
    /// Where SSH finds it.
    pub destination: Destination,
    /// The workspace, as the guest's shell takes it from the home folder.
    pub path: String,
    /// Where `path` came from; a default is worth recording.
    pub path_is_configured: bool,
    /// The default for `--base-commit`.
    pub base: Option<String>,
}

/// A name as `vm list` shows it.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// `banger.<vm>.url`
    pub url: String,
    /// `banger.<vm>.path`
    pub path: Option<String>,
}

/// The settings of one run.
pub struct Settings {
    global: Global,
    /// Keys as git prints them, without `banger.`: section and name in lower case, the vm as it is.
    config: BTreeMap<String, String>,
    /// git's own `color.ui`.
    color: Option<Color>,
}

impl Settings {
    /// Reads `banger.*` from git's configuration, as it holds for the folder that the command works in.
    ///
    /// # Errors
    /// When the configuration cannot be read, or is not UTF-8.
    pub fn load(mut global: Global) -> Result<Settings> {
        if global.via_jj && global.dir.is_none() {
            global.dir = chosen_workspace();
        }
        let call = config::call(global.dir.as_deref())?;
        let output = call.args(["--null", "--get-regexp", r"^(banger\.|color\.ui$)"]).run()?;
        // Exit status 1: no such key.
        if !matches!(output.code, Some(0 | 1)) {
            return Err(output.failure("git config"));
        }
        let text = String::from_utf8(output.stdout)
            .map_err(|error| Error::usage("a 'banger' setting in the git configuration is not UTF-8").source(error))?;
        let (mut config, mut color) = (BTreeMap::new(), None);
        for entry in text.split_terminator('\0') {
            let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            match key.strip_prefix("banger.") {
                Some(key) => drop(config.insert(key.to_owned(), value.to_owned())),
                None => color = Some(color_ui(value)),
            }
        }
        Ok(Settings { global, config, color })
    }

    /// Returns the options that every command takes.
    pub fn global(&self) -> &Global {
        &self.global
    }

    /// Returns when messages are coloured: the flag, else git's `color.ui`, else on a terminal.
    pub fn color(&self) -> Color {
        self.global.color.or(self.color).unwrap_or_default()
    }

    /// Resolves a guest's name; `path` is a flag's value, `default_path` serves where nothing else names one.
    ///
    /// # Errors
    /// When the name or its configuration cannot be used, or the workspace has no path.
    pub fn vm(&self, name: &str, path: Option<&str>, default_path: Option<&str>) -> Result<Vm> {
        check_name(name)?;
        let url = self.of(name, "url").unwrap_or(name);
        let (mut destination, url_path) = Destination::parse_url(url)?;
        destination.ssh_config = self
            .global
            .ssh_config
            .clone()
            .or_else(|| self.of(name, "sshconfig").or_else(|| self.get("sshconfig")).map(expand_home));
        let configured = path.or_else(|| self.of(name, "path")).map(str::to_owned).or(url_path);
        let path_is_configured = configured.is_some() && path.is_none();
        let path = configured.or_else(|| default_path.map(str::to_owned)).ok_or_else(|| {
            Error::usage(format!("where the workspace is in guest '{name}' is not known"))
                .hint(format!("git config banger.{name}.path DIR"))
        })?;
        let path = match path.trim_end_matches('/') {
            "" => path,
            trimmed => trimmed.to_owned(),
        };
        let base = self.of(name, "base").or_else(|| self.get("base")).map(str::to_owned);
        Ok(Vm { name: name.to_owned(), destination, path, path_is_configured, base })
    }

    /// Returns the names in the configuration, sorted.
    pub fn vms(&self) -> Vec<Named> {
        let names = self.config.keys().filter_map(|key| key.strip_suffix(".url"));
        names
            .map(|name| Named {
                name: name.to_owned(),
                url: self.of(name, "url").unwrap_or_default().to_owned(),
                path: self.of(name, "path").map(str::to_owned),
            })
            .collect()
    }

    /// Warns of each key that nothing reads, and says which may have been meant.
    pub fn warn_of_unknown_keys(&self) {
        for key in self.config.keys() {
            let (section, name) = key.split_at(key.rfind('.').map_or(0, |dot| dot + 1));
            let known = if section.is_empty() { &KEYS[OF_ALL..] } else { &KEYS };
            let distance = |known: &str| strsim::osa_distance(&known.to_lowercase(), name);
            let nearest = known.iter().map(|known| (distance(known), *known)).min();
            let full = |name| ui::path(format!("banger.{section}{name}").as_bytes());
            let meant = match nearest {
                Some((0, _)) => continue,
                Some((distance, known)) if distance * 2 < known.len() => format!("; did you mean {}?", full(known)),
                _ => String::new(),
            };
            ui::warn(&format!("unknown setting {} in the git configuration{meant}", full(name)));
        }
    }

    fn of(&self, vm: &str, key: &str) -> Option<&str> {
        self.get(&format!("{vm}.{key}"))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

/// Goes to the folder of `-C`, so that what other options and the configuration name is relative to it, too.
///
/// # Errors
/// When there is no such folder.
pub fn go_to_folder(global: &mut Global) -> Result<()> {
    let Some(dir) = &mut global.dir else { return Ok(()) };
    std::env::set_current_dir(&dir).map_err(|error| {
        Error::usage(format!("cannot go to {}", ui::path(dir.as_os_str().as_encoded_bytes()))).source(error)
    })?;
    // It stays the user's choice, beside which that of jj does not count.
    *dir = PathBuf::from(".");
    Ok(())
}

/// Refuses what cannot be a guest's name.
///
/// # Errors
/// [`Error::usage`]
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty()
        || name.starts_with('-')
        || name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/')
    {
        return Err(Error::usage(format!("{} cannot be the name of a guest", ui::path(name.as_bytes())))
            .hint("a name from 'git banger vm list', or [user@]host[:port]"));
    }
    Ok(())
}

/// Returns the workspace that `jj -R` named, unless it is the one that we stand in anyway. Whatever jj runs inherits the
/// variable, a shell and all that is typed there, so only jj's alias may have us believe it.
fn chosen_workspace() -> Option<PathBuf> {
    let chosen = PathBuf::from(env("JJ_WORKSPACE_ROOT")?);
    (host::jj_root(None) != chosen.canonicalize().ok()).then_some(chosen)
}

/// Reads a value of `color.ui` as git does: true means auto there.
fn color_ui(value: &str) -> Color {
    match value.to_ascii_lowercase().as_str() {
        "always" => Color::Always,
        "never" | "false" | "no" | "off" | "0" | "" => Color::Never,
        _ => Color::Auto,
    }
}

fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), env("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
