//! `/api/v1`: the questions and requests of [`Answers`], for those who show a token.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures::future::BoxFuture;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use sentry_api::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use sentry_api::shape::{
    Acknowledgement, ApproveRequest, Audit, Documents, EmptyRequest, History, RerunRequest, Show,
    Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};
use sentry_api::{Answers, ApiError, Asker, ErrorKind};
use sentry_core::text;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::guesses::{Door, Guesses};
use crate::{EventStream, PATIENCE, concurrency};

/// The largest body of a request, in bytes.
pub const MAX_REQUEST: usize = 64 * 1024;

/// What the holder of a token may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Ask.
    Read,
    /// Start, repeat, suspend and resume.
    Trigger,
    /// Approve heads of forks: let strangers' code run.
    Approve,
}

/// Who holds a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The token's name, as the audit log has it.
    pub name: String,
    /// What its holder may do.
    pub right: Right,
}

/// Whether a token is the one that is looked for. It compares in constant time.
pub type Proof<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

impl Holder {
    /// Lets on who may approve heads of forks.
    pub(crate) fn may_approve(&self) -> Result<(), ApiError> {
        if self.right >= Right::Approve {
            return Ok(());
        }
        let text = format!("the token {} may not approve heads of forks", self.name);
        Err(ApiError::new(ErrorKind::Forbidden, text)
            .with_hint("use one of `server.tokens` with the right `approve`"))
    }
}

/// Who knows the tokens.
#[async_trait]
pub trait Keys: fmt::Debug + Send + Sync {
    /// Who holds the token of which this is true; of several, who may do most. `None` if it is none of ours.
    ///
    /// # Errors
    /// The tokens can't be read now.
    async fn holder_of(&self, is_it: Proof<'_>) -> Result<Option<Holder>, ApiError>;

    /// Who holds this token; `None` if it is not ours. Compares in constant time.
    ///
    /// # Errors
    /// As [`Keys::holder_of`].
    async fn holder(&self, token: &str) -> Result<Option<Holder>, ApiError> {
        // Digests are compared: how long it takes tells nothing of the tokens.
        let shown = Sha256::digest(token);
        self.holder_of(&|known| Sha256::digest(known).ct_eq(&shown).into()).await
    }
}

#[derive(Debug)]
struct Api {
    answers: Arc<dyn Answers>,
    keys: Arc<dyn Keys>,
    live: EventStream,
    guesses: Guesses,
}

type Shared = State<Arc<Api>>;
type ApiResult<T> = Result<Answered<T>, ApiFailure>;

/// The routes, for [`crate::Services::routes`]. Every one of them wants a token: `Authorization: Bearer …`.
///
/// `live` sends what `/events` sends: server-sent events, each with the JSON of [`sentry_api::shape::Event`].
/// Wrong tokens are noted in `guesses`.
pub fn routes(
    answers: Arc<dyn Answers>,
    keys: Arc<dyn Keys>,
    live: EventStream,
    guesses: Guesses,
) -> Router {
    let api = Arc::new(Api { answers, keys, live, guesses });
    let routes = Router::new()
        .route("/status", get(status))
        .route("/why/{commit}", get(why))
        .route("/deliveries", get(history))
        .route("/deliveries/{id}", get(show))
        .route("/deliveries/{id}/retry", post(retry))
        .route("/deliveries/{id}/cancel", post(cancel))
        .route("/deliveries/{id}/rerun", post(rerun))
        .route("/audit", get(audit))
        .route("/explain", get(explain))
        .route("/events", get(events))
        .route("/triggers/{id}", get(trigger_state))
        .route("/trigger", post(trigger))
        .route("/watches/{name}/pulls/{number}/approve", post(approve))
        .route("/watches/{name}/suspend", post(suspend))
        .route("/watches/{name}/resume", post(resume))
        .route("/openapi.json", get(async || Json(sentry_api::openapi::description())))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn_with_state(Arc::clone(&api), guard));
    Router::new().nest("/api/v1", routes.with_state(api))
}

