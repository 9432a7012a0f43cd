//! The domain and the engine of Sentry: what an embedding program uses.

pub mod clock;
pub mod cursor;
pub mod delivery;
pub mod deployer;
pub mod event;
pub mod forge;
pub mod manifest;
pub mod plan;
pub mod process;
pub mod repo;
pub mod retry;
pub mod revision;
pub mod secret;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod watch;
