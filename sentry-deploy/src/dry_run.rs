//! A deployer that writes nothing.

use async_trait::async_trait;
use sentry_core::deployer::{DeployError, Deployer, ObjectErrors};
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Operation, Plan};

/// Says of every object what would be done, without asking or writing to any cluster.
#[derive(Debug, Clone)]
pub struct DryRun {
    name: String,
}

impl DryRun {
    /// A dry run under the name that watches refer to it by.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

#[async_trait]
impl Deployer for DryRun {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_dry_run(&self) -> bool {
        true
    }

    async fn check(&self, _plan: &Plan) -> Result<ObjectErrors, DeployError> {
        Ok(Vec::new())
    }

    /// Every object counts as created, because no cluster is asked whether it is there already; the reason says that
    /// nothing was written.
    async fn apply(&self, plan: &Plan) -> Result<ChangeSet, DeployError> {
        let outcome = |planned: &sentry_core::plan::PlannedObject| ObjectOutcome {
            object: planned.object.clone(),
            run: matches!(planned.operation, Operation::Create { .. }),
            action: Action::Created,
            reason: Some("dry run: nothing was written".into()),
        };
        Ok(ChangeSet { objects: plan.objects.iter().map(outcome).collect(), error: None })
    }
}
