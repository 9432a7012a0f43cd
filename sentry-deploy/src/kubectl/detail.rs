//! Why a run failed: which task and step, and the last line of its log.

use std::time::Duration;

use sentry_core::delivery::RunState;
use sentry_core::deployer::{DeployError, FollowQuery, RunStatus};
use serde_json::Value;
use tokio::time::timeout;

use super::{Kubectl, api, ends, failure, output};

/// What looking into one failed run may take. A node that is away lets its logs hang.
const LIMIT: Duration = Duration::from_secs(10);
/// What is read of a log, in bytes.
const LOG: usize = 16 << 10;

/// The same status; of a run that failed or was cancelled, with a message that says where, why and by whom. What can't
/// be read is left out: the run's state is never lost.
pub(super) async fn explained(
    kubectl: &Kubectl,
    query: &FollowQuery,
    status: RunStatus,
    object: &Value,
) -> RunStatus {
    if !matches!(status.state, RunState::Failed | RunState::Cancelled) {
        return status;
    }
    match timeout(LIMIT, message(kubectl, query, &status, object)).await {
        Ok(Some(text)) => RunStatus { message: Some(text), ..status },
        Ok(None) | Err(_) => status,
    }
}

async fn message(
    kubectl: &Kubectl,
    query: &FollowQuery,
    status: &RunStatus,
    object: &Value,
) -> Option<String> {
    let version = object["apiVersion"].as_str()?;
    let is_pipeline = status.kind == "PipelineRun";
    if output::group(version) != "tekton.dev" || !(is_pipeline || status.kind == "TaskRun") {
        return None;
    }
    let made = if is_pipeline {
        task_runs(kubectl, query, version, &status.name).await.ok()?
    } else {
        Vec::new()
    };
    let end = match (status.state, is_pipeline) {
        (RunState::Cancelled, _) => ends::cancelled(object, &made),
        (_, true) => ends::failed_pipeline(object, &made),
        (_, false) => ends::failed_task(std::slice::from_ref(object)),
    }?;
    let redactor = &kubectl.settings.redactor;
    let line = match &end.log {
        // Its own limit, so that a log which hangs takes only itself away.
        Some((pod, container)) => {
            let log = log(kubectl, query, pod, container);
            let log = timeout(LIMIT / 2, log).await.ok().and_then(Result::ok).unwrap_or_default();
            failure::last_line(&redactor.redact(&log), log.len() < LOG)
        }
        None => None,
    };
    Some(failure::message(&redactor.redact(&end.text), line.as_deref()))
}

/// The task runs that Tekton made for a pipeline run: the first 50 are enough.
async fn task_runs(
    kubectl: &Kubectl,
    query: &FollowQuery,
    version: &str,
    name: &str,
) -> Result<Vec<Value>, DeployError> {
    let task_runs = api::collection(version, query.cluster.namespace.as_str(), "taskruns");
    let path = api::page(&task_runs, &format!("tekton.dev/pipelineRun={name}"), None);
    let text = kubectl.caller(&query.cluster, LIMIT).get(&path).await?;
    Ok(output::objects(&text))
}

async fn log(
    kubectl: &Kubectl,
    query: &FollowQuery,
    pod: &str,
    container: &str,
) -> Result<String, DeployError> {
    let path = api::log(query.cluster.namespace.as_str(), pod, container, LOG);
    kubectl.caller(&query.cluster, LIMIT).get(&path).await
}
