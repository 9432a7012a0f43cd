//! Which kinds a cluster serves, and under which paths their objects are.
//!
//! Since Kubernetes 1.26 two requests tell all of it (aggregated discovery). An older server is asked group by group, for
//! those that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sentry_core::deployer::{DeployError, DeployErrorKind, Fields, KindTable, KindsQuery, Served};
use sentry_core::names::ClusterRef;
use sentry_core::plan::ObjectRef;
use serde_json::Value;
use tokio::time::Instant;

use super::call::{Ask, Caller};
use super::{Native, lock};
use crate::api::answer::NO_KIND;
use crate::api::{documents, object, paths};

/// How long a table is used before it is asked for again: no longer than it takes until a head that was given up is looked
/// at again, for a kind that it lacked may have been installed.
const AGE: Duration = Duration::from_secs(60);
/// The forms of discovery, the best first. What knows only the last answers so.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// More versions than any group has.
const VERSIONS: usize = 16;

/// What is known of a cluster's kinds.
#[derive(Debug, Clone)]
pub(super) struct Known {
    at: Instant,
    table: Arc<KindTable>,
    /// The resource of each `apiVersion` and kind, and whether it lives in a namespace.
    plurals: Arc<BTreeMap<(String, String), (String, bool)>>,
    /// True if something of it could not be read: enough to continue with, not to keep.
    is_broken: bool,
}

impl Known {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            table: Arc::default(),
            plurals: Arc::default(),
            is_broken: false,
        }
    }

    fn insert(&mut self, api_version: &str, kind: &str, plural: &str, namespaced: bool) {
        Arc::make_mut(&mut self.table).insert(api_version, kind, namespaced);
        let plurals = Arc::make_mut(&mut self.plurals);
        let entry = plurals.entry((api_version.to_owned(), kind.to_owned()));
        entry.or_insert_with(|| (plural.to_owned(), namespaced));
    }

    /// Says whether every kind of a group is in the table.
    fn settle(&mut self, group: &str, whole: bool) {
        let table = Arc::make_mut(&mut self.table);
        if whole { table.close(group) } else { table.leave_open(group) }
    }

    /// The path of an object, or of its collection without a name.
    pub(super) fn path(
        &self,
        (api_version, kind): (&str, &str),
        namespace: &str,
        name: Option<&str>,
    ) -> Option<String> {
        let (plural, namespaced) = self.plurals.get(&(api_version.to_owned(), kind.to_owned()))?;
        Some(paths::object(api_version, namespaced.then_some(namespace), plural, name))
    }

    /// The path of a planned object, or of its collection.
    ///
    /// # Errors
    /// [`DeployErrorKind::Missing`] for a kind that the cluster does not serve in this version.
    pub(super) fn place(
        &self,
        cluster: &ClusterRef,
        planned: &ObjectRef,
        name: Option<&str>,
    ) -> Result<String, DeployError> {
        let kind = (planned.api_version.as_str(), planned.kind.as_str());
        let namespace = planned.namespace.as_deref().unwrap_or(cluster.namespace.as_str());
        self.path(kind, namespace, name).ok_or_else(|| {
            let place = object::place(planned);
            if matches!(self.table.served(kind.0, kind.1), Served::Unknown { .. }) {
                let text = format!("{place}: {cluster} can't say whether it serves {} now", kind.0);
                return DeployError::new(DeployErrorKind::Unavailable, text);
            }
            let text = format!("{place}: {cluster} serves no kind {} in {}", kind.1, kind.0);
            DeployError::new(DeployErrorKind::Missing, text).with_hint(NO_KIND)
        })
    }
}

/// The table of a cluster's kinds, which says for each wanted `apiVersion` and `kind` whether it is served.
pub(super) async fn kinds(
    native: &Native,
    caller: &Caller<'_>,
    wanted: &KindsQuery,
) -> Result<Arc<KindTable>, DeployError> {
    let mut known = known(native, caller, &wanted.kinds).await?;
    for version in &wanted.fields {
        if !known.table.is_described(version)
            && documents::serves_any(&known.table, version, wanted)
        {
            let fields = describe(caller, version).await?;
            Arc::make_mut(&mut known.table).describe(version, fields);
        }
    }
    keep(native, caller, &known);
    Ok(known.table)
}

fn keep(native: &Native, caller: &Caller<'_>, known: &Known) {
    if !known.is_broken {
        lock(&native.known).insert(caller.cluster.context.clone(), known.clone());
    }
}

/// What is known of a cluster, with each of these kinds looked for.
pub(super) async fn known(
    native: &Native,
    caller: &Caller<'_>,
    wanted: &BTreeSet<(String, String)>,
) -> Result<Known, DeployError> {
    let context = &caller.cluster.context;
    let kept = lock(&native.known).get(context).filter(|known| known.at.elapsed() < AGE).cloned();
    let mut known = match kept {
        Some(known) => known,
        None => discover(caller).await?,
    };
    let unknown = |(version, kind): &&(String, String)| {
        matches!(known.table.served(version, kind), Served::Unknown { .. })
    };
    let groups: BTreeSet<String> = wanted
        .iter()
        .filter(unknown)
        .map(|(version, _)| object::group(version).to_owned())
        .collect();
    for group in groups {
        read(caller, &mut known, &group).await;
    }
    keep(native, caller, &known);
    Ok(known)
}

