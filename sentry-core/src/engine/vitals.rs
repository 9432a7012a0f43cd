//! How a running engine shows that it lives, without its store: a state that can't be written must not look like a
//! loop that is stuck, and the other way round. Ages are measured by the monotonic clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::forge::Requests;
use crate::names::WatchName;
use crate::repo::RepoUrl;
use crate::store::{AgentState, LoopState};

/// What a running engine reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vitals {
    /// How long ago its loop last said that it turns.
    pub silent: Duration,
    /// How often it says so.
    pub pace: Duration,
    /// What it said then. Whether the store took it is another matter: see `unwritable`.
    pub agent: AgentState,
    /// Why the last write of the state failed; `None` if it was kept.
    pub unwritable: Option<String>,
    /// The watches that it works for: of one that works in parts, those of the slots that it owns now.
    pub watches: BTreeSet<WatchName>,
    /// How many slots it works for; 0 for one that owns a whole state.
    pub slots: usize,
    /// When each watch's A was last asked. A watch that was not asked yet is missing.
    pub asked: BTreeMap<WatchName, Asked>,
    /// What became of each forge's requests since the start.
    pub requests: BTreeMap<String, Requests>,
}

impl Vitals {
    /// How late a poll loop was when the engine last spoke of it, by its repository that waits longest.
    #[must_use]
    pub fn late(&self, poll_loop: &LoopState) -> Duration {
        Duration::try_from(self.agent.beat.duration_since(poll_loop.beat)).unwrap_or_default()
    }
}

/// When a repository was asked for its heads, as ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Since the last round ended, well or not.
    pub ended: Duration,
    /// Since the forge last answered; `None` if it never did since the start.
    pub answered: Option<Duration>,
}

/// What the agent notes down, and anybody may look at.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    beat: Option<(Instant, Duration, AgentState)>,
    unwritable: Option<String>,
    rounds: BTreeMap<(String, RepoUrl), (Instant, Option<Instant>)>,
}

impl Pulse {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn beat(&self, agent: &AgentState, pace: Duration) {
        self.notes().beat = Some((Instant::now(), pace, agent.clone()));
    }

    /// A write was kept, or why it was not.
    pub(super) fn wrote(&self, failure: Option<String>) {
        self.notes().unwritable = failure;
    }

    pub(super) fn asked(&self, forge: &str, repo: &RepoUrl, answered: bool) {
        let now = Instant::now();
        let mut notes = self.notes();
        let round = notes.rounds.entry((forge.to_owned(), repo.clone())).or_insert((now, None));
        round.0 = now;
        if answered {
            round.1 = Some(now);
        }
    }
}

impl Engine {
    /// What the engine reports about itself; `None` until [`Engine::run`] has claimed its store. One that works in parts
    /// ([`Fleet`](crate::fleet::Fleet)) is as silent as the part that is most so.
    #[must_use]
    pub fn vitals(&self) -> Option<Vitals> {
        let mut whole = self.own_vitals()?;
        for part in self.parts.working.engines().iter().filter_map(Self::own_vitals) {
            whole.silent = whole.silent.max(part.silent);
            whole.unwritable = whole.unwritable.or(part.unwritable);
            whole.asked.extend(part.asked);
        }
        if let Some(watches) = self.parts.working.watches() {
            whole.watches = watches;
            whole.slots = self.parts.working.slots();
        }
        Some(whole)
    }

    fn own_vitals(&self) -> Option<Vitals> {
        let now = Instant::now();
        let notes = self.parts.pulse.notes();
        let (beat, pace, agent) = notes.beat.clone()?;
        let asked = self.parts.known.watches.values().filter_map(|watch| {
            let key = (watch.source.forge.clone(), watch.source.repo.clone());
            let (ended, answered) = notes.rounds.get(&key)?;
            let age = |at: &Instant| now.saturating_duration_since(*at);
            let asked = Asked { ended: age(ended), answered: answered.as_ref().map(age) };
            Some((watch.name.clone(), asked))
        });
        let requests = self.parts.forges.iter();
        let requests =
            requests.map(|(name, forge)| (name.clone(), forge.heads.requests())).collect();
        let (silent, unwritable) = (now.saturating_duration_since(beat), notes.unwritable.clone());
        let watches = self.parts.known.watches.keys().cloned().collect();
        let (slots, asked) = (0, asked.collect());
        Some(Vitals { silent, pace, agent, unwritable, watches, slots, asked, requests })
    }
}
