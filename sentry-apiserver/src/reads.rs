//! Lists, watches and logs.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Answer, Call, Target};
use super::state::{State, text};
use super::watch::{Watched, too_old};

fn bad_selector() -> Answer {
    Answer::error(400, "BadRequest", "unable to parse requirement: the label selector is wrong")
}

/// A list, in pages where a limit is asked for. A page goes on after the last name of the one before.
pub(super) fn list(state: &State, target: &Target, call: &Call) -> Answer {
    let Some(selector) = call.selector() else { return bad_selector() };
    let token = call.query.get("continue").and_then(|token| token.split_once(' '));
    let revision = match token.map(|(revision, _)| revision.parse().unwrap_or(0)) {
        Some(revision) if revision < state.oldest => return too_old(revision, state.oldest),
        Some(revision) => revision,
        None => state.revision_number(),
    };
    let name = |object: &Value| {
        format!("{}/{}", text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
    };
    let after = token.map(|(_, last)| last.to_owned());
    let mut items = state.list(&target.kind.resource(), target.space());
    items.retain(|object| after.as_ref().is_none_or(|last| name(object) > *last));
    items.retain(|object| selector.matches(object));
    let limit = call.number("limit").filter(|limit| *limit > 0);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let more = items.len().saturating_sub(limit);
    items.truncate(limit);
    let next = items.last().filter(|_| more > 0).map(|last| format!("{revision} {}", name(last)));
    Answer::ok(json!({
        "kind": format!("{}List", target.kind.kind), "apiVersion": target.kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string(), "continue": next}, "items": items,
    }))
}

pub(super) fn watch(target: Target, call: &Call) -> Answer {
    let Some(selector) = call.selector() else { return bad_selector() };
    let timeout = Duration::from_secs(call.number("timeoutSeconds").unwrap_or(1800));
    let since = call.number("resourceVersion").filter(|since| *since > 0);
    let bookmarks = call.on("allowWatchBookmarks");
    let watched = Watched { target, selector, since, bookmarks, timeout };
    Answer { watch: Some(watched), ..Answer::ok(Value::Null) }
}

/// What a container wrote: its last lines, then no more than so many bytes.
pub(super) fn log(state: &State, target: &Target, call: &Call, pod: &str) -> Answer {
    let container = call.query.get("container").cloned().unwrap_or_default();
    let key = (target.namespace.clone(), pod.to_owned(), container);
    let Some(log) = state.logs.get(&key) else { return target.not_found(pod) };
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let tail = call.number("tailLines").and_then(|tail| usize::try_from(tail).ok());
    let mut text = lines[lines.len().saturating_sub(tail.unwrap_or(usize::MAX))..].concat();
    if let Some(limit) = call.number("limitBytes").and_then(|limit| usize::try_from(limit).ok()) {
        text = String::from_utf8_lossy(&text.as_bytes()[..limit.min(text.len())]).into_owned();
    }
    Answer::ok(Value::String(text))
}
