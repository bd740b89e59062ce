//! A real OpenSSH server: one `sshd -i` for each accepted connection, no port to guess, no daemon to wait for.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::{is_root, require};

/// A listener that hands each connection to an sshd of its own, until it is dropped.
pub struct Sshd {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Sshd {
    /// Listens on a free port of the loopback interface; `config` is a whole sshd_config.
    pub fn start(config: &Path) -> Sshd {
        let program = require("sshd");
        if is_root() {
            // OpenSSH's own folder for privilege separation; a service manager makes it where one runs.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, children) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Child>>>::default());
        let (stopped, started, config) = (stop.clone(), children.clone(), config.to_owned());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let child = serve(&program, &config, stream.unwrap());
                let mut children = started.lock().unwrap();
                children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
                children.push(child);
            }
        });
        Sshd { address, stop, children, thread: Some(thread) }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(program: &PathBuf, config: &Path, stream: TcpStream) -> Child {
    let (input, output) = (OwnedFd::from(stream.try_clone().unwrap()), OwnedFd::from(stream));
    let log = fs::File::options().create(true).append(true).open(config.with_extension("log")).unwrap();
    Command::new(program)
        .args(["-i", "-e", "-f"])
        .arg(config)
        .env_clear()
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap()
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for child in self.children.lock().unwrap().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
