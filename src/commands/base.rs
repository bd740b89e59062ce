//! The base of an export: the guest's HEAD, what is recorded here, or a revision of the guest.

use super::App;
use crate::error::{Error, Result};
use crate::host::intake::Asked;
use crate::host::{Records, Repo};
use crate::settings::Settings;
use crate::snapshot::{Oid, Snapshot};
use crate::text;
use crate::vm::Vm;

/// The base that was asked for.
pub struct Base {
    /// As the user wrote it; `None` when it was left out.
    written: Option<String>,
    /// For the guest to resolve.
    pub revision: String,
    /// What it was asked for as.
    pub asked: Asked,
}

/// A record that a revision can name, such as `HEAD@prepare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The prepared head.
    Prepare,
    /// The guest's files right after prepare.
    Baseline,
    /// The guest's work when it was fetched last.
    Snapshot,
}

impl Recorded {
    /// All of them, with what each is called and what it is.
    pub const ALL: [(Recorded, &str, &str); 3] = [
        (Recorded::Prepare, "prepare", "the head that was prepared"),
        (Recorded::Baseline, "baseline", "the guest's files right after prepare"),
        (Recorded::Snapshot, "snapshot", "the guest's work when it was fetched last"),
    ];

    /// Returns which record a revision names: `HEAD@prepare`, short `@prepare`; `None` when it is another revision.
    ///
    /// # Errors
    /// If it names a record that there is not; git's own `HEAD@{…}` is another revision.
    pub fn parse(revision: &str) -> Result<Option<Recorded>> {
        let Some(name) = revision.strip_prefix("HEAD").unwrap_or(revision).strip_prefix('@') else { return Ok(None) };
        match Recorded::ALL.into_iter().find(|(_, known, _)| *known == name) {
            Some((kind, ..)) => Ok(Some(kind)),
            None if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) => Ok(None),
            None => Err(Error::usage(format!("{} is not a record", text::path(revision.as_bytes()))).detail(NAMES)),
        }
    }

    /// Returns what is recorded for a guest.
    ///
    /// # Errors
    /// If nothing is.
    pub fn of<'a>(self, records: &'a Records, repo: &Repo, app: &App) -> Result<&'a Oid> {
        let record = match self {
            Recorded::Prepare => &records.prepare,
            Recorded::Baseline => &records.baseline,
            Recorded::Snapshot => &records.snapshot,
        };
        record.as_ref().ok_or_else(|| self.missing(&records.vm, repo, app))
    }

    fn missing(self, vm: &str, repo: &Repo, app: &App) -> Error {
        let (name, next) = match self {
            Recorded::Prepare => ("prepare", "prepare"),
            Recorded::Baseline => ("baseline", "prepare"),
            Recorded::Snapshot => ("snapshot", "fetch"),
        };
        let error = Error::refused(format!("nothing is recorded here as HEAD@{name} of guest '{vm}'")).with_vm(vm);
        let known = known_guests(repo, &app.settings);
        match known.iter().filter(|known| is_near(known, vm)).min() {
            Some(near) => error.detail(format!("did you mean guest '{near}'?")),
            None => error.run(app.line().banger([next, vm]), ""),
        }
    }
}

/// What a name of ours can be.
pub const NAMES: &str =
    "records are HEAD@prepare, HEAD@baseline and HEAD@snapshot, for short @prepare, @baseline and @snapshot";

fn known_guests(repo: &Repo, settings: &Settings) -> Vec<String> {
    let named = settings.vms().into_iter().map(|vm| vm.name);
    named.chain(repo.prepared_vms().unwrap_or_default()).collect()
}

/// Tells whether a name may be a misspelling of another.
fn is_near(known: &str, name: &str) -> bool {
    let distance = strsim::osa_distance(known, name);
    distance > 0 && distance * 2 < known.len()
}

impl Base {
    /// Returns the base of the flag, else of the configuration, else the guest's HEAD.
    ///
    /// # Errors
    /// If it names what is not recorded here, or cannot be a revision.
    pub fn choose(flag: Option<&str>, vm: &Vm, records: Option<(&Repo, &Records)>, app: &App) -> Result<Base> {
        let Some(written) = flag.or(vm.base.as_deref()).map(str::to_owned) else {
            return Ok(Base { written: None, revision: "HEAD".to_owned(), asked: Asked::Head });
        };
        if written.is_empty() || written.starts_with('-') || written.contains(char::is_control) {
            return Err(Error::usage(format!("{} cannot be a base", text::path(written.as_bytes())))
                .detail("a base is HEAD@prepare, or a revision of the guest"));
        }
        let revision = match (Recorded::parse(&written)?, records) {
            (Some(Recorded::Snapshot), _) => {
                return Err(Error::usage(format!("'{written}' cannot be a base: the guest has no such commit"))
                    .with_vm(&vm.name)
                    .detail("a snapshot is made for the host, and nothing of it is kept in the guest")
                    .run(app.line().with("--base-commit", Some("HEAD@prepare")), "takes all since it was prepared"));
            }
            (Some(kind), Some((repo, records))) => kind.of(records, repo, app)?.to_string(),
            (Some(_), None) => {
                return Err(
                    Error::refused(format!("'{written}' needs a repository, and this is not one")).with_vm(&vm.name)
                );
            }
            (None, _) => written.clone(),
        };
        let asked = match revision.parse() {
            Ok(oid) => Asked::Commit(oid),
            Err(_) if matches!(revision.as_str(), "HEAD" | "@") => Asked::Head,
            Err(_) => Asked::Revision,
        };
        Ok(Base { written: Some(written), revision, asked })
    }

    /// Tells whether the user left the base open.
    pub fn is_open(&self) -> bool {
        self.written.is_none()
    }

    /// Returns the base for a message: as written, and the commit.
    pub fn shown(&self, snapshot: &Snapshot) -> String {
        format!("{} ({})", self.written.as_deref().unwrap_or("HEAD"), snapshot.base.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_with_head_or_without_and_gits_own_revisions_are_left_alone() {
        for (written, kind) in [
            ("HEAD@prepare", Some(Recorded::Prepare)),
            ("@snapshot", Some(Recorded::Snapshot)),
            ("@", None),
            ("HEAD", None),
            ("HEAD@{1}", None),
            ("@{upstream}", None),
            ("@~2", None),
            ("main", None),
        ] {
            assert_eq!(Recorded::parse(written).unwrap(), kind, "{written}");
        }
        for written in ["HEAD@prepar", "@base", "@Prepare"] {
            assert!(Recorded::parse(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_misspelt_guest_is_near_and_another_is_not() {
        assert!(is_near("dev", "devv") && is_near("build", "bulid"));
        assert!(!is_near("dev", "dev") && !is_near("dev", "prod") && !is_near("a", "b"));
    }
}
