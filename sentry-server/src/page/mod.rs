//! The page at `/`: what a person wants to see of the watches, and a few buttons, for those who log in with a token.
//!
//! It asks [`Answers`] as everybody does. It is made on the server and works without a script; the script
//! (`assets/page.js`) keeps it fresh. Nothing on it comes from elsewhere, and the browser may load nothing else.
//!
//! | file | what |
//! |---|---|
//! | `guard` | who may see it: session, headers, where a request comes from |
//! | `login` `act` | what is posted |
//! | `words` `language` | what it says in each language, and which one a reader wants |
//! | `view/` | shapes → what the page shows, pure; `templates/` has the HTML |

mod act;
mod assets;
mod form;
mod guard;
mod language;
mod link;
mod login;
mod session;
mod text;
mod view;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, RawQuery, State};
use axum::middleware;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures::future::BoxFuture;
use http::StatusCode;
use sentry_api::query::StatusQuery;
use sentry_api::shape::Status;
use sentry_api::words::TriggerStateKind;
use sentry_api::{Answers, ApiError, ErrorKind};
use sentry_core::clock::{Clock, SystemClock};
use serde::Deserialize;

pub use link::{Repository, WatchPlace, Web};

use crate::api::Keys;
use crate::{EventStream, Guesses};
use session::{Sessions, Visitor};
use view::delivery::{DeliveryPage, title};
use view::filter::Filter;
use view::history::HistoryFilter;
use view::home::{self, Fragments, Home};
use view::watch::{Facts, WatchPage};
use view::{Frame, Notice, Prose, Reader};
use words::Words;

/// What a page works with.
#[derive(Debug)]
pub struct Setup {
    /// Who is asked.
    pub answers: Arc<dyn Answers>,
    /// Who knows the tokens that people log in with.
    pub keys: Arc<dyn Keys>,
    /// What is kept of sessions.
    pub sessions: Arc<dyn sentry_core::store::Sessions>,
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
        sessions: Arc<dyn sentry_core::store::Sessions>,
        live: EventStream,
        guesses: Guesses,
    ) -> Self {
        let (clock, version) = (Arc::new(SystemClock), env!("CARGO_PKG_VERSION").to_owned());
        Self { answers, keys, sessions, clock, live, guesses, watches: Vec::new(), version }
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
    let Setup { keys, sessions, clock, .. } = &setup;
    let sessions = Sessions::new(Arc::clone(keys), Arc::clone(sessions), Arc::clone(clock));
    let page = Arc::new(Page { setup, sessions });
    Router::new()
        .route("/", get(first))
        .route("/fragments", get(fragments))
        .route("/watches/{name}", get(watch))
        .route("/watches/{name}/suspend", post(act::suspend))
        .route("/watches/{name}/resume", post(act::resume))
        .route("/watches/{name}/approve", post(act::approve))
        .route("/deliveries/{id}", get(delivery))
        .route("/deliveries/{id}/retry", post(act::retry))
        .route("/deliveries/{id}/cancel", post(act::cancel))
        .route("/deliveries/{id}/rerun", post(act::rerun))
        .route("/trigger", post(act::trigger))
        .route("/triggers/{id}", get(trigger))
        .route("/events", get(events))
        .route("/language/{tag}", get(language::choose))
        .route("/login", get(login::ask).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/assets/{name}", get(assets::serve))
        .route_layer(middleware::from_fn(guard::fence))
        .with_state(page)
}

/// What `/` shows where no token is configured: how to enable the page.
pub fn closed() -> Router {
    let version = env!("CARGO_PKG_VERSION");
    let page = move |words: Words| async move {
        let heading = words.say("closed-title");
        let lines = ["closed-why", "closed-remedy", "closed-health"].map(|key| words.prose(key));
        let frame = Frame::for_stranger(&heading, version, words);
        shown(StatusCode::OK, &Notice { frame, heading, lines: lines.into(), onward: None })
    };
    Router::new()
        .route("/", get(page))
        .route("/language/{tag}", get(language::choose))
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

/// An error, as a page: [`guard::fence`] knows its reader's language, and makes it.
#[derive(Debug)]
struct PageError(ApiError);

/// What stands on an error's page.
#[derive(Debug, Clone)]
struct Failed {
    /// The message that is its heading.
    heading: &'static str,
    lines: Vec<String>,
}

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
            Some(ErrorKind::Forbidden) => "error-forbidden",
            Some(
                ErrorKind::NotFound
                | ErrorKind::UnknownDelivery
                | ErrorKind::UnknownTrigger
                | ErrorKind::UnknownWatch
                | ErrorKind::UnknownBranch,
            ) => "error-not-found",
            Some(ErrorKind::BadRequest | ErrorKind::Ambiguous) => "error-invalid",
            Some(ErrorKind::Conflict) => "error-conflict",
            Some(ErrorKind::TooMuch) => "error-too-many",
            _ => "error-later",
        };
        let body = self.0.body().error;
        let lines = std::iter::once(body.message).chain(body.hint).collect();
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Extension(Failed { heading, lines })).into_response()
    }
}

