//! How a delivery stands, and a delivery in a list.

mod attempts;
mod graph;
mod page;
mod runs;
mod steps;

use std::time::Duration;

use sentry_api::shape::{Delivery, RunTotals};
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_api::words::{Cause, DeliveryState, ReasonKind, Verdict};
use sentry_core::clock::Timestamp;

use super::{Commit, Moment, Reader, State, Tone, Words, span};
use crate::page::link::WatchPlace;

pub(crate) use graph::Graph;
pub(crate) use page::DeliveryPage;
pub(crate) use runs::RunCard;

/// A delivery's state.
pub(crate) fn state(words: Words, delivery: &Delivery) -> State {
    let (tone, key) = match (delivery.state, delivery.verdict) {
        (Known(DeliveryState::Succeeded), _) if delivery.dry_run => (Tone::Good, "state-dry-run"),
        (Known(DeliveryState::Pending), _) if delivery.error.is_some() => {
            (Tone::Wait, "state-retrying")
        }
        (state, verdict) => return standing(words, state, verdict),
    };
    State::new(tone, words.say(key))
}

/// A state with its verdict.
fn standing(words: Words, state: Word<DeliveryState>, verdict: Option<Word<Verdict>>) -> State {
    let (tone, key) = match (state, verdict) {
        (Known(DeliveryState::Failed), Some(Known(Verdict::Failure))) => {
            (Tone::Bad, "state-runs-failed")
        }
        (state, _) => (tone(state), key(state)),
    };
    State::new(tone, words.say(key))
}

/// Why nothing ran.
pub(super) fn nothing_ran(words: Words, cause: Option<Word<ReasonKind>>) -> Option<String> {
    let key = match cause?.known()? {
        ReasonKind::NoRunMatched => "nothing-no-run-matched",
        ReasonKind::NoFile => "nothing-no-file",
        ReasonKind::OnlyObjects => "nothing-only-objects",
        ReasonKind::RunsLeftOut => "nothing-runs-left-out",
        ReasonKind::SkippedByMarker => "nothing-skipped",
        _ => return None,
    };
    Some(words.say(key))
}

/// The tone of a state alone.
pub(super) fn tone(state: Word<DeliveryState>) -> Tone {
    match state {
        Known(DeliveryState::Succeeded) => Tone::Good,
        Known(DeliveryState::Failed | DeliveryState::Parked) => Tone::Bad,
        Known(DeliveryState::Pending) => Tone::Wait,
        Known(
            DeliveryState::Fetching
            | DeliveryState::Checking
            | DeliveryState::Applying
            | DeliveryState::Following,
        ) => Tone::Busy,
        Known(DeliveryState::Superseded | DeliveryState::NothingRan | DeliveryState::Cancelled)
        | Unknown => Tone::Quiet,
    }
}

fn key(state: Word<DeliveryState>) -> &'static str {
    match state {
        Known(DeliveryState::Succeeded) => "state-succeeded",
        Known(DeliveryState::NothingRan) => "state-nothing-ran",
        Known(DeliveryState::Failed) => "state-failed",
        Known(DeliveryState::Parked) => "state-parked",
        Known(DeliveryState::Superseded) => "state-superseded",
        Known(DeliveryState::Cancelled) => "state-cancelled",
        Known(DeliveryState::Pending) => "state-waiting",
        Known(DeliveryState::Following) => "state-running",
        Known(DeliveryState::Fetching) => "state-fetching",
        Known(DeliveryState::Checking) => "state-checking",
        Known(DeliveryState::Applying) => "state-applying",
        Unknown => "state-unknown",
    }
}

/// What its commit says of itself, else the commit's short id.
pub(crate) fn title(delivery: &Delivery) -> &str {
    let title = delivery.commit.as_ref().map(|commit| commit.title.as_str());
    let titled = title.filter(|title| !title.is_empty());
    titled.unwrap_or_else(|| sentry_api::text::short(&delivery.revision))
}

/// From its start to its end, or to now.
pub(crate) fn took(delivery: &Delivery, now: Timestamp) -> Duration {
    let end = delivery.finished.unwrap_or(now);
    Duration::try_from(end.duration_since(delivery.started)).unwrap_or_default()
}

