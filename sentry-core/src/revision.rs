//! A subject and a commit: what people and records call a revision.

use std::fmt;

use crate::repo::CommitSha;
use crate::subject::Subject;

/// A subject and the commit that was its head, shown as `main@sha1:1a2b3c4d…` (the form Flux uses).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Whose head it was.
    pub subject: Subject,
    /// The commit.
    pub sha: CommitSha,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.subject, self.sha.algorithm(), self.sha)
    }
}
