//! All that is outside the machine, as values: a forge, a cluster, what is kept, and time that passes when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cancels::Cancels;
use super::cluster::{LONG, Run, SHORT};
use super::reference::{Branch, Cluster};
use crate::clock::Timestamp;
use crate::cursor::Cursors;
use crate::delivery::{Delivery, DeliveryState, Intent, Reason, RunRecord, RunState, Trigger};
use crate::deployer::{DeployError, DeployErrorKind, FollowQuery, Retire};
use crate::engine::Options;
use crate::engine::courier::{AttemptEnd, Halt, Outcome};
use crate::engine::failure::AttemptError;
use crate::engine::ledger::Ledger;
use crate::engine::machine::{Call, Effects, Input, Known, Machine, Mode, Moment, Polled};
use crate::forge::{ForgeError, ForgeErrorKind, HeadList, HeadsAnswer, HeadsQuery};
use crate::ids::{DeliveryId, TriggerId};
use crate::plan::{Action, ObjectOutcome, ObjectRef};
use crate::repo::CommitSha;
use crate::revision::Revision;
use crate::store::Write;
use crate::testing::sample;
use crate::watch::SubjectSelector;
use crate::watch::sample::watch;

pub(super) const INTERVAL: Duration = Duration::from_secs(5);
/// Long enough for the head to be seen elsewhere meanwhile.
pub(super) const APPLY: Duration = Duration::from_secs(7);
/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(10);
/// The runs that B holds.
const RUNS: [&str; 2] = ["one", "two"];

/// What is kept, and read back by the next agent.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) ledger: Ledger,
    pub(super) deliveries: BTreeMap<DeliveryId, Delivery>,
    pub(super) triggers: BTreeMap<TriggerId, Trigger>,
}

impl Kept {
    fn commit(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Delivery(newer) => {
                    let older = self.deliveries.insert(newer.id.clone(), *newer.clone());
                    let was_cancelled = older.is_some_and(|older| older.cancelled.is_some());
                    assert!(!was_cancelled || newer.cancelled.is_some(), "a cancel was taken back");
                }
                Write::Trigger(t) => drop(self.triggers.insert(t.id.clone(), t.clone())),
                _ => {}
            }
        }
        writes.iter().cloned().for_each(|write| self.ledger.apply(write));
        self.ledger.newest = self.deliveries.keys().next_back().cloned();
    }
}

/// An attempt that is under way.
struct Attempt {
    delivery: Delivery,
    earlier: usize,
    step: DeliveryState,
}

/// Something that will happen.
enum Happening {
    Answer {
        forge: String,
        asked: Vec<(usize, HeadsQuery)>,
    },
    Step(DeliveryId),
    Applied(DeliveryId),
    /// A follower lists the runs, and tells that it did.
    Listed(u64),
    /// The runs were asked to end.
    Retired(Box<Retire>),
}

pub(super) struct World {
    machine: Option<Machine>,
    began: Instant,
    /// What passed since.
    pub(super) time: Duration,
    pub(super) days: i64,
    due: BTreeMap<(Duration, u64), Happening>,
    pub(super) number: u64,
    attempts: BTreeMap<DeliveryId, Attempt>,
    /// Attempts that asked for a step, with the runs that they want to create, by ticket.
    asking: BTreeMap<u64, (DeliveryId, Vec<RunRecord>)>,
    /// Whose turn it is at the target, and who waits for one.
    turn: Option<DeliveryId>,
    queue: VecDeque<DeliveryId>,
    pub(super) heads: BTreeMap<Branch, CommitSha>,
    pub(super) commits: Vec<CommitSha>,
    pub(super) tests: CommitSha,
    pub(super) forge_is_away: bool,
    pub(super) cluster: Cluster,
    /// The keys of the runs that were made.
    pub(super) made: Vec<String>,
    pub(super) runs: Vec<Run>,
    /// What each follower follows, and whether it has listed it.
    pub(super) followers: BTreeMap<u64, (FollowQuery, bool)>,
    pub(super) cancels: Cancels,
    pub(super) kept: Kept,
    /// How many more moments, before and after each commit, the agent lives.
    pub(super) left: usize,
    pub(super) selects_dev: bool,
    /// What the other subject is, by its text.
    pub(super) dev: &'static str,
    /// What each request was acknowledged with, and when that was first asked for.
    pub(super) requests: BTreeMap<usize, (TriggerId, Timestamp)>,
    pub(super) latest: Timestamp,
    /// The heads that each branch's cursor stood at, in order.
    pub(super) delivered: BTreeMap<String, Vec<CommitSha>>,
    pub(super) faults: Vec<String>,
}

