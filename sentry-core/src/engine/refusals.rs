//! What the cluster says to a plan before anything is written: strict watches stop, lenient ones leave out.

use super::failure::AttemptError;
use crate::deployer::{Checked, DeployError, DeployErrorKind, Deployer};
use crate::manifest::{self, LeftOut};
use crate::plan::{Plan, PlannedObject};
use crate::retry::Retry;
use crate::watch::Refusals;

/// Asks the cluster whether it would accept the plan. Returns what it answered, and what was taken out of the plan,
/// which a strict watch allows to nothing.
pub(super) async fn check(
    deployer: &dyn Deployer,
    plan: &mut Plan,
    refusals: Refusals,
) -> Result<(Checked, Vec<LeftOut>), AttemptError> {
    let what = format!("{} did not accept the delivery; nothing was written", plan.cluster);
    let result = match deployer.check(plan).await {
        Ok(checked) => without(plan, &checked, refusals).map(|left_out| (checked, left_out)),
        Err(error) => Err(error),
    };
    result.map_err(|source| AttemptError::Deploy { what, source })
}

/// Leaves out what the cluster refuses, if the watch is lenient and a run is left where there was one: a delivery that
/// runs nothing because everything is refused has failed. What is no matter of the object itself, such as a quota, is
/// never left out.
///
/// # Errors
/// The first error; first of all one that is definite, since to wait for the others changes nothing for it.
pub(super) fn without(
    plan: &mut Plan,
    checked: &Checked,
    refusals: Refusals,
) -> Result<Vec<LeftOut>, DeployError> {
    let left_out = manifest::left_out(&plan.objects, &checked.refused);
    let own =
        |e: &&DeployError| matches!(e.kind(), DeployErrorKind::Refused | DeployErrorKind::Conflict);
    let lenient = refusals == Refusals::Lenient;
    let errors = checked.refused.iter().map(|(_, error)| error);
    let first = if lenient {
        errors.min_by_key(own)
    } else {
        errors.min_by_key(|error| error.retry() != Retry::Stalled)
    };
    let Some(first) = first else { return Ok(left_out) };
    let runs = |plan: &Plan| plan.objects.iter().any(PlannedObject::is_run);
    let had_runs = runs(plan);
    plan.leave_out(&left_out.iter().map(|out| &out.object).collect::<Vec<_>>());
    let is_empty = plan.objects.is_empty() || (had_runs && !runs(plan));
    if lenient && own(&first) && !is_empty { Ok(left_out) } else { Err(first.clone()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{ObjectRef, Operation, RunRules};
    use crate::testing::sample;
    use crate::watch::ForceConflicts;
    use crate::watch::sample::watch;

    #[test]
    fn a_strict_watch_is_told_what_is_definite_before_what_may_pass() {
        let refused =
            [DeployErrorKind::Missing, DeployErrorKind::Refused, DeployErrorKind::Forbidden];
        let mut plan = Plan {
            delivery: sample::id(1),
            cluster: watch("qa", &["main"]).cluster,
            force_conflicts: ForceConflicts::Never,
            objects: Vec::new(),
            git_auth: Vec::new(),
            timeout: Duration::ZERO,
        };
        let refused = refused.map(|kind| (sample::object(), DeployError::new(kind, "no"))).into();
        let first = without(&mut plan, &Checked::refusing(refused), Refusals::Strict).unwrap_err();
        assert_eq!(first.retry(), Retry::Stalled, "{first:?}");
    }

    fn planned(name: &str, is_run: bool) -> PlannedObject {
        let (kind, operation) = if is_run {
            ("PipelineRun", Operation::Create { key: name.to_owned() })
        } else {
            ("Task", Operation::Apply)
        };
        let (name, kind) = (name.to_owned(), kind.to_owned());
        PlannedObject {
            object: ObjectRef { name, kind, ..sample::object() },
            operation,
            json: serde_json::Value::Null,
            rules: RunRules::default(),
        }
    }

    #[test]
    fn a_lenient_watch_goes_on_with_what_is_left_unless_no_run_is_or_it_is_no_matter_of_the_object()
    {
        use DeployErrorKind::{Conflict, Forbidden, Missing, Refused};
        let (task, other, run, second) =
            (("task", false), ("other", false), ("run", true), ("second", true));
        let of = |objects: &[(&str, bool)], refused: &[(&str, DeployErrorKind)]| {
            let objects: Vec<_> = objects.iter().map(|(name, run)| planned(name, *run)).collect();
            let named = |name: &str| objects.iter().find(|o| o.object.name == name).unwrap();
            let error = |kind: DeployErrorKind| DeployError::new(kind, "no");
            let refused =
                refused.iter().map(|(name, kind)| (named(name).object.clone(), error(*kind)));
            let checked = Checked::refusing(refused.collect());
            let mut plan = Plan {
                delivery: sample::id(1),
                cluster: watch("qa", &["main"]).cluster,
                force_conflicts: ForceConflicts::Never,
                objects,
                git_auth: Vec::new(),
                timeout: Duration::ZERO,
            };
            let left_out = without(&mut plan, &checked, Refusals::Lenient);
            let left: Vec<_> = plan.objects.iter().map(|o| o.object.name.clone()).collect();
            left_out.map(|out| (out.len(), left.join(" "))).map_err(|error| error.kind())
        };
        let left = |out: usize, left: &str| Ok((out, left.to_owned()));
        assert_eq!(of(&[task, run], &[]), left(0, "task run"));
        for kind in [Refused, Conflict] {
            assert_eq!(of(&[task, run], &[("task", kind)]), left(1, "run"));
            assert_eq!(of(&[task, run, second], &[("run", kind)]), left(1, "task second"));
            assert_eq!(of(&[task, run], &[("run", kind)]), Err(kind), "no run is left");
            assert_eq!(of(&[task, other], &[("task", kind)]), left(1, "other"), "there was none");
            assert_eq!(of(&[task], &[("task", kind)]), Err(kind), "nothing is left");
        }
        for kind in [Forbidden, Missing] {
            assert_eq!(of(&[task, run], &[("task", kind)]), Err(kind));
            let both = [("task", Refused), ("other", kind)];
            assert_eq!(of(&[task, other, run], &both), Err(kind));
        }
    }
}
