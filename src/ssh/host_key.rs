//! Whether a host key is trusted: the decision, the question, the messages.

use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::config::{Config, Strict};
use super::known_hosts::{Entry, KnownHosts, Verdict};
use crate::error::{Error, Result};
use crate::ui;

/// Decides whether to go on with the host that shows this key; may ask on the terminal, and remember the key.
///
/// # Errors
/// When the key is revoked, has changed, or is not known and may not simply be taken.
pub fn check(known: &KnownHosts, config: &Config, key: &PublicKey) -> Result<()> {
    let shown = describe(key);
    match known.judge(key) {
        Verdict::Known => {
            ui::trace(&format!("ssh: host key {shown} is known"));
            Ok(())
        }
        Verdict::Revoked(entry) => Err(distrust(config, "its host key is revoked").hint(format!(
            "it shows {shown}, revoked in {}:{}",
            entry.file.display(),
            entry.line
        ))),
        Verdict::Changed(entry) if config.strict == Strict::No => {
            ui::warn(&format!(
                "the host key of '{}' is now {shown}, not the one in {}:{}",
                config.name,
                entry.file.display(),
                entry.line
            ));
            Ok(())
        }
        Verdict::Changed(entry) => Err(changed(known, config, &shown, entry)),
        Verdict::New => match config.strict {
            Strict::No | Strict::AcceptNew => {
                remember(known, config, key);
                Ok(())
            }
            Strict::Ask if !config.batch && ask(config, key)? => {
                remember(known, config, key);
                Ok(())
            }
            Strict::Ask | Strict::Yes => Err(unknown(known, config, key)),
        },
    }
}

fn changed(known: &KnownHosts, config: &Config, shown: &str, entry: &Entry) -> Error {
    let file = entry.file.display();
    distrust(config, "its host key has changed")
        .hint(format!("it shows {shown}"))
        .hint(format!("known in {file}:{} is {}", entry.line, describe(&entry.key)))
        .hint("either the guest was made anew, or somebody else answers in its place")
        .hint(format!(
            "if it was made anew, and its own console shows the new fingerprint: ssh-keygen -f {} -R {}",
            quoted(&file.to_string()),
            quoted(&known.name)
        ))
}

fn unknown(known: &KnownHosts, config: &Config, key: &PublicKey) -> Error {
    let error = distrust(config, "its host key is not known").hint(format!("it shows {}", describe(key)));
    let (Some(file), Ok(line)) = (config.known_hosts.first(), known.line(key)) else { return error };
    error.hint(format!(
        "compare that with the guest's own console, then: echo {} >>{}",
        quoted(&line),
        quoted(&file.display().to_string())
    ))
}

/// Writes a new key to the first known_hosts file, as ssh does; failing that, trust lasts for this run only.
fn remember(known: &KnownHosts, config: &Config, key: &PublicKey) {
    let Some(file) = config.known_hosts.first() else { return };
    let shown = describe(key);
    match known.write(key, file, config.hash_known_hosts) {
        Ok(()) => ui::status(&format!("host key of '{}' added to {}: {shown}", config.name, file.display())),
        Err(error) => ui::warn(&format!("cannot add the host key to '{}': {error}", file.display())),
    }
}

fn distrust(config: &Config, why: &str) -> Error {
    Error::unreachable(format!("cannot trust {}: {why}", config.shown()))
}

/// Asks on the terminal; false when there is none, or the answer is no.
fn ask(config: &Config, key: &PublicKey) -> Result<bool> {
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let mut prompt = format!(
        "the host key of {} is not known\nit shows {}\ntrust it from now on (yes, no, or the fingerprint)? ",
        config.shown(),
        describe(key)
    );
    loop {
        match ui::ask(&prompt, false)?.as_deref().map(str::trim) {
            Some("yes") => return Ok(true),
            Some(answer) if answer == fingerprint => return Ok(true),
            None | Some("no" | "") => return Ok(false),
            Some(_) => "please type yes, no or the fingerprint: ".clone_into(&mut prompt),
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

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
