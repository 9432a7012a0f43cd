//! The page at `/`: what a person wants to see of the watches, and a few buttons, for those who log in with a token.
//!
//! It asks [`Answers`] as everybody does. It is made on the server and works without a script; the script
//! (`assets/page.js`) keeps it fresh. Nothing on it comes from elsewhere, and the browser may load nothing else.
//!
//! | file | what |
//! |---|---|
//! | `guard` | who may see it: session, headers, where a request comes from |
//! | `login` `act` | what is posted |
//! | `view/` | shapes → what the page shows, pure; `templates/` has the HTML |

mod act;
mod assets;
mod form;
mod guard;
mod link;
mod login;
mod session;
mod text;
mod view;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::middleware;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use futures::future::BoxFuture;
use http::StatusCode;
use sentry_api::query::{HistoryQuery, StatusQuery};
use sentry_api::shape::{Delivery, Status};
use sentry_api::words::TriggerStateKind;
use sentry_api::{Answers, ApiError, ErrorKind};
use sentry_core::clock::{Clock, SystemClock};

pub use link::{Repository, WatchPlace, Web};

use crate::api::Keys;
use crate::{EventStream, Guesses};
use session::{Sessions, Visitor};
use view::delivery::DeliveryPage;
use view::home::{Facts, Home};
use view::watch::WatchPage;
use view::{Frame, Notice, Reader};

/// So many deliveries of each watch are asked for on the first page.
const RECENT: u32 = 24;
/// So many are listed on a watch's own page.
const LISTED: u32 = 50;

/// What a page works with.
#[derive(Debug)]
pub struct Setup {
    /// Who is asked.
    pub answers: Arc<dyn Answers>,
    /// Who knows the tokens that people log in with.
    pub keys: Arc<dyn Keys>,
    /// What is now.
    pub clock: Arc<dyn Clock>,
    /// The event stream's listeners.
    pub live: EventStream,
    /// Where wrong tokens are noted.
    pub guesses: Guesses,
    /// How the watches are configured.
    pub watches: Vec<WatchPlace>,
    /// The version that is shown.
    pub version: String,
}

impl Setup {
    /// With the machine's clock, and without links.
    #[must_use]
    pub fn new(
        answers: Arc<dyn Answers>,
        keys: Arc<dyn Keys>,
        live: EventStream,
        guesses: Guesses,
    ) -> Self {
        let (clock, version) = (Arc::new(SystemClock), env!("CARGO_PKG_VERSION").to_owned());
        Self { answers, keys, clock, live, guesses, watches: Vec::new(), version }
    }
}

/// What every request of the page shares.
struct Page {
    setup: Setup,
    sessions: Sessions,
}

type Shared = State<Arc<Page>>;
type PageResult = Result<Response, PageError>;

