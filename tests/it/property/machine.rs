//! Whole days of work: the guest edits, commits, amends, stashes, branches; the host edits, commits, resets, switches,
//! throws landed work away; and between that pulls, of all or a part, undo, redo, `--again`, prepare again, kills, and the
//! same in a second worktree. After each step the files of both sides are what the model says, byte for byte, and so is
//! what `status` tells.
//!
//! The model knows whole files, each of one line that no other file ever has, so that nothing merges and nothing looks
//! renamed: a path is as both sides agree, or it is in conflict. What merges is for `ledger`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;

use serde_json::Value;

use super::{Random, Step, play_all};
use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran};

/// How many sequences there are, if nothing says otherwise, and the steps of each.
const SEQUENCES: u64 = 8;
const STEPS: usize = 40;

/// What git-banger says of a pull.
const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

/// Texts by their paths.
type Files = BTreeMap<String, String>;

/// What a step does; it returns what is to be said of it.
type Does = fn(&mut World, &mut Random) -> String;

const KINDS: [(usize, Does); 22] = [
    (8, World::guest_edits),
    (4, World::guest_adds),
    (3, World::guest_deletes),
    (4, World::guest_puts_back),
    (3, World::guest_commits),
    (1, World::guest_amends),
    (1, World::guest_branches),
    (1, World::guest_stashes),
    (1, World::guest_ignores),
    (4, World::host_edits),
    (3, World::host_commits),
    (1, World::host_amends),
    (1, World::host_resets),
    (1, World::host_switches),
    (4, World::host_discards),
    (7, World::pull),
    (3, World::pull_a_part),
    (4, World::pull_again),
    (5, World::undo),
    (3, World::redo),
    (2, World::prepare_again),
    (2, World::kill),
];

#[test]
fn both_sides_are_as_the_model_says_after_every_step() {
    let shares: Vec<usize> = KINDS.iter().map(|(share, _)| *share).collect();
    let tally = Mutex::new(BTreeMap::new());
    play_all(SEQUENCES, STEPS, &shares, |seed, steps, _| play(seed, steps, &tally));
    let tally = tally.into_inner().unwrap();
    println!("{tally:?}");
    // A model that only says what is never done proves nothing.
    assert!(tally.values().sum::<u64>() < 400 || tally.len() == OUTCOMES, "{tally:?}");
}

/// What can become of a command, as far as it is counted.
const OUTCOMES: usize = 10;

fn play(seed: u64, steps: &[Step], tally: &Mutex<BTreeMap<&'static str, u64>>) -> Result<(), String> {
    let mut world = World::new(seed);
    for (number, (kind, seed)) in steps.iter().enumerate() {
        let said = KINDS[*kind].1(&mut world, &mut Random(*seed));
        world.log.push(said);
        if number % 3 == 0 {
            world.check_status();
        }
        world.check();
        if let Some(wrong) = world.wrong.take() {
            return Err(format!("{}\n{wrong}", world.log.join("\n")));
        }
    }
    let mut tally = tally.lock().unwrap();
    for done in world.done {
        *tally.entry(done).or_default() += 1;
    }
    Ok(())
}

/// A landing as the model knows it.
#[derive(Clone)]
struct Landing {
    /// The host's own files at the paths that it changed.
    before: BTreeMap<String, Option<String>>,
    after: BTreeMap<String, Option<String>>,
    was: Files,
    agreed: Files,
    /// The number of the prepare before it.
    prepare: usize,
}

struct World {
    guest: TestGuest,
    host: Host,
    log: Vec<String>,
    wrong: Option<String>,
    /// What became of commands.
    done: Vec<&'static str>,
    /// So many texts were written.
    texts: usize,
    guest_files: Files,
    guest_ignored: Files,
    /// Commits of the worker's past the prepared head.
    guest_commits: usize,
    branches: usize,
    stashes: usize,
    host_files: Files,
    /// The files of HEAD, and of those before it.
    host_commits: Vec<Files>,
    shipped: Files,
    agreed: Files,
    prepares: usize,
    standing: Vec<Landing>,
    undone: Vec<Landing>,
}