async fn discover(caller: &Caller<'_>) -> Result<Known, DeployError> {
    let mut known = Known::new();
    let doing = format!("can't read the kinds of {}", caller.cluster);
    let ask = ["/api", "/apis"].map(|root| Ask::get(root).accepting(DISCOVERY));
    let answers = tokio::try_join!(caller.json(&ask[0], &doing), caller.json(&ask[1], &doing))?;
    for answer in [answers.0, answers.1] {
        if answer["kind"] == "APIGroupDiscoveryList" {
            answer["items"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|group| take(&mut known, group));
        } else {
            documents::groups(&answer).iter().for_each(|group| known.settle(group, false));
        }
    }
    Ok(known)
}

/// Takes in a group of aggregated discovery. A version whose own server is away is marked stale.
fn take(known: &mut Known, group: &Value) {
    let name = group["metadata"]["name"].as_str().unwrap_or_default();
    let mut whole = true;
    for version in group["versions"].as_array().into_iter().flatten() {
        whole &= version["freshness"] != "Stale";
        let api_version = match (name, version["version"].as_str().unwrap_or_default()) {
            ("", version) => version.to_owned(),
            (group, version) => format!("{group}/{version}"),
        };
        for resource in version["resources"].as_array().into_iter().flatten() {
            let word = |value: &Value| value.as_str().map(str::to_owned);
            let (kind, plural) =
                (word(&resource["responseKind"]["kind"]), word(&resource["resource"]));
            if let (Some(kind), Some(plural)) = (kind, plural) {
                known.insert(&api_version, &kind, &plural, resource["scope"] == "Namespaced");
            }
        }
    }
    known.is_broken |= !whole;
    known.settle(name, whole);
}

/// Reads a group in all its versions; what can't be read of it stays open.
async fn read(caller: &Caller<'_>, known: &mut Known, group: &str) {
    let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    let listed = |path: String| async move { caller.json(&Ask::get(path), "").await.ok() };
    let versions = listed(root.clone()).await.map(|answer| documents::versions(&answer));
    let versions = versions.unwrap_or_default();
    let mut whole = !versions.is_empty() && versions.len() <= VERSIONS;
    for version in versions.iter().take(VERSIONS) {
        let dot = if group.is_empty() { "" } else { "/" };
        let found = listed(format!("{root}/{version}")).await;
        let Some(found) = found.as_ref().and_then(documents::resources) else {
            whole = false;
            continue;
        };
        for (kind, plural, namespaced) in found {
            known.insert(&format!("{group}{dot}{version}"), &kind, &plural, namespaced);
        }
    }
    known.is_broken |= !whole;
    known.settle(group, whole);
}

/// The fields of a version's kinds; none where the server does not describe it (before Kubernetes 1.24).
async fn describe(
    caller: &Caller<'_>,
    version: &str,
) -> Result<BTreeMap<String, Fields>, DeployError> {
    let reply = caller.send(&Ask::get(paths::openapi(version))).await?;
    match reply.json() {
        Ok(document) => Ok(documents::fields(&document)),
        Err(refusal) if refusal.is_absent() => Ok(BTreeMap::new()),
        Err(refusal) => {
            let doing = format!("can't read the fields of {version} of {}", caller.cluster);
            Err(caller.error(&doing, &refusal))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_of_aggregated_discovery_is_whole_unless_a_version_of_it_is_stale() {
        let resource = json!({"resource": "tasks", "responseKind": {"kind": "Task"},
            "scope": "Namespaced", "subresources": [{"subresource": "status"}]});
        for (freshness, whole) in [("Current", true), ("Stale", false)] {
            let mut known = Known::new();
            take(
                &mut known,
                &json!({"metadata": {"name": "tekton.dev"}, "versions": [
                    {"version": "v1", "resources": [resource], "freshness": "Current"},
                    {"version": "v1beta1", "freshness": freshness},
                ]}),
            );
            let served = known.table.served("tekton.dev/v1", "Task");
            assert_eq!(served, Served::Yes { namespaced: true });
            let never = known.table.served("tekton.dev/v1", "Nonsense") == Served::Never;
            assert_eq!(never, whole, "{freshness}");
            let path = known.path(("tekton.dev/v1", "Task"), "qa", Some("unit"));
            assert_eq!(path.as_deref(), Some("/apis/tekton.dev/v1/namespaces/qa/tasks/unit"));
        }
        let mut core = Known::new();
        let node =
            json!({"resource": "nodes", "responseKind": {"kind": "Node"}, "scope": "Cluster"});
        take(
            &mut core,
            &json!({"metadata": {}, "versions": [{"version": "v1", "resources": [node]}]}),
        );
        let path = core.path(("v1", "Node"), "qa", None);
        assert_eq!(path.as_deref(), Some("/api/v1/nodes"));
    }
}
