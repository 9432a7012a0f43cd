//! The documents that an API server answers with. Pure.

use std::collections::BTreeMap;

use sentry_core::deployer::{Fields, KindTable, KindsQuery, Served};
use serde_json::Value;

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// What the next page is asked for with; `None` after the last one.
    pub(crate) next: Option<String>,
    /// The version that the list is of.
    pub(crate) version: Option<String>,
}

/// The page in a server's answer; `None` if that is no list.
pub(crate) fn page(text: &str) -> Option<Page> {
    let mut list: Value = serde_json::from_str(text).ok()?;
    let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else { return None };
    let word = |field: &str| {
        let text = list["metadata"][field].as_str();
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Some(Page { items, next: word("continue"), version: word("resourceVersion") })
}

/// The groups in an `APIGroupList`; of `APIVersions`, the core group, which has no name.
pub(crate) fn groups(answer: &Value) -> Vec<&str> {
    match answer["groups"].as_array() {
        Some(groups) => groups.iter().filter_map(|group| group["name"].as_str()).collect(),
        None => vec![""],
    }
}

/// The versions in an `APIGroup` or in `APIVersions`, in the server's order.
pub(crate) fn versions(answer: &Value) -> Vec<String> {
    let each = answer["versions"].as_array().into_iter().flatten();
    let version = |value: &Value| Some(value.as_str().or(value["version"].as_str())?.to_owned());
    each.filter_map(version).collect()
}

/// The kinds in an `APIResourceList`, their resources, and whether they live in a namespace.
pub(crate) fn resources(answer: &Value) -> Option<Vec<(String, String, bool)>> {
    // `pods/log` is a part of an object.
    let whole = |value: &&Value| value["name"].as_str().is_some_and(|name| !name.contains('/'));
    let kind = |value: &Value| {
        let word = |field: &str| value[field].as_str().map(str::to_owned);
        Some((word("kind")?, word("name")?, value["namespaced"].as_bool()?))
    };
    Some(answer["resources"].as_array()?.iter().filter(whole).filter_map(kind).collect())
}

/// True if the cluster serves a wanted kind in a version: only such a one can be asked for its fields.
pub(crate) fn serves_any(table: &KindTable, version: &str, wanted: &KindsQuery) -> bool {
    let served = |(have, kind): &(String, String)| {
        have == version && matches!(table.served(have, kind), Served::Yes { .. })
    };
    wanted.kinds.iter().any(served)
}

/// The fields of each kind's `spec` in an OpenAPI v3 document, by kind. References to other definitions are not
/// described: custom resources are inline.
pub(crate) fn fields(document: &Value) -> BTreeMap<String, Fields> {
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let kind = |(_, schema): (&String, &Value)| {
        let kind = schema["x-kubernetes-group-version-kind"][0]["kind"].as_str()?.to_owned();
        Some((kind, described(schema["properties"].get("spec")?)))
    };
    schemas.filter_map(kind).collect()
}

/// The fields of a schema, of what its list holds or its map.
fn described(schema: &Value) -> Fields {
    if let Some(items) = schema.get("items") {
        return described(items);
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    let any = schema.get("additionalProperties").filter(|inner| inner.is_object());
    Fields {
        named: properties.map(|(name, inner)| (name.clone(), described(inner))).collect(),
        any: any.map(|inner| Box::new(described(inner))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_kind_are_read_from_the_servers_description() {
        let document = serde_json::json!({"components": {"schemas": {
            "dev.tekton.v1.Task": {
                "x-kubernetes-group-version-kind": [{"group": "tekton.dev", "kind": "Task", "version": "v1"}],
                "properties": {"spec": {"type": "object", "properties": {
                    "steps": {"type": "array", "items": {"properties": {"image": {"type": "string"}}}},
                    "volumes": {"x-kubernetes-preserve-unknown-fields": true},
                    "labels": {"additionalProperties": {"properties": {"inner": {}}}},
                }}},
            },
            "dev.tekton.v1.TaskList": {
                "x-kubernetes-group-version-kind": [{"kind": "TaskList"}], "properties": {"items": {}},
            },
        }}});
        let all = fields(&document);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["Task"]);
        let task = &all["Task"];
        assert_eq!(task.named.keys().collect::<Vec<_>>(), ["labels", "steps", "volumes"]);
        assert!(task.named["steps"].named.contains_key("image"));
        assert!(task.named["labels"].get("whatever").unwrap().named.contains_key("inner"));
        assert_eq!(task.named["volumes"].get("x"), None);
        assert!(fields(&Value::Null).is_empty());
    }
}
