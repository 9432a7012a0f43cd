//! What a plan would change: the check's dry run beside what is live.

use futures::stream;
use futures::{StreamExt as _, TryStreamExt as _};
use sentry_core::deployer::{DeployError, ObjectDiff};
use sentry_core::plan::{Plan, PlannedObject};

use super::Native;
use super::call::Caller;
use super::resources::{self, Known};
use super::write::{self, AT_ONCE, How, Mode, kinds_of};
use crate::api::diff::Shown;
use crate::api::object;

pub(super) async fn diff(native: &Native, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
    let caller = native.caller(&plan.cluster, plan.timeout).hiding(plan);
    let known = resources::known(native, &caller, &kinds_of(plan)).await?;
    let redact = |text: &str| caller.redact(text);
    let shown = Shown::new(&redact);
    let each = |at: usize| one(&caller, &known, plan, &plan.objects[at], &shown);
    stream::iter(0..plan.objects.len()).map(each).buffered(AT_ONCE).try_collect().await
}

async fn one(
    caller: &Caller<'_>,
    known: &Known,
    plan: &Plan,
    planned: &PlannedObject,
    shown: &Shown<'_>,
) -> Result<ObjectDiff, DeployError> {
    let before = write::live(caller, known, planned).await?;
    // A run is never changed: one that exists stays as it is.
    if let Some(run) = before.as_ref().filter(|_| planned.is_run()) {
        return match object::conflict(planned, run) {
            Some(error) => Err(error),
            None => Ok(shown.diff(planned, Some(run), run)),
        };
    }
    let after = if planned.is_run() {
        write::create(caller, known, planned, Mode::Ask).await
    } else {
        let how = How { force: plan.force_conflicts, mode: Mode::Ask, stood: None };
        write::apply(caller, known, planned, how).await
    };
    let after = after.map_err(|failed| failed.error)?;
    Ok(shown.diff(planned, before.as_ref(), &after.object))
}