impl World {
    pub(super) fn new(dev: &'static str) -> Self {
        let mut world = Self {
            machine: None,
            began: Instant::now(),
            time: Duration::ZERO,
            days: 0,
            due: BTreeMap::new(),
            number: 0,
            attempts: BTreeMap::new(),
            asking: BTreeMap::new(),
            turn: None,
            queue: VecDeque::new(),
            heads: BTreeMap::new(),
            commits: Vec::new(),
            tests: sample::sha(1_000_000),
            forge_is_away: false,
            cluster: Cluster::Well,
            made: Vec::new(),
            runs: Vec::new(),
            followers: BTreeMap::new(),
            cancels: Cancels::default(),
            kept: Kept::default(),
            left: usize::MAX,
            selects_dev: true,
            dev,
            requests: BTreeMap::new(),
            latest: Timestamp::UNIX_EPOCH,
            delivered: BTreeMap::new(),
            faults: Vec::new(),
        };
        world.push(Branch::Main);
        world
    }

    pub(super) fn cursors(&self) -> impl Iterator<Item = &Cursors> {
        self.kept.ledger.cursors.values().flat_map(BTreeMap::values).map(AsRef::as_ref)
    }

    /// True if all runs of a branch's commit are on the cluster, made for the change or for one request.
    pub(super) fn is_complete(&self, branch: &str, sha: &CommitSha) -> bool {
        let mut made = BTreeMap::<&str, usize>::new();
        let start = format!("{branch}|{sha}|");
        for key in self.made.iter().filter(|key| key.starts_with(&start)) {
            *made.entry(key.rsplit('|').next().unwrap_or_default()).or_default() += 1;
        }
        made.values().any(|runs| *runs == RUNS.len())
    }

    pub(super) fn now(&self) -> Moment {
        let seconds = 1_790_000_000 + self.days * 24 * 3600;
        let stamp = Timestamp::from_second(seconds).expect("a time") + self.time;
        Moment { instant: self.began + self.time, stamp }
    }

    fn die(&mut self) {
        self.machine = None;
        self.due.clear();
        self.attempts.clear();
        self.asking.clear();
        self.followers.clear();
        (self.turn, self.queue) = (None, VecDeque::new());
    }

    pub(super) fn restart(&mut self) {
        self.die();
        self.left = usize::MAX;
        let mut watch = watch("qa", &["main"]);
        let selected = [Branch::Main, Branch::Dev].map(|branch| sample::subject(self.name(branch)));
        let number = if self.selects_dev { 2 } else { 1 };
        watch.source.subjects = SubjectSelector::named(&selected[..number]);
        watch.timing.polling_interval = INTERVAL;
        let mut options = Options::default();
        options.backoff.cap = Duration::from_secs(60);
        let known = Known {
            watches: [(watch.name.clone(), Arc::new(watch))].into(),
            options,
            dry: Default::default(),
            reporters: ["forge".to_owned()].into(),
            notifiers: Default::default(),
        };
        let ledger = self.kept.ledger.clone();
        let (machine, effects) = Machine::start(Arc::new(known), Mode::Run, ledger, self.now());
        self.machine = Some(machine);
        self.carry(effects);
    }

