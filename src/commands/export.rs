//! `git banger export`: the guest's work as a patch or a bundle, with the list of files.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;

use serde::Serialize;

use super::base::Base;
use super::report::{self, List};
use super::taking::request;
use super::{App, diff};
use crate::cli::{Export, Format};
use crate::error::{Context, Error, Result};
use crate::guest::{Payload, Request};
use crate::host::Repo;
use crate::host::intake::Taken;
use crate::host::scratch::Scratch;
use crate::interrupt;
use crate::snapshot::{Claim, Oid, Snapshot};
use crate::text::count;

/// Exports; nothing reaches stdout or the file before all of it has arrived, for half a patch applies without a word.
///
/// # Errors
/// When the guest cannot do it, the connection is lost, what arrives does not verify, or the output cannot be written.
pub fn run(args: &Export, app: &App) -> Result<()> {
    if args.format == Format::Bundle && !args.pathspecs.is_empty() {
        return Err(Error::usage("a bundle holds the whole snapshot: pathspecs cannot narrow it"));
    }
    let repo = app.repo().ok();
    let name = repo.as_ref().map(Repo::name);
    let records = repo.as_ref().map(|repo| repo.records(&args.vm)).transpose()?;
    let path = records.as_ref().and_then(|records| records.path.as_deref());
    let vm = app.settings.vm(&args.vm, path, name.as_deref())?;
    let base = Base::choose(args.taking.base_commit.as_deref(), &vm, repo.as_ref().zip(records.as_ref()), app)?;
    let payload = if args.format == Format::Bundle { Payload::History } else { Payload::Difference };
    let mut request = request(app, records.as_ref(), &base, &args.taking, payload)?;
    if payload == Payload::History {
        // A bundle is for any repository, and none but this one has the rest of what the guest was given.
        request.given = records.iter().filter_map(|records| records.prepare.clone()).collect();
    }
    let mut pack = tempfile::tempfile().context(|| "cannot make a temporary file".to_owned())?;
    let guest = app.connect(&vm)?;
    let claim = guest.snapshot(&request, &mut pack)?;
    guest.close();
    let without = claim.without.clone();
    let taken = taken(app, repo.as_ref(), &vm.name, &base, claim, &pack, &request)?;
    report::notes(app.ui(), &taken.snapshot.notes);

    let pathspecs = match &repo {
        Some(repo) => repo.pathspecs(&args.pathspecs),
        None => args.pathspecs.clone(),
    };
    let mut snapshot = taken.snapshot.clone();
    if !pathspecs.is_empty() {
        snapshot.changed = taken.changed(&pathspecs)?;
    }
    let listed = args.name_only || args.name_status || args.json || args.stat;
    if !listed && args.output.is_none() && args.format == Format::Patch && app.ui().is_terminal() {
        diff::shown("diff", taken.show(repo.as_ref(), &diff::colour(app), &pathspecs)?)?;
    } else if args.output.is_some() || !listed {
        let mut spool = match args.format {
            Format::Patch => taken.patch(&pathspecs, request.max_bytes)?,
            Format::Bundle => bundle(&snapshot, &without, &mut pack)?,
        };
        match &args.output {
            Some(path) => write_whole(&mut spool, path)?,
            None => app.ui().data_stream(&mut spool)?,
        }
    }
    print_list(args, app, &vm.name, &snapshot, &taken, &pathspecs)?;
    app.ui().status(&format!(
        "exported {} and {} from '{}' since {}",
        count(snapshot.commits, "commit"),
        count(snapshot.changed.len() as u64, "changed file"),
        vm.name,
        base.shown(&snapshot),
    ));
    warn_of_commits(app, &base, &snapshot);
    Ok(())
}

/// Proves what came, in a repository that goes again.
fn taken(
    app: &App,
    repo: Option<&Repo>,
    vm: &str,
    base: &Base,
    claim: Claim,
    pack: &File,
    request: &Request,
) -> Result<Taken> {
    let pack = pack.try_clone().context(|| "cannot use a temporary file".to_owned())?;
    let rules = app.settings.rules();
    if let (Some(repo), Payload::History) = (repo, request.payload) {
        return Taken::history(repo, vm, &base.asked, claim, pack, &rules, &request.given);
    }
    let scratch = Scratch::apart(&claim.format, &app.reporter())?;
    match request.payload {
        Payload::Difference => Taken::difference(vm, &base.asked, claim, pack, &rules, scratch),
        Payload::History => Taken::whole(vm, &base.asked, claim, pack, &rules, scratch),
    }
}

/// Puts a header in front of a pack, so that any git can fetch from it that has these commits.
fn bundle(snapshot: &Snapshot, without: &[Oid], pack: &mut File) -> Result<File> {
    let context = || "cannot write a temporary file".to_owned();
    let mut file = tempfile::tempfile().context(context)?;
    let mut header = match snapshot.commit.as_str().len() {
        40 => "# v2 git bundle\n".to_owned(),
        _ => "# v3 git bundle\n@object-format=sha256\n".to_owned(),
    };
    header.extend(without.iter().map(|commit| format!("-{commit}\n")));
    header.push_str(&format!("{} refs/banger/snapshot\n{} refs/banger/base\n\n", snapshot.commit, snapshot.base));
    file.write_all(header.as_bytes()).context(context)?;
    pack.rewind().and_then(|()| io::copy(pack, &mut file)).context(context)?;
    file.rewind().context(context)?;
    Ok(file)
}

#[derive(Serialize)]
struct Exported<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    files: Vec<report::JsonChange>,
}

fn print_list(
    args: &Export,
    app: &App,
    vm: &str,
    snapshot: &Snapshot,
    taken: &Taken,
    pathspecs: &[OsString],
) -> Result<()> {
    if args.json {
        let files = report::json_changes(&snapshot.changed);
        report::json(app.ui(), &Exported { snapshot: report::json_snapshot(vm, snapshot), files })
    } else if args.name_only || args.name_status {
        let list = report::list(&snapshot.changed, List { status: args.name_status, nul: args.nul });
        app.ui().data_stream(&mut &*list)
    } else if args.stat {
        app.ui().data_stream(&mut &*taken.stat(pathspecs)?)
    } else {
        Ok(())
    }
}

fn warn_of_commits(app: &App, base: &Base, snapshot: &Snapshot) {
    let (Some(since), true) = (snapshot.since_prepare, base.is_open()) else { return };
    if since > 0 {
        let commits = count(since, "commit");
        app.ui().warn(&format!("the guest has {commits} past the prepared head, not in this export"));
        app.hint(app.line().with("--base-commit", Some("HEAD@prepare")), "exports them too");
        app.hint(app.line().with("--base-commit", Some("HEAD")), "exports the same without this warning");
    }
}

/// Writes a file whole or not at all; what is no plain file, such as a FIFO, or a link to another place, is written to as
/// it is.
fn write_whole(from: &mut File, path: &Path) -> Result<()> {
    let context = || format!("cannot write '{}'", path.display());
    if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let to = interrupt::open_for_writing(path).context(context)?;
        let mut piece = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut piece).context(context)?;
            if length == 0 || !interrupt::write(to.as_fd(), &piece[..length]).context(context)? {
                return Ok(());
            }
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::failed(format!("{}: there is no such directory", context())));
    }
    let mut builder = tempfile::Builder::new();
    // Less what the umask takes, as for any other file.
    let mut to = builder
        .prefix(".git-banger-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .context(context)?;
    io::copy(from, &mut to).context(context)?;
    to.flush().and_then(|()| to.as_file().sync_all()).context(context)?;
    to.persist(path).map(drop).context(context)
}
