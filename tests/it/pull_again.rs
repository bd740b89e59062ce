//! A second pull brings only what is new, whatever was committed on either side in between.

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, edited, lines, ran};

const SINCE: [&str; 4] = ["pull", VM, "--base-commit", "HEAD@prepare"];

fn landed(files: &str) -> String {
    format!("landed {files} from 'dev' since HEAD@prepare (<id>)\n")
}

guest_test!(a_second_pull_brings_only_what_is_new, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.write("new", "first\n");
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\nA\tnew\n", &landed("2 changed files")));
    assert_eq!(host.run(&SINCE), ran(0, "", "nothing new from 'dev' since HEAD@prepare (<id>)\n"));

    // Edits on top of what landed, on both sides; and one that takes the landed work away here.
    host.write("a", edited("a", 1).replace("a 10\n", "a 10 host\n"));
    std::fs::remove_file(host.file("new")).unwrap();
    guest.write("a", edited("a", 1).replace("a 5\n", "a 5 worker\n"));
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\n", &landed("1 changed file")));
    assert_eq!(host.read("a"), edited("a", 1).replace("a 5\n", "a 5 worker\n").replace("a 10\n", "a 10 host\n"));
    assert!(!host.file("new").exists(), "what the host threw away came back");

    // The worker takes its own back.
    guest.write("a", lines("a").replace("a 5\n", "a 5 worker\n"));
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\n", &landed("1 changed file")));
    assert_eq!(host.read("a"), lines("a").replace("a 5\n", "a 5 worker\n").replace("a 10\n", "a 10 host\n"));
});

guest_test!(commits_on_either_side_between_two_pulls_change_nothing, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\n", &landed("1 changed file")));
    host.commit("the host commits what landed");
    host.write("b", edited("b", 10));
    host.commit("and work of its own");
    guest.commit("the worker commits what landed");
    guest.write("b", edited("b", 1));
    guest.commit("and more");
    guest.write("a", edited("a", 1).replace("a 9\n", "a 9 again\n"));
    let standing = host.standing();
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\nM\tb\n", &landed("2 changed files")));
    standing.assert_same(&host.standing());
    assert_eq!(host.read("a"), edited("a", 1).replace("a 9\n", "a 9 again\n"));
    assert_eq!(host.read("b"), edited("b", 10).replace("b 1\n", "b 1 edited\n"));
    assert_eq!(host.git(&["diff", "--name-only"]), "a\nb");
});

guest_test!(edits_that_were_shipped_do_not_come_back_as_the_guests, |guest| {
    let host = Host::new(guest);
    host.write("a", edited("a", 5));
    host.write("mine", "untracked\n");
    host.stdout(&["prepare", VM, "--untracked"]);
    // The host goes another way with what it shipped; the guest leaves it alone.
    host.write("a", lines("a"));
    std::fs::remove_file(host.file("mine")).unwrap();
    guest.write("b", edited("b", 1));
    assert_eq!(host.run(&SINCE), ran(0, "M\tb\n", &landed("1 changed file")));
    assert_eq!(host.read("a"), lines("a"));
    assert!(!host.file("mine").exists());
});

guest_test!(a_fetch_between_two_pulls_is_not_taken_for_a_landing, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.stdout(&["fetch", VM]);
    host.stdout(&["pull", VM, "-n"]);
    assert_eq!(host.run(&SINCE), ran(0, "M\ta\n", &landed("1 changed file")));
});

guest_test!(a_file_that_came_past_gitignore_is_followed_like_any_other, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("x.o", lines("x"));
    guest.git(&["add", "-f", "x.o"]);
    let ignored = "warning: 'x.o' is ignored here: 'git add' passes it over\n";
    assert_eq!(host.run(&SINCE), ran(0, "A\tx.o\n", &(landed("1 changed file") + ignored)));
    host.write("x.o", edited("x", 10));
    guest.write("x.o", edited("x", 1));
    assert_eq!(host.run(&SINCE), ran(0, "M\tx.o\n", &landed("1 changed file")));
    assert_eq!(host.read("x.o"), edited("x", 10).replace("x 1\n", "x 1 edited\n"));
    host.write("x.o", edited("x", 1));
    guest.git(&["rm", "-q", "-f", "x.o"]);
    assert_eq!(host.run(&SINCE), ran(0, "D\tx.o\n", &landed("1 changed file")));
    assert!(!host.file("x.o").exists());
});
