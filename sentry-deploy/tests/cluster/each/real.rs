//! The same against a real API server with Tekton's CRDs, which `SENTRY_E2E_KUBECONFIG` names a kubeconfig for. No
//! controller of Tekton's is needed: the test writes the runs' status itself.

use std::time::{Duration, Instant};

use sentry_core::delivery::RunState;
use sentry_core::deployer::{
    Checked, Cluster as _, Deployer as _, FollowQuery, KindsQuery, Retire, RetireHow, RunChange,
    Served,
};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{Action, Plan, PlannedObject};
use sentry_core::secret::Redactor;
use sentry_core::watch::ForceConflicts;
use sentry_process::Program;
use serde_json::json;

use super::{Follower, moved, plan, planned, query};

const RUNS: usize = 50;

struct Real {
    kubeconfig: String,
    deployer: super::Deployed,
    namespace: String,
}

impl Real {
    fn cluster(&self) -> ClusterRef {
        let namespace = self.namespace.parse().unwrap();
        ClusterRef { deployer: "deployer".into(), context: None, namespace }
    }

    fn plan(&self, objects: Vec<PlannedObject>) -> Plan {
        let here = objects.into_iter().map(|object| moved(object, &self.namespace)).collect();
        Plan { cluster: self.cluster(), ..plan(here) }
    }

    /// Runs kubectl as a person would, and as Tekton's controller does for a run's status.
    async fn call(&self, args: &[&str]) {
        let program = Program::new("kubectl").arg(format!("--kubeconfig={}", self.kubeconfig));
        let out = program.args(args.iter().copied()).run().await.unwrap();
        assert!(out.status.success(), "{args:?}: {}", out.stderr_text());
    }

    /// The server's minor version.
    async fn minor(&self) -> u32 {
        let program = Program::new("kubectl").arg(format!("--kubeconfig={}", self.kubeconfig));
        let out = program.args(["get", "--raw", "/version"]).run().await.unwrap();
        let version: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        version["minor"].as_str().unwrap().trim_end_matches('+').parse().unwrap()
    }

    async fn by_hand(&self, how: &str, object: &PlannedObject) {
        let program = Program::new("kubectl").arg(format!("--kubeconfig={}", self.kubeconfig));
        let stdin = object.json.to_string().into_bytes();
        let out = program.args([how, "-f", "-"]).stdin(stdin).run().await.unwrap();
        assert!(out.status.success(), "{how}: {}", out.stderr_text());
    }

    async fn end(&self, name: &str, status: &str, reason: &str) {
        let condition =
            json!({"type": "Succeeded", "status": status, "reason": reason, "message": "why"});
        let patch = json!({"status": {
            "conditions": [condition], "completionTime": "2026-01-02T03:04:05Z",
        }});
        let (patch, namespace) = (patch.to_string(), format!("--namespace={}", self.namespace));
        let args = ["patch", "pipelinerun", name, "--subresource=status", "--type=merge", "-p"];
        self.call(&[&args[..], &[patch.as_str(), namespace.as_str()]].concat()).await;
    }

    fn follow(&self) -> Follower<'_> {
        let query = FollowQuery { cluster: self.cluster(), ..query(&["PipelineRun", "TaskRun"]) };
        Follower::of(self.deployer.follow(query).unwrap())
    }

    async fn retire(&self, how: RetireHow, names: &[&str]) {
        let run = |name: &&str| ("tekton.dev/v1".into(), "PipelineRun".into(), (*name).to_owned());
        let runs = names.iter().map(run).collect();
        let timeout = Duration::from_secs(60);
        self.deployer
            .retire(&Retire { cluster: self.cluster(), runs, how, timeout })
            .await
            .unwrap();
    }
}

fn secret(password: &str) -> PlannedObject {
    let mut secret = planned("Secret", "login", None);
    secret.json["stringData"] = json!({"password": password});
    secret
}

fn names() -> Vec<String> {
    (0..RUNS).map(|n| format!("run-{n:02}")).collect()
}

#[tokio::test]
async fn a_real_api_server_agrees() {
    let kubeconfig = std::env::var("SENTRY_E2E_KUBECONFIG").expect("it names a kubeconfig");
    let namespace = format!("sentry-{}-{}", super::NAME, std::process::id());
    let deployer = super::deployer(kubeconfig.clone().into(), Redactor::new(), |settings| {
        settings.watch = Duration::from_secs(5);
    });
    let real = Real { kubeconfig, deployer, namespace };
    real.call(&["create", "namespace", &real.namespace]).await;
    objects(&real).await;
    hands(&real).await;
    runs(&real).await;
    real.call(&["delete", "namespace", &real.namespace, "--wait=false"]).await;
}

