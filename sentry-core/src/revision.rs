//! A branch and a commit: what people and records call a revision.

use std::fmt;

use crate::repo::{BranchName, CommitSha};

/// A branch and the commit it pointed at, shown as `main@sha1:1a2b3c4d…` (the form Flux uses).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The branch.
    pub branch: BranchName,
    /// The commit.
    pub sha: CommitSha,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.branch, self.sha.algorithm(), self.sha)
    }
}
