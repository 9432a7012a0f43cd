//! Any git server, without an API: heads by one question of git's own protocol, trees by the hardened client.

mod cache;
mod changes;
mod command;
mod failure;
mod listing;
pub(crate) mod ls_refs;
mod pkt_line;
mod scratch;
mod transport;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use http::HeaderValue;
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, Forge, ForgeError, ForgeErrorKind,
    Heads, HeadsAnswer, HeadsQuery, Tree, TreeQuery, Validator,
};
use sentry_core::repo::{BranchName, CommitSha, RepoUrl, Scheme};
use sentry_core::secret::Secret;
use sha2::{Digest as _, Sha256};

use crate::credential::{self, Credential};
use crate::gate::{Gate, Pass, Right};
use crate::http::{Http, HttpSettings};
use ls_refs::RefList;
pub use transport::Transport;

/// Questions for heads that are under way at once.
const AT_ONCE: usize = 16;

/// How git is started.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The program: a name that is looked up in `PATH`, or a path. 2.39 or later.
    pub git: PathBuf,
    /// How to reach the network, as for the forges' APIs.
    pub http: HttpSettings,
    /// What ssh remotes are reached with; without it they are refused.
    pub ssh: Option<SshSettings>,
    /// Where the directories of fetches are made, the system's temporary directory if `None`.
    pub temp_dir: Option<PathBuf>,
}

impl TransportSettings {
    /// `git` from the `PATH`, no ssh, the system's temporary directory.
    #[must_use]
    pub fn new(http: HttpSettings) -> Self {
        Self { git: "git".into(), http, ssh: None, temp_dir: None }
    }
}

/// What ssh remotes are reached with. No agent and no file of a home directory is used besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSettings {
    /// The private key, without a passphrase.
    pub key_file: PathBuf,
    /// The hosts' public keys; an unknown host is refused.
    pub known_hosts_file: PathBuf,
}

/// What a [`GitForge`] is made of.
#[derive(Debug)]
pub struct GitSettings {
    /// The name that watches refer to it by.
    pub name: String,
    /// What https repositories are asked with.
    pub credential: Credential,
    /// The user name that goes with the token; `git` where the server does not care.
    pub username: String,
    /// The shared HTTP client.
    pub http: Http,
    /// The shared git client.
    pub transport: Arc<Transport>,
}

/// A forge that is nothing but a git server, or a directory with repositories.
#[derive(Debug)]
pub struct GitForge {
    settings: GitSettings,
    /// One for each server, by origin: what it says about our welcome holds for all its repositories.
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// Repositories that were seen to have another address now.
    moved: Mutex<HashMap<RepoUrl, RepoUrl>>,
}

/// All that is needed to ask a server; ssh and directories have neither a token nor a gate.
struct Visit {
    gate: Option<Arc<Gate>>,
    token: Option<Secret>,
    header: Option<HeaderValue>,
}

