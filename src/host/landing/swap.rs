//! Puts staged files where they are to be, all of them or none.
//!
//! What a landing replaces is moved aside, not copied, and moved back if it fails or is killed. A journal says what is
//! under way: as long as it is there the landing is not whole, and the next command takes it back. Each step back can be
//! repeated, so that an interrupted recovery is no harm.
//!
//! Everything of ours is in a folder beside the working copy's other metadata: `lock`, `journal`, `places` (a list of the
//! folders in which files are staged), and most often the place itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::stage::{Place, Staged, copy, new_name, old_name};
use super::steps::{Source, Step};
use super::{Obstacle, Why};
use crate::error::{Context, Error, Result};
use crate::host::Repo;
use crate::host::entries::folders;
use crate::host::folders::{Folders, Identity, owned, remove_all, split};
use crate::interrupt;
use crate::reporter::Notice;
use crate::text;

/// How often it is looked whether another landing has ended.
const GLANCE: Duration = Duration::from_millis(50);

/// A file that somebody wrote where a landing had written, and that is kept elsewhere now.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// Where it was, relative to the top of the working copy.
    pub path: Vec<u8>,
    /// Where it is now.
    pub kept: PathBuf,
}

/// The right to land in a working copy; there is one.
#[derive(Debug)]
pub struct Lock {
    /// When another command took it last; `None` where none ever did, or it cannot be told.
    pub taken: Option<SystemTime>,
    folder: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock, for a command that is named so; waits as long as this for another that has it.
    ///
    /// # Errors
    /// When another landing is still under way then.
    pub fn take(repo: &Repo, what: &str, limit: Duration) -> Result<Lock> {
        let folder = repo.own_folder()?.join("landing");
        let context = || format!("cannot make '{}'", folder.display());
        fs::create_dir_all(&folder).context(context)?;
        let path = folder.join("lock");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).context(context)?;
        let start = Instant::now();
        let mut told = false;
        while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let other = fs::read(&path).unwrap_or_default();
            let other = text::sanitise(other.trim_ascii(), text::Keep::Nothing);
            let other = if other.is_empty() { "another command".to_owned() } else { other };
            if start.elapsed() >= limit {
                return Err(Error::refused("another landing is under way in this working copy")
                    .detail(format!("it is {other}"))
                    .detail("wait for it, then try again"));
            }
            if !told {
                repo.git.reporter().notice(Notice::Waiting { other });
                told = true;
            }
            interrupt::check()?;
            std::thread::sleep(GLANCE.min(limit));
        }
        let taken = file.metadata().ok().filter(|file| file.len() > 0).and_then(|file| file.modified().ok());
        // Whoever waits wants to know for whom.
        let name = format!("'{what}' (process {})\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(name.as_bytes())).context(context)?;
        // A program that writes for us keeps it: one that outlives us is still at work.
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).context(context)?;
        Ok(Lock { taken, folder, _file: file })
    }

    /// Makes a place to stage files in, on a file system: in our own folder where that is on it, else in the folder `at` of
    /// the working copy.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn place(&self, repo: &Repo, device: u64, at: &[u8]) -> Result<Place> {
        use std::os::unix::fs::MetadataExt;
        let context = || "cannot make a folder for what is to land".to_owned();
        let own = fs::metadata(&self.folder).context(context)?;
        let name = format!("{:08x}", rand());
        let path = if own.dev() == device {
            self.folder.join(format!("stage-{name}"))
        } else {
            repo.top()?.join(owned(at)).join(format!(".git-banger-{name}"))
        };
        // First it is said that it is ours, so that it goes even if we are killed now.
        let list = File::options().append(true).create(true).open(self.folder.join(PLACES)).context(context)?;
        (&list).write_all(&[path.as_os_str().as_bytes(), b"\0"].concat()).context(context)?;
        fs::create_dir(&path).context(context)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).context(context)?;
        let folders = Folders::open(&path)?;
        Ok(Place { path, folders, device })
    }

    /// Takes back a landing that was cut off; returns what it had to set aside, or `None` where there was no such landing.
    ///
    /// # Errors
    /// When a file cannot be put back; all others are, and the next try goes on with it.
    pub fn recover(&self, repo: &Repo) -> Result<Option<Vec<SetAside>>> {
        let path = self.folder.join(JOURNAL);
        let aside = match fs::read(&path) {
            Ok(text) => {
                let journal: Journal = serde_json::from_slice(&text)
                    .map_err(|error| Error::failed(format!("'{}' is damaged", path.display())).source(error))?;
                Some(journal.take_back(repo, &self.folder)?)
            }
            Err(_) => None,
        };
        self.clear();
        Ok(aside)
    }

    /// Removes the places: nothing in them is of use any more.
    pub fn clear(&self) {
        let list = fs::read(self.folder.join(PLACES)).unwrap_or_default();
        for place in list.split(|&byte| byte == 0).filter(|place| !place.is_empty()) {
            let _ = remove_all(Path::new(&owned(place)));
            let _ = fs::remove_file(PathBuf::from(owned(place)).with_extension("index"));
        }
        let _ = fs::remove_file(self.folder.join(PLACES));
    }
}

