//! 25: the disk is full, fails, or can't be written: nothing advances and nothing is sent, it is said, and it goes on by
//! itself when the disk is well again.

use std::time::Duration;

use sentry_core::delivery::Delivery;
use sentry_core::store::{StateStore, StoreError, Write};
use sentry_core::testing::sample;
use sentry_store::SqliteStore;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::{Sandbox, eventually_within};
use sentry_tests::strace::Strace;
use sentry_tests::tally::{Tally, tree};

use crate::disk::Disk;

/// Attempts that failed are repeated after five minutes at the latest.
const PATIENCE: Duration = Duration::from_secs(330);
/// What the agent says for as long as it lasts.
const DEGRADED: &str = "state can't be written: nothing advances until it can";
/// Errors of the system, the calls that meet them (those by which SQLite writes and syncs), and the number of the call
/// of a thread by which they begin at the latest.
const FAILURES: [(&str, &str, usize); 6] = [
    ("ENOSPC", "pwrite64", 12),
    ("EIO", "fsync,fdatasync", 3),
    ("EIO", "pwrite64", 12),
    ("EROFS", "pwrite64", 12),
    ("EDQUOT", "pwrite64", 12),
    ("ENOSPC", "fsync,fdatasync", 3),
];

fn road() -> Road {
    let files = tree();
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let road = Road::with(&files);
    assert_eq!(road.once().code, Some(0));
    road
}

/// Waits for the head's runs; there is exactly one of each.
fn delivered(road: &Road, heads: &[String]) {
    eventually_within(PATIENCE, "the head is delivered", || {
        Tally::of(&road.cluster).lost(heads) == 0
            && road.why(heads.last().unwrap()).contains("delivered")
    });
    assert_eq!(Tally::of(&road.cluster).doubled(), 0);
}

#[test]
fn calls_that_fail_for_a_while_move_nothing_and_are_forgotten_when_they_work_again() {
    let road = road();
    let mut heads = Vec::new();
    let mut random = fastrand::Rng::with_seed(25);
    let (mut failures, mut said, mut refused) = (0, 0, 0);
    let wanted = cases(20 * FAILURES.len(), 2);
    for (error, calls, latest) in FAILURES.iter().cycle() {
        // Which thread makes a call, and so which of them the start already meets, is not always the same.
        let is_shown = said > 0 || heads.len() >= wanted + 10;
        if heads.len() >= wanted && is_shown {
            break;
        }
        // From the start or from the middle of a cycle on, for several attempts to write.
        let (from, long) = (random.usize(1..=*latest), 4 + random.usize(..8));
        let strace = Strace::of_the_program(calls).failing_at(calls, error, from, from + long);
        heads.push(road.push());
        let mut is_traced = true;
        let mut agent = road.sandbox.spawn_under(&strace, ["watch", "--log-level", "debug"]);
        eventually_within(PATIENCE, "the head is delivered, or the start is refused", || {
            !agent.is_running() || Tally::of(&road.cluster).lost(&heads) == 0
        });
        if !agent.is_running() {
            // It does not begin on a disk that fails: whatever keeps it running starts it again.
            let output = agent.wait();
            assert_eq!(output.code, Some(2), "{output:?}");
            assert!(output.stderr.contains("check the disk"), "{output:?}");
            refused += 1;
            is_traced = false;
            agent = road.watch();
        }
        let met = || strace.lines().iter().filter(|line| line.contains("(INJECTED)")).count();
        // Each second there is a write.
        eventually_within(PATIENCE, "the error is met, else the judge is blind", || met() > 0);
        delivered(&road, &heads);
        assert!(agent.is_running(), "{}", agent.stderr_so_far());
        failures += met();
        said += usize::from(agent.stderr_so_far().contains(DEGRADED));
        let stopped = if is_traced { agent.term_traced() } else { agent.term() };
        assert_eq!(stopped.code, Some(0), "{stopped:?}");
    }
    assert!(said > 0, "it is said");
    let seen = format!(
        "{} outages of the disk ({failures} failed calls: ENOSPC, EIO, EROFS, EDQUOT), {refused} at the start and refused, \
         {said} said by a running agent: 0 runs lost or doubled",
        heads.len()
    );
    kept(25, "failing calls", &seen);
}

#[test]
fn a_full_disk_stops_everything_until_it_has_room_again() {
    let mut road = road();
    let place = road.sandbox.root().join("disk");
    let Some(disk) = Disk::mount(&place) else {
        // Said, because it proves nothing: another user than root can't make a disk.
        kept(25, "a real disk", "not tried: only root can mount one");
        return;
    };
    road.sandbox.env("SENTRY_STATE_DIR", place.join("state"));
    assert_eq!(road.once().code, Some(0));
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let (all, mut heads) = (cases(20, 2), Vec::new());
    for _ in 0..all {
        heads.push(road.push());
        delivered(&road, &heads);
        let writes = road.cluster.writes();
        let before = agent.stderr_so_far().matches(DEGRADED).count();
        let full = disk.keep_full();
        eventually_within(PATIENCE, "it says so", || {
            agent.stderr_so_far().matches(DEGRADED).count() > before
        });
        heads.push(road.push());
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(road.cluster.writes(), writes, "nothing is sent");
        assert!(!road.why(heads.last().unwrap()).contains("delivered"), "nothing advances");
        drop(full);
        delivered(&road, &heads);
    }
    assert_eq!(agent.term().code, Some(0));
    let seen = format!("{all} times full: 0 writes to the cluster, recovered by itself");
    kept(25, "a real disk", &seen);
}

/// A delivery's record of some 15 KB, which is written over and over: the state stays small, its log does not.
async fn write(store: &SqliteStore, n: usize) -> Result<(), StoreError> {
    let notes = vec![format!("{n:05}").repeat(3000)];
    store.commit(&[Write::Delivery(Box::new(Delivery { notes, ..sample::delivery(1) }))]).await
}

/// By itself SQLite's log grows to 4 MiB, and is brought into the database by nothing but a write that went through.
#[tokio::test]
async fn a_log_never_takes_the_room_that_the_state_needs() {
    let sandbox = Sandbox::new();
    let place = sandbox.root().join("disk");
    let Some(disk) = Disk::mount(&place) else {
        // Said, because it proves nothing: another user than root can't make a disk.
        kept(25, "a small disk", "not tried: only root can mount one");
        return;
    };
    let store = SqliteStore::open(&place.join("state")).unwrap();
    let all = cases(10_000, 300);
    for n in 0..all {
        write(&store, n).await.unwrap();
    }
    drop(store);
    let rounds = cases(100, 3);
    for round in 0..rounds {
        let store = SqliteStore::open(&place.join("round")).unwrap();
        for n in 0..10 {
            write(&store, n).await.unwrap();
        }
        disk.fill();
        write(&store, round).await.unwrap_err();
        disk.free(128 << 10);
        for n in 0..100 {
            write(&store, n).await.unwrap();
        }
        disk.empty();
        drop(store);
        std::fs::remove_dir_all(place.join("round")).unwrap();
    }
    let seen = format!(
        "{all} writes of 15 KB on a disk of 2 MiB, and {rounds} times 100 after it was full and 128 KiB came free: all kept"
    );
    kept(25, "a small disk", &seen);
}
