//! The loop: it owns the state, starts polls and attempts, and takes in how they end. Everything else is asked.

mod deliveries;
mod follow;
mod looks;
mod notices;
mod outages;
mod polls;
mod reports;
mod retire;
mod triggers;
mod unconfirmed;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use self::follow::{FollowFailures, Follower, Seen, merge_runs};
use self::notices::Notifying;
use self::outages::LOOK;
use self::retire::Retiring;
use super::conclude::{Conclusion, Wait, conclude, superseded};
use super::courier::{Attempt, AttemptEnd, Halt, Outcome, Progress};
use super::failure::AttemptError;
use super::ledger::{self, Ledger, ReportKey, key_of};
use super::poller::{self, Absorbed, Group};
use super::scheduler::{Only, Start, View, runnable, share};
use super::{EngineError, Parts, Stop, Summary};
use crate::clock::Timestamp;
use crate::cursor::{Cursors, Mark};
use crate::delivery::{
    Cause, Delivery, DeliveryState, HeadRecord, Reason, Selection, Trigger, TriggerKind,
    TriggerState,
};
use crate::deployer::{DeployError, DeployErrorKind, Retire};
use crate::event::EventKind;
use crate::forge::{ForgeError, ForgeErrorKind, HeadsAnswer, HeadsQuery};
use crate::ids::{self, DeliveryId, NoticeId, TriggerId};
use crate::names::{ClusterRef, WatchName};
use crate::notifier::NotifyError;
use crate::repo::CommitSha;
use crate::retry::{Backoff, Retry, look};
use crate::revision::Revision;
use crate::store::{
    AgentLock, AgentState, InventoryItem, LoopState, Outgoing, Report, StoreError, Write,
};
use crate::subject::SubjectKey;

/// How long after a failed write the state is tried again.
const STATE_RETRY: Duration = Duration::from_secs(2);
/// The state is told at most this often that the agent lives.
const BEAT: Duration = Duration::from_secs(10);
/// Whoever asks the engine is told what was so at most this long ago, and a turn of the loop.
const PULSE: Duration = Duration::from_millis(500);
/// Polls that fall due within so long are asked together: of a thousand watches one is due every few milliseconds.
const GATHER: Duration = Duration::from_millis(200);
/// Old records are looked for this often.
const PRUNE: Duration = Duration::from_secs(6 * 3600);

/// What the loop works for.
#[derive(Debug)]
pub(super) enum Mode {
    /// Until it is stopped.
    Run,
    /// One pass.
    Once,
    /// Until these triggers are answered.
    Settle(Vec<TriggerId>),
}

/// Why the loop woke up.
enum Wake {
    Ended(Result<(Id, Ended), JoinError>),
    Progress(Progress),
    Seen(Seen),
    Hinted,
    Tick,
    Stop,
}

/// How a task ended.
enum Ended {
    Polled {
        forge: String,
        asked: Vec<(usize, HeadsQuery)>,
        answers: Vec<Result<HeadsAnswer, ForgeError>>,
        took: Duration,
    },
    Attempted(Box<AttemptEnd>),
    Followed(ClusterRef, u64),
    Reported(ReportKey, Box<Report>, Result<(), ForgeError>),
    Notified(Box<Outgoing>, Result<(), NotifyError>),
    Retired(Box<Retire>, Vec<InventoryItem>, Result<(), DeployError>),
}

/// What a task is about, should it break down.
enum Job {
    Poll(Vec<(usize, HeadsQuery)>),
    Attempt(Box<Delivery>),
    Report(ReportKey),
    Notice(String),
}

