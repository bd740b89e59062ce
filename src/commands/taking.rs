//! What export, fetch, pull and status share: asking a guest for its work, and taking it in.

use super::base::Base;
use super::{App, report};
use crate::cli::Taking;
use crate::error::Result;
use crate::guest::{Guest, Payload, Request};
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

/// As [`request`], for the whole history, without what the guest was given or gave.
///
/// # Errors
/// If a setting is wrong.
pub fn request_history(app: &App, records: &Records, base: &Base, taking: &Taking) -> Result<Request> {
    let request = request(app, Some(records), base, taking, Payload::History)?;
    Ok(Request { given: records.given(), ..request })
}

/// Takes a snapshot in the guest, and proves it beside the repository, which does not get it; ends the connection.
///
/// # Errors
/// If the guest cannot do it, the connection is lost, or what arrives does not verify.
pub fn prove(app: &App, repo: &Repo, vm: &Vm, guest: Guest, base: &Base, request: &Request) -> Result<Taken> {
    let pack = repo.temporary_file()?;
    let claim = guest.snapshot(request, &mut pack.as_file())?;
    guest.close();
    let rules = app.settings.rules();
    Taken::history(repo, &vm.name, &base.asked, claim, pack.into_file(), &rules, &request.given)
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
    let request = request_history(app, records, base, taking)?;
    let taken = prove(app, repo, vm, app.connect(vm)?, base, &request)?;
    report::notes(app.ui(), &taken.snapshot.notes);
    taken.keep(repo, &vm.name)
}
