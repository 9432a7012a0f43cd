//! What an engine does next, decided without a store, a port, a clock or a runtime: an input and the moment it came at go
//! in, [`Effects`] come out. The owner carries them out in their order, and hands back what became of them.
//!
//! The state here is always as if every effect had been kept. The owner sees to that: until the store took the writes
//! nothing of them is told or called, and no further input is handed in.

mod approvals;
mod deliveries;
mod follow;
mod looks;
#[cfg(test)]
mod model;
mod notices;
mod outages;
mod polls;
mod reports;
mod retire;
mod start;
mod triggers;
mod unconfirmed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(in crate::engine) use self::approvals::Undelivered;
use self::follow::Following;
use self::notices::Notifying;
use self::reports::Reporting;
use self::retire::Retiring;
use super::courier::{AttemptEnd, Halt};
use super::index::{Index, cluster_of};
use super::ledger::{Ledger, ReportKey, key_of, report_key};
use super::poller::Group;
use super::ready::Ready;
use super::scheduler::Only;
use super::waits::Waits;
use super::{Options, Summary};
use crate::clock::Timestamp;
use crate::delivery::{Delivery, DeliveryState, RunRecord, Trigger};
use crate::deployer::{DeployError, FollowQuery, Retire, RunChange};
use crate::event::EventKind;
use crate::forge::{Base, ForgeError, HeadsAnswer, HeadsQuery, PullsAnswer, PullsQuery};
use crate::ids::{DeliveryId, Sequence, TriggerId};
use crate::names::{ClusterRef, WatchName};
use crate::notifier::NotifyError;
use crate::repo::{CommitSha, RepoPath};
use crate::store::{InventoryItem, LoopState, Outgoing, Report, Requests, Write};
use crate::subject::SubjectKey;
use crate::watch::Watch;

/// What does not change while an engine works.
#[derive(Debug)]
pub(in crate::engine) struct Known {
    pub(in crate::engine) watches: BTreeMap<WatchName, Arc<Watch>>,
    pub(in crate::engine) options: Options,
    /// Deployers that never write.
    pub(in crate::engine) dry: BTreeSet<String>,
    /// Forges that show statuses.
    pub(in crate::engine) reporters: BTreeSet<String>,
    pub(in crate::engine) notifiers: BTreeSet<String>,
}

impl Known {
    /// True if the watch's deployer never writes: what a real one started before is for that one to follow.
    pub(in crate::engine) fn is_dry(&self, watch: &Watch) -> bool {
        self.dry.contains(&watch.cluster.deployer)
    }

    /// The watch of this name, if its forge shows statuses.
    pub(in crate::engine) fn reported(&self, name: &WatchName) -> Option<&Arc<Watch>> {
        self.watches.get(name).filter(|watch| self.reporters.contains(&watch.source.forge))
    }
}

/// What an engine works for.
#[derive(Debug)]
pub(in crate::engine) enum Mode {
    /// Until it is stopped.
    Run,
    /// One pass.
    Once,
    /// Until these triggers are answered.
    Settle(Vec<TriggerId>),
}

/// When an input came.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Moment {
    /// By the monotonic clock: what waits are measured by.
    pub(in crate::engine) instant: Instant,
    /// By the wall clock: what is written down.
    pub(in crate::engine) stamp: Timestamp,
}

/// Something that happened outside.
pub(in crate::engine) enum Input {
    /// Nothing but time that passed.
    Tick,
    /// What other programs left.
    Inbox(Requests),
    /// Repositories on forges that are said to have moved.
    Hints(BTreeSet<(String, RepoPath)>),
    /// A forge answered, or did not, what it was asked.
    Polled(Polled),
    /// An attempt wants to take its next step: it is let go by [`Call::Proceed`] with its ticket.
    Progress { ticket: u64, delivery: Box<Delivery>, wanted: Vec<RunRecord> },
    /// An attempt ended.
    Attempted(Box<AttemptEnd>),
    /// A follower found something out; `None` says that the deployer can't follow runs.
    Seen { cluster: ClusterRef, number: u64, change: Option<Result<RunChange, DeployError>> },
    /// A follower's call ended.
    Followed(ClusterRef, u64),
    /// A status was shown, or was not.
    Reported(ReportKey, Box<Report>, Result<(), ForgeError>),
    /// A receiver was told, or was not.
    Notified(Box<Outgoing>, Result<(), NotifyError>),
    /// Runs were retired, or were not.
    Retired(Box<Retire>, Vec<InventoryItem>, Result<(), DeployError>),
    /// A call broke down: its port panicked, or it was cut off by a stop.
    BrokeDown { job: Job, cut_off: bool, error: String },
    /// Nothing new is begun any more.
    Stop,
}

