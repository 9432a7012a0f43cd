//! GitHub behind the port, against a server with GitHub's request and answer shapes.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod common;

use std::time::Duration;

use common::*;
use sentry_core::forge::{
    ForgeErrorKind, Heads as _, HeadsAnswer, HeadsQuery, Source as _, TreeLimits, TreeQuery,
};
use sentry_core::retry::Retry;
use sentry_core::secret::{Secret, SecretSource};
use sentry_core::testing::sample;
use sentry_forge::credential::Credential;
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::{Hosted, Polling};
use serde_json::json as value;
use wiremock::matchers::{body_json, header, header_regex, method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct Hub {
    server: MockServer,
    forge: Hosted,
}

fn forge(server: &MockServer, auth: GitHubAuth, polling: Polling) -> Hosted {
    let (http, git) = network();
    let api = Some(format!("{}/api/v3", server.uri()).parse().unwrap());
    Hosted::github(GitHubSettings {
        name: "github".into(),
        api,
        auth,
        report: None,
        polling,
        http,
        git,
    })
    .unwrap()
}

impl Hub {
    async fn start() -> Self {
        Self::polled_by(Polling::Auto).await
    }

    async fn polled_by(polling: Polling) -> Self {
        let server = MockServer::start().await;
        let forge = forge(&server, GitHubAuth::Token(token()), polling);
        Self { server, forge }
    }

    fn repo(&self) -> String {
        format!("{}/o/r.git", self.server.uri())
    }

    fn query(&self, branches: &[&str]) -> HeadsQuery {
        query(&self.repo(), branches, None)
    }

    async fn ask(&self, query: HeadsQuery) -> Result<HeadsAnswer, sentry_core::forge::ForgeError> {
        self.forge.heads(&[query]).await.remove(0)
    }

    /// The branch's head, with a 304 for whoever knows it.
    async fn has_head(&self, branch: &str, digit: char) {
        let at = format!("^/api/v3/(repos/o/r|repositories/7)/commits/heads%2F{branch}$");
        let etag = format!("\"{}\"", sha(digit));
        Mock::given(path_regex(at.clone()))
            .and(header("if-none-match", etag.as_str()))
            .respond_with(ResponseTemplate::new(304).insert_header("etag", etag.as_str()))
            .with_priority(1)
            .mount(&self.server)
            .await;
        Mock::given(method("GET"))
            .and(path_regex(at))
            .and(header("accept", "application/vnd.github.sha"))
            .and(header("authorization", format!("Bearer {TOKEN}").as_str()))
            .respond_with(sha_answer(&sha(digit)).insert_header("etag", etag.as_str()))
            .with_priority(2)
            .mount(&self.server)
            .await;
    }

    async fn has_repo(&self) {
        let facts = repo_json(&self.server, 7, "r");
        Mock::given(path_regex("^/api/v3/(repos/o/r|repositories/7)$"))
            .respond_with(json(200, &facts).insert_header("x-oauth-scopes", "repo"))
            .mount(&self.server)
            .await;
    }
}

fn repo_json(server: &MockServer, id: u64, name: &str) -> serde_json::Value {
    value!({
        "id": id, "full_name": format!("o/{name}"), "default_branch": "main",
        "clone_url": format!("{}/o/{name}.git", server.uri()),
        "permissions": {"admin": false, "push": false, "pull": true},
    })
}

fn sha_answer(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(text, "application/vnd.github.sha; charset=utf-8")
}

#[tokio::test]
async fn unchanged_heads_are_304s_and_not_modified() {
    let hub = Hub::start().await;
    hub.has_head("main", 'a').await;
    hub.has_head("dev", 'b').await;
    let first = heads(hub.ask(hub.query(&["main", "dev"])).await);
    assert_eq!(shown(&first), ["dev=b", "main=a"]);
    let again = hub.ask(query(&hub.repo(), &["main", "dev"], first.validator)).await.unwrap();
    assert_eq!(again, HeadsAnswer::NotModified);
    let requests = received(&hub.server).await;
    let conditional = |r: &&wiremock::Request| r.headers.contains_key("if-none-match");
    assert_eq!((requests.len(), requests.iter().filter(conditional).count()), (4, 2));
}

#[tokio::test]
async fn a_304_for_one_branch_still_gives_whole_heads_when_the_other_moved() {
    let hub = Hub::start().await;
    hub.has_head("main", 'a').await;
    hub.has_head("dev", 'b').await;
    let first = heads(hub.ask(hub.query(&["main", "dev"])).await);
    hub.server.reset().await;
    hub.has_head("main", 'a').await;
    hub.has_head("dev", 'c').await;
    let next = heads(hub.ask(query(&hub.repo(), &["main", "dev"], first.validator)).await);
    assert_eq!(shown(&next), ["dev=c", "main=a"]);
}

#[tokio::test]
async fn a_missing_branch_is_absent_and_a_missing_repository_is_an_error() {
    let message = value!({"message": "No commit found for SHA: heads/gone"});
    for missing in [json(422, &message), json(404, &value!({"message": "Not Found"}))] {
        let hub = Hub::start().await;
        hub.has_head("main", 'a').await;
        hub.has_repo().await;
        let gone = path_regex("heads%2Fgone$");
        Mock::given(gone).respond_with(missing).mount(&hub.server).await;
        assert_eq!(shown(&heads(hub.ask(hub.query(&["gone", "main"])).await)), ["main=a"]);
    }
    let hub = Hub::start().await;
    always(&hub.server, json(404, &value!({"message": "Not Found"}))).await;
    let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::NotFound);
}

