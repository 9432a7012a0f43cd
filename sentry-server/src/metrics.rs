//! `/metrics` in OpenMetrics. Labels have only values that the configuration or a closed list names: no branch, no
//! commit. Every series is there from the start, so that rates see its first step.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sentry_core::clock::{Clock, Timestamp};
use sentry_core::delivery::RunState;
use sentry_core::engine::{Engine, Vitals};
use sentry_core::store::{Archive, Overview, OverviewQuery, SubjectFilter};
use sentry_core::watch::Watch;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::figures::{Waiting, figures, queues};
use crate::guesses::Guesses;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// However often it is asked for, the state is read this often at most.
const FRESH: Duration = Duration::from_secs(1);

/// How deliveries end: `tests_failed` where a run failed, `failed` where something could not be done.
pub(crate) const OUTCOMES: [&str; 7] =
    ["succeeded", "nothing_ran", "tests_failed", "failed", "superseded", "parked", "dry_run"];
/// The steps of a delivery (`sentry_core::delivery::StepTiming`).
const STEPS: [&str; 6] = ["inspect", "resolve", "fetch", "compare", "check", "apply"];
/// What becomes of a webhook.
const WEBHOOKS: [&str; 12] = [
    "hint",
    "unwatched",
    "ping",
    "repeated",
    "ignored",
    "unverified",
    "unreadable",
    "unavailable",
    "too_large",
    "too_slow",
    "broken",
    "busy",
];

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Whole = Family<Labels<1>, Gauge<u64, AtomicU64>>;
type Real = Family<Labels<1>, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// All that is counted and measured.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) guesses: Guesses,
    polls: Counters<2>,
    poll_age: Real,
    requests: Counters<2>,
    budget_left: Whole,
    budget_reset: Real,
    changed: Histograms,
    oldest: Real,
    steps: Histograms,
    deliveries: Counters<2>,
    queue: Whole,
    retries: Counters<1>,
    parked: Whole,
    runs: Counters<2>,
    last_success: Real,
    webhooks: Counters<2>,
    writable: Gauge<u64, AtomicU64>,
    size: Gauge<u64, AtomicU64>,
    lagged: Counter,
    notifications: Counters<2>,
    reloads: Counters<1>,
    reloaded: Gauge<u64, AtomicU64>,
    members: Gauge<u64, AtomicU64>,
    slots: Gauge<u64, AtomicU64>,
    unowned: Gauge<u64, AtomicU64>,
}

/// From the push being seen to the last object being acknowledged: seconds to an hour.
fn minutes() -> Histogram {
    Histogram::new([1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0])
}

/// One step: milliseconds to minutes.
fn moments() -> Histogram {
    Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0])
}

fn watch_label(watch: &impl fmt::Display) -> Labels<1> {
    [("watch", watch.to_string())]
}

fn reload_label(taken: bool) -> Labels<1> {
    [("result", if taken { "taken" } else { "refused" }.to_owned())]
}