impl World {
    fn new(seed: u64) -> World {
        let guest = TestGuest::russh();
        let host = Host::empty(&guest);
        let mut world = World {
            guest,
            host,
            log: Vec::new(),
            wrong: None,
            done: Vec::new(),
            texts: 0,
            guest_files: Files::new(),
            guest_ignored: Files::new(),
            guest_commits: 0,
            branches: 0,
            stashes: 0,
            host_files: Files::new(),
            host_commits: Vec::new(),
            shipped: Files::new(),
            agreed: Files::new(),
            prepares: 0,
            standing: Vec::new(),
            undone: Vec::new(),
        };
        world.host_files.insert(".gitignore".to_owned(), "*.ign\n".to_owned());
        world.host.write(".gitignore", "*.ign\n");
        world.host.write("secret.ign", "the host's own\n");
        for name in ["g0", "g1", "g2", "sub/g3", "sub/deep/g4", "h0", "h1", "sub/h2"] {
            world.host_writes(name);
        }
        let mut random = Random(seed ^ 0x5eed);
        world.host_commits(&mut random);
        world.host_writes("h0");
        world.host_commits(&mut random);
        if random.below(2) == 0 {
            world.host_writes("g1");
        }
        world.prepare(&[]);
        world.take_shipped();
        world.other_worktree();
        world
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        // Far apart, so that no file looks like another one.
        format!("{:016x}\n", Random(self.texts as u64).next())
    }

    fn host_writes(&mut self, path: &str) {
        let text = self.text();
        self.host.write(path, &text);
        self.host_files.insert(path.to_owned(), text);
    }

    fn guest_writes(&mut self, path: &str, text: String) {
        self.guest.write(path, &text);
        self.guest_files.insert(path.to_owned(), text);
    }

    /// Writes files of the guest's as the model has them at a path.
    fn guest_removes(&mut self, path: &str) {
        fs::remove_file(self.guest.file(path)).unwrap();
        self.guest_files.remove(path);
    }

    /// Returns one of the paths that are the worker's to edit.
    fn some_of(files: &Files, random: &mut Random) -> Option<String> {
        let paths: Vec<_> = files.keys().filter(|path| path.contains('g') && *path != ".gitignore").collect();
        (!paths.is_empty()).then(|| paths[random.below(paths.len())].clone())
    }

    fn guest_edits(&mut self, random: &mut Random) -> String {
        let Some(path) = Self::some_of(&self.guest_files, random) else { return "nothing to edit".to_owned() };
        let text = self.text();
        self.guest_writes(&path, text);
        format!("guest: edit {path}")
    }

    fn guest_adds(&mut self, random: &mut Random) -> String {
        let path = ["g5", "sub/g6", "new/g7", "new/deep/g8"][random.below(4)];
        let text = self.text();
        self.guest_writes(path, text);
        format!("guest: write {path}")
    }

    fn guest_deletes(&mut self, random: &mut Random) -> String {
        let Some(path) = Self::some_of(&self.guest_files, random) else { return "nothing to delete".to_owned() };
        self.guest_removes(&path);
        format!("guest: rm {path}")
    }

    fn guest_puts_back(&mut self, random: &mut Random) -> String {
        let from = [&self.shipped, &self.agreed][random.below(2)].clone();
        let Some(path) = Self::some_of(&from, random) else { return "nothing to put back".to_owned() };
        self.guest_writes(&path, from[&path].clone());
        format!("guest: put {path} back")
    }

    fn guest_commits(&mut self, _: &mut Random) -> String {
        self.guest.git(&["add", "-A"]);
        self.guest.git(&["commit", "-q", "--allow-empty", "-m", "by the worker"]);
        self.guest_commits += 1;
        "guest: commit -a".to_owned()
    }

    fn guest_amends(&mut self, _: &mut Random) -> String {
        if self.guest_commits == 0 {
            return "nothing to amend".to_owned();
        }
        self.guest.git(&["add", "-A"]);
        let message = format!("amended {}", self.texts);
        self.guest.git(&["commit", "-q", "--allow-empty", "--amend", "-m", &message]);
        "guest: commit --amend".to_owned()
    }

