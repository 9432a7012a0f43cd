//! A server, a deployer for it, and plans.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use sentry_apiserver::{ApiServer, Outcome};
use sentry_core::clock::Timestamp;
use sentry_core::delivery::RunState;
use sentry_core::deployer::{
    Checked, DeployError, Deployer, FollowQuery, Retire, RetireHow, RunChange, RunStatus,
};
use sentry_core::ids::DeliveryId;
use sentry_core::names::ClusterRef;
use sentry_core::plan::{
    COMMIT_LABEL, DELIVERY_LABEL, KEY_ANNOTATION, ObjectRef, Operation, Plan, PlannedObject,
    RunRules,
};
use sentry_core::repo::CommitSha;
use sentry_core::secret::{Redactor, Secret};
use sentry_core::testing::deployer_contract::{Ground, Refusal};
use sentry_core::watch::ForceConflicts;
use serde_json::json;
use tempfile::TempDir;

/// A secret that the redactor knows.
pub(crate) const TOKEN: &str = "glpat-s3cr3t-t0ken";

/// The time that a plan has.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A server, and a deployer that is to deliver to it.
#[derive(Debug)]
pub(crate) struct Lab<D> {
    pub(crate) server: ApiServer,
    pub(crate) deployer: Arc<D>,
    pub(crate) kubeconfig: PathBuf,
    _home: TempDir,
}

impl<D: Deployer> Lab<D> {
    /// One whose deployer uses this kubeconfig, and takes out what this redactor knows.
    pub(crate) fn with(make: impl FnOnce(PathBuf, Redactor) -> D) -> Self {
        let (server, home) = (ApiServer::start(), TempDir::new().unwrap());
        let kubeconfig = server.kubeconfig(home.path());
        let redactor = Redactor::new();
        redactor.learn(&Secret::new(TOKEN));
        let deployer = Arc::new(make(kubeconfig.clone(), redactor));
        Self { server, deployer, kubeconfig, _home: home }
    }

    /// Makes runs of these names.
    pub(crate) async fn make(&self, kind: &str, names: &[&str]) {
        let runs = names.iter().map(|name| planned(kind, name, Some(name))).collect();
        let changes = self.deployer.apply(&plan(runs), &Checked::default()).await.unwrap();
        assert!(changes.is_complete(), "{changes:?}");
    }

    /// Runs kubectl as a person would, with an object on its stdin.
    pub(crate) async fn by_hand(&self, args: &[&str], object: &serde_json::Value) {
        let program = sentry_process::Program::new("kubectl")
            .arg(format!("--kubeconfig={}", self.kubeconfig.display()))
            .args(args.iter().copied())
            .args(["-f", "-", "--validate=false"])
            .stdin(object.to_string().into_bytes());
        let out = program.run().await.unwrap();
        assert!(out.status.success(), "{args:?}: {}", out.stderr_text());
    }

    pub(crate) fn follow(&self, kinds: &[&str]) -> Follower<'_> {
        Follower::of(self.deployer.follow(query(kinds)).unwrap())
    }

    /// Until the server has seen a right being used so often.
    pub(crate) async fn until_used(&self, verb: &str, resource: &str, count: usize) {
        let right = (verb.to_owned(), resource.to_owned());
        patiently(async {
            while self.server.rights_used().get(&right).is_none_or(|used| *used < count) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    pub(crate) async fn retire(&self, how: RetireHow, names: &[&str]) -> Result<(), DeployError> {
        let run = |name: &&str| ("tekton.dev/v1".into(), "PipelineRun".into(), (*name).to_owned());
        let runs = names.iter().map(run).collect();
        let timeout = TIMEOUT;
        self.deployer.retire(&Retire { cluster: cluster(), runs, how, timeout }).await
    }
}

/// What never comes fails the test instead of hanging it.
pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("it never came")
}

pub(crate) struct Follower<'a>(BoxStream<'a, Result<RunChange, DeployError>>);

impl<'a> Follower<'a> {
    pub(crate) fn of(stream: BoxStream<'a, Result<RunChange, DeployError>>) -> Self {
        Self(stream)
    }

    pub(crate) async fn next(&mut self) -> Result<RunChange, DeployError> {
        patiently(self.0.next()).await.expect("the stream ended without an error")
    }

