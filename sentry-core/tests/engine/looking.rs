//! What was given up for what may pass is looked at again by itself.

use sentry_core::event::EventKind;

use super::*;

impl World {
    /// A head that the cluster refuses until it was given up.
    pub(super) async fn parked() -> (Self, CommitSha) {
        let world = Self::running().await;
        world.deployer.refuse(Some("unit"));
        let sha = world.push();
        while world.deliveries().await.first().is_none_or(|d| d.state != DeliveryState::Parked) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        (world, sha)
    }

    async fn again(&self) -> Option<sentry_core::clock::Timestamp> {
        self.branch("main").await.unwrap().parked.unwrap().again
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_head_is_looked_at_after_one_five_and_then_every_ten_minutes() {
    let (world, _) = World::parked().await;
    assert_eq!(world.again().await, world.deliveries().await[0].next_attempt);
    let mut looks = Vec::new();
    for _ in 0..45 * 60 {
        let applies = world.deployer.applies().0;
        seconds(1).await;
        looks.extend((world.deployer.applies().0 > applies).then_some(looks.len()));
    }
    // 1, 6, 16, 26 and 36 minutes after it was given up.
    assert_eq!(looks.len(), 5);
    let told = world.deliveries().await.remove(0);
    assert_eq!((told.state, told.attempts.failures), (DeliveryState::Parked, 4 + 5));
    assert!(world.again().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn once_the_cluster_takes_it_the_same_delivery_goes_through_and_nothing_runs_twice() {
    let (world, sha) = World::parked().await;
    let parked = world.deliveries().await.remove(0);
    minutes(40).await;
    world.deployer.refuse(None);
    minutes(11).await;
    assert_eq!(world.delivered().await, Some(sha));
    let done = world.deliveries().await;
    assert_eq!(
        (done.len(), &done[0].id, &done[0].state),
        (1, &parked.id, &DeliveryState::Succeeded)
    );
    let manifests = |delivery: &Delivery| delivery.intent.clone().unwrap().manifests;
    assert_eq!(manifests(&done[0]), manifests(&parked));
    assert_eq!(world.deployer.created().len(), 1);
    assert_eq!(world.branch("main").await.unwrap().parked, None);
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_no_look_and_makes_none_early() {
    let (mut world, sha) = World::parked().await;
    seconds(100).await;
    world.kill().await;
    world.deployer.refuse(None);
    world.start();
    minutes(2).await;
    assert_ne!(world.delivered().await.as_ref(), Some(&sha), "the second is after five");
    minutes(4).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_watch_looks_at_nothing_until_it_is_resumed() {
    let (world, sha) = World::parked().await;
    world.suspend().await;
    world.deployer.refuse(None);
    minutes(60).await;
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Parked);
    world.store.hold(&Hold::Resume(sample::resumption(world.watch.name.as_str()))).await.unwrap();
    minutes(1).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_a_person_delivered_meanwhile_is_not_looked_at_any_more() {
    let (world, sha) = World::parked().await;
    world.deployer.refuse(None);
    world.ask(deliver(None)).await;
    seconds(30).await;
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(world.branch("main").await.unwrap().parked, None);
    minutes(30).await;
    assert_eq!(world.deployer.created().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_head_takes_the_place_of_one_that_is_looked_at() {
    let (world, _) = World::parked().await;
    let newer = world.push();
    while world.branch("main").await.unwrap().observed.sha != newer {
        seconds(1).await;
    }
    world.deployer.refuse(None);
    minutes(30).await;
    assert_eq!(world.delivered().await, Some(newer));
    assert_eq!(world.deployer.created().len(), 1, "the older one never ran");
}

#[tokio::test(start_paused = true)]
async fn what_a_person_asked_for_has_failed_and_is_not_looked_at_again() {
    let world = World::running().await;
    world.deployer.refuse(Some("unit"));
    world.ask(deliver(None)).await;
    minutes(5).await;
    world.deployer.refuse(None);
    minutes(60).await;
    let failed = world.deliveries().await.remove(0);
    assert_eq!((failed.state, failed.next_attempt), (DeliveryState::Failed, None));
    assert!(world.deployer.created().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_told_as_one_more_attempt_and_parked_is_told_once() {
    let world = World::running().await;
    let mut events = world.events.resubscribe();
    world.deployer.refuse(Some("unit"));
    world.push();
    minutes(30).await;
    let (mut parked, mut looks) = (0, Vec::new());
    while let Ok(event) = events.try_recv() {
        match event.kind {
            EventKind::DeliverySettled { state: DeliveryState::Parked, .. } => parked += 1,
            EventKind::DeliveryRetrying { wait, .. } if parked > 0 => looks.push(wait.as_secs()),
            _ => {}
        }
    }
    assert_eq!((parked, looks), (1, vec![300, 600, 600, 600]));
}

#[tokio::test(start_paused = true)]
async fn runs_that_an_attempt_did_not_make_hold_no_room_while_it_waits() {
    let world = World::running().await;
    world.deployer.refuse(Some("unit"));
    world.push();
    while world.deliveries().await.first().is_none_or(|d| d.attempts.failures == 0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let waits = world.deliveries().await.remove(0);
    assert_eq!((waits.state, waits.runs), (DeliveryState::Pending, Vec::new()));
}
