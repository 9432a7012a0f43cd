//! 6: requests with one key, from many processes of which some are killed, to an agent that is killed again and again:
//! one delivery.

use std::time::Duration;

use sentry_core::testing::fakes::FakeDeployer;
use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;
use sentry_tests::sandbox::{Agent, eventually};

use crate::world::{RUNS, World, seconds};

const REQUESTS: usize = 50;
const AT_ONCE: usize = 5;

#[tokio::test(start_paused = true)]
async fn fifty_requests_with_one_key_to_an_agent_that_is_killed_are_one_delivery() {
    let mut kills = 0;
    for millis in (0..4_000).step_by(100) {
        let mut world = World::new(FakeDeployer::new().taking(Duration::from_secs(2)));
        world.start();
        seconds(65).await;
        for n in 0..REQUESTS {
            world.ask("main", "nightly").await;
            if n == REQUESTS / 2 {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                world.kill().await;
                kills += 1;
                world.start();
            }
        }
        seconds(120).await;
        let deliveries = world.deliveries().await;
        assert_eq!(deliveries.len(), 1, "killed after {millis} ms: {deliveries:?}");
        assert_eq!(world.deployer.created().len(), RUNS, "killed after {millis} ms");
    }
    let seen = format!("{kills} times {REQUESTS} requests and a kill: 1 delivery each time");
    kept(6, "over fakes", &seen);
}

/// What an acknowledged request says.
fn acknowledged(process: Agent) -> String {
    let output = process.wait();
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout
}

#[test]
fn requests_of_many_processes_with_one_key_survive_kills_as_one_delivery() {
    let road = Road::new();
    // A kill in the middle of an attempt is one of its attempts, and here they are many.
    road.configure_watch("max_retries: 50");
    road.once();
    let (rounds, copies) = (cases(10, 2), cases(REQUESTS, 10));
    let mut kills = 0;
    for round in 0..rounds {
        let before = road.cluster.creates_of("PipelineRun").len();
        let key = format!("night-{round}");
        let args = ["trigger", "qa", "--branch", "main", "--no-wait", "--idempotency-key", &key];
        let mut answers = Vec::new();
        for batch in 0..copies / AT_ONCE {
            let agent = road.watch();
            let asking: Vec<_> = (0..AT_ONCE).map(|_| road.sandbox.spawn(args)).collect();
            // Whether one that is killed has asked is not known: its copies stand for it.
            let lost = road.sandbox.spawn(args);
            std::thread::sleep(Duration::from_millis(40 + (batch + round) as u64 % 10 * 110));
            // Who asks may be through by now.
            kills +=
                [lost, agent].map(Agent::kill9).iter().filter(|end| end.code.is_none()).count();
            answers.extend(asking.into_iter().map(acknowledged));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "the same key is the same request: {answers:?}");
        let mut agent = road.watch();
        agent.wait_for_log("started");
        let created = || road.cluster.creates_of("PipelineRun").len() - before;
        eventually("the request is carried out", || created() >= RUNS);
        assert_eq!(acknowledged(road.sandbox.spawn(args)), answers[0], "also when it is done");
        // A later change is delivered after the copy was looked at: what would come of it has come.
        let sha = road.push();
        eventually("the head is delivered", || road.why(&sha).contains("delivered"));
        assert_eq!(created(), 2 * RUNS, "one delivery for the key, one for the push");
        assert_eq!(agent.term().code, Some(0));
    }
    let seen = format!(
        "{rounds} keys, each {copies} times by {AT_ONCE} processes at once, {kills} kills of agents and of those who ask: \
         1 delivery each"
    );
    kept(6, "the program", &seen);
}
