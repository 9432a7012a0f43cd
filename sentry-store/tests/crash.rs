//! Programs that die while they work on the state: this test binary runs itself as the program that dies.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{fill, names, read_all};
use sentry_core::cursor::BranchState;
use sentry_core::delivery::Delivery;
use sentry_core::store::{Snapshot, StateStore as _, StoreErrorKind, Write};
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

/// One commit of many records that all hold `n`; large enough for several pages.
fn generation(n: u32) -> Vec<Write> {
    let notes = vec!["n".repeat(3000)];
    let mut writes = vec![
        Write::Branch(BranchState { observed: sample::mark(n), ..sample::branch_state(1) }),
        Write::Watch(sample::watch_state(n)),
        Write::Agent(sample::agent(n)),
        Write::Validator("n".into(), Some(sample::validator(n))),
    ];
    for slot in 0..8 {
        let delivery = sample::open_delivery(n);
        let delivery = Delivery { id: sample::id(slot), notes: notes.clone(), ..delivery };
        writes.push(Write::Delivery(Box::new(delivery)));
    }
    writes
}

/// The one generation that all records of a snapshot are of.
fn generation_of(snapshot: &Snapshot) -> u32 {
    let n = snapshot.agent.as_ref().map_or(0, |agent| {
        (0..u32::MAX).find(|n| sample::agent(*n) == *agent).expect("an agent of a generation")
    });
    if n == 0 {
        assert_eq!(*snapshot, Snapshot::default(), "the first commit is torn");
        return 0;
    }
    assert_eq!(snapshot.branches[0].observed, sample::mark(n), "torn");
    assert_eq!(snapshot.watches, [sample::watch_state(n)], "torn");
    assert_eq!(snapshot.validators, [("n".into(), sample::validator(n))], "torn");
    assert_eq!(snapshot.open.len(), 8, "torn");
    assert!(snapshot.open.iter().all(|d| d.revision == sample::revision(n)), "torn");
    n
}

/// Not a test by itself: commits generation after generation and says so, until it is killed.
#[tokio::test]
async fn child_that_commits() {
    let Some(dir) = dir_of_child() else { return };
    println!();
    let store = SqliteStore::open(&dir).unwrap();
    let first = generation_of(&store.snapshot().await.unwrap()) + 1;
    println!("open {first}");
    for n in first.. {
        store.commit(&generation(n)).await.unwrap();
        println!("kept {n}");
    }
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
async fn killed_at_any_moment_a_commit_is_whole_or_absent_and_none_is_lost() {
    if dir_of_child().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(23);
    let mut acknowledged = 0;
    for kill in 0..60 {
        let mut child = child("child_that_commits", dir.path());
        let mut lines = said(&mut child);
        // Each tenth dies while it opens the state, the first ones while they make it. The others get to work, however
        // slow the machine is, and die in the commit after so many.
        if kill % 10 != 0 {
            lines.find_map(|l| number(&l, "open")).expect("the child opened the state");
            for _ in 0..random.usize(..5) {
                acknowledged = lines.find_map(|l| number(&l, "kept")).expect("the child goes on");
            }
        }
        std::thread::sleep(Duration::from_micros(random.u64(..30_000)));
        child.kill().unwrap();
        acknowledged = lines.filter_map(|l| number(&l, "kept")).last().unwrap_or(acknowledged);
        child.wait().unwrap();

        let store = SqliteStore::open(dir.path()).expect("the state after a kill");
        let found = generation_of(&store.snapshot().await.unwrap());
        assert!(found >= acknowledged, "kill {kill}: {acknowledged} was kept, {found} is there");
    }
    assert!(acknowledged > 60, "the children did not get to work: {acknowledged} commits");
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
