//! The plain-git forge against servers that lie, break off, redirect or hang.

use std::time::Duration;

use crate::support::lab::{BOTH, Lab, TOKEN, query, write_script};
use crate::support::repo::Repo;
use sentry_core::forge::{ChangesQuery, ForgeError, ForgeErrorKind, Source as _, TreeQuery};
use sentry_core::repo::RepoUrl;
use sentry_core::testing::sample;
use tokio::time::Instant;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

const REFS: &str = "application/x-git-upload-pack-result";
const SHA: &str = "9c5edb202dacd9799fd777dca310fd6cea918eed";

/// A server that answers everything with this.
async fn liar(answer: ResponseTemplate) -> (MockServer, RepoUrl) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let url = format!("{}/b.git", server.uri()).parse().unwrap();
    (server, url)
}

fn refs(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.to_owned(), REFS)
}

#[tokio::test]
async fn what_is_no_list_of_refs_is_a_wrong_answer_and_never_no_branches() {
    for git in BOTH {
        let line = format!("003d{SHA} refs/heads/main\n");
        let html = ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html");
        for (name, answer) in [
            ("a page", html),
            ("a page that calls itself refs", refs("<html>Sign in</html>")),
            ("an empty list", refs("0000")),
            ("a cut packet", refs(&line[..40])),
            ("a list without its end", refs(&line)),
            ("a null id", refs(&format!("003d{} refs/heads/main\n0000", "0".repeat(40)))),
            ("garbage behind the end", refs(&format!("{line}0000garbage"))),
        ] {
            let lab = Lab::of(git);
            let (_server, url) = liar(answer).await;
            let error = lab.heads(&url, &["main"]).await.unwrap_err();
            assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{name}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_fetch_from_what_is_no_git_server_fails_and_leaves_nothing() {
    for git in BOTH {
        let html = ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html");
        for (answer, kind) in [
            (html, ForgeErrorKind::WrongAnswer),
            (ResponseTemplate::new(404), ForgeErrorKind::NotFound),
            (ResponseTemplate::new(403), ForgeErrorKind::Unauthorized),
            (ResponseTemplate::new(429), ForgeErrorKind::RateLimited),
            (ResponseTemplate::new(503), ForgeErrorKind::Unreachable),
        ] {
            let lab = Lab::of(git);
            let (_server, url) = liar(answer).await;
            let error = lab.tree(&query(&url, SHA, ".tekton")).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_request_at_all() {
    for git in BOTH {
        let other = MockServer::start().await;
        let there = format!("{}/b.git/info/refs?service=git-upload-pack", other.uri());
        let answer = ResponseTemplate::new(302).insert_header("location", there.as_str());
        let (server, url) = liar(answer).await;
        let lab = Lab::of(git);
        let heads = lab.heads(&url, &["main"]).await.unwrap_err();
        let tree = lab.tree(&query(&url, SHA, ".tekton")).await.unwrap_err();
        assert_eq!([heads.kind(), tree.kind()], [ForgeErrorKind::WrongAnswer; 2], "{tree:?}");
        assert_eq!(other.received_requests().await.unwrap().len(), 0);
        let asked = server.received_requests().await.unwrap();
        assert!(asked.iter().all(|request| request.headers.contains_key("authorization")));
    }
}

/// What answers a POST in the one place, and in the other.
async fn two_places(at: ResponseTemplate, other: ResponseTemplate) -> (MockServer, RepoUrl) {
    let server = MockServer::start().await;
    for (place, answer) in [("/b.git", at), ("/new.git", other)] {
        let place = wiremock::matchers::path(format!("{place}/git-upload-pack"));
        Mock::given(place).respond_with(answer).mount(&server).await;
    }
    let url = format!("{}/b.git", server.uri()).parse().unwrap();
    (server, url)
}

#[tokio::test]
async fn only_a_redirect_that_keeps_the_request_and_leads_to_git_on_the_same_server_is_followed() {
    for git in BOTH {
        let other = MockServer::start().await;
        let elsewhere = format!("{}/new.git/git-upload-pack", other.uri());
        let secret = format!("/new.git/{TOKEN}/git-upload-pack");
        let new = "/new.git/git-upload-pack";
        for (status, to, is_followed) in [
            (301, new, true),
            (307, new, true),
            (308, new, true),
            (302, new, false),
            (303, new, false),
            (301, "/new.git", false),
            (301, "/b.git/git-upload-pack", false),
            (301, secret.as_str(), false),
            (301, elsewhere.as_str(), false),
        ] {
            let moved = ResponseTemplate::new(status).insert_header("location", to);
            let list = refs(&format!("0032{SHA} HEAD\n003d{SHA} refs/heads/main\n0000"));
            let (server, url) = two_places(moved, list).await;
            let heads = Lab::of(git).heads(&url, &["main"]).await;
            assert_eq!(heads.is_ok(), is_followed, "{status} {to}: {heads:?}");
            let asked = server.received_requests().await.unwrap().len();
            assert_eq!(asked, 1 + usize::from(is_followed), "{status} {to}");
        }
        assert_eq!(other.received_requests().await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_redirect_that_git_alone_meets_with_is_asked_about_once() {
    for git in BOTH {
        let list = refs(&format!("0032{SHA} HEAD\n003d{SHA} refs/heads/main\n0000"));
        let (server, url) = two_places(list, ResponseTemplate::new(404)).await;
        let there = ResponseTemplate::new(301).insert_header("location", "/new.git/info/refs");
        Mock::given(wiremock::matchers::method("GET")).respond_with(there).mount(&server).await;
        let error = Lab::of(git).tree(&query(&url, SHA, ".tekton")).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{error}");
        let asked = server.received_requests().await.unwrap();
        let methods: Vec<_> = asked.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(
            methods,
            ["GET", "POST"],
            "{git:?}: the list of refs says that nothing has moved"
        );
    }
}

#[tokio::test]
async fn a_hung_server_ends_at_the_deadline_and_leaves_nothing() {
    for git in BOTH {
        let lab = Lab::of(git);
        let (_server, url) =
            liar(ResponseTemplate::new(200).set_delay(Duration::from_secs(600))).await;
        let mut query = query(&url, SHA, ".tekton");
        query.timeout = Duration::from_millis(500);
        let error = lab.tree(&query).await.unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::Unreachable, "{error:?}");
    }
}

/// The clock stands still until nobody has anything to do but wait: what is measured is the time that was given.
#[tokio::test(start_paused = true)]
async fn a_git_that_never_ends_is_ended_when_the_callers_time_is_over() {
    let (given, unasked, ending) =
        (Duration::from_secs(7), Duration::from_secs(60), Duration::from_secs(2));
    let bin = tempfile::tempdir().unwrap();
    let git = bin.path().join("git");
    write_script(&git, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 900; done\n");
    let lab = Lab::with_git(&git);
    Repo::new(lab.repos.path(), "b.git");
    let ended = |what: &str, begun: Instant, time: Duration, error: ForgeError| {
        let took = begun.elapsed();
        assert!((time..=time + ending).contains(&took), "{what}: {took:?} of {time:?}: {error}");
        assert_eq!(error.kind(), ForgeErrorKind::Unreachable, "{what}: {error}");
    };
    let over_http: RepoUrl = "https://git.example.invalid/b.git".parse().unwrap();
    for url in [lab.file_url(), over_http] {
        let (what, begun) = (format!("tree of {url}"), Instant::now());
        let query = TreeQuery { timeout: given, ..query(&url, SHA, ".tekton") };
        ended(&what, begun, given, lab.tree(&query).await.unwrap_err());
        let (what, begun) = (format!("changes of {url}"), Instant::now());
        let (from, to) = (sample::sha(1).into(), sample::at("main", SHA));
        let query = ChangesQuery { repo: url.clone(), from, to, timeout: given };
        ended(&what, begun, given, lab.forge.changes(&query).await.unwrap_err());
        let (what, begun) = (format!("commit of {url}"), Instant::now());
        let revision = sample::at("main", SHA);
        ended(&what, begun, unasked, lab.forge.commit(&url, &revision).await.unwrap_err());
    }
    let begun = Instant::now();
    let error = lab.heads(&lab.file_url(), &["main"]).await.unwrap_err();
    ended("heads", begun, unasked, error);
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_no_directory() {
    for git in BOTH {
        let lab = Lab::of(git);
        let (_server, url) =
            liar(ResponseTemplate::new(200).set_delay(Duration::from_secs(600))).await;
        for _ in 0..20 {
            let query = query(&url, SHA, ".tekton");
            let fetch = lab.forge.tree(&query);
            assert!(tokio::time::timeout(Duration::from_millis(30), fetch).await.is_err());
            assert_eq!(std::fs::read_dir(lab.temp.path()).unwrap().count(), 0);
        }
    }
}

#[tokio::test]
async fn a_broken_pack_is_an_error_and_leaves_nothing() {
    for git in BOTH {
        let lab = Lab::of(git);
        let repo = lab.repo();
        let sha = repo.commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
        let (server, url) = lab.serve(Some(TOKEN));
        for cut in [1, 40, 120] {
            server.cut_answers_after(cut);
            let error = lab.tree(&query(&url, &sha, ".tekton")).await.unwrap_err();
            let kinds = [ForgeErrorKind::WrongAnswer, ForgeErrorKind::Unreachable];
            assert!(kinds.contains(&error.kind()), "{cut}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_repositorys_missing_git_is_a_local_error_with_a_remedy() {
    let lab = Lab::with_git("no-such-git".as_ref());
    Repo::new(lab.repos.path(), "b.git");
    let error = lab.tree(&query(&lab.file_url(), SHA, ".tekton")).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::Local);
    assert!(error.hint().unwrap().contains("install git"));
}

#[tokio::test]
async fn the_token_is_in_no_argument_and_in_no_file() {
    let spy = tempfile::tempdir().unwrap();
    let (git, seen) = (spy.path().join("git"), spy.path().join("seen"));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> {seen}\ngit \"$@\"; code=$?\n[ -n \"$GIT_DIR\" ] || exit $code\ncat \"$GIT_DIR\"/config >> {seen}\n\
         grep -rl s3cr3t \"$GIT_DIR\"/.. >> {seen}\nexit $code\n",
        seen = seen.display()
    );
    write_script(&git, &script);
    let lab = Lab::with_git(&git);
    let repo = lab.repo();
    let sha = repo.commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
    let (server, url) = lab.serve(Some(TOKEN));
    assert_eq!(lab.tree(&query(&url, &sha, ".tekton")).await.unwrap().files.len(), 1);
    assert!(server.take_log().iter().all(|asked| asked.authorization.is_some()));
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("--filter=tree:1") && !seen.contains("s3cr3t"), "{seen}");
    assert!(!seen.contains("Authorization") && !seen.contains("Basic"), "{seen}");
}

#[tokio::test]
async fn a_fetch_over_http_has_the_programs_that_it_takes_and_no_other() {
    let spy = tempfile::tempdir().unwrap();
    let seen = spy.path().join("seen");
    let note = format!(r#"[ "$1" != fetch ] || ls "$GIT_EXEC_PATH" > {}"#, seen.display());
    let lab = Lab::around_git(spy.path(), &note);
    let sha = lab.repo().commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
    let (_server, url) = lab.serve(Some(TOKEN));
    lab.tree(&query(&url, &sha, ".tekton")).await.unwrap();
    let programs = std::fs::read_to_string(seen).unwrap();
    assert_eq!(programs, "git\ngit-remote-http\ngit-remote-https\n");
}

#[tokio::test]
async fn what_a_failed_fetch_leaves_is_never_built_upon() {
    let place = tempfile::tempdir().unwrap();
    let fail = r#"case "$*" in fetch*--filter=*)
        touch "$GIT_DIR/shallow.lock"; echo "fatal: invalid filter-spec" >&2; exit 128;; esac"#;
    let lab = Lab::around_git(place.path(), fail);
    let sha = lab.repo().commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
    let tree = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap();
    assert_eq!(tree.files[0].bytes, b"a: 1\n");
}

#[tokio::test]
async fn what_a_server_sends_in_the_place_of_a_tree_is_told_by_what_it_is() {
    let place = tempfile::tempdir().unwrap();
    let disguise =
        r#"if [ "$2" = --batch-check ]; then git "$@" | sed 's/ tree / blob /'; exit; fi"#;
    let lab = Lab::around_git(place.path(), disguise);
    let sha = lab.repo().commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
    let error = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap_err();
    assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer, "{error:?}");
    assert!(error.to_string().ends_with("its root is a blob, not a tree"), "{error}");
}

#[tokio::test]
async fn what_git_cannot_read_of_a_fetch_is_what_the_server_sent() {
    for (said, kind) in [
        ("fatal: bad object", ForgeErrorKind::WrongAnswer),
        ("fatal: Out of memory, malloc failed", ForgeErrorKind::OutOfMemory),
    ] {
        let place = tempfile::tempdir().unwrap();
        let fail = format!(r#"[ "$1" != cat-file ] || {{ echo "{said}" >&2; exit 128; }}"#);
        let lab = Lab::around_git(place.path(), &fail);
        let sha = lab.repo().commit_files("main", &[(".tekton/a.yaml", b"a: 1\n")]);
        let error = lab.tree(&query(&lab.file_url(), &sha, ".tekton")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

#[tokio::test]
async fn heads_and_trees_go_through_the_configured_proxy() {
    for git in BOTH {
        let (proxy, _) = liar(ResponseTemplate::new(503)).await;
        let lab = Lab::behind(&proxy.uri().replace("http://", "http://user:hunter22@"), git);
        let url: RepoUrl = "http://127.0.0.1:1/a/b.git".parse().unwrap();
        let heads = lab.heads(&url, &["main"]).await.unwrap_err();
        let tree = lab.tree(&query(&url, SHA, ".tekton")).await.unwrap_err();
        let asked = proxy.received_requests().await.unwrap();
        let methods: Vec<_> = asked.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["POST", "GET"]);
        assert!(!format!("{heads:?} {tree:?}").contains("hunter22"));
    }
}

#[tokio::test]
async fn a_server_that_asks_us_to_wait_or_refuses_the_token_is_left_alone() {
    for git in BOTH {
        let limited = ResponseTemplate::new(429).insert_header("retry-after", "3000");
        for (answer, kind) in [
            (limited, ForgeErrorKind::RateLimited),
            (ResponseTemplate::new(401), ForgeErrorKind::Unauthorized),
        ] {
            let lab = Lab::of(git);
            let (server, url) = liar(answer).await;
            let other = url.as_str().replace("b.git", "c.git").parse().unwrap();
            for url in [&url, &url, &other] {
                assert_eq!(lab.heads(url, &["main"]).await.unwrap_err().kind(), kind);
            }
            let tree = lab.tree(&query(&url, SHA, ".tekton")).await.unwrap_err();
            assert_eq!(tree.kind(), kind);
            assert_eq!(server.received_requests().await.unwrap().len(), 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_renamed_repository_is_followed_on_its_server_and_reported_once() {
    for git in BOTH {
        let moved =
            ResponseTemplate::new(301).insert_header("location", "/new.git/git-upload-pack");
        let list = refs(&format!("0032{SHA} HEAD\n003d{SHA} refs/heads/main\n0000"));
        let (server, url) = two_places(moved, list).await;
        let lab = Lab::of(git);
        let heads = lab.heads(&url, &["main"]).await.unwrap();
        assert_eq!(heads.renamed_to.as_ref().unwrap().path().as_str(), "new");
        let again = lab.ask(&url, &["main"], Some(&heads)).await.unwrap();
        assert_eq!(again, sentry_core::forge::HeadsAnswer::NotModified);
        assert_eq!(
            server.received_requests().await.unwrap().len(),
            3,
            "the old place is left alone"
        );
    }
}
