//! One request: through the limit, with a token, and what its status means before anybody reads the answer.

use http::{HeaderValue, Method, StatusCode, header};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Secret;

use crate::hosted::api::{RepoRef, Resource};
use crate::hosted::{Ask, CAP, Hosted};
use crate::http::Answer;
use crate::rate_limit::Right;
use crate::status::{StatusError, check_status};

impl Hosted {
    /// Sends one request with the token that it needs, once the limit lets it through.
    pub(super) async fn with_token<T, F: Future<Output = Result<T, ForgeError>>>(
        &self,
        repo: &RepoUrl,
        right: Right,
        send: impl Fn(Option<Secret>) -> F,
    ) -> Result<T, ForgeError> {
        let secret = self.secret(right).await?;
        let pass = self.gate(right).enter(secret.as_ref(), repo, right).await?;
        pass.conclude(match &secret {
            Some(secret) => self.with_token_of(secret, right, send).await,
            None => send(None).await,
        })
    }

    /// A token that was made from a key is made again if the forge refuses it, once: it was revoked, or is too young
    /// for the server that was asked. The limit hears of the second refusal only.
    async fn with_token_of<T, F: Future<Output = Result<T, ForgeError>>>(
        &self,
        secret: &Secret,
        right: Right,
        send: impl Fn(Option<Secret>) -> F,
    ) -> Result<T, ForgeError> {
        let token = self.api.token(&self.http, secret, right).await?;
        let outcome = send(Some(token.clone())).await;
        let Some(error) = outcome.as_ref().err() else { return outcome };
        // One that lacks a right is dropped too: what an installation is granted later, only a later token has.
        let refused = error.kind() == ForgeErrorKind::Unauthorized;
        if !refused || !self.api.drop_token(right, &token).await {
            return outcome;
        }
        if StatusError::of(error) != Some(StatusCode::UNAUTHORIZED) {
            return outcome;
        }
        let token = self.api.token(&self.http, secret, right).await?;
        send(Some(token)).await
    }

    pub(super) async fn exchange(
        &self,
        repo: &RepoUrl,
        place: &RepoRef,
        ask: Ask<'_>,
        token: Option<&Secret>,
    ) -> Result<Answer, ForgeError> {
        let request = self.request(repo, place, ask, token)?;
        let answer = self.http.send(request, CAP).await.map_err(|error| match error.kind() {
            ForgeErrorKind::TooLarge => {
                self.wrong(repo, "the answer is far larger than it should be")
            }
            _ => error,
        })?;
        self.gate(ask.right).learn(&answer.headers);
        match answer.status {
            status if status.is_redirection() => {}
            _ if matches!(ask.wanted, Resource::Report(_)) => {
                self.may_report(repo, ask.right, &answer)?;
            }
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {}
            _ => check_status(&answer, &self.what(repo))?,
        }
        Ok(answer)
    }

    fn request(
        &self,
        repo: &RepoUrl,
        place: &RepoRef,
        ask: Ask<'_>,
        token: Option<&Secret>,
    ) -> Result<reqwest::Request, ForgeError> {
        let path = self.api.path(place, ask.wanted).map_err(|why| self.wrong(repo, &why))?;
        let url = format!("{}{path}", self.api.base());
        let (method, body) = match ask.wanted {
            Resource::Report(call) => (call.method.clone(), call.body.as_ref()),
            _ => (Method::GET, None),
        };
        let accept = self.api.accept(ask.wanted);
        let mut request = self.http.client().request(method, url).header(header::ACCEPT, accept);
        if let Some(token) = token {
            let (name, value) = self.api.authorization(token, ask.right)?;
            request = request.header(name, value);
        }
        if let Some(etag) = ask.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.build().map_err(|e| {
            self.wrong(repo, "needs a request that can't be built").with_source(e.without_url())
        })
    }

    pub(super) async fn secret(&self, right: Right) -> Result<Option<Secret>, ForgeError> {
        self.api.credential(right).token(&self.http.settings().redactor).await
    }

    pub(super) fn git_authorization(
        &self,
        token: Option<&Secret>,
    ) -> Result<Option<HeaderValue>, ForgeError> {
        token.map(|token| self.api.git_authorization(token)).transpose()
    }
}
