//! What runs refer to and B does not hold: the cluster must.

use std::collections::{BTreeMap, BTreeSet};

use crate::deployer::{Cluster, DeployError};
use crate::manifest::{ManifestSet, MissingRef};
use crate::names::ClusterRef;
use crate::watch::Watch;

/// Refuses the runs that refer to what the cluster does not have either. If that is unknown, they stay in: Tekton has
/// the last word, and the run says so.
///
/// # Errors
/// Those of [`Cluster::exist`].
pub(super) async fn refuse_missing(
    asked: &dyn Cluster,
    watch: &Watch,
    set: &mut ManifestSet,
) -> Result<(), DeployError> {
    let mut wanted: BTreeMap<String, BTreeSet<(String, String, String)>> = BTreeMap::new();
    for MissingRef { kind, namespace, name, .. } in &set.missing {
        let object = (version_of(kind).to_owned(), kind.clone(), name.clone());
        wanted.entry(namespace.clone()).or_default().insert(object);
    }
    let mut absent = BTreeSet::new();
    for (namespace, objects) in wanted {
        let own = namespace.parse().unwrap_or_else(|_| watch.cluster.namespace.clone());
        let cluster = ClusterRef { namespace: own, ..watch.cluster.clone() };
        let objects: Vec<_> = objects.into_iter().collect();
        let Some(there) = asked.exist(&cluster, &objects).await? else { continue };
        for (_, kind, name) in objects {
            if !there.contains(&(kind.clone(), name.clone())) {
                absent.insert((namespace.clone(), kind, name));
            }
        }
    }
    set.refuse_missing(|missing| {
        let MissingRef { kind, namespace, name, .. } = missing;
        !absent.contains(&(namespace.clone(), kind.clone(), name.clone()))
    });
    Ok(())
}

/// The version that Tekton serves the kind in.
fn version_of(kind: &str) -> &'static str {
    if kind == "StepAction" { "tekton.dev/v1beta1" } else { "tekton.dev/v1" }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::deployer::{KindTable, KindsQuery, ObjectDiff, Probe};
    use crate::manifest::{Decision, DocumentDecision};
    use crate::plan::Plan;
    use crate::watch::sample::watch;

    /// A namespace, and the objects that it was asked for.
    type Asked = (String, Vec<(String, String, String)>);

    /// A cluster that holds the task `there` in the namespace `two` alone, and notes what it was asked.
    #[derive(Debug, Default)]
    struct Holds(Mutex<Vec<Asked>>);

    #[async_trait]
    impl Cluster for Holds {
        async fn kinds(
            &self,
            _: &ClusterRef,
            _: &KindsQuery,
        ) -> Result<Option<Arc<KindTable>>, DeployError> {
            unreachable!("only what exists is asked")
        }

        async fn diff(&self, _: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
            unreachable!("only what exists is asked")
        }

        async fn probe(&self, _: &ClusterRef, _: bool) -> Result<Vec<Probe>, DeployError> {
            unreachable!("only what exists is asked")
        }

        async fn exist(
            &self,
            cluster: &ClusterRef,
            objects: &[(String, String, String)],
        ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
            self.0.lock().unwrap().push((cluster.namespace.to_string(), objects.to_vec()));
            let there = cluster.namespace.as_str() == "two";
            Ok(Some(there.then(|| ("Task".to_owned(), "there".to_owned())).into_iter().collect()))
        }
    }

    #[tokio::test]
    async fn each_namespace_is_asked_once_for_what_its_own_runs_refer_to() {
        let missing = |namespace: &str, kind: &str, name: &str| MissingRef {
            path: "run.yaml".to_owned(),
            document: 1,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            hint: None,
        };
        let refused = async |missing: Vec<MissingRef>| {
            let run = DocumentDecision {
                path: "run.yaml".to_owned(),
                document: 1,
                line: 1,
                column: None,
                kind: Some("PipelineRun".to_owned()),
                run: true,
                name: Some("ci".to_owned()),
                decision: Decision::Run,
                reason: String::new(),
                of_cluster: false,
            };
            let cluster = Holds::default();
            let mut set = ManifestSet { missing, decisions: vec![run], ..ManifestSet::default() };
            refuse_missing(&cluster, &watch("qa", &["main"]), &mut set).await.unwrap();
            let DocumentDecision { decision, reason, .. } = set.decisions.remove(0);
            (decision == Decision::Refuse, reason, cluster.0.into_inner().unwrap())
        };
        let task = |name: &str| ("tekton.dev/v1".to_owned(), "Task".to_owned(), name.to_owned());
        let step = ("tekton.dev/v1beta1".to_owned(), "StepAction".to_owned(), "s".to_owned());

        let (is_refused, _, asked) = refused(vec![missing("two", "Task", "there")]).await;
        assert!(!is_refused);
        assert_eq!(asked, [("two".to_owned(), vec![task("there")])]);
        let (is_refused, reason, asked) = refused(vec![
            missing("two", "Task", "there"),
            missing("one", "Task", "there"),
            missing("one", "StepAction", "s"),
            missing("one", "Task", "there"),
        ])
        .await;
        assert!(is_refused && reason.contains("in the namespace one"), "{reason}");
        let of_one = vec![task("there"), step];
        assert_eq!(asked, [("one".to_owned(), of_one), ("two".to_owned(), vec![task("there")])]);
    }
}
