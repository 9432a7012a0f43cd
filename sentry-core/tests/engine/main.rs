//! The engine over honest fakes, with time that the tests hold.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::sync::Arc;
use std::time::Duration;

use sentry_core::cursor::Cursors;
use sentry_core::delivery::{
    Cause, Delivery, DeliveryState, HeadRecord, Reason, Selection, Trigger, TriggerKind,
    TriggerState,
};
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Builder, Engine, EngineError, Options, Stop};
use sentry_core::event::Event;
use sentry_core::forge::ForgePorts;
use sentry_core::ids::TriggerId;
use sentry_core::plan::PlannedObject;
use sentry_core::repo::CommitSha;
use sentry_core::store::{Archive as _, DeliveryQuery, Hold, Inbox as _, State, Suspension};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, FakeNotifier, TokioClock};
use sentry_core::testing::sample;
use sentry_core::watch::sample::watch;
use sentry_core::watch::{OnFirstSight, Watch};
use sentry_store::MemoryStore;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

const A: &str = "https://example.com/product/app";
const B: &str = "https://example.com/qa/tests";
const TASK: (&str, &str) =
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n");
const RUN: (&str, &str) = (
    "run.yaml",
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: qa}\nspec: {params: [{name: sha, value: '{{revision}}'}]}\n",
);

mod approving;
mod building;
mod cancelling;
mod committing;
mod comparing;
mod cutting_off;
mod deadlines;
mod delivering;
mod disclosing;
mod dividing;
mod elsewhere;
mod fencing;
mod following;
mod hints;
mod lending;
mod looking;
mod notifying;
mod patterns;
mod previewing;
mod pulls;
mod queueing;
mod refusing;
mod reporting;
mod sharing;
mod stopping;
mod superseding;
mod tags;
mod telling;
mod waking;

/// Everything around an engine.
struct World {
    forge: Arc<FakeForge>,
    deployer: Arc<FakeDeployer>,
    store: Arc<MemoryStore>,
    notifiers: Vec<(String, Arc<FakeNotifier>)>,
    watch: Watch,
    clock: Arc<TokioClock>,
    agent: JoinSet<Result<(), EngineError>>,
    stop: Stop,
    /// What the engine that was started last tells.
    events: broadcast::Receiver<Event>,
}

impl World {
    fn new() -> Self {
        Self::with(FakeDeployer::new())
    }

    fn with(deployer: FakeDeployer) -> Self {
        let world = Self {
            forge: Arc::new(FakeForge::new()),
            deployer: Arc::new(deployer),
            store: Arc::new(MemoryStore::new()),
            notifiers: Vec::new(),
            watch: watch("qa", &["main", "release/*"]),
            clock: Arc::new(TokioClock::new()),
            agent: JoinSet::new(),
            stop: Stop::new(),
            events: broadcast::channel(1).1,
        };
        world.forge.commit(A, "main", "first", &[]);
        world.forge.commit(B, "main", "tests", &[TASK, RUN]);
        world
    }

    fn engine(&self) -> Engine {
        self.builder().build().unwrap()
    }

    /// An engine of everything here, to which more can be added.
    fn builder(&self) -> Builder {
        self.builder_on(Arc::clone(&self.store))
    }

    fn builder_on(&self, store: impl Into<State>) -> Builder {
        let builder = Engine::builder(store);
        let add = |builder: Builder, (name, notifier): &(String, Arc<FakeNotifier>)| {
            builder.notifier(name, Arc::clone(notifier) as _)
        };
        self.notifiers
            .iter()
            .fold(builder, add)
            .clock(Arc::clone(&self.clock) as _)
            .watch(self.watch.clone())
            .forge("forge", ForgePorts::with_statuses(Arc::clone(&self.forge)))
            .deployer("deployer", DeployerPorts::new(Arc::clone(&self.deployer)))
            .options(Options::default())
    }

    fn start(&mut self) {
        let (engine, stop) = (self.engine(), self.stop.clone());
        self.events = engine.events();
        self.agent.spawn(async move { engine.run(&stop).await });
    }

    async fn stop(&mut self) {
        self.stop.soft();
        self.agent.join_next().await.unwrap().unwrap().unwrap();
        self.stop = Stop::new();
    }

    /// As kill -9 does: nothing is cleaned up.
    async fn kill(&mut self) {
        self.agent.abort_all();
        while self.agent.join_next().await.is_some() {}
        self.stop = Stop::new();
    }

    /// Baselined and running.
    async fn running() -> Self {
        let mut world = Self::new();
        world.start();
        minutes(1).await;
        world
    }

    fn push(&self) -> CommitSha {
        self.forge.commit(A, "main", "work", &[])
    }

    async fn suspend(&self) {
        let since = sentry_core::clock::Clock::now(self.clock.as_ref());
        let watch = self.watch.name.clone();
        let reason = Some("freeze".into());
        let suspension = Suspension { watch, reason, since, until: None, by: None };
        self.store.hold(&Hold::Suspend(suspension)).await.unwrap();
    }

    async fn branch(&self, name: &str) -> Option<Cursors> {
        let snapshot = self.store.snapshot();
        snapshot.cursors.into_iter().find(|b| b.subject.text() == name)
    }

    async fn delivered(&self) -> Option<CommitSha> {
        self.branch("main").await?.delivered.map(|m| m.sha)
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        self.store.deliveries(&DeliveryQuery::default()).await.unwrap()
    }

    /// The names of all objects in the inventory.
    async fn inventory(&self) -> Vec<String> {
        let items = self.store.inventory(&self.watch.name).await.unwrap();
        items.into_iter().map(|item| item.object.name).collect()
    }

    async fn why(&self, sha: &CommitSha) -> HeadRecord {
        self.store.heads(sha.as_str()).await.unwrap().remove(0)
    }

    fn trigger(&self, key: &str, kind: TriggerKind) -> Trigger {
        Trigger {
            id: TriggerId::new(
                sentry_core::clock::Clock::now(self.clock.as_ref()),
                fastrand::u128(..),
            ),
            key: key.into(),
            watch: self.watch.name.clone(),
            kind,
            cause: Cause::Manual,
            by: None,
            at: sentry_core::clock::Clock::now(self.clock.as_ref()),
            state: TriggerState::Pending,
        }
    }

    async fn ask(&self, kind: TriggerKind) -> TriggerId {
        let trigger = self.trigger(&format!("key-{}", fastrand::u128(..)), kind);
        self.store.request(&trigger).await.unwrap().id
    }

    async fn trigger_state(&self, id: &TriggerId) -> TriggerState {
        self.store.trigger(id).await.unwrap().unwrap().state
    }
}

fn deliver(sha: Option<&CommitSha>) -> TriggerKind {
    TriggerKind::Deliver {
        subject: sample::subject("main"),
        sha: sha.cloned(),
        selection: Selection::default(),
    }
}

async fn minutes(n: u64) {
    seconds(n * 60 + 5).await;
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}
