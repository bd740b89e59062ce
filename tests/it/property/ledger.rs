//! Pulls with any base and of any part, between whatever both sides do and undo: files are made of blocks that no edit of
//! another block conflicts with, and what the host must hold is worked out block by block.
//!
//! An *atom* is the text of one block, or the path of one file. For each the oracle knows
//!   l   its state in the guest that the host took last: what was shipped, then what landed
//!   sh  what was shipped
//!   x   its state in the base that was asked for. What the host shipped is not the worker's work: the prepared head,
//!       and any older commit of the guest's history, is read as what was shipped; a later one as that commit with the
//!       edits that were shipped uncommitted, where it has not touched them
//!   s   its state in the guest now, and h on the host now.
//!
//! An atom is asked for when the pathspecs choose its file, s is not l, and either s is not x (changed since the base) or
//! s is sh (what landed is taken back). Then h becomes s when h is l, s or x; else the pull is refused, and nothing
//! changes. Where it is not asked for nothing changes. A file is deleted where all of it is l or x; an edit of one that
//! was deleted is refused. *Soft*: the change rests on commits that are not here; to land and to refuse are both right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Random, Step, play_all};
use crate::support::guest::{TestGuest, VM};
use crate::support::host::Host;
use crate::support::write_program;

/// How many sequences there are, if nothing says otherwise, and the steps of each.
const SEQUENCES: u64 = 8;
const STEPS: usize = 25;
const BLOCKS: usize = 8;

/// A path, and the text of each block.
type File = [String; BLOCKS + 1];
/// Files by what they descend from.
type State = BTreeMap<String, File>;

#[test]
fn every_pull_brings_what_its_blocks_say() {
    let tally = [const { AtomicU64::new(0) }; 4];
    let none = || [const { AtomicU64::new(0) }; 4];
    play_all(SEQUENCES, STEPS, &[1; KINDS.len()], |seed, steps, is_first| {
        if is_first { play(seed, steps, &tally) } else { play(seed, steps, &none()) }
    });
    let [landed, refused, soft, honest] = tally.map(AtomicU64::into_inner);
    println!("{landed} landed, {refused} refused as they must, {soft} as they may, {honest} that could have landed");
    // To refuse what could land is honest, and no loss; but it must be rare.
    assert!(honest <= 2 + (landed + refused) / 20, "{honest} pulls of {landed} were refused that could have landed");
}

/// What a kind of step does; it returns what is to be said of it.
type Does = fn(&mut World, &mut Random) -> Option<String>;

/// What both sides do; some more often than others.
const KINDS: [Does; 56] = {
    let mut kinds: [Does; 56] = [World::pull; 56];
    let rest: [(usize, Does); 15] = [
        (10, World::guest_edits),
        (4, World::guest_puts_back),
        (3, World::guest_repeats),
        (6, World::guest_commits),
        (2, World::guest_amends),
        (2, World::guest_resets_softly),
        (1, World::guest_resets),
        (2, World::guest_reverts),
        (2, World::guest_deletes),
        (2, World::guest_adds),
        (2, World::guest_renames),
        (5, World::host_edits),
        (2, World::host_commits),
        (1, World::host_discards),
        (1, World::host_renames),
    ];
    let (mut at, mut which) = (0, 0);
    while which < rest.len() {
        let mut count = 0;
        while count < rest[which].0 {
            kinds[at] = rest[which].1;
            at += 1;
            count += 1;
        }
        which += 1;
    }
    kinds
};

fn play(seed: u64, steps: &[Step], tally: &[AtomicU64; 4]) -> Result<(), String> {
    let mut world = World::new(seed);
    for (kind, seed) in steps {
        let said = KINDS[*kind](&mut world, &mut Random(*seed));
        world.log.extend(said);
        if let Some(wrong) = world.wrong.take() {
            return Err(format!("{}\n{wrong}", world.log.join("\n")));
        }
        if world.is_over {
            break;
        }
    }
    if !world.is_over
        && let Some(wrong) = world.status()
    {
        return Err(format!("{}\n{wrong}", world.log.join("\n")));
    }
    for (sum, count) in tally.iter().zip(world.tally) {
        sum.fetch_add(count, Ordering::Relaxed);
    }
    Ok(())
}

/// A commit as the oracle knows it.
#[derive(Clone)]
struct Commit {
    state: State,
    /// All commits that it comes from.
    from: BTreeSet<String>,
    parent: Option<String>,
    is_guests: bool,
}

