//! What may start now. A synchronous decision over the ledger: no runtime, no I/O, no clock of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::index::Index;
use super::ledger::{Ledger, key_of};
use super::ready::Ready;
use crate::clock::Timestamp;
use crate::delivery::{Delivery, DeliveryState, Trigger, TriggerKind};
use crate::ids::{DeliveryId, TriggerId};
use crate::names::WatchName;
use crate::subject::SubjectKey;
use crate::watch::Watch;

/// All that the decision depends on.
pub(super) struct View<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) index: &'a Index,
    pub(super) watches: &'a BTreeMap<WatchName, Arc<Watch>>,
    /// Branches with a delivery under way: each has at most one.
    pub(super) running: &'a HashMap<SubjectKey, DeliveryId>,
    /// Deliveries whose next attempt waits.
    pub(super) ready: &'a Ready,
    /// How many deliveries may be under way at once.
    pub(super) places: usize,
    /// Watches that were asked for since a trigger named them.
    pub(super) fresh: &'a HashSet<TriggerId>,
    /// Only these are worked on, and no change; `None` is everything.
    pub(super) only: Option<Only<'a>>,
    pub(super) now: Instant,
    pub(super) stamp: Timestamp,
}

/// Triggers to answer, and the deliveries that were begun for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Only<'a> {
    pub(super) triggers: &'a [TriggerId],
    pub(super) begun: &'a BTreeSet<DeliveryId>,
}

impl Only<'_> {
    /// True for a delivery that is worked on.
    pub(super) fn has(&self, delivery: &Delivery) -> bool {
        let asked = delivery.asked.trigger.as_ref().is_some_and(|id| self.triggers.contains(id));
        asked || self.begun.contains(&delivery.id)
    }

    /// True for a trigger that is answered: also one that ends what is worked on.
    pub(super) fn answers(&self, trigger: &Trigger) -> bool {
        let ends = |id| self.begun.contains(id);
        self.triggers.contains(&trigger.id)
            || matches!(&trigger.kind, TriggerKind::Cancel(id) if ends(id))
    }
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// Another attempt of an open delivery.
    Resume(DeliveryId),
    /// A new delivery of a branch's head.
    Change(SubjectKey),
    /// The delivery that a trigger asks for.
    Trigger(TriggerId),
}

/// How many of the places for deliveries one watch may hold: half where there are other watches, so that one that hangs
/// leaves room for them.
pub(super) fn share(places: usize, watches: usize) -> usize {
    if watches > 1 { places.div_ceil(2) } else { places }
}

/// What may start now, in the order it should, at most one for each subject: all of it, but of each watch no more changes
/// than there are places.
///
/// What was under way when the process ended may be what ended it. It comes after the others, and one at a time: the next
/// end then tells which it was, and counts for no other.
pub(super) fn runnable(view: &View<'_>) -> Vec<(SubjectKey, Start)> {
    let mut ready: Vec<(Timestamp, SubjectKey, Start)> = Vec::new();
    let mut suspects: Vec<(Timestamp, SubjectKey, Start)> = Vec::new();
    for delivery in view.resumable() {
        let list = if delivery.attempts.cut_off > 0 { &mut suspects } else { &mut ready };
        list.push((delivery.started, key_of(delivery), Start::Resume(delivery.id.clone())));
    }
    for trigger in view.ledger.inbox.triggers.iter().filter(|t| view.may_answer(t)) {
        let TriggerKind::Deliver { subject, .. } = &trigger.kind else { continue };
        let key = (trigger.watch.clone(), subject.clone());
        ready.push((trigger.at, key, Start::Trigger(trigger.id.clone())));
    }
    for (watch, changes) in view.ledger.changes.iter().filter(|(watch, _)| view.may_change(watch)) {
        let keys = changes.iter().map(|(seen, subject)| (*seen, (watch.clone(), subject.clone())));
        // More than there are places can't begin now, however many wait.
        let next = keys.filter(|(_, key)| !view.running.contains_key(key)).take(view.places);
        ready.extend(next.map(|(seen, key)| (seen, key.clone(), Start::Change(key))));
    }
    ready.sort_by_key(|(since, _, _)| *since);
    suspects.sort_by_key(|(since, _, _)| *since);
    let suspect =
        |id| view.ledger.open.get(id).is_some_and(|delivery| delivery.attempts.cut_off > 0);
    let places = usize::from(!view.running.values().any(suspect));
    ready.extend(suspects.into_iter().take(places));
    let mut taken: HashSet<SubjectKey> = view.running.keys().cloned().collect();
    ready.retain(|(_, key, _)| taken.insert(key.clone()));
    ready.into_iter().map(|(_, key, start)| (key, start)).collect()
}

