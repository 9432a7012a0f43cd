//! What other programs ask for: taken, answered or rejected, each in one commit.

use super::{Call, Effects, Machine, Mode, Recall};
use crate::delivery::{
    Asked, AttemptCounts, Cancellation, Cause, Delivery, DeliveryState, Trigger, TriggerKind,
    TriggerState,
};
use crate::engine::conclude::cancelled;
use crate::engine::ledger::key_of;
use crate::event::EventKind;
use crate::ids::DeliveryId;
use crate::store::Write;
use crate::subject::Subject;

impl Machine {
    /// Looks at every pending trigger: asks its repository anew, or answers those that need no delivery of a head.
    pub(super) fn take_triggers(&mut self) {
        for trigger in self.ledger.inbox.triggers.clone() {
            if matches!(&self.mode, Mode::Settle(ids) if !self.only(ids).answers(&trigger)) {
                continue;
            }
            if !self.known.watches.contains_key(&trigger.watch) {
                self.reject(&trigger, format!("there is no watch {}", trigger.watch));
                continue;
            }
            match &trigger.kind {
                TriggerKind::Deliver { .. } => self.take_deliver(&trigger),
                TriggerKind::Approve { .. } => self.take_approve(&trigger),
                TriggerKind::Retry(id) => {
                    let id = id.clone();
                    self.call(Call::Recall(Recall::Retry(trigger, id)));
                }
                TriggerKind::Cancel(id) => {
                    let id = id.clone();
                    self.call(Call::Recall(Recall::Cancel(trigger, id)));
                }
                TriggerKind::Look(sha) => {
                    let sha = sha.clone();
                    self.call(Call::Show(trigger, sha));
                }
                TriggerKind::Rerun { delivery, .. } => {
                    let id = delivery.clone();
                    self.call(Call::Recall(Recall::Rerun(trigger, id)));
                }
            }
        }
    }

    pub(super) fn take_deliver(&mut self, trigger: &Trigger) {
        let TriggerKind::Deliver { subject, sha, .. } = &trigger.kind else { return };
        let Some(watch) = self.known.watches.get(&trigger.watch).cloned() else { return };
        if !watch.source.subjects.matches(subject) {
            let (kind, called) = (subject.kind(), subject.name());
            let text = format!(
                "watch {} does not select {kind} {called}; it selects {}",
                watch.name, watch.source.subjects
            );
            return self.reject(trigger, text);
        }
        let group = self.polls.groups.iter_mut().find(|g| g.is_source_of(&watch.name));
        let Some(group) = group else { return };
        // A round that is under way may have begun before the push.
        let rounds = group.rounds + u64::from(group.in_flight);
        let first = *self.polls.asked.entry(trigger.id.clone()).or_insert(rounds);
        let asked = group.rounds > first;
        if !asked && !group.in_flight {
            let now = self.now.instant;
            (group.due, self.polls.next_round) =
                (group.due.min(now), self.polls.next_round.min(now));
        }
        let state = self.ledger.cursors(&(watch.name.clone(), subject.clone()));
        let known = state.is_some_and(|s| s.gone.is_none());
        // A commit alone tells of no pull request whether it is a stranger's.
        let is_unheard = matches!(subject, Subject::PullRequest(_)) && state.is_none();
        if asked && !known && (sha.is_none() || is_unheard) {
            let (repo, kind, called) = (&watch.source.repo, subject.kind(), subject.name());
            let text = match self.ledger.watches.get(&watch.name) {
                Some(known) if known.unreachable.is_none() => {
                    format!("{repo} has no {kind} {called}")
                }
                _ => format!("{repo} does not answer, and {kind} {called} was never seen"),
            };
            self.reject(trigger, text);
        }
    }

    pub(super) fn reject(&mut self, trigger: &Trigger, why: String) {
        let state = TriggerState::Rejected(why.clone());
        self.write(vec![Write::Trigger(Trigger { state, ..trigger.clone() })]);
        self.told(trigger, Err(why));
    }

    pub(super) fn told(&mut self, trigger: &Trigger, answer: Result<DeliveryId, String>) {
        self.polls.asked.remove(&trigger.id);
        let (id, watch) = (trigger.id.clone(), trigger.watch.clone());
        self.tell(EventKind::TriggerAnswered { trigger: id, watch, answer });
    }

