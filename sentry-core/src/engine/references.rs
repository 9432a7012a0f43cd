//! What runs refer to and B does not hold: the cluster must.

use std::collections::{BTreeMap, BTreeSet};

use crate::deployer::{DeployError, Deployer};
use crate::manifest::{ManifestSet, MissingRef};
use crate::watch::{ClusterRef, Watch};

/// Refuses the runs that refer to what the cluster does not hold either. Where it can't tell, they stay in: Tekton has
/// the last word, and the run says so.
///
/// # Errors
/// Those of [`Deployer::exist`].
pub(super) async fn refuse_missing(
    deployer: &dyn Deployer,
    watch: &Watch,
    set: &mut ManifestSet,
) -> Result<(), DeployError> {
    let mut asked: BTreeMap<String, BTreeSet<(String, String, String)>> = BTreeMap::new();
    for MissingRef { kind, namespace, name, .. } in &set.missing {
        let wanted = (version_of(kind).to_owned(), kind.clone(), name.clone());
        asked.entry(namespace.clone()).or_default().insert(wanted);
    }
    let mut absent = BTreeSet::new();
    for (namespace, wanted) in asked {
        let own = namespace.parse().unwrap_or_else(|_| watch.cluster.namespace.clone());
        let cluster = ClusterRef { namespace: own, ..watch.cluster.clone() };
        let wanted: Vec<_> = wanted.into_iter().collect();
        let Some(there) = deployer.exist(&cluster, &wanted).await? else { continue };
        for (_, kind, name) in wanted {
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
