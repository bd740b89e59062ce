//! What the SSH layer tells: a key to trust or not, a banner, why a connection ended.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use russh::Error as SshError;
use russh::client::{self, DisconnectReason};
use russh::keys::{PublicKey, PublicKeyOrCertificate};

use super::config::Config;
use super::host_key;
use super::known_hosts::KnownHosts;
use super::refused::Refused;
use crate::reporter::Notice;
use crate::text::{Keep, path, sanitise};

/// Of what the server says before the login, in bytes.
const BANNER: usize = 8 << 10;

/// Why a connection ended, told by whoever learns it first.
#[derive(Clone, Default)]
pub struct Lost(Arc<Mutex<Option<String>>>);

impl Lost {
    /// Returns the reason.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}

/// Why there is no session.
#[derive(Debug)]
pub enum Failure {
    /// A verdict of this program.
    Ours(Refused),
    /// The server hung up before it had said anything.
    Dropped(String),
    /// Anything else.
    Ssh(SshError),
}

impl From<SshError> for Failure {
    fn from(error: SshError) -> Self {
        Failure::Ssh(error)
    }
}

/// What russh calls back.
pub struct Client {
    config: Arc<Config>,
    known: Arc<KnownHosts>,
    lost: Lost,
    /// The key that was trusted: it comes again with each new key exchange.
    accepted: Option<PublicKey>,
    banner: usize,
    socket: Option<OwnedFd>,
}

impl Client {
    /// Makes one for a new connection; `socket` is its own, where it has one.
    pub fn new(config: Arc<Config>, known: Arc<KnownHosts>, lost: Lost, socket: Option<OwnedFd>) -> Client {
        Client { config, known, lost, accepted: None, banner: 0, socket }
    }
}

impl client::Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        if self.accepted.as_ref().is_none_or(|accepted| accepted.key_data() != key.key_data()) {
            host_key::check(&self.known, &self.config, key).map_err(Failure::Ours)?;
            self.accepted = Some(key.clone());
        }
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Failure> {
        let room = BANNER - self.banner;
        let shown = &banner.as_bytes()[..banner.len().min(room)];
        self.banner += shown.len();
        if !shown.is_empty() {
            let (host, text) = (self.config.name.clone(), shown.to_vec());
            self.config.reporter.notice(Notice::Banner { host, text });
        }
        Ok(())
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        _: Vec<PublicKey>,
        _: &mut client::Session,
    ) -> Result<(), Failure> {
        // sshd holds back what follows until this is acknowledged: 40 ms, unless at once.
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.socket.take() {
            let _ = rustix::net::sockopt::set_tcp_quickack(socket, true);
        }
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.lost.set(format!("the server says {}", path(info.message.trim().as_bytes())));
                Ok(())
            }
            DisconnectReason::Error(failure) => {
                self.lost.set(match &failure {
                    Failure::Ssh(error) => self::reason(error),
                    Failure::Dropped(why) => why.clone(),
                    Failure::Ours(refused) => refused.brief(),
                });
                Err(failure)
            }
        }
    }
}

/// Tells whether the other side ended the connection.
pub fn hung_up(error: &SshError) -> bool {
    match error {
        SshError::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
        ),
        SshError::Disconnect | SshError::HUP => true,
        _ => false,
    }
}

/// Returns an error of the SSH layer as a part of a message.
pub fn reason(error: &SshError) -> String {
    let text = match error {
        SshError::IO(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".into()
        }
        SshError::Disconnect | SshError::HUP | SshError::SendError => "the server closed the connection".into(),
        SshError::KeepaliveTimeout => "the server does not answer any more".into(),
        SshError::Version => "what answers there does not speak SSH".into(),
        SshError::NoCommonAlgo { kind, ours, theirs } => format!(
            "no common {kind:?} algorithm: ssh_config allows {}, the server offers {}",
            ours.join(","),
            theirs.join(",")
        ),
        SshError::IO(error) => error.to_string(),
        error => error.to_string(),
    };
    // What the operating system says ends with its number, and starts with a capital.
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let text = match letters.next() {
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().to_string() + letters.as_str()
        }
        _ => text.to_owned(),
    };
    sanitise(text.as_bytes(), Keep::Nothing)
}
