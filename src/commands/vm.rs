//! `git banger vm`: names for guests, kept in git's configuration.

mod check;

use serde::Serialize;

use super::report;
use crate::cli::{Vm, VmAdd, VmList, VmRemove};
use crate::error::{Error, Result};
use crate::host::{Repo, config};
use crate::settings::{Settings, check_name};
use crate::ssh::Destination;
use crate::ui;

/// Lists, adds or removes a name, or looks at the guest behind it.
///
/// # Errors
/// When the configuration cannot be written, or the name cannot be used.
pub fn run(args: &Vm, settings: &Settings) -> Result<()> {
    match args {
        Vm::List(args) => list(args, settings),
        Vm::Add(args) => add(args, settings),
        Vm::Remove(args) => remove(args, settings),
        Vm::Check(args) => check::run(args, settings),
    }
}

#[derive(Serialize)]
struct Listed {
    name: String,
    url: String,
    path: Option<String>,
    prepared: Option<String>,
}

fn list(args: &VmList, settings: &Settings) -> Result<()> {
    let repo = Repo::open(settings.global().dir.as_deref()).ok();
    let mut vms = Vec::new();
    for vm in settings.vms() {
        let prepared = match &repo {
            Some(repo) => repo.records(&vm.name)?.prepare.map(|oid| oid.to_string()),
            None => None,
        };
        vms.push(Listed { name: vm.name, url: vm.url, path: vm.path, prepared });
    }
    if args.json {
        return report::json(&vms);
    }
    for vm in &vms {
        let prepared = vm.prepared.as_deref().map(|id| format!("\tprepared at {}", &id[..12])).unwrap_or_default();
        let path = vm.path.as_deref().map(|path| format!("\t{path}")).unwrap_or_default();
        ui::data(&format!("{}\t{}{path}{prepared}\n", vm.name, vm.url))?;
    }
    Ok(())
}

fn add(args: &VmAdd, settings: &Settings) -> Result<()> {
    check_name(&args.name)?;
    Destination::parse_url(&args.url)?;
    if let Some(known) = settings.vms().into_iter().find(|vm| vm.name == args.name) {
        return Err(Error::refused(format!("guest '{}' is known already, as {}", known.name, known.url))
            .hint(format!("git banger vm remove {}", known.name)));
    }
    let values = [("url", Some(&args.url)), ("path", args.path.as_ref()), ("base", args.base.as_ref())];
    for (key, value) in values.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        config::set(settings.global().dir.as_deref(), args.global, &format!("banger.{}.{key}", args.name), value)?;
    }
    ui::status(&format!("guest '{}' is {}", args.name, args.url));
    Ok(())
}

fn remove(args: &VmRemove, settings: &Settings) -> Result<()> {
    check_name(&args.name)?;
    let dir = settings.global().dir.as_deref();
    let named = config::remove_section(dir, &format!("banger.{}", args.name))?;
    let recorded = match Repo::open(dir) {
        Ok(repo) => repo.forget(&args.name)?,
        Err(_) => false,
    };
    if !named && !recorded {
        return Err(Error::refused(format!("no guest '{}' is known here", args.name)).hint("git banger vm list"));
    }
    ui::status(&format!("forgot guest '{}'", args.name));
    Ok(())
}
