//! What a guest holds that has not landed here: prepare refuses to take its place, or saves it first.

use serde::Serialize;

use super::{App, taking};
use crate::error::{Error, Fault, Result};
use crate::guest::Guest;
use crate::host::landing::{self, Replaced};
use crate::host::{Records, Repo};
use crate::snapshot::{NoteKind, Snapshot};
use crate::text::{self, count};

/// Work that was saved.
#[derive(Serialize)]
pub struct Rescued {
    /// The ref that keeps it; none in a dry run.
    #[serde(rename = "ref")]
    name: Option<String>,
    commit: String,
    files: usize,
    /// What it differs from.
    #[serde(skip)]
    since: String,
}

/// Takes a snapshot of the workspace at `path`, which is to be replaced. Work in it that has not landed is refused; or, with
/// `force`, saved. A dry run only says so.
///
/// # Errors
/// That; and as fetch.
pub fn settle(
    app: &App,
    repo: &Repo,
    guest: &Guest,
    records: &Records,
    path: &str,
    (force, dry_run): (bool, bool),
) -> Result<(Snapshot, Option<Rescued>)> {
    let snapshot = taking::take_files(app, repo, guest, records, path)?;
    refuse_unreadable(&records.vm, &snapshot)?;
    let Replaced { since, files } = landing::replaced(repo, records, &snapshot.tree)?;
    if files.is_empty() {
        return Ok((snapshot, None));
    }
    if !force {
        let faults = files.iter().map(|change| {
            let why = match change.status {
                'A' => "is new in the guest",
                'D' => "was deleted in the guest",
                _ => "has changed in the guest",
            };
            Fault { path: change.path.clone(), kind: "unlanded", why: why.to_owned() }
        });
        let (vm, work) = (&records.vm, count(files.len() as u64, "file"));
        let line = app.line();
        return Err(Error::refused(format!(
            "guest '{vm}' holds work in {work} that has not landed; nothing was changed"
        ))
        .with_vm(vm)
        .with_faults(faults)
        .detail(format!("it is in the workspace {}", text::path(path.as_bytes())))
        .run(line.banger(["pull", vm, "--base-commit", "HEAD@prepare"]), "lands it")
        .run(line.with("--force", None), "first saves it in this repository"));
    }
    let (commit, number) = (snapshot.commit.to_string(), files.len());
    let name = if dry_run { None } else { Some(repo.rescue(&records.vm, &snapshot.commit)?) };
    Ok((snapshot, Some(Rescued { name, commit, files: number, since: since.short().to_owned() })))
}

impl Rescued {
    /// Says where the work is.
    pub fn tell(&self, app: &App, repo: &Repo) {
        let files = count(self.files as u64, "file");
        match &self.name {
            Some(name) => {
                app.ui().status(&format!("saved unlanded work in {files} as {name}"));
                app.hint(app.git(repo, &["diff", &self.since, name]), "shows it");
            }
            None => app.ui().status(&format!("would save unlanded work in {files} first")),
        }
    }
}

/// Refuses to replace what no snapshot can hold.
fn refuse_unreadable(vm: &str, snapshot: &Snapshot) -> Result<()> {
    let unreadable = snapshot.notes.iter().filter(|note| note.kind == NoteKind::Unreadable);
    let fault = |path: &Vec<u8>| Fault {
        path: path.clone(),
        kind: "unreadable",
        why: "cannot be read in the guest".to_owned(),
    };
    let faults: Vec<Fault> = unreadable.map(|note| fault(&note.path)).collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!("guest '{vm}' holds files that cannot be saved; nothing was changed"))
        .with_vm(vm)
        .with_faults(faults)
        .detail("make them readable in the guest, then prepare again"))
}
