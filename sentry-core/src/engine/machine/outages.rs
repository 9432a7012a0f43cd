//! Clusters that are away: one delivery asks again often, and its answer wakes the others that wait.

use std::time::Duration;

use super::{Attempts, Machine};
use crate::deployer::DeployErrorKind;
use crate::engine::courier::Outcome;
use crate::engine::failure::AttemptError;
use crate::ids::DeliveryId;
use crate::names::ClusterRef;
use crate::retry::Backoff;

/// The longest wait of the delivery that finds out whether a cluster is back: short enough that the newest head arrives
/// within a minute of the return. The others need not ask the forge again and again meanwhile.
pub(super) const LOOK: Duration = Duration::from_secs(30);

impl Machine {
    /// The waits that are due after this outcome at a cluster; an answer of a cluster that was away ends all waits for it.
    pub(super) fn backoff_after(
        &mut self,
        outcome: &Outcome,
        cluster: &ClusterRef,
        id: &DeliveryId,
    ) -> Backoff {
        let usual = self.known.options.backoff;
        match has_answered(outcome) {
            Some(true) => self.wake(cluster),
            Some(false) => {
                let alone = !self.is_looked_after(cluster, id);
                self.attempts.away.entry(cluster.clone()).or_default().insert(id.clone());
                if alone {
                    return Backoff { cap: usual.cap.min(LOOK), ..usual };
                }
            }
            None => {}
        }
        usual
    }

    fn wake(&mut self, cluster: &ClusterRef) {
        let now = self.now.instant;
        for id in self.attempts.away.remove(cluster).unwrap_or_default() {
            // What ended meanwhile, or is under way, has no wait.
            if self.attempts.ready.until(&id).is_some() {
                self.attempts.ready.wait(id, now);
            }
        }
    }

    /// True if another delivery will soon find out whether the cluster is back.
    fn is_looked_after(&self, cluster: &ClusterRef, id: &DeliveryId) -> bool {
        let soon = self.now.instant + LOOK;
        let Some(waiting) = self.attempts.away.get(cluster) else { return false };
        let Attempts { running, ready, .. } = &self.attempts;
        let mut looking = running.values().chain(ready.waiting_until(soon));
        looking.any(|other| {
            other != id && waiting.contains(other) && self.ledger.open.contains_key(other)
        })
    }
}

/// Whether the cluster answered; `None` where the attempt did not get so far.
fn has_answered(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Done => Some(true),
        Outcome::Failed(AttemptError::Deploy { source, .. }) => match source.kind() {
            DeployErrorKind::Unreachable | DeployErrorKind::Unavailable => Some(false),
            DeployErrorKind::Forbidden
            | DeployErrorKind::Missing
            | DeployErrorKind::Conflict
            | DeployErrorKind::Refused
            | DeployErrorKind::Stale
            | DeployErrorKind::NameConflict => Some(true),
            DeployErrorKind::Unauthorized
            | DeployErrorKind::Local
            | DeployErrorKind::Timeout
            | DeployErrorKind::Interrupted => None,
        },
        _ => None,
    }
}
