//! An SSH server in this process, for tests and the demo: real shells, and faults on demand.
//!
//! It behaves as OpenSSH does where that matters: each exec runs the login shell in a session of its own, stdin and
//! stdout of the child close when the client goes, and nothing gets a signal then.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelOpenFailure, Limits, MethodKind, MethodSet, Sig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// What a server does wrong, from the next connection on.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Cuts the connection after so many bytes from the client.
    pub cut_up: Option<u64>,
    /// Cuts the connection after so many bytes to the client.
    pub cut_down: Option<u64>,
    /// Reads no more after so many bytes from the client, and keeps the connection.
    pub stall_up: Option<u64>,
    /// Sends no more after so many bytes to the client, and keeps the connection.
    pub stall_down: Option<u64>,
    /// Lets no key in.
    pub refuse_auth: bool,
    /// Opens no channel.
    pub refuse_channel: bool,
    /// Answers an exec request with a failure.
    pub refuse_exec: bool,
    /// Closes the channel without an exit status.
    pub omit_exit_status: bool,
    /// Sends this before authentication.
    pub banner: Option<String>,
    /// Prints this on stdout before the command's own output.
    pub noise: Vec<u8>,
    /// Changes keys after so many bytes each way.
    pub rekey_after: Option<usize>,
    /// Hangs up after so many keys that it does not know.
    pub max_auth_attempts: Option<usize>,
}

/// Where and as whom the server runs commands.
#[derive(Clone, Debug)]
pub struct Account {
    /// The login shell; it gets `-c` and the command.
    pub shell: PathBuf,
    /// The folder that commands start in.
    pub home: PathBuf,
    /// The whole environment of a command.
    pub env: BTreeMap<String, String>,
    /// The one key that is let in.
    pub authorized: PublicKey,
}

/// A server that runs, on a thread of its own, until it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    account: Account,
    host_key: Mutex<PrivateKey>,
    faults: Mutex<Faults>,
}

impl Server {
    /// Starts a server on a free port of the loopback interface.
    ///
    /// # Errors
    /// When there is no free port, or no thread.
    pub fn start(account: Account) -> io::Result<Server> {
        let shared = Arc::new(Shared { account, host_key: Mutex::new(new_key()?), faults: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serving = shared.clone();
        let thread = thread::Builder::new().name("ssh server".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, &serving) => {}
                    _ = stopped => {}
                }
            });
            // Not a drop, which would wait for the children of cut connections.
            runtime.shutdown_background();
        })?;
        Ok(Server { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the host key.
    pub fn host_key(&self) -> PublicKey {
        self.shared.host_key.lock().unwrap().public_key().clone()
    }

    /// Makes another host key, for connections from now on.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn change_host_key(&self) -> io::Result<()> {
        *self.shared.host_key.lock().unwrap() = new_key()?;
        Ok(())
    }

    /// Sets what it does wrong, for connections from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes an ed25519 key.
///
/// # Errors
/// When there is no randomness.
pub fn new_key() -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(Ed25519Keypair::from_seed(&seed).into())
}

/// Returns a key as it stands in a key file.
pub fn key_file(key: &PrivateKey) -> String {
    key.to_openssh(LineEnding::LF).expect("a key without a passphrase has a text").to_string()
}

/// Returns the line of a known_hosts file for a server.
pub fn known_hosts_line(address: SocketAddr, key: &PublicKey) -> String {
    let key = key.to_openssh().expect("a public key has a text");
    format!("[{}]:{} {key}\n", address.ip(), address.port())
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Else Nagle and the client's delayed ACK wait for each other, 40 ms a time.
        let _ = stream.set_nodelay(true);
        let faults = shared.faults.lock().unwrap().clone();
        let config = Arc::new(config(shared, &faults));
        let stream = Faulty {
            stream,
            up: Flow::new(faults.cut_up, faults.stall_up),
            down: Flow::new(faults.cut_down, faults.stall_down),
        };
        let connection = Connection { shared: shared.clone(), faults, channels: HashMap::new() };
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(config, stream, connection).await {
                let _ = session.await;
            }
        });
    }
}

fn config(shared: &Shared, faults: &Faults) -> server::Config {
    let limits = match faults.rekey_after {
        Some(bytes) => Limits::new(bytes, bytes, Duration::from_secs(3600)),
        None => Limits::default(),
    };
    server::Config {
        keys: vec![shared.host_key.lock().unwrap().clone()],
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        // A second each by default, against guessing.
        auth_rejection_time: Duration::from_millis(1),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: faults.max_auth_attempts.unwrap_or(10),
        inactivity_timeout: None,
        limits,
        ..server::Config::default()
    }
}