struct World {
    guest: TestGuest,
    host: Host,
    log: Vec<String>,
    wrong: Option<String>,
    /// The oracle cannot tell what is right from here on.
    is_over: bool,
    tally: [u64; 4],
    commits: HashMap<String, Commit>,
    prepared: String,
    guest_head: String,
    host_head: State,
    guest_files: State,
    host_files: State,
    shipped: State,
    taken: State,
    /// What a file of the host's holds besides, which its filter strips.
    outputs: BTreeMap<String, [String; BLOCKS]>,
    /// Texts that the worker has used for a block.
    used: Vec<(String, usize, String)>,
}

/// What files descend from, and how their names end, which says how they are converted.
const FILES: [(&str, &str); 10] = [
    ("f0", "txt"),
    // Line ends by attribute.
    ("f1", "crlf"),
    // CRLF in git's own content, beside 'text=auto'.
    ("f2", "auto"),
    // The host's filters: one that strips lines, one that changes each, one that never does the same twice.
    ("f3", "strip"),
    ("f4", "rot"),
    ("f5", "salt"),
    // A name that is used where filters work.
    ("again", "strip"),
    ("n0", "txt"),
    ("n1", "crlf"),
    ("n2", "strip"),
];

fn kind(ident: &str) -> &'static str {
    FILES.iter().find(|(name, _)| *name == ident).unwrap().1
}

/// Returns the lines of a file as its content is meant.
fn lines_of(ident: &str, file: &File, outputs: Option<&[String; BLOCKS]>) -> String {
    let mut text = String::new();
    for block in 0..BLOCKS {
        for line in 0..5 {
            text.push_str(&format!("{ident} part {block} line {line} of its own {ident}{ident}{block}{line}\n"));
            if let Some(output) = outputs.filter(|outputs| line == 2 && !outputs[block].is_empty()) {
                text.push_str(&format!("out: {}\n", output[block]));
            }
        }
        text.push_str(&format!("value {}\n", file[block + 1]));
    }
    (0..4).for_each(|line| text.push_str(&format!("{ident} end {line}\n")));
    text
}

fn rot(text: &str) -> String {
    let turn = |c: char, first: u8| char::from((c as u8 - first + 13) % 26 + first);
    let turned = |c: char| match c {
        'a'..='z' => turn(c, b'a'),
        'A'..='Z' => turn(c, b'A'),
        c => c,
    };
    text.chars().map(turned).collect()
}

/// Returns the lines as the host's disk has them.
fn on_host(ident: &str, text: &str) -> String {
    match kind(ident) {
        "crlf" | "auto" => text.replace('\n', "\r\n"),
        _ => text.to_owned(),
    }
}

/// Returns the lines as the guest's disk has them, where no filter is.
fn on_guest(ident: &str, text: &str) -> String {
    match kind(ident) {
        "rot" => rot(text),
        "salt" => format!("salt of the guest\n{text}"),
        _ => on_host(ident, text),
    }
}

