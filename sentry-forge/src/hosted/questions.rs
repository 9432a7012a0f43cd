//! A batch of queries as one question per repository. Pure.

use std::collections::BTreeMap;

use sentry_core::forge::{ForgeError, HeadsQuery, Validator};
use sentry_core::repo::{BranchName, RepoUrl};
use sentry_core::retry::Retry;
use sentry_core::watch::{BranchSelector, SubjectSelector};

use crate::hosted::known::{Head, Known};
use crate::status::StatusError;

/// All that a batch wants to know of one repository.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) repo: &'a RepoUrl,
    selectors: Vec<&'a SubjectSelector>,
    /// The validator of each query.
    pub(crate) validators: Vec<Option<&'a Validator>>,
    /// What is known of branches from before, for conditional requests.
    pub(crate) known: BTreeMap<BranchName, Head>,
}

impl Question<'_> {
    /// The exact branches, each once.
    pub(crate) fn exact(&self) -> impl Iterator<Item = &BranchName> {
        let names = self.branches().flat_map(BranchSelector::exact);
        names.collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// True if it is about more than exact branches, which is all that the API is asked for.
    pub(crate) fn is_for_git(&self) -> bool {
        self.branches().any(|selector| !selector.is_exact())
            || self.selectors.iter().any(|selector| selector.tags.is_some())
    }

    fn branches(&self) -> impl Iterator<Item = &BranchSelector> {
        self.selectors.iter().filter_map(|selector| selector.branches.as_ref())
    }

    /// Prefixes that cover the references of all wanted subjects, each once.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = String> {
        let prefixes = self.selectors.iter().flat_map(|selector| selector.prefixes());
        prefixes.collect::<std::collections::BTreeSet<_>>().into_iter()
    }
}

/// One question per repository, in the order of first mention.
pub(crate) fn questions(queries: &[HeadsQuery]) -> Vec<Question<'_>> {
    let mut questions: Vec<Question<'_>> = Vec::new();
    let mut place = BTreeMap::new();
    for query in queries {
        let index = *place.entry(&query.repo).or_insert(questions.len());
        if index == questions.len() {
            let (selectors, validators, known) = (Vec::new(), Vec::new(), BTreeMap::new());
            questions.push(Question { repo: &query.repo, selectors, validators, known });
        }
        let question = &mut questions[index];
        question.selectors.push(&query.subjects);
        question.validators.push(query.validator.as_ref());
        let known = query.validator.as_ref().and_then(Known::read).unwrap_or_default();
        question.known.extend(known.heads);
    }
    questions
}

/// The same error once more, for another query about the same repository; without the cause's own cause.
pub(crate) fn again(error: &ForgeError) -> ForgeError {
    let mut copy = ForgeError::new(error.kind(), error.to_string());
    if let Some(status) = StatusError::of(error) {
        copy = copy.with_source(StatusError(status));
    }
    if let Some(hint) = error.hint() {
        copy = copy.with_hint(hint);
    }
    if let Retry::After(wait) = error.retry() {
        copy = copy.retry_after(wait);
    }
    copy
}

#[cfg(test)]
mod tests {
    use sentry_core::watch::TagSelector;

    use super::*;

    fn query(repo: &str, branches: &[&str]) -> HeadsQuery {
        HeadsQuery {
            repo: format!("https://hub.example.com/o/{repo}").parse().unwrap(),
            subjects: BranchSelector::new(branches.iter().copied()).unwrap().into(),
            validator: None,
        }
    }

    #[test]
    fn queries_for_one_repository_become_one_question() {
        let queries =
            [query("a", &["main", "x"]), query("b", &["main"]), query("a", &["main", "rel/*"])];
        let questions = questions(&queries);
        assert_eq!(questions.len(), 2);
        let exact: Vec<_> = questions[0].exact().map(BranchName::as_str).collect();
        assert_eq!(exact, ["main", "x"]);
        assert_eq!(
            questions[0].prefixes().collect::<Vec<_>>(),
            ["refs/heads/main", "refs/heads/rel/", "refs/heads/x"]
        );
        assert!(questions[0].is_for_git() && !questions[1].is_for_git());
        let tags = Some(TagSelector::names(["v1"]).unwrap());
        let subjects = SubjectSelector { tags, ..query("b", &["main"]).subjects };
        let with_tags = [HeadsQuery { subjects, ..query("b", &["main"]) }];
        assert!(super::questions(&with_tags)[0].is_for_git());
    }
}
