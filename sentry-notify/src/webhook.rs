//! A generic webhook: an event of CloudEvents 1.0 in its JSON form, signed as Standard Webhooks has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sentry_core::clock::Timestamp;
use sentry_core::notifier::Notice;
use sentry_core::secret::Secret;
use sentry_core::subscription::Occasion;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::fields::Fields;

/// The content type of an event in JSON.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#32-structured-content-mode>
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The event. `source` and `id` together are the same whenever it is sent again.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
pub(crate) fn event(notice: &Notice, text: &str) -> Value {
    let kind = match notice.occasion {
        Occasion::Test => "dev.sentry-gitops.test".to_owned(),
        occasion => {
            format!("dev.sentry-gitops.{}.{}", notice.route.as_str(), occasion.as_str())
        }
    };
    let mut data = json!(Fields::of(notice));
    data["text"] = json!(text);
    json!({
        "specversion": "1.0",
        "id": notice.id.as_str(),
        "source": format!("/watches/{}", notice.watch),
        "type": kind,
        "subject": notice.revision.to_string(),
        "time": notice.at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// The headers that prove who sent a body, and when.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#webhook-headers-sending-metadata-to-consumers>
pub(crate) fn signature(
    secret: &Secret,
    id: &str,
    at: Timestamp,
    body: &str,
) -> Option<[(&'static str, String); 3]> {
    let at = at.as_second().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)).ok()?;
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    Some([
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at),
        ("webhook-signature", signature),
    ])
}

/// `whsec_` and base64 mean bytes; anything else is used as it is.
fn key(secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let encoded = text.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    encoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::sample;

    use super::*;

    #[test]
    fn an_event_has_what_the_specification_demands_and_the_facts() {
        let notice = sample::notice(1);
        let event = event(&notice, "hello");
        for (name, value) in [
            ("specversion", "1.0"),
            ("source", "/watches/app"),
            ("type", "dev.sentry-gitops.tests_failed.failure"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(event[name], value, "{name}");
        }
        assert_eq!(event["id"], notice.id.as_str());
        assert_eq!(event["data"]["runs"]["failed"], 1);
        assert_eq!(event["data"]["text"], "hello");
        assert!(event["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn the_signature_is_that_of_the_standards_own_example() {
        // The test vector of https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let [_, _, (_, signature)] = signature(&secret, id, at, r#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_without_the_prefix_is_taken_as_it_is() {
        assert_eq!(key(&Secret::new("plain")), b"plain");
        assert_eq!(key(&Secret::new("whsec_AAEC")), [0, 1, 2]);
    }
}
