//! GitLab, with groups as deep as liked.
//!
//! Sources: the REST API's reference (projects, branches, commits, users) and its pages on authentication,
//! redirects and rate limits; `reports` has its own. Answers carry weak ETags; a 304 counts like any other answer here.

mod reports;

use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::desk::{Desk, Pull, page};
use super::{
    Answer, Budget, Commit, ForgeOptions, PostedStatus, Shelf, asked, now, number, only_asks,
    origin,
};
use crate::gitserver::{Access, GitBackend, GitOptions, Tokens, presented};
use crate::http::{HttpServer, Reply, decode, lock, reply};
use crate::repo::BareRepo;
use reports::Reports;

const API: &str = "/api/v4/";

/// A fake GitLab on 127.0.0.1. Stops on drop.
#[derive(Debug)]
pub struct GitLab {
    http: HttpServer,
    site: Arc<Site>,
}

impl GitLab {
    /// Serves the bare repositories `root/group/…/name.git`. They are public until a token is granted.
    pub fn start(root: &Path, options: ForgeOptions) -> Self {
        let tokens = Tokens::default();
        let site = Arc::new(Site {
            shelf: Shelf::new(root),
            git: GitBackend::new(root, options.git, tokens.clone()),
            tokens,
            desk: Desk::default(),
            tls: options.tls.is_some(),
            budget: Mutex::new(Budget { limit: 2000, remaining: 2000, reset: now() + 60 }),
            reports: Reports::default(),
        });
        let shared = Arc::clone(&site);
        let http = HttpServer::start("gitlab", options.tls, move |request| {
            let site = Arc::clone(&shared);
            Box::pin(async move { site.answer(request).await })
        });
        Self { http, site }
    }

    /// Where the API is: `…/api/v4`.
    pub fn api(&self) -> String {
        format!("{}/api/v4", self.http.origin())
    }

    /// The clone URL of `group/…/name`.
    pub fn clone_url(&self, name: &str) -> String {
        format!("{}/{name}.git", self.http.origin())
    }

    /// Port, log, faults, pause.
    pub fn http(&self) -> &HttpServer {
        &self.http
    }

    /// The tokens that API and git accept; the first one makes every project private.
    pub fn tokens(&self) -> &Tokens {
        &self.site.tokens
    }

    /// How the git side behaves from now on.
    pub fn set_git(&self, options: GitOptions) {
        self.site.git.set(options);
    }

    /// Renames a project: the old path answers 301 from now on, the id stays.
    pub fn rename(&self, old: &str, new: &str) {
        self.site.shelf.rename(old, new);
    }

    /// What renamed repositories are answered with from now on: 301, 307 or 308.
    pub fn redirect_by(&self, status: u16) {
        self.site.shelf.redirect_by(status);
    }

    /// What is left of the rate limit.
    pub fn budget(&self) -> Budget {
        *lock(&self.site.budget)
    }

    /// Sets the rate limit.
    pub fn set_budget(&self, budget: Budget) {
        *lock(&self.site.budget) = budget;
    }

    /// The pull requests.
    pub fn desk(&self) -> &Desk {
        &self.site.desk
    }

    /// The commit statuses that were set, oldest first.
    pub fn statuses(&self) -> Vec<PostedStatus> {
        lock(&self.site.reports.statuses).clone()
    }

    /// From now on this token has the scopes to read alone: a status is answered 403.
    pub fn let_read_only(&self, token: &str) {
        lock(&self.site.reports.readers).insert(token.to_owned());
    }
}

