//! The agent dies at every point where it touches the world: before each call of a port, and after each that leaves
//! something behind. Restarted, it loses no head and makes no run twice, and what somebody cancelled ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::sync::Arc;
use std::time::Duration;

use sentry_core::clock::Clock as _;
use sentry_core::delivery::{
    Cause, Delivery, DeliveryState, ReasonKind, Selection, Trigger, TriggerKind, TriggerState,
};
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::{ForgePorts, StatusState};
use sentry_core::ids::TriggerId;
use sentry_core::plan::PlannedObject;
use sentry_core::repo::CommitSha;
use sentry_core::store::{Archive as _, DeliveryQuery, Inbox as _, State};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::testing::fate::Fate;
use sentry_core::testing::hooked::Hooked;
use sentry_core::testing::sample;
use sentry_core::watch::Watch;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;
use tokio::task::JoinSet;

const A: &str = "https://example.com/product/app";
const B: &str = "https://example.com/qa/tests";
const FILES: &[(&str, &str)] = &[
    ("one.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: one}\n"),
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n"),
    ("two.yaml", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: two-}\n"),
];

struct World {
    forge: Arc<FakeForge>,
    deployer: Arc<FakeDeployer>,
    store: Arc<MemoryStore>,
    watch: Watch,
    clock: Arc<TokioClock>,
    /// Of this commit each delivery is cancelled.
    cancels: Option<CommitSha>,
}

impl World {
    fn new(deployer: FakeDeployer) -> Self {
        let mut watch = watch("qa", &["main", "release/*"]);
        watch.timing.polling_interval = Duration::from_secs(5);
        let world = Self {
            forge: Arc::new(FakeForge::new()),
            deployer: Arc::new(deployer),
            store: Arc::new(MemoryStore::new()),
            watch,
            clock: Arc::new(TokioClock::new()),
            cancels: None,
        };
        world.forge.commit(A, "main", "first", &[]);
        world.forge.commit(B, "main", "tests", FILES);
        world
    }

    /// Runs an agent for so long, or until its fate is sealed; then it is killed.
    async fn live(&self, fate: &Arc<Fate>, seconds: u64) {
        let journal = Hooked::new(&self.store, fate);
        let deployer = DeployerPorts {
            deployer: Hooked::new(&self.deployer, fate),
            ..DeployerPorts::new(Arc::clone(&self.deployer))
        };
        let engine = Engine::builder(State { journal, ..Arc::clone(&self.store).into() })
            .clock(Arc::clone(&self.clock) as _)
            .watch(self.watch.clone())
            .forge("forge", ForgePorts::with_statuses(Hooked::new(&self.forge, fate)))
            .deployer("deployer", deployer)
            .build()
            .unwrap();
        let mut agent = JoinSet::new();
        agent.spawn(async move { engine.run(&Stop::new()).await });
        for _ in 0..seconds * 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.cancel().await;
            if fate.is_sealed() {
                break;
            }
        }
        agent.abort_all();
        while agent.join_next().await.is_some() {}
    }

    async fn ask(&self, key: &str, kind: TriggerKind) -> TriggerId {
        let at = self.clock.now();
        let trigger = Trigger {
            id: TriggerId::new(at, fastrand::u128(..)),
            key: key.into(),
            watch: self.watch.name.clone(),
            kind,
            cause: Cause::Manual,
            by: Some("ops".into()),
            at,
            state: TriggerState::Pending,
        };
        self.store.request(&trigger).await.unwrap().id
    }

    /// What happens in every life: two pushes, a new branch, a trigger. Returns all heads that must arrive.
    async fn events(&self) -> Vec<CommitSha> {
        let main = self.forge.commit(A, "main", "work", &[]);
        let release = self.forge.commit(A, "release/1.0", "cut", &[]);
        let (subject, selection) = (sample::subject("main"), Selection::default());
        self.ask("nightly", TriggerKind::Deliver { subject, sha: None, selection }).await;
        vec![main, release]
    }

    async fn of(&self, sha: &CommitSha) -> Vec<Delivery> {
        let query = DeliveryQuery { sha: Some(sha.clone()), ..DeliveryQuery::default() };
        self.store.deliveries(&query).await.unwrap()
    }

    /// Leaves the request, once there is a delivery; a second one is the first.
    async fn cancel(&self) {
        let Some(sha) = &self.cancels else { return };
        if let Some(delivery) = self.of(sha).await.pop() {
            self.ask("cancel", TriggerKind::Cancel(delivery.id)).await;
        }
    }

    /// The runs that were made, of which none may have been made twice.
    fn made(&self, at: &str) -> Vec<PlannedObject> {
        let created = self.deployer.created();
        let mut keys: Vec<_> = created.iter().map(|o| format!("{:?}", o.operation)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), created.len(), "{at}: a run was made twice");
        created
    }
}

