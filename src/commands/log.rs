//! `git banger log`: what has landed in this working copy.

use std::collections::HashSet;

use serde::Serialize;

use super::{App, report};
use crate::cli::Log;
use crate::error::Result;
use crate::host::landing::log::Stat;
use crate::host::landing::record::{Landing, LandingKind, standing_and_undone};
use crate::text::{self, count};

/// Lists the landings.
///
/// # Errors
/// If what is recorded cannot be read.
pub fn run(args: &Log, app: &App) -> Result<()> {
    let repo = app.repo()?;
    let mut landings = repo.landings()?;
    let (standing, _) = standing_and_undone(&landings);
    let standing: HashSet<u64> = standing.into_iter().collect();
    landings.retain(|landing| args.vm.as_ref().is_none_or(|vm| *vm == landing.vm));
    let stats = repo.stats(&landings)?;
    if args.json {
        let listed: Vec<_> =
            landings.iter().zip(&stats).map(|(landing, stat)| Listed::of(landing, stat, &standing)).collect();
        return report::json(app.ui(), &listed);
    }
    for (landing, stat) in landings.iter().zip(&stats) {
        let Landing { number, time, vm, base, kind, .. } = landing;
        let what = match kind {
            LandingKind::Work if standing.contains(number) => String::new(),
            LandingKind::Work => "\ttaken back".to_owned(),
            LandingKind::Undo(number) => format!("\ttook back {number}"),
            LandingKind::Redo(number) => format!("\tlanded {number} again"),
        };
        let files = format!("{} (+{} -{})", count(stat.files, "file"), stat.insertions, stat.deletions);
        let vm = text::sanitise(vm.as_bytes(), text::Keep::Nothing);
        app.ui().data(&format!("{number}\t{time}\t{vm}\tsince {}\t{files}{what}\n", base.short()))?;
        if args.patch {
            app.ui().data_stream(&mut repo.landing_patch(landing)?)?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed<'a> {
    number: u64,
    vm: &'a str,
    time: &'a str,
    base: &'a str,
    kind: &'static str,
    /// The landing that this one took back or landed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    stands: bool,
    files: u64,
    insertions: u64,
    deletions: u64,
}

impl Listed<'_> {
    fn of<'a>(landing: &'a Landing, stat: &Stat, standing: &HashSet<u64>) -> Listed<'a> {
        let (kind, of) = match landing.kind {
            LandingKind::Work => ("landing", None),
            LandingKind::Undo(number) => ("undo", Some(number)),
            LandingKind::Redo(number) => ("redo", Some(number)),
        };
        Listed {
            number: landing.number,
            vm: &landing.vm,
            time: &landing.time,
            base: landing.base.as_str(),
            kind,
            of,
            stands: standing.contains(&landing.number),
            files: stat.files,
            insertions: stat.insertions,
            deletions: stat.deletions,
        }
    }
}
