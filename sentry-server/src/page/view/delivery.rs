//! One delivery.

use std::time::Duration;

use askama::Template;
use sentry_api::shape::{Delivery, Object, Run, RunTotals, Show};
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_api::words::{Action, Cause, DeliveryState, RunStanding, RunState, Verdict};
use sentry_core::clock::Timestamp;

use super::timeline::{Stop, timeline};
use super::{Act, Commit, Frame, Moment, Part as _, Reader, State, Tone, Words, span};
use crate::page::link::WatchPlace;

/// A delivery's state.
pub(crate) fn state(words: Words, delivery: &Delivery) -> State {
    let (tone, key) = match (delivery.state, delivery.verdict) {
        (Known(DeliveryState::Succeeded), _) if delivery.dry_run => (Tone::Good, "state-dry-run"),
        (Known(DeliveryState::NothingRan), _) => {
            return nothing_ran(words, delivery.nothing_ran.map(Word::as_str));
        }
        (Known(DeliveryState::Failed), Some(Known(Verdict::Failure))) => {
            (Tone::Bad, "state-runs-failed")
        }
        (Known(DeliveryState::Pending), _) if delivery.error.is_some() => {
            (Tone::Wait, "state-retrying")
        }
        (state, _) => (tone(state), key(state)),
    };
    State::new(tone, words.say(key))
}

/// That nothing ran, and why.
pub(super) fn nothing_ran(words: Words, cause: Option<&str>) -> State {
    let word = match cause {
        Some(cause) => words.put("state-nothing-ran-why", "cause", cause),
        None => words.say("state-nothing-ran"),
    };
    State::new(Tone::Quiet, word)
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
    pub(crate) revision: Commit,
    pub(crate) started: Moment,
    pub(crate) took: String,
    pub(crate) cause: String,
    pub(crate) runs: String,
}

impl Row {
    pub(crate) fn new(reader: &Reader, delivery: &Delivery, place: Option<&WatchPlace>) -> Self {
        Self {
            id: delivery.id.clone(),
            state: state(reader.words, delivery),
            branch: delivery.branch.clone(),
            revision: Commit::new(&delivery.revision, place.map(|place| &place.source)),
            started: Moment::new(reader, delivery.started),
            took: span(reader.words, took(delivery, reader.now)),
            cause: cause(reader.words, delivery.trigger),
            runs: RunTotals::of_answer(delivery).words(),
        }
    }
}

/// A run of the delivery.
#[derive(Debug)]
pub(crate) struct RunLine {
    state: State,
    name: String,
    reason: Option<String>,
    message: Option<String>,
    ended: Option<Moment>,
}

impl RunLine {
    fn new(reader: &Reader, run: &Run) -> Self {
        let tone = match run.state {
            Known(RunStanding::As(RunState::Succeeded)) => Tone::Good,
            Known(RunStanding::As(RunState::Running)) => Tone::Busy,
            Known(RunStanding::As(RunState::Failed)) => Tone::Bad,
            Known(RunStanding::Queued) => Tone::Wait,
            Known(
                RunStanding::As(RunState::Cancelled | RunState::Gone | RunState::Unfollowed)
                | RunStanding::Skipped
                | RunStanding::Planned,
            )
            | Unknown => Tone::Quiet,
        };
        Self {
            state: State::new(tone, run.state.as_str()),
            name: run.name.clone(),
            reason: run.reason.clone(),
            message: run.message.clone(),
            ended: run.ended.map(|at| Moment::new(reader, at)),
        }
    }
}

/// An object of the delivery.
#[derive(Debug)]
pub(crate) struct ObjectLine {
    state: State,
    object: Object,
}

impl ObjectLine {
    fn new(object: &Object) -> Self {
        let tone = match object.action {
            Known(Action::Created | Action::Configured) => Tone::Good,
            Known(Action::Failed) => Tone::Bad,
            Known(Action::Queued) => Tone::Wait,
            Known(Action::Unchanged | Action::Exists | Action::Skipped) | Unknown => Tone::Quiet,
        };
        let state = State::new(tone, object.action.as_str());
        Self { state, object: object.clone() }
    }
}