#[tokio::test]
async fn a_404_that_is_not_in_the_forges_words_ends_no_branch() {
    for stray in [ResponseTemplate::new(404), json(404, &value!({"error": "no such route"}))] {
        let hub = Hub::start().await;
        hub.has_repo().await;
        Mock::given(path_regex("heads%2Fmain$")).respond_with(stray).mount(&hub.server).await;
        hub.ask(hub.query(&["main"])).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_422_that_does_not_name_the_commit_is_an_error() {
    let hub = Hub::start().await;
    always(&hub.server, json(422, &value!({"message": "Validation Failed"}))).await;
    let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer);
}

#[tokio::test]
async fn what_is_no_commit_id_is_a_wrong_answer() {
    for answer in [
        ResponseTemplate::new(200).set_body_raw("<html>sign in</html>", "text/html"),
        ResponseTemplate::new(200).set_body_raw(sha('a'), "text/html"),
        sha_answer(&sha('a')[..39]),
        sha_answer(&sha('g')),
        sha_answer(&sha('0')),
        sha_answer(""),
        ResponseTemplate::new(304),
        ResponseTemplate::new(204),
        json(200, &value!({"sha": sha('a')})),
        sha_answer(&"a".repeat(5 << 20)),
    ] {
        let hub = Hub::start().await;
        always(&hub.server, answer).await;
        let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let (http, git) = network();
    let forge = Hosted::github(GitHubSettings {
        name: "github".into(),
        api: Some(root.parse().unwrap()),
        auth: GitHubAuth::Token(token()),
        report: None,
        polling: Polling::Auto,
        http,
        git,
    })
    .unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.github.sha\r\n";
        let cut = format!("{head}content-length: 40\r\n\r\n{}", &sha('a')[..20]);
        stream.write_all(cut.as_bytes()).await.unwrap();
    };
    let queries = [query(&format!("{root}/o/r"), &["main"], None)];
    let (mut answers, ()) = tokio::join!(forge.heads(&queries), serve);
    assert_eq!(answers.remove(0).unwrap_err().kind(), ForgeErrorKind::Unreachable);
}

#[tokio::test]
async fn odd_branch_names_are_percent_encoded_on_the_wire() {
    let hub = Hub::start().await;
    hub.has_head("fix%231", 'a').await;
    hub.has_head("release%2F1\\.0", 'b').await;
    let found = heads(hub.ask(hub.query(&["fix#1", "release/1.0"])).await);
    assert_eq!(shown(&found), ["fix#1=a", "release/1.0=b"]);
    let paths: Vec<_> =
        received(&hub.server).await.iter().map(|r| r.url.path().to_owned()).collect();
    let at = "/api/v3/repos/o/r/commits/heads%2F";
    assert_eq!(paths, [format!("{at}fix%231"), format!("{at}release%2F1.0")]);
}

async fn is_renamed(hub: &Hub, location: &str) {
    let moved = value!({"message": "Moved Permanently", "url": location});
    for (at, to) in [("/commits/heads%2Fmain", "/commits/heads%2Fmain"), ("", "")] {
        Mock::given(path_regex(format!("^/api/v3/repos/o/r{at}$")))
            .respond_with(json(301, &moved).insert_header("location", format!("{location}{to}")))
            .with_priority(1)
            .mount(&hub.server)
            .await;
    }
}

#[tokio::test]
async fn a_renamed_repository_is_followed_by_its_number_and_reported() {
    let hub = Hub::start().await;
    is_renamed(&hub, &format!("{}/api/v3/repositories/7", hub.server.uri())).await;
    hub.has_head("main", 'a').await;
    Mock::given(path("/api/v3/repositories/7"))
        .respond_with(json(200, &repo_json(&hub.server, 7, "new")))
        .expect(1)
        .mount(&hub.server)
        .await;
    let first = heads(hub.ask(hub.query(&["main"])).await);
    assert_eq!(shown(&first), ["main=a"]);
    let new = format!("{}/o/new.git", hub.server.uri());
    assert_eq!(first.renamed_to.as_ref().unwrap().as_str(), new);
    let again = hub.ask(query(&hub.repo(), &["main"], first.validator)).await.unwrap();
    assert_eq!(again, HeadsAnswer::NotModified);
    assert_eq!(received(&hub.server).await.len(), 4, "the second poll asks the number at once");
}

#[tokio::test]
async fn a_rename_is_found_when_git_is_asked_as_well() {
    let hub = Hub::polled_by(Polling::Git).await;
    is_renamed(&hub, &format!("{}/api/v3/repositories/7", hub.server.uri())).await;
    Mock::given(path("/api/v3/repositories/7"))
        .respond_with(json(200, &repo_json(&hub.server, 7, "new")))
        .mount(&hub.server)
        .await;
    Mock::given(path("/o/r.git/git-upload-pack"))
        .respond_with(ResponseTemplate::new(301).insert_header("location", "/o/new.git"))
        .mount(&hub.server)
        .await;
    Mock::given(path("/o/new.git/git-upload-pack"))
        .respond_with(refs(&[("HEAD", 'a'), ("refs/heads/main", 'a')]))
        .mount(&hub.server)
        .await;
    let found = heads(hub.ask(hub.query(&["main"])).await);
    assert_eq!(shown(&found), ["main=a"]);
    assert!(found.renamed_to.is_some());
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_request_at_all() {
    let foreign = MockServer::start().await;
    always(&foreign, sha_answer(&sha('f'))).await;
    for location in [
        format!("{}/api/v3/repositories/7", foreign.uri()),
        format!("{}/api/v3/repositories/7", foreign.uri().replace("http://", "//")),
        "https://api.github.com.evil.example/repositories/7".to_owned(),
        "not a location".to_owned(),
        String::new(),
    ] {
        let hub = Hub::start().await;
        is_renamed(&hub, &location).await;
        let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{location}");
    }
    assert_eq!(received(&foreign).await.len(), 0);
}

#[tokio::test]
async fn a_redirect_to_a_repository_elsewhere_or_with_another_number_is_refused() {
    for (id, clone_url) in [(8, "/o/new.git"), (7, "https://evil.example/o/new.git")] {
        let hub = Hub::start().await;
        is_renamed(&hub, &format!("{}/api/v3/repositories/7", hub.server.uri())).await;
        hub.has_head("main", 'a').await;
        let mut facts = repo_json(&hub.server, id, "new");
        if clone_url.starts_with("https") {
            facts["clone_url"] = clone_url.into();
        }
        Mock::given(path("/api/v3/repositories/7"))
            .respond_with(json(200, &facts))
            .mount(&hub.server)
            .await;
        let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer);
    }
}

#[tokio::test]
async fn a_repository_of_another_host_is_refused_before_any_request() {
    let (hub, foreign) = (Hub::start().await, MockServer::start().await);
    for repo in [format!("{}/o/r", foreign.uri()), "ssh://git@127.0.0.1/o/r".to_owned()] {
        let error = hub.ask(query(&repo, &["main", "x*"], None)).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
        assert!(error.hint().is_some());
    }
    assert_eq!(received(&hub.server).await.len() + received(&foreign).await.len(), 0);
}

#[tokio::test]
async fn a_limit_is_obeyed_as_told_and_nothing_is_asked_meanwhile() {
    for (status, retry_after, least, most) in [
        (429, Some("300"), 300, 302),
        (403, Some("300"), 300, 302),
        (429, Some("Fri, 15 Jan 2027 08:05:00 GMT"), 300, 302),
        (429, Some("-7"), 59, 60),
        (429, Some("soon"), 59, 60),
        (429, None, 59, 60),
        (429, Some("99999999999999999999"), 3599, 3600),
    ] {
        let hub = Hub::start().await;
        let mut answer =
            ResponseTemplate::new(status).insert_header("date", "Fri, 15 Jan 2027 08:00:00 GMT");
        if let Some(text) = retry_after {
            answer = answer.insert_header("retry-after", text);
        }
        always(&hub.server, answer).await;
        for _ in 0..3 {
            let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::RateLimited);
            let Retry::After(wait) = error.retry() else { panic!("no wait: {retry_after:?}") };
            // The wait counts down with the time that the test takes: the lower bound allows 50 s for that.
            let least = Duration::from_secs(least).saturating_sub(Duration::from_secs(50));
            assert!(wait >= least && wait <= Duration::from_secs(most), "{retry_after:?} {wait:?}");
        }
        assert_eq!(received(&hub.server).await.len(), 1, "{retry_after:?}");
    }
}

