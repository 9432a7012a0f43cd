//! Whether the agent lives (`/livez`: restart it if not) and whether it can do its work (`/readyz`).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use sentry_core::engine::{Engine, Vitals};
use sentry_core::names::WatchName;
use serde_json::{Value, json};
use tokio::time::Instant;

/// A poll loop may be late by so many of its intervals.
const INTERVALS: u32 = 3;
/// However short the interval: a forge that hangs is given up by its own deadlines first, and no restart helps.
const LATE: Duration = Duration::from_secs(120);
/// However often the engine says that it turns: a slow disk is no reason to restart.
const SILENT: Duration = Duration::from_secs(30);
/// So long may an engine take to read its state at the start.
const START: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) struct Health {
    engine: Engine,
    since: Instant,
}

impl Health {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, since: Instant::now() }
    }

    /// Why it should be started again; nothing if it lives.
    fn ills(&self) -> Vec<String> {
        let Some(vitals) = self.engine.vitals() else {
            let waited = self.since.elapsed();
            let text = format!("the engine has not started for {} s", waited.as_secs());
            return (waited > START).then_some(text).into_iter().collect();
        };
        let mut ills = Vec::new();
        if vitals.silent > SILENT.max(vitals.pace * INTERVALS) {
            ills.push(format!("the engine loop has not run for {} s", vitals.silent.as_secs()));
        }
        for poll_loop in &vitals.agent.loops {
            let late = vitals.late(poll_loop);
            if late > LATE.max(poll_loop.interval * INTERVALS) {
                let (forge, late) = (&poll_loop.forge, late.as_secs());
                let every = poll_loop.interval.as_secs();
                ills.push(format!("forge {forge} is polled every {every} s and is {late} s late"));
            }
        }
        ills
    }
}

/// 200 `alive`, or 503 and one reason a line.
pub(crate) async fn livez(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let ills = health.ills();
    if ills.is_empty() {
        return (StatusCode::OK, "alive\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, ills.join("\n") + "\n")
}

/// 200 or 503, with what is missing and, of each watch that this process works for, the age of its last answer. A process that
/// shares its state and has nothing to work for now is ready.
pub(crate) async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    let vitals = health.engine.vitals();
    let is_own = |name: &WatchName| vitals.as_ref().is_none_or(|v| v.watches.contains(name));
    let watches = health.engine.watches();
    let own = watches.iter().map(|watch| &watch.name).filter(|name| is_own(name));
    let names: Vec<&str> = own.map(WatchName::as_str).collect();
    let reasons = reasons(vitals.as_ref(), &names);
    let watches = names.iter().map(|name| {
        let asked = vitals.as_ref().and_then(|v| v.asked.iter().find(|(n, _)| n.as_str() == *name));
        let age = |age: Option<Duration>| age.map(|age| age.as_secs());
        let row = json!({
            "name": name,
            "asked_seconds_ago": age(asked.map(|(_, a)| a.ended)),
            "answered_seconds_ago": age(asked.and_then(|(_, a)| a.answered)),
        });
        row
    });
    let ready = reasons.is_empty();
    let body = json!({"ready": ready, "reasons": reasons, "watches": watches.collect::<Vec<_>>()});
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body))
}

fn reasons(vitals: Option<&Vitals>, watches: &[&str]) -> Vec<String> {
    let Some(vitals) = vitals else { return vec!["the engine has not started yet".to_owned()] };
    let mut reasons = Vec::new();
    if vitals.unwritable.is_some() {
        // The error names files of this machine: it is in the log and in `sentry status`, not for everybody.
        reasons.push("the state can't be written: see the log".to_owned());
    }
    let waiting: Vec<&str> = watches
        .iter()
        .filter(|name| !vitals.asked.keys().any(|asked| asked.as_str() == **name))
        .copied()
        .collect();
    if !waiting.is_empty() {
        reasons.push(format!("not polled yet: {}", waiting.join(", ")));
    }
    reasons
}