    fn guest_branches(&mut self, _: &mut Random) -> String {
        let message = format!("elsewhere {}", self.branches);
        let commit = self.guest.git(&["commit-tree", "-m", &message, "-p", "HEAD", "HEAD^{tree}"]);
        self.guest.git(&["branch", &format!("side-{}", self.branches), &commit]);
        self.branches += 1;
        "guest: a commit on another branch".to_owned()
    }

    fn guest_stashes(&mut self, _: &mut Random) -> String {
        // With nothing to stash it fails.
        let stash = self.guest.command("git").args(["stash", "create"]).output().unwrap().stdout;
        let stash = String::from_utf8(stash).unwrap();
        let newest = self.guest.command("git").args(["rev-parse", "-q", "--verify", "refs/stash"]).output().unwrap();
        // Dates stand still here, so that it may be the same once more.
        if stash.is_empty() || stash.as_bytes() == newest.stdout {
            return "nothing to stash".to_owned();
        }
        self.guest.git(&["stash", "store", "-m", "by the worker", stash.trim_end()]);
        self.stashes += 1;
        "guest: stash".to_owned()
    }

    fn guest_ignores(&mut self, random: &mut Random) -> String {
        let path = ["build.ign", "sub/cache.ign"][random.below(2)];
        let text = self.text();
        self.guest.write(path, &text);
        self.guest_ignored.insert(path.to_owned(), text);
        format!("guest: write {path}")
    }

    fn host_edits(&mut self, random: &mut Random) -> String {
        // One of them is the worker's, too.
        let path = ["h0", "h1", "sub/h2", "h-new", "g2"][random.below(5)];
        self.host_writes(path);
        format!("host: edit {path}")
    }

    fn host_commits(&mut self, _: &mut Random) -> String {
        self.host.git(&["add", "-A"]);
        self.host.git(&["commit", "-q", "--allow-empty", "-m", "by the host"]);
        self.host_commits.push(self.host_files.clone());
        "host: commit -a".to_owned()
    }

    fn host_amends(&mut self, _: &mut Random) -> String {
        self.host.git(&["add", "-A"]);
        let message = format!("amended {}", self.texts);
        self.host.git(&["commit", "-q", "--allow-empty", "--amend", "-m", &message]);
        self.host_commits.pop();
        self.host_commits.push(self.host_files.clone());
        "host: commit --amend".to_owned()
    }

    fn host_resets(&mut self, random: &mut Random) -> String {
        if self.host_commits.len() < 2 {
            return "nothing to reset to".to_owned();
        }
        let how = ["--soft", "--mixed"][random.below(2)];
        self.host.git(&["reset", "-q", how, "HEAD~1"]);
        self.host_commits.pop();
        format!("host: reset {how} HEAD~1")
    }

    fn host_switches(&mut self, _: &mut Random) -> String {
        self.host.git(&["checkout", "-q", "-b", &format!("topic-{}", self.texts)]);
        self.texts += 1;
        "host: checkout -b".to_owned()
    }

    /// Takes a file back to what HEAD has.
    fn host_discards(&mut self, random: &mut Random) -> String {
        let head = self.host_commits.last().unwrap();
        let all: BTreeSet<&String> = head.keys().chain(self.host_files.keys()).collect();
        let differ: Vec<_> = all.into_iter().filter(|path| head.get(*path) != self.host_files.get(*path)).collect();
        if differ.is_empty() {
            return "nothing to discard".to_owned();
        }
        let path = differ[random.below(differ.len())].clone();
        match head.get(&path).cloned() {
            Some(text) => {
                self.host.git(&["checkout", "-q", "HEAD", "--", &path]);
                self.host_files.insert(path.clone(), text);
            }
            None => {
                self.host.git(&["rm", "-q", "-f", "--cached", "--ignore-unmatch", "--", &path]);
                fs::remove_file(self.host.file(&path)).unwrap();
                self.host_files.remove(&path);
            }
        }
        format!("host: checkout HEAD -- {path}")
    }

