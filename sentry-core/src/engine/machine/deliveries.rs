//! Deliveries: started, led from step to step, and taken in when they end.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::follow::merge;
use super::{Attempts, Call, Job, Machine, Mode};
use crate::cursor::{Cursors, Mark};
use crate::delivery::{
    Asked, AttemptCounts, Cause, Delivery, DeliveryState, HeadRecord, Reason, RunRecord, Trigger,
    TriggerKind, TriggerState,
};
use crate::engine::conclude::{Conclusion, Wait, conclude, superseded};
use crate::engine::courier::{AttemptEnd, Halt, Outcome};
use crate::engine::failure::AttemptError;
use crate::engine::ledger::key_of;
use crate::engine::scheduler::{Only, Start, View, runnable, share};
use crate::event::EventKind;
use crate::ids::{DeliveryId, TriggerId};
use crate::names::WatchName;
use crate::repo::CommitSha;
use crate::revision::Revision;
use crate::store::Write;
use crate::subject::SubjectKey;

/// A step that takes so long is written down, so that other programs see it.
const LONG: Duration = Duration::from_secs(1);

impl Machine {
    pub(super) fn runnable(&self) -> Vec<(SubjectKey, Start)> {
        let triggers = self.ledger.inbox.triggers.iter();
        let fresh = triggers.filter(|t| self.is_fresh(t)).map(|t| t.id.clone()).collect();
        let only = if let Mode::Settle(ids) = &self.mode { Some(self.only(ids)) } else { None };
        runnable(&self.view(&fresh, only))
    }