#[tokio::test]
async fn the_secondary_limit_is_known_by_its_text() {
    let hub = Hub::start().await;
    let text = "You have exceeded a secondary rate limit. Please wait a few minutes.";
    always(&hub.server, json(403, &value!({"message": text}))).await;
    let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::RateLimited);
}

#[tokio::test]
async fn a_refused_token_is_sent_once_and_a_rotated_one_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "the-old-token").unwrap();
    let server = MockServer::start().await;
    let auth = GitHubAuth::Token(Credential::Token(SecretSource::File(file.clone())));
    let forge = forge(&server, auth, Polling::Auto);
    Mock::given(header("authorization", "Bearer the-new-token"))
        .respond_with(sha_answer(&sha('a')))
        .with_priority(1)
        .mount(&server)
        .await;
    always(&server, json(401, &value!({"message": "Bad credentials"}))).await;
    let queries: Vec<_> =
        (0..20).map(|n| query(&format!("{}/o/r{n}", server.uri()), &["main"], None)).collect();
    for _ in 0..3 {
        for answer in forge.heads(&queries).await {
            assert_eq!(answer.unwrap_err().kind(), ForgeErrorKind::Unauthorized);
        }
    }
    assert_eq!(received(&server).await.len(), 1);
    std::fs::write(&file, "the-new-token").unwrap();
    assert!(forge.heads(&queries).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn no_error_repeats_the_token_that_a_server_echoes() {
    for status in [200, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503] {
        for kind in ["application/json", "text/html", TOKEN] {
            let hub = Hub::start().await;
            let body = format!("{{\"message\":\"Bearer {TOKEN}\",\"sha\":\"{TOKEN}\"}}");
            let answer = ResponseTemplate::new(status)
                .set_body_raw(body, kind)
                .insert_header("location", TOKEN)
                .insert_header("retry-after", TOKEN);
            always(&hub.server, answer).await;
            let error = hub.ask(hub.query(&["main"])).await.unwrap_err();
            assert!(!all_texts(&error).contains(TOKEN), "{status} {kind}: {error:?}");
        }
    }
}

#[tokio::test]
async fn globs_and_many_branches_are_one_question_to_git() {
    for branches in [vec!["main", "release/*"], vec!["main", "1", "2", "3", "4", "5"]] {
        let hub = Hub::start().await;
        let refs = refs(&[("HEAD", 'a'), ("refs/heads/main", 'a'), ("refs/heads/mainly", 'c')]);
        Mock::given(method("POST"))
            .and(path("/o/r.git/git-upload-pack"))
            .and(header_regex("authorization", "^Basic eC1hY2Nlc3MtdG9rZW46"))
            .respond_with(refs)
            .expect(2)
            .mount(&hub.server)
            .await;
        let found = heads(hub.ask(hub.query(&branches)).await);
        assert_eq!(shown(&found), ["main=a"]);
        let again = hub.ask(query(&hub.repo(), &branches, found.validator)).await.unwrap();
        assert_eq!(again, HeadsAnswer::NotModified);
    }
}

#[tokio::test]
async fn two_queries_for_one_repository_are_asked_once_and_answered_each_for_itself() {
    let hub = Hub::start().await;
    hub.has_head("main", 'a').await;
    hub.has_head("dev", 'b').await;
    let queries = [hub.query(&["main"]), hub.query(&["dev", "main"]), hub.query(&["main"])];
    let answers: Vec<_> =
        hub.forge.heads(&queries).await.into_iter().map(|a| shown(&heads(a))).collect();
    assert_eq!(answers, [vec!["main=a"], vec!["dev=b", "main=a"], vec!["main=a"]]);
    assert_eq!(received(&hub.server).await.len(), 2);
}

#[tokio::test]
async fn one_error_is_told_to_each_query_for_the_repository() {
    let hub = Hub::start().await;
    always(&hub.server, ResponseTemplate::new(503)).await;
    let answers = hub.forge.heads(&[hub.query(&["main"]), hub.query(&["main"])]).await;
    let kinds: Vec<_> = answers.into_iter().map(|a| a.unwrap_err().kind()).collect();
    assert_eq!(kinds, [ForgeErrorKind::Unreachable; 2]);
    assert_eq!(received(&hub.server).await.len(), 1);
}

#[tokio::test]
async fn a_commit_tells_its_message_and_the_authors_login() {
    for (author, name) in [(value!({"login": "octocat"}), "octocat"), (value!(null), "Mona Lisa")] {
        let hub = Hub::start().await;
        let commit = value!({
            "sha": sha('a'), "author": author,
            "commit": {"message": "fix: all\n\n[skip ci]", "author": {"name": "Mona Lisa"},
                "committer": {"date": "2011-04-14T16:00:49Z"}},
        });
        always(&hub.server, json(200, &commit)).await;
        let repo = hub.repo().parse().unwrap();
        let info = hub.forge.commit(&repo, &revision('a')).await.unwrap();
        assert_eq!((info.message.as_str(), info.author.as_str()), ("fix: all\n\n[skip ci]", name));
        assert_eq!(info.committed, "2011-04-14T16:00:49Z".parse().ok());
        let other = hub.forge.commit(&repo, &revision('b')).await.unwrap_err();
        assert_eq!(other.kind(), ForgeErrorKind::WrongAnswer);
    }
}

#[tokio::test]
async fn a_commit_that_is_gone_is_told_apart_from_a_repository_that_is() {
    let there = value!({
        "id": 1, "full_name": "o/r", "clone_url": "https://example.com/o/r.git",
        "default_branch": "main", "permissions": {"pull": true},
    });
    let none = value!({"message": "Not Found"});
    let unknown = json(422, &value!({"message": "No commit found for SHA: aaaa"}));
    for (commit, repo, kind) in [
        (unknown, json(404, &none), ForgeErrorKind::NoCommit),
        (json(404, &none), json(200, &there), ForgeErrorKind::NoCommit),
        (json(404, &none), json(404, &none), ForgeErrorKind::NotFound),
        (ResponseTemplate::new(404), json(200, &there), ForgeErrorKind::NotFound),
    ] {
        let hub = Hub::start().await;
        let asked = wiremock::matchers::path_regex("/commits/");
        Mock::given(asked).respond_with(commit).with_priority(1).mount(&hub.server).await;
        always(&hub.server, repo).await;
        let url = hub.repo().parse().unwrap();
        let error = hub.forge.commit(&url, &revision('a')).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn the_budget_is_what_the_last_answer_said() {
    let hub = Hub::start().await;
    assert_eq!(hub.forge.budget(), None);
    let answer = sha_answer(&sha('a'))
        .insert_header("x-ratelimit-limit", "5000")
        .insert_header("x-ratelimit-remaining", "4321")
        .insert_header("x-ratelimit-reset", "1800000000");
    always(&hub.server, answer).await;
    hub.ask(hub.query(&["main"])).await.unwrap();
    let budget = hub.forge.budget().unwrap();
    assert_eq!((budget.left, budget.limit), (4321, 5000));
    assert_eq!(budget.reset.unwrap().as_second(), 1_800_000_000);
}

#[tokio::test]
async fn a_probe_tells_the_rights_and_whether_contents_can_be_read() {
    let hub = Hub::start().await;
    hub.has_repo().await;
    hub.has_head("main", 'a').await;
    let probe = hub.forge.probe(&hub.repo().parse().unwrap()).await.unwrap();
    assert!(probe.can_read);
    assert_eq!(probe.rights, "pull; scopes: repo");
    assert_eq!(probe.default_branch.as_deref(), Some("main"));

    let blind = Hub::start().await;
    blind.has_repo().await;
    Mock::given(path_regex("/commits/"))
        .respond_with(json(403, &value!({"message": "Resource not accessible"})))
        .mount(&blind.server)
        .await;
    assert!(!blind.forge.probe(&blind.repo().parse().unwrap()).await.unwrap().can_read);
}

#[tokio::test]
async fn an_app_makes_one_token_for_contents_and_uses_it_for_the_api_and_for_git() {
    let server = MockServer::start().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = Credential::Token(Secret::new(key).into());
    let auth = GitHubAuth::App { app_id: 12, installation_id: 34, key };
    let forge = forge(&server, auth, Polling::Auto);
    Mock::given(method("POST"))
        .and(path("/api/v3/app/installations/34/access_tokens"))
        .and(header_regex("authorization", r"^Bearer ey[\w-]+\.[\w-]+\.[\w-]+$"))
        .and(body_json(value!({"permissions": {"contents": "read"}})))
        .respond_with(json(
            201,
            &value!({"token": "ghs_made", "expires_at": "2027-01-15T09:00:00Z"}),
        ))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(header("authorization", "Bearer ghs_made"))
        .respond_with(sha_answer(&sha('a')))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(header_regex("authorization", "^Basic eC1hY2Nlc3MtdG9rZW46Z2hzX21hZGU=$"))
        .respond_with(refs(&[("HEAD", 'b'), ("refs/heads/x", 'b')]))
        .mount(&server)
        .await;
    let at = |name: &str| format!("{}/o/{name}", server.uri());
    let queries = [
        query(&at("r"), &["main"], None),
        query(&at("s"), &["x*"], None),
        query(&at("t"), &["main"], None),
    ];
    let answers: Vec<_> =
        forge.heads(&queries).await.into_iter().map(|a| shown(&heads(a))).collect();
    assert_eq!(answers, [["main=a"], ["x=b"], ["main=a"]]);
}

/// An App whose `n`th token is `ghs_n`.
async fn app_that_counts_its_tokens(server: &MockServer) -> Hosted {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = Credential::Token(Secret::new(key).into());
    let made = std::sync::atomic::AtomicUsize::new(0);
    Mock::given(method("POST"))
        .and(path("/api/v3/app/installations/34/access_tokens"))
        .respond_with(move |_: &wiremock::Request| {
            let n = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            json(201, &value!({"token": format!("ghs_{n}")}))
        })
        .with_priority(1)
        .mount(server)
        .await;
    forge(server, GitHubAuth::App { app_id: 12, installation_id: 34, key }, Polling::Auto)
}

/// From now on, `status` is what the server says to a request with the `n`th token, whether from the API or from git.
async fn refuse_token(server: &MockServer, n: usize, status: u16) {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:ghs_{n}"));
    for authorization in [format!("Bearer ghs_{n}"), format!("Basic {basic}")] {
        Mock::given(header("authorization", authorization.as_str()))
            .respond_with(json(status, &value!({"message": "Bad credentials"})))
            .with_priority(2)
            .mount(server)
            .await;
    }
}

async fn tokens_made(server: &MockServer) -> usize {
    let made = |r: &wiremock::Request| r.url.path().ends_with("/access_tokens");
    received(server).await.iter().filter(|r| made(r)).count()
}

#[tokio::test]
async fn an_apps_token_that_is_refused_before_its_hour_is_made_anew_and_the_question_answered() {
    for by_git in [false, true] {
        let server = MockServer::start().await;
        let forge = app_that_counts_its_tokens(&server).await;
        let branch = if by_git { "ma*" } else { "main" };
        let query = query(&format!("{}/o/r", server.uri()), &[branch], None);
        let answer = if by_git {
            refs(&[("HEAD", 'a'), ("refs/heads/main", 'a')])
        } else {
            sha_answer(&sha('a'))
        };
        always(&server, answer).await;
        let ask = async || shown(&heads(forge.heads(std::slice::from_ref(&query)).await.remove(0)));
        assert_eq!(ask().await, ["main=a"]);
        for made in 2..5 {
            refuse_token(&server, made - 1, 401).await;
            assert_eq!(ask().await, ["main=a"], "token {made}, by git: {by_git}");
            assert_eq!(tokens_made(&server).await, made);
        }
    }
}

#[tokio::test]
async fn many_questions_that_meet_a_revoked_token_share_the_new_one() {
    let server = MockServer::start().await;
    let forge = app_that_counts_its_tokens(&server).await;
    always(&server, sha_answer(&sha('a'))).await;
    refuse_token(&server, 1, 401).await;
    let queries: Vec<_> =
        (0..20).map(|n| query(&format!("{}/o/r{n}", server.uri()), &["main"], None)).collect();
    for answer in forge.heads(&queries).await {
        assert_eq!(shown(&heads(answer)), ["main=a"]);
    }
    assert_eq!(tokens_made(&server).await, 2);
}

#[tokio::test]
async fn an_app_whose_new_token_is_refused_too_makes_no_third_and_waits() {
    let server = MockServer::start().await;
    let forge = app_that_counts_its_tokens(&server).await;
    let refusal = json(401, &value!({"message": "Bad credentials"}));
    always(&server, refusal).await;
    let query = query(&format!("{}/o/r", server.uri()), &["main"], None);
    for _ in 0..3 {
        let error = forge.heads(std::slice::from_ref(&query)).await.remove(0).unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unauthorized, "{error}");
        assert!(matches!(error.retry(), Retry::After(wait) if wait > Duration::from_secs(300)));
    }
    assert_eq!(tokens_made(&server).await, 2);
}

#[tokio::test]
async fn an_apps_token_that_lacks_a_right_is_not_kept_for_its_hour() {
    let server = MockServer::start().await;
    let forge = app_that_counts_its_tokens(&server).await;
    always(&server, sha_answer(&sha('a'))).await;
    refuse_token(&server, 1, 403).await;
    let at = |name: &str| query(&format!("{}/o/{name}", server.uri()), &["main"], None);
    let refused = forge.heads(&[at("r")]).await.remove(0).unwrap_err();
    assert_eq!(refused.kind(), ForgeErrorKind::Unauthorized);
    assert_eq!(shown(&heads(forge.heads(&[at("s")]).await.remove(0))), ["main=a"]);
    assert_eq!(tokens_made(&server).await, 2);
}

#[tokio::test]
async fn an_app_whose_key_was_replaced_makes_its_next_token_with_the_new_one() {
    let server = MockServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("app.pem");
    let auth = GitHubAuth::App {
        app_id: 12,
        installation_id: 34,
        key: Credential::Key(SecretSource::File(key.clone())),
    };
    let forge = forge(&server, auth, Polling::Auto);
    Mock::given(method("POST"))
        .and(path("/api/v3/app/installations/34/access_tokens"))
        .respond_with(json(201, &value!({"token": "ghs_made"})))
        .mount(&server)
        .await;
    Mock::given(method("GET")).respond_with(sha_answer(&sha('a'))).mount(&server).await;
    let ask = [query(&format!("{}/o/r", server.uri()), &["main"], None)];
    for made in 1..=2 {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
        std::fs::write(&key, pem).unwrap();
        for _ in 0..2 {
            heads(forge.heads(&ask).await.remove(0));
        }
        let posts = received(&server).await.into_iter().filter(|one| one.method == "POST");
        assert_eq!(posts.count(), made);
    }
}

#[tokio::test]
async fn an_app_lends_a_new_token_for_one_repository_each_time() {
    let server = MockServer::start().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = Credential::Token(Secret::new(key).into());
    let auth = GitHubAuth::App { app_id: 12, installation_id: 34, key };
    let forge = forge(&server, auth, Polling::Auto);
    Mock::given(method("POST"))
        .and(path("/api/v3/app/installations/34/access_tokens"))
        .and(body_json(value!({"permissions": {"contents": "read"}, "repositories": ["r"]})))
        .respond_with(json(201, &value!({"token": "ghs_lent"})))
        .expect(2)
        .mount(&server)
        .await;
    let repo = format!("{}/o/r.git", server.uri()).parse().unwrap();
    for _ in 0..2 {
        let lent = forge.clone_credential(&repo).await.unwrap().unwrap();
        assert_eq!((lent.username.as_str(), lent.token.expose()), ("x-access-token", "ghs_lent"));
        assert!(!format!("{lent:?}").contains("ghs_lent"));
    }
}

#[tokio::test]
async fn a_token_is_lent_as_it_is_and_to_no_other_host() {
    let hub = Hub::start().await;
    let lent = hub.forge.clone_credential(&hub.repo().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(lent.token.expose(), TOKEN);
    assert!(received(&hub.server).await.is_empty());
    let other = "https://other.example/o/r".parse().unwrap();
    let error = hub.forge.clone_credential(&other).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unsupported);
    let anonymous = forge(&hub.server, GitHubAuth::Token(Credential::Anonymous), Polling::Auto);
    let lent = anonymous.clone_credential(&hub.repo().parse().unwrap()).await.unwrap();
    assert!(lent.is_none());
}

#[tokio::test]
async fn an_app_whose_key_is_refused_asks_once() {
    let server = MockServer::start().await;
    always(&server, json(401, &value!({"message": "A JSON web token could not be decoded"}))).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = Credential::Token(Secret::new(key).into());
    let forge =
        forge(&server, GitHubAuth::App { app_id: 1, installation_id: 2, key }, Polling::Auto);
    let queries: Vec<_> =
        (0..9).map(|n| query(&format!("{}/o/r{n}", server.uri()), &["main"], None)).collect();
    for answer in forge.heads(&queries).await {
        assert_eq!(answer.unwrap_err().kind(), ForgeErrorKind::Unauthorized);
    }
    assert_eq!(received(&server).await.len(), 1);
}

#[tokio::test]
async fn a_tree_is_asked_of_git_with_the_token_and_a_refusal_is_remembered() {
    let hub = Hub::start().await;
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=x");
    always(&hub.server, refusal).await;
    let query = TreeQuery {
        repo: hub.repo().parse().unwrap(),
        revision: sample::at("main", &sha('a')),
        dir: ".tekton".parse().unwrap(),
        limits: TreeLimits::default(),
        timeout: Duration::from_secs(60),
    };
    let error = hub.forge.tree(&query).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unauthorized, "{error}");
    assert!(!all_texts(&error).contains(TOKEN));
    let requests = received(&hub.server).await;
    let basic = |r: &wiremock::Request| {
        let value = r.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned());
        value.is_some_and(|v| v.starts_with("Basic eC1hY2Nlc3MtdG9rZW46"))
    };
    assert!(!requests.is_empty() && requests.iter().all(basic));
    hub.forge.tree(&query).await.unwrap_err();
    assert_eq!(received(&hub.server).await.len(), requests.len(), "asked again at once");
}
