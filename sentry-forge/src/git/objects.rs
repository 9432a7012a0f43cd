//! Objects that were fetched, read from git's pipes: what each of them weighs is asked before it is read, so that a few
//! kilobytes that unfold to gigabytes are refused by name.

use sentry_core::forge::{ForgeError, TreeFile, TreeLimits};

use super::cache::Content;
use super::listing::{self, Listing, Object};
use super::transport::Attempt;

/// The largest commit that is read, in bytes: its message and its other lines.
pub(super) const COMMIT_CAP: u64 = 1 << 20;
/// The largest tree that is read, in bytes: some 500,000 names.
pub(super) const TREE_CAP: u64 = 32 << 20;

impl Attempt<'_> {
    /// The commit's own text; proves that it is here, and a commit.
    pub(super) async fn raw_commit(&self) -> Result<Vec<u8>, ForgeError> {
        let commit = self.commit.as_str();
        let size = match self.weigh(&[commit]).await?.pop() {
            Some(Some((kind, size))) if kind == "commit" => size,
            Some(Some((kind, _))) => {
                return Err(self.about().wrong(&format!("{commit} is a {kind}, not a commit")));
            }
            _ => return Err(self.about().gone(commit, "the server sent something else")),
        };
        if size > COMMIT_CAP {
            return Err(self.about().too_heavy(
                "the commit itself, with its message",
                size,
                COMMIT_CAP,
            ));
        }
        let mut contents = self.contents(&[(commit, size)]).await?;
        contents.pop().ok_or_else(|| self.about().wrong("the commit can't be read"))
    }

    /// Reads the manifests of a tree that is wholly here.
    pub(super) async fn read(&self, oid: &str, limits: &TreeLimits) -> Result<Content, ForgeError> {
        let Listing { wanted, refused, .. } = self.list(oid, limits).await?;
        let objects: Vec<_> = wanted.iter().map(|file| (file.oid.as_str(), file.size)).collect();
        let contents = self.contents(&objects).await?;
        let files = wanted.iter().zip(contents);
        let files = files.map(|(file, bytes)| TreeFile { path: file.path.clone(), bytes });
        Ok(Content { files: files.collect(), refused })
    }

    /// All that is below a tree, level by level.
    async fn list(&self, oid: &str, limits: &TreeLimits) -> Result<Listing, ForgeError> {
        // One tree with more entries than may be is cut off.
        let cap = limits.entries.saturating_mul(512).saturating_add(64 << 10);
        let mut listing = Listing::default();
        let mut level = vec![(Vec::new(), oid.to_owned())];
        while !level.is_empty() {
            let named: Vec<_> = level.iter().map(|(path, oid)| (shown(path), oid)).collect();
            let named: Vec<_> =
                named.iter().map(|(path, oid)| (path.as_str(), oid.as_str())).collect();
            self.weigh_trees(&named).await?;
            let mut next = Vec::new();
            for (path, oid) in &level {
                let args = ["ls-tree", "-z", "-l", "--end-of-options", oid];
                let output = self.git(args, &[], cap).await?;
                let below = listing::entries(&output)
                    .and_then(|entries| listing.add(path, &entries, limits));
                next.extend(below.map_err(|problem| self.about().bad(problem, "the directory"))?);
            }
            level = next;
        }
        listing.wanted.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Refuses, by its place, what is no tree or too large a one.
    pub(super) async fn weigh_trees(&self, trees: &[(&str, &str)]) -> Result<(), ForgeError> {
        let oids: Vec<_> = trees.iter().map(|(_, oid)| *oid).collect();
        let weights = self.weigh(&oids).await?;
        for ((place, _), weight) in trees.iter().zip(weights) {
            match weight {
                Some((kind, size)) if kind == "tree" && size > TREE_CAP => {
                    return Err(self.about().too_heavy(
                        &format!("the tree of {place}"),
                        size,
                        TREE_CAP,
                    ));
                }
                Some((kind, _)) if kind == "tree" => {}
                Some((kind, _)) => {
                    return Err(self.about().wrong(&format!("{place} is a {kind}, not a tree")));
                }
                None => {
                    return Err(self.about().wrong(&format!("the tree of {place} was not sent")));
                }
            }
        }
        Ok(())
    }

    /// The kind and the size of each object, in their order; `None` for what is not here. Nothing is unfolded for it.
    pub(super) async fn weigh(
        &self,
        oids: &[&str],
    ) -> Result<Vec<Option<(String, u64)>>, ForgeError> {
        let names: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
        let args = ["cat-file", "--batch-check", "--buffer"];
        let output = self.git(args, names.as_bytes(), 256 * oids.len()).await?;
        let weights = listing::weights(&output).filter(|weights| weights.len() == oids.len());
        weights.ok_or_else(|| self.about().wrong("git cat-file printed no sizes"))
    }

    /// The contents of objects of these sizes, in their order.
    async fn contents(&self, objects: &[(&str, u64)]) -> Result<Vec<Vec<u8>>, ForgeError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let names: String = objects.iter().map(|(oid, _)| format!("{oid}\n")).collect();
        let bytes = objects.iter().map(|(_, size)| *size).sum::<u64>();
        let cap = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(objects.len() * 128);
        let output = self.git(["cat-file", "--batch", "--buffer"], names.as_bytes(), cap).await?;
        let mut rest = output.as_slice();
        let content = |(oid, _): &(&str, u64)| match listing::object(&mut rest) {
            Some(Object::Found { bytes, .. }) => Ok(bytes.to_vec()),
            _ => Err(self.about().wrong(&format!("object {oid} can't be read"))),
        };
        objects.iter().map(content).collect()
    }
}

/// A directory below the one that is read.
pub(super) fn shown(path: &[u8]) -> String {
    if path.is_empty() { "the directory".to_owned() } else { path.escape_ascii().to_string() }
}
