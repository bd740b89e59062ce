//! Whether a host key is trusted: the decision, and the question.

use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::config::{Config, Strict};
use super::known_hosts::{Entry, KnownHosts, Verdict};
use super::refused::{Distrust, Refused, Untrusted};
use crate::error::Result;
use crate::reporter::{Notice, Question};

/// Decides whether to go on with the host that shows this key; may ask, and remember the key.
///
/// # Errors
/// When the key is revoked, has changed, or is not known and may not simply be taken.
pub fn check(known: &KnownHosts, config: &Config, key: &PublicKey) -> Result<(), Refused> {
    let (reporter, shown) = (&config.reporter, describe(key));
    match known.judge(key) {
        Verdict::Known => {
            reporter.trace(&format!("ssh: host key {shown} is known"));
            Ok(())
        }
        Verdict::Revoked(entry) => Err(distrust(config, shown, Distrust::Revoked(entry.file.clone(), entry.line))),
        Verdict::Changed(entry) if config.strict == Strict::No => {
            let (host, known) = (config.name.clone(), (entry.file.clone(), entry.line));
            reporter.notice(Notice::HostKeyChanged { host, key: shown, known });
            Ok(())
        }
        Verdict::Changed(entry) => Err(changed(known, config, shown, entry)),
        Verdict::New => match config.strict {
            Strict::No | Strict::AcceptNew => {
                remember(known, config, key);
                Ok(())
            }
            Strict::Ask if !config.batch && ask(config, key)? => {
                remember(known, config, key);
                Ok(())
            }
            Strict::Ask | Strict::Yes => {
                let line = config.known_hosts.first().cloned().zip(known.line(key).ok());
                Err(distrust(config, shown, Distrust::Unknown { add: line }))
            }
        },
    }
}

fn changed(known: &KnownHosts, config: &Config, shown: String, entry: &Entry) -> Refused {
    let (file, key) = ((entry.file.clone(), entry.line), describe(&entry.key));
    distrust(config, shown, Distrust::Changed { known: file, key, name: known.name.clone() })
}

fn distrust(config: &Config, shows: String, why: Distrust) -> Refused {
    Refused::Untrusted(Box::new(Untrusted { host: config.shown(), shows, why }))
}

/// Writes a new key to the first known_hosts file, as ssh does; failing that, trust lasts for this run only.
fn remember(known: &KnownHosts, config: &Config, key: &PublicKey) {
    let Some(file) = config.known_hosts.first().cloned() else { return };
    let (host, shown) = (config.name.clone(), describe(key));
    config.reporter.notice(match known.write(key, &file, config.hash_known_hosts) {
        Ok(()) => Notice::HostKeyAdded { host, file, key: shown },
        Err(error) => Notice::HostKeyNotAdded { file, why: error.to_string() },
    });
}

/// Asks; false when there is nobody to ask, or the answer is no.
fn ask(config: &Config, key: &PublicKey) -> Result<bool> {
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let (host, shown) = (config.shown(), describe(key));
    let mut question = Question::TrustHostKey { host: &host, key: &shown, again: false };
    loop {
        match config.reporter.ask(question)?.as_deref().map(str::trim) {
            Some("yes") => return Ok(true),
            Some(answer) if answer == fingerprint => return Ok(true),
            None | Some("no" | "") => return Ok(false),
            Some(_) => question = Question::TrustHostKey { host: &host, key: &shown, again: true },
        }
    }
}

/// Returns a key as `ED25519 SHA256:…`.
pub fn describe(key: &PublicKey) -> String {
    let kind = match key.algorithm() {
        Algorithm::Ed25519 => "ED25519",
        Algorithm::Ecdsa { .. } => "ECDSA",
        Algorithm::Rsa { .. } => "RSA",
        Algorithm::SkEd25519 => "ED25519-SK",
        Algorithm::SkEcdsaSha2NistP256 => "ECDSA-SK",
        _ => "other",
    };
    format!("{kind} {}", key.fingerprint(HashAlg::Sha256))
}
