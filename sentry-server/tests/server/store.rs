//! A store that can be told to refuse writes, or never to end one.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sentry_core::delivery::{Delivery, HeadRecord, Trigger};
use sentry_core::ids::TriggerId;
use sentry_core::names::WatchName;
use sentry_core::store::{
    AgentLock, DeliveryQuery, Inbox, InventoryItem, Snapshot, StateStore, StoreError,
    StoreErrorKind, Write,
};
use sentry_store::MemoryStore;

#[derive(Debug, Default)]
pub(crate) struct Moody {
    inner: MemoryStore,
    read_only: AtomicBool,
    hangs: AtomicBool,
}

impl Moody {
    pub(crate) fn read_only(&self, on: bool) {
        self.read_only.store(on, Ordering::Relaxed);
    }

    pub(crate) fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl StateStore for Moody {
    async fn lock(&self, holder: &str) -> Result<AgentLock, StoreError> {
        self.inner.lock(holder).await
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.inner.snapshot().await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.read_only.load(Ordering::Relaxed) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "read-only file system"));
        }
        self.inner.commit(writes).await
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