    /// The next change, which must be how a run stands.
    pub(crate) async fn status(&mut self) -> RunStatus {
        match self.next().await.unwrap() {
            RunChange::Stands(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// The next change, which must be how this run stands.
    pub(crate) async fn stands(&mut self, name: &str) -> (RunState, Option<String>) {
        let status = self.status().await;
        assert_eq!(status.name, name, "{status:?}");
        (status.state, status.reason)
    }

    pub(crate) async fn synced(&mut self) {
        assert_eq!(self.next().await.unwrap(), RunChange::Synced);
    }

    pub(crate) async fn gone(&mut self, name: &str) {
        let gone = RunChange::Gone { kind: "PipelineRun".into(), name: name.into() };
        assert_eq!(self.next().await.unwrap(), gone);
    }

    pub(crate) async fn ends(&mut self) -> bool {
        patiently(self.0.next()).await.is_none()
    }
}

pub(crate) fn api_version(kind: &str) -> &'static str {
    match kind {
        "ConfigMap" | "Secret" | "Pod" => "v1",
        "Job" => "batch/v1",
        "CustomRun" => "tekton.dev/v1beta1",
        _ => "tekton.dev/v1",
    }
}

/// An object of the namespace `qa`; a run, if it has a key.
pub(crate) fn planned(kind: &str, name: &str, key: Option<&str>) -> PlannedObject {
    let labels = json!({DELIVERY_LABEL: delivery().as_str(), COMMIT_LABEL: commit().as_str()});
    let mut json = json!({
        "apiVersion": api_version(kind), "kind": kind,
        "metadata": {"name": name, "namespace": "qa", "labels": labels},
    });
    if !["ConfigMap", "Secret"].contains(&kind) {
        json["spec"] = json!({});
    }
    if let Some(key) = key {
        json["metadata"]["annotations"] = json!({KEY_ANNOTATION: key});
    }
    let object = ObjectRef {
        path: format!("{name}.yaml"),
        document: 1,
        line: 1,
        api_version: api_version(kind).into(),
        kind: kind.into(),
        namespace: Some("qa".into()),
        name: name.into(),
    };
    let operation = key.map_or(Operation::Apply, |key| Operation::Create { key: key.into() });
    PlannedObject { object, operation, json, rules: RunRules::default() }
}

/// The same object in another namespace.
pub(crate) fn moved(mut planned: PlannedObject, namespace: &str) -> PlannedObject {
    planned.json["metadata"]["namespace"] = json!(namespace);
    planned.object.namespace = Some(namespace.into());
    planned
}

pub(crate) fn delivery() -> DeliveryId {
    DeliveryId::new(Timestamp::UNIX_EPOCH, 1)
}

pub(crate) fn commit() -> CommitSha {
    "c0ffee00".repeat(5).parse().unwrap()
}

pub(crate) fn cluster() -> ClusterRef {
    ClusterRef {
        deployer: "deployer".into(),
        context: Some("default".into()),
        namespace: "qa".parse().unwrap(),
    }
}

pub(crate) fn plan(objects: Vec<PlannedObject>) -> Plan {
    let (git_auth, timeout) = (Vec::new(), TIMEOUT);
    let force_conflicts = ForceConflicts::default();
    Plan { delivery: delivery(), cluster: cluster(), force_conflicts, objects, git_auth, timeout }
}

pub(crate) fn query(kinds: &[&str]) -> FollowQuery {
    let kind = |kind: &&str| (api_version(kind).to_owned(), (*kind).to_owned());
    let kinds = kinds.iter().map(kind).collect();
    FollowQuery { cluster: cluster(), commits: vec![commit()], kinds, known: BTreeSet::new() }
}

impl<D: Deployer> Ground for Lab<D> {
    fn writes(&self) -> usize {
        self.server.writes()
    }
    fn made(&self) -> Vec<String> {
        self.server.creates_of("PipelineRun")
    }
    fn refuse(&self, kind: &str, name: &str, how: Refusal) {
        let (status, message) = match how {
            Refusal::ForGood => (422, "spec: Invalid value: not to our taste"),
            Refusal::ForNow => (403, "exceeded quota: runs"),
        };
        self.server.faults().refuse_always(kind, name, status, message);
    }
    fn heal(&self) {
        self.server.faults().heal();
    }
    fn away(&self, away: bool) {
        if away { self.server.pause() } else { self.server.resume() }
    }
    fn finish(&self, name: &str, well: bool) {
        let outcome = if well { Outcome::Succeeded } else { Outcome::TimedOut };
        assert!(self.server.finish_run(name, outcome));
    }
    fn delete(&self, name: &str) {
        assert!(self.server.delete("PipelineRun", name));
    }
}
