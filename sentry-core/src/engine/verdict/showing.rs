//! Every state of a delivery and of its runs, and the words that stand on the commit for it.

use super::*;
use crate::delivery::{Asked, AttemptCounts, Cancellation, Reason};
use crate::plan::{Operation, PlannedObject, RunRules};
use crate::testing::sample;
use crate::watch::sample::watch;

use DeliveryState as D;
use ReportDetail::{Counts, Reasons, State};
use StatusState::{Cancelled, Error, Failure, Neutral, Pending, Success};

/// What sets a delivery apart.
type Change<'a> = &'a dyn Fn(&mut Delivery);

/// A run of this name that stands so, and says nothing of why.
fn run(name: &str, state: RunState) -> RunRecord {
    let mut run =
        RunRecord { reason: None, message: None, cancelled_by: None, ..sample::run(state) };
    run.object.name = format!("{name}-0a1b2c3d-abcdefghijklmnop");
    run
}

fn outcome(name: &str, action: Action) -> ObjectOutcome {
    let object = run(name, RunState::Running).object;
    ObjectOutcome { object, run: true, reason: None, action }
}

/// A delivery without anything to say, in this state, with runs that were made and stand so.
fn delivery(state: DeliveryState, runs: &[(&str, RunState)]) -> Delivery {
    let made = runs.iter().map(|(name, _)| outcome(name, Action::Created));
    Delivery {
        asked: Asked { dry_run: false, ..sample::asked(1) },
        state,
        attempts: AttemptCounts::default(),
        next_attempt: None,
        intent: None,
        objects: made.collect(),
        runs: runs.iter().map(|(name, state)| run(name, *state)).collect(),
        verdict: None,
        passed: None,
        detail: None,
        error: None,
        superseded_by: None,
        cancelled: None,
        ..sample::delivery(1)
    }
}

fn by_ops() -> Option<Cancellation> {
    Some(Cancellation { by: Some("ops".to_owned()), at: sample::time(1) })
}

/// What the commit shows with so much detail.
fn shown(delivery: &Delivery, detail: ReportDetail) -> Option<(StatusState, String)> {
    let mut watch = watch("qa", &["main"]);
    watch.reporting.detail = Some(detail);
    whole(&watch, delivery, false).map(|line| (line.state, line.text))
}

fn bare(state: StatusState) -> &'static str {
    match state {
        Pending => "in progress",
        Success => "succeeded",
        Failure => "failed",
        Error => "an error",
        Cancelled => "cancelled",
        Neutral => "nothing ran, or a newer commit took its place",
    }
}

/// A delivery so changed shows this state, and so much of it: with counts, and with reasons.
fn tells(
    (state, runs): (DeliveryState, &[(&str, RunState)]),
    change: impl Fn(&mut Delivery),
    (shows, counts, reasons): (StatusState, &str, &str),
) {
    let mut delivery = delivery(state, runs);
    change(&mut delivery);
    for (detail, text) in [(State, bare(shows)), (Counts, counts), (Reasons, reasons)] {
        assert_eq!(shown(&delivery, detail), Some((shows, text.to_owned())), "{counts}");
    }
}

const ENDED: [(&str, RunState); 2] = [("ci", RunState::Succeeded), ("it", RunState::Cancelled)];
const FAILED: [(&str, RunState); 2] = [("ci", RunState::Failed), ("it", RunState::Succeeded)];

#[test]
fn an_end_is_told_in_as_many_words_as_the_watch_allows() {
    let cancel = |d: &mut Delivery| d.cancelled = by_ops();
    let runs = |cause: &str| format!("{cause}; its runs: 1 succeeded, 1 cancelled");
    let (bare, by) = (runs("cancelled"), runs("cancelled by ops"));
    tells((D::Cancelled, &ENDED), cancel, (Cancelled, &bare, &by));
    let (bare, by) = ("cancelled: none of it ran", "cancelled by ops: none of it ran");
    tells((D::Cancelled, &[]), cancel, (Cancelled, bare, by));
    tells((D::Cancelled, &FAILED[..1]), cancel, (Cancelled, "cancelled", "cancelled by ops"));

    let verdict = |verdict| move |d: &mut Delivery| d.verdict = Some(verdict);
    let one = "1 run succeeded";
    tells((D::Succeeded, &ENDED[..1]), verdict(Verdict::Success), (Success, one, one));
    let two = "2 runs started; their results are not followed";
    tells((D::Succeeded, &ENDED), |_| {}, (Neutral, two, two));
    let (counts, reasons) = ("1 of 2 runs failed", "1 of 2 runs failed: ci");
    tells((D::Failed, &FAILED), verdict(Verdict::Failure), (Failure, counts, reasons));
    let lost = "it could not be started or followed";
    tells((D::Failed, &FAILED), verdict(Verdict::Error), (Error, lost, ""));

    let newer = |verdict| {
        move |d: &mut Delivery| (d.superseded_by, d.verdict) = (Some(sample::sha(2)), verdict)
    };
    let by = runs(&format!("superseded by {}", sample::sha(2)));
    tells((D::Superseded, &ENDED), newer(Some(Verdict::Success)), (Success, &by, &by));
    tells((D::Superseded, &ENDED), newer(None), (Neutral, &by, &by));
    let gone = "the branch was deleted: none of it ran";
    tells((D::Superseded, &[]), |_| {}, (Neutral, gone, gone));
    let idle = "nothing ran: only objects";
    let only_objects = |d: &mut Delivery| d.passed = Some(Reason::OnlyObjects);
    tells((D::NothingRan, &[]), only_objects, (Neutral, idle, idle));
    let idle = "nothing ran: no reason was given";
    tells((D::NothingRan, &[]), |_| {}, (Neutral, idle, idle));
}

