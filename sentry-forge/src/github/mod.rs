//! GitHub: github.com and GitHub Enterprise Server.

mod api;
mod app;
mod checks;
mod reporting;
mod webhook;

use sentry_core::forge::ForgeError;
use url::Url;

use crate::credential::Credential;
use crate::git::Transport;
use crate::hosted::{Hosted, Polling};
use crate::http::Http;
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

/// What a GitHub is made from.
#[derive(Debug)]
pub struct GitHubSettings {
    /// The name that watches refer to it by.
    pub name: String,
    /// The API's base: `https://HOST/api/v3` for GitHub Enterprise Server; `None` for github.com.
    pub api: Option<Url>,
    /// Who asks.
    pub auth: GitHubAuth,
    /// A token used only to set statuses; `None`: the main token sets them too.
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

impl Hosted {
    /// A GitHub; sends no request yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the API's address is neither https nor on this machine.
    pub fn github(settings: GitHubSettings) -> Result<Self, ForgeError> {
        let GitHubSettings { name, api, auth, report, polling, http, git } = settings;
        let api = api::GitHubApi::new(&name, api, auth, report)?;
        Ok(Self::new(name, api, http, polling, git))
    }
}
