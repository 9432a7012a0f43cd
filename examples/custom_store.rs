//! A port of one's own: here a journal that keeps an audit trail beside another one. A state written from scratch proves
//! itself with `sentry_core::testing::store_contract`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use sentry_core::engine::{Engine, Stop};
use sentry_core::store::{Claim, Journal, Snapshot, State, StoreError, Write};
use sentry_deploy::dry_run;
use sentry_store::MemoryStore;

/// Counts what is decided about heads.
#[derive(Debug)]
struct Audited<T> {
    inner: T,
    decisions: Arc<AtomicUsize>,
}

#[async_trait]
impl Journal for Audited<Arc<MemoryStore>> {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = self.inner.claim(holder).await?;
        Ok(Box::new(Audited { inner, decisions: Arc::clone(&self.decisions) }))
    }
}

#[async_trait]
impl Claim for Audited<Box<dyn Claim>> {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.inner.load().await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.inner.commit(writes).await?;
        let decisions = writes.iter().filter(|w| matches!(w, Write::Head(_))).count();
        self.decisions.fetch_add(decisions, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    sentry_examples::repositories(dir.path());
    let (store, decisions) = (Arc::new(MemoryStore::new()), Arc::new(AtomicUsize::new(0)));
    let journal = Audited { inner: Arc::clone(&store), decisions: Arc::clone(&decisions) };
    let engine = Engine::builder(State { journal: Arc::new(journal), ..store.into() })
        .watch(sentry_examples::watch(dir.path())?)
        .forge("forge", sentry_examples::git()?)
        .deployer("deployer", dry_run())
        .build()?;
    for line in sentry_examples::lines(&engine.once(&Stop::new()).await?) {
        println!("{line}");
    }
    println!("{} decisions were kept", decisions.load(Ordering::Relaxed));
    Ok(())
}
