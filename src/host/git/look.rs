//! What stands on disk at a few paths of a git work tree. Nothing else is read, hashed or stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::filters::{ATTRIBUTES, Desk, Indexed, indexed, raw_ids};
use super::lfs;
use crate::error::{Context, Error, Result};
use crate::host::entries::{self, Entries, Entry, GITLINK, PLAIN, PROGRAM, SYMLINK, folders, from_nul};
use crate::host::folders::{Folders, Identity, is_absence, owned, split};
use crate::host::landing::look::{Asked, Form, Here, LineEnds, Ours, Record};
use crate::host::landing::{Obstacle, Why};
use crate::host::scratch::Scratch;
use crate::host::{Repo, config};
use crate::snapshot::{Change, Oid};

/// So many files at most, and so many bytes of them, are looked at for one that may have been renamed here.
const CANDIDATES: (usize, u64) = (1000, 64 << 20);
/// Files of more bytes are not looked into for their line ends.
const TEXT: u64 = 16 << 20;

/// Looks at what stands where changes would land; `index` is the user's, and stays as it is.
///
/// # Errors
/// When a file there cannot be read, or an object not written.
pub fn look(repo: &Repo, index: &Path, scratch: &Scratch, asked: &Asked<'_>) -> Result<Ours> {
    let looker = Looker {
        repo,
        scratch,
        asked,
        git: scratch.lend(&repo.git).with_index(index),
        folders: Folders::open(repo.top()?)?,
        settings: Settings::read(repo)?,
    };
    looker.look()
}

/// What of the configuration says how files stand for git's content.
struct Settings {
    /// The permission to run a file means nothing here.
    no_modes: bool,
    /// Symlinks are files that hold where they lead.
    no_symlinks: bool,
    /// Line ends are converted in every text.
    converts: bool,
}

impl Settings {
    fn read(repo: &Repo) -> Result<Settings> {
        let mut settings = Settings { no_modes: false, no_symlinks: false, converts: false };
        for (key, value) in config::core(repo)? {
            let no = config::is_no(value.as_deref());
            match key.as_str() {
                "core.filemode" => settings.no_modes = no,
                "core.symlinks" => settings.no_symlinks = no,
                "core.autocrlf" => settings.converts = !no,
                _ => {}
            }
        }
        Ok(settings)
    }
}

struct Looker<'a> {
    repo: &'a Repo,
    scratch: &'a Scratch,
    asked: &'a Asked<'a>,
    git: super::Git,
    folders: Folders,
    settings: Settings,
}

/// A file on disk of which it is to be told what of git's it stands for.
struct Item<'a> {
    path: &'a [u8],
    stood: Identity,
    indexed: Option<Entry>,
    record: Option<&'a Record>,
    /// What was there when both sides agreed, and what is to come; where it is a path of the changes.
    base: Option<Entry>,
    theirs: Option<Entry>,
    /// It is the host's own: git tracks it, or both sides have it in common.
    own: bool,
    /// Its bytes, as a blob; none yet where they need not be read.
    raw: Option<Oid>,
}

