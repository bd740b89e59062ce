//! What the user configured: a flag over git config `banger.*`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::environment::env;
use crate::error::{Error, Result};
use crate::host::intake::Rules;
use crate::host::{self, config};
use crate::reporter::Reporter;
use crate::ssh::Destination;
use crate::text;
use crate::ui::Color;
use crate::vm::{Vm, check_name};

/// What is read of git's configuration.
const KEYS: &str = concat!(
    r"^(banger\.|color\.ui$|(fetch|receive)\.fsck\.",
    r"|core\.(filemode|symlinks|autocrlf|eol|attributesfile|sparsecheckout)$)"
);
/// What can be set for one guest.
const OF_ONE: [&str; 4] = ["url", "path", "base", "sshConfig"];
/// What can be set for all guests.
const OF_ALL: [&str; 5] = ["base", "sshConfig", "maxBytes", "lockTimeout", "keepLandings"];
/// How much a guest may send, in bytes, where no setting says so: 10 GiB.
const MAX_BYTES: u64 = 10 << 30;
/// So many seconds a landing waits for another, if nothing else is set.
const LOCK_TIMEOUT: u64 = 60;
/// So many landings stay recorded, if nothing else is set.
const KEEP_LANDINGS: u64 = 100;

/// The options that every command takes, as far as they are settings.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Where the command works; `None` for the current directory.
    pub dir: Option<PathBuf>,
    /// Read in place of ~/.ssh/config.
    pub ssh_config: Option<PathBuf>,
    /// When messages are coloured.
    pub color: Option<Color>,
    /// jj's alias called us, so that `jj -R` is heeded.
    pub via_jj: bool,
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

/// A key of git's configuration that nothing reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The key.
    pub key: String,
    /// The one that was meant, as it seems.
    pub meant: Option<String>,
}

/// The settings of one run.
pub struct Settings {
    flags: Flags,
    /// Keys as git prints them, without `banger.`: section and name in lower case, the vm as it is.
    config: BTreeMap<String, String>,
    /// git's own `color.ui`.
    color: Option<Color>,
    /// git's own `fetch.fsck.*` and `receive.fsck.*`: message and severity.
    fsck: Vec<(String, String)>,
    /// git's own `core.*`, as far as it says how files stand in a work tree.
    core: Vec<(String, Option<String>)>,
}

impl Settings {
    /// Reads `banger.*` from git's configuration, as it holds for the directory that the command works in.
    ///
    /// # Errors
    /// If the configuration cannot be read, or is not UTF-8.
    pub fn load(mut flags: Flags, reporter: &Arc<dyn Reporter>) -> Result<Settings> {
        if flags.via_jj && flags.dir.is_none() {
            flags.dir = chosen_workspace();
        }
        let call = config::call(flags.dir.as_deref(), reporter)?;
        let output = call.args(["--null", "--get-regexp", KEYS]).run()?;
        // Exit status 1: no such key.
        if !matches!(output.code, Some(0 | 1)) {
            return Err(output.failure("git config"));
        }
        let text = String::from_utf8(output.stdout)
            .map_err(|error| Error::usage("a 'banger' setting in the git configuration is not UTF-8").source(error))?;
        let (mut config, mut color, mut fsck, mut core) = (BTreeMap::new(), None, Vec::new(), Vec::new());
        for entry in text.split_terminator('\0') {
            let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            if key.starts_with("core.") {
                core.push((key.to_owned(), Some(value.to_owned())));
                continue;
            }
            match (key.strip_prefix("banger."), key.rsplit_once(".fsck.")) {
                (Some(key), _) => drop(config.insert(key.to_owned(), value.to_owned())),
                (None, Some((_, message))) => fsck.push((message.to_owned(), value.to_owned())),
                (None, None) => color = Some(color_ui(value)),
            }
        }
        Ok(Settings { flags, config, color, fsck, core })
    }

    /// Returns what git's own settings say of how files stand in a work tree: keys and values, the strongest last.
    pub fn core(&self) -> &[(String, Option<String>)] {
        &self.core
    }

    /// Returns the flags that they were loaded with.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Returns where the command works; `None` for the current directory.
    pub fn dir(&self) -> Option<&Path> {
        self.flags.dir.as_deref()
    }

    /// Returns when messages are coloured: the flag, else git's `color.ui`, else on a terminal.
    pub fn color(&self) -> Color {
        self.flags.color.or(self.color).unwrap_or_default()
    }

    /// Returns how the objects of a guest are judged: git's own settings for fetching.
    pub fn rules(&self) -> Rules {
        // A list of objects to pass over is no severity.
        let fsck = self.fsck.iter().filter(|(message, _)| message != "skiplist");
        Rules { fsck: fsck.cloned().collect() }
    }

