//! Whether statuses may be set, told without one being set.

use sentry_core::secret::Secret;
use sentry_forge::credential::Credential;
use sentry_forge::github::GitHubAuth;
use sentry_forge::gitlab::GitLabToken;
use serde_json::json as value;
use wiremock::matchers::{header, method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::common::*;
use crate::support::*;

fn as_token(token: &str) -> String {
    format!("Bearer {token}")
}

/// A repository that the reading token sees; nobody may write in these tests.
async fn hub_server(private: bool, push: bool, scopes: Option<&str>) -> MockServer {
    let server = MockServer::start().await;
    let facts = value!({
        "id": 7, "full_name": "o/r", "default_branch": "main", "private": private,
        "clone_url": format!("{}/o/r.git", server.uri()),
        "permissions": {"push": push, "pull": true},
    });
    let mut answer = json(200, &facts);
    if let Some(scopes) = scopes {
        answer = answer.insert_header("x-oauth-scopes", scopes);
    }
    Mock::given(path("/api/v3/repos/o/r")).respond_with(answer).mount(&server).await;
    let head = ResponseTemplate::new(200).set_body_raw(sha('a'), "application/vnd.github.sha");
    Mock::given(path_regex("/commits/heads")).respond_with(head).mount(&server).await;
    server
}

#[tokio::test]
async fn a_token_of_github_tells_by_its_scopes_or_not_at_all() {
    for (private, push, scopes, expected) in [
        (true, true, Some("repo, gist"), Some(true)),
        (true, true, Some("repo:status"), Some(true)),
        (false, true, Some("public_repo"), Some(true)),
        (true, true, Some("public_repo"), Some(false)),
        (true, true, Some("read:org"), Some(false)),
        (true, false, Some("repo"), Some(false)),
        (true, true, None, None),
        (true, false, None, Some(false)),
    ] {
        let server = hub_server(private, push, scopes).await;
        let probe = hub(&server).probe(&hub_repo(&server)).await.unwrap();
        assert_eq!(probe.can_report, expected, "{scopes:?} {probe:?}");
        assert!(probe.can_read && !probe.reporting.is_empty());
        assert!(received(&server).await.iter().all(|r| r.method == "GET"));
    }
}

#[tokio::test]
async fn a_token_for_statuses_may_be_blind_to_the_repository() {
    let server = hub_server(true, true, None).await;
    let blind = json(404, &value!({"message": "Not Found"}));
    for (scopes, expected) in [("repo:status", Some(true)), ("gist", Some(false))] {
        let token = format!("tok_{scopes}");
        Mock::given(header("authorization", as_token(&token).as_str()))
            .respond_with(blind.clone().insert_header("x-oauth-scopes", scopes))
            .with_priority(1)
            .mount(&server)
            .await;
        let report = Some(Credential::Token(Secret::new(token).into()));
        let forge = hub_with(&server, GitHubAuth::Token(crate::common::token()), report);
        let probe = forge.probe(&hub_repo(&server)).await.unwrap();
        assert_eq!((probe.can_read, probe.can_report), (true, expected));
    }
}

#[tokio::test]
async fn an_app_tells_by_the_tokens_that_its_installation_grants() {
    for (granted, expected) in
        [(&["checks", "statuses"][..], Some(true)), (&["statuses"], Some(true)), (&[], Some(false))]
    {
        let server = hub_server(true, false, None).await;
        grants(&server, "contents", "read").await;
        for permission in granted {
            grants(&server, permission, "write").await;
        }
        grants_nothing_else(&server).await;
        let probe = hub_with(&server, app(), None).probe(&hub_repo(&server)).await.unwrap();
        assert_eq!(probe.can_report, expected, "{granted:?} {probe:?}");
    }
}

#[tokio::test]
async fn a_token_of_gitlab_tells_by_role_and_scopes() {
    for (level, own, expected) in [
        (30, json(200, &value!({"id": 1, "scopes": ["api"]})), Some(true)),
        (30, json(200, &value!({"id": 1, "scopes": ["read_api", "read_repository"]})), Some(false)),
        (20, json(200, &value!({"id": 1, "scopes": ["api"]})), Some(false)),
        (40, json(404, &value!({"message": "404 Not Found"})), None),
        (40, json(401, &value!({"message": "401 Unauthorized"})), None),
    ] {
        let server = MockServer::start().await;
        let facts = value!({
            "id": 9, "path_with_namespace": "g/sub/p", "default_branch": null,
            "http_url_to_repo": format!("{}/g/sub/p.git", server.uri()),
            "permissions": {"project_access": {"access_level": level}, "group_access": null},
        });
        Mock::given(method("GET"))
            .and(path("/api/v4/projects/g%2Fsub%2Fp"))
            .respond_with(json(200, &facts))
            .mount(&server)
            .await;
        Mock::given(method("GET"))
            .and(path("/api/v4/personal_access_tokens/self"))
            .and(header("authorization", as_token(REPORTER).as_str()))
            .respond_with(own)
            .mount(&server)
            .await;
        let forge = lab_with(&server, GitLabToken::Private, Some(reporter()));
        let probe = forge.probe(&lab_repo(&server)).await.unwrap();
        assert_eq!(probe.can_report, expected, "{level} {probe:?}");
    }
}

#[tokio::test]
async fn a_jobs_token_sets_none() {
    let server = MockServer::start().await;
    always(&server, refs(&[("HEAD", 'a'), ("refs/heads/main", 'a')])).await;
    let probe = lab_with(&server, GitLabToken::Job, None).probe(&lab_repo(&server)).await.unwrap();
    assert_eq!((probe.can_read, probe.can_report), (true, Some(false)));
    assert!(probe.reporting.contains("report_token"));
}
