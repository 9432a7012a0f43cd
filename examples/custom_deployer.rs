//! A deployer of one's own: it keeps the contract (a repeated plan makes nothing twice) and prints what it takes.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::deployer::{
    Checked, Cluster, DeployError, Deployer, DeployerPorts, FollowQuery, KindTable, KindsQuery,
    ObjectDiff, Probe, Retire, RunChange,
};
use sentry_core::engine::{Engine, Stop};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Plan, PlannedObject};
use sentry_store::MemoryStore;

/// Remembers the name of everything it ever took.
#[derive(Debug, Default)]
struct Journal {
    taken: Mutex<BTreeSet<String>>,
}

impl Journal {
    fn taken(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cluster for Journal {
    /// The table that is built in will do.
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
        objects: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        let taken = self.taken();
        let there = objects.iter().filter(|(_, _, name)| taken.contains(name));
        Ok(Some(there.map(|(_, kind, name)| (kind.clone(), name.clone())).collect()))
    }

    async fn diff(&self, plan: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        let taken = self.taken();
        let diff = |planned: &PlannedObject| {
            let (object, after) = (planned.object.clone(), format!("{:#}\n", planned.json));
            let there = taken.contains(&object.name);
            let action = if there { Action::Exists } else { Action::Created };
            ObjectDiff { object, action, before: there.then(|| after.clone()), after }
        };
        Ok(plan.objects.iter().map(diff).collect())
    }

    async fn probe(&self, _: &ClusterRef, _: bool) -> Result<Vec<Probe>, DeployError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Deployer for Journal {
    async fn check(&self, _: &Plan) -> Result<Checked, DeployError> {
        Ok(Checked::default())
    }

    async fn apply(&self, plan: &Plan, _: &Checked) -> Result<ChangeSet, DeployError> {
        let mut taken = self.taken();
        let objects = plan.objects.iter().map(|planned| {
            let new = taken.insert(planned.object.name.clone());
            let action = if new { Action::Created } else { Action::Exists };
            let (object, run) = (planned.object.clone(), planned.is_run());
            ObjectOutcome { object, run, action, reason: None }
        });
        Ok(ChangeSet { objects: objects.collect(), error: None })
    }

    /// Its runs have no end: a delivery ends when they are taken.
    fn follow(&self, _: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        None
    }

    async fn retire(&self, _: &Retire) -> Result<(), DeployError> {
        Ok(())
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    sentry_examples::repositories(dir.path());
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .watch(sentry_examples::watch(dir.path())?)
        .forge("forge", sentry_examples::git()?)
        .deployer("deployer", DeployerPorts::new(Arc::new(Journal::default())))
        .build()?;
    for line in sentry_examples::lines(&engine.once(&Stop::new()).await?) {
        println!("{line}");
    }
    Ok(())
}
