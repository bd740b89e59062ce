//! A repository of our own that goes when it is dropped. Its configuration and attributes are ours alone: none of the
//! user's, none of what a tree holds, no hook, no driver, no filter.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::Repo;
use super::git::{Git, quoted};
use crate::error::{Context, Result};
use crate::reporter::Reporter;

/// A repository of our own, without working files.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    git: Git,
    object_format: String,
}

impl Scratch {
    /// Makes one beside the repository's own objects, which it sees.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn beside(repo: &Repo) -> Result<Scratch> {
        let scratch = Scratch::new(repo.temporary_folder()?, &repo.object_format, repo.git.reporter())?;
        let context = || "cannot make a temporary repository".to_owned();
        let line = [quoted(&repo.objects), b"\n".to_vec()].concat();
        fs::write(scratch.path("objects/info/alternates"), line).context(context)?;
        // Where the host's history ends, it ends here too.
        match fs::copy(repo.common_dir.join("shallow"), scratch.path("shallow")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(context),
            _ => Ok(scratch),
        }
    }

    /// Makes one that knows no object but its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn apart(object_format: &str, reporter: &Arc<dyn Reporter>) -> Result<Scratch> {
        let folder = TempDir::new().context(|| "cannot make a temporary folder".to_owned())?;
        Scratch::new(folder, object_format, reporter)
    }

    fn new(folder: TempDir, object_format: &str, reporter: &Arc<dyn Reporter>) -> Result<Scratch> {
        let git = Git::new(folder.path(), None, reporter).alone();
        let scratch = Scratch { folder, git, object_format: object_format.to_owned() };
        // What 'git init' would make, without a process for it.
        let config = match object_format {
            "sha1" => "[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n".to_owned(),
            other => format!(
                "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = {other}\n"
            ),
        };
        let write = || {
            for folder in ["objects/info", "objects/pack", "refs", "info"] {
                fs::create_dir_all(scratch.path(folder))?;
            }
            fs::write(scratch.path("HEAD"), "ref: refs/heads/none\n")?;
            fs::write(scratch.path("config"), config)
        };
        write().context(|| "cannot make a temporary repository".to_owned())?;
        Ok(scratch)
    }

    /// Returns `sha1` or `sha256`.
    pub fn object_format(&self) -> &str {
        &self.object_format
    }

    /// Returns the git that works in it.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Returns a file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a git of another repository that puts its objects here, and finds those that are here.
    pub fn lend(&self, git: &Git) -> Git {
        git.with_objects(self.path("objects"))
    }

    /// Feeds `git fast-import`, and returns what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn import(&self, stream: Vec<u8>) -> Result<Vec<u8>> {
        self.git.call(["fast-import", "--quiet", "--force", "--done"]).input(stream).stdout()
    }

    /// Removes the packs that came.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn drop_packs(&self) -> Result<()> {
        let packs = self.path("objects/pack");
        let again = || fs::remove_dir_all(&packs).and_then(|()| fs::create_dir(&packs));
        again().context(|| "cannot remove temporary files".to_owned())
    }

    /// Adds all objects to those of a repository, which from then on has them. They stay here too: a git that reads one may
    /// come back to its file.
    ///
    /// # Errors
    /// When one cannot be added; what was added by then is harmless.
    pub fn hand_over(&self, repo: &Repo) -> Result<()> {
        let context = || format!("cannot keep objects in '{}'", repo.objects.display());
        let list = |folder: &Path| {
            let entries = fs::read_dir(folder).context(context)?;
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().context(context)
        };
        for folder in list(&self.path("objects"))? {
            let Some(name) = folder.file_name().filter(|name| *name != "info") else { continue };
            let mut files = list(&folder)?;
            if files.is_empty() {
                continue;
            }
            // The index last: git looks for a pack where it finds one.
            files.sort_by_key(|file| file.extension() == Some(OsStr::new("idx")));
            let to = repo.objects.join(name);
            fs::create_dir_all(&to).context(context)?;
            for file in files {
                share(&file, &to.join(file.file_name().unwrap_or_default())).context(context)?;
            }
        }
        Ok(())
    }
}

/// Gives a file a second name, or copies it where there can be none.
fn share(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::hard_link(from, to) {
        // What an object's file holds follows from its name.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let folder = to.parent().unwrap_or(Path::new("."));
            let mut copy = tempfile::NamedTempFile::new_in(folder)?;
            std::io::copy(&mut fs::File::open(from)?, &mut copy)?;
            copy.as_file().sync_all()?;
            fs::set_permissions(copy.path(), fs::metadata(from)?.permissions())?;
            copy.persist(to).map(drop).map_err(|error| error.error)
        }
        linked => linked,
    }
}
