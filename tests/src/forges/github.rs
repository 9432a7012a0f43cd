//! GitHub, or GitHub Enterprise Server.
//!
//! Sources: the REST API's reference (commits, apps; `reports` has its own) and its pages on rate limits, conditional
//! requests and best practices.

mod reports;

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::desk::{Desk, Pull, page};
use super::{
    Answer, Budget, Commit, ForgeOptions, PostedStatus, Shelf, asked, now, number, only_asks,
    origin,
};
use crate::gitserver::{Access, GitBackend, GitOptions, Tokens, presented};
use crate::http::{Fault, HttpServer, Reply, decode, lock};
use crate::repo::BareRepo;
use reports::{Report, Reports};

/// The refusal of the secondary rate limit, with `Retry-After` in seconds or without it.
pub fn secondary_limit(retry_after: Option<&str>) -> Fault {
    let fault = Fault::status(403).body(
        &json!({ "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
                 "documentation_url": "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits" })
        .to_string(),
    );
    match retry_after {
        Some(value) => fault.retry_after(value),
        None => fault,
    }
}

/// A fake GitHub on 127.0.0.1. Stops on drop.
#[derive(Debug)]
pub struct GitHub {
    http: HttpServer,
    site: Arc<Site>,
}

impl GitHub {
    /// Serves the bare repositories `root/owner/name.git`. They are public until a token is granted.
    pub fn start(root: &Path, options: ForgeOptions) -> Self {
        let tokens = Tokens::default();
        let site = Arc::new(Site {
            shelf: Shelf::new(root),
            git: GitBackend::new(root, options.git, tokens.clone()),
            tokens,
            desk: Desk::default(),
            prefix: if options.enterprise { "/api/v3" } else { "" },
            tls: options.tls.is_some(),
            budget: Mutex::new(Budget::per_hour(5000)),
            reports: Reports::default(),
            minted: Mutex::new(0),
        });
        let shared = Arc::clone(&site);
        let http = HttpServer::start("github", options.tls, move |request| {
            let site = Arc::clone(&shared);
            Box::pin(async move { site.answer(request).await })
        });
        Self { http, site }
    }

    /// Where the API is: the origin, or its `/api/v3`.
    pub fn api(&self) -> String {
        format!("{}{}", self.http.origin(), self.site.prefix)
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

    /// How the git side behaves from now on.
    pub fn set_git(&self, options: GitOptions) {
        self.site.git.set(options);
    }

    /// Renames `owner/a` to `owner/b`: the old name answers 301 from now on, the id stays.
    pub fn rename(&self, old: &str, new: &str) {
        self.site.shelf.rename(old, new);
    }

    /// What renamed repositories are answered with from now on: 301, 307 or 308.
    pub fn redirect_by(&self, status: u16) {
        self.site.shelf.redirect_by(status);
    }

    /// What is left of the primary rate limit.
    pub fn budget(&self) -> Budget {
        *lock(&self.site.budget)
    }

    /// Sets the primary rate limit.
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

    /// The check runs that were made, as they are now, oldest first.
    pub fn check_runs(&self) -> Vec<Value> {
        lock(&self.site.reports.checks).clone()
    }

    /// What the requests said that made check runs and changed them, oldest first.
    pub fn check_requests(&self) -> Vec<PostedStatus> {
        lock(&self.site.reports.check_requests).clone()
    }

    /// From now on this token reads and sets nothing: a status is answered 404.
    pub fn let_read_only(&self, token: &str) {
        lock(&self.site.reports.readers).insert(token.to_owned());
    }

    /// From now on installations grant these permissions (`checks`: `write`) and no others.
    pub fn set_grants(&self, grants: &[(&str, &str)]) {
        let grants = grants.iter().map(|(name, access)| ((*name).to_owned(), (*access).to_owned()));
        *lock(&self.site.reports.granted) = grants.collect();
    }
}

#[derive(Debug)]
struct Site {
    shelf: Shelf,
    git: GitBackend,
    tokens: Tokens,
    desk: Desk,
    prefix: &'static str,
    tls: bool,
    budget: Mutex<Budget>,
    reports: Reports,
    minted: Mutex<u32>,
}

/// One question to the API.
struct Ask {
    method: Method,
    origin: String,
    headers: HeaderMap,
    query: Option<String>,
    body: Value,
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
        let ask = Ask {
            method: head.method,
            origin: origin(self.tls, &head.headers),
            headers: head.headers,
            query: head.uri.query().map(str::to_owned),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let answer = match head.uri.path().strip_prefix(self.prefix) {
            Some(path) => self.admit(&ask, path),
            None => not_found(),
        };
        self.stamp(answer.conditional(&ask.headers))
    }

