//! Gitea behind the port, against a server with Gitea's request and answer shapes.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod common;

use common::*;
use sentry_core::forge::{
    CommitStatus, ForgeErrorKind, Heads as _, HeadsAnswer, Reporter as _, Source as _, StatusState,
};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Secret;
use sentry_core::testing::sample;
use sentry_forge::Hosted;
use sentry_forge::credential::Credential;
use sentry_forge::gitea::GiteaSettings;
use serde_json::json as value;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const REPORTER: &str = "tok_for-statuses-only-123";

/// A Gitea below `/git` of its server.
fn tea(server: &MockServer, report: Option<&str>) -> Hosted {
    let (http, git) = network();
    let settings = GiteaSettings {
        name: "gitea".into(),
        url: format!("{}/git", server.uri()).parse().unwrap(),
        credential: token(),
        report: report.map(|token| Credential::Token(Secret::new(token).into())),
        http,
        git,
    };
    Hosted::gitea(settings).unwrap()
}

fn repo(server: &MockServer) -> RepoUrl {
    format!("{}/git/o/r.git", server.uri()).parse().unwrap()
}

fn status(state: StatusState) -> CommitStatus {
    CommitStatus {
        revision: revision('a'),
        context: "sentry-gitops/qa".into(),
        state,
        description: "2 runs are under way".into(),
        link: Some("https://sentry.example.com/deliveries/01".into()),
        delivery: Some("01j0000000000000000000000a".parse().unwrap()),
        subjects: vec![sample::subject("main")],
    }
}

async fn has_repo(server: &MockServer, push: bool) {
    let facts = value!({
        "id": 7, "full_name": "o/r", "clone_url": format!("{}/git/o/r.git", server.uri()),
        "default_branch": "main", "permissions": {"admin": false, "push": push, "pull": true},
    });
    let asked = Mock::given(method("GET")).and(path("/git/api/v1/repos/o/r"));
    asked.respond_with(json(200, &facts)).mount(server).await;
    let upload = Mock::given(method("POST")).and(path("/git/o/r.git/git-upload-pack"));
    let head = refs(&[("HEAD", 'a'), ("refs/heads/main", 'a')]);
    upload.respond_with(head).mount(server).await;
}

#[tokio::test]
async fn heads_are_asked_by_git_with_the_token_as_password() {
    let server = MockServer::start().await;
    has_repo(&server, true).await;
    let forge = tea(&server, None);
    let url = repo(&server).to_string();
    let found = heads(forge.heads(&[query(&url, &["main"], None)]).await.remove(0));
    assert_eq!(shown(&found), ["main=a"]);
    let requests = received(&server).await;
    assert_eq!(requests.len(), 1, "one question and nothing of the API");
    let sent = requests[0].headers["authorization"].to_str().unwrap();
    let expected = sentry_forge::credential::basic("git", &Secret::new(TOKEN)).unwrap();
    assert_eq!(sent, expected.to_str().unwrap());
    let again = forge.heads(&[query(&url, &["main"], found.validator)]).await.remove(0).unwrap();
    assert_eq!(again, HeadsAnswer::NotModified);
}

#[tokio::test]
async fn a_commit_is_read_without_what_is_dear_to_tell() {
    let server = MockServer::start().await;
    let commit = value!({"sha": sha('a'), "commit": {"message": "fix", "author": {"name": "Ann"},
        "committer": {"date": "2017-02-01T22:04:11+01:00"}}});
    Mock::given(path(format!("/git/api/v1/repos/o/r/git/commits/{}", sha('a'))))
        .and(query_param("stat", "false"))
        .and(query_param("files", "false"))
        .and(query_param("verification", "false"))
        .and(header("authorization", format!("token {TOKEN}").as_str()))
        .respond_with(json(200, &commit))
        .mount(&server)
        .await;
    let info = tea(&server, None).commit(&repo(&server), &revision('a')).await.unwrap();
    assert_eq!((info.message.as_str(), info.author.as_str()), ("fix", "Ann"));
    assert_eq!(info.committed, "2017-02-01T21:04:11Z".parse().ok());
}

