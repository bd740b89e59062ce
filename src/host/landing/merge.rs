//! Three states of files into one. It happens in a scratch repository: no driver of the configuration runs, and no
//! attributes count but those that the host's own commit has.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Why;
use crate::error::{Context, Error, Result};
use crate::host::Repo;
use crate::host::entries::{self, Entries, Entry, quoted, words_and_path};
use crate::host::git::parse_oid;
use crate::host::scratch::Scratch;
use crate::snapshot::Oid;

/// The side that wins where two disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Ours,
    /// The second.
    Theirs,
}

/// A merge of a few files.
#[derive(Debug)]
pub struct Merged {
    /// The files that hold both sides' changes. Where text conflicts it has conflict markers; where anything else does,
    /// ours stays.
    pub files: Entries,
    /// Each path on which the sides disagree, and how.
    pub conflicts: BTreeMap<Vec<u8>, Why>,
}

/// Merges what changed between `base` and `theirs` into `ours`; `guest` names theirs in conflict markers, and has no
/// character that a ref cannot have.
///
/// # Errors
/// When git cannot do it.
pub fn merge(
    repo: &Repo,
    scratch: &Scratch,
    guest: &str,
    [base, ours, theirs]: [&Entries; 3],
) -> Result<(Merged, Vec<Driver>)> {
    let clean = |files: &Entries| Merged { files: files.clone(), conflicts: BTreeMap::new() };
    if theirs == base || theirs == ours {
        return Ok((clean(ours), Vec::new()));
    }
    if ours == base {
        return Ok((clean(theirs), Vec::new()));
    }
    let paths: BTreeSet<&[u8]> = [base, ours, theirs].into_iter().flat_map(Entries::keys).map(Vec::as_slice).collect();
    let (attributes, drivers) = attributes(repo, scratch, &paths.iter().copied().collect::<Vec<_>>())?;
    let names = ["host", &format!("guest/{guest}")];
    let merged = merge_tree(scratch, &attributes, &[], names, [base, ours, theirs].map(Files::These))?;
    let mut files = entries::all_of_tree(scratch.git(), &merged.tree)?;
    let mut conflicts = merged.conflicts(names, &paths);
    for (path, why) in &conflicts {
        if !why.is_text() {
            match ours.get(path) {
                Some(entry) => files.insert(path.clone(), entry.clone()),
                None => files.remove(path),
            };
        }
    }
    // Where a file of ours stays, no folder of theirs can be.
    let stays = |folder: &[u8]| conflicts.contains_key(folder) && files.contains_key(folder);
    let below: Vec<_> = files.keys().filter(|path| entries::folders(path).any(stays)).cloned().collect();
    for path in below {
        files.remove(&path);
        conflicts.insert(path, Why::OtherType);
    }
    // git gives names that are on neither side to files that cannot both be where they should.
    files.retain(|path, _| paths.contains(path.as_slice()));
    Ok((Merged { files, conflicts }, drivers))
}

/// A merge driver of the configuration, which does not run: it is a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// The path that it was to merge.
    pub path: Vec<u8>,
    /// Its name.
    pub name: String,
}

/// Merges whole trees; where the two disagree, text takes `side` hunk by hunk, and all else its entry or absence.
///
/// # Errors
/// When git cannot do it.
pub fn favour(scratch: &Scratch, base: &Oid, ours: &Oid, theirs: &Oid, side: Side) -> Result<Oid> {
    if theirs == base || theirs == ours {
        return Ok(ours.clone());
    }
    if ours == base {
        return Ok(theirs.clone());
    }
    let flag = if side == Side::Ours { "ours" } else { "theirs" };
    // Our own, for 'merge-tree -X' is not in git 2.39. Its failure on what is no text is a conflict, settled below.
    let driver = format!("merge.favour.driver=git merge-file -q --{flag} %A %O %B || exit 1");
    let names = ["ours", "theirs"];
    let sides = [base, ours, theirs].map(Files::Tree);
    let merged = merge_tree(scratch, b"* merge=favour\n", &["-c", &driver], names, sides)?;
    let mut edits: BTreeMap<Vec<u8>, Option<Entry>> = BTreeMap::new();
    for (path, stages) in &merged.stages {
        let plain = without_suffix(path, names);
        if plain != path {
            edits.insert(path.clone(), None);
        }
        let entry = &stages[if side == Side::Ours { 1 } else { 2 }];
        if entry.is_some() || !edits.get(plain).is_some_and(Option::is_some) {
            edits.insert(plain.to_vec(), entry.clone());
        }
    }
    edit(scratch, &merged.tree, &edits)
}

