//! The guest: one method a script; no git logic in Rust, no knowledge of the host's repository.

mod answer;
mod args;
mod script;
pub mod session;
pub mod status;
mod stream;
mod verdict;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::error::{Context, Error, Kind, Result};
use crate::reporter::{Reporter, Step};
use crate::snapshot::{Claim, Note, NoteKind, Oid};
use crate::ssh::{self, Connection, Refused, Running};
use crate::vm::Vm;

use answer::Answer;
use args::Args;
use script::Script;
use stream::Stream;

/// A guest that is connected.
pub struct Guest {
    vm: Vm,
    connection: Connection,
    reporter: Arc<dyn Reporter>,
}

/// What a snapshot is taken for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The workspace, if it is another than the vm's.
    pub workspace: Option<String>,
    /// The base, for the guest to resolve; `HEAD` for its own.
    pub base: String,
    /// The prepared head, when there is one.
    pub prepared: Option<Oid>,
    /// The baseline, when prepare shipped more than the prepared head.
    pub baseline: Option<Oid>,
    /// Commits that this guest was given or gave, whose history need not come.
    pub given: Vec<Oid>,
    /// Go on without files that cannot be read.
    pub ignore_unreadable: bool,
    /// Which objects come.
    pub payload: Payload,
    /// How many bytes of them at most.
    pub max_bytes: u64,
}

/// Which objects a guest sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// Base and snapshot, and each tree and file that differs between the two.
    Difference,
    /// All that leads to both, without what leads to the given commits.
    #[default]
    History,
}

/// What prepare ships.
pub struct Shipment<'a> {
    /// The branch to be on, without `refs/heads/`; `None` for a detached HEAD.
    pub branch: Option<&'a OsStr>,
    /// The commit to be at.
    pub head: &'a Oid,
    /// The branch has no commit yet; `head` is the empty commit.
    pub unborn: bool,
    /// The commit whose tree the working files get.
    pub baseline: &'a Oid,
    /// `sha1` or `sha256`.
    pub object_format: &'a str,
    /// The worker's name and address, unless the guest has its own.
    pub identity: (&'a OsStr, &'a OsStr),
    /// The commits at which the history ends, if it is not whole.
    pub shallow: &'a [Oid],
    /// What the host ignores beside its `.gitignore` files.
    pub ignores: &'a [u8],
    /// The pack that holds what the guest lacks of it.
    pub pack: File,
}

/// What is at the path of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing, or an empty folder.
    Free,
    /// Something that no prepare from here has made.
    Taken,
    /// A workspace that was prepared from here.
    Known {
        /// The baseline that it was prepared at.
        there: Oid,
        /// Those of the given commits that it has.
        has: Vec<Oid>,
        /// The commits at which its history ends.
        ends: Vec<Oid>,
    },
}

