//! GitHub's own examples of every webhook, as GitHub would send them.
//!
//! They come by npm: `scripts/setup` fetches them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderValue};
use sentry_core::clock::Timestamp;
use sentry_core::secret::{Redactor, Secret};
use sentry_forge::github;
use sentry_forge::webhook::{Message, Webhook, WebhookError};
use sentry_tests::browser::target;
use serde_json::Value;
use sha2::Sha256;

const SECRET: &str = "It's a Secret to Everybody";
/// An example: its event, and its body.
struct Example {
    event: String,
    body: Value,
}

/// Those of github.com and of every GitHub Enterprise Server.
fn examples() -> Vec<Example> {
    let folder = target().join("tools/npm/node_modules/@octokit/webhooks-examples");
    let servers = std::fs::read_dir(&folder);
    let servers =
        servers.unwrap_or_else(|e| panic!("{}: {e}: run `scripts/setup`", folder.display()));
    let mut examples = Vec::new();
    for server in servers {
        let Ok(text) = std::fs::read_to_string(server.unwrap().path().join("index.json")) else {
            continue;
        };
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        for mut event in events {
            let Value::Array(bodies) = event["examples"].take() else { panic!("{event}") };
            let name = event["name"].as_str().unwrap();
            examples
                .extend(bodies.into_iter().map(|body| Example { event: name.to_owned(), body }));
        }
    }
    assert!(examples.len() > 300, "{}", examples.len());
    examples
}

/// The headers of a delivery.
fn headers(event: &str, body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let mac: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let pairs = [
        ("content-type", "application/json".to_owned()),
        ("user-agent", "GitHub-Hookshot/044aadd".to_owned()),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958".to_owned()),
        ("x-github-event", event.to_owned()),
        ("x-hub-signature-256", format!("sha256={mac}")),
    ];
    pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
}

/// What a receiver makes of it that has heard nothing before.
async fn told(headers: &HeaderMap, body: &[u8]) -> Result<Message, WebhookError> {
    let secret = Secret::new(SECRET).into();
    let webhook = Webhook::new(github::SENDER, secret, Redactor::new());
    let mut incoming = webhook.begin(headers, Timestamp::UNIX_EPOCH).await?;
    body.chunks(4096).for_each(|chunk| incoming.take(chunk));
    incoming.finish()
}

fn plain(event: &str) -> String {
    event.chars().take(40).collect()
}

#[tokio::test]
async fn pushes_new_and_deleted_branches_and_pings_are_understood_and_all_else_is_acknowledged() {
    let (mut hints, mut pings, mut ignored) = (0, 0, 0);
    for Example { event, body } in examples() {
        let text = body.to_string();
        let message = told(&headers(&event, text.as_bytes()), text.as_bytes()).await;
        match &*event {
            "push" | "create" | "delete" => {
                let repo = body["repository"]["full_name"].as_str().unwrap().parse().unwrap();
                assert_eq!(message.unwrap(), Message::Hint { repo }, "{event}");
                hints += 1;
            }
            "ping" => {
                assert_eq!(message.unwrap(), Message::Ping);
                pings += 1;
            }
            other => {
                assert_eq!(message.unwrap(), Message::Ignored(plain(other)), "{event}");
                ignored += 1;
            }
        }
    }
    assert!(hints > 15 && pings > 3 && ignored > 250, "{hints} {pings} {ignored}");
}

#[tokio::test]
async fn a_wrong_signature_body_or_header_is_refused_for_every_event() {
    for Example { event, body } in examples() {
        let (text, all) = (body.to_string(), headers(&event, body.to_string().as_bytes()));
        let other = format!("{text} ");
        let refused = told(&all, other.as_bytes()).await;
        assert!(matches!(refused, Err(WebhookError::Wrong(_))), "{event}: another body");
        let short = &text.as_bytes()[..text.len() - 1];
        assert!(matches!(told(&all, short).await, Err(WebhookError::Wrong(_))), "{event}: a part");
        let right = all["x-hub-signature-256"].to_str().unwrap().to_owned();
        for wrong in [
            right.replace("sha256=", "sha1="),
            right.replace("sha256=", ""),
            format!("sha256={}", "0".repeat(64)),
            right[..right.len() - 2].to_owned(),
            String::new(),
        ] {
            let mut all = all.clone();
            all.insert("x-hub-signature-256", HeaderValue::from_str(&wrong).unwrap());
            let refused = told(&all, text.as_bytes()).await;
            assert!(matches!(refused, Err(WebhookError::Wrong(_))), "{event}: {wrong}");
        }
        let mut none = all.clone();
        none.remove("x-hub-signature-256");
        // GitHub still sends the older one as well: alone it proves nothing.
        none.insert("x-hub-signature", HeaderValue::from_static("sha1=00"));
        assert!(
            matches!(told(&none, text.as_bytes()).await, Err(WebhookError::Unsigned(_))),
            "{event}"
        );
        let mut twice = all.clone();
        twice.append("x-hub-signature-256", HeaderValue::from_str(&right).unwrap());
        assert!(
            matches!(told(&twice, text.as_bytes()).await, Err(WebhookError::Unsigned(_))),
            "{event}"
        );
    }
}

#[tokio::test]
async fn the_body_of_another_event_is_no_push_and_a_push_without_its_event_is_none() {
    let mut refused = 0;
    for Example { event, body } in examples() {
        let text = body.to_string();
        let as_push = told(&headers("push", text.as_bytes()), text.as_bytes()).await;
        let names_a_branch =
            body.get("ref").is_some() && body["repository"]["full_name"].is_string();
        if names_a_branch {
            // The event's name is not signed: what tells of a branch can be told as a push, and is a hint.
            assert!(matches!(as_push, Ok(Message::Hint { .. })), "{event}: {as_push:?}");
        } else {
            assert!(matches!(as_push, Err(WebhookError::Unreadable(_))), "{event}: {as_push:?}");
            refused += 1;
        }
        for other in ["Push", "pushed", "", "repository", "push_2"] {
            let mut all = headers("push", text.as_bytes());
            all.insert("x-github-event", HeaderValue::from_str(other).unwrap());
            let message = told(&all, text.as_bytes()).await.unwrap();
            assert!(matches!(message, Message::Ignored(_)), "{event} as {other:?}: {message:?}");
        }
        let mut form = headers(&event, text.as_bytes());
        form.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        let answer = told(&form, text.as_bytes()).await;
        assert!(matches!(answer, Err(WebhookError::Unreadable(_))), "{event}: {answer:?}");
    }
    assert!(refused > 250, "{refused}");
}
