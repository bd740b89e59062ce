//! Hints are followed as a user follows them: pasted, one after the other. That each of them is a command at all is
//! checked wherever a test provokes one (support/hints.rs).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::boundaries::{code, listed, sources};
use crate::jj::{World, with_conflict};
use crate::support::guest::{TestGuest, VM};
use crate::support::host::{Host, Ran, edited, lines};
use crate::support::russh::Faults;
use crate::support::{guest_test, hints, is_root, require, set_mode, write_program};

/// Runs git-banger, which must end like this; then follows what it proposes. Returns how each command ended.
fn followed(host: &Host, args: &[&str], code: i32) -> Vec<Ran> {
    let (ran, followed) = host.follow(args, || {});
    assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
    assert!(!followed.is_empty(), "{args:?} proposes nothing: {ran:?}");
    followed
}

fn codes(ran: &[Ran]) -> Vec<i32> {
    ran.iter().map(|ran| ran.code.unwrap_or(-1)).collect()
}

guest_test!(a_guest_without_a_workspace_gets_one_and_the_work_comes_back, |guest| {
    let host = Host::new(guest);
    assert_eq!(codes(&followed(&host, &["export", VM], 4)), [0]);
    assert!(guest.file("a").exists());
    guest.write("a", edited("a", 1));
    // Nothing was recorded before; the hint of 'prepare' brings the work back.
    let away = host.path("away");
    fs::rename(guest.workspace(), &away).unwrap();
    let (_, pulled) = host.follow(&["prepare", VM], || {
        fs::remove_dir_all(guest.workspace()).unwrap();
        fs::rename(away, guest.workspace()).unwrap();
    });
    assert_eq!(codes(&pulled), [0]);
    assert_eq!(host.read("a"), edited("a", 1));
});

guest_test!(what_was_never_prepared_or_fetched_is_once_the_hint_was_followed, |guest| {
    let host = Host::new(guest);
    assert_eq!(codes(&followed(&host, &["rev", "HEAD@prepare", VM], 1)), [0]);
    assert_eq!(host.run(&["rev", "HEAD@prepare", VM]).code, Some(0));
    assert_eq!(codes(&followed(&host, &["rev", "HEAD@snapshot", VM], 1)), [0]);
    assert_eq!(host.run(&["rev", "HEAD@snapshot", VM]).code, Some(0));
    guest.write("a", edited("a", 1));
    assert_eq!(codes(&followed(&host, &["fetch", VM], 0)), [0]);
    // With several guests, each is proposed.
    host.git(&["config", "banger.two.url", "ssh://dev/~/two"]);
    assert_eq!(host.run(&["prepare", "two"]).code, Some(0));
    let ids = followed(&host, &["rev", "@prepare"], 2);
    assert_eq!((codes(&ids), &ids[0].stdout), (vec![0, 0], &"<id>\n".to_owned()));
});

guest_test!(a_base_that_the_guest_lacks_is_replaced_whatever_the_configuration_says, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    let exported = followed(&host, &["export", VM, "--base-commit=no-such-commit", "--name-only", "--", "a"], 4);
    assert_eq!((codes(&exported), exported[0].stdout.as_str()), (vec![0], "a\n"));
    host.git(&["config", "banger.base", "no-such-commit"]);
    let exported = followed(&host, &["export", VM, "--name-only"], 4);
    assert_eq!((codes(&exported), exported[0].stdout.as_str()), (vec![0], "a\n"));
});

#[test]
fn a_snapshot_is_no_base_and_the_prepared_head_is() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.stdout(&["fetch", VM]);
    guest.commit("by the worker");
    for (verb, base) in [("fetch", "HEAD@snapshot"), ("export", "@snapshot"), ("pull", "HEAD@snapshot")] {
        let followed = followed(&host, &[verb, VM, "--base-commit", base], 2);
        assert_eq!(codes(&followed), [0], "{verb}");
    }
    assert_eq!(host.read("a"), edited("a", 1));
}