/// Tells whether a landing is under way, or was cut off in the middle.
pub fn is_under_way(repo: &Repo) -> bool {
    repo.vcs.own_folder(repo).join("landing").join(JOURNAL).exists()
}

/// Tells whether a landing was cut off, be it only after files were staged.
pub fn is_cut_off(repo: &Repo) -> bool {
    let folder = repo.vcs.own_folder(repo).join("landing");
    folder.join(JOURNAL).exists() || folder.join(PLACES).exists()
}

const JOURNAL: &str = "journal";
const PLACES: &str = "places";

/// Returns a number that another run does not have.
fn rand() -> u32 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    time.subsec_nanos() ^ std::process::id().rotate_left(16)
}

/// What a landing is about to do, for taking it back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Journal {
    /// The ref that records the landing.
    landing: String,
    places: Vec<PathBytes>,
    steps: Vec<Move>,
    /// The folders that the landing changes, as they are.
    folders: Vec<(PathBytes, Identity)>,
    /// Folders that are not there.
    missing: Vec<PathBytes>,
}

/// A path: its bytes need not be text.
type PathBytes = Vec<u8>;

/// A step of the landing.
#[derive(Debug, Serialize, Deserialize)]
struct Move {
    path: PathBytes,
    place: usize,
    /// The file that is moved aside.
    old: Option<Identity>,
    /// The file that is moved here.
    new: Option<Identity>,
    /// It is not staged: it is the file that is moved aside in that step.
    from: Option<usize>,
}

/// Why a swap has failed.
pub enum Failure {
    /// These files are not as they were when they were looked at.
    Changed(Vec<Obstacle>),
    /// Something else.
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error)
    }
}

/// A swap that is under way; the journal is written.
pub struct Swap<'a> {
    repo: &'a Repo,
    lock: &'a Lock,
    staged: &'a Staged,
    steps: &'a [Step],
    top: Folders,
    journal: Journal,
}

