//! How attempts end: tables over outcomes, causes, and what is known of the head.

use super::*;
use crate::delivery::{Asked, AttemptCounts, Cancellation, RunState};
use crate::deployer::{DeployError, DeployErrorKind};
use crate::plan::ObjectOutcome;
use crate::store::Write as W;
use crate::testing::sample;
use crate::watch::sample::watch;

use DeliveryState as D;

/// A delivery of the first commit of `main` that an attempt brought as far as its writing: without runs, objects, or anything
/// to say.
fn delivery(cause: Cause) -> Delivery {
    Delivery {
        asked: Asked {
            cause,
            trigger: None,
            by: None,
            repeats: None,
            event: sample::revision(1).subject.event(),
            only: None,
            dry_run: false,
        },
        state: D::Applying,
        finished: None,
        attempts: AttemptCounts::default(),
        next_attempt: None,
        objects: Vec::new(),
        runs: Vec::new(),
        following_since: None,
        verdict: None,
        passed: None,
        error: None,
        superseded_by: None,
        cancelled: None,
        ..sample::delivery(1)
    }
}

fn run(name: &str, state: RunState) -> RunRecord {
    let mut run = RunRecord { cancelled_by: None, ..sample::run(state) };
    run.object.name = name.to_owned();
    run
}

fn outcome(name: &str, action: Action) -> ObjectOutcome {
    let object = run(name, RunState::Running).object;
    ObjectOutcome { object, run: true, action, reason: None }
}

/// The first commit is the head, and waits for its delivery.
fn cursors() -> Cursors {
    Cursors {
        observed: sample::mark(1),
        delivered: Some(sample::mark(0)),
        passed: None,
        parked: None,
        gone: None,
        ..sample::cursors(1)
    }
}

fn parked_by(delivery: &Delivery) -> Option<Box<Parked>> {
    let parked = sample::cursors(1).parked.unwrap();
    let mark = Mark { sha: delivery.revision.sha.clone(), ..parked.mark.clone() };
    Some(Box::new(Parked { delivery: delivery.id.clone(), mark, ..*parked }))
}

fn by_ops(delivery: &mut Delivery) {
    delivery.cancelled = Some(Cancellation { by: Some("ops".to_owned()), at: sample::time(1) });
}

fn qa() -> Watch {
    watch("qa", &["main"])
}

fn concluded(delivery: Delivery, outcome: Outcome, cursors: &Cursors) -> Conclusion {
    let end = AttemptEnd { delivery, outcome, earlier: 0 };
    conclude(end, &qa(), Some(cursors), sample::time(9), &Backoff::default())
}

impl Conclusion {
    fn delivery(&self) -> &Delivery {
        let is_one = |write: &&Write| matches!(write, W::Delivery(_));
        let mut all = self.writes.iter().filter(is_one);
        match (all.next(), all.next()) {
            (Some(W::Delivery(one)), None) => one,
            other => panic!("{other:?}"),
        }
    }

    fn cursors(&self) -> Option<&Cursors> {
        self.writes.iter().find_map(|write| match write {
            W::Cursors(cursors) => Some(cursors),
            _ => None,
        })
    }

    /// The last reason, and what is told with it.
    fn head(&self) -> Option<(Reason, Option<String>)> {
        self.writes.iter().rev().find_map(|write| match write {
            W::Head(head) => Some((head.reason.clone(), head.detail.clone())),
            _ => None,
        })
    }

    fn inventory(&self) -> usize {
        self.writes.iter().filter(|write| matches!(write, W::Inventory(_))).count()
    }
}

fn refused_by(kind: DeployErrorKind) -> AttemptError {
    AttemptError::Deploy { what: "no".to_owned(), source: DeployError::new(kind, "no") }
}

fn stalled() -> AttemptError {
    AttemptError::NoSuchRun("no such run".to_owned())
}

fn crashed() -> AttemptError {
    AttemptError::Panic("boom".to_owned())
}

fn late() -> AttemptError {
    AttemptError::Timeout { limit: Duration::from_secs(1) }
}

