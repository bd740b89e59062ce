//! A jj workspace as a working copy.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::Jj;
use crate::error::{Context, Error, Next, Result};
use crate::host::entries::{self, Entry};
use crate::host::folders::Folders;
use crate::host::git::filters::Desk;
use crate::host::git::lfs::Pointers;
use crate::host::git::{self, Git};
use crate::host::landing::look::{Asked, Form, Here, Ours};
use crate::host::landing::{Landed, Obstacle, Plan, Undo, Why, tree_of};
use crate::host::scratch::Scratch;
use crate::host::working_copy::{Extras, Files, Wanted, WorkingCopy};
use crate::host::{Head, Repo};
use crate::reporter::Reporter;
use crate::snapshot::{Change, Oid, Snapshot};

/// A jj workspace, colocated with a git work tree or not.
#[derive(Debug)]
pub struct Checkout {
    jj: Jj,
    /// The name of the workspace, once it was asked for.
    name: OnceLock<String>,
}

impl Checkout {
    /// Opens the repository of a workspace, for a user who stands in `dir`, or in the current directory.
    ///
    /// # Errors
    /// When it is not backed by git.
    pub fn open(jj: Jj, dir: Option<&Path>, reporter: &Arc<dyn Reporter>) -> Result<Repo> {
        let git_dir = jj.git_dir()?;
        let here = dir.unwrap_or(Path::new(".")).canonicalize().context(|| "cannot find this directory".to_owned())?;
        let mut prefix = here.strip_prefix(jj.root()).unwrap_or(Path::new("")).as_os_str().as_bytes().to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let git = Git::new(&git_dir, Some(jj.root()), reporter);
        let object_format = git.line(["rev-parse", "--show-object-format"])?;
        let top = Some(jj.root().to_owned());
        let (common_dir, objects) = (git_dir.clone(), git_dir.join("objects"));
        Ok(Repo {
            git,
            git_dir,
            common_dir,
            objects,
            object_format,
            top,
            prefix,
            vcs: Box::new(Checkout { jj, name: OnceLock::new() }),
            core: OnceLock::new(),
        })
    }
}

impl WorkingCopy for Checkout {
    fn name(&self, _repo: &Repo) -> Result<String> {
        if let Some(name) = self.name.get() {
            return Ok(name.clone());
        }
        let name = self.jj.workspace_name()?;
        Ok(self.name.get_or_init(|| name).clone())
    }

    fn top_of(&self, _repo: &Repo, name: &str) -> Option<PathBuf> {
        self.jj.read(["workspace", "root", "--name", name]).ok().map(PathBuf::from)
    }

    /// HEAD is the first parent of `@`, for git's own is unborn, or another workspace's.
    fn head(&self, repo: &Repo) -> Result<Head> {
        let (_, parents) = self.jj.working_copy()?;
        let parent = parents.into_iter().next().ok_or_else(|| Error::bug("jj shows no parent"))?;
        if parent.conflict {
            let error = Error::refused("'@-' has conflicts, which only jj can hold");
            return Err(error.next(Next::ResolveInJj("@-")));
        }
        if parent.id.as_str().bytes().all(|digit| digit == b'0') {
            let branch = Some(repo.git.line(["var", "GIT_DEFAULT_BRANCH"])?.into());
            return Ok(Head { commit: repo.empty_commit()?, branch, unborn: true });
        }
        let branch = match parent.bookmarks.as_slice() {
            [only] => Some(OsString::from(only)),
            _ => None,
        };
        Ok(Head { commit: parent.id, branch, unborn: false })
    }

    fn identity(&self, _repo: &Repo) -> Result<[OsString; 2]> {
        // Not set is a failure to jj.
        let get = |key| self.jj.read(["config", "get", key]).unwrap_or_default().into();
        Ok(["user.name", "user.email"].map(get))
    }

    /// The files are those of `@`: git would miss what jj's sparse patterns keep off the disk, and take what jj leaves.
    fn files(&self, repo: &Repo, wanted: Wanted<'_>, why: &str) -> Result<Files> {
        if !wanted.include.is_empty() {
            return Err(Error::usage("'--include' does not work in a jj workspace")
                .detail("jj itself can take the files in: jj file track --include-ignored"));
        }
        let tree = tree_of(repo, &self.snapshot(why)?)?;
        Ok(Files { tree, untracked: Vec::new(), hidden: Vec::new(), included: Vec::new() })
    }