impl<'a> Swap<'a> {
    /// Looks at every path once more, and writes the journal.
    ///
    /// # Errors
    /// When a file is not as it was; nothing has been touched then.
    pub fn begin(
        repo: &'a Repo,
        lock: &'a Lock,
        staged: &'a Staged,
        steps: &'a [Step],
        landing: String,
    ) -> Result<Swap<'a>, Failure> {
        let top = Folders::open(repo.top()?)?;
        let context = |path: &[u8]| format!("cannot look at {}", text::path(path));
        let going: HashSet<_> =
            steps.iter().filter_map(|step| step.old.as_ref()?.stood).map(|stood| (stood.device, stood.inode)).collect();
        let mut changed = Vec::new();
        for step in steps {
            let found = top.look(&step.path).context(|| context(&step.path))?;
            let expected = step.old.as_ref().and_then(|old| old.stood);
            let is_same = match (found, expected) {
                (found, Some(expected)) => found == Some(expected),
                (_, None) if step.old.is_some() => false,
                // A folder goes if its files do; else it is in the way, which shows when the file is moved there.
                (Some(found), None) => found.is_folder() || going.contains(&(found.device, found.inode)),
                (None, None) => true,
            };
            if !is_same {
                changed.push(Obstacle::new(&step.path, Why::ChangedMeanwhile));
            }
        }
        if !changed.is_empty() {
            return Err(Failure::Changed(changed));
        }
        let journal = Journal::of(&top, staged, steps, landing)?;
        journal.write(&lock.folder)?;
        Ok(Swap { repo, lock, staged, steps, top, journal })
    }

    /// Moves the files.
    ///
    /// # Errors
    /// When one cannot be moved, or is not as it was; [`Swap::take_back`] is due then.
    pub fn run(&self) -> Result<(), Failure> {
        let mut aside = vec![false; self.steps.len()];
        let sources: HashSet<usize> = self.journal.steps.iter().filter_map(|step| step.from).collect();
        let comes: HashSet<&[u8]> =
            self.steps.iter().filter(|step| step.new.is_some()).flat_map(|step| folders(&step.path)).collect();
        // What goes makes room: a folder for a file, or the other way round.
        for (number, step) in self.steps.iter().enumerate() {
            if step.old.is_some() && (step.new.is_none() || sources.contains(&number)) {
                self.set_aside(number)?;
                aside[number] = true;
            }
        }
        for step in self.steps.iter().filter(|step| step.old.is_some() && step.new.is_none()) {
            self.remove_empty_folders(&step.path, &comes);
        }
        for (number, step) in self.steps.iter().enumerate() {
            let Some(new) = &step.new else { continue };
            let context = || format!("cannot write {}", text::path(&step.path));
            self.top.make_parent(&step.path, &mut Vec::new()).context(context)?;
            if step.old.is_some() && !aside[number] {
                self.set_aside(number)?;
            }
            let place = &self.staged.places[step.place];
            let moved = match new.source {
                Source::Moved(from) => self.link(number, from),
                _ => place.folders.rename(&new_name(number), &self.top, &step.path),
            };
            match moved {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Failure::Changed(vec![Obstacle::new(&step.path, Why::ChangedMeanwhile)]));
                }
                moved => moved.context(context)?,
            }
        }
        Ok(())
    }

    /// Moves the file of a step aside, and makes sure that it is the one that was looked at.
    fn set_aside(&self, number: usize) -> Result<(), Failure> {
        let step = &self.steps[number];
        let place = &self.staged.places[step.place];
        let context = || format!("cannot replace {}", text::path(&step.path));
        let moved = self.top.rename(&step.path, &place.folders, &old_name(number));
        if moved
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
        {
            return Err(Failure::Changed(vec![Obstacle::new(&step.path, Why::ChangedMeanwhile)]));
        }
        moved.context(context)?;
        let found = place.folders.look(&old_name(number)).context(context)?;
        if found != step.old.as_ref().and_then(|old| old.stood) {
            return Err(Failure::Changed(vec![Obstacle::new(&step.path, Why::ChangedMeanwhile)]));
        }
        Ok(())
    }

    /// Puts the host's own file of another step where it has moved to. It stays where it is kept, too.
    fn link(&self, number: usize, from: usize) -> io::Result<()> {
        let (old, step) = (&self.steps[from], &self.steps[number]);
        let (there, here) = (&self.staged.places[old.place], &self.staged.places[step.place]);
        let linked = there.folders.link(&old_name(from), &self.top, &step.path);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                // Not every file system has links.
                let staged = new_name(number);
                copy(&there.path.join(owned(&old_name(from))), &here.path.join(owned(&staged)))?;
                here.folders.rename(&staged, &self.top, &step.path)
            }
            linked => linked,
        }
    }

    /// Removes the folders that a path was in and that are empty now, but those in which something is to come.
    fn remove_empty_folders(&self, path: &[u8], comes: &HashSet<&[u8]>) {
        let mut rest = path;
        while let (Some(folder), _) = split(rest) {
            if comes.contains(folder) || self.top.remove_folder(folder).is_err() {
                break;
            }
            rest = folder;
        }
    }

    /// Ends it: the landing is whole.
    ///
    /// # Errors
    /// When the journal cannot be removed; [`Swap::take_back`] is due then.
    pub fn close(self) -> Result<()> {
        let journal = self.lock.folder.join(JOURNAL);
        fs::remove_file(&journal).context(|| format!("cannot remove '{}'", journal.display()))?;
        self.lock.clear();
        Ok(())
    }

    /// Takes the landing back; returns what it had to set aside.
    ///
    /// # Errors
    /// When a file cannot be put back; all others are, and the next command goes on with it.
    pub fn take_back(self) -> Result<Vec<SetAside>> {
        drop(self.top);
        let aside = self.journal.take_back(self.repo, &self.lock.folder)?;
        self.lock.clear();
        Ok(aside)
    }
}

