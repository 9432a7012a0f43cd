//! `status`: per branch what was seen, what was delivered, what comes next; and what keeps all that from going on.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use sentry_core::clock::Timestamp;
use sentry_core::fleet::{Slot, Term};
use sentry_core::names::WatchName;
use sentry_core::store::{
    FleetView, MemberView, OverviewQuery, QueueView, ReceiverView, SubjectFilter, SubjectView,
    WatchState, WatchView,
};
use sentry_core::subject::Subject;
use sentry_core::watch::SubjectSelector;

use super::branch::Facts;
use super::history::words;
use super::{Local, WatchFacts, agent, in_force, named, optional, parsed, pick, subject};
use crate::VERSION;
use crate::error::ApiError;
use crate::query::StatusQuery;
use crate::shape::{
    BranchStatus, FleetStatus, MemberStatus, OutageStatus, PullStatus, QueueStatus, ReceiverStatus,
    ReportingStatus, SlotStatus, Status, SuspensionStatus, WatchStatus,
};
use crate::words::{BranchState, DeliveryState, Word};

pub(super) async fn status(local: &Local, asked: &StatusQuery) -> Result<Status, ApiError> {
    let only: Option<WatchName> = optional("watch", asked.watch.as_deref())?;
    let (query, filter) = (query(asked, only.clone())?, Filter::of(asked)?);
    let mut overview = local.store.archive.overview(&query).await?;
    let now = local.clock.now();
    let names = pick::only(local, pick::names(local, &overview), only.as_ref()).await?;
    let kept: HashMap<_, _> = overview.watches.iter().map(|kept| (&kept.watch, kept)).collect();
    let next = filter.apply(&mut overview.subjects, |view| {
        let kept = kept.get(&view.cursors.watch);
        Facts::of(view, kept.and_then(|kept| kept.state.as_ref())).word()
    });
    let by_watch = overview.subjects.chunk_by(|a, b| a.cursors.watch == b.cursors.watch);
    let subjects: HashMap<_, _> = by_watch.map(|these| (&these[0].cursors.watch, these)).collect();
    let facts: HashMap<_, _> = local.watches.iter().map(|facts| (&facts.name, facts)).collect();
    let of = |name| {
        let subjects = subjects.get(name).copied().unwrap_or_default();
        let facts = facts.get(name).copied();
        let mut status = watch(name, kept.get(name).copied(), facts, subjects, now);
        if filter.is_some {
            // What is not there may only not be asked for.
            status.idle_patterns.clear();
        }
        status
    };
    let shown = names.iter().filter(|name| !filter.is_some || subjects.contains_key(name));
    Ok(Status {
        version: VERSION,
        watches: shown.map(of).collect(),
        queue: queue(&overview.queue),
        notifications: overview.receivers.iter().map(receiver).collect(),
        next,
        agent: overview.agent.as_ref().map(|one| agent::agent(one, now)),
        fleet: overview.fleet.as_ref().map(fleet),
    })
}

fn fleet(view: &FleetView) -> FleetStatus {
    let slot = |(slot, term): &(Slot, Term)| {
        let (slot, term) = (slot.number(), term.to_string());
        SlotStatus { slot, term }
    };
    let member = |member: &MemberView| MemberStatus {
        holder: member.holder.clone(),
        seconds: member.age.as_secs(),
        slots: member.slots.iter().map(slot).collect(),
        watches: member.watches,
    };
    FleetStatus {
        members: view.members.iter().map(member).collect(),
        unowned: view.unowned.iter().map(ToString::to_string).collect(),
    }
}

fn query(asked: &StatusQuery, watch: Option<WatchName>) -> Result<OverviewQuery, ApiError> {
    let subjects = subject(asked.branch.as_deref())?.map_or(SubjectFilter::All, SubjectFilter::Is);
    let text = named("q", asked.q.clone())?;
    let after = asked.after.as_deref().map(|after| {
        let unreadable = || ApiError::bad_request("`after` is not the `next` of an answer");
        let (watch, branch) = after.split_once('/').ok_or_else(unreadable)?;
        Ok::<_, ApiError>((parsed("after", watch)?, subject(Some(branch))?.ok_or_else(unreadable)?))
    });
    let after = after.transpose()?;
    // One more tells whether there is another page; by state they are looked through here.
    let most = asked.limit.filter(|_| asked.state.is_none());
    let limit = most.and_then(|limit| usize::try_from(limit).ok()?.checked_add(1));
    Ok(OverviewQuery { watch, subjects, text, after, limit, past: None })
}

/// What is left of the branches that the store has found.
struct Filter {
    states: Vec<BranchState>,
    limit: usize,
    /// True if some branches may be left out.
    is_some: bool,
}

