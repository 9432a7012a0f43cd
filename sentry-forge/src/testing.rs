//! Readers of what servers answer, for those who try answers that no server gave. Nothing is asked.

use std::time::{Duration, Instant};

use sentry_core::forge::TreeLimits;
use sentry_core::repo::CommitSha;
use sentry_core::subject::Subject;

use crate::git::listing::{Entry, Listing};
use crate::git::ls_refs::{NoList, RefList, parse, parse_ls_remote};
use crate::git::within::id::Algorithm;
use crate::git::within::inflate::Meter;
use crate::git::within::objects::Objects;
use crate::git::within::pack::Pack;
use crate::git::within::{answer, tree};
use crate::hosted::Hosted;
use crate::http::Answer;

/// The branches and tags of an answer to `ls-refs`; `None` if it is no list.
#[must_use]
pub fn ls_refs(body: &[u8]) -> Option<Vec<(Subject, CommitSha)>> {
    list(parse(body))
}

/// The branches and tags that `git ls-remote` printed; `None` if it is no list.
#[must_use]
pub fn ls_remote(output: &[u8]) -> Option<Vec<(Subject, CommitSha)>> {
    list(parse_ls_remote(output))
}

/// An object of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackObject {
    /// Its id, in hex.
    pub id: String,
    /// `commit`, `tree`, `blob` or `tag`.
    pub kind: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The objects of a pack that stands alone, or in an answer to `fetch`; `None` if it can't be used. No more than 64 MiB are
/// inflated, in ten seconds.
#[must_use]
pub fn pack(bytes: &[u8]) -> Option<Vec<PackObject>> {
    let until = Instant::now() + Duration::from_secs(10);
    let (algorithm, mut meter) = (Algorithm::Sha1, Meter::new(64 << 20, until));
    let dir = std::env::temp_dir();
    let pack = if bytes.starts_with(b"PACK") {
        Pack::read(bytes, algorithm, &mut meter, &dir)
    } else {
        Pack::read(answer::open(bytes).ok()??.pack, algorithm, &mut meter, &dir)
    };
    let pack = pack.ok()?;
    let ids: Vec<_> = pack.ids.iter().map(|(id, _)| *id).collect();
    let mut objects = Objects::new(algorithm, meter);
    objects.add(pack);
    let read = |id| {
        let (kind, _) = objects.weigh(&id)?;
        let bytes = objects.content(&id).ok()??;
        Some(PackObject { id: id.to_string(), kind: kind.word(), bytes })
    };
    ids.into_iter().map(read).collect()
}

/// The entries of a tree: what it is made of, and the paths that would be read and those that are refused. `None` if it is
/// no tree, or too large a one.
#[must_use]
pub fn tree(bytes: &[u8]) -> Option<(Vec<TreeEntry>, Vec<String>, Vec<String>)> {
    let entries: Vec<_> = tree::entries(Algorithm::Sha1, bytes).collect::<Result<_, _>>().ok()?;
    let entries: Vec<_> = entries
        .into_iter()
        .map(|entry| TreeEntry {
            mode: entry.mode,
            name: entry.name.to_vec(),
            id: entry.id.to_string(),
        })
        .collect();
    let mut listing = Listing::default();
    let listed: Vec<_> = entries
        .iter()
        .map(|TreeEntry { mode, name, id }| Entry { mode, oid: id, size: Some(1), name })
        .collect();
    listing.add(b"", &listed, &TreeLimits::default()).ok()?;
    let wanted = listing.wanted.into_iter().map(|file| file.path).collect();
    let refused = listing.refused.into_iter().map(|entry| entry.path).collect();
    Some((entries, wanted, refused))
}

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// One of the five modes that git knows, as it prints them.
    pub mode: &'static str,
    /// Any bytes but NUL.
    pub name: Vec<u8>,
    /// The id of what it names, in hex.
    pub id: String,
}

fn list(read: Result<RefList, NoList>) -> Option<Vec<(Subject, CommitSha)>> {
    read.ok().map(|list| list.refs)
}

impl Hosted {
    /// What is wrong with an answer, taken for one to every question there is; the commit is the one asked for.
    #[must_use]
    pub fn problems(&self, answer: &Answer, id: &CommitSha) -> Vec<String> {
        let api = &self.api;
        let Ok(branch) = "main".parse() else { return Vec::new() };
        // Read for their panics alone: they have no problem to tell.
        _ = (api.absence(answer), api.lacks_commit(answer));
        [
            api.read_head(answer, &branch).err(),
            api.read_repo(answer).err(),
            api.read_commit(answer).err(),
            api.read_changes(answer, id, id).err(),
            api.read_status(answer).err(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