/// A round of polling that ended.
pub(in crate::engine) struct Polled {
    pub(in crate::engine) forge: String,
    pub(in crate::engine) asked: Vec<(usize, HeadsQuery)>,
    pub(in crate::engine) answers: Vec<Result<HeadsAnswer, ForgeError>>,
    /// Of those that were asked for their pull requests as well.
    pub(in crate::engine) pulls: Vec<(usize, Result<PullsAnswer, ForgeError>)>,
    pub(in crate::engine) took: Duration,
}

/// What a call is about, should it break down.
#[derive(Debug)]
pub(in crate::engine) enum Job {
    Poll(Vec<(usize, HeadsQuery)>),
    Attempt(Box<Delivery>),
    Report(ReportKey),
    Notice(String),
}

/// What the owner is to do once the writes are kept.
#[derive(Debug)]
pub(in crate::engine) enum Call {
    /// Ask a forge for heads, and some of the same repositories for pull requests.
    Poll { forge: String, asked: Vec<(usize, HeadsQuery)>, pulls: Vec<(usize, PullsQuery)> },
    /// Make an attempt of a delivery; changed paths are counted from `base`.
    Attempt { delivery: Box<Delivery>, watch: Arc<Watch>, base: Option<Base> },
    /// Let an attempt take its step, with so many of the runs that it wants to create, or halt it.
    Proceed(u64, Result<usize, Halt>),
    /// Follow runs.
    Follow { number: u64, query: FollowQuery },
    /// Follow them no more.
    Unfollow(u64),
    /// Show a status of a watch.
    Report(ReportKey, Box<Report>),
    /// Tell a receiver.
    Notify(Box<Outgoing>),
    /// Stop or forget runs, with the items of the inventory that go with them.
    Retire(Box<Retire>, Vec<InventoryItem>),
    /// Read a delivery, for [`Machine::recalled`].
    Recall(Recall),
    /// Read what a watch has on clusters, for [`Machine::tidied`].
    Inventory(Tidy),
    /// Read what is kept of a commit of a watch, for [`Machine::shown_again`].
    Show(Trigger, CommitSha),
    /// Cut everything off that nobody waits for.
    CutOff,
}

/// Why a delivery that is not open is read.
#[derive(Debug)]
pub(in crate::engine) enum Recall {
    /// A trigger asks for another attempt of it.
    Retry(Trigger, DeliveryId),
    /// A trigger asks for its end.
    Cancel(Trigger, DeliveryId),
    /// A trigger asks for new runs of its commits.
    Rerun(Trigger, DeliveryId),
    /// Its head is looked at again.
    Look(SubjectKey, DeliveryId),
}

impl Recall {
    pub(in crate::engine) fn delivery(&self) -> &DeliveryId {
        match self {
            Self::Retry(_, id) | Self::Rerun(_, id) | Self::Cancel(_, id) | Self::Look(_, id) => id,
        }
    }
}

/// A run that ended, of which only so many are kept.
#[derive(Debug)]
pub(in crate::engine) struct Tidy {
    pub(in crate::engine) watch: WatchName,
    pub(in crate::engine) run: RunRecord,
    pub(in crate::engine) keep: usize,
}

/// What a step comes to, in the order in which it is carried out.
#[derive(Debug, Default)]
pub(in crate::engine) struct Effects {
    /// Kept together, all or none.
    pub(in crate::engine) writes: Vec<Write>,
    /// Notified once the writes are kept.
    pub(in crate::engine) events: Vec<EventKind>,
    /// Made after that.
    pub(in crate::engine) calls: Vec<Call>,
}

