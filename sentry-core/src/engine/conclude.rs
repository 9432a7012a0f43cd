//! How a delivery's attempt ended: the one place that decides the retry, the record and the event. Pure.

use std::time::Duration;

use super::courier::{AttemptEnd, Outcome};
use super::failure::AttemptError;
use crate::clock::Timestamp;
use crate::cursor::{Cursors, Mark, Parked, Passed};
use crate::delivery::{
    BRANCH_DELETED, Cause, Delivery, DeliveryState, HeadRecord, Reason, RunRecord, end,
};
use crate::event::EventKind;
use crate::plan::Action;
use crate::repo::CommitSha;
use crate::retry::{self, Backoff, Retry};
use crate::store::{InventoryItem, Write};
use crate::watch::Watch;

/// What an ended attempt comes to.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<EventKind>,
    /// How it continues automatically, if it does.
    pub(super) retry: Option<Wait>,
}

/// How long until a delivery continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It waits for its next attempt.
    Attempt(Duration),
    /// It was parked, and is retried.
    Look(Duration),
}

/// Decides. `branch` is the state of the delivery's branch, `None` if it was forgotten meanwhile.
pub(super) fn conclude(
    end: AttemptEnd,
    watch: &Watch,
    cursors: Option<&Cursors>,
    now: Timestamp,
    backoff: &Backoff,
) -> Conclusion {
    let AttemptEnd { mut delivery, outcome, earlier } = end;
    delivery.next_attempt = None;
    let manifests = delivery.manifests.as_ref().map(|b| b.sha.clone());
    let is_complete = match &outcome {
        Outcome::Done => !delivery.is_queued(),
        Outcome::Passed(_) => true,
        Outcome::Superseded(_) | Outcome::Failed(_) | Outcome::Interrupted => false,
    };
    if delivery.cancelled.is_some() && !is_complete {
        if let Outcome::Failed(error) = &outcome {
            drop_unmade(&mut delivery, earlier, error);
        }
        let dry_run = delivery.asked.dry_run;
        let made = if dry_run { Vec::new() } else { inventory(&delivery, watch, now) };
        let end = cancelled(delivery, cursors, now);
        return Conclusion { writes: made.into_iter().chain(end.writes).collect(), ..end };
    }
    match outcome {
        Outcome::Done => acknowledged(delivery, manifests, watch, cursors, now),
        Outcome::Passed(reason) => passed(delivery, cursors, reason, now),
        Outcome::Superseded(by) => superseded(delivery, Some(by), now),
        Outcome::Interrupted => interrupted(delivery),
        Outcome::Failed(error) => {
            drop_unmade(&mut delivery, earlier, &error);
            failed(delivery, manifests, &error, watch, cursors, now, backoff)
        }
    }
}

/// The delivery in a final state, with its event.
fn settle(delivery: &mut Delivery, state: DeliveryState, now: Timestamp) -> EventKind {
    delivery.state = state;
    delivery.finished = Some(now);
    let took = now.duration_since(delivery.started);
    EventKind::DeliverySettled {
        id: delivery.id.clone(),
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        state,
        manifests: delivery.manifests.as_ref().map(|b| b.sha.clone()),
        objects: delivery.objects.clone(),
        runs: delivery.runs.clone(),
        verdict: delivery.verdict,
        passed: delivery.passed.clone(),
        took: Duration::try_from(took).unwrap_or_default(),
        error: delivery.error.clone(),
        dry_run: delivery.asked.dry_run,
    }
}

/// What `why` is to say of the delivery's head.
pub(super) fn record(
    delivery: &Delivery,
    reason: Reason,
    detail: Option<String>,
    now: Timestamp,
) -> Write {
    Write::Head(HeadRecord {
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        reason,
        at: now,
        delivery: Some(delivery.id.clone()),
        detail,
    })
}

