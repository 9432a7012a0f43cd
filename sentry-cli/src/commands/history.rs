//! `sentry history` and `sentry show`: what was delivered when, by whom, with which objects, how long it took.

use std::time::Duration;

use sentry_api::query::HistoryQuery;
use sentry_api::shape::{AskedFor, Delivery, History, Object, RunTotals, Show, Step};
use sentry_api::text::{revision, short};
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_api::words::{Action, DeliveryState};
use sentry_core::clock::Timestamp;

use super::Context;
use super::status::joined;
use crate::args::OutputArg;
use crate::args::questions::{HistoryArgs, ShowArgs};
use crate::exit::{Exit, Failure};
use crate::runs::{state_tone, totals_tone, verdict_tone};
use crate::table::{Column, Rows, end, folded, middle, whole, wide_only};
use crate::ui::{Tone, Ui, age, ahead, count, plain, span, time, tinted};

pub(crate) async fn history(ctx: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    let source = ctx.source().await?;
    let history = source.answers.history(&query(args)).await?;
    let names = |history: &History| history.deliveries.iter().map(|d| d.id.clone()).collect();
    ctx.ui.answer(args.output, &history, names, |history| {
        if history.deliveries.is_empty() {
            ctx.ui.line(format!("no deliveries in {} yet", source.place));
        } else {
            ctx.ui.table(&table(history, args.output, ctx.now()), args.output);
            if let Some(next) = &history.next {
                ctx.ui.line(format!("older ones: --before {}", plain(next)));
            }
        }
    })?;
    Ok(Exit::Done)
}

fn query(args: &HistoryArgs) -> HistoryQuery {
    HistoryQuery {
        watch: args.watch.as_ref().map(ToString::to_string),
        branch: args.branch.as_ref().map(|subject| subject.to_string()),
        state: joined(&args.state),
        failed: args.failed,
        since: args.since.map(|since| since.to_string()),
        until: None,
        author: args.author.clone(),
        q: args.search.clone(),
        before: args.before.clone(),
        limit: Some(args.limit),
    }
}

const COLUMNS: &[Column] = &[
    whole("delivery"),
    middle("watch"),
    middle("branch"),
    whole("commit"),
    wide_only("trigger"),
    wide_only("by"),
    wide_only("title"),
    wide_only("author"),
    end("state"),
    whole("age"),
    whole("took"),
    wide_only("objects"),
    end("runs"),
];

fn table(history: &History, output: OutputArg, now: Timestamp) -> Rows {
    let mut rows = Rows::new(COLUMNS);
    for delivery in &history.deliveries {
        let commit = delivery.commit.as_ref();
        let dry = if delivery.dry_run { " (dry run)" } else { "" };
        let state = format!("{}{dry}", delivery.state_text());
        let id = if output.is_wide() { &delivery.id } else { history.short(&delivery.id) };
        let took = delivery.finished.map_or_else(String::new, |end| took(delivery.started, end));
        rows.row([
            (id, Tone::Plain),
            (delivery.watch.as_str(), Tone::Plain),
            (delivery.branch.as_str(), Tone::Plain),
            (short(&delivery.revision), Tone::Plain),
            (delivery.trigger.as_str(), Tone::Quiet),
            (delivery.asked_by.as_deref().unwrap_or_default(), Tone::Quiet),
            (commit.map(|commit| commit.title.as_str()).unwrap_or_default(), Tone::Plain),
            (commit.map(|commit| commit.author.as_str()).unwrap_or_default(), Tone::Quiet),
            (&state, tone(delivery.state)),
            (&age(now, delivery.started), Tone::Quiet),
            (&took, Tone::Quiet),
            (&summary(delivery), Tone::Plain),
            (&runs_words(delivery), totals_tone(RunTotals::of_answer(delivery))),
        ]);
    }
    rows
}

/// Of a dry run nothing runs.
fn runs_words(delivery: &Delivery) -> String {
    if delivery.dry_run { String::new() } else { RunTotals::of_answer(delivery).words() }
}

fn took(started: Timestamp, finished: Timestamp) -> String {
    span(finished.duration_since(started).unsigned_abs())
}

