//! Logs in with keys, in ssh's order: those of IdentityFile that the agent holds, the agent's others, the files.
//!
//! Each key is offered by its public half first; only when the guest wants it does the agent sign, or is a passphrase
//! asked for.

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::asking::Asking;
use super::config::Config;
use super::handler::{Client, Lost};
use super::host_key::describe;
use super::key_file::{KeyFile, Unsigned};
use super::refused::{Denied, Refused};
use crate::error::Result;
use crate::text::path;

type Agent = AgentClient<UnixStream>;

/// Logs in.
///
/// # Errors
/// When no key is accepted, or the connection is lost.
pub async fn log_in(handle: &mut Handle<Client>, config: &Config, lost: &Lost, asking: &Asking) -> Result<(), Refused> {
    let mut login = Login { config, lost, asking, tried: Vec::new(), skipped: Vec::new(), rsa: None };
    let (mut agent, held) = login.agent(handle).await;
    let candidates = if config.pubkey { login.candidates(held) } else { Vec::new() };
    let mut takes = MethodSet::empty();
    for mut candidate in candidates {
        match login.offer(handle, &mut candidate, agent.as_mut()).await? {
            None => {}
            Some(AuthResult::Success) => return Ok(()),
            Some(AuthResult::Failure { remaining_methods, partial_success }) => {
                if partial_success {
                    config.reporter.trace("ssh: that key is accepted, and the guest wants more");
                }
                // Also what a lost connection looks like.
                if !remaining_methods.contains(&MethodKind::PublicKey) {
                    takes = remaining_methods;
                    break;
                }
                takes = remaining_methods;
            }
        }
    }
    if login.tried.is_empty() {
        // Some guests want nothing; the others say here what they want.
        match handle.authenticate_none(&config.user).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { remaining_methods, .. }) => takes = remaining_methods,
            Err(_) => {}
        }
    }
    Err(Refused::Denied(Box::new(login.denied(&takes))))
}

struct Login<'a> {
    config: &'a Config,
    lost: &'a Lost,
    asking: &'a Asking,
    /// What was offered, for the error.
    tried: Vec<String>,
    /// What was not, and why.
    skipped: Vec<(String, String)>,
    /// The hash for RSA signatures; asked for once.
    rsa: Option<Option<HashAlg>>,
}

/// A key to offer.
struct Candidate {
    /// Where it comes from, for people.
    from: String,
    key: Key,
}

enum Key {
    Agent(Box<AgentIdentity>),
    File(KeyFile),
}

