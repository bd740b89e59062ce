//! A destination, resolved as the user's own `ssh` would.
//!
//! `ssh -G` does the reading of ssh_config: no crate does `Match` right. What ssh would obey and this program does not
//! is refused or warned about here, never ignored in silence.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::destination::Destination;
use crate::environment::env;
use crate::error::{Error, Result};
use crate::process::{self, Call};
use crate::reporter::{Notice, Reporter};
use crate::text::{self, shell_word};

/// For connection and authentication together, without the time a user takes to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where ssh_config asks for no keepalives; without any, a guest that is gone is waited for in vain.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How ssh_config wants a host to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Directly.
    None,
    /// ProxyJump: the last of the hosts, and those before it, which it is reached through.
    Jump {
        /// `[user@]host[:port]`
        last: String,
        /// A list of the same, separated by commas.
        before: Option<String>,
    },
    /// ProxyCommand, expanded.
    Command(String),
}

/// What to do about a host key that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strict {
    /// Refuse.
    Yes,
    /// Ask on a terminal, else refuse.
    Ask,
    /// Take it and remember it; refuse one that has changed.
    AcceptNew,
    /// Take any, with a warning for one that has changed.
    No,
}

/// Which addresses of a host are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// What ssh_config says about a destination.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host as the user named it; for messages.
    pub name: String,
    /// `guest` or `jump host`; for messages.
    role: &'static str,
    /// The host as the user named it, in arguments for a program of OpenSSH's.
    pub destination: Vec<String>,
    /// What happens on the way is reported to it.
    pub reporter: Arc<dyn Reporter>,
    /// Read in place of ~/.ssh/config.
    ssh_config: Option<PathBuf>,
    /// ProxyJump or ProxyCommand
    pub proxy: Proxy,
    /// HostName
    pub host: String,
    /// Port
    pub port: u16,
    /// User
    pub user: String,
    /// AddressFamily
    pub family: Family,
    /// BindAddress
    pub bind_address: Option<String>,
    /// ConnectTimeout
    pub connect_timeout: Duration,
    /// ServerAliveInterval
    pub alive_interval: Duration,
    /// ServerAliveCountMax
    pub alive_count: u32,
    /// Compression
    pub compression: bool,
    /// RekeyLimit: bytes and time, where one is set.
    pub rekey: (Option<usize>, Option<Duration>),
    /// BatchMode: nothing may be asked.
    pub batch: bool,
    /// Ciphers
    pub ciphers: Vec<String>,
    /// KexAlgorithms
    pub kex: Vec<String>,
    /// MACs
    pub macs: Vec<String>,
    /// HostKeyAlgorithms
    pub host_key_algorithms: Vec<String>,
    /// PubkeyAcceptedAlgorithms
    pub user_key_algorithms: Vec<String>,
    /// HostKeyAlias
    pub alias: Option<String>,
    /// StrictHostKeyChecking
    pub strict: Strict,
    /// HashKnownHosts
    pub hash_known_hosts: bool,
    /// UserKnownHostsFile; the first is where a new key goes.
    pub known_hosts: Vec<PathBuf>,
    /// GlobalKnownHostsFile
    pub global_known_hosts: Vec<PathBuf>,
    /// RevokedHostKeys
    pub revoked_host_keys: Option<PathBuf>,
    /// IdentityFile
    pub identities: Vec<PathBuf>,
    /// IdentitiesOnly
    pub identities_only: bool,
    /// The agent's socket: IdentityAgent, else SSH_AUTH_SOCK.
    pub agent: Option<PathBuf>,
    /// PubkeyAuthentication
    pub pubkey: bool,
    /// NumberOfPasswordPrompts
    pub prompts: u32,
}

impl Config {
    /// Asks `ssh -G` what holds for the destination.
    ///
    /// # Errors
    /// When there is no `ssh`, its configuration is wrong, or asks for what this program cannot do.
    pub fn resolve(to: &Destination, reporter: &Arc<dyn Reporter>) -> Result<Config> {
        Config::ask_ssh(to, "guest", None, reporter)
    }