impl World {
    fn new(seed: u64) -> World {
        let guest = TestGuest::russh();
        let host = Host::empty(&guest);
        let filters = host.path("filters");
        for (name, clean, smudge) in [
            ("strip", "sed '/^out: /d'", "cat"),
            ("rot", "tr a-zA-Z n-za-mN-ZA-M", "tr a-zA-Z n-za-mN-ZA-M"),
            ("salt", "echo \"salt $(od -An -N8 -tx8 </dev/urandom)\"; cat", "sed 1d"),
        ] {
            for (way, text) in [("clean", clean), ("smudge", smudge)] {
                let program = filters.join(format!("{name}-{way}"));
                write_program(&program, &format!("#!/bin/sh\n{text}\n"));
                host.git(&["config", &format!("filter.{name}.{way}"), program.to_str().unwrap()]);
            }
            host.git(&["config", &format!("filter.{name}.required"), "true"]);
        }
        let mut world = World {
            guest,
            host,
            log: Vec::new(),
            wrong: None,
            is_over: false,
            tally: [0; 4],
            commits: HashMap::new(),
            prepared: String::new(),
            guest_head: String::new(),
            host_head: State::new(),
            guest_files: State::new(),
            host_files: State::new(),
            shipped: State::new(),
            taken: State::new(),
            outputs: BTreeMap::new(),
            used: Vec::new(),
        };
        // CRLF gets into git before there are attributes.
        let make = |(ident, kind): (&str, &str)| {
            let mut file: File = [const { String::new() }; BLOCKS + 1].map(|_: String| "o".to_owned());
            file[0] = if ident == "again" { ident.to_owned() } else { format!("{ident}.{kind}") };
            (ident.to_owned(), file)
        };
        world.host_files =
            FILES.into_iter().filter(|(ident, _)| !ident.starts_with('n') && *ident != "f0").map(make).collect();
        world.write_host();
        world.host_commits(&mut Random(0));
        let attributes = "*.crlf text eol=crlf\n*.auto text=auto\n*.strip filter=strip\nagain* filter=strip\n\
             *.rot filter=rot\n*.salt filter=salt\n";
        world.host.write(".gitattributes", attributes);
        world.host_files.extend([make(FILES[0])]);
        for (ident, _) in FILES.iter().filter(|(_, kind)| !matches!(*kind, "txt" | "auto")) {
            // git looks again at a file that a new attribute is about.
            if let Some(file) = world.host_files.get(*ident) {
                world.host.git(&["rm", "-q", "--cached", &file[0]]);
            }
        }
        world.write_host();
        world.host_commits(&mut Random(0));
        for ident in ["f0", "f1", "f3", "f4", "f5"] {
            world.host_files.get_mut(ident).unwrap()[1] = "h1".to_owned();
        }
        world.write_host();
        world.host_commits(&mut Random(0));
        // Edits that are shipped uncommitted.
        let mut random = Random(seed ^ 0xfeed);
        for _ in 0..random.below(3) {
            let said = world.host_edits(&mut random);
            world.log.extend(said);
        }
        world.host.prepare();
        world.prepared = world.host.git(&["rev-parse", "HEAD"]);
        world.guest_head.clone_from(&world.prepared);
        world.guest_files.clone_from(&world.host_files);
        world.shipped.clone_from(&world.host_files);
        world.taken.clone_from(&world.host_files);
        world
    }

    /// Writes those of the host's files that are not as they are to be.
    fn write_host(&self) {
        for (ident, file) in &self.host_files {
            let text = self.expected(ident, file);
            if fs::read_to_string(self.host.file(&file[0])).ok().as_ref() != Some(&text) {
                self.host.write(&file[0], text);
            }
        }
    }

    /// Returns what the host's disk is to have of a file.
    fn expected(&self, ident: &str, file: &File) -> String {
        on_host(ident, &lines_of(ident, file, self.outputs.get(ident)))
    }

    /// Tells how the host's files differ from what they are to be.
    fn differs(&self, files: &State) -> Option<String> {
        let mut expected: BTreeMap<String, String> =
            files.iter().map(|(ident, file)| (file[0].clone(), self.expected(ident, file))).collect();
        let mut wrong = Vec::new();
        for entry in fs::read_dir(self.host.repo()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == ".git" || name == ".gitattributes" {
                continue;
            }
            let text = fs::read_to_string(self.host.file(&name)).unwrap();
            match expected.remove(&name) {
                None => wrong.push(format!("'{name}' is there: {}", values(&text))),
                Some(wanted) if wanted == text => {}
                Some(wanted) if values(&wanted) == values(&text) => {
                    wrong.push(format!("'{name}' has other bytes: {text:?}"))
                }
                Some(wanted) => {
                    wrong.push(format!("'{name}' is to have {}, and has {}", values(&wanted), values(&text)))
                }
            }
        }
        wrong.extend(expected.keys().map(|name| format!("'{name}' is gone")));
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }

    /// Fails unless the guest's files are what the oracle takes them for.
    fn check_guest(&self) {
        for (ident, file) in &self.guest_files {
            let text = fs::read_to_string(self.guest.file(&file[0])).unwrap();
            let text = if kind(ident) == "rot" { rot(&text) } else { text };
            let expected = on_guest(ident, &lines_of(ident, file, None));
            let expected = if kind(ident) == "rot" { rot(&expected) } else { expected };
            assert_eq!(values(&text), values(&expected), "{ident} in the guest");
        }
    }

