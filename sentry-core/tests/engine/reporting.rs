//! The verdict stands on A's commit: one request per change of state, whatever happens to the agent or the forge.

use async_trait::async_trait;
use sentry_core::delivery::RunState;
use sentry_core::deployer::DeployerPorts;
use sentry_core::event::EventKind;
use sentry_core::forge::{
    Audience, CommitStatus, ForgeError, ForgeErrorKind, Reporter, StatusState,
};
use sentry_core::repo::RepoUrl;

use super::following::following;
use super::*;

impl World {
    fn shown(&self, sha: &CommitSha) -> Vec<StatusState> {
        let of = |s: &sentry_core::forge::CommitStatus| s.revision.sha == *sha;
        self.forge.statuses().into_iter().filter(of).map(|s| s.state).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn pending_then_success_are_two_requests() {
    let world = following().await;
    let sha = world.push();
    minutes(2).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending]);
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    minutes(10).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending, StatusState::Success]);
    assert_eq!(world.forge.statuses()[0].context, "sentry-gitops/qa");
    assert_eq!(world.forge.status_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_is_a_failure_and_a_deleted_one_an_error() {
    let world = following().await;
    let failed = world.push();
    minutes(2).await;
    world.deployer.finish(&world.only_run(), RunState::Failed, "Failed");
    seconds(1).await;
    let deleted = world.push();
    minutes(2).await;
    world.deployer.delete_run(&world.only_run());
    seconds(1).await;
    assert_eq!(world.shown(&failed), [StatusState::Pending, StatusState::Failure]);
    assert_eq!(world.shown(&deleted), [StatusState::Pending, StatusState::Error]);
}

/// A forge that takes its time for statuses.
#[derive(Debug)]
struct Slow(Arc<FakeForge>);

#[async_trait]
impl Reporter for Slow {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        tokio::time::sleep(Duration::from_secs(300)).await;
        self.0.set_status(repo, status).await
    }

    async fn audience(&self, repo: &RepoUrl) -> Result<Audience, ForgeError> {
        self.0.audience(repo).await
    }
}

/// A head whose status is on its way, for five minutes.
async fn on_its_way() -> (World, CommitSha) {
    let mut world = World::with(FakeDeployer::new().following());
    let reporter: Arc<dyn Reporter> = Arc::new(Slow(Arc::clone(&world.forge)));
    let slow = ForgePorts { reporter: Some(reporter), ..ForgePorts::new(Arc::clone(&world.forge)) };
    let engine = Engine::builder(Arc::clone(&world.store))
        .clock(Arc::clone(&world.clock) as _)
        .watch(world.watch.clone())
        .forge("forge", slow)
        .deployer("deployer", DeployerPorts::new(Arc::clone(&world.deployer)))
        .build()
        .unwrap();
    world.agent.spawn(async move { engine.run(&Stop::new()).await });
    minutes(1).await;
    let sha = world.push();
    minutes(2).await;
    assert!(world.forge.statuses().is_empty(), "it is on its way");
    (world, sha)
}

#[tokio::test(start_paused = true)]
async fn what_a_status_came_to_while_it_was_being_shown_is_shown_as_well() {
    let (world, sha) = on_its_way().await;
    // The same commit, the same state, but of another branch as well.
    world.forge.set(A, "release/1", &sha);
    minutes(30).await;
    let statuses = world.forge.statuses();
    let last = statuses.iter().rfind(|status| status.context == "sentry-gitops/qa").unwrap();
    assert_eq!((last.state, last.subjects.len()), (StatusState::Pending, 2), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_shown_once_more_while_it_is_being_shown_is_shown_twice() {
    let (world, sha) = on_its_way().await;
    world.ask(TriggerKind::Look(sha.clone())).await;
    minutes(30).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending, StatusState::Pending]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_between_asks_for_nothing_twice() {
    let mut world = following().await;
    let sha = world.push();
    minutes(2).await;
    let run = world.only_run();
    world.stop().await;
    world.start();
    minutes(2).await;
    world.kill().await;
    world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
    world.start();
    minutes(2).await;
    world.stop().await;
    world.start();
    minutes(2).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending, StatusState::Success]);
}

