//! `git banger export`: the guest's work as a patch or a bundle, with the list of files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;

use serde::Serialize;

use super::App;
use super::base::Base;
use super::report::{self, List};
use super::taking::request;
use crate::cli::{Export, Format};
use crate::error::{Context, Error, Result};
use crate::guest::Payload;
use crate::host::{Repo, patched};
use crate::interrupt;
use crate::snapshot::Snapshot;
use crate::text::{self, Keep, count, sanitise};
use crate::trust::{deceived, refuse_reserved};

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
    let vm = app.settings.vm(&args.vm, None, name.as_deref())?;
    let records = repo.as_ref().map(|repo| repo.records(&vm.name)).transpose()?;
    let base = Base::choose(args.taking.base_commit.as_deref(), &vm, repo.as_ref().zip(records.as_ref()), app)?;
    let mut request = request(records.as_ref(), &base, &args.taking);
    request.pathspecs = match &repo {
        Some(repo) => repo.pathspecs(&args.pathspecs),
        None => args.pathspecs.clone(),
    };
    if let (Some(repo), Some(records), Format::Bundle) = (&repo, &records, args.format) {
        request.haves = repo.haves(records)?;
        // A bundle is for any repository, and none but this one has the baseline.
        request.haves.retain(|commit| Some(commit) != records.baseline.as_ref());
    }
    let payload = payload(args);
    let mut spool = tempfile::tempfile().context(|| "cannot make a temporary file".to_owned())?;
    let guest = app.connect(&vm)?;
    let snapshot = guest.snapshot(&request, payload, &mut spool)?;
    guest.close();
    report::notes(app.ui(), &snapshot.notes);
    let named = snapshot.changed.iter().flat_map(|change| [Some(&change.path), change.from.as_ref()]);
    refuse_reserved(named.flatten().map(Vec::as_slice))?;

    if payload == Payload::Patch {
        refuse_other_paths(&mut spool, &snapshot, app)?;
    }
    rewind(&mut spool)?;
    match (&args.output, payload) {
        (_, Payload::Stat | Payload::Nothing) => {}
        (Some(path), _) => write_whole(&mut spool, path)?,
        (None, _) => app.ui().data_stream(&mut spool)?,
    }
    print_list(args, app, &vm.name, &snapshot, &mut spool)?;
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

/// Refuses a patch of other files than those that the guest listed, which were looked at.
fn refuse_other_paths(patch: &mut File, snapshot: &Snapshot, app: &App) -> Result<()> {
    let listed = snapshot.changed.iter().flat_map(|change| [Some(&change.path), change.from.as_ref()]);
    let listed: HashSet<&Vec<u8>> = listed.flatten().collect();
    for reverse in [false, true] {
        rewind(patch)?;
        let clone = patch.try_clone().context(|| "cannot use a temporary file".to_owned())?;
        let paths = patched(clone, reverse, &app.reporter())
            .map_err(|error| deceived("git does not take what the guest sent for a patch").caused_by(error))?;
        if let Some(path) = paths.iter().find(|path| !listed.contains(path)) {
            return Err(deceived(format!(
                "the guest sent a patch of {}, which it does not list as changed",
                text::path(path)
            )));
        }
    }
    Ok(())
}

fn rewind(spool: &mut File) -> Result<()> {
    spool.rewind().context(|| "cannot read the temporary file back".to_owned())
}

/// Returns what the guest sends after the list. A list on stdout takes the patch's place there.
fn payload(args: &Export) -> Payload {
    let listed = args.name_only || args.name_status || args.json || args.stat;
    match args.format {
        _ if args.stat => Payload::Stat,
        _ if listed && args.output.is_none() => Payload::Nothing,
        Format::Patch => Payload::Patch,
        Format::Bundle => Payload::Bundle,
    }
}

#[derive(Serialize)]
struct Exported<'a> {
    #[serde(flatten)]
    snapshot: report::JsonSnapshot<'a>,
    files: Vec<report::JsonChange>,
}

fn print_list(args: &Export, app: &App, vm: &str, snapshot: &Snapshot, stat: &mut File) -> Result<()> {
    if args.json {
        let files = report::json_changes(&snapshot.changed);
        report::json(app.ui(), &Exported { snapshot: report::json_snapshot(vm, snapshot), files })
    } else if args.name_only || args.name_status {
        let list = report::list(&snapshot.changed, List { status: args.name_status, nul: args.nul });
        app.ui().data_stream(&mut &*list)
    } else if args.stat {
        print_harmless(stat, app)
    } else {
        Ok(())
    }
}

/// Prints text of the guest's that no program reads: made harmless, also into a pipe.
fn print_harmless(text: &mut File, app: &App) -> Result<()> {
    for line in BufReader::new(text).split(b'\n') {
        let line = line.context(|| "cannot read the temporary file back".to_owned())?;
        app.ui().data(&format!("{}\n", sanitise(&line, Keep::Lines)))?;
    }
    Ok(())
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
