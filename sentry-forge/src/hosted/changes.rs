//! What differs between two commits: by the API, and by git where the API can't list it all.

use http::StatusCode;
use sentry_core::forge::{
    Base, ChangedPaths, ChangesQuery, ForgeError, ForgeErrorKind, MAX_CHANGED_PATHS,
};
use sentry_core::repo::{BranchName, CommitSha};
use tokio::time::Instant;

use crate::hosted::api::{Compared, Resource};
use crate::hosted::{Ask, Hosted};
use crate::rate_limit::Right;

impl Hosted {
    /// The paths that differ between the two commits, whatever lies between them.
    pub(super) async fn changed(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.belongs(&query.repo)?;
        let from = match &query.from {
            Base::Commit(from) if *from == query.to.sha => return Ok(ChangedPaths::default()),
            Base::Commit(from) => from,
            Base::PartedFrom(branch) => return self.changed_since_parting(query, branch).await,
        };
        let deadline = Instant::now() + query.timeout;
        let Ok(told) = tokio::time::timeout_at(deadline, self.compared(query, from)).await else {
            let text = format!("{}: did not answer in time", self.what(&query.repo));
            return Err(ForgeError::new(ForgeErrorKind::Unreachable, text));
        };
        let told = told?;
        if let Some(Compared { paths, whole: true }) = told {
            return Ok(changed_paths(paths, false));
        }
        let timeout = deadline.saturating_duration_since(Instant::now());
        let rest = ChangesQuery { timeout, ..query.clone() };
        let by_git = match self.changes_by_git(&rest).await {
            Err(error) if self.has_moved(&query.repo, &error).await => {
                self.changes_by_git(&rest).await
            }
            by_git => by_git,
        };
        match (by_git, told) {
            (Err(error), Some(part)) if error.kind() == ForgeErrorKind::Unsupported => {
                tracing::debug!(repo = %query.repo, %error, "git can't list the rest of a comparison");
                Ok(changed_paths(part.paths, true))
            }
            (by_git, _) => by_git,
        }
    }

    /// By the API alone: git would need the history of both.
    async fn changed_since_parting(
        &self,
        query: &ChangesQuery,
        branch: &BranchName,
    ) -> Result<ChangedPaths, ForgeError> {
        let cant = || {
            let text =
                format!("{}: can't compare with where {branch} parted", self.what(&query.repo));
            ForgeError::new(ForgeErrorKind::Unsupported, text)
        };
        if !self.api.reads_branches() {
            return Err(cant());
        }
        let wanted = Resource::CompareWithBase(branch.clone(), query.to.sha.clone());
        let ask = self.get(&query.repo, Ask::reading(&wanted));
        let Ok(answer) = tokio::time::timeout(query.timeout, ask).await else { return Err(cant()) };
        let answer = answer?;
        if answer.status != StatusCode::OK {
            return Err(cant());
        }
        let Compared { paths, whole } = self
            .api
            .read_changes_since_base(&answer)
            .map_err(|why| self.wrong(&query.repo, &why))?;
        Ok(changed_paths(paths, !whole))
    }

    /// What the API says; `None` where it can't.
    async fn compared(
        &self,
        query: &ChangesQuery,
        from: &CommitSha,
    ) -> Result<Option<Compared>, ForgeError> {
        if !self.api.reads_branches() {
            return Ok(None);
        }
        let wanted = Resource::Compare(from.clone(), query.to.sha.clone());
        let answer = match self.get(&query.repo, Ask::reading(&wanted)).await {
            // An answer holds the changed lines as well, and is too large before a list of paths would be.
            Err(error) if error.kind() == ForgeErrorKind::WrongAnswer => return Ok(None),
            answer => answer?,
        };
        if answer.status != StatusCode::OK {
            return Ok(None);
        }
        match self.api.read_changes(&answer, from, &query.to.sha) {
            Ok(compared) => Ok(Some(compared)),
            Err(why) => {
                tracing::debug!(repo = %query.repo, why, "the API could not compare; asking git");
                Ok(None)
            }
        }
    }

    async fn changes_by_git(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        let now = &ChangesQuery { repo: self.git_place(&query.repo), ..query.clone() };
        self.with_token(&query.repo, Right::Read, |token| async move {
            let header = self.git_authorization(token.as_ref())?;
            self.git.changes(now, header.as_ref()).await
        })
        .await
    }
}

/// Sorted, each once, at most as many as are reported.
pub(crate) fn changed_paths(mut paths: Vec<String>, truncated: bool) -> ChangedPaths {
    paths.sort_unstable();
    paths.dedup();
    let truncated = truncated || paths.len() > MAX_CHANGED_PATHS;
    paths.truncate(MAX_CHANGED_PATHS);
    ChangedPaths { paths, truncated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_sorted_told_once_and_cut_at_the_most() {
        let some = changed_paths(vec!["b".into(), "a".into(), "b".into()], false);
        assert_eq!((some.paths.join(" "), some.truncated), ("a b".to_owned(), false));
        let many = |n: usize| changed_paths((0..n).map(|i| format!("{i:05}")).collect(), false);
        assert!(!many(MAX_CHANGED_PATHS).truncated);
        let cut = many(MAX_CHANGED_PATHS + 1);
        assert_eq!((cut.paths.len(), cut.truncated), (MAX_CHANGED_PATHS, true));
    }
}
