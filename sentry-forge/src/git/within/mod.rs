//! Fetching within the process: git's protocol 2 over the shared HTTP client, without a program and without a repository
//! on the disk.
//!
//! The steps are those of `transport`: the commit with its root tree only, the way to the directory tree by tree, the
//! directory itself. A server that speaks older protocols alone is left to the git program.

pub(crate) mod answer;
mod attempt;
pub(crate) mod capabilities;
mod changes;
pub(crate) mod delta;
mod directory;
pub(crate) mod fault;
pub(crate) mod id;
pub(crate) mod inflate;
pub(crate) mod objects;
pub(crate) mod pack;
mod received;
mod resolve;
pub(crate) mod tree;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderValue, header};
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CommitInfo, ForgeError, ForgeErrorKind, Tree, TreeLimits, TreeQuery,
};
use sentry_core::recent::Recent;
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::revision::Revision;
use tokio::time::Instant;

use super::cache::{Content, Key};
use super::commit::commit_info;
use super::ls_refs::{self, ANSWER_CAP, IsKnown, Listed};
use super::transport::{Bounds, DEADLINE, Transport};
use crate::http::Http;
use attempt::Attempt;
use capabilities::{Capabilities, Speaks};
use id::{Algorithm, Id};

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
/// Bytes of all trees that are kept, so that the way to a directory is asked for once.
const TREES: usize = 4 << 20;

/// What is needed to fetch within the process.
#[derive(Debug)]
pub(super) struct Within {
    http: Http,
    /// Where large packs are kept while they are read.
    dir: PathBuf,
    /// What each repository's server speaks.
    servers: Mutex<HashMap<RepoUrl, Speaks>>,
    trees: Mutex<Trees>,
}

/// Trees on the way to directories, each known in its own repository alone.
type Trees = Recent<(RepoUrl, Id), Arc<[u8]>>;

/// Whose commit is asked for, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) repo: &'a RepoUrl,
    pub(super) authorization: Option<&'a HeaderValue>,
}

impl Within {
    pub(super) fn new(http: Http, dir: PathBuf) -> Self {
        let (servers, trees) = (Mutex::default(), Mutex::new(Recent::new(TREES)));
        Self { http, dir, servers, trees }
    }

    /// What a server speaks: asked once. `None` for what speaks older protocols alone.
    async fn capabilities(&self, place: Place<'_>) -> Result<Option<Capabilities>, ForgeError> {
        let repo = place.repo;
        let known = self.servers().get(repo).copied();
        let speaks = match known {
            Some(speaks) => speaks,
            None => {
                let speaks = self.ask(place).await?;
                if speaks == Speaks::Old {
                    tracing::warn!(
                        %repo,
                        "the server does not speak git's protocol version 2: the git program fetches from it"
                    );
                }
                self.servers().insert(repo.clone(), speaks);
                speaks
            }
        };
        Ok(match speaks {
            Speaks::Old => None,
            Speaks::Two(capabilities) => Some(capabilities),
        })
    }

    async fn ask(&self, Place { repo, authorization }: Place<'_>) -> Result<Speaks, ForgeError> {
        let base = repo.as_str().trim_end_matches('/');
        let mut request = self
            .http
            .client()
            .get(format!("{base}/info/refs?service=git-upload-pack"))
            .header("git-protocol", "version=2");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.build().map_err(|e| ls_refs::unaskable(repo, e))?;
        let answer = match self.http.send(request, ANSWER_CAP).await {
            // What is so long is a list of all refs, which protocol 2 does not begin with.
            Err(error) if error.kind() == ForgeErrorKind::TooLarge => return Ok(Speaks::Old),
            answer => answer?,
        };
        ls_refs::check_answer(&self.http, repo, &answer, ADVERTISEMENT)?;
        capabilities::parse(&answer.body).map_err(|why| {
            let text =
                self.http.redact(&format!("{repo}: the server's list of capabilities {why}"));
            ForgeError::new(ForgeErrorKind::WrongAnswer, text)
        })
    }

    /// The hash of a repository's ids, where it was found out.
    pub(super) fn algorithm(&self, repo: &RepoUrl) -> Algorithm {
        match self.servers().get(repo) {
            Some(Speaks::Two(capabilities)) => capabilities.algorithm,
            _ => Algorithm::Sha1,
        }
    }

