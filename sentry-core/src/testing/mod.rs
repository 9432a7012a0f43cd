//! What tests of the engine, and of other implementations of its ports, are made of.

pub mod deployer_contract;
pub mod fakes;
pub mod fate;
pub mod forge_contract;
pub mod hooked;
pub mod sample;
pub mod sessions_contract;
pub mod slots_contract;
pub mod store_contract;
pub mod wire_contract;

use crate::store::{Journal, Snapshot, StoreError, Write};

/// Writes what an agent would, where none works.
///
/// # Errors
/// Those of [`Journal::claim`] and of the commit.
pub async fn commit(journal: &impl Journal, writes: &[Write]) -> Result<(), StoreError> {
    journal.claim("a test").await?.commit(writes).await
}

/// Reads what an agent would, where none works.
///
/// # Errors
/// Those of [`Journal::claim`] and of the load.
pub async fn load(journal: &impl Journal) -> Result<Snapshot, StoreError> {
    journal.claim("a test").await?.load().await
}
