//! Heads: by the API for a few exact branches, by git for more and for tags.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use http::{StatusCode, header};
use sentry_core::forge::{
    Budget, ForgeError, Heads, HeadsAnswer, HeadsQuery, PullsAnswer, PullsQuery, Requests,
};
use sentry_core::repo::{BranchName, RepoUrl};

use crate::git::ls_refs::{Digest, IsKnown, Listed, ls_refs};
use crate::hosted::api::{Absence, Resource};
use crate::hosted::known::{Head, Known};
use crate::hosted::questions::{Question, again, questions};
use crate::hosted::{Ask, Hosted, Polling};
use crate::rate_limit::Right;

/// Requests of one batch that are under way at a time.
const IN_FLIGHT: usize = 8;
/// More exact branches than this are cheaper by one `ls-refs` than by the API.
const FEW: usize = 5;

#[async_trait]
impl Heads for Hosted {
    /// Each repository is asked once, whatever the number of queries for it.
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        let questions = questions(queries);
        let ask = |nth: usize| self.found(&questions[nth]);
        let asked = stream::iter(0..questions.len()).map(ask).buffered(IN_FLIGHT);
        let found: Vec<_> = asked.collect().await;
        let by_repo: HashMap<&RepoUrl, _> =
            questions.iter().map(|question| question.repo).zip(found).collect();
        let answer = |query: &HeadsQuery| match by_repo.get(&query.repo) {
            Some(Ok(found)) => Ok(found.answer(query, self.renamed_to(&query.repo))),
            Some(Err(error)) => Err(again(error)),
            None => Err(self.wrong(&query.repo, "was not asked")),
        };
        queries.iter().map(answer).collect()
    }

    async fn pulls(&self, queries: &[PullsQuery]) -> Vec<Result<PullsAnswer, ForgeError>> {
        let ask = |nth: usize| self.pulls_of(&queries[nth]);
        stream::iter(0..queries.len()).map(ask).buffered(IN_FLIGHT).collect().await
    }

    fn budget(&self) -> Option<Budget> {
        self.limit.budget()
    }

    fn requests(&self) -> Requests {
        self.http.requests()
    }
}

/// What the forge said of a repository.
enum Found {
    ByApi(BTreeMap<BranchName, Head>),
    ByGit(Listed),
}

impl Found {
    fn answer(&self, query: &HeadsQuery, renamed_to: Option<RepoUrl>) -> HeadsAnswer {
        let all = match self {
            Self::ByGit(listed) => return listed.answer(query, renamed_to),
            Self::ByApi(heads) => heads.iter(),
        };
        let branches = query.subjects.branches.as_ref();
        let mine = all.filter(|(branch, _)| branches.is_some_and(|it| it.matches(branch)));
        let heads = mine.map(|(branch, head)| (branch.clone(), head.clone())).collect();
        let before = query.validator.as_ref().and_then(Known::read);
        Known { heads, renamed_to }.answer(before.as_ref())
    }
}

impl Hosted {
    /// Where the repository is now, if it was renamed.
    fn renamed_to(&self, repo: &RepoUrl) -> Option<RepoUrl> {
        self.moved(repo).map(|moved| moved.url)
    }

    async fn found(&self, question: &Question<'_>) -> Result<Found, ForgeError> {
        self.belongs(question.repo)?;
        let by_git = match self.polling {
            Polling::Git => true,
            Polling::Api => question.is_for_git(),
            Polling::Auto => {
                question.is_for_git()
                    || question.exact().count() > FEW
                    || !self.api.reads_branches()
            }
        };
        if by_git {
            self.heads_by_git(question).await.map(Found::ByGit)
        } else {
            self.heads_by_api(question).await.map(Found::ByApi)
        }
    }

    async fn heads_by_api(
        &self,
        question: &Question<'_>,
    ) -> Result<BTreeMap<BranchName, Head>, ForgeError> {
        let mut heads = BTreeMap::new();
        let mut repo_is_there = false;
        for branch in question.exact() {
            let before = question.known.get(branch);
            match self.head(question.repo, branch, before).await? {
                Ok(head) => drop(heads.insert(branch.clone(), head)),
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
        let wanted = Resource::Head(branch.clone());
        let answer = self.get(repo, Ask { etag, ..Ask::reading(&wanted) }).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return match before.filter(|_| etag.is_some()) {
                Some(head) => Ok(Ok(head.clone())),
                None => {
                    Err(self.wrong(repo, "says \"not modified\" to a request without a validator"))
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

    async fn heads_by_git(&self, question: &Question<'_>) -> Result<Listed, ForgeError> {
        let prefixes: Vec<String> = question.prefixes().collect();
        let is_known = |digest: &Digest| {
            let validator = digest.validator(self.renamed_to(question.repo).as_ref());
            question.validators.iter().all(|known| *known == Some(&validator))
        };
        match self.ls_refs(question.repo, &prefixes, &is_known).await {
            Err(error) if self.has_moved(question.repo, &error).await => {
                self.ls_refs(question.repo, &prefixes, &is_known).await
            }
            listed => listed,
        }
    }

    pub(crate) async fn ls_refs(
        &self,
        repo: &RepoUrl,
        prefixes: &[String],
        is_known: IsKnown<'_>,
    ) -> Result<Listed, ForgeError> {
        let now = &self.git_place(repo);
        self.with_token(repo, Right::Read, |token| async move {
            let header = self.git_authorization(token.as_ref())?;
            ls_refs(&self.http, now, prefixes, header.as_ref(), is_known).await
        })
        .await
    }
}
