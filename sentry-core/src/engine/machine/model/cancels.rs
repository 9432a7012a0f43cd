//! What holds for deliveries that somebody cancels: once, by whom, and for no other.

use std::collections::BTreeMap;

use super::world::World;
use crate::delivery::{
    Cancellation, Cause, Delivery, DeliveryState, Trigger, TriggerKind, TriggerState,
};
use crate::ids::{DeliveryId, TriggerId};
use crate::repo::CommitSha;
use crate::store::Write;
use crate::subject::Subject;
use crate::testing::sample;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    /// Whose end each request asks for.
    asked: BTreeMap<TriggerId, DeliveryId>,
    /// Deliveries that are cancelled, as they first were, and how often their branch had moved.
    begun: BTreeMap<DeliveryId, (Delivery, usize)>,
    /// Every delivery, as it was last written.
    known: BTreeMap<DeliveryId, Delivery>,
    /// Each branch's head, whether it is gone, and how often that has changed.
    moves: BTreeMap<Subject, (CommitSha, bool, usize)>,
}

impl Cancels {
    /// Judges what is kept.
    pub(super) fn look(&mut self, writes: &[Write]) -> Vec<String> {
        for write in writes {
            if let Write::Cursors(cursors) = write {
                let (sha, is_gone) = (&cursors.observed.sha, cursors.gone.is_some());
                let (known, gone, times) = self
                    .moves
                    .entry(cursors.subject.clone())
                    .or_insert_with(|| (sha.clone(), is_gone, 0));
                if (&*known, *gone) != (sha, is_gone) {
                    (*known, *gone, *times) = (sha.clone(), is_gone, *times + 1);
                }
            }
        }
        let deliveries = writes.iter().filter_map(|write| match write {
            Write::Delivery(delivery) => Some(delivery),
            _ => None,
        });
        deliveries.filter_map(|delivery| self.judge(delivery)).collect()
    }

    fn moved(&self, delivery: &Delivery) -> usize {
        self.moves.get(&delivery.revision.subject).map_or(0, |(.., times)| *times)
    }

    fn judge(&mut self, delivery: &Delivery) -> Option<String> {
        let before = self.known.insert(delivery.id.clone(), delivery.clone());
        let moved = self.moved(delivery);
        if before.is_none() && delivery.asked.trigger.is_none() {
            let same = |(other, times): &&(Delivery, usize)| {
                other.asked.trigger.is_none()
                    && other.revision == delivery.revision
                    && *times == moved
            };
            if let Some((other, _)) = self.begun.values().find(same) {
                return Some(format!("{} was cancelled, and its head begins again", other.id));
            }
        }
        if let Some(ended) = before.filter(|before| before.state == DeliveryState::Cancelled) {
            return (ended != *delivery).then(|| format!("{} goes on: {delivery:?}", ended.id));
        }
        let by = |delivery: &Delivery| -> Option<Cancellation> { delivery.cancelled.clone() };
        if delivery.cancelled.is_some() {
            let known = self.begun.entry(delivery.id.clone());
            let (first, _) = known.or_insert_with(|| (delivery.clone(), moved));
            return (by(first) != by(delivery)).then(|| format!("{} for two", delivery.id));
        }
        let is_lost = self.begun.contains_key(&delivery.id);
        is_lost.then(|| format!("{}: that it is cancelled was lost", delivery.id))
    }

    /// True if somebody cancelled a delivery of this head.
    pub(super) fn has(&self, subject: &Subject, sha: &CommitSha) -> bool {
        let mut begun = self.begun.values().map(|(delivery, _)| &delivery.revision);
        begun.any(|revision| (&revision.subject, &revision.sha) == (subject, sha))
    }
}

impl World {
    /// Somebody leaves a request for the end of a delivery.
    pub(super) fn cancel(&mut self, nth: usize, by: &str) {
        let open = &self.kept.ledger.open;
        let picked = open.keys().nth(nth % open.len().max(1));
        let Some(id) = picked.or(self.kept.deliveries.keys().next_back()).cloned() else { return };
        let at = self.now().stamp;
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: format!("cancel {}", self.cancels.asked.len()),
            watch: sample::watch("qa"),
            kind: TriggerKind::Cancel(id.clone()),
            cause: Cause::Manual,
            by: Some(by.to_owned()),
            at,
            state: TriggerState::Pending,
        };
        self.cancels.asked.insert(trigger.id.clone(), id);
        self.kept.triggers.insert(trigger.id.clone(), trigger.clone());
        self.kept.ledger.inbox.triggers.push(trigger);
    }

    /// No run of what has ended so goes on.
    pub(super) fn none_goes_on(&self) {
        for delivery in self.kept.deliveries.values() {
            if delivery.state == DeliveryState::Cancelled {
                let left =
                    self.going_on().find(|run| delivery.runs.iter().any(|r| r.object == **run));
                assert_eq!(left, None, "a run of {} goes on", delivery.id);
            }
        }
    }

    /// Every request was answered, by the end of its delivery or by why there is none.
    pub(super) fn all_are_answered(&self) {
        for (trigger, id) in &self.cancels.asked {
            let delivery = &self.kept.deliveries[id];
            match &self.kept.triggers[trigger].state {
                TriggerState::Taken(taken) => {
                    assert_eq!(taken, id);
                    assert!(delivery.cancelled.is_some() && delivery.is_through(), "{delivery:?}");
                }
                TriggerState::Rejected(why) => assert!(why.contains("has ended"), "{why}"),
                TriggerState::Pending => panic!("{trigger} has no answer"),
            }
        }
    }
}
