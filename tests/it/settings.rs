//! What the configuration says of git-banger itself.

use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited, ran};

const PLAIN: &str = "error: no guest 'nobody' is known here\nhint: git banger vm list\n";
const COLOURED: &str =
    "\x1b[1m\x1b[31merror:\x1b[0m no guest 'nobody' is known here\n\x1b[36mhint:\x1b[0m git banger vm list\n";

fn host() -> Host {
    Host::new(&TestGuest::russh())
}

fn complains(host: &Host, flags: &[&str]) -> Ran {
    host.run(&[&["vm", "remove", "nobody"], flags].concat())
}

#[test]
fn quiet_prints_what_was_asked_for_and_nothing_else() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let silent: [&[&str]; 9] = [
        &["prepare", VM],
        &["fetch", VM],
        &["pull", VM, "-n"],
        &["pull", VM, "--stat"],
        &["undo", "-n"],
        &["undo"],
        &["undo", "--redo"],
        &["vm", "add", "box", "ssh://dev"],
        &["vm", "remove", "box"],
    ];
    for (number, args) in silent.into_iter().enumerate() {
        assert_eq!(host.run(&[args, &["-q"]].concat()), ran(0, "", ""), "{args:?}");
        if number == 0 {
            guest.write("a", edited("a", 1));
        }
    }
    assert_eq!(host.read("a"), edited("a", 1));
    guest.write("b", edited("b", 1));
    let printed: [&[&str]; 7] = [
        &["export", VM],
        &["export", VM, "--name-only"],
        &["diff", VM],
        &["log"],
        &["rev", "@prepare"],
        &["vm", "list"],
        &["pull", VM, "-n", "--json"],
    ];
    for args in printed {
        let (loud, quiet) = (host.run(args), host.run(&[args, &["-q"]].concat()));
        assert!(!quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{args:?}: {quiet:?}");
        assert_eq!((quiet.code, &quiet.stdout), (Some(0), &loud.stdout), "{args:?}");
    }
    host.write("b", edited("b", 1).replace("edited", "mine"));
    let refused = host.run(&["pull", VM, "-q"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("\nhint: "), "{refused:?}");
}

#[test]
fn messages_are_coloured_as_git_is_told_to() {
    let mut host = host();
    assert_eq!(complains(&host, &[]), ran(1, "", PLAIN));
    for (value, told) in [("always", COLOURED), ("true", PLAIN), ("auto", PLAIN), ("never", PLAIN), ("false", PLAIN)] {
        host.git(&["config", "color.ui", value]);
        assert_eq!(complains(&host, &[]), ran(1, "", told), "color.ui = {value}");
        assert_eq!(complains(&host, &["--color=always"]), ran(1, "", COLOURED), "color.ui = {value}");
        assert_eq!(complains(&host, &["--color=never"]), ran(1, "", PLAIN), "color.ui = {value}");
    }
    // What 'auto' makes of a terminal is anstream's; this stands in for one.
    host.set_env("CLICOLOR_FORCE", "1");
    assert_eq!(complains(&host, &["--color=auto"]), ran(1, "", COLOURED));
    assert_eq!(complains(&host, &[]), ran(1, "", PLAIN), "color.ui = false");
    host.git(&["config", "color.ui", "auto"]);
    assert_eq!(complains(&host, &[]), ran(1, "", COLOURED));
    host.set_env("CLICOLOR_FORCE", "0");
    host.set_env("NO_COLOR", "1");
    assert_eq!(complains(&host, &[]), ran(1, "", PLAIN));
}

#[test]
fn an_unknown_key_is_warned_about_and_the_nearest_named() {
    let host = host();
    for key in ["base", "sshConfig", "dev.url", "dev.path", "dev.base", "dev.SSHCONFIG", "dev.two.url"] {
        host.git(&["config", &format!("banger.{key}"), "value"]);
    }
    host.git(&["config", "bangers.url", "value"]);
    assert_eq!(host.run(&["vm", "list"]).stderr, "");
    for key in ["bse", "url", "Dev.two.sshConfg", "dev.ulr", "d\x1bv.patch", "dev.colour"] {
        for value in ["one", "two"] {
            host.git(&["config", "--add", &format!("banger.{key}"), value]);
        }
    }
    let told = "warning: unknown setting 'banger.Dev.two.sshconfg' in the git configuration; \
                did you mean 'banger.Dev.two.sshConfig'?\n\
                warning: unknown setting 'banger.bse' in the git configuration; did you mean 'banger.base'?\n\
                warning: unknown setting 'banger.d\\x1bv.patch' in the git configuration; \
                did you mean 'banger.d\\x1bv.path'?\n\
                warning: unknown setting 'banger.dev.colour' in the git configuration\n\
                warning: unknown setting 'banger.dev.ulr' in the git configuration; did you mean 'banger.dev.url'?\n\
                warning: unknown setting 'banger.url' in the git configuration\n";
    assert_eq!(host.run(&["vm", "list", "--quiet"]).stderr, told);
    assert_eq!(host.run(&["__complete", "bash", "--", "git-banger", "pul"]).stderr, "");
}
