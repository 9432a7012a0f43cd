//! The tables, how an older schema is brought forward, and whether what lies in them is whole.

use rusqlite::{Connection, TransactionBehavior};
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{HeadRecord, Trigger};
use sentry_core::store::{
    Act, AgentState, InventoryItem, Outgoing, Report, Suspension, Trouble, WatchState,
};

use super::deliveries;
use super::failure::Failure;
use super::rows;

/// Step `n` brings schema `n` to schema `n + 1`. Steps are only ever added.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
    include_str!("schema-7.sql"),
    include_str!("schema-8.sql"),
    include_str!("schema-9.sql"),
    include_str!("schema-10.sql"),
    include_str!("schema-11.sql"),
];

/// The schema that this program works on.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Marks the file as Sentry's: `SNTR`.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"SNTR");

/// The schema of the file.
///
/// # Errors
/// [`Failure::NewerSchema`] where it is not for us.
pub(super) fn version(connection: &Connection) -> Result<i64, Failure> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION { Err(Failure::NewerSchema(version, VERSION)) } else { Ok(version) }
}

/// The schema of a file that an agent made: never none.
pub(super) fn existing(connection: &Connection) -> Result<i64, Failure> {
    match version(connection)? {
        0 => Err(Failure::Damaged("it holds no schema".into())),
        version => Ok(version),
    }
}

/// Brings the file to [`VERSION`], step by step, each one whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    while version(connection)? < VERSION {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let from = version(&step)?;
        let Some(sql) = usize::try_from(from).ok().and_then(|from| MIGRATIONS.get(from)) else {
            return Err(Failure::Damaged(format!("there is no schema {from}")));
        };
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", from + 1)?;
        step.commit()?;
    }
    Ok(())
}

/// The tables of what is live. None of them grows with what was delivered.
const LIVE: [&str; 8] =
    ["cursors", "watches", "validators", "outbox", "troubles", "suspensions", "agent", "claims"];

/// Reads what an agent begins with: SQLite's own check of the tables of what is live, then every live row against its
/// checksum, wherever it is.
pub(super) fn verify_live(connection: &Connection) -> Result<(), Failure> {
    LIVE.iter().try_for_each(|table| integrity(connection, table))?;
    rows::snapshot(connection).map(drop)
}

/// Reads everything once: SQLite's own check, then every row against its checksum. An agent may write meanwhile.
pub(super) fn verify(connection: &Connection) -> Result<(), Failure> {
    integrity(connection, "1")?;
    rows::check::<Cursors>(connection, "cursors")?;
    rows::check::<WatchState>(connection, "watches")?;
    deliveries::check(connection)?;
    rows::check::<Trigger>(connection, "triggers")?;
    rows::check::<HeadRecord>(connection, "heads")?;
    rows::check::<Report>(connection, "reports")?;
    rows::check::<Outgoing>(connection, "outbox")?;
    rows::check::<Trouble>(connection, "troubles")?;
    rows::check::<InventoryItem>(connection, "inventory")?;
    rows::check::<Suspension>(connection, "suspensions")?;
    rows::check::<AgentState>(connection, "agent")?;
    rows::check::<Act>(connection, "acts")?;
    rows::validators(connection).map(drop)
}

/// SQLite's own check, of one table with its indexes, or of the whole file until so many errors.
fn integrity(connection: &Connection, of: &str) -> Result<(), Failure> {
    let sql = format!("PRAGMA integrity_check({of})");
    let found: String = connection.query_row(&sql, [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Failure::Damaged(found.trim().replace('\n', " "))) }
}
