//! How git is run on the host: which environment it sees, which of its settings are fixed, and why.

pub mod filters;
pub mod lfs;
mod look;
mod worktree;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::environment::git_environment;
use crate::error::{Error, Result};
use crate::process::{Call, Dialogue};
use crate::reporter::Reporter;
use crate::snapshot::{Change, Oid};

pub use self::worktree::Worktree;

/// The oldest git that will do: `merge-tree --write-tree` came with it.
const FLOOR: (u32, u32) = (2, 38);

/// The variable that names more folders with objects.
pub const ALTERNATES: &str = "GIT_ALTERNATE_OBJECT_DIRECTORIES";

/// What of the user's `GIT_*` variables reaches git: configuration, tracing, where objects are, and how git itself fetches
/// what a partial clone lacks. The rest names another repository, another index or another reading of pathspecs, or is set
/// by us.
const KEPT: [&str; 13] = [
    "GIT_CONFIG",
    "GIT_TRACE",
    "GIT_EXEC_PATH",
    "GIT_CEILING_DIRECTORIES",
    "GIT_OBJECT_DIRECTORY",
    ALTERNATES,
    "GIT_SSH",
    "GIT_ASKPASS",
    "GIT_ALLOW_PROTOCOL",
    "GIT_PROTOCOL",
    "GIT_PROXY",
    "GIT_HTTP",
    "GIT_SSL",
];

/// Has git pass over repositories without a work tree, if none says that it means one.
pub const EXPLICIT: &str = "safe.bareRepository=explicit";

/// Settings that hold for every call, because the user's own would change what a call does.
const FIXED: [&str; 17] = [
    // Files of a guest's can look like a repository, with settings that name programs.
    EXPLICIT,
    // Programs that would run behind our back.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    // An index of ours is one whole file; a split one would leave its half beside the user's.
    "core.splitIndex=false",
    "index.sparse=false",
    // A warning about line ends may not stop a snapshot.
    "core.safecrlf=false",
    // 400 MB of new binaries: 34 s and 1.4 GB of memory by default, 7.6 s and 0.4 GB so (git 2.47).
    "core.bigFileThreshold=1m",
    "core.compression=1",
    // git maps packs whole where addresses are long, and what is mapped counts as memory.
    "core.packedGitLimit=128m",
    "core.packedGitWindowSize=16m",
    "advice.addEmbeddedRepo=false",
    "submodule.recurse=false",
    "diff.renameLimit=0",
    "core.quotePath=true",
    "log.showSignature=false",
];

/// git, aimed at one repository.
#[derive(Clone, Debug)]
pub struct Git {
    git_dir: PathBuf,
    work_tree: Option<PathBuf>,
    index: Option<PathBuf>,
    /// Where new objects go, and where others are found.
    objects: Option<PathBuf>,
    /// Neither the user's configuration and attributes nor the system's count.
    alone: bool,
    /// git-lfs writes the content that pointers stand for.
    content: bool,
    /// A child that tells of objects, once there was a question.
    reader: Arc<Mutex<Option<Dialogue>>>,
    reporter: Arc<dyn Reporter>,
}

/// So many objects at most are asked for at once.
const AT_ONCE: usize = 10_000;

