//! What the machine finds by index, compared with what a walk over everything finds.

use std::collections::BTreeSet;

use crate::delivery::DeliveryState;
use crate::engine::index::{Index, cluster_of};
use crate::engine::ledger::key_of;
use crate::engine::machine::Machine;
use crate::names::ClusterRef;

impl Machine {
    pub(super) fn compare_with_a_walk(&self) {
        let mut index = Index::default();
        let (mut waiting, mut followed) = (BTreeSet::new(), BTreeSet::new());
        for delivery in self.ledger.open.values() {
            let watch = self.known.watches.get(&delivery.watch).map(AsRef::as_ref);
            index.add(delivery, watch);
            let is_running = self.attempts.running.get(&key_of(delivery)) == Some(&delivery.id);
            let to_be_attempted =
                !delivery.state.is_final() && delivery.state != DeliveryState::Following;
            if to_be_attempted && !is_running && self.attempts.ready.until(&delivery.id).is_none() {
                waiting.insert(&delivery.id);
            }
            let runs = delivery.active_runs().filter(|_| !is_running);
            followed.extend(watch.into_iter().zip(runs).map(|(w, run)| cluster_of(w, &run.object)));
        }
        assert_eq!(self.index, index, "what is found by index");
        let ready = self.attempts.ready.lines().flat_map(|(_, ids)| ids);
        assert_eq!(ready.collect::<BTreeSet<_>>(), waiting, "who waits for a turn");
        if self.grace_ends.is_some() {
            // Nothing is begun any more.
            return;
        }
        let again = |cluster: &ClusterRef| self.following.again().any(|waits| waits == cluster);
        followed.retain(|cluster| !again(cluster));
        let followers: BTreeSet<_> = self.following.clusters().cloned().collect();
        assert_eq!(
            followers, followed,
            "where runs are followed, unless that waits after a failure"
        );
    }
}
