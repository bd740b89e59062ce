//! known_hosts as ssh reads it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! A key is revoked, known, changed or new, in this order. A host that is known with any other key counts as changed,
//! also where ssh would take a key of another type as new. `@cert-authority` lines are skipped: no certificate is asked
//! for, so none is shown.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

use super::config::Config;
use crate::error::{Error, Result};
use crate::reporter::Notice;

/// What the known_hosts files say about one host.
pub struct KnownHosts {
    /// The host as known_hosts names it: alias, `host` or `[host]:port`.
    pub name: String,
    entries: Vec<Entry>,
    revoked: Vec<Entry>,
}

/// A key on a line that matches the host.
pub struct Entry {
    /// The file.
    pub file: PathBuf,
    /// The number of the line.
    pub line: usize,
    /// The key.
    pub key: PublicKey,
    /// Matches the name with its port; one for the host alone may vouch for a key, but not against one.
    exact: bool,
}

/// What known_hosts says of a key.
pub enum Verdict<'a> {
    /// It is the host's.
    Known,
    /// It must not be trusted, whatever else there is.
    Revoked(&'a Entry),
    /// The host has another.
    Changed(&'a Entry),
    /// Nothing is known of the host.
    New,
}

impl KnownHosts {
    /// Reads what is known about the host.
    ///
    /// # Errors
    /// When RevokedHostKeys cannot be read: then nothing can be trusted. Other files may be missing.
    pub fn read(config: &Config) -> Result<KnownHosts> {
        let host = config.host.to_lowercase();
        let (name, fallback) = match &config.alias {
            Some(alias) => (alias.clone(), None),
            None if config.port == 22 => (host, None),
            None => (format!("[{host}]:{}", config.port), Some(host)),
        };
        let mut known = KnownHosts { name, entries: Vec::new(), revoked: Vec::new() };
        for file in config.known_hosts.iter().chain(&config.global_known_hosts) {
            match fs::read(file) {
                Ok(text) => known.add(file, &String::from_utf8_lossy(&text), fallback.as_deref()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let (file, why) = (file.clone(), error.to_string());
                    config.reporter.notice(Notice::KnownHostsUnreadable { file, why });
                }
            }
        }
        if let Some(file) = &config.revoked_host_keys {
            known.add_revoked(file)?;
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &str, fallback: Option<&str>) {
        for (number, line) in text.lines().enumerate() {
            let mut fields = line.split_ascii_whitespace().peekable();
            let marker = fields.next_if(|field| field.starts_with('@'));
            let (Some(hosts), Some(kind), Some(key)) = (fields.next(), fields.next(), fields.next()) else { continue };
            let exact = matches(hosts, &self.name);
            if hosts.starts_with('#') || !(exact || fallback.is_some_and(|host| matches(hosts, host))) {
                continue;
            }
            // A line that cannot be read is no line, as for ssh: a newer ssh may have written it.
            let Ok(key) = PublicKey::from_openssh(&format!("{kind} {key}")) else { continue };
            let entry = Entry { file: file.to_owned(), line: number + 1, key, exact };
            match marker {
                None => self.entries.push(entry),
                Some("@revoked") => self.revoked.push(entry),
                Some(_) => {}
            }
        }
    }

    fn add_revoked(&mut self, file: &Path) -> Result<()> {
        let unusable = || Error::unreachable(format!("cannot use the RevokedHostKeys file '{}'", file.display()));
        let text = fs::read(file).map_err(|error| unusable().source(error))?;
        if text.starts_with(b"SSHKRL\n\0") {
            return Err(unusable().source("binary revocation lists are not supported; list the keys as text"));
        }
        for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = PublicKey::from_openssh(line)
                .map_err(|error| unusable().source(format!("line {}: {error}", number + 1)))?;
            self.revoked.push(Entry { file: file.to_owned(), line: number + 1, key, exact: true });
        }
        Ok(())
    }

    /// Tells whether a key of this algorithm is known, so that the guest is asked to show that one.
    pub fn knows(&self, algorithm: &Algorithm) -> bool {
        self.entries.iter().any(|entry| same_kind(&entry.key.algorithm(), algorithm))
    }

    /// Tells what is known of a key.
    pub fn judge(&self, key: &PublicKey) -> Verdict<'_> {
        let is = |entry: &&Entry| entry.key.key_data() == key.key_data();
        if let Some(entry) = self.revoked.iter().find(is) {
            return Verdict::Revoked(entry);
        }
        if self.entries.iter().any(|entry| is(&entry)) {
            return Verdict::Known;
        }
        let mut others = self.entries.iter().filter(|entry| entry.exact);
        let same = others.clone().find(|entry| same_kind(&entry.key.algorithm(), &key.algorithm()));
        match same.or_else(|| others.next()) {
            Some(entry) => Verdict::Changed(entry),
            None => Verdict::New,
        }
    }

    /// Returns the line that makes a key known.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn line(&self, key: &PublicKey) -> io::Result<String> {
        Ok(format!(
            "{} {}",
            self.name,
            PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(io::Error::other)?
        ))
    }

    /// Writes a new key to a file, as ssh does; `hash` hides the name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, key: &PublicKey, file: &Path, hash: bool) -> io::Result<()> {
        let line = self.line(key)?;
        match line.strip_prefix(&self.name) {
            Some(rest) if hash => append(file, &format!("{}{rest}\n", hashed(&self.name)?)),
            _ => append(file, &format!("{line}\n")),
        }
    }
}

