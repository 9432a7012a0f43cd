//! Records to rows and back. Every statement of the store is here, but those of `deliveries` and of what is shown (`views`).

use data_encoding::HEXLOWER;
use rusqlite::{Connection, Params, Row, params};
use sentry_core::clock::Timestamp;
use sentry_core::delivery::{HeadRecord, Trigger};
use sentry_core::forge::Validator;
use sentry_core::ids::TriggerId;
use sentry_core::names::WatchName;
use sentry_core::store::{AUDIT, Act, Hold, InventoryItem, Requests, Snapshot, Write};
use sha2::{Digest as _, Sha256};

use super::deliveries;
use super::failure::Failure;
use crate::copy::Item;
use crate::dto::{Record, VERSION};

/// Carries out one write of a transaction.
pub(super) fn apply(db: &Connection, write: &Write) -> Result<(), Failure> {
    match write {
        Write::Cursors(cursors) => put(db, "cursors", cursors),
        Write::ForgetCursors(watch, subject) => run(
            db,
            "DELETE FROM cursors WHERE watch = ?1 AND subject = ?2",
            [watch.as_str(), &subject.reference()],
        ),
        Write::Watch(state) => put(db, "watches", state),
        Write::Validator(key, Some(validator)) => run(
            db,
            "INSERT OR REPLACE INTO validators (key, validator, checksum) VALUES (?1, ?2, ?3)",
            [key, &validator.0, &checksum(key, &validator.0)],
        ),
        Write::Validator(key, None) => run(db, "DELETE FROM validators WHERE key = ?1", [key]),
        Write::Delivery(delivery) => deliveries::put(db, delivery),
        Write::Trigger(trigger) => replace_trigger(db, trigger),
        Write::Head(head) => put(db, "heads", head),
        Write::Report(report) => put(db, "reports", report),
        Write::Notice(outgoing) => put(db, "outbox", outgoing.as_ref()),
        Write::ForgetNotice { receiver, id } => run(
            db,
            "DELETE FROM outbox WHERE receiver = ?1 AND id = ?2",
            [receiver.as_str(), id.as_str()],
        ),
        Write::Trouble(trouble) => put(db, "troubles", trouble),
        Write::ForgetTrouble(watch, subject) => run(
            db,
            "DELETE FROM troubles WHERE watch = ?1 AND subject = ?2",
            [watch.as_str(), &subject.reference()],
        ),
        Write::Inventory(item) => {
            let (version, sum, json) = columns(item)?;
            run(
                db,
                "INSERT OR REPLACE INTO inventory (version, checksum, record, identity) \
                 VALUES (?1, ?2, ?3, ?4)",
                params![version, sum, json, item.identity()],
            )
        }
        Write::ForgetInventory(item) => run(
            db,
            "DELETE FROM inventory WHERE watch = ?1 AND identity = ?2",
            [item.watch.as_str(), &item.identity()],
        ),
        Write::Agent(agent) => {
            let (version, sum, json) = columns(agent)?;
            run(
                db,
                "INSERT OR REPLACE INTO agent (only, version, checksum, record) \
                 VALUES (1, ?1, ?2, ?3)",
                params![version, sum, json],
            )
        }
        Write::Prune { before, keep } => prune(db, *before, *keep),
    }
}

/// Keeps one record of a copy.
pub(super) fn put_item(db: &Connection, item: &Item) -> Result<(), Failure> {
    match item {
        Item::Write(write) => apply(db, write),
        Item::Trigger(trigger) => put(db, "triggers", trigger),
        Item::Suspension(suspension) => put(db, "suspensions", suspension),
        Item::Act(act) => put(db, "acts", act),
    }
}

/// True if what [`requests`] reads may be another after this write.
pub(super) fn is_for_the_inbox(write: &Write) -> bool {
    matches!(write, Write::Trigger(_) | Write::Prune { .. })
}

/// Begins a claim: its number, which is greater than that of any before.
pub(super) fn claim(db: &Connection, holder: &str) -> Result<i64, Failure> {
    let sql = "INSERT INTO claims (only, epoch, holder) VALUES (1, 1, ?1) \
               ON CONFLICT (only) DO UPDATE SET epoch = epoch + 1, holder = ?1 RETURNING epoch";
    Ok(db.prepare_cached(sql)?.query_row([holder], |row| row.get(0))?)
}

