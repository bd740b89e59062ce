//! What arrives faster than it is read: kept in memory up to a limit, then in a file without a name.
//!
//! russh stops the whole connection while one channel is not read, keepalives included; so its reader puts everything
//! here and never waits.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

/// In memory, in bytes; more goes to the file.
const MEMORY: usize = 4 << 20;
/// Read back at a time, in bytes.
const PIECE: u64 = 256 << 10;

/// A queue of bytes.
#[derive(Default)]
pub struct Spool {
    queue: VecDeque<Bytes>,
    queued: usize,
    file: Option<File>,
    /// The part of the file that holds unread bytes. While there are any, whatever comes goes behind them.
    read: u64,
    written: u64,
}

impl Spool {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, bytes: Bytes) -> io::Result<()> {
        if self.read == self.written && self.queued + bytes.len() <= MEMORY {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        file.write_all_at(&bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Takes bytes from the front; `None` when there are none.
    ///
    /// # Errors
    /// When the file cannot be read back.
    pub fn pop(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(bytes) = self.queue.pop_front() {
            self.queued -= bytes.len();
            return Ok(Some(bytes));
        }
        let Some(file) = self.file.as_ref().filter(|_| self.read < self.written) else { return Ok(None) };
        let length = PIECE.min(self.written - self.read);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, self.read)?;
        self.read += length;
        if self.read == self.written {
            (self.read, self.written) = (0, 0);
            file.set_len(0)?;
        }
        Ok(Some(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_however_far_the_reader_lags_behind() {
        let mut spool = Spool::default();
        let (mut pushed, mut popped, mut spilled) = (Vec::<u8>::new(), Vec::<u8>::new(), false);
        for round in 0..30_u8 {
            for number in 0..(round * 7) % 40 {
                let bytes = vec![round ^ number; 40_000];
                pushed.extend(&bytes);
                spool.push(bytes.into()).unwrap();
            }
            spilled |= spool.written > 0;
            for _ in 0..(round * 5) % 31 {
                popped.extend(spool.pop().unwrap().unwrap_or_default());
            }
        }
        while let Some(bytes) = spool.pop().unwrap() {
            popped.extend(bytes);
        }
        assert!(spilled, "the file was never used");
        assert!(pushed == popped);
    }
}
