//! The man page: its form, variables and settings. Commands and options are compared in src/cli/tests.rs, exit codes in
//! failures.rs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../man/git-banger.1");

#[test]
fn mandoc_finds_nothing_to_say_about_the_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/git-banger.1");
    let output = Command::new("mandoc").args(["-T", "lint", "-W", "all", page]).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // Whether the machine's own index of pages is up to date is not the page's business.
    let about_the_page: Vec<_> = said.lines().filter(|line| !line.contains("mandoc.db")).collect();
    assert_eq!(about_the_page, [""; 0]);
}

#[test]
fn the_page_has_every_variable_that_the_program_reads() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    // A dot before it would be a variable that is set for a child.
    let read = [" env(\"", "::env(\""].map(|call| sources.split(call).skip(1));
    let names = read.into_iter().flatten().filter_map(|rest| rest.split_once("\")").map(|(name, _)| name));
    let names: BTreeSet<_> = names.collect();
    assert!(names.contains("HOME") && names.contains("SSH_AUTH_SOCK"), "{names:?}");
    let items: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix(".It Ev ")).collect();
    for name in names {
        let shown = items.iter().any(|item| item.split(' ').any(|word| word == name));
        assert!(shown, "the page does not tell of ${name}");
    }
}

#[test]
fn the_page_has_every_setting_that_the_program_reads() {
    let source = include_str!("../../src/settings.rs").replace("\n", " ");
    let keys = |start: &str| -> BTreeSet<String> {
        let found = source.split(start).skip(1).filter_map(|rest| rest.split_once('"').map(|(key, _)| key.to_owned()));
        found.collect()
    };
    let items = PAGE.lines().filter_map(|line| line.strip_prefix(".It Cm banger.")).map(str::to_lowercase);
    let (own, all): (BTreeSet<_>, BTreeSet<_>) = items.partition(|item| item.starts_with("\\& ns ar vm"));
    let own: BTreeSet<_> = own.iter().map(|item| item.rsplit_once('.').unwrap().1.to_owned()).collect();
    assert_eq!((own, all), (keys(".of(name, \""), keys(".get(\"")));
}

/// Returns every source file below a folder, one after the other.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}