/// An error if another claim than this one is the newest.
pub(super) fn fence(db: &Connection, epoch: i64) -> Result<(), Failure> {
    let mut newest = db.prepare_cached("SELECT epoch, holder FROM claims")?;
    let (found, holder) =
        newest.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    if found == epoch { Ok(()) } else { Err(Failure::Fenced(holder)) }
}

/// Suspends a watch, or ends that.
pub(super) fn hold(db: &Connection, hold: &Hold) -> Result<(), Failure> {
    match hold {
        Hold::Suspend(suspension) => put(db, "suspensions", suspension),
        Hold::Resume(resumption) => {
            run(db, "DELETE FROM suspensions WHERE watch = ?1", [resumption.watch.as_str()])
        }
    }?;
    put(db, "acts", &Act::from(hold))
}

fn run(db: &Connection, sql: &str, params: impl Params) -> Result<(), Failure> {
    db.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

/// Inserts a record, or replaces the one with the same key.
fn put<R: Record>(db: &Connection, table: &str, record: &R) -> Result<(), Failure> {
    let (version, sum, json) = columns(record)?;
    let sql =
        format!("INSERT OR REPLACE INTO {table} (version, checksum, record) VALUES (?1, ?2, ?3)");
    run(db, &sql, params![version, sum, json])
}

/// `INSERT OR REPLACE` would let a trigger take the place of another one that has its key.
fn replace_trigger(db: &Connection, trigger: &Trigger) -> Result<(), Failure> {
    let (version, sum, json) = columns(trigger)?;
    run(
        db,
        "UPDATE triggers SET version = ?1, checksum = ?2, record = ?3 WHERE id = ?4 AND key = ?5",
        params![version, sum, json, trigger.id.as_str(), trigger.key],
    )
}

/// Keeps a trigger unless its key is kept; returns the one that is.
pub(super) fn request(db: &Connection, trigger: &Trigger) -> Result<Trigger, Failure> {
    let find = "SELECT version, checksum, record FROM triggers WHERE key = ?1";
    if let Some(first) = read(db, find, [&trigger.key])?.pop() {
        return Ok(first);
    }
    let (version, sum, json) = columns(trigger)?;
    run(
        db,
        "INSERT INTO triggers (version, checksum, record) VALUES (?1, ?2, ?3)",
        params![version, sum, json],
    )?;
    if let Some(act) = Act::of(trigger) {
        put(db, "acts", &act)?;
    }
    Ok(trigger.clone())
}

fn prune(db: &Connection, before: Timestamp, keep: usize) -> Result<(), Failure> {
    deliveries::prune(db, before, keep)?;
    if let Ok(year) = before.checked_sub(AUDIT) {
        run(db, "DELETE FROM acts WHERE at < ?1", [format!("{year:.9}")])?;
    }
    let before = format!("{before:.9}");
    run(db, "DELETE FROM triggers WHERE pending = 0 AND at < ?1", [&before])?;
    run(db, "DELETE FROM reports WHERE due = 0 AND at < ?1", [&before])?;
    run(db, "DELETE FROM outbox WHERE at < ?1", [&before])?;
    run(db, "DELETE FROM troubles WHERE at < ?1", [&before])?;
    run(db, "DELETE FROM heads WHERE at < ?1", [&before])?;
    run(
        db,
        "DELETE FROM inventory WHERE at < ?1 AND delivery NOT IN (SELECT id FROM deliveries)
             AND NOT (record ->> '$.run' AND coalesce(record ->> '$.limited', 1))",
        [&before],
    )
}

/// Which deliveries are open. In the order of their index: in that of ids SQLite reads every delivery there ever was.
pub(super) const OPEN: &str = "final = 0 ORDER BY watch, subject, id";

/// All live state. The caller holds a transaction, so that it is of one moment.
pub(super) fn snapshot(db: &Connection) -> Result<Snapshot, Failure> {
    let all =
        |table, order| format!("SELECT version, checksum, record FROM {table} ORDER BY {order}");
    let open = format!("SELECT {} FROM deliveries WHERE {OPEN}", deliveries::COLUMNS);
    let mut open = deliveries::whole(db, &open, [])?;
    open.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let due = "SELECT version, checksum, record FROM reports WHERE due = 1 ORDER BY at, context";
    Ok(Snapshot {
        cursors: read(db, &all("cursors", "watch, subject"), [])?,
        watches: read(db, &all("watches", "watch"), [])?,
        validators: validators(db)?,
        open,
        reports: read(db, due, [])?,
        outbox: read(db, &all("outbox", "id, receiver"), [])?,
        troubles: read(db, &all("troubles", "watch, subject"), [])?,
        inbox: requests(db)?,
        agent: read(db, &all("agent", "only"), [])?.pop(),
    })
}

pub(super) fn validators(db: &Connection) -> Result<Vec<(String, Validator)>, Failure> {
    let sql = "SELECT key, validator, checksum FROM validators ORDER BY key";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut validators = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, validator): (String, String) = (row.get(0)?, row.get(1)?);
        matches(row, 2, &checksum(&key, &validator))?;
        validators.push((key, Validator(validator)));
    }
    Ok(validators)
}

