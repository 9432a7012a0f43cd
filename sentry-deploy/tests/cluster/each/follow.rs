//! Following runs to their end.

use std::collections::BTreeSet;
use std::time::Duration;

use sentry_apiserver::Outcome;
use sentry_core::delivery::{FailureClass, RunState, TaskState};
use sentry_core::deployer::{
    Checked, DeployErrorKind, Deployer as _, FollowQuery, RunChange, RunStatus,
};
use serde_json::json;
use tokio::time::timeout;

use super::{Follower, Lab, TOKEN, commit, lab, lab_with, plan, planned, query};

const RUNS: &str = "pipelineruns.tekton.dev";

fn failed(log: &str) -> Outcome<'_> {
    Outcome::Failed { task: "unit", step: "go-test", exit_code: 2, log }
}

#[tokio::test]
async fn runs_are_told_as_they_stand_and_then_to_their_success() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two"]).await;
    assert!(lab.server.finish_run("one", Outcome::Succeeded));
    let mut told = lab.follow(&["PipelineRun"]);
    let first = told.status().await;
    assert_eq!((first.name.as_str(), first.state), ("one", RunState::Succeeded));
    assert!(first.completed.is_some());
    assert_eq!(told.stands("two").await, (RunState::Running, None));
    told.synced().await;
    lab.server.finish_run("two", Outcome::Succeeded);
    assert_eq!(told.stands("two").await, (RunState::Succeeded, Some("Succeeded".into())));
}

/// Lets these runs fail until one is told with this message. A look into a failed run has so little time of its own that a
/// busy machine may not be through with it.
async fn one_fails_with(
    message: &str,
    names: &[&str],
    log: &str,
    lab: &Lab,
    told: &mut Follower<'_>,
) {
    let mut heard = Vec::new();
    for name in names {
        lab.server.finish_run(name, failed(log));
        let status = told.status().await;
        assert_eq!((status.name.as_str(), status.state), (*name, RunState::Failed));
        assert_eq!(status.reason.as_deref(), Some("Failed"));
        let looked_into = status.message.as_ref().is_some_and(|told| told.contains("exit code"));
        assert!(!looked_into || status.failure == Some(FailureClass::Step), "{status:?}");
        heard.push(status.message.unwrap());
        if heard.last().is_some_and(|heard| heard == message) {
            return;
        }
    }
    panic!("{heard:?} instead of {message:?}");
}

#[tokio::test]
async fn a_failed_run_tells_task_step_exit_code_and_last_log_line_without_secrets() {
    let lab = lab();
    let (runs, alone) = (["one", "two", "three"], ["alone", "lone", "lonely"]);
    lab.make("PipelineRun", &runs).await;
    lab.make("TaskRun", &alone).await;
    let mut told = lab.follow(&["PipelineRun", "TaskRun"]);
    let mut names = BTreeSet::new();
    for _ in 0..6 {
        names.insert(told.status().await.name);
    }
    assert_eq!(names, runs.into_iter().chain(alone).map(str::to_owned).collect());
    told.synced().await;
    let log = format!("ok\n\u{1b}[31mFAIL: TestLogin with {TOKEN}\u{1b}[0m\n\n");
    let want = "task unit, step go-test: exit code 2: FAIL: TestLogin with [redacted]";
    one_fails_with(want, &runs, &log, &lab, &mut told).await;
    // The task run that Tekton made for it carries the same marks and is no run of ours.
    assert!(lab.server.object("TaskRun", "one-unit").is_some());
    let want = "step go-test: exit code 2: boom";
    one_fails_with(want, &alone, "boom\n", &lab, &mut told).await;
}

/// What Tekton writes of a pipeline run of three tasks, of which the second one's run has been made.
fn two_of_three_tasks(run: &mut serde_json::Value) {
    run["status"] = json!({
        "startTime": "2026-01-02T03:04:05Z",
        "pipelineSpec": {"tasks": [
            {"name": "build"},
            {"name": "unit", "runAfter": ["build"]},
            {"name": "push", "params": [{"name": "image", "value": "$(tasks.build.results.image)"}]},
        ]},
        "childReferences": [
            {"kind": "TaskRun", "name": "one-build", "pipelineTaskName": "build"},
            {"kind": "TaskRun", "name": "one-unit", "pipelineTaskName": "unit"},
        ],
        "skippedTasks": [{"name": "push", "reason": "When Expressions evaluated to false"}],
    });
}

