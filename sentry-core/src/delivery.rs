//! Deliveries, triggers, and the closed list of reasons: the records that are kept.

mod attempts;
mod end;
mod run;

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{DeliveryId, TriggerId};
use crate::names::WatchName;
use crate::plan::{Action, ObjectOutcome, ObjectRef};
use crate::pull::{PullNumber, PullRequest};
use crate::remote::RemoteRecord;
use crate::repo::{BranchName, CommitSha};
use crate::revision::Revision;
use crate::subject::{EventName, Subject};
use crate::watch::ReportDetail;

pub use attempts::counted;
pub(crate) use end::{CANT_FOLLOW, RUN_TIMEOUT, count, end, failed, failures, verdict_of};
pub use run::{FailureClass, MAX_TASKS, TaskRecord, TaskState};

crate::closed_list! {
    /// Why a delivery was started.
    pub enum Cause {
        /// A head moved.
        Change = "change",
        /// B moved, and its watch follows B as well.
        Manifests = "manifests",
        /// A person asked.
        Manual = "manual",
        /// A webhook asked.
        Webhook = "webhook",
        /// A person asked for new runs of an earlier delivery's commits.
        Rerun = "rerun",
    }
}

impl Cause {
    /// True if a head moved, without a request.
    #[must_use]
    pub fn is_automatic(self) -> bool {
        match self {
            Self::Change | Self::Manifests => true,
            Self::Manual | Self::Webhook | Self::Rerun => false,
        }
    }
}

crate::closed_list! {
    /// The state of a delivery.
    pub enum DeliveryState {
        /// It waits for its turn, or for the next attempt.
        Pending = "pending",
        /// B's directory is being fetched.
        Fetching = "fetching",
        /// The manifests are being checked; nothing is written yet.
        Checking = "checking",
        /// Objects are being written.
        Applying = "applying",
        /// Every object is acknowledged and its runs are active, or some runs are queued for the namespace.
        Following = "following",
        /// Every object is acknowledged, and no run that was followed failed.
        Succeeded = "succeeded",
        /// It was carried out, and no run was to start: [`Delivery::passed`] says why. Neither good nor bad.
        NothingRan = "nothing_ran",
        /// It ended without success, or a run that it started did, and will not be retried automatically; whether a
        /// newer head took its place or not.
        Failed = "failed",
        /// A newer head took its place before everything was started or had ended, and nothing of it failed.
        Superseded = "superseded",
        /// It is parked until something changes or a person retries it.
        Parked = "parked",
        /// Somebody cancelled it before everything was started or had ended, and nothing of it failed.
        Cancelled = "cancelled",
    }
}

impl DeliveryState {
    /// True if nothing more will happen to the delivery automatically.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::NothingRan
                | Self::Failed
                | Self::Superseded
                | Self::Parked
                | Self::Cancelled
        )
    }
}

crate::closed_list! {
    /// The state of a run.
    pub enum RunState {
        /// It was created and did not end yet.
        Running = "running",
        /// It ended well.
        Succeeded = "succeeded",
        /// It failed or timed out: the reason says which.
        Failed = "failed",
        /// It was stopped: for a newer run of the same branch if [`RunRecord::cancelled_by`] says so, otherwise by
        /// somebody.
        Cancelled = "cancelled",
        /// It was deleted before its result was seen.
        Gone = "gone",
        /// It is not followed: its kind has no known end, or the deployer can't see it, or `run_timeout` passed.
        Unfollowed = "unfollowed",
    }
}

impl RunState {
    /// True if it will no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::Running
    }
}

/// A run that a delivery started, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Which object it is.
    pub object: crate::plan::ObjectRef,
    /// Its state.
    pub state: RunState,
    /// The cluster's reason, as it words it.
    pub reason: Option<String>,
    /// For a run that did not succeed: task, step, why and the last log line, without secrets.
    pub message: Option<String>,
    /// What kind of failure it was, for a run that failed or was cancelled.
    pub failure: Option<FailureClass>,
    /// When it began, by the cluster's clock.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// Its tasks in the pipeline's order, at most [`MAX_TASKS`]; none for a run that is no pipeline's.
    pub tasks: Vec<TaskRecord>,
    /// What its document asks for besides being run.
    pub rules: crate::plan::RunRules,
    /// The newer head for which the cluster was asked to cancel it (`cancel-in-progress`); written down before that.
    pub cancelled_by: Option<CommitSha>,
}

