//! A delivery's steps, one after the other.

use std::time::Duration;

use sentry_api::shape::{RunTotals, Show, Step};
use sentry_api::words::DeliveryState;
use sentry_api::words::Word::{self, Known};

use super::super::{Moment, Reader, Tone, Words, span};
use super::{cause, state};

/// One step of the timeline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) tone: Tone,
    pub(crate) name: String,
    pub(crate) detail: Option<String>,
    pub(crate) at: Option<Moment>,
    /// How long it took, and what part of the whole that is, in hundredths.
    pub(crate) took: Option<(String, u128)>,
}

impl Stop {
    fn new(tone: Tone, name: impl Into<String>) -> Self {
        Self { tone, name: name.into(), detail: None, at: None, took: None }
    }
}

/// From the start of a delivery to its end, or to what is waited for.
pub(crate) fn timeline(reader: &Reader, show: &Show) -> Vec<Stop> {
    let delivery = &show.delivery;
    let followed = delivery.following_since.map(|since| {
        let end = delivery.finished.unwrap_or(reader.now);
        Duration::try_from(end.duration_since(since)).unwrap_or_default()
    });
    let steps: u64 = show.steps.iter().map(|step| step.took_ms).sum();
    let whole = u128::from(steps) + followed.unwrap_or_default().as_millis();
    let part =
        |time: Duration| (span(reader.words, time), (time.as_millis() * 100 / whole.max(1)).max(1));

    let mut stops = vec![begun(reader, show)];
    stops.extend(show.steps.iter().map(|step| {
        let took = Some(part(Duration::from_millis(step.took_ms)));
        Stop { took, ..Stop::new(Tone::Good, what(reader.words, step)) }
    }));
    if let Some(last) = stops.last_mut().filter(|_| stopped_early(show)) {
        last.tone = Tone::Bad;
    }
    let totals = RunTotals::of_answer(delivery);
    if let Some(time) = followed.filter(|_| totals.total > 0) {
        let tone = match (delivery.finished, totals.failed) {
            (None, _) => Tone::Busy,
            (Some(_), 0) => Tone::Good,
            (Some(_), _) => Tone::Bad,
        };
        let key = if delivery.finished.is_none() { "step-runs" } else { "step-runs-ended" };
        let name = reader.words.say(key);
        stops.push(Stop { took: Some(part(time)), ..Stop::new(tone, name) });
    } else if let Some(key) = doing(delivery.state) {
        stops.push(Stop::new(Tone::Busy, reader.words.say(key)));
    }
    stops.extend(end(reader, show));
    stops
}

fn begun(reader: &Reader, show: &Show) -> Stop {
    let (words, delivery) = (reader.words, &show.delivery);
    let name = cause(words, delivery.trigger);
    let at = Some(Moment::new(reader, delivery.started));
    let detail = (show.attempts > 1).then(|| words.put("attempt", "n", show.attempts));
    Stop { at, detail, ..Stop::new(Tone::Quiet, name) }
}

/// A step that this server has no words for is told by its own name.
fn what(words: Words, step: &Step) -> String {
    words.say(match step.step.as_str() {
        "inspect" => "step-inspect",
        "resolve" => "step-resolve",
        "fetch" => "step-fetch",
        "compare" => "step-compare",
        "check" => "step-check",
        "apply" => "step-apply",
        other => return other.to_owned(),
    })
}

/// An attempt that failed did so at its last step.
fn stopped_early(show: &Show) -> bool {
    let delivery = &show.delivery;
    let failed = matches!(delivery.state, Known(DeliveryState::Failed | DeliveryState::Parked))
        || (delivery.state == DeliveryState::Pending && delivery.error.is_some());
    failed && delivery.verdict.is_none() && !show.steps.is_empty()
}

fn doing(state: Word<DeliveryState>) -> Option<&'static str> {
    match state {
        Known(DeliveryState::Fetching) => Some("state-fetching"),
        Known(DeliveryState::Checking) => Some("state-checking"),
        Known(DeliveryState::Applying) => Some("state-applying"),
        Known(DeliveryState::Following) => Some("state-running"),
        _ => None,
    }
}