impl Metrics {
    pub(crate) fn new(engine: &Engine, version: &str, guesses: Guesses) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sentry"),
            guesses,
            polls: Family::default(),
            poll_age: Family::default(),
            requests: Family::default(),
            budget_left: Family::default(),
            budget_reset: Family::default(),
            changed: Family::new_with_constructor(minutes),
            oldest: Family::default(),
            steps: Family::new_with_constructor(moments),
            deliveries: Family::default(),
            queue: Family::default(),
            retries: Family::default(),
            parked: Family::default(),
            runs: Family::default(),
            last_success: Family::default(),
            webhooks: Family::default(),
            writable: Gauge::default(),
            size: Gauge::default(),
            lagged: Counter::default(),
            notifications: Family::default(),
            reloads: Family::default(),
            reloaded: Gauge::default(),
            members: Gauge::default(),
            slots: Gauge::default(),
            unowned: Gauge::default(),
        };
        metrics.name(version);
        metrics.reloaded.set(1);
        metrics.begin(&engine.watches());
        metrics
    }

    /// Goes on with another configuration: what is counted stays, what is measured belongs to watches and forges that
    /// may be gone.
    pub(crate) fn go_on(&self, engine: &Engine) {
        for whole in [&self.budget_left, &self.queue, &self.parked] {
            whole.clear();
        }
        for real in [&self.poll_age, &self.budget_reset, &self.oldest, &self.last_success] {
            real.clear();
        }
        self.begin(&engine.watches());
    }

    /// Another configuration was taken, or refused.
    pub(crate) fn config_reloaded(&self, taken: bool) {
        self.reloads.get_or_create(&reload_label(taken)).inc();
        self.reloaded.set(u64::from(taken));
    }

    /// The file is again as it was taken.
    pub(crate) fn config_is_as_taken(&self) {
        self.reloaded.set(1);
    }

    /// A receiver was notified, or could not be.
    pub(crate) fn notification(&self, receiver: &str, told: bool) {
        let result = if told { "told" } else { "failed" };
        let labels = [("receiver", receiver.to_owned()), ("result", result.to_owned())];
        self.notifications.get_or_create(&labels).inc();
    }

    /// Gives every metric its name, its unit and what it means.
    fn name(&mut self, version: &str) {
        let (seconds, bytes) = (|| Unit::Seconds, || Unit::Bytes);
        let r = &mut self.registry;
        r.register("polls", "Polls for heads, by result", self.polls.clone());
        let help = "How late the forge's poll loop is, by the repository that has waited longest";
        r.register_with_unit("poll_lateness", help, seconds(), self.poll_age.clone());
        let help = "Requests to the forge, by class of response status";
        r.register("forge_requests", help, self.requests.clone());
        let help = "Requests that the forge still allows, as last reported";
        r.register("forge_rate_limit_remaining", help, self.budget_left.clone());
        let help = "Time until the forge allows its full number of requests again";
        r.register_with_unit("forge_rate_limit_reset", help, seconds(), self.budget_reset.clone());
        let help = "Time from seeing a change to its last object being acknowledged";
        r.register_with_unit("change_to_delivered", help, seconds(), self.changed.clone());
        let help = "How long the oldest head that is neither delivered nor parked has waited";
        r.register_with_unit("oldest_undelivered_head_age", help, seconds(), self.oldest.clone());
        let help = "Durations of the steps of delivery attempts";
        r.register_with_unit("step_duration", help, seconds(), self.steps.clone());
        r.register("deliveries", "Deliveries that ended, by outcome", self.deliveries.clone());
        let help = "Runs queued until the namespace has room";
        r.register("queue_length", help, self.queue.clone());
        let help = "Attempts that failed and will be retried";
        r.register("retries", help, self.retries.clone());
        let help = "Heads parked until something changes or somebody retries them";
        r.register("parked", help, self.parked.clone());
        let help = "Runs of deliveries that ended, by result";
        r.register("runs", help, self.runs.clone());
        let help = "Unix time when a head was last delivered";
        r.register_with_unit("last_success_timestamp", help, seconds(), self.last_success.clone());
        r.register("webhooks", "Webhooks, by result", self.webhooks.clone());
        let help = "Wrong tokens and signatures, by where they were tried";
        r.register("guesses", help, self.guesses.counted());
        let help = "1 if the last write of the state succeeded, else 0";
        r.register("state_writable", help, self.writable.clone());
        r.register_with_unit("state_size", "Size of the state", bytes(), self.size.clone());
        let help =
            "Events that came faster than they could be counted, and are missing from counters";
        r.register("events_lagged", help, self.lagged.clone());
        let help = "Attempts to notify a receiver, by result";
        r.register("notifications", help, self.notifications.clone());
        let help = "Changed configurations, by result";
        r.register("config_reloads", help, self.reloads.clone());
        let help = "1 if the last configuration seen is the one in use, else 0";
        r.register("config_last_reload_successful", help, self.reloaded.clone());
        self.name_fleet();
        let build = Info::new(vec![("version", version.to_owned())]);
        self.registry.register("build", "The running program", build);
    }

    fn name_fleet(&mut self) {
        let r = &mut self.registry;
        let help = "Live agents that share the state";
        r.register("members", help, self.members.clone());
        let help = "Slots of a shared state that this agent works for";
        r.register("slots_owned", help, self.slots.clone());
        let help = "Watches of a shared state that no agent works for";
        r.register("watches_unowned", help, self.unowned.clone());
    }

    /// Makes every series that may come be there.
    fn begin(&self, watches: &[&Watch]) {
        for watch in watches {
            let of_watch = |word: &str, label: &'static str| {
                [("watch", watch.name.to_string()), (label, word.to_owned())]
            };
            for outcome in OUTCOMES {
                drop(self.deliveries.get_or_create(&of_watch(outcome, "outcome")));
            }
            for state in RunState::ALL.iter().filter(|state| state.is_final()) {
                drop(self.runs.get_or_create(&of_watch(state.as_str(), "outcome")));
            }
            drop(self.retries.get_or_create(&watch_label(&watch.name)));
            drop(self.changed.get_or_create(&watch_label(&watch.name)));
            for result in ["answered", "failed"] {
                self.polled(&watch.source.forge, result, 0);
            }
        }
        for receiver in watches.iter().flat_map(|watch| &watch.notify) {
            for result in ["told", "failed"] {
                let labels =
                    [("receiver", receiver.receiver.clone()), ("result", result.to_owned())];
                drop(self.notifications.get_or_create(&labels));
            }
        }
        for taken in [true, false] {
            drop(self.reloads.get_or_create(&reload_label(taken)));
        }
        for step in STEPS {
            drop(self.steps.get_or_create(&[("step", step.to_owned())]));
        }
        self.writable.set(1);
    }

    pub(crate) fn polled(&self, forge: &str, result: &str, times: usize) {
        let labels = [("forge", forge.to_owned()), ("result", result.to_owned())];
        self.polls.get_or_create(&labels).inc_by(times as u64);
    }

    pub(crate) fn change_delivered(&self, watch: &impl fmt::Display, took: f64) {
        self.changed.get_or_create(&watch_label(watch)).observe(took.max(0.0));
    }

    pub(crate) fn step(&self, step: &str, took: Duration) {
        if STEPS.contains(&step) {
            self.steps.get_or_create(&[("step", step.to_owned())]).observe(took.as_secs_f64());
        }
    }

    pub(crate) fn delivery(&self, watch: &impl fmt::Display, outcome: &'static str) {
        let labels = [("watch", watch.to_string()), ("outcome", outcome.to_owned())];
        self.deliveries.get_or_create(&labels).inc();
    }

    pub(crate) fn run(&self, watch: &impl fmt::Display, state: RunState) {
        let labels = [("watch", watch.to_string()), ("outcome", state.as_str().to_owned())];
        self.runs.get_or_create(&labels).inc();
    }

    pub(crate) fn retry(&self, watch: &impl fmt::Display) {
        self.retries.get_or_create(&watch_label(watch)).inc();
    }

    pub(crate) fn lagged(&self, missed: u64) {
        self.lagged.inc_by(missed);
    }

    /// Makes a forge's webhooks be counted.
    pub(crate) fn expect_webhooks(&self, forge: &str) {
        for result in WEBHOOKS {
            let labels = [("forge", forge.to_owned()), ("result", result.to_owned())];
            drop(self.webhooks.get_or_create(&labels));
        }
    }

    pub(crate) fn webhook(&self, forge: &str, result: &'static str) {
        let labels = [("forge", forge.to_owned()), ("result", result.to_owned())];
        self.webhooks.get_or_create(&labels).inc();
    }

    fn show_state(&self, watches: &[&Watch], read: &Read, now: Timestamp) {
        for (watch, figures) in figures(watches, &read.overview, &read.waiting, now) {
            let label = watch_label(&watch);
            self.oldest.get_or_create(&label).set(figures.oldest);
            self.parked.get_or_create(&label).set(figures.parked.into());
            if let Some(at) = figures.last_success {
                self.last_success.get_or_create(&label).set(at);
            }
        }
        let fleet = read.overview.fleet.as_ref();
        let (members, unowned) = fleet.map_or((0, 0), |it| (it.members.len(), it.unowned.len()));
        self.members.set(members as u64);
        self.unowned.set(unowned as u64);
        for (namespace, length) in queues(watches, &read.overview) {
            self.queue.get_or_create(&[("namespace", namespace)]).set(length as u64);
        }
    }

    /// `before` is what the forges' requests were when this engine came: its own counters begin at 0.
    fn show_vitals(&self, vitals: &Vitals, before: &mut Before, now: Timestamp) {
        self.writable.set(u64::from(vitals.unwritable.is_none()));
        self.slots.set(vitals.slots as u64);
        for (forge, requests) in &vitals.requests {
            for (class, number) in requests.by_class() {
                let labels = [("forge", forge.clone()), ("status", class.to_owned())];
                let counter = self.requests.get_or_create(&labels);
                let before = *before.entry((forge.clone(), class)).or_insert(counter.get());
                counter.inc_by((before + number).saturating_sub(counter.get()));
            }
        }
        for poll_loop in &vitals.agent.loops {
            let label = [("forge", poll_loop.forge.clone())];
            let late = vitals.late(poll_loop) + vitals.silent.saturating_sub(vitals.pace);
            self.poll_age.get_or_create(&label).set(late.as_secs_f64());
            let Some(budget) = poll_loop.budget else { continue };
            self.budget_left.get_or_create(&label).set(budget.left);
            if let Some(reset) = budget.reset {
                let left = reset.duration_since(now).as_secs_f64().max(0.0);
                self.budget_reset.get_or_create(&label).set(left);
            }
        }
    }
}

