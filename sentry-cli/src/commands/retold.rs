//! A delivery that somebody else carries, told again as the events that it told itself.

use sentry_api::shape::{Object, Show};
use sentry_api::words;
use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Cause, Delivery, DeliveryState, Reason, RunRecord, RunState, Verdict};
use sentry_core::event::EventKind;
use sentry_core::plan::{Action, ObjectOutcome, ObjectRef, RunRules};
use sentry_core::repo::ParseError;
use sentry_core::revision::Revision;
use sentry_core::subject::{EventName, Subject};

/// The record that an answer was made of, as far as the answer tells. What it does not tell is empty.
///
/// # Errors
/// If it holds what is no name, commit or id.
pub(super) fn record(show: &Show) -> Result<Delivery, ParseError> {
    let told = &show.delivery;
    let manifests = match (&told.manifests_revision, &show.manifests_branch) {
        (Some(sha), Some(branch)) => {
            Some(Revision { subject: Subject::Branch(branch.parse()?), sha: sha.parse()? })
        }
        _ => None,
    };
    let asked = show.asked_for.clone();
    let (event, only) = asked.map_or((None, None), |asked| (asked.event, asked.run));
    let event = event.unwrap_or_else(|| "push".to_owned());
    Ok(Delivery {
        id: told.id.parse()?,
        watch: told.watch.parse()?,
        revision: Revision {
            subject: Subject::Branch(told.branch.parse()?),
            sha: told.revision.parse()?,
        },
        event: EventName::new(event),
        only,
        cause: cause(told.trigger),
        trigger: None,
        dry_run: told.dry_run,
        state: state(told.state),
        started: told.started,
        finished: told.finished,
        manifests,
        intent: None,
        failures: 0,
        tries: tries(show),
        cut_off: 0,
        next_attempt: show.next_attempt,
        objects: told.objects.iter().map(outcome).collect(),
        runs: runs(show),
        following_since: told.following_since,
        verdict: told.verdict.and_then(verdict),
        passed: told.nothing_ran.and_then(passed),
        steps: Vec::new(),
        notes: show.notes.clone(),
        error: told.error.clone(),
        superseded_by: show.superseded_by.as_deref().map(str::parse).transpose()?,
    })
}

/// Failed attempts: all but the one that works or succeeded.
fn tries(show: &Show) -> u32 {
    let fails = match state(show.delivery.state) {
        DeliveryState::Pending => true,
        DeliveryState::Failed | DeliveryState::Parked => show.delivery.verdict.is_none(),
        _ => false,
    };
    show.attempts.saturating_sub(u32::from(!fails))
}

fn outcome(object: &Object) -> ObjectOutcome {
    ObjectOutcome {
        object: reference(object),
        run: object.run,
        action: action(object.action),
        reason: object.reason.clone(),
    }
}

