//! What sessions of the page need of a state: a session is a signed word that its browser keeps, so any process knows it that
//! knows the key.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;

/// So long does a session last, used or not.
pub const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// When so many sessions of a token were ended before their time, all of them that began by then end: each is remembered as long
/// as it would have lasted, and nobody may fill the state by logging in and out.
pub const MOST_ENDED: usize = 1000;

/// A session, as the state is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// A random id.
    pub id: String,
    /// The name of the token that it was begun with.
    pub token: String,
    /// When. Fractions of milliseconds don't count.
    pub begun: Timestamp,
}

/// What is kept of sessions, for all processes that share a state.
#[async_trait]
pub trait Sessions: fmt::Debug + Send + Sync {
    /// The key that sessions are signed with. Where there is none yet, it is this fresh one from now on.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`](super::StoreErrorKind::Unavailable) may pass.
    async fn key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// Ends a session before its time.
    ///
    /// # Errors
    /// As [`Sessions::key`]; the session may have ended all the same.
    async fn end(&self, session: &Session, now: Timestamp) -> Result<(), StoreError>;

    /// Whether a session was ended.
    ///
    /// # Errors
    /// As [`Sessions::key`].
    async fn has_ended(&self, session: &Session) -> Result<bool, StoreError>;
}