guest_test!(both_meanings_of_a_pull_are_commands_and_so_is_the_one_for_good, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    guest.commit("by the worker");
    guest.write("b", edited("b", 1));
    let pulled = followed(&host, &["pull", VM], 1);
    assert_eq!(codes(&pulled), [0, 0, 0], "{pulled:?}");
    assert_eq!((host.read("a"), host.read("b")), (edited("a", 1), edited("b", 1)));
    assert_eq!(host.git(&["config", "banger.base"]), "HEAD@prepare");
    assert_eq!(host.run(&["pull", VM]).code, Some(0));
    host.git(&["config", "--unset", "banger.base"]);
    let exported = followed(&host, &["export", VM, "--name-only"], 0);
    assert_eq!(exported.iter().map(|ran| ran.stdout.as_str()).collect::<Vec<_>>(), ["a\nb\n", "b\n"]);
    assert!(exported.iter().all(|ran| !ran.stderr.contains("hint")), "{exported:?}");
});

guest_test!(work_that_a_prepare_would_replace_is_landed_or_saved, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    assert_eq!(codes(&followed(&host, &["prepare", VM], 1)), [0, 0]);
    assert_eq!((host.read("a"), fs::read_to_string(guest.file("a")).unwrap()), (edited("a", 1), edited("a", 1)));
    guest.write("b", edited("b", 1));
    let (ran, shown) = host.follow(&["prepare", VM, "--force"], || {});
    assert!(shown[0].stdout.contains("\n+b 1 edited\n"), "{ran:?} {shown:?}");
});

guest_test!(a_conflict_is_looked_at_and_lands_in_the_files, |guest| {
    let host = Host::new(guest);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.write("a", edited("a", 1).replace("edited", "mine"));
    let settled = followed(&host, &["pull", VM, "--base-commit", "@prepare"], 1);
    assert_eq!(codes(&settled), [0, 7], "{settled:?}");
    assert!(settled[0].stdout.contains("+a 1 edited") && host.read("a").contains("<<<<<<<"), "{settled:?}");
});

/// Runs git-banger, which must not trust the guest; then does what it says helps once the user has looked at the key.
///
/// That is no hint: who follows those blindly must not come to trust whoever answers.
fn trusting(guest: &TestGuest, host: &Host, args: &[&str]) {
    let ran = host.run(args);
    assert!(ran.code == Some(3) && !ran.stderr.contains("hint:"), "{ran:?}");
    let (_, command) = ran.stderr.split_once(" fingerprint: ").unwrap();
    let command = command.replace("<guest>/", guest.path("").to_str().unwrap());
    assert_eq!(host.paste(command.trim_end()).code, Some(0), "{command}");
}

guest_test!(a_host_key_is_trusted_or_forgotten_by_the_command_that_is_shown, |guest| {
    let host = Host::new(guest);
    let known = fs::read_to_string(guest.path("known_hosts")).unwrap();
    fs::write(guest.path("known_hosts"), "").unwrap();
    trusting(guest, &host, &["prepare", VM, "-q"]);
    assert_eq!(fs::read_to_string(guest.path("known_hosts")).unwrap(), known);
    assert_eq!(host.run(&["prepare", VM, "-q"]).code, Some(0));
    let (name, _) = known.split_once(' ').unwrap();
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKg90G9+Hnxt2W0oxYv2afKWaw4GT6ALRK4wXAym6lwD";
    fs::write(guest.path("known_hosts"), format!("{name} {other}\n")).unwrap();
    trusting(guest, &host, &["fetch", VM, "-q"]);
    trusting(guest, &host, &["fetch", VM, "-q"]);
    assert_eq!(host.run(&["fetch", VM, "-q"]).code, Some(0));
});

guest_test!(sessions_are_listed_stopped_replaced_and_read_on, |guest| {
    let host = Host::new(guest);
    let started = followed(&host, &["session", "start", VM, "s", "--cwd", "/", "--", "sh", "-c", "echo out"], 0);
    assert_eq!((codes(&started), started[0].stdout.as_str()), (vec![0], "out\n"));
    let replaced = followed(&host, &["session", "start", VM, "s", "--cwd", "/", "--", "sleep", "60"], 1);
    assert_eq!(codes(&replaced), [0], "{replaced:?}");
    let listed = followed(&host, &["session", "logs", VM, "t"], 1);
    assert!(listed[0].stdout.starts_with("s\trunning"), "{listed:?}");
    assert_eq!(codes(&followed(&host, &["session", "remove", VM, "s"], 1)), [0]);
    assert_eq!(host.run(&["session", "remove", VM, "s"]).code, Some(0));
});

