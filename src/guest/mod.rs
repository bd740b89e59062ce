//! The guest: one method a script; no git logic in Rust, no knowledge of the host's repository.

mod args;
mod script;
pub mod session;
mod stream;
mod verdict;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};

use crate::error::{Error, Result};
use crate::settings::Vm;
use crate::snapshot::{Change, GITLINK, Note, NoteKind, Oid, Snapshot};
use crate::ssh::{self, Connection, Running};
use crate::ui;

use args::Args;
use stream::Stream;

/// A guest that is connected.
pub struct Guest {
    vm: Vm,
    connection: Connection,
}

/// What a snapshot is taken for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The base, for the guest to resolve; `HEAD` for its own.
    pub base: String,
    /// The prepared head, when there is one.
    pub prepared: Option<Oid>,
    /// The baseline, when prepare shipped more than the prepared head.
    pub baseline: Option<Oid>,
    /// Commits that need not come, for they are here.
    pub haves: Vec<Oid>,
    /// Go on without files that cannot be read.
    pub ignore_unreadable: bool,
    /// Limits the list, a patch and a statistic; relative to the top of the work tree.
    pub pathspecs: Vec<OsString>,
}

/// What comes after the list of changed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A patch for `git apply`.
    Patch,
    /// A bundle for `git fetch`.
    Bundle,
    /// git's table of changed lines.
    Stat,
    /// Nothing.
    Nothing,
}

/// What prepare ships.
pub struct Shipment<'a> {
    /// The branch to be on, without `refs/heads/`; `None` for a detached HEAD.
    pub branch: Option<&'a str>,
    /// The commit to be at.
    pub head: &'a Oid,
    /// The branch has no commit yet; `head` is the empty commit.
    pub unborn: bool,
    /// The commit whose tree the working files get.
    pub baseline: &'a Oid,
    /// `sha1` or `sha256`.
    pub object_format: &'a str,
    /// The worker's name and address, unless the guest has its own.
    pub identity: (&'a str, &'a str),
    /// The commits at which the history ends, if it is not whole.
    pub shallow: &'a [Oid],
    /// The pack that holds it all.
    pub pack: File,
}

/// What a guest was found to have.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Who we are there.
    pub user: String,
    /// Its system.
    pub system: String,
    /// The version of git; empty for none.
    pub git: String,
    /// `absent`, `closed`, `bare`, `readonly` or `ready`.
    pub workspace: String,
    /// The branch that the workspace is on; empty for a detached HEAD.
    pub branch: String,
    /// Where temporary files are.
    pub tmp: String,
    /// How many KiB are free there.
    pub tmp_room: Option<u64>,
    /// How many KiB are free at home.
    pub home_room: Option<u64>,
    /// What sets the process of a session apart.
    pub means: String,
    /// What else sessions miss, in words with blanks between them.
    pub lacks: String,
}

impl Guest {
    /// Connects to the guest.
    ///
    /// # Errors
    /// When it is not reached, not trusted, or does not let us in.
    pub fn connect(vm: &Vm) -> Result<Guest> {
        Ok(Guest { connection: Connection::open(&vm.destination)?, vm: vm.clone() })
    }

    /// Takes a snapshot in the guest, without touching anything there, and writes the payload to `to`.
    ///
    /// # Errors
    /// When the guest cannot do it, the connection is lost, or what arrives is not whole.
    pub fn snapshot(&self, request: &Request, payload: Payload, to: &mut dyn Write) -> Result<Snapshot> {
        let oid = |oid: &Option<Oid>| oid.as_ref().map(Oid::to_string).unwrap_or_default();
        let payload = match payload {
            Payload::Patch => "patch",
            Payload::Bundle => "bundle",
            Payload::Stat => "stat",
            Payload::Nothing => "nothing",
        };
        let args = script::EXPORT
            .args()
            .set("workspace", &self.vm.path)
            .set("base", &request.base)
            .set("payload", payload)
            .flag("ignore_unreadable", request.ignore_unreadable)
            .set("prepared", oid(&request.prepared))
            .set("baseline", oid(&request.baseline))
            .list("haves", request.haves.iter().map(Oid::as_str))
            .words(&request.pathspecs);
        let progress = ui::progress(&format!("receiving from '{}'", self.vm.name));
        let (running, nonce) = self.exec(&args, None)?;
        self.answer(running, &nonce, |stream| {
            let announced = Announced::read(stream)?;
            let notes = notes(&stream.list()?)?;
            let changed = Change::parse_all(&stream.list()?)?;
            stream.payload(&mut progress.count(to))?;
            announced.snapshot(changed, notes)
        })
    }