/// One life that ends at the given point; how often it was killed, `None` once the point was never reached.
async fn dies_at(fatal: usize, second: usize) -> Option<usize> {
    let world = World::new(FakeDeployer::new());
    world.live(&Fate::immortal(), 8).await;
    let heads = world.events().await;
    let fate = Fate::dying_at(fatal);
    world.live(&fate, 20).await;
    if !fate.is_sealed() {
        return None;
    }
    // It dies once more on its way back.
    let again = Fate::dying_at(second);
    world.live(&again, 20).await;
    world.live(&Fate::immortal(), 60).await;

    let branches = world.store.snapshot().cursors;
    let delivered: Vec<_> =
        branches.iter().filter_map(|b| b.delivered.clone()).map(|m| m.sha).collect();
    for head in &heads {
        assert!(delivered.contains(head), "killed at point {fatal}, then {second}: {head} is lost");
    }
    let created = world.made(&format!("killed at point {fatal}, then {second}"));
    let of_trigger = created
        .iter()
        .filter(|o| format!("{:?}", o.operation).contains(world.watch.name.as_str()))
        .count();
    assert!(of_trigger >= 4, "killed at point {fatal}: {of_trigger} runs");
    Some(1 + usize::from(again.is_sealed()))
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_point_of_the_cycle_twice_no_head_is_lost_and_no_run_is_made_twice() {
    let mut kills = 0;
    for second in [3, 7, 12, 19, 26, 40] {
        let mut fatal = 1;
        while let Some(times) = dies_at(fatal, second).await {
            kills += times;
            fatal += 1;
        }
    }
    println!("{kills} kill points: 0 heads lost, 0 runs made twice");
    assert!(kills >= 200, "{kills} kill points");
}

/// Lives in which somebody cancels the delivery of a push as soon as there is one, wherever the agent dies; how often it was
/// killed, `None` once the point was never reached.
async fn cancelled_and_dies_at(fatal: usize, second: usize) -> Option<usize> {
    let at = format!("killed at point {fatal}, then {second}");
    let mut world = World::new(FakeDeployer::new().following().taking(Duration::from_secs(2)));
    world.live(&Fate::immortal(), 8).await;
    let sha = world.forge.commit(A, "main", "work", &[]);
    world.cancels = Some(sha.clone());
    let fate = Fate::dying_at(fatal);
    world.live(&fate, 20).await;
    if !fate.is_sealed() {
        return None;
    }
    let again = Fate::dying_at(second);
    world.live(&again, 20).await;
    world.live(&Fate::immortal(), 600).await;

    let mine = world.of(&sha).await;
    let [delivery] = mine.as_slice() else { panic!("{at}: {} deliveries", mine.len()) };
    let by = delivery.cancelled.as_ref().and_then(|cancelled| cancelled.by.as_deref());
    assert_eq!((delivery.state, by), (DeliveryState::Cancelled, Some("ops")), "{at}");
    assert_eq!(world.deployer.active_runs(), [""; 0], "{at}");
    world.made(&at);
    assert_eq!(
        world.store.heads(sha.as_str()).await.unwrap()[0].reason.kind(),
        ReasonKind::Cancelled
    );
    let kills = 1 + usize::from(again.is_sealed());
    let shown = world.forge.statuses().into_iter().filter(|s| s.revision.sha == sha);
    let told = shown.filter(|status| status.state == StatusState::Cancelled).count();
    // Killed after a status is set and before that is written, it is set once more.
    assert!((1..=1 + kills).contains(&told), "{at}: told {told} times");
    // The next head is delivered as ever.
    let next = world.forge.commit(A, "main", "more", &[]);
    world.live(&Fate::immortal(), 20).await;
    assert_eq!(world.of(&next).await[0].state, DeliveryState::Following, "{at}");
    Some(kills)
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_point_twice_what_somebody_cancels_is_cancelled_once_and_no_run_is_left() {
    let mut kills = 0;
    for second in [4, 17] {
        let mut fatal = 1;
        while let Some(times) = cancelled_and_dies_at(fatal, second).await {
            kills += times;
            fatal += 1;
        }
    }
    println!("{kills} kill points: each delivery cancelled, 0 runs left");
    assert!(kills >= 60, "{kills} kill points");
}
