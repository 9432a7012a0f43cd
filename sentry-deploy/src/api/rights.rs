//! The rights that deliveries use, and what the cluster says of them. Pure.

use sentry_core::deployer::{DeployError, Probe};
use sentry_core::names::ClusterRef;
use serde_json::{Value, json};

/// The rights that a delivery of Tekton objects uses. Applying needs `create` beside `patch`, for a new object; `get` is
/// for comparing keys and versions. Runs are listed and watched to their end, patched to cancel them, and deleted when
/// only so many are to be kept. What only explains a failed run better is not asked for: task runs and `pods/log`.
const RIGHTS: &[(&str, &[&str])] = &[
    ("pipelineruns", &["create", "get", "list", "watch", "patch", "delete"]),
    ("tasks", &["create", "patch", "get"]),
    ("pipelines", &["create", "patch", "get"]),
];

/// What is done with the Secrets that runs clone A with. They are never read.
const LENDING: &[&str] = &["create", "patch", "delete"];

/// What was asked in vain.
pub(crate) fn refused(what: &str, error: &DeployError) -> Probe {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    Probe { what: what.to_owned(), allowed: false, detail: format!("{error}{hint}") }
}

/// The access reviews for all that is done; with `lends` for the Secrets as well.
pub(crate) fn reviews(cluster: &ClusterRef, lends: bool) -> Vec<Value> {
    let each = |(resource, verbs): &(&str, &[&str])| -> Vec<Value> {
        verbs.iter().map(|verb| review(cluster, verb, "tekton.dev", resource)).collect()
    };
    let mut reviews: Vec<Value> = RIGHTS.iter().flat_map(each).collect();
    let lending = LENDING.iter().filter(|_| lends);
    reviews.extend(lending.map(|verb| review(cluster, verb, "", "secrets")));
    reviews
}

fn review(cluster: &ClusterRef, verb: &str, group: &str, resource: &str) -> Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": group, "resource": resource, "verb": verb,
            "namespace": cluster.namespace.as_str(),
        }},
    })
}

/// What an answered review says.
pub(crate) fn right(cluster: &ClusterRef, answer: &Value) -> Probe {
    let asked = &answer["spec"]["resourceAttributes"];
    let word = |field: &str| asked[field].as_str().unwrap_or("?").to_owned();
    // A server leaves the core group's empty name out.
    let group = asked["group"].as_str().filter(|group| !group.is_empty());
    let group = group.map(|group| format!(".{group}")).unwrap_or_default();
    let allowed = answer["status"]["allowed"].as_bool().unwrap_or(false);
    let reason = answer["status"]["reason"].as_str().filter(|reason| !reason.is_empty());
    let detail = match (allowed, reason) {
        (true, _) => format!("in the namespace {}", cluster.namespace),
        (false, Some(reason)) => format!("not in the namespace {}: {reason}", cluster.namespace),
        (false, None) => {
            format!("not in the namespace {}: grant it with a Role", cluster.namespace)
        }
    };
    Probe { what: format!("{} {}{group}", word("verb"), word("resource")), allowed, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_told_by_verb_and_resource_with_the_servers_reason_or_a_remedy() {
        let cluster =
            ClusterRef { deployer: "k".into(), context: None, namespace: "qa".parse().unwrap() };
        for (group, status, what, allowed, detail) in [
            (
                "tekton.dev",
                json!({"allowed": true, "reason": "x"}),
                "get tasks.tekton.dev",
                true,
                "in the namespace qa",
            ),
            (
                "",
                json!({"allowed": false, "reason": "by rule"}),
                "get tasks",
                false,
                "not in the namespace qa: by rule",
            ),
            (
                "",
                json!({"reason": ""}),
                "get tasks",
                false,
                "not in the namespace qa: grant it with a Role",
            ),
            ("", json!({}), "get tasks", false, "not in the namespace qa: grant it with a Role"),
        ] {
            let mut answer = review(&cluster, "get", group, "tasks");
            answer["status"] = status;
            let probe = Probe { what: what.into(), allowed, detail: detail.into() };
            assert_eq!(right(&cluster, &answer), probe);
        }
    }
}