    /// Time passes, second by second: each begins with a look for what people left.
    pub(super) fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let end = self.time + Duration::from_secs(1);
            let inbox = self.kept.ledger.inbox.clone();
            self.input(Input::Inbox(inbox));
            self.end_runs();
            while let Some(next) = self.next(end) {
                self.time = next;
                self.turn_once();
            }
            self.time = end;
        }
    }

    /// When something is due before that.
    fn next(&self, end: Duration) -> Option<Duration> {
        let machine = self.machine.as_ref()?;
        let happens = self.due.keys().next().map(|(at, _)| *at);
        let wakes = machine.next_due().map(|at| at.saturating_duration_since(self.began));
        happens.into_iter().chain(wakes).map(|at| at.max(self.time)).min().filter(|at| *at < end)
    }

    fn turn_once(&mut self) {
        match self.due.first_entry().filter(|entry| entry.key().0 <= self.time) {
            Some(entry) => {
                let happening = entry.remove();
                self.happen(happening);
            }
            None => {
                self.input(Input::Tick);
                let next = self.machine.as_ref().and_then(Machine::next_due);
                assert!(next.is_none_or(|at| at > self.now().instant), "due now, and not begun");
            }
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        let now = self.now();
        if let Some(machine) = &mut self.machine {
            let effects = machine.step(now, input);
            machine.compare_with_a_walk();
            self.carry(effects);
        }
    }

    /// As the owner does; the agent may die before or after the writes are kept.
    fn carry(&mut self, effects: Effects) {
        let (mut due, mut calls) = (Some(effects), VecDeque::new());
        loop {
            if let Some(Effects { writes, events: _, calls: first }) = due {
                if !self.keep(&writes) {
                    return self.die();
                }
                first.into_iter().rev().for_each(|call| calls.push_front(call));
            }
            let Some(call) = calls.pop_front() else { return };
            due = self.make(call);
        }
    }

    /// False if the agent dies before the writes are kept, or after.
    fn keep(&mut self, writes: &[Write]) -> bool {
        if writes.is_empty() {
            return true;
        }
        if !self.lives() {
            return false;
        }
        writes.iter().for_each(|write| self.look(write));
        self.faults.extend(self.cancels.look(writes));
        self.kept.commit(writes);
        self.lives()
    }

    fn lives(&mut self) -> bool {
        let lives = self.left > 0;
        self.left = self.left.saturating_sub(1);
        lives
    }

    /// Judges every cursor as it is written.
    fn look(&mut self, write: &Write) {
        let Write::Cursors(cursors) = write else { return };
        let branch = &*cursors.subject.text();
        let expected = |reason: &Reason| matches!(reason, Reason::Baseline | Reason::Cancelled);
        if let Some(passed) = cursors.passed.as_ref().filter(|p| !expected(&p.reason)) {
            self.faults.push(format!("{branch}: let pass: {passed:?}"));
        }
        let Some(delivered) = &cursors.delivered else { return };
        if !self.is_complete(branch, &delivered.sha) {
            let sha = &delivered.sha;
            let text = format!("promise 2: {branch}: the cursor is at {sha} before its runs are");
            self.faults.push(text);
        }
        let stood = self.delivered.entry(branch.to_owned()).or_default();
        if stood.last() != Some(&delivered.sha) {
            stood.push(delivered.sha.clone());
        }
    }

    fn after(&mut self, wait: Duration, happening: Happening) {
        self.number += 1;
        self.due.insert((self.time + wait, self.number), happening);
    }

    fn make(&mut self, call: Call) -> Option<Effects> {
        match call {
            Call::Poll { forge, asked, pulls: _ } => {
                self.after(ANSWER, Happening::Answer { forge, asked })
            }
            Call::Attempt { delivery, .. } => {
                let (id, earlier) = (delivery.id.clone(), delivery.runs.len());
                let step = DeliveryState::Fetching;
                self.attempts.insert(id.clone(), Attempt { delivery: *delivery, earlier, step });
                self.after(ANSWER, Happening::Step(id));
            }
            Call::Proceed(ticket, answer) => self.proceed(ticket, answer),
            Call::Follow { number, query } => {
                self.followers.insert(number, (query, false));
                self.after(ANSWER, Happening::Listed(number));
            }
            Call::Unfollow(number) => drop(self.followers.remove(&number)),
            Call::Retire(request, _) => self.after(ANSWER, Happening::Retired(request)),
            Call::Recall(recall) => {
                let found = self.kept.deliveries.get(recall.delivery()).cloned();
                return self.machine.as_mut().map(|machine| machine.recalled(recall, found));
            }
            Call::Report(..)
            | Call::Notify(_)
            | Call::Inventory(_)
            | Call::Show(..)
            | Call::CutOff => {}
        }
        None
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Answer { forge, asked } => {
                let answers = asked.iter().map(|(_, query)| self.answer(query)).collect();
                let (pulls, took) = (Vec::new(), ANSWER);
                self.input(Input::Polled(Polled { forge, asked, answers, pulls, took }));
            }
            Happening::Step(id) => self.step(&id),
            Happening::Applied(id) => self.applied(&id),
            Happening::Listed(number) => self.listed(number),
            Happening::Retired(request) => self.retired(request),
        }
    }

    fn answer(&self, query: &HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        if self.forge_is_away {
            return Err(ForgeError::new(ForgeErrorKind::Unreachable, "away"));
        }
        let is_a = query.repo.as_str().ends_with("/app");
        let heads = if is_a {
            let head = |(branch, sha): (&Branch, &CommitSha)| {
                (sample::subject(self.name(*branch)), sha.clone())
            };
            self.heads.iter().map(head).collect()
        } else {
            BTreeMap::from([(sample::subject("main"), self.tests.clone())])
        };
        Ok(HeadsAnswer::Heads(HeadList { heads, ..HeadList::default() }))
    }

    /// An attempt asks for its step.
    fn step(&mut self, id: &DeliveryId) {
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        attempt.delivery.state = attempt.step;
        let mut wanted = Vec::new();
        if attempt.step == DeliveryState::Applying {
            let known: Vec<_> = attempt.delivery.runs.iter().map(|r| r.object.clone()).collect();
            let runs = RUNS.iter().map(|run| object(&attempt.delivery, run));
            wanted.extend(runs.filter(|run| !known.contains(run)).map(|object| RunRecord {
                object,
                message: None,
                reason: None,
                completed: None,
                ..sample::run(RunState::Running)
            }));
            attempt.delivery.objects.retain(|o| o.action.is_acknowledged());
        }
        self.number += 1;
        let delivery = Box::new(attempt.delivery.clone());
        let input = Input::Progress { ticket: self.number, delivery, wanted: wanted.clone() };
        self.asking.insert(self.number, (id.clone(), wanted));
        self.input(input);
    }

    fn proceed(&mut self, ticket: u64, answer: Result<usize, Halt>) {
        let Some((id, wanted)) = self.asking.remove(&ticket) else { return };
        match answer {
            Err(Halt::Superseded(by)) => self.end(&id, Outcome::Superseded(by)),
            Err(Halt::Stopping | Halt::Cancelled) => self.end(&id, Outcome::Interrupted),
            Ok(allowed) => {
                let Some(attempt) = self.attempts.get_mut(&id) else { return };
                attempt.delivery.runs.extend(wanted.into_iter().take(allowed));
                self.next_step(&id);
            }
        }
    }

    fn next_step(&mut self, id: &DeliveryId) {
        let (away, tests) = (self.forge_is_away, self.tests.clone());
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        match attempt.step {
            DeliveryState::Fetching if away => {
                let (what, kind) = ("can't fetch".to_owned(), ForgeErrorKind::Unreachable);
                let source = ForgeError::new(kind, "away");
                self.end(id, Outcome::Failed(AttemptError::Forge { what, source }));
            }
            DeliveryState::Fetching => {
                let begun = attempt.delivery.intent.as_ref().map(|i| i.manifests.clone());
                let pinned = Revision { subject: sample::subject("main"), sha: tests };
                attempt.delivery.manifests = Some(begun.unwrap_or(pinned));
                attempt.step = DeliveryState::Checking;
                self.queue.push_back(id.clone());
                self.give_turn();
            }
            DeliveryState::Checking => match self.cluster {
                Cluster::Well => {
                    let manifests = attempt.delivery.manifests.clone();
                    attempt.delivery.intent = manifests.map(|manifests| Intent {
                        manifests,
                        digest: String::new(),
                        at: Timestamp::UNIX_EPOCH,
                    });
                    attempt.step = DeliveryState::Applying;
                    self.after(ANSWER, Happening::Step(id.clone()));
                }
                Cluster::Away => self.fail(id, DeployErrorKind::Unreachable),
                Cluster::Refusing => self.fail(id, DeployErrorKind::Refused),
            },
            _ if self.cluster == Cluster::Away => self.fail(id, DeployErrorKind::Unreachable),
            _ => self.after(APPLY, Happening::Applied(id.clone())),
        }
    }

    fn give_turn(&mut self) {
        if self.turn.is_none()
            && let Some(next) = self.queue.pop_front()
        {
            self.turn = Some(next.clone());
            self.after(ANSWER, Happening::Step(next));
        }
    }

    fn fail(&mut self, id: &DeliveryId, kind: DeployErrorKind) {
        let source = DeployError::new(kind, "the cluster says no");
        let what = "the cluster does not take it".to_owned();
        self.end(id, Outcome::Failed(AttemptError::Deploy { what, source }));
    }

    /// The cluster makes the runs that it was sent, each once.
    fn applied(&mut self, id: &DeliveryId) {
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        for run in &attempt.delivery.runs {
            let known = attempt.delivery.objects.iter();
            if known.clone().any(|o| o.object == run.object && o.action.is_acknowledged()) {
                continue;
            }
            let key = key(&attempt.delivery, &run.object);
            let action = if self.made.contains(&key) { Action::Exists } else { Action::Created };
            if action == Action::Created {
                self.made.push(key);
                let ends = self.time + if self.runs.len().is_multiple_of(2) { SHORT } else { LONG };
                let commit = attempt.delivery.revision.sha.clone();
                let object = run.object.clone();
                self.runs.push(Run { object, commit, state: RunState::Running, ends });
            }
            let (object, reason) = (run.object.clone(), None);
            attempt.delivery.objects.push(ObjectOutcome { object, run: true, action, reason });
        }
        self.end(id, Outcome::Done);
    }

    fn end(&mut self, id: &DeliveryId, outcome: Outcome) {
        let Some(Attempt { delivery, earlier, .. }) = self.attempts.remove(id) else { return };
        self.queue.retain(|waits| waits != id);
        if self.turn.as_ref() == Some(id) {
            self.turn = None;
            self.give_turn();
        }
        self.input(Input::Attempted(Box::new(AttemptEnd { delivery, outcome, earlier })));
    }
}

fn object(delivery: &Delivery, run: &str) -> ObjectRef {
    let nonce = delivery.asked.trigger.as_ref().map_or("", |trigger| trigger.as_str());
    let Revision { subject, sha } = &delivery.revision;
    ObjectRef { name: format!("{run} {subject} {sha} {nonce}"), ..sample::object() }
}

fn key(delivery: &Delivery, object: &ObjectRef) -> String {
    let nonce = delivery.asked.trigger.as_ref().map_or("", |trigger| trigger.as_str());
    let Revision { subject, sha } = &delivery.revision;
    format!("{subject}|{sha}|{}|{nonce}", object.name)
}
