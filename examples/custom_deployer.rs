//! A deployer of one's own: it keeps the contract (a repeated plan makes nothing twice) and prints what it takes.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sentry_core::deployer::{DeployError, Deployer, ObjectErrors};
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::Forge;
use sentry_core::plan::{Action, ChangeSet, ObjectOutcome, Operation, Plan};
use sentry_core::testing::fakes::FakeForge;
use sentry_core::watch::{OnFirstSight, sample};
use sentry_store::MemoryStore;

/// Remembers the name of everything it ever took.
#[derive(Debug, Default)]
struct Journal {
    taken: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Deployer for Journal {
    fn name(&self) -> &'static str {
        "deployer"
    }

    async fn check(&self, _: &Plan) -> Result<ObjectErrors, DeployError> {
        Ok(Vec::new())
    }

    async fn apply(&self, plan: &Plan) -> Result<ChangeSet, DeployError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = plan.objects.iter().map(|planned| {
            let new = taken.insert(planned.object.name.clone());
            let action = if new { Action::Created } else { Action::Exists };
            let run = matches!(planned.operation, Operation::Create { .. });
            ObjectOutcome { object: planned.object.clone(), run, action, reason: None }
        });
        Ok(ChangeSet { objects: objects.collect(), error: None })
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut watch = sample::watch("qa", &["main"]);
    watch.on_first_sight = OnFirstSight::Deliver;
    let forge = FakeForge::new();
    forge.commit(watch.source.repo.as_str(), "main", "first", &[]);
    forge.commit(
        watch.manifests.repo.as_str(),
        "main",
        "tests",
        &[("run.yaml", sentry_examples::RUN)],
    );
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .watch(watch)
        .forge("forge", Forge::with_statuses(Arc::new(forge)))
        .deployer(Arc::new(Journal::default()))
        .build()?;
    for line in sentry_examples::lines(&engine.once(&Stop::new()).await?) {
        println!("{line}");
    }
    Ok(())
}
