//! Answers of the API, as the tests of the views want them: what isn't said is as it is for most.

use sentry_api::shape::{BranchStatus, Delivery, Show, WatchStatus};
use sentry_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{Reader, Words};
use crate::page::link::{Repository, WatchPlace, Web};

/// Ten minutes after deliveries of the samples start.
pub(crate) const NOW: &str = "2026-01-01T00:10:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// For somebody who may act.
pub(crate) fn reader() -> Reader {
    let (form_token, nonce) = ("f".to_owned(), "n".to_owned());
    Reader {
        words: Words::default(),
        now: now(),
        form_token,
        may_act: true,
        may_approve: true,
        nonce,
    }
}

pub(crate) fn place() -> WatchPlace {
    let repository = |path: &str| {
        let web = Web {
            commits: &["commit"],
            compare: &["compare"],
            base: "https://github.com".parse().unwrap(),
        };
        Repository { path: path.to_owned(), web: Some(web) }
    };
    WatchPlace {
        name: "qa".to_owned(),
        source: repository("product/app"),
        branches: vec!["main".to_owned(), "release/*".to_owned()],
        manifests: repository("qa/tests"),
        dir: ".tekton".to_owned(),
        target: "qa".to_owned(),
        dashboard: None,
    }
}

/// `known`, with what is said otherwise.
pub(crate) fn but(mut known: Value, said: Value) -> Value {
    if let (Some(known), Value::Object(said)) = (known.as_object_mut(), said) {
        known.extend(said);
    }
    known
}

/// A run for each of these words, as parts of a delivery.
pub(crate) fn runs(states: &[&str]) -> Value {
    let object = |state: &&str| {
        let action = if *state == "queued" { "queued" } else { "created" };
        json!({"path": "a.yaml", "kind": "PipelineRun", "name": "ci", "run": true, "action": action})
    };
    let run = |state: &&str| json!({"name": "ci", "state": state});
    let objects: Vec<_> = states.iter().map(object).collect();
    json!({"objects": objects, "runs": states.iter().map(run).collect::<Vec<_>>()})
}

/// A delivery of which `said` is said.
pub(crate) fn delivery(said: Value) -> Delivery {
    let known = json!({
        "id": "01k9", "watch": "qa", "branch": "main", "trigger": "change", "state": "succeeded",
        "revision": "1a2b3c4d5e6f", "started": "2026-01-01T00:00:00Z", "objects": [], "runs": [],
    });
    serde_json::from_value(but(known, said)).unwrap()
}

/// A delivery with these runs, of which `said` is said.
pub(crate) fn with_runs(states: &[&str], said: Value) -> Delivery {
    delivery(but(runs(states), said))
}

/// What is shown of a delivery.
pub(crate) fn show(delivery: &Delivery, said: Value) -> Show {
    let known =
        json!({"version": 1, "delivery": delivery, "attempts": 1, "steps": [], "notes": []});
    serde_json::from_value(but(known, said)).unwrap()
}

pub(crate) fn branch(said: Value) -> BranchStatus {
    let mark =
        |minute| json!({"sha": "1a2b3c4d5e6f", "at": format!("2026-01-01T00:0{minute}:00Z")});
    let known = json!({
        "branch": "main", "state": "delivered", "observed": mark(1), "attempted": mark(2),
        "delivered": mark(3), "runs": {"total": 0, "running": 0, "succeeded": 0, "failed": 0},
    });
    serde_json::from_value(but(known, said)).unwrap()
}

pub(crate) fn watch(said: Value) -> WatchStatus {
    let known = json!({"name": "qa", "suspended": false, "branches": []});
    serde_json::from_value(but(known, said)).unwrap()
}