pub(super) fn requests(db: &Connection) -> Result<Requests, Failure> {
    let pending =
        "SELECT version, checksum, record FROM triggers WHERE pending = 1 ORDER BY at, id";
    let suspensions = "SELECT version, checksum, record FROM suspensions ORDER BY watch";
    Ok(Requests { triggers: read(db, pending, [])?, suspensions: read(db, suspensions, [])? })
}

/// A number that changes when another connection has committed.
pub(super) fn data_version(db: &Connection) -> Result<i64, Failure> {
    Ok(db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

pub(super) fn trigger(db: &Connection, id: &TriggerId) -> Result<Option<Trigger>, Failure> {
    let sql = "SELECT version, checksum, record FROM triggers WHERE id = ?1";
    Ok(read(db, sql, [id.as_str()])?.pop())
}

pub(super) fn inventory(db: &Connection, watch: &WatchName) -> Result<Vec<InventoryItem>, Failure> {
    let sql = "SELECT version, checksum, record FROM inventory WHERE watch = ?1 ORDER BY identity";
    read(db, sql, [watch.as_str()])
}

/// Commits' ids hold digits and small letters only, so what starts with `p` lies between `p` and `p~`.
pub(super) fn heads(db: &Connection, sha: &str) -> Result<Vec<HeadRecord>, Failure> {
    let sql = "SELECT version, checksum, record FROM heads \
               WHERE sha BETWEEN ?1 AND ?1 || '~' ORDER BY at DESC, sha, watch, subject";
    read(db, sql, [sha])
}

/// So many rows are checked at one moment: whoever reads at a moment for long keeps the log from ending.
pub(super) const BATCH: u32 = 1_000;

/// Reads every row of a table and forgets it.
pub(super) fn check<R: Record>(db: &Connection, table: &str) -> Result<(), Failure> {
    let sql = format!(
        "SELECT version, checksum, record, rowid FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT {BATCH}"
    );
    let mut last = Some(i64::MIN);
    while let Some(after) = last.take() {
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            record::<R>(row)?;
            last = Some(row.get(3)?);
        }
    }
    Ok(())
}

pub(super) fn read<R: Record>(
    db: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<R>, Failure> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

/// The checksum is compared first: a flipped bit of `version` is damage, not a newer Sentry.
pub(super) fn record<R: Record>(row: &Row<'_>) -> Result<R, Failure> {
    let (version, json) = text(row)?;
    Ok(R::decode(version, json)?)
}

/// The same before it is decoded: its version and its JSON.
pub(super) fn text<'r>(row: &'r Row<'_>) -> Result<(u32, &'r str), Failure> {
    let version: i64 = row.get(0)?;
    let json = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    matches(row, 1, &checksum(&version.to_string(), json))?;
    Ok((u32::try_from(version).unwrap_or(u32::MAX), json))
}

pub(super) fn columns<R: Record>(record: &R) -> Result<(u32, String, String), Failure> {
    let json = record.encode()?;
    Ok((VERSION, checksum(&VERSION.to_string(), &json), json))
}

/// 64 bits of sha256.
pub(super) fn checksum(first: &str, second: &str) -> String {
    let hash = Sha256::new().chain_update(first).chain_update([0]).chain_update(second);
    HEXLOWER.encode(&hash.finalize()[..8])
}

pub(super) fn matches(row: &Row<'_>, column: usize, expected: &str) -> Result<(), Failure> {
    let kept = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    if kept == expected {
        return Ok(());
    }
    Err(Failure::Damaged(format!("a row has checksum {kept:?} and should have {expected}")))
}