#[tokio::test]
async fn a_missing_commit_is_told_from_a_missing_repository() {
    for there in [true, false] {
        let server = MockServer::start().await;
        if there {
            has_repo(&server, true).await;
        }
        Mock::given(method("GET"))
            .respond_with(json(404, &value!({"message": "not found", "url": "x"})))
            .with_priority(9)
            .mount(&server)
            .await;
        let error = tea(&server, None).commit(&repo(&server), &revision('b')).await.unwrap_err();
        let expected = if there { ForgeErrorKind::NoCommit } else { ForgeErrorKind::NotFound };
        assert_eq!(error.kind(), expected, "{error}");
    }
}

#[tokio::test]
async fn every_state_has_its_word_and_is_set_by_the_token_for_statuses() {
    for (state, word) in [
        (StatusState::Pending, "pending"),
        (StatusState::Success, "success"),
        (StatusState::Failure, "failure"),
        (StatusState::Error, "error"),
        (StatusState::Cancelled, "error"),
        (StatusState::Neutral, "success"),
    ] {
        let server = MockServer::start().await;
        let at = format!("/git/api/v1/repos/o/r/statuses/{}", sha('a'));
        let set = json(201, &value!({"id": 1, "status": word, "context": "x"}));
        Mock::given(method("POST")).and(path(at)).respond_with(set).mount(&server).await;
        tea(&server, Some(REPORTER)).set_status(&repo(&server), &status(state)).await.unwrap();
        let sent = &received(&server).await[0];
        assert_eq!(sent.headers["authorization"], format!("token {REPORTER}"));
        let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
        let expected = value!({
            "state": word, "context": "sentry-gitops/qa", "description": "2 runs are under way",
            "target_url": "https://sentry.example.com/deliveries/01",
        });
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn answers_to_a_status_become_kinds() {
    use ForgeErrorKind::{RateLimited, Unauthorized, Unreachable, Unsupported, WrongAnswer};
    let message = |status, text: &str| json(status, &value!({"message": text, "url": "x"}));
    let html = ResponseTemplate::new(200).set_body_raw("<html>", "text/html");
    for (answer, kind) in [
        (message(400, "sha not given"), Unsupported),
        (message(401, "invalid username, password or token"), Unauthorized),
        (message(403, "token does not have at least one of required scope(s)"), Unauthorized),
        (message(404, "not found"), Unauthorized),
        (message(422, "invalid"), Unsupported),
        (ResponseTemplate::new(429), RateLimited),
        (message(500, ""), Unreachable),
        (html, WrongAnswer),
    ] {
        let server = MockServer::start().await;
        always(&server, answer).await;
        let set = tea(&server, None).set_status(&repo(&server), &status(StatusState::Error)).await;
        let error = set.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!all_texts(&error).contains(TOKEN));
    }
}

#[tokio::test]
async fn a_token_tells_by_its_owners_rights_what_it_may_not_do_and_not_by_its_scopes() {
    for (push, expected, rights) in [(true, None, "push, pull"), (false, Some(false), "pull")] {
        let server = MockServer::start().await;
        has_repo(&server, push).await;
        let probe = tea(&server, None).probe(&repo(&server)).await.unwrap();
        assert_eq!((probe.can_read, probe.can_report), (true, expected), "{probe:?}");
        assert_eq!(
            (probe.rights.as_str(), probe.default_branch.as_deref()),
            (rights, Some("main"))
        );
        assert!(probe.reporting.contains("write:repository"), "{probe:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_for_it_names_no_repository_that_is_known() {
    let server = MockServer::start().await;
    let new = format!("{}/git/api/v1/repos/new/name", server.uri());
    let moved = ResponseTemplate::new(307).insert_header("location", new.as_str());
    Mock::given(method("GET")).respond_with(moved).mount(&server).await;
    let error = tea(&server, None).commit(&repo(&server), &revision('a')).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer);
    assert!(error.hint().unwrap().contains("its new address"), "{error:?}");
    assert_eq!(received(&server).await.len(), 1);
}

#[tokio::test]
async fn a_probe_of_another_hosts_repository_asks_nobody() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    for each in [&server, &other] {
        has_repo(each, true).await;
    }
    let error = tea(&server, None).probe(&repo(&other)).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
    assert!(received(&server).await.is_empty() && received(&other).await.is_empty());
}
