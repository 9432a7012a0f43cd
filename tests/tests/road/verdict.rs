//! How runs end, from the cluster to the exit code and to what a person is told.

use sentry_apiserver::Outcome;
use sentry_tests::sandbox::{Output, eventually};

use sentry_tests::road::Road;

/// Runs the command, which must wait until the runs that it starts are ended so.
fn ended(road: &Road, args: &[&str], first: Outcome<'_>) -> Output {
    std::thread::scope(|scope| {
        let command = scope.spawn(|| road.sandbox.sentry(args));
        eventually("both runs go on", || road.cluster.active_runs().len() == 2);
        let runs = road.cluster.active_runs();
        assert!(road.cluster.finish_run(&runs[1], Outcome::Succeeded));
        assert!(!command.is_finished(), "it did not wait for {}", runs[0]);
        assert!(road.cluster.finish_run(&runs[0], first));
        command.join().unwrap()
    })
}

fn failed() -> Outcome<'static> {
    Outcome::Failed { task: "unit", step: "s", exit_code: 1, log: "expected 4, got 5\n" }
}

#[test]
fn a_failed_run_is_exit_code_1_and_is_named_wherever_one_asks() {
    let road = Road::endless();
    let sha = road.push();
    let once = ended(&road, &["watch", "--once"], failed());
    assert_eq!(once.code, Some(1), "{once:?}");
    assert!(once.stdout.contains("runs: 1 failed, 1 succeeded"), "{}", once.stdout);
    assert!(once.stderr.contains("runs failed"), "{}", once.stderr);

    let status = road.json(&["status", "-o", "json"]);
    let branch = &status["watches"][0]["branches"][0];
    assert_eq!((&branch["state"], &branch["verdict"]), (&"delivered".into(), &"failure".into()));
    assert_eq!(branch["runs"]["failed"], 1);
    let why = road.why(&sha);
    assert!(why.contains(": delivered\n") && why.contains("1 failed, 1 succeeded"), "{why}");
    let history = road.json(&["history", "-o", "json"]);
    let id = history["deliveries"][0]["id"].as_str().unwrap();
    let show = road.sandbox.sentry(["show", id]).stdout;
    assert!(show.contains("expected 4, got 5"), "{show}");
    assert!(show.contains("verdict    failure"), "{show}");
    assert_eq!(road.sandbox.sentry(["diff"]).code, Some(0), "runs that exist are no change");

    let again = std::thread::scope(|scope| {
        let rerun = scope.spawn(|| road.sandbox.sentry(["rerun", id, "--failed"]));
        eventually("one run goes on", || road.cluster.active_runs().len() == 1);
        let run = road.cluster.active_runs().remove(0);
        assert!(road.cluster.finish_run(&run, Outcome::Succeeded));
        rerun.join().unwrap()
    });
    assert_eq!(again.code, Some(0), "{again:?}");
}

#[test]
fn a_trigger_waits_until_its_runs_have_ended() {
    let road = Road::endless();
    let bad = ended(&road, &["trigger"], failed());
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stdout.contains("state      failed"), "{}", bad.stdout);
    let good = ended(&road, &["trigger"], Outcome::Succeeded);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.stdout.contains("verdict    success: 2 succeeded"), "{}", good.stdout);
}

#[test]
fn a_trigger_follows_the_agent_to_the_end_of_the_runs() {
    let road = Road::endless();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let bad = ended(&road, &["trigger"], failed());
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.contains("runs failed"), "{}", bad.stderr);
    assert!(bad.stderr.contains("expected 4, got 5"), "{}", bad.stderr);
    agent.term();
}

/// Every delivery of a commit: its state and its verdict, oldest first.
fn deliveries(road: &Road, sha: &str) -> Vec<(String, String)> {
    let history = road.json(&["history", "-o", "json"]);
    let all = history["deliveries"].as_array().unwrap().iter().rev();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
    let of_this = all.filter(|delivery| delivery["revision"].as_str().unwrap().contains(sha));
    of_this.map(|delivery| (text(&delivery["state"]), text(&delivery["verdict"]))).collect()
}

fn pairs(want: &[(&str, &str)]) -> Vec<(String, String)> {
    want.iter().map(|(state, verdict)| ((*state).to_owned(), (*verdict).to_owned())).collect()
}

#[test]
fn a_head_that_comes_back_while_its_runs_go_on_gets_their_verdict_and_makes_no_new_ones() {
    let road = Road::endless();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let old = road.push();
    eventually("its runs go on", || road.cluster.active_runs().len() == 2);
    let first = road.cluster.active_runs();
    let new = road.push();
    eventually("the next head's runs go on as well", || road.cluster.active_runs().len() == 4);
    road.a.force("main", &old);
    eventually("it is delivered again", || deliveries(&road, &old).len() == 2);
    eventually("its runs are found", || {
        deliveries(&road, &old).iter().all(|(state, _)| state == "following")
    });
    road.cluster.cut_watches();
    assert!(road.cluster.finish_run(&first[0], failed()));
    assert!(road.cluster.finish_run(&first[1], Outcome::Succeeded));
    eventually("both deliveries have the verdict", || {
        deliveries(&road, &old) == pairs(&[("failed", "failure"); 2])
    });
    // Also when it comes back after they ended.
    road.a.force("main", &new);
    eventually("the other one is back", || deliveries(&road, &new).len() == 2);
    road.cluster.active_runs().iter().for_each(|run| {
        assert!(road.cluster.finish_run(run, Outcome::Succeeded));
    });
    eventually("it succeeded both times", || {
        deliveries(&road, &new) == pairs(&[("succeeded", "success"); 2])
    });
    road.a.force("main", &old);
    eventually("a third delivery finds how they ended", || {
        deliveries(&road, &old) == pairs(&[("failed", "failure"); 3])
    });
    assert_eq!(road.cluster.creates_of("PipelineRun").len(), 4);
    let ended = agent.term();
    assert!(!ended.stderr.contains("deleted"), "{}", ended.stderr);
}

#[test]
fn an_agent_that_lost_its_state_follows_the_runs_that_it_finds() {
    let road = Road::endless();
    road.configure_watch("on_first_sight: deliver");
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let sha = road.push();
    eventually("its runs go on", || road.cluster.active_runs().len() == 2);
    agent.kill9();
    let state = road.sandbox.root().join("other").display().to_string();
    let args = ["watch", "--once", "--state-dir", &state];
    let once = std::thread::scope(|scope| {
        let command = scope.spawn(|| road.sandbox.sentry(args));
        let why = || road.sandbox.sentry(["why", &sha, "--state-dir", &state]).stdout;
        eventually("it is delivered anew", || why().contains(": delivered"));
        let runs = road.cluster.active_runs();
        assert!(road.cluster.finish_run(&runs[0], failed()));
        assert!(road.cluster.finish_run(&runs[1], Outcome::Succeeded));
        command.join().unwrap()
    });
    assert_eq!(once.code, Some(1), "{once:?}");
    assert!(once.stdout.contains("runs: 1 failed, 1 succeeded"), "{}", once.stdout);
    assert_eq!(road.cluster.creates_of("PipelineRun").len(), 2, "none was made twice");
}
