//! What the state says of each watch at a moment: pure, so that it can be tested without a server.

use std::collections::{BTreeMap, BTreeSet};

use sentry_core::clock::Timestamp;
use sentry_core::cursor::Cursors;
use sentry_core::names::WatchName;
use sentry_core::repo::CommitSha;
use sentry_core::store::{Overview, SubjectView};
use sentry_core::subject::SubjectKey;
use sentry_core::watch::Watch;

/// Seconds, for gauges.
pub(crate) type Seconds = f64;

/// What is shown of one watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    /// How long its oldest head waits to be delivered; 0 if none does.
    pub(crate) oldest: Seconds,
    /// Heads that were given up.
    pub(crate) parked: u32,
    /// When a head that makes something run was last delivered, in seconds since 1970.
    pub(crate) last_success: Option<Seconds>,
}

/// Since when branches have had a head that is not settled, with the head that was settled then.
///
/// The store has the time of the newest head only: a branch that moves faster than it can be delivered would look
/// young for ever.
#[derive(Debug, Default)]
pub(crate) struct Waiting(BTreeMap<SubjectKey, (Option<CommitSha>, Timestamp)>);

impl Waiting {
    /// Takes in the heads that are not settled now.
    pub(crate) fn look(&mut self, unsettled: &[SubjectView]) {
        let mut seen = BTreeMap::new();
        for state in unsettled.iter().map(|subject| &subject.cursors) {
            let key = (state.watch.clone(), state.subject.clone());
            let settled = state.settled().cloned();
            let since = match self.0.remove(&key) {
                Some((before, since)) if before == settled => since.min(state.observed.at),
                _ => state.observed.at,
            };
            seen.insert(key, (settled, since));
        }
        self.0 = seen;
    }

    fn since(&self, state: &Cursors) -> Timestamp {
        let known = self.0.get(&(state.watch.clone(), state.subject.clone()));
        known.map_or(state.observed.at, |(_, since)| *since)
    }
}

/// The figures of every watch, of an overview of the heads that are not settled. A suspended watch and a head that was
/// given up are a person's business: no head of theirs counts as waiting.
pub(crate) fn figures(
    watches: &[&Watch],
    overview: &Overview,
    waiting: &Waiting,
    now: Timestamp,
) -> BTreeMap<WatchName, Figures> {
    let none = |watch: &&Watch| (watch.name.clone(), Figures::default());
    let mut all: BTreeMap<WatchName, Figures> = watches.iter().map(none).collect();
    let mut suspended = BTreeSet::new();
    for kept in &overview.watches {
        let suspension = kept.suspension.as_ref();
        if suspension.is_some_and(|s| s.until.is_none_or(|until| now < until)) {
            suspended.insert(&kept.watch);
        }
        if let Some(figures) = all.get_mut(&kept.watch) {
            figures.last_success = kept.last_success.map(|at| at.as_duration().as_secs_f64());
        }
    }
    for state in overview.subjects.iter().map(|subject| &subject.cursors) {
        let Some(figures) = all.get_mut(&state.watch) else { continue };
        if state.is_parked() {
            figures.parked += 1;
        } else if state.is_unapproved() {
            // Somebody decides about it, or nobody ever does.
        } else if !suspended.contains(&state.watch) {
            let age = now.duration_since(waiting.since(state)).as_secs_f64();
            figures.oldest = figures.oldest.max(age);
        }
    }
    all
}

/// How many runs wait until their watch's namespace has room.
pub(crate) fn queues(watches: &[&Watch], overview: &Overview) -> BTreeMap<String, usize> {
    let namespace = |watch: &Watch| watch.cluster.namespace.to_string();
    let mut queues: BTreeMap<String, usize> =
        watches.iter().map(|watch| (namespace(watch), 0)).collect();
    for queued in &overview.queue {
        if let Some(watch) = watches.iter().find(|watch| watch.name == queued.watch) {
            *queues.entry(namespace(watch)).or_default() += queued.runs;
        }
    }
    queues
}

#[cfg(test)]
mod tests {
    use sentry_core::store::{QueueView, Suspension, WatchView};
    use sentry_core::testing::sample;
    use sentry_core::watch::sample::watch;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn mark(n: u32, second: i64) -> sentry_core::cursor::Mark {
        sentry_core::cursor::Mark { sha: sample::sha(n), at: at(second) }
    }

