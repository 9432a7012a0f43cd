//! The first page: every watch with its branches.

use askama::Template;
use sentry_api::shape::{BranchStatus, Delivery, Status, WatchStatus};
use sentry_api::text::count;
use sentry_api::words::Word::{self, Known, Unknown};
use sentry_api::words::{BranchState, DeliveryState, Verdict};
use sentry_core::clock::Timestamp;

use super::chart::{Chart, SMALL};
use super::{Act, Commit, Frame, Moment, Part as _, Reader, State, Tone, delivery};
use crate::page::link::WatchPlace;

/// The page.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub(crate) struct Home {
    pub(crate) frame: Frame,
    headline: String,
    queue: Vec<String>,
    watches: Vec<WatchView>,
}

/// A watch.
#[derive(Debug, Template)]
#[template(path = "part/watch.html")]
pub(crate) struct WatchView {
    pub(crate) name: String,
    pub(crate) route: Option<Route>,
    troubles: Vec<Trouble>,
    waiting: Option<String>,
    chart: Option<Chart>,
    branches: Vec<BranchView>,
    /// What to do where no branch was seen yet.
    patterns: String,
}

/// From A to the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) source: (String, Option<String>),
    pub(crate) patterns: Vec<String>,
    pub(crate) manifests: (String, Option<String>),
    pub(crate) dir: String,
    pub(crate) target: String,
}

impl Route {
    pub(crate) fn new(place: &WatchPlace) -> Self {
        Self {
            source: (place.source.path.clone(), place.source.address()),
            patterns: place.branches.clone(),
            manifests: (place.manifests.path.clone(), place.manifests.address()),
            dir: place.dir.clone(),
            target: place.target.clone(),
        }
    }
}

/// What a person should know about a watch as a whole.
#[derive(Debug)]
struct Trouble {
    state: State,
    text: Option<String>,
    since: Option<Moment>,
    next: Option<Moment>,
}

/// A branch.
#[derive(Debug)]
struct BranchView {
    name: String,
    state: State,
    since: Moment,
    head: Commit,
    /// What the cluster has, where it is another one.
    delivered: Option<(Commit, Moment)>,
    runs: Option<String>,
    next: String,
    next_at: Option<Moment>,
    errors: Vec<String>,
    delivery: Option<String>,
    act: Option<Act>,
}

/// A watch's answer with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) status: &'a WatchStatus,
    /// Its deliveries, newest first.
    pub(crate) recent: &'a [Delivery],
    pub(crate) place: Option<&'a WatchPlace>,
    pub(crate) agent: bool,
}

impl Home {
    /// `recent` has each watch's deliveries, newest first, in the order of the watches.
    pub(crate) fn new(
        frame: Frame,
        reader: &Reader,
        status: &Status,
        recent: &[Vec<Delivery>],
        places: &[WatchPlace],
    ) -> Self {
        let agent = status.agent.as_ref().is_some_and(|agent| agent.healthy);
        let watches = status.watches.iter().zip(recent).map(|(status, recent)| {
            let place = places.iter().find(|place| place.name == status.name);
            WatchView::new(reader, Facts { status, recent, place, agent }, true)
        });
        let queue = status.queue.iter().map(|queue| {
            let wait = if queue.runs == 1 { "waits" } else { "wait" };
            let runs = count(queue.runs, "run");
            let namespace = queue.namespace.as_deref().unwrap_or("an unknown namespace");
            format!("{runs} {wait} for room in {namespace}")
        });
        let watches: Vec<_> = watches.collect();
        Self { headline: headline(&watches), queue: queue.collect(), frame, watches }
    }
}

