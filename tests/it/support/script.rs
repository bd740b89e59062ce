//! Puts guest scripts together from their files, as src/guest/args.rs does.

use std::fs;
use std::path::Path;

/// Returns the text of files of src/guest, one after the other.
pub fn sources(parts: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guest");
    parts.iter().map(|part| fs::read_to_string(folder.join(part)).unwrap()).collect()
}

/// Puts a script together; an argument that is not given is empty. The head of the last part tells which there are.
pub fn script(parts: &[&str], nonce: &str, args: &[(&str, &str)], words: &[&str]) -> String {
    let quoted = |value: &str| format!("'{}'", value.replace('\'', r"'\''"));
    let takes = arguments(&sources(&parts[parts.len() - 1..]));
    for (name, _) in args {
        assert!(takes.iter().any(|taken| taken == name), "{parts:?} take no '{name}', but {takes:?}");
    }
    let value = |name: &str| args.iter().rev().find(|(given, _)| *given == name).map_or("", |(_, value)| *value);
    let set: String = takes.iter().map(|name| format!("{name}={}\n", quoted(value(name)))).collect();
    let words: String = words.iter().map(|word| format!(" {}", quoted(word))).collect();
    format!("{{\n{}nonce={}\n{set}main{words}\n}}", sources(parts), quoted(nonce))
}

/// Returns the names of the arguments that the head of a script lists.
fn arguments(text: &str) -> Vec<String> {
    let head = text.lines().take_while(|line| line.starts_with('#'));
    let names = head.filter_map(|line| Some(line.strip_prefix("# ")?.split_once(" - ")?.0));
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    names.filter(is_name).map(str::to_owned).collect()
}
