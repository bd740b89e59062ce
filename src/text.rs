//! Text made harmless, and words quoted: what a message may hold of names and of what a guest says.

use std::ffi::OsStr;

/// Which control characters [`sanitise`] lets through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None: for text that belongs on one line.
    Nothing,
    /// Newline and tab.
    Lines,
}

/// Returns the text with control characters, and bytes that are not UTF-8, written as `\xNN`.
///
/// C1 controls and the bidirectional overrides are disarmed too: both steer a terminal.
pub fn sanitise(bytes: &[u8], keep: Keep) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' if keep == Keep::Lines => text.push(c),
                c if overrides(c) => text.extend(c.escape_unicode()),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    for byte in c.encode_utf8(&mut utf8).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Tells whether a character overrides the direction in which text is shown.
fn overrides(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns JSON with the same values, in which no character steers a terminal: JSON itself lets DEL, C1 controls and
/// bidirectional overrides stand.
pub fn json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if overrides(c) || (c.is_control() && !c.is_ascii_whitespace()) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// Returns how much of `bytes` can be sanitised before the rest of a stream is known: all but a character of UTF-8 that
/// is cut at the end.
pub fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    let first = bytes[start..].iter().rposition(|byte| *byte >= 0xc0).map(|at| start + at);
    let length = |first: u8| match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    match first {
        Some(at) if at + length(bytes[at]) > bytes.len() => at,
        _ => bytes.len(),
    }
}

/// Returns the lines of somebody else's text, each made harmless and without the blanks at its end.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.trim_ascii().split(|&byte| byte == b'\n').map(|line| sanitise(line.trim_ascii_end(), Keep::Nothing))
}

/// Returns a name for a command that is proposed; `None` where it cannot be shown as it is, so that the command would
/// name another.
pub fn harmless(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|name| sanitise(bytes, Keep::Nothing) == *name)
}

/// Returns a path, or another name, for a message: in single quotes, made harmless. A quote in it cannot close ours.
pub fn path(bytes: &[u8]) -> String {
    format!("'{}'", sanitise(bytes, Keep::Nothing).replace('\'', r"'\''"))
}

/// Returns an argument as a shell takes it, made harmless: quoted only where it must be.
pub fn shell_word(arg: impl AsRef<OsStr>) -> String {
    let text = sanitise(arg.as_ref().as_encoded_bytes(), Keep::Nothing);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Returns `1 file`, `2 files`.
pub fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitise_disarms_escape_codes_and_keeps_text() {
        assert_eq!(sanitise("a\x1b[31mé\u{9b}\n".as_bytes(), Keep::Nothing), "a\\x1b[31mé\\xc2\\x9b\\x0a");
        assert_eq!(sanitise(b"a\xff\tb\n", Keep::Lines), "a\\xff\tb\n");
        assert_eq!(sanitise("\u{202e}".as_bytes(), Keep::Lines), "\\u{202e}");
        assert_eq!(json("{\"é\":\"\u{9b}\u{7f}\u{2066}\"}\n"), "{\"é\":\"\\u009b\\u007f\\u2066\"}\n");
    }

    #[test]
    fn a_quote_in_a_name_cannot_close_ours() {
        assert_eq!(path(b"/x'; landed 3 'y"), r"'/x'\''; landed 3 '\''y'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!((shell_word("a/b"), shell_word("")), ("a/b".to_owned(), "''".to_owned()));
    }

    #[test]
    fn a_character_that_is_cut_waits_for_its_rest() {
        for text in ["aé", "a€", "a𝄞"] {
            let bytes = text.as_bytes();
            for cut in 1..bytes.len() {
                assert_eq!(whole_characters(&bytes[..cut]), 1, "{text} cut at {cut}");
            }
            assert_eq!(whole_characters(bytes), bytes.len());
        }
        assert_eq!((whole_characters(b""), whole_characters(b"ab\x80"), whole_characters(b"\xff")), (0, 3, 0));
    }
}