#[test]
fn names_are_listed_and_forgotten() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    assert_eq!(codes(&followed(&host, &["vm", "remove", "box"], 1)), [0]);
    assert_eq!(host.run(&["vm", "add", "box", "ssh://dev"]).code, Some(0));
    assert_eq!(codes(&followed(&host, &["vm", "add", "box", "ssh://dev"], 1)), [0]);
    assert_eq!(host.run(&["vm", "list"]).stdout, "");
    // What git and scp take.
    for (text, url) in [
        ("dev:my work", "ssh://dev/~/my%20work"),
        ("me@dev:/srv/x", "ssh://me@dev/srv/x"),
        ("me@[::1]:x", "ssh://me@[::1]/~/x"),
    ] {
        let added = followed(&host, &["vm", "add", "box", text, "--base", "HEAD@prepare"], 2);
        assert_eq!(codes(&added), [0], "{text}");
        let config = (host.git(&["config", "banger.box.url"]), host.git(&["config", "banger.box.base"]));
        assert_eq!(config, (url.to_owned(), "HEAD@prepare".to_owned()));
        host.stdout(&["vm", "remove", "box"]);
    }
    for text in ["dev:0", "[::1]:0", "a b:c", "dev:", "https://dev/x"] {
        assert!(!host.run(&["vm", "add", "box", text]).stderr.contains("hint"), "{text}");
    }
}

#[test]
fn a_hint_works_from_where_the_user_stands() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let config = host.path("home/ssh config");
    fs::copy(guest.ssh_config(), &config).unwrap();
    host.git(&["config", "--unset", "banger.sshConfig"]);
    let elsewhere = host.path("tmp");
    let args = ["-C", "../repo", "-F", config.to_str().unwrap(), "export", VM];
    let ran = host.ran(host.banger(&args).current_dir(&elsewhere));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let hint = "hint: git banger -C ../repo -F '<host>/home/ssh config' prepare dev\n";
    assert!(ran.stderr.contains(hint), "{ran:?}");
}

#[test]
fn a_damaged_head_is_looked_for_with_git() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.write(".git/refs/heads/main", "0123456789012345678901234567890123456789\n");
    assert_eq!(codes(&followed(&host, &["prepare", VM, "-n"], 1)), [2], "git fsck finds it");
}

#[test]
fn a_guest_that_is_misspelt_is_not_shipped_to() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    let ran = host.run(&["pull", "devv", "--base-commit", "HEAD@prepare"]);
    let told = "error: nothing is recorded here as HEAD@prepare of guest 'devv'\n  did you mean guest 'dev'?\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), told));
    let ran = host.run(&["pull", VM, "--base-commit", "HEAD@prepar"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.starts_with("error: 'HEAD@prepar' is not a record\n  records are HEAD@prepare, "), "{ran:?}");
}

/// Runs git-banger, which must propose `hint`; then follows it, after `between`. Returns how it ended.
fn step(host: &Host, args: &[&str], hint: &str, between: impl FnOnce()) -> Ran {
    let ran = host.run(args);
    let proposed = hints::hints(&ran.stderr);
    assert!(proposed.contains(&hint), "{args:?} does not propose '{hint}': {ran:?}");
    between();
    host.paste(hint)
}

/// As [`step`], where nothing happens meanwhile and the hint must succeed.
fn taken(host: &Host, args: &[&str], hint: &str) -> Ran {
    let ran = step(host, args, hint, || {});
    assert_eq!(ran.code, Some(0), "{hint}: {ran:?}");
    ran
}

/// As [`taken`], in a workspace of jj's.
fn taken_in_jj(world: &World, ran: &Ran, hint: &str) {
    assert!(hints::hints(&ran.stderr).contains(&hint), "'{hint}' is not proposed: {ran:?}");
    let ran = world.paste(hint);
    assert_eq!(ran.code, Some(0), "{hint}: {ran:?}");
}

/// A small disk below the repository of a host, for as long as this lives.
struct Disk(std::path::PathBuf);

impl Disk {
    /// Moves the repository to one; `None` where the system does not let us mount it, as in a container, even as root.
    fn under(host: &Host, size: &str) -> Option<Disk> {
        let (kept, small) = (host.path("kept"), host.path("small"));
        fs::create_dir(&small).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&small);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "CI must mount a small disk for this test");
            eprintln!("skipped: no permission to mount a small disk");
            return None;
        }
        let disk = Disk(small);
        fs::rename(host.repo(), &kept).unwrap();
        assert!(Command::new("cp").arg("-a").arg(&kept).arg(disk.0.join("repo")).status().unwrap().success());
        std::os::unix::fs::symlink(disk.0.join("repo"), host.repo()).unwrap();
        host.git(&["update-index", "-q", "--refresh"]);
        Some(disk)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Makes a test of each next step, which follows it for real, and a list of them.
