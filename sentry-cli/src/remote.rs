//! Answers from a server: a client of the HTTP API of another Sentry.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use sentry_api::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{
    Acknowledgement, ApproveRequest, Audit, Documents, History, RerunRequest, Show, Status,
    SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};
use sentry_api::{Answers, ApiError, Asker, ErrorBody, ErrorKind, VERSION};
use sentry_core::error::Error;
use sentry_core::secret::{Form, Redactor, Secret};
use sentry_net::{Client, Failure, Proxies, SetupError, Times};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

/// `explain` asks a forge and a cluster.
const TIMES: Times = Times {
    connect: Some(Duration::from_secs(10)),
    silence: None,
    total: Duration::from_secs(120),
};
/// The largest answer, in bytes.
const CAP: usize = 64 << 20;

/// Where a server is, and how it knows us.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Its address; everything asked is below `/api/v1` of it.
    pub(crate) server: Url,
    /// The file that holds the token, read for every request: a token that is renewed there needs no restart.
    pub(crate) token_file: Option<PathBuf>,
    /// A PEM file with certificate authorities that are trusted besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Asks a server.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    settings: Settings,
    redactor: Redactor,
}

impl Remote {
    /// A client; nobody is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] if the address can't be a server's, [`ErrorKind::Setup`] if the CA file is unusable
    /// or the system has no root certificates.
    pub(crate) fn new(settings: Settings, redactor: Redactor) -> Result<Self, ApiError> {
        let Settings { server, ca_file, .. } = &settings;
        let plain = server.username().is_empty() && server.password().is_none();
        if !matches!(server.scheme(), "https" | "http") || !server.has_host() || !plain {
            return Err(ApiError::bad_request("--server is not a server address").with_hint(
                "use an address such as https://sentry.example.com; the token goes \
                            into --token-file",
            ));
        }
        let client = Client::new(ca_file.as_deref(), Proxies::from_env(), TIMES);
        let client = client.map_err(|error| {
            let (what, hint) = match &error {
                SetupError::Authorities(_) => ("--ca-file can't be used", error.hint()),
                _ => (error.what(), error.hint()),
            };
            Error::new(ErrorKind::Setup, what).with_optional_hint(hint).with_source(error)
        })?;
        Ok(Self { client, settings, redactor })
    }

