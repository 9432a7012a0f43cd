//! `sentry history` and `sentry show`: what was delivered when, by whom, with which objects, how long it took.

use sentry_core::clock::Timestamp;
use sentry_core::delivery::{Delivery, DeliveryState, Selection};
use sentry_core::plan::Action;
use sentry_core::store::{DeliveryQuery, StateStore};

use super::Context;
use crate::args::{HistoryArgs, ShowArgs, id_prefix};
use crate::exit::{Exit, Failure};
use crate::json;
use crate::runs::{self, Totals, verdict_tone};
use crate::ui::{Rows, Tone, Ui, age, ahead, count, plain, span, time, tinted};

pub(crate) async fn history(ctx: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    let state = ctx.state_to_read()?;
    let query = DeliveryQuery {
        watch: args.watch.clone(),
        limit: Some(args.limit),
        ..DeliveryQuery::default()
    };
    let deliveries = match &state.store {
        Some(store) => store.deliveries(&query).await?,
        None => Vec::new(),
    };
    if args.output.is_json() {
        let deliveries = deliveries.iter().map(json::DeliveryJson::from).collect();
        ctx.ui.json(&json::History { version: json::VERSION, deliveries })?;
    } else if deliveries.is_empty() {
        ctx.ui.line(format!("no deliveries in {} yet", state.dir.display()));
    } else {
        ctx.ui.table(&table(&deliveries, ctx.now()));
    }
    Ok(Exit::Done)
}

fn table(deliveries: &[Delivery], now: Timestamp) -> Rows {
    let mut rows = Rows::new(&[
        "delivery", "watch", "branch", "commit", "trigger", "state", "started", "took", "objects",
        "runs",
    ]);
    for delivery in deliveries {
        let dry = if delivery.dry_run { " (dry run)" } else { "" };
        let state = format!("{}{dry}", delivery.state.as_str());
        let started = format!("{} ago", age(now, delivery.started));
        let took = delivery.finished.map_or_else(String::new, |end| took(delivery.started, end));
        rows.row([
            (delivery.id.as_str(), Tone::Plain),
            (delivery.watch.as_str(), Tone::Plain),
            (delivery.revision.branch.as_str(), Tone::Plain),
            (delivery.revision.sha.short(), Tone::Plain),
            (delivery.cause.as_str(), Tone::Quiet),
            (&state, tone(delivery.state)),
            (&started, Tone::Quiet),
            (&took, Tone::Quiet),
            (&summary(delivery), Tone::Plain),
            (&runs_words(delivery), Totals::of(delivery).tone()),
        ]);
    }
    rows
}

/// Of a dry run nothing runs.
fn runs_words(delivery: &Delivery) -> String {
    if delivery.dry_run { String::new() } else { Totals::of(delivery).words() }
}

fn took(started: Timestamp, finished: Timestamp) -> String {
    span(finished.duration_since(started).unsigned_abs())
}

/// `12 of 14` acknowledged objects.
fn summary(delivery: &Delivery) -> String {
    let all = delivery.objects.len();
    let done = delivery.objects.iter().filter(|o| o.action.is_acknowledged()).count();
    match all {
        0 => "-".to_owned(),
        all if all == done => all.to_string(),
        all => format!("{done} of {all}"),
    }
}

pub(crate) fn tone(state: DeliveryState) -> Tone {
    match state {
        DeliveryState::Succeeded => Tone::Good,
        DeliveryState::Failed | DeliveryState::Parked => Tone::Bad,
        DeliveryState::Superseded => Tone::Quiet,
        _ => Tone::Busy,
    }
}

pub(crate) fn action_tone(action: Action) -> Tone {
    match action {
        Action::Created | Action::Configured => Tone::Good,
        Action::Queued => Tone::Busy,
        Action::Failed => Tone::Bad,
        _ => Tone::Quiet,
    }
}

pub(crate) async fn show(ctx: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let store = ctx.state_to_read()?.store.ok_or_else(|| no_delivery(&args.delivery))?;
    let delivery = find(store.as_ref(), &args.delivery).await?;
    if args.output.is_json() {
        ctx.ui.json(&show_json(&delivery))?;
    } else {
        show_text(&ctx.ui, &delivery, ctx.now());
    }
    Ok(Exit::Done)
}

/// The delivery that an id, or the beginning of one, means.
pub(crate) async fn find(store: &dyn StateStore, text: &str) -> Result<Delivery, Failure> {
    let prefix = id_prefix(text).map_err(Failure::usage)?;
    let query =
        DeliveryQuery { id_prefix: Some(prefix), limit: Some(2), ..DeliveryQuery::default() };
    let mut found = store.deliveries(&query).await?;
    match (found.pop(), found.pop()) {
        (Some(delivery), None) => Ok(delivery),
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "more than one delivery's id starts with {text}: {} and {}",
            other.id, one.id
        ))
        .with_hint("write more of it")),
        (None, _) => Err(no_delivery(text)),
    }
}

fn no_delivery(text: &str) -> Failure {
    Failure::usage(format!("no delivery {text} is kept in this state"))
        .with_hint("`sentry history` lists them")
}

fn show_json(delivery: &Delivery) -> json::Show {
    json::Show {
        version: json::VERSION,
        delivery: json::DeliveryJson::with_messages(delivery),
        attempts: attempts(delivery),
        next_attempt: delivery.next_attempt.map(|at| at.to_string()),
        superseded_by: delivery.superseded_by.as_ref().map(ToString::to_string),
        steps: delivery.steps.iter().map(Into::into).collect(),
        notes: delivery.notes.clone(),
    }
}

