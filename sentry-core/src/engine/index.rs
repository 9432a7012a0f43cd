//! What is asked of the open deliveries at each event, by what it is asked by: no event costs a walk over all that is open.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::Delivery;
use crate::ids::DeliveryId;
use crate::names::{ClusterRef, WatchName};
use crate::plan::ObjectRef;
use crate::subject::SubjectKey;
use crate::watch::Watch;

/// Deliveries by some key; no key without a delivery is kept.
type By<K> = BTreeMap<K, BTreeSet<DeliveryId>>;

/// A run at a target: kind, namespace, name.
type Run = (String, Option<String>, String);

/// Open deliveries, as they were last written. Those of watches that are configured no more are found by their subject
/// alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    subjects: By<SubjectKey>,
    /// Subjects with more than one of them.
    contested: BTreeSet<SubjectKey>,
    /// Those with runs that wait for room, by the watch's cluster.
    queued: BTreeMap<ClusterRef, By<WatchName>>,
    /// The runs that go on, by the watch's cluster: they take its room.
    active: BTreeMap<ClusterRef, By<Run>>,
    /// The same by where they are, and by kind and name: there they are followed.
    followed: BTreeMap<ClusterRef, By<(String, String)>>,
    /// Those that somebody cancelled.
    cancelled: BTreeSet<DeliveryId>,
}

impl Index {
    /// Takes a delivery in, as it stands from now on.
    pub(super) fn add(&mut self, delivery: &Delivery, watch: Option<&Watch>) {
        let key = (delivery.watch.clone(), delivery.revision.subject.clone());
        let of_subject = self.subjects.entry(key.clone()).or_default();
        of_subject.insert(delivery.id.clone());
        if of_subject.len() > 1 {
            self.contested.insert(key);
        }
        if delivery.cancelled.is_some() {
            self.cancelled.insert(delivery.id.clone());
        }
        let Some(watch) = watch else { return };
        if delivery.is_queued() {
            let here = self.queued.entry(watch.cluster.clone()).or_default();
            here.entry(watch.name.clone()).or_default().insert(delivery.id.clone());
        }
        for run in delivery.active_runs().map(|run| &run.object) {
            let here = self.active.entry(watch.cluster.clone()).or_default();
            here.entry(identity(run)).or_default().insert(delivery.id.clone());
            let there = self.followed.entry(cluster_of(watch, run)).or_default();
            let name = (run.kind.clone(), run.name.clone());
            there.entry(name).or_default().insert(delivery.id.clone());
        }
    }

    /// Takes a delivery out that was taken in as it is here.
    pub(super) fn remove(&mut self, delivery: &Delivery, watch: Option<&Watch>) {
        let key = (delivery.watch.clone(), delivery.revision.subject.clone());
        forget(&mut self.subjects, &key, &delivery.id);
        if self.subjects.get(&key).is_none_or(|left| left.len() < 2) {
            self.contested.remove(&key);
        }
        self.cancelled.remove(&delivery.id);
        let Some(watch) = watch else { return };
        forget_in(&mut self.queued, &watch.cluster, &watch.name, &delivery.id);
        for run in delivery.active_runs().map(|run| &run.object) {
            forget_in(&mut self.active, &watch.cluster, &identity(run), &delivery.id);
            let name = (run.kind.clone(), run.name.clone());
            forget_in(&mut self.followed, &cluster_of(watch, run), &name, &delivery.id);
        }
    }

    /// Subjects with more than one open delivery, each with those, oldest first.
    pub(super) fn contested(&self) -> impl Iterator<Item = &BTreeSet<DeliveryId>> {
        self.contested.iter().filter_map(|key| self.subjects.get(key))
    }

    /// Those that somebody cancelled and whose runs have not all ended.
    pub(super) fn cancelled(&self) -> impl Iterator<Item = &DeliveryId> {
        self.cancelled.iter()
    }

    /// Targets where runs wait for room, with those deliveries by their watch, oldest first.
    pub(super) fn queues(&self) -> impl Iterator<Item = &By<WatchName>> {
        self.queued.values()
    }

    /// The deliveries whose runs wait for room at a target, by their watch.
    pub(super) fn queued(&self, target: &ClusterRef) -> Option<&By<WatchName>> {
        self.queued.get(target)
    }

    /// How many runs go on at a target. One that two deliveries wait for is one.
    pub(super) fn active(&self, target: &ClusterRef) -> usize {
        self.active.get(target).map_or(0, BTreeMap::len)
    }

    /// The deliveries with runs that go on in a cluster and namespace.
    pub(super) fn followed(&self, cluster: &ClusterRef) -> BTreeSet<DeliveryId> {
        let here = self.followed.get(cluster).into_iter().flat_map(BTreeMap::values);
        here.flatten().cloned().collect()
    }

    /// The deliveries that wait for a run: more than one where a head came back to a commit that was delivered before.
    pub(super) fn waiting_for(
        &self,
        cluster: &ClusterRef,
        kind: &str,
        name: &str,
    ) -> Vec<DeliveryId> {
        let here = self.followed.get(cluster);
        let run = here.and_then(|runs| runs.get(&(kind.to_owned(), name.to_owned())));
        run.into_iter().flatten().cloned().collect()
    }
}

/// Where a run is: the watch's cluster, in the run's own namespace.
pub(super) fn cluster_of(watch: &Watch, object: &ObjectRef) -> ClusterRef {
    let own = object.namespace.as_deref().and_then(|name| name.parse().ok());
    let namespace = own.unwrap_or_else(|| watch.cluster.namespace.clone());
    ClusterRef { namespace, ..watch.cluster.clone() }
}

