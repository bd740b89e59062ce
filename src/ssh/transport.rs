//! The way to the guest's SSH server: a TCP connection, and what is proposed over it.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Limits, Preferred, cipher, client, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use super::config::{Config, Family};
use super::known_hosts::KnownHosts;
use crate::error::{Error, Result};

/// Each list holds what is safe and fast first; what ssh_config does not allow is left out.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
    cipher::AES_256_CBC,
    cipher::AES_192_CBC,
    cipher::AES_128_CBC,
];
const KEXES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_GEX_SHA1,
    kex::DH_G14_SHA1,
];
/// Not key exchanges, but promises that stand in their list: without them there is no strict key exchange.
const EXTENSIONS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
    mac::HMAC_SHA1_ETM,
    mac::HMAC_SHA1,
];
const HOST_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    Algorithm::Rsa { hash: None },
];

/// Returns russh's settings; the figures are measured ones (window, packet and queue: speed at bounded memory).
///
/// # Errors
/// When ssh_config leaves nothing to propose.
pub fn settings(config: &Config, known: &KnownHosts) -> Result<client::Config> {
    let mut kexes = pick(config, KEXES, "KexAlgorithms", |name| {
        // An OpenSSH before 9.9 knows no ML-KEM; sntrup761 in its place says that a hybrid is wanted.
        allowed(&config.kex, name.as_ref())
            || (*name == kex::MLKEM768X25519_SHA256 && config.kex.iter().any(|name| name.starts_with("sntrup761")))
    })?;
    kexes.extend_from_slice(EXTENSIONS);
    let mut keys =
        pick(config, HOST_KEYS, "HostKeyAlgorithms", |name| allowed(&config.host_key_algorithms, name.as_ref()))?;
    // The server shows the first that it has: ask for one that can be recognised.
    keys.sort_by_key(|key| !known.knows(key));
    let compression: &[compression::Name] =
        if config.compression { &[compression::ZLIB_LEGACY, compression::NONE] } else { &[compression::NONE] };
    let preferred = Preferred {
        kex: Cow::Owned(kexes),
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned(pick(config, CIPHERS, "Ciphers", |name| allowed(&config.ciphers, name.as_ref()))?),
        mac: Cow::Owned(pick(config, MACS, "MACs", |name| allowed(&config.macs, name.as_ref()))?),
        compression: Cow::Borrowed(compression),
    };
    let usual = Limits::default();
    let bytes = config.rekey.0.map_or(usual.rekey_read_limit, |bytes| bytes.min(usual.rekey_read_limit));
    Ok(client::Config {
        limits: Limits::new(bytes, bytes, config.rekey.1.unwrap_or(usual.rekey_time_limit)),
        window_size: 8 << 20,
        maximum_packet_size: 32 << 10,
        channel_buffer_size: 64,
        preferred,
        // It fires falsely while a reader pauses; keepalives find a dead connection.
        inactivity_timeout: None,
        keepalive_interval: Some(config.alive_interval),
        keepalive_max: config.alive_count as usize,
        ..client::Config::default()
    })
}

/// An option that `ssh -G` does not print forbids nothing.
fn allowed(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|allowed| allowed == name)
}

fn pick<N: Clone>(config: &Config, ours: &[N], option: &str, allowed: impl Fn(&N) -> bool) -> Result<Vec<N>> {
    let picked: Vec<N> = ours.iter().filter(|name| allowed(name)).cloned().collect();
    if picked.is_empty() {
        return Err(Error::unreachable(format!(
            "cannot reach guest '{}': nothing that ssh_config allows in '{option}' is supported here",
            config.name
        )));
    }
    Ok(picked)
}

/// Connects to the first address that answers.
///
/// # Errors
/// When the host has no address, or none answers in its share of `limit`.
pub async fn connect(config: &Config, limit: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((config.host.as_str(), config.port))
        .await?
        .filter(|address| match config.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        })
        .collect();
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "it has no address of the wanted family");
    for address in addresses {
        match timeout(share, connect_to(address, config.bind_address.as_deref())).await {
            Ok(Ok(stream)) => {
                prepare(&stream, config);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, "no answer"),
        }
    }
    Err(failure)
}

async fn connect_to(address: SocketAddr, from: Option<&str>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        let mut own = lookup_host((from, 0)).await?;
        let own = own.find(|own| own.is_ipv4() == address.is_ipv4());
        socket.bind(own.ok_or_else(|| io::Error::other("BindAddress is of another family"))?)?;
    }
    socket.connect(address).await
}

/// Sets what the kernel should do; it works without, too.
fn prepare(stream: &TcpStream, config: &Config) {
    let _ = stream.set_nodelay(true);
    // As long as keepalives need to give up: covers what was sent and is never acknowledged.
    #[cfg(target_os = "linux")]
    {
        let patience = config.alive_interval.saturating_mul(config.alive_count.saturating_add(1));
        let patience = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, patience);
    }
}

/// A stream that knows whether an SSH server has spoken, and that never fails to shut down.
///
/// russh does not say why a connection ended when the shutdown of its stream fails, as it does when the peer is gone.
pub struct Socket<S> {
    stream: S,
    greeted: Arc<AtomicBool>,
}

impl<S> Socket<S> {
    /// Wraps a stream; `greeted` is set once something has been read that looks like a server's version.
    pub fn new(stream: S, greeted: Arc<AtomicBool>) -> Self {
        Socket { stream, greeted }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if !self.greeted.load(Ordering::Relaxed) && buffer.filled()[before..].windows(4).any(|bytes| bytes == b"SSH-") {
            self.greeted.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map(|_| Ok(()))
    }
}
