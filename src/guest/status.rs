//! What a repository in the guest holds beside what a snapshot takes. All of it is the guest's word.

use serde::Serialize;

use super::stream::damaged;
use super::{Guest, script};
use crate::error::Result;
use crate::snapshot::Oid;

/// So many refs are listed at most, and so many work trees; the script counts the others.
const REFS: usize = 200;
const WORKTREES: usize = 50;
/// A name of more bytes is none: PATH_MAX.
const NAME: usize = 4096;

/// What a snapshot does not take.
#[derive(Debug)]
pub struct Leftovers {
    /// Refs that lead to commits which neither HEAD nor the host leads to.
    pub refs: Vec<OwnRef>,
    /// How many refs were not looked at.
    pub more_refs: u32,
    /// Submodules that have commits which neither their remotes nor their HEAD lead to.
    pub submodules: Vec<OwnRef>,
    /// How many stash entries there are.
    pub stashes: u32,
    /// The other work trees of the repository.
    pub worktrees: Vec<Worktree>,
    /// How many work trees were not looked at.
    pub more_worktrees: u32,
    /// What was begun and has not ended.
    pub operations: Vec<Operation>,
}

/// A ref or a submodule, and how many commits only it has.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnRef {
    /// Its whole name; it need not be UTF-8.
    pub name: Vec<u8>,
    /// How many; `None` where the guest's git cannot tell.
    pub commits: Option<u32>,
}

/// A linked work tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Where it is in the guest.
    pub path: Vec<u8>,
    /// Its branch, as a whole ref; `None` for a detached HEAD.
    pub branch: Option<Vec<u8>>,
    /// How its files are.
    pub state: WorktreeState,
}

/// How the files of a linked work tree are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorktreeState {
    /// As they were committed.
    Clean,
    /// Not so.
    Changed,
    /// They could not be looked at.
    Unknown,
    /// There are none any more.
    Gone,
}

/// What was begun in a workspace and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// `git am`
    Am,
    /// `git rebase`
    Rebase,
    /// `git merge`
    Merge,
    /// `git cherry-pick`
    CherryPick,
    /// `git revert`
    Revert,
    /// `git bisect`
    Bisect,
}

impl Operation {
    /// Returns git's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Am => "am",
            Operation::Rebase => "rebase",
            Operation::Merge => "merge",
            Operation::CherryPick => "cherry-pick",
            Operation::Revert => "revert",
            Operation::Bisect => "bisect",
        }
    }

    fn parse(word: &str) -> Option<Operation> {
        use Operation::{Am, Bisect, CherryPick, Merge, Rebase, Revert};
        [Am, Rebase, Merge, CherryPick, Revert, Bisect].into_iter().find(|operation| operation.word() == word)
    }
}

impl Guest {
    /// Looks at what a snapshot does not take, without touching anything there; `given` are commits that the host knows
    /// this guest to have.
    ///
    /// # Errors
    /// When there is no workspace, its git fails, or the connection is lost.
    pub fn leftovers(&self, given: &[Oid]) -> Result<Leftovers> {
        let args = script::STATUS.args().set("workspace", &self.vm.path).list("given", given.iter().map(Oid::as_str));
        let (running, nonce) = self.exec(&args, None)?;
        self.answer(args.script, running, &nonce, |stream| {
            let answer = stream.answer()?;
            let (refs, submodules, worktrees) = listed(&stream.list()?)?;
            stream.end()?;
            let words = answer.text("operations")?.split_whitespace();
            Ok(Leftovers {
                refs,
                submodules,
                more_refs: answer.number("more-refs")?,
                stashes: answer.number("stashes")?,
                worktrees,
                more_worktrees: answer.number("more-worktrees")?,
                operations: words.map(|word| Operation::parse(word).ok_or_else(damaged)).collect::<Result<_>>()?,
            })
        })
    }
}

/// Reads the records of refs, submodules and work trees.
fn listed(list: &[u8]) -> Result<(Vec<OwnRef>, Vec<OwnRef>, Vec<Worktree>)> {
    let mut fields = list.strip_suffix(b"\0").unwrap_or(list).split(|&byte| byte == 0);
    let (mut refs, mut submodules, mut worktrees) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(kind) = fields.next().filter(|_| !list.is_empty()) {
        let mut field = || fields.next().filter(|field| field.len() <= NAME).ok_or_else(damaged);
        match kind {
            b"ref" | b"submodule" => {
                let (name, commits) = (field()?.to_vec(), std::str::from_utf8(field()?).map_err(|_| damaged())?);
                let commits = if commits == "-" { None } else { Some(commits.parse().map_err(|_| damaged())?) };
                let own = if kind == b"ref" { &mut refs } else { &mut submodules };
                if own.len() == REFS {
                    return Err(damaged());
                }
                own.push(OwnRef { name, commits });
            }
            b"worktree" if worktrees.len() < WORKTREES => {
                let (path, branch) = (field()?.to_vec(), field()?);
                let branch = (branch != b"-").then(|| branch.to_vec());
                let state = match field()? {
                    b"clean" => WorktreeState::Clean,
                    b"changed" => WorktreeState::Changed,
                    b"unknown" => WorktreeState::Unknown,
                    b"gone" => WorktreeState::Gone,
                    _ => return Err(damaged()),
                };
                worktrees.push(Worktree { path, branch, state });
            }
            _ => return Err(damaged()),
        }
    }
    Ok((refs, submodules, worktrees))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_what_is_no_record_or_too_much_is_refused() {
        let list =
            b"ref\0refs/heads/a\x002\0submodule\0s\x001\0ref\0refs/tags/b\0-\0worktree\0/w\0refs/heads/c\0changed\0worktree\0/x\0-\0gone\0";
        let (refs, submodules, worktrees) = listed(list).unwrap();
        assert_eq!(submodules, [OwnRef { name: b"s".to_vec(), commits: Some(1) }]);
        assert_eq!(refs[0], OwnRef { name: b"refs/heads/a".to_vec(), commits: Some(2) });
        assert_eq!(refs[1].commits, None);
        let branch = Some(b"refs/heads/c".to_vec());
        assert_eq!(worktrees[0], Worktree { path: b"/w".to_vec(), branch, state: WorktreeState::Changed });
        assert_eq!((worktrees[1].branch.as_deref(), worktrees[1].state), (None, WorktreeState::Gone));
        assert!(listed(b"").unwrap().0.is_empty());
        let long = [b"ref\0".as_slice(), &[b'x'; NAME + 1], b"\x001\0"].concat();
        let many = b"ref\0x\x001\0".repeat(REFS + 1);
        for bad in [
            &b"ref\0x\0"[..],
            b"ref\0x\0-1\0",
            b"other\0",
            b"\0",
            b"worktree\0x\0\0else\0",
            b"ref\0x\0\xff\0",
            &long,
            &many,
        ] {
            assert!(listed(bad).is_err(), "{:?}", &bad[..bad.len().min(40)]);
        }
    }
}
