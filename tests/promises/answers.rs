//! What API servers, balancers, webhooks, credential plugins and quotas answer, as kubectl 1.20 and 1.32 print it, each
//! with the column of the table that it belongs in; and a cluster that answers so.
//!
//! The forms are those of kubectl (`pkg/cmd/util/helpers.go`, `checkErr`), of apimachinery's `StatusReason` and
//! `NewGenericServerResponse`, and of the API server's admission (`ToStatusErr`, `NewForbidden`).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use sentry_core::deployer::{Checked, DeployError, Deployer, FollowQuery, Retire, RunChange};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{
    Action, COMMIT_LABEL, ChangeSet, ObjectOutcome, ObjectRef, Operation, Plan, PlannedObject,
    RunRules,
};
use sentry_core::retry::Retry;
use sentry_core::secret::Redactor;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::watch::ForceConflicts;
use sentry_deploy::{Kubectl, KubectlSettings};
use sentry_tests::processes::script;
use serde_json::json;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Waits,
    Counted,
    Definite,
}

use Column::{Counted, Definite, Waits};

/// The column of an error.
pub(crate) fn column(error: &DeployError) -> Column {
    match error.retry() {
        Retry::Backoff | Retry::After(_) => Waits,
        Retry::Counted => Counted,
        Retry::Stalled => Definite,
    }
}

