//! Ctrl-C, TERM and HUP: the first asks, the second insists.
//!
//! From [`watch`] on, a first signal only raises a flag: whoever waits looks at it, cleans up and ends with
//! [`Error::interrupted`](crate::error::Error::interrupted). A second one ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Once};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::Kind;

static PENDING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

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

/// Tells whether the user wants to stop.
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed)
}

/// Returns the signals that were ignored when the process started, as a bit set; none where /proc does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}