    /// Asks the same for the host that this one is reached through; `None` where there is none.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn jump(&self) -> Result<Option<Config>> {
        let Proxy::Jump { last, before } = &self.proxy else { return Ok(None) };
        let (mut to, _) = Destination::parse_url(last)?;
        to.ssh_config.clone_from(&self.ssh_config);
        Config::ask_ssh(&to, "jump host", before.as_deref(), &self.reporter).map(Some)
    }

    /// With `jump`, the host is reached through these, whatever is configured for it.
    fn ask_ssh(
        to: &Destination,
        role: &'static str,
        jump: Option<&str>,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Config> {
        if process::find("ssh").is_err() {
            return Err(Error::failed(format!("cannot look up '{}': 'ssh' is not on PATH", to.host))
                .detail("the OpenSSH client is needed on this machine: it reads ssh_config"));
        }
        // ssh takes '~' from the password file, whatever HOME says; ControlPath is the option that shows what it took.
        let mut call = Call::new("ssh", reporter).args(["-G", "-T", "-o", "ControlPath=~/"]);
        if let Some(file) = &to.ssh_config {
            call = call.arg("-F").arg(file);
        }
        if let Some(port) = to.port {
            call = call.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &to.user {
            call = call.arg("-l").arg(user);
        }
        if let Some(jump) = jump {
            call = call.arg("-J").arg(jump);
        }
        let mut output = call.arg("--").arg(&to.host).run()?;
        if output.code != Some(0) {
            // ssh writes for a terminal in raw mode.
            output.stderr.retain(|&byte| byte != b'\r');
            return Err(Error::unreachable(format!("cannot look up '{}'", to.host)).caused_by(output.failure("ssh -G")));
        }
        let options = Options::parse(&String::from_utf8_lossy(&output.stdout));
        options.refuse_unsupported(&to.host, reporter)?;
        let config = Config::new(&to.host, &options, reporter)?;
        Ok(Config { role, destination: arguments(to), ssh_config: to.ssh_config.clone(), ..config })
    }

    fn new(name: &str, options: &Options, reporter: &Arc<dyn Reporter>) -> Result<Config> {
        let host = options.word("hostname").trim_matches(['[', ']']).to_lowercase();
        let home = options.word("controlpath").trim_end_matches('/').to_owned();
        let tokens = Tokens { name, host: &host, options, home: &home };
        let mut identities = Vec::new();
        for file in options.all("identityfile").filter(|file| *file != "none") {
            let file = PathBuf::from(tokens.expand(file)?);
            if !identities.contains(&file) {
                identities.push(file);
            }
        }
        let agent = match options.one("identityagent") {
            Some("none") => None,
            None | Some("SSH_AUTH_SOCK") => env("SSH_AUTH_SOCK").map(PathBuf::from),
            Some(socket) => match socket.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(variable) => env(variable).map(PathBuf::from),
                None => Some(PathBuf::from(tokens.expand(socket)?)),
            },
        };
        let revoked = options.set("revokedhostkeys").map(|file| tokens.expand(file)).transpose()?;
        let seconds = |key| options.number(key).filter(|&seconds| seconds > 0).map(Duration::from_secs);
        let mut rekey = options.word("rekeylimit").split(' ').map(|limit| limit.parse().unwrap_or(0));
        let mut limit = || rekey.next().filter(|&limit: &u64| limit > 0);
        Ok(Config {
            port: options.number("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(22),
            user: options.word("user").to_owned(),
            family: match options.word("addressfamily") {
                "inet" => Family::V4,
                "inet6" => Family::V6,
                _ => Family::Any,
            },
            bind_address: options.set("bindaddress").map(str::to_owned),
            connect_timeout: seconds("connecttimeout").unwrap_or(CONNECT_TIMEOUT),
            alive_interval: seconds("serveraliveinterval").unwrap_or(ALIVE_INTERVAL),
            alive_count: options.number("serveralivecountmax").and_then(|count| u32::try_from(count).ok()).unwrap_or(3),
            compression: options.flag("compression"),
            rekey: (limit().and_then(|bytes| usize::try_from(bytes).ok()), limit().map(Duration::from_secs)),
            batch: options.flag("batchmode"),
            ciphers: options.list("ciphers"),
            kex: options.list("kexalgorithms"),
            macs: options.list("macs"),
            host_key_algorithms: options.list("hostkeyalgorithms"),
            user_key_algorithms: options.list("pubkeyacceptedalgorithms"),
            alias: options.set("hostkeyalias").map(str::to_owned),
            strict: match options.word("stricthostkeychecking") {
                "true" | "yes" => Strict::Yes,
                "accept-new" => Strict::AcceptNew,
                "false" | "no" | "off" => Strict::No,
                _ => Strict::Ask,
            },
            hash_known_hosts: options.flag("hashknownhosts"),
            known_hosts: files(options.word("userknownhostsfile")),
            global_known_hosts: files(options.word("globalknownhostsfile")),
            revoked_host_keys: revoked.map(PathBuf::from),
            identities,
            identities_only: options.flag("identitiesonly"),
            agent,
            pubkey: options.word("pubkeyauthentication") != "false",
            prompts: options.number("numberofpasswordprompts").and_then(|count| u32::try_from(count).ok()).unwrap_or(3),
            proxy: match (options.set("proxyjump"), options.set("proxycommand")) {
                (Some(hosts), _) => match hosts.rsplit_once(',') {
                    Some((before, last)) => Proxy::Jump { last: last.to_owned(), before: Some(before.to_owned()) },
                    None => Proxy::Jump { last: hosts.to_owned(), before: None },
                },
                (None, Some(command)) => Proxy::Command(tokens.expand(command)?),
                (None, None) => Proxy::None,
            },
            name: name.to_owned(),
            role: "guest",
            destination: Vec::new(),
            reporter: Arc::clone(reporter),
            ssh_config: None,
            host,
        })
    }

    /// Returns the host for a message: what it is, as the user named it, and where that is.
    pub fn shown(&self) -> String {
        format!("{} '{}' ({} port {})", self.role, self.name, self.host, self.port)
    }
}

/// Returns the arguments that name a host to a program of OpenSSH's as the user named it.
fn arguments(to: &Destination) -> Vec<String> {
    let file = to.ssh_config.iter().flat_map(|file| ["-F".to_owned(), shell_word(file)]);
    let port = to.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
    let host = to.user.as_ref().map_or(to.host.clone(), |user| format!("{user}@{}", to.host));
    file.chain(port).chain([shell_word(host)]).collect()
}

/// The answer of `ssh -G`: keys in lower case, in order.
struct Options(Vec<(String, String)>);

impl Options {
    fn parse(text: &str) -> Options {
        let pairs = text.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        Options(pairs.map(|(key, value)| (key.to_lowercase(), value.to_owned())).collect())
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn one<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// Returns the value, unless it says that there is none.
    fn set<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.one(key).filter(|value| !matches!(*value, "" | "none"))
    }

    fn word<'a>(&'a self, key: &'a str) -> &'a str {
        self.one(key).unwrap_or_default()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.word(key).parse().ok()
    }

    fn flag(&self, key: &str) -> bool {
        matches!(self.word(key), "yes" | "true")
    }

    fn list(&self, key: &str) -> Vec<String> {
        self.word(key).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Refuses what would lead elsewhere when ignored, and warns of what would only fail to help.
    fn refuse_unsupported(&self, name: &str, reporter: &Arc<dyn Reporter>) -> Result<()> {
        if self.flag("proxyusefdpass") {
            return Err(Error::unreachable(format!(
                "cannot reach '{name}': ssh_config sets ProxyUseFdpass for it, which is not supported"
            ))
            .detail("use a ProxyCommand that passes data on, such as 'nc %h %p'"));
        }
        for option in ["KnownHostsCommand", "CertificateFile", "PKCS11Provider"] {
            if self.set(&option.to_lowercase()).is_some() {
                reporter.notice(Notice::OptionIgnored { option, host: name.to_owned() });
            }
        }
        Ok(())
    }
}

/// Splits a list of files, which ssh prints without quotes: a name with blanks is one where it exists, or where what
/// follows the blank cannot start a name, as ssh has made most of them absolute.
fn files(list: &str) -> Vec<PathBuf> {
    // What is said to be kept nowhere needs neither a look nor a message.
    let nowhere = ["", "none", "/dev/null"];
    let words: Vec<&str> = list.split(' ').filter(|word| !nowhere.contains(word)).collect();
    let mut files = Vec::new();
    let mut start = 0;
    while start < words.len() {
        let longest = (start + 1..=words.len()).rev().find(|&end| Path::new(&words[start..end].join(" ")).exists());
        let starts = |word: &&str| word.starts_with('/') || !words[start].starts_with('/');
        let next = words[start + 1..].iter().position(starts).map_or(words.len(), |at| start + 1 + at);
        let end = longest.unwrap_or(next);
        files.push(PathBuf::from(words[start..end].join(" ")));
        start = end;
    }
    files
}

/// What `%x`, `~` and `${VAR}` stand for in the options that `ssh -G` leaves as they are (ssh_config(5), TOKENS).
struct Tokens<'a> {
    name: &'a str,
    host: &'a str,
    home: &'a str,
    options: &'a Options,
}

impl Tokens<'_> {
    fn expand(&self, text: &str) -> Result<String> {
        let wrong = |what: &str| {
            Error::unreachable(format!(
                "cannot expand '{what}' in {}, which ssh_config sets for '{}'",
                text::path(text.as_bytes()),
                self.name
            ))
        };
        let mut out = String::new();
        let mut rest = text;
        if let Some(below) = text.strip_prefix("~/") {
            out.push_str(self.home);
            out.push('/');
            rest = below;
        }
        while let Some(at) = rest.find(['%', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(variable) = rest.strip_prefix("${") {
                let (variable, after) = variable.split_once('}').ok_or_else(|| wrong(rest))?;
                let value = env(variable).and_then(|value| value.into_string().ok());
                out.push_str(&value.ok_or_else(|| wrong(&format!("${{{variable}}}")))?);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('%') {
                let token = after.chars().next().ok_or_else(|| wrong("%"))?;
                out.push_str(&self.token(token).ok_or_else(|| wrong(&format!("%{token}")))?);
                rest = &after[token.len_utf8()..];
            } else {
                out.push('$');
                rest = &rest[1..];
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn token(&self, token: char) -> Option<String> {
        Some(match token {
            '%' => "%".to_owned(),
            'd' => self.home.to_owned(),
            'h' => self.host.to_owned(),
            'i' => rustix::process::getuid().as_raw().to_string(),
            'k' => self.options.set("hostkeyalias").unwrap_or(self.name).to_owned(),
            'n' => self.name.to_owned(),
            'p' => self.options.word("port").to_owned(),
            'r' => self.options.word("user").to_owned(),
            'u' => env("USER")?.into_string().ok()?,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_with_blanks_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let known = folder.path().join("known /hosts");
        std::fs::create_dir(known.parent().unwrap()).unwrap();
        std::fs::write(&known, "").unwrap();
        let list = format!("/no/such {} /none  /a b c /d e", known.display());
        let expected = ["/no/such", known.to_str().unwrap(), "/none", "/a b c", "/d e"];
        assert_eq!(files(&list), expected.map(Path::new));
        assert_eq!(files("a b /c d"), ["a", "b", "/c d"].map(Path::new));
        assert_eq!(files("none /dev/null"), Vec::<PathBuf>::new());
    }

    #[test]
    fn tokens_stand_for_what_ssh_config_says() {
        let options = Options::parse("user me\nport 2222\nhostkeyalias none\n");
        let tokens = Tokens { name: "dev", host: "dev.example", home: "/home/me", options: &options };
        assert_eq!(
            tokens.expand("~/.ssh/%n-%h-%p-%r-%d-%k%%").unwrap(),
            "/home/me/.ssh/dev-dev.example-2222-me-/home/me-dev%"
        );
        assert_eq!(tokens.expand("a$b~").unwrap(), "a$b~");
        assert!(tokens.expand("%z").is_err());
        assert!(tokens.expand("${NO_SUCH_VARIABLE_HERE}").is_err());
    }
}
