//! What is kept of a run beyond its state: its tasks, and what kind of failure its failure was.

use crate::clock::Timestamp;

/// The most tasks that are kept of one run, in the pipeline's order.
pub const MAX_TASKS: usize = 200;

crate::closed_list! {
    /// What kind of failure made a run fail: whether to look into the tests, the documents or the cluster.
    pub enum FailureClass {
        /// A step ended with an error.
        Step = "step",
        /// A time limit passed.
        Timeout = "timeout",
        /// It was stopped on request.
        Cancelled = "cancelled",
        /// It, or a task of it, could not be started: an image, a quota, a reference, a parameter.
        NotStarted = "not_started",
        /// The cluster took its pod away, or had no memory for it.
        Infrastructure = "infrastructure",
        /// The cluster's reason is none that Sentry knows.
        Other = "other",
    }
}

crate::closed_list! {
    /// The state of one task of a run.
    pub enum TaskState {
        /// Nothing was made for it yet; if the run has ended, nothing will be.
        Pending = "pending",
        /// Its own run was made. How that stands is read once the whole run ends.
        Started = "started",
        /// It goes on, though the whole run ended.
        Running = "running",
        /// It ended well.
        Succeeded = "succeeded",
        /// It failed or timed out: the reason says which.
        Failed = "failed",
        /// It was stopped.
        Cancelled = "cancelled",
        /// It was left out: the reason says why.
        Skipped = "skipped",
    }
}

/// One task of a run. A task that a matrix multiplies is there once for each run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// Its name in the pipeline.
    pub task: String,
    /// The name of what was made for it on the cluster: a `TaskRun`, or another kind of run.
    pub run: Option<String>,
    /// Its state.
    pub state: TaskState,
    /// When it began, by the cluster's clock.
    pub started: Option<Timestamp>,
    /// When it ended, by the cluster's clock.
    pub completed: Option<Timestamp>,
    /// How often it was tried again.
    pub retries: u32,
    /// The cluster's reason, as it words it; for a skipped one, why.
    pub reason: Option<String>,
    /// For one that failed: which step, and why; without secrets, at most 1,000 characters.
    pub message: Option<String>,
    /// The tasks that end before it begins: those it waits for, and those whose results it uses.
    pub after: Vec<String>,
    /// True if it runs once all others have ended, however they did.
    pub is_finally: bool,
}
