//! A run's state, read from its object. Pure.
//!
//! Reasons and fields are those of `pkg/apis/pipeline/v1` (and `v1beta1` for CustomRun) of tektoncd/pipeline at v1.0,
//! and of Kubernetes' `batch/v1` and `v1`.

use sentry_core::clock::Timestamp;
use sentry_core::delivery::RunState;
use sentry_core::deployer::RunStatus;
use sentry_core::plan::{COMMIT_LABEL, KEY_ANNOTATION};
use sentry_core::secret::Redactor;
use serde_json::Value;

use super::failure::{MESSAGE, printable};
use super::{classes, tasks};
use crate::api::object;

/// A kind of run whose end can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Followed {
    group: &'static str,
    /// `kind`.
    pub(crate) kind: &'static str,
    /// Its resource in paths of the API.
    pub(crate) plural: &'static str,
    /// What `spec.status` is set to so that it ends, where it can be.
    pub(crate) cancel: Option<&'static str>,
}

/// All of them. `finally` tasks of a cancelled pipeline run still run.
const FOLLOWED: &[Followed] = &[
    tekton("PipelineRun", "pipelineruns", "CancelledRunFinally"),
    tekton("TaskRun", "taskruns", "TaskRunCancelled"),
    tekton("CustomRun", "customruns", "RunCancelled"),
    Followed { group: "batch", kind: "Job", plural: "jobs", cancel: None },
    Followed { group: "", kind: "Pod", plural: "pods", cancel: None },
];

const fn tekton(kind: &'static str, plural: &'static str, cancel: &'static str) -> Followed {
    Followed { group: "tekton.dev", kind, plural, cancel: Some(cancel) }
}

/// What is known about a kind's end; `None` if nothing is.
pub(crate) fn followed(api_version: &str, kind: &str) -> Option<&'static Followed> {
    FOLLOWED.iter().find(|known| known.kind == kind && known.group == object::group(api_version))
}

/// The commit of A that a run was made for, as its label has it. `None` for an object without Sentry's marks, and for one that a controller
/// made: Tekton gives the labels of a run to all it makes for it.
pub(crate) fn commit(object: &Value) -> Option<&str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let controlled = owners.into_iter().any(|owner| owner["controller"] == true);
    let key = object["metadata"]["annotations"][KEY_ANNOTATION].as_str();
    let label = object["metadata"]["labels"][COMMIT_LABEL].as_str();
    label.filter(|_| !controlled && key.is_some())
}

/// A run's state; `None` for what has no name. The kind is given, for lists of built-in kinds leave it out.
pub(crate) fn status(
    api_version: &str,
    kind: &str,
    object: &Value,
    redactor: &Redactor,
) -> Option<RunStatus> {
    let name = object["metadata"]["name"].as_str()?.to_owned();
    let stand = match followed(api_version, kind) {
        None => Stand::new(RunState::Unfollowed),
        Some(Followed { kind: "Job", .. }) => job(object),
        Some(Followed { kind: "Pod", .. }) => pod(object),
        Some(_) => tekton_run(object),
    };
    let ended = stand.state.is_final();
    let time = |text: Option<&str>| text.and_then(|text| text.parse::<Timestamp>().ok());
    let unhappy = matches!(stand.state, RunState::Failed | RunState::Cancelled);
    // Redacted before it is cut: half a secret is known to no redactor.
    let clean = |text: &str, chars| printable(&redactor.redact(text), chars);
    Some(RunStatus {
        kind: kind.to_owned(),
        name,
        state: stand.state,
        reason: stand.reason.map(|reason| clean(reason, 100)).filter(|r| !r.is_empty()),
        message: stand.message.filter(|_| unhappy).map(|text| clean(text, MESSAGE)),
        failure: unhappy
            .then(|| classes::of_run(object, kind, stand.reason.unwrap_or_default(), &[])),
        started: time(object["status"]["startTime"].as_str()),
        completed: time(stand.completed.filter(|_| ended)),
        tasks: if kind == "PipelineRun" {
            tasks::of_run(object, &[], redactor)
        } else {
            Vec::new()
        },
    })
}

/// What an object says, in its own words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand<'a> {
    pub(crate) state: RunState,
    pub(crate) reason: Option<&'a str>,
    message: Option<&'a str>,
    pub(crate) completed: Option<&'a str>,
}

