//! Every way in which a run of Tekton ends, as its controller writes it, and the sentence that it gets.

use serde_json::{Value, json};

use super::*;

fn object(kind: &str, reason: &str, message: &str) -> Value {
    json!({
        "kind": kind, "metadata": {"name": "r", "labels": {}}, "spec": {},
        "status": {"conditions": [
            {"type": "Succeeded", "status": "False", "reason": reason, "message": message},
        ]},
    })
}

/// A pipeline's task run called `unit`, with a pod and these steps.
fn task(reason: &str, message: &str, steps: Value) -> Value {
    let mut run = object("TaskRun", reason, message);
    run["metadata"]["labels"]["tekton.dev/pipelineTask"] = json!("unit");
    run["status"]["podName"] = json!("unit-pod");
    run["status"]["steps"] = steps;
    run
}

/// A step that ended with this exit code: its word in the container's state, and Tekton's own.
fn step(name: &str, code: i64, reason: &str, word: &str) -> Value {
    json!({
        "name": name, "container": format!("step-{name}"), "terminationReason": word,
        "terminated": {"exitCode": code, "reason": reason},
    })
}

/// A step that the controller ended with its task run.
fn stopped(name: &str, reason: &str) -> Value {
    step(name, 1, reason, reason)
}

fn with(mut run: Value, pointer: &[&str], value: Value) -> Value {
    let mut at = &mut run;
    for key in pointer {
        at = &mut at[*key];
    }
    *at = value;
    run
}

