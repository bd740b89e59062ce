//! Takes in what a guest sends, and believes nothing of it that git has not proven.
//!
//! It arrives in a scratch repository, and leaves that only once it is proven.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use super::Repo;
use super::git::{self, ALTERNATES, Git, Object};
use super::scratch::Scratch;
use crate::error::{Context, Error, Next, Result};
use crate::process::{Call, Output};
use crate::snapshot::{Change, Claim, GITLINK, Note, NoteKind, Oid, Snapshot};
use crate::trust::refuse_reserved;

/// What git says of an object that is named and not there.
const MISSING: [&[u8]; 4] = [b"did not receive expected object", b"bad object", b"Could not read", b"unresolved delta"];
/// What git says of a message that it does not know.
const UNKNOWN: &[u8] = b"Unhandled message id";
/// How much memory git may ask for at once while it takes a pack: a delta of some hundred bytes can stand for gigabytes.
/// Files of more than 1 MiB are no deltas, and need no memory (core.bigFileThreshold).
const GIT_ALLOC_LIMIT: &str = "256m";
/// How many bytes a list of changed files may have.
const LIST: u64 = 128 << 20;
/// How much memory git may ask for at once while it lists changed files. It keeps all of them, and a pointer to each in
/// one array: this is some 700,000 files. A few small trees that name each other again and again stand for billions.
const LIST_ALLOC_LIMIT: &str = "8m";
/// A pack of fewer bytes is kept as it came.
const WORTH_A_LOOK: u64 = 16 << 10;
/// The severities with which git itself lets old history in: none of these can harm, and all of them occur. What names a
/// `.git` in any spelling, leaves the tree or plays with links stays fatal. All are known to git 2.38.
const HARMLESS: [&str; 16] = [
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badFilemode",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "nulInCommit",
    "nullSha1",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
    "gitmodulesMissing",
];
/// Messages that no configuration may make harmless.
const DEADLY: [&str; 14] = [
    "hasdot",
    "hasdotdot",
    "hasdotgit",
    "fullpathname",
    "emptyname",
    "gitmodulessymlink",
    "gitmodulesname",
    "gitmodulesurl",
    "gitmodulespath",
    "gitmodulesupdate",
    "gitmodulesparse",
    "gitmoduleslarge",
    "treenotsorted",
    "duplicateentries",
];

/// What a base was asked for as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The guest's HEAD.
    Head,
    /// A commit.
    Commit(Oid),
    /// A revision, which the guest resolves.
    Revision,
}

/// How a pack is judged.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The user's `fetch.fsck.*` and `receive.fsck.*`: message and severity.
    pub fsck: Vec<(String, String)>,
}

/// Work that has been proven, in a repository of its own.
#[derive(Debug)]
pub struct Taken {
    /// The work.
    pub snapshot: Snapshot,
    scratch: Scratch,
    /// The objects that came; none that is not known here but with a history.
    sent: HashSet<Oid>,
}

impl Taken {
    /// Proves the difference between base and snapshot, in a repository that knows nothing else: what the guest names and
    /// did not send is not there.
    ///
    /// # Errors
    /// [`Error::unverified`] when anything is not as claimed, or would steer the host's version control.
    pub fn difference(
        vm: &str,
        asked: &Asked,
        claim: Claim,
        pack: File,
        rules: &Rules,
        scratch: Scratch,
    ) -> Result<Taken> {
        index(vm, &scratch, pack, rules, Links::Leave)?;
        Taken::proven(vm, asked, claim, scratch)
    }

    /// Proves the whole history that leads to base and snapshot, in a repository that knows nothing else.
    ///
    /// # Errors
    /// As [`Taken::difference`].
    pub fn whole(vm: &str, asked: &Asked, claim: Claim, pack: File, rules: &Rules, scratch: Scratch) -> Result<Taken> {
        left_out(vm, &claim, &[])?;
        index(vm, &scratch, pack, rules, Links::Whole)?;
        let input = format!("{}\n{}\n", claim.commit, claim.base);
        let output = scratch.git().call(["rev-list", "--objects", "--quiet", "--stdin"]).input(input).run()?;
        if output.code != Some(0) {
            return Err(unverified(vm).caused_by(output.failure("git rev-list")));
        }
        Taken::proven(vm, asked, claim, scratch)
    }

