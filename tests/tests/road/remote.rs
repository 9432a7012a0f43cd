//! The same answers from a laptop as in the pod: `--server` asks the API of a running agent.

use sentry_tests::road::Road;
use sentry_tests::sandbox::{Agent, Output};
use serde_json::Value;

pub(crate) const READ: &str = "read-t0ken-5d1c";
pub(crate) const TRIGGER: &str = "trigger-t0ken-77aa";

/// A road whose agent serves the API.
pub(crate) struct Served {
    pub(crate) road: Road,
    pub(crate) agent: Agent,
    pub(crate) url: String,
}

impl Served {
    pub(crate) fn start() -> Self {
        let mut road = Road::new();
        road.sandbox.env("READ", READ).env("TRIGGER", TRIGGER);
        let file = road.sandbox.work().join("sentry.yaml");
        let config = std::fs::read_to_string(&file).unwrap();
        let server = "server: {read_token: '${READ}', trigger_token: '${TRIGGER}'}\n";
        std::fs::write(&file, format!("{server}{config}")).unwrap();
        road.sandbox.write("read", READ);
        road.sandbox.write("trigger", TRIGGER);
        assert_eq!(road.once().code, Some(0));
        let mut agent = road.sandbox.spawn(["watch", "--listen", "127.0.0.1:0"]);
        agent.wait_for_log("started");
        let log = agent.stderr_so_far();
        let address = log.split("serving address=").nth(1).unwrap();
        let url = format!("http://{}", address.split_whitespace().next().unwrap());
        Self { road, agent, url }
    }

    /// A command with a token, from a directory without configuration or state.
    fn ask(&self, token: &str, args: &[&str]) -> Output {
        let token = self.road.sandbox.work().join(token).display().to_string();
        let mut all = args.to_vec();
        all.extend(["--server", &self.url, "--token-file", &token]);
        self.road.sandbox.sentry(all)
    }
}

#[test]
fn a_server_answers_as_the_state_itself_does() {
    let served = Served::start();
    let sha = served.road.push();
    sentry_tests::sandbox::eventually("the head is delivered", || {
        served.road.why(&sha).contains("delivered")
    });
    let id = served.road.json(&["history", "-o", "json"])["deliveries"][0]["id"].clone();
    let id = id.as_str().unwrap();
    for args in [
        &["history", "-o", "json"][..],
        &["show", id, "-o", "json"],
        &["why", &sha],
        &["why", &sha, "-o", "json"],
        &["history"],
    ] {
        let here = served.road.sandbox.sentry(args);
        let there = served.ask("read", args);
        assert_eq!((here.code, here.stdout), (there.code, there.stdout), "{args:?}");
    }
    let status = served.ask("read", &["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["watches"][0]["branches"][0]["delivered"]["sha"], sha.as_str());
    assert_eq!(served.agent.term().code, Some(0));
}

#[test]
fn a_token_that_may_only_read_starts_nothing_and_the_other_one_does() {
    let served = Served::start();
    let refused = served.ask("read", &["trigger", "qa", "--branch", "main"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("may only read"), "{refused:?}");
    served.road.sandbox.write("wrong", "another-token");
    let stranger = served.ask("wrong", &["status"]);
    assert_eq!(stranger.code, Some(3), "{stranger:?}");
    assert!(served.road.runs().is_empty());
    let asked = served.ask("trigger", &["trigger", "qa", "--branch", "main"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(served.road.runs().len(), 2);
    let log = served.agent.term();
    for text in [refused.stderr, stranger.stderr, asked.stdout, log.stderr] {
        assert!(!text.contains(READ) && !text.contains(TRIGGER), "{text}");
    }
}
