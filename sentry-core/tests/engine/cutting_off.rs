//! The process ends in the middle of an attempt: the attempt counts, and what ends the process again and again is parked.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use sentry_core::event::EventKind;
use sentry_core::store::*;

use super::*;

impl World {
    /// Baselined; each apply takes a minute.
    async fn slow() -> Self {
        let mut world = Self::with(FakeDeployer::new().taking(Duration::from_secs(60)));
        world.watch.timing.max_retries = 2;
        world.start();
        minutes(1).await;
        world
    }

    /// Kills the agent in the middle of an attempt of the newest delivery, and starts it again.
    async fn cut_off(&mut self) {
        while self.deliveries().await.first().is_none_or(|d| d.state != DeliveryState::Applying) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.kill().await;
        self.start();
        // The first thing it writes.
        while self.deliveries().await[0].state == DeliveryState::Applying {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn attempts_told(&mut self) -> Vec<u32> {
        let mut told = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let EventKind::DeliveryStarted { attempt, .. } = event.kind {
                told.push(attempt);
            }
        }
        told
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_kill_cut_off_has_failed_and_the_next_one_is_the_second() {
    let mut world = World::slow().await;
    let sha = world.push();
    world.cut_off().await;
    let waiting = world.deliveries().await.remove(0);
    assert_eq!(
        (waiting.state, waiting.attempts.tries, waiting.attempts.cut_off),
        (DeliveryState::Pending, 1, 1)
    );
    let error = waiting.error.unwrap();
    assert!(error.contains("the process ended in the middle of attempt 1"), "{error}");
    minutes(3).await;
    assert_eq!(world.attempts_told(), [2]);
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(world.deployer.created().len(), 1, "what it had sent is not sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_kill_counts_at_every_step_of_an_attempt() {
    for state in [DeliveryState::Fetching, DeliveryState::Checking, DeliveryState::Applying] {
        let mut world = World::slow().await;
        let sha = world.push();
        while world.deliveries().await.first().is_none_or(|d| d.intent.is_none()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.kill().await;
        let cut_off = Delivery { state, ..world.deliveries().await.remove(0) };
        sentry_core::testing::commit(world.store.as_ref(), &[Write::Delivery(Box::new(cut_off))])
            .await
            .unwrap();
        world.start();
        minutes(3).await;
        assert_eq!(world.attempts_told(), [2], "{state:?}");
        assert_eq!(world.delivered().await, Some(sha), "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cuts_off_all_its_attempts_is_parked_and_not_looked_at_by_itself() {
    let mut world = World::slow().await;
    let sha = world.push();
    for _ in 0..3 {
        world.cut_off().await;
    }
    let parked = world.deliveries().await.remove(0);
    assert_eq!((parked.state, parked.attempts.cut_off), (DeliveryState::Parked, 3));
    assert!(parked.error.unwrap().contains("in the middle of attempt 3"));
    let kept = world.branch("main").await.unwrap().parked.unwrap();
    assert_eq!((kept.mark.sha, kept.again), (sha.clone(), None));
    assert_eq!(world.why(&sha).await.reason, Reason::Parked);
    let applies = world.deployer.applies().0;
    minutes(60).await;
    assert_eq!(world.deployer.applies().0, applies, "nobody asked for it");
    // A newer head is another delivery.
    let newer = world.push();
    minutes(3).await;
    assert_eq!(world.delivered().await, Some(newer));
}

#[tokio::test(start_paused = true)]
async fn whoever_retries_what_kills_parked_gives_it_all_its_attempts_again() {
    let mut world = World::slow().await;
    world.push();
    for _ in 0..3 {
        world.cut_off().await;
    }
    let parked = world.deliveries().await.remove(0);
    assert_eq!(parked.state, DeliveryState::Parked);
    world.ask(TriggerKind::Retry(parked.id)).await;
    world.cut_off().await;
    let again = world.deliveries().await.remove(0);
    assert_eq!((again.state, again.attempts.cut_off), (DeliveryState::Pending, 1));
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_first_kill_gives_it_up_only_until_the_next_look() {
    let mut world = World::slow().await;
    world.watch.timing.max_retries = 0;
    world.kill().await;
    world.start();
    let sha = world.push();
    world.cut_off().await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Parked);
    minutes(5).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_order_counts_for_nothing() {
    let mut world = World::slow().await;
    world.push();
    while world.deliveries().await.first().is_none_or(|d| d.state != DeliveryState::Applying) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.stop().await;
    world.start();
    minutes(3).await;
    let done = world.deliveries().await.remove(0);
    assert_eq!((done.state, done.attempts.cut_off), (DeliveryState::Succeeded, 0));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_one_kill_cut_off_are_made_again_one_after_the_other() {
    let mut world = World::slow().await;
    let branches = ["release/1", "release/2", "release/3"];
    branches.iter().for_each(|branch| drop(world.forge.commit(A, branch, "cut", &[])));
    let under_way =
        |all: Vec<Delivery>| all.iter().filter(|delivery| delivery.is_in_attempt()).count();
    while under_way(world.deliveries().await) < branches.len() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.kill().await;
    world.start();
    while under_way(world.deliveries().await) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..10 * 60 {
        seconds(1).await;
        assert!(under_way(world.deliveries().await) <= 1, "nobody can tell which of them it was");
    }
    assert_eq!(world.deployer.created().len(), branches.len());
}

/// A state that refuses this many more writes.
#[derive(Debug)]
struct Full(Arc<MemoryStore>, Arc<AtomicU32>);

#[derive(Debug)]
struct Refusing(Box<dyn Claim>, Arc<AtomicU32>);

#[async_trait]
impl Journal for Full {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = self.0.claim(holder).await?;
        Ok(Box::new(Refusing(inner, Arc::clone(&self.1))))
    }
}

#[async_trait]
impl Claim for Refusing {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.0.load().await
    }
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let refuse = |left: u32| left.checked_sub(1);
        if self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse).is_ok() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is full"));
        }
        self.0.commit(writes).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_counts_though_the_state_takes_no_write_at_first() {
    for refused in 1..4 {
        let mut world = World::slow().await;
        world.push();
        while world.deliveries().await.first().is_none_or(|d| d.state != DeliveryState::Applying) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.kill().await;
        let full = Full(Arc::clone(&world.store), Arc::new(AtomicU32::new(refused)));
        let state = State { journal: Arc::new(full), ..Arc::clone(&world.store).into() };
        let engine = world.builder_on(state).build().unwrap();
        let stop = world.stop.clone();
        world.agent.spawn(async move { engine.run(&stop).await });
        while world.deliveries().await[0].state == DeliveryState::Applying {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(world.deliveries().await[0].attempts.cut_off, 1, "{refused} writes refused");
    }
}
