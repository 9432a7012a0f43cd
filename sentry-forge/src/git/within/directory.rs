//! The manifests of a directory, read of what was sent.

use sentry_core::forge::{ForgeError, TreeFile, TreeLimits};

use super::attempt::Attempt;
use super::fault::Fault;
use super::id::{Id, Kind};
use super::objects::Objects;
use super::tree::{self, TREE};
use crate::git::cache::Content;
use crate::git::listing::{Entry, Listing, Problem, is_manifest};
use crate::git::objects::{TREE_CAP, shown};

/// Why a directory can't be read.
enum Unread {
    /// What it holds, and of what.
    Problem(Problem, String),
    Fault(Fault),
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Attempt<'_> {
    /// Reads the manifests of a tree that is wholly here.
    pub(super) async fn read(&mut self, id: Id, limits: TreeLimits) -> Result<Content, ForgeError> {
        let read = self.with_objects(move |objects| directory(objects, id, &limits)).await?;
        read.map_err(|unread| match unread {
            // What is missing may have been passed over.
            Unread::Problem(Problem::Missing(path), _) => match self.objects.passed_over() {
                Some(fault) => {
                    let text = format!("{path} was not read: the answer {fault}");
                    self.about().bad(Problem::TooLarge(text), "the directory")
                }
                None => self.about().bad(Problem::Missing(path), ""),
            },
            Unread::Problem(problem, what) => self.about().bad(problem, &what),
            Unread::Fault(fault) => self.fault(fault),
        })
    }
}

fn directory(objects: &mut Objects, id: Id, limits: &TreeLimits) -> Result<Content, Unread> {
    let mut listing = Listing::default();
    let mut level = vec![(Vec::new(), id.to_string())];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (path, oid) in &level {
            next.extend(list(objects, &mut listing, path, oid, limits)?);
        }
        level = next;
    }
    listing.wanted.sort_by(|a, b| a.path.cmp(&b.path));
    let Listing { wanted, refused, .. } = listing;
    let mut files = Vec::new();
    for file in wanted {
        let bytes = objects.content(&known(&file.oid)?)?;
        let bytes = bytes.ok_or_else(|| missing(&file.path))?;
        files.push(TreeFile { path: file.path, bytes });
    }
    Ok(Content { files, refused })
}

/// Lists the tree at a path below the directory; returns the trees in it.
fn list(
    objects: &mut Objects,
    listing: &mut Listing,
    path: &[u8],
    oid: &str,
    limits: &TreeLimits,
) -> Result<Vec<(Vec<u8>, String)>, Unread> {
    let (id, place) = (known(oid)?, shown(path));
    let garbled = |text: String| Unread::Problem(Problem::Garbled(text), String::new());
    match objects.weigh(&id) {
        Some((Kind::Tree, size)) if size > TREE_CAP => {
            let text = format!("{size} bytes, at most {TREE_CAP} allowed");
            return Err(Unread::Problem(Problem::TooLarge(text), format!("the tree of {place}")));
        }
        Some((Kind::Tree, _)) => {}
        Some((kind, _)) => {
            return Err(garbled(format!("{place} is a {}, not a tree", kind.word())));
        }
        None => return Err(garbled(format!("the tree of {place} was not sent"))),
    }
    let raw = objects.content(&id)?.ok_or(Fault::Cut)?;
    let mut entries = Vec::new();
    for entry in tree::entries(objects.algorithm, &raw) {
        let entry = entry?;
        if entries.len() > limits.entries {
            break;
        }
        let is_file = entry.mode != TREE && is_manifest(entry.name);
        let size = match objects.weigh(&entry.id).filter(|_| is_file) {
            Some((Kind::Blob, size)) => Some(size),
            _ => None,
        };
        entries.push((entry, entry.id.to_string(), size));
    }
    let entries: Vec<_> = entries
        .iter()
        .map(|(entry, oid, size)| Entry { mode: entry.mode, oid, size: *size, name: entry.name })
        .collect();
    let below = listing.add(path, &entries, limits);
    below.map_err(|problem| Unread::Problem(problem, "the directory".to_owned()))
}

fn missing(path: &str) -> Unread {
    Unread::Problem(Problem::Missing(path.to_owned()), String::new())
}

/// An id that was made a text before.
fn known(oid: &str) -> Result<Id, Fault> {
    let id = oid.parse().ok().and_then(|oid| Id::of(&oid));
    id.ok_or_else(|| Fault::garbled("has a tree that can't be read"))
}
