//! Sessions for as long as the program lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sentry_core::clock::Timestamp;
use sentry_core::store::{MOST_ENDED, SESSION, Session, Sessions, StoreError};

/// Keeps what is to be kept of sessions in memory: they end with the program. A clone is another handle on the same.
#[derive(Clone, Default)]
pub struct MemorySessions(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    key: Option<[u8; 32]>,
    /// By id: the token's name, and when it began.
    ended: BTreeMap<String, (String, Timestamp)>,
    /// Of each token: all that began by then have ended.
    all: BTreeMap<String, Timestamp>,
}

impl MemorySessions {
    /// Nobody was ever logged in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(*self.kept().key.get_or_insert(fresh))
    }

    async fn end(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        let Kept { ended, all, .. } = &mut *self.kept();
        let lasts = |begun: &Timestamp| begun.checked_add(SESSION).is_ok_and(|end| end > now);
        ended.retain(|_, (_, begun)| lasts(begun));
        all.retain(|_, by| lasts(by));
        let Session { id, token, begun } = session;
        ended.insert(id.clone(), (token.clone(), *begun));
        if ended.values().filter(|(of, _)| of == token).count() > MOST_ENDED {
            ended.retain(|_, (of, _)| of != token);
            all.insert(token.clone(), now);
        }
        Ok(())
    }

    async fn has_ended(&self, session: &Session) -> Result<bool, StoreError> {
        let kept = self.kept();
        let with_all = kept.all.get(&session.token).is_some_and(|by| session.begun <= *by);
        Ok(with_all || kept.ended.contains_key(&session.id))
    }
}

impl std::fmt::Debug for MemorySessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemorySessions")
    }
}