/// What a person wants to know first.
fn headline(watches: &[WatchView]) -> String {
    let branches = || watches.iter().flat_map(|watch| &watch.branches);
    let number = |tones: &[Tone]| branches().filter(|b| tones.contains(&b.state.tone)).count();
    let say = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 branch {one}")),
        n => Some(format!("{n} branches {many}")),
    };
    let bad = say(number(&[Tone::Bad]), "needs you", "need you");
    let under_way = number(&[Tone::Busy, Tone::Wait]);
    let busy = say(under_way, "is in progress", "are in progress");
    let troubled =
        watches.iter().any(|watch| watch.troubles.iter().any(|t| t.state.tone == Tone::Bad));
    match (bad, busy) {
        (Some(bad), Some(_)) => {
            let verb = if under_way == 1 { "is" } else { "are" };
            format!("{bad}, {under_way} {verb} in progress")
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if watches.is_empty() => "No watch is configured".to_owned(),
        (None, None) if troubled => "A forge does not answer".to_owned(),
        (None, None) if branches().next().is_none() => "Waiting for the first poll".to_owned(),
        (None, None) => "Everything is delivered".to_owned(),
    }
}

impl WatchView {
    pub(crate) fn new(reader: &Reader, facts: Facts<'_>, with_chart: bool) -> Self {
        let (status, now) = (facts.status, reader.now);
        let mut branches: Vec<_> =
            status.branches.iter().map(|branch| BranchView::new(reader, facts, branch)).collect();
        branches.sort_by_key(|branch| match branch.state.tone {
            Tone::Bad => 0,
            Tone::Busy | Tone::Wait => 1,
            Tone::Good => 2,
            Tone::Quiet => 3,
        });
        let patterns = facts.place.map(|place| place.branches.join(", ")).unwrap_or_default();
        Self {
            name: status.name.clone(),
            route: facts.place.map(Route::new),
            troubles: troubles(status, now),
            waiting: (status.waiting_triggers > 0).then(|| {
                let triggers = count(status.waiting_triggers, "request");
                format!("{triggers} not picked up yet")
            }),
            chart: with_chart.then(|| Chart::new(facts.recent, now, SMALL)).flatten(),
            branches,
            patterns,
        }
    }
}

fn troubles(status: &WatchStatus, now: Timestamp) -> Vec<Trouble> {
    let suspended = status.suspension.as_ref().map(|suspension| Trouble {
        state: State::new(Tone::Wait, "suspended"),
        text: suspension.reason.clone(),
        since: Some(Moment::new(now, suspension.since)),
        next: suspension.until.map(|until| Moment::new(now, until)),
    });
    let silent = status.unreachable.as_ref().map(|outage| Trouble {
        state: State::new(Tone::Bad, "the forge does not answer"),
        text: Some(outage.error.clone()),
        since: Some(Moment::new(now, outage.since)),
        next: outage.next.map(|next| Moment::new(now, next)),
    });
    let unreported = status.reporting.as_ref().map(|reporting| Trouble {
        state: State::new(Tone::Wait, "verdicts are not shown on commits"),
        text: Some(reporting.error.clone()),
        since: None,
        next: None,
    });
    let idle = (!status.idle_patterns.is_empty()).then(|| Trouble {
        state: State::new(Tone::Wait, "no branch matches"),
        text: Some(status.idle_patterns.join(", ")),
        since: None,
        next: None,
    });
    [silent, suspended, idle, unreported].into_iter().flatten().collect()
}

impl BranchView {
    fn new(reader: &Reader, facts: Facts<'_>, branch: &BranchStatus) -> Self {
        let (now, source) = (reader.now, facts.place.map(|place| &place.source));
        let open = facts.recent.iter().find(|d| Some(&d.id) == branch.delivery.as_ref());
        let next = next(facts, branch);
        let delivered = branch.delivered.as_ref().filter(|mark| mark.sha != branch.observed.sha);
        let about =
            format!("Deliver the head of {} of watch {} now", branch.branch, facts.status.name);
        let fields = vec![("watch", facts.status.name.clone()), ("branch", branch.branch.clone())];
        let gone = branch.state == BranchState::Gone;
        Self {
            name: branch.branch.clone(),
            state: state(branch, open),
            since: Moment::new(now, since(branch)),
            head: Commit::new(&branch.observed.sha, source),
            delivered: delivered
                .map(|mark| (Commit::new(&mark.sha, source), Moment::new(now, mark.at))),
            runs: Some(branch.runs.words()).filter(|words| !words.is_empty()),
            next,
            next_at: branch.next_attempt.map(|at| Moment::new(now, at)),
            errors: branch.errors.clone(),
            delivery: branch.delivery.clone(),
            act: (!gone)
                .then(|| reader.act("Deliver now", about, "/trigger".to_owned(), fields))
                .flatten(),
        }
    }
}

