//! Agents beside each other and beside commands; and what a running agent makes of branches that move oddly.

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

#[test]
fn an_acknowledged_trigger_outlives_kills_and_its_key_makes_all_its_copies_one() {
    let road = Road::new();
    road.once();
    let trigger = || {
        let args = ["trigger", "qa", "--branch", "main", "--no-wait", "--idempotency-key", "night"];
        let stored = road.sandbox.sentry(args);
        assert_eq!(stored.code, Some(0), "{stored:?}");
        stored.stdout
    };
    let first = trigger();
    for _ in 0..3 {
        let mut agent = road.watch();
        agent.wait_for_log("started");
        agent.kill9();
        assert_eq!(trigger(), first, "the same key is the same trigger");
    }
    let mut agent = running(&road);
    eventually("the trigger is carried out", || road.runs().len() == 2);
    assert_eq!(trigger(), first, "also when it is done");
    // A later change is delivered after the copy was looked at: what would come of it has come.
    arrives(&road, &road.push(), 4);
    assert!(agent.is_running());
    assert_eq!(agent.term().code, Some(0));
}

#[test]
fn a_running_agent_follows_force_pushes_deletions_and_re_creations() {
    let road = Road::new();
    let root = road.a.branch_at("main").unwrap();
    let passed_over = road.a.commit("main", &[("n", "1")], "never seen as a head");
    road.a.commit("main", &[("n", "2")], "the baseline");
    road.once();
    let mut agent = running(&road);
    let unrelated = road.a.commit("elsewhere", &[("n", "3")], "a history of its own");
    road.a.force("main", &unrelated);
    arrives(&road, &unrelated, 2);
    road.a.force("main", &passed_over);
    arrives(&road, &passed_over, 4);
    road.a.force("main", &root);
    arrives(&road, &root, 6);
    road.a.force("main", &unrelated);
    eventually("back at a head that has its runs", || {
        status(&road, "main")["delivered"]["sha"] == *unrelated
    });
    assert_eq!(road.runs().len(), 6);

    road.a.force("release/1", &root);
    eventually("a new branch at an old commit", || road.runs().len() == 8);
    road.a.delete_branch("release/1");
    agent.wait_for_log("branch is gone");
    assert_eq!(status(&road, "release/1")["state"], "gone");
    assert_eq!(road.runs().len(), 8);
    let again = road.a.commit("release/1", &[("n", "4")], "created again");
    arrives(&road, &again, 10);
    road.a.force("hotfix/release/1", &again);
    road.a.force("release-2", &again);
    // Heads are asked for together: had the others matched the globs, they would have come with this one.
    let last = road.push();
    arrives(&road, &last, 12);
    assert_eq!(agent.term().code, Some(0));
}

/// What `sentry status` says of a branch.
fn status(road: &Road, branch: &str) -> serde_json::Value {
    let status = road.json(&["status", "-o", "json"]);
    let branches = status["watches"][0]["branches"].as_array().unwrap();
    branches.iter().find(|found| found["branch"] == branch).unwrap().clone()
}
