//! What commits contain: trees by git, a commit's metadata by the API.

use async_trait::async_trait;
use http::StatusCode;
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, ForgeError, Source, Tree, TreeQuery,
};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;

use crate::git::failure::no_commit;
use crate::hosted::api::{Absence, Resource};
use crate::hosted::{Ask, Hosted};
use crate::rate_limit::Right;

#[async_trait]
impl Source for Hosted {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.belongs(&query.repo)?;
        match self.tree_once(query).await {
            Err(error) if self.has_moved(&query.repo, &error).await => self.tree_once(query).await,
            tree => tree,
        }
    }

    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        self.belongs(repo)?;
        let sha = &revision.sha;
        let answer = self.get(repo, Ask::reading(&Resource::Commit(sha.clone()))).await?;
        if answer.status != StatusCode::OK {
            let is_gone = match self.api.absence(&answer) {
                Absence::Certain => true,
                Absence::Unclear => self.facts(repo).await.is_ok(),
                Absence::NoAnswer => false,
            };
            let gone = || no_commit(&self.what(repo), sha.as_str(), "according to the forge");
            return Err(if is_gone { gone() } else { self.refused(repo, &answer) });
        }
        let (found, info) = self.api.read_commit(&answer).map_err(|why| self.wrong(repo, &why))?;
        if found != *sha {
            return Err(self.wrong(repo, "describes a different commit than requested"));
        }
        Ok(info)
    }

    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.changed(query).await
    }

    /// `None` without a token.
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.belongs(repo)?;
        let Some(secret) = self.secret(Right::Read).await? else { return Ok(None) };
        let pass = self.limit.enter(Some(&secret), repo, Right::Read).await?;
        let path = self.git_place(repo).path();
        let token = pass.conclude(self.api.clone_token(&self.http, &secret, &path).await)?;
        let (username, is_read_only) =
            (self.api.git_user().to_owned(), self.api.makes_clone_tokens());
        Ok(Some(CloneCredential { username, token, is_read_only }))
    }
}

impl Hosted {
    async fn tree_once(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let now = &TreeQuery { repo: self.git_place(&query.repo), ..query.clone() };
        self.with_token(&query.repo, Right::Read, |token| async move {
            let header = self.git_authorization(token.as_ref())?;
            self.git.tree(now, header.as_ref()).await
        })
        .await
    }
}
