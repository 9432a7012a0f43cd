//! A state directory as one side of a copy: claimed, so that no agent works with it.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sentry_core::delivery::Delivery;
use sentry_core::store::{Claim, Journal as _, StoreError, Write};

use super::failure::Failure;
use super::{SqliteStore, deliveries, rows};
use crate::copy::{Item, Kind, PAGE, Side};

pub(crate) struct Directory {
    store: SqliteStore,
    _claim: Box<dyn Claim>,
}

impl SqliteStore {
    /// Claims it for a copy.
    pub(crate) async fn side(&self) -> Result<Directory, StoreError> {
        let holder = format!("process {}, which copies it", std::process::id());
        Ok(Directory { store: self.clone(), _claim: self.claim(&holder).await? })
    }
}

#[async_trait]
impl Side for Directory {
    fn place(&self) -> String {
        format!("the state in {}", self.store.place.db().display())
    }

    async fn page(
        &self,
        kind: Kind,
        after: Option<&str>,
    ) -> Result<Vec<(String, Item)>, StoreError> {
        let after = after.map(str::to_owned);
        self.store.with(move |session| page(&session.connection, kind, after.as_deref())).await
    }

    async fn put(&self, _kind: Kind, items: Vec<Item>) -> Result<(), StoreError> {
        self.store
            .with(move |session| {
                session.requests = None;
                session.write(|db| items.iter().try_for_each(|item| rows::put_item(db, item)))
            })
            .await
    }

    async fn finish(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The keys are the numbers of rows; those of deliveries are ids, newest first.
fn page(db: &Connection, kind: Kind, after: Option<&str>) -> Result<Vec<(String, Item)>, Failure> {
    if kind == Kind::Deliveries {
        let sql = format!(
            "SELECT {} FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT {PAGE}",
            deliveries::COLUMNS
        );
        let found = deliveries::whole(db, &sql, [after.unwrap_or("~")])?;
        let item = |delivery: Delivery| {
            (delivery.id.to_string(), Item::Write(Write::Delivery(delivery.into())))
        };
        return Ok(found.into_iter().map(item).collect());
    }
    let sql = format!(
        "SELECT version, checksum, record, rowid FROM {} WHERE rowid > ?1 ORDER BY rowid LIMIT {PAGE}",
        kind.table()
    );
    let after: i64 = after.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query(params![after])?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        let (version, json) = rows::text(row)?;
        items.push((row.get::<_, i64>(3)?.to_string(), kind.decode(version, json)?));
    }
    Ok(items)
}
