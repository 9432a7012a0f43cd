//! What differs between two commits: their trees are fetched without a single file, and compared here.
//!
//! Only ids of trees and files are compared, so nothing depends on what the commits have in common, and a
//! force-push is no special case.

use http::HeaderValue;
use sentry_core::forge::{
    Base, ChangedPaths, ChangesQuery, ForgeError, ForgeErrorKind, MAX_CHANGED_PATHS,
};
use sentry_core::repo::CommitSha;
use tokio::time::Instant;

use super::failure;
use super::transport::{Attempt, Bounds, Transport};
use crate::hosted::changes::changed_paths;

/// Bytes on the disk that a comparison may take. The trees of 80,000 files are about 5 MB; a server without
/// filters sends the files as well.
const ROOM: u64 = 64 << 20;
/// Bytes of paths that are read.
const OUTPUT_CAP: usize = 16 << 20;

impl Transport {
    /// The paths that differ between two commits; of a renamed file both. `authorization` is sent to the
    /// repository's own origin only.
    ///
    /// # Errors
    /// [`ForgeErrorKind::Unsupported`] if the older commit does not exist (anymore) or the trees are too large,
    /// [`ForgeErrorKind::NoCommit`] if the newer one is not, and otherwise as [`Transport::tree`].
    pub async fn changes(
        &self,
        query: &ChangesQuery,
        authorization: Option<&HeaderValue>,
    ) -> Result<ChangedPaths, ForgeError> {
        let from = match &query.from {
            Base::Commit(from) if *from == query.to.sha => return Ok(ChangedPaths::default()),
            Base::Commit(from) => from,
            Base::PartedFrom(branch) => {
                let text = format!("{}: can't find where {branch} parted by git alone", query.repo);
                return Err(ForgeError::new(ForgeErrorKind::Unsupported, text));
            }
        };
        let compared = match self.changes_within(query, from, authorization, ROOM).await {
            Ok(None) => self.changes_by_program(query, from, authorization).await,
            Ok(Some(changes)) => Ok(changes),
            Err(error) => Err(error),
        };
        let repo = &query.repo;
        let untold = |text: String, error| {
            ForgeError::new(ForgeErrorKind::Unsupported, text).with_source(error)
        };
        compared.map_err(|error| match error.kind() {
            ForgeErrorKind::TooLarge | ForgeErrorKind::OutOfMemory => {
                untold(format!("{repo}: too large to list its changes"), error)
            }
            ForgeErrorKind::NoCommit
                if sentry_core::error::text(&error).contains(from.as_str()) =>
            {
                let what = "does not exist (anymore): changes since then can't be listed";
                untold(format!("{repo}: commit {} {what}", from.short()), error)
            }
            _ => error,
        })
    }

    async fn changes_by_program(
        &self,
        query: &ChangesQuery,
        from: &CommitSha,
        authorization: Option<&HeaderValue>,
    ) -> Result<ChangedPaths, ForgeError> {
        let remote = self.remote(&query.repo, authorization);
        let bounds = Bounds { room: ROOM, deadline: Instant::now() + query.timeout };
        let mut attempt = self.attempt(remote, &query.to, bounds)?;
        attempt.fetch_trees(from).await?;
        attempt.compare(from).await
    }
}

impl Attempt<'_> {
    /// Fetches both commits with all their trees, in one pack and without files.
    async fn fetch_trees(&mut self, from: &CommitSha) -> Result<(), ForgeError> {
        let both = [from, self.commit];
        let mut output = self.obtain(&both, "--filter=blob:none").await?;
        if !output.status.success() && failure::spoken(&self.said(&output)).contains("filter") {
            self.start_anew()?;
            output = self.obtain(&both, "--no-filter").await?;
        }
        if output.status.success() {
            return Ok(());
        }
        Err(failure::from_text(self.repo(), &self.about().fetching(), &self.said(&output)))
    }

    async fn compare(&self, from: &CommitSha) -> Result<ChangedPaths, ForgeError> {
        let args = [
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            "--ignore-submodules=none",
            "--end-of-options",
            from.as_str(),
            self.commit.as_str(),
        ];
        let output = self.git(args, &[], OUTPUT_CAP).await?;
        let names = output.split(|&b| b == 0).filter(|name| !name.is_empty());
        // One more than is reported, so that the rest is noticed.
        let names = names.take(MAX_CHANGED_PATHS + 1);
        let paths = names.map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(changed_paths(paths.collect(), false))
    }
}
