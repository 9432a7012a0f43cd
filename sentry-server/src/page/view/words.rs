//! Times as people say them.

use std::time::Duration;

use sentry_core::clock::Timestamp;

/// `just now`, `40 s ago`, `4 min ago`, `in 12 s`. The script says it the same way as time passes.
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let said = |seconds: i64| match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    match seconds {
        ..-4 => format!("in {}", said(-seconds)),
        -4..5 => "just now".to_owned(),
        _ => format!("{} ago", said(seconds)),
    }
}

/// `820 ms`, `12 s`, `3 min 20 s`, `1 h 5 min`, `2 days 3 h`.
pub(crate) fn span(time: Duration) -> String {
    let two = |number: u64, unit: &str, rest: u64, small: &str| match rest {
        0 => format!("{number} {unit}"),
        rest => format!("{number} {unit} {rest} {small}"),
    };
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..10 if time.subsec_millis() >= 100 => {
            format!("{seconds}.{} s", time.subsec_millis() / 100)
        }
        1..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..172_800 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "days", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_unit_that_says_something() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let said = |before: i64| ago(now, Timestamp::from_second(1_000_000 - before).unwrap());
        assert_eq!([said(0), said(4), said(-4)], ["just now"; 3]);
        assert_eq!([said(5), said(59), said(60)], ["5 s ago", "59 s ago", "1 min ago"]);
        assert_eq!([said(3600), said(172_800)], ["1 h ago", "2 days ago"]);
        assert_eq!([said(-12), said(-300)], ["in 12 s", "in 5 min"]);
        let spans = [820, 1_230, 12_900, 200_000, 3_900_000, 180_000_000]
            .map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["820 ms", "1.2 s", "12 s", "3 min 20 s", "1 h 5 min", "2 days 2 h"]);
    }
}
