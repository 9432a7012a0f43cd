//! What is sent, and how much at once.

use std::time::Duration;

use sentry_apiserver::Outcome;
use sentry_core::delivery::RunState;
use sentry_core::deployer::{Checked, Cluster as _, Deployer as _, KindsQuery, Served};
use sentry_core::plan::{GitAuth, Plan, PlannedObject};
use sentry_core::secret::Secret;
use serde_json::json;

use super::{cluster, lab, lab_with, patiently, plan, planned};

#[tokio::test]
async fn objects_of_one_kind_come_after_those_of_the_kind_before_and_runs_in_their_order() {
    let lab = lab();
    let each = |kind: &str, run: bool| -> Vec<PlannedObject> {
        let names = (0..20).map(|n| format!("{}-{n:02}", kind.to_lowercase()));
        names.map(|name| planned(kind, &name, run.then_some(name.as_str()))).collect()
    };
    let all = [each("ConfigMap", false), each("Task", false), each("PipelineRun", true)].concat();
    let plan = plan(all);
    let checked = lab.deployer.check(&plan).await.unwrap();
    assert!(lab.deployer.apply(&plan, &checked).await.unwrap().is_complete());
    let requests = lab.server.requests();
    let writes: Vec<_> = requests.iter().filter(|request| request.is_write()).collect();
    let kind = |path: &str| path.split('/').rev().nth(1).unwrap().to_owned();
    let patched: Vec<_> = writes[..40].iter().map(|request| kind(&request.path)).collect();
    assert_eq!(patched, [vec!["configmaps"; 20], vec!["tasks"; 20]].concat());
    let runs: Vec<_> =
        writes[40..].iter().map(|run| run.body["metadata"]["name"].clone()).collect();
    let wanted: Vec<_> = (0..20).map(|n| json!(format!("pipelinerun-{n:02}"))).collect();
    assert_eq!(runs, wanted);
    let dry: Vec<_> = requests.iter().filter(|request| request.is_dry_run()).collect();
    assert_eq!(dry.len(), 60);
    assert!(dry.iter().all(|request| request.query["fieldValidation"] == "Strict"));
}

#[tokio::test]
async fn a_secret_that_was_lent_in_vain_is_deleted_only_as_it_was_seen() {
    let lab = lab();
    let secret = GitAuth {
        name: "git-auth".into(),
        namespace: "qa".into(),
        json: json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "git-auth", "namespace": "qa"}}),
        data: [("git-provider-token".to_owned(), Secret::new("ghs-c4nary"))].into(),
        users: vec![planned("PipelineRun", "missing", Some("k")).object],
    };
    let lending = Plan { git_auth: vec![secret], ..plan(Vec::new()) };
    assert!(lab.deployer.apply(&lending, &Checked::default()).await.unwrap().is_complete());
    let deleted = lab.server.requests().into_iter().find(|request| request.method == "DELETE");
    let seen = deleted.unwrap().body["preconditions"].clone();
    assert!(seen["uid"].is_string() && seen["resourceVersion"].is_string(), "{seen}");
    assert_eq!(lab.server.object("Secret", "git-auth"), None);
}

#[tokio::test]
async fn two_requests_tell_all_kinds_where_the_server_can() {
    let lab = lab();
    lab.server.faults().aggregate_discovery();
    lab.server.faults().break_group("metrics.k8s.io");
    let kinds = [
        ("tekton.dev/v1", "Task"),
        ("tekton.dev/v1beta1", "Task"),
        ("tekton.dev/v1alpha1", "Task"),
        ("v1", "ConfigMap"),
        ("absent.example/v1", "Thing"),
        ("metrics.k8s.io/v1beta1", "PodMetrics"),
    ];
    let wanted = kinds.map(|(version, kind)| (version.to_owned(), kind.to_owned()));
    let wanted = KindsQuery { kinds: wanted[..5].iter().cloned().collect(), ..Default::default() };
    let table = lab.deployer.kinds(&cluster(), &wanted).await.unwrap().unwrap();
    assert_eq!(lab.server.requests().len(), 2);
    let served = |at: usize| table.served(kinds[at].0, kinds[at].1);
    let yes = Served::Yes { namespaced: true };
    assert_eq!([served(0), served(1), served(3)], [yes; 3]);
    assert!(matches!(served(2), Served::In(_)));
    assert_eq!(served(4), Served::Never);
    assert_eq!(served(5), Served::Unknown { namespaced: None });
}

#[tokio::test]
async fn a_watch_that_says_nothing_for_too_long_is_opened_anew_where_it_was() {
    let lab = lab_with(|settings| settings.idle = Duration::from_millis(300));
    lab.make("PipelineRun", &["one"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.synced().await;
    let runs = "pipelineruns.tekton.dev";
    let quiet = async {
        lab.until_used("watch", runs, 1).await;
        lab.server.faults().silence_watches();
        let opened = lab.server.rights_used()[&("watch".to_owned(), runs.to_owned())];
        lab.until_used("watch", runs, opened + 2).await;
        lab.server.finish_run("one", Outcome::Succeeded);
        lab.server.faults().heal();
    };
    let ((state, _), ()) = tokio::join!(told.stands("one"), quiet);
    assert_eq!(state, RunState::Succeeded);
    assert_eq!(lab.server.rights_used()[&("list".to_owned(), runs.to_owned())], 1);
}

#[tokio::test]
async fn an_answer_that_is_no_object_acknowledges_nothing() {
    let lab = lab();
    let task = || plan(vec![planned("Task", "unit", None)]);
    let checked = lab.deployer.check(&task()).await.unwrap();
    for (content_type, body) in [
        ("text/html", "<html>welcome</html>"),
        ("application/json", "{}"),
        (
            "application/json",
            r#"{"kind":"Task","apiVersion":"tekton.dev/v1","metadata":{"name":"x"}}"#,
        ),
    ] {
        lab.server.faults().answer_writes(200, content_type, body);
        let changes = lab.deployer.apply(&task(), &checked).await.unwrap();
        assert_eq!(changes.acknowledged(), 0, "{changes:?}");
        let error = changes.error.unwrap();
        assert!(!error.kind().is_answer(), "it may have arrived: {error}");
    }
}

#[tokio::test]
async fn after_an_outage_in_the_middle_nothing_more_is_sent() {
    let lab = lab();
    let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    let tasks = plan(names.iter().map(|name| planned("Task", name, None)).collect());
    let checked = lab.deployer.check(&tasks).await.unwrap();
    lab.server.faults().drop_writes_after(5);
    let changes = patiently(lab.deployer.apply(&tasks, &checked)).await.unwrap();
    assert_eq!(changes.acknowledged(), 5, "{changes:?}");
    assert!(lab.server.writes() < 40 / 2, "{}", lab.server.writes());
}
