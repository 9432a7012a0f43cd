//! From the engine's events to counters. Who falls behind is told how many events are missing, and counts that.

use std::collections::HashMap;
use std::sync::Arc;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, DeliveryState, RunRecord, Verdict};
use sentry_core::engine::Engine;
use sentry_core::event::{Event, EventKind};
use sentry_core::ids::DeliveryId;
use sentry_core::names::WatchName;
use sentry_core::repo::CommitSha;
use sentry_core::store::{DeliveryQuery, StateStore};
use sentry_core::subject::SubjectKey;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::metrics::Metrics;

/// Follows the events of one engine.
#[derive(Debug)]
pub(crate) struct Follower {
    events: Receiver<Event>,
    store: Arc<dyn StateStore>,
    metrics: Arc<Metrics>,
    /// When the newest change of a branch was seen, until it is delivered.
    changes: HashMap<SubjectKey, (CommitSha, Timestamp)>,
}

impl Follower {
    pub(crate) fn new(engine: &Engine, store: Arc<dyn StateStore>, metrics: Arc<Metrics>) -> Self {
        Self { events: engine.events(), store, metrics, changes: HashMap::new() }
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
        self.store.deliveries(&query).await.ok()?.into_iter().next()
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
    use super::*;

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
