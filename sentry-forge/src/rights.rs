//! What a forge lets us do in a repository.

use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::forge::{ForgeError, ForgeErrorKind, ForgePorts, Heads};
use sentry_core::repo::RepoUrl;

use crate::git::GitForge;
use crate::hosted::{Hosted, Probe};

/// What may be done in a repository, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// How it may be read.
    pub reading: String,
    /// Whether commit statuses may be set, as far as the forge shows, and how that is known; `None` where there are
    /// none.
    pub reporting: Option<(Option<bool>, String)>,
}

/// A forge of a configuration: its ports for the engine, and what it lets us do.
#[async_trait]
pub trait Probed: Heads {
    /// What we may do in a repository.
    ///
    /// # Errors
    /// Those of the forge; [`ForgeErrorKind::Unauthorized`] if the repository may not be read.
    async fn rights(&self, repo: &RepoUrl) -> Result<Rights, ForgeError>;

    /// It, as an engine is given it.
    fn ports(self: Arc<Self>) -> ForgePorts;
}

impl Probe {
    /// For people; an error if the repository may not be read.
    fn rights(self, repo: &RepoUrl) -> Result<Rights, ForgeError> {
        if self.can_read {
            let reporting = Some((self.can_report, self.reporting));
            return Ok(Rights { reading: self.rights, reporting });
        }
        let text = format!("{repo} exists, but its contents may not be read: {}", self.rights);
        Err(ForgeError::new(ForgeErrorKind::Unauthorized, text)
            .with_hint("give the token the right to read the repository's contents"))
    }
}

#[async_trait]
impl Probed for Hosted {
    async fn rights(&self, repo: &RepoUrl) -> Result<Rights, ForgeError> {
        self.probe(repo).await?.rights(repo)
    }

    fn ports(self: Arc<Self>) -> ForgePorts {
        ForgePorts::with_statuses(self)
    }
}

#[async_trait]
impl Probed for GitForge {
    async fn rights(&self, repo: &RepoUrl) -> Result<Rights, ForgeError> {
        let branches = self.probe(repo).await?;
        let noun = if branches == 1 { "branch" } else { "branches" };
        Ok(Rights { reading: format!("{branches} {noun}"), reporting: None })
    }

    fn ports(self: Arc<Self>) -> ForgePorts {
        ForgePorts::new(self)
    }
}