    /// Writes a block of the guest's, whatever else its file holds.
    fn write_guest(&mut self, ident: &str, block: usize, text: &str) {
        let file = self.guest_files.get_mut(ident).unwrap();
        let path = self.guest.file(&file[0]);
        let old = fs::read_to_string(&path).unwrap();
        text.clone_into(&mut file[block]);
        let word = on_guest_word(ident, "value ");
        let end = if old.contains("\r\n") { "\r" } else { "" };
        let mut number = 0;
        let new = old.split('\n').map(|line| {
            number += usize::from(line.starts_with(&word));
            match line.starts_with(&word) && number == block {
                true => format!("{word}{}{end}", on_guest_word(ident, text)),
                false => line.to_owned(),
            }
        });
        fs::write(&path, new.collect::<Vec<_>>().join("\n")).unwrap();
    }

    fn some(&self, random: &mut Random, files: &State) -> Option<String> {
        let idents: Vec<_> = files.keys().cloned().collect();
        (!idents.is_empty()).then(|| idents[random.below(idents.len())].clone())
    }

    fn guest_edits(&mut self, random: &mut Random) -> Option<String> {
        let ident = self.some(random, &self.guest_files)?;
        let (block, text) = (1 + random.below(3), format!("g{}", random.below(1000)));
        self.write_guest(&ident, block, &text);
        self.used.push((ident.clone(), block, text.clone()));
        Some(format!("guest: edit {ident}.{block} = {text}"))
    }

    fn guest_puts_back(&mut self, random: &mut Random) -> Option<String> {
        let ident = self.some(random, &self.guest_files)?;
        let block = 1 + random.below(3);
        let from = match random.below(3) {
            0 => &self.commits[&self.guest_head].state,
            1 => &self.shipped,
            _ => &self.commits[&self.prepared].state,
        };
        let text = from.get(&ident)?[block].clone();
        self.write_guest(&ident, block, &text);
        Some(format!("guest: put {ident}.{block} back to {text}"))
    }

    fn guest_repeats(&mut self, random: &mut Random) -> Option<String> {
        if self.used.is_empty() {
            return None;
        }
        let (ident, block, text) = self.used[random.below(self.used.len())].clone();
        self.guest_files.get(&ident)?;
        self.write_guest(&ident, block, &text);
        Some(format!("guest: edit {ident}.{block} = {text} again"))
    }

    fn guest_commit(&mut self, args: &[&str], parent: Option<String>) -> String {
        self.guest.git(&["add", "-A"]);
        self.guest.git(&[&["commit", "-q", "-m", "by the worker"], args].concat());
        let id = self.guest.git(&["rev-parse", "HEAD"]);
        let mut from = parent.as_ref().map(|parent| self.commits[parent].from.clone()).unwrap_or_default();
        from.extend(parent.clone());
        let commit = Commit { state: self.guest_files.clone(), from, parent, is_guests: true };
        self.commits.insert(id.clone(), commit);
        self.guest_head.clone_from(&id);
        id[..7].to_owned()
    }

    fn is_clean(&self) -> bool {
        self.guest_files == self.commits[&self.guest_head].state
    }

    fn guest_commits(&mut self, _: &mut Random) -> Option<String> {
        if self.is_clean() {
            return None;
        }
        let id = self.guest_commit(&["--allow-empty"], Some(self.guest_head.clone()));
        Some(format!("guest: commit -a ({id})"))
    }

    fn guest_amends(&mut self, random: &mut Random) -> Option<String> {
        let Commit { is_guests: true, parent, .. } = self.commits[&self.guest_head].clone() else { return None };
        // Else the same commit could come again.
        let message = format!("amended {}", random.next());
        let id = self.guest_commit(&["--amend", "--allow-empty", "-m", &message], parent);
        Some(format!("guest: commit -a --amend ({id})"))
    }

    fn guest_resets_softly(&mut self, _: &mut Random) -> Option<String> {
        let Commit { is_guests: true, parent: Some(parent), .. } = self.commits[&self.guest_head].clone() else {
            return None;
        };
        self.guest.git(&["reset", "-q", "--soft", &parent]);
        self.guest_head = parent;
        Some(format!("guest: reset --soft HEAD~1 ({})", &self.guest_head[..7]))
    }

    fn guest_resets(&mut self, random: &mut Random) -> Option<String> {
        let commit = &self.commits[&self.guest_head];
        let back = random.below(2) == 1 && commit.is_guests;
        let target = if back { commit.parent.clone()? } else { self.guest_head.clone() };
        self.guest.git(&["add", "-A"]);
        self.guest.git(&["reset", "-q", "--hard", &target]);
        self.guest_files.clone_from(&self.commits[&target].state);
        self.guest_head = target;
        Some(format!("guest: reset --hard {}", &self.guest_head[..7]))
    }

