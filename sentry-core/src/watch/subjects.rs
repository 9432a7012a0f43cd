//! Which subjects of A a watch covers.

use std::borrow::Cow;
use std::fmt;

use super::{BranchSelector, TagSelector};
use crate::pull::PullSelector;
use crate::repo::ParseError;
use crate::subject::Subject;

/// Which subjects of A a watch covers, or a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectSelector {
    /// Which branches; `None` is none.
    pub branches: Option<BranchSelector>,
    /// Which tags; `None` is none.
    pub tags: Option<TagSelector>,
    /// Which pull requests; `None` is none. They are asked for, and remembered, apart.
    pub pulls: Option<PullSelector>,
}

/// What a pattern for tags is told by among all patterns. No branch's pattern holds a space.
const TAGS: &str = "tags ";

impl SubjectSelector {
    /// These subjects and no others.
    pub fn named<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> Self {
        let (mut branches, mut tags) = (Vec::new(), Vec::new());
        for subject in subjects {
            match subject {
                Subject::Branch(branch) => branches.push(branch),
                Subject::Tag(tag) => tags.push(tag),
                // It has no reference that is asked for.
                Subject::PullRequest(_) => {}
            }
        }
        Self {
            branches: (!branches.is_empty()).then(|| BranchSelector::named(branches)),
            tags: (!tags.is_empty()).then(|| TagSelector::named(tags)),
            pulls: None,
        }
    }

    /// Reads what [`patterns`](Self::patterns) gives.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn read<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseError> {
        let (tags, branches): (Vec<&str>, Vec<&str>) =
            patterns.into_iter().partition(|pattern| pattern.starts_with(TAGS));
        let tags: Vec<&str> = tags.into_iter().map(|pattern| &pattern[TAGS.len()..]).collect();
        Ok(Self {
            branches: (!branches.is_empty()).then(|| BranchSelector::new(branches)).transpose()?,
            tags: (!tags.is_empty()).then(|| TagSelector::read(&tags)).transpose()?,
            pulls: None,
        })
    }

    /// True if the subject is selected; of a pull request, if any is.
    #[must_use]
    pub fn matches(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Branch(branch) => self.branches.as_ref().is_some_and(|s| s.matches(branch)),
            Subject::Tag(tag) => self.tags.as_ref().is_some_and(|s| s.matches(tag)),
            Subject::PullRequest(_) => self.pulls.is_some(),
        }
    }

    /// All patterns as written, branches first; those for tags after the word `tags`.
    pub fn patterns(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let branches = self.branches.iter().flat_map(BranchSelector::patterns).map(Cow::Borrowed);
        let tags = self.tags.iter().flat_map(TagSelector::patterns);
        branches.chain(tags.map(|pattern| Cow::Owned(format!("{TAGS}{pattern}"))))
    }

    /// What the references of all selected branches and tags begin with: one of these. Where there are none, HEAD.
    pub fn prefixes(&self) -> impl Iterator<Item = String> {
        let none = self.branches.is_none() && self.tags.is_none();
        let branches = self.branches.iter().flat_map(BranchSelector::prefixes);
        let tags = self.tags.iter().flat_map(TagSelector::prefixes);
        let branches = branches.map(|prefix| format!("refs/heads/{prefix}"));
        let tags = tags.map(|prefix| format!("refs/tags/{prefix}"));
        branches.chain(tags).chain(none.then(|| "HEAD".to_owned()))
    }

    /// The only subject that it can ever select, if there is only one.
    #[must_use]
    pub fn only(&self) -> Option<Subject> {
        let branches = self.branches.as_ref().filter(|it| it.is_exact())?;
        if self.tags.is_some() || self.pulls.is_some() {
            return None;
        }
        let mut exact = branches.exact();
        let only = exact.next()?;
        exact.next().is_none().then(|| only.clone().into())
    }

    /// The patterns that fit none of these subjects, though they are there to select some. Those for tags may wait for
    /// their first one.
    #[must_use]
    pub fn idle(&self, subjects: &[&Subject]) -> Vec<&str> {
        let branches = subjects.iter().filter(|subject| matches!(subject, Subject::Branch(_)));
        let branches: Vec<&str> = branches.map(|branch| branch.name()).collect();
        self.branches.iter().flat_map(|selector| selector.idle(&branches)).collect()
    }

    /// One selector for the branches and tags that any of the given ones selects, in a stable order. It may select more.
    #[must_use]
    pub fn union<'a>(selectors: impl IntoIterator<Item = &'a Self>) -> Self {
        let all: Vec<&Self> = selectors.into_iter().collect();
        let mut branches = all.iter().filter_map(|it| it.branches.as_ref()).peekable();
        Self {
            branches: branches.peek().is_some().then(|| BranchSelector::union(branches)),
            tags: TagSelector::union(all.iter().filter_map(|it| it.tags.as_ref())),
            pulls: None,
        }
    }
}