/// Nobody learns what there is without a token.
async fn guard(State(api): Shared, mut request: Request, next: Next) -> Response {
    let needed = match *request.method() {
        Method::GET | Method::HEAD => Right::Read,
        _ => Right::Trigger,
    };
    let mut response = match admit(&api, request.headers(), needed).await {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            match concurrency::hold(request.extensions()) {
                Ok(()) => next.run(request).await,
                Err(error) => ApiFailure(error).into_response(),
            }
        }
        Err(error) => ApiFailure(error).into_response(),
    };
    let answer = response.headers_mut();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn admit(api: &Api, headers: &HeaderMap, needed: Right) -> Result<Holder, ApiError> {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let holder = match token {
        Some((_, token)) => api.keys.holder(token.trim()).await?,
        None => None,
    };
    match holder {
        Some(holder) if holder.right >= needed => Ok(holder),
        Some(_) => Err(ApiError::new(ErrorKind::Forbidden, "this token is read-only").with_hint(
            "use a token that may trigger: `server.trigger_token`, or one of `server.tokens`",
        )),
        None if token.is_some() && !api.guesses.guessed(Door::Api) => {
            Err(ApiError::new(ErrorKind::TooMuch, "too many wrong tokens")
                .with_hint("a valid token is always accepted"))
        }
        None => Err(ApiError::new(ErrorKind::Unauthorized, "no valid token was sent")
            .with_hint("send a token of `server` in sentry.yaml as `Authorization: Bearer …`")),
    }
}

/// An answer as JSON in which what is hidden is escaped: people read it on terminals, too.
struct Answered<T>(T);

impl<T: Serialize> IntoResponse for Answered<T> {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        match serde_json::to_string(&self.0) {
            Ok(told) => ([(CONTENT_TYPE, json)], text::json(&told)).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// An error as it is sent.
struct ApiFailure(ApiError);

impl From<ApiError> for ApiFailure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let kind = self.0.kind();
        let status = StatusCode::from_u16(kind.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Answered(self.0.body())).into_response();
        if kind == ErrorKind::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A query string; a key that is not known is an error.
struct Asked<T>(T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFailure> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(ApiFailure(ApiError::bad_request(error.body_text()))),
        }
    }
}

/// A JSON body; none at all is `{}`.
struct Sent<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiFailure> {
        let body = axum::body::to_bytes(request.into_body(), MAX_REQUEST);
        let bytes = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => {
                let text = format!("the body is truncated, or has more than {MAX_REQUEST} bytes");
                return Err(ApiFailure(ApiError::bad_request(text)));
            }
            Err(_) => {
                return Err(ApiFailure(ApiError::bad_request("the body did not arrive in time")));
            }
        };
        let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
        // A struct would be read from a list as well.
        let object: Result<serde_json::Map<_, _>, _> = serde_json::from_slice(&bytes);
        match object.and_then(|object| serde_json::from_value(object.into())) {
            Ok(sent) => Ok(Self(sent)),
            Err(error) => Err(ApiFailure(ApiError::bad_request(format!("the body: {error}")))),
        }
    }
}

/// Who asks: the token's name, and the header `Idempotency-Key`.
struct Caller {
    by: Option<String>,
    key: Option<String>,
}

impl Caller {
    fn asker(&self) -> Asker<'_> {
        Asker { by: self.by.as_deref(), key: self.key.as_deref() }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFailure> {
        let by = parts.extensions.get::<Holder>().map(|holder| holder.name.clone());
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self { by, key: None });
        };
        match value.to_str().map(str::trim) {
            Ok(key) if !key.is_empty() && key.len() <= 200 => {
                Ok(Self { by, key: Some(key.to_owned()) })
            }
            _ => {
                let text = "Idempotency-Key must be 1 to 200 printable characters";
                Err(ApiFailure(ApiError::bad_request(text)))
            }
        }
    }
}

/// A [`Caller`] who may approve heads of forks: [`guard`] has let in whoever may trigger.
struct Approver(Caller);

impl<S: Sync> FromRequestParts<S> for Approver {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        let holder = parts.extensions.get::<Holder>();
        holder.ok_or_else(|| ApiError::new(ErrorKind::Forbidden, "nobody asks"))?.may_approve()?;
        Ok(Self(Caller::from_request_parts(parts, state).await?))
    }
}

async fn nothing_here() -> ApiFailure {
    ApiFailure(ApiError::new(ErrorKind::NotFound, "there is no such route under /api/v1"))
}

