//! The words of closed lists that stand in answers: core's, and those that only answers have.
//!
//! A reader may be older than who answers: a word that it does not know becomes [`Word::Unknown`] and stops nothing.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sentry_core::closed_list;
pub use sentry_core::closed_list::ClosedList;
pub use sentry_core::delivery::{
    Cause, DeliveryState, FailureClass, ReasonKind, RunState, TaskState, TriggerStateKind, Verdict,
};
pub use sentry_core::manifest::Decision;
pub use sentry_core::plan::Action;
pub use sentry_core::store::ActKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a watch is called: a DNS label (RFC 1123).
pub(crate) const WATCH: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

/// A word of a closed list, as an answer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word<T> {
    /// One that this version knows.
    Known(T),
    /// One that this version does not know: whoever answered is newer.
    Unknown,
}

impl<T: ClosedList> Word<T> {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known(value) => value.as_str(),
            Self::Unknown => "unknown",
        }
    }

    /// The value, if the word is known.
    #[must_use]
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown => None,
        }
    }

    /// True for a known word of which this is true.
    #[must_use]
    pub fn is(self, what: impl FnOnce(T) -> bool) -> bool {
        self.known().is_some_and(what)
    }
}

impl<T: ClosedList> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: ClosedList> PartialEq<T> for Word<T> {
    fn eq(&self, value: &T) -> bool {
        *self == Self::Known(*value)
    }
}

impl<T: ClosedList> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: ClosedList> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: ClosedList> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        Ok(T::from_word(&word).map_or(Self::Unknown, Self::Known))
    }
}

impl<T: ClosedList> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = T::all().map(T::as_str).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

/// The state of a run, or why it was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStanding {
    /// It was created and has this state; or it failed because it could not be created.
    As(RunState),
    /// It is not created yet: the namespace is full.
    Queued,
    /// It was not created: an earlier object failed.
    Skipped,
    /// A dry run would create it.
    Planned,
}

impl RunStanding {
    /// True if it was created and its state is final.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::As(state) if state.is_final())
    }
}

impl ClosedList for RunStanding {
    const NAME: &'static str = "RunState";
    const ABOUT: &'static str = "The state of a run, or why it was not created.";

    fn all() -> impl Iterator<Item = Self> {
        RunState::all().map(Self::As).chain([Self::Queued, Self::Skipped, Self::Planned])
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::As(state) => state.as_str(),
            Self::Queued => "queued",
            Self::Skipped => "skipped",
            Self::Planned => "planned",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::As(state) => state.about(),
            Self::Queued => "It is not created yet: the namespace is full.",
            Self::Skipped => "It was not created: an earlier object failed.",
            Self::Planned => "A dry run would create it.",
        }
    }
}

closed_list! {
    /// The state of a watched branch.
    pub enum BranchState {
        /// Its head was recorded when first seen, and not delivered.
        Baseline = "baseline",
        /// Its head is queued for delivery.
        Pending = "pending",
        /// Its head is a fork's, and nobody approved it.
        WaitsForApproval = "waits_for_approval",
        /// A delivery is in progress, or some of its runs are queued.
        Delivering = "delivering",
        /// Every object of its head is acknowledged.
        Delivered = "delivered",
        /// Its head was settled, and no run was due.
        NothingRan = "nothing_ran",
        /// The delivery of its head was cancelled by somebody.
        Cancelled = "cancelled",
        /// An attempt failed; another one is due.
        Retrying = "retrying",
        /// Its head is set aside until something changes or a person retries it.
        Parked = "parked",
        /// The branch was deleted.
        Gone = "gone",
    }
}

closed_list! {
    /// What happened, for the event stream: [`crate::shape::Event`].
    pub enum EventKind {
        /// The engine started.
        Started = "started",
        /// A branch was seen for the first time; its head is not delivered.
        Baseline = "baseline",
        /// A head moved.
        Change = "change",
        /// A branch is gone.
        BranchGone = "branch_gone",
        /// Something was not started, by decision.
        NotStarted = "not_started",
        /// An attempt began.
        DeliveryStarted = "delivery_started",
        /// A delivery reached another state.
        DeliveryStep = "delivery_step",
        /// An attempt failed; another one follows.
        DeliveryRetrying = "delivery_retrying",
        /// A delivery ended.
        DeliverySettled = "delivery_settled",
        /// Runs are queued: their namespace is full.
        RunsQueued = "runs_queued",
        /// A run's state changed.
        RunChanged = "run_changed",
        /// A trigger was accepted or rejected.
        TriggerAnswered = "trigger_answered",
        /// A forge does not answer.
        ForgeUnreachable = "forge_unreachable",
        /// A forge answers again.
        ForgeRecovered = "forge_recovered",
        /// The state can't be written.
        StateUnavailable = "state_unavailable",
        /// The listener was too slow: some events were missed.
        Lagged = "lagged",
        /// The engine starts no more work.
        Stopping = "stopping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_back_and_a_new_one_stops_nothing() {
        for word in RunStanding::all().map(Word::Known) {
            let json = serde_json::to_string(&word).unwrap();
            assert_eq!(serde_json::from_str::<Word<RunStanding>>(&json).unwrap(), word);
        }
        let new: Word<RunStanding> = serde_json::from_str("\"paused\"").unwrap();
        assert_eq!((new, new.as_str(), new.is(|_| true)), (Word::Unknown, "unknown", false));
    }
}
