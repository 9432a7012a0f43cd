//! An event as a log line.

use std::time::Duration;

use sentry_api::words::Word::{self, Known};
use sentry_api::words::{DeliveryState, RunStanding, RunState, Verdict};
use sentry_core::event::EventKind;
use tracing::{debug, error, info, warn};

use super::progress::{Progress, Settled, Step};
use super::tally;
use crate::ui::span;

/// An event as a log line: whole SHAs, one field per fact.
pub(super) fn log(event: &EventKind) {
    match event {
        EventKind::Started { watches } => info!(watches, "started"),
        EventKind::Baseline { watch, revision, why } => {
            info!(%watch, %revision, why, "baseline recorded, nothing delivered");
        }
        EventKind::Change { watch, revision, from } => {
            info!(%watch, %revision, from = from.as_ref().map(tracing::field::display), "change");
        }
        EventKind::Gone { watch, subject } => {
            info!(%watch, branch = %subject, "{} is gone", subject.kind());
        }
        EventKind::NotStarted { watch, revision, reason, detail } => {
            info!(%watch, %revision, %reason, detail, "not started");
        }
        EventKind::TriggerAnswered { trigger, watch, answer: Ok(delivery) } => {
            info!(%watch, %trigger, %delivery, "trigger accepted");
        }
        EventKind::TriggerAnswered { trigger, watch, answer: Err(why) } => {
            error!(%watch, %trigger, why, "trigger rejected");
        }
        EventKind::StateUnavailable { error } => {
            error!(error, "can't write the state: deliveries are on hold until it is writable");
        }
        // Whoever asked for it was answered at once.
        EventKind::Stopping => {}
        EventKind::Polled { .. } => debug_log(event),
        EventKind::SlotTaken { slot, watches } => info!(%slot, watches, "slot taken"),
        EventKind::SlotGiven { slot } => info!(%slot, "slot given back"),
        EventKind::SlotLost { slot, why } => {
            warn!(%slot, why, "slot lost: what was under way there was cut off");
        }
        _ => {
            log_runs(event);
            log_notices(event);
            log_forge(event);
        }
    }
}

/// What became of a delivery as a log line.
pub(super) fn log_progress(progress: &Progress) {
    let Progress { id, watch, step } = progress;
    match step {
        Step::Started { revision, cause, attempt } => {
            let cause = cause.as_str();
            info!(%watch, %revision, delivery = %id, cause, attempt, "delivery started");
        }
        Step::Reached(Known(DeliveryState::Following)) => {
            info!(%watch, delivery = %id, "objects delivered, following runs");
        }
        Step::Reached(state) => {
            debug!(%watch, delivery = %id, state = state.as_str(), "delivery continues");
        }
        Step::Run { revision, kind, run } => {
            let (name, state) = (&run.name, run.state.as_str());
            let (reason, message) = (run.reason.as_deref(), run.message.as_deref());
            match run.state {
                // That a run failed is what was to be found out.
                Known(RunStanding::As(
                    RunState::Running
                    | RunState::Succeeded
                    | RunState::Failed
                    | RunState::Cancelled,
                )) => {
                    info!(%watch, %revision, delivery = %id, kind, name, state, reason, message, "run");
                }
                _ => {
                    warn!(%watch, %revision, delivery = %id, kind, name, state, reason, message, "run");
                }
            }
        }
        Step::Settled(settled) => log_settled(id, watch, settled),
    }
}

fn log_settled(id: &str, watch: &str, settled: &Settled) {
    let Settled { revision, state, verdict, error, dry_run, .. } = settled;
    let manifests = settled.manifests.as_ref().map(tracing::field::display);
    let (objects, took_ms) = (tally(&settled.objects), millis(settled.took));
    let (runs, word) = (settled.runs.len(), settled_word(settled));
    let verdict = verdict.map(Word::as_str);
    let cause = settled.nothing_ran.map(Word::as_str);
    if is_result(*state, settled.verdict) {
        info!(
            %watch, %revision, delivery = %id, manifests, objects, runs, verdict, cause, took_ms, dry_run,
            error, "{word}"
        );
    } else {
        error!(
            %watch, %revision, delivery = %id, manifests, objects, runs, verdict, took_ms, dry_run, error,
            "{word}"
        );
    }
}

/// True if it came to a result, good or bad: that runs of B failed is no error of the delivery.
fn is_result(state: Word<DeliveryState>, verdict: Option<Word<Verdict>>) -> bool {
    match state {
        Known(
            DeliveryState::Succeeded
            | DeliveryState::NothingRan
            | DeliveryState::Superseded
            | DeliveryState::Cancelled,
        ) => true,
        Known(DeliveryState::Failed) => verdict == Some(Known(Verdict::Failure)),
        _ => false,
    }
}

