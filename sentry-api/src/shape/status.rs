//! `status`: what was seen, what was delivered, what comes next; and whether an agent works.

use schemars::JsonSchema;
use sentry_core::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::Subject;
use super::{RunTotals, is_zero};
use crate::words::{BranchState, ReasonKind, Verdict, Word};

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The watches: those of the configuration in its order, then those that only the state knows.
    pub watches: Vec<WatchStatus>,
    /// How many runs of these watches wait for room, by namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<QueueStatus>,
    /// Receivers that are still to be told something of these watches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<ReceiverStatus>,
    /// The agent that last worked on the state, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchStatus {
    /// Its name.
    pub name: String,
    /// True while it starts nothing new.
    pub suspended: bool,
    /// Its branches that were seen.
    pub branches: Vec<BranchStatus>,
    /// Who suspended it for what, while it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension: Option<SuspensionStatus>,
    /// Its forge's silence, while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<OutageStatus>,
    /// Why verdicts are not shown on A's commits, where that should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporting: Option<ReportingStatus>,
    /// Patterns of `branches` that no branch matches, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_patterns: Vec<String>,
    /// Triggers that nobody took yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting_triggers: usize,
}

/// A suspension in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspensionStatus {
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `null` is until it is resumed.
    pub until: Option<Timestamp>,
}

/// A forge that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutageStatus {
    /// Since when.
    pub since: Timestamp,
    /// The last error.
    pub error: String,
    /// When it is asked again.
    pub next: Option<Timestamp>,
}

/// Why verdicts are not shown on A's commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportingStatus {
    /// Repository A.
    pub repo: Option<String>,
    /// The last error.
    pub error: String,
    /// True if it is not tried again.
    pub given_up: bool,
}

/// A receiver of notifications that is still to be told something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverStatus {
    /// Its name.
    pub receiver: String,
    /// How many notifications wait for it.
    pub waiting: usize,
    /// Since when the oldest waits.
    pub since: Timestamp,
    /// Why it was not told yet.
    pub error: Option<String>,
}

/// One branch of A.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BranchStatus {
    /// The branch.
    pub branch: String,
    /// What has the head in A.
    #[serde(default)]
    pub subject: Subject,
    /// The head that the forge last reported.
    pub observed: Mark,
    /// The head that a delivery was last started for.
    pub attempted: Option<Mark>,
    /// The head whose every object the cluster acknowledged.
    pub delivered: Option<Mark>,
    /// Where it stands.
    pub state: Word<BranchState>,
    /// Why no run of its head was to start, where its state is `nothing_ran`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_ran: Option<Word<ReasonKind>>,
    /// B's commit that was delivered with the delivered head.
    pub manifests_revision: Option<String>,
    /// The runs of the delivery under way once it has some, else of the delivered head.
    pub runs: RunTotals,
    /// How those runs ended, once all did.
    pub verdict: Option<Word<Verdict>>,
    /// The first of: why the head is not delivered, which runs failed, why the forge does not answer.
    pub last_error: Option<String>,
    /// When the next attempt is due, a head that was given up is looked at again, or the forge is asked again.
    pub next_attempt: Option<Timestamp>,
    /// Why the head is not delivered, and which runs of the delivered head failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The delivery that is told of: the one under way, else the branch's newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// A commit, and when a cursor was moved to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// The commit.
    pub sha: String,
    /// When.
    pub at: Timestamp,
}

impl From<&sentry_core::cursor::Mark> for Mark {
    fn from(mark: &sentry_core::cursor::Mark) -> Self {
        Self { sha: mark.sha.to_string(), at: mark.at }
    }
}

/// Runs that wait for room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStatus {
    /// The namespace; `null` where a run's is not known.
    pub namespace: Option<String>,
    /// How many.
    pub runs: usize,
}

/// An agent, and whether it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStatus {
    /// Who: process id and host.
    pub holder: String,
    /// Since when.
    pub started: Timestamp,
    /// When it last said that it lives.
    pub beat: Timestamp,
    /// True if it spoke in the last 35 s and no loop of it missed 3 intervals, by the clock of who answers.
    pub healthy: bool,
    /// The same in words, with what is wrong.
    pub health: String,
    /// Its forges' loops.
    pub forges: Vec<ForgeStatus>,
}

/// The loop that asks one forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgeStatus {
    /// The forge.
    pub forge: String,
    /// When it last kept its time; since when it waits for an answer, if it waits.
    pub beat: Timestamp,
    /// True if it waits for an answer for longer than a request takes.
    pub waits: bool,
    /// How often it is to be asked, in milliseconds.
    pub interval_ms: u64,
    /// What is left of the forge's budget, where it has one.
    pub budget: Option<BudgetStatus>,
}

/// A forge's budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetStatus {
    /// Requests left.
    pub left: u64,
    /// Requests in all.
    pub limit: u64,
    /// When it is full again.
    pub reset: Option<Timestamp>,
}
