//! Event → person: a live line per delivery on a terminal, log lines elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sentry_core::delivery::{DeliveryId, DeliveryState};
use sentry_core::event::{Event, EventKind};
use sentry_core::plan::{Action, ObjectOutcome};
use sentry_core::revision::Revision;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::{debug, error, info, warn};

use crate::ui::{Tone, count, count_of, plain, span, tinted};

/// Shows events while some work goes on, all of those that it sent included.
pub(crate) async fn during<T>(
    events: &mut Receiver<Event>,
    reporter: &mut Reporter,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => reporter.show(&event),
                Err(RecvError::Lagged(missed)) => lagged(missed),
                Err(RecvError::Closed) => break work.await,
            },
            done = &mut work => break done,
        }
    };
    loop {
        match events.try_recv() {
            Ok(event) => reporter.show(&event),
            Err(TryRecvError::Lagged(missed)) => lagged(missed),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    reporter.clear();
    done
}

fn lagged(missed: u64) {
    warn!(missed, "events came faster than they could be shown; `sentry history` has them all");
}

/// Where events go.
#[derive(Debug)]
pub(crate) enum Reporter {
    /// Log lines.
    Log,
    /// Live lines.
    Live(Live),
}

impl Reporter {
    pub(crate) fn show(&mut self, event: &Event) {
        match self {
            Self::Log => log(&event.kind),
            Self::Live(live) => live.show(&event.kind),
        }
    }

    fn clear(&mut self) {
        if let Self::Live(live) = self {
            live.clear();
        }
    }
}

/// One line per delivery under way, and one that says that we watch.
#[derive(Debug)]
pub(crate) struct Live {
    lines: MultiProgress,
    idle: ProgressBar,
    deliveries: HashMap<DeliveryId, (String, ProgressBar)>,
}

impl Live {
    pub(crate) fn new(lines: MultiProgress) -> Self {
        let idle = lines.add(ProgressBar::new_spinner());
        idle.set_style(style("{spinner:.dim} {msg:.dim}"));
        Self { lines, idle, deliveries: HashMap::new() }
    }

    fn show(&mut self, event: &EventKind) {
        match event {
            EventKind::Started { watches } => {
                self.idle
                    .set_message(format!("watching {}", count_of(*watches, "watch", "watches")));
                self.idle.enable_steady_tick(Duration::from_millis(120));
            }
            EventKind::DeliveryStarted { id, watch, revision, attempt, .. } => {
                let label = format!("{watch}  {}", brief(revision));
                let line = self.lines.insert_before(&self.idle, ProgressBar::new_spinner());
                line.set_style(style("{spinner:.cyan} {msg}"));
                line.set_message(match attempt {
                    0 | 1 => format!("{label}  starting"),
                    again => format!("{label}  starting, attempt {again}"),
                });
                line.enable_steady_tick(Duration::from_millis(120));
                self.deliveries.insert(id.clone(), (label, line));
            }
            EventKind::DeliveryStep { id, state, .. } => {
                if let Some((label, line)) = self.deliveries.get(id) {
                    line.set_message(format!("{label}  {}", state.as_str()));
                }
            }
            EventKind::DeliveryRetrying { id, .. } | EventKind::DeliverySettled { id, .. } => {
                if let Some((_, line)) = self.deliveries.remove(id) {
                    line.finish_and_clear();
                    self.lines.remove(&line);
                }
                self.say(event);
            }
            EventKind::Polled { .. } => debug_log(event),
            _ => self.say(event),
        }
    }

    fn say(&self, event: &EventKind) {
        let Some(text) = line(event) else { return };
        let colors = anstream::stderr().current_choice() != anstream::ColorChoice::Never;
        let text = if colors { text } else { anstream::adapter::strip_str(&text).to_string() };
        self.lines.println(text).ok();
    }

    fn clear(&mut self) {
        self.deliveries.clear();
        self.idle.finish_and_clear();
        self.lines.clear().ok();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// `main 1a2b3c4d`: for a line that a person reads now; the whole id is in the logs and in `sentry show`.
fn brief(revision: &Revision) -> String {
    format!("{} {}", revision.branch, revision.sha.short())
}

/// An event as one line for a person, with a sign that says how it is meant; `None` if it is of no interest.
pub(crate) fn line(event: &EventKind) -> Option<String> {
    let (sign, tone, text) = match event {
        EventKind::Baseline { watch, revision, why } => (
            "·",
            Tone::Quiet,
            format!("{watch}  {}  recorded as the baseline ({why})", brief(revision)),
        ),
        EventKind::Change { watch, revision, from } => {
            let from = from.as_ref().map(|s| format!(", was {}", s.short())).unwrap_or_default();
            ("→", Tone::Busy, format!("{watch}  {}  is new{from}", brief(revision)))
        }
        EventKind::BranchGone { watch, branch } => {
            ("·", Tone::Quiet, format!("{watch}  {branch}  is gone"))
        }
        EventKind::NotStarted { watch, revision, reason, .. } => {
            ("·", Tone::Quiet, format!("{watch}  {}  not started: {reason}", brief(revision)))
        }
        EventKind::DeliveryRetrying { watch, revision, error, wait, .. } => (
            "!",
            Tone::Bad,
            format!("{watch}  {}  tried again in {}: {error}", brief(revision), span(*wait)),
        ),
        EventKind::DeliverySettled { .. } => return settled_line(event),
        EventKind::TriggerAnswered { watch, answer: Err(why), .. } => {
            ("✗", Tone::Bad, format!("{watch}  trigger rejected: {why}"))
        }
        other => return forge_line(other),
    };
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

fn forge_line(event: &EventKind) -> Option<String> {
    let (sign, tone, text) = match event {
        EventKind::ForgeUnreachable { forge, error, wait, .. } => {
            ("!", Tone::Bad, format!("{forge}  asked again in {}: {error}", span(*wait)))
        }
        EventKind::ForgeRecovered { forge, repo, after } => {
            ("✓", Tone::Good, format!("{forge}  {repo} answers again after {}", span(*after)))
        }
        EventKind::RepoRenamed { from, to } => {
            ("!", Tone::Busy, format!("{from} is {to} now: change the configuration"))
        }
        EventKind::StateUnavailable { error } => {
            ("✗", Tone::Bad, format!("state can't be written, nothing advances: {error}"))
        }
        EventKind::Stopping => ("·", Tone::Quiet, "stopping".to_owned()),
        _ => return None,
    };
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

fn settled_line(event: &EventKind) -> Option<String> {
    let EventKind::DeliverySettled {
        watch, revision, state, objects, took, error, dry_run, ..
    } = event
    else {
        return None;
    };
    let (sign, tone) = match state {
        DeliveryState::Succeeded => ("✓", Tone::Good),
        DeliveryState::Superseded => ("·", Tone::Quiet),
        _ => ("✗", Tone::Bad),
    };
    let word = if *state == DeliveryState::Succeeded { "delivered" } else { state.as_str() };
    let dry = if *dry_run { " (dry run, nothing written)" } else { "" };
    let what = if objects.is_empty() { String::new() } else { format!(": {}", tally(objects)) };
    let error = error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
    let text = format!("{watch}  {}  {word}{dry}{what} in {}{error}", brief(revision), span(*took));
    Some(format!("{} {}", tinted(sign, tone), plain(&text)))
}

/// `2 created, 1 unchanged`, in the order of the words.
pub(crate) fn tally(objects: &[ObjectOutcome]) -> String {
    let words = [
        Action::Created,
        Action::Configured,
        Action::Unchanged,
        Action::Exists,
        Action::Skipped,
        Action::Failed,
    ];
    let parts = words.iter().filter_map(|word| {
        let number = objects.iter().filter(|o| o.action == *word).count();
        (number > 0).then(|| format!("{number} {}", word.as_str()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// An event as a log line: whole SHAs, one field per fact.
fn log(event: &EventKind) {
    match event {
        EventKind::Started { watches } => info!(watches, "started"),
        EventKind::Baseline { watch, revision, why } => {
            info!(%watch, %revision, why, "baseline recorded, nothing delivered");
        }
        EventKind::Change { watch, revision, from } => {
            info!(%watch, %revision, from = from.as_ref().map(tracing::field::display), "change");
        }
        EventKind::BranchGone { watch, branch } => info!(%watch, %branch, "branch is gone"),
        EventKind::NotStarted { watch, revision, reason, detail } => {
            info!(%watch, %revision, %reason, detail, "not started");
        }
        EventKind::TriggerAnswered { trigger, watch, answer: Ok(delivery) } => {
            info!(%watch, %trigger, %delivery, "trigger taken");
        }
        EventKind::TriggerAnswered { trigger, watch, answer: Err(why) } => {
            error!(%watch, %trigger, why, "trigger rejected");
        }
        EventKind::StateUnavailable { error } => {
            error!(error, "state can't be written: nothing advances until it can");
        }
        EventKind::Stopping => info!("stopping: no new work is taken"),
        EventKind::Polled { .. } => debug_log(event),
        _ => {
            log_delivery(event);
            log_forge(event);
        }
    }
}

fn log_delivery(event: &EventKind) {
    match event {
        EventKind::DeliveryStarted { id, watch, revision, cause, attempt } => {
            let cause = cause.as_str();
            info!(%watch, %revision, delivery = %id, cause, attempt, "delivery started");
        }
        EventKind::DeliveryStep { id, watch, state } => {
            debug!(%watch, delivery = %id, state = state.as_str(), "delivery goes on");
        }
        EventKind::DeliveryRetrying { id, watch, revision, error, wait, counted } => {
            let wait = span(*wait);
            warn!(%watch, %revision, delivery = %id, wait, counted, error, "delivery is retried");
        }
        EventKind::DeliverySettled { .. } => log_settled(event),
        _ => {}
    }
}

fn log_settled(event: &EventKind) {
    let EventKind::DeliverySettled {
        id,
        watch,
        revision,
        state,
        manifests,
        objects,
        took,
        error,
        dry_run,
        ..
    } = event
    else {
        return;
    };
    let manifests = manifests.as_ref().map(tracing::field::display);
    let (objects, took_ms) = (tally(objects), millis(*took));
    match state {
        DeliveryState::Succeeded | DeliveryState::Superseded => info!(
            %watch, %revision, delivery = %id, manifests, objects, took_ms, dry_run, error,
            "{}", settled_word(*state)
        ),
        _ => error!(
            %watch, %revision, delivery = %id, manifests, objects, took_ms, dry_run, error,
            "{}", settled_word(*state)
        ),
    }
}

fn settled_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Succeeded => "delivered",
        DeliveryState::Superseded => "superseded by a newer head",
        DeliveryState::Parked => "parked: nothing more is tried until something changes",
        _ => "delivery failed",
    }
}

fn log_forge(event: &EventKind) {
    match event {
        EventKind::ForgeUnreachable { forge, repo, error, wait } => {
            warn!(forge, %repo, wait = span(*wait), error, "forge does not answer");
        }
        EventKind::ForgeRecovered { forge, repo, after } => {
            info!(forge, %repo, after = span(*after), "forge answers again");
        }
        EventKind::RepoRenamed { from, to } => {
            warn!(%from, %to, "repository was renamed: change the configuration");
        }
        _ => {}
    }
}

/// As a number that JSON has.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn debug_log(event: &EventKind) {
    if let EventKind::Polled { forge, answered, failed, took } = event {
        debug!(forge, answered, failed, took_ms = millis(*took), "polled");
    }
}

/// `3 objects: 1 created, 2 unchanged`.
pub(crate) fn objects_line(objects: &[ObjectOutcome]) -> String {
    format!("{}: {}", count(objects.len(), "object"), tally(objects))
}