/// `12 of 14` acknowledged objects.
fn summary(delivery: &Delivery) -> String {
    let all = delivery.objects.len();
    let done = delivery.objects.iter().filter(|o| o.action.is(Action::is_acknowledged)).count();
    match all {
        0 => "-".to_owned(),
        all if all == done => all.to_string(),
        all => format!("{done} of {all}"),
    }
}

pub(crate) fn tone(state: Word<DeliveryState>) -> Tone {
    match state {
        Known(DeliveryState::Succeeded) => Tone::Good,
        Known(DeliveryState::Failed | DeliveryState::Parked) => Tone::Bad,
        Known(DeliveryState::NothingRan | DeliveryState::Superseded | DeliveryState::Cancelled) => {
            Tone::Quiet
        }
        Known(
            DeliveryState::Pending
            | DeliveryState::Fetching
            | DeliveryState::Checking
            | DeliveryState::Applying
            | DeliveryState::Following,
        )
        | Unknown => Tone::Busy,
    }
}

pub(crate) fn action_tone(action: Word<Action>) -> Tone {
    match action {
        Known(Action::Created | Action::Configured) => Tone::Good,
        Known(Action::Queued) => Tone::Busy,
        Known(Action::Failed) => Tone::Bad,
        Known(Action::Unchanged | Action::Exists | Action::Skipped) | Unknown => Tone::Quiet,
    }
}

pub(crate) async fn show(ctx: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let show = ctx.source().await?.answers.show(&args.delivery).await?;
    ctx.ui.answer(
        args.output,
        &show,
        |show| vec![show.delivery.id.clone()],
        |show| {
            show_text(&ctx.ui, args.output, show, ctx.now());
        },
    )?;
    Ok(Exit::Done)
}

pub(crate) fn show_text(ui: &Ui, output: OutputArg, show: &Show, now: Timestamp) {
    show_head(ui, show, now);
    let Show { delivery, attempts, next_attempt, superseded_by, steps, notes, .. } = show;
    ui.line(format!("attempts   {attempts}"));
    if let Some(at) = *next_attempt {
        let parked = delivery.state == DeliveryState::Parked;
        let what = if parked { "retry     " } else { "next      " };
        ui.line(format!("{what} {} ({})", time(at), ahead(now, at)));
    }
    if let Some(by) = superseded_by {
        ui.line(format!("superseded by {}", plain(by)));
    }
    if let Some(cancelled) = &show.cancelled {
        let by = cancelled.by.as_ref().map(|by| format!("by {}, ", plain(by))).unwrap_or_default();
        ui.line(format!("cancelled  {by}{} ago", age(now, cancelled.at)));
    }
    if let Some(verdict) = delivery.verdict {
        let word = tinted(verdict.as_str(), verdict_tone(verdict));
        ui.line(format!("verdict    {word}: {}", runs_words(delivery)));
    }
    if let Some(error) = &delivery.error {
        ui.line(format!("error      {}", tinted(&plain(error), Tone::Bad)));
    }
    if !delivery.objects.is_empty() {
        ui.line(format!("\n{}", count(delivery.objects.len(), "object")));
        ui.table(&objects(&delivery.objects), output);
    }
    show_runs(ui, output, delivery);
    for note in notes {
        ui.line(format!("note: {}", plain(note)));
    }
    show_steps(ui, steps);
}

/// How long Sentry's own steps took: last, as it is seldom what somebody looks for.
fn show_steps(ui: &Ui, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    ui.line("\nsteps");
    for step in steps {
        let took = match step.took_ms {
            0 => "<1 ms".to_owned(),
            took => span(Duration::from_millis(took)),
        };
        ui.line(format!("{took:>7}  {}", plain(step_text(&step.step))));
    }
}

/// A step in words; a newer server may name others.
fn step_text(step: &str) -> &str {
    match step {
        "inspect" => "asked for A's commit",
        "resolve" => "looked up B's branch",
        "compare" => "asked for the changed files",
        "fetch" => "fetched B's directory",
        "discover" => "asked for the cluster's kinds",
        "references" => "looked up referenced tasks and pipelines",
        "lend" => "asked for a token to clone A",
        "check" => "checked the objects on the cluster",
        "apply" => "wrote the objects",
        other => other,
    }
}

