//! What became of each object of a plan, while that is being found out. Pure.

use sentry_core::deployer::DeployError;
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Plan, PlannedObject};

/// The outcomes so far; an object without one was not sent.
#[derive(Debug)]
pub(crate) struct Outcomes<'a> {
    pub(crate) plan: &'a Plan,
    outcomes: Vec<Option<(Action, Option<String>)>>,
    error: Option<DeployError>,
}

impl<'a> Outcomes<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        Self { plan, outcomes: vec![None; plan.objects.len()], error: None }
    }

    /// The places of the runs, or of the others, that have no outcome yet.
    pub(crate) fn open(&self, runs: bool) -> Vec<usize> {
        let open = |at: &usize| self.plan.objects[*at].is_run() == runs;
        self.left(&(0..self.outcomes.len()).filter(open).collect::<Vec<_>>())
    }

    /// Those of the places that have no outcome yet.
    pub(crate) fn left(&self, places: &[usize]) -> Vec<usize> {
        places.iter().copied().filter(|&at| self.outcomes[at].is_none()).collect()
    }

    /// True if nothing was attempted yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.outcomes.iter().all(Option::is_none)
    }

    /// True if something failed: then nothing more is begun.
    pub(crate) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    pub(crate) fn is_acknowledged(&self, at: usize) -> bool {
        matches!(&self.outcomes[at], Some((action, _)) if action.is_acknowledged())
    }

    pub(crate) fn done(&mut self, at: usize, action: Action) {
        self.outcomes[at] = Some((action, None));
    }

    /// A run that was there already.
    pub(crate) fn exists(&mut self, at: usize, why: Option<String>) {
        self.outcomes[at] = Some((Action::Exists, why));
    }

    pub(crate) fn failed(&mut self, at: usize, error: DeployError) {
        self.outcomes[at] = Some((Action::Failed, Some(error.to_string())));
        // An object that may have arrived is looked for first, whatever is wrong with the others.
        if self.error.as_ref().is_none_or(|e| e.kind().is_answer() && !error.kind().is_answer()) {
            self.error = Some(error);
        }
    }

    /// An error of the whole, beside those of the objects.
    pub(crate) fn also(&mut self, error: DeployError) {
        self.error.get_or_insert(error);
    }

    pub(crate) fn close(self) -> ChangeSet {
        let outcome = |(planned, outcome): (&PlannedObject, Option<(Action, Option<String>)>)| {
            let skipped = || (Action::Skipped, Some("an earlier object failed".to_owned()));
            let (action, reason) = outcome.unwrap_or_else(skipped);
            ObjectOutcome { object: planned.object.clone(), run: planned.is_run(), action, reason }
        };
        let objects = self.plan.objects.iter().zip(self.outcomes).map(outcome).collect();
        ChangeSet { objects, error: self.error }
    }
}
