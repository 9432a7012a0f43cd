//! A person cancels a delivery: nothing more of it is started, and what runs is asked to end.

use sentry_core::delivery::RunState;
use sentry_core::deployer::DeployErrorKind;
use sentry_core::forge::StatusState;

use super::following::following;
use super::*;

impl World {
    /// Asks for the end of the newest delivery, and waits until that is taken up.
    async fn cancel(&self) -> (Delivery, TriggerState) {
        let id = self.last().await.id;
        let mut trigger = self.trigger("cancel", TriggerKind::Cancel(id));
        trigger.by = Some("ops".into());
        self.store.request(&trigger).await.unwrap();
        seconds(20).await;
        (self.last().await, self.trigger_state(&trigger.id).await)
    }

    /// The states and texts that the commit was given.
    fn told(&self, sha: &CommitSha) -> Vec<(StatusState, String)> {
        let all = self.forge.statuses().into_iter().filter(|s| s.revision.sha == *sha);
        all.map(|status| (status.state, status.description)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_is_cancelled_by_the_cluster_and_the_next_head_is_delivered() {
    let world = following().await;
    let sha = world.push();
    minutes(2).await;
    let (delivery, trigger) = world.cancel().await;
    assert_eq!(trigger, TriggerState::Taken(delivery.id.clone()));
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Cancelled, None));
    assert_eq!(delivery.runs[0].state, RunState::Cancelled);
    assert_eq!(world.why(&sha).await.detail.as_deref(), Some("cancelled by ops"));
    let told = world.told(&sha);
    let text = "cancelled by ops; its runs: 1 cancelled".to_owned();
    assert_eq!(told[1..], [(StatusState::Cancelled, text)], "{told:?}");
    minutes(10).await;
    assert_eq!(world.deliveries().await.len(), 1, "the head is settled");
    let next = world.push();
    minutes(2).await;
    assert_eq!(world.last().await.revision.sha, next);
    assert_eq!(world.deployer.active_runs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_next_attempt_never_starts_and_what_is_parked_is_not_looked_at_again() {
    for parked in [false, true] {
        let world = following().await;
        world.deployer.refuse(parked.then_some("qa"));
        world.deployer.down(!parked);
        let sha = world.push();
        minutes(if parked { 60 } else { 2 }).await;
        let state = world.last().await.state;
        assert_eq!(state == DeliveryState::Parked, parked, "{state:?}");
        let (delivery, _) = world.cancel().await;
        assert_eq!(delivery.state, DeliveryState::Cancelled);
        world.deployer.refuse(None);
        world.deployer.down(false);
        minutes(60).await;
        assert_eq!(world.deployer.created().len(), 0);
        assert_eq!(world.last().await.state, DeliveryState::Cancelled);
        let text = "cancelled by ops".to_owned();
        let last = world.told(&sha).pop().unwrap();
        assert_eq!((last.0, last.1.starts_with(&text)), (StatusState::Cancelled, true), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_cluster_is_away_the_cancel_waits_for_it() {
    let world = following().await;
    world.push();
    minutes(2).await;
    world.deployer.down(true);
    assert_eq!(world.cancel().await.0.state, DeliveryState::Following);
    minutes(10).await;
    assert_eq!(world.last().await.state, DeliveryState::Following);
    world.deployer.down(false);
    minutes(6).await;
    assert_eq!(world.last().await.state, DeliveryState::Cancelled);
    assert_eq!(world.deployer.active_runs(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_ended_by_itself_stands_and_can_not_be_cancelled_any_more() {
    for (state, want) in
        [(RunState::Succeeded, DeliveryState::Succeeded), (RunState::Failed, DeliveryState::Failed)]
    {
        let world = following().await;
        world.push();
        minutes(2).await;
        world.deployer.fail_follow(Some(DeployErrorKind::Unreachable));
        world.deployer.finish(&world.only_run(), state, "ended");
        // It ended in the moment of the cancel: its own end counts.
        assert_eq!(world.cancel().await.0.state, DeliveryState::Following);
        world.deployer.fail_follow(None);
        minutes(6).await;
        assert_eq!(world.last().await.state, want);
        let other = following().await;
        other.push();
        minutes(2).await;
        other.deployer.finish(&other.only_run(), state, "ended");
        seconds(20).await;
        let (delivery, answer) = other.cancel().await;
        let told = format!("delivery {} has ended: {}", delivery.id, want.as_str());
        assert_eq!((delivery.state, answer), (want, TriggerState::Rejected(told)));
    }
}