/// Every object that may be created now is acknowledged: the runs are followed, or there is nothing more to wait for.
fn acknowledged(
    mut delivery: Delivery,
    manifests: Option<CommitSha>,
    watch: &Watch,
    cursors: Option<&Cursors>,
    now: Timestamp,
) -> Conclusion {
    delivery.error = None;
    // Where nothing ran, they say whether the commit shows something of it already.
    if delivery.passed.is_none() {
        delivery.attempts.tries = 0;
    }
    if delivery.asked.dry_run {
        return shown(delivery, now);
    }
    let mut writes = inventory(&delivery, watch, now);
    if delivery.is_queued() {
        let queued = delivery.objects.iter().filter(|o| o.action == Action::Queued).count();
        let limit = watch.timing.max_active_runs;
        let wait = if queued == 1 { "run waits" } else { "runs wait" };
        let text =
            format!("{queued} {wait}: {limit} may run at once in {}", watch.cluster.namespace);
        writes.push(record(&delivery, Reason::Waiting, Some(text), now));
        let (id, watch) = (delivery.id.clone(), delivery.watch.clone());
        let revision = delivery.revision.clone();
        let queued = EventKind::RunsQueued { id, watch, revision, queued, limit };
        return follow(delivery, writes, vec![queued], now);
    }
    let is_active = delivery.active_runs().next().is_some();
    let (reason, detail) = match (&delivery.passed, &delivery.cancelled) {
        (Some(reason), _) => {
            let applied = delivery.objects.iter().filter(|o| o.action.is_acknowledged()).count();
            (reason.clone(), Some(format!("no run started; objects applied: {applied}")))
        }
        (None, Some(cancelled)) if is_active => (Reason::Cancelled, Some(cancelled.to_string())),
        (None, _) => (Reason::Delivered, None),
    };
    writes.push(record(&delivery, reason, detail, now));
    if let Some(state) = cursors.filter(|b| moves_cursor(&delivery, b)) {
        let mark = Mark { sha: delivery.revision.sha.clone(), at: now };
        let unpark = state.parked.clone().filter(|p| p.mark.sha != mark.sha);
        let passed = delivery.passed.clone().map(|reason| Passed { mark: mark.clone(), reason });
        // What was not asked for still waits for this commit of B.
        let manifests = if delivery.is_whole() { manifests } else { state.manifests.clone() };
        writes.push(Write::Cursors(Cursors {
            delivered: Some(mark),
            manifests,
            passed,
            parked: unpark,
            ..state.clone()
        }));
    }
    if is_active {
        return follow(delivery, writes, Vec::new(), now);
    }
    let end = finished(delivery, now);
    writes.extend(end.writes);
    Conclusion { writes, ..end }
}

fn shown(mut delivery: Delivery, now: Timestamp) -> Conclusion {
    let event = settle(&mut delivery, DeliveryState::Succeeded, now);
    let text = "a dry run showed what would be delivered; nothing was written".to_owned();
    let record = record(&delivery, Reason::Waiting, Some(text), now);
    let writes = vec![record, Write::Delivery(Box::new(delivery))];
    Conclusion { writes, events: vec![event], retry: None }
}

fn follow(
    mut delivery: Delivery,
    mut writes: Vec<Write>,
    mut events: Vec<EventKind>,
    now: Timestamp,
) -> Conclusion {
    delivery.state = DeliveryState::Following;
    delivery.following_since.get_or_insert(now);
    events.push(EventKind::step(&delivery));
    writes.push(Write::Delivery(Box::new(delivery)));
    Conclusion { writes, events, retry: None }
}

/// No run of the delivery is active and none waits: its verdict is its end. A newer head takes away what it cancelled
/// and what was not started; what ran counts.
pub(super) fn finished(mut delivery: Delivery, now: Timestamp) -> Conclusion {
    let state = end(&mut delivery);
    let event = settle(&mut delivery, state, now);
    let mut writes = Vec::new();
    let ended_itself = delivery.cancelled.is_some() && state == DeliveryState::Succeeded;
    if state == DeliveryState::Failed || ended_itself {
        let is_left = || delivery.objects.iter().any(|o| !o.action.is_acknowledged());
        let reason = match &delivery.superseded_by {
            Some(by) => Reason::SupersededBy(by.clone()),
            None if delivery.cancelled.is_some() && is_left() => Reason::Cancelled,
            None => Reason::Delivered,
        };
        writes.push(record(&delivery, reason, delivery.error.clone(), now));
    }
    writes.push(Write::Delivery(Box::new(delivery)));
    Conclusion { writes, events: vec![event], retry: None }
}

