//! What sessions of the page need, for all processes.

use async_trait::async_trait;
use sentry_core::clock::Timestamp;
use sentry_core::store::{MOST_ENDED, SESSION, Session, Sessions, StoreError};

use super::PostgresStore;
use super::failure::Failure;
use super::rows::get;
use super::session::{CALL, Pool, Value};

#[async_trait]
impl Sessions for PostgresStore {
    async fn key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.done(key(self.pool(), fresh).await)
    }

    async fn end(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        let number = |number: u128| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let values = [
            Value::Text(session.token.clone()),
            Value::Text(session.id.clone()),
            Value::Int(session.begun.as_millisecond()),
            Value::Int(now.as_millisecond()),
            number(SESSION.as_millis()),
            number(MOST_ENDED as u128),
        ];
        let sql = "SELECT sentry_end_session_1($1, $2, $3, $4, $5, $6)";
        self.done(self.pool().rows(sql, &values).await.map(drop))
    }

    async fn has_ended(&self, session: &Session) -> Result<bool, StoreError> {
        let values = [
            Value::Text(session.token.clone()),
            Value::Text(session.id.clone()),
            Value::Int(session.begun.as_millisecond()),
        ];
        let sql = "SELECT FROM ended_sessions WHERE id = $2
            UNION ALL SELECT FROM ended_sessions WHERE token = $1 AND id = '' AND begun >= $3";
        self.done(self.pool().rows(sql, &values).await.map(|rows| !rows.is_empty()))
    }
}

async fn key(pool: &Pool, fresh: [u8; 32]) -> Result<[u8; 32], Failure> {
    let db = pool.session(CALL).await?;
    let sql = "INSERT INTO session_key (key) VALUES ($1) ON CONFLICT DO NOTHING";
    db.rows(sql, &[Value::Bytes(fresh.to_vec())]).await?;
    let rows = db.rows("SELECT key FROM session_key", &[]).await?;
    let kept = rows.first().map(|row| get::<Vec<u8>>(row, 0)).transpose()?;
    let key = kept.and_then(|key| <[u8; 32]>::try_from(key).ok());
    key.ok_or_else(|| Failure::Damaged("the key of its sessions is none".into()))
}
