//! Programs that die while they hold the state, and many at once: this test binary runs itself as the program that dies.
//! Deaths in the middle of a save are promise 23's proof.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{fill, names, read_all};
use sentry_core::store::{StateStore as _, StoreErrorKind};
use sentry_core::testing::sample;
use sentry_store::SqliteStore;

/// Set in the child: the state directory.
const DIR: &str = "SENTRY_STORE_TEST_DIR";

fn child(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn dir_of_child() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// What the child says, line by line.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

/// The number after `word` in a line.
fn number(line: &str, word: &str) -> Option<u32> {
    line.strip_prefix(word)?.trim().parse().ok()
}

/// Not a test by itself: holds the lock until it is killed.
#[tokio::test]
async fn child_that_locks() {
    let Some(dir) = dir_of_child() else { return };
    println!();
    let store = SqliteStore::open(&dir).unwrap();
    let _lock = store.lock(&format!("pid {}", std::process::id())).await.unwrap();
    println!("locked {}", std::process::id());
    std::thread::sleep(Duration::from_secs(600));
}

#[tokio::test]
async fn a_killed_agents_lock_is_free_and_a_living_ones_is_not() {
    if dir_of_child().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = child("child_that_locks", dir.path());
    let pid = said(&mut child).find_map(|l| number(&l, "locked")).expect("the child has the lock");
    let store = SqliteStore::open(dir.path()).unwrap();
    let refused = store.lock("second").await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Held);
    assert!(refused.to_string().contains(&format!("pid {pid}")), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    let _lock = store.lock("second").await.expect("the lock of a dead agent");
}

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
    let mut second = std::pin::pin!(store.lock("second"));
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
    assert_eq!(names(dir.path()), ["setup.lock", "state.db"]);
}
