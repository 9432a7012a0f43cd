//! Which repositories are asked when. One request answers all watches of a repository; `sightings` has what it changes.

mod sightings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::sightings::Sight;
use super::ledger::Ledger;
use super::machine::{Moment, Undelivered};
use crate::clock::Timestamp;
use crate::cursor::Cursors;
use crate::event::EventKind;
use crate::forge::{
    ForgeError, ForgeErrorKind, HeadList, HeadsAnswer, HeadsQuery, PullsAnswer, PullsQuery,
};
use crate::names::WatchName;
use crate::repo::{CommitSha, RepoUrl};
use crate::retry::{Backoff, Retry};
use crate::store::{Outage, WatchState, Write};
use crate::subject::{Subject, SubjectKey};
use crate::watch::{SubjectSelector, Watch};

/// However many hints come, a repository is asked at most this often.
const HINT_SPACING: Duration = Duration::from_secs(1);
/// A repository that fails on its own is polled once in so many intervals: with its jitter less than an eighth as
/// often.
const FAILING: u32 = 9;

/// One repository on one forge, with the watches that want to know its heads.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) forge: String,
    pub(super) repo: RepoUrl,
    /// Watches whose A it is.
    sources: Vec<Arc<Watch>>,
    /// Watches whose B it is.
    manifests: Vec<Arc<Watch>>,
    pub(super) interval: Duration,
    pub(super) due: Instant,
    pub(super) in_flight: bool,
    /// It was said to have moved while it was being asked: the answer may be older than that.
    hinted: bool,
    answered: Option<Instant>,
    /// Rounds that ended since the start, whatever the answer.
    pub(super) rounds: u64,
    failures: u32,
    outage: Option<(Timestamp, Instant)>,
    /// B's heads as last reported: a NotModified refers to them.
    last: Option<BTreeMap<Subject, CommitSha>>,
    /// Why pull requests can't be told, as it was told last.
    pulls_error: Option<String>,
    /// Patterns of its watches that matched nothing in the last answer.
    idle: BTreeMap<WatchName, Vec<String>>,
}

/// The effects of an answer: writes, events, and B's heads if somebody waits for them.
#[derive(Debug, Default)]
pub(super) struct Absorbed {
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<EventKind>,
    pub(super) closed: Vec<(SubjectKey, Option<CommitSha>)>,
    /// Heads of forks that wait for an approval now, or do so no more.
    pub(super) undelivered: Vec<Undelivered>,
}

pub(super) fn groups(watches: &BTreeMap<WatchName, Arc<Watch>>, now: Instant) -> Vec<Group> {
    let mut groups: BTreeMap<(String, RepoUrl), Group> = BTreeMap::new();
    for watch in watches.values() {
        let sides = [
            (&watch.source.forge, &watch.source.repo, true),
            (&watch.manifests.forge, &watch.manifests.repo, false),
        ];
        for (forge, repo, is_source) in sides {
            let interval = watch.timing.polling_interval;
            let group = groups.entry((forge.clone(), repo.clone())).or_insert_with(|| Group {
                forge: forge.clone(),
                repo: repo.clone(),
                sources: Vec::new(),
                manifests: Vec::new(),
                interval,
                due: now,
                in_flight: false,
                hinted: false,
                answered: None,
                rounds: 0,
                failures: 0,
                outage: None,
                last: None,
                pulls_error: None,
                idle: BTreeMap::new(),
            });
            group.interval = group.interval.min(interval);
            let side = if is_source { &mut group.sources } else { &mut group.manifests };
            side.push(Arc::clone(watch));
        }
    }
    groups.into_values().collect()
}

impl Group {
    pub(super) fn is_source_of(&self, watch: &WatchName) -> bool {
        self.sources.iter().any(|w| w.name == *watch)
    }

