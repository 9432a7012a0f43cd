//! GitHub: github.com and GitHub Enterprise Server.

mod api;
mod app;
mod checks;
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

/// Who asks GitHub.
#[derive(Debug, Clone)]
pub enum GitHubAuth {
    /// A personal access token, classic or fine-grained, or nothing.
    Token(Credential),
    /// A GitHub App's installation: tokens that live for an hour and do one thing each (read contents, write
    /// checks, write statuses), made as needed.
    App {
        /// The App's number.
        app_id: u64,
        /// The number of its installation at the owner of the repositories.
        installation_id: u64,
        /// The App's RSA private key in PEM.
        key: Credential,
    },
}

/// What a [`GitHub`] is made from.
#[derive(Debug)]
pub struct GitHubSettings {
    /// The name that watches refer to it by.
    pub name: String,
    /// The API's base: `https://HOST/api/v3` for GitHub Enterprise Server; `None` for github.com.
    pub api: Option<Url>,
    /// Who asks.
    pub auth: GitHubAuth,
    /// A token that sets statuses and does nothing else; `None`: who asks sets them as well.
    pub report: Option<Credential>,
    /// How heads are asked for.
    pub polling: Polling,
    /// The network.
    pub http: Http,
    /// What fetches trees.
    pub git: Transport,
}

impl GitHubSettings {
    /// The API of a GitHub Enterprise Server, which answers below `/api/v3` of its own address.
    /// <https://docs.github.com/en/enterprise-server/rest/using-the-rest-api/getting-started-with-the-rest-api>
    #[must_use]
    pub fn api_at(mut url: Url) -> Url {
        let base = url.path().trim_end_matches('/').to_owned();
        if !base.ends_with("/api/v3") {
            url.set_path(&format!("{base}/api/v3"));
        }
        url
    }
}

/// A GitHub.
#[derive(Debug)]
pub struct GitHub {
    hosted: Hosted<api::GitHubApi>,
    checks: checks::Made,
}

impl GitHub {
    /// Sets it up; asks nothing yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the API's address is neither https nor on this machine.
    pub fn new(settings: GitHubSettings) -> Result<Self, ForgeError> {
        let GitHubSettings { name, api, auth, report, polling, http, git } = settings;
        let api = api::GitHubApi::new(&name, api, auth, report)?;
        let hosted = Hosted::new(name, api, http, polling, git);
        Ok(Self { hosted, checks: checks::Made::default() })
    }

    /// Asks whether the token works for a repository, with which rights, and whether statuses may be set.
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
impl GitHub {
    /// What is wrong with an answer, taken for one to every question there is; the commit is the one asked for.
    pub fn problems(&self, answer: &crate::http::Answer, commit: &CommitSha) -> Vec<String> {
        crate::testing::problems(self.hosted.api(), answer, commit)
    }
}

#[async_trait]
impl Heads for GitHub {
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
impl Source for GitHub {
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
impl Reporter for GitHub {
    /// As a check run where an App may make them, else as a commit status.
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        if let Some(app) = self.hosted.api().makes_checks() {
            match checks::show(&self.hosted, &self.checks, app, repo, status).await {
                Err(error) if checks::may_not(&error) => self.hosted.api().do_without_checks(),
                shown => return shown,
            }
        }
        self.hosted.set_status(repo, status).await
    }
}

#[async_trait]
impl Probed for GitHub {
    async fn rights(&self, repo: &RepoUrl) -> Result<Rights, ForgeError> {
        self.probe(repo).await?.rights(repo)
    }

    fn ports(self: Arc<Self>) -> ForgePorts {
        ForgePorts::with_statuses(self)
    }
}
