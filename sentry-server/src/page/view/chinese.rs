//! What a Chinese reader is told is Chinese: every page, with every word of the closed lists that answers are made of.

use std::collections::BTreeSet;

use askama::Template;
use sentry_api::shape::{Delivery, History, Show, Status};
use sentry_api::words::{
    Action, BranchState, Cause, ClosedList, DeliveryState, FailureClass, ReasonKind, RunStanding,
    TaskState, Verdict,
};
use serde_json::{Value, json};

use super::delivery::DeliveryPage;
use super::filter::Filter;
use super::history::HistoryFilter;
use super::home::{self, Home};
use super::watch::{Facts, WatchPage};
use super::{Frame, Language, Login, Notice, Reader, Words, sample};
use crate::page::Failed;

/// Names of people, branches, files and kinds, as the samples have them; what is called alike everywhere; and commands.
const ALIKE: &[&str] = &[
    "ada",
    "app",
    "ci",
    "cd",
    "main",
    "product",
    "qa",
    "release",
    "tekton",
    "tests",
    "unit",
    "yaml",
    "Task",
    "PipelineRun",
    "Sentry",
    "English",
    "UTC",
    "webhook",
    "id",
    "sentry",
    "watch",
    "init",
    "validate",
    "online",
    "server",
    "trigger",
    "token",
    "tokens",
    "file",
    "read",
    "openssl",
    "rand",
    "hex",
    "livez",
    "readyz",
    "metrics",
];

fn reader() -> Reader {
    Reader { words: Words(Language::Chinese), ..sample::reader() }
}

fn frame() -> Frame {
    Frame::for_reader("Sentry", "1", &reader())
}

/// Every word of a list; `null` where there may be none.
fn all<T: ClosedList>() -> Vec<Value> {
    T::all().map(|word| json!(word.as_str())).chain([Value::Null]).collect()
}

/// The `n`th, from the beginning again where there are not so many.
fn nth(words: &[Value], n: usize) -> &Value {
    &words[n % words.len()]
}

fn without_nulls(mut value: Value) -> Value {
    value.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    value
}

/// A run of each standing, with a task of each state.
fn runs() -> Value {
    let [standings, classes] = [all::<RunStanding>(), all::<FailureClass>()];
    let [states, actions] = [all::<TaskState>(), all::<Action>()];
    let tasks: Vec<_> = states.iter().filter(|state| !state.is_null()).collect();
    let task = |state: &&Value| json!({"task": "unit", "state": state, "retries": 2, "after": ["ci"], "finally": true});
    let tasks: Vec<_> = tasks.iter().map(task).collect();
    let run = |(n, state): (usize, &Value)| {
        without_nulls(
            json!({"name": "ci", "state": state, "failure": nth(&classes, n), "tasks": tasks,
               "usual_ms": 60_000, "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:09Z"}),
        )
    };
    let object = |n: usize| {
        let action = nth(&actions[..actions.len() - 1], n);
        json!({"path": "ci.yaml", "line": 1, "kind": "PipelineRun", "name": "ci", "run": true, "action": action})
    };
    let standings = &standings[..standings.len() - 1];
    let runs: Vec<_> = standings.iter().enumerate().map(run).collect();
    let objects: Vec<_> = (0..runs.len()).map(object).collect();
    json!({"runs": runs, "objects": objects})
}

/// Deliveries in every state, with every verdict and cause, and with every reason why nothing ran.
fn deliveries() -> Vec<Delivery> {
    let [verdicts, causes, reasons] = [all::<Verdict>(), all::<Cause>(), all::<ReasonKind>()];
    let mut found = Vec::new();
    for state in DeliveryState::all() {
        let nothing = state == DeliveryState::NothingRan;
        for n in 0..if nothing { reasons.len() } else { verdicts.len() } {
            let parts = if n % 2 == 0 { runs() } else { json!({}) };
            let trigger = nth(&causes[..causes.len() - 1], found.len());
            let said = json!({
                "state": state.as_str(), "trigger": trigger, "asked_by": "ada",
                "verdict": nth(&verdicts, n), "nothing_ran": nth(&reasons, n), "repeats": "01", "dry_run": n == 1,
                "finished": state.is_final().then_some("2026-01-01T00:01:05Z"),
                "following_since": "2026-01-01T00:00:30Z", "manifests_revision": "123",
                "commit": {"title": "123", "author": "ada", "at": "2026-01-01T00:00:00Z"},
            });
            found.push(sample::delivery(sample::but(parts, said)));
        }
    }
    found
}

fn branches() -> Vec<Value> {
    let [states, verdicts, reasons] = [all::<BranchState>(), all::<Verdict>(), all::<ReasonKind>()];
    let mut found = Vec::new();
    for (n, state) in states.iter().filter(|state| !state.is_null()).enumerate() {
        for m in 0..reasons.len() {
            let running = m % 2;
            let said = json!({
                "state": state, "branch": format!("{n}{m}"), "verdict": nth(&verdicts, m), "nothing_ran": nth(&reasons, m),
                "runs": {"total": 4 * running, "running": running, "succeeded": running, "failed": running, "cancelled": running},
                "next_attempt": (m % 3 == 0).then_some("2026-01-01T00:12:00Z"),
            });
            found.push(json!(sample::branch(said)));
        }
    }
    found
}

