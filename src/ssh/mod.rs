//! Reaches a guest by SSH, in this process; the only folder that names russh and tokio.
//!
//! Its face blocks. Behind it one thread drives all that happens on the connection, so that the guest is answered
//! whatever the rest of the program is busy with.

mod asking;
mod auth;
mod channel;
mod config;
mod connection;
mod destination;
mod handler;
mod host_key;
mod key_file;
mod known_hosts;
mod proxy;
mod refused;
mod spool;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::{Context, Error, Result};
use crate::reporter::Reporter;

pub use channel::{Call, Exit, Running, into_error};
use connection::{Session, interrupted};
pub use destination::Destination;
pub use refused::{Denied, Distrust, Refused, Untrusted};

/// A connection to a guest.
pub struct Connection {
    session: Arc<Session>,
    driver: Driver,
}

impl Connection {
    /// Connects to a guest; may ask for trust in a host key, or for a passphrase.
    ///
    /// # Errors
    /// When the guest is not reached, not trusted, or does not let us in.
    pub fn open(to: &Destination, reporter: &Arc<dyn Reporter>) -> Result<Connection, Refused> {
        let config = config::Config::resolve(to, reporter)?;
        let driver = Driver::start().context(|| "cannot start a thread".to_owned())?;
        let session = driver.runtime.block_on(Session::open(config))?;
        Ok(Connection { session: Arc::new(session), driver })
    }

    /// Starts a call; several may run at once.
    ///
    /// # Errors
    /// When the guest does not run it, or the connection is lost.
    pub fn exec(&self, call: Call) -> Result<Running> {
        let runtime = &self.driver.runtime;
        runtime.block_on(async {
            tokio::select! {
                running = channel::start(Arc::clone(&self.session), runtime, call) => running,
                () = interrupted() => Err(Error::interrupted()),
            }
        })
    }

    /// Ends the connection.
    pub fn close(self) {
        self.driver.runtime.block_on(self.session.close());
    }
}

/// The thread that drives the connection; it ends, and everything on it, when this is dropped.
struct Driver {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    fn start() -> std::io::Result<Driver> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("ssh".to_owned()).spawn(move || {
            // Ends when the sender is dropped, too.
            let _ = runtime.block_on(stopped);
            // A look-up of a name may still hang in the system's resolver.
            runtime.shutdown_background();
        })?;
        Ok(Driver { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there.
            let _ = thread.join();
        }
    }
}