pub(super) struct Agent {
    parts: Arc<Parts>,
    mode: Mode,
    stop: Stop,
    ledger: Ledger,
    groups: Vec<Group>,
    tasks: JoinSet<Ended>,
    jobs: HashMap<Id, Job>,
    running: HashMap<SubjectKey, DeliveryId>,
    retry_at: HashMap<DeliveryId, Instant>,
    /// When heads that were given up are looked at again.
    look_at: HashMap<SubjectKey, Instant>,
    /// Clusters that are away, with the deliveries that wait for them.
    away: HashMap<ClusterRef, BTreeSet<DeliveryId>>,
    shown: HashMap<SubjectKey, CommitSha>,
    targets: HashMap<ClusterRef, Arc<Mutex<()>>>,
    /// Triggers, with the rounds that their watch's repository had when they were first seen.
    asked: HashMap<TriggerId, u64>,
    /// Ends that the store did not take yet.
    unwritten: Vec<AttemptEnd>,
    progress: (mpsc::Sender<Progress>, mpsc::Receiver<Progress>),
    followers: HashMap<ClusterRef, Follower>,
    follower_number: u64,
    follow_failures: FollowFailures,
    /// When the runs of a delivery are followed no longer.
    follow_until: HashMap<DeliveryId, Instant>,
    seen: (mpsc::Sender<Seen>, mpsc::Receiver<Seen>),
    /// Statuses that are being shown.
    reporting: HashSet<ReportKey>,
    /// When a status that could not be shown is tried again.
    report_at: HashMap<ReportKey, Instant>,
    /// Watches of which it was told that their statuses can't be shown.
    denied: HashSet<WatchName>,
    notifying: Notifying,
    retiring: Retiring,
    next_inbox: Instant,
    /// No round of polls begins before, unless a person waits for it.
    next_round: Instant,
    next_beat: Instant,
    next_pulse: Instant,
    next_prune: Instant,
    state_ok: bool,
    grace_ends: Option<Instant>,
    aborted: bool,
    started: Timestamp,
    summary: Summary,
    touched: BTreeSet<DeliveryId>,
    _lock: AgentLock,
}

impl Agent {
    pub(super) async fn start(
        parts: &Arc<Parts>,
        mode: Mode,
        stop: &Stop,
    ) -> Result<Self, EngineError> {
        let lock = parts.store.lock(&parts.holder).await?;
        let ledger = Ledger::load(Arc::clone(&parts.store)).await?;
        let told = ledger.outbox.keys().map(|(_, id)| ids::bits(id.as_str())).max();
        let newest = ledger.newest.as_ref().map(|id| ids::bits(id.as_str()));
        parts.go_on_after(told.max(newest));
        let now = Instant::now();
        let mut agent = Self {
            parts: Arc::clone(parts),
            mode,
            stop: stop.clone(),
            ledger,
            groups: poller::groups(&parts.watches, now),
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
            running: HashMap::new(),
            retry_at: HashMap::new(),
            look_at: HashMap::new(),
            away: HashMap::new(),
            shown: HashMap::new(),
            targets: HashMap::new(),
            asked: HashMap::new(),
            unwritten: Vec::new(),
            progress: mpsc::channel(16),
            followers: HashMap::new(),
            follower_number: 0,
            follow_failures: FollowFailures::new(),
            follow_until: HashMap::new(),
            seen: mpsc::channel(64),
            reporting: HashSet::new(),
            report_at: HashMap::new(),
            denied: HashSet::new(),
            notifying: Notifying::default(),
            retiring: Retiring::new(),
            next_inbox: now,
            next_round: now,
            next_beat: now,
            next_pulse: now,
            next_prune: now,
            state_ok: true,
            grace_ends: None,
            aborted: false,
            started: parts.clock.now(),
            summary: Summary::default(),
            touched: BTreeSet::new(),
            _lock: lock,
        };
        agent.restore().await?;
        parts.emit(EventKind::Started { watches: parts.watches.len() });
        Ok(agent)
    }

