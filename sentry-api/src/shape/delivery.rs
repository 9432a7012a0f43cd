//! `history` and `show`: what was delivered when, by whom, with which objects, how long it took, how its runs ended.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use sentry_core::delivery as core;
use sentry_core::plan::ObjectOutcome;
use sentry_core::text;
use serde::{Deserialize, Serialize};

use super::{Earlier, Subject, is_false, is_zero};
use crate::VERSION;
use crate::words::{
    Action, Cause, DeliveryState, FailureClass, ReasonKind, RunStanding, RunState, TaskState,
    Verdict, Word,
};

/// The answer to `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// [`VERSION`].
    pub version: u32,
    /// Newest first.
    pub deliveries: Vec<Delivery>,
    /// So many first characters of each of these ids are the beginning of no other delivery's id in this state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub id_length: usize,
    /// What to pass as `before` for the older ones; none at the end of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The answer to `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Show {
    /// [`VERSION`].
    pub version: u32,
    /// The delivery; its runs have a `message`, a `failure` and `tasks` here.
    pub delivery: Delivery,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, if one is; for a parked delivery, the next automatic retry.
    pub next_attempt: Option<Timestamp>,
    /// The head that superseded it.
    pub superseded_by: Option<String>,
    /// How long the last attempt's steps took.
    pub steps: Vec<Step>,
    /// That somebody cancelled it, if so; also while its runs still end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancelled>,
    /// Notes that did not stop the delivery.
    pub notes: Vec<String>,
    /// B's branch, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests_branch: Option<String>,
    /// What was requested, if a person requested something special.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<AskedFor>,
    /// The delivery before it that brought another commit of its branch to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Earlier>,
    /// The deliveries of its commit and branch, newest first, itself among them, at most 10, of their objects the runs; none
    /// where there is no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_commit: Vec<Delivery>,
}

/// Who cancelled a delivery, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// Who, where that is known: a token's name, or the user who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When the request was taken up.
    pub at: Timestamp,
}

/// Which runs were requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AskedFor {
    /// Only runs for this event; `null` is `push`.
    pub event: Option<String>,
    /// Only the run with this name.
    pub run: Option<String>,
}

/// What a commit of A says of itself. Untrusted text, in one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// The first line of its message, at most 200 characters.
    pub title: String,
    /// Who wrote it, as the forge names them.
    pub author: String,
    /// When it was committed, by the committer's clock, if that can be read.
    pub at: Option<Timestamp>,
}

impl From<&core::CommitNote> for Commit {
    fn from(note: &core::CommitNote) -> Self {
        let (title, author) = (text::line(&note.title), text::line(&note.author));
        Self { title, author, at: note.committed }
    }
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// The watch.
    pub watch: String,
    /// The branch of A.
    pub branch: String,
    /// The subject in A that has the head.
    #[serde(default)]
    pub subject: Subject,
    /// Why it was started.
    pub trigger: Word<Cause>,
    /// Who requested it: the name of their token, or the user who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// The delivery that it repeats, if it is a rerun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
    /// The commit of A.
    pub revision: String,
    /// What that commit says of itself, once the forge was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The commit of B, once it is known; also if its documents were refused.
    pub manifests_revision: Option<String>,
    /// Its state.
    pub state: Word<DeliveryState>,
    /// True if nothing is written.
    #[serde(default)]
    pub dry_run: bool,
    /// When it was started.
    pub started: Timestamp,
    /// Since when every object is acknowledged and only the runs are still followed.
    pub following_since: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// The outcome of each object.
    pub objects: Vec<Object>,
    /// The state of each run: one for each object that has `run`, in the same order.
    pub runs: Vec<Run>,
    /// How the runs ended, once all have.
    pub verdict: Option<Word<Verdict>>,
    /// Why no run was due, if its state is `nothing_ran`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_ran: Option<Word<ReasonKind>>,
    /// The last error.
    pub error: Option<String>,
}

impl Delivery {
    /// Its state for people, with the cause if nothing ran: `nothing ran: no run matched`.
    #[must_use]
    pub fn state_text(&self) -> String {
        match (self.state, self.nothing_ran) {
            (Word::Known(DeliveryState::NothingRan), Some(cause)) => {
                format!("nothing ran: {cause}")
            }
            (state, _) => state.to_string(),
        }
    }
}

/// One object and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Object {
    /// The file, relative to B's directory.
    pub path: String,
    /// The line its document starts at, from 1.
    #[serde(default)]
    pub line: usize,
    /// `kind`.
    pub kind: String,
    /// Its namespace; `null` for a cluster-scoped object.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its name on the cluster.
    pub name: String,
    /// True for a run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub run: bool,
    /// Its outcome.
    pub action: Word<Action>,
    /// The reason, if there is one to give.
    pub reason: Option<String>,
}

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

