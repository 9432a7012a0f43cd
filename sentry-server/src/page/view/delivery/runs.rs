//! The runs of a delivery: what failed first, each with its tasks.

use std::time::Duration;

use askama::Template;
use sentry_api::shape::{Delivery, Object, Run, Task};
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_api::words::{FailureClass, RunStanding, RunState, TaskState};
use sentry_core::clock::Timestamp;
use sentry_core::plan::base_name;

use super::super::{Part as _, Reader, State, Tone, Words, span};
use super::graph::Graph;
use crate::page::link::WatchPlace;

/// A run of the delivery.
#[derive(Debug, Template)]
#[template(path = "part/run.html")]
pub(crate) struct RunCard {
    words: Words,
    pub(super) state: State,
    /// The name of its document, and the one on the cluster.
    name: String,
    whole: String,
    /// Its own page, on a dashboard.
    address: Option<String>,
    time: Option<String>,
    /// What kind of failure it was.
    class: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    graph: Option<Graph>,
    tasks: Vec<TaskLine>,
    sums: String,
    id: String,
}

/// One of its tasks.
#[derive(Debug)]
pub(crate) struct TaskLine {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) time: Option<String>,
    pub(super) after: Vec<String>,
    pub(super) is_finally: bool,
    /// How often it was tried again, and why it stands so.
    notes: Vec<String>,
}

/// The runs of a delivery: failed ones first, then those in progress, then the rest; each in the order of the documents.
pub(super) fn cards(
    reader: &Reader,
    delivery: &Delivery,
    place: Option<&WatchPlace>,
) -> Vec<RunCard> {
    let objects = delivery.objects.iter().filter(|object| object.run);
    let runs = delivery.runs.iter().zip(objects).enumerate();
    let card = |(n, (run, object))| RunCard::new(reader, n, run, object, place);
    let mut cards: Vec<RunCard> = runs.map(card).collect();
    cards.sort_by_key(|card| match card.state.tone {
        Tone::Bad => 0,
        Tone::Busy => 1,
        Tone::Wait => 2,
        Tone::Quiet => 3,
        Tone::Good => 4,
    });
    cards
}

impl RunCard {
    fn new(
        reader: &Reader,
        n: usize,
        run: &Run,
        object: &Object,
        place: Option<&WatchPlace>,
    ) -> Self {
        let words = reader.words;
        let state = run_state(words, run.state);
        let is_over = !matches!(state.tone, Tone::Busy | Tone::Wait);
        let tasks: Vec<TaskLine> =
            run.tasks.iter().map(|task| TaskLine::new(reader, task, is_over)).collect();
        Self {
            words,
            name: base_name(&run.name).to_owned(),
            whole: run.name.clone(),
            address: place.and_then(|place| place.run(object)),
            time: time(reader, run),
            class: run.failure.map(|class| words.say(class_key(class))),
            reason: run.reason.clone(),
            message: run.message.clone(),
            graph: Graph::new(words, format!("graph-{n}"), &tasks),
            sums: sums(words, &tasks),
            tasks,
            state,
            id: format!("tasks-{n}"),
        }
    }

    /// What ended well is folded.
    fn is_open(&self) -> bool {
        matches!(self.state.tone, Tone::Bad | Tone::Busy)
    }
}

/// `12 tasks, 1 failed, 9 succeeded`.
fn sums(words: Words, tasks: &[TaskLine]) -> String {
    let count = |tone| tasks.iter().filter(|task| task.state.tone == tone).count();
    let parts = [
        (count(Tone::Bad), "count-bad"),
        (count(Tone::Busy), "count-open"),
        (count(Tone::Good), "count-good"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, key)| words.count(key, *n));
    words.list(std::iter::once(words.count("count-tasks", tasks.len())).chain(parts))
}

/// The state of a run, or why it was not created.
pub(super) fn run_state(words: Words, state: Word<RunStanding>) -> State {
    let (tone, key) = match state {
        Known(RunStanding::As(RunState::Succeeded)) => (Tone::Good, "state-succeeded"),
        Known(RunStanding::As(RunState::Running)) => (Tone::Busy, "state-running"),
        Known(RunStanding::As(RunState::Failed)) => (Tone::Bad, "state-failed"),
        Known(RunStanding::As(RunState::Cancelled)) => (Tone::Quiet, "run-cancelled"),
        Known(RunStanding::As(RunState::Gone)) => (Tone::Quiet, "run-gone"),
        Known(RunStanding::As(RunState::Unfollowed)) => (Tone::Quiet, "run-unfollowed"),
        Known(RunStanding::Queued) => (Tone::Wait, "run-queued"),
        Known(RunStanding::Skipped) => (Tone::Quiet, "run-skipped"),
        Known(RunStanding::Planned) => (Tone::Quiet, "run-planned"),
        Unknown => (Tone::Quiet, "state-unknown"),
    };
    State::new(tone, words.say(key))
}

fn class_key(class: Word<FailureClass>) -> &'static str {
    match class {
        Known(FailureClass::Step) => "class-step",
        Known(FailureClass::Timeout) => "class-timeout",
        Known(FailureClass::Cancelled) => "class-cancelled",
        Known(FailureClass::NotStarted) => "class-not-started",
        Known(FailureClass::Infrastructure) => "class-infrastructure",
        Known(FailureClass::Other) | Unknown => "class-other",
    }
}

/// From its start to its end, or to now.
pub(super) fn lasted(
    reader: &Reader,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
) -> Option<Duration> {
    Duration::try_from(ended.unwrap_or(reader.now).duration_since(started?)).ok()
}

