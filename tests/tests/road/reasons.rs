//! The one line that says why: a proxy that is no help is blamed itself, a forge is quoted, and the remedy stands wherever the
//! error does.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use sentry_core::error::{text as error_text, told};
use sentry_core::forge::{ForgeError, Heads as _, HeadsQuery, Source as _};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::secret::Redactor;
use sentry_core::subject::Subject;
use sentry_core::watch::BranchSelector;
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use sentry_tests::forges::{ForgeOptions, github::GitHub, gitlab::GitLab};
use sentry_tests::http::Fault;
use sentry_tests::proxy::HttpProxy;
use sentry_tests::repo::BareRepo;
use sentry_tests::road::Road;
use sentry_tests::sandbox::Sandbox;
use serde_json::Value;
use tempfile::TempDir;

/// A port on which everybody is answered with the same bytes.
fn answers(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(bytes));
        }
    });
    port
}

fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn by_proxy(proxy: &str) -> GitForge {
    let mut http = HttpSettings::new(Redactor::new());
    http.proxy = Some(proxy.parse().unwrap());
    GitForge::new(GitSettings {
        name: "own".to_owned(),
        credential: Credential::Anonymous,
        username: "git".to_owned(),
        transport: Transport::new(TransportSettings::new(http.clone())).into(),
        http: Http::new(&http).unwrap(),
    })
}

