//! A batch of queries as one question per repository. Pure.

use std::collections::BTreeMap;

use sentry_core::forge::{ForgeError, HeadsQuery, Validator};
use sentry_core::repo::{BranchName, RepoUrl};
use sentry_core::retry::Retry;
use sentry_core::watch::BranchSelector;

use crate::hosted::known::{Head, Known};
use crate::status::StatusError;

/// All that a batch wants to know of one repository.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) repo: &'a RepoUrl,
    selectors: Vec<&'a BranchSelector>,
    /// The validator of each query.
    pub(crate) validators: Vec<Option<&'a Validator>>,
    /// What is known of branches from before, for conditional requests.
    pub(crate) known: BTreeMap<BranchName, Head>,
}

impl Question<'_> {
    /// The exact branches, each once.
    pub(crate) fn exact(&self) -> impl Iterator<Item = &BranchName> {
        let names = self.selectors.iter().flat_map(|selector| selector.exact());
        names.collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    pub(crate) fn has_globs(&self) -> bool {
        self.selectors.iter().any(|selector| !selector.is_exact())
    }

    /// Prefixes that cover all wanted branches, each once.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
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
        question.selectors.push(&query.branches);
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
    use super::*;

    fn query(repo: &str, branches: &[&str]) -> HeadsQuery {
        HeadsQuery {
            repo: format!("https://hub.example.com/o/{repo}").parse().unwrap(),
            branches: BranchSelector::new(branches.iter().copied()).unwrap(),
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
        assert_eq!(questions[0].prefixes().collect::<Vec<_>>(), ["main", "rel/", "x"]);
        assert!(questions[0].has_globs() && !questions[1].has_globs());
    }
}