/// What the cluster is known to hold of the delivery.
pub(super) fn inventory(delivery: &Delivery, watch: &Watch, now: Timestamp) -> Vec<Write> {
    let there = delivery.objects.iter().filter(|o| o.action.is_acknowledged());
    there
        .map(|outcome| {
            let identity = outcome.object.identity();
            let run = delivery.runs.iter().find(|run| run.object.identity() == identity);
            Write::Inventory(InventoryItem {
                watch: delivery.watch.clone(),
                subject: delivery.revision.subject.clone(),
                cluster: watch.cluster.to_string(),
                object: outcome.object.clone(),
                run: outcome.run,
                limited: run.is_some_and(|run| run.rules.keep.is_some()),
                delivery: delivery.id.clone(),
                at: now,
            })
        })
        .collect()
}

/// A change moves the cursor to its own head; a requested delivery does so only if it is the branch's head now, and where it
/// is not all of it, only after the head was settled.
fn moves_cursor(delivery: &Delivery, cursors: &Cursors) -> bool {
    let sha = &delivery.revision.sha;
    let is_newest = cursors.is_of(sha, delivery.pull.as_deref());
    cursors.gone.is_none()
        && (delivery.is_whole() || !cursors.is_change())
        && match delivery.asked.cause {
            // A pull request that goes elsewhere meanwhile is still to be delivered for that.
            Cause::Change | Cause::Manifests => is_newest || cursors.observed.sha != *sha,
            Cause::Manual | Cause::Webhook | Cause::Rerun => is_newest,
        }
}

fn passed(
    mut delivery: Delivery,
    cursors: Option<&Cursors>,
    reason: Reason,
    now: Timestamp,
) -> Conclusion {
    (delivery.error, delivery.passed) = (None, Some(reason.clone()));
    let mut events = vec![EventKind::NotStarted {
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        reason: reason.clone(),
        detail: None,
    }];
    events.push(settle(&mut delivery, DeliveryState::NothingRan, now));
    let mut writes = Vec::new();
    if !delivery.asked.dry_run {
        writes.push(record(&delivery, reason.clone(), None, now));
        let moves = |state: &&Cursors| delivery.is_whole() && moves_cursor(&delivery, state);
        if let Some(state) = cursors.filter(moves) {
            let mark = Mark { sha: delivery.revision.sha.clone(), at: now };
            let passed = Some(Passed { mark, reason });
            writes.push(Write::Cursors(Cursors { passed, parked: None, ..state.clone() }));
        }
    }
    writes.push(Write::Delivery(Box::new(delivery)));
    Conclusion { writes, events, retry: None }
}

/// A newer head (or none, if the branch is gone) takes the delivery's place. Active runs are followed to their end.
pub(super) fn superseded(
    mut delivery: Delivery,
    by: Option<CommitSha>,
    now: Timestamp,
) -> Conclusion {
    (delivery.superseded_by, delivery.passed) = (by.clone(), None);
    delivery.error = by.is_none().then(|| BRANCH_DELETED.to_owned());
    let gone = by.as_ref().map_or(BRANCH_DELETED, |_| "superseded by a newer head");
    leave_queue(&mut delivery, &format!("{gone} before it could start"));
    let mut writes = Vec::new();
    if let Some(by) = by {
        writes.push(record(&delivery, Reason::SupersededBy(by), None, now));
    }
    if delivery.active_runs().next().is_some() {
        return follow(delivery, writes, Vec::new(), now);
    }
    let end = finished(delivery, now);
    writes.extend(end.writes);
    Conclusion { writes, ..end }
}

