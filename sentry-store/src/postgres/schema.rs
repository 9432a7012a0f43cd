//! The tables, and how an older schema is brought forward.

use std::time::Duration;

use super::failure::{Failure, OLDEST};
use super::session::{CALL, Lent, Pool};

/// Step `n` brings schema `n` to schema `n + 1`. Steps are only ever added, and only ever add: processes of an older version
/// go on beside those of this one.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];

/// The index of all sequences of three characters in what deliveries are found by, where the database has the extension or
/// lets us make it; without it each text is looked at (<https://www.postgresql.org/docs/current/pgtrgm.html>).
const SEARCH: &str = "DO $$
    DECLARE
        place text;
    BEGIN
        IF to_regclass('deliveries_searched') IS NOT NULL THEN
            RETURN;
        END IF;
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        SELECT n.nspname INTO place FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_trgm';
        EXECUTE format('CREATE INDEX deliveries_searched ON deliveries USING gin (searched %I.gin_trgm_ops)', place);
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        NULL;
    END $$";

/// A process at a time: the lock is given back with the transaction. How long another one's migration takes is its own affair.
const LOCK: &str = "SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = 0;
    SELECT pg_advisory_xact_lock(hashtext('sentry migrates'))";

/// How long a migration may take.
const MIGRATION: Duration = Duration::from_secs(3600);

/// Whether there is a state that this program can read as it is.
///
/// # Errors
/// [`Failure::OlderSchema`] and [`Failure::NewerSchema`] where there is one that it can't.
pub(super) async fn is_there(pool: &Pool) -> Result<bool, Failure> {
    let db = pool.lend(CALL).await?;
    server(&db).await?;
    match version(&db).await? {
        0 => Ok(false),
        version if version < known() => Err(Failure::OlderSchema(version, known())),
        _ => Ok(true),
    }
}

/// Brings the database to the schema of this program, step by step: all of it or nothing.
pub(super) async fn migrate(pool: &Pool) -> Result<(), Failure> {
    let db = pool.lend(MIGRATION).await?;
    server(&db).await?;
    if version(&db).await? == known() {
        return Ok(());
    }
    db.begin("BEGIN").await?;
    db.run(LOCK).await?;
    let from = version(&db).await?;
    if from == 0 {
        db.run("CREATE TABLE schema (version integer NOT NULL); INSERT INTO schema VALUES (0)")
            .await?;
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or_default()) {
        db.run(step).await?;
    }
    db.run(&format!("UPDATE schema SET version = {}", known())).await?;
    db.run(SEARCH).await?;
    db.end().await
}

/// The schema that this program works on.
fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// An error where the server is too old.
async fn server(db: &Lent<'_>) -> Result<(), Failure> {
    let sql =
        "SELECT current_setting('server_version'), current_setting('server_version_num')::integer";
    for row in db.rows(sql, &[]).await? {
        let number: i32 = row.try_get(1)?;
        if number / 10_000 < i32::try_from(OLDEST).unwrap_or(i32::MAX) {
            return Err(Failure::OldServer(row.try_get(0)?));
        }
    }
    Ok(())
}

/// The schema of the database; 0 if it has none of ours.
///
/// # Errors
/// [`Failure::NewerSchema`] where it is not for us.
async fn version(db: &Lent<'_>) -> Result<i32, Failure> {
    // Not by to_regclass: in a transaction it does not see a table that was made while a lock was waited for.
    let sql = "SELECT 1 FROM pg_class WHERE relname = 'schema' AND relkind = 'r' AND pg_table_is_visible(oid)";
    if db.rows(sql, &[]).await?.is_empty() {
        return Ok(0);
    }
    let kept = db.rows("SELECT version FROM schema", &[]).await?;
    let version = kept.first().map(|row| row.try_get(0)).transpose()?;
    let version = version.ok_or_else(|| Failure::Damaged("its schema has no version".into()))?;
    if version > known() { Err(Failure::NewerSchema(version, known())) } else { Ok(version) }
}
