//! What is left for the agents. Every slot's engine looks each second, and one look of a process is enough for all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sentry_core::delivery::Trigger;
use sentry_core::ids::TriggerId;
use sentry_core::store::{Act, Hold, Inbox, Requests, StoreError, Write};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::PostgresStore;
use super::failure::Failure;
use super::rows::{get, record};
use super::session::{Pool, Value};
use super::writes;
use crate::dto::VERSION;

/// How long an answer holds: as long as an engine's own pause between two looks.
const FRESH: Duration = Duration::from_secs(1);

/// What was last seen of the inbox.
#[derive(Debug, Default)]
pub(super) struct Seen {
    last: Mutex<Option<Look>>,
    /// Counts the beginnings and ends of this process's own changes of the inbox.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    changes: u64,
    requests: Requests,
}

/// A change of the inbox by this process. What was read before it began, or while it went on, is not seen again: not even
/// where its caller does not wait for its end.
pub(super) struct Change<'a>(&'a Seen);

impl Seen {
    pub(super) fn change(&self) -> Change<'_> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        Change(self)
    }

    /// The same where these writes are one.
    pub(super) fn change_by(&self, writes: &[Write]) -> Option<Change<'_>> {
        let is_for_the_inbox =
            |write: &Write| matches!(write, Write::Trigger(_) | Write::Prune { .. });
        writes.iter().any(is_for_the_inbox).then(|| self.change())
    }

    /// What waits: as it was seen last, if that is fresh and this process has changed nothing since; else as it is read.
    async fn requests(
        &self,
        read: impl Future<Output = Result<Requests, Failure>>,
    ) -> Result<Requests, Failure> {
        let mut last = self.last.lock().await;
        let changes = self.changes.load(Ordering::SeqCst);
        if let Some(look) = &*last
            && look.changes == changes
            && look.at.elapsed() < FRESH
        {
            return Ok(look.requests.clone());
        }
        let at = Instant::now();
        let requests = read.await?;
        *last = Some(Look { at, changes, requests: requests.clone() });
        Ok(requests)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }
}

async fn read(pool: &Pool) -> Result<Requests, Failure> {
    let sql = "SELECT 1, version, record::text, at, id FROM triggers WHERE pending
        UNION ALL SELECT 2, version, record::text, watch, '' FROM suspensions
        ORDER BY 1, 4, 5";
    let rows = pool.rows(sql, &[]).await?;
    let is_trigger = |row: &&Row| get::<i32>(row, 0).is_ok_and(|kind| kind == 1);
    let (triggers, suspensions): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(is_trigger);
    Ok(Requests {
        triggers: triggers.into_iter().map(|row| record(row, 1)).collect::<Result<_, _>>()?,
        suspensions: suspensions.into_iter().map(|row| record(row, 1)).collect::<Result<_, _>>()?,
    })
}

#[async_trait]
impl Inbox for PostgresStore {
    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError> {
        let change = self.shared.seen.change();
        let kept = self.done(request(self.pool(), trigger).await)?;
        drop(change);
        self.tell_inbox(&kept.watch).await;
        Ok(kept)
    }

    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        let sql = "SELECT version, record::text FROM triggers WHERE id = $1";
        let rows = self.pool().rows(sql, &[Value::Text(id.to_string())]).await;
        self.done(rows.and_then(|rows| rows.first().map(|row| record(row, 0)).transpose()))
    }

    async fn hold(&self, hold: &Hold) -> Result<(), StoreError> {
        let changes = self.shared.seen.change();
        self.done(change(self.pool(), hold).await)?;
        drop(changes);
        self.tell_inbox(hold.watch()).await;
        Ok(())
    }

    async fn requests(&self) -> Result<Requests, StoreError> {
        self.done(self.shared.seen.requests(read(self.pool())).await)
    }
}

fn version() -> Value {
    Value::Count(i32::try_from(VERSION).unwrap_or(i32::MAX))
}

async fn request(pool: &Pool, trigger: &Trigger) -> Result<Trigger, Failure> {
    let act = Act::of(trigger).map(|act| writes::record(&act)).transpose()?;
    let values =
        [version(), Value::MaybeText(Some(writes::record(trigger)?)), Value::MaybeText(act)];
    let sql = "SELECT version, record FROM sentry_request_1($1, $2::jsonb, $3::jsonb)";
    let rows = pool.rows(sql, &values).await?;
    let kept = rows.first().ok_or_else(|| Failure::Damaged("a request has no answer".into()))?;
    record(kept, 0)
}

async fn change(pool: &Pool, hold: &Hold) -> Result<(), Failure> {
    let suspension = match hold {
        Hold::Suspend(suspension) => Some(writes::record(suspension)?),
        Hold::Resume(_) => None,
    };
    let act = writes::record(&Act::from(hold))?;
    let values = [
        version(),
        Value::MaybeText(suspension),
        Value::Text(hold.watch().to_string()),
        Value::MaybeText(Some(act)),
    ];
    pool.rows("SELECT sentry_hold_1($1, $2::jsonb, $3, $4::jsonb)", &values).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use sentry_core::testing::sample;
    use tokio::time::advance;

    use super::*;

    /// An inbox that counts how often it is read.
    #[derive(Default)]
    struct Kept(AtomicUsize);

    impl Kept {
        async fn read(&self) -> Result<Requests, Failure> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Requests { triggers: vec![sample::trigger(1)], ..Requests::default() })
        }

        fn reads(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_inbox_is_read_once_a_second_however_many_ask() {
        let (kept, seen) = (Kept::default(), Seen::default());
        for reads in 1..=3 {
            for _ in 0..64 {
                let requests = seen.requests(kept.read()).await.unwrap();
                assert_eq!((requests.triggers.len(), kept.reads()), (1, reads));
            }
            advance(FRESH).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_beside_a_change_is_not_seen_again() {
        let (kept, seen) = (Kept::default(), Seen::default());
        let prune = Write::Prune { before: sample::time(1), keep: 0 };
        for writes in [
            vec![Write::Trigger(sample::trigger(1))],
            vec![Write::Watch(sample::watch_state(1)), prune],
        ] {
            advance(FRESH).await;
            let before = kept.reads();
            seen.requests(kept.read()).await.unwrap();
            let change = seen.change_by(&writes).unwrap();
            seen.requests(kept.read()).await.unwrap();
            let read = async {
                // It ends while this is read.
                drop(change);
                kept.read().await
            };
            advance(FRESH).await;
            seen.requests(read).await.unwrap();
            seen.requests(kept.read()).await.unwrap();
            seen.requests(kept.read()).await.unwrap();
            assert_eq!(kept.reads() - before, 4);
        }
        assert!(seen.change_by(&[Write::Watch(sample::watch_state(1))]).is_none());
    }
}
