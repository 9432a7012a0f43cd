//! What statuses and rate-limit headers mean. Pure.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::forge::{Budget, ForgeError, ForgeErrorKind};
use sentry_core::retry::AFTER_CAP;

use crate::http::Answer;
use crate::said::sign_on;

/// Requests left: GitHub's name, then GitLab's.
pub(crate) const LEFT: [&str; 2] = ["x-ratelimit-remaining", "ratelimit-remaining"];
const LIMIT: [&str; 2] = ["x-ratelimit-limit", "ratelimit-limit"];
const RESET: [&str; 2] = ["x-ratelimit-reset", "ratelimit-reset"];

/// The status of an answer, kept as the cause of the error that it led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {0}")]
pub struct StatusError(pub StatusCode);

impl StatusError {
    /// The status that an error came from, if it came from one, directly or by way of git.
    #[must_use]
    pub fn of(error: &ForgeError) -> Option<StatusCode> {
        let first = std::error::Error::source(error);
        let mut causes = std::iter::successors(first, |cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref::<Self>()).map(|status| status.0)
    }
}

/// Ok for a 2xx or 304; otherwise the error that the status means. `what` names the forge and what was asked for,
/// as a clause: `github: example/repo-a`.
///
/// # Errors
/// 401 and 403 [`ForgeErrorKind::Unauthorized`]; 429 and a 403 that speaks of a limit
/// [`ForgeErrorKind::RateLimited`]; 404 and 410 [`ForgeErrorKind::NotFound`]; 5xx [`ForgeErrorKind::Unreachable`];
/// anything else [`ForgeErrorKind::WrongAnswer`]. With the wait that the server asks for, if it does, and with its own
/// sentence where that does not change from answer to answer.
pub fn check_status(answer: &Answer, what: &str) -> Result<(), ForgeError> {
    let status = answer.status;
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    let (kind, text, hint) = describe(answer);
    let said = answer.said.as_ref().filter(|_| kind != ForgeErrorKind::RateLimited);
    let said = said.map(|said| format!("; it says {said:?}")).unwrap_or_default();
    let mut error =
        ForgeError::new(kind, format!("{what}: {text}{said}")).with_source(StatusError(status));
    let sign_on = sign_on(&answer.headers).filter(|_| status == StatusCode::FORBIDDEN);
    if let Some(hint) = sign_on.or(hint.map(str::to_owned)) {
        error = error.with_hint(hint);
    }
    let waits = status.is_server_error() || kind == ForgeErrorKind::RateLimited;
    match wait_asked(&answer.headers).filter(|_| waits) {
        Some(wait) => Err(error.retry_after(wait)),
        None => Err(error),
    }
}

fn describe(answer: &Answer) -> (ForgeErrorKind, &'static str, Option<&'static str>) {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => {
            (ForgeErrorKind::RateLimited, "the rate limit is reached", None)
        }
        StatusCode::FORBIDDEN if speaks_of_a_limit(answer) => {
            (ForgeErrorKind::RateLimited, "the rate limit is reached", None)
        }
        StatusCode::UNAUTHORIZED => (
            ForgeErrorKind::Unauthorized,
            "the token is refused",
            Some(
                "check that the token is set, whole and not expired; a rotated token file is reread automatically",
            ),
        ),
        StatusCode::FORBIDDEN => (
            ForgeErrorKind::Unauthorized,
            "the token may not read this",
            Some("give the token the right to read the repository's contents"),
        ),
        StatusCode::NOT_FOUND | StatusCode::GONE => (
            ForgeErrorKind::NotFound,
            "does not exist, or the token may not see it",
            Some("check the name, and that the token may read the repository"),
        ),
        status if status.is_server_error() => {
            (ForgeErrorKind::Unreachable, "the server has an internal error", None)
        }
        status if status.is_redirection() => (
            ForgeErrorKind::WrongAnswer,
            "is redirected to a place that Sentry does not follow",
            Some("configure its new address"),
        ),
        _ => (ForgeErrorKind::WrongAnswer, "the request is refused", None),
    }
}

/// GitHub reports both its limits as 403, the secondary one by Retry-After or by the text alone:
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
fn speaks_of_a_limit(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    is_limited(&answer.headers) || text.contains("rate limit") || text.contains("abuse detection")
}

/// True if the headers alone say so.
pub(crate) fn is_limited(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RETRY_AFTER) || header_number(headers, &LEFT) == Some(0)
}

/// The wait that the headers ask for, by the server's own clock.
pub(crate) fn wait_asked(headers: &HeaderMap) -> Option<Duration> {
    asked_wait(headers, server_now(headers))
}

