//! The loop: it owns the state, starts polls and attempts, and takes in how they end. Everything else is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::conclude::{Conclusion, conclude, superseded};
use super::courier::{Attempt, AttemptEnd, AttemptError, Halt, Outcome, Progress};
use super::ledger::{self, BranchKey, Ledger, key_of};
use super::poller::{self, Absorbed, Group};
use super::scheduler::{Start, View, runnable};
use super::{EngineError, Parts, Stop, Summary};
use crate::clock::Timestamp;
use crate::cursor::{BranchState, Mark};
use crate::delivery::{
    Cause, Delivery, DeliveryId, DeliveryState, HeadRecord, Reason, Trigger, TriggerKind,
    TriggerState,
};
use crate::event::EventKind;
use crate::forge::{ForgeError, ForgeErrorKind, HeadsAnswer, HeadsQuery};
use crate::repo::CommitSha;
use crate::revision::Revision;
use crate::store::{AgentLock, AgentState, LoopState, StoreError, Write};
use crate::watch::{ClusterRef, WatchName};

/// How long after a failed write the state is tried again.
const STATE_RETRY: Duration = Duration::from_secs(2);
/// The agent says at most this often that it lives.
const BEAT: Duration = Duration::from_secs(10);
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
    Settle(Vec<DeliveryId>),
}

/// Why the loop woke up.
enum Wake {
    Ended(Result<(Id, Ended), JoinError>),
    Progress(Progress),
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
}

/// What a task is about, should it break down.
enum Job {
    Poll(Vec<usize>),
    Attempt(Box<Delivery>),
}

pub(super) struct Agent {
    parts: Arc<Parts>,
    mode: Mode,
    stop: Stop,
    ledger: Ledger,
    groups: Vec<Group>,
    tasks: JoinSet<Ended>,
    jobs: HashMap<Id, Job>,
    running: HashMap<BranchKey, DeliveryId>,
    retry_at: HashMap<DeliveryId, Instant>,
    shown: HashMap<BranchKey, CommitSha>,
    targets: HashMap<ClusterRef, Arc<Mutex<()>>>,
    /// Triggers, with the rounds that their watch's repository had when they were first seen.
    asked: HashMap<DeliveryId, u64>,
    /// Ends that the store did not take yet.
    unwritten: Vec<AttemptEnd>,
    progress: (mpsc::Sender<Progress>, mpsc::Receiver<Progress>),
    next_inbox: Instant,
    next_beat: Instant,
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
            shown: HashMap::new(),
            targets: HashMap::new(),
            asked: HashMap::new(),
            unwritten: Vec::new(),
            progress: mpsc::channel(16),
            next_inbox: now,
            next_beat: now,
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

