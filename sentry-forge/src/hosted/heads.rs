//! Heads: by the API for a few exact branches, by git for more.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, stream};
use http::{StatusCode, header};
use sentry_core::forge::{Budget, ForgeError, Heads, HeadsAnswer, HeadsQuery, Requests};
use sentry_core::repo::{BranchName, RepoUrl};

use crate::gate::Right;
use crate::git::ls_refs::{RefList, ls_refs};
use crate::hosted::api::{Absence, Wanted};
use crate::hosted::known::{Head, Known};
use crate::hosted::questions::{Question, again, questions};
use crate::hosted::{Ask, Hosted, Polling};

/// Requests of one batch that are under way at a time.
const IN_FLIGHT: usize = 8;
/// More exact branches than this are cheaper by one `ls-refs` than by the API.
const FEW: usize = 5;

#[async_trait]
impl Heads for Hosted {
    /// Each repository is asked once, whatever the number of queries for it.
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let questions = questions(queries);
        let asked: Vec<_> = questions.iter().map(|question| self.found(question).boxed()).collect();
        let found: Vec<_> = stream::iter(asked).buffered(IN_FLIGHT).collect().await;
        let by_repo: HashMap<&RepoUrl, _> =
            questions.iter().map(|question| question.repo).zip(found).collect();
        let answer = |query: &HeadsQuery| match by_repo.get(&query.repo) {
            Some(Ok(found)) => {
                let before = query.validator.as_ref().and_then(Known::read);
                let mut mine = found.clone();
                mine.heads.retain(|branch, _| query.branches.matches(branch));
                Ok(mine.answer(before.as_ref()))
            }
            Some(Err(error)) => Err(again(error)),
            None => Err(self.wrong(&query.repo, "was not asked")),
        };
        queries.iter().map(answer).collect()
    }

    fn budget(&self) -> Option<Budget> {
        self.gate.budget()
    }

    fn requests(&self) -> Requests {
        self.http.requests()
    }
}

impl Hosted {
    async fn found(&self, question: &Question<'_>) -> Result<Known, ForgeError> {
        self.belongs(question.repo)?;
        let by_git = match self.polling {
            Polling::Git => true,
            Polling::Api => question.has_globs(),
            Polling::Auto => {
                question.has_globs() || question.exact().count() > FEW || !self.api.reads_branches()
            }
        };
        let heads = if by_git {
            self.heads_by_git(question).await?
        } else {
            self.heads_by_api(question).await?
        };
        let heads = heads.into_iter().collect();
        Ok(Known { heads, renamed_to: self.moved(question.repo).map(|moved| moved.url) })
    }

    async fn heads_by_api(
        &self,
        question: &Question<'_>,
    ) -> Result<Vec<(BranchName, Head)>, ForgeError> {
        let mut heads = Vec::new();
        let mut repo_is_there = false;
        for branch in question.exact() {
            let before = question.known.get(branch);
            match self.head(question.repo, branch, before).await? {
                Ok(head) => heads.push((branch.clone(), head)),
                Err(Absence::Unclear) if !repo_is_there => {
                    self.facts(question.repo).await?;
                    repo_is_there = true;
                }
                Err(_) => {}
            }
        }
        Ok(heads)
    }

    /// The head of one branch, or why it has none.
    pub(super) async fn head(
        &self,
        repo: &RepoUrl,
        branch: &BranchName,
        before: Option<&Head>,
    ) -> Result<Result<Head, Absence>, ForgeError> {
        let etag = before.and_then(|head| head.etag.as_deref());
        let wanted = Wanted::Head(branch.clone());
        let answer = self.get(repo, Ask { etag, ..Ask::reading(&wanted) }).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return match before.filter(|_| etag.is_some()) {
                Some(head) => Ok(Ok(head.clone())),
                None => {
                    Err(self.wrong(repo, "says \"not modified\" without having been asked that"))
                }
            };
        }
        if answer.status == StatusCode::OK {
            let sha = self.api.read_head(&answer, branch).map_err(|why| self.wrong(repo, &why))?;
            let etag = answer.headers.get(header::ETAG).and_then(|v| v.to_str().ok());
            return Ok(Ok(Head { sha, etag: etag.map(ToOwned::to_owned) }));
        }
        match self.api.absence(&answer) {
            Absence::NoAnswer => Err(self.refused(repo, &answer)),
            absence => Ok(Err(absence)),
        }
    }

    async fn heads_by_git(
        &self,
        question: &Question<'_>,
    ) -> Result<Vec<(BranchName, Head)>, ForgeError> {
        let prefixes: Vec<String> = question.prefixes().map(ToOwned::to_owned).collect();
        let listed = match self.ls_refs(question.repo, &prefixes).await {
            Err(error) if self.has_moved(question.repo, &error).await => {
                self.ls_refs(question.repo, &prefixes).await
            }
            listed => listed,
        }?;
        let head = |(branch, sha)| (branch, Head { sha, etag: None });
        Ok(listed.refs.into_iter().filter(|(b, _)| question.wants(b)).map(head).collect())
    }

    pub(crate) async fn ls_refs(
        &self,
        repo: &RepoUrl,
        prefixes: &[String],
    ) -> Result<RefList, ForgeError> {
        let now = &self.git_place(repo);
        self.with_token(repo, Right::Read, |token| async move {
            let header = self.git_authorization(token.as_ref())?;
            ls_refs(&self.http, now, prefixes, header.as_ref()).await
        })
        .await
    }
}
