//! GitLab behind the port, against a server with GitLab's request and answer shapes.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod common;

use common::*;
use sentry_core::forge::{
    ForgeError, ForgeErrorKind, Heads as _, HeadsAnswer, HeadsQuery, Source as _,
};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::{Hosted, Polling};
use serde_json::json as value;
use wiremock::matchers::{header, header_regex, method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct Lab {
    server: MockServer,
    forge: Hosted,
}

impl Lab {
    async fn start() -> Self {
        Self::with(GitLabToken::Private).await
    }

    async fn with(token_kind: GitLabToken) -> Self {
        let server = MockServer::start().await;
        let (http, git) = network();
        let settings = GitLabSettings {
            name: "gitlab".into(),
            url: Some(server.uri().parse().unwrap()),
            credential: token(),
            token_kind,
            report: None,
            polling: Polling::Auto,
            http,
            git,
        };
        Self { server, forge: Hosted::gitlab(settings).unwrap() }
    }

    fn repo(&self) -> String {
        format!("{}/g/sub/p.git", self.server.uri())
    }

    fn query(&self, branches: &[&str]) -> HeadsQuery {
        query(&self.repo(), branches, None)
    }

    async fn ask(&self, query: HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        self.forge.heads(&[query]).await.remove(0)
    }

    async fn has_head(&self, segment: &str, name: &str, digit: char) {
        let at = format!("^/api/v4/projects/(g%2Fsub%2Fp|9)/repository/branches/{segment}$");
        let branch = value!({"name": name, "commit": {"id": sha(digit), "message": "x"}});
        Mock::given(method("GET"))
            .and(path_regex(at))
            .and(header("authorization", format!("Bearer {TOKEN}").as_str()))
            .respond_with(json(200, &branch))
            .mount(&self.server)
            .await;
    }

    async fn has_project(&self, name: &str) {
        let facts = value!({
            "id": 9, "path_with_namespace": format!("g/sub/{name}"), "default_branch": "main",
            "http_url_to_repo": format!("{}/g/sub/{name}.git", self.server.uri()),
            "permissions": {"project_access": {"access_level": 20}, "group_access": {"access_level": 30}},
        });
        Mock::given(path_regex("^/api/v4/projects/(g%2Fsub%2Fp|9)$"))
            .respond_with(json(200, &facts))
            .mount(&self.server)
            .await;
    }
}

#[tokio::test]
async fn heads_of_a_project_in_a_sub_group_are_read_and_the_same_again_is_not_modified() {
    let lab = Lab::start().await;
    lab.has_head("main", "main", 'a').await;
    lab.has_head("fix%231", "fix#1", 'b').await;
    lab.has_head("release%2F1.0", "release/1.0", 'c').await;
    let branches = ["main", "fix#1", "release/1.0"];
    let found = heads(lab.ask(lab.query(&branches)).await);
    assert_eq!(shown(&found), ["fix#1=b", "main=a", "release/1.0=c"]);
    let again = lab.ask(query(&lab.repo(), &branches, found.validator)).await.unwrap();
    assert_eq!(again, HeadsAnswer::NotModified);
}

#[tokio::test]
async fn a_304_is_taken_where_the_instance_gives_one() {
    let lab = Lab::start().await;
    Mock::given(header("if-none-match", "W/\"e1\""))
        .respond_with(ResponseTemplate::new(304))
        .with_priority(1)
        .expect(1)
        .mount(&lab.server)
        .await;
    let branch = value!({"name": "main", "commit": {"id": sha('a')}});
    always(&lab.server, json(200, &branch).insert_header("etag", "W/\"e1\"")).await;
    let first = heads(lab.ask(lab.query(&["main"])).await);
    let again = lab.ask(query(&lab.repo(), &["main"], first.validator)).await.unwrap();
    assert_eq!(again, HeadsAnswer::NotModified);
}

#[tokio::test]
async fn a_missing_branch_is_absent_and_a_missing_project_is_an_error() {
    let lab = Lab::start().await;
    lab.has_head("main", "main", 'a').await;
    lab.has_project("p").await;
    Mock::given(path_regex("/branches/gone[12]$"))
        .respond_with(json(404, &value!({"message": "404 Branch Not Found"})))
        .mount(&lab.server)
        .await;
    assert_eq!(shown(&heads(lab.ask(lab.query(&["gone1", "gone2", "main"])).await)), ["main=a"]);
    assert_eq!(received(&lab.server).await.len(), 4, "the project is asked for once");

    let lab = Lab::start().await;
    lab.has_project("p").await;
    let stray = Mock::given(path_regex("/branches/main$"));
    stray.respond_with(ResponseTemplate::new(404)).mount(&lab.server).await;
    lab.ask(lab.query(&["main"])).await.unwrap_err();

    let lab = Lab::start().await;
    always(&lab.server, json(404, &value!({"message": "404 Project Not Found"}))).await;
    let error = lab.ask(lab.query(&["main"])).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_not_the_branch_is_a_wrong_answer() {
    let page = "<html>sign in</html>";
    for answer in [
        ResponseTemplate::new(200).set_body_raw(page, "text/html"),
        ResponseTemplate::new(200).set_body_raw(page, "application/json"),
        ResponseTemplate::new(200).set_body_raw("{\"name\":\"main\",\"comm", "application/json"),
        json(200, &value!({"name": "other", "commit": {"id": sha('a')}})),
        json(200, &value!({"name": "main", "commit": {"id": &sha('a')[..39]}})),
        json(200, &value!({"name": "main", "commit": {"id": sha('0')}})),
        json(200, &value!({"name": "main", "commit": null})),
        json(200, &value!([])),
    ] {
        let lab = Lab::start().await;
        always(&lab.server, answer).await;
        let error = lab.ask(lab.query(&["main"])).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{error}");
    }
}

#[tokio::test]
async fn a_moved_project_is_followed_on_the_same_host_only() {
    let foreign = MockServer::start().await;
    let lab = Lab::start().await;
    for host in [foreign.uri(), lab.server.uri()] {
        lab.server.reset().await;
        lab.has_project("new").await;
        let location = format!("{host}/api/v4/projects/9/repository/branches/main");
        Mock::given(path("/api/v4/projects/g%2Fsub%2Fp/repository/branches/main"))
            .respond_with(ResponseTemplate::new(301).insert_header("location", location))
            .with_priority(1)
            .mount(&lab.server)
            .await;
        lab.has_head("main", "main", 'a').await;
        let answer = lab.ask(lab.query(&["main"])).await;
        if host == foreign.uri() {
            assert_eq!(answer.unwrap_err().kind(), ForgeErrorKind::WrongAnswer);
        } else {
            let new = format!("{}/g/sub/new.git", lab.server.uri());
            assert_eq!(heads(answer).renamed_to.unwrap().as_str(), new);
        }
    }
    assert_eq!(received(&foreign).await.len(), 0);
}

#[tokio::test]
async fn a_429_without_any_header_closes_the_gate_for_a_minute() {
    let lab = Lab::start().await;
    let text = ResponseTemplate::new(429).set_body_raw("Retry later\n", "text/plain");
    always(&lab.server, text).await;
    for _ in 0..2 {
        let error = lab.ask(lab.query(&["main"])).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::RateLimited);
    }
    assert_eq!(received(&lab.server).await.len(), 1);
}

#[tokio::test]
async fn no_error_repeats_the_token_that_a_server_echoes() {
    for status in [200, 301, 401, 403, 404, 429, 502] {
        let lab = Lab::start().await;
        let body = format!(
            "{{\"message\":\"{TOKEN}\",\"name\":\"{TOKEN}\",\"commit\":{{\"id\":\"{TOKEN}\"}}}}"
        );
        always(&lab.server, ResponseTemplate::new(status).set_body_raw(body, "application/json"))
            .await;
        let error = lab.ask(lab.query(&["main"])).await.unwrap_err();
        assert!(!all_texts(&error).contains(TOKEN), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_job_token_asks_git_and_is_probed_by_git() {
    let lab = Lab::with(GitLabToken::Job).await;
    Mock::given(method("POST"))
        .and(path("/g/sub/p.git/git-upload-pack"))
        .and(header_regex("authorization", "^Basic Z2l0bGFiLWNpLXRva2Vu"))
        .respond_with(refs(&[("HEAD", 'a'), ("refs/heads/main", 'a')]))
        .mount(&lab.server)
        .await;
    assert_eq!(shown(&heads(lab.ask(lab.query(&["main"])).await)), ["main=a"]);
    assert!(lab.forge.probe(&lab.repo().parse().unwrap()).await.unwrap().can_read);
    let to_git = |r: &wiremock::Request| r.url.path().ends_with("/git-upload-pack");
    assert!(received(&lab.server).await.iter().all(to_git));
}

#[tokio::test]
async fn a_commit_tells_its_message_and_author() {
    let lab = Lab::start().await;
    let commit = value!({"id": sha('a'), "message": "fix", "author_name": "Mona",
        "committed_date": "2021-09-20T11:50:22.001+00:00"});
    Mock::given(path(format!("/api/v4/projects/g%2Fsub%2Fp/repository/commits/{}", sha('a'))))
        .respond_with(json(200, &commit))
        .mount(&lab.server)
        .await;
    let repo = lab.repo().parse().unwrap();
    let info = lab.forge.commit(&repo, &revision('a')).await.unwrap();
    assert_eq!((info.message.as_str(), info.author.as_str()), ("fix", "Mona"));
    assert_eq!(info.committed, "2021-09-20T11:50:22.001Z".parse().ok());
}

#[tokio::test]
async fn a_probe_tells_the_highest_role_and_the_budget_is_gitlabs() {
    let lab = Lab::start().await;
    lab.has_project("p").await;
    let answer = json(200, &value!({"name": "main", "commit": {"id": sha('a')}}))
        .insert_header("RateLimit-Limit", "2000")
        .insert_header("RateLimit-Remaining", "1999");
    Mock::given(path_regex("/branches/main$")).respond_with(answer).mount(&lab.server).await;
    let probe = lab.forge.probe(&lab.repo().parse().unwrap()).await.unwrap();
    assert!(probe.can_read);
    assert_eq!(probe.rights, "developer (30)");
    assert_eq!(lab.forge.budget().unwrap().left, 1999);
}

#[tokio::test]
async fn a_repository_of_another_host_is_refused_before_any_request() {
    let (lab, foreign) = (Lab::start().await, MockServer::start().await);
    let repo = format!("{}/g/p", foreign.uri());
    let error = lab.ask(query(&repo, &["main"], None)).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
    assert_eq!(received(&lab.server).await.len() + received(&foreign).await.len(), 0);
}