/// The runs of a delivery, counted. Those that were not created are not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunTotals {
    /// All of them, also those that wait, were cancelled or deleted, or are not followed.
    pub total: usize,
    /// Created and not ended.
    pub running: usize,
    /// Ended well.
    pub succeeded: usize,
    /// Failed.
    pub failed: usize,
    /// Cancelled: for a newer head, or by somebody.
    pub cancelled: usize,
    /// Not created yet: the namespace has no room.
    pub queued: usize,
}

impl RunTotals {
    /// Counts one more: what became of its object, and how it stands where that is known.
    pub fn count(&mut self, action: Action, state: Option<RunState>) {
        match (action, state) {
            (Action::Queued, _) => self.queued += 1,
            (action, _) if !action.is_acknowledged() => return,
            (_, Some(RunState::Running)) => self.running += 1,
            (_, Some(RunState::Succeeded)) => self.succeeded += 1,
            (_, Some(RunState::Failed)) => self.failed += 1,
            (_, Some(RunState::Cancelled)) => self.cancelled += 1,
            (_, Some(RunState::Gone | RunState::Unfollowed) | None) => {}
        }
        self.total += 1;
    }
}

crate::closed_list! {
    /// How the runs that a delivery started ended: all of them, in one word.
    pub enum Verdict {
        /// Every run succeeded.
        Success = "success",
        /// A run failed.
        Failure = "failure",
        /// A run could not be started or followed to its end.
        Error = "error",
    }
}

/// Which runs of B a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Those that are meant for this event instead of the subject's own.
    pub event: Option<EventName>,
    /// The run alone whose name or generateName in its document is this one.
    pub run: Option<String>,
}

/// Written before the first write to the cluster: with it, an interrupted delivery is finished as it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The branch and commit of B.
    pub manifests: Revision,
    /// sha256 of the plan, in hex.
    pub digest: String,
    /// When it was committed.
    pub at: Timestamp,
}

/// How long one step took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTiming {
    /// The step: `resolve`, `fetch`, `check`, `apply`.
    pub step: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
}

/// The error of a delivery whose branch was deleted before every object was acknowledged.
pub(crate) const BRANCH_DELETED: &str = "the branch was deleted";

/// How often a delivery was tried in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttemptCounts {
    /// Failed attempts that count against `max_retries`.
    pub failures: u32,
    /// Failed attempts of any kind in a row; what the wait grows with.
    pub tries: u32,
    /// Attempts during which the process itself ended: killed, out of memory, the machine gone.
    pub cut_off: u32,
}

/// What is kept of a commit of A, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitNote {
    /// The first line of its message, in at most [`CommitNote::CHARS`] characters; untrusted, as its author wrote it.
    pub title: String,
    /// Who wrote it, as its forge names the person, in as many characters at most; untrusted.
    pub author: String,
    /// When it was committed, by the committer's clock; `None` where the forge does not say.
    pub committed: Option<Timestamp>,
}

impl CommitNote {
    /// The most characters that are kept of a title, and of an author's name.
    pub const CHARS: usize = 200;
}

/// What was asked for: it does not change while the delivery is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Why the delivery was started.
    pub cause: Cause,
    /// The trigger that asked for it, if one did; part of the runs' keys.
    pub trigger: Option<TriggerId>,
    /// Who asked, where that is known: a token's name, or the user who gave the command.
    pub by: Option<String>,
    /// The delivery whose commits it brings once more, if a person asked for a rerun of one.
    pub repeats: Option<DeliveryId>,
    /// The event that runs must be meant for (`on-event`).
    pub event: EventName,
    /// Only the run whose name or generateName in its document is this one.
    pub only: Option<String>,
    /// True if nothing may be written.
    pub dry_run: bool,
}

/// That somebody cancelled a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Who, where that is known: a token's name, or the user who gave the command.
    pub by: Option<String>,
    /// When it was taken up: from then on nothing more is started.
    pub at: Timestamp,
}

impl fmt::Display for Cancellation {
    /// `cancelled by ops`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Some(by) => write!(f, "cancelled by {by}"),
            None => f.write_str("cancelled"),
        }
    }
}

