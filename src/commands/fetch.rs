//! `git banger fetch`: the guest's snapshot into `refs/banger/<vm>/snapshot`; nothing lands.

use std::thread;

use serde::Serialize;

use super::{report, rev};
use crate::cli::{Fetch, Taking};
use crate::error::{Error, Result};
use crate::guest::{Guest, Payload, Request};
use crate::host::{Records, Repo, intake};
use crate::settings::{Settings, Vm};
use crate::snapshot::{Change, Snapshot};
use crate::ui;

/// Fetches from each guest in turn; a guest that fails does not keep the others from being fetched.
///
/// # Errors
/// The last failure; the others have been printed by then.
pub fn run(args: &Fetch, settings: &Settings) -> Result<()> {
    let repo = Repo::open(settings.global().dir.as_deref())?;
    let mut failure = None;
    for name in &args.vm {
        if let Err(error) = fetch_one(name, args, settings, &repo)
            && let Some(earlier) = failure.replace(error)
        {
            ui::error(&earlier);
        }
    }
    failure.map_or(Ok(()), Err)
}

#[derive(Serialize)]
struct Fetched<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    files: Vec<report::JsonChange>,
}

fn fetch_one(name: &str, args: &Fetch, settings: &Settings, repo: &Repo) -> Result<()> {
    let vm = settings.vm(name, None, Some(&repo.name()))?;
    let records = repo.records(&vm.name)?;
    let base = Base::choose(&args.taking, &vm, Some(&records))?;
    let (snapshot, changed) = take(repo, &vm, &records, &base, &args.taking)?;
    if args.json {
        let snapshot = report::json_snapshot(&vm.name, &snapshot);
        return report::json(&Fetched { snapshot, files: report::json_changes(&changed) });
    }
    ui::status(&format!(
        "fetched {} from '{name}' into {}: {} and {} since {base}",
        snapshot.commit.short(),
        Repo::vm_ref(name, "snapshot"),
        report::count(snapshot.commits, "commit"),
        report::count(changed.len() as u64, "changed file"),
        base = base.shown(&snapshot),
    ));
    ui::hint(&format!("git diff {} {}", snapshot.base.short(), Repo::vm_ref(name, "snapshot")));
    Ok(())
}

/// The base that was asked for.
pub struct Base {
    /// As the user wrote it; `None` when it was left out.
    written: Option<String>,
    /// For the guest to resolve.
    pub revision: String,
}

impl Base {
    /// Returns the base of the flag, else of the configuration, else the guest's HEAD.
    ///
    /// # Errors
    /// When it names what is not recorded here, or cannot be a revision.
    pub fn choose(taking: &Taking, vm: &Vm, records: Option<&Records>) -> Result<Base> {
        let Some(written) = taking.base_commit.clone().or_else(|| vm.base.clone()) else {
            return Ok(Base { written: None, revision: "HEAD".to_owned() });
        };
        if written.is_empty() || written.starts_with('-') || written.contains(char::is_control) {
            return Err(Error::usage(format!("{} cannot be a base", ui::path(written.as_bytes())))
                .hint("HEAD@prepare, or a revision of the guest"));
        }
        let revision = match rev::recorded_kind(&written) {
            Some(kind) => {
                let records = records.ok_or_else(|| {
                    Error::refused(format!("'{written}' is recorded in a repository, and this is none"))
                })?;
                rev::recorded(records, kind)?.to_string()
            }
            None => written.clone(),
        };
        Ok(Base { written: Some(written), revision })
    }

    /// Tells whether the user left the base open.
    pub fn is_open(&self) -> bool {
        self.written.is_none()
    }

    /// Returns the base for a message: as written, and the commit.
    pub fn shown(&self, snapshot: &Snapshot) -> String {
        format!("{} ({})", self.written.as_deref().unwrap_or("HEAD"), snapshot.base.short())
    }
}

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
/// When the guest cannot do it, the connection is lost, or what arrives does not verify.
pub fn take(repo: &Repo, vm: &Vm, records: &Records, base: &Base, taking: &Taking) -> Result<(Snapshot, Vec<Change>)> {
    let mut request = request(Some(records), base, taking);
    let (guest, haves) = thread::scope(|scope| {
        let haves = scope.spawn(|| repo.haves(records));
        (Guest::connect(vm), haves.join())
    });
    request.haves = haves.map_err(|_| Error::bug("looking for commits failed"))??;
    let guest = guest?;
    let bundle = repo.temporary_file()?;
    let snapshot = guest.snapshot(&request, Payload::Bundle, &mut bundle.as_file())?;
    guest.close();
    report::notes(&snapshot.notes);
    let changed = intake::intake(repo, &vm.name, bundle.path(), &snapshot)?;
    Ok((snapshot, changed))
}
