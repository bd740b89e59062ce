//! From a destination to an authenticated session, and the reason when it ends.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Disconnect, Error as SshError};
use tokio::time::{sleep, timeout};

use super::auth;
use super::config::Config;
use super::host_key::KnownHosts;
use super::proxy::{self, Helper};
use super::transport::{self, Socket};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::ui::{self, Keep};

/// How often an interrupt and the time that has passed are looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// Connections are tried so many times when a busy server drops them unheard (sshd_config(5), MaxStartups).
const ATTEMPTS: u32 = 4;
/// Of what the server says before the login, in bytes.
const BANNER: usize = 8 << 10;

/// An authenticated connection.
pub struct Session {
    handle: client::Handle<Client>,
    config: Arc<Config>,
    lost: Lost,
    /// What it runs over.
    jump: Option<Arc<Session>>,
    helper: Option<Helper>,
}

impl Session {
    /// Connects, checks the host key and logs in.
    ///
    /// # Errors
    /// When the guest is not reached, not trusted, or does not let us in.
    pub async fn open(config: Config) -> Result<Session> {
        Session::open_within(config, proxy::HOPS).await
    }

    async fn open_within(config: Config, hops: usize) -> Result<Session> {
        let jump = match config.jump()? {
            None => None,
            Some(_) if hops == 0 => return Err(unreached(&config, "there are too many jump hosts on the way")),
            Some(jump) => Some(Arc::new(Box::pin(Session::open_within(jump, hops - 1)).await?)),
        };
        let known = Arc::new(KnownHosts::read(&config)?);
        let settings = Arc::new(transport::settings(&config, &known)?);
        let plan = Plan { config: Arc::new(config), known, settings, jump, asking: Asking::default() };
        let config = &plan.config;
        ui::trace(&format!("ssh: {} as user '{}'", config.shown(), config.user));
        let mut attempt = 1;
        loop {
            match within(config.connect_timeout, &plan.asking, plan.attempt()).await? {
                Some(Err(Failure::Dropped(why))) if attempt < ATTEMPTS => {
                    ui::trace(&format!("ssh: attempt {attempt} was dropped: {why}"));
                    within(Duration::MAX, &plan.asking, sleep(pause(attempt))).await?;
                    attempt += 1;
                }
                Some(tried) => return tried.map_err(|failure| failure.into_error(config)),
                None => {
                    let seconds = config.connect_timeout.as_secs();
                    return Err(unreached(config, format!("no answer within {seconds} s")));
                }
            }
        }
    }

    /// Returns the guest's name, for messages.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns what calls are started on.
    pub fn handle(&self) -> &client::Handle<Client> {
        &self.handle
    }

    /// Returns why the connection ended, or what it runs over; `None` while it lives.
    pub fn lost(&self) -> Option<String> {
        let why = self.lost.get()?;
        let jump =
            self.jump.as_ref().and_then(|jump| Some(format!("jump host '{}' is lost: {}", jump.name(), jump.lost()?)));
        Some(jump.or_else(|| self.helper.as_ref()?.ended()).unwrap_or(why))
    }

    /// Waits until the server has answered a question, or the connection is gone.
    pub async fn ping(&self) {
        // Either way there is nothing more to wait for.
        let _ = self.handle.send_ping().await;
    }

