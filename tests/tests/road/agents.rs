//! Agents beside each other and beside commands.

use sentry_tests::sandbox::{Agent, eventually};

use sentry_tests::road::Road;

/// An agent that holds the state.
fn running(road: &Road) -> Agent {
    let mut agent = road.watch();
    agent.wait_for_log("started");
    agent
}

#[track_caller]
fn arrives(road: &Road, sha: &str, runs: usize) {
    eventually("the head is delivered", || road.why(sha).contains("delivered"));
    assert_eq!(road.runs().len(), runs);
}

#[test]
fn a_trigger_works_with_and_without_a_running_agent_and_a_second_agent_exits_4() {
    let road = Road::new();
    let alone = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert_eq!(road.runs().len(), 2);
    let agent = running(&road);
    let second = road.sandbox.sentry(["watch"]);
    assert_eq!(second.code, Some(4), "{second:?}");
    assert!(second.stderr.contains(&agent.id().to_string()), "who holds it: {second:?}");
    let beside = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(beside.code, Some(0), "{beside:?}");
    assert_eq!(road.runs().len(), 4);
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn of_agents_started_at_once_one_works_and_when_it_is_killed_the_next_one_goes_on() {
    let road = Road::new();
    road.once();
    let mut agents: Vec<_> = (0..4).map(|_| road.watch()).collect();
    eventually("all but one have ended", || {
        agents.iter_mut().map(Agent::is_running).filter(|runs| *runs).count() == 1
    });
    let (held, ended): (Vec<_>, Vec<_>) = agents
        .into_iter()
        .map(|mut agent| (agent.is_running(), agent))
        .partition(|(runs, _)| *runs);
    for (_, agent) in ended {
        let output = agent.wait();
        assert_eq!(output.code, Some(4), "{output:?}");
    }
    arrives(&road, &road.push(), 2);
    for (_, agent) in held {
        agent.kill9();
    }
    let next = running(&road);
    arrives(&road, &road.push(), 4);
    assert_eq!(next.term().code, Some(0));
}

#[test]
fn agents_with_states_of_their_own_make_each_run_once_between_them() {
    let road = Road::new();
    let states = ["one", "two"].map(|name| road.sandbox.root().join(name).display().to_string());
    let mut agents = Vec::new();
    for state in &states {
        let first = road.sandbox.sentry(["watch", "--once", "--state-dir", state]);
        assert_eq!(first.code, Some(0), "{first:?}");
        agents.push(road.sandbox.spawn(["watch", "--state-dir", state]));
    }
    for pushes in 1..4 {
        let sha = road.push();
        for state in &states {
            eventually("both call it delivered", || {
                let why = road.sandbox.sentry(["why", &sha, "--state-dir", state]);
                why.stdout.contains("delivered")
            });
        }
        assert_eq!(road.cluster.creates_of("PipelineRun").len(), pushes * 2);
    }
    for agent in agents {
        let ended = agent.term();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}
