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
        let mut trigger = self.trigger(&format!("cancel {id}"), TriggerKind::Cancel(id));
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

impl World {
    /// Following, with a cluster that takes its time to write.
    async fn writing_slowly(deployer: FakeDeployer) -> Self {
        let deployer = deployer.following().taking(Duration::from_secs(60));
        let mut world = Self::with(deployer);
        world.start();
        minutes(1).await;
        world
    }

    async fn until(&self, state: DeliveryState) {
        while self.deliveries().await.first().is_none_or(|d| d.state != state) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_it_is_written_and_ends_by_itself_is_told_as_delivered() {
    for (state, end) in
        [(RunState::Succeeded, DeliveryState::Succeeded), (RunState::Failed, DeliveryState::Failed)]
    {
        let deployer = FakeDeployer::new().auto_finish(Duration::ZERO, state);
        let world = World::writing_slowly(deployer).await;
        let sha = world.push();
        world.until(DeliveryState::Applying).await;
        world.deployer.fail_follow(Some(DeployErrorKind::Unreachable));
        assert_eq!(world.cancel().await.0.state, DeliveryState::Applying);
        minutes(1).await;
        assert_eq!(world.why(&sha).await.reason, Reason::Cancelled);
        assert_eq!(world.delivered().await, Some(sha.clone()), "all of it was acknowledged");
        world.deployer.fail_follow(None);
        minutes(6).await;
        assert_eq!(world.last().await.state, end);
        assert_eq!(world.why(&sha).await.reason, Reason::Delivered, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_had_nothing_to_run_when_it_was_cancelled_says_that_nothing_ran() {
    let world = World::writing_slowly(FakeDeployer::new()).await;
    world.forge.commit(B, "main", "no run", &[TASK, ("run.yaml", "")]);
    let sha = world.push();
    world.until(DeliveryState::Applying).await;
    world.cancel().await;
    minutes(1).await;
    assert_eq!(world.last().await.state, DeliveryState::NothingRan);
    assert_eq!(world.why(&sha).await.reason, Reason::OnlyObjects);
}

#[tokio::test(start_paused = true)]
async fn the_cancel_of_an_older_delivery_changes_nothing_for_the_newer_head_that_is_parked() {
    let world = following().await;
    world.push();
    minutes(2).await;
    let older = world.last().await.id;
    world.deployer.refuse_at_check(&["qa"]);
    let newer = world.push();
    minutes(2).await;
    assert_eq!(world.last().await.state, DeliveryState::Parked);
    let before = world.branch("main").await.unwrap();
    world.ask(TriggerKind::Cancel(older.clone())).await;
    minutes(5).await;
    let kept = world.deliveries().await;
    assert_eq!((kept[1].id.clone(), kept[1].state), (older, DeliveryState::Cancelled));
    assert_eq!((kept.len(), kept[0].state), (2, DeliveryState::Parked));
    assert_eq!(world.branch("main").await.unwrap(), before);
    assert_eq!(before.parked.unwrap().mark.sha, newer);
}

#[tokio::test(start_paused = true)]
async fn the_cancel_of_a_request_takes_nothing_from_the_delivery_of_its_head() {
    let world = following().await;
    world.deployer.refuse(Some("qa"));
    let sha = world.push();
    minutes(60).await;
    assert_eq!(world.last().await.state, DeliveryState::Parked);
    world.deployer.refuse(None);
    world.deployer.down(true);
    let parked = world.branch("main").await.unwrap().parked;
    world.ask(deliver(None)).await;
    minutes(2).await;
    let (delivery, _) = world.cancel().await;
    assert_eq!((delivery.state, delivery.asked.cause), (DeliveryState::Cancelled, Cause::Manual));
    assert_eq!(world.branch("main").await.unwrap().parked.is_some(), parked.is_some());
    world.deployer.down(false);
    minutes(20).await;
    assert_eq!(world.delivered().await, Some(sha));
    let states = world.deliveries().await.into_iter().map(|delivery| delivery.state);
    assert_eq!(states.collect::<Vec<_>>(), [DeliveryState::Cancelled, DeliveryState::Following]);
}

#[tokio::test(start_paused = true)]
async fn a_head_whose_delivery_was_cancelled_is_not_delivered_again_but_what_moved_back_is() {
    let world = following().await;
    world.deployer.down(true);
    let sha = world.push();
    minutes(2).await;
    world.cancel().await;
    world.deployer.down(false);
    minutes(60).await;
    assert_eq!((world.deliveries().await.len(), world.deployer.created().len()), (1, 0));
    world.push();
    minutes(2).await;
    world.forge.set(A, "main", &sha);
    minutes(2).await;
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(world.deliveries().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_of_two_who_cancel_is_named_and_both_are_answered() {
    let world = following().await;
    world.push();
    minutes(2).await;
    world.deployer.down(true);
    let (delivery, _) = world.cancel().await;
    let mut second = world.trigger("second", TriggerKind::Cancel(delivery.id.clone()));
    second.by = Some("qa".into());
    world.store.request(&second).await.unwrap();
    seconds(20).await;
    world.deployer.down(false);
    minutes(6).await;
    let ended = world.last().await;
    assert_eq!((ended.state, ended.cancelled), (DeliveryState::Cancelled, delivery.cancelled));
    assert_eq!(world.trigger_state(&second.id).await, TriggerState::Taken(ended.id));
    let retired = world.deployer.retired();
    assert_eq!(retired.len(), 1, "each run is asked to end once: {retired:?}");
}

#[tokio::test(start_paused = true)]
async fn of_requests_about_a_parked_delivery_that_come_at_once_each_knows_what_the_one_before_did()
{
    let world = following().await;
    world.deployer.refuse_at_check(&["qa"]);
    world.push();
    minutes(2).await;
    let id = world.last().await.id;
    let mut asked = Vec::new();
    for (n, by, kind) in [
        (1, "ops", TriggerKind::Cancel(id.clone())),
        (2, "qa", TriggerKind::Cancel(id.clone())),
        (3, "qa", TriggerKind::Retry(id.clone())),
    ] {
        let mut trigger = world.trigger(&format!("{by} {kind:?}"), kind);
        // Of one moment the ids tell the order.
        trigger.id = TriggerId::new(trigger.at, n);
        trigger.by = Some(by.into());
        asked.push(world.store.request(&trigger).await.unwrap().id);
    }
    minutes(5).await;
    let ended = world.last().await;
    let by = ended.cancelled.as_ref().and_then(|cancelled| cancelled.by.as_deref());
    assert_eq!((ended.state, by), (DeliveryState::Cancelled, Some("ops")));
    assert_eq!(world.trigger_state(&asked[1]).await, TriggerState::Taken(id));
    let retry = world.trigger_state(&asked[2]).await;
    assert!(
        matches!(&retry, TriggerState::Rejected(why) if why.contains("was cancelled")),
        "{retry:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_given_up_while_a_run_of_it_goes_on_is_cancelled_as_well() {
    let world = following().await;
    let other = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: r}\n";
    world.forge.commit(B, "main", "two", &[RUN, ("z.yaml", other)]);
    world.deployer.refuse(Some("r"));
    world.ask(deliver(None)).await;
    minutes(30).await;
    let given_up = world.last().await;
    if given_up.state != DeliveryState::Failed || world.deployer.active_runs().len() != 1 {
        panic!("{given_up:#?}");
    }
    let (delivery, trigger) = world.cancel().await;
    assert_eq!(trigger, TriggerState::Taken(delivery.id.clone()));
    assert_eq!(delivery.state, DeliveryState::Cancelled);
    assert_eq!(world.deployer.active_runs(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_told_before_a_cancel_and_was_kept_after_it_takes_nothing_back() {
    let world = following().await;
    world.push();
    minutes(2).await;
    world.deployer.tasks(&world.only_run(), &sample::run(RunState::Running).tasks);
    seconds(1).await;
    world.deployer.down(true);
    let (cancelled, _) = world.cancel().await;
    assert!(cancelled.cancelled.is_some());
    world.push();
    minutes(2).await;
    let all = world.deliveries().await;
    let kept = all.iter().find(|delivery| delivery.id == cancelled.id).unwrap();
    assert_eq!(kept.cancelled, cancelled.cancelled);
    assert_ne!(kept.runs[0].tasks, [], "what it told is kept");
}

/// An agent that writes nothing.
fn showing(deployer: FakeDeployer) -> World {
    let mut world = World::with(deployer);
    let deployer = Arc::clone(&world.deployer);
    let ports = DeployerPorts { dry_run: true, ..DeployerPorts::new(deployer) };
    let engine = world.builder().deployer("deployer", ports).build().unwrap();
    let stop = world.stop.clone();
    world.agent.spawn(async move { engine.run(&stop).await });
    world
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_was_parked_and_is_cancelled_is_parked_no_more() {
    let world = showing(FakeDeployer::new());
    world.deployer.refuse_at_check(&["qa"]);
    minutes(1).await;
    let first = world.branch("main").await.unwrap();
    world.push();
    minutes(2).await;
    assert!(world.branch("main").await.unwrap().parked.is_some());
    let (cancelled, _) = world.cancel().await;
    minutes(60).await;
    let now = world.branch("main").await.unwrap();
    assert_eq!((now.parked, now.passed), (None, first.passed));
    assert_eq!(world.deliveries().await, [cancelled]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_cancelled_without_a_trace_but_its_record_and_does_not_begin_again() {
    for moment in [DeliveryState::Fetching, DeliveryState::Applying] {
        let world = showing(FakeDeployer::new().taking(Duration::from_secs(60)));
        minutes(1).await;
        if moment == DeliveryState::Fetching {
            world.forge.answer_after(Duration::from_secs(40));
        }
        world.push();
        world.until(moment).await;
        let before = world.branch("main").await;
        world.cancel().await;
        minutes(60).await;
        let all = world.deliveries().await;
        assert_eq!(all.len(), 1, "{moment:?}");
        assert!(all[0].state.is_final() && all[0].cancelled.is_some(), "{:?}", all[0]);
        assert_eq!(world.branch("main").await, before, "{moment:?}");
        assert_eq!(world.inventory().await, [""; 0], "{moment:?}");
        assert_eq!(world.forge.statuses().len(), 0, "{moment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_cancel_a_rerun_delivers_and_what_never_began_is_triggered() {
    let world = following().await;
    let sha = world.push();
    minutes(2).await;
    let (cancelled, _) = world.cancel().await;
    let again = TriggerKind::Rerun { delivery: cancelled.id, failed_only: true };
    world.ask(again).await;
    minutes(2).await;
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    seconds(20).await;
    assert_eq!(world.last().await.state, DeliveryState::Succeeded);
    assert_eq!(world.told(&sha).pop().unwrap().0, StatusState::Success);

    world.deployer.down(true);
    world.push();
    minutes(2).await;
    let (never, _) = world.cancel().await;
    let text = format!("delivery {} was cancelled; for new runs of it, use trigger", never.id);
    let retry = world.ask(TriggerKind::Retry(never.id.clone())).await;
    let rerun =
        world.ask(TriggerKind::Rerun { delivery: never.id.clone(), failed_only: false }).await;
    seconds(20).await;
    assert_eq!(world.trigger_state(&retry).await, TriggerState::Rejected(text));
    let text = format!("delivery {} never reached the cluster; use trigger", never.id);
    assert_eq!(world.trigger_state(&rerun).await, TriggerState::Rejected(text));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_delivers_by_itself_is_cancelled_by_another_one() {
    let world = World::with(FakeDeployer::new().following());
    world.engine().once(&Stop::new()).await.unwrap();
    let id = world.ask(deliver(None)).await;
    let (engine, stop) = (world.engine(), Stop::new());
    let mut command = JoinSet::new();
    command.spawn(async move { engine.settle(&[id], &stop).await });
    world.until(DeliveryState::Following).await;
    let (delivery, trigger) = world.cancel().await;
    assert_eq!(trigger, TriggerState::Taken(delivery.id.clone()));
    assert_eq!(delivery.state, DeliveryState::Cancelled);
    let settled = command.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(settled, [delivery]);
}

#[tokio::test(start_paused = true)]
async fn of_a_watch_that_is_there_no_more_no_request_about_its_deliveries_waits_for_ever() {
    let mut world = following().await;
    world.push();
    minutes(2).await;
    let id = world.last().await.id;
    world.kill().await;
    let asked = [
        TriggerKind::Cancel(id.clone()),
        TriggerKind::Retry(id.clone()),
        TriggerKind::Rerun { delivery: id, failed_only: false },
        deliver(None),
    ];
    let mut requests = Vec::new();
    for kind in asked {
        requests.push(world.ask(kind).await);
    }
    world.watch = watch("other", &["main"]);
    world.start();
    seconds(20).await;
    for request in requests {
        let told = TriggerState::Rejected("there is no watch qa".into());
        assert_eq!(world.trigger_state(&request).await, told);
    }
}
