//! Pathspecs as they read from the top of the work tree; see 'pathspec' in gitglossary(7).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Returns the pathspec for a git that runs at the top, where the user wrote it in the folder `prefix`.
///
/// `prefix` is empty or ends with a slash. What the prefix holds is literal, whatever the user's magic says: that is
/// git's own `prefix` magic, by which its commands hand pathspecs to each other.
pub fn from_top(pathspec: &OsStr, prefix: &[u8]) -> OsString {
    let bytes = pathspec.as_bytes();
    if prefix.is_empty() {
        return pathspec.to_owned();
    }
    let (magic, rest) = split_magic(bytes);
    if magic.iter().any(|word| word == b"top") {
        return pathspec.to_owned();
    }
    let (prefix, rest) = climb(prefix, rest);
    let mut words = magic;
    words.push(format!("prefix:{}", prefix.len()).into_bytes());
    let mut result = b":(".to_vec();
    result.extend(words.join(&b','));
    result.push(b')');
    result.extend(prefix);
    result.extend(rest);
    OsString::from_vec(result)
}

/// Splits a pathspec into its magic words, in the long form, and its pattern.
fn split_magic(bytes: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let Some(rest) = bytes.strip_prefix(b":") else { return (Vec::new(), bytes) };
    if let Some(long) = rest.strip_prefix(b"(") {
        if let Some(end) = long.iter().position(|&byte| byte == b')') {
            let words = long[..end].split(|&byte| byte == b',').filter(|word| !word.is_empty());
            return (words.map(<[u8]>::to_vec).collect(), &long[end + 1..]);
        }
        return (Vec::new(), bytes);
    }
    let mut words = Vec::new();
    let mut rest = rest;
    while let [first @ (b'/' | b'!' | b'^'), after @ ..] = rest {
        words.push(if *first == b'/' { b"top".to_vec() } else { b"exclude".to_vec() });
        rest = after;
    }
    (words, rest.strip_prefix(b":").unwrap_or(rest))
}

/// Walks up from the prefix as far as the pattern's leading `./` and `../` say.
fn climb<'a>(mut prefix: &'a [u8], mut rest: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    loop {
        if let Some(after) = rest.strip_prefix(b"./") {
            rest = after;
        } else if rest == b"." {
            rest = b"";
        } else if let Some(after) = rest.strip_prefix(b"..").filter(|after| matches!(after, [] | [b'/', ..])) {
            let Some(folder) = prefix.strip_suffix(b"/") else { return (prefix, rest) };
            prefix = &folder[..folder.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)];
            rest = after.strip_prefix(b"/").unwrap_or(after);
        } else {
            return (prefix, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pathspec_is_read_where_the_user_stands() {
        let cases = [
            ("a", "", "a"),
            ("a", "x/y/", ":(prefix:4)x/y/a"),
            (".", "x/", ":(prefix:2)x/"),
            ("../a", "x/y/", ":(prefix:2)x/a"),
            ("..", "x/", ":(prefix:0)"),
            (":/a", "x/", ":/a"),
            (":!a", "x/", ":(exclude,prefix:2)x/a"),
            (":(icase)a", "x/", ":(icase,prefix:2)x/a"),
            (":(top)a", "x/", ":(top)a"),
        ];
        for (written, prefix, expected) in cases {
            assert_eq!(from_top(OsStr::new(written), prefix.as_bytes()), expected, "{written} in '{prefix}'");
        }
    }
}