    /// Proves the history that leads to base and snapshot. Every object that it names was sent, or is one that this guest
    /// was given or gave, by what it says that it left out: naming an object of the host's does not bring it.
    ///
    /// # Errors
    /// As [`Taken::difference`].
    pub fn history(
        repo: &Repo,
        vm: &str,
        asked: &Asked,
        claim: Claim,
        pack: File,
        rules: &Rules,
        given: &[Oid],
    ) -> Result<Taken> {
        left_out(vm, &claim, given)?;
        let scratch = Scratch::beside(repo)?;
        let length = pack.metadata().context(|| "cannot read what the guest sent".to_owned())?.size();
        index(vm, &scratch, pack, rules, Links::Follow(repo))?;
        let sent = sent(&scratch, repo, length)?;
        let unsent = unsent(vm, repo, &scratch, &claim, &sent)?;
        let trees = Trees::read(vm, asked, &claim, scratch.git(), given_of(&claim, &unsent))?;
        let (changed, known) = list(vm, scratch.git(), &trees)?;
        connected(vm, repo, &scratch, unsent, &known, &claim.without)?;
        Ok(Taken { sent: sent.objects, ..Taken::of(vm, claim, scratch, changed)? })
    }

    fn proven(vm: &str, asked: &Asked, claim: Claim, scratch: Scratch) -> Result<Taken> {
        let trees = Trees::read(vm, asked, &claim, scratch.git(), &[])?;
        let (changed, _) = list(vm, scratch.git(), &trees)?;
        Taken::of(vm, claim, scratch, changed)
    }

    fn of(vm: &str, claim: Claim, scratch: Scratch, changed: Vec<Change>) -> Result<Taken> {
        let paths = changed.iter().flat_map(|change| [Some(&change.path), change.from.as_ref()]).flatten();
        refuse_reserved(paths.map(Vec::as_slice))?;
        let Claim { base, head, branch, tree, commit, commits, since_prepare, mut notes, .. } = claim;
        note_moved_submodules(&changed, &mut notes);
        let (pointers, bytes) = files(&scratch, vm, &changed)?;
        notes.extend(pointers);
        let snapshot = Snapshot { base, head, branch, tree, commit, commits, since_prepare, changed, bytes, notes };
        Ok(Taken { snapshot, scratch, sent: HashSet::new() })
    }

    /// Returns the files that pathspecs choose of those that differ between base and snapshot.
    ///
    /// # Errors
    /// When git does not take the pathspecs.
    pub fn changed(&self, pathspecs: &[OsString]) -> Result<Vec<Change>> {
        self.scratch.git().diff(&self.snapshot.base, &self.snapshot.commit, true, pathspecs)
    }

    /// Returns the difference between base and snapshot as a patch for `git apply`, of `limit` bytes at most: a small
    /// pack can stand for a large one.
    ///
    /// # Errors
    /// When git fails, there is no room for it, or it is larger.
    pub fn patch(&self, pathspecs: &[OsString], limit: u64) -> Result<File> {
        let file = tempfile::tempfile().context(|| "cannot make a temporary file".to_owned())?;
        let call = self.compare(&["--patch", "--unified=3", "--binary", "--full-index"], pathspecs);
        let Some((output, mut file)) = bounded(call, limit, file)? else {
            return Err(Error::refused(format!("the patch has more than {limit} bytes"))
                .detail("banger.maxBytes in git's configuration sets how many it may have"));
        };
        output.success("git diff-tree")?;
        file.rewind().context(|| "cannot read a temporary file".to_owned())?;
        Ok(file)
    }

    /// Returns git's table of changed lines.
    ///
    /// # Errors
    /// When git fails.
    pub fn stat(&self, pathspecs: &[OsString]) -> Result<Vec<u8>> {
        self.compare(&["--stat=100", "--summary"], pathspecs).stdout()
    }

