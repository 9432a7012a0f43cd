//! Two branches of A with definitions of their own in B, in one namespace.

use crate::ground::{Cluster, Ground, mark};

const RUN: &str = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: suite-}\n\
                   spec: {pipelineRef: {name: suite}}\n";

/// A pipeline and its task; both say which branch of B they are from.
fn definitions(branch: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{name: suite}}\n\
         spec: {{description: pipeline of {branch}, tasks: [{{name: unit, taskRef: {{name: unit}}}}]}}\n---\n\
         apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: unit}}\n\
         spec: {{description: task of {branch}, steps: [{{name: s, image: busybox, script: 'true'}}]}}\n"
    )
}

fn each_branch_runs_its_own(cluster: Cluster) {
    let ground = Ground::with(cluster);
    // A third branch of A has no counterpart in B: it gets the definitions of `main`.
    let (of_a, of_b) = (["main", "dev", "docs"], ["main", "dev", "main"]);
    for branch in ["main", "dev"] {
        let files = [(".tekton/run.yaml", RUN), (".tekton/suite.yaml", &definitions(branch))];
        ground.b.commit(branch, &files, "tests");
    }
    let root = ground.a.branch_at("main").unwrap();
    of_a.iter().for_each(|branch| ground.a.force(branch, &root));
    ground.configure("[main, dev, docs]", "['{source_branch}', main]", &[]);
    ground.baseline();
    for round in 1..=2 {
        let heads =
            of_a.map(|branch| ground.a.commit(branch, &[("n", &format!("{round}"))], branch));
        let agent = ground.agent();
        heads.iter().for_each(|sha| assert_eq!(ground.settled(sha)["reason"], "delivered"));
        assert_eq!(agent.term().code, Some(0));
        let runs = ground.cluster.runs();
        assert_eq!(runs.len(), round * of_a.len());
        for ((sha, a), b) in heads.iter().zip(of_a).zip(of_b) {
            let mut of_this = runs.iter().filter(|run| mark(run, "revision") == sha);
            let run = of_this.next().unwrap();
            assert!(of_this.next().is_none());
            assert_eq!((mark(run, "branch"), mark(run, "manifests-branch")), (a, b));
            let tested = &run["spec"]["pipelineSpec"];
            assert_eq!(tested["description"], format!("pipeline of {b}"), "{run}");
            let task = &tested["tasks"][0]["taskSpec"];
            assert_eq!(task["description"], format!("task of {b}"), "{run}");
            assert!(run["spec"]["pipelineRef"].is_null(), "{run}");
        }
    }
}

#[test]
fn branches_that_move_at_once_in_one_namespace_each_run_their_own_definitions() {
    each_branch_runs_its_own(Cluster::memory());
}

#[cfg(feature = "cluster")]
#[test]
fn they_do_so_on_a_real_api_server() {
    each_branch_runs_its_own(Cluster::real("branches"));
}
