//! The engine against a small model of what it promises: pushes, deaths, outages, requests, clock jumps and people's
//! changes in any order. A failure is shrunk to the shortest story that still fails, and that story is printed.
//!
//! `PROPTEST_CASES` says how many stories are tried.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod judge;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::test_runner::Config;
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use sentry_core::clock::{Clock, Timestamp};
use sentry_core::cursor::Passed;
use sentry_core::delivery::{
    Cause, Delivery, DeliveryState, Reason, Selection, Trigger, TriggerKind, TriggerState,
};
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, EngineError, Options, Stop};
use sentry_core::forge::{ForgeErrorKind, ForgePorts};
use sentry_core::ids::TriggerId;
use sentry_core::repo::CommitSha;
use sentry_core::store::{
    Archive as _, DeliveryQuery, Hold, Inbox as _, Resumption, State, Suspension,
};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::testing::hooked::Hooked;
use sentry_core::testing::sample;
use sentry_core::watch::SubjectSelector;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use judge::{Judge, is_complete, keys};
use reference::{Branch, Cluster, Event, Model};

const A: &str = "https://example.com/product/app";
const B: &str = "https://example.com/qa/tests";
const FILES: &[(&str, &str)] = &[
    ("one.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: one}\n"),
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n"),
    ("two.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: two-}\n"),
];
const INTERVAL: Duration = Duration::from_secs(5);
/// Long enough for the head to be seen elsewhere meanwhile.
const APPLY: Duration = Duration::from_secs(7);

/// A wall clock that can be set.
#[derive(Debug)]
struct WallClock {
    steady: TokioClock,
    days: Mutex<i64>,
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let seconds = *self.days.lock().unwrap() * 24 * 3600;
        Timestamp::from_second(self.steady.now().as_second() + seconds).unwrap()
    }
}

/// The real engine over the fakes.
struct World {
    // Before the runtime: it is dropped first.
    agent: JoinSet<Result<(), EngineError>>,
    forge: Arc<FakeForge>,
    cluster: Arc<FakeDeployer>,
    judge: Arc<Judge>,
    clock: Arc<WallClock>,
    commits: Vec<CommitSha>,
    /// What each request was acknowledged with, and when that was first asked for.
    requests: BTreeMap<usize, (TriggerId, Timestamp)>,
    /// Requests for the end of a delivery.
    cancels: Vec<TriggerId>,
    /// The latest time that the clock ever showed.
    latest: Timestamp,
    selects_dev: bool,
    /// What the other subject is, by its text.
    dev: &'static str,
    runtime: Option<Runtime>,
}

