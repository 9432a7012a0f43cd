use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::http::Fault;
use sentry_tests::proxy::{FaultProxy, HttpProxy, Link};
use sentry_tests::repo::BareRepo;
use sentry_tests::tls::Tls;

use super::{get, git, stdout};

#[test]
fn git_goes_through_the_proxy_with_its_password_only_plainly_and_by_tls() {
    let root = tempfile::tempdir().unwrap();
    let sha = BareRepo::create(root.path(), "a.git").commit("main", &[("a", "1")], "first");
    let tls = Tls::new();
    let trust = format!("http.sslCAInfo={}", tls.ca_pem().display());
    for tls in [None, Some(tls.server())] {
        let connects = tls.is_some();
        let server = GitServer::start(root.path(), GitOptions::default(), tls);
        let proxy = HttpProxy::start(Some(("user", "pass")));
        let list = |url: &str| {
            let through = format!("http.proxy={url}");
            git(root.path(), &[&through, &trust], &["ls-remote", &server.url("a.git")])
        };
        assert!(!list(&proxy.url()).status.success());
        assert_eq!(server.http().log().requests(), 0);
        assert!(proxy.log().all().iter().all(|asked| asked.status == Some(407)));
        assert!(stdout(&list(&proxy.url_with_credentials())).starts_with(&sha));
        let method = if connects { "CONNECT 127.0.0.1" } else { "GET http://127.0.0.1" };
        assert!(!proxy.log().matching(method).is_empty());
        assert!(proxy.log().saw("user:pass"));
        assert!(!server.http().log().saw("pass"), "the proxy's password reached the server");
    }
}

#[test]
fn a_name_that_only_the_proxy_knows_leads_to_a_server() {
    let root = tempfile::tempdir().unwrap();
    let sha = BareRepo::create(root.path(), "a.git").commit("main", &[], "first");
    let server = GitServer::start(root.path(), GitOptions::default(), None);
    let proxy = HttpProxy::start(None);
    proxy.lead("forge.test:80", server.http().port());
    let through = format!("http.proxy={}", proxy.url());
    let listed = git(root.path(), &[&through], &["ls-remote", "http://forge.test/a.git"]);
    assert!(stdout(&listed).starts_with(&sha));
}

#[test]
fn a_link_does_what_it_is_told_and_is_fine_again() {
    let root = tempfile::tempdir().unwrap();
    BareRepo::create(root.path(), "a.git").commit("main", &[], "first");
    let server = GitServer::start(root.path(), GitOptions::default(), None);
    // git's own answer comes in chunks that differ from run to run: this one has one length.
    server.http().faults().until_cleared("", Fault::status(200).body(&"x".repeat(500)));
    let link = FaultProxy::to(server.http().port());
    let path = "/a.git/info/refs?service=git-upload-pack";
    let whole = get(link.port(), path, &[]);
    assert_eq!(whole.status, 200);
    let length = |how: Link| {
        link.next(1, how);
        let mut bytes = Vec::new();
        let mut stream = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let ended = stream.read_to_end(&mut bytes);
        (bytes.len(), ended.is_ok())
    };
    let (all, _) = length(Link::Fine);
    assert_eq!(length(Link::CutAfter(40)), (40, true));
    assert_eq!(length(Link::DropLast(10)), (all - 10, true));
    assert_eq!(length(Link::Drip { bytes: 100, every: Duration::from_millis(1) }), (all, true));
    assert_eq!(length(Link::Latency(Duration::from_millis(1))), (all, true));
    assert!(!length(Link::ResetAfter(40)).1, "a reset is an error to the reader");
    link.set(Link::Garbage);
    assert_eq!(get(link.port(), path, &[]).status, 0);
    // Whether so many bytes come, and then neither more nor an end.
    let goes_silent_after = |bytes: usize, how: Link| {
        link.set(how);
        let mut stream = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.read_exact(&mut vec![0; bytes]).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    assert!(goes_silent_after(0, Link::Hang), "a hanging link says nothing");
    assert!(goes_silent_after(40, Link::HalfOpenAfter(40)), "a half-open one stops and stays");
    link.set(Link::Answers(Fault::status(429).retry_after("-1")));
    let limited = get(link.port(), path, &[]);
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("-1")));
    let away = Fault::Redirect { status: 307, to: "http://127.0.0.1:1".into() };
    link.set(Link::Answers(away));
    let away = get(link.port(), path, &[]);
    assert_eq!(away.header("location"), Some(format!("http://127.0.0.1:1{path}").as_str()));
    link.refuse();
    assert!(TcpStream::connect(("127.0.0.1", link.port())).is_err());
    link.accept();
    link.set(Link::Fine);
    assert_eq!(get(link.port(), path, &[]).status, 200);
    assert!(link.connections() > 8);
}