/// What kubectl writes to stderr.
pub(crate) const ANSWERS: &[(Column, &str)] = &[
    // No connection.
    (
        Waits,
        "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
    ),
    (Waits, "Unable to connect to the server: dial tcp 10.0.0.1:443: connect: no route to host"),
    (Waits, "Unable to connect to the server: dial tcp 10.0.0.1:443: i/o timeout"),
    (
        Waits,
        "Unable to connect to the server: dial tcp: lookup api.example.com on 10.0.0.2:53: no such host",
    ),
    (
        Waits,
        "Unable to connect to the server: dial tcp: lookup api.example.com: Temporary failure in name resolution",
    ),
    (
        Waits,
        "Unable to connect to the server: dial tcp 10.0.0.1:443: connect: network is unreachable",
    ),
    (Waits, "Unable to connect to the server: net/http: TLS handshake timeout"),
    (Waits, "Unable to connect to the server: EOF"),
    (Waits, "Unable to connect to the server: http2: client connection lost"),
    (
        Waits,
        "Unable to connect to the server: stream error: stream ID 7; INTERNAL_ERROR; received from peer",
    ),
    (
        Waits,
        "Unable to connect to the server: read tcp 10.0.0.9:1->10.0.0.1:443: read: connection reset by peer",
    ),
    (
        Waits,
        "Unable to connect to the server: write tcp 10.0.0.9:1->10.0.0.1:443: write: broken pipe",
    ),
    (
        Waits,
        "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    ),
    (Waits, "Unable to connect to the server: context deadline exceeded"),
    (
        Waits,
        "error when creating \"STDIN\": Post \"https://h/apis/tekton.dev/v1/namespaces/qa/pipelineruns\": EOF",
    ),
    (
        Waits,
        "error: error when creating \"STDIN\": Post \"https://h/api\": read: connection reset by peer",
    ),
    (Waits, "error: unexpected EOF"),
    // TLS and proxies.
    (Waits, "Unable to connect to the server: x509: certificate signed by unknown authority"),
    (
        Waits,
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-01-02T03:04:05Z is after 2026-01-01T00:00:00Z",
    ),
    (
        Waits,
        "Unable to connect to the server: x509: certificate is valid for kubernetes, not api.example.com",
    ),
    (Waits, "Unable to connect to the server: remote error: tls: bad certificate"),
    (Waits, "Unable to connect to the server: http: server gave HTTP response to HTTPS client"),
    (
        Waits,
        "Unable to connect to the server: proxyconnect tcp: dial tcp 10.0.0.3:3128: connect: connection refused",
    ),
    (Waits, "Unable to connect to the server: Proxy Authentication Required"),
    // Credentials.
    (Waits, "error: You must be logged in to the server (Unauthorized)"),
    (
        Waits,
        "error: You must be logged in to the server (the server has asked for the client to provide credentials)",
    ),
    (
        Waits,
        "error: You must be logged in to the server (error when creating \"STDIN\": Unauthorized)",
    ),
    (
        Waits,
        "error: error validating \"STDIN\": error validating data: failed to download openapi: the server has asked for the client to provide credentials; if you choose to ignore these errors, turn validation off with --validate=false",
    ),
    (
        Waits,
        "Unable to connect to the server: getting credentials: exec: executable aws failed with exit code 255",
    ),
    (
        Waits,
        "Unable to connect to the server: getting credentials: exec: executable gke-gcloud-auth-plugin not found\n\nIt looks like you are trying to use a client-go credential plugin that is not installed.",
    ),
    (
        Waits,
        "Unable to connect to the server: getting credentials: decoding stdout: no kind \"x\" is registered",
    ),
    (
        Waits,
        "error: error validating \"STDIN\": error validating data: failed to download openapi: Get \"https://h/openapi/v2?timeout=32s\": getting credentials: exec: fork/exec /nope: no such file or directory; if you choose to ignore these errors, turn validation off with --validate=false",
    ),
    // 408, 429, 5xx of the server itself.
    (
        Waits,
        "Error from server: the server responded with the status code 408 but did not return more information (post pipelineruns.tekton.dev)",
    ),
    (
        Waits,
        "Error from server (TooManyRequests): the server has received too many requests and has asked us to try again later (post pipelineruns.tekton.dev)",
    ),
    (
        Waits,
        "Error from server (TooManyRequests): error when creating \"STDIN\": too many requests, please try again later",
    ),
    (
        Waits,
        "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: resource quota evaluation timed out",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: etcdserver: leader changed",
    ),
    (Waits, "Error from server: etcdserver: request timed out"),
    (Waits, "Error from server: rpc error: code = Unavailable desc = transport is closing"),
    (
        Waits,
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request (post pipelineruns.tekton.dev)",
    ),
    (
        Waits,
        "Error from server (Timeout): Timeout: request did not complete within requested timeout - context deadline exceeded",
    ),
    (
        Waits,
        "Error from server (Timeout): the server was unable to return a response in the time allotted, but may still be processing the request (post tasks.tekton.dev)",
    ),
    (
        Waits,
        "Error from server (ServerTimeout): The POST operation against PipelineRun could not be completed at this time, please try again.",
    ),
    (
        Waits,
        "Error from server: conversion webhook for tekton.dev/v1beta1, Kind=Task failed: Post \"https://w.tekton.svc:443/?timeout=30s\": service \"w\" not found",
    ),
    // Balancers.
    (
        Waits,
        "Error from server (InternalError): an error on the server (\"<html><head><title>502 Bad Gateway</title></head></html>\") has prevented the request from succeeding (post pipelineruns.tekton.dev)",
    ),
    (
        Waits,
        "Error from server (InternalError): an error on the server (\"\") has prevented the request from succeeding",
    ),
    (
        Waits,
        "Error from server (InternalError): error when creating \"STDIN\": an error on the server (\"upstream connect error or disconnect/reset before headers\") has prevented the request from succeeding (post pipelineruns.tekton.dev)",
    ),
    (
        Waits,
        "Error from server (InternalError): an error on the server (\"Invalid: Forbidden: NotFound: admission webhook \\\"w\\\" denied the request\") has prevented the request from succeeding",
    ),
    (
        Waits,
        "error: error validating \"STDIN\": error validating data: the server is currently unable to handle the request; if you choose to ignore these errors, turn validation off with --validate=false",
    ),
    (
        Waits,
        "error: error validating \"STDIN\": error validating data: proto: cannot parse invalid wire-format data; if you choose to ignore these errors, turn validation off with --validate=false",
    ),
    (
        Waits,
        "error: couldn't get available api versions from server: invalid character '<' looking for beginning of value",
    ),
    (Waits, "error: invalid character '<' looking for beginning of value"),
    // Webhooks that can't be called.
    (
        Waits,
        "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: Post \"https://w.ns.svc:443/?timeout=10s\": no endpoints available for service \"w\"",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": Post \"https://w.ns.svc:443/?timeout=10s\": service \"w\" not found",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": Post \"https://w.ns.svc:443/\": dial tcp 10.0.0.4:443: connect: no route to host",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": Post \"https://w.ns.svc:443/\": read tcp: connection reset by peer",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": Post \"https://w.ns.svc:443/\": x509: certificate signed by unknown authority",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": the server rejected our request for an unknown reason",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": expected response.uid=\"1\", got \"\"",
    ),
    (
        Waits,
        "Error from server (InternalError): Internal error occurred: failed calling webhook \"w\": Post \"https://w.ns.svc:443/\": context deadline exceeded",
    ),
    (
        Waits,
        "Error from server (InternalError): admission webhook \"w\" denied the request: can't reach the database",
    ),
    // Somebody else wrote at the same moment.
    (
        Waits,
        "error: Operation cannot be fulfilled on tasks.tekton.dev \"unit\": the object has been modified; please apply your changes to the latest version and try again\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:",
    ),
    (
        Waits,
        "Error from server (Conflict): error when creating \"STDIN\": Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified; please apply your changes to the latest version and try again",
    ),
    (Waits, "Error from server (Conflict): the server reported a conflict"),
    // What nobody knows.
    (Waits, "Error from server: something new"),
    (Waits, "Error from server (Mystery): something new"),
    (Waits, "error: something new"),
    (Waits, "Segmentation fault (core dumped)"),
    (
        Waits,
        "Error from server (MethodNotAllowed): the server does not allow this method on the requested resource",
    ),
    (
        Waits,
        "Error from server (NotAcceptable): the server was unable to respond with a content type that the client supports",
    ),
    // Rights and quotas.
    (
        Counted,
        "Error from server (Forbidden): error when creating \"STDIN\": pipelineruns.tekton.dev is forbidden: User \"system:serviceaccount:qa:sentry\" cannot create resource \"pipelineruns\" in API group \"tekton.dev\" in the namespace \"qa\"",
    ),
    (
        Counted,
        "Error from server (Forbidden): tasks.tekton.dev \"unit\" is forbidden: User \"sentry\" cannot patch resource \"tasks\" in API group \"tekton.dev\" in the namespace \"qa\": RBAC: role.rbac.authorization.k8s.io \"r\" not found",
    ),
    (
        Counted,
        "Error from server (Forbidden): error when creating \"STDIN\": pipelineruns.tekton.dev \"one\" is forbidden: exceeded quota: q, requested: count/pipelineruns.tekton.dev=1, used: count/pipelineruns.tekton.dev=5, limited: count/pipelineruns.tekton.dev=5",
    ),
    (
        Counted,
        "Error from server (Forbidden): pods \"p\" is forbidden: failed quota: q: must specify limits.cpu",
    ),
    (
        Counted,
        "Error from server (Forbidden): pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
    ),
    (
        Counted,
        "Error from server (Forbidden): error when creating \"STDIN\": pods \"p\" is forbidden: error looking up service account qa/default: serviceaccount \"default\" not found",
    ),
    (
        Counted,
        "Error from server (Forbidden): <html><head><title>403 Forbidden</title></head></html>",
    ),
    (Counted, "Error from server (Forbidden): unknown"),
    // Namespaces and kinds.
    (
        Counted,
        "Error from server (Forbidden): error when creating \"STDIN\": configmaps \"c\" is forbidden: unable to create new content in namespace qa because it is being terminated",
    ),
    (
        Counted,
        "Error from server (NotFound): error when creating \"STDIN\": namespaces \"qa\" not found",
    ),
    (Counted, "Error from server (NotFound): namespaces \"qa\" not found"),
    (Counted, "Error from server (NotFound): the server could not find the requested resource"),
    (
        Counted,
        "Error from server (NotFound): error when creating \"STDIN\": the server could not find the requested resource (post pipelineruns.tekton.dev)",
    ),
    (
        Counted,
        "error: unable to recognize \"STDIN\": no matches for kind \"PipelineRun\" in version \"tekton.dev/v1\"",
    ),
    (
        Counted,
        "unable to recognize no matches for kind \"PipelineRun\" in version \"tekton.dev/v1\"\nunable to recognize no matches for kind \"Task\" in version \"tekton.dev/v1\"",
    ),
    (
        Counted,
        "error: resource mapping not found for name: \"one\" namespace: \"qa\" from \"STDIN\": no matches for kind \"PipelineRun\" in version \"tekton.dev/v1\"\nensure CRDs are installed first",
    ),
    (Counted, "error: the server doesn't have a resource type \"pipelineruns\""),
    // Other managers.
    (
        Counted,
        "error: Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using tekton.dev/v1: .spec.steps\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:",
    ),
    (
        Counted,
        "Apply failed with 2 conflicts: conflicts with \"argocd\":\n- .data.a\n- .data.b\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:",
    ),
    (
        Counted,
        "Error from server (Conflict): Apply failed with 1 conflict: conflict with \"argocd\": .spec",
    ),
    // Our own side, which a person repairs where we are not told.
    (Counted, "error: context \"ci\" does not exist"),
    (Counted, "Error in configuration: context was not found for specified context: ci"),
    (Counted, "error: stat /etc/sentry/kubeconfig: no such file or directory"),
    (
        Counted,
        "error: error loading config file \"/etc/sentry/kubeconfig\": yaml: line 3: mapping values are not allowed in this context",
    ),
    (
        Counted,
        "error: unable to read client-cert /x for u due to open /x: no such file or directory",
    ),
    // 400, 413, 415, 422.
    (
        Definite,
        "Error from server (BadRequest): error when creating \"STDIN\": PipelineRun in version \"v1\" cannot be handled as a PipelineRun: strict decoding error: unknown field \"spec.x\"",
    ),
    (
        Definite,
        "Error from server (BadRequest): the server rejected our request for an unknown reason",
    ),
    (
        Definite,
        "Error from server (BadRequest): error when creating \"STDIN\": Operation cannot be fulfilled: i/o timeout EOF connection refused",
    ),
    (
        Definite,
        "Error from server (RequestEntityTooLarge): error when creating \"STDIN\": Request entity too large: limit is 3145728",
    ),
    (
        Definite,
        "Error from server: the server responded with the status code 413 but did not return more information (post pipelineruns.tekton.dev)",
    ),
    (
        Definite,
        "Error from server (UnsupportedMediaType): error when creating \"STDIN\": the body of the request was in an unknown format - accepted media types include: application/json",
    ),
    (
        Definite,
        "error: Server-side apply not available on the server: (hint: does the server support it?)",
    ),
    (
        Definite,
        "Error from server (Invalid): error when creating \"STDIN\": PipelineRun.tekton.dev \"one\" is invalid: spec.x: Invalid value: 1: must be a timeout",
    ),
    (
        Definite,
        "The PipelineRun \"one\" is invalid: spec.x: Invalid value: 1: context deadline exceeded",
    ),
    (
        Definite,
        "The Task \"unit\" is invalid: \n* spec.a: Required value\n* spec.b: Required value: connection refused",
    ),
    (Definite, "The request is invalid: patch: Invalid value: \"x\": quota forbidden"),
    (
        Definite,
        "error: error validating \"STDIN\": error validating data: ValidationError(PipelineRun.spec): unknown field \"x\" in dev.tekton.v1.PipelineRun.spec; if you choose to ignore these errors, turn validation off with --validate=false",
    ),
    (
        Definite,
        "error: error validating \"STDIN\": error validating data: [ValidationError(Task.spec): unknown field \"x\", ValidationError(Task.spec): unknown field \"y\"]; if you choose to ignore these errors, turn validation off with --validate=false",
    ),
    // Webhooks that denied, with whatever reason.
    (
        Definite,
        "Error from server (BadRequest): error when creating \"STDIN\": admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request: validation failed: missing field(s): spec.tasks",
    ),
    (
        Definite,
        "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"validation.gatekeeper.sh\" denied the request: [quota] exceeded quota",
    ),
    (
        Definite,
        "Error from server: error when creating \"STDIN\": admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\npolicy PipelineRun/qa/one for resource violation:\n\nrequire-labels: no label",
    ),
    (Definite, "Error from server: admission webhook \"w\" denied the request without explanation"),
    (
        Definite,
        "Error from server (Conflict): admission webhook \"w\" denied the request: the object has been modified",
    ),
    (
        Definite,
        "Error from server (NotFound): admission webhook \"w\" denied the request: namespaces \"qa\" not found",
    ),
    (
        Definite,
        "error: You must be logged in to the server (admission webhook \"w\" denied the request: who are you)",
    ),
    (
        Definite,
        "Error from server (NotAcceptable): admission webhook \"w\" denied the request: service unavailable, timeout",
    ),
];

/// The namespace `qa` of the cluster that the fakes' watches name.
fn cluster() -> ClusterRef {
    ClusterRef { deployer: "deployer".into(), context: None, namespace: "qa".parse().unwrap() }
}

/// A task and a run.
pub(crate) fn plan() -> Plan {
    let planned = |kind: &str, name: &str, operation| PlannedObject {
        object: ObjectRef {
            path: format!("{name}.yaml"),
            document: 1,
            line: 1,
            api_version: "tekton.dev/v1".into(),
            kind: kind.into(),
            namespace: Some("qa".into()),
            name: name.into(),
        },
        operation,
        json: json!({
            "apiVersion": "tekton.dev/v1", "kind": kind, "spec": {},
            "metadata": {"name": name, "namespace": "qa", "labels": {COMMIT_LABEL: "c"}},
        }),
        rules: RunRules::default(),
    };
    Plan {
        delivery: "01hf7yat000000000000000000".parse().unwrap(),
        cluster: cluster(),
        force_conflicts: ForceConflicts::default(),
        objects: vec![
            planned("Task", "unit", Operation::Apply),
            planned("PipelineRun", "one", Operation::Create { key: "key".into() }),
        ],
        git_auth: Vec::new(),
        timeout: Duration::from_secs(60),
    }
}

/// What a deployer's check fails with, or would not take first.
pub(crate) async fn checked(deployer: &impl Deployer) -> DeployError {
    deployer
        .check(&plan())
        .await
        .map_or_else(|error| error, |mut checked| checked.refused.remove(0).1)
}

/// What a deployer's check, apply and following fail with.
pub(crate) async fn errors(kubectl: &Kubectl) -> [DeployError; 3] {
    let check = checked(kubectl).await;
    let apply = kubectl.apply(&plan(), &Checked::default()).await;
    let apply = apply.map_or_else(|error| error, |changes| changes.error.unwrap());
    let commits = vec!["c0ffee00".repeat(5).parse().unwrap()];
    let kinds = vec![("tekton.dev/v1".to_owned(), "PipelineRun".to_owned())];
    let mut followed = kubectl
        .follow(FollowQuery { cluster: cluster(), commits, kinds, known: BTreeSet::new() })
        .unwrap();
    [check, apply, followed.next().await.unwrap().unwrap_err()]
}

/// The real deployer with a kubectl that fails and says so, whatever it is asked.
pub(crate) fn kubectl_that_says(text: &str, dir: &Path) -> Kubectl {
    let (said, program) = (dir.join("said"), dir.join("kubectl"));
    std::fs::write(&said, text).unwrap();
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n*'version --client'*) echo '{{\"clientVersion\":{{\"minor\":\"32\"}}}}';;\n*) cat {} >&2; exit \
         1;;\nesac\n",
        said.display()
    );
    script(&program, &text);
    let settings = KubectlSettings {
        path: program,
        kubeconfig: Some(dir.join("kubeconfig")),
        ..KubectlSettings::new(Redactor::new())
    };
    Kubectl::new(settings).unwrap()
}

