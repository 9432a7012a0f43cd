//! Gitea and Forgejo: heads, trees and differences by git, commits and statuses by the API.

mod api;
mod probe;
mod webhook;

use sentry_core::forge::ForgeError;
use url::Url;

use crate::credential::Credential;
use crate::git::Transport;
use crate::hosted::{Hosted, Polling};
use crate::http::Http;
pub use webhook::SENDER;

/// What a Gitea or a Forgejo is made from.
#[derive(Debug)]
pub struct GiteaSettings {
    /// The name that watches refer to it by.
    pub name: String,
    /// Where the instance is, without `/api/v1`. May have a path.
    pub url: Url,
    /// Who asks: an access token.
    pub credential: Credential,
    /// A token used only to set statuses; `None`: the main token sets them too.
    pub report: Option<Credential>,
    /// The network.
    pub http: Http,
    /// What fetches trees.
    pub git: Transport,
}

impl Hosted {
    /// A Gitea or a Forgejo; sends no request yet.
    ///
    /// # Errors
    /// [`sentry_core::forge::ForgeErrorKind::Local`] if the address is neither https nor on this machine.
    pub fn gitea(settings: GiteaSettings) -> Result<Self, ForgeError> {
        let GiteaSettings { name, url, credential, report, http, git } = settings;
        let api = api::GiteaApi::new(&name, url, credential, report)?;
        Ok(Self::new(name, api, http, Polling::Git, git))
    }
}
