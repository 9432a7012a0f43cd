//! Any git server, without an API: heads by one request of git's own protocol, trees by the hardened client.

mod about;
mod cache;
mod changes;
mod command;
mod commit;
pub(crate) mod failure;
mod filter;
mod history;
pub(crate) mod listing;
pub(crate) mod ls_refs;
mod objects;
mod pkt_line;
mod scratch;
mod transport;
pub(crate) mod within;
mod wording;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use http::HeaderValue;
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, ForgeError, ForgeErrorKind, Heads,
    HeadsAnswer, HeadsQuery, Requests, Source, Tree, TreeQuery,
};
use sentry_core::repo::{RepoUrl, Scheme};
use sentry_core::revision::Revision;
use sentry_core::secret::Secret;

use crate::credential::{self, Credential};
use crate::http::{Http, HttpSettings};
use crate::rate_limit::{Pass, RateLimit, Right};
use crate::status::StatusError;
use ls_refs::{Digest, IsKnown, Listed, NEW, Redirected};
pub use transport::Transport;

/// Concurrent requests for heads.
const AT_ONCE: usize = 16;

/// How git is started.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The program: a name that is looked up in `PATH`, or a path. 2.39 or later.
    pub git: PathBuf,
    /// How to reach the network, as for the forges' APIs.
    pub http: HttpSettings,
    /// How to reach ssh remotes; without it they are refused.
    pub ssh: Option<SshSettings>,
    /// Where the directories of fetches are made, the system's temporary directory if `None`.
    pub temp_dir: Option<PathBuf>,
    /// What http(s) repositories are fetched with within the process, without a program; `None`: git fetches from them
    /// as well. A server that speaks older protocols than version 2 alone is left to git in any case.
    pub within: Option<Http>,
}

impl TransportSettings {
    /// `git` from the `PATH` for everything, no ssh, the system's temporary directory.
    #[must_use]
    pub fn new(http: HttpSettings) -> Self {
        Self { git: "git".into(), http, ssh: None, temp_dir: None, within: None }
    }

    /// The same, but http(s) repositories are fetched from within the process.
    #[must_use]
    pub fn within(http: &Http) -> Self {
        Self { within: Some(http.clone()), ..Self::new(http.settings().clone()) }
    }
}

/// How to reach ssh remotes. No agent and no file of a home directory is used.
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

/// A forge that is only a git server, or a directory with repositories.
#[derive(Debug)]
pub struct GitForge {
    settings: GitSettings,
    /// What the token may be sent to, if that is known.
    origin: Option<String>,
    /// What each server has said about our token and rate limit, by its origin.
    gates: Mutex<HashMap<String, Arc<RateLimit>>>,
    /// Repositories that their servers said to be elsewhere.
    moved: Mutex<HashMap<RepoUrl, RepoUrl>>,
}

impl GitForge {
    /// One with these settings. Asks nothing yet.
    #[must_use]
    pub fn new(settings: GitSettings) -> Self {
        let (gates, moved) = (Mutex::default(), Mutex::default());
        Self { settings, origin: None, gates, moved }
    }

