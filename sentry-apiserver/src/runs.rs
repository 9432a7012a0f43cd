//! What Tekton's controller does to runs: how they begin and end, on somebody's word or when they are cancelled.

use serde_json::{Value, json};

use sentry_core::clock::{Clock as _, SystemClock};

use super::state::{Place, State, text};

/// The field manager of what no request made.
pub(super) const CONTROLLER: &str = "tekton";
const TASK_RUNS: &str = "taskruns.tekton.dev";

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
    /// Lets a run and its tasks begin. False if there is none of this name that goes on.
    pub(super) fn begin_run(&mut self, name: &str) -> bool {
        let Some((place, mut run)) = self.going_on(name) else { return false };
        let begun = json!({
            "startTime": now(),
            "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running",
                            "message": "Not all Tasks have completed executing"}],
        });
        let pipeline = run["spec"]["pipelineSpec"].clone();
        let tasks: Vec<String> = names(&pipeline["tasks"]).map(str::to_owned).collect();
        run["status"] = begun.clone();
        if !pipeline.is_null() {
            name_children(&mut run, pipeline, &tasks);
        }
        for task in &tasks {
            self.task_run(&place, &run, task, begun.clone());
        }
        self.replace(&place, run, false);
        true
    }

    /// Ends a run with all that it began. False if there is none of this name that goes on.
    pub(super) fn finish_run(&mut self, name: &str, outcome: Outcome<'_>) -> bool {
        let Some((place, mut run)) = self.going_on(name) else { return false };
        if let Outcome::Failed { task, step, exit_code, log } = outcome {
            let status = self.failed_step(&place, &run, step, exit_code, (task, log));
            if run["kind"] == "TaskRun" {
                run["status"] = status;
            } else {
                if run["status"]["childReferences"].is_null() {
                    name_children(&mut run, json!({"tasks": [{"name": task}]}), &[task.to_owned()]);
                }
                self.task_run(&place, &run, task, status);
            }
        }
        self.finish_tasks(&run, outcome);
        if run["status"]["startTime"].is_null() {
            run["status"]["startTime"] = run["metadata"]["creationTimestamp"].clone();
        }
        let told = condition(&run, outcome);
        end(&mut run, told);
        self.replace(&place, run, false);
        true
    }

    fn going_on(&self, name: &str) -> Option<(Place, Value)> {
        let place = self.find(|place, object| place.2 == name && is_active(object))?;
        let run = self.get(&place)?.clone();
        Some((place, run))
    }

    /// Ends what a run's tasks still do: where one failed, the others come to their own good end.
    fn finish_tasks(&mut self, run: &Value, outcome: Outcome<'_>) {
        let (namespace, references) =
            (&run["metadata"]["namespace"], &run["status"]["childReferences"]);
        for name in names(references) {
            let place = (TASK_RUNS.to_owned(), text(namespace), name.to_owned());
            let Some(mut task) = self.get(&place).filter(|task| !is_done(task)).cloned() else {
                continue;
            };
            let told = match outcome {
                Outcome::Succeeded | Outcome::Failed { .. } => {
                    ("True", "Succeeded".into(), "All Steps have completed executing".into())
                }
                Outcome::TimedOut | Outcome::Cancelled => {
                    let message = format!("TaskRun \"{name}\" was cancelled");
                    ("False", "TaskRunCancelled".into(), message)
                }
            };
            end(&mut task, told);
            self.replace(&place, task, false);
        }
    }

    /// The status of a task run whose step failed, and the log of that step.
    fn failed_step(
        &mut self,
        place: &Place,
        run: &Value,
        step: &str,
        exit_code: i32,
        (task, log): (&str, &str),
    ) -> Value {
        let pipeline = run["kind"] == "PipelineRun";
        let name = if pipeline { child(&place.2, task) } else { place.2.clone() };
        let (pod, container) = (format!("{name}-pod"), format!("step-{step}"));
        let message = format!("\"{container}\" exited with code {exit_code}: Error");
        self.logs.insert((place.1.clone(), pod.clone(), container.clone()), log.to_owned());
        json!({
            "podName": pod, "startTime": run["status"]["startTime"], "completionTime": now(),
            "conditions": [{"type": "Succeeded", "status": "False", "reason": "Failed", "message": message}],
            "steps": [
                {"name": "prepare", "container": "step-prepare",
                 "terminated": {"exitCode": 0, "reason": "Completed"}},
                {"name": step, "container": container,
                 "terminated": {"exitCode": exit_code, "reason": "Error", "finishedAt": now()}},
                {"name": "after", "container": "step-after", "terminationReason": "Skipped",
                 "terminated": {"exitCode": 1, "reason": "Error"}},
            ],
        })
    }

    /// Gives the task run of a pipeline run's task a status; makes it, with labels and owner as Tekton sets them, if it is
    /// not there.
    fn task_run(&mut self, place: &Place, run: &Value, task: &str, status: Value) {
        let name = child(&place.2, task);
        let at = (TASK_RUNS.to_owned(), place.1.clone(), name.clone());
        if let Some(mut there) = self.get(&at).cloned() {
            there["status"] = status;
            self.replace(&at, there, false);
            return;
        }
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
        self.create(at, object, CONTROLLER, false);
    }
}