/// The state of a workspace that is prepared again: it must still be so.
pub struct Before<'a> {
    /// The head of the prepare before.
    pub prepared: Option<&'a Oid>,
    /// Its baseline, if it shipped more than that head.
    pub baseline: Option<&'a Oid>,
    /// The snapshot that was taken.
    pub snapshot: &'a Oid,
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
    pub fn connect(vm: &Vm, reporter: &Arc<dyn Reporter>) -> Result<Guest, Refused> {
        let connection = Connection::open(&vm.destination, reporter)?;
        Ok(Guest { vm: vm.clone(), connection, reporter: Arc::clone(reporter) })
    }

    /// Takes a snapshot in the guest, without touching anything there, and writes the pack that it sends to `to`.
    ///
    /// # Errors
    /// When the guest cannot do it, the connection is lost, or what arrives is not whole, or too large.
    pub fn snapshot(&self, request: &Request, to: &mut dyn Write) -> Result<Claim> {
        let oid = |oid: &Option<Oid>| oid.as_ref().map(Oid::to_string).unwrap_or_default();
        let payload = match request.payload {
            Payload::Difference => "difference",
            Payload::History => "history",
        };
        let args = script::EXPORT
            .args()
            .set("workspace", request.workspace.as_ref().unwrap_or(&self.vm.path))
            .set("base", &request.base)
            .set("payload", payload)
            .flag("ignore_unreadable", request.ignore_unreadable)
            .set("prepared", oid(&request.prepared))
            .set("baseline", oid(&request.baseline))
            .list("given", request.given.iter().map(Oid::as_str));
        let progress = self.reporter.step(Step::Receiving(&self.vm.name));
        let (running, nonce) = self.exec(&args, None)?;
        let taken = self.answer(args.script, running, &nonce, |stream| {
            let mut claim = claim(&stream.answer()?)?;
            claim.notes = notes(&stream.list()?)?;
            stream.payload(&mut progress.count(to), request.max_bytes)?;
            Ok(claim)
        });
        taken.map_err(|error| match error.kind() {
            Kind::Unverified | Kind::Failed => error.detail("nothing was changed; try again"),
            _ => error,
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
            .set("branch", full_name(shipment.branch))
            .set("head", shipment.head.as_str())
            .flag("unborn", shipment.unborn)
            .set("baseline", shipment.baseline.as_str())
            .set("object_format", shipment.object_format)
            .set("user_name", shipment.identity.0.as_bytes())
            .set("user_email", shipment.identity.1.as_bytes())
            .list("shallow", shipment.shallow.iter().map(Oid::as_str))
            .set("ignores", shipment.ignores);
        self.ship(&args, shipment.pack)
    }

    /// Brings the workspace in the guest to what is shipped; returns where it is there.
    ///
    /// # Errors
    /// When the guest cannot do it, or is not as before any more: nothing was changed then. When the connection is lost:
    /// then it is all as before, or all as shipped.
    pub fn prepare_again(&self, shipment: Shipment<'_>, before: &Before<'_>) -> Result<String> {
        let oid = |oid: Option<&Oid>| oid.map(Oid::to_string).unwrap_or_default();
        let args = script::AGAIN
            .args()
            .set("workspace", &self.vm.path)
            .set("base", "HEAD")
            .flag("ignore_unreadable", true)
            .set("prepared", oid(before.prepared))
            .set("baseline", oid(before.baseline))
            .set("expected", before.snapshot.as_str())
            .set("new_branch", full_name(shipment.branch))
            .set("new_head", shipment.head.as_str())
            .flag("unborn", shipment.unborn)
            .set("new_baseline", shipment.baseline.as_str())
            .set("user_name", shipment.identity.0.as_bytes())
            .set("user_email", shipment.identity.1.as_bytes())
            .list("ends", shipment.shallow.iter().map(Oid::as_str))
            .set("ignores", shipment.ignores);
        self.ship(&args, shipment.pack)
    }

    /// Runs a script that takes a pack, and returns where the workspace is.
    fn ship(&self, args: &Args<'_>, pack: File) -> Result<String> {
        let progress = self.reporter.step(Step::Sending(&self.vm.name));
        let pack = Box::new(progress.count(pack));
        self.ask(args, Some(pack))?.text("path").map(str::to_owned)
    }

    /// Looks at what is at the path of a workspace, without touching anything there: `known` are the baselines that this
    /// guest may have been prepared at, `given` the commits that it may have. If it is to be made or changed, `replaced`,
    /// what is in the way of that is an error.
    ///
    /// # Errors
    /// That; and when the connection is lost.
    pub fn look(&self, workspace: &str, known: &[&Oid], given: &[Oid], replaced: bool) -> Result<Place> {
        let args = script::LOOK
            .args()
            .set("workspace", workspace)
            .list("known", known.iter().map(|oid| oid.as_str()))
            .list("given", given.iter().map(Oid::as_str))
            .flag("replaced", replaced);
        let _progress = self.reporter.step(Step::Receiving(&self.vm.name));
        let answer = self.ask(&args, None)?;
        match answer.text("place")? {
            "free" => Ok(Place::Free),
            "taken" if !replaced => Ok(Place::Taken),
            "known" => {
                let there = answer.oid("there")?;
                if !known.contains(&&there) {
                    return Err(answer::unusable("there"));
                }
                let mut has = answer.oids("has")?;
                has.retain(|commit| given.contains(commit));
                Ok(Place::Known { there, has, ends: answer.oids("ends")? })
            }
            _ => Err(answer::unusable("place")),
        }
    }

    /// Looks at what the guest has, without touching anything there.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn check(&self) -> Result<Findings> {
        let answer = self.ask(&script::CHECK.args().set("workspace", &self.vm.path), None)?;
        let text = |key| answer.text(key).map(str::to_owned);
        // What df prints is the guest's own affair.
        let room = |key| answer.text(key).map(|room| room.parse().ok());
        Ok(Findings {
            user: text("user")?,
            system: text("system")?,
            git: text("git")?,
            workspace: text("workspace")?,
            branch: text("branch")?,
            tmp: text("tmp")?,
            tmp_room: room("tmp-room")?,
            home_room: room("home-room")?,
            means: text("means")?,
            lacks: text("lacks")?,
        })
    }

    /// Ends the connection.
    pub fn close(self) {
        self.connection.close();
    }

    /// Starts a script; returns with it the word that marks its answer.
    fn exec(&self, args: &Args<'_>, payload: Option<Box<dyn Read + Send>>) -> Result<(Running, String)> {
        let nonce = nonce()?;
        self.reporter.trace(&args.shown());
        Ok((self.connection.exec(args.call(&nonce, payload)?)?, nonce))
    }

    /// Runs a script whose whole answer is a header.
    fn ask(&self, args: &Args<'_>, payload: Option<Box<dyn Read + Send>>) -> Result<Answer> {
        let (running, nonce) = self.exec(args, payload)?;
        self.answer(args.script, running, &nonce, |stream| {
            let answer = stream.answer()?;
            stream.end()?;
            Ok(answer)
        })
    }

    /// Reads an answer to its end, and judges how the script ended: that tells more than what is missing in the stream.
    fn answer<T>(
        &self,
        script: &Script,
        running: Running,
        nonce: &str,
        read: impl FnOnce(&mut Stream<Running>) -> Result<T>,
    ) -> Result<T> {
        let mut stream = Stream::new(running, nonce);
        let answer = match stream.marker() {
            Ok(true) => read(&mut stream),
            Ok(false) => {
                Err(Error::unverified(format!("guest '{}' gave no answer", self.vm.name)).with_vm(&self.vm.name))
            }
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
            return Err(if exit.status == 0 { error } else { self.verdict(script, &exit) });
        }
        let exit = running.finish()?;
        if exit.status == 0 { answer } else { Err(self.verdict(script, &exit)) }
    }

    fn verdict(&self, script: &Script, exit: &ssh::Exit) -> Error {
        verdict::verdict(script, &self.vm.name, exit.status, &exit.stderr)
    }
}

