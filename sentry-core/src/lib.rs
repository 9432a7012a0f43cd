//! The domain and the engine of Sentry: what an embedding program uses.

pub mod change;
pub mod clock;
pub mod closed_list;
pub mod cursor;
pub mod delivery;
pub mod deployer;
pub mod engine;
pub mod error;
pub mod event;
pub mod forge;
pub mod ids;
pub mod manifest;
pub mod names;
pub mod notifier;
pub mod plan;
pub mod repo;
pub mod retry;
pub mod revision;
pub mod secret;
pub mod store;
pub mod subject;
pub mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod watch;
