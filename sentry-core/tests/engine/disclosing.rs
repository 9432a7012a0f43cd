//! What A's commit shows by who may read A.

use sentry_core::delivery::RunState;
use sentry_core::forge::Audience;
use sentry_core::watch::{ReportDetail, ReportMode};

use super::*;

#[tokio::test(start_paused = true)]
async fn who_may_read_a_decides_where_the_watch_does_not_and_it_is_asked_once() {
    for (audience, detail, is_told) in [
        (Audience::Members, None, true),
        (Audience::Public, None, false),
        (Audience::Unknown, None, false),
        (Audience::Public, Some(ReportDetail::Reasons), true),
        (Audience::Members, Some(ReportDetail::Counts), false),
        (Audience::Members, Some(ReportDetail::State), false),
    ] {
        let mut world = World::with(FakeDeployer::new().following());
        world.watch.reporting.detail = detail;
        world.forge.set_audience(audience);
        world.start();
        minutes(1).await;
        for _ in 0..3 {
            world.push();
            minutes(2).await;
            let run = world.deployer.active_runs().pop().unwrap();
            world.deployer.finish(&run, RunState::Failed, "l0gline");
            minutes(1).await;
        }
        let last = world.forge.statuses().pop().unwrap();
        assert_eq!(last.description.contains("l0gline"), is_told, "{audience:?}: {last:?}");
        let words =
            if detail == Some(ReportDetail::State) { "failed" } else { "1 of 1 run failed" };
        assert!(last.description.starts_with(words), "{last:?}");
        assert_eq!(world.forge.audience_calls(), usize::from(detail.is_none()), "{audience:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_does_not_say_who_may_read_it_shows_no_more_than_counts_and_holds_up_nothing()
{
    let mut world = World::with(FakeDeployer::new().following());
    world.watch.reporting.mode = ReportMode::PerRun;
    world.forge.set_audience(Audience::Unknown);
    world.start();
    minutes(1).await;
    world.push();
    minutes(2).await;
    let contexts: Vec<String> = world.forge.statuses().into_iter().map(|s| s.context).collect();
    assert!(contexts.iter().all(|context| context == "sentry-gitops/qa"), "{contexts:?}");
    assert!(!contexts.is_empty());
}
