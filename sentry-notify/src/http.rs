//! One bounded request, and what its answer means.

use std::path::Path;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use sentry_core::clock::Timestamp;
use sentry_core::notifier::{NotifyError, NotifyErrorKind};
use sentry_core::secret::{Redactor, Secret};
use sentry_core::text::line;
use sentry_net::{Client, Failure, Proxies, Times};
use url::Url;

const TIMES: Times = Times { connect: None, silence: None, total: Duration::from_secs(10) };
/// No more is read of an answer: it is only quoted.
const ANSWER_CAP: usize = 4 * 1024;
/// So much of an answer that refuses is quoted, in characters.
const QUOTED: usize = 160;

#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    receiver: String,
    redactor: Redactor,
}

/// What is sent.
pub(crate) struct Message<'a> {
    pub(crate) url: &'a Secret,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Http {
    /// A client that follows no redirect: an address is a secret of its host alone. Proxies are the environment's.
    pub(crate) fn new(
        receiver: &str,
        ca_file: Option<&Path>,
        redactor: &Redactor,
    ) -> Result<Self, NotifyError> {
        let client = Client::new(ca_file, Proxies::from_env(), TIMES).map_err(|error| {
            let hint = error.hint();
            local(error.what()).with_optional_hint(hint).with_source(error)
        })?;
        Ok(Self { client, receiver: receiver.to_owned(), redactor: redactor.clone() })
    }

    pub(crate) async fn post(
        &self,
        message: Message<'_>,
        now: Timestamp,
    ) -> Result<(), NotifyError> {
        let mut request = self
            .client
            .requests()
            .post(message.url.expose())
            .header(CONTENT_TYPE, message.content_type)
            .body(message.body);
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        let mut response =
            request.send().await.map_err(|error| self.unreachable(error, message.url))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        if status.is_success() {
            tracing::debug!(receiver = self.receiver, status = status.as_u16(), "notified");
            return Ok(());
        }
        let mut body = Vec::new();
        // Whatever came of it is quoted.
        sentry_net::read(&mut response, ANSWER_CAP, &mut body).await.ok();
        let quote = self.redactor.redact(&String::from_utf8_lossy(&body));
        Err(refusal(&self.receiver, status, &headers, &quote, now))
    }

    /// The address is left out of the cause: it may be a secret.
    fn unreachable(&self, error: reqwest::Error, url: &Secret) -> NotifyError {
        let Ok(url) = Url::parse(url.expose()) else {
            let text = format!("the address of receiver {} is invalid", self.receiver);
            return local(&text).with_hint("write a full URL: https://hooks.example.com/…");
        };
        let Failure { what, hint } = self.client.failure(&error, &url);
        let text = format!("receiver {} {what}", self.receiver);
        NotifyError::new(NotifyErrorKind::Unreachable, text)
            .with_source(error.without_url())
            .with_optional_hint(hint)
    }
}

/// What an answer that is not a success means.
fn refusal(
    receiver: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    now: Timestamp,
) -> NotifyError {
    let quote: String = line(body).chars().take(QUOTED).collect();
    let quote = if quote.is_empty() { quote } else { format!(": {quote}") };
    let text = format!("receiver {receiver} answered {status}{quote}");
    let kind = match status.as_u16() {
        429 => NotifyErrorKind::RateLimited,
        408 | 425 | 500.. => NotifyErrorKind::Unreachable,
        400 | 406 | 411 | 413 | 415 | 422 => NotifyErrorKind::Rejected,
        _ => NotifyErrorKind::Refused,
    };
    let error = NotifyError::new(kind, text);
    match kind {
        NotifyErrorKind::Refused => error.with_hint(
            "check the receiver's address and permissions, then run `sentry notify --test`; the next notice tries again",
        ),
        NotifyErrorKind::Rejected => error.with_hint("this notice is not retried"),
        _ => match retry_after(headers, now) {
            Some(wait) => error.retry_after(wait),
            None => error,
        },
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = date.duration_since(SystemTime::from(now));
    Some(wait.unwrap_or_default())
}

fn local(text: &str) -> NotifyError {
    NotifyError::new(NotifyErrorKind::Local, text)
}

#[cfg(test)]
mod tests {
    use sentry_core::retry::Retry;

    use super::*;

    fn advice(status: u16, after: Option<&str>) -> Retry {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        refusal("x", StatusCode::from_u16(status).unwrap(), &headers, "", now).retry()
    }

    #[test]
    fn each_answer_says_whether_and_when_it_is_tried_again() {
        let seconds = |n| Retry::After(Duration::from_secs(n));
        for (status, after, want) in [
            (429, Some("30"), seconds(30)),
            (429, Some("Tue, 14 Nov 2023 22:14:20 GMT"), seconds(60)),
            (429, Some("Tue, 14 Nov 2023 22:00:00 GMT"), seconds(0)),
            (503, Some("7"), seconds(7)),
            (429, Some("soon"), Retry::Backoff),
            (429, None, Retry::Backoff),
            (500, None, Retry::Backoff),
            (408, None, Retry::Backoff),
            (410, None, Retry::Stalled),
            (404, None, Retry::Stalled),
            (403, None, Retry::Stalled),
            (302, None, Retry::Stalled),
            (400, None, Retry::Stalled),
        ] {
            assert_eq!(advice(status, after), want, "{status} {after:?}");
        }
    }
}
