//! What is followed until it is stopped: the status with `-w`, and the stop itself.

use crate::sandbox::Sandbox;

#[test]
fn a_status_that_is_watched_is_shown_again_when_something_changes() {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    let watching = sandbox.start(&["status", "-w", "-o", "json"]);
    sandbox.eventually(|| sandbox.read("out").contains(&sandbox.head("a")));
    let sha = sandbox.commit("a", "file", "2");
    sandbox.ok(&["watch", "--once"]);
    sandbox.eventually(|| sandbox.read("out").contains(&sha));
    assert_eq!(watching.stop(), Some(0));
    let shown = sandbox.read("out");
    let answers = serde_json::Deserializer::from_str(&shown).into_iter::<serde_json::Value>();
    assert!(answers.map(Result::unwrap).count() >= 2, "{shown}");
}

#[test]
fn a_stop_is_told_at_once_and_at_its_end() {
    let sandbox = Sandbox::with_repositories();
    let agent = sandbox.start(&["watch"]);
    sandbox.eventually(|| sandbox.run(&["status", "--check"]).code == 0);
    assert_eq!(agent.stop(), Some(0));
    let log = sandbox.read("err");
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text} is not in {log}"));
    assert!(at("stopping: waiting for") < at("INFO stopped"), "{log}");
    assert_eq!(log.matches("stopping").count(), 1, "{log}");
}