impl Visit {
    /// The right to ask now.
    async fn enter<'a>(&'a self, repo: &'a RepoUrl) -> Result<Option<Pass<'a>>, ForgeError> {
        match &self.gate {
            Some(gate) => gate.enter(self.token.as_ref(), repo, Right::Read).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Learns from the outcome of a visit.
fn conclude<T>(pass: Option<Pass<'_>>, outcome: Result<T, ForgeError>) -> Result<T, ForgeError> {
    match pass {
        Some(pass) => pass.conclude(outcome),
        None => outcome,
    }
}

impl GitForge {
    /// One with these settings. Asks nothing yet.
    #[must_use]
    pub fn new(settings: GitSettings) -> Self {
        Self { settings, gates: Mutex::default(), moved: Mutex::default() }
    }

    /// Asks a repository for its branches, to see that it is there and may be read; returns how many it has.
    ///
    /// # Errors
    /// As [`Forge::heads`].
    pub async fn probe(&self, repo: &RepoUrl) -> Result<usize, ForgeError> {
        Ok(self.refs(repo, &[]).await?.refs.len())
    }

    async fn heads_of(&self, query: &HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        let prefixes: Vec<String> = query.branches.prefixes().map(str::to_owned).collect();
        let refs = self.refs(&query.repo, &prefixes).await?.refs.into_iter();
        let heads: BTreeMap<_, _> = refs.filter(|(name, _)| query.branches.matches(name)).collect();
        let renamed_to = self.moved(&query.repo);
        let validator = Some(digest(&heads, renamed_to.as_ref()));
        if validator == query.validator {
            return Ok(HeadsAnswer::NotModified);
        }
        Ok(HeadsAnswer::Heads(Heads { heads, validator, renamed_to }))
    }

    async fn refs(&self, repo: &RepoUrl, prefixes: &[String]) -> Result<RefList, ForgeError> {
        let visit = self.visit(repo).await?;
        let pass = visit.enter(repo).await?;
        let outcome = match visit.gate {
            Some(_) => self.refs_by_http(repo, prefixes, visit.header.as_ref()).await,
            None => self.settings.transport.refs(repo, prefixes, None).await,
        };
        conclude(pass, outcome)
    }

    /// Follows one rename on the same server, which is remembered once the new place has answered as git does.
    async fn refs_by_http(
        &self,
        repo: &RepoUrl,
        prefixes: &[String],
        header: Option<&HeaderValue>,
    ) -> Result<RefList, ForgeError> {
        let GitSettings { name, http, transport, .. } = &self.settings;
        let place = self.place(repo);
        let answer = ls_refs::ask(http, &place, prefixes, header).await?;
        if let Some(new) = ls_refs::new_place(&place, &answer) {
            let list = ls_refs::ls_refs(http, &new, prefixes, header).await?;
            tracing::warn!(forge = name, %repo, now = %new, "renamed: change the configuration");
            let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            moved.insert(repo.clone(), new);
            return Ok(list);
        }
        match ls_refs::read(http, &place, &answer) {
            // An older protocol, or ids by SHA-256: git finds out which.
            Err(error) if error.kind() == ForgeErrorKind::Unsupported => {
                transport.refs(&place, prefixes, header).await
            }
            list => list,
        }
    }

    async fn visit(&self, repo: &RepoUrl) -> Result<Visit, ForgeError> {
        let Some(credential) = self.clone_credential(repo).await? else {
            let gate = over_http(repo).then(|| self.gate(repo));
            return Ok(Visit { gate, token: None, header: None });
        };
        let header = Some(credential::basic(&credential.username, &credential.token)?);
        Ok(Visit { gate: Some(self.gate(repo)), token: Some(credential.token), header })
    }

    fn gate(&self, repo: &RepoUrl) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate::new(&self.settings.name));
        Arc::clone(gates.entry(repo.origin()).or_insert_with(new))
    }

    fn moved(&self, repo: &RepoUrl) -> Option<RepoUrl> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
    }

    /// Where a repository is now.
    fn place(&self, repo: &RepoUrl) -> RepoUrl {
        self.moved(repo).unwrap_or_else(|| repo.clone())
    }
}

fn over_http(repo: &RepoUrl) -> bool {
    matches!(repo.scheme(), Scheme::Https | Scheme::Http)
}

#[async_trait]
impl Forge for GitForge {
    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        // Collected first: a closure over borrowed queries inside the stream is not general enough for the compiler.
        let questions: Vec<_> = queries.iter().map(|query| self.heads_of(query)).collect();
        stream::iter(questions).buffered(AT_ONCE).collect().await
    }

    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let visit = self.visit(&query.repo).await?;
        let pass = visit.enter(&query.repo).await?;
        let now = TreeQuery { repo: self.place(&query.repo), ..query.clone() };
        let outcome = self.settings.transport.tree(&now, visit.header.as_ref()).await;
        conclude(pass, outcome)
    }

    async fn commit(&self, repo: &RepoUrl, sha: &CommitSha) -> Result<CommitInfo, ForgeError> {
        let visit = self.visit(repo).await?;
        let pass = visit.enter(repo).await?;
        let place = self.place(repo);
        let outcome = self.settings.transport.commit(&place, sha, visit.header.as_ref()).await;
        conclude(pass, outcome)
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        let visit = self.visit(&query.repo).await?;
        let pass = visit.enter(&query.repo).await?;
        let now = ChangesQuery { repo: self.place(&query.repo), ..query.clone() };
        let outcome = self.settings.transport.changes(&now, visit.header.as_ref()).await;
        conclude(pass, outcome)
    }

    /// The token that the configuration names; nothing for URLs other than https.
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        let GitSettings { credential, username, http, .. } = &self.settings;
        if !over_http(repo) {
            return Ok(None);
        }
        let token = credential.token(&http.settings().redactor).await?;
        Ok(token.map(|token| CloneCredential { username: username.clone(), token }))
    }
}

/// Two answers with the same heads and the same place have the same validator.
fn digest(heads: &BTreeMap<BranchName, CommitSha>, renamed_to: Option<&RepoUrl>) -> Validator {
    let mut hash = Sha256::new();
    if let Some(place) = renamed_to {
        hash.update(format!("{place}\n"));
    }
    for (branch, sha) in heads {
        hash.update(format!("{sha} {branch}\n"));
    }
    Validator(format!("{:x}", hash.finalize()))
}
