//! Runs that are not wanted any more: those that somebody cancels, older ones that a newer one cancels, and ended ones beyond what is kept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Effects, Machine, Tidy};
use crate::delivery::{Delivery, DeliveryState, Reason, RunRecord};
use crate::deployer::{DeployError, Retire, RetireHow};
use crate::engine::conclude::record;
use crate::engine::index::cluster_of;
use crate::ids::DeliveryId;
use crate::names::{ClusterRef, WatchName};
use crate::plan::ObjectRef;
use crate::repo::CommitSha;
use crate::store::{InventoryItem, Write};

/// How long after a failure it is tried again.
const RETIRE_RETRY: Duration = Duration::from_secs(30);

/// The longest time that one call may take.
const RETIRE_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs that are being retired, and when a failed attempt is made again.
pub(super) type Retiring = HashMap<(ClusterRef, String), Option<Instant>>;

/// Runs of a delivery that are to be cancelled, and for which head.
type Cancelled = (DeliveryId, CommitSha, Vec<ObjectRef>);

impl Machine {
    /// `cancel-in-progress`: an older run of the same watch, branch and document is cancelled by a newer one.
    pub(super) fn cancel_older(&mut self) {
        let mut cancelled: Vec<Cancelled> = Vec::new();
        for deliveries in self.index.contested() {
            let open = deliveries.iter().filter_map(|id| self.ledger.open.get(id));
            let open: Vec<&Delivery> = open.collect();
            for (at, newer) in open.iter().enumerate() {
                cancelled.extend(cancels(newer, &open[..at]));
            }
        }
        for (id, by, runs) in cancelled {
            self.cancel(&id, by, runs);
        }
    }

    /// What somebody cancelled: the runs that the cluster is known to hold are asked to end. Of others it is found out first
    /// whether they were made.
    pub(super) fn cancel_asked(&mut self) {
        let running = |id: &&DeliveryId| self.attempts.running.values().any(|r| r == *id);
        let ids = self.index.cancelled().filter(|id| !running(id));
        let open = ids.filter_map(|id| self.ledger.open.get(id));
        let of = |delivery: &Delivery| {
            let held = delivery.active_runs().filter(|run| !delivery.is_unconfirmed(run));
            (delivery.watch.clone(), held.map(|run| run.object.clone()).collect::<Vec<_>>())
        };
        for (watch, runs) in open.map(of).collect::<Vec<_>>() {
            self.retire(&watch, runs, RetireHow::Cancel, &[]);
        }
    }

    /// Cancels once it is written down for whom: without that, nobody could tell it from what a person cancelled. What an
    /// attempt holds is left for later.
    fn cancel(&mut self, id: &DeliveryId, by: CommitSha, runs: Vec<ObjectRef>) {
        let Some(before) = self.ledger.open.get(id).cloned() else { return };
        if self.attempts.running.values().any(|r| r == id) {
            return;
        }
        let mut delivery = before.clone();
        for run in delivery.runs.iter_mut().filter(|run| runs.contains(&run.object)) {
            run.cancelled_by.get_or_insert_with(|| by.clone());
        }
        delivery.superseded_by.get_or_insert_with(|| by.clone());
        if delivery != before {
            let mut writes = vec![Write::Delivery(Box::new(delivery.clone()))];
            // The same commit once more is no newer head.
            if before.superseded_by.is_none() && by != delivery.revision.sha {
                let now = self.now.stamp;
                writes.push(record(&delivery, Reason::SupersededBy(by), None, now));
            }
            self.write(writes);
        }
        self.retire(&delivery.watch, runs, RetireHow::Cancel, &[]);
    }

    /// `max-keep-runs`: of the ended runs of a document the newest ones are kept.
    pub(super) fn tidy(&mut self, delivery: &Delivery, changed: &[RunRecord]) {
        for run in changed.iter().filter(|run| run.state.is_final()) {
            if let Some(watch) = self.known.watches.get(&delivery.watch) {
                self.retiring.remove(&(cluster_of(watch, &run.object), run.object.name.clone()));
            }
            let Some(keep) = run.rules.keep else { continue };
            let keep = usize::try_from(keep).unwrap_or(usize::MAX);
            let (watch, run) = (delivery.watch.clone(), run.clone());
            self.call(Call::Inventory(Tidy { watch, run, keep }));
        }
    }

