//! Pull requests: what is known of one, and which of them a watch covers.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::repo::{BranchName, CommitSha, ParseError};
use crate::watch::BranchSelector;

/// A pull request's number in its repository, from 1; of GitLab a merge request's `iid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PullNumber(Arc<str>);

impl PullNumber {
    /// The number in digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for PullNumber {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

/// By number: `9` is before `12`.
impl Ord for PullNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for PullNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for PullNumber {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let is_number = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        match text.parse::<u64>() {
            Ok(number) if is_number => Ok(number.into()),
            _ => Err(ParseError::new("pull request", text, "is not a number from 1 on")),
        }
    }
}

impl fmt::Display for PullNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a forge told of an open pull request. Its texts are a stranger's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: PullNumber,
    /// Its title.
    pub title: String,
    /// Who opened it, as the forge names them.
    pub author: String,
    /// True if it is not said to be ready for review.
    pub is_draft: bool,
    /// The names of its labels.
    pub labels: BTreeSet<String>,
    /// Its head.
    pub head: CommitSha,
    /// The branch that its head is on, in A or in the fork.
    pub source_branch: BranchName,
    /// The branch of A that it is to be merged into.
    pub target_branch: BranchName,
    /// True if its head is in another repository than A, or in one that was deleted.
    pub is_fork: bool,
}

impl PullRequest {
    /// True if whatever starts runs by more than the head is the same: its target and its labels.
    pub(crate) fn is_judged_as(&self, other: &Self) -> bool {
        self.target_branch == other.target_branch && self.labels == other.labels
    }
}

/// Which pull requests of A a watch covers. None of a fork: what those run is a stranger's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PullSelector {
    /// Those into one of these branches; `None` is any.
    pub target: Option<BranchSelector>,
    /// Whether drafts are among them.
    pub skips_drafts: bool,
    /// Those with all of these labels.
    pub need: BTreeSet<String>,
    /// Those with none of these.
    pub without: BTreeSet<String>,
}

impl PullSelector {
    /// True if the pull request is selected as it is now.
    #[must_use]
    pub fn matches(&self, pull: &PullRequest) -> bool {
        let is_held_back = pull.is_fork || self.skips_drafts && pull.is_draft;
        !is_held_back
            && self.target.as_ref().is_none_or(|target| target.matches(&pull.target_branch))
            && self.need.is_subset(&pull.labels)
            && self.without.is_disjoint(&pull.labels)
    }
}

/// The selection in one text, for people, and to tell whether it changed.
impl fmt::Display for PullSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pull requests")?;
        if let Some(target) = &self.target {
            write!(f, " to {target}")?;
        }
        if self.skips_drafts {
            f.write_str(" without drafts")?;
        }
        for label in &self.need {
            write!(f, " with {label:?}")?;
        }
        for label in &self.without {
            write!(f, " without {label:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample;

    #[test]
    fn numbers_are_read_and_sorted_as_numbers() {
        let mut all: Vec<PullNumber> = ["12", "9", "100", "1"].map(sample::parse).into();
        all.sort();
        assert_eq!(all.iter().map(PullNumber::as_str).collect::<Vec<_>>(), ["1", "9", "12", "100"]);
        for bad in ["", "0", "012", "-1", "+1", "1a", "99999999999999999999"] {
            assert!(bad.parse::<PullNumber>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_condition_of_a_selection_decides() {
        let pull = |change: fn(&mut PullRequest)| {
            let mut pull = sample::pull(12);
            change(&mut pull);
            pull
        };
        let labels = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let selector = PullSelector {
            target: BranchSelector::new(["main", "release/*", "!release/0.*"]).ok(),
            skips_drafts: true,
            need: labels(&["qa"]),
            without: labels(&["no-qa"]),
        };
        assert!(selector.matches(&pull(|_| ())));
        let changes: [fn(&mut PullRequest); 6] = [
            |p| p.is_fork = true,
            |p| p.is_draft = true,
            |p| p.labels.clear(),
            |p| p.labels.extend(["no-qa".to_owned()]),
            |p| p.target_branch = sample::parse("dev"),
            |p| p.target_branch = sample::parse("release/0.9"),
        ];
        for change in changes {
            assert!(!selector.matches(&pull(change)));
        }
        let all = PullSelector::default();
        assert!(all.matches(&pull(|p| p.is_draft = true)));
        assert!(!all.matches(&pull(|p| p.is_fork = true)));
    }

    #[test]
    fn another_selection_is_another_text() {
        let labels: BTreeSet<String> = ["a".to_owned()].into();
        let all = [
            PullSelector::default(),
            PullSelector { skips_drafts: true, ..PullSelector::default() },
            PullSelector { need: labels.clone(), ..PullSelector::default() },
            PullSelector { without: labels, ..PullSelector::default() },
            PullSelector { target: BranchSelector::new(["main"]).ok(), ..PullSelector::default() },
        ];
        let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), all.len(), "{texts:?}");
    }
}
