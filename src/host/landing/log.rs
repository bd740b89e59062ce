//! What landings have changed, for people.

use std::fs::File;
use std::io::Seek;

use super::record::Landing;
use crate::error::{Context, Error, Result};
use crate::host::Repo;
use crate::snapshot::Oid;

/// How much a landing has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Files.
    pub files: u64,
    /// Lines that came.
    pub insertions: u64,
    /// Lines that went.
    pub deletions: u64,
}

impl Stat {
    /// Reads a line of `git diff --shortstat`: ` 2 files changed, 3 insertions(+), 1 deletion(-)`.
    fn parse(line: &str) -> Stat {
        let number = |word: &str| {
            let part = line.split(',').find(|part| part.contains(word))?;
            part.split_whitespace().next()?.parse().ok()
        };
        let number = |word| number(word).unwrap_or_default();
        Stat { files: number("file"), insertions: number("insertion"), deletions: number("deletion") }
    }
}

impl Repo {
    /// Returns how much each of these landings has changed.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn stats(&self, landings: &[Landing]) -> Result<Vec<Stat>> {
        let sides = self.sides(landings)?;
        let input: String = sides.iter().map(|[before, after]| format!("{before} {after}\n")).collect();
        let fixed = ["-c", "core.bigFileThreshold=512m", "diff-tree", "--stdin", "-r", "--shortstat", "--no-renames"];
        let told = if input.is_empty() { Vec::new() } else { self.git.call(fixed).input(input).stdout()? };
        let mut stats: Vec<Stat> = Vec::new();
        for line in String::from_utf8_lossy(&told).lines() {
            // git repeats the two ids, and says nothing of two that are the same.
            match (line.starts_with(' '), stats.last_mut()) {
                (true, Some(stat)) => *stat = Stat::parse(line),
                (true, None) => {}
                (false, _) => stats.push(Stat::default()),
            }
        }
        if stats.len() == landings.len() { Ok(stats) } else { Err(Error::failed("git diff-tree printed too little")) }
    }

    /// Returns what a landing has changed, as a patch.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn landing_patch(&self, landing: &Landing) -> Result<File> {
        let context = || "cannot use a temporary file".to_owned();
        let mut patch = tempfile::tempfile().context(context)?;
        let sides = self.sides(std::slice::from_ref(landing))?;
        let ids = sides.iter().flatten().map(Oid::to_string);
        let fixed = ["diff-tree", "-p", "--binary", "--find-renames", "--no-ext-diff", "--no-textconv", "--no-color"];
        let call = self.git.call(fixed).args(ids);
        call.run_into(patch.try_clone().context(context)?)?.success("git diff-tree")?;
        patch.rewind().context(context)?;
        Ok(patch)
    }

    /// Returns the trees of what each landing found and left.
    fn sides(&self, landings: &[Landing]) -> Result<Vec<[Oid; 2]>> {
        let names = |landing: &Landing| ["before", "after"].map(|side| format!("{}:{side}\n", landing.commit)).concat();
        let input: String = landings.iter().map(names).collect();
        if input.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.git.call(["cat-file", "--batch-check=%(objectname)"]).input(input).stdout()?;
        // 'NAME missing' where there was no file.
        let tree = |line: &str| line.parse().unwrap_or_else(|_| Oid::empty_tree(&self.object_format));
        let trees: Vec<Oid> = String::from_utf8_lossy(&list).lines().map(tree).collect();
        Ok(trees.chunks_exact(2).map(|sides| [sides[0].clone(), sides[1].clone()]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_statistic_is_read() {
        let stat = |files, insertions, deletions| Stat { files, insertions, deletions };
        assert_eq!(Stat::parse(" 2 files changed, 3 insertions(+), 1 deletion(-)"), stat(2, 3, 1));
        assert_eq!(Stat::parse(" 1 file changed, 12 deletions(-)"), stat(1, 0, 12));
        assert_eq!(Stat::parse(" 1 file changed, 0 insertions(+), 0 deletions(-)"), stat(1, 0, 0));
    }
}
