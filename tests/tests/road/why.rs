//! `sentry why` for each reason of the closed list, right after what caused it and after another pass.

use crate::harness::{Road, TREE};

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
fn skipped_by_marker_and_no_run_matched() {
    let road = Road::new();
    road.once();
    let marked = road.a.commit("main", &[("d", "1")], "docs [skip ci]");
    road.once();
    says_also_after_a_restart(&road, &marked, "skipped by marker");
    road.b.commit_entries(
        "main",
        &TREE.iter().map(|(p, _)| sentry_tests::repo::Entry::delete(p)).collect::<Vec<_>>(),
        "none",
    );
    let idle = road.push();
    road.once();
    says_also_after_a_restart(&road, &idle, "no run matched");
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
    road.b.commit_entries(
        "main",
        &[sentry_tests::repo::Entry::delete(".tekton/x.yaml")],
        "repaired",
    );
    road.once();
    says(&road, &sha, "delivered");
}

#[test]
fn forge_unreachable_and_not_seen() {
    let road = Road::new();
    road.once();
    let unknown = "12".repeat(20);
    says_also_after_a_restart(&road, &unknown, "not seen");
    road.git.http().pause();
    assert_eq!(road.once().code, Some(3));
    says(&road, &unknown, "forge unreachable since");
}