impl World {
    /// A subject's text.
    fn name(&self, branch: Branch) -> &'static str {
        match branch {
            Branch::Main => "main",
            Branch::Dev => self.dev,
        }
    }

    fn new(dev: &'static str) -> Self {
        fastrand::seed(1);
        let forge = Arc::new(FakeForge::new());
        let cluster = Arc::new(FakeDeployer::new().taking(APPLY));
        let commits = vec![forge.commit(A, "main", "first", &[])];
        forge.commit(B, "main", "tests", FILES);
        let judge = Judge {
            store: Arc::new(MemoryStore::new()),
            cluster: Arc::clone(&cluster),
            left: AtomicUsize::new(usize::MAX),
            cursors: Mutex::default(),
            faults: Mutex::default(),
        };
        let clock = WallClock { steady: TokioClock::new(), days: Mutex::new(0) };
        Self {
            agent: JoinSet::new(),
            forge,
            cluster,
            judge: Arc::new(judge),
            latest: clock.now(),
            clock: Arc::new(clock),
            commits,
            requests: BTreeMap::new(),
            cancels: Vec::new(),
            selects_dev: true,
            dev,
            runtime: None,
        }
    }

    async fn kill(&mut self) {
        self.agent.abort_all();
        while self.agent.join_next().await.is_some() {}
    }

    async fn restart(&mut self) {
        self.kill().await;
        self.judge.left.store(usize::MAX, Ordering::Relaxed);
        let mut watch = watch("qa", &["main"]);
        let selected = [Branch::Main, Branch::Dev].map(|branch| sample::subject(self.name(branch)));
        let number = if self.selects_dev { 2 } else { 1 };
        watch.source.subjects = SubjectSelector::named(&selected[..number]);
        watch.timing.polling_interval = INTERVAL;
        let mut options = Options::default();
        options.backoff.cap = Duration::from_secs(60);
        let engine = Engine::builder(State {
            journal: Hooked::new(&self.judge.store, &self.judge),
            ..Arc::clone(&self.judge.store).into()
        })
        .clock(Arc::clone(&self.clock) as _)
        .options(options)
        .watch(watch)
        .forge("forge", ForgePorts::with_statuses(Arc::clone(&self.forge)))
        .deployer("deployer", DeployerPorts::new(Arc::clone(&self.cluster)))
        .build()
        .unwrap();
        self.agent.spawn(async move { engine.run(&Stop::new()).await });
    }

    async fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.judge.is_sealed() {
                self.kill().await;
            }
        }
    }

    fn cluster_is(&self, how: Cluster) {
        self.cluster.down(how == Cluster::Away);
        self.cluster.refuse((how == Cluster::Refusing).then_some("unit"));
    }

    async fn suspend(&self, suspend: bool) {
        let watch: sentry_core::names::WatchName = "qa".parse().unwrap();
        let hold = if suspend {
            let since = self.clock.now();
            Hold::Suspend(Suspension { watch, reason: None, since, until: None, by: None })
        } else {
            Hold::Resume(Resumption { watch, at: self.clock.now(), by: None })
        };
        self.judge.store.hold(&hold).await.unwrap();
    }

    /// A request is acknowledged with its id; the same request has the same one.
    async fn ask(&mut self, request: usize, key: Option<u8>) {
        let (at, selection) = (self.clock.now(), Selection::default());
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: key.map_or_else(|| format!("request {request}"), |key| format!("key {key}")),
            watch: "qa".parse().unwrap(),
            kind: TriggerKind::Deliver { subject: sample::subject("main"), sha: None, selection },
            cause: Cause::Manual,
            by: None,
            at,
            state: TriggerState::Pending,
        };
        let kept = self.judge.store.request(&trigger).await.unwrap();
        let kept = (kept.id, kept.at);
        let first = self.requests.entry(request).or_insert_with(|| kept.clone());
        self.latest = self.latest.max(at);
        // Answered requests may be forgotten after 90 days.
        let remembered =
            self.latest.checked_sub(jiff::SignedDuration::from_hours(90 * 24)).unwrap();
        if first.1 < remembered {
            *first = kept;
            return;
        }
        assert_eq!(*first, kept, "promise 6: the same key is the same request");
    }

    /// Somebody leaves a request for the end of a delivery.
    async fn cancel(&mut self, nth: usize, by: &str) {
        let open = self.judge.store.snapshot().open;
        let newest = DeliveryQuery { limit: Some(1), ..DeliveryQuery::default() };
        let newest = self.judge.store.deliveries(&newest).await.unwrap();
        let Some(picked) = open.get(nth % open.len().max(1)).or(newest.first()) else { return };
        let at = self.clock.now();
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: format!("cancel {}", self.cancels.len()),
            watch: picked.watch.clone(),
            kind: TriggerKind::Cancel(picked.id.clone()),
            cause: Cause::Manual,
            by: Some(by.to_owned()),
            at,
            state: TriggerState::Pending,
        };
        self.cancels.push(self.judge.store.request(&trigger).await.unwrap().id);
    }

    /// Every request for an end was answered, by the end of its delivery or by why there is none.
    async fn all_are_answered(&self, deliveries: &[Delivery]) {
        for trigger in &self.cancels {
            // After a jump of the clock by years nothing is remembered of what has ended.
            let Some(kept) = self.judge.store.trigger(trigger).await.unwrap() else { continue };
            match kept.state {
                TriggerState::Taken(id) => {
                    let through = |d: &Delivery| d.cancelled.is_some() && d.is_through();
                    let delivery = deliveries.iter().find(|delivery| delivery.id == id);
                    assert!(delivery.is_none_or(through), "{delivery:?}");
                }
                TriggerState::Rejected(why) => assert!(why.contains("has ended"), "{why}"),
                TriggerState::Pending => panic!("{trigger} has no answer"),
            }
        }
    }

    async fn happens(&mut self, model: &Model, event: Event) {
        match event {
            Event::Push(branch) => {
                self.commits.push(self.forge.commit(A, self.name(branch), "work", &[]));
            }
            Event::MoveBack(branch, _) => {
                let head = model.head(branch).unwrap();
                self.forge.set(A, self.name(branch), &self.commits[head]);
            }
            Event::Delete => self.forge.delete(A, self.dev),
            Event::TheClusterIs(how) => self.cluster_is(how),
            Event::TheForgeIsAway(away) => {
                self.forge.fail(away.then_some(ForgeErrorKind::Unreachable));
            }
            Event::DiesAtWrite(n) => self.judge.left.store(n, Ordering::Relaxed),
            Event::Restart => self.restart().await,
            Event::Trigger(key) => self.ask(model.request, key).await,
            Event::Cancel { nth, by } => self.cancel(nth, by).await,
            Event::ClockJumps(days) => *self.clock.days.lock().unwrap() += days,
            Event::Select { dev } if dev != self.selects_dev => {
                self.selects_dev = dev;
                self.forge.fail(None);
                self.restart().await;
                // Until the first poll it is not known what was there before.
                self.wait(5).await;
            }
            Event::Select { .. } => {}
            Event::Suspend(suspend) => self.suspend(suspend).await,
            Event::Repair => drop(self.forge.commit(B, "main", "repaired", FILES)),
            Event::Wait { seconds } => self.wait(seconds).await,
        }
    }

    /// What holds at any time.
    async fn invariants(&self, model: &Model) {
        let faults = self.judge.faults.lock().unwrap().clone();
        assert!(faults.is_empty(), "{faults:?}");
        assert!(self.cluster.applies().1 <= 1, "promise 5: two applies at once at one target");
        let unchecked = self.cluster.unchecked();
        assert!(unchecked.is_empty(), "sent without what the check learnt: {unchecked:?}");
        let keys = keys(&self.cluster);
        let unique: BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len(), "promise 3: a run was made twice: {keys:?}");
        let snapshot = self.judge.store.snapshot();
        let mut waiting = BTreeSet::new();
        // One whose runs are followed waits for nothing, and holds nothing up.
        let is_waiting =
            |d: &&Delivery| d.asked.trigger.is_none() && d.state != DeliveryState::Following;
        for delivery in snapshot.open.iter().filter(is_waiting) {
            let branch = &delivery.revision.subject;
            assert!(waiting.insert(branch.clone()), "promise 4: two heads of {branch} wait");
        }
        let parked = snapshot.cursors.iter().find_map(|branch| branch.parked.as_ref());
        assert!(model.was_refused || parked.is_none(), "an outage parked a head: {parked:?}");
        let cursors = self.judge.cursors.lock().unwrap().clone();
        for branch in [Branch::Main, Branch::Dev] {
            let heads = model.history.get(&branch).into_iter().flatten();
            let mut heads = heads.map(|commit| self.commits[*commit].as_str());
            for cursor in cursors.get(self.name(branch)).into_iter().flatten() {
                let order = "promise 4: delivered in another order than the heads came";
                assert!(heads.any(|head| head == cursor), "{order}: {cursors:?}");
            }
        }
    }

    /// Everything is well again and has its time.
    async fn settle(&mut self) {
        self.forge.fail(None);
        self.cluster_is(Cluster::Well);
        self.suspend(false).await;
        self.forge.commit(B, "main", "repaired", FILES);
        self.restart().await;
        self.wait(200).await;
    }

    /// What holds once everything has settled.
    async fn outcome(&self, model: &Model) {
        let snapshot = self.judge.store.snapshot();
        let deliveries = self.judge.store.deliveries(&DeliveryQuery::default()).await.unwrap();
        assert!(snapshot.open.is_empty(), "promise 9: stuck: {:#?}", snapshot.open);
        for branch in [Branch::Main, Branch::Dev] {
            let name = self.name(branch);
            let state = snapshot.cursors.iter().find(|state| state.subject.text() == name);
            let delivered = state.and_then(|state| Some(&state.delivered.as_ref()?.sha));
            let passed = state.and_then(|state| state.passed.as_ref());
            let is_cancelled = |sha: &CommitSha| {
                let was = |d: &Delivery| d.cancelled.is_some() && d.revision.sha == *sha;
                let is_it = |p: &Passed| p.reason == Reason::Cancelled && p.mark.sha == *sha;
                passed.is_some_and(is_it) && deliveries.iter().any(was)
            };
            let owed = model.owed(branch).map(|commit| &self.commits[commit]);
            if let Some(sha) = owed.filter(|sha| !is_cancelled(sha)) {
                assert_eq!(delivered, Some(sha), "promise 1: the head of {name} is lost");
                assert!(is_complete(&self.cluster, name, sha.as_str()), "promise 1: {name}");
            }
            let is_there = model.head(branch).is_some() && model.selects(branch);
            let followed = state.is_some_and(|state| state.gone.is_none());
            assert_eq!(is_there, followed, "promise 10: {name}: {state:?}");
        }
        self.all_are_answered(&deliveries).await;
        for (request, (id, _)) in &self.requests {
            let mut answers = deliveries.iter().filter(|d| d.asked.trigger.as_ref() == Some(id));
            let states: Vec<DeliveryState> = answers.by_ref().map(|d| d.state).collect();
            assert_eq!(states.len(), 1, "promise 6: request {request} has the answers {states:?}");
        }
    }

    /// However the clock stands, the next push is delivered in time.
    async fn next_push(&mut self) {
        let sha = self.forge.commit(A, "main", "the last one", &[]);
        self.wait(2 * INTERVAL.as_secs() + 2 * APPLY.as_secs()).await;
        let arrived = is_complete(&self.cluster, "main", sha.as_str());
        assert!(arrived, "promise 16: two intervals went by without a poll");
    }
}

