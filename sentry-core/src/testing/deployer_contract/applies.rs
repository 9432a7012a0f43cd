//! What an apply makes, and what it tells of it.

use super::{Bench, Refusal, actions, refs};
use crate::deployer::{Checked, DeployErrorKind};
use crate::plan::Action::{Configured, Created, Exists, Failed, Skipped, Unchanged};
use crate::retry::Retry;

/// See the name.
pub async fn an_apply_tells_what_became_of_each_object_in_the_plans_order(at: Bench) {
    let plan = [at.named("z", "a"), at.named("a", "a"), at.run("two", "k"), at.run("one", "l")];
    let checked = at.check(&plan).await;
    let changes = at.apply(&plan, &checked).await;
    assert!(changes.is_complete(), "{changes:?}");
    let told: Vec<_> = changes.objects.iter().map(|outcome| &outcome.object).collect();
    assert_eq!(told, refs(&plan));
    let runs: Vec<_> = changes.objects.iter().map(|outcome| outcome.run).collect();
    assert_eq!(runs, [false, false, true, true]);
    assert_eq!(at.exist(&plan.each_ref()).await, ["z", "a", "two", "one"]);
}

/// See the name.
pub async fn a_plan_that_is_applied_twice_makes_nothing_twice(at: Bench) {
    let plan = [at.named("unit", "a"), at.run("one", "k"), at.run("two", "l")];
    at.deliver(&plan).await;
    let again = at.apply(&plan, &Checked::default()).await;
    assert!(again.is_complete(), "{again:?}");
    assert_eq!(actions(&again)[1..], [Exists, Exists]);
    assert_eq!(at.ground.made(), ["one", "two"]);
}

/// See the name.
pub async fn what_is_new_changed_and_right_is_told_apart(at: Bench) {
    for (content, told) in [
        ("a", [Created, Created, Created]),
        ("a", [Unchanged, Unchanged, Exists]),
        ("b", [Configured, Unchanged, Exists]),
    ] {
        let plan = [at.named("unit", content), at.named("other", "a"), at.run("one", "k")];
        assert_eq!(at.deliver(&plan).await, told, "{content}");
    }
}

/// Objects are left out of a plan after its check, and runs wait for room.
pub async fn what_a_check_learnt_serves_a_part_of_its_plan(at: Bench) {
    at.deliver(&[at.named("right", "a"), at.named("changed", "a")]).await;
    let new = at.named("new", "a");
    let plan = [new, at.named("right", "a"), at.named("changed", "b"), at.run("one", "k")];
    let checked = at.check(&plan).await;
    let later = at.apply(&plan[1..], &checked).await;
    assert_eq!(actions(&later), [Unchanged, Configured, Created], "{later:?}");
    let first = at.apply(&plan[..1], &checked).await;
    assert_eq!(actions(&first), [Created], "{first:?}");
}

/// See the name.
pub async fn an_apply_without_a_check_is_carried_out(at: Bench) {
    let plan = [at.named("unit", "a"), at.run("one", "k")];
    let changes = at.apply(&plan, &Checked::default()).await;
    assert!(changes.is_complete(), "{changes:?}");
    assert_eq!(at.exist(&plan.each_ref()).await, ["unit", "one"]);
}

/// See the name.
pub async fn a_run_whose_name_has_another_key_is_a_conflict_and_stays(at: Bench) {
    at.deliver(&[at.run("one", "mine")]).await;
    let theirs = [at.run("one", "another")];
    let changes = at.apply(&theirs, &at.check(&theirs).await).await;
    assert_eq!(actions(&changes), [Failed]);
    let error = changes.error.expect("why it failed");
    assert_eq!((error.kind(), error.retry()), (DeployErrorKind::NameConflict, Retry::Stalled));
    assert_eq!(at.deliver(&[at.run("one", "mine")]).await, [Exists]);
    assert_eq!(at.ground.made(), ["one"]);
}

/// See the name.
pub async fn no_run_is_made_after_a_named_object_that_failed(at: Bench) {
    let plan = [at.named("bad", "a"), at.run("one", "k"), at.run("two", "l")];
    let checked = at.check(&plan).await;
    at.ground.refuse("Task", "bad", Refusal::ForGood);
    let changes = at.apply(&plan, &checked).await;
    assert_eq!(actions(&changes), [Failed, Skipped, Skipped], "{changes:?}");
    assert!(changes.objects[0].reason.is_some(), "{changes:?}");
    assert_eq!(changes.error.expect("why it failed").retry(), Retry::Stalled);
    assert!(at.ground.made().is_empty());
}

/// See the name.
pub async fn a_run_that_failed_takes_nothing_back_from_those_before_it(at: Bench) {
    let plan = [at.named("unit", "a"), at.run("one", "k"), at.run("bad", "l")];
    let checked = at.check(&plan).await;
    at.ground.refuse("PipelineRun", "bad", Refusal::ForNow);
    let changes = at.apply(&plan, &checked).await;
    assert_eq!(actions(&changes), [Created, Created, Failed], "{changes:?}");
    assert_eq!(at.ground.made(), ["one"]);
}

/// See the name.
pub async fn what_was_refused_for_now_is_made_by_a_repeat(at: Bench) {
    let plan = [at.named("unit", "a"), at.run("one", "k"), at.run("over", "l")];
    let checked = at.check(&plan).await;
    at.ground.refuse("PipelineRun", "over", Refusal::ForNow);
    let changes = at.apply(&plan, &checked).await;
    let error = changes.error.expect("why it failed");
    assert_ne!(error.retry(), Retry::Stalled, "{error:?}");
    at.ground.heal();
    assert_eq!(at.deliver(&plan).await, [Unchanged, Exists, Created]);
    assert_eq!(at.ground.made(), ["one", "over"]);
}

/// See the name.
pub async fn an_apply_to_a_cluster_that_is_away_acknowledges_nothing(at: Bench) {
    let objects = [at.named("unit", "a"), at.run("one", "k")];
    let checked = at.check(&objects).await;
    at.ground.away(true);
    let error = match at.deployer().apply(&at.plan(&objects), &checked).await {
        Err(error) => error,
        Ok(changes) => {
            assert_eq!(changes.acknowledged(), 0, "{changes:?}");
            changes.error.expect("why nothing was acknowledged")
        }
    };
    assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
    at.ground.away(false);
    assert!(at.exist(&objects.each_ref()).await.is_empty());
}
