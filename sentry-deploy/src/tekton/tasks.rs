//! The tasks of a pipeline run: their order, and how they stand. Pure.
//!
//! The order is in `status.pipelineSpec`, what was made in `status.childReferences` (`pkg/apis/pipeline/v1` of
//! tektoncd/pipeline at v1.0). How each task stands is only in its own run: while the pipeline run goes on, nobody asks.

use sentry_core::delivery::{MAX_TASKS, RunState, TaskRecord, TaskState};
use sentry_core::secret::Redactor;
use serde_json::Value;

use super::failure::{MESSAGE, printable};
use super::{ends, runs};

/// The longest name of an object.
const NAME: usize = 253;

/// The tasks in the pipeline's order, from the run's object and those of its task runs that were read.
pub(crate) fn of_run(run: &Value, task_runs: &[Value], redactor: &Redactor) -> Vec<TaskRecord> {
    let pipeline = Pipeline { status: &run["status"], task_runs, redactor };
    let spec = &pipeline.status["pipelineSpec"];
    let listed = |field: &str| spec[field].as_array().into_iter().flatten();
    let names: Vec<&str> = listed("tasks").filter_map(|task| task["name"].as_str()).collect();
    let tasks = listed("tasks").map(|task| (task, after(task, &names), false));
    let finally = listed("finally").map(|task| (task, Vec::new(), true));
    let all = tasks.chain(finally).flat_map(|(task, after, is_finally)| {
        let name = task["name"].as_str().unwrap_or_default();
        let records = pipeline.records(name);
        let with_place = move |record| TaskRecord { after: after.clone(), is_finally, ..record };
        records.into_iter().map(with_place)
    });
    all.take(MAX_TASKS).collect()
}

struct Pipeline<'a> {
    status: &'a Value,
    task_runs: &'a [Value],
    redactor: &'a Redactor,
}

impl Pipeline<'_> {
    /// One for each run that was made for the task, or one that says why there is none.
    fn records(&self, task: &str) -> Vec<TaskRecord> {
        let listed = |field: &str| self.status[field].as_array().into_iter().flatten();
        let made = listed("childReferences").filter(|made| made["pipelineTaskName"] == task);
        let made: Vec<_> = made.filter_map(|made| made["name"].as_str()).take(MAX_TASKS).collect();
        if made.is_empty() {
            let skipped = listed("skippedTasks").find(|skipped| skipped["name"] == task);
            let reason = skipped.and_then(|skipped| self.clean(&skipped["reason"], 100));
            let state = if skipped.is_some() { TaskState::Skipped } else { TaskState::Pending };
            return vec![TaskRecord { reason, ..bare(task, None, state) }];
        }
        made.into_iter().map(|name| self.record(task, name)).collect()
    }

    fn record(&self, task: &str, name: &str) -> TaskRecord {
        let record = |state| bare(task, Some(name), state);
        let mut read = self.task_runs.iter();
        let Some(run) = read.find(|run| run["metadata"]["name"] == name) else {
            return record(TaskState::Started);
        };
        let stand = runs::tekton_run(run);
        let state = match stand.state {
            RunState::Succeeded => TaskState::Succeeded,
            RunState::Failed => TaskState::Failed,
            RunState::Cancelled => TaskState::Cancelled,
            RunState::Running | RunState::Gone | RunState::Unfollowed => TaskState::Running,
        };
        let status = &run["status"];
        let completed = stand.completed.filter(|_| stand.state.is_final());
        let retries = status["retriesStatus"].as_array().map_or(0, Vec::len);
        let message = (state == TaskState::Failed).then(|| ends::in_task(run));
        TaskRecord {
            started: status["startTime"].as_str().and_then(|time| time.parse().ok()),
            completed: completed.and_then(|time| time.parse().ok()),
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
            reason: stand.reason.map(|reason| printable(&self.redactor.redact(reason), 100)),
            message: message.map(|text| printable(&self.redactor.redact(&text), MESSAGE)),
            ..record(state)
        }
    }

    fn clean(&self, text: &Value, chars: usize) -> Option<String> {
        text.as_str().map(|text| printable(&self.redactor.redact(text), chars))
    }
}

fn bare(task: &str, run: Option<&str>, state: TaskState) -> TaskRecord {
    TaskRecord {
        task: printable(task, NAME),
        run: run.map(|run| printable(run, NAME)),
        state,
        started: None,
        completed: None,
        retries: 0,
        reason: None,
        message: None,
        after: Vec::new(),
        is_finally: false,
    }
}

/// Fields of a pipeline's task that list the names of tasks before it. `from` is of v1beta1, as long as it had pipeline
/// resources.
const NAMES: &[&[&str]] =
    &[&["runAfter"], &["resources", "inputs", "from"], &["conditions", "resources", "from"]];
/// Fields in which a result of another task may be referred to: Tekton then waits for that task (`Deps` of a `PipelineTask`).
const TEXTS: &[&[&str]] = &[
    &["params"],
    &["when"],
    &["matrix"],
    &["conditions", "params"],
    &["taskSpec", "steps"],
    &["taskSpec", "sidecars"],
];

/// The tasks that a task comes after, each once: those that it names, and those that it needs results of.
fn after(task: &Value, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in NAMES {
        visit(task, path, &mut |value| found.extend(value.as_str()));
    }
    for path in TEXTS {
        visit(task, path, &mut |value| results(value, &mut found));
    }
    let mut after: Vec<String> = Vec::new();
    for name in found.into_iter().filter(|name| names.contains(name)) {
        if !after.iter().any(|have| have == name) {
            after.push(printable(name, NAME));
        }
    }
    after
}

/// What stands at a path: of a list, each of its items.
fn visit<'v>(value: &'v Value, path: &[&str], see: &mut impl FnMut(&'v Value)) {
    match (value, path) {
        (Value::Array(items), _) => items.iter().for_each(|item| visit(item, path, see)),
        (_, []) => see(value),
        (_, [field, rest @ ..]) => visit(&value[field], rest, see),
    }
}

/// The tasks whose results the texts refer to: `$(tasks.build.results.digest)`. Their status and their artifacts order nothing.
fn results<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => {
            let references = text.split("$(tasks.").skip(1).filter_map(|rest| rest.split_once('.'));
            let of_results =
                |rest: &str| rest.starts_with("results.") || rest.starts_with("results[");
            found.extend(references.filter(|(_, rest)| of_results(rest)).map(|(name, _)| name));
        }
        Value::Array(items) => items.iter().for_each(|item| results(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| results(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