/// Runs one step in the world's own time.
fn step<T>(world: &mut World, work: impl AsyncFnOnce(&mut World) -> T) -> T {
    let runtime = world.runtime.take().unwrap();
    let done = runtime.block_on(work(world));
    world.runtime = Some(runtime);
    done
}

/// With a tag beside the branch, or with two branches.
struct TheEngine<const TAG: bool>;

impl<const TAG: bool> StateMachineTest for TheEngine<TAG> {
    type SystemUnderTest = World;
    type Reference = Model;

    fn init_test(_: &Model) -> World {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut world = runtime
            .block_on(async { World::new(if TAG { reference::TAG } else { reference::DEV }) });
        world.runtime = Some(runtime);
        step(&mut world, async |world| {
            world.restart().await;
            world.wait(5).await;
        });
        world
    }

    fn apply(mut world: World, model: &Model, event: Event) -> World {
        step(&mut world, async |world| {
            world.happens(model, event).await;
            world.invariants(model).await;
        });
        world
    }

    fn teardown(mut world: World, model: Model) {
        step(&mut world, async |world| {
            world.settle().await;
            world.invariants(&model).await;
            world.outcome(&model).await;
            world.next_push().await;
        });
    }
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: std::env::var("PROPTEST_CASES").map_or(100, |n| n.parse().expect("a whole number")),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn whatever_happens_in_whatever_order_the_engine_keeps_what_the_model_promises(
        sequential 1..40 => TheEngine<false>
    );

    #[test]
    fn whatever_happens_to_a_tag_the_engine_keeps_what_the_model_promises(
        sequential 1..40 => TheEngine<true>
    );
}
