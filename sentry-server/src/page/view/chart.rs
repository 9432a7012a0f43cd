//! Deliveries and how long they took, as bars.

use std::time::Duration;

use askama::Template;
use sentry_api::shape::Delivery;

use super::delivery::{state, took};
use super::{Moment, Reader, Tone, span};

/// A drawing: the oldest delivery on the left.
#[derive(Debug, Template)]
#[template(path = "part/chart.html")]
pub(crate) struct Chart {
    bars: Vec<Bar>,
    width: usize,
    height: usize,
    /// What is drawn, in words.
    pub(crate) about: String,
    pub(crate) longest: String,
    pub(crate) first: Moment,
}

#[derive(Debug, PartialEq, Eq)]
struct Bar {
    tone: Tone,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    title: String,
}

impl Bar {
    /// Failures wear a mark above their bar, so that colour is not the only sign.
    fn mark(&self) -> Option<(usize, usize)> {
        (self.tone == Tone::Bad).then(|| (self.x + self.width / 2, self.y.saturating_sub(4)))
    }
}

/// The measures of a chart, in its own units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// At most so many bars.
    pub(crate) bars: usize,
    pub(crate) bar: usize,
    pub(crate) gap: usize,
    pub(crate) height: usize,
}

/// On a watch's own page.
pub(crate) const LARGE: Size = Size { bars: 50, bar: 10, gap: 4, height: 130 };
/// Room for the mark of a failure.
const HEAD: usize = 8;
/// So high is the shortest delivery.
const LEAST: usize = 3;

impl Chart {
    /// Of these deliveries, newest first; `None` where there are none.
    pub(crate) fn new(reader: &Reader, deliveries: &[Delivery], size: Size) -> Option<Self> {
        let (words, now) = (reader.words, reader.now);
        let shown: Vec<_> = deliveries.iter().take(size.bars).rev().collect();
        let first = Moment::new(reader, shown.first()?.started);
        let times: Vec<Duration> = shown.iter().map(|delivery| took(delivery, now)).collect();
        let longest = times.iter().copied().max().unwrap_or_default();
        // New deliveries come in from the right: few of them leave the left side empty.
        let left = (size.bars - shown.len()) * (size.bar + size.gap);
        let bars = shown.iter().zip(&times).enumerate().map(|(n, (delivery, time))| {
            let state = state(words, delivery);
            let height = scale(*time, longest, size.height - HEAD - LEAST) + LEAST;
            Bar {
                tone: state.tone,
                x: left + n * (size.bar + size.gap),
                y: size.height - height,
                width: size.bar,
                height,
                title: format!("{}: {}, {}", delivery.branch, state.word, span(words, *time)),
            }
        });
        let failed = shown.iter().filter(|d| state(words, d).tone == Tone::Bad).count();
        let about = format!(
            "The last {}: {} failed, the longest took {}",
            sentry_api::text::count(shown.len(), "delivery").replace("deliverys", "deliveries"),
            if failed == 0 { "none".to_owned() } else { failed.to_string() },
            span(words, longest)
        );
        let width = size.bars * (size.bar + size.gap) - size.gap;
        let bars = bars.collect();
        Some(Self { bars, width, height: size.height, about, longest: span(words, longest), first })
    }
}

/// A part of a height that is to `height` as `time` is to `longest`.
fn scale(time: Duration, longest: Duration, height: usize) -> usize {
    let part = time.as_millis() * height as u128 / longest.as_millis().max(1);
    usize::try_from(part).unwrap_or(height).min(height)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample;
    use super::*;

    fn took(seconds: u32, state: &str) -> Delivery {
        let finished = format!("2026-01-01T00:00:{seconds:02}Z");
        sample::delivery(json!({"state": state, "finished": finished}))
    }

    #[test]
    fn bars_stand_from_the_oldest_to_the_newest_each_as_high_as_it_took_long() {
        let size = Size { bars: 4, bar: 10, gap: 4, height: 111 };
        let newest_first = [took(20, "succeeded"), took(40, "failed"), took(0, "succeeded")];
        let chart = Chart::new(&sample::reader(), &newest_first, size).unwrap();
        let drawn: Vec<_> = chart.bars.iter().map(|b| (b.x, b.y, b.width, b.height)).collect();
        // The place of the fourth is empty, on the left; room is left for the mark above the highest.
        assert_eq!(drawn, [(14, 108, 10, 3), (28, 8, 10, 103), (42, 58, 10, 53)]);
        assert_eq!((chart.width, chart.height), (52, 111));
        let marks: Vec<_> = chart.bars.iter().map(Bar::mark).collect();
        assert_eq!(marks, [None, Some((33, 4)), None]);
        let titles: Vec<_> = chart.bars.iter().map(|bar| bar.title.as_str()).collect();
        assert_eq!(
            titles,
            ["main: succeeded, 0 ms", "main: failed, 40 s", "main: succeeded, 20 s"]
        );
        assert_eq!(chart.about, "The last 3 deliveries: 1 failed, the longest took 40 s");
        assert_eq!((chart.longest.as_str(), chart.first.said.as_str()), ("40 s", "10 min ago"));
    }

    #[test]
    fn a_chart_shows_the_newest_and_none_where_there_is_no_delivery() {
        let reader = sample::reader();
        let many: Vec<_> = (0..60).map(|n| took(n, "succeeded")).collect();
        let chart = Chart::new(&reader, &many, LARGE).unwrap();
        assert_eq!((chart.bars.len(), chart.bars[0].x, chart.longest.as_str()), (50, 0, "49 s"));
        assert_eq!(chart.about, "The last 50 deliveries: none failed, the longest took 49 s");
        let one = Chart::new(&reader, &many[..1], LARGE).unwrap();
        assert_eq!(one.about, "The last 1 delivery: none failed, the longest took 0 ms");
        assert_eq!(one.bars[0].height, LEAST);
        assert!(Chart::new(&reader, &[], LARGE).is_none());
    }
}
