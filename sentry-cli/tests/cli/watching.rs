//! What is followed until it is stopped: the status with `-w`, and the stop itself.

use crate::sandbox::Sandbox;

#[test]
fn a_status_that_is_watched_is_shown_again_when_something_changes() {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    let watching = sandbox.start(&["status", "-w", "-o", "json"]);
    sandbox.eventually(|| sandbox.read("status.out").contains(&sandbox.head("a")));
    let sha = sandbox.commit("a", "file", "2");
    sandbox.ok(&["watch", "--once"]);
    sandbox.eventually(|| sandbox.read("status.out").contains(&sha));
    assert_eq!(watching.stop(), Some(0));
    let shown = sandbox.read("status.out");
    let answers = serde_json::Deserializer::from_str(&shown).into_iter::<serde_json::Value>();
    assert!(answers.map(Result::unwrap).count() >= 2, "{shown}");
}

#[test]
fn a_server_tells_a_watched_status_what_happens() {
    let sandbox = Sandbox::with_repositories();
    sandbox.write("token", "t0ken-of-the-server\n");
    let server =
        "server: {listen: '127.0.0.1:0', tokens: [{name: t, token_file: token, may: [read]}]}\n";
    sandbox.write("sentry.yaml", &format!("{server}{}", sandbox.read("sentry.yaml")));
    let agent = sandbox.start(&["watch"]);
    sandbox.eventually(|| sandbox.read("watch.err").contains("serving address="));
    let log = sandbox.read("watch.err");
    let address =
        log.split("serving address=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let url = format!("http://{}", address.unwrap());
    let there = ["status", "-w", "-o", "json", "--token-file", "token", "--server", &url];
    let watching = sandbox.start(&there);
    sandbox.eventually(|| sandbox.read("status.out").contains(&sandbox.head("a")));
    let sha = sandbox.commit("a", "file", "2");
    sandbox.eventually(|| sandbox.read("status.out").contains(&sha));
    assert_eq!((watching.stop(), agent.stop()), (Some(0), Some(0)));
}

#[test]
fn a_stop_is_told_at_once_and_at_its_end() {
    let sandbox = Sandbox::with_repositories();
    let agent = sandbox.start(&["watch"]);
    sandbox.eventually(|| sandbox.run(&["status", "--check"]).code == 0);
    assert_eq!(agent.stop(), Some(0));
    let log = sandbox.read("watch.err");
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text} is not in {log}"));
    assert!(at("stopping: waiting for") < at("INFO stopped"), "{log}");
    assert_eq!(log.matches("stopping").count(), 1, "{log}");
}
