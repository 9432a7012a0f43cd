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

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use http::HeaderValue;
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, Forge, ForgeError, ForgeErrorKind,
    Heads, HeadsAnswer, HeadsQuery, Requests, Tree, TreeQuery, Validator,
};
use sentry_core::repo::{BranchName, CommitSha, RepoUrl, Scheme};
use sha2::{Digest as _, Sha256};

use crate::credential::{self, Credential};
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
}

impl GitForge {
    /// One with these settings. Asks nothing yet.
    #[must_use]
    pub fn new(settings: GitSettings) -> Self {
        Self { settings }
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
        let validator = Some(digest(&heads));
        if validator == query.validator {
            return Ok(HeadsAnswer::NotModified);
        }
        Ok(HeadsAnswer::Heads(Heads { heads, validator, renamed_to: None }))
    }

    async fn refs(&self, repo: &RepoUrl, prefixes: &[String]) -> Result<RefList, ForgeError> {
        let GitSettings { http, transport, .. } = &self.settings;
        if matches!(repo.scheme(), Scheme::Ssh | Scheme::File) {
            return transport.refs(repo, prefixes, None).await;
        }
        let authorization = self.authorization(repo).await?;
        match ls_refs::ls_refs(http, repo, prefixes, authorization.as_ref()).await {
            // An older protocol, or ids by SHA-256: git finds out which.
            Err(error) if error.kind() == ForgeErrorKind::Unsupported => {
                transport.refs(repo, prefixes, authorization.as_ref()).await
            }
            answer => answer,
        }
    }

    /// The header for git over HTTP; nothing for other schemes.
    async fn authorization(&self, repo: &RepoUrl) -> Result<Option<HeaderValue>, ForgeError> {
        let credential = self.clone_credential(repo).await?;
        credential.map(|c| credential::basic(&c.username, &c.token)).transpose()
    }
}

#[async_trait]
impl Forge for GitForge {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn requests(&self) -> Requests {
        self.settings.http.requests()
    }

    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        // Collected first: a closure over borrowed queries inside the stream is not general enough for the compiler.
        let questions: Vec<_> = queries.iter().map(|query| self.heads_of(query)).collect();
        stream::iter(questions).buffered(AT_ONCE).collect().await
    }

    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let authorization = self.authorization(&query.repo).await?;
        self.settings.transport.tree(query, authorization.as_ref()).await
    }

    async fn commit(&self, repo: &RepoUrl, sha: &CommitSha) -> Result<CommitInfo, ForgeError> {
        let authorization = self.authorization(repo).await?;
        self.settings.transport.commit(repo, sha, authorization.as_ref()).await
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        let authorization = self.authorization(&query.repo).await?;
        self.settings.transport.changes(query, authorization.as_ref()).await
    }

    /// The token that the configuration names; nothing for URLs other than https.
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        let GitSettings { credential, username, http, .. } = &self.settings;
        if matches!(repo.scheme(), Scheme::Ssh | Scheme::File) {
            return Ok(None);
        }
        let token = credential.token(&http.settings().redactor).await?;
        Ok(token.map(|token| CloneCredential { username: username.clone(), token }))
    }
}

/// Two answers with the same heads have the same validator.
fn digest(heads: &BTreeMap<BranchName, CommitSha>) -> Validator {
    let mut hash = Sha256::new();
    for (branch, sha) in heads {
        hash.update(format!("{sha} {branch}\n"));
    }
    Validator(format!("{:x}", hash.finalize()))
}