impl<'a> Stand<'a> {
    fn new(state: RunState) -> Self {
        Self { state, reason: None, message: None, completed: None }
    }

    /// With a condition's reason, message and time.
    fn of(state: RunState, condition: &'a Value, completed: &'a Value) -> Self {
        let time = completed.as_str().or(condition["lastTransitionTime"].as_str());
        Self {
            state,
            reason: condition["reason"].as_str(),
            message: condition["message"].as_str(),
            completed: time,
        }
    }
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The condition `Succeeded`: unknown or missing while the run is active. While it is being cancelled the condition is
/// unknown as well; afterwards its reason distinguishes a cancelled run from one that failed anyway.
pub(crate) fn tekton_run(object: &Value) -> Stand<'_> {
    let Some(condition) = condition(object, "Succeeded") else {
        return Stand::new(RunState::Running);
    };
    let cancelled = matches!(
        condition["reason"].as_str(),
        Some("Cancelled" | "TaskRunCancelled" | "CustomRunCancelled" | "PipelineRunCancelled")
    );
    let state = match condition["status"].as_str() {
        Some("True") => RunState::Succeeded,
        Some("False") if cancelled => RunState::Cancelled,
        Some("False") => RunState::Failed,
        _ => RunState::Running,
    };
    Stand::of(state, condition, &object["status"]["completionTime"])
}

fn job(object: &Value) -> Stand<'_> {
    let holds = |kind| condition(object, kind).filter(|condition| condition["status"] == "True");
    let done = &object["status"]["completionTime"];
    match (holds("Complete"), holds("Failed")) {
        (Some(condition), _) => Stand::of(RunState::Succeeded, condition, done),
        (None, Some(condition)) => Stand::of(RunState::Failed, condition, done),
        (None, None) => Stand::new(RunState::Running),
    }
}