/// A person cancelled the delivery: nothing more of it is started, and its head needs no other one. Active runs are
/// followed to their end, which they are asked for.
pub(super) fn cancelled(
    mut delivery: Delivery,
    cursors: Option<&Cursors>,
    now: Timestamp,
) -> Conclusion {
    (delivery.next_attempt, delivery.passed) = (None, None);
    let text = delivery.cancelled.as_ref().map(ToString::to_string).unwrap_or_default();
    leave_queue(&mut delivery, &format!("{text} before it could start"));
    let mut writes = vec![record(&delivery, Reason::Cancelled, Some(text), now)];
    if let Some(state) = cursors.filter(|cursors| stands_for_the_head(&delivery, cursors)) {
        let mark = Mark { sha: delivery.revision.sha.clone(), at: now };
        let passed = Some(Passed { mark, reason: Reason::Cancelled });
        writes.push(Write::Cursors(Cursors { passed, parked: None, ..state.clone() }));
    } else if let Some(state) = cursors.filter(|cursors| is_parked_by(&delivery, cursors)) {
        writes.push(Write::Cursors(Cursors { parked: None, ..state.clone() }));
    }
    if delivery.active_runs().next().is_some() {
        return follow(delivery, writes, Vec::new(), now);
    }
    let end = finished(delivery, now);
    writes.extend(end.writes);
    Conclusion { writes, ..end }
}

/// True if the head is not delivered yet, and nobody but this delivery was to do so: not if a newer head has come, another
/// delivery of it is parked, or this one is but a part of what the head is to run.
fn stands_for_the_head(delivery: &Delivery, cursors: &Cursors) -> bool {
    cursors.is_change()
        && cursors.is_of(&delivery.revision.sha, delivery.pull.as_deref())
        && (cursors.parked.is_none() || is_parked_by(delivery, cursors))
        && delivery.is_whole()
        && !delivery.is_part()
        && !delivery.asked.dry_run
}

/// True if it is this delivery that is parked.
fn is_parked_by(delivery: &Delivery, cursors: &Cursors) -> bool {
    cursors.parked.as_ref().is_some_and(|parked| parked.delivery == delivery.id)
}

/// What waits for room waits no more.
pub(super) fn leave_queue(delivery: &mut Delivery, why: &str) {
    for queued in delivery.objects.iter_mut().filter(|o| o.action == Action::Queued) {
        (queued.action, queued.reason) = (Action::Skipped, Some(why.to_owned()));
    }
}

fn interrupted(mut delivery: Delivery) -> Conclusion {
    delivery.state = DeliveryState::Pending;
    delivery.error = Some("interrupted before it finished; it will be resumed".into());
    Conclusion {
        writes: vec![Write::Delivery(Box::new(delivery))],
        events: Vec::new(),
        retry: None,
    }
}

fn failed(
    mut delivery: Delivery,
    manifests: Option<CommitSha>,
    error: &AttemptError,
    watch: &Watch,
    cursors: Option<&Cursors>,
    now: Timestamp,
    backoff: &Backoff,
) -> Conclusion {
    // Only a poll of B's branches shows that it has none of them.
    let regardless = manifests.is_none() && !matches!(error, AttemptError::NoBranch { .. });
    let b = Known { manifests, regardless };
    let text = error.told();
    let advice = error.retry(watch.timing.polling_interval);
    let counted = advice == Retry::Counted;
    delivery.attempts.tries = delivery.attempts.tries.saturating_add(1);
    delivery.attempts.failures += u32::from(counted);
    delivery.error = Some(text.clone());
    if matches!(error, AttemptError::CutOff { .. }) {
        delivery.attempts.cut_off += 1;
        // What kills the process again and again harms all others: it is not even retried automatically. The first
        // time means nothing, as processes are killed for many reasons.
        if delivery.attempts.cut_off > watch.timing.max_retries.max(1) {
            return park(delivery, b, None, watch, cursors, now);
        }
    }
    // How often it was parked, this time included.
    let parked = delivery.attempts.failures.saturating_sub(watch.timing.max_retries);
    if counted && parked > 0 {
        return park(delivery, b, Some(parked), watch, cursors, now);
    }
    let Some(wait) = backoff.wait(advice, delivery.attempts.tries, fastrand::f64()) else {
        return park(delivery, b, None, watch, cursors, now);
    };
    delivery.state = DeliveryState::Pending;
    delivery.next_attempt = now.checked_add(wait).ok();
    let event = retrying(&delivery, wait, counted);
    let mut writes = Vec::new();
    if !delivery.asked.dry_run {
        writes.extend(inventory(&delivery, watch, now));
        writes.push(record(&delivery, Reason::Waiting, Some(text), now));
    }
    writes.push(Write::Delivery(Box::new(delivery)));
    Conclusion { writes, events: vec![event], retry: Some(Wait::Attempt(wait)) }
}