/// RFC 9110, 15.5.6; the router says what is allowed.
async fn not_so(method: Method) -> Response {
    let error = ApiError::bad_request(format!("{method} is not allowed here"));
    (StatusCode::METHOD_NOT_ALLOWED, ApiFailure(error)).into_response()
}

async fn status(State(api): Shared, Asked(query): Asked<StatusQuery>) -> ApiResult<Status> {
    Ok(Answered(api.answers.status(&query).await?))
}

async fn why(
    State(api): Shared,
    Path(commit): Path<String>,
    Asked(query): Asked<WhyQuery>,
) -> ApiResult<Why> {
    Ok(Answered(api.answers.why(&commit, &query).await?))
}

async fn history(State(api): Shared, Asked(query): Asked<HistoryQuery>) -> ApiResult<History> {
    Ok(Answered(api.answers.history(&query).await?))
}

async fn show(State(api): Shared, Path(id): Path<String>) -> ApiResult<Show> {
    Ok(Answered(api.answers.show(&id).await?))
}

async fn audit(State(api): Shared, Asked(query): Asked<AuditQuery>) -> ApiResult<Audit> {
    Ok(Answered(api.answers.audit(&query).await?))
}

async fn explain(State(api): Shared, Asked(query): Asked<ExplainQuery>) -> ApiResult<Documents> {
    Ok(Answered(api.answers.explain(&query).await?))
}

async fn events(
    State(api): Shared,
    Extension(holder): Extension<Holder>,
    headers: HeaderMap,
) -> Result<Response, ApiFailure> {
    let asked = Arc::clone(&api);
    let allowed = move || -> BoxFuture<'static, bool> {
        let (api, headers) = (Arc::clone(&asked), headers.clone());
        Box::pin(async move { admit(&api, &headers, Right::Read).await.is_ok() })
    };
    Ok(api.live.listen(holder.right, Box::new(allowed))?)
}

async fn trigger_state(State(api): Shared, Path(id): Path<String>) -> ApiResult<Acknowledgement> {
    Ok(Answered(api.answers.trigger_state(&id).await?))
}

async fn trigger(
    State(api): Shared,
    caller: Caller,
    Sent(request): Sent<TriggerRequest>,
) -> ApiResult<Acknowledgement> {
    Ok(Answered(api.answers.trigger(&request, caller.asker()).await?))
}

async fn retry(
    State(api): Shared,
    Path(id): Path<String>,
    caller: Caller,
    Sent(EmptyRequest {}): Sent<EmptyRequest>,
) -> ApiResult<Acknowledgement> {
    Ok(Answered(api.answers.retry(&id, caller.asker()).await?))
}

async fn cancel(
    State(api): Shared,
    Path(id): Path<String>,
    caller: Caller,
    Sent(EmptyRequest {}): Sent<EmptyRequest>,
) -> ApiResult<Acknowledgement> {
    Ok(Answered(api.answers.cancel(&id, caller.asker()).await?))
}

async fn approve(
    State(api): Shared,
    Path((watch, number)): Path<(String, String)>,
    Approver(caller): Approver,
    Sent(request): Sent<ApproveRequest>,
) -> ApiResult<Acknowledgement> {
    Ok(Answered(api.answers.approve(&watch, &number, &request, caller.asker()).await?))
}

async fn rerun(
    State(api): Shared,
    Path(id): Path<String>,
    caller: Caller,
    Sent(request): Sent<RerunRequest>,
) -> ApiResult<Acknowledgement> {
    Ok(Answered(api.answers.rerun(&id, &request, caller.asker()).await?))
}

async fn suspend(
    State(api): Shared,
    Path(watch): Path<String>,
    caller: Caller,
    Sent(request): Sent<SuspendRequest>,
) -> ApiResult<SuspensionAcknowledgement> {
    Ok(Answered(api.answers.suspend(&watch, &request, caller.asker().by).await?))
}

async fn resume(
    State(api): Shared,
    Path(watch): Path<String>,
    caller: Caller,
    Sent(EmptyRequest {}): Sent<EmptyRequest>,
) -> ApiResult<SuspensionAcknowledgement> {
    Ok(Answered(api.answers.resume(&watch, caller.asker().by).await?))
}