fn settled_word(settled: &Settled) -> &'static str {
    let verdict = settled.verdict;
    match settled.state {
        Known(DeliveryState::Succeeded) if settled.dry_run => "dry run: nothing was written",
        Known(DeliveryState::Failed) if verdict == Some(Known(Verdict::Failure)) => "runs failed",
        Known(DeliveryState::Failed) if verdict.is_some() => "outcome of runs unknown",
        Known(DeliveryState::Succeeded) => "delivered",
        Known(DeliveryState::NothingRan) => "nothing ran",
        Known(DeliveryState::Superseded) => "superseded by a newer head",
        Known(DeliveryState::Cancelled) => "cancelled",
        Known(DeliveryState::Parked) => {
            "parked: set aside until something changes or the next automatic retry"
        }
        _ => "delivery failed",
    }
}

fn log_runs(event: &EventKind) {
    match event {
        EventKind::DeliveryRetrying { id, watch, revision, error, wait, counted } => {
            let wait = span(*wait);
            warn!(%watch, %revision, delivery = %id, wait, counted, error, "delivery will be \
                                                                            retried");
        }
        EventKind::RunsQueued { id, watch, queued, limit, .. } => {
            info!(%watch, delivery = %id, queued, limit, "runs queued: the namespace is full");
        }
        EventKind::FollowFailed { cluster, error, wait } => {
            warn!(%cluster, wait = span(*wait), error, "can't follow runs now");
        }
        EventKind::Reported { watch, status } => {
            let (revision, context) = (&status.revision, &status.context);
            let (state, text) = (status.state.as_str(), &status.description);
            info!(%watch, %revision, context, state, text, "status set");
        }
        EventKind::ReportFailed { watch, status, error, wait: Some(wait) } => {
            let (revision, state) = (&status.revision, status.state.as_str());
            warn!(%watch, %revision, state, wait = span(*wait), error, "status not set");
        }
        EventKind::ReportFailed { watch, status, error, wait: None } => {
            let (revision, state) = (&status.revision, status.state.as_str());
            error!(%watch, %revision, state, error, "can't set statuses");
        }
        _ => {}
    }
}

fn log_notices(event: &EventKind) {
    match event {
        EventKind::Notified { receiver, notice } => {
            let (watch, revision, id) = (&notice.watch, &notice.revision, &notice.id);
            let (route, occasion) = (notice.route.as_str(), notice.occasion.as_str());
            info!(receiver, %watch, %revision, notice = %id, route, occasion, "receiver notified");
        }
        EventKind::NotifyFailed { receiver, notice, error, tries, wait } => {
            let (watch, id, tries) = (&notice.watch, &notice.id, *tries);
            match wait {
                // An outage is told when it begins: each further attempt is of interest to few.
                Some(wait) if tries > 1 => {
                    let wait = span(*wait);
                    debug!(receiver, %watch, notice = %id, wait, tries, error, "can't notify \
                                                                                receiver");
                }
                Some(wait) => {
                    let wait = span(*wait);
                    warn!(receiver, %watch, notice = %id, wait, error, "can't notify receiver");
                }
                None => error!(receiver, %watch, notice = %id, error, "can't notify receiver"),
            }
        }
        _ => {}
    }
}

fn log_forge(event: &EventKind) {
    match event {
        EventKind::ForgeUnreachable { forge, repo, error, wait } => {
            warn!(forge, %repo, wait = span(*wait), error, "forge does not answer");
        }
        EventKind::ForgeRecovered { forge, repo, after } => {
            info!(forge, %repo, after = span(*after), "forge answers again");
        }
        EventKind::RepoRenamed { from, to } => {
            warn!(%from, %to, "repository was renamed: update the configuration");
        }
        EventKind::PatternsIdle { watch, patterns } if patterns.is_empty() => {
            info!(%watch, "every pattern of `branches` matches again");
        }
        EventKind::PatternsIdle { watch, patterns } => {
            let patterns = patterns.join(", ");
            warn!(%watch, patterns, "no branch matches: see `sentry validate --online`");
        }
        _ => {}
    }
}

/// As a number that JSON has.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn debug_log(event: &EventKind) {
    if let EventKind::Polled { forge, answered, failed, took } = event {
        debug!(forge, answered, failed, took_ms = millis(*took), "polled");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_runs_failed_is_a_result_and_that_a_delivery_failed_is_an_error() {
        use DeliveryState::{Failed, NothingRan, Parked, Succeeded, Superseded};
        for (state, verdict, result) in [
            (Succeeded, Some(Verdict::Success), true),
            (NothingRan, None, true),
            (Superseded, None, true),
            (Failed, Some(Verdict::Failure), true),
            (Failed, Some(Verdict::Error), false),
            (Failed, None, false),
            (Parked, None, false),
        ] {
            assert_eq!(
                is_result(Known(state), verdict.map(Known)),
                result,
                "{state:?} {verdict:?}"
            );
        }
        assert!(!is_result(Word::Unknown, None));
    }
}
