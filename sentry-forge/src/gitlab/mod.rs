//! GitLab: gitlab.com and self-managed, with sub-groups.

mod api;
mod reporting;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::forge::{
    Budget, ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, CommitStatus, ForgeError,
    ForgePorts, Heads, HeadsAnswer, HeadsQuery, Reporter, Requests, Source, Tree, TreeQuery,
};
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::revision::Revision;
use url::Url;

use crate::credential::Credential;
use crate::git::Transport;
use crate::hosted::Hosted;
pub use crate::hosted::{Polling, Probe};
use crate::http::Http;
use crate::rights::{Probed, Rights};
pub use webhook::SENDER;

/// What kind of token a GitLab is asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GitLabToken {
    /// A personal, group or project access token.
    #[default]
    Private,
    /// An OAuth access token.
    OAuth,
    /// A CI job's token. It opens git and few parts of the API, so `polling: auto` uses git:
    /// <https://docs.gitlab.com/ci/jobs/ci_job_token/>
    Job,
}

/// What a [`GitLab`] is made from.
#[derive(Debug)]
pub struct GitLabSettings {
    /// The name that watches refer to it by.
    pub name: String,
    /// Where the instance is, without `/api/v4`; `None` for gitlab.com. May have a path.
    pub url: Option<Url>,
    /// Who asks.
    pub credential: Credential,
    /// What kind of token the credential is.
    pub token_kind: GitLabToken,
    /// An access token that sets statuses and does nothing else; `None`: who asks sets them as well.
    pub report: Option<Credential>,
    /// How heads are asked for.
    pub polling: Polling,
    /// The network.
    pub http: Http,
    /// What fetches trees.
    pub git: Transport,
}

/// A GitLab.
#[derive(Debug)]
pub struct GitLab {
    hosted: Hosted<api::GitLabApi>,
}

impl GitLab {
    /// Sets it up; asks nothing yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the address is neither https nor on this machine.
    pub fn new(settings: GitLabSettings) -> Result<Self, ForgeError> {
        let GitLabSettings { name, url, credential, token_kind, report, polling, http, git } =
            settings;
        let api = api::GitLabApi::new(&name, url, credential, token_kind, report)?;
        Ok(Self { hosted: Hosted::new(name, api, http, polling, git) })
    }

    /// Asks whether the token works for a project, with which rights, and whether statuses may be set.
    ///
    /// # Errors
    /// Those of the forge; [`sentry_core::forge::ForgeErrorKind::Unauthorized`] if the token is refused.
    pub async fn probe(&self, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        let mut probe = self.hosted.probe(repo).await?;
        (probe.can_report, probe.reporting) = reporting::ask(&self.hosted, repo).await?;
        Ok(probe)
    }
}

#[cfg(feature = "testing")]
impl GitLab {
    /// What is wrong with an answer, taken for one to every question there is; the commit is the one asked for.
    pub fn problems(&self, answer: &crate::http::Answer, commit: &CommitSha) -> Vec<String> {
        crate::testing::problems(self.hosted.api(), answer, commit)
    }
}

#[async_trait]
impl Heads for GitLab {
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
impl Source for GitLab {
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
impl Reporter for GitLab {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        self.hosted.set_status(repo, status).await
    }
}

#[async_trait]
impl Probed for GitLab {
    async fn rights(&self, repo: &RepoUrl) -> Result<Rights, ForgeError> {
        self.probe(repo).await?.rights(repo)
    }

    fn ports(self: Arc<Self>) -> ForgePorts {
        ForgePorts::with_statuses(self)
    }
}
