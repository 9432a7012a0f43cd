//! What has a head in a repository. Within a watch, cursors, deliveries, statuses, runs and records are counted by it.

use std::borrow::Cow;
use std::fmt;

use crate::names::WatchName;
use crate::pull::PullNumber;
use crate::repo::{BranchName, ParseError, TagName};

/// Something whose head can move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A branch.
    Branch(BranchName),
    /// A tag. Its head is the commit that it stands for, through any number of tag objects.
    Tag(TagName),
    /// A pull request; of GitLab a merge request.
    PullRequest(PullNumber),
}

/// A watch and a subject of its A: what deliveries are counted by.
pub type SubjectKey = (WatchName, Subject);

impl Subject {
    /// The word for its kind in JSON, and in sentences.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Branch(_) => "branch",
            Self::Tag(_) => "tag",
            Self::PullRequest(_) => "pull request",
        }
    }

    /// What it is called among its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Branch(branch) => branch.as_str(),
            Self::Tag(tag) => tag.as_str(),
            Self::PullRequest(number) => number.as_str(),
        }
    }

    /// What it is called among all subjects, as people type it and links hold it: a branch's name, another subject's
    /// whole reference. A branch whose own name looks like a reference has its whole reference as well.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Branch(branch) if !branch.as_str().starts_with("refs/") => branch.as_str().into(),
            Self::Branch(_) | Self::Tag(_) | Self::PullRequest(_) => self.reference().into(),
        }
    }

    /// The subject that a person's text names, as [`text`](Self::text) spells it.
    ///
    /// # Errors
    /// If it names none.
    pub fn named(text: &str) -> Result<Self, ParseError> {
        if text.starts_with("refs/") { Self::at(text) } else { Ok(Self::Branch(text.parse()?)) }
    }

    /// What it is called in a sentence or a list beside others: a branch by its name, another one with its kind. No
    /// branch's name holds a space.
    #[must_use]
    pub fn label(&self) -> Cow<'_, str> {
        match self {
            Self::Branch(branch) => branch.as_str().into(),
            Self::Tag(tag) => format!("tag {tag}").into(),
            Self::PullRequest(number) => format!("pull request {number}").into(),
        }
    }

    /// Its part of a run's key, which distinguishes runs for ever. Of a branch it is the name alone; of a pull request what
    /// it is to be merged into comes beside it.
    #[must_use]
    pub fn key(&self) -> Cow<'_, str> {
        self.label()
    }

    /// The reference that its head is kept at, in full: `refs/heads/main`. No two subjects share one. That of a pull request
    /// is a name for it: where forges keep such heads differs.
    #[must_use]
    pub fn reference(&self) -> String {
        match self {
            Self::Branch(branch) => branch.full_ref(),
            Self::Tag(tag) => tag.full_ref().to_owned(),
            Self::PullRequest(number) => format!("refs/pull/{number}"),
        }
    }

    /// The subject whose head is kept at a reference.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(reference: &str) -> Result<Self, ParseError> {
        if let Some(branch) = reference.strip_prefix("refs/heads/") {
            return Ok(Self::Branch(branch.parse()?));
        }
        if let Some(tag) = reference.strip_prefix("refs/tags/") {
            return Ok(Self::Tag(tag.parse()?));
        }
        if let Some(number) = reference.strip_prefix("refs/pull/") {
            return Ok(Self::PullRequest(number.parse()?));
        }
        let problem = "is not the full name of a branch, tag or pull request";
        Err(ParseError::new("subject", reference, problem))
    }

    /// The event that a move of its head is (`on-event`), where nobody names another one.
    #[must_use]
    pub fn event(&self) -> EventName {
        match self {
            Self::Branch(_) | Self::Tag(_) => EventName("push".to_owned()),
            Self::PullRequest(_) => EventName("pull_request".to_owned()),
        }
    }

    /// The tag, if it is one.
    #[must_use]
    pub fn tag(&self) -> Option<&TagName> {
        match self {
            Self::Branch(_) | Self::PullRequest(_) => None,
            Self::Tag(tag) => Some(tag),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<BranchName> for Subject {
    fn from(branch: BranchName) -> Self {
        Self::Branch(branch)
    }
}

impl From<PullNumber> for Subject {
    fn from(number: PullNumber) -> Self {
        Self::PullRequest(number)
    }
}

impl From<TagName> for Subject {
    fn from(tag: TagName) -> Self {
        Self::Tag(tag)
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
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> Vec<Subject> {
        let branches = ["main", "release/1.4", "refs/heads/main", "refs/tags/v1", "ünï", "v1"];
        let tags = ["v1", "release/1.4", "refs/tags/v1", "main", "1.0.0-rc.1"];
        let branches = branches.map(|name| Subject::Branch(name.parse().unwrap()));
        let tags = tags.map(|name| Subject::Tag(name.parse().unwrap()));
        let pulls = [1, 12].map(|number| Subject::PullRequest(u64::into(number)));
        branches.into_iter().chain(tags).chain(pulls).collect()
    }

    #[test]
    fn a_subject_is_found_again_by_its_reference_and_by_its_text_and_nothing_else_is_one() {
        for subject in all() {
            assert_eq!(Subject::at(&subject.reference()).unwrap(), subject);
            assert_eq!(Subject::named(&subject.text()).unwrap(), subject, "{subject}");
        }
        for bad in ["main", "refs/heads/", "refs/tags/", "refs/heads/a..b", "REFS/HEADS/main", ""] {
            assert!(Subject::at(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "a..b",
            "refs/notes/x",
            "refs/pull/0",
            "refs/pull/1/head",
            "refs/tags/",
            "refs/tags/a b",
            "-x",
        ] {
            assert!(Subject::named(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_two_subjects_share_a_text_a_reference_or_a_key() {
        let all = all();
        let spellings: [fn(&Subject) -> String; 4] = [
            |subject| subject.text().into_owned(),
            Subject::reference,
            |subject| subject.key().into_owned(),
            |subject| subject.label().into_owned(),
        ];
        for spelling in spellings {
            let spelt: BTreeSet<String> = all.iter().map(spelling).collect();
            assert_eq!(spelt.len(), all.len(), "{spelt:?}");
        }
    }
}