/// Where in a delivery a cluster answers so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Check,
    Apply,
    Follow,
}

/// A cluster that is well but for one kind of answer.
#[derive(Debug)]
pub(crate) struct Troubled {
    inner: Arc<FakeDeployer>,
    trouble: Mutex<Option<(Step, DeployError)>>,
}

impl Troubled {
    pub(crate) fn new(inner: &Arc<FakeDeployer>, step: Step, error: DeployError) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), trouble: Mutex::new(Some((step, error))) })
    }

    /// From now on it is well.
    pub(crate) fn heal(&self) {
        *self.trouble.lock().unwrap() = None;
    }

    fn at(&self, step: Step) -> Option<DeployError> {
        let trouble = self.trouble.lock().unwrap();
        trouble.as_ref().filter(|(at, _)| *at == step).map(|(_, error)| error.clone())
    }
}

#[async_trait]
impl Deployer for Troubled {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        match self.at(Step::Check) {
            Some(error) => Err(error),
            None => self.inner.check(plan).await,
        }
    }

    /// The first object fails, and the rest is not sent.
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let Some(error) = self.at(Step::Apply) else {
            return self.inner.apply(plan, checked).await;
        };
        let outcome = |(place, planned): (usize, &PlannedObject)| {
            let action = if place == 0 { Action::Failed } else { Action::Skipped };
            let reason = Some(error.to_string());
            ObjectOutcome { object: planned.object.clone(), run: planned.is_run(), action, reason }
        };
        let objects = plan.objects.iter().enumerate().map(outcome).collect();
        Ok(ChangeSet { objects, error: Some(error.clone()) })
    }

    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        match self.at(Step::Follow) {
            Some(error) => Some(stream::iter([Err(error)]).boxed()),
            None => self.inner.follow(query),
        }
    }

    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.inner.retire(request).await
    }
}
