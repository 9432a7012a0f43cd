//! The events that the engine publishes while it works. It prints nothing: the embedder decides what a person sees.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::delivery::{Cause, Delivery, DeliveryState, Reason, RunRecord, Verdict};
use crate::fleet::Slot;
use crate::forge::CommitStatus;
use crate::ids::{DeliveryId, TriggerId};
use crate::names::{ClusterRef, WatchName};
use crate::notifier::Notice;
use crate::plan::ObjectOutcome;
use crate::repo::{CommitSha, RepoUrl};
use crate::revision::Revision;
use crate::subject::Subject;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The engine runs.
    Started {
        /// How many watches it has.
        watches: usize,
    },
    /// A branch was seen for the first time and its head recorded; nothing is delivered.
    Baseline {
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// Why it is the first time: `first sight`, `selector widened`, `source repository changed`.
        why: String,
    },
    /// A head differs from the last settled one.
    Change {
        /// The watch.
        watch: WatchName,
        /// The new head.
        revision: Revision,
        /// The head settled before, if there was one.
        from: Option<CommitSha>,
    },
    /// A subject is gone.
    Gone {
        /// The watch.
        watch: WatchName,
        /// The subject.
        subject: Subject,
    },
    /// A decision not to start something (closed list of reasons).
    NotStarted {
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// The reason of the closed list.
        reason: crate::delivery::Reason,
        /// One sentence more.
        detail: Option<String>,
    },
    /// A delivery's attempt began.
    DeliveryStarted {
        /// The delivery.
        id: DeliveryId,
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// Why.
        cause: Cause,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A delivery reached another step.
    DeliveryStep {
        /// The delivery.
        id: DeliveryId,
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// The state it is in now.
        state: DeliveryState,
    },
    /// An attempt failed; another one follows.
    DeliveryRetrying {
        /// The delivery.
        id: DeliveryId,
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// Why it failed.
        error: String,
        /// How long until the next attempt.
        wait: Duration,
        /// True if the failure counts against `max_retries`.
        counted: bool,
    },
    /// A delivery is final.
    DeliverySettled {
        /// The delivery.
        id: DeliveryId,
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// Its final state.
        state: DeliveryState,
        /// B's commit, if it got so far.
        manifests: Option<CommitSha>,
        /// What became of each object.
        objects: Vec<ObjectOutcome>,
        /// The runs that it started, and how they ended.
        runs: Vec<RunRecord>,
        /// How its runs ended, if there were any.
        verdict: Option<Verdict>,
        /// Why no run of it was to start, if none was.
        passed: Option<Reason>,
        /// From its start to its end.
        took: Duration,
        /// The error, if it did not succeed.
        error: Option<String>,
        /// True if nothing was written on purpose.
        dry_run: bool,
    },
    /// Runs of a delivery are queued until the namespace has room for them.
    RunsQueued {
        /// The delivery.
        id: DeliveryId,
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// How many wait.
        queued: usize,
        /// How many runs may be active in the namespace.
        limit: u32,
    },
    /// The state of a run that a delivery started changed.
    RunChanged {
        /// The delivery.
        id: DeliveryId,
        /// The watch.
        watch: WatchName,
        /// The head.
        revision: Revision,
        /// The run.
        run: RunRecord,
    },
    /// Runs can't be followed now; this is retried.
    FollowFailed {
        /// Where they are.
        cluster: ClusterRef,
        /// Why.
        error: String,
        /// How long until the next attempt.
        wait: Duration,
    },
    /// A status was shown on a commit of A.
    Reported {
        /// The watch.
        watch: WatchName,
        /// The status.
        status: CommitStatus,
    },
    /// A status could not be shown. That never fails a delivery.
    ReportFailed {
        /// The watch.
        watch: WatchName,
        /// The status.
        status: CommitStatus,
        /// Why.
        error: String,
        /// How long until the next attempt; `None` if there is none.
        wait: Option<Duration>,
    },
    /// A receiver was notified.
    Notified {
        /// The receiver.
        receiver: String,
        /// The notice.
        notice: Box<Notice>,
    },
    /// A receiver could not be notified. That never affects a delivery.
    NotifyFailed {
        /// The receiver.
        receiver: String,
        /// The notice.
        notice: Box<Notice>,
        /// Why.
        error: String,
        /// Failed attempts in a row.
        tries: u32,
        /// How long until the next attempt; `None` if there is none before the next notice.
        wait: Option<Duration>,
    },
    /// A trigger was taken or rejected.
    TriggerAnswered {
        /// The trigger.
        trigger: TriggerId,
        /// The watch.
        watch: WatchName,
        /// The delivery that fulfils it, or why it was rejected.
        answer: Result<DeliveryId, String>,
    },
    /// A forge did not answer, or refused, for these repositories.
    ForgeUnreachable {
        /// The forge.
        forge: String,
        /// The repository.
        repo: RepoUrl,
        /// The error.
        error: String,
        /// How long until it is polled again.
        wait: Duration,
    },
    /// A forge answers again.
    ForgeRecovered {
        /// The forge.
        forge: String,
        /// The repository.
        repo: RepoUrl,
        /// How long it did not.
        after: Duration,
    },
    /// A repository has another name now: the configuration should be changed.
    RepoRenamed {
        /// The name in the configuration.
        from: RepoUrl,
        /// The name now.
        to: RepoUrl,
    },
    /// Patterns of a watch's `branches` that no branch of A matches: published at the start, and when they change.
    PatternsIdle {
        /// The watch.
        watch: WatchName,
        /// The patterns as written; none once all of them match again.
        patterns: Vec<String>,
    },
    /// The state can't be written: nothing advances until it can.
    StateUnavailable {
        /// The error.
        error: String,
    },
    /// A round of polling ended.
    Polled {
        /// The forge.
        forge: String,
        /// How many queries it answered.
        answered: usize,
        /// How many failed.
        failed: usize,
        /// How long it took.
        took: Duration,
    },
    /// This process has taken a slot of the state.
    SlotTaken {
        /// The slot.
        slot: Slot,
        /// How many watches it works for there.
        watches: usize,
    },
    /// This process has given a slot back.
    SlotGiven {
        /// The slot.
        slot: Slot,
    },
    /// A slot is no longer this process's: what it was doing there was cut off, and whoever owns it goes on.
    SlotLost {
        /// The slot.
        slot: Slot,
        /// Why.
        why: String,
    },
    /// The engine takes no more work and lets work in progress finish.
    Stopping,
}

impl EventKind {
    /// That a delivery reached the step that it is at.
    pub(crate) fn step(delivery: &Delivery) -> Self {
        Self::DeliveryStep {
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            revision: delivery.revision.clone(),
            state: delivery.state,
        }
    }
}
