//! Checks for `validate --online`: is the cluster reachable, and may we do what deliveries need?

use sentry_core::deployer::{DeployError, DeployErrorKind, Probe};
use sentry_core::names::ClusterRef;
use serde_json::{Value, json};

use super::{ASK_TIMEOUT, Kubectl, output};
use crate::api::rights;

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
        return Ok(vec![rights::refused(what, &error)]);
    };
    let mut probes = vec![Probe {
        what: "reach the cluster".into(),
        allowed: true,
        detail: format!("Kubernetes {server}"),
    }];
    // All reviews in one call; `auth can-i` would be one call for each.
    let reviews = rights::reviews(cluster, lends);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": reviews}).to_string();
    let args = ["create", "-f", "-", "--validate=false", "-o", "json"];
    let reply = caller.run(&args, list.into_bytes()).await?;
    let answers = output::documents(&reply.stdout);
    if answers.is_empty() {
        let error = reply.error("can't check what the account may do");
        probes.push(rights::refused("check our own permissions", &error));
    }
    probes.extend(answers.iter().map(|answer| rights::right(cluster, answer)));
    Ok(probes)
}
