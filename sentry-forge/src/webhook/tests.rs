//! Documented vectors, wrong ones, and bodies that nobody should send.

use http::HeaderValue;
use proptest::prelude::*;
use sentry_core::secret::{Secret, SecretSource};

use super::*;
use crate::{gitea, github, gitlab};

const EVERYBODY: &str = "It's a Secret to Everybody";
const PUSH: &str =
    r#"{"ref":"refs/heads/main","repository":{"id":1,"full_name":"acme/shop"},"commits":[]}"#;
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNED_AT: i64 = 1_614_265_330;
const GITLAB_PUSH: &str = r#"{"object_kind":"push","event_name":"push","ref":"refs/heads/main","project":{"id":15,"path_with_namespace":"group/sub/shop"}}"#;

fn webhook(sender: Sender, secret: &str) -> Webhook {
    Webhook::new(sender, Secret::new(secret).into(), Redactor::new())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let all = [("content-type", "application/json")].iter().chain(pairs);
    all.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn now() -> Timestamp {
    Timestamp::from_second(SIGNED_AT).unwrap()
}

async fn ask(webhook: &Webhook, headers: &HeaderMap, body: &[u8]) -> Result<Message, WebhookError> {
    let mut incoming = webhook.begin(headers, now()).await?;
    body.chunks(7).for_each(|chunk| incoming.take(chunk));
    incoming.finish()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    use hmac::Mac as _;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn github(event: &str, body: &[u8]) -> HeaderMap {
    let hex = data_encoding::HEXLOWER.encode(&hmac(EVERYBODY.as_bytes(), body));
    headers(&[("x-github-event", event), ("x-hub-signature-256", &format!("sha256={hex}"))])
}

fn signed(id: &str, time: i64, body: &str) -> HeaderMap {
    use base64::Engine as _;
    let b64 = base64::engine::general_purpose::STANDARD;
    let key = b64.decode(SIGNING.trim_start_matches("whsec_")).unwrap();
    let mac = b64.encode(hmac(&key, format!("{id}.{time}.{body}").as_bytes()));
    headers(&[
        ("x-gitlab-event", "Push Hook"),
        ("webhook-id", id),
        ("webhook-timestamp", &time.to_string()),
        ("webhook-signature", &format!("v1,AAAA v1,{mac}")),
    ])
}

fn hint(path: &str) -> Message {
    Message::Hint { repo: path.parse().unwrap() }
}

#[tokio::test]
async fn githubs_documented_signature_fits_and_no_other_body_does() {
    let headers = headers(&[
        ("x-github-event", "star"),
        (
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
    ]);
    let webhook = webhook(github::SENDER, EVERYBODY);
    let answer = ask(&webhook, &headers, b"Hello, World!").await.unwrap();
    assert_eq!(answer, Message::Ignored("star".into()));
    let wrong = ask(&webhook, &headers, b"Hello, World?").await.unwrap_err();
    assert!(matches!(wrong, WebhookError::Wrong("X-Hub-Signature-256")), "{wrong:?}");
}

#[tokio::test]
async fn standard_webhooks_documented_signature_fits_and_only_within_five_minutes() {
    let body = br#"{"test": 2432232314}"#;
    let headers = headers(&[
        ("x-gitlab-event", "Note Hook"),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]);
    let answer = ask(&webhook(gitlab::SENDER, SIGNING), &headers, body).await.unwrap();
    assert_eq!(answer, Message::Ignored("Note Hook".into()));
    for (seconds, fits) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let time = Timestamp::from_second(SIGNED_AT + seconds).unwrap();
        let begun = webhook(gitlab::SENDER, SIGNING).begin(&headers, time).await;
        assert_eq!(begun.is_ok(), fits, "{seconds}");
    }
}

#[tokio::test]
async fn a_push_a_new_and_a_deleted_branch_are_hints_on_both_forges() {
    let hub = webhook(github::SENDER, EVERYBODY);
    for event in ["push", "create", "delete"] {
        let body = PUSH.replace("commits", event);
        let answer = ask(&hub, &github(event, body.as_bytes()), body.as_bytes()).await.unwrap();
        assert_eq!(answer, hint("acme/shop"), "{event}");
    }
    let lab = webhook(gitlab::SENDER, SIGNING);
    let answer = ask(&lab, &signed("1", SIGNED_AT, GITLAB_PUSH), GITLAB_PUSH.as_bytes()).await;
    assert_eq!(answer.unwrap(), hint("group/sub/shop"));
}

#[tokio::test]
async fn a_gitlab_token_must_be_the_secret_and_system_hooks_are_read_by_their_event_name() {
    let lab = webhook(gitlab::SENDER, "s3cret-token");
    let with = |token, event| headers(&[("x-gitlab-token", token), ("x-gitlab-event", event)]);
    let answer = ask(&lab, &with("s3cret-token", "System Hook"), GITLAB_PUSH.as_bytes()).await;
    assert_eq!(answer.unwrap(), hint("group/sub/shop"));
    let update = br#"{"event_name":"repository_update","project":{"path_with_namespace":"a/b"},"changes":[],"refs":["refs/heads/main"]}"#;
    let answer = ask(&lab, &with("s3cret-token", "System Hook"), update).await;
    assert_eq!(answer.unwrap(), hint("a/b"));
    let answer = ask(&lab, &with("s3cret-token", "System Hook"), br#"{"event_name":"x"}"#).await;
    assert_eq!(answer.unwrap(), Message::Ignored("x".into()));
    for token in ["s3cret-tokeN", "", "s3cret-token-and-more"] {
        let wrong = lab.begin(&with(token, "Push Hook"), now()).await.unwrap_err();
        assert!(matches!(wrong, WebhookError::Wrong("X-Gitlab-Token")), "{token}");
    }
}

#[tokio::test]
async fn a_signing_token_is_never_satisfied_by_showing_it() {
    let headers = headers(&[("x-gitlab-token", SIGNING), ("x-gitlab-event", "Push Hook")]);
    let refused = webhook(gitlab::SENDER, SIGNING).begin(&headers, now()).await.unwrap_err();
    assert!(matches!(refused, WebhookError::Unsigned("webhook-signature")), "{refused:?}");
}

#[tokio::test]
async fn what_was_told_before_is_known_again() {
    let hub = webhook(github::SENDER, EVERYBODY);
    let headers = github("push", PUSH.as_bytes());
    assert_eq!(ask(&hub, &headers, PUSH.as_bytes()).await.unwrap(), hint("acme/shop"));
    assert_eq!(ask(&hub, &headers, PUSH.as_bytes()).await.unwrap(), Message::Repeated);
    let lab = webhook(gitlab::SENDER, SIGNING);
    let first = ask(&lab, &signed("1", SIGNED_AT, GITLAB_PUSH), GITLAB_PUSH.as_bytes()).await;
    assert_eq!(first.unwrap(), hint("group/sub/shop"));
    let later = signed("1", SIGNED_AT + 60, GITLAB_PUSH);
    let again = ask(&lab, &later, GITLAB_PUSH.as_bytes()).await;
    assert_eq!(again.unwrap(), Message::Repeated, "a retry has the id, not the time, of the first");
}

#[tokio::test]
async fn a_wrong_event_header_or_a_body_of_another_event_is_no_hint() {
    let hub = webhook(github::SENDER, EVERYBODY);
    let issue = br#"{"action":"opened","issue":{},"repository":{"full_name":"acme/shop"}}"#;
    let refused = ask(&hub, &github("push", issue), issue).await.unwrap_err();
    assert!(matches!(refused, WebhookError::Unreadable(_)), "{refused:?}");
    for path in ["../../etc", "/acme/shop", "acme//shop", "acme/shop\\u0000", ""] {
        let body = PUSH.replace("acme/shop", path);
        let refused = ask(&hub, &github("push", body.as_bytes()), body.as_bytes()).await;
        assert!(matches!(refused, Err(WebhookError::Unreadable(_))), "{path}: {refused:?}");
    }
}

#[tokio::test]
async fn a_form_is_refused_with_the_remedy_after_it_was_verified() {
    let mut headers = github("push", PUSH.as_bytes());
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let hub = webhook(github::SENDER, EVERYBODY);
    let refused = ask(&hub, &headers, PUSH.as_bytes()).await.unwrap_err();
    assert!(refused.to_string().contains("choose application/json"), "{refused}");
}

#[tokio::test]
async fn a_large_push_is_verified_whole_and_kept_in_part() {
    let body = PUSH.replace("[]", &format!("[\"{}\"]", "x".repeat(10 << 20)));
    let hub = webhook(github::SENDER, EVERYBODY);
    let mut incoming = hub.begin(&github("push", body.as_bytes()), now()).await.unwrap();
    body.as_bytes().chunks(16_384).for_each(|chunk| incoming.take(chunk));
    assert!(incoming.head.len() <= HEAD && incoming.head.capacity() <= 2 * HEAD);
    assert_eq!(incoming.finish().unwrap(), hint("acme/shop"));
}

#[tokio::test]
async fn with_a_header_twice_nothing_is_taken() {
    let mut twice = github("push", PUSH.as_bytes());
    twice.append("x-hub-signature-256", HeaderValue::from_static("sha256=00"));
    let hub = webhook(github::SENDER, EVERYBODY);
    assert!(matches!(ask(&hub, &twice, PUSH.as_bytes()).await, Err(WebhookError::Unsigned(_))));
}

#[tokio::test]
async fn a_rotated_secret_file_counts_from_the_next_request_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "another-secret\n").unwrap();
    let secret = SecretSource::File(file.path().to_owned());
    let lab = Webhook::new(gitlab::SENDER, secret, Redactor::new());
    let headers = headers(&[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "the-secret")]);
    assert!(ask(&lab, &headers, GITLAB_PUSH.as_bytes()).await.is_err());
    std::fs::write(file.path(), "\u{feff}the-secret\r\n").unwrap();
    let taken = ask(&lab, &headers, GITLAB_PUSH.as_bytes()).await.unwrap();
    assert_eq!(taken, hint("group/sub/shop"));
}

