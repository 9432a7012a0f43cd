//! Pipeline runs as Tekton's controller writes them, and the tasks that are kept of them.

use serde_json::json;

use super::*;

fn of(run: &Value, task_runs: &[Value]) -> Vec<TaskRecord> {
    of_run(run, task_runs, &Redactor::new())
}

fn run(tasks: &Value, finally: &Value, made: &Value, skipped: &Value) -> Value {
    json!({"status": {
        "pipelineSpec": {"tasks": tasks, "finally": finally},
        "childReferences": made, "skippedTasks": skipped,
    }})
}

fn made(task: &str, name: &str) -> Value {
    json!({"kind": "TaskRun", "name": name, "pipelineTaskName": task})
}

fn task_run(name: &str, condition: &str, reason: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"tekton.dev/pipelineTask": "unit"}},
        "status": {
            "startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T03:05:05Z",
            "conditions": [{"type": "Succeeded", "status": condition, "reason": reason}],
            "steps": [{"name": "test", "terminated": {"exitCode": 2, "reason": "Error"}}],
        },
    })
}

#[test]
fn tasks_are_in_the_pipelines_order_with_what_they_come_after() {
    let tasks = json!([
        {"name": "fetch"},
        {"name": "unit", "runAfter": ["fetch"]},
        {"name": "image", "params": [
            {"name": "one", "value": "$(tasks.fetch.results.commit)-$(tasks.unit.results['tag'])"},
            {"name": "two", "value": ["$(tasks.fetch.results.url)", "$(params.tasks.x.y)", "$(tasks.gone.results.x)"]},
        ]},
        {"name": "push", "when": [{"input": "$(tasks.image.results.ok)", "operator": "in", "values": ["$(tasks.unit.results.x)"]}],
         "matrix": {"params": [{"name": "to", "value": ["$(tasks.fetch.results.list[*])"]}]}},
        {"name": "alone", "params": [{"name": "all", "value": "$(tasks.status)"}]},
    ]);
    let finally =
        json!([{"name": "tell", "params": [{"name": "s", "value": "$(tasks.unit.status)"}]}]);
    let told = of(&run(&tasks, &finally, &json!([]), &json!([])), &[]);
    let order: Vec<_> =
        told.iter().map(|t| format!("{} {} {}", t.task, t.after.join("+"), t.is_finally)).collect();
    assert_eq!(
        order,
        [
            "fetch  false",
            "unit fetch false",
            "image fetch+unit false",
            "push image+unit+fetch false",
            "alone  false",
            "tell  true"
        ]
    );
    assert!(told.iter().all(|task| task.state == TaskState::Pending && task.run.is_none()));
}

#[test]
fn a_task_comes_after_another_by_each_of_the_ways_in_which_tekton_orders_them_and_by_no_other() {
    let result = "x $(tasks.build.results.digest)";
    for (task, orders) in [
        (json!({"runAfter": ["build"]}), true),
        (json!({"resources": {"inputs": [{"name": "a"}, {"name": "b", "from": ["build"]}]}}), true),
        (json!({"conditions": [{"resources": [{"name": "a", "from": ["build"]}]}]}), true),
        (json!({"conditions": [{"params": [{"name": "a", "value": result}]}]}), true),
        (json!({"params": [{"name": "a", "value": result}]}), true),
        (json!({"params": [{"name": "a", "value": ["y", result]}]}), true),
        (json!({"params": [{"name": "a", "value": {"key": result}}]}), true),
        (json!({"params": [{"name": "a", "value": "$(tasks.build.results.object.key)"}]}), true),
        (json!({"params": [{"name": "a", "value": "$(tasks.build.results['a.b'])"}]}), true),
        (json!({"params": [{"name": "a", "value": ["$(tasks.build.results.list[*])"]}]}), true),
        (json!({"when": [{"input": result, "operator": "in", "values": ["a"]}]}), true),
        (json!({"when": [{"input": "a", "operator": "notin", "values": ["b", result]}]}), true),
        (json!({"when": [{"cel": "'$(tasks.build.results.ok)' == 'yes'"}]}), true),
        (
            json!({"matrix": {"params": [{"name": "a", "value": ["$(tasks.build.results.all[*])"]}]}}),
            true,
        ),
        (
            json!({"matrix": {"include": [{"name": "i", "params": [{"name": "a", "value": result}]}]}}),
            true,
        ),
        (json!({"taskSpec": {"steps": [{"script": "echo $(tasks.build.results.digest)"}]}}), true),
        (json!({"taskSpec": {"steps": [{"env": [{"name": "A", "value": result}]}]}}), true),
        (json!({"taskSpec": {"sidecars": [{"image": result}]}}), true),
        (json!({"runAfter": ["gone"]}), false),
        (json!({"resources": {"outputs": [{"name": "a", "resource": "build"}]}}), false),
        (json!({"params": [{"name": "a", "value": "$(tasks.build.status)"}]}), false),
        (json!({"params": [{"name": "a", "value": "$(tasks.build.outputs.image)"}]}), false),
        (json!({"params": [{"name": "a", "value": "$(params.tasks.build.results.x)"}]}), false),
        (json!({"params": [{"name": "a", "value": "tasks.build.results.x"}]}), false),
        (json!({"displayName": result, "description": result}), false),
        (json!({"runAfter": 3, "resources": [1], "conditions": "x", "params": null}), false),
    ] {
        let mut task = task;
        task["name"] = json!("push");
        let told =
            of(&run(&json!([{"name": "build"}, task]), &json!([]), &json!([]), &json!([])), &[]);
        let wanted: &[&str] = if orders { &["build"] } else { &[] };
        assert_eq!(told[1].after, wanted, "{task}");
    }
}

