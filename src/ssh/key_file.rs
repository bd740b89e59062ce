//! A private key in a file: its public half to offer, its passphrase to ask for, its signature.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use russh::SendError;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PublicKey, decode_secret_key, load_public_key};

use super::config::Config;
use crate::environment::env;
use crate::error::{Error, Kind, Result};
use crate::process::Call;
use crate::reporter::Question;

/// An IdentityFile.
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// Unknown where the file is encrypted as a whole, and there is no `.pub` beside it.
    pub public: Option<PublicKey>,
    secret: Secret,
}

enum Secret {
    /// There is only a public half; the agent may hold the other.
    Absent,
    Locked(String),
    Open(Box<PrivateKey>),
}

/// Why there is no signature.
pub enum Unsigned {
    /// This key cannot be used; another may.
    Skip(String),
    /// Nothing else is to be tried.
    Stop(Error),
    /// The connection is gone.
    Lost,
}

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Unsigned::Lost
    }
}

impl KeyFile {
    /// Reads a file; `None` when there is none, nor a public half beside it.
    ///
    /// # Errors
    /// When it cannot be used, why.
    pub fn read(path: &Path) -> Result<Option<KeyFile>, String> {
        let beside = || {
            let mut name = path.as_os_str().to_owned();
            name.push(".pub");
            load_public_key(PathBuf::from(name)).ok()
        };
        let absent = |public| Some(KeyFile { path: path.to_owned(), public: Some(public), secret: Secret::Absent });
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(beside().and_then(absent)),
            Err(error) => return Err(error.to_string()),
        };
        let text = String::from_utf8(text).map_err(|_| "it is not a private key".to_owned())?;
        if let Ok(public) = PublicKey::from_openssh(text.trim()) {
            return Ok(absent(public));
        }
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if metadata.uid() == rustix::process::getuid().as_raw() && metadata.mode() & 0o077 != 0 {
            return Err(format!("others can read it: chmod 600 '{}'", path.display()));
        }
        let (public, secret) = match (PrivateKey::from_openssh(&text), decode_secret_key(&text, None)) {
            (Ok(key), _) if key.is_encrypted() => (Some(key.public_key().clone()), Secret::Locked(text)),
            (_, Ok(key)) => (Some(key.public_key().clone()), Secret::Open(Box::new(key))),
            (_, Err(_)) if text.contains("ENCRYPTED") => (beside(), Secret::Locked(text)),
            (_, Err(error)) => return Err(error.to_string()),
        };
        Ok(Some(KeyFile { path: path.to_owned(), public, secret }))
    }

    /// Tells whether the private half is here, not in an agent alone.
    pub fn has_secret(&self) -> bool {
        !matches!(self.secret, Secret::Absent)
    }

    /// Returns the private key; asks for the passphrase when it needs one.
    ///
    /// # Errors
    /// When there is none to ask for, or it is wrong.
    pub fn unlock(&mut self, config: &Config) -> Result<&PrivateKey, Unsigned> {
        if let Secret::Locked(text) = &self.secret {
            let mut again = false;
            let mut left = config.prompts;
            let key = loop {
                if left == 0 {
                    return Err(Unsigned::Skip("wrong passphrase".to_owned()));
                }
                left -= 1;
                let file = self.path.display().to_string();
                let passphrase = passphrase(config, Question::Passphrase { file: &file, again })?;
                // As ssh does it: whoever gives none means another key.
                if passphrase.is_empty() {
                    return Err(Unsigned::Skip("no passphrase was given".to_owned()));
                }
                // Whatever a wrong one makes of the bytes, it is a wrong one: the errors differ by format.
                match decode_secret_key(text, Some(&passphrase)) {
                    Ok(key) => break key,
                    Err(_) => again = true,
                }
            };
            self.secret = Secret::Open(Box::new(key));
        }
        match &self.secret {
            Secret::Open(key) => Ok(key),
            _ => Err(Unsigned::Skip("there is no private half".to_owned())),
        }
    }

    /// Appends a signature to what is signed, as the protocol wants it (RFC 4252, section 7).
    ///
    /// # Errors
    /// As [`KeyFile::unlock`].
    pub fn sign(&mut self, config: &Config, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, Unsigned> {
        let failed = |error: &dyn std::fmt::Display| Unsigned::Skip(format!("it does not sign: {error}"));
        let signature = match self.unlock(config)?.key_data() {
            KeypairData::Rsa(key) => (key, hash).try_sign(&data),
            key => key.try_sign(&data),
        };
        signature.map_err(|error| failed(&error))?.encode_prefixed(&mut data).map_err(|error| failed(&error))?;
        Ok(data)
    }
}

/// Asks for a passphrase, as ssh does (ssh(1), SSH_ASKPASS).
fn passphrase(config: &Config, question: Question<'_>) -> Result<String, Unsigned> {
    let skip = |why: &str| Unsigned::Skip(format!("it needs a passphrase, {why}"));
    if config.batch {
        return Err(skip("and ssh_config sets BatchMode"));
    }
    let askpass = env("SSH_ASKPASS");
    let require = env("SSH_ASKPASS_REQUIRE").unwrap_or_default();
    let display = env("DISPLAY").or_else(|| env("WAYLAND_DISPLAY")).is_some();
    let first = require == "force" || (require == "prefer" && display);
    if !first && let Some(typed) = config.reporter.ask(question).map_err(Unsigned::Stop)? {
        return Ok(typed);
    }
    match askpass {
        Some(program) if first || (display && require != "never") => {
            let call = Call::new("sh", &config.reporter).args(["-c", "exec \"$0\" \"$1\""]);
            let answer = call.arg(program).arg(config.reporter.prompt(question)).stdout();
            let answer = answer.map_err(|error| match error.kind() {
                Kind::Interrupted => Unsigned::Stop(error),
                _ => Unsigned::Skip(error.to_string()),
            })?;
            let answer = String::from_utf8(answer).map_err(|_| skip("and SSH_ASKPASS gave none"))?;
            Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
        }
        _ => Err(skip("and there is no terminal to ask on: use an agent (ssh-add), or SSH_ASKPASS")),
    }
}
