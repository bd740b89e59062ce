//! The example for users of make.

use std::process::Output;

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, lines};

/// Runs the example's `work` with a worker's command line.
fn work(host: &Host, guest: &TestGuest, worker: &str) -> Output {
    let makefile = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/Makefile.worker");
    let ssh = format!("SSH=ssh -F {}", guest.ssh_config().display());
    let mut make = host.command("make");
    make.args(["-f", makefile, "work", &format!("VM={VM}"), &ssh, &format!("WORKER={worker}")]).output().unwrap()
}

guest_test!(the_example_makefile_brings_the_work_back_and_fails_when_it_must, |guest| {
    let host = Host::new(guest);

    let done = work(&host, guest, "echo new >new && git add new && git commit -qm new && echo more >>b");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!((host.read("new"), host.read("b")), ("new\n".to_owned(), lines("b") + "more\n"));

    let failed = work(&host, guest, "echo half >half; exit 3");
    assert_eq!(failed.status.code(), Some(2), "make's own code for a recipe that failed");
    assert!(!host.file("half").exists());

    host.write("a", "mine\n");
    let before = host.fingerprint().files_only();
    let conflict = work(&host, guest, "echo theirs >a");
    let stderr = String::from_utf8_lossy(&conflict.stderr);
    assert_eq!(conflict.status.code(), Some(2));
    assert!(stderr.contains("error: the work of guest 'dev' cannot land; nothing was changed"), "{stderr}");
    let tree = |mark: &crate::support::Fingerprint| mark.clone().without(&[host.file(".git")]);
    tree(&before).assert_same(&tree(&host.fingerprint().files_only()));
});
