//! The contracts of the ports, clause by clause, against every store; and what is PostgreSQL's alone.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod one_slot;
mod postgres;
#[expect(unreachable_pub, reason = "it is a module of the crate `tests` as well")]
#[path = "../../../tests/src/postgres.rs"]
mod server;
mod shared;

use std::sync::Arc;

use sentry_core::testing::sessions_contract::Both;
use sentry_core::testing::slots_contract::Ground;
use sentry_core::testing::store_contract::Handles;
use sentry_core::testing::wire_contract::Ends;
use sentry_store::{MemorySessions, MemoryStore, MemoryWire, SqliteStore};

use self::server::server;
use self::shared::{end_connections, open};

async fn memory() -> Handles {
    let store = MemoryStore::new();
    let (one, other) = (Arc::new(store.clone()), Arc::new(store.clone()));
    Handles::new(one, other, move || store.give_up())
}

async fn sqlite() -> Handles {
    let dir = tempfile::tempdir().unwrap();
    let open = || Arc::new(SqliteStore::open(dir.path()).unwrap());
    let (store, other) = (open(), open());
    let lock = dir.path().join("agent.lock");
    let lose = move || std::fs::remove_file(&lock).unwrap();
    Handles::new(store, other, lose).living_in(dir)
}

async fn slots_in_memory() -> Ground {
    tokio::time::pause();
    let store = Arc::new(MemoryStore::new());
    let end_leases = || Box::pin(tokio::time::advance(sentry_core::fleet::LEASE)) as _;
    Ground::new(Arc::clone(&store) as _, store, end_leases)
}

async fn slots_in_postgres() -> Ground {
    let database = server().database();
    let (one, other) = (open(&database).await, open(&database).await);
    let end_leases = move || {
        shared::end_leases(&database);
        Box::pin(std::future::ready(())) as _
    };
    Ground::new(Arc::new(one), Arc::new(other), end_leases)
}

async fn wire_in_memory() -> Ends {
    let one = MemoryWire::new();
    let (other, way) = (one.another(), one.clone());
    let cut = move || {
        way.cut();
        Box::pin(std::future::ready(())) as _
    };
    Ends::new(Arc::new(one), Arc::new(other), cut)
}

async fn wire_in_postgres() -> Ends {
    let database = server().database();
    let (one, other) = (open(&database).await, open(&database).await);
    let cut = move || {
        end_connections(&database);
        Box::pin(std::future::ready(())) as _
    };
    Ends::new(Arc::new(one), Arc::new(other), cut)
}

async fn sessions_in_memory() -> Both {
    let one = MemorySessions::new();
    [Arc::new(one.clone()), Arc::new(one)]
}

async fn sessions_in_postgres() -> Both {
    let database = server().database();
    [Arc::new(open(&database).await), Arc::new(open(&database).await)]
}

mod the_memory_store {
    sentry_core::journal_contract_tests!(super::memory);
    sentry_core::inbox_contract_tests!(super::memory);
    sentry_core::archive_contract_tests!(super::memory);
    sentry_core::blobs_contract_tests!(super::memory);
    sentry_core::slots_contract_tests!(super::slots_in_memory);
    sentry_core::wire_contract_tests!(super::wire_in_memory);
    sentry_core::sessions_contract_tests!(super::sessions_in_memory);
}

mod the_sqlite_store {
    sentry_core::journal_contract_tests!(super::sqlite);
    sentry_core::inbox_contract_tests!(super::sqlite);
    sentry_core::archive_contract_tests!(super::sqlite);
    sentry_core::blobs_contract_tests!(super::sqlite);
}

mod the_postgres_store {
    sentry_core::journal_contract_tests!(super::one_slot::handles);
    sentry_core::inbox_contract_tests!(super::one_slot::handles);
    sentry_core::archive_contract_tests!(super::one_slot::handles);
    sentry_core::blobs_contract_tests!(super::one_slot::handles);
    sentry_core::slots_contract_tests!(super::slots_in_postgres);
    sentry_core::wire_contract_tests!(super::wire_in_postgres);
    sentry_core::sessions_contract_tests!(super::sessions_in_postgres);
}
