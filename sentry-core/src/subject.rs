//! What has a head in a repository. Within a watch, cursors, deliveries, statuses, runs and records are counted by it.

use std::fmt;

use crate::names::WatchName;
use crate::repo::{BranchName, ParseError};

/// Something whose head can move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A branch.
    Branch(BranchName),
}

/// A watch and a subject of its A: what deliveries are counted by.
pub type SubjectKey = (WatchName, Subject);

impl Subject {
    /// The word for its kind in JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Branch(_) => "branch",
        }
    }

    /// What it is called among its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Branch(branch) => branch.as_str(),
        }
    }

    /// Its part of a run's key, which distinguishes runs for ever. Of a branch it is the name alone.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Branch(branch) => branch.as_str(),
        }
    }

    /// The reference that its head is kept at, in full: `refs/heads/main`. No two subjects share one.
    #[must_use]
    pub fn reference(&self) -> String {
        match self {
            Self::Branch(branch) => branch.full_ref(),
        }
    }

    /// The subject whose head is kept at a reference.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(reference: &str) -> Result<Self, ParseError> {
        let none = || ParseError::new("subject", reference, "not a branch's full name");
        let branch = reference.strip_prefix("refs/heads/").ok_or_else(none)?;
        Ok(Self::Branch(branch.parse()?))
    }

    /// The event that a move of its head is (`on-event`), where nobody names another one.
    #[must_use]
    pub fn event(&self) -> EventName {
        match self {
            Self::Branch(_) => EventName("push".to_owned()),
        }
    }

    /// The branch that the head comes from, as Pipelines-as-Code passes it to runs.
    #[must_use]
    pub fn source_branch(&self) -> &str {
        match self {
            Self::Branch(branch) => branch.as_str(),
        }
    }

    /// The branch that the head is meant for, as Pipelines-as-Code passes it to runs.
    #[must_use]
    pub fn target_branch(&self) -> &str {
        match self {
            Self::Branch(branch) => branch.as_str(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => branch.fmt(f),
        }
    }
}

impl From<BranchName> for Subject {
    fn from(branch: BranchName) -> Self {
        Self::Branch(branch)
    }
}

/// What happened to a subject, in the words of `on-event`: `push`, or what a person names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(String);

impl EventName {
    /// An event by its name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_found_again_by_its_reference_and_nothing_else_is_one() {
        for name in ["main", "release/1.4", "refs/heads/main", "ünï"] {
            let subject = Subject::Branch(name.parse().unwrap());
            assert_eq!(Subject::at(&subject.reference()).unwrap(), subject);
        }
        for bad in ["main", "refs/heads/", "refs/tags/v1", "refs/heads/a..b", "REFS/HEADS/main", ""]
        {
            assert!(Subject::at(bad).is_err(), "{bad}");
        }
    }
}