#[test]
fn failures_are_counted_up_to_the_watchs_limit_and_then_looked_at_outages_never() {
    let minutes = |n: u64| Some(Wait::Look(Duration::from_secs(n * 60)));
    let most = qa().timing.max_retries;
    assert_eq!(most, 3);
    let after = |error, failures: u32, cut_off: u32| {
        let mut before = delivery(Cause::Change);
        before.attempts = AttemptCounts { failures, tries: failures, cut_off };
        let end = concluded(before, Outcome::Failed(error), &cursors());
        let AttemptCounts { failures, tries, cut_off } = end.delivery().attempts;
        let retrying = matches!(end.events[..], [EventKind::DeliveryRetrying { .. }]);
        let waits = matches!(end.retry, Some(Wait::Attempt(_)));
        let looks = end.retry.filter(|_| !waits);
        (end.delivery().state, waits, looks, retrying, [failures, tries, cut_off])
    };
    for failed in 0..3 {
        let counts = [failed + 1, failed + 1, 0];
        assert_eq!(after(crashed(), failed, 0), (D::Pending, true, None, true, counts));
    }
    assert_eq!(after(crashed(), 3, 0), (D::Parked, false, minutes(1), false, [4, 4, 0]));
    assert_eq!(after(crashed(), 4, 0), (D::Parked, false, minutes(5), true, [5, 5, 0]));
    assert_eq!(after(crashed(), 5, 0), (D::Parked, false, minutes(10), true, [6, 6, 0]));
    for tried in [0, 3, 100] {
        let counts = [tried, tried + 1, 0];
        assert_eq!(after(late(), tried, 0), (D::Pending, true, None, true, counts));
        assert_eq!(after(stalled(), tried, 0), (D::Parked, false, None, false, counts));
    }
    let cut_off = |times| AttemptError::CutOff { attempt: times };
    assert_eq!(after(cut_off(3), 2, 2), (D::Pending, true, None, true, [3, 3, 3]));
    assert_eq!(after(cut_off(4), 3, 3), (D::Parked, false, None, false, [4, 4, 4]));
}

#[test]
fn where_nothing_is_retried_one_kill_is_looked_at_and_the_second_is_not() {
    let mut watch = qa();
    watch.timing.max_retries = 0;
    let after = |cut_off: u32| {
        let mut before = delivery(Cause::Change);
        before.attempts = AttemptCounts { failures: cut_off, tries: cut_off, cut_off };
        let outcome = Outcome::Failed(AttemptError::CutOff { attempt: cut_off + 1 });
        let end = AttemptEnd { delivery: before, outcome, earlier: 0 };
        let cursors = cursors();
        conclude(end, &watch, Some(&cursors), sample::time(9), &Backoff::default()).retry
    };
    assert_eq!(after(0), Some(Wait::Look(Duration::from_secs(60))));
    assert_eq!(after(1), None);
}

#[test]
fn what_is_given_up_parks_its_head_and_knows_what_would_take_it_up() {
    let parks = |cause, error, change: &dyn Fn(&mut Delivery, &mut Cursors)| {
        let (mut delivery, mut cursors) = (delivery(cause), cursors());
        change(&mut delivery, &mut cursors);
        delivery.attempts.failures = 3;
        let end = concluded(delivery, Outcome::Failed(error), &cursors);
        let state = end.delivery().state;
        let parked = end.cursors().map(|c| c.parked.clone().unwrap());
        assert_eq!(end.retry.is_some(), end.delivery().next_attempt.is_some());
        (state, parked.map(|parked| (parked.again.is_some(), parked.regardless_of_b)))
    };
    let none: &dyn Fn(&mut Delivery, &mut Cursors) = &|_, _| {};
    assert_eq!(parks(Cause::Change, crashed(), none), (D::Parked, Some((true, false))));
    assert_eq!(parks(Cause::Manifests, crashed(), none), (D::Parked, Some((true, false))));
    assert_eq!(parks(Cause::Change, stalled(), none), (D::Parked, Some((false, false))));
    for asked in [Cause::Manual, Cause::Webhook, Cause::Rerun] {
        assert_eq!(parks(asked, crashed(), none), (D::Failed, None));
    }
    // B was not asked; or it was, and has none of the branches.
    let unasked = |d: &mut Delivery, _: &mut Cursors| d.manifests = None;
    assert_eq!(parks(Cause::Change, crashed(), &unasked), (D::Parked, Some((true, true))));
    let nowhere = || AttemptError::NoBranch { repo: "b".to_owned(), wanted: "main".to_owned() };
    assert_eq!(parks(Cause::Change, nowhere(), &unasked), (D::Parked, Some((false, false))));
    let newer = |_: &mut Delivery, c: &mut Cursors| c.observed = sample::mark(2);
    assert_eq!(parks(Cause::Change, crashed(), &newer), (D::Parked, None));
}

