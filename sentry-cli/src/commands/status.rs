//! `sentry status`: per branch what was seen, what was delivered, what comes next; and whether an agent works.

use std::time::Duration;

use sentry_api::ApiError;
use sentry_api::query::StatusQuery;
use sentry_api::shape::{
    AgentStatus, BranchStatus, FleetStatus, ForgeStatus, MemberStatus, PullStatus, QueueStatus,
    ReceiverStatus, Status, SuspensionStatus, WatchStatus,
};
use sentry_api::text::short;
use sentry_api::words::BranchState;
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_core::clock::Timestamp;
use sentry_core::closed_list::ClosedList;

use super::follow::follow;
use super::{Context, Source};
use crate::args::OutputArg;
use crate::args::questions::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::json::VERSION;
use crate::runs::{totals_tone, verdict_tone};
use crate::table::{Column, Rows, end, middle, whole, wide_only};
use crate::ui::{Tone, Ui, age, ahead, count, count_of, plain, span, tinted};

pub(crate) async fn run(ctx: &Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let source = ctx.source().await?;
    if source.is_empty {
        return absent(ctx, args, &source.place);
    }
    if args.check {
        return check(&ctx.ui, &source).await;
    }
    if args.follow {
        return follow(ctx, &source, args).await;
    }
    let status = ask(&source, args).await?;
    ctx.ui.answer(args.output, &status, names, |status| {
        lines(&ctx.ui, args.output, status, ctx.now()).iter().for_each(|line| ctx.ui.line(line));
    })?;
    Ok(Exit::Done)
}

/// The branches that are asked for.
pub(super) async fn ask(source: &Source, args: &StatusArgs) -> Result<Status, ApiError> {
    let query = StatusQuery {
        watch: args.watch.as_ref().map(ToString::to_string),
        branch: args.branch.as_ref().map(|subject| subject.to_string()),
        state: joined(&args.state),
        q: args.search.clone(),
        ..StatusQuery::default()
    };
    let is_whole = query.branch.is_none() && query.state.is_none() && query.q.is_none();
    let mut status = source.answers.status(&query).await?;
    // Of a watch without a branch that was asked for it is not said that none was seen yet.
    status.watches.retain(|watch| is_whole || !watch.branches.is_empty());
    Ok(status)
}