/// Why it was started, in a few words.
pub(crate) fn cause(words: Words, cause: Word<Cause>) -> String {
    words.say(match cause {
        Known(Cause::Change) => "cause-change",
        Known(Cause::Manifests) => "cause-manifests",
        Known(Cause::Manual) => "cause-manual",
        Known(Cause::Webhook) => "cause-webhook",
        Known(Cause::Rerun) => "cause-rerun",
        Unknown => "cause-unknown",
    })
}

/// A delivery in a list.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) branch: String,
    pub(crate) title: String,
    pub(crate) author: Option<String>,
    pub(crate) revision: Commit,
    pub(crate) started: Moment,
    pub(crate) took: String,
    pub(crate) cause: String,
    /// Its runs, counted, or why nothing ran.
    pub(crate) runs: Option<String>,
}

/// `2 failed, 1 in progress, 3 succeeded`; empty where there are none.
pub(super) fn runs(words: Words, totals: RunTotals) -> String {
    let parts = [
        (totals.failed, "count-bad"),
        (totals.running + totals.queued, "count-open"),
        (totals.succeeded, "count-good"),
        (totals.cancelled, "count-cancelled"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    words.list(parts.map(|(number, key)| words.count(key, *number)))
}

impl Row {
    pub(crate) fn new(reader: &Reader, delivery: &Delivery, place: Option<&WatchPlace>) -> Self {
        Self {
            id: delivery.id.clone(),
            state: state(reader.words, delivery),
            branch: delivery.branch.clone(),
            title: title(delivery).to_owned(),
            author: delivery.commit.as_ref().map(|commit| commit.author.clone()),
            revision: Commit::new(&delivery.revision, place.map(|place| &place.source)),
            started: Moment::new(reader, delivery.started),
            took: span(reader.words, took(delivery, reader.now)),
            cause: cause(reader.words, delivery.trigger),
            runs: nothing_ran(reader.words, delivery.nothing_ran).or_else(|| {
                Some(runs(reader.words, RunTotals::of_answer(delivery))).filter(|it| !it.is_empty())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample;
    use super::*;

    #[test]
    fn how_a_delivery_stands_has_a_tone_and_a_word() {
        for (said, tone, word) in [
            (json!({"state": "succeeded"}), Tone::Good, "succeeded"),
            (json!({"state": "succeeded", "dry_run": true}), Tone::Good, "dry run"),
            (json!({"state": "nothing_ran", "nothing_ran": "no file"}), Tone::Quiet, "nothing ran"),
            (json!({"state": "failed", "verdict": "failure"}), Tone::Bad, "runs failed"),
            (json!({"state": "failed", "verdict": "error"}), Tone::Bad, "failed"),
            (json!({"state": "failed"}), Tone::Bad, "failed"),
            (json!({"state": "parked"}), Tone::Bad, "parked"),
            (json!({"state": "superseded"}), Tone::Quiet, "superseded"),
            (json!({"state": "cancelled"}), Tone::Quiet, "cancelled"),
            (json!({"state": "pending", "error": "no"}), Tone::Wait, "retrying"),
            (json!({"state": "pending"}), Tone::Wait, "waiting"),
            (json!({"state": "following"}), Tone::Busy, "running"),
            (json!({"state": "fetching"}), Tone::Busy, "fetching"),
            (json!({"state": "checking"}), Tone::Busy, "checking"),
            (json!({"state": "applying"}), Tone::Busy, "applying"),
            (json!({"state": "of a newer agent"}), Tone::Quiet, "unknown"),
        ] {
            let found = state(Words::default(), &sample::delivery(said.clone()));
            assert_eq!(found, State::new(tone, word), "{said}");
        }
    }

    #[test]
    fn a_delivery_in_a_list_says_when_and_why_it_began_and_how_long_it_took() {
        for (trigger, why) in [
            ("change", "a new commit"),
            ("manifests", "new manifests"),
            ("manual", "requested by hand"),
            ("webhook", "requested by a webhook"),
            ("rerun", "new runs, requested by hand"),
            ("of a newer agent", "an unknown cause"),
        ] {
            let said = json!({"trigger": trigger, "finished": "2026-01-01T00:01:05Z"});
            let row = Row::new(&sample::reader(), &sample::with_runs(&["failed"], said), None);
            assert_eq!(
                (row.cause.as_str(), row.took.as_str(), row.runs.as_deref()),
                (why, "1 min 5 s", Some("1 failed"))
            );
            assert_eq!(row.started.said, "10 min ago");
        }
    }
}
