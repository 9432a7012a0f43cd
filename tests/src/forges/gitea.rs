//! Gitea, and Forgejo, which answers alike.
//!
//! Sources: Gitea's own description of its API, <https://github.com/go-gitea/gitea/blob/main/templates/swagger/v1_json.tmpl>,
//! against which every request is checked, and its page on webhooks, <https://docs.gitea.com/usage/webhooks>. There is no
//! rate limit.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::desk::{Desk, Pull, page};
use super::{Answer, Commit, ForgeOptions, PostedStatus, Shelf, asked, number, only_asks, origin};
use crate::gitserver::{Access, GitBackend, Tokens};
use crate::http::{HttpServer, Reply, decode, lock};
use crate::repo::BareRepo;
use crate::wire::hex_hmac;

const API: &str = "/api/v1/";
const STATES: [&str; 6] = ["pending", "success", "error", "failure", "warning", "skipped"];

/// A fake Gitea on 127.0.0.1. Stops on drop.
#[derive(Debug)]
pub struct Gitea {
    http: HttpServer,
    site: Arc<Site>,
}

impl Gitea {
    /// Serves the bare repositories `root/owner/name.git`. They are public until a token is granted.
    pub fn start(root: &Path, options: ForgeOptions) -> Self {
        let tokens = Tokens::default();
        let site = Arc::new(Site {
            shelf: Shelf::new(root),
            git: GitBackend::new(root, options.git, tokens.clone()),
            tokens,
            desk: Desk::default(),
            tls: options.tls.is_some(),
            statuses: Mutex::default(),
            readers: Mutex::default(),
        });
        let shared = Arc::clone(&site);
        let http = HttpServer::start("gitea", options.tls, move |request| {
            let site = Arc::clone(&shared);
            Box::pin(async move { site.answer(request).await })
        });
        Self { http, site }
    }

    /// The clone URL of `owner/name`.
    pub fn clone_url(&self, name: &str) -> String {
        format!("{}/{name}.git", self.http.origin())
    }

    /// Port, log, faults, pause.
    pub fn http(&self) -> &HttpServer {
        &self.http
    }

    /// The tokens that API and git accept; the first one makes every repository private.
    pub fn tokens(&self) -> &Tokens {
        &self.site.tokens
    }

    /// Renames a repository: the old path leads to the new one from now on.
    pub fn rename(&self, old: &str, new: &str) {
        self.site.shelf.rename(old, new);
    }

    /// The pull requests.
    pub fn desk(&self) -> &Desk {
        &self.site.desk
    }

    /// The commit statuses that were set, oldest first.
    pub fn statuses(&self) -> Vec<PostedStatus> {
        lock(&self.site.statuses).clone()
    }

    /// From now on this token has the scope `read:repository` alone.
    pub fn let_read_only(&self, token: &str) {
        lock(&self.site.readers).insert(token.to_owned());
    }