/// What the API's client and what git say of a way to a server.
async fn both(forge: &GitForge, repo: &RepoUrl) -> [(&'static str, ForgeError); 2] {
    let query = HeadsQuery {
        repo: repo.clone(),
        subjects: BranchSelector::new(["main"]).unwrap().into(),
        validator: None,
    };
    let revision = Revision {
        subject: Subject::Branch("main".parse().unwrap()),
        sha: "1".repeat(40).parse().unwrap(),
    };
    let heads = forge.heads(&[query]).await.remove(0).unwrap_err();
    let commit = forge.commit(repo, &revision).await.unwrap_err();
    [("our client", heads), ("git", commit)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_leads_nowhere_is_blamed_and_not_the_server_behind_it() {
    let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot there";
    let locked = HttpProxy::start(Some(("agent", "another-word")));
    let broken = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
    let mut count = 0;
    for (port, why, remedy) in [
        (closed(), "can't be reached", "that the proxy runs"),
        (answers(refused.as_bytes()), "refuses to connect there", "no_proxy"),
        (answers(broken.as_bytes()), "refuses to connect there", "no_proxy"),
        (locked.port(), "requires a user and password", "USER:PASSWORD"),
        (answers(b""), "", "that the proxy runs"),
    ] {
        let forge = by_proxy(&format!("http://agent:s3cr3t-word@127.0.0.1:{port}"));
        for (who, error) in both(&forge, &repo).await {
            let (text, hint) = (error.to_string(), error.hint().unwrap_or_default());
            assert!(
                text.contains("the proxy") && text.contains(why),
                "{who}: {}",
                error_text(&error)
            );
            assert!(hint.contains(remedy), "{who}, {text}: {hint}");
            assert!(!told(&error, error.hint()).contains("s3cr3t"), "{who}: {error:?}");
            count += 1;
        }
    }
    let nowhere = by_proxy("http://proxy.invalid:3128");
    for (who, error) in both(&nowhere, &repo).await {
        assert!(error.to_string().contains("the proxy"), "{who}: {}", error_text(&error));
        count += 1;
    }
    println!("{count} ways through a proxy that lead nowhere, each blamed on the proxy");
}

fn online(sandbox: &Sandbox) -> (String, String) {
    let output = sandbox.sentry(["validate", "--online", "--output", "json"]);
    let found: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let bad = found["checks"].as_array().unwrap().iter().find(|check| check["result"] != "ok");
    let text = |key: &str| {
        bad.unwrap_or_else(|| panic!("{output:?}"))[key].as_str().unwrap_or_default().to_owned()
    };
    (text("detail"), text("remedy"))
}

/// A home whose one forge is this.
fn asking(kind: &str, origin: &str, url: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("TOKEN", "the-token-51af0c");
    sandbox.write_config(&format!(
                "forges: {{one: {{type: {kind}, url: '{}', token: '${{TOKEN}}', polling: api}}}}\nwatches:\n  - name: qa\n    \
                 source: {{url: '{url}', branches: main}}\n    manifests: {{url: '{url}', branch: main}}\n    \
                 cluster: {{context: default, namespace: qa, deployer: dry-run}}\n",
                origin
            ));
    sandbox
}

/// A status, a body, the sentence in it, and the remedy.
const REFUSALS: [(u16, &str, &str, &str); 6] = [
    (
        403,
        r#"{"message":"Resource not accessible by personal access token"}"#,
        "Resource not accessible by personal access token",
        "right",
    ),
    (
        403,
        r#"{"message":"Resource protected by organization SAML enforcement."}"#,
        "SAML enforcement",
        "right",
    ),
    (
        403,
        r#"{"error":"insufficient_scope","error_description":"The request requires higher privileges"}"#,
        "higher privileges",
        "right",
    ),
    (
        401,
        r#"{"error":"invalid_token","error_description":"Token was revoked."}"#,
        "Token was revoked.",
        "not expired",
    ),
    (401, r#"{"message":"Bad credentials"}"#, "Bad credentials", "not expired"),
    (500, r#"{"message":"a lock is held"}"#, "a lock is held", ""),
];

#[test]
fn a_forges_own_sentence_is_quoted_where_it_refuses() {
    let repos = TempDir::new().unwrap();
    BareRepo::create(repos.path(), "qa/app.git").commit("main", &[], "first");
    let hub = GitHub::start(repos.path(), ForgeOptions::default());
    let lab = GitLab::start(repos.path(), ForgeOptions::default());
    let json = |status, body: &str| {
        Fault::status(status).header("content-type", "application/json").body(body)
    };
    let sso = "required; url=https://github.com/orgs/acme/sso?authorization_request=s3cr3t";
    let kinds = [
        ("github", hub.http(), hub.clone_url("qa/app")),
        ("gitlab", lab.http(), lab.clone_url("qa/app")),
    ];
    let mut count = 0;
    for (kind, http, url) in kinds {
        for (status, body, sentence, remedy) in REFUSALS {
            let sandbox = asking(kind, &http.origin(), &url);
            http.faults().until_cleared("", json(status, body));
            let (detail, hint) = online(&sandbox);
            assert!(detail.contains(sentence), "{kind} {status}: {detail}");
            assert!(hint.contains(remedy), "{kind} {status}: {hint}");
            http.faults().clear();
            if body.contains("SAML") && kind == "github" {
                http.faults().until_cleared("", json(status, body).header("x-github-sso", sso));
                let (_, hint) = online(&sandbox);
                assert!(
                    hint.contains("single sign-on: https://github.com/orgs/acme/sso"),
                    "{hint}"
                );
                assert!(!hint.contains("s3cr3t"), "{hint}");
                http.faults().clear();
            }
            count += 1;
        }
    }
    println!("{count} refusals of forges quoted");
}

#[test]
fn the_sentence_and_the_remedy_stand_wherever_the_error_is_shown() {
    let road = Road::new();
    assert_eq!(road.sandbox.sentry(["watch", "--once"]).code, Some(0));
    let sha = road.a.commit("main", &[("README.md", "B")], "work");
    let blocked = Fault::status(403)
        .header("content-type", "text/plain")
        .body("Your account is blocked until Monday");
    road.git.http().faults().until_cleared("b.git", blocked);
    let failed = road.sandbox.sentry(["watch", "--once"]);
    assert_ne!(failed.code, Some(0), "{failed:?}");
    let (sentence, remedy) =
        ("Your account is blocked until Monday", "give the token the right to read");
    let said = |what: &str, text: &str| {
        assert!(text.contains(sentence) && text.contains(remedy), "{what}: {text}");
    };
    said("log", &failed.stderr);
    let history = road.sandbox.sentry(["history", "--output", "json"]).stdout;
    let history: Value = serde_json::from_str(&history).unwrap();
    let id = history["deliveries"][0]["id"].as_str().unwrap_or_else(|| panic!("{history}"));
    for question in [
        vec!["status", "--output", "json"],
        vec!["show", id, "--output", "json"],
        vec!["why", &sha, "--output", "json"],
    ] {
        let shown = road.sandbox.sentry(&question).stdout;
        said(question[0], &shown);
    }
    said(
        "show",
        &road.sandbox.sentry(["show", id]).stdout.split_whitespace().collect::<Vec<_>>().join(" "),
    );
}