fn task_run(task: &str, minute: u8) -> serde_json::Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "spec": {},
        "metadata": {
            "name": format!("one-{task}"), "namespace": "qa",
            "labels": {"tekton.dev/pipelineRun": "one", "tekton.dev/pipelineTask": task},
        },
        "status": {
            "startTime": format!("2026-01-02T03:0{minute}:00Z"),
            "completionTime": format!("2026-01-02T03:0{minute}:30Z"),
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        },
    })
}

#[tokio::test]
async fn tasks_are_told_as_the_run_names_them_and_once_it_ends_as_their_own_runs_stand() {
    let lab = lab();
    lab.make("PipelineRun", &["one"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.synced().await;
    let states = |status: &RunStatus| -> Vec<_> {
        let tasks = status.tasks.iter();
        tasks.map(|task| (task.task.clone(), task.state, task.after.clone())).collect()
    };
    let rows = |state| {
        [("build", state, vec![]), ("unit", state, vec!["build".into()])]
            .into_iter()
            .chain([("push", TaskState::Skipped, vec!["build".into()])])
            .map(|(task, state, after): (&str, _, Vec<String>)| (task.to_owned(), state, after))
            .collect::<Vec<_>>()
    };
    let taskruns = ("list".to_owned(), "taskruns.tekton.dev".to_owned());
    lab.server.edit("PipelineRun", "one", two_of_three_tasks);
    let status = told.status().await;
    assert_eq!((status.state, states(&status)), (RunState::Running, rows(TaskState::Started)));
    assert!(status.started.is_some() && status.completed.is_none());
    assert_eq!(lab.server.rights_used().get(&taskruns), None, "a run that goes on costs no call");
    lab.server.restore(&[task_run("build", 4), task_run("unit", 5)]);
    lab.server.finish_run("one", Outcome::Succeeded);
    let status = told.status().await;
    assert_eq!((status.state, states(&status)), (RunState::Succeeded, rows(TaskState::Succeeded)));
    let unit = &status.tasks[1];
    let times = [unit.started, unit.completed].map(|time| time.unwrap().to_string());
    assert_eq!(times, ["2026-01-02T03:05:00Z", "2026-01-02T03:05:30Z"]);
    assert_eq!(lab.server.rights_used()[&taskruns], 1);
}

#[tokio::test]
async fn nothing_more_is_asked_about_a_run_whose_end_is_known() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two"]).await;
    lab.server.finish_run("one", failed("x"));
    let known = [("PipelineRun".to_owned(), "one".to_owned())].into();
    let query = FollowQuery { known, ..query(&["PipelineRun"]) };
    let mut told = Follower::of(lab.deployer.follow(query).unwrap());
    assert_eq!(told.stands("one").await.0, RunState::Failed);
    assert_eq!(told.stands("two").await.0, RunState::Running);
    told.synced().await;
    let taskruns = ("list".to_owned(), "taskruns.tekton.dev".to_owned());
    assert_eq!(lab.server.rights_used().get(&taskruns), None);
}

#[tokio::test]
async fn of_a_log_that_is_cut_the_last_whole_line_is_told() {
    let lab = lab();
    let runs = ["one", "two", "three"];
    lab.make("TaskRun", &runs).await;
    let mut told = lab.follow(&["TaskRun"]);
    for _ in runs {
        told.status().await;
    }
    told.synced().await;
    let log = format!("the last whole line\n{}\n", "x".repeat(20_000));
    let want = "step go-test: exit code 2: the last whole line";
    one_fails_with(want, &runs, &log, &lab, &mut told).await;
}

#[tokio::test]
async fn what_is_neither_a_pipeline_nor_a_task_tells_its_own_message() {
    let lab = lab();
    lab.make("CustomRun", &["custom"]).await;
    let mut told = lab.follow(&["CustomRun"]);
    told.status().await;
    told.synced().await;
    lab.server.edit("CustomRun", "custom", |run| {
        run["status"] = json!({"conditions": [
            {"type": "Succeeded", "status": "False", "reason": "Failed", "message": "its own words"},
        ]});
    });
    let status = told.status().await;
    assert_eq!(
        (status.state, status.message.as_deref()),
        (RunState::Failed, Some("its own words"))
    );
}

#[tokio::test]
async fn a_failure_is_told_without_what_may_not_be_read() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two"]).await;
    lab.server.finish_run("one", failed("the log"));
    lab.server.finish_run("two", failed("the log"));
    lab.server.faults().grant_only(&[
        ("list", RUNS),
        ("watch", RUNS),
        ("list", "taskruns.tekton.dev"),
    ]);
    let status = lab.follow(&["PipelineRun"]).status().await;
    let message = status.message.as_deref();
    assert_eq!(
        (status.state, message),
        (RunState::Failed, Some("task unit, step go-test: exit code 2"))
    );
    lab.server.faults().grant_only(&[("list", RUNS), ("watch", RUNS)]);
    let status = lab.follow(&["PipelineRun"]).status().await;
    assert_eq!(status.state, RunState::Failed);
    assert!(status.message.unwrap().starts_with("Tasks Completed"));
}

