//! `git banger vm`: names for guests, kept in git's configuration.

mod check;

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::{App, report};
use crate::cli::{Vm, VmAdd, VmList, VmRemove};
use crate::error::{Error, Result};
use crate::host::config;
use crate::ssh::Destination;
use crate::vm::check_name;

/// Lists, adds or removes a name, or looks at the guest behind it.
///
/// # Errors
/// When the configuration cannot be written, or the name cannot be used.
pub fn run(args: &Vm, app: &App) -> Result<ExitCode> {
    match args {
        Vm::Check(args) => return check::run(args, app),
        Vm::List(args) => list(args, app),
        Vm::Add(args) => add(args, app),
        Vm::Remove(args) => remove(args, app),
    }?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Listed {
    name: String,
    url: String,
    path: Option<String>,
    prepared: Option<String>,
}

fn list(args: &VmList, app: &App) -> Result<()> {
    let repo = app.repo().ok();
    let mut vms = Vec::new();
    for vm in app.settings.vms() {
        let prepared = match &repo {
            Some(repo) => repo.records(&vm.name)?.prepare.map(|oid| oid.to_string()),
            None => None,
        };
        vms.push(Listed { name: vm.name, url: vm.url, path: vm.path, prepared });
    }
    if args.json {
        return report::json(app.ui(), &vms);
    }
    for vm in &vms {
        let prepared = vm.prepared.as_deref().map(|id| format!("\tprepared at {}", &id[..12])).unwrap_or_default();
        let path = vm.path.as_deref().map(|path| format!("\t{path}")).unwrap_or_default();
        app.ui().data(&format!("{}\t{}{path}{prepared}\n", vm.name, vm.url))?;
    }
    Ok(())
}

fn add(args: &VmAdd, app: &App) -> Result<()> {
    check_name(&args.name)?;
    Destination::parse_url(&args.url)?;
    if let Some(known) = app.settings.vms().into_iter().find(|vm| vm.name == args.name) {
        let command = app.line().banger(["vm", "remove", &known.name]);
        return Err(Error::refused(format!("guest '{}' is known already, as {}", known.name, known.url))
            .with_vm(&known.name)
            .run(command, "forgets that one, and what was recorded about it here"));
    }
    let values = [("url", Some(&args.url)), ("path", args.path.as_ref()), ("base", args.base.as_ref())];
    for (key, value) in values.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        config::set(app.settings.dir(), args.global, &format!("banger.{}.{key}", args.name), value, &app.reporter())?;
    }
    if args.json {
        return report::json(app.ui(), &json!({ "name": args.name, "url": args.url }));
    }
    app.ui().status(&format!("guest '{}' is {}", args.name, args.url));
    Ok(())
}

fn remove(args: &VmRemove, app: &App) -> Result<()> {
    check_name(&args.name)?;
    let named = config::remove_section(app.settings.dir(), &format!("banger.{}", args.name), &app.reporter())?;
    let recorded = match app.repo() {
        Ok(repo) => repo.forget(&args.name)?,
        Err(_) => false,
    };
    if !named && !recorded {
        return Err(Error::refused(format!("no guest '{}' is known here", args.name))
            .with_vm(&args.name)
            .run(app.line().banger(["vm", "list"]), ""));
    }
    if args.json {
        return report::json(app.ui(), &json!({ "name": args.name, "named": named, "recorded": recorded }));
    }
    app.ui().status(&format!("forgot guest '{}'", args.name));
    Ok(())
}
