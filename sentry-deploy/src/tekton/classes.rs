//! What kind of failure a run's end was. Pure.
//!
//! Reasons of Tekton's runs are those of `pkg/apis/pipeline/v1` and `pkg/pod/status.go` of tektoncd/pipeline at v1.15; a
//! Job's are in `pkg/controller/job` and `batch/v1`, a Pod's in `pkg/kubelet` of kubernetes/kubernetes at v1.34.

use sentry_core::delivery::FailureClass;
use serde_json::Value;

use super::ends;

/// The class of a run that failed or was cancelled, from its object, its reason and its task runs that were read.
pub(crate) fn of_run(
    object: &Value,
    kind: &str,
    reason: &str,
    task_runs: &[Value],
) -> FailureClass {
    match kind {
        "TaskRun" => of_task_run(object),
        "PipelineRun" if reason == "Failed" => match ends::first_failed(task_runs) {
            Some(first) => of_task_run(first),
            // Tekton stops tasks when the limit for all of them passes, and calls the run failed.
            None if task_runs.iter().any(ends::is_out_of_time) => FailureClass::Timeout,
            None => FailureClass::Other,
        },
        "Pod" | "Job" => by_reason(reason).unwrap_or(FailureClass::Step),
        _ => by_reason(reason).unwrap_or(FailureClass::Other),
    }
}

fn of_task_run(run: &Value) -> FailureClass {
    let by_step = || {
        let step = ends::failed_step(run)?;
        let words = [&step["terminationReason"], &step["terminated"]["reason"]];
        let mut known = words.into_iter().filter_map(|word| by_reason(word.as_str()?));
        Some(known.next().unwrap_or(FailureClass::Step))
    };
    by_reason(ends::reason(run)).or_else(by_step).unwrap_or(FailureClass::Other)
}

