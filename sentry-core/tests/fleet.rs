//! Three processes share one state, each frozen at some call, for longer than a lease or for less. What the cluster and the forge
//! received judges: no head is lost, no run is made twice, nothing older is written over what is newer, and what stands on a
//! commit in the end is its verdict.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sentry_core::delivery::RunState;
use sentry_core::deployer::{
    Checked, DeployError, Deployer, DeployerPorts, FollowQuery, Retire, RunChange,
};
use sentry_core::engine::{Engine, Stop};
use sentry_core::fleet::{Fleet, Member, MemberId, Slot, Slots, Table, Term};
use sentry_core::forge::{CommitStatus, ForgeError, ForgePorts, Reporter, StatusState};
use sentry_core::names::WatchName;
use sentry_core::plan::{Action, COMMIT_LABEL, ChangeSet, Plan};
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::store::{State, StoreError};
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use sentry_core::watch::Watch;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const B: &str = "https://example.com/qa/tests";
const FILES: &[(&str, &str)] = &[
    (
        "run.yaml",
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: tests-}\n",
    ),
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n"),
];
const WATCHES: [&str; 3] = ["one", "two", "three"];

/// All ports of one process: at its nth call it freezes, and nothing of it goes on before that is over.
#[derive(Debug)]
struct Process {
    calls: AtomicUsize,
    freezes_at: usize,
    frozen_for: Duration,
    until: Mutex<Instant>,
    /// Requests that are on their way: they arrive, whatever became of who sent them.
    sent: Mutex<JoinSet<()>>,
}

impl Process {
    fn new(freezes_at: usize, frozen_for: Duration) -> Arc<Self> {
        let until = Mutex::new(Instant::now());
        let (calls, sent) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { calls, freezes_at, frozen_for, until, sent })
    }

    async fn point(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.freezes_at {
            *self.until.lock().unwrap() = Instant::now() + self.frozen_for;
        }
        let until = *self.until.lock().unwrap();
        sleep_until(until).await;
    }

    /// Sends a request, and waits for its answer.
    async fn send<T: Send + 'static>(
        self: &Arc<Self>,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (process, (answer, answered)) = (Arc::clone(self), oneshot::channel());
        self.sent.lock().unwrap().spawn(async move {
            process.point().await;
            let result = request.await;
            process.point().await;
            // Who asked may be gone.
            answer.send(result).ok();
        });
        answered.await.unwrap()
    }

    fn has_frozen(&self) -> bool {
        self.calls.load(Ordering::Relaxed) >= self.freezes_at
    }
}

#[async_trait]
impl Hook for Process {
    async fn before(&self, _: Call<'_>) -> Result<(), Fault> {
        self.point().await;
        Ok(())
    }

    async fn after(&self, _: Call<'_>) -> Result<(), Fault> {
        self.point().await;
        Ok(())
    }
}

/// A port whose requests may be on their way for as long as the process is frozen.
#[derive(Debug)]
struct Distant<T> {
    inner: Arc<T>,
    process: Arc<Process>,
}

#[async_trait]
impl Reporter for Distant<FakeForge> {
    async fn set_status(&self, repo: &RepoUrl, status: &CommitStatus) -> Result<(), ForgeError> {
        let (inner, repo, status) = (Arc::clone(&self.inner), repo.clone(), status.clone());
        self.process.send(async move { inner.set_status(&repo, &status).await }).await
    }
}

#[async_trait]
impl Deployer for Distant<Cluster> {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.process.point().await;
        self.inner.check(plan).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let (inner, plan, checked) = (Arc::clone(&self.inner), plan.clone(), checked.clone());
        self.process.send(async move { inner.apply(&plan, &checked).await }).await
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.inner.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        let (inner, request) = (Arc::clone(&self.inner), request.clone());
        self.process.send(async move { inner.retire(&request).await }).await
    }
}

/// The slots as a process reaches them.
#[derive(Debug)]
struct Reached {
    store: Arc<MemoryStore>,
    process: Arc<Process>,
}

