//! Any status, headers and body as a forge's answer: nothing panics, no text of the server's is quoted at
//! length, no wait is longer than an hour.
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sentry_core::clock::Timestamp;
use sentry_core::secret::Redactor;
use sentry_core::testing::sample;
use sentry_forge::credential::Credential;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::gitea::GiteaSettings;
use sentry_forge::github::{GitHubAuth, GitHubSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::http::{Answer, Http, HttpSettings};
use sentry_forge::status;
use sentry_forge::{Hosted, Polling};

/// A forge of each kind with an API; none is asked anything.
fn forges() -> [Hosted; 3] {
    let settings = HttpSettings::new(Redactor::new());
    let http = Http::new(&settings).expect("root certificates");
    let git = || Transport::new(TransportSettings::new(settings.clone()));
    let github = Hosted::github(GitHubSettings {
        name: "hub".to_owned(),
        api: None,
        auth: GitHubAuth::Token(Credential::Anonymous),
        report: None,
        polling: Polling::Auto,
        http: http.clone(),
        git: git(),
    });
    let gitlab = Hosted::gitlab(GitLabSettings {
        name: "lab".to_owned(),
        url: None,
        credential: Credential::Anonymous,
        token_kind: GitLabToken::Private,
        report: None,
        polling: Polling::Auto,
        http: http.clone(),
        git: git(),
    });
    let gitea = Hosted::gitea(GiteaSettings {
        name: "tea".to_owned(),
        url: "https://gitea.example.com".parse().expect("a URL"),
        credential: Credential::Anonymous,
        report: None,
        http,
        git: git(),
    });
    let own = "its own address";
    [github, gitlab, gitea].map(|forge| forge.expect(own))
}

thread_local! {
    static FORGES: [Hosted; 3] = forges();
}

/// `STATUS LF name: value LF … LF LF body`.
fn read(bytes: &[u8]) -> Option<Answer> {
    let border = bytes.windows(2).position(|two| two == b"\n\n")?;
    let (head, body) = (&bytes[..border], &bytes[border + 2..]);
    let mut lines = head.split(|&byte| byte == b'\n');
    let status = StatusCode::from_bytes(lines.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines.take(20) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    Some(Answer { status, headers, body: Bytes::copy_from_slice(body), said: None })
}

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn forge(bytes: &[u8]) {
    let Some(answer) = read(bytes) else { return };
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let wait = status::asked_wait(&answer.headers, now);
    assert!(wait.is_none_or(|wait| (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&wait)));
    _ = status::budget(&answer.headers);
    if let Err(error) = status::check_status(&answer, "hub: a/b") {
        assert!(error.to_string().len() < 200, "{error}");
    }
    FORGES.with(|forges| {
        let commit = sample::sha(1);
        for problem in forges.iter().flat_map(|forge| forge.problems(&answer, &commit)) {
            assert!(problem.len() < 400, "{problem}");
        }
    });
}
