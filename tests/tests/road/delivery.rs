//! What is delivered, in which order, how often; outages and secrets.

use std::path::PathBuf;

use sentry_tests::sandbox::eventually;

use sentry_tests::road::{Road, TOKEN};

#[test]
fn a_push_delivers_in_order_a_second_push_makes_new_runs_and_the_same_head_makes_none() {
    let road = Road::new();
    let first = road.once();
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(road.cluster.writes(), 0, "the first head is the baseline");
    let baseline = road.a.branch_at("main").unwrap();
    assert!(road.why(&baseline).contains("baseline"), "{}", road.why(&baseline));

    let sha = road.push();
    let done = road.once();
    assert_eq!(done.code, Some(0), "{done:?}");
    let kinds: Vec<_> =
        road.cluster.objects().iter().map(|o| o["kind"].as_str().unwrap().to_owned()).collect();
    let ours: Vec<_> = kinds
        .iter()
        .filter(|k| ["Task", "Pipeline", "PipelineRun"].contains(&k.as_str()))
        .collect();
    assert_eq!(ours, ["Task", "Pipeline", "PipelineRun", "PipelineRun"]);
    assert_eq!(road.runs()[0]["spec"]["params"][0]["value"], sha.as_str());
    assert!(road.why(&sha).contains("delivered"), "{}", road.why(&sha));

    assert_eq!(road.once().code, Some(0));
    assert_eq!(road.runs().len(), 2, "the same head makes nothing");
    road.push();
    assert_eq!(road.once().code, Some(0));
    let names: std::collections::BTreeSet<_> =
        road.runs().iter().map(|r| r["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let history = road.json(&["history", "-o", "json"]);
    assert_eq!(history["version"], 1);
    assert_eq!(history["deliveries"].as_array().unwrap().len(), 2);
}

#[test]
fn new_deleted_re_created_and_forced_branches_behave_as_promised() {
    let road = Road::new();
    road.once();
    let cut = road.a.commit("release/1.0", &[("v", "1")], "cut");
    road.a.commit("topic", &[("v", "1")], "unrelated");
    road.once();
    assert_eq!(road.runs().len(), 2, "a new branch of the glob is a change, another one is not");
    road.a.delete_branch("release/1.0");
    road.once();
    assert_eq!(road.runs().len(), 2);
    road.a.commit("release/1.0", &[("v", "2")], "cut again");
    road.once();
    assert_eq!(road.runs().len(), 4);
    road.a.force("release/1.0", &cut);
    road.once();
    assert_eq!(road.runs().len(), 4, "runs of that commit are there already");
    let status = road.json(&["status", "-o", "json"]);
    let branches = status["watches"][0]["branches"].as_array().unwrap().clone();
    let release = branches.iter().find(|b| b["branch"] == "release/1.0").unwrap();
    assert_eq!(release["delivered"]["sha"], cut.as_str());
}

#[test]
fn an_object_that_the_server_refuses_is_named_in_the_history_and_the_retry_completes_it() {
    let road = Road::new();
    road.once();
    road.cluster.faults().refuse_always("Pipeline", "suite", 422, "spec is not to our taste");
    let sha = road.push();
    let failed = road.once();
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(road.runs().is_empty());
    let history = road.json(&["history", "-o", "json"]).to_string();
    assert!(history.contains("suite") && history.contains("not to our taste"), "{history}");
    let parked =
        road.json(&["history", "-o", "json"])["deliveries"][0]["id"].as_str().unwrap().to_owned();
    road.cluster.faults().heal();
    let retried = road.sandbox.sentry(["retry", &parked]);
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert_eq!(road.runs().len(), 2);
    assert!(road.why(&sha).contains("delivered"));
}

#[test]
fn outages_of_cluster_and_git_server_park_nothing_and_the_latest_head_arrives_after() {
    let road = Road::new();
    road.once();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    road.cluster.pause();
    road.push();
    agent.wait_for_log("delivery will be retried");
    road.git.http().pause();
    let last = road.push();
    agent.wait_for_log("forge does not answer");
    road.git.http().resume();
    road.cluster.resume();
    eventually("the last head is delivered", || road.why(&last).contains("delivered"));
    let history = road.json(&["history", "-o", "json"]);
    let states: Vec<_> =
        history["deliveries"].as_array().unwrap().iter().map(|d| d["state"].clone()).collect();
    assert!(!states.iter().any(|s| s == "parked" || s == "failed"), "{states:?}");
    assert_eq!(agent.term().code, Some(0));
}

#[test]
fn the_token_appears_in_no_log_state_or_answer_of_a_failing_session() {
    let road = Road::new();
    road.once();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    road.git.tokens().revoke(TOKEN);
    road.git.tokens().grant("another-token-entirely");
    road.push();
    agent.wait_for_log("forge does not answer");
    let output = agent.term();
    let mut seen = output.stderr + &output.stdout;
    for args in [
        &["status", "-o", "json"][..],
        &["history", "-o", "json"],
        &["validate", "--print"],
        &["validate", "--online"],
    ] {
        let output = road.sandbox.sentry(args);
        seen += &(output.stdout + &output.stderr);
    }
    for entry in walk(road.sandbox.root()) {
        if let Ok(bytes) = std::fs::read(&entry) {
            seen += &String::from_utf8_lossy(&bytes);
        }
    }
    assert!(seen.len() > 1000);
    assert!(!seen.contains(TOKEN), "the token is in what was written");
}

fn walk(dir: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
}
