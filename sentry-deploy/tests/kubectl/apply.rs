//! The deployer with the real kubectl, against an API server that can lose answers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::time::Duration;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::DeliveryId;
use sentry_core::deployer::{DeployErrorKind, Deployer as _};
use sentry_core::plan::{
    Action, KEY_ANNOTATION, ObjectRef, Operation, Plan, PlannedObject, RunRules,
};
use sentry_core::secret::Redactor;
use sentry_core::watch::ClusterRef;
use sentry_deploy::{Kubectl, KubectlSettings};
use sentry_tests::apiserver::ApiServer;
use serde_json::json;
use tempfile::TempDir;

struct Lab {
    server: ApiServer,
    kubectl: Kubectl,
    _home: TempDir,
}

fn lab() -> Lab {
    let (server, home) = (ApiServer::start(), TempDir::new().unwrap());
    server.add_namespace("qa");
    let kubectl = Kubectl::new(KubectlSettings {
        name: "deployer".into(),
        path: "kubectl".into(),
        kubeconfig: Some(server.kubeconfig(home.path())),
        force_conflicts: false,
        redactor: Redactor::new(),
    })
    .unwrap();
    Lab { server, kubectl, _home: home }
}

fn planned(kind: &str, name: &str, key: Option<&str>) -> PlannedObject {
    let mut json = json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": name, "namespace": "qa"}, "spec": {}});
    if let Some(key) = key {
        json["metadata"]["annotations"] = json!({KEY_ANNOTATION: key});
    }
    let object = ObjectRef {
        path: format!("{name}.yaml"),
        document: 1,
        line: 1,
        api_version: "tekton.dev/v1".into(),
        kind: kind.into(),
        namespace: Some("qa".into()),
        name: name.into(),
    };
    let operation = key.map_or(Operation::Apply, |key| Operation::Create { key: key.into() });
    PlannedObject { object, operation, json, rules: RunRules::default() }
}

fn plan(objects: Vec<PlannedObject>) -> Plan {
    Plan {
        delivery: DeliveryId::new(Timestamp::UNIX_EPOCH, 1),
        cluster: ClusterRef {
            deployer: "deployer".into(),
            context: Some("default".into()),
            namespace: "qa".parse().unwrap(),
        },
        objects,
        timeout: Duration::from_secs(30),
    }
}

fn four() -> Plan {
    plan(vec![
        planned("Task", "unit", None),
        planned("Pipeline", "suite", None),
        planned("PipelineRun", "one", Some("key of one")),
        planned("PipelineRun", "two", Some("key of two")),
    ])
}

#[tokio::test]
async fn a_check_writes_nothing_and_an_apply_makes_every_object_in_order_once() {
    let lab = lab();
    lab.kubectl.check(&four()).await.unwrap();
    assert_eq!(lab.server.writes(), 0);
    let first = lab.kubectl.apply(&four()).await.unwrap();
    assert!(first.is_complete(), "{first:?}");
    let again = lab.kubectl.apply(&four()).await.unwrap();
    assert!(again.is_complete(), "{again:?}");
    let actions: Vec<_> = again.objects.iter().map(|o| o.action).collect();
    assert_eq!(actions[2..], [Action::Exists, Action::Exists]);
    assert_eq!(lab.server.creates_of("PipelineRun"), ["one", "two"]);
}

#[tokio::test]
async fn a_lost_answer_at_any_write_is_repaired_by_the_repeat_without_a_second_run() {
    for lost in 1..=4 {
        let lab = lab();
        lab.server.faults().lose_response_of_write(lost);
        // Whether kubectl noticed is its own matter: the repeat must end well.
        let first = lab.kubectl.apply(&four()).await;
        let again = lab.kubectl.apply(&four()).await.unwrap();
        assert!(again.is_complete(), "answer {lost}: {first:?} then {again:?}");
        assert_eq!(lab.server.creates_of("PipelineRun"), ["one", "two"], "answer {lost}");
    }
}

#[tokio::test]
async fn a_run_name_that_is_taken_by_another_key_is_a_conflict() {
    let lab = lab();
    lab.kubectl.apply(&plan(vec![planned("PipelineRun", "one", Some("mine"))])).await.unwrap();
    let other = plan(vec![planned("PipelineRun", "one", Some("another"))]);
    let changes = lab.kubectl.apply(&other).await.unwrap();
    assert_eq!(changes.error.unwrap().kind(), DeployErrorKind::NameConflict);
}

#[tokio::test]
async fn a_refused_object_is_named_and_no_run_is_made() {
    let lab = lab();
    lab.server.faults().refuse_always("Pipeline", "suite", 422, "not to our taste");
    let changes = lab.kubectl.apply(&four()).await.unwrap();
    assert_eq!(changes.objects[1].action, Action::Failed);
    assert!(
        changes.objects[1].reason.as_ref().unwrap().contains("not to our taste"),
        "{changes:?}"
    );
    assert!(lab.server.creates_of("PipelineRun").is_empty());
}

#[tokio::test]
async fn a_cluster_that_is_away_is_unreachable_and_one_that_hangs_ends_at_the_deadline() {
    let lab = lab();
    lab.server.pause();
    let away = lab.kubectl.check(&four()).await.unwrap_err();
    assert_eq!(away.kind(), DeployErrorKind::Unreachable, "{away}");
    lab.server.resume();
    lab.server.faults().hang();
    let hung =
        lab.kubectl.check(&Plan { timeout: Duration::from_secs(2), ..four() }).await.unwrap_err();
    assert!(!hung.counts(), "{hung:?}");
}

#[tokio::test]
async fn a_context_that_does_not_exist_is_ours_to_repair() {
    let lab = lab();
    let mut wrong = four();
    wrong.cluster.context = Some("nowhere".into());
    let error = lab.kubectl.check(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Local, "{error}");
    assert!(error.hint().is_some());
}
