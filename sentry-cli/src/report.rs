//! Event → person: a live line per delivery on a terminal, log lines elsewhere.

mod line;
mod log;
mod progress;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sentry_api::shape::Run;
use sentry_api::words::{Action, RunStanding, RunState, Word};
use sentry_core::event::{Event, EventKind};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::warn;

use self::line::{brief, line, progress_line};
use self::log::{log, log_progress};
pub(crate) use self::progress::Progress;
use self::progress::Step;
use crate::ui::{count, count_of};

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
        match (Progress::of(&event.kind), self) {
            (Some(progress), reporter) => reporter.tell(&progress),
            (None, Self::Log) => log(&event.kind),
            (None, Self::Live(live)) => live.show(&event.kind),
        }
    }

    /// What becomes of a delivery, whoever carries it.
    pub(crate) fn tell(&mut self, progress: &Progress) {
        match self {
            Self::Log => log_progress(progress),
            Self::Live(live) => live.tell(progress),
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
    deliveries: HashMap<String, LiveDelivery>,
}

/// A delivery under way.
#[derive(Debug)]
struct LiveDelivery {
    label: String,
    line: ProgressBar,
    runs: BTreeMap<String, Word<RunStanding>>,
}

impl LiveDelivery {
    fn say(&self, text: &str) {
        self.line.set_message(format!("{}  {text}", self.label));
    }

    /// `following, 2 runs ended, 1 of them failed`. How many there are in all no event tells.
    fn say_runs(&mut self, run: &Run) {
        self.runs.insert(run.name.clone(), run.state);
        let ended = self.runs.values().filter(|state| state.is(RunStanding::is_ended)).count();
        let is_failed = |state: &&Word<RunStanding>| **state == RunStanding::As(RunState::Failed);
        let failed = match self.runs.values().filter(is_failed).count() {
            0 => String::new(),
            number => format!(", {number} of them failed"),
        };
        self.say(&format!("following, {} ended{failed}", count(ended, "run")));
    }
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
            EventKind::RunsQueued { id, queued, limit, .. } => {
                if let Some(delivery) = self.deliveries.get(id.as_str()) {
                    delivery.say(&waiting(*queued, *limit));
                }
            }
            EventKind::DeliveryRetrying { id, .. } => {
                self.end(id.as_str());
                self.say(line(event));
            }
            EventKind::Polled { .. } => log(event),
            _ => self.say(line(event)),
        }
    }

    fn tell(&mut self, progress: &Progress) {
        let Progress { id, watch, step } = progress;
        match step {
            Step::Started { revision, attempt, .. } => {
                self.start(id, format!("{watch}  {}", brief(revision)), *attempt);
            }
            Step::Reached(state) => {
                if let Some(delivery) = self.deliveries.get(id) {
                    delivery.say(state.as_str());
                }
            }
            Step::Run { revision, run, .. } => {
                // One that was under way when we started has no line yet.
                if !self.deliveries.contains_key(id) {
                    self.start(id, format!("{watch}  {}", brief(revision)), 1);
                }
                if let Some(delivery) = self.deliveries.get_mut(id) {
                    delivery.say_runs(run);
                }
            }
            Step::Settled(_) => self.end(id),
        }
        self.say(progress_line(progress));
    }

    fn start(&mut self, id: &str, label: String, attempt: u32) {
        let line = self.lines.insert_before(&self.idle, ProgressBar::new_spinner());
        line.set_style(style("{spinner:.cyan} {msg}"));
        line.enable_steady_tick(Duration::from_millis(120));
        let delivery = LiveDelivery { label, line, runs: BTreeMap::new() };
        delivery.say(&match attempt {
            0 | 1 => "starting".to_owned(),
            again => format!("starting, attempt {again}"),
        });
        if let Some(earlier) = self.deliveries.insert(id.to_owned(), delivery) {
            self.lines.remove(&earlier.line);
        }
    }

    /// Takes away a delivery's line.
    fn end(&mut self, id: &str) {
        if let Some(delivery) = self.deliveries.remove(id) {
            delivery.line.finish_and_clear();
            self.lines.remove(&delivery.line);
        }
    }

    fn say(&self, text: Option<String>) {
        let Some(text) = text else { return };
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

/// `2 created, 1 unchanged`, in the order of the words.
fn tally(objects: &[Word<Action>]) -> String {
    let words = [
        Action::Created,
        Action::Configured,
        Action::Unchanged,
        Action::Exists,
        Action::Queued,
        Action::Skipped,
        Action::Failed,
    ];
    let parts = words.iter().filter_map(|word| {
        let number = objects.iter().filter(|action| **action == *word).count();
        (number > 0).then(|| format!("{number} {}", word.as_str()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `3 objects: 1 created, 2 unchanged`.
pub(crate) fn objects_line(objects: &[Word<Action>]) -> String {
    format!("{}: {}", count(objects.len(), "object"), tally(objects))
}

/// `3 runs queued: the namespace is limited to 20`.
fn waiting(queued: usize, limit: u32) -> String {
    let runs =
        if queued == 1 { "1 run queued".to_owned() } else { format!("{queued} runs queued") };
    format!("{runs}: the namespace is limited to {limit}")
}
