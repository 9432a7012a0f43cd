//! 5: two hundred requests at once: each is acknowledged and carried out, and no two deliveries write to one target at
//! the same time.

use std::time::{Duration, Instant};

use sentry_core::delivery::TriggerState;
use sentry_core::plan::DELIVERY_LABEL;
use sentry_core::store::Inbox as _;
use sentry_core::testing::fakes::FakeDeployer;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;

use crate::world::{A, RUNS, World, seconds};

const REQUESTS: usize = 200;
/// How long one of them may take on a machine where two hundred processes run.
const PATIENCE: Duration = Duration::from_secs(600);
/// All in one namespace: a branch has one delivery at a time anyway.
const BRANCHES: [&str; 4] = ["main", "release/1", "release/2", "release/3"];

#[tokio::test(start_paused = true)]
async fn two_hundred_requests_are_all_answered_one_at_a_time() {
    let mut world = World::new(FakeDeployer::new().taking(Duration::from_millis(200)));
    for branch in &BRANCHES[1..] {
        world.forge.commit(A, branch, "cut", &[]);
    }
    world.start();
    seconds(65).await;
    let mut requests = Vec::new();
    for n in 0..REQUESTS {
        requests.push(world.ask(BRANCHES[n % BRANCHES.len()], &format!("request {n}")).await);
    }
    seconds(300).await;
    for request in requests {
        let kept = world.store.trigger(&request.id).await.unwrap().unwrap();
        assert!(matches!(kept.state, TriggerState::Taken(_)), "{kept:?}");
    }
    assert_eq!(world.deployer.created().len(), REQUESTS * RUNS, "each makes its own runs");
    let (applies, at_once) = world.deployer.applies();
    assert_eq!((applies, at_once), (REQUESTS, 1));
    let seen = format!("{REQUESTS} requests: {applies} applies, at most {at_once} at once");
    kept(5, "over fakes", &seen);
}

/// Processes that ask at the same moment; the API server's log says whose write followed whose.
#[test]
fn processes_that_ask_at_once_are_all_acknowledged_and_their_deliveries_never_overlap() {
    let road = Road::new();
    let root = road.a.branch_at("main").unwrap();
    BRANCHES[1..].iter().for_each(|branch| road.a.force(branch, &root));
    road.once();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let wanted = cases(REQUESTS, 8);
    let ask = |n: usize| {
        let branch = BRANCHES[n % BRANCHES.len()];
        road.sandbox.spawn(["trigger", "qa", "--branch", branch, "--no-wait"])
    };
    let asking: Vec<_> = (0..wanted).map(ask).collect();
    for process in asking {
        let output = process.wait();
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    for n in 1..=wanted {
        let begun = Instant::now();
        while road.runs().len() < n * RUNS {
            let log = agent.stderr_so_far();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            assert!(begun.elapsed() < PATIENCE, "request {n} is not carried out: {tail:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert_eq!(agent.term().code, Some(0));
    let requests = road.cluster.requests();
    let mut writers: Vec<String> = Vec::new();
    let (mut pairs, mut writes) = (0, 0);
    for request in requests.iter().filter(|request| request.is_write()) {
        writes += 1;
        // Named objects stand at the start of a delivery, its runs, which carry its id, at the end.
        let id = request.body["metadata"]["labels"][DELIVERY_LABEL].as_str();
        match id.filter(|_| request.method == "POST") {
            Some(id) if writers.last().is_some_and(|last| last == id) => pairs += 1,
            Some(id) => writers.push(id.to_owned()),
            None => assert_eq!(pairs, writers.len(), "an apply within another delivery's runs"),
        }
    }
    let mut unique = writers.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((unique.len(), writers.len()), (wanted, wanted), "no delivery is interrupted");
    assert_eq!(pairs, wanted * (RUNS - 1));
    let seen = format!(
        "{wanted} processes at once, for {} branches: {wanted} acknowledged, {wanted} deliveries with {writes} writes, 0 of them within \
         another delivery",
        BRANCHES.len()
    );
    kept(5, "the program", &seen);
}