    /// jj takes in all of its files, as with each of its own commands; what it says of those that are asked for is looked
    /// at.
    fn look(&self, repo: &Repo, _scratch: &Scratch, asked: &Asked<'_>) -> Result<Ours> {
        let top = Folders::open(self.jj.root())?;
        let stood = |path: &[u8]| top.look(path).context(|| format!("cannot look at {}", crate::text::path(path)));
        // First, so that an edit after jj has looked shows.
        let mut before = Vec::new();
        for change in asked.delta {
            before.push(stood(&change.path)?.filter(|found| !found.is_folder()));
        }
        let working_copy = self.snapshot(asked.why)?;
        let [operation, _] = self.jj.operations()?;
        let mut ours = Ours { operation, ..Ours::default() };
        let here = repo.diff(asked.common, &working_copy, false, &[])?;
        let changed: HashMap<_, _> = here.iter().map(|change| (change.path.as_slice(), change)).collect();
        let file = |entry, stood| Here { entry, stood, raw: None, form: Form::AsWritten };
        for (change, stood) in asked.delta.iter().zip(before) {
            let entry = changed.get(change.path.as_slice()).map_or(Entry::before(change), |here| Entry::after(here));
            ours.files.extend(entry.map(|entry| (change.path.clone(), file(entry, stood))));
        }
        let known: HashSet<&[u8]> = asked.delta.iter().map(|change| change.path.as_slice()).collect();
        let missing = |change: &Change| change.old_mode != 0 && !ours.files.contains_key(&change.path);
        if asked.delta.iter().any(missing) {
            for new in here.iter().filter(|here| here.status == 'A' && !known.contains(here.path.as_slice())) {
                if let Some(entry) = Entry::after(new) {
                    ours.elsewhere.insert(new.path.clone(), file(entry, stood(&new.path)?));
                }
            }
        }
        Ok(ours)
    }

    /// jj heeds no `.gitattributes`.
    fn attributes(
        &self,
        _repo: &Repo,
        _scratch: &Scratch,
        _paths: &[&[u8]],
        _names: &[&str],
    ) -> Result<Vec<(Vec<u8>, String, String)>> {
        Ok(Vec::new())
    }

    /// To jj a pointer is the content.
    fn pointers(
        &self,
        _repo: &Repo,
        _scratch: &Scratch,
        _changes: &[Change],
        _snapshot: &Snapshot,
    ) -> Result<Pointers> {
        Ok(Pointers::default())
    }

    fn unfit(&self, _repo: &Repo, changes: &[Change], _hidden: &HashSet<&[u8]>) -> Result<Vec<Obstacle>> {
        let patterns = self.jj.read(["sparse", "list"])?;
        let inside = |path: &[u8]| {
            patterns.lines().any(|pattern| {
                let rest = path.strip_prefix(pattern.as_bytes());
                pattern == "." || rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
            })
        };
        let unfit = |path: &[u8]| match path {
            path if !inside(path) => Some(Why::OutsideJjSparse),
            path if std::str::from_utf8(path).is_err() => Some(Why::NameNotUtf8),
            _ => None,
        };
        Ok(changes.iter().filter_map(|change| Some(Obstacle::new(&change.path, unfit(&change.path)?))).collect())
    }

    fn untracked(&self) -> Why {
        Why::UntrackedByJj
    }