/// Requests by forge and class of status.
type Before = std::collections::BTreeMap<(String, &'static str), u64>;

/// What was last read from the store.
#[derive(Debug, Default)]
struct Read {
    before: Before,
    at: Option<Instant>,
    overview: Overview,
    waiting: Waiting,
}

/// What answers `/metrics`.
#[derive(Debug)]
pub(crate) struct Scrape {
    metrics: Arc<Metrics>,
    engine: Engine,
    archive: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    state_dir: Option<PathBuf>,
    read: Mutex<Read>,
}

impl Scrape {
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        engine: Engine,
        archive: Arc<dyn Archive>,
        clock: Arc<dyn Clock>,
        state_dir: Option<PathBuf>,
    ) -> Self {
        Self { metrics, engine, archive, clock, state_dir, read: Mutex::default() }
    }

    async fn text(&self) -> Result<String, fmt::Error> {
        let mut read = self.read.lock().await;
        if read.at.is_none_or(|at| at.elapsed() >= FRESH) {
            // What can't be read now stays as it was: a head that waited then grows older all the same.
            let subjects = SubjectFilter::Unsettled;
            let unsettled = OverviewQuery { subjects, ..OverviewQuery::default() };
            match self.archive.overview(&unsettled).await {
                Ok(overview) => {
                    read.waiting.look(&overview.subjects);
                    read.overview = overview;
                }
                Err(error) => tracing::debug!(%error, "the state can't be read for metrics"),
            }
            if let Some(size) = self.state_dir.as_deref().and_then(size_of) {
                self.metrics.size.set(size);
            }
            read.at = Some(Instant::now());
        }
        let now = self.clock.now();
        self.metrics.show_state(&self.engine.watches(), &read, now);
        if let Some(vitals) = self.engine.vitals() {
            self.metrics.show_vitals(&vitals, &mut read.before, now);
        }
        let mut text = String::new();
        text::encode(&mut text, &self.metrics.registry)?;
        Ok(text)
    }
}

/// The bytes of the files in a directory; they are few, and below them there is nothing.
fn size_of(dir: &Path) -> Option<u64> {
    let files = std::fs::read_dir(dir).ok()?.flatten();
    let sizes = files.filter_map(|file| file.metadata().ok()).filter(|m| m.is_file());
    Some(sizes.map(|m| m.len()).sum())
}

pub(crate) async fn serve(
    State(scrape): State<Arc<Scrape>>,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    let text = scrape.text().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text))
}
