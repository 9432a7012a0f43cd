//! `POST /webhooks/{forge}`: size and time are bounded before anything, the sender is verified before anything is
//! read, and all that a right request can do is to have a configured repository asked now.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Path, State};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use sentry_core::clock::{Clock, Timestamp};
use sentry_core::engine::Engine;
use sentry_core::repo::RepoPath;
use tokio::sync::oneshot;

use crate::PATIENCE;
use crate::guesses::{Door, Guesses};
use crate::metrics::Metrics;

/// The largest body, in bytes: what GitHub sends at most.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>
pub const MAX_BODY: usize = 25 * 1024 * 1024;
/// So many bodies are read at a time. For one more, the slowest sender is told to try again later, and polling sees
/// what it wanted to report.
const READERS: usize = 32;

/// Who understands the webhooks of one forge.
#[async_trait]
pub trait Webhook: fmt::Debug + Send + Sync {
    /// Looks at the head of a request; its body follows, unless no body could make it a right one.
    async fn begin(&self, headers: &HeaderMap, now: Timestamp)
    -> Result<Box<dyn Reading>, Refusal>;
}

/// A webhook whose body is on its way. It must not keep more of it than it needs.
pub trait Reading: Send {
    /// The next bytes.
    fn take(&mut self, bytes: &[u8]);

    /// Verifies the whole body, and only then reads it.
    ///
    /// # Errors
    /// [`Refusal`] says what the sender is told.
    fn finish(self: Box<Self>) -> Result<Message, Refusal>;
}

/// What a verified webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// This repository may have moved.
    Hint(RepoPath),
    /// The forge checks that the endpoint is up.
    Ping,
    /// It was received before.
    Repeated,
    /// Something else, by its name.
    Ignored(String),
}

/// Why a webhook is refused, for its sender: without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not prove its sender: 401.
    Unverified(String),
    /// It is verified, but can't be read: 400.
    Unreadable(String),
    /// It can't be verified now: 503.
    Unavailable(String),
}

/// A forge that may send webhooks, because it has a secret.
#[derive(Debug)]
pub struct WebhookEndpoint {
    /// The forge's name: its path is `/webhooks/<name>`.
    pub forge: String,
    /// The word of the forge's kind: also a path, where only one endpoint is of the kind.
    pub kind: &'static str,
    /// Who understands it.
    pub webhook: Arc<dyn Webhook>,
}

#[derive(Debug)]
pub(crate) struct Endpoints {
    engine: Engine,
    clock: Arc<dyn Clock>,
    endpoints: Vec<WebhookEndpoint>,
    /// The last piece of the path → which endpoint.
    paths: BTreeMap<String, usize>,
    readers: Readers,
    metrics: Arc<Metrics>,
    guesses: Guesses,
}

/// Those whose bodies are being read, the oldest first.
#[derive(Debug, Default)]
struct Readers(Mutex<VecDeque<oneshot::Sender<()>>>);

impl Readers {
    /// One more; what is returned is ready when its time is over.
    fn enter(&self) -> oneshot::Receiver<()> {
        let (reading, over) = oneshot::channel();
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.is_closed());
        if readers.len() >= READERS {
            readers.pop_front();
        }
        readers.push_back(reading);
        over
    }
}

impl Endpoints {
    pub(crate) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        endpoints: Vec<WebhookEndpoint>,
        metrics: Arc<Metrics>,
        guesses: Guesses,
    ) -> Self {
        let mut paths = BTreeMap::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            metrics.expect_webhooks(&endpoint.forge);
            if endpoints.iter().filter(|other| other.kind == endpoint.kind).count() == 1 {
                paths.insert(endpoint.kind.to_owned(), index);
            }
        }
        // A forge's own name comes before another one's kind.
        paths.extend(endpoints.iter().enumerate().map(|(index, e)| (e.forge.clone(), index)));
        Self { engine, clock, endpoints, paths, readers: Readers::default(), metrics, guesses }
    }
}

/// What is answered, and the word it is counted by.
struct Reply(StatusCode, &'static str, String);

pub(crate) async fn take(
    State(endpoints): State<Arc<Endpoints>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> (StatusCode, String) {
    let Some(endpoint) = endpoints.paths.get(&name).map(|index| &endpoints.endpoints[*index])
    else {
        return (StatusCode::NOT_FOUND, String::new());
    };
    let Reply(status, result, text) = answer(&endpoints, endpoint, request).await;
    tracing::debug!(forge = endpoint.forge, result, text, "webhook");
    endpoints.metrics.webhook(&endpoint.forge, result);
    (status, text + "\n")
}

async fn answer(
    endpoints: &Endpoints,
    endpoint: &WebhookEndpoint,
    request: Request<Body>,
) -> Reply {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|text| text.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return too_large();
    }
    let over = endpoints.readers.enter();
    tokio::select! {
        biased;
        answer = read(endpoints, endpoint, request) => answer,
        _ = over => {
            let text = "too many webhooks at once: try again later".to_owned();
            Reply(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
        }
        () = tokio::time::sleep(PATIENCE) => {
            let text = format!("the body did not arrive within {} s", PATIENCE.as_secs());
            Reply(StatusCode::REQUEST_TIMEOUT, "too_slow", text)
        }
    }
}

fn too_large() -> Reply {
    let text = format!("the body has more than {MAX_BODY} bytes");
    Reply(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
}

async fn read(endpoints: &Endpoints, endpoint: &WebhookEndpoint, request: Request<Body>) -> Reply {
    let (head, mut body) = request.into_parts();
    let now = endpoints.clock.now();
    let mut reading = match endpoint.webhook.begin(&head.headers, now).await {
        Ok(reading) => reading,
        Err(refusal) => return refused(endpoints, refusal),
    };
    let mut left = MAX_BODY;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let text = "the body was cut off".to_owned();
            return Reply(StatusCode::BAD_REQUEST, "broken", text);
        };
        let Ok(bytes) = frame.into_data() else { continue };
        match left.checked_sub(bytes.len()) {
            Some(room) => left = room,
            None => return too_large(),
        }
        reading.take(&bytes);
    }
    match reading.finish() {
        Ok(message) => told(endpoints, endpoint, message),
        Err(refusal) => refused(endpoints, refusal),
    }
}

fn told(endpoints: &Endpoints, endpoint: &WebhookEndpoint, message: Message) -> Reply {
    let (result, text) = match message {
        Message::Hint(repo) if endpoints.engine.hint(&endpoint.forge, &repo) => {
            ("hint", "the repository is polled now".to_owned())
        }
        Message::Hint(_) => ("unwatched", "no watch uses this repository".to_owned()),
        Message::Ping => ("ping", "here".to_owned()),
        Message::Repeated => ("repeated", "already received".to_owned()),
        Message::Ignored(event) => ("ignored", format!("ignored: {event}")),
    };
    Reply(StatusCode::ACCEPTED, result, text)
}

fn refused(endpoints: &Endpoints, refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Unverified(text) => {
            endpoints.guesses.guessed(Door::Webhook);
            Reply(StatusCode::UNAUTHORIZED, "unverified", text)
        }
        Refusal::Unreadable(text) => Reply(StatusCode::BAD_REQUEST, "unreadable", text),
        Refusal::Unavailable(text) => Reply(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text),
    }
}
