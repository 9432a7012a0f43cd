//! `sentry why` for each reason of the closed list, right after what caused it and after another pass.

use sentry_apiserver::Outcome;
use sentry_tests::repo::Entry;
use sentry_tests::sandbox::eventually;

use sentry_tests::road::{FIXED, Road, TREE};

/// The reason stands in the first line's end; it must be the same after a restart.
#[track_caller]
fn says(road: &Road, sha: &str, reason: &str) {
    let now = road.why(sha);
    assert!(now.lines().next().is_some_and(|line| line.contains(reason)), "{reason}: {now}");
}

#[track_caller]
fn says_also_after_a_restart(road: &Road, sha: &str, reason: &str) {
    says(road, sha, reason);
    road.once();
    says(road, sha, reason);
}

#[test]
fn baseline_and_delivered() {
    let road = Road::new();
    road.once();
    says_also_after_a_restart(&road, &road.a.branch_at("main").unwrap(), "baseline");
    let sha = road.push();
    road.once();
    says_also_after_a_restart(&road, &sha, "delivered");
}

#[test]
fn waiting_while_the_cluster_is_away_and_superseded_by_the_next_head() {
    let road = Road::new();
    road.once();
    road.cluster.pause();
    let old = road.push();
    road.once();
    says(&road, &old, "waiting");
    let new = road.push();
    road.once();
    says(&road, &old, "superseded");
    assert!(road.why(&old).contains(&new[..8]), "{}", road.why(&old));
    road.cluster.resume();
    road.once();
    says(&road, &old, "superseded");
    says(&road, &new, "delivered");
}

#[test]
fn skipped_by_marker_and_nothing_to_run() {
    let road = Road::new();
    road.once();
    let marked = road.a.commit("main", &[("d", "1")], "docs [skip ci]");
    road.once();
    says_also_after_a_restart(&road, &marked, "skipped by marker");
    let none = TREE.iter().map(|(path, _)| Entry::delete(path));
    let none: Vec<_> = none.chain([Entry::file(".tekton/README.md", "soon")]).collect();
    road.b.commit_entries("main", &none, "none");
    let idle = road.push();
    road.once();
    says_also_after_a_restart(&road, &idle, "no file");
    assert_eq!(road.cluster.writes(), 0);
}

#[test]
fn suspended_until_resumed() {
    let road = Road::new();
    road.once();
    assert_eq!(road.sandbox.sentry(["suspend", "qa", "--reason", "freeze"]).code, Some(0));
    let sha = road.push();
    road.once();
    says_also_after_a_restart(&road, &sha, "suspended");
    assert_eq!(road.sandbox.sentry(["resume", "qa"]).code, Some(0));
    road.once();
    says(&road, &sha, "delivered");
}

#[test]
fn parked_until_b_is_repaired() {
    let road = Road::new();
    road.once();
    road.b.commit("main", &[(".tekton/x.yaml", "kind: Broken\n")], "broken");
    let sha = road.push();
    road.once();
    says_also_after_a_restart(&road, &sha, "parked");
    road.b.commit_entries("main", &[Entry::delete(".tekton/x.yaml")], "repaired");
    road.once();
    says(&road, &sha, "delivered");
}

#[test]
fn forge_unreachable_and_not_seen() {
    let road = Road::new();
    road.once();
    let unknown = "12".repeat(20);
    let unseen = || {
        let told = road.sandbox.sentry(["why", &unknown]);
        let says = format!("watch qa has not seen commit {unknown}");
        assert!(told.code == Some(2) && told.stderr.contains(&says), "{told:?}");
    };
    unseen();
    road.once();
    unseen();
    road.git.http().pause();
    assert_eq!(road.once().code, Some(3));
    says(&road, &unknown, "forge unreachable since");
}

#[test]
fn no_run_matched_says_of_each_run_why() {
    let restricted = FIXED.replace(
        "{name: nightly}",
        "{name: nightly, annotations: {pipelinesascode.tekton.dev/on-event: '[push]', \
         pipelinesascode.tekton.dev/on-target-branch: '[release/9]'}}",
    );
    let tree: Vec<_> = TREE.iter().filter(|(path, _)| !path.contains("smoke")).copied().collect();
    let road = Road::with(&tree);
    road.b.commit("main", &[(".tekton/a-run.yaml", &restricted)], "for one branch");
    road.once();
    let sha = road.push();
    road.once();
    says_also_after_a_restart(&road, &sha, "no run matched");
    let why = road.why(&sha);
    let note = why.lines().find(|line| line.starts_with("  note   ")).unwrap();
    assert!(note.contains("skipped a-run.yaml:1 (document 1)"), "{why}");
    assert!(note.contains("release/9"), "{why}");
    assert!(why.contains("`sentry explain qa --branch main`"), "{why}");
    assert!(road.runs().is_empty());
    assert_eq!(road.cluster.writes(), 0, "what only runs refer to that do not start is not sent");
}

#[test]
fn what_is_refused_parks_the_head_and_is_named_with_its_place() {
    let road = Road::new();
    road.once();
    let foreign = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n";
    road.b.commit("main", &[(".tekton/sub/x.yaml", foreign)], "into another namespace");
    let sha = road.push();
    assert_eq!(road.once().code, Some(1));
    says_also_after_a_restart(&road, &sha, "parked");
    let why = road.why(&sha);
    let detail = why.lines().find(|line| line.starts_with("  detail ")).unwrap();
    for word in ["1 of 5 documents are refused", "sub/x.yaml:", "(document 1)", "kube-system"] {
        assert!(detail.contains(word), "{word}: {why}");
    }
    assert_eq!(road.cluster.writes(), 0);
}

#[test]
fn runs_that_wait_for_room_and_runs_that_go_on_are_counted() {
    let road = Road::endless();
    road.configure_watch("max_active_runs: 1");
    let agent = road.watch();
    let sha = road.push();
    eventually("one of two runs has room", || road.why(&sha).contains("may run at once in qa"));
    let why = road.why(&sha);
    says(&road, &sha, "waiting");
    assert!(why.contains("1 may run at once in qa"), "{why}");
    assert!(why.contains("queued runs start as others end"), "{why}");
    let first = road.cluster.active_runs().remove(0);
    assert!(road.cluster.finish_run(&first, Outcome::Succeeded));
    eventually("the other one starts", || road.why(&sha).contains("still running"));
    says(&road, &sha, "delivered");
    let why = road.why(&sha);
    assert!(why.contains("nothing to do: 1 of 2 runs still running"), "{why}");
    let second = road.cluster.active_runs().remove(0);
    assert!(road.cluster.finish_run(&second, Outcome::Cancelled));
    eventually("its end is told", || road.why(&sha).contains("was cancelled"));
    says(&road, &sha, "delivered");
    assert!(road.why(&sha).contains("check the runs on the cluster"), "{}", road.why(&sha));
    assert_eq!(agent.term().code, Some(0));
}