    /// jj keeps track of whatever has landed, ignored or not.
    fn ignored(&self, _repo: &Repo, _paths: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// jj writes what a commit holds, whatever `.gitattributes` say; only a repository of its own makes git do so.
    fn desk(&self, _repo: &Repo, scratch: &Scratch, folder: &Path, _paths: &[&[u8]]) -> Result<(Desk, bool)> {
        let converts = self.jj.read(["config", "get", "working-copy.eol-conversion"])? == "input-output";
        let text = if converts { "text=auto eol=crlf" } else { "-text !eol" };
        fs::write(scratch.path("info/attributes"), format!("* {text} {RAW}\n"))
            .context(|| "cannot write a temporary file".to_owned())?;
        Ok((Desk::new(scratch.git(), folder)?, converts))
    }

    fn own_folder(&self, _repo: &Repo) -> PathBuf {
        self.jj.root().join(".jj").join("banger")
    }

    fn extras(&self) -> Option<&dyn Extras> {
        Some(self)
    }
}

impl Extras for Checkout {
    /// After 'jj undo' a landing is no part of what the working copy came from, and must not be taken as merged.
    fn newest_held(&self, marks: &[Option<&Oid>]) -> Result<Option<usize>> {
        let revset = format!("latest(::@, {RECENT})");
        let origins = ["evolog", "--no-graph", "-r", &revset, "-T", r#"commit.commit_id() ++ "\n""#];
        let origins = self.jj.read(origins)?;
        let origins: HashSet<&str> = origins.lines().collect();
        Ok(marks.iter().position(|mark| mark.is_some_and(|mark| origins.contains(mark.as_str()))))
    }

    fn begin(&self, plan: &Plan<'_>) -> Result<()> {
        if plan.how.new_change {
            self.jj.run(self.jj.labelled(&plan.why, ["new", "-m", &plan.why]))?;
        }
        Ok(())
    }

    /// Makes one operation of the landing, which holds all that was written, and nothing that the user keeps untracked.
    fn finish(&self, plan: &Plan<'_>) -> Result<Landed> {
        let new = plan.changes.iter().filter(|change| change.old_mode == 0);
        let new: Vec<String> = new.filter_map(|change| fileset(&change.path)).collect();
        let folder = plan.repo.temporary_folder()?;
        let settings = folder.path().join("jj.toml");
        let text = format!("[snapshot]\nmax-new-file-size = 0\nauto-track = {}\n", super::quoted(&any_of(&new)));
        fs::write(&settings, text).context(|| "cannot write jj's settings".to_owned())?;
        let call = |args: &[&str]| {
            let call = self.jj.labelled(&plan.why, args.iter().copied());
            self.jj.run(call.arg("--config-file").arg(&settings))
        };
        call(&["util", "snapshot"])?;
        let mut missing = self.missing(plan)?;
        if !missing.is_empty() {
            // Ignored here, and tracked in the guest.
            let filesets: Vec<_> = missing.iter().filter_map(|path| fileset(path)).collect();
            let track = ["file", "track", "--include-ignored"];
            call(&[&track, &filesets.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())?;
            call(&["util", "snapshot"])?;
            missing = self.missing(plan)?;
        }
        self.landed(plan, missing)
    }

    /// jj takes commits in only by a bookmark, and makes a conflict by moving one onto `@`.
    fn record_conflict(&self, plan: &Plan<'_>) -> Result<Landed> {
        let git = &plan.repo.git;
        let now = git::now();
        // Without parents: a child of a commit that the user has rewritten since would make that visible again.
        let base = git.commit(&plan.start, &[], &now, &format!("base of {}", plan.why))?;
        let work = git.commit(&plan.theirs, &[&base], &now, &plan.why)?;
        let name = format!("banger-{}", work.short());
        let bookmark = format!("refs/heads/{name}");
        plan.repo.update(format!("create {bookmark} {work}\n"))?;
        let recorded = self.take_in(plan, &name, &base);
        if recorded.is_err() {
            let restored = self.jj.run(self.jj.labelled(&plan.why, ["op", "restore", &plan.operation]));
            let _ = plan.repo.update(format!("delete {bookmark}\n"));
            return recorded.and(Ok(Landed::default())).map_err(|error| match restored {
                Ok(()) => error.detail("everything is as it was before"),
                Err(_) => error.detail(format!("jj is half-way: operation {} is the one before", plan.operation)),
            });
        }
        self.landed(plan, Vec::new())
    }
}

/// Attributes under which git writes what a commit holds.
const RAW: &str = "!filter !ident !working-tree-encoding";

/// In how many of the newest commits a landing is looked for.
const RECENT: u32 = 50;

impl Checkout {
    /// Has jj take in the files, and returns the working-copy commit that holds them.
    fn snapshot(&self, why: &str) -> Result<Oid> {
        self.jj.run(self.jj.labelled(why, ["util", "snapshot"]))?;
        let (working_copy, _) = self.jj.working_copy()?;
        if working_copy.conflict {
            let error = Error::refused("the working copy has conflicts, which only jj can hold");
            return Err(error.next(Next::ResolveInJj("@")));
        }
        Ok(working_copy.id)
    }

    /// Returns the paths that `@` does not hold as they landed.
    fn missing(&self, plan: &Plan<'_>) -> Result<Vec<Vec<u8>>> {
        let (working_copy, _) = self.jj.working_copy()?;
        let paths: Vec<&[u8]> = plan.changes.iter().map(|change| change.path.as_slice()).collect();
        let now = entries::of_tree(&plan.repo.git, working_copy.id.as_str(), &paths)?;
        let held = |change: &&Change| now.get(&change.path) == Entry::after(change).as_ref();
        Ok(plan.changes.iter().filter(|change| !held(change)).map(|change| change.path.clone()).collect())
    }

    /// Makes what git has as a bookmark a part of the working copy, and forgets how it came.
    fn take_in(&self, plan: &Plan<'_>, name: &str, base: &Oid) -> Result<()> {
        let run = |args: &[&str]| self.jj.run(self.jj.labelled(&plan.why, args.iter().copied()));
        run(&["git", "import"])?;
        if plan.how.new_change {
            run(&["rebase", "-r", name, "-o", "@"])?;
            run(&["edit", name])?;
            run(&["metaedit", "--update-author"])?;
        } else {
            run(&["squash", "--from", name, "--into", "@", "--use-destination-message"])?;
        }
        // By jj: where git deletes a ref, jj abandons what only it kept.
        run(&["bookmark", "forget", name])?;
        run(&["abandon", base.as_str()])?;
        // Else the bookmark would be listed as deleted where jj does not export by itself.
        run(&["git", "export"])
    }

    fn landed(&self, plan: &Plan<'_>, unheld: Vec<Vec<u8>>) -> Result<Landed> {
        let before = &plan.operation;
        let undo = match self.jj.operations()? {
            [_, previous] if previous == *before => Undo::Last,
            _ => Undo::Restore(before[..12].to_owned()),
        };
        let (working_copy, _) = self.jj.working_copy()?;
        Ok(Landed { wrote: true, undo: Some(undo), unheld, mark: Some(working_copy.id) })
    }
}

fn fileset(path: &[u8]) -> Option<String> {
    Some(format!("root-file:{}", super::quoted(std::str::from_utf8(path).ok()?)))
}

/// Returns the union of filesets.
fn any_of(filesets: &[String]) -> String {
    if filesets.is_empty() { "none()".to_owned() } else { filesets.join(" | ") }
}