#[tokio::test]
async fn giteas_signature_is_plain_digits_and_the_events_of_branches_are_hints() {
    let tea = webhook(gitea::SENDER, EVERYBODY);
    let with = |event: &str, signature: &str| {
        headers(&[("x-gitea-event", event), ("x-gitea-signature", signature)])
    };
    let body = |event: &str| PUSH.replace("\"id\":1", &format!("\"id\":1,\"name\":\"{event}\""));
    for event in ["push", "create", "delete"] {
        let body = body(event);
        let hex = data_encoding::HEXLOWER.encode(&hmac(EVERYBODY.as_bytes(), body.as_bytes()));
        let told = ask(&tea, &with(event, &hex), body.as_bytes()).await;
        assert_eq!(told.unwrap(), hint("acme/shop"));
        let again = ask(&tea, &with(event, &hex), body.as_bytes()).await.unwrap();
        assert_eq!(again, Message::Repeated);
        for wrong in [format!("sha256={hex}"), "0".repeat(64), String::new()] {
            let refused = ask(&tea, &with(event, &wrong), body.as_bytes()).await.unwrap_err();
            assert!(matches!(refused, WebhookError::Wrong("X-Gitea-Signature")), "{wrong}");
        }
    }
    let unsigned = ask(&tea, &headers(&[("x-gitea-event", "push")]), PUSH.as_bytes()).await;
    assert!(matches!(unsigned.unwrap_err(), WebhookError::Unsigned("X-Gitea-Signature")));
    let hex = data_encoding::HEXLOWER.encode(&hmac(EVERYBODY.as_bytes(), b"{}"));
    let other = ask(&tea, &with("issues", &hex), b"{}").await.unwrap();
    assert_eq!(other, Message::Ignored("issues".into()));
}

