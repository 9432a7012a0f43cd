use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::Fault;
use sentry_tests::repo::{BareRepo, Entry};
use sentry_tests::sandbox::eventually;
use sentry_tests::tls::Tls;
use tempfile::TempDir;

use super::{get, git, stdout};

fn served(options: GitOptions) -> (TempDir, BareRepo, GitServer) {
    let root = tempfile::tempdir().unwrap();
    let repo = BareRepo::create(root.path(), "owner/a.git");
    let server = GitServer::start(root.path(), options, None);
    (root, repo, server)
}

/// Basic with that token, as an extra header.
fn basic(token: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("x:{token}"));
    format!("http.extraHeader=Authorization: Basic {encoded}")
}

#[test]
fn a_clone_brings_the_commit() {
    let (root, repo, server) = served(GitOptions::default());
    let sha = repo.commit("main", &[("a", "1")], "first");
    stdout(&git(root.path(), &[], &["clone", "-q", &server.url("owner/a.git"), "clone"]));
    assert_eq!(stdout(&git(&root.path().join("clone"), &[], &["rev-parse", "HEAD"])), sha);
    let asked = server.http().log().matching("GET /owner/a.git/info/refs");
    assert_eq!(asked[0].header("git-protocol"), Some("version=2"));
    assert_eq!(asked[0].status, Some(200));
    assert!(server.http().log().bytes_out() > 100);
}

#[test]
fn without_its_token_nothing_is_told() {
    let (root, repo, server) = served(GitOptions::default());
    let sha = repo.commit("main", &[], "first");
    server.tokens().grant("s3cret");
    let url = server.url("owner/a.git");
    assert_eq!(
        get(server.http().port(), "/owner/a.git/info/refs?service=git-upload-pack", &[]).status,
        401
    );
    assert!(!git(root.path(), &[], &["ls-remote", &url]).status.success());
    assert!(!git(root.path(), &[&basic("wrong")], &["ls-remote", &url]).status.success());
    assert!(!server.http().log().saw("s3cret"));
    for header in [basic("s3cret"), "http.extraHeader=Authorization: Bearer s3cret".to_owned()] {
        assert!(stdout(&git(root.path(), &[&header], &["ls-remote", &url])).starts_with(&sha));
    }
    assert!(server.http().log().saw("s3cret"));
    server.tokens().revoke("s3cret");
    assert!(!git(root.path(), &[&basic("s3cret")], &["ls-remote", &url]).status.success());
}

#[test]
fn tls_is_trusted_only_with_its_authority() {
    let root = tempfile::tempdir().unwrap();
    let sha = BareRepo::create(root.path(), "a.git").commit("main", &[], "first");
    let tls = Tls::new();
    let server = GitServer::start(root.path(), GitOptions::default(), Some(tls.server()));
    let url = server.url("a.git");
    assert!(url.starts_with("https://"), "{url}");
    assert!(!git(root.path(), &[], &["ls-remote", &url]).status.success());
    let trust = format!("http.sslCAInfo={}", tls.ca_pem().display());
    assert!(stdout(&git(root.path(), &[&trust], &["ls-remote", &url])).starts_with(&sha));
    let by_name = url.replace("127.0.0.1", "localhost");
    assert!(stdout(&git(root.path(), &[&trust], &["ls-remote", &by_name])).starts_with(&sha));
}

#[test]
fn a_filter_leaves_out_what_was_not_asked_for() {
    let (root, repo, server) = served(GitOptions::default());
    let sha = repo.commit("main", &[("big", "x"), (".tekton/run.yaml", "y")], "first");
    stdout(&git(root.path(), &[], &["init", "-q", "--bare", "partial"]));
    let partial = root.path().join("partial");
    let url = server.url("owner/a.git");
    let fetch = ["fetch", "-q", "--depth=1", "--filter=tree:0", &url, &sha];
    stdout(&git(&partial, &[], &fetch));
    let count = ["rev-list", "--objects", "--missing=print", &sha];
    assert!(
        stdout(&git(&partial, &[], &count)).contains('?'),
        "no object is missing: the filter did nothing"
    );
    server.set(GitOptions { filters: false, ..GitOptions::default() });
    stdout(&git(root.path(), &[], &["init", "-q", "--bare", "whole"]));
    let unfiltered = git(&root.path().join("whole"), &[], &fetch);
    assert!(
        String::from_utf8_lossy(&unfiltered.stderr).contains("filtering not recognized"),
        "{unfiltered:?}"
    );
}