    /// Shows the difference between base and snapshot on the terminal as the user's own 'git diff' does, with these options:
    /// as in the repository, if there is one. Returns git's exit status.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn show(&self, repo: Option<&Repo>, options: &[&str], pathspecs: &[OsString]) -> Result<Option<i32>> {
        let command = [&["diff"], options].concat();
        let ends = [self.snapshot.base.clone(), self.snapshot.commit.clone()];
        let objects = self.scratch.path("objects");
        // What came is all in the scratch repository; the user's has the configuration.
        let call = match repo.filter(|repo| repo.object_format() == self.scratch.object_format()) {
            Some(repo) => repo.shown(&command, &ends, pathspecs).env(ALTERNATES, git::beside(&objects)),
            None => git::shown(self.scratch.git().reporter(), &self.scratch.path(""), &command, &ends, pathspecs),
        };
        call.run_attached()
    }

    /// Every switch that a configuration could turn is fixed; exact renames only, for those apply without guessing.
    fn compare(&self, how: &[&str], pathspecs: &[OsString]) -> Call {
        let fixed = [
            // Larger text counts as binary: git keeps some hundred bytes a line while it compares.
            "-c",
            "core.bigFileThreshold=32m",
            "diff-tree",
            "-r",
            "--find-renames=100%",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "--diff-algorithm=myers",
            "--inter-hunk-context=0",
            "--no-indent-heuristic",
            "--ignore-submodules=none",
            "--submodule=short",
        ];
        let call = self.scratch.git().call(fixed).args(how.iter().copied());
        let ends = [self.snapshot.base.as_str(), self.snapshot.commit.as_str(), "--"];
        call.args(ends).args(pathspecs.iter().cloned())
    }

    /// Returns where the work is, beside the repository's own objects.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Takes out of the pack what the repository has already, where that is most of it: a guest sends all that differs from
    /// what it was given, each time, though most of it may have come before. Returns whether there is anything left.
    fn slim(&self, repo: &Repo) -> Result<bool> {
        let context = || "cannot read what the guest sent".to_owned();
        let folder = self.scratch.path("objects/pack");
        let entries = std::fs::read_dir(&folder).context(context)?;
        let files =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().context(context)?;
        let sizes = files.iter().map(|file| file.metadata().map(|file| file.size()));
        let size: u64 = sizes.sum::<Result<_, _>>().context(context)?;
        if size < WORTH_A_LOOK {
            return Ok(true);
        }
        // Not in the repository itself: a partial clone would ask its server for what is missing.
        let known = Scratch::beside(repo)?.git().objects(&self.sent, |object| object.is_some())?;
        let new: Vec<&Oid> =
            self.sent.iter().zip(known).filter(|(_, is_known)| !is_known).map(|(oid, _)| oid).collect();
        if new.is_empty() || new.len() == self.sent.len() {
            return Ok(!new.is_empty());
        }
        // Whole, as they may come to be stored: a few bytes can stand for a large object.
        let size_of = |object: Option<Object>| object.map_or(0, |object| object.size);
        let whole: u64 = self.scratch.git().objects(new.iter().copied(), size_of)?.into_iter().sum();
        if whole > size / 2 {
            return Ok(true);
        }
        let input: String = new.iter().map(|oid| format!("{oid}\n")).collect();
        let call = self.scratch.git().call(["pack-objects", "-q", "--window=0"]).arg(folder.join("pack"));
        call.env("GIT_ALLOC_LIMIT", GIT_ALLOC_LIMIT).input(input).stdout()?;
        for file in files {
            std::fs::remove_file(file).context(context)?;
        }
        self.scratch.git().close();
        Ok(true)
    }

    /// Keeps the work in the repository, and records it as the snapshot of a vm; returns with it the repository that it came
    /// in, from which a landing can go on.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn keep(self, repo: &Repo, vm: &str) -> Result<(Snapshot, Scratch)> {
        // A pack without objects would stay in the repository, too.
        if !self.sent.is_empty() && self.slim(repo)? {
            self.scratch.hand_over(repo)?
        } else {
            self.scratch.drop_packs()?
        }
        repo.update(format!("update {} {}\n", repo.vm_ref(vm, "snapshot")?, self.snapshot.commit))?;
        Ok((self.snapshot, self.scratch))
    }
}

/// What git does about the objects that those in a pack name.
#[derive(Clone, Copy)]
enum Links<'a> {
    /// They need not be there.
    Leave,
    /// They were all sent.
    Whole,
    /// They are there, or in the repository; and so are those that a thin pack is made against.
    Follow(&'a Repo),
}

