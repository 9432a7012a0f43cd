//! `status`: what was seen, what was delivered, what comes next; and whether an agent is running.

use schemars::JsonSchema;
use sentry_core::approval::Approval;
use sentry_core::clock::Timestamp;
use sentry_core::cursor::Cursors;
use serde::{Deserialize, Serialize};

use super::{Commit, Pace, RunTotals, Subject, is_zero};
use crate::words::{BranchState, DeliveryState, ReasonKind, Verdict, Word};

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The watches: those of the configuration, in its order, then those that are only in the state.
    pub watches: Vec<WatchStatus>,
    /// How many runs of these watches are queued, by namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<QueueStatus>,
    /// Receivers with pending notifications about these watches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<ReceiverStatus>,
    /// What to pass as `after` for the branches after these; none if there is no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The agent that last ran on the state, if any; of several that share it, one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
    /// The agents that share the state; none if it is one agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetStatus>,
}

/// The agents that share a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// Those that run, longest first.
    pub members: Vec<MemberStatus>,
    /// The watches that none of them works for.
    pub unowned: Vec<String>,
}

/// One of the agents that share a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberStatus {
    /// Who: process id and host.
    pub holder: String,
    /// How long it has run, in seconds.
    pub seconds: u64,
    /// The slots that it works for.
    pub slots: Vec<SlotStatus>,
    /// How many watches are in them.
    pub watches: usize,
}

/// A slot that an agent works for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotStatus {
    /// Its number.
    pub slot: u8,
    /// The taking by which the agent owns it.
    pub term: String,
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchStatus {
    /// Its name.
    pub name: String,
    /// True while it starts nothing new.
    pub suspended: bool,
    /// Its branches seen so far.
    pub branches: Vec<BranchStatus>,
    /// The suspension, while it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension: Option<SuspensionStatus>,
    /// The forge's outage, while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<OutageStatus>,
    /// Why commit statuses can't be set, if they should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporting: Option<ReportingStatus>,
    /// Patterns of `branches` that no branch matches, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_patterns: Vec<String>,
    /// Triggers not yet processed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting_triggers: usize,
    /// The states of its newest deliveries, newest first: up to 12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Word<DeliveryState>>,
    /// How its deliveries of the last 30 days went. Only where `pace` was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// A suspension in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspensionStatus {
    /// The reason, in the person's own words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `null` is until it is resumed.
    pub until: Option<Timestamp>,
    /// Who suspended it: the name of their token, or the user who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A forge that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutageStatus {
    /// Since when.
    pub since: Timestamp,
    /// The last error.
    pub error: String,
    /// When it is polled next.
    pub next: Option<Timestamp>,
}

/// Why commit statuses can't be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportingStatus {
    /// Repository A.
    pub repo: Option<String>,
    /// The last error.
    pub error: String,
    /// True if there will be no retry.
    pub given_up: bool,
}

/// A receiver with pending notifications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverStatus {
    /// Its name.
    pub receiver: String,
    /// How many notifications are pending.
    pub waiting: usize,
    /// Since when the oldest is pending.
    pub since: Timestamp,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// One branch of A.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BranchStatus {
    /// The branch.
    pub branch: String,
    /// The subject in A that has the head.
    #[serde(default)]
    pub subject: Subject,
    /// Of a pull request what the forge says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullStatus>,
    /// The head that the forge last reported.
    pub observed: Mark,
    /// What that head says of itself, once a delivery of it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The head that a delivery was last started for.
    pub attempted: Option<Mark>,
    /// The head whose every object the cluster acknowledged.
    pub delivered: Option<Mark>,
    /// What the delivered head says of itself, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_commit: Option<Commit>,
    /// Its state.
    pub state: Word<BranchState>,
    /// Why no run of its head was due, if its state is `nothing_ran`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_ran: Option<Word<ReasonKind>>,
    /// B's commit that was delivered with the delivered head.
    pub manifests_revision: Option<String>,
    /// The runs of the delivery in progress once it has some, else of the delivered head.
    pub runs: RunTotals,
    /// How those runs ended, once all have.
    pub verdict: Option<Word<Verdict>>,
    /// The first of: why the head is not delivered, which runs failed, why the forge does not answer.
    pub last_error: Option<String>,
    /// When the next attempt, the next automatic retry of a parked head, or the next poll of the forge is due.
    pub next_attempt: Option<Timestamp>,
    /// Why the head is not delivered, and which runs of the delivered head failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The delivery shown: the one in progress, else the branch's newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// A pull request. Its texts are those of whoever opened it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullStatus {
    /// Its title.
    pub title: String,
    /// Who opened it.
    pub author: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// True if its head is in a fork.
    pub fork: bool,
    /// True if its head may start nothing until somebody approves it.
    pub unapproved: bool,
    /// Who approved its head, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovalStatus>,
}

/// That somebody approved a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalStatus {
    /// Who: the name of their token, or the user who gave the command.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl PullStatus {
    /// Of a subject, if it is a pull request.
    pub(crate) fn of(cursors: &Cursors) -> Option<Self> {
        let pull = cursors.pull.as_deref()?;
        let unapproved = cursors.is_unapproved();
        let approved = match cursors.approval.as_deref() {
            Some(Approval::Given(given)) if !unapproved => {
                Some(ApprovalStatus { by: given.by.clone(), at: given.at })
            }
            _ => None,
        };
        Some(Self {
            title: pull.title.clone(),
            author: pull.author.clone(),
            base: pull.target_branch.to_string(),
            fork: pull.is_fork,
            unapproved,
            approved,
        })
    }
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

/// Queued runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueStatus {
    /// The namespace; `null` if unknown.
    pub namespace: Option<String>,
    /// How many.
    pub runs: usize,
}

/// An agent, and whether it is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStatus {
    /// Who: process id and host.
    pub holder: String,
    /// Since when.
    pub started: Timestamp,
    /// Its last heartbeat.
    pub beat: Timestamp,
    /// True if its last heartbeat was within 35 s and none of its loops missed 3 intervals, by the answering machine's clock.
    pub healthy: bool,
    /// The same in words, with any problem.
    pub health: String,
    /// The poll loops of its forges.
    pub forges: Vec<ForgeStatus>,
}

/// The poll loop of one forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgeStatus {
    /// The forge.
    pub forge: String,
    /// When it last completed a round; if it is waiting for an answer, since when.
    pub beat: Timestamp,
    /// True if it has been waiting for an answer longer than a request normally takes.
    pub waits: bool,
    /// The polling interval, in milliseconds.
    pub interval_ms: u64,
    /// The forge's rate limit, if it has one.
    pub budget: Option<BudgetStatus>,
}

/// A forge's rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetStatus {
    /// Requests left.
    pub left: u64,
    /// Requests allowed in total.
    pub limit: u64,
    /// When the limit resets.
    pub reset: Option<Timestamp>,
}
