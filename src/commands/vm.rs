//! `git banger vm`: names for guests, kept in git's configuration.

mod check;

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::{App, report};
use crate::cli::{Vm, VmAdd, VmList, VmRemove};
use crate::error::{Error, Result};
use crate::host::{Repo, config};
use crate::ssh::Destination;
use crate::text;
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
    url: Option<String>,
    path: Option<String>,
    prepared: Option<String>,
    prepared_at: Option<String>,
}

fn list(args: &VmList, app: &App) -> Result<()> {
    let repo = app.repo().ok();
    let named = app.settings.vms();
    let prepared = repo.as_ref().map(Repo::prepared_vms).transpose()?.unwrap_or_default();
    let names: BTreeSet<String> = named.iter().map(|vm| vm.name.clone()).chain(prepared).collect();
    let mut vms = Vec::new();
    for name in names {
        let records = repo.as_ref().map(|repo| repo.records(&name)).transpose()?.unwrap_or_default();
        let vm = named.iter().find(|vm| vm.name == name);
        vms.push(Listed {
            url: vm.map(|vm| vm.url.clone()),
            path: records.path.or_else(|| vm.and_then(|vm| vm.path.clone())),
            prepared: records.prepare.map(|oid| oid.to_string()),
            prepared_at: records.prepared_at,
            name,
        });
    }
    if args.json {
        return report::json(app.ui(), &vms);
    }
    for vm in &vms {
        let prepared = match (&vm.prepared, &vm.prepared_at) {
            (Some(id), Some(time)) => format!("prepared at {} on {time}", &id[..12]),
            _ => "-".to_owned(),
        };
        let field =
            |text: &Option<String>| text::sanitise(text.as_deref().unwrap_or("-").as_bytes(), text::Keep::Nothing);
        let fields = [vm.name.clone(), field(&vm.url), field(&vm.path), prepared];
        app.ui().data(&format!("{}\n", fields.join("\t")))?;
    }
    Ok(())
}

fn add(args: &VmAdd, app: &App) -> Result<()> {
    check_name(&args.name)?;
    Destination::parse_url(&args.url).map_err(|error| match as_url(&args.url) {
        Some(url) => error.run(app.line().banger(words(args, &url)), "says the same as a url"),
        None => error,
    })?;
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

/// Returns the url for what scp and git read as `[user@]host:path`; `None` where it is something else.
fn as_url(text: &str) -> Option<String> {
    let (host, path) = text.split_at(text.find("]:").map_or_else(|| text.find(':'), |at| Some(at + 1))?);
    let path = &path[1..];
    let is_port = path.bytes().all(|byte| byte.is_ascii_digit());
    if is_port || path.starts_with("//") {
        return None;
    }
    let path = path.replace('%', "%25").replace(' ', "%20");
    let path = if path.starts_with('/') { path } else { format!("/~/{}", path.trim_start_matches("~/")) };
    let url = format!("ssh://{host}{path}");
    Destination::parse_url(&url).is_ok().then_some(url)
}

/// Returns the words of the same command with another url.
fn words<'a>(args: &'a VmAdd, url: &'a str) -> Vec<&'a str> {
    let VmAdd { name, url: _, path, base, global, json } = args;
    let mut words = vec!["vm", "add", name, url];
    words.extend(path.iter().flat_map(|path| ["--path", path]));
    words.extend(base.iter().flat_map(|base| ["--base", base]));
    words.extend(global.then_some("--global"));
    words.extend(json.then_some("--json"));
    words
}

fn remove(args: &VmRemove, app: &App) -> Result<()> {
    check_name(&args.name)?;
    let named = config::remove_section(app.settings.dir(), &format!("banger.{}", args.name), &app.reporter())?;
    let (recorded, rescued) = match app.repo() {
        Ok(repo) => (repo.forget(&args.name)?, repo.rescued(&args.name)?),
        Err(_) => (false, Vec::new()),
    };
    if !named && !recorded {
        return Err(Error::refused(format!("no guest '{}' is known here", args.name))
            .with_vm(&args.name)
            .run(app.line().banger(["vm", "list"]), ""));
    }
    if args.json {
        return report::json(
            app.ui(),
            &json!({ "name": args.name, "named": named, "recorded": recorded, "rescued": rescued }),
        );
    }
    app.ui().status(&format!("forgot guest '{}'", args.name));
    for kept in rescued {
        app.ui().status(&format!("work that was rescued stays in {kept}"));
    }
    Ok(())
}