    /// What was read of a commit whose statuses are to be shown once more, oldest first.
    pub(in crate::engine) fn shown_again(
        &mut self,
        trigger: &Trigger,
        deliveries: &[Delivery],
    ) -> Effects {
        if self.ledger.inbox.triggers.contains(trigger) {
            match deliveries.last() {
                Some(newest) => {
                    let writes = self.statuses_again(&trigger.watch, deliveries);
                    self.answer(trigger, &newest.id, writes);
                }
                None => self.reject(trigger, "nothing is kept of its commit".to_owned()),
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// What was read of a delivery.
    pub(in crate::engine) fn recalled(
        &mut self,
        recall: Recall,
        found: Option<Delivery>,
    ) -> Effects {
        let pending = |trigger: &Trigger| self.ledger.inbox.triggers.contains(trigger);
        match recall {
            Recall::Retry(trigger, _) | Recall::Rerun(trigger, _) | Recall::Cancel(trigger, _)
                if !pending(&trigger) => {}
            Recall::Cancel(trigger, id) => match self.ledger.open.get(&id).cloned().or(found) {
                Some(delivery) => self.take_cancel(&trigger, delivery),
                None => self.reject(&trigger, format!("there is no delivery {id}")),
            },
            Recall::Retry(trigger, id) => match found {
                Some(delivery) => self.take_retry(&trigger, delivery),
                None => self.reject(&trigger, format!("there is no delivery {id}")),
            },
            Recall::Rerun(trigger, id) => match found {
                Some(delivery) => self.take_rerun(&trigger, delivery),
                None => self.reject(&trigger, format!("there is no delivery {id}")),
            },
            Recall::Look(key, _) => self.look(&key, found),
        }
        std::mem::take(&mut self.effects)
    }

    fn take_retry(&mut self, trigger: &Trigger, mut delivery: Delivery) {
        let id = delivery.id.clone();
        if delivery.state == DeliveryState::NothingRan {
            let text = format!(
                "delivery {id} had nothing to run; to deliver its commit again, use trigger"
            );
            return self.reject(trigger, text);
        }
        if delivery.state == DeliveryState::Cancelled {
            let how = if delivery.intent.is_some() { "rerun or trigger" } else { "trigger" };
            let text = format!("delivery {id} was cancelled; for new runs of it, use {how}");
            return self.reject(trigger, text);
        }
        if let Some(why) = self.held_back_again(&delivery) {
            return self.reject(trigger, why);
        }
        if matches!(delivery.state, DeliveryState::Succeeded | DeliveryState::Superseded) {
            let text = format!(
                "delivery {id} has {}; to run it again, use rerun",
                delivery.state.as_str()
            );
            return self.reject(trigger, text);
        }
        if delivery.verdict.is_some() {
            let text = format!(
                "delivery {id} has finished and its runs did not succeed; for new runs, use rerun --failed"
            );
            return self.reject(trigger, text);
        }
        if delivery.state == DeliveryState::Following
            || self.attempts.running.values().any(|running| *running == id)
        {
            return self.answer(trigger, &id, Vec::new());
        }
        delivery.attempts = AttemptCounts::default();
        let writes = self.taken_up(delivery);
        self.attempts.ready.wake(&id);
        self.answer(trigger, &id, writes);
    }

    /// An attempt that is under way learns of it at its next step; what it wrote by then is taken in, and cancelled.
    fn take_cancel(&mut self, trigger: &Trigger, mut delivery: Delivery) {
        let id = delivery.id.clone();
        if delivery.cancelled.is_some() {
            return self.answer(trigger, &id, Vec::new());
        }
        if !delivery.may_be_cancelled() {
            let text = format!("delivery {id} has ended: {}", delivery.state.as_str());
            return self.reject(trigger, text);
        }
        delivery.cancelled = Some(Cancellation { by: trigger.by.clone(), at: self.now.stamp });
        if self.attempts.running.values().any(|running| *running == id) {
            return self.answer(trigger, &id, vec![Write::Delivery(Box::new(delivery))]);
        }
        let (key, sha) = (key_of(&delivery), delivery.revision.sha.clone());
        let dry_run = delivery.asked.dry_run;
        let end = cancelled(delivery, self.ledger.cursors(&key), self.now.stamp);
        self.attempts.ready.forget(&id);
        if dry_run {
            self.ledger.shown(&key, sha);
        }
        self.answer(trigger, &id, end.writes);
        self.effects.events.extend(end.events);
    }

    fn take_rerun(&mut self, trigger: &Trigger, earlier: Delivery) {
        let id = &earlier.id;
        if let Some(why) = self.held_back_again(&earlier) {
            return self.reject(trigger, why);
        }
        if earlier.intent.is_none() {
            let is_cancelled = earlier.state == DeliveryState::Cancelled;
            let how = if is_cancelled { "trigger" } else { "retry or trigger" };
            let text = format!("delivery {id} never reached the cluster; use {how}");
            return self.reject(trigger, text);
        }
        let mut delivery =
            self.new_delivery(&earlier.watch, earlier.revision.clone(), Cause::Rerun);
        delivery.asked = Asked {
            trigger: Some(trigger.id.clone()),
            by: trigger.by.clone(),
            repeats: Some(earlier.id),
            event: earlier.asked.event,
            only: earlier.asked.only,
            ..delivery.asked
        };
        (delivery.intent, delivery.commit) = (earlier.intent, earlier.commit);
        delivery.pull = earlier.pull;
        let id = delivery.id.clone();
        self.answer(trigger, &id, vec![Write::Delivery(Box::new(delivery))]);
    }

    pub(super) fn answer(
        &mut self,
        trigger: &Trigger,
        delivery: &DeliveryId,
        mut writes: Vec<Write>,
    ) {
        let state = TriggerState::Taken(delivery.clone());
        writes.push(Write::Trigger(Trigger { state, ..trigger.clone() }));
        self.write(writes);
        self.touch(delivery);
        self.told(trigger, Ok(delivery.clone()));
    }
}
