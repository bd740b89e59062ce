//! The example for users of make.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::guest::{TestGuest, VM};
use crate::support::guest_test;
use crate::support::host::{Host, lines};

/// Runs the example's `work` in a VM with a worker's command line.
fn work(host: &Host, guest: &TestGuest, vm: &str, worker: &str) -> Output {
    work_with(host, &guest.ssh_config(), vm, worker)
}

/// As [`work`], with another configuration for ssh.
fn work_with(host: &Host, ssh_config: &Path, vm: &str, worker: &str) -> Output {
    let makefile = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/Makefile.worker");
    let ssh = format!("SSH=ssh -F {}", ssh_config.display());
    let mut make = host.command("make");
    make.args(["-f", makefile, "work", &format!("VM={vm}"), &ssh, &format!("WORKER={worker}")]).output().unwrap()
}

guest_test!(the_example_makefile_brings_the_work_back_and_fails_when_it_must, |guest| {
    let host = Host::new(guest);

    let done = work(&host, guest, VM, "echo new >new && git add new && git commit -qm new && echo more >>b");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!((host.read("new"), host.read("b")), ("new\n".to_owned(), lines("b") + "more\n"));

    let failed = work(&host, guest, VM, "echo half >half; exit 3");
    assert_eq!(failed.status.code(), Some(2), "make's own code for a recipe that failed");
    assert!(!host.file("half").exists());

    host.write("a", "mine\n");
    let before = host.fingerprint().files_only();
    let conflict = work(&host, guest, VM, "echo theirs >a");
    let stderr = String::from_utf8_lossy(&conflict.stderr);
    assert_eq!(conflict.status.code(), Some(2));
    assert!(stderr.contains("error: the work of guest 'dev' cannot land; nothing was changed"), "{stderr}");
    let tree = |mark: &crate::support::Fingerprint| mark.clone().without(&[host.file(".git")]);
    tree(&before).assert_same(&tree(&host.fingerprint().files_only()));
});

guest_test!(the_example_makefile_reaches_a_guest_by_its_url, |guest| {
    let host = Host::new(guest);
    // For an address alone ssh has no entry that would name the key.
    let for_all = guest.path("for_all");
    fs::write(&for_all, fs::read_to_string(guest.ssh_config()).unwrap().replace("Host dev\n", "Host *\n")).unwrap();
    host.git(&["config", "banger.port.sshConfig", for_all.to_str().unwrap()]);
    let address = guest.address();
    let urls = [
        ("plain", VM.to_owned()),
        ("place", format!("ssh://{VM}/~/my%20work")),
        ("absolute", format!("ssh://{VM}{}", guest.home().join("abs").display())),
        ("port", format!("{}:{}", address.ip(), address.port())),
    ];
    for (number, (name, url)) in urls.iter().enumerate() {
        assert_eq!(host.run(&["vm", "add", name, url]).code, Some(0), "{url}");
        let path = if *name == "plain" || *name == "port" { vec!["--path", name] } else { Vec::new() };
        host.stdout(&[vec!["prepare", name], path].concat());
        let worker = format!("pwd >../{name}.was && echo {number} >{name}");
        let done = match *name {
            "port" => work_with(&host, &for_all, name, &worker),
            _ => work(&host, guest, name, &worker),
        };
        assert!(done.status.success(), "{url}: {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(host.read(name), format!("{number}\n"), "{url}");
    }
    let was = fs::read_to_string(guest.home().join("place.was")).unwrap();
    assert!(was.ends_with("/home/my work\n"), "{was}");
});
