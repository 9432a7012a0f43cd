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

crate::closed_list! {
    /// What the heads of forks may start. Whoever pushes there need not be anyone who may write to A.
    pub enum Forks {
        /// Nothing until somebody approves them, each by itself.
        Approve = "approve",
        /// The same as heads in A.
        Run = "run",
        /// Nothing.
        Never = "never",
    }
}

/// Which pull requests of A a watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullSelector {
    /// Those into one of these branches; `None` is any.
    pub target: Option<BranchSelector>,
    /// Whether drafts are among them.
    pub skips_drafts: bool,
    /// Those with all of these labels.
    pub need: BTreeSet<String>,
    /// Those with none of these.
    pub without: BTreeSet<String>,
    /// Whether those of forks are among them, and what they may start.
    pub forks: Forks,
}

/// All of them; those of forks start nothing until they are approved.
impl Default for PullSelector {
    fn default() -> Self {
        let (need, without) = (BTreeSet::new(), BTreeSet::new());
        Self { target: None, skips_drafts: false, need, without, forks: Forks::Approve }
    }
}

impl PullSelector {
    /// True if the pull request is selected as it is now.
    #[must_use]
    pub fn matches(&self, pull: &PullRequest) -> bool {
        let is_barred = pull.is_fork && self.forks == Forks::Never;
        let is_held_back = is_barred || self.skips_drafts && pull.is_draft;
        !is_held_back
            && self.target.as_ref().is_none_or(|target| target.matches(&pull.target_branch))
            && self.need.is_subset(&pull.labels)
            && self.without.is_disjoint(&pull.labels)
    }

    /// True if its head starts nothing until somebody approves it, where it is selected at all.
    #[must_use]
    pub fn needs_approval(&self, pull: &PullRequest) -> bool {
        pull.is_fork && self.forks != Forks::Run
    }

    /// True if the selection of this text, with which pull requests were asked for before, held this one as well, whatever
    /// it let it start.
    pub(crate) fn held_before(&self, text: &str, pull: &PullRequest) -> bool {
        let all = [Forks::Approve, Forks::Run, Forks::Never].into_iter();
        let mut holding = all.filter(|forks| !pull.is_fork || *forks != Forks::Never);
        holding.any(|forks| Self { forks, ..self.clone() }.to_string() == text)
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
        match self.forks {
            Forks::Approve => f.write_str(", of forks once approved"),
            Forks::Run => f.write_str(", of forks too"),
            Forks::Never => Ok(()),
        }
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
            forks: Forks::Never,
        };
        assert!(selector.matches(&pull(|_| ())));
        let changes: [fn(&mut PullRequest); 5] = [
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
        let of_a_fork = pull(|p| p.is_fork = true);
        let each = [Forks::Approve, Forks::Run, Forks::Never];
        let told = each.map(|forks| {
            let all = PullSelector { forks, ..PullSelector::default() };
            let [own, strange] = [pull(|_| ()), of_a_fork.clone()];
            assert!(all.matches(&own) && !all.needs_approval(&own));
            (all.matches(&strange), all.needs_approval(&strange))
        });
        assert_eq!(told, [(true, true), (true, false), (false, true)]);
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
            PullSelector { forks: Forks::Run, ..PullSelector::default() },
            PullSelector { forks: Forks::Never, ..PullSelector::default() },
        ];
        let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), all.len(), "{texts:?}");
    }
}
