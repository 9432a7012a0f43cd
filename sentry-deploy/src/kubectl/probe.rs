//! Checks for `validate --online`: is the cluster reachable, and may we do what deliveries need?

use sentry_core::deployer::{DeployError, DeployErrorKind, Probe};
use sentry_core::names::ClusterRef;
use serde_json::{Value, json};

use super::{ASK_TIMEOUT, Kubectl, output};

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

/// Asks all of it. Nothing is written: an access review is answered and not kept.
pub(super) async fn probe(
    kubectl: &Kubectl,
    cluster: &ClusterRef,
    lends: bool,
) -> Result<Vec<Probe>, DeployError> {
    let caller = kubectl.caller(cluster, ASK_TIMEOUT);
    let reply = caller.run(&["version", "-o", "json"], Vec::new()).await?;
    let version: Value = serde_json::from_str(&reply.stdout).unwrap_or_default();
    let server = version["serverVersion"]["gitVersion"].as_str().filter(|_| reply.success);
    let Some(server) = server else {
        let error = reply.error(&format!("can't use {cluster}"));
        let context = error.kind() == DeployErrorKind::Local;
        let what = if context { "use the kubeconfig's context" } else { "reach the cluster" };
        return Ok(vec![refused(what, &error)]);
    };
    let mut probes = vec![Probe {
        what: "reach the cluster".into(),
        allowed: true,
        detail: format!("Kubernetes {server}"),
    }];
    // All reviews in one call; `auth can-i` would be one call for each.
    let each = |(resource, verbs): &(&str, &[&str])| -> Vec<Value> {
        verbs.iter().map(|verb| review(cluster, verb, "tekton.dev", resource)).collect()
    };
    let mut reviews: Vec<Value> = RIGHTS.iter().flat_map(each).collect();
    let lending = LENDING.iter().filter(|_| lends);
    reviews.extend(lending.map(|verb| review(cluster, verb, "", "secrets")));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": reviews}).to_string();
    let args = ["create", "-f", "-", "--validate=false", "-o", "json"];
    let reply = caller.run(&args, list.into_bytes()).await?;
    let answers = output::documents(&reply.stdout);
    if answers.is_empty() {
        let error = reply.error("can't check what the account may do");
        probes.push(refused("check our own permissions", &error));
    }
    probes.extend(answers.iter().map(|answer| right(cluster, answer)));
    Ok(probes)
}

fn refused(what: &str, error: &DeployError) -> Probe {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    Probe { what: what.to_owned(), allowed: false, detail: format!("{error}{hint}") }
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

fn right(cluster: &ClusterRef, answer: &Value) -> Probe {
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
