//! Tags: what a new one is compared with, and what delivers none again.

use sentry_core::watch::{ManifestsBranch, TagSelector};

use super::comparing::{BY_PATHS, prepare};
use super::*;

/// Baselined with `v1.0`, and running.
async fn world() -> (World, CommitSha) {
    let mut world = World::new();
    let first = prepare(&world, "refs/tags/*");
    world.watch.source.subjects.tags = TagSelector::names(["v*"]).ok();
    world.forge.set(A, "refs/tags/v1.0", &first);
    world.start();
    minutes(1).await;
    (world, first)
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_compared_with_the_tag_before_it_also_when_it_moves() {
    let (world, first) = world().await;
    let next = world.forge.commit(A, "refs/tags/v1.1", "work", &[]);
    world.forge.change_paths(&first, &next, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.started(&next), ["docs"]);
    let moved = world.forge.commit(A, "refs/tags/v1.1", "again", &[]);
    world.forge.change_paths(&first, &moved, &["src/a.rs"]);
    world.forge.change_paths(&next, &moved, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.started(&moved), ["src"]);
    // Of what is between the two, only what is there still.
    let between = world.forge.commit(A, "refs/tags/v1.0.5", "work", &[]);
    world.forge.delete(A, "refs/tags/v1.0.5");
    let last = world.forge.commit(A, "refs/tags/v1.0.9", "work", &[]);
    world.forge.change_paths(&between, &last, &["src/a.rs"]);
    world.forge.change_paths(&first, &last, &["docs/a.md"]);
    minutes(2).await;
    assert_eq!(world.started(&last), ["docs"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_tag_with_none_before_it_everything_counts_as_changed() {
    for tag in ["refs/tags/v0.9", "refs/tags/vnext", "refs/tags/v/1.1"] {
        let (world, first) = world().await;
        let next = world.forge.commit(A, tag, "work", &[]);
        world.forge.change_paths(&first, &next, &["docs/a.md"]);
        minutes(2).await;
        assert_eq!(
            world.started(&next),
            BY_PATHS.map(|(_, name)| name).into_iter().rev().collect::<Vec<_>>()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_move_of_b_delivers_a_tag_again_and_one_of_a_parked_tag_does() {
    let mut world = World::new();
    world.watch.source.subjects.tags = TagSelector::names(["v*"]).ok();
    world.watch.watch_manifests = true;
    world.start();
    minutes(1).await;
    let tag = world.forge.commit(A, "refs/tags/v1", "work", &[]);
    let main = world.forge.commit(A, "main", "work", &[]);
    minutes(2).await;
    assert_eq!((world.runs_of(&tag), world.runs_of(&main)), (1, 1));
    world.forge.commit(B, "main", "other tests", &[TASK, RUN]);
    minutes(10).await;
    assert_eq!((world.runs_of(&tag), world.runs_of(&main)), (1, 2));
    let broken = ("run.yaml", "kind: PipelineRun\n");
    world.forge.commit(B, "main", "broken", &[broken]);
    let parked = world.forge.commit(A, "refs/tags/v2", "work", &[]);
    minutes(5).await;
    assert!(world.branch("refs/tags/v2").await.unwrap().is_parked());
    world.forge.commit(B, "main", "repaired", &[TASK, RUN]);
    minutes(10).await;
    assert_eq!(world.runs_of(&parked), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tag_has_the_first_fixed_branch_of_b() {
    let mut world = World::new();
    world.watch.source.subjects.tags = TagSelector::names(["v*"]).ok();
    let main = ManifestsBranch::Named(sample::parse("main"));
    world.watch.manifests.branches = vec![ManifestsBranch::SourceBranch, main];
    world.forge.commit(B, "v1", "not for a tag", &[TASK]);
    world.start();
    minutes(1).await;
    let tag = world.forge.commit(A, "refs/tags/v1", "work", &[]);
    minutes(2).await;
    assert_eq!(world.runs_of(&tag), 1);
}

impl World {
    fn runs_of(&self, sha: &CommitSha) -> usize {
        let of = |run: &&PlannedObject| {
            run.json["metadata"]["annotations"]["sentry-gitops.dev/revision"] == sha.as_str()
        };
        self.deployer.created().iter().filter(of).count()
    }
}
