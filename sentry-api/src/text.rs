//! How times and numbers are shown to people.

use std::time::Duration;

use sentry_core::clock::Timestamp;

/// A time to the second, in UTC.
#[must_use]
pub fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// How long ago, in the largest useful unit: `12s`, `5m`, `3h`, `2d`.
#[must_use]
pub fn age(now: Timestamp, at: Timestamp) -> String {
    span(passed(now, at))
}

/// How much time has passed, in whole seconds; zero if the time is in the future.
#[must_use]
pub fn passed(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.as_second() - at.as_second()).unwrap_or(0))
}

/// A duration as people write it.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.is_zero() => "0s".to_owned(),
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `in 12s`, or `now` if the time has passed.
#[must_use]
pub fn ahead(now: Timestamp, at: Timestamp) -> String {
    match u64::try_from(at.as_second() - now.as_second()) {
        Ok(seconds) if seconds > 0 => format!("in {}", span(Duration::from_secs(seconds))),
        _ => "now".to_owned(),
    }
}

/// `1 object`, `3 objects`.
#[must_use]
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The first eight digits of a commit: for people.
#[must_use]
pub fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// `main@sha1:1a2b3c4d…`: a branch and a commit, as [`sentry_core::revision::Revision`] shows them.
#[must_use]
pub fn revision(branch: &str, sha: &str) -> String {
    let algorithm = if sha.len() == 64 { "sha256" } else { "sha1" };
    format!("{branch}@{algorithm}:{sha}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn ages_use_the_largest_unit_that_says_something() {
        let shown = [0, 59, 60, 3599, 7200, 200_000].map(|s| age(at(1_000_000), at(1_000_000 - s)));
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "2h", "2d"]);
        assert_eq!(age(at(5), at(9)), "0s");
        assert_eq!((ahead(at(5), at(17)), ahead(at(5), at(5))), ("in 12s".into(), "now".into()));
    }

    #[test]
    fn a_revision_is_shown_as_core_shows_it() {
        let one = sentry_core::testing::sample::revision(1);
        assert_eq!(revision(&one.subject.text(), one.sha.as_str()), one.to_string());
        assert_eq!(short(one.sha.as_str()), one.sha.short());
    }
}