#[derive(Debug)]
struct Site {
    shelf: Shelf,
    git: GitBackend,
    tokens: Tokens,
    desk: Desk,
    tls: bool,
    budget: Mutex<Budget>,
    reports: Reports,
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
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let budget = self.count();
        if budget.remaining == 0 {
            let wait = (budget.reset - now()).max(1).to_string();
            let headers = [("content-type", "text/plain"), ("retry-after", wait.as_str())];
            return reply(StatusCode::TOO_MANY_REQUESTS, &headers, "Retry later\n");
        }
        let answer = match head.uri.path().strip_prefix(API) {
            Some(path) => self.admit(&head, path, &body),
            None => message(StatusCode::NOT_FOUND, "404 Not Found"),
        };
        answer.conditional(&head.headers).into_reply(&[
            ("ratelimit-limit", &budget.limit.to_string()),
            ("ratelimit-name", "throttle_authenticated_api"),
            (
                "ratelimit-observed",
                &(budget.limit - budget.remaining.min(budget.limit)).to_string(),
            ),
            ("ratelimit-remaining", &budget.remaining.to_string()),
            ("ratelimit-reset", &budget.reset.to_string()),
            ("cache-control", "max-age=0, private, must-revalidate"),
            ("x-request-id", "00000000000000000000000000"),
        ])
    }

    fn count(&self) -> Budget {
        let mut budget = lock(&self.budget);
        if budget.reset <= now() {
            *budget = Budget { remaining: budget.limit, reset: now() + 60, ..*budget };
        }
        budget.remaining = budget.remaining.saturating_sub(1);
        *budget
    }

    fn admit(&self, head: &hyper::http::request::Parts, path: &str, body: &Value) -> Answer {
        let token = token(&head.headers);
        let access = self.tokens.check(token.as_deref());
        if access == Access::Wrong || (token.is_none() && path == "user") {
            return message(StatusCode::UNAUTHORIZED, "401 Unauthorized");
        }
        let pieces: Vec<String> = path.split('/').map(decode).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        match pieces.as_slice() {
            ["user"] => Answer::ok(&json!({ "id": 1, "username": "sentry", "state": "active" })),
            ["personal_access_tokens", "self"] => self.reports.token(token.as_deref()),
            ["version"] => Answer::ok(&json!({ "version": "18.0.0", "revision": "0000000" })),
            ["projects", id, rest @ ..] if access == Access::Granted => {
                self.project(head, id, rest, body)
            }
            ["projects", ..] => message(StatusCode::NOT_FOUND, "404 Project Not Found"),
            _ => message(StatusCode::NOT_FOUND, "404 Not Found"),
        }
    }

    fn project(
        &self,
        head: &hyper::http::request::Parts,
        id: &str,
        rest: &[&str],
        body: &Value,
    ) -> Answer {
        let origin = origin(self.tls, &head.headers);
        let name = self.shelf.name_of(id).unwrap_or_else(|| id.to_owned());
        if let Some(new) = self.shelf.moved(&name) {
            if head.method != Method::GET {
                let text = "Non GET methods are not allowed for moved projects";
                return message(StatusCode::METHOD_NOT_ALLOWED, text);
            }
            let raw = head.uri.path().trim_start_matches(API).splitn(3, '/').nth(2);
            let raw = raw.map(|rest| format!("/{rest}")).unwrap_or_default();
            let url = format!("{origin}{API}projects/{}{raw}", self.shelf.id(&new));
            let body =
                json!({ "message": format!("This resource has been moved permanently to {url}") });
            let status = self.shelf.redirect(StatusCode::MOVED_PERMANENTLY);
            let mut answer = Answer::json(status, &body);
            answer.location = Some(url);
            return answer;
        }
        let Some(repo) = self.shelf.find(&name) else {
            return message(StatusCode::NOT_FOUND, "404 Project Not Found");
        };
        match (&head.method, rest) {
            (&Method::GET, []) => Answer::ok(&self.describe(&origin, &name, &repo)),
            (&Method::GET, ["repository", "branches", branch]) => branch_json(&repo, branch),
            (&Method::GET, ["repository", "commits", reference]) => {
                let sha = repo.branch_at(reference).unwrap_or_else(|| (*reference).to_owned());
                match Commit::read(&repo, &sha) {
                    Some(commit) => Answer::ok(&commit_json(&commit)),
                    None => message(StatusCode::NOT_FOUND, "404 Commit Not Found"),
                }
            }
            (&Method::GET, ["merge_requests"]) => self.merge_requests(head.uri.query(), &name),
            (&Method::GET, ["repository", "compare"]) => reports::compare(&repo, head.uri.query()),
            (&Method::POST, ["statuses", sha]) => {
                let token = token(&head.headers);
                let who = (token.as_deref(), head.headers.contains_key("job-token"));
                self.reports.set_status(who, &name, &repo, sha, body)
            }
            _ => message(StatusCode::NOT_FOUND, "404 Not Found"),
        }
    }

    /// REST API, "List project merge requests".
    fn merge_requests(&self, query: Option<&str>, name: &str) -> Answer {
        let known =
            ["state", "order_by", "sort", "updated_after", "updated_before", "per_page", "page"];
        let of = |key, default| asked(query, key).unwrap_or(default);
        let (state, order, sort) =
            (of("state", "all"), of("order_by", "created_at"), of("sort", "desc"));
        let fits = only_asks(query, &known)
            && ["opened", "closed", "locked", "merged", "all"].contains(&state)
            && ["created_at", "updated_at"].contains(&order)
            && ["asc", "desc"].contains(&sort);
        if !fits {
            return message(StatusCode::BAD_REQUEST, "a parameter does not have a valid value");
        }
        let mut all = self.desk.list(name, |name| self.shelf.find(name));
        let word = |pull: &Pull| match (pull.is_open, pull.is_merged) {
            (true, _) => "opened",
            (false, true) => "merged",
            (false, false) => "closed",
        };
        all.retain(|pull| state == "all" || word(pull) == state);
        if let Some(after) = asked(query, "updated_after") {
            let Ok(after) = decode(after).parse::<sentry_core::clock::Timestamp>() else {
                return message(StatusCode::BAD_REQUEST, "updated_after is invalid");
            };
            all.retain(|pull| pull.updated >= after.as_second());
        }
        if order == "created_at" {
            all.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        }
        if sort == "asc" {
            all.reverse();
        }
        let size = number(asked(query, "per_page")).unwrap_or(20).min(100);
        let page = page(all, number(asked(query, "page")).unwrap_or(1), size);
        let told = |pull: &Pull| {
            json!({
                "id": 5000 + pull.number, "iid": pull.number, "project_id": self.shelf.id(name),
                "title": pull.title, "state": word(pull), "draft": pull.is_draft,
                "author": { "username": pull.author }, "labels": pull.labels, "sha": pull.head,
                "source_branch": pull.source, "target_branch": pull.target,
                "source_project_id": pull.from.as_deref().map(|name| self.shelf.id(name)),
                "target_project_id": self.shelf.id(name), "updated_at": pull.updated_at(),
            })
        };
        Answer::ok(&page.iter().map(told).collect())
    }

    fn describe(&self, origin: &str, name: &str, repo: &BareRepo) -> Value {
        let private = self.tokens.check(None) != Access::Granted;
        json!({
            "id": self.shelf.id(name), "name": name.rsplit('/').next(), "path_with_namespace": name,
            "default_branch": repo.git(&["symbolic-ref", "--short", "HEAD"]),
            "visibility": if private { "private" } else { "public" }, "archived": false,
            "web_url": format!("{origin}/{name}"), "http_url_to_repo": format!("{origin}/{name}.git"),
            "permissions": { "project_access": { "access_level": 30 }, "group_access": null },
        })
    }
}

