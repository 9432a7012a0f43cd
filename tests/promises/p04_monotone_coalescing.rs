//! 4: a hundred pushes in ten seconds while an apply takes five: the last one wins, an older one never comes after a
//! newer one, and few are delivered at all.

use std::time::Duration;

use sentry_core::testing::fakes::FakeDeployer;
use sentry_tests::promise::kept;

use crate::world::{RUNS, World, commit_of, seconds};

const PUSHES: usize = 100;
const MOST: usize = 4;

/// One burst; how many of its heads were delivered.
async fn burst(phase: Duration) -> usize {
    let deployer = FakeDeployer::new().taking(Duration::from_secs(5));
    let mut world = World::new(deployer).polled_every(Duration::from_secs(1));
    world.start();
    seconds(3).await;
    tokio::time::sleep(phase).await;
    let mut pushed = Vec::new();
    for _ in 0..PUSHES {
        pushed.push(world.push());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seconds(60).await;
    let created = world.deployer.created();
    let place = |run| pushed.iter().position(|sha| sha.as_str() == commit_of(run)).unwrap();
    let mut order: Vec<usize> = created.iter().map(place).collect();
    assert!(order.is_sorted(), "{phase:?}: an older head came after a newer one: {order:?}");
    order.dedup();
    assert_eq!(order.last(), Some(&(PUSHES - 1)), "{phase:?}: the last one wins: {order:?}");
    assert!(order.len() <= MOST, "{phase:?}: {order:?}");
    assert_eq!(created.len(), order.len() * RUNS, "{phase:?}: each delivered head has its runs");
    assert_eq!(world.deployer.applies(), (order.len(), 1), "{phase:?}");
    order.len()
}

#[tokio::test(start_paused = true)]
async fn of_many_pushes_during_slow_applies_the_last_wins_in_few_deliveries() {
    let (mut bursts, mut most) = (0, 0);
    for phase in (0..1000).step_by(20) {
        bursts += 1;
        most = most.max(burst(Duration::from_millis(phase)).await);
    }
    let seen = format!(
        "{bursts} bursts of {PUSHES} pushes in 10 s, applies of 5 s: at most {most} deliveries, always in order, \
         the last head always the last"
    );
    kept(4, "", &seen);
}
