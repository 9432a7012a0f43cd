//! The check: everything is sent as a dry run, nothing is written.

use sentry_core::deployer::{Checked, DeployError, DeployErrorKind, Stood};
use sentry_core::plan::{ObjectRef, Plan, PlannedObject};

use super::call::Caller;
use super::dry::DryRun;
use super::{Kubectl, git_auth};
use crate::api::object::{self, by_namespace};

/// kubectl can ask the server for strict field validation from this minor version on; `true` is the older, weaker form.
const STRICT_SINCE: u32 = 25;

pub(super) async fn check(kubectl: &Kubectl, plan: &Plan) -> Result<Checked, DeployError> {
    let caller = kubectl.caller(&plan.cluster, plan.timeout).hiding(plan);
    let validate = validation(kubectl, &caller).await?;
    git_auth::check(&caller, plan).await?;
    let mut checked = Checked::default();
    for (namespace, places) in by_namespace(plan, 0..plan.objects.len()) {
        let caller = caller.in_namespace(namespace);
        let (runs, named): (Vec<&PlannedObject>, Vec<_>) =
            places.iter().map(|&at| &plan.objects[at]).partition(|p| p.is_run());
        let applies = DryRun::apply(&caller, validate, plan.force_conflicts);
        let creates = DryRun::create(&caller, validate);
        let (named, runs) = tokio::join!(applies.ask(&named), creates.ask(&runs));
        let (named, runs) = (named?, runs?);
        checked.refused.extend(named.refused.into_iter().chain(runs.refused));
        for planned in places.iter().map(|&at| &plan.objects[at].object) {
            // A dry run shows what it takes, and gives a version to nothing that is not there.
            let Some(would_be) = object::find(&named.live, planned) else { continue };
            let version = object::resource_version(would_be);
            checked.learn(planned, version.map_or(Stood::Absent, Stood::At));
        }
    }
    let place = |(object, _): &(ObjectRef, DeployError)| {
        plan.objects.iter().position(|planned| planned.object == *object)
    };
    checked.refused.sort_by_key(place);
    if checked.refused.iter().any(|(_, error)| error.kind() == DeployErrorKind::Missing) {
        // The table of kinds let the kind through: it is out of date.
        kubectl.forget_kinds(&plan.cluster);
    }
    Ok(checked)
}

/// The flag that makes kubectl validate fields.
pub(super) async fn validation(
    kubectl: &Kubectl,
    caller: &Caller<'_>,
) -> Result<&'static str, DeployError> {
    let strict = kubectl.minor(caller).await? >= STRICT_SINCE;
    Ok(if strict { "--validate=strict" } else { "--validate=true" })
}