/// `4 min 12 s, usually 3 min`.
fn time(reader: &Reader, run: &Run) -> Option<String> {
    let words = reader.words;
    let is_open = run.state == RunStanding::As(RunState::Running);
    let end = run.ended.or_else(|| is_open.then_some(reader.now));
    let took = end.and_then(|end| lasted(reader, run.started, Some(end)));
    let usual = run.usual_ms.map(|ms| span(words, whole_seconds(Duration::from_millis(ms))));
    match (took.map(|took| span(words, whole_seconds(took))), usual) {
        (Some(took), Some(usual)) => {
            Some(words.with("took-usual", [("took", took.into()), ("usual", usual.into())]))
        }
        (Some(took), None) => Some(took),
        (None, Some(usual)) => Some(words.put("usually", "usual", usual)),
        (None, None) => None,
    }
}

/// The cluster tells seconds.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

impl TaskLine {
    /// `is_over` is true if its run has ended: what was not begun by then never is.
    pub(super) fn new(reader: &Reader, task: &Task, is_over: bool) -> Self {
        let words = reader.words;
        let (tone, key) = match task.state {
            Known(TaskState::Pending) if is_over => (Tone::Quiet, "task-never"),
            Known(TaskState::Pending) => (Tone::Wait, "state-waiting"),
            Known(TaskState::Started | TaskState::Running) => (Tone::Busy, "state-running"),
            Known(TaskState::Succeeded) => (Tone::Good, "state-succeeded"),
            Known(TaskState::Failed) => (Tone::Bad, "state-failed"),
            Known(TaskState::Cancelled) => (Tone::Quiet, "run-cancelled"),
            Known(TaskState::Skipped) => (Tone::Quiet, "run-skipped"),
            Unknown => (Tone::Quiet, "state-unknown"),
        };
        let is_open = tone == Tone::Busy;
        let end = task.ended.or_else(|| is_open.then_some(reader.now));
        let time = end.and_then(|end| lasted(reader, task.started, Some(end)));
        let retries = (task.retries > 0).then(|| words.count("task-retries", task.retries));
        let why =
            task.message.clone().or_else(|| task.reason.clone().filter(|_| tone != Tone::Good));
        Self {
            name: task.task.clone(),
            state: State::new(tone, words.say(key)),
            time: time.map(|time| span(words, whole_seconds(time))),
            after: task.after.clone(),
            is_finally: task.finally,
            notes: retries.into_iter().chain(why).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::sample;
    use super::*;

    #[test]
    fn runs_have_the_tone_of_what_became_of_them_and_failed_ones_stand_first() {
        let states = ["succeeded", "cancelled", "queued", "running", "failed", "gone"];
        let delivery = sample::with_runs(&states, json!({}));
        let cards = cards(&sample::reader(), &delivery, None);
        let told: Vec<_> =
            cards.iter().map(|card| (card.state.tone, card.state.word.as_str())).collect();
        let wanted = [
            (Tone::Bad, "failed"),
            (Tone::Busy, "running"),
            (Tone::Wait, "queued"),
            (Tone::Quiet, "cancelled"),
            (Tone::Quiet, "deleted"),
            (Tone::Good, "succeeded"),
        ];
        assert_eq!(told, wanted);
        assert!(cards[0].is_open() && !cards[5].is_open());
    }

    #[test]
    fn a_run_says_how_long_it_took_and_what_is_usual() {
        let run = |said: serde_json::Value| {
            let known =
                json!({"name": "ci", "state": "running", "started": "2026-01-01T00:05:48Z"});
            let run: Run = serde_json::from_value(sample::but(known, said)).unwrap();
            time(&sample::reader(), &run)
        };
        let ended = "2026-01-01T00:06:00Z";
        for (said, wanted) in [
            (json!({"usual_ms": 180_400}), Some("4 min 12 s, usually 3 min")),
            (json!({"state": "failed", "ended": ended}), Some("12 s")),
            (json!({"state": "gone"}), None),
            (json!({"state": "queued", "started": null, "usual_ms": 5000}), Some("usually 5 s")),
        ] {
            assert_eq!(run(said.clone()).as_deref(), wanted, "{said}");
        }
    }

    #[test]
    fn a_task_says_how_it_stands_and_why() {
        let line = |said: serde_json::Value, is_over| {
            let known = json!({"task": "unit", "state": "failed"});
            let task = serde_json::from_value(sample::but(known, said)).unwrap();
            let line = TaskLine::new(&sample::reader(), &task, is_over);
            (line.state.tone, line.state.word, line.notes.join("; "))
        };
        let of = |tone, word: &str, notes: &str| (tone, word.to_owned(), notes.to_owned());
        assert_eq!(
            line(json!({"retries": 2, "message": "step test: exit code 1"}), true),
            of(Tone::Bad, "failed", "2 retries; step test: exit code 1")
        );
        let skipped = json!({"state": "skipped", "reason": "when expressions"});
        assert_eq!(line(skipped, true), of(Tone::Quiet, "skipped", "when expressions"));
        let pending = || json!({"state": "pending"});
        assert_eq!(line(pending(), true), of(Tone::Quiet, "never began", ""));
        assert_eq!(line(pending(), false), of(Tone::Wait, "waiting", ""));
        let fine = json!({"state": "succeeded", "reason": "Succeeded"});
        assert_eq!(line(fine, true), of(Tone::Good, "succeeded", ""));
    }
}