/// RSA keys are one kind, whichever hash signs.
fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    a == b || matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// Tells whether a field of host names, hashed or patterns, matches the name.
fn matches(field: &str, name: &str) -> bool {
    if field.starts_with('|') {
        return match field.parse() {
            Ok(HostPatterns::HashedName { salt, hash }) => Hmac::<Sha1>::new_from_slice(&salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(&hash).is_ok()),
            _ => false,
        };
    }
    let mut found = false;
    for pattern in field.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        if glob(pattern.to_lowercase().as_bytes(), name.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Matches `*` and `?`; nothing else is special, brackets neither.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => glob(rest, name) || name.split_first().is_some_and(|(_, name)| glob(pattern, name)),
        (Some((b'?', rest)), Some((_, name))) => glob(rest, name),
        (Some((a, rest)), Some((b, name))) => a == b && glob(rest, name),
        _ => false,
    }
}

/// Returns a name as HashKnownHosts writes it: HMAC-SHA1 with a random salt.
fn hashed(name: &str) -> io::Result<String> {
    let mut salt = [0; 20];
    File::open("/dev/urandom")?.read_exact(&mut salt)?;
    let mac = Hmac::<Sha1>::new_from_slice(&salt).map_err(io::Error::other)?.chain_update(name.as_bytes());
    Ok(HostPatterns::HashedName { salt: salt.to_vec(), hash: mac.finalize().into_bytes().into() }.to_string())
}

/// Appends a line to a known_hosts file, which is made with its folder where there is none.
fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(file)?;
    file.lock()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let gap = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
    file.write_all(format!("{gap}{line}").as_bytes())
}

