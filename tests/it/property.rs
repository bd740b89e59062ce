//! Whatever a worker does, a pull brings exactly that, between whatever the host did: many pulls of random work, here of
//! names and types of every kind, in `ledger` of blocks that merge, in `machine` of all commands and whole days.
//!
//! What the host must hold is worked out without git-banger and without git's trees: from a walk of the guest's files
//! and a walk of the host's. Every case follows from its seed; `GIT_BANGER_TEST_SEED=N` repeats one,
//! and `GIT_BANGER_TEST_SEQUENCES=N` says how many there are: 'make property' runs 300.

mod ledger;
mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, lines};
use crate::support::{set_mode, write_file};

/// How many repositories there are, if nothing says otherwise, and how often each is pulled into.
const REPOSITORIES: u64 = 12;
const PULLS: usize = 5;

/// Names that trip something up: a shell, a pathspec, a quoting, a terminal, a list of lines.
const NAMES: [&[u8]; 24] = [
    b"plain",
    b"with space",
    b" lead and trail ",
    b"new\nline",
    b"tab\there",
    b"quo\"te",
    b"it's",
    b"back\\slash",
    b"-dash",
    b"--",
    b"\x1b[31mred",
    b"\xff\xfe not UTF-8",
    "\u{e9}\u{202e}".as_bytes(),
    b"*glob?[x]",
    b"$HOME `id`",
    b"%41\\101",
    b"#hash",
    b"!bang",
    b"~",
    b":(top)magic",
    b"cr\r",
    b"ignored.ig",
    b"build",
    b".hidden",
];

#[test]
fn a_pull_brings_exactly_the_guests_work_between_the_hosts_own() {
    for_each_seed(REPOSITORIES, |seed| Case::new(seed).run());
}

/// A step of random work: its kind, and the seed of what it does.
type Step = (usize, u64);

/// Plays sequences of steps, whose kinds have these shares; `play` is told whether it is the first time for a sequence. What
/// fails is made small, where that is asked for, since each try takes seconds.
fn play_all(
    usual: u64,
    length: usize,
    shares: &[usize],
    play: impl Fn(u64, &[Step], bool) -> Result<(), String> + Sync,
) {
    let kinds: Vec<usize> = shares.iter().enumerate().flat_map(|(kind, share)| vec![kind; *share]).collect();
    for_each_seed(usual, |seed| {
        let mut random = Random(seed);
        let mut steps: Vec<Step> = (0..length).map(|_| (kinds[random.below(kinds.len())], random.next())).collect();
        let Err(mut wrong) = play(seed, &steps, true) else { return };
        let mut tries: usize = std::env::var("GIT_BANGER_TEST_SHRINK").map_or(0, |tries| tries.parse().unwrap());
        let mut size = steps.len() / 2;
        while size > 0 && tries > 0 {
            let (mut at, mut any) = (0, false);
            while at < steps.len() && tries > 0 {
                tries -= 1;
                let fewer = [&steps[..at], &steps[(at + size).min(steps.len())..]].concat();
                match play(seed, &fewer, false) {
                    Err(still) => (steps, wrong, any) = (fewer, still, true),
                    Ok(()) => at += size,
                }
            }
            if !any {
                size /= 2;
            }
        }
        panic!("GIT_BANGER_TEST_SEED={seed}, {} steps:\n{wrong}", steps.len());
    });
}

/// Has as many threads as there are processors try what follows from each seed.
fn for_each_seed(usual: u64, play: impl Fn(u64) + Sync) {
    let (first, end) = seeds(usual);
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end) {
                    play(seed);
                }
            });
        }
    });
}

/// Returns the first seed of random work that is to be tried, and the one after the last.
fn seeds(usual: u64) -> (u64, u64) {
    let number = |name| std::env::var(name).ok().map(|number: String| number.parse::<u64>().expect("it is a number"));
    let first = number("GIT_BANGER_TEST_SEED");
    let count = number("GIT_BANGER_TEST_SEQUENCES").unwrap_or(if first.is_some() { 1 } else { usual });
    (first.unwrap_or(0), first.unwrap_or(0) + count)
}

/// A file as git knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { executable: bool, bytes: Vec<u8> },
    Link(PathBuf),
}

type Files = BTreeMap<Vec<u8>, Entry>;

/// A repository, its guest, and the random work on both.
struct Case {
    guest: TestGuest,
    host: Host,
    random: Random,
    log: Vec<String>,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log.join("\n"));
        }
    }
}

impl Case {
    fn new(seed: u64) -> Case {
        let guest = TestGuest::russh();
        let host = Host::empty(&guest);
        let log = vec![format!("GIT_BANGER_TEST_SEED={seed}")];
        Case { guest, host, random: Random(seed), log }
    }