/// The patterns, with commas between them.
impl fmt::Display for SubjectSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pulls = self.pulls.iter().map(|pulls| Cow::Owned(pulls.to_string()));
        f.write_str(&self.patterns().chain(pulls).collect::<Vec<_>>().join(", "))
    }
}

impl From<BranchSelector> for SubjectSelector {
    fn from(branches: BranchSelector) -> Self {
        Self { branches: Some(branches), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Subject {
        Subject::named(text).unwrap()
    }

    fn selector(branches: &[&str], tags: &[&str]) -> SubjectSelector {
        let some = |list: &[&str]| !list.is_empty();
        SubjectSelector {
            branches: some(branches)
                .then(|| BranchSelector::new(branches.iter().copied()).unwrap()),
            tags: some(tags).then(|| TagSelector::names(tags.iter().copied()).unwrap()),
            pulls: None,
        }
    }

    #[test]
    fn a_branch_and_a_tag_of_one_name_are_two_subjects() {
        let [branch, tag] = ["v1", "refs/tags/v1"].map(named);
        for (selector, on_branch, on_tag) in [
            (selector(&["v1"], &[]), true, false),
            (selector(&[], &["v*"]), false, true),
            (selector(&["*"], &["*"]), true, true),
            (SubjectSelector::named([&branch]), true, false),
            (SubjectSelector::named([&tag]), false, true),
            (SubjectSelector::default(), false, false),
        ] {
            assert_eq!((selector.matches(&branch), selector.matches(&tag)), (on_branch, on_tag));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let range = TagSelector::versions(">=1.2, <2").unwrap();
        for selector in [
            selector(&["main", "!old/*", "*"], &["v*", "!v0.*"]),
            selector(&["main"], &[]),
            selector(&[], &["v1"]),
            SubjectSelector { tags: Some(range), ..selector(&["main"], &[]) },
        ] {
            let patterns: Vec<_> = selector.patterns().map(Cow::into_owned).collect();
            let read = SubjectSelector::read(patterns.iter().map(String::as_str)).unwrap();
            assert_eq!(read, selector);
        }
    }

    #[test]
    fn only_one_exact_branch_is_the_only_subject() {
        assert_eq!(selector(&["main"], &[]).only(), Some(named("main")));
        for many in [selector(&["main", "dev"], &[]), selector(&["m*"], &[])] {
            assert_eq!(many.only(), None);
        }
        assert_eq!(selector(&["main"], &["v*"]).only(), None);
        assert_eq!(selector(&[], &["v1"]).only(), None);
    }

    #[test]
    fn a_union_selects_what_any_part_selects() {
        let parts = [selector(&["main"], &["v*"]), selector(&["dev"], &[]), selector(&[], &["x"])];
        let union = SubjectSelector::union(&parts);
        for text in ["main", "dev", "refs/tags/v1", "refs/tags/x"] {
            assert!(union.matches(&named(text)), "{text}");
        }
        for text in ["v1", "refs/tags/main"] {
            assert!(!union.matches(&named(text)), "{text}");
        }
        assert_eq!(
            union.prefixes().collect::<Vec<_>>(),
            ["refs/heads/dev", "refs/heads/main", "refs/tags/v", "refs/tags/x"]
        );
    }

    #[test]
    fn a_pattern_for_branches_is_idle_if_no_branch_fits() {
        let it = selector(&["main", "v*"], &["x*"]);
        let (main, tag) = (named("main"), named("refs/tags/v1"));
        assert_eq!(it.idle(&[&main, &tag]), ["v*"]);
    }
}
