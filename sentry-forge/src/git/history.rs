//! Commits that a server does not give out by their ids: they are looked for in the history of their branch or tag.
//!
//! With the older protocols a server serves only what it lists, that is heads, unless its owner allowed
//! more (`uploadpack.allowAnySHA1InWant`, git-config(1)). sshd passes the request for the newer one on only where
//! configured to (`AcceptEnv GIT_PROTOCOL`), and some servers keep to their heads whatever they speak.

use sentry_core::forge::ForgeError;
use sentry_core::repo::CommitSha;
use sentry_core::subject::Subject;
use sentry_process::Output;

use super::failure;
use super::transport::Attempt;

/// With how many commits the branch is fetched, one time after the other. What one fetch may take on the disk bounds
/// each of them.
pub(super) const DEPTHS: [u32; 3] = [16, 256, 4096];

impl Attempt<'_> {
    /// Fetches commits by their ids or, where the server does not give them out so, with their branch. The output is
    /// that of the last fetch, which may have failed.
    pub(super) async fn obtain(
        &mut self,
        commits: &[&CommitSha],
        filter: &str,
    ) -> Result<Output, ForgeError> {
        let ids: Vec<_> = commits.iter().map(|commit| commit.as_str()).collect();
        let output = self.fetch(&ids, &["--depth=1", filter]).await?;
        if output.status.success() || !failure::is_withheld(&self.said(&output)) {
            return Ok(output);
        }
        self.fetch_history(&ids, filter).await
    }

    /// Fetches more and more of the branch, until it holds the commits or has no more.
    async fn fetch_history(
        &mut self,
        commits: &[&str],
        filter: &str,
    ) -> Result<Output, ForgeError> {
        let head = self.subject.reference();
        let mut missing = commits[0];
        for depth in DEPTHS {
            self.start_anew()?;
            let depth = format!("--depth={depth}");
            let output = self.fetch(&[&head], &[&depth, filter]).await?;
            if failure::is_no_ref(&self.said(&output)) {
                return Err(self.about().gone(missing, &branch_is_gone(self.subject)));
            }
            if !output.status.success() {
                return Ok(output);
            }
            let weights = self.weigh(commits).await?;
            match commits.iter().zip(&weights).find(|(_, weight)| weight.is_none()) {
                None => return Ok(output),
                Some((commit, _)) => missing = commit,
            }
            if !self.scratch.is_shallow() {
                return Err(self.about().gone(missing, &not_in_history(self.subject)));
            }
        }
        Err(self.about().gone(missing, &not_among_the_last(self.subject)))
    }
}

/// Why a commit is not found: its subject is not there any more.
pub(super) fn branch_is_gone(subject: &Subject) -> String {
    format!("its {} {} is gone", subject.kind(), subject.name())
}

/// Why a commit is not found: its subject has no more history.
pub(super) fn not_in_history(subject: &Subject) -> String {
    format!("the history of its {} {} does not contain it", subject.kind(), subject.name())
}

/// Why a commit is not found: that much was looked through.
pub(super) fn not_among_the_last(subject: &Subject) -> String {
    let [.., most] = DEPTHS;
    format!(
        "the server serves only heads, and it is not among the last {most} commits of {}",
        subject.label()
    )
}
