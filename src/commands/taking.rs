//! What export, fetch and pull share: asking a guest for its work, and taking it in.

use super::base::Base;
use super::{App, report};
use crate::cli::Taking;
use crate::error::Result;
use crate::guest::{Payload, Request};
use crate::host::intake::Taken;
use crate::host::scratch::Scratch;
use crate::host::{Records, Repo};
use crate::snapshot::Snapshot;
use crate::vm::Vm;

/// Returns what the guest must know for a snapshot.
///
/// # Errors
/// If a setting is wrong.
pub fn request(
    app: &App,
    records: Option<&Records>,
    base: &Base,
    taking: &Taking,
    payload: Payload,
) -> Result<Request> {
    Ok(Request {
        base: base.revision.clone(),
        prepared: records.and_then(|records| records.prepare.clone()),
        baseline: records.filter(|records| records.shipped_edits).and_then(|records| records.baseline.clone()),
        given: Vec::new(),
        ignore_unreadable: taking.ignore_unreadable,
        payload,
        max_bytes: app.settings.max_bytes()?,
    })
}

/// Brings the guest's snapshot into the repository, proven; returns with it the scratch repository that it came in.
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
) -> Result<(Snapshot, Scratch)> {
    let mut request = request(app, Some(records), base, taking, Payload::History)?;
    request.given = records.given();
    let guest = app.connect(vm)?;
    let pack = repo.temporary_file()?;
    let claim = guest.snapshot(&request, &mut pack.as_file())?;
    guest.close();
    let rules = app.settings.rules();
    let taken = Taken::history(repo, &vm.name, &base.asked, claim, pack.into_file(), &rules, &request.given)?;
    report::notes(app.ui(), &taken.snapshot.notes);
    taken.keep(repo, &vm.name)
}
