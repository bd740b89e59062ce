//! How jj is run on the host, and what it is asked. Always a child process: a library would tie us to one version of the
//! user's store.

mod checkout;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::git;
use crate::environment::{env, git_environment};
use crate::error::{Error, Next, Result};
use crate::process::{Call, Output};
use crate::reporter::{Notice, Reporter};
use crate::snapshot::Oid;
use crate::text;

pub use self::checkout::Checkout;

/// The oldest jj that will do: `jj util snapshot` came with it.
const FLOOR: (u32, u32) = (0, 39);

/// What jj proposes where another command has moved the working copy.
const STALE: &[u8] = b"jj workspace update-stale";

/// jj, aimed at one workspace.
#[derive(Clone, Debug)]
pub struct Jj {
    root: PathBuf,
    reporter: Arc<dyn Reporter>,
}

/// A commit, as far as it matters here.
#[derive(Debug)]
pub struct Commit {
    /// Its id; zeros for `root()`.
    pub id: Oid,
    /// It holds conflicts: its tree in git is not the tree of its files.
    pub conflict: bool,
    /// The names of its bookmarks.
    pub bookmarks: Vec<String>,
}

impl Jj {
    /// Finds the workspace that `dir`, or the current folder, is in. The innermost folder that holds `.jj` or `.git`
    /// decides, and where it holds both, it is jj's; `GIT_DIR` in the environment names a git repository all the same.
    ///
    /// # Errors
    /// When it is a workspace that only jj can read, and jj is missing or too old.
    pub fn find(dir: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Result<Option<Jj>> {
        let Some(root) = root(dir) else { return Ok(None) };
        if !is_own(&root, reporter)? {
            reporter.trace(&format!("'{}' is passed over as a jj workspace: it is another user's", root.display()));
            return Ok(None);
        }
        let Err(error) = check_version(reporter) else {
            return Ok(Some(Jj { root, reporter: Arc::clone(reporter) }));
        };
        if root.join(".git").exists() {
            // jj takes the files in with its next command, as after any other git command.
            reporter.trace(&format!("'{}' is used as a git repository: {error}", root.display()));
            return Ok(None);
        }
        Err(Error::failed(format!("'{}' is a jj workspace", root.display()))
            .caused_by(error)
            .detail(format!("jj {}.{} or later is needed on this machine", FLOOR.0, FLOOR.1)))
    }

    /// Returns the top of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the git directory that holds the commits; it may serve other workspaces too.
    ///
    /// # Errors
    /// When the repository is not backed by git.
    pub fn git_dir(&self) -> Result<PathBuf> {
        self.read(["git", "root"]).map(PathBuf::from)
    }

    /// Returns the name of the workspace.
    ///
    /// # Errors
    /// When jj fails.
    pub fn workspace_name(&self) -> Result<String> {
        self.read(["workspace", "list", "-T", "if(target.current_working_copy(), name)"])
    }

    /// Returns the working-copy commit, as of the last snapshot, and its parents.
    ///
    /// # Errors
    /// When jj fails.
    pub fn working_copy(&self) -> Result<(Commit, Vec<Commit>)> {
        const TEMPLATE: &str = concat!(
            r#"self.commit_id() ++ " " ++ self.conflict() ++ "\n" ++ parents.map(|c| separate(" ", "#,
            r#"c.commit_id(), c.conflict(), c.local_bookmarks().map(|b| b.name()).join(" ")) ++ "\n").join("")"#
        );
        let commits = self.log("@", TEMPLATE)?;
        let mut commits = commits.lines().map(|line| {
            let mut words = line.split(' ');
            let id = words.next().unwrap_or_default().parse()?;
            let conflict = words.next() == Some("true");
            Ok(Commit { id, conflict, bookmarks: words.map(str::to_owned).collect() })
        });
        let working_copy = commits.next().ok_or_else(|| Error::bug("jj shows no working copy"))??;
        Ok((working_copy, commits.collect::<Result<_>>()?))
    }

    /// Runs `jj log` on a revset with a template of ours.
    ///
    /// # Errors
    /// When jj fails.
    pub fn log(&self, revset: &str, template: &str) -> Result<String> {
        self.read(["log", "--no-graph", "-r", revset, "-T", template])
    }

    /// Returns the newest operation, and the one before.
    ///
    /// # Errors
    /// When jj fails.
    pub fn operations(&self) -> Result<[String; 2]> {
        let operations = self.read(["op", "log", "--no-graph", "-n2", "-T", r#"id ++ "\n""#])?;
        let mut operations = operations.lines().map(str::to_owned);
        Ok([operations.next().unwrap_or_default(), operations.next().unwrap_or_default()])
    }

    /// Asks jj without letting it look at the files.
    ///
    /// # Errors
    /// When jj fails, with its stderr.
    pub fn read<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        git::text(self.done(self.call(args).arg("--ignore-working-copy"))?)
    }

    /// Runs jj, and reports its warnings.
    ///
    /// # Errors
    /// When jj fails, with its stderr.
    pub fn run(&self, call: Call) -> Result<()> {
        self.done(call).map(drop)
    }

    /// Starts a call of jj that is shown as `label` in the operation log: the arguments are all of it that can be ours.
    /// Ctrl-C does not reach it, so that no operation is left half-way.
    pub fn labelled<'a>(&self, label: &str, args: impl IntoIterator<Item = &'a str>) -> Call {
        self.call(["--config", &format!("banger.op={}", quoted(label))]).args(args).apart()
    }

    fn call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Call {
        // Quiet, it says on stderr only what a user must know.
        let mut call =
            Call::new("jj", &self.reporter).fixed(["--no-pager", "--color=never", "--quiet"]).dir(&self.root);
        // jj 0.45 writes another index when GIT_INDEX_FILE says so, and leaves the user's stale.
        for (name, _) in git_environment() {
            call = call.env_remove(name);
        }
        call.args(args)
    }

    fn done(&self, call: Call) -> Result<Vec<u8>> {
        let shown = call.shown();
        let output = call.run()?;
        if output.code != Some(0) {
            return Err(failure(&shown, &output));
        }
        if !output.stderr.trim_ascii().is_empty() {
            self.reporter.notice(Notice::Jj(output.stderr));
        }
        Ok(output.stdout)
    }
}

/// Returns text as a string of jj's languages, and of TOML where it holds no control character.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns the git directory of the workspace that `dir` is in, where git would not find it from there.
///
/// # Errors
/// As [`Jj::find`].
pub fn hidden_git_dir(dir: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Result<Option<PathBuf>> {
    match root(dir) {
        Some(root) if !root.join(".git").exists() => Jj::find(dir, reporter)?.map(|jj| jj.git_dir()).transpose(),
        _ => Ok(None),
    }
}

/// Returns the top of the jj workspace that `dir`, or the current folder, is in: see [`Jj::find`].
pub fn root(dir: Option<&Path>) -> Option<PathBuf> {
    if env("GIT_DIR").is_some() {
        return None;
    }
    let start = dir.unwrap_or(Path::new(".")).canonicalize().ok()?;
    let root = start.ancestors().find(|folder| folder.join(".jj").is_dir() || folder.join(".git").exists())?;
    root.join(".jj").is_dir().then(|| root.to_owned())
}

/// Tells whether a workspace is the user's own, or one that git is told to trust: its configuration names programs. As git
/// judges a repository: 'safe.directory' in git-config(1).
fn is_own(root: &Path, reporter: &Arc<dyn Reporter>) -> Result<bool> {
    let user = rustix::process::geteuid().as_raw();
    // Who is root by sudo is still the same person.
    let before = env("SUDO_UID").filter(|_| user == 0).and_then(|uid| uid.to_str()?.parse().ok());
    let is_users = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == user || Some(metadata.uid()) == before)
    };
    if is_users(root) && is_users(&root.join(".jj")) {
        return Ok(true);
    }
    // Only what the user and the system say, and no repository.
    let call = Call::new("git", reporter).args(["config", "--null", "--get-all", "safe.directory"]).dir("/");
    let trusted = call.env("GIT_DIR", "/dev/null").run()?.stdout;
    let trusted = trusted.strip_suffix(b"\0").unwrap_or(&trusted).split(|&byte| byte == 0);
    let is_root = |folder: &[u8]| folder == b"*" || folder == root.as_os_str().as_encoded_bytes();
    // An empty value takes back all before it.
    Ok(trusted.fold(false, |is_trusted, folder| !folder.is_empty() && (is_trusted || is_root(folder))))
}

fn check_version(reporter: &Arc<dyn Reporter>) -> Result<()> {
    let version = git::text(Call::new("jj", reporter).arg("--version").stdout()?)?;
    let mut numbers = version.trim_start_matches("jj ").split('.').map(|part| part.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= FLOOR => Ok(()),
        _ => Err(Error::failed(format!("{version} is too old"))),
    }
}

/// Returns the error for a jj that failed: its own words, line by line.
fn failure(shown: &str, output: &Output) -> Error {
    let mut lines = text::lines(&output.stderr);
    let first = lines.next().unwrap_or_default();
    let how = output.code.map_or("killed by a signal".to_owned(), |code| format!("exit {code}"));
    let said = first.strip_prefix("Error: ").unwrap_or(&first);
    let error = Error::failed(format!("{shown} failed ({how}): {said}"));
    let error = lines.fold(error, |error, line| error.said("jj", line.as_bytes()));
    match output.stderr.windows(STALE.len()).any(|said| said == STALE) {
        true => error.next(Next::UpdateStaleInJj),
        false => error,
    }
}
