//! The check: everything is sent as a dry run, nothing is written.

use futures::StreamExt as _;
use futures::stream;
use sentry_core::deployer::{Checked, DeployError, DeployErrorKind, Stood};
use sentry_core::plan::{Plan, PlannedObject};

use super::call::Caller;
use super::resources::{self, Known};
use super::write::{self, AT_ONCE, Failed, How, Mode, kinds_of};
use super::{Native, git_auth};
use crate::api::object;

pub(super) async fn check(native: &Native, plan: &Plan) -> Result<Checked, DeployError> {
    let caller = native.caller(&plan.cluster, plan.timeout).hiding(plan);
    let known = resources::known(native, &caller, &kinds_of(plan)).await?;
    git_auth::check(&caller, plan).await?;
    let mut checked = Checked::default();
    let mut asked = stream::iter(0..plan.objects.len())
        .map(|at| ask(&caller, &known, plan, &plan.objects[at]))
        .buffered(AT_ONCE);
    let mut objects = plan.objects.iter();
    while let (Some(done), Some(planned)) = (asked.next().await, objects.next()) {
        match done {
            Ok(Some(stood)) => checked.learn(&planned.object, stood),
            Ok(None) => {}
            // Nothing is known of the others, and they would fare no better.
            Err(Failed { error, is_general: true, .. }) if checked.refused.is_empty() => {
                return Err(error);
            }
            Err(failed) => {
                checked.refused.push((planned.object.clone(), failed.error));
                if failed.is_general {
                    break;
                }
            }
        }
    }
    if checked.refused.iter().any(|(_, error)| error.kind() == DeployErrorKind::Missing) {
        // The table of kinds let the kind through: it is out of date.
        native.forget_kinds(&plan.cluster);
    }
    Ok(checked)
}

/// Whether the cluster would take an object; of a named one, how it stands.
async fn ask(
    caller: &Caller<'_>,
    known: &Known,
    plan: &Plan,
    planned: &PlannedObject,
) -> Result<Option<Stood>, Failed> {
    if planned.is_run() {
        return match write::create(caller, known, planned, Mode::Ask).await {
            // Its key decides when it is applied.
            Ok(_) | Err(Failed { is_taken: true, .. }) => Ok(None),
            Err(failed) => Err(failed),
        };
    }
    let how = How { force: plan.force_conflicts, mode: Mode::Ask, stood: None };
    let would_be = write::apply(caller, known, planned, how).await?;
    // A dry run shows what it takes, and gives a version to nothing that is not there.
    let version = object::resource_version(&would_be.object);
    Ok(Some(version.map_or(Stood::Absent, Stood::At)))
}
