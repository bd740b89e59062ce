//! What is recorded about a guest, as refs that are each working copy's own: `refs/banger/<working copy>/<vm>/` with
//! `prepare`, `baseline`, `snapshot`, and `landings/<n>`; `rescued/<time>` for work that a prepare was told to leave, and
//! `coming` while a prepare is under way.
//!
//! Two working copies of one repository, worktrees or jj workspaces, never see or move each other's. The refs are shared
//! ones all the same: what `refs/worktree` holds, a gc in another worktree throws away.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use super::Repo;
use super::landing::record::Landing;
use crate::error::{Context, Error, Result};
use crate::snapshot::Oid;

/// What is recorded about one guest.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The guest's name.
    pub vm: String,
    /// The head that the last prepare shipped.
    pub prepare: Option<Oid>,
    /// The tree that the guest's files got then, as a commit on that head.
    pub baseline: Option<Oid>,
    /// The tree of the baseline.
    pub baseline_tree: Option<Oid>,
    /// Where the workspace is in the guest.
    pub path: Option<String>,
    /// When it was prepared, as ISO 8601 has it.
    pub prepared_at: Option<String>,
    /// What was fetched last.
    pub snapshot: Option<Oid>,
    /// The baseline of a prepare whose end was not seen: the guest may have it already.
    pub coming: Option<Oid>,
    /// The landings of its work in this working copy that are recorded.
    pub landings: Vec<Landing>,
    /// The highest number of a landing in this working copy, of any guest's work.
    pub highest: u64,
    /// The baseline's tree is not the head's: edits or untracked files were shipped beside it.
    pub shipped_edits: bool,
    /// When they were read; never, if they were not.
    pub read: Option<SystemTime>,
}

/// A ref of ours.
struct Ref {
    /// Its name below the prefix of the working copy.
    name: String,
    id: String,
    tree: String,
    /// When it was committed, as ISO 8601 has it.
    time: String,
    message: String,
}

impl Repo {
    /// Returns the ref that records something about a guest.
    ///
    /// # Errors
    /// When jj cannot tell which workspace this is.
    pub fn vm_ref(&self, vm: &str, kind: &str) -> Result<String> {
        Ok(format!("{}{kind}", self.prefix_of(vm)?))
    }

    /// Returns the prefix of the refs that are this working copy's own.
    fn prefix(&self) -> Result<String> {
        Ok(format!("{ROOT}{}/", encode(&self.vcs.name(self)?)))
    }

    /// Returns the prefix of those of them that are about one guest.
    pub(super) fn prefix_of(&self, vm: &str) -> Result<String> {
        Ok(format!("{}{}/", self.prefix()?, encode(vm)))
    }

    /// Lists refs of this working copy by patterns below its prefix.
    fn own_refs(&self, patterns: &[&str]) -> Result<Vec<Ref>> {
        let prefix = self.prefix()?;
        // NAME SP OBJECT SP TREE SP TIME LF MESSAGE NUL; a user's message need not be UTF-8.
        let format = "--format=%(refname) %(objectname) %(tree) %(committerdate:iso-strict)%0a%(contents)%00";
        let patterns = patterns.iter().map(|pattern| format!("{prefix}{pattern}"));
        let list = self.git.call(["for-each-ref", format]).args(patterns).stdout()?;
        let mut refs = Vec::new();
        for entry in list.split(|&byte| byte == 0) {
            let text = String::from_utf8_lossy(entry.trim_ascii_start()).into_owned();
            let (line, message) = text.split_once('\n').unwrap_or((&text, ""));
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            let (name, id, tree, time) = (word(), word(), word(), word());
            if let Some(name) = name.strip_prefix(&prefix) {
                refs.push(Ref { name: name.to_owned(), id, tree, time, message: message.to_owned() });
            }
        }
        if !refs.is_empty() && self.is_new() {
            // They are of a worktree, or a workspace, of the same name that is gone.
            let all = self.git.line(["for-each-ref", "--format=delete %(refname)", &prefix])?;
            self.update(all.lines().filter(|line| !is_rescued(line)).map(|line| format!("{line}\n")).collect())?;
            return Ok(Vec::new());
        }
        Ok(refs)
    }

