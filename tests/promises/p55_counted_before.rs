//! 55: what ends the process again and again parks itself. Each attempt is in the state before it is made; the next process
//! finds the one that has no end.
//!
//! Poisons that end the process at every step of an attempt, over the engine and fakes with paused time; and by the binary,
//! which is killed whenever it fetches from a poisoned repository.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sentry_core::delivery::{Delivery, DeliveryState};
use sentry_core::forge::ForgePorts;
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::testing::fakes::FakeDeployer;
use sentry_core::testing::hooked::{Call, Fault, Hook, Hooked};
use sentry_core::watch::sample::watch;
use sentry_tests::promise::{cases, kept};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::{Road, TREE};
use tokio::sync::mpsc;

use crate::world::{FILES, World, seconds};

/// The steps at which a poison works.
const STEPS: [&str; 4] = ["inspect", "fetch", "check", "apply"];
/// Attempts after the first one.
const RETRIES: u32 = 3;

fn product(name: &str) -> String {
    format!("https://example.com/product/{name}")
}

fn tests(name: &str) -> String {
    format!("https://example.com/qa/{name}")
}

/// A call for a poisoned watch at its step never returns, and asks for the process's end.
#[derive(Debug)]
struct Deadly {
    end: mpsc::UnboundedSender<String>,
    /// Which step is deadly for which watch: one that is healed is not among them.
    poisons: Arc<Mutex<BTreeMap<String, &'static str>>>,
}

fn last_part(repo: &RepoUrl) -> &str {
    repo.as_str().rsplit('/').next().unwrap_or_default()
}

