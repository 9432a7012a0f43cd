//! A kubectl that minds none of its options and never ends: only our own deadline ends a call.
//!
//! The clock stands still until nobody has anything to do but wait, and then goes on to what is waited for: what is
//! measured is the time that was given, however busy the machine is.

use std::time::Duration;

use futures::StreamExt as _;
use sentry_core::deployer::{
    Checked, Cluster as _, DeployError, DeployErrorKind, Deployer as _, KindsQuery, Retire,
    RetireHow,
};
use sentry_core::plan::Plan;
use sentry_tests::processes::script;
use tokio::time::Instant;

use super::{Lab, cluster, lab_with, plan, planned, query};

/// What the caller gives.
const TIMEOUT: Duration = Duration::from_secs(7);
/// What questions have that nobody gives a time for.
const ASKED: Duration = Duration::from_secs(30);
/// Until a process that minds no TERM is gone: one of them, for nothing is started once the time is over.
const ENDING: Duration = Duration::from_millis(1_500);

fn deaf() -> (Lab, tempfile::TempDir) {
    let bin = tempfile::tempdir().unwrap();
    let kubectl = bin.path().join("kubectl");
    script(&kubectl, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 900; done\n");
    (lab_with(|settings| settings.path = kubectl), bin)
}

/// Fails for no answer, when its time is over and not before.
async fn ends_after<T: std::fmt::Debug>(
    time: Duration,
    call: impl Future<Output = Result<T, DeployError>>,
) {
    let begun = Instant::now();
    let error = call.await.unwrap_err();
    let took = begun.elapsed();
    assert!((time..=time + ENDING).contains(&took), "{took:?} of {time:?}: {error}");
    assert_eq!(error.kind(), DeployErrorKind::Unreachable, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_kubectl_that_minds_no_timeout_is_ended_when_the_callers_time_is_over() {
    let (lab, _bin) = deaf();
    let kubectl = &lab.deployer;
    let objects = vec![planned("Task", "unit", None), planned("PipelineRun", "run", Some("key"))];
    let plan = Plan { timeout: TIMEOUT, ..plan(objects) };
    ends_after(TIMEOUT, kubectl.check(&plan)).await;
    ends_after(TIMEOUT, kubectl.diff(&plan)).await;
    let runs = vec![("tekton.dev/v1".into(), "PipelineRun".into(), "run".to_owned())];
    let retire = Retire { cluster: cluster(), runs, how: RetireHow::Cancel, timeout: TIMEOUT };
    ends_after(TIMEOUT, kubectl.retire(&retire)).await;
    let applied = async {
        let changes = kubectl.apply(&plan, &Checked::default()).await?;
        changes.error.map_or(Ok(changes.objects), Err)
    };
    ends_after(TIMEOUT, applied).await;
    assert_eq!(lab.server.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_gave_a_time_for_ends_as_well() {
    let (lab, _bin) = deaf();
    let wanted = KindsQuery {
        kinds: [("tekton.dev/v1".to_owned(), "Task".to_owned())].into(),
        ..KindsQuery::default()
    };
    ends_after(ASKED, lab.deployer.kinds(&cluster(), &wanted)).await;
    let task = ("tekton.dev/v1".to_owned(), "Task".to_owned(), "unit".to_owned());
    ends_after(ASKED, lab.deployer.exist(&cluster(), &[task])).await;
    // Its list is asked for five times, a little later each time.
    let begun = Instant::now();
    let mut told = lab.deployer.follow(query(&["PipelineRun"])).unwrap();
    let error = told.next().await.unwrap().unwrap_err();
    assert!(begun.elapsed() <= 5 * (ASKED + ENDING) + Duration::from_secs(10), "{error}");
}
