//! One delivery.

use std::time::Duration;

use askama::Template;
use sentry_api::shape::{Delivery, Object, Run, RunTotals, Show};
use sentry_api::words::{Action, Cause, DeliveryState, Reason, RunState, Verdict};
use sentry_core::clock::Timestamp;

use super::timeline::{Stop, timeline};
use super::{Act, Commit, Frame, Moment, Part as _, Reader, State, Tone, span};
use crate::page::link::WatchPlace;

/// How a delivery stands.
pub(crate) fn state(delivery: &Delivery) -> State {
    let word = delivery.state.as_str();
    match (delivery.state, delivery.verdict) {
        (DeliveryState::Succeeded, _) if delivery.dry_run => State::new(Tone::Good, "dry run"),
        (DeliveryState::Succeeded, _) => State::new(Tone::Good, word),
        (DeliveryState::NothingRan, _) => State::new(Tone::Quiet, delivery.state_text()),
        (DeliveryState::Failed, Some(Verdict::Failure)) => State::new(Tone::Bad, "runs failed"),
        (DeliveryState::Failed | DeliveryState::Parked, _) => State::new(Tone::Bad, word),
        (DeliveryState::Superseded, _) => State::new(Tone::Quiet, word),
        (DeliveryState::Pending, _) if delivery.error.is_some() => {
            State::new(Tone::Wait, "retrying")
        }
        (DeliveryState::Pending, _) => State::new(Tone::Wait, "waiting"),
        (DeliveryState::Following, _) => State::new(Tone::Busy, "running"),
        (DeliveryState::Fetching | DeliveryState::Checking | DeliveryState::Applying, _) => {
            State::new(Tone::Busy, word)
        }
        _ => State::new(Tone::Quiet, word),
    }
}

/// From its start to its end, or to now.
pub(crate) fn took(delivery: &Delivery, now: Timestamp) -> Duration {
    let end = delivery.finished.unwrap_or(now);
    Duration::try_from(end.duration_since(delivery.started)).unwrap_or_default()
}

/// Why it was started, in a few words.
pub(crate) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Change => "a new commit",
        Cause::Manual => "asked for by hand",
        Cause::Webhook => "asked for by a webhook",
        Cause::Rerun => "new runs, asked for by hand",
        _ => "an unknown cause",
    }
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
    pub(crate) cause: &'static str,
    pub(crate) runs: String,
}

