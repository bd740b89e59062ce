//! What export, fetch, diff, pull and status share: asking guests for their work, and taking it in.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::base::Base;
use super::{App, report, several};
use crate::cli::Taking;
use crate::error::{Error, Result};
use crate::guest::{Guest, Payload, Request};
use crate::host::intake::{Asked, Taken};
use crate::host::scratch::Scratch;
use crate::host::{Records, Repo};
use crate::snapshot::{Claim, Snapshot};
use crate::vm::Vm;

/// A guest that is to be asked for its work, as it is known here.
pub struct Source {
    /// Where it is.
    pub vm: Vm,
    /// What is recorded about it.
    pub records: Records,
    /// What its work is relative to.
    pub base: Base,
}

impl Source {
    /// Looks a guest up.
    ///
    /// # Errors
    /// If its name, its configuration or the base cannot be used.
    pub fn find(name: &str, taking: &Taking, app: &App, repo: &Repo) -> Result<Source> {
        let records = repo.records(name)?;
        let vm = app.settings.vm(name, records.path.as_deref(), Some(&repo.name()))?;
        let base = Base::choose(taking.base_commit.as_deref(), &vm, Some((repo, &records)), app)?;
        Ok(Source { vm, records, base })
    }
}

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
        workspace: None,
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
    let sent = ask(repo, &guest, request)?;
    guest.close();
    judge(app, repo, &vm.name, &base.asked, sent, request)
}

/// Has a guest send its snapshot.
fn ask(repo: &Repo, guest: &Guest, request: &Request) -> Result<(Claim, File)> {
    let pack = repo.temporary_file()?;
    let claim = guest.snapshot(request, &mut pack.as_file())?;
    Ok((claim, pack.into_file()))
}

/// Proves what a guest sent.
fn judge(
    app: &App,
    repo: &Repo,
    vm: &str,
    asked: &Asked,
    (claim, pack): (Claim, File),
    request: &Request,
) -> Result<Taken> {
    Taken::history(repo, vm, asked, claim, pack, &app.settings.rules(), &request.given)
}

/// Work that is in the repository, proven.
pub struct Work {
    /// The guest that it is from.
    pub source: Source,
    /// What came.
    pub snapshot: Snapshot,
    /// The scratch repository that it came in.
    pub scratch: Scratch,
}

/// Brings the guest's snapshot into the repository, proven.
///
/// # Errors
/// If the guest cannot do it, the connection is lost, or what arrives does not verify.
pub fn take(app: &App, repo: &Repo, source: Source, taking: &Taking) -> Result<Work> {
    let taken = receive(app, repo, &source, taking)?;
    keep(app, repo, source, taken)
}

/// Brings the snapshots of several guests into the repository, asking them at the same time. Each is handed over in the
/// order of the names, as soon as it is there.
///
/// # Errors
/// Those of `tell`.
pub fn take_each(
    app: &App,
    repo: &Repo,
    names: &[String],
    taking: &Taking,
    mut tell: impl FnMut(&str, Result<Work>) -> Result<()>,
) -> Result<()> {
    let names = several::once(names);
    // What is recorded is read before anything is written.
    let sources = names.iter().map(|name| (name.as_str(), Source::find(name, taking, app, repo))).collect();
    let sources: Mutex<BTreeMap<&str, Result<Source>>> = Mutex::new(sources);
    let work = |name: &str| {
        let source = sources.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let source = source.ok_or_else(|| Error::bug("a guest is asked twice"))??;
        let taken = receive(app, repo, &source, taking)?;
        Ok((source, taken))
    };
    // What prints and what writes refs is left to one thread.
    several::each(&names, work, |name, taken| {
        tell(name, taken.and_then(|(source, taken)| keep(app, repo, source, taken)))
    })
}

/// Receives a snapshot, and proves it.
fn receive(app: &App, repo: &Repo, source: &Source, taking: &Taking) -> Result<Taken> {
    let Source { vm, records, base } = source;
    let request = request_history(app, records, base, taking)?;
    prove(app, repo, vm, app.connect(vm)?, base, &request)
}

/// Keeps a snapshot in the repository, and says what it holds in another form than the guest.
fn keep(app: &App, repo: &Repo, source: Source, taken: Taken) -> Result<Work> {
    report::notes(app.ui(), &taken.snapshot.notes);
    let (snapshot, scratch) = taken.keep(repo, &source.vm.name)?;
    Ok(Work { source, snapshot, scratch })
}

/// Brings the snapshot of a workspace at `path` into the repository, proven, over a connection that stays open: its files
/// are what counts, on whichever commit they are.
///
/// # Errors
/// As [`take`].
pub fn take_files(app: &App, repo: &Repo, guest: &Guest, records: &Records, path: &str) -> Result<Snapshot> {
    let request = Request {
        workspace: Some(path.to_owned()),
        base: "HEAD".to_owned(),
        prepared: records.prepare.clone(),
        baseline: records.baseline.clone().filter(|_| records.shipped_edits),
        given: records.given(),
        ignore_unreadable: true,
        payload: Payload::History,
        max_bytes: app.settings.max_bytes()?,
    };
    let taken = judge(app, repo, &records.vm, &Asked::Head, ask(repo, guest, &request)?, &request)?;
    taken.keep(repo, &records.vm).map(|(snapshot, _)| snapshot)
}
