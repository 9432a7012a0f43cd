//! The contract of the ports of a state, clause by clause: whoever writes a store of their own runs it against that.
//!
//! Each clause is a function that takes an empty store and panics, as a test does, where the store breaks it.
//! [`journal_contract_tests!`](crate::journal_contract_tests), [`inbox_contract_tests!`](crate::inbox_contract_tests),
//! [`archive_contract_tests!`](crate::archive_contract_tests) and
//! [`blobs_contract_tests!`](crate::blobs_contract_tests) make one test of each, so that the name of the
//! failing test says what is broken:
//!
//! ```
//! use std::sync::Arc;
//! use sentry_core::testing::store_contract::Handles;
//!
//! # use sentry_store::MemoryStore as MyStore;
//! async fn empty() -> Handles {
//!     let store = Arc::new(MyStore::new());
//!     Handles::new(store.clone(), store.clone(), move || store.give_up())
//! }
//!
//! # #[cfg(any())]
//! sentry_core::journal_contract_tests!(empty);
//! # fn main() {}
//! ```
//!
//! The crate that uses the macros needs `tokio` with the features `macros` and `rt`.
//! What no clause can ask of every store, that a commit survives a kill, is for the store's own tests.

pub mod archive;
pub mod blobs;
pub mod inbox;
pub mod journal;
pub mod overview;
mod search;

use std::any::Any;
use std::fmt::{self, Debug};

use tokio::sync::OnceCell;

use crate::delivery::{Delivery, HeadRecord, Trigger};
use crate::ids::DeliveryId;
use crate::store::{
    AuditEntry, AuditQuery, Claim, DeliveryQuery, Hold, InventoryItem, Overview, OverviewQuery,
    Requests, Snapshot, State, Write,
};
use crate::testing::sample;

/// An empty store, opened twice, as two programs would.
pub struct Handles {
    /// The store.
    pub store: State,
    /// The same store through another handle; may be the same one where a store has but one.
    pub other: State,
    /// Lets the next claim in although one stands.
    lose: Box<dyn Fn() + Send + Sync>,
    /// The claim of what commits.
    claim: OnceCell<Box<dyn Claim>>,
    place: Option<Box<dyn Any + Send + Sync>>,
}

impl Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handles").field(&self.store).finish()
    }
}

impl Handles {
    /// Two handles on one empty store; and what makes a claim on it be lost, so that another one can be had while it
    /// stands: it ends a lease, or removes what is locked.
    #[must_use]
    pub fn new(
        store: impl Into<State>,
        other: impl Into<State>,
        lose: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let (store, other, lose) = (store.into(), other.into(), Box::new(lose));
        Self { store, other, lose, claim: OnceCell::new(), place: None }
    }

    /// With what must live as long as the store, such as its temporary directory.
    #[must_use]
    pub fn living_in(mut self, place: impl Any + Send + Sync) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    async fn claim(&self) -> &dyn Claim {
        let claim = self.claim.get_or_try_init(|| self.store.journal.claim("the contract"));
        claim.await.expect("the claim").as_ref()
    }

    async fn commit(&self, writes: &[Write]) {
        self.claim().await.commit(writes).await.expect("the commit");
    }

    async fn snapshot(&self) -> Snapshot {
        self.claim().await.load().await.expect("the state")
    }

    /// Who works for which part of the state is of another contract.
    async fn overview(&self, query: &OverviewQuery) -> Overview {
        let overview = self.other.archive.overview(query).await.expect("the overview");
        Overview { fleet: None, ..overview }
    }

    async fn requests(&self) -> Requests {
        self.store.inbox.requests().await.expect("the requests")
    }

    async fn request(&self, trigger: &Trigger) -> Trigger {
        self.store.inbox.request(trigger).await.expect("the request")
    }

    /// By another program than the agent.
    async fn hold(&self, hold: &Hold) {
        self.other.inbox.hold(hold).await.expect("the suspension, or its end");
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Vec<Delivery> {
        self.store.archive.deliveries(query).await.expect("the deliveries")
    }

    async fn all_ids(&self) -> Vec<DeliveryId> {
        self.deliveries(&DeliveryQuery::default()).await.into_iter().map(|d| d.id).collect()
    }

    async fn inventory(&self, watch: &str) -> Vec<InventoryItem> {
        self.store.archive.inventory(&sample::watch(watch)).await.expect("the inventory")
    }

    async fn acts(&self, query: &AuditQuery) -> Vec<AuditEntry> {
        self.store.archive.acts(query).await.expect("the audit log")
    }

    async fn heads(&self, prefix: &str) -> Vec<HeadRecord> {
        self.store.archive.heads(prefix).await.expect("the heads")
    }
}

/// One `#[tokio::test]` per clause of a port: what the macros of the ports are made of.
#[doc(hidden)]
#[macro_export]
macro_rules! store_contract_tests {
    ($port:ident $make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::store_contract::$port::$clause($make().await).await;
            }
        )*
    };
}
