//! 44: three processes share one state, one of them frozen at any call. What the
//! cluster and the forge received judges: no head is lost, no run is made twice, nothing older is written over what is newer,
//! and what stands on a commit in the end is its verdict.

mod ports;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sentry_core::delivery::RunState;
use sentry_core::deployer::DeployerPorts;
use sentry_core::engine::{Engine, Stop};
use sentry_core::fleet::{Fleet, Slot};
use sentry_core::forge::{ForgePorts, StatusState};
use sentry_core::plan::COMMIT_LABEL;
use sentry_core::repo::CommitSha;
use sentry_core::testing::fakes::{FakeDeployer, FakeForge, TokioClock};
use sentry_core::testing::hooked::Hooked;
use sentry_core::watch::Watch;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;
use sentry_tests::promise::{full, kept};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::ports::{Cluster, Distant, Process, Reached};

const B: &str = "https://example.com/qa/tests";
const FILES: &[(&str, &str)] = &[
    (
        "run.yaml",
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: tests-}\n",
    ),
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n"),
];
const WATCHES: [&str; 3] = ["one", "two", "three"];

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

/// The first of three processes freezes at its nth call; false once that call was never reached.
async fn frozen_at(nth: usize, frozen_for: u64) -> bool {
    let mut world = World::new();
    let (stop, mut agents) = (Stop::new(), JoinSet::new());
    let mut start = |world: &World, process: &Arc<Process>| {
        let (fleet, stop) = (world.member(process), stop.clone());
        agents.spawn(async move { fleet.run(&stop).await.unwrap() });
    };
    let first = Process::new(BTreeMap::from([(nth, Duration::from_secs(frozen_for))]));
    start(&world, &first);
    sleep(Duration::from_secs(6)).await;
    (0..2).for_each(|_| start(&world, &Process::new(BTreeMap::new())));
    for round in 0..6 {
        world.push(WATCHES[round % 3]);
        world.push(WATCHES[(round + 1) % 3]);
        sleep(Duration::from_secs(3)).await;
    }
    let was_frozen = first.has_frozen();
    sleep(Duration::from_secs(frozen_for + 120)).await;
    world.judge(&format!("frozen at call {nth} for {frozen_for} s"));
    stop.soft();
    while let Some(ended) = agents.join_next().await {
        ended.unwrap();
    }
    was_frozen
}

#[tokio::test(start_paused = true)]
async fn a_process_that_freezes_at_any_call_loses_and_doubles_nothing_and_overwrites_nothing_newer()
{
    let mut stories = 0;
    for (frozen_for, every) in [(25, 13), (5, 41)] {
        let (mut nth, every) = (1, if full() { 1 } else { every });
        while frozen_at(nth, frozen_for).await {
            stories += 1;
            nth += every;
        }
    }
    assert!(stories >= 30, "{stories} stories");
    let seen = format!(
        "{stories} times frozen at a call for 5 s and 25 s: 0 heads lost, 0 runs doubled, 0 older objects after newer, \
         each last status its verdict"
    );
    kept(44, "", &seen);
}
