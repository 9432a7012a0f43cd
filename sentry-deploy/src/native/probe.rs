//! Checks for `validate --online`: is the cluster reachable, and may we do what deliveries need?

use futures::stream;
use futures::{StreamExt as _, TryStreamExt as _};
use sentry_core::deployer::{DeployError, DeployErrorKind, Probe};
use sentry_core::names::ClusterRef;
use serde_json::Value;

use super::call::Ask;
use super::write::AT_ONCE;
use super::{ASK_TIMEOUT, Native};
use crate::api::rights;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Asks all of it. Nothing is written: an access review is answered and not kept.
pub(super) async fn probe(
    native: &Native,
    cluster: &ClusterRef,
    lends: bool,
) -> Result<Vec<Probe>, DeployError> {
    let caller = native.caller(cluster, ASK_TIMEOUT);
    let doing = format!("can't use {cluster}");
    let version = match caller.json(&Ask::get("/version"), &doing).await {
        Ok(version) => version,
        Err(error) => {
            let context = error.kind() == DeployErrorKind::Local;
            let what = if context { "use the kubeconfig's context" } else { "reach the cluster" };
            return Ok(vec![rights::refused(what, &error)]);
        }
    };
    let server = version["gitVersion"].as_str().unwrap_or("of an unknown version");
    let mut probes = vec![Probe {
        what: "reach the cluster".into(),
        allowed: true,
        detail: format!("Kubernetes {server}"),
    }];
    let reviews = rights::reviews(cluster, lends);
    let caller = &caller;
    let answers: Result<Vec<Value>, DeployError> = stream::iter(reviews)
        .map(|review| async move {
            let ask = Ask::create(REVIEWS, &review);
            caller.json(&ask, "can't check what the account may do").await
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await;
    match answers {
        Ok(answers) => probes.extend(answers.iter().map(|answer| rights::right(cluster, answer))),
        Err(error) => probes.push(rights::refused("check our own permissions", &error)),
    }
    Ok(probes)
}