fn retrying(delivery: &Delivery, wait: Duration, counted: bool) -> EventKind {
    EventKind::DeliveryRetrying {
        id: delivery.id.clone(),
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        error: delivery.error.clone().unwrap_or_default(),
        wait,
        counted,
    }
}

/// Drops the records of runs that this attempt was the first to send and did not make for certain, so that they take no
/// room while it waits. What an earlier attempt sent may exist, whatever became of it in this one.
fn drop_unmade(delivery: &mut Delivery, earlier: usize, error: &AttemptError) {
    // Before that step the outcomes are those of an earlier attempt.
    if delivery.state != DeliveryState::Applying {
        return;
    }
    let refused = matches!(error, AttemptError::Deploy { source, .. } if source.kind().is_answer());
    let unmade = |run: &RunRecord| {
        delivery.outcome_of(&run.object).is_some_and(|outcome| match outcome.action {
            Action::Skipped => true,
            Action::Failed => refused,
            Action::Created
            | Action::Configured
            | Action::Unchanged
            | Action::Exists
            | Action::Queued => false,
        })
    };
    let kept =
        |(n, run): &(usize, &RunRecord)| *n < earlier || run.state.is_final() || !unmade(run);
    let kept = delivery.runs.iter().enumerate().filter(kept).map(|(_, run)| run.clone());
    delivery.runs = kept.collect();
}

/// What a parked attempt knew of B.
struct Known {
    manifests: Option<CommitSha>,
    /// B was not asked.
    regardless: bool,
}

/// Gives up until something changes: a change is parked with its head, a requested delivery has failed. A change
/// that was parked `times` times for something temporary is retried automatically. Runs that were made, or may have
/// been, are followed all the same.
fn park(
    mut delivery: Delivery,
    b: Known,
    times: Option<u32>,
    watch: &Watch,
    cursors: Option<&Cursors>,
    now: Timestamp,
) -> Conclusion {
    let text = delivery.error.clone().unwrap_or_default();
    let is_change = delivery.asked.cause.is_automatic();
    leave_queue(&mut delivery, "the delivery was parked before the run could start");
    if delivery.active_runs().next().is_some() {
        delivery.following_since.get_or_insert(now);
    }
    let is_of = |b: &&Cursors| b.is_of(&delivery.revision.sha, delivery.pull.as_deref());
    let cursors = cursors.filter(|b| is_change && is_of(b));
    let wait = times.filter(|_| cursors.is_some() && !delivery.asked.dry_run).map(retry::look);
    delivery.next_attempt = wait.and_then(|wait| now.checked_add(wait).ok());
    let state = if is_change { DeliveryState::Parked } else { DeliveryState::Failed };
    let settled = settle(&mut delivery, state, now);
    let event = match (wait, times) {
        // The event said parked: this is one more failed attempt.
        (Some(wait), Some(2..)) => retrying(&delivery, wait, true),
        _ => settled,
    };
    let mut writes = Vec::new();
    if !delivery.asked.dry_run {
        writes.extend(inventory(&delivery, watch, now));
        writes.push(record(&delivery, Reason::Parked, Some(text.clone()), now));
    }
    if let Some(state) = cursors {
        let parked = Some(Box::new(Parked {
            mark: Mark { sha: delivery.revision.sha.clone(), at: now },
            delivery: delivery.id.clone(),
            fingerprint: watch.fingerprint(),
            manifests: b.manifests,
            regardless_of_b: b.regardless,
            error: text,
            again: delivery.next_attempt,
        }));
        // Another delivery of the head may have been cancelled: this one still stands for it.
        let passed = state.passed.clone().filter(|passed| passed.reason != Reason::Cancelled);
        writes.push(Write::Cursors(Cursors { parked, passed, ..state.clone() }));
    }
    writes.push(Write::Delivery(Box::new(delivery)));
    Conclusion { writes, events: vec![event], retry: wait.map(Wait::Look) }
}

#[cfg(test)]
mod tests;
