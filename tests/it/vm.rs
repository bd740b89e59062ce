//! `git banger vm`: names for guests; and what `-v` shows.

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, ran};

guest_test!(a_guest_with_a_name_is_reached_by_it_until_it_is_forgotten, |guest| {
    let host = Host::new(guest);
    let url = format!("ssh://{VM}/~/work/here");
    assert_eq!(host.run(&["vm", "list"]), ran(0, "", ""));
    assert_eq!(host.run(&["vm", "add", "box", &url]), ran(0, "", &format!("guest 'box' is {url}\n")));
    let told = format!(
        "error: guest 'box' is known already, as {url}\nhint: git banger vm remove box\n  forgets that one, and what was recorded about it here\n"
    );
    assert_eq!(host.run(&["vm", "add", "box", &url]), ran(1, "", &told));
    assert_eq!(host.run(&["vm", "list"]), ran(0, &format!("box\t{url}\t-\t-\n"), ""));
    assert_eq!(host.run(&["prepare", "box", "-q"]), ran(0, "", ""));
    assert!(guest.home().join("work/here/.git").is_dir());
    let listed = host.run(&["vm", "list"]).stdout;
    assert!(listed.starts_with(&format!("box\t{url}\t~/work/here\tprepared at <id> on 20")), "{listed}");
    let json: serde_json::Value = serde_json::from_slice(&host.stdout(&["vm", "list", "--json"])).unwrap();
    assert_eq!(json[0]["prepared"], host.git(&["rev-parse", "HEAD"]));
    assert_eq!(host.run(&["vm", "remove", "box"]), ran(0, "", "forgot guest 'box'\n"));
    assert_eq!(host.git(&["for-each-ref", "refs/banger"]), "");
    let told = "error: no guest 'box' is known here\nhint: git banger vm list\n";
    assert_eq!(host.run(&["vm", "remove", "box"]), ran(1, "", told));
});

#[test]
fn a_name_that_reads_as_an_option_or_a_path_is_refused() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    for name in ["-oProxyCommand=x", "a/b", "a b", ""] {
        let run = host.run(&["vm", "add", "--", name, "ssh://host"]);
        assert_eq!(run.code, Some(2), "{name}: {}", run.stderr);
    }
    let run = host.run(&["vm", "add", "box", "ssh://-oProxyCommand=x/path"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}

guest_test!(verbose_shows_each_remote_script_and_each_git_call, |guest| {
    let host = Host::new(guest);
    host.prepare();
    let run = host.run(&["-v", "fetch", VM]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    for shown in ["\n+ guest script 'export': workspace='repo' base='HEAD' payload='history' ", "+ git ", "+ ssh -G "] {
        assert!(run.stderr.contains(shown), "no '{shown}' in {}", run.stderr);
    }
});

guest_test!(check_says_what_will_work_and_what_cures_the_rest, |guest| {
    let host = Host::new(guest);
    let check = |args: &[&str]| host.run(&[&["vm", "check", VM], args].concat());
    let first = check(&[]);
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""), "{first:?}");
    let lines: Vec<_> = first.stdout.lines().collect();
    let heads: Vec<_> = lines.iter().map(|line| line.split_at_checked(20).unwrap().0.trim_end()).collect();
    assert_eq!(
        heads,
        ["ok       reach", "ok       git", "limited  workspace", "", "ok       room", "ok       sessions"]
    );
    assert_eq!(lines[3], "                    cure: git banger prepare dev");
    host.prepare();
    let before = guest.fingerprint();
    let json: serde_json::Value = serde_json::from_slice(&host.stdout(&["vm", "check", VM, "--json"])).unwrap();
    before.assert_same(&guest.fingerprint());
    assert_eq!(
        (&json["vm"], &json["checks"][2]["result"], &json["checks"][2]["found"]),
        (&VM.into(), &"ok".into(), &"'repo', on branch 'main'".into())
    );
    std::fs::rename(guest.file(".git"), guest.file("git")).unwrap();
    let broken = check(&[]);
    assert_eq!((broken.code, broken.stderr.as_str()), (Some(4), "error: guest 'dev' has 1 problem\n"), "{broken:?}");
    guest.assert_no_leftovers();
});
