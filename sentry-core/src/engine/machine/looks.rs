//! Heads that were given up for what may pass: each is looked at again by itself, by one more attempt of its delivery.

use super::{Call, Machine, Mode, Recall};
use crate::cursor::Cursors;
use crate::delivery::{Delivery, DeliveryState};
use crate::engine::ledger::key_of;
use crate::ids::DeliveryId;
use crate::store::Write;
use crate::subject::SubjectKey;

impl Machine {
    /// Begins the looks that are due. A suspended watch's wait until it is resumed; where only triggers are answered,
    /// nothing is looked at.
    pub(super) fn look_again(&mut self) {
        if matches!(self.mode, Mode::Settle(_)) {
            return;
        }
        let goes_on =
            |(watch, _): &&SubjectKey| self.ledger.suspension(watch, self.now.stamp).is_none();
        let due = self.attempts.look_at.due(self.now.instant).filter(goes_on);
        let due: Vec<SubjectKey> = due.cloned().collect();
        for key in due {
            self.attempts.look_at.remove(&key);
            if let Some(id) = self.given_up(&key) {
                self.call(Call::Recall(Recall::Look(key, id)));
            }
        }
    }

    /// The delivery of a head that is to be looked at again; none, if another head, delivery or person came before.
    fn given_up(&self, key: &SubjectKey) -> Option<DeliveryId> {
        let parked = self.ledger.cursors(key)?.parked.as_ref()?;
        parked.again.is_some().then(|| parked.delivery.clone())
    }

    /// Makes a head's delivery wait for its turn again.
    pub(super) fn look(&mut self, key: &SubjectKey, delivery: Option<Delivery>) {
        // Of a delivery that was pruned no record is left: its head gets a new one, with the same runs.
        let delivery = delivery.filter(|d| d.state == DeliveryState::Parked);
        let state = || self.ledger.cursors(key).cloned();
        let writes = delivery.map_or_else(
            || state().map(unparked).into_iter().collect(),
            |delivery| self.taken_up(delivery),
        );
        self.write(writes);
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