    fn pull(&mut self, _: &mut Random) -> String {
        self.lands(&SINCE, |_| true, false)
    }

    fn pull_a_part(&mut self, random: &mut Random) -> String {
        let part = ["sub", "new", "g1"][random.below(3)];
        let is_below = |path: &str| path == part || path.starts_with(&format!("{part}/"));
        self.lands(&[&SINCE[..], &["--", part]].concat(), is_below, false)
    }

    fn pull_again(&mut self, _: &mut Random) -> String {
        self.lands(&[&SINCE[..], &["--again"]].concat(), |_| true, true)
    }

    /// Pulls, and demands what the model says.
    fn lands(&mut self, args: &[&str], is_chosen: impl Fn(&str) -> bool, again: bool) -> String {
        let mut files = self.host_files.clone();
        if again {
            for path in self.thrown_away() {
                put(&mut files, &path, self.agreed.get(&path));
            }
        }
        let (mut agreed, mut conflicts) = (self.agreed.clone(), Vec::new());
        for path in differing(&self.agreed, &self.guest_files).into_iter().filter(|path| is_chosen(path)) {
            let (here, theirs) = (files.get(&path), self.guest_files.get(&path).cloned());
            if here != self.agreed.get(&path) && here != theirs.as_ref() {
                conflicts.push(path.clone());
            }
            put(&mut files, &path, theirs.as_ref());
            put(&mut agreed, &path, theirs.as_ref());
        }
        let ran = self.ran(args);
        let said = format!("{}: exit {:?}\n{}{}", args.join(" "), ran.code, ran.stdout, ran.stderr);
        if !conflicts.is_empty() {
            self.expect(&ran, 1, &format!("it is to be refused, for {conflicts:?}"));
            self.done.push("pull refused");
            return said;
        }
        self.expect(&ran, 0, "it is to land");
        let is_new = agreed != self.agreed;
        self.done.push(if is_new {
            "landed"
        } else if files == self.host_files {
            "nothing new"
        } else {
            "landed again"
        });
        if agreed != self.agreed || files != self.host_files {
            let landing = self.landing(&files, agreed);
            self.standing.push(landing);
            self.undone.clear();
        }
        said
    }

    /// Takes files and the agreed tree as they are after a landing; returns its record.
    fn landing(&mut self, files: &Files, agreed: Files) -> Landing {
        let paths = differing(&self.host_files, files);
        let side = |files: &Files| paths.iter().map(|path| (path.clone(), files.get(path).cloned())).collect();
        let (before, after) = (side(&self.host_files), side(files));
        let was = std::mem::replace(&mut self.agreed, agreed.clone());
        self.host_files.clone_from(files);
        Landing { before, after, was, agreed, prepare: self.prepares }
    }

    fn undo(&mut self, _: &mut Random) -> String {
        let Some(landing) = self.standing.last().cloned() else { return self.turns_nothing(&["undo"]) };
        match self.turns(&["undo"], &landing.after, &landing.before) {
            (said, false) => said,
            (said, true) => {
                if landing.prepare == self.prepares {
                    self.agreed.clone_from(&landing.was);
                }
                self.standing.pop();
                self.undone.push(landing);
                said
            }
        }
    }

    fn redo(&mut self, _: &mut Random) -> String {
        let args = ["undo", "--redo"];
        let Some(landing) = self.undone.last().cloned() else { return self.turns_nothing(&args) };
        match self.turns(&args, &landing.before, &landing.after) {
            (said, false) => said,
            (said, true) => {
                if landing.prepare == self.prepares {
                    self.agreed.clone_from(&landing.agreed);
                }
                self.undone.pop();
                self.standing.push(landing);
                said
            }
        }
    }

    fn turns_nothing(&mut self, args: &[&str]) -> String {
        let ran = self.ran(args);
        self.expect(&ran, 1, "there is nothing to turn");
        format!("{}: there is nothing", args.join(" "))
    }

