//! Three trees into one, or the list of conflicts.

use std::ffi::OsString;

use super::git::Git;
use super::{Records, Repo};
use crate::error::{Error, Result};
use crate::snapshot::{Change, Oid, Snapshot};

/// What came of a merge.
pub enum Merged {
    /// The tree that holds both sides' changes.
    Clean(Oid),
    /// The sides disagree.
    Conflicts {
        /// As [`Merged::Clean`], with conflict markers in the files on which they disagree.
        tree: Oid,
        /// These files, sorted.
        paths: Vec<Vec<u8>>,
    },
}

/// Merges what changed between `base` and `theirs` into `ours`; all three are trees.
///
/// # Errors
/// When git cannot do it.
pub fn merge(git: &Git, base: &Oid, ours: &Oid, theirs: &Oid) -> Result<Merged> {
    if theirs == base || theirs == ours {
        return Ok(Merged::Clean(ours.clone()));
    }
    if ours == base {
        return Ok(Merged::Clean(theirs.clone()));
    }
    // 'merge-tree' takes a base from git 2.40 on, and trees from 2.45 on; commits made for the purpose give the same
    // on 2.38 and later (30 of 30 nasty cases on 2.39).
    let commit = |tree: &Oid, parents: &[&Oid]| git.commit(tree, parents, "@0 +0000", "git-banger: merge");
    let root = commit(base, &[])?;
    let (ours, theirs) = (commit(ours, &[&root])?, commit(theirs, &[&root])?);
    let fixed = [
        // The host's edits follow a file that the guest renamed, whatever the configuration says about renames; but
        // a folder that the guest renamed does not take the host's new files along.
        "-c",
        "merge.renames=true",
        "-c",
        "merge.renameLimit=7000",
        "-c",
        "merge.directoryRenames=false",
        "-c",
        "merge.renormalize=false",
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
    ];
    // Conflict markers name the sides as they are named here, and so does git describe: by words, '-g' and an id.
    let sides = [format!("host-g{}", ours.short()), format!("guest-g{}", theirs.short())];
    let output = git.call(fixed).args(sides).run()?;
    if !matches!(output.code, Some(0 | 1)) {
        return Err(output.failure("git merge-tree"));
    }
    let mut fields = output.stdout.split(|&byte| byte == 0);
    let tree = fields.next().and_then(|tree| std::str::from_utf8(tree).ok()).unwrap_or_default();
    let tree = super::git::parse_oid(tree.into())?;
    if output.code == Some(0) {
        return Ok(Merged::Clean(tree));
    }
    let mut paths: Vec<_> = fields.filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect();
    paths.dedup();
    Ok(Merged::Conflicts { tree, paths })
}

/// Returns the tree that both sides agreed on last, from which the guest's work is told apart from the host's.
///
/// That is what landed last, when it was taken since the same base and after the last prepare; else the baseline, when
/// the base is the prepared head; else the base itself.
///
/// # Errors
/// When what is recorded cannot be read.
pub fn agreed(repo: &Repo, records: &Records, snapshot: &Snapshot) -> Result<Oid> {
    if let Some(landing) = super::land::newest(repo, records, &snapshot.base)? {
        return tree_of(repo, &landing);
    }
    match &records.baseline {
        Some(baseline) if records.prepare.as_ref() == Some(&snapshot.base) => tree_of(repo, baseline),
        _ => tree_of(repo, &snapshot.base),
    }
}

/// Returns `ours` with those files of `base` that are on disk, but not among the host's: they came past a `.gitignore`,
/// as the worker had added them, and no look at the host's files shows them again. All three are trees.
///
/// # Errors
/// When one of them cannot be read.
pub fn with_ignored(repo: &Repo, base: &Oid, ours: &Oid) -> Result<Oid> {
    let top = repo.top()?;
    let is_there = |path: &[u8]| {
        let file = super::on_disk(top, path);
        let mut folders = file.ancestors().skip(1).take_while(|folder| *folder != top);
        folders.all(|folder| folder.symlink_metadata().is_ok_and(|folder| folder.is_dir()))
            && file.symlink_metadata().is_ok_and(|file| file.is_file() || file.is_symlink())
    };
    let lost = repo.diff(ours, base, false, &[])?;
    let lost = lost.iter().filter(|change| change.status == 'A' && !change.is_submodule() && is_there(&change.path));
    let paths: Vec<u8> = lost.flat_map(|change| [&change.path, b"\0".as_slice()].concat()).collect();
    if paths.is_empty() {
        return Ok(ours.clone());
    }
    let folder = repo.temporary_folder()?;
    let git = repo.git.with_index(folder.path().join("index"));
    git.call(["read-tree", ours.as_str()]).stdout()?;
    git.call(["update-index", "-z", "--add", "--stdin"]).input(paths).stdout()?;
    git.oid(["write-tree"])
}

/// Returns the tree of a commit.
pub fn tree_of(repo: &Repo, commit: &Oid) -> Result<Oid> {
    repo.git.oid(["rev-parse", "-q", "--verify", &format!("{commit}^{{tree}}")])
}

/// Returns `base` with what the pathspecs choose of `theirs`; both are trees.
///
/// # Errors
/// When the tree cannot be written.
pub fn narrowed(repo: &Repo, base: &Oid, theirs: &Oid, pathspecs: &[OsString]) -> Result<Oid> {
    if pathspecs.is_empty() {
        return Ok(theirs.clone());
    }
    let folder = repo.temporary_folder()?;
    let git = repo.git.with_index(folder.path().join("index"));
    git.call(["read-tree", base.as_str()]).stdout()?;
    let changes = repo.diff(base, theirs, false, pathspecs)?;
    // What goes first makes room: a file that becomes a folder, or the other way round.
    let (gone, come): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.status == 'D');
    git.enter(gone.into_iter().chain(come).map(Change::after))?;
    git.oid(["write-tree"]).map_err(|error| Error::bug("the chosen files make no tree").source(error))
}
