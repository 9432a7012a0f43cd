//! A state that another agent took.

use sentry_core::store::{Journal as _, StoreErrorKind};

use super::*;

#[tokio::test(start_paused = true)]
async fn an_agent_whose_state_was_taken_ends_and_neither_writes_nor_sends_any_more() {
    let mut world = World::with(FakeDeployer::new().taking(Duration::from_secs(60)));
    world.start();
    minutes(1).await;
    world.push();
    while world.deliveries().await.first().is_none_or(|d| d.state != DeliveryState::Applying) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.store.give_up();
    let other = world.store.claim("another agent").await.unwrap();
    let taken = other.load().await.unwrap();
    world.push();
    let ended = world.agent.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(
        matches!(&ended, EngineError::Store(error) if error.kind() == StoreErrorKind::Fenced),
        "{ended}"
    );
    assert!(!world.stop.is_stopping(), "what stops one engine stops no other");
    assert_eq!(other.load().await.unwrap(), taken);
    minutes(5).await;
    assert!(world.deployer.created().is_empty(), "the apply that was under way is cut off");
}
