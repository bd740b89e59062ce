//! Ctrl-C, TERM and HUP: the first asks, the second insists.
//!
//! From [`watch`] on, a first signal only raises a flag: whoever waits looks at it, cleans up and ends with
//! [`Error::interrupted`](crate::error::Error::interrupted). A second one ends the process at once. What must not stop
//! half-way is done behind a [`Shield`], which hides the flag until it is dropped.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Kind, Result};

/// How often whoever waits looks at the flag.
pub const GLANCE: Duration = Duration::from_millis(50);

static PENDING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SHIELDS: AtomicUsize = AtomicUsize::new(0);

/// Starts to watch; before, a signal ends the process as it does any other.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored = ignored();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // 'nohup' and a shell's '&' mean what they say.
            if ignored & (1 << (signal - 1)) == 0 {
                let code = i32::from(Kind::Interrupted.code());
                // In this order the first signal does not yet see the flag that it raises. Neither can fail for
                // these signals; a process that cannot be interrupted gently can still be killed.
                let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(&PENDING));
                let _ = flag::register(signal, Arc::clone(&PENDING));
            }
        }
    });
}

/// Tells whether the user wants to stop, and nothing is under way that must not.
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed) && !shielded()
}

/// Fails when the user wants to stop.
///
/// # Errors
/// [`Error::interrupted`]
pub fn check() -> Result<()> {
    if pending() { Err(Error::interrupted()) } else { Ok(()) }
}

/// Tells whether something is under way that must not stop half-way.
pub fn shielded() -> bool {
    SHIELDS.load(Ordering::Relaxed) > 0
}

/// As long as it lives, an interrupt waits.
pub struct Shield(());

impl Shield {
    /// Raises one.
    pub fn raise() -> Shield {
        SHIELDS.fetch_add(1, Ordering::Relaxed);
        Shield(())
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        SHIELDS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the signals that were ignored when the process started, as a bit set; none where /proc does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}
