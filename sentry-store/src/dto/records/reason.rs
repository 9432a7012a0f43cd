//! Why a head was delivered, or was not.

use sentry_core::delivery;
use sentry_core::repo::CommitSha;
use serde::{Deserialize, Serialize};

use crate::dto::Mirror;
use crate::dto::values::{Stamp, Text};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Delivered,
    Waiting,
    SupersededBy(Text<CommitSha>),
    Baseline,
    NoRunMatched,
    NoFile,
    OnlyObjects,
    RunsLeftOut,
    SkippedByMarker,
    InPullRequest,
    WaitsForApproval,
    Suspended,
    Parked,
    Cancelled,
    ForgeUnreachable { since: Stamp },
    NotSeen,
}

impl Mirror<delivery::Reason> for Reason {
    fn of(value: delivery::Reason) -> Self {
        use delivery::Reason as R;
        match value {
            R::Delivered => Self::Delivered,
            R::Waiting => Self::Waiting,
            R::SupersededBy(sha) => Self::SupersededBy(Mirror::of(sha)),
            R::Baseline => Self::Baseline,
            R::NoRunMatched => Self::NoRunMatched,
            R::NoFile => Self::NoFile,
            R::OnlyObjects => Self::OnlyObjects,
            R::RunsLeftOut => Self::RunsLeftOut,
            R::SkippedByMarker => Self::SkippedByMarker,
            R::InPullRequest => Self::InPullRequest,
            R::WaitsForApproval => Self::WaitsForApproval,
            R::Suspended => Self::Suspended,
            R::Parked => Self::Parked,
            R::Cancelled => Self::Cancelled,
            R::ForgeUnreachable { since } => Self::ForgeUnreachable { since: Mirror::of(since) },
            R::NotSeen => Self::NotSeen,
        }
    }

    fn back(self) -> delivery::Reason {
        use delivery::Reason as R;
        match self {
            Self::Delivered => R::Delivered,
            Self::Waiting => R::Waiting,
            Self::SupersededBy(sha) => R::SupersededBy(sha.back()),
            Self::Baseline => R::Baseline,
            Self::NoRunMatched => R::NoRunMatched,
            Self::NoFile => R::NoFile,
            Self::OnlyObjects => R::OnlyObjects,
            Self::RunsLeftOut => R::RunsLeftOut,
            Self::SkippedByMarker => R::SkippedByMarker,
            Self::InPullRequest => R::InPullRequest,
            Self::WaitsForApproval => R::WaitsForApproval,
            Self::Suspended => R::Suspended,
            Self::Parked => R::Parked,
            Self::Cancelled => R::Cancelled,
            Self::ForgeUnreachable { since } => R::ForgeUnreachable { since: since.back() },
            Self::NotSeen => R::NotSeen,
        }
    }
}
