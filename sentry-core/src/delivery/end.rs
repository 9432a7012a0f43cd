//! How a delivery ends: what its runs come to. Pure.

use super::{Delivery, DeliveryState, RunRecord, RunState, Verdict};
use crate::plan::ObjectOutcome;

/// The reason of runs that were not followed to their end within `run_timeout`.
pub(crate) const RUN_TIMEOUT: &str = "RunTimeout";

/// The reason of runs that the deployer could not follow to their end.
pub(crate) const CANT_FOLLOW: &str = "CantFollow";

/// The verdict, the error and the state of a delivery whose runs have ended.
pub(crate) fn end(delivery: &mut Delivery) -> DeliveryState {
    delivery.verdict = verdict(delivery);
    let state = match delivery.verdict {
        Some(Verdict::Failure) => {
            delivery.error = Some(failures(delivery));
            DeliveryState::Failed
        }
        Some(Verdict::Error) => {
            delivery.error = Some(unknown_ends(delivery));
            DeliveryState::Failed
        }
        Some(Verdict::Success) | None if is_cut_short(delivery) => match delivery.cancelled {
            Some(_) => DeliveryState::Cancelled,
            None => DeliveryState::Superseded,
        },
        None if delivery.passed.is_some() => DeliveryState::NothingRan,
        Some(Verdict::Success) | None => DeliveryState::Succeeded,
    };
    if state == DeliveryState::Cancelled {
        (delivery.verdict, delivery.error) = (None, None);
    }
    state
}

/// True if a person, a newer head, or the end of the branch kept a part of it from running to its end.
fn is_cut_short(delivery: &Delivery) -> bool {
    let ended = |run: &RunRecord| matches!(run.state, RunState::Cancelled | RunState::Gone);
    let cancelled = || delivery.runs.iter().any(ended);
    let left = || delivery.objects.iter().any(|o| !o.action.is_acknowledged());
    let asked = delivery.is_superseded() || delivery.cancelled.is_some();
    let never_ran = delivery.runs.is_empty() && delivery.passed.is_none();
    asked && (never_ran || cancelled() || left())
}

/// How the runs ended. `None` while one is active, and if there is none with a known end.
pub(crate) fn verdict(delivery: &Delivery) -> Option<Verdict> {
    if delivery.active_runs().next().is_some() {
        return None;
    }
    let runs = delivery.runs.iter().filter_map(|run| verdict_of(delivery, run));
    runs.chain(never_started(delivery).map(|_| Verdict::Error)).max_by_key(|v| match v {
        Verdict::Success => 0,
        Verdict::Error => 1,
        Verdict::Failure => 2,
    })
}

/// Runs that were to be started and were not, though nothing took the delivery's place and nobody cancelled it.
fn never_started(delivery: &Delivery) -> impl Iterator<Item = &ObjectOutcome> {
    let left = |o: &&ObjectOutcome| o.run && !o.action.is_acknowledged();
    let is_cut_short = delivery.is_superseded() || delivery.cancelled.is_some();
    delivery.objects.iter().filter(left).filter(move |_| !is_cut_short)
}

pub(crate) fn verdict_of(delivery: &Delivery, run: &RunRecord) -> Option<Verdict> {
    match run.state {
        RunState::Running => None,
        RunState::Succeeded => Some(Verdict::Success),
        RunState::Failed => Some(Verdict::Failure),
        // It was cancelled for a newer head: that says nothing of this one.
        RunState::Cancelled if run.cancelled_by.is_some() => None,
        // The same for a person, who may also have deleted it.
        RunState::Cancelled | RunState::Gone if delivery.cancelled.is_some() => None,
        RunState::Cancelled | RunState::Gone => Some(Verdict::Error),
        // Without a reason its kind has no end that can be known.
        RunState::Unfollowed => run.reason.as_ref().map(|_| Verdict::Error),
    }
}

/// `1 of 3 runs failed`.
pub(crate) fn failed(delivery: &Delivery) -> String {
    let failed = delivery.runs.iter().filter(|run| run.state == RunState::Failed).count();
    format!("{failed} of {} failed", count(delivery.runs.len(), "run"))
}

/// `1 of 3 runs failed: smoke (task unit, step test: exit code 1)`.
pub(crate) fn failures(delivery: &Delivery) -> String {
    let each: Vec<String> = delivery
        .runs
        .iter()
        .filter(|run| run.state == RunState::Failed)
        .map(|run| {
            let why = run.message.as_ref().or(run.reason.as_ref());
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{}{why}", run.object.base_name())
        })
        .collect();
    format!("{}: {}", failed(delivery), each.join(", "))
}

/// Why a delivery whose runs neither failed nor all succeeded ended so.
pub(crate) fn unknown_ends(delivery: &Delivery) -> String {
    let odd = |run: &&RunRecord| verdict_of(delivery, run) == Some(Verdict::Error);
    let each = delivery.runs.iter().filter(odd).map(|run| {
        let name = &run.object.name;
        match (run.state, run.reason.as_deref()) {
            (RunState::Gone, _) => format!("{name} was deleted before its result was seen"),
            (RunState::Cancelled, _) => format!("{name} was cancelled, not by Sentry"),
            (_, Some(RUN_TIMEOUT)) => {
                format!("{name} did not finish within the watch's run_timeout")
            }
            (_, _) => {
                let why = run.message.as_deref().unwrap_or("no reason was given");
                format!("{name} could not be followed: {why}")
            }
        }
    });
    let left = never_started(delivery).map(|outcome| {
        let why = outcome.reason.as_deref().unwrap_or("no reason was given");
        format!("{} was not started: {why}", outcome.object.name)
    });
    each.chain(left).collect::<Vec<_>>().join("; ")
}

pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::testing::sample;

    fn with(states: &[RunState]) -> Delivery {
        let runs = states.iter().map(|state| RunRecord {
            reason: (*state == RunState::Unfollowed).then(|| RUN_TIMEOUT.to_owned()),
            cancelled_by: None,
            ..sample::run(*state)
        });
        Delivery {
            superseded_by: None,
            cancelled: None,
            objects: vec![sample::outcome(Action::Created)],
            runs: runs.collect(),
            ..sample::delivery(1)
        }
    }

    #[test]
    fn one_failed_run_makes_the_verdict_and_an_unknown_end_is_an_error() {
        use RunState::{Cancelled, Failed, Gone, Running, Succeeded, Unfollowed};
        for (runs, want) in [
            (&[][..], None),
            (&[Succeeded, Running], None),
            (&[Succeeded, Succeeded], Some(Verdict::Success)),
            (&[Succeeded, Failed, Gone], Some(Verdict::Failure)),
            (&[Succeeded, Gone], Some(Verdict::Error)),
            (&[Cancelled], Some(Verdict::Error)),
            (&[Succeeded, Unfollowed], Some(Verdict::Error)),
        ] {
            assert_eq!(verdict(&with(runs)), want, "{runs:?}");
        }
    }

    #[test]
    fn a_run_that_was_cancelled_for_a_newer_one_and_one_without_a_known_end_say_nothing() {
        let mut delivery = with(&[RunState::Cancelled, RunState::Succeeded]);
        delivery.superseded_by = Some(sample::sha(9));
        assert_eq!(verdict(&delivery), Some(Verdict::Error), "somebody else cancelled it");
        delivery.runs[0].cancelled_by = Some(sample::sha(9));
        assert_eq!(verdict(&delivery), Some(Verdict::Success));
        let mut delivery = with(&[RunState::Unfollowed]);
        delivery.runs[0].reason = None;
        assert_eq!(verdict(&delivery), None);
    }
}
