//! What a plan would change: the check's dry run beside what is live.

use sentry_core::deployer::{DeployError, ObjectDiff};
use sentry_core::plan::{Plan, PlannedObject};

use super::Kubectl;
use super::apply::live;
use super::check::validation;
use super::dry::DryRun;
use crate::api::diff::Shown;
use crate::api::object::{self, by_namespace};

pub(super) async fn diff(kubectl: &Kubectl, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
    let caller = kubectl.caller(&plan.cluster, plan.timeout).hiding(plan);
    let validate = validation(kubectl, &caller).await?;
    let redact = |text: &str| caller.redact(text);
    let shown = Shown::new(&redact);
    let mut diffs: Vec<Option<ObjectDiff>> = vec![None; plan.objects.len()];
    for (namespace, places) in by_namespace(plan, 0..plan.objects.len()) {
        let caller = caller.in_namespace(namespace);
        let planned: Vec<_> = places.iter().map(|&at| &plan.objects[at]).collect();
        let before = live(&caller, &planned).await?;
        let exists = |planned: &PlannedObject| object::find(&before, &planned.object);
        let (runs, named): (Vec<&PlannedObject>, Vec<_>) =
            planned.iter().copied().partition(|planned| planned.is_run());
        let new: Vec<_> = runs.into_iter().filter(|run| exists(run).is_none()).collect();
        let applies = DryRun::apply(&caller, validate, plan.force_conflicts).ask(&named).await?;
        let creates = DryRun::show_new(&caller, validate).ask(&new).await?;
        if let Some((_, error)) = applies.refused.into_iter().chain(creates.refused).next() {
            return Err(error);
        }
        let after = [applies.live, creates.live].concat();
        for (at, planned) in places.into_iter().zip(planned) {
            let before = exists(planned);
            if let Some(error) =
                before.filter(|_| planned.is_run()).and_then(|b| object::conflict(planned, b))
            {
                return Err(error);
            }
            // A run is never changed: one that exists stays as it is.
            let after =
                before.filter(|_| planned.is_run()).or(object::find(&after, &planned.object));
            diffs[at] = Some(shown.diff(planned, before, after.unwrap_or(&planned.json)));
        }
    }
    Ok(diffs.into_iter().flatten().collect())
}
