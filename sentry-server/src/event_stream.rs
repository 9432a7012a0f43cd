//! The event stream: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event as Message, Sse};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::stream;
use sentry_api::shape::Event;
use sentry_api::{ApiError, ErrorKind};
use sentry_core::engine::Engine;
use sentry_core::event::Event as CoreEvent;
use sentry_core::text;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::api::Right;
use crate::timeout::Lasting;

/// So many may listen at a time.
pub const MAX_LISTENERS: usize = 64;
/// So many of them with a token that may only read: the others' places can't be taken by it.
const MAX_READERS: usize = MAX_LISTENERS / 4 * 3;
/// So often does a stream say that it lives, and looks whether its listener may still listen.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// So long does a listener wait before it comes again.
const RETRY: Duration = Duration::from_secs(3);

/// The events of one engine, for those who listen over HTTP. All clones are one.
#[derive(Debug, Clone)]
pub struct EventStream {
    engine: Engine,
    room: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    over: watch::Sender<bool>,
}

/// Whether a listener may still listen.
pub(crate) type Allowed = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

impl EventStream {
    /// The events of this engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let [room, readers] =
            [MAX_LISTENERS, MAX_READERS].map(|places| Arc::new(Semaphore::new(places)));
        Self { engine, room, readers, over: watch::Sender::new(false) }
    }

    /// Ends every stream, so that nobody who listens holds up the end.
    pub(crate) fn close(&self) {
        self.over.send_replace(true);
    }

    /// A stream for one listener, who is asked about again at every heartbeat.
    pub(crate) fn listen(&self, right: Right, allowed: Allowed) -> Result<Response, ApiError> {
        let place = |room: &Arc<Semaphore>, places: usize| {
            Arc::clone(room).try_acquire_owned().map_err(|_| {
                let text = format!("{places} clients are listening already");
                ApiError::new(ErrorKind::TooMuch, text).with_hint("try again later")
            })
        };
        let reads = right == Right::Read;
        let reader = reads.then(|| place(&self.readers, MAX_READERS)).transpose()?;
        let places = (place(&self.room, MAX_LISTENERS)?, reader);
        let listener = Listener {
            events: self.engine.events(),
            over: self.over.subscribe(),
            allowed,
            beat: Instant::now() + HEARTBEAT,
            greeted: false,
            _places: places,
        };
        let messages = stream::unfold(listener, |mut listener| async move {
            let message = listener.next().await?;
            Some((Ok::<_, Infallible>(message), listener))
        });
        let mut response = Sse::new(messages).into_response();
        response.extensions_mut().insert(Lasting);
        Ok(response)
    }
}

struct Listener {
    events: Receiver<CoreEvent>,
    over: watch::Receiver<bool>,
    allowed: Allowed,
    beat: Instant,
    greeted: bool,
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl Listener {
    /// What is sent next; `None` ends the stream.
    async fn next(&mut self) -> Option<Message> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Message::default().retry(RETRY).comment("here"));
        }
        loop {
            let event = tokio::select! {
                biased;
                () = ended(&mut self.over) => return None,
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + HEARTBEAT;
                    return (self.allowed)().await.then(|| Message::default().comment("here"));
                }
                event = self.events.recv() => event,
            };
            let event = match event {
                Ok(event) => Event::of(&event),
                Err(RecvError::Lagged(missed)) => Some(Event::lagged(missed)),
                Err(RecvError::Closed) => return None,
            };
            if let Some(told) = event.and_then(|event| serde_json::to_string(&event).ok()) {
                return Some(Message::default().data(text::json(&told)));
            }
        }
    }
}

/// When the server stops.
async fn ended(over: &mut watch::Receiver<bool>) {
    drop(over.wait_for(|over| *over).await);
}
