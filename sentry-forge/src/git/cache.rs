//! Directories that were read before, by the id of their tree: the same id always has the same content.

use sentry_core::forge::{RefusedEntry, TreeFile, TreeLimits};
use sentry_core::recent::Recent;

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

pub(crate) type Cache = Recent<Key, Content>;

/// An empty one.
pub(crate) fn cache() -> Cache {
    Recent::new(MOST)
}

impl Content {
    /// Bytes that it takes, about.
    pub(crate) fn size(&self) -> usize {
        let files = self.files.iter().map(|file| file.path.len() + file.bytes.len());
        let refused = self.refused.iter().map(|entry| entry.path.len() + entry.what.len());
        256 + files.chain(refused).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_what_was_refused_take_room_alike() {
        let file = TreeFile { path: "a.yaml".into(), bytes: vec![b'x'; 100] };
        let entry = RefusedEntry { path: "p".repeat(50), what: "w".repeat(50) };
        let content = |files: &[TreeFile], refused: &[RefusedEntry]| Content {
            files: files.to_vec(),
            refused: refused.to_vec(),
        };
        assert_eq!(content(std::slice::from_ref(&file), &[]).size(), 256 + 106);
        assert_eq!(content(&[], std::slice::from_ref(&entry)).size(), 256 + 100);
        assert_eq!(content(&[file], &[entry]).size(), 256 + 206);
    }

    #[test]
    fn one_repository_is_not_read_through_another() {
        let key = |repo: &str| {
            let (repo, oid) = (repo.to_owned(), "1".to_owned());
            Key { repo, oid, limits: TreeLimits::default() }
        };
        let mut cache = cache();
        cache.put(key("r"), Content { files: Vec::new(), refused: Vec::new() }, 256);
        assert!(cache.get(&key("r")).is_some() && cache.get(&key("other")).is_none());
    }
}