#[test]
fn a_task_stands_as_its_own_run_does_and_where_that_was_not_read_it_has_started() {
    let tasks = json!([{"name": "unit"}, {"name": "image"}, {"name": "push"}, {"name": "late"}]);
    let all = json!([made("unit", "r-unit"), made("image", "r-image")]);
    let skipped = json!([{"name": "push", "reason": "When Expressions evaluated to false"}]);
    let run = run(&tasks, &json!([]), &all, &skipped);
    let states = |task_runs: &[Value]| -> Vec<_> {
        let told = of(&run, task_runs);
        told.into_iter().map(|t| (t.state, t.run.unwrap_or_default(), t.reason)).collect()
    };
    let why = Some("When Expressions evaluated to false".to_owned());
    let rest = [
        (TaskState::Started, "r-image".to_owned(), None),
        (TaskState::Skipped, String::new(), why),
        (TaskState::Pending, String::new(), None),
    ];
    for (condition, reason, state) in [
        ("True", "Succeeded", TaskState::Succeeded),
        ("False", "Failed", TaskState::Failed),
        ("False", "TaskRunTimeout", TaskState::Failed),
        ("False", "TaskRunCancelled", TaskState::Cancelled),
        ("Unknown", "Running", TaskState::Running),
    ] {
        let told = states(&[task_run("r-unit", condition, reason)]);
        assert_eq!(told[0], (state, "r-unit".to_owned(), Some(reason.to_owned())));
        assert_eq!(told[1..], rest);
    }
    assert_eq!(states(&[])[0], (TaskState::Started, "r-unit".to_owned(), None));
}

#[test]
fn a_task_that_failed_tells_its_step_its_times_and_its_retries() {
    let mut failed = task_run("r-unit", "False", "Failed");
    failed["status"]["retriesStatus"] = json!([{}, {}]);
    let run =
        run(&json!([{"name": "unit"}]), &json!([]), &json!([made("unit", "r-unit")]), &json!([]));
    let told = of(&run, &[failed]).remove(0);
    assert_eq!(told.message.as_deref(), Some("step test: exit code 2, on the last of 3 attempts"));
    assert_eq!(told.retries, 2);
    let times = (told.started, told.completed);
    let time = |text: &str| text.parse().ok();
    assert_eq!(times, (time("2026-01-02T03:04:05Z"), time("2026-01-02T03:05:05Z")));
}

#[test]
fn a_matrix_has_a_record_for_each_of_its_runs_and_no_run_has_more_than_are_kept() {
    let names: Vec<_> = (0..MAX_TASKS + 5).map(|n| format!("r-{n}")).collect();
    let all: Vec<_> = names.iter().map(|name| made("unit", name)).collect();
    let tasks = json!([{"name": "fetch"}, {"name": "unit", "runAfter": ["fetch"]}]);
    let few = of(&run(&tasks, &json!([]), &json!(all[..3]), &json!([])), &[]);
    let told: Vec<_> = few.iter().map(|t| (t.run.as_deref(), t.after.len())).collect();
    assert_eq!(told, [(None, 0), (Some("r-0"), 1), (Some("r-1"), 1), (Some("r-2"), 1)]);
    assert_eq!(of(&run(&tasks, &json!([]), &json!(all), &json!([])), &[]).len(), MAX_TASKS);
}

#[test]
fn what_is_no_pipeline_or_not_what_tekton_writes_has_no_tasks() {
    for odd in [
        json!({}),
        json!({"status": {"pipelineSpec": {"tasks": "many", "finally": 3}}}),
        json!({"status": {"childReferences": [{"name": "x"}], "skippedTasks": [1]}}),
    ] {
        assert_eq!(of(&odd, &[]), [], "{odd}");
    }
}
