//! Statuses on commits: what is sent, and what the answers mean.

use async_trait::async_trait;
use http::StatusCode;
use sentry_core::forge::{
    Audience, CommitStatus, ForgeError, ForgeErrorKind, Reporter, StatusState,
};
use sentry_core::repo::RepoUrl;

use crate::hosted::api::{Call, Resource};
use crate::hosted::{Ask, Hosted};
use crate::http::Answer;
use crate::rate_limit::Right;
use crate::status::{StatusError, check_status};

#[async_trait]
impl Reporter for Hosted {
    /// Everywhere: where one place refuses it, the others have it all the same.
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        if let Some(shown) = self.api.show_check(self, repo, status).await {
            return shown;
        }
        let calls = self.api.status(status);
        if calls.is_empty() {
            let text = format!("{}: this kind of token can't set statuses", self.what(repo));
            return Err(ForgeError::new(ForgeErrorKind::Unsupported, text)
                .with_hint(self.api.remedy(Right::Statuses)));
        }
        let mut shown = Ok(());
        for call in calls {
            shown = shown.and(self.show(repo, call, status.state).await);
        }
        shown
    }

    async fn audience(&self, repo: &RepoUrl) -> Result<Audience, ForgeError> {
        self.belongs(repo)?;
        Ok(self.facts(repo).await?.audience)
    }
}

impl Hosted {
    async fn show(&self, repo: &RepoUrl, call: Call, state: StatusState) -> Result<(), ForgeError> {
        let answer = self.report(repo, Right::Statuses, call).await?;
        if answer.status.is_success() {
            return self.api.read_status(&answer).map_err(|why| self.wrong(repo, &why));
        }
        if self.api.is_set(&answer, state) {
            return Ok(());
        }
        Err(self.not_reported(repo, &answer))
    }

    /// Sends a call, following one rename. The answer may be a 4xx that is about the call: it becomes an error by
    /// [`Hosted::not_reported`].
    pub(crate) async fn report(
        &self,
        repo: &RepoUrl,
        right: Right,
        call: Call,
    ) -> Result<Answer, ForgeError> {
        self.belongs(repo)?;
        let wanted = Resource::Report(call);
        let ask = Ask { wanted: &wanted, right, etag: None };
        let answer = self.get(repo, ask).await?;
        if answer.status != StatusCode::METHOD_NOT_ALLOWED || self.moved(repo).is_some() {
            return Ok(answer);
        }
        // GitLab redirects no writes; reads report that the project was renamed.
        self.facts(repo).await?;
        if self.moved(repo).is_none() { Ok(answer) } else { self.get(repo, ask).await }
    }

    /// What the forge says about a repository, or about the token, to the credential that sets statuses.
    pub(crate) async fn ask_as_reporter(
        &self,
        repo: &RepoUrl,
        wanted: &Resource,
    ) -> Result<Answer, ForgeError> {
        self.belongs(repo)?;
        self.get(repo, Ask { right: Right::Statuses, ..Ask::reading(wanted) }).await
    }

    /// Whether a token with this right can be had, without using it.
    pub(crate) async fn try_token(&self, right: Right) -> Result<(), ForgeError> {
        match self.secret(right).await? {
            Some(secret) => self.api.token(&self.http, &secret, right).await.map(drop),
            None => Ok(()),
        }
    }

    /// The error that the answer to a call means.
    pub(crate) fn not_reported(&self, repo: &RepoUrl, answer: &Answer) -> ForgeError {
        let what = self.what(repo);
        let error = |kind, text: &str| {
            ForgeError::new(kind, format!("{what}: {text}")).with_source(StatusError(answer.status))
        };
        match answer.status {
            _ if self.api.lacks_commit(answer) => {
                error(ForgeErrorKind::NotFound, "the commit of the status does not exist (anymore)")
            }
            StatusCode::CONFLICT => error(
                ForgeErrorKind::Unreachable,
                "another update of the commit's statuses is in progress",
            ),
            // The same request would be refused again.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                error(ForgeErrorKind::Unsupported, "the forge rejects the status").with_hint(
                    "check report_context and report_link; GitHub keeps at most 1000 statuses per commit and context",
                )
            }
            _ => self.refused(repo, answer),
        }
    }

    /// An error if the answer to a call is about the token, a limit, or the server; not if it is about the call.
    pub(super) fn may_report(
        &self,
        repo: &RepoUrl,
        right: Right,
        answer: &Answer,
    ) -> Result<(), ForgeError> {
        let lacks_right = || {
            let said = answer.said.as_ref().map(|said| format!("; it says {said:?}"));
            let said = said.unwrap_or_default();
            let text = format!("{}: the token may not set statuses{said}", self.what(repo));
            ForgeError::new(ForgeErrorKind::Unauthorized, text)
                .with_source(StatusError(answer.status))
                .with_hint(self.api.remedy(right))
        };
        match answer.status {
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY => Ok(()),
            StatusCode::NOT_FOUND if self.api.lacks_commit(answer) => Ok(()),
            // What the token may not write is not reported.
            StatusCode::NOT_FOUND => Err(lacks_right()),
            StatusCode::FORBIDDEN => Err(match check_status(answer, &self.what(repo)) {
                Err(error) if error.kind() == ForgeErrorKind::RateLimited => error,
                _ => lacks_right(),
            }),
            _ => check_status(answer, &self.what(repo)),
        }
    }
}