#[test]
fn of_a_parked_head_a_cancel_of_another_delivery_counts_no_more() {
    let passed = |reason| Some(Passed { mark: sample::mark(1), reason });
    for (reason, stays) in [(Reason::Cancelled, false), (Reason::NoRunMatched, true)] {
        let before = Cursors { passed: passed(reason.clone()), ..cursors() };
        let end = concluded(delivery(Cause::Change), Outcome::Failed(stalled()), &before);
        assert_eq!(end.cursors().unwrap().passed, passed(reason).filter(|_| stays));
    }
}

#[test]
fn a_dry_run_is_told_and_leaves_nothing_else_behind() {
    let all = [
        Outcome::Done,
        Outcome::Passed(Reason::NoRunMatched),
        Outcome::Failed(crashed()),
        Outcome::Failed(stalled()),
    ];
    for outcome_of in all {
        let told = format!("{outcome_of:?}");
        let mut dry = delivery(Cause::Change);
        dry.asked.dry_run = true;
        dry.objects = vec![outcome("ci", Action::Created)];
        let end = concluded(dry, outcome_of, &cursors());
        assert_eq!(end.inventory(), 0, "{told}");
        let says = "a dry run showed what would be delivered; nothing was written";
        let head = told.starts_with("Done").then(|| (Reason::Waiting, Some(says.to_owned())));
        assert_eq!(end.head(), head, "{told}");
        let moved = end.cursors().filter(|c| c.parked.is_none());
        assert!(moved.is_none() && !matches!(end.retry, Some(Wait::Look(_))), "{told}");
    }
    let mut cancelled = delivery(Cause::Change);
    by_ops(&mut cancelled);
    cancelled.asked.dry_run = true;
    cancelled.objects = vec![outcome("ci", Action::Created)];
    let end = concluded(cancelled, Outcome::Interrupted, &cursors());
    assert_eq!((end.inventory(), end.cursors(), end.delivery().state), (0, None, D::Cancelled));
}

#[test]
fn what_was_not_made_for_certain_is_dropped_and_what_may_have_been_is_kept() {
    let left = |state, kind, earlier, change: &dyn Fn(&mut Delivery)| {
        let mut delivery = delivery(Cause::Change);
        let all = ["none", "skipped", "failed", "created", "exists", "ended"];
        delivery.runs = all.map(|name| run(name, RunState::Running)).into();
        delivery.runs[5].state = RunState::Failed;
        delivery.objects = vec![
            outcome("skipped", Action::Skipped),
            outcome("failed", Action::Failed),
            outcome("created", Action::Created),
            outcome("exists", Action::Exists),
            outcome("ended", Action::Skipped),
        ];
        delivery.state = state;
        change(&mut delivery);
        let end = AttemptEnd { delivery, outcome: Outcome::Failed(refused_by(kind)), earlier };
        let end = conclude(end, &qa(), Some(&cursors()), sample::time(9), &Backoff::default());
        let names = end.delivery().runs.iter().map(|run| run.object.name.clone());
        names.collect::<Vec<_>>().join(" ")
    };
    let all = "none skipped failed created exists ended";
    let (answer, outage) = (DeployErrorKind::Forbidden, DeployErrorKind::Unreachable);
    assert!(answer.is_answer() && !outage.is_answer());
    for change in [&(|_: &mut Delivery| {}) as &dyn Fn(&mut Delivery), &by_ops] {
        assert_eq!(left(D::Applying, answer, 0, change), "none created exists ended");
        assert_eq!(left(D::Applying, outage, 0, change), "none failed created exists ended");
        // What an earlier attempt was to make may be there.
        assert_eq!(left(D::Applying, answer, 1, change), "none created exists ended");
        assert_eq!(left(D::Applying, answer, 2, change), "none skipped created exists ended");
        assert_eq!(left(D::Applying, answer, 3, change), all);
        // The outcomes are those of an earlier attempt.
        assert_eq!(left(D::Checking, answer, 0, change), all);
    }
}

