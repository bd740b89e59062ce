//! Takes a guest's bundle in, and believes nothing of it that git has not proven.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::Repo;
use crate::error::{Context, Error, Next, Result};
use crate::process::Output;
use crate::snapshot::{Change, Snapshot};
use crate::trust::refuse_reserved;

/// What git says of an object that is named and not there.
const MISSING: [&[u8]; 2] = [b"did not receive expected object", b"unresolved delta"];
/// One line of a bundle's header, in bytes.
const LINE: u64 = 64 << 10;

/// Brings a bundle's objects into the repository, proves that they are what the guest announced, and records the
/// snapshot as `refs/banger/<vm>/snapshot`. Returns the files that differ between the base and the snapshot.
///
/// # Errors
/// [`Error::unverified`] when anything is not as announced, or would steer the host's version control; no ref is
/// changed then, and no file.
pub fn intake(repo: &Repo, vm: &str, bundle: &Path, snapshot: &Snapshot) -> Result<Vec<Change>> {
    let Some(pack) = pack_of(bundle)? else {
        return Err(unproven(format!("what guest '{vm}' sent is no bundle")));
    };
    // Not 'git fetch', which believes a bundle's objects before git 2.46: '.git' in any spelling, paths that leave the
    // tree. This looks at each, and at what it refers to.
    let fixed = ["index-pack", "--stdin", "--fix-thin", "--strict"];
    proven(repo, vm, bundle, "git index-pack", repo.git.call(fixed).input_file(pack).run()?)?;
    // As fetch does it: all that leads there is here.
    let connected = repo.git.call(["rev-list", "--objects", "--quiet", "--stdin", "--not", "--all"]);
    let ends = format!("{}\n{}\n", snapshot.commit, snapshot.base);
    proven(repo, vm, bundle, "git rev-list", connected.input(ends).run()?)?;
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
    let changed = repo.diff(&snapshot.base, &snapshot.commit, true, &[])?;
    refuse_reserved(changed.iter().filter(|change| change.status != 'D').map(|change| change.path.as_slice()))?;
    repo.update(format!("update {} {}\n", Repo::vm_ref(vm, "snapshot"), snapshot.commit))?;
    Ok(changed)
}

/// Opens a bundle where its pack begins; `None` when it is no bundle. What its header says besides is not believed.
fn pack_of(bundle: &Path) -> Result<Option<File>> {
    let context = || "cannot read what the guest sent".to_owned();
    let mut reader = BufReader::new(File::open(bundle).context(context)?);
    let (mut offset, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let length = (&mut reader).take(LINE).read_until(b'\n', &mut line).context(context)?;
        if !line.ends_with(b"\n") || (offset == 0 && !matches!(&*line, b"# v2 git bundle\n" | b"# v3 git bundle\n")) {
            return Ok(None);
        }
        offset += length as u64;
        if line == b"\n" {
            let mut pack = reader.into_inner();
            pack.seek(SeekFrom::Start(offset)).context(context)?;
            return Ok(Some(pack));
        }
    }
}

/// Judges how a proof ended.
fn proven(repo: &Repo, vm: &str, bundle: &Path, what: &str, output: Output) -> Result<()> {
    if output.code == Some(0) {
        return Ok(());
    }
    if is_full(repo, bundle)? {
        return Err(Error::failed("the disk is full: the guest's work does not fit beside the repository")
            .detail("nothing was changed; make room, then fetch again")
            .with_vm(vm)
            .next(Next::Fetch));
    }
    let error = unproven(format!("the work of guest '{vm}' does not verify")).caused_by(output.failure(what));
    let says = |what: &[u8]| output.stderr.windows(what.len()).any(|said| said == what);
    if !MISSING.into_iter().any(says) {
        return Err(error);
    }
    // What a guest's shallow history leaves out, no guest can send.
    Err(error.detail("if the guest's history is not whole, the commits that it starts from must be here first").next(
        match (repo.is_jj(), repo.is_shallow()?) {
            (true, _) => Next::FetchUpstreamInJj,
            (false, true) => Next::Unshallow,
            (false, false) => Next::FetchUpstream,
        },
    ))
}

/// Tells whether the disk, and not the bundle, may be what made the intake fail.
fn is_full(repo: &Repo, bundle: &Path) -> Result<bool> {
    let context = || "cannot ask for the room on the disk".to_owned();
    let disk = rustix::fs::statvfs(&repo.git_dir).context(context)?;
    Ok(disk.f_bavail * disk.f_frsize < bundle.metadata().context(context)?.len() + (1 << 20))
}

fn unproven(message: String) -> Error {
    Error::unverified(message).detail("nothing was changed here; the guest still has everything")
}
