//! The one loop of an engine: it hands the machine what happens, keeps what the machine decides, tells it, makes its calls,
//! and hands it their ends. Nobody else writes the state.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::courier::{Attempt, AttemptEnd, Halt, Outcome, Progress};
use super::failure::AttemptError;
use super::ledger::{Ledger, ReportKey};
use super::machine::{Call, Effects, Input, Job, Known, Machine, Mode, Moment, Polled};
use super::unsure::Unsure;
use super::{EngineError, Parts, Stop, Summary};
use crate::clock::Timestamp;
use crate::delivery::{Cause, Delivery, RunState, TriggerKind};
use crate::deployer::{DeployError, FollowQuery, Retire, RunChange};
use crate::event::EventKind;
use crate::forge::{Base, ForgeError, HeadsQuery, PullsQuery};
use crate::ids::DeliveryId;
use crate::names::{ClusterRef, WatchName};
use crate::notifier::NotifyError;
use crate::repo::CommitSha;
use crate::store::{
    AgentState, Archive, Claim, DeliveryQuery, InventoryItem, Outgoing, Report, State, StoreError,
    StoreErrorKind, Write,
};
use crate::watch::{ReportMode, Watch};

/// How long after a failed write the state is tried again.
const STATE_RETRY: Duration = Duration::from_secs(2);
/// The state is told at most this often that the agent lives.
const BEAT: Duration = Duration::from_secs(10);
/// Whoever asks the engine is told what was so at most this long ago, and a turn of the loop.
const PULSE: Duration = Duration::from_millis(500);
/// Old records are looked for this often.
const PRUNE: Duration = Duration::from_secs(6 * 3600);

/// Works with the state, again and again until it can be used. Leaves the function if the engine is stopped before.
macro_rules! using {
    ($owner:ident, $work:expr) => {
        loop {
            match $work.await {
                Ok(done) => break done,
                Err(error) => $owner.bear(error).await?,
            }
        }
    };
}

/// Held while a target is written to.
type Turn = OwnedMutexGuard<()>;

/// How a call ended.
enum Ended {
    Polled(Polled),
    /// The turn at the target is held until the end is written down, so that the next attempt counts its runs.
    Attempted(Box<AttemptEnd>, Option<Turn>),
    Followed(ClusterRef, u64),
    Reported(ReportKey, Box<Report>, Result<(), ForgeError>),
    Notified(Box<Outgoing>, Result<(), NotifyError>),
    Retired(Box<Retire>, Vec<InventoryItem>, Result<(), DeployError>),
}

/// What a follower found out. `None` says that the deployer can't follow runs.
struct Seen {
    cluster: ClusterRef,
    number: u64,
    change: Option<Result<RunChange, DeployError>>,
}

/// Why the loop woke up.
enum Wake {
    Input(Input),
    Ended(Result<(Id, Ended), JoinError>),
    Progress(Progress),
}

/// When the loop does what it does of itself.
struct Due {
    inbox: Instant,
    beat: Instant,
    pulse: Instant,
    prune: Instant,
}

pub(super) struct Owner {
    parts: Arc<Parts>,
    known: Arc<Known>,
    stop: Stop,
    machine: Machine,
    tasks: JoinSet<Ended>,
    jobs: HashMap<Id, Job>,
    followers: HashMap<u64, AbortHandle>,
    /// Attempts that wait for their next step, by ticket.
    waiting: HashMap<u64, oneshot::Sender<Result<usize, Halt>>>,
    ticket: u64,
    targets: HashMap<ClusterRef, Arc<Mutex<()>>>,
    progress: (mpsc::Sender<Progress>, mpsc::Receiver<Progress>),
    seen: (mpsc::Sender<Seen>, mpsc::Receiver<Seen>),
    due: Due,
    state_ok: bool,
    /// Once it is told to stop while the state can't be used: until when it waits for that.
    patience: Option<Instant>,
    aborted: bool,
    started: Timestamp,
    claim: Box<dyn Claim>,
    /// Why the state can't be used any more: another agent has claimed it, or it is damaged.
    lost: Option<StoreError>,
    /// Commits whose status was being shown when nothing was kept any more.
    unsure: Unsure,
}

