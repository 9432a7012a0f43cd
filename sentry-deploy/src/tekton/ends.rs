//! How a Tekton run ended, in words: which task and step, and why. Pure.
//!
//! Reasons are those of `pkg/apis/pipeline/v1` of tektoncd/pipeline at v1.15; what the controller writes into steps that it
//! stops is in `pkg/reconciler/taskrun` (`terminateStepsInPod`), what the pod reports in `pkg/pod/status.go`.

use serde_json::Value;

use super::runs::condition;

/// Why a run ended as it did, and where more can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Without the last log line.
    pub(crate) text: String,
    /// The step's pod and container, where a step ended on its own.
    pub(crate) log: Option<(String, String)>,
}

/// What Tekton writes to a task run whose pipeline timed out (`TaskRunCancelledByPipelineTimeoutMsg`).
const PIPELINE_TIMEOUT: &str = "has timed out";

/// Reasons of a task run that are about its pod, or about a container that is no step.
const NO_STEP: &[&str] = &[
    "CreateContainerConfigError",
    "InitContainerFailed",
    "InitContainerOOM",
    "PodAdmissionFailed",
    "PodCreationFailed",
    "PodEvicted",
    "SidecarFailed",
    "SidecarOOM",
    "TaskRunImagePullFailed",
    "TaskRunStopSidecarFailed",
];

/// Why a pipeline run failed, from its object and the task runs that were made for it; `None` if they do not say more
/// than its own condition.
pub(crate) fn failed_pipeline(run: &Value, task_runs: &[Value]) -> Option<End> {
    let stopped: Vec<&Value> = task_runs.iter().filter(|run| is_out_of_time(run)).collect();
    if reason(run) == "PipelineRunTimeout" {
        let limit = limit(run, &["pipeline", "tasks"]);
        let at = stopped.iter().take(3).map(|run| format!("in {}", place(run, stopped_step(run))));
        let at = at.collect::<Vec<_>>().join(" and ");
        let children =
            run["status"]["childReferences"].as_array().is_some_and(|all| !all.is_empty());
        let at = match (at.as_str(), task_runs.is_empty() && !children) {
            ("", true) => ", before any task started".to_owned(),
            ("", false) => String::new(),
            (at, _) => format!(", {at}"),
        };
        return Some(End { text: format!("the pipeline timed out{limit}{at}"), log: None });
    }
    failed_task(task_runs).or_else(|| {
        let first = stopped.first()?;
        let text = format!(
            "{}: stopped when the time limit for the pipeline's tasks passed",
            place(first, stopped_step(first))
        );
        Some(End { text, log: None })
    })
}

/// What failed among task runs; `None` if none of them did.
pub(crate) fn failed_task(task_runs: &[Value]) -> Option<End> {
    let first = first_failed(task_runs)?;
    let mut end = of_task_run(first, place);
    let number = task_runs.iter().filter(|run| explains(run)).count();
    if number > 1 {
        end.text = format!("{} ({number} tasks failed)", end.text);
    }
    Some(end)
}

/// The task run that failed first; `None` if none of them did.
pub(crate) fn first_failed(task_runs: &[Value]) -> Option<&Value> {
    let failed = task_runs.iter().filter(|run| explains(run));
    failed.min_by_key(|run| run["status"]["completionTime"].as_str().unwrap_or("~"))
}

/// Why a task failed, for a place that names the task.
pub(crate) fn in_task(run: &Value) -> String {
    of_task_run(run, |_, step| step.map(|step| format!("step {step}")).unwrap_or_default()).text
}

/// A task run that was cancelled because another one failed, and one whose failure is ignored, explain nothing.
fn explains(run: &Value) -> bool {
    has_failed(run) && !["TaskRunCancelled", "FailureIgnored"].contains(&reason(run))
}

/// By whom a run was cancelled, or which task of it was; `None` if unknown.
pub(crate) fn cancelled(run: &Value, task_runs: &[Value]) -> Option<End> {
    let text = if let Some(word) = run["spec"]["status"].as_str() {
        let by = canceller(run).map(|who| format!(" by {who}")).unwrap_or_default();
        format!("cancelled{by} (spec.status: {word})")
    } else {
        let stopped = |run: &&Value| has_failed(run) && reason(run) == "TaskRunCancelled";
        format!("{} was cancelled", place(task_runs.iter().find(stopped)?, None))
    };
    Some(End { text, log: None })
}

/// Who set `spec.status`, as the API server recorded it.
fn canceller(run: &Value) -> Option<&str> {
    let managers = run["metadata"]["managedFields"].as_array()?;
    let set = |entry: &&Value| !entry["fieldsV1"]["f:spec"]["f:status"].is_null();
    managers.iter().find(set)?["manager"].as_str()
}

