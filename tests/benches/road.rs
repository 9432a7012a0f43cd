//! The road from a change to 20 objects that the cluster has acknowledged: Sentry beside the plain way, which is
//! `git clone --depth 1 && kubectl apply`.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench road`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sentry_apiserver::ApiServer;
use sentry_core::clock::Timestamp;
use sentry_tests::gitserver::{GitOptions, GitServer};
use sentry_tests::repo::{BareRepo, Entry};
use sentry_tests::sandbox::{Sandbox, eventually};
use serde_json::Value;
use tempfile::TempDir;

const HOW: &str = "\
Everything is on this machine, over loopback: git's own http-backend serves B, the real git and the real kubectl are the
clients of both ways, and an API server in memory is the cluster (a real one takes longer, for both ways alike). B holds
20 manifests in .tekton: 12 Tasks, 4 Pipelines, 2 ConfigMaps, 2 PipelineRuns. Each time is the median of 5; each run has
a new cluster and an empty home directory, so that nothing is cached. Sentry's times are those of its own records
(`sentry show -o json`), from the change it saw to the last object acknowledged; `next` is the following push, which
also changes one file of B outside .tekton. The plain way checks nothing; Sentry's check is a dry run on the server.
No network: bytes cost almost nothing here, so read the column of bytes beside the times.";
const RUNS: usize = 5;
/// The columns of Sentry's times; what else its steps need is in the total.
const STEPS: [&str; 4] = ["fetch", "discover", "check", "apply"];

/// Bytes that no compression makes smaller; the same seed gives the same bytes.
fn noise(length: usize, seed: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn manifest(n: usize) -> Entry {
    let (kind, api, spec) = match n {
        0..12 => {
            ("Task", "tekton.dev/v1", "spec: {steps: [{name: s, image: busybox, script: 'true'}]}")
        }
        12..16 => {
            ("Pipeline", "tekton.dev/v1", "spec: {tasks: [{name: unit, taskRef: {name: o0}}]}")
        }
        16..18 => ("ConfigMap", "v1", "data: {suite: nightly}"),
        _ => ("PipelineRun", "tekton.dev/v1", "spec: {pipelineRef: {name: o12}}"),
    };
    let text = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: o{n}}}\n{spec}\n");
    Entry::file(&format!(".tekton/{n:02}.yaml"), text)
}

/// B, with `files` files beside the manifests.
fn repository(files: usize, bytes: impl Fn(usize) -> usize) -> (TempDir, BareRepo) {
    let root = TempDir::new().unwrap();
    let b = BareRepo::create(root.path(), "b.git");
    // Zlib would only make the generation slower: noise stays as it is.
    b.git(&["config", "core.compression", "0"]);
    let mut entries: Vec<Entry> = (0..20).map(manifest).collect();
    entries.extend((0..files).map(|n| {
        Entry::file(&format!("src/{}/{}/{n}.bin", n % 40, n % 23), noise(bytes(n), n + 1))
    }));
    b.commit_entries("main", &entries, "B");
    (root, b)
}

/// What a run took, part by part, and the bytes that the git server sent for it.
#[derive(Debug)]
struct Run {
    parts: BTreeMap<String, f64>,
    total: f64,
    bytes: u64,
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The record of the newest delivery, once it is there and the number of deliveries is right.
fn delivered(sandbox: &Sandbox, number: usize) -> Run {
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&sandbox.sentry(args).stdout).unwrap_or_default()
    };
    let mut newest = Value::Null;
    eventually("the delivery succeeds", || {
        let history = json(&["history", "-o", "json"]);
        let all = history["deliveries"].as_array().cloned().unwrap_or_default();
        newest = all.first().cloned().unwrap_or_default();
        all.len() == number && newest["state"] == "succeeded"
    });
    assert_eq!(newest["objects"].as_array().unwrap().len(), 20);
    let at = |field: &str| -> Timestamp { newest[field].as_str().unwrap().parse().unwrap() };
    // From there on it only follows the runs.
    let took = Duration::try_from(at("following_since").duration_since(at("started"))).unwrap();
    let shown = json(&["show", newest["id"].as_str().unwrap(), "-o", "json"]);
    let mut parts: BTreeMap<String, f64> = BTreeMap::new();
    for step in shown["steps"].as_array().unwrap() {
        *parts.entry(step["step"].as_str().unwrap().to_owned()).or_default() +=
            step["took_ms"].as_f64().unwrap();
    }
    Run { parts, total: millis(took), bytes: 0 }
}

