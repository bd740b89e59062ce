//! The words for why there is no connection.

use crate::error::Error;
use crate::ssh::{Denied, Distrust, Refused, Untrusted};
use crate::text::shell_word;

/// Returns the error that says why the vm was not reached.
pub fn error(refused: Refused) -> Error {
    match refused {
        Refused::Untrusted(untrusted) => self::untrusted(&untrusted),
        Refused::Denied(denied) => self::denied(&denied),
        Refused::Failed(error) => error,
    }
}

fn untrusted(Untrusted { host, shows, why }: &Untrusted) -> Error {
    let distrust = |why: &str| Error::unreachable(format!("cannot trust {host}: {why}"));
    match why {
        Distrust::Revoked(file, line) => distrust("its host key is revoked")
            .detail(format!("it shows {shows}, revoked in {}:{line}", file.display())),
        Distrust::Changed { known: (file, line), key, name } => distrust("its host key has changed")
            .detail(format!("it shows {shows}"))
            .detail(format!("known in {}:{line} is {key}", file.display()))
            .detail("the guest was rebuilt, or another machine is answering in its place")
            // No hint: who follows it blindly would trust whoever answers.
            .detail(format!(
                "if the guest was rebuilt, and its own console shows the new fingerprint: ssh-keygen -f {} -R {}",
                shell_word(file),
                shell_word(name)
            )),
        Distrust::Unknown { add } => {
            let error = distrust("its host key is not known").detail(format!("it shows {shows}"));
            match add {
                Some((file, line)) => error.detail(format!(
                    "if the guest's own console shows the same fingerprint: echo {} >>{}",
                    shell_word(line),
                    shell_word(file)
                )),
                None => error,
            }
        }
    }
}

fn denied(denied: &Denied) -> Error {
    let Denied { host, user, lost, takes, .. } = denied;
    let mut error = match lost {
        Some(why) => Error::unreachable(format!("cannot log in to {host}: {why}")),
        None => Error::unreachable(format!("{host} refuses to log in user '{user}'")),
    };
    if denied.offered.is_empty() {
        error = error.detail("there was no key to offer");
    }
    for key in &denied.offered {
        error = error.detail(format!("offered {key}"));
    }
    for (key, why) in &denied.skipped {
        error = error.detail(format!("skipped {key}: {why}"));
    }
    let takes_keys = takes.iter().any(|method| method == "publickey");
    if !takes.is_empty() && !takes_keys {
        error = error.detail(format!("the guest takes {}, and git-banger has only keys", takes.join(", ")));
    }
    if lost.is_some() && denied.offered.len() > 1 {
        error.detail(
            "the server counts each key offered: name the right one in ~/.ssh/config, with 'IdentitiesOnly yes'",
        )
    } else if takes_keys && !denied.offered.is_empty() {
        let command = format!("ssh-copy-id {}", denied.destination.join(" "));
        error.run(command, "installs your key, if you can log in another way (such as a password)")
    } else {
        error
    }
}
