//! Records by filter and page: deliveries, decisions on heads, the audit log, the inventory.

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, HeadRecord};
use sentry_core::names::WatchName;
use sentry_core::store::{AuditEntry, AuditQuery, DeliveryQuery, InventoryItem};
use tokio_postgres::Row;

use super::failure::Failure;
use super::rows::{self, get, record, records};
use super::session::{CALL, Lent, Pool, Value};

/// A statement that is put together from what is asked for.
#[derive(Debug)]
pub(super) struct Select {
    sql: String,
    values: Vec<Value>,
}

impl Select {
    /// These columns of those rows of a table, or of tables that are joined, of which this holds.
    pub(super) fn of(columns: &str, from: &str, which: &str) -> Self {
        Self { sql: format!("SELECT {columns} FROM {from} WHERE {which}"), values: Vec::new() }
    }

    /// Narrows it by a condition, in which each `?` is the next value.
    pub(super) fn and_all<const N: usize>(mut self, condition: &str, values: [Value; N]) -> Self {
        self.sql.push_str(" AND ");
        let mut parts = condition.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            self.sql.push_str(&format!("${}{part}", self.values.len()));
        }
        self
    }

    /// Narrows it by a condition, if there is a value for its `?`.
    pub(super) fn and(self, condition: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.and_all(condition, [Value::Text(value.to_string())]),
            None => self,
        }
    }

    /// Narrows it to what begins so. Ids hold digits and small letters only, so what starts with `p` lies between `p` and `p~`.
    pub(super) fn begins(self, column: &str, prefix: Option<&str>) -> Self {
        let Some(prefix) = prefix else { return self };
        let bounds = [prefix.to_owned(), format!("{prefix}~")].map(Value::Text);
        self.and_all(&format!("{column} >= ? AND {column} <= ?"), bounds)
    }

    /// Narrows it to what holds a text, in small or capital letters.
    pub(super) fn holds(self, column: &str, text: Option<&str>) -> Self {
        self.and(&format!("{column} LIKE ?"), text.map(|text| format!("%{}%", pattern(text))))
    }

    /// Groups it, and orders the groups.
    pub(super) fn grouped(mut self, by: &str, order: &str) -> Self {
        self.sql.push_str(&format!(" GROUP BY {by} ORDER BY {order}"));
        self
    }

    /// Orders it, and tells so many.
    pub(super) fn order(mut self, order: &str, limit: Option<usize>) -> Self {
        self.sql.push_str(&format!(" ORDER BY {order}"));
        if let Some(limit) = limit {
            self.values.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
            self.sql.push_str(&format!(" LIMIT ${}", self.values.len()));
        }
        self
    }

    pub(super) async fn rows(self, db: &Lent<'_>) -> Result<Vec<Row>, Failure> {
        db.rows(&self.sql, &self.values).await
    }

    /// The deliveries that it finds, whole: their parts are of the same moment, as they are read by the same statement.
    fn whole(self) -> Self {
        let sql = format!(
            "WITH found AS MATERIALIZED ({})
             SELECT id, '' AS kind, 0 AS place, version, record::text FROM found
             UNION ALL SELECT p.delivery, p.kind, p.place, p.version, p.record::text
             FROM delivery_parts p JOIN found ON p.delivery = found.id
             ORDER BY id DESC, kind, place",
            self.sql
        );
        Self { sql, ..self }
    }
}

/// A text in small letters as a part of a pattern of `LIKE`.
fn pattern(text: &str) -> String {
    text.to_lowercase().replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// Deliveries by filter and page, newest first.
pub(super) async fn deliveries(
    pool: &Pool,
    query: &DeliveryQuery,
) -> Result<Vec<Delivery>, Failure> {
    let is_short = |text: &String| text.chars().count() < DeliveryQuery::TEXT_CHARS;
    let is_narrow = query.watch.is_some() || query.sha.is_some();
    if !is_narrow && query.text.as_ref().is_some_and(is_short) {
        return Ok(Vec::new());
    }
    whole(&pool.session(CALL).await?, query).await
}

/// The same on a connection.
pub(super) async fn whole(db: &Lent<'_>, query: &DeliveryQuery) -> Result<Vec<Delivery>, Failure> {
    rows::deliveries(&select_deliveries(query).whole().rows(db).await?)
}

fn select_deliveries(query: &DeliveryQuery) -> Select {
    let first_id =
        |moment: Option<Timestamp>| moment.map(|at| DeliveryQuery::first_id(at).to_string());
    let mut select = Select::of("id, version, record", "deliveries", "TRUE")
        .and("sha = ?", query.sha.as_ref())
        .and("watch = ?", query.watch.as_ref())
        .and("subject = ?", query.subject.as_ref().map(|subject| subject.reference()))
        .and("author = ?", query.author.as_ref().map(|author| author.to_ascii_lowercase()))
        .and("id < ?", query.before.as_ref())
        .and("id < ?", first_id(query.until))
        .and("id >= ?", first_id(query.since))
        .begins("id", query.id_prefix.as_deref());
    if !query.states.is_empty() {
        let states = query.states.iter().map(|state| state.as_str().to_owned()).collect();
        select = select.and_all("state = ANY (?)", [Value::Texts(states)]);
    }
    if let Some(text) = &query.text {
        let part = pattern(text);
        let patterns = [format!("%{part}%"), format!("{part}%")].map(Value::Text);
        select = select.and_all("(searched LIKE ? OR sha LIKE ?)", patterns);
    }
    select.order("id DESC", query.limit)
}

/// Decisions on the commits whose ids start so, newest first.
pub(super) async fn heads(pool: &Pool, sha: &str) -> Result<Vec<HeadRecord>, Failure> {
    let db = pool.session(CALL).await?;
    let select = Select::of("version, record::text", "heads", "TRUE").begins("sha", Some(sha));
    records(&select.order("at DESC, sha, watch, subject", None).rows(&db).await?)
}

/// What a watch put where.
pub(super) async fn inventory(
    pool: &Pool,
    watch: &WatchName,
) -> Result<Vec<InventoryItem>, Failure> {
    let sql = "SELECT version, record::text FROM inventory WHERE watch = $1 ORDER BY identity";
    records(&pool.rows(sql, &[Value::Text(watch.to_string())]).await?)
}

/// The audit log by filter and page, newest first.
pub(super) async fn acts(pool: &Pool, query: &AuditQuery) -> Result<Vec<AuditEntry>, Failure> {
    let mut select = Select::of("version, record::text, number", "acts", "TRUE")
        .and("watch = ?", query.watch.as_ref())
        .and("name = ?", query.by.as_ref())
        .and("at >= ?", query.since.map(|since| format!("{since:.9}")));
    if let Some(before) = query.before {
        let before = Value::Int(i64::try_from(before).unwrap_or(i64::MAX));
        select = select.and_all("number < ?", [before]);
    }
    let db = pool.session(CALL).await?;
    let rows = select.order("number DESC", query.limit).rows(&db).await?;
    let entry = |row: &Row| {
        let number = u64::try_from(get::<i64>(row, 2)?).unwrap_or_default();
        Ok(AuditEntry { number, act: record(row, 0)? })
    };
    rows.iter().map(entry).collect()
}
