//! What stands on disk at a few paths of a git work tree. Nothing else is read, hashed or stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::filters::{Desk, Indexed, indexed, raw_ids};
use crate::error::{Context, Result};
use crate::host::entries::{self, Entries, Entry, GITLINK, PLAIN, PROGRAM, SYMLINK, folders, from_nul};
use crate::host::folders::{Folders, Identity, owned, split};
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
        for (key, value) in config::matching(repo, "^core\\.(filemode|symlinks|autocrlf)$")? {
            let no = matches!(value.as_deref(), Some("false" | "no" | "off" | "0" | ""));
            match key.as_str() {
                "core.filemode" => settings.no_modes = no,
                "core.symlinks" => settings.no_symlinks = no,
                _ => settings.converts = !no,
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
        let hollow = self.hollow_folders(&found)?;
        let paths: BTreeSet<&[u8]> =
            delta.iter().map(|change| change.path.as_slice()).chain(hollow.iter().map(Vec::as_slice)).collect();
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
        let mut nested = HashMap::new();
        let mut items = Vec::new();
        for (change, found) in delta.iter().zip(&found) {
            let path = change.path.as_slice();
            let entry = tracked.get(path);
            if entry.is_none()
                && let Some(why) = self.foreign_ground(path, &tracked, &mut nested)?
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
        self.tell(items, &mut ours)?;
        self.look_elsewhere(&mut ours, &tracked)?;
        Ok(ours)
    }

    /// Returns the folders, on the way to paths where nothing stands, that are not there or hold nothing: each may be a
    /// submodule that is not checked out.
    fn hollow_folders(&self, found: &[Option<Identity>]) -> Result<BTreeSet<Vec<u8>>> {
        let mut hollow = BTreeSet::new();
        let mut seen: HashMap<&[u8], bool> = HashMap::new();
        for (change, _) in self.asked.delta.iter().zip(found).filter(|(_, found)| found.is_none()) {
            for folder in folders(&change.path) {
                let is_hollow = *seen.entry(folder).or_insert_with(|| match self.folders.look(folder) {
                    Ok(Some(there)) if there.is_folder() => self.folders.list(folder).is_ok_and(|list| list.is_empty()),
                    Ok(Some(_)) | Err(_) => false,
                    Ok(None) => true,
                });
                if is_hollow {
                    hollow.insert(folder.to_vec());
                }
            }
        }
        Ok(hollow)
    }

    /// Tells why a path that git does not track is no ground of this repository's: it is in a submodule, or in a
    /// repository of its own.
    fn foreign_ground<'p>(
        &self,
        path: &'p [u8],
        tracked: &BTreeMap<Vec<u8>, Indexed>,
        nested: &mut HashMap<&'p [u8], bool>,
    ) -> Result<Option<Why>> {
        for folder in folders(path) {
            if tracked.get(folder).is_some_and(|entry| entry.mode == GITLINK) {
                return Ok(Some(Why::Submodule));
            }
            let is_repository = *nested
                .entry(folder)
                .or_insert_with(|| matches!(self.folders.look(&[folder, b"/.git"].concat()), Ok(Some(_))));
            if is_repository {
                return Ok(Some(Why::NestedRepository));
            }
        }
        Ok(None)
    }

    /// Tells of each file what of git's it stands for.
    fn tell(&self, mut items: Vec<Item<'_>>, ours: &mut Ours) -> Result<()> {
        self.read(&mut items)?;
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
        if odd.is_empty() { Ok(()) } else { self.tell_odd(odd, ours) }
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

    /// Reads the files whose bytes are not known yet.
    fn read(&self, items: &mut [Item<'_>]) -> Result<()> {
        let is_known = |item: &Item<'_>| item.record.is_some_and(|record| record.is(&item.stood));
        let mut items: Vec<&mut Item<'_>> = items.iter_mut().filter(|item| !is_known(item)).collect();
        let files: Vec<&[u8]> = items.iter().filter(|item| item.stood.is_file()).map(|item| item.path).collect();
        let top = self.repo.top()?;
        let mut ids = raw_ids(&self.git, top, &files, false)?.into_iter();
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
            item.raw = if item.stood.is_file() { ids.next() } else { link_ids.next() };
        }
        Ok(())
    }

    /// Tells of files whose bytes are not what git has: they were edited, or are converted.
    fn tell_odd(&self, odd: Vec<Item<'_>>, ours: &mut Ours) -> Result<()> {
        let desk = Desk::new(&self.git, &self.scratch.path("look"))?;
        let paths: Vec<&[u8]> = odd.iter().map(|item| item.path).collect();
        if let Some(head) = &self.asked.attributes {
            desk.obey(head, &paths)?;
        }
        let converted = desk.converted(&paths)?;
        let is_converted =
            |item: &Item<'_>| item.stood.is_file() && (self.settings.converts || converted.contains(item.path));
        let (odd, plain): (Vec<_>, Vec<_>) = odd.into_iter().partition(is_converted);
        let odd = self.tell_untouched(&desk, odd, ours)?;
        let is_special = |item: &Item<'_>| split(item.path).1 == b".gitattributes";
        let (special, odd): (Vec<_>, Vec<_>) = odd.into_iter().partition(is_special);
        let (own, foreign): (Vec<_>, Vec<_>) = plain
            .into_iter()
            .chain(special)
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
        let mut ids = raw_ids(&self.git, self.repo.top()?, &paths, true)?.into_iter();
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
        // What both sides agree on goes first: a filter may make another content of the same bytes each time, so that
        // the index has one and the guest was given another.
        let agreed = |item: &Item<'_>| if item.own { item.base.clone() } else { item.theirs.clone() };
        let indexed = |item: &Item<'_>| match agreed(item) {
            Some(agreed) => item.indexed.clone().filter(|entry| item.own && entry.blob != agreed.blob),
            None => item.indexed.clone(),
        };
        let rest = self.tell_like(desk, odd, &agreed, ".git/agreed", ours)?;
        self.tell_like(desk, rest, &indexed, ".git/probe", ours)
    }

    /// Tells of files that are what a checkout of their entry would write; returns the others.
    fn tell_like<'i>(
        &self,
        desk: &Desk,
        items: Vec<Item<'i>>,
        like: &dyn Fn(&Item<'_>) -> Option<Entry>,
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

    /// Writes files as a checkout would; returns their bytes, as blobs. A path whose filter fails is not among them. The
    /// name is one that no file of a repository has: copies of the host's are beside it.
    fn written(&self, desk: &Desk, files: &Entries, name: &str, keep: bool) -> Result<BTreeMap<Vec<u8>, Oid>> {
        let files: Entries = files
            .iter()
            .filter(|(_, entry)| entry.is_file())
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect();
        if files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let failed: HashSet<_> = desk.write(&files, name)?.failed.into_iter().collect();
        let paths: Vec<&[u8]> = files.keys().filter(|path| !failed.contains(*path)).map(Vec::as_slice).collect();
        let ids = raw_ids(desk.git(), &desk.place(name), &paths, keep)?;
        Ok(paths.into_iter().map(<[u8]>::to_vec).zip(ids).collect())
    }

    /// Tells of files that were edited and are converted: by their content as git would store it, where writing that back
    /// gives the same bytes; else by their bytes.
    fn tell_edited(&self, desk: &Desk, edited: Vec<Item<'_>>, ours: &mut Ours) -> Result<()> {
        if edited.is_empty() {
            return Ok(());
        }
        for item in &edited {
            self.copy(item.path, desk.folder())?;
        }
        let seed = |item: &Item<'_>| item.indexed.clone().or_else(|| item.base.clone());
        let seeds = edited.iter().filter_map(|item| Some((item.path.to_vec(), seed(item)?))).collect();
        let paths: Vec<&[u8]> = edited.iter().map(|item| item.path).collect();
        let cleaned = desk.read(&paths, &seeds)?;
        let again = self.written(desk, &cleaned, ".git/again", false)?;
        let mut inexpressible = Vec::new();
        for item in edited {
            let (Some(entry), Some(back)) = (cleaned.get(item.path), again.get(item.path)) else {
                ours.obstacles.push(Obstacle::new(item.path, Why::FilterFailed));
                continue;
            };
            let form = if item.raw.as_ref() == Some(back) {
                Some(Form::AsWritten)
            } else {
                self.line_ends(&item, &desk.place(".git/again"))?.map(Form::LineEnds)
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
        let ids = raw_ids(&self.git, self.repo.top()?, &paths, true)?;
        let side = |entry: fn(&Item<'_>) -> Option<Entry>, name| {
            let files = items.iter().filter_map(|item| Some((item.path.to_vec(), entry(item)?))).collect();
            self.written(desk, &files, name, true)
        };
        let base = side(|item| item.base.clone(), ".git/base")?;
        let theirs = side(|item| item.theirs.clone(), ".git/theirs")?;
        for (item, blob) in items.iter().zip(ids) {
            let entry = |bytes: &BTreeMap<Vec<u8>, Oid>, entry: &Option<Entry>| {
                let entry = entry.as_ref()?;
                Some(Entry { mode: entry.mode, blob: bytes.get(item.path)?.clone() })
            };
            let form = Form::Bytes { base: entry(&base, &item.base), theirs: entry(&theirs, &item.theirs) };
            let here = self.here(item, Entry { mode: PLAIN, blob }, form);
            ours.files.insert(item.path.to_vec(), here);
        }
        Ok(())
    }

    /// Returns the line ends of a file that differs in nothing else from what a checkout would write.
    fn line_ends(&self, item: &Item<'_>, written: &Path) -> Result<Option<LineEnds>> {
        if item.stood.size > TEXT {
            return Ok(None);
        }
        let context = || format!("cannot read {}", crate::text::path(item.path));
        let mut here = Vec::new();
        let mut file = self.folders.read(item.path).context(context)?;
        std::io::Read::read_to_end(&mut file, &mut here).context(context)?;
        let there = fs::read(written.join(owned(item.path))).context(context)?;
        let ends = match LineEnds::of(&here) {
            Some(ends) => ends,
            None => return Ok(None),
        };
        Ok((ends.apply(&there) == here).then_some(ends))
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
        let comes = delta.iter().any(|change| change.old_mode == 0);
        let missing = delta.iter().filter(is_missing).filter(|change| change.new_mode != 0 || comes);
        let missing = self.were_here(missing.collect(), tracked)?;
        if missing.is_empty() {
            return Ok(());
        }
        let known: HashSet<&[u8]> = delta.iter().map(|change| change.path.as_slice()).collect();
        let start = self.asked.start.as_str();
        let fixed =
            ["diff-index", "--cached", "-z", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=A", start, "--"];
        let new = Change::parse_all(&self.git.call(fixed).stdout()?)?;
        let fixed = ["-c", "core.sparseCheckout=false", "ls-files", "-z", "-o", "--exclude-standard"];
        let untracked = from_nul(&self.git.call(fixed).stdout()?);
        let input: String = missing.iter().map(|change| format!("{}\n", change.old)).collect();
        let sizes = self.git.call(["cat-file", "--batch-check=%(objectsize)", "--buffer"]).input(input).stdout()?;
        let sizes: HashSet<u64> =
            String::from_utf8_lossy(&sizes).lines().filter_map(|size| size.parse().ok()).collect();
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
        let old = entries::of_tree(&self.git, start, &paths)?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        for (_, path, indexed) in candidates.into_iter().filter(|(_, path, _)| !old.contains_key(*path)) {
            let Ok(Some(stood)) = self.folders.look(path) else { continue };
            bytes += stood.size;
            if bytes > CANDIDATES.1 {
                break;
            }
            if stood.is_file() && self.folders.is_readable(path) {
                items.push(Item { path, stood, indexed, record: None, base: None, theirs: None, own: true, raw: None });
            }
        }
        let mut elsewhere = Ours::default();
        self.tell(items, &mut elsewhere)?;
        ours.elsewhere = elsewhere.files;
        Ok(())
    }

    /// Returns those of these changes whose files have been here: what was not cannot have been renamed here. A guest has
    /// a file of any name and look in commits of its own.
    fn were_here<'c>(&self, changes: Vec<&'c Change>, tracked: &BTreeMap<Vec<u8>, Indexed>) -> Result<Vec<&'c Change>> {
        let paths: Vec<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
        let mut known = (self.asked.known)(&paths)?;
        if let Some(head) = &self.asked.attributes {
            known.extend(entries::of_tree(&self.git, head.as_str(), &paths)?.into_keys());
        }
        let was_here = |change: &&Change| tracked.contains_key(&change.path) || known.contains(&change.path);
        Ok(changes.into_iter().filter(was_here).collect())
    }
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
