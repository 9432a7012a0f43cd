//! One request to a cluster: who we are, how long it may take, how much may come back, and what came without secrets.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::client::Body;
use sentry_core::deployer::{DeployError, DeployErrorKind};
use sentry_core::names::ClusterRef;
use sentry_core::plan::{ObjectRef, Plan};
use sentry_core::secret::Redactor;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::status::{Refusal, Reply};
use super::{Native, lock};
use crate::api::answer::{CERTIFICATE, OUR_CERTIFICATE};
use crate::api::{hidden, object, text};

/// The longest that one request may take. The server ends its own after 60 s, its webhooks' after 30.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The most that one answer may hold, in bytes: more than the description of a group's fields.
const LARGEST: usize = 32 << 20;
/// What server-side apply is sent as. YAML is the type's name; JSON is YAML as well.
const APPLY: &str = "application/apply-patch+yaml";

/// What is asked of the API. Its body may hold secrets: it is not to be shown.
#[derive(Clone)]
pub(super) struct Ask {
    method: Method,
    path: String,
    accept: &'static str,
    content_type: &'static str,
    body: Bytes,
}

impl Ask {
    fn new(method: Method, path: impl Into<String>) -> Self {
        let (accept, content_type) = ("application/json", "application/json");
        Self { method, path: path.into(), accept, content_type, body: Bytes::new() }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// The same for another form of the answer.
    pub(super) fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    pub(super) fn create(path: impl Into<String>, object: &Value) -> Self {
        Self { body: object.to_string().into(), ..Self::new(Method::POST, path) }
    }

    pub(super) fn apply(path: impl Into<String>, object: &Value) -> Self {
        let (content_type, body) = (APPLY, object.to_string().into());
        Self { content_type, body, ..Self::new(Method::PATCH, path) }
    }

    pub(super) fn merge(path: impl Into<String>, patch: &Value) -> Self {
        let (content_type, body) = ("application/merge-patch+json", patch.to_string().into());
        Self { content_type, body, ..Self::new(Method::PATCH, path) }
    }

    /// With the options of the deletion, its preconditions among them.
    pub(super) fn delete(path: impl Into<String>, options: &Value) -> Self {
        Self { body: options.to_string().into(), ..Self::new(Method::DELETE, path) }
    }
}

/// Everything that requests to one cluster share.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) native: &'a Native,
    pub(super) cluster: &'a ClusterRef,
    pub(super) until: Instant,
    /// What the plan's own Secret objects hold: known to nobody else.
    own: Redactor,
    /// True once something answered.
    heard: AtomicBool,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl<'a> Caller<'a> {
    pub(super) fn new(native: &'a Native, cluster: &'a ClusterRef, timeout: Duration) -> Self {
        let (own, heard) = (Redactor::new(), AtomicBool::new(false));
        let (until, connection) = (Instant::now() + timeout, Mutex::default());
        Self { native, cluster, until, own, heard, connection }
    }

    /// Takes what the plan's Secret objects hold out of every text, and what is lent to its runs.
    pub(super) fn hiding(self, plan: &Plan) -> Self {
        hidden::learn(&self.own, plan);
        self
    }

    /// True if there is time left for another request.
    pub(super) fn has_time(&self) -> bool {
        self.until > Instant::now()
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// The connection of all these requests, so that whatever is wrong on this side is known before anything is sent.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig, or with its credential plugin.
    pub(super) async fn connect(&self) -> Result<Arc<Connection>, DeployError> {
        if let Some(connection) = &*lock(&self.connection) {
            return Ok(Arc::clone(connection));
        }
        let context = self.cluster.context.as_deref();
        let connections = &self.native.connections;
        let fresh = connections.get(&self.native.settings, context, self.left()).await?;
        Ok(Arc::clone(lock(&self.connection).insert(fresh)))
    }

    /// The answer to a request. What was refused for our credentials alone is sent once more with those of now: nothing
    /// has come of it.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Reply, DeployError> {
        // It has its own limits.
        let connection = self.connect().await?;
        let limit = self.left().min(REQUEST_TIMEOUT);
        let whole = async {
            let (code, body) = self.open(connection, ask).await?;
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| self.broken(error.as_ref()))?.to_bytes();
            Ok(Reply { code, body })
        };
        match timeout(limit, whole).await {
            Ok(done) => {
                self.heard.fetch_or(done.is_ok(), Ordering::Relaxed);
                done
            }
            Err(_) => Err(self.late(limit)),
        }
    }

