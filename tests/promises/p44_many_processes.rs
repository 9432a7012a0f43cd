//! 44: three processes share one state, each of them frozen, killed, its wall clock set forth and back, at any call. What the
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
use sentry_core::testing::fakes::{FakeDeployer, FakeForge};
use sentry_core::testing::hooked::Hooked;
use sentry_core::watch::Watch;
use sentry_core::watch::sample::watch;
use sentry_store::MemoryStore;
use sentry_tests::promise::{cases, full, kept};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use self::ports::{Cluster, Distant, Process, Reached};
use crate::world::WallClock;

const B: &str = "https://example.com/qa/tests";
const FILES: &[(&str, &str)] = &[
    (
        "run.yaml",
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: tests-}\n",
    ),
    ("task.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n"),
];
/// Of the simulated clock; whatever waits longer would wait for ever.
const PATIENCE: Duration = Duration::from_secs(3600);
const WATCHES: [&str; 3] = ["one", "two", "three"];

struct World {
    forge: Arc<FakeForge>,
    cluster: Arc<Cluster>,
    store: Arc<MemoryStore>,
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

    fn member(&self, process: &Arc<Process>, clock: &Arc<WallClock>) -> Fleet {
        let deployer = DeployerPorts {
            deployer: Self::distant(&self.cluster, process),
            ..DeployerPorts::new(Arc::clone(&self.cluster.fake))
        };
        let forge = ForgePorts {
            reporter: Some(Self::distant(&self.forge, process)),
            ..ForgePorts::with_statuses(Hooked::new(&self.forge, process))
        };
        let mut engine = Engine::builder(Arc::clone(&self.store))
            .clock(Arc::clone(clock) as _)
            .forge("forge", forge)
            .deployer("deployer", deployer);
        for name in WATCHES {
            engine = engine.watch(Self::watch(name));
        }
        let slots = Reached { store: Arc::clone(&self.store), process: Arc::clone(process) };
        let of = |watch: &Watch| Slot::of("cluster", &watch.cluster.namespace);
        Fleet::new(engine.build().unwrap(), Arc::new(slots), of)
    }

    /// Until each watch's first head was recorded: what is pushed before is no change.
    async fn recorded(&self) {
        let since = Instant::now();
        while self.store.snapshot().cursors.len() < WATCHES.len() {
            assert!(since.elapsed() < PATIENCE, "the first heads were not recorded");
            sleep(Duration::from_millis(100)).await;
        }
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

/// The processes of a story.
struct Processes {
    agents: JoinSet<()>,
    stop: Stop,
    of: Vec<One>,
    killed: Vec<AbortHandle>,
}

struct One {
    process: Arc<Process>,
    clock: Arc<WallClock>,
    agent: AbortHandle,
}

impl Processes {
    fn new() -> Self {
        Self { agents: JoinSet::new(), stop: Stop::new(), of: Vec::new(), killed: Vec::new() }
    }

    fn start(&mut self, world: &World, freezes: BTreeMap<usize, Duration>) {
        let (process, clock) = (Process::new(freezes), Arc::new(WallClock::new()));
        let (fleet, stop) = (world.member(&process, &clock), self.stop.clone());
        let agent = self.agents.spawn(async move { fleet.run(&stop).await.unwrap() });
        self.of.push(One { process, clock, agent });
    }

    fn kill(&mut self, victim: usize) {
        let One { agent, process, .. } = self.of.remove(victim);
        agent.abort();
        process.die();
        self.killed.push(agent);
    }

    fn frozen(&self) -> usize {
        self.of.iter().map(|one| one.process.frozen()).sum()
    }

    /// Ends in order: what is still under way is waited for.
    async fn end(mut self) {
        self.stop.soft();
        let ends = async |agents: &mut JoinSet<()>| timeout(PATIENCE, agents.join_next()).await;
        while let Some(ended) = ends(&mut self.agents).await.expect("the processes end") {
            assert!(ended.is_ok() || self.killed.pop().is_some(), "one broke down");
        }
    }
}

/// The first of three processes freezes at its nth call; false once that call was never reached.
async fn frozen_at(nth: usize, frozen_for: u64) -> bool {
    let mut world = World::new();
    let mut processes = Processes::new();
    processes.start(&world, BTreeMap::from([(nth, Duration::from_secs(frozen_for))]));
    sleep(Duration::from_secs(6)).await;
    (0..2).for_each(|_| processes.start(&world, BTreeMap::new()));
    world.recorded().await;
    for round in 0..6 {
        world.push(WATCHES[round % 3]);
        world.push(WATCHES[(round + 1) % 3]);
        sleep(Duration::from_secs(3)).await;
    }
    let was_frozen = processes.frozen() > 0;
    sleep(Duration::from_secs(frozen_for + 120)).await;
    world.judge(&format!("frozen at call {nth} for {frozen_for} s"));
    processes.end().await;
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
    let seen = format!("{stories} times frozen at a call for 5 s and 25 s: {NONE}");
    kept(44, "each call", &seen);
}

const NONE: &str =
    "0 heads lost, 0 runs doubled, 0 older objects after newer, each last status its verdict";

/// Whatever happens to three processes for a while; how often they froze, were killed, and had their clocks set.
async fn story(seed: u64) -> [usize; 3] {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new();
    let mut processes = Processes::new();
    let [mut killed, mut jumped] = [0; 2];
    let freezes = |random: &mut fastrand::Rng| {
        let some = (0..random.usize(0..3))
            .map(|_| (random.usize(1..400), Duration::from_secs(random.u64(1..120))));
        some.collect::<BTreeMap<_, _>>()
    };
    for _ in 0..3 {
        let freezes = freezes(&mut random);
        processes.start(&world, freezes);
        sleep(Duration::from_millis(random.u64(0..5_000))).await;
    }
    world.recorded().await;
    for _ in 0..random.usize(5..25) {
        match random.u8(0..10) {
            0 => {
                let victim = random.usize(0..3);
                processes.kill(victim);
                let freezes = freezes(&mut random);
                processes.start(&world, freezes);
                killed += 1;
            }
            1 | 2 => {
                let by = random.choice([86_400, -86_400, TEN_YEARS, -TEN_YEARS]).unwrap();
                processes.of[random.usize(0..3)].clock.jump(by);
                jumped += 1;
            }
            _ => world.push(random.choice(WATCHES).unwrap()),
        }
        sleep(Duration::from_millis(random.u64(0..8_000))).await;
    }
    // A freeze may begin late, and two may follow each other.
    sleep(Duration::from_secs(600)).await;
    world.judge(&format!("story {seed}"));
    let frozen = processes.frozen();
    processes.end().await;
    [frozen, killed, jumped]
}

const TEN_YEARS: i64 = 3652 * 86_400;

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_three_processes_no_head_is_lost_and_nothing_is_done_twice() {
    let stories = cases(10_000, 16);
    let mut happened = [0; 3];
    for seed in 0..u64::try_from(stories).unwrap() {
        let of = story(seed).await;
        happened.iter_mut().zip(of).for_each(|(all, of)| *all += of);
    }
    let [frozen, killed, jumped] = happened;
    assert!(happened.iter().all(|n| *n > 0), "{happened:?}");
    let seen = format!(
        "{stories} stories, {frozen} freezes of 1 to 120 s, {killed} kills, {jumped} jumps of a clock by a day and ten years: {NONE}"
    );
    kept(44, "stories", &seen);
}
