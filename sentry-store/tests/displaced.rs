//! The state on disk is the one that is used: what becomes of its files under an open store is noticed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::fs;
use std::path::Path;

use sentry_core::store::{
    Archive as _, Claim, Inbox as _, Journal as _, OverviewQuery, StoreErrorKind, Write,
};
use sentry_core::testing::{commit, load, sample};
use sentry_store::SqliteStore;

/// Something that happens to a state directory `state`, whose name the error tells.
type Harm = (&'static str, fn(&Path), &'static str);

fn away(state: &Path) -> std::path::PathBuf {
    state.with_extension("away")
}

fn put_back(state: &Path) {
    fs::remove_dir_all(state).ok();
    fs::rename(away(state), state).unwrap();
}

fn swapped(state: &Path, name: &str) {
    let file = state.join(name);
    fs::copy(&file, state.join("copy")).unwrap();
    fs::rename(state.join("copy"), file).unwrap();
}

const FOR_GOOD: &[Harm] = &[
    ("the directory is removed", |state| fs::remove_dir_all(state).unwrap(), "removed"),
    (
        "the directory is made anew",
        |state| {
            fs::remove_dir_all(state).unwrap();
            fs::create_dir(state).unwrap();
        },
        "removed",
    ),
    (
        "another state takes its place",
        |state| {
            fs::remove_dir_all(state).unwrap();
            drop(SqliteStore::open(state).unwrap());
        },
        "agent.lock was removed",
    ),
    (
        "a file takes the directory's place",
        |state| {
            fs::remove_dir_all(state).unwrap();
            fs::write(state, "").unwrap();
        },
        "can't be reached",
    ),
    ("the database is removed", |s| fs::remove_file(s.join("state.db")).unwrap(), "removed"),
    ("the log is removed", |s| fs::remove_file(s.join("state.db-wal")).unwrap(), "removed"),
    ("the index is removed", |s| fs::remove_file(s.join("state.db-shm")).unwrap(), "removed"),
    ("the lock is removed", |s| fs::remove_file(s.join("agent.lock")).unwrap(), "removed"),
    ("the database is replaced", |state| swapped(state, "state.db"), "replaced"),
    ("the log is replaced", |state| swapped(state, "state.db-wal"), "replaced"),
    ("the database is emptied", |s| fs::write(s.join("state.db"), "").unwrap(), "emptied"),
];

async fn is_refused(store: &SqliteStore, claim: &dyn Claim, what: &str, told: &str) {
    let wrote = claim.commit(&[Write::Cursors(sample::cursors(2))]).await.unwrap_err();
    let read = store.overview(&OverviewQuery::default()).await.unwrap_err();
    let looked = store.requests().await.unwrap_err();
    for error in [wrote, read, looked] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{what}: {error}");
        assert!(error.to_string().contains(told), "{what}: {error}");
    }
}

#[tokio::test]
async fn nothing_is_read_or_kept_once_the_files_of_a_state_are_not_in_their_place() {
    for (what, harm, told) in FOR_GOOD {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let store = SqliteStore::open(&state).unwrap();
        let claim = store.claim("agent").await.unwrap();
        claim.commit(&[Write::Cursors(sample::cursors(1))]).await.unwrap();
        store.requests().await.unwrap();
        harm(&state);
        is_refused(&store, claim.as_ref(), what, told).await;
    }
}

#[tokio::test]
async fn a_state_that_is_moved_and_comes_back_goes_on_and_one_lock_never_covers_two_directories() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let store = SqliteStore::open(&state).unwrap();
    commit(&store, &[Write::Cursors(sample::cursors(1))]).await.unwrap();
    for harm in [|_: &Path| {}, |state: &Path| drop(SqliteStore::open(state).unwrap())] {
        fs::rename(&state, away(&state)).unwrap();
        harm(&state);
        assert!(commit(&store, &[Write::Cursors(sample::cursors(2))]).await.is_err());
        let error = store.claim("agent").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        put_back(&state);
        assert_eq!(load(&store).await.unwrap().cursors, [sample::cursors(1)]);
    }
    commit(&store, &[Write::Cursors(sample::cursors(2))]).await.unwrap();
    assert_eq!(load(&store).await.unwrap().cursors, [sample::cursors(2)]);
    // A lock that was given back may go: nobody relies on it.
    drop(store.claim("agent").await.unwrap());
    fs::remove_file(state.join("agent.lock")).unwrap();
    store.overview(&OverviewQuery::default()).await.unwrap();
}

#[tokio::test]
async fn what_cant_be_looked_at_is_not_absent() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink(&nowhere, state.join("state.db")).unwrap();
    let linked = dir.path().join("linked");
    std::os::unix::fs::symlink(&nowhere, &linked).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for place in [&state, &linked, &file.join("state")] {
        for error in [
            SqliteStore::open(place).map(drop).unwrap_err(),
            SqliteStore::open_read_only(place).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains(&place.display().to_string()), "{error}");
        }
    }
    assert!(!nowhere.exists() && !nowhere.join("state.db").exists());
}