fn reference(object: &Object) -> ObjectRef {
    ObjectRef {
        path: object.path.clone(),
        document: 0,
        line: object.line,
        api_version: String::new(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}

/// The runs that were created, or are to be; in a dry run none is.
fn runs(show: &Show) -> Vec<RunRecord> {
    let objects = show.delivery.objects.iter().filter(|object| object.run);
    let created = objects.zip(&show.delivery.runs).filter(|(o, _)| o.action.is_acknowledged());
    let record = |(object, run): (&Object, &sentry_api::shape::Run)| {
        Some(RunRecord {
            object: reference(object),
            state: run_state(run.state)?,
            reason: run.reason.clone(),
            message: run.message.clone(),
            completed: run.ended,
            rules: RunRules::default(),
            cancelled_by: None,
        })
    };
    created.filter_map(record).collect()
}

fn cause(word: words::Cause) -> Cause {
    match word {
        words::Cause::Change => Cause::Change,
        words::Cause::Webhook => Cause::Webhook,
        words::Cause::Rerun => Cause::Rerun,
        _ => Cause::Manual,
    }
}

/// A word of a newer server is no end: it is waited for one that is known.
fn state(word: words::DeliveryState) -> DeliveryState {
    match word {
        words::DeliveryState::Pending => DeliveryState::Pending,
        words::DeliveryState::Fetching => DeliveryState::Fetching,
        words::DeliveryState::Checking => DeliveryState::Checking,
        words::DeliveryState::Applying => DeliveryState::Applying,
        words::DeliveryState::Succeeded => DeliveryState::Succeeded,
        words::DeliveryState::NothingRan => DeliveryState::NothingRan,
        words::DeliveryState::Failed => DeliveryState::Failed,
        words::DeliveryState::Superseded => DeliveryState::Superseded,
        words::DeliveryState::Parked => DeliveryState::Parked,
        _ => DeliveryState::Following,
    }
}

fn passed(word: words::Reason) -> Option<Reason> {
    match word {
        words::Reason::NoRunMatched => Some(Reason::NoRunMatched),
        words::Reason::NoFile => Some(Reason::NoFile),
        words::Reason::OnlyObjects => Some(Reason::OnlyObjects),
        words::Reason::RunsLeftOut => Some(Reason::RunsLeftOut),
        words::Reason::SkippedByMarker => Some(Reason::SkippedByMarker),
        _ => None,
    }
}

fn run_state(word: words::RunState) -> Option<RunState> {
    match word {
        words::RunState::Running => Some(RunState::Running),
        words::RunState::Succeeded => Some(RunState::Succeeded),
        words::RunState::Failed => Some(RunState::Failed),
        words::RunState::Cancelled => Some(RunState::Cancelled),
        words::RunState::Gone => Some(RunState::Gone),
        words::RunState::Unfollowed => Some(RunState::Unfollowed),
        _ => None,
    }
}

fn action(word: words::Action) -> Action {
    match word {
        words::Action::Created => Action::Created,
        words::Action::Configured => Action::Configured,
        words::Action::Unchanged => Action::Unchanged,
        words::Action::Exists => Action::Exists,
        words::Action::Queued => Action::Queued,
        words::Action::Failed => Action::Failed,
        _ => Action::Skipped,
    }
}

fn verdict(word: words::Verdict) -> Option<Verdict> {
    match word {
        words::Verdict::Success => Some(Verdict::Success),
        words::Verdict::Failure => Some(Verdict::Failure),
        words::Verdict::Error => Some(Verdict::Error),
        _ => None,
    }
}

/// Another agent's progress as the events that it told itself.
pub(super) fn progress(last: Option<&Delivery>, now: &Delivery) -> Vec<EventKind> {
    let (id, watch, revision) = (&now.id, &now.watch, &now.revision);
    let mut events = Vec::new();
    if last.is_none() {
        events.push(EventKind::DeliveryStarted {
            id: id.clone(),
            watch: watch.clone(),
            revision: revision.clone(),
            cause: now.cause,
            attempt: now.tries + 1,
        });
    }
    for run in &now.runs {
        let before = last.and_then(|l| l.runs.iter().find(|r| r.object == run.object));
        if before.map_or(RunState::Running, |before| before.state) != run.state {
            let (id, watch, revision) = (id.clone(), watch.clone(), revision.clone());
            events.push(EventKind::RunChanged { id, watch, revision, run: run.clone() });
        }
    }
    if now.state.is_final() {
        events.push(settled(now));
    } else if last.is_none_or(|last| last.state != now.state) {
        let (id, watch, state) = (id.clone(), watch.clone(), now.state);
        events.push(EventKind::DeliveryStep { id, watch, state });
    }
    events
}

/// Why a delivery waits for its next attempt, and until when, if that is news.
pub(super) fn waits<'a>(
    last: Option<&Delivery>,
    now: &'a Delivery,
) -> Option<(&'a str, Timestamp)> {
    let is_news = last.is_none_or(|last| last.next_attempt != now.next_attempt);
    let next = now.next_attempt.filter(|_| is_news && now.state == DeliveryState::Pending)?;
    Some((now.error.as_deref()?, next))
}

fn settled(delivery: &Delivery) -> EventKind {
    let end = delivery.finished.unwrap_or(delivery.started);
    EventKind::DeliverySettled {
        id: delivery.id.clone(),
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        state: delivery.state,
        manifests: delivery.manifests.as_ref().map(|b| b.sha.clone()),
        objects: delivery.objects.clone(),
        runs: delivery.runs.clone(),
        verdict: delivery.verdict,
        passed: delivery.passed.clone(),
        took: end.duration_since(delivery.started).unsigned_abs(),
        error: delivery.error.clone(),
        dry_run: delivery.dry_run,
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;

    fn delivery(state: DeliveryState, run: RunState) -> Delivery {
        let objects = vec![sample::outcome(Action::Created)];
        let runs = vec![sample::run(run)];
        Delivery { state, objects, runs, dry_run: false, ..sample::delivery(1) }
    }

    #[test]
    fn an_answer_tells_a_delivery_again_but_for_what_only_the_engine_needs() {
        let one = Delivery { trigger: None, ..delivery(DeliveryState::Failed, RunState::Failed) };
        let again = record(&Show::from(&one)).unwrap();
        assert_eq!(Show::from(&again).delivery, Show::from(&one).delivery);
        assert_eq!(again.tries, one.tries);
        assert_eq!(again.runs[0].message, one.runs[0].message);
        assert_eq!(
            (again.event, again.only, again.superseded_by),
            (one.event, one.only, one.superseded_by)
        );
    }

    #[test]
    fn what_a_delivery_waits_for_is_told_once_for_each_attempt() {
        let next = |second| Some(Timestamp::from_second(second).unwrap());
        let pending = delivery(DeliveryState::Pending, RunState::Running);
        let first = Delivery { error: Some("away".into()), next_attempt: next(60), ..pending };
        let second = Delivery { next_attempt: next(120), ..first.clone() };
        assert_eq!(waits(None, &first), next(60).map(|at| ("away", at)));
        assert_eq!(waits(Some(&first), &first), None);
        assert_eq!(waits(Some(&first), &second), next(120).map(|at| ("away", at)));
        let begun = Delivery { state: DeliveryState::Fetching, ..second };
        assert_eq!(waits(Some(&first), &begun), None);
    }

    #[test]
    fn what_another_agent_does_is_told_once_and_to_its_end() {
        let applying = delivery(DeliveryState::Applying, RunState::Running);
        let following = delivery(DeliveryState::Following, RunState::Running);
        let failed = delivery(DeliveryState::Failed, RunState::Failed);
        let kinds = |last: Option<&Delivery>, now: &Delivery| -> Vec<&'static str> {
            let word = |event: &EventKind| match event {
                EventKind::DeliveryStarted { .. } => "started",
                EventKind::DeliveryStep { state, .. } => state.as_str(),
                EventKind::RunChanged { run, .. } => run.state.as_str(),
                EventKind::DeliverySettled { state, .. } => state.as_str(),
                _ => "other",
            };
            let again = |d: &Delivery| record(&Show::from(d)).unwrap();
            progress(last.map(again).as_ref(), &again(now)).iter().map(word).collect()
        };
        assert_eq!(kinds(None, &applying), ["started", "applying"]);
        assert_eq!(kinds(Some(&applying), &following), ["following"]);
        assert_eq!(kinds(Some(&following), &following), [""; 0]);
        assert_eq!(kinds(Some(&following), &failed), ["failed", "failed"]);
        assert_eq!(kinds(None, &failed), ["started", "failed", "failed"]);
    }
}