#[async_trait]
impl Slots for Reached {
    async fn renew(&self, me: &Member) -> Result<Table, StoreError> {
        self.process.point().await;
        let table = self.store.renew(me).await;
        self.process.point().await;
        table
    }
    async fn take(
        &self,
        me: &MemberId,
        slot: Slot,
        seen: Option<&Term>,
    ) -> Result<Term, StoreError> {
        self.process.point().await;
        let term = self.store.take(me, slot, seen).await;
        self.process.point().await;
        term
    }
    async fn give(&self, slot: Slot, term: &Term) -> Result<(), StoreError> {
        self.process.point().await;
        self.store.give(slot, term).await
    }
    async fn settle(
        &self,
        slot: Slot,
        term: &Term,
        watches: &[WatchName],
    ) -> Result<Vec<WatchName>, StoreError> {
        self.process.point().await;
        self.store.settle(slot, term, watches).await
    }
    fn state(&self, slot: Slot, term: &Term) -> State {
        let State { journal, inbox, archive } = self.store.state(slot, term);
        State { journal: Hooked::new(&journal, &self.process), inbox, archive }
    }
}

/// The cluster, which keeps the order in which named objects were written: each with the commit that it is for.
#[derive(Debug)]
struct Cluster {
    fake: Arc<FakeDeployer>,
    written: Mutex<BTreeMap<String, Vec<String>>>,
}

#[async_trait]
impl Deployer for Cluster {
    async fn check(&self, plan: &Plan) -> Result<Checked, DeployError> {
        self.fake.check(plan).await
    }
    async fn apply(&self, plan: &Plan, checked: &Checked) -> Result<ChangeSet, DeployError> {
        let changes = self.fake.apply(plan, checked).await?;
        let mut written = self.written.lock().unwrap();
        for (planned, outcome) in plan.objects.iter().zip(&changes.objects) {
            if !planned.is_run() && matches!(outcome.action, Action::Created | Action::Configured) {
                let commit = planned.json["metadata"]["labels"][COMMIT_LABEL].as_str().unwrap();
                let of = written.entry(plan.cluster.namespace.to_string()).or_default();
                of.push(commit.to_owned());
            }
        }
        Ok(changes)
    }
    fn follow(&self, query: FollowQuery) -> Option<BoxStream<'_, Result<RunChange, DeployError>>> {
        self.fake.follow(query)
    }
    async fn retire(&self, request: &Retire) -> Result<(), DeployError> {
        self.fake.retire(request).await
    }
}

struct World {
    forge: Arc<FakeForge>,
    cluster: Arc<Cluster>,
    store: Arc<MemoryStore>,
    clock: Arc<TokioClock>,
    pushed: BTreeMap<&'static str, Vec<CommitSha>>,
}

fn a_of(watch: &str) -> String {
    format!("https://example.com/product/{watch}")
}

impl World {
    fn new() -> Self {
        let takes = Duration::from_secs(1);
        let fake = FakeDeployer::new().following().taking(takes);
        let fake = fake.auto_finish(Duration::from_secs(4), RunState::Succeeded);
        let world = Self {
            forge: Arc::new(FakeForge::new()),
            cluster: Arc::new(Cluster { fake: Arc::new(fake), written: Mutex::default() }),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(TokioClock::new()),
            pushed: BTreeMap::new(),
        };
        WATCHES
            .iter()
            .for_each(|watch| drop(world.forge.commit(&a_of(watch), "main", "first", &[])));
        world.forge.commit(B, "main", "tests", FILES);
        world
    }

    fn watch(name: &str) -> Watch {
        let mut watch = watch(name, &["main"]);
        watch.source.repo = a_of(name).parse().unwrap();
        watch.cluster.namespace = name.parse().unwrap();
        watch.timing.polling_interval = Duration::from_secs(2);
        watch
    }

    fn distant<T>(inner: &Arc<T>, process: &Arc<Process>) -> Arc<Distant<T>> {
        Arc::new(Distant { inner: Arc::clone(inner), process: Arc::clone(process) })
    }