/// `PRIVATE-TOKEN`, `JOB-TOKEN`, or what [`presented`] finds. (The real one accepts job tokens on fewer endpoints.)
fn token(headers: &HeaderMap) -> Option<String> {
    ["private-token", "job-token"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok().map(str::to_owned))
        .or_else(|| presented(headers))
}

fn branch_json(repo: &BareRepo, branch: &str) -> Answer {
    match repo.branch_at(branch).and_then(|sha| Commit::read(repo, &sha)) {
        Some(commit) => Answer::ok(&json!({
            "name": branch, "commit": commit_json(&commit), "merged": false, "protected": false,
            "default": repo.git(&["symbolic-ref", "--short", "HEAD"]) == branch, "can_push": true,
        })),
        None => message(StatusCode::NOT_FOUND, "404 Branch Not Found"),
    }
}

fn commit_json(commit: &Commit) -> Value {
    json!({
        "id": commit.sha, "short_id": &commit.sha[..8], "parent_ids": commit.parents,
        "title": commit.message.lines().next(), "message": commit.message, "created_at": commit.date,
        "author_name": commit.author, "author_email": commit.email, "authored_date": commit.date,
        "committer_name": commit.author, "committer_email": commit.email, "committed_date": commit.date,
    })
}

fn message(status: StatusCode, text: &str) -> Answer {
    Answer::json(status, &json!({ "message": text }))
}
