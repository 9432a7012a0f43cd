//! `sentry validate --online`: what failed alone, with what to do about it, and the count last.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::sandbox::Sandbox;

/// The sandbox's configuration with one text for another.
fn with(from: &str, to: &str) -> Sandbox {
    let sandbox = Sandbox::with_repositories();
    let config = sandbox.read("sentry.yaml");
    assert!(config.contains(from), "{config}");
    sandbox.write("sentry.yaml", &config.replace(from, to));
    sandbox
}

/// The last line, and what is above it.
fn parted(text: &str) -> (&str, &str) {
    text.trim_end().rsplit_once('\n').unwrap()
}

#[test]
fn where_nothing_failed_all_checks_are_shown_and_counted() {
    let sandbox = Sandbox::with_repositories();
    let text = sandbox.ok(&["validate", "--online"]);
    let (all, last) = parted(&text);
    assert!(all.contains("manifests pass lint") && all.contains("branches exist"), "{text}");
    assert_eq!(last, "5 checks passed");
}

#[test]
fn what_failed_is_shown_alone_and_wide_shows_the_rest_below() {
    let sandbox = with("branches: main", "branches: mian");
    let run = sandbox.run(&["validate", "--online"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{run:?}");
    let (all, last) = parted(&run.stdout);
    assert_eq!(last, "1 of 4 checks failed");
    assert!(!all.contains("ok  "), "{all}");
    let wide = sandbox.run(&["validate", "--online", "-o", "wide"]).stdout;
    assert!(wide.find("✗").unwrap() < wide.find("ok  ").unwrap(), "{wide}");
}

#[test]
fn a_branch_that_is_not_there_is_the_same_on_both_sides() {
    for (from, to, check) in [
        ("branches: main", "branches: mian", "branches exist"),
        ("branch: main", "branch: mian", "manifests branch exists"),
        ("branch: main", "branch: [other, mian]", "manifests branch exists"),
    ] {
        let run = with(from, to).run(&["validate", "--online"]);
        assert_eq!(run.code, 1, "{run:?}");
        for part in [check, "has no branch `mian`; did you mean `main`?"] {
            assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
        }
    }
}

#[test]
fn a_repository_that_is_gone_can_not_be_reached() {
    let sandbox = Sandbox::with_repositories();
    std::fs::remove_dir_all(sandbox.path("b")).unwrap();
    let run = sandbox.run(&["validate", "--online", "-o", "json"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stdout.contains("\"unreachable\""), "{}", run.stdout);
    let names = sandbox.run(&["validate", "--online", "-o", "name"]).stdout;
    assert_eq!(names, format!("file://{}\n", sandbox.path("b").display()));
}

#[test]
fn a_token_that_nobody_configured_is_not_refused() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\
                          Content-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let sandbox = Sandbox::with_repositories();
    let config = sandbox.read("sentry.yaml");
    let a = format!("file://{}", sandbox.path("a").display());
    let config = config.replace(&format!("\"{a}\""), &format!("\"{url}/acme/a.git\""));
    sandbox.write("sentry.yaml", &config);
    let run = sandbox.run(&["validate", "--online"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stdout.contains("requires a token, and none is configured"), "{}", run.stdout);
    assert!(run.stdout.contains("set `token` of forge git"), "{}", run.stdout);
    assert!(run.stdout.ends_with("\n1 of 3 checks failed\n"), "{}", run.stdout);
}
