//! State in a PostgreSQL database that any number of processes share.
//!
//! | module | what it holds |
//! |---|---|
//! | `config`, `session` | where the database is; connections, and calls on them |
//! | `schema`, and the SQL beside it | tables, and the functions that write |
//! | `slots` | who has which slot |
//! | `part`, `writes`, `snapshot` | one slot's state: its claim, its commits, what it loads |
//! | `inbox` | what is left for the agents |
//! | `wire` | what agents tell each other |
//! | `sessions` | what the page's sessions need |
//! | `blobs` | what open deliveries got from elsewhere |
//! | `side` | all of it, for a copy |
//! | `views`, `overview` | what is shown, by index |

mod blobs;
mod config;
mod failure;
mod inbox;
mod overview;
mod part;
mod rows;
mod schema;
mod session;
mod sessions;
mod side;
mod slots;
mod snapshot;
mod views;
mod wire;
mod writes;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sentry_core::delivery::{Delivery, HeadRecord};
use sentry_core::names::WatchName;
use sentry_core::store::{
    Archive, AuditEntry, AuditQuery, Claim, DeliveryQuery, InventoryItem, Journal, Overview,
    OverviewQuery, StoreError,
};
use tokio::sync::OnceCell;

use self::failure::Failure;
use self::inbox::Seen;
use self::session::{CALL, Pool};
use self::wire::Outgoing;

pub use self::config::{PostgresConfig, PostgresUrlError};
pub(crate) use self::writes::without_nul;

/// Keeps state in PostgreSQL, version 14 or newer. A clone is another handle on the same connections.
///
/// What agents write belongs to slots, and each has a [`Journal`] ([`Slots::state`](sentry_core::fleet::Slots::state)). The whole
/// can't be claimed: its own journal says so. What is read and requested is of all slots.
///
/// For people: `SELECT watch, subject, delivered FROM cursors`.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

/// So many connections are for leases and slots alone.
const LEASES: usize = 4;

/// What the handles of a process share.
struct Shared {
    pool: Pool,
    /// Connections of their own: no lease is lost because commits and views have all others.
    leases: Pool,
    seen: Seen,
    outgoing: Outgoing,
}

impl PostgresStore {
    /// The state in a database that is not asked anything yet. The first call brings its tables forward, as does the next one
    /// where that failed.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`](sentry_core::store::StoreErrorKind::Unavailable) if its `ca_file` can't be used.
    pub fn new(config: PostgresConfig) -> Result<Self, StoreError> {
        Self::with(config, OnceCell::new())
    }

    fn with(config: PostgresConfig, ready: OnceCell<()>) -> Result<Self, StoreError> {
        let ready = Arc::new(ready);
        let leases = Pool::new(config.clone().with_connections(LEASES), Arc::clone(&ready))?;
        let pool = Pool::new(config, ready)?;
        let shared = Shared { pool, leases, seen: Seen::default(), outgoing: Outgoing::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the state in a database to look at it; `None` if there is none yet. It makes and changes no table.
    ///
    /// # Errors
    /// As [`PostgresStore::open`];
    /// [`StoreErrorKind::Unavailable`](sentry_core::store::StoreErrorKind::Unavailable) also if its tables are those of an older
    /// Sentry.
    pub async fn open_read_only(config: PostgresConfig) -> Result<Option<Self>, StoreError> {
        let store = Self::with(config, OnceCell::new_with(Some(())))?;
        let is_there = store.done(schema::is_there(store.pool()).await)?;
        Ok(is_there.then_some(store))
    }

    /// Opens the state in a database, and makes its tables where they are not there. Any number of processes may do so at once.
    ///
    /// # Errors
    /// - [`StoreErrorKind::Unavailable`](sentry_core::store::StoreErrorKind::Unavailable) if the database can't be reached, is
    ///   too old, refuses the user, or lacks a right. May pass.
    /// - [`StoreErrorKind::Newer`](sentry_core::store::StoreErrorKind::Newer) if a newer Sentry has written it.
    /// - [`StoreErrorKind::Corrupt`](sentry_core::store::StoreErrorKind::Corrupt) if its tables are not Sentry's.
    pub async fn open(config: PostgresConfig) -> Result<Self, StoreError> {
        let store = Self::new(config)?;
        store.done(store.pool().session(CALL).await.map(drop))?;
        Ok(store)
    }

    fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    fn leases(&self) -> &Pool {
        &self.shared.leases
    }

    /// What came of a call, for its caller.
    fn done<T>(&self, answer: Result<T, Failure>) -> Result<T, StoreError> {
        answer.map_err(|failure| failure.at(&self.pool().config.place))
    }
}

#[async_trait]
impl Journal for PostgresStore {
    /// Never: agents own its slots.
    async fn claim(&self, _holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let text = "belongs to all agents that share it: each works for the slots that it owns";
        self.done(Err(Failure::Held(text.to_owned())))
    }
}

#[async_trait]
impl Archive for PostgresStore {
    async fn overview(&self, query: &OverviewQuery) -> Result<Overview, StoreError> {
        self.done(overview::overview(self.pool(), query).await)
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        self.done(views::deliveries(self.pool(), query).await)
    }

    async fn heads(&self, sha: &str) -> Result<Vec<HeadRecord>, StoreError> {
        self.done(views::heads(self.pool(), sha).await)
    }

    async fn acts(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        self.done(views::acts(self.pool(), query).await)
    }

    async fn inventory(&self, watch: &WatchName) -> Result<Vec<InventoryItem>, StoreError> {
        self.done(views::inventory(self.pool(), watch).await)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.pool().config.place).finish()
    }
}