impl<'a> View<'a> {
    /// Deliveries of which another attempt may begin, oldest first: of each watch no more than there are places.
    fn resumable(&self) -> Vec<&'a Delivery> {
        let mut resumable: Vec<&Delivery> = Vec::new();
        for (_, line) in self.ready.lines() {
            let mut subjects = HashSet::new();
            let next = line.filter_map(|id| self.ledger.open.get(id)).filter(|delivery| {
                let key = key_of(delivery);
                self.may_resume(delivery)
                    && !self.running.contains_key(&key)
                    && subjects.insert(key)
            });
            resumable.extend(next.take(self.places));
        }
        resumable.extend(self.with_room());
        resumable.sort_by(|a, b| a.id.cmp(&b.id));
        resumable
    }

    /// What waits in the queue, and has room now: it is followed meanwhile. Where a watch is not suspended, none but its
    /// oldest one can.
    fn with_room(&self) -> impl Iterator<Item = &'a Delivery> {
        let lines = self.index.queues().flatten().flat_map(|(watch, ids)| {
            let most = if self.is_suspended(watch) { ids.len() } else { 1 };
            ids.iter().take(most)
        });
        let deliveries = lines.filter_map(|id| self.ledger.open.get(id));
        deliveries.filter(|delivery| {
            let due = self.ready.until(&delivery.id).is_none_or(|at| at <= self.now);
            delivery.state == DeliveryState::Following
                && due
                && self.may_resume(delivery)
                && self.room(delivery) > 0
        })
    }

    fn may_resume(&self, delivery: &Delivery) -> bool {
        let wanted = self.only.is_none_or(|only| only.has(delivery));
        let held = delivery.asked.cause.is_automatic() && self.is_suspended(&delivery.watch);
        wanted && !held && self.watches.contains_key(&delivery.watch)
    }

    /// How many more runs the delivery may start now: what its namespace has room for, and none while an older
    /// delivery's runs wait for the same room.
    pub(super) fn room(&self, delivery: &Delivery) -> usize {
        let Some(watch) = self.watches.get(&delivery.watch) else { return 0 };
        let mut queued = self.index.queued(&watch.cluster).into_iter().flatten();
        let older_waits = queued.any(|(of, ids)| {
            ids.first().is_some_and(|id| *id < delivery.id) && !self.is_suspended(of)
        });
        if older_waits {
            return 0;
        }
        let limit = usize::try_from(watch.timing.max_active_runs).unwrap_or(usize::MAX);
        limit.saturating_sub(self.index.active(&watch.cluster))
    }

    fn may_answer(&self, trigger: &Trigger) -> bool {
        let wanted = self.only.is_none_or(|only| only.triggers.contains(&trigger.id));
        wanted && self.fresh.contains(&trigger.id)
    }

    fn may_change(&self, watch: &WatchName) -> bool {
        self.only.is_none() && self.watches.contains_key(watch) && !self.is_suspended(watch)
    }

    fn is_suspended(&self, watch: &WatchName) -> bool {
        self.ledger.suspension(watch, self.stamp).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_watch_that_is_alone_may_hold_every_place_and_else_half_of_them_but_one_at_least() {
        let shares = [(4, 1), (4, 2), (5, 3), (1, 2)].map(|(places, all)| share(places, all));
        assert_eq!(shares, [4, 2, 3, 1]);
    }
}
