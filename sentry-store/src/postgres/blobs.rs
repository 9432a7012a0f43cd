//! What deliveries got from elsewhere, for as long as they are open.

use async_trait::async_trait;
use sentry_core::ids::DeliveryId;
use sentry_core::remote::digest;
use sentry_core::store::{Blobs, StoreError};

use super::PostgresStore;
use super::failure::Failure;
use super::rows::get;
use super::session::Value;

#[async_trait]
impl Blobs for PostgresStore {
    async fn put(&self, delivery: &DeliveryId, bytes: &[u8]) -> Result<(), StoreError> {
        // The delivery's row is locked: it can't end in between, and leave this behind.
        let sql = "INSERT INTO blobs (delivery, sha256, bytes)
            SELECT id, $2, $3 FROM deliveries WHERE id = $1 AND NOT final FOR SHARE
            ON CONFLICT (delivery, sha256) DO UPDATE SET bytes = excluded.bytes";
        let values = [
            Value::Text(delivery.to_string()),
            Value::Text(digest(bytes)),
            Value::Bytes(bytes.to_owned()),
        ];
        self.done(self.pool().rows(sql, &values).await.map(drop))
    }

    async fn get(
        &self,
        delivery: &DeliveryId,
        sha256: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes FROM blobs WHERE delivery = $1 AND sha256 = $2";
        let values = [Value::Text(delivery.to_string()), Value::Text(sha256.to_owned())];
        let found = async {
            let rows = self.pool().rows(sql, &values).await?;
            let bytes = rows.first().map(|row| get::<Vec<u8>>(row, 0)).transpose()?;
            Ok::<_, Failure>(bytes.filter(|bytes| digest(bytes) == sha256))
        };
        self.done(found.await)
    }
}
