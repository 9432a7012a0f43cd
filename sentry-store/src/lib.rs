//! Where state is kept: [`SqliteStore`] on a disk, [`PostgresStore`] in a database that many processes share,
//! [`MemoryStore`] for as long as the program lives.
//!
//! All keep the contracts of [`Journal`](sentry_core::store::Journal), [`Inbox`](sentry_core::store::Inbox) and
//! [`Archive`](sentry_core::store::Archive), clause by clause: `tests/contract.rs` runs
//! [`store_contract`](sentry_core::testing::store_contract) against each; those that many share also keep that of [`Slots`](sentry_core::fleet::Slots), and
//! have a [`Wire`](sentry_core::fleet::Wire). A store of your own keeps records in the same
//! versioned JSON with the feature `dto`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use sentry_core::store::State;
//! use sentry_store::{MemoryStore, SqliteStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let kept: State = Arc::new(SqliteStore::open(dir.path())?).into();
//! let forgotten: State = Arc::new(MemoryStore::new()).into();
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `sqlite` | the database: its schema and migrations, the lock, damage and full disks |
//! | `postgres` | the database that many share: its schema and functions, connections, slots |
//! | `memory` | the same in memory |
//! | `copy` | a whole state from a directory to a database, or back |
//! | `dto` | the persisted records, each with a version |

mod copy;
#[cfg(feature = "dto")]
pub mod dto;
#[cfg(not(feature = "dto"))]
#[expect(unreachable_pub, reason = "public with the feature `dto`")]
mod dto;
mod memory;
mod postgres;
mod sqlite;

pub use copy::{AnyStore, Copied, CopyError, copy};
pub use memory::{MemorySessions, MemoryStore, MemoryWire};
pub use postgres::{PostgresConfig, PostgresStore, PostgresUrlError};
pub use sqlite::SqliteStore;
