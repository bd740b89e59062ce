//! Takes a guest's bundle in, and believes nothing of it that git has not proven.

use std::path::Path;

use super::Repo;
use crate::error::{Context, Error, Result};
use crate::snapshot::{Change, Snapshot, refuse_reserved};

/// Brings a bundle's objects into the repository, proves that they are what the guest announced, and records the
/// snapshot as `refs/banger/<vm>/snapshot`. Returns the files that differ between the base and the snapshot.
///
/// # Errors
/// [`Error::unverified`] when anything is not as announced, or would steer the host's version control; no ref is
/// changed then, and no file.
pub fn intake(repo: &Repo, vm: &str, bundle: &Path, snapshot: &Snapshot) -> Result<Vec<Change>> {
    let fetch = [
        "-c",
        // Objects that would hurt whoever checks them out: '.git' in any spelling, paths that leave the tree.
        "fetch.fsckObjects=true",
        "-c",
        // Whoever forbids clones from folders does not mean the file that we just wrote.
        "protocol.file.allow=always",
        "-c",
        "fetch.writeCommitGraph=false",
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-prune",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--no-recurse-submodules",
    ];
    let refs = ["refs/banger/snapshot", "refs/banger/base"];
    let output = repo.git.call(fetch).arg(bundle).args(refs).run()?;
    if output.code != Some(0) {
        if is_full(repo, bundle)? {
            return Err(Error::refused("the disk is full: the guest's work does not fit beside the repository")
                .hint(format!("make room, then: git banger fetch {vm}")));
        }
        let said = output.failure("git fetch").to_string();
        return Err(unproven(format!("the work of guest '{vm}' does not verify: {said}")));
    }
    let tree = repo.git.maybe_oid(["rev-parse", "-q", "--verify", &format!("{}^{{tree}}", snapshot.commit)])?;
    if tree.as_ref() != Some(&snapshot.tree) {
        return Err(unproven(format!(
            "guest '{vm}' announced tree {}, which is not what it sent",
            snapshot.tree.short()
        )));
    }
    if repo.commit_parts(&snapshot.commit)?.0 != [snapshot.head.clone()] {
        return Err(unproven(format!("guest '{vm}' announced another HEAD than the one its snapshot is made of")));
    }
    let Ok(changed) = repo.diff(&snapshot.base, &snapshot.commit, true, &[]) else {
        return Err(unproven(format!("guest '{vm}' did not send the base {}", snapshot.base.short())));
    };
    refuse_reserved(changed.iter().filter(|change| change.status != 'D').map(|change| change.path.as_slice()))?;
    repo.update(format!("update {} {}\n", Repo::vm_ref(vm, "snapshot"), snapshot.commit))?;
    Ok(changed)
}

/// Tells whether the disk, and not the bundle, may be what made the intake fail.
fn is_full(repo: &Repo, bundle: &Path) -> Result<bool> {
    let context = || "cannot ask for the room on the disk".to_owned();
    let disk = rustix::fs::statvfs(&repo.git_dir).context(context)?;
    Ok(disk.f_bavail * disk.f_frsize < bundle.metadata().context(context)?.len() + (1 << 20))
}

fn unproven(message: String) -> Error {
    Error::unverified(message).hint("nothing was changed here; the guest still has everything")
}
