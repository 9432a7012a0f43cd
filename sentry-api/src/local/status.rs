//! `status`: per branch what was seen, what was delivered, what comes next; and what keeps all that from going on.

use std::collections::BTreeMap;

use sentry_core::clock::Timestamp;
use sentry_core::delivery::Delivery;
use sentry_core::names::WatchName;
use sentry_core::plan::Action;
use sentry_core::store::{Archive, DeliveryQuery, Report, Snapshot, WatchState};
use sentry_core::subject::Subject;
use sentry_core::watch::BranchSelector;

use super::branch::Facts;
use super::{Local, agent, in_force, pick};
use crate::VERSION;
use crate::error::ApiError;
use crate::shape::{
    BranchStatus, OutageStatus, QueueStatus, ReceiverStatus, ReportingStatus, RunTotals, Status,
    SuspensionStatus, WatchStatus,
};

/// How far back a branch's delivery is looked for, to tell its runs.
const LOOK_BACK: usize = 200;

pub(super) async fn status(local: &Local, only: Option<&WatchName>) -> Result<Status, ApiError> {
    let snapshot = local.store.archive.snapshot().await?;
    let now = local.clock.now();
    let names = pick::only(names(local, &snapshot), only)?;
    let mut watches = Vec::new();
    for name in &names {
        let recent = recent(local.store.archive.as_ref(), name).await?;
        let statuses = local.watches.iter().all(|w| w.name != *name || w.has_statuses);
        let mut status = watch(&snapshot, name, &recent, now);
        status.reporting = if statuses { reporting(&snapshot, name) } else { None };
        watches.push(status);
    }
    let agent = snapshot.agent.as_ref().map(|one| agent::agent(one, now));
    let (queue, notifications) = (queue(&snapshot, &names), notifications(&snapshot, &names));
    Ok(Status { version: VERSION, watches, queue, notifications, agent })
}

/// The watches of the configuration in its order, then those that only the state knows.
fn names(local: &Local, snapshot: &Snapshot) -> Vec<WatchName> {
    let mut names = local.names();
    let kept = snapshot.watches.iter().map(|w| &w.watch);
    let seen = kept.chain(snapshot.cursors.iter().map(|b| &b.watch));
    for name in seen.chain(snapshot.inbox.suspensions.iter().map(|s| &s.watch)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// A watch's deliveries, newest first.
async fn recent(archive: &dyn Archive, name: &WatchName) -> Result<Vec<Delivery>, ApiError> {
    let query = DeliveryQuery {
        watch: Some(name.clone()),
        limit: Some(LOOK_BACK),
        ..DeliveryQuery::default()
    };
    Ok(archive.deliveries(&query).await?)
}

fn watch(
    snapshot: &Snapshot,
    name: &WatchName,
    recent: &[Delivery],
    now: Timestamp,
) -> WatchStatus {
    let branches = snapshot.cursors.iter().filter(|b| b.watch == *name);
    let there: Vec<_> = branches.clone().filter(|b| b.gone.is_none()).map(|b| &b.subject).collect();
    let kept = snapshot.watches.iter().find(|w| w.watch == *name);
    let outage = kept.and_then(|w| w.unreachable.as_ref());
    let mut suspensions = snapshot.inbox.suspensions.iter();
    let suspension = suspensions.find(|s| s.watch == *name && in_force(s, now));
    WatchStatus {
        name: name.to_string(),
        suspended: suspension.is_some(),
        branches: branches.map(|b| branch(&Facts::of(snapshot, b, recent))).collect(),
        suspension: suspension.map(|s| SuspensionStatus {
            reason: s.reason.clone(),
            since: s.since,
            until: s.until,
        }),
        unreachable: outage.map(|o| OutageStatus {
            since: o.since,
            error: o.error.clone(),
            next: o.next,
        }),
        reporting: None,
        idle_patterns: kept.map(|kept| idle(kept, &there)).unwrap_or_default(),
        waiting_triggers: snapshot.inbox.triggers.iter().filter(|t| t.watch == *name).count(),
    }
}

/// Of a watch that was never answered there are no patterns.
fn idle(kept: &WatchState, there: &[&Subject]) -> Vec<String> {
    let selector = BranchSelector::new(kept.patterns.iter().map(String::as_str));
    let idle = selector.iter().flat_map(|selector| selector.idle(there));
    idle.map(str::to_owned).collect()
}

fn branch(facts: &Facts<'_>) -> BranchStatus {
    let branch = facts.cursors;
    let errors = [facts.delivery_error(), facts.run_error()];
    BranchStatus {
        branch: branch.subject.name().to_owned(),
        subject: (&branch.subject).into(),
        observed: (&branch.observed).into(),
        attempted: branch.attempted.as_ref().map(Into::into),
        delivered: branch.delivered.as_ref().map(Into::into),
        state: facts.word().into(),
        nothing_ran: facts.nothing_ran().map(|reason| reason.kind().into()),
        manifests_revision: branch.manifests.as_ref().map(ToString::to_string),
        runs: facts.told.map(RunTotals::of).unwrap_or_default(),
        verdict: facts.told.and_then(|d| d.verdict).map(Into::into),
        last_error: facts.error().map(str::to_owned),
        next_attempt: facts.next_attempt(),
        errors: errors.into_iter().flatten().map(str::to_owned).collect(),
        delivery: facts.shown.map(|d| d.id.to_string()),
    }
}

/// Why a watch's verdicts are not shown on commits. What was given up comes first: nobody tries that again.
fn reporting(snapshot: &Snapshot, name: &WatchName) -> Option<ReportingStatus> {
    let mine = |r: &&Report| r.watch == *name && r.error.is_some();
    let given_up = snapshot.given_up.iter().find(mine);
    let report = given_up.or_else(|| snapshot.reports.iter().find(mine))?;
    let kept = snapshot.watches.iter().find(|w| w.watch == *name);
    Some(ReportingStatus {
        repo: kept.map(|w| w.repo.to_string()),
        error: report.error.clone().unwrap_or_default(),
        given_up: report.given_up,
    })
}

/// Who is still to be told something of these watches.
fn notifications(snapshot: &Snapshot, names: &[WatchName]) -> Vec<ReceiverStatus> {
    let mut receivers: BTreeMap<&str, ReceiverStatus> = BTreeMap::new();
    for one in snapshot.outbox.iter().filter(|one| names.contains(&one.notice.watch)) {
        let status = receivers.entry(&one.receiver).or_insert_with(|| ReceiverStatus {
            receiver: one.receiver.clone(),
            waiting: 0,
            since: one.notice.at,
            error: None,
        });
        status.waiting += 1;
        status.since = status.since.min(one.notice.at);
        status.error = status.error.take().or_else(|| one.error.clone());
    }
    receivers.into_values().collect()
}

/// How many runs of these watches wait for room, by namespace.
fn queue(snapshot: &Snapshot, names: &[WatchName]) -> Vec<QueueStatus> {
    let mut waiting: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let open = snapshot.open.iter().filter(|d| names.contains(&d.watch));
    for queued in open.flat_map(|d| &d.objects).filter(|o| o.action == Action::Queued) {
        *waiting.entry(queued.object.namespace.as_deref()).or_default() += 1;
    }
    let status = |(namespace, runs): (Option<&str>, usize)| QueueStatus {
        namespace: namespace.map(str::to_owned),
        runs,
    };
    waiting.into_iter().map(status).collect()
}