/// Returns the full name of a branch; empty for none.
fn full_name(branch: Option<&OsStr>) -> Vec<u8> {
    branch.map(|branch| [b"refs/heads/", branch.as_bytes()].concat()).unwrap_or_default()
}

/// Reads the header of an export. What is absurd is refused before anything else is read.
fn claim(answer: &Answer) -> Result<Claim> {
    Ok(Claim {
        format: match answer.text("format")? {
            format @ ("sha1" | "sha256") => format.to_owned(),
            _ => return Err(answer::unusable("format")),
        },
        base: answer.oid("base")?,
        head: answer.oid("head")?,
        branch: answer.text("branch")?.strip_prefix("refs/heads/").map(str::to_owned),
        tree: answer.oid("tree")?,
        commit: answer.oid("commit")?,
        commits: answer.number::<u32>("commits")?.into(),
        since_prepare: answer.maybe_number::<u32>("since")?.map(u64::from),
        without: answer.oids("without")?,
        notes: Vec::new(),
    })
}

fn notes(list: &[u8]) -> Result<Vec<Note>> {
    let mut fields = list.split(|&byte| byte == 0);
    let mut notes = Vec::new();
    while let (Some(kind @ [_, ..]), Some(path)) = (fields.next(), fields.next()) {
        let kind = match kind {
            b"nested-repository" => NoteKind::NestedRepository,
            b"dirty-submodule" => NoteKind::DirtySubmodule,
            b"moved-submodule" => NoteKind::MovedSubmodule,
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
    let context = || "cannot read /dev/urandom".to_owned();
    let mut random = File::open("/dev/urandom").context(context)?;
    random.read_exact(&mut bytes).context(context)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