impl Git {
    /// Aims git at a repository; without `work_tree` no call may need one.
    pub fn new(git_dir: impl Into<PathBuf>, work_tree: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Git {
        let (git_dir, work_tree) = (git_dir.into(), work_tree.map(Path::to_owned));
        Git {
            git_dir,
            work_tree,
            index: None,
            objects: None,
            alone: false,
            content: false,
            reader: Arc::default(),
            reporter: Arc::clone(reporter),
        }
    }

    /// Returns what its calls are reported to.
    pub fn reporter(&self) -> &Arc<dyn Reporter> {
        &self.reporter
    }

    /// Returns a git that obeys no configuration and no attributes but those of its own repository and of ours.
    pub fn alone(self) -> Git {
        Git { alone: true, reader: Arc::default(), ..self }
    }

    /// Returns a git whose git-lfs writes content, for pointers whose content is here: for others it asks a server.
    pub fn with_content(&self) -> Git {
        Git { content: true, ..self.clone() }
    }

    /// Returns a git that reads and writes `index` in place of the repository's own.
    pub fn with_index(&self, index: impl Into<PathBuf>) -> Git {
        Git { index: Some(index.into()), ..self.clone() }
    }

    /// Returns a git whose work tree is `folder`.
    pub fn with_work_tree(&self, folder: impl Into<PathBuf>) -> Git {
        Git { work_tree: Some(folder.into()), ..self.clone() }
    }

    /// Returns a git that puts objects into `objects`, and finds others there and by its list of alternates.
    pub fn with_objects(&self, objects: impl Into<PathBuf>) -> Git {
        Git { objects: Some(objects.into()), reader: Arc::default(), ..self.clone() }
    }

    /// Starts a call of git with these arguments.
    pub fn call<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Call {
        let mut call = steady(&self.reporter)
            .env("GIT_DIR", &self.git_dir)
            // 'git status' and its like would refresh the user's index.
            .env("GIT_OPTIONAL_LOCKS", "0")
            // What is shipped and proven is what the ids say.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            // A '.lfsconfig' of the guest's could send git-lfs, and the user's credentials, to any server.
            .env("GIT_LFS_SKIP_SMUDGE", if self.content { "0" } else { "1" });
        if self.alone {
            call = call
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_ATTR_NOSYSTEM", "1");
            // The user's may name others, past the files.
            for name in ["GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_OBJECT_DIRECTORY"] {
                call = call.env_remove(name);
            }
            call = call.env_remove(ALTERNATES).args(["-c", "core.attributesFile=/dev/null"]);
        }
        if let Some(work_tree) = &self.work_tree {
            call = call.env("GIT_WORK_TREE", work_tree).dir(work_tree);
        }
        if let Some(index) = &self.index {
            call = call.env("GIT_INDEX_FILE", index);
        }
        if let Some(objects) = &self.objects {
            call = call.env("GIT_OBJECT_DIRECTORY", objects);
        }
        call.args(args)
    }

    /// Runs git and returns its stdout, without the last line end.
    ///
    /// # Errors
    /// When git fails, with its stderr.
    pub fn line<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<String> {
        text(self.call(args).stdout()?)
    }

    /// Runs git and returns the object id that it prints.
    ///
    /// # Errors
    /// When git fails, with its stderr.
    pub fn oid<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<Oid> {
        parse_oid(self.call(args).stdout()?)
    }

    /// Runs git and returns the object id that it prints, or `None` where it fails quietly.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn maybe_oid<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<Option<Oid>> {
        let output = self.call(args).run()?;
        if output.code == Some(0) { parse_oid(output.stdout).map(Some) } else { Ok(None) }
    }

    /// Tells `read` what each of these names stands for, as git reads names; `None` where that is not there.
    ///
    /// # Errors
    /// When git fails.
    pub fn objects<N: Display, T>(
        &self,
        names: impl IntoIterator<Item = N>,
        read: impl Fn(Option<Object>) -> T,
    ) -> Result<Vec<T>> {
        self.ask("info", names, |_, object, _| Ok(read(object)))
    }