impl Journal {
    fn of(top: &Folders, staged: &Staged, steps: &[Step], landing: String) -> Result<Journal> {
        let mut known: BTreeMap<Vec<u8>, Identity> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        let context = || "cannot look at the working files".to_owned();
        if let Some(there) = top.look(b"").context(context)? {
            known.insert(Vec::new(), there);
        }
        for folder in steps.iter().flat_map(|step| folders(&step.path)) {
            if known.contains_key(folder) || missing.contains(folder) {
                continue;
            }
            match top.look(folder).context(context)? {
                Some(there) if there.is_folder() => drop(known.insert(folder.to_vec(), there)),
                _ => drop(missing.insert(folder.to_vec())),
            }
        }
        let moves = steps.iter().map(|step| Move {
            path: step.path.clone(),
            place: step.place,
            old: step.old.as_ref().and_then(|old| old.stood),
            new: step.new.as_ref().and_then(|new| new.staged),
            from: step.new.as_ref().and_then(|new| match new.source {
                Source::Moved(from) => Some(from),
                _ => None,
            }),
        });
        Ok(Journal {
            landing,
            places: staged.places.iter().map(|place| place.path.as_os_str().as_bytes().to_vec()).collect(),
            steps: moves.collect(),
            folders: known.into_iter().collect(),
            missing: missing.into_iter().collect(),
        })
    }

    /// Writes it whole or not at all: from then on the landing is under way.
    fn write(&self, folder: &Path) -> Result<()> {
        let context = || format!("cannot write in '{}'", folder.display());
        let draft = folder.join("draft");
        let mut file = File::create(&draft).context(context)?;
        serde_json::to_writer(io::BufWriter::new(&mut file), self)
            .map_err(|error| Error::failed(context()).source(error))?;
        file.sync_all().context(context)?;
        fs::rename(draft, folder.join(JOURNAL)).context(context)
    }