/// Deliveries, and what they wait for.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Those under way, by what they are of: each subject has at most one.
    running: HashMap<SubjectKey, DeliveryId>,
    /// Those whose next attempt waits.
    ready: Ready,
    /// When heads that were given up are looked at again.
    look_at: Waits<SubjectKey>,
    /// Clusters that are away, with the deliveries that wait for them.
    away: HashMap<ClusterRef, BTreeSet<DeliveryId>>,
    /// Those whose step is not written down, as they are now, and when it is, should it take so long.
    unwritten: HashMap<DeliveryId, (Instant, Delivery)>,
    /// Those of this pass.
    touched: BTreeSet<DeliveryId>,
}

/// Repositories, and when they are asked.
#[derive(Debug)]
pub(super) struct Polls {
    groups: Vec<Group>,
    /// No round of polls begins before, unless a person waits for it.
    next_round: Instant,
    /// Triggers, with the rounds that their watch's repository had when they were first seen.
    asked: HashMap<TriggerId, u64>,
}

/// The state of an engine, and its decisions.
pub(in crate::engine) struct Machine {
    known: Arc<Known>,
    mode: Mode,
    now: Moment,
    effects: Effects,
    /// What may be kept later, with whatever is written next: that others took what they were told, what the cluster says of
    /// runs that go on. If it is lost, they are told, and it is asked, once more.
    late: Vec<Write>,
    ids: Sequence,
    ledger: Ledger,
    index: Index,
    polls: Polls,
    attempts: Attempts,
    following: Following,
    reporting: Reporting,
    notifying: Notifying,
    retiring: Retiring,
    grace_ends: Option<Instant>,
    summary: Summary,
}

impl Machine {
    /// What the input comes to.
    pub(in crate::engine) fn step(&mut self, now: Moment, input: Input) -> Effects {
        self.now = now;
        match input {
            Input::Tick => {}
            Input::Inbox(inbox) => {
                self.ledger.inbox = inbox;
                self.take_triggers();
            }
            Input::Hints(hints) => self.take_hints(&hints),
            Input::Polled(polled) => self.polled(polled),
            Input::Progress { ticket, delivery, wanted } => {
                self.proceed(ticket, *delivery, wanted);
            }
            Input::Attempted(end) => self.attempted(*end),
            Input::Seen { cluster, number, change } => self.saw(&cluster, number, change),
            Input::Followed(cluster, number) => self.follower_ended(&cluster, number),
            Input::Reported(key, report, result) => self.reported(key, *report, result),
            Input::Notified(outgoing, result) => self.notified(*outgoing, result),
            Input::Retired(request, items, result) => self.retired(&request, items, result),
            Input::BrokeDown { job, cut_off, error } => self.broke_down(job, cut_off, &error),
            Input::Stop => self.stopping(),
        }
        self.due();
        let mut effects = std::mem::take(&mut self.effects);
        if !effects.writes.is_empty() {
            effects.writes.splice(0..0, std::mem::take(&mut self.late));
        }
        effects
    }

    /// What was not kept yet, for a commit that the owner makes of itself.
    pub(in crate::engine) fn late(&self) -> &[Write] {
        &self.late
    }

    /// That commit was made.
    pub(in crate::engine) fn kept_late(&mut self) {
        self.late.clear();
    }

    /// Begins everything that is due.
    fn due(&mut self) {
        if self.grace_ends.is_some() {
            return;
        }
        for id in self.attempts.ready.take_due(self.now.instant) {
            self.note_turn(&id);
        }
        self.start_polls();
        self.look_again();
        self.write_long_steps();
        self.start_deliveries();
        self.end_overdue();
        self.manage_followers();
        self.cancel_older();
        self.cancel_asked();
        self.send_reports();
        self.send_notices();
    }

