//! A store of one's own: here one that keeps an audit trail beside another store. One written from scratch proves
//! itself with `sentry_core::testing::store_contract`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use sentry_core::delivery::{Delivery, HeadRecord, Trigger};
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, Stop};
use sentry_core::ids::TriggerId;
use sentry_core::names::WatchName;
use sentry_core::store::{
    AgentLock, DeliveryQuery, Inbox, InventoryItem, Snapshot, StateStore, StoreError, Write,
};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_core::watch::{OnFirstSight, sample};
use sentry_store::MemoryStore;

/// Counts what is decided about heads.
#[derive(Debug, Default)]
struct Audited {
    inner: MemoryStore,
    decisions: AtomicUsize,
}

#[async_trait]
impl StateStore for Audited {
    async fn lock(&self, holder: &str) -> Result<AgentLock, StoreError> {
        self.inner.lock(holder).await
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.inner.snapshot().await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.inner.commit(writes).await?;
        let decisions = writes.iter().filter(|w| matches!(w, Write::Head(_))).count();
        self.decisions.fetch_add(decisions, Ordering::Relaxed);
        Ok(())
    }

    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError> {
        self.inner.request(trigger).await
    }

    async fn inbox(&self) -> Result<Inbox, StoreError> {
        self.inner.inbox().await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        self.inner.deliveries(query).await
    }

    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        self.inner.trigger(id).await
    }

    async fn inventory(&self, watch: &WatchName) -> Result<Vec<InventoryItem>, StoreError> {
        self.inner.inventory(watch).await
    }

    async fn heads(&self, sha: &str) -> Result<Vec<HeadRecord>, StoreError> {
        self.inner.heads(sha).await
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
    let store = Arc::new(Audited::default());
    let engine = Engine::builder(Arc::clone(&store) as Arc<dyn StateStore>)
        .watch(watch)
        .forge(Arc::new(forge))
        .deployer(DeployerPorts::new("deployer", Arc::new(FakeDeployer::new())))
        .build()?;
    for line in sentry_examples::lines(&engine.once(&Stop::new()).await?) {
        println!("{line}");
    }
    println!("{} decisions were kept", store.decisions.load(Ordering::Relaxed));
    Ok(())
}
