//! Each kind of receiver against an HTTP server of this machine.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::sync::Arc;
use std::time::Duration;

use sentry_core::clock::SystemClock;
use sentry_core::notifier::{Notifier, NotifyError, NotifyErrorKind};
use sentry_core::retry::Retry;
use sentry_core::secret::{Redactor, Secret, SecretSource};
use sentry_core::subscription::Route;
use sentry_core::testing::sample;
use sentry_notify::{Kind, Receiver, Settings};
use serde_json::Value;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const PATH: &str = "/services/T000/B000/canary-address-1234";

fn settings(url: &str, kind: Kind) -> Settings {
    Settings {
        name: "chat".into(),
        kind,
        url: SecretSource::Value(Secret::new(url)),
        secret: None,
        template: None,
        ca_file: None,
        clock: Arc::new(SystemClock),
        redactor: Redactor::new(),
    }
}

async fn answering(reply: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path(PATH)).respond_with(reply).mount(&server).await;
    server
}

async fn told(server: &MockServer, settings: Settings) -> Result<Request, NotifyError> {
    Receiver::new(settings)?.notify(&sample::notice(1)).await?;
    Ok(server.received_requests().await.unwrap().remove(0))
}

fn url(server: &MockServer) -> String {
    format!("{}{PATH}", server.uri())
}

#[tokio::test]
async fn slack_and_mattermost_get_an_escaped_text() {
    for (kind, want) in
        [(Kind::Slack, "ci &lt;&amp;&gt; *bold* @\u{200b}channel"), (Kind::Mattermost, r"\*bold\*")]
    {
        let server = answering(ResponseTemplate::new(200).set_body_string("ok")).await;
        let request = told(&server, settings(&url(&server), kind)).await.unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert!(body["text"].as_str().unwrap().contains(want), "{body}");
        assert!(request.headers["content-type"].to_str().unwrap().starts_with("application/json"));
    }
}

#[tokio::test]
async fn a_webhook_gets_a_signed_cloud_event_with_the_same_id_each_time() {
    let server = answering(ResponseTemplate::new(204)).await;
    let mut settings = settings(&url(&server), Kind::Webhook);
    settings.secret = Some(SecretSource::Value(Secret::new("a-secret-for-signing")));
    let receiver = Receiver::new(settings).unwrap();
    for _ in 0..2 {
        receiver.notify(&sample::notice(1)).await.unwrap();
    }
    let requests = server.received_requests().await.unwrap();
    let ids: Vec<Value> = requests
        .iter()
        .map(|r| serde_json::from_slice::<Value>(&r.body).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids[0], ids[1]);
    let header = |name: &str| requests[0].headers[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("application/cloudevents+json"));
    assert_eq!(header("webhook-id"), ids[0].as_str().unwrap());
    assert!(header("webhook-signature").starts_with("v1,"));
}

#[tokio::test]
async fn an_address_in_a_file_is_read_again_for_each_notice() {
    let server = answering(ResponseTemplate::new(200)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}/gone\n", server.uri())).unwrap();
    let mut settings = settings("", Kind::Slack);
    settings.url = SecretSource::File(file.path().to_owned());
    let receiver = Receiver::new(settings).unwrap();
    let error = receiver.notify(&sample::notice(1)).await.unwrap_err();
    assert_eq!(error.kind(), NotifyErrorKind::Refused);
    std::fs::write(file.path(), url(&server)).unwrap();
    receiver.notify(&sample::notice(1)).await.unwrap();
}

#[tokio::test]
async fn no_error_holds_the_address_or_what_the_server_repeats_of_it() {
    let reply = ResponseTemplate::new(404).set_body_string(format!("no service at {PATH}"));
    let server = answering(reply).await;
    let refused = told(&server, settings(&url(&server), Kind::Slack)).await.unwrap_err();
    let dead = format!("http://127.0.0.1:1{PATH}");
    let unreachable = told(&server, settings(&dead, Kind::Slack)).await.unwrap_err();
    let odd = told(&server, settings(&format!("ftp://x{PATH}"), Kind::Slack)).await.unwrap_err();
    for (error, kind) in [
        (&refused, NotifyErrorKind::Refused),
        (&unreachable, NotifyErrorKind::Unreachable),
        (&odd, NotifyErrorKind::Local),
    ] {
        assert_eq!(error.kind(), kind);
        let text = format!("{} {error:?}", sentry_core::error::text(error));
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("receiver chat"), "{text}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_wish_to_wait_is_handed_on() {
    let elsewhere = answering(ResponseTemplate::new(200)).await;
    let reply = ResponseTemplate::new(307).insert_header("location", url(&elsewhere));
    let server = answering(reply).await;
    let error = told(&server, settings(&url(&server), Kind::Slack)).await.unwrap_err();
    assert_eq!(error.kind(), NotifyErrorKind::Refused);
    assert!(elsewhere.received_requests().await.unwrap().is_empty());

    let busy = answering(ResponseTemplate::new(429).insert_header("retry-after", "30")).await;
    let error = told(&busy, settings(&url(&busy), Kind::Slack)).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_template_that_says_nothing_sends_nothing_and_a_broken_one_is_refused_at_once() {
    let server = answering(ResponseTemplate::new(200)).await;
    let mut silent = settings(&url(&server), Kind::Slack);
    silent.template = Some("{% if occasion == 'recovery' %}well again{% endif %}".into());
    Receiver::new(silent).unwrap().notify(&sample::notice(1)).await.unwrap();
    assert!(server.received_requests().await.unwrap().is_empty());
    let mut broken = settings(&url(&server), Kind::Slack);
    broken.template = Some("{{ watch }}\n{{ reason | shout }}".into());
    let error = Receiver::new(broken).unwrap_err().to_string();
    assert!(error.contains("shout") && error.contains("line 2"), "{error}");
}

#[tokio::test]
async fn a_test_says_that_it_is_one() {
    let server = MockServer::start().await;
    Mock::given(header("content-type", "application/json; charset=utf-8"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let receiver = Receiver::new(settings(&url(&server), Kind::Slack)).unwrap();
    receiver.test(sample::notice_id(1), Route::CouldNotStart).await.unwrap();
    let body = &server.received_requests().await.unwrap()[0].body;
    assert!(String::from_utf8_lossy(body).contains("This is a test"));
}