macro_rules! next_steps {
    ($($next:ident, $name:ident: $body:block)*) => {
        const FOLLOWED: &[&str] = &[$(stringify!($next)),*];
        mod next {
            use super::*;

            $(#[test]
            fn $name() $body)*
        }
    };
}

/// Returns the next steps that rooms may know, out of the source.
fn next_steps() -> BTreeSet<&'static str> {
    let (_, variants) = include_str!("../../src/error.rs").split_once("\npub enum Next {\n").unwrap();
    let (variants, _) = variants.split_once("\n}\n").unwrap();
    let lines = variants.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    lines.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap()).collect()
}

#[test]
fn every_next_step_is_followed_once() {
    let known = next_steps();
    assert!(known.len() > 10 && known.contains("Prepare") && known.contains("ResolveInJj"), "{known:?}");
    assert_eq!(FOLLOWED.iter().copied().collect::<BTreeSet<_>>(), known);
}

/// Runs git on the host, wherever.
fn git_in(host: &Host, dir: &Path, args: &[&str]) {
    let mut git = host.command("git");
    let output = git.current_dir(dir).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a repository upstream, out of another one; returns its URL.
fn upstream(host: &Host, of: &Path) -> String {
    let upstream = host.path("upstream.git");
    git_in(host, &host.path(""), &["clone", "-q", "--bare", of.to_str().unwrap(), upstream.to_str().unwrap()]);
    format!("file://{}", upstream.display())
}

/// What brings the work since the guest's own HEAD, whatever the host knows of it.
const FETCH: [&str; 4] = ["fetch", VM, "--base-commit", "HEAD"];

#[test]
fn a_history_that_a_guest_has_only_half_of_comes_when_it_is_whole() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    host.prepare();
    guest.git(&["checkout", "-q", "--orphan", "elsewhere"]);
    for name in ["one", "two"] {
        guest.write(name, "committed\n");
        guest.commit(name);
    }
    let upstream = upstream(&host, &guest.workspace());
    guest.write(".git/shallow", guest.git(&["rev-parse", "HEAD"]) + "\n");
    host.git(&["remote", "add", "origin", &upstream]);
    // That the host has the rest is no help: whoever names an object need not have it.
    for _ in 0..2 {
        let ran = host.run(&FETCH);
        assert!(ran.code == Some(5) && hints::hints(&ran.stderr).is_empty(), "{ran:?}");
        assert!(ran.stderr.contains("is shallow, make it whole there: git fetch --unshallow\n"), "{ran:?}");
        host.git(&["fetch", "-q"]);
    }
    guest.git(&["fetch", "-q", "--unshallow", &upstream]);
    assert_eq!(host.run(&FETCH).code, Some(0));
}

