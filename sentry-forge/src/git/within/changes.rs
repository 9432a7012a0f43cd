//! What differs between two commits, by the ids in their trees.

use std::cmp::Ordering;

use sentry_core::forge::{ChangedPaths, ForgeError, MAX_CHANGED_PATHS};
use sentry_core::repo::CommitSha;

use super::attempt::{Attempt, Sent, is_about_filters};
use super::fault::Fault;
use super::id::{Algorithm, Id, Kind};
use super::objects::Objects;
use super::pack::too_large;
use super::tree::{self, Entry};
use crate::git::commit::root_of;
use crate::git::objects::{COMMIT_CAP, TREE_CAP};
use crate::hosted::changes::changed_paths;

/// Bytes of paths that are read.
const PATHS_CAP: usize = 16 << 20;
/// Directories in directories that are compared, as git has it (`core.maxTreeDepth`, git-config(1)).
const DEEPEST: usize = 2_048;

impl Attempt<'_> {
    /// Fetches both commits with all their trees, in one pack and without files.
    pub(super) async fn fetch_trees(&mut self, from: &CommitSha) -> Result<(), ForgeError> {
        let both = [from.clone(), self.commit.clone()];
        let filter = self.capabilities.filter.then_some("blob:none");
        match self.obtain(&both, filter).await? {
            Sent::Pack { .. } => Ok(()),
            Sent::Refused(text) if filter.is_some() && is_about_filters(&text) => {
                self.start_anew();
                match self.obtain(&both, None).await? {
                    Sent::Pack { .. } => Ok(()),
                    Sent::Refused(text) => Err(self.refused(&text)),
                }
            }
            Sent::Refused(text) => Err(self.refused(&text)),
        }
    }

    pub(super) async fn compare(&mut self, from: &CommitSha) -> Result<ChangedPaths, ForgeError> {
        let gone = |commit: &CommitSha| {
            self.about().gone(commit.as_str(), "the server sent something else")
        };
        let older =
            Id::of(from).filter(|id| self.objects.weigh(id).is_some()).ok_or_else(|| gone(from))?;
        let newer = self.id;
        self.objects.weigh(&newer).ok_or_else(|| gone(self.commit))?;
        let paths = self
            .with_objects(move |objects| {
                let roots = [root(objects, older)?, root(objects, newer)?];
                differences(objects, roots)
            })
            .await?;
        Ok(changed_paths(paths.map_err(|fault| self.fault(fault))?, false))
    }
}

/// The root tree of a commit.
fn root(objects: &mut Objects, commit: Id) -> Result<Id, Fault> {
    let raw = content(objects, commit, Kind::Commit, COMMIT_CAP)?;
    let root = root_of(&raw).filter(|root| Algorithm::of(root) == objects.algorithm);
    root.and_then(|root| Id::of(&root)).ok_or_else(|| Fault::garbled("has a commit without a tree"))
}

fn content(objects: &mut Objects, id: Id, kind: Kind, most: u64) -> Result<Vec<u8>, Fault> {
    match objects.weigh(&id) {
        Some((found, size)) if found == kind && size > most => {
            Err(too_large(kind.named(), size, most))
        }
        Some((found, _)) if found == kind => objects.content(&id)?.ok_or(Fault::Cut),
        _ => Err(Fault::garbled(format!("has no {} {id}", kind.word()))),
    }
}

/// A pair of trees at the same path, one of which may not be there.
struct Pair {
    path: Vec<u8>,
    depth: usize,
    trees: [Option<Id>; 2],
}

/// The paths that differ, one more at most than are reported.
fn differences(objects: &mut Objects, roots: [Id; 2]) -> Result<Vec<String>, Fault> {
    let mut open = vec![Pair { path: Vec::new(), depth: 0, trees: roots.map(Some) }];
    let (mut paths, mut bytes) = (Vec::new(), 0);
    while let Some(Pair { path, depth, trees }) = open.pop() {
        if trees[0] == trees[1] {
            continue;
        }
        if depth > DEEPEST {
            return Err(Fault::TooLarge(format!(
                "has more than {DEEPEST} directories in each other"
            )));
        }
        let mut raw = [Vec::new(), Vec::new()];
        for (raw, tree) in raw.iter_mut().zip(trees) {
            if let Some(id) = tree {
                *raw = content(objects, id, Kind::Tree, TREE_CAP)?;
            }
        }
        let mut below = Vec::new();
        for (name, entries) in beside(objects.algorithm, &raw)? {
            let at = if path.is_empty() { name.to_vec() } else { [&path[..], name].join(&b'/') };
            if entries.iter().flatten().any(|entry| !entry.is_tree()) {
                bytes += at.len();
                paths.push(String::from_utf8_lossy(&at).into_owned());
            }
            if paths.len() > MAX_CHANGED_PATHS || bytes > PATHS_CAP {
                return Ok(paths);
            }
            let trees = entries.map(|entry| entry.filter(Entry::is_tree).map(|entry| entry.id));
            if trees != [None, None] {
                below.push(Pair { path: at, depth: depth + 1, trees });
            }
        }
        open.extend(below.into_iter().rev());
    }
    Ok(paths)
}

type Beside<'a> = Vec<(&'a [u8], [Option<Entry<'a>>; 2])>;

/// The entries of two trees that are not the same in both, side by side.
fn beside(algorithm: Algorithm, raw: &[Vec<u8>; 2]) -> Result<Beside<'_>, Fault> {
    let sorted = |raw| {
        let mut entries = tree::entries(algorithm, raw).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|a, b| a.name.cmp(b.name));
        Ok::<_, Fault>(entries.into_iter().peekable())
    };
    let (mut older, mut newer) = (sorted(&raw[0])?, sorted(&raw[1])?);
    let mut all = Vec::new();
    loop {
        let order = match (older.peek(), newer.peek()) {
            (None, None) => return Ok(all),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.name.cmp(b.name),
        };
        let pair = [
            if order.is_le() { older.next() } else { None },
            if order.is_ge() { newer.next() } else { None },
        ];
        let name = pair.iter().flatten().next().map(|entry| entry.name).unwrap_or_default();
        if pair[0] != pair[1] {
            all.push((name, pair));
        }
    }
}