/// One attempt-until-settled to bring one change to the target; kept in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The watch.
    pub watch: WatchName,
    /// The head of A that it brings.
    pub revision: Revision,
    /// Of a pull request what was known of it when this was made.
    pub pull: Option<Box<PullRequest>>,
    /// What A's commit says of itself, once its forge was asked.
    pub commit: Option<CommitNote>,
    /// What was asked for, by whom and why.
    pub asked: Asked,
    /// Its state.
    pub state: DeliveryState,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended, if it did.
    pub finished: Option<Timestamp>,
    /// The branch and commit of B that the last attempt found, once one did; also of what is refused then.
    pub manifests: Option<Revision>,
    /// The write-ahead record of the current commit of B, once there is one.
    pub intent: Option<Intent>,
    /// How its attempts failed.
    pub attempts: AttemptCounts,
    /// When the next attempt is due, while it waits for one; of a parked one, when it is retried automatically.
    pub next_attempt: Option<Timestamp>,
    /// The outcome of each object, at the last attempt that got that far.
    pub objects: Vec<ObjectOutcome>,
    /// The runs that it started, and their states.
    pub runs: Vec<RunRecord>,
    /// Since when every object is acknowledged and only runs are pending.
    pub following_since: Option<Timestamp>,
    /// How its runs ended, once all did; `None` if there were none.
    pub verdict: Option<Verdict>,
    /// Why no run of it is to start, if none is: a reason that [`ReasonKind::is_nothing_ran`] is true for.
    pub passed: Option<Reason>,
    /// How long the last attempt's steps took.
    pub steps: Vec<StepTiming>,
    /// Notes that stopped nothing: an unknown variable, a skipped file.
    pub notes: Vec<String>,
    /// How much its statuses say where the watch does not decide it: by who may read A, as an attempt found it. `None` before
    /// that: no more than counts.
    pub detail: Option<ReportDetail>,
    /// What its attempts got from elsewhere: another attempt takes the same.
    pub remotes: Vec<RemoteRecord>,
    /// The last error, for people; without secrets.
    pub error: Option<String>,
    /// The head that took its place, if it was superseded.
    pub superseded_by: Option<CommitSha>,
    /// That somebody cancelled it, if so; also while its runs end, and where they ended by themselves.
    pub cancelled: Option<Cancellation>,
}

impl Delivery {
    /// True if some of its runs wait for the namespace to have room.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        !self.state.is_final() && self.objects.iter().any(|o| o.action == Action::Queued)
    }

    /// True if a part of it may still be started or go on, now or by itself later.
    #[must_use]
    pub fn may_be_cancelled(&self) -> bool {
        !self.is_through() || self.state == DeliveryState::Parked
    }

    /// True if a newer head took its place, or its branch was deleted before every object was acknowledged.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded_by.is_some() || self.error.as_deref() == Some(BRANCH_DELETED)
    }

    /// True from the start of an attempt to its end, both of which are recorded: if an agent that has just started
    /// finds it in the state, the last agent's process ended in the middle of an attempt.
    #[must_use]
    pub fn is_in_attempt(&self) -> bool {
        use DeliveryState::{Applying, Checking, Fetching};
        matches!(self.state, Fetching | Checking | Applying)
    }

    /// True if nothing more will happen automatically: it is final, and no run of it is followed. A parked one has
    /// runs to follow if a part of it was created.
    #[must_use]
    pub fn is_through(&self) -> bool {
        self.state.is_final() && self.active_runs().next().is_none()
    }

    /// Its runs, counted.
    #[must_use]
    pub fn run_totals(&self) -> RunTotals {
        let mut totals = RunTotals::default();
        for outcome in self.objects.iter().filter(|outcome| outcome.run) {
            let identity = outcome.object.identity();
            let record = self.runs.iter().find(|run| run.object.identity() == identity);
            totals.count(outcome.action, record.map(|run| run.state));
        }
        totals
    }

    /// The outcome of one of its runs; `None` while no attempt reported it.
    #[must_use]
    pub fn outcome_of(&self, run: &ObjectRef) -> Option<&ObjectOutcome> {
        self.objects.iter().find(|outcome| outcome.object.identity() == run.identity())
    }

    /// True if it is not known whether the cluster ever held this run of it: an attempt was to create it, and neither
    /// the cluster's answer nor its list of runs showed it.
    #[must_use]
    pub fn is_unconfirmed(&self, run: &RunRecord) -> bool {
        let outcome = self.outcome_of(&run.object);
        !run.state.is_final() && !outcome.is_some_and(|o| o.action.is_acknowledged())
    }

    /// Its runs that did not end yet.
    pub fn active_runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().filter(|run| !run.state.is_final())
    }
}

