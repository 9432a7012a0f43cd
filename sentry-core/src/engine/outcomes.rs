//! Which objects of a plan are sent now, and what became of all of them. Pure.

use std::collections::BTreeMap;

use crate::delivery::Delivery;
use crate::plan::{Action, GitAuth, ObjectOutcome, ObjectRef, Plan, PlannedObject};

/// The outcomes of a plan's objects while they are being found out.
///
/// A run that the cluster acknowledged before is never sent again: it may have been deleted since, and must not run
/// twice. A run without a record has no room yet. What an earlier attempt applied is applied again, unless that
/// attempt was complete and only its queue remains.
pub(super) struct Outcomes {
    all: Vec<Option<ObjectOutcome>>,
}

impl Outcomes {
    pub(super) fn of(plan: &Plan, delivery: &Delivery) -> Self {
        let before: BTreeMap<_, _> =
            delivery.objects.iter().map(|o| (o.object.identity(), o)).collect();
        let queue_goes_on = delivery.is_queued();
        let known = |planned: &PlannedObject| {
            let earlier = before.get(&planned.object.identity()).copied();
            let done = earlier.filter(|o| o.action.is_acknowledged());
            if let Some(done) = done.filter(|_| planned.is_run() || queue_goes_on) {
                return Some(done.clone());
            }
            let has_room = delivery.asked.dry_run
                || !planned.is_run()
                || delivery.runs.iter().any(|r| r.object.identity() == planned.object.identity());
            (!has_room).then(|| ObjectOutcome {
                object: planned.object.clone(),
                run: true,
                action: Action::Queued,
                reason: Some("waits until other runs in the namespace finish".to_owned()),
            })
        };
        Self { all: plan.objects.iter().map(known).collect() }
    }

    /// The objects without an outcome.
    pub(super) fn to_send(&self, objects: Vec<PlannedObject>) -> Vec<PlannedObject> {
        let open = objects.into_iter().zip(&self.all).filter(|(_, known)| known.is_none());
        open.map(|(planned, _)| planned).collect()
    }

    /// The Secrets of runs that are sent now, and of those that were sent before: their token may have ended, or they
    /// may not own it yet.
    pub(super) fn to_lend(&self, mut secrets: Vec<GitAuth>) -> Vec<GitAuth> {
        secrets.retain(|secret| secret.users.iter().any(|user| !self.is_queued(user)));
        secrets
    }

    fn is_queued(&self, run: &ObjectRef) -> bool {
        let mut known = self.all.iter().flatten();
        known.any(|o| o.action == Action::Queued && o.object.identity() == run.identity())
    }

    /// All outcomes in the plan's order where the cluster said no before any object was sent.
    pub(super) fn unsent(&mut self, objects: &[PlannedObject]) -> Vec<ObjectOutcome> {
        let skipped = objects.iter().map(|planned| ObjectOutcome {
            object: planned.object.clone(),
            run: planned.is_run(),
            action: Action::Skipped,
            reason: Some("the delivery failed before reaching it".to_owned()),
        });
        self.with(skipped.collect())
    }

    /// All outcomes in the plan's order, with those of the objects that were sent.
    pub(super) fn with(&mut self, sent: Vec<ObjectOutcome>) -> Vec<ObjectOutcome> {
        let mut sent = sent.into_iter();
        self.all.drain(..).filter_map(|known| known.or_else(|| sent.next())).collect()
    }
}
