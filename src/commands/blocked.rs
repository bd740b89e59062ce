//! The words for why work does not land.

use super::App;
use crate::cli::Pull;
use crate::error::{Error, Fault};
use crate::host::land::Blocked;
use crate::host::{Repo, Why};

/// Returns the error that names every path which cannot land.
pub fn error(blocked: Blocked, app: &App, repo: &Repo, args: &Pull) -> Error {
    let vm = &args.vm;
    let (since, obstacles) = match blocked {
        Blocked::Failed(error) => return error,
        Blocked::NoRoom { missing } => {
            return Error::failed(format!("the disk is full: {missing} bytes more are needed; nothing was changed"))
                .with_vm(vm);
        }
        Blocked::Paths { since, obstacles } => (since, obstacles),
    };
    let merges = obstacles.iter().all(|obstacle| obstacle.why == Why::BothChanged);
    let faults = obstacles.into_iter().map(|obstacle| {
        let (kind, why) = words(obstacle.why);
        Fault { path: obstacle.path, kind, why: why.to_owned() }
    });
    let snapshot = Repo::vm_ref(vm, "snapshot");
    let git = |words: &[&str]| app.git(repo, words);
    let error = Error::refused(format!("the work of guest '{vm}' cannot land; nothing was changed"))
        .with_vm(vm)
        .with_faults(faults)
        .run(git(&["diff", since.short(), &snapshot]), "shows what the guest did");
    if merges {
        let (way, purpose) = if repo.is_jj() {
            ("record", "lands it with the conflict recorded in the change")
        } else {
            ("merge", "lands it with conflict markers in the files")
        };
        error.run(app.line().for_real().with("--conflict", Some(way)), purpose)
    } else {
        error
    }
}

/// Returns the word for scripts, and the rest of a sentence about the path.
fn words(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::BothChanged => ("both-changed", "has changed here and in the guest"),
        Why::Submodule => ("submodule", "is a submodule: its pointer alone would vanish unseen"),
        Why::UntrackedByGit => ("in-the-way", "is in the way: git does not track it"),
        Why::UntrackedByJj => ("in-the-way", "is in the way: jj does not track it"),
        Why::OutsideGitSparse => ("outside-sparse", "is outside the sparse checkout"),
        Why::OutsideJjSparse => ("outside-sparse", "is outside of 'jj sparse list'"),
        Why::NameNotUtf8 => ("name-not-utf-8", "has a name that is not UTF-8, which jj cannot hold"),
        Why::DirectoryNotWritable => ("not-writable", "is in a directory that cannot be written"),
        Why::ChangedMeanwhile => ("changed-meanwhile", "changed during the pull"),
    }
}
