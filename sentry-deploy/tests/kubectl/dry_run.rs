//! The deployer that writes nothing.

use sentry_core::deployer::Deployer as _;
use sentry_core::plan::Action;
use sentry_deploy::DryRun;

use crate::lab::{plan, planned};

#[tokio::test]
async fn a_dry_run_says_of_every_object_that_nothing_was_written() {
    let deployer = DryRun::new("staging");
    assert_eq!((deployer.name(), deployer.is_dry_run()), ("staging", true));
    let plan = plan(vec![planned("Task", "unit", None), planned("PipelineRun", "ci", Some("k"))]);
    assert!(deployer.check(&plan).await.unwrap().is_empty());
    let done = deployer.apply(&plan).await.unwrap();
    assert!(done.error.is_none());
    for (told, (planned, run)) in done.objects.iter().zip(plan.objects.iter().zip([false, true])) {
        assert_eq!((&told.object, told.run, told.action), (&planned.object, run, Action::Created));
        assert_eq!(told.reason.as_deref(), Some("dry run: nothing was written"));
    }
    assert_eq!(done.objects.len(), 2);
}