/// Returns a tree with some of its files replaced, or taken out. A file that comes makes room: one that it would be below,
/// or a folder in its place.
///
/// # Errors
/// When git cannot do it.
pub fn edit(scratch: &Scratch, tree: &Oid, edits: &BTreeMap<Vec<u8>, Option<Entry>>) -> Result<Oid> {
    if edits.is_empty() {
        return Ok(tree.clone());
    }
    let mut stream = commit("edit", EPOCH, None, "");
    stream.extend(format!("M 040000 {tree} \"\"\n").bytes());
    for (path, _) in edits.iter().filter(|(_, entry)| entry.is_none()) {
        stream.extend([b"D ", quoted(path).as_slice(), b"\n"].concat());
    }
    for (path, entry) in edits.iter().filter_map(|(path, entry)| Some((path, entry.as_ref()?))) {
        stream.extend(modify(path, entry));
    }
    stream.extend(b"ls \"\"\ndone\n");
    let told = scratch.import(stream)?;
    // 040000 SP tree SP ID TAB PATH; or 'missing SP PATH' where nothing is left.
    match told.strip_prefix(b"040000 tree ") {
        Some(rest) => parse_oid(rest.split(|&byte| byte == b'\t').next().unwrap_or_default().to_vec()),
        None => scratch.git().oid(["hash-object", "-t", "tree", "-w", "--stdin"]),
    }
}

/// A date for commits that nobody sees.
const EPOCH: &str = "@0 +0000";

/// Returns the beginning of a commit for `git fast-import`; its files follow. `date` is as git reads dates; its mark is `:1`.
pub fn commit(name: &str, date: &str, from: Option<&str>, message: &str) -> Vec<u8> {
    let date = date.trim_start_matches('@');
    let mut lines = format!(
        "commit refs/heads/{name}\nmark :1\ncommitter git-banger <git-banger> {date}\ndata {}\n{message}\n",
        message.len()
    );
    if let Some(from) = from {
        lines.push_str(&format!("from refs/heads/{from}\ndeleteall\n"));
    }
    lines.into_bytes()
}

/// Returns the line for `git fast-import` that puts a file into a commit.
pub fn modify(path: &[u8], entry: &Entry) -> Vec<u8> {
    let mut line = format!("M {:06o} {} ", entry.mode, entry.blob).into_bytes();
    line.extend(quoted(path));
    line.push(b'\n');
    line
}