/// What a trigger asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerKind {
    /// A delivery of a subject's head, or of the given commit of it.
    Deliver {
        /// The subject; it must be one the watch selects.
        subject: Subject,
        /// The commit; the subject's head where it is left out.
        sha: Option<CommitSha>,
        /// Which runs of B.
        selection: Selection,
    },
    /// A delivery of a fork's head, which waits for that.
    Approve {
        /// The pull request.
        number: PullNumber,
        /// Its head. Another one that it has by then is not approved.
        sha: CommitSha,
        /// The branch that it is to be merged into. The same.
        base: BranchName,
    },
    /// Another attempt of a failed or parked delivery, with its own keys: nothing that ran runs twice.
    Retry(DeliveryId),
    /// The end of a delivery: nothing more of it is started, and its runs are cancelled.
    Cancel(DeliveryId),
    /// The statuses of a commit, shown once more: a process that lost the watch was setting one, and may have set an older one
    /// than what stands there.
    Look(CommitSha),
    /// New runs of an earlier delivery's commits.
    Rerun {
        /// The earlier delivery.
        delivery: DeliveryId,
        /// Only the objects that failed then.
        failed_only: bool,
    },
}

crate::closed_list! {
    /// The state of a trigger.
    pub enum TriggerState of TriggerStateKind {
        /// Nobody took it yet.
        Pending = "pending",
        /// This delivery answers it.
        Taken(DeliveryId) = "taken",
        /// It can't be answered; says why and what to do.
        Rejected(String) = "rejected",
    }
}

/// A durable request for a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its id.
    pub id: TriggerId,
    /// The idempotency key: a second trigger with the same key is the first one.
    pub key: String,
    /// The watch.
    pub watch: WatchName,
    /// What is requested.
    pub kind: TriggerKind,
    /// Why: `manual`, `webhook` or `rerun`.
    pub cause: Cause,
    /// Who asked, where that is known: a token's name, or the user who gave the command.
    pub by: Option<String>,
    /// When it was asked.
    pub at: Timestamp,
    /// Its state.
    pub state: TriggerState,
}

crate::closed_list! {
    /// The closed list of reasons that `why` answers with.
    pub enum Reason of ReasonKind {
        /// Every object was acknowledged.
        Delivered = "delivered",
        /// A delivery is in progress, or waits for its turn or its next attempt.
        Waiting = "waiting",
        /// A newer head took its place before it was delivered.
        SupersededBy(CommitSha) = "superseded",
        /// It was the head when the branch was first seen.
        Baseline = "baseline",
        /// B holds runs, and none of them is meant for this head.
        NoRunMatched = "no run matched",
        /// B's directory holds no file of YAML, or none with a document in it.
        NoFile = "no file",
        /// B's directory holds no run, only other objects.
        OnlyObjects = "only objects",
        /// Every run that this head would start was refused, and the watch leaves refused documents out.
        RunsLeftOut = "runs left out",
        /// The commit's message holds a skip marker.
        SkippedByMarker = "skipped by marker",
        /// An open pull request of the watch has it as its head, and runs for that instead.
        InPullRequest = "in a pull request",
        /// It is a fork's, and nobody approved it.
        WaitsForApproval = "waits for approval",
        /// The watch is suspended.
        Suspended = "suspended",
        /// It is parked until something changes.
        Parked = "parked",
        /// Somebody cancelled its delivery.
        Cancelled = "cancelled",
        /// The forge has not answered since then, so this commit may not have been seen.
        ForgeUnreachable {
            /// Since when.
            since: Timestamp,
        } = "forge unreachable",
        /// No forge ever reported this commit as a head of a watched branch.
        NotSeen = "not seen",
    }
}

impl ReasonKind {
    /// True for a reason why a delivery that was carried out started no run: [`DeliveryState::NothingRan`].
    #[must_use]
    pub fn is_nothing_ran(self) -> bool {
        matches!(
            self,
            Self::NoRunMatched
                | Self::NoFile
                | Self::OnlyObjects
                | Self::RunsLeftOut
                | Self::SkippedByMarker
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SupersededBy(sha) => write!(f, "superseded by {sha}"),
            Self::ForgeUnreachable { since } => write!(f, "forge unreachable since {since}"),
            other => other.kind().fmt(f),
        }
    }
}

/// What was decided about one head of one subject, and why. The last one per (watch, subject, commit) is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRecord {
    /// The watch.
    pub watch: WatchName,
    /// The head of A.
    pub revision: Revision,
    /// The reason.
    pub reason: Reason,
    /// When it was decided.
    pub at: Timestamp,
    /// The delivery it is about, if there is one.
    pub delivery: Option<DeliveryId>,
    /// One more sentence, for people: the error of a parked delivery, what comes next.
    pub detail: Option<String>,
}
