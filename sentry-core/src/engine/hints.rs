//! Hints that a repository moved: it is polled soon. Nothing else in a hint is trusted.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Engine;
use crate::repo::RepoPath;

/// A repository on a configured forge.
type Hint = (String, RepoPath);

/// The hints that the agent has not picked up yet: as many as there are repositories, however often they come.
#[derive(Debug, Default)]
pub(super) struct Hints {
    waiting: Mutex<BTreeSet<Hint>>,
    arrived: Notify,
}

impl Hints {
    fn add(&self, hint: Hint) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(hint);
        self.arrived.notify_one();
    }

    /// Ready when there may be some.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub(super) fn take(&self) -> BTreeSet<Hint> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Says that a repository may have moved, as a webhook does: the running engine polls its heads now, at most once a
    /// second, instead of waiting for the interval. A repository whose forge fails keeps its wait. Returns false, and
    /// does nothing, if no watch uses this repository on this forge. Upper and lower case are the same, as they are to
    /// GitHub and GitLab: a person may have written the other one.
    #[must_use]
    pub fn hint(&self, forge: &str, repo: &RepoPath) -> bool {
        let mut is_known = false;
        for part in self.parts.working.engines() {
            is_known |= part.hint(forge, repo);
        }
        for watch in self.parts.known.watches.values() {
            for (name, url) in [
                (&watch.source.forge, &watch.source.repo),
                (&watch.manifests.forge, &watch.manifests.repo),
            ] {
                let path = url.path();
                if name == forge && path.as_str().eq_ignore_ascii_case(repo.as_str()) {
                    self.parts.hints.add((name.clone(), path));
                    is_known = true;
                }
            }
        }
        is_known
    }
}
