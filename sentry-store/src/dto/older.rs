//! How texts of older versions are brought forward, before they are read as today's.

use serde_json::{Map, Value};

/// Up to version 3 whatever had a head was a branch, told by its name.
pub(super) fn of_subjects(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // An intent named B's branch and commit one beside the other.
            if let Some(branch) = fields.remove("manifests_branch") {
                let sha = fields.remove("manifests").unwrap_or_default();
                let revision =
                    Map::from_iter([("branch".to_owned(), branch), ("sha".to_owned(), sha)]);
                fields.insert("manifests".to_owned(), revision.into());
            }
            if let Some(branch) = fields.remove("branch") {
                fields.insert("subject".to_owned(), reference(branch));
            }
            if let Some(Value::Array(branches)) = fields.remove("branches") {
                let subjects: Vec<Value> = branches.into_iter().map(reference).collect();
                fields.insert("subjects".to_owned(), subjects.into());
            }
            fields.values_mut().for_each(of_subjects);
        }
        Value::Array(items) => items.iter_mut().for_each(of_subjects),
        _ => {}
    }
}

fn reference(branch: Value) -> Value {
    match branch {
        Value::String(name) => format!("refs/heads/{name}").into(),
        other => other,
    }
}

/// Up to version 3 a delivery held what a person had selected; of version 1 it holds nothing of it.
pub(super) fn of_events(delivery: &mut Value) {
    let Some(fields) = delivery.as_object_mut() else { return };
    let selection = fields.remove("selection").unwrap_or_default();
    let event = selection.get("event").filter(|event| !event.is_null());
    fields.insert("event".to_owned(), event.cloned().unwrap_or_else(|| "push".into()));
    fields.insert("only".to_owned(), selection.get("run").cloned().unwrap_or_default());
}
