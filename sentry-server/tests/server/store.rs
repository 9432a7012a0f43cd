//! A store that can be told to refuse writes, or never to end one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sentry_core::delivery::Delivery;
use sentry_core::store::{
    Archive as _, Claim, DeliveryQuery, Journal, Snapshot, State, StoreError, StoreErrorKind, Write,
};
use sentry_store::MemoryStore;

#[derive(Debug, Clone, Default)]
pub(crate) struct Moody {
    inner: MemoryStore,
    mood: Arc<Mood>,
}

#[derive(Debug, Default)]
struct Mood {
    read_only: AtomicBool,
    hangs: AtomicBool,
}

impl Moody {
    pub(crate) fn state(&self) -> State {
        State { journal: Arc::new(self.clone()), ..Arc::new(self.inner.clone()).into() }
    }

    pub(crate) fn read_only(&self, on: bool) {
        self.mood.read_only.store(on, Ordering::Relaxed);
    }

    pub(crate) async fn newest(&self) -> Delivery {
        let all = self.inner.deliveries(&DeliveryQuery::default()).await;
        all.unwrap().remove(0)
    }

    /// Another agent takes the state, and writes.
    pub(crate) async fn answered(&self, writes: &[Write]) {
        self.inner.give_up();
        sentry_core::testing::commit(&self.inner, writes).await.unwrap();
    }

    pub(crate) fn hang(&self) {
        self.mood.hangs.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Journal for Moody {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        Ok(Box::new(Claimed(self.inner.claim(holder).await?, Arc::clone(&self.mood))))
    }
}

#[derive(Debug)]
struct Claimed(Box<dyn Claim>, Arc<Mood>);

#[async_trait]
impl Claim for Claimed {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.0.load().await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if self.1.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.1.read_only.load(Ordering::Relaxed) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "read-only file system"));
        }
        self.0.commit(writes).await
    }
}
