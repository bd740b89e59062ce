//! Messages to a session: complete and measured before they go, and let go only when the guest has them whole.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::mpsc::{self, Receiver};

use crate::error::{Error, Kind, Result};
use crate::guest::{Guest, script};

/// A message, complete and measured.
#[derive(Debug)]
pub struct Message {
    file: File,
    length: u64,
    sum: u32,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Into the stdin of a session.
    Session(&'a str),
    /// Into a FIFO at a path.
    Fifo(&'a str),
}

/// How a message is delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// How many seconds it may take.
    pub timeout: u32,
    /// Close the session's stdin after it.
    pub eof: bool,
    /// Messages with the same key are delivered once.
    pub key: Option<&'a str>,
}

impl Message {
    /// Makes a message of what `fill` writes; it lies in a file that has no name.
    ///
    /// # Errors
    /// Those of `fill`, and when there is no room.
    pub fn build(fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Message> {
        let kept = |error| Error::failed("cannot keep the message").source(error);
        let mut spool = Spool { file: tempfile::tempfile().map_err(kept)?, length: 0, crc: 0 };
        let mut buffered = io::BufWriter::with_capacity(64 * 1024, &mut spool);
        fill(&mut buffered)?;
        buffered.flush().map_err(kept)?;
        drop(buffered);
        spool.file.rewind().map_err(kept)?;
        Ok(Message { sum: finish(spool.crc, spool.length), length: spool.length, file: spool.file })
    }

    /// Returns its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Guest {
    /// Delivers a message; tells whether one with the same key was delivered before, and this one was not.
    ///
    /// # Errors
    /// [`Kind::Refused`] when nothing of it was written, [`Kind::Unconfirmed`] when some of it may have been.
    pub fn send(&self, to: Target<'_>, message: Message, delivery: Delivery<'_>) -> Result<bool> {
        let (session, fifo) = match to {
            Target::Session(name) => (name, ""),
            Target::Fifo(path) => ("", path),
        };
        let args = script::SEND
            .args()
            .set("name", session)
            .set("fifo_path", fifo)
            .set("length", message.length.to_string())
            .set("sum", message.sum.to_string())
            .set("timeout", delivery.timeout.to_string())
            .flag("eof", delivery.eof)
            .set("key", delivery.key.unwrap_or_default());
        let (let_go, go) = mpsc::channel();
        let upload = Upload { message: message.file, go: Some(go) };
        let (running, nonce) = self.exec(&args, Some(Box::new(upload)))?;
        let gone = Cell::new(false);
        let answer = self.answer(args.script, running, &nonce, |stream| {
            // The guest has it whole. From here on, a connection that is lost leaves us in the dark.
            gone.set(true);
            // Nobody listens when the call has ended, which the answer tells better.
            let _ = let_go.send(());
            let answer = stream.answer()?;
            stream.end()?;
            answer.flag("again")
        });
        answer.map_err(|error| match error.kind() {
            // Refused and unconfirmed are verdicts of the guest's, which knows.
            kind if gone.get() && !matches!(kind, Kind::Refused | Kind::Unconfirmed) => {
                Error::unconfirmed("whether the message was delivered is not known").caused_by(error)
            }
            Kind::Unreachable | Kind::Unverified => Error::refused("the message was not sent").caused_by(error),
            _ => error,
        })
    }
}

/// A message on its way: all of it; then, once the guest has it whole and is ready, the word that lets it go.
struct Upload {
    message: File,
    go: Option<Receiver<()>>,
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(go) = &self.go else {
            return Ok(0);
        };
        match self.message.read(buffer)? {
            0 => {}
            read => return Ok(read),
        }
        let word: &[u8] = if go.recv().is_ok() { b"go\n" } else { b"" };
        self.go = None;
        buffer[..word.len()].copy_from_slice(word);
        Ok(word.len())
    }
}

/// Writes to a file, and measures what it writes.
struct Spool {
    file: File,
    length: u64,
    crc: u32,
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        self.crc = bytes[..written].iter().fold(self.crc, |crc, &byte| add(crc, byte));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The checksum of POSIX's cksum: a CRC of the bytes, then of their number; see the standard's page of that utility.
fn finish(crc: u32, length: u64) -> u32 {
    let bytes = length.to_le_bytes();
    let used = bytes.len() - length.leading_zeros() as usize / 8;
    !bytes[..used].iter().fold(crc, |crc, &byte| add(crc, byte))
}

fn add(crc: u32, byte: u8) -> u32 {
    (crc << 8) ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)]
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 1 { (crc << 1) ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> Message {
        Message::build(|to| {
            to.write_all(bytes).unwrap();
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn the_checksum_is_that_of_cksum() {
        // What cksum of GNU coreutils 9.1 prints.
        let long = vec![b'x'; 100_000];
        let cases: [(&[u8], u32); 3] = [(b"", 4294967295), (b"123456789", 930766865), (&long, 1627735810)];
        for (bytes, sum) in cases {
            let message = message(bytes);
            assert_eq!((message.sum, message.length()), (sum, bytes.len() as u64));
        }
    }

    #[test]
    fn a_message_is_let_go_only_when_told() {
        let mut text = Vec::new();
        let message = || message(b"all of it\n").file;
        let (let_go, go) = mpsc::channel();
        let_go.send(()).unwrap();
        Upload { message: message(), go: Some(go) }.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"all of it\ngo\n");
        text.clear();
        let (let_go, go) = mpsc::channel();
        drop(let_go);
        Upload { message: message(), go: Some(go) }.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"all of it\n");
    }
}
