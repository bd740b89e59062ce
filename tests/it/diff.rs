//! `git banger diff`: what a pull would bring, through the user's own git.

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, edited, ran};
use crate::support::write_program;

const SINCE: [&str; 4] = ["diff", VM, "--base-commit", "HEAD@prepare"];

#[test]
fn only_what_has_not_landed_is_shown_and_nothing_lands() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write("b", edited("b", 10));
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("work");
    assert_eq!(host.run(&["pull", VM, "--base-commit", "HEAD@prepare"]).stdout, "M\ta\n");
    assert_eq!(host.run(&SINCE), ran(0, "", "nothing new from 'dev' since HEAD@prepare (<id>)\n"));
    guest.write("a", edited("a", 1).replace("a 9\n", "a 9 too\n"));
    guest.write("new", "new\n");
    let (files, standing, before) = (host.files_but(&[]), host.standing(), guest.fingerprint());
    let shown = host.run(&SINCE);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = shown.stdout.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(lines, ["--- a/a", "+++ b/a", "-a 9", "+a 9 too", "--- /dev/null", "+++ b/new", "+new"]);
    let narrowed = host.run(&[&SINCE[..], &["--", "new"]].concat()).stdout;
    assert!(narrowed.contains("+new") && !narrowed.contains("a 9"), "{narrowed}");
    // Another base has another start, which only we have made.
    let other = host.run(&["diff", VM, "--base-commit", "HEAD"]);
    assert!(other.code == Some(0) && other.stdout.contains("\n+a 9 too\n"), "{other:?}");
    // Without a base it could mean two things, as a pull.
    let open = host.run(&["diff", VM]);
    assert!(open.code == Some(1) && open.stderr.contains("has 1 commit past the prepared head"), "{open:?}");
    files.assert_same(&host.files_but(&[]));
    standing.assert_same(&host.standing());
    before.assert_same(&guest.fingerprint());
}

#[test]
fn the_users_settings_and_tools_hold() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.git(&["config", "diff.noprefix", "true"]);
    assert!(host.run(&SINCE).stdout.contains("\n+++ a\n"));
    let tool = host.path("tool");
    write_program(&tool, "#!/bin/sh\ncat \"$2\"\n");
    host.git(&["config", "difftool.show.cmd", &format!("{} \"$LOCAL\" \"$REMOTE\"", tool.display())]);
    host.git(&["config", "diff.tool", "show"]);
    host.git(&["config", "difftool.prompt", "false"]);
    assert_eq!(host.run(&[&SINCE[..], &["--tool"]].concat()).stdout, edited("a", 1));
    host.git(&["config", "diff.external", "false"]);
    let failed = host.run(&SINCE);
    assert!(failed.code == Some(8) && failed.stderr.contains("git diff failed"), "{failed:?}");
}
