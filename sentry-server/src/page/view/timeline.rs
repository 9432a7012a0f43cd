//! A delivery's steps, one after the other.

use std::time::Duration;

use sentry_api::shape::{RunTotals, Show, Step};
use sentry_api::words::{Cause, DeliveryState};
use sentry_core::clock::Timestamp;

use super::delivery::state;
use super::{Moment, Tone, span};

/// One step of the timeline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) tone: Tone,
    pub(crate) name: String,
    pub(crate) detail: Option<String>,
    pub(crate) at: Option<Moment>,
    /// How long it took, and what part of the whole that is, in hundredths.
    pub(crate) took: Option<(String, u128)>,
}

impl Stop {
    fn new(tone: Tone, name: impl Into<String>) -> Self {
        Self { tone, name: name.into(), detail: None, at: None, took: None }
    }
}

/// From the start of a delivery to its end, or to what is waited for.
pub(crate) fn timeline(show: &Show, now: Timestamp) -> Vec<Stop> {
    let delivery = &show.delivery;
    let followed = delivery.following_since.map(|since| {
        let end = delivery.finished.unwrap_or(now);
        Duration::try_from(end.duration_since(since)).unwrap_or_default()
    });
    let steps: u64 = show.steps.iter().map(|step| step.took_ms).sum();
    let whole = u128::from(steps) + followed.unwrap_or_default().as_millis();
    let part = |time: Duration| (span(time), (time.as_millis() * 100 / whole.max(1)).max(1));

    let mut stops = vec![begun(show, now)];
    stops.extend(show.steps.iter().map(|step| {
        let took = Some(part(Duration::from_millis(step.took_ms)));
        Stop { took, ..Stop::new(Tone::Good, what(step)) }
    }));
    if let Some(last) = stops.last_mut().filter(|_| stopped_early(show)) {
        last.tone = Tone::Bad;
    }
    let totals = RunTotals::of_answer(delivery);
    if let Some(time) = followed.filter(|_| totals.total > 0) {
        let tone = match (delivery.finished, totals.failed) {
            (None, _) => Tone::Busy,
            (Some(_), 0) => Tone::Good,
            (Some(_), _) => Tone::Bad,
        };
        let name = if delivery.finished.is_none() { "Runs go on" } else { "Runs ended" };
        let detail = Some(totals.words());
        stops.push(Stop { detail, took: Some(part(time)), ..Stop::new(tone, name) });
    } else if let Some(name) = doing(delivery.state) {
        stops.push(Stop::new(Tone::Busy, name));
    }
    stops.extend(end(show, now));
    stops
}

fn begun(show: &Show, now: Timestamp) -> Stop {
    let delivery = &show.delivery;
    let name = match delivery.trigger {
        Cause::Change => "The head moved",
        Cause::Manual => "Somebody asked",
        Cause::Webhook => "A webhook asked",
        Cause::Rerun => "Somebody asked for new runs",
        _ => "It began",
    };
    let at = Some(Moment::new(now, delivery.started));
    let detail = (show.attempts > 1).then(|| format!("attempt {}", show.attempts));
    Stop { at, detail, ..Stop::new(Tone::Quiet, name) }
}

fn what(step: &Step) -> &str {
    match step.step.as_str() {
        "inspect" => "Read the commit",
        "resolve" => "Found the manifests' branch",
        "fetch" => "Fetched the manifests",
        "compare" => "Compared what changed",
        "check" => "Checked every document",
        "apply" => "Wrote the objects",
        other => other,
    }
}

/// An attempt that failed did so at its last step.
fn stopped_early(show: &Show) -> bool {
    let delivery = &show.delivery;
    let failed = matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked)
        || (delivery.state == DeliveryState::Pending && delivery.error.is_some());
    failed && delivery.verdict.is_none() && !show.steps.is_empty()
}

fn doing(state: DeliveryState) -> Option<&'static str> {
    match state {
        DeliveryState::Fetching => Some("Fetching the manifests"),
        DeliveryState::Checking => Some("Checking every document"),
        DeliveryState::Applying => Some("Writing the objects"),
        DeliveryState::Following => Some("Waiting for runs"),
        _ => None,
    }
}

fn end(show: &Show, now: Timestamp) -> Option<Stop> {
    let delivery = &show.delivery;
    if let Some(finished) = delivery.finished {
        let state = state(delivery);
        let mut name = state.word;
        name.get_mut(..1)?.make_ascii_uppercase();
        let detail = show.superseded_by.as_deref();
        let detail = detail.map(|by| format!("by {}", sentry_api::text::short(by)));
        let at = Some(Moment::new(now, finished));
        return Some(Stop { at, detail, ..Stop::new(state.tone, name) });
    }
    if delivery.state != DeliveryState::Pending {
        return None;
    }
    let name = if show.next_attempt.is_some() { "Next attempt" } else { "Waits for its turn" };
    let at = show.next_attempt.map(|at| Moment::new(now, at));
    Some(Stop { at, ..Stop::new(Tone::Wait, name) })
}