#[cfg(test)]
mod tests {
    use russh::keys::HashAlg;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKg90G9+Hnxt2W0oxYv2afKWaw4GT6ALRK4wXAym6lwD";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn known(name: &str, fallback: Option<&str>, text: &str) -> KnownHosts {
        let mut known = KnownHosts { name: name.to_owned(), entries: Vec::new(), revoked: Vec::new() };
        known.add(Path::new("known_hosts"), text, fallback);
        known
    }

    fn verdict(name: &str, fallback: Option<&str>, text: &str) -> String {
        match known(name, fallback, text).judge(&PublicKey::from_openssh(KEY).unwrap()) {
            Verdict::Known => "known".to_owned(),
            Verdict::Revoked(entry) => format!("revoked {}", entry.line),
            Verdict::Changed(entry) => format!("changed {}", entry.line),
            Verdict::New => "new".to_owned(),
        }
    }

    #[test]
    fn lines_are_read_as_ssh_reads_them() {
        let of = |text: &str| verdict("dev.example", None, text);
        assert_eq!(of(""), "new");
        assert_eq!(of(&format!("# comment\n\n  \tdev.example \t{KEY} a # comment\r\n")), "known");
        assert_eq!(of(&format!("garbage\ndev.example ssh-new AAAA\ndev.example {OTHER}\ndev.example {KEY}")), "known");
        assert_eq!(of(&format!("\n#\ndev.example {OTHER}\n")), "changed 3");
        assert_eq!(of(&format!("#dev.example {OTHER}\n")), "new");
        assert_eq!(of(&format!("@cert-authority *.example {OTHER}\n@unheard-of * {KEY}\n")), "new");
        assert_eq!(of(&format!("dev.example {KEY}\n@revoked * {KEY}\n")), "revoked 2");
        assert_eq!(of(&format!("@revoked other {KEY}\ndev.example {KEY}\n")), "known");
        assert_eq!(of(&format!("@revoked dev.example {OTHER}\n")), "new");
    }

    #[test]
    fn a_line_without_the_port_may_vouch_for_a_key_but_not_against_it() {
        let of = |text: &str| verdict("[dev.example]:2222", Some("dev.example"), text);
        assert_eq!(of(&format!("dev.example {KEY}\n")), "known");
        assert_eq!(of(&format!("dev.example {OTHER}\n")), "new");
        assert_eq!(of(&format!("[dev.example]:2222 {OTHER}\n")), "changed 1");
        assert_eq!(of(&format!("[dev.example]:2223 {KEY}\n")), "new");
        assert_eq!(of(&format!("[*.example]:* {KEY}\n")), "known");
        assert_eq!(of(&format!("@revoked dev.example {KEY}\n")), "revoked 1");
    }

    #[test]
    fn names_match_as_ssh_keygen_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let names = ["dev.example", "[dev.example]:2222", "dev", "10.0.0.7", "::1", "a", "ab"];
        let mut fields: Vec<String> = [
            "dev.example",
            "DEV.Example",
            "*.example",
            "dev.*",
            "*",
            "?ev.example",
            "d?",
            "*,!dev.example",
            "!dev.example,*",
            "!dev*",
            "x,dev,y",
            "dev.example,",
            ",dev",
            "[dev.example]:2222",
            "[*]:2222",
            "[dev.example]:*",
            "10.0.0.?",
            "10.*.7",
            "::1",
            "a*b*",
            "**b",
            "a?",
            "?",
            "|1|",
            "|1|a|b",
            "|1|AAAA|AAAA",
            "a|b",
            "!",
            "*!",
            "\\*",
        ]
        .map(str::to_owned)
        .to_vec();
        fields.extend(names.iter().map(|name| hashed(name).unwrap()));
        for field in fields {
            fs::write(&file, format!("{field} {KEY}\n")).unwrap();
            for name in names {
                #[expect(clippy::disallowed_methods, reason = "the reference to compare with")]
                let keygen = std::process::Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(&file).output();
                let found = keygen.unwrap().status.success();
                assert_eq!(matches(&field, name), found, "{name} in {field}");
            }
        }
    }

    #[test]
    fn a_key_of_a_known_kind_is_asked_for() {
        let known = known("dev", None, &format!("dev {KEY}\n"));
        assert!(known.knows(&Algorithm::Ed25519));
        assert!(!known.knows(&Algorithm::Rsa { hash: Some(HashAlg::Sha512) }));
        assert!(same_kind(&Algorithm::Rsa { hash: None }, &Algorithm::Rsa { hash: Some(HashAlg::Sha512) }));
    }

    #[test]
    fn a_key_is_appended_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/known_hosts");
        append(&file, "a b c\n").unwrap();
        append(&file, "d e f").unwrap();
        append(&file, "g h i\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a b c\nd e f\ng h i\n");
        let mode = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
        assert_eq!((mode(&file) & 0o777, mode(file.parent().unwrap()) & 0o777), (0o600, 0o700));
    }

    #[test]
    fn revoked_keys_are_read_or_nothing_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("revoked");
        let read = |text: &[u8]| {
            fs::write(&file, text).unwrap();
            let mut known = known("dev", None, &format!("dev {KEY}\n"));
            known.add_revoked(&file).map(|()| known)
        };
        let key = PublicKey::from_openssh(KEY).unwrap();
        assert!(matches!(read(format!("# old\n\n{KEY} me\n").as_bytes()).unwrap().judge(&key), Verdict::Revoked(_)));
        assert!(matches!(read(format!("{OTHER}\n").as_bytes()).unwrap().judge(&key), Verdict::Known));
        assert!(read(b"SSHKRL\n\0rest").is_err());
        assert!(read(b"nonsense\n").is_err());
        assert!(known("dev", None, "").add_revoked(Path::new("/no/such/file")).is_err());
    }
}