/// Words with commas between them; none where there is no word.
pub(super) fn joined(words: &[impl ClosedList]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// `qa/release/1`: a watch's name has no slash.
pub(super) fn names(status: &Status) -> Vec<String> {
    let branches = status
        .watches
        .iter()
        .flat_map(|watch| watch.branches.iter().zip(std::iter::repeat(&watch.name)));
    branches.map(|(branch, watch)| format!("{watch}/{}", branch.branch)).collect()
}

fn absent(ctx: &Context, args: &StatusArgs, place: &str) -> Result<Exit, Failure> {
    if args.check {
        ctx.ui.line(format!("no agent has run on the state in {place}"));
        return Ok(Exit::Failed);
    }
    let none = Status {
        version: VERSION,
        watches: Vec::new(),
        queue: Vec::new(),
        notifications: Vec::new(),
        next: None,
        agent: None,
        fleet: None,
    };
    ctx.ui.answer(args.output, &none, names, |_| {
        ctx.ui.line(format!("no state in {place} yet: `sentry watch` creates it"));
    })?;
    Ok(Exit::Done)
}

/// Whether an agent works on the state, and all its loops turn.
async fn check(ui: &Ui, source: &Source) -> Result<Exit, Failure> {
    let agent = source.answers.agent().await?;
    let healthy = agent.as_ref().is_some_and(|agent| agent.healthy);
    let text = agent.map_or_else(|| "no agent has run on this state".into(), |a| a.health);
    ui.line(plain(&text));
    Ok(if healthy { Exit::Done } else { Exit::Failed })
}

const COLUMNS: &[Column] = &[
    middle("watch"),
    middle("branch"),
    whole("state"),
    whole("head"),
    whole("age"),
    wide_only("delivered"),
    wide_only("delivery"),
    end("runs"),
    whole("next"),
];

/// The branches as a table; below, what is wrong, and who works.
pub(super) fn lines(ui: &Ui, output: OutputArg, status: &Status, now: Timestamp) -> Vec<String> {
    let mut rows = Rows::new(COLUMNS);
    for watch in &status.watches {
        if watch.branches.is_empty() {
            let quiet = |text| (text, Tone::Quiet);
            let name = (watch.name.as_str(), Tone::Plain);
            let [dash, none] = [quiet("-"), quiet("")];
            rows.row([name, dash, quiet("not seen yet"), dash, dash, none, none, none, none]);
        }
        for branch in &watch.branches {
            branch_row(&mut rows, &watch.name, branch, now);
        }
    }
    let mut lines = match rows.is_empty() {
        true => vec!["nothing seen yet".to_owned()],
        false => ui.lines(&rows, output),
    };
    let foot = [
        errors(status, now),
        reports(status),
        notifications(status, now),
        queue(status),
        footer(status, now),
    ]
    .concat();
    if !foot.is_empty() {
        lines.push(String::new());
    }
    lines.extend(foot);
    lines
}

fn branch_row(rows: &mut Rows, watch: &str, branch: &BranchStatus, now: Timestamp) {
    let delivered = branch.delivered.as_ref().map_or_else(
        || "-".to_owned(),
        |mark| format!("{} {} ago", short(&mark.sha), age(now, mark.at)),
    );
    let runs_tone = branch.verdict.map_or_else(|| totals_tone(branch.runs), verdict_tone);
    let next = branch.next_attempt.map_or_else(String::new, |at| ahead(now, at));
    rows.row([
        (watch, Tone::Plain),
        (&branch.branch, Tone::Plain),
        (branch.state.as_str(), tone(branch.state)),
        (short(&branch.observed.sha), Tone::Plain),
        (&age(now, branch.observed.at), Tone::Quiet),
        (&delivered, Tone::Plain),
        (branch.delivery.as_deref().unwrap_or("-"), Tone::Quiet),
        (&branch.runs.words(), runs_tone),
        (&next, Tone::Plain),
    ]);
}

fn tone(state: Word<BranchState>) -> Tone {
    match state {
        Known(BranchState::Delivered) => Tone::Good,
        Known(BranchState::Pending | BranchState::Delivering) => Tone::Busy,
        Known(BranchState::WaitsForApproval) => Tone::Bad,
        Known(BranchState::Retrying | BranchState::Parked) => Tone::Bad,
        Known(BranchState::Cancelled | BranchState::Gone) => Tone::Quiet,
        Known(BranchState::Baseline | BranchState::NothingRan) | Unknown => Tone::Plain,
    }
}

/// What keeps watches and branches from going on, and which runs failed.
fn errors(status: &Status, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for WatchStatus { name, unreachable, branches, idle_patterns, .. } in &status.watches {
        lines.extend(branches.iter().filter_map(|branch| unapproved(name, branch)));
        if !idle_patterns.is_empty() {
            let patterns = idle_patterns.join(", ");
            let remedy = "see `sentry validate --online`";
            lines.push(format!("{name}: no branch matches {patterns}: {remedy}"));
        }
        if let Some(outage) = unreachable {
            let since = age(now, outage.since);
            lines.push(format!("{name}: no answer for {since}: {}", outage.error));
        }
        for branch in branches {
            let line = |error| format!("{name} {}: {error}", branch.branch);
            lines.extend(branch.errors.iter().map(line));
        }
    }
    lines.into_iter().map(|line| tinted(&plain(&line), Tone::Bad)).collect()
}

/// What somebody has to look at before it is run.
fn unapproved(watch: &str, branch: &BranchStatus) -> Option<String> {
    let pull = branch.pull_request.as_ref()?;
    let waits = branch.state == BranchState::WaitsForApproval;
    let (number, sha) = (&branch.subject.name, &branch.observed.sha);
    let PullStatus { title, author, base, .. } = pull;
    waits.then(|| {
        format!(
            "{watch} {}: {title:?} by {author} into {base}, from a fork, waits for approval: look at it, then \
             `sentry approve {watch} {number} --revision {sha} --base {base}`",
            branch.branch
        )
    })
}

/// Why statuses are not shown on commits: once per watch.
fn reports(status: &Status) -> Vec<String> {
    let line = |watch: &WatchStatus| {
        let report = watch.reporting.as_ref()?;
        let on = report.repo.as_ref().map(|repo| format!(" on {repo}")).unwrap_or_default();
        let what = if report.given_up { "`report: off` turns them off" } else { "will be retried" };
        let (name, error) = (&watch.name, &report.error);
        let line = format!("{name}: can't set commit statuses{on}: {error}; {what}");
        Some(tinted(&plain(&line), Tone::Busy))
    };
    status.watches.iter().filter_map(line).collect()
}

/// Who is still to be told something, and why that waits.
fn notifications(status: &Status, now: Timestamp) -> Vec<String> {
    let line = |one: &ReceiverStatus| {
        let waiting = count(one.waiting, "notification");
        let error = one.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let since = age(now, one.since);
        let line = format!("receiver {}: {waiting} undelivered for {since}{error}", one.receiver);
        tinted(&plain(&line), Tone::Busy)
    };
    status.notifications.iter().map(line).collect()
}

/// How many runs wait for room, by namespace.
fn queue(status: &Status) -> Vec<String> {
    let line = |queued: &QueueStatus| {
        let namespace = plain(queued.namespace.as_deref().unwrap_or("-"));
        format!("namespace {namespace}: {}", wait(queued.runs))
    };
    status.queue.iter().map(line).collect()
}

/// `1 run queued`, `3 runs queued`.
fn wait(number: usize) -> String {
    if number == 1 { "1 run queued".to_owned() } else { format!("{number} runs queued") }
}

/// Suspensions, waiting triggers, the forges' budgets, the agent.
fn footer(status: &Status, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for watch in &status.watches {
        if let Some(suspension) = &watch.suspension {
            lines.push(plain(&suspension_line(&watch.name, suspension, now)));
        }
    }
    let waiting = status.watches.iter().map(|watch| watch.waiting_triggers).sum();
    if waiting > 0 {
        lines.push(format!("{} waiting", count(waiting, "trigger")));
    }
    let Some(AgentStatus { healthy, health, forges, .. }) = &status.agent else {
        lines.push(tinted("no agent has run on this state yet", Tone::Quiet));
        return lines;
    };
    lines.extend(forges.iter().map(|forge| plain(&forge_line(forge, now))));
    lines.extend(status.fleet.iter().flat_map(fleet));
    lines.push(tinted(&plain(health), if *healthy { Tone::Good } else { Tone::Bad }));
    lines
}

/// The agents that share the state, and what none of them works for.
fn fleet(fleet: &FleetStatus) -> Vec<String> {
    let member = |one: &MemberStatus| {
        let (slots, watches) =
            (count(one.slots.len(), "slot"), count_of(one.watches, "watch", "watches"));
        let running = span(Duration::from_secs(one.seconds));
        plain(&format!("agent {}: {slots} with {watches}, for {running}", one.holder))
    };
    let mut lines: Vec<String> = fleet.members.iter().map(member).collect();
    if !fleet.unowned.is_empty() {
        let line = format!("no agent works for {}", fleet.unowned.join(", "));
        lines.push(tinted(&plain(&line), Tone::Bad));
    }
    lines
}

fn suspension_line(watch: &str, suspension: &SuspensionStatus, now: Timestamp) -> String {
    let mut line = format!("watch {watch} has been suspended for {}", age(now, suspension.since));
    if let Some(until) = suspension.until {
        line.push_str(&format!(", ends {}", ahead(now, until)));
    }
    if let Some(reason) = &suspension.reason {
        line.push_str(&format!(": {reason}"));
    }
    line
}

fn forge_line(forge: &ForgeStatus, now: Timestamp) -> String {
    let budget = forge.budget.as_ref().map_or_else(String::new, |b| {
        let reset = b.reset.map_or_else(String::new, |at| format!(", resets {}", ahead(now, at)));
        format!(", rate limit {} of {} left{reset}", b.left, b.limit)
    });
    let pace = if forge.waits {
        format!("has waited {} for an answer", age(now, forge.beat))
    } else {
        format!("polled every {}", span(Duration::from_millis(forge.interval_ms)))
    };
    format!("forge {}: {pace}{budget}", forge.forge)
}
