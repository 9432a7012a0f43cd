//! Real `.tekton` directories as B, which are where `SENTRY_TEKTON_CORPUS` says: every document that is to run starts one
//! run per commit of A, and nothing else does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sentry_tests::repo::Entry;
use serde_json::Value;

use crate::ground::{Cluster, Ground, mark};

/// What real directories need beside the defaults: they name namespaces of their own, refer to tasks that are
/// elsewhere and to the Secret for A, and hold what no namespaced delivery may write.
const SETTINGS: [&str; 6] = [
    "refusals: lenient",
    "namespace_policy: override",
    "allow_missing_refs: true",
    "git_auth_secret: git-auth",
    "max_active_runs: 1000",
    "max_retries: 0",
];

fn directories() -> Vec<PathBuf> {
    let corpus = std::env::var("SENTRY_TEKTON_CORPUS").expect("it names a folder");
    let entries = std::fs::read_dir(corpus).unwrap();
    let mut all: Vec<PathBuf> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.join(".tekton").is_dir()).collect();
    all.sort();
    assert!(!all.is_empty(), "the corpus is empty");
    all
}

fn collect(root: &Path, at: &Path, entries: &mut Vec<Entry>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let (path, kind) = entry.map(|e| (e.path(), e.file_type().unwrap())).unwrap();
        if kind.is_dir() {
            collect(root, &path, entries);
        } else if kind.is_file() {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            entries.push(Entry::file(name, std::fs::read(&path).unwrap()));
        }
    }
}

/// Documents by file and place in it, with how often each is there.
type Documents = BTreeMap<(String, u64), usize>;

/// The documents that explain says will run; how many there are in all; and those that are refused, with the reason.
fn explained(ground: &Ground) -> (Documents, usize, Vec<String>) {
    let output = ground.sandbox.sentry(["explain", "-o", "json"]);
    let json: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let all = json["documents"].as_array().unwrap();
    let decided = |word: &'static str| all.iter().filter(move |d| d["decision"] == word);
    let place =
        |d: &Value| ((d["path"].as_str().unwrap().to_owned(), d["document"].as_u64().unwrap()), 1);
    let told = |d: &Value| format!("{} {}: {}", d["kind"], d["path"], d["reason"]);
    (decided("run").map(place).collect(), all.len(), decided("refuse").map(told).collect())
}

/// The documents that the cluster has runs of, for one commit; the key of a run says which it is of.
fn ran(runs: &[Value], sha: &str) -> Documents {
    let mut seen = Documents::new();
    for run in runs.iter().filter(|run| mark(run, "revision") == sha) {
        let key: Vec<&str> = mark(run, "key").split('|').collect();
        *seen.entry((key[3].to_owned(), key[6].parse().unwrap())).or_default() += 1;
    }
    seen
}

/// Lets an agent work until the commit is settled.
fn work(ground: &Ground, sha: &str) -> Value {
    let agent = ground.agent();
    let answer = ground.settled(sha);
    assert_eq!(agent.term().code, Some(0));
    answer
}

/// Delivers two commits of A: how many documents there are and how many of them are refused; for each commit how many
/// runs were expected and seen; and what is refused.
fn deliver(ground: &Ground) -> ([usize; 6], Vec<String>) {
    ground.configure("main", "main", &SETTINGS);
    ground.baseline();
    let (mut counts, mut refused) = ([0; 6], Vec::new());
    for round in 0..2 {
        // A file that path filters of real runs ask for, so that they match at both commits.
        let text = format!("{round}");
        let sha = ground.a.commit("main", &[("go.mod", &text), ("README.md", &text)], "work");
        let (expected, documents, refusals) = explained(ground);
        let answer = work(ground, &sha);
        let done = ["delivered", "no run matched", "only objects"];
        assert!(done.contains(&answer["reason"].as_str().unwrap()), "{answer}");
        if round == 0 {
            (counts[0], counts[1]) = (documents, refusals.len());
            refused = refusals;
        }
        let runs = ground.cluster.runs();
        let seen = ran(&runs, &sha);
        assert_eq!(seen, expected, "commit {}: {answer}", round + 1);
        let of_this: usize = seen.values().sum();
        counts[2 + 2 * round..4 + 2 * round].copy_from_slice(&[expected.len(), of_this]);
        assert_eq!(runs.len(), counts[3] + counts[5], "nothing else was started");
    }
    (counts, refused)
}

/// Each directory on a cluster of its own; the table of what came of them.
fn each_runs_once(cluster: impl Fn(usize) -> Cluster) -> String {
    let mut table = String::new();
    let mut totals = [0; 6];
    for (number, directory) in directories().iter().enumerate() {
        let mut entries = Vec::new();
        collect(directory, directory, &mut entries);
        let ground = Ground::with(cluster(number));
        ground.b.commit_entries("main", &entries, "tests");
        let (counts, refused) = deliver(&ground);
        table += &row(&directory.file_name().unwrap().to_string_lossy(), counts);
        refused.iter().for_each(|refusal| table += &format!("  {refusal}\n"));
        totals.iter_mut().zip(counts).for_each(|(total, more)| *total += more);
    }
    format!(
        "settings: {}\n{:45} documents refused | expected ran | expected ran\n{table}{}",
        SETTINGS.join(", "),
        "repository",
        row("total", totals)
    )
}

fn row(name: &str, [documents, refused, one, ran_one, two, ran_two]: [usize; 6]) -> String {
    format!("{name:45} {documents:9} {refused:7} | {one:8} {ran_one:3} | {two:8} {ran_two:3}\n")
}

#[test]
fn every_document_of_real_directories_that_is_to_run_runs_once_for_each_commit() {
    println!("{}", each_runs_once(|_| Cluster::memory()));
}

#[cfg(feature = "cluster")]
#[test]
fn it_does_so_on_a_real_api_server() {
    println!("{}", each_runs_once(|number| Cluster::real(&format!("corpus-{number}"))));
}