    /// Has a landing turned, and tells whether it is to be.
    fn turns(
        &mut self,
        args: &[&str],
        from: &BTreeMap<String, Option<String>>,
        to: &BTreeMap<String, Option<String>>,
    ) -> (String, bool) {
        let mut files = self.host_files.clone();
        let mut conflicts = Vec::new();
        for (path, text) in to {
            let here = files.get(path);
            if here != from[path].as_ref() && here != text.as_ref() {
                conflicts.push(path.clone());
            }
            put(&mut files, path, text.as_ref());
        }
        let ran = self.ran(args);
        let said = format!("{}: exit {:?}\n{}{}", args.join(" "), ran.code, ran.stdout, ran.stderr);
        if !conflicts.is_empty() {
            self.expect(&ran, 1, &format!("it is to be refused, for {conflicts:?}"));
            self.done.push("turn refused");
            return (said, false);
        }
        self.expect(&ran, 0, "it is to be turned");
        self.done.push(if args.len() > 1 { "redone" } else { "undone" });
        self.host_files = files;
        (said, true)
    }

    fn prepare_again(&mut self, random: &mut Random) -> String {
        let unlanded = differing(&self.agreed, &self.guest_files);
        if !unlanded.is_empty() {
            let ran = self.ran(&["prepare", VM, "--untracked"]);
            self.expect(&ran, 1, &format!("it is to be refused, for {unlanded:?}"));
            self.done.push("prepare refused");
            if random.below(2) == 0 {
                return "prepare: refused".to_owned();
            }
            let saved = self.guest_files.clone();
            let ran = self.prepare(&["--force"]);
            let rescued = ran.stderr.split_whitespace().find(|word| word.contains("/rescued/"));
            match rescued {
                Some(rescued) => {
                    for (path, text) in &saved {
                        let found = self.host.git(&["show", &format!("{rescued}:{path}")]);
                        assert_eq!(found.trim_end(), text.trim_end(), "{path} of {rescued}");
                    }
                }
                None => self.wrong = Some(format!("nothing was rescued:\n{}", ran.stderr)),
            }
        } else {
            self.prepare(&[]);
        }
        self.take_shipped();
        self.done.push("prepared again");
        "prepare again".to_owned()
    }

    fn prepare(&mut self, args: &[&str]) -> Ran {
        let ran = self.ran(&[&["prepare", VM, "--untracked"], args].concat());
        self.expect(&ran, 0, "it is to be prepared");
        ran
    }

    fn take_shipped(&mut self) {
        self.shipped.clone_from(&self.host_files);
        self.agreed.clone_from(&self.host_files);
        self.guest_files.clone_from(&self.host_files);
        self.guest_commits = 0;
        self.prepares += 1;
    }

    /// Kills a pull at one of its moves; the next command takes back what it has done by then.
    fn kill(&mut self, random: &mut Random) -> String {
        let when = 1 + random.below(6);
        let ran = self.host.traced(&SINCE, &format!("renameat2:signal=KILL:when={when}"));
        if ran.code.is_some() {
            // It had fewer, and ended.
            if ran.code == Some(0) {
                let mut files = self.host_files.clone();
                for path in differing(&self.agreed, &self.guest_files) {
                    put(&mut files, &path, self.guest_files.get(&path));
                }
                if self.agreed != self.guest_files {
                    let landing = self.landing(&files, self.guest_files.clone());
                    self.standing.push(landing);
                    self.undone.clear();
                }
            }
            return format!("pull to be killed at move {when}: exit {:?}", ran.code);
        }
        let next = self.ran(&[&SINCE[..], &["-n"]].concat());
        if !next.stderr.contains("an earlier landing was cut off half-way") {
            self.wrong = Some(format!("nothing was taken back:\n{}", next.stderr));
        }
        self.done.push("killed");
        format!("pull killed at move {when}")
    }

