//! Our requests against the vendors' own API descriptions, by a validating mock of them: Prism, say,
//! with `SENTRY_FORGE_GITHUB_API=http://127.0.0.1:4010` and `SENTRY_FORGE_GITLAB_API=http://127.0.0.1:4011`. GitLab's
//! mock is asked below `/api/v4`. A request that breaks the description is answered 422 with `violations`.
//!
//! What the mocks answer are examples, so outcomes do not count here; that every request was accepted does.

use std::env;

use sentry_core::forge::{Reporter, Source};
use sentry_core::repo::RepoUrl;
use serde_json::Value;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::common::*;
use crate::support::*;

/// Collects what a forge sends to it.
async fn recorder() -> MockServer {
    let server = MockServer::start().await;
    let empty = ResponseTemplate::new(503);
    Mock::given(any()).respond_with(empty).mount(&server).await;
    server
}

/// Sends recorded requests to the mock and returns what it says is wrong with them.
async fn violations(api: &str, below: &str, requests: Vec<Request>) -> Vec<String> {
    let client = reqwest::Client::new();
    let mut wrong = Vec::new();
    for request in requests {
        let path = request.url.path().strip_prefix(below).unwrap().to_owned();
        let query = request.url.query().map(|q| format!("?{q}")).unwrap_or_default();
        let url = format!("{}{path}{query}", api.trim_end_matches('/'));
        let mut headers = request.headers.clone();
        headers.remove("host");
        let answer = client
            .request(request.method.clone(), url)
            .headers(headers)
            .body(request.body.clone())
            .send()
            .await
            .unwrap();
        let (code, found) = (answer.status(), answer.headers().get("sl-violations").cloned());
        let text = answer.text().await.unwrap();
        let shown = format!("{} {path}{query}: {code} {found:?} {text}", request.method);
        let is_violation = |v: &Value| v["type"].as_str().is_some_and(|t| t.contains("prism"));
        let refused = serde_json::from_str(&text).is_ok_and(|v: Value| is_violation(&v));
        // The mocks also report where their own examples break the description: those are not ours.
        let ours = found.is_some_and(|v| v.to_str().is_ok_and(|v| v.contains("\"request\"")));
        if refused || ours {
            wrong.push(shown);
        }
    }
    wrong
}

async fn ask_everything(forge: &(impl Reporter + Source), repo: &RepoUrl) {
    for state in STATES {
        let mut status = status(state);
        let _ = forge.set_status(repo, &status).await;
        status.link = None;
        status.context = "odd \"context\" #1 ü".into();
        let _ = forge.set_status(repo, &status).await;
    }
    let _ = forge.changes(&difference(repo)).await;
}

fn only_api(requests: Vec<Request>, below: &str) -> Vec<Request> {
    requests.into_iter().filter(|r| r.url.path().starts_with(below)).collect()
}

#[tokio::test]
async fn githubs_description_accepts_our_requests() {
    let api = env::var("SENTRY_FORGE_GITHUB_API").expect("it names a mock");
    let server = recorder().await;
    let repo = hub_repo(&server);
    ask_everything(&hub(&server), &repo).await;
    let app_server = MockServer::start().await;
    grants(&app_server, "checks", "write").await;
    let none = crate::common::json(200, &serde_json::json!({"total_count": 0, "check_runs": []}));
    Mock::given(wiremock::matchers::method("GET")).respond_with(none).mount(&app_server).await;
    let made = serde_json::json!({"id": 4, "status": "in_progress"});
    always(&app_server, crate::common::json(201, &made)).await;
    let forge = hub_with(&app_server, app(), None);
    for state in STATES {
        forge.set_status(&hub_repo(&app_server), &status(state)).await.unwrap();
    }
    let mut requests = only_api(received(&server).await, "/api/v3");
    requests.extend(only_api(received(&app_server).await, "/api/v3"));
    let sent = requests.len();
    let wrong = violations(&api, "/api/v3", requests).await;
    eprintln!("{sent} requests to GitHub's description, {} violations", wrong.len());
    assert!(sent >= 16 && wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn gitlabs_description_accepts_our_requests() {
    let api = env::var("SENTRY_FORGE_GITLAB_API").expect("it names a mock");
    let server = recorder().await;
    ask_everything(&lab(&server), &lab_repo(&server)).await;
    let requests = only_api(received(&server).await, "/api/v4");
    let sent = requests.len();
    let wrong = violations(&api, "", requests).await;
    eprintln!("{sent} requests to GitLab's description, {} violations", wrong.len());
    assert!(sent >= 11 && wrong.is_empty(), "{wrong:#?}");
}