impl Looker<'_> {
    fn look(&self) -> Result<Ours> {
        let delta = self.asked.delta;
        let mut ours = Ours::default();
        let context = |path: &[u8]| format!("cannot look at {}", crate::text::path(path));
        let mut found = Vec::new();
        for change in delta {
            found.push(self.folders.look(&change.path).context(|| context(&change.path))?);
        }
        let foreign = self.foreign_folders(&found);
        let paths: BTreeSet<&[u8]> =
            delta.iter().map(|change| change.path.as_slice()).chain(foreign.keys().map(Vec::as_slice)).collect();
        let tracked = indexed(&self.git, &paths.into_iter().collect::<Vec<_>>())?;
        let standing = |found: &Option<Identity>| found.filter(|found| found.is_file() || found.is_symlink());
        let twice = twice(delta, &found);
        let unknown: Vec<&[u8]> = delta
            .iter()
            .zip(&found)
            .filter(|(change, found)| standing(found).is_some() && !tracked.contains_key(&change.path))
            .map(|(change, _)| change.path.as_slice())
            .filter(|path| !self.asked.written.contains_key(*path))
            .collect();
        let known = (self.asked.known)(&unknown)?;
        let mut items = Vec::new();
        for (change, found) in delta.iter().zip(&found) {
            let path = change.path.as_slice();
            let entry = tracked.get(path);
            if entry.is_none()
                && let Some(why) = foreign_ground(path, &tracked, &foreign)
            {
                ours.obstacles.push(Obstacle::new(path, why));
                continue;
            }
            if let Some(Indexed { mode: GITLINK, entry: Some(entry), .. }) = entry {
                ours.files.insert(path.to_vec(), Here::absent(entry.clone()));
                continue;
            }
            match (standing(found), entry) {
                (Some(_), _) if twice.contains(path) => {}
                (Some(stood), entry) => {
                    if stood.is_file() && !self.folders.is_readable(path) {
                        ours.obstacles.push(Obstacle::new(path, Why::Unreadable));
                        continue;
                    }
                    let record = self.asked.written.get(path);
                    items.push(Item {
                        path,
                        stood,
                        indexed: entry.and_then(|entry| entry.entry.clone()),
                        own: entry.is_some() || record.is_some() || known.contains(path),
                        record,
                        base: Entry::before(change),
                        theirs: Entry::after(change),
                        raw: None,
                    });
                }
                // Kept off the disk, it is what the index says.
                (None, Some(Indexed { skipped: true, entry: Some(entry), .. })) if found.is_none() => {
                    ours.files.insert(path.to_vec(), Here::absent(entry.clone()));
                }
                (None, _) => {}
            }
        }
        self.tell(items, "look", &mut ours)?;
        self.look_elsewhere(&mut ours, &tracked)?;
        Ok(ours)
    }

    /// Returns the folders on the way that may be submodules: repositories, and, where nothing stands at the path, those
    /// that are not there or hold nothing. Tells of each whether it is a repository.
    fn foreign_folders(&self, found: &[Option<Identity>]) -> BTreeMap<Vec<u8>, bool> {
        let mut foreign = BTreeMap::new();
        let mut seen: HashMap<&[u8], Option<bool>> = HashMap::new();
        for (change, found) in self.asked.delta.iter().zip(found) {
            for folder in folders(&change.path) {
                let is_empty = || found.is_none() && self.folders.list(folder).is_ok_and(|list| list.is_empty());
                let is_repository = *seen.entry(folder).or_insert_with(|| match self.folders.look(folder) {
                    Ok(Some(there)) if there.is_folder() => {
                        let is_repository = self.folders.is_repository(folder);
                        (is_repository || is_empty()).then_some(is_repository)
                    }
                    Ok(Some(_)) | Err(_) => None,
                    Ok(None) => Some(false),
                });
                foreign.extend(is_repository.map(|is_repository| (folder.to_vec(), is_repository)));
            }
        }
        foreign
    }

    /// Tells of each file what of git's it stands for; `folder` is for those that are converted.
    fn tell(&self, mut items: Vec<Item<'_>>, folder: &str, ours: &mut Ours) -> Result<()> {
        let changed = self.read(&mut items)?;
        items.retain(|item| !changed.contains(item.path));
        ours.obstacles.extend(changed.iter().map(|path| Obstacle::new(path, Why::ChangedMeanwhile)));
        let mut odd = Vec::new();
        for item in items {
            let read = item.raw.as_ref();
            let recorded = item.record.filter(|record| read.is_none_or(|raw| *raw == record.raw));
            let candidates = [
                recorded.map(|record| Entry { mode: record.mode, blob: record.blob.clone() }),
                item.indexed.clone().filter(|entry| read == Some(&entry.blob)),
                item.theirs.clone().filter(|entry| !item.own && read == Some(&entry.blob)),
            ];
            match candidates.into_iter().flatten().next() {
                Some(entry) => {
                    let here = self.here(&item, entry, Form::AsWritten);
                    ours.files.insert(item.path.to_vec(), here);
                }
                None => odd.push(item),
            }
        }
        if odd.is_empty() { Ok(()) } else { self.tell_odd(odd, folder, ours) }
    }

    /// Returns what stands at the path of an item, if its content is that of `like`.
    fn here(&self, item: &Item<'_>, like: Entry, form: Form) -> Here {
        let raw = item.raw.clone().or_else(|| item.record.map(|record| record.raw.clone()));
        Here { entry: Entry { mode: self.mode(item, &like), blob: like.blob }, stood: Some(item.stood), raw, form }
    }

    /// Returns the mode of a file on disk, as far as it has one that means something there.
    fn mode(&self, item: &Item<'_>, like: &Entry) -> u32 {
        let known = item.record.map(|record| record.mode).or(item.indexed.as_ref().map(|entry| entry.mode));
        let known = known.unwrap_or(like.mode);
        if item.stood.is_symlink() || (self.settings.no_symlinks && known == SYMLINK) {
            SYMLINK
        } else if self.settings.no_modes {
            if known == PROGRAM { PROGRAM } else { PLAIN }
        } else if item.stood.mode & 0o100 != 0 {
            PROGRAM
        } else {
            PLAIN
        }
    }

    /// Reads the files whose bytes are not known yet; returns those that are no files any more. git is not asked: it would
    /// go where a symlink leads that somebody puts in a folder's place.
    fn read<'i>(&self, items: &mut [Item<'i>]) -> Result<HashSet<&'i [u8]>> {
        let is_known = |item: &Item<'_>| item.record.is_some_and(|record| record.is(&item.stood));
        let mut items: Vec<&mut Item<'_>> = items.iter_mut().filter(|item| !is_known(item)).collect();
        let mut changed = HashSet::new();
        let links = self.scratch.path("links");
        let context = |path: &[u8]| format!("cannot read {}", crate::text::path(path));
        let mut names = Vec::new();
        for item in items.iter().filter(|item| !item.stood.is_file()) {
            let target = self.folders.read_link(item.path).context(|| context(item.path))?;
            let name = names.len().to_string();
            fs::create_dir_all(&links)
                .and_then(|()| fs::write(links.join(&name), target))
                .context(|| "cannot write a temporary file".to_owned())?;
            names.push(name.into_bytes());
        }
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let mut link_ids = raw_ids(&self.git, &links, &names, true)?.into_iter();
        for item in &mut items {
            if !item.stood.is_file() {
                item.raw = link_ids.next();
                continue;
            }
            match self.folders.blob_id(item.path, &self.repo.object_format) {
                Ok(id) => item.raw = Some(id.parse()?),
                Err(error) if is_absence(&error) => drop(changed.insert(item.path)),
                Err(error) => return Err(error).context(|| context(item.path)),
            }
        }
        Ok(changed)
    }

    /// Tells of files whose bytes are not what git has: they were edited, or are converted.
    fn tell_odd(&self, odd: Vec<Item<'_>>, folder: &str, ours: &mut Ours) -> Result<()> {
        let desk = Desk::new(&self.git, &self.scratch.path(folder))?;
        let paths: Vec<&[u8]> = odd.iter().map(|item| item.path).collect();
        desk.obey(&paths)?;
        let converted = desk.converted(&paths)?;
        let is_converted =
            |item: &Item<'_>| item.stood.is_file() && (self.settings.converts || converted.contains(item.path));
        let (odd, plain): (Vec<_>, Vec<_>) = odd.into_iter().partition(is_converted);
        let odd = self.tell_untouched(&desk, odd, ours)?;
        let (own, foreign): (Vec<_>, Vec<_>) = plain
            .into_iter()
            .map(|item| (item, true))
            .chain(odd.into_iter().map(|item| (item, false)))
            .partition(|(item, _)| item.own);
        for (item, _) in foreign {
            if item.base.is_some() && item.theirs.is_some() {
                ours.obstacles.push(Obstacle::new(item.path, Why::UntrackedByGit));
            }
            ours.foreign.insert(item.path.to_vec());
        }
        let (plain, edited): (Vec<_>, Vec<_>) = own.into_iter().partition(|(_, is_plain)| *is_plain);
        let items = |items: Vec<(_, bool)>| items.into_iter().map(|(item, _)| item).collect();
        self.tell_plain(items(plain), ours)?;
        self.tell_edited(&desk, items(edited), ours)
    }

    /// Tells of files that nothing converts: they are what they are.
    fn tell_plain(&self, plain: Vec<Item<'_>>, ours: &mut Ours) -> Result<()> {
        let paths: Vec<&[u8]> = plain.iter().filter(|item| item.stood.is_file()).map(|item| item.path).collect();
        let copies = self.scratch.path("plain");
        for path in &paths {
            self.copy(path, &copies)?;
        }
        let mut ids = raw_ids(&self.git, &copies, &paths, true)?.into_iter();
        for item in &plain {
            let kept = if item.stood.is_file() { ids.next() } else { item.raw.clone() };
            let Some(blob) = kept else { continue };
            let here = self.here(item, Entry { mode: PLAIN, blob }, Form::AsWritten);
            ours.files.insert(item.path.to_vec(), here);
        }
        Ok(())
    }

    /// Tells of files that are what a checkout would write; returns the others.
    fn tell_untouched<'i>(&self, desk: &Desk, odd: Vec<Item<'i>>, ours: &mut Ours) -> Result<Vec<Item<'i>>> {
        // What both sides agreed on comes first: of a filter whose results differ each time, the index may hold another.
        let agreed = |item: &Item<'_>| if item.own { item.base.clone() } else { item.theirs.clone() };
        let indexed = |item: &Item<'_>| item.indexed.clone().filter(|_| item.own);
        let rest = self.tell_written(desk, odd, agreed, "agreed", ours)?;
        let (again, rest): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|item| indexed(item).is_some() && indexed(item) != agreed(item));
        Ok(self.tell_written(desk, again, indexed, "indexed", ours)?.into_iter().chain(rest).collect())
    }

    /// Tells of files that are what a checkout of an entry would write; returns the others.
    fn tell_written<'i>(
        &self,
        desk: &Desk,
        items: Vec<Item<'i>>,
        like: impl Fn(&Item<'_>) -> Option<Entry>,
        name: &str,
        ours: &mut Ours,
    ) -> Result<Vec<Item<'i>>> {
        let files: Entries = items.iter().filter_map(|item| Some((item.path.to_vec(), like(item)?))).collect();
        let written = self.written(desk, &files, name, false)?;
        let mut rest = Vec::new();
        for item in items {
            match like(&item).filter(|_| item.raw.is_some() && written.get(item.path) == item.raw.as_ref()) {
                Some(entry) => {
                    let here = self.here(&item, entry, Form::AsWritten);
                    ours.files.insert(item.path.to_vec(), here);
                }
                None => rest.push(item),
            }
        }
        Ok(rest)
    }

    /// Writes files as a checkout would; returns their bytes, as blobs. A path whose filter fails is not among them.
    fn written(&self, desk: &Desk, files: &Entries, name: &str, keep: bool) -> Result<BTreeMap<Vec<u8>, Oid>> {
        let files: Entries = files
            .iter()
            .filter(|(_, entry)| entry.is_file())
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect();
        if files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let written = desk.write(&files, name)?;
        let failed: HashSet<_> = written.failed.into_iter().collect();
        let paths: Vec<&[u8]> = files.keys().filter(|path| !failed.contains(*path)).map(Vec::as_slice).collect();
        let ids = raw_ids(desk.git(), &desk.place(name), &paths, keep)?;
        let mut bytes: BTreeMap<_, _> = paths.into_iter().map(<[u8]>::to_vec).zip(ids).collect();
        for path in desk.unfiltered(&files, &bytes, &written.said)? {
            bytes.remove(&path);
        }
        Ok(bytes)
    }

    /// Tells of files that were edited and are converted: by their content as git would store it, where writing that back
    /// gives the same bytes; else by their bytes.
    fn tell_edited(&self, desk: &Desk, edited: Vec<Item<'_>>, ours: &mut Ours) -> Result<()> {
        if edited.is_empty() {
            return Ok(());
        }
        // A file of attributes would count in the desk's folder and in its index.
        let is_special = |item: &Item<'_>| split(item.path).1 == ATTRIBUTES;
        for item in edited.iter().filter(|item| !is_special(item)) {
            self.copy(item.path, desk.folder())?;
        }
        // git keeps the line ends of what it had: those of what the guest started from, for these two are merged. The
        // host may have normalized its own meanwhile.
        let seed = |item: &Item<'_>| {
            let base = item.base.clone().filter(Entry::is_file);
            if item.indexed.as_ref().is_none_or(Entry::is_file) {
                base.or(item.indexed.clone())
            } else {
                item.indexed.clone()
            }
        };
        let ordinary = || edited.iter().filter(|item| !is_special(item));
        let seeds = ordinary().filter_map(|item| Some((item.path.to_vec(), seed(item)?))).collect();
        let paths: Vec<&[u8]> = ordinary().map(|item| item.path).collect();
        let mut cleaned = desk.read(&paths, &seeds)?;
        for item in edited.iter().filter(|item| is_special(item)) {
            let file =
                self.folders.read(item.path).context(|| format!("cannot read {}", crate::text::path(item.path)))?;
            let blob = desk.read_one(item.path, file)?;
            cleaned.extend(blob.map(|blob| (item.path.to_vec(), Entry { mode: PLAIN, blob })));
        }
        let again = self.written(desk, &cleaned, "again", false)?;
        let stands = |item: &&Item<'_>| again.contains_key(item.path) && again.get(item.path) != item.raw.as_ref();
        let others =
            edited.iter().filter(stands).filter_map(|item| Some((item.path.to_vec(), cleaned.get(item.path)?)));
        let pointers = lfs::among(desk, &others.map(|(path, entry)| (path, entry.blob.clone())).collect())?;
        let mut inexpressible = Vec::new();
        for item in edited {
            let (Some(entry), Some(back)) = (cleaned.get(item.path), again.get(item.path)) else {
                ours.obstacles.push(Obstacle::new(item.path, Why::FilterFailed));
                continue;
            };
            // A pointer stands for the very bytes from which it was made.
            let form = if item.raw.as_ref() == Some(back) || pointers.contains_key(item.path) {
                Some(Form::AsWritten)
            } else {
                self.near(desk, &item, &desk.place("again"))?
            };
            match form {
                Some(form) => {
                    let here = self.here(&item, entry.clone(), form);
                    ours.files.insert(item.path.to_vec(), here);
                }
                None => inexpressible.push(item),
            }
        }
        self.tell_raw(desk, &inexpressible, ours)
    }

    /// Tells of files whose bytes git's content cannot express, by these: so are what both sides agreed on and what is to
    /// come.
    fn tell_raw(&self, desk: &Desk, items: &[Item<'_>], ours: &mut Ours) -> Result<()> {
        let paths: Vec<&[u8]> = items.iter().map(|item| item.path).collect();
        let copies = self.scratch.path("bytes");
        for path in &paths {
            self.copy(path, &copies)?;
        }
        let ids = raw_ids(&self.git, &copies, &paths, true)?;
        let side = |entry: fn(&Item<'_>) -> Option<Entry>, name| {
            let files = items.iter().filter_map(|item| Some((item.path.to_vec(), entry(item)?))).collect();
            self.written(desk, &files, name, true)
        };
        let base = side(|item| item.base.clone(), "base")?;
        let theirs = side(|item| item.theirs.clone(), "theirs")?;
        for (item, blob) in items.iter().zip(ids) {
            let entry = |bytes: &BTreeMap<Vec<u8>, Oid>, entry: &Option<Entry>| {
                let entry = entry.as_ref()?;
                if !entry.is_file() {
                    return Some(entry.clone());
                }
                Some(Entry { mode: entry.mode, blob: bytes.get(item.path)?.clone() })
            };
            let is_lost = |bytes: &BTreeMap<_, _>, entry: &Option<Entry>| {
                entry.as_ref().is_some_and(Entry::is_file) && !bytes.contains_key(item.path)
            };
            if is_lost(&base, &item.base) || is_lost(&theirs, &item.theirs) {
                ours.obstacles.push(Obstacle::new(item.path, Why::FilterFailed));
                continue;
            }
            let form = Form::Bytes { base: entry(&base, &item.base), theirs: entry(&theirs, &item.theirs) };
            let here = self.here(item, Entry { mode: PLAIN, blob }, form);
            ours.files.insert(item.path.to_vec(), here);
        }
        Ok(())
    }

    /// Returns the form of a file that differs in its line ends alone from what a checkout would write, or in ids that are
    /// expanded anew with each content.
    fn near(&self, desk: &Desk, item: &Item<'_>, written: &Path) -> Result<Option<Form>> {
        if item.stood.size > TEXT {
            return Ok(None);
        }
        let context = || format!("cannot read {}", crate::text::path(item.path));
        let mut here = Vec::new();
        let mut file = self.folders.read(item.path).context(context)?;
        std::io::Read::read_to_end(&mut file, &mut here).context(context)?;
        let there = fs::read(written.join(owned(item.path))).context(context)?;
        if let Some(ends) = LineEnds::of(&here).filter(|ends| ends.apply(&there) == here) {
            return Ok(Some(Form::LineEnds(ends)));
        }
        let expands = || Ok::<_, Error>(desk.attributes(&[item.path], &["ident"])?.iter().any(|told| told.2 == "set"));
        Ok((collapsed(&here) == collapsed(&there) && expands()?).then_some(Form::AsWritten))
    }

    fn copy(&self, path: &[u8], folder: &Path) -> Result<()> {
        let context = || format!("cannot read {}", crate::text::path(path));
        let to = folder.join(owned(path));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).context(context)?;
        }
        let mut from = self.folders.read(path).context(context)?;
        let mut to = fs::File::create(&to).context(context)?;
        std::io::copy(&mut from, &mut to).context(context).map(drop)
    }

    /// Looks for what may have become of files that both sides had and that are here no more: what is new in the index,
    /// and files that git does not track of the same size or name. Of very many only the likeliest.
    fn look_elsewhere(&self, ours: &mut Ours, tracked: &BTreeMap<Vec<u8>, Indexed>) -> Result<()> {
        let blocked: HashSet<&[u8]> = ours.obstacles.iter().map(|obstacle| obstacle.path.as_slice()).collect();
        let is_missing = |change: &&Change| {
            Entry::before(change).is_some_and(|entry| entry.is_file())
                && !ours.files.contains_key(&change.path)
                && !blocked.contains(change.path.as_slice())
                && matches!(self.folders.look(&change.path), Ok(None))
        };
        let delta = self.asked.delta;
        let missing = self.were_here(delta.iter().filter(is_missing).collect(), tracked)?;
        if missing.is_empty() {
            return Ok(());
        }
        let known: HashSet<&[u8]> = delta.iter().map(|change| change.path.as_slice()).collect();
        let common = self.asked.common.as_str();
        let fixed =
            ["diff-index", "--cached", "-z", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=A", common, "--"];
        let new = Change::parse_all(&self.git.call(fixed).stdout()?)?;
        let fixed = ["-c", "core.sparseCheckout=false", "ls-files", "-z", "-o", "--exclude-standard"];
        let untracked = from_nul(&self.git.call(fixed).stdout()?);
        let sizes = self.git.objects(missing.iter().map(|change| &change.old), |object| object.map(|it| it.size))?;
        let mut sizes: HashSet<u64> = sizes.into_iter().flatten().collect();
        // On disk a file that is converted may have another.
        sizes.extend(missing.iter().filter_map(|change| Some(self.asked.written.get(&change.path)?.size)));
        sizes.extend(sizes_on_disk(&self.git, &missing)?);
        let names: HashSet<&[u8]> = missing.iter().map(|change| split(&change.path).1).collect();
        let blobs: HashSet<&Oid> = missing.iter().map(|change| &change.old).collect();
        // The likeliest first.
        let mut candidates = Vec::new();
        for change in &new {
            let rank =
                if blobs.contains(&change.new) { 0 } else { 2 - usize::from(names.contains(split(&change.path).1)) };
            candidates.push((rank, change.path.as_slice(), Entry::after(change)));
        }
        for path in untracked.iter().filter(|path| !path.ends_with(b"/")) {
            let size = self.folders.look(path).ok().flatten().map(|found| found.size);
            match (names.contains(split(path).1), size.is_some_and(|size| sizes.contains(&size))) {
                (true, true) => candidates.push((0, path, None)),
                (true, false) | (false, true) => candidates.push((1, path, None)),
                (false, false) => {}
            }
        }
        candidates.retain(|(_, path, _)| {
            !known.contains(path) && tracked.get(*path).is_none_or(|entry| entry.mode != GITLINK)
        });
        candidates.sort_by_key(|(rank, path, _)| (*rank, *path));
        candidates.truncate(CANDIDATES.0);
        // What both sides have is no new file, tracked here or not.
        let paths: Vec<&[u8]> = candidates.iter().map(|(_, path, _)| *path).collect();
        let old = entries::of_tree(&self.git, common, &paths)?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        for (_, path, indexed) in candidates.into_iter().filter(|(_, path, _)| !old.contains_key(*path)) {
            let Ok(Some(stood)) = self.folders.look(path) else { continue };
            bytes += stood.size;
            if bytes > CANDIDATES.1 {
                break;
            }
            if stood.is_file() && self.folders.is_readable(path) {
                // Where the file was git knows what its line ends were.
                let was = missing.iter().find(|change| missing.len() == 1 || split(&change.path).1 == split(path).1);
                let base = was.and_then(|change| Entry::before(change));
                items.push(Item { path, stood, indexed, record: None, base, theirs: None, own: true, raw: None });
            }
        }
        let mut elsewhere = Ours::default();
        self.tell(items, "elsewhere", &mut elsewhere)?;
        ours.elsewhere = elsewhere.files;
        Ok(())
    }

    /// Returns those of these changes whose files have been here: what was not cannot have been renamed here. A guest has
    /// a file of any name and look in commits of its own.
    fn were_here<'c>(&self, changes: Vec<&'c Change>, tracked: &BTreeMap<Vec<u8>, Indexed>) -> Result<Vec<&'c Change>> {
        if changes.is_empty() {
            return Ok(changes);
        }
        let paths: Vec<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
        let mut known = (self.asked.known)(&paths)?;
        if let Some(head) = self.git.maybe_oid(["rev-parse", "-q", "--verify", "HEAD^{commit}"])? {
            known.extend(entries::of_tree(&self.git, head.as_str(), &paths)?.into_keys());
        }
        let was_here = |change: &&Change| tracked.contains_key(&change.path) || known.contains(&change.path);
        Ok(changes.into_iter().filter(was_here).collect())
    }
}

