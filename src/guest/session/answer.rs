//! What the guest says of sessions, read into values.

use super::{Ended, Listed, Piece, State};
use crate::error::Result;
use crate::guest::answer::{Answer, unusable};
use crate::guest::stream::{Stream, damaged};
use crate::ssh::Running;

/// A chunk of a log, in bytes; the guest's scripts send less.
const CHUNK: u64 = 1 << 20;

/// Reads chunks of logs to the end of the session, or until `take` wants no more and sets `enough`.
///
/// # Errors
/// When the connection is lost, or the answer is none; and those of `take`.
pub fn pieces(
    stream: &mut Stream<Running>,
    take: &mut impl FnMut(Piece) -> Result<bool>,
    enough: &mut bool,
) -> Result<Option<Ended>> {
    let number = |value: &str| value.parse::<u64>().map_err(|_| damaged());
    stream.answer()?;
    let mut wanted = take(Piece::Open)?;
    let (mut state, mut status) = (None, None);
    while wanted && let Some((key, value)) = stream.header()? {
        match key.as_str() {
            "out" => wanted = take(Piece::Out(stream.exactly(number(&value)?.min(CHUNK))?))?,
            "err" => wanted = take(Piece::Err(stream.exactly(number(&value)?.min(CHUNK))?))?,
            "state" => state = State::parse(&value),
            "status" => status = value.parse().ok(),
            _ => {}
        }
    }
    if !wanted {
        *enough = true;
        return Ok(None);
    }
    stream.end()?;
    Ok(Some(Ended { state: state.ok_or_else(damaged)?, status }))
}

impl State {
    fn parse(word: &str) -> Option<State> {
        match word {
            "running" => Some(State::Running),
            "exited" => Some(State::Exited),
            "gone" => Some(State::Gone),
            _ => None,
        }
    }
}

/// Returns how a session ended.
///
/// # Errors
/// When the answer does not say so.
pub fn ended(answer: &Answer) -> Result<Ended> {
    let state = State::parse(answer.text("state")?).ok_or_else(|| unusable("state"))?;
    Ok(Ended { state, status: answer.maybe_number("status")? })
}

/// Reads a list of sessions.
///
/// # Errors
/// When it is none.
pub fn listed(list: &[u8]) -> Result<Vec<Listed>> {
    let mut sessions = Vec::<Listed>::new();
    for field in String::from_utf8_lossy(list).split_terminator('\0') {
        let (key, value) = field.split_once('=').ok_or_else(damaged)?;
        if key == "name" {
            sessions.push(Listed { name: value.to_owned(), ..Listed::default() });
            continue;
        }
        let session = sessions.last_mut().ok_or_else(damaged)?;
        match key {
            "state" => session.state = State::parse(value).ok_or_else(damaged)?,
            "status" => session.status = value.parse().ok(),
            "pid" => session.pid = value.parse().ok(),
            "started" => session.started = value.parse().ok(),
            "ended" => session.ended = value.parse().ok(),
            "out" => session.stdout = value.parse().map_err(|_| damaged())?,
            "err" => session.stderr = value.parse().map_err(|_| damaged())?,
            "stdin" => session.stdin = value.to_owned(),
            "attached" => session.attached = Some(value.to_owned()),
            "cwd" => session.cwd = value.to_owned(),
            "arg" => session.command.push(value.to_owned()),
            _ => {}
        }
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_session_by_session() {
        let list = b"name=a\0state=exited\0status=7\0out=3\0err=0\0arg=x=\ny\0arg=\0name=b\0state=gone\0status=\0";
        let sessions = listed(list).unwrap();
        assert_eq!((sessions[0].status, &sessions[0].command[..]), (Some(7), &["x=\ny".to_owned(), String::new()][..]));
        assert_eq!((sessions[1].name.as_str(), sessions[1].state, sessions[1].status), ("b", State::Gone, None));
        assert!(listed(b"state=gone\0").is_err() && listed(b"name=a\0state=else\0").is_err());
    }
}
