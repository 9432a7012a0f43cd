//! The port to people: who is notified that a branch's tests fail, or that nothing can be started anymore.

use std::fmt;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::delivery::{Cause, CommitNote};
use crate::error::{Error, Kind};
use crate::ids::{DeliveryId, NoticeId};
use crate::names::WatchName;
use crate::repo::{CommitSha, RepoUrl};
use crate::retry::Retry;
use crate::revision::Revision;
use crate::subscription::{Occasion, Route};

/// Notifies one receiver.
///
/// The engine asks one notifier for one notice at a time, oldest first. A notice may come again after a crash, with the
/// same [`Notice::id`]. Whatever a notifier does, no delivery waits for it or fails by it.
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync {
    /// Notifies the receiver, within the notifier's own deadline.
    ///
    /// # Errors
    /// [`NotifyError`]; [`NotifyError::retry`] says whether and when it is tried again.
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError>;
}

/// A notice. It is complete: sending it needs no other data. No part holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its own id.
    pub id: NoticeId,
    /// When it was decided.
    pub at: Timestamp,
    /// Whom it is for.
    pub route: Route,
    /// What happened.
    pub occasion: Occasion,
    /// The watch.
    pub watch: WatchName,
    /// Repository A.
    pub repo: RepoUrl,
    /// The head of A.
    pub revision: Revision,
    /// What A's commit says of itself, where its forge was asked.
    pub commit: Option<CommitNote>,
    /// B's commit, where the delivery got so far.
    pub manifests: Option<CommitSha>,
    /// The namespace that runs go into.
    pub namespace: String,
    /// The delivery.
    pub delivery: DeliveryId,
    /// Why the delivery was made.
    pub cause: Cause,
    /// Who asked for it, if a person did and that is known.
    pub asked_by: Option<String>,
    /// Why it failed; of a recovery what is over. At most [`REASON_CHARS`] characters.
    pub reason: Option<String>,
    /// How many attempts failed so far.
    pub attempts: u32,
    /// The states of its runs.
    pub runs: RunCounts,
    /// Its runs that failed, at most [`FAILED_RUNS`].
    pub failed_runs: Vec<FailedRun>,
    /// Where there is more to read, as the watch's `report_link` has it.
    pub link: Option<String>,
}

/// The longest reason, in characters.
pub const REASON_CHARS: usize = 1_000;
/// The most failed runs that a notice names.
pub const FAILED_RUNS: usize = 10;

/// What a template of a receiver may name: the facts of a notice.
pub const TEMPLATE_FIELDS: [&str; 20] = [
    "asked_by",
    "at",
    "attempts",
    "author",
    "branch",
    "cause",
    "delivery",
    "failed_runs",
    "link",
    "manifests_revision",
    "namespace",
    "occasion",
    "reason",
    "repo",
    "revision",
    "route",
    "runs",
    "short_revision",
    "title",
    "watch",
];

/// How many runs are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// All.
    pub total: u32,
    /// Those that ended well.
    pub succeeded: u32,
    /// Those that failed.
    pub failed: u32,
}

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRun {
    /// Its name on the cluster.
    pub name: String,
    /// Task, step and why, where that is known.
    pub reason: Option<String>,
}

/// What kind of error a receiver met; decides the retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyErrorKind {
    /// It can't be reached, did not answer in time, or answered with a server error.
    Unreachable,
    /// It asks us to wait.
    RateLimited,
    /// It refuses us, or is not there any more: nothing reaches it until a person acts.
    Refused,
    /// It does not take this one notice; others it may take.
    Rejected,
    /// A file or setting of this machine is missing or unusable. Files get repaired.
    Local,
}

impl Kind for NotifyErrorKind {
    /// A receiver that refuses is retried only with the next notice.
    fn retry(self) -> Retry {
        match self {
            Self::Refused | Self::Rejected => Retry::Stalled,
            Self::Unreachable | Self::RateLimited | Self::Local => Retry::Backoff,
        }
    }
}

/// An error of a receiver. The text names the receiver, never its address, which may be a secret.
pub type NotifyError = Error<NotifyErrorKind>;
