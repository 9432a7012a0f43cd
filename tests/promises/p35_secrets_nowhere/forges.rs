//! Forges that answer with what they were told, and a git that says it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use sentry_apiserver::host::Host;
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Secret;
use sentry_forge::credential::Credential;
use sentry_forge::http::HttpSettings;
use sentry_process::Output;
use sentry_process::stage::Stage;
use sentry_tests::judge::canaries::canary;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Logged, Secrets, Tally, told};
use crate::forges::{Question, WAYS, ask};

/// Answers each connection with what is next, and closes it.
#[derive(Clone, Default)]
struct Liar(Arc<Mutex<Vec<u8>>>);

impl Liar {
    fn start(&self) -> Host {
        let liar = self.clone();
        Host::start("repeats", move |mut stream| {
            let liar = liar.clone();
            Box::pin(async move {
                let mut buffer = [0; 16_384];
                // One read holds a whole request of these clients; who goes away is not this server's trouble.
                if stream.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {
                    let answer = liar.0.lock().unwrap().clone();
                    drop(stream.write_all(&answer).await);
                    drop(stream.shutdown().await);
                }
            })
        })
    }
}

/// An answer that is none, with secrets in its status line, headers and body.
fn answer(secrets: &Secrets, rng: &mut Rng) -> Vec<u8> {
    let status = [200, 200, 201, 301, 302, 307, 400, 401, 403, 403, 404, 409, 422, 429, 500, 503];
    let status = status[rng.usize(..status.len())];
    let mut quote = || secrets.quote(rng);
    let reason = if status % 2 == 0 { "No".to_owned() } else { quote() };
    let names = [
        "location",
        "content-type",
        "www-authenticate",
        "x-message",
        "link",
        "etag",
        "retry-after",
        "x-ratelimit-remaining",
        "x-accepted-oauth-scopes",
        "x-gitlab-meta",
    ];
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\n");
    for name in names {
        let value = quote();
        let is_there = value.len() % 3 == 0;
        if is_there || (name == "location" && (300..400).contains(&status)) {
            let to = if name == "location" { "http://127.0.0.1:1/" } else { "" };
            head += &format!("{name}: {to}{}\r\n", value.trim());
        }
    }
    let text = quote();
    let json = serde_json::json!({"message": text, "error": text, "errors": [{"message": text}],
        "error_description": text, "full_name": text, "sha": text, "name": text, "default_branch": text});
    let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let body = match rng.u8(..6) {
        0 => text,
        1 => format!("<html><title>{text}</title>{text}</html>"),
        2 => packet(&format!("ERR {text}\n")),
        3 => format!(
            "{}0000{}",
            packet("# service=git-upload-pack\n"),
            packet(&format!("ERR {text}\n"))
        ),
        _ => {
            head += "content-type: application/json\r\n";
            json.to_string()
        }
    };
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What a failing git may write.
fn stderr(secrets: &Secrets, rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.usize(1..5) {
        let quote = secrets.quote(rng);
        text += &match rng.u8(..9) {
            0 => format!(
                "fatal: unable to access 'https://{quote}/': The requested URL returned error: 403\n"
            ),
            1 => format!("remote: {quote}\n"),
            2 => format!("fatal: remote error: {quote}\n"),
            3 => format!("error: RPC failed; HTTP 500 curl 22 {quote}\n"),
            4 => format!(
                "07:46:47.550095 http.c:913              => Send header: Authorization: Basic {quote}\n"
            ),
            5 => format!("07:46:47.550095 http.c:888              <= Recv header: X: {quote}\n"),
            6 => format!("fatal: protocol error: bad line length character: {quote}\n"),
            7 => format!("fatal: {quote}\n"),
            _ => format!("{quote}\r\n"),
        };
    }
    text
}

pub(super) fn run(all: usize) -> Tally {
    let (secrets, logged, mut rng) =
        (Rc::new(Secrets::new()), Logged::default(), Rng::with_seed(35));
    let liar = Liar::default();
    let host = liar.start();
    let origin = format!("http://127.0.0.1:{}", host.port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _listening = logged.listen();
    let said = Rc::new(RefCell::new(String::new()));
    let _stage = Stage::new({
        let said = Rc::clone(&said);
        move |_| Output::of(128, said.borrow().as_str(), said.borrow().as_str())
    });
    let mut tally = Tally::default();
    for case in 0..all {
        let way = WAYS[case % WAYS.len()];
        let mut network = HttpSettings::new(secrets.redactor());
        // The proxy is the server that repeats: it is told its own password.
        if case % 7 == 0 {
            let password: String = canary("proxy").bytes().map(|b| format!("%{b:02X}")).collect();
            let proxy = origin.replace("http://", &format!("http://user:{password}@"));
            network.proxy = Some(proxy.parse().unwrap());
        } else {
            network.redactor.learn(&Secret::new(canary("proxy")));
        }
        for kind in ["kubeconfig", "lent", "own"] {
            network.redactor.learn(&Secret::new(canary(kind)));
        }
        let token = Credential::Token(Secret::new(canary("token")).into());
        let client = way.client_over(network, &origin, token);
        let asked: RepoUrl = format!("{origin}/old/app").parse().unwrap();
        let commits = ["a".repeat(40), "b".repeat(40)];
        let mut errors = vec![format!("{client:?}")];
        let questions: Vec<Question> = way.questions().collect();
        let question = questions[rng.usize(..questions.len())];
        *liar.0.lock().unwrap() = answer(&secrets, &mut rng);
        *said.borrow_mut() = stderr(&secrets, &mut rng);
        let heard = runtime.block_on(ask(&client, question, &asked, &commits));
        errors.extend(heard.err().map(|error| told(&error, error.hint())));
        tally.judge(&secrets, &errors, &logged.take());
        tally.errors -= 1;
    }
    tally
}