    /// Tells whether nothing was ever recorded in this working copy. The main worktree is as old as its repository.
    fn is_new(&self) -> bool {
        let is_main = self.vcs.extras().is_none() && self.git_dir == self.common_dir;
        !is_main && !self.vcs.own_folder(self).join(OWN).exists()
    }

    /// Returns what is recorded about a guest.
    ///
    /// # Errors
    /// When a record is damaged, or git cannot be run.
    pub fn records(&self, vm: &str) -> Result<Records> {
        let own = format!("{}/", encode(vm));
        let read = Some(SystemTime::now());
        let mut refs = self.own_refs(&[&own, "*/landings/*"])?;
        if !refs.iter().any(|found| found.name == format!("{own}prepare")) && self.take_over(vm)? {
            refs = self.own_refs(&[&own, "*/landings/*"])?;
        }
        let mut records = Records { vm: vm.to_owned(), read, ..Records::default() };
        let mut prepared_tree = None;
        for Ref { name, id, tree, time, message } in refs {
            let landing = Landing::parse(&name, &id, &time, &message);
            records.highest = records.highest.max(landing.as_ref().map_or(0, |landing| landing.number));
            records.landings.extend(landing.filter(|landing| landing.vm == vm));
            match name.strip_prefix(&own) {
                Some("prepare") => (records.prepare, prepared_tree) = (Some(id.parse()?), Some(tree)),
                Some("baseline") => {
                    records.baseline = Some(id.parse()?);
                    records.baseline_tree = Some(tree.parse()?);
                    let path = message.lines().find_map(|line| line.strip_prefix(WORKSPACE));
                    records.path = path.and_then(|path| serde_json::from_str(path).ok());
                    records.prepared_at = Some(time);
                }
                Some("snapshot") => records.snapshot = Some(id.parse()?),
                Some("coming") => records.coming = Some(id.parse()?),
                _ => {}
            }
        }
        records.shipped_edits = records.baseline_tree.as_ref().map(Oid::as_str) != prepared_tree.as_deref();
        Ok(records)
    }

    /// Moves the records of the layout before this one, which all working copies shared, to the first that asks; tells whether
    /// there were any.
    fn take_over(&self, vm: &str) -> Result<bool> {
        let old = format!("{ROOT}{}/", encode(vm));
        let names = ["prepare", "baseline", "snapshot"].map(|kind| format!("{old}{kind}"));
        let list = self.git.call(["for-each-ref", "--format=%(refname) %(objectname)"]).args(names).stdout()?;
        let own = self.prefix_of(vm)?;
        let mut commands = String::new();
        for line in String::from_utf8_lossy(&list).lines() {
            let Some((name, id)) = line.split_once(' ') else { continue };
            let Some(kind) = name.strip_prefix(&old) else { continue };
            commands.push_str(&format!("update {own}{kind} {id}\ndelete {name} {id}\n"));
        }
        if commands.is_empty() {
            return Ok(false);
        }
        self.update(commands).map(|()| true)
    }

