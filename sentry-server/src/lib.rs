//! What a person or a machine sees over HTTP: health, metrics, webhooks, and whatever routes are handed in, such as
//! those of [`api`] and [`page`].
//!
//! The server knows the engine and its store; forges it does not know: who understands their webhooks is handed in as
//! a [`Webhook`].
//!
//! ```no_run
//! use sentry_core::{engine::Engine, store::State};
//! use sentry_server::{Server, Services};
//!
//! # async fn example(engine: Engine, store: State) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let server = Server::new(Services::new(engine, store));
//! // Serves until the engine has stopped, or for ever.
//! server.serve(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

pub mod api;
mod bounded;
mod concurrency;
mod event_stream;
mod events;
mod figures;
mod guesses;
mod health;
mod listen;
mod metrics;
pub mod page;
mod timeout;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use sentry_core::clock::{Clock, SystemClock};
use sentry_core::engine::Engine;
use sentry_core::store::State;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

pub use bounded::Bounded;
pub use event_stream::{EventStream, MAX_LISTENERS};
pub use guesses::Guesses;
pub use webhooks::{MAX_BODY, Message, Reading, Refusal, Webhook, WebhookEndpoint};

use events::Follower;
use health::Health;
use metrics::Metrics;
use webhooks::Endpoints;

/// So long may a request take to come, and its answer to be taken, before the client is cut off.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// So many clients are served at a time; beyond it, the oldest that has shown no token and has nothing to be answered makes
/// room.
pub const MAX_CONNECTIONS: usize = 256;

/// What a server works with.
#[derive(Debug)]
pub struct Services {
    /// The engine whose life is shown. Running it is somebody else's task.
    pub engine: Engine,
    /// The engine's store.
    pub store: State,
    /// Where stamps come from.
    pub clock: Arc<dyn Clock>,
    /// The webhook endpoints; without any, `/webhooks` does not exist.
    pub webhooks: Vec<WebhookEndpoint>,
    /// The directory whose size is shown; `None` if the state is kept in memory.
    pub state_dir: Option<PathBuf>,
    /// The version that is shown.
    pub version: String,
    /// The event stream's listeners. Routes that are passed in may share it; the server closes it when it stops.
    pub live: EventStream,
    /// Wrong tokens at all doors. Routes that are handed in note theirs here.
    pub guesses: Guesses,
    /// Further routes, beside those of this crate.
    pub routes: Router,
    /// The counters of an earlier server, to continue; `None`: they start at 0.
    pub counters: Option<Counters>,
}

/// What a server counts: it outlives the server, so that a new configuration resets no series.
#[derive(Debug, Clone)]
pub struct Counters(Arc<Metrics>);

impl Counters {
    /// Another configuration was taken, or refused.
    pub fn config_reloaded(&self, taken: bool) {
        self.0.config_reloaded(taken);
    }

    /// The guesses that were counted, for the next server's [`Services::guesses`].
    #[must_use]
    pub fn guesses(&self) -> Guesses {
        self.0.guesses.clone()
    }

    /// A configuration that was refused is gone: the file is again as it was taken.
    pub fn config_is_as_taken(&self) {
        self.0.config_is_as_taken();
    }
}

impl Services {
    /// With the machine's clock, without webhooks.
    #[must_use]
    pub fn new(engine: Engine, store: impl Into<State>) -> Self {
        Self {
            live: EventStream::new(engine.clone()),
            guesses: Guesses::default(),
            engine,
            store: store.into(),
            clock: Arc::new(SystemClock),
            webhooks: Vec::new(),
            state_dir: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            routes: Router::new(),
            counters: None,
        }
    }
}

/// So large an answer must be to be compressed, in bytes.
const WORTH_COMPRESSING: u64 = 1024;

/// Compresses what is large. Not the event stream: each event is to arrive when it is sent.
fn compression() -> CompressionLayer<impl Predicate> {
    let large = SizeAbove::new(WORTH_COMPRESSING).and(NotForContentType::SSE);
    CompressionLayer::new().compress_when(large)
}

/// An HTTP/1.1 server. It listens to the engine from its making on, so that nothing is missed before it serves.
#[derive(Debug)]
pub struct Server {
    router: Router,
    follower: Follower,
    live: EventStream,
    guesses: Guesses,
    counters: Counters,
}

impl Server {
    /// A server that is ready to serve.
    #[must_use]
    pub fn new(services: Services) -> Self {
        let Services {
            engine,
            store,
            clock,
            webhooks,
            state_dir,
            version,
            live,
            guesses,
            routes,
            counters,
        } = services;
        let metrics = match counters {
            Some(Counters(metrics)) => {
                metrics.go_on(&engine);
                metrics
            }
            None => Arc::new(Metrics::new(&engine, &version, guesses.clone())),
        };
        let counters = Counters(Arc::clone(&metrics));
        let follower = Follower::new(&engine, Arc::clone(&store.archive), Arc::clone(&metrics));
        let health = Arc::new(Health::new(engine.clone()));
        let scrape = Arc::new(metrics::Scrape::new(
            Arc::clone(&metrics),
            engine.clone(),
            store.archive,
            Arc::clone(&clock),
            state_dir,
        ));
        let mut router = Router::new()
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .with_state(health)
            .merge(Router::new().route("/metrics", get(metrics::serve)).with_state(scrape));
        if !webhooks.is_empty() {
            let endpoints =
                Arc::new(Endpoints::new(engine, clock, webhooks, metrics, guesses.clone()));
            let hooks = Router::new().route("/webhooks/{forge}", post(webhooks::take));
            router = router.merge(hooks.with_state(endpoints));
        }
        let router = router.merge(routes).layer(compression());
        Self { router, follower, live, guesses, counters }
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// The routes themselves, for a program that has a server of its own; the event counters then do not move.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves until `stopped` is ready; requests in progress may then finish within [`PATIENCE`].
    pub async fn serve(self, listener: TcpListener, stopped: impl Future<Output = ()>) {
        let Self { router, follower, live, guesses, .. } = self;
        let stopped = async move {
            stopped.await;
            live.close();
        };
        let served = async {
            tokio::select! {
                () = listen::serve(listener, router, stopped) => {}
                () = guesses.keep_telling() => {}
            }
        };
        let mut served = std::pin::pin!(served);
        tokio::select! {
            () = &mut served => {}
            // The engine is gone: its last state is still shown.
            () = follower.follow() => served.await,
        }
    }
}
