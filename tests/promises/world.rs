//! An engine over the fakes of sentry-core, whose time a proof holds: with tokio's paused, minutes cost nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sentry_core::clock::{Clock, Timestamp};
use sentry_core::cursor::Cursors;
use sentry_core::delivery::{Cause, Delivery, Selection, Trigger, TriggerKind, TriggerState};
use sentry_core::deployer::{Deployer, DeployerPorts};
use sentry_core::engine::{Engine, EngineError, Options, Stop};
use sentry_core::forge::ForgePorts;
use sentry_core::ids::TriggerId;
use sentry_core::plan::{COMMIT_LABEL, PlannedObject};
use sentry_core::repo::CommitSha;
use sentry_core::store::{Archive as _, DeliveryQuery, Inbox as _, State};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::testing::sample;
use sentry_core::watch::Watch;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;
use tokio::task::JoinSet;

/// The product.
pub(crate) const A: &str = "https://example.com/product/app";
/// Its tests.
pub(crate) const B: &str = "https://example.com/qa/tests";
/// A named object and two runs.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("one.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: one}\n"),
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n"),
    ("two.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: two-}\n"),
];
/// How many runs one delivery of [`FILES`] makes.
pub(crate) const RUNS: usize = 2;

/// A clock that a person, or a broken time server, sets.
#[derive(Debug)]
pub(crate) struct WallClock {
    steady: TokioClock,
    set: Mutex<i64>,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self { steady: TokioClock::new(), set: Mutex::new(0) }
    }

    /// Sets it forth or back by so many seconds.
    pub(crate) fn jump(&self, by: i64) {
        *self.set.lock().unwrap() += by;
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let now = self.steady.now();
        Timestamp::from_second(now.as_second() + *self.set.lock().unwrap()).unwrap()
    }
}

/// Everything around an engine: a forge with A and B, a cluster, a state, a clock.
pub(crate) struct World {
    pub(crate) forge: Arc<FakeForge>,
    pub(crate) deployer: Arc<FakeDeployer>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) options: Options,
    agent: JoinSet<Result<(), EngineError>>,
    stop: Stop,
}

impl World {
    /// One watch called `qa` of A's `main` and `release/*`.
    pub(crate) fn new(deployer: FakeDeployer) -> Self {
        let world = Self {
            forge: Arc::new(FakeForge::new()),
            deployer: Arc::new(deployer),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(TokioClock::new()),
            watches: vec![watch("qa", &["main", "release/*"])],
            options: Options::default(),
            agent: JoinSet::new(),
            stop: Stop::new(),
        };
        world.forge.commit(A, "main", "first", &[]);
        world.forge.commit(B, "main", "tests", FILES);
        world
    }

    /// How often A is asked.
    pub(crate) fn polled_every(mut self, interval: Duration) -> Self {
        for watch in &mut self.watches {
            watch.timing.polling_interval = interval;
        }
        self
    }

    /// Starts an agent on the fakes.
    pub(crate) fn start(&mut self) {
        let deployer = Arc::clone(&self.deployer);
        let forge = ForgePorts::with_statuses(Arc::clone(&self.forge));
        self.start_on(forge, deployer, Arc::clone(&self.store));
    }

    /// Starts an agent on these ports, which stand before the fakes.
    pub(crate) fn start_on(
        &mut self,
        forge: ForgePorts,
        deployer: Arc<dyn Deployer>,
        store: impl Into<State>,
    ) {
        let builder = Engine::builder(store).clock(Arc::clone(&self.clock)).forge("forge", forge);
        let ports = DeployerPorts::new(Arc::clone(&self.deployer));
        let builder = builder.deployer("deployer", DeployerPorts { deployer, ..ports });
        let builder = builder.options(self.options.clone());
        let builder = self.watches.iter().cloned().fold(builder, |b, watch| b.watch(watch));
        let (engine, stop) = (builder.build().unwrap(), self.stop.clone());
        self.agent.spawn(async move { engine.run(&stop).await });
    }

    /// As kill -9 does: nothing is cleaned up.
    pub(crate) async fn kill(&mut self) {
        self.agent.abort_all();
        while self.agent.join_next().await.is_some() {}
    }

    /// A commit on `main` of A.
    pub(crate) fn push(&self) -> CommitSha {
        self.forge.commit(A, "main", "work", &[])
    }

    /// What is kept of a subject of the first watch, by its text.
    pub(crate) async fn branch(&self, name: &str) -> Option<Cursors> {
        let branches = self.store.snapshot().cursors;
        let mut mine = branches.into_iter().filter(|b| b.watch == self.watches[0].name);
        mine.find(|b| b.subject.text() == name)
    }

    /// Every delivery, newest first.
    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        self.store.deliveries(&DeliveryQuery::default()).await.unwrap()
    }

    /// Leaves a request for the head of a branch, as `sentry trigger` does; what was kept of it.
    pub(crate) async fn ask(&self, branch: &str, key: &str) -> Trigger {
        let (at, selection) = (self.clock.now(), Selection::default());
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: key.into(),
            watch: self.watches[0].name.clone(),
            kind: TriggerKind::Deliver { subject: sample::subject(branch), sha: None, selection },
            cause: Cause::Manual,
            by: None,
            at,
            state: TriggerState::Pending,
        };
        self.store.request(&trigger).await.unwrap()
    }
}

/// The commit of A that a run was made for, as its label has it.
pub(crate) fn commit_of(run: &PlannedObject) -> &str {
    run.json["metadata"]["labels"][COMMIT_LABEL].as_str().unwrap()
}

/// Lets so many seconds pass.
pub(crate) async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}