#[test]
fn every_end_of_a_task_run_names_task_step_and_cause() {
    let build = || step("build", 0, "Completed", "Completed");
    let timeout = r#"TaskRun "r" failed to finish within "5s""#;
    let pull = r#"The step "test" in TaskRun "r" failed to pull the image "no.example/x". The pod errored with the message: "not found.""#;
    let limited = with(
        task("Failed", "m", json!([step("test", 1, "Error", "TimeoutExceeded")])),
        &["status", "taskSpec"],
        json!({"steps": [{"name": "test", "timeout": "2s"}]}),
    );
    let again = with(
        task("Failed", "m", json!([step("test", 4, "Error", "Error")])),
        &["status", "retriesStatus"],
        json!([{}, {}]),
    );
    let waiting =
        with(task("TaskRunTimeout", "m", json!([])), &["spec", "timeout"], json!("1h0m0s"));
    let rows = [
        (
            task("Failed", "m", json!([build(), step("test", 2, "Error", "Error")])),
            "task unit, step test: exit code 2",
        ),
        (
            task("StepFailed", "m", json!([build(), step("test", 2, "Error", "Error")])),
            "task unit, step test: exit code 2",
        ),
        (
            task(
                "Failed",
                "m",
                json!([
                    step("lint", 3, "Error", "Continued"),
                    step("test", 2, "Error", "Error"),
                    step("after", 1, "Error", "Skipped")
                ]),
            ),
            "task unit, step test: exit code 2",
        ),
        (again, "task unit, step test: exit code 4, at the last of 3 attempts"),
        (
            task("Failed", "m", json!([step("test", 137, "OOMKilled", "OOMKilled")])),
            "task unit, step test: out of memory, exit code 137 (OOMKilled)",
        ),
        (
            task(
                "StepOOM",
                "m",
                json!([
                    step("wait", 1, "Error", "Error"),
                    step("test", 137, "OOMKilled", "OOMKilled")
                ]),
            ),
            "task unit, step test: out of memory, exit code 137 (OOMKilled)",
        ),
        (
            task("Failed", "m", json!([step("test", 128, "StartError", "StartError")])),
            "task unit, step test: exit code 128 (StartError)",
        ),
        (
            task(
                "Failed",
                "m",
                json!([step("test", 127, "ContainerCannotRun", "ContainerCannotRun")]),
            ),
            "task unit, step test: exit code 127 (ContainerCannotRun)",
        ),
        (limited, "task unit, step test: timed out after 2s"),
        (
            task("Failed", "m", json!([step("test", 1, "TimeoutExceeded", "Error")])),
            "task unit, step test: timed out",
        ),
        (
            task(
                "TaskRunTimeout",
                timeout,
                json!([
                    build(),
                    stopped("test", "TaskRunTimeout"),
                    stopped("after", "TaskRunTimeout")
                ]),
            ),
            "task unit, step test: timed out after 5s",
        ),
        (task("TaskRunTimeout", timeout, json!([])), "task unit: timed out after 5s"),
        (waiting, "task unit: timed out after 1h0m0s"),
        (
            task(
                "TaskRunImagePullFailed",
                pull,
                json!([
                    stopped("build", "TaskRunImagePullFailed"),
                    stopped("test", "TaskRunImagePullFailed")
                ]),
            ),
            &format!("task unit, step test: its image can't be pulled: {pull}"),
        ),
        (
            task(
                "PodEvicted",
                "The node was low on resource: memory.",
                json!([step("test", 137, "Error", "Error")]),
            ),
            "task unit: its pod was evicted: The node was low on resource: memory.",
        ),
        (
            task("PodCreationFailed", "exceeded quota: q", json!([])),
            "task unit: PodCreationFailed: exceeded quota: q",
        ),
        (
            task(
                "CreateContainerConfigError",
                "secret \"s\" not found",
                json!([stopped("test", "CreateContainerConfigError")]),
            ),
            "task unit: CreateContainerConfigError: secret \"s\" not found",
        ),
        (task("PodAdmissionFailed", "denied", json!([])), "task unit: PodAdmissionFailed: denied"),
        (
            task(
                "SidecarOOM",
                "\"sidecar-db\" exited because of OOMKilled",
                json!([step("test", 1, "Error", "Error")]),
            ),
            "task unit: SidecarOOM: \"sidecar-db\" exited because of OOMKilled",
        ),
        (
            task(
                "SidecarFailed",
                "\"sidecar-db\" exited with code 1",
                json!([step("test", 1, "Error", "Error")]),
            ),
            "task unit: SidecarFailed: \"sidecar-db\" exited with code 1",
        ),
        (
            task("InitContainerFailed", "init container failed", json!([])),
            "task unit: InitContainerFailed: init container failed",
        ),
        (
            task("InitContainerOOM", "init container failed", json!([])),
            "task unit: InitContainerOOM: init container failed",
        ),
        (
            task("TaskRunStopSidecarFailed", "m", json!([build()])),
            "task unit: TaskRunStopSidecarFailed: m",
        ),
        (
            task("TaskRunResultLargerThanAllowedLimit", "m", json!([build()])),
            "task unit: TaskRunResultLargerThanAllowedLimit: m",
        ),
        (task("TaskRunValidationFailed", "m", json!([])), "task unit: TaskRunValidationFailed: m"),
        (task("TaskValidationFailed", "m", json!([])), "task unit: TaskValidationFailed: m"),
        (task("TaskRunResolutionFailed", "m", json!([])), "task unit: TaskRunResolutionFailed: m"),
        (
            task("ResourceVerificationFailed", "m", json!([])),
            "task unit: ResourceVerificationFailed: m",
        ),
        (task("InvalidParamValue", "m", json!([])), "task unit: InvalidParamValue: m"),
        (task("SomethingNew", "m", json!([])), "task unit: SomethingNew: m"),
        (object("TaskRun", "TaskRunTimeout", timeout), "timed out after 5s"),
    ];
    for (run, want) in &rows {
        let end = failed_task(std::slice::from_ref(run)).unwrap();
        assert_eq!(end.text, *want, "{run:#}");
        let by_itself = want.contains("exit code")
            || want.contains("step test: timed out after 2s")
            || *want == "task unit, step test: timed out";
        assert_eq!(
            end.log,
            by_itself.then(|| ("unit-pod".to_owned(), "step-test".to_owned())),
            "{want}"
        );
    }
    for silent in ["TaskRunCancelled", "FailureIgnored"] {
        assert_eq!(failed_task(&[task(silent, "m", json!([stopped("test", silent)]))]), None);
    }
}

