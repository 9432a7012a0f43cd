//! Times as people say them.

use std::time::Duration;

use sentry_core::clock::Timestamp;

use super::Words;

/// `just now`, `40 s ago`, `4 min ago`, `in 12 s`. The script says it the same way as time passes.
pub(crate) fn ago(words: Words, now: Timestamp, at: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let age = match seconds.unsigned_abs() {
        n @ ..60 => unit(words, "unit-s", n),
        n @ 60..3600 => unit(words, "unit-min", n / 60),
        n @ 3600..172_800 => unit(words, "unit-h", n / 3600),
        n => unit(words, "unit-days", n / 86_400),
    };
    match seconds {
        ..-4 => words.put("ahead", "age", age),
        -4..5 => words.say("now"),
        _ => words.put("ago", "age", age),
    }
}

/// `820 ms`, `12 s`, `3 min 20 s`, `1 h 5 min`, `2 days 3 h`.
pub(crate) fn span(words: Words, time: Duration) -> String {
    let two = |large: &str, number: u64, small: &str, rest: u64| match rest {
        0 => unit(words, large, number),
        rest => format!("{} {}", unit(words, large, number), unit(words, small, rest)),
    };
    let seconds = time.as_secs();
    match seconds {
        0 => unit(words, "unit-ms", time.as_millis()),
        1..10 if time.subsec_millis() >= 100 => {
            unit(words, "unit-s", format!("{seconds}.{}", time.subsec_millis() / 100))
        }
        1..60 => unit(words, "unit-s", seconds),
        60..3600 => two("unit-min", seconds / 60, "unit-s", seconds % 60),
        3600..172_800 => two("unit-h", seconds / 3600, "unit-min", seconds % 3600 / 60),
        _ => two("unit-days", seconds / 86_400, "unit-h", seconds % 86_400 / 3600),
    }
}

fn unit(words: Words, key: &str, number: impl std::fmt::Display) -> String {
    words.put(key, "n", number)
}

#[cfg(test)]
mod tests {
    use super::super::Language;
    use super::*;

    #[test]
    fn times_are_said_in_the_unit_that_says_something() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |before: i64| Timestamp::from_second(1_000_000 - before).unwrap();
        let said = |before: i64| ago(Words::default(), now, at(before));
        assert_eq!([said(0), said(4), said(-4)], ["just now"; 3]);
        assert_eq!([said(5), said(59), said(60)], ["5 s ago", "59 s ago", "1 min ago"]);
        assert_eq!([said(3600), said(172_800)], ["1 h ago", "2 days ago"]);
        assert_eq!([said(-12), said(-300)], ["in 12 s", "in 5 min"]);
        let chinese = |before: i64| ago(Words(Language::Chinese), now, at(before));
        assert_eq!([chinese(60), chinese(-300), chinese(0)], ["1 分钟前", "5 分钟后", "刚刚"]);
        let spans = [820, 1_230, 12_900, 200_000, 3_900_000, 180_000_000]
            .map(|ms| span(Words::default(), Duration::from_millis(ms)));
        assert_eq!(spans, ["820 ms", "1.2 s", "12 s", "3 min 20 s", "1 h 5 min", "2 days 2 h"]);
    }
}
