//! What other programs ask for: taken, answered or rejected, each in one commit.

use super::*;

impl Agent {
    /// Looks at every pending trigger: asks its repository anew, or answers those that need no delivery of a head.
    pub(super) async fn take_triggers(&mut self) {
        for trigger in self.ledger.inbox.triggers.clone() {
            if matches!(&self.mode, Mode::Settle(ids) if !ids.contains(&trigger.id)) {
                continue;
            }
            match &trigger.kind {
                TriggerKind::Deliver { .. } => self.take_deliver(trigger).await,
                TriggerKind::Retry(id) => self.take_retry(trigger.clone(), id).await,
                TriggerKind::Rerun { delivery, .. } => {
                    self.take_rerun(trigger.clone(), delivery).await
                }
            }
        }
    }

    pub(super) async fn take_deliver(&mut self, trigger: Trigger) {
        let TriggerKind::Deliver { subject, sha, .. } = &trigger.kind else { return };
        let Some(watch) = self.parts.watches.get(&trigger.watch).cloned() else {
            return self.reject(&trigger, format!("there is no watch {}", trigger.watch)).await;
        };
        if !watch.source.selects(subject) {
            let text = format!(
                "watch {} does not select {} {subject}; it selects {}",
                watch.name,
                subject.kind(),
                watch.source.branches
            );
            return self.reject(&trigger, text).await;
        }
        let group = self.groups.iter_mut().find(|g| g.is_source_of(&watch.name));
        let Some(group) = group else { return };
        // A round that is under way may have begun before the push.
        let rounds = group.rounds + u64::from(group.in_flight);
        let first = *self.asked.entry(trigger.id.clone()).or_insert(rounds);
        let asked = group.rounds > first;
        if !asked && !group.in_flight {
            let now = Instant::now();
            (group.due, self.next_round) = (group.due.min(now), self.next_round.min(now));
        }
        let state = self.ledger.cursors(&(watch.name.clone(), subject.clone()));
        let known = state.is_some_and(|s| s.gone.is_none());
        if asked && !known && sha.is_none() {
            let text = match self.ledger.watches.get(&watch.name) {
                Some(known) if known.unreachable.is_none() => {
                    format!("{} has no {} {subject}", watch.source.repo, subject.kind())
                }
                _ => format!(
                    "{} does not answer, and {} {subject} was never seen",
                    watch.source.repo,
                    subject.kind()
                ),
            };
            self.reject(&trigger, text).await;
        }
    }

    pub(super) async fn reject(&mut self, trigger: &Trigger, why: String) {
        let state = TriggerState::Rejected(why.clone());
        if self.commit(vec![Write::Trigger(Trigger { state, ..trigger.clone() })]).await {
            self.told(trigger, Err(why));
        }
    }

    pub(super) fn told(&mut self, trigger: &Trigger, answer: Result<DeliveryId, String>) {
        self.asked.remove(&trigger.id);
        let (id, watch) = (trigger.id.clone(), trigger.watch.clone());
        self.parts.emit(EventKind::TriggerAnswered { trigger: id, watch, answer });
    }

    pub(super) async fn kept(&mut self, id: &DeliveryId) -> Option<Option<Delivery>> {
        let found = ledger::delivery(self.parts.store.as_ref(), id).await;
        self.state(found)
    }

    pub(super) async fn take_retry(&mut self, trigger: Trigger, id: &DeliveryId) {
        let Some(found) = self.kept(id).await else { return };
        let Some(mut delivery) = found else {
            return self.reject(&trigger, format!("there is no delivery {id}")).await;
        };
        if delivery.state == DeliveryState::NothingRan {
            let text = format!(
                "in delivery {id} nothing was to run; to deliver its commit once more use trigger"
            );
            return self.reject(&trigger, text).await;
        }
        if matches!(delivery.state, DeliveryState::Succeeded | DeliveryState::Superseded) {
            let text =
                format!("delivery {id} has {}; to run it anew use rerun", delivery.state.as_str());
            return self.reject(&trigger, text).await;
        }
        if delivery.verdict.is_some() {
            let text = format!(
                "delivery {id} is through and its runs did not succeed; for new runs use rerun --failed"
            );
            return self.reject(&trigger, text).await;
        }
        if delivery.state == DeliveryState::Following
            || self.running.values().any(|running| running == id)
        {
            return self.answer(&trigger, id, Vec::new()).await;
        }
        (delivery.failures, delivery.tries, delivery.cut_off) = (0, 0, 0);
        let writes = self.taken_up(delivery);
        self.retry_at.remove(id);
        self.answer(&trigger, id, writes).await;
    }

    pub(super) async fn take_rerun(&mut self, trigger: Trigger, id: &DeliveryId) {
        let Some(found) = self.kept(id).await else { return };
        let Some(earlier) = found else {
            return self.reject(&trigger, format!("there is no delivery {id}")).await;
        };
        if earlier.intent.is_none() {
            let text =
                format!("delivery {id} never got as far as the cluster; use retry or trigger");
            return self.reject(&trigger, text).await;
        }
        let mut delivery =
            self.new_delivery(&earlier.watch, earlier.revision.clone(), Cause::Rerun);
        delivery.trigger = Some(trigger.id.clone());
        delivery.intent = earlier.intent;
        let id = delivery.id.clone();
        self.answer(&trigger, &id, vec![Write::Delivery(Box::new(delivery))]).await;
    }

    pub(super) async fn answer(
        &mut self,
        trigger: &Trigger,
        delivery: &DeliveryId,
        mut writes: Vec<Write>,
    ) {
        let state = TriggerState::Taken(delivery.clone());
        writes.push(Write::Trigger(Trigger { state, ..trigger.clone() }));
        if self.commit(writes).await {
            self.touched.insert(delivery.clone());
            self.told(trigger, Ok(delivery.clone()));
        }
    }
}
