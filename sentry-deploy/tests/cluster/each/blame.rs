//! Which object is blamed for an error of the cluster's.

use sentry_core::deployer::{
    Checked, Cluster as _, DeployError, DeployErrorKind, Deployer as _, ObjectErrors,
};
use sentry_core::plan::{Action, ObjectRef, PlannedObject};
use serde_json::json;

use super::{Lab, lab, plan, planned};

/// Objects of the kinds that are sent in different ways; `at` is the one that is wrong.
fn objects() -> Vec<PlannedObject> {
    vec![
        planned("ConfigMap", "good", None),
        planned("Task", "unit", None),
        planned("Pipeline", "suite", None),
        planned("PipelineRun", "one", Some("key of one")),
        planned("PipelineRun", "two", Some("key of two")),
    ]
}

/// The ways in which a server says no: most of them do not say to what, and some name another object.
const WAYS: [(u16, &str); 5] = [
    (
        400,
        "json: cannot unmarshal number into Go struct field of ConfigMap \"good\" of type string",
    ),
    (400, "admission webhook \"w\" denied the request: Task \"unit\" is not to our taste"),
    (403, "admission webhook \"w\" denied the request: tasks.tekton.dev \"unit\" is forbidden"),
    (422, "spec: Invalid value: \"two\": not to our taste"),
    (413, "Request entity too large: limit is 3145728"),
];

async fn refused(lab: &Lab, objects: &[PlannedObject]) -> ObjectErrors {
    lab.deployer.check(&plan(objects.to_vec())).await.unwrap().refused
}

fn about(refused: &[(ObjectRef, DeployError)]) -> Vec<&ObjectRef> {
    refused.iter().map(|(object, _)| object).collect()
}

/// True if an error begins with the object that it is about.
fn names(error: &DeployError, object: &ObjectRef) -> bool {
    error.to_string().starts_with(&format!("{} {} (", object.kind, object.name))
}

#[tokio::test]
async fn whatever_the_error_and_wherever_the_object_stands_it_alone_is_refused() {
    let lab = lab();
    let objects = objects();
    let mut cases = 0;
    for (at, wrong) in objects.iter().enumerate() {
        let ObjectRef { kind, name, .. } = &wrong.object;
        for (status, message) in WAYS {
            lab.server.faults().refuse_always(kind, name, status, message);
            let refused = refused(&lab, &objects).await;
            assert_eq!(about(&refused), [&wrong.object], "{status} {message}: {refused:?}");
            lab.server.faults().heal();
            cases += 1;
        }
        let mut typo = objects.clone();
        let part = if kind == "ConfigMap" { "runafter" } else { "spec" };
        typo[at].json[part] = json!({"runafter": []});
        let refused = refused(&lab, &typo).await;
        assert_eq!(about(&refused), [&wrong.object], "{refused:?}");
        assert!(refused[0].1.to_string().contains("runafter"), "{refused:?}");
        let diff = lab.deployer.diff(&plan(typo)).await.unwrap_err();
        assert!(names(&diff, &wrong.object), "{diff}");
        cases += 2;
    }
    eprintln!("{cases} errors were blamed on the object that was wrong");
    assert_eq!(lab.server.writes(), 0);
}

#[tokio::test]
async fn every_object_that_is_refused_is_told_in_order_with_its_own_error() {
    let lab = lab();
    let objects = objects();
    lab.server.faults().refuse_always("PipelineRun", "two", 422, "the run is not to our taste");
    lab.server.faults().refuse_always("ConfigMap", "good", 400, "the map is not to our taste");
    let refused = refused(&lab, &objects).await;
    assert_eq!(about(&refused), [&objects[0].object, &objects[4].object]);
    assert!(refused[0].1.to_string().contains("the map is not"), "{refused:?}");
    assert!(refused[1].1.to_string().contains("the run is not"), "{refused:?}");
}

#[tokio::test]
async fn where_every_object_is_refused_each_has_its_own_error() {
    let lab = lab();
    let objects = &objects()[..2];
    for object in objects {
        let ObjectRef { kind, name, .. } = &object.object;
        lab.server.faults().refuse_always(kind, name, 400, &format!("{name} is not to our taste"));
    }
    let refused = refused(&lab, objects).await;
    assert_eq!(about(&refused), [&objects[0].object, &objects[1].object]);
}

#[tokio::test]
async fn what_is_no_matter_of_the_object_names_it_and_is_told_apart() {
    let lab = lab();
    let objects = objects();
    let quota = "pods \"x\" is forbidden: exceeded quota: q";
    lab.server.faults().refuse_always("Pipeline", "suite", 403, quota);
    let refused = refused(&lab, &objects).await;
    assert_eq!(about(&refused), [&objects[2].object]);
    assert_eq!(refused[0].1.kind(), DeployErrorKind::Forbidden);
}

#[tokio::test]
async fn at_the_apply_each_object_has_its_own_error() {
    let lab = lab();
    let objects = objects();
    for (at, message) in [(0, "Task \"unit\" is wrong"), (2, "ConfigMap \"good\" is wrong")] {
        let ObjectRef { kind, name, .. } = &objects[at].object;
        lab.server.faults().refuse_write(kind, name, 400, message);
    }
    let changes = lab.deployer.apply(&plan(objects.clone()), &Checked::default()).await.unwrap();
    let actions: Vec<_> = changes.objects.iter().map(|o| o.action).collect();
    let (failed, skipped) = (Action::Failed, Action::Skipped);
    assert!(actions[1].is_acknowledged(), "{changes:?}");
    assert_eq!(actions, [failed, actions[1], failed, skipped, skipped], "{changes:?}");
    for (at, word) in [(0, "Task \"unit\" is wrong"), (2, "ConfigMap \"good\" is wrong")] {
        let reason = changes.objects[at].reason.as_deref().unwrap();
        assert!(reason.starts_with(&objects[at].object.kind) && reason.contains(word), "{reason}");
    }
    assert!(names(&changes.error.unwrap(), &objects[0].object));
    let runs = objects[3..].to_vec();
    let message = "pipelineruns.tekton.dev \"two\" is wrong";
    lab.server.faults().refuse_write("PipelineRun", "two", 400, message);
    let changes = lab.deployer.apply(&plan(runs.clone()), &Checked::default()).await.unwrap();
    assert_eq!([Action::Created, failed], [0, 1].map(|at| changes.objects[at].action));
    assert!(names(&changes.error.unwrap(), &runs[1].object));
}
