//! What nobody can fence: a status that is on its way to a forge while another process takes the watch over. It may arrive
//! after the new owner's, so the new owner is asked to show its own once more.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::Parts;
use super::ledger::ReportKey;
use crate::delivery::{Cause, Trigger, TriggerKind, TriggerState};
use crate::ids::TriggerId;

/// How often the request is tried, and how long it waits in between.
const TRIES: usize = 5;
const WAIT: Duration = Duration::from_secs(2);

/// Statuses that were begun, and whose end is not kept.
#[derive(Debug, Default)]
pub(super) struct Unsure(BTreeSet<ReportKey>);

impl Unsure {
    pub(super) fn begun(&mut self, key: &ReportKey) {
        self.0.insert(key.clone());
    }

    pub(super) fn kept(&mut self, key: &ReportKey) {
        self.0.remove(key);
    }

    /// Leaves a request for each commit, for whoever owns its watch now. Who owns a whole state is its own heir: what is not
    /// kept is shown again at the next start.
    pub(super) async fn leave(&self, parts: &Parts) {
        if !parts.lease.is_limited() {
            return;
        }
        let commits: BTreeSet<_> = self.0.iter().map(|(watch, sha, _)| (watch, sha)).collect();
        for (watch, sha) in commits {
            let (at, random) = (parts.clock.now(), fastrand::u128(..));
            let id = TriggerId::new(at, random);
            let trigger = Trigger {
                key: format!("look {id}"),
                id,
                watch: watch.clone(),
                kind: TriggerKind::Look(sha.clone()),
                cause: Cause::Change,
                by: None,
                at,
                state: TriggerState::Pending,
            };
            for _ in 0..TRIES {
                match parts.state.inbox.request(&trigger).await {
                    Ok(_) => break,
                    Err(error) => tracing::debug!(%watch, %sha, %error, "no request was left"),
                }
                sleep(WAIT).await;
            }
        }
    }
}
