//! GitHub's commit statuses.

use std::time::Duration;

use sentry_core::forge::{ForgeErrorKind, Heads as _, HeadsAnswer, Reporter as _, StatusState};
use sentry_core::retry::Retry;
use sentry_forge::github::GitHubAuth;
use serde_json::json as value;
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::common::*;
use crate::support::*;

fn set() -> ResponseTemplate {
    json(201, &value!({"id": 1, "state": "pending", "context": "sentry-gitops/qa"}))
}

fn heads_answer() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(sha('a'), "application/vnd.github.sha; charset=utf-8")
}

#[tokio::test]
async fn every_state_has_its_word_and_a_neutral_end_is_a_success_with_its_text() {
    let words = ["pending", "success", "failure", "error", "error", "success"];
    for (state, word) in STATES.into_iter().zip(words) {
        let server = MockServer::start().await;
        let at = format!("/api/v3/repos/o/r/statuses/{}", sha('a'));
        Mock::given(method("POST")).and(path(at)).respond_with(set()).mount(&server).await;
        hub(&server).set_status(&hub_repo(&server), &status(state)).await.unwrap();
        let requests = received(&server).await;
        assert_eq!(
            body(&requests[0]),
            value!({
                "state": word, "context": "sentry-gitops/qa", "description": "2 runs are under way",
                "target_url": "https://sentry.example.com/deliveries/01?a=b&c=d#e",
            })
        );
        assert_eq!(bearer(&requests[0]), TOKEN);
        assert_eq!(requests[0].headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn a_long_text_is_cut_between_characters_and_odd_contexts_are_sent_as_they_are() {
    let server = MockServer::start().await;
    always(&server, set()).await;
    let mut status = status(StatusState::Failure);
    status.description = "ü🚀".repeat(100);
    status.context = "a \"b\" \\ #1 ü/🚀".into();
    status.link = Some("javascript:alert(1)".into());
    hub(&server).set_status(&hub_repo(&server), &status).await.unwrap();
    let sent = body(&received(&server).await[0]);
    let text = sent["description"].as_str().unwrap();
    assert_eq!(text.chars().count(), 140);
    assert!(text.starts_with("ü🚀ü") && text.ends_with("ü…"), "{text}");
    assert_eq!(sent["context"], "a \"b\" \\ #1 ü/🚀");
    assert!(sent.get("target_url").is_none(), "no link that is no web address");
    status.description = "ü".repeat(140);
    hub(&server).set_status(&hub_repo(&server), &status).await.unwrap();
    assert_eq!(body(&received(&server).await[1])["description"], "ü".repeat(140));
}

#[tokio::test]
async fn answers_become_kinds_that_say_whether_to_try_again() {
    use ForgeErrorKind::{
        NotFound, RateLimited, Unauthorized, Unreachable, Unsupported, WrongAnswer,
    };
    let message = |status, text: &str| json(status, &value!({"message": text}));
    let html = ResponseTemplate::new(200).set_body_raw("<html>", "text/html");
    let cut = ResponseTemplate::new(201).set_body_raw("{\"id\": 1, \"sta", "application/json");
    for (answer, kind) in [
        (message(401, "Bad credentials"), Unauthorized),
        (message(403, "Resource not accessible by personal access token"), Unauthorized),
        (message(404, "Not Found"), Unauthorized),
        (message(409, "Conflict"), Unreachable),
        (message(422, &format!("No commit found for SHA: {}", sha('a'))), NotFound),
        (message(422, "Validation Failed"), Unsupported),
        (message(429, "slow down").insert_header("retry-after", "30"), RateLimited),
        (message(403, "secondary rate limit").insert_header("retry-after", "30"), RateLimited),
        (message(500, "oops"), Unreachable),
        (message(503, "oops"), Unreachable),
        (html, WrongAnswer),
        (cut, WrongAnswer),
        (json(201, &value!({"id": 1})), WrongAnswer),
        (ResponseTemplate::new(204), WrongAnswer),
    ] {
        let server = MockServer::start().await;
        always(&server, answer).await;
        let repo = hub_repo(&server);
        let error = hub(&server).set_status(&repo, &status(StatusState::Pending)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(received(&server).await.len(), 1, "{error}");
        if kind == RateLimited {
            let Retry::After(wait) = error.retry() else { panic!("no wait") };
            assert!(wait > Duration::ZERO && wait <= Duration::from_secs(32), "{wait:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_right_is_named_and_hurts_no_reading() {
    for code in [403, 404] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path_regex("/statuses/"))
            .respond_with(json(code, &value!({"message": "Not Found"})))
            .mount(&server)
            .await;
        Mock::given(path_regex("/commits/")).respond_with(heads_answer()).mount(&server).await;
        Mock::given(path_regex("/git-upload-pack$"))
            .respond_with(refs(&[("HEAD", 'a'), ("refs/heads/x", 'a')]))
            .mount(&server)
            .await;
        let (forge, repo) = (hub(&server), hub_repo(&server));
        let error = forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unauthorized);
        let hint = error.hint().unwrap();
        assert!(hint.contains("Commit statuses: write") && hint.contains("repo:status"), "{hint}");
        for _ in 0..3 {
            forge.set_status(&repo, &status(StatusState::Success)).await.unwrap_err();
            let queries =
                [query(repo.as_str(), &["main"], None), query(repo.as_str(), &["x*"], None)];
            let answers = forge.heads(&queries).await;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        }
        let posts = received(&server).await;
        let posts = posts.iter().filter(|r| r.url.path().contains("/statuses/")).count();
        assert_eq!(posts, 1, "the refusal is remembered");
    }
}

#[tokio::test]
async fn a_limit_met_by_a_status_is_a_limit_for_all_of_the_token_but_not_for_another() {
    for apart in [false, true] {
        let server = MockServer::start().await;
        let text = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation.";
        Mock::given(path_regex("/statuses/"))
            .respond_with(json(403, &value!({"message": text})).insert_header("retry-after", "60"))
            .mount(&server)
            .await;
        Mock::given(path_regex("/commits/")).respond_with(heads_answer()).mount(&server).await;
        let report = apart.then(reporter);
        let forge = hub_with(&server, GitHubAuth::Token(token()), report);
        let repo = hub_repo(&server);
        let error = forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::RateLimited);
        let answer = forge.heads(&[query(repo.as_str(), &["main"], None)]).await.remove(0);
        assert_eq!(answer.is_ok(), apart, "{answer:?}");
    }
}

#[tokio::test]
async fn a_token_for_statuses_sets_statuses_and_reads_nothing() {
    let server = MockServer::start().await;
    Mock::given(path_regex("/statuses/")).respond_with(set()).mount(&server).await;
    Mock::given(path_regex("/commits/")).respond_with(heads_answer()).mount(&server).await;
    let forge = hub_with(&server, GitHubAuth::Token(token()), Some(reporter()));
    let repo = hub_repo(&server);
    forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap();
    let found = heads(forge.heads(&[query(repo.as_str(), &["main"], None)]).await.remove(0));
    assert_eq!(shown(&found), ["main=a"]);
    let tokens: Vec<_> = received(&server).await.iter().map(|r| bearer(r).to_owned()).collect();
    assert_eq!(tokens, [REPORTER, TOKEN]);
}

#[tokio::test]
async fn a_refused_token_for_statuses_leaves_the_reading_one_alone() {
    let server = MockServer::start().await;
    Mock::given(path_regex("/statuses/"))
        .respond_with(json(401, &value!({"message": "Bad credentials"})))
        .mount(&server)
        .await;
    Mock::given(path_regex("/commits/")).respond_with(heads_answer()).mount(&server).await;
    let forge = hub_with(&server, GitHubAuth::Token(token()), Some(reporter()));
    let repo = hub_repo(&server);
    for _ in 0..3 {
        let error = forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unauthorized);
    }
    let again = forge.heads(&[query(repo.as_str(), &["main"], None)]).await.remove(0).unwrap();
    assert!(matches!(again, HeadsAnswer::Heads(_)));
    assert_eq!(received(&server).await.len(), 2);
}

#[tokio::test]
async fn a_renamed_repository_gets_its_status_under_its_number_after_a_check() {
    let server = MockServer::start().await;
    let to = format!("{}/api/v3/repositories/7/statuses/{}", server.uri(), sha('a'));
    Mock::given(path_regex("^/api/v3/repos/o/r/statuses/"))
        .respond_with(json(307, &value!({"url": to})).insert_header("location", to.as_str()))
        .expect(1)
        .mount(&server)
        .await;
    let facts = value!({"id": 7, "full_name": "o/new", "default_branch": "main",
        "clone_url": format!("{}/o/new.git", server.uri())});
    Mock::given(method("GET"))
        .and(path("/api/v3/repositories/7"))
        .respond_with(json(200, &facts))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path_regex("^/api/v3/repositories/7/statuses/a+$"))
        .respond_with(set())
        .expect(2)
        .mount(&server)
        .await;
    let (forge, repo) = (hub(&server), hub_repo(&server));
    for state in [StatusState::Pending, StatusState::Success] {
        forge.set_status(&repo, &status(state)).await.unwrap();
    }
}

#[tokio::test]
async fn a_redirect_to_elsewhere_is_not_followed_with_the_token() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let to = format!("{}/api/v3/repositories/7/statuses/x", elsewhere.uri());
    always(&server, ResponseTemplate::new(307).insert_header("location", to.as_str())).await;
    let error = hub(&server).set_status(&hub_repo(&server), &status(StatusState::Error)).await;
    assert_eq!(error.unwrap_err().kind(), ForgeErrorKind::WrongAnswer);
    assert!(received(&elsewhere).await.is_empty());
    let foreign = hub_repo(&elsewhere);
    let error = hub(&server).set_status(&foreign, &status(StatusState::Error)).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
    assert_eq!(received(&server).await.len(), 1);
}

#[tokio::test]
async fn no_error_repeats_the_token_that_a_server_echoes() {
    for code in [200, 201, 301, 307, 400, 401, 403, 404, 405, 409, 422, 429, 500] {
        for kind in ["application/json", "text/html", REPORTER] {
            let server = MockServer::start().await;
            let body = format!("{{\"message\":\"Bearer {REPORTER}\",\"state\":\"{REPORTER}\"}}");
            let answer = ResponseTemplate::new(code)
                .set_body_raw(body, kind)
                .insert_header("location", REPORTER);
            always(&server, answer).await;
            let forge = hub_with(&server, GitHubAuth::Token(token()), Some(reporter()));
            let error = forge.set_status(&hub_repo(&server), &status(StatusState::Pending)).await;
            let texts = all_texts(&error.unwrap_err());
            assert!(!texts.contains(REPORTER) && !texts.contains(TOKEN), "{code} {kind}: {texts}");
        }
    }
}
