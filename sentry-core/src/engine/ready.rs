//! Deliveries whose next attempt waits: for its moment, or only for its turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use super::waits::Waits;
use crate::clock::Timestamp;
use crate::delivery::{Delivery, DeliveryState};
use crate::ids::DeliveryId;
use crate::names::WatchName;

/// The order in which deliveries of one watch have their turn.
type Turn = (Timestamp, DeliveryId);

/// Those of a watch of which an attempt was cut off by the end of the process, or the others.
type Line = (WatchName, bool);

/// Deliveries whose next attempt waits.
#[derive(Debug, Default)]
pub(super) struct Ready {
    waits: Waits<DeliveryId>,
    lines: BTreeMap<Line, BTreeSet<Turn>>,
    /// Where each of them stands.
    places: HashMap<DeliveryId, (Line, Turn)>,
}

impl Ready {
    /// The delivery waits until then.
    pub(super) fn wait(&mut self, id: DeliveryId, until: Instant) {
        self.leave(&id);
        self.waits.insert(id, until);
    }

    /// The delivery waits for its moment no more.
    pub(super) fn wake(&mut self, id: &DeliveryId) {
        self.waits.remove(id);
    }

    /// Until when a delivery waits.
    pub(super) fn until(&self, id: &DeliveryId) -> Option<Instant> {
        self.waits.get(id)
    }

    /// Those that wait until then at most.
    pub(super) fn waiting_until(&self, then: Instant) -> impl Iterator<Item = &DeliveryId> {
        self.waits.due(then)
    }

    /// When the next of them has waited long enough.
    pub(super) fn next_after(&self, now: Instant) -> Option<Instant> {
        self.waits.next_after(now)
    }

    /// Those whose moment has come: each is to be noted anew.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<DeliveryId> {
        self.waits.take_due(now)
    }

    /// A delivery as it stands now, with no attempt under way: it waits for its turn if it waits for nothing else.
    pub(super) fn note(&mut self, delivery: &Delivery) {
        self.leave(&delivery.id);
        if !is_to_be_attempted(delivery) || self.waits.get(&delivery.id).is_some() {
            return;
        }
        let line = (delivery.watch.clone(), delivery.attempts.cut_off > 0);
        let turn = (delivery.started, delivery.id.clone());
        self.lines.entry(line.clone()).or_default().insert(turn.clone());
        self.places.insert(delivery.id.clone(), (line, turn));
    }

    /// A delivery is under way, or is no more.
    pub(super) fn forget(&mut self, id: &DeliveryId) {
        self.waits.remove(id);
        self.leave(id);
    }

    fn leave(&mut self, id: &DeliveryId) {
        let Some((line, turn)) = self.places.remove(id) else { return };
        if let Some(turns) = self.lines.get_mut(&line) {
            turns.remove(&turn);
            if turns.is_empty() {
                self.lines.remove(&line);
            }
        }
    }

    /// Who waits for a turn, by line, each in its order.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&Line, impl Iterator<Item = &DeliveryId>)> {
        self.lines.iter().map(|(line, turns)| (line, turns.iter().map(|(_, id)| id)))
    }
}

/// True unless it is through, or only its runs are followed: those that wait in the queue have their turn with the room.
fn is_to_be_attempted(delivery: &Delivery) -> bool {
    !delivery.state.is_final() && delivery.state != DeliveryState::Following
}
