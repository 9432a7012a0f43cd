//! Objects, and which of them is which. Pure.

use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::plan::{
    DELIVERY_LABEL, KEY_ANNOTATION, ObjectRef, Operation, Plan, PlannedObject,
};
use serde_json::Value;

/// An object's API group; empty for the core group.
pub(crate) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The object among these that a planned one became.
pub(crate) fn find<'a>(live: &'a [Value], object: &ObjectRef) -> Option<&'a Value> {
    live.iter().find(|value| {
        let version = value["apiVersion"].as_str().unwrap_or_default();
        value["kind"] == object.kind.as_str()
            && value["metadata"]["name"] == object.name.as_str()
            && group(version) == group(&object.api_version)
    })
}

/// The key that a live run carries.
fn key_of(live: &Value) -> Option<&str> {
    live["metadata"]["annotations"][KEY_ANNOTATION].as_str()
}

/// The resource version of a live object; none for one that a dry run would have made.
pub(crate) fn resource_version(live: &Value) -> Option<String> {
    let version = live["metadata"]["resourceVersion"].as_str();
    version.filter(|v| !v.is_empty()).map(str::to_owned)
}

/// `Task unit (tasks.yaml, document 2)`.
pub(crate) fn place(object: &ObjectRef) -> String {
    format!("{} {} ({}, document {})", object.kind, object.name, object.path, object.document)
}

/// Places of a plan by namespace, in order. First the cluster's own, with what lives in none, since other namespaces' objects
/// may need it.
pub(crate) fn by_namespace(
    plan: &Plan,
    places: impl IntoIterator<Item = usize>,
) -> Vec<(&str, Vec<usize>)> {
    let own = plan.cluster.namespace.as_str();
    let mut groups = vec![(own, Vec::new())];
    for at in places {
        let namespace = plan.objects[at].object.namespace.as_deref().unwrap_or(own);
        match groups.iter_mut().find(|(known, _)| *known == namespace) {
            Some((_, group)) => group.push(at),
            None => groups.push((namespace, vec![at])),
        }
    }
    groups.retain(|(_, group)| !group.is_empty());
    groups
}

/// Which delivery made a run that exists, if it was an earlier one: it is followed by that one's id.
pub(crate) fn made_by_another(planned: &PlannedObject, live: Option<&Value>) -> Option<String> {
    let label =
        |object: &Value| object["metadata"]["labels"][DELIVERY_LABEL].as_str().map(str::to_owned);
    let theirs = live.and_then(label)?;
    (label(&planned.json).as_ref() != Some(&theirs))
        .then(|| format!("created by delivery {theirs}"))
}

/// True if a delivery wrote the object that was begun later than the one which is to write it.
pub(crate) fn is_of_a_newer_delivery(planned: &PlannedObject, live: &Value) -> bool {
    // Ids sort in the order in which deliveries were begun.
    let label =
        |object: &Value| object["metadata"]["labels"][DELIVERY_LABEL].as_str().map(str::to_owned);
    label(live).is_some_and(|theirs| label(&planned.json).is_some_and(|ours| theirs > ours))
}

/// The error for an object that a newer delivery wrote, or others again and again.
pub(crate) fn stale(planned: &PlannedObject) -> DeployError {
    let text = format!("{}: it was written since it was checked", place(&planned.object));
    DeployError::new(DeployErrorKind::Stale, text)
        .with_hint("it is checked anew with the next attempt")
}

/// The error if a live run is not the planned one: the keys decide.
pub(crate) fn conflict(planned: &PlannedObject, live: &Value) -> Option<DeployError> {
    let Operation::Create { key } = &planned.operation else { return None };
    let other = key_of(live);
    if other == Some(key) {
        return None;
    }
    let theirs = other.map_or("no key".to_owned(), |other| format!("the key {other}"));
    let text = format!(
        "{}: an object of this name already exists with {theirs}, and this one has the key {key}",
        place(&planned.object)
    );
    let hint = format!(
        "rename the run in {}, or delete {} {} from the cluster",
        planned.object.path, planned.object.kind, planned.object.name
    );
    let error = DeployError::new(DeployErrorKind::NameConflict, text);
    Some(error.with_hint(hint))
}
