//! Runs that an attempt was to create and that the cluster did not acknowledge: an answer that was lost, a kill between
//! the create and its record. They are taken for real until the cluster's list of runs says otherwise.

use super::Machine;
use crate::delivery::{Delivery, DeliveryState, RunRecord};
use crate::ids::DeliveryId;
use crate::plan::{Action, ObjectOutcome, ObjectRef};
use crate::watch::Watch;

impl Machine {
    /// True if the run is unconfirmed, and a list that does not hold it would mean that it was never made: nothing that
    /// was sent can still arrive. After a kill the deployer's program may live on, at most for the attempt's time.
    pub(super) fn may_be_unmade(
        &self,
        watch: &Watch,
        delivery: &Delivery,
        run: &RunRecord,
    ) -> bool {
        let sent = delivery.intent.as_ref().map(|intent| intent.at);
        // A clock that was set back must not hold it for ever.
        let passed = sent.map(|at| self.now.stamp.duration_since(at).unsigned_abs());
        let answered = delivery.outcome_of(&run.object).is_some();
        makes_nothing(delivery)
            && delivery.is_unconfirmed(run)
            && (answered || passed.is_none_or(|passed| passed >= watch.timing.timeout))
    }

    /// The cluster's list did not hold these runs of a delivery, and they were never acknowledged.
    pub(super) fn never_made(&mut self, id: &DeliveryId, runs: &[ObjectRef]) {
        let Some(mut delivery) = self.ledger.open.get(id).cloned() else { return };
        delivery.runs.retain(|run| !runs.contains(&run.object));
        for object in runs {
            if delivery.outcome_of(object).is_none() {
                let (object, reason) =
                    (object.clone(), Some("it never existed on the cluster".into()));
                let outcome = ObjectOutcome { object, run: true, action: Action::Skipped, reason };
                delivery.objects.push(outcome);
            }
        }
        self.runs_changed(&delivery);
    }
}

/// True if no further attempt of the delivery comes by itself.
pub(super) fn makes_nothing(delivery: &Delivery) -> bool {
    delivery.state == DeliveryState::Following || delivery.state.is_final()
}

/// The cluster was seen to hold this run of the delivery: as good as its acknowledgement.
pub(super) fn confirm(delivery: &mut Delivery, object: ObjectRef) {
    let known = delivery.objects.iter_mut().find(|o| o.object.identity() == object.identity());
    match known {
        Some(outcome) if outcome.action.is_acknowledged() => {}
        Some(outcome) => (outcome.action, outcome.reason) = (Action::Exists, None),
        None => {
            let (run, action, reason) = (true, Action::Exists, None);
            delivery.objects.push(ObjectOutcome { object, run, action, reason });
        }
    }
}
