//! What a connection goes through: nothing, other SSH servers (ProxyJump), or a program (ProxyCommand).

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use russh::Error as SshError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::config::{Config, Proxy};
use super::connection::Session;
use super::handler::{Failure, reason};
use super::transport;
use crate::error::Error;
use crate::process::Peer;

/// The most SSH servers in a row; a jump host that is reached through itself has no end.
pub const HOPS: usize = 8;

/// What an SSH connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A stream to a server, and what must live as long.
pub struct Link {
    /// The stream.
    pub stream: Box<dyn Stream>,
    /// The socket, where there is one of our own.
    pub socket: Option<OwnedFd>,
    /// The program at the other end, where there is one.
    pub peer: Option<Helper>,
}

/// A ProxyCommand that runs.
pub struct Helper(Mutex<Peer>);

impl Helper {
    /// Returns how it ended, for a connection that has; `None` when it runs on.
    pub fn ended(&self) -> Option<String> {
        // Its end of the socket closes a moment before it is gone.
        let moment = Duration::from_millis(100);
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner).ended_within(moment)?;
        Some(format!("its ProxyCommand has ended ({status})"))
    }
}

/// Reaches a host; through `jump`, where ssh_config names one.
///
/// # Errors
/// When that fails.
pub async fn dial(config: &Config, jump: Option<&Session>) -> Result<Link, Failure> {
    if let Some(jump) = jump {
        let channel = jump.handle().channel_open_direct_tcpip(&config.host, config.port.into(), "127.0.0.1", 0).await;
        let channel = channel.map_err(|error| {
            let why = jump.lost().unwrap_or_else(|| reason(&error));
            let what = format!("cannot reach {} through '{}': {why}", config.shown(), jump.name());
            Failure::Ours(Error::unreachable(what).into())
        })?;
        return Ok(Link { stream: Box::new(channel.into_stream()), socket: None, peer: None });
    }
    if let Proxy::Command(command) = &config.proxy {
        config.reporter.trace(&format!("ssh: through ProxyCommand: {command}"));
        let (peer, stream) = Peer::start(command).map_err(|error| Failure::Ours(error.into()))?;
        let stream =
            stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream)).map_err(SshError::from)?;
        return Ok(Link { stream: Box::new(stream), socket: None, peer: Some(Helper(Mutex::new(peer))) });
    }
    let stream = transport::connect(config, config.connect_timeout).await.map_err(SshError::from)?;
    let socket = rustix::io::dup(&stream).ok();
    Ok(Link { stream: Box::new(stream), socket, peer: None })
}