impl Owner {
    /// Claims the store and works until the mode is through or the engine is stopped.
    pub(super) async fn work(
        parts: &Arc<Parts>,
        mode: Mode,
        stop: &Stop,
    ) -> Result<Summary, EngineError> {
        let claim = parts.state.journal.claim(&parts.holder).await?;
        let ledger = Ledger::load(claim.as_ref(), parts.state.archive.as_ref()).await?;
        let known = Arc::clone(&parts.known);
        let now = Instant::now();
        let moment = Moment { instant: now, stamp: parts.clock.now() };
        let (machine, effects) = Machine::start(Arc::clone(&known), mode, ledger, moment);
        let owner = Self {
            parts: Arc::clone(parts),
            known,
            stop: stop.child(),
            machine,
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
            followers: HashMap::new(),
            waiting: HashMap::new(),
            ticket: 0,
            targets: HashMap::new(),
            progress: mpsc::channel(16),
            seen: mpsc::channel(64),
            due: Due { inbox: now, beat: now, pulse: now, prune: now },
            state_ok: true,
            patience: None,
            aborted: false,
            started: moment.stamp,
            claim,
            lost: None,
            unsure: Unsure::default(),
        };
        owner.turn(effects).await
    }

    async fn turn(mut self, first: Effects) -> Result<Summary, EngineError> {
        self.carry(first).await;
        loop {
            self.read_inbox().await;
            self.step(Input::Tick).await;
            self.beat().await;
            if self.is_finished() {
                break;
            }
            match self.wait().await {
                Wake::Input(input) => self.step(input).await,
                Wake::Ended(ended) => self.ended(ended).await,
                Wake::Progress(progress) => self.asked_to_proceed(progress).await,
            }
        }
        self.finish().await
    }

    fn now(&self) -> Moment {
        Moment { instant: Instant::now(), stamp: self.parts.clock.now() }
    }

    async fn step(&mut self, input: Input) {
        let effects = self.machine.step(self.now(), input);
        self.carry(effects).await;
    }