fn end(reader: &Reader, show: &Show) -> Option<Stop> {
    let delivery = &show.delivery;
    if let Some(finished) = delivery.finished {
        let state = state(reader.words, delivery);
        let cancelled =
            show.cancelled.as_ref().filter(|_| delivery.state == DeliveryState::Cancelled);
        let superseded = show.superseded_by.as_deref().map(sentry_api::text::short);
        let by = cancelled.map_or(superseded, |cancelled| cancelled.by.as_deref());
        let detail = by.map(|by| reader.words.put("ended-by", "by", by));
        let at = Some(Moment::new(reader, finished));
        return Some(Stop { at, detail, ..Stop::new(state.tone, state.word) });
    }
    if delivery.state != DeliveryState::Pending {
        return None;
    }
    let key = if show.next_attempt.is_some() { "next-attempt" } else { "state-waiting" };
    let name = reader.words.say(key);
    let at = show.next_attempt.map(|at| Moment::new(reader, at));
    Some(Stop { at, ..Stop::new(Tone::Wait, name) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::sample;
    use super::*;

    /// Each stop as one line: tone, name, detail, how long, what part, when.
    fn lines(show: &Show) -> Vec<String> {
        let line = |stop: Stop| {
            let took = stop.took.map(|(time, part)| format!("{time} = {part}"));
            let at = stop.at.map(|at| at.said);
            let more =
                stop.detail.into_iter().chain(took).chain(at).map(|text| format!(" | {text}"));
            format!("{} {}{}", stop.tone.as_str(), stop.name, more.collect::<String>())
        };
        timeline(&sample::reader(), show).into_iter().map(line).collect()
    }

    fn steps(of: &[(&str, u64)]) -> Value {
        let step = |(name, ms): &(&str, u64)| json!({"step": name, "started": "2026-01-01T00:00:00Z", "took_ms": ms});
        json!({"steps": of.iter().map(step).collect::<Vec<_>>()})
    }

    fn delivered() -> Value {
        steps(&[
            ("inspect", 1),
            ("resolve", 1_000),
            ("fetch", 5_000),
            ("compare", 2_000),
            ("check", 7_000),
            ("apply", 4_999),
            ("of a newer agent", 1_000),
        ])
    }

    #[test]
    fn a_timeline_tells_each_step_with_its_part_of_the_whole_and_how_the_runs_ended() {
        let said = json!({
            "state": "succeeded", "following_since": "2026-01-01T00:00:21Z",
            "finished": "2026-01-01T00:01:40Z",
        });
        let delivery = sample::with_runs(&["succeeded"], said.clone());
        let told = lines(&sample::show(&delivery, delivered()));
        let wanted = [
            "quiet a new commit | 10 min ago",
            "good Read the commit | 1 ms = 1",
            "good Found the manifests' branch | 1 s = 1",
            "good Fetched the manifests | 5 s = 5",
            "good Compared what changed | 2 s = 2",
            "good Checked every document | 7 s = 7",
            "good Wrote the objects | 4.9 s = 4",
            "good of a newer agent | 1 s = 1",
            "good Runs ended | 1 min 19 s = 79",
            "good succeeded | 8 min ago",
        ];
        assert_eq!(told, wanted);
        let failed = sample::with_runs(&["failed", "succeeded"], said.clone());
        let told = lines(&sample::show(&failed, steps(&[])));
        assert_eq!(told[1], "bad Runs ended | 1 min 19 s = 100");
        // Where nothing ran there is nothing to tell of runs.
        let told = lines(&sample::show(&sample::delivery(said), steps(&[])));
        assert_eq!(told, ["quiet a new commit | 10 min ago", "good succeeded | 8 min ago"]);
    }

    #[test]
    fn a_timeline_ends_with_what_goes_on_or_is_waited_for() {
        let last = |said: Value, more: Value| {
            let told = lines(&sample::show(&sample::delivery(said), more));
            told.last().unwrap().clone()
        };
        for (state, wanted) in [
            ("fetching", "busy fetching"),
            ("checking", "busy checking"),
            ("applying", "busy applying"),
            ("following", "busy running"),
            ("pending", "wait waiting"),
        ] {
            assert_eq!(last(json!({"state": state}), json!({})), wanted);
        }
        let next = json!({"next_attempt": "2026-01-01T00:12:00Z"});
        assert_eq!(last(json!({"state": "pending"}), next), "wait next attempt | in 2 min");
        let runs = json!({"state": "following", "following_since": "2026-01-01T00:09:00Z"});
        let runs = sample::with_runs(&["running", "queued"], runs);
        let told = lines(&sample::show(&runs, steps(&[("apply", 60_000)])));
        assert_eq!(told.last().unwrap(), "busy Runs in progress | 1 min = 50");
        let newer = json!({"superseded_by": "ffffffffffffffff"});
        let ended = json!({"state": "superseded", "finished": "2026-01-01T00:09:59Z"});
        assert_eq!(last(ended, newer), "quiet superseded | by ffffffff | just now");
    }

    #[test]
    fn an_attempt_that_failed_did_so_at_its_last_step() {
        let tone = |said: Value, done: &[(&str, u64)]| {
            let told =
                timeline(&sample::reader(), &sample::show(&sample::delivery(said), steps(done)));
            (told[0].tone, told[done.len()].tone)
        };
        let done = [("fetch", 10), ("check", 20)];
        for said in [
            json!({"state": "failed"}),
            json!({"state": "parked"}),
            json!({"state": "pending", "error": "no"}),
        ] {
            assert_eq!(tone(said.clone(), &done), (Tone::Quiet, Tone::Bad), "{said}");
            assert_eq!(tone(said, &[]), (Tone::Quiet, Tone::Quiet), "it never came to a step");
        }
        for said in [
            json!({"state": "failed", "verdict": "failure"}),
            json!({"state": "pending"}),
            json!({"state": "applying", "error": "of the attempt before"}),
        ] {
            assert_eq!(tone(said.clone(), &done), (Tone::Quiet, Tone::Good), "{said}");
        }
    }

    #[test]
    fn a_timeline_begins_with_why_and_with_which_attempt() {
        for (trigger, wanted) in [
            ("change", "a new commit"),
            ("manifests", "new manifests"),
            ("manual", "requested by hand"),
            ("webhook", "requested by a webhook"),
            ("rerun", "new runs, requested by hand"),
            ("of a newer agent", "an unknown cause"),
        ] {
            let delivery = sample::delivery(json!({"trigger": trigger}));
            let first = |attempts: u32| {
                lines(&sample::show(&delivery, json!({"attempts": attempts}))).swap_remove(0)
            };
            assert_eq!(first(1), format!("quiet {wanted} | 10 min ago"));
            assert_eq!(first(2), format!("quiet {wanted} | attempt 2 | 10 min ago"));
        }
    }
}
