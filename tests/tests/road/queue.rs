//! More runs than may go on: many branches move at once, and a controller ends runs as they come.
//!
//! `SENTRY_QUEUE=all` takes 18 branches of 15 runs with 20 at a time; the usual test is smaller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sentry_apiserver::{ApiServer, Outcome};
use sentry_tests::processes::script;
use sentry_tests::sandbox::eventually;
use serde_json::Value;

use crate::ground::{Cluster, Ground, mark};

struct Size {
    branches: usize,
    runs: usize,
    limit: usize,
}

fn size() -> Size {
    if std::env::var("SENTRY_QUEUE").is_ok_and(|size| size == "all") {
        Size { branches: 18, runs: 15, limit: 20 }
    } else {
        Size { branches: 6, runs: 5, limit: 7 }
    }
}

fn branch(number: usize) -> String {
    format!("release/{number:02}")
}

fn run(number: usize) -> (String, String) {
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{generateName: suite-{number:02}-}}\n\
         spec: {{pipelineSpec: {{tasks: [{{name: t, taskSpec: {{steps: [{{name: s, image: busybox}}]}}}}]}}}}\n"
    );
    (format!(".tekton/{number:02}.yaml"), text)
}

fn ground(size: &Size) -> Ground {
    let mut ground = Ground::with(Cluster::memory());
    let files: Vec<_> = (0..size.runs).map(run).collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    ground.b.commit("main", &files, "tests");
    let root = ground.a.branch_at("main").unwrap();
    ground.a.branches((0..size.branches).map(branch), &root);
    let limit = format!("max_active_runs: {}", size.limit);
    ground.configure("['release/*']", "main", &[&limit]);
    count_kubectl(&mut ground);
    ground.baseline();
    ground
}

/// Puts a program before kubectl that notes each call.
fn count_kubectl(ground: &mut Ground) {
    let path = std::env::var("PATH").unwrap();
    let calls = ground.sandbox.work().join("calls");
    let text = format!(
        "#!/bin/sh\necho \"$1 $2 $3 $4 $5\" >> '{}'\nPATH='{path}' exec kubectl \"$@\"\n",
        calls.display()
    );
    script(&ground.sandbox.work().join("kubectl"), &text);
    let bin = ground.sandbox.work().display().to_string();
    ground.sandbox.env("PATH", format!("{bin}:{path}"));
}

fn calls(ground: &Ground) -> usize {
    std::fs::read_to_string(ground.sandbox.work().join("calls")).unwrap().lines().count()
}

/// Ends the runs that go on, again and again, until it is told to stop.
fn end_runs(server: &ApiServer, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for run in server.active_runs() {
            server.finish_run(&run, Outcome::Succeeded);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Sets it when it goes: also where a wait was in vain, else the scope would wait for its thread for ever.
struct SetAtTheEnd<'a>(&'a AtomicBool);

impl Drop for SetAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn states(ground: &Ground) -> Vec<Value> {
    let status = ground.sandbox.sentry(["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    status["watches"][0]["branches"].as_array().unwrap().clone()
}

/// The documents that each branch's head ran, in the order that their runs were made.
fn made(server: &ApiServer) -> BTreeMap<(String, String), Vec<String>> {
    let mut made = BTreeMap::<_, Vec<String>>::new();
    for run in server.objects_of("PipelineRun") {
        let head = (mark(&run, "branch").to_owned(), mark(&run, "revision").to_owned());
        let path = mark(&run, "key").split('|').nth(3).unwrap().to_owned();
        made.entry(head).or_default().push(path);
    }
    made
}

#[test]
fn runs_of_many_branches_that_move_at_once_take_turns_and_all_run_once_in_their_order() {
    let size = size();
    let ground = ground(&size);
    let Cluster::Memory(server) = &ground.cluster else { unreachable!("it was made so") };
    let push = |number| {
        let (branch, text) = (branch(number), format!("{number}"));
        let sha = ground.a.commit(&branch, &[("n", text.as_str())], "work");
        (branch, sha)
    };
    let heads: BTreeSet<(String, String)> = (0..size.branches).map(push).collect();
    let (all, begun) = (size.branches * size.runs, Instant::now());
    let agent = ground.agent();
    eventually("as many go on as may", || server.active_runs().len() == size.limit);
    let (_, sha) = heads.iter().find(|head| !made(server).contains_key(head)).unwrap();
    let waiting = ground.sandbox.sentry(["why", sha]).stdout;
    assert!(waiting.lines().next().unwrap().ends_with("waiting"), "{waiting}");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| end_runs(server, &stop));
        let _stops = SetAtTheEnd(&stop);
        // Each wait is for the next delivery, so that its length does not depend on the size.
        for (number, (branch, _)) in heads.iter().enumerate() {
            let ended = || states(&ground).iter().filter(|b| b["verdict"] == "success").count();
            eventually(&format!("{number} more than {branch}"), || ended() > number);
        }
    });
    let took = begun.elapsed();
    assert_eq!(agent.term().code, Some(0));
    println!(
        "{all} runs of {} branches with {} at a time: {took:.1?}, {} calls of kubectl, {} requests, {} at most went on",
        size.branches,
        size.limit,
        calls(&ground),
        server.requests().len(),
        server.most_active_runs()
    );
    assert_eq!(server.most_active_runs(), size.limit, "all the room is used, and no more");
    assert_eq!(server.creates_of("PipelineRun").len(), all, "none twice");
    let made = made(server);
    assert_eq!(made.keys().cloned().collect::<BTreeSet<_>>(), heads);
    let order: Vec<String> = (0..size.runs).map(|number| run(number).0).collect();
    let order: Vec<_> = order.iter().map(|path| path.trim_start_matches(".tekton/")).collect();
    for (head, documents) in made {
        assert_eq!(documents, order, "{head:?}");
    }
}