/// The task run of a pipeline run's task.
fn child(run: &str, task: &str) -> String {
    format!("{run}-{task}")
}

/// Writes a pipeline run's tasks into its status.
fn name_children(run: &mut Value, pipeline: Value, tasks: &[String]) {
    let name = text(&run["metadata"]["name"]);
    let made = tasks.iter().map(
        |task| json!({"kind": "TaskRun", "name": child(&name, task), "pipelineTaskName": task}),
    );
    run["status"]["childReferences"] = made.collect();
    run["status"]["pipelineSpec"] = pipeline;
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str())
}

fn end(run: &mut Value, (status, reason, message): Condition) {
    run["status"]["conditions"] = json!([
        {"type": "Succeeded", "status": status, "reason": reason, "message": message,
         "lastTransitionTime": now()},
    ]);
    run["status"]["completionTime"] = json!(now());
}

/// Status, reason and message of `Succeeded`.
type Condition = (&'static str, String, String);

fn condition(run: &Value, outcome: Outcome<'_>) -> Condition {
    let (kind, name) = (text(&run["kind"]), text(&run["metadata"]["name"]));
    let own = |pipeline: &str, other: &str| {
        if kind == "PipelineRun" { pipeline.to_owned() } else { format!("{kind}{other}") }
    };
    let tasks = names(&run["status"]["childReferences"]).count().max(1);
    match outcome {
        Outcome::Succeeded => ("True", "Succeeded".into(), format!("Tasks Completed: {tasks}")),
        Outcome::Failed { .. } => {
            let message = format!("Tasks Completed: {tasks} (Failed: 1, Cancelled 0)");
            ("False", "Failed".into(), message)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipeline run of the tasks `one` and `two`, which has begun.
    fn begun() -> State {
        let mut state = State::default();
        let pipeline = json!({"tasks": [{"name": "one"}, {"name": "two"}]});
        let run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "spec": {"pipelineSpec": pipeline},
            "metadata": {"name": "r", "namespace": "qa"},
        });
        state.create(
            ("pipelineruns.tekton.dev".into(), "qa".into(), "r".into()),
            run,
            "test",
            false,
        );
        assert!(state.begin_run("r") && !state.begin_run("other"));
        state
    }

    /// How each run stands, by name, oldest first.
    fn stands(state: &State) -> Vec<(String, String, String)> {
        let stand = |run: &Value| {
            let condition = &run["status"]["conditions"][0];
            (text(&run["metadata"]["name"]), text(&condition["status"]), text(&condition["reason"]))
        };
        state.all().iter().map(stand).collect()
    }

    #[test]
    fn what_a_run_began_goes_on_with_it_and_ends_with_it() {
        let failed = Outcome::Failed { task: "two", step: "s", exit_code: 1, log: "no\n" };
        let running = ("Unknown", "Running");
        let good = ("True", "Succeeded");
        let stopped = ("False", "TaskRunCancelled");
        for (outcome, all) in [
            (None, [running, running, running]),
            (Some(Outcome::Succeeded), [good, good, good]),
            (Some(failed), [("False", "Failed"), good, ("False", "Failed")]),
            (Some(Outcome::Cancelled), [("False", "Cancelled"), stopped, stopped]),
            (Some(Outcome::TimedOut), [("False", "PipelineRunTimeout"), stopped, stopped]),
        ] {
            let mut state = begun();
            if let Some(outcome) = outcome {
                assert!(state.finish_run("r", outcome) && !state.finish_run("r", outcome));
                assert!(!state.begin_run("r"), "it ended");
            }
            let names = ["r", "r-one", "r-two"].iter().zip(all);
            let want: Vec<_> = names
                .map(|(name, (status, reason))| {
                    ((*name).to_owned(), status.to_owned(), reason.to_owned())
                })
                .collect();
            assert_eq!(stands(&state), want, "{outcome:?}");
        }
    }
}