/// The wait that a server asks for, from one second to [`AFTER_CAP`]; `None` if it names none, or nonsense.
///
/// `Retry-After` (seconds or a date) comes first, then the reset time of a used-up limit.
#[must_use]
pub fn asked_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let until = |second: i64| u64::try_from(second.checked_sub(now.as_second())?).ok();
    let asked = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::trim);
    let by_seconds = asked.filter(|text| is_number(text)).map(saturating);
    let by_date = || {
        let date = httpdate::parse_http_date(asked?).ok()?;
        until(Timestamp::try_from(date).ok()?.as_second())
    };
    let by_reset = || {
        let used_up = header_number(headers, &LEFT).is_none_or(|left| left == 0);
        let reset = header_number(headers, &RESET).filter(|_| used_up)?;
        until(i64::try_from(reset).ok()?)
    };
    let seconds = by_seconds.or_else(by_date).or_else(by_reset)?;
    // A second more: the server counts in whole seconds, and early is too early.
    Some(Duration::from_secs(seconds.saturating_add(1)).min(AFTER_CAP))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A text of digits; more than fit are the largest number, not nonsense.
fn saturating(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

/// The first of the headers that is a number.
pub(crate) fn header_number(headers: &HeaderMap, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse().ok())
}

/// The server's own clock if it sends it, so that a wrong local clock shortens no wait.
fn server_now(headers: &HeaderMap) -> Timestamp {
    let date = headers.get(header::DATE).and_then(|v| v.to_str().ok());
    let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
    date.and_then(|date| Timestamp::try_from(date).ok()).unwrap_or_else(|| SystemClock.now())
}

/// What an answer says about the rate limit, if it says anything.
#[must_use]
pub fn budget(headers: &HeaderMap) -> Option<Budget> {
    let reset = header_number(headers, &RESET)
        .and_then(|second| i64::try_from(second).ok())
        .and_then(|second| Timestamp::from_second(second).ok());
    Some(Budget {
        left: header_number(headers, &LEFT)?,
        limit: header_number(headers, &LIMIT)?,
        reset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const NOW: i64 = 1_800_000_000;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    fn wait(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let now = Timestamp::from_second(NOW).unwrap();
        asked_wait(&headers(pairs), now).map(|wait| wait.as_secs())
    }

    fn answer(status: u16, pairs: &[(&'static str, &str)], body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers(pairs),
            body: Bytes::copy_from_slice(body.as_bytes()),
            said: None,
        }
    }

    #[test]
    fn a_wait_is_read_from_seconds_dates_and_resets_and_never_early_nor_over_an_hour() {
        assert_eq!(wait(&[("retry-after", "30")]), Some(31));
        assert_eq!(wait(&[("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT")]), Some(61));
        assert_eq!(wait(&[("x-ratelimit-reset", "1800000100")]), Some(101));
        assert_eq!(wait(&[("ratelimit-reset", "1800000100")]), Some(101));
        for huge in ["999999999", "99999999999999999999999999"] {
            assert_eq!(wait(&[("retry-after", huge)]), Some(3600));
        }
    }

    #[test]
    fn nonsense_and_the_past_ask_for_no_particular_wait() {
        assert_eq!(wait(&[]), None);
        for nonsense in ["-5", "soon", "", "1.5", "Fri, 15 Jan 2010 08:01:00 GMT"] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[("x-ratelimit-reset", "17")]), None);
        let plenty = [("x-ratelimit-remaining", "4000"), ("x-ratelimit-reset", "1800000100")];
        assert_eq!(wait(&plenty), None, "a reset of a limit that is not used up asks for nothing");
    }

    #[test]
    fn statuses_become_kinds() {
        use ForgeErrorKind::{NotFound, RateLimited, Unauthorized, Unreachable, WrongAnswer};
        for (status, pairs, body, kind) in [
            (401, vec![], "", Unauthorized),
            (403, vec![], "", Unauthorized),
            (403, vec![("retry-after", "5")], "", RateLimited),
            (403, vec![("x-ratelimit-remaining", "0")], "", RateLimited),
            (403, vec![], "You have exceeded a secondary rate limit.", RateLimited),
            (404, vec![], "", NotFound),
            (429, vec![], "", RateLimited),
            (503, vec![], "", Unreachable),
            (301, vec![], "", WrongAnswer),
            (400, vec![], "", WrongAnswer),
        ] {
            let error = check_status(&answer(status, &pairs, body), "hub: a/b").unwrap_err();
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(StatusError::of(&error).unwrap().as_u16(), status);
        }
    }

    #[test]
    fn an_error_quotes_what_the_server_says_and_nothing_else_of_its_answer() {
        let said = Some("Token was revoked.".to_owned());
        let refused = Answer { said, ..answer(401, &[], "token ghp_leak is bad") };
        let error = check_status(&refused, "hub").unwrap_err();
        assert_eq!(error.to_string(), "hub: the token is refused; it says \"Token was revoked.\"");
        assert!(!format!("{error:?}").contains("ghp_leak"));
    }

    #[test]
    fn the_servers_clock_counts_where_it_tells_it() {
        let date = ("date", "Fri, 15 Jan 2027 08:00:00 GMT");
        let reset = ("x-ratelimit-reset", "1800000600");
        let error = check_status(&answer(429, &[date, reset], ""), "hub").unwrap_err();
        assert_eq!(error.retry(), sentry_core::retry::Retry::After(Duration::from_secs(601)));
    }
}
