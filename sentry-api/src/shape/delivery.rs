//! `history` and `show`: what was delivered when, by whom, with which objects, how long it took, how its runs ended.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use sentry_core::delivery as core;
use sentry_core::plan::ObjectOutcome;
use sentry_core::store::Brief;
use sentry_core::text;
use serde::{Deserialize, Serialize};

use super::{Earlier, Run, RunTotals, Subject, is_false, is_zero};
use crate::VERSION;
use crate::words::{Action, Cause, DeliveryState, ReasonKind, Verdict, Word};

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
    /// How they stand together: those for the same event, dry runs left out. None where there is no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// How several deliveries of one commit stand together: of each document the newest run counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// The state.
    pub state: Word<DeliveryState>,
    /// How the runs that count ended, once all have.
    pub verdict: Option<Word<Verdict>>,
    /// The runs that count.
    pub runs: RunTotals,
}

impl From<&Brief> for Counted {
    fn from(brief: &Brief) -> Self {
        let (state, verdict) = (brief.state.into(), brief.verdict.map(Into::into));
        Self { state, verdict, runs: brief.runs.into() }
    }
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

impl History {
    /// The shortest form of an id that is listed; the id itself where an older server did not say how short it may be.
    #[must_use]
    pub fn short<'a>(&self, id: &'a str) -> &'a str {
        id.get(..self.id_length).filter(|short| !short.is_empty()).unwrap_or(id)
    }
}

impl From<&core::Delivery> for Show {
    fn from(delivery: &core::Delivery) -> Self {
        let runs = delivery.objects.iter().filter(|outcome| outcome.run);
        let runs = runs.map(|outcome| Run::whole(delivery, outcome)).collect();
        let event =
            Some(&delivery.asked.event).filter(|e| **e != delivery.revision.subject.event());
        let asked =
            AskedFor { event: event.map(ToString::to_string), run: delivery.asked.only.clone() };
        let is_special = asked.event.is_some() || asked.run.is_some();
        Self {
            version: VERSION,
            delivery: Delivery { runs, ..Delivery::from(delivery) },
            attempts: attempts(delivery),
            next_attempt: delivery.next_attempt,
            superseded_by: delivery.superseded_by.as_ref().map(ToString::to_string),
            steps: delivery.steps.iter().map(Into::into).collect(),
            cancelled: delivery
                .cancelled
                .as_ref()
                .map(|it| Cancelled { by: it.by.clone(), at: it.at }),
            notes: delivery.notes.clone(),
            manifests_branch: delivery.manifests.as_ref().map(|b| b.subject.to_string()),
            asked_for: is_special.then_some(asked),
            before: None,
            same_commit: Vec::new(),
            counted: None,
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
            branch: delivery.revision.subject.to_string(),
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
            runs: runs.map(|outcome| Run::new(delivery, outcome)).collect(),
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

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let show = Show::from(&sample::delivery(1));
        let json = serde_json::to_string(&show).unwrap();
        assert_eq!(serde_json::from_str::<Show>(&json).unwrap(), show);
    }
}