    /// Takes up what an earlier agent left: waits that it had begun, and heads that a person's change unparks.
    async fn restore(&mut self) -> Result<(), EngineError> {
        let (now, stamp) = (Instant::now(), self.parts.clock.now());
        for delivery in self.ledger.open.values() {
            let left = delivery
                .next_attempt
                .map(|at| Duration::try_from(at.duration_since(stamp)).unwrap_or_default());
            // A wall clock that was set back must not hold a delivery longer than the longest wait.
            let left = left.unwrap_or_default().min(self.parts.options.backoff.cap);
            // A single pass makes its attempt, however long an earlier pass wanted to wait.
            let left = if matches!(self.mode, Mode::Run) { left } else { Duration::ZERO };
            self.retry_at.insert(delivery.id.clone(), now + left);
        }
        let mut writes = Vec::new();
        for (name, watch) in &self.parts.watches {
            let fingerprint = watch.fingerprint();
            for state in self.ledger.branches.get(name).into_iter().flat_map(BTreeMap::values) {
                if state.parked.as_ref().is_some_and(|p| p.fingerprint != fingerprint) {
                    writes.push(Write::Branch(BranchState { parked: None, ..state.clone() }));
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
                self.start_deliveries().await;
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
            Some(ended) = self.tasks.join_next_with_id() => Wake::Ended(ended),
            () = tokio::time::sleep_until(deadline) => Wake::Tick,
        }
    }

    fn next_wake(&self) -> Instant {
        let asked = |g: &&Group| !g.in_flight && is_asked(&self.mode, &self.ledger, g);
        let polls = self.groups.iter().filter(asked).map(|g| g.due);
        let retries = self.retry_at.values().copied().filter(|at| *at > Instant::now());
        let state =
            (!self.state_ok || !self.unwritten.is_empty()).then(|| Instant::now() + STATE_RETRY);
        let grace = self.grace_ends.into_iter();
        let wakes = polls.chain(retries).chain(state).chain(grace);
        wakes.chain([self.next_inbox]).min().unwrap_or_else(|| Instant::now() + STATE_RETRY)
    }

    fn stopping(&mut self) {
        self.grace_ends = Some(Instant::now() + self.parts.options.grace);
        self.parts.emit(EventKind::Stopping);
        // Polls write nothing: they need not end.
        self.abort_polls();
    }

    fn abort_polls(&mut self) {
        if !self.jobs.values().any(|job| matches!(job, Job::Attempt(_))) {
            self.tasks.abort_all();
        }
    }

    fn is_finished(&self) -> bool {
        if self.grace_ends.is_some() {
            return self.tasks.is_empty()
                || !self.jobs.values().any(|j| matches!(j, Job::Attempt(_)));
        }
        let quiet = self.running.is_empty() && self.unwritten.is_empty() && self.state_ok;
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
                let wanted = self.settling(ids);
                let open = |d: &&Delivery| {
                    wanted.contains(&d.id) || d.trigger.as_ref().is_some_and(|t| ids.contains(t))
                };
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
        held || delivery.tries > watch.timing.max_retries
    }

    async fn finish(mut self) -> Result<Summary, EngineError> {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
        self.write_unwritten().await;
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
                if std::mem::replace(&mut self.state_ok, false) {
                    self.parts
                        .emit(EventKind::StateUnavailable { error: crate::error_text(&error) });
                }
                None
            }
        }
    }

    async fn commit(&mut self, writes: Vec<Write>) -> bool {
        let nothing = writes.is_empty();
        let result = self.ledger.commit(writes).await;
        let kept = self.state(result).is_some();
        // A full disk can still be read: only a write shows that the state is usable again.
        self.state_ok |= kept && !nothing;
        kept
    }

    // ---- polling ----