    /// When something is due though nothing happens; `None` if nothing is. After a tick it is not at once.
    pub(in crate::engine) fn next_due(&self) -> Option<Instant> {
        if let Some(grace_ends) = self.grace_ends {
            // Nothing is begun any more.
            return Some(grace_ends).filter(|at| *at > self.now.instant);
        }
        let asked = |g: &&Group| !g.in_flight && self.is_asked(g);
        let groups = self.polls.groups.iter().filter(asked);
        let polls = groups.map(|g| g.due.max(self.polls.next_round));
        let now = self.now.instant;
        let Attempts { ready, look_at, unwritten, .. } = &self.attempts;
        let long = unwritten.values().map(|(at, _)| *at).filter(|at| *at > now);
        let waits = ready.next_after(now).into_iter().chain(look_at.next_after(now));
        let waits =
            waits.chain(self.reporting.next_after(now)).chain(self.following.next_after(now));
        let receivers = self.notifying.next().filter(|at| *at > now);
        polls.chain(waits).chain(long).chain(receivers).min()
    }

    fn stopping(&mut self) {
        self.grace_ends = Some(self.now.instant + self.known.options.grace);
        self.tell(EventKind::Stopping);
        // Polls write nothing: they need not end.
        if !self.must_end() {
            self.call(Call::CutOff);
        }
    }

    /// When what was begun is cut off, once it was told to stop.
    pub(in crate::engine) fn grace_ends(&self) -> Option<Instant> {
        self.grace_ends
    }

    /// True while something is under way that a stop does not cut off: a begun attempt, a status that is being shown, a
    /// receiver that is being told.
    pub(in crate::engine) fn must_end(&self) -> bool {
        let busy = self.reporting.is_busy() || self.notifying.is_busy();
        busy || !self.attempts.running.is_empty()
    }

    /// True if a single pass has nothing more to do.
    pub(in crate::engine) fn is_settled(&self) -> bool {
        let quiet =
            self.attempts.running.is_empty() && !self.owes_reports() && !self.owes_notices();
        match &self.mode {
            Mode::Run => false,
            Mode::Once => {
                let polled = self.polls.groups.iter().all(|g| g.rounds > 0 && !g.in_flight);
                let answered = self.ledger.inbox.triggers.is_empty();
                let idle = || {
                    self.runnable().is_empty()
                        && self.ledger.open.values().all(|d| self.is_given_up(d))
                };
                quiet && polled && answered && idle()
            }
            Mode::Settle(ids) => {
                let only = self.only(ids);
                let waiting = self.ledger.inbox.triggers.iter().any(|t| ids.contains(&t.id));
                let mut open = self.ledger.open.values().filter(|d| only.has(d));
                quiet && !waiting && open.all(|d| self.is_given_up(d))
            }
        }
    }

    /// In one pass an outage is waited for only so long; what is held by a suspension is not waited for at all.
    fn is_given_up(&self, delivery: &Delivery) -> bool {
        let Some(watch) = self.known.watches.get(&delivery.watch) else { return true };
        let held = delivery.asked.cause.is_automatic()
            && self.ledger.suspension(&delivery.watch, self.now.stamp).is_some();
        let followed = delivery.state.is_final() || delivery.state == DeliveryState::Following;
        if followed && !delivery.is_queued() {
            let failures = self.following.failures(&watch.cluster);
            return failures > watch.timing.max_retries || self.known.is_dry(watch);
        }
        held || delivery.attempts.tries > watch.timing.max_retries
    }

    /// Begins nothing more: only what was begun is taken in.
    pub(in crate::engine) fn close(&mut self) {
        self.grace_ends.get_or_insert(self.now.instant);
    }

    /// What a pass came to, and the deliveries that it worked on.
    pub(in crate::engine) fn into_summary(self) -> (Summary, BTreeSet<DeliveryId>) {
        (self.summary, self.attempts.touched)
    }

    /// Writes down, with what receivers are told of it.
    fn write(&mut self, mut writes: Vec<Write>) {
        self.add_notices(&mut writes);
        self.apply(&writes);
        writes.iter().for_each(|write| self.outdate(write));
        self.effects.writes.extend(writes);
    }

