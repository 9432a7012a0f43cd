//! What Tekton's controller does to runs: how they end, on a test's word or when they are cancelled.

use serde_json::{Value, json};

use sentry_core::clock::{Clock as _, SystemClock};

use super::state::{Place, State, text};

/// The field manager of what no request made.
pub(super) const CONTROLLER: &str = "tekton";

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Every task succeeded.
    Succeeded,
    /// A step of a task failed; the log is what it wrote.
    Failed {
        /// The task's name in the pipeline; of no account for a `TaskRun`.
        task: &'a str,
        /// The step's name.
        step: &'a str,
        /// Its exit code.
        exit_code: i32,
        /// Its log.
        log: &'a str,
    },
    /// It ran out of time.
    TimedOut,
    /// Somebody stopped it.
    Cancelled,
}

/// True for a run that nothing else made and that did not end.
pub(super) fn is_active(object: &Value) -> bool {
    let run = ["PipelineRun", "TaskRun", "CustomRun"].iter().any(|kind| object["kind"] == *kind);
    run && object["metadata"]["ownerReferences"].is_null() && !is_done(object)
}

pub(super) fn is_done(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Succeeded" && c["status"] != "Unknown")
}

/// True if somebody asked for the run's end.
pub(super) fn is_cancelled(object: &Value) -> bool {
    let asked = text(&object["spec"]["status"]);
    !asked.is_empty() && asked != "PipelineRunPending"
}

impl State {
    /// Ends a run. False if there is none of this name that goes on.
    pub(super) fn finish_run(&mut self, name: &str, outcome: Outcome<'_>) -> bool {
        let Some(place) = self.find(|place, object| place.2 == name && is_active(object)) else {
            return false;
        };
        let Some(mut run) = self.get(&place).cloned() else { return false };
        if let Outcome::Failed { task, step, exit_code, log } = outcome {
            let status = self.failed_step(&place, &run, task, step, exit_code, log);
            if run["kind"] == "TaskRun" {
                run["status"] = status;
            } else {
                run["status"]["pipelineSpec"] = json!({"tasks": [{"name": task}]});
                run["status"]["childReferences"] = json!([
                    {"kind": "TaskRun", "name": format!("{name}-{task}"), "pipelineTaskName": task},
                ]);
            }
        }
        run["status"]["startTime"] = run["metadata"]["creationTimestamp"].clone();
        let (status, reason, message) = condition(&run, outcome);
        run["status"]["conditions"] = json!([
            {"type": "Succeeded", "status": status, "reason": reason, "message": message,
             "lastTransitionTime": now()},
        ]);
        run["status"]["completionTime"] = json!(now());
        self.replace(&place, run, false);
        true
    }

    /// The status of the task run whose step failed. A pipeline run gets one, with labels and owner as Tekton sets
    /// them.
    fn failed_step(
        &mut self,
        place: &Place,
        run: &Value,
        task: &str,
        step: &str,
        exit_code: i32,
        log: &str,
    ) -> Value {
        let pipeline = run["kind"] == "PipelineRun";
        let name = if pipeline { format!("{}-{task}", place.2) } else { place.2.clone() };
        let (pod, container) = (format!("{name}-pod"), format!("step-{step}"));
        let message = format!("\"{container}\" exited with code {exit_code}: Error");
        let status = json!({
            "podName": pod, "completionTime": now(),
            "conditions": [{"type": "Succeeded", "status": "False", "reason": "Failed", "message": message}],
            "steps": [
                {"name": "prepare", "container": "step-prepare",
                 "terminated": {"exitCode": 0, "reason": "Completed"}},
                {"name": step, "container": container,
                 "terminated": {"exitCode": exit_code, "reason": "Error", "finishedAt": now()}},
                {"name": "after", "container": "step-after", "terminationReason": "Skipped",
                 "terminated": {"exitCode": 1, "reason": "Error"}},
            ],
        });
        self.logs.insert((place.1.clone(), pod, container), log.to_owned());
        if pipeline {
            let mut labels = run["metadata"]["labels"].as_object().cloned().unwrap_or_default();
            labels.insert("tekton.dev/pipelineRun".into(), json!(place.2));
            labels.insert("tekton.dev/pipelineTask".into(), json!(task));
            let object = json!({
                "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "spec": {}, "status": status,
                "metadata": {
                    "name": name, "namespace": place.1, "labels": labels,
                    "annotations": run["metadata"]["annotations"],
                    "ownerReferences": [{
                        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": place.2,
                        "uid": run["metadata"]["uid"], "controller": true,
                    }],
                },
            });
            let at = ("taskruns.tekton.dev".to_owned(), place.1.clone(), name);
            self.create(at, object, CONTROLLER, false);
        }
        status
    }
}

fn condition(run: &Value, outcome: Outcome<'_>) -> (&'static str, String, String) {
    let (kind, name) = (text(&run["kind"]), text(&run["metadata"]["name"]));
    let own = |pipeline: &str, other: &str| {
        if kind == "PipelineRun" { pipeline.to_owned() } else { format!("{kind}{other}") }
    };
    match outcome {
        Outcome::Succeeded => ("True", "Succeeded".into(), "Tasks Completed: 1".into()),
        Outcome::Failed { .. } => {
            ("False", "Failed".into(), "Tasks Completed: 1 (Failed: 1, Cancelled 0)".into())
        }
        Outcome::TimedOut => {
            let message = format!("{kind} \"{name}\" failed to finish within \"1h0m0s\"");
            let other = if kind == "CustomRun" { "TimedOut" } else { "Timeout" };
            ("False", own("PipelineRunTimeout", other), message)
        }
        Outcome::Cancelled => {
            let message = format!("{kind} \"{name}\" was cancelled");
            ("False", own("Cancelled", "Cancelled"), message)
        }
    }
}

fn now() -> String {
    format!("{:.0}", SystemClock.now())
}
