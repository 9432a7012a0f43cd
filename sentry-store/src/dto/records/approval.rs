//! Whether a fork's head may start something.

use sentry_core::approval;
use sentry_core::ids::DeliveryId;
use sentry_core::repo::{BranchName, CommitSha};
use serde::{Deserialize, Serialize};

use crate::dto::Mirror;
use crate::dto::values::{Stamp, Text};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Approval {
    Needed,
    Given {
        head: Text<CommitSha>,
        base: Text<BranchName>,
        by: Option<String>,
        at: Stamp,
        delivery: Text<DeliveryId>,
    },
}

impl Mirror<approval::Approval> for Approval {
    fn of(value: approval::Approval) -> Self {
        match value {
            approval::Approval::Needed => Self::Needed,
            approval::Approval::Given(given) => {
                let approval::Approved { head, base, by, at, delivery } = given;
                Self::Given {
                    head: Mirror::of(head),
                    base: Mirror::of(base),
                    by,
                    at: Mirror::of(at),
                    delivery: Mirror::of(delivery),
                }
            }
        }
    }

    fn back(self) -> approval::Approval {
        match self {
            Self::Needed => approval::Approval::Needed,
            Self::Given { head, base, by, at, delivery } => {
                approval::Approval::Given(approval::Approved {
                    head: head.back(),
                    base: base.back(),
                    by,
                    at: at.back(),
                    delivery: delivery.back(),
                })
            }
        }
    }
}