    /// Takes the landing back, and removes the journal. Each part can be done again.
    fn take_back(&self, repo: &Repo, folder: &Path) -> Result<Vec<SetAside>> {
        let top = Folders::open(repo.top()?)?;
        // Where a place is not there any more, all that was in it is where it belongs.
        let places: Vec<_> = self.places.iter().map(|place| Folders::open(Path::new(&owned(place))).ok()).collect();
        let (mut aside, mut failed) = (Vec::new(), Vec::new());
        // New files first: one may be where a folder was.
        let with_old = |step: &Move| step.old.is_some();
        let order = (0..self.steps.len()).rev();
        for number in order.clone().filter(|number| !with_old(&self.steps[*number])) {
            self.back(repo, &top, &places, number, &mut aside).unwrap_or_else(|error| failed.push((number, error)));
        }
        for folder in self.missing.iter().rev() {
            let _ = top.remove_folder(folder);
        }
        for number in order.filter(|number| with_old(&self.steps[*number])) {
            self.back(repo, &top, &places, number, &mut aside).unwrap_or_else(|error| failed.push((number, error)));
        }
        for folder in self.missing.iter().rev() {
            let _ = top.remove_folder(folder);
        }
        for (path, before) in &self.folders {
            if let Ok(Some(now)) = top.look(path) {
                if now.mode != before.mode {
                    let _ = top.set_mode(path, before.mode);
                }
                if now.changed != before.changed {
                    let _ = top.set_time(path, before.changed);
                }
            }
        }
        if !failed.is_empty() {
            let mut error = Error::failed("a landing that was cut off cannot be taken back whole");
            for (number, why) in &failed {
                let step = &self.steps[*number];
                error = error.detail(format!("{}: {why}", text::path(&step.path)));
                let kept = Path::new(&owned(&self.places[step.place])).join(owned(&old_name(*number)));
                if kept.symlink_metadata().is_ok() {
                    error = error.detail(format!("what was there is kept as '{}'", kept.display()));
                }
            }
            return Err(error.detail("every other file is as it was before; the next pull tries again"));
        }
        let deletion = format!("delete {}\n", self.landing);
        if repo.git.maybe_oid(["rev-parse", "-q", "--verify", &self.landing])?.is_some() {
            repo.update(deletion)?;
        }
        let journal = folder.join(JOURNAL);
        fs::remove_file(&journal).context(|| format!("cannot remove '{}'", journal.display()))?;
        Ok(aside)
    }

    /// Takes one step back.
    fn back(
        &self,
        repo: &Repo,
        top: &Folders,
        places: &[Option<Folders>],
        number: usize,
        aside: &mut Vec<SetAside>,
    ) -> io::Result<()> {
        let step = &self.steps[number];
        let there = |name: &[u8]| match &places[step.place] {
            Some(place) => place.look(name),
            None => Ok(None),
        };
        let kept = there(&old_name(number))?;
        // It was never moved aside, or is back already: what stands there is no work of ours.
        if step.old.is_some() && kept.is_none() {
            return Ok(());
        }
        let found = top.look(&step.path)?;
        // It was moved here once it is no more where it was staged.
        let has_come = match (step.new, step.from) {
            // Another name of the host's own file, or a copy of it.
            (Some(new), Some(_)) => found.is_some_and(|found| found.is_like(&new)),
            (Some(_), None) => there(&new_name(number))?.is_none(),
            (None, _) => false,
        };
        if has_come || kept.is_some() {
            match found {
                Some(found) if has_come && step.new.is_some_and(|new| found.is_like(&new)) => top.remove(&step.path)?,
                // Where a file was there may be a folder, empty by now unless somebody wrote into it.
                Some(found) if found.is_folder() && (top.remove_folder(&step.path).is_ok() || kept.is_none()) => {}
                Some(_) => {
                    let place = repo.own_folder().and_then(|own| {
                        tempfile::Builder::new()
                            .prefix("set-aside-")
                            .tempdir_in(own)
                            .context(|| "cannot make a folder".to_owned())
                    });
                    let place = place.map_err(io::Error::other)?.keep();
                    let away = Folders::open(&place).map_err(io::Error::other)?;
                    let kept = place.join("file");
                    match top.rename(&step.path, &away, b"file") {
                        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                            let from = repo.top().map_err(io::Error::other)?.join(owned(&step.path));
                            copy(&from, &kept)?;
                            top.remove(&step.path)?;
                        }
                        moved => moved?,
                    }
                    aside.push(SetAside { path: step.path.clone(), kept });
                }
                None => {}
            }
        }
        if let (Some(_), Some(place)) = (kept, &places[step.place]) {
            top.make_parent(&step.path, &mut Vec::new())?;
            place.rename(&old_name(number), top, &step.path)?;
        }
        Ok(())
    }
}
