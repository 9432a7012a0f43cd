//! The Role that is shipped: everything works with it, and nothing in it goes unused.

use std::collections::BTreeSet;
use std::path::Path;

use sentry_core::delivery::RunState;
use sentry_core::deployer::{Deployer as _, Retire, RetireHow};
use sentry_tests::apiserver::Outcome;
use serde_json::Value;

use crate::lab::{Lab, api_version, cluster, lab, plan, planned};

/// The rights of the shipped Role, each a verb and a resource with its group.
fn shipped() -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let documents =
        text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let role = documents.into_iter().find(|document| document["kind"] == "Role").unwrap();
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                let dot = if group.is_empty() { "" } else { "." };
                let full = format!("{resource}{dot}{group}");
                rights.extend(words(&rule["verbs"]).into_iter().map(|verb| (verb, full.clone())));
            }
        }
    }
    rights
}

async fn retire(lab: &Lab, how: RetireHow, kind: &str, name: &str) {
    let runs = vec![(api_version(kind).into(), kind.into(), name.into())];
    let timeout = std::time::Duration::from_secs(60);
    lab.kubectl.retire(&Retire { cluster: cluster(), runs, how, timeout }).await.unwrap();
}

#[tokio::test]
async fn the_shipped_role_is_enough_and_all_of_it_is_used() {
    let (lab, shipped) = (lab(), shipped());
    let rights: Vec<_> = shipped.iter().map(|(v, r)| (v.as_str(), r.as_str())).collect();
    lab.server.faults().grant_only(&rights);
    let mut step = planned("StepAction", "step", None);
    step.json["apiVersion"] = "tekton.dev/v1beta1".into();
    step.object.api_version = "tekton.dev/v1beta1".into();
    let all = plan(vec![
        step,
        planned("Task", "task", None),
        planned("Pipeline", "pipeline", None),
        planned("PipelineRun", "one", Some("one")),
        planned("TaskRun", "two", Some("two")),
    ]);
    lab.kubectl.check(&all).await.unwrap();
    assert!(lab.kubectl.apply(&all).await.unwrap().is_complete());
    assert!(lab.kubectl.apply(&all).await.unwrap().is_complete());
    lab.kubectl.diff(&all).await.unwrap();
    let wanted = [("tekton.dev/v1".to_owned(), "Task".to_owned(), "task".to_owned())];
    assert!(lab.kubectl.exist(&cluster(), &wanted).await.unwrap().is_some());

    let mut told = lab.follow(&["PipelineRun", "TaskRun"]);
    told.status().await;
    told.status().await;
    told.synced().await;
    lab.until_used("watch", "taskruns.tekton.dev", 1).await;
    let failed = Outcome::Failed { task: "unit", step: "test", exit_code: 1, log: "why\n" };
    lab.server.finish_run("one", failed);
    let (one, ()) =
        tokio::join!(told.status(), lab.until_used("watch", "pipelineruns.tekton.dev", 1));
    assert!(one.message.unwrap().ends_with("exit code 1: why"));
    retire(&lab, RetireHow::Cancel, "TaskRun", "two").await;
    assert_eq!(told.status().await.state, RunState::Cancelled);
    lab.make("PipelineRun", &["three"]).await;
    retire(&lab, RetireHow::Cancel, "PipelineRun", "three").await;
    retire(&lab, RetireHow::Delete, "PipelineRun", "one").await;
    retire(&lab, RetireHow::Delete, "TaskRun", "two").await;

    let used: BTreeSet<_> = lab.server.rights_used().into_keys().collect();
    assert_eq!(used, shipped);
}

#[tokio::test]
async fn the_rights_that_are_asked_for_are_in_the_shipped_role() {
    let (lab, shipped) = (lab(), shipped());
    let rights: Vec<_> = shipped.iter().map(|(v, r)| (v.as_str(), r.as_str())).collect();
    lab.server.faults().grant_only(&rights);
    let probes = lab.kubectl.probe(&cluster(), false).await.unwrap();
    assert!(probes.len() > 10 && probes.iter().all(|probe| probe.allowed), "{probes:?}");
    lab.server.faults().grant_only(&[("get", "tasks.tekton.dev"), ("patch", "secrets")]);
    let probes = lab.kubectl.probe(&cluster(), true).await.unwrap();
    let refused: Vec<_> = probes.iter().filter(|p| !p.allowed).map(|p| p.what.as_str()).collect();
    assert!(refused.contains(&"watch pipelineruns.tekton.dev"), "{probes:?}");
    assert!(!refused.contains(&"get tasks.tekton.dev"), "{probes:?}");
    let secrets: Vec<_> = refused.into_iter().filter(|what| what.ends_with("secrets")).collect();
    assert_eq!(secrets, ["create secrets", "delete secrets"]);
}