    /// True if the last answer was an error.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn has_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The question to ask now; `None` if nobody waits for an answer.
    pub(super) fn query(&self, ledger: &Ledger) -> Option<HeadsQuery> {
        let wanted = self.wanted_manifests(ledger);
        if self.sources.is_empty() && wanted.is_empty() {
            return None;
        }
        let names = SubjectSelector::named(&wanted);
        let selectors = self.sources.iter().map(|w| &w.source.subjects).chain([&names]);
        let subjects = SubjectSelector::union(selectors);
        // An answer "as before" helps only if every watch has seen what was before.
        let seen = self
            .sources
            .iter()
            .all(|w| ledger.watches.get(&w.name).is_some_and(|k| is_current(k, w)));
        let usable = seen && (wanted.is_empty() || self.last.is_some());
        let validator = usable
            .then(|| ledger.validators.get(&self.validator_key(&subjects)).cloned())
            .flatten();
        Some(HeadsQuery { repo: self.repo.clone(), subjects, validator })
    }

    /// The question about pull requests; `None` if no watch selects any.
    pub(super) fn pulls_query(&self, ledger: &Ledger) -> Option<PullsQuery> {
        let mut watches = self.sources.iter().filter(|w| w.source.subjects.pulls.is_some());
        watches.clone().next()?;
        // An answer about what changed helps only if every watch has seen what was before.
        let seen = watches.all(|w| {
            let known = ledger.watches.get(&w.name).filter(|k| is_same_place(k, w));
            known.is_some_and(|known| known.pulls == pulls_of(w))
        });
        let validator = seen.then(|| ledger.validators.get(&self.pulls_key()).cloned()).flatten();
        Some(PullsQuery { repo: self.repo.clone(), validator })
    }

    fn pulls_key(&self) -> String {
        format!("{} {} pull requests", self.forge, self.repo)
    }

    /// Takes an answer about pull requests in. An error of its own holds no branch up.
    pub(super) fn absorb_pulls(
        &mut self,
        answer: Result<PullsAnswer, ForgeError>,
        ledger: &Ledger,
        stamp: Timestamp,
    ) -> Absorbed {
        let mut absorbed = Absorbed::default();
        let changes = match answer {
            Ok(PullsAnswer::NotModified) => {
                self.pulls_error = None;
                return absorbed;
            }
            Ok(PullsAnswer::Pulls(changes)) => changes,
            Err(error) => {
                let text = format!("pull requests: {}", error.told());
                if self.pulls_error.as_ref() != Some(&text) {
                    let (forge, repo) = (self.forge.clone(), self.repo.clone());
                    let (error, wait) = (text.clone(), self.interval);
                    absorbed.events.push(EventKind::ForgeUnreachable { forge, repo, error, wait });
                    self.pulls_error = Some(text);
                }
                return absorbed;
            }
        };
        self.pulls_error = None;
        for watch in self.sources.iter().filter(|w| w.source.subjects.pulls.is_some()) {
            Sight::of(watch, ledger, stamp).pulls(&changes, &mut absorbed);
        }
        let key = self.pulls_key();
        if changes.validator.as_ref() != ledger.validators.get(&key) {
            absorbed.writes.push(Write::Validator(key, changes.validator));
        }
        absorbed
    }

    /// It is kept: the same across versions.
    fn validator_key(&self, subjects: &SubjectSelector) -> String {
        let patterns: Vec<_> = subjects.patterns().collect();
        format!("{} {} {}", self.forge, self.repo, patterns.join(","))
    }

    /// The branches of B that somebody waits for: a watch that also follows B, or a parked head.
    fn wanted_manifests(&self, ledger: &Ledger) -> BTreeSet<Subject> {
        let mut wanted = BTreeSet::new();
        for watch in &self.manifests {
            let mut want = |state: &Cursors| {
                let branches = watch.manifests_branches(&state.subject, state.pull.as_deref());
                wanted.extend(branches.into_iter().map(Subject::Branch));
            };
            ledger.parked(&watch.name).for_each(&mut want);
            let all = ledger.cursors.get(&watch.name).filter(|_| watch.watch_manifests);
            let states = all.into_iter().flat_map(BTreeMap::values);
            states
                .filter(|state| follows_manifests(watch, state) && state.gone.is_none())
                .for_each(|state| want(state));
        }
        wanted
    }

    /// When it is polled again.
    fn schedule(&mut self, wait: Duration, now: Instant) {
        self.due = now + wait;
        self.in_flight = false;
        self.rounds += 1;
        self.answered = Some(now);
        if std::mem::take(&mut self.hinted) {
            self.hint(now);
        }
    }