    /// Makes the workspace in the guest; returns where it is there.
    ///
    /// # Errors
    /// When the guest cannot do it or the connection is lost; nothing is left behind then.
    pub fn prepare(&self, shipment: Shipment<'_>) -> Result<String> {
        let args = script::PREPARE
            .args()
            .set("workspace", &self.vm.path)
            .set("branch", shipment.branch.map(|branch| format!("refs/heads/{branch}")).unwrap_or_default())
            .set("head", shipment.head.as_str())
            .flag("unborn", shipment.unborn)
            .set("baseline", shipment.baseline.as_str())
            .set("object_format", shipment.object_format)
            .set("user_name", shipment.identity.0)
            .set("user_email", shipment.identity.1)
            .list("shallow", shipment.shallow.iter().map(Oid::as_str));
        let progress = ui::progress(&format!("sending to '{}'", self.vm.name));
        let pack = Box::new(progress.count(shipment.pack));
        let (running, nonce) = self.exec(&args, Some(pack))?;
        self.answer(running, &nonce, |stream| {
            let mut path = None;
            while let Some((key, value)) = stream.header()? {
                if key == "path" {
                    path = Some(value);
                }
            }
            stream.payload(&mut io::sink())?;
            path.ok_or_else(|| Error::unverified("the guest did not say where the workspace is"))
        })
    }

    /// Looks at what the guest has, without touching anything there.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn check(&self) -> Result<Findings> {
        let (running, nonce) = self.exec(&script::CHECK.args().set("workspace", &self.vm.path), None)?;
        self.answer(running, &nonce, |stream| {
            let mut found = Findings::default();
            while let Some((key, value)) = stream.header()? {
                match key.as_str() {
                    "user" => found.user = value,
                    "system" => found.system = value,
                    "git" => found.git = value,
                    "workspace" => found.workspace = value,
                    "branch" => found.branch = value,
                    "tmp" => found.tmp = value,
                    "tmp-room" => found.tmp_room = value.parse().ok(),
                    "home-room" => found.home_room = value.parse().ok(),
                    "means" => found.means = value,
                    "lacks" => found.lacks = value,
                    _ => {}
                }
            }
            stream.payload(&mut io::sink())?;
            Ok(found)
        })
    }

    /// Ends the connection.
    pub fn close(self) {
        self.connection.close();
    }

    /// Starts a script; returns with it the word that marks its answer.
    fn exec(&self, args: &Args<'_>, payload: Option<Box<dyn Read + Send>>) -> Result<(Running, String)> {
        let nonce = nonce()?;
        Ok((self.connection.exec(args.call(&nonce, payload)?)?, nonce))
    }

    /// Reads an answer to its end, and judges how the script ended: that tells more than what is missing in the stream.
    fn answer<T>(
        &self,
        running: Running,
        nonce: &str,
        read: impl FnOnce(&mut Stream<Running>) -> Result<T>,
    ) -> Result<T> {
        let mut stream = Stream::new(running, nonce);
        let answer = match stream.marker() {
            Ok(true) => read(&mut stream),
            Ok(false) => Err(Error::unverified(format!("guest '{}' gave no answer", self.vm.name))),
            Err(error) => Err(error),
        };
        let mut running = stream.into_inner();
        if let Err(error) = answer {
            // The rest is of no use, but its length is not known: only a script that has ended can be judged.
            if running.read(&mut [0]).is_ok_and(|read| read > 0) {
                running.cancel();
                return Err(error);
            }
            let exit = running.finish()?;
            return Err(if exit.status == 0 { error } else { self.verdict(&exit) });
        }
        let exit = running.finish()?;
        if exit.status == 0 { answer } else { Err(self.verdict(&exit)) }
    }

    fn verdict(&self, exit: &ssh::Exit) -> Error {
        verdict::verdict(&self.vm.name, exit.status, &exit.stderr)
    }
}

