//! The bytes that stand for git's content in a work tree, and back: line ends, encodings, filters. What counts is the
//! attributes of the host's own commit, never those of a file that has landed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Git, parse_oid};
use crate::environment::env;
use crate::error::{Context, Error, Result};
use crate::host::entries::{self, Entries, Entry, folders, from_nul, lines, nul, words_and_path};
use crate::host::folders::{Folders, owned, split};
use crate::host::{Repo, config};
use crate::snapshot::Oid;

/// The name of the files that say which content is converted, and how.
pub const ATTRIBUTES: &[u8] = b".gitattributes";

/// The attributes that have git write other bytes than it stores.
const CONVERSION: [&str; 6] = ["filter", "text", "eol", "crlf", "ident", "working-tree-encoding"];

/// A folder into which git writes files as they stand in a work tree, or from which it reads them so.
#[derive(Debug)]
pub struct Desk {
    git: Git,
    folder: PathBuf,
}

/// What became of files that were to be written.
#[derive(Debug, Default)]
pub struct Written {
    /// Paths whose filter failed.
    pub failed: Vec<Vec<u8>>,
    /// What filters said.
    pub said: Vec<u8>,
}

impl Desk {
    /// Makes one: `git` knows the configuration, and puts objects where they do no harm; the files are to be in `folder`,
    /// which is made, and the index beside it.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(git: &Git, folder: &Path) -> Result<Desk> {
        fs::create_dir_all(folder).context(|| "cannot make a temporary folder".to_owned())?;
        let git = git.with_index(folder.with_extension("index")).with_work_tree(folder);
        Ok(Desk { git, folder: folder.to_owned() })
    }

    /// Returns the same, but that pointers of Git LFS become the content that they stand for.
    pub fn with_content(&self) -> Desk {
        Desk { git: self.git.with_content(), folder: self.folder.clone() }
    }

    /// Has the attributes of HEAD's commit hold for these paths; tells whether it has any. Reading a file git takes them from
    /// the folder, and writing one from the index: both get them.
    ///
    /// # Errors
    /// When git fails.
    pub fn obey(&self, paths: &[&[u8]]) -> Result<bool> {
        let mut files = BTreeSet::from([ATTRIBUTES.to_vec()]);
        for path in paths {
            files.extend(folders(path).map(|folder| [folder, b"/", ATTRIBUTES].concat()));
        }
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let found = match entries::of_tree(&self.git, "HEAD", &files) {
            Ok(found) => found,
            // Before the first commit there is none.
            Err(_) if self.git.maybe_oid(["rev-parse", "-q", "--verify", "HEAD^{commit}"])?.is_none() => Entries::new(),
            Err(error) => return Err(error),
        };
        if found.is_empty() {
            return Ok(false);
        }
        self.enter(&found)?;
        // As they are: their own filter may fail. git passes over one that is a symlink.
        let files: Vec<_> = found.iter().filter(|(_, entry)| entry.is_file()).collect();
        let texts = self.git.contents(files.iter().map(|(_, entry)| &entry.blob))?;
        for ((path, _), text) in files.into_iter().zip(texts) {
            let place = self.folder.join(owned(path));
            let write = || {
                place.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(&place, text)
            };
            write().context(|| "cannot write a temporary file".to_owned())?;
        }
        Ok(true)
    }

    /// Returns the attributes of these paths, those of the commit that is obeyed among them: path, name, value.
    ///
    /// # Errors
    /// When git fails.
    pub fn attributes(&self, paths: &[&[u8]], names: &[&str]) -> Result<Vec<(Vec<u8>, String, String)>> {
        let call = self.git.call(["check-attr", "--cached", "-z", "--stdin"]).args(names.iter().copied());
        let told = call.input(nul(paths.iter().copied())).stdout()?;
        let mut fields = told.split(|&byte| byte == 0);
        let mut attributes = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        while let (Some(path), Some(name), Some(value)) = (fields.next(), fields.next(), fields.next()) {
            attributes.push((path.to_vec(), text(name), text(value)));
        }
        Ok(attributes)
    }

    /// Returns those of these paths whose content may be converted.
    ///
    /// # Errors
    /// When git fails.
    pub fn converted(&self, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
        let told = self.attributes(paths, &CONVERSION)?;
        let counts = |value: &str| !matches!(value, "unspecified" | "unset");
        Ok(told.into_iter().filter(|(_, _, value)| counts(value)).map(|(path, ..)| path).collect())
    }

    /// Returns which of these pairs of paths are converted in two ways; content of Git LFS is the same everywhere.
    ///
    /// # Errors
    /// When git fails.
    pub fn differ(&self, pairs: &[(&[u8], &[u8])]) -> Result<Vec<bool>> {
        let paths: Vec<&[u8]> = pairs.iter().flat_map(|(from, to)| [*from, *to]).collect();
        let told = self.attributes(&paths, &CONVERSION)?;
        let ways: Vec<Vec<&str>> =
            told.chunks(CONVERSION.len()).map(|way| way.iter().map(|(.., value)| value.as_str()).collect()).collect();
        Ok(ways.chunks(2).map(|way| way[0] != way[1] && way[0][0] != "lfs").collect())
    }

    /// Writes files as a checkout would, into the [`place`](Desk::place) of that name.
    ///
    /// # Errors
    /// When git fails for another reason than a filter.
    pub fn write(&self, files: &Entries, name: &str) -> Result<Written> {
        let place = self.place(name);
        fs::create_dir_all(&place).context(|| "cannot make a temporary folder".to_owned())?;
        let (own, mut rest): (Entries, Entries) =
            files.clone().into_iter().partition(|(path, _)| split(path).1 == ATTRIBUTES);
        self.enter(&rest)?;
        let mut written = Written::default();
        while !rest.is_empty() {
            let list = nul(rest.keys().map(Vec::as_slice));
            let mut prefix = std::ffi::OsString::from("--prefix=");
            prefix.push(place.join(""));
            let output = self.git.call(["checkout-index", "-z", "--stdin"]).arg(prefix).input(list).run()?;
            written.said.extend(&output.stderr);
            if output.code == Some(0) {
                break;
            }
            // It stops at the first filter that must not fail, and says for which path.
            let here = Folders::open(&place)?;
            rest.retain(|path, _| !matches!(here.look(path), Ok(Some(_))));
            let filter = output.stderr.windows(6).any(|said| said == b"filter");
            let Some((culprit, _)) = rest.pop_first().filter(|_| filter) else {
                return Err(output.failure("git checkout-index"));
            };
            written.failed.push(culprit);
        }
        for (path, entry) in &own {
            let (done, said) = self.write_one(path, entry, &place)?;
            written.said.extend(said);
            if !done {
                written.failed.push(path.clone());
            }
        }
        Ok(written)
    }

    /// Returns those of the files that have a filter and whose bytes came out as they went in, where a filter has failed: one
    /// that need not succeed passes content on as it is, and git says only so.
    ///
    /// # Errors
    /// When git fails.
    pub fn unfiltered(&self, files: &Entries, raws: &BTreeMap<Vec<u8>, Oid>, said: &[u8]) -> Result<Vec<Vec<u8>>> {
        /// What git says of such a filter.
        const FAILED: &[u8] = b"external filter";
        if !said.windows(FAILED.len()).any(|said| said == FAILED) {
            return Ok(Vec::new());
        }
        let is_same = |(path, entry): &(&Vec<u8>, &Entry)| entry.is_file() && raws.get(*path) == Some(&entry.blob);
        let same: Vec<&[u8]> = files.iter().filter(is_same).map(|(path, _)| path.as_slice()).collect();
        let filtered = self.attributes(&same, &["filter"])?.into_iter();
        let filtered = filtered.filter(|(_, _, value)| !matches!(value.as_str(), "unspecified" | "unset" | "set"));
        Ok(filtered.map(|(path, ..)| path).collect())
    }

    /// Writes a file of attributes: in the index it would count. Tells whether its filter did not fail, and what that said.
    fn write_one(&self, path: &[u8], entry: &Entry, place: &Path) -> Result<(bool, Vec<u8>)> {
        let context = || "cannot write a temporary file".to_owned();
        let place = place.join(owned(path));
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).context(context)?;
        }
        let _ = fs::remove_file(&place);
        if !entry.is_file() {
            let target = self.git.call(["cat-file", "blob", entry.blob.as_str()]).stdout()?;
            std::os::unix::fs::symlink(owned(&target), &place).context(context)?;
            return Ok((true, Vec::new()));
        }
        let path_flag = path_flag(path);
        let file = fs::File::create(&place).context(context)?;
        let call = self.git.call(["cat-file", "--filters"]).arg(path_flag).arg(entry.blob.as_str());
        let output = call.run_into(file)?;
        if output.code == Some(0) || output.stderr.windows(6).any(|said| said == b"filter") {
            return Ok((output.code == Some(0), output.stderr));
        }
        Err(output.failure("git cat-file"))
    }

    /// Returns the content that git would store for a file of attributes; `None` where its filter fails.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn read_one(&self, path: &[u8], file: fs::File) -> Result<Option<Oid>> {
        let call = self.git.call(["hash-object", "-w", "--stdin"]).arg(path_flag(path)).input_file(file);
        let output = call.run()?;
        if output.code == Some(0) { parse_oid(output.stdout).map(Some) } else { Ok(None) }
    }

    /// Returns the content that git would store for the files in the folder at these paths, which `seeds` tell what was
    /// stored of them before: git keeps line ends and modes by that. A path that its filter fails for is not among them.
    ///
    /// # Errors
    /// When git fails for another reason than a filter.
    pub fn read(&self, paths: &[&[u8]], seeds: &Entries) -> Result<Entries> {
        self.enter(seeds)?;
        let read = |paths: &[&[u8]]| {
            let call = self.git.call(["update-index", "-z", "--add", "--stdin"]);
            call.input(nul(paths.iter().copied())).run()
        };
        let output = read(paths)?;
        let mut failed = HashSet::new();
        if output.code != Some(0) {
            // One by one, to know which.
            for path in paths {
                if read(&[path])?.code != Some(0) {
                    failed.insert(path.to_vec());
                }
            }
        }
        let list = self.git.call(["ls-files", "-z", "-s"]).stdout()?;
        // MODE SP BLOB SP STAGE TAB PATH
        let entry = |line| {
            let (words, path) = words_and_path(line)?;
            let [mode, blob, _] = words[..] else { return None };
            Some((path.to_vec(), Entry::parse(mode, blob)?))
        };
        let all: BTreeMap<_, _> = lines(&list).filter_map(entry).collect();
        let wanted = paths.iter().filter(|path| !failed.contains(**path));
        Ok(wanted.filter_map(|path| Some((path.to_vec(), all.get(*path)?.clone()))).collect())
    }

    fn enter(&self, files: &Entries) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        self.git.enter(files.iter().map(|(path, entry)| (entry.mode, &entry.blob, path.as_slice())))
    }

    /// Returns a folder beside that of the desk: in it, it could be in the way of the host's own names.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.with_extension(name)
    }

    /// Returns the folder from which files are read.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns its git.
    pub fn git(&self) -> &Git {
        &self.git
    }
}

