//! `git banger send`: a message into a session's stdin, whole or not at all.

use std::io::{self, BufRead, BufReader, Write};

use serde::de::IgnoredAny;
use serde_json::json;

use super::session::check_word;
use super::{App, report};
use crate::cli::Send;
use crate::error::{Context, Error, Kind, Result};
use crate::guest::session::{Delivery, Message, Target};
use crate::interrupt;
use crate::text;

/// Sends the message.
///
/// # Errors
/// When the message cannot be had or is not what it should be, the guest does not take it, or it is not known whether
/// it did.
pub fn run(args: &Send, app: &App) -> Result<()> {
    let target = match (&args.session, &args.fifo) {
        (Some(name), _) => Target::Session(check_word(name, "the name of a session")?),
        (None, Some(path)) => Target::Fifo(path),
        (None, None) => return Err(Error::usage("no session is named")),
    };
    let key = args.id.as_deref().map(|key| check_word(key, "a key")).transpose()?;
    let vm = app.vm(&args.vm, Some("."))?;
    let message = Message::build(|to| fill(args, app, to))?;
    let length = message.length();
    if length == 0 && !args.eof {
        return Err(Error::usage("there is nothing to send"));
    }
    let guest = app.connect(&vm)?;
    let delivery = Delivery { timeout: args.timeout, eof: args.eof, key };
    let again = guest.send(target, message, delivery).map_err(|error| match (error.kind(), key) {
        (Kind::Unconfirmed, Some(_)) => error.detail("send it again with the same --id: it is delivered once"),
        (Kind::Unconfirmed, None) => error.detail("a message with an --id can be sent again, and is delivered once"),
        _ => error,
    })?;
    guest.close();
    if args.json {
        let sent = json!({ "vm": vm.name, "session": args.session, "bytes": length, "again": again });
        return report::json(app.ui(), &sent);
    }
    app.ui().status(&match again {
        false => format!("delivered {length} bytes"),
        true => "already delivered; not sent again".to_owned(),
    });
    Ok(())
}

fn fill(args: &Send, app: &App, to: &mut dyn Write) -> Result<()> {
    match (&args.message, &args.file) {
        (Some(text), _) => {
            let newline = if args.no_newline || text.ends_with('\n') { "" } else { "\n" };
            copy(args, &mut format!("{text}{newline}").as_bytes(), to)
        }
        (None, Some(path)) => {
            let name = text::path(path.as_os_str().as_encoded_bytes());
            let file = interrupt::open_for_reading(path).context(|| format!("cannot read {name}"))?;
            copy(args, &mut BufReader::new(file), to)
        }
        (None, None) => copy(args, &mut BufReader::new(app.ui().input()), to),
    }
}

fn copy(args: &Send, from: &mut dyn BufRead, to: &mut dyn Write) -> Result<()> {
    if args.jsonl {
        return copy_lines(from, to, args.no_newline);
    }
    io::copy(from, to).map(drop).context(|| "cannot read the message".to_owned())
}

/// Copies lines, each of which must be JSON.
fn copy_lines(from: &mut dyn BufRead, to: &mut dyn Write, bare: bool) -> Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if from.read_until(b'\n', &mut line).context(|| "cannot read the message".to_owned())? == 0 {
            break;
        }
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&line) {
            let why = error.to_string().replace(" at line 1 column ", " at column ");
            return Err(Error::refused(format!("line {number} is not JSON: {why}")));
        }
        if !line.ends_with(b"\n") && !bare {
            line.push(b'\n');
        }
        to.write_all(&line).context(|| "cannot keep the message".to_owned())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json_pass_and_the_last_one_ends() {
        let mut lines = Vec::new();
        copy_lines(&mut &b"{\"a\": 1}\n[2]\n\"three\""[..], &mut lines, false).unwrap();
        assert_eq!(lines, b"{\"a\": 1}\n[2]\n\"three\"\n");
        for bad in ["{}\n{} {}\n", "\n", "{\"a\": }\n", "{}\n{\"a\":\n1}\n", "\u{feff}{}\n"] {
            assert!(copy_lines(&mut bad.as_bytes(), &mut Vec::new(), false).is_err(), "{bad:?}");
        }
    }
}
