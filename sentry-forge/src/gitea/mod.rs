//! Gitea and Forgejo: heads, trees and differences by git, commits and statuses by the API.

mod api;
mod probe;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::forge::{
    Budget, ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, CommitStatus, ForgeError,
    ForgePorts, Heads, HeadsAnswer, HeadsQuery, Reporter, Requests, Source, Tree, TreeQuery,
};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use url::Url;

use crate::credential::Credential;
use crate::git::Transport;
use crate::hosted::{Hosted, Polling, Probe};
use crate::http::Http;
use crate::rights::{Probed, Rights};
pub use webhook::SENDER;

/// What a [`Gitea`] is made from.
#[derive(Debug)]
pub struct GiteaSettings {
    /// The name that watches refer to it by.
    pub name: String,
    /// Where the instance is, without `/api/v1`. May have a path.
    pub url: Url,
    /// Who asks: an access token.
    pub credential: Credential,
    /// A token that sets statuses and does nothing else; `None`: who asks sets them as well.
    pub report: Option<Credential>,
    /// The network.
    pub http: Http,
    /// What fetches trees.
    pub git: Transport,
}

/// A Gitea or a Forgejo.
#[derive(Debug)]
pub struct Gitea {
    hosted: Hosted<api::GiteaApi>,
}

impl Gitea {
    /// Sets it up; asks nothing yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the address is neither https nor on this machine.
    pub fn new(settings: GiteaSettings) -> Result<Self, ForgeError> {
        let GiteaSettings { name, url, credential, report, http, git } = settings;
        let api = api::GiteaApi::new(&name, url, credential, report)?;
        Ok(Self { hosted: Hosted::new(name, api, http, Polling::Git, git) })
    }

    /// Asks whether the token works for a repository, with which rights, and whether statuses may be set.
    ///
    /// # Errors
    /// Those of the forge; [`sentry_core::forge::ForgeErrorKind::Unauthorized`] if the token is refused.
    pub async fn probe(&self, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        probe::ask(&self.hosted, repo).await
    }
}

#[cfg(feature = "testing")]
impl Gitea {
    /// What is wrong with an answer, taken for one to every question there is; the commit is the one asked for.
    pub fn problems(
        &self,
        answer: &crate::http::Answer,
        commit: &sentry_core::repo::CommitSha,
    ) -> Vec<String> {
        crate::testing::problems(self.hosted.api(), answer, commit)
    }
}

#[async_trait]
impl Heads for Gitea {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        self.hosted.heads(queries).await
    }

    fn budget(&self) -> Option<Budget> {
        self.hosted.budget()
    }

    fn requests(&self) -> Requests {
        self.hosted.requests()
    }
}

#[async_trait]
impl Source for Gitea {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.hosted.tree(query).await
    }

    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        self.hosted.commit(repo, revision).await
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.hosted.changes(query).await
    }

    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.hosted.clone_credential(repo).await
    }
}

#[async_trait]
impl Reporter for Gitea {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        self.hosted.set_status(repo, status).await
    }
}

#[async_trait]
impl Probed for Gitea {
    async fn rights(&self, repo: &RepoUrl) -> Result<Rights, ForgeError> {
        self.probe(repo).await?.rights(repo)
    }

    fn ports(self: Arc<Self>) -> ForgePorts {
        ForgePorts::with_statuses(self)
    }
}
