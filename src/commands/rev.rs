//! `git banger rev`: the id that `HEAD@prepare` and its like stand for.

use serde_json::json;

use super::base::{NAMES, Recorded};
use super::{App, report};
use crate::cli::Rev;
use crate::error::{Error, Result};
use crate::host::Repo;
use crate::text;

/// Prints the id.
///
/// # Errors
/// If nothing of that name is recorded, or it is not clear for which guest.
pub fn run(args: &Rev, app: &App) -> Result<()> {
    let repo = app.repo()?;
    let kind = Recorded::parse(&args.rev)?
        .ok_or_else(|| Error::usage(format!("{} is not a record", text::path(args.rev.as_bytes()))).detail(NAMES))?;
    let vm = match &args.vm {
        Some(vm) => vm.clone(),
        None => only_prepared(args, &repo, app)?,
    };
    let records = repo.records(&vm)?;
    let id = kind.of(&records, &repo, app)?;
    if args.json {
        return report::json(app.ui(), &json!({ "vm": vm, "rev": args.rev, "id": id }));
    }
    app.ui().data(&format!("{id}\n"))
}

fn only_prepared(args: &Rev, repo: &Repo, app: &App) -> Result<String> {
    let vms = repo.prepared_vms()?;
    match vms.as_slice() {
        [vm] => Ok(vm.clone()),
        [] => Err(Error::refused("no guest was prepared from this repository")
            .detail("prepare one first: git banger prepare, and its name")),
        _ => {
            let error = Error::usage(format!("several guests were prepared from here: {}", vms.join(", ")));
            Err(vms.iter().fold(error, |error, vm| error.run(app.line().banger(["rev", &args.rev, vm]), "")))
        }
    }
}