/// The header of an export.
#[derive(Default)]
struct Announced {
    base: Option<Oid>,
    head: Option<Oid>,
    tree: Option<Oid>,
    commit: Option<Oid>,
    branch: Option<String>,
    commits: Option<u64>,
    since: Option<u64>,
}

impl Announced {
    fn read(stream: &mut Stream<Running>) -> Result<Announced> {
        let mut announced = Announced::default();
        let number = |value: &str| {
            let number = value.parse().map_err(|_| Error::unverified("the guest's answer holds a bad number"));
            if value.is_empty() { Ok(None) } else { number.map(Some) }
        };
        while let Some((key, value)) = stream.header()? {
            match key.as_str() {
                "base" => announced.base = Some(value.parse()?),
                "head" => announced.head = Some(value.parse()?),
                "tree" => announced.tree = Some(value.parse()?),
                "commit" => announced.commit = Some(value.parse()?),
                "branch" => announced.branch = value.strip_prefix("refs/heads/").map(str::to_owned),
                "commits" => announced.commits = number(&value)?,
                "since" => announced.since = number(&value)?,
                _ => {}
            }
        }
        Ok(announced)
    }

    fn snapshot(self, changed: Vec<Change>, mut notes: Vec<Note>) -> Result<Snapshot> {
        // One that was committed is as its checkout is, so the script does not see that it moved.
        let is_moved = |note: &&Note| note.kind == NoteKind::MovedSubmodule;
        let seen: HashSet<_> = notes.iter().filter(is_moved).map(|note| note.path.clone()).collect();
        let moved = changed.iter().filter(|change| change.new_mode == GITLINK && !seen.contains(&change.path));
        notes.extend(moved.map(|change| Note { kind: NoteKind::MovedSubmodule, path: change.path.clone() }));
        let missing = || Error::unverified("the guest's answer lacks a part");
        Ok(Snapshot {
            base: self.base.ok_or_else(missing)?,
            head: self.head.ok_or_else(missing)?,
            branch: self.branch,
            tree: self.tree.ok_or_else(missing)?,
            commit: self.commit.ok_or_else(missing)?,
            commits: self.commits.ok_or_else(missing)?,
            since_prepare: self.since,
            changed,
            notes,
        })
    }
}

fn notes(list: &[u8]) -> Result<Vec<Note>> {
    let mut fields = list.split(|&byte| byte == 0);
    let mut notes = Vec::new();
    while let (Some(kind @ [_, ..]), Some(path)) = (fields.next(), fields.next()) {
        let kind = match kind {
            b"nested-repository" => NoteKind::NestedRepository,
            b"dirty-submodule" => NoteKind::DirtySubmodule,
            b"moved-submodule" => NoteKind::MovedSubmodule,
            b"lfs-pointer" => NoteKind::LfsPointer,
            b"unreadable" => NoteKind::Unreadable,
            b"special-file" => NoteKind::SpecialFile,
            b"refused-name" => NoteKind::RefusedName,
            _ => return Err(Error::unverified("the guest's answer holds a note that is not known here")),
        };
        notes.push(Note { kind, path: path.to_vec() });
    }
    Ok(notes)
}

/// Returns a word that the guest could not have known before.
fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    let mut random =
        File::open("/dev/urandom").map_err(|error| Error::bug("cannot read /dev/urandom").source(error))?;
    random.read_exact(&mut bytes).map_err(|error| Error::bug("cannot read /dev/urandom").source(error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