    /// Attempts in whose middle an earlier process ended have failed: that is written down before anything is begun anew.
    fn count_cut_off(&mut self) {
        for delivery in self.ledger.open.values().filter(|d| d.is_in_attempt()) {
            let attempt = delivery.tries.saturating_add(1);
            if !matches!(self.mode, Mode::Run) {
                self.touched.insert(delivery.id.clone());
            }
            self.unwritten.push(AttemptEnd {
                earlier: delivery.runs.len(),
                delivery: delivery.clone(),
                outcome: Outcome::Failed(AttemptError::CutOff { attempt }),
                turn: None,
            });
        }
    }

    /// Takes up what an earlier agent left: waits that it had begun, and heads that a person's change unparks.
    async fn restore(&mut self) -> Result<(), EngineError> {
        self.count_cut_off();
        let (now, stamp) = (Instant::now(), self.parts.clock.now());
        for delivery in self.ledger.open.values() {
            let left = delivery
                .next_attempt
                .map(|at| Duration::try_from(at.duration_since(stamp)).unwrap_or_default());
            // A wall clock that was set back must not hold a delivery longer than the longest wait; what only outages held
            // up finds out soon whether they are over.
            let longest = if delivery.failures == 0 { LOOK } else { Duration::MAX };
            let left = left.unwrap_or_default().min(self.parts.options.backoff.cap).min(longest);
            // A single pass makes its attempt, however long an earlier pass wanted to wait.
            let left = if matches!(self.mode, Mode::Run) { left } else { Duration::ZERO };
            self.retry_at.insert(delivery.id.clone(), now + left);
        }
        let mut writes = Vec::new();
        for (name, watch) in &self.parts.watches {
            let fingerprint = watch.fingerprint();
            for state in self.ledger.cursors.get(name).into_iter().flat_map(BTreeMap::values) {
                let Some(parked) = &state.parked else { continue };
                if parked.fingerprint != fingerprint {
                    writes.push(Write::Cursors(Cursors { parked: None, ..state.clone() }));
                } else if let Some(at) = parked.again {
                    let left = Duration::try_from(at.duration_since(stamp)).unwrap_or_default();
                    // However the wall clock was set meanwhile.
                    let left = left.min(look(u32::MAX));
                    self.look_at.insert((name.clone(), state.subject.clone()), now + left);
                }
            }
        }
        Ok(self.ledger.commit(writes).await?)
    }

    pub(super) async fn work(mut self) -> Result<Summary, EngineError> {
        loop {
            self.tick().await;
            if self.is_finished() {
                break;
            }
            match self.wait().await {
                Wake::Ended(ended) => self.ended(ended).await,
                Wake::Progress(progress) => self.proceed(progress).await,
                Wake::Seen(seen) => self.saw(seen).await,
                Wake::Hinted => self.take_hints(),
                Wake::Tick => {}
                Wake::Stop => self.stopping(),
            }
        }
        self.finish().await
    }