    /// True if a token would travel unencrypted to another machine.
    pub(crate) fn is_exposed(&self) -> bool {
        let Settings { server, token_file, .. } = &self.settings;
        let here = match server.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        server.scheme() == "http" && !here && token_file.is_some()
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, ApiError> {
        let mut url = self.settings.server.clone();
        url.set_query(None);
        url.set_fragment(None);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let request = self.client.requests().request(method, url);
        Ok(match self.token()? {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
    }

    fn token(&self) -> Result<Option<Secret>, ApiError> {
        let Some(path) = &self.settings.token_file else { return Ok(None) };
        let token = Secret::in_file(path, Form::Word)
            .map_err(|error| error.of("token file", path).of_kind(ErrorKind::Setup))?;
        self.redactor.learn(&token);
        Ok(Some(token))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &(impl Serialize + Sync),
    ) -> Result<T, ApiError> {
        self.ask(self.request(Method::GET, path)?.query(query)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
        idempotency_key: Option<&str>,
    ) -> Result<T, ApiError> {
        let request = self.request(Method::POST, path)?.json(body);
        self.ask(match idempotency_key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
        .await
    }

    /// The stream of what happens there.
    pub(crate) async fn events(&self) -> Result<Response, ApiError> {
        let request = self.request(Method::GET, &["events"])?;
        let response = request.send().await.map_err(|error| self.lost(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        Err(self.refusal(status, &self.body(response).await?))
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        let response = request.send().await.map_err(|e| self.lost(e))?;
        let status = response.status();
        let body = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        let value: Value =
            serde_json::from_slice(&body).map_err(|e| self.foreign().with_source(e))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                let text =
                    format!("{} answers in version {version} of the JSON format", self.place());
                return Err(ApiError::new(ErrorKind::Unreachable, text)
                    .with_hint(format!("this sentry reads version {VERSION}: upgrade it")));
            }
            None => return Err(self.foreign()),
        }
        serde_json::from_value(value).map_err(|e| self.foreign().with_source(e))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        let read = sentry_net::read(&mut response, CAP, &mut body).await;
        if read.map_err(|error| self.lost(error))? {
            let text = format!("{} answered with more than {} MiB", self.place(), CAP >> 20);
            return Err(ApiError::new(ErrorKind::Rejected, text));
        }
        Ok(body)
    }

    /// There is no whole answer.
    fn lost(&self, error: reqwest::Error) -> ApiError {
        if error.is_builder() {
            return ApiError::bad_request("can't build this request")
                .with_source(error.without_url());
        }
        let Failure { what, hint } = self.client.failure(&error, &self.settings.server);
        ApiError::new(ErrorKind::Unreachable, format!("the server {} {what}", self.place()))
            .with_source(error.without_url())
            .with_hint(hint.unwrap_or("check that it is running and that --server is its address"))
    }

    /// What answers is no server of ours.
    fn foreign(&self) -> ApiError {
        let text = format!("{} did not answer as a Sentry server", self.place());
        ApiError::new(ErrorKind::Unreachable, text).with_hint(
            "check that --server is the address of `sentry watch --listen`, without /api/v1",
        )
    }

    /// An answer that is an error: the server's own words where they are ours.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> ApiError {
        if let Ok(body) = serde_json::from_slice::<ErrorBody>(body) {
            return self.with_token_hint(body.error.into());
        }
        let kind = match status.as_u16() {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::TooMuch,
            _ => ErrorKind::Unreachable,
        };
        let text = format!("{} answered {status}, but not as a Sentry server", self.place());
        let error = ApiError::new(kind, text);
        if status.is_redirection() || kind == ErrorKind::NotFound {
            return error
                .with_hint("check that --server is the server's own address, without /api/v1");
        }
        self.with_token_hint(error)
    }

    fn with_token_hint(&self, error: ApiError) -> ApiError {
        match (error.kind().known(), error.hint(), &self.settings.token_file) {
            (Some(ErrorKind::Unauthorized), None, None) => {
                error.with_hint("pass the file that holds the token with --token-file")
            }
            (Some(ErrorKind::Unauthorized), None, Some(path)) => {
                error.with_hint(format!("check that {} holds this server's token", path.display()))
            }
            _ => error,
        }
    }

    /// The server, for people.
    pub(crate) fn place(&self) -> &str {
        self.settings.server.as_str().trim_end_matches('/')
    }
}

#[async_trait]
impl Answers for Remote {
    async fn status(&self, query: &StatusQuery) -> Result<Status, ApiError> {
        self.get(&["status"], query).await
    }

    async fn why(&self, commit: &str, query: &WhyQuery) -> Result<Why, ApiError> {
        self.get(&["why", commit], query).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<History, ApiError> {
        self.get(&["deliveries"], query).await
    }

    async fn show(&self, delivery: &str) -> Result<Show, ApiError> {
        self.get(&["deliveries", delivery], &[(); 0]).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Audit, ApiError> {
        self.get(&["audit"], query).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Documents, ApiError> {
        self.get(&["explain"], query).await
    }

    async fn trigger_state(&self, trigger: &str) -> Result<Acknowledgement, ApiError> {
        self.get(&["triggers", trigger], &[(); 0]).await
    }

    async fn trigger(
        &self,
        request: &TriggerRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        self.post(&["trigger"], request, asker.key).await
    }

    async fn retry(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        let nothing = serde_json::json!({});
        self.post(&["deliveries", delivery, "retry"], &nothing, asker.key).await
    }

    async fn cancel(&self, delivery: &str, asker: Asker<'_>) -> Result<Acknowledgement, ApiError> {
        let nothing = serde_json::json!({});
        self.post(&["deliveries", delivery, "cancel"], &nothing, asker.key).await
    }

    async fn approve(
        &self,
        watch: &str,
        number: &str,
        request: &ApproveRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        self.post(&["watches", watch, "pulls", number, "approve"], request, asker.key).await
    }

    async fn rerun(
        &self,
        delivery: &str,
        request: &RerunRequest,
        asker: Asker<'_>,
    ) -> Result<Acknowledgement, ApiError> {
        self.post(&["deliveries", delivery, "rerun"], request, asker.key).await
    }

    async fn suspend(
        &self,
        watch: &str,
        request: &SuspendRequest,
        _: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        self.post(&["watches", watch, "suspend"], request, None).await
    }

    async fn resume(
        &self,
        watch: &str,
        _: Option<&str>,
    ) -> Result<SuspensionAcknowledgement, ApiError> {
        self.post(&["watches", watch, "resume"], &serde_json::json!({}), None).await
    }
}
