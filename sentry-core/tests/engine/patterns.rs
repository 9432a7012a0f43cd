//! A pattern of `branches` that matches nothing is told, not passed over.

use sentry_core::event::EventKind;
use sentry_core::watch::BranchSelector;

use super::*;

/// The patterns that were told of since, at each time.
fn told(world: &mut World) -> Vec<Vec<String>> {
    let mut told = Vec::new();
    while let Ok(event) = world.events.try_recv() {
        if let EventKind::PatternsIdle { patterns, .. } = event.kind {
            told.push(patterns);
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_matches_no_branch_is_told_once_and_again_when_one_comes() {
    let mut world = World::new();
    world.watch.source.subjects =
        BranchSelector::new(["main", "mian", "release/*", "!old/*"]).unwrap().into();
    world.start();
    minutes(20).await;
    assert_eq!(told(&mut world), [["mian", "release/*"]]);
    world.forge.commit(A, "release/1", "work", &[]);
    minutes(10).await;
    assert_eq!(told(&mut world), [["mian"]]);
    world.forge.commit(A, "mian", "work", &[]);
    minutes(10).await;
    assert_eq!(told(&mut world), [[""; 0]]);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_a_branch_that_is_taken_away_starts_nothing() {
    let mut world = World::new();
    world.watch.source.subjects = BranchSelector::new(["*", "!old/*"]).unwrap().into();
    world.start();
    minutes(10).await;
    world.forge.commit(A, "old/1", "work", &[]);
    minutes(10).await;
    assert!(world.branch("old/1").await.is_none());
    assert_eq!(world.deployer.created().len(), 0);
    world.forge.commit(A, "new/1", "work", &[]);
    minutes(10).await;
    assert_eq!(world.deployer.created().len(), 1);
}
