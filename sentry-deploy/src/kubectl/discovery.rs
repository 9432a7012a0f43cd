//! Which kinds a cluster serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sentry_core::deployer::{DeployError, Fields, KindTable, KindsQuery, Served};
use sentry_core::names::ClusterRef;
use serde_json::Value;
use tokio::time::Instant;

use super::call::Caller;
use super::{ASK_TIMEOUT, KINDS_AGE, Kubectl, lock, output};
use crate::api::{documents, object, paths};

/// More versions than any group has.
const VERSIONS: usize = 16;

/// The table of a cluster's kinds, which says for each wanted `apiVersion` and `kind` whether it is served.
pub(super) async fn kinds(
    kubectl: &Kubectl,
    cluster: &ClusterRef,
    wanted: &KindsQuery,
) -> Result<Arc<KindTable>, DeployError> {
    let caller = kubectl.caller(cluster, ASK_TIMEOUT);
    let known =
        lock(&kubectl.kinds).get(cluster).filter(|(at, _)| at.elapsed() < KINDS_AGE).cloned();
    let (at, mut table, keeps) = match known {
        Some((at, table)) => (at, table, true),
        None => {
            let (table, whole) = preferred(&caller, cluster).await?;
            (Instant::now(), Arc::new(table), whole)
        }
    };
    let unknown = |(version, kind): &&(String, String)| {
        matches!(table.served(version, kind), Served::Unknown { .. })
    };
    let groups: BTreeSet<String> = wanted
        .kinds
        .iter()
        .filter(unknown)
        .map(|(version, _)| object::group(version).to_owned())
        .collect();
    for group in groups {
        read(&caller, Arc::make_mut(&mut table), &group).await;
    }
    for version in &wanted.fields {
        if !table.is_described(version) && documents::serves_any(&table, version, wanted) {
            let fields = describe(&caller, version).await?;
            Arc::make_mut(&mut table).describe(version, fields);
        }
    }
    if keeps {
        lock(&kubectl.kinds).insert(cluster.clone(), (at, Arc::clone(&table)));
    }
    Ok(table)
}

/// The fields of a version's kinds; none where the server does not describe it (before Kubernetes 1.24).
async fn describe(
    caller: &Caller<'_>,
    version: &str,
) -> Result<BTreeMap<String, Fields>, DeployError> {
    match caller.get(&paths::openapi(version)).await {
        Ok(text) => Ok(documents::fields(&json(&text))),
        Err(error) if output::is_absent(&error.to_string()) => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Each kind in its preferred version, and whether that is all. With one broken aggregated API kubectl fails and still
/// prints the rest: enough to continue with, not to cache.
async fn preferred(
    caller: &Caller<'_>,
    cluster: &ClusterRef,
) -> Result<(KindTable, bool), DeployError> {
    let reply = caller.run(&["api-resources", "--no-headers"], Vec::new()).await?;
    let mut table = output::kinds(&reply.stdout);
    let broken = output::unread_groups(&reply.errors);
    // Where it does not say what it lacks, anything may be lacking.
    if table.is_empty() || (!reply.success && broken.is_empty()) {
        return Err(reply.error(&format!("can't read the kinds of {cluster}")));
    }
    broken.iter().for_each(|group| table.leave_open(group));
    Ok((table, reply.success))
}

/// Reads a group in all its versions; what can't be read of it stays open.
async fn read(caller: &Caller<'_>, table: &mut KindTable, group: &str) {
    let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    let versions = match caller.get(&root).await {
        Ok(text) => documents::versions(&json(&text)),
        Err(_) => Vec::new(),
    };
    let mut whole = !versions.is_empty() && versions.len() <= VERSIONS;
    for version in versions.iter().take(VERSIONS) {
        let dot = if group.is_empty() { "" } else { "/" };
        let listed = caller.get(&format!("{root}/{version}")).await.ok();
        let listed = listed.map(|text| json(&text));
        let Some(listed) = listed.as_ref().and_then(documents::resources) else {
            whole = false;
            continue;
        };
        for (kind, _, namespaced) in listed {
            table.insert(&format!("{group}{dot}{version}"), &kind, namespaced);
        }
    }
    if whole { table.close(group) } else { table.leave_open(group) }
}

/// A document, or nothing.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
