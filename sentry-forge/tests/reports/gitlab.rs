//! GitLab's commit statuses.

use sentry_core::forge::{ForgeErrorKind, Heads as _, Reporter as _, StatusState};
use sentry_core::testing::sample;
use sentry_forge::gitlab::GitLabToken;
use serde_json::json as value;
use wiremock::matchers::{body_partial_json, method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::common::*;
use crate::support::*;

fn set() -> ResponseTemplate {
    json(201, &value!({"id": 1, "sha": sha('a'), "status": "running", "name": "x"}))
}

#[tokio::test]
async fn every_state_has_its_word_and_the_branch_is_told() {
    let words = ["running", "success", "failed", "failed", "canceled", "success"];
    for (state, word) in STATES.into_iter().zip(words) {
        let server = MockServer::start().await;
        let at = format!("/api/v4/projects/g%2Fsub%2Fp/statuses/{}", sha('a'));
        Mock::given(method("POST")).and(path(at)).respond_with(set()).mount(&server).await;
        lab(&server).set_status(&lab_repo(&server), &status(state)).await.unwrap();
        let requests = received(&server).await;
        assert_eq!(
            body(&requests[0]),
            value!({
                "state": word, "ref": "fix#1", "name": "sentry-gitops/qa",
                "description": "2 runs are under way",
                "target_url": "https://sentry.example.com/deliveries/01?a=b&c=d#e",
            })
        );
        assert_eq!(bearer(&requests[0]), TOKEN);
    }
}

#[tokio::test]
async fn where_one_branch_refuses_a_status_the_others_have_it_all_the_same() {
    let server = MockServer::start().await;
    let refused = json(400, &value!({"message": "state does not have a valid value"}));
    Mock::given(body_partial_json(value!({"ref": "one"})))
        .respond_with(refused)
        .with_priority(1)
        .mount(&server)
        .await;
    always(&server, set()).await;
    let mut status = status(StatusState::Success);
    status.subjects = ["one", "two"].map(sample::subject).into();
    assert!(lab(&server).set_status(&lab_repo(&server), &status).await.is_err());
    let sent: Vec<_> = received(&server).await.iter().map(|one| body(one)["ref"].clone()).collect();
    assert_eq!(sent, ["one", "two"]);
}

#[tokio::test]
async fn what_gitlab_would_refuse_for_its_length_is_cut_or_left_out() {
    let server = MockServer::start().await;
    always(&server, set()).await;
    let mut status = status(StatusState::Success);
    status.description = "🚀".repeat(300);
    status.link = Some(format!("https://sentry.example.com/{}", "x".repeat(300)));
    lab(&server).set_status(&lab_repo(&server), &status).await.unwrap();
    let sent = body(&received(&server).await[0]);
    assert_eq!(sent["description"].as_str().unwrap().chars().count(), 140);
    assert!(sent.get("target_url").is_none());
}

#[tokio::test]
async fn a_status_that_is_there_already_is_no_error_and_another_is_one() {
    let text = |via: &str, from: &str| {
        format!(
            "Cannot transition status via :{via} from :{from} (Reason(s): Status cannot transition via \"{via}\")"
        )
    };
    for (state, message, set) in [
        (StatusState::Pending, text("run", "running"), true),
        (StatusState::Pending, "Cannot transition status via :run from :running".into(), true),
        (StatusState::Success, text("success", "success"), true),
        (StatusState::Failure, text("drop", "failed"), true),
        (StatusState::Success, text("success", "canceled"), false),
        (StatusState::Pending, text("run", "running_late"), false),
        (StatusState::Pending, "state does not have a valid value".into(), false),
    ] {
        let server = MockServer::start().await;
        always(&server, json(400, &value!({"message": message}))).await;
        let outcome = lab(&server).set_status(&lab_repo(&server), &status(state)).await;
        assert_eq!(outcome.is_ok(), set, "{message}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
        }
    }
}

#[tokio::test]
async fn answers_become_kinds() {
    use ForgeErrorKind::{
        NotFound, RateLimited, Unauthorized, Unreachable, Unsupported, WrongAnswer,
    };
    let message = |status, text: &str| json(status, &value!({"message": text}));
    let html = ResponseTemplate::new(200).set_body_raw("<html>", "text/html");
    let cut = ResponseTemplate::new(201).set_body_raw("{\"id\": 1,", "application/json");
    for (answer, kind) in [
        (message(401, "401 Unauthorized"), Unauthorized),
        (message(403, "403 Forbidden"), Unauthorized),
        (message(404, "404 Project Not Found"), Unauthorized),
        (message(404, "404 Commit Not Found"), NotFound),
        (message(409, "Another update to this commit status is in progress"), Unreachable),
        (json(400, &value!({"error": "name is invalid"})), Unsupported),
        (json(400, &value!({"message": {"target_url": ["is too long"]}})), Unsupported),
        (message(422, "The number of jobs has exceeded the limit"), Unsupported),
        (ResponseTemplate::new(429), RateLimited),
        (message(500, "500 Internal Server Error"), Unreachable),
        (html, WrongAnswer),
        (cut, WrongAnswer),
    ] {
        let server = MockServer::start().await;
        always(&server, answer).await;
        let (repo, status) = (lab_repo(&server), status(StatusState::Error));
        let error = lab(&server).set_status(&repo, &status).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(received(&server).await.len(), 1);
        if kind == Unauthorized && !error.to_string().contains("refused") {
            let hint = error.hint().unwrap();
            assert!(hint.contains("Developer") && hint.contains("scope api"), "{hint}");
        }
    }
}

#[tokio::test]
async fn a_missing_right_hurts_no_reading() {
    let server = MockServer::start().await;
    Mock::given(path_regex("/statuses/"))
        .respond_with(json(403, &value!({"message": "403 Forbidden"})))
        .mount(&server)
        .await;
    let branch = value!({"name": "main", "commit": {"id": sha('a')}});
    Mock::given(path_regex("/branches/")).respond_with(json(200, &branch)).mount(&server).await;
    let (forge, repo) = (lab(&server), lab_repo(&server));
    for _ in 0..3 {
        forge.set_status(&repo, &status(StatusState::Pending)).await.unwrap_err();
        let found = heads(forge.heads(&[query(repo.as_str(), &["main"], None)]).await.remove(0));
        assert_eq!(shown(&found), ["main=a"]);
    }
    assert_eq!(received(&server).await.len(), 4);
}

#[tokio::test]
async fn a_jobs_token_asks_nothing_and_an_access_token_beside_it_sets_statuses() {
    let server = MockServer::start().await;
    always(&server, set()).await;
    let repo = lab_repo(&server);
    let error = lab_with(&server, GitLabToken::Job, None)
        .set_status(&repo, &status(StatusState::Pending))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("report_token"));
    assert!(received(&server).await.is_empty());
    let both = lab_with(&server, GitLabToken::Job, Some(reporter()));
    both.set_status(&repo, &status(StatusState::Pending)).await.unwrap();
    let requests = received(&server).await;
    assert_eq!(bearer(&requests[0]), REPORTER);
    assert!(!requests[0].headers.contains_key("job-token"));
}

