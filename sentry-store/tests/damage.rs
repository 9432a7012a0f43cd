//! What becomes of a damaged file, a foreign one, and one that can't be used. Every cut and flipped bit is promise 24's.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod common;

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::{All, fill, names, read_all};
use sentry_core::store::{
    Archive as _, Hold, Inbox as _, Journal as _, OverviewQuery, Snapshot, StoreError,
    StoreErrorKind,
};
use sentry_core::testing::{load, sample};
use sentry_store::SqliteStore;
use tempfile::TempDir;

/// The bytes of a closed store, and what it holds.
async fn whole() -> (Vec<u8>, All) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    fill(&store).await;
    let all = read_all(&store).await.unwrap();
    drop(store);
    assert_eq!(
        names(dir.path()),
        ["agent.lock", "setup.lock", "state.db"],
        "a closed store leaves no log"
    );
    (fs::read(db(dir.path())).unwrap(), all)
}

fn dir_with(bytes: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(db(dir.path()), bytes).unwrap();
    dir
}

/// Opens the file as a starting agent would. Damage must be found at once, or by the read that meets it and again by the start
/// after that; be told, and be out of the way then.
async fn open_damaged(dir: &Path) -> Result<All, StoreError> {
    let error = match SqliteStore::open(dir) {
        Ok(store) => match read_all(&store).await {
            Ok(all) => return Ok(all),
            Err(error) => {
                assert!(error.to_string().contains("restart the agent"), "{error}");
                drop(store);
                SqliteStore::open(dir).expect_err("the next start reads everything")
            }
        },
        Err(error) => error,
    };
    if error.kind() == StoreErrorKind::Corrupt {
        let moved = names(dir).into_iter().find(|name| name.starts_with("state.db.corrupt-"));
        let moved = moved.expect("the damaged file is kept");
        assert!(error.to_string().contains(&moved), "{error}");
        assert!(error.to_string().contains("fresh state"), "{error}");
        assert!(!db(dir).exists() && !dir.join("state.db-wal").exists());
    }
    Err(error)
}

/// The start after the one that found the damage.
async fn starts_afresh(dir: &Path) {
    let fresh = SqliteStore::open(dir).expect("the second start");
    assert_eq!(load(&fresh).await.unwrap(), Snapshot::default());
    fill(&fresh).await;
}

