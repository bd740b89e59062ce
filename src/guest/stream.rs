//! Reads what a guest script prints: marker, header, lists, payload, end marker.
//!
//! A stream without its end marker is an error, whatever it held. Everything in it is untrusted.

use std::io::{self, BufRead, BufReader, Read};

use super::answer::Answer;
use crate::error::{Error, Result};

/// Login noise that may come before the marker, in bytes.
const NOISE: usize = 64 * 1024;
/// One header line, in bytes.
const LINE: usize = 64 * 1024;
/// A list, in bytes; some hundred thousand notes.
const LISTS: usize = 32 << 20;

/// The stdout of a guest script.
pub struct Stream<R> {
    from: BufReader<R>,
    nonce: String,
}

impl<R: Read> Stream<R> {
    /// Starts to read; `nonce` is what the script was given to mark its output with.
    pub fn new(from: R, nonce: &str) -> Self {
        Stream { from: BufReader::with_capacity(256 * 1024, from), nonce: nonce.to_owned() }
    }

    /// Skips noise up to the marker line; false when the stream ended before it.
    ///
    /// # Errors
    /// When the connection is lost, or there is too much noise.
    pub fn marker(&mut self) -> Result<bool> {
        let marker = format!("git-banger 1 {}\n", self.nonce);
        let mut noise = 0;
        loop {
            let line = self.until(b'\n', NOISE)?;
            // A prompt or a banner without a newline may stand right before the marker.
            if line.ends_with(marker.as_bytes()) {
                return Ok(true);
            }
            noise += line.len();
            if line.is_empty() {
                return Ok(false);
            }
            if noise > NOISE {
                return Err(Error::unverified("the guest prints too much before the answer")
                    .detail("look at its shell start-up files: they must be quiet without a terminal"));
            }
        }
    }

    /// Reads the next header line as key and value; `None` at the empty line that ends the header.
    ///
    /// # Errors
    /// When the connection is lost, or the line is not of that form.
    pub fn header(&mut self) -> Result<Option<(String, String)>> {
        let line = self.until(b'\n', LINE)?;
        // A branch or a path need not be UTF-8.
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\n').ok_or_else(damaged)?;
        match line.split_once(' ') {
            Some((key, value)) => Ok(Some((key.to_owned(), value.to_owned()))),
            None if line.is_empty() => Ok(None),
            None => Err(damaged()),
        }
    }

    /// Reads the whole header.
    ///
    /// # Errors
    /// When the connection is lost, a line is not of that form or comes twice, or there are too many.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        while let Some((key, value)) = self.header()? {
            answer.add(key, value)?;
        }
        Ok(answer)
    }

    /// Demands the end marker, for an answer without a payload.
    ///
    /// # Errors
    /// When the connection is lost, or anything else comes.
    pub fn end(&mut self) -> Result<()> {
        let end = self.end_marker();
        let mut rest = Vec::new();
        let mut limited = (&mut self.from).take(end.len() as u64 + 1);
        limited.read_to_end(&mut rest).map_err(crate::ssh::into_error)?;
        if rest == end.as_bytes() { Ok(()) } else { Err(no_end()) }
    }

    /// Reads records that end with NUL, up to an empty one; returns them with their NULs.
    ///
    /// # Errors
    /// When the connection is lost, or the list is too long.
    pub fn list(&mut self) -> Result<Vec<u8>> {
        let mut list = Vec::new();
        loop {
            let record = self.until(0, LISTS)?;
            match record.as_slice() {
                [0] => return Ok(list),
                [.., 0] if list.len() < LISTS => list.extend(record),
                _ => return Err(damaged()),
            }
        }
    }

    /// Copies the payload, which ends where the end marker does, and demands that marker; takes `limit` bytes at most.
    ///
    /// # Errors
    /// When the connection is lost, the marker is missing, there is more, or `to` cannot be written.
    pub fn payload(&mut self, to: &mut dyn io::Write, limit: u64) -> Result<u64> {
        let end = self.end_marker();
        let mut held = Vec::with_capacity(end.len());
        let mut written = 0;
        loop {
            let chunk = self.from.fill_buf().map_err(crate::ssh::into_error)?;
            if chunk.is_empty() {
                break;
            }
            // All but the last bytes seen so far are payload for certain.
            let length = chunk.len();
            let spare = (held.len() + length).saturating_sub(end.len());
            let from_held = spare.min(held.len());
            let from_chunk = spare - from_held;
            let wrote = to.write_all(&held[..from_held]).and_then(|()| to.write_all(&chunk[..from_chunk]));
            wrote.map_err(|error| Error::failed("cannot keep what the guest sends").source(error))?;
            held.drain(..from_held);
            held.extend(&chunk[from_chunk..]);
            written += spare as u64;
            if written > limit {
                return Err(Error::refused(format!("the guest sends more than {limit} bytes; nothing was changed"))
                    .detail("banger.maxBytes in git's configuration sets how much it may send"));
            }
            self.from.consume(length);
        }
        if held == end.as_bytes() { Ok(written) } else { Err(no_end()) }
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// When the connection is lost before.
    pub fn exactly(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(length).read_to_end(&mut bytes).map_err(crate::ssh::into_error)?;
        if read as u64 == length { Ok(bytes) } else { Err(damaged()) }
    }

    /// Gives the rest of the stream back.
    pub fn into_inner(self) -> R {
        self.from.into_inner()
    }

    fn end_marker(&self) -> String {
        format!("\ngit-banger end {}\n", self.nonce)
    }

    fn until(&mut self, end: u8, limit: usize) -> Result<Vec<u8>> {
        let mut record = Vec::new();
        let mut limited = (&mut self.from).take(limit as u64);
        limited.read_until(end, &mut record).map_err(crate::ssh::into_error)?;
        Ok(record)
    }
}