fn of_task_run(run: &Value, place: impl Fn(&Value, Option<&str>) -> String) -> End {
    let (reason, message) = (reason(run), message(run));
    let tries = run["status"]["retriesStatus"].as_array().map_or(0, Vec::len);
    let tries =
        if tries == 0 { String::new() } else { format!(", on the last of {} attempts", tries + 1) };
    let told = |step: Option<&str>, why: String| {
        let place = place(run, step);
        let colon = if place.is_empty() { "" } else { ": " };
        format!("{place}{colon}{why}{tries}")
    };
    let step = failed_step(run).filter(|_| !NO_STEP.contains(&reason));
    let (text, log) = match (reason, step) {
        ("TaskRunTimeout", _) => {
            (told(stopped_step(run), format!("timed out{}", limit(run, &[]))), None)
        }
        ("TaskRunImagePullFailed", _) => {
            (told(quoted(message, "step "), format!("its image can't be pulled: {message}")), None)
        }
        ("PodEvicted", _) => (told(None, format!("its pod was evicted: {message}")), None),
        (_, Some(step)) => (told(step["name"].as_str(), of_step(run, step)), log(run, step)),
        (_, None) => (told(None, format!("{reason}: {message}")), None),
    };
    End { text, log }
}

fn of_step(run: &Value, step: &Value) -> String {
    let end = &step["terminated"];
    let code = end["exitCode"].as_i64().unwrap_or_default();
    let words = [step["terminationReason"].as_str(), end["reason"].as_str()];
    if words.contains(&Some("TimeoutExceeded")) {
        let steps = run["status"]["taskSpec"]["steps"].as_array().into_iter().flatten();
        let mut limits =
            steps.filter(|s| s["name"] == step["name"]).filter_map(|s| s["timeout"].as_str());
        return format!("timed out{}", limits.next().map(after).unwrap_or_default());
    }
    // Kubernetes' own word for "with an exit code" says nothing more.
    match words[1].filter(|reason| !["Error", "Completed"].contains(reason)) {
        Some("OOMKilled") => format!("out of memory, exit code {code} (OOMKilled)"),
        Some(reason) => format!("exit code {code} ({reason})"),
        None => format!("exit code {code}"),
    }
}

fn log(run: &Value, step: &Value) -> Option<(String, String)> {
    let pod = run["status"]["podName"].as_str().filter(|pod| !pod.is_empty())?;
    let own = || Some(format!("step-{}", step["name"].as_str()?));
    let container = step["container"].as_str().map(str::to_owned).or_else(own)?;
    Some((pod.to_owned(), container))
}

/// The step that made the task fail: one that ran out of memory, else the first with an exit code, unless Tekton says that
/// it was told to continue after it, never ran it because of an earlier one, or stopped it itself.
pub(crate) fn failed_step(run: &Value) -> Option<&Value> {
    let steps = || run["status"]["steps"].as_array().into_iter().flatten();
    let failed = |step: &&Value| {
        step["name"].is_string() && step["terminated"]["exitCode"].as_i64().is_some_and(|c| c != 0)
    };
    let real = |step: &&Value| {
        let word = step["terminationReason"].as_str().unwrap_or_default();
        !["Continued", "Skipped", "Cancelled"].contains(&word) && !is_stopped(run, step)
    };
    let no_memory = |step: &&Value| step["terminated"]["reason"] == "OOMKilled";
    let mut found: Vec<&Value> = steps().filter(failed).filter(real).collect();
    found.sort_by_key(|step| !no_memory(step));
    found.first().copied().or_else(|| steps().filter(failed).find(|step| !is_stopped(run, step)))
}

/// True if the controller ended the step with the task run, for the task run's own reason.
fn is_stopped(run: &Value, step: &Value) -> bool {
    [&step["terminationReason"], &step["terminated"]["reason"]]
        .iter()
        .any(|word| **word == *reason(run))
        && !reason(run).is_empty()
}

/// The step that was at work when the controller stopped the task run: the first one that had not ended.
fn stopped_step(run: &Value) -> Option<&str> {
    let steps = run["status"]["steps"].as_array()?;
    steps.iter().find(|step| is_stopped(run, step))?["name"].as_str()
}

/// True if it was stopped because its pipeline ran out of time.
pub(crate) fn is_out_of_time(run: &Value) -> bool {
    let told = run["spec"]["statusMessage"].as_str().unwrap_or_default();
    has_failed(run) && reason(run) == "TaskRunCancelled" && told.contains(PIPELINE_TIMEOUT)
}

fn has_failed(run: &Value) -> bool {
    condition(run, "Succeeded").is_some_and(|condition| condition["status"] == "False")
}

/// The reason of its condition; empty if there is none.
pub(crate) fn reason(run: &Value) -> &str {
    condition(run, "Succeeded").and_then(|c| c["reason"].as_str()).unwrap_or_default()
}

fn message(run: &Value) -> &str {
    condition(run, "Succeeded").and_then(|c| c["message"].as_str()).unwrap_or("no reason was given")
}

/// `task unit, step test`; empty for a standalone task run that names no step.
fn place(run: &Value, step: Option<&str>) -> String {
    let task = run["metadata"]["labels"]["tekton.dev/pipelineTask"].as_str();
    let parts = [task.map(|task| format!("task {task}")), step.map(|step| format!("step {step}"))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The time that a run had: as its message has it, else as its spec does.
fn limit(run: &Value, timeouts: &[&str]) -> String {
    let spec = &run["spec"];
    let own = || timeouts.iter().find_map(|name| spec["timeouts"][name].as_str());
    let limit = quoted(message(run), "within ").or_else(own).or(spec["timeout"].as_str());
    limit.map(after).unwrap_or_default()
}

fn after(limit: &str) -> String {
    format!(" after {limit}")
}

/// The text in double quotes right after a word.
fn quoted<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("{word}\""))?;
    rest.split_once('"').map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests;