    /// Says goodbye; a server that does not listen is left.
    pub async fn close(&self) {
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "");
        if timeout(Duration::from_millis(500), goodbye).await.is_ok() {
            let gone = async {
                while !self.handle.is_closed() {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let _ = timeout(Duration::from_millis(500), gone).await;
        }
    }
}

/// What each attempt to connect needs.
struct Plan {
    config: Arc<Config>,
    known: Arc<KnownHosts>,
    settings: Arc<client::Config>,
    jump: Option<Arc<Session>>,
    asking: Asking,
}

impl Plan {
    async fn attempt(&self) -> Result<Session, Failure> {
        let link = proxy::dial(&self.config, self.jump.as_deref()).await?;
        let greeted = Arc::new(AtomicBool::new(false));
        let lost = Lost::default();
        let client = Client {
            config: Arc::clone(&self.config),
            known: Arc::clone(&self.known),
            lost: lost.clone(),
            accepted: None,
            banner: 0,
            socket: link.socket,
        };
        let socket = Socket::new(link.stream, Arc::clone(&greeted));
        let mut handle = match client::connect_stream(Arc::clone(&self.settings), socket, client).await {
            Err(Failure::Ssh(error)) if hung_up(&error) => {
                return Err(match link.peer.as_ref().and_then(Helper::ended) {
                    Some(why) => Failure::Ours(unreached(&self.config, why)),
                    None if greeted.load(Ordering::Relaxed) => Failure::Ssh(error),
                    None => Failure::Dropped(reason(&error)),
                });
            }
            connected => connected?,
        };
        auth::log_in(&mut handle, &self.config, &lost, &self.asking).await.map_err(Failure::Ours)?;
        let (config, jump) = (Arc::clone(&self.config), self.jump.clone());
        Ok(Session { handle, config, lost, jump, helper: link.peer })
    }
}

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

/// Set while somebody thinks about an answer: no timeout may count that.
#[derive(Clone, Default)]
pub struct Asking(Arc<AtomicBool>);

impl Asking {
    /// Runs what may ask a user in another program, as an agent does.
    pub async fn during<T>(&self, asking: impl Future<Output = T>) -> T {
        self.0.store(true, Ordering::Relaxed);
        let answer = asking.await;
        self.0.store(false, Ordering::Relaxed);
        answer
    }
}

/// Waits for an interrupt.
pub async fn interrupted() {
    while !interrupt::pending() {
        sleep(GLANCE).await;
    }
}

/// Runs a future up to a limit; `None` when it took longer.
///
/// Time is counted in glances: while a question on the terminal blocks this thread, none pass.
async fn within<T>(limit: Duration, asking: &Asking, future: impl Future<Output = T>) -> Result<Option<T>> {
    let mut future = std::pin::pin!(future);
    let mut waited = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            done = &mut future => return Ok(Some(done)),
            () = sleep(GLANCE) => {}
        }
        if interrupt::pending() {
            return Err(Error::interrupted());
        }
        if !asking.0.load(Ordering::Relaxed) {
            waited += GLANCE;
        }
        if waited >= limit {
            return Ok(None);
        }
    }
}

/// Returns how long to wait before another attempt: longer each time, and not as long as everybody else.
fn pause(attempt: u32) -> Duration {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let jitter = RandomState::new().build_hasher().finish() % 300;
    Duration::from_millis(200 * u64::from(attempt) + jitter)
}

/// Why there is no session.
#[derive(Debug)]
pub enum Failure {
    /// A verdict of this program.
    Ours(Error),
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

impl Failure {
    fn into_error(self, config: &Config) -> Error {
        match self {
            Failure::Ours(error) => error,
            Failure::Dropped(why) => unreached(config, format!("{why}, {ATTEMPTS} times in a row")),
            Failure::Ssh(error) => unreached(config, reason(&error)),
        }
    }
}

fn unreached(config: &Config, why: impl Display) -> Error {
    Error::unreachable(format!("cannot reach {}: {why}", config.shown()))
}

fn hung_up(error: &SshError) -> bool {
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
    ui::sanitise(text.as_bytes(), Keep::Nothing)
}

/// What russh calls back.
pub struct Client {
    config: Arc<Config>,
    known: Arc<KnownHosts>,
    lost: Lost,
    /// The key that was trusted: it comes again with each new key exchange.
    accepted: Option<PublicKey>,
    banner: usize,
    socket: Option<std::os::fd::OwnedFd>,
}

impl client::Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        if self.accepted.as_ref().is_none_or(|accepted| accepted.key_data() != key.key_data()) {
            self.known.check(&self.config, key).map_err(Failure::Ours)?;
            self.accepted = Some(key.clone());
        }
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Failure> {
        let room = BANNER - self.banner;
        let shown = &banner.as_bytes()[..banner.len().min(room)];
        self.banner += shown.len();
        if !shown.is_empty() {
            ui::status(&ui::sanitise(shown.trim_ascii_end(), Keep::Lines));
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
                let said = ui::sanitise(info.message.trim().as_bytes(), Keep::Nothing);
                self.lost.set(format!("the server says '{said}'"));
                Ok(())
            }
            DisconnectReason::Error(failure) => {
                self.lost.set(match &failure {
                    Failure::Ssh(error) => self::reason(error),
                    Failure::Dropped(why) => why.clone(),
                    Failure::Ours(error) => error.to_string(),
                });
                Err(failure)
            }
        }
    }
}
