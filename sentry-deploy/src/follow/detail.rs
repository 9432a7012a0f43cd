//! What a run that ended is asked: how its tasks did; if it failed, which task and step, and the last line of its log.

use std::time::Duration;

use sentry_core::delivery::{MAX_TASKS, RunState};
use sentry_core::deployer::{FollowQuery, RunStatus};
use serde_json::Value;
use tokio::time::timeout;

use super::{Reader, Trouble};
use crate::api::{documents, object, paths};
use crate::tekton::ends::{self, End};
use crate::tekton::{classes, failure, tasks};

/// What reading a run's tasks may take; for a log, half of it: a node that is away lets its logs hang.
const LIMIT: Duration = Duration::from_secs(10);
/// What is read of a log, in bytes.
const LOG: usize = 16 << 10;

/// The same status; of a pipeline run that ended, with its tasks; of a run that failed or was cancelled, with a message
/// that says where, why and by whom. What can't be read is left out: the run's state is never lost.
pub(crate) async fn explained(
    reader: &impl Reader,
    query: &FollowQuery,
    mut status: RunStatus,
    run: &Value,
) -> RunStatus {
    let is_known = query.known.contains(&(status.kind.clone(), status.name.clone()));
    let Some(version) = run["apiVersion"].as_str().filter(|_| !is_known) else { return status };
    if !status.state.is_final() || object::group(version) != "tekton.dev" {
        return status;
    }
    let has_tasks = status.tasks.iter().any(|task| task.run.is_some());
    let made = match status.kind.as_str() {
        "PipelineRun" if status.state == RunState::Succeeded && !has_tasks => return status,
        "PipelineRun" => timeout(LIMIT, task_runs(reader, query, version, &status.name)).await,
        "TaskRun" => Ok(Ok(Vec::new())),
        _ => return status,
    };
    let Ok(Ok(made)) = made else { return status };
    let is_pipeline = status.kind == "PipelineRun";
    if is_pipeline {
        status.tasks = tasks::of_run(run, &made, reader.redactor());
    }
    let end = match (status.state, is_pipeline) {
        (RunState::Cancelled, _) => ends::cancelled(run, &made),
        (RunState::Failed, true) => ends::failed_pipeline(run, &made),
        (RunState::Failed, false) => ends::failed_task(std::slice::from_ref(run)),
        _ => return status,
    };
    let class = classes::of_run(run, &status.kind, ends::reason(run), &made);
    status.failure = Some(class);
    if let Some(end) = end {
        status.message = Some(message(reader, query, &end).await);
    }
    status
}

async fn message(reader: &impl Reader, query: &FollowQuery, end: &End) -> String {
    let redactor = reader.redactor();
    let line = match &end.log {
        Some((pod, container)) => {
            let log = log(reader, query, pod, container);
            let log = timeout(LIMIT / 2, log).await.ok().and_then(Result::ok).unwrap_or_default();
            failure::last_line(&redactor.redact(&log), log.len() < LOG)
        }
        None => None,
    };
    failure::message(&redactor.redact(&end.text), line.as_deref())
}

/// The task runs that Tekton made for a pipeline run, as many as are kept.
async fn task_runs(
    reader: &impl Reader,
    query: &FollowQuery,
    version: &str,
    name: &str,
) -> Result<Vec<Value>, Trouble> {
    let task_runs = paths::collection(version, query.cluster.namespace.as_str(), "taskruns");
    let selector = format!("tekton.dev/pipelineRun={name}");
    let (mut found, mut next) = (Vec::new(), None::<String>);
    loop {
        let path = paths::page(&task_runs, &selector, next.as_deref());
        let text = reader.get(&query.cluster, &path, LIMIT).await?;
        let Some(page) = documents::page(&text) else { return Ok(found) };
        found.extend(page.items);
        next = page.next.filter(|_| found.len() < MAX_TASKS);
        if next.is_none() {
            return Ok(found);
        }
    }
}

async fn log(
    reader: &impl Reader,
    query: &FollowQuery,
    pod: &str,
    container: &str,
) -> Result<String, Trouble> {
    let path = paths::log(query.cluster.namespace.as_str(), pod, container, LOG);
    reader.get(&query.cluster, &path, LIMIT).await
}