/// Returns the flag that names the path whose attributes count.
fn path_flag(path: &[u8]) -> std::ffi::OsString {
    let mut flag = std::ffi::OsString::from("--path=");
    flag.push(owned(path));
    flag
}

/// Returns the ids of files, byte for byte: as blobs that are not converted. With `keep` they are stored too.
///
/// # Errors
/// When one cannot be read.
pub fn raw_ids(git: &Git, folder: &Path, paths: &[&[u8]], keep: bool) -> Result<Vec<Oid>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut input = Vec::new();
    for path in paths {
        // A name that begins with a quote is read as a quoted one; so all are.
        input.extend(entries::quoted(path));
        input.push(b'\n');
    }
    let mut call = git.with_work_tree(folder).call(["hash-object", "--no-filters", "--stdin-paths"]);
    if keep {
        call = call.arg("-w");
    }
    let list = call.input(input).stdout()?;
    let ids = String::from_utf8_lossy(&list).lines().map(str::parse).collect::<Result<Vec<Oid>, _>>()?;
    if ids.len() == paths.len() { Ok(ids) } else { Err(Error::failed("git hash-object printed too little")) }
}

/// Returns the entries of an index at these paths. A folder is no entry, and a submodule is one.
///
/// # Errors
/// When git fails.
pub fn indexed(git: &Git, paths: &[&[u8]]) -> Result<BTreeMap<Vec<u8>, Indexed>> {
    /// So many paths are named to git one by one; for more it lists its whole index, which is quicker then.
    const FEW: usize = 200;
    // Files outside of a sparse checkout that are on disk all the same keep their mark so.
    let fixed = ["-c", "core.sparseCheckout=false", "--literal-pathspecs", "ls-files", "-z", "-v", "-s", "--"];
    let mut call = git.call(fixed);
    if paths.len() <= FEW {
        call = call.args(paths.iter().map(|path| owned(path)));
    }
    let wanted: HashSet<&[u8]> = paths.iter().copied().collect();
    let list = call.stdout()?;
    let mut entries = BTreeMap::new();
    for line in lines(&list) {
        let bad = || Error::failed("git ls-files printed no entry");
        // TAG SP MODE SP BLOB SP STAGE TAB PATH
        let (words, path) = words_and_path(line).ok_or_else(bad)?;
        if !wanted.contains(path) {
            continue;
        }
        let [tag, mode, blob, stage] = words[..] else { return Err(bad()) };
        let entry = Entry::parse(mode, blob).ok_or_else(bad)?;
        let (skipped, mode) = (tag.eq_ignore_ascii_case("S"), entry.mode);
        entries.insert(path.to_vec(), Indexed { skipped, mode, entry: (stage == "0").then_some(entry) });
    }
    Ok(entries)
}