/// Attempts so far: the failed ones, and the one that succeeded or works now.
fn attempts(delivery: &Delivery) -> u32 {
    let waits = delivery.state == DeliveryState::Pending;
    // With a verdict the attempts went well, whatever its runs came to.
    let gave_up = matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked)
        && delivery.verdict.is_none();
    delivery.tries + u32::from(!waits && !gave_up)
}

pub(crate) fn show_text(ui: &Ui, delivery: &Delivery, now: Timestamp) {
    let word = tinted(delivery.state.as_str(), tone(delivery.state));
    let dry = if delivery.dry_run { ", a dry run" } else { "" };
    ui.line(format!("delivery   {}", delivery.id));
    ui.line(format!("state      {word}{dry}"));
    ui.line(format!("watch      {}", delivery.watch));
    ui.line(format!("commit     {}", delivery.revision));
    if let Some(intent) = &delivery.intent {
        let manifests = &intent.manifests;
        let branch = &intent.manifests_branch;
        ui.line(format!("manifests  {branch}@{}:{manifests}", manifests.algorithm()));
    }
    ui.line(format!("trigger    {}", delivery.cause.as_str()));
    ui.line(format!("started    {} ({} ago)", time(delivery.started), age(now, delivery.started)));
    if let Some(asked) = selection(&delivery.selection) {
        ui.line(format!("asked for  {}", plain(&asked)));
    }
    if let Some(since) = delivery.following_since.filter(|_| !delivery.state.is_final()) {
        ui.line(format!("following  {} (for {})", time(since), age(now, since)));
    }
    if let Some(end) = delivery.finished {
        ui.line(format!("finished   {} (took {})", time(end), took(delivery.started, end)));
    }
    ui.line(format!("attempts   {}", attempts(delivery)));
    if let Some(at) = delivery.next_attempt {
        ui.line(format!("next       {} ({})", time(at), ahead(now, at)));
    }
    if let Some(by) = &delivery.superseded_by {
        ui.line(format!("superseded by {by}"));
    }
    if let Some(verdict) = delivery.verdict {
        let word = tinted(verdict.as_str(), verdict_tone(verdict));
        ui.line(format!("verdict    {word}: {}", runs_words(delivery)));
    }
    if let Some(error) = &delivery.error {
        ui.line(format!("error      {}", tinted(&plain(error), Tone::Bad)));
    }
    show_steps(ui, delivery);
    show_objects(ui, delivery);
    show_runs(ui, delivery);
    for note in &delivery.notes {
        ui.line(format!("note: {}", plain(note)));
    }
}

fn show_steps(ui: &Ui, delivery: &Delivery) {
    if delivery.steps.is_empty() {
        return;
    }
    let steps = delivery.steps.iter().map(|s| format!("{} {}", s.step, span(s.took)));
    ui.line(format!("steps      {}", steps.collect::<Vec<_>>().join(", ")));
}

fn show_objects(ui: &Ui, delivery: &Delivery) {
    if delivery.objects.is_empty() {
        return;
    }
    ui.line(format!("\n{}", count(delivery.objects.len(), "object")));
    ui.table(&objects(delivery.objects.iter()));
}

/// `event nightly, run smoke`; `None` where nothing special was asked for.
fn selection(selection: &Selection) -> Option<String> {
    let event = selection.event.as_ref().map(|event| format!("event {event}"));
    let run = selection.run.as_ref().map(|run| format!("run {run}"));
    let parts: Vec<String> = event.into_iter().chain(run).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Each run and how it stands; below, what those that did not succeed say of themselves.
fn show_runs(ui: &Ui, delivery: &Delivery) {
    let outcomes: Vec<_> = delivery.objects.iter().filter(|o| o.run).collect();
    if outcomes.is_empty() || delivery.dry_run {
        return;
    }
    ui.line(format!("\n{}", count(outcomes.len(), "run")));
    let mut rows = Rows::new(&["state", "kind", "name", "reason", "ended"]);
    let mut messages = Vec::new();
    for outcome in outcomes {
        let word = runs::word(delivery, outcome);
        let record = runs::record(delivery, outcome);
        let reason = record.and_then(|run| run.reason.as_ref()).or(outcome.reason.as_ref());
        let ended = record.and_then(|run| run.completed).map(time).unwrap_or_default();
        rows.row([
            (word, runs::word_tone(word)),
            (&outcome.object.kind, Tone::Plain),
            (&outcome.object.name, Tone::Plain),
            (reason.map(String::as_str).unwrap_or_default(), Tone::Plain),
            (&ended, Tone::Quiet),
        ]);
        let message = record.and_then(|run| run.message.as_ref());
        messages.extend(message.map(|text| format!("{}: {text}", outcome.object.name)));
    }
    ui.table(&rows);
    for message in messages {
        ui.line(plain(&message));
    }
}

/// A table of objects and what became of them.
pub(crate) fn objects<'a>(
    outcomes: impl Iterator<Item = &'a sentry_core::plan::ObjectOutcome>,
) -> Rows {
    let mut rows = Rows::new(&["action", "kind", "name", "file", "reason"]);
    for outcome in outcomes {
        let object = &outcome.object;
        let file = format!("{}:{}", object.path, object.line);
        rows.row([
            (outcome.action.as_str(), action_tone(outcome.action)),
            (&object.kind, Tone::Plain),
            (&object.name, Tone::Plain),
            (&file, Tone::Quiet),
            (outcome.reason.as_deref().unwrap_or_default(), Tone::Plain),
        ]);
    }
    rows
}
