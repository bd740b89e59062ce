//! `git banger vm check`: what will work in a guest, and what cures what will not.

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::VmCheck;
use crate::commands::{App, report};
use crate::error::{Error, Result};
use crate::guest::Findings;
use crate::text::{self, Keep, count, sanitise};

/// Less free room than this is worth a word, in KiB.
const LITTLE: u64 = 100 * 1024;

/// One line of the examination.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    result: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Limited,
    Bad,
}

/// Looks at a guest, and prints each check with its result and its cure.
///
/// # Errors
/// When the guest is not reached, or something that every command needs is missing.
pub fn run(args: &VmCheck, app: &App) -> Result<ExitCode> {
    let vm = app.vm(&args.vm, Some(""))?;
    let guest = app.connect(&vm)?;
    let found = guest.check()?;
    guest.close();
    let user = text::path(found.user.as_bytes());
    let mut checks = vec![ok("reach", format!("logged in as {user} on {}", found.system))];
    checks.push(git(&found));
    checks.push(workspace(&found, app, &vm.name, &vm.path));
    checks.push(room(&found));
    checks.extend(sessions(&found));
    let bad = checks.iter().filter(|check| check.result == Verdict::Bad).count() as u64;
    let failure = (bad > 0)
        .then(|| Error::incapable(format!("guest '{}' has {}", vm.name, count(bad, "problem"))).with_vm(&vm.name));
    if args.json {
        let examined = Examined { vm: &vm.name, checks };
        if let Some(error) = failure {
            return Ok(app.voice.fail_with(&error, report::object(&examined)?));
        }
        report::json(app.ui(), &examined)?;
        return Ok(ExitCode::SUCCESS);
    }
    for check in &checks {
        app.ui().data(&line(check))?;
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// What was found, for JSON.
#[derive(Serialize)]
struct Examined<'a> {
    vm: &'a str,
    checks: Vec<Check>,
}

fn line(check: &Check) -> String {
    let result = match check.result {
        Verdict::Ok => "ok",
        Verdict::Limited => "limited",
        Verdict::Bad => "bad",
    };
    let cure = check.cure.as_ref().map(|cure| sanitise(cure.as_bytes(), Keep::Nothing));
    let cure = cure.map(|cure| format!("\n{:20}cure: {cure}", "")).unwrap_or_default();
    let found = sanitise(check.found.as_bytes(), Keep::Nothing);
    format!("{result:<9}{:<11}{found}{cure}\n", check.check)
}

fn ok(check: &'static str, found: String) -> Check {
    Check { check, result: Verdict::Ok, found, cure: None }
}

fn limited(check: &'static str, found: &str, cure: &str) -> Check {
    Check { check, result: Verdict::Limited, found: found.to_owned(), cure: Some(cure.to_owned()) }
}

fn bad(check: &'static str, found: String, cure: String) -> Check {
    Check { check, result: Verdict::Bad, found, cure: Some(cure) }
}

fn git(found: &Findings) -> Check {
    let mut parts = found.git.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match (found.git.as_str(), version >= (2, 25)) {
        ("", _) => bad("git", "not installed".to_owned(), "install git 2.25 or later in the guest".to_owned()),
        (git, true) => ok("git", git.to_owned()),
        (git, false) => bad("git", format!("{git} is too old"), "install git 2.25 or later in the guest".to_owned()),
    }
}

fn workspace(found: &Findings, app: &App, vm: &str, path: &str) -> Check {
    let named = text::path(path.as_bytes());
    let prepare = app.line().banger(["prepare", vm]);
    match found.workspace.as_str() {
        "ready" if found.branch.is_empty() => ok("workspace", format!("{named}, with a detached HEAD")),
        "ready" => ok("workspace", format!("{named}, on branch {}", text::path(found.branch.as_bytes()))),
        "readonly" => ok("workspace", format!("{named}, which the SSH user can only read")),
        _ if path.is_empty() => limited("workspace", "none is named, and none was prepared", &prepare),
        "absent" => limited("workspace", &format!("{named} is not there yet"), &prepare),
        "closed" => bad("workspace", format!("{named} cannot be entered"), "give the SSH user access to it".to_owned()),
        _ => bad(
            "workspace",
            format!("{named} is no repository that git there can use"),
            format!("git config banger.{vm}.path DIR, for another; or git config --global safe.directory in the guest"),
        ),
    }
}

fn room(found: &Findings) -> Check {
    let size = |kib: Option<u64>| match kib {
        Some(kib) if kib >> 20 >= 10 => format!("{} GiB", kib >> 20),
        Some(kib) => format!("{} MiB", kib >> 10),
        None => "an unknown size".to_owned(),
    };
    let tmp = text::path(found.tmp.as_bytes());
    let told = format!("{} free in {tmp}, {} at home", size(found.tmp_room), size(found.home_room));
    let little = [found.tmp_room, found.home_room].into_iter().flatten().any(|room| room < LITTLE);
    if little { limited("room", &told, "make room, or set TMPDIR for the SSH user") } else { ok("room", told) }
}

fn sessions(found: &Findings) -> Vec<Check> {
    let mut checks = vec![match found.means.as_str() {
        "nothing" => limited(
            "sessions",
            "nothing sets a process apart: 'session stop' does not reach its children",
            "install util-linux, perl or python3 in the guest",
        ),
        "plain-setsid" | "busybox" => limited(
            "sessions",
            "processes start with INT and QUIT ignored, as after '&' in a shell",
            "install util-linux, perl or python3 in the guest",
        ),
        means => ok("sessions", format!("set apart by {means}")),
    }];
    let costs = [
        ("flock", "no flock: locks are files that name their holder, and waiting for one takes longer"),
        ("cksum", "no cksum: a message is checked by its length alone"),
        ("sleep", "sleep knows whole seconds only: sessions answer later"),
        ("io", "no /proc/PID/io: a message to a reader that stalls ends as not known, never as refused"),
    ];
    let lacking = costs.iter().filter(|(tool, _)| found.lacks.split(' ').any(|lacks| lacks == *tool));
    checks.extend(lacking.map(|(tool, cost)| match *tool {
        "io" => Check { check: "sessions", result: Verdict::Limited, found: (*cost).to_owned(), cure: None },
        _ => limited("sessions", cost, "install util-linux and coreutils in the guest"),
    }));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_price_and_its_cure() {
        let found = Findings { means: "nothing".into(), lacks: " flock io".into(), ..Findings::default() };
        let checks = sessions(&found);
        let told: Vec<_> = checks.iter().map(|check| check.found.split(':').next().unwrap()).collect();
        assert_eq!(told, ["nothing sets a process apart", "no flock", "no /proc/PID/io"]);
        assert!(checks.iter().all(|check| check.result == Verdict::Limited));
        assert_eq!(git(&Findings::default()).result, Verdict::Bad);
        for (version, verdict) in [("2.24.9", Verdict::Bad), ("2.25.0", Verdict::Ok), ("3.0", Verdict::Ok)] {
            assert_eq!(git(&Findings { git: version.into(), ..Findings::default() }).result, verdict, "{version}");
        }
    }
}
