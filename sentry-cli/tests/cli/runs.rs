//! What is told of runs after a delivery: how they stand, what waits, what is shown on A's commits.

use sentry_core::cursor::Cursors;
use sentry_core::delivery::{
    Asked, AttemptCounts, Delivery, DeliveryState, HeadRecord, Reason, RunState, Verdict,
};
use sentry_core::plan::{Action, ObjectOutcome};
use sentry_core::store::{Report, WatchState, Write};
use sentry_core::testing::sample;

use crate::sandbox::Sandbox;

/// A delivery of `app`'s first commit whose runs stand so; `None` is one that waits for room.
pub(crate) fn delivery(state: DeliveryState, runs: &[Option<RunState>]) -> Delivery {
    let mut delivery = Delivery {
        state,
        asked: Asked { dry_run: false, ..sample::asked(1) },
        error: None,
        verdict: None,
        passed: None,
        superseded_by: None,
        next_attempt: None,
        attempts: AttemptCounts::default(),
        notes: Vec::new(),
        objects: Vec::new(),
        runs: Vec::new(),
        finished: state.is_final().then(|| sample::time(60)),
        following_since: Some(sample::time(5)),
        ..sample::delivery(1)
    };
    for (n, state) in runs.iter().enumerate() {
        let mut record = sample::run(state.unwrap_or(RunState::Running));
        record.object.name = format!("ci-{n}");
        if record.state != RunState::Failed {
            (record.reason, record.message, record.failure) = (None, None, None);
        }
        record.completed = record.completed.filter(|_| record.state.is_final());
        let action = if state.is_some() { Action::Created } else { Action::Queued };
        let (object, reason) = (record.object.clone(), None);
        delivery.objects.push(ObjectOutcome { object, run: true, action, reason });
        delivery.runs.extend(state.map(|_| record));
    }
    delivery
}

/// A state in which the first commit was delivered so.
fn kept(delivery: Delivery) -> Sandbox {
    let sandbox = Sandbox::new();
    let mark = sample::mark(1);
    let branch = Cursors::first_seen(delivery.watch.clone(), sample::subject("main"), mark.clone());
    let delivered = (!delivery.is_queued()).then_some(mark);
    let record = HeadRecord {
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        reason: delivery.passed.clone().unwrap_or(if delivered.is_some() {
            Reason::Delivered
        } else {
            Reason::Waiting
        }),
        at: sample::time(5),
        delivery: Some(delivery.id.clone()),
        detail: delivery.error.clone(),
    };
    sandbox.keep(&[
        Write::Watch(sample::watch_state(1)),
        Write::Cursors(Cursors { delivered, ..branch }),
        Write::Head(record),
        Write::Agent(sample::agent(1)),
        Write::Delivery(Box::new(delivery)),
    ]);
    sandbox
}

fn failed() -> Sandbox {
    let mut one =
        delivery(DeliveryState::Failed, &[Some(RunState::Failed), Some(RunState::Succeeded)]);
    one.verdict = Some(Verdict::Failure);
    one.error = Some("1 of 2 runs failed: ci-0".into());
    kept(one)
}

#[test]
fn the_status_tells_how_the_delivered_heads_runs_ended() {
    let sandbox = failed();
    let status = sandbox.json(&["status", "-o", "json"]);
    let branch = &status["watches"][0]["branches"][0];
    assert_eq!(branch["state"], "delivered");
    assert_eq!(
        branch["runs"],
        serde_json::json!({"total": 2, "running": 0, "succeeded": 1, "failed": 1})
    );
    assert_eq!(
        (&branch["verdict"], &branch["last_error"]),
        (&"failure".into(), &"1 of 2 runs failed: ci-0".into())
    );
    let table = sandbox.ok(&["status"]);
    assert!(table.contains("1 failed, 1 succeeded"), "{table}");
    assert!(table.contains("app main: 1 of 2 runs failed: ci-0"), "{table}");
}

#[test]
fn runs_that_go_on_and_runs_that_wait_are_told_apart() {
    let running = kept(delivery(DeliveryState::Following, &[Some(RunState::Running)]));
    let branch = running.json(&["status", "-o", "json"])["watches"][0]["branches"][0].clone();
    assert_eq!((&branch["state"], &branch["runs"]["running"]), (&"delivered".into(), &1.into()));
    assert!(branch["verdict"].is_null());

    let queued = kept(delivery(DeliveryState::Following, &[Some(RunState::Running), None, None]));
    let branch = queued.json(&["status", "-o", "json"])["watches"][0]["branches"][0].clone();
    assert_eq!((&branch["state"], &branch["runs"]["total"]), (&"delivering".into(), &3.into()));
    let table = queued.ok(&["status"]);
    assert!(table.contains("1 running, 2 queued"), "{table}");
    assert!(table.contains("namespace qa: 2 runs queued"), "{table}");
    let why = queued.ok(&["why", sample::sha(1).as_str()]);
    assert!(why.contains(": waiting") && why.contains("queued runs start as others end"), "{why}");
}