/// The first delivery of an agent that has just started, and the next one.
fn sentry(git: &GitServer, b: &BareRepo) -> (Run, Run) {
    let repos = TempDir::new().unwrap();
    let a = BareRepo::create(repos.path(), "a.git");
    a.commit("main", &[("README.md", "A")], "first");
    let source = GitServer::start(repos.path(), GitOptions::default(), None);
    let (cluster, sandbox) = (ApiServer::start(), Sandbox::new());
    cluster.end_new_runs();
    sandbox.write_config(&format!(
        "forges:\n  plain: {{type: git}}\nwatches:\n  - {{name: qa, polling_interval: 1, \
         source: {{forge: plain, url: '{}', branches: main}}, \
         manifests: {{forge: plain, url: '{}', branch: main}}, \
         cluster: {{context: default, namespace: qa, kubectl: {{kubeconfig: '{}'}}}}}}\n",
        source.url("a.git"),
        git.url("b.git"),
        cluster.kubeconfig(sandbox.root()).display()
    ));
    let mut agent = sandbox.spawn(["watch"]);
    agent.wait_for_log("baseline");
    let deliver = |number: usize| {
        git.http().log().clear();
        a.commit("main", &[("README.md", &format!("{number}"))], "work");
        let mut run = delivered(&sandbox, number);
        run.bytes = git.http().log().bytes_out();
        run
    };
    let first = deliver(1);
    b.commit("main", &[("src/changed.txt", &format!("{:?}", Instant::now()))], "elsewhere");
    let next = deliver(2);
    assert_eq!(agent.term().code, Some(0));
    (first, next)
}

fn plain(git: &GitServer) -> Run {
    let (home, cluster) = (TempDir::new().unwrap(), ApiServer::start());
    let timed = |program: &str, args: &[&str]| {
        let begun = Instant::now();
        let status = Command::new(program)
            .args(args)
            .current_dir(home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("KUBECONFIG", cluster.kubeconfig(home.path()))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program} {args:?}");
        millis(begun.elapsed())
    };
    git.http().log().clear();
    let clone = timed("git", &["clone", "-q", "--depth", "1", &git.url("b.git"), "b"]);
    let apply = timed("kubectl", &["apply", "-n", "qa", "-f", "b/.tekton"]);
    let bytes = git.http().log().bytes_out();
    let parts = [("fetch".to_owned(), clone), ("apply".to_owned(), apply)].into();
    Run { parts, total: clone + apply, bytes }
}

/// One line of the table: each column's own median.
fn line(way: &str, runs: &[Run]) {
    let median = |value: &dyn Fn(&Run) -> Option<f64>| -> Option<f64> {
        let mut values: Vec<f64> = runs.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let mut text = format!("{way:22}");
    for step in STEPS {
        match median(&|run| run.parts.get(step).copied()) {
            Some(ms) => write!(text, " {ms:>9.0}"),
            None => write!(text, " {:>9}", "-"),
        }
        .unwrap();
    }
    let total = median(&|run| Some(run.total)).unwrap();
    let bytes = median(&|run| Some(run.bytes as f64)).unwrap();
    println!("{text} {total:>9.0} {bytes:>13.0}");
}

fn compare(what: &str, files: usize, bytes: impl Fn(usize) -> usize) {
    let (root, b) = repository(files, bytes);
    let git = GitServer::start(root.path(), GitOptions::default(), None);
    let size = b.git(&["count-objects", "-v"]);
    let kib: u64 = size
        .lines()
        .filter_map(|l| l.strip_prefix("size-pack: ").or_else(|| l.strip_prefix("size: ")))
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    println!("\nB: {what}; {} MiB of objects", kib >> 10);
    print!("{:22}", "way (ms)");
    for step in STEPS {
        print!(" {step:>9}");
    }
    println!(" {:>9} {:>13}", "total", "bytes of git");
    let plain: Vec<Run> = (0..RUNS).map(|_| plain(&git)).collect();
    let (first, next): (Vec<Run>, Vec<Run>) = (0..RUNS).map(|_| sentry(&git, &b)).unzip();
    line("clone --depth 1, apply", &plain);
    line("sentry, first", &first);
    line("sentry, next", &next);
}

fn main() {
    println!("{HOW}");
    compare("1,600 files of 64 KiB of noise", 1600, |_| 64 << 10);
    compare("24,000 files of 1 to 8 KiB of noise", 24_000, |n| (1 + n % 8) << 10);
}