/// One side of a merge.
enum Files<'a> {
    Tree(&'a Oid),
    These(&'a Entries),
}

/// What `git merge-tree` says.
struct Told {
    tree: Oid,
    /// Base, ours and theirs of each path that conflicts.
    stages: BTreeMap<Vec<u8>, [Option<Entry>; 3]>,
    /// git's word for a kind of conflict, and the paths that it is about.
    messages: Vec<(String, Vec<Vec<u8>>)>,
}

fn merge_tree(
    scratch: &Scratch,
    attributes: &[u8],
    settings: &[&str],
    names: [&str; 2],
    sides: [Files<'_>; 3],
) -> Result<Told> {
    std::fs::write(scratch.path("info/attributes"), attributes)
        .context(|| "cannot write a temporary file".to_owned())?;
    // Commits made for the purpose: 'merge-tree' takes a base from git 2.40 on, and trees from 2.45 on.
    let mut stream = Vec::new();
    for (name, from, side) in [("base", None), (names[0], Some("base")), (names[1], Some("base"))]
        .into_iter()
        .zip(&sides)
        .map(|((name, from), side)| (name, from, side))
    {
        stream.extend(commit(name, EPOCH, from, ""));
        match side {
            Files::Tree(tree) => stream.extend(format!("M 040000 {tree} \"\"\n").bytes()),
            Files::These(files) => files.iter().for_each(|(path, entry)| stream.extend(modify(path, entry))),
        }
        stream.push(b'\n');
    }
    stream.extend(b"done\n");
    scratch.import(stream)?;
    let fixed = [
        // The host's edits follow a file that the guest renamed, whatever the configuration says about renames; but
        // a folder that the guest renamed does not take the host's new files along.
        "-c",
        "merge.renames=true",
        "-c",
        "merge.renameLimit=7000",
        "-c",
        "merge.directoryRenames=false",
    ];
    let call = scratch.git().call(fixed).args(settings.iter().copied());
    let output = call.args(["merge-tree", "--write-tree", "-z", "--messages"]).args(names).run()?;
    if !matches!(output.code, Some(0 | 1)) {
        return Err(output.failure("git merge-tree"));
    }
    Told::parse(&output.stdout)
}

impl Told {
    /// Reads what `git merge-tree -z` prints (git-merge-tree(1), OUTPUT): the tree; a line for each stage of each path that
    /// conflicts; an empty one; the messages, each with the number of its paths, these, its kind and its text.
    fn parse(output: &[u8]) -> Result<Told> {
        let bad = || Error::failed("git merge-tree printed what is not in its manual");
        let mut fields = output.split(|&byte| byte == 0);
        let tree = parse_oid(fields.next().unwrap_or_default().to_vec())?;
        let mut stages = BTreeMap::<Vec<u8>, [Option<Entry>; 3]>::new();
        for line in fields.by_ref().take_while(|line| !line.is_empty()) {
            let (words, path) = words_and_path(line).ok_or_else(bad)?;
            let [mode, blob, stage] = words[..] else { return Err(bad()) };
            let stage: usize = stage.parse().map_err(|_| bad())?;
            let place = stages.entry(path.to_vec()).or_default();
            *place.get_mut(stage.wrapping_sub(1)).ok_or_else(bad)? = Some(Entry::parse(mode, blob).ok_or_else(bad)?);
        }
        let mut messages = Vec::new();
        while let Some(count) = fields.next().filter(|count| !count.is_empty()) {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).ok_or_else(bad)?;
            let paths: Vec<_> = fields.by_ref().take(count).map(<[u8]>::to_vec).collect();
            let kind = fields.next().ok_or_else(bad)?;
            fields.next().ok_or_else(bad)?;
            messages.push((String::from_utf8_lossy(kind).into_owned(), paths));
        }
        Ok(Told { tree, stages, messages })
    }

    /// Returns each of `known` that the sides disagree on, and how.
    fn conflicts(&self, names: [&str; 2], known: &BTreeSet<&[u8]>) -> BTreeMap<Vec<u8>, Why> {
        let plain = |path: &[u8]| {
            let plain = if known.contains(path) { path } else { without_suffix(path, names) };
            known.contains(plain).then(|| plain.to_vec())
        };
        let mut kinds = BTreeMap::<Vec<u8>, Vec<&str>>::new();
        for (kind, paths) in self.messages.iter().filter(|(kind, _)| kind.starts_with("CONFLICT")) {
            for path in paths.iter().filter_map(|path| plain(path)) {
                kinds.entry(path).or_default().push(kind);
            }
        }
        for path in self.stages.keys().filter_map(|path| plain(path)) {
            kinds.entry(path).or_default();
        }
        // A file that was put elsewhere has its stages there.
        let mut all = BTreeMap::<Vec<u8>, [Option<&Entry>; 3]>::new();
        for (path, stages) in &self.stages {
            let place = all.entry(plain(path).unwrap_or_default()).or_default();
            place.iter_mut().zip(stages).for_each(|(place, stage)| *place = place.or(stage.as_ref()));
        }
        let why = |(path, kinds): (Vec<u8>, Vec<&str>)| {
            let [base, ours, theirs] = all.get(&path).copied().unwrap_or_default();
            let says = |word: &str| kinds.iter().any(|kind| kind.contains(word));
            let why = if says("rename") {
                Why::Renamed
            } else if says("file/directory") || says("distinct") {
                Why::OtherType
            } else if says("modify/delete") {
                if ours.is_none() { Why::DeletedHere } else { Why::DeletedThere }
            } else if says("binary") {
                Why::Binary
            } else {
                match (base, ours, theirs) {
                    (_, Some(ours), Some(theirs)) if !ours.is_file() || !theirs.is_file() => Why::OtherType,
                    (None, Some(_), Some(_)) => Why::BothAdded,
                    (_, Some(_), Some(_)) => Why::BothChanged,
                    _ => Why::Renamed,
                }
            };
            (path, why)
        };
        kinds.into_iter().map(why).collect()
    }
}

/// Returns a path without what git adds where two files cannot both be in one place: `~` and the name of a side, in which
/// a slash has become `_`.
fn without_suffix<'a>(path: &'a [u8], names: [&str; 2]) -> &'a [u8] {
    let suffixes = names.map(|name| format!("~{}", name.replace('/', "_")).into_bytes());
    suffixes.iter().find_map(|suffix| path.strip_suffix(suffix.as_slice())).unwrap_or(path)
}