    /// The beginning of an answer, and what comes after it. It has no limits of its own.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn open(
        &self,
        first: Arc<Connection>,
        ask: &Ask,
    ) -> Result<(u16, Body), DeployError> {
        let (code, body) = self.over(&first, ask).await?;
        if code != 401 {
            return Ok((code, body));
        }
        let context = self.cluster.context.as_deref();
        self.native.connections.give_up(context, &first).await;
        lock(&self.connection).take_if(|used| Arc::ptr_eq(used, &first));
        let next = self.connect().await?;
        if next.authorization == first.authorization {
            return Ok((code, body));
        }
        self.over(&next, ask).await
    }

    async fn over(&self, connection: &Connection, ask: &Ask) -> Result<(u16, Body), DeployError> {
        tracing::debug!(cluster = %self.cluster, method = %ask.method, path = ask.path, "asking");
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.path)
            .header(ACCEPT, ask.accept)
            .body(Body::from(ask.body.clone()))
            .map_err(|error| self.broken(&error))?;
        let headers = request.headers_mut();
        if !ask.body.is_empty() {
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(ask.content_type));
        }
        if let Some(authorization) = &connection.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let answer = connection.client.send(request).await;
        let answer = answer.map_err(|error| self.broken(&error))?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }

    /// The JSON of an answer that is a success.
    ///
    /// # Errors
    /// If there is no answer, or it is none.
    pub(super) async fn json(&self, ask: &Ask, doing: &str) -> Result<Value, DeployError> {
        let reply = self.send(ask).await.map_err(|error| within(doing, &error))?;
        reply.json().map_err(|refusal| self.error(doing, &refusal))
    }

    /// The error that a refusal comes to.
    pub(super) fn error(&self, doing: &str, refusal: &Refusal) -> DeployError {
        let (kind, hint) = refusal.classify();
        let said = text::cut(&text::scrub(&self.redact(&refusal.message())));
        DeployError::new(kind, format!("{doing}: {said}")).with_optional_hint(hint)
    }

    /// The same about one object, naming its file and document. What no server judged is about none.
    pub(super) fn object_error(&self, object: &ObjectRef, refusal: &Refusal) -> DeployError {
        if refusal.is_general() {
            return self.error(&self.cluster.to_string(), refusal);
        }
        self.error(&object::place(object), refusal)
    }

    /// There was no answer, or not all of it: what was sent may have arrived.
    pub(super) fn broken(&self, error: &(dyn StdError + 'static)) -> DeployError {
        if error.is::<LengthLimitError>() {
            let text = format!("{} answered with more than {LARGEST} bytes", self.cluster);
            return DeployError::new(DeployErrorKind::Unreachable, text);
        }
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let why = causes.last().map(ToString::to_string).unwrap_or_default();
        let hint = certificate_hint(&why);
        let text = format!("can't reach {}: {}", self.cluster, text::cut(&self.redact(&why)));
        DeployError::new(DeployErrorKind::Unreachable, text).with_optional_hint(hint)
    }

    /// A cluster that never answered is away; one that ran out of our time may be slow.
    fn late(&self, limit: Duration) -> DeployError {
        let seconds = limit.as_secs_f32();
        if self.has_time() || !self.heard.load(Ordering::Relaxed) {
            let text = format!("{} did not answer within {seconds:.1} s", self.cluster);
            return DeployError::new(DeployErrorKind::Unreachable, text);
        }
        let text = format!("{} did not finish in time", self.cluster);
        DeployError::new(DeployErrorKind::Timeout, text)
            .with_hint("raise the watch's timeout, or check the API server's load")
    }

    /// The text without any secret that is known.
    pub(super) fn redact(&self, text: &str) -> String {
        self.native.settings.redactor.redact(&self.own.redact(text))
    }
}

/// An error with what it kept us from.
pub(super) fn within(doing: &str, error: &DeployError) -> DeployError {
    DeployError::new(error.kind(), format!("{doing}: {error}")).with_optional_hint(error.hint())
}

/// Whose certificate it was that was not taken, in rustls' words; alerts are those of RFC 8446, 6.2.
fn certificate_hint(why: &str) -> Option<&'static str> {
    if why.starts_with("invalid peer certificate") {
        return Some(CERTIFICATE);
    }
    let alert = why.strip_prefix("received fatal alert: ")?;
    let is_ours = alert.contains("Certificate")
        || ["AccessDenied", "DecryptError", "UnknownCA"].contains(&alert);
    is_ours.then_some(OUR_CERTIFICATE)
}