/// What it is, and since when.
fn show_head(ui: &Ui, show: &Show, now: Timestamp) {
    let Show { delivery, .. } = show;
    let word = tinted(&plain(&delivery.state_text()), tone(delivery.state));
    let dry = if delivery.dry_run { ", a dry run" } else { "" };
    ui.line(format!("delivery   {}", plain(&delivery.id)));
    ui.line(format!("state      {word}{dry}"));
    ui.line(format!("watch      {}", plain(&delivery.watch)));
    ui.line(format!("commit     {}", plain(&revision(&delivery.branch, &delivery.revision))));
    if let Some(commit) = &delivery.commit {
        ui.line(format!("title      {}", plain(&commit.title)));
        ui.line(format!("author     {}", plain(&commit.author)));
    }
    if let (Some(branch), Some(sha)) = (&show.manifests_branch, &delivery.manifests_revision) {
        ui.line(format!("manifests  {}", plain(&revision(branch, sha))));
    }
    let by = delivery.asked_by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    ui.line(plain(&format!("trigger    {}{by}", delivery.trigger)));
    ui.line(format!("started    {} ({} ago)", time(delivery.started), age(now, delivery.started)));
    if let Some(asked) = show.asked_for.as_ref().and_then(asked_for) {
        ui.line(format!("requested  {}", plain(&asked)));
    }
    if let Some(since) =
        delivery.following_since.filter(|_| !delivery.state.is(DeliveryState::is_final))
    {
        ui.line(format!("following  {} (for {})", time(since), age(now, since)));
    }
    if let Some(end) = delivery.finished {
        ui.line(format!("finished   {} (took {})", time(end), took(delivery.started, end)));
    }
}

/// `event nightly, run smoke`; `None` where nothing special was asked for.
fn asked_for(asked: &AskedFor) -> Option<String> {
    let event = asked.event.as_ref().map(|event| format!("event {event}"));
    let run = asked.run.as_ref().map(|run| format!("run {run}"));
    let parts: Vec<String> = event.into_iter().chain(run).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Each run and how it stands; below, what those that did not succeed say of themselves.
fn show_runs(ui: &Ui, output: OutputArg, delivery: &Delivery) {
    if delivery.runs.is_empty() || delivery.dry_run {
        return;
    }
    ui.line(format!("\n{}", count(delivery.runs.len(), "run")));
    let mut rows = Rows::new(&[
        whole("state"),
        whole("kind"),
        middle("name"),
        middle("reason"),
        whole("took"),
        wide_only("ended"),
    ]);
    let objects = delivery.objects.iter().filter(|object| object.run);
    for (run, object) in delivery.runs.iter().zip(objects) {
        let span = run.started.zip(run.ended).map(|(started, ended)| took(started, ended));
        rows.row([
            (run.state.as_str(), state_tone(run.state)),
            (&object.kind, Tone::Plain),
            (&run.name, Tone::Plain),
            (run.reason.as_deref().unwrap_or_default(), Tone::Plain),
            (&span.unwrap_or_default(), Tone::Plain),
            (&run.ended.map(time).unwrap_or_default(), Tone::Quiet),
        ]);
    }
    ui.table(&rows, output);
    for run in &delivery.runs {
        if let Some(text) = &run.message {
            ui.line(plain(&format!("{}: {text}", run.name)));
        }
    }
}

/// A table of objects and what became of them.
fn objects(objects: &[Object]) -> Rows {
    let mut rows = Rows::new(&[
        whole("action"),
        end("kind"),
        middle("name"),
        middle("file"),
        folded("reason"),
    ]);
    for object in objects {
        let file = format!("{}:{}", object.path, object.line);
        rows.row([
            (object.action.as_str(), action_tone(object.action)),
            (&object.kind, Tone::Plain),
            (&object.name, Tone::Plain),
            (&file, Tone::Quiet),
            (object.reason.as_deref().unwrap_or_default(), Tone::Plain),
        ]);
    }
    rows
}
