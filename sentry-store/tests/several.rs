//! Several at one state, at once and one after the other. Programs that die while they hold it are promise 26's proof, and
//! deaths in the middle of a save promise 23's.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod common;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use common::{fill, names, read_all};
use sentry_core::store::{Inbox as _, Journal as _};
use sentry_core::testing::sample;
use sentry_store::SqliteStore;

#[tokio::test]
async fn who_comes_while_the_holder_starts_waits_for_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let file = |name| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).open(dir.path().join(name)).unwrap()
    };
    // An agent that has the lock and has not written its name yet.
    let (setup, mut agent) = (file("setup.lock"), file("agent.lock"));
    setup.lock().unwrap();
    agent.lock().unwrap();
    let mut second = std::pin::pin!(store.claim("second"));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "{early:?}");
    agent.write_all(b"pid 7 on host-a").unwrap();
    drop(setup);
    let refused = second.await.unwrap_err();
    assert!(refused.to_string().contains("in use by pid 7 on host-a"), "{refused}");
}

#[tokio::test]
async fn everything_is_there_after_the_store_was_closed_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    fill(&store).await;
    let all = read_all(&store).await.unwrap();
    drop(store);
    let reopened = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(read_all(&reopened).await.unwrap(), all);
    assert_eq!(reopened.request(&sample::trigger(1)).await.unwrap(), sample::trigger(1));
}

#[tokio::test]
async fn ten_programs_that_open_a_new_directory_at_once_make_one_state() {
    let dir = tempfile::tempdir().unwrap();
    let stores: Vec<SqliteStore> = std::thread::scope(|scope| {
        let open = || SqliteStore::open(dir.path()).unwrap();
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    fill(&stores[0]).await;
    let all = read_all(&stores[0]).await.unwrap();
    for store in &stores {
        assert_eq!(read_all(store).await.unwrap(), all);
    }
    drop(stores);
    assert_eq!(names(dir.path()), ["agent.lock", "setup.lock", "state.db"]);
}