/// Tells why a path that git does not track is no ground of this repository's: it is in a submodule, or in a repository of
/// its own. `foreign` are the folders that may be either, and whether each is a repository.
fn foreign_ground(path: &[u8], tracked: &BTreeMap<Vec<u8>, Indexed>, foreign: &BTreeMap<Vec<u8>, bool>) -> Option<Why> {
    folders(path).find_map(|folder| match tracked.get(folder) {
        Some(entry) if entry.mode == GITLINK => Some(Why::Submodule),
        _ => foreign.get(folder).is_some_and(|is_repository| *is_repository).then_some(Why::NestedRepository),
    })
}

/// Returns the sizes that files had on disk when git last looked, as the index has them.
fn sizes_on_disk(git: &super::Git, files: &[&Change]) -> Result<Vec<u64>> {
    let paths: Vec<&[u8]> = files.iter().map(|change| change.path.as_slice()).collect();
    let mut sizes = Vec::new();
    for paths in entries::lists(&paths) {
        let fixed = ["-c", "core.sparseCheckout=false", "--literal-pathspecs", "ls-files", "-z", "--debug", "--"];
        let list = git.call(fixed).args(paths).stdout()?;
        // size: NUMBER TAB flags: NUMBER
        let lines = String::from_utf8_lossy(&list).into_owned();
        let size = |line: &str| line.trim_start().strip_prefix("size: ")?.split('\t').next()?.parse::<u64>().ok();
        sizes.extend(lines.lines().filter_map(size).filter(|size| *size > 0));
    }
    Ok(sizes)
}

