//! The runs of a delivery: how each stands, with its tasks, and how many stand how.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use sentry_core::delivery as core;
use sentry_core::plan::ObjectOutcome;
use serde::{Deserialize, Serialize};

use super::{Delivery, is_false, is_zero};
use crate::words::{Action, FailureClass, RunStanding, RunState, TaskState, Word};

/// One run and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its name on the cluster.
    pub name: String,
    /// Its state, or why it was not created.
    pub state: Word<RunStanding>,
    /// The cluster's word for it, or why it was not created.
    pub reason: Option<String>,
    /// If it did not succeed: task, step, reason and last log line. Only in `show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What kind of failure it was, if it failed or was cancelled. Only in `show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Word<FailureClass>>,
    /// When it began, by the cluster's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended, by the cluster's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How long it usually takes, in milliseconds: the median of the runs of its document that succeeded in the 30 deliveries
    /// of the branch before, if there are 3 or more. Only in `show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_ms: Option<u64>,
    /// The tasks of a pipeline run, in the pipeline's order, at most 200. Only in `show`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
}

/// One task of a run. A task that a matrix multiplies is there once for each run of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its name in the pipeline.
    pub task: String,
    /// The name of the run that was made for it on the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Its state.
    pub state: Word<TaskState>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How often it was tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: usize,
    /// The cluster's word for its state; for a skipped one, why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// If it failed: step and reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The tasks that end before it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// True if it runs once all others have ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finally: bool,
}

impl From<&core::TaskRecord> for Task {
    fn from(record: &core::TaskRecord) -> Self {
        let core::TaskRecord { task, run, state, started, completed, retries, .. } = record;
        let core::TaskRecord { reason, message, after, is_finally, .. } = record;
        Self {
            task: task.clone(),
            run: run.clone(),
            state: (*state).into(),
            started: *started,
            ended: *completed,
            retries: usize::try_from(*retries).unwrap_or(usize::MAX),
            reason: reason.clone(),
            message: message.clone(),
            after: after.clone(),
            finally: *is_finally,
        }
    }
}

impl Run {
    /// Of an object of a delivery that is one.
    pub(super) fn new(delivery: &core::Delivery, outcome: &ObjectOutcome) -> Self {
        let record = record(delivery, outcome);
        Self {
            name: outcome.object.name.clone(),
            state: standing(delivery, outcome).into(),
            reason: record.and_then(|run| run.reason.clone()).or_else(|| outcome.reason.clone()),
            message: None,
            failure: None,
            started: record.and_then(|run| run.started),
            ended: record.and_then(|run| run.completed),
            usual_ms: None,
            tasks: Vec::new(),
        }
    }

    /// With what only `show` tells.
    pub(super) fn whole(delivery: &core::Delivery, outcome: &ObjectOutcome) -> Self {
        let run = Self::new(delivery, outcome);
        let Some(record) = record(delivery, outcome) else { return run };
        Self {
            message: message(record),
            failure: record.failure.map(Into::into),
            tasks: record.tasks.iter().map(Into::into).collect(),
            ..run
        }
    }
}

/// The runs of a delivery, counted. Excludes runs that were not created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunTotals {
    /// All of them, including queued, cancelled, deleted and unfollowed ones.
    pub total: usize,
    /// Created and still running.
    pub running: usize,
    /// Succeeded.
    pub succeeded: usize,
    /// Failed.
    pub failed: usize,
    /// Cancelled: for a newer head, or by someone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cancelled: usize,
    /// Not created yet: the namespace is full.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queued: usize,
}

impl RunTotals {
    /// The runs of a delivery, from an answer.
    #[must_use]
    pub fn of_answer(delivery: &Delivery) -> Self {
        let mut totals = core::RunTotals::default();
        for (object, run) in delivery.objects.iter().filter(|o| o.run).zip(&delivery.runs) {
            let state = match run.state {
                Word::Known(RunStanding::As(state)) => Some(state),
                _ => None,
            };
            if let Word::Known(action) = object.action {
                totals.count(action, state);
            }
        }
        totals.into()
    }

    /// Deleted before their end was seen, or not followed.
    #[must_use]
    pub fn other(self) -> usize {
        let known = self.running + self.queued + self.succeeded + self.failed + self.cancelled;
        self.total.saturating_sub(known)
    }