#[tokio::test]
async fn a_moved_project_refuses_writes_and_is_found_by_reading() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path_regex("^/api/v4/projects/g%2Fsub%2Fp/statuses/"))
        .respond_with(json(
            405,
            &value!({"message": "Non GET methods are not allowed for moved projects"}),
        ))
        .expect(1)
        .mount(&server)
        .await;
    let to = format!("{}/api/v4/projects/9", server.uri());
    Mock::given(method("GET"))
        .and(path("/api/v4/projects/g%2Fsub%2Fp"))
        .respond_with(json(301, &value!({"message": to})).insert_header("location", to.as_str()))
        .mount(&server)
        .await;
    let facts = value!({"id": 9, "path_with_namespace": "g/new", "default_branch": "main",
        "http_url_to_repo": format!("{}/g/new.git", server.uri())});
    Mock::given(method("GET"))
        .and(path("/api/v4/projects/9"))
        .respond_with(json(200, &facts))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path_regex("^/api/v4/projects/9/statuses/"))
        .respond_with(set())
        .expect(2)
        .mount(&server)
        .await;
    let (forge, repo) = (lab(&server), lab_repo(&server));
    for state in [StatusState::Pending, StatusState::Success] {
        forge.set_status(&repo, &status(state)).await.unwrap();
    }
}
