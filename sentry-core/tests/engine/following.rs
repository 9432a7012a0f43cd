//! Runs that a delivery started are followed to their end, and their end is the delivery's.

use sentry_core::delivery::{RunState, TaskRecord, TaskState, Verdict};
use sentry_core::deployer::DeployErrorKind;
use sentry_core::event::EventKind;
use sentry_core::plan::Action;
use sentry_core::watch::NamespacePolicy;

use super::*;

/// Baselined and running, with a cluster whose runs can be followed.
pub(super) async fn following() -> World {
    let mut world = World::with(FakeDeployer::new().following());
    world.start();
    minutes(1).await;
    world
}

impl World {
    pub(super) async fn last(&self) -> Delivery {
        self.deliveries().await.into_iter().next().unwrap()
    }

    pub(super) fn only_run(&self) -> String {
        self.deployer.active_runs().pop().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn the_cursor_moves_at_the_acknowledgement_and_the_delivery_ends_with_its_run() {
    let world = following().await;
    let sha = world.push();
    minutes(2).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Following, None));
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(delivery.runs[0].state, RunState::Running);

    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    seconds(1).await;
    let delivery = world.last().await;
    assert_eq!(
        (delivery.state, delivery.verdict),
        (DeliveryState::Succeeded, Some(Verdict::Success))
    );
    assert!(delivery.finished.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_fails_its_delivery_and_names_itself() {
    let world = following().await;
    let sha = world.push();
    minutes(2).await;
    world.deployer.finish(&world.only_run(), RunState::Failed, "PipelineRunTimeout");
    seconds(1).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Failure)));
    let error = delivery.error.unwrap();
    assert!(error.starts_with("1 of 1 run failed: qa (") && error.contains("PipelineRunTimeout"));
    let why = world.why(&sha).await;
    assert_eq!((why.reason, why.detail), (Reason::Delivered, Some(error)));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_deleted_while_it_is_followed_is_an_error_and_leaves_the_inventory() {
    let world = following().await;
    world.push();
    minutes(2).await;
    assert_eq!(world.inventory().await.len(), 2);
    world.deployer.delete_run(&world.only_run());
    seconds(1).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Error)));
    assert!(delivery.error.unwrap().contains("was deleted before its result was seen"));
    assert_eq!(world.inventory().await, ["unit"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_while_the_agent_is_dead_is_seen_at_the_next_start() {
    let mut world = following().await;
    world.push();
    minutes(2).await;
    let run = world.only_run();
    world.kill().await;
    world.deployer.finish(&run, RunState::Failed, "Failed");
    world.start();
    seconds(5).await;
    assert_eq!(world.last().await.verdict, Some(Verdict::Failure));
    assert_eq!(world.deployer.created().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_deleted_while_the_agent_is_dead_is_gone_at_the_next_start() {
    let mut world = following().await;
    world.push();
    minutes(2).await;
    let run = world.only_run();
    world.kill().await;
    world.deployer.delete_run(&run);
    world.start();
    seconds(5).await;
    let delivery = world.last().await;
    assert_eq!((delivery.runs[0].state, delivery.verdict), (RunState::Gone, Some(Verdict::Error)));
    assert_eq!(world.deployer.created().len(), 1, "what was deleted must not run again");
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_runs_are_followed_is_waited_for() {
    let world = following().await;
    let mut events = world.events.resubscribe();
    world.push();
    minutes(2).await;
    let run = world.only_run();
    world.deployer.down(true);
    minutes(30).await;
    assert_eq!(world.last().await.state, DeliveryState::Following);
    world.deployer.finish(&run, RunState::Succeeded, "Completed");
    world.deployer.down(false);
    minutes(6).await;
    assert_eq!(world.last().await.verdict, Some(Verdict::Success));
    let mut failures = 0;
    while let Ok(event) = events.try_recv() {
        failures += usize::from(matches!(event.kind, EventKind::FollowFailed { .. }));
    }
    assert!((3..100).contains(&failures), "{failures} attempts in half an hour");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_refuses_to_be_watched_ends_the_following_with_an_error() {
    let world = following().await;
    world.deployer.fail_follow(Some(DeployErrorKind::Forbidden));
    let sha = world.push();
    minutes(10).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Error)));
    assert!(delivery.error.unwrap().contains("could not be followed"));
    assert_eq!(world.delivered().await, Some(sha), "it was delivered all the same");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_followed_no_longer_than_the_watch_says() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.run_timeout = Some(Duration::from_secs(600));
    world.start();
    minutes(1).await;
    world.push();
    minutes(10).await;
    assert_eq!(world.last().await.state, DeliveryState::Following);
    minutes(3).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Error)));
    assert!(delivery.error.unwrap().contains("run_timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_restart_gives_a_run_no_more_time() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.run_timeout = Some(Duration::from_secs(600));
    world.start();
    minutes(1).await;
    world.push();
    minutes(7).await;
    world.kill().await;
    world.start();
    minutes(7).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Failed, Some(Verdict::Error)));
    assert!(delivery.error.unwrap().contains("run_timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_cant_be_followed_takes_no_other_ones_runs_along() {
    let mut world = World::with(FakeDeployer::new().following());
    let elsewhere = RUN.1.replace("{name: qa}", "{name: far, namespace: elsewhere}");
    let listed = ["elsewhere".parse().unwrap()].into();
    world.watch.reading.namespace_policy = NamespacePolicy::Listed(listed);
    world.forge.commit(B, "main", "two", &[RUN, ("far.yaml", elsewhere.as_str())]);
    world.deployer.fail_follow_in("elsewhere", DeployErrorKind::Forbidden);
    world.start();
    minutes(1).await;
    world.push();
    minutes(10).await;
    let delivery = world.last().await;
    let states: Vec<_> =
        delivery.runs.iter().map(|run| (&run.object.path[..], run.state)).collect();
    assert_eq!(states, [("far.yaml", RunState::Unfollowed), ("run.yaml", RunState::Running)]);
    assert_eq!(delivery.state, DeliveryState::Following);
}

#[tokio::test(start_paused = true)]
async fn a_deployer_that_cant_follow_ends_its_deliveries_when_all_is_acknowledged() {
    let world = World::running().await;
    world.push();
    minutes(2).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.verdict), (DeliveryState::Succeeded, None));
    assert_eq!(delivery.runs[0].state, RunState::Unfollowed);
}