    /// Returns all landings in this working copy that are recorded, the newest first.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn landings(&self) -> Result<Vec<Landing>> {
        let refs = self.own_refs(&["*/landings/*"])?;
        let landing = |found: &Ref| Landing::parse(&found.name, &found.id, &found.time, &found.message);
        let mut landings: Vec<Landing> = refs.iter().filter_map(landing).collect();
        landings.sort_by_key(|landing| std::cmp::Reverse(landing.number));
        Ok(landings)
    }

    /// Records that a prepare begins: whatever becomes of it, the guest may have this baseline.
    ///
    /// # Errors
    /// When the ref cannot be written.
    pub fn announce(&self, vm: &str, baseline: &Oid) -> Result<()> {
        self.update(format!("update {} {baseline}\n", self.vm_ref(vm, "coming")?))
    }

    /// Forgets a prepare that has changed nothing in the guest.
    ///
    /// # Errors
    /// When the ref cannot be removed, or another prepare has begun since.
    pub fn withdraw(&self, vm: &str, baseline: &Oid) -> Result<()> {
        self.update(format!("delete {} {baseline}\n", self.vm_ref(vm, "coming")?))
    }

    /// Records a prepare that has begun: the head that was shipped, and the tree that the guest's files got.
    ///
    /// # Errors
    /// When the refs cannot be written, or another prepare has begun since; none is written, then.
    pub fn record(&self, vm: &str, head: &Oid, baseline: &Oid) -> Result<()> {
        let own = self.prefix_of(vm)?;
        self.update(format!(
            "update {own}prepare {head}\nupdate {own}baseline {baseline}\ndelete {own}coming {baseline}\n"
        ))
    }

    /// Records a prepare whose end was not seen, and which the guest has.
    ///
    /// # Errors
    /// As [`Repo::record`].
    pub fn adopt(&self, vm: &str, baseline: &Oid) -> Result<()> {
        let (parents, _) = self.commit_parts(baseline)?;
        let head = parents.first().ok_or_else(|| Error::bug("a baseline without a parent"))?;
        self.record(vm, head, baseline)
    }

    /// Keeps work as `rescued/<time>`, and returns the ref.
    ///
    /// # Errors
    /// When the ref cannot be written.
    pub fn rescue(&self, vm: &str, commit: &Oid) -> Result<String> {
        let name = format!("{}{}", self.vm_ref(vm, RESCUED)?, timestamp(SystemTime::now()));
        let mut free = name.clone();
        for number in 2.. {
            if self.git.maybe_oid(["rev-parse", "-q", "--verify", &free])?.is_none() {
                break;
            }
            free = format!("{name}-{number}");
        }
        self.update(format!("create {free} {commit}\n"))?;
        Ok(free)
    }

    /// Returns the refs of rescued work of a guest's, in every working copy.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn rescued(&self, vm: &str) -> Result<Vec<String>> {
        let pattern = format!("{ROOT}*/{}/{RESCUED}*", encode(vm));
        let list = self.git.line(["for-each-ref", "--format=%(refname)", &pattern])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// Runs a transaction of `git update-ref --stdin`.
    pub(super) fn update(&self, commands: String) -> Result<()> {
        let own = self.own_folder()?.join(OWN);
        if !own.exists() {
            fs::write(&own, "").context(|| format!("cannot write '{}'", own.display()))?;
        }
        self.git.call(["update-ref", "--no-deref", "--stdin"]).input(commands).stdout().map(drop)
    }

    /// Returns the guests that were prepared from this working copy, sorted.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn prepared_vms(&self) -> Result<Vec<String>> {
        let refs = self.own_refs(&["*/prepare"])?;
        let own = refs.iter().filter_map(|found| found.name.strip_suffix("/prepare")).map(decode);
        let old = self.git.line(["for-each-ref", "--format=%(refname:lstrip=2)", &format!("{ROOT}*/prepare")])?;
        let old = old.lines().filter_map(|name| name.strip_suffix("/prepare")).map(decode);
        Ok(own.chain(old).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Opens the other working copies from which a guest was prepared, each under the name of its records; `None` where
    /// one is not found. The workspace of another one may be in the guest as well.
    ///
    /// # Errors
    /// When git or jj cannot be run.
    pub fn others_that_prepared(&self, vm: &str) -> Result<Vec<(String, Option<Repo>)>> {
        let pattern = format!("{ROOT}*/{}/prepare", encode(vm));
        let list = self.git.line(["for-each-ref", "--format=%(refname:lstrip=2)", &pattern])?;
        let own = self.vcs.name(self)?;
        let names = list.lines().filter_map(|name| name.split('/').next()).map(decode).filter(|name| *name != own);
        let found = |name: String| {
            let top = self.vcs.top_of(self, &name).filter(|top| top.is_dir());
            let repo = top.and_then(|top| Repo::open(Some(&top), self.git.reporter()).ok());
            // What is there now may be another one.
            let repo = repo.filter(|repo| {
                repo.common_dir == self.common_dir && repo.vcs.name(repo).is_ok_and(|called| called == name)
            });
            (name, repo)
        };
        Ok(names.map(found).collect())
    }

    /// Forgets all that is recorded about a guest, in every working copy, but for rescued work, which is nowhere else; tells
    /// whether there was anything.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(&self, vm: &str) -> Result<bool> {
        self.see_sessions(vm, BTreeSet::clear)?;
        let name = encode(vm);
        let patterns = [format!("{ROOT}*/{name}/*"), format!("{ROOT}*/{name}/*/*")];
        let old = ["prepare", "baseline", "snapshot"].map(|kind| format!("{ROOT}{name}/{kind}"));
        let call = self.git.call(["for-each-ref", "--format=delete %(refname)"]).args(patterns).args(old);
        let refs = super::git::text(call.stdout()?)?;
        let refs: String = refs.lines().filter(|line| !is_rescued(line)).map(|line| format!("{line}\n")).collect();
        if refs.is_empty() {
            return Ok(false);
        }
        self.update(refs).map(|()| true)
    }
}