    fn guest_reverts(&mut self, _: &mut Random) -> Option<String> {
        let Commit { is_guests: true, parent: Some(parent), .. } = self.commits[&self.guest_head].clone() else {
            return None;
        };
        if !self.is_clean() {
            return None;
        }
        self.guest.git(&["read-tree", "-u", "--reset", &parent]);
        self.guest_files = self.commits[&parent].state.clone();
        let id = self.guest_commit(&["--allow-empty"], Some(self.guest_head.clone()));
        Some(format!("guest: revert HEAD ({id})"))
    }

    fn guest_deletes(&mut self, random: &mut Random) -> Option<String> {
        let ident = self.some(random, &self.guest_files)?;
        let file = self.guest_files.remove(&ident)?;
        fs::remove_file(self.guest.file(&file[0])).unwrap();
        Some(format!("guest: rm {}", file[0]))
    }

    fn guest_adds(&mut self, random: &mut Random) -> Option<String> {
        let (ident, kind) = FILES[7 + random.below(3)];
        if self.guest_files.contains_key(ident) {
            return None;
        }
        let text = format!("a{}", random.below(9));
        let mut file: File = [const { String::new() }; BLOCKS + 1].map(|_: String| text.clone());
        file[0] = format!("{ident}.{kind}");
        self.guest.write(&file[0], on_guest(ident, &lines_of(ident, &file, None)));
        self.guest_files.insert(ident.to_owned(), file);
        Some(format!("guest: new {ident}.{kind} of {text}"))
    }

    fn guest_renames(&mut self, random: &mut Random) -> Option<String> {
        let ident = self.some(random, &self.guest_files)?;
        // git writes a renamed file with other line ends, and for that it is no rename of this kind.
        if kind(&ident) == "auto" {
            return None;
        }
        let file = self.guest_files.get_mut(&ident)?;
        let new = format!("{ident}_{}.{}", random.below(9), kind(&ident));
        fs::rename(self.guest.file(&file[0]), self.guest.file(&new)).unwrap();
        let old = std::mem::replace(&mut file[0], new);
        Some(format!("guest: mv {old} {}", file[0]))
    }

    fn host_edits(&mut self, random: &mut Random) -> Option<String> {
        let ident = self.some(random, &self.host_files)?;
        let text = format!("h{}", random.below(1000));
        let said = if kind(&ident) == "strip" && random.below(2) == 0 {
            let block = random.below(BLOCKS);
            self.outputs.entry(ident.clone()).or_default()[block] = text.clone();
            format!("host: output {ident}.{block} = {text}")
        } else {
            let block = 1 + if random.below(3) == 0 { random.below(3) } else { 3 + random.below(BLOCKS - 3) };
            text.clone_into(&mut self.host_files.get_mut(&ident)?[block]);
            format!("host: edit {ident}.{block} = {text}")
        };
        self.write_host();
        Some(said)
    }

    fn host_commits(&mut self, _: &mut Random) -> Option<String> {
        if self.host_files == self.host_head {
            return None;
        }
        let parent = (!self.commits.is_empty()).then(|| self.host.git(&["rev-parse", "HEAD"]));
        self.host.commit("by the host");
        let id = self.host.git(&["rev-parse", "HEAD"]);
        let known = parent.as_ref().and_then(|parent| self.commits.get(parent));
        let mut from = known.map(|parent| parent.from.clone()).unwrap_or_default();
        from.extend(parent.clone());
        self.host_head.clone_from(&self.host_files);
        if self.prepared.is_empty() {
            let commit = Commit { state: self.host_files.clone(), from, parent, is_guests: false };
            self.commits.insert(id.clone(), commit);
        }
        Some(format!("host: commit -a ({})", &id[..7]))
    }

    fn host_discards(&mut self, _: &mut Random) -> Option<String> {
        self.host.git(&["add", "-A"]);
        self.host.git(&["reset", "-q", "--hard", "HEAD"]);
        self.host_files.clone_from(&self.host_head);
        // What a filter strips is gone where git has written the file.
        let gone = |(ident, _): &(&String, &mut [String; BLOCKS])| {
            let path = self.host_files.get(*ident).map(|file| self.host.file(&file[0]));
            path.is_none_or(|path| !fs::read_to_string(path).unwrap().contains("\nout: "))
        };
        let gone: Vec<String> = self.outputs.iter_mut().filter(gone).map(|(ident, _)| ident.clone()).collect();
        self.outputs.retain(|ident, _| !gone.contains(ident));
        Some("host: reset --hard".to_owned())
    }