#[tokio::test]
async fn a_bit_flipped_under_an_open_store_is_found_by_a_read_without_a_panic() {
    let (bytes, _) = whole().await;
    let mut random = fastrand::Rng::with_seed(21);
    for _ in 0..100 {
        let dir = dir_with(&bytes);
        let store = SqliteStore::open_read_only(dir.path()).unwrap().unwrap();
        let bit = random.usize(100 * 8..bytes.len() * 8);
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(db(dir.path()), flipped).unwrap();
        match read_all(&store).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "bit {bit}: {error}");
                assert!(error.to_string().contains("restart the agent"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_database_or_not_ours_is_moved_aside() {
    let foreign = tempfile::tempdir().unwrap();
    let other = rusqlite::Connection::open(db(foreign.path())).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    drop(other);
    let foreign = fs::read(db(foreign.path())).unwrap();
    for bytes in [&b""[..], b"x", b"<html>not found</html>", &[0; 8192], &foreign] {
        let dir = dir_with(bytes);
        let error = open_damaged(dir.path()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        starts_afresh(dir.path()).await;
    }
}

#[tokio::test]
async fn a_log_without_its_database_is_not_played_into_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    fill(&store).await;
    let log = fs::read(dir.path().join("state.db-wal")).unwrap();
    drop(store);
    fs::remove_file(db(dir.path())).unwrap();
    fs::write(dir.path().join("state.db-wal"), log).unwrap();
    let error = open_damaged(dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("only its log is there"), "{error}");
    starts_afresh(dir.path()).await;
}

#[tokio::test]
async fn a_damaged_file_stays_where_it_is_while_an_agent_works_on_it() {
    let (mut bytes, _) = whole().await;
    let dir = dir_with(&bytes);
    let agent = SqliteStore::open(dir.path()).unwrap();
    let lock = agent.claim("pid 7 on host-a").await.unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    fs::write(db(dir.path()), &bytes).unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("pid 7 on host-a"), "{error}");
    assert!(!names(dir.path()).iter().any(|name| name.contains("corrupt")));
    drop((lock, agent));
    assert_eq!(open_damaged(dir.path()).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (bytes, _) = whole().await;
    let dir = dir_with(&bytes);
    let raw = rusqlite::Connection::open(db(dir.path())).unwrap();
    raw.pragma_update(None, "user_version", 700).unwrap();
    drop(raw);
    for error in [
        SqliteStore::open(dir.path()).unwrap_err(),
        SqliteStore::open_read_only(dir.path()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Newer);
        assert!(error.to_string().contains("schema 700, this one knows "), "{error}");
    }
    assert!(!names(dir.path()).iter().any(|name| name.contains("corrupt")));
}

#[tokio::test]
async fn a_row_of_a_newer_sentry_is_refused_and_left_alone() {
    use sha2::{Digest as _, Sha256};
    let (bytes, _) = whole().await;
    let dir = dir_with(&bytes);
    let sum = Sha256::digest(b"9\0{\"watch\":\"app\"}");
    let sum: String = sum[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let raw = rusqlite::Connection::open(db(dir.path())).unwrap();
    let sql = "UPDATE watches SET version = 9, record = '{\"watch\":\"app\"}', checksum = ?1";
    raw.execute(sql, [sum]).unwrap();
    drop(raw);
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Newer, "{error}");
    let cause = error.source().expect("a cause").to_string();
    assert!(cause.contains("version 9") && !error.to_string().contains(&cause), "{error}: {cause}");
    let reader = SqliteStore::open_read_only(dir.path()).unwrap().unwrap();
    let refused = reader.overview(&OverviewQuery::default()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Newer);
}

#[tokio::test]
async fn an_edited_row_is_damage() {
    let (bytes, _) = whole().await;
    let dir = dir_with(&bytes);
    let raw = rusqlite::Connection::open(db(dir.path())).unwrap();
    raw.execute("UPDATE deliveries SET record = json_set(record, '$.state', 'failed')", [])
        .unwrap();
    drop(raw);
    let reader = SqliteStore::open_read_only(dir.path()).unwrap().unwrap();
    let error = reader.deliveries(&Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert_eq!(open_damaged(dir.path()).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn damage_that_nobody_asks_for_is_found_beside_the_agent_and_moved_aside_by_the_next_start() {
    let (bytes, _) = whole().await;
    let edit_a_row = "UPDATE heads SET record = json_set(record, '$.detail', 'x') WHERE rowid = 7";
    let mix_up_indexes = "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET rootpage = (
            SELECT sum(rootpage) FROM sqlite_schema
            WHERE name IN ('deliveries_by_state', 'deliveries_of_watch')) - rootpage
        WHERE name IN ('deliveries_by_state', 'deliveries_of_watch')";
    for damage in [edit_a_row, mix_up_indexes] {
        let dir = dir_with(&bytes);
        let raw = rusqlite::Connection::open(db(dir.path())).unwrap();
        raw.execute_batch(damage).unwrap();
        drop(raw);
        let store = SqliteStore::open(dir.path()).unwrap();
        let claim = store.claim("an agent").await.unwrap();
        let error = loop {
            match claim.load().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("restart the agent"), "{error}");
        drop((claim, store));
        assert_eq!(open_damaged(dir.path()).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
        starts_afresh(dir.path()).await;
    }
}

#[tokio::test]
async fn a_state_that_a_read_took_for_damaged_goes_on_once_a_start_has_found_it_whole() {
    let (bytes, all) = whole().await;
    let dir = dir_with(&bytes);
    fs::write(dir.path().join("state.db.suspect"), "").unwrap();
    assert_eq!(open_damaged(dir.path()).await.unwrap(), all);
    assert!(!dir.path().join("state.db.suspect").exists());
}

#[tokio::test]
async fn a_place_that_cant_be_used_is_unavailable_and_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let below_a_file = dir.path().join("file/state");
    let error = SqliteStore::open(&below_a_file).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("file/state"), "{error}");

    let a_directory = dir.path().join("taken");
    fs::create_dir_all(db(&a_directory)).unwrap();
    let error = SqliteStore::open(&a_directory).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_directory_is_unavailable_and_nothing_is_moved() {
    use std::os::unix::fs::PermissionsExt as _;
    let (bytes, _) = whole().await;
    let dir = dir_with(&bytes);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let result = SqliteStore::open(dir.path());
    // The superuser writes to it all the same.
    if let Err(error) = result {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!names(dir.path()).iter().any(|name| name.contains("corrupt")));
}

#[tokio::test]
async fn a_reader_finds_no_state_sees_an_agents_writes_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(SqliteStore::open_read_only(dir.path()).unwrap().is_none());
    assert!(names(dir.path()).is_empty());

    let agent = SqliteStore::open(dir.path()).unwrap();
    let reader = SqliteStore::open_read_only(dir.path()).unwrap().unwrap();
    fill(&agent).await;
    assert_eq!(read_all(&reader).await.unwrap(), read_all(&agent).await.unwrap());
    let refused = reader.hold(&Hold::Resume(sample::resumption("app"))).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    assert!(refused.to_string().contains("read-only"), "{refused}");
    assert_eq!(read_all(&reader).await.unwrap(), read_all(&agent).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_made_is_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b");
    let store = SqliteStore::open(&state).unwrap();
    fill(&store).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for name in names(&state) {
        assert_eq!(mode(&state.join(&name)), 0o600, "{name}");
    }
}

/// The database of a state directory.
fn db(dir: &Path) -> PathBuf {
    dir.join("state.db")
}