    /// Returns the content of each of these objects.
    ///
    /// # Errors
    /// When one is not there, or git fails.
    pub fn contents<N: Display>(&self, names: impl IntoIterator<Item = N>) -> Result<Vec<Vec<u8>>> {
        let contents = self.ask("contents", names, |_, object, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            Ok(object.map(|_| bytes))
        })?;
        let missing = || Error::failed("git cat-file did not find what it was asked for");
        contents.into_iter().map(|content| content.ok_or_else(missing)).collect()
    }

    /// Has `read` read the content of each of these objects; it is given their number, and no content where one is not there.
    ///
    /// # Errors
    /// When git fails; and those of `read`.
    pub fn each<N: Display>(
        &self,
        names: impl IntoIterator<Item = N>,
        mut read: impl FnMut(usize, Option<&mut dyn Read>) -> Result<()>,
    ) -> Result<()> {
        let mut failed = None;
        self.ask("contents", names, |number, object, content| {
            if failed.is_none() {
                failed = read(number, object.map(|_| content)).err();
            }
            Ok(())
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Ends the child that tells of objects: it may have files open that have gone.
    pub fn close(&self) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks one child of git's, which lives as long as this does, about objects; `read` is given the number of each, what it
    /// is, and, for `contents`, its content.
    fn ask<N: Display, T>(
        &self,
        verb: &str,
        names: impl IntoIterator<Item = N>,
        mut read: impl FnMut(usize, Option<Object>, &mut dyn Read) -> io::Result<T>,
    ) -> Result<Vec<T>> {
        let mut names = names.into_iter();
        let mut answers = Vec::new();
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // git keeps all questions until it answers.
            let questions: Vec<String> = names.by_ref().take(AT_ONCE).map(|name| format!("{verb} {name}\n")).collect();
            if questions.is_empty() {
                return Ok(answers);
            }
            let mut child = match reader.take() {
                Some(child) => child,
                None => self.call(["cat-file", "--batch-command", "--buffer"]).converse()?,
            };
            child.ask(format!("{}flush\n", questions.concat()).as_bytes(), |said| {
                for _ in &questions {
                    let object = Object::read(said)?;
                    let has_content = object.is_some() && verb == "contents";
                    let mut content =
                        said.take(object.as_ref().filter(|_| has_content).map_or(0, |object| object.size));
                    answers.push(read(answers.len(), object, &mut content)?);
                    io::copy(&mut content, &mut io::sink())?;
                    if has_content {
                        said.read_exact(&mut [0])?;
                    }
                }
                Ok(())
            })?;
            // One that did not answer to the end is of no more use.
            *reader = Some(child);
        }
    }

    /// Makes a commit of ours: parents as given, `date` as git reads dates.
    ///
    /// # Errors
    /// When the object cannot be written.
    pub fn commit(&self, tree: &Oid, parents: &[&Oid], date: &str, message: &str) -> Result<Oid> {
        let mut args = vec!["commit-tree", "-m", message];
        for parent in parents {
            args.extend(["-p", parent.as_str()]);
        }
        args.push(tree.as_str());
        // A recoded commit would have another id than the one the guest makes of the same.
        let mut call = self.call(["-c", "i18n.commitEncoding=UTF-8"]).args(args);
        for who in ["AUTHOR", "COMMITTER"] {
            call = call
                .env(format!("GIT_{who}_NAME"), "git-banger")
                .env(format!("GIT_{who}_EMAIL"), "git-banger")
                .env(format!("GIT_{who}_DATE"), date);
        }
        parse_oid(call.stdout()?)
    }

    /// Puts files into the index: mode, blob and path of each; mode 0 takes a path out.
    ///
    /// # Errors
    /// When git fails.
    pub fn enter<'a>(&self, files: impl Iterator<Item = (u32, &'a Oid, &'a [u8])>) -> Result<()> {
        let line = |(mode, blob, path)| [format!("{mode:06o} {blob}\t").as_bytes(), path, b"\0"].concat();
        let lines: Vec<u8> = files.flat_map(line).collect();
        self.call(["update-index", "-z", "--index-info"]).input(lines).stdout().map(drop)
    }

    /// Compares two trees, or commits, file by file; `renames` finds exact ones.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn diff(&self, from: &Oid, to: &Oid, renames: bool, pathspecs: &[OsString]) -> Result<Vec<Change>> {
        Change::parse_all(&self.diff_call(from, to, renames, pathspecs).stdout()?)
    }

    /// Compares two trees that are named as git names them, as [`Git::diff`].
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn diff_trees(&self, [from, to]: &[String; 2]) -> Result<Vec<Change>> {
        let fixed = [
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-abbrev",
            "--ignore-submodules=none",
            "--find-renames=100%",
            from,
            to,
        ];
        Change::parse_all(&self.call(fixed).stdout()?)
    }

    /// Returns git's table of the lines that differ between two trees.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn stat(&self, [from, to]: &[String; 2]) -> Result<Vec<u8>> {
        // Text of more than a mebibyte is text all the same here.
        let fixed = ["-c", "core.bigFileThreshold=512m", "diff-tree", "-r", "--stat=100", "--summary"];
        self.call(fixed).args(["--find-renames=100%", "--no-ext-diff", "--no-color", from, to]).stdout()
    }

    /// Returns the call that compares two trees, or commits.
    pub fn diff_call(&self, from: &Oid, to: &Oid, renames: bool, pathspecs: &[OsString]) -> Call {
        // Plumbing with every switch said, for the user's configuration would turn some.
        let renames = if renames { "--find-renames=100%" } else { "--no-renames" };
        let fixed = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--ignore-submodules=none", renames];
        self.call(fixed).args([from.as_str(), to.as_str(), "--"]).args(pathspecs.iter().cloned())
    }
}