next_steps! {
    Prepare, prepare: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        taken(&host, &["export", VM], "git banger prepare dev");
        assert_eq!(host.run(&["export", VM]).code, Some(0));
    }

    Fetch, fetch: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.prepare();
        let Some(disk) = Disk::under(&host, "6m") else { return };
        let noise: Vec<u8> =
            (0..300_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        guest.write("noise", &noise);
        // There is room for what the guest sends, but not for its objects besides.
        let filler = disk.path().join("filler");
        let room = rustix::fs::statvfs(disk.path()).unwrap();
        let room = usize::try_from(room.f_bavail * room.f_frsize).unwrap();
        fs::write(&filler, vec![0; room - 1_800_000]).unwrap();
        let ran = step(&host, &FETCH, "git banger fetch dev", || fs::remove_file(&filler).unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(host.git(&["diff", "--name-only", "HEAD", "refs/banger/main/dev/snapshot"]), "noise");
    }

    BaseHead, the_base_that_is_head: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.prepare();
        let hint = "git banger fetch dev --base-commit HEAD";
        taken(&host, &["fetch", VM, "--base-commit", "no-such-commit"], hint);
    }

    SkipUnreadable, without_what_cannot_be_read: {
        let folder = tempfile::tempdir().unwrap();
        let shell = folder.path().join("shell");
        let drop = if is_root() { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "" };
        write_program(&shell, &format!("#!/bin/sh\nexec {drop} /bin/sh \"$@\"\n"));
        let guest = TestGuest::russh_with_shell(&shell);
        if is_root() {
            set_mode(&guest.path(""), 0o755);
            for name in ["home", "tmp"] {
                std::os::unix::fs::chown(guest.path(name), Some(65534), Some(65534)).unwrap();
            }
        }
        let host = Host::new(&guest);
        host.prepare();
        guest.write("secret", "unreadable\n");
        guest.write("new", "new\n");
        set_mode(&guest.file("secret"), 0o000);
        let args = ["pull", VM, "--base-commit", "@prepare"];
        let ran = taken(&host, &args, "git banger pull dev --base-commit @prepare --ignore-unreadable");
        assert_eq!((ran.stdout.as_str(), host.file("secret").exists()), ("A\tnew\n", false), "{ran:?}");
    }

    StopSession, a_session_that_is_stopped_first: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.run(&["session", "start", VM, "s", "--cwd", "/", "--", "sleep", "60"]);
        taken(&host, &["session", "remove", VM, "s"], "git banger session stop dev s");
        assert_eq!(host.run(&["session", "remove", VM, "s"]).code, Some(0));
    }

    ListSessions, the_list_of_sessions: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.run(&["session", "start", VM, "s", "--cwd", "/", "--", "sleep", "60"]);
        let ran = taken(&host, &["session", "logs", VM, "t"], "git banger session list dev");
        assert!(ran.stdout.starts_with("s\trunning"), "{ran:?}");
    }

    ReplaceSession, in_place_of_a_session: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        let start = |command| ["session", "start", VM, "s", "--cwd", "/", "--", command];
        assert_eq!(host.run(&start("true")).code, Some(0));
        assert_eq!(host.run(&["session", "wait", VM, "s", "-q"]).code, Some(0));
        taken(&host, &start("cat"), "git banger session start dev s --cwd / --replace -- cat");
        assert!(host.run(&["session", "list", VM]).stdout.starts_with("s\trunning"));
    }

    TakeOver, in_place_of_who_is_attached: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.run(&["session", "start", VM, "s", "--cwd", "/", "--", "sh", "-c", "echo out; sleep 60"]);
        let mut attach = host.command(env!("CARGO_BIN_EXE_git-banger"));
        attach.args(["session", "attach", VM, "s", "--from", "start"]);
        let mut first = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Once it shows output, it is attached; its stdin stays open.
        std::io::Read::read_exact(first.stdout.as_mut().unwrap(), &mut [0; 4]).unwrap();
        let ran = taken(&host, &["session", "attach", VM, "s"], "git banger session attach dev s --steal");
        assert!(ran.stderr.contains("attached to session 's'"), "{ran:?}");
        let stdin = first.stdin.take();
        let output = first.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(4) && said.contains("reports that somebody else took over the session"), "{said}");
        drop(stdin);
    }

    ShipNewest, the_newest_commit_alone: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.write("a", edited("a", 1));
        host.commit("second");
        // A history that is not all here, such as that of a clone whose server has gone.
        let lost = host.git(&["rev-parse", "HEAD~:a"]);
        fs::remove_file(host.file(&format!(".git/objects/{}/{}", &lost[..2], &lost[2..]))).unwrap();
        let ran = taken(&host, &["prepare", VM], "git banger prepare dev --depth 1");
        assert!(ran.stderr.starts_with("shipped branch 'main' at <id> (1 commit) to 'dev'"), "{ran:?}");
        assert_eq!(guest.git(&["log", "--format=%s"]), "second");
    }

    Unshallow, the_whole_history: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        for line in [1, 2] {
            host.write("a", edited("a", line));
            host.commit("more");
        }
        let upstream = upstream(&host, &host.repo());
        let config = fs::read_to_string(host.file(".git/config")).unwrap();
        fs::remove_dir_all(host.repo()).unwrap();
        git_in(&host, &host.path(""), &["clone", "-q", "--depth=1", "--branch=main", &upstream, "repo"]);
        fs::write(host.file(".git/config"), config).unwrap();
        host.git(&["remote", "add", "origin", &upstream]);
        host.prepare();
        // Its work goes out from a commit that leads to what it was given, and that is not here.
        guest.git(&["fetch", "-q", "--depth=3", &upstream, "main"]);
        guest.git(&["checkout", "-q", "HEAD~"]);
        guest.write("b", edited("b", 1));
        guest.commit("on the one before");
        taken(&host, &FETCH, "git fetch --unshallow");
        let ran = host.run(&FETCH);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    Fsck, damage: {
        let guest = TestGuest::russh();
        let host = Host::new(&guest);
        host.write(".git/refs/heads/main", "0123456789012345678901234567890123456789\n");
        let ran = step(&host, &["prepare", VM, "-n"], "git fsck", || {});
        assert!(ran.code == Some(2) && ran.stderr.contains("refs/heads/main"), "{ran:?}");
    }

    ResolveInJj, conflicts: {
        for world in [World::colocated(), World::separate()] {
            let config = world.host.path("home/.config/jj/config.toml");
            let mut text = fs::read_to_string(&config).unwrap();
            // What jj would open for the user takes the first side of each conflict.
            text.push_str("ui.merge-editor = ':ours'\n");
            fs::write(&config, text).unwrap();
            with_conflict(&world);
            let ran = world.pull(&["--conflict=record"]);
            assert!(world.jj(&["resolve", "--list", "-r", "@"]).starts_with("a "), "{ran:?}");
            taken_in_jj(&world, &ran, "jj resolve -r @");
            assert_eq!(world.log("@", "conflict"), "false");
            // Within the second in which it was made, jj would make the same commit again, and fails.
            let undo = || {
                std::thread::sleep(std::time::Duration::from_millis(1100));
                world.jj(&["undo"]);
            };
            undo();
            taken_in_jj(&world, &world.banger(&["prepare", VM, "-n"]), "jj resolve -r @");
            undo();
            world.jj(&["new"]);
            taken_in_jj(&world, &world.banger(&["prepare", VM, "-n"]), "jj resolve -r @-");
            let ran = world.banger(&["prepare", VM, "-n"]);
            assert_eq!((ran.code, world.log("@-", "conflict").as_str()), (Some(0), "false"), "{ran:?}");
        }
    }

    UpdateStaleInJj, a_stale_working_copy: {
        let mut world = World::colocated();
        world.prepare();
        world.guest.write("b", "theirs\n");
        world.jj(&["workspace", "add", "../second"]);
        let first = std::mem::replace(&mut world.root, world.host.path("second"));
        world.jj(&["describe", "-m", "said elsewhere", "default@"]);
        world.jj(&["restore", "--from", "root()", "--to", "default@", "a"]);
        world.root = first;
        taken_in_jj(&world, &world.pull(&[]), "jj workspace update-stale");
        let ran = world.pull(&[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\tb\n"), "{ran:?}");
    }

    AbandonNewChange, a_change_that_nothing_landed_in: {
        let world = World::colocated();
        world.prepare();
        world.jj(&["describe", "-m", "my work"]);
        world.write("b", "mine\n");
        world.guest.write("a", "theirs\n");
        // The real jj, but for the snapshot of the landing.
        let jj = world.host.path("bin/jj");
        let fails = "case \"$*\" in *--config-file*) echo 'Error: the disk is full' >&2; exit 1 ;; esac";
        write_program(&jj, &format!("#!/bin/sh\n{fails}\nexec \"$JJ\" \"$@\"\n"));
        let args = ["pull", VM, "--base-commit", "@prepare", "--new-change"];
        let mut command = world.command(env!("CARGO_BIN_EXE_git-banger"), &args);
        let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_str().unwrap();
        let path = format!("{}:{path}", jj.parent().unwrap().display());
        let ran = world.ran(command.env("PATH", path).env("JJ", require("jj")));
        assert_eq!((ran.code, world.log("@", "description.first_line()").as_str()), (Some(8), "pull dev"), "{ran:?}");
        taken_in_jj(&world, &ran, "jj abandon @");
        let shown = r#"separate(" ", empty, description.first_line())"#;
        assert_eq!((world.log("@", shown), world.log("@-", shown)), ("true".to_owned(), "false my work".to_owned()));
        assert_eq!((world.read("a"), world.read("b")), (lines("a"), "mine\n".to_owned()));
        let ran = world.pull(&["--new-change"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "M\ta\n"), "{ran:?}");
    }
}

guest_test!(a_landing_is_listed_taken_back_and_landed_again_by_hints, |guest| {
    let host = Host::new(guest);
    assert_eq!(codes(&followed(&host, &["undo"], 1)), [0]);
    host.prepare();
    guest.write("a", edited("a", 1));
    host.stdout(&["pull", VM, "-q"]);
    assert_eq!(followed(&host, &["undo"], 0)[0].stdout, "M\ta\n");
    assert_eq!(host.read("a"), edited("a", 1));
    host.git(&["checkout", "-q", "a"]);
    assert_eq!(followed(&host, &["pull", VM], 0)[0].stdout, "M\ta\n");
    assert_eq!(host.read("a"), edited("a", 1));
});

#[test]
fn in_jj_a_landing_is_looked_for_in_its_own_log() {
    let world = World::colocated();
    world.prepare();
    world.guest.write("a", "theirs\n");
    assert_eq!(world.pull(&[]).code, Some(0));
    taken_in_jj(&world, &world.banger(&["undo"]), "jj op log");
    let shown = world.paste("jj op log").stdout;
    assert!(shown.contains("pull dev"), "{shown}");
}

/// Each test that follows a command which is proposed, with where that is: the file, and how the source begins to say what
/// for.
const PROPOSED: &[(&str, &[(&str, &str)])] = &[
    (
        "a_conflict_is_looked_at_and_lands_in_the_files",
        &[("blocked.rs", "shows what the guest did"), ("blocked.rs", "purpose")],
    ),
    ("a_conflict_over_what_was_thrown_away_names_the_way_and_that_lands_both", &[("blocked.rs", "first lands again")]),
    (
        "a_conflict_that_lands_says_which_side_is_on_disk_and_comes_again_where_it_is_not",
        &[("pulled.rs", "shows the guest's version")],
    ),
    ("a_guest_without_a_workspace_gets_one_and_the_work_comes_back", &[("prepare.rs", "brings work back later")]),
    ("a_key_is_copied_to_a_guest_that_does_not_know_it", &[("refused.rs", "installs your key")]),
    (
        "a_landing_is_listed_taken_back_and_landed_again_by_hints",
        &[("pulled.rs", "lands it again"), ("undo.rs", "lands it again"), ("undo.rs", "lists what has landed")],
    ),
    ("a_log_that_was_cut_goes_on_where_it_was", &[("session/logs.rs", "goes on from there")]),
    (
        "both_meanings_of_a_pull_are_commands_and_so_is_the_one_for_good",
        &[
            ("export.rs", "exports them too"),
            ("export.rs", "exports the same without this warning"),
            ("pull.rs", "with_commits"),
            ("pull.rs", "format!(\"brings only what is not committed there"),
            ("pull.rs", "takes the prepared head in every pull from now on"),
        ],
    ),
    ("in_jj_a_landing_is_looked_for_in_its_own_log", &[("undo.rs", "shows it")]),
    (
        "names_are_listed_and_forgotten",
        &[("vm.rs", ""), ("vm.rs", "forgets that one"), ("vm.rs", "says the same as a url")],
    ),
    ("one_that_is_refused_or_away_is_told_and_the_others_land", &[("blocked.rs", "lands the rest")]),
    (
        "landed_work_that_is_no_longer_here_counts_and_lands_again",
        &[("status.rs", "lands again what is no longer here")],
    ),
    ("sessions_are_listed_stopped_replaced_and_read_on", &[("session/start.rs", "")]),
    (
        "something_is_left_until_it_has_landed_and_again_once_that_is_taken_back",
        &[("status.rs", "brings what has not landed")],
    ),
    (
        "what_rests_on_commits_names_them_and_comes_again_where_it_is_nowhere_on_disk",
        &[("blocked.rs", "lands those commits too")],
    ),
    (
        "what_was_never_prepared_or_fetched_is_once_the_hint_was_followed",
        &[("base.rs", ""), ("fetch.rs", ""), ("rev.rs", "")],
    ),
    (
        "work_that_a_prepare_would_replace_is_landed_or_saved",
        &[("replaced.rs", "lands it"), ("replaced.rs", "first saves it"), ("replaced.rs", "shows it")],
    ),
    ("where_it_cannot_tell_it_never_says_that_nothing_is_left", &[("status.rs", "lists those that have a name")]),
    ("a_snapshot_is_no_base_and_the_prepared_head_is", &[("base.rs", "takes all since it was prepared")]),
];

/// Returns where commands are proposed.
fn proposed() -> Vec<(String, String)> {
    let mut proposed = Vec::new();
    for (file, text) in sources("src/commands") {
        let code = code(&text);
        let calls = [".run(", ".hint("].into_iter().flat_map(|call| code.split(call).skip(1).map(listed));
        for purpose in calls.filter_map(|arguments| arguments.into_iter().nth(1)) {
            let bare = purpose.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&purpose);
            proposed.push((file.trim_start_matches("src/commands/").to_owned(), bare.to_owned()));
        }
    }
    // Nobody wants a test to build jj.
    proposed.retain(|(_, purpose)| purpose != "builds and installs it");
    proposed
}