#[async_trait]
impl Hook for Deadly {
    async fn before(&self, call: Call<'_>) -> Result<(), Fault> {
        let (name, step) = match call {
            Call::Tree(query) => (last_part(&query.repo), "fetch"),
            Call::CommitInfo(repo, _) => (last_part(repo), "inspect"),
            Call::Check(plan) => (plan.cluster.namespace.as_str(), "check"),
            Call::Apply(plan) => (plan.cluster.namespace.as_str(), "apply"),
            _ => return Ok(()),
        };
        if self.poisons.lock().unwrap().get(name) == Some(&step) {
            self.end.send(name.to_owned()).unwrap();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// The engine with poisoned watches, and how often each of them ended it.
struct Ward {
    world: World,
    ends: mpsc::UnboundedReceiver<String>,
    end: mpsc::UnboundedSender<String>,
    poisons: Arc<Mutex<BTreeMap<String, &'static str>>>,
    kills: BTreeMap<String, u32>,
}

impl Ward {
    fn new(poisoned: usize, healthy: usize) -> Self {
        let mut world = World::new(FakeDeployer::new().taking(Duration::from_secs(1)));
        // As the configuration has it where it says nothing.
        world.options.max_parallel = 4;
        world.options.inbox_interval = Duration::from_secs(60);
        world.watches.clear();
        let mut poisons = BTreeMap::new();
        for n in 0..poisoned + healthy {
            // Their names say nothing, and their order is not that of the poisons.
            let name = format!("w-{:03}", n * 37 % (poisoned + healthy));
            let mut watch = watch(&name, &["main"]);
            watch.source.repo = product(&name).parse().unwrap();
            watch.manifests.repo = tests(&name).parse().unwrap();
            watch.cluster.namespace = name.parse().unwrap();
            watch.timing.max_retries = RETRIES;
            world.forge.commit(&product(&name), "main", "first", &[]);
            world.forge.commit(&tests(&name), "main", "tests", FILES);
            world.watches.push(watch);
            if n < poisoned {
                poisons.insert(name, STEPS[n % STEPS.len()]);
            }
        }
        let (end, ends) = mpsc::unbounded_channel();
        Self { world, ends, end, poisons: Arc::new(Mutex::new(poisons)), kills: BTreeMap::new() }
    }

    fn start(&mut self) {
        let (end, poisons) = (self.end.clone(), Arc::clone(&self.poisons));
        let deadly = Arc::new(Deadly { end, poisons });
        let forge = ForgePorts::new(Hooked::new(&self.world.forge, &deadly));
        let deployer = Hooked::new(&self.world.deployer, &deadly);
        let store = Arc::clone(&self.world.store);
        self.world.start_on(forge, deployer, store);
    }

    /// So much time passes, in which each poison that works ends the engine, which is started again.
    async fn passes(&mut self, minutes: u64) {
        let until = tokio::time::Instant::now() + Duration::from_secs(minutes * 60);
        while let Ok(Some(name)) = tokio::time::timeout_at(until, self.ends.recv()).await {
            self.world.kill().await;
            // Others that were at their step in the same moment did not end it.
            while self.ends.try_recv().is_ok() {}
            *self.kills.entry(name).or_default() += 1;
            seconds(1).await;
            self.start();
        }
    }

    async fn newest(&self, name: &str) -> Delivery {
        let all = self.world.deliveries().await;
        all.into_iter().find(|d| d.watch.as_str() == name).unwrap()
    }

    fn push(&self, name: &str) -> CommitSha {
        self.world.forge.commit(&product(name), "main", "work", &[])
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_engine_is_parked_after_its_attempts_and_the_others_go_on() {
    let (poisoned, healthy) = (20, cases(30, 10));
    let mut ward = Ward::new(poisoned, healthy);
    ward.start();
    ward.passes(3).await;
    let names: Vec<String> = ward.world.watches.iter().map(|w| w.name.to_string()).collect();
    let heads: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), ward.push(name))).collect();
    ward.passes(120).await;
    let poisons = ward.poisons.lock().unwrap().clone();
    let mut most = 0;
    for name in &names {
        let delivery = ward.newest(name).await;
        assert_eq!(delivery.revision.sha, heads[name]);
        if poisons.contains_key(name) {
            assert_eq!(delivery.state, DeliveryState::Parked, "{name}: {delivery:?}");
            assert_eq!(delivery.attempts.cut_off, RETRIES + 1, "{name}");
            assert!(ward.kills[name] <= RETRIES + 1, "{name}: {}", ward.kills[name]);
            let error = delivery.error.unwrap();
            assert!(error.contains("the process ended in the middle of attempt"), "{error}");
        } else {
            assert_eq!(delivery.state, DeliveryState::Succeeded, "{name}: {delivery:?}");
            most = most.max(delivery.attempts.cut_off);
        }
    }
    assert!(most <= RETRIES, "a healthy one was cut off {most} times");
    // Parked is parked, and the others go on.
    let kills: u32 = ward.kills.values().sum();
    let well: Vec<_> = names.iter().filter(|name| !poisons.contains_key(*name)).collect();
    let heads: Vec<_> = well.iter().map(|name| ward.push(name)).collect();
    let hours = cases(24, 2);
    ward.passes(hours as u64 * 60).await;
    assert_eq!(ward.kills.values().sum::<u32>(), kills, "a parked one was tried again");
    for (name, head) in well.iter().zip(heads) {
        let delivery = ward.newest(name).await;
        assert_eq!((delivery.state, delivery.revision.sha), (DeliveryState::Succeeded, head));
    }
    // What was poisoned is delivered once something changed.
    ward.poisons.lock().unwrap().clear();
    for (name, step) in &poisons {
        // Where B was not even asked, what B holds plays no part.
        match *step {
            "inspect" => drop(ward.push(name)),
            _ => drop(ward.world.forge.commit(&tests(name), "main", "healed", FILES)),
        }
    }
    ward.passes(30).await;
    for name in poisons.keys() {
        assert_eq!(ward.newest(name).await.state, DeliveryState::Succeeded, "{name}");
    }
    let seen = format!(
        "{poisoned} poisons at {} steps ended it {kills} times, and were parked after {} attempts each, for {hours} hours; {healthy} \
         others were delivered, cut off at most {most} times; repaired, all {poisoned} were delivered",
        STEPS.len(),
        RETRIES + 1
    );
    kept(55, "the engine", &seen);
}

/// The configuration of watches whose names tell whether they are poisoned.
fn configure(road: &Road, names: &[String]) {
    let kubeconfig = road.cluster.kubeconfig(road.sandbox.root());
    let watches: String = names
        .iter()
        .map(|name| {
            format!(
                "  - name: {name}\n    polling_interval: 1\n    max_retries: 2\n    \
                 source: {{forge: plain, url: '{}', branches: [main]}}\n    \
                 manifests: {{forge: plain, url: '{}', branch: main}}\n    \
                 cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}\n",
                road.git.url(&format!("a-{name}.git")),
                road.git.url(&format!("b-{name}.git")),
                kubeconfig.display()
            )
        })
        .collect();
    road.sandbox.write_config(&format!(
        "forges:\n  plain: {{type: git, token: '${{GIT_TOKEN}}'}}\nwatches:\n{watches}"
    ));
}

#[test]
fn a_binary_that_is_killed_at_each_fetch_of_a_poison_parks_it_and_delivers_the_rest() {
    let (poisoned, healthy) = (cases(20, 2), cases(10, 2));
    let road = Road::new();
    let root = road.a.path().parent().unwrap().to_owned();
    let bad = (0..poisoned).map(|n| format!("bad-{n}"));
    let names: Vec<String> = bad.chain((0..healthy).map(|n| format!("good-{n}"))).collect();
    let mut products = Vec::new();
    for name in &names {
        let a = BareRepo::create(&root, &format!("a-{name}.git"));
        a.commit("main", &[("README.md", "A")], "first");
        BareRepo::create(&root, &format!("b-{name}.git")).commit("main", TREE, name);
        products.push(a);
    }
    configure(&road, &names);
    assert_eq!(road.once().code, Some(0));
    for a in &products {
        a.commit("main", &[("README.md", "B")], "work");
    }
    let state = |name: &str| {
        let history = road.json(&["history", name, "-o", "json"]);
        history["deliveries"][0].clone()
    };
    let log = road.git.http().log();
    // Only a fetch asks this of B; its answer is never waited for.
    let fetches = "GET /b-bad-";
    road.git.http().faults().until_cleared(fetches, sentry_tests::http::Fault::Hang);
    let (mut agent, mut kills) = (road.watch(), 0);
    let (begun, mut looked) = (Instant::now(), Instant::now());
    loop {
        if !log.matching(fetches).is_empty() {
            agent.kill9();
            kills += 1;
            log.clear();
            agent = road.watch();
        }
        let settled = |name: &String| {
            let wanted = if name.starts_with("bad") { "parked" } else { "succeeded" };
            state(name)["state"] == wanted
        };
        // Not while somebody is to be killed: what is asked here takes its time.
        if looked.elapsed() > Duration::from_secs(1) && log.matching(fetches).is_empty() {
            if names.iter().all(settled) {
                break;
            }
            looked = Instant::now();
        }
        assert!(begun.elapsed() < Duration::from_secs(600), "after {kills} kills: {log:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Two that were under way together were cut off by one kill.
    assert!(kills <= 3 * poisoned && kills > poisoned, "{kills}; max_retries is 2");
    for name in names.iter().filter(|name| name.starts_with("bad")) {
        let error = state(name)["error"].as_str().unwrap().to_owned();
        assert!(error.contains("the process ended in the middle of attempt 3"), "{error}");
    }
    agent.term();
    let seen = format!(
        "{poisoned} poisons, each SIGKILL at its fetch: {kills} kills, parked after 3 attempts each; {healthy} others were \
         delivered"
    );
    kept(55, "the binary", &seen);
}