/// The routes, for [`crate::Services::routes`].
pub fn routes(setup: Setup) -> Router {
    let sessions = Sessions::new(Arc::clone(&setup.keys));
    let page = Arc::new(Page { setup, sessions });
    Router::new()
        .route("/", get(home))
        .route("/watches/{name}", get(watch))
        .route("/watches/{name}/suspend", post(act::suspend))
        .route("/watches/{name}/resume", post(act::resume))
        .route("/deliveries/{id}", get(delivery))
        .route("/deliveries/{id}/retry", post(act::retry))
        .route("/deliveries/{id}/rerun", post(act::rerun))
        .route("/trigger", post(act::trigger))
        .route("/triggers/{id}", get(trigger))
        .route("/events", get(events))
        .route("/login", get(login::ask).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/assets/{name}", get(assets::serve))
        .route_layer(middleware::from_fn(guard::fence))
        .with_state(page)
}

/// What `/` shows where no token is configured: how to enable the page.
pub fn closed() -> Router {
    let version = env!("CARGO_PKG_VERSION");
    let page = move || async move {
        let lines = [
            "Sentry is running, but shows nothing here: no token to log in with is configured.",
            "Set server.trigger_token_file (or trigger_token, read_token, read_token_file, tokens) in sentry.yaml and restart it. `openssl rand -hex 32` makes a good token.",
            "Health and metrics need no token: /livez, /readyz, /metrics.",
        ];
        let notice = Notice {
            frame: Frame::for_stranger("No token", version),
            heading: "This page needs a token".to_owned(),
            lines: lines.map(str::to_owned).to_vec(),
            onward: None,
        };
        shown(StatusCode::OK, &notice)
    };
    Router::new()
        .route("/", get(page))
        .route("/assets/{name}", get(assets::serve))
        .route_layer(middleware::from_fn(guard::fence))
}

/// A template as an answer.
fn shown(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::warn!(%error, "can't render a page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An error, as a page.
#[derive(Debug)]
struct PageError(ApiError);

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let kind = self.0.kind();
        let status = StatusCode::from_u16(kind.http_status());
        let heading = match kind.known() {
            Some(ErrorKind::Forbidden) => "Not allowed",
            Some(
                ErrorKind::NotFound
                | ErrorKind::UnknownDelivery
                | ErrorKind::UnknownTrigger
                | ErrorKind::UnknownWatch
                | ErrorKind::UnknownBranch,
            ) => "Not found",
            Some(ErrorKind::BadRequest | ErrorKind::Ambiguous) => "Invalid request",
            Some(ErrorKind::Conflict) => "Not possible right now",
            Some(ErrorKind::TooMuch) => "Too many requests",
            _ => "Not available right now",
        };
        let body = self.0.body().error;
        let notice = Notice {
            frame: Frame::for_stranger(heading, env!("CARGO_PKG_VERSION")),
            heading: heading.to_owned(),
            lines: std::iter::once(body.message).chain(body.hint).collect(),
            onward: Some(("/".to_owned(), "All watches")),
        };
        shown(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &notice)
    }
}

impl Page {
    fn reader(&self, visitor: &Visitor) -> Result<Reader, ApiError> {
        Ok(Reader::new(visitor, self.setup.clock.now(), session::random()?))
    }

    fn frame(&self, title: impl Into<String>, reader: &Reader) -> Frame {
        Frame::for_reader(title, &self.setup.version, reader)
    }

    fn place(&self, watch: &str) -> Option<&WatchPlace> {
        self.setup.watches.iter().find(|place| place.name == watch)
    }

    async fn recent(&self, watch: &str, limit: u32) -> Result<Vec<Delivery>, ApiError> {
        let query = HistoryQuery { watch: Some(watch.to_owned()), limit: Some(limit) };
        Ok(self.setup.answers.history(&query).await?.deliveries)
    }

    async fn status(&self, watch: Option<String>) -> Result<Status, ApiError> {
        self.setup.answers.status(&StatusQuery { watch }).await
    }
}

async fn home(State(page): Shared, visitor: Visitor) -> PageResult {
    let reader = page.reader(&visitor)?;
    let status = page.status(None).await?;
    let mut recent = Vec::new();
    for watch in &status.watches {
        recent.push(page.recent(&watch.name, RECENT).await?);
    }
    let frame = page.frame("Watches", &reader).with_agent(status.agent.as_ref());
    let home = Home::new(frame, &reader, &status, &recent, &page.setup.watches);
    Ok(shown(StatusCode::OK, &home))
}

async fn watch(State(page): Shared, visitor: Visitor, Path(name): Path<String>) -> PageResult {
    let reader = page.reader(&visitor)?;
    let status = page.status(Some(name.clone())).await?;
    let recent = page.recent(&name, LISTED).await?;
    let agent = status.agent.as_ref();
    let frame = page.frame(&name, &reader).with_agent(agent);
    let found = status.watches.first();
    let found = found.ok_or_else(|| ApiError::new(ErrorKind::UnknownWatch, "no such watch"))?;
    let facts = Facts {
        status: found,
        recent: &recent,
        place: page.place(&name),
        agent: agent.is_some_and(|agent| agent.healthy),
    };
    Ok(shown(StatusCode::OK, &WatchPage::new(frame, &reader, facts)))
}

async fn delivery(State(page): Shared, visitor: Visitor, Path(id): Path<String>) -> PageResult {
    let reader = page.reader(&visitor)?;
    let show = page.setup.answers.show(&id).await?;
    let agent = page.setup.answers.agent().await?;
    let (watch, branch) = (&show.delivery.watch, &show.delivery.branch);
    let frame = page.frame(format!("{branch} of {watch}"), &reader).with_agent(agent.as_ref());
    let place = page.place(watch);
    Ok(shown(StatusCode::OK, &DeliveryPage::new(frame, &reader, &show, place)))
}

/// Where a person waits until what they requested starts: then they are redirected to it.
async fn trigger(State(page): Shared, visitor: Visitor, Path(id): Path<String>) -> PageResult {
    let reader = page.reader(&visitor)?;
    let asked = page.setup.answers.trigger_state(&id).await?;
    if let Some(delivery) = asked.delivery {
        return Ok(Redirect::to(&format!("/deliveries/{delivery}")).into_response());
    }
    let mut frame = page.frame("Asked for", &reader);
    let watch = asked.watch;
    let onward = Some((format!("/watches/{watch}"), "Back to the watch"));
    let (heading, lines) = match asked.state.known() {
        Some(TriggerStateKind::Rejected) => {
            frame.refresh = None;
            ("Can't deliver it", vec![asked.reason.unwrap_or_default()])
        }
        Some(TriggerStateKind::Pending | TriggerStateKind::Taken) | None => {
            frame.hurry = true;
            let kept = format!("Your request for watch {watch} is saved and queued.");
            ("Requested", vec![kept, "The delivery is shown here once it starts.".to_owned()])
        }
    };
    let heading = heading.to_owned();
    Ok(shown(StatusCode::OK, &Notice { frame, heading, lines, onward }))
}

/// What the API sends at `/api/v1/events`, for a session, for as long as it lasts.
async fn events(State(page): Shared, visitor: Visitor) -> PageResult {
    let (shared, right) = (Arc::clone(&page), visitor.holder.right);
    let lasts = move || -> BoxFuture<'static, bool> {
        let (page, visitor) = (Arc::clone(&shared), visitor.clone());
        Box::pin(async move { page.sessions.lasts(&visitor).await })
    };
    Ok(page.setup.live.listen(right, Box::new(lasts))?)
}