    /// Prepares another workspace from another worktree, works there and pulls there.
    fn other_worktree(&mut self) {
        let other = self.host.path("other");
        let other = other.to_str().unwrap();
        self.host.git(&["worktree", "add", "-q", "--detach", other]);
        let ran = self.host.run(&["-C", other, "prepare", VM, "--path", "other"]);
        self.expect(&ran, 0, "the other is to be prepared");
        let home = self.guest.home();
        fs::write(home.join("other/g0"), "of the other\n").unwrap();
        let ran = self.host.run(&[&["-C", other], &SINCE[..]].concat());
        self.expect(&ran, 0, "the other is to land");
        assert_eq!(fs::read_to_string(self.host.path("other/g0")).unwrap(), "of the other\n");
    }

    /// Returns the paths at which the host has what was shipped, and not what has landed.
    fn thrown_away(&self) -> Vec<String> {
        let landed = differing(&self.shipped, &self.agreed).into_iter();
        landed.filter(|path| self.host_files.get(path) == self.shipped.get(path)).collect()
    }

    /// Runs git-banger, which leaves the host's index, stash, HEAD, refs and reflogs as they are.
    fn ran(&self, args: &[&str]) -> Ran {
        let standing = self.host.standing();
        let ran = self.host.run(args);
        standing.assert_same(&self.host.standing());
        ran
    }

    fn expect(&mut self, ran: &Ran, code: i32, why: &str) {
        if ran.code != Some(code) {
            self.wrong = Some(format!("{why}: {ran:#?}"));
        }
    }

    /// Compares the files of both sides with the model.
    fn check(&mut self) {
        let mut guest = self.guest_files.clone();
        guest.extend(self.guest_ignored.clone());
        let mut host = self.host_files.clone();
        host.insert("secret.ign".to_owned(), "the host's own\n".to_owned());
        for (side, folder, expected) in [("guest", self.guest.workspace(), guest), ("host", self.host.repo(), host)] {
            let found = files_below(&folder);
            let wrong: Vec<_> = differing(&expected, &found)
                .into_iter()
                .map(|path| format!("{path}: to be {:?}, is {:?}", expected.get(&path), found.get(&path)))
                .collect();
            if !wrong.is_empty() && self.wrong.is_none() {
                self.wrong = Some(format!("{side}:\n{}", wrong.join("\n")));
            }
        }
        assert_eq!(fs::read_to_string(self.host.path("other/g0")).unwrap(), "of the other\n");
        assert_eq!(fs::read_to_string(self.guest.home().join("other/g0")).unwrap(), "of the other\n");
    }

    /// Compares what `status` says with the model.
    fn check_status(&mut self) {
        let ran = self.ran(&["status", VM, "--exit-code", "--json"]);
        let Ok(status) = serde_json::from_str::<Value>(&ran.stdout) else {
            self.wrong = Some(format!("{ran:#?}"));
            return;
        };
        let files = differing(&self.agreed, &self.guest_files).len();
        let thrown_away = self.thrown_away().len();
        let refs = status["refs"].as_array().unwrap();
        // A branch on which the host was at an earlier prepare may be there, too.
        let is_workers = |known: &&Value| known["name"].as_str().unwrap().starts_with("refs/heads/side-");
        let found = [
            status["files"].as_array().unwrap().len(),
            status["thrown_away"].as_u64().unwrap() as usize,
            refs.iter().filter(is_workers).count(),
            status["stashes"].as_u64().unwrap() as usize,
        ];
        let expected = [files, thrown_away, self.branches, self.stashes];
        let left = expected.iter().any(|count| *count > 0) || !refs.is_empty();
        if found != expected || ran.code != Some(i32::from(left)) {
            self.wrong = Some(format!("files, thrown away, branches, stashes are to be {expected:?}: {ran:#?}"));
        }
    }
}

/// Puts a text at a path, or takes away what is there.
fn put(files: &mut Files, path: &str, text: Option<&String>) {
    match text {
        Some(text) => drop(files.insert(path.to_owned(), text.clone())),
        None => drop(files.remove(path)),
    }
}

/// Returns the paths at which two sides differ.
fn differing(one: &Files, other: &Files) -> Vec<String> {
    let all: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    all.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

/// Returns all files below a folder but git's own.
fn files_below(top: &std::path::Path) -> Files {
    let (mut files, mut folders) = (Files::new(), vec![top.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == top.join(".git") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}