impl Login<'_> {
    /// Connects to the agent, and returns what it holds; no agent, or one that fails, is no reason to stop.
    async fn agent(&mut self, handle: &Handle<Client>) -> (Option<Agent>, Vec<AgentIdentity>) {
        let Some(socket) = &self.config.agent else { return (None, Vec::new()) };
        let held = self.asking.during(async {
            let mut agent = Agent::connect_uds(socket).await?;
            if let Some(binding) = handle.agent_session_binding() {
                // Agents other than OpenSSH's know no constraints, and need no binding.
                let _ = agent.bind_session(binding, false).await;
            }
            let held = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, held))
        });
        match held.await {
            Ok((agent, held)) => (Some(agent), held),
            Err(error) => {
                self.skip(format!("the agent at '{}'", socket.display()), error.to_string());
                (None, Vec::new())
            }
        }
    }

    /// Returns the keys in the order in which they are offered.
    fn candidates(&mut self, held: Vec<AgentIdentity>) -> Vec<Candidate> {
        let mut files = Vec::new();
        for path in &self.config.identities {
            match KeyFile::read(path) {
                Ok(file) => files.extend(file),
                Err(why) => self.skip(format!("'{}'", path.display()), why),
            }
        }
        let (mut first, mut others) = (Vec::new(), Vec::new());
        for identity in held {
            let public = identity.public_key();
            let same = |file: &KeyFile| file.public.as_ref().is_some_and(|own| own.key_data() == public.key_data());
            let plain = matches!(identity, AgentIdentity::PublicKey { .. });
            if let Some(at) = files.iter().position(same).filter(|_| plain) {
                let from = format!("'{}', in the agent", files.remove(at).path.display());
                first.push(Candidate { from, key: Key::Agent(Box::new(identity)) });
            } else if !self.config.identities_only {
                let from = format!("{} in the agent", path(identity.comment().as_bytes()));
                others.push(Candidate { from, key: Key::Agent(Box::new(identity)) });
            }
        }
        let files = files.into_iter().filter(KeyFile::has_secret);
        let files = files.map(|file| Candidate { from: format!("'{}'", file.path.display()), key: Key::File(file) });
        first.into_iter().chain(others).chain(files).collect()
    }

    /// Offers a key; `None` when it could not be.
    async fn offer(
        &mut self,
        handle: &mut Handle<Client>,
        candidate: &mut Candidate,
        agent: Option<&mut Agent>,
    ) -> Result<Option<AuthResult>> {
        if let Key::File(file @ KeyFile { public: None, .. }) = &mut candidate.key {
            match file.unlock(self.config) {
                Ok(key) => file.public = Some(key.public_key().clone()),
                Err(failure) => return self.excuse(&candidate.from, failure),
            }
        }
        let public = match &candidate.key {
            Key::Agent(identity) => identity.public_key().into_owned(),
            Key::File(KeyFile { public: Some(public), .. }) => public.clone(),
            Key::File(_) => return Ok(None),
        };
        let hash = self.hash(handle, &public).await;
        let algorithm = match public.algorithm() {
            Algorithm::Rsa { .. } => Algorithm::Rsa { hash },
            algorithm => algorithm,
        };
        let accepted = &self.config.user_key_algorithms;
        if !accepted.is_empty() && !accepted.contains(&algorithm.to_string()) {
            let why = format!("ssh_config's PubkeyAcceptedAlgorithms lacks {algorithm}");
            self.skip(candidate.from.clone(), why);
            return Ok(None);
        }
        let shown = format!("{} ({})", describe(&public), candidate.from);
        self.config.reporter.trace(&format!("ssh: offering {shown}"));
        self.tried.push(shown);
        let user = &self.config.user;
        let certificate = match &candidate.key {
            Key::Agent(identity) => match &**identity {
                AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
                AgentIdentity::PublicKey { .. } => None,
            },
            Key::File(_) => None,
        };
        let mut pen = Pen { key: &mut candidate.key, agent, config: self.config, asking: self.asking };
        let answer = match certificate {
            Some(certificate) => handle.authenticate_certificate_with(user, certificate, hash, &mut pen).await,
            None => handle.authenticate_publickey_with(user, public, hash, &mut pen).await,
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) => self.excuse(&candidate.from, failure),
        }
    }

    /// Notes why a key cannot be used, unless that ends it all.
    fn excuse(&mut self, from: &str, failure: Unsigned) -> Result<Option<AuthResult>> {
        match failure {
            Unsigned::Skip(why) => {
                self.skip(from.to_owned(), why);
                Ok(None)
            }
            Unsigned::Stop(error) => Err(error),
            Unsigned::Lost => {
                Ok(Some(AuthResult::Failure { remaining_methods: MethodSet::empty(), partial_success: false }))
            }
        }
    }

    /// Returns the hash for a signature with this key: the best that the guest takes; a guest that does not say takes
    /// SHA-2, unless it is older than any that matters.
    async fn hash(&mut self, handle: &Handle<Client>, key: &PublicKey) -> Option<HashAlg> {
        if !key.algorithm().is_rsa() {
            return None;
        }
        if self.rsa.is_none() {
            let best = handle.best_supported_rsa_hash().await.ok().flatten();
            self.rsa = Some(best.unwrap_or(Some(HashAlg::Sha512)));
        }
        self.rsa.flatten()
    }

    fn skip(&mut self, from: String, why: String) {
        self.config.reporter.trace(&format!("ssh: skipping {from}: {why}"));
        self.skipped.push((from, why));
    }

    fn denied(self, takes: &MethodSet) -> Denied {
        let takes = takes.iter().map(|method| <&str>::from(method).to_owned());
        Denied {
            host: self.config.shown(),
            destination: self.config.destination.clone(),
            user: self.config.user.clone(),
            lost: self.lost.get(),
            offered: self.tried,
            skipped: self.skipped,
            takes: takes.collect(),
        }
    }
}

/// Signs with a key, wherever it is.
struct Pen<'a> {
    key: &'a mut Key,
    agent: Option<&'a mut Agent>,
    config: &'a Config,
    asking: &'a Asking,
}

impl russh::Signer for Pen<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        match (&mut *self.key, &mut self.agent) {
            (Key::File(file), _) => file.sign(self.config, hash, data),
            (Key::Agent(identity), Some(agent)) => {
                let signed = self.asking.during(agent.sign_request(identity, hash, data)).await;
                signed.map_err(|error| Unsigned::Skip(format!("the agent does not sign: {error}")))
            }
            (Key::Agent(_), None) => Err(Unsigned::Skip("the agent is gone".to_owned())),
        }
    }
}