fn identity(run: &ObjectRef) -> Run {
    let (kind, namespace, name) = run.identity();
    (kind.to_owned(), namespace.map(str::to_owned), name.to_owned())
}

fn forget<K: Ord>(by: &mut By<K>, key: &K, id: &DeliveryId) {
    if let Some(ids) = by.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            by.remove(key);
        }
    }
}

fn forget_in<K: Ord>(
    all: &mut BTreeMap<ClusterRef, By<K>>,
    cluster: &ClusterRef,
    key: &K,
    id: &DeliveryId,
) {
    if let Some(by) = all.get_mut(cluster) {
        forget(by, key, id);
        if by.is_empty() {
            all.remove(cluster);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::{DeliveryState, RunState};
    use crate::plan::Action;
    use crate::testing::sample;
    use crate::watch::sample::watch;

    /// Two watches share a cluster and namespace, one has another, and of one nothing is configured.
    fn watches() -> Vec<Watch> {
        let mut watches = ["a", "b", "c"].map(|name| watch(name, &["*"])).to_vec();
        watches[2].cluster.namespace = "other".parse().unwrap();
        watches
    }

    /// A delivery of a watch and branch, with runs of these names in the watch's namespace or another one, ended or not.
    fn delivery(
        (n, watch, branch): (u32, usize, usize),
        queued: bool,
        runs: &[(bool, bool, usize)],
    ) -> Delivery {
        let run = |(elsewhere, ended, name): &(bool, bool, usize)| {
            let state = if *ended { RunState::Failed } else { RunState::Running };
            let mut run = sample::run(state);
            run.object.namespace = elsewhere.then(|| "elsewhere".to_owned());
            run.object.name = format!("run{name}");
            run
        };
        let mut revision = sample::revision(1);
        revision.subject = sample::subject(["main", "dev"][branch]);
        Delivery {
            id: sample::id(n),
            watch: sample::watch(["a", "b", "c", "gone"][watch]),
            revision,
            state: DeliveryState::Following,
            objects: queued.then(|| sample::outcome(Action::Queued)).into_iter().collect(),
            runs: runs.iter().map(run).collect(),
            ..sample::delivery(1)
        }
    }

    fn any_delivery() -> impl Strategy<Value = Delivery> {
        let runs = prop::collection::vec((any::<bool>(), any::<bool>(), 0..3_usize), 0..3);
        ((0..6_u32, 0..4_usize, 0..2_usize), any::<bool>(), runs)
            .prop_map(|(which, queued, runs)| delivery(which, queued, &runs))
    }

    /// What a walk over all that is open finds.
    struct Walk<'a>(&'a BTreeMap<DeliveryId, Delivery>, &'a [Watch]);

    impl Walk<'_> {
        fn configured(&self) -> impl Iterator<Item = (&Delivery, &Watch)> {
            let watch = |d: &Delivery| self.1.iter().find(|watch| watch.name == d.watch);
            self.0.values().filter_map(move |d| Some((d, watch(d)?)))
        }

        fn compare(&self, index: &Index, cluster: &ClusterRef) {
            let here = || self.configured().filter(|(_, watch)| watch.cluster == *cluster);
            let active = here().flat_map(|(d, _)| d.active_runs());
            let active: BTreeSet<_> = active.map(|run| run.object.identity()).collect();
            assert_eq!(index.active(cluster), active.len());
            let queued: BTreeSet<_> =
                here().filter(|(d, _)| d.is_queued()).map(|(d, _)| &d.id).collect();
            let found = index.queued(cluster).into_iter().flat_map(BTreeMap::values).flatten();
            assert_eq!(found.collect::<BTreeSet<_>>(), queued);
            for name in ["run0", "run1", "run2"] {
                let waits = |(d, watch): &(&Delivery, &Watch)| {
                    d.active_runs().any(|run| {
                        run.object.name == name && cluster_of(watch, &run.object) == *cluster
                    })
                };
                let waiting = self.configured().filter(waits).map(|(d, _)| d.id.clone());
                let kind = &sample::object().kind;
                assert_eq!(index.waiting_for(cluster, kind, name), waiting.collect::<Vec<_>>());
            }
        }

        fn contested(&self) -> Vec<BTreeSet<DeliveryId>> {
            let mut subjects: BTreeMap<_, BTreeSet<DeliveryId>> = BTreeMap::new();
            for d in self.0.values() {
                let key = (&d.watch, &d.revision.subject);
                subjects.entry(key).or_default().insert(d.id.clone());
            }
            subjects.into_values().filter(|ids| ids.len() > 1).collect()
        }
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_walk_over_all_that_is_open_finds(
            steps in prop::collection::vec((any_delivery(), any::<bool>()), 0..30),
        ) {
            let watches = watches();
            let watch = |d: &Delivery| watches.iter().find(|watch| watch.name == d.watch);
            let (mut index, mut open) = (Index::default(), BTreeMap::new());
            for (delivery, ends) in steps {
                if let Some(before) = open.remove(&delivery.id) {
                    index.remove(&before, watch(&before));
                }
                if !ends {
                    index.add(&delivery, watch(&delivery));
                    open.insert(delivery.id.clone(), delivery);
                }
            }
            let walk = Walk(&open, &watches);
            for namespace in ["qa", "other", "elsewhere"] {
                let namespace = namespace.parse().unwrap();
                walk.compare(&index, &ClusterRef { namespace, ..watches[0].cluster.clone() });
            }
            assert_eq!(index.contested().cloned().collect::<Vec<_>>(), walk.contested());
            for (_, delivery) in std::mem::take(&mut open) {
                index.remove(&delivery, watch(&delivery));
            }
            assert_eq!(index, Index::default(), "nothing is left of what ended");
        }
    }
}
