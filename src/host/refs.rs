//! What is recorded about a guest, as refs: `refs/banger/<vm>/{prepare,baseline,snapshot}`, and the landings in this
//! working copy, `refs/banger/<working copy>/<vm>/landings/<n>`.

use std::collections::BTreeSet;

use super::Repo;
use super::landing::record::Landing;
use crate::error::Result;
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
    /// What was fetched last.
    pub snapshot: Option<Oid>,
    /// The tree of the baseline.
    pub baseline_tree: Option<Oid>,
    /// The landings of its work in this working copy that are recorded.
    pub landings: Vec<Landing>,
    /// The highest number of a landing in this working copy, of any guest's work.
    pub highest: u64,
    /// The baseline's tree is not the head's: edits or untracked files were shipped beside it.
    pub shipped_edits: bool,
}

impl Repo {
    /// Returns the ref that records something about a guest for all work trees.
    pub fn vm_ref(vm: &str, kind: &str) -> String {
        format!("refs/banger/{}/{kind}", encode(vm))
    }

    /// Returns the prefix of the refs that are this working copy's own.
    fn prefix(&self) -> Result<String> {
        Ok(format!("refs/banger/{}/", encode(&self.vcs.name(self)?)))
    }

    /// Returns the prefix of those of them that are about one guest.
    pub(super) fn prefix_of(&self, vm: &str) -> Result<String> {
        Ok(format!("{}{}/", self.prefix()?, encode(vm)))
    }

    /// Returns all landings in this working copy that are recorded, the newest first.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn landings(&self) -> Result<Vec<Landing>> {
        let all = self.prefix()?;
        let format = "--format=%(refname) %(objectname) %(committerdate:iso-strict)%0a%(contents)%00";
        let list = self.git.call(["for-each-ref", format, &format!("{all}*/landings/*")]).stdout()?;
        let mut landings = Vec::new();
        for entry in list.split(|&byte| byte == 0) {
            let text = String::from_utf8_lossy(entry.trim_ascii_start()).into_owned();
            let (line, message) = text.split_once('\n').unwrap_or((&text, ""));
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default();
            let (name, commit, time) = (word(), word(), word());
            landings.extend(name.strip_prefix(&all).and_then(|name| Landing::parse(name, commit, time, message)));
        }
        landings.sort_by_key(|landing| std::cmp::Reverse(landing.number));
        Ok(landings)
    }

    /// Returns what is recorded about a guest.
    ///
    /// # Errors
    /// When a record is damaged, or git cannot be run.
    pub fn records(&self, vm: &str) -> Result<Records> {
        let shared = Repo::vm_ref(vm, "");
        // NAME SP OBJECT SP TREE LF MESSAGE NUL; a user's message need not be UTF-8.
        let format = "--format=%(refname) %(objectname) %(tree) %(committerdate:iso-strict)%0a%(contents)%00";
        let all = self.prefix()?;
        let list = self.git.call(["for-each-ref", format, &shared, &format!("{all}*/landings/*")]).stdout()?;
        let mut records = Records { vm: vm.to_owned(), ..Records::default() };
        let mut prepared_tree = None;
        for entry in list.split(|&byte| byte == 0) {
            let text = String::from_utf8_lossy(entry.trim_ascii_start()).into_owned();
            let (line, message) = text.split_once('\n').unwrap_or((&text, ""));
            let mut words = line.split(' ');
            let (Some(name), Some(id)) = (words.next(), words.next()) else { continue };
            let tree = words.next().map(str::to_owned);
            if let Some(name) = name.strip_prefix(&all) {
                let time = words.next().unwrap_or_default();
                let landing = Landing::parse(name, id, time, message);
                records.highest = records.highest.max(landing.as_ref().map_or(0, |landing| landing.number));
                records.landings.extend(landing.filter(|landing| landing.vm == vm));
                continue;
            }
            match name.strip_prefix(&shared) {
                Some("prepare") => (records.prepare, prepared_tree) = (Some(id.parse()?), tree),
                Some("baseline") => {
                    records.baseline = Some(id.parse()?);
                    records.baseline_tree = tree.map(|tree| tree.parse()).transpose()?;
                }
                Some("snapshot") => records.snapshot = Some(id.parse()?),
                _ => {}
            }
        }
        records.shipped_edits = records.baseline_tree.as_ref().map(Oid::as_str) != prepared_tree.as_deref();
        Ok(records)
    }

    /// Records a prepare: the head that was shipped, and the tree that the guest's files got.
    ///
    /// # Errors
    /// When the refs cannot be written; neither is, then.
    pub fn record(&self, vm: &str, head: &Oid, baseline: &Oid) -> Result<()> {
        let records = [("prepare", head), ("baseline", baseline)];
        self.update(records.map(|(kind, oid)| format!("update {} {oid}\n", Repo::vm_ref(vm, kind))).concat())
    }

    /// Runs a transaction of `git update-ref --stdin`.
    pub(super) fn update(&self, commands: String) -> Result<()> {
        self.git.call(["update-ref", "--no-deref", "--stdin"]).input(commands).stdout().map(drop)
    }

    /// Returns the guests that were prepared from this repository, sorted.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn prepared_vms(&self) -> Result<Vec<String>> {
        let refs = self.git.line(["for-each-ref", "--format=%(refname)", "refs/banger/*/prepare"])?;
        let names = refs.lines().filter_map(|name| name.strip_prefix("refs/banger/")?.strip_suffix("/prepare"));
        Ok(names.map(decode).collect())
    }

    /// Forgets all that is recorded about a guest; tells whether there was anything.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(&self, vm: &str) -> Result<bool> {
        self.see_sessions(vm, BTreeSet::clear)?;
        let name = encode(vm);
        let folders = [format!("refs/banger/{name}/"), format!("refs/banger/*/{name}/landings/*")];
        let refs = self.git.line(["for-each-ref", "--format=delete %(refname)", &folders[0], &folders[1]])?;
        if refs.is_empty() {
            return Ok(false);
        }
        self.update(refs + "\n").map(|()| true)
    }
}

impl Records {
    /// Returns the commits that this guest was given or gave: what leads to them it need not send, and only what leads to
    /// them it may name without sending it.
    pub fn given(&self) -> Vec<Oid> {
        [&self.prepare, &self.baseline, &self.snapshot].into_iter().flatten().cloned().collect()
    }
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
