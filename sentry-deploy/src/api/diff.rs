//! How an object is shown before and after, with nothing secret in it. Pure.

use std::hash::{BuildHasher as _, RandomState};

use sentry_core::deployer::ObjectDiff;
use sentry_core::plan::{Action, PlannedObject};
use serde_json::Value;

/// What only a server sets in an object's metadata. `kubectl apply` without `--server-side` keeps a whole manifest in
/// an annotation, a Secret's data with it.
const SERVERS: &[&str] =
    &["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What Sentry's own labels and annotations start with: they change with every delivery.
const OWN: &str = "sentry-gitops.dev/";

/// How objects are shown.
pub(crate) struct Shown<'a> {
    /// Takes known secrets out.
    redact: &'a (dyn Fn(&str) -> String + Sync),
    /// With keys of its own, so that a digest shows equal or different within one diff and nothing else.
    digests: RandomState,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(redact: &'a (dyn Fn(&str) -> String + Sync)) -> Self {
        Self { redact, digests: RandomState::new() }
    }

    /// What would become of an object that is `before` and would be `after`.
    pub(crate) fn diff(
        &self,
        planned: &PlannedObject,
        before: Option<&Value>,
        after: &Value,
    ) -> ObjectDiff {
        let (before, after) = (before.map(|before| self.yaml(before)), self.yaml(after));
        let action = match &before {
            None => Action::Created,
            Some(_) if planned.is_run() => Action::Exists,
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
        (self.redact)(&text)
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