/// A branch's state. `open` is the delivery that is shown.
fn state(branch: &BranchStatus, open: Option<&Delivery>) -> State {
    let word = branch.state.as_str();
    match (branch.state, branch.verdict) {
        (Known(BranchState::Delivered), Some(Known(Verdict::Failure))) => {
            State::new(Tone::Bad, "runs failed")
        }
        (Known(BranchState::Delivered), Some(Known(Verdict::Error))) => {
            State::new(Tone::Bad, "runs not followed")
        }
        (Known(BranchState::Delivered), Some(_)) => State::new(Tone::Good, "succeeded"),
        (Known(BranchState::Delivered), None) if branch.runs.running + branch.runs.queued > 0 => {
            State::new(Tone::Busy, "running")
        }
        (Known(BranchState::Delivered), None) => State::new(Tone::Good, word),
        (Known(BranchState::NothingRan), _) => {
            let cause = branch.nothing_ran.map_or(word, Word::as_str);
            State::new(Tone::Quiet, format!("nothing ran: {cause}"))
        }
        (Known(BranchState::Delivering), _) => match open {
            Some(open) if !open.state.is(DeliveryState::is_final) => delivery::state(open),
            _ => State::new(Tone::Busy, word),
        },
        (Known(BranchState::Pending), _) => State::new(Tone::Wait, "waiting"),
        (Known(BranchState::Retrying), _) => State::new(Tone::Wait, word),
        (Known(BranchState::Parked), _) => State::new(Tone::Bad, word),
        (Known(BranchState::Baseline | BranchState::Gone) | Unknown, _) => {
            State::new(Tone::Quiet, word)
        }
    }
}

/// Since when it is in that state.
fn since(branch: &BranchStatus) -> Timestamp {
    let mark = match branch.state {
        Known(BranchState::Delivered) => branch.delivered.as_ref(),
        Known(BranchState::Delivering | BranchState::Retrying | BranchState::Parked) => {
            branch.attempted.as_ref()
        }
        Known(
            BranchState::Baseline
            | BranchState::Pending
            | BranchState::NothingRan
            | BranchState::Gone,
        )
        | Unknown => None,
    };
    mark.unwrap_or(&branch.observed).at
}

/// What comes next, and what a person can do.
fn next(facts: Facts<'_>, branch: &BranchStatus) -> String {
    let to_come = branch.runs.running + branch.runs.queued;
    let text = match (branch.state, branch.verdict) {
        (Known(BranchState::Pending), _) if facts.status.suspended => {
            "starts when the watch is resumed"
        }
        (Known(BranchState::Pending | BranchState::Retrying), _) if !facts.agent => {
            "nothing starts until an agent runs: `sentry watch`"
        }
        (Known(BranchState::Pending), _) => "waits for its turn",
        (Known(BranchState::Retrying), _) => "next attempt",
        (Known(BranchState::Delivering), _) if to_come > 0 => "the rest of its runs",
        (Known(BranchState::Delivering), _) => "its runs start",
        (Known(BranchState::Parked), _) if branch.next_attempt.is_some() => "checked again",
        (Known(BranchState::Parked), _) => {
            "retried when the branch, the manifests or the configuration change"
        }
        (Known(BranchState::Baseline), _) => "the next commit is delivered",
        (Known(BranchState::Gone), _) => "nothing, until the branch is back",
        (Known(BranchState::Delivered), None) if to_come > 0 => "its runs finish",
        (Known(BranchState::Delivered), Some(Known(Verdict::Failure | Verdict::Error))) => {
            "the next commit, or a rerun of what failed"
        }
        (Known(BranchState::NothingRan | BranchState::Delivered) | Unknown, _) => "the next commit",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests;
