//! How results are told: lists of files, notes, JSON.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::snapshot::{Change, Note, NoteKind, Snapshot};
use crate::text;
use crate::ui::Ui;

/// How a list of files is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// With git's letter before each name.
    pub status: bool,
    /// Names as they are, each ended by NUL.
    pub nul: bool,
}

/// Returns the list of changed files, as `git diff --name-status` or `--name-only` writes it.
pub fn list(changes: &[Change], how: List) -> Vec<u8> {
    let mut text = Vec::new();
    for change in changes {
        let (gap, end) = if how.nul { (0, 0) } else { (b'\t', b'\n') };
        let mut name = |name: &[u8], end: u8| {
            if how.nul {
                text.extend(name)
            } else {
                text.extend(quoted(name).bytes())
            }
            text.push(end);
        };
        if how.status {
            // A rename is exact here, or it is none.
            let score = if change.from.is_some() { "100" } else { "" };
            name(format!("{}{score}", change.status).as_bytes(), gap);
            if let Some(from) = &change.from {
                name(from, gap);
            }
        }
        name(&change.path, end);
    }
    text
}

/// Returns a path as git writes it with `core.quotePath`: as it is, or in double quotes with escapes.
fn quoted(path: &[u8]) -> String {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if path.iter().all(plain) {
        return String::from_utf8_lossy(path).into_owned();
    }
    let mut text = String::from('"');
    for byte in path {
        match byte {
            b'\x07' => text.push_str("\\a"),
            b'\x08' => text.push_str("\\b"),
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\x0b' => text.push_str("\\v"),
            b'\x0c' => text.push_str("\\f"),
            b'\r' => text.push_str("\\r"),
            byte if plain(byte) => text.push(char::from(*byte)),
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            byte => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}

/// Warns of everything that the snapshot holds in another form than the guest, or not at all.
pub fn notes(ui: &Ui, notes: &[Note]) {
    for told in notes.iter().map(note) {
        ui.warn(&told);
    }
}

/// Says what the snapshot holds in another form than the guest, or not at all.
pub fn note(note: &Note) -> String {
    let path = text::path(&note.path);
    match note.kind {
        NoteKind::NestedRepository => {
            format!("{path} is a repository of its own: its files come as ordinary files, its history does not")
        }
        NoteKind::DirtySubmodule => format!("submodule {path} has edits of its own, which do not come"),
        NoteKind::MovedSubmodule => {
            format!("submodule {path} is at another commit, which only its own repository in the guest has")
        }
        NoteKind::LfsPointer => format!("{path} is a Git LFS pointer: its content is not in the repository"),
        NoteKind::Unreadable => format!("{path} cannot be read in the guest, and does not come"),
        NoteKind::SpecialFile => format!("{path} is a FIFO, a socket or a device, and does not come"),
        NoteKind::RefusedName => format!("{path} has a name that git keeps for itself, and does not come"),
    }
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// When stdout cannot be written.
pub fn json(ui: &Ui, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| Error::bug("cannot write JSON").source(error))?;
    ui.data(&format!("{}\n", text::json(&text)))
}

/// Returns a value as an object that more can be added to.
///
/// # Errors
/// [`Error::bug`] if it is another kind of value.
pub fn object(value: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Error::bug("a result is no object in JSON")),
    }
}

/// A path in JSON: text, and the bytes too where they are not UTF-8.
#[derive(Serialize)]
pub struct JsonPath {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl JsonPath {
    /// Returns a path for JSON.
    pub fn new(path: &[u8]) -> Self {
        let hex = || path.iter().map(|byte| format!("{byte:02x}")).collect();
        JsonPath {
            path: String::from_utf8_lossy(path).into_owned(),
            path_hex: std::str::from_utf8(path).is_err().then(hex),
        }
    }
}

/// A changed file in JSON.
#[derive(Serialize)]
pub struct JsonChange {
    status: char,
    #[serde(flatten)]
    path: JsonPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<JsonPath>,
    old_mode: String,
    new_mode: String,
}

/// A note in JSON.
#[derive(Serialize)]
pub struct JsonNote {
    kind: NoteKind,
    #[serde(flatten)]
    path: JsonPath,
}

/// A snapshot in JSON.
#[derive(Serialize)]
pub struct JsonSnapshot<'a> {
    vm: &'a str,
    base: &'a str,
    head: &'a str,
    branch: Option<&'a str>,
    tree: &'a str,
    snapshot: &'a str,
    commits: u64,
    commits_since_prepare: Option<u64>,
    notes: Vec<JsonNote>,
}

/// Returns a snapshot for JSON.
pub fn json_snapshot<'a>(vm: &'a str, snapshot: &'a Snapshot) -> JsonSnapshot<'a> {
    JsonSnapshot {
        vm,
        base: snapshot.base.as_str(),
        head: snapshot.head.as_str(),
        branch: snapshot.branch.as_deref(),
        tree: snapshot.tree.as_str(),
        snapshot: snapshot.commit.as_str(),
        commits: snapshot.commits,
        commits_since_prepare: snapshot.since_prepare,
        notes: snapshot
            .notes
            .iter()
            .map(|note| JsonNote { kind: note.kind, path: JsonPath::new(&note.path) })
            .collect(),
    }
}

/// Returns changed files for JSON.
pub fn json_changes(changes: &[Change]) -> Vec<JsonChange> {
    changes
        .iter()
        .map(|change| JsonChange {
            status: change.status,
            path: JsonPath::new(&change.path),
            from: change.from.as_deref().map(JsonPath::new),
            old_mode: format!("{:06o}", change.old_mode),
            new_mode: format!("{:06o}", change.new_mode),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_git_quotes_them() {
        assert_eq!(quoted(b"a b~"), "a b~");
        assert_eq!(quoted("a\"\\\n\u{e9}\x1b".as_bytes()), r#""a\"\\\n\303\251\033""#);
    }
}