    fn host_renames(&mut self, random: &mut Random) -> Option<String> {
        let ident = self.some(random, &self.host_files)?;
        if kind(&ident) == "auto" {
            return None;
        }
        let new = format!("{ident}_{}.{}", 10 + random.below(9), kind(&ident));
        let old = self.host_files[&ident][0].clone();
        if old == new {
            return None;
        }
        fs::rename(self.host.file(&old), self.host.file(&new)).unwrap();
        // Where git knows it, the new place need not be guessed.
        let is_told = random.below(4) > 0;
        if is_told {
            self.host.git(&["rm", "-q", "--cached", "--ignore-unmatch", "--", &old]);
            self.host.git(&["add", "--", &new]);
        }
        self.host_files.get_mut(&ident)?[0].clone_from(&new);
        Some(format!("host: mv {old} {new}, told git: {is_told}"))
    }

    fn pull(&mut self, random: &mut Random) -> Option<String> {
        let history = self.commits[&self.guest_head].from.clone();
        let (base, shown) = match random.below(6) {
            0 | 1 => (self.guest_head.clone(), "HEAD".to_owned()),
            2 => {
                let mut line: Vec<_> = history.iter().chain([&self.guest_head]).cloned().collect();
                // Ids differ from run to run, and this choice must not.
                line.sort_by_key(|id| self.commits[id].from.len());
                line.retain(|id| self.commits[id].is_guests || *id == self.prepared);
                let id = line[random.below(line.len())].clone();
                (id.clone(), id)
            }
            3 => {
                let mut old: Vec<_> = self.commits[&self.prepared].from.iter().cloned().collect();
                old.sort_by_key(|id| self.commits[id].from.len());
                let id = old[random.below(old.len())].clone();
                (id.clone(), id)
            }
            _ => (self.prepared.clone(), "HEAD@prepare".to_owned()),
        };
        let all: BTreeSet<&String> = self.guest_files.keys().chain(self.taken.keys()).collect();
        let all: Vec<_> = all.into_iter().cloned().collect();
        let chosen = (random.below(3) == 0 && all.len() > 2).then(|| {
            let first = random.below(all.len());
            BTreeSet::from([all[first].clone(), all[(first + 1 + random.below(all.len() - 1)) % all.len()].clone()])
        });
        let mut args = vec!["pull".to_owned(), VM.to_owned(), "--base-commit".to_owned(), shown];
        if let Some(chosen) = &chosen {
            args.push("--".to_owned());
            args.extend(chosen.iter().map(|ident| format!("{ident}*")));
        }
        let said = args[3..].join(" ");
        let Some(wanted) = self.wanted(&base, chosen.as_ref()) else {
            self.is_over = true;
            return Some(format!("pull {said}: nobody can tell what is right"));
        };
        self.check_guest();
        let (standing, files) = (self.host.standing(), self.host.files_but(&[]));
        let ran = self.host.run(&args);
        standing.assert_same(&self.host.standing());
        let told = format!("pull {said}: exit {:?}\n{}{}", ran.code, ran.stdout, ran.stderr);
        let lands = match (&wanted, ran.code) {
            (Wanted::Lands { .. }, Some(0)) => true,
            (Wanted::Lands { is_soft, .. }, Some(1)) => {
                self.tally[if *is_soft { 2 } else { 3 }] += 1;
                if !is_soft && std::env::var_os("GIT_BANGER_TEST_HONEST").is_some() {
                    println!("{}\n{told}\n", self.log.join("\n"));
                }
                false
            }
            (Wanted::Refused(_), Some(1)) => {
                self.tally[1] += 1;
                false
            }
            (Wanted::Refused(why), _) => {
                self.wrong = Some(format!("to be refused, for {why:?}\n{told}"));
                return None;
            }
            _ => {
                self.wrong = Some(told);
                return None;
            }
        };
        match (lands, wanted) {
            (true, Wanted::Lands { host, taken, .. }) => {
                self.tally[0] += 1;
                self.outputs.retain(|ident, _| host.contains_key(ident));
                self.wrong = self.differs(&host).map(|wrong| format!("{told}\n{wrong}"));
                (self.host_files, self.taken) = (host, taken);
            }
            _ => files.assert_same(&self.host.files_but(&[])),
        }
        if self.wrong.is_none() && random.below(3) == 0 {
            self.wrong = self.status().map(|wrong| format!("{told}\n{wrong}"));
        }
        Some(told)
    }

