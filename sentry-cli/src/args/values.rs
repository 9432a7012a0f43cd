//! Values on the command line that are no plain text.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sentry_core::clock::{Clock as _, SystemClock, Timestamp};
use sentry_core::closed_list::ClosedList;
use sentry_core::remote;
use sentry_core::repo::{ParseError, RepoUrl};
use sentry_core::subject::Subject;
use url::Url;

/// One word of a closed list.
pub(super) fn word<T: ClosedList + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::all().map(T::as_str))
        .try_map(|word| T::from_word(&word).ok_or("is not an allowed value"))
}

/// A branch's name, or a tag's whole reference.
pub(super) fn branch(text: &str) -> Result<Subject, ParseError> {
    Subject::named(text)
}

/// A place that documents may be fetched from.
pub(super) fn place(text: &str) -> Result<Url, String> {
    remote::place(text).map_err(|what| format!("{what}; write tasks.example.com"))
}

/// A repository's URL, and how it was typed.
#[derive(Debug, Clone)]
pub(crate) struct TypedUrl {
    pub(crate) text: String,
    pub(crate) url: RepoUrl,
}

impl FromStr for TypedUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Ok(Self { text: text.to_owned(), url: text.parse()? })
    }
}

/// A moment, or how long ago it was.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago =
        parse_duration(text).map_err(|_| "is neither a time (RFC 3339) nor such as 12h or 7d")?;
    SystemClock.now().checked_sub(ago).map_err(|_| "is too long ago".to_owned())
}

/// `90`, `90s`, `30m`, `2h`, `3d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("expected a number with s, m, h or d, such as 2h".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "expected a number with s, m, h or d, such as 2h")?;
    match number.checked_mul(seconds).filter(|all| (1..=366 * 86_400).contains(all)) {
        Some(all) => Ok(Duration::from_secs(all)),
        None => Err("must be longer than 0 and at most 366d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        for bad in ["", "h", "2w", "-1h", "0", "367d", "99999999999999999999d", "1.5h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