/// What an index says of a path.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// It is kept off the disk.
    pub skipped: bool,
    /// Its mode.
    pub mode: u32,
    /// Mode and blob; `None` where a merge has left it in conflict.
    pub entry: Option<Entry>,
}

/// Tells whether anything but a commit's attributes may have git write other bytes than it stores.
///
/// # Errors
/// When the configuration cannot be read.
pub fn may_convert(repo: &Repo) -> Result<bool> {
    let counts = |(key, value): &(String, Option<String>)| match key.as_str() {
        "core.autocrlf" => !config::is_no(value.as_deref()),
        key => matches!(key, "core.eol" | "core.attributesfile"),
    };
    if config::core(repo)?.iter().any(counts) {
        return Ok(true);
    }
    // Where git looks for the attributes of all repositories: gitattributes(5).
    let home = env("HOME").map(PathBuf::from);
    let user = env("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let user = user.or_else(|| home.map(|home| home.join(".config"))).map(|dir| dir.join("git/attributes"));
    let own = repo.common_dir.join("info/attributes");
    let system = ["/etc/gitattributes", "/usr/local/etc/gitattributes", "/opt/homebrew/etc/gitattributes"];
    Ok(user.into_iter().chain([own]).chain(system.map(PathBuf::from)).any(|file| file.exists()))
}

/// Returns those of these paths that the host ignores and does not track.
///
/// # Errors
/// When git cannot be run.
pub fn ignored(git: &Git, paths: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    // It takes no '--literal-pathspecs'; so a name that begins with a colon needs something before it.
    let input: Vec<u8> = paths.iter().flat_map(|path| [b"./", *path, b"\0"].concat()).collect();
    let output = git.call(["check-ignore", "-z", "--stdin"]).input(input).run()?;
    match output.code {
        // 1: none is.
        Some(0 | 1) => Ok(from_nul(&output.stdout).into_iter().map(|path| path[2..].to_vec()).collect()),
        // A path below a submodule or a symlink: it is named for that elsewhere.
        _ => Ok(Vec::new()),
    }
}