    async fn wait(&mut self) -> Wake {
        let stopping = self.machine.grace_ends().is_some();
        let due = self.machine.next_due().into_iter().chain([self.due.inbox]).min();
        let deadline = due.unwrap_or(self.due.inbox);
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled(), if !stopping => Wake::Input(Input::Stop),
            () = self.stop.hard.cancelled(), if stopping && !self.aborted => Wake::Input(Input::Tick),
            Some(progress) = self.progress.1.recv() => Wake::Progress(progress),
            Some(Seen { cluster, number, change }) = self.seen.1.recv() => {
                Wake::Input(Input::Seen { cluster, number, change })
            }
            Some(ended) = self.tasks.join_next_with_id() => Wake::Ended(ended),
            () = self.parts.hints.arrived() => Wake::Input(Input::Hints(self.parts.hints.take())),
            () = self.parts.inbox_told.notified() => {
                self.due.inbox = Instant::now();
                Wake::Input(Input::Tick)
            }
            () = tokio::time::sleep_until(deadline) => Wake::Input(Input::Tick),
        }
    }

    /// True once nothing more is to be waited for. After the grace period what still goes on is cut off.
    fn is_finished(&mut self) -> bool {
        let Some(grace_ends) = self.machine.grace_ends() else {
            return self.state_ok && self.machine.is_settled();
        };
        if self.stop.is_aborted() || grace_ends <= Instant::now() || self.patience.is_some() {
            self.aborted = true;
            self.tasks.abort_all();
        }
        self.tasks.is_empty() || !self.machine.must_end()
    }

    async fn finish(mut self) -> Result<Summary, EngineError> {
        self.machine.close();
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
        let now = self.now();
        let said = AgentState { ended: Some(now.stamp), ..self.spoken(now) };
        let mut writes = self.machine.late().to_vec();
        writes.push(Write::Agent(said));
        let kept = self.claim.commit(&writes).await;
        self.noted(kept);
        self.unsure.leave(&self.parts).await;
        if let Some(lost) = self.lost {
            return Err(lost.into());
        }
        let (mut summary, touched) = self.machine.into_summary();
        for id in touched {
            summary.deliveries.extend(delivery(self.parts.state.archive.as_ref(), &id).await?);
        }
        Ok(summary)
    }

    async fn asked_to_proceed(&mut self, progress: Progress) {
        let Progress { delivery, wanted, go } = progress;
        self.ticket += 1;
        self.waiting.insert(self.ticket, go);
        self.step(Input::Progress { ticket: self.ticket, delivery, wanted }).await;
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let mut held = None;
        let shown = match &ended {
            Ok((_, Ended::Reported(key, ..))) => Some(key.clone()),
            _ => None,
        };
        let input = match ended {
            Ok((id, ended)) => {
                self.jobs.remove(&id);
                match ended {
                    Ended::Polled(polled) => {
                        self.note_polled(&polled);
                        Input::Polled(polled)
                    }
                    Ended::Attempted(end, turn) => {
                        held = turn;
                        Input::Attempted(end)
                    }
                    Ended::Followed(cluster, number) => {
                        self.followers.remove(&number);
                        Input::Followed(cluster, number)
                    }
                    Ended::Reported(key, report, result) => Input::Reported(key, report, result),
                    Ended::Notified(outgoing, result) => Input::Notified(outgoing, result),
                    Ended::Retired(request, items, result) => {
                        Input::Retired(request, items, result)
                    }
                }
            }
            Err(error) => {
                let Some(job) = self.jobs.remove(&error.id()) else { return };
                let cut_off = error.is_cancelled();
                Input::BrokeDown { job, cut_off, error: error.to_string() }
            }
        };
        self.step(input).await;
        drop(held);
        if let Some(key) = shown.filter(|_| self.lost.is_none() && self.state_ok) {
            self.unsure.kept(&key);
        }
    }

    fn note_polled(&self, polled: &Polled) {
        for ((_, query), answer) in polled.asked.iter().zip(&polled.answers) {
            self.parts.pulse.asked(&polled.forge, &query.repo, answer.is_ok());
        }
    }

    /// Keeps, tells and calls, in this order. Where the state can't be used, it is waited for; a stop ends that, and then
    /// nothing of what was not kept is told or called.
    async fn carry(&mut self, effects: Effects) {
        let (mut due, mut calls) = (Some(effects), VecDeque::new());
        loop {
            if let Some(Effects { writes, events, calls: first }) = due {
                if self.keep(writes).await.is_none() {
                    return;
                }
                for event in events {
                    self.parts.emit(event);
                }
                first.into_iter().rev().for_each(|call| calls.push_front(call));
            }
            let Some(call) = calls.pop_front() else { return };
            // What it comes to is kept before the next call is made, which may read it.
            due = self.make(call).await;
        }
    }

    /// Keeps the writes, with the statuses that the deliveries among them change.
    async fn keep(&mut self, mut writes: Vec<Write>) -> Option<()> {
        if writes.is_empty() {
            return Some(());
        }
        let mut commits: BTreeMap<(WatchName, CommitSha), BTreeMap<DeliveryId, Delivery>> =
            BTreeMap::new();
        for write in &writes {
            let Write::Delivery(delivery) = write else { continue };
            let watch = self.known.reported(&delivery.watch);
            // Of a dry run no commit shows anything.
            let is_shown = |watch: &Arc<Watch>| watch.reporting.mode != ReportMode::Off;
            if !delivery.asked.dry_run && watch.is_some_and(is_shown) {
                let commit = (delivery.watch.clone(), delivery.revision.sha.clone());
                let of_commit = commits.entry(commit).or_default();
                of_commit.insert(delivery.id.clone(), delivery.as_ref().clone());
            }
        }
        for ((watch, sha), written) in commits {
            let before =
                using!(self, delivered_at(self.parts.state.archive.as_ref(), &watch, &sha));
            let written: Vec<&Delivery> = written.values().collect();
            writes.extend(self.machine.add_statuses(&watch, &before, &written));
        }
        for head in self.machine.take_undelivered() {
            let sha = &head.revision.sha;
            let before =
                using!(self, delivered_at(self.parts.state.archive.as_ref(), &head.watch, sha));
            let is_alone = before.iter().all(|d| d.revision.subject == head.revision.subject);
            writes.extend(self.machine.add_undelivered(&head, is_alone));
        }
        using!(self, self.claim.commit(&writes));
        // A full disk can still be read: only a write shows that the state is usable again.
        self.noted(Ok(()));
        Some(())
    }

    /// The state can't be used: waits until it is tried again; `None` if the engine is stopped before.
    async fn bear(&mut self, error: StoreError) -> Option<()> {
        self.noted(Err(error));
        if self.stop.is_stopping() {
            let grace = Instant::now() + self.known.options.grace;
            self.patience.get_or_insert(grace);
        }
        if self.stop.is_aborted() || self.patience.is_some_and(|end| end <= Instant::now()) {
            return None;
        }
        self.pulse();
        tokio::select! {
            () = self.stop.hard.cancelled() => {}
            () = self.stop.soft.cancelled(), if self.patience.is_none() => {}
            () = tokio::time::sleep(STATE_RETRY) => {}
        }
        Some(())
    }

    /// Notes whether the state could be used, and tells the first time it can't. Where that can't pass on its own, all ends at
    /// once.
    fn noted(&mut self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                self.state_ok = true;
                self.parts.pulse.wrote(None);
            }
            Err(error) => {
                let text = crate::error::text(&error);
                self.parts.pulse.wrote(Some(text.clone()));
                if std::mem::replace(&mut self.state_ok, false) {
                    self.parts.emit(EventKind::StateUnavailable { error: text });
                }
                if error.kind() != StoreErrorKind::Unavailable {
                    self.stop.hard();
                    self.lost.get_or_insert(error);
                }
            }
        }
    }

    /// Makes a call. One that only reads the state is answered at once, which may come to more.
    async fn make(&mut self, call: Call) -> Option<Effects> {
        match call {
            Call::Poll { forge, asked, pulls } => self.poll(forge, asked, pulls),
            Call::Attempt { delivery, watch, base } => self.attempt(*delivery, watch, base),
            Call::Proceed(ticket, answer) => {
                // An attempt that is gone needs no answer.
                self.waiting.remove(&ticket).map(|go| go.send(answer));
            }
            Call::Follow { number, query } => self.follow(number, query),
            Call::Unfollow(number) => {
                self.followers.remove(&number).iter().for_each(AbortHandle::abort);
            }
            Call::Report(key, report) => self.report(key, report),
            Call::Notify(outgoing) => self.notify(outgoing),
            Call::Retire(request, items) => {
                let deployer = &self.parts.deployers[&request.cluster.deployer].deployer;
                let (deployer, lease) = (Arc::clone(deployer), self.parts.lease.clone());
                self.tasks.spawn(async move {
                    lease.allows().await;
                    let result = deployer.retire(&request).await;
                    Ended::Retired(request, items, result)
                });
            }
            Call::Recall(recall) => {
                let id = recall.delivery().clone();
                let found = using!(self, delivery(self.parts.state.archive.as_ref(), &id));
                return Some(self.machine.recalled(recall, found));
            }
            Call::Inventory(tidy) => {
                let watch = tidy.watch.clone();
                let items = using!(self, self.parts.state.archive.inventory(&watch));
                return Some(self.machine.tidied(&tidy, items));
            }
            Call::Show(trigger, sha) => {
                let watch = trigger.watch.clone();
                let of_commit =
                    using!(self, delivered_at(self.parts.state.archive.as_ref(), &watch, &sha));
                return Some(self.machine.shown_again(&trigger, &of_commit));
            }
            Call::CutOff => self.tasks.abort_all(),
        }
        None
    }

    fn poll(
        &mut self,
        forge: String,
        asked: Vec<(usize, HeadsQuery)>,
        pulls: Vec<(usize, PullsQuery)>,
    ) {
        let port = Arc::clone(&self.parts.forges[&forge].heads);
        let job = Job::Poll(asked.clone());
        let task = self.tasks.spawn(async move {
            let started = Instant::now();
            let queries: Vec<_> = asked.iter().map(|(_, query)| query.clone()).collect();
            // One after the other: what a pull request's head is is known no later than where its branch is.
            let answers = port.heads(&queries).await;
            let (indices, queries): (Vec<usize>, Vec<PullsQuery>) = pulls.into_iter().unzip();
            let pulls = if queries.is_empty() { Vec::new() } else { port.pulls(&queries).await };
            let pulls = indices.into_iter().zip(pulls).collect();
            Ended::Polled(Polled { forge, asked, answers, pulls, took: started.elapsed() })
        });
        self.jobs.insert(task.id(), job);
    }

    fn attempt(&mut self, delivery: Delivery, watch: Arc<Watch>, base: Option<Base>) {
        let job = Job::Attempt(Box::new(delivery.clone()));
        let state = self.parts.state.clone();
        let ports = &self.parts.deployers[&watch.cluster.deployer];
        let attempt = Attempt {
            base,
            lookups: Arc::clone(&self.parts.lookups),
            source: Arc::clone(&self.parts.forges[&watch.source.forge].source),
            reporter: self.parts.forges[&watch.source.forge].reporter.clone(),
            manifests: self.parts.forges[&watch.manifests.forge].clone(),
            blobs: Arc::clone(&state.blobs),
            cluster: Arc::clone(&ports.cluster),
            deployer: Arc::clone(&ports.deployer),
            target: Arc::clone(self.targets.entry(watch.cluster.clone()).or_default()),
            delivery,
            watch,
            only: None,
            progress: self.progress.0.clone(),
            clock: Arc::clone(&self.parts.clock),
            stop: self.stop.clone(),
            lease: self.parts.lease.clone(),
        };
        let places = Arc::clone(&self.parts.places);
        let task = self.tasks.spawn(async move {
            // Nobody closes it.
            let _place = places.acquire().await;
            match rerun_filter(&state, &attempt.delivery).await {
                Ok(only) => {
                    let (end, turn) = Attempt { only, ..attempt }.run().await;
                    Ended::Attempted(Box::new(end), turn)
                }
                Err(error) => {
                    let outcome = Outcome::Failed(AttemptError::State(crate::error::text(&error)));
                    let (earlier, delivery) = (attempt.delivery.runs.len(), attempt.delivery);
                    Ended::Attempted(Box::new(AttemptEnd { delivery, outcome, earlier }), None)
                }
            }
        });
        self.jobs.insert(task.id(), job);
    }

    fn follow(&mut self, number: u64, query: FollowQuery) {
        let cluster = query.cluster.clone();
        let Some(ports) = self.parts.deployers.get(&cluster.deployer) else { return };
        let deployer = Arc::clone(&ports.deployer);
        let sender = self.seen.0.clone();
        let task = self.tasks.spawn(async move {
            let seen = |change| Seen { cluster: cluster.clone(), number, change };
            match deployer.follow(query) {
                // A closed channel means that the owner is gone.
                None => drop(sender.send(seen(None)).await),
                Some(mut changes) => {
                    while let Some(change) = changes.next().await {
                        let over = change.is_err();
                        if sender.send(seen(Some(change))).await.is_err() || over {
                            break;
                        }
                    }
                }
            }
            Ended::Followed(cluster, number)
        });
        self.followers.insert(number, task);
    }

    fn report(&mut self, key: ReportKey, report: Box<Report>) {
        let Some(watch) = self.known.watches.get(&report.watch) else { return };
        let Some(reporter) = self.parts.forges[&watch.source.forge].reporter.clone() else {
            return;
        };
        let repo = watch.source.repo.clone();
        let job = Job::Report(key.clone());
        self.unsure.begun(&key);
        let lease = self.parts.lease.clone();
        let task = self.tasks.spawn(async move {
            lease.allows().await;
            let result = reporter.set_status(&repo, &report.status).await;
            Ended::Reported(key, report, result)
        });
        self.jobs.insert(task.id(), job);
    }

    fn notify(&mut self, outgoing: Box<Outgoing>) {
        let Some(notifier) = self.parts.notifiers.get(&outgoing.receiver).cloned() else { return };
        let job = Job::Notice(outgoing.receiver.clone());
        let lease = self.parts.lease.clone();
        let task = self.tasks.spawn(async move {
            lease.allows().await;
            let result = notifier.notify(&outgoing.notice).await;
            Ended::Notified(outgoing, result)
        });
        self.jobs.insert(task.id(), job);
    }

    /// Looks for what other programs left.
    async fn read_inbox(&mut self) {
        if Instant::now() < self.due.inbox {
            return;
        }
        self.due.inbox = Instant::now() + self.known.options.inbox_interval;
        match self.parts.state.inbox.requests().await {
            Ok(inbox) => self.step(Input::Inbox(inbox)).await,
            Err(error) => self.noted(Err(error)),
        }
    }

    /// Whoever asks the engine is told that it lives.
    fn pulse(&mut self) {
        let now = self.now();
        if now.instant >= self.due.pulse {
            self.due.pulse = now.instant + PULSE;
            self.parts.pulse.beat(&self.spoken(now), self.pace());
        }
    }

    fn pace(&self) -> Duration {
        self.machine.fastest().unwrap_or(BEAT).min(BEAT)
    }

    /// Says that the agent lives, and forgets what is old. The state is not written as often as others are told.
    async fn beat(&mut self) {
        self.pulse();
        let now = self.now();
        if now.instant < self.due.beat {
            return;
        }
        let mut writes = self.machine.late().to_vec();
        writes.push(Write::Agent(self.spoken(now)));
        let keep = self.known.options.keep_deliveries;
        if now.instant >= self.due.prune {
            self.due.prune = now.instant + PRUNE;
            let before = now.stamp.checked_sub(self.known.options.keep).ok();
            writes.extend(before.map(|before| Write::Prune { before, keep }));
        }
        let kept = self.claim.commit(&writes).await;
        let again = if kept.is_ok() { self.pace() } else { STATE_RETRY.min(self.pace()) };
        if kept.is_ok() {
            self.machine.kept_late();
        }
        self.due.beat = now.instant + again;
        self.noted(kept);
    }

    /// What it says of itself.
    fn spoken(&self, now: Moment) -> AgentState {
        let mut loops = self.machine.loops(now);
        for (forge, state) in &mut loops {
            state.budget = self.parts.forges[forge].heads.budget();
        }
        AgentState {
            holder: self.parts.holder.clone(),
            started: self.started,
            beat: now.stamp,
            ended: None,
            loops: loops.into_values().collect(),
        }
    }
}