/// Brings a pack into a scratch repository, and has git look at each object.
fn index(vm: &str, scratch: &Scratch, pack: File, rules: &Rules, links: Links<'_>) -> Result<()> {
    let context = || "cannot read what the guest sent".to_owned();
    let size = pack.metadata().context(context)?.size();
    let mut severities = severities(rules);
    let run = |how: &[String]| {
        let mut pack = pack.try_clone().context(context)?;
        pack.rewind().context(context)?;
        let call = scratch.git().call(["-c", "pack.threads=1", "index-pack", "--stdin"]).args(how.iter().cloned());
        call.env("GIT_ALLOC_LIMIT", GIT_ALLOC_LIMIT).input_file(pack).run()
    };
    let output = loop {
        let list: Vec<_> = severities.iter().map(|(message, severity)| format!("{message}={severity}")).collect();
        let list = list.join(",");
        let output = match links {
            Links::Follow(_) => run(&["--fix-thin".to_owned(), format!("--strict={list}")])?,
            Links::Whole => run(&[format!("--strict={list}")])?,
            Links::Leave => run(&[format!("--fsck-objects={list}")])?,
        };
        // What the user says of a message that this git does not know is passed over, as fetch does.
        let before = severities.len();
        if says(&output.stderr, UNKNOWN) {
            let said = String::from_utf8_lossy(&output.stderr).to_ascii_lowercase();
            severities.retain(|(message, _)| !said.lines().any(|line| line.ends_with(&format!(": {message}"))));
        }
        if severities.len() == before {
            break output;
        }
    };
    // Before git 2.44 that option takes no severities.
    let output = if output.code == Some(129) {
        let output = run(&[])?;
        if output.code == Some(0) { fsck(scratch, &severities)? } else { output }
    } else {
        output
    };
    if output.code == Some(0) {
        return Ok(());
    }
    let full = is_full(scratch, size)?;
    let what = "git index-pack";
    Err(match links {
        Links::Follow(_) if full => {
            Error::failed("the disk is full: the guest's work does not fit beside the repository")
                .detail("nothing was changed; make room, then fetch again")
                .with_vm(vm)
                .next(Next::Fetch)
        }
        _ if full => Error::failed("the disk is full: the guest's work does not fit among temporary files")
            .detail("nothing was changed; TMPDIR can name a place with more room"),
        Links::Follow(repo) => failed(vm, what, &output, repo)?,
        Links::Whole | Links::Leave => unverified(vm).caused_by(output.failure(what)),
    })
}

/// Returns how each message of git's counts, by its name in lower case: ours, then what the user says.
fn severities(rules: &Rules) -> Vec<(String, String)> {
    let ours = HARMLESS.iter().map(|message| (message.to_ascii_lowercase(), "ignore".to_owned()));
    let theirs = rules.fsck.iter().map(|(message, severity)| (message.to_ascii_lowercase(), severity.clone()));
    // Any other severity could smuggle in a deadly message behind a comma.
    let counts = |(message, severity): &(String, String)| {
        ["error", "warn", "ignore"].contains(&severity.as_str()) && !DEADLY.contains(&message.as_str())
    };
    ours.chain(theirs.filter(counts)).collect()
}

/// Has git look at each object where 'git index-pack' cannot; that others are missing is no fault.
fn fsck(scratch: &Scratch, severities: &[(String, String)]) -> Result<Output> {
    let severities =
        severities.iter().flat_map(|(message, severity)| ["-c".to_owned(), format!("fsck.{message}={severity}")]);
    let call = scratch.git().call(severities).args(["fsck", "--strict", "--full", "--no-dangling", "--no-progress"]);
    let output = call.env("GIT_ALLOC_LIMIT", GIT_ALLOC_LIMIT).run()?;
    // Exit status 2: an object that is named is not there.
    Ok(Output { code: output.code.map(|code| if code == 2 { 0 } else { code }), ..output })
}

/// Refuses a guest that left out of its history what leads to commits which it was not told to leave out.
fn left_out(vm: &str, claim: &Claim, given: &[Oid]) -> Result<()> {
    match claim.without.iter().find(|commit| !given.contains(commit)) {
        None => Ok(()),
        Some(commit) => {
            Err(unproven(format!("guest '{vm}' leaves out commit {}, which it was not given", commit.short())))
        }
    }
}

/// The trees that work is compared with.
struct Trees {
    base: Oid,
    snapshot: Oid,
    /// Those of commits that this guest was given or gave.
    given: Vec<Oid>,
}