    fn run(mut self) {
        self.host.write(".gitignore", "*.ig\n/build/\n");
        for number in 0..3 {
            self.host.write(&format!("shared/{number}"), lines("shared"));
            self.host.write(&format!("host/{number}"), lines("host"));
        }
        for _ in 0..10 {
            self.write(self.host.repo());
        }
        self.host.commit("first");
        for _ in 0..self.random.below(4) {
            self.host_works();
        }
        self.host.prepare();
        let mut agreed = self.guest_files();
        for pull in 0..PULLS {
            for _ in 0..1 + self.random.below(10) {
                self.guest_works();
            }
            for _ in 0..self.random.below(4) {
                self.host_works();
            }
            self.log.push(format!("pull {pull}"));
            let now = self.guest_files();
            let expected = landed(walk(&self.host.repo()), &agreed, &now);
            let (standing, before) = (self.host.standing(), self.guest.fingerprint());
            let run = self.host.run(&["pull", VM, "--base-commit", "HEAD@prepare"]);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            assert_same(&expected, &walk(&self.host.repo()));
            before.assert_same(&self.guest.fingerprint());
            standing.assert_same(&self.host.standing());
            self.guest.assert_no_leftovers();
            agreed = now;
        }
    }

    /// Returns the files of the guest that git sees: not ignored, or added all the same.
    fn guest_files(&self) -> Files {
        let index = self.guest.command("git").args(["ls-files", "-z"]).output().unwrap().stdout;
        let index: BTreeSet<&[u8]> = index.split(|&byte| byte == 0).collect();
        let mut files = walk(&self.guest.workspace());
        files.retain(|path, _| !is_ignored(path) || index.contains(path.as_slice()));
        files
    }

    /// Does one thing as the worker, in any place but the host's own.
    fn guest_works(&mut self) {
        let top = self.guest.workspace();
        let number = self.random.below(4);
        let Some(path) = self.some_file() else { return self.write(top) };
        let git: &[&str] = match self.random.below(19) {
            0..=4 => return self.write(top),
            5 => {
                // The lines that the host leaves alone.
                let line = 1 + self.random.below(3);
                self.log.push(format!("guest: edit shared/{} line {line}", number % 3));
                return edit(&self.guest.file(&format!("shared/{}", number % 3)), line, self.random.next());
            }
            6 | 7 => {
                self.log.push(format!("guest: delete {path:?}"));
                return fs::remove_file(top.join(&path)).unwrap();
            }
            8 => return self.rename(&path),
            9 => {
                let file = top.join(&path);
                self.log.push(format!("guest: flip mode of {path:?}"));
                if !file.is_symlink() {
                    set_mode(&file, fs::metadata(&file).unwrap().permissions().mode() ^ 0o111);
                }
                return;
            }
            10 => {
                self.log.push(format!("guest: {path:?} becomes a folder"));
                fs::remove_file(top.join(&path)).unwrap();
                return write_file(&top.join(&path).join("inside"), b"in a folder\n");
            }
            11 => {
                let Some(folder) = Path::new(&path).parent().filter(|folder| *folder != "") else { return };
                self.log.push(format!("guest: folder {folder:?} becomes a file"));
                fs::remove_dir_all(top.join(folder)).unwrap();
                return fs::write(top.join(folder), "was a folder\n").unwrap();
            }
            12 => &["add", "-A"],
            13 => &["add", "-f", "--"],
            14 => &["add", "-N", "--"],
            15 => &["rm", "-q", "--cached", "-r", "--"],
            16 => &["update-index", "--assume-unchanged", "--"],
            17 => &["commit", "-q", "--allow-empty", "-am", "by the worker"],
            _ => &["reset", "-q"],
        };
        let mut command = self.guest.command("git");
        command.arg("--literal-pathspecs").args(git);
        if git.ends_with(&["--"]) {
            command.arg(&path);
        }
        self.log.push(format!("guest: git {git:?} {path:?}"));
        // Not all of it is possible at any time; what git refuses changes nothing.
        let _ = command.output().unwrap();
    }

    /// Does one thing on the host, in its own place or in lines that the worker leaves alone.
    fn host_works(&mut self) {
        let (number, kind) = (self.random.below(3), self.random.below(7));
        self.log.push(format!("host: {kind} {number}"));
        match kind {
            0 | 1 => {
                let line = 8 + self.random.below(3);
                edit(&self.host.file(&format!("shared/{number}")), line, self.random.next());
            }
            2 => self.host.write(&format!("host/{number}"), self.random.content()),
            3 => self.host.write(&format!("host/new {number}"), "untracked\n"),
            4 => drop(fs::remove_file(self.host.file(&format!("host/{number}")))),
            5 => drop(self.host.git(&["add", "-A"])),
            _ => drop(self.host.git(&["commit", "-q", "--allow-empty", "-am", "by the host"])),
        }
    }

