//! What the configuration says of git-banger itself.

use crate::support::guest::TestGuest;
use crate::support::host::{Host, Ran, ran};

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