impl Trees {
    /// Reads them; proves that the commits are those that were asked for and announced.
    fn read(vm: &str, asked: &Asked, claim: &Claim, git: &Git, given: &[Oid]) -> Result<Trees> {
        let asked = match asked {
            Asked::Head => &claim.head,
            Asked::Commit(base) => base,
            Asked::Revision => &claim.base,
        };
        if *asked != claim.base {
            return Err(unproven(format!("guest '{vm}' answered another base than the one that was asked for")));
        }
        let Claim { commit, base, .. } = claim;
        let tree = |commit: &Oid| format!("{commit}^{{tree}}");
        let names = [format!("{commit}^0"), format!("{base}^0"), tree(base)];
        let names = names.into_iter().chain(given.iter().map(tree));
        let mut ids = git.objects(names, |object| object.map(|object| object.id))?.into_iter();
        let mut id = || ids.next().flatten();
        let (true, true, Some(base)) = (id().as_ref() == Some(commit), id().as_ref() == Some(base), id()) else {
            return Err(unproven(format!("guest '{vm}' did not send the commits that it announced")));
        };
        if !begins_with(git, commit, &claim.tree, &claim.head)? {
            return Err(unproven(format!("guest '{vm}' announced another tree or HEAD than those of its snapshot")));
        }
        Ok(Trees { base, snapshot: claim.tree.clone(), given: ids.flatten().collect() })
    }
}

/// Tells whether a commit has this tree, and this commit as its only parent, which need not be there. git reads both from the
/// first lines of a commit: its tree, then each of its parents (parse_commit_buffer in git).
fn begins_with(git: &Git, commit: &Oid, tree: &Oid, parent: &Oid) -> Result<bool> {
    let (expected, more) = (format!("tree {tree}\nparent {parent}\n"), b"parent ");
    let mut is = false;
    git.each([commit], |_, content| {
        let mut start = Vec::new();
        let Some(content) = content else { return Ok(()) };
        let length = expected.len() + more.len();
        content.take(length as u64).read_to_end(&mut start).context(|| "cannot read what git prints".to_owned())?;
        is = start.strip_prefix(expected.as_bytes()).is_some_and(|rest| rest != more);
        Ok(())
    })?;
    Ok(is)
}

/// Lists the files that differ between base and snapshot; and all that the given commits have at the paths where they differ
/// from the snapshot, with the trees.
fn list(vm: &str, git: &Git, trees: &Trees) -> Result<(Vec<Change>, HashSet<Oid>)> {
    let from = [&trees.base].into_iter().chain(&trees.given);
    let pairs: Vec<String> = from.map(|from| format!("{from} {}\n", trees.snapshot)).collect();
    let fixed = ["diff-tree", "--stdin", "-r", "-z", "--raw", "--no-abbrev", "--ignore-submodules=none"];
    let call = git.call(fixed).arg("--find-renames=100%").args((!trees.given.is_empty()).then_some("-t"));
    let call = call.input(pairs.concat()).env("GIT_ALLOC_LIMIT", LIST_ALLOC_LIMIT);
    let too_many = || unproven(format!("guest '{vm}' has more changed files than can be listed"));
    let Some((output, list)) = bounded(call, LIST * pairs.len() as u64, Vec::new())? else { return Err(too_many()) };
    if output.code != Some(0) {
        let is_limit = says(&output.stderr, b"over limit") || says(&output.stderr, b"ut of memory");
        let error = if is_limit { too_many() } else { unproven(format!("guest '{vm}' did not send all of its work")) };
        return Err(error.caused_by(output.failure("git diff-tree")));
    }
    let mut lists = Change::parse_pairs(&list, &pairs)?.into_iter().skip(1);
    let mut changed = lists.next().unwrap_or_default();
    changed.retain(|change| !is_tree(change.old_mode) && !is_tree(change.new_mode));
    Ok((changed, lists.flatten().map(|change| change.old).chain(trees.given.iter().cloned()).collect()))
}

/// Tells whether a mode is that of a folder.
fn is_tree(mode: u32) -> bool {
    mode == 0o040000
}

/// Tells whether git says something.
fn says(stderr: &[u8], what: &[u8]) -> bool {
    stderr.windows(what.len()).any(|said| said == what)
}

