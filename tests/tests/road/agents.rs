//! Agents beside each other and beside commands.

use sentry_tests::road::Road;
use sentry_tests::sandbox::Agent;

/// An agent that holds the state.
fn running(road: &Road) -> Agent {
    let mut agent = road.watch();
    agent.wait_for_log("started");
    agent
}

#[test]
fn a_trigger_works_with_and_without_a_running_agent() {
    let road = Road::new();
    let alone = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert_eq!(road.runs().len(), 2);
    let agent = running(&road);
    let beside = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(beside.code, Some(0), "{beside:?}");
    assert_eq!(road.runs().len(), 4);
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