/// The page of a delivery.
#[derive(Debug, Template)]
#[template(path = "delivery.html")]
pub(crate) struct DeliveryPage {
    frame: Frame,
    id: String,
    watch: String,
    branch: String,
    state: State,
    summary: String,
    source: Option<String>,
    revision: Commit,
    manifests: Option<String>,
    manifests_revision: Option<Commit>,
    manifests_branch: Option<String>,
    started: Moment,
    took: String,
    asked_for: Option<String>,
    superseded_by: Option<Commit>,
    error: Option<String>,
    stops: Vec<Stop>,
    runs: Vec<RunLine>,
    objects: Vec<ObjectLine>,
    notes: Vec<String>,
    acts: Vec<Act>,
}

impl DeliveryPage {
    pub(crate) fn new(
        frame: Frame,
        reader: &Reader,
        show: &Show,
        place: Option<&WatchPlace>,
    ) -> Self {
        let delivery = &show.delivery;
        let source = place.map(|place| &place.source);
        let manifests = place.map(|place| &place.manifests);
        let commit_of_b = delivery.manifests_revision.as_ref();
        Self {
            frame,
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            branch: delivery.branch.clone(),
            state: state(reader.words, delivery),
            summary: summary(reader, delivery, show.next_attempt),
            source: source.map(|repository| repository.path.clone()),
            revision: Commit::new(&delivery.revision, source),
            manifests: manifests.map(|repository| repository.path.clone()),
            manifests_revision: commit_of_b.map(|sha| Commit::new(sha, manifests)),
            manifests_branch: show.manifests_branch.clone(),
            started: Moment::new(reader, delivery.started),
            took: span(reader.words, took(delivery, reader.now)),
            asked_for: show.asked_for.as_ref().map(|asked| {
                let event = asked.event.as_ref().map(|event| format!("event {event}"));
                let run = asked.run.as_ref().map(|run| format!("run {run}"));
                event.into_iter().chain(run).collect::<Vec<_>>().join(", ")
            }),
            superseded_by: show.superseded_by.as_ref().map(|sha| Commit::new(sha, source)),
            error: delivery.error.clone(),
            stops: timeline(reader, show),
            runs: delivery.runs.iter().map(|run| RunLine::new(reader, run)).collect(),
            objects: delivery.objects.iter().map(ObjectLine::new).collect(),
            notes: show.notes.clone(),
            acts: acts(reader, delivery),
        }
    }
}

/// One sentence that says it all.
fn summary(reader: &Reader, delivery: &Delivery, next: Option<Timestamp>) -> String {
    let totals = RunTotals::of_answer(delivery);
    let time = span(reader.words, took(delivery, reader.now));
    let runs = match totals.total {
        0 => "no run".to_owned(),
        number => sentry_api::text::count(number, "run"),
    };
    match delivery.state {
        Known(DeliveryState::Succeeded) if delivery.dry_run => {
            format!("A dry run: nothing was written. It took {time}.")
        }
        Known(DeliveryState::Succeeded) => format!("Delivered with {runs} in {time}."),
        Known(DeliveryState::NothingRan) => {
            let cause = delivery.nothing_ran.map_or("no reason was given", Word::as_str);
            format!("There was no run to start: {cause}.")
        }
        Known(DeliveryState::Failed) if totals.failed > 0 => {
            format!("{} of {runs} failed, after {time}.", totals.failed)
        }
        Known(DeliveryState::Failed) => format!("Failed after {time}."),
        Known(DeliveryState::Parked) => match next {
            Some(at) => {
                let again = sentry_api::text::ahead(reader.now, at);
                format!("Parked for now: checked again {again}, or when something changes.")
            }
            None => "Parked until something changes, or somebody retries it.".to_owned(),
        },
        Known(DeliveryState::Superseded) if totals.total > 0 => {
            format!("Superseded by a newer head; of {runs}: {}.", totals.words())
        }
        Known(DeliveryState::Superseded) => {
            "Superseded by a newer head; none of it ran.".to_owned()
        }
        Known(DeliveryState::Cancelled) if totals.total > 0 => {
            format!("Cancelled after {time}; of {runs}: {}.", totals.words())
        }
        Known(DeliveryState::Cancelled) => "Cancelled; none of it ran.".to_owned(),
        Known(DeliveryState::Following) if totals.total > 0 => {
            format!("{} of {runs} still running, for {time} now.", totals.running + totals.queued)
        }
        Known(DeliveryState::Pending) if delivery.error.is_some() => {
            "An attempt failed; it will be retried.".to_owned()
        }
        Known(DeliveryState::Pending) => "Queued.".to_owned(),
        Known(
            DeliveryState::Fetching
            | DeliveryState::Checking
            | DeliveryState::Applying
            | DeliveryState::Following,
        )
        | Unknown => format!("In progress, for {time} now."),
    }
}