fn pod(object: &Value) -> Stand<'_> {
    let containers = || object["status"]["containerStatuses"].as_array().into_iter().flatten();
    let ended = || containers().map(|container| &container["state"]["terminated"]);
    let failed = ended().find(|end| end["exitCode"].as_i64().is_some_and(|code| code != 0));
    let phase = object["status"]["phase"].as_str();
    let state = match phase {
        Some("Succeeded") => RunState::Succeeded,
        Some("Failed") => RunState::Failed,
        _ => RunState::Running,
    };
    let why = failed.and_then(|end| end["reason"].as_str());
    Stand {
        state,
        reason: object["status"]["reason"].as_str().or(why).or(phase),
        message: object["status"]["message"]
            .as_str()
            .or(failed.and_then(|e| e["message"].as_str())),
        // The stamps have one form, so that the last one in time is the greatest.
        completed: ended().filter_map(|end| end["finishedAt"].as_str()).max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tekton(kind: &str, status: &str, reason: &str) -> Value {
        json!({
            "kind": kind, "metadata": {"name": "r"},
            "status": {
                "completionTime": "2026-01-02T03:04:05Z",
                "conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": "why"}],
            },
        })
    }

    #[test]
    fn each_condition_of_a_tekton_run_has_its_state() {
        use RunState::{Cancelled, Failed, Running, Succeeded};
        for (kind, condition, reason, state) in [
            ("PipelineRun", "True", "Succeeded", Succeeded),
            ("PipelineRun", "True", "Completed", Succeeded),
            ("PipelineRun", "Unknown", "Started", Running),
            ("PipelineRun", "Unknown", "Running", Running),
            ("PipelineRun", "Unknown", "PipelineRunPending", Running),
            ("PipelineRun", "Unknown", "PipelineRunStopping", Running),
            ("PipelineRun", "Unknown", "Cancelled", Running),
            ("PipelineRun", "Unknown", "CancelledRunningFinally", Running),
            ("PipelineRun", "Unknown", "StoppedRunningFinally", Running),
            ("PipelineRun", "False", "Failed", Failed),
            ("PipelineRun", "False", "PipelineRunTimeout", Failed),
            ("PipelineRun", "False", "CouldntGetPipeline", Failed),
            ("PipelineRun", "False", "CouldntGetTask", Failed),
            ("PipelineRun", "False", "PipelineValidationFailed", Failed),
            ("PipelineRun", "False", "ParameterMissing", Failed),
            ("PipelineRun", "False", "CreateRunFailed", Failed),
            ("PipelineRun", "False", "SomethingNew", Failed),
            ("PipelineRun", "False", "Cancelled", Cancelled),
            ("PipelineRun", "False", "PipelineRunCancelled", Cancelled),
            ("TaskRun", "True", "Succeeded", Succeeded),
            ("TaskRun", "Unknown", "Pending", Running),
            ("TaskRun", "Unknown", "ToBeRetried", Running),
            ("TaskRun", "Unknown", "ResolvingTaskRef", Running),
            ("TaskRun", "False", "Failed", Failed),
            ("TaskRun", "False", "TaskRunTimeout", Failed),
            ("TaskRun", "False", "TaskRunImagePullFailed", Failed),
            ("TaskRun", "False", "TaskRunCancelled", Cancelled),
            ("CustomRun", "True", "Succeeded", Succeeded),
            ("CustomRun", "False", "CustomRunTimedOut", Failed),
            ("CustomRun", "False", "CustomRunCancelled", Cancelled),
        ] {
            let run = tekton(kind, condition, reason);
            let stands = status("tekton.dev/v1", kind, &run, &Redactor::new()).unwrap();
            assert_eq!(stands.state, state, "{kind} {condition} {reason}");
            assert_eq!(stands.reason.as_deref(), Some(reason));
            assert_eq!(stands.completed.is_some(), state.is_final(), "{kind} {reason}");
            let unhappy = matches!(state, Failed | Cancelled);
            assert_eq!(stands.message.is_some(), unhappy, "{kind} {reason}");
        }
        let fresh = json!({"kind": "PipelineRun", "metadata": {"name": "r"}, "spec": {}});
        let fresh = status("tekton.dev/v1", "PipelineRun", &fresh, &Redactor::new()).unwrap();
        assert_eq!(fresh.state, Running);
    }

    #[test]
    fn jobs_and_pods_end_by_their_own_words_and_other_kinds_are_not_followed() {
        use RunState::{Failed, Running, Succeeded, Unfollowed};
        let job = |conditions: Value| json!({"kind": "Job", "metadata": {"name": "j"}, "status": {"conditions": conditions}});
        let pod =
            |status: Value| json!({"kind": "Pod", "metadata": {"name": "p"}, "status": status});
        let ended = json!([{"state": {"terminated":
            {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-02T03:04:05Z"}}}]);
        let complete = json!([{"type": "Complete", "status": "True"}]);
        let failed = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
            "lastTransitionTime": "2026-01-02T03:04:05Z"}]);
        let interim = json!([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "False"}]);
        for (version, object, state, reason) in [
            ("batch/v1", job(complete), Succeeded, None),
            ("batch/v1", job(failed), Failed, Some("BackoffLimitExceeded")),
            ("batch/v1", job(interim), Running, None),
            ("v1", pod(json!({"phase": "Pending"})), Running, Some("Pending")),
            ("v1", pod(json!({"phase": "Succeeded"})), Succeeded, Some("Succeeded")),
            ("v1", pod(json!({"phase": "Failed", "reason": "Evicted"})), Failed, Some("Evicted")),
            (
                "v1",
                pod(json!({"phase": "Failed", "containerStatuses": ended})),
                Failed,
                Some("OOMKilled"),
            ),
            ("example.org/v1", tekton("TaskRun", "True", "Succeeded"), Unfollowed, None),
            ("v1", json!({"kind": "ConfigMap", "metadata": {"name": "c"}}), Unfollowed, None),
        ] {
            let kind = object["kind"].as_str().unwrap();
            let stands = status(version, kind, &object, &Redactor::new()).unwrap();
            assert_eq!((stands.state, stands.reason.as_deref()), (state, reason), "{object}");
        }
    }

    #[test]
    fn only_objects_with_sentrys_marks_that_no_controller_made_are_runs() {
        let marked = json!({"metadata": {
            "labels": {COMMIT_LABEL: "d"}, "annotations": {KEY_ANNOTATION: "k"},
        }});
        assert_eq!(commit(&marked), Some("d"));
        let mut made = marked.clone();
        made["metadata"]["ownerReferences"] = json!([{"kind": "PipelineRun", "controller": true}]);
        assert_eq!(commit(&made), None);
        let mut named = marked;
        named["metadata"]["annotations"] = json!({});
        assert_eq!(commit(&named), None);
    }
}
