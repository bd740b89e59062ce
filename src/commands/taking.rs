//! What export, fetch and pull share: asking a guest for its work, and taking it in.

use std::thread;

use super::base::Base;
use super::{App, report};
use crate::cli::Taking;
use crate::error::{Error, Result};
use crate::guest::{Payload, Request};
use crate::host::{Records, Repo, intake};
use crate::snapshot::{Change, Snapshot};
use crate::vm::Vm;

/// Returns what the guest must know for a snapshot.
pub fn request(records: Option<&Records>, base: &Base, taking: &Taking) -> Request {
    Request {
        base: base.revision.clone(),
        prepared: records.and_then(|records| records.prepare.clone()),
        baseline: records.filter(|records| records.shipped_edits).and_then(|records| records.baseline.clone()),
        haves: Vec::new(),
        ignore_unreadable: taking.ignore_unreadable,
        pathspecs: Vec::new(),
    }
}

/// Brings the guest's snapshot into the repository, proven; returns with it the files that differ from the base.
///
/// # Errors
/// If the guest cannot do it, the connection is lost, or what arrives does not verify.
pub fn take(
    app: &App,
    repo: &Repo,
    vm: &Vm,
    records: &Records,
    base: &Base,
    taking: &Taking,
) -> Result<(Snapshot, Vec<Change>)> {
    let mut request = request(Some(records), base, taking);
    let (guest, haves) = thread::scope(|scope| {
        let haves = scope.spawn(|| repo.haves(records));
        (app.connect(vm), haves.join())
    });
    request.haves = haves.map_err(|_| Error::bug("looking for commits failed"))??;
    let guest = guest?;
    let bundle = repo.temporary_file()?;
    let snapshot = guest.snapshot(&request, Payload::Bundle, &mut bundle.as_file())?;
    guest.close();
    report::notes(app.ui(), &snapshot.notes);
    let changed = intake::intake(repo, &vm.name, bundle.path(), &snapshot)?;
    Ok((snapshot, changed))
}
