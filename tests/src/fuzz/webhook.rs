//! Any headers and body as a forge's webhook: nothing is believed without its proof, and what is believed names the
//! repository that the body names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sentry_core::clock::Timestamp;
use sentry_core::secret::{Redactor, Secret};
use sentry_forge::webhook::{Message, Webhook, WebhookError};
use sentry_forge::{github, gitlab};
use sha2::Sha256;

/// When everything is signed, in seconds since 1970.
const NOW: i64 = 1_800_000_000;
const KEY: &[u8] = b"the-key-of-the-fuzzer";

/// How a request is proved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Right,
    OfAnotherBody,
    OfAnotherKey,
    AsItIs,
}

struct World {
    runtime: tokio::runtime::Runtime,
    /// GitHub, GitLab with a signing token, GitLab with a secret token.
    webhooks: [Webhook; 3],
}

thread_local! {
    static WORLD: World = world();
}

fn world() -> World {
    let webhook =
        |sender, secret: String| Webhook::new(sender, Secret::new(secret).into(), Redactor::new());
    let key = String::from_utf8_lossy(KEY).into_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let webhooks = [
        webhook(github::SENDER, key.clone()),
        webhook(gitlab::SENDER, format!("whsec_{}", STANDARD.encode(KEY))),
        webhook(gitlab::SENDER, key),
    ];
    World { runtime, webhooks }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The headers that prove a body, or seem to.
fn prove(sender: usize, proof: Proof, headers: &mut HeaderMap, body: &[u8]) {
    let key: &[u8] = if proof == Proof::OfAnotherKey { b"another-key" } else { KEY };
    let end: &[u8] = if proof == Proof::OfAnotherBody { b" " } else { b"" };
    let mut set = |name: &'static str, value: String| {
        headers.insert(name, HeaderValue::from_str(&value).expect("a plain text"));
    };
    match sender {
        0 => {
            let mac: String = mac(key, &[body, end]).iter().map(|b| format!("{b:02x}")).collect();
            set("x-hub-signature-256", format!("sha256={mac}"));
        }
        1 => {
            // Each body is told once.
            let id = mac(b"id", &[body]).iter().map(|b| format!("{b:02x}")).collect::<String>();
            let mac = mac(key, &[format!("{id}.{NOW}.").as_bytes(), body, end]);
            set("webhook-id", id);
            set("webhook-timestamp", NOW.to_string());
            set("webhook-signature", format!("v1,{}", STANDARD.encode(mac)));
        }
        _ => set("x-gitlab-token", String::from_utf8_lossy(key).into_owned()),
    }
}

/// `MODE name: value LF … LF LF body`: the first byte chooses the sender and the proof.
struct Request<'b> {
    sender: usize,
    proof: Proof,
    headers: HeaderMap,
    body: &'b [u8],
}

fn read(bytes: &[u8]) -> Option<Request<'_>> {
    let (&mode, rest) = bytes.split_first()?;
    let border = rest.windows(2).position(|two| two == b"\n\n")?;
    let mut headers = HeaderMap::new();
    for line in rest[..border].split(|&byte| byte == b'\n').take(12) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let proof = match mode / 3 % 8 {
        0 => Proof::OfAnotherBody,
        1 => Proof::OfAnotherKey,
        2 => Proof::AsItIs,
        _ => Proof::Right,
    };
    Some(Request { sender: usize::from(mode % 3), proof, headers, body: &rest[border + 2..] })
}

/// What may be believed at most: the body holds the repository's path, and the key that tells of a branch.
fn names(body: &[u8], path: &str) -> bool {
    let text = String::from_utf8_lossy(body);
    // With escapes it is written otherwise.
    text.contains('\\') || (text.contains(path) && text.contains("\"ref"))
}

/// Judges one input.
///
/// # Panics
/// If the judge finds against Sentry.
pub fn webhook(bytes: &[u8]) {
    let Some(Request { sender, proof, mut headers, body }) = read(bytes) else { return };
    if proof != Proof::AsItIs {
        prove(sender, proof, &mut headers, body);
    }
    let now = Timestamp::from_second(NOW).expect("a time");
    let answer = WORLD.with(|world| {
        let begun = world.runtime.block_on(world.webhooks[sender].begin(&headers, now));
        begun.and_then(|mut incoming| {
            body.chunks(1000).for_each(|chunk| incoming.take(chunk));
            incoming.finish()
        })
    });
    // A secret token proves who sends, not what is sent.
    let proven = proof == Proof::Right || (proof == Proof::OfAnotherBody && sender == 2);
    match answer {
        Ok(Message::Hint { repo }) => {
            assert!(proven || proof == Proof::AsItIs, "believed without proof: {repo}");
            assert!(names(body, repo.as_str()), "{repo} is not what the body names");
        }
        Ok(_) => assert!(proven || proof == Proof::AsItIs, "taken without proof"),
        Err(WebhookError::Unreadable(text)) => {
            assert!(proven || proof == Proof::AsItIs, "read before it was verified: {text}");
        }
        Err(WebhookError::Unsigned(_) | WebhookError::Wrong(_) | WebhookError::OutOfTime) => {
            assert!(!proven, "a right proof is refused");
        }
        Err(error) => panic!("{error}"),
    }
}
