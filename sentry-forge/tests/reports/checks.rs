//! Check runs, which a GitHub App makes instead of statuses.

use sentry_core::forge::{ForgeErrorKind, Reporter as _, StatusState};
use sentry_forge::github::GitHubAuth;
use serde_json::{Value, json as value};
use wiremock::matchers::{method, path, path_regex, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::common::*;
use crate::support::*;

fn run(id: u64, delivery: &str, status: &str) -> Value {
    value!({"id": id, "external_id": delivery, "status": status, "app": {"id": 12}})
}

fn list(runs: &[Value]) -> ResponseTemplate {
    json(200, &value!({"total_count": runs.len(), "check_runs": runs}))
}

/// A server whose App may write checks, and which has these check runs on the commit.
async fn with_runs(runs: &[Value]) -> MockServer {
    let server = MockServer::start().await;
    grants(&server, "checks", "write").await;
    grants_nothing_else(&server).await;
    Mock::given(method("GET"))
        .and(path(format!("/api/v3/repos/o/r/commits/{}/check-runs", sha('a'))))
        .and(query_param("check_name", "sentry-gitops/qa"))
        .and(query_param("filter", "latest"))
        .and(query_param("app_id", "12"))
        .respond_with(list(runs))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/api/v3/repos/o/r/check-runs"))
        .respond_with(json(201, &run(5, DELIVERY, "in_progress")))
        .mount(&server)
        .await;
    Mock::given(method("PATCH"))
        .and(path_regex("^/api/v3/repos/o/r/check-runs/[0-9]+$"))
        .respond_with(json(200, &run(5, DELIVERY, "completed")))
        .mount(&server)
        .await;
    server
}

/// What was asked, without the making of tokens: `METHOD last segment of the path`.
async fn asked(server: &MockServer) -> Vec<String> {
    let requests = received(server).await;
    let ours = requests.iter().filter(|r| !r.url.path().contains("access_tokens"));
    let shown = |r: &Request| format!("{} {}", r.method, r.url.path().rsplit('/').next().unwrap());
    ours.map(shown).collect()
}

async fn writes(server: &MockServer) -> Vec<Request> {
    let is_write = |r: &Request| r.method != "GET" && !r.url.path().contains("access_tokens");
    received(server).await.into_iter().filter(is_write).collect()
}

#[tokio::test]
async fn a_delivery_makes_one_check_run_and_changes_it() {
    let server = with_runs(&[]).await;
    let (forge, repo) = (hub_with(&server, app(), None), hub_repo(&server));
    forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap();
    forge.set_status(&repo, &status(StatusState::Success)).await.unwrap();
    assert_eq!(asked(&server).await, ["GET check-runs", "POST check-runs", "PATCH 5"]);
    let writes = writes(&server).await;
    let mut expected = value!({
        "name": "sentry-gitops/qa", "head_sha": sha('a'), "external_id": DELIVERY,
        "status": "in_progress",
        "details_url": "https://sentry.example.com/deliveries/01?a=b&c=d#e",
        "output": {"title": "2 runs are under way", "summary": format!("Delivery `{DELIVERY}`")},
    });
    assert_eq!(body(&writes[0]), expected);
    expected["status"] = "completed".into();
    expected["conclusion"] = "success".into();
    expected.as_object_mut().unwrap().remove("head_sha");
    assert_eq!(body(&writes[1]), expected);
    assert!(writes.iter().all(|request| bearer(request) == "ghs_checks"));
}

#[tokio::test]
async fn every_state_has_its_conclusion() {
    let conclusions = [
        value!(null),
        value!("success"),
        value!("failure"),
        value!("action_required"),
        value!("cancelled"),
        value!("neutral"),
    ];
    for (state, conclusion) in STATES.into_iter().zip(conclusions) {
        let server = with_runs(&[]).await;
        let forge = hub_with(&server, app(), None);
        forge.set_status(&hub_repo(&server), &status(state)).await.unwrap();
        let sent = body(&writes(&server).await[0]);
        assert_eq!(sent["conclusion"], conclusion, "{state:?}");
        assert_eq!(sent["status"] == "completed", !conclusion.is_null());
    }
}

#[tokio::test]
async fn after_a_restart_the_deliverys_own_check_run_is_found_and_no_other() {
    let other = "01j0000000000000000000000b";
    let foreign =
        value!({"id": 8, "external_id": DELIVERY, "status": "in_progress", "app": {"id": 99}});
    for (runs, state, expected) in [
        (vec![run(6, DELIVERY, "in_progress")], StatusState::Success, "PATCH 6"),
        (vec![run(6, DELIVERY, "in_progress")], StatusState::Pending, "PATCH 6"),
        (vec![run(6, DELIVERY, "completed")], StatusState::Success, "PATCH 6"),
        (vec![run(6, DELIVERY, "completed")], StatusState::Pending, "POST check-runs"),
        (vec![run(7, other, "in_progress")], StatusState::Success, "PATCH 7"),
        (vec![run(7, other, "completed")], StatusState::Success, "POST check-runs"),
        (vec![foreign], StatusState::Success, "POST check-runs"),
    ] {
        let server = with_runs(&runs).await;
        let forge = hub_with(&server, app(), None);
        forge.set_status(&hub_repo(&server), &status(state)).await.unwrap();
        assert_eq!(asked(&server).await, ["GET check-runs", expected], "{runs:?}");
    }
}

#[tokio::test]
async fn an_app_without_checks_sets_statuses_and_does_not_try_again() {
    let server = MockServer::start().await;
    grants(&server, "statuses", "write").await;
    grants_nothing_else(&server).await;
    Mock::given(path_regex("/statuses/"))
        .respond_with(json(201, &value!({"id": 1, "state": "x", "context": "y"})))
        .mount(&server)
        .await;
    let (forge, repo) = (hub_with(&server, app(), None), hub_repo(&server));
    for state in [StatusState::Pending, StatusState::Success] {
        forge.set_status(&repo, &status(state)).await.unwrap();
    }
    let requests = received(&server).await;
    let tokens = requests.iter().filter(|r| r.url.path().contains("access_tokens"));
    assert_eq!(tokens.map(body).collect::<Vec<_>>().len(), 2, "one refused, one made");
    assert!(writes(&server).await.iter().all(|r| bearer(r) == "ghs_statuses"));
    assert_eq!(writes(&server).await.len(), 2);
}

#[tokio::test]
async fn a_refused_check_run_becomes_a_status_once_and_for_the_next_hour() {
    let server = MockServer::start().await;
    grants(&server, "checks", "write").await;
    grants(&server, "statuses", "write").await;
    Mock::given(path_regex("check-runs"))
        .respond_with(json(403, &value!({"message": "Resource not accessible by integration"})))
        .mount(&server)
        .await;
    Mock::given(path_regex("/statuses/"))
        .respond_with(json(201, &value!({"id": 1, "state": "x", "context": "y"})))
        .mount(&server)
        .await;
    let (forge, repo) = (hub_with(&server, app(), None), hub_repo(&server));
    for state in [StatusState::Pending, StatusState::Success] {
        forge.set_status(&repo, &status(state)).await.unwrap();
    }
    let commit = sha('a');
    let set = format!("POST {commit}");
    assert_eq!(asked(&server).await, ["GET check-runs", set.as_str(), set.as_str()]);
}

#[tokio::test]
async fn an_app_with_neither_right_is_told_what_it_lacks() {
    let server = MockServer::start().await;
    grants_nothing_else(&server).await;
    let (forge, repo) = (hub_with(&server, app(), None), hub_repo(&server));
    for _ in 0..3 {
        let error = forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unauthorized, "{error}");
    }
    assert_eq!(received(&server).await.len(), 2, "one try for each permission");
}

