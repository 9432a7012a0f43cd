//! GitHub: github.com and GitHub Enterprise Server.

mod api;
mod app;

use async_trait::async_trait;
use sentry_core::forge::{
    Budget, CommitInfo, Forge, ForgeError, HeadsAnswer, HeadsQuery, Tree, TreeQuery,
};
use sentry_core::repo::{CommitSha, RepoUrl};
use url::Url;

use crate::credential::Credential;
use crate::git::Transport;
use crate::hosted::Hosted;
pub use crate::hosted::{Polling, Probe};
use crate::http::Http;

/// Who asks GitHub.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GitHubAuth {
    /// A personal access token, classic or fine-grained, or nothing.
    Token(Credential),
    /// A GitHub App's installation: tokens that read contents only and live for an hour, made as needed.
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
    /// How heads are asked for.
    pub polling: Polling,
    /// The network.
    pub http: Http,
    /// What fetches trees.
    pub git: Transport,
}

/// A GitHub.
#[derive(Debug)]
pub struct GitHub {
    hosted: Hosted<api::GitHubApi>,
}

impl GitHub {
    /// Sets it up; asks nothing yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the API's address is neither https nor on this machine.
    pub fn new(settings: GitHubSettings) -> Result<Self, ForgeError> {
        let api = api::GitHubApi::new(&settings.name, settings.api, settings.auth)?;
        let GitHubSettings { name, polling, http, git, .. } = settings;
        Ok(Self { hosted: Hosted::new(name, api, http, polling, git) })
    }

    /// Asks whether the token works for a repository, and with which rights.
    ///
    /// # Errors
    /// Those of the forge; [`sentry_core::forge::ForgeErrorKind::Unauthorized`] if the token is refused.
    pub async fn probe(&self, repo: &RepoUrl) -> Result<Probe, ForgeError> {
        self.hosted.probe(repo).await
    }
}

#[async_trait]
impl Forge for GitHub {
    fn name(&self) -> &str {
        self.hosted.name()
    }

    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        self.hosted.heads(queries).await
    }

    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.hosted.tree(query).await
    }

    async fn commit(&self, repo: &RepoUrl, sha: &CommitSha) -> Result<CommitInfo, ForgeError> {
        self.hosted.commit(repo, sha).await
    }

    fn budget(&self) -> Option<Budget> {
        self.hosted.budget()
    }
}