fn status(branches: &[Value]) -> Status {
    let (since, next) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    let pace = json!({"since": since, "deliveries": 3, "failed": 1,
        "days": [{"day": since, "deliveries": 3, "failed": 1, "median_ms": 60_000}],
        "slowest": [{"name": "ci", "path": "ci.yaml", "runs": 3, "median_ms": 1, "longest_ms": 2, "delivery": "01"}]});
    let watch = json!({"name": "qa", "suspended": true, "branches": branches, "waiting_triggers": 2, "idle_patterns": ["123"],
        "suspension": {"since": since, "until": next, "by": "ada"}, "reporting": {"error": "123", "given_up": true},
        "unreachable": {"since": since, "error": "123", "next": next}, "recent": ["failed", "succeeded"], "pace": pace});
    let empty = json!({"name": "cd", "suspended": false, "branches": []});
    let agent = json!({"holder": "h", "started": since, "beat": since, "healthy": true, "health": "123", "forges": []});
    let queue = json!([{"namespace": "qa", "runs": 1}, {"runs": 2}]);
    let said = json!({"version": 1, "watches": [watch, empty], "queue": queue, "agent": agent});
    serde_json::from_value(said).unwrap()
}

fn homes() -> Vec<String> {
    let (reader, places) = (reader(), [sample::place()]);
    let many: Vec<_> = branches().into_iter().cycle().take(300).collect();
    let none = serde_json::from_value(json!({"version": 1, "watches": []})).unwrap();
    let mut pages = Vec::new();
    for status in [&status(&branches()), &status(&many), &status(&[]), &none] {
        for query in ["", "state=quiet", "q=nothing"] {
            let facts = home::Facts { reader: &reader, status, places: &places };
            let frame = frame().with_agent(status.agent.as_ref());
            pages.push(Home::new(frame, facts, Filter::of(query)).render().unwrap());
        }
    }
    pages
}

fn watches() -> Vec<String> {
    let (reader, place) = (reader(), sample::place());
    let history =
        |deliveries| History { version: 1, deliveries, next: Some("01".into()), id_length: 2 };
    let all = [(status(&branches()), history(deliveries())), (status(&[]), history(Vec::new()))];
    let page = |(status, history): &(Status, History), place| {
        let facts = Facts { status: &status.watches[0], history, place, agent: false };
        let filter = HistoryFilter::of("q=1&before=01");
        WatchPage::new(frame(), &reader, facts, filter).render().unwrap()
    };
    all.iter().flat_map(|one| [page(one, Some(&place)), page(one, None)]).collect()
}

fn shows() -> Vec<String> {
    let steps = ["inspect", "resolve", "fetch", "compare", "check", "apply"];
    let step =
        |name: &&str| json!({"step": name, "started": "2026-01-01T00:00:00Z", "took_ms": 1500});
    let steps: Vec<_> = steps.iter().map(step).collect();
    let counted = json!({"state": "failed", "verdict": "failure", "runs": {"total": 2, "running": 0, "succeeded": 1, "failed": 1}});
    let more = |delivery: &Delivery| {
        json!({"steps": steps, "attempts": 3, "notes": ["123"], "superseded_by": "123", "manifests_branch": "main",
               "next_attempt": "2026-01-01T00:12:00Z", "asked_for": {"event": "123", "run": "ci"},
               "cancelled": {"by": "ada", "at": "2026-01-01T00:00:00Z"}, "before": {"delivery": "01", "revision": "123"},
               "same_commit": [delivery, delivery], "counted": counted})
    };
    let page = |show: &Show| {
        DeliveryPage::new(frame(), &reader(), show, Some(&sample::place())).render().unwrap()
    };
    let pages =
        |one: &Delivery| [page(&sample::show(one, more(one))), page(&sample::show(one, json!({})))];
    deliveries().iter().flat_map(pages).collect()
}

/// What somebody reads or is read to of a page: its text, and those attributes that are text.
fn told(page: &str) -> String {
    let mut all = String::new();
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        for name in ["title=\"", "aria-label=\"", "placeholder=\""] {
            let value = tag.split_once(name).and_then(|(_, rest)| rest.split('"').next());
            all.push_str(&format!(" {} ", value.unwrap_or_default()));
        }
        all.push_str(&format!(" {text} "));
    }
    all
}

#[test]
fn no_page_says_an_english_word_to_a_chinese_reader() {
    let words = Words(Language::Chinese);
    let lines = ["closed-why", "closed-remedy", "closed-health"].map(|key| words.prose(key));
    let closed = Notice {
        frame: frame(),
        heading: words.say("closed-title"),
        lines: lines.into(),
        onward: None,
    };
    let failed = Notice::of_error(words, Failed { heading: "error-later", lines: Vec::new() });
    let login = Login {
        frame: frame(),
        words,
        problem: Some(words.say("login-wrong")),
        then: String::new(),
    };
    let mut pages =
        vec![closed.render().unwrap(), failed.render().unwrap(), login.render().unwrap()];
    for (more, least) in [(homes(), 12), (watches(), 4), (shows(), 90)] {
        assert!(more.len() >= least, "{}", more.len());
        pages.extend(more);
    }
    let mut english = BTreeSet::new();
    for page in pages {
        let told = told(&page);
        let words = told.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
        english.extend(words.filter(|word| !ALIKE.contains(word)).map(str::to_owned));
    }
    assert!(english.is_empty(), "{english:?}");
}
