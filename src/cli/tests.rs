//! Holds the man page to the command line: no command, no option is missing in it, and none is made up.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const PAGE: &str = include_str!("../../man/git-banger.1");

/// An option as a line of the page shows it: its names, and whether it takes a value.
type Shown = (BTreeSet<String>, bool);

/// Returns the part of the page below a heading, up to the next one of its kind.
fn section<'a>(kind: &str, name: &str) -> &'a str {
    let heading = format!("\n.{kind} {name}\n");
    let (_, rest) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("the page has no '.{kind} {name}'"));
    let ends = ["\n.Ss ", "\n.Sh "].into_iter().filter(|end| kind == "Ss" || end.contains("Sh"));
    &rest[..ends.filter_map(|end| rest.find(end)).min().unwrap_or(rest.len())]
}

/// Returns the options that a part of the page has items for.
fn in_page(part: &str) -> BTreeSet<Shown> {
    let items = part.lines().filter_map(|line| line.strip_prefix(".It Fl "));
    items
        .map(|item| {
            let names = item.split("Fl ").map(|name| format!("-{}", name.split_whitespace().next().unwrap()));
            (names.collect(), item.contains(" Ar "))
        })
        .collect()
}

/// Returns the options of a command that `wanted` lets through.
fn in_clap(command: &Command, wanted: impl Fn(&Arg) -> bool) -> BTreeSet<Shown> {
    let options = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set() && wanted(arg));
    options
        .map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            (long.into_iter().chain(short).collect(), arg.get_action().takes_values())
        })
        .collect()
}

/// Returns the commands that do something, with their full names.
fn verbs(command: &Command, above: &str) -> Vec<(String, Command)> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below
        .flat_map(|below| {
            let name = format!("{above}{}", below.get_name());
            if below.has_subcommands() { verbs(below, &format!("{name} ")) } else { vec![(name, below.clone())] }
        })
        .collect()
}

fn built() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

#[test]
fn the_command_line_is_one_that_clap_takes() {
    Cli::command().debug_assert();
}

#[test]
fn the_page_has_every_command_in_order_and_none_more() {
    let headings = section("Sh", "COMMANDS").lines().filter_map(|line| line.strip_prefix(".Ss "));
    let names: Vec<_> = verbs(&built(), "").into_iter().map(|(name, _)| name).collect();
    assert_eq!(headings.collect::<Vec<_>>(), names);
}

#[test]
fn the_page_has_every_option_and_none_more() {
    let own = |arg: &Arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    assert_eq!(in_page(section("Sh", "OPTIONS")), in_clap(&built(), |arg| !own(arg)));
    for (name, command) in verbs(&built(), "") {
        assert_eq!(in_page(section("Ss", &name)), in_clap(&command, own), "{name}");
    }
}
