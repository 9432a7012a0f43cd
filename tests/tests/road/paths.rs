//! Runs that start by changed paths, compared by the real git.

use crate::ground::{Cluster, Ground};

/// A run for each of two directories.
fn runs() -> String {
    ["src", "docs"].map(|name| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: {name}-\n  annotations:\n    \
             pipelinesascode.tekton.dev/on-event: push\n    pipelinesascode.tekton.dev/on-target-branch: main\n    \
             pipelinesascode.tekton.dev/on-path-change: '{name}/**'\nspec: {{pipelineSpec: {{tasks: []}}}}\n"
        )
    }).join("---\n")
}

#[test]
fn the_first_commit_after_the_baseline_starts_what_its_own_paths_ask_for() {
    let ground = Ground::with(Cluster::memory());
    ground.b.commit("main", &[(".tekton/runs.yaml", &runs())], "tests");
    ground.a.commit("main", &[("src/a.rs", "1"), ("docs/a.md", "1")], "before anybody looked");
    ground.configure("[main]", "main", &[]);
    ground.baseline();
    let sha = ground.a.commit("main", &[("docs/a.md", "2")], "docs");
    let agent = ground.agent();
    assert_eq!(ground.settled(&sha)["reason"], "delivered");
    assert_eq!(agent.term().code, Some(0));
    let names: Vec<String> = ground
        .cluster
        .runs()
        .iter()
        .map(|run| run["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(matches!(&names[..], [one] if one.starts_with("docs-")), "{names:?}");
}