    /// Takes in what may be kept later.
    fn note(&mut self, write: Write) {
        self.apply(std::slice::from_ref(&write));
        self.outdate(&write);
        self.late.push(write);
    }

    /// Drops the older copy of a delivery that is still to be kept: kept after the newer one, it would take back what that says.
    fn outdate(&mut self, newer: &Write) {
        let Write::Delivery(newer) = newer else { return };
        self.late.retain(|late| !matches!(late, Write::Delivery(older) if older.id == newer.id));
    }

    /// Takes writes in, and keeps by them what is found by index.
    fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Delivery(delivery) => {
                    self.index_runs(&delivery.id, Index::remove);
                    self.ledger.apply(write.clone());
                    self.index_delivery(&delivery.id);
                }
                Write::Report(report) => {
                    self.ledger.apply(write.clone());
                    self.note_report(&report_key(report));
                }
                _ => self.ledger.apply(write.clone()),
            }
        }
    }

    /// Takes a delivery in as the ledger has it now.
    fn index_delivery(&mut self, id: &DeliveryId) {
        self.index_runs(id, Index::add);
        self.note_turn(id);
        self.note_limit(id);
    }

    /// Takes a delivery that is open into the index or out of it; where it has runs, who follows them is looked at anew.
    fn index_runs(&mut self, id: &DeliveryId, change: fn(&mut Index, &Delivery, Option<&Watch>)) {
        let Some(delivery) = self.ledger.open.get(id) else { return };
        let watch = self.known.watches.get(&delivery.watch).map(AsRef::as_ref);
        change(&mut self.index, delivery, watch);
        let Some(watch) = watch else { return };
        let runs = delivery.active_runs().map(|run| cluster_of(watch, &run.object));
        self.following.look_at(runs);
    }

    /// Whether a delivery waits for its turn, as it stands now.
    fn note_turn(&mut self, id: &DeliveryId) {
        let Attempts { ready, running, .. } = &mut self.attempts;
        match self.ledger.open.get(id) {
            Some(delivery) if running.get(&key_of(delivery)) != Some(id) => ready.note(delivery),
            _ => ready.forget(id),
        }
    }

    fn tell(&mut self, event: EventKind) {
        self.effects.events.push(event);
    }

    fn call(&mut self, call: Call) {
        self.effects.calls.push(call);
    }

    /// The bits of an id that sorts behind all before it: of several deliveries of one subject the newest counts.
    fn new_id(&mut self) -> u128 {
        self.ids.next(self.now.stamp, fastrand::u128(..))
    }

    fn only<'a>(&'a self, triggers: &'a [TriggerId]) -> Only<'a> {
        Only { triggers, begun: &self.attempts.touched }
    }

    /// Where only triggers are answered, only their repositories are asked.
    fn is_asked(&self, group: &Group) -> bool {
        match self.mode {
            Mode::Run | Mode::Once => true,
            Mode::Settle(_) => {
                self.ledger.inbox.triggers.iter().any(|t| group.is_source_of(&t.watch))
            }
        }
    }

    /// How each forge's loop keeps its time at a moment, by the repository that is most late. What is left of the forge's
    /// budget it does not know.
    pub(in crate::engine) fn loops(&self, now: Moment) -> BTreeMap<String, LoopState> {
        let mut loops: BTreeMap<String, LoopState> = BTreeMap::new();
        for group in self.polls.groups.iter().filter(|g| g.has_sources()) {
            // Due and not yet answered: since then nothing was heard, whoever is to blame.
            let late = now.instant.saturating_duration_since(group.due);
            let beat = now.stamp.checked_sub(late).unwrap_or(now.stamp);
            let (forge, interval) = (group.forge.clone(), group.interval);
            let state = LoopState { forge, beat, interval, budget: None };
            match loops.get(&group.forge) {
                Some(other) if other.beat <= beat => {}
                _ => drop(loops.insert(group.forge.clone(), state)),
            }
        }
        loops
    }

    /// The shortest interval of a repository.
    pub(in crate::engine) fn fastest(&self) -> Option<Duration> {
        self.polls.groups.iter().map(|group| group.interval).min()
    }
}