struct Connection {
    shared: Arc<Shared>,
    faults: Faults,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let known = key.public_key.key_data() == self.shared.account.authorized.key_data();
        Ok(if known && !self.faults.refuse_auth { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: server::PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let known = offer.public_key.key_data() == self.shared.account.authorized.key_data();
        Ok(if known && !self.faults.refuse_auth { Auth::Accept } else { Auth::reject() })
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.faults.banner.clone())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.faults.refuse_channel {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        } else {
            self.channels.insert(channel.id(), channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let channel = self.channels.remove(&id).filter(|_| !self.faults.refuse_exec);
        match channel.zip(self.start(command).ok()) {
            Some((channel, child)) => {
                session.channel_success(id)?;
                tokio::spawn(run(channel, child, self.faults.clone(), session.handle()));
            }
            None => session.channel_failure(id)?,
        }
        Ok(())
    }
}

impl Connection {
    fn start(&self, command: &[u8]) -> io::Result<Child> {
        let account = &self.shared.account;
        let command: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(command);
        // setsid becomes the shell: as no process group leader it does not fork.
        Command::new("setsid")
            .arg0("setsid")
            .arg(&account.shell)
            .arg("-c")
            .arg(command)
            .env_clear()
            .envs(&account.env)
            .current_dir(&account.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

/// Runs one command, from its start to its exit status or the loss of the client.
async fn run(channel: Channel<Msg>, mut child: Child, faults: Faults, handle: Handle) {
    let id = channel.id();
    let pid = child.id();
    let stdin = child.stdin.take().map(OwnedFd::from).map(pipe::Sender::from_owned_fd);
    let stdout = child.stdout.take().map(OwnedFd::from).map(pipe::Receiver::from_owned_fd);
    let stderr = child.stderr.take().map(OwnedFd::from).map(pipe::Receiver::from_owned_fd);
    let (Some(Ok(mut stdin)), Some(Ok(mut stdout)), Some(Ok(mut stderr))) = (stdin, stdout, stderr) else { return };
    let (mut from_client, to_client) = channel.split();

    // A queue without bounds: a child that does not read must not keep the connection from being read.
    let (feed, mut fed) = mpsc::unbounded_channel::<Vec<u8>>();
    let input = tokio::spawn(async move {
        while let Some(bytes) = fed.recv().await {
            if stdin.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let gone = async {
        let mut feed = Some(feed);
        loop {
            match from_client.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    if let Some(feed) = &feed {
                        let _ = feed.send(data.to_vec());
                    }
                }
                Some(ChannelMsg::Eof) => feed = None,
                Some(ChannelMsg::Signal { signal }) => send_signal(pid, &signal),
                Some(ChannelMsg::Close) | None => return,
                Some(_) => {}
            }
        }
    };
    let (mut to_stdout, mut to_stderr) = (to_client.make_writer(), to_client.make_writer_ext(Some(1)));
    let output = async {
        let _ = to_stdout.write_all(&faults.noise).await;
        let _ = tokio::io::copy(&mut stdout, &mut to_stdout).await;
    };
    let errors = tokio::io::copy(&mut stderr, &mut to_stderr);
    let ended = tokio::task::spawn_blocking(move || child.wait());
    let status = async {
        match ended.await {
            Ok(Ok(status)) if !faults.omit_exit_status => tell(&handle, id, status).await,
            _ => {}
        }
    };
    tokio::select! {
        () = gone => {}
        _ = async { tokio::join!(output, errors, status) } => {
            let _ = to_client.eof().await;
            let _ = to_client.close().await;
        }
    }
    input.abort();
}

async fn tell(handle: &Handle, id: ChannelId, status: ExitStatus) {
    let _ = match (status.code(), status.signal()) {
        (Some(code), _) => handle.exit_status_request(id, code as u32).await,
        (None, signal) => {
            let name = match signal {
                Some(1) => Sig::HUP,
                Some(2) => Sig::INT,
                Some(9) => Sig::KILL,
                Some(13) => Sig::PIPE,
                _ => Sig::TERM,
            };
            handle.exit_signal_request(id, name, false, String::new(), String::new()).await
        }
    };
}

fn send_signal(group: u32, signal: &Sig) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = match signal {
        Sig::HUP => Signal::HUP,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        _ => Signal::TERM,
    };
    if let Some(pid) = Pid::from_raw(group as i32) {
        let _ = kill_process_group(pid, signal);
    }
}

/// One direction of a connection, and how far it goes.
struct Flow {
    left: u64,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Cut,
    Stall,
}

impl Flow {
    fn new(cut: Option<u64>, stall: Option<u64>) -> Flow {
        match (cut, stall) {
            (Some(left), _) => Flow { left, then: Then::Cut },
            (None, Some(left)) => Flow { left, then: Then::Stall },
            (None, None) => Flow { left: u64::MAX, then: Then::Nothing },
        }
    }

    /// Returns how much of `length` may pass now.
    fn allow(&self, length: usize) -> Poll<io::Result<usize>> {
        match (self.left, self.then) {
            (0, Then::Cut) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            // Nobody is ever woken: that is what a stall is.
            (0, Then::Stall) => Poll::Pending,
            (left, _) => Poll::Ready(Ok(usize::try_from(left).unwrap_or(usize::MAX).min(length))),
        }
    }
}

/// A connection that ends or freezes after a number of bytes.
struct Faulty {
    stream: TcpStream,
    up: Flow,
    down: Flow,
}

impl AsyncRead for Faulty {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let allowed = match this.up.allow(to.remaining()) {
            Poll::Ready(Ok(allowed)) => allowed,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        // A buffer of its own: what is read into a part of `to` would have to be declared as read by unsafe code.
        let mut buffer = vec![0; allowed];
        let mut part = ReadBuf::new(&mut buffer);
        let polled = Pin::new(&mut this.stream).poll_read(context, &mut part);
        this.up.left -= part.filled().len() as u64;
        to.put_slice(part.filled());
        polled
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let allowed = match this.down.allow(bytes.len()) {
            Poll::Ready(Ok(allowed)) => allowed,
            other => return other,
        };
        let polled = Pin::new(&mut this.stream).poll_write(context, &bytes[..allowed]);
        if let Poll::Ready(Ok(written)) = polled {
            this.down.left -= written as u64;
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