#[test]
fn a_cursor_moves_to_the_head_that_was_delivered_and_for_a_person_only_to_the_newest() {
    let whole: &dyn Fn(&mut Delivery) = &|_| {};
    let part: &dyn Fn(&mut Delivery) = &|d| d.asked.only = Some("ci".to_owned());
    let moves = |cause, change: &dyn Fn(&mut Delivery), of: &dyn Fn(&mut Cursors)| {
        let (mut delivery, mut cursors) = (delivery(cause), cursors());
        change(&mut delivery);
        of(&mut cursors);
        let end = concluded(delivery, Outcome::Done, &cursors);
        let delivered = end.cursors().and_then(|c| c.delivered.clone());
        delivered.is_some_and(|mark| mark.sha == sample::sha(1))
    };
    let now: &dyn Fn(&mut Cursors) = &|_| {};
    let newer: &dyn Fn(&mut Cursors) = &|c| c.observed = sample::mark(2);
    let gone: &dyn Fn(&mut Cursors) = &|c| c.gone = Some(sample::time(2));
    let settled: &dyn Fn(&mut Cursors) = &|c| c.delivered = Some(sample::mark(1));
    for cause in [Cause::Change, Cause::Manifests] {
        assert!(moves(cause, whole, now) && moves(cause, whole, newer));
        assert!(!moves(cause, whole, gone));
    }
    for cause in [Cause::Manual, Cause::Webhook, Cause::Rerun] {
        assert!(moves(cause, whole, now) && !moves(cause, whole, newer));
        assert!(!moves(cause, whole, gone));
        assert!(!moves(cause, part, now), "the head still waits for the rest");
        assert!(moves(cause, part, settled));
    }
    // Of the same commit, merged into another branch meanwhile: it is to be judged again.
    let pull = |target: &str| {
        Some(Box::new(crate::pull::PullRequest {
            target_branch: sample::parse(target),
            ..sample::pull(12)
        }))
    };
    let main: &dyn Fn(&mut Delivery) = &|d| d.pull = pull("main");
    for (target, is_moved) in [("main", true), ("release", false)] {
        let of: &dyn Fn(&mut Cursors) = &|c| c.pull = pull(target);
        assert_eq!(moves(Cause::Change, main, of), is_moved, "{target}");
        assert_eq!(moves(Cause::Manual, main, of), is_moved, "{target}");
    }
}

