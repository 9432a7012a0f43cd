//! Forges as their clients see them: REST API and git over HTTP on one origin, over the same bare repositories.
//!
//! They answer as the real ones were seen and documented to answer, refusals included; what they cannot know
//! (a signature of a GitHub App, a person's rights) they do not check.

pub mod desk;
mod difference;
pub mod gitea;
pub mod github;
pub mod gitlab;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, IF_NONE_MATCH};
use sentry_core::clock::{Clock as _, SystemClock};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::ServerConfig;

use crate::gitserver::GitOptions;
use crate::http::{Reply, lock, reply};
use crate::repo::BareRepo;

/// How a forge is started.
#[derive(Debug, Clone, Default)]
pub struct ForgeOptions {
    /// Speak TLS with this ([`crate::tls::Tls::server`]).
    pub tls: Option<Arc<ServerConfig>>,
    /// GitHub only: the API lies below `/api/v3`, as on GitHub Enterprise Server.
    pub enterprise: bool,
    /// How the git side behaves.
    pub git: GitOptions,
}

/// A rate limit: what is left of it is told in headers and goes down with every counted answer.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Requests per window.
    pub limit: u64,
    /// Requests left in this window; at 0 the forge refuses.
    pub remaining: u64,
    /// When the window ends, Unix seconds.
    pub reset: i64,
}

impl Budget {
    fn per_hour(limit: u64) -> Self {
        Self { limit, remaining: limit, reset: now() + 3600 }
    }
}

/// A commit status that a client set.
#[derive(Debug, Clone)]
pub struct PostedStatus {
    /// `owner/name`.
    pub repo: String,
    /// The commit.
    pub sha: String,
    /// The request's body.
    pub body: Value,
}

fn now() -> i64 {
    SystemClock.now().as_second()
}

/// The repositories of a forge, by name without `.git`.
#[derive(Debug)]
struct Shelf {
    root: PathBuf,
    ids: Mutex<BTreeMap<String, u64>>,
    moved: Mutex<BTreeMap<String, String>>,
    redirect: Mutex<Option<StatusCode>>,
}

/// What a query says of a key.
fn asked<'q>(query: Option<&'q str>, key: &str) -> Option<&'q str> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Whether a query has these keys alone.
fn only_asks(query: Option<&str>, known: &[&str]) -> bool {
    let mut pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.all(|pair| pair.split_once('=').is_some_and(|(key, _)| known.contains(&key)))
}

fn number(text: Option<&str>) -> Option<usize> {
    text?.parse().ok()
}

impl Shelf {
    fn new(root: &Path) -> Self {
        let (ids, moved, redirect) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { root: root.to_owned(), ids, moved, redirect }
    }

    fn find(&self, name: &str) -> Option<BareRepo> {
        let path = self.root.join(format!("{name}.git"));
        (!name.contains("..") && path.join("HEAD").is_file()).then(|| BareRepo::open(path))
    }

    fn id(&self, name: &str) -> u64 {
        let mut ids = lock(&self.ids);
        let next = 1000 + ids.len() as u64;
        *ids.entry(name.to_owned()).or_insert(next)
    }

    fn name_of(&self, id: &str) -> Option<String> {
        let id: u64 = id.parse().ok()?;
        lock(&self.ids).iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone())
    }

    fn moved(&self, name: &str) -> Option<String> {
        lock(&self.moved).get(name).cloned()
    }

    fn rename(&self, old: &str, new: &str) {
        let id = self.id(old);
        let (from, to) = (format!("{old}.git"), self.root.join(format!("{new}.git")));
        std::fs::create_dir_all(to.parent().expect("below the root")).expect("the new owner");
        std::fs::rename(self.root.join(from), to).expect("the repository is there");
        let mut ids = lock(&self.ids);
        ids.remove(old);
        ids.insert(new.to_owned(), id);
        lock(&self.moved).insert(old.to_owned(), new.to_owned());
    }

    /// What renamed repositories are answered with: the status chosen, else the usual one.
    fn redirect(&self, usual: StatusCode) -> StatusCode {
        lock(&self.redirect).unwrap_or(usual)
    }

    fn redirect_by(&self, status: u16) {
        *lock(&self.redirect) = StatusCode::from_u16(status).ok();
    }

    /// git's own paths of a renamed repository lead to the new name.
    fn git_moved(&self, request: &hyper::Request<Incoming>) -> Option<Reply> {
        let path = request.uri().path();
        let (name, end) = ["/info/refs", "/git-upload-pack", "/git-receive-pack"]
            .iter()
            .find_map(|end| path.strip_suffix(end).map(|repo| (repo, end)))?;
        let name = name.trim_start_matches('/');
        let new = self.moved(name.strip_suffix(".git").unwrap_or(name))?;
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let location = format!("/{new}.git{end}{query}");
        let status = self.redirect(StatusCode::MOVED_PERMANENTLY);
        Some(reply(status, &[("location", &location)], ""))
    }
}

/// An answer before the headers that all answers have.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    etag: Option<String>,
    location: Option<String>,
}

impl Answer {
    fn json(status: StatusCode, body: &Value) -> Self {
        let body = body.to_string();
        let etag = (status == StatusCode::OK).then(|| weak_etag(&body));
        let content_type = "application/json; charset=utf-8";
        Self { status, content_type, body, etag, location: None }
    }

    fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// Not modified, if the client holds what would be said.
    fn conditional(mut self, headers: &HeaderMap) -> Self {
        let held = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if let (Some(held), Some(etag)) = (held, &self.etag) {
            let same = |tag: &str| {
                tag.trim().trim_start_matches("W/") == etag.trim_start_matches("W/") || tag == "*"
            };
            if held.split(',').any(same) {
                self.status = StatusCode::NOT_MODIFIED;
                self.body.clear();
            }
        }
        self
    }

    fn into_reply(self, more: &[(&str, &str)]) -> Reply {
        let mut headers = more.to_vec();
        if self.status != StatusCode::NOT_MODIFIED {
            headers.push(("content-type", self.content_type));
        }
        if let Some(etag) = &self.etag {
            headers.push(("etag", etag));
        }
        if let Some(location) = &self.location {
            headers.push(("location", location));
        }
        reply(self.status, &headers, self.body)
    }
}

fn weak_etag(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{hex}\"")
}

fn origin(tls: bool, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("{}://{host}", if tls { "https" } else { "http" })
}

/// A commit's facts, as far as APIs tell them.
#[derive(Debug)]
struct Commit {
    sha: String,
    tree: String,
    parents: Vec<String>,
    author: String,
    email: String,
    date: String,
    message: String,
}

impl Commit {
    fn read(repo: &BareRepo, sha: &str) -> Option<Self> {
        let hex = |c: char| c.is_ascii_hexdigit();
        if !(7..=64).contains(&sha.len()) || !sha.chars().all(hex) {
            return None;
        }
        let format = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%B";
        let text = repo.try_git(&["log", "-1", format, sha, "--"])?;
        let fields: Vec<_> = text.split('\0').map(str::to_owned).collect();
        let [sha, tree, parents, author, email, date, message] =
            <[String; 7]>::try_from(fields).ok()?;
        let parents = parents.split_whitespace().map(str::to_owned).collect();
        Some(Self { sha, tree, parents, author, email, date, message })
    }
}
