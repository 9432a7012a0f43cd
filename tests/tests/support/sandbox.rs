use sentry_tests::sandbox::{Sandbox, eventually};

fn shell() -> Sandbox {
    Sandbox::new().with_program("/bin/sh")
}

#[test]
fn a_command_sees_the_sandbox_and_nothing_of_the_caller() {
    let mut sandbox = shell();
    sandbox.env("GREETING", "hello").write_config("a: 1\n");
    let said = sandbox.sentry(["-c", "cat sentry.yaml; echo $GREETING $HOME; env >&2; exit 3"]);
    assert_eq!(said.code, Some(3));
    let home = sandbox.root().join("home");
    assert_eq!(said.stdout, format!("a: 1\nhello {}\n", home.display()));
    assert!(!said.stderr.contains("CARGO"), "{}", said.stderr);
}

#[test]
fn an_agent_is_followed_by_its_log_and_stopped_in_order() {
    let sandbox = shell();
    let script = "trap 'echo bye; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done";
    let mut agent = sandbox.spawn(["-c", script]);
    agent.wait_for_log("ready");
    assert!(agent.is_running());
    let said = agent.term();
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "bye\n"));
}

#[test]
fn an_agent_killed_ends_without_a_code() {
    let mut agent = shell().spawn(["-c", "echo ready >&2; exec sleep 60"]);
    agent.wait_for_log("ready");
    assert_eq!(agent.kill9().code, None);
}

#[test]
fn a_dropped_agent_is_gone() {
    let sandbox = shell();
    let mut agent = sandbox.spawn(["-c", "echo ready >&2; exec sleep 60"]);
    agent.wait_for_log("ready");
    let id = agent.id();
    drop(agent);
    let alive = || {
        let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    };
    eventually("the process is gone", || !alive());
}

#[test]
#[should_panic(expected = "ended without logging \"never\"")]
fn waiting_for_a_log_that_cannot_come_fails_at_once() {
    shell().spawn(["-c", "echo something else >&2"]).wait_for_log("never");
}
