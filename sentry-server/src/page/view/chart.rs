//! How a watch's deliveries went, day by day: how long they took, and how many of them failed.

use std::time::Duration;

use askama::Template;
use sentry_api::shape::{Pace, PaceRun};
use sentry_core::clock::Timestamp;

use super::{Part as _, Reader, Timed, Words, span};

/// A drawing with the oldest day on the left, and what it says in words.
#[derive(Debug, Template)]
#[template(path = "part/chart.html")]
pub(crate) struct Chart {
    words: Words,
    days: Vec<Day>,
    /// `3 of 41 deliveries failed`.
    pub(crate) about: String,
    /// Since when, where that is less than the title says.
    since: Option<Timed>,
    longest: String,
    slowest: Vec<Slow>,
}

/// The bars of a day, in the drawing's own units: how long, and how many.
#[derive(Debug, PartialEq, Eq)]
struct Day {
    x: usize,
    took: usize,
    fine: usize,
    failed: usize,
    title: String,
}

/// The runs of a document.
#[derive(Debug)]
struct Slow {
    name: String,
    path: String,
    runs: usize,
    median: String,
    longest: String,
    delivery: String,
}

/// So many days are drawn, each so wide.
const DAYS: i64 = 30;
const STEP: usize = 22;
const WIDTH: usize = STEP * 30;
/// How high the bars are at most: of durations, above, and of numbers, below.
const ABOVE: usize = 84;
const BELOW: usize = 36;
/// Between the two.
const GAP: usize = 18;
/// The least that is seen.
const LEAST: usize = 3;
const SECONDS: i64 = 86_400;

impl Chart {
    /// `None` where nothing ended in that time.
    pub(crate) fn new(reader: &Reader, pace: &Pace) -> Option<Self> {
        if pace.deliveries == 0 {
            return None;
        }
        let words = reader.words;
        let longest = pace.days.iter().map(|day| day.median_ms).max()?;
        let most = pace.days.iter().map(|day| day.deliveries).max()?;
        let today = number(reader.now);
        let day = |day: &sentry_api::shape::PaceDay| {
            let place = DAYS - 1 - (today - number(day.day));
            let x = usize::try_from(place).ok()? * STEP;
            let all = scale(day.deliveries as u64, most as u64, BELOW);
            let failed = match day.failed {
                0 => 0,
                failed => scale(failed as u64, most as u64, BELOW),
            };
            let title = [
                ("day", date(day.day).into()),
                ("n", day.deliveries.into()),
                ("failed", day.failed.into()),
                ("time", time(words, day.median_ms).into()),
            ];
            let title = words.with("pace-day", title);
            let fine = all.saturating_sub(failed);
            Some(Day { x, took: scale(day.median_ms, longest, ABOVE), fine, failed, title })
        };
        let numbers = [("failed", pace.failed.into()), ("n", pace.deliveries.into())];
        Some(Self {
            words,
            days: pace.days.iter().filter_map(day).collect(),
            about: words.with("pace", numbers),
            since: (today - number(pace.since) < DAYS - 1)
                .then(|| Timed::new(reader, "since", pace.since)),
            longest: time(words, longest),
            slowest: pace.slowest.iter().map(|run| Slow::new(words, run)).collect(),
        })
    }
}

impl Slow {
    fn new(words: Words, run: &PaceRun) -> Self {
        Self {
            name: run.name.clone(),
            path: run.path.clone(),
            runs: run.runs,
            median: time(words, run.median_ms),
            longest: time(words, run.longest_ms),
            delivery: run.delivery.clone(),
        }
    }
}

/// A time in whole seconds, where it has one.
fn time(words: Words, ms: u64) -> String {
    let time = Duration::from_millis(ms);
    span(words, if ms < 1000 { time } else { Duration::from_secs(time.as_secs()) })
}

fn number(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SECONDS)
}

fn date(at: Timestamp) -> String {
    sentry_api::text::time(at).split('T').next().unwrap_or_default().to_owned()
}

/// A part of a height that is to `height` as `part` is to `whole`; something that there was is seen.
fn scale(part: u64, whole: u64, height: usize) -> usize {
    let scaled = u128::from(part) * height as u128 / u128::from(whole.max(1));
    usize::try_from(scaled).unwrap_or(height).clamp(LEAST, height)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample;
    use super::*;

    fn pace(days: &serde_json::Value, failed: usize, deliveries: usize) -> Pace {
        let since = "2025-12-02T00:10:00Z";
        let known = json!({"since": since, "deliveries": deliveries, "failed": failed, "days": days, "slowest": [
            {"name": "e2e", "path": "e2e.yaml", "runs": 7, "median_ms": 61_200, "longest_ms": 300, "delivery": "01k9"},
        ]});
        serde_json::from_value(known).unwrap()
    }

    #[test]
    fn each_day_has_its_place_its_duration_and_its_failures() {
        let day = |day: &str, deliveries: usize, failed: usize, median_ms: u64| json!({"day": day, "deliveries": deliveries, "failed": failed, "median_ms": median_ms});
        let days = json!([
            day("2025-12-03T00:00:00Z", 2, 0, 120_000),
            day("2025-12-31T00:00:00Z", 4, 1, 60_000),
            day("2026-01-01T00:00:00Z", 1, 1, 0),
            day("2025-10-01T00:00:00Z", 1, 0, 1),
        ]);
        let chart = Chart::new(&sample::reader(), &pace(&days, 2, 7)).unwrap();
        let drawn: Vec<_> = chart.days.iter().map(|d| (d.x, d.took, d.fine, d.failed)).collect();
        assert_eq!(
            drawn,
            [(0, 84, 18, 0), (616, 42, 27, 9), (638, 3, 0, 9)],
            "none before the first day"
        );
        assert_eq!(
            chart.days[1].title,
            "2025-12-31: 4 deliveries, 1 failed; half took 1 min at most"
        );
        assert_eq!(
            (chart.about.as_str(), chart.longest.as_str()),
            ("2 of 7 deliveries failed", "2 min")
        );
        assert_eq!(
            (chart.slowest[0].median.as_str(), chart.slowest[0].longest.as_str()),
            ("1 min 1 s", "300 ms")
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing_and_one_is_said_as_one() {
        let reader = sample::reader();
        assert!(Chart::new(&reader, &pace(&json!([]), 0, 0)).is_none());
        let day =
            json!([{"day": "2026-01-01T00:00:00Z", "deliveries": 1, "failed": 0, "median_ms": 1}]);
        let chart = Chart::new(&reader, &pace(&day, 0, 1)).unwrap();
        assert_eq!(chart.about, "0 of 1 delivery failed");
    }
}
