//! Things that wait, each until its moment. Which are due, and which is next, is found without a look at the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Bound;

use tokio::time::Instant;

/// Things that wait, each until its moment.
#[derive(Debug)]
pub(super) struct Waits<K> {
    at: HashMap<K, Instant>,
    order: BTreeMap<Instant, BTreeSet<K>>,
}

impl<K> Default for Waits<K> {
    fn default() -> Self {
        Self { at: HashMap::new(), order: BTreeMap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Waits<K> {
    /// Waits until then, and not until the moment before.
    pub(super) fn insert(&mut self, key: K, at: Instant) {
        self.remove(&key);
        self.order.entry(at).or_default().insert(key.clone());
        self.at.insert(key, at);
    }

    pub(super) fn remove(&mut self, key: &K) {
        let Some(at) = self.at.remove(key) else { return };
        if let Some(keys) = self.order.get_mut(&at) {
            keys.remove(key);
            if keys.is_empty() {
                self.order.remove(&at);
            }
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<Instant> {
        self.at.get(key).copied()
    }

    /// All that waits.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.at.keys()
    }

    /// What is due by then, in the order in which it was to be.
    pub(super) fn due(&self, by: Instant) -> impl Iterator<Item = &K> {
        self.order.range(..=by).flat_map(|(_, keys)| keys)
    }

    /// Takes out what is due.
    pub(super) fn take_due(&mut self, by: Instant) -> Vec<K> {
        let due: Vec<K> = self.due(by).cloned().collect();
        due.iter().for_each(|key| self.remove(key));
        due
    }

    /// The next moment after this one.
    pub(super) fn next_after(&self, now: Instant) -> Option<Instant> {
        let later = (Bound::Excluded(now), Bound::Unbounded);
        self.order.range(later).next().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_due_and_next_is_what_a_look_at_all_finds(
            steps in proptest::collection::vec((0..8_u8, proptest::option::of(0..20_u64)), 0..40),
            by in 0..20_u64,
        ) {
            let start = Instant::now();
            let moment = |seconds| start + Duration::from_secs(seconds);
            let (mut waits, mut all) = (Waits::default(), BTreeMap::new());
            for (key, at) in steps {
                match at.map(moment) {
                    Some(at) => {
                        waits.insert(key, at);
                        all.insert(key, at);
                    }
                    None => {
                        waits.remove(&key);
                        all.remove(&key);
                    }
                }
            }
            let by = moment(by);
            let mut due: Vec<_> = all.iter().filter(|(_, at)| **at <= by).collect();
            due.sort_by_key(|(key, at)| (**at, **key));
            let due: Vec<u8> = due.into_iter().map(|(key, _)| *key).collect();
            assert_eq!(waits.due(by).copied().collect::<Vec<_>>(), due);
            assert_eq!(waits.next_after(by), all.values().filter(|at| **at > by).min().copied());
            assert!((0..8).all(|key| waits.get(&key) == all.get(&key).copied()));
            assert_eq!(waits.take_due(by), due);
            assert_eq!(waits.due(by).next(), None);
        }
    }
}
