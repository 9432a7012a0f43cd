//! 29: the API server is away for ten minutes while a hundred pushes come: nothing is parked, at most one head waits for
//! each branch, and the newest is delivered within a minute of its return.

use std::time::Duration;

use sentry_core::delivery::DeliveryState;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_tests::promise::kept;
use tokio::time::Instant;

use crate::world::{A, RUNS, World, commit_of, seconds};

const AWAY: u64 = 600;
const PUSHES: u64 = 100;
const LIMIT: Duration = Duration::from_secs(60);

/// One outage; the pushes come in its first `busy` seconds. How long after the return the newest heads had their runs.
async fn outage(busy: u64, seed: u64) -> Duration {
    fastrand::seed(seed);
    let deployer = FakeDeployer::new().taking(Duration::from_secs(1));
    let mut world = World::new(deployer).polled_every(Duration::from_secs(5));
    world.options.inbox_interval = Duration::from_secs(60);
    world.start();
    world.forge.commit(A, "release/1", "cut", &[]);
    seconds(20).await;
    let before = world.deployer.created().len();
    world.deployer.down(true);
    let gone = Instant::now();
    let (mut main, mut release) = (world.push(), None);
    for n in 1..PUSHES {
        tokio::time::sleep(Duration::from_secs(busy) / u32::try_from(PUSHES).unwrap()).await;
        if n % 10 == 0 {
            release = Some(world.forge.commit(A, "release/1", "fix", &[]));
        } else {
            main = world.push();
        }
        judge_queue(&world).await;
    }
    while gone.elapsed() < Duration::from_secs(AWAY) {
        seconds(1).await;
        judge_queue(&world).await;
    }
    assert_eq!(world.deployer.created().len(), before, "it was away");
    world.deployer.down(false);
    let back = Instant::now();
    let wanted = [main, release.unwrap()];
    let arrived = |sha: &str| {
        world.deployer.created().iter().filter(|run| commit_of(run) == sha).count() == RUNS
    };
    while !wanted.iter().all(|sha| arrived(sha.as_str())) {
        assert!(back.elapsed() <= LIMIT, "pushes for {busy} s, seed {seed}: still not delivered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let parked = world.deliveries().await.into_iter().find(|d| d.state == DeliveryState::Parked);
    assert_eq!(parked, None);
    let made = world.deployer.created().len() - before;
    assert_eq!(made, wanted.len() * RUNS, "only the newest heads are delivered");
    back.elapsed()
}

/// At most one head of each branch waits, and none was given up.
async fn judge_queue(world: &World) {
    let snapshot = world.store.snapshot();
    let mut waiting: Vec<_> = snapshot.open.iter().map(|d| d.revision.subject.clone()).collect();
    let all = waiting.len();
    waiting.dedup();
    assert_eq!(waiting.len(), all, "{waiting:?}");
    assert!(snapshot.cursors.iter().all(|branch| branch.parked.is_none()));
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_without_a_cluster_the_newest_head_arrives_within_one() {
    let (mut outages, mut slowest) = (0, Duration::ZERO);
    for busy in [10, 60, 300, 600] {
        for seed in 0..4 {
            outages += 1;
            slowest = slowest.max(outage(busy, seed).await);
        }
    }
    let seen = format!(
        "{outages} outages of {AWAY} s, each with {PUSHES} pushes to 2 branches in its first 10 to 600 s: newest heads \
         delivered at most {:.1} s after the return, never more than 1 waiting for a branch, 0 parked",
        slowest.as_secs_f64()
    );
    kept(29, "", &seen);
}
