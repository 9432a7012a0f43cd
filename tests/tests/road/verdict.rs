//! How runs end, from the cluster to the exit code and to what a person is told.

use sentry_tests::apiserver::{ApiServer, Outcome};
use sentry_tests::sandbox::{Output, eventually};

use crate::harness::Road;

/// One where runs go on until they are ended.
fn road() -> Road {
    let mut road = Road::new();
    road.cluster = ApiServer::start();
    road.cluster.add_namespace("qa");
    road.configure("branches: [main]");
    road.once();
    road
}

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
    let road = road();
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
    let road = road();
    let bad = ended(&road, &["trigger"], failed());
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stdout.contains("state      failed"), "{}", bad.stdout);
    let good = ended(&road, &["trigger"], Outcome::Succeeded);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.stdout.contains("verdict    success: 2 succeeded"), "{}", good.stdout);
}

#[test]
fn a_trigger_follows_the_agent_to_the_end_of_the_runs() {
    let road = road();
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let bad = ended(&road, &["trigger"], failed());
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.contains("runs failed"), "{}", bad.stderr);
    assert!(bad.stderr.contains("expected 4, got 5"), "{}", bad.stderr);
    agent.term();
}