#[test]
fn a_tree_filter_deeper_than_allowed_is_refused() {
    let (root, repo, server) =
        served(GitOptions { max_tree_depth: Some(0), ..GitOptions::default() });
    let sha = repo.commit("main", &[("a", "1")], "first");
    stdout(&git(root.path(), &[], &["init", "-q", "--bare", "partial"]));
    let fetch = |filter| {
        let url = server.url("owner/a.git");
        git(&root.path().join("partial"), &[], &["fetch", "-q", "--depth=1", filter, &url, &sha])
    };
    assert!(!fetch("--filter=tree:1").status.success());
    assert!(fetch("--filter=tree:0").status.success());
}

#[test]
fn pushes_arrive_when_they_are_allowed_large_ones_too() {
    let (root, repo, server) = served(GitOptions::default());
    let url = server.url("owner/a.git");
    let local = BareRepo::create(root.path(), "local.git");
    let mut seed = 1u32;
    let noise: Vec<u8> = (0..3_000_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        })
        .collect();
    let sha = local.commit_entries("main", &[Entry::file("noise", noise)], "incompressible");
    assert!(!git(local.path(), &[], &["push", "-q", &url, "main"]).status.success());
    assert_eq!(repo.branch_at("main"), None);
    server.set(GitOptions { push: true, ..GitOptions::default() });
    stdout(&git(local.path(), &[], &["push", "-q", &url, "main"]));
    assert_eq!(repo.branch_at("main"), Some(sha));
    assert!(
        server
            .http()
            .log()
            .matching("git-receive-pack")
            .iter()
            .any(|asked| asked.header("transfer-encoding").is_some())
    );
}

#[test]
fn a_paused_server_refuses_and_a_resumed_one_answers_on_the_same_port() {
    let (root, repo, server) = served(GitOptions::default());
    let sha = repo.commit("main", &[], "first");
    let list = || git(root.path(), &[], &["ls-remote", &server.url("owner/a.git")]);
    assert!(list().status.success());
    for _ in 0..3 {
        server.http().pause();
        assert!(std::net::TcpStream::connect(("127.0.0.1", server.http().port())).is_err());
        assert!(!list().status.success());
        server.http().resume();
        assert!(stdout(&list()).starts_with(&sha));
    }
}

#[test]
fn a_dropped_server_is_gone() {
    let (_root, _repo, server) = served(GitOptions::default());
    let port = server.http().port();
    drop(server);
    // A git that another test is just starting holds a copy of the listener until its exec closes it.
    eventually("nobody listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn faults_hit_the_requests_they_name_as_often_as_told() {
    let (_root, repo, server) = served(GitOptions::default());
    repo.commit("main", &[], "first");
    let (http, path) = (server.http(), "/owner/a.git/info/refs?service=git-upload-pack");
    http.faults().next(2, "info/refs", Fault::status(503).retry_after("7"));
    http.faults().next(1, "elsewhere", Fault::Html);
    let first = get(http.port(), path, &[]);
    assert_eq!((first.status, first.header("retry-after")), (503, Some("7")));
    assert_eq!(get(http.port(), path, &[]).status, 503);
    assert_eq!(get(http.port(), path, &[]).status, 200);
    http.faults()
        .until_cleared("", Fault::Redirect { status: 302, to: "http://localhost:1".into() });
    let redirected = get(http.port(), path, &[]);
    assert_eq!(redirected.header("location"), Some(format!("http://localhost:1{path}").as_str()));
    http.faults().clear();
    let whole = get(http.port(), path, &[("Git-Protocol", "version=1")]);
    assert_eq!(whole.status, 200);
    http.faults().next(1, "", Fault::Truncated);
    let cut = get(http.port(), path, &[("Git-Protocol", "version=1")]);
    let announced: usize = cut.header("content-length").unwrap().parse().unwrap();
    assert_eq!(cut.body.len(), announced / 2);
    http.faults().next(1, "", Fault::Html);
    assert!(get(http.port(), path, &[]).body.contains("<title>"));
}
