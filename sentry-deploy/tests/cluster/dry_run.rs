//! The deployer that writes nothing.

use sentry_core::deployer::{Checked, Retire, RetireHow};
use sentry_core::plan::Action;
use sentry_deploy::dry_run;

use crate::lab::{TIMEOUT, cluster, plan, planned, query};

#[tokio::test]
async fn a_dry_run_says_of_every_object_that_nothing_was_written() {
    let ports = dry_run();
    assert!(ports.dry_run);
    let plan = plan(vec![planned("Task", "unit", None), planned("PipelineRun", "ci", Some("k"))]);
    assert!(ports.deployer.check(&plan).await.unwrap().refused.is_empty());
    let done = ports.deployer.apply(&plan, &Checked::default()).await.unwrap();
    assert!(done.error.is_none());
    for (told, (planned, run)) in done.objects.iter().zip(plan.objects.iter().zip([false, true])) {
        assert_eq!((&told.object, told.run, told.action), (&planned.object, run, Action::Created));
        assert_eq!(told.reason.as_deref(), Some("dry run: nothing was written"));
    }
    assert_eq!(done.objects.len(), 2);
}

#[tokio::test]
async fn a_dry_run_knows_nothing_of_any_cluster_and_has_no_runs() {
    let ports = dry_run();
    let asked = [("tekton.dev/v1".to_owned(), "Task".to_owned(), "unit".to_owned())];
    assert_eq!(ports.cluster.exist(&cluster(), &asked).await.unwrap(), None);
    assert!(ports.cluster.kinds(&cluster(), &Default::default()).await.unwrap().is_none());
    assert!(ports.cluster.probe(&cluster(), true).await.unwrap().is_empty());
    let error = ports.cluster.diff(&plan(Vec::new())).await.unwrap_err();
    assert_eq!(error.to_string(), "deployer can't tell what would change");
    assert!(ports.deployer.follow(query(&["PipelineRun"])).is_none());
    let request =
        Retire { cluster: cluster(), runs: asked.into(), how: RetireHow::Delete, timeout: TIMEOUT };
    ports.deployer.retire(&request).await.unwrap();
}