#[test]
fn history_and_show_tell_each_runs_end_and_show_what_it_said() {
    let sandbox = failed();
    let history = sandbox.json(&["history", "-o", "json"]);
    let one = &history["deliveries"][0];
    assert_eq!((&one["state"], &one["verdict"]), (&"failed".into(), &"failure".into()));
    assert_eq!(
        one["runs"],
        serde_json::json!([
            {"name": "ci-0", "state": "failed", "reason": "PipelineRunTimeout",
             "started": sample::time(3).to_string(), "ended": sample::time(9).to_string()},
            {"name": "ci-1", "state": "succeeded", "reason": null,
             "started": sample::time(3).to_string(), "ended": sample::time(9).to_string()}
        ])
    );
    let id = one["id"].as_str().unwrap();
    let shown = sandbox.json(&["show", id, "-o", "json"]);
    assert_eq!(shown["delivery"]["runs"][0]["message"], "task unit, step test: exit code 1");
    assert_eq!(shown["delivery"]["following_since"], sample::time(5).to_string());
    let run = &shown["delivery"]["runs"][0];
    assert_eq!((&run["failure"], &run["tasks"][0]["task"]), (&"timeout".into(), &"unit".into()));
    let text = sandbox.ok(&["show", id, "-o", "wide"]);
    assert!(text.contains("REASON              TOOK  ENDED"), "{text}");
    assert!(text.contains("PipelineRunTimeout  6s    "), "{text}");
    assert!(text.contains("verdict    failure: 1 failed, 1 succeeded"), "{text}");
    assert!(text.contains("\nci-0: task unit, step test: exit code 1\n"), "{text}");
    assert!(sandbox.ok(&["history"]).contains("1 failed, 1 succeeded"));
    let retry = sandbox.run(&["retry", id, "--no-wait"]);
    assert_eq!(retry.code, 2, "{retry:?}");
    assert!(retry.stderr.contains("sentry rerun"), "{}", retry.stderr);
}

#[test]
fn why_says_after_delivered_how_the_runs_stand_and_what_is_next() {
    let sandbox = failed();
    let why = sandbox.ok(&["why", sample::sha(1).as_str()]);
    let id = sample::id(1);
    assert!(why.contains(": delivered\n"), "{why}");
    assert!(why.contains("  runs   1 failed, 1 succeeded\n"), "{why}");
    assert!(why.contains(&format!("`sentry rerun {id} --failed`")), "{why}");
    let json = sandbox.json(&["why", sample::sha(1).as_str(), "-o", "json"]);
    assert_eq!(
        (&json["answers"][0]["verdict"], &json["answers"][0]["runs"]["failed"]),
        (&"failure".into(), &1.into())
    );
    let running = kept(delivery(DeliveryState::Following, &[Some(RunState::Running)]));
    let why = running.ok(&["why", sample::sha(1).as_str()]);
    assert!(why.contains("1 of 1 run still running"), "{why}");
}

#[test]
fn why_nothing_ran_is_told_document_by_document() {
    let mut passed = delivery(DeliveryState::NothingRan, &[]);
    passed.passed = Some(Reason::NoRunMatched);
    passed.notes = vec!["skipped run.yaml:1 (document 1): on-event is pull_request".into()];
    let sandbox = kept(passed);
    for shown in [sandbox.ok(&["history"]), sandbox.ok(&["show", sample::id(1).as_str()])] {
        assert!(shown.contains("nothing ran: no run matched"), "{shown}");
    }
    let why = sandbox.ok(&["why", sample::sha(1).as_str()]);
    assert!(why.contains(": nothing ran: no run matched\n"), "{why}");
    assert!(why.contains("  note   skipped run.yaml:1 (document 1): on-event"), "{why}");
}

#[test]
fn statuses_that_can_not_be_shown_are_told_once_per_watch() {
    let sandbox = kept(delivery(DeliveryState::Succeeded, &[Some(RunState::Succeeded)]));
    let failing = |n| Report { error: Some("hub: 502".into()), ..sample::report(n) };
    sandbox.keep(&[Write::Report(failing(1)), Write::Report(failing(2))]);
    let line = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("can't set commit statuses"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let repo = sample::watch_state(1).repo;
    let shown = line(&sandbox.ok(&["status"]));
    assert_eq!(
        shown,
        [format!("app: can't set commit statuses on {repo}: hub: 502; will be retried")]
    );
    let given_up = Report { given_up: true, error: Some("hub: 403".into()), ..sample::report(3) };
    sandbox.keep(&[Write::Report(given_up)]);
    let shown = line(&sandbox.ok(&["status"]));
    assert_eq!(
        shown,
        [format!(
            "app: can't set commit statuses on {repo}: hub: 403; `report: off` turns them off"
        )]
    );
}

#[test]
fn of_a_watch_whose_forge_has_no_statuses_it_is_not_said_that_none_are_shown() {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    let report = |watch| Report {
        watch: sample::watch(watch),
        given_up: true,
        error: Some("there are none".into()),
        ..sample::report(1)
    };
    sandbox.keep(&[Write::Report(report("qa")), Write::Report(report("gone"))]);
    assert!(!sandbox.ok(&["status"]).contains("can't set commit statuses"));
    let watch = WatchState { watch: sample::watch("gone"), ..sample::watch_state(1) };
    sandbox.keep(&[Write::Watch(watch)]);
    assert!(sandbox.ok(&["status"]).contains("gone: can't set commit statuses"));
}