/// Check, apply, diff and exist.
async fn objects(real: &Real) {
    let first = real.plan(vec![secret("first-password"), planned("Task", "unit", None)]);
    let checked = real.deployer.check(&first).await.unwrap();
    assert!(real.deployer.apply(&first, &checked).await.unwrap().is_complete());
    let mut task = planned("Task", "unit", None);
    task.json["spec"] = json!({"description": "new"});
    let next =
        real.plan(vec![secret("next-password"), task, planned("PipelineRun", "x", Some("x"))]);
    let diff = real.deployer.diff(&next).await.unwrap();
    let actions: Vec<_> = diff.iter().map(|d| d.action).collect();
    assert_eq!(actions, [Action::Configured, Action::Configured, Action::Created], "{diff:?}");
    let same = real.deployer.diff(&first).await.unwrap();
    assert!(same.iter().all(|d| d.action == Action::Unchanged), "{same:?}");
    for word in
        ["password:\n", "first-pass", "next-pass", "Zmlyc3QtcGFzc3dvcmQ", "bmV4dC1wYXNzd29yZA"]
    {
        assert!(!format!("{diff:?}{same:?}").contains(word), "{word} in {diff:?}");
    }
    let asked =
        ["unit", "missing"].map(|n| ("tekton.dev/v1".to_owned(), "Task".to_owned(), n.to_owned()));
    let there = real.deployer.exist(&real.cluster(), &asked).await.unwrap().unwrap();
    assert_eq!(there.len(), 1);
}

/// What a person made before, and whom an error is about.
async fn hands(real: &Real) {
    let task = |name: &str, image: &str| {
        let mut task = planned("Task", name, None);
        task.json["spec"] = json!({"steps": [{"name": "a", "image": image}]});
        moved(task, &real.namespace)
    };
    for (how, manager) in [("apply", "kubectl-client-side-apply"), ("create", "kubectl-create")] {
        real.by_hand(how, &task(how, "by-hand")).await;
        let mut next = real.plan(vec![task("beside", "new"), task(how, "new")]);
        next.force_conflicts = ForceConflicts::Never;
        let refused = real.deployer.check(&next).await.unwrap().refused;
        let [(object, error)] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!(object, &next.objects[1].object);
        assert!(error.to_string().contains(manager), "{error}");
        next.force_conflicts = ForceConflicts::First;
        assert!(real.deployer.check(&next).await.unwrap().refused.is_empty());
        assert!(real.deployer.apply(&next, &Checked::default()).await.unwrap().is_complete());
        next.force_conflicts = ForceConflicts::Never;
        assert!(real.deployer.check(&next).await.unwrap().refused.is_empty(), "it is Sentry's now");
    }
    let mut typo = real.plan(vec![task("good", "a"), task("typo", "a"), task("last", "a")]);
    typo.objects[1].json["spec"]["runafter"] = json!([]);
    let refused = real.deployer.check(&typo).await.unwrap().refused;
    match &refused[..] {
        [(object, error)] => assert_eq!(object, &typo.objects[1].object, "{error}"),
        // Servers before 1.25 leave it to the client to find unknown fields; kubectl does.
        [] => assert!(super::NAME == "native" && real.minor().await < 25),
        _ => panic!("{refused:?}"),
    }
    let old = ("tekton.dev/v1alpha1".to_owned(), "Task".to_owned());
    let wanted = KindsQuery { kinds: [old.clone()].into(), ..KindsQuery::default() };
    let kinds = real.deployer.kinds(&real.cluster(), &wanted).await.unwrap().unwrap();
    let versions = ["v1", "v1beta1"].map(str::to_owned);
    assert_eq!(kinds.served(&old.0, &old.1), Served::In(&versions));
}

/// Follow, cancel and delete.
async fn runs(real: &Real) {
    let names = names();
    let all = names.iter().map(|name| planned("PipelineRun", name, Some(name))).collect();
    let started = Instant::now();
    let changes = real.deployer.apply(&real.plan(all), &Checked::default()).await.unwrap();
    assert!(changes.is_complete(), "{changes:?}");
    eprintln!("{RUNS} runs made in {:?}", started.elapsed());
    let mut told = real.follow();
    let started = Instant::now();
    for _ in 0..RUNS {
        assert_eq!(told.status().await.state, RunState::Running);
    }
    told.synced().await;
    eprintln!("{RUNS} runs told in {:?}", started.elapsed());
    // Longer than one watch, so that it is opened anew.
    tokio::time::sleep(Duration::from_secs(7)).await;
    for (name, status, reason, state) in [
        ("run-00", "True", "Succeeded", RunState::Succeeded),
        ("run-01", "False", "PipelineRunTimeout", RunState::Failed),
        ("run-02", "False", "Cancelled", RunState::Cancelled),
    ] {
        let ((), (heard, took)) = tokio::join!(real.end(name, status, reason), async {
            let started = Instant::now();
            (told.status().await, started.elapsed())
        });
        assert_eq!((heard.name.as_str(), heard.state), (name, state));
        eprintln!("{name}: written and told within {took:?}");
    }
    real.retire(RetireHow::Cancel, &["run-00", "run-03", "missing"]).await;
    let asked =
        ["get", "pipelinerun", "run-03", "-o", "jsonpath={.spec.status}", "-n", &real.namespace];
    let program = Program::new("kubectl").arg(format!("--kubeconfig={}", real.kubeconfig));
    let out = program.args(asked).run().await.unwrap();
    assert_eq!(out.stdout, b"CancelledRunFinally");
    real.retire(RetireHow::Delete, &["run-00", "run-04"]).await;
    let gone = RunChange::Gone { kind: "PipelineRun".into(), name: "run-00".into() };
    assert_eq!(told.next().await.unwrap(), gone);
}
