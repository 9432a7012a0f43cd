//! What a plan would change: the check's dry run beside what is live, with nothing secret in it.

use std::hash::{BuildHasher as _, RandomState};

use sentry_core::deployer::{DeployError, ObjectDiff};
use sentry_core::plan::{Action, Plan, PlannedObject};
use serde_json::Value;

use super::apply::{conflict, live};
use super::call::Caller;
use super::check::{by_namespace, is_run, validation};
use super::dry::DryRun;
use super::{Kubectl, output};

/// What only a server sets in an object's metadata. `kubectl apply` without `--server-side` keeps a whole manifest in
/// an annotation, a Secret's data with it.
const SERVERS: &[&str] =
    &["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What Sentry's own labels and annotations start with: they change with every delivery.
const OWN: &str = "sentry-gitops.dev/";

pub(super) async fn diff(kubectl: &Kubectl, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
    let caller = kubectl.caller(&plan.cluster, plan.timeout).hiding(plan);
    let validate = validation(kubectl, &caller).await?;
    let shown = Shown { caller: &caller, digests: RandomState::new() };
    let mut diffs: Vec<Option<ObjectDiff>> = vec![None; plan.objects.len()];
    for (namespace, places) in by_namespace(plan, 0..plan.objects.len()) {
        let caller = caller.in_namespace(namespace);
        let planned: Vec<_> = places.iter().map(|&at| &plan.objects[at]).collect();
        let before = live(&caller, &planned).await?;
        let exists = |planned: &PlannedObject| output::find(&before, &planned.object);
        let (runs, named): (Vec<&PlannedObject>, Vec<_>) =
            planned.iter().copied().partition(|planned| is_run(planned));
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
                before.filter(|_| is_run(planned)).and_then(|b| conflict(planned, b))
            {
                return Err(error);
            }
            // A run is never changed: one that exists stays as it is.
            let after =
                before.filter(|_| is_run(planned)).or(output::find(&after, &planned.object));
            diffs[at] = Some(shown.diff(planned, before, after.unwrap_or(&planned.json)));
        }
    }
    Ok(diffs.into_iter().flatten().collect())
}

/// How objects are shown.
struct Shown<'a> {
    caller: &'a Caller<'a>,
    /// With keys of its own, so that a digest shows equal or different within one diff and nothing else.
    digests: RandomState,
}

impl Shown<'_> {
    fn diff(&self, planned: &PlannedObject, before: Option<&Value>, after: &Value) -> ObjectDiff {
        let (before, after) = (before.map(|before| self.yaml(before)), self.yaml(after));
        let action = match &before {
            None => Action::Created,
            Some(_) if is_run(planned) => Action::Exists,
            Some(before) if *before == after => Action::Unchanged,
            Some(_) => Action::Configured,
        };
        ObjectDiff { object: planned.object.clone(), action, before, after }
    }

    fn yaml(&self, object: &Value) -> String {
        let mut object = object.clone();
        if object["kind"] == "Secret" {
            self.hide_data(&mut object);
        }
        tidy(&mut object);
        // A JSON value has nothing that YAML could not say.
        let text = serde_saphyr::to_string(&object).unwrap_or_else(|_| object.to_string());
        self.caller.redact(&text)
    }

    fn hide_data(&self, secret: &mut Value) {
        for field in ["data", "stringData"] {
            let values = secret.get_mut(field).and_then(Value::as_object_mut);
            for (_, value) in values.into_iter().flatten() {
                let digest = self.digests.hash_one(value.to_string());
                *value = Value::String(format!("[secret {digest:016x}]"));
            }
        }
    }
}

/// Takes out what only a server or Sentry itself sets.
fn tidy(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for field in SERVERS {
        metadata.remove(*field);
    }
    for section in ["labels", "annotations"] {
        let Some(marks) = metadata.get_mut(section).and_then(Value::as_object_mut) else {
            continue;
        };
        marks.retain(|name, _| !name.starts_with(OWN) && name != LAST_APPLIED);
        if marks.is_empty() {
            metadata.remove(section);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_server_or_sentry_sets_is_not_shown() {
        let mut object = json!({
            "kind": "Task", "status": {"x": 1}, "spec": {"steps": []},
            "metadata": {
                "name": "t", "uid": "u", "resourceVersion": "1", "managedFields": [],
                "generation": 2, "creationTimestamp": "x",
                "labels": {"sentry-gitops.dev/delivery": "d"},
                "annotations": {LAST_APPLIED: "{}", "team": "qa"},
            },
        });
        tidy(&mut object);
        let left = json!({"kind": "Task", "spec": {"steps": []},
            "metadata": {"name": "t", "annotations": {"team": "qa"}}});
        assert_eq!(object, left);
    }
}