#[test]
fn every_command_that_is_proposed_is_followed_by_a_test() {
    let tests: String = sources("tests/it").into_iter().map(|(_, text)| text).collect();
    let is = |place: &(&str, &str), (file, purpose): &(String, String)| {
        place.0 == file && (place.1 == purpose || !place.1.is_empty() && purpose.starts_with(place.1))
    };
    let proposed = proposed();
    for there in &proposed {
        let known = PROPOSED.iter().any(|(_, places)| places.iter().any(|place| is(place, there)));
        assert!(known, "no test in PROPOSED follows what is proposed here: {there:?}");
    }
    for (test, places) in PROPOSED {
        let starts = [format!("fn {test}("), format!("guest_test!({test},")];
        assert!(starts.iter().any(|start| tests.contains(start)), "there is no test '{test}'");
        for place in *places {
            assert!(proposed.iter().any(|there| is(place, there)), "{place:?} proposes nothing any more");
        }
    }
}

#[test]
fn a_log_that_was_cut_goes_on_where_it_was() {
    let guest = TestGuest::russh();
    let host = Host::new(&guest);
    let noise = "seq 1 200000";
    assert_eq!(host.run(&["session", "start", VM, "s", "--cwd", "/", "--", "sh", "-c", noise]).code, Some(0));
    assert_eq!(host.run(&["session", "wait", VM, "s", "-q"]).code, Some(0));
    guest.set_faults(Faults { cut_down: Some(700_000), ..Faults::default() });
    let (ran, went_on) = host.follow(&["session", "logs", VM, "s", "--follow"], || guest.set_faults(Faults::default()));
    assert!(ran.code == Some(3) && !ran.stdout.is_empty(), "{:?} {}", ran.code, ran.stderr);
    assert_eq!(
        (ran.stderr.matches("hint: git banger session logs dev s --follow --since ").count(), went_on.len()),
        (1, 1)
    );
    let whole: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(ran.stdout + &went_on[0].stdout == whole && went_on[0].code == Some(0), "{}", went_on[0].stderr);
}

