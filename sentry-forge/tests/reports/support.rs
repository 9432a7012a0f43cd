//! Forges in front of a server, and what is sent to them.

use std::time::Duration;

use sentry_core::forge::{ChangesQuery, CommitStatus, StatusState};
use sentry_core::repo::RepoUrl;
use sentry_core::revision::Revision;
use sentry_core::secret::Secret;
use sentry_core::testing::sample;
use sentry_forge::credential::Credential;
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::{Hosted, Polling};
use serde_json::{Value, json};
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, Request};

use crate::common::{self, network, revision, token};

/// The delivery that [`status`] is about.
pub(crate) const DELIVERY: &str = "01j0000000000000000000000a";
/// A token for statuses alone.
pub(crate) const REPORTER: &str = "tok_for-statuses-only-123";

pub(crate) const STATES: [StatusState; 6] = [
    StatusState::Pending,
    StatusState::Success,
    StatusState::Failure,
    StatusState::Error,
    StatusState::Cancelled,
    StatusState::Neutral,
];

pub(crate) fn status(state: StatusState) -> CommitStatus {
    CommitStatus {
        revision: Revision { subject: sample::subject("fix#1"), ..revision('a') },
        context: "sentry-gitops/qa".into(),
        state,
        description: "2 runs are under way".into(),
        link: Some("https://sentry.example.com/deliveries/01?a=b&c=d#e".into()),
        delivery: Some(DELIVERY.parse().unwrap()),
        subjects: vec![sample::subject("fix#1")],
    }
}

/// The difference of commits `bbbb…` and `aaaa…`.
pub(crate) fn difference(repo: &RepoUrl) -> ChangesQuery {
    let (repo, from, timeout) = (repo.clone(), revision('b').sha.into(), Duration::from_secs(60));
    ChangesQuery { repo, from, to: revision('a'), timeout }
}

pub(crate) fn reporter() -> Credential {
    Credential::Token(Secret::new(REPORTER).into())
}

pub(crate) fn hub_with(
    server: &MockServer,
    auth: GitHubAuth,
    report: Option<Credential>,
) -> Hosted {
    let (http, git) = network();
    let api = Some(format!("{}/api/v3", server.uri()).parse().unwrap());
    let (name, polling) = ("github".to_owned(), Polling::Auto);
    Hosted::github(GitHubSettings { name, api, auth, report, polling, http, git }).unwrap()
}

/// A GitHub that is asked with a token.
pub(crate) fn hub(server: &MockServer) -> Hosted {
    hub_with(server, GitHubAuth::Token(token()), None)
}

pub(crate) fn hub_repo(server: &MockServer) -> RepoUrl {
    format!("{}/o/r.git", server.uri()).parse().unwrap()
}

/// The identity of an App, with a key that was made for this test.
pub(crate) fn app() -> GitHubAuth {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = Credential::Token(Secret::new(key).into());
    GitHubAuth::App { app_id: 12, installation_id: 34, key }
}

/// The installation makes tokens for this permission, called `ghs_` and its name.
pub(crate) async fn grants(server: &MockServer, permission: &str, access: &str) {
    let made = json!({"token": format!("ghs_{permission}"), "expires_at": "2027-01-15T09:00:00Z"});
    Mock::given(method("POST"))
        .and(path("/api/v3/app/installations/34/access_tokens"))
        .and(body_json(json!({"permissions": {permission: access}})))
        .respond_with(common::json(201, &made))
        .with_priority(1)
        .mount(server)
        .await;
}

/// Every other permission is refused as GitHub refuses what an installation does not grant.
pub(crate) async fn grants_nothing_else(server: &MockServer) {
    let text = "The permissions requested are not granted to this installation.";
    Mock::given(path("/api/v3/app/installations/34/access_tokens"))
        .respond_with(common::json(422, &json!({"message": text})))
        .with_priority(9)
        .mount(server)
        .await;
}

pub(crate) fn lab_with(
    server: &MockServer,
    token_kind: GitLabToken,
    report: Option<Credential>,
) -> Hosted {
    let (http, git) = network();
    let settings = GitLabSettings {
        name: "gitlab".into(),
        url: Some(server.uri().parse().unwrap()),
        credential: token(),
        token_kind,
        report,
        polling: Polling::Auto,
        http,
        git,
    };
    Hosted::gitlab(settings).unwrap()
}

pub(crate) fn lab(server: &MockServer) -> Hosted {
    lab_with(server, GitLabToken::Private, None)
}

pub(crate) fn lab_repo(server: &MockServer) -> RepoUrl {
    format!("{}/g/sub/p.git", server.uri()).parse().unwrap()
}

pub(crate) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

pub(crate) fn bearer(request: &Request) -> &str {
    let value = request.headers["authorization"].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap_or(value)
}