#[tokio::test]
async fn an_app_with_a_token_for_statuses_makes_no_check_runs() {
    let server = MockServer::start().await;
    Mock::given(path_regex("/statuses/"))
        .respond_with(json(201, &value!({"id": 1, "state": "x", "context": "y"})))
        .mount(&server)
        .await;
    let forge = hub_with(&server, app(), Some(reporter()));
    forge.set_status(&hub_repo(&server), &status(StatusState::Pending)).await.unwrap();
    let requests = received(&server).await;
    assert_eq!((requests.len(), bearer(&requests[0])), (1, REPORTER));
}

#[tokio::test]
async fn answers_become_kinds() {
    use ForgeErrorKind::{
        NotFound, RateLimited, Unauthorized, Unreachable, Unsupported, WrongAnswer,
    };
    let html = ResponseTemplate::new(200).set_body_raw("<html>", "text/html");
    for (answer, kind) in [
        (json(401, &value!({"message": "Bad credentials"})), Unauthorized),
        (json(422, &value!({"message": "No commit found for SHA: x"})), NotFound),
        (json(422, &value!({"message": "Invalid request."})), Unsupported),
        (json(403, &value!({"message": "secondary rate limit"})), RateLimited),
        (json(502, &value!({})), Unreachable),
        (html, WrongAnswer),
        (json(201, &value!({"id": "x"})), WrongAnswer),
    ] {
        let server = MockServer::start().await;
        grants(&server, "checks", "write").await;
        Mock::given(method("GET")).respond_with(list(&[])).mount(&server).await;
        Mock::given(path("/api/v3/repos/o/r/check-runs")).respond_with(answer).mount(&server).await;
        let forge = hub_with(&server, app(), None);
        let error = forge.set_status(&hub_repo(&server), &status(StatusState::Pending)).await;
        assert_eq!(error.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_no_reason_to_do_without_checks() {
    let server = MockServer::start().await;
    always(&server, json(401, &value!({"message": "A JSON web token could not be decoded"}))).await;
    let forge = hub_with(&server, app(), None);
    let error = forge.set_status(&hub_repo(&server), &status(StatusState::Pending)).await;
    assert_eq!(error.unwrap_err().kind(), ForgeErrorKind::Unauthorized);
    assert_eq!(received(&server).await.len(), 1);
    let GitHubAuth::App { key, .. } = app() else { unreachable!() };
    assert!(!format!("{key:?}").contains("PRIVATE"));
}