    /// `1 failed, 2 running, 1 queued`; empty where there are none.
    #[must_use]
    pub fn words(self) -> String {
        let parts = [
            (self.failed, "failed"),
            (self.running, "running"),
            (self.queued, "queued"),
            (self.succeeded, "succeeded"),
            (self.cancelled, "cancelled"),
            (self.other(), "with unknown end"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        parts.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
    }
}

impl From<core::RunTotals> for RunTotals {
    fn from(totals: core::RunTotals) -> Self {
        let core::RunTotals { total, running, succeeded, failed, cancelled, queued } = totals;
        Self { total, running, succeeded, failed, cancelled, queued }
    }
}

/// What is known about a run that was created or will be.
fn record<'d>(
    delivery: &'d core::Delivery,
    outcome: &ObjectOutcome,
) -> Option<&'d core::RunRecord> {
    let object = &outcome.object;
    delivery.runs.iter().find(|run| run.object.identity() == object.identity())
}

/// Why a run ended as it did; of one that a newer head cancelled, which head that was.
fn message(run: &core::RunRecord) -> Option<String> {
    let by = run.cancelled_by.as_ref().filter(|_| run.state == RunState::Cancelled);
    by.map(|by| format!("cancelled for the newer head {by}")).or_else(|| run.message.clone())
}

/// The state of a delivery's run, or why it was not created.
fn standing(delivery: &core::Delivery, outcome: &ObjectOutcome) -> RunStanding {
    match outcome.action {
        Action::Queued => RunStanding::Queued,
        Action::Failed => RunStanding::As(RunState::Failed),
        Action::Skipped => RunStanding::Skipped,
        _ if delivery.asked.dry_run => RunStanding::Planned,
        Action::Created | Action::Configured | Action::Unchanged | Action::Exists => {
            let record = record(delivery, outcome);
            RunStanding::As(record.map_or(RunState::Unfollowed, |run| run.state))
        }
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::plan::ObjectRef;
    use sentry_core::testing::sample;

    use super::*;

    /// A delivery with a run object of each action and, where one is given, a record of its state.
    fn with(runs: &[(Action, Option<RunState>)]) -> core::Delivery {
        let asked = core::Asked { dry_run: false, ..sample::asked(1) };
        let mut delivery = core::Delivery { asked, ..sample::delivery(1) };
        (delivery.objects, delivery.runs) = (Vec::new(), Vec::new());
        for (n, (action, state)) in runs.iter().enumerate() {
            let record = sample::run(state.unwrap_or(RunState::Running));
            let object = ObjectRef { name: format!("ci-{n}"), ..record.object.clone() };
            let (object_of_run, reason) = (object.clone(), None);
            delivery.objects.push(ObjectOutcome { object, run: true, action: *action, reason });
            if state.is_some() {
                delivery.runs.push(core::RunRecord { object: object_of_run, ..record });
            }
        }
        delivery
    }

    #[test]
    fn runs_are_counted_by_how_they_stand_and_those_that_were_not_created_are_not() {
        let delivery = with(&[
            (Action::Created, Some(RunState::Running)),
            (Action::Exists, Some(RunState::Failed)),
            (Action::Created, Some(RunState::Gone)),
            (Action::Created, Some(RunState::Cancelled)),
            (Action::Created, None),
            (Action::Queued, None),
            (Action::Failed, None),
            (Action::Skipped, None),
        ]);
        let totals = RunTotals::from(delivery.run_totals());
        let (succeeded, cancelled) = (0, 1);
        let expected =
            RunTotals { total: 6, running: 1, queued: 1, succeeded, failed: 1, cancelled };
        assert_eq!((totals, totals.other()), (expected, 2));
        assert_eq!(
            totals.words(),
            "1 failed, 1 running, 1 queued, 1 cancelled, 2 with unknown end"
        );
        let answer = Delivery::from(&delivery);
        assert_eq!(RunTotals::of_answer(&answer), totals, "an answer tells less than the record");
        let words: Vec<_> = answer.runs.iter().map(|run| run.state.as_str()).collect();
        assert_eq!(
            words,
            ["running", "failed", "gone", "cancelled", "unfollowed", "queued", "failed", "skipped"]
        );
    }
}
