//! Directories that were read before, by the id of their tree: the same id always has the same content.

use std::collections::VecDeque;

use sentry_core::forge::{RefusedEntry, TreeFile, TreeLimits};

/// The bytes that all kept directories have together at most.
const MOST: usize = 8 << 20;

/// What a directory held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) files: Vec<TreeFile>,
    pub(crate) refused: Vec<RefusedEntry>,
}

/// What a content is found by. The repository is part of it, so that nobody reads one repository through another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) repo: String,
    pub(crate) oid: String,
    pub(crate) limits: TreeLimits,
}

/// The most recently used contents, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: VecDeque<(Key, Content, usize)>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn get(&mut self, key: &Key) -> Option<Content> {
        let at = self.entries.iter().position(|(known, ..)| known == key)?;
        let entry = self.entries.remove(at)?;
        let content = entry.1.clone();
        self.entries.push_front(entry);
        Some(content)
    }

    pub(crate) fn put(&mut self, key: Key, content: Content) {
        let files = content.files.iter().map(|file| file.path.len() + file.bytes.len());
        let refused = content.refused.iter().map(|entry| entry.path.len() + entry.what.len());
        let size = 256 + files.chain(refused).sum::<usize>();
        if size > MOST || self.entries.iter().any(|(known, ..)| *known == key) {
            return;
        }
        self.bytes += size;
        self.entries.push_front((key, content, size));
        while self.bytes > MOST {
            let Some((_, _, size)) = self.entries.pop_back() else { return };
            self.bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        let limits = TreeLimits::default();
        Key { repo: "r".into(), oid: n.to_string(), limits }
    }

    fn content(bytes: usize) -> Content {
        let file = TreeFile { path: "a.yaml".into(), bytes: vec![b'x'; bytes] };
        Content { files: vec![file], refused: Vec::new() }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let mut cache = Cache::default();
        (0..3).for_each(|n| cache.put(key(n), content(2 << 20)));
        assert!(cache.get(&key(0)).is_some());
        (3..5).for_each(|n| cache.put(key(n), content(2 << 20)));
        assert!(cache.get(&key(0)).is_some() && cache.get(&key(1)).is_none());
        let kept = |cache: &Cache| (cache.entries.len(), cache.bytes);
        let three = (3, 3 * (256 + "a.yaml".len() + (2 << 20)));
        assert_eq!(kept(&cache), three);
        cache.put(key(9), content(MOST + 1));
        assert!(cache.get(&key(9)).is_none());
        cache.put(key(0), content(2 << 20));
        assert_eq!(kept(&cache), three, "what is too large or known already changes nothing");
        let other = Key { repo: "other".into(), ..key(0) };
        assert!(cache.get(&other).is_none());
    }

    #[test]
    fn what_just_fits_is_kept_whatever_takes_the_room() {
        let file = |bytes: usize| content(bytes - "a.yaml".len());
        let refused = |bytes: usize| {
            let entry = RefusedEntry { path: "p".repeat(100), what: "w".repeat(bytes - 100) };
            Content { files: Vec::new(), refused: vec![entry] }
        };
        for content in [file, refused] as [fn(usize) -> Content; 2] {
            for (bytes, kept) in [(MOST - 256, 1), (MOST - 255, 0)] {
                let mut cache = Cache::default();
                cache.put(key(1), content(bytes));
                assert_eq!(cache.entries.len(), kept, "{bytes}");
            }
        }
    }
}
