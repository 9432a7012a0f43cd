//! What the tests of both forges share: a server that stands for the forge, queries, and texts of errors.

#![expect(unreachable_pub, reason = "compiled once into each test program")]

use std::error::Error as _;

use sentry_core::forge::{ForgeError, HeadList, HeadsAnswer, HeadsQuery, Validator};
use sentry_core::revision::Revision;
use sentry_core::secret::{Redactor, Secret};
use sentry_core::subject::Subject;
use sentry_core::watch::BranchSelector;
use sentry_forge::credential::Credential;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub const TOKEN: &str = "tok_3n-that-must-not-leak";

pub fn network() -> (Http, Transport) {
    let settings = HttpSettings::new(Redactor::new());
    (Http::new(&settings).unwrap(), Transport::new(TransportSettings::new(settings)))
}

pub fn token() -> Credential {
    Credential::Token(Secret::new(TOKEN).into())
}

pub fn sha(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// `main` at the commit of this digit.
pub fn revision(digit: char) -> Revision {
    Revision { subject: Subject::Branch("main".parse().unwrap()), sha: sha(digit).parse().unwrap() }
}

pub fn query(repo: &str, branches: &[&str], validator: Option<Validator>) -> HeadsQuery {
    HeadsQuery {
        repo: repo.parse().unwrap(),
        subjects: BranchSelector::new(branches.iter().copied()).unwrap().into(),
        validator,
    }
}

pub fn heads(answer: Result<HeadsAnswer, ForgeError>) -> HeadList {
    match answer.unwrap() {
        HeadsAnswer::Heads(heads) => heads,
        HeadsAnswer::NotModified => panic!("expected heads, got NotModified"),
    }
}

/// `branch=first digit of its commit`, sorted: short enough to compare at a glance.
pub fn shown(heads: &HeadList) -> Vec<String> {
    heads.heads.iter().map(|(branch, sha)| format!("{branch}={}", &sha.as_str()[..1])).collect()
}

/// All that a log or a person could see of an error.
pub fn all_texts(error: &ForgeError) -> String {
    let mut texts = format!("{error} {error:?} {:?}", error.hint());
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push_str(&cause.to_string());
        source = cause.source();
    }
    texts
}

pub async fn received(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

/// Answers whatever was not answered by a mock of higher priority.
pub async fn always(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(server).await;
}

/// An answer of `ls-refs`.
pub fn refs(lines: &[(&str, char)]) -> ResponseTemplate {
    let mut body = String::new();
    for (name, digit) in lines {
        let line = format!("{} {name}\n", sha(*digit));
        body.push_str(&format!("{:04x}{line}", line.len() + 4));
    }
    body.push_str("0000");
    ResponseTemplate::new(200).set_body_raw(body, "application/x-git-upload-pack-result")
}

pub fn json(status: u16, body: &serde_json::Value) -> ResponseTemplate {
    let body = body.to_string();
    ResponseTemplate::new(status).set_body_raw(body, "application/json; charset=utf-8")
}
