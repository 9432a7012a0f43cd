//! Hints that a repository moved: it is polled soon. Nothing else in a hint is trusted.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Engine;
use crate::fleet::{Heard, Word};
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
    ///
    /// Where processes share the state, the others are told ([`Engine::join`]).
    #[must_use]
    pub fn hint(&self, forge: &str, repo: &RepoPath) -> bool {
        let is_known = self.take_hint(forge, repo);
        if let (true, Some(wire)) = (is_known, self.parts.working.wire()) {
            wire.send(Word::Hint { forge: forge.to_owned(), repo: repo.clone() });
        }
        is_known
    }

    fn take_hint(&self, forge: &str, repo: &RepoPath) -> bool {
        let mut is_known = false;
        for part in self.parts.working.engines() {
            is_known |= part.take_hint(forge, repo);
        }
        for (name, path) in self.asked_of() {
            if name == forge && path.as_str().eq_ignore_ascii_case(repo.as_str()) {
                self.parts.hints.add((name.to_owned(), path));
                is_known = true;
            }
        }
        is_known
    }

    /// Does what another process says, in the parts that it is about.
    pub(crate) fn heard(&self, heard: Heard) {
        match heard {
            Heard::Word(Word::Hint { forge, repo }) => drop(self.take_hint(&forge, &repo)),
            Heard::Word(Word::Inbox(watch)) => {
                let works_for = |part: &Self| part.parts.known.watches.contains_key(&watch);
                let parts = self.parts.working.engines();
                parts.iter().filter(|part| works_for(part)).for_each(Self::look);
            }
            Heard::Missed => {
                for part in self.parts.working.engines() {
                    part.look();
                    let all = part.asked_of().map(|(name, path)| (name.to_owned(), path));
                    all.for_each(|hint| part.parts.hints.add(hint));
                }
            }
        }
    }

    /// Has the inbox looked at now.
    fn look(&self) {
        self.parts.inbox_told.notify_one();
    }

    /// The repositories that are polled, with their forges.
    fn asked_of(&self) -> impl Iterator<Item = (&str, RepoPath)> {
        self.parts.known.watches.values().flat_map(|watch| {
            [
                (watch.source.forge.as_str(), watch.source.repo.path()),
                (watch.manifests.forge.as_str(), watch.manifests.repo.path()),
            ]
        })
    }
}