    /// Everything that is due now.
    async fn tick(&mut self) {
        if self.stop.is_aborted() || self.grace_ends.is_some_and(|end| end <= Instant::now()) {
            self.aborted = true;
            self.tasks.abort_all();
            return;
        }
        self.write_unwritten().await;
        if Instant::now() >= self.next_inbox {
            self.next_inbox = Instant::now() + self.parts.options.inbox_interval;
            let read = self.ledger.refresh_inbox().await;
            self.state(read);
            self.take_triggers().await;
        }
        if self.grace_ends.is_none() {
            self.start_polls();
            if self.state_ok {
                self.look_again().await;
                self.start_deliveries().await;
                self.end_overdue().await;
                self.manage_followers();
                self.cancel_older().await;
                self.send_reports();
                self.send_notices();
            }
        }
        self.beat().await;
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.next_wake();
        let stopping = self.grace_ends.is_some();
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled(), if !stopping => Wake::Stop,
            () = self.stop.hard.cancelled(), if stopping && !self.aborted => Wake::Tick,
            Some(progress) = self.progress.1.recv() => Wake::Progress(progress),
            Some(seen) = self.seen.1.recv() => Wake::Seen(seen),
            Some(ended) = self.tasks.join_next_with_id() => Wake::Ended(ended),
            () = self.parts.hints.arrived() => Wake::Hinted,
            () = tokio::time::sleep_until(deadline) => Wake::Tick,
        }
    }

    fn next_wake(&self) -> Instant {
        let asked = |g: &&Group| !g.in_flight && is_asked(&self.mode, &self.ledger, g);
        let polls = self.groups.iter().filter(asked).map(|g| g.due.max(self.next_round));
        let retries = self.retry_at.values().chain(self.look_at.values()).copied();
        let retries = retries.filter(|at| *at > Instant::now());
        let state =
            (!self.state_ok || !self.unwritten.is_empty()).then(|| Instant::now() + STATE_RETRY);
        let grace = self.grace_ends.into_iter();
        let reports = self.report_at.values().copied().filter(|at| *at > Instant::now());
        let wakes = polls.chain(retries).chain(state).chain(grace);
        let wakes = wakes.chain(reports).chain(self.notifying.next()).chain(self.next_follow());
        wakes.chain([self.next_inbox]).min().unwrap_or_else(|| Instant::now() + STATE_RETRY)
    }

    fn stopping(&mut self) {
        self.grace_ends = Some(Instant::now() + self.parts.options.grace);
        self.parts.emit(EventKind::Stopping);
        // Polls write nothing: they need not end.
        self.abort_polls();
    }

    fn abort_polls(&mut self) {
        if !self.must_end() {
            self.tasks.abort_all();
        }
    }

    /// True while something is under way that a stop does not cut off: a begun attempt, a status that is being shown, a
    /// receiver that is being told.
    fn must_end(&self) -> bool {
        let must = |job: &Job| matches!(job, Job::Attempt(_) | Job::Report(_) | Job::Notice(_));
        self.jobs.values().any(must)
    }

    fn is_finished(&self) -> bool {
        if self.grace_ends.is_some() {
            return self.tasks.is_empty() || !self.must_end();
        }
        let quiet = self.running.is_empty()
            && self.unwritten.is_empty()
            && self.state_ok
            && !self.owes_reports()
            && !self.owes_notices();
        match &self.mode {
            Mode::Run => false,
            Mode::Once => {
                let polled = self.groups.iter().all(|g| g.rounds > 0 && !g.in_flight);
                let answered = self.ledger.inbox.triggers.is_empty();
                let idle = self.runnable().is_empty()
                    && self.ledger.open.values().all(|d| self.is_given_up(d));
                quiet && polled && answered && idle
            }
            Mode::Settle(ids) => {
                let only = self.only(ids);
                let open = |d: &&Delivery| only.has(d);
                let waiting = self.ledger.inbox.triggers.iter().any(|t| ids.contains(&t.id));
                quiet
                    && !waiting
                    && self.ledger.open.values().filter(open).all(|d| self.is_given_up(d))
            }
        }
    }

    /// In one pass an outage is waited for only so long; what is held by a suspension is not waited for at all.
    fn is_given_up(&self, delivery: &Delivery) -> bool {
        let Some(watch) = self.parts.watches.get(&delivery.watch) else { return true };
        let held = delivery.cause == Cause::Change
            && self.ledger.suspension(&delivery.watch, self.parts.clock.now()).is_some();
        let followed = delivery.state.is_final() || delivery.state == DeliveryState::Following;
        if followed && !delivery.is_queued() {
            let failures = self.follow_failures.get(&watch.cluster).map_or(0, |(n, _)| *n);
            return failures > watch.timing.max_retries || self.is_dry(watch);
        }
        held || delivery.tries > watch.timing.max_retries
    }

    async fn finish(mut self) -> Result<Summary, EngineError> {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
        self.write_unwritten().await;
        let stamp = self.parts.clock.now();
        let said = AgentState { ended: Some(stamp), ..self.spoken(Instant::now(), stamp) };
        self.commit(vec![Write::Agent(said)]).await;
        for id in std::mem::take(&mut self.touched) {
            self.summary.deliveries.extend(ledger::delivery(self.parts.store.as_ref(), &id).await?);
        }
        Ok(self.summary)
    }

    /// Notes whether the state could be used, and tells the first time it can't.
    fn state<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let error = crate::error::text(&error);
                self.parts.pulse.wrote(Some(error.clone()));
                if std::mem::replace(&mut self.state_ok, false) {
                    self.parts.emit(EventKind::StateUnavailable { error });
                }
                None
            }
        }
    }

    /// Writes all or nothing, with the statuses that the deliveries among it change, and what is told of them.
    async fn commit(&mut self, mut writes: Vec<Write>) -> bool {
        let reported = self.add_reports(&mut writes).await;
        if self.state(reported).is_none() {
            return false;
        }
        self.add_notices(&mut writes);
        let nothing = writes.is_empty();
        let result = self.ledger.commit(writes).await;
        let kept = self.state(result).is_some();
        // A full disk can still be read: only a write shows that the state is usable again.
        if kept && !nothing {
            self.state_ok = true;
            self.parts.pulse.wrote(None);
        }
        kept
    }

    /// Says that the agent lives, and forgets what is old. Whoever asks the engine is told at once; the state is not
    /// written that often.
    async fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_pulse {
            return;
        }
        self.next_pulse = now + PULSE;
        let stamp = self.parts.clock.now();
        let fastest = self.groups.iter().map(|g| g.interval).min().unwrap_or(BEAT);
        let pace = fastest.min(BEAT);
        let state = self.spoken(now, stamp);
        self.parts.pulse.beat(&state, pace);
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + pace;
        let mut writes = vec![Write::Agent(state)];
        if now >= self.next_prune {
            self.next_prune = now + PRUNE;
            let keep = self.parts.options.keep_deliveries;
            writes.extend(
                stamp
                    .checked_sub(self.parts.options.keep)
                    .ok()
                    .map(|before| Write::Prune { before, keep }),
            );
        }
        self.commit(writes).await;
    }

    /// What it says of itself.
    fn spoken(&self, now: Instant, stamp: Timestamp) -> AgentState {
        AgentState {
            holder: self.parts.holder.clone(),
            started: self.started,
            beat: stamp,
            ended: None,
            loops: self.loops(now, stamp),
        }
    }

    /// How each forge's loop keeps its time, by the repository that is most late.
    fn loops(&self, now: Instant, stamp: Timestamp) -> Vec<LoopState> {
        let mut loops: BTreeMap<&str, LoopState> = BTreeMap::new();
        for group in self.groups.iter().filter(|g| g.has_sources()) {
            // Due and not yet answered: since then nothing was heard, whoever is to blame.
            let late = now.saturating_duration_since(group.due);
            let beat = stamp.checked_sub(late).unwrap_or(stamp);
            let (forge, interval) = (group.forge.clone(), group.interval);
            let budget = self.parts.forges[&forge].budget();
            let state = LoopState { forge, beat, interval, budget };
            match loops.get(group.forge.as_str()) {
                Some(other) if other.beat <= beat => {}
                _ => drop(loops.insert(&group.forge, state)),
            }
        }
        loops.into_values().collect()
    }
}

/// Where only triggers are answered, only their repositories are asked.
fn is_asked(mode: &Mode, ledger: &Ledger, group: &Group) -> bool {
    match mode {
        Mode::Run | Mode::Once => true,
        Mode::Settle(_) => ledger.inbox.triggers.iter().any(|t| group.is_source_of(&t.watch)),
    }
}

fn waiting(delivery: &Delivery, at: Timestamp) -> HeadRecord {
    HeadRecord {
        watch: delivery.watch.clone(),
        revision: delivery.revision.clone(),
        reason: Reason::Waiting,
        at,
        delivery: Some(delivery.id.clone()),
        detail: delivery.error.clone(),
    }
}