#[test]
fn a_pipeline_that_ran_out_of_time_names_the_tasks_that_were_at_work() {
    let message = r#"PipelineRun "r" failed to finish within "10s""#;
    let run = object("PipelineRun", "PipelineRunTimeout", message);
    let told = "TaskRun cancelled as the PipelineRun it belongs to has timed out.";
    let cut = |reason: &str| {
        let steps = json!([step("a", 0, "Completed", ""), stopped("test", reason)]);
        with(task(reason, "m", steps), &["spec", "statusMessage"], json!(told))
    };
    let done = with(task("", "", json!([])), &["status", "conditions"], json!([]));
    let text = |run: &Value, made: &[Value]| failed_pipeline(run, made).unwrap().text;
    let one = text(&run, &[done.clone(), cut("TaskRunCancelled")]);
    assert_eq!(one, "the pipeline timed out after 10s, in task unit, step test");
    let mut other = cut("TaskRunCancelled");
    other["metadata"]["labels"]["tekton.dev/pipelineTask"] = json!("e2e");
    let two = text(&run, &[cut("TaskRunCancelled"), other]);
    assert_eq!(
        two,
        "the pipeline timed out after 10s, in task unit, step test and in task e2e, step test"
    );
    assert_eq!(text(&run, &[done]), "the pipeline timed out after 10s");
    assert_eq!(text(&run, &[]), "the pipeline timed out after 10s, before any task began");
    let tasks = r#"PipelineRun "r" failed due to tasks failed to finish within "3s""#;
    let tasks = object("PipelineRun", "PipelineRunTimeout", tasks);
    assert_eq!(
        text(&tasks, &[cut("TaskRunCancelled")]),
        "the pipeline timed out after 3s, in task unit, step test"
    );
    // With `finally` the pipeline run fails for what its tasks were cancelled for.
    let failed =
        object("PipelineRun", "Failed", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 1");
    assert_eq!(
        text(&failed, &[cut("TaskRunCancelled")]),
        "task unit, step test: stopped when the time of the pipeline's tasks was over"
    );
    for own in [
        "CouldntGetPipeline",
        "CouldntGetTask",
        "PipelineValidationFailed",
        "ParameterMissing",
        "CreateRunFailed",
        "InvalidTaskResultReference",
        "CELEvaluationFailed",
    ] {
        assert_eq!(
            failed_pipeline(&object("PipelineRun", own, "m"), &[]),
            None,
            "its condition says it"
        );
    }
}

#[test]
fn of_several_tasks_the_first_that_failed_is_told_with_their_number() {
    let at = |run: Value, time: &str| with(run, &["status", "completionTime"], json!(time));
    let unit = at(task("Failed", "m", json!([step("test", 2, "Error", "Error")])), "2");
    let mut late = at(task("TaskRunTimeout", r#"within "5s""#, json!([])), "1");
    late["metadata"]["labels"]["tekton.dev/pipelineTask"] = json!("late");
    let several = failed_task(&[unit, late]).unwrap();
    assert_eq!(several.text, "task late: timed out after 5s (2 tasks failed)");
}

#[test]
fn who_cancelled_a_run_is_told_where_the_server_recorded_it() {
    let cancel = |word: &str, managers: Value| {
        let run = with(object("PipelineRun", "Cancelled", "m"), &["spec", "status"], json!(word));
        let run = with(run, &["metadata", "managedFields"], managers);
        cancelled(&run, &[]).unwrap().text
    };
    let managers = json!([
        {"manager": "controller", "fieldsV1": {"f:status": {}}},
        {"manager": "tkn", "fieldsV1": {"f:spec": {"f:status": {}}}},
    ]);
    for word in ["Cancelled", "CancelledRunFinally", "StoppedRunFinally", "PipelineRunCancelled"] {
        assert_eq!(
            cancel(word, managers.clone()),
            format!("cancelled by tkn (spec.status: {word})")
        );
    }
    assert_eq!(cancel("Cancelled", json!([])), "cancelled (spec.status: Cancelled)");
    let run = object("PipelineRun", "Cancelled", "m");
    let one = task("TaskRunCancelled", "m", json!([stopped("test", "TaskRunCancelled")]));
    assert_eq!(cancelled(&run, &[one]).unwrap().text, "task unit was cancelled");
    assert_eq!(cancelled(&run, &[]), None);
}
