//! The same for several guests at once: what comes of it is told in the order in which they were named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::error::{Kind, Result};

/// So many guests are asked at the same time.
const AT_ONCE: usize = 8;

/// Returns each name once, in the order in which they first come.
pub fn once(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(*name)).cloned().collect()
}

/// Does the work for each guest, and has each result told in turn, as soon as those before it are; after an interrupt no
/// more.
///
/// # Errors
/// Those of `tell`.
pub fn each<T: Send>(
    vms: &[String],
    work: impl Fn(&str) -> Result<T> + Sync,
    mut tell: impl FnMut(&str, Result<T>) -> Result<()>,
) -> Result<()> {
    if let [vm] = vms {
        return tell(vm, work(vm));
    }
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..vms.len().min(AT_ONCE) {
            let (done, next, work) = (done.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((at, vm)) = vms.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens after an interrupt.
                    if done.send((at, work(vm))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut told = 0;
        for (at, result) in results {
            early.insert(at, result);
            while let Some(result) = early.remove(&told) {
                let interrupted = result.as_ref().is_err_and(|error| error.kind() == Kind::Interrupted);
                tell(&vms[told], result)?;
                told += 1;
                if interrupted {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}
