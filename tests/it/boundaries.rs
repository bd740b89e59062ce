//! What the text of the project itself promises: who may name whom, and what a script that exports may not do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Returns every Rust file below a folder of the project, with its text.
pub fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file in '{folder}'");
    found.sort();
    found
}

/// Returns the files that name one of these modules or crates, as the first part of a path.
fn that_name(files: &[(String, String)], modules: &[&str]) -> Vec<String> {
    let names = |line: &str| {
        modules.iter().any(|module| {
            line.match_indices(&format!("{module}::"))
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                || line.contains(&format!("crate::{module};"))
                || line.contains(&format!("use {module};"))
        })
    };
    files.iter().filter(|(_, text)| code(text).lines().any(names)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn no_file_of_these_tests_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let listed = include_str!("main.rs");
    for entry in fs::read_dir(folder).unwrap() {
        let stem = PathBuf::from(entry.unwrap().file_name()).file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(stem == "main" || listed.contains(&format!("\nmod {stem};\n")), "'{stem}' is not in tests/it/main.rs");
    }
}

/// The modules of the program, from the top down: each names only those below it.
const FLOORS: [&str; 17] = [
    "main",
    "commands",
    "cli",
    "settings",
    "host",
    "guest",
    "vm",
    "ssh",
    "trust",
    "snapshot",
    "process",
    "ui",
    "reporter",
    "interrupt",
    "error",
    "text",
    "environment",
];

/// Returns the module at the top of the program that a file belongs to.
fn floor(file: &str) -> &str {
    let name = file.strip_prefix("src/").unwrap();
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Where a literal or a comment ends that a text begins with, and whether it is a comment; `None` where neither is there.
fn lexeme(text: &str) -> Option<(usize, bool)> {
    let until = |skip: usize, end: &str| text[skip..].find(end).map_or(text.len(), |at| skip + at + end.len());
    let escaped = |quote: u8| {
        let mut bytes = text.bytes().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                byte if byte == quote => return at + 1,
                _ => {}
            }
        }
        text.len()
    };
    let raw = text.strip_prefix('r').map(|rest| (rest, rest.len() - rest.trim_start_matches('#').len()));
    match raw {
        Some((rest, hashes)) if rest[hashes..].starts_with('"') => {
            return Some((until(hashes + 2, &format!("\"{}", "#".repeat(hashes))), false));
        }
        _ => {}
    }
    let mut chars = text.chars();
    match (chars.next()?, chars.next(), chars.next()) {
        ('/', Some('/'), _) => Some((text.find('\n').unwrap_or(text.len()), true)),
        ('/', Some('*'), _) => Some((until(2, "*/"), true)),
        ('"', ..) => Some((escaped(b'"'), false)),
        // Else it is a lifetime.
        ('\'', Some('\\'), _) | ('\'', Some(_), Some('\'')) => Some((escaped(b'\''), false)),
        _ => None,
    }
}

/// Returns the parts of a text: literals and comments whole, with whether they are comments, and all else byte by byte.
fn parts(text: &str) -> Vec<(&str, Option<bool>)> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        // A raw string has its r at the start of a word.
        let in_word = |(part, _): &(&str, _)| part.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let begins = first != 'r' || !parts.last().is_some_and(in_word);
        let (end, comment) = match lexeme(rest).filter(|_| begins) {
            Some((end, comment)) => (end, Some(comment)),
            None => (first.len_utf8(), None),
        };
        parts.push((&rest[..end], comment));
        rest = &rest[end..];
    }
    parts
}

/// Returns what a file says, without comments.
pub fn code(text: &str) -> String {
    parts(text).into_iter().filter(|(_, comment)| *comment != Some(true)).map(|(part, _)| part).collect()
}

/// Returns the parts of a list that commas part, from behind its opening bracket to the closing one.
pub fn listed(text: &str) -> Vec<String> {
    let (mut depth, mut listed) = (0, vec![String::new()]);
    for (part, literal) in parts(text) {
        match part {
            "(" | "[" | "{" if literal.is_none() => depth += 1,
            ")" | "]" | "}" if literal.is_none() && depth == 0 => break,
            ")" | "]" | "}" if literal.is_none() => depth -= 1,
            "," if literal.is_none() && depth == 0 => {
                listed.push(String::new());
                continue;
            }
            _ => {}
        }
        listed.last_mut().unwrap().push_str(part);
    }
    listed.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// Returns the modules at the top of the program that a file names.
fn named(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            // A group may hold groups; no module is named in those.
            Some(group) => names.extend(listed(group).iter().map(|name| word(name))),
            None => drop(names.insert(word(rest))),
        }
    }
    names
}

