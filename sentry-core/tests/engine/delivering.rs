//! From a head to the cluster: what is delivered when, and what is not.

use std::collections::BTreeSet;

use futures::stream::BoxStream;
use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Asked, CommitNote};
use sentry_core::deployer::{
    Checked, Cluster, DeployError, DeployErrorKind, Deployer, DeployerPorts, FollowQuery,
    KindTable, KindsQuery, ObjectDiff, Probe, Retire, RunChange,
};
use sentry_core::forge::ForgeErrorKind;
use sentry_core::names::ClusterRef;
use sentry_core::plan::{ChangeSet, Plan, PlannedObject};
use sentry_core::store::StoreErrorKind;
use sentry_core::subject::EventName;
use sentry_core::testing::sample;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_first_head_is_recorded_and_nothing_is_delivered() {
    let world = World::running().await;
    assert_eq!(world.deliveries().await, []);
    let main = world.branch("main").await.unwrap();
    assert_eq!(main.passed.unwrap().reason, Reason::Baseline);
    assert_eq!(world.why(&main.observed.sha).await.reason, Reason::Baseline);
}

#[tokio::test(start_paused = true)]
async fn a_push_is_delivered_once_and_a_second_push_makes_a_new_run_of_the_same_fixed_name() {
    let world = World::running().await;
    let first = world.push();
    minutes(2).await;
    assert_eq!(world.delivered().await, Some(first.clone()));
    let second = world.push();
    minutes(3).await;
    assert_eq!(world.delivered().await, Some(second.clone()));
    let runs = world.deployer.created();
    let sha =
        |run: &PlannedObject| run.json["spec"]["params"][0]["value"].as_str().map(str::to_owned);
    let specs: Vec<_> = runs.iter().filter_map(sha).collect();
    assert_eq!(specs, [first.to_string(), second.to_string()]);
    assert_eq!(world.why(&first).await.reason, Reason::Delivered);
    assert_eq!(world.deliveries().await[0].state, DeliveryState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn on_first_sight_deliver_delivers_the_first_head() {
    let mut world = World::new();
    world.watch.on_first_sight = OnFirstSight::Deliver;
    world.start();
    seconds(5).await;
    assert_eq!(world.deployer.created().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_branch_that_the_glob_matches_is_delivered() {
    let world = World::running().await;
    world.forge.commit(A, "release/1.0", "cut", &[]);
    world.forge.commit(A, "topic", "unrelated", &[]);
    minutes(2).await;
    assert_eq!(world.deployer.created().len(), 1);
    assert!(world.branch("topic").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_force_push_back_is_settled_without_a_second_run_of_that_commit() {
    let world = World::running().await;
    let first = world.push();
    minutes(2).await;
    world.push();
    minutes(2).await;
    world.forge.set(A, "main", &first);
    minutes(2).await;
    assert_eq!(world.delivered().await, Some(first));
    assert_eq!(world.deployer.created().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_fails_stops_the_cursor_and_the_retry_completes_the_delivery() {
    let world = World::running().await;
    world.deployer.refuse(Some("unit"));
    let sha = world.push();
    while world.deliveries().await.first().is_none_or(|d| d.attempts.failures == 0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.delivered().await, None);
    world.deployer.refuse(None);
    minutes(1).await;
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(world.deployer.created().len(), 1);
    assert_eq!(world.deliveries().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_max_retries_a_head_is_parked_with_the_clusters_reason() {
    let (world, sha) = World::parked().await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts.failures), (DeliveryState::Parked, 4));
    let outcome = &delivery.objects[0];
    assert!(outcome.reason.as_ref().unwrap().contains("refused by the cluster"), "{outcome:?}");
    assert_eq!(world.why(&sha).await.reason, Reason::Parked);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_refused_for_good_is_tried_again_when_b_changes_and_not_before() {
    let world = World::running().await;
    world.forge.commit(B, "main", "broken", &[TASK, RUN, ("z.yaml", "kind: [")]);
    let sha = world.push();
    minutes(60).await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.attempts.tries), (DeliveryState::Parked, 1));
    assert_eq!((delivery.attempts.failures, delivery.next_attempt), (0, None));
    assert_eq!(world.delivered().await, None, "nothing changed yet");
    world.forge.commit(B, "main", "repaired", &[TASK, RUN]);
    minutes(3).await;
    assert_eq!(world.delivered().await, Some(sha));
}

/// A deployer whose attempts never come to their end in time.
#[derive(Debug)]
struct Slow;

#[async_trait::async_trait]
impl Deployer for Slow {
    async fn check(&self, _: &Plan) -> Result<Checked, DeployError> {
        Ok(Checked::default())
    }
    async fn apply(&self, plan: &Plan, _: &Checked) -> Result<ChangeSet, DeployError> {
        tokio::time::sleep(plan.timeout).await;
        Err(DeployError::new(DeployErrorKind::Timeout, "killed at the deadline"))
    }
    fn follow(&self, _: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        None
    }
    async fn retire(&self, _: &Retire) -> Result<(), DeployError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_missed_again_and_again_leaves_the_head_waiting_and_never_parked() {
    let mut world = World::running().await;
    world.kill().await;
    let engine = Engine::builder(Arc::clone(&world.store))
        .clock(Arc::clone(&world.clock) as _)
        .watch(world.watch.clone())
        .forge("forge", ForgePorts::with_statuses(Arc::clone(&world.forge)))
        .deployer(
            "deployer",
            DeployerPorts {
                deployer: Arc::new(Slow),
                ..DeployerPorts::new(Arc::clone(&world.deployer))
            },
        )
        .build()
        .unwrap();
    let stop = world.stop.clone();
    world.agent.spawn(async move { engine.run(&stop).await });
    let sha = world.push();
    minutes(180).await;
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state.is_final(), delivery.attempts.failures), (false, 0), "{delivery:?}");
    assert!(delivery.attempts.tries > 10, "{} attempts", delivery.attempts.tries);
    assert_eq!(world.why(&sha).await.reason, Reason::Waiting);
    world.kill().await;
    world.start();
    minutes(10).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_a_refused_token_holds_up_goes_on_within_a_poll_of_its_rotation() {
    let world = World::running().await;
    world.forge.lose_trees(Some(ForgeErrorKind::Unauthorized));
    let sha = world.push();
    minutes(120).await;
    assert_eq!(world.why(&sha).await.reason, Reason::Waiting);
    world.forge.lose_trees(None);
    seconds(65).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_tries_a_parked_head_again() {
    let mut world = World::running().await;
    world.deployer.refuse(Some("unit"));
    let sha = world.push();
    minutes(30).await;
    world.stop().await;
    world.deployer.refuse(None);
    world.watch.variables.insert("team".into(), "qa".into());
    world.start();
    minutes(1).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn one_bad_document_parks_at_once_with_nothing_written_and_says_where() {
    let world = World::running().await;
    world.forge.commit(B, "main", "broken", &[TASK, RUN, ("z.yaml", "kind: [")]);
    let sha = world.push();
    minutes(2).await;
    assert_eq!(world.deployer.applies(), (0, 0));
    let record = world.why(&sha).await;
    assert_eq!(record.reason, Reason::Parked);
    assert!(record.detail.unwrap().contains("z.yaml"));
}

#[tokio::test(start_paused = true)]
async fn one_bad_document_among_twenty_writes_nothing_at_any_place() {
    for bad in 0..20 {
        let world = World::running().await;
        let documents: Vec<(String, String)> = (0..20)
            .map(|n| {
                let kind = if n == bad { "" } else { "kind: ConfigMap\n" };
                (
                    format!("{n:02}.yaml"),
                    format!("apiVersion: v1\n{kind}metadata: {{name: c{n}}}\n"),
                )
            })
            .collect();
        let files: Vec<(&str, &str)> =
            documents.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        world.forge.commit(B, "main", "one is broken", &files);
        let sha = world.push();
        minutes(2).await;
        assert_eq!(world.deployer.applies(), (0, 0), "place {bad}");
        let why = world.why(&sha).await.detail.unwrap();
        assert!(why.contains(&format!("{bad:02}.yaml")), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_a_forge_park_nothing_and_why_says_since_when() {
    let world = World::running().await;
    world.forge.fail(Some(ForgeErrorKind::Unreachable));
    minutes(10).await;
    let snapshot = world.store.snapshot();
    let outage = snapshot.watches[0].unreachable.clone().unwrap();
    assert!(outage.error.contains("told to fail"), "{outage:?}");
    let last = world.push();
    world.forge.fail(None);
    minutes(6).await;
    assert_eq!(world.delivered().await, Some(last));
    assert!(world.store.snapshot().watches[0].unreachable.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_is_away_from_the_start_is_told_and_its_first_answer_is_still_the_baseline() {
    let mut world = World::new();
    world.forge.fail(Some(ForgeErrorKind::Unreachable));
    world.start();
    minutes(3).await;
    assert!(world.store.snapshot().watches[0].unreachable.is_some());
    world.forge.fail(None);
    minutes(6).await;
    assert_eq!(world.branch("main").await.unwrap().passed.unwrap().reason, Reason::Baseline);
    assert!(world.deployer.created().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_fails_is_asked_at_most_an_eighth_as_often() {
    let world = World::running().await;
    world.forge.fail(Some(ForgeErrorKind::NotFound));
    minutes(120).await;
    let before = world.forge.asked().len();
    minutes(480).await;
    let asked = world.forge.asked().len() - before;
    assert!(asked <= 480 / 8, "{asked} of 480 normal ones");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_refused_for_hours_and_is_rotated_works_within_one_poll() {
    let world = World::running().await;
    world.forge.fail(Some(ForgeErrorKind::Unauthorized));
    minutes(180).await;
    let before = world.forge.asked().len();
    minutes(60).await;
    let asked = world.forge.asked().len() - before;
    assert!(asked >= 55, "{asked} times in the last hour: the forge itself holds requests back");
    let last = world.push();
    world.forge.fail(None);
    minutes(2).await;
    assert_eq!(world.delivered().await, Some(last));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_added_for_a_known_repository_has_its_baseline_at_the_first_answer() {
    let mut world = World::running().await;
    world.stop().await;
    let another = Watch { name: "another".parse().unwrap(), ..world.watch.clone() };
    let engine = world.builder().watch(another).build().unwrap();
    world.agent.spawn(async move { engine.run(&Stop::new()).await });
    minutes(1).await;
    let known = world.store.snapshot().cursors;
    let names: Vec<_> = known.iter().map(|state| state.watch.as_str()).collect();
    assert_eq!(names, ["another", "qa"]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_delivers_the_head_that_was_pushed_just_before_and_no_second_delivery_follows() {
    let world = World::running().await;
    let sha = world.push();
    world.ask(deliver(None)).await;
    seconds(3).await;
    assert_eq!(world.delivered().await, Some(sha.clone()));
    minutes(5).await;
    assert_eq!(world.deployer.created().len(), 1);
    assert_eq!(world.deliveries().await[0].asked.cause, Cause::Manual);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_comes_during_a_round_is_answered_by_the_next_one_at_once() {
    let world = World::running().await;
    world.forge.answer_after(Duration::from_secs(2));
    let asked = world.forge.asked().len();
    while world.forge.asked().len() == asked {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sha = world.push();
    world.ask(deliver(None)).await;
    seconds(10).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_for_an_older_commit_does_not_move_the_cursor() {
    let world = World::running().await;
    let first = world.push();
    minutes(2).await;
    let second = world.push();
    minutes(2).await;
    world.ask(deliver(Some(&first))).await;
    minutes(2).await;
    assert_eq!(world.delivered().await, Some(second));
    assert_eq!(world.deployer.created().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_for_a_branch_that_is_not_there_is_rejected_with_the_reason() {
    let world = World::running().await;
    let branch = |name: &str| TriggerKind::Deliver {
        subject: sample::subject(name),
        sha: None,
        selection: Selection::default(),
    };
    let (absent, foreign) = (branch("release/9"), branch("topic"));
    let (absent, foreign) = (world.ask(absent).await, world.ask(foreign).await);
    minutes(2).await;
    let TriggerState::Rejected(why) = world.trigger_state(&absent).await else {
        panic!("not rejected")
    };
    assert!(why.contains("no branch release/9"), "{why}");
    let TriggerState::Rejected(why) = world.trigger_state(&foreign).await else {
        panic!("not rejected")
    };
    assert!(why.contains("does not select branch topic"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_suspended_watch_observes_but_delivers_only_after_it_is_resumed() {
    let world = World::running().await;
    world.suspend().await;
    minutes(1).await;
    let sha = world.push();
    minutes(3).await;
    assert_eq!(world.why(&sha).await.reason, Reason::Suspended);
    assert!(world.deployer.created().is_empty());
    world.store.hold(&Hold::Resume(sample::resumption(world.watch.name.as_str()))).await.unwrap();
    seconds(5).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_suspension_holds_a_change_that_was_begun_and_lets_a_trigger_go_on() {
    let world = World::running().await;
    world.deployer.down(true);
    let sha = world.push();
    minutes(2).await;
    assert_eq!(world.why(&sha).await.reason, Reason::Waiting);
    world.suspend().await;
    world.deployer.down(false);
    minutes(20).await;
    assert_eq!(world.delivered().await, None);
    world.store.hold(&Hold::Resume(sample::resumption(world.watch.name.as_str()))).await.unwrap();
    minutes(6).await;
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(world.deployer.created().len(), 1);

    world.suspend().await;
    world.deployer.down(true);
    world.ask(deliver(None)).await;
    minutes(2).await;
    assert_eq!(world.deployer.created().len(), 1);
    world.deployer.down(false);
    minutes(6).await;
    assert_eq!(world.deployer.created().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_directory_is_an_error_at_once_until_b_has_it_and_keeps_bs_commit() {
    let world = World::running().await;
    let moved = world.forge.commit_nothing(B, "main", "renamed the directory");
    let sha = world.push();
    minutes(2).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.attempts.tries), (DeliveryState::Parked, 1));
    assert_eq!(delivery.manifests.unwrap().sha, moved);
    assert_eq!(world.why(&sha).await.reason, Reason::Parked);
    assert!(delivery.error.unwrap().contains("no directory"));
    minutes(60).await;
    assert_eq!(world.deliveries().await.len(), 1, "nothing changed");
    world.forge.commit(B, "main", "back", &[TASK, RUN]);
    minutes(3).await;
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn a_refused_delivery_keeps_the_commit_of_b_that_was_refused() {
    let world = World::running().await;
    let refused = world.forge.commit(B, "main", "broken", &[("x.yaml", "kind: [")]);
    world.push();
    minutes(2).await;
    let delivery = world.last().await;
    assert_eq!((delivery.state, delivery.intent), (DeliveryState::Parked, None));
    assert_eq!(delivery.manifests.unwrap().sha, refused);
}

#[tokio::test(start_paused = true)]
async fn a_skip_marker_and_an_empty_directory_settle_a_head_without_runs() {
    let world = World::running().await;
    let skipped = world.forge.commit(A, "main", "docs only [skip ci]", &[]);
    minutes(2).await;
    assert_eq!(world.why(&skipped).await.reason, Reason::SkippedByMarker);
    world.forge.commit(B, "main", "empty", &[]);
    let idle = world.push();
    minutes(2).await;
    assert_eq!(world.why(&idle).await.reason, Reason::NoFile);
    assert_eq!(world.last().await.state, DeliveryState::NothingRan);
    assert_eq!(world.deployer.applies(), (0, 0));
    assert!(!world.branch("main").await.unwrap().is_change());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_was_overtaken_says_by_which() {
    let world = World::running().await;
    world.deployer.down(true);
    let old = world.push();
    minutes(2).await;
    assert_eq!(world.why(&old).await.reason, Reason::Waiting);
    let new = world.push();
    minutes(2).await;
    assert_eq!(world.why(&old).await.reason, Reason::SupersededBy(new));
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_of_a_delivery_every_head_arrives_and_no_run_twice() {
    for millis in (0..400).step_by(20) {
        let mut world = World::with(FakeDeployer::new().taking(Duration::from_millis(200)));
        world.watch.timing.polling_interval = Duration::from_secs(1);
        world.start();
        seconds(3).await;
        let sha = world.push();
        tokio::time::sleep(Duration::from_millis(900 + millis)).await;
        world.kill().await;
        world.start();
        seconds(60).await;
        assert_eq!(world.delivered().await, Some(sha), "killed after {millis} ms");
        assert_eq!(world.deployer.created().len(), 1, "killed after {millis} ms");
        world.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_lets_a_begun_apply_finish_and_a_hard_one_does_not_wait() {
    let mut world = World::with(FakeDeployer::new().taking(Duration::from_secs(10)));
    world.start();
    minutes(1).await;
    let sha = world.push();
    seconds(62).await;
    world.stop().await;
    assert_eq!(world.delivered().await, Some(sha));

    world.start();
    seconds(5).await;
    let next = world.push();
    seconds(62).await;
    assert_eq!(world.deployer.applies().0, 2);
    world.stop.hard();
    world.agent.join_next().await.unwrap().unwrap().unwrap();
    assert_ne!(world.delivered().await, Some(next.clone()));
    let open = world.store.snapshot().open;
    assert!(open[0].intent.is_some() && open[0].error.as_ref().unwrap().contains("interrupted"));
    world.stop = Stop::new();
    world.start();
    minutes(1).await;
    assert_eq!(world.delivered().await, Some(next));
}

#[tokio::test(start_paused = true)]
async fn a_retry_resumes_with_the_same_keys_and_a_rerun_makes_new_runs_of_the_same_commits() {
    let world = World::running().await;
    world.forge.commit(B, "main", "two", &[RUN, ("zz.yaml", &RUN.1.replace("qa", "second"))]);
    let bad = "second";
    let sha = world.push();
    world.deployer.refuse(None);
    minutes(2).await;
    let done = world.deliveries().await.remove(0);
    assert_eq!(done.objects.len(), 2);
    let retry = world.ask(TriggerKind::Retry(done.id.clone())).await;
    minutes(1).await;
    let TriggerState::Rejected(why) = world.trigger_state(&retry).await else { panic!("{bad}") };
    assert!(why.contains("rerun"), "{why}");
    world.forge.commit(B, "main", "newer", &[TASK]);
    world.ask(TriggerKind::Rerun { delivery: done.id.clone(), failed_only: false }).await;
    minutes(1).await;
    let rerun = world.deliveries().await.remove(0);
    assert_eq!((rerun.asked.cause, rerun.state), (Cause::Rerun, DeliveryState::Succeeded));
    assert_eq!(rerun.revision.sha, sha);
    assert_eq!(rerun.intent.unwrap().manifests, done.intent.unwrap().manifests);
    assert_eq!(world.deployer.created().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_keeps_what_its_commit_says_of_itself_however_it_ends() {
    let long = format!("{}\n\nbody", "ü".repeat(300));
    let (bad, none) = (("bad.yaml", "kind: [\n"), ("README", ""));
    for (message, files, state, title) in [
        ("Fix it\n\nbecause", RUN, DeliveryState::Succeeded, "Fix it".to_owned()),
        ("Later [skip ci]", RUN, DeliveryState::NothingRan, "Later [skip ci]".to_owned()),
        ("Try", bad, DeliveryState::Parked, "Try".to_owned()),
        ("", none, DeliveryState::NothingRan, String::new()),
        (&long, RUN, DeliveryState::Succeeded, format!("{}…", "ü".repeat(199))),
    ] {
        let world = World::running().await;
        world.forge.commit(B, "main", "tests", &[files]);
        world.forge.commit(A, "main", message, &[]);
        minutes(1).await;
        let delivery = world.deliveries().await.remove(0);
        assert_eq!(delivery.state, state, "{message}: {delivery:?}");
        let committed = Timestamp::from_second(1_700_000_000).ok();
        let note = CommitNote { title, author: "ada".to_owned(), committed };
        assert_eq!(delivery.commit, Some(note));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rerun_is_for_the_event_and_the_run_of_what_it_repeats_and_says_who_asked() {
    let world = World::running().await;
    let for_nightly =
        "{name: nightly, annotations: {pipelinesascode.tekton.dev/on-event: '[nightly]'}}";
    let nightly = RUN.1.replace("{name: qa}", for_nightly);
    world.forge.commit(B, "main", "a nightly run", &[RUN, ("nightly.yaml", &nightly)]);
    let selection =
        Selection { event: Some(EventName::new("nightly")), run: Some("nightly".to_owned()) };
    let (subject, sha) = (sample::subject("main"), None);
    world.ask(TriggerKind::Deliver { subject, sha, selection }).await;
    minutes(1).await;
    let first = world.deliveries().await.remove(0);
    let kind = TriggerKind::Rerun { delivery: first.id.clone(), failed_only: false };
    let (cause, by) = (Cause::Rerun, Some("ada".to_owned()));
    let trigger = Trigger { cause, by: by.clone(), ..world.trigger("again", kind) };
    world.store.request(&trigger).await.unwrap();
    minutes(1).await;
    let rerun = world.deliveries().await.remove(0);
    let (trigger, repeats) = (Some(trigger.id), Some(first.id));
    assert_eq!(rerun.asked, Asked { cause, trigger, by, repeats, ..first.asked });
    let names = world.deployer.created().into_iter().map(|o| o.object.name);
    let bases: Vec<String> = names.map(|n| n.split('-').next().unwrap().to_owned()).collect();
    assert_eq!(bases, ["nightly", "nightly"]);
}

/// Manifests of which a push starts `qa` and `smoke`, and the event `nightly` a run of its own.
fn for_two_events() -> [(&'static str, String); 3] {
    let named = |name: &str| RUN.1.replace("{name: qa}", name);
    let nightly =
        "{name: nightly, annotations: {pipelinesascode.tekton.dev/on-event: '[nightly]'}}";
    [
        ("run.yaml", RUN.1.to_owned()),
        ("smoke.yaml", named("{name: smoke}")),
        ("nightly.yaml", named(nightly)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_asked_for_before_its_head_was_delivered_leaves_the_head_to_be_delivered() {
    let part = |event: Option<&str>, run: Option<&str>| Selection {
        event: event.map(EventName::new),
        run: run.map(str::to_owned),
    };
    for (selection, first) in [
        (part(None, Some("smoke")), vec!["smoke"]),
        (part(Some("nightly"), None), vec!["nightly"]),
        (part(Some("nightly"), Some("nightly")), vec!["nightly"]),
        (part(Some("weekly"), None), vec![]),
    ] {
        let world = World::running().await;
        let files = for_two_events();
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        world.forge.commit(B, "main", "runs of two events", &files);
        world.suspend().await;
        let sha = world.push();
        minutes(2).await;
        let subject = sample::subject("main");
        let deliver = TriggerKind::Deliver { subject, sha: None, selection: selection.clone() };
        world.ask(deliver).await;
        minutes(1).await;
        let made = || {
            let names = world.deployer.created().into_iter().map(|o| o.object.name);
            names.map(|n| n.split('-').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let asked: Vec<String> = first.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!((made(), world.delivered().await), (asked, None), "{selection:?}");
        let resume = sample::resumption(world.watch.name.as_str());
        world.store.hold(&Hold::Resume(resume)).await.unwrap();
        minutes(2).await;
        assert_eq!(world.delivered().await, Some(sha), "{selection:?}");
        let rest = made().split_off(first.len());
        assert_eq!(rest, ["qa", "smoke"], "{selection:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_head_that_is_delivered_takes_nothing_from_what_b_moves_to_or_what_was_told() {
    let world = following_b().await;
    let settled = world.branch("main").await.unwrap();
    let files = for_two_events();
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    world.forge.commit(B, "main", "runs of two events", &files);
    let subject = sample::subject("main");
    for event in ["weekly", "nightly"] {
        let selection = Selection { event: Some(EventName::new(event)), run: None };
        let subject = subject.clone();
        world.ask(TriggerKind::Deliver { subject, sha: None, selection }).await;
        seconds(5).await;
        let now = world.branch("main").await.unwrap();
        assert_eq!((now.passed, now.manifests), (None, settled.manifests.clone()), "{event}");
    }
    minutes(12).await;
    let names = world.deployer.created().into_iter().map(|o| o.object.name);
    let bases: Vec<String> = names.map(|n| n.split('-').next().unwrap().to_owned()).collect();
    assert_eq!(bases, ["qa", "nightly", "qa", "smoke"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_parked_delivery_completes_it() {
    let world = World::running().await;
    world.deployer.refuse(Some("unit"));
    let sha = world.push();
    minutes(30).await;
    world.deployer.refuse(None);
    let parked = world.deliveries().await.remove(0);
    world.ask(TriggerKind::Retry(parked.id.clone())).await;
    seconds(5).await;
    assert_eq!(world.delivered().await, Some(sha));
    assert_eq!(world.deliveries().await[0].id, parked.id);
}

/// A watch that follows B as well, of which one head is delivered.
async fn following_b() -> World {
    let mut world = World::new();
    world.watch.watch_manifests = true;
    world.start();
    minutes(1).await;
    world.push();
    minutes(2).await;
    assert_eq!(world.deployer.created().len(), 1);
    world
}

impl World {
    async fn move_b(&self) {
        self.forge.commit(B, "main", "new tests", &[TASK, RUN]);
        minutes(12).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_follows_b_delivers_once_whenever_only_b_moves_over_kills_too() {
    let mut world = following_b().await;
    for deliveries in 2..=4 {
        world.move_b().await;
        assert_eq!(world.deployer.created().len(), deliveries);
        world.kill().await;
        world.start();
        minutes(10).await;
        assert_eq!(world.deployer.created().len(), deliveries);
    }
    let left = world.store.requests().await.unwrap().triggers;
    assert_eq!(
        (left, world.deliveries().await[0].asked.trigger.clone()),
        (vec![], None),
        "nobody asked"
    );
}

#[tokio::test(start_paused = true)]
async fn what_b_moved_to_while_its_watch_was_suspended_is_delivered_after_it_is_resumed() {
    let world = following_b().await;
    world.suspend().await;
    world.move_b().await;
    assert_eq!(world.deliveries().await.len(), 1);
    world.store.hold(&Hold::Resume(sample::resumption(world.watch.name.as_str()))).await.unwrap();
    minutes(12).await;
    assert_eq!(world.deployer.created().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_b_that_can_not_be_delivered_is_tried_once_and_the_next_one_again() {
    let world = following_b().await;
    world.deployer.refuse(Some("unit"));
    world.move_b().await;
    minutes(60).await;
    assert_eq!(world.deliveries().await.len(), 2);
    world.deployer.refuse(None);
    world.move_b().await;
    assert_eq!((world.deliveries().await.len(), world.deployer.created().len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn once_baselines_then_delivers_and_ends_and_settle_answers_only_its_trigger() {
    let world = World::new();
    let summary = world.engine().once(&Stop::new()).await.unwrap();
    assert!(summary.deliveries.is_empty() && summary.poll_errors.is_empty());
    let sha = world.push();
    let summary = world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(summary.deliveries[0].state, DeliveryState::Succeeded);
    assert_eq!(world.delivered().await, Some(sha));
    let id = world.ask(deliver(None)).await;
    let settled = world.engine().settle(&[id], &Stop::new()).await.unwrap();
    assert_eq!((settled.len(), settled[0].state), (1, DeliveryState::Succeeded));
    assert_eq!(world.deployer.created().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn settle_goes_on_with_what_another_process_began_for_its_trigger() {
    let world = World::new();
    world.engine().once(&Stop::new()).await.unwrap();
    let id = world.ask(deliver(None)).await;
    world.deployer.down(true);
    let left = world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(left.deliveries[0].state, DeliveryState::Pending);
    world.deployer.down(false);
    let settled = world.engine().settle(&[id], &Stop::new()).await.unwrap();
    assert_eq!(settled[0].state, DeliveryState::Succeeded);
    assert_eq!(settled[0].id, left.deliveries[0].id);
}

#[tokio::test(start_paused = true)]
async fn once_ends_even_while_the_cluster_or_the_forge_is_away() {
    let world = World::new();
    world.engine().once(&Stop::new()).await.unwrap();
    world.push();
    world.deployer.down(true);
    let summary = world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(summary.deliveries[0].state, DeliveryState::Pending);
    world.forge.fail(Some(ForgeErrorKind::Unreachable));
    let summary = world.engine().once(&Stop::new()).await.unwrap();
    assert_eq!(summary.poll_errors[0].1, ForgeErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_second_agent_on_the_same_state_is_refused() {
    let world = World::running().await;
    let error = world.engine().run(&Stop::new()).await.unwrap_err();
    let EngineError::Store(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), StoreErrorKind::Held);
}

#[tokio::test(start_paused = true)]
async fn idle_polls_hand_the_validator_back_and_write_nothing() {
    let world = World::running().await;
    minutes(10).await;
    let asked = world.forge.asked();
    assert!(
        asked[0].validator.is_none() && asked[1..].iter().all(|q| q.validator.is_some()),
        "{asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_preview_tells_what_would_be_done_and_writes_nothing() {
    let world = World::new();
    let (name, branch) = (&world.watch.name, sample::subject("main"));
    let preview = world.engine().preview(name, &branch, None, &Selection::default()).await.unwrap();
    assert_eq!(preview.plan.unwrap().objects.len(), 2);
    assert!(world.deployer.names().is_empty());
    assert_eq!(world.store.snapshot().cursors, []);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_shows_since_when_though_the_agent_lives() {
    let world = World::running().await;
    world.forge.answer_after(Duration::from_secs(24 * 3600));
    minutes(10).await;
    let agent = world.store.snapshot().agent.unwrap();
    let silent = |at| agent.beat.duration_since(at).as_secs();
    assert!(silent(agent.loops[0].beat) > 8 * 60, "{agent:?}");
    assert_eq!(agent.loops[0].interval, Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_fails_and_waits_its_turn_keeps_its_time() {
    let world = World::running().await;
    world.forge.fail(Some(ForgeErrorKind::NotFound));
    minutes(30).await;
    let agent = world.store.snapshot().agent.unwrap();
    assert!(agent.beat.duration_since(agent.loops[0].beat).as_secs() < 60, "{agent:?}");
}

/// A cluster that never says which kinds it has.
#[derive(Debug)]
struct Mute;

#[async_trait::async_trait]
impl Cluster for Mute {
    async fn kinds(
        &self,
        _: &ClusterRef,
        _: &KindsQuery,
    ) -> Result<Option<Arc<KindTable>>, DeployError> {
        std::future::pending().await
    }
    async fn exist(
        &self,
        _: &ClusterRef,
        _: &[(String, String, String)],
    ) -> Result<Option<BTreeSet<(String, String)>>, DeployError> {
        unreachable!("nothing is asked without kinds")
    }
    async fn diff(&self, _: &Plan) -> Result<Vec<ObjectDiff>, DeployError> {
        unreachable!("nothing is asked without kinds")
    }
    async fn probe(&self, _: &ClusterRef, _: bool) -> Result<Vec<Probe>, DeployError> {
        unreachable!("nothing is asked without kinds")
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_knows_no_deadline_ends_at_the_attempts_own() {
    let mut world = World::new();
    world.watch.on_first_sight = OnFirstSight::Deliver;
    world.watch.timing.timeout = Duration::from_secs(20);
    world.watch.timing.max_retries = 0;
    let engine = Engine::builder(Arc::clone(&world.store))
        .clock(Arc::clone(&world.clock) as _)
        .watch(world.watch.clone())
        .forge("forge", ForgePorts::with_statuses(Arc::clone(&world.forge)))
        .deployer(
            "deployer",
            DeployerPorts {
                cluster: Arc::new(Mute),
                ..DeployerPorts::new(Arc::clone(&world.deployer))
            },
        )
        .build()
        .unwrap();
    engine.once(&Stop::new()).await.unwrap();
    let delivery = world.deliveries().await.remove(0);
    let discover = delivery.steps.iter().find(|step| step.step == "discover").unwrap();
    assert!(discover.took <= Duration::from_secs(20), "{discover:?}");
    assert!(discover.took > Duration::from_secs(19), "{discover:?}");
}
