//! How a user names a guest.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::text;

/// Mean something to a shell, or in ssh_config's own expansions; ssh refuses most of them too.
const FORBIDDEN: &str = "'`\"$\\;&<>|(){}";

/// Where SSH finds a guest, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The user, where one was named.
    pub user: Option<String>,
    /// The host, or a name for ssh_config; IPv6 without its brackets.
    pub host: String,
    /// The port, where one was named.
    pub port: Option<u16>,
    /// Read in place of ~/.ssh/config.
    pub ssh_config: Option<PathBuf>,
}

impl Destination {
    /// Parses `ssh://[user@]host[:port][/path]` or `[user@]host[:port]`; returns the path too.
    ///
    /// A path is absolute, but `/~/x` means `x` in the home folder, as git reads it.
    ///
    /// # Errors
    /// When it has another form, or ssh could take the user or the host for an option.
    pub fn parse_url(url: &str) -> Result<(Destination, Option<String>)> {
        let shown = text::path(url.as_bytes());
        let wrong = |why: &str| {
            Error::usage(format!("cannot use {shown} as an SSH destination: {why}"))
                .detail("write [user@]host[:port], or ssh://[user@]host[:port][/path]")
        };
        let (authority, path) = match url.strip_prefix("ssh://") {
            Some(rest) => match rest.find('/') {
                Some(slash) => (&rest[..slash], &rest[slash..]),
                None => (rest, ""),
            },
            None if url.contains('/') => return Err(wrong("a path needs the form ssh://")),
            None => (url, ""),
        };
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(|| wrong("bad brackets"))?)),
            None => match host.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(wrong("an IPv6 address needs brackets")),
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            },
        };
        for (what, name) in [("host", Some(host)), ("user", user)] {
            let Some(name) = name else { continue };
            let forbidden = |c: char| c.is_control() || c.is_whitespace() || FORBIDDEN.contains(c);
            if name.is_empty() || name.starts_with('-') || name.contains(forbidden) {
                return Err(wrong(&format!("bad {what} name")));
            }
        }
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(0) | Err(_)) => return Err(wrong("what follows the colon is no port")),
            Some(Ok(port)) => Some(port),
        };
        let path = decode(path).filter(|path| !path.contains(char::is_control)).ok_or_else(|| wrong("bad path"))?;
        let path = match path.as_str() {
            "" | "/" => None,
            path if path.starts_with("/~") => Some(path[1..].to_owned()),
            path => Some(path.to_owned()),
        };
        Ok((Destination { user: user.map(str::to_owned), host: host.to_owned(), port, ssh_config: None }, path))
    }
}

/// Returns a URL's path with each `%XX` as the byte it stands for.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (Option<String>, String, Option<u16>, Option<String>);

    fn parsed(url: &str) -> Option<Parts> {
        let (to, path) = Destination::parse_url(url).ok()?;
        Some((to.user, to.host, to.port, path))
    }

    #[test]
    fn a_destination_is_read_as_git_reads_it() {
        let of = |user: Option<&str>, host: &str, port, path: Option<&str>| {
            Some((user.map(str::to_owned), host.to_owned(), port, path.map(str::to_owned)))
        };
        assert_eq!(parsed("dev"), of(None, "dev", None, None));
        assert_eq!(parsed("me@dev:2222"), of(Some("me"), "dev", Some(2222), None));
        assert_eq!(parsed("[::1]:22"), of(None, "::1", Some(22), None));
        assert_eq!(parsed("me@[fe80::1%eth0]"), of(Some("me"), "fe80::1%eth0", None, None));
        assert_eq!(parsed("ssh://me@dev:22/srv/a%20b"), of(Some("me"), "dev", Some(22), Some("/srv/a b")));
        assert_eq!(parsed("ssh://dev/~/work"), of(None, "dev", None, Some("~/work")));
        assert_eq!(parsed("ssh://[::1]/"), of(None, "::1", None, None));
    }

    #[test]
    fn a_destination_that_ssh_could_misread_is_refused() {
        let bad = [
            "",
            "-oProxyCommand=x",
            "me@-x",
            "-l@x",
            "@x",
            "a b",
            "a\tb",
            "a\u{1}",
            "x:0",
            "x:99999",
            "x:",
            "x:path",
            "::1",
            "[::1",
            "[::1]x",
            "x/y",
            "$(x)",
            "a;b",
            "http://x/",
            "ssh://",
            "ssh:///x",
            "ssh://x/%0a",
            "ssh://x/%zz",
        ];
        for url in bad {
            assert_eq!(parsed(url), None, "{url}");
        }
    }
}
