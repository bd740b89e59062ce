//! The man page: its form, and its table of exit codes. Commands and options are compared in src/cli/tests.rs.

use std::collections::BTreeSet;
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
fn the_page_has_the_exit_codes_of_the_program() {
    let source = include_str!("../../src/error.rs");
    let codes = source.lines().filter_map(|line| {
        let (_, code) = line.trim().strip_prefix("Kind::")?.split_once(" => ")?;
        code.trim_end_matches(',').parse::<u8>().ok()
    });
    let (_, section) = PAGE.split_once("\n.Sh EXIT STATUS\n").unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let shown = section.lines().filter_map(|line| line.strip_prefix(".It ")?.parse::<u8>().ok());
    assert_eq!(shown.collect::<BTreeSet<_>>(), codes.chain([0]).collect());
}
