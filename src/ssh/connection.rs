//! From a destination to an authenticated session.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::Disconnect;
use russh::client;
use tokio::time::{sleep, timeout};

use super::asking::Asking;
use super::auth;
use super::config::Config;
use super::handler::{Client, Failure, Lost, hung_up, reason};
use super::known_hosts::KnownHosts;
use super::proxy::{self, Helper};
use super::refused::Refused;
use super::transport::{self, Socket};
use crate::error::{Error, Result};
use crate::interrupt::{self, GLANCE};

/// Connections are tried so many times when a busy server drops them unheard (sshd_config(5), MaxStartups).
const ATTEMPTS: u32 = 4;

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
    pub async fn open(config: Config) -> Result<Session, Refused> {
        Session::open_within(config, proxy::HOPS).await
    }

    async fn open_within(config: Config, hops: usize) -> Result<Session, Refused> {
        let jump = match config.jump()? {
            None => None,
            Some(_) if hops == 0 => return Err(unreached(&config, "there are too many jump hosts on the way").into()),
            Some(jump) => Some(Arc::new(Box::pin(Session::open_within(jump, hops - 1)).await?)),
        };
        let known = Arc::new(KnownHosts::read(&config)?);
        let settings = Arc::new(transport::settings(&config, &known)?);
        let plan = Plan { config: Arc::new(config), known, settings, jump, asking: Asking::default() };
        let config = &plan.config;
        config.reporter.trace(&format!("ssh: {} as user '{}'", config.shown(), config.user));
        let mut attempt = 1;
        loop {
            match within(config.connect_timeout, &plan.asking, plan.attempt()).await? {
                Some(Err(Failure::Dropped(why))) if attempt < ATTEMPTS => {
                    config.reporter.trace(&format!("ssh: attempt {attempt} was dropped: {why}"));
                    within(Duration::MAX, &plan.asking, sleep(pause(attempt))).await?;
                    attempt += 1;
                }
                Some(tried) => return tried.map_err(|failure| failure.into_refused(config)),
                None => {
                    let seconds = config.connect_timeout.as_secs();
                    return Err(unreached(config, format!("no answer within {seconds} s")).into());
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
        let client = Client::new(Arc::clone(&self.config), Arc::clone(&self.known), lost.clone(), link.socket);
        let socket = Socket::new(link.stream, Arc::clone(&greeted));
        let mut handle = match client::connect_stream(Arc::clone(&self.settings), socket, client).await {
            Err(Failure::Ssh(error)) if hung_up(&error) => {
                return Err(match link.peer.as_ref().and_then(Helper::ended) {
                    Some(why) => Failure::Ours(unreached(&self.config, why).into()),
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
        if !asking.now() {
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

impl Failure {
    fn into_refused(self, config: &Config) -> Refused {
        match self {
            Failure::Ours(refused) => refused,
            Failure::Dropped(why) => unreached(config, format!("{why}, {ATTEMPTS} times in a row")).into(),
            Failure::Ssh(error) => unreached(config, reason(&error)).into(),
        }
    }
}

fn unreached(config: &Config, why: impl Display) -> Error {
    Error::unreachable(format!("cannot reach {}: {why}", config.shown()))
}