#[test]
fn what_waits_is_told_in_as_many_words_as_the_watch_allows() {
    let later = "not started yet, will be retried";
    let parked =
        |at| move |d: &mut Delivery| (d.next_attempt, d.error) = (at, Some("forbidden".to_owned()));
    let (why, at) = (format!("{later}: forbidden"), Some(sample::time(9)));
    tells((D::Parked, &[]), parked(at), (Error, later, &why));
    let lost = "it could not be started or followed";
    tells((D::Parked, &[]), parked(None), (Error, lost, "forbidden"));
    let away = |tries| {
        move |d: &mut Delivery| (d.attempts.tries, d.error) = (tries, Some("away".to_owned()))
    };
    let retries = watch("qa", &["main"]).timing.max_retries;
    for tries in [1, retries] {
        tells((D::Pending, &[]), away(tries), (Pending, "waiting", "waiting: away"));
    }
    let why = format!("{later}: away");
    tells((D::Pending, &[]), away(retries + 1), (Error, later, &why));
    let begun = sample::delivery(1).intent;
    let text = "the manifests are being delivered";
    tells((D::Checking, &[]), |d| d.intent = begun.clone(), (Pending, text, text));
    for state in [D::Pending, D::Fetching, D::Checking, D::Applying] {
        assert_eq!(shown(&delivery(state, &[]), Reasons), None, "{state:?} has done nothing yet");
    }
}

#[test]
fn what_was_not_started_is_counted_where_something_cut_a_delivery_short() {
    let mut cut = delivery(D::Cancelled, &[("ci", RunState::Succeeded)]);
    cut.cancelled = by_ops();
    cut.objects.extend(["it", "ui"].map(|name| outcome(name, Action::Skipped)));
    let object = ObjectOutcome { run: false, ..outcome("task", Action::Skipped) };
    cut.objects.push(object);
    let text = "cancelled; its runs: 1 succeeded, 2 not started".to_owned();
    assert_eq!(shown(&cut, Counts), Some((Cancelled, text)));
}

