//! Reads what kubectl writes. Pure; the texts are those of kubectl 1.20 and 1.32.

use std::collections::BTreeSet;

use sentry_core::deployer::KindTable;
use sentry_core::plan::{KEY_ANNOTATION, ObjectRef};
use serde_json::Value;

/// An object's API group; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// True for each object that kubectl reported as done: one line `task.tekton.dev/NAME created` each, written as soon
/// as the server has answered. A line without its end was cut and says nothing.
pub(super) fn acknowledged(stdout: &str, objects: &[&ObjectRef]) -> Vec<bool> {
    let lines: Vec<&str> = stdout
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let word = |object: &&ObjectRef| line_name(&object.api_version, &object.kind, &object.name);
    objects.iter().map(|object| lines.contains(&word(object).as_str())).collect()
}

/// The objects in kubectl's JSON: the items of a list, or the one object that it prints without a list.
pub(super) fn objects(stdout: &str) -> Vec<Value> {
    match serde_json::from_str::<Value>(stdout) {
        Ok(mut value) => match value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => vec![value],
        },
        Err(_) => Vec::new(),
    }
}

/// The objects in what `create` prints: one JSON document after another.
pub(super) fn documents(stdout: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(stdout).into_iter::<Value>();
    values.map_while(Result::ok).flat_map(|value| objects(&value.to_string())).collect()
}

/// The names in what `get -o name` prints: one line `task.tekton.dev/NAME` each.
pub(super) fn names(stdout: &str) -> BTreeSet<&str> {
    stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// How kubectl names an object in its lines: `task.tekton.dev/NAME`, `configmap/NAME`.
pub(super) fn line_name(api_version: &str, kind: &str, name: &str) -> String {
    let (kind, group) = (kind.to_lowercase(), group(api_version));
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{name}")
}

/// The object among kubectl's that a planned one became.
pub(super) fn find<'a>(live: &'a [Value], object: &ObjectRef) -> Option<&'a Value> {
    live.iter().find(|value| {
        let version = value["apiVersion"].as_str().unwrap_or_default();
        value["kind"] == object.kind.as_str()
            && value["metadata"]["name"] == object.name.as_str()
            && group(version) == group(&object.api_version)
    })
}

/// The key that a live run carries.
pub(super) fn key(live: &Value) -> Option<&str> {
    live["metadata"]["annotations"][KEY_ANNOTATION].as_str()
}

/// The resource version of a live object; none for one that a dry run would have made.
pub(super) fn resource_version(live: &Value) -> Option<String> {
    let version = live["metadata"]["resourceVersion"].as_str();
    version.filter(|v| !v.is_empty()).map(str::to_owned)
}

/// The table of `kubectl api-resources --no-headers`. The short names may be missing, so a line is read from its end:
/// `… APIVERSION NAMESPACED KIND`.
pub(super) fn kinds(stdout: &str) -> KindTable {
    let row = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let (kind, namespaced, version) = (words.next()?, words.next()?, words.next()?);
        words.next()?;
        let namespaced = namespaced.parse::<bool>().ok()?;
        Some((group(version).to_owned(), kind.to_owned(), namespaced))
    };
    stdout.lines().filter_map(row).collect()
}

/// The minor version in `kubectl version --client -o json`; vendors append a plus sign.
pub(super) fn client_minor(stdout: &str) -> Option<u32> {
    let version: Value = serde_json::from_str(stdout).ok()?;
    let minor = version["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Which error belongs to which of the objects that were not done: first those whose error names them, then, kubectl
/// going in order, the rest one by one; an error about all of them is given to each.
pub(super) fn assign(errors: &[String], missing: &[&ObjectRef]) -> Vec<Option<String>> {
    let mut free: Vec<&String> = errors.iter().collect();
    let mut assigned: Vec<Option<String>> = vec![None; missing.len()];
    for (slot, object) in assigned.iter_mut().zip(missing) {
        let name = format!("\"{}\"", object.name);
        let kind = object.kind.to_lowercase();
        let hit = |error: &&String| error.contains(&name) && error.to_lowercase().contains(&kind);
        if let Some(at) = free.iter().position(hit) {
            *slot = Some(free.remove(at).clone());
        }
    }
    let open = assigned.iter_mut().filter(|slot| slot.is_none());
    let last = free.last().copied().or(errors.last());
    for (place, slot) in open.enumerate() {
        *slot = free.get(place).copied().or(last).cloned();
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::stderr;

    fn object(api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            path: "a.yaml".into(),
            document: 1,
            line: 1,
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("qa".into()),
            name: name.into(),
        }
    }

    #[test]
    fn only_whole_lines_acknowledge_an_object() {
        let (task, map) = (object("tekton.dev/v1", "Task", "t"), object("v1", "ConfigMap", "t"));
        let all = [&task, &map];
        let out = "task.tekton.dev/t serverside-applied\nconfigmap/t serverside-app";
        assert_eq!(acknowledged(out, &all), [true, false]);
        assert_eq!(acknowledged("configmap/t created (server dry run)\n", &all), [false, true]);
    }

    #[test]
    fn kinds_are_read_with_and_without_short_names() {
        let table = kinds(
            "configmaps  cm  v1  true  ConfigMap\nnodes v1 false Node\ntasks tekton.dev/v1 true Task\ngarbage\n",
        );
        assert_eq!(table.is_namespaced("", "ConfigMap"), Some(true));
        assert_eq!(table.is_namespaced("", "Node"), Some(false));
        assert_eq!(table.is_namespaced("tekton.dev", "Task"), Some(true));
        assert_eq!(table.is_namespaced("", "Task"), None);
    }

    #[test]
    fn errors_go_to_the_objects_they_name_and_the_rest_in_order() {
        let (a, b, c) = (
            object("tekton.dev/v1", "Task", "a"),
            object("tekton.dev/v1", "Task", "b"),
            object("tekton.dev/v1", "Task", "c"),
        );
        let errors = stderr::errors(
            "Warning: old\nError from server (BadRequest): no name\nError from server (NotFound): \
             tasks.tekton.dev \"a\" gone\n  * more\n",
        );
        assert_eq!(errors.len(), 2);
        let assigned = assign(&errors, &[&a, &b, &c]);
        assert!(assigned[0].as_deref().unwrap().ends_with("gone more"));
        assert!(assigned[1].as_deref().unwrap().ends_with("no name"));
        assert_eq!(assigned[1], assigned[2]);
    }

    #[test]
    fn a_vendors_version_is_read() {
        assert_eq!(client_minor(r#"{"clientVersion":{"minor":"32+"}}"#), Some(32));
        assert_eq!(client_minor("{}"), None);
    }
}
