//! Which commit a new head is compared with: it decides which runs with paths start.

use sentry_core::forge::ForgeErrorKind;

use super::*;

pub(crate) const BY_PATHS: [(&str, &str); 2] = [("src.yaml", "src"), ("docs.yaml", "docs")];

/// Baselined; each of two runs asks for a path of its own.
async fn world() -> (World, CommitSha) {
    let mut world = World::new();
    let baseline = prepare(&world, "*");
    world.start();
    minutes(1).await;
    (world, baseline)
}

/// Commits the first heads: in B runs that start by paths, for branches that match this pattern.
pub(crate) fn prepare(world: &World, branches: &str) -> CommitSha {
    let run = |name: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: {name}-\n  annotations:\n    \
             pipelinesascode.tekton.dev/on-event: push\n    pipelinesascode.tekton.dev/on-target-branch: '{branches}'\n    \
             pipelinesascode.tekton.dev/on-path-change: '{name}/**'\nspec: {{}}\n"
        )
    };
    let files = BY_PATHS.map(|(path, name)| (path, run(name)));
    world.forge.commit(B, "main", "tests", &files.each_ref().map(|(path, text)| (*path, &**text)));
    world.forge.commit(A, "main", "first", &[])
}

impl World {
    /// The names, up to their dash, of the runs that a commit started.
    pub(crate) fn started(&self, sha: &CommitSha) -> Vec<String> {
        let of = |run: &PlannedObject| {
            run.json["metadata"]["annotations"]["sentry-gitops.dev/revision"] == sha.as_str()
        };
        let base = |run: &PlannedObject| run.object.name.split('-').next().unwrap().to_owned();
        let mut names: Vec<_> =
            self.deployer.created().iter().filter(|run| of(run)).map(base).collect();
        names.sort();
        names
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_head_after_a_baseline_is_compared_with_it() {
    let (world, baseline) = world().await;
    let head = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&baseline, &head, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.started(&head), ["docs"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_head_is_compared_with_the_delivered_one() {
    let (world, baseline) = world().await;
    let first = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&baseline, &first, &["docs/a.md"]);
    minutes(2).await;
    let second = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&first, &second, &["src/a.rs"]);
    minutes(2).await;
    assert_eq!(world.started(&second), ["src"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_head_changed_that_a_marker_let_pass_still_counts() {
    let (world, baseline) = world().await;
    let skipped = world.forge.commit(A, "main", "docs [skip ci]", &[]);
    world.forge.change_paths(&baseline, &skipped, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.branch("main").await.unwrap().passed.unwrap().reason, Reason::SkippedByMarker);
    let head = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&baseline, &head, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.started(&head), ["docs"]);
}

/// With its paths still counted, a run that ignores them would never start again.
#[tokio::test(start_paused = true)]
async fn a_head_that_no_run_was_meant_for_was_judged_and_is_compared_with() {
    let (world, baseline) = world().await;
    let judged = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&baseline, &judged, &["other"]);
    minutes(2).await;
    assert_eq!(world.branch("main").await.unwrap().passed.unwrap().reason, Reason::NoRunMatched);
    let head = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&judged, &head, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.started(&head), ["docs"]);
}

#[tokio::test(start_paused = true)]
async fn a_baseline_outlives_the_agent_and_a_head_that_was_never_delivered() {
    let (mut world, baseline) = world().await;
    world.stop().await;
    world.forge.lose_trees(Some(ForgeErrorKind::Unreachable));
    world.forge.commit(A, "main", "never delivered", &[]);
    world.start();
    minutes(2).await;
    let head = world.forge.commit(A, "main", "work", &[]);
    world.forge.change_paths(&baseline, &head, &["src/a.rs"]);
    minutes(2).await;
    world.forge.lose_trees(None);
    minutes(10).await;
    assert_eq!(world.started(&head), ["src"]);
}

#[tokio::test(start_paused = true)]
async fn a_baseline_of_a_widened_watch_counts_as_well() {
    let (mut world, _) = world().await;
    let cut = world.forge.commit(A, "dev", "cut", &[]);
    world.stop().await;
    world.watch = watch("qa", &["main", "dev"]);
    world.start();
    minutes(2).await;
    let head = world.forge.commit(A, "dev", "work", &[]);
    world.forge.change_paths(&cut, &head, &["src/a.rs"]);
    minutes(2).await;
    assert_eq!(world.started(&head), ["src"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_forge_can_not_compare_everything_counts_as_changed() {
    let (world, _) = world().await;
    let head = world.forge.commit(A, "main", "work", &[]);
    minutes(2).await;
    assert_eq!(world.started(&head), ["docs", "src"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_commit_to_compare_with_everything_counts_as_changed() {
    let (world, _) = world().await;
    let new = world.forge.commit(A, "release/1", "cut", &[]);
    minutes(2).await;
    assert_eq!(world.started(&new), ["docs", "src"]);
    world.forge.delete(A, "main");
    minutes(2).await;
    let back = world.forge.commit(A, "main", "back again", &[]);
    minutes(2).await;
    assert_eq!(world.started(&back), ["docs", "src"]);

    let mut world = World::new();
    world.watch.on_first_sight = OnFirstSight::Deliver;
    let first = prepare(&world, "*");
    world.start();
    minutes(2).await;
    assert_eq!(world.started(&first), ["docs", "src"]);
}
