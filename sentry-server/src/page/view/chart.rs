//! Deliveries and how long they took, as bars.

use std::time::Duration;

use askama::Template;
use sentry_api::shape::Delivery;
use sentry_core::clock::Timestamp;

use super::delivery::{state, took};
use super::{Moment, Tone, span};

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
    /// Failures wear a mark above their bar, so that colour is not all that tells them.
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

/// Beside a watch.
pub(crate) const SMALL: Size = Size { bars: 24, bar: 6, gap: 3, height: 44 };
/// On a watch's own page.
pub(crate) const LARGE: Size = Size { bars: 50, bar: 10, gap: 4, height: 130 };
/// Room for the mark of a failure.
const HEAD: usize = 8;
/// So high is the shortest delivery.
const LEAST: usize = 3;

impl Chart {
    /// Of these deliveries, newest first; `None` where there are none.
    pub(crate) fn new(deliveries: &[Delivery], now: Timestamp, size: Size) -> Option<Self> {
        let shown: Vec<_> = deliveries.iter().take(size.bars).rev().collect();
        let first = Moment::new(now, shown.first()?.started);
        let times: Vec<Duration> = shown.iter().map(|delivery| took(delivery, now)).collect();
        let longest = times.iter().copied().max().unwrap_or_default();
        // New deliveries come in from the right: few of them leave the left side empty.
        let left = (size.bars - shown.len()) * (size.bar + size.gap);
        let bars = shown.iter().zip(&times).enumerate().map(|(n, (delivery, time))| {
            let state = state(delivery);
            let height = scale(*time, longest, size.height - HEAD - LEAST) + LEAST;
            Bar {
                tone: state.tone,
                x: left + n * (size.bar + size.gap),
                y: size.height - height,
                width: size.bar,
                height,
                title: format!("{}: {}, {}", delivery.branch, state.word, span(*time)),
            }
        });
        let failed = shown.iter().filter(|d| state(d).tone == Tone::Bad).count();
        let about = format!(
            "The last {}: {} failed, the longest took {}",
            sentry_api::text::count(shown.len(), "delivery").replace("deliverys", "deliveries"),
            if failed == 0 { "none".to_owned() } else { failed.to_string() },
            span(longest)
        );
        let width = size.bars * (size.bar + size.gap) - size.gap;
        let bars = bars.collect();
        Some(Self { bars, width, height: size.height, about, longest: span(longest), first })
    }
}

/// A part of a height that is to `height` as `time` is to `longest`.
fn scale(time: Duration, longest: Duration, height: usize) -> usize {
    let part = time.as_millis() * height as u128 / longest.as_millis().max(1);
    usize::try_from(part).unwrap_or(height).min(height)
}
