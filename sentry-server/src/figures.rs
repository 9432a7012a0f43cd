//! What the state says of each watch at a moment: pure, so that it can be tested without a server.

use std::collections::BTreeMap;

use sentry_core::clock::Timestamp;
use sentry_core::cursor::{Cursors, Mark};
use sentry_core::names::WatchName;
use sentry_core::plan::Action;
use sentry_core::repo::CommitSha;
use sentry_core::store::Snapshot;
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
    /// Takes in what the state says now.
    pub(crate) fn look(&mut self, snapshot: &Snapshot) {
        let mut seen = BTreeMap::new();
        for state in snapshot.cursors.iter().filter(|state| state.is_change()) {
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

/// The figures of every watch. A suspended watch and a head that was given up are a person's business: no head of
/// theirs counts as waiting.
pub(crate) fn figures(
    watches: &[&Watch],
    snapshot: &Snapshot,
    waiting: &Waiting,
    now: Timestamp,
) -> BTreeMap<WatchName, Figures> {
    let none = |watch: &&Watch| (watch.name.clone(), Figures::default());
    let mut all: BTreeMap<WatchName, Figures> = watches.iter().map(none).collect();
    for state in &snapshot.cursors {
        let Some(figures) = all.get_mut(&state.watch) else { continue };
        let ran = |mark: &&Mark| state.passed.as_ref().is_none_or(|p| p.mark.sha != mark.sha);
        if let Some(mark) = state.delivered.as_ref().filter(ran) {
            let at = mark.at.as_duration().as_secs_f64();
            figures.last_success = Some(figures.last_success.map_or(at, |last| last.max(at)));
        }
        if state.is_parked() {
            figures.parked += 1;
        } else if state.is_change() && !is_suspended(snapshot, &state.watch, now) {
            let age = now.duration_since(waiting.since(state)).as_secs_f64();
            figures.oldest = figures.oldest.max(age);
        }
    }
    all
}

fn is_suspended(snapshot: &Snapshot, watch: &WatchName, now: Timestamp) -> bool {
    let mut suspensions = snapshot.inbox.suspensions.iter();
    suspensions.any(|s| s.watch == *watch && s.until.is_none_or(|until| now < until))
}

/// How many runs wait until their watch's namespace has room.
pub(crate) fn queues(watches: &[&Watch], snapshot: &Snapshot) -> BTreeMap<String, usize> {
    let namespace = |watch: &Watch| watch.cluster.namespace.to_string();
    let mut queues: BTreeMap<String, usize> =
        watches.iter().map(|watch| (namespace(watch), 0)).collect();
    for delivery in &snapshot.open {
        let Some(watch) = watches.iter().find(|watch| watch.name == delivery.watch) else {
            continue;
        };
        let queued = delivery.objects.iter().filter(|o| o.action == Action::Queued).count();
        *queues.entry(namespace(watch)).or_default() += queued;
    }
    queues
}

#[cfg(test)]
mod tests {
    use sentry_core::store::{Requests, Suspension};
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

    fn qa(snapshot: &Snapshot, waiting: &Waiting, second: i64) -> Figures {
        let watch = watch("qa", &["main"]);
        figures(&[&watch], snapshot, waiting, at(second))[&watch.name].clone()
    }

    #[test]
    fn the_oldest_head_that_waits_is_told_and_a_delivered_one_is_none() {
        let cursors = vec![branch("main", 1, 0), branch("a", 2, 50), branch("b", 3, 20)];
        let mut snapshot = Snapshot { cursors, ..Snapshot::default() };
        let mut waiting = Waiting::default();
        waiting.look(&snapshot);
        assert_eq!(qa(&snapshot, &waiting, 100).oldest, 80.0);
        snapshot.cursors = vec![branch("main", 1, 0)];
        waiting.look(&snapshot);
        let figures = qa(&snapshot, &waiting, 100);
        assert_eq!(figures.oldest, 0.0);
        assert_eq!(figures.last_success, Some(1_700_000_000.0));
    }

    #[test]
    fn a_branch_that_moves_faster_than_it_is_delivered_grows_old_all_the_same() {
        let (mut snapshot, mut waiting) = (Snapshot::default(), Waiting::default());
        for turn in 1..=10 {
            snapshot.cursors = vec![branch("main", 1 + turn, i64::from(turn) * 60)];
            waiting.look(&snapshot);
        }
        assert_eq!(qa(&snapshot, &waiting, 600).oldest, 540.0);
        let mut state = branch("main", 20, 700);
        state.delivered = Some(mark(11, 650));
        snapshot.cursors = vec![state];
        waiting.look(&snapshot);
        assert_eq!(qa(&snapshot, &waiting, 710).oldest, 10.0, "one was delivered in between");
    }

    #[test]
    fn parked_heads_and_suspended_watches_wait_for_a_person_and_not_for_us() {
        let (mut snapshot, mut waiting) = (Snapshot::default(), Waiting::default());
        let mut parked = branch("main", 2, 10);
        parked.parked = Some(sentry_core::cursor::Parked {
            mark: mark(2, 10),
            delivery: sample::id(1),
            fingerprint: String::new(),
            manifests: None,
            regardless_of_b: false,
            error: String::new(),
            again: None,
        });
        snapshot.cursors = vec![parked];
        waiting.look(&snapshot);
        let figures = qa(&snapshot, &waiting, 100);
        assert_eq!((figures.parked, figures.oldest), (1, 0.0));
        snapshot.cursors = vec![branch("main", 2, 10)];
        waiting.look(&snapshot);
        let until = Some(at(90));
        let suspension =
            Suspension { watch: sample::watch("qa"), reason: None, since: at(0), until };
        snapshot.inbox = Requests { suspensions: vec![suspension], ..Requests::default() };
        assert_eq!(qa(&snapshot, &waiting, 89).oldest, 0.0);
        assert_eq!(qa(&snapshot, &waiting, 90).oldest, 80.0, "the suspension is over");
        snapshot.inbox.suspensions[0].until = None;
        assert_eq!(qa(&snapshot, &waiting, 100).oldest, 0.0);
        snapshot.inbox.suspensions[0].watch = sample::watch("other");
        assert_eq!(qa(&snapshot, &waiting, 100).oldest, 90.0);
    }

    #[test]
    fn a_head_that_made_nothing_run_is_no_success() {
        let mut passed = branch("main", 1, 0);
        let reason = sentry_core::delivery::Reason::SkippedByMarker;
        passed.passed = Some(sentry_core::cursor::Passed { mark: mark(1, 0), reason });
        let last = |cursors: Vec<Cursors>| {
            let snapshot = Snapshot { cursors, ..Snapshot::default() };
            qa(&snapshot, &Waiting::default(), 100).last_success
        };
        assert_eq!(last(vec![passed.clone()]), None);
        passed.delivered = Some(mark(2, 9));
        let (later, earlier) = (Some(1_700_000_009.0), branch("a", 3, 50));
        assert_eq!(last(vec![passed.clone(), earlier.clone()]), later);
        assert_eq!(last(vec![earlier, passed]), later);
    }

    #[test]
    fn queued_runs_are_counted_by_namespace_and_an_empty_queue_is_told_too() {
        let watch = watch("qa", &["main"]);
        let mut delivery = sample::open_delivery(1);
        delivery.watch = watch.name.clone();
        delivery.objects = vec![sample::outcome(Action::Queued), sample::outcome(Action::Queued)];
        let mut snapshot = Snapshot::default();
        let namespace = watch.cluster.namespace.to_string();
        assert_eq!(queues(&[&watch], &snapshot)[&namespace], 0);
        snapshot.open = vec![delivery];
        assert_eq!(queues(&[&watch], &snapshot)[&namespace], 2);
    }
}
