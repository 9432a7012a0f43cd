//! What each delivery costs the agent where all branches of one repository move at once and B does not: dry runs, so that
//! no cluster's time is in it.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench burst`; `BEFORE=PROGRAM` measures another
//! build of sentry beside it, `BRANCHES=300,1200,10000` other numbers.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sentry_tests::processes::cpu_seconds;
use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::Sandbox;

const HOW: &str = "\
CPU is the agent's alone, user and system time (/proc/PID/stat), without its git processes. A and B are directories of
this machine, read by the real git; all branches of A are made at once, at one commit or at one each, and each is a change.";

const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: r-}\nspec: {pipelineSpec: \
                   {tasks: [{name: t, taskSpec: {steps: [{name: s, image: busybox, script: 'true'}]}}]}}\n";

/// Branches that begin at a commit, each with one commit more, as a stream for `git fast-import`.
fn commits(branches: usize, first: &str) -> String {
    let commit = |n| {
        let who = "committer Ada <ada@example.test> 1700000000 +0000";
        format!("commit refs/heads/b{n}\n{who}\ndata 2\n{}\nfrom {first}\n\n", n % 90 + 10)
    };
    (0..branches).map(commit).collect()
}

/// CPU for each delivery, and the time from the move to the last one.
fn burst(program: Option<&Path>, branches: usize, each_its_own: bool) -> (f64, Duration) {
    let mut sandbox = Sandbox::new();
    if let Some(program) = program {
        sandbox = sandbox.with_program(program);
    }
    let a = BareRepo::create(sandbox.root(), "a.git");
    let b = BareRepo::create(sandbox.root(), "b.git");
    b.commit("main", &[(".tekton/run.yaml", RUN)], "tests");
    let first = a.commit("main", &[("file", "1")], "first");
    sandbox.write_config(&format!(
        "forges: {{plain: {{type: git}}}}\nwatches:\n  - {{name: all, polling_interval: 1, \
         source: {{forge: plain, url: 'file://{}', branches: '*'}}, \
         manifests: {{forge: plain, url: 'file://{}', branch: main}}, \
         cluster: {{namespace: qa, deployer: dry-run}}}}\n",
        a.path().display(),
        b.path().display(),
    ));
    let mut agent = sandbox.spawn(["watch"]);
    agent.wait_for_log("baseline");
    let (used, begun) = (cpu_seconds(agent.id()), Instant::now());
    if each_its_own {
        a.import(commits(branches, &first).as_bytes());
    } else {
        a.branches((0..branches).map(|n| format!("b{n}")), &first);
    }
    while agent.stderr_so_far().matches("took_ms=").count() < branches {
        std::thread::sleep(Duration::from_millis(200));
    }
    let spent = cpu_seconds(agent.id()) - used;
    let took = begun.elapsed();
    agent.kill9();
    (spent / f64::from(u32::try_from(branches).unwrap()), took)
}

fn main() {
    println!("{HOW}\n");
    let sizes = std::env::var("BRANCHES").unwrap_or_else(|_| "300,1200,10000".to_owned());
    let before = std::env::var_os("BEFORE")
        .map_or_else(Vec::new, |program| vec![("before", Some(PathBuf::from(program)))]);
    for size in sizes.split(',').map(|size| size.trim().parse().unwrap()) {
        for (how, each_its_own) in [("one commit", false), ("one each", true)] {
            for (name, program) in before.iter().chain(&[("now", None)]) {
                let (each, took) = burst(program.as_deref(), size, each_its_own);
                println!(
                    "{size:>6} branches, {how:<10}, {name:<6}: {:>6.2} ms CPU for each delivery, {:.1} s in all",
                    each * 1e3,
                    took.as_secs_f64()
                );
            }
        }
    }
}
