//! What a poll of one repository with very many branches costs, where nothing moved and where something did that the watch
//! does not look at.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench branches`; `BEFORE=PROGRAM` measures another
//! build of sentry beside it, `BRANCHES=1000` another number.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use sentry_tests::http::{HttpServer, reply};
use sentry_tests::processes::{cpu_seconds, rss_kib};
use sentry_tests::sandbox::{Agent, Sandbox};

const HOW: &str = "\
CPU is the agent's alone, user and system time (/proc/PID/stat). The forge is a git server in the benchmark's own process
on loopback, which answers ls-refs from memory, with about 65 bytes for a branch. A watch looks at all of them by a
pattern, once a second. First nothing moves; then another branch at each question, which the pattern does not select.";
const WINDOW: Duration = Duration::from_secs(20);

/// An answer to ls-refs: so many branches, and one that the watch does not select, at the `n`th commit.
fn answer(branches: usize, n: usize) -> Vec<u8> {
    let line = |name: &str, n: usize| {
        let line = format!("{:040x} refs/heads/{name}\n", n + 1);
        format!("{:04x}{line}", line.len() + 4)
    };
    let mut answer: String = (0..branches).map(|b| line(&format!("feature/b{b:06}"), b)).collect();
    answer += &line("other", n);
    (answer + "0000").into_bytes()
}

/// A git server, what makes it move a branch at each question, and how often it was asked.
struct Busy(HttpServer, Arc<AtomicBool>, Arc<AtomicUsize>);

fn busy_forge(branches: usize) -> Busy {
    let (moves, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (does_move, count) = (Arc::clone(&moves), Arc::clone(&asked));
    let still = Bytes::from(answer(branches, 0));
    let server = HttpServer::start("busy", None, move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let moved = || Bytes::from(answer(branches, n));
        let body = if does_move.load(Ordering::SeqCst) { moved() } else { still.clone() };
        let kind = [("content-type", "application/x-git-upload-pack-result")];
        Box::pin(async move { reply(StatusCode::OK, &kind, body) })
    });
    Busy(server, moves, asked)
}

/// CPU for each poll, in seconds.
fn each_poll(agent: &Agent, asked: &AtomicUsize) -> f64 {
    let (used, before) = (cpu_seconds(agent.id()), asked.load(Ordering::SeqCst));
    let begun = Instant::now();
    while begun.elapsed() < WINDOW {
        std::thread::sleep(Duration::from_millis(100));
    }
    let polls = u32::try_from(asked.load(Ordering::SeqCst) - before).unwrap();
    (cpu_seconds(agent.id()) - used) / f64::from(polls)
}

fn measure(name: &str, program: Option<&Path>, branches: usize) {
    let Busy(server, moves, asked) = busy_forge(branches);
    let mut sandbox = Sandbox::new();
    if let Some(program) = program {
        sandbox = sandbox.with_program(program);
    }
    sandbox.write_config(&format!(
        "forges: {{plain: {{type: git, url: '{0}'}}}}\nwatches:\n  - {{name: all, polling_interval: 1, \
         source: {{forge: plain, url: '{0}/o/a.git', branches: 'feature/*'}}, \
         manifests: {{forge: plain, url: '{0}/o/b.git', branch: main}}, \
         cluster: {{namespace: qa, deployer: dry-run}}}}\n",
        server.origin()
    ));
    let agent = sandbox.spawn(["watch"]);
    while asked.load(Ordering::SeqCst) < 5 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let still = each_poll(&agent, &asked);
    let rss = rss_kib(agent.id()) as f64 / 1024.0;
    moves.store(true, Ordering::SeqCst);
    let moving = each_poll(&agent, &asked);
    println!(
        "{branches:>7} branches, {name:<6}: {:>6.1} ms CPU a poll where nothing moved, {:>6.1} ms where a branch did; \
         RSS {rss:.0} MiB, then {:.0} MiB",
        still * 1e3,
        moving * 1e3,
        rss_kib(agent.id()) as f64 / 1024.0
    );
    agent.kill9();
}

fn main() {
    println!("{HOW}\n");
    let branches = std::env::var("BRANCHES").map_or(100_000, |n| n.parse().unwrap());
    let before =
        std::env::var_os("BEFORE").map_or_else(Vec::new, |program| vec![PathBuf::from(program)]);
    before.iter().for_each(|program| measure("before", Some(program), branches));
    measure("now", None, branches);
}