fn acts(reader: &Reader, delivery: &Delivery) -> Vec<Act> {
    let act = |[label, about]: [&str; 2], what: &str, fields| {
        let [label, about] = [label, about].map(|key| reader.words.say(key));
        reader.act(label, about, format!("/deliveries/{}/{what}", delivery.id), fields)
    };
    let ended = delivery.state.is(DeliveryState::is_final);
    let had_verdict = delivery.verdict.is_some();
    let parked = delivery.state == DeliveryState::Parked;
    let cancel = (parked || !ended && delivery.state != Unknown)
        .then(|| act(["act-cancel", "act-cancel-about"], "cancel", vec![]));
    let given_up = matches!(delivery.state, Known(DeliveryState::Failed | DeliveryState::Parked));
    let retry =
        (given_up && !had_verdict).then(|| act(["act-retry", "act-retry-about"], "retry", vec![]));
    let failed = (had_verdict && delivery.state == DeliveryState::Failed).then(|| {
        let fields = vec![("failed", "true".to_owned())];
        act(["act-rerun-failed", "act-rerun-failed-about"], "rerun", fields)
    });
    let again = (ended && !delivery.objects.is_empty())
        .then(|| act(["act-rerun-all", "act-rerun-all-about"], "rerun", vec![]));
    [retry, failed, again, cancel].into_iter().flatten().flatten().collect()
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
            (
                json!({"state": "nothing_ran", "nothing_ran": "no file"}),
                Tone::Quiet,
                "nothing ran: no file",
            ),
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
    fn one_sentence_says_what_became_of_a_delivery() {
        let said = |runs: &[&str], said: serde_json::Value, next: Option<&str>| {
            let next = next.map(|at| at.parse().unwrap());
            summary(&sample::reader(), &sample::with_runs(runs, said), next)
        };
        let ended = |state: &str| json!({"state": state, "finished": "2026-01-01T00:00:12Z"});
        let two = ["failed", "succeeded"];
        for (sentence, wanted) in [
            (said(&two[1..], ended("succeeded"), None), "Delivered with 1 run in 12 s."),
            (said(&[], ended("succeeded"), None), "Delivered with no run in 12 s."),
            (
                said(&[], json!({"state": "succeeded", "dry_run": true}), None),
                "A dry run: nothing was written. It took 10 min.",
            ),
            (
                said(&[], json!({"state": "nothing_ran", "nothing_ran": "only objects"}), None),
                "There was no run to start: only objects.",
            ),
            (
                said(&[], ended("nothing_ran"), None),
                "There was no run to start: no reason was given.",
            ),
            (said(&two, ended("failed"), None), "1 of 2 runs failed, after 12 s."),
            (said(&two[1..], ended("failed"), None), "Failed after 12 s."),
            (
                said(&[], ended("parked"), Some("2026-01-01T00:15:00Z")),
                "Parked for now: checked again in 5m, or when something changes.",
            ),
            (
                said(&[], ended("parked"), None),
                "Parked until something changes, or somebody retries it.",
            ),
            (
                said(&two, ended("superseded"), None),
                "Superseded by a newer head; of 2 runs: 1 failed, 1 succeeded.",
            ),
            (said(&[], ended("superseded"), None), "Superseded by a newer head; none of it ran."),
            (
                said(&["cancelled", "succeeded"], ended("cancelled"), None),
                "Cancelled after 12 s; of 2 runs: 1 succeeded, 1 cancelled.",
            ),
            (said(&[], ended("cancelled"), None), "Cancelled; none of it ran."),
            (
                said(&["running", "queued", "failed"], json!({"state": "following"}), None),
                "2 of 3 runs still running, for 10 min now.",
            ),
            (said(&[], json!({"state": "following"}), None), "In progress, for 10 min now."),
            (said(&[], json!({"state": "checking"}), None), "In progress, for 10 min now."),
            (
                said(&[], json!({"state": "pending", "error": "no"}), None),
                "An attempt failed; it will be retried.",
            ),
            (said(&[], json!({"state": "pending"}), None), "Queued."),
        ] {
            assert_eq!(sentence, wanted);
        }
    }

    #[test]
    fn a_delivery_offers_what_can_be_done_with_it_and_nothing_to_who_may_only_read() {
        let reader = sample::reader();
        let offered = |reader: &Reader, runs: &[&str], said: serde_json::Value| {
            let acts = acts(reader, &sample::with_runs(runs, said));
            acts.into_iter().map(|act| (act.label, act.action)).collect::<Vec<_>>()
        };
        let (retry, rerun) = ("/deliveries/01k9/retry", "/deliveries/01k9/rerun");
        let cancel = "/deliveries/01k9/cancel";
        for (runs, said, wanted) in [
            (&["running"][..], json!({"state": "following"}), vec![("Cancel", cancel)]),
            (&[], json!({"state": "pending"}), vec![("Cancel", cancel)]),
            (&[], json!({"state": "parked"}), vec![("Retry", retry), ("Cancel", cancel)]),
            (&[], json!({"state": "cancelled"}), vec![]),
            (&[], json!({"state": "of a newer agent"}), vec![]),
            (&[], json!({"state": "superseded"}), vec![]),
            (
                &["planned"],
                json!({"state": "failed"}),
                vec![("Retry", retry), ("Rerun all", rerun)],
            ),
            (
                &["failed"],
                json!({"state": "failed", "verdict": "failure"}),
                vec![("Rerun what failed", rerun), ("Rerun all", rerun)],
            ),
            (
                &["succeeded"],
                json!({"state": "succeeded", "verdict": "success"}),
                vec![("Rerun all", rerun)],
            ),
        ] {
            let shown = offered(&reader, runs, said.clone());
            let shown: Vec<_> =
                shown.iter().map(|(label, to)| (label.as_str(), to.as_str())).collect();
            assert_eq!(shown, wanted, "{said}");
            let reads = Reader { may_act: false, ..sample::reader() };
            assert_eq!(offered(&reads, runs, said), []);
        }
    }

    #[test]
    fn runs_and_objects_have_the_tone_of_what_became_of_them() {
        let reader = sample::reader();
        for (state, tone) in [
            ("succeeded", Tone::Good),
            ("running", Tone::Busy),
            ("failed", Tone::Bad),
            ("queued", Tone::Wait),
            ("cancelled", Tone::Quiet),
        ] {
            let delivery = sample::with_runs(&[state], json!({}));
            assert_eq!(RunLine::new(&reader, &delivery.runs[0]).state, State::new(tone, state));
        }
        for (action, tone) in [
            ("created", Tone::Good),
            ("configured", Tone::Good),
            ("failed", Tone::Bad),
            ("queued", Tone::Wait),
            ("unchanged", Tone::Quiet),
        ] {
            let object =
                json!({"path": "a.yaml", "kind": "Task", "name": "unit", "action": action});
            let object = serde_json::from_value(object).unwrap();
            assert_eq!(ObjectLine::new(&object).state, State::new(tone, action));
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
                (row.cause.as_str(), row.took.as_str(), row.runs.as_str()),
                (why, "1 min 5 s", "1 failed")
            );
            assert_eq!(row.started.said, "10 min ago");
        }
    }
}