    /// It is said to have moved. One that fails is asked when its wait is over: a hint is no cure.
    pub(super) fn hint(&mut self, now: Instant) {
        if self.in_flight {
            self.hinted = true;
        } else if self.failures == 0 {
            let earliest = self.answered.map_or(now, |at| now.max(at + HINT_SPACING));
            self.due = self.due.min(earliest);
        }
    }

    /// Takes an answer in.
    pub(super) fn absorb(
        &mut self,
        query: &HeadsQuery,
        answer: Result<HeadsAnswer, ForgeError>,
        ledger: &Ledger,
        now: Moment,
        backoff: &Backoff,
    ) -> Absorbed {
        let Moment { instant: now, stamp } = now;
        match answer {
            Ok(answer) => {
                // Spread, so that agents and groups do not beat as one.
                let spread = self.interval.mul_f64(fastrand::f64() * 0.05);
                let mut absorbed = self.recovered(ledger, now);
                self.schedule(self.interval + spread, now);
                match answer {
                    HeadsAnswer::NotModified => {}
                    HeadsAnswer::Heads(heads) => {
                        self.heads(query, heads, ledger, stamp, &mut absorbed)
                    }
                }
                self.unpark(ledger, &mut absorbed);
                absorbed
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let wait = self.wait_after(&error, backoff);
                self.schedule(wait, now);
                self.failed(&error, wait, ledger, stamp, now)
            }
        }
    }

    /// A repository that fails on its own slows down to less than an eighth of the normal rate; an outage is checked
    /// at least every five minutes; a refused token every interval, where the forge itself holds requests back.
    fn wait_after(&self, error: &ForgeError, backoff: &Backoff) -> Duration {
        if error.kind() == ForgeErrorKind::Unauthorized {
            return self.interval;
        }
        let is_away =
            matches!(error.kind(), ForgeErrorKind::Unreachable | ForgeErrorKind::RateLimited);
        let slowest = if is_away {
            backoff.cap.max(self.interval)
        } else {
            self.interval.saturating_mul(FAILING)
        };
        let advice = if error.retry() == Retry::Stalled { Retry::Backoff } else { error.retry() };
        let growing = Backoff { base: backoff.base, cap: slowest };
        // Jitter spreads the first waits. A rate that has come down stays there.
        let is_down = !is_away && growing.ceiling(self.failures) == slowest;
        let least = if is_down { 0.95 } else { 0.5 };
        let random = least + fastrand::f64() * (1.0 - least);
        growing.wait(advice, self.failures, random).unwrap_or(slowest)
    }

    fn recovered(&mut self, ledger: &Ledger, now: Instant) -> Absorbed {
        let mut absorbed = Absorbed::default();
        self.failures = 0;
        if let Some((_, since)) = self.outage.take() {
            let (forge, repo) = (self.forge.clone(), self.repo.clone());
            absorbed.events.push(EventKind::ForgeRecovered { forge, repo, after: now - since });
        }
        for watch in &self.sources {
            if let Some(known) = ledger.watches.get(&watch.name).filter(|k| k.unreachable.is_some())
            {
                absorbed
                    .writes
                    .push(Write::Watch(WatchState { unreachable: None, ..known.clone() }));
            }
        }
        absorbed
    }

    fn failed(
        &mut self,
        error: &ForgeError,
        wait: Duration,
        ledger: &Ledger,
        stamp: Timestamp,
        now: Instant,
    ) -> Absorbed {
        let (since, _) = *self.outage.get_or_insert((stamp, now));
        let text = error.told();
        let mut absorbed = Absorbed::default();
        for watch in &self.sources {
            let known = ledger.watches.get(&watch.name).cloned().unwrap_or_else(|| WatchState {
                watch: watch.name.clone(),
                repo: watch.source.repo.clone(),
                patterns: Vec::new(),
                unreachable: None,
                pulls: None,
            });
            let since = known.unreachable.as_ref().map_or(since, |o| o.since);
            let outage = Outage { since, error: text.clone(), next: stamp.checked_add(wait).ok() };
            absorbed.writes.push(Write::Watch(WatchState { unreachable: Some(outage), ..known }));
        }
        let (forge, repo) = (self.forge.clone(), self.repo.clone());
        absorbed.events.push(EventKind::ForgeUnreachable { forge, repo, error: text, wait });
        absorbed
    }