    /// Returns how many bytes a guest may send.
    ///
    /// # Errors
    /// If the setting is no number as git writes them.
    pub fn max_bytes(&self) -> Result<u64> {
        number(self.get("maxbytes"), "banger.maxBytes", MAX_BYTES)
    }

    /// Returns how long a landing waits for another one.
    ///
    /// # Errors
    /// If the setting is no number of seconds.
    pub fn lock_timeout(&self) -> Result<Duration> {
        number(self.get("locktimeout"), "banger.lockTimeout", LOCK_TIMEOUT).map(Duration::from_secs)
    }

    /// Returns how many landings in a working copy stay recorded.
    ///
    /// # Errors
    /// If the setting is no number.
    pub fn keep_landings(&self) -> Result<u64> {
        number(self.get("keeplandings"), "banger.keepLandings", KEEP_LANDINGS).map(|keep| keep.max(1))
    }

    /// Resolves a guest's name; `path` is a flag's value, or what is recorded, and `default_path` serves where nothing else
    /// names one.
    ///
    /// # Errors
    /// When the name or its configuration cannot be used, or the workspace has no path.
    pub fn vm(&self, name: &str, path: Option<&str>, default_path: Option<&str>) -> Result<Vm> {
        check_name(name)?;
        let url = self.of(name, "url").unwrap_or(name);
        let (mut destination, url_path) = Destination::parse_url(url)?;
        destination.ssh_config = self
            .flags
            .ssh_config
            .clone()
            .or_else(|| self.of(name, "sshconfig").or_else(|| self.get("sshconfig")).map(expand_home));
        let configured = path.or_else(|| self.of(name, "path")).map(str::to_owned).or(url_path);
        let path = configured.or_else(|| default_path.map(str::to_owned)).ok_or_else(|| {
            Error::usage(format!("guest '{name}' has no workspace path")).with_vm(name).detail(format!(
                "set banger.{name}.path in git's configuration (with --global if you are not in a repository)"
            ))
        })?;
        let path = match path.trim_end_matches('/') {
            "" => path,
            trimmed => trimmed.to_owned(),
        };
        let base = self.of(name, "base").or_else(|| self.get("base")).map(str::to_owned);
        Ok(Vm { name: name.to_owned(), destination, path, base })
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

    /// Returns each key that nothing reads.
    pub fn unknown_keys(&self) -> Vec<Unknown> {
        let mut unknown = Vec::new();
        for key in self.config.keys() {
            let (section, name) = key.split_at(key.rfind('.').map_or(0, |dot| dot + 1));
            let known: &[&str] = if section.is_empty() { &OF_ALL } else { &OF_ONE };
            let distance = |known: &str| strsim::osa_distance(&known.to_lowercase(), name);
            let nearest = known.iter().map(|known| (distance(known), *known)).min();
            let full = |name| format!("banger.{section}{name}");
            let meant = match nearest {
                Some((0, _)) => continue,
                Some((distance, known)) if distance * 2 < known.len() => Some(full(known)),
                _ => None,
            };
            unknown.push(Unknown { key: full(name), meant });
        }
        unknown
    }

    fn of(&self, vm: &str, key: &str) -> Option<&str> {
        self.get(&format!("{vm}.{key}"))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

/// Reads a number as git writes them.
fn number(text: Option<&str>, name: &str, default: u64) -> Result<u64> {
    let Some(text) = text else { return Ok(default) };
    let (digits, shift) = match text.to_ascii_lowercase().strip_suffix(['k', 'm', 'g']) {
        Some(digits) => (
            digits.to_owned(),
            match text.to_ascii_lowercase().as_bytes().last() {
                Some(b'k') => 10,
                Some(b'm') => 20,
                _ => 30,
            },
        ),
        None => (text.to_owned(), 0),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(|| {
        Error::usage(format!("'{name}' is no number: {}", text::path(text.as_bytes())))
            .detail("write a number, which may end with k, m or g")
    })
}

/// Goes to the directory of `-C`, so that what other options and the configuration name is relative to it, too.
///
/// # Errors
/// If there is no such directory.
pub fn go_to_directory(flags: &mut Flags) -> Result<()> {
    let Some(dir) = &mut flags.dir else { return Ok(()) };
    std::env::set_current_dir(&dir).map_err(|error| {
        Error::usage(format!("cannot go to {}", text::path(dir.as_os_str().as_encoded_bytes()))).source(error)
    })?;
    // It stays the user's choice, beside which that of jj does not count.
    *dir = PathBuf::from(".");
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
