//! Rounds of polling: one task for each forge, with all questions that are due. A repository that failed is asked by
//! itself: it may hang or break down, and no other waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Call, Machine, Mode, Polled};
use crate::cursor::Cursors;
use crate::delivery::Cause;
use crate::engine::conclude::superseded;
use crate::engine::poller::{Absorbed, Group};
use crate::event::EventKind;
use crate::forge::{ForgeError, ForgeErrorKind, HeadsAnswer, HeadsQuery, PullsQuery};
use crate::repo::RepoPath;
use crate::revision::Revision;
use crate::store::Write;

/// Polls that fall due within so long are asked together: of a thousand watches one is due every few milliseconds.
const GATHER: Duration = Duration::from_millis(200);

/// A forge, and the one repository that this round is about, if it is asked by itself.
type Round = (String, Option<usize>);

/// What a round asks.
#[derive(Default)]
struct Questions {
    asked: Vec<(usize, HeadsQuery)>,
    pulls: Vec<(usize, PullsQuery)>,
}

impl Machine {
    pub(super) fn start_polls(&mut self) {
        let now = self.now.instant;
        if now < self.polls.next_round {
            return;
        }
        let mut rounds: BTreeMap<Round, Questions> = BTreeMap::new();
        for index in 0..self.polls.groups.len() {
            let group = &self.polls.groups[index];
            if group.in_flight || group.due > now || !self.is_asked(group) {
                continue;
            }
            let query = group.query(&self.ledger);
            let group = &mut self.polls.groups[index];
            match query {
                Some(query) => {
                    let alone = group.is_failing().then_some(index);
                    let round = rounds.entry((group.forge.clone(), alone)).or_default();
                    round.asked.push((index, query));
                    round.pulls.extend(group.pulls_query(&self.ledger).map(|pulls| (index, pulls)));
                    group.in_flight = true;
                }
                None => {
                    group.due = now + group.interval;
                    group.rounds += 1;
                }
            }
        }
        if !rounds.is_empty() {
            self.polls.next_round = now + GATHER;
        }
        for ((forge, _), Questions { asked, pulls }) in rounds {
            self.call(Call::Poll { forge, asked, pulls });
        }
    }

    /// Repositories that are said to have moved are due.
    pub(super) fn take_hints(&mut self, hints: &BTreeSet<(String, RepoPath)>) {
        let now = self.now.instant;
        for (forge, repo) in hints {
            let is_meant = |group: &&mut Group| group.forge == *forge && group.repo.path() == *repo;
            self.polls.groups.iter_mut().filter(is_meant).for_each(|group| group.hint(now));
        }
    }

    pub(super) fn polled(&mut self, polled: Polled) {
        let Polled { forge, asked, answers, pulls, took } = polled;
        // First: a branch's head that one has starts nothing of its own.
        for (index, answer) in pulls {
            let group = &mut self.polls.groups[index];
            let absorbed = group.absorb_pulls(answer, &self.ledger, self.now.stamp);
            self.take_in(absorbed);
        }
        let mut answers = answers.into_iter();
        let (mut answered, mut failed) = (0, 0);
        for (index, query) in asked {
            let answer = answers.next().unwrap_or_else(|| {
                let text = format!("forge {forge} returned fewer answers than it got queries");
                Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text))
            });
            *(if answer.is_ok() { &mut answered } else { &mut failed }) += 1;
            if let Err(error) = &answer {
                self.note_poll_error(index, error);
            }
            self.absorb(index, &query, answer);
        }
        self.tell(EventKind::Polled { forge, answered, failed, took });
        self.take_triggers();
    }

    /// A round was cut off by a stop, or the forge's code panicked at one of its questions: which one, asking each by
    /// itself will show.
    pub(super) fn poll_broke_down(
        &mut self,
        asked: Vec<(usize, HeadsQuery)>,
        cut_off: bool,
        error: &str,
    ) {
        for (index, query) in asked {
            if cut_off {
                self.polls.groups[index].in_flight = false;
                continue;
            }
            let text = format!("polling {} crashed: {error}", query.repo);
            let error = ForgeError::new(ForgeErrorKind::WrongAnswer, text);
            self.note_poll_error(index, &error);
            self.absorb(index, &query, Err(error));
        }
    }

    pub(super) fn note_poll_error(&mut self, index: usize, error: &ForgeError) {
        let group = &self.polls.groups[index];
        for watch in self.known.watches.values().filter(|w| group.is_source_of(&w.name)) {
            let entry = (watch.name.clone(), error.kind(), error.told());
            self.summary.poll_errors.push(entry);
        }
        // A long run needs no list of its outages: they are told as events.
        if matches!(self.mode, Mode::Run) {
            self.summary.poll_errors.clear();
        }
    }

    fn absorb(
        &mut self,
        index: usize,
        query: &HeadsQuery,
        answer: Result<HeadsAnswer, ForgeError>,
    ) {
        let backoff = self.known.options.backoff;
        let absorbed =
            self.polls.groups[index].absorb(query, answer, &self.ledger, self.now, &backoff);
        self.take_in(absorbed);
        self.follow_manifests(index);
    }

    fn take_in(&mut self, absorbed: Absorbed) {
        let Absorbed { mut writes, mut events, closed, undelivered } = absorbed;
        self.reporting.undelivered.extend(undelivered);
        for (key, by) in closed {
            let running = &self.attempts.running;
            let waiting = self.ledger.open_change(&key).filter(|_| !running.contains_key(&key));
            if let Some(delivery) = waiting.cloned() {
                let end = superseded(delivery, by, self.now.stamp);
                writes.extend(end.writes);
                events.extend(end.events);
            }
        }
        self.write(writes);
        self.effects.events.extend(events);
    }

    /// B moved, and a watch follows B as well: the head of A is delivered once more, once for each head of B. What waits is
    /// not begun again, for it takes B as it is then. A dry run leaves no trace of a head of B, so it shows heads of A alone.
    fn follow_manifests(&mut self, index: usize) {
        if matches!(self.mode, Mode::Settle(_)) {
            return;
        }
        for (key, sha) in self.polls.groups[index].moved_manifests(&self.ledger) {
            if self.ledger.open_change(&key).is_some()
                || self.ledger.suspension(&key.0, self.now.stamp).is_some()
                || self.known.watches.get(&key.0).is_none_or(|watch| self.known.is_dry(watch))
            {
                continue;
            }
            let Some(state) = self.ledger.cursors(&key) else { continue };
            let state = Cursors { manifests_attempted: Some(sha), ..state.clone() };
            let revision = Revision { subject: key.1, sha: state.observed.sha.clone() };
            let delivery = self.new_delivery(&key.0, revision, Cause::Manifests);
            self.write(vec![Write::Cursors(state), Write::Delivery(Box::new(delivery))]);
        }
    }
}