    /// The headers that come with a webhook's body; Forgejo's own are there as well.
    pub fn hook(secret: &str, event: &str, body: &[u8]) -> Vec<(String, String)> {
        let signature = hex_hmac(secret.as_bytes(), &[body]);
        [
            ("content-type", "application/json"),
            ("x-gitea-event", event),
            ("x-gitea-signature", &signature),
            ("x-forgejo-event", event),
            ("x-forgejo-signature", &signature),
            ("x-github-event", event),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

#[derive(Debug)]
struct Site {
    shelf: Shelf,
    git: GitBackend,
    tokens: Tokens,
    desk: Desk,
    tls: bool,
    statuses: Mutex<Vec<PostedStatus>>,
    /// Tokens that may read only.
    readers: Mutex<BTreeSet<String>>,
}

impl Site {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        if GitBackend::is_git(request.uri().path()) {
            return match self.shelf.git_moved(&request) {
                Some(moved) => moved,
                None => self.git.answer(request).await,
            };
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let answer = match head.uri.path().strip_prefix(API) {
            Some(path) => self.admit(&head, path, &body),
            None => error(StatusCode::NOT_FOUND, "not found"),
        };
        // It knows no conditional requests here.
        Answer { etag: None, ..answer }.into_reply(&[("cache-control", "max-age=0, private")])
    }

    fn admit(&self, head: &Parts, path: &str, body: &[u8]) -> Answer {
        let token = token(head);
        let access = self.tokens.check(token.as_deref());
        if access == Access::Wrong {
            let text = "invalid username, password or token";
            return error(StatusCode::UNAUTHORIZED, text);
        }
        let pieces: Vec<String> = path.split('/').map(decode).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let ["repos", owner, name, rest @ ..] = pieces.as_slice() else {
            return error(StatusCode::NOT_FOUND, "not found");
        };
        let name = format!("{owner}/{name}");
        if let Some(new) = self.shelf.moved(&name) {
            let url = format!("{API}repos/{new}/{}", rest.join("/"));
            let status = self.shelf.redirect(StatusCode::TEMPORARY_REDIRECT);
            let location = Some(url.trim_end_matches('/').to_owned());
            return Answer { location, ..Answer::json(status, &Value::Null) };
        }
        let found = self.shelf.find(&name).filter(|_| access == Access::Granted);
        let Some(repo) = found else { return error(StatusCode::NOT_FOUND, "not found") };
        match (&head.method, rest) {
            (&Method::GET, []) => Answer::ok(&self.describe(head, &name, &repo)),
            (&Method::GET, ["git", "commits", sha]) => commit(head, &repo, sha),
            (&Method::GET, ["pulls"]) => self.pulls(head, &name),
            (&Method::POST, ["statuses", sha]) => {
                self.set_status(head, token.as_deref(), (&name, &repo, sha), body)
            }
            _ => error(StatusCode::NOT_FOUND, "not found"),
        }
    }

    /// `repoListPullRequests` of the description.
    fn pulls(&self, head: &Parts, name: &str) -> Answer {
        let query = head.uri.query();
        let known =
            ["base_branch", "state", "sort", "milestone", "labels", "poster", "page", "limit"];
        let (state, sort) = (asked(query, "state").unwrap_or("open"), asked(query, "sort"));
        let sorts = [
            "oldest",
            "recentupdate",
            "recentclose",
            "leastupdate",
            "mostcomment",
            "leastcomment",
            "priority",
        ];
        let fits = only_asks(query, &known)
            && ["open", "closed", "all"].contains(&state)
            && sort.is_none_or(|sort| sorts.contains(&sort));
        if !fits {
            return error(StatusCode::UNPROCESSABLE_ENTITY, "is no parameter of this request");
        }
        let mut all = self.desk.list(name, |name| self.shelf.find(name));
        all.retain(|pull| state == "all" || pull.is_open == (state == "open"));
        match sort {
            Some("recentupdate") => {}
            Some("oldest") => all.sort_by_key(|pull| pull.number),
            _ => all.sort_by_key(|pull| std::cmp::Reverse(pull.number)),
        }
        let size = number(asked(query, "limit")).unwrap_or(30).min(50);
        let page = page(all, number(asked(query, "page")).unwrap_or(1), size);
        let told = |pull: &Pull| {
            let labels: Vec<Value> =
                pull.labels.iter().map(|name| json!({ "id": 1, "name": name })).collect();
            let side = |repo: Option<&str>, branch: &str, sha: &str| json!({ "label": branch, "ref": branch, "sha": sha, "repo_id": repo.map_or(0, |name| self.shelf.id(name)) });
            let base = self
                .shelf
                .find(name)
                .and_then(|repo| repo.branch_at(&pull.target))
                .unwrap_or_default();
            json!({
                "id": 1000 + pull.number, "number": pull.number, "title": pull.title, "draft": pull.is_draft,
                "state": if pull.is_open { "open" } else { "closed" }, "merged": pull.is_merged,
                "user": { "login": pull.author }, "labels": labels,
                "head": side(pull.from.as_deref(), &pull.source, &pull.head),
                "base": side(Some(name), &pull.target, &base), "updated_at": pull.updated_at(),
            })
        };
        Answer::ok(&page.iter().map(told).collect())
    }

    fn describe(&self, head: &Parts, name: &str, repo: &BareRepo) -> Value {
        let origin = origin(self.tls, &head.headers);
        let signed_in = token(head).is_some();
        json!({
            "id": self.shelf.id(name), "name": name.rsplit('/').next(), "full_name": name,
            "private": self.tokens.check(None) != Access::Granted, "archived": false, "empty": false,
            "default_branch": repo.git(&["symbolic-ref", "--short", "HEAD"]),
            "html_url": format!("{origin}/{name}"), "clone_url": format!("{origin}/{name}.git"),
            "permissions": { "admin": false, "push": signed_in, "pull": true },
        })
    }

    fn set_status(
        &self,
        head: &Parts,
        token: Option<&str>,
        (name, repo, sha): (&str, &BareRepo, &str),
        body: &[u8],
    ) -> Answer {
        let Some(token) = token else {
            return error(StatusCode::UNAUTHORIZED, "token is required");
        };
        if lock(&self.readers).contains(token) {
            let text = "token does not have at least one of required scope(s): [write:repository]";
            return error(StatusCode::FORBIDDEN, text);
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if !is_json(head) || !is_status(&body) {
            return error(StatusCode::UNPROCESSABLE_ENTITY, "is no CreateStatusOption");
        }
        if Commit::read(repo, sha).is_none() {
            // Only administrators are told more.
            return error(StatusCode::INTERNAL_SERVER_ERROR, "");
        }
        let mut statuses = lock(&self.statuses);
        let (repo, sha) = (name.to_owned(), sha.to_owned());
        statuses.push(PostedStatus { repo, sha, body: body.clone() });
        let said = json!({ "id": statuses.len(), "status": body["state"], "context": body["context"],
            "target_url": body["target_url"], "description": body["description"] });
        Answer::json(StatusCode::CREATED, &said)
    }
}

/// `Authorization: token …`, which is what the description asks for.
fn token(head: &Parts) -> Option<String> {
    let value = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
    Some(value.strip_prefix("token ").unwrap_or("of another form").to_owned())
}

fn is_json(head: &Parts) -> bool {
    head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json")
}

/// The keys and values of `CreateStatusOption`.
fn is_status(body: &Value) -> bool {
    let Some(body) = body.as_object() else { return false };
    let known = ["state", "context", "description", "target_url"];
    let fits = |(key, value): (&String, &Value)| known.contains(&key.as_str()) && value.is_string();
    let state = body.get("state").and_then(Value::as_str).unwrap_or_default();
    body.iter().all(fits) && STATES.contains(&state)
}

fn commit(head: &Parts, repo: &BareRepo, sha: &str) -> Answer {
    let query = head.uri.query().unwrap_or_default();
    let known = |pair: &str| {
        pair.split_once('=').is_some_and(|(key, value)| {
            ["stat", "verification", "files"].contains(&key) && ["true", "false"].contains(&value)
        })
    };
    if !query.split('&').filter(|pair| !pair.is_empty()).all(known) {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "is no parameter of this request");
    }
    match Commit::read(repo, sha) {
        Some(commit) => {
            let person =
                json!({ "name": commit.author, "email": commit.email, "date": commit.date });
            Answer::ok(&json!({
                "sha": commit.sha, "created": commit.date,
                "commit": { "message": commit.message, "author": person, "committer": person,
                    "tree": { "sha": commit.tree } },
                "parents": commit.parents.iter().map(|sha| json!({ "sha": sha })).collect::<Vec<_>>(),
            }))
        }
        None => error(StatusCode::NOT_FOUND, "not found"),
    }
}

fn error(status: StatusCode, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "message": message, "url": "https://gitea.example.com/api/swagger" }),
    )
}
