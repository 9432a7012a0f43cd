//! Notifications reach real receivers: once, in order, each on its route.

use std::time::Duration;

use sentry_apiserver::Outcome;
use sentry_tests::promise::full;
use sentry_tests::receiver::Receiver;
use sentry_tests::road::Road;
use sentry_tests::sandbox::{eventually, eventually_within};

/// How long the receiver is away when the full figures are wanted; else it is some seconds.
const AWAY_IN_FULL: Duration = Duration::from_secs(600);
/// The secret part of the chat's address.
const CANARY: &str = "canary-chat-4711";

/// A road with runs that go on until they are ended, a chat for authors and a signed webhook for who is on call; with one
/// more setting of the watch.
fn road(setting: &str) -> (Road, Receiver, Receiver) {
    let mut road = Road::endless();
    let (chat, pager) = (Receiver::start(), Receiver::start());
    road.sandbox.env("CHAT_URL", chat.url(&format!("/services/T0/B0/{CANARY}")));
    let config = std::fs::read_to_string(road.sandbox.work().join("sentry.yaml")).unwrap();
    road.sandbox.write_config(&format!(
        "{config}    {setting}\nnotify:\n  - {{name: chat, type: slack, url: '${{CHAT_URL}}', routes: [tests_failed]}}\n  \
         - {{name: on-call, type: webhook, url: '{}', secret: 'a-secret-for-signing', routes: [could_not_start]}}\n",
        pager.url("/events")
    ));
    (road, chat, pager)
}

/// Pushes, and ends both runs so.
fn push_and_end(road: &Road, failed: bool) -> String {
    let sha = road.push();
    eventually("both runs go on", || road.cluster.active_runs().len() == 2);
    let bad = Outcome::Failed { task: "unit", step: "s", exit_code: 1, log: "expected 4\n" };
    for (n, run) in road.cluster.active_runs().iter().enumerate() {
        let outcome = if failed && n == 0 { bad } else { Outcome::Succeeded };
        assert!(road.cluster.finish_run(run, outcome));
    }
    let ended = if failed { "failed" } else { "succeeded" };
    eventually("the delivery has ended", || {
        let history = road.json(&["history", "-n", "1", "-o", "json"]);
        let newest = &history["deliveries"][0];
        newest["revision"].to_string().contains(&sha) && newest["state"] == ended
    });
    sha
}

fn texts(receiver: &Receiver) -> Vec<String> {
    receiver.told().iter().map(|told| told["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_receiver_that_is_down_while_the_agent_is_killed_hears_everything_once_and_in_order() {
    let (road, chat, pager) = road("");
    let mut agent = road.watch();
    agent.wait_for_log("started");
    let first = push_and_end(&road, true);
    eventually("the first failure is told", || chat.told().len() == 1);

    chat.server().pause();
    let second = push_and_end(&road, true);
    agent.wait_for_log("can't notify receiver");
    let mut log = agent.kill9().stderr;
    let status = road.json(&["status", "-o", "json"]);
    assert_eq!(status["notifications"][0]["waiting"], 1, "{status}");

    let mut agent = road.watch();
    agent.wait_for_log("started");
    let third = push_and_end(&road, false);
    std::thread::sleep(AWAY_IN_FULL * u32::from(full()));
    chat.server().resume();
    // The longer it was away, the longer it is until the next attempt.
    let patience = Duration::from_secs(330);
    eventually_within(patience, "what waited is told", || chat.told().len() == 3);
    for (text, (what, sha)) in texts(&chat).iter().zip([
        ("Tests failed", &first),
        ("Tests failed", &second),
        ("Tests pass again", &third),
    ]) {
        assert!(text.starts_with(what) && text.contains(&sha[..8]), "{text}");
    }
    let fourth = push_and_end(&road, false);
    assert!(road.why(&fourth).contains("delivered"));
    assert_eq!((chat.told().len(), pager.told().len()), (3, 0));
    log += &agent.term().stderr;
    assert!(!log.contains(CANARY), "{log}");
    for file in std::fs::read_dir(state_of(&road)).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{:?}", file.path());
    }
}

/// The directory that holds `state.db`.
fn state_of(road: &Road) -> std::path::PathBuf {
    fn find(dir: &std::path::Path) -> Option<std::path::PathBuf> {
        let entries: Vec<_> = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path()).collect();
        if entries.iter().any(|path| path.ends_with("state.db")) {
            return Some(dir.to_owned());
        }
        entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path))
    }
    find(road.sandbox.root()).unwrap()
}

#[test]
fn what_can_not_start_goes_to_who_is_on_call_as_a_signed_event_and_so_does_its_end() {
    let (road, chat, pager) = road("max_retries: 0");
    let mut agent = road.watch();
    agent.wait_for_log("started");
    road.cluster.faults().refuse_always("Pipeline", "suite", 422, "spec is not to our taste");
    let refused = road.push();
    eventually("who is on call is told", || pager.told().len() == 1);
    let again = road.push();
    eventually("it could not start either", || road.why(&again).contains("parked"));
    road.cluster.faults().heal();
    push_and_end(&road, false);
    eventually("its end is told", || pager.told().len() == 2);
    let told = pager.told();
    let types: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        ["dev.sentry-gitops.could_not_start.failure", "dev.sentry-gitops.could_not_start.recovery"]
    );
    assert_eq!(told[0]["data"]["revision"], refused.as_str());
    assert!(
        told[0]["data"]["reason"].as_str().unwrap().contains("not to our taste"),
        "{}",
        told[0]
    );
    let request = &pager.server().log().all()[0];
    assert_eq!(request.header("webhook-id"), told[0]["id"].as_str());
    assert!(request.header("webhook-signature").unwrap().starts_with("v1,"));
    assert_eq!(chat.told().len(), 0);
    assert_eq!(agent.term().code, Some(0));
}

#[test]
fn a_test_reaches_each_receiver_on_its_route_and_its_failure_is_an_exit_code() {
    let (road, chat, pager) = road("");
    let good = road.sandbox.sentry(["notify", "--test"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(texts(&chat)[0].contains("a test"), "{:?}", chat.told());
    assert_eq!(pager.told()[0]["type"], "dev.sentry-gitops.test");

    chat.answer(410);
    let gone = road.sandbox.sentry(["notify", "--test", "chat", "-o", "json"]);
    assert_eq!(gone.code, Some(3), "{gone:?}");
    let answer: serde_json::Value = serde_json::from_str(&gone.stdout).unwrap();
    assert_eq!(answer["receivers"][0]["result"], "failed");
    assert!(!format!("{gone:?}").contains(CANARY), "{gone:?}");
    assert_eq!(pager.told().len(), 1, "only the one that was named");
    assert_eq!(road.sandbox.sentry(["notify", "--test", "nobody"]).code, Some(2));
    assert_eq!(road.sandbox.sentry(["notify"]).code, Some(2), "nothing is sent by accident");
}
