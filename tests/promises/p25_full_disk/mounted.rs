//! A disk that is really full: whoever tries this may mount one.

use std::time::Duration;

use sentry_core::delivery::Delivery;
use sentry_core::store::{Claim, Journal as _, StoreError, Write};
use sentry_core::testing::sample;
use sentry_store::SqliteStore;
use sentry_tests::promise::{cases, kept};
use sentry_tests::sandbox::{Sandbox, eventually_within};

use super::{DEGRADED, PATIENCE, delivered, road};
use crate::disk::Disk;

#[test]
fn a_full_disk_stops_everything_until_it_has_room_again() {
    let mut road = road();
    let place = road.sandbox.root().join("disk");
    let disk = Disk::mount(&place);
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
        assert!(!road.why(heads.last().unwrap()).contains("delivered"), "deliveries are on hold");
        drop(full);
        delivered(&road, &heads);
    }
    assert_eq!(agent.term().code, Some(0));
    let seen = format!("{all} times full: 0 writes to the cluster, recovered by itself");
    kept(25, "a real disk", &seen);
}

/// A delivery's record of some 15 KB, which is written over and over: the state stays small, its log does not.
async fn write(claim: &dyn Claim, n: usize) -> Result<(), StoreError> {
    let notes = vec![format!("{n:05}").repeat(3000)];
    claim.commit(&[Write::Delivery(Box::new(Delivery { notes, ..sample::delivery(1) }))]).await
}

/// By itself SQLite's log grows to 4 MiB, and is brought into the database by nothing but a write that went through.
#[tokio::test]
async fn a_log_never_takes_the_room_that_the_state_needs() {
    let sandbox = Sandbox::new();
    let place = sandbox.root().join("disk");
    let disk = Disk::mount(&place);
    let store = SqliteStore::open(&place.join("state")).unwrap();
    let all = cases(10_000, 300);
    let claim = store.claim("a test").await.unwrap();
    for n in 0..all {
        write(claim.as_ref(), n).await.unwrap();
    }
    drop((claim, store));
    let rounds = cases(100, 3);
    for round in 0..rounds {
        let store = SqliteStore::open(&place.join("round")).unwrap();
        let claim = store.claim("a test").await.unwrap();
        for n in 0..10 {
            write(claim.as_ref(), n).await.unwrap();
        }
        disk.fill();
        write(claim.as_ref(), round).await.unwrap_err();
        disk.free(128 << 10);
        for n in 0..100 {
            write(claim.as_ref(), n).await.unwrap();
        }
        disk.empty();
        drop((claim, store));
        std::fs::remove_dir_all(place.join("round")).unwrap();
    }
    let seen = format!(
        "{all} writes of 15 KB on a disk of 2 MiB, and {rounds} times 100 after it was full and 128 KiB came free: all kept"
    );
    kept(25, "a small disk", &seen);
}
