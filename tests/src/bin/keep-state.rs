//! Makes a state of all that a state can hold, with the `sentry` that `SENTRY_BIN` names, and keeps it with its surroundings
//! in the directory that the argument names: `tests/fixtures/state-…`, which holds the `sentry.yaml` for it.

use std::error::Error;
use std::path::PathBuf;

use sentry_apiserver::Outcome;
use sentry_tests::http::Fault;
use sentry_tests::kept::{FAILED, Kept};
use sentry_tests::repo::Entry;
use sentry_tests::road::{PIPELINE, TASK};
use sentry_tests::sandbox::{Sandbox, eventually};

/// How GitLab is asked to show a status.
const STATUSES: &str = "POST /api/v4/projects/product%2Fapp/statuses/";
/// Refused, for it names a namespace that is none of the watch's.
const FOREIGN: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n";

/// A run of the pipeline `suite` with annotations of Pipelines-as-Code.
fn run(name: &str, annotations: &[&str]) -> String {
    let of = |line: &&str| format!("    pipelinesascode.tekton.dev/{line}\n");
    let annotations: String = annotations.iter().map(of).collect();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: {name}-\n  annotations:\n{annotations}\
         spec: {{pipelineRef: {{name: suite}}}}\n"
    )
}

/// The first commits: those that are the baseline.
fn begin(kept: &Kept) -> [String; 2] {
    let all = r#"on-target-branch: "[**]""#;
    let files = [
        ("nightly.yaml", run("nightly", &[r#"on-event: "[nightly]""#, all])),
        ("smoke.yaml", run("smoke", &[r#"on-event: "[push]""#, all])),
        ("suite.yaml", PIPELINE.to_owned()),
        ("unit.yaml", run("unit", &[r#"on-event: "[push]""#, all, r#"max-keep-runs: "3""#])),
        ("unit-task.yaml", TASK.to_owned()),
    ];
    let files = files.map(|(name, text)| Entry::file(&format!(".tekton/{name}"), text));
    kept.tests.commit_entries("main", &files, "tests");
    kept.tests.force("foreign", &kept.tests.branch_at("main").expect("just made"));
    kept.tests.commit("foreign", &[(".tekton/x.yaml", FOREIGN)], "into another namespace");
    [&kept.app, &kept.lib].map(|repo| repo.commit("main", &[("README.md", "product")], "first"))
}

/// A commit on a branch, which begins at `main`.
fn push(kept: &Kept, branch: &str, message: &str) -> String {
    let main = kept.app.branch_at("main").expect("it is there from the begin");
    if kept.app.branch_at(branch).is_none() {
        // With a commit of its own, so that no head is seen before it.
        kept.app.force("begun", &main);
        let sha = kept.app.commit("begun", &[("n", message)], message);
        kept.app.force(branch, &sha);
        kept.app.delete_branch("begun");
        return sha;
    }
    kept.app.commit(branch, &[("n", message)], message)
}

fn id_of(kept: &Kept, sha: &str) -> String {
    let of_this = kept.deliveries().into_iter().find(|d| d["revision"] == sha);
    let id = of_this.expect("it was delivered")["id"].as_str().map(str::to_owned);
    id.expect("a delivery has an id")
}

fn command(kept: &Kept, args: &[&str]) {
    let output = kept.sandbox.sentry(args);
    assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
}

/// Waits until the ended runs of `unit` that are too many are deleted.
fn until_tidy(kept: &Kept) {
    eventually("three runs of `unit` are kept", || kept.runs_of("app", "unit").len() == 3);
}

/// Deliveries of `main`: good ones, a head that a marker let pass, a rerun, and runs of another event.
fn main_branch(kept: &Kept) {
    let good = push(kept, "main", "good");
    kept.end(("app", &good), 2, "", Outcome::Succeeded);
    kept.until_ended(("app", &good), 1);
    let docs = push(kept, "main", "docs [skip ci]");
    kept.until("app", &docs, "skipped by marker");
    let better = push(kept, "main", "better");
    kept.end(("app", &better), 2, "", Outcome::Succeeded);
    kept.until_ended(("app", &better), 1);
    command(kept, &["rerun", &id_of(kept, &good), "--no-wait"]);
    kept.end(("app", &good), 2, "", Outcome::Succeeded);
    kept.until_ended(("app", &good), 2);
    command(kept, &["trigger", "app", "--branch", "main", "--event", "nightly", "--no-wait"]);
    kept.end(("app", &better), 1, "", Outcome::Succeeded);
    kept.until_ended(("app", &better), 2);
}

/// One that was refused, tried again by a person, and deleted; one that superseded another and failed.
fn releases(kept: &Kept) {
    kept.cluster.faults().refuse_always("Pipeline", "suite", 422, "spec is not to our taste");
    let refused = push(kept, "release/1.0", "refused at first");
    kept.until("app", &refused, "parked");
    kept.cluster.faults().heal();
    command(kept, &["retry", &id_of(kept, &refused), "--no-wait"]);
    kept.end(("app", &refused), 2, "", Outcome::Succeeded);
    kept.until_ended(("app", &refused), 1);
    until_tidy(kept);
    kept.app.delete_branch("release/1.0");
    eventually("release/1.0 is gone", || {
        let status = kept.json(&["status", "app"]);
        let branches = status["watches"][0]["branches"].as_array().cloned().unwrap_or_default();
        branches.iter().any(|b| b["branch"] == "release/1.0" && b["state"] == "gone")
    });
    kept.cluster.faults().answer_all(503, None);
    let older = push(kept, "release/2.0", "superseded");
    kept.until("app", &older, "waiting");
    let newer = push(kept, "release/2.0", "fails");
    // Its end is written down: no attempt is under way that the cluster's return would let through.
    kept.until_ended(("app", &older), 1);
    kept.until("app", &older, "superseded");
    kept.cluster.faults().heal();
    kept.end(("app", &newer), 2, "unit", FAILED);
    kept.until_ended(("app", &newer), 1);
    until_tidy(kept);
    eventually("the chat is told", || kept.chat.told().len() == 1);
}

/// Everything that must go on where it stands: a suspended watch, runs that wait for room, heads that were given up, a run
/// that goes on, a status and a notice that nobody took, a delivery that waits for the cluster.
fn leave_open(kept: &Kept) {
    kept.on_call.server().pause();
    let lib = kept.lib.commit("main", &[("n", "1")], "work");
    kept.until("held", &lib, "suspended");
    kept.until("refused", &lib, "parked");
    kept.until("counted", &lib, "parked");
    eventually("one run has room, one waits", || {
        let why = kept.json(&["why", &lib, "--watch", "queue"]);
        why["answers"][0]["runs"]["queued"] == 1 && kept.active("queue", &lib).len() == 1
    });
    kept.lab.http().faults().until_cleared(STATUSES, Fault::status(503));
    let grown = push(kept, "feature/größe", "grows");
    eventually("both runs go on", || kept.active("app", &grown).len() == 2);
    let smoke = kept.active("app", &grown).into_iter().find(|run| run.starts_with("smoke"));
    assert!(kept.cluster.finish_run(&smoke.expect("one of both"), Outcome::Succeeded));
    eventually("the end of one is known", || {
        kept.json(&["why", &grown])["answers"][0]["runs"]["succeeded"] == 1
    });
    kept.cluster.faults().answer_all(503, None);
    let waits = push(kept, "release/3.0", "waits for the cluster");
    kept.until("app", &waits, "waiting");
    let delivery = || kept.json(&["show", &id_of(kept, &waits)]);
    eventually("its next attempt is known", || !delivery()["next_attempt"].is_null());
}

fn main() -> Result<(), Box<dyn Error>> {
    let program = std::env::var_os("SENTRY_BIN").expect("SENTRY_BIN names a program");
    let place = PathBuf::from(std::env::args_os().nth(1).ok_or("say where to keep the state")?);
    let kept = Kept::empty(&place, Sandbox::new().with_program(program));
    let [app, lib] = begin(&kept);
    let mut agent = kept.sandbox.spawn(["watch"]);
    agent.wait_for_log("started");
    kept.until("app", &app, "baseline");
    for watch in ["queue", "refused", "counted", "held"] {
        kept.until(watch, &lib, "baseline");
    }
    // Long before its head moves: the agent looks for such requests now and then.
    command(&kept, &["suspend", "held", "--reason", "release freeze"]);
    main_branch(&kept);
    releases(&kept);
    leave_open(&kept);
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let nightly = ["trigger", "app", "--branch", "main", "--event", "nightly", "--no-wait"];
    command(&kept, &[&nightly[..], &["--idempotency-key", "nobody-took-it"]].concat());
    kept.keep(&place);
    Ok(())
}
