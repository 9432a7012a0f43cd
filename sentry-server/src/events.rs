//! From the engine's events to counters. A receiver that falls behind learns how many events it missed, and counts
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, DeliveryState, RunRecord, Verdict};
use sentry_core::engine::Engine;
use sentry_core::event::{Event, EventKind};
use sentry_core::ids::DeliveryId;
use sentry_core::names::WatchName;
use sentry_core::repo::CommitSha;
use sentry_core::store::{Archive, DeliveryQuery};
use sentry_core::subject::SubjectKey;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::metrics::Metrics;

/// Follows the events of one engine.
#[derive(Debug)]
pub(crate) struct Follower {
    events: Receiver<Event>,
    archive: Arc<dyn Archive>,
    metrics: Arc<Metrics>,
    /// When the newest change of a branch was seen, until it is delivered.
    changes: HashMap<SubjectKey, (CommitSha, Timestamp)>,
}

impl Follower {
    pub(crate) fn new(engine: &Engine, archive: Arc<dyn Archive>, metrics: Arc<Metrics>) -> Self {
        Self { events: engine.events(), archive, metrics, changes: HashMap::new() }
    }

    /// Until there is no engine any more.
    pub(crate) async fn follow(mut self) {
        loop {
            match self.events.recv().await {
                Ok(event) => self.count(event).await,
                Err(RecvError::Lagged(missed)) => self.metrics.lagged(missed),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn count(&mut self, Event { at, kind }: Event) {
        match kind {
            EventKind::Polled { forge, answered, failed, .. } => {
                self.metrics.polled(&forge, "answered", answered);
                self.metrics.polled(&forge, "failed", failed);
            }
            EventKind::Change { watch, revision, .. } => {
                self.changes.insert((watch, revision.subject), (revision.sha, at));
            }
            EventKind::Gone { watch, subject } => {
                self.changes.remove(&(watch, subject));
            }
            EventKind::DeliveryStep { id, state: DeliveryState::Following, .. } => {
                if let Some(delivery) = self.delivery(&id).await.filter(|d| !d.is_queued()) {
                    self.acknowledged(&delivery, at);
                }
            }
            EventKind::DeliveryRetrying { id, watch, .. } => {
                self.metrics.retry(&watch);
                if let Some(delivery) = self.delivery(&id).await {
                    self.steps(&delivery);
                }
            }
            EventKind::DeliverySettled { id, watch, state, verdict, runs, dry_run, .. } => {
                self.metrics.delivery(&watch, outcome(state, verdict, dry_run));
                self.runs(&watch, &runs);
                if let Some(delivery) = self.delivery(&id).await {
                    self.steps(&delivery);
                    if state == DeliveryState::Succeeded || verdict.is_some() {
                        self.acknowledged(&delivery, at);
                    }
                }
            }
            EventKind::Notified { receiver, .. } => self.metrics.notification(&receiver, true),
            EventKind::NotifyFailed { receiver, .. } => self.metrics.notification(&receiver, false),
            _ => {}
        }
    }

    fn runs(&self, watch: &WatchName, runs: &[RunRecord]) {
        for run in runs.iter().filter(|run| run.state.is_final()) {
            self.metrics.run(watch, run.state);
        }
    }

    fn steps(&self, delivery: &Delivery) {
        for step in &delivery.steps {
            self.metrics.step(&step.step, step.took);
        }
    }

    /// The change that a delivery was about is over; a change that was seen before this program's start is not
    /// measured.
    fn acknowledged(&mut self, delivery: &Delivery, at: Timestamp) {
        let key = (delivery.watch.clone(), delivery.revision.subject.clone());
        let about = |(sha, _): &&(CommitSha, Timestamp)| *sha == delivery.revision.sha;
        if let Some((_, seen)) = self.changes.get(&key).filter(about) {
            let took = at.duration_since(*seen).as_secs_f64();
            self.metrics.change_delivered(&delivery.watch, took);
            self.changes.remove(&key);
        }
    }

    async fn delivery(&self, id: &DeliveryId) -> Option<Delivery> {
        let query = DeliveryQuery { id_prefix: Some(id.to_string()), ..DeliveryQuery::default() };
        self.archive.deliveries(&query).await.ok()?.into_iter().next()
    }
}

fn outcome(state: DeliveryState, verdict: Option<Verdict>, dry_run: bool) -> &'static str {
    match (state, verdict) {
        _ if dry_run => "dry_run",
        (DeliveryState::Failed, Some(Verdict::Failure)) => "tests_failed",
        (state, _) => state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::extract::State;
    use sentry_core::clock::SystemClock;
    use sentry_core::delivery::{RunState, StepTiming};
    use sentry_core::deployer::DeployerPorts;
    use sentry_core::forge::ForgePorts;
    use sentry_core::plan::Action;
    use sentry_core::store::{Journal as _, Write};
    use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
    use sentry_core::testing::sample;
    use sentry_store::MemoryStore;

    use super::*;
    use crate::Guesses;
    use crate::metrics::{self, Scrape};

    /// What is counted of events, beside a store with deliveries that they are about.
    struct Counting {
        follower: Follower,
        scrape: Arc<Scrape>,
        before: Vec<String>,
    }

    impl Counting {
        /// The `n`th delivery is of the `n`th commit and applied for `n` seconds.
        async fn new(change: impl Fn(&mut Delivery)) -> Self {
            let store = Arc::new(MemoryStore::default());
            let engine = Engine::builder(Arc::clone(&store))
                .watch(sentry_core::watch::sample::watch("app", &["main"]))
                .forge("forge", ForgePorts::new(Arc::new(FakeForge::new())))
                .deployer("deployer", DeployerPorts::new(Arc::new(FakeDeployer::new())))
                .build()
                .unwrap();
            let claim = store.claim("test").await.unwrap();
            for n in 1..=3_u32 {
                let mut delivery = sample::open_delivery(n);
                let took = Duration::from_secs(n.into());
                let (step, started) = ("apply".to_owned(), sample::time(n));
                delivery.steps = vec![StepTiming { step, started, took }];
                delivery.objects = vec![sample::outcome(Action::Created)];
                change(&mut delivery);
                claim.commit(&[Write::Delivery(Box::new(delivery))]).await.unwrap();
            }
            let metrics = Arc::new(Metrics::new(&engine, "1", Guesses::default()));
            let follower = Follower::new(&engine, Arc::clone(&store) as _, Arc::clone(&metrics));
            let clock = Arc::new(SystemClock);
            let scrape = Arc::new(Scrape::new(metrics, engine, store, clock, None));
            let before = Self::lines(&scrape).await;
            Self { follower, scrape, before }
        }

        async fn lines(scrape: &Arc<Scrape>) -> Vec<String> {
            let (_, text) = metrics::serve(State(Arc::clone(scrape))).await.unwrap();
            let counted = |line: &&str| !line.starts_with('#') && !line.contains("_bucket");
            text.lines().filter(counted).map(str::to_owned).collect()
        }

        /// The series that differ after the events, without their common prefix.
        async fn after(
            mut self,
            events: impl IntoIterator<Item = (u32, EventKind)>,
        ) -> Vec<String> {
            for (second, kind) in events {
                self.follower.count(Event { at: sample::time(second), kind }).await;
            }
            let Self { scrape, before, .. } = self;
            Self::told(&scrape, &before).await
        }

        async fn told(scrape: &Arc<Scrape>, before: &[String]) -> Vec<String> {
            let mut lines = Self::lines(scrape).await;
            lines.retain(|line| !before.contains(line));
            lines.iter().map(|line| line.trim_start_matches("sentry_").to_owned()).collect()
        }
    }

    fn change(n: u32) -> EventKind {
        let revision = sample::revision(n);
        EventKind::Change { watch: sample::watch("app"), revision, from: None }
    }

    fn follows(n: u32) -> EventKind {
        let (id, watch) = (sample::id(n), sample::watch("app"));
        EventKind::DeliveryStep {
            id,
            watch,
            revision: sample::revision(1),
            state: DeliveryState::Following,
        }
    }

    fn settled(n: u32, state: DeliveryState, verdict: Option<Verdict>) -> EventKind {
        EventKind::DeliverySettled {
            id: sample::id(n),
            watch: sample::watch("app"),
            revision: sample::revision(n),
            state,
            manifests: None,
            objects: Vec::new(),
            runs: [RunState::Succeeded, RunState::Running, RunState::Failed]
                .map(sample::run)
                .into(),
            verdict,
            passed: None,
            took: Duration::ZERO,
            error: None,
            dry_run: false,
        }
    }

    fn retrying(n: u32) -> EventKind {
        let (id, watch, revision) = (sample::id(n), sample::watch("app"), sample::revision(n));
        let (error, wait) = ("e".to_owned(), Duration::ZERO);
        EventKind::DeliveryRetrying { id, watch, revision, error, wait, counted: true }
    }

    fn polled(answered: usize, failed: usize) -> EventKind {
        EventKind::Polled { forge: "forge".to_owned(), answered, failed, took: Duration::ZERO }
    }

    const ACKNOWLEDGED: [&str; 2] = [
        "change_to_delivered_seconds_sum{watch=\"app\"} 20.0",
        "change_to_delivered_seconds_count{watch=\"app\"} 1",
    ];

    #[tokio::test]
    async fn a_change_is_delivered_when_the_last_object_of_its_own_delivery_is_there() {
        use DeliveryState::{Failed, NothingRan, Superseded};
        let gone =
            EventKind::Gone { watch: sample::watch("app"), subject: sample::subject("main") };
        let elsewhere =
            EventKind::Gone { watch: sample::watch("app"), subject: sample::subject("other") };
        for (events, is_delivered) in [
            (vec![(10, change(2)), (30, follows(2))], true),
            (vec![(10, change(2)), (20, follows(1)), (25, follows(3)), (30, follows(2))], true),
            (vec![(10, change(2)), (30, follows(2)), (40, follows(2))], true),
            (vec![(10, change(2)), (20, elsewhere), (30, follows(2))], true),
            (vec![(5, change(1)), (10, change(2)), (30, follows(2))], true),
            (vec![(10, change(1)), (20, change(2)), (30, follows(1))], false),
            (vec![(10, change(2)), (20, gone), (30, follows(2))], false),
            (vec![(30, follows(2))], false),
            (vec![(10, change(2)), (30, settled(2, Failed, Some(Verdict::Failure)))], true),
            (vec![(10, change(2)), (30, settled(2, DeliveryState::Succeeded, None))], true),
            (vec![(10, change(2)), (30, settled(2, Superseded, None))], false),
            (vec![(10, change(2)), (30, settled(2, NothingRan, None))], false),
        ] {
            let what = format!("{events:?}");
            let told = Counting::new(|_| ()).await.after(events).await;
            let told: Vec<_> = told.iter().filter(|line| line.starts_with("change")).collect();
            assert_eq!(told, if is_delivered { &ACKNOWLEDGED[..] } else { &[] }, "{what}");
        }
        let queues = |delivery: &mut Delivery| {
            delivery.objects.push(sample::outcome(Action::Queued));
        };
        let events = [(10, change(2)), (30, follows(2))];
        assert_eq!(Counting::new(queues).await.after(events).await, [""; 0], "a run waits");
    }

    #[tokio::test]
    async fn each_event_is_counted_where_it_belongs() {
        let apply = [
            "step_duration_seconds_sum{step=\"apply\"} 1.0",
            "step_duration_seconds_count{step=\"apply\"} 1",
        ];
        let notice = || Box::new(sample::notice(1));
        let receiver = || "chat".to_owned();
        let error = "e".to_owned();
        let rows = [
            (
                polled(3, 2),
                vec![
                    "polls_total{forge=\"forge\",result=\"answered\"} 3",
                    "polls_total{forge=\"forge\",result=\"failed\"} 2",
                ],
            ),
            (retrying(1), [&apply[..], &["retries_total{watch=\"app\"} 1"]].concat()),
            (
                settled(1, DeliveryState::Failed, Some(Verdict::Failure)),
                [
                    &apply[..],
                    &["deliveries_total{watch=\"app\",outcome=\"tests_failed\"} 1"],
                    &["runs_total{watch=\"app\",outcome=\"failed\"} 1"],
                    &["runs_total{watch=\"app\",outcome=\"succeeded\"} 1"],
                ]
                .concat(),
            ),
            (
                EventKind::Notified { receiver: receiver(), notice: notice() },
                vec!["notifications_total{receiver=\"chat\",result=\"told\"} 1"],
            ),
            (
                EventKind::NotifyFailed {
                    receiver: receiver(),
                    notice: notice(),
                    error,
                    tries: 1,
                    wait: None,
                },
                vec!["notifications_total{receiver=\"chat\",result=\"failed\"} 1"],
            ),
            (change(1), vec![]),
            (EventKind::Stopping, vec![]),
        ];
        for (kind, mut wanted) in rows {
            let what = format!("{kind:?}");
            let mut told = Counting::new(|_| ()).await.after([(1, kind)]).await;
            told.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(told, wanted, "{what}");
        }
    }

    #[tokio::test]
    async fn what_came_faster_than_it_can_be_counted_is_said_to_be_missing() {
        let Counting { mut follower, scrape, before } = Counting::new(|_| ()).await;
        let (sender, events) = tokio::sync::broadcast::channel(2);
        follower.events = events;
        for second in 0..5 {
            let notice = Box::new(sample::notice(second));
            let kind = EventKind::Notified { receiver: "chat".to_owned(), notice };
            sender.send(Event { at: sample::time(second), kind }).unwrap();
        }
        drop(sender);
        follower.follow().await;
        let mut told = Counting::told(&scrape, &before).await;
        told.sort_unstable();
        let notified = "notifications_total{receiver=\"chat\",result=\"told\"} 2";
        assert_eq!(told, ["events_lagged_total 3", notified]);
    }

    #[test]
    fn every_end_of_a_delivery_is_counted_by_its_own_word() {
        use DeliveryState::{Failed, NothingRan, Parked, Succeeded, Superseded};
        for (state, verdict, word) in [
            (Succeeded, Some(Verdict::Success), "succeeded"),
            (Succeeded, None, "succeeded"),
            (Failed, Some(Verdict::Failure), "tests_failed"),
            (Failed, Some(Verdict::Error), "failed"),
            (Failed, None, "failed"),
            (Superseded, Some(Verdict::Success), "superseded"),
            (Parked, None, "parked"),
            (NothingRan, None, "nothing_ran"),
        ] {
            assert_eq!(outcome(state, verdict, false), word);
            assert_eq!(outcome(state, verdict, true), "dry_run");
        }
    }
}
