//! Which objects exist.

use std::collections::BTreeSet;

use sentry_core::deployer::{Checked, Cluster as _, Deployer as _};
use sentry_core::plan::PlannedObject;

use super::{cluster, lab, plan, planned};

fn asked(api_version: &str, kind: &str, name: &str) -> (String, String, String) {
    (api_version.into(), kind.into(), name.into())
}

#[tokio::test]
async fn what_exists_is_told_by_one_call_and_unknown_kinds_have_no_objects() {
    let lab = lab();
    let objects: Vec<PlannedObject> =
        ["Task", "Pipeline"].iter().map(|kind| planned(kind, "unit", None)).collect();
    lab.deployer.apply(&plan(objects), &Checked::default()).await.unwrap();
    let wanted = [
        asked("tekton.dev/v1", "Task", "unit"),
        asked("tekton.dev/v1", "Task", "missing"),
        asked("tekton.dev/v1", "Pipeline", "unit"),
        asked("example.org/v1", "Widget", "unit"),
        asked("tekton.dev/v1beta1", "Taks", "unit"),
    ];
    let there = lab.deployer.exist(&cluster(), &wanted).await.unwrap().unwrap();
    let want = [("Pipeline", "unit"), ("Task", "unit")];
    assert_eq!(there, BTreeSet::from(want.map(|(kind, name)| (kind.into(), name.into()))));
    assert_eq!(lab.deployer.exist(&cluster(), &wanted[3..]).await.unwrap().unwrap().len(), 0);
}

#[tokio::test]
async fn what_may_not_be_looked_at_is_unknown() {
    let lab = lab();
    lab.server.faults().grant_only(&[]);
    let wanted = [asked("tekton.dev/v1", "Task", "unit")];
    assert_eq!(lab.deployer.exist(&cluster(), &wanted).await.unwrap(), None);
}
