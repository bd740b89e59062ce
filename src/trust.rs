//! What is trusted: which names a guest may give, and what is said of one that lies.

use crate::error::{Error, Result};
use crate::text;

/// Returns the error for what only a guest that means harm, or is broken, would send.
pub fn deceived(message: impl Into<String>) -> Error {
    Error::unverified(message).detail("nothing was written; inspect the guest before taking anything from it")
}

/// Refuses a path that leaves the working tree, or lies in a directory of version-control metadata.
///
/// git refuses `.git` in every spelling by itself; nothing in it guards `.jj`, whose planted configuration jj 0.45
/// obeys.
///
/// # Errors
/// [`Error::unverified`] that names the path.
pub fn refuse_reserved<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
    for path in paths {
        let parts = || path.split(|&byte| byte == b'/');
        if parts().any(|part| matches!(part, b"" | b"." | b"..")) {
            return Err(deceived(format!("the guest sent {}, which is no path in a repository", text::path(path))));
        }
        if parts().any(|part| part.eq_ignore_ascii_case(b".jj") || part.eq_ignore_ascii_case(b".git")) {
            return Err(deceived(format!(
                "the guest sent {}, which would steer the version control of the host",
                text::path(path)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_working_tree_and_out_of_its_metadata() {
        for good in ["a", "a/b", ".gitignore", "a/.jjx", "...", "a b"] {
            assert!(refuse_reserved([good.as_bytes()]).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", ".git/x", "a/.GIT", ".Jj/repo"] {
            assert!(refuse_reserved([bad.as_bytes()]).is_err(), "{bad}");
        }
    }
}
