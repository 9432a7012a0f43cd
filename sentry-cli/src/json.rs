//! The JSON of every command, exactly as documented: `"version": 1`, times in RFC 3339 UTC, SHAs whole.

use sentry_core::cursor::Mark;
use sentry_core::delivery::{Delivery, StepTiming};
use sentry_core::manifest::DocumentDecision;
use sentry_core::plan::ObjectOutcome;
use serde::Serialize;

use crate::runs::{self, Totals};

/// The version of all shapes in this file. A change that could break a reader makes it 2.
pub(crate) const VERSION: u32 = 1;

/// `status -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) version: u32,
    pub(crate) watches: Vec<WatchStatus>,
}

#[derive(Debug, Serialize)]
pub(crate) struct WatchStatus {
    pub(crate) name: String,
    pub(crate) suspended: bool,
    pub(crate) branches: Vec<BranchStatus>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BranchStatus {
    pub(crate) branch: String,
    pub(crate) observed: MarkJson,
    pub(crate) attempted: Option<MarkJson>,
    pub(crate) delivered: Option<MarkJson>,
    pub(crate) state: &'static str,
    pub(crate) manifests_revision: Option<String>,
    pub(crate) runs: RunTotals,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) last_error: Option<String>,
    pub(crate) next_attempt: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MarkJson {
    pub(crate) sha: String,
    pub(crate) at: String,
}

impl From<&Mark> for MarkJson {
    fn from(mark: &Mark) -> Self {
        Self { sha: mark.sha.to_string(), at: mark.at.to_string() }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct RunTotals {
    pub(crate) total: usize,
    pub(crate) running: usize,
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
}

impl From<Totals> for RunTotals {
    fn from(totals: Totals) -> Self {
        let Totals { running, succeeded, failed, .. } = totals;
        Self { total: totals.total(), running, succeeded, failed }
    }
}

/// `history -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    pub(crate) version: u32,
    pub(crate) deliveries: Vec<DeliveryJson>,
}

/// `show -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Show {
    pub(crate) version: u32,
    pub(crate) delivery: DeliveryJson,
    pub(crate) attempts: u32,
    pub(crate) next_attempt: Option<String>,
    pub(crate) superseded_by: Option<String>,
    pub(crate) steps: Vec<StepJson>,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeliveryJson {
    pub(crate) id: String,
    pub(crate) watch: String,
    pub(crate) branch: String,
    pub(crate) trigger: &'static str,
    pub(crate) revision: String,
    pub(crate) manifests_revision: Option<String>,
    pub(crate) state: &'static str,
    pub(crate) started: String,
    pub(crate) following_since: Option<String>,
    pub(crate) finished: Option<String>,
    pub(crate) objects: Vec<ObjectJson>,
    pub(crate) runs: Vec<RunJson>,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ObjectJson {
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) action: &'static str,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunJson {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    /// Only in `show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StepJson {
    pub(crate) step: String,
    pub(crate) started: String,
    pub(crate) took_ms: u128,
}

impl From<&StepTiming> for StepJson {
    fn from(step: &StepTiming) -> Self {
        Self {
            step: step.step.clone(),
            started: step.started.to_string(),
            took_ms: step.took.as_millis(),
        }
    }
}

impl From<&Delivery> for DeliveryJson {
    fn from(delivery: &Delivery) -> Self {
        let runs = delivery.objects.iter().filter(|o| o.run);
        Self {
            id: delivery.id.to_string(),
            watch: delivery.watch.to_string(),
            branch: delivery.revision.branch.to_string(),
            trigger: delivery.cause.as_str(),
            revision: delivery.revision.sha.to_string(),
            manifests_revision: delivery.intent.as_ref().map(|i| i.manifests.to_string()),
            state: delivery.state.as_str(),
            started: delivery.started.to_string(),
            following_since: delivery.following_since.map(|at| at.to_string()),
            finished: delivery.finished.map(|at| at.to_string()),
            objects: delivery.objects.iter().map(ObjectJson::from).collect(),
            runs: runs.map(|outcome| run(delivery, outcome, None)).collect(),
            verdict: delivery.verdict.map(|verdict| verdict.as_str()),
            error: delivery.error.clone(),
        }
    }
}

impl DeliveryJson {
    /// With what each run that did not succeed says of itself.
    pub(crate) fn with_messages(delivery: &Delivery) -> Self {
        let message = |outcome| runs::record(delivery, outcome).and_then(|r| r.message.clone());
        let runs = delivery.objects.iter().filter(|o| o.run);
        Self { runs: runs.map(|o| run(delivery, o, message(o))).collect(), ..delivery.into() }
    }
}

impl From<&ObjectOutcome> for ObjectJson {
    fn from(outcome: &ObjectOutcome) -> Self {
        Self {
            path: outcome.object.path.clone(),
            kind: outcome.object.kind.clone(),
            name: outcome.object.name.clone(),
            action: outcome.action.as_str(),
            reason: outcome.reason.clone(),
        }
    }
}

fn run(delivery: &Delivery, outcome: &ObjectOutcome, message: Option<String>) -> RunJson {
    let record = runs::record(delivery, outcome);
    RunJson {
        name: outcome.object.name.clone(),
        state: runs::word(delivery, outcome),
        reason: record.and_then(|run| run.reason.clone()).or_else(|| outcome.reason.clone()),
        message,
    }
}

/// `explain -o json` and `lint -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Documents {
    pub(crate) version: u32,
    pub(crate) documents: Vec<DocumentJson>,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DocumentJson {
    pub(crate) path: String,
    pub(crate) document: usize,
    pub(crate) line: usize,
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) decision: &'static str,
    pub(crate) reason: String,
}

impl From<&DocumentDecision> for DocumentJson {
    fn from(decision: &DocumentDecision) -> Self {
        Self {
            path: decision.path.clone(),
            document: decision.document,
            line: decision.line,
            kind: decision.kind.clone(),
            name: decision.name.clone(),
            decision: decision.decision.as_str(),
            reason: decision.reason.clone(),
        }
    }
}

/// `diff -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Diff {
    pub(crate) version: u32,
    pub(crate) objects: Vec<ObjectDiffJson>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ObjectDiffJson {
    pub(crate) path: String,
    pub(crate) document: usize,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) action: &'static str,
    pub(crate) diff: Option<String>,
}

/// `why -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Why {
    pub(crate) version: u32,
    pub(crate) commit: String,
    pub(crate) answers: Vec<WhyAnswer>,
}

#[derive(Debug, Serialize)]
pub(crate) struct WhyAnswer {
    pub(crate) watch: String,
    pub(crate) branch: Option<String>,
    pub(crate) sha: Option<String>,
    pub(crate) reason: &'static str,
    pub(crate) superseded_by: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) at: Option<String>,
    pub(crate) delivery: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) runs: Option<RunTotals>,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) notes: Vec<String>,
    pub(crate) next_step: String,
}

/// `validate -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Validation {
    pub(crate) version: u32,
    pub(crate) valid: bool,
    pub(crate) problems: Vec<ProblemJson>,
    pub(crate) warnings: Vec<ProblemJson>,
    pub(crate) checks: Vec<CheckJson>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProblemJson {
    pub(crate) file: String,
    pub(crate) path: String,
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    pub(crate) message: String,
    pub(crate) remedy: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CheckJson {
    pub(crate) check: String,
    pub(crate) subject: String,
    pub(crate) result: &'static str,
    pub(crate) detail: String,
    pub(crate) remedy: Option<String>,
}
