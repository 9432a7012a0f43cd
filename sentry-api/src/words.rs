//! Every word of a closed list that stands in an answer, in one place.
//!
//! A reader may be older than who answers: a word that it does not know becomes `Unknown` and stops nothing.

/// An enum whose variants are words of JSON and tables.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$about])* $variant,)+
            /// A word that this version does not know: whoever answered is newer.
            Unknown,
        }

        impl $name {
            /// Every word that this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in JSON and tables.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Unknown => "unknown",
                }
            }

            /// What a word means.
            #[must_use]
            pub fn from_word(word: &str) -> Self {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).unwrap_or(Self::Unknown)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from_word(&word))
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let words: Vec<&str> = Self::ALL.iter().map(|known| known.as_str()).collect();
                ::schemars::json_schema!({"type": "string", "enum": words})
            }
        }
    };
}

pub(crate) use words;

words! {
    /// Where a watched branch stands.
    BranchState {
        /// Its head was recorded when it was first seen, and not delivered.
        Baseline = "baseline",
        /// Its head is to be delivered and waits for its turn.
        Pending = "pending",
        /// A delivery works, or some of its runs wait for room.
        Delivering = "delivering",
        /// Every object of its head is acknowledged.
        Delivered = "delivered",
        /// Its head was settled, and no run of it was to start.
        NothingRan = "nothing_ran",
        /// An attempt failed; another one is due.
        Retrying = "retrying",
        /// It was given up until something changes or a person asks.
        Parked = "parked",
        /// The branch was deleted.
        Gone = "gone",
    }
}

words! {
    /// Why a delivery was started: [`sentry_core::delivery::Cause`].
    Cause {
        /// A head moved.
        Change = "change",
        /// A person asked.
        Manual = "manual",
        /// A webhook asked.
        Webhook = "webhook",
        /// A person asked for new runs of an earlier delivery's commits.
        Rerun = "rerun",
    }
}

words! {
    /// Where a delivery stands: [`sentry_core::delivery::DeliveryState`].
    DeliveryState {
        /// It waits for its turn, or for the next attempt.
        Pending = "pending",
        /// B's directory is being fetched.
        Fetching = "fetching",
        /// The manifests are being checked; nothing is written yet.
        Checking = "checking",
        /// Objects are being written.
        Applying = "applying",
        /// Its runs go on, or some wait for room.
        Following = "following",
        /// It ended well.
        Succeeded = "succeeded",
        /// It was carried out, and no run was to start.
        NothingRan = "nothing_ran",
        /// It, or a run of it, failed.
        Failed = "failed",
        /// A newer head took its place.
        Superseded = "superseded",
        /// It was given up until something changes or a person asks.
        Parked = "parked",
    }
}

impl DeliveryState {
    /// True if nothing more will happen to the delivery by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::NothingRan | Self::Failed | Self::Superseded | Self::Parked
        )
    }
}

words! {
    /// What became of an object: [`sentry_core::plan::Action`].
    Action {
        /// It was made.
        Created = "created",
        /// It existed and was changed.
        Configured = "configured",
        /// It existed and was right.
        Unchanged = "unchanged",
        /// A run that an earlier attempt had made: not made again.
        Exists = "exists",
        /// It was not sent.
        Skipped = "skipped",
        /// A run that waits for room in its namespace.
        Queued = "queued",
        /// The cluster refused it, or did not answer.
        Failed = "failed",
    }
}

impl Action {
    /// True if the cluster has acknowledged the object.
    #[must_use]
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Self::Created | Self::Configured | Self::Unchanged | Self::Exists)
    }
}

words! {
    /// Where a run stands: [`sentry_core::delivery::RunState`], or why it was not created.
    RunState {
        /// It was created and did not end yet.
        Running = "running",
        /// It ended well.
        Succeeded = "succeeded",
        /// It failed, or could not be created.
        Failed = "failed",
        /// Somebody, or a newer run of the same branch, stopped it.
        Cancelled = "cancelled",
        /// It was deleted before its end was seen.
        Gone = "gone",
        /// Its end can't be known.
        Unfollowed = "unfollowed",
        /// It is not created yet: the namespace has no room.
        Queued = "queued",
        /// It was not created: an earlier object failed.
        Skipped = "skipped",
        /// A dry run would create it.
        Planned = "planned",
    }
}

words! {
    /// How the runs of a delivery ended: [`sentry_core::delivery::Verdict`].
    Verdict {
        /// Every run succeeded.
        Success = "success",
        /// A run failed.
        Failure = "failure",
        /// A run could not be started or followed to its end.
        Error = "error",
    }
}

words! {
    /// Why a commit was delivered or not: [`sentry_core::delivery::Reason`] without its arguments.
    Reason {
        /// Every object was acknowledged.
        Delivered = "delivered",
        /// A delivery is under way, or waits for its turn or its next attempt.
        Waiting = "waiting",
        /// A newer head took its place before it was delivered.
        Superseded = "superseded",
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
        /// The watch is suspended.
        Suspended = "suspended",
        /// It was given up until something changes.
        Parked = "parked",
        /// The forge does not answer, so this commit may not have been seen.
        ForgeUnreachable = "forge unreachable",
        /// No forge ever reported this commit as a head of a watched branch.
        NotSeen = "not seen",
    }
}