guest_test!(a_key_is_copied_to_a_guest_that_does_not_know_it, |guest| {
    let host = Host::new(guest);
    let stranger = host.path("home/stranger");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(&stranger);
    assert!(keygen.status().unwrap().success());
    let known = fs::read_to_string(guest.ssh_config()).unwrap();
    let own = guest.path("client_key").display().to_string();
    fs::write(guest.ssh_config(), known.replace(&own, stranger.to_str().unwrap())).unwrap();
    let ran = host.run(&["prepare", VM]);
    let hint = "ssh-copy-id -F <guest>/ssh_config dev";
    assert!(ran.code == Some(3) && hints::hints(&ran.stderr).contains(&hint), "{ran:?}");
    // A dry run, of which ssh-copy-id says what it would copy; the key that it takes is the newest of the user's.
    let ssh = host.path("home/.ssh");
    fs::create_dir(&ssh).unwrap();
    set_mode(&ssh, 0o700);
    for name in ["", ".pub"] {
        fs::copy(host.path(&format!("home/stranger{name}")), ssh.join(format!("id_ed25519{name}"))).unwrap();
    }
    let dry = format!("ssh-copy-id -n -F {} dev", guest.ssh_config().display());
    let copied = host.paste(&dry);
    let key = fs::read_to_string(ssh.join("id_ed25519.pub")).unwrap();
    assert!(copied.code == Some(0) && copied.stdout.contains(key.split(' ').nth(1).unwrap()), "{copied:?}");
});