/// Runs a child with stdout going into `to`; ends it, and returns `None`, when that is more than `limit` bytes.
fn bounded<W: Write + Send>(call: Call, limit: u64, mut to: W) -> Result<Option<(Output, W)>> {
    let context = || "cannot keep what git prints".to_owned();
    let (read, write) = io::pipe().context(context)?;
    std::thread::scope(|scope| {
        let to = &mut to;
        // When this ends before git does, the pipe breaks.
        let reader = scope.spawn(move || io::copy(&mut read.take(limit + 1), to));
        let output = call.run_into(File::from(OwnedFd::from(write)));
        let copied = reader.join().map_err(|_| Error::bug("reading what git prints failed"))?;
        Ok::<_, Error>((output?, copied.context(context)?))
    })
    .map(|(output, copied)| (copied <= limit).then_some((output, to)))
}

/// Returns the error for a git that could not prove the work, with what helps where an object is missing.
fn failed(vm: &str, what: &str, output: &Output, repo: &Repo) -> Result<Error> {
    let error = unverified(vm).caused_by(output.failure(what));
    let is_missing = MISSING.iter().any(|missing| says(&output.stderr, missing));
    if is_missing { lacking(error, repo) } else { Ok(error) }
}

/// Adds what helps where an object is missing: what a guest's shallow history leaves out, no guest can send.
fn lacking(error: Error, repo: &Repo) -> Result<Error> {
    let error = error.detail("if the guest's history is shallow, make it whole there: git fetch --unshallow");
    Ok(if repo.is_shallow()? { error.next(Next::Unshallow) } else { error })
}

/// What came in a pack.
struct Sent {
    /// Every object that the guest sent.
    objects: HashSet<Oid>,
    /// Objects of the host's that others in the pack are deltas against.
    bases: Vec<Oid>,
}

/// Lists what came; `length` is that of the pack as it was sent, so that what git has added to it is known.
fn sent(scratch: &Scratch, repo: &Repo, length: u64) -> Result<Sent> {
    let mut sent = Sent { objects: HashSet::new(), bases: Vec::new() };
    let context = || "cannot read what the guest sent".to_owned();
    // The checksum at the end is where the first object that git has added begins.
    let end = length - if repo.object_format == "sha1" { 20 } else { 32 };
    for entry in std::fs::read_dir(scratch.path("objects/pack")).context(context)? {
        let path = entry.context(context)?.path();
        if path.extension().is_none_or(|extension| extension != "idx") {
            continue;
        }
        let format = format!("--object-format={}", repo.object_format);
        let call = scratch.git().call(["show-index", &format]).input_file(File::open(path).context(context)?);
        for line in String::from_utf8_lossy(&call.stdout()?).lines() {
            let mut words = line.split(' ');
            let offset: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let oid: Oid = words.next().unwrap_or_default().parse()?;
            if offset < end {
                sent.objects.insert(oid);
            } else {
                sent.bases.push(oid);
            }
        }
    }
    Ok(sent)
}

/// Returns what leads to base and snapshot and was not sent, apart from what leads to commits that the guest says that it
/// left out; and what others in the pack are deltas against.
fn unsent(vm: &str, repo: &Repo, scratch: &Scratch, claim: &Claim, sent: &Sent) -> Result<HashSet<Oid>> {
    let not = claim.without.iter().map(|commit| format!("^{commit}\n"));
    let input: String = [format!("{}\n{}\n", claim.commit, claim.base)].into_iter().chain(not).collect();
    let call = scratch.git().call(["rev-list", "--objects", "--no-object-names", "--stdin"]).input(input);
    let output = call.run()?;
    if output.code != Some(0) {
        return Err(failed(vm, "git rev-list", &output, repo)?);
    }
    let mut unsent: HashSet<Oid> = sent.bases.iter().cloned().collect();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let oid: Oid = line.parse()?;
        if !sent.objects.contains(&oid) {
            unsent.insert(oid);
        }
    }
    Ok(unsent)
}

/// Returns the commits that are to tell of what was not sent.
fn given_of<'a>(claim: &'a Claim, unsent: &HashSet<Oid>) -> &'a [Oid] {
    if unsent.is_empty() { &[] } else { &claim.without }
}