impl Page {
    fn reader(&self, visitor: &Visitor, words: Words) -> Result<Reader, ApiError> {
        Reader::new(visitor, words, self.setup.clock.now(), session::random()?)
    }

    fn frame(&self, title: impl Into<String>, reader: &Reader) -> Frame {
        Frame::for_reader(title, &self.setup.version, reader)
    }

    fn place(&self, watch: &str) -> Option<&WatchPlace> {
        self.setup.watches.iter().find(|place| place.name == watch)
    }

    async fn status(&self, watch: Option<String>, pace: bool) -> Result<Status, ApiError> {
        self.setup.answers.status(&StatusQuery { watch, pace, ..StatusQuery::default() }).await
    }
}

async fn first(
    State(page): Shared,
    words: Words,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> PageResult {
    let reader = page.reader(&visitor, words)?;
    let status = page.status(None, false).await?;
    let frame = page.frame("Sentry", &reader).with_agent(status.agent.as_ref());
    let frame = frame.with_fleet(status.fleet.as_ref());
    let facts = home::Facts { reader: &reader, status: &status, places: &page.setup.watches };
    let home = Home::new(frame, facts, Filter::of(query.as_deref().unwrap_or_default()));
    Ok(shown(StatusCode::OK, &home))
}

#[derive(Deserialize)]
struct Changed {
    watch: String,
    /// Branches of the watch, with spaces between: no branch has one in its name
    /// (<https://git-scm.com/docs/git-check-ref-format>).
    #[serde(default)]
    branch: String,
}

/// What an event changed of the first page.
async fn fragments(
    State(page): Shared,
    words: Words,
    visitor: Visitor,
    Query(changed): Query<Changed>,
) -> PageResult {
    let reader = page.reader(&visitor, words)?;
    let status = page.status(Some(changed.watch), false).await?;
    let facts = home::Facts { reader: &reader, status: &status, places: &page.setup.watches };
    let branches: Vec<&str> = changed.branch.split(' ').collect();
    let fragments = Fragments::new(facts, &branches);
    let none = || ApiError::new(ErrorKind::UnknownWatch, "no such watch");
    Ok(shown(StatusCode::OK, &fragments.ok_or_else(none)?))
}

async fn watch(
    State(page): Shared,
    words: Words,
    visitor: Visitor,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> PageResult {
    let reader = page.reader(&visitor, words)?;
    let filter = HistoryFilter::of(query.as_deref().unwrap_or_default());
    let status = page.status(Some(name.clone()), true).await?;
    let history = page.setup.answers.history(&filter.query(&name)).await?;
    let agent = status.agent.as_ref();
    let frame = page.frame(&name, &reader).with_agent(agent).with_fleet(status.fleet.as_ref());
    let found = status.watches.first();
    let found = found.ok_or_else(|| ApiError::new(ErrorKind::UnknownWatch, "no such watch"))?;
    let facts = Facts {
        status: found,
        history: &history,
        place: page.place(&name),
        agent: agent.is_some_and(|agent| agent.healthy),
    };
    Ok(shown(StatusCode::OK, &WatchPage::new(frame, &reader, facts, filter)))
}

async fn delivery(
    State(page): Shared,
    words: Words,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageResult {
    let reader = page.reader(&visitor, words)?;
    let show = page.setup.answers.show(&id).await?;
    let agent = page.setup.answers.agent().await?;
    let (watch, branch) = (&show.delivery.watch, &show.delivery.branch);
    let title = format!("{} · {branch} · {watch}", title(&show.delivery));
    let frame = page.frame(title, &reader).with_agent(agent.as_ref());
    let place = page.place(watch);
    Ok(shown(StatusCode::OK, &DeliveryPage::new(frame, &reader, &show, place)))
}

/// Where a person waits until what they requested starts: then they are redirected to it.
async fn trigger(
    State(page): Shared,
    words: Words,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageResult {
    let reader = page.reader(&visitor, words)?;
    let asked = page.setup.answers.trigger_state(&id).await?;
    if let Some(delivery) = asked.delivery {
        return Ok(Redirect::to(&format!("/deliveries/{delivery}")).into_response());
    }
    let mut frame = page.frame(words.say("asked-title"), &reader);
    let watch = asked.watch;
    let onward = Some((format!("/watches/{watch}"), words.say("back-to-watch")));
    let (heading, lines) = match asked.state.known() {
        Some(TriggerStateKind::Rejected) => {
            frame.refresh = None;
            (words.say("asked-refused"), vec![Prose::of(&asked.reason.unwrap_or_default())])
        }
        Some(TriggerStateKind::Pending | TriggerStateKind::Taken) | None => {
            frame.hurry = true;
            let kept = words.put("asked-kept", "watch", watch);
            (words.say("asked-title"), vec![Prose::of(&kept), words.prose("asked-soon")])
        }
    };
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