/// An object of git's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: Oid,
    /// `commit`, `tree`, `blob` or `tag`.
    pub kind: String,
    /// The bytes of its content.
    pub size: u64,
}

impl Object {
    /// Reads `ID SP KIND SP SIZE`; `None` for anything else, which says that it is not there.
    fn read(said: &mut dyn BufRead) -> io::Result<Option<Object>> {
        let mut line = Vec::new();
        said.read_until(b'\n', &mut line)?;
        let line = line.strip_suffix(b"\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let object = || {
            let mut words = std::str::from_utf8(line).ok()?.split(' ');
            let (id, kind) = (words.next()?.parse().ok()?, words.next()?.to_owned());
            Some(Object { id, kind, size: words.next()?.parse().ok()? })
        };
        Ok(object())
    }
}

/// Returns an error, or in its place that git is too old: such a git fails in ways that tell nobody why.
pub fn or_too_old(error: Error, reporter: &Arc<dyn Reporter>) -> Error {
    check_version(reporter).err().unwrap_or(error)
}

/// Refuses a git that is too old.
fn check_version(reporter: &Arc<dyn Reporter>) -> Result<()> {
    let version = text(Call::new("git", reporter).arg("version").stdout()?)?;
    let mut numbers = version.trim_start_matches("git version ").split('.').map(|part| part.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= FLOOR => Ok(()),
        _ => Err(Error::failed(format!("{version} is too old"))
            .detail(format!("git {}.{} or later is needed on this machine", FLOOR.0, FLOOR.1))),
    }
}

/// Returns the time, as git reads dates.
pub fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("@{} +0000", now.as_secs())
}

/// Starts a call of git that is the same whatever the user's settings and variables say.
fn steady(reporter: &Arc<dyn Reporter>) -> Call {
    let mut call = Call::new("git", reporter).fixed(FIXED.iter().flat_map(|setting| ["-c", setting]));
    for (name, _) in git_environment() {
        let known = name.to_str().is_some_and(|name| KEPT.iter().any(|kept| name.starts_with(kept)));
        if !known {
            call = call.env_remove(name);
        }
    }
    // Messages are shown, not read; but a translated one would mix languages.
    call.env("LC_ALL", "C")
}

/// Returns the call that shows the difference between two trees or commits as the user's own git does: nothing of its
/// configuration is fixed but what repositories it may find.
pub fn shown(
    reporter: &Arc<dyn Reporter>,
    git_dir: &Path,
    command: &[&str],
    trees: &[Oid; 2],
    pathspecs: &[OsString],
) -> Call {
    let call = Call::new("git", reporter).fixed(["-c", EXPLICIT]).args(command.iter().copied());
    let call = call.args(trees.iter().map(Oid::as_str)).arg("--").args(pathspecs.iter().cloned());
    call.env("GIT_DIR", git_dir)
}

/// Returns a value of [`ALTERNATES`] with a folder beside those that the user names there.
pub fn beside(objects: &Path) -> OsString {
    let mut list = OsString::from_vec(quoted(objects));
    for (_, value) in git_environment().into_iter().filter(|(name, _)| name == ALTERNATES) {
        list.push(":");
        list.push(value);
    }
    list
}

/// Returns a folder with objects as git's lists of them write it: git takes the quotes off.
pub fn quoted(folder: &Path) -> Vec<u8> {
    let mut text = b"\"".to_vec();
    for &byte in folder.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            byte => text.push(byte),
        }
    }
    text.push(b'"');
    text
}

/// Returns the object id that git printed. A program in git's place, or a damaged ref, may print another thing; that is no
/// fault of the guest's.
pub fn parse_oid(bytes: Vec<u8>) -> Result<Oid> {
    let text = text(bytes)?;
    text.parse().map_err(|_| {
        Error::failed(format!("git was asked for an object id, and printed {}", crate::text::path(text.as_bytes())))
    })
}

/// Returns what git printed as text, without the last line end.
pub fn text(bytes: Vec<u8>) -> Result<String> {
    let mut text =
        String::from_utf8(bytes).map_err(|error| Error::failed("git printed what is not UTF-8").source(error))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}