#[test]
fn what_was_delivered_is_remembered_with_its_commit_of_b_and_takes_no_other_head_from_its_park() {
    let delivered = |change: &dyn Fn(&mut Delivery, &mut Cursors)| {
        let (mut delivery, mut cursors) = (delivery(Cause::Change), cursors());
        change(&mut delivery, &mut cursors);
        concluded(delivery, Outcome::Done, &cursors)
    };
    let end = delivered(&|d, c| c.parked = parked_by(d));
    let now = end.cursors().unwrap();
    assert_eq!(now.manifests, Some(sample::sha(8)));
    assert_eq!((&now.parked, &now.passed), (&None, &None));
    assert_eq!(end.head(), Some((Reason::Delivered, None)));
    let other = |d: &mut Delivery, c: &mut Cursors| {
        c.parked = parked_by(d);
        c.parked.as_mut().unwrap().mark = sample::mark(7);
    };
    let end = delivered(&other);
    assert_eq!(end.cursors().unwrap().parked.as_ref().unwrap().mark, sample::mark(7));
    let part = |d: &mut Delivery, c: &mut Cursors| {
        d.asked.only = Some("ci".to_owned());
        c.delivered = Some(sample::mark(1));
    };
    let b = delivered(&part).cursors().unwrap().manifests.clone();
    assert_eq!(b, cursors().manifests, "the rest still waits for this commit of B");
    let idle = delivered(&|d, _| {
        d.passed = Some(Reason::OnlyObjects);
        d.attempts.tries = 2;
        d.objects = vec![ObjectOutcome { run: false, ..outcome("task", Action::Configured) }];
    });
    let passed = idle.cursors().unwrap().passed.clone().unwrap();
    assert_eq!((passed.reason, passed.mark.sha), (Reason::OnlyObjects, sample::sha(1)));
    let told = "no run started; objects applied: 1".to_owned();
    assert_eq!(idle.head(), Some((Reason::OnlyObjects, Some(told))));
    assert_eq!(idle.delivery().attempts.tries, 2);
    assert_eq!(delivered(&|d, _| d.attempts.tries = 2).delivery().attempts.tries, 0);
}

#[test]
fn runs_that_wait_for_room_are_counted_and_followed() {
    for (waiting, text) in
        [(1, "1 run waits: 20 may run at once in qa"), (2, "2 runs wait: 20 may run at once in qa")]
    {
        let mut delivery = delivery(Cause::Change);
        let names = ["a", "b"].into_iter().take(waiting);
        delivery.objects = names.map(|name| outcome(name, Action::Queued)).collect();
        delivery.objects.push(outcome("made", Action::Created));
        let end = concluded(delivery, Outcome::Done, &cursors());
        let most = qa().timing.max_active_runs.to_string();
        let text = text.replace("20", &most);
        assert_eq!(end.head(), Some((Reason::Waiting, Some(text))));
        assert_eq!((end.delivery().state, end.inventory()), (D::Following, 1));
        assert!(end.cursors().is_none());
        let told = |event: &EventKind| matches!(event, EventKind::RunsQueued { queued, .. } if *queued == waiting);
        assert!(end.events.iter().any(told), "{:?}", end.events);
    }
}

#[test]
fn a_cancel_counts_unless_the_attempt_was_complete() {
    let ended = |outcome_of, change: &dyn Fn(&mut Delivery)| {
        let mut delivery = delivery(Cause::Change);
        by_ops(&mut delivery);
        change(&mut delivery);
        let end = concluded(delivery, outcome_of, &cursors());
        let passed = end.cursors().and_then(|c| c.passed.clone()).map(|passed| passed.reason);
        (end.delivery().state, passed, end.inventory())
    };
    let none: &dyn Fn(&mut Delivery) = &|_| {};
    let cancelled = || (D::Cancelled, Some(Reason::Cancelled), 0);
    assert_eq!(ended(Outcome::Interrupted, none), cancelled());
    assert_eq!(ended(Outcome::Failed(late()), none), cancelled());
    assert_eq!(ended(Outcome::Superseded(sample::sha(2)), none), cancelled());
    let passed = Reason::NoRunMatched;
    let nothing = ended(Outcome::Passed(passed.clone()), none);
    assert_eq!(nothing, (D::NothingRan, Some(passed), 0));
    let made: &dyn Fn(&mut Delivery) = &|d| {
        d.objects = vec![outcome("ci", Action::Created)];
        d.runs = vec![run("ci", RunState::Running)];
    };
    assert_eq!(ended(Outcome::Done, made), (D::Following, None, 1));
    assert_eq!(ended(Outcome::Interrupted, made), (D::Following, Some(Reason::Cancelled), 1));
    // A part of it still waits for room: that is cancelled.
    let queued: &dyn Fn(&mut Delivery) = &|d| d.objects = vec![outcome("ci", Action::Queued)];
    assert_eq!(ended(Outcome::Done, queued), cancelled());
}

