//! A GitHub App's installation tokens: <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>

use std::time::Duration;

use http::{StatusCode, header};
use octocrab::auth::{AppAuth, EncodingKey};
use octocrab::models::AppId;
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::secret::Secret;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::credential::bearer;
use crate::hosted::api::json;
use crate::http::Http;
use crate::status::check_status;

/// How long a token is used: ten minutes less than the hour that GitHub grants, so that none ends during a fetch.
const USED_FOR: Duration = Duration::from_secs(50 * 60);
const CAP: usize = 64 * 1024;

/// One installation of an App, and the one thing that its tokens are made for.
#[derive(Debug)]
pub(super) struct App {
    forge: String,
    app_id: u64,
    installation_id: u64,
    grant: Grant,
    token: Mutex<Option<Token>>,
}

/// What a token is made for: no token of ours may do more than its one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    /// GitHub's name of the permission.
    pub(super) permission: &'static str,
    /// `read` or `write`.
    pub(super) access: &'static str,
    /// The permission in an installation's settings.
    pub(super) shown: &'static str,
}

#[derive(Debug)]
struct Token {
    secret: Secret,
    /// The key it was made with.
    key: Secret,
    until: Instant,
}

#[derive(Deserialize)]
struct Created {
    token: String,
}

impl App {
    pub(super) fn new(forge: &str, app_id: u64, installation_id: u64, grant: Grant) -> Self {
        Self { forge: forge.to_owned(), app_id, installation_id, grant, token: Mutex::default() }
    }

    /// The App's number.
    pub(super) fn id(&self) -> u64 {
        self.app_id
    }

    /// A token that is good for ten minutes at least; made once for all who wait for it.
    pub(super) async fn token(
        &self,
        base: &Url,
        http: &Http,
        key: &Secret,
    ) -> Result<Secret, ForgeError> {
        let mut kept = self.token.lock().await;
        let good = |t: &&Token| t.until > Instant::now() && t.key.expose() == key.expose();
        if let Some(token) = kept.as_ref().filter(good) {
            return Ok(token.secret.clone());
        }
        let begin = Instant::now();
        let secret = self.create(base, http, key, None).await?;
        let token = Token { secret: secret.clone(), key: key.clone(), until: begin + USED_FOR };
        *kept = Some(token);
        Ok(secret)
    }

    /// A token for one repository of the installation, by its name, that is good for the whole hour that GitHub grants:
    /// to be handed on, so it is rebuilt each time.
    pub(super) async fn token_for(
        &self,
        base: &Url,
        http: &Http,
        key: &Secret,
        repo: &str,
    ) -> Result<Secret, ForgeError> {
        self.create(base, http, key, Some(repo)).await
    }

    /// Drops the token that was refused; one that was made since then stays.
    pub(super) async fn drop_token(&self, refused: &Secret) {
        let mut kept = self.token.lock().await;
        kept.take_if(|token| token.secret.expose() == refused.expose());
    }

    async fn create(
        &self,
        base: &Url,
        http: &Http,
        key: &Secret,
        repo: Option<&str>,
    ) -> Result<Secret, ForgeError> {
        let what = format!("{}: the token of installation {}", self.forge, self.installation_id);
        // A content type is quoted, and a server may echo anything.
        let wrong = |why: &str| {
            let text = http.redact(&format!("{what}: {why}"));
            ForgeError::new(ForgeErrorKind::WrongAnswer, text)
        };
        let jwt = self.jwt(key)?;
        http.settings().redactor.learn(&jwt);
        // GitHub adds reading metadata automatically.
        let Grant { permission, access, shown } = self.grant;
        let mut scope = serde_json::json!({ "permissions": { permission: access } });
        if let Some(repo) = repo {
            scope["repositories"] = serde_json::json!([repo]);
        }
        let request = http
            .client()
            .post(format!("{base}app/installations/{}/access_tokens", self.installation_id))
            .header(header::ACCEPT, "application/vnd.github+json")
            .header(header::AUTHORIZATION, bearer(&jwt)?)
            .json(&scope)
            .build()
            .map_err(|e| wrong("the request can't be built").with_source(e.without_url()))?;
        let answer = http.send(request, CAP).await.map_err(|error| match error.kind() {
            ForgeErrorKind::TooLarge => wrong("is far larger than a token"),
            _ => error,
        })?;
        if answer.status == StatusCode::NOT_FOUND
            || answer.status == StatusCode::UNPROCESSABLE_ENTITY
        {
            let whose = repo.map(|repo| format!(", or not for {repo}")).unwrap_or_default();
            let text = format!(
                "{what} can't be created: no such installation, or without {shown}: {access}{whose}"
            );
            return Err(ForgeError::new(ForgeErrorKind::Unauthorized, text).with_hint(format!(
                "check app_id and installation_id, and that the installation grants {shown}: {access}"
            )));
        }
        check_status(&answer, &what)?;
        if answer.status != StatusCode::CREATED {
            return Err(wrong("got an unexpected status"));
        }
        let created: Created = json(&answer).map_err(|why| wrong(&why))?;
        let secret = Secret::new(created.token);
        http.settings().redactor.learn(&secret);
        Ok(secret)
    }

    fn jwt(&self, key: &Secret) -> Result<Secret, ForgeError> {
        // The cause is left out: it could quote the key.
        let unusable = || {
            let text = format!("{}: the App's private key is unusable", self.forge);
            ForgeError::new(ForgeErrorKind::Local, text)
                .with_hint("use the RSA private key in PEM as GitHub provides it")
        };
        let key = EncodingKey::from_rsa_pem(key.expose().as_bytes()).map_err(|_| unusable())?;
        let app = AppAuth { app_id: AppId(self.app_id), key };
        app.generate_bearer_token().map(Secret::new).map_err(|_| unusable())
    }
}