#[tokio::test]
async fn timeouts_are_failures_and_cancelled_runs_are_told_apart() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.status().await;
    told.synced().await;
    lab.server.finish_run("one", Outcome::TimedOut);
    let status = told.status().await;
    assert_eq!(
        (status.state, status.reason.as_deref()),
        (RunState::Failed, Some("PipelineRunTimeout"))
    );
    let message = status.message.unwrap();
    assert_eq!(message, "the pipeline timed out after 1h0m0s, before any task started");
    lab.server.finish_run("two", Outcome::Cancelled);
    assert_eq!(told.stands("two").await, (RunState::Cancelled, Some("Cancelled".into())));
}

#[tokio::test]
async fn a_run_that_is_deleted_is_gone_and_its_end_is_told_before() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.status().await;
    told.synced().await;
    lab.server.delete("PipelineRun", "one");
    told.gone("one").await;
    lab.server.finish_run("two", failed("x"));
    lab.server.delete("PipelineRun", "two");
    assert_eq!(told.stands("two").await.0, RunState::Failed);
    told.gone("two").await;
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_where_it_was() {
    let lab = lab();
    lab.make("PipelineRun", &["one"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.synced().await;
    let watching = async {
        for cut in 1..=3 {
            lab.until_used("watch", RUNS, cut).await;
            lab.server.cut_watches();
            // The one that was being opened just then may have been spared.
            let next = || lab.until_used("watch", RUNS, cut + 1);
            while timeout(Duration::from_secs(5), next()).await.is_err() {
                lab.server.cut_watches();
            }
        }
        lab.server.finish_run("one", Outcome::Succeeded);
    };
    let (status, ()) = tokio::join!(told.stands("one"), watching);
    assert_eq!(status.0, RunState::Succeeded);
    assert_eq!(lab.server.rights_used()[&("list".into(), RUNS.into())], 1);
}

#[tokio::test]
async fn after_410_gone_everything_is_read_again_and_what_vanished_is_gone() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two", "three"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    for _ in 0..3 {
        told.status().await;
    }
    told.synced().await;
    let lapse = async {
        lab.until_used("watch", RUNS, 1).await;
        // Silent, so that the watch can't tell what happens before it is too old.
        lab.server.faults().silence_watches();
        lab.server.finish_run("one", Outcome::Succeeded);
        lab.server.delete("PipelineRun", "two");
        // Once: what is read again after it must be recent enough to be watched from.
        lab.server.expire_watches();
        lab.server.faults().heal();
    };
    let ((state, _), ()) = tokio::join!(told.stands("one"), lapse);
    assert_eq!(state, RunState::Succeeded);
    told.gone("two").await;
    lab.server.finish_run("three", Outcome::Succeeded);
    assert_eq!(told.stands("three").await.0, RunState::Succeeded);
    assert_eq!(lab.server.rights_used()[&("list".into(), RUNS.into())], 2);
}