/// Where all of ours are.
const ROOT: &str = "refs/banger/";
/// Where work is that a prepare was told to leave, below the prefix of a guest.
const RESCUED: &str = "rescued/";
/// The file that says that records of this working copy's name are its own.
const OWN: &str = "own";
/// What stands before the path of the workspace, as JSON writes text, in the message of a baseline.
pub const WORKSPACE: &str = "workspace: ";

impl Records {
    /// Returns the commits that this guest was given or gave: what leads to them it need not send, and only what leads to
    /// them it may name without sending it.
    pub fn given(&self) -> Vec<Oid> {
        [&self.prepare, &self.baseline, &self.snapshot, &self.coming].into_iter().flatten().cloned().collect()
    }
}

/// Tells whether a line ends with a ref of rescued work.
fn is_rescued(line: &str) -> bool {
    line.rsplit('/').nth(1).is_some_and(|folder| format!("{folder}/") == RESCUED)
}

/// Returns a time, in UTC, as a component of a ref: `20261127T230350Z`.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut days, second) = (seconds / 86400, seconds % 86400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", days + 1)
}

/// Writes a guest's name as one component of a ref: what git forbids there becomes `%XX`.
pub(super) fn encode(vm: &str) -> String {
    let mut text = String::new();
    for (at, byte) in vm.bytes().enumerate() {
        let dot_is_plain = at > 0 && !text.ends_with('.') && !matches!(&vm.as_bytes()[at..], b"." | b".lock");
        match byte {
            b'.' if dot_is_plain => text.push('.'),
            b'-' | b'_' | b'@' => text.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    // Alone it is short for HEAD.
    if text == "@" { "%40".to_owned() } else { text }
}

/// Reads back what [`encode`] wrote.
pub(super) fn decode(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let code = (*first == b'%').then(|| name_code(after)).flatten();
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn name_code(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits.get(..2)?).ok()?, 16).ok()
}

impl Repo {
    /// Returns a commit's parents and message.
    pub(super) fn commit_parts(&self, commit: &Oid) -> Result<(Vec<Oid>, String)> {
        let text = self.git.call(["cat-file", "commit", commit.as_str()]).stdout()?;
        let text = String::from_utf8_lossy(&text);
        let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        // What looks like a parent further down is none.
        let parents = head.lines().skip(1).map_while(|line| line.strip_prefix("parent "));
        Ok((parents.map(str::parse).collect::<Result<_, _>>()?, message.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_utc() {
        let told = |seconds| timestamp(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        assert_eq!(
            [0, 951_782_399, 951_782_400, 1_700_000_000, 4_107_542_399].map(told),
            ["19700101T000000Z", "20000228T235959Z", "20000229T000000Z", "20231114T221320Z", "21000228T235959Z"]
        );
    }

    #[test]
    fn names_of_guests_are_names_of_refs_and_back() {
        let names = ["dev", "me@host:2222", "[::1]:22", ".hidden", "a..b", "a.lock", "a.", "@", "50%", "é", "a.b"];
        for name in names {
            let encoded = encode(name);
            assert_eq!(decode(&encoded), name);
            let forbidden = ["..", "@{", ":", "[", "~", "^", "?", "*", "\\", " "];
            assert!(!forbidden.iter().any(|part| encoded.contains(part)), "{encoded}");
            assert!(!encoded.starts_with('.') && !encoded.ends_with('.') && !encoded.ends_with(".lock"), "{encoded}");
        }
        assert_eq!(encode("me@host:2222"), "me@host%3A2222");
    }
}