    /// The branches of a repository, whatever the hash of its ids. `None` from what speaks older protocols alone.
    pub(super) async fn refs(
        &self,
        place: Place<'_>,
        prefixes: &[String],
        is_known: IsKnown<'_>,
    ) -> Result<Option<Listed>, ForgeError> {
        let Some(capabilities) = self.capabilities(place).await? else { return Ok(None) };
        let body = ls_refs::request(prefixes, capabilities.algorithm);
        let Place { repo, authorization } = place;
        match ls_refs::asked(&self.http, repo, body, authorization, is_known).await {
            Err(error) if error.kind() == ForgeErrorKind::Unsupported => {
                let text = format!("{repo}: the server answers a request for refs with nothing");
                Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text))
            }
            listed => listed?.not_empty(repo).map(Some),
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<RepoUrl, Speaks>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trees(&self) -> MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport {
    /// As [`Transport::tree`]. `None` if the git program has to do it.
    pub(super) async fn tree_within(
        &self,
        query: &TreeQuery,
        authorization: Option<&HeaderValue>,
    ) -> Result<Option<Tree>, ForgeError> {
        let place = Place { repo: &query.repo, authorization };
        let bounds =
            Bounds { room: query.limits.repo_bytes, deadline: Instant::now() + query.timeout };
        let fetch = async {
            let Some(mut attempt) = self.attempt_within(place, &query.revision, bounds).await?
            else {
                return Ok(None);
            };
            attempt.fetch_commit(self.filters.of(&query.repo)).await?;
            let id = attempt.find(&query.dir).await?;
            let key =
                Key { repo: query.repo.to_string(), oid: id.to_string(), limits: query.limits };
            let known = self.cache().get(&key);
            let content = match known {
                Some(content) => content,
                None => {
                    attempt.fetch_directory(id).await?;
                    let content = attempt.read(id, query.limits).await?;
                    self.cache().put(key, content.clone(), content.size());
                    content
                }
            };
            let Content { files, refused } = content;
            Ok(Some(Tree { commit: query.revision.sha.clone(), files, refused }))
        };
        self.in_time(&query.repo, &query.revision, bounds.deadline, fetch).await
    }

    /// As [`Transport::commit`]. `None` if the git program has to do it.
    pub(super) async fn commit_within(
        &self,
        repo: &RepoUrl,
        revision: &Revision,
        authorization: Option<&HeaderValue>,
    ) -> Result<Option<CommitInfo>, ForgeError> {
        let place = Place { repo, authorization };
        let room = TreeLimits::default().repo_bytes;
        let bounds = Bounds { room, deadline: Instant::now() + DEADLINE };
        let fetch = async {
            let Some(mut attempt) = self.attempt_within(place, revision, bounds).await? else {
                return Ok(None);
            };
            attempt.fetch_commit(self.filters.of(repo).max_of_commit()).await?;
            Ok(Some(commit_info(&attempt.raw_commit().await?)))
        };
        self.in_time(repo, revision, bounds.deadline, fetch).await
    }

    /// As [`Transport::changes`]. `None` if the git program has to do it.
    pub(super) async fn changes_within(
        &self,
        query: &ChangesQuery,
        from: &CommitSha,
        authorization: Option<&HeaderValue>,
        room: u64,
    ) -> Result<Option<ChangedPaths>, ForgeError> {
        let place = Place { repo: &query.repo, authorization };
        let bounds = Bounds { room, deadline: Instant::now() + query.timeout };
        let compare = async {
            let Some(mut attempt) = self.attempt_within(place, &query.to, bounds).await? else {
                return Ok(None);
            };
            attempt.fetch_trees(from).await?;
            attempt.compare(from).await.map(Some)
        };
        self.in_time(&query.repo, &query.to, bounds.deadline, compare).await
    }

    async fn attempt_within<'a>(
        &'a self,
        place: Place<'a>,
        revision: &'a Revision,
        bounds: Bounds,
    ) -> Result<Option<Attempt<'a>>, ForgeError> {
        let Some(within) = self.within(place.repo) else { return Ok(None) };
        let Some(capabilities) = within.capabilities(place).await? else { return Ok(None) };
        Attempt::new(within, &self.filters, place, revision, (bounds, capabilities)).map(Some)
    }

    /// Ends what takes longer than it may. After an error the server is asked anew what it speaks.
    async fn in_time<T>(
        &self,
        repo: &RepoUrl,
        revision: &Revision,
        deadline: Instant,
        work: impl Future<Output = Result<T, ForgeError>>,
    ) -> Result<T, ForgeError> {
        let outcome = tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
            let text = format!("{repo}: did not answer in time (fetching commit {})", revision.sha);
            Err(ForgeError::new(ForgeErrorKind::Unreachable, text))
        });
        if let (Err(_), Some(within)) = (&outcome, self.within(repo)) {
            within.servers().remove(repo);
        }
        outcome
    }
}