#[tokio::test(start_paused = true)]
async fn following_holds_back_neither_the_next_head_nor_its_own_end() {
    let world = following().await;
    let first = world.push();
    minutes(2).await;
    let second = world.push();
    minutes(2).await;
    assert_eq!(world.delivered().await, Some(second.clone()));
    assert_eq!(world.deployer.active_runs().len(), 2);
    for run in world.deployer.active_runs() {
        world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
    }
    seconds(1).await;
    let verdicts: Vec<_> =
        world.deliveries().await.into_iter().map(|d| (d.revision.sha, d.verdict)).collect();
    assert_eq!(verdicts, [(second, Some(Verdict::Success)), (first, Some(Verdict::Success))]);
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_when_it_began_and_ended_and_its_tasks_which_cost_no_commit_while_it_goes_on() {
    let world = following().await;
    world.push();
    minutes(2).await;
    let name = world.deployer.active_runs().remove(0);
    world.deployer.tasks(&name, &[TaskRecord { state: TaskState::Started, ..sample::task() }]);
    seconds(1).await;
    assert_eq!(world.last().await.runs[0].tasks, [], "it is written with what comes next");
    seconds(10).await;
    let run = world.last().await.runs.remove(0);
    assert_eq!((run.state, run.tasks[0].state), (RunState::Running, TaskState::Started));
    assert!(run.started.is_some() && run.completed.is_none());
    world.deployer.tasks(&name, &[sample::task()]);
    world.deployer.finish(&name, RunState::Failed, "Failed");
    seconds(1).await;
    let run = world.last().await.runs.remove(0);
    assert_eq!((run.state, run.tasks), (RunState::Failed, vec![sample::task()]));
    assert!(run.started < run.completed);
}

#[tokio::test(start_paused = true)]
async fn one_pass_waits_for_the_verdict() {
    let world = World::with(
        FakeDeployer::new().following().auto_finish(Duration::from_secs(300), RunState::Failed),
    );
    world.engine().once(&Stop::new()).await.unwrap();
    world.push();
    let summary = world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(summary.deliveries.len(), 1);
    assert_eq!(summary.deliveries[0].verdict, Some(Verdict::Failure));
}

#[tokio::test(start_paused = true)]
async fn a_rerun_of_what_failed_makes_new_runs_of_the_failed_ones_only() {
    let mut world = World::with(FakeDeployer::new().following());
    let other =
        ("other.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: other}\n");
    world.forge.commit(B, "main", "two runs", &[TASK, RUN, other]);
    world.start();
    minutes(1).await;
    world.push();
    minutes(2).await;
    for run in world.deployer.active_runs() {
        let state = if run.starts_with("qa") { RunState::Failed } else { RunState::Succeeded };
        world.deployer.finish(&run, state, "ended");
    }
    seconds(1).await;
    let delivery = world.last().await;
    let retry = world.ask(TriggerKind::Retry(delivery.id.clone())).await;
    minutes(1).await;
    let TriggerState::Rejected(why) = world.trigger_state(&retry).await else { panic!() };
    assert!(why.contains("rerun --failed"), "{why}");
    world.ask(TriggerKind::Rerun { delivery: delivery.id, failed_only: true }).await;
    minutes(1).await;
    let created = world.deployer.created();
    let bases: Vec<&str> =
        created.iter().map(|o| o.object.name.split('-').next().unwrap()).collect();
    assert_eq!(bases, ["other", "qa", "qa"]);
}

#[tokio::test(start_paused = true)]
async fn the_inventory_names_what_each_delivery_put_where_and_a_repeat_names_it_once() {
    let world = following().await;
    world.push();
    minutes(2).await;
    world.push();
    minutes(2).await;
    let names = world.inventory().await;
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names.iter().filter(|n| *n == "unit").count(), 1);
    let actions: Vec<Action> = world.last().await.objects.iter().map(|o| o.action).collect();
    assert_eq!(actions, [Action::Configured, Action::Created]);
}

#[tokio::test(start_paused = true)]
async fn a_head_moved_back_to_a_delivered_commit_follows_the_runs_that_exist() {
    let world = following().await;
    let first = world.push();
    minutes(2).await;
    world.push();
    minutes(2).await;
    world.forge.set(A, "main", &first);
    minutes(2).await;
    let delivery = world.last().await;
    assert_eq!(
        (delivery.revision.sha.clone(), delivery.objects[1].action),
        (first, Action::Exists)
    );
    assert_eq!(delivery.state, DeliveryState::Following, "its run goes on: {delivery:?}");
    for run in world.deployer.active_runs() {
        world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
    }
    seconds(1).await;
    let verdicts: Vec<_> = world.deliveries().await.into_iter().map(|d| d.verdict).collect();
    assert_eq!(verdicts, [Some(Verdict::Success); 3]);
}