#[test]
fn a_cancel_settles_the_head_that_nobody_else_was_to_deliver() {
    let settled = |change: &dyn Fn(&mut Delivery, &mut Cursors)| {
        let (mut delivery, mut cursors) = (delivery(Cause::Change), cursors());
        by_ops(&mut delivery);
        change(&mut delivery, &mut cursors);
        let end = cancelled(delivery, Some(&cursors), sample::time(9));
        let told = Some("cancelled by ops".to_owned());
        assert_eq!(end.head(), Some((Reason::Cancelled, told)));
        let now = end.cursors().cloned();
        now.map(|now| (now.passed.is_some(), now.parked.is_some()))
    };
    assert_eq!(settled(&|_, _| {}), Some((true, false)));
    assert_eq!(settled(&|d, c| c.parked = parked_by(d)), Some((true, false)));
    let other: &dyn Fn(&mut Delivery, &mut Cursors) = &|d, c| {
        c.parked = parked_by(d);
        c.parked.as_mut().unwrap().delivery = sample::id(7);
    };
    assert_eq!(settled(other), None, "another delivery of it is parked");
    assert_eq!(settled(&|_, c| c.observed = sample::mark(2)), None);
    assert_eq!(settled(&|_, c| c.delivered = Some(sample::mark(1))), None);
    assert_eq!(settled(&|_, c| c.gone = Some(sample::time(2))), None);
    let parts: [&dyn Fn(&mut Delivery); 4] = [
        &|d| d.asked.only = Some("ci".to_owned()),
        &|d| d.asked.repeats = Some(sample::id(3)),
        &|d| d.asked.event = crate::subject::EventName::new("nightly"),
        &|d| d.asked.dry_run = true,
    ];
    for part in parts {
        assert_eq!(settled(&|d, _| part(d)), None);
        // What it parked is parked no more.
        let parked = settled(&|d, c| {
            part(d);
            c.parked = parked_by(d);
        });
        assert_eq!(parked, Some((false, false)));
    }
}

#[test]
fn how_the_runs_ended_is_the_end_and_why_says_so_where_it_is_no_success() {
    let ended = |runs: &[RunState], change: &dyn Fn(&mut Delivery)| {
        let mut delivery = delivery(Cause::Change);
        let all = ["a", "b", "c"];
        let runs = all.iter().zip(runs);
        delivery.runs = runs.clone().map(|(name, state)| run(name, *state)).collect();
        delivery.objects = runs.map(|(name, _)| outcome(name, Action::Created)).collect();
        change(&mut delivery);
        let end = finished(delivery, sample::time(9));
        (end.delivery().state, end.head().map(|(reason, _)| reason))
    };
    let none: &dyn Fn(&mut Delivery) = &|_| {};
    let left = |d: &mut Delivery| d.objects.push(outcome("left", Action::Skipped));
    use RunState::{Cancelled, Failed, Succeeded};
    assert_eq!(ended(&[Succeeded], none), (D::Succeeded, None));
    assert_eq!(ended(&[Failed, Succeeded], none), (D::Failed, Some(Reason::Delivered)));
    let newer: &dyn Fn(&mut Delivery) = &|d| d.superseded_by = Some(sample::sha(2));
    let by = Some(Reason::SupersededBy(sample::sha(2)));
    assert_eq!(ended(&[Failed], newer), (D::Failed, by));
    assert_eq!(ended(&[Succeeded], newer), (D::Succeeded, None));
    // What was cancelled and ended by itself all the same.
    assert_eq!(ended(&[Succeeded], &by_ops), (D::Succeeded, Some(Reason::Delivered)));
    assert_eq!(ended(&[Failed], &by_ops), (D::Failed, Some(Reason::Delivered)));
    assert_eq!(ended(&[Cancelled], &by_ops), (D::Cancelled, None));
    let both: &dyn Fn(&mut Delivery) = &|d| {
        by_ops(d);
        left(d);
    };
    assert_eq!(ended(&[Failed], both), (D::Failed, Some(Reason::Cancelled)));
    assert_eq!(ended(&[Failed], &left), (D::Failed, Some(Reason::Delivered)));
}
