//! The words for why work does not land.

use super::App;
use super::line::Line;
use crate::error::{Error, Fault};
use crate::host::Repo;
use crate::host::landing::record::Landing;
use crate::host::landing::{Blocked, Why};
use crate::text;

/// Returns the error that names every path which cannot land.
pub fn error(blocked: Blocked, app: &App, repo: &Repo, vm: &str, line: &Line) -> Error {
    let line = line.for_real();
    let (since, obstacles, blocked, others, thrown_away) = match blocked {
        Blocked::Failed(error) => return error,
        Blocked::NoRoom { missing } => {
            return no_room(missing).with_vm(vm);
        }
        Blocked::Paths { since, obstacles, blocked, others, thrown_away } => {
            (since, obstacles, blocked, others, thrown_away)
        }
    };
    let merges = obstacles.iter().all(|obstacle| obstacle.why.is_conflict());
    let rests = obstacles.iter().any(|obstacle| obstacle.why == Why::RestsOnCommits);
    let rest = (others > 0).then(|| without(&blocked)).flatten();
    let faults = obstacles.into_iter().map(|obstacle| {
        let (kind, why) = words(obstacle.why);
        Fault { path: obstacle.path, kind, why: why.to_owned() }
    });
    let snapshot = repo.vm_ref(vm, "snapshot").unwrap_or_default();
    let git = |words: &[&str]| app.git(repo, words);
    let error = Error::refused(format!("the work of guest '{vm}' cannot land; nothing was changed"))
        .with_vm(vm)
        .with_faults(faults)
        .run(git(&["diff", since.short(), &snapshot]), "shows what the guest did");
    let error = match rest {
        Some(pathspecs) => error.run(line.with_pathspecs(&pathspecs), "lands the rest"),
        None => error,
    };
    let error = match thrown_away {
        true => error.run(line.with("--again", None), "first lands again what has landed before and is no more here"),
        false => error,
    };
    if rests {
        return error.run(line.with("--base-commit", Some("HEAD@prepare")), "lands those commits too");
    }
    if merges {
        let (way, purpose) = if repo.records_conflicts() {
            ("record", "lands it with the conflict recorded in the change")
        } else {
            ("merge", "lands it with conflict markers in the files")
        };
        error.run(line.with("--conflict", Some(way)), purpose)
    } else {
        error
    }
}

/// Returns the error that names every path at which a landing cannot be taken back, or landed again.
pub fn turned(blocked: Blocked, landing: &Landing, is_redo: bool) -> Error {
    let Landing { number, vm, .. } = landing;
    match blocked {
        Blocked::Failed(error) => error,
        Blocked::NoRoom { missing } => no_room(missing).with_vm(vm),
        Blocked::Paths { obstacles, .. } => {
            let done = if is_redo { "landed again" } else { "taken back" };
            Error::refused(format!("landing {number} from '{vm}' cannot be {done}; nothing was changed"))
                .with_vm(vm)
                .with_faults(obstacles.into_iter().map(|obstacle| {
                    let (kind, why) = words(obstacle.why);
                    Fault { path: obstacle.path, kind, why: why.replace("in the guest", "in the landing") }
                }))
        }
    }
}

fn no_room(missing: u64) -> Error {
    Error::failed(format!("the disk is full: {missing} bytes more are needed; nothing was changed"))
}

/// Returns the pathspecs that leave these paths out; `None` where there are none or too many, or they are no text.
fn without(paths: &[Vec<u8>]) -> Option<Vec<String>> {
    const MOST: usize = 8;
    if paths.is_empty() || paths.len() > MOST {
        return None;
    }
    let pathspec = |path: &[u8]| {
        let path = text::harmless(path)?;
        let magic = if path.contains(['*', '?', '[', '\\']) { "top,exclude,literal" } else { "top,exclude" };
        Some(format!(":({magic}){path}"))
    };
    paths.iter().map(|path| pathspec(path)).collect()
}

/// Returns the word for scripts, and the rest of a sentence about the path.
pub fn words(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::BothChanged => ("both-changed", "has changed here and in the guest"),
        Why::BothAdded => ("both-added", "is new here and in the guest, and differs"),
        Why::Binary => ("binary", "has changed here and in the guest, and is no text"),
        Why::DeletedHere => ("deleted-here", "was deleted here and has changed in the guest"),
        Why::DeletedThere => ("deleted-there", "has changed here and was deleted in the guest"),
        Why::OtherType => ("other-type", "is of one type here and of another in the guest, or leads elsewhere"),
        Why::Renamed => ("renamed", "was renamed here or in the guest, and not in the same way on the other side"),
        Why::RestsOnCommits => ("rests-on-commits", "has changed here, and rests on commits that are not here"),
        Why::Submodule => ("submodule", "is a submodule, or in one"),
        Why::NestedRepository => ("nested-repository", "is in another repository here"),
        Why::InTheWay => ("in-the-way", "is in the way of a file of the guest's"),
        Why::UntrackedByGit => ("in-the-way", "is in the way: git does not track it"),
        Why::UntrackedByJj => ("in-the-way", "is in the way: jj does not track it"),
        Why::OutsideGitSparse => ("outside-sparse", "is outside the sparse checkout"),
        Why::OutsideJjSparse => ("outside-sparse", "is outside of 'jj sparse list'"),
        Why::NameNotUtf8 => ("name-not-utf-8", "has a name that is not UTF-8, which jj cannot hold"),
        Why::TooLong => ("too-long", "is longer than this system lets a program name"),
        Why::FolderNotWritable => ("not-writable", "is in a directory that cannot be written"),
        Why::Unreadable => ("unreadable", "cannot be read here"),
        Why::FilterFailed => ("filter-failed", "cannot be converted: its filter failed"),
        Why::ChangedMeanwhile => ("changed-meanwhile", "changed during the pull"),
    }
}
