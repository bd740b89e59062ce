//! Whether somebody thinks about an answer: no timeout may count that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set while somebody thinks about an answer.
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

    /// Tells whether somebody is being asked.
    pub fn now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
