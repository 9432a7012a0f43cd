//! Pull requests, from the forge to the cluster, on every kind of forge that has some.

use std::collections::BTreeMap;

use sentry_tests::repo::BareRepo;
use sentry_tests::sandbox::eventually;

use crate::tags::Scene;

const REPO: &str = "o/a";

fn run(name: &str, event: &str, branch: &str) -> (&'static str, String) {
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: {name}\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-event: '[{event}]'\n    pipelinesascode.tekton.dev/on-target-branch: '[{branch}]'\n\
         spec:\n  pipelineSpec: {{tasks: [{{name: t, taskSpec: {{steps: [{{name: s, image: busybox}}]}}}}]}}\n  params:\n  \
         - {{name: what, value: '{name} {{{{ pull_request_number }}}} {{{{ target_branch }}}} {{{{ revision }}}}'}}\n"
    );
    (name.to_owned().leak(), text)
}

#[test]
fn a_pull_request_runs_once_for_each_head_and_target_and_one_of_a_fork_never() {
    for kind in ["github", "gitlab", "gitea"] {
        let runs = [
            run("push", "push", "main, topic"),
            run("pull", "pull_request", "main"),
            run("release", "pull_request", "release/*"),
        ];
        let source = "branches: [main, topic], pull_requests: true";
        let scene = Scene::of(kind, &runs, source, "['{target_branch}', main]");
        let fork = BareRepo::create(scene.root.path(), "ada/a.git");
        let desk = scene.server.desk();
        let old = scene.a.commit("old", &[("n", "0")], "work");
        desk.open(REPO, REPO, ("old", &old), "main");
        let agent = scene.sandbox.spawn(["watch"]);
        eventually("what is open is the baseline", || {
            let status = scene.sandbox.sentry(["status", "-o", "json"]);
            status.stdout.contains("refs/pull/1")
        });
        let strange = fork.commit("topic", &[("n", "1")], "work");
        desk.open(REPO, "ada/a", ("topic", &strange), "main");
        let head = scene.a.commit("feature", &[("n", "2")], "work");
        let number = desk.open(REPO, REPO, ("feature", &head), "main");
        let mut expected = BTreeMap::from([(format!("pull {number} main {head}"), 1)]);
        eventually(&format!("{kind}: it runs"), || scene.made() == expected);

        let next = scene.a.commit("feature", &[("n", "3")], "more");
        expected.insert(format!("pull {number} main {next}"), 1);
        eventually(&format!("{kind}: its next head runs"), || scene.made() == expected);

        desk.change(REPO, number, |pull| pull.target = "release/1".to_owned());
        expected.insert(format!("release {number} release/1 {next}"), 1);
        eventually(&format!("{kind}: it is retargeted"), || scene.made() == expected);

        desk.change(REPO, number, |pull| pull.is_open = false);
        eventually(&format!("{kind}: it is gone"), || {
            let status = scene.sandbox.sentry(["status", "--branch", "refs/pull/3", "-o", "json"]);
            status.stdout.contains("\"gone\"")
        });
        let last = scene.a.commit("main", &[("n", "4")], "work");
        expected.insert(format!("push  main {last}"), 1);
        eventually(&format!("{kind}: a push runs"), || scene.made() == expected);
        for sha in [&head, &next, &last] {
            eventually(&format!("{kind}: {sha} shows something"), || {
                scene.server.statuses().iter().any(|status| status.sha == *sha)
            });
        }
        let statuses = scene.server.statuses();
        assert!(statuses.iter().all(|status| ![&strange, &old].contains(&&status.sha)), "{kind}");
        assert_eq!(agent.term().code, Some(0));
    }
}