    /// Asks what is left in the guest, and tells how that is not what the oracle says.
    fn status(&self) -> Option<String> {
        let ran = self.host.run(&["status", VM, "--exit-code", "--json"]);
        let told = format!("status: exit {:?}\n{}{}", ran.code, ran.stdout, ran.stderr);
        let Ok(status) = serde_json::from_str::<serde_json::Value>(&ran.stdout) else { return Some(told) };
        let (Some(thrown_away), Some(files)) = (status["thrown_away"].as_u64(), status["files"].as_array()) else {
            return Some(told);
        };
        // Files that are as they were shipped, and not as they have landed, where nothing else can be meant.
        let is_gone = |ident: &&String| {
            let [here, shipped, taken] = [&self.host_files, &self.shipped, &self.taken].map(|state| state.get(*ident));
            let plain = kind(ident) == "txt"
                && [shipped, taken].iter().all(|file| file.is_some_and(|it| it[0] == format!("{ident}.txt")));
            plain && here == shipped && shipped != taken
        };
        let gone = self.host_files.keys().filter(is_gone).count() as u64;
        let has_landed = self.taken == self.guest_files;
        let is_right = files.is_empty() == has_landed
            && thrown_away >= gone
            && ran.code == Some(i32::from(!has_landed || thrown_away > 0));
        (!is_right).then(|| format!("all has landed: {has_landed}, {gone} and more files are no longer here\n{told}"))
    }

    /// Returns the base as it is read.
    fn read_base(&self, base: &str) -> State {
        let with = |id: &String| self.commits[id].from.iter().chain([id]).cloned().collect::<BTreeSet<_>>();
        let (ours, theirs) = (with(&self.prepared), with(&self.guest_head));
        let fork = ours.intersection(&theirs).max_by_key(|id| self.commits[*id].from.len()).unwrap();
        let base = if self.commits[fork].from.contains(base) { fork.as_str() } else { base };
        if base == self.prepared {
            return self.shipped.clone();
        }
        let mut read = self.commits[base].state.clone();
        let head = &self.commits[&self.prepared].state;
        let idents: BTreeSet<String> = self.shipped.keys().chain(head.keys()).chain(read.keys()).cloned().collect();
        for ident in idents {
            let (was, shipped) = (head.get(&ident), self.shipped.get(&ident));
            match (was, shipped, read.get(&ident).cloned()) {
                (was, shipped, _) if was == shipped => {}
                (None, Some(shipped), None) => drop(read.insert(ident, shipped.clone())),
                (was, None, now) if was == now.as_ref() => drop(read.remove(&ident)),
                (Some(was), Some(shipped), Some(mut now)) => {
                    for atom in 0..=BLOCKS {
                        if now[atom] == was[atom] {
                            now[atom].clone_from(&shipped[atom]);
                        }
                    }
                    read.insert(ident, now);
                }
                _ => {}
            }
        }
        read
    }

