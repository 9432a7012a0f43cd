//! Another configuration while the agent runs.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use rustix::process::Signal;
use sentry_apiserver::Outcome;
use sentry_tests::road::{Road, TOKEN};
use sentry_tests::sandbox::{Agent, eventually};

fn file(road: &Road) -> PathBuf {
    road.sandbox.work().join("sentry.yaml")
}

fn config(road: &Road) -> String {
    std::fs::read_to_string(file(road)).unwrap()
}

/// The configuration with a second watch `two` of A's branch `dev`.
fn with_two(road: &Road) -> String {
    let config = config(road);
    let (head, watch) = config.split_once("  - name: qa\n").unwrap();
    let two = watch.replace("branches: [main, 'release/*']", "branches: [dev]");
    assert_ne!(two, watch);
    format!("{head}  - name: qa\n{watch}\n  - name: two\n{two}")
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

fn started(road: &Road) -> Agent {
    let mut agent = road.watch();
    agent.wait_for_log("started");
    agent
}

/// Waits until the log has this text so often.
fn wait_for(agent: &Agent, what: &str, times: usize) {
    eventually(what, || count(&agent.stderr_so_far(), what) >= times);
}

#[test]
fn a_signal_adds_a_watch_that_delivers_and_the_other_one_sees_nothing() {
    let road = Road::new();
    road.once();
    road.a.commit("dev", &[("v", "1")], "dev");
    let agent = started(&road);
    let first = road.push();
    eventually("the first is delivered", || road.why(&first).contains("delivered"));
    road.sandbox.write_config(&with_two(&road));
    agent.signal(Signal::HUP);
    wait_for(&agent, "loading the new configuration", 1);
    wait_for(&agent, "baseline recorded", 1);
    let dev = road.a.commit("dev", &[("v", "2")], "dev again");
    eventually("the new watch delivers", || road.why(&dev).contains("delivered"));
    let second = road.push();
    eventually("the old watch goes on", || road.why(&second).contains("delivered"));
    assert_eq!(road.runs().len(), 6);
    let log = agent.term().stderr;
    assert_eq!(count(&log, "baseline recorded"), 1, "only the new watch has one: {log}");
}

#[test]
fn a_bad_file_is_refused_with_its_place_and_the_old_one_goes_on() {
    let road = Road::new();
    road.once();
    let mut agent =
        road.sandbox.spawn(["watch", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    agent.wait_for_log("started");
    let good = config(&road);
    road.sandbox.write_config(&good.replace("polling_interval: 1", "polling_intervall: 1"));
    agent.signal(Signal::HUP);
    agent.wait_for_log("the running one stays in effect");
    let log = agent.stderr_so_far();
    assert!(log.contains("sentry.yaml:6:5"), "{log}");
    assert!(log.contains("unknown key") && log.contains("polling_interval`?"), "{log}");
    // It is counted after it is told; and twice, if the file was looked at before the signal came.
    eventually("it is counted", || {
        let metrics = get(&log, "/metrics");
        let refused = "sentry_config_reloads_total{result=\"refused\"} ";
        metrics.contains(refused)
            && !metrics.contains(&format!("{refused}0"))
            && metrics.contains("sentry_config_last_reload_successful 0")
    });
    road.push();
    // A command would refuse the file as it is.
    eventually("the old one goes on", || road.runs().len() == 2);

    road.sandbox.write_config(&good);
    agent.wait_for_log("matches the running one again");
    eventually("it is shown", || {
        get(&log, "/metrics").contains("sentry_config_last_reload_successful 1")
    });
    road.sandbox.write_config(&format!("state_dir: /elsewhere\n{good}"));
    agent.signal(Signal::HUP);
    agent.wait_for_log("the state directory can't change");
    assert_eq!(agent.term().code, Some(0));
}

/// What the server of the agent with this log answers.
fn get(log: &str, path: &str) -> String {
    let address = log.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_changed_file_is_noticed_and_what_is_counted_and_the_port_stay() {
    let road = Road::new();
    road.once();
    let mut agent =
        road.sandbox.spawn(["watch", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    agent.wait_for_log("started");
    let log = agent.stderr_so_far();
    let first = road.push();
    eventually("the first is delivered", || road.why(&first).contains("delivered"));
    let delivered = "sentry_deliveries_total{watch=\"qa\",outcome=\"succeeded\"}";
    let counted = |n: usize| get(&log, "/metrics").contains(&format!("{delivered} {n}"));
    eventually("it is counted", || counted(1));
    // As a mounted ConfigMap does it: another file takes the place of this one.
    let other = road.sandbox.write("other.yaml", with_two(&road));
    std::fs::rename(other, file(&road)).unwrap();
    agent.wait_for_log("loading the new configuration");
    wait_for(&agent, "started watches=", 2);
    let second = road.push();
    eventually("the second is delivered", || road.why(&second).contains("delivered"));
    eventually("both are counted", || counted(2));
    assert!(get(&log, "/metrics").contains("sentry_config_reloads_total{result=\"taken\"} 1"));
    // The server before this one may still answer a last time.
    eventually("both are watched", || get(&log, "/readyz").contains("\"two\""));
    assert_eq!(agent.term().code, Some(0));
}

#[test]
fn reloads_in_the_middle_of_deliveries_lose_nothing_and_double_nothing() {
    let road = Road::endless();
    let agent = started(&road);
    let mut taken = 0;
    for n in 0..4 {
        let sha = road.push();
        if n % 2 == 0 {
            // While it is fetched or applied, wherever it is then.
            std::thread::sleep(std::time::Duration::from_millis(1200 + 150 * n));
        } else {
            eventually("its runs go on", || road.cluster.active_runs().len() == 2);
        }
        agent.signal(Signal::HUP);
        taken += 1;
        wait_for(&agent, "loading the new configuration", taken);
        eventually("its runs go on", || road.cluster.active_runs().len() == 2);
        for run in road.cluster.active_runs() {
            assert!(road.cluster.finish_run(&run, Outcome::Succeeded));
        }
        eventually("its end is seen", || {
            let status = road.json(&["status", "-o", "json"]);
            let branch = &status["watches"][0]["branches"][0];
            branch["delivered"]["sha"] == sha.as_str() && branch["verdict"] == "success"
        });
    }
    let created = road.cluster.creates_of("PipelineRun");
    let different: BTreeSet<&String> = created.iter().collect();
    assert_eq!((created.len(), different.len()), (8, 8), "{created:?}");
    let log = agent.term().stderr;
    assert_eq!(count(&log, "baseline recorded"), 0, "{log}");
}

#[test]
fn a_trigger_that_is_left_at_any_moment_of_a_reload_is_answered_once() {
    let road = Road::new();
    road.once();
    let agent = started(&road);
    agent.signal(Signal::HUP);
    let trigger = road.sandbox.sentry(["trigger", "--branch", "main"]);
    assert_eq!(trigger.code, Some(0), "{trigger:?}");
    let history = road.json(&["history", "-o", "json"]);
    assert_eq!(history["deliveries"].as_array().unwrap().len(), 1, "{history}");
    assert_eq!(road.runs().len(), 2);
    assert_eq!(agent.term().code, Some(0));
}

#[test]
fn a_token_file_that_is_written_anew_is_used_without_a_reload() {
    let road = Road::new();
    let token = road.sandbox.write("token", TOKEN);
    let text = config(&road)
        .replace("token: '${GIT_TOKEN}'", &format!("token_file: '{}'", token.display()));
    road.sandbox.write_config(&text);
    road.once();
    let agent = started(&road);
    road.git.tokens().grant("another-token-entirely");
    std::fs::write(&token, "another-token-entirely\n").unwrap();
    road.git.tokens().revoke(TOKEN);
    let sha = road.push();
    eventually("the rotated token works", || road.why(&sha).contains("delivered"));
    let log = agent.term().stderr;
    assert_eq!(count(&log, "loading the new configuration"), 0, "{log}");
}