fn no_end() -> Error {
    Error::unverified("the guest's answer has no end: it was cut, or is not ours")
}

/// Returns the error for an answer that is none.
pub fn damaged() -> Error {
    Error::unverified("the guest's answer is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that hands out its bytes in pieces of a given size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    const WHOLE: &[u8] = b"noise\nprompt> git-banger 1 n\nkey a value\n\na\0b\0\0pay\nload\ngit-banger end n\n";

    fn read(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut stream = Stream::new(Pieces(bytes, piece), "n");
        if !stream.marker()? {
            return Err(Error::unverified("no marker"));
        }
        assert_eq!(stream.answer()?.text("key")?, "a value");
        let list = stream.list()?;
        let mut payload = Vec::new();
        stream.payload(&mut payload, 1 << 20)?;
        Ok((list, payload))
    }

    #[test]
    fn a_stream_is_read_the_same_however_it_arrives() {
        for piece in 1..WHOLE.len() {
            assert_eq!(
                read(WHOLE, piece).unwrap(),
                (b"a\0b\0".to_vec(), b"pay\nload".to_vec()),
                "in pieces of {piece}"
            );
        }
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_an_error() {
        let header = WHOLE.iter().position(|&byte| byte == 0).unwrap();
        for length in header..WHOLE.len() {
            assert!(read(&WHOLE[..length], 7).is_err(), "cut after {length} bytes");
        }
    }

    #[test]
    fn a_guest_that_never_comes_to_the_point_is_left() {
        let mut endless = Stream::new(io::repeat(b'x'), "n");
        assert!(endless.marker().is_err());
        let mut endless = Stream::new(io::repeat(b'\n'), "n");
        assert!(endless.marker().is_err());
        let mut endless = Stream::new(io::repeat(b'x'), "n");
        assert!(endless.header().is_err());
        let lines: String = (0..100_000).map(|number| format!("key{number} value\n")).collect();
        let mut endless = Stream::new(lines.as_bytes().chain(io::repeat(b'x')), "n");
        assert!(endless.answer().is_err());
        let mut endless = Stream::new(b"\ngit-banger end n\n".chain(io::repeat(b'x')), "n");
        assert!(endless.end().is_err());
    }

    #[test]
    fn an_answer_without_a_payload_ends_at_once() {
        let ends = |bytes: &[u8]| Stream::new(bytes, "n").end().is_ok();
        let whole = b"\ngit-banger end n\n";
        assert!(ends(whole) && !ends(b"x\ngit-banger end n\n") && !ends(b"\ngit-banger end n\nx"));
        assert!((0..whole.len()).all(|length| !ends(&whole[..length])));
    }
}
