//! What differs between two commits, and the queries that ask for it.

use std::collections::BTreeMap;

use crate::http::decode;
use crate::repo::BareRepo;

/// One file that differs.
#[derive(Debug)]
pub(super) struct Changed {
    /// git's letter: A, M, D, R, …
    pub(super) letter: char,
    /// Its path before.
    pub(super) old: String,
    /// Its path after.
    pub(super) new: String,
}

/// What differs between two trees, with renames found as both forges find them.
pub(super) fn difference(repo: &BareRepo, from: &str, to: &str) -> Vec<Changed> {
    let text = repo.git(&["diff-tree", "-r", "-z", "-M", "--name-status", from, to]);
    let mut words = text.split('\0').filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let (Some(kind), Some(old)) = (words.next(), words.next()) {
        let letter = kind.chars().next().unwrap_or('M');
        let new = if matches!(letter, 'R' | 'C') { words.next() } else { Some(old) };
        let new = new.unwrap_or(old).to_owned();
        found.push(Changed { letter, old: old.to_owned(), new });
    }
    found
}

/// The parameters of a query, decoded.
pub(super) fn parameters(query: Option<&str>) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    };
    query.unwrap_or_default().split('&').filter(|p| !p.is_empty()).map(pair).collect()
}