/// The class that a reason tells by itself; `None` for what is about a step, and for a reason that is not known.
fn by_reason(reason: &str) -> Option<FailureClass> {
    Some(match reason {
        "Cancelled" | "PipelineRunCancelled" | "TaskRunCancelled" | "CustomRunCancelled" => {
            FailureClass::Cancelled
        }
        "PipelineRunTimeout" | "TaskRunTimeout" | "CustomRunTimedOut" | "TimeoutExceeded"
        | "DeadlineExceeded" => FailureClass::Timeout,
        // Of the pipeline run itself: what it refers to, and what it was given.
        "CELEvaluationFailed" | "CouldntGetPipeline" | "CouldntGetTask" | "CreateRunFailed"
        | "InvalidMatrixParameterTypes" | "InvalidParamValue" | "InvalidPipelineResourceBindings"
        | "InvalidPipelineResultReference" | "InvalidTaskResultReference" | "InvalidTaskRunSpecs"
        | "InvalidWorkspaceBindings" | "ObjectParameterMissKeys" | "ParamArrayIndexingInvalid"
        | "ParameterMissing" | "ParameterTypeMismatch" | "PipelineInvalidGraph"
        | "PipelineValidationFailed" | "RequiredWorkspaceMarkedOptional"
        | "ResourceVerificationFailed"
        // Of a task run.
        | "TaskRunResolutionFailed" | "TaskRunValidationFailed" | "TaskValidationFailed"
        | "TaskRunImagePullFailed" | "CreateContainerConfigError" | "ExceededNodeResources"
        | "ExceededResourceQuota" | "PodAdmissionFailed" | "PodCreationFailed"
        // Of a container: the runtime could not start its program.
        | "ContainerCannotRun" | "StartError" => FailureClass::NotStarted,
        "InitContainerOOM" | "OOMKilled" | "PodEvicted" | "SidecarOOM" | "StepOOM"
        // Of a pod: it lost its node, or never got one's resources.
        | "Evicted" | "NodeAffinity" | "NodeLost" | "NodeShutdown" | "Preempting" | "Shutdown"
        | "Terminated" | "UnexpectedAdmissionError" => FailureClass::Infrastructure,
        _ if reason.starts_with("OutOf") => FailureClass::Infrastructure,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(reason: &str, steps: &Value) -> Value {
        json!({"status": {"steps": steps, "conditions": [
            {"type": "Succeeded", "status": "False", "reason": reason},
        ]}})
    }

    fn step(code: i64, reason: &str, word: &str) -> Value {
        json!([{"name": "test", "terminationReason": word,
            "terminated": {"exitCode": code, "reason": reason}}])
    }

    #[test]
    fn a_task_run_is_classed_by_its_reason_and_else_by_the_step_that_failed() {
        use FailureClass::{Cancelled, Infrastructure, NotStarted, Other, Step, Timeout};
        for (reason, steps, class) in [
            ("Failed", step(1, "Error", "Error"), Step),
            ("StepFailed", step(1, "Error", ""), Step),
            ("FailureIgnored", step(2, "Error", ""), Step),
            ("Failed", step(137, "OOMKilled", "OOMKilled"), Infrastructure),
            ("Failed", step(1, "Error", "TimeoutExceeded"), Timeout),
            ("Failed", step(128, "StartError", "StartError"), NotStarted),
            ("TaskRunTimeout", step(1, "TaskRunTimeout", "TaskRunTimeout"), Timeout),
            ("TaskRunCancelled", json!([]), Cancelled),
            ("TaskRunImagePullFailed", json!([]), NotStarted),
            ("ExceededResourceQuota", json!([]), NotStarted),
            ("PodEvicted", step(137, "Error", "Error"), Infrastructure),
            ("SidecarFailed", json!([]), Other),
        ] {
            let run = run(reason, &steps);
            assert_eq!(of_run(&run, "TaskRun", reason, &[]), class, "{run}");
            let whole = of_run(&json!({}), "PipelineRun", "Failed", std::slice::from_ref(&run));
            // A task that was stopped, or whose failure is ignored, explains nothing of its pipeline.
            let explains = !["TaskRunCancelled", "FailureIgnored"].contains(&reason);
            assert_eq!(whole, if explains { class } else { Other }, "{run}");
        }
    }

    #[test]
    fn other_runs_are_classed_by_their_own_reason() {
        use FailureClass::{Cancelled, Infrastructure, NotStarted, Other, Step, Timeout};
        for (kind, reason, class) in [
            ("PipelineRun", "PipelineRunTimeout", Timeout),
            ("PipelineRun", "Cancelled", Cancelled),
            ("PipelineRun", "CouldntGetPipeline", NotStarted),
            ("PipelineRun", "ParameterMissing", NotStarted),
            ("PipelineRun", "Failed", Other),
            ("PipelineRun", "SomethingNew", Other),
            ("CustomRun", "CustomRunTimedOut", Timeout),
            ("CustomRun", "CustomRunCancelled", Cancelled),
            ("CustomRun", "ItsOwnWord", Other),
            ("Job", "BackoffLimitExceeded", Step),
            ("Job", "DeadlineExceeded", Timeout),
            ("Pod", "Error", Step),
            ("Pod", "Evicted", Infrastructure),
            ("Pod", "OutOfcpu", Infrastructure),
            ("Pod", "OOMKilled", Infrastructure),
        ] {
            assert_eq!(of_run(&json!({}), kind, reason, &[]), class, "{kind} {reason}");
        }
    }

    #[test]
    fn a_pipeline_whose_tasks_were_stopped_at_their_limit_timed_out() {
        let mut stopped = run("TaskRunCancelled", &json!([]));
        stopped["spec"]["statusMessage"] =
            json!("TaskRun cancelled as the PipelineRun it belongs to has timed out.");
        let class = of_run(&json!({}), "PipelineRun", "Failed", &[stopped]);
        assert_eq!(class, FailureClass::Timeout);
    }
}
