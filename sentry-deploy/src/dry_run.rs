//! A deployer that writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::deployer::{
    Checked, Cluster, DeployError, DeployErrorKind, Deployer, DeployerPorts, FollowQuery,
    KindTable, KindsQuery, ObjectDiff, Probe, Retire, RunChange,
};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Plan, PlannedObject};

/// A deployer that says of every object what would be done, without asking or writing to any cluster.
#[must_use]
pub fn dry_run() -> DeployerPorts {
    DeployerPorts { dry_run: true, ..DeployerPorts::new(Arc::new(DryRun)) }
}

#[derive(Debug)]
struct DryRun;

/// There is no cluster: nothing is known.
#[async_trait]
impl Cluster for DryRun {
    async fn kinds(
        &self,
        _: &ClusterRef,
        _: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError> {
        Ok(None)
    }

    async fn exist(
        &self,
        _: &ClusterRef,
        _: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        Ok(None)
    }

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        let text = format!("{} can't tell what would change", plan.cluster.deployer);
        Err(DeployError::new(DeployErrorKind::Local, text))
    }

    async fn probe(&self, _: &ClusterRef, _: bool) -> Result<Vec<Probe>, DeployError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Deployer for DryRun {
    async fn check(&self, _: &Plan) -> Result<Checked, DeployError> {
        Ok(Checked::default())
    }

    /// Every object counts as created, because no cluster is asked whether it is there already; the reason says that
    /// nothing was written.
    async fn apply(&self, plan: &Plan, _: &Checked) -> Result<ChangeSet, DeployError> {
        let outcome = |planned: &PlannedObject| ObjectOutcome {
            object: planned.object.clone(),
            run: planned.is_run(),
            action: Action::Created,
            reason: Some("dry run: nothing was written".into()),
        };
        Ok(ChangeSet { objects: plan.objects.iter().map(outcome).collect(), error: None })
    }

    fn follow(&self, _: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        None
    }

    /// It made none.
    async fn retire(&self, _: &Retire) -> Result<(), DeployError> {
        Ok(())
    }
}