impl Reason {
    /// True for a reason why a delivery that was carried out started no run.
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

words! {
    /// What is done with a document of B: [`sentry_core::manifest::Decision`].
    Decision {
        /// It is applied.
        Apply = "apply",
        /// It is created as a run.
        Run = "run",
        /// It is left out, which stops nothing.
        Skip = "skip",
        /// It may not go to the cluster.
        Refuse = "refuse",
    }
}

words! {
    /// Where a trigger stands: [`sentry_core::delivery::TriggerState`] without its arguments.
    TriggerState {
        /// Nobody took it yet.
        Pending = "pending",
        /// A delivery answers it.
        Taken = "taken",
        /// It can't be answered.
        Rejected = "rejected",
    }
}

words! {
    /// What is told at once: [`crate::shape::Event`].
    EventKind {
        /// The engine runs.
        Started = "started",
        /// A branch was seen for the first time; its head is not delivered.
        Baseline = "baseline",
        /// A head moved.
        Change = "change",
        /// A branch is gone.
        BranchGone = "branch_gone",
        /// It was decided not to start something.
        NotStarted = "not_started",
        /// An attempt began.
        DeliveryStarted = "delivery_started",
        /// A delivery reached another state.
        DeliveryStep = "delivery_step",
        /// An attempt failed; another one follows.
        DeliveryRetrying = "delivery_retrying",
        /// A delivery ended.
        DeliverySettled = "delivery_settled",
        /// Runs wait until their namespace has room.
        RunsQueued = "runs_queued",
        /// A run stands otherwise than before.
        RunChanged = "run_changed",
        /// A trigger was taken or rejected.
        TriggerAnswered = "trigger_answered",
        /// A forge does not answer.
        ForgeUnreachable = "forge_unreachable",
        /// A forge answers again.
        ForgeRecovered = "forge_recovered",
        /// The state can't be written.
        StateUnavailable = "state_unavailable",
        /// The listener was too slow: some events were missed.
        Lagged = "lagged",
        /// The engine takes no more work.
        Stopping = "stopping",
    }
}

/// The words that core has names for, taken from it.
macro_rules! from_core {
    ($($word:ident: $core:path,)+) => {
        $(impl From<$core> for $word {
            fn from(core: $core) -> Self {
                Self::from_word(core.as_str())
            }
        })+
    };
}

from_core! {
    Cause: sentry_core::delivery::Cause,
    DeliveryState: sentry_core::delivery::DeliveryState,
    Action: sentry_core::plan::Action,
    RunState: sentry_core::delivery::RunState,
    Verdict: sentry_core::delivery::Verdict,
    Decision: sentry_core::manifest::Decision,
}

impl From<&sentry_core::delivery::Reason> for Reason {
    fn from(core: &sentry_core::delivery::Reason) -> Self {
        Self::from_word(core.as_str())
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::delivery as core;
    use sentry_core::{manifest, plan};

    use super::*;

    #[test]
    fn every_word_of_core_is_known_here() {
        use core::DeliveryState as D;
        for state in [
            D::Pending,
            D::Fetching,
            D::Checking,
            D::Applying,
            D::Following,
            D::Succeeded,
            D::NothingRan,
            D::Failed,
            D::Superseded,
            D::Parked,
        ] {
            let word = DeliveryState::from(state);
            assert_eq!((word.as_str(), word.is_final()), (state.as_str(), state.is_final()));
        }
        use plan::Action as A;
        for action in
            [A::Created, A::Configured, A::Unchanged, A::Exists, A::Skipped, A::Queued, A::Failed]
        {
            let word = Action::from(action);
            let same = (action.as_str(), action.is_acknowledged());
            assert_eq!((word.as_str(), word.is_acknowledged()), same);
        }
        use core::RunState as R;
        for state in [R::Running, R::Succeeded, R::Failed, R::Cancelled, R::Gone, R::Unfollowed] {
            assert_eq!(RunState::from(state).as_str(), state.as_str());
        }
        use core::{Cause as C, Verdict as V};
        for cause in [C::Change, C::Manual, C::Webhook, C::Rerun] {
            assert_eq!(Cause::from(cause).as_str(), cause.as_str());
        }
        for verdict in [V::Success, V::Failure, V::Error] {
            assert_eq!(Verdict::from(verdict).as_str(), verdict.as_str());
        }
        use manifest::Decision as M;
        for decision in [M::Apply, M::Run, M::Skip, M::Refuse] {
            assert_eq!(Decision::from(decision).as_str(), decision.as_str());
        }
    }

    #[test]
    fn every_reason_of_core_is_known_here() {
        use core::Reason as R;
        let reasons = [
            R::Delivered,
            R::Waiting,
            R::SupersededBy(sentry_core::testing::sample::sha(1)),
            R::Baseline,
            R::NoRunMatched,
            R::NoFile,
            R::OnlyObjects,
            R::RunsLeftOut,
            R::SkippedByMarker,
            R::Suspended,
            R::Parked,
            R::ForgeUnreachable { since: sentry_core::testing::sample::time(1) },
            R::NotSeen,
        ];
        assert_eq!(reasons.len(), Reason::ALL.len());
        for reason in &reasons {
            let word = Reason::from(reason);
            let told = (word.as_str(), word.is_nothing_ran());
            assert_eq!(told, (reason.as_str(), reason.is_nothing_ran()));
        }
    }

    #[test]
    fn a_word_reads_back_and_a_new_one_stops_nothing() {
        for word in RunState::ALL {
            let json = serde_json::to_string(word).unwrap();
            assert_eq!(serde_json::from_str::<RunState>(&json).unwrap(), *word);
        }
        assert_eq!(serde_json::from_str::<RunState>("\"paused\"").unwrap(), RunState::Unknown);
    }
}
