//! A state that an older Sentry made.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use sentry_core::store::{Archive as _, Hold, Inbox as _, OverviewQuery, StoreErrorKind, Write};
use sentry_core::testing::{commit, load, sample};
use sentry_store::SqliteStore;
use sha2::{Digest as _, Sha256};

/// The schemas before subjects.
const OLDER: [&str; 4] = [
    include_str!("../src/sqlite/schema.sql"),
    include_str!("../src/sqlite/schema-2.sql"),
    include_str!("../src/sqlite/schema-3.sql"),
    include_str!("../src/sqlite/schema-4.sql"),
];

/// The cursors of [`sample::cursors`], as they were kept when whatever has a head was a branch.
async fn record_of_a_branch() -> String {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    commit(&store, &[Write::Cursors(sample::cursors(1))]).await.unwrap();
    let raw = Connection::open(dir.path().join("state.db")).unwrap();
    let today: String = raw.query_row("SELECT record FROM cursors", [], |row| row.get(0)).unwrap();
    let older = today.replace(r#""subject":"refs/heads/"#, r#""branch":""#);
    assert_ne!(today, older);
    older
}

/// Makes a state with so many of the older schemas.
async fn make(dir: &Path, schema: usize) {
    let raw = Connection::open(dir.join("state.db")).unwrap();
    raw.pragma_update(None, "application_id", i32::from_be_bytes(*b"SNTR")).unwrap();
    raw.pragma_update(None, "journal_mode", "WAL").unwrap();
    for step in &OLDER[..schema] {
        raw.execute_batch(step).unwrap();
    }
    raw.pragma_update(None, "user_version", i64::try_from(schema).unwrap()).unwrap();
    if schema > 0 {
        let record = record_of_a_branch().await;
        let sum = Sha256::digest(format!("3\0{record}"));
        let sum: String = sum[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let sql = "INSERT INTO branches (version, checksum, record) VALUES (3, ?1, ?2)";
        raw.execute(sql, [sum, record]).unwrap();
    }
}

#[tokio::test]
async fn a_state_of_any_older_schema_is_read_without_an_agent_and_left_as_it_is() {
    for schema in 1..=OLDER.len() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), schema).await;
        let before = fs::read(dir.path().join("state.db")).unwrap();
        let reader = SqliteStore::open_read_only(dir.path()).unwrap().unwrap();
        let overview = reader.overview(&OverviewQuery::default()).await.unwrap();
        assert_eq!(overview.subjects[0].cursors, sample::cursors(1), "{schema}");
        let refused = reader.hold(&Hold::Resume(sample::resumption("app"))).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
        assert!(refused.to_string().contains("read-only"), "{refused}");
        drop(reader);
        assert_eq!(fs::read(dir.path().join("state.db")).unwrap(), before, "schema {schema}");

        let agent = SqliteStore::open(dir.path()).unwrap();
        assert_eq!(load(&agent).await.unwrap().cursors, [sample::cursors(1)], "{schema}");
    }
}

#[tokio::test]
async fn a_state_without_a_schema_is_damaged_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 0).await;
    for error in [
        SqliteStore::open_read_only(dir.path()).unwrap_err(),
        SqliteStore::open(dir.path()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    }
}
