//! What was found out before and never changes: the most recently used of it, within a bound.

use std::collections::VecDeque;

/// The most recently used values, the latest first. Few: they are looked through one by one.
#[derive(Debug)]
pub struct Recent<K, V> {
    entries: VecDeque<(K, V, usize)>,
    most: usize,
    bytes: usize,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    /// An empty one, of which all values together have at most so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), most, bytes: 0 }
    }

    /// The value of a key, if it is kept.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let at = self.entries.iter().position(|(known, ..)| known == key)?;
        let entry = self.entries.remove(at)?;
        let value = entry.1.clone();
        self.entries.push_front(entry);
        Some(value)
    }

    /// Keeps a value of so many bytes, unless it is larger than all may be together, or kept already.
    pub fn put(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.most || self.entries.iter().any(|(known, ..)| *known == key) {
            return;
        }
        self.bytes += bytes;
        self.entries.push_front((key, value, bytes));
        while self.bytes > self.most {
            let Some((.., bytes)) = self.entries.pop_back() else { return };
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let mut recent = Recent::new(8);
        (0..3).for_each(|n| recent.put(n, (), 2));
        assert!(recent.get(&0).is_some());
        (3..5).for_each(|n| recent.put(n, (), 3));
        assert!(recent.get(&0).is_some() && recent.get(&1).is_none() && recent.get(&2).is_none());
        let kept = |recent: &Recent<i32, ()>| (recent.entries.len(), recent.bytes);
        assert_eq!(kept(&recent), (3, 8));
        recent.put(9, (), 9);
        assert!(recent.get(&9).is_none());
        recent.put(0, (), 2);
        assert_eq!(kept(&recent), (3, 8), "what is too large or known already changes nothing");
    }

    #[test]
    fn what_just_fits_is_kept_whatever_takes_the_room() {
        for (bytes, kept) in [(8, 1), (9, 0)] {
            let mut recent = Recent::new(8);
            recent.put(1, (), bytes);
            assert_eq!(recent.entries.len(), kept, "{bytes}");
        }
    }
}
