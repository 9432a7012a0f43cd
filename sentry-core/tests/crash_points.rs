//! The agent dies at every point where it touches the world: before and after each state write, and before and after each
//! question to a forge and each check and apply. Restarted, it loses no head and makes no run twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::clock::Clock as _;
use sentry_core::delivery::{Cause, Selection, Trigger, TriggerKind, TriggerState};
use sentry_core::deployer::{
    Checked, DeployError, Deployer, DeployerPorts, FollowQuery, Retire, RunChange,
};
use sentry_core::engine::{Engine, Stop};
use sentry_core::forge::{
    ChangedPaths, ChangesQuery, CloneCredential, CommitInfo, ForgeError, ForgePorts, Heads,
    HeadsAnswer, HeadsQuery, Source, Tree, TreeQuery,
};
use sentry_core::ids::TriggerId;
use sentry_core::plan::{ChangeSet, Plan};
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::revision::Revision;
use sentry_core::store::{Claim, Inbox as _, Journal, Snapshot, State, StoreError, Write};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
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

/// Counts the points; at the fatal one, and after it, nothing goes on any more.
#[derive(Debug)]
struct Fate {
    passed: AtomicUsize,
    fatal: usize,
}

impl Fate {
    async fn point(&self) {
        if self.passed.fetch_add(1, Ordering::Relaxed) + 1 >= self.fatal {
            std::future::pending::<()>().await;
        }
    }

    fn is_sealed(&self) -> bool {
        self.passed.load(Ordering::Relaxed) >= self.fatal
    }
}

#[derive(Debug)]
struct Mortal<T> {
    inner: Arc<T>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Journal for Mortal<MemoryStore> {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let inner = self.inner.claim(holder).await?;
        Ok(Box::new(Mortal { inner: Arc::new(inner), fate: Arc::clone(&self.fate) }))
    }
}

#[async_trait]
impl Claim for Mortal<Box<dyn Claim>> {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.inner.load().await
    }
    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.fate.point().await;
        let kept = self.inner.commit(writes).await;
        self.fate.point().await;
        kept
    }
}

#[async_trait]
impl Heads for Mortal<FakeForge> {
    async fn heads(&self, queries: &[HeadsQuery]) -> Vec<Result<HeadsAnswer, ForgeError>> {
        self.fate.point().await;
        let answers = self.inner.heads(queries).await;
        self.fate.point().await;
        answers
    }
}

#[async_trait]
impl Source for Mortal<FakeForge> {
    async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        self.fate.point().await;
        let tree = self.inner.tree(query).await;
        self.fate.point().await;
        tree
    }
    async fn commit(&self, repo: &RepoUrl, revision: &Revision) -> Result<CommitInfo, ForgeError> {
        self.fate.point().await;
        Source::commit(self.inner.as_ref(), repo, revision).await
    }
    async fn changes(&self, query: &ChangesQuery) -> Result<ChangedPaths, ForgeError> {
        self.inner.changes(query).await
    }
    async fn clone_credential(
        &self,
        repo: &RepoUrl,
    ) -> Result<Option<CloneCredential>, ForgeError> {
        self.inner.clone_credential(repo).await
    }
}

#[async_trait]
impl Deployer for Mortal<FakeDeployer> {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.fate.point().await;
        let checked = self.inner.check(plan).await;
        self.fate.point().await;
        checked
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        self.fate.point().await;
        let done = self.inner.apply(plan, checked).await;
        self.fate.point().await;
        done
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.inner.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.inner.retire(request).await
    }
}

struct World {
    forge: Arc<FakeForge>,
    deployer: Arc<FakeDeployer>,
    store: Arc<MemoryStore>,
    watch: Watch,
    clock: Arc<TokioClock>,
}

impl World {
    fn new() -> Self {
        let mut watch = watch("qa", &["main", "release/*"]);
        watch.timing.polling_interval = Duration::from_secs(5);
        let world = Self {
            forge: Arc::new(FakeForge::new()),
            deployer: Arc::new(FakeDeployer::new()),
            store: Arc::new(MemoryStore::new()),
            watch,
            clock: Arc::new(TokioClock::new()),
        };
        world.forge.commit(A, "main", "first", &[]);
        world.forge.commit(B, "main", "tests", FILES);
        world
    }

    /// Runs an agent for so long, or until its fate is sealed; then it is killed.
    async fn live(&self, fate: &Arc<Fate>, seconds: u64) {
        let mortal = Arc::new(Mortal { inner: Arc::clone(&self.store), fate: Arc::clone(fate) });
        let forge = Mortal { inner: Arc::clone(&self.forge), fate: Arc::clone(fate) };
        let engine = Engine::builder(State { journal: mortal, ..Arc::clone(&self.store).into() })
            .clock(Arc::clone(&self.clock) as _)
            .watch(self.watch.clone())
            .forge("forge", ForgePorts::new(Arc::new(forge)))
            .deployer(
                "deployer",
                DeployerPorts {
                    deployer: Arc::new(Mortal {
                        inner: Arc::clone(&self.deployer),
                        fate: Arc::clone(fate),
                    }),
                    ..DeployerPorts::new(Arc::clone(&self.deployer))
                },
            )
            .build()
            .unwrap();
        let mut agent = JoinSet::new();
        agent.spawn(async move { engine.run(&Stop::new()).await });
        for _ in 0..seconds * 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if fate.is_sealed() {
                break;
            }
        }
        agent.abort_all();
        while agent.join_next().await.is_some() {}
    }

    /// What happens in every life: two pushes, a new branch, a trigger. Returns all heads that must arrive.
    async fn events(&self) -> Vec<CommitSha> {
        let main = self.forge.commit(A, "main", "work", &[]);
        let release = self.forge.commit(A, "release/1.0", "cut", &[]);
        let at = self.clock.now();
        let trigger = Trigger {
            id: TriggerId::new(at, 7),
            key: "nightly".into(),
            watch: self.watch.name.clone(),
            kind: TriggerKind::Deliver {
                subject: sample::subject("main"),
                sha: None,
                selection: Selection::default(),
            },
            cause: Cause::Manual,
            by: None,
            at,
            state: TriggerState::Pending,
        };
        self.store.request(&trigger).await.unwrap();
        vec![main, release]
    }
}

fn immortal() -> Arc<Fate> {
    Arc::new(Fate { passed: AtomicUsize::new(0), fatal: usize::MAX })
}

/// One life that ends at the given point; how often it was killed, `None` once the point was never reached.
async fn dies_at(fatal: usize, second: usize) -> Option<usize> {
    let world = World::new();
    world.live(&immortal(), 8).await;
    let heads = world.events().await;
    let fate = Arc::new(Fate { passed: AtomicUsize::new(0), fatal });
    world.live(&fate, 20).await;
    if !fate.is_sealed() {
        return None;
    }
    // It dies once more on its way back.
    let again = Arc::new(Fate { passed: AtomicUsize::new(0), fatal: second });
    world.live(&again, 20).await;
    world.live(&immortal(), 60).await;

    let branches = world.store.snapshot().cursors;
    let delivered: Vec<_> =
        branches.iter().filter_map(|b| b.delivered.clone()).map(|m| m.sha).collect();
    for head in &heads {
        assert!(delivered.contains(head), "killed at point {fatal}, then {second}: {head} is lost");
    }
    let created = world.deployer.created();
    let mut keys: Vec<_> = created.iter().map(|o| format!("{:?}", o.operation)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(
        keys.len(),
        created.len(),
        "killed at point {fatal}, then {second}: a run was made twice"
    );
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
