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
        let source = "branches: [main, topic], pull_requests: {forks: never}";
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

/// A fork, and what a forge does with its pull request's head: A has it as well, at a reference of its own.
struct Fork<'a> {
    fork: BareRepo,
    scene: &'a Scene,
}

impl Fork<'_> {
    fn push(&self, number: u64, n: &str) -> String {
        let head = self.fork.commit("topic", &[("n", n)], "work");
        let path = self.fork.path().to_str().unwrap();
        let to = format!("+topic:refs/pull/{number}/head");
        self.scene.a.git(&["fetch", "--quiet", path, &to]);
        head
    }

    /// Waits until the head is seen, into this branch, and is not approved.
    fn waits(&self, what: &str, head: &str, base: &str) {
        eventually(what, || {
            let status = self.scene.sandbox.sentry(["status", "-o", "json"]).stdout;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            let branches = status["watches"][0]["branches"].as_array().cloned().unwrap_or_default();
            branches.iter().any(|branch| {
                branch["state"] == "waits_for_approval"
                    && branch["observed"]["sha"] == head
                    && branch["pull_request"]["base"] == base
            })
        });
    }

    /// People next to the state and A's commit are told that it waits.
    fn is_told(&self, kind: &str, head: &str) {
        let scene = self.scene;
        let said = scene.sandbox.sentry(["status"]).stdout;
        let command = format!("sentry approve qa 1 --revision {head} --base main");
        assert!(said.contains(&command), "{kind}: {said}");
        let why = scene.sandbox.sentry(["why", head]).stdout;
        assert!(why.contains("waits for approval"), "{kind}: {why}");
        eventually(&format!("{kind}: its commit says so"), || {
            let all = scene.server.statuses();
            let mut own = all.iter().filter(|it| it.sha == head);
            own.any(|it| it.body.to_string().contains("waits for approval"))
        });
    }
}

#[test]
fn a_head_of_a_fork_runs_once_somebody_approved_it_and_no_later_one_over_kills() {
    for kind in ["github", "gitlab", "gitea"] {
        let runs =
            [run("pull", "pull_request", "main"), run("release", "pull_request", "release/*")];
        let source = "branches: main, pull_requests: true";
        let scene = Scene::of(kind, &runs, source, "['{target_branch}', main]");
        let fork = BareRepo::create(scene.root.path(), "ada/a.git");
        let (fork, desk) = (Fork { fork, scene: &scene }, scene.server.desk());
        let agent = scene.sandbox.spawn(["watch"]);
        eventually("A is seen", || scene.sandbox.sentry(["status"]).stdout.contains("main"));
        let head = fork.push(1, "1");
        assert_eq!(desk.open(REPO, "ada/a", ("topic", &head), "main"), 1);
        fork.waits(&format!("{kind}: it waits"), &head, "main");
        fork.is_told(kind, &head);
        let root = scene.a.branch_at("main").unwrap();
        let wrong = scene.sandbox.sentry(["approve", "qa", "1", "--revision", &root]);
        assert_eq!(wrong.code, Some(2), "{kind}: {wrong:?}");
        assert!(wrong.stderr.contains(&head), "{kind}: {}", wrong.stderr);
        let trigger = ["trigger", "qa", "--branch", "refs/pull/1", "--revision", &head];
        let denied = scene.sandbox.sentry(trigger);
        assert!(denied.code == Some(1) && denied.stderr.contains("sentry approve"), "{denied:?}");

        // The approval is as durable as anything: nobody works when it comes.
        agent.kill9();
        let approve = ["approve", "qa", "1", "--revision", &head, "--no-wait"];
        for _ in 0..2 {
            let kept = scene.sandbox.sentry(approve);
            assert_eq!(kept.code, Some(0), "{kind}: {kept:?}");
        }
        assert_eq!(scene.made(), BTreeMap::new(), "{kind}: before");
        let agent = scene.sandbox.spawn(["watch"]);
        let mut expected = BTreeMap::from([(format!("pull 1 main {head}"), 1)]);
        eventually(&format!("{kind}: it runs"), || scene.made() == expected);

        let next = fork.push(1, "2");
        fork.waits(&format!("{kind}: a later push waits"), &next, "main");
        desk.change(REPO, 1, |pull| pull.target = "release/1".to_owned());
        fork.waits(&format!("{kind}: another base waits"), &next, "release/1");
        let stale = ["approve", "qa", "1", "--revision", &next, "--base", "main"];
        let stale = scene.sandbox.sentry(stale);
        assert!(stale.code == Some(2) && stale.stderr.contains("release/1"), "{kind}: {stale:?}");
        agent.kill9();
        let mut agent = scene.sandbox.spawn(["watch"]);
        // Else the command below would deliver itself.
        agent.wait_for_log("started");
        assert_eq!(scene.made(), expected, "{kind}: nothing more ran");
        let done = scene.sandbox.sentry(["approve", "qa", "1", "--revision", &next]);
        assert_eq!(done.code, Some(0), "{kind}: {done:?}");
        expected.insert(format!("release 1 release/1 {next}"), 1);
        assert_eq!(scene.made(), expected, "{kind}: into the other branch");
        let acts = scene.sandbox.sentry(["audit", "-o", "json"]).stdout;
        let acts: serde_json::Value = serde_json::from_str(&acts).unwrap();
        let acts = acts["acts"].as_array().unwrap();
        let approved: Vec<_> = acts.iter().filter(|act| act["act"] == "approve").collect();
        assert_eq!(approved.len(), 3, "{kind}: {acts:?}");
        assert!(approved.iter().all(|act| act["by"].is_string() && act["branch"] == "refs/pull/1"));
        assert_eq!(agent.term().code, Some(0));
    }
}
