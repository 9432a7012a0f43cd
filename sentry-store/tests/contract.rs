//! The contract of the port, clause by clause, against both stores.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::sync::Arc;

use sentry_core::testing::store_contract::Handles;
use sentry_store::{MemoryStore, SqliteStore};

async fn memory() -> Handles {
    let store = MemoryStore::new();
    Handles::new(Arc::new(store.clone()), Arc::new(store))
}

async fn sqlite() -> Handles {
    let dir = tempfile::tempdir().unwrap();
    let open = || Arc::new(SqliteStore::open(dir.path()).unwrap());
    let (store, other) = (open(), open());
    Handles::new(store, other).living_in(dir)
}

mod the_memory_store {
    sentry_core::store_contract_tests!(super::memory);
}

mod the_sqlite_store {
    sentry_core::store_contract_tests!(super::sqlite);
}
