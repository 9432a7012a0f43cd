//! What a trigger asks for, and how it stands.

use sentry_core::delivery;
use sentry_core::ids::DeliveryId;
use sentry_core::pull::PullNumber;
use sentry_core::repo::{BranchName, CommitSha};
use serde::{Deserialize, Serialize};

use crate::dto::Mirror;
use crate::dto::values::{Event, Reference, Text};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Selection {
    event: Option<Event>,
    run: Option<String>,
}

impl Mirror<delivery::Selection> for Selection {
    fn of(value: delivery::Selection) -> Self {
        let delivery::Selection { event, run } = value;
        Self { event: Mirror::of(event), run }
    }

    fn back(self) -> delivery::Selection {
        delivery::Selection { event: self.event.back(), run: self.run }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TriggerKind {
    Deliver {
        subject: Reference,
        sha: Option<Text<CommitSha>>,
        #[serde(default)]
        selection: Selection,
    },
    Approve {
        number: Text<PullNumber>,
        sha: Text<CommitSha>,
        base: Text<BranchName>,
    },
    Retry(Text<DeliveryId>),
    Cancel(Text<DeliveryId>),
    Look(Text<CommitSha>),
    Rerun {
        delivery: Text<DeliveryId>,
        failed_only: bool,
    },
}

impl Mirror<delivery::TriggerKind> for TriggerKind {
    fn of(value: delivery::TriggerKind) -> Self {
        use delivery::TriggerKind as K;
        match value {
            K::Deliver { subject, sha, selection } => Self::Deliver {
                subject: Mirror::of(subject),
                sha: Mirror::of(sha),
                selection: Mirror::of(selection),
            },
            K::Approve { number, sha, base } => Self::Approve {
                number: Mirror::of(number),
                sha: Mirror::of(sha),
                base: Mirror::of(base),
            },
            K::Retry(delivery) => Self::Retry(Mirror::of(delivery)),
            K::Cancel(delivery) => Self::Cancel(Mirror::of(delivery)),
            K::Look(sha) => Self::Look(Mirror::of(sha)),
            K::Rerun { delivery, failed_only } => {
                Self::Rerun { delivery: Mirror::of(delivery), failed_only }
            }
        }
    }

    fn back(self) -> delivery::TriggerKind {
        use delivery::TriggerKind as K;
        match self {
            Self::Deliver { subject, sha, selection } => {
                K::Deliver { subject: subject.back(), sha: sha.back(), selection: selection.back() }
            }
            Self::Approve { number, sha, base } => {
                K::Approve { number: number.back(), sha: sha.back(), base: base.back() }
            }
            Self::Retry(delivery) => K::Retry(delivery.back()),
            Self::Cancel(delivery) => K::Cancel(delivery.back()),
            Self::Look(sha) => K::Look(sha.back()),
            Self::Rerun { delivery, failed_only } => {
                K::Rerun { delivery: delivery.back(), failed_only }
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TriggerState {
    Pending,
    Taken(Text<DeliveryId>),
    Rejected(String),
}

impl Mirror<delivery::TriggerState> for TriggerState {
    fn of(value: delivery::TriggerState) -> Self {
        use delivery::TriggerState as S;
        match value {
            S::Pending => Self::Pending,
            S::Taken(delivery) => Self::Taken(Mirror::of(delivery)),
            S::Rejected(why) => Self::Rejected(why),
        }
    }

    fn back(self) -> delivery::TriggerState {
        use delivery::TriggerState as S;
        match self {
            Self::Pending => S::Pending,
            Self::Taken(delivery) => S::Taken(delivery.back()),
            Self::Rejected(why) => S::Rejected(why),
        }
    }
}
