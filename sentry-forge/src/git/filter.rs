//! What is left out of a fetched commit, and what servers were found to accept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sentry_core::repo::RepoUrl;

/// What is left out of a fetched commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// All but the commit and its root tree.
    RootTree,
    /// All but the commit: some servers refuse the above.
    Commit,
    /// Nothing: the server knows no filters.
    Nothing,
}

impl Filter {
    /// Its word in git's protocol; `None` where nothing is left out.
    pub(super) fn spec(self) -> Option<&'static str> {
        match self {
            Self::RootTree => Some("tree:1"),
            Self::Commit => Some("tree:0"),
            Self::Nothing => None,
        }
    }

    /// The argument of `git fetch`.
    pub(super) fn arg(self) -> String {
        self.spec().map_or_else(|| "--no-filter".to_owned(), |spec| format!("--filter={spec}"))
    }

    /// The same, for a fetch that is about the commit alone.
    pub(super) fn max_of_commit(self) -> Self {
        if self == Self::RootTree { Self::Commit } else { self }
    }

    /// What to try after the server refused this one.
    pub(super) fn weaker(self) -> Option<Self> {
        match self {
            Self::RootTree => Some(Self::Commit),
            Self::Commit => Some(Self::Nothing),
            Self::Nothing => None,
        }
    }
}

/// What each repository's server was found to accept, where it is not the best.
#[derive(Debug, Default)]
pub(super) struct Filters(Mutex<HashMap<RepoUrl, Filter>>);

impl Filters {
    /// What a repository is asked for.
    pub(super) fn of(&self, repo: &RepoUrl) -> Filter {
        let filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filters.get(repo).copied().unwrap_or(Filter::RootTree)
    }

    /// Keeps what the server was found to accept, so that nothing is tried twice and warned of twice.
    pub(super) fn remember(&self, repo: &RepoUrl, filter: Filter) {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filters.insert(repo.clone(), filter);
        if filter == Filter::Nothing {
            tracing::warn!(
                %repo,
                "the server does not support partial fetches: each delivery downloads the whole \
                 commit; allow filters there with `uploadpack.allowFilter`, and git's protocol version 2 (for ssh `AcceptEnv GIT_PROTOCOL`)"
            );
        }
    }
}
