//! What a follower is told. A deployer whose runs can't be followed says so, and nothing else is asked of it.

use super::Bench;
use crate::delivery::RunState::{Failed, Running, Succeeded};
use crate::deployer::RunChange;
use crate::retry::Retry;

/// See the name.
pub async fn a_follower_is_told_all_that_stands_then_that_it_is_all(at: Bench) {
    at.deliver(&[at.run("one", "k"), at.run("two", "l")]).await;
    at.ground.finish("two", true);
    let Some(mut told) = at.follow() else { return };
    let both = [("one".to_owned(), Running), ("two".to_owned(), Succeeded)];
    assert_eq!(told.until_synced().await, both);
    let mut anew = at.follow().expect("it could be followed");
    assert_eq!(anew.until_synced().await, both, "whoever asks anew is told all again");
}

/// See the name.
pub async fn a_follower_is_told_of_a_new_run_and_of_its_end(at: Bench) {
    let Some(mut told) = at.follow() else { return };
    assert_eq!(told.until_synced().await, []);
    at.deliver(&[at.run("one", "k")]).await;
    assert_eq!(told.becomes("one", Running).await.completed, None);
    at.ground.finish("one", true);
    assert!(told.becomes("one", Succeeded).await.completed.is_some());
}

/// See the name.
pub async fn a_follower_is_told_why_a_run_failed(at: Bench) {
    at.deliver(&[at.run("one", "k")]).await;
    let Some(mut told) = at.follow() else { return };
    told.until_synced().await;
    at.ground.finish("one", false);
    let status = told.becomes("one", Failed).await;
    assert!(status.reason.is_some() && status.message.is_some(), "{status:?}");
}

/// See the name.
pub async fn a_follower_is_told_that_a_run_is_gone(at: Bench) {
    at.deliver(&[at.run("one", "k")]).await;
    let Some(mut told) = at.follow() else { return };
    told.until_synced().await;
    at.ground.delete("one");
    let gone = RunChange::Gone { kind: "PipelineRun".into(), name: "one".into() };
    assert_eq!(told.next().await.expect("the change"), gone);
    let mut anew = at.follow().expect("it could be followed");
    assert_eq!(anew.until_synced().await, []);
}

/// See the name.
pub async fn a_follower_hears_of_its_own_commits_and_kinds_alone(at: Bench) {
    at.deliver(&[at.run("one", "k")]).await;
    let Some(mut others) = at.follow_kinds(2, &["PipelineRun"]) else { return };
    assert_eq!(others.until_synced().await, []);
    for kinds in [&["TaskRun"][..], &[]] {
        let mut none = at.follow_kinds(1, kinds).expect("it could be followed");
        assert_eq!(none.until_synced().await, [], "{kinds:?}");
    }
}

/// See the name.
pub async fn a_following_of_a_cluster_that_is_away_ends_with_an_error(at: Bench) {
    at.ground.away(true);
    let Some(mut told) = at.follow() else { return };
    let error = told.next().await.expect_err("nobody answered");
    assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
}