    /// What a watch has on clusters was read: runs beyond what is kept are deleted.
    pub(in crate::engine) fn tidied(&mut self, tidy: &Tidy, items: Vec<InventoryItem>) -> Effects {
        let Tidy { watch, run, keep } = tidy;
        let goes_on = |object: &ObjectRef| {
            self.known.watches.get(watch).is_some_and(|watch| {
                let cluster = cluster_of(watch, object);
                !self.index.waiting_for(&cluster, &object.kind, &object.name).is_empty()
            })
        };
        let is_ended = |item: &InventoryItem| {
            let (a, b) = (&item.object, &run.object);
            (&a.path, a.document, &a.kind) == (&b.path, b.document, &b.kind) && !goes_on(a)
        };
        let mut ended: Vec<InventoryItem> = items.into_iter().filter(is_ended).collect();
        ended.sort_by(|a, b| b.delivery.cmp(&a.delivery));
        let old: Vec<InventoryItem> = ended.into_iter().skip(*keep).collect();
        let runs = old.iter().map(|item| item.object.clone()).collect();
        self.retire(watch, runs, RetireHow::Delete, &old);
        std::mem::take(&mut self.effects)
    }

    /// Asks the deployer, one call for each namespace; what is asked for already is not asked for again.
    fn retire(
        &mut self,
        watch: &WatchName,
        runs: Vec<ObjectRef>,
        how: RetireHow,
        items: &[InventoryItem],
    ) {
        let Some(watch) = self.known.watches.get(watch).cloned() else { return };
        let now = self.now.instant;
        let mut calls: BTreeMap<ClusterRef, Vec<ObjectRef>> = BTreeMap::new();
        for run in runs {
            let cluster = cluster_of(&watch, &run);
            let slot = (cluster.clone(), run.name.clone());
            let due =
                self.retiring.get(&slot).is_none_or(|again| again.is_some_and(|at| at <= now));
            if due {
                self.retiring.insert(slot, None);
                calls.entry(cluster).or_default().push(run);
            }
        }
        for (cluster, runs) in calls {
            let named =
                |run: &ObjectRef| (run.api_version.clone(), run.kind.clone(), run.name.clone());
            let request = Retire {
                cluster,
                runs: runs.iter().map(named).collect(),
                how,
                timeout: RETIRE_TIMEOUT,
            };
            let names: HashSet<String> = runs.into_iter().map(|run| run.name).collect();
            let items =
                items.iter().filter(|item| names.contains(&item.object.name)).cloned().collect();
            self.call(Call::Retire(Box::new(request), items));
        }
    }

    pub(super) fn retired(
        &mut self,
        request: &Retire,
        items: Vec<InventoryItem>,
        result: Result<(), DeployError>,
    ) {
        let slots = request.runs.iter().map(|(_, _, name)| (request.cluster.clone(), name.clone()));
        match result {
            Ok(()) => {
                let forget = items.into_iter().map(Write::ForgetInventory).collect();
                self.write(forget);
                // A cancelled run is followed to its end: until then it must not be cancelled again.
                if request.how == RetireHow::Delete {
                    for slot in slots {
                        self.retiring.remove(&slot);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(
                    cluster = %request.cluster, how = ?request.how, error = %error,
                    "runs that are no longer wanted could not be retired"
                );
                let again = Some(self.now.instant + RETIRE_RETRY);
                for slot in slots {
                    self.retiring.insert(slot, again);
                }
            }
        }
    }
}

/// What a delivery cancels of older ones of its subject.
fn cancels(newer: &Delivery, older: &[&Delivery]) -> Vec<Cancelled> {
    let is_newest = newer.state == DeliveryState::Following;
    let cancelling = newer.runs.iter().filter(|run| is_newest && run.rules.cancels_older);
    let cancelling: Vec<&ObjectRef> = cancelling.map(|run| &run.object).collect();
    let same = |run: &&RunRecord| {
        let run = &run.object;
        cancelling
            .iter()
            .any(|by| (&by.path, by.document, &by.kind) == (&run.path, run.document, &run.kind))
    };
    let of = |older: &Delivery| -> Vec<ObjectRef> {
        older.active_runs().filter(same).map(|run| run.object.clone()).collect()
    };
    let all = older.iter().map(|d| (d.id.clone(), newer.revision.sha.clone(), of(d)));
    all.filter(|(.., runs)| !runs.is_empty()).collect()
}
