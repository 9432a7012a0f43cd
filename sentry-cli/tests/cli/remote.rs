//! The same from a laptop as in the pod: `--server` against a server of the documented routes, over the same state.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use sentry_api::{Answers as _, ApiError, Asker, ErrorKind, Local};
use sentry_cli::compose::{self, Composition};
use sentry_config::Environment;
use sentry_core::secret::Redactor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sandbox::Sandbox;

const TOKEN: &str = "t0ken-of-the-server";

/// Serves the state of a sandbox until the test ends.
struct Server(SocketAddr);

impl Server {
    /// Answers as the pod would; with the sandbox's configuration, if it has one.
    fn start(sandbox: &Sandbox) -> Self {
        let state = sandbox.path("state");
        let mut vars = std::collections::BTreeMap::new();
        vars.insert("HOME".to_owned(), sandbox.path("").display().to_string());
        let file = sandbox.path("sentry.yaml");
        let config = sentry_config::load(&file, &Environment::new(vars)).unwrap();
        let store = compose::open_store(&state).unwrap();
        let local = Composition::new(config, store, &Redactor::new()).unwrap().answers();
        Self::serve(Router::new().fallback(routes).with_state(Arc::new(local)))
    }

    fn serve(router: Router) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self(address)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

async fn routes(State(local): State<Arc<Local>>, request: Request) -> Response {
    answer(&local, request).await.unwrap_or_else(|error| {
        let status = StatusCode::from_u16(error.kind().http_status()).unwrap();
        (status, axum::Json(error.body())).into_response()
    })
}

/// The table at `sentry_api::Answers`.
async fn answer(local: &Local, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let expected = format!("Bearer {TOKEN}");
    if header(&parts.headers, header::AUTHORIZATION.as_str()) != Some(&expected) {
        return Err(ApiError::new(ErrorKind::Unauthorized, "no valid token"));
    }
    let path = parts.uri.path().to_owned();
    let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let ["prefix", "api", "v1", path @ ..] = path.as_slice() else {
        return Err(ApiError::new(ErrorKind::NotFound, "nothing is here"));
    };
    let uri = &parts.uri;
    let asker = Asker { by: None, key: header(&parts.headers, "idempotency-key") };
    match (parts.method.as_str(), path) {
        ("GET", ["status"]) => json(local.status(&query(uri)?).await?),
        ("GET", ["why", commit]) => json(local.why(commit, &query(uri)?).await?),
        ("GET", ["deliveries"]) => json(local.history(&query(uri)?).await?),
        ("GET", ["deliveries", id]) => json(local.show(id).await?),
        ("GET", ["explain"]) => json(local.explain(&query(uri)?).await?),
        ("GET", ["triggers", id]) => json(local.trigger_state(id).await?),
        ("POST", ["trigger"]) => json(local.trigger(&read(body).await?, asker).await?),
        ("POST", ["deliveries", id, "retry"]) => json(local.retry(id, asker).await?),
        ("POST", ["deliveries", id, "cancel"]) => json(local.cancel(id, asker).await?),
        ("POST", ["deliveries", id, "rerun"]) => {
            json(local.rerun(id, &read(body).await?, asker).await?)
        }
        ("POST", ["watches", name, "suspend"]) => {
            json(local.suspend(name, &read(body).await?, None).await?)
        }
        ("POST", ["watches", name, "resume"]) => json(local.resume(name, None).await?),
        _ => Err(ApiError::new(ErrorKind::NotFound, "nothing is here")),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let query = Query::try_from_uri(uri).map_err(|e| ApiError::bad_request(e.to_string()))?;
    Ok(query.0)
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = to_bytes(body, 1 << 20).await.map_err(|e| ApiError::bad_request(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| ApiError::bad_request(e.to_string()))
}

fn json(answer: impl Serialize) -> Result<Response, ApiError> {
    Ok(axum::Json(answer).into_response())
}

/// A sandbox, its server, and the flags that ask it.
fn laptop() -> (Sandbox, Server, [String; 4]) {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    sandbox.write("token", &format!("{TOKEN}\n"));
    let server = Server::start(&sandbox);
    let flags = [
        "--server".to_owned(),
        format!("{}/prefix/", server.url()),
        "--token-file".to_owned(),
        sandbox.path("token").display().to_string(),
    ];
    (sandbox, server, flags)
}

fn with<'a>(flags: &'a [String], args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(flags.iter().map(String::as_str)).collect()
}

#[test]
fn a_server_answers_what_the_state_answers_for_people_and_for_programs() {
    let (sandbox, _server, flags) = laptop();
    let sha = sandbox.commit("a", "file", "2");
    sandbox.ok(&["watch", "--once"]);
    let history = sandbox.json(&["history", "-o", "json"]);
    let id = history["deliveries"][0]["id"].as_str().unwrap();
    for question in [
        &["history"][..],
        &["history", "qa", "-n", "1"],
        &["show", id],
        &["why", &sha],
        &["why", &sha[..7], "--watch", "qa"],
        &["explain", "qa", "--branch", "main", "--event", "nightly"],
        &["explain"],
    ] {
        let json = [question, &["-o", "json"]].concat();
        assert_eq!(sandbox.json(&with(&flags, &json)), sandbox.json(&json), "{question:?}");
        // Ages change while the two are asked one after the other.
        let is_age = |word: &&str| {
            let word = word.trim_matches(['(', ')']);
            word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['s', 'm'])
        };
        let ages = |text: &str| {
            text.split_whitespace().filter(|w| !is_age(w)).collect::<Vec<_>>().join(" ")
        };
        let (far, near) = (sandbox.ok(&with(&flags, question)), sandbox.ok(question));
        assert_eq!(ages(&far), ages(&near), "{question:?}");
    }
    let (far, near) = (
        sandbox.json(&with(&flags, &["status", "qa", "-o", "json"])),
        sandbox.json(&["status", "qa", "-o", "json"]),
    );
    assert_eq!(
        (&far["watches"], far["agent"]["beat"].clone()),
        (&near["watches"], near["agent"]["beat"].clone())
    );
    let agent = sandbox.start(&["watch"]);
    // By its own name: the pass before has spoken a moment ago, and still counts as an agent that works.
    let works = format!("agent process {} ", agent.id());
    sandbox.eventually(|| sandbox.ok(&with(&flags, &["status"])).contains(&works));
    sandbox.eventually(|| sandbox.run(&with(&flags, &["status", "--check"])).code == 0);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn what_a_server_is_asked_to_do_is_done_by_the_agent_and_followed_to_its_end() {
    let (sandbox, _server, flags) = laptop();
    let agent = sandbox.start(&["watch"]);
    let text = sandbox.ok(&with(&flags, &["trigger", "--idempotency-key", "k"]));
    assert!(text.contains("state      succeeded") && text.contains("trigger    manual"), "{text}");
    let id = text.lines().next().unwrap().trim_start_matches("delivery").trim();
    let again = sandbox.ok(&with(&flags, &["trigger", "--idempotency-key", "k"]));
    assert!(again.contains(id), "the same key made another delivery: {again}");
    let text = sandbox.ok(&with(&flags, &["rerun", id]));
    assert!(text.contains("trigger    rerun"), "{text}");
    assert_eq!(agent.stop(), Some(0));
    let kept = sandbox.ok(&with(&flags, &["trigger", "qa", "--run", "r-", "--no-wait"]));
    assert!(sandbox.trigger(kept.trim()).is_some(), "{kept}");
    sandbox.ok(&with(&flags, &["suspend", "qa", "--reason", "holiday", "--for", "2h"]));
    assert!(sandbox.ok(&["status"]).contains("holiday"));
    assert!(sandbox.ok(&with(&flags, &["resume", "qa"])).contains("is resumed"));
}

#[test]
fn a_servers_refusal_is_told_with_its_hint_and_exit_code() {
    let (sandbox, server, flags) = laptop();
    for (args, part) in [
        (&["status", "nope"][..], "hint: the watches are qa"),
        (&["show", "zzzz"], "`sentry history` lists them"),
        (&["trigger", "--branch", "other"], "does not watch branch other"),
        (&["why", "main"], "is not a commit"),
        (&["suspend", "nope"], "there is no watch nope"),
    ] {
        let (far, near) = (sandbox.run(&with(&flags, args)), sandbox.run(args));
        assert_eq!((far.code, &far.stderr), (near.code, &near.stderr), "{args:?}");
        assert!(far.stderr.contains(part), "{args:?}: {}", far.stderr);
    }
    let url = format!("{}/prefix", server.url());
    let run = sandbox.run(&["status", "--server", &url]);
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("hint: pass the file that holds the token"), "{}", run.stderr);
    sandbox.write("token", "t0ken-of-another");
    let run = sandbox.run(&with(&flags, &["status"]));
    assert_eq!(run.code, 3);
    assert!(
        run.stderr.contains("holds this server's token") && !run.stderr.contains("t0ken"),
        "{run:?}"
    );
    let run = sandbox.run(&["status", "--server", &server.url(), "--token-file", "/no/such"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("can't read the token file /no/such"), "{}", run.stderr);
}

#[test]
fn what_is_no_sentry_is_told_from_one_and_nobody_is_told_from_both() {
    let sandbox = Sandbox::new();
    let page = Server::serve(Router::new().fallback(|| async { "<html>Welcome</html>" }));
    let run = sandbox.run(&["status", "--server", &page.url()]);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
    assert!(run.stderr.contains("did not answer as a Sentry server"), "{}", run.stderr);
    let newer = Router::new().fallback(|| async { r#"{"version":2,"watches":"all"}"# });
    let newer = Server::serve(newer);
    let run = sandbox.run(&["status", "--server", &newer.url()]);
    assert!(run.stderr.contains("in version 2 of the JSON format"), "{}", run.stderr);
    let moved = Router::new()
        .fallback(|| async { (StatusCode::FOUND, [(header::LOCATION, "https://x.invalid/")]) });
    let moved = Server::serve(moved);
    let run = sandbox.run(&["status", "--server", &moved.url()]);
    assert!(run.code == 3 && run.stderr.contains("302"), "{run:?}");
    let run = sandbox.run(&["status", "--server", "http://127.0.0.1:1"]);
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("the server http://127.0.0.1:1 can't be reached"), "{run:?}");
}

#[test]
fn what_can_not_be_asked_of_a_server_is_refused_before_anybody_is_asked() {
    let sandbox = Sandbox::with_repositories();
    let server = ["--server", "http://127.0.0.1:1"];
    for args in [&["watch"][..], &["validate"], &["diff"], &["lint"], &["trigger", "--dry-run"]] {
        let run = sandbox.run(&[args, &server].concat());
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(run.stderr.contains("only works on this machine"), "{args:?}: {}", run.stderr);
    }
    for args in [
        &["status", "--state-dir", "x", server[0], server[1]][..],
        &["status", "--token-file", "x"],
        &["status", "--server", "ftp://x"],
        &["status", "--server", "https://user:pass@x"],
        &["status", "--server", "sentry.example.com"],
    ] {
        assert_eq!(sandbox.run(args).code, 2, "{args:?}");
    }
    let run = sandbox.run(&["status", "--server", "https://user:s3cret@x"]);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
}

#[test]
fn the_environment_names_a_server_unless_a_flag_names_what_is_here() {
    let (sandbox, server, _) = laptop();
    let token = sandbox.path("token").display().to_string();
    let url = format!("{}/prefix", server.url());
    let vars = [("SENTRY_SERVER", url.as_str()), ("SENTRY_TOKEN_FILE", token.as_str())];
    let there = sandbox.run_in(&vars, &["history"]);
    assert_eq!(there.stdout, format!("no deliveries in {url} yet\n"), "{there:?}");
    let state = sandbox.path("state").display().to_string();
    let here = sandbox.run_in(&vars, &["history", "--state-dir", &state]);
    assert_eq!(here.stdout, format!("no deliveries in {state} yet\n"), "{here:?}");
    assert_eq!(sandbox.run_in(&vars, &["validate"]).code, 0);
}
