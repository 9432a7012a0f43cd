//! A forge in memory: two repositories over git's HTTP, and as much of Gitea's API as Sentry uses: commits, and the statuses
//! that stand on them (<https://docs.gitea.com/api/>).

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::repository::{Oid, Repository};
use super::upload_pack;

/// The largest request that is unpacked.
const CAP: u64 = 1 << 20;

/// Whose repositories these are.
pub(super) const OWNER: &str = "demo";

/// A status on a commit, as it was sent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Status {
    pub(super) state: String,
    pub(super) context: String,
    pub(super) description: String,
    #[serde(default)]
    target_url: Option<String>,
}

#[derive(Default)]
struct Site {
    repositories: BTreeMap<String, Repository>,
    statuses: Vec<(String, Status)>,
}

/// A running forge on 127.0.0.1; it ends when it is dropped.
pub(super) struct Forge {
    site: Shared,
    origin: String,
    _serving: JoinSet<io::Result<()>>,
}

#[derive(Clone)]
struct Shared {
    site: Arc<Mutex<Site>>,
    /// What whoever sets statuses must show.
    token: String,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forge {
    /// One on a free port, without repositories. Everybody may read; statuses are set by those who show the token.
    ///
    /// # Errors
    /// When no port is to be had.
    pub(super) async fn start(token: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let site = Shared { site: Arc::default(), token: token.to_owned() };
        let routes = Router::new()
            .route("/{owner}/{name}/info/refs", get(refs))
            .route("/{owner}/{name}/git-upload-pack", post(git))
            .route("/{owner}/{name}/commit/{sha}", get(page))
            .route("/api/v1/repos/{owner}/{name}/git/commits/{sha}", get(commit))
            .route("/api/v1/repos/{owner}/{name}/statuses/{sha}", post(set_status))
            .with_state(site.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { site, origin, _serving: serving })
    }

    /// `http://127.0.0.1:PORT`.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Where a repository is cloned from.
    pub(super) fn url(&self, repository: &str) -> String {
        format!("{}/{OWNER}/{repository}", self.origin)
    }

    /// Commits files to a repository's `main`, which is made if it is not there; the commit.
    pub(super) fn commit(&self, repository: &str, message: &str, files: &[(&str, &str)]) -> Oid {
        let mut site = self.site.lock();
        let repository = site.repositories.entry(repository.to_owned()).or_default();
        repository.commit(message, files, SystemClock.now())
    }

    /// What stands on a commit: of each context, the status that was set last.
    pub(super) fn statuses(&self, sha: &str) -> Vec<Status> {
        standing(&self.site.lock(), sha)
    }
}

fn standing(site: &Site, sha: &str) -> Vec<Status> {
    let of_commit = site.statuses.iter().filter(|(commit, _)| commit == sha);
    let newest: BTreeMap<_, _> =
        of_commit.map(|(_, status)| (status.context.clone(), status.clone())).collect();
    newest.into_values().collect()
}

impl Site {
    /// A repository, with or without `.git` at its end.
    fn repository(&self, owner: &str, name: &str) -> Option<&Repository> {
        let name = name.strip_suffix(".git").unwrap_or(name);
        self.repositories.get(name).filter(|_| owner == OWNER)
    }
}

const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "not found\n");

async fn refs(State(site): State<Shared>, Path((owner, name)): Path<(String, String)>) -> Response {
    if site.lock().repository(&owner, &name).is_none() {
        return NOT_FOUND.into_response();
    }
    let kind = "application/x-git-upload-pack-advertisement";
    ([(header::CONTENT_TYPE, kind)], upload_pack::advertisement()).into_response()
}

async fn git(
    State(site): State<Shared>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let zipped = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let body = if zipped { unzipped(&body) } else { Ok(body.to_vec()) };
    let Ok(body) = body else { return StatusCode::BAD_REQUEST.into_response() };
    let site = site.lock();
    let Some(repository) = site.repository(&owner, &name) else { return NOT_FOUND.into_response() };
    let answer = upload_pack::answer(repository, &body);
    ([(header::CONTENT_TYPE, "application/x-git-upload-pack-result")], answer).into_response()
}

fn unzipped(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(body).take(CAP).read_to_end(&mut whole)?;
    Ok(whole)
}

type OfCommit = Path<(String, String, String)>;

/// A commit's message, and when it was made; `None` if it is not there.
fn told<'s>(
    site: &'s Site,
    (owner, name, sha): &(String, String, String),
) -> Option<&'s (String, Timestamp)> {
    site.repository(owner, name)?.told(sha.parse().ok()?)
}

async fn commit(State(site): State<Shared>, Path(place): OfCommit) -> Response {
    let site = site.lock();
    let Some((message, at)) = told(&site, &place) else { return missing() };
    let who = json!({"name": "Demo", "email": "demo@example.com", "date": at.to_string()});
    Json(json!({
        "sha": place.2, "commit": {"message": message, "author": who, "committer": who},
    }))
    .into_response()
}

async fn set_status(
    State(site): State<Shared>,
    Path(place): OfCommit,
    headers: HeaderMap,
    Json(status): Json<Status>,
) -> Response {
    let shown = headers.get(header::AUTHORIZATION);
    if shown.is_none_or(|shown| *shown != *format!("token {}", site.token)) {
        return error(StatusCode::UNAUTHORIZED, "token is required");
    }
    let mut site = site.lock();
    if told(&site, &place).is_none() {
        return missing();
    }
    let told = json!({"id": site.statuses.len() + 1, "status": status.state});
    site.statuses.push((place.2, status));
    (StatusCode::CREATED, Json(told)).into_response()
}

/// What people see of a commit.
async fn page(State(site): State<Shared>, Path(place): OfCommit) -> Response {
    let site = site.lock();
    let Some((message, _)) = told(&site, &place) else { return NOT_FOUND.into_response() };
    let mut text = format!("commit {}\n\n    {}\n", place.2, message);
    for Status { state, context, description, target_url } in standing(&site, &place.2) {
        let more = target_url.map(|url| format!("  {url}")).unwrap_or_default();
        text.push_str(&format!("\n{state}  {context}\n    {description}\n{more}\n"));
    }
    text.into_response()
}

fn missing() -> Response {
    error(StatusCode::NOT_FOUND, "not found")
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json::<Value>(json!({"message": message}))).into_response()
}