/// Returns the attributes under which the host's own commit would have these paths merged, a line a path: `union`, no
/// merge at all, the size of conflict markers. Any other driver is a program of the configuration, and does not run.
fn attributes(repo: &Repo, scratch: &Scratch, paths: &[&[u8]]) -> Result<(Vec<u8>, Vec<Driver>)> {
    let (mut lines, mut drivers) = (Vec::new(), Vec::new());
    let told = repo.vcs.attributes(repo, scratch, paths, &["filter", "merge", "conflict-marker-size"])?;
    let is_pointer = |(_, name, value): &&(Vec<u8>, String, String)| name == "filter" && value == "lfs";
    let pointers: HashSet<Vec<u8>> = told.iter().filter(is_pointer).map(|(path, ..)| path.clone()).collect();
    for (path, name, value) in told {
        let what = match (name.as_str(), value.as_str()) {
            ("filter", _) => continue,
            // Lines of two pointers are no pointer.
            ("merge", _) if pointers.contains(&path) => "-merge".to_owned(),
            ("merge", "union") => "merge=union".to_owned(),
            ("merge", "unset" | "binary") => "-merge".to_owned(),
            ("merge", "unspecified" | "set" | "text") => continue,
            ("merge", driver) => {
                drivers.push(Driver { path, name: driver.to_owned() });
                continue;
            }
            (_, size) => match size.parse::<u32>() {
                // A gigabyte is more than git can hold.
                Ok(size) => format!("conflict-marker-size={}", size.clamp(7, 64)),
                Err(_) => continue,
            },
        };
        // As a pattern it is that path alone.
        let mut pattern = b"/".to_vec();
        for byte in path {
            if b"[]*?\\".contains(&byte) {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        lines.extend(quoted(&pattern));
        lines.extend(format!(" {what}\n").bytes());
    }
    Ok((lines, drivers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `git merge-tree -z` prints: lines of stages, and messages.
    fn told(stages: &[(&str, usize, &str)], messages: &[(&[&str], &str)]) -> Told {
        let id = "a".repeat(40);
        let mut text = format!("{id}\0");
        for (mode, stage, path) in stages {
            text.push_str(&format!("{mode} {id} {stage}\t{path}\0"));
        }
        text.push('\0');
        for (paths, kind) in messages {
            let paths: String = paths.iter().map(|path| format!("\0{path}")).collect();
            text.push_str(&format!("{}{paths}\0{kind}\0text\n\0", paths.matches('\0').count()));
        }
        Told::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn each_kind_of_conflict_is_told_apart_and_no_name_is_made_up() {
        const FILE: &str = "100644";
        let three = |path| [(FILE, 1, path), (FILE, 2, path), (FILE, 3, path)];
        let cases = [
            (told(&three("f"), &[(&["f"], "CONFLICT (contents)")]), Why::BothChanged),
            (told(&three("f")[1..], &[(&["f"], "CONFLICT (contents)")]), Why::BothAdded),
            (told(&three("f"), &[(&["f"], "CONFLICT (binary)"), (&["f"], "CONFLICT (contents)")]), Why::Binary),
            (told(&[(FILE, 1, "f"), (FILE, 3, "f")], &[(&["f"], "CONFLICT (modify/delete)")]), Why::DeletedHere),
            (told(&three("f")[..2], &[(&["f"], "CONFLICT (modify/delete)")]), Why::DeletedThere),
            (told(&[("120000", 2, "f"), ("120000", 3, "f")], &[(&["f"], "CONFLICT (contents)")]), Why::OtherType),
            (told(&[(FILE, 3, "f~guest_dev")], &[(&["f"], "CONFLICT (file/directory)")]), Why::OtherType),
            (told(&three("f"), &[(&["f", "y", "z"], "CONFLICT (rename/rename)")]), Why::Renamed),
        ];
        for (told, why) in cases {
            let known = BTreeSet::from([b"f".as_slice(), b"y", b"z"]);
            let conflicts = told.conflicts(["host", "guest/dev"], &known);
            assert_eq!(conflicts.get(b"f".as_slice()), Some(&why), "{:?}", told.messages);
            assert!(conflicts.keys().all(|path| known.contains(path.as_slice())), "{conflicts:?}");
        }
    }

    #[test]
    fn what_merge_tree_does_not_print_is_an_error() {
        let id = "a".repeat(40);
        for text in ["", "x\0", &format!("{id}\0no stage\0\0"), &format!("{id}\0\0many\0a\0kind\0text\0")] {
            assert!(Told::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
