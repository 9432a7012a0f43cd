//! No more runs go on in a namespace than it may have: the others wait in order, and none runs twice.

use sentry_core::delivery::{RunState, Verdict};
use sentry_core::plan::{Action, PlannedObject};
use sentry_core::testing::sample;

use super::following::following;
use super::*;

fn runs(n: usize) -> Vec<(String, String)> {
    let run = |i| {
        let text =
            format!("apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: r{i:02}}}\n");
        (format!("r{i:02}.yaml"), text)
    };
    (0..n).map(run).collect()
}

impl World {
    fn put_runs(&self, n: usize) {
        let files = runs(n);
        let files: Vec<(&str, &str)> =
            files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        self.forge.commit(B, "main", "runs", &files);
    }

    /// The documents of all runs that were made, in the order in which they were, for one commit.
    fn made(&self, sha: &CommitSha) -> Vec<String> {
        let created = self.deployer.created();
        let of = |o: &PlannedObject| {
            o.json["metadata"]["labels"]["sentry-gitops.dev/commit"] == sha.as_str()
        };
        created.into_iter().filter(of).map(|o| o.object.path).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn eighteen_branches_at_once_never_have_more_runs_than_the_namespace_may_and_all_run() {
    let mut world = World::with(
        FakeDeployer::new().following().auto_finish(Duration::from_secs(60), RunState::Succeeded),
    );
    world.put_runs(15);
    for i in 0..18 {
        world.forge.commit(A, &format!("release/{i}"), "first", &[]);
    }
    world.start();
    minutes(1).await;
    let heads: Vec<CommitSha> =
        (0..18).map(|i| world.forge.commit(A, &format!("release/{i}"), "work", &[])).collect();
    minutes(60).await;
    assert_eq!(world.deployer.most_active(), 20);
    let wanted: Vec<String> = runs(15).into_iter().map(|(path, _)| path).collect();
    for head in &heads {
        assert_eq!(world.made(head), wanted, "each once, in file order");
    }
    assert_eq!(world.deployer.created().len(), 18 * 15);
    let verdicts: Vec<_> = world.deliveries().await.into_iter().map(|d| d.verdict).collect();
    assert_eq!(verdicts, vec![Some(Verdict::Success); 18]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_queue_is_told_and_survives_a_kill() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 2;
    world.put_runs(5);
    world.start();
    minutes(1).await;
    let sha = world.push();
    minutes(2).await;
    let delivery = world.last().await;
    let queued = delivery.objects.iter().filter(|o| o.action == Action::Queued).count();
    assert_eq!((delivery.state, queued), (DeliveryState::Following, 3));
    let why = world.why(&sha).await;
    assert_eq!(why.reason, Reason::Waiting);
    assert!(why.detail.unwrap().contains("3 runs wait: 2 may run at once in qa"));
    assert_eq!(world.delivered().await, None, "not every object is acknowledged");
    world.kill().await;
    world.start();
    for _ in 0..5 {
        assert!(world.deployer.active_runs().len() <= 2);
        for run in world.deployer.active_runs() {
            world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
        }
        minutes(1).await;
    }
    assert_eq!(world.made(&sha).len(), 5);
    assert_eq!(world.deployer.unchecked(), [""; 0], "what the check learnt goes with every part");
    assert_eq!(world.last().await.verdict, Some(Verdict::Success));
    assert_eq!(world.delivered().await, Some(sha));
}

#[tokio::test(start_paused = true)]
async fn room_goes_to_the_delivery_that_has_waited_longest() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 2;
    world.put_runs(3);
    world.forge.commit(A, "release/1", "first", &[]);
    world.start();
    minutes(1).await;
    let older = world.push();
    minutes(2).await;
    let newer = world.forge.commit(A, "release/1", "work", &[]);
    minutes(2).await;
    assert_eq!((world.made(&older).len(), world.made(&newer).len()), (2, 0));
    for expected in [(3, 0), (3, 1), (3, 2), (3, 3)] {
        let run = world.deployer.active_runs().remove(0);
        world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
        minutes(1).await;
        assert_eq!((world.made(&older).len(), world.made(&newer).len()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn room_is_kept_for_what_waits_in_the_queue_while_its_attempt_is_made_again() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 1;
    world.watch.timing.max_retries = 100;
    world.put_runs(3);
    world.forge.commit(A, "release/1", "first", &[]);
    world.start();
    minutes(1).await;
    let older = world.push();
    minutes(2).await;
    world.deployer.refuse(Some("r01"));
    let first = world.deployer.active_runs().remove(0);
    world.deployer.finish(&first, RunState::Succeeded, "Succeeded");
    minutes(1).await;
    let newer = world.forge.commit(A, "release/1", "work", &[]);
    minutes(5).await;
    assert_eq!((world.made(&older).len(), world.made(&newer).len()), (1, 0));
    world.deployer.refuse(None);
    minutes(6).await;
    assert_eq!((world.made(&older).len(), world.made(&newer).len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn watches_of_one_namespace_share_its_room() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 3;
    world.put_runs(2);
    let another = Watch { name: "another".parse().unwrap(), ..world.watch.clone() };
    let engine = world.builder().watch(another).build().unwrap();
    world.agent.spawn(async move { engine.run(&Stop::new()).await });
    minutes(1).await;
    let sha = world.push();
    minutes(2).await;
    assert_eq!((world.made(&sha).len(), world.deployer.most_active()), (3, 3));
    let ended = world.deployer.active_runs().remove(0);
    world.deployer.finish(&ended, RunState::Succeeded, "Succeeded");
    minutes(1).await;
    assert_eq!((world.made(&sha).len(), world.deployer.most_active()), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_suspension_holds_keeps_no_room_from_what_a_person_asks_for() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 2;
    world.put_runs(3);
    let asked = world.forge.commit(A, "release/1", "first", &[]);
    world.start();
    minutes(1).await;
    let held = world.push();
    minutes(2).await;
    world.suspend().await;
    for run in world.deployer.active_runs() {
        world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
    }
    minutes(1).await;
    let subject = sample::subject("release/1");
    let selection = Selection::default();
    world.ask(TriggerKind::Deliver { subject, sha: None, selection }).await;
    minutes(2).await;
    assert_eq!((world.made(&held).len(), world.made(&asked).len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_newer_head_takes_the_place_of_what_still_waits_and_what_runs_is_followed() {
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.timing.max_active_runs = 2;
    world.put_runs(3);
    world.start();
    minutes(1).await;
    let first = world.push();
    minutes(2).await;
    let second = world.push();
    minutes(2).await;
    assert_eq!(world.why(&first).await.reason, Reason::SupersededBy(second.clone()));
    for _ in 0..4 {
        for run in world.deployer.active_runs() {
            world.deployer.finish(&run, RunState::Succeeded, "Succeeded");
        }
        minutes(1).await;
    }
    assert_eq!((world.made(&first).len(), world.made(&second).len()), (2, 3));
    let states: Vec<_> = world.deliveries().await.into_iter().map(|d| d.state).collect();
    assert_eq!(states, [DeliveryState::Succeeded, DeliveryState::Superseded]);
    assert_eq!(world.delivered().await, Some(second));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_that_bites_nothing_waits() {
    let world = following().await;
    world.put_runs(20);
    let sha = world.push();
    minutes(2).await;
    assert_eq!(world.made(&sha).len(), 20);
    assert!(!world.last().await.is_queued());
}

#[tokio::test(start_paused = true)]
async fn a_newer_run_cancels_the_older_one_of_its_branch_where_its_document_says_so() {
    let mut world = World::with(FakeDeployer::new().following());
    let run = (
        "run.yaml",
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations: {pipelinesascode.tekton.dev/cancel-in-progress: 'true'}\n",
    );
    world.forge.commit(B, "main", "cancelling", &[run]);
    world.forge.commit(A, "release/1", "first", &[]);
    world.start();
    minutes(1).await;
    world.push();
    world.forge.commit(A, "release/1", "work", &[]);
    minutes(2).await;
    let second = world.push();
    minutes(2).await;
    let states: Vec<_> = world.deliveries().await.into_iter().map(|d| d.state).collect();
    use DeliveryState::{Following, Superseded};
    assert_eq!(states.iter().filter(|s| **s == Following).count(), 2, "{states:?}");
    assert_eq!(states.iter().filter(|s| **s == Superseded).count(), 1, "{states:?}");
    assert_eq!(world.deployer.retired().len(), 1);
    assert_eq!(world.made(&second).len(), 1);
    assert_eq!(world.deployer.active_runs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_ended_runs_only_as_many_are_kept_as_their_document_says() {
    let mut world = World::with(
        FakeDeployer::new().following().auto_finish(Duration::from_secs(30), RunState::Failed),
    );
    let run = (
        "run.yaml",
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations: {pipelinesascode.tekton.dev/max-keep-runs: '2'}\n",
    );
    world.forge.commit(B, "main", "keeping", &[run]);
    world.start();
    minutes(1).await;
    for _ in 0..4 {
        world.push();
        minutes(2).await;
    }
    let created = world.deployer.created().into_iter().map(|o| o.object.name);
    let mut newest: Vec<String> = created.skip(2).collect();
    newest.sort();
    assert_eq!((world.deployer.names(), world.inventory().await), (newest.clone(), newest));
}

#[tokio::test(start_paused = true)]
async fn ended_runs_are_kept_for_each_document_of_a_file_by_itself() {
    let mut world = World::with(
        FakeDeployer::new().following().auto_finish(Duration::from_secs(30), RunState::Succeeded),
    );
    let run = |name: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations: \
             {{pipelinesascode.tekton.dev/max-keep-runs: '1'}}\n"
        )
    };
    let both = format!("{}---\n{}", run("one"), run("two"));
    world.forge.commit(B, "main", "keeping", &[("both.yaml", &both)]);
    world.start();
    minutes(1).await;
    for _ in 0..3 {
        world.push();
        minutes(2).await;
    }
    let kept = world.deployer.names();
    let bases: Vec<_> = kept.iter().map(|name| name.split('-').next().unwrap()).collect();
    assert_eq!(bases, ["one", "two"]);
}