impl Filter {
    fn of(asked: &StatusQuery) -> Result<Self, ApiError> {
        let StatusQuery { watch: _, branch, state, q, limit, after, pace: _ } = asked;
        let texts = [branch, state, q, after];
        Ok(Self {
            states: words("state", state.as_deref())?,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX),
            is_some: limit.is_some() || texts.iter().any(|text| text.is_some()),
        })
    }

    /// Leaves a page; returns the last branch of it if there is another.
    fn apply(
        &self,
        subjects: &mut Vec<SubjectView>,
        word: impl Fn(&SubjectView) -> BranchState,
    ) -> Option<String> {
        subjects.retain(|view| self.states.is_empty() || self.states.contains(&word(view)));
        let is_last = subjects.len() <= self.limit;
        subjects.truncate(self.limit);
        let last = &subjects.last().filter(|_| !is_last)?.cursors;
        Some(format!("{}/{}", last.watch, last.subject))
    }
}

fn watch(
    name: &WatchName,
    kept: Option<&WatchView>,
    facts: Option<&WatchFacts>,
    subjects: &[SubjectView],
    now: Timestamp,
) -> WatchStatus {
    let state = kept.and_then(|kept| kept.state.as_ref());
    let outage = state.and_then(|state| state.unreachable.as_ref());
    let suspension = kept.and_then(|kept| kept.suspension.as_ref());
    let suspension = suspension.filter(|suspension| in_force(suspension, now));
    let there = subjects.iter().map(|s| &s.cursors).filter(|c| c.gone.is_none());
    let there: Vec<&Subject> = there.map(|cursors| &cursors.subject).collect();
    WatchStatus {
        name: name.to_string(),
        suspended: suspension.is_some(),
        branches: subjects.iter().map(|subject| branch(&Facts::of(subject, state))).collect(),
        suspension: suspension.map(|s| SuspensionStatus {
            reason: s.reason.clone(),
            since: s.since,
            until: s.until,
            by: s.by.clone(),
        }),
        unreachable: outage.map(|o| OutageStatus {
            since: o.since,
            error: o.error.clone(),
            next: o.next,
        }),
        reporting: kept.filter(|_| facts.is_none_or(|it| it.has_statuses)).and_then(reporting),
        idle_patterns: state.map(|state| idle(state, facts, &there)).unwrap_or_default(),
        waiting_triggers: kept.map_or(0, |kept| kept.triggers),
        recent: kept.map(recent).unwrap_or_default(),
        pace: None,
    }
}

/// Of a watch that was never answered there are no patterns. Globs are read anew only where the configuration has others by
/// now than the watch was polled with.
fn idle(kept: &WatchState, facts: Option<&WatchFacts>, there: &[&Subject]) -> Vec<String> {
    let patterns = || kept.patterns.iter().map(String::as_str);
    let configured = facts.map(|facts| &facts.subjects).filter(|it| it.patterns().eq(patterns()));
    let selector = match configured {
        Some(selector) => Some(Cow::Borrowed(selector)),
        None => SubjectSelector::read(patterns()).ok().map(Cow::Owned),
    };
    let idle = selector.iter().flat_map(|selector| selector.idle(there));
    idle.map(str::to_owned).collect()
}

fn branch(facts: &Facts<'_>) -> BranchStatus {
    let branch = facts.cursors;
    let errors = [facts.delivery_error(), facts.run_error()];
    BranchStatus {
        branch: branch.subject.to_string(),
        subject: (&branch.subject).into(),
        pull_request: PullStatus::of(branch),
        observed: (&branch.observed).into(),
        commit: facts.commit(&branch.observed.sha),
        attempted: branch.attempted.as_ref().map(Into::into),
        delivered: branch.delivered.as_ref().map(Into::into),
        delivered_commit: branch.delivered.as_ref().and_then(|mark| facts.commit(&mark.sha)),
        state: facts.word().into(),
        nothing_ran: facts.nothing_ran().map(|reason| reason.kind().into()),
        manifests_revision: branch.manifests.as_ref().map(ToString::to_string),
        runs: facts.told.map(|told| told.runs.into()).unwrap_or_default(),
        verdict: facts.told.and_then(|d| d.verdict).map(Into::into),
        last_error: facts.error().map(str::to_owned),
        next_attempt: facts.next_attempt(),
        errors: errors.into_iter().flatten().map(str::to_owned).collect(),
        delivery: facts.shown.map(|d| d.id.to_string()),
    }
}

fn recent(kept: &WatchView) -> Vec<Word<DeliveryState>> {
    kept.recent.iter().map(|state| (*state).into()).collect()
}

/// Why a watch's verdicts are not shown on commits.
fn reporting(kept: &WatchView) -> Option<ReportingStatus> {
    let report = kept.reporting.as_ref()?;
    Some(ReportingStatus {
        repo: kept.state.as_ref().map(|state| state.repo.to_string()),
        error: report.error.clone().unwrap_or_default(),
        given_up: report.given_up,
    })
}

fn receiver(view: &ReceiverView) -> ReceiverStatus {
    let ReceiverView { receiver, waiting, since, error } = view.clone();
    ReceiverStatus { receiver, waiting, since, error }
}

/// How many runs wait for room, by namespace.
fn queue(waiting: &[QueueView]) -> Vec<QueueStatus> {
    let mut runs: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for queued in waiting {
        *runs.entry(queued.namespace.as_deref()).or_default() += queued.runs;
    }
    let status = |(namespace, runs): (Option<&str>, usize)| QueueStatus {
        namespace: namespace.map(str::to_owned),
        runs,
    };
    runs.into_iter().map(status).collect()
}