    fn heads(
        &mut self,
        query: &HeadsQuery,
        heads: HeadList,
        ledger: &Ledger,
        stamp: Timestamp,
        absorbed: &mut Absorbed,
    ) {
        if let Some(to) = heads.renamed_to {
            absorbed.events.push(EventKind::RepoRenamed { from: self.repo.clone(), to });
        }
        let subjects: Vec<&Subject> = heads.heads.keys().collect();
        for watch in &self.sources {
            Sight::of(watch, ledger, stamp).heads(&heads.heads, absorbed);
            let patterns = watch.source.subjects.idle(&subjects);
            let patterns: Vec<String> = patterns.into_iter().map(str::to_owned).collect();
            let told = self.idle.get(&watch.name).map_or(&[][..], Vec::as_slice);
            if told != patterns {
                let watch = watch.name.clone();
                self.idle.insert(watch.clone(), patterns.clone());
                absorbed.events.push(EventKind::PatternsIdle { watch, patterns });
            }
        }
        let key = self.validator_key(&query.subjects);
        if heads.validator.as_ref() != ledger.validators.get(&key) {
            absorbed.writes.push(Write::Validator(key, heads.validator));
        }
        self.last = (!self.manifests.is_empty()).then_some(heads.heads);
    }

    /// A parked head whose B has moved since is retried automatically.
    fn unpark(&self, ledger: &Ledger, absorbed: &mut Absorbed) {
        let Some(heads) = &self.last else { return };
        for watch in &self.manifests {
            for state in ledger.parked(&watch.name) {
                let Some(parked) = &state.parked else { continue };
                let names = watch.manifests_branches(&state.subject, state.pull.as_deref());
                let head = names.into_iter().find_map(|name| heads.get(&Subject::Branch(name)));
                let moved = head.is_some() && head != parked.manifests.as_ref();
                if moved && !parked.regardless_of_b {
                    let state = Cursors::clone(state);
                    absorbed.writes.push(Write::Cursors(Cursors { parked: None, ..state }));
                }
            }
        }
    }

    /// For watches that also follow B: the branches whose delivered B commit is not B's head any more, if no delivery was
    /// begun for that one yet.
    pub(super) fn moved_manifests(&self, ledger: &Ledger) -> Vec<(SubjectKey, CommitSha)> {
        let Some(heads) = &self.last else { return Vec::new() };
        let mut moved = Vec::new();
        for watch in self.manifests.iter().filter(|w| w.watch_manifests) {
            for state in ledger.cursors.get(&watch.name).into_iter().flat_map(BTreeMap::values) {
                let names = watch.manifests_branches(&state.subject, state.pull.as_deref());
                let head = names.into_iter().find_map(|name| heads.get(&Subject::Branch(name)));
                let settled = !state.is_change()
                    && state.gone.is_none()
                    && !state.is_unapproved()
                    && follows_manifests(watch, state);
                let is_new = |h: &&CommitSha| {
                    state.manifests.as_ref().is_some_and(|m| m != *h)
                        && state.manifests_attempted.as_ref() != Some(*h)
                };
                if let Some(head) = head.filter(|h| settled && is_new(h)) {
                    moved.push(((watch.name.clone(), state.subject.clone()), head.clone()));
                }
            }
        }
        moved
    }
}

/// True if the watch was polled with the repository and the patterns it has now.
fn is_current(known: &WatchState, watch: &Watch) -> bool {
    is_same_place(known, watch)
        && watch.source.subjects.patterns().eq(known.patterns.iter().map(String::as_str))
}

fn is_same_place(known: &WatchState, watch: &Watch) -> bool {
    known.repo.is_same_place(&watch.source.repo)
}

/// Which pull requests a watch selects, as it is kept.
fn pulls_of(watch: &Watch) -> Option<String> {
    watch.source.subjects.pulls.as_ref().map(ToString::to_string)
}

/// True if the subject is delivered again when B moves. A tag is not: it stands for what was once released, and there may
/// be hundreds.
fn follows_manifests(watch: &Watch, state: &Cursors) -> bool {
    watch.watch_manifests && state.subject.tag().is_none()
}

#[cfg(test)]
mod tests;