/// Proves that all that was not sent is what this guest was given or gave; `known` is a part of that.
fn connected(
    vm: &str,
    repo: &Repo,
    scratch: &Scratch,
    mut unsent: HashSet<Oid>,
    known: &HashSet<Oid>,
    given: &[Oid],
) -> Result<()> {
    // Most are what was at the paths that changed, or the roots of what was given: only the rest is worth a walk of all that
    // was given.
    unsent.retain(|oid| !known.contains(oid) && !given.contains(oid));
    if !unsent.is_empty() && !given.is_empty() {
        let input: String = given.iter().map(|commit| format!("{commit}\n")).collect();
        let call = scratch.git().call(["rev-list", "--objects", "--no-object-names", "--stdin"]).input(input);
        for id in String::from_utf8_lossy(&call.stdout()?).lines() {
            unsent.remove(&id.parse()?);
        }
    }
    match unsent.iter().min() {
        None => Ok(()),
        Some(oid) => {
            let what = format!("guest '{vm}' names object {}, which it neither sent nor was given", oid.short());
            Err(lacking(unproven(what), repo)?)
        }
    }
}

/// Tells whether the disk, and not the pack, may be what made the intake fail.
fn is_full(scratch: &Scratch, size: u64) -> Result<bool> {
    let disk = rustix::fs::statvfs(scratch.path("")).context(|| "cannot ask for the room on the disk".to_owned())?;
    Ok(disk.f_bavail * disk.f_frsize < size + (1 << 20))
}

/// Adds a note for each moved submodule that has none: one that was committed is as its checkout is, so the guest's script
/// does not see that it moved.
fn note_moved_submodules(changed: &[Change], notes: &mut Vec<Note>) {
    let is_moved = |note: &&Note| note.kind == NoteKind::MovedSubmodule;
    let seen: HashSet<_> = notes.iter().filter(is_moved).map(|note| note.path.clone()).collect();
    let moved = changed.iter().filter(|change| change.new_mode == GITLINK && !seen.contains(&change.path));
    notes.extend(moved.map(|change| Note { kind: NoteKind::MovedSubmodule, path: change.path.clone() }));
}

/// Proves that each changed file is there; returns a note for each that is a Git LFS pointer (git-lfs, docs/spec.md): less
/// than 1024 bytes, with a fixed first line; and how many bytes there are to write.
fn files(scratch: &Scratch, vm: &str, changed: &[Change]) -> Result<(Vec<Note>, u64)> {
    const FIRST: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
    const LARGEST: u64 = 1024;
    // Both sides of each file must be there, or no patch can be made of them.
    let is_file = |mode: u32| mode != 0 && mode != GITLINK;
    let before = changed.iter().filter(|change| is_file(change.old_mode)).map(|change| &change.old);
    let after = changed.iter().filter(|change| is_file(change.new_mode));
    let blob = |object: Option<Object>| object.filter(|object| object.kind == "blob").map(|object| object.size);
    let sizes = scratch.git().objects(after.clone().map(|change| &change.new).chain(before), blob)?;
    if sizes.contains(&None) {
        return Err(unproven(format!("guest '{vm}' did not send all of its files")));
    }
    let is_small = |change: &Change, size: Option<u64>| {
        change.new_mode & 0o170000 == 0o100000 && size.is_some_and(|size| size < LARGEST)
    };
    let bytes = after.clone().zip(&sizes).filter_map(|(_, size)| *size).sum();
    let small: Vec<_> = after.zip(sizes).filter(|(change, size)| is_small(change, *size)).collect();
    let mut notes = Vec::new();
    scratch.git().each(small.iter().map(|(change, _)| &change.new), |number, content| {
        let (mut start, Some(content)) = (Vec::new(), content) else { return Ok(()) };
        content
            .take(FIRST.len() as u64)
            .read_to_end(&mut start)
            .context(|| "cannot read what git prints".to_owned())?;
        if start == FIRST {
            notes.push(Note { kind: NoteKind::LfsPointer, path: small[number].0.path.clone() });
        }
        Ok(())
    })?;
    Ok((notes, bytes))
}

fn unverified(vm: &str) -> Error {
    unproven(format!("the work of guest '{vm}' does not verify"))
}

fn unproven(message: String) -> Error {
    Error::unverified(message).detail("nothing was changed here; the guest still has everything")
}