    /// The token is for this `scheme://host[:port]`: https repositories elsewhere are refused before any request.
    #[must_use]
    pub fn only_for(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Asks a repository for its branches, to see that it is there and may be read; returns how many it has.
    ///
    /// # Errors
    /// As [`Heads::heads`].
    pub async fn probe(&self, repo: &RepoUrl) -> Result<usize, ForgeError> {
        Ok(self.refs(repo, &[], NEW).await?.into_refs().refs.len())
    }

    async fn heads_of(&self, query: &HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        let prefixes: Vec<String> = query.subjects.prefixes().collect();
        let is_known = |digest: &Digest| {
            let validator = digest.validator(self.moved(&query.repo).as_ref());
            query.validator.as_ref() == Some(&validator)
        };
        let listed = self.refs(&query.repo, &prefixes, &is_known).await?;
        Ok(listed.answer(query, self.moved(&query.repo)))
    }

    async fn refs(
        &self,
        repo: &RepoUrl,
        prefixes: &[String],
        is_known: IsKnown<'_>,
    ) -> Result<Listed, ForgeError> {
        match self.refs_once(repo, prefixes, is_known).await {
            Err(error) if self.follow(repo, &error) => {
                self.refs_once(repo, prefixes, is_known).await
            }
            answer => answer,
        }
    }

    async fn refs_once(
        &self,
        repo: &RepoUrl,
        prefixes: &[String],
        is_known: IsKnown<'_>,
    ) -> Result<Listed, ForgeError> {
        let GitSettings { http, transport, .. } = &self.settings;
        let visit = self.visit(repo).await?;
        let pass = visit.enter().await?;
        let header = visit.header.as_ref();
        if !visit.by_http() {
            return transport.refs(repo, prefixes, None, is_known).await;
        }
        let body = ls_refs::request(prefixes, transport.algorithm(&visit.place));
        let asked = ls_refs::asked(http, &visit.place, body, header, is_known).await;
        let asked = asked.and_then(|listed| listed.not_empty(&visit.place));
        let outcome = match asked {
            // An older protocol, or ids by SHA-256: git finds out which.
            Err(error) if error.kind() == ForgeErrorKind::Unsupported => {
                transport.refs(&visit.place, prefixes, header, is_known).await
            }
            answer => answer,
        };
        conclude(pass, outcome)
    }

    async fn tree_once(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let visit = self.visit(&query.repo).await?;
        let pass = visit.enter().await?;
        let now = TreeQuery { repo: visit.place.clone(), ..query.clone() };
        conclude(pass, self.settings.transport.tree(&now, visit.header.as_ref()).await)
    }

    async fn commit_once(
        &self,
        repo: &RepoUrl,
        revision: &Revision,
    ) -> Result<CommitInfo, ForgeError> {
        let visit = self.visit(repo).await?;
        let pass = visit.enter().await?;
        let transport = &self.settings.transport;
        conclude(pass, transport.commit(&visit.place, revision, visit.header.as_ref()).await)
    }

    async fn changes_once(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        let visit = self.visit(&query.repo).await?;
        let pass = visit.enter().await?;
        let now = ChangesQuery { repo: visit.place.clone(), ..query.clone() };
        conclude(pass, self.settings.transport.changes(&now, visit.header.as_ref()).await)
    }

    /// All that one question about a repository needs.
    async fn visit<'a>(&self, repo: &'a RepoUrl) -> Result<Visit<'a>, ForgeError> {
        let lent = self.clone_credential(repo).await?;
        let header = lent.as_ref().map(|c| credential::basic(&c.username, &c.token)).transpose()?;
        let place = self.moved(repo).unwrap_or_else(|| repo.clone());
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(RateLimit::new(&self.settings.name));
        let limit = Arc::clone(gates.entry(repo.origin()).or_insert_with(new));
        Ok(Visit { repo, place, limit, token: lent.map(|c| c.token), header })
    }

    /// Remembers where git's own error says that a repository is now. There is nothing to see that it is the same one
    /// by, but the token goes where it went before: to a server that could as well answer in the old place.
    fn follow(&self, repo: &RepoUrl, error: &ForgeError) -> bool {
        let Some(to) = Redirected::of(error) else { return false };
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !moved.contains_key(repo);
        if is_new {
            let forge = &self.settings.name;
            tracing::warn!(forge, %repo, now = %to, "renamed: update the configuration");
            moved.insert(repo.clone(), to.clone());
        }
        is_new
    }

    /// True if git failed at a redirect, and the server now says where it leads.
    async fn has_moved(&self, repo: &RepoUrl, error: &ForgeError) -> bool {
        let redirected = StatusError::of(error).is_some_and(|status| status.is_redirection());
        if !redirected || self.moved(repo).is_some() {
            return false;
        }
        self.refs(repo, &["HEAD".to_owned()], NEW).await.is_ok() && self.moved(repo).is_some()
    }

    fn moved(&self, repo: &RepoUrl) -> Option<RepoUrl> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
    }

    /// The token goes to one origin only; another repository is refused before any request.
    fn belongs(&self, repo: &RepoUrl) -> Result<(), ForgeError> {
        let own = self.origin.as_ref().filter(|own| **own != repo.origin());
        let Some(own) = own else { return Ok(()) };
        let name = &self.settings.name;
        let text = format!("{name}: {repo} is not a repository of {own}, which the token is for");
        Err(ForgeError::new(ForgeErrorKind::Unsupported, text)
            .with_hint("correct the URL, or configure another forge for the other server"))
    }
}

/// One request about a repository: where it is sent, with what, and through which limit.
#[derive(Debug)]
struct Visit<'a> {
    repo: &'a RepoUrl,
    place: RepoUrl,
    limit: Arc<RateLimit>,
    token: Option<Secret>,
    header: Option<HeaderValue>,
}

impl Visit<'_> {
    fn by_http(&self) -> bool {
        !matches!(self.repo.scheme(), Scheme::Ssh | Scheme::File)
    }

    /// Only HTTP knows limits, and tokens that are refused.
    async fn enter(&self) -> Result<Option<Pass<'_>>, ForgeError> {
        if !self.by_http() {
            return Ok(None);
        }
        self.limit.enter(self.token.as_ref(), self.repo, Right::Read).await.map(Some)
    }
}

fn conclude<T>(pass: Option<Pass<'_>>, outcome: Result<T, ForgeError>) -> Result<T, ForgeError> {
    match pass {
        Some(pass) => pass.conclude(outcome),
        None => outcome,
    }
}

#[async_trait]
impl Heads for GitForge {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        // Collected first: a closure over borrowed queries inside the stream is not general enough for the compiler.
        let questions: Vec<_> = queries.iter().map(|query| self.heads_of(query)).collect();
        stream::iter(questions).buffered(AT_ONCE).collect().await
    }

    fn requests(&self) -> Requests {
        self.settings.http.requests()
    }
}

#[async_trait]
impl Source for GitForge {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        match self.tree_once(query).await {
            Err(error) if self.has_moved(&query.repo, &error).await => self.tree_once(query).await,
            tree => tree,
        }
    }

    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        match self.commit_once(repo, revision).await {
            Err(error) if self.has_moved(repo, &error).await => {
                self.commit_once(repo, revision).await
            }
            commit => commit,
        }
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        match self.changes_once(query).await {
            Err(error) if self.has_moved(&query.repo, &error).await => {
                self.changes_once(query).await
            }
            changes => changes,
        }
    }

    /// The configured token; nothing for URLs other than https.
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        let GitSettings { credential, username, http, .. } = &self.settings;
        if matches!(repo.scheme(), Scheme::Ssh | Scheme::File) {
            return Ok(None);
        }
        self.belongs(repo)?;
        let token = credential.token(&http.settings().redactor).await?;
        let username = username.clone();
        Ok(token.map(|token| CloneCredential { username, token, is_read_only: false }))
    }
}