    fn write(&mut self, top: PathBuf) {
        let path = self.random.path();
        if is_ignored(&path) && top == self.host.repo() {
            // It would rightly be in the way of the worker's.
            return;
        }
        let file = top.join(OsStr::from_bytes(&path));
        make_room(&top, &file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        if self.random.below(6) == 0 {
            let target = OsStr::from_bytes(self.random.pick(&NAMES));
            self.log.push(format!("write {file:?}, a link to {target:?}"));
            symlink(target, &file).unwrap();
        } else {
            let content = self.random.content();
            self.log.push(format!("write {file:?}, {} bytes", content.len()));
            fs::write(&file, content).unwrap();
            set_mode(&file, if self.random.below(4) == 0 { 0o755 } else { 0o644 });
        }
    }

    fn rename(&mut self, from: &OsStr) {
        let top = self.guest.workspace();
        let to = self.random.path();
        let to = OsStr::from_bytes(&to);
        let (source, target) = (top.join(from), top.join(to));
        if target.starts_with(&source) || source.starts_with(&target) {
            return;
        }
        make_room(&top, &target);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let by_git = self.random.below(2) == 0;
        self.log.push(format!("guest: rename {from:?} to {to:?}, by git: {by_git}"));
        let mut git = self.guest.command("git");
        if !(by_git && git.args(["mv", "--"]).args([&source, &target]).output().unwrap().status.success()) {
            fs::rename(source, target).unwrap();
        }
    }

    /// Returns a file of the worker's own, if there is one.
    fn some_file(&mut self) -> Option<std::ffi::OsString> {
        let mut files = walk(&self.guest.workspace());
        files.retain(|path, _| !path.starts_with(b"host/") && !path.starts_with(b"shared/") && path != b".gitignore");
        let paths: Vec<_> = files.into_keys().collect();
        (!paths.is_empty()).then(|| OsStr::from_bytes(self.random.pick(&paths)).to_owned())
    }
}

/// Removes what stands where a file shall be: a file in place of one of its folders, or whatever is in its own.
fn make_room(top: &Path, file: &Path) {
    for place in file.ancestors().take_while(|place| *place != top) {
        match fs::symlink_metadata(place) {
            Ok(there) if there.is_dir() && place == file => fs::remove_dir_all(place).unwrap(),
            Ok(there) if there.is_dir() => {}
            Ok(_) => fs::remove_file(place).unwrap(),
            Err(_) => {}
        }
    }
}

/// Changes one line of a file of ten.
fn edit(file: &Path, line: usize, to: u64) {
    let text = fs::read_to_string(file).unwrap();
    let edited =
        |(at, old): (usize, &str)| if at + 1 == line { format!("line {line} is {to}\n") } else { format!("{old}\n") };
    fs::write(file, text.lines().enumerate().map(edited).collect::<String>()).unwrap();
}

fn is_ignored(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|part| part.ends_with(b".ig")) || path.starts_with(b"build/")
}

/// Returns every file below a folder, without `.git`.
fn walk(top: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_symlink() {
                files.insert(name, Entry::Link(fs::read_link(&path).unwrap()));
            } else if meta.is_file() {
                let executable = meta.permissions().mode() & 0o100 != 0;
                files.insert(name, Entry::File { executable, bytes: fs::read(&path).unwrap() });
            } else if name != b".git" {
                folders.push(path);
            }
        }
    }
    files
}

/// Returns what the host must hold: its own files, with what the guest changed since both sides agreed.
fn landed(mut host: Files, agreed: &Files, guest: &Files) -> Files {
    for path in agreed.keys().filter(|path| !guest.contains_key(*path)) {
        host.remove(path);
    }
    for (path, entry) in guest.iter().filter(|(path, entry)| agreed.get(*path) != Some(*entry)) {
        let merged = match (host.get(path), entry) {
            (Some(Entry::File { bytes: ours, .. }), Entry::File { executable, bytes })
                if path.starts_with(b"shared/") =>
            {
                let half =
                    |bytes: &[u8]| bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
                Entry::File { executable: *executable, bytes: [&half(bytes)[..5], &half(ours)[5..]].concat().concat() }
            }
            _ => entry.clone(),
        };
        host.insert(path.clone(), merged);
    }
    host
}

fn assert_same(expected: &Files, actual: &Files) {
    let lacks = |files: &Files, other: &Files| {
        let differs = |(path, entry): &(&Vec<u8>, &Entry)| other.get(*path) != Some(*entry);
        let shown = |(path, entry): (&Vec<u8>, &Entry)| format!("{} {entry:?}", path.escape_ascii());
        files.iter().filter(differs).map(shown).collect::<Vec<_>>()
    };
    let (missing, wrong) = (lacks(expected, actual), lacks(actual, expected));
    assert!(missing.is_empty() && wrong.is_empty(), "expected {missing:#?}\nbut there is {wrong:#?}");
}

/// Numbers that follow from a seed: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T: AsRef<[u8]>>(&mut self, from: &'a [T]) -> &'a [u8] {
        from[self.below(from.len())].as_ref()
    }

    fn path(&mut self) -> Vec<u8> {
        let depth = 1 + self.below(3);
        (0..depth).map(|_| self.pick(&NAMES)).collect::<Vec<_>>().join(&b'/')
    }

    fn content(&mut self) -> Vec<u8> {
        match self.below(6) {
            0 => Vec::new(),
            1 => b"one\r\ntwo\r\n".to_vec(),
            2 => (0..self.below(3000)).map(|_| self.next() as u8).collect(),
            3 => b"no newline at the end".to_vec(),
            4 => b"trailing blanks \t \n\n\n".to_vec(),
            _ => format!("{}\n", self.next()).repeat(1 + self.below(20)).into_bytes(),
        }
    }
}