    fn view<'a>(&'a self, fresh: &'a HashSet<TriggerId>, only: Option<Only<'a>>) -> View<'a> {
        View {
            ledger: &self.ledger,
            index: &self.index,
            watches: &self.known.watches,
            running: &self.attempts.running,
            ready: &self.attempts.ready,
            places: self.known.options.max_parallel,
            fresh,
            only,
            now: self.now.instant,
            stamp: self.now.stamp,
        }
    }

    fn room(&self, delivery: &Delivery) -> usize {
        self.view(&HashSet::new(), None).room(delivery)
    }

    /// True once the trigger's repository was asked after the trigger came, or its commit is given.
    fn is_fresh(&self, trigger: &Trigger) -> bool {
        let TriggerKind::Deliver { subject, sha, .. } = &trigger.kind else { return false };
        let key = (trigger.watch.clone(), subject.clone());
        let known = self.ledger.cursors(&key).is_some_and(|s| s.gone.is_none());
        let group = self.polls.groups.iter().find(|g| g.is_source_of(&trigger.watch));
        let first = self.polls.asked.get(&trigger.id);
        let asked = first.zip(group).is_some_and(|(first, g)| g.rounds > *first);
        asked && (known || sha.is_some())
    }

    pub(super) fn start_deliveries(&mut self) {
        let places = self.known.options.max_parallel;
        if self.attempts.running.len() >= places {
            return;
        }
        let share = share(places, self.known.watches.len());
        for ((watch, _), start) in self.runnable() {
            let running = &self.attempts.running;
            if running.len() >= places {
                break;
            }
            if running.keys().filter(|(of, _)| *of == watch).count() < share {
                self.start_one(start);
            }
        }
    }

    fn start_one(&mut self, start: Start) {
        let mut writes = Vec::new();
        let mut answered = None;
        let delivery = match start {
            Start::Resume(id) => self.ledger.open[&id].clone(),
            Start::Change(key) => {
                let Some(state) = self.ledger.cursors(&key) else { return };
                let revision = Revision { subject: key.1, sha: state.observed.sha.clone() };
                self.new_delivery(&key.0, revision, Cause::Change)
            }
            Start::Trigger(id) => {
                let mut triggers = self.ledger.inbox.triggers.iter();
                let Some(trigger) = triggers.find(|t| t.id == id).cloned() else { return };
                if let TriggerKind::Deliver { subject, sha, .. } = &trigger.kind
                    && let Some(why) = self.held_back(&trigger.watch, subject, sha.as_ref())
                {
                    return self.reject(&trigger, why);
                }
                let Some(delivery) = self.triggered(&trigger) else { return };
                let state = TriggerState::Taken(delivery.id.clone());
                writes.push(Write::Trigger(Trigger { state, ..trigger.clone() }));
                answered = Some(trigger);
                delivery
            }
        };
        let key = key_of(&delivery);
        if let Some(by) = self.newer_head(&delivery) {
            let end = superseded(delivery, Some(by), self.now.stamp);
            return self.ends(end);
        }
        // An agent that finds it so knows of an attempt that has no end.
        let delivery = Delivery { state: DeliveryState::Fetching, ..delivery };
        if let Some(state) = self.ledger.cursors(&key).filter(|_| !delivery.asked.dry_run) {
            let attempted = Some(Mark { sha: delivery.revision.sha.clone(), at: self.now.stamp });
            writes.push(Write::Cursors(Cursors { attempted, ..state.clone() }));
            writes.push(Write::Head(self.waiting(&delivery)));
        }
        writes.push(Write::Delivery(Box::new(delivery.clone())));
        self.write(writes);
        if let Some(trigger) = answered {
            self.told(&trigger, Ok(delivery.id.clone()));
        }
        self.launch(delivery, key);
    }

    pub(super) fn waiting(&self, delivery: &Delivery) -> HeadRecord {
        HeadRecord {
            watch: delivery.watch.clone(),
            revision: delivery.revision.clone(),
            reason: Reason::Waiting,
            at: self.now.stamp,
            delivery: Some(delivery.id.clone()),
            detail: delivery.error.clone(),
        }
    }

    pub(super) fn new_delivery(
        &mut self,
        watch: &WatchName,
        revision: Revision,
        cause: Cause,
    ) -> Delivery {
        let dry_run = self.known.watches.get(watch).is_some_and(|watch| self.known.is_dry(watch));
        Delivery {
            id: DeliveryId::of(self.new_id()),
            watch: watch.clone(),
            asked: Asked {
                cause,
                trigger: None,
                by: None,
                repeats: None,
                event: revision.subject.event(),
                only: None,
                dry_run,
            },
            pull: self.ledger.pull(watch, &revision.subject),
            revision,
            commit: None,
            state: DeliveryState::Pending,
            started: self.now.stamp,
            finished: None,
            manifests: None,
            intent: None,
            attempts: AttemptCounts::default(),
            next_attempt: None,
            objects: Vec::new(),
            runs: Vec::new(),
            following_since: None,
            verdict: None,
            passed: None,
            steps: Vec::new(),
            notes: Vec::new(),
            detail: None,
            remotes: Vec::new(),
            error: None,
            superseded_by: None,
            cancelled: None,
        }
    }

    fn triggered(&mut self, trigger: &Trigger) -> Option<Delivery> {
        let TriggerKind::Deliver { subject, sha, selection } = &trigger.kind else { return None };
        let key = (trigger.watch.clone(), subject.clone());
        let sha =
            sha.clone().or_else(|| self.ledger.cursors(&key).map(|s| s.observed.sha.clone()))?;
        let revision = Revision { subject: subject.clone(), sha };
        let mut delivery = self.new_delivery(&trigger.watch, revision, trigger.cause);
        delivery.asked.trigger = Some(trigger.id.clone());
        delivery.asked.by.clone_from(&trigger.by);
        if let Some(event) = &selection.event {
            delivery.asked.event = event.clone();
        }
        delivery.asked.only.clone_from(&selection.run);
        Some(delivery)
    }

    /// The head that takes a change's place, if there is a newer one.
    fn newer_head(&self, delivery: &Delivery) -> Option<CommitSha> {
        let state = self.ledger.cursors(&key_of(delivery))?;
        let is_change = delivery.asked.cause.is_automatic() && delivery.asked.trigger.is_none();
        let is_newest = state.is_of(&delivery.revision.sha, delivery.pull.as_deref());
        (is_change && !is_newest).then(|| state.observed.sha.clone())
    }

    fn launch(&mut self, delivery: Delivery, key: SubjectKey) {
        let Some(watch) = self.known.watches.get(&delivery.watch).cloned() else { return };
        self.tell(EventKind::DeliveryStarted {
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            revision: delivery.revision.clone(),
            cause: delivery.asked.cause,
            attempt: delivery.attempts.tries + 1,
        });
        self.tell(EventKind::step(&delivery));
        // What a person asks for runs whatever changed, and so does a head that is delivered once more because B moved.
        let compares = delivery.asked.trigger.is_none() && delivery.asked.cause != Cause::Manifests;
        let base = if compares { self.ledger.base(&key) } else { None };
        self.attempts.running.insert(key, delivery.id.clone());
        self.attempts.ready.forget(&delivery.id);
        self.touch(&delivery.id);
        self.call(Call::Attempt { delivery: Box::new(delivery), watch, base });
    }

    /// A pass works on the delivery. A long run needs no list of those: they are told as events.
    pub(super) fn touch(&mut self, id: &DeliveryId) {
        if !matches!(self.mode, Mode::Run) {
            self.attempts.touched.insert(id.clone());
        }
    }

    /// A delivery wants to take its next step. What must be known after a kill is written down before: what it sends, and of
    /// one in whose middle a process ended already, each step. Any other is written down if it takes long, for others to see.
    pub(super) fn proceed(&mut self, ticket: u64, mut delivery: Delivery, wanted: Vec<RunRecord>) {
        let newer =
            self.newer_head(&delivery).filter(|_| delivery.state != DeliveryState::Applying);
        let known = self.ledger.open.get(&delivery.id);
        let answer = if known.is_some_and(|known| known.cancelled.is_some()) {
            Err(Halt::Cancelled)
        } else if self.grace_ends.is_some() {
            Err(Halt::Stopping)
        } else if let Some(by) = newer {
            Err(Halt::Superseded(by))
        } else {
            let (id, state, step) =
                (delivery.id.clone(), delivery.state, EventKind::step(&delivery));
            let known = self.ledger.open.get(&id);
            let is_new = known.is_none_or(|known| known.state != state);
            merge(&mut delivery, known);
            let allowed = if wanted.is_empty() { 0 } else { self.room(&delivery) };
            let allowed = allowed.min(wanted.len());
            delivery.runs.extend(wanted.into_iter().take(allowed));
            if state == DeliveryState::Applying || delivery.attempts.cut_off > 0 {
                self.attempts.unwritten.remove(&id);
                self.write(vec![Write::Delivery(Box::new(delivery))]);
            } else {
                self.attempts.unwritten.insert(id.clone(), (self.now.instant + LONG, delivery));
            }
            if is_new {
                self.tell(step);
            }
            Ok(allowed)
        };
        self.call(Call::Proceed(ticket, answer));
    }

    /// Writes down the steps that take long.
    pub(super) fn write_long_steps(&mut self) {
        let now = self.now.instant;
        let due = |(_, (at, _)): &(&DeliveryId, &(Instant, Delivery))| *at <= now;
        let long = self.attempts.unwritten.iter().filter(due).map(|(id, _)| id.clone());
        for id in long.collect::<Vec<_>>() {
            let Some((_, mut delivery)) = self.attempts.unwritten.remove(&id) else { continue };
            merge(&mut delivery, self.ledger.open.get(&id));
            self.write(vec![Write::Delivery(Box::new(delivery))]);
        }
    }

    /// A call was cut off by a stop, or an embedder's port panicked: neither may hold its subject or repository.
    pub(super) fn broke_down(&mut self, job: Job, cut_off: bool, error: &str) {
        match job {
            Job::Poll(asked) => self.poll_broke_down(asked, cut_off, error),
            Job::Attempt(begun) => {
                let unwritten = self.attempts.unwritten.remove(&begun.id).map(|(_, it)| it);
                let delivery = unwritten.or_else(|| self.ledger.open.get(&begun.id).cloned());
                let delivery = delivery.unwrap_or(*begun);
                let outcome = if cut_off {
                    Outcome::Interrupted
                } else {
                    Outcome::Failed(AttemptError::Panic(error.to_owned()))
                };
                let earlier = delivery.runs.len();
                self.attempted(AttemptEnd { delivery, outcome, earlier });
            }
            Job::Report(key) => self.report_ended(&key),
            Job::Notice(receiver) => self.notifier_broke_down(receiver),
        }
    }

    pub(super) fn attempted(&mut self, end: AttemptEnd) {
        self.attempts.running.remove(&key_of(&end.delivery));
        self.attempts.unwritten.remove(&end.delivery.id);
        self.conclude(end);
    }

    pub(super) fn conclude(&mut self, mut end: AttemptEnd) {
        let known = self.ledger.open.get(&end.delivery.id);
        merge(&mut end.delivery, known);
        let Some(watch) = self.known.watches.get(&end.delivery.watch).cloned() else { return };
        let key = key_of(&end.delivery);
        let (id, dry_run, sha) = (
            end.delivery.id.clone(),
            end.delivery.asked.dry_run,
            end.delivery.revision.sha.clone(),
        );
        let done = matches!(end.outcome, Outcome::Done | Outcome::Passed(_))
            || end.delivery.cancelled.is_some();
        let backoff = self.backoff_after(&end.outcome, &watch.cluster, &id);
        let cursors = self.ledger.cursors(&key);
        let conclusion = conclude(end, &watch, cursors, self.now.stamp, &backoff);
        let (now, Attempts { ready, look_at, .. }) = (self.now.instant, &mut self.attempts);
        match conclusion.retry {
            Some(Wait::Attempt(wait)) => ready.wait(id, now + wait),
            Some(Wait::Look(wait)) => look_at.insert(key.clone(), now + wait),
            None => {}
        }
        if dry_run && done {
            self.ledger.shown(&key, sha);
        }
        self.ends(conclusion);
    }

    /// Writes down and tells how something ended.
    pub(super) fn ends(&mut self, conclusion: Conclusion) {
        self.write(conclusion.writes);
        self.effects.events.extend(conclusion.events);
    }
}
