//! GitLab: gitlab.com and self-managed, with sub-groups.

mod api;
mod reporting;
mod webhook;

use sentry_core::forge::ForgeError;
use url::Url;

use crate::credential::Credential;
use crate::git::Transport;
use crate::hosted::{Hosted, Polling};
use crate::http::Http;
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

/// What a GitLab is made from.
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
    /// An access token used only to set statuses; `None`: the main token sets them too.
    pub report: Option<Credential>,
    /// How heads are asked for.
    pub polling: Polling,
    /// The network.
    pub http: Http,
    /// What fetches trees.
    pub git: Transport,
}

impl Hosted {
    /// A GitLab; sends no request yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the address is neither https nor on this machine.
    pub fn gitlab(settings: GitLabSettings) -> Result<Self, ForgeError> {
        let GitLabSettings { name, url, credential, token_kind, report, polling, http, git } =
            settings;
        let api = api::GitLabApi::new(&name, url, credential, token_kind, report)?;
        Ok(Self::new(name, api, http, polling, git))
    }
}