#[test]
fn each_run_is_told_by_its_own_end() {
    let line = |delivery: &Delivery| {
        let mut lines: Vec<_> = each_run(delivery, delivery).collect();
        let (name, line) = lines.remove(0);
        assert_eq!((name.as_str(), lines.len()), ("ci", 0));
        (line.state, line.text)
    };
    let told = |state, change: &dyn Fn(&mut Delivery)| {
        let mut delivery = delivery(D::Following, &[("ci", state)]);
        change(&mut delivery);
        line(&delivery)
    };
    let by = |d: &mut Delivery| d.runs[0].cancelled_by = Some(sample::sha(2));
    let ops = |d: &mut Delivery| d.cancelled = by_ops();
    let why = |d: &mut Delivery| d.runs[0].reason = Some("Because".to_owned());
    let both = |d: &mut Delivery| {
        why(d);
        d.runs[0].message = Some("exit code 1".to_owned());
    };
    let none = |_: &mut Delivery| {};
    let newer = format!("cancelled for {}", sample::sha(2));
    let cases: [(RunState, Change<'_>, StatusState, &str); 13] = [
        (RunState::Running, &none, Pending, "running"),
        (RunState::Running, &ops, Pending, "running"),
        (RunState::Succeeded, &none, Success, "succeeded"),
        (RunState::Succeeded, &ops, Success, "succeeded"),
        (RunState::Failed, &none, Failure, "failed"),
        (RunState::Failed, &both, Failure, "failed: exit code 1"),
        // It ended before it could be cancelled.
        (RunState::Failed, &by, Failure, "failed"),
        (RunState::Cancelled, &none, Error, "cancelled"),
        (RunState::Cancelled, &by, Neutral, &newer),
        (RunState::Cancelled, &ops, Cancelled, "cancelled by ops"),
        (RunState::Gone, &none, Error, "gone"),
        (RunState::Unfollowed, &none, Neutral, "its result is unknown"),
        (RunState::Unfollowed, &why, Error, "unfollowed: Because"),
    ];
    for (state, change, shown, text) in cases {
        assert_eq!(told(state, change), (shown, text.to_owned()), "{state:?}");
    }
    let (state, _) = told(RunState::Cancelled, &|d| {
        ops(d);
        by(d);
    });
    assert_eq!(state, Neutral, "for a newer head before somebody cancelled it");
}

#[test]
fn a_run_that_was_not_started_has_a_line_once_the_delivery_is_through() {
    let told = |state, action, change: &dyn Fn(&mut Delivery)| {
        let mut delivery = delivery(state, &[]);
        delivery.objects = vec![outcome("ci", action)];
        change(&mut delivery);
        let lines = each_run(&delivery, &delivery).map(|(_, line)| (line.state, line.text));
        lines.collect::<Vec<_>>()
    };
    let none = |_: &mut Delivery| {};
    let one = |state, text: &str| vec![(state, text.to_owned())];
    let unknown = "not started: no reason was given";
    assert_eq!(told(D::Failed, Action::Skipped, &none), one(Error, unknown));
    assert_eq!(told(D::Failed, Action::Failed, &none), one(Error, unknown));
    let quota = |d: &mut Delivery| d.objects[0].reason = Some("a quota".to_owned());
    assert_eq!(told(D::Failed, Action::Failed, &quota), one(Error, "not started: a quota"));
    let ops = |d: &mut Delivery| d.cancelled = by_ops();
    assert_eq!(told(D::Cancelled, Action::Skipped, &ops), one(Cancelled, unknown));
    let newer = |d: &mut Delivery| d.superseded_by = Some(sample::sha(2));
    assert_eq!(told(D::Superseded, Action::Skipped, &newer), one(Neutral, unknown));
    // Not yet, no run, one with a record of its own, one that was made, one that waits.
    assert_eq!(told(D::Pending, Action::Skipped, &none), []);
    assert_eq!(told(D::Failed, Action::Skipped, &|d| d.objects[0].run = false), []);
    let record = |d: &mut Delivery| d.runs = vec![run("ci", RunState::Failed)];
    assert_eq!(told(D::Failed, Action::Skipped, &record), one(Failure, "failed"));
    assert_eq!(told(D::Failed, Action::Created, &none), []);
    assert_eq!(told(D::Failed, Action::Queued, &none), []);
}

#[test]
fn a_link_names_nothing_of_the_cluster_where_no_reasons_are_told() {
    let one = delivery(D::Following, &[]);
    let to = |template: &str, detail| {
        let mut watch = watch("qa", &["main"]);
        watch.reporting.link = Some(template.to_owned());
        watch.reporting.detail = Some(detail);
        link(&watch, &one, Some("ci-1"))
    };
    let all = "https://d.example/{watch}/{delivery}/{branch}/{revision}";
    let (id, sha) = (sample::id(1), sample::sha(1));
    for detail in [State, Counts, Reasons] {
        assert_eq!(to(all, detail), Some(format!("https://d.example/qa/{id}/main/{sha}")));
    }
    for inside in ["https://d.example/{namespace}", "https://d.example/{run}"] {
        assert_eq!((to(inside, State), to(inside, Counts)), (None, None));
    }
    let both = to("https://d.example/{namespace}/{run}", Reasons);
    assert_eq!(both.as_deref(), Some("https://d.example/qa/ci-1"));
    assert_eq!(link(&watch("qa", &["main"]), &one, None), None, "no watch has one by itself");
}

#[test]
fn a_record_is_wanted_of_each_run_that_has_none_in_the_plans_order() {
    let planned = |name: &str, operation| PlannedObject {
        object: run(name, RunState::Running).object,
        operation,
        json: serde_json::Value::Null,
        rules: RunRules { keep: Some(3), cancels_older: true },
    };
    let create = |name: &str| planned(name, Operation::Create { key: name.to_owned() });
    let plan = Plan {
        delivery: sample::id(1),
        cluster: watch("qa", &["main"]).cluster,
        force_conflicts: Default::default(),
        objects: vec![create("z"), planned("task", Operation::Apply), create("known"), create("a")],
        git_auth: Vec::new(),
        timeout: std::time::Duration::ZERO,
    };
    let wanted = wanted(&plan, &[run("known", RunState::Failed)]);
    let names: Vec<_> = wanted.iter().map(|run| run.object.base_name()).collect();
    assert_eq!(names, ["z", "a"]);
    let rules = RunRules { keep: Some(3), cancels_older: true };
    assert!(wanted.iter().all(|run| run.state == RunState::Running && run.rules == rules));
}
