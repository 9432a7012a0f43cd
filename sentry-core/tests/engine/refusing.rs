//! What the cluster refuses at the check: strict stops, lenient leaves out.

use sentry_core::watch::Refusals;

use super::*;

const LONELY: (&str, &str) =
    ("lonely.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: lonely}\n");
/// A run that refers to a step action, which stays a reference.
const STEPPING: (&str, &str) = (
    "stepping.yaml",
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: stepping}\nspec: {pipelineSpec: {tasks: [{name: a, \
     taskSpec: {steps: [{name: a, ref: {name: act}}]}}]}}\n",
);
const ACTION: (&str, &str) = (
    "act.yaml",
    "apiVersion: tekton.dev/v1beta1\nkind: StepAction\nmetadata: {name: act}\nspec: {image: a}\n",
);

/// One whose first head is delivered, with B's files and what the cluster refuses.
async fn world(refusals: Refusals, refused: &[&str]) -> World {
    let mut world = World::new();
    world.forge.commit(B, "main", "more tests", &[TASK, RUN, LONELY, STEPPING, ACTION]);
    world.deployer.refuse_at_check(refused);
    world.watch.refusals = refusals;
    world.watch.on_first_sight = OnFirstSight::Deliver;
    world.watch.timing.max_retries = 0;
    world.engine().once(&Stop::new()).await.unwrap();
    world
}

fn runs(world: &World) -> Vec<String> {
    let base = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    world.deployer.created().iter().map(|run| base(&run.object.name)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lenient_watch_leaves_out_what_the_cluster_refuses_and_says_so() {
    let world = world(Refusals::Lenient, &["lonely"]).await;
    assert_eq!(runs(&world), ["qa", "stepping"]);
    assert!(!world.deployer.names().contains(&"lonely".to_owned()));
    let delivery = world.deliveries().await.remove(0);
    let told = "left out lonely.yaml:1 (document 1): Task lonely: not to the fake cluster's taste";
    assert!(delivery.notes.iter().any(|note| note == told), "{:?}", delivery.notes);
    assert!(world.delivered().await.is_some());
    assert_eq!(world.deployer.unchecked(), [""; 0], "what the check learnt goes with what is left");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_refers_to_what_is_left_out_is_left_out_with_the_reason() {
    let world = world(Refusals::Lenient, &["act"]).await;
    assert_eq!(runs(&world), ["qa"]);
    let delivery = world.deliveries().await.remove(0);
    let told = "left out stepping.yaml:1 (document 1): it refers to StepAction act, which the cluster refuses";
    assert!(delivery.notes.iter().any(|note| note == told), "{:?}", delivery.notes);
}

#[tokio::test(start_paused = true)]
async fn a_strict_watch_writes_nothing_and_names_the_object() {
    let world = world(Refusals::Strict, &["lonely"]).await;
    assert!(world.deployer.names().is_empty());
    let error = world.deliveries().await.remove(0).error.unwrap();
    assert!(error.contains("Task lonely: not to the fake cluster's taste"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lenient_watch_of_which_no_run_is_left_has_failed_and_writes_nothing() {
    let world = world(Refusals::Lenient, &["qa", "stepping"]).await;
    assert!(world.deployer.names().is_empty(), "{:?}", world.deployer.names());
    let error = world.deliveries().await.remove(0).error.unwrap();
    assert!(error.contains("PipelineRun qa-"), "{error}");
}