/// Returns a text with each `$Id: …$` as `$Id$`.
fn collapsed(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(4).position(|bytes| bytes == b"$Id:") {
        let (before, id) = rest.split_at(at);
        result.extend(before);
        let end = id[4..].iter().position(|byte| matches!(byte, b'$' | b'\n')).map(|end| end + 4);
        match end.filter(|end| id[*end] == b'$') {
            Some(end) => {
                result.extend(b"$Id$");
                rest = &id[end + 1..];
            }
            None => {
                result.extend(&id[..4]);
                rest = &id[4..];
            }
        }
    }
    result.extend(rest);
    result
}

/// Returns the paths of new files that are, on this disk, the same as ones that go: it does not tell `README` from `readme`.
fn twice<'a>(delta: &'a [Change], found: &[Option<Identity>]) -> HashSet<&'a [u8]> {
    let id = |found: &Identity| (found.device, found.inode);
    let going: HashSet<_> = delta
        .iter()
        .zip(found)
        .filter(|(change, _)| change.new_mode == 0)
        .filter_map(|(_, found)| found.as_ref().map(id))
        .collect();
    let both = delta.iter().zip(found).filter(|(change, _)| change.old_mode == 0);
    both.filter(|(_, found)| found.as_ref().is_some_and(|found| going.contains(&id(found))))
        .map(|(change, _)| change.path.as_slice())
        .collect()
}
