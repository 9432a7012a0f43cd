//! A database as one side of a copy: a transaction in which no agent can renew a lease.

use async_trait::async_trait;
use sentry_core::delivery::Delivery;
use sentry_core::ids::DeliveryId;
use sentry_core::store::{DeliveryQuery, StoreError, Write};

use super::failure::Failure;
use super::rows::{get, version};
use super::session::{Lent, Value};
use super::writes::{self, Writes};
use super::{PostgresStore, views};
use crate::copy::{Item, Kind, PAGE, Side};
use crate::dto::VERSION;

/// How long a call of it may take: a page of large deliveries.
const CALL: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) struct Database<'a> {
    store: &'a PostgresStore,
    db: Lent<'a>,
}

/// What a copy writes by: the function of commits writes for who holds a slot. This one is held within the transaction alone.
const TERM: &str = "00000000000000000000000000000000";
const SLOT: i16 = 0;

impl PostgresStore {
    /// Begins a copy of it, or one to it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Held`](sentry_core::store::StoreErrorKind::Held) while an agent works with it.
    pub(crate) async fn side(&self, writes: bool) -> Result<Database<'_>, StoreError> {
        self.done(begin(self, writes).await)
    }
}

async fn begin(store: &PostgresStore, writes: bool) -> Result<Database<'_>, Failure> {
    let db = store.pool().session(CALL).await?;
    db.begin("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    // The other side may take its time.
    db.run(
        "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = '60s'",
    )
    .await?;
    // Whoever would renew a lease, or take a slot, waits until the end.
    db.run("LOCK TABLE members, slots IN SHARE ROW EXCLUSIVE MODE").await?;
    let alive = "SELECT holder FROM members m WHERE until > clock_timestamp() AND (wanted <> 0
        OR EXISTS (SELECT FROM slots s WHERE s.owner = m.id AND s.given_at IS NULL)) LIMIT 1";
    if let Some(row) = db.rows(alive, &[]).await?.first() {
        let holder: &str = get(row, 0)?;
        return Err(Failure::Held(format!("is in use by {holder}; stop all of its agents first")));
    }
    if writes {
        let slot = Value::Slot(SLOT);
        let sql = "INSERT INTO slots (slot, owner, term) VALUES ($1, 'a copy', $2)
            ON CONFLICT (slot) DO UPDATE SET owner = excluded.owner, term = excluded.term, given_at = NULL";
        db.rows(sql, &[slot, Value::Text(TERM.to_owned())]).await?;
    }
    Ok(Database { store, db })
}

impl Database<'_> {
    async fn commit(&self, writes: &[Write]) -> Result<(), Failure> {
        let Writes { watches, json } = Writes::of(writes)?;
        let slot = Value::Slot(SLOT);
        let homes = "INSERT INTO homes (watch, slot, free) SELECT w, $1, true FROM unnest($2) w ON CONFLICT DO NOTHING";
        self.db.rows(homes, &[slot.clone(), Value::Texts(watches.clone())]).await?;
        let values = [
            slot,
            Value::Text(TERM.to_owned()),
            Value::Texts(watches),
            Value::MaybeText(Some(json)),
        ];
        let sql = "SELECT taken_by, foreign_watch FROM sentry_commit_1($1, $2, $3, $4::jsonb)";
        self.db.rows(sql, &values).await.map(drop)
    }

    async fn insert(&self, sql: &str, json: String) -> Result<(), Failure> {
        let version = Value::Count(i32::try_from(VERSION).unwrap_or(i32::MAX));
        self.db.rows(sql, &[version, Value::MaybeText(Some(json))]).await.map(drop)
    }

    async fn put(&self, items: Vec<Item>) -> Result<(), Failure> {
        let mut commit = Vec::new();
        for item in items {
            match item {
                Item::Write(write) => commit.push(write),
                Item::Trigger(it) => {
                    let sql = "SELECT sentry_request_1($1, $2::jsonb, NULL)";
                    self.insert(sql, writes::record(&it)?).await?;
                }
                Item::Suspension(it) => {
                    let sql = "INSERT INTO suspensions (version, record) VALUES ($1, $2::jsonb)";
                    self.insert(sql, writes::record(&it)?).await?;
                }
                Item::Act(it) => {
                    let sql = "INSERT INTO acts (version, record) VALUES ($1, $2::jsonb)";
                    self.insert(sql, writes::record(&it)?).await?;
                }
            }
        }
        if commit.is_empty() { Ok(()) } else { self.commit(&commit).await }
    }

    /// The keys of deliveries are ids, newest first; of all else a page goes on where the one before ended.
    async fn page(&self, kind: Kind, after: Option<&str>) -> Result<Vec<(String, Item)>, Failure> {
        if kind == Kind::Deliveries {
            let before: Option<DeliveryId> = after.and_then(|id| id.parse().ok());
            let query = DeliveryQuery { before, limit: Some(PAGE), ..DeliveryQuery::default() };
            let item = |delivery: Delivery| {
                (delivery.id.to_string(), Item::Write(Write::Delivery(delivery.into())))
            };
            return Ok(views::whole(&self.db, &query).await?.into_iter().map(item).collect());
        }
        let table = kind.table();
        if after.is_none() {
            let order = if kind == Kind::Acts { "ORDER BY number" } else { "" };
            let all = format!("SELECT version, record::text FROM {table} {order}");
            self.db.run(&format!("DECLARE copied_{table} CURSOR FOR {all}")).await?;
        }
        let rows = self.db.rows(&format!("FETCH {PAGE} FROM copied_{table}"), &[]).await?;
        if rows.is_empty() {
            self.db.run(&format!("CLOSE copied_{table}")).await?;
        }
        let item = |row| Ok((table.to_owned(), kind.decode(version(row, 0)?, get(row, 1)?)?));
        rows.iter().map(item).collect()
    }
}

#[async_trait]
impl Side for Database<'_> {
    fn place(&self) -> String {
        format!("the state in {}", self.store.pool().config.place)
    }

    async fn page(
        &self,
        kind: Kind,
        after: Option<&str>,
    ) -> Result<Vec<(String, Item)>, StoreError> {
        self.store.done(Database::page(self, kind, after).await)
    }

    async fn put(&self, _kind: Kind, items: Vec<Item>) -> Result<(), StoreError> {
        self.store.done(Database::put(self, items).await)
    }

    /// Its watches belong to nobody yet: whoever has them takes them to its slots.
    async fn finish(self: Box<Self>) -> Result<(), StoreError> {
        let Self { store, db } = *self;
        let end = async {
            db.run("DELETE FROM homes; DELETE FROM slots WHERE owner = 'a copy'").await?;
            db.end().await
        };
        store.done(end.await)
    }
}
