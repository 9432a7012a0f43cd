//! Heads that were given up for what may pass: each is looked at again by itself, by one more attempt of its delivery.

use super::*;

impl Agent {
    /// Begins the looks that are due. A suspended watch's wait until it is resumed; where only triggers are answered,
    /// nothing is looked at.
    pub(super) async fn look_again(&mut self) {
        if matches!(self.mode, Mode::Settle(_)) {
            return;
        }
        let (now, stamp) = (Instant::now(), self.parts.clock.now());
        let is_due = |((watch, _), at): &(&SubjectKey, &Instant)| {
            **at <= now && self.ledger.suspension(watch, stamp).is_none()
        };
        let due: Vec<SubjectKey> =
            self.look_at.iter().filter(is_due).map(|(key, _)| key.clone()).collect();
        for key in due {
            let Some(writes) = self.look(&key).await else { return };
            if !self.commit(writes).await {
                return;
            }
            self.look_at.remove(&key);
        }
    }

    /// What makes a head's delivery wait for its turn again; nothing, if another head, delivery or person came before.
    /// `None` if the state can't be read.
    async fn look(&mut self, key: &SubjectKey) -> Option<Vec<Write>> {
        let state = self.ledger.cursors(key).cloned();
        let parked = state.as_ref().and_then(|state| state.parked.as_ref());
        let Some(parked) = parked.filter(|parked| parked.again.is_some()) else {
            return Some(Vec::new());
        };
        let delivery = self.kept(&parked.delivery).await?;
        // Of a delivery that was pruned no record is left: its head gets a new one, with the same runs.
        let delivery = delivery.filter(|d| d.state == DeliveryState::Parked);
        Some(delivery.map_or_else(
            || state.map(unparked).into_iter().collect(),
            |delivery| self.taken_up(delivery),
        ))
    }

    /// A delivery that was given up waits for its turn again, with all that is known of it.
    pub(super) fn taken_up(&self, delivery: Delivery) -> Vec<Write> {
        let state = self.ledger.cursors(&key_of(&delivery)).cloned();
        let mut writes: Vec<Write> = state.map(unparked).into_iter().collect();
        writes.push(Write::Delivery(Box::new(Delivery {
            state: DeliveryState::Pending,
            next_attempt: None,
            finished: None,
            ..delivery
        })));
        writes
    }
}

fn unparked(state: Cursors) -> Write {
    Write::Cursors(Cursors { parked: None, ..state })
}
