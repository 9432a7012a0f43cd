//! What differs between two commits, as the APIs tell it. Where they can't, git is asked: its own tests show that.

use sentry_core::forge::{ChangedPaths, ForgeErrorKind, Source as _};
use sentry_forge::gitlab::GitLabToken;
use serde_json::{Value, json as value};
use wiremock::matchers::{method, path, path_regex, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::common::*;
use crate::support::*;

/// GitHub's comparison of `bbbb…` with `aaaa…`, whose common commit is `base`.
fn compared(base: char, files: &Value) -> Value {
    value!({
        "status": if base == 'b' { "ahead" } else { "diverged" }, "files": files,
        "base_commit": {"sha": sha('b')}, "merge_base_commit": {"sha": sha(base)}, "commits": [],
    })
}

fn files(n: usize) -> Value {
    (0..n).map(|i| value!({"filename": format!("f{i:03}"), "status": "modified"})).collect()
}

async fn git_is_away(server: &MockServer) {
    Mock::given(path_regex("(upload-pack|info/refs)"))
        .respond_with(ResponseTemplate::new(503))
        .mount(server)
        .await;
}

async fn git_was_asked(server: &MockServer) -> bool {
    received(server).await.iter().any(|request| request.url.path().contains("/info/refs"))
}

#[tokio::test]
async fn github_tells_the_files_and_of_a_renamed_one_both_names() {
    let server = MockServer::start().await;
    let files = value!([
        {"filename": "src/new.rs", "status": "renamed", "previous_filename": "src/old.rs"},
        {"filename": "copy", "status": "copied", "previous_filename": "original"},
        {"filename": "a ü#1.txt", "status": "removed"},
    ]);
    Mock::given(method("GET"))
        .and(path(format!("/api/v3/repos/o/r/compare/{}...{}", sha('b'), sha('a'))))
        .and(query_param("per_page", "1"))
        .respond_with(json(200, &compared('b', &files)))
        .expect(1)
        .mount(&server)
        .await;
    let told = hub(&server).changes(&difference(&hub_repo(&server))).await.unwrap();
    let paths = ["a ü#1.txt", "copy", "src/new.rs", "src/old.rs"];
    assert_eq!(told, ChangedPaths { paths: paths.map(str::to_owned).to_vec(), truncated: false });
}

#[tokio::test]
async fn what_github_tells_in_part_or_from_another_base_is_asked_of_git() {
    for (answer, asked) in [
        (json(200, &compared('b', &files(299))), false),
        (json(200, &compared('b', &files(300))), true),
        (json(200, &compared('c', &files(1))), true),
        (json(404, &value!({"message": "Not Found"})), true),
        (json(200, &value!({"files": []})), true),
        (json(200, &compared('b', &Value::Null)), true),
        (ResponseTemplate::new(200).set_body_raw("<html>", "text/html"), true),
        (ResponseTemplate::new(200).set_body_raw("x".repeat(5 << 20), "application/json"), true),
    ] {
        let server = MockServer::start().await;
        Mock::given(path_regex("/compare/")).respond_with(answer).mount(&server).await;
        git_is_away(&server).await;
        let told = hub(&server).changes(&difference(&hub_repo(&server))).await;
        assert_eq!(git_was_asked(&server).await, asked, "{told:?}");
        assert_eq!(told.is_err(), asked, "an outage is no answer");
    }
}

#[tokio::test]
async fn where_git_can_t_tell_either_the_part_is_told_as_a_part() {
    let server = MockServer::start().await;
    let answer = json(200, &compared('b', &files(300)));
    Mock::given(path_regex("/compare/")).respond_with(answer).mount(&server).await;
    // The older commit is gone: git says so by its name.
    let refs = "001e# service=git-upload-pack\n0000000eversion 2\n000cls-refs\n0019fetch=shallow filter\n0000";
    Mock::given(path_regex("/info/refs"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_raw(refs, "application/x-git-upload-pack-advertisement"),
        )
        .mount(&server)
        .await;
    let text = format!("ERR upload-pack: not our ref {}", sha('b'));
    let line = format!("{:04x}{text}", text.len() + 4);
    Mock::given(path_regex("/git-upload-pack"))
        .respond_with(
            ResponseTemplate::new(200).set_body_raw(line, "application/x-git-upload-pack-result"),
        )
        .mount(&server)
        .await;
    let told = hub(&server).changes(&difference(&hub_repo(&server))).await.unwrap();
    assert_eq!((told.paths.len(), told.truncated), (300, true));
}

#[tokio::test]
async fn gitlab_compares_the_two_trees_and_says_when_it_left_something_out() {
    let diffs = value!([
        {"old_path": "src/old.rs", "new_path": "src/new.rs", "renamed_file": true, "diff": ""},
        {"old_path": "a", "new_path": "a", "collapsed": true, "diff": ""},
    ]);
    for (timeout, asked) in [(value!(false), false), (value!(true), true), (Value::Null, true)] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/api/v4/projects/g%2Fsub%2Fp/repository/compare"))
            .and(query_param("from", sha('b')))
            .and(query_param("to", sha('a')))
            .and(query_param("straight", "true"))
            .respond_with(json(200, &value!({"diffs": diffs, "compare_timeout": timeout})))
            .expect(1)
            .mount(&server)
            .await;
        git_is_away(&server).await;
        let told = lab(&server).changes(&difference(&lab_repo(&server))).await;
        assert_eq!(git_was_asked(&server).await, asked);
        if !asked {
            assert_eq!(told.unwrap().paths, ["a", "src/new.rs", "src/old.rs"]);
        }
    }
}

#[tokio::test]
async fn a_jobs_token_asks_git_alone() {
    let server = MockServer::start().await;
    git_is_away(&server).await;
    let forge = lab_with(&server, GitLabToken::Job, None);
    let error = forge.changes(&difference(&lab_repo(&server))).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Unreachable);
    assert!(received(&server).await.iter().all(|r| !r.url.path().contains("/api/")));
}

#[tokio::test]
async fn refusals_and_limits_are_errors_and_not_asked_of_git() {
    for (code, kind) in [
        (401, ForgeErrorKind::Unauthorized),
        (403, ForgeErrorKind::Unauthorized),
        (429, ForgeErrorKind::RateLimited),
        (503, ForgeErrorKind::Unreachable),
    ] {
        let server = MockServer::start().await;
        always(&server, json(code, &value!({"message": "x"}))).await;
        for error in [
            hub(&server).changes(&difference(&hub_repo(&server))).await.unwrap_err(),
            lab(&server).changes(&difference(&lab_repo(&server))).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
        assert_eq!(received(&server).await.len(), 2);
    }
}

#[tokio::test]
async fn a_commit_does_not_differ_from_itself_and_nobody_is_asked() {
    let server = MockServer::start().await;
    let mut same = difference(&hub_repo(&server));
    same.from = same.to.sha.clone().into();
    assert_eq!(hub(&server).changes(&same).await.unwrap(), ChangedPaths::default());
    assert!(received(&server).await.is_empty());
}
