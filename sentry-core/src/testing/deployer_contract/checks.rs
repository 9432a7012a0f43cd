//! What a check says, and that it writes nothing.

use super::{Bench, Refusal, refs};
use crate::retry::Retry;

/// See the name.
pub async fn a_check_writes_nothing(at: Bench) {
    let plan = [at.named("unit", "a"), at.run("one", "k")];
    assert!(at.check(&plan).await.refused.is_empty());
    assert_eq!((at.ground.writes(), at.ground.made().len()), (0, 0));
    assert!(at.exist(&[&plan[0], &plan[1]]).await.is_empty());
}

/// Its key decides when it is applied.
pub async fn a_check_takes_a_run_that_exists(at: Bench) {
    let run = [at.run("one", "k")];
    at.deliver(&run).await;
    assert!(at.check(&run).await.refused.is_empty());
}

/// See the name.
pub async fn a_refused_object_is_named_and_nothing_is_written(at: Bench) {
    let plan = [at.named("good", "a"), at.named("bad", "a"), at.run("one", "k")];
    at.ground.refuse("Task", "bad", Refusal::ForGood);
    let checked = at.check(&plan).await;
    let [(object, error)] = &checked.refused[..] else { panic!("{checked:?}") };
    assert_eq!(object, &plan[1].object);
    assert!(error.to_string().contains("bad"), "{error}");
    assert_eq!(at.ground.writes(), 0);
}

/// See the name.
pub async fn refusals_come_in_the_plans_order(at: Bench) {
    let plan = [
        at.named("z", "a"),
        at.named("good", "a"),
        at.named("a", "a"),
        at.run("one", "k"),
        at.run("bad", "l"),
    ];
    for (kind, name) in [("PipelineRun", "bad"), ("Task", "a"), ("Task", "z")] {
        at.ground.refuse(kind, name, Refusal::ForGood);
    }
    let checked = at.check(&plan).await;
    let told: Vec<_> = checked.refused.iter().map(|(object, _)| object).collect();
    let all = refs(&plan);
    assert_eq!(told, [all[0], all[2], all[4]]);
}

/// See the name.
pub async fn what_is_refused_for_good_is_told_from_what_is_refused_for_now(at: Bench) {
    let plan = [at.named("invalid", "a"), at.named("over", "a")];
    at.ground.refuse("Task", "invalid", Refusal::ForGood);
    at.ground.refuse("Task", "over", Refusal::ForNow);
    let checked = at.check(&plan).await;
    let [(_, invalid), (_, over)] = &checked.refused[..] else { panic!("{checked:?}") };
    assert_eq!(invalid.retry(), Retry::Stalled, "{invalid:?}");
    assert_ne!(over.retry(), Retry::Stalled, "{over:?}");
}

/// See the name.
pub async fn a_check_of_a_cluster_that_is_away_is_an_error_that_passes(at: Bench) {
    at.ground.away(true);
    let plan = at.plan(&[at.named("unit", "a"), at.run("one", "k")]);
    let error = at.deployer().check(&plan).await.expect_err("nobody answered");
    assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
    assert!(!error.kind().is_answer(), "{error:?}");
}