    fn start_polls(&mut self) {
        let now = Instant::now();
        let mut rounds: BTreeMap<String, Vec<(usize, HeadsQuery)>> = BTreeMap::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            if group.in_flight || group.due > now || !is_asked(&self.mode, &self.ledger, group) {
                continue;
            }
            match group.query(&self.ledger) {
                Some(query) => rounds.entry(group.forge.clone()).or_default().push((index, query)),
                None => {
                    group.due = now + group.interval;
                    group.rounds += 1;
                }
            }
        }
        for (forge, asked) in rounds {
            for (index, _) in &asked {
                self.groups[*index].in_flight = true;
            }
            let port = Arc::clone(&self.parts.forges[&forge]);
            let indexes = asked.iter().map(|(index, _)| *index).collect();
            let task = self.tasks.spawn(async move {
                let started = Instant::now();
                let queries: Vec<HeadsQuery> =
                    asked.iter().map(|(_, query)| query.clone()).collect();
                let answers = port.heads(&queries).await;
                Ended::Polled { forge, asked, answers, took: started.elapsed() }
            });
            self.jobs.insert(task.id(), Job::Poll(indexes));
        }
    }

    async fn polled(
        &mut self,
        forge: String,
        asked: Vec<(usize, HeadsQuery)>,
        answers: Vec<Result<HeadsAnswer, ForgeError>>,
        took: Duration,
    ) {
        let mut answers = answers.into_iter();
        let (mut answered, mut failed) = (0, 0);
        for (index, query) in asked {
            let answer = answers.next().unwrap_or_else(|| {
                let text = format!("forge {forge} gave fewer answers than it was asked questions");
                Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text))
            });
            *(if answer.is_ok() { &mut answered } else { &mut failed }) += 1;
            if let Err(error) = &answer {
                self.note_poll_error(index, error);
            }
            self.absorb(index, &query, answer).await;
        }
        self.parts.emit(EventKind::Polled { forge, answered, failed, took });
        self.take_triggers().await;
    }

    fn note_poll_error(&mut self, index: usize, error: &ForgeError) {
        let group = &self.groups[index];
        for watch in self.parts.watches.values().filter(|w| group.is_source_of(&w.name)) {
            let entry = (watch.name.clone(), error.kind(), crate::error_text(error));
            self.summary.poll_errors.push(entry);
        }
        // A long run needs no list of its outages: they are told as events.
        if matches!(self.mode, Mode::Run) {
            self.summary.poll_errors.clear();
        }
    }

    async fn absorb(
        &mut self,
        index: usize,
        query: &HeadsQuery,
        answer: Result<HeadsAnswer, ForgeError>,
    ) {
        let stamp = self.parts.clock.now();
        let backoff = self.parts.options.backoff;
        let Absorbed { mut writes, mut events, closed } =
            self.groups[index].absorb(query, answer, &self.ledger, stamp, &backoff);
        for (key, by) in closed {
            let waiting =
                self.ledger.open_change(&key).filter(|_| !self.running.contains_key(&key));
            if let Some(delivery) = waiting.cloned() {
                let end = superseded(delivery, by, stamp);
                writes.extend(end.writes);
                events.extend(end.events);
            }
        }
        if self.commit(writes).await {
            for event in events {
                self.parts.emit(event);
            }
            self.follow_manifests(index, stamp).await;
        } else {
            // What was not kept must be asked for again, whatever the interval.
            self.groups[index].due = Instant::now() + STATE_RETRY;
        }
    }

    /// A change of B, for watches that also follow B, is a durable trigger: one for each pair of commits.
    async fn follow_manifests(&mut self, index: usize, stamp: Timestamp) {
        for ((watch, branch), sha) in self.groups[index].moved_manifests(&self.ledger) {
            let key = format!("manifests {watch} {branch} {sha}");
            let id = self.parts.new_id();
            let kind = TriggerKind::Deliver { branch, sha: None };
            let state = TriggerState::Pending;
            let trigger = Trigger { id, key, watch, kind, cause: Cause::Change, at: stamp, state };
            let kept = self.parts.store.request(&trigger).await;
            self.state(kept);
        }
    }

    // ---- triggers ----

    /// Looks at every pending trigger: asks its repository anew, or answers those that need no delivery of a head.
    async fn take_triggers(&mut self) {
        for trigger in self.ledger.inbox.triggers.clone() {
            if matches!(&self.mode, Mode::Settle(ids) if !ids.contains(&trigger.id)) {
                continue;
            }
            match &trigger.kind {
                TriggerKind::Deliver { .. } => self.take_deliver(trigger).await,
                TriggerKind::Retry(id) => self.take_retry(trigger.clone(), id).await,
                TriggerKind::Rerun { delivery, .. } => {
                    self.take_rerun(trigger.clone(), delivery).await
                }
            }
        }
    }

    async fn take_deliver(&mut self, trigger: Trigger) {
        let TriggerKind::Deliver { branch, sha } = &trigger.kind else { return };
        let Some(watch) = self.parts.watches.get(&trigger.watch).cloned() else {
            return self.reject(&trigger, format!("there is no watch {}", trigger.watch)).await;
        };
        if !watch.source.branches.matches(branch) {
            let text = format!(
                "watch {} does not select branch {branch}; it selects {}",
                watch.name, watch.source.branches
            );
            return self.reject(&trigger, text).await;
        }
        let group = self.groups.iter_mut().find(|g| g.is_source_of(&watch.name));
        let Some(group) = group else { return };
        let first = *self.asked.entry(trigger.id.clone()).or_insert_with(|| {
            group.due = group.due.min(Instant::now());
            // A round that is under way may have begun before the push.
            group.rounds + u64::from(group.in_flight)
        });
        let asked = group.rounds > first;
        let state = self.ledger.branch(&(watch.name.clone(), branch.clone()));
        let known = state.is_some_and(|s| s.gone.is_none());
        if asked && !known && sha.is_none() {
            let text = match self.ledger.watches.get(&watch.name) {
                Some(known) if known.unreachable.is_none() => {
                    format!("{} has no branch {branch}", watch.source.repo)
                }
                _ => format!(
                    "{} does not answer, and branch {branch} was never seen",
                    watch.source.repo
                ),
            };
            self.reject(&trigger, text).await;
        }
    }

    async fn reject(&mut self, trigger: &Trigger, why: String) {
        let state = TriggerState::Rejected(why.clone());
        if self.commit(vec![Write::Trigger(Trigger { state, ..trigger.clone() })]).await {
            self.told(trigger, Err(why));
        }
    }

    fn told(&mut self, trigger: &Trigger, answer: Result<DeliveryId, String>) {
        self.asked.remove(&trigger.id);
        let (id, watch) = (trigger.id.clone(), trigger.watch.clone());
        self.parts.emit(EventKind::TriggerAnswered { trigger: id, watch, answer });
    }

    async fn kept(&mut self, id: &DeliveryId) -> Option<Option<Delivery>> {
        let found = ledger::delivery(self.parts.store.as_ref(), id).await;
        self.state(found)
    }

    async fn take_retry(&mut self, trigger: Trigger, id: &DeliveryId) {
        let Some(found) = self.kept(id).await else { return };
        let Some(mut delivery) = found else {
            return self.reject(&trigger, format!("there is no delivery {id}")).await;
        };
        if matches!(delivery.state, DeliveryState::Succeeded | DeliveryState::Superseded) {
            let text =
                format!("delivery {id} has {}; to run it anew use rerun", delivery.state.as_str());
            return self.reject(&trigger, text).await;
        }
        if self.running.values().any(|running| running == id) {
            return self.answer(&trigger, id, Vec::new()).await;
        }
        (delivery.failures, delivery.tries, delivery.next_attempt, delivery.finished) =
            (0, 0, None, None);
        delivery.state = DeliveryState::Pending;
        let mut writes = Vec::new();
        if let Some(state) = self.ledger.branch(&key_of(&delivery)) {
            writes.push(Write::Branch(BranchState { parked: None, ..state.clone() }));
        }
        writes.push(Write::Delivery(Box::new(delivery)));
        self.retry_at.remove(id);
        self.answer(&trigger, id, writes).await;
    }

    async fn take_rerun(&mut self, trigger: Trigger, id: &DeliveryId) {
        let Some(found) = self.kept(id).await else { return };
        let Some(earlier) = found else {
            return self.reject(&trigger, format!("there is no delivery {id}")).await;
        };
        if earlier.intent.is_none() {
            let text =
                format!("delivery {id} never got as far as the cluster; use retry or trigger");
            return self.reject(&trigger, text).await;
        }
        let mut delivery =
            self.new_delivery(&earlier.watch, earlier.revision.clone(), Cause::Rerun);
        delivery.trigger = Some(trigger.id.clone());
        delivery.intent = earlier.intent;
        let id = delivery.id.clone();
        self.answer(&trigger, &id, vec![Write::Delivery(Box::new(delivery))]).await;
    }

    async fn answer(&mut self, trigger: &Trigger, delivery: &DeliveryId, mut writes: Vec<Write>) {
        let state = TriggerState::Taken(delivery.clone());
        writes.push(Write::Trigger(Trigger { state, ..trigger.clone() }));
        if self.commit(writes).await {
            self.touched.insert(delivery.clone());
            self.told(trigger, Ok(delivery.clone()));
        }
    }

    // ---- deliveries ----

    fn runnable(&self) -> Vec<Start> {
        let fresh: HashSet<DeliveryId> = self
            .ledger
            .inbox
            .triggers
            .iter()
            .filter(|t| self.is_fresh(t))
            .map(|t| t.id.clone())
            .collect();
        let only = if let Mode::Settle(ids) = &self.mode { Some(self.settling(ids)) } else { None };
        runnable(&View {
            ledger: &self.ledger,
            watches: &self.parts.watches,
            running: &self.running,
            retry_at: &self.retry_at,
            shown: &self.shown,
            fresh: &fresh,
            only: only.as_deref(),
            now: Instant::now(),
            stamp: self.parts.clock.now(),
        })
    }

    /// The triggers to answer, and the deliveries that answer them.
    fn settling(&self, triggers: &[DeliveryId]) -> Vec<DeliveryId> {
        triggers.iter().cloned().chain(self.touched.iter().cloned()).collect()
    }

    /// True once the trigger's repository was asked after the trigger came, or its commit is given.
    fn is_fresh(&self, trigger: &Trigger) -> bool {
        let TriggerKind::Deliver { branch, sha } = &trigger.kind else { return false };
        let key = (trigger.watch.clone(), branch.clone());
        let known = self.ledger.branch(&key).is_some_and(|s| s.gone.is_none());
        let group = self.groups.iter().find(|g| g.is_source_of(&trigger.watch));
        let asked =
            self.asked.get(&trigger.id).zip(group).is_some_and(|(first, g)| g.rounds > *first);
        asked && (known || sha.is_some())
    }

    async fn start_deliveries(&mut self) {
        for start in self.runnable() {
            if self.running.len() >= self.parts.options.max_parallel {
                break;
            }
            self.start_one(start).await;
            if !self.state_ok {
                break;
            }
        }
    }

    async fn start_one(&mut self, start: Start) {
        let stamp = self.parts.clock.now();
        let mut writes = Vec::new();
        let mut answered = None;
        let delivery = match start {
            Start::Resume(id) => self.ledger.open[&id].clone(),
            Start::Change(key) => {
                let Some(state) = self.ledger.branch(&key) else { return };
                let revision = Revision { branch: key.1.clone(), sha: state.observed.sha.clone() };
                self.new_delivery(&key.0, revision, Cause::Change)
            }
            Start::Trigger(id) => {
                let Some(trigger) = self.ledger.inbox.triggers.iter().find(|t| t.id == id).cloned()
                else {
                    return;
                };
                let Some(delivery) = self.triggered(&trigger) else { return };
                let state = TriggerState::Taken(delivery.id.clone());
                writes.push(Write::Trigger(Trigger { state, ..trigger.clone() }));
                answered = Some(trigger);
                delivery
            }
        };
        let key = key_of(&delivery);
        if let Some(by) = self.newer_head(&delivery) {
            let end = superseded(delivery, Some(by), stamp);
            return self.written(end).await;
        }
        if let Some(state) = self.ledger.branch(&key).filter(|_| !delivery.dry_run) {
            let attempted = Some(Mark { sha: delivery.revision.sha.clone(), at: stamp });
            writes.push(Write::Branch(BranchState { attempted, ..state.clone() }));
            writes.push(Write::Head(waiting(&delivery, stamp)));
        }
        writes.push(Write::Delivery(Box::new(delivery.clone())));
        if !self.commit(writes).await {
            return;
        }
        if let Some(trigger) = answered {
            self.told(&trigger, Ok(delivery.id.clone()));
        }
        self.launch(delivery, key).await;
    }

    fn new_delivery(&self, watch: &WatchName, revision: Revision, cause: Cause) -> Delivery {
        let deployer =
            self.parts.watches.get(watch).map(|w| &self.parts.deployers[&w.cluster.deployer]);
        Delivery {
            id: self.parts.new_id(),
            watch: watch.clone(),
            revision,
            cause,
            trigger: None,
            dry_run: deployer.is_some_and(|d| d.is_dry_run()),
            state: DeliveryState::Pending,
            started: self.parts.clock.now(),
            finished: None,
            intent: None,
            failures: 0,
            tries: 0,
            next_attempt: None,
            objects: Vec::new(),
            steps: Vec::new(),
            notes: Vec::new(),
            error: None,
            superseded_by: None,
        }
    }

    fn triggered(&self, trigger: &Trigger) -> Option<Delivery> {
        let TriggerKind::Deliver { branch, sha } = &trigger.kind else { return None };
        let key = (trigger.watch.clone(), branch.clone());
        let sha =
            sha.clone().or_else(|| self.ledger.branch(&key).map(|s| s.observed.sha.clone()))?;
        let revision = Revision { branch: branch.clone(), sha };
        let mut delivery = self.new_delivery(&trigger.watch, revision, trigger.cause);
        delivery.trigger = Some(trigger.id.clone());
        Some(delivery)
    }

    /// The head that takes a change's place, if there is a newer one.
    fn newer_head(&self, delivery: &Delivery) -> Option<CommitSha> {
        let state = self.ledger.branch(&key_of(delivery))?;
        let is_change = delivery.cause == Cause::Change && delivery.trigger.is_none();
        (is_change && state.observed.sha != delivery.revision.sha)
            .then(|| state.observed.sha.clone())
    }

    async fn launch(&mut self, delivery: Delivery, key: BranchKey) {
        let Some(watch) = self.parts.watches.get(&delivery.watch).cloned() else { return };
        let Some(only) = self.rerun_filter(&delivery).await else { return };
        let target = Arc::clone(self.targets.entry(watch.cluster.clone()).or_default());
        self.parts.emit(EventKind::DeliveryStarted {
            id: delivery.id.clone(),
            watch: delivery.watch.clone(),
            revision: delivery.revision.clone(),
            cause: delivery.cause,
            attempt: delivery.tries + 1,
        });
        self.running.insert(key, delivery.id.clone());
        self.retry_at.remove(&delivery.id);
        self.touched.insert(delivery.id.clone());
        if matches!(self.mode, Mode::Run) {
            self.touched.clear();
        }
        let job = Job::Attempt(Box::new(delivery.clone()));
        let attempt = Attempt {
            source: Arc::clone(&self.parts.forges[&watch.source.forge]),
            manifests: Arc::clone(&self.parts.forges[&watch.manifests.forge]),
            deployer: Arc::clone(&self.parts.deployers[&watch.cluster.deployer]),
            delivery,
            watch,
            target,
            only,
            progress: self.progress.0.clone(),
            clock: Arc::clone(&self.parts.clock),
            stop: self.stop.clone(),
        };
        let task = self.tasks.spawn(async move { Ended::Attempted(Box::new(attempt.run().await)) });
        self.jobs.insert(task.id(), job);
    }

    /// What a rerun is limited to; the outer `None` means that the state could not be read.
    async fn rerun_filter(
        &mut self,
        delivery: &Delivery,
    ) -> Option<Option<BTreeSet<(String, usize)>>> {
        let Some(id) = delivery.trigger.as_ref().filter(|_| delivery.cause == Cause::Rerun) else {
            return Some(None);
        };
        let trigger = self.parts.store.trigger(id).await;
        let trigger = self.state(trigger)?;
        let Some(TriggerKind::Rerun { delivery, failed_only: true }) = trigger.map(|t| t.kind)
        else {
            return Some(None);
        };
        let earlier = self.kept(&delivery).await?;
        let failed =
            earlier.into_iter().flat_map(|d| d.objects).filter(|o| !o.action.is_acknowledged());
        Some(Some(failed.map(|o| (o.object.path, o.object.document)).collect()))
    }

    /// A delivery wants to take its next step: it may once that is written down.
    async fn proceed(&mut self, progress: Progress) {
        let Progress { delivery, go } = progress;
        let newer =
            self.newer_head(&delivery).filter(|_| delivery.state != DeliveryState::Applying);
        let answer = if self.grace_ends.is_some() {
            Err(Halt::Stopping)
        } else if let Some(by) = newer {
            Err(Halt::Superseded(by))
        } else {
            let (id, watch, state) = (delivery.id.clone(), delivery.watch.clone(), delivery.state);
            if self.commit(vec![Write::Delivery(delivery)]).await {
                self.parts.emit(EventKind::DeliveryStep { id, watch, state });
                Ok(())
            } else {
                Err(Halt::State("see the event before".into()))
            }
        };
        // An attempt that is gone needs no answer.
        go.send(answer).ok();
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        match ended {
            Ok((id, Ended::Polled { forge, asked, answers, took })) => {
                self.jobs.remove(&id);
                self.polled(forge, asked, answers, took).await;
            }
            Ok((id, Ended::Attempted(end))) => {
                self.jobs.remove(&id);
                self.attempted(*end).await;
            }
            Err(error) => self.broke_down(&error).await,
        }
    }

    /// A task was cut off by a stop, or an embedder's port panicked: neither may hold its branch or repository.
    async fn broke_down(&mut self, error: &JoinError) {
        match self.jobs.remove(&error.id()) {
            Some(Job::Poll(indexes)) => {
                for index in indexes {
                    self.groups[index].in_flight = false;
                    self.groups[index].due = Instant::now() + self.groups[index].interval;
                }
            }
            Some(Job::Attempt(begun)) => {
                let delivery = self.ledger.open.get(&begun.id).cloned().unwrap_or(*begun);
                let outcome = if error.is_cancelled() {
                    Outcome::Interrupted
                } else {
                    Outcome::Failed(AttemptError::Panic(error.to_string()))
                };
                self.attempted(AttemptEnd { delivery, manifests: None, outcome }).await;
            }
            None => {}
        }
    }

    async fn attempted(&mut self, end: AttemptEnd) {
        self.running.remove(&key_of(&end.delivery));
        self.unwritten.push(end);
        self.write_unwritten().await;
    }

    /// Writes down how attempts ended. What the store does not take is kept here and tried again.
    async fn write_unwritten(&mut self) {
        for end in std::mem::take(&mut self.unwritten) {
            self.conclude(end).await;
        }
    }

    async fn conclude(&mut self, end: AttemptEnd) {
        let stamp = self.parts.clock.now();
        let Some(watch) = self.parts.watches.get(&end.delivery.watch).cloned() else { return };
        let key = key_of(&end.delivery);
        let again = AttemptEnd {
            delivery: end.delivery.clone(),
            manifests: end.manifests.clone(),
            outcome: Outcome::Interrupted,
        };
        let (id, dry_run, sha) =
            (end.delivery.id.clone(), end.delivery.dry_run, end.delivery.revision.sha.clone());
        let done = matches!(end.outcome, Outcome::Done | Outcome::Passed(_));
        let conclusion =
            conclude(end, &watch, self.ledger.branch(&key), stamp, &self.parts.options.backoff);
        if let Some(wait) = conclusion.retry {
            self.retry_at.insert(id, Instant::now() + wait);
        }
        if dry_run && done {
            self.shown.insert(key, sha);
        }
        self.written_or(conclusion, again).await;
    }

    async fn written(&mut self, conclusion: Conclusion) {
        if self.commit(conclusion.writes).await {
            for event in conclusion.events {
                self.parts.emit(event);
            }
        }
    }

    /// An end that the store did not take is an interruption: the attempt is made once more, which makes nothing
    /// twice.
    async fn written_or(&mut self, conclusion: Conclusion, again: AttemptEnd) {
        if self.commit(conclusion.writes).await {
            for event in conclusion.events {
                self.parts.emit(event);
            }
        } else {
            self.running.remove(&key_of(&again.delivery));
            self.unwritten.push(again);
        }
    }

    // ---- housekeeping ----

    /// Says that the agent lives, and forgets what is old.
    async fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        let stamp = self.parts.clock.now();
        let fastest = self.groups.iter().map(|g| g.interval).min().unwrap_or(BEAT);
        self.next_beat = now + fastest.min(BEAT);
        let mut loops: BTreeMap<&str, LoopState> = BTreeMap::new();
        for group in self.groups.iter().filter(|g| g.has_sources()) {
            let budget = self.parts.forges[&group.forge].budget();
            let fresh = LoopState {
                forge: group.forge.clone(),
                beat: stamp,
                interval: group.interval,
                budget,
            };
            let state = loops.entry(&group.forge).or_insert(fresh);
            state.interval = state.interval.min(group.interval);
        }
        let loops = loops.into_values().collect();
        let state = AgentState {
            holder: self.parts.holder.clone(),
            started: self.started,
            beat: stamp,
            loops,
        };
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