    fn member(&self, process: &Arc<Process>) -> Fleet {
        let deployer = DeployerPorts {
            deployer: Self::distant(&self.cluster, process),
            ..DeployerPorts::new(Arc::clone(&self.cluster.fake))
        };
        let forge = ForgePorts {
            reporter: Some(Self::distant(&self.forge, process)),
            ..ForgePorts::with_statuses(Hooked::new(&self.forge, process))
        };
        let mut engine = Engine::builder(Arc::clone(&self.store))
            .clock(Arc::clone(&self.clock) as _)
            .forge("forge", forge)
            .deployer("deployer", deployer);
        for name in WATCHES {
            engine = engine.watch(Self::watch(name));
        }
        let slots = Reached { store: Arc::clone(&self.store), process: Arc::clone(process) };
        let of = |watch: &Watch| Slot::of("cluster", &watch.cluster.namespace);
        Fleet::new(engine.build().unwrap(), Arc::new(slots), of)
    }

    fn push(&mut self, watch: &'static str) {
        let sha = self.forge.commit(&a_of(watch), "main", "work", &[]);
        self.pushed.entry(watch).or_default().push(sha);
    }

    /// Of each watch: its newest head has its run, no head has two, named objects were written in the order of the heads, and
    /// the last status of each commit that has one is an end.
    fn judge(&self, at: &str) {
        let mut runs: BTreeMap<(String, String), usize> = BTreeMap::new();
        for run in self.cluster.fake.created() {
            let labels = &run.json["metadata"]["labels"];
            let commit = labels[COMMIT_LABEL].as_str().unwrap().to_owned();
            *runs.entry((run.object.namespace.unwrap(), commit)).or_default() += 1;
        }
        assert!(runs.values().all(|n| *n == 1), "{at}: a run was made twice: {runs:?}");
        let written = self.cluster.written.lock().unwrap();
        for (watch, pushed) in &self.pushed {
            let newest = pushed.last().unwrap();
            let key = ((*watch).to_owned(), newest.to_string());
            assert!(runs.contains_key(&key), "{at}: {newest} of {watch} is lost");
            let order: Vec<usize> = written[*watch]
                .iter()
                .map(|commit| pushed.iter().position(|sha| sha.as_str() == commit).unwrap())
                .collect();
            assert!(order.is_sorted(), "{at}: an older object over a newer one: {order:?}");
            let statuses = self.forge.statuses();
            for sha in pushed
                .iter()
                .filter(|sha| runs.contains_key(&((*watch).to_owned(), sha.to_string())))
            {
                let last = statuses.iter().rfind(|status| status.revision.sha == *sha);
                let last = last.map(|status| status.state);
                assert_eq!(
                    last,
                    Some(StatusState::Success),
                    "{at}: what stands on {sha} of {watch}"
                );
            }
        }
    }
}

/// What happens to three processes while the first freezes at its nth call; false once that call was never reached.
async fn frozen_at(nth: usize, frozen_for: u64) -> bool {
    let at = format!("frozen at call {nth} for {frozen_for} s");
    let mut world = World::new();
    let first = Process::new(nth, Duration::from_secs(frozen_for));
    let stop = Stop::new();
    let mut agents = JoinSet::new();
    let start = |agents: &mut JoinSet<()>, process: &Arc<Process>, world: &World| {
        let (fleet, stop) = (world.member(process), stop.clone());
        agents.spawn(async move { fleet.run(&stop).await.unwrap() });
    };
    start(&mut agents, &first, &world);
    sleep(Duration::from_secs(6)).await;
    for _ in 0..2 {
        start(&mut agents, &Process::new(usize::MAX, Duration::ZERO), &world);
    }
    for round in 0..6 {
        world.push(WATCHES[round % 3]);
        world.push(WATCHES[(round + 1) % 3]);
        sleep(Duration::from_secs(3)).await;
    }
    let was_frozen = first.has_frozen();
    sleep(Duration::from_secs(frozen_for + 120)).await;
    world.judge(&at);
    stop.soft();
    while agents.join_next().await.is_some() {}
    was_frozen
}

#[tokio::test(start_paused = true)]
async fn a_process_that_freezes_anywhere_loses_no_head_doubles_no_run_and_overwrites_nothing_newer()
{
    let mut stories = 0;
    for (frozen_for, every) in [(25, 13), (5, 41)] {
        let mut nth = 1;
        while frozen_at(nth, frozen_for).await {
            stories += 1;
            nth += every;
        }
    }
    println!("{stories} stories");
    assert!(stories >= 30, "{stories}");
}