    /// Everything that is decided before the path is looked at.
    fn admit(&self, ask: &Ask, path: &str) -> Answer {
        if !ask.headers.contains_key(USER_AGENT) {
            let text = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
            return message(StatusCode::FORBIDDEN, text);
        }
        let token = presented(&ask.headers);
        if path == "/app" || path.starts_with("/app/") || path.ends_with("/installation") {
            return self.app(ask, path, token.as_deref());
        }
        match self.tokens.check(token.as_deref()) {
            Access::Wrong => return message(StatusCode::UNAUTHORIZED, "Bad credentials"),
            Access::Missing => return not_found(),
            Access::Granted => {}
        }
        let budget = self.budget();
        if path == "/rate_limit" {
            let core = json!({ "limit": budget.limit, "remaining": budget.remaining,
                "used": budget.limit.saturating_sub(budget.remaining), "reset": budget.reset });
            return Answer::ok(&json!({ "resources": { "core": core }, "rate": core }));
        }
        if budget.remaining == 0 {
            return message(StatusCode::FORBIDDEN, "API rate limit exceeded for this token.");
        }
        self.route(ask, path)
    }

    fn route(&self, ask: &Ask, path: &str) -> Answer {
        let pieces: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (name, rest) = match pieces.as_slice() {
            ["repos", owner, repo, rest @ ..] => {
                (format!("{}/{}", decode(owner), decode(repo)), rest)
            }
            ["repositories", id, rest @ ..] => match self.shelf.name_of(id) {
                Some(name) => (name, rest),
                None => return not_found(),
            },
            _ => return not_found(),
        };
        if let Some(new) = self.shelf.moved(&name) {
            return self.moved(ask, &new, rest);
        }
        let Some(repo) = self.shelf.find(&name) else { return not_found() };
        let token = presented(&ask.headers);
        let report = Report {
            method: &ask.method,
            token: token.as_deref(),
            name: &name,
            repo: &repo,
            body: &ask.body,
            query: ask.query.as_deref(),
        };
        if let Some(answer) = self.reports.answer(&report, rest) {
            return answer;
        }
        match (&ask.method, rest) {
            (&Method::GET, []) => Answer::ok(&self.describe(ask, &name, &repo)),
            (&Method::GET, ["commits", reference @ ..]) if !reference.is_empty() => {
                commit(ask, &repo, &decode(&reference.join("/")))
            }
            (&Method::GET, ["pulls"]) => self.pulls(ask, &name),
            (&Method::GET, ["branches", branch]) => branch_json(&repo, &decode(branch)),
            _ => not_found(),
        }
    }

