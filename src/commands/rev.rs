//! `git banger rev`: the id that `HEAD@prepare` and its like stand for.

use crate::cli::Rev;
use crate::error::{Error, Result};
use crate::host::{Records, Repo};
use crate::settings::Settings;
use crate::snapshot::Oid;
use crate::ui;

/// Prints the id.
///
/// # Errors
/// When nothing of that name is recorded, or it is not clear for which guest.
pub fn run(args: &Rev, settings: &Settings) -> Result<()> {
    let repo = Repo::open(settings.global().dir.as_deref())?;
    let kind = recorded_kind(&args.rev).ok_or_else(|| {
        Error::usage(format!("{} is not a name that git-banger gives", ui::path(args.rev.as_bytes())))
            .hint("HEAD@prepare, HEAD@baseline or HEAD@snapshot")
    })?;
    let vm = match &args.vm {
        Some(vm) => vm.clone(),
        None => only_prepared(&repo)?,
    };
    ui::data(&format!("{}\n", recorded(&repo.records(&vm)?, kind)?))
}

/// Returns which record a revision names: `HEAD@prepare`, short `@prepare`.
pub fn recorded_kind(rev: &str) -> Option<&'static str> {
    let kind = rev.strip_prefix("HEAD").unwrap_or(rev).strip_prefix('@')?;
    ["prepare", "baseline", "snapshot"].into_iter().find(|known| *known == kind)
}

/// Returns what is recorded for a guest.
///
/// # Errors
/// When nothing is.
pub fn recorded<'a>(records: &'a Records, kind: &str) -> Result<&'a Oid> {
    let (record, next) = match kind {
        "prepare" => (&records.prepare, "prepare"),
        "baseline" => (&records.baseline, "prepare"),
        _ => (&records.snapshot, "fetch"),
    };
    record.as_ref().ok_or_else(|| {
        let vm = &records.vm;
        Error::refused(format!("nothing is recorded here as HEAD@{kind} of guest '{vm}'"))
            .hint(format!("git banger {next} {vm}"))
    })
}

fn only_prepared(repo: &Repo) -> Result<String> {
    let vms = repo.prepared_vms()?;
    match vms.as_slice() {
        [vm] => Ok(vm.clone()),
        [] => Err(Error::refused("no guest was prepared from this repository").hint("git banger prepare <vm>")),
        _ => Err(Error::usage(format!("several guests were prepared from here: {}", vms.join(", ")))
            .hint("name one: git banger rev HEAD@prepare <vm>")),
    }
}