impl Row {
    pub(crate) fn new(delivery: &Delivery, place: Option<&WatchPlace>, now: Timestamp) -> Self {
        Self {
            id: delivery.id.clone(),
            state: state(delivery),
            branch: delivery.branch.clone(),
            revision: Commit::new(&delivery.revision, place.map(|place| &place.source)),
            started: Moment::new(now, delivery.started),
            took: span(took(delivery, now)),
            cause: cause(delivery.trigger),
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
    fn new(run: &Run, now: Timestamp) -> Self {
        let tone = match run.state {
            RunState::Succeeded => Tone::Good,
            RunState::Running => Tone::Busy,
            RunState::Failed => Tone::Bad,
            RunState::Queued => Tone::Wait,
            _ => Tone::Quiet,
        };
        Self {
            state: State::new(tone, run.state.as_str()),
            name: run.name.clone(),
            reason: run.reason.clone(),
            message: run.message.clone(),
            ended: run.ended.map(|at| Moment::new(now, at)),
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
            Action::Created | Action::Configured => Tone::Good,
            Action::Failed => Tone::Bad,
            Action::Queued => Tone::Wait,
            _ => Tone::Quiet,
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
        let (delivery, now) = (&show.delivery, reader.now);
        let source = place.map(|place| &place.source);
        let manifests = place.map(|place| &place.manifests);
        let commit_of_b = delivery.manifests_revision.as_ref();
        Self {
            frame,
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            branch: delivery.branch.clone(),
            state: state(delivery),
            summary: summary(delivery, show.next_attempt, now),
            source: source.map(|repository| repository.path.clone()),
            revision: Commit::new(&delivery.revision, source),
            manifests: manifests.map(|repository| repository.path.clone()),
            manifests_revision: commit_of_b.map(|sha| Commit::new(sha, manifests)),
            manifests_branch: show.manifests_branch.clone(),
            started: Moment::new(now, delivery.started),
            took: span(took(delivery, now)),
            asked_for: show.asked_for.as_ref().map(|asked| {
                let event = asked.event.as_ref().map(|event| format!("event {event}"));
                let run = asked.run.as_ref().map(|run| format!("run {run}"));
                event.into_iter().chain(run).collect::<Vec<_>>().join(", ")
            }),
            superseded_by: show.superseded_by.as_ref().map(|sha| Commit::new(sha, source)),
            error: delivery.error.clone(),
            stops: timeline(show, now),
            runs: delivery.runs.iter().map(|run| RunLine::new(run, now)).collect(),
            objects: delivery.objects.iter().map(ObjectLine::new).collect(),
            notes: show.notes.clone(),
            acts: acts(reader, delivery),
        }
    }
}

/// One sentence that says it all.
fn summary(delivery: &Delivery, next: Option<Timestamp>, now: Timestamp) -> String {
    let totals = RunTotals::of_answer(delivery);
    let time = span(took(delivery, now));
    let runs = match totals.total {
        0 => "no run".to_owned(),
        number => sentry_api::text::count(number, "run"),
    };
    match delivery.state {
        DeliveryState::Succeeded if delivery.dry_run => {
            format!("A dry run: nothing was written. It took {time}.")
        }
        DeliveryState::Succeeded => format!("Delivered with {runs} in {time}."),
        DeliveryState::NothingRan => {
            let cause = delivery.nothing_ran.map_or("no reason was given", Reason::as_str);
            format!("No run was to start: {cause}.")
        }
        DeliveryState::Failed if totals.failed > 0 => {
            format!("{} of {runs} failed, after {time}.", totals.failed)
        }
        DeliveryState::Failed => format!("Failed after {time}."),
        DeliveryState::Parked => match next {
            Some(at) => {
                let again = sentry_api::text::ahead(now, at);
                format!(
                    "Given up for now: it is looked at again {again}, or when something changes."
                )
            }
            None => "Given up until something changes, or somebody asks.".to_owned(),
        },
        DeliveryState::Superseded if totals.total > 0 => {
            format!("A newer head took its place; of {runs}: {}.", totals.words())
        }
        DeliveryState::Superseded => "A newer head took its place; nothing of it ran.".to_owned(),
        DeliveryState::Following if totals.total > 0 => {
            format!("{} of {runs} go on, for {time} now.", totals.running + totals.queued)
        }
        DeliveryState::Pending if delivery.error.is_some() => {
            "An attempt failed; another one is due.".to_owned()
        }
        DeliveryState::Pending => "Waits for its turn.".to_owned(),
        _ => format!("Under way, for {time} now."),
    }
}

fn acts(reader: &Reader, delivery: &Delivery) -> Vec<Act> {
    let act = |label, about: &str, what: &str, fields| {
        reader.act(label, about.to_owned(), format!("/deliveries/{}/{what}", delivery.id), fields)
    };
    let ended = delivery.state.is_final();
    let had_verdict = delivery.verdict.is_some();
    let given_up = matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked);
    let retry = (given_up && !had_verdict)
        .then(|| act("Retry", "Retry this delivery: nothing that ran runs twice", "retry", vec![]));
    let failed = (had_verdict && delivery.state == DeliveryState::Failed).then(|| {
        let fields = vec![("failed", "true".to_owned())];
        act("Rerun what failed", "New runs of what failed in this delivery", "rerun", fields)
    });
    let again = (ended && !delivery.objects.is_empty())
        .then(|| act("Rerun all", "New runs of everything in this delivery", "rerun", vec![]));
    [retry, failed, again].into_iter().flatten().flatten().collect()
}