    /// A branch whose head `n` was seen at a second, with 1 delivered at second 0.
    fn branch(name: &str, n: u32, second: i64) -> Cursors {
        let mut state =
            Cursors::first_seen(sample::watch("qa"), sample::subject(name), mark(n, second));
        state.delivered = Some(mark(1, 0));
        state
    }

    fn overview(unsettled: impl IntoIterator<Item = Cursors>) -> Overview {
        let view = |cursors| SubjectView { cursors, open: vec![], newest: None, delivered: None };
        Overview { subjects: unsettled.into_iter().map(view).collect(), ..Overview::default() }
    }

    fn kept(name: &str, suspended_until: Option<Option<Timestamp>>) -> WatchView {
        let watch = sample::watch(name);
        let suspension = suspended_until.map(|until| Suspension {
            watch: watch.clone(),
            reason: None,
            since: at(0),
            until,
            by: None,
        });
        let (state, reporting, last_success) = (None, None, Some(at(9)));
        WatchView { watch, state, suspension, reporting, triggers: 0, last_success, recent: vec![] }
    }

    fn qa(overview: &Overview, waiting: &Waiting, second: i64) -> Figures {
        let watch = watch("qa", &["main"]);
        figures(&[&watch], overview, waiting, at(second))[&watch.name].clone()
    }

    #[test]
    fn the_oldest_head_that_waits_and_the_last_success_are_told() {
        let mut unsettled = overview([branch("a", 2, 50), branch("b", 3, 20)]);
        unsettled.watches = vec![kept("other", None), kept("qa", None)];
        let mut waiting = Waiting::default();
        waiting.look(&unsettled.subjects);
        let figures = qa(&unsettled, &waiting, 100);
        assert_eq!((figures.oldest, figures.last_success), (80.0, Some(1_700_000_009.0)));
        let none = Overview::default();
        waiting.look(&none.subjects);
        let figures = qa(&none, &waiting, 100);
        assert_eq!((figures.oldest, figures.last_success), (0.0, None));
    }

    #[test]
    fn a_branch_that_moves_faster_than_it_is_delivered_grows_old_all_the_same() {
        let mut waiting = Waiting::default();
        let mut state = Overview::default();
        for turn in 1..=10 {
            state = overview([branch("main", 1 + turn, i64::from(turn) * 60)]);
            waiting.look(&state.subjects);
        }
        assert_eq!(qa(&state, &waiting, 600).oldest, 540.0);
        let mut delivered = branch("main", 20, 700);
        delivered.delivered = Some(mark(11, 650));
        state = overview([delivered]);
        waiting.look(&state.subjects);
        assert_eq!(qa(&state, &waiting, 710).oldest, 10.0, "one was delivered in between");
    }

    #[test]
    fn parked_heads_and_suspended_watches_wait_for_a_person_and_not_for_us() {
        let waiting = Waiting::default();
        let mut parked = branch("main", 2, 10);
        parked.parked = Some(Box::new(sentry_core::cursor::Parked {
            mark: mark(2, 10),
            delivery: sample::id(1),
            fingerprint: String::new(),
            manifests: None,
            regardless_of_b: false,
            error: String::new(),
            again: None,
        }));
        let figures = qa(&overview([parked]), &waiting, 100);
        assert_eq!((figures.parked, figures.oldest), (1, 0.0));
        let mut state = overview([branch("main", 2, 10)]);
        state.watches = vec![kept("qa", Some(Some(at(90))))];
        assert_eq!(qa(&state, &waiting, 89).oldest, 0.0);
        assert_eq!(qa(&state, &waiting, 90).oldest, 80.0, "the suspension is over");
        state.watches = vec![kept("qa", Some(None))];
        assert_eq!(qa(&state, &waiting, 100).oldest, 0.0);
        state.watches = vec![kept("other", Some(None))];
        assert_eq!(qa(&state, &waiting, 100).oldest, 90.0);
    }

    #[test]
    fn queued_runs_are_counted_by_namespace_and_an_empty_queue_is_told_too() {
        let watch = watch("qa", &["main"]);
        let namespace = watch.cluster.namespace.to_string();
        let mut state = Overview::default();
        assert_eq!(queues(&[&watch], &state)[&namespace], 0);
        let queued = |watch, runs| QueueView { watch, namespace: None, runs };
        state.queue = vec![queued(watch.name.clone(), 2), queued(sample::watch("other"), 3)];
        assert_eq!(queues(&[&watch], &state)[&namespace], 2);
    }
}