    /// Returns what a pull must do; `None` where nobody can tell.
    fn wanted(&self, base: &str, chosen: Option<&BTreeSet<String>>) -> Option<Wanted> {
        let base = self.read_base(base);
        let (mut host, mut taken) = (self.host_files.clone(), self.taken.clone());
        let (mut bad, mut is_soft) = (Vec::new(), false);
        let states = [&host, &taken, &base, &self.guest_files, &self.shipped];
        let idents: BTreeSet<String> = states.into_iter().flat_map(State::keys).cloned().collect();
        for ident in idents.into_iter().filter(|ident| chosen.is_none_or(|chosen| chosen.contains(ident))) {
            let get = |state: &State| state.get(&ident).cloned();
            let (l, b, h, s, x) =
                (get(&self.taken), get(&self.shipped), get(&self.host_files), get(&self.guest_files), get(&base));
            if s == l {
                // As agreed; but where the base differs, what was committed was given up since.
                if x == s || x == b {
                    continue;
                }
                match (&x, &s, h) {
                    (None, _, None) => return None,
                    (Some(_), None, h) if h == x => drop(host.remove(&ident)),
                    (Some(_), None, Some(_)) => return None,
                    (Some(x), Some(s), Some(mut h)) => {
                        for atom in 0..=BLOCKS {
                            let shipped = b.as_ref().map(|b| &b[atom]);
                            if x[atom] != s[atom] && Some(&x[atom]) != shipped && h[atom] == x[atom] {
                                h[atom].clone_from(&s[atom]);
                            }
                        }
                        host.insert(ident, h);
                    }
                    _ => {}
                }
                continue;
            }
            match (s, l) {
                (None, l) => {
                    if x.is_none() && b.is_some() {
                        continue;
                    }
                    is_soft |= x.is_some() && x != l;
                    let is_renamed = |h: &File, l: &File| h[0] != l[0];
                    if h.as_ref().zip(l.as_ref()).is_some_and(|(h, l)| is_renamed(h, l)) {
                        // What was renamed here and deleted there stays, if the deletion is not refused.
                        is_soft = true;
                        taken.remove(&ident);
                    } else if h.is_none() || h == l || (x.is_some() && h == x && x != b) {
                        host.remove(&ident);
                        taken.remove(&ident);
                    } else {
                        bad.push(ident);
                    }
                }
                (Some(s), None) => {
                    let is_plain = x.is_none() || (x == b && x.as_ref() != Some(&s));
                    let is_back = x.as_ref() == Some(&s) && b.as_ref() == Some(&s);
                    if is_plain || is_back {
                        if h.is_none() || h.as_ref() == Some(&s) {
                            host.insert(ident.clone(), s.clone());
                            taken.insert(ident, s);
                        } else {
                            bad.push(ident);
                        }
                    } else if x.as_ref() == Some(&s) {
                        continue;
                    } else if let (Some(mut h), Some(x)) = (h.clone(), &x) {
                        for atom in 0..=BLOCKS {
                            if s[atom] == x[atom] {
                            } else if h[atom] == x[atom] || h[atom] == s[atom] {
                                h[atom].clone_from(&s[atom]);
                            } else {
                                bad.push(format!("{ident}.{atom}"));
                            }
                        }
                        host.insert(ident.clone(), h);
                        taken.insert(ident, s);
                    } else {
                        is_soft = true;
                        if b.is_none() {
                            host.insert(ident.clone(), s.clone());
                            taken.insert(ident, s);
                        } else {
                            bad.push(ident);
                        }
                    }
                }
                (Some(s), Some(l)) => {
                    let (mut new, mut agreed) = (h.clone(), l.clone());
                    for atom in 0..=BLOCKS {
                        let (shipped, x) = (b.as_ref().map(|b| &b[atom]), x.as_ref().map(|x| &x[atom]));
                        let here = h.as_ref().map(|h| &h[atom]);
                        let now = Some(&s[atom]);
                        let is_asked = s[atom] != l[atom] && (now != x || now == shipped);
                        if !is_asked {
                            let is_given_up =
                                s[atom] == l[atom] && x.is_some() && x != now && x != shipped && here == x;
                            if let Some(new) = new.as_mut().filter(|_| is_given_up) {
                                new[atom].clone_from(&s[atom]);
                            }
                            continue;
                        }
                        is_soft |= x.is_none() && Some(&l) == b.as_ref();
                        let Some(here) = here else {
                            bad.push(format!("{ident}.{atom}"));
                            continue;
                        };
                        if *here == l[atom] || *here == s[atom] || (Some(here) == x && x != shipped) {
                            is_soft |= x.is_some() && x != Some(&l[atom]) && *here == l[atom];
                            if let Some(new) = &mut new {
                                new[atom].clone_from(&s[atom]);
                            }
                            agreed[atom].clone_from(&s[atom]);
                        } else {
                            bad.push(format!("{ident}.{atom}"));
                            is_soft = true;
                        }
                    }
                    if let Some(new) = new {
                        host.insert(ident.clone(), new);
                    }
                    taken.insert(ident, agreed);
                }
            }
        }
        Some(if bad.is_empty() { Wanted::Lands { host, taken, is_soft } } else { Wanted::Refused(bad) })
    }
}

/// What a pull must do.
enum Wanted {
    Lands { host: State, taken: State, is_soft: bool },
    Refused(Vec<String>),
}

/// Returns a word as the guest's disk has it.
fn on_guest_word(ident: &str, word: &str) -> String {
    if kind(ident) == "rot" { rot(word) } else { word.to_owned() }
}

/// Returns the blocks of a file, for people.
fn values(text: &str) -> String {
    let values: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("value ")).collect();
    let outputs = text.lines().filter(|line| line.starts_with("out: ")).count();
    format!("{} and {outputs} outputs", values.join(","))
}