/// Tells whether a file gives an error a command, which takes two arguments where a call of a program takes one.
fn suggests(code: &str) -> bool {
    code.split(".run(").skip(1).any(|rest| listed(rest).len() > 1)
}

#[test]
fn these_tests_read_a_file_as_rust_does() {
    let text =
        "let url = \"ssh://x\"; // no \"code\n/* nor, */ let c: &'a str = r#\"\"//\"#; let q = ['\"', '\\'', '/'];";
    let wanted = "let url = \"ssh://x\"; \n let c: &'a str = r#\"\"//\"#; let q = ['\"', '\\'', '/'];";
    assert_eq!(code(text), wanted);
    let text = "use crate::{\n    error::{Error, Result},\n    host::{self, land::{Blocked}},\n    text,\n};\nuse crate::ui::To;";
    assert_eq!(named(text).iter().map(String::as_str).collect::<Vec<_>>(), ["error", "host", "text", "ui"]);
    assert!(suggests("error.run(\n    format!(\"x, {y}\"),\n    \"\",\n)") && suggests("error\n    .run(x, y)"));
    assert!(!suggests("call.run()?; jj.run(jj.labelled(why, [\"a\", \"b\"]),)"));
}

#[test]
fn imports_run_one_way() {
    let mut seen = BTreeSet::new();
    for (file, text) in sources("src") {
        let at = FLOORS.iter().position(|known| *known == floor(&file));
        let at = at.unwrap_or_else(|| panic!("'{file}' has no floor in FLOORS"));
        seen.insert(at);
        let above: Vec<_> = named(&text).into_iter().filter(|name| FLOORS[..at].contains(&name.as_str())).collect();
        assert_eq!(above, [""; 0], "'{file}' names what is above it");
        // It would be the way past a floor that these tests read by 'crate'.
        assert!(!code(&text).contains("super::super"), "'{file}' climbs");
        // From there, 'super' would be the top of the program, which no floor is told of.
        let depth = file.matches('/').count();
        let outermost = depth == 1 || depth == 2 && file.ends_with("/mod.rs");
        assert!(!outermost || code(&text).replace("use super::*;", "").matches("super::").count() == 0, "'{file}'");
    }
    assert_eq!(seen.len(), FLOORS.len(), "a floor has no file");
    let page = include_str!("../../ARCHITECTURE.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&FLOORS.join(" → ")), "ARCHITECTURE.md shows other floors");
}

#[test]
fn the_program_starts_with_what_main_declares() {
    let declared =
        include_str!("../../src/main.rs").lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let floors: BTreeSet<_> = FLOORS.into_iter().filter(|floor| *floor != "main").collect();
    assert_eq!(declared.collect::<BTreeSet<_>>(), floors);
}

#[test]
fn guest_and_host_never_name_each_other() {
    assert_eq!(that_name(&sources("src/guest"), &["host"]), [""; 0]);
    assert_eq!(that_name(&sources("src/host"), &["guest", "vm", "ssh"]), [""; 0]);
}

/// What only a command for the user to type begins with, or is made of.
const SPELLED: [&str; 13] = [
    "git banger",
    "jj banger",
    "Hint::Run",
    "Suggestion",
    "\"jj undo",
    "\"jj op ",
    "\"jj abandon",
    "\"jj resolve",
    "\"jj git ",
    "\"git fetch",
    "\"git fsck",
    "ssh-copy-id",
    "cargo install",
];

#[test]
fn whoever_does_the_work_is_silent() {
    let speak = ["main", "commands", "cli", "ui"];
    for (file, text) in sources("src") {
        if speak.contains(&floor(&file)) {
            continue;
        }
        let code = code(&text).replace("crate::ui::Color", "");
        assert!(!code.contains("ui::") && !named(&code).contains("ui"), "'{file}' could print");
        // What a test of the file itself says is not said to a user.
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        if floor(&file) == "error" {
            continue;
        }
        assert!(!suggests(code), "'{file}' makes a hint of a command");
        for words in SPELLED.iter() {
            // The way back from a landing is still spelled there.
            let known = file == "src/host/workspace.rs" && ["\"jj undo", "\"jj op "].contains(words);
            assert!(known || !code.contains(words), "'{file}' spells a command: {words}");
        }
    }
}

#[test]
fn git_is_called_by_the_host_alone() {
    for (file, text) in sources("src") {
        assert!(floor(&file) == "host" || !code(&text).contains("Call::new(\"git\""), "'{file}' calls git by itself");
        let calls = named(&text).contains("process");
        let known = ["host", "ssh"].contains(&floor(&file)) || file == "src/commands/setup.rs";
        assert!(!calls || known, "'{file}' starts programs");
    }
}

#[test]
fn the_ssh_library_is_named_in_one_folder() {
    let elsewhere: Vec<_> = sources("src").into_iter().filter(|(name, _)| !name.starts_with("src/ssh/")).collect();
    assert_eq!(that_name(&elsewhere, &["russh", "tokio"]), [""; 0]);
}

#[test]
fn the_lints_that_hold_the_boundaries_are_lifted_in_three_files_only() {
    let lifted = |text: &str| text.contains("#![expect(clippy::disallowed_methods");
    let files = sources("src").into_iter().filter(|(_, text)| lifted(text)).map(|(name, _)| name);
    assert_eq!(files.collect::<Vec<_>>(), ["src/environment.rs", "src/process.rs", "src/ui.rs"]);
}

#[test]
fn the_help_of_what_only_reads_a_guest_says_so() {
    for verb in ["export", "fetch", "pull", "status"] {
        let help = Command::new(env!("CARGO_BIN_EXE_git-banger")).args([verb, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("Non-mutating for the guest"), "{help}");
    }
}

const WORKSPACE: &str = include_str!("../../src/guest/workspace.sh");

/// The lines of the scripts that exports are made of.
fn export_lines() -> Vec<String> {
    let own = [include_str!("../../src/guest/snapshot.sh"), include_str!("../../src/guest/export.sh")];
    lines_of(&[WORKSPACE, own[0], own[1]])
}

/// The lines of the scripts that a status is made of.
fn status_lines() -> Vec<String> {
    lines_of(&[WORKSPACE, include_str!("../../src/guest/status.sh")])
}

/// The lines of scripts, without comments, and without what they only say.
fn lines_of(texts: &[&str]) -> Vec<String> {
    let whole = texts.concat().replace("\\\n", " ");
    let lines = whole.lines().map(str::trim);
    // The header of a bundle is text, too.
    let lines = lines.filter(|line| !line.starts_with('#') && !line.contains("git bundle"));
    // Where a function is defined, none is called.
    let lines = lines.filter(|line| !line.ends_with("() {") && !line.ends_with("() ("));
    lines.map(|line| line.split("die ").next().unwrap_or_default().to_owned()).collect()
}

/// Returns each git call in these lines: how git is called, and the verb.
fn git_calls(lines: &[String]) -> Vec<(&str, &str)> {
    let mut calls = Vec::new();
    for line in lines {
        let mut words = line.split(|c: char| c.is_whitespace() || "()`\"".contains(c)).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if word.contains('$') || (word != "git" && !word.ends_with("_git")) {
                continue;
            }
            // Switches of the script's own, not a verb.
            let mut verb = words.find(|word| *word != "$gb_one_pack").unwrap_or_default();
            while verb == "-c" || verb == "-C" {
                verb = words.nth(1).unwrap_or_default();
                if verb.starts_with('$') {
                    verb = words.next().unwrap_or_default();
                }
            }
            calls.push((word, verb));
        }
    }
    calls
}

/// What git does without writing.
const READS: &[&str] = &[
    "cat-file",
    "check-ignore",
    "config",
    "diff-index",
    "diff-tree",
    "ls-files",
    "ls-tree",
    "rev-list",
    "rev-parse",
    "show-ref",
    "status",
    "symbolic-ref",
];

#[test]
fn whatever_an_export_writes_goes_to_its_own_index_and_quarantine() {
    let lines = export_lines();
    let calls = git_calls(&lines);
    assert!(calls.contains(&("blind_git", "add")) && calls.contains(&("blind_git", "update-index")), "{calls:?}");

    let on_its_own_index = ["add", "pack-objects", "update-index"];
    let makes_objects = ["add", "hash-object", "index-pack"];
    for (how, verb) in calls {
        let allowed = READS.contains(&verb)
            || match how {
                // It writes a ref, and no time of an object that is there already.
                "plain_git" if verb == "fast-import" => {
                    lines.iter().any(|line| line == "GIT_DIR=$gb_dir/import gb_exec=exec")
                }
                "plain_git" => on_its_own_index.contains(&verb) && !makes_objects.contains(&verb),
                "blind_git" => on_its_own_index.contains(&verb) || makes_objects.contains(&verb),
                _ => false,
            }
            || verb.is_empty()
            // The wrappers pass on what they are given.
            || verb == "$@";
        assert!(allowed, "'{how} {verb}' could write what is not the export's own");
    }

    let quarantine = lines.iter().any(|line| {
        line.contains("GIT_INDEX_FILE=$gb_dir/index") && line.contains("GIT_OBJECT_DIRECTORY=$gb_dir/objects")
    });
    let exported = lines.iter().any(|line| {
        line.starts_with("export ") && line.contains("GIT_INDEX_FILE") && line.contains("GIT_OBJECT_DIRECTORY")
    });
    assert!(quarantine && exported, "the quarantine is not set up for every call");
}

#[test]
fn a_status_has_git_read_and_nothing_else() {
    let lines = status_lines();
    let calls = git_calls(&lines);
    assert!(calls.contains(&("plain_git", "for-each-ref")) && calls.contains(&("local_git", "status")), "{calls:?}");
    for (how, verb) in calls {
        let reads = READS.contains(&verb) || ["for-each-ref", "worktree", "$@", ""].contains(&verb);
        assert!(reads, "'{how} {verb}' could write");
    }
    // Its other verbs write.
    let lists = lines.iter().all(|line| !line.contains("git worktree") || line.starts_with("plain_git worktree list "));
    assert!(lists);
}

#[test]
fn whatever_else_an_export_or_a_status_writes_goes_to_its_temporary_folder() {
    let lines = [export_lines(), status_lines()].concat();
    // A variable that names a file there.
    let is_own = |target: &str| {
        let name = target.strip_prefix("\"$").and_then(|rest| rest.split(['"', '.']).next()).unwrap_or("?");
        name == "gb_list" || lines.iter().any(|line| line.contains(&format!("{name}=$gb_dir/")))
    };
    for line in &lines {
        // awk's own redirections stand beside a print; it runs in the temporary folder, as does the loop over gb_list.
        for (at, _) in line.match_indices('>').filter(|_| !line.contains("print ") && !line.contains("<git-banger>")) {
            let target = line[at + 1..].trim_start_matches('>').trim_start();
            let own = ["\"$gb_dir/", "\"$gb_git/", "/dev/null", "&", "= "].iter().any(|own| target.starts_with(own));
            assert!(own || target.is_empty() || is_own(target), "'{line}' writes outside of the temporary folder");
        }
        let writes = ["cp ", "ln ", "mkdir ", "mv ", "rm ", "touch "].iter().any(|program| line.starts_with(program));
        assert!(!writes || line.contains("$gb_dir") || line.contains("$gb_git"), "'{line}' writes elsewhere");
    }
}

#[test]
fn the_temporary_folder_of_a_script_goes_however_it_ends() {
    let prelude = include_str!("../../src/guest/prelude.sh");
    for trap in [
        "trap 'gb_end $?' EXIT",
        "trap 'gb_end 129' HUP",
        "trap 'gb_end 130' INT",
        "trap 'gb_end 141' PIPE",
        "trap 'gb_end 143' TERM",
    ] {
        assert_eq!(prelude.matches(trap).count(), 1, "{trap}");
    }
    let (_, end) = prelude.split_once("\ngb_end() {\n").unwrap();
    let (end, _) = end.split_once("\n}\n").unwrap();
    assert!(end.contains("rm -rf -- \"$gb_dir\""), "{end}");
    let export = include_str!("../../src/guest/export.sh");
    assert!(export.contains("main() {\n\tbegin\n\tlease\n"), "an export begins with the traps and the lease");
}