    /// REST API, "List pull requests".
    fn pulls(&self, ask: &Ask, name: &str) -> Answer {
        let query = ask.query.as_deref();
        let of = |key, default| asked(query, key).unwrap_or(default);
        let (state, sort, direction) =
            (of("state", "open"), of("sort", "created"), of("direction", "desc"));
        let known = ["state", "head", "base", "sort", "direction", "per_page", "page"];
        let sorts = ["created", "updated", "popularity", "long-running"];
        let fits = only_asks(query, &known)
            && ["open", "closed", "all"].contains(&state)
            && sorts.contains(&sort)
            && ["asc", "desc"].contains(&direction);
        if !fits {
            return message(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
        }
        let mut all = self.desk.list(name, |name| self.shelf.find(name));
        all.retain(|pull| state == "all" || pull.is_open == (state == "open"));
        if sort == "created" {
            all.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        }
        if direction == "asc" {
            all.reverse();
        }
        let size = number(asked(query, "per_page")).unwrap_or(30).min(100);
        let page = page(all, number(asked(query, "page")).unwrap_or(1), size);
        let repo = |name: &str| json!({ "id": self.shelf.id(name), "full_name": name });
        let told = |pull: &Pull| {
            let labels: Vec<Value> =
                pull.labels.iter().map(|name| json!({ "name": name })).collect();
            let base = self.shelf.find(name).and_then(|repo| repo.branch_at(&pull.target));
            json!({
                "number": pull.number, "title": pull.title, "state": if pull.is_open { "open" } else { "closed" },
                "draft": pull.is_draft, "user": { "login": pull.author }, "labels": labels,
                "head": { "ref": pull.source, "sha": pull.head, "repo": pull.from.as_deref().map(repo) },
                "base": { "ref": pull.target, "sha": base.unwrap_or_default(), "repo": repo(name) },
                "updated_at": pull.updated_at(), "author_association": "NONE",
            })
        };
        Answer::ok(&page.iter().map(told).collect())
    }

    fn moved(&self, ask: &Ask, new: &str, rest: &[&str]) -> Answer {
        let mut url = format!("{}{}/repositories/{}", ask.origin, self.prefix, self.shelf.id(new));
        for piece in rest {
            url.push('/');
            url.push_str(piece);
        }
        if let Some(query) = &ask.query {
            url.push('?');
            url.push_str(query);
        }
        let body = json!({ "message": "Moved Permanently", "url": url,
            "documentation_url": "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects" });
        // What is not read keeps its method.
        let status = match ask.method {
            Method::GET => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::TEMPORARY_REDIRECT,
        };
        let mut answer = Answer::json(self.shelf.redirect(status), &body);
        answer.location = Some(url);
        answer
    }

    fn describe(&self, ask: &Ask, name: &str, repo: &BareRepo) -> Value {
        let (owner, short) = name.split_once('/').unwrap_or(("", name));
        let head = repo.git(&["symbolic-ref", "--short", "HEAD"]);
        json!({
            "id": self.shelf.id(name), "name": short, "full_name": name, "owner": { "login": owner, "type": "Organization" },
            "private": self.tokens.check(None) != Access::Granted, "archived": false, "disabled": false,
            "default_branch": head, "url": format!("{}{}/repos/{name}", ask.origin, self.prefix),
            "html_url": format!("{}/{name}", ask.origin), "clone_url": format!("{}/{name}.git", ask.origin),
            "permissions": { "admin": false, "maintain": false, "push": true, "triage": true, "pull": true },
        })
    }

    /// A GitHub App's own questions: they need its JSON web token.
    fn app(&self, ask: &Ask, path: &str, token: Option<&str>) -> Answer {
        if let Err(text) = check_jwt(token) {
            return message(StatusCode::UNAUTHORIZED, text);
        }
        let pieces: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (&ask.method, pieces.as_slice()) {
            (&Method::GET, ["app"]) => {
                Answer::ok(&json!({ "id": 1, "slug": "sentry", "name": "Sentry" }))
            }
            (&Method::GET, ["repos", owner, repo, "installation"])
                if self.shelf.find(&format!("{owner}/{repo}")).is_some() =>
            {
                Answer::ok(&json!({ "id": 42, "app_id": 1, "account": { "login": owner } }))
            }
            (&Method::POST, ["app", "installations", id, "access_tokens"])
                if id.parse::<u64>().is_ok() =>
            {
                let mut minted = lock(&self.minted);
                *minted += 1;
                let token = format!("ghs_installation{id}token{minted}");
                let permissions = match self.reports.mint(&token, &ask.body["permissions"]) {
                    Ok(permissions) => permissions,
                    Err(refusal) => return refusal,
                };
                self.tokens.grant(&token);
                let expires = sentry_core::clock::Timestamp::from_second(now() + 3600)
                    .map(|at| at.to_string())
                    .unwrap_or_default();
                Answer::json(
                    StatusCode::CREATED,
                    &json!({ "token": token, "expires_at": expires, "permissions": permissions,
                        "repository_selection": "selected" }),
                )
            }
            _ => not_found(),
        }
    }

    fn budget(&self) -> Budget {
        let mut budget = lock(&self.budget);
        if budget.reset <= now() {
            *budget = Budget::per_hour(budget.limit);
        }
        *budget
    }

    /// Counts the answer, unless it is "not modified", and says what is left.
    fn stamp(&self, answer: Answer) -> Reply {
        let mut budget = lock(&self.budget);
        if answer.status != StatusCode::NOT_MODIFIED {
            budget.remaining = budget.remaining.saturating_sub(1);
        }
        answer.into_reply(&[
            ("x-ratelimit-limit", &budget.limit.to_string()),
            ("x-ratelimit-remaining", &budget.remaining.to_string()),
            ("x-ratelimit-used", &budget.limit.saturating_sub(budget.remaining).to_string()),
            ("x-ratelimit-reset", &budget.reset.to_string()),
            ("x-ratelimit-resource", "core"),
            ("x-github-request-id", "0000:0000:0000:0000:00000000"),
            ("cache-control", "private, max-age=60, s-maxage=60"),
            ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP"),
        ])
    }
}

/// Its shape, algorithm, issuer and life time; not its signature.
fn check_jwt(token: Option<&str>) -> Result<(), &'static str> {
    let part = |text: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let mut parts = token.unwrap_or_default().split('.');
    let header = parts.next().and_then(part).unwrap_or_default();
    let claims = parts.next().and_then(part).unwrap_or_default();
    if header["alg"] != "RS256" || parts.next().is_none_or(str::is_empty) {
        return Err("A JSON web token could not be decoded");
    }
    if claims["iss"].is_null() {
        return Err("'Issuer' claim ('iss') must be an Integer or String");
    }
    match claims["exp"].as_i64() {
        Some(exp) if exp > now() + 660 => {
            Err("'Expiration time' claim ('exp') is too far in the future")
        }
        Some(exp) if exp > now() => Ok(()),
        _ => Err(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        ),
    }
}

fn commit(ask: &Ask, repo: &BareRepo, reference: &str) -> Answer {
    let full = |prefix: &str| repo.ref_at(&format!("{prefix}{reference}"));
    let sha = if reference.starts_with("heads/") || reference.starts_with("tags/") {
        full("refs/")
    } else {
        full("refs/heads/").or_else(|| full("refs/tags/")).or_else(|| Some(reference.to_owned()))
    };
    let Some(commit) = sha.and_then(|sha| Commit::read(repo, &sha)) else {
        if repo.git(&["for-each-ref", "--count=1"]).is_empty() {
            return message(StatusCode::CONFLICT, "Git Repository is empty.");
        }
        let text = format!("No commit found for SHA: {reference}");
        return message(StatusCode::UNPROCESSABLE_ENTITY, &text);
    };
    let accept = ask.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/vnd.github.sha")
        || accept.contains("application/vnd.github.v3.sha")
    {
        return Answer {
            status: StatusCode::OK,
            content_type: "application/vnd.github.sha; charset=utf-8",
            etag: Some(format!("\"{}\"", commit.sha)),
            body: commit.sha,
            location: None,
        };
    }
    Answer::ok(&commit_json(&commit))
}

fn commit_json(commit: &Commit) -> Value {
    let person = json!({ "name": commit.author, "email": commit.email, "date": commit.date });
    let parents: Vec<_> = commit.parents.iter().map(|sha| json!({ "sha": sha })).collect();
    json!({ "sha": commit.sha, "node_id": format!("C_{}", commit.sha), "parents": parents,
        "author": null, "committer": null,
        "commit": { "message": commit.message, "tree": { "sha": commit.tree }, "author": person, "committer": person } })
}

fn branch_json(repo: &BareRepo, branch: &str) -> Answer {
    match repo.branch_at(branch).and_then(|sha| Commit::read(repo, &sha)) {
        Some(commit) => Answer::ok(
            &json!({ "name": branch, "commit": commit_json(&commit), "protected": false }),
        ),
        None => message(StatusCode::NOT_FOUND, "Branch not found"),
    }
}

fn not_found() -> Answer {
    message(StatusCode::NOT_FOUND, "Not Found")
}

fn message(status: StatusCode, text: &str) -> Answer {
    let body = json!({ "message": text, "documentation_url": "https://docs.github.com/rest",
        "status": status.as_u16().to_string() });
    Answer::json(status, &body)
}