#[tokio::test(start_paused = true)]
async fn while_the_forge_takes_no_statuses_only_the_last_state_waits_for_it() {
    let mut world = following().await;
    world.forge.fail_statuses(Some(ForgeErrorKind::Unreachable));
    let sha = world.push();
    minutes(2).await;
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    minutes(20).await;
    world.kill().await;
    world.start();
    minutes(1).await;
    world.forge.fail_statuses(None);
    minutes(6).await;
    assert_eq!(world.shown(&sha), [StatusState::Success]);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_the_right_is_told_once_and_fails_no_delivery() {
    let world = following().await;
    let mut events = world.events.resubscribe();
    world.forge.fail_statuses(Some(ForgeErrorKind::Unauthorized));
    for _ in 0..2 {
        world.push();
        minutes(2).await;
        world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
        minutes(2).await;
    }
    let states: Vec<_> = world.deliveries().await.into_iter().map(|d| d.state).collect();
    assert_eq!(states, [DeliveryState::Succeeded, DeliveryState::Succeeded]);
    let mut told = 0;
    while let Ok(event) = events.try_recv() {
        told += usize::from(matches!(event.kind, EventKind::ReportFailed { .. }));
    }
    assert_eq!(told, 1);
    assert_eq!(world.forge.status_calls(), 4, "one for each change of state");
}

#[tokio::test(start_paused = true)]
async fn a_refused_delivery_is_an_error_on_its_commit_and_a_repaired_one_ends_well() {
    let world = following().await;
    world.forge.commit(B, "main", "broken", &[("x.yaml", "kind: Task\nmetadata: {name: x}\n")]);
    let sha = world.push();
    minutes(2).await;
    assert_eq!(world.shown(&sha).last(), Some(&StatusState::Error));
    world.forge.commit(B, "main", "repaired", &[TASK, RUN]);
    minutes(3).await;
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    seconds(1).await;
    assert_eq!(world.shown(&sha).last(), Some(&StatusState::Success));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_b_is_an_error_on_the_commit_once_it_lasts_and_ends_with_it() {
    let world = following().await;
    world.forge.lose_trees(Some(ForgeErrorKind::Unreachable));
    let sha = world.push();
    minutes(10).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending, StatusState::Error]);
    world.forge.lose_trees(None);
    minutes(6).await;
    assert_eq!(world.shown(&sha).last(), Some(&StatusState::Pending));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_reports_nothing_asks_for_nothing_and_one_per_run_has_a_line_each() {
    let mut quiet = World::with(FakeDeployer::new().following());
    quiet.watch.reporting.mode = sentry_core::watch::ReportMode::Off;
    quiet.start();
    minutes(1).await;
    quiet.push();
    minutes(2).await;
    assert_eq!(quiet.forge.status_calls(), 0);

    let mut each = World::with(FakeDeployer::new().following());
    each.watch.reporting.mode = sentry_core::watch::ReportMode::PerRun;
    each.start();
    minutes(1).await;
    each.push();
    minutes(2).await;
    each.deployer.finish(&each.only_run(), RunState::Succeeded, "Succeeded");
    minutes(1).await;
    let contexts: std::collections::BTreeSet<_> =
        each.forge.statuses().into_iter().map(|s| s.context).collect();
    assert_eq!(
        contexts.into_iter().collect::<Vec<_>>(),
        ["sentry-gitops/qa", "sentry-gitops/qa/qa"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_skipped_commit_and_one_that_no_run_is_meant_for_are_neutral() {
    let world = following().await;
    let skipped = world.forge.commit(A, "main", "docs [skip ci]", &[]);
    minutes(2).await;
    let run = (
        "pr.yaml",
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: pr\n  annotations:\n    pipelinesascode.tekton.dev/on-event: '[pull_request]'\n    pipelinesascode.tekton.dev/on-target-branch: '[main]'\n",
    );
    world.forge.commit(B, "main", "pull requests only", &[run]);
    let unmatched = world.push();
    minutes(2).await;
    assert_eq!(world.shown(&skipped), [StatusState::Neutral]);
    assert_eq!(world.shown(&unmatched).last(), Some(&StatusState::Neutral));
    assert_eq!(world.why(&unmatched).await.reason, Reason::NoRunMatched);
    assert_eq!(world.deployer.created(), []);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_goes_on_after_kills_and_with_its_queue_is_pending_once() {
    let mut world = World::with(FakeDeployer::new().following().taking(Duration::from_secs(30)));
    world.watch.timing.max_active_runs = 1;
    let other =
        ("s.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: other}\n");
    world.forge.commit(B, "main", "two runs", &[TASK, RUN, other]);
    world.start();
    minutes(1).await;
    let sha = world.push();
    seconds(70).await;
    assert_eq!(world.last().await.state, DeliveryState::Applying);
    world.kill().await;
    world.start();
    minutes(2).await;
    for _ in 0..2 {
        world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
        minutes(2).await;
    }
    assert_eq!(world.shown(&sha), [StatusState::Pending, StatusState::Success]);
}

#[tokio::test(start_paused = true)]
async fn two_branches_at_one_commit_end_as_their_own_runs_did_and_the_short_line_as_the_worst() {
    let mut world = following().await;
    let sha = world.push();
    minutes(2).await;
    world.deployer.finish(&world.only_run(), RunState::Succeeded, "Succeeded");
    minutes(1).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending, StatusState::Success]);
    world.stop().await;
    world.forge.set(A, "release/1.4", &sha);
    world.start();
    minutes(60 * 24).await;
    let last = || {
        let statuses = world.forge.statuses().into_iter();
        statuses.map(|s| (s.context.clone(), s)).collect::<std::collections::BTreeMap<_, _>>()
    };
    let state = |line: &str| last()[line].state;
    assert_eq!(state("sentry-gitops/qa"), StatusState::Pending);
    assert_eq!(state("sentry-gitops/qa (main)"), StatusState::Success);
    world.deployer.finish(&world.only_run(), RunState::Failed, "Failed");
    minutes(1).await;
    assert_eq!(state("sentry-gitops/qa"), StatusState::Failure);
    assert_eq!(state("sentry-gitops/qa (main)"), StatusState::Success);
    assert_eq!(state("sentry-gitops/qa (release/1.4)"), StatusState::Failure);
    assert_eq!(last()["sentry-gitops/qa"].subjects.len(), 2, "a forge may keep them by branch");
    assert_eq!(last().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_heads_runs_came_to_stands_on_that_head_whatever_head_came_since() {
    let world = following().await;
    let first = world.push();
    minutes(2).await;
    let earlier = world.only_run();
    let second = world.push();
    minutes(2).await;
    let later = world.deployer.active_runs().into_iter().find(|run| *run != earlier).unwrap();
    // A third one is seen and held back.
    world.suspend().await;
    let third = world.push();
    minutes(2).await;
    world.deployer.finish(&later, RunState::Succeeded, "Succeeded");
    seconds(1).await;
    world.deployer.finish(&earlier, RunState::Failed, "Failed");
    seconds(1).await;
    assert_eq!(world.shown(&first), [StatusState::Pending, StatusState::Failure]);
    assert_eq!(world.shown(&second), [StatusState::Pending, StatusState::Success]);
    assert_eq!(world.shown(&third), []);
}

#[tokio::test(start_paused = true)]
async fn a_forge_without_statuses_is_owed_none_and_nobody_is_told_of_it() {
    let mut world = World::new();
    let mute = ForgePorts::new(Arc::clone(&world.forge));
    let engine = world.builder().forge("forge", mute.clone()).build().unwrap();
    engine.once(&Stop::new()).await.unwrap();
    let mut events = engine.events();
    world.push();
    assert_eq!(engine.once(&Stop::new()).await.unwrap().deliveries.len(), 1);
    assert_eq!(world.store.snapshot().reports, []);
    assert_eq!(world.forge.status_calls(), 0);
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event.kind, EventKind::ReportFailed { .. }), "{event:?}");
    }
    world.forge.fail_statuses(Some(ForgeErrorKind::Unreachable));
    world.start();
    world.push();
    minutes(1).await;
    assert!(!world.store.snapshot().reports.is_empty(), "they wait for the forge");
    world.stop().await;
    let engine = world.builder().forge("forge", mute).build().unwrap();
    let summary = tokio::time::timeout(Duration::from_secs(60), engine.once(&Stop::new())).await;
    assert!(summary.is_ok(), "a pass waits for what can't be shown any more");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_taken_is_given_up_where_that_is_no_outage_and_not_before_its_retries()
{
    for (kind, at_once, in_a_minute, at_last) in [
        (ForgeErrorKind::Unsupported, 1, 1, Some(1)),
        (ForgeErrorKind::Unauthorized, 1, 1, Some(1)),
        (ForgeErrorKind::WrongAnswer, 1, 4, Some(4)),
        (ForgeErrorKind::NotFound, 1, 4, Some(4)),
        (ForgeErrorKind::Unreachable, 1, 5, None),
        (ForgeErrorKind::RateLimited, 1, 5, None),
    ] {
        fastrand::seed(3);
        let world = following().await;
        world.forge.fail_statuses(Some(kind));
        world.push();
        while world.forge.status_calls() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.forge.status_calls(), at_once, "{kind:?}");
        minutes(1).await;
        let calls = world.forge.status_calls();
        let expected = if at_last.is_some() { calls == in_a_minute } else { calls >= in_a_minute };
        assert!(expected, "{kind:?}: {calls}");
        minutes(30).await;
        let calls = world.forge.status_calls();
        assert!(at_last.map_or(calls > 8, |most| calls == most), "{kind:?}: {calls}");
    }
}

/// A forge whose code breaks down at the first statuses.
#[derive(Debug)]
struct Brittle(Arc<FakeForge>, std::sync::atomic::AtomicUsize);

#[async_trait]
impl Reporter for Brittle {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        let nth = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert!(nth > 1, "it breaks down");
        self.0.set_status(repo, status).await
    }

    async fn audience(&self, repo: &RepoUrl) -> Result<Audience, ForgeError> {
        self.0.audience(repo).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_at_which_the_forges_code_breaks_down_is_shown_all_the_same() {
    let mut world = World::with(FakeDeployer::new().following());
    let reporter: Arc<dyn Reporter> =
        Arc::new(Brittle(Arc::clone(&world.forge), Default::default()));
    let brittle =
        ForgePorts { reporter: Some(reporter), ..ForgePorts::new(Arc::clone(&world.forge)) };
    let (engine, stop) =
        (world.builder().forge("forge", brittle).build().unwrap(), world.stop.clone());
    world.agent.spawn(async move { engine.run(&stop).await });
    minutes(1).await;
    let sha = world.push();
    minutes(2).await;
    assert_eq!(world.shown(&sha), [StatusState::Pending]);
}