proptest! {
    #[test]
    fn no_verified_body_makes_the_reader_panic(body in any::<Vec<u8>>(), cut in 0..PUSH.len(), system: bool) {
        let (secret, event) = (Secret::new("s"), if system { "System Hook" } else { "Push Hook" });
        let signature = format!("sha256={}", "0".repeat(64));
        let headers = headers(&[
            ("x-gitlab-event", event),
            ("x-gitlab-token", "s"),
            ("x-github-event", "push"),
            ("x-hub-signature-256", &signature),
        ]);
        let shape = |sender: Sender| (sender.begin)(&headers, &secret, now()).unwrap().1;
        for bytes in [body.as_slice(), &PUSH.as_bytes()[..cut]] {
            let _ = shape(gitlab::SENDER).read(bytes);
            let read = shape(github::SENDER).read(bytes);
            if let Ok(Message::Hint { repo }) = read {
                prop_assert_eq!(repo.as_str(), "acme/shop");
            }
        }
    }

    #[test]
    fn a_changed_byte_of_body_or_signature_is_refused(place in 0..PUSH.len(), digit in 7usize..71, change in 1u8..255) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let hub = webhook(github::SENDER, EVERYBODY);
        let headers = github("push", PUSH.as_bytes());
        let mut body = PUSH.as_bytes().to_vec();
        body[place] ^= change;
        prop_assert!(runtime.block_on(ask(&hub, &headers, &body)).is_err());
        let mut other = headers;
        let mut text = other["x-hub-signature-256"].to_str().unwrap().to_owned();
        let new = if &text[digit..=digit] == "0" { "1" } else { "0" };
        text.replace_range(digit..=digit, new);
        other.insert("x-hub-signature-256", text.parse().unwrap());
        prop_assert!(runtime.block_on(ask(&hub, &other, PUSH.as_bytes())).is_err());
    }

    #[test]
    fn no_header_makes_the_verifier_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 6)) {
        let names = ["x-hub-signature-256", "x-gitlab-token", "webhook-id", "webhook-timestamp", "webhook-signature", "x-gitlab-event"];
        let pairs = names.iter().zip(&values).filter_map(|(name, value)| {
            Some((name.parse::<http::HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        let headers: HeaderMap = pairs.collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (sender, secret) in [(github::SENDER, EVERYBODY), (gitlab::SENDER, SIGNING), (gitlab::SENDER, "token-of-ours")] {
            let webhook = webhook(sender, secret);
            let answer = runtime.block_on(ask(&webhook, &headers, b"{}"));
            prop_assert!(answer.is_err());
        }
    }
}
