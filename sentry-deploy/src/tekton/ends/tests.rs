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

/// Each run has its sentence, and the log of the step that failed by itself.
fn judge(rows: &[(Value, &str)]) {
    for (run, want) in rows {
        let end = failed_task(std::slice::from_ref(run)).unwrap();
        assert_eq!(end.text, *want, "{run:#}");
        let by_itself = want.contains("exit code")
            || want.contains("step test: timed out after 2s")
            || *want == "task unit, step test: timed out";
        let log = by_itself.then(|| ("unit-pod".to_owned(), "step-test".to_owned()));
        assert_eq!(end.log, log, "{want}");
    }
}

fn build() -> Value {
    step("build", 0, "Completed", "Completed")
}

#[test]
fn a_step_that_failed_is_named_with_its_exit_code() {
    let failed = || step("test", 2, "Error", "Error");
    let around = json!([
        step("lint", 3, "Error", "Continued"),
        failed(),
        step("after", 1, "Error", "Skipped")
    ]);
    let again = with(
        task("Failed", "m", json!([step("test", 4, "Error", "Error")])),
        &["status", "retriesStatus"],
        json!([{}, {}]),
    );
    let told = "task unit, step test: exit code 2";
    judge(&[
        (task("Failed", "m", json!([build(), failed()])), told),
        (task("StepFailed", "m", json!([build(), failed()])), told),
        (task("Failed", "m", around), told),
        (again, "task unit, step test: exit code 4, on the last of 3 attempts"),
        // Nothing else is there to be told.
        (task("Failed", "m", json!([step("test", 2, "Error", "Continued")])), told),
    ]);
    for (code, word) in [(128, "StartError"), (127, "ContainerCannotRun")] {
        let run = task("Failed", "m", json!([step("test", code, word, word)]));
        judge(&[(run, &format!("task unit, step test: exit code {code} ({word})"))]);
    }
}

#[test]
fn a_step_without_memory_says_so() {
    let killed = || step("test", 137, "OOMKilled", "OOMKilled");
    let told = "task unit, step test: out of memory, exit code 137 (OOMKilled)";
    judge(&[
        (task("Failed", "m", json!([killed()])), told),
        (task("StepOOM", "m", json!([step("wait", 1, "Error", "Error"), killed()])), told),
    ]);
}

#[test]
fn what_ran_out_of_time_names_task_step_and_limit() {
    let timeout = r#"TaskRun "r" failed to finish within "5s""#;
    let limited = with(
        task("Failed", "m", json!([step("test", 1, "Error", "TimeoutExceeded")])),
        &["status", "taskSpec"],
        json!({"steps": [{"name": "test", "timeout": "2s"}]}),
    );
    let unlimited = task("Failed", "m", json!([step("test", 1, "TimeoutExceeded", "Error")]));
    let waiting =
        with(task("TaskRunTimeout", "m", json!([])), &["spec", "timeout"], json!("1h0m0s"));
    let ended = |name| stopped(name, "TaskRunTimeout");
    let at_work = json!([build(), ended("test"), ended("after")]);
    judge(&[
        (limited, "task unit, step test: timed out after 2s"),
        (unlimited, "task unit, step test: timed out"),
        (task("TaskRunTimeout", timeout, at_work), "task unit, step test: timed out after 5s"),
        (task("TaskRunTimeout", timeout, json!([])), "task unit: timed out after 5s"),
        (waiting, "task unit: timed out after 1h0m0s"),
        (object("TaskRun", "TaskRunTimeout", timeout), "timed out after 5s"),
    ]);
}

#[test]
fn an_image_that_can_not_be_pulled_and_an_evicted_pod_are_told() {
    let pull = r#"The step "test" in TaskRun "r" failed to pull the image "no.example/x". The pod errored with the message: "not found.""#;
    let ended = |name| stopped(name, "TaskRunImagePullFailed");
    let unpulled = task("TaskRunImagePullFailed", pull, json!([ended("build"), ended("test")]));
    let low = "The node was low on resource: memory.";
    let evicted = task("PodEvicted", low, json!([step("test", 137, "Error", "Error")]));
    judge(&[
        (unpulled, &format!("task unit, step test: its image can't be pulled: {pull}")),
        (evicted, &format!("task unit: its pod was evicted: {low}")),
    ]);
}

#[test]
fn an_end_that_no_step_made_is_told_in_tektons_words() {
    let failed = || json!([step("test", 1, "Error", "Error")]);
    let unmounted = json!([stopped("test", "CreateContainerConfigError")]);
    let rows = [
        ("PodCreationFailed", "exceeded quota: q", json!([])),
        ("CreateContainerConfigError", "secret \"s\" not found", unmounted),
        ("PodAdmissionFailed", "denied", json!([])),
        ("SidecarOOM", "\"sidecar-db\" exited because of OOMKilled", failed()),
        ("SidecarFailed", "\"sidecar-db\" exited with code 1", failed()),
        ("InitContainerFailed", "init container failed", json!([])),
        ("InitContainerOOM", "init container failed", json!([])),
        ("TaskRunStopSidecarFailed", "m", json!([build()])),
        ("TaskRunResultLargerThanAllowedLimit", "m", json!([build()])),
        ("TaskRunValidationFailed", "m", json!([])),
        ("TaskValidationFailed", "m", json!([])),
        ("TaskRunResolutionFailed", "m", json!([])),
        ("ResourceVerificationFailed", "m", json!([])),
        ("InvalidParamValue", "m", json!([])),
        ("SomethingNew", "m", json!([])),
    ];
    for (reason, message, steps) in rows {
        judge(&[(task(reason, message, steps), &format!("task unit: {reason}: {message}"))]);
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
    assert_eq!(text(&run, &[]), "the pipeline timed out after 10s, before any task started");
    for (children, at) in
        [(json!([]), ", before any task started"), (json!([{"name": "r-unit"}]), "")]
    {
        let run = with(run.clone(), &["status", "childReferences"], children);
        assert_eq!(text(&run, &[]), format!("the pipeline timed out after 10s{at}"));
    }
    // Neither what failed by itself nor what was cancelled for another reason ran out of the pipeline's time.
    let done = with(cut("TaskRunCancelled"), &["status", "conditions"], json!([]));
    let cancelled = with(cut("TaskRunCancelled"), &["spec", "statusMessage"], json!("by somebody"));
    for other in [done, cut("Failed"), cancelled] {
        assert_eq!(text(&run, &[other]), "the pipeline timed out after 10s");
    }
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
        "task unit, step test: stopped when the time limit for the pipeline's tasks passed"
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
    let failed = object("TaskRun", "Failed", "m");
    assert_eq!(cancelled(&run, &[failed, one]).unwrap().text, "task unit was cancelled");
    assert_eq!(cancelled(&run, &[]), None);
}
