//! The same road without kubectl.

use std::os::unix::fs::symlink;

use sentry_apiserver::Outcome;
use sentry_tests::road::{By, Road, TREE};
use sentry_tests::sandbox::eventually;
use sentry_tests::strace::Strace;

/// A road on whose machine there is this program and nothing else.
fn with_alone(program: &str, by: By) -> Road {
    let mut road = Road::by(by, TREE);
    let bin = road.sandbox.root().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|it| it.is_file());
    symlink(found.unwrap(), bin.join(program)).unwrap();
    road.sandbox.env("PATH", &bin);
    road
}

fn without_kubectl(by: By) -> Road {
    with_alone("git", by)
}

#[test]
fn without_kubectl_a_push_is_delivered_followed_and_its_older_runs_are_told_to_their_end() {
    let mut road = without_kubectl(By::Native);
    road.cluster = sentry_apiserver::ApiServer::start();
    road.configure("branches: [main]");
    assert_eq!(road.once().code, Some(0));
    let online = road.sandbox.sentry(["validate", "--online"]);
    assert_eq!(online.code, Some(0), "{online:?}");
    let agent = road.watch();
    let sha = road.push();
    eventually("the runs are there", || road.runs().len() == 2);
    let names = road.cluster.active_runs();
    assert!(road.cluster.finish_run(&names[0], Outcome::Succeeded));
    let log = "the last line\n";
    let failed = Outcome::Failed { task: "unit", step: "s", exit_code: 2, log };
    assert!(road.cluster.finish_run(&names[1], failed));
    road.until_settled(&sha);
    let why = road.why(&sha);
    assert!(why.contains("exit code 2: the last line"), "{why}");
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let diff = road.sandbox.sentry(["diff", "--branch", "main"]);
    assert_eq!(diff.code, Some(0), "{diff:?}");
}

#[test]
fn over_http_and_natively_no_program_is_started_at_all() {
    let road = with_alone("strace", By::Native);
    assert_eq!(road.once().code, Some(0));
    let sha = road.push();
    let strace = Strace::of_the_tree("execve,execveat,fork,vfork");
    let output = road.sandbox.spawn_under(&strace, ["watch", "--once"]).wait();
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(road.runs().len(), 2, "{}", road.why(&sha));
    let calls = strace.lines();
    let started: Vec<_> = calls.iter().filter(|line| line.contains("exec")).collect();
    assert!(matches!(started[..], [own] if own.contains("sentry")), "{calls:?}");
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn where_kubectl_is_not_installed_the_error_names_what_needs_none() {
    let road = without_kubectl(By::Kubectl);
    let online = road.sandbox.sentry(["validate", "--online"]);
    assert!(online.stdout.contains("`deployer: native`"), "{online:?}");
    assert_eq!(road.once().code, Some(0));
    let sha = road.push();
    road.once();
    assert!(road.why(&sha).contains("`deployer: native`"), "{}", road.why(&sha));
}
