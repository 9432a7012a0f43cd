//! What a server itself says when it refuses something: the one sentence that says why.

use http::{HeaderMap, StatusCode, header};
use sentry_core::secret::Redactor;
use sentry_core::text;
use serde_json::Value;

/// So much is quoted, in characters.
const QUOTED: usize = 200;
/// Where JSON has the sentence: GitHub's `message`, GitLab's `message`, `error_description` and `error`; the most telling first.
const FIELDS: [&str; 3] = ["error_description", "message", "error"];

/// The sentence of an answer that is an error, redacted, on one clean line. None if the answer has none, or says no more than
/// its status does. Pages are not quoted: they are for browsers.
pub(crate) fn said(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    redactor: &Redactor,
) -> Option<String> {
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = match kind.as_str() {
        "text/plain" => String::from_utf8_lossy(body).into_owned(),
        _ if kind == "application/json" || kind.ends_with("+json") => {
            let json: Value = serde_json::from_slice(body).ok()?;
            FIELDS.iter().find_map(|field| sentence(json.get(field)?))?
        }
        _ => return None,
    };
    let clean = text::cut(&text::line(&redactor.redact(&text)), QUOTED);
    let reason = status.canonical_reason().unwrap_or_default();
    let says_more = clean.trim_start_matches(status.as_str()).trim() != reason;
    (says_more && !clean.is_empty()).then_some(clean)
}

/// A text, or the texts of a list or mapping: GitLab answers in all three.
fn sentence(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => Some(all.iter().filter_map(sentence).collect::<Vec<_>>().join(", ")),
        Value::Object(all) => {
            let one =
                |(key, value): (&String, &Value)| Some(format!("{key}: {}", sentence(value)?));
            Some(all.iter().filter_map(one).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// Where GitHub wants a token to be authorized for an organization's single sign-on; without what its address asks for, which
/// is for one browser: <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>
pub(crate) fn sign_on(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-github-sso")?.to_str().ok()?.strip_prefix("required")?;
    let url = value
        .split_once("url=")
        .map(|(_, url)| url.split(['?', ';', ' ']).next().unwrap_or_default());
    let place = url.filter(|url| url.starts_with("https://")).map(text::clean);
    let place = place.map(|url| format!(": {url}")).unwrap_or_default();
    Some(format!("authorize the token for the organization's single sign-on{place}"))
}

#[cfg(test)]
mod tests {
    use sentry_core::secret::Secret;

    use super::*;

    fn quoted(status: u16, kind: &str, body: &str) -> Option<String> {
        let redactor = Redactor::new();
        redactor.learn(&Secret::new("ghp_leaked-token"));
        let headers = [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        said(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), &redactor)
    }

    #[test]
    fn the_forges_own_sentence_is_quoted_clean_bounded_and_without_secrets() {
        let json = "application/json; charset=utf-8";
        for (status, kind, body, expected) in [
            (
                403,
                json,
                r#"{"message":"Resource not accessible by personal access token"}"#,
                Some("Resource not accessible by personal access token"),
            ),
            (
                401,
                json,
                r#"{"error":"invalid_token","error_description":"Token was revoked."}"#,
                Some("Token was revoked."),
            ),
            (
                403,
                "application/problem+json",
                r#"{"message":{"base":["is blocked"]}}"#,
                Some("base: is blocked"),
            ),
            (403, json, r#"{"message":"403 Forbidden"}"#, None),
            (404, json, r#"{"message":"Not Found"}"#, None),
            (403, json, "{\"message\":", None),
            (403, "text/html", "<h1>Sign in</h1>", None),
            (200, "text/plain", "fine", None),
            (
                403,
                "text/plain",
                "bad ghp_leaked-token\u{202e}\n\u{1b}[2Jhere\n",
                Some("bad [redacted]\u{fffd} \u{fffd}[2Jhere"),
            ),
        ] {
            assert_eq!(quoted(status, kind, body).as_deref(), expected, "{body}");
        }
        assert_eq!(quoted(500, "text/plain", &"x".repeat(5000)).unwrap().chars().count(), QUOTED);
    }

    #[test]
    fn single_sign_on_is_asked_for_at_its_place_without_the_request() {
        let with = |value: &str| {
            sign_on(
                &[("x-github-sso".parse().unwrap(), value.parse().unwrap())].into_iter().collect(),
            )
        };
        let asked =
            with("required; url=https://github.com/orgs/acme/sso?authorization_request=AZSCK");
        let hint = "authorize the token for the organization's single sign-on: https://github.com/orgs/acme/sso";
        assert_eq!(asked.as_deref(), Some(hint));
        assert_eq!(with("partial-results; organizations=1"), None);
    }
}