#[tokio::test]
async fn a_watch_that_ends_in_time_is_opened_anew_and_one_that_went_silent_is_given_up() {
    let lab = lab_with(|settings| settings.watch = Duration::from_secs(2));
    lab.make("PipelineRun", &["one", "two"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.status().await;
    told.synced().await;
    let renewed = async {
        lab.until_used("watch", RUNS, 3).await;
        lab.server.finish_run("one", Outcome::Succeeded);
    };
    let ((state, _), ()) = tokio::join!(told.stands("one"), renewed);
    assert_eq!(state, RunState::Succeeded);
    let silent = async {
        lab.server.faults().silence_watches();
        let right = ("watch".to_owned(), RUNS.to_owned());
        let opened = lab.server.rights_used()[&right];
        // The one that is open may be about to speak; the next one is silent from its start.
        lab.until_used("watch", RUNS, opened + 1).await;
        lab.server.finish_run("two", Outcome::Succeeded);
        // A silent watch does not end by itself: a further one means that it was given up.
        lab.until_used("watch", RUNS, opened + 2).await;
        lab.server.faults().heal();
    };
    let ((state, _), ()) = tokio::join!(told.stands("two"), silent);
    assert_eq!(state, RunState::Succeeded);
    assert_eq!(lab.server.rights_used()[&("list".into(), RUNS.into())], 1);
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let lab = lab();
    lab.make("PipelineRun", &["one"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.synced().await;
    let restart = async {
        lab.until_used("watch", RUNS, 1).await;
        lab.server.pause();
        tokio::time::sleep(Duration::from_millis(300)).await;
        lab.server.resume();
        lab.server.finish_run("one", Outcome::Succeeded);
    };
    let ((state, _), ()) = tokio::join!(told.stands("one"), restart);
    assert_eq!(state, RunState::Succeeded);
}

#[tokio::test]
async fn an_outage_ends_the_stream_and_a_missing_right_ends_it_at_once() {
    let lab = lab();
    lab.make("PipelineRun", &["one"]).await;
    lab.server.faults().grant_only(&[("list", RUNS)]);
    let mut told = lab.follow(&["PipelineRun"]);
    told.status().await;
    told.synced().await;
    let error = told.next().await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Forbidden, "{error}");
    assert!(told.ends().await);
    lab.server.faults().heal();
    lab.server.pause();
    let mut told = lab.follow(&["PipelineRun"]);
    let error = told.next().await.unwrap_err();
    assert_eq!(error.kind(), DeployErrorKind::Unreachable, "{error}");
    assert!(error.to_string().starts_with("can't read pipelineruns of "), "{error}");
    assert!(told.ends().await);
}

#[tokio::test]
async fn two_hundred_runs_are_followed_by_one_watch() {
    let lab = lab();
    let names: Vec<String> = (0..200).map(|n| format!("run-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lab.make("PipelineRun", &names).await;
    let mut told = lab.follow(&["PipelineRun"]);
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        seen.insert(told.status().await.name);
    }
    told.synced().await;
    assert_eq!(seen.len(), 200);
    let finish = async {
        lab.until_used("watch", RUNS, 1).await;
        for name in &names {
            lab.server.finish_run(name, Outcome::Succeeded);
        }
    };
    let (_, ()) = tokio::join!(told.status(), finish);
    for _ in 1..200 {
        assert_eq!(told.status().await.state, RunState::Succeeded);
    }
    let used = lab.server.rights_used();
    assert_eq!(used[&("watch".into(), RUNS.into())], 1);
    assert_eq!(used[&("list".into(), RUNS.into())], 4);
}

#[tokio::test]
async fn runs_of_other_commits_are_not_told_however_many_commits_are_asked_for() {
    let lab = lab();
    let mut foreign = planned("PipelineRun", "foreign", Some("foreign"));
    foreign.json["metadata"]["labels"] = json!({"sentry-gitops.dev/commit": "another"});
    let mut bare = planned("PipelineRun", "bare", Some("bare"));
    bare.json["metadata"]["labels"] = json!({});
    lab.deployer.apply(&plan(vec![foreign, bare]), &Checked::default()).await.unwrap();
    lab.make("PipelineRun", &["ours"]).await;
    for more in [0, 60] {
        let mut query = query(&["PipelineRun"]);
        query.commits.extend(std::iter::repeat_n(commit(), more));
        let mut told = Follower::of(lab.deployer.follow(query).unwrap());
        told.stands("ours").await;
        told.synced().await;
    }
}

#[tokio::test]
async fn a_kind_without_a_known_end_is_told_at_once_and_never_asked_for() {
    let lab = lab();
    lab.make("ConfigMap", &["settings"]).await;
    lab.make("Job", &["job"]).await;
    let query = query(&["ConfigMap", "Job"]);
    let mut told = Follower::of(lab.deployer.follow(query).unwrap());
    let endless = RunChange::Endless { kind: "ConfigMap".to_owned() };
    assert_eq!(told.next().await.unwrap(), endless);
    assert!(!lab.server.rights_used().contains_key(&("list".into(), "configmaps".into())));
    assert_eq!(told.status().await.state, RunState::Running);
    told.synced().await;
    let finish = async {
        lab.until_used("watch", "jobs.batch", 1).await;
        lab.server.edit("Job", "job", |job| {
            job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        });
    };
    let (status, ()) = tokio::join!(told.stands("job"), finish);
    assert_eq!(status.0, RunState::Succeeded);
}

#[tokio::test]
async fn nothing_to_follow_is_synced_at_once() {
    let lab = lab();
    lab.follow(&[]).synced().await;
    lab.follow(&["PipelineRun"]).synced().await;
}