/// One delivery by its whole id.
pub(super) async fn delivery(
    archive: &dyn Archive,
    id: &DeliveryId,
) -> Result<Option<Delivery>, StoreError> {
    let (id_prefix, limit) = (Some(id.to_string()), Some(1));
    let query = DeliveryQuery { id_prefix, limit, ..DeliveryQuery::default() };
    Ok(archive.deliveries(&query).await?.into_iter().next())
}

/// All deliveries of a watch at one commit that are kept, oldest first.
async fn delivered_at(
    archive: &dyn Archive,
    watch: &WatchName,
    sha: &CommitSha,
) -> Result<Vec<Delivery>, StoreError> {
    let (watch, sha) = (Some(watch.clone()), Some(sha.clone()));
    let query = DeliveryQuery { watch, sha, ..DeliveryQuery::default() };
    let mut deliveries = archive.deliveries(&query).await?;
    deliveries.reverse();
    Ok(deliveries)
}

/// The documents that a rerun is limited to, each a path and its place; `None` is all.
async fn rerun_filter(
    state: &State,
    of: &Delivery,
) -> Result<Option<BTreeSet<(String, usize)>>, StoreError> {
    let Some(id) = of.asked.trigger.as_ref().filter(|_| of.asked.cause == Cause::Rerun) else {
        return Ok(None);
    };
    let kind = state.inbox.trigger(id).await?.map(|trigger| trigger.kind);
    let Some(TriggerKind::Rerun { delivery: earlier, failed_only: true }) = kind else {
        return Ok(None);
    };
    let earlier = delivery(state.archive.as_ref(), &earlier).await?;
    Ok(Some(earlier.as_ref().map(failed_documents).unwrap_or_default()))
}

/// The documents whose object was not acknowledged, or whose run did not succeed.
fn failed_documents(delivery: &Delivery) -> BTreeSet<(String, usize)> {
    let objects = delivery.objects.iter().filter(|o| !o.action.is_acknowledged());
    let runs = delivery.runs.iter().filter(|run| run.state != RunState::Succeeded);
    let objects = objects.map(|o| &o.object).chain(runs.map(|run| &run.object));
    objects.map(|object| (object.path.clone(), object.document)).collect()
}