/// How long one step took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The step: `resolve`, `fetch`, `check`, `apply`.
    pub step: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
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

impl History {
    /// The shortest form of an id that is listed; the id itself where an older server did not say how short it may be.
    #[must_use]
    pub fn short<'a>(&self, id: &'a str) -> &'a str {
        id.get(..self.id_length).filter(|short| !short.is_empty()).unwrap_or(id)
    }
}

impl From<&core::Delivery> for Show {
    fn from(delivery: &core::Delivery) -> Self {
        let mut shape = Delivery::from(delivery);
        let outcomes = delivery.objects.iter().filter(|o| o.run);
        for (run, outcome) in shape.runs.iter_mut().zip(outcomes) {
            let Some(record) = record(delivery, outcome) else { continue };
            run.message = message(record);
            run.failure = record.failure.map(Into::into);
            run.tasks = record.tasks.iter().map(Into::into).collect();
        }
        let event =
            Some(&delivery.asked.event).filter(|e| **e != delivery.revision.subject.event());
        let asked =
            AskedFor { event: event.map(ToString::to_string), run: delivery.asked.only.clone() };
        let is_special = asked.event.is_some() || asked.run.is_some();
        Self {
            version: VERSION,
            delivery: shape,
            attempts: attempts(delivery),
            next_attempt: delivery.next_attempt,
            superseded_by: delivery.superseded_by.as_ref().map(ToString::to_string),
            steps: delivery.steps.iter().map(Into::into).collect(),
            cancelled: delivery
                .cancelled
                .as_ref()
                .map(|it| Cancelled { by: it.by.clone(), at: it.at }),
            notes: delivery.notes.clone(),
            manifests_branch: delivery.manifests.as_ref().map(|b| b.subject.name().to_owned()),
            asked_for: is_special.then_some(asked),
            before: None,
            same_commit: Vec::new(),
        }
    }
}

/// Attempts so far: the failed ones, and the one that succeeded or is in progress.
fn attempts(delivery: &core::Delivery) -> u32 {
    let waits = delivery.state == DeliveryState::Pending;
    // With a verdict the attempts went well, whatever its runs came to.
    let gave_up = delivery.verdict.is_none()
        && matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked);
    delivery.attempts.tries + u32::from(!waits && !gave_up)
}

impl From<&core::StepTiming> for Step {
    fn from(step: &core::StepTiming) -> Self {
        let took_ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
        Self { step: step.step.clone(), started: step.started, took_ms }
    }
}

impl From<&core::Delivery> for Delivery {
    fn from(delivery: &core::Delivery) -> Self {
        let runs = delivery.objects.iter().filter(|o| o.run);
        Self {
            id: delivery.id.to_string(),
            watch: delivery.watch.to_string(),
            branch: delivery.revision.subject.name().to_owned(),
            subject: (&delivery.revision.subject).into(),
            trigger: delivery.asked.cause.into(),
            asked_by: delivery.asked.by.as_deref().map(text::line),
            repeats: delivery.asked.repeats.as_ref().map(ToString::to_string),
            revision: delivery.revision.sha.to_string(),
            commit: delivery.commit.as_ref().map(Into::into),
            manifests_revision: delivery.manifests.as_ref().map(|b| b.sha.to_string()),
            state: delivery.state.into(),
            dry_run: delivery.asked.dry_run,
            started: delivery.started,
            following_since: delivery.following_since,
            finished: delivery.finished,
            objects: delivery.objects.iter().map(Into::into).collect(),
            runs: runs.map(|outcome| run(delivery, outcome)).collect(),
            verdict: delivery.verdict.map(Into::into),
            nothing_ran: nothing_ran(delivery),
            error: delivery.error.clone(),
        }
    }
}

fn nothing_ran(delivery: &core::Delivery) -> Option<Word<ReasonKind>> {
    let ended = delivery.state == DeliveryState::NothingRan;
    delivery.passed.as_ref().filter(|_| ended).map(|reason| reason.kind().into())
}

impl From<&ObjectOutcome> for Object {
    fn from(outcome: &ObjectOutcome) -> Self {
        let object = &outcome.object;
        Self {
            path: object.path.clone(),
            line: object.line,
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            run: outcome.run,
            action: outcome.action.into(),
            reason: outcome.reason.clone(),
        }
    }
}

fn run(delivery: &core::Delivery, outcome: &ObjectOutcome) -> Run {
    let record = record(delivery, outcome);
    Run {
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

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let show = Show::from(&sample::delivery(1));
        let json = serde_json::to_string(&show).unwrap();
        assert_eq!(serde_json::from_str::<Show>(&json).unwrap(), show);
    }
}
